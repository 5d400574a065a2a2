# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_postgres judges plain facts; one line per case."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_postgres as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_postgres import Answer, Facts
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

SERVER = {
    "version_number": 160004,
    "version": "16.4",
    "in_recovery": False,
    "database": "shop",
    "username": "app",
    "is_superuser": False,
    "encoding": "UTF8",
    "size_bytes": 10,
    "ssl": True,
    "ssl_version": "TLSv1.3",
    "checksums": True,
}
CONNECTIONS = {"used": 10, "idle_in_transaction": 1, "max_connections": 103, "reserved": 3}
FROZEN = {
    "transactions": 200_000_000,
    "multixacts": 5,
    "freeze_max_age": 200_000_000,
    "multixact_freeze_max_age": 400_000_000,
}
ROWS: dict[str, list[dict[str, t.Any]]] = {
    "connections": [CONNECTIONS],
    "wraparound": [FROZEN],
}
REPLICA = {"state": "streaming", "sync_state": "async", "lag_bytes": 100, "lag_seconds": 2.5}
STANDBY = {"in_recovery": True}
SLOT = {"name": "s1", "active": True, "wal_status": "reserved", "retained_bytes": 50, "safe_wal_size": None}
LIMITED = {**SLOT, "safe_wal_size": 100}
HOLDER = {"kind": "session", "holder": "7 of eve (psql)", "database": "shop", "transactions": 90, "seconds": 5.2}
STANDBY_HOLDER = {"kind": "standby", "holder": "8 of copy (s)", "database": None, "transactions": 95, "seconds": None}
PREPARED = {"gid": "g1", "username": "eve", "database": "shop", "seconds": 60.0}
EXTENSION = {"name": "vector", "version": "0.9.1", "default_version": "0.9.1"}
ARCHIVER = {"mode": "on", "failed_count": 3, "archived_age": 60.0, "is_failing": False}
SESSION = {"username": "eve", "application": "psql", "address": "10.0.0.9", "state": "idle", "sessions": 2}


def params(**options: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, {"dsn": "postgresql://app@h/shop", **options}, where="test")


def judged(
    options: t.Mapping[str, t.Any],
    rows: t.Mapping[str, t.Any] | None = None,
    server: t.Mapping[str, t.Any] | None = None,
    **facts: t.Any,
) -> Judgement:
    seen: dict[str, t.Any] = {"unread": {}, "settings": {}, "revisions": None, "answers": (), "canary": None, **facts}
    merged = {topic: found for topic, found in {**ROWS, **(rows or {})}.items() if found is not None}
    return Judgement.of(check.judge(Facts(server={**SERVER, **(server or {})}, rows=merged, **seen), params(**options)))


