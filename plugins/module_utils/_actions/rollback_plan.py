# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back, decided before the first change: what cannot be taken back with stock commands is refused here.

It is made on the host that keeps the record, which has nothing but Python. ``rollback_document`` writes it for people.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import derived_name, maintenance_name
from ansible_collections.opsready.golive.plugins.module_utils._clients import conninfo, postgres
from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

KINDS = ("image_only", "downgrade", "restore", "forward_only")
Plan = t.Dict[str, t.Any]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def build(
    *,
    release: str,
    system: str,
    version: str,
    services: t.Mapping[str, t.Any],
    migration: t.Mapping[str, t.Any],
    way_back: t.Mapping[str, t.Any],
) -> Plan:
    """The rollback plan. ``services`` is the snapshot that the services module took, ``migration`` what is planned.

    ``way_back`` holds where things are: ``flags``, ``switches``, ``supervisor``, ``supervisorctl``, ``supervisor_user``, ``docker``,
    ``untracked``, ``programs``, ``current``, ``releases_dir``, ``dsn``, ``standbys``, ``pg_bindir``, ``url_scheme``, ``url_variable``, ``environment``,
    ``migration_command``, ``migration_directory``, ``migration_role``, ``backup``, ``broker``, ``queues``, ``health``,
    ``ca_file``, ``user_path``, ``snapshot_dir``, and ``hosts``, which names the host of each part. Raises BadInput.
    """
    deployed = services.get("deployed") or {}
    kept = services.get("version") or {}
    kind = str(migration.get("rollback_kind") or "image_only")
    if kind not in KINDS:
        raise BadInput(f"The migration's way back is {kind!r}, expected one of {', '.join(KINDS)}.")
    _refuse_control_characters("way_back", way_back)
    _refuse_control_characters("services.files", services.get("files") or [])
    _refuse_control_characters("services.version", kept)
    reason = str(migration.get("rollback_reason") or "no migration is pending, so the database stays as it is")
    pending = migration.get("pending") or []
    irreversible = [
        f"revision {one['revision']} ({one['title']}): {', '.join(one['reasons'])}"
        for one in pending
        if one["rollback"] != "reversible"
    ]
    revisions = list(migration.get("from") or [])
    connection = _connection(str(way_back["dsn"]), release, way_back) if way_back.get("dsn") else None
    if kind == "downgrade":
        _refuse_no_downgrade(way_back, revisions)
    return {
        "release": release,
        "system": system,
        "version": version,
        "previous_version": deployed.get("version") or "",
        "database": kind,
        "reason": reason,
        "irreversible": irreversible,
        "revision": next(iter(revisions), None),
        "target_revision": migration.get("to"),
        "services": [
            {key: seen.get(key) for key in ("name", "state", "pid", "command_sha256") if seen.get(key) is not None}
            for seen in services.get("services") or []
        ],
        "digest": deployed.get("digest"),
        "containers": kept.get("containers") or {},
        "working_tree": {name: kept[name] for name in ("working_tree", "commit", "branch") if name in kept},
        "files": services.get("files") or [],
        "database_name": connection["live"]["name"] if connection else "",
        "fenced_name": connection["fenced"]["name"] if connection else "",
        "connection": connection,
        "broker": _broker(str(way_back["broker"])) if way_back.get("broker") else None,
        "where": dict(way_back),
    }


def _refuse_control_characters(name: str, value: t.Any) -> None:
    """Raise BadInput for what would break a line, and could then say something else to a shell."""
    if isinstance(value, t.Mapping):
        for key, inner in value.items():
            _refuse_control_characters(f"{name}.{key}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_control_characters(name, inner)
    elif isinstance(value, str) and _CONTROL.search(value):
        raise BadInput(f"{name} holds a line break or another control character: {value!r}.")


def _refuse_no_downgrade(way_back: t.Mapping[str, t.Any], revisions: t.Sequence[str]) -> None:
    if way_back.get("dsn") and not way_back.get("migration_directory"):
        raise BadInput("way_back.migration_directory is needed for a migration that goes back by downgrade.")
    if len(revisions) > 1:
        raise BadInput(
            f"The database stands at several revisions, {', '.join(revisions)}; no downgrade leads back there."
        )
    for name in (way_back.get("url_variable") or "DATABASE_URL", *(way_back.get("environment") or {})):
        if not _VARIABLE.fullmatch(str(name)):
            raise BadInput(f"way_back names the environment variable {name!r}, which a shell cannot set.")


def _connection(dsn: str, release: str, way_back: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """How to reach the server, and the database under each of its names: for psql, and as the application's URL."""
    parts = _parsed(dsn, "way_back.dsn")
    live = conninfo.database_of(parts, name="way_back.dsn")
    scheme = str(way_back.get("url_scheme") or "postgresql")
    names = {
        "live": live,
        "fenced": derived_name(live, "golive", release),
        "failed": derived_name(live, "failed", release),
    }
    return {
        "server": conninfo.written(parts, maintenance_name(live, None)),
        **{
            kind: {
                "name": name,
                "dsn": conninfo.written(parts, name),
                "url": conninfo.url_of(parts, name, scheme),
            }
            for kind, name in names.items()
        },
        "environment": _environment(parts, str(way_back.get("migration_role") or "")),
        "standbys": [
            conninfo.written(_parsed(str(one), "way_back.standbys"), maintenance_name(live, None))
            for one in way_back.get("standbys") or []
        ],
    }


def _parsed(dsn: str, name: str) -> dict[str, str]:
    parts = conninfo.parsed(dsn, name=name)
    _refuse_control_characters(name, list(parts.values()))
    return parts


def _environment(parts: t.Mapping[str, str], role: str) -> dict[str, str]:
    """What of the DSN an application's URL does not carry, for the migration tool: variables of libpq."""
    options = postgres.libpq_options({"role": role} if role else {}, parts.get("options", ""))
    variables = {"PGOPTIONS": options} if options else {}
    for key, value in parts.items():
        variable = conninfo.VARIABLES[key]
        if variable is not None and key not in ("options", "dbname", "host", "hostaddr", "port", "user"):
            variables[variable] = value
    return variables


def _broker(url: str) -> dict[str, t.Any]:
    """Where the broker is. Raises BadInput for what redis-cli cannot be told, and for a password."""
    try:
        server = redis_client.parsed(url)
    except BadInput as problem:
        raise BadInput(f"way_back.broker: {problem.message}", remedy=problem.remedy)
    where = {"socket": server.socket_path} if server.socket_path else {"host": server.host, "port": server.port}
    return {**where, "db": server.db, "user": server.username, "tls": server.is_tls}
