# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps vacuum from its work: who holds the xmin horizon back, prepared transactions that nobody ends, and how far
the oldest transaction id is from being frozen."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, at_most, holds, unknown

#: A database stops taking commands shortly before this many transactions without a freeze.
WRAPAROUND = 2**31

#: What is asked, by topic. Vacuums themselves hold nothing back; a standby does by hot_standby_feedback.
SQL: dict[str, str] = {
    "wraparound": """
        SELECT max(age(datfrozenxid)) AS transactions, max(mxid_age(datminmxid)) AS multixacts,
               current_setting('autovacuum_freeze_max_age')::int AS freeze_max_age,
               current_setting('autovacuum_multixact_freeze_max_age')::int AS multixact_freeze_max_age
        FROM pg_database""",
    "horizon": """
        SELECT kind, holder, database, transactions, seconds
        FROM (SELECT CASE WHEN r.pid IS NULL THEN 'session' ELSE 'standby' END AS kind,
                     format('%s of %s (%s)', a.pid, COALESCE(a.usename, 'the server'),
                            COALESCE(NULLIF(a.application_name, ''), 'no application name')) AS holder,
                     a.datname::text AS database,
                     GREATEST(age(a.backend_xmin), age(a.backend_xid)) AS transactions,
                     EXTRACT(EPOCH FROM clock_timestamp() - a.xact_start)::float8 AS seconds
              FROM pg_stat_activity a LEFT JOIN pg_stat_replication r ON r.pid = a.pid
              WHERE a.pid <> pg_backend_pid() AND a.pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
              UNION ALL
              SELECT 'replication slot', slot_name::text, database::text, GREATEST(age(xmin), age(catalog_xmin)), NULL
              FROM pg_replication_slots
              UNION ALL
              SELECT 'prepared transaction', gid, database::text, age(transaction),
                     EXTRACT(EPOCH FROM clock_timestamp() - prepared)::float8
              FROM pg_prepared_xacts) AS holders
        WHERE transactions IS NOT NULL ORDER BY transactions DESC, holder LIMIT 20""",
    "prepared": """
        SELECT gid, owner::text AS username, database::text AS database, prepared::text AS since,
               EXTRACT(EPOCH FROM clock_timestamp() - prepared)::float8 AS seconds
        FROM pg_prepared_xacts ORDER BY prepared, gid""",
}

_LET_GO = {
    "session": "End it, by pg_terminate_backend if need be, and set idle_in_transaction_session_timeout.",
    "standby": "End the long query on the standby, or turn its hot_standby_feedback off.",
    "replication slot": "Start what reads the slot, or drop it by pg_drop_replication_slot.",
    "prepared transaction": "COMMIT PREPARED or ROLLBACK PREPARED, in its database.",
}

Row = t.Mapping[str, t.Any]
Rows = t.Mapping[str, t.Sequence[Row]]


def judge(rows: Rows, unread: t.Mapping[str, str], params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Judge the rows of these topics; ``unread`` says by topic why there are none. Pure."""
    if "wraparound" in rows or "wraparound" in unread:
        yield from _judge_wraparound(rows.get("wraparound"), params)
    if params["max_horizon_age"] is not None:
        holders = rows.get("horizon")
        if holders is None:
            yield topic_unread(unread, "horizon", "xmin horizon")
        else:
            yield _judge_horizon(holders, params["max_horizon_age"])
    if params["max_prepared_age"] is not None:
        prepared = rows.get("prepared")
        if prepared is None:
            yield topic_unread(unread, "prepared", "age of prepared transactions")
        else:
            yield _judge_prepared(prepared, params["max_prepared_age"])


def topic_unread(unread: t.Mapping[str, str], topic: str, name: str) -> Criterion:
    """What is judged by a topic that could not be read."""
    why = unread.get(topic, "the server did not say").rstrip(".")
    return unknown(name, f"{name} is unknown: {why}")


def _judge_wraparound(rows: t.Sequence[Row] | None, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    ages = rows[0] if rows else None
    worst = max(ages["transactions"] or 0, ages["multixacts"] or 0) if ages else None
    yield at_most(
        "share of transaction ids before wraparound",
        None if worst is None else round(worst / WRAPAROUND, 4),
        params["max_wraparound_share"],
        remedy="VACUUM FREEZE the oldest tables; look for what keeps autovacuum from it.",
    )
    if params["max_freeze_age_share"] is None:
        return
    share = None
    if ages:
        share = max(
            (ages["transactions"] or 0) / ages["freeze_max_age"],
            (ages["multixacts"] or 0) / ages["multixact_freeze_max_age"],
        )
    yield at_most(
        "oldest transaction id as a share of autovacuum_freeze_max_age",
        None if share is None else round(share, 4),
        params["max_freeze_age_share"],
        remedy="Autovacuum freezes by force at 1 and does not keep up: see what it waits for, and max_horizon_age for who is "
        "in its way.",
    )


def _judge_horizon(holders: t.Sequence[Row], bound: int) -> Criterion:
    name = "age of the xmin horizon"
    if not holders:
        return at_most(name, 0, bound, unit="transactions")
    oldest = max(holders, key=lambda row: t.cast(int, row["transactions"]))
    where = f" in {oldest['database']}" if oldest["database"] else ""
    since = "" if oldest["seconds"] is None else f" for {oldest['seconds']:.0f} s"
    return holds(
        name,
        oldest["transactions"] <= bound,
        measured=oldest["transactions"],
        expected=f"at most {bound} transactions",
        sentence=f"{name} is {oldest['transactions']} transactions, expected at most {bound}: it is held back by the "
        f"{oldest['kind']} {oldest['holder']}{where}{since}",
        remedy=_LET_GO[oldest["kind"]],
    )


def _judge_prepared(prepared: t.Sequence[Row], bound: float) -> Criterion:
    old = [row for row in prepared if row["seconds"] > bound]
    told = [f"{row['gid']} of {row['username']} in {row['database']} for {row['seconds']:.0f} s" for row in old]
    return holds(
        "age of prepared transactions",
        not old,
        measured="; ".join(told[:10]) + (f" and {len(told) - 10} more" if len(told) > 10 else "") or "none too old",
        expected=f"at most {bound:g} s",
        remedy="COMMIT PREPARED or ROLLBACK PREPARED, each in its database: they hold locks and keep vacuum from its work.",
    )