CASES: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    ({}, {}, "pass", "All hold"),
    ({"min_version": "16.4"}, {}, "pass", "All hold"),
    ({"min_version": "17"}, {}, "fail", "Version is 16.4, expected at least 17"),
    ({"min_version": "9.6.3"}, {}, "pass", "All hold"),
    ({}, {"server": STANDBY}, "fail", "Server is standby, expected primary"),
    ({"recovery": "any"}, {"server": STANDBY}, "pass", "All hold"),
    (
        {"recovery": "standby"},
        {"server": STANDBY, "rows": {"standby": [{"receiver": None}]}},
        "unknown",
        "WAL receiver",
    ),
    ({"ssl": "required"}, {}, "pass", "All hold"),
    (
        {"ssl": "required"},
        {"server": {"ssl": False, "ssl_version": None}},
        "fail",
        "Encryption of the connection is none",
    ),
    ({"superuser": "refused"}, {"server": {"is_superuser": True}}, "fail", "Role is app (superuser)"),
    ({"superuser": "refused"}, {"server": {"is_superuser": None}}, "unknown", "Role"),
    ({"encoding": "UTF8"}, {"server": {"encoding": "SQL_ASCII"}}, "fail", "Encoding is SQL_ASCII"),
    ({"checksums": "required"}, {"rows": {"checksum_failures": [{"failures": 0}]}}, "pass", "All hold"),
    ({"checksums": "required"}, {"rows": {"checksum_failures": [{"failures": 2}]}}, "fail", "Checksum failures is 2"),
    ({"checksums": "required"}, {}, "unknown", "Checksum failures could not be read"),
    ({}, {"rows": {"connections": [{**CONNECTIONS, "used": 81}]}}, "fail", "Share of usable connections is 0.81"),
    ({}, {"rows": {"connections": [{**CONNECTIONS, "reserved": 103}]}}, "fail", "Share of usable connections is 1"),
    (
        {},
        {"rows": {"connections": None}, "unread": {"connections": "denied."}},
        "unknown",
        "Connections is unknown: denied",
    ),
    ({"pools": [{"name": "a", "size": 20, "instances": 5}]}, {}, "pass", "All hold"),
    ({"pools": [{"name": "a", "size": 101}]}, {}, "fail", "Connections that the pools may open is 101"),
    ({"max_idle_in_transaction": 0}, {}, "fail", "Sessions idle in transaction is 1"),
    ({"max_wraparound_share": 0.05}, {}, "fail", "Share of transaction ids before wraparound is 0.093"),
    ({}, {"rows": {"wraparound": None}, "unread": {"wraparound": "no"}}, "unknown", "wraparound could not be read"),
    ({"max_freeze_age_share": 1}, {}, "pass", "All hold"),
    ({"max_freeze_age_share": 0.9}, {}, "fail", "share of autovacuum_freeze_max_age is 1, expected at most 0.9"),
    (
        {"max_freeze_age_share": 1},
        {"rows": {"wraparound": [{**FROZEN, "multixacts": 500_000_000}]}},
        "fail",
        "share of autovacuum_freeze_max_age is 1.25",
    ),
    (
        {"max_freeze_age_share": 1},
        {"rows": {"wraparound": None}, "unread": {"wraparound": "no"}},
        "unknown",
        "share of autovacuum_freeze_max_age could not be read",
    ),
    ({"max_horizon_age": 0}, {"rows": {"horizon": []}}, "pass", "All hold"),
    ({"max_horizon_age": 90}, {"rows": {"horizon": [HOLDER]}}, "pass", "All hold"),
    (
        {"max_horizon_age": 89},
        {"rows": {"horizon": [HOLDER]}},
        "fail",
        "is 90 transactions, expected at most 89: it is held back by the session 7 of eve (psql) in shop for 5 s",
    ),
    (
        {"max_horizon_age": 89},
        {"rows": {"horizon": [HOLDER, STANDBY_HOLDER]}},
        "fail",
        "is 95 transactions, expected at most 89: it is held back by the standby 8 of copy (s).",
    ),
    (
        {"max_horizon_age": 89},
        {"rows": {"horizon": [{**STANDBY_HOLDER, "kind": "replication slot", "holder": "s1"}]}},
        "fail",
        "it is held back by the replication slot s1.",
    ),
    ({"max_horizon_age": 9}, {"unread": {"horizon": "denied."}}, "unknown", "Xmin horizon is unknown: denied"),
    ({"max_prepared_age": 60}, {"rows": {"prepared": [PREPARED]}}, "pass", "All hold"),
    ({"max_prepared_age": 0}, {"rows": {"prepared": []}}, "pass", "All hold"),
    (
        {"max_prepared_age": 59},
        {"rows": {"prepared": [PREPARED, {**PREPARED, "seconds": 1.0}]}},
        "fail",
        "Age of prepared transactions is g1 of eve in shop for 60 s, expected at most 59 s",
    ),
    (
        {"max_prepared_age": 0},
        {"rows": {"prepared": [PREPARED] * 12}},
        "fail",
        "and 2 more, expected at most 0 s",
    ),
    ({"max_prepared_age": 59}, {}, "unknown", "Age of prepared transactions is unknown"),
    ({"max_transaction_age": 5}, {"rows": {"oldest": [{"seconds": 5.04}]}}, "pass", "All hold"),
    ({"max_transaction_age": 5}, {"rows": {"oldest": [{"seconds": 6.0}]}}, "fail", "Oldest transaction is 6 s"),
    ({"max_transaction_age": 5}, {}, "unknown", "Oldest transaction"),
    ({"min_replicas": 1}, {"rows": {"replicas": [REPLICA]}}, "pass", "All hold"),
    ({"min_replicas": 1}, {"rows": {"replicas": [{**REPLICA, "state": "catchup"}]}}, "fail", "Streaming replicas is 0"),
    ({"min_replicas": 1}, {}, "unknown", "Streaming replicas"),
    ({"min_replicas": 1}, {"rows": {"replicas": [{**REPLICA, "state": None}]}}, "unknown", "Streaming replicas"),
    ({"min_sync_replicas": 1}, {"rows": {"replicas": [REPLICA]}}, "fail", "Synchronous replicas is 0"),
    ({"min_sync_replicas": 1}, {"rows": {"replicas": [{**REPLICA, "sync_state": "quorum"}]}}, "pass", "All hold"),
    ({"max_lag_bytes": 99}, {"rows": {"replicas": [REPLICA]}}, "fail", "Replication lag in bytes is 100 bytes"),
    ({"max_lag_seconds": 3}, {"rows": {"replicas": [REPLICA]}}, "pass", "All hold"),
    ({"max_lag_seconds": 3}, {"rows": {"replicas": []}}, "unknown", "no replica is connected"),
    (
        {"max_lag_seconds": 3},
        {"rows": {"replicas": [REPLICA, {**REPLICA, "lag_seconds": None}]}},
        "unknown",
        "is unknown for 1 of 2 replicas",
    ),
    (
        {"max_lag_seconds": 3},
        {"rows": {"replicas": [{**REPLICA, "lag_seconds": None, "lag_bytes": 0}]}},
        "pass",
        "All hold",
    ),
    (
        {"recovery": "standby", "max_lag_seconds": 3},
        {"server": STANDBY, "rows": {"standby": [{"receiver": "streaming", "lag_seconds": 4.0}]}},
        "fail",
        "Replication lag in seconds is 4 s",
    ),
    ({"slots": "healthy"}, {"rows": {"slots": [SLOT]}}, "pass", "All hold"),
    ({"slots": "healthy"}, {"rows": {"slots": [{**SLOT, "active": False}]}}, "fail", "s1 inactive, expected"),
    ({"slots": "healthy"}, {"rows": {"slots": [{**SLOT, "wal_status": "lost"}]}}, "fail", "s1 lost, expected"),
    (
        {"slots": "healthy"},
        {"rows": {"slots": [{**SLOT, "wal_status": "unreserved"}]}},
        "fail",
        "s1 unreserved, expected",
    ),
    ({"slots": "healthy"}, {"rows": {"slots": [{**SLOT, "wal_status": "extended"}]}}, "pass", "All hold"),
    ({"min_safe_wal_bytes": 100}, {"rows": {"slots": [SLOT, LIMITED]}}, "pass", "All hold"),
    ({"min_safe_wal_bytes": 101}, {"rows": {"slots": [SLOT, LIMITED]}}, "fail", "slot is lost (s1) is 100 bytes"),
    (
        {"min_safe_wal_bytes": 1},
        {"rows": {"slots": [{**SLOT, "wal_status": "lost"}]}},
        "fail",
        "is lost (s1) is 0 bytes",
    ),
    (
        {"min_safe_wal_bytes": 1},
        {"rows": {"slots": [{**SLOT, "safe_wal_size": -5}]}},
        "fail",
        "is lost (s1) is 0 bytes",
    ),
    ({"min_safe_wal_bytes": 1}, {"rows": {"slots": [SLOT]}}, "pass", "All hold"),
    ({"min_safe_wal_bytes": 1}, {}, "unknown", "Replication slots is unknown"),
    ({"slots": "healthy"}, {}, "unknown", "Replication slots is unknown"),
    ({"max_slot_bytes": 49}, {"rows": {"slots": [SLOT]}}, "fail", "WAL kept for the slowest slot is 50 bytes"),
    ({"archiver": "required"}, {"rows": {"archiver": [ARCHIVER]}}, "pass", "All hold"),
    ({"archiver": "required"}, {"rows": {"archiver": [{**ARCHIVER, "mode": "off"}]}}, "fail", "archive_mode is off"),
    ({"archiver": "required"}, {"rows": {"archiver": [{**ARCHIVER, "is_failing": True}]}}, "fail", "failing, 3 times"),
    ({"archiver": "required"}, {}, "unknown", "Archiver is unknown"),
    ({"max_archive_age": 59}, {"rows": {"archiver": [ARCHIVER]}}, "fail", "Age of the last archived WAL is 60 s"),
    (
        {"max_archive_age": 59},
        {"rows": {"archiver": [{**ARCHIVER, "archived_age": None}]}},
        "unknown",
        "could not be read",
    ),
    ({"invalid_indexes": "refused"}, {"rows": {"invalid_indexes": []}}, "pass", "All hold"),
    ({"invalid_indexes": "refused"}, {"rows": {"invalid_indexes": [{"name": "i"}]}}, "fail", "Invalid indexes is i"),
    (
        {"invalid_indexes": "refused"},
        {"rows": {"invalid_indexes": [{"name": f"i{n}"} for n in range(12)]}},
        "fail",
        "i9 and 2 more",
    ),
    ({"invalid_indexes": "refused"}, {}, "unknown", "Invalid indexes is unknown"),
    (
        {"unindexed_foreign_keys": "refused"},
        {"rows": {"unindexed_foreign_keys": [{"name": "k"}]}},
        "warn",
        "k, expected",
    ),
    (
        {"pending_restart": "refused"},
        {"rows": {"pending_restart": [{"name": "ssl"}]}},
        "fail",
        "wait for a restart is ssl",
    ),
    ({"collation_versions": "current"}, {"rows": {"collations": [{"name": "de"}]}}, "fail", "another version is de"),
    ({"max_sequence_share": 0.5}, {"rows": {"sequences": [], "unreadable_sequences": []}}, "pass", "All hold"),
    (
        {"max_sequence_share": 0.5},
        {"rows": {"sequences": [{"name": "a.s", "share": 0.6}]}},
        "fail",
        "sequence (a.s) is 0.6",
    ),
    ({"max_sequence_share": 0.5}, {}, "unknown", "Sequences is unknown"),
    ({"extensions": [{"name": "vector"}]}, {"rows": {"extensions": []}}, "fail", "Extension vector is not installed"),
    ({"extensions": [{"name": "vector"}]}, {}, "unknown", "Extension vector is unknown"),
    (
        {"extensions": [{"name": "vector", "min_version": "0.10"}]},
        {"rows": {"extensions": [{"name": "vector", "version": "0.9.1"}]}},
        "fail",
        "Extension vector is 0.9.1, expected at least 0.10",
    ),
    ({"extension_versions": "current"}, {"rows": {"extensions": [EXTENSION]}}, "pass", "All hold"),
    (
        {"extension_versions": "current"},
        {"rows": {"extensions": [{**EXTENSION, "default_version": "0.10"}]}},
        "fail",
        "Versions of extensions is vector 0.9.1 where 0.10 is installed on the server, expected current",
    ),
    (
        {"extension_versions": "current"},
        {"rows": {"extensions": [{**EXTENSION, "default_version": "0.8"}]}},
        "pass",
        "All",
    ),
    (
        {"extension_versions": "current"},
        {"rows": {"extensions": [{**EXTENSION, "version": "unpackaged"}]}},
        "fail",
        "vector unpackaged where 0.9.1 is installed",
    ),
    (
        {"extension_versions": "current"},
        {"rows": {"extensions": [{**EXTENSION, "default_version": None}]}},
        "fail",
        "vector 0.9.1 without its files on the server",
    ),
    ({"extension_versions": "current"}, {}, "unknown", "Versions of extensions is unknown"),
    ({"settings": {"fsync": True}}, {"settings": {"fsync": "on"}}, "pass", "All hold"),
    ({"settings": {"work_mem": "4MB"}}, {"settings": {"work_mem": "8MB"}}, "fail", "Setting work_mem is 8MB"),
    ({"settings": {"nosuch": 1}}, {"settings": {"nosuch": None}}, "unknown", "Setting nosuch could not be read"),
    ({"schema_revision": {"expected": "2"}}, {"revisions": ["2"]}, "pass", "All hold"),
    ({"schema_revision": {"expected": "2"}}, {"revisions": ["1"]}, "fail", "Schema revision is 1, expected 2"),
    ({"schema_revision": {"expected": "2"}}, {"revisions": ["2", "3"]}, "fail", "Schema revision is 2, 3"),
    ({"schema_revision": {"expected": "2"}}, {"revisions": []}, "fail", "Schema revision is none"),
    ({"schema_revision": {"expected": "2"}}, {}, "fail", "no table public.alembic_version"),
    (
        {"statements": {"max_mean_ms": 5}},
        {"rows": {"statements": [{"mean_ms": 6.0}]}},
        "fail",
        "slowest statement is 6 ms",
    ),
    ({"statements": {"max_mean_ms": 5}}, {"rows": {"statements": []}}, "unknown", "none was called 10 times"),
    ({"statements": {"max_mean_ms": 5}}, {}, "unknown", "Slowest statement is unknown"),
    ({"sessions": {}}, {"rows": {"sessions": [], "prepared": []}}, "pass", "All hold"),
    (
        {"sessions": {}},
        {"rows": {"sessions": [SESSION], "prepared": []}},
        "fail",
        "Foreign sessions is 2 of eve (psql) from 10.0.0.9, expected none",
    ),
    ({"sessions": {"allowed_users": ["eve"]}}, {"rows": {"sessions": [SESSION], "prepared": []}}, "pass", "All hold"),
    (
        {"sessions": {"allowed_applications": ["ps*"]}},
        {"rows": {"sessions": [SESSION], "prepared": []}},
        "pass",
        "All hold",
    ),
    (
        {"sessions": {}},
        {"rows": {"sessions": [{**SESSION, "application": "opsready/r1/3"}], "prepared": []}},
        "pass",
        "All hold",
    ),
    (
        {"sessions": {}},
        {"rows": {"sessions": [{**SESSION, "state": None}], "prepared": []}},
        "unknown",
        "this role may not see what others do",
    ),
    (
        {"sessions": {}},
        {"rows": {"sessions": [], "prepared": [PREPARED]}},
        "fail",
        "Prepared transactions is g1 of eve",
    ),
    (
        {"sessions": {}},
        {"rows": {"sessions": [], "prepared": [{**PREPARED, "database": "other"}]}},
        "pass",
        "All hold",
    ),
    ({"sessions": {}}, {}, "unknown", "Foreign sessions is unknown"),
    ({"canary": True}, {"canary": "came back"}, "pass", "All hold"),
    ({"canary": True}, {"canary": "refused: read-only."}, "fail", "Canary is refused: read-only, expected came back"),
    ({"canary": True}, {}, "unknown", "Canary was not run in check mode"),
]


