# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be lost by going back: rows written since a snapshot, per table, counted and not estimated.

A row's ``xmin`` says which transaction wrote it, and ``pg_visible_in_snapshot`` whether that one had ended when the
snapshot was taken; freezing does not change it. Deletes leave no row, so they come from arithmetic against the counts
taken with the snapshot. WAL positions and statistics counters were tried and mislead: the ones move by themselves, the
others miss commits of busy sessions and all updates.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import database_facts
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import TIMELINE, Cluster
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

if t.TYPE_CHECKING:
    import psycopg

#: A row's 32-bit xmin with the epoch it must belong to: never later than the next transaction id. Ids 1 and 2 are
#: bootstrap's and frozen's, visible to everybody.
_XID8 = (
    "case when {x} < 3 then '3'::pg_catalog.xid8 else"
    " (((({next} >> 32) - case when {x} > ({next} & 4294967295) then 1 else 0 end) << 32) | {x})"
    "::pg_catalog.text::pg_catalog.xid8 end"
)
_WRITTEN = _XID8.format(x="opsready_row.xmin::pg_catalog.text::pg_catalog.int8", next="upcoming")
_COUNT = """
select pg_catalog.count(*), pg_catalog.count(*) filter (where written),
       pg_catalog.count(*) filter (where written and own)
from (select not pg_catalog.pg_visible_in_snapshot({xid}, {snapshot}::pg_catalog.pg_snapshot) as written,
             ({ours}) as own
      from only {table} as opsready_row
      cross join (select pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
                         ::pg_catalog.text::pg_catalog.int8 as upcoming) as n) as judged
""".replace("{xid}", _WRITTEN)


def parse_snapshot(text: str) -> tuple[int, int]:
    """(xmin, xmax) of ``xmin:xmax:xip,…``. Raises BadInput."""
    match = re.fullmatch(r"(\d{1,19}):(\d{1,19}):(?:\d{1,19}(?:,\d{1,19})*)?", text)
    if match is None:
        raise BadInput(f"{text[:60]} is not a snapshot.", remedy="It is made by pg_current_snapshot().")
    return int(match.group(1)), int(match.group(2))


