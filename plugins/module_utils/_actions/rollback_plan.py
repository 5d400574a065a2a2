# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back, decided and written before the first change: as data for us, as stock commands for the night without us.

ROLLBACK.md needs a shell, psql, supervisorctl, curl and what the migration tool brings. It is written for any point at
which a run may have died: every block looks before it changes, and may be run again.
"""

from __future__ import annotations

import json
import shlex
import typing as t
from urllib.parse import urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import MARK_HEAD, derived_name
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

KINDS = ("image_only", "downgrade", "restore", "forward_only")
Plan = t.Dict[str, t.Any]


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

    ``way_back`` holds where things are: ``flags``, ``supervisor``, ``programs``, ``current``, ``releases_dir``, ``dsn``,
    ``url_scheme``, ``url_variable``, ``backup``, ``broker``, ``health``, ``ca_file``, ``snapshot_dir``.
    """
    deployed = services.get("deployed") or {}
    kind = str(migration.get("rollback_kind") or "image_only")
    if kind not in KINDS:
        raise BadInput(f"The migration's way back is {kind!r}, expected one of {', '.join(KINDS)}.")
    reason = str(migration.get("rollback_reason") or "no migration is pending, so the database stays as it is")
    pending = migration.get("pending") or []
    irreversible = [
        f"revision {one['revision']} ({one['title']}): {', '.join(one['reasons'])}"
        for one in pending
        if one["rollback"] != "reversible"
    ]
    dsn = str(way_back.get("dsn") or "")
    database = _database_name(dsn) if dsn else ""
    return {
        "release": release,
        "system": system,
        "version": version,
        "previous_version": deployed.get("version") or "",
        "database": kind,
        "reason": reason,
        "irreversible": irreversible,
        "revision": next(iter(migration.get("from") or []), None),
        "target_revision": migration.get("to"),
        "services": [
            {key: seen.get(key) for key in ("name", "state", "pid", "command_sha256") if seen.get(key) is not None}
            for seen in services.get("services") or []
        ],
        "digest": deployed.get("digest"),
        "files": services.get("files") or [],
        "database_name": database,
        "fenced_name": derived_name(database, "golive", release) if database else "",
        "where": dict(way_back),
    }


def _database_name(dsn: str) -> str:
    return urlsplit(dsn).path.lstrip("/")


def _sh(*commands: str) -> list[str]:
    return ["```sh", *commands, "```", ""]


def _server_dsn(dsn: str, database: str, scheme: str) -> str:
    parts = urlsplit(dsn)
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{parts.netloc}/{database}{query}"


def render(plan: Plan) -> str:
    """ROLLBACK.md: run its blocks from top to bottom, in one shell."""
    where = plan["where"]
    lines = [
        f"# ROLLBACK: {plan['system']} {plan['version']} → {plan['previous_version'] or 'what was there'}",
        "",
        f"Release `{plan['release']}`. Written before anything was changed, for the case that Ansible is not there.",
        "Run the blocks from top to bottom in one bash. Each looks before it changes, and may be run again.",
        f"The database goes back by **{plan['database'].replace('_', ' ')}**: {plan['reason']}.",
        "",
    ]
    lines += [f"- cannot be undone: {text}" for text in plan["irreversible"]] + ([""] if plan["irreversible"] else [])
    sections = [
        ("What you need", _preamble(plan, where)),
        ("Maintenance on", _maintenance_on(plan, where)),
        ("Stop the new version", _stop(where)),
        ("Database", _database(plan, where)),
        ("Code and files", _files(plan, where)),
        ("Waiting jobs", _jobs(plan, where)),
        ("Start the previous version", _start(where)),
        ("Maintenance off", _maintenance_off(where)),
        ("Look", _look(where)),
    ]
    number = 0
    for title, body in sections:
        if body:
            lines += [f"## {number}. {title}", "", *body]
            number += 1
    lines += [
        "Afterwards tell the record that it is over, or the next release will refuse to begin:",
        "",
        f"    ansible-playbook opsready.golive.abort -e @system.yml -e golive_takeover={plan['release']}",
        "",
    ]
    return "\n".join(lines)


