# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_postgres as roles that may not see everything, and what it shows of statements that hold a password."""

from __future__ import annotations

import json
import typing as t

import pytest

from tests.conftest import ModuleRun
from tests.parts import need_part
from tests.servers import Postgres, debian_postgres_versions

MONITOR, NOBODY = "opsready_monitor", "opsready_nobody"
SECRET = "geheim-4c1f90"
ASKED = {"max_sequence_share": 0.5, "pending_restart": "refused", "max_wraparound_share": 0.5}


@pytest.fixture(scope="module")
def server() -> t.Iterator[Postgres]:
    with Postgres() as started:
        started.execute(f"CREATE ROLE {MONITOR} LOGIN PASSWORD '{started.password}' IN ROLE pg_monitor")
        started.execute(f"CREATE ROLE {NOBODY} LOGIN PASSWORD '{started.password}'")
        started.execute("CREATE SCHEMA closed")
        started.execute("CREATE SEQUENCE closed.full AS smallint")
        started.execute("SELECT setval('closed.full', 32000)")
        yield started


def judged(run: ModuleRun, server: Postgres, user: str | None, **options: t.Any) -> dict[str, t.Any]:
    connection = {"dsn": server.dsn("postgres", user=user, password=None), "password": server.password, "timeout": 30}
    answer = run("check_postgres", {**connection, "enforce": False, **options}, secrets=[server.password, SECRET])
    return t.cast("dict[str, t.Any]", answer["finding"])


@pytest.mark.parametrize("user", [MONITOR, NOBODY])
def test_a_sequence_that_may_not_be_read_is_unknown_until_it_is_granted(
    server: Postgres, user: str, run_module_here: ModuleRun
) -> None:
    found = judged(run_module_here, server, user, max_sequence_share=0.5)
    assert found["status"] == "unknown", found
    assert f"the share of 1 sequences is unknown: {user} may not read closed.full" in found["summary"].lower()
    assert "GRANT SELECT ON ALL SEQUENCES IN SCHEMA closed" in found["remedy"]
    server.execute(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA closed TO {user}")
    try:
        found = judged(run_module_here, server, user, max_sequence_share=0.5)
        assert found["status"] == "fail", found
        assert "share of the fullest sequence (closed.full) is 0.977" in found["summary"].lower()
    finally:
        server.execute(f"REVOKE SELECT ON ALL SEQUENCES IN SCHEMA closed FROM {user}")


def test_a_hidden_setting_that_waits_for_a_restart_does_not_pass(server: Postgres, run_module_here: ModuleRun) -> None:
    hidden = judged(run_module_here, server, NOBODY, pending_restart="refused")
    assert hidden["status"] == "unknown", hidden
    assert "GRANT pg_read_all_settings" in hidden["remedy"]
    assert judged(run_module_here, server, MONITOR, pending_restart="refused")["status"] == "pass"
    assert judged(run_module_here, server, None, pending_restart="refused")["status"] == "pass"


@pytest.mark.parametrize("version", [None, "15"], ids=["18", "15"])
def test_no_password_of_a_statement_is_shown(version: str | None, run_module_here: ModuleRun) -> None:
    need_part(
        "debian-postgres", version is None or version in debian_postgres_versions(), "postgresql-15 is not installed"
    )
    settings = {"shared_preload_libraries": "pg_stat_statements"}
    with Postgres(version, settings=settings) as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        server.execute("CREATE ROLE app")
        for quoted in (f"'{SECRET}'", f"E'\\'{SECRET}'", f"$${SECRET}$$", f"$tag$'{SECRET}$tag$", f"'it''s {SECRET}'"):
            server.execute(f"ALTER ROLE app -- it's new\n /* don't */ password {quoted}")
        options = {"statements": {"max_mean_ms": 60000, "min_calls": 1, "top": 100}}
        found = judged(run_module_here, server, None, **options)
        assert found["status"] == "pass", found
        told = [row["query"] for row in found["evidence"]["statements"]]
        # 16 and later count the same password, however it is quoted, as the same statement.
        assert {query for query in told if "ALTER" in query} == {"ALTER ROLE app password '…'"}, told
        assert sum("ALTER" in query for query in told) == (5 if version else 3)
        assert SECRET not in json.dumps(found)