def baseline(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> dict[str, t.Any]:
    """Where the data stands now: snapshot, time, and rows per table, to be compared with later.

    The snapshot and the counts are one: taken in a single REPEATABLE READ transaction. It is durable: a crash of the server after
    this gives no transaction id of the snapshot to another one.
    """
    with postgres.translated("Taking a baseline", deadline=deadline), connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        row = connection.execute(
            "select pg_catalog.pg_current_snapshot()::text, pg_catalog.current_database(),"
            " (select system_identifier::text from pg_catalog.pg_control_system()),"
            " to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
            " pg_catalog.pg_is_in_recovery()"
        ).fetchone()
        snapshot, database, system, moment, recovering = t.cast("tuple[str, str, str, str, bool]", row)
        timeline = _timeline(connection, deadline)
        tables = database_facts.contents(connection, compare="rows", deadline=deadline)
        objects = _large_objects(connection)
        tables.extend(database_facts.contents(connection, compare="rows", deadline=deadline, only=objects))
        sequences = database_facts.sequences(connection, deadline=deadline)
    if not recovering:  # what a standby has, its primary has flushed
        Cluster(connection, deadline=deadline).flush_log()
    return {
        "snapshot": snapshot,
        "database": database,
        "system_identifier": system,
        "timeline": timeline,
        "at": moment,
        "tables": [{"schema": one["schema"], "name": one["name"], "rows": one["rows"]} for one in tables],
        "sequences": [
            {"schema": one["schema"], "name": one["name"], "last_value": one["last_value"]} for one in sequences
        ],
    }


def assess(
    connection: psycopg.Connection[t.Any],
    *,
    since: t.Mapping[str, t.Any],
    own_rows: t.Sequence[t.Mapping[str, t.Any]] = (),
    deadline: Deadline,
    now: datetime.datetime,
) -> dict[str, t.Any]:
    """Compare the connection's database with ``since`` (snapshot, at, system_identifier, timeline, and tables or None).

    ``own_rows`` are rows that the release itself wrote: table, column, values. They are counted apart.
    """
    span = max(0.0, (now - parse_utc(str(since["at"]))).total_seconds()) if since.get("at") else None
    result: dict[str, t.Any] = {"since": {key: since.get(key) for key in ("snapshot", "at")}, "span_seconds": span}
    unknown = _why_unknown(connection, since, deadline)
    if unknown is not None:
        return {**result, "lossless": None, "reason": unknown, "tables": [], "rows": None}
    before = {(one["schema"], one["name"]): int(one["rows"]) for one in since.get("tables") or ()}
    counted_before = since.get("tables") is not None
    own = _own_conditions(own_rows)
    changed = []
    with postgres.translated("Looking for rows written since", deadline=deadline), connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        present = [*database_facts.tables(connection, deadline=deadline), *_large_objects(connection)]
        for table in present:
            rows, written, ours = _count(connection, table, str(since["snapshot"]), own.get(table, ()))
            changed.append(row_of(table, rows, written, ours, before.get(table), counted_before))
    gone = sorted(before.keys() - set(present))
    changed.extend(row_of(table, None, 0, 0, before[table], True) for table in gone)
    return {**result, **verdict(changed, counted_before=counted_before)}


def row_of(
    table: database_facts.Table, rows: int | None, written: int, ours: int, before: int | None, counted_before: bool
) -> dict[str, t.Any]:
    """One table's account. ``written``: rows newer than the snapshot, ``ours`` of them our own.

    ``gone``: versions that the snapshot saw and that are no more, by update or by delete; ``deleted`` is the least
    number of deletes that explains it.
    """
    unchanged = 0 if rows is None else rows - written
    gone = max(0, (before or 0) - unchanged) if counted_before else None
    return {
        "table": database_facts.readable(table),
        "rows_before": before if counted_before else None,
        "rows_now": rows,
        "written": written,
        "own": ours,
        "at_stake": written - ours,
        "gone": gone,
        "deleted": None if gone is None else max(0, (before or 0) - (rows or 0)),
    }


def verdict(tables: t.Sequence[t.Mapping[str, t.Any]], *, counted_before: bool) -> dict[str, t.Any]:
    """Lossless when nobody but the release wrote and nothing that was there is gone; None when that cannot be known.

    A version that is gone always counts: whether our own update took it or somebody's delete, nothing tells.
    """
    touched = [dict(one) for one in tables if one["written"] or one["gone"] or one["rows_now"] is None]
    at_stake = sum(int(one["at_stake"]) for one in tables)
    taken = sum(int(one["gone"] or 0) for one in tables)
    lossless: bool | None = at_stake == 0 and taken == 0
    reason = ""
    if not counted_before and lossless:
        lossless, reason = None, "deletes cannot be known without the counts taken with the snapshot"
    elif lossless is False:
        names = ", ".join(str(one["table"]) for one in touched[:5])
        reason = f"{at_stake} rows were written and {taken} versions are gone since the snapshot, in {names}"
    return {
        "lossless": lossless,
        "reason": reason,
        "rows": at_stake,
        "own_rows": sum(int(one["own"]) for one in tables),
        "gone_rows": taken if counted_before else None,
        "deleted_rows": sum(int(one["deleted"] or 0) for one in tables) if counted_before else None,
        "tables": touched,
    }


def _why_unknown(connection: psycopg.Connection[t.Any], since: t.Mapping[str, t.Any], deadline: Deadline) -> str | None:
    unused, newest = parse_snapshot(str(since["snapshot"]))
    row = postgres.rows(
        connection,
        "select (select system_identifier::text from pg_catalog.pg_control_system()),"
        " pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8",
        doing="Reading the server's identity",
        deadline=deadline,
    )[0]
    if since.get("system_identifier") not in (None, row[0]):
        return "the snapshot was taken on another server"
    before = since.get("timeline")  # what was taken earlier than that was written down has none
    now = _timeline(connection, deadline)
    if before is not None and str(before) != str(now):
        return (
            f"the snapshot was taken on timeline {before}, and the server is on {now}: a promotion or a recovery lies between, and what"
            " was lost by it is not told apart from what was written since"
        )
    if row[1] < newest:
        return "the server's transaction ids are behind the snapshot: it was rebuilt since"
    if row[1] - newest >= 1 << 31:
        return "more than two thousand million transactions lie between"
    return None


def _timeline(connection: psycopg.Connection[t.Any], deadline: Deadline) -> int:
    return int(postgres.value(connection, f"select {TIMELINE}", doing="Reading the timeline", deadline=deadline))


def _large_objects(connection: psycopg.Connection[t.Any]) -> list[database_facts.Table]:
    """Large objects as if they were tables: their contents where we may read them, else at least their existence."""
    row = connection.execute(
        "select pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT'),"
        " exists (select from pg_catalog.pg_largeobject_metadata)"
    ).fetchone()
    readable, present = t.cast("tuple[bool, bool]", row)
    if not present:
        return []
    names = ["pg_largeobject", "pg_largeobject_metadata"] if readable else ["pg_largeobject_metadata"]
    return [("pg_catalog", name) for name in names]


def large_objects_of(count: int) -> list[dict[str, t.Any]]:
    """A count of large objects in a manifest, as the table that it was counted in."""
    return [{"schema": "pg_catalog", "name": "pg_largeobject_metadata", "rows": count}] if count else []


Condition = tuple[str, tuple[str, ...]]


def _own_conditions(own_rows: t.Sequence[t.Mapping[str, t.Any]]) -> dict[database_facts.Table, list[Condition]]:
    found: dict[database_facts.Table, list[Condition]] = {}
    for one in own_rows:
        schema, dot, name = str(one["table"]).partition(".")
        table = (schema, name) if dot else ("public", schema)
        found.setdefault(table, []).append((str(one["column"]), tuple(str(value) for value in one["values"])))
    return found


def _count(
    connection: psycopg.Connection[t.Any],
    table: database_facts.Table,
    snapshot: str,
    own: t.Sequence[Condition],
) -> tuple[int, int, int]:
    """Rows, rows written since the snapshot, and those of them that are our own."""
    sql = require("psycopg").sql
    ours = sql.SQL(" or ").join(
        [
            sql.SQL("opsready_row.{}::pg_catalog.text = any ({}::pg_catalog.text[])").format(
                sql.Identifier(column), sql.Literal(list(values))
            )
            for column, values in own
        ]
        or [sql.SQL("false")]
    )
    statement = sql.SQL(_COUNT).format(snapshot=sql.Literal(snapshot), ours=ours, table=sql.Identifier(*table))
    row = connection.execute(statement).fetchone()
    return t.cast("tuple[int, int, int]", row)