@pytest.mark.parametrize(("options", "seen", "status", "said"), CASES)
def test_one_fact_decides(options: dict[str, t.Any], seen: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(options, **seen)
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


QUERIES: list[tuple[dict[str, t.Any], Answer, str, str]] = [
    ({"value": "5"}, Answer("q", 5, ""), "pass", "All hold"),
    ({"value": "true"}, Answer("q", True, ""), "pass", "All hold"),
    ({"value": "false"}, Answer("q", True, ""), "fail", "Query q is true, expected false"),
    ({"at_least": 5, "at_most": 6}, Answer("q", 7, ""), "fail", "Query q (upper bound) is 7, expected at most 6"),
    ({"at_most": 6}, Answer("q", "5.5", ""), "pass", "All hold"),
    ({"at_most": 6}, Answer("q", "many", ""), "unknown", "Query q could not be read"),
    ({"at_most": 6}, Answer("q", None, "it returned no row"), "unknown", "Query q has no answer: it returned no row"),
]


@pytest.mark.parametrize(("expected", "answer", "status", "said"), QUERIES)
def test_a_query_is_judged_by_its_first_value(
    expected: dict[str, t.Any], answer: Answer, status: str, said: str
) -> None:
    judgement = judged({"queries": [{"name": "q", "sql": "SELECT 1", **expected}]}, answers=(answer,))
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


@pytest.mark.parametrize("option", ["pools", "extensions", "queries"])
def test_an_empty_list_is_refused(option: str) -> None:
    with pytest.raises(BadInput, match=f"{option} is empty"):
        check.gather(params(**{option: []}), run=Run(timeout_seconds=1))


@pytest.mark.parametrize(
    "option", ["max_freeze_age_share", "max_horizon_age", "max_prepared_age", "min_safe_wal_bytes"]
)
def test_a_bound_below_nothing_is_refused(option: str) -> None:
    with pytest.raises(BadInput, match=f"{option} is -1, expected 0 or more"):
        check.gather(params(**{option: -1}), run=Run(timeout_seconds=1))


def test_a_query_that_expects_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="The query q expects nothing"):
        check.gather(params(queries=[{"name": "q", "sql": "SELECT 1"}]), run=Run(timeout_seconds=1))