def _preamble(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    commands = ["set -euo pipefail"]
    text = []
    if where.get("dsn"):
        text.append("- the password of the database user in `PGPASSWORD`")
        commands += [': "${PGPASSWORD:?the password of the database user}"', "export PGPASSWORD"]
        if where.get("pg_bindir"):
            commands.append(f'export PATH={shlex.quote(str(where["pg_bindir"]))}:"$PATH"')
        commands.append(f"server={shlex.quote(_server_dsn(str(where['dsn']), 'postgres', 'postgresql'))}")
    if where.get("broker"):
        text.append("- the password of the broker in `REDISCLI_AUTH`, where it has one")
    if plan["database"] == "restore" and where.get("backup"):
        text.append("- access to the backup in `BACKUP_ACCESS_KEY` and `BACKUP_SECRET_KEY`, where it lies in S3")
    if where.get("supervisor"):
        commands.append(
            f'ctl() {{ {where.get("supervisorctl") or "supervisorctl"} -s {shlex.quote(str(where["supervisor"]))} "$@"; }}'
        )
    return [*text, "", *_sh(*commands)] if text else _sh(*commands)


def _maintenance_on(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    # With the release's id: `abort` takes a flag of this release off, and leaves anybody else's on.
    content = json.dumps({"reason": "rollback by hand", "release": plan["release"]})
    flags = where.get("flags") or []
    return _sh(*[f"echo {shlex.quote(content)} > {shlex.quote(flag)}" for flag in flags]) if flags else []


def _stop(where: t.Mapping[str, t.Any]) -> list[str]:
    programs = where.get("programs") or {}
    order = [*programs.get("schedulers", []), *programs.get("workers", []), *programs.get("backend", [])]
    if not where.get("supervisor") or not order:
        return []
    text = "A program that is stopped already is said to be not running; that is fine."
    return [
        text,
        "",
        *_sh(
            *[
                f"ctl stop {shlex.quote(name)} || ctl status {shlex.quote(name)} | grep -E 'STOPPED|EXITED|FATAL'"
                for name in order
            ]
        ),
    ]


def _psql(sql: str, *, generated: bool = False) -> str:
    return f"psql \"$server\" -X -v ON_ERROR_STOP=1 -At <<'SQL'\n{sql}{chr(10) + chr(92) + 'gexec' if generated else ';'}\nSQL"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _rename_back(plan: Plan) -> str:
    fenced, live = _literal(plan["fenced_name"]), _literal(plan["database_name"])
    return _psql(
        f"SELECT format('ALTER DATABASE %I RENAME TO %I', {fenced}, {live})\n"
        f"WHERE EXISTS (SELECT FROM pg_database WHERE datname = {fenced})\n"
        f"AND NOT EXISTS (SELECT FROM pg_database WHERE datname = {live})",
        generated=True,
    )


def _properties_back(plan: Plan) -> str:
    """Who may connect, and the comment, as they were: what the fence took stands in the mark that is the comment now."""
    head = _literal(MARK_HEAD)
    return _psql(
        "WITH mark AS (\n"
        f"  SELECT datname, substr(shobj_description(oid, 'pg_database'), length({head}) + 1)::jsonb AS m\n"
        f"  FROM pg_database WHERE datname = {_literal(plan['database_name'])}\n"
        f"  AND starts_with(shobj_description(oid, 'pg_database'), {head} || '{{')\n"
        ")\n"
        "SELECT statement FROM (\n"
        "  SELECT 1 AS place, format('REVOKE CONNECT ON DATABASE %I FROM %I', datname, given->>'role') AS statement\n"
        "  FROM mark, jsonb_array_elements(m #> '{note,admission,granted}') given\n"
        "  UNION ALL\n"
        "  SELECT 2, format('GRANT CONNECT ON DATABASE %I TO %s%s', datname,\n"
        "    CASE WHEN taken->>'role' = 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(taken->>'role') END,\n"
        "    CASE WHEN (taken->>'grantable')::boolean THEN ' WITH GRANT OPTION' ELSE '' END)\n"
        "  FROM mark, jsonb_array_elements(m #> '{note,admission,revoked}') taken\n"
        "  UNION ALL\n"
        "  SELECT 3, format('COMMENT ON DATABASE %I IS %L', datname, m->>'comment') FROM mark\n"
        ") AS back ORDER BY place",
        generated=True,
    )


def _close(names: str) -> str:
    return _psql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({names}) AND pid <> pg_backend_pid()"
    )


def _database(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    if not plan["database_name"]:
        return []
    fenced, live = _literal(plan["fenced_name"]), _literal(plan["database_name"])
    both = f"{fenced}, {live}"
    present = f"SELECT datname FROM pg_database WHERE datname IN ({both}) ORDER BY datname <> {fenced} LIMIT 1"
    find = f'database=$(psql "$server" -X -At -c {shlex.quote(present)})'
    opened = _psql(
        f"SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database WHERE datname IN ({both})",
        generated=True,
    )
    if plan["database"] == "downgrade":
        change = _downgrade(plan, where)
        text = "The new code takes the migration back; the old code does not know the new revision."
    elif plan["database"] == "restore":
        return _restore(plan, where)
    else:
        change, text = [], "The schema stays; only the fenced name goes back."
    close = _close(both)
    return [text, "", *_sh(opened, close, find, *change, close, _rename_back(plan), _properties_back(plan))]


def _downgrade(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    command = " ".join(shlex.quote(str(word)) for word in where.get("migration_command") or ["alembic"])
    variable = where.get("url_variable") or "DATABASE_URL"
    url = _server_dsn(str(where["dsn"]), "@DATABASE@", str(where.get("url_scheme") or "postgresql"))
    before, after = url.split("@DATABASE@")
    environment = "".join(
        f"{name}={shlex.quote(str(value))} " for name, value in sorted(dict(where.get("environment") or {}).items())
    )
    if where.get("migration_role"):
        environment += f"PGOPTIONS={shlex.quote('-c role=' + str(where['migration_role']))} "
    directory = shlex.quote(str(where["migration_directory"]))
    url_word = f'{shlex.quote(before)}"$database"{shlex.quote(after) if after else ""}'
    revision = shlex.quote(str(plan["revision"] or "base"))
    return [f"(cd {directory} && {environment}{variable}={url_word} {command} downgrade {revision})"]


def _restore(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    backup = where.get("backup") or {}
    archive = str(backup.get("archive") or "")
    live, fenced = plan["database_name"], plan["fenced_name"]
    failed = derived_name(live, "failed", plan["release"])
    both = f"{_literal(fenced)}, {_literal(live)}"
    back = [_close(both), _rename_back(plan), _properties_back(plan)]
    if not archive:
        text = "No backup was made yet when this was written, so nothing was migrated: only the fenced name goes back."
        return [text, "", *_sh(*back)]
    fetched = f"{plan['release']}.dump"
    set_aside = _psql(
        f"SELECT format('ALTER DATABASE %I RENAME TO %I', datname, {_literal(failed)}) FROM pg_database\n"
        f"WHERE datname IN ({both}) AND NOT EXISTS (SELECT FROM pg_database WHERE datname = {_literal(failed)})\n"
        f"ORDER BY datname <> {_literal(fenced)} LIMIT 1",
        generated=True,
    )
    opened = _psql(
        f"SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database WHERE datname IN ({both}, {_literal(failed)})",
        generated=True,
    )
    # The archive knows the database by its fenced name, and brings grants, limits, settings and comment along.
    restored = (
        f"pg_restore --create --exit-on-error --no-password -d {shlex.quote(_server_dsn(str(where['dsn']), 'postgres', 'postgresql'))} "
        f"{shlex.quote(fetched)}"
    )
    given_out = (
        "SELECT format('SELECT setval(to_regclass(%L), greatest(%s, pg_sequence_last_value(to_regclass(%L))));', name, last_value, name) "
        "FROM (SELECT format('%I.%I', schemaname, sequencename) AS name, last_value, increment_by FROM pg_sequences) AS s "
        "WHERE last_value IS NOT NULL AND increment_by > 0"
    )
    advance = (
        f"psql {shlex.quote(_server_dsn(str(where['dsn']), failed, 'postgresql'))} -X -v ON_ERROR_STOP=1 -At -c {shlex.quote(given_out)} \\\n"
        f"  | psql {shlex.quote(_server_dsn(str(where['dsn']), fenced, 'postgresql'))} -X -v ON_ERROR_STOP=1 -Atq -o /dev/null"
    )
    closed = _psql(
        f"SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false', datname) FROM pg_database WHERE datname = {_literal(failed)}",
        generated=True,
    )
    return [
        "What was written since the backup is lost; while the fence held, nothing was. The failed database is kept as",
        f"`{failed}`, the backup is restored beside it, no number is given out twice, and the names are swapped. Where the",
        "migration had not begun, only the last block is needed.",
        "",
        *_sh(_fetch(backup, archive, fetched), opened, _close(both), set_aside),
        "Should the next block fail half-way, drop what it made, and run it again:",
        f'`psql "$server" -X -c \'DROP DATABASE IF EXISTS "{fenced}"\'`.',
        "",
        *_sh(restored),
        *_sh(advance, closed),
        *_sh(*back),
    ]


def _fetch(backup: t.Mapping[str, t.Any], archive: str, fetched: str) -> str:
    place = urlsplit(archive)
    if place.scheme == "file":
        return f"cp {shlex.quote(place.path)} {shlex.quote(fetched)}"
    endpoint = str(backup.get("endpoint_url") or "https://s3.amazonaws.com").rstrip("/")
    region = backup.get("region") or "us-east-1"
    user = 'printf \'user = "%s:%s"\\n\' "$BACKUP_ACCESS_KEY" "$BACKUP_SECRET_KEY"'
    get = f"curl -fsS --config - --aws-sigv4 {shlex.quote(f'aws:amz:{region}:s3')} -o {shlex.quote(fetched)}"
    return f"{user} | {get} {shlex.quote(f'{endpoint}/{place.netloc}{place.path}')}"


def _files(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    commands = []
    current, previous = where.get("current"), plan["previous_version"]
    if current and previous:
        old = f"{where['releases_dir']}/{previous}"
        commands.append(
            f"ln -sfn {shlex.quote(old)} {shlex.quote(str(current))}.golive && mv -T {shlex.quote(str(current))}.golive {shlex.quote(str(current))}"
        )
    for entry in plan["files"]:
        path = shlex.quote(entry["path"])
        if entry["kind"] == "file":
            kept = shlex.quote(f"{where['snapshot_dir']}/{entry['copy']}")
            commands.append(f"cp -p {kept} {path}")
        elif entry["kind"] == "link":
            commands.append(f"ln -sfn {shlex.quote(entry['target'])} {path}")
        else:
            commands.append(f"rm -f {path}")
    return _sh(*commands) if commands else []


def _jobs(plan: Plan, where: t.Mapping[str, t.Any]) -> list[str]:
    broker, queues = where.get("broker"), where.get("queues") or []
    if not broker or not queues:
        return []
    text = "Jobs that the release put aside go back to the end of their queue from which they are taken next."
    commands = []
    for queue in queues:
        parked = f"opsready:{plan['system']}:parked:{plan['release']}:{queue}"
        moved = f"LMOVE {shlex.quote(parked)} {shlex.quote(queue)} LEFT RIGHT"
        client = f"redis-cli -u {shlex.quote(str(broker))} --no-auth-warning"
        commands.append(f'while [ -n "$({client} {moved})" ]; do :; done')
    return [text, "", *_sh(*commands)]


def _start(where: t.Mapping[str, t.Any]) -> list[str]:
    programs = where.get("programs") or {}
    if not where.get("supervisor"):
        return []
    commands = [f"ctl start {shlex.quote(name)}" for name in programs.get("backend", [])]
    ca = f"--cacert {shlex.quote(str(where['ca_file']))} " if where.get("ca_file") else ""
    for url in where.get("health") or []:
        commands.append(
            f"timeout 60 sh -c {shlex.quote(f'until curl -fs {ca}-o /dev/null {shlex.quote(url)}; do sleep 0.5; done')}"
        )
    commands += [
        f"ctl start {shlex.quote(name)}" for name in [*programs.get("workers", []), *programs.get("schedulers", [])]
    ]
    return _sh(*commands)


def _maintenance_off(where: t.Mapping[str, t.Any]) -> list[str]:
    flags = where.get("flags") or []
    return _sh(*[f"rm -f {shlex.quote(flag)}" for flag in flags]) if flags else []


def _look(where: t.Mapping[str, t.Any]) -> list[str]:
    url = where.get("user_path")
    if not url:
        return []
    ca = f"--cacert {shlex.quote(str(where['ca_file']))} " if where.get("ca_file") else ""
    return _sh(f"curl -fsS {ca}{shlex.quote(str(url))}")
