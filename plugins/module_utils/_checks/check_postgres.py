# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a PostgreSQL database: is it the right one, healthy, replicated, at the right revision, and who else is in it?"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fnmatch
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import (
    postgres_statements,
    postgres_vacuum,
    shared_login,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core import versions
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import (
    POSTGRES,
    Constraints,
    Spec,
    compose,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_postgres"

_WANTED = {"type": "str", "choices": ["required", "any"], "default": "any"}
_REFUSED = {"type": "str", "choices": ["refused", "any"], "default": "any"}

ARGUMENT_SPEC: Spec = compose(
    POSTGRES,
    {
        "min_version": {"type": "str"},
        "recovery": {"type": "str", "choices": ["primary", "standby", "any"], "default": "primary"},
        "ssl": _WANTED,
        "superuser": _REFUSED,
        "max_connections_share": {"type": "float", "default": 0.8},
        "pools": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "size": {"type": "int", "required": True},
                "instances": {"type": "int", "default": 1},
            },
        },
        "max_wraparound_share": {"type": "float", "default": 0.5},
        "max_freeze_age_share": {"type": "float"},
        "max_horizon_age": {"type": "int"},
        "max_prepared_age": {"type": "float"},
        "max_transaction_age": {"type": "float"},
        "max_idle_in_transaction": {"type": "int"},
        "min_replicas": {"type": "int"},
        "min_sync_replicas": {"type": "int"},
        "max_lag_bytes": {"type": "int"},
        "max_lag_seconds": {"type": "float"},
        "slots": {"type": "str", "choices": ["healthy", "any"], "default": "any"},
        "max_slot_bytes": {"type": "int"},
        "min_safe_wal_bytes": {"type": "int"},
        "archiver": _WANTED,
        "max_archive_age": {"type": "float"},
        "checksums": _WANTED,
        "invalid_indexes": _REFUSED,
        "unindexed_foreign_keys": _REFUSED,
        "max_sequence_share": {"type": "float"},
        "pending_restart": _REFUSED,
        "extensions": {
            "type": "list",
            "elements": "dict",
            "options": {"name": {"type": "str", "required": True}, "min_version": {"type": "str"}},
        },
        "extension_versions": {"type": "str", "choices": ["current", "any"], "default": "any"},
        "encoding": {"type": "str"},
        "collation_versions": {"type": "str", "choices": ["current", "any"], "default": "any"},
        "settings": {"type": "dict"},
        "schema_revision": {
            "type": "dict",
            "options": {
                "table": {"type": "str", "default": "alembic_version"},
                "schema": {"type": "str", "default": "public"},
                "expected": {"type": "str", "required": True},
            },
        },
        "queries": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "sql": {"type": "str", "required": True},
                "value": {"type": "str"},
                "at_least": {"type": "float"},
                "at_most": {"type": "float"},
            },
        },
        "statements": {
            "type": "dict",
            "options": {
                "max_mean_ms": {"type": "float", "required": True},
                "min_calls": {"type": "int", "default": 10},
                "top": {"type": "int", "default": 10},
            },
        },
        "sessions": {
            "type": "dict",
            "options": {
                "allowed_users": {"type": "list", "elements": "str", "default": []},
                "allowed_applications": {"type": "list", "elements": "str", "default": []},
            },
        },
        "canary": {"type": "bool", "default": False},
    },
)
CONSTRAINTS: Constraints = {}