@pytest.mark.parametrize(
    "options", [{"min_version": "newest"}, {"extensions": [{"name": "e", "min_version": "newest"}]}]
)
def test_a_version_that_is_none_is_refused(options: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput, match=r"min_version.* is 'newest'"):
        check.gather(params(**options), run=Run(timeout_seconds=1))


def test_each_bound_of_a_query_is_a_criterion_of_its_own() -> None:
    query = {"name": "rows", "sql": "SELECT 5", "value": "5", "at_least": 9, "at_most": 3}
    judgement = judged({"queries": [query, {**query, "at_most": None}]}, answers=(check.Answer("rows", 5, ""),) * 2)
    told = {name: expected for name, expected in judgement.expected.items() if name.startswith("query")}
    assert told == {
        "query rows (1 of 2)": "5",
        "query rows (1 of 2) (lower bound)": "at least 9",
        "query rows (1 of 2) (upper bound)": "at most 3",
        "query rows (2 of 2)": "5",
        "query rows (2 of 2) (lower bound)": "at least 9",
    }


def test_values_of_any_type_become_json() -> None:
    values = [
        dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc),
        dt.date(2026, 1, 2),
        dt.timedelta(seconds=3),
        decimal.Decimal("3"),
        decimal.Decimal("3.5"),
        b"\x01\xff",
        memoryview(b"\x02"),
        None,
        True,
        [1, 2],
    ]
    plain = [check._plain(value) for value in values]
    assert json.loads(json.dumps(plain))[3:] == [3, 3.5, "01ff", "02", None, True, "[1, 2]"]


def test_evidence_holds_what_was_seen_and_what_was_not() -> None:
    facts = Facts(SERVER, ROWS, {"slots": "denied"}, {"fsync": "on"}, ["1"], (Answer("q", 1, ""),), None)
    told = json.loads(json.dumps(check.evidence(facts)))
    assert told["connections"][0]["used"] == 10
    assert told["unread"] == {"slots": "denied"}
    assert told["queries"] == {"q": 1}
    assert "canary" not in told


def test_only_what_is_wanted_is_asked() -> None:
    assert check.topics(params()) == ["connections", "wraparound"]
    assert "wraparound" not in check.topics(params(recovery="standby"))
    assert {"replicas", "standby"} <= set(check.topics(params(max_lag_bytes=1)))
    assert "wraparound" in check.topics(params(recovery="standby", max_freeze_age_share=1))
    assert "horizon" in check.topics(params(max_horizon_age=1))
    assert "prepared" in check.topics(params(max_prepared_age=1))
    assert "slots" in check.topics(params(min_safe_wal_bytes=1))
    assert "extensions" in check.topics(params(extension_versions="current"))
    assert {"sessions", "prepared"} <= set(check.topics(params(sessions={})))
