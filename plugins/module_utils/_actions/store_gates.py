# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a database or broker that was started there for its clients: does it answer to a login, and take writes?"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import http_expectation
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import POSTGRES, REDIS, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    MissingLibrary,
    UnexpectedAnswer,
)

#: What is asked in place of a URL.
STORES: dict[str, dict[str, t.Any]] = {
    "postgres": {"type": "dict", "options": POSTGRES},
    "redis": {"type": "dict", "options": REDIS},
}
GATE: Spec = {**http_expectation.GATE, "url": {"type": "str"}, **STORES}
KINDS = ["url", *STORES]


def checked(gate: t.Mapping[str, t.Any], *, where: str) -> None:
    """Raises BadInput for a gate whose options mean nothing, or that could not be asked."""
    for_http = [name for name in (*http_expectation.CONNECTION, *http_expectation.EXPECTATION) if gate.get(name)]
    if for_http:
        raise BadInput(f"{where}: {', '.join(for_http)} is for a url.")
    label_of(gate)


def label_of(gate: t.Mapping[str, t.Any]) -> str:
    """The store as it stands in a sentence. Raises BadInput."""
    from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres, redis

    if gate["postgres"]:
        return f"PostgreSQL {postgres.described(gate['postgres']['dsn'])}"
    return redis.parsed(gate["redis"]["url"]).name


def asked(gate: t.Mapping[str, t.Any], seconds: float) -> tuple[bool, str]:
    """Whether the store is healthy, and what it said. Raises BadInput, MissingLibrary."""
    try:
        deadline = Deadline(seconds)
        return _of_postgres(gate["postgres"], deadline) if gate["postgres"] else _of_redis(gate["redis"], deadline)
    except (BadInput, MissingLibrary):
        raise
    except GoliveError as problem:
        return False, problem.message


def _of_postgres(options: t.Mapping[str, t.Any], deadline: Deadline) -> tuple[bool, str]:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres

    query = (
        "SELECT current_setting('server_version') || CASE WHEN pg_is_in_recovery() "
        "OR current_setting('transaction_read_only')::bool THEN ' takes reads only' ELSE ' takes writes' END"
    )
    connection = postgres.connect(options["dsn"], password=options["password"], deadline=deadline)
    with contextlib.closing(connection):
        said = str(postgres.value(connection, query, doing="Asking its state", deadline=deadline))
    return said.endswith("writes"), f"version {said}"


def _of_redis(options: t.Mapping[str, t.Any], deadline: Deadline) -> tuple[bool, str]:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import redis

    server = redis.parsed(options["url"])
    login = {name: options[name] for name in ("username", "password", "ca_file")}
    with redis.session(server, deadline=deadline, **login) as client:
        info = client.info("everything")
    try:
        is_good = int(info["loading"]) == 0 and info["role"] == "master"
        return is_good, f"version {info['redis_version']}, {info['role']}" + (", loading" if info["loading"] else "")
    except (LookupError, TypeError, ValueError):
        raise UnexpectedAnswer(f"{server.name} does not tell its role.")