#: What is asked, by topic, each on its own, so that a missing right hides nothing else. To a role without pg_monitor
#: other sessions show no backend_type: they are counted as sessions, and what they do is not guessed.
_SQL: dict[str, str] = {
    **postgres_vacuum.SQL,
    "server": """
        SELECT current_setting('server_version_num')::int AS version_number,
               current_setting('server_version') AS version,
               pg_is_in_recovery() AS in_recovery,
               current_database() AS database, current_user AS username,
               (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
               pg_encoding_to_char(encoding) AS encoding,
               pg_database_size(current_database()) AS size_bytes,
               COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS ssl,
               (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS ssl_version,
               current_setting('data_checksums') = 'on' AS checksums
        FROM pg_database WHERE datname = current_database()""",
    "connections": """
        SELECT seen.used, seen.idle_in_transaction,
               current_setting('max_connections')::int AS max_connections,
               current_setting('superuser_reserved_connections')::int
               + COALESCE(current_setting('reserved_connections', true)::int, 0) AS reserved
        FROM (SELECT count(*) AS used,
                     CASE WHEN count(*) = count(backend_type)
                          THEN count(*) FILTER (WHERE state LIKE 'idle in transaction%') END AS idle_in_transaction
              FROM pg_stat_activity
              WHERE usesysid IS NOT NULL AND COALESCE(backend_type, 'client backend') = 'client backend') AS seen""",
    "oldest": """
        SELECT CASE WHEN count(*) = count(backend_type)
                    THEN COALESCE(max(EXTRACT(EPOCH FROM clock_timestamp() - xact_start)), 0) END::float8 AS seconds
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid()
          AND usesysid IS NOT NULL AND COALESCE(backend_type, 'client backend') = 'client backend'""",
    "replicas": """
        SELECT application_name, host(client_addr) AS address, state, sync_state,
               pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                                    ELSE pg_current_wal_lsn() END, replay_lsn)::bigint AS lag_bytes,
               EXTRACT(EPOCH FROM replay_lag)::float8 AS lag_seconds
        FROM pg_stat_replication""",
    "standby": """
        SELECT (SELECT status FROM pg_stat_wal_receiver) AS receiver,
               pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS lag_bytes,
               CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                    ELSE EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())
               END::float8 AS lag_seconds
        WHERE pg_is_in_recovery()""",
    "slots": """
        SELECT slot_name AS name, slot_type AS kind, active, wal_status, safe_wal_size,
               pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                                    ELSE pg_current_wal_lsn() END, restart_lsn)::bigint AS retained_bytes
        FROM pg_replication_slots""",
    "archiver": """
        SELECT current_setting('archive_mode') AS mode, archived_count, failed_count,
               EXTRACT(EPOCH FROM clock_timestamp() - last_archived_time)::float8 AS archived_age,
               COALESCE(last_failed_time > COALESCE(last_archived_time, '-infinity'), false) AS is_failing
        FROM pg_stat_archiver""",
    "checksum_failures": "SELECT COALESCE(sum(checksum_failures), 0)::bigint AS failures FROM pg_stat_database",
    "invalid_indexes": """
        SELECT indexrelid::regclass::text AS name FROM pg_index
        WHERE NOT indisvalid
          AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = pg_index.indexrelid)
        ORDER BY 1""",
    "unindexed_foreign_keys": """
        SELECT conrelid::regclass::text || '.' || conname AS name FROM pg_constraint c
        WHERE contype = 'f' AND NOT EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
              AND (i.indkey::int2[])[0:array_length(c.conkey, 1) - 1] @> c.conkey)
        ORDER BY 1""",
    "sequences": """
        SELECT schemaname || '.' || sequencename AS name,
               CASE WHEN increment_by > 0 THEN last_value::float8 / max_value ELSE last_value::float8 / min_value END AS share
        FROM pg_sequences WHERE last_value IS NOT NULL AND NOT cycle ORDER BY 2 DESC LIMIT 10""",
    # To who may not read a sequence pg_sequences shows no last_value, as if it had never been used.
    "unreadable_sequences": """
        SELECT nspname || '.' || relname AS name, quote_ident(nspname) AS schema
        FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid JOIN pg_namespace n ON n.oid = relnamespace
        WHERE NOT seqcycle AND NOT pg_is_other_temp_schema(n.oid) AND NOT has_sequence_privilege(seqrelid, 'USAGE, SELECT')
        ORDER BY 1""",
    "all_settings": "SELECT pg_has_role('pg_read_all_settings', 'usage') AS are_seen",
    "pending_restart": "SELECT name FROM pg_settings WHERE pending_restart ORDER BY name",
    "extensions": """
        SELECT extname AS name, extversion AS version, default_version
        FROM pg_extension LEFT JOIN pg_available_extensions ON name = extname ORDER BY 1""",
    "collations": """
        SELECT collation_name AS name FROM (
            SELECT datname::text AS collation_name FROM pg_database
            WHERE datname = current_database() AND datcollversion IS NOT NULL
              AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)
            UNION ALL
            SELECT collname::text FROM pg_collation
            WHERE collversion IS NOT NULL AND collversion IS DISTINCT FROM pg_collation_actual_version(oid)) AS stale
        ORDER BY 1""",
    "sessions": """
        SELECT usename::text AS username, application_name AS application,
               COALESCE(host(client_addr), 'local') AS address, state, count(*) AS sessions
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND usesysid IS NOT NULL AND COALESCE(backend_type, 'client backend') = 'client backend'
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one query of the user gave: its first column, or why there is none."""

    name: str
    value: t.Any
    problem: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen: rows by topic, and by topic why there are none. Sizes in bytes, ages in seconds."""

    server: dict[str, t.Any]
    rows: dict[str, list[dict[str, t.Any]]]
    unread: dict[str, str]
    settings: dict[str, str | None]
    revisions: list[str] | None
    answers: tuple[Answer, ...]
    canary: str | None


def topics(params: t.Mapping[str, t.Any]) -> list[str]:
    """What has to be asked for these options. Pure."""
    asked = {
        "connections": True,
        "wraparound": params["recovery"] != "standby" or params["max_freeze_age_share"] is not None,
        "horizon": params["max_horizon_age"] is not None,
        "oldest": params["max_transaction_age"] is not None,
        "replicas": any(params[name] is not None for name in ("min_replicas", "min_sync_replicas"))
        or _wants_lag(params),
        "standby": params["recovery"] == "standby" or _wants_lag(params),
        "slots": _wants_slots(params),
        "archiver": params["archiver"] != "any" or params["max_archive_age"] is not None,
        "checksum_failures": params["checksums"] != "any",
        "invalid_indexes": params["invalid_indexes"] != "any",
        "unindexed_foreign_keys": params["unindexed_foreign_keys"] != "any",
        "sequences": params["max_sequence_share"] is not None,
        "unreadable_sequences": params["max_sequence_share"] is not None,
        "pending_restart": params["pending_restart"] != "any",
        "all_settings": params["pending_restart"] != "any",
        "extensions": bool(params["extensions"]) or params["extension_versions"] != "any",
        "collations": params["collation_versions"] != "any",
        "sessions": params["sessions"] is not None,
        "prepared": params["sessions"] is not None or params["max_prepared_age"] is not None,
        "statements": params["statements"] is not None,
    }
    return [topic for topic, is_asked in asked.items() if is_asked]


def _wants_lag(params: t.Mapping[str, t.Any]) -> bool:
    return params["max_lag_bytes"] is not None or params["max_lag_seconds"] is not None


def _wants_slots(params: t.Mapping[str, t.Any]) -> bool:
    return params["slots"] != "any" or any(
        params[name] is not None for name in ("max_slot_bytes", "min_safe_wal_bytes")
    )


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask read only, each topic on its own, over a connection that the items on one database share."""
    for option in ("pools", "extensions", "queries", "settings"):
        if params[option] is not None and not params[option]:
            raise BadInput(f"{option} is empty: nothing would be judged.")
    for option in ("max_freeze_age_share", "max_horizon_age", "max_prepared_age", "min_safe_wal_bytes"):
        if params[option] is not None and params[option] < 0:
            raise BadInput(f"{option} is {params[option]:g}, expected 0 or more.")
    versions.require_version(params["min_version"], option="min_version")
    for extension in params["extensions"] or []:
        versions.require_version(extension["min_version"], option=f"min_version of extension {extension['name']}")
    for query in params["queries"] or []:
        if all(query[name] is None for name in ("value", "at_least", "at_most")):
            raise BadInput(f"The query {query['name']} expects nothing: give value, at_least or at_most.")
    dsn, password = params["dsn"], params["password"]
    with shared_login.lender(dsn, password=password, run=run).lent(deadline=run.deadline) as connection:
        connection.read_only = True
        return _gathered(_Reader(connection, run, shared_login.target(dsn, password)), params, run)


def _gathered(reader: _Reader, params: t.Mapping[str, t.Any], run: Run) -> Facts:
    server = reader.topic("server", _SQL["server"])
    if not server:
        raise UnexpectedAnswer("PostgreSQL does not tell which database this is.")
    rows: dict[str, list[dict[str, t.Any]]] = {}
    unread: dict[str, str] = {}
    for topic in topics(params):
        try:
            if topic == "statements":
                rows[topic] = [
                    {**row, "query": postgres_statements.shown(row["query"])}
                    for row in reader.rows(topic, _statements_sql(server[0], params["statements"]))
                ]
            else:
                rows[topic] = reader.topic(topic, _SQL[topic])
        except TimedOut:
            raise
        except GoliveError as problem:
            unread[topic] = problem.message
    revision = params["schema_revision"]
    return Facts(
        server=server[0],
        rows=rows,
        unread=unread,
        settings=reader.settings(params["settings"] or {}),
        revisions=reader.revisions(revision["schema"], revision["table"]) if revision else None,
        answers=tuple(reader.answer(query) for query in params["queries"] or []),
        canary=_canary(reader, run) if params["canary"] and not run.check_mode else None,
    )


class _Reader:
    """Questions to one connection, with answers in plain types."""

    def __init__(self, connection: t.Any, run: Run, target: tuple[t.Any, ...]) -> None:
        self.connection = connection
        self.run = run
        self._target = target

    def topic(self, topic: str, sql: str) -> list[dict[str, t.Any]]:
        """What the server tells of a topic, asked once for all items on it."""
        return self.run.once((*self._target, topic), lambda: self.rows(topic, sql))

    def rows(
        self, topic: str, sql: t.Any, parameters: t.Any = None, *, is_foreign: bool = False
    ) -> list[dict[str, t.Any]]:
        """Rows of one query in a read-only transaction of its own. ``is_foreign`` says that we did not write it."""
        reading = postgres.translated(f"Reading {topic.replace('_', ' ')}", deadline=self.run.deadline)
        with reading, self.connection.transaction():
            postgres.limit(self.connection, self.run.deadline)
            # Binary answers take the extended protocol, where "SELECT 1; COMMIT; DELETE …" is refused as two commands.
            cursor = self.connection.execute(sql, parameters, binary=is_foreign)
            if cursor.description is None:
                return []
            names = [column.name for column in cursor.description]
            return [{name: _plain(value) for name, value in zip(names, row)} for row in cursor.fetchall()]

    def settings(self, wanted: t.Mapping[str, t.Any]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for name in wanted:
            row = self.rows("settings", "SELECT current_setting(%s, true) AS value", [name])
            found[name] = row[0]["value"]
        return found

    def revisions(self, schema: str, table: str) -> list[str] | None:
        """The revisions in Alembic's table; None where the table is not there."""
        sql = require("psycopg").sql
        query = sql.SQL("SELECT version_num::text AS revision FROM {} ORDER BY 1").format(sql.Identifier(schema, table))
        there = self.rows(
            "schema revision", "SELECT to_regclass(format('%%I.%%I', %s::text, %s::text)) AS name", [schema, table]
        )
        if there[0]["name"] is None:
            return None
        return [str(row["revision"]) for row in self.rows("schema revision", query)]

    def answer(self, query: t.Mapping[str, t.Any]) -> Answer:
        try:
            found = self.rows(f"query {query['name']}", query["sql"], is_foreign=True)
        except GoliveError as problem:
            return Answer(query["name"], None, problem.message)
        if not found:
            return Answer(query["name"], None, "it returned no row")
        value = next(iter(found[0].values()))
        return Answer(query["name"], value, "it returned NULL" if value is None else "")


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.timedelta)):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _statements_sql(server: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> t.Any:
    """The slowest statements; the columns were renamed with PostgreSQL 13."""
    sql = require("psycopg").sql
    mean = "mean_exec_time" if server["version_number"] >= 130000 else "mean_time"
    return sql.SQL(
        "SELECT left(query, {read}) AS query, calls, {mean}::float8 AS mean_ms"
        " FROM pg_stat_statements WHERE calls >= {calls}"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " ORDER BY {mean} DESC LIMIT {top}"
    ).format(
        read=sql.Literal(postgres_statements.READ),
        mean=sql.Identifier(mean),
        calls=sql.Literal(wanted["min_calls"]),
        top=sql.Literal(wanted["top"]),
    )


def _canary(reader: _Reader, run: Run) -> str:
    """Write a row into a temporary table and roll back; what came of it."""
    connection = reader.connection
    connection.read_only = False
    try:
        writing = postgres.translated("Writing to a temporary table", deadline=run.deadline)
        with writing, connection.transaction(force_rollback=True):
            postgres.limit(connection, run.deadline)
            connection.execute("CREATE TEMPORARY TABLE opsready_canary (value int) ON COMMIT DROP")
            connection.execute("INSERT INTO opsready_canary VALUES (42)")
            row = connection.execute("SELECT value FROM opsready_canary").fetchone()
    except TimedOut:
        raise
    except (Denied, UnexpectedAnswer) as problem:
        return f"refused: {problem.message}"
    return "came back" if row == (42,) else "lost"


# ---------------------------------------------------------------------------------------------------------- judging


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Judge what was seen; pure."""
    yield from _judge_server(facts, params)
    yield from _judge_room(facts, params)
    yield from postgres_vacuum.judge(facts.rows, facts.unread, params)
    yield from _judge_replication(facts, params)
    yield from _judge_archiver(facts, params)
    yield from _judge_objects(facts, params)
    yield from _judge_content(facts, params)
    if params["sessions"] is not None:
        yield from _judge_sessions(facts, params["sessions"])
    if params["canary"]:
        if facts.canary is None:
            why = "canary was not run in check mode, since it writes to a temporary table"
            yield unknown("canary", why, left_out=True)
        else:
            yield holds(
                "canary",
                facts.canary == "came back",
                measured=facts.canary.rstrip("."),
                expected="came back",
                remedy="The database does not take writes: is it a standby, or is the role read only?",
            )


def _judge_server(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    server = facts.server
    if params["min_version"] is not None:
        yield holds(
            "version",
            versions.is_at_least(server["version"], params["min_version"]),
            measured=server["version"],
            expected=f"at least {params['min_version']}",
            remedy="Upgrade the server.",
        )
    if params["recovery"] != "any":
        role = "standby" if server["in_recovery"] else "primary"
        yield one_of("server", role, [params["recovery"]], remedy="Point dsn at the right server, or fail over.")
    if params["ssl"] == "required":
        yield holds(
            "encryption of the connection",
            server["ssl"],
            measured=server["ssl_version"] or "none",
            expected="TLS",
            remedy="Set ssl on the server and sslmode=verify-full in dsn.",
        )
    if params["superuser"] == "refused":
        yield holds(
            "role",
            None if server["is_superuser"] is None else not server["is_superuser"],
            measured=f"{server['username']} ({'superuser' if server['is_superuser'] else 'ordinary'})",
            expected="no superuser",
            remedy="Give the application a role of its own.",
        )
    if params["encoding"] is not None:
        yield one_of("encoding", server["encoding"], [params["encoding"]], remedy="Encoding is set by CREATE DATABASE.")
    if params["checksums"] == "required":
        yield one_of(
            "data checksums", server["checksums"], [True], remedy="pg_checksums --enable, while it is stopped."
        )
        failures = _first(facts, "checksum_failures")
        yield at_most(
            "checksum failures", failures.get("failures"), 0, remedy="Restore from a backup: pages are damaged."
        )


def _first(facts: Facts, topic: str) -> dict[str, t.Any]:
    rows = facts.rows.get(topic) or [{}]
    return rows[0]


def _topic_unread(facts: Facts, topic: str, name: str) -> Criterion:
    return postgres_vacuum.topic_unread(facts.unread, topic, name)


def _judge_room(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    connections = _first(facts, "connections")
    if not connections:
        yield _topic_unread(facts, "connections", "connections")
    else:
        usable = connections["max_connections"] - connections["reserved"]
        yield at_most(
            "share of usable connections",
            round(connections["used"] / usable, 4) if usable > 0 else 1.0,
            params["max_connections_share"],
            remedy=f"{connections['used']} of {usable} are in use: raise max_connections or pool them.",
        )
        if params["pools"]:
            planned = sum(pool["size"] * pool["instances"] for pool in params["pools"])
            yield at_most(
                "connections that the pools may open",
                planned,
                usable,
                remedy=f"max_connections {connections['max_connections']} less {connections['reserved']} reserved.",
            )
        if params["max_idle_in_transaction"] is not None:
            yield at_most(
                "sessions idle in transaction",
                connections["idle_in_transaction"],
                params["max_idle_in_transaction"],
                remedy="They hold locks and keep vacuum from its work: set idle_in_transaction_session_timeout.",
            )
    if params["max_transaction_age"] is not None:
        seconds = _first(facts, "oldest").get("seconds")
        yield at_most(
            "oldest transaction",
            None if seconds is None else round(seconds, 1),
            params["max_transaction_age"],
            unit="s",
            remedy="Find it in pg_stat_activity by xact_start.",
        )


def _judge_replication(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    in_recovery = facts.server["in_recovery"]
    replicas = facts.rows.get("replicas")
    if replicas is not None and any(row["state"] is None for row in replicas):
        replicas = None  # they are there, but this role may not see how they are
    streaming = None if replicas is None else [row for row in replicas if row["state"] == "streaming"]
    if params["min_replicas"] is not None:
        yield at_least(
            "streaming replicas",
            None if streaming is None else len(streaming),
            params["min_replicas"],
            remedy="Start the missing standbys; pg_stat_replication lists those that are connected.",
        )
    if params["min_sync_replicas"] is not None:
        synchronous = None if streaming is None else [r for r in streaming if r["sync_state"] in ("sync", "quorum")]
        yield at_least(
            "synchronous replicas",
            None if synchronous is None else len(synchronous),
            params["min_sync_replicas"],
            remedy="Name the replica in synchronous_standby_names, and look why it does not stream: select * from pg_stat_replication.",
        )
    if in_recovery and "standby" in facts.rows:
        yield one_of(
            "WAL receiver", _first(facts, "standby").get("receiver"), ["streaming"], remedy="Look at primary_conninfo."
        )
    for option, column, unit in (("max_lag_bytes", "lag_bytes", "bytes"), ("max_lag_seconds", "lag_seconds", "s")):
        if params[option] is not None:
            yield _judge_lag(facts, params, column, unit, params[option])
    yield from _judge_slots(facts, params)


def _judge_lag(facts: Facts, params: t.Mapping[str, t.Any], column: str, unit: str, bound: float) -> Criterion:
    name = f"replication lag in {unit if unit == 'bytes' else 'seconds'}"
    if facts.server["in_recovery"]:
        return at_most(
            name,
            _first(facts, "standby").get(column),
            bound,
            unit=unit,
            remedy="Look at what the standby waits for: pg_stat_wal_receiver, and a long query that holds replay back (pg_stat_activity).",
        )
    replicas = facts.rows.get("replicas")
    if not replicas:
        return unknown(
            name,
            f"{name} is unknown: no replica is connected",
            remedy="Start the replica, and look at its log: select * from pg_stat_replication on the primary shows it once it streams.",
        )
    # replay_lag is empty while a replica is idle and has caught up.
    lags = [0 if row[column] is None and row["lag_bytes"] == 0 else row[column] for row in replicas]
    known = [lag for lag in lags if lag is not None]
    if len(known) < len(lags):
        return unknown(name, f"{name} is unknown for {len(lags) - len(known)} of {len(lags)} replicas")
    return at_most(name, max(known), bound, unit=unit, remedy="Look at the slowest replica's disk and network.")


def _judge_slots(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if not _wants_slots(params):
        return
    slots = facts.rows.get("slots")
    if slots is None:
        yield _topic_unread(facts, "slots", "replication slots")
        return
    if params["slots"] == "healthy":
        bad = [f"{slot['name']} {_ailment(slot)}" for slot in slots if _ailment(slot)]
        yield holds(
            "replication slots",
            not bad,
            measured=", ".join(bad) or f"{len(slots)} healthy",
            expected="healthy",
            remedy="An abandoned slot keeps WAL until the disk is full: pg_drop_replication_slot. What read a slot that is lost "
            "is to be set up anew.",
        )
    if params["max_slot_bytes"] is not None:
        retained = max((slot["retained_bytes"] or 0 for slot in slots), default=0)
        yield at_most(
            "WAL kept for the slowest slot",
            retained,
            params["max_slot_bytes"],
            unit="bytes",
            remedy="Look at pg_replication_slots: bring back who reads the slot, or drop it with pg_drop_replication_slot where nobody will.",
        )
    if params["min_safe_wal_bytes"] is not None:
        yield _judge_safe_wal(slots, params["min_safe_wal_bytes"])


def _ailment(slot: t.Mapping[str, t.Any]) -> str:
    """What is wrong with a slot, empty where nothing is."""
    if slot["wal_status"] in ("lost", "unreserved"):
        return str(slot["wal_status"])
    return "" if slot["active"] else "inactive"


def _judge_safe_wal(slots: t.Sequence[t.Mapping[str, t.Any]], bound: int) -> Criterion:
    """A slot without a safe_wal_size is lost, keeps no WAL, or is on a server that keeps WAL without a limit."""
    name = "WAL that may be written before a slot is lost"
    room = {slot["name"]: slot["safe_wal_size"] for slot in slots if slot["safe_wal_size"] is not None}
    room.update({slot["name"]: 0 for slot in slots if slot["wal_status"] == "lost"})
    if not room:
        return holds(name, True, measured="no limit", expected=f"at least {bound} bytes")
    nearest = min(room, key=lambda slot: (room[slot], slot))
    remedy = "Start what reads it, or raise max_slot_wal_keep_size."
    return at_least(f"{name} ({nearest})", max(0, room[nearest]), bound, unit="bytes", remedy=remedy)


def _judge_archiver(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["archiver"] == "any" and params["max_archive_age"] is None:
        return
    archiver = _first(facts, "archiver")
    if not archiver:
        yield _topic_unread(facts, "archiver", "archiver")
        return
    if params["archiver"] == "required":
        yield one_of(
            "archive_mode", archiver["mode"], ["on", "always"], remedy="Point-in-time recovery needs archive_mode."
        )
        yield holds(
            "archiver",
            not archiver["is_failing"],
            measured=f"failing, {archiver['failed_count']} times" if archiver["is_failing"] else "working",
            expected="working",
            remedy="Look at archive_command in the server's log.",
        )
    if params["max_archive_age"] is not None:
        yield at_most(
            "age of the last archived WAL",
            archiver["archived_age"],
            params["max_archive_age"],
            unit="s",
            remedy="Look at archive_command and the server's log: select * from pg_stat_archiver names the last failure.",
        )


def _names(facts: Facts, topic: str, name: str, *, remedy: str, level: str = "fail") -> Criterion:
    rows = facts.rows.get(topic)
    if rows is None:
        return _topic_unread(facts, topic, name)
    found = [str(row["name"]) for row in rows]
    shown = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
    return holds(name, not found, measured=shown or "none", expected="none", remedy=remedy, level=level)


def _judge_objects(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["invalid_indexes"] == "refused":
        yield _names(facts, "invalid_indexes", "invalid indexes", remedy="REINDEX INDEX CONCURRENTLY, or drop them.")
    if params["unindexed_foreign_keys"] == "refused":
        remedy = "Create an index on the referencing columns."
        yield _names(facts, "unindexed_foreign_keys", "foreign keys without an index", remedy=remedy, level="warn")
    if params["pending_restart"] == "refused":
        yield _judge_pending(facts)
    if params["collation_versions"] == "current":
        remedy = "REINDEX what sorts by it, then ALTER DATABASE or COLLATION … REFRESH VERSION."
        yield _names(facts, "collations", "collations of another version", remedy=remedy)
    if params["max_sequence_share"] is not None:
        yield from _judge_sequences(facts, params["max_sequence_share"])
    extensions = params["extensions"] or []
    for label, wanted in zip(told_apart(extension["name"] for extension in extensions), extensions):
        yield _judge_extension(facts, f"extension {label}", wanted)
    if params["extension_versions"] == "current":
        yield _judge_extension_versions(facts)


def _judge_pending(facts: Facts) -> Criterion:
    """Settings for superusers only are hidden from other roles, so that none is found does not say that there is none."""
    name = "settings that wait for a restart"
    if (
        facts.rows.get("pending_restart")
        or "pending_restart" in facts.unread
        or _first(facts, "all_settings").get("are_seen")
    ):
        return _names(facts, "pending_restart", name, remedy="Restart the server.")
    if "all_settings" in facts.unread:
        return _topic_unread(facts, "all_settings", name)
    return unknown(
        name,
        f"{name} are unknown: some settings are hidden from {facts.server['username']}",
        remedy="GRANT pg_read_all_settings to it; pg_monitor includes it.",
    )


def _judge_sequences(facts: Facts, highest: float) -> t.Iterator[Criterion]:
    sequences, unreadable = facts.rows.get("sequences"), facts.rows.get("unreadable_sequences")
    if sequences is None:
        yield _topic_unread(facts, "sequences", "sequences")
        return
    if sequences or not unreadable:
        fullest: dict[str, t.Any] = sequences[0] if sequences else {"name": "none", "share": 0.0}
        yield at_most(
            f"share of the fullest sequence ({fullest['name']})",
            round(fullest["share"], 4),
            highest,
            remedy="Change the column and its sequence to bigint.",
        )
    if unreadable is None:
        yield _topic_unread(facts, "unreadable_sequences", "right to read the sequences")
    elif unreadable:
        names = [str(row["name"]) for row in unreadable]
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        schemas = ", ".join(dict.fromkeys(str(row["schema"]) for row in unreadable))
        yield unknown(
            "sequences that may not be read",
            f"the share of {len(names)} sequences is unknown: {facts.server['username']} may not read {shown}",
            remedy=f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} to it, which pg_monitor does not include.",
        )


def _judge_extension(facts: Facts, name: str, wanted: t.Mapping[str, t.Any]) -> Criterion:
    rows = facts.rows.get("extensions")
    if rows is None:
        return _topic_unread(facts, "extensions", name)
    version = next((str(row["version"]) for row in rows if row["name"] == wanted["name"]), None)
    lowest = wanted["min_version"]
    expected = f"at least {lowest}" if lowest else "installed"
    holds_true = version is not None and (lowest is None or versions.is_at_least(version, lowest))
    remedy = f"CREATE EXTENSION or ALTER EXTENSION {wanted['name']} UPDATE."
    return holds(name, holds_true, measured=version or "not installed", expected=expected, remedy=remedy)


def _judge_extension_versions(facts: Facts) -> Criterion:
    """An extension stays at the version it was created in until somebody updates it, whatever package is installed."""
    rows = facts.rows.get("extensions")
    if rows is None:
        return _topic_unread(facts, "extensions", "versions of extensions")
    told = []
    for row in rows:
        version, newest = row["version"], row["default_version"]
        if newest is None:
            told.append(f"{row['name']} {version} without its files on the server")
        elif version != newest and not versions.is_at_least(version, newest):
            told.append(f"{row['name']} {version} where {newest} is installed on the server")
    return holds(
        "versions of extensions",
        not told,
        measured=", ".join(told) or "current",
        expected="current",
        remedy="ALTER EXTENSION … UPDATE, or install the package of the extension.",
    )


def _judge_content(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    for name, expected in (params["settings"] or {}).items():
        wanted = (
            {True: "on", False: "off"}.get(expected, str(expected)) if isinstance(expected, bool) else str(expected)
        )
        yield one_of(f"setting {name}", facts.settings.get(name), [wanted], remedy=f"ALTER SYSTEM SET {name}.")
    revision = params["schema_revision"]
    if revision is not None:
        found = facts.revisions
        where = f"{revision['schema']}.{revision['table']}"
        yield holds(
            "schema revision",
            found == [revision["expected"]],
            measured=f"no table {where}" if found is None else ", ".join(found) or "none",
            expected=revision["expected"],
            remedy="Several revisions are several heads: merge them."
            if found and len(found) > 1
            else "Run the migration.",
        )
    queries = params["queries"] or []
    labels = told_apart(query["name"] for query in queries)
    for label, answer, query in zip(labels, facts.answers, queries):
        yield from _judge_answer(f"query {label}", answer, query)
    if params["statements"] is not None:
        yield _judge_statements(facts, params["statements"])


def _judge_answer(name: str, answer: Answer, query: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if answer.problem:
        yield unknown(name, f"{name} has no answer: {answer.problem.rstrip('.')}")
        return
    if query["value"] is not None:
        given = {True: "true", False: "false"}[answer.value] if isinstance(answer.value, bool) else str(answer.value)
        yield one_of(name, given, [query["value"]])
    number = answer.value if isinstance(answer.value, (int, float)) else _number(answer.value)
    is_alone = sum(query[option] is not None for option in ("value", "at_least", "at_most")) == 1
    if query["at_least"] is not None:
        yield at_least(name if is_alone else f"{name} (lower bound)", number, query["at_least"])
    if query["at_most"] is not None:
        yield at_most(name if is_alone else f"{name} (upper bound)", number, query["at_most"])


def _number(value: t.Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _judge_statements(facts: Facts, wanted: t.Mapping[str, t.Any]) -> Criterion:
    rows = facts.rows.get("statements")
    if rows is None:
        why = facts.unread.get("statements", "the server did not say").rstrip(".")
        remedy = "CREATE EXTENSION pg_stat_statements, and name it in shared_preload_libraries."
        return unknown("slowest statement", f"slowest statement is unknown: {why}", remedy=remedy)
    if not rows:
        return unknown(
            "slowest statement", f"slowest statement is unknown: none was called {wanted['min_calls']} times"
        )
    return at_most(
        "mean time of the slowest statement",
        round(rows[0]["mean_ms"], 3),
        wanted["max_mean_ms"],
        unit="ms",
        remedy="The slowest are listed in the evidence.",
    )


def _judge_sessions(facts: Facts, allowed: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    sessions, prepared = facts.rows.get("sessions"), facts.rows.get("prepared")
    if sessions is None:
        yield _topic_unread(facts, "sessions", "foreign sessions")
    elif any(row["state"] is None for row in sessions):
        yield unknown(
            "foreign sessions",
            "foreign sessions are unknown: this role may not see what others do",
            remedy="GRANT pg_monitor to it.",
        )
    else:
        foreign = [row for row in sessions if not _is_allowed(row, allowed)]
        shown = [
            f"{row['sessions']} of {row['username']} ({row['application'] or 'no application name'}) from {row['address']}"
            for row in foreign
        ]
        yield holds(
            "foreign sessions",
            not foreign,
            measured="; ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "") or "none",
            expected="none",
            remedy="Ask their owners, or name them as allowed: they may write between backup and migration.",
        )
    if prepared is None:
        yield _topic_unread(facts, "prepared", "prepared transactions")
    else:
        here = [row for row in prepared if row["database"] == facts.server["database"]]
        yield holds(
            "prepared transactions",
            not here,
            measured=", ".join(f"{row['gid']} of {row['username']}" for row in here[:10]) or "none",
            expected="none",
            remedy="COMMIT PREPARED or ROLLBACK PREPARED: they hold locks and survive the end of their session.",
        )


def _is_allowed(row: t.Mapping[str, t.Any], allowed: t.Mapping[str, t.Any]) -> bool:
    application = str(row["application"] or "")
    return row["username"] in allowed["allowed_users"] or any(
        fnmatch.fnmatchcase(application, pattern) for pattern in ("opsready/*", *allowed["allowed_applications"])
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON."""
    seen = {topic: rows for topic, rows in facts.rows.items() if rows}
    answers = {answer.name: answer.value for answer in facts.answers}
    extra = {"settings": facts.settings, "revisions": facts.revisions, "queries": answers, "canary": facts.canary}
    return {"server": facts.server, **seen, "unread": facts.unread, **{k: v for k, v in extra.items() if v}}
