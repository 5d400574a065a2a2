# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_redis judges plain facts; one line per case."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_redis as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.broker_keys import OtherKeys
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_redis import (
    Canary,
    Counted,
    Facts,
    KeySample,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

HEALTHY = Facts(
    server="Redis at h:6379 database 0",
    version="7.2.4",
    role="master",
    is_loading=False,
    maxmemory_policy="noeviction",
    maxmemory=1000,
    used_memory=100,
    aof_enabled=True,
    aof_last_write_ok=True,
    aof_last_rewrite_ok=True,
    rdb_save_points=True,
    rdb_last_save_ok=True,
    rdb_last_save_age=60.0,
    rdb_changes_since_last_save=7,
    delayed_fsyncs=2,
    connected_clients=10,
    maxclients=100,
    blocked_clients=4,
    rejected_connections=0,
    evicted_keys=0,
    keyspace_hits=90,
    keyspace_misses=10,
    replicas_online=1,
    replica_lag_bytes=10,
    replica_lag_seconds=1,
    master_link_up=None,
    cluster_enabled=False,
    cluster_state=None,
    cluster_slots_ok=None,
    cluster_nodes=None,
    tls_version="TLSv1.3",
    open_to_strangers=False,
    queue_lengths={"celery": 3},
    key_samples=(),
    keys=5,
    other_keys=OtherKeys(5, 0, 0, {}, True),
    counted=None,
    canary=None,
    uptime_seconds=1000,
)


def params(**options: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, {"url": "redis://h", **options}, where="test")


def judged(options: t.Mapping[str, t.Any], **facts: t.Any) -> Judgement:
    return Judgement.of(check.judge(dataclasses.replace(HEALTHY, **facts), params(**options)))


CAME_BACK = Canary("came back", 0.1)
FSYNCED = {"canary": True, "canary_persistence": "fsync"}
NOTHING_NEW = Counted(5.0, 0, 0, 0)
CACHED = OtherKeys(150, 101, 90, {"session:": 80}, True)
SAMPLED = OtherKeys(2000, 77, 70, {}, False, keys=200_000)
REFUSED = OtherKeys(150, 60, 50, {}, True, refused=41, keys=150)
SAMPLE = KeySample("session:", 10, 9, 3600.0, True)
CASES: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    ({}, {}, "pass", "All hold"),
    ({}, {"is_loading": True}, "fail", "Data set is loading"),
    ({}, {"role": "replica", "master_link_up": True}, "fail", "Role is replica, expected master"),
    ({"role": "replica"}, {"role": "replica", "master_link_up": False}, "fail", "Link to the master is false"),
    ({"role": "any"}, {"role": "replica"}, "pass", "All hold"),
    ({"min_version": "7.2.4"}, {}, "pass", "All hold"),
    ({"min_version": "7.10"}, {}, "fail", "Version is 7.2.4, expected at least 7.10"),
    ({}, {"maxmemory_policy": "allkeys-lru"}, "fail", "Eviction policy is allkeys-lru, expected noeviction"),
    ({}, {"maxmemory_policy": None}, "unknown", "Eviction policy could not be read"),
    ({"eviction_policies": ["volatile-lru"]}, {"maxmemory_policy": "volatile-lru"}, "pass", "All hold"),
    ({"use": "cache"}, {"aof_enabled": False, "maxmemory_policy": "allkeys-lru"}, "pass", "All hold"),
    ({"use": "cache"}, {"aof_enabled": False}, "warn", "Eviction policy is noeviction"),
    ({"use": "cache"}, {"maxmemory_policy": None}, "unknown", "Eviction policy"),
    ({"use": "cache"}, {"maxmemory": 0}, "pass", "All hold"),
    ({}, {"aof_enabled": False}, "fail", "Append-only file is false"),
    ({"use": "store"}, {"aof_enabled": False}, "pass", "All hold"),
    ({"use": "store"}, {"aof_enabled": False, "rdb_save_points": False}, "fail", "Persistence is none"),
    ({"use": "store"}, {"aof_enabled": False, "rdb_save_points": None}, "unknown", "Persistence"),
    ({"persistence": "rdb"}, {"rdb_save_points": False}, "fail", "Snapshots is false"),
    ({}, {"aof_last_write_ok": False}, "fail", "Last append-only write is false"),
    ({}, {"aof_last_rewrite_ok": False}, "fail", "Last append-only rewrite is false"),
    ({}, {"rdb_last_save_ok": False}, "fail", "Last snapshot is false"),
    ({"max_save_age": 59}, {}, "fail", "Age of the last snapshot is 60 s"),
    ({"max_save_age": 60}, {"rdb_last_save_age": -61.0}, "unknown", "the server's clock is ahead"),
    ({"max_save_age": 3600}, {"rdb_last_save_age": -299.0}, "pass", "All hold"),
    ({"max_save_age": 3600}, {"rdb_last_save_age": -301.0}, "unknown", "the server's clock is ahead"),
    ({}, {"evicted_keys": 1}, "fail", "Evicted keys since the start is 1"),
    ({"use": "cache", "max_evicted_keys": 0}, {"evicted_keys": 1, "maxmemory": 0}, "fail", "Evicted keys"),
    ({}, {"used_memory": 901}, "fail", "Share of maxmemory in use is 0.901"),
    ({}, {"used_memory": None}, "unknown", "Share of maxmemory"),
    ({"require_maxmemory": True}, {"maxmemory": 0}, "fail", "Maxmemory is 0 bytes"),
    ({"max_clients_share": 0.05}, {}, "fail", "Share of maxclients in use is 0.1"),
    ({"max_clients_share": 0.5}, {"maxclients": None}, "unknown", "Share of maxclients"),
    ({}, {"rejected_connections": 2}, "warn", "Rejected connections since the start is 2"),
    ({"max_rejected_connections": 1}, {"rejected_connections": 2}, "fail", "Rejected connections"),
    ({"tls": "required"}, {}, "pass", "All hold"),
    ({"tls": "required"}, {"tls_version": None}, "fail", "TLS is none"),
    ({"authentication": "required"}, {}, "pass", "All hold"),
    ({"authentication": "required"}, {"open_to_strangers": True}, "fail", "Authentication is none needed"),
    ({"authentication": "required"}, {"open_to_strangers": None}, "unknown", "Authentication"),
    ({"min_replicas": 2}, {}, "fail", "Replicas is 1, expected at least 2"),
    ({"max_replica_lag_bytes": 9}, {}, "fail", "Lag of the slowest replica is 10 bytes"),
    ({"max_replica_lag_bytes": 9}, {"replica_lag_bytes": None}, "unknown", "Lag of the slowest replica"),
    ({"cluster": "required"}, {}, "fail", "Cluster mode is false"),
    ({"cluster": "refused"}, {"cluster_enabled": True}, "fail", "Cluster mode is true"),
    (
        {"cluster": "required", "min_cluster_nodes": 6},
        {"cluster_enabled": True, "cluster_state": "ok", "cluster_slots_ok": 16383, "cluster_nodes": 5},
        "fail",
        "Served hash slots is 16383, expected 16384; cluster nodes is 5",
    ),
    ({"queues": [{"name": "celery", "max_length": 2}]}, {}, "fail", "Length of queue celery is 3 messages"),
    ({"queues": [{"name": "mail", "max_length": 2}]}, {}, "unknown", "Length of queue mail"),
    ({"min_hit_ratio": 0.9}, {}, "pass", "All hold"),
    ({"min_hit_ratio": 0.91}, {}, "fail", "Hit ratio is 0.9"),
    ({"min_hit_ratio": 0.9}, {"keyspace_hits": 0, "keyspace_misses": None}, "unknown", "Hit ratio is unknown"),
    (
        {"key_prefixes": [{"prefix": "session:", "min_keys": 11, "min_ttl_share": 1, "max_ttl": 3599}]},
        {"key_samples": (SAMPLE,)},
        "fail",
        "Keys with the prefix session: is 10, expected at least 11; share of session: keys that expire is 0.9",
    ),
    (
        {"key_prefixes": [{"prefix": "session:", "min_keys": 0, "min_ttl_share": 1}]},
        {"key_samples": (KeySample("session:", 0, 0, None, True),)},
        "unknown",
        "Share of session: keys",
    ),
    ({"canary": True}, {"canary": CAME_BACK}, "pass", "All hold"),
    ({"canary": True}, {"canary": Canary("refused: OOM")}, "fail", "Canary is refused: OOM"),
    ({"canary": True, "min_canary_replicas": 1}, {"canary": CAME_BACK}, "unknown", "took the canary could not be read"),
    (
        {"canary": True, "min_canary_replicas": 2},
        {"canary": Canary("came back", 0.1, replicas=1)},
        "fail",
        "Replicas that took the canary is 1, expected at least 2",
    ),
    ({"canary": True, "min_canary_replicas": 1}, {"canary": Canary("came back", 0.1, replicas=1)}, "pass", "All hold"),
    (
        {"canary": True, "min_canary_replicas": 1},
        {"canary": Canary("refused: OOM")},
        "fail",
        "Canary is refused: OOM, expected",
    ),
    (FSYNCED, {"canary": Canary("came back", 0.1, is_on_disk=True)}, "pass", "All hold"),
    (
        FSYNCED,
        {"canary": Canary("came back", 0.1, is_on_disk=False)},
        "fail",
        "Canary on disk is not synchronised in time",
    ),
    (
        FSYNCED,
        {"canary": Canary("came back", 0.1, is_on_disk=False, disk_problem="no file")},
        "fail",
        "Canary on disk is no file",
    ),
    (
        FSYNCED,
        {"canary": Canary("came back", 0.1, disk_problem="unknown command")},
        "unknown",
        "Canary on disk is unknown: unknown command",
    ),
    ({"max_unsaved_changes": 7}, {}, "pass", "All hold"),
    ({"max_unsaved_changes": 6}, {}, "fail", "Changes since the last snapshot is 7, expected at most 6"),
    ({"max_unsaved_changes": 6}, {"rdb_changes_since_last_save": None}, "unknown", "Changes since the last snapshot"),
    ({"max_delayed_fsyncs": 2}, {}, "pass", "All hold"),
    ({"max_delayed_fsyncs": 1}, {}, "fail", "Delayed fsyncs since the start is 2, expected at most 1"),
    (
        {"max_delayed_fsyncs": 1},
        {"delayed_fsyncs": None},
        "unknown",
        "Delayed fsyncs since the start could not be read",
    ),
    ({"max_replica_lag_seconds": 1}, {}, "pass", "All hold"),
    ({"max_replica_lag_seconds": 0}, {}, "fail", "Time since the slowest replica acknowledged is 1 s"),
    ({"max_replica_lag_seconds": 9}, {"replica_lag_seconds": None}, "unknown", "Time since the slowest replica"),
    (
        {"max_replica_lag_seconds": 0, "role": "replica"},
        {"role": "replica"},
        "fail",
        "Time since the master was heard is 1 s",
    ),
    ({"max_blocked_share": 0.04}, {}, "pass", "All hold"),
    ({"max_blocked_share": 0.03}, {}, "fail", "Share of maxclients that wait in a blocking command is 0.04"),
    ({"max_blocked_share": 0.5}, {"blocked_clients": None}, "unknown", "wait in a blocking command could not be read"),
    ({"watch": 5}, {"evicted_keys": 9, "rejected_connections": 9, "counted": NOTHING_NEW}, "pass", "All hold"),
    (
        {"watch": 5},
        {"counted": dataclasses.replace(NOTHING_NEW, evicted_keys=1)},
        "fail",
        "Evicted keys within 5 s is 1, expected at most 0",
    ),
    (
        {"watch": 5},
        {"counted": dataclasses.replace(NOTHING_NEW, rejected_connections=1)},
        "warn",
        "Rejected connections within 5 s is 1",
    ),
    (
        {"watch": 5, "max_delayed_fsyncs": 0},
        {"counted": dataclasses.replace(NOTHING_NEW, delayed_fsyncs=1)},
        "fail",
        "Delayed fsyncs within 5 s is 1",
    ),
    (
        {"watch": 5},
        {"counted": dataclasses.replace(NOTHING_NEW, evicted_keys=None)},
        "unknown",
        "Evicted keys within 5 s could not be read",
    ),
    ({"watch": 5}, {}, "unknown", "Evicted keys within 5 s could not be read"),
    ({}, {"other_keys": dataclasses.replace(CACHED, found=100)}, "pass", "All hold"),
    ({}, {"other_keys": dataclasses.replace(CACHED, found=100, is_complete=False)}, "pass", "All hold"),
    (
        {},
        {"other_keys": CACHED},
        "warn",
        "Keys that no queue has are 101 of 150, 90 with a time to live, of them 80 session:*; expected at most 100",
    ),
    (
        {},
        {"other_keys": SAMPLED},
        "warn",
        "Keys that no queue has are 77 of 2000 looked at (about 7700 of all 200000), 70 with",
    ),
    ({}, {"other_keys": dataclasses.replace(SAMPLED, keys=2100)}, "pass", "All hold"),
    (
        {"max_other_keys": 77},
        {"other_keys": SAMPLED},
        "unknown",
        "(about 7700 of all 200000): only all of them would tell",
    ),
    ({"max_other_keys": 76}, {"other_keys": SAMPLED}, "fail", "77 of 2000 looked at (about 7700 of all 200000)"),
    (
        {},
        {"other_keys": REFUSED},
        "warn",
        "60 of 150, and 41 that this user may not read: too few could be read to tell",
    ),
    ({}, {"other_keys": dataclasses.replace(REFUSED, refused=40)}, "pass", "All hold"),
    ({}, {"other_keys": dataclasses.replace(SAMPLED, found=0, refused=2)}, "warn", "0 of 2000 looked at (about 0 of"),
    ({"max_other_keys": 100}, {"other_keys": REFUSED}, "unknown", "41 that this user may not read: too few"),
    ({"max_other_keys": 101}, {"other_keys": REFUSED}, "pass", "All hold"),
    ({"max_other_keys": 59}, {"other_keys": REFUSED}, "fail", "are 60 of 150, and 41 that this user may not read"),
    ({"max_other_keys": 101}, {"other_keys": CACHED}, "pass", "All hold"),
    ({"max_other_keys": 100}, {"other_keys": CACHED}, "fail", "Keys that no queue has are 101"),
    (
        {"max_other_keys": 101},
        {"other_keys": dataclasses.replace(CACHED, is_complete=False)},
        "unknown",
        "are 101 of 150 looked at (about 101 of all 150): only all of them would tell",
    ),
    ({}, {"other_keys": OtherKeys(0, 0, 0, {}, False, "no SCAN")}, "warn", "could not be counted: no SCAN"),
    (
        {"max_other_keys": 0},
        {"other_keys": OtherKeys(0, 0, 0, {}, False, "no SCAN")},
        "unknown",
        "could not be counted: no SCAN",
    ),
    ({"use": "store"}, {"other_keys": CACHED}, "pass", "All hold"),
    ({"canary": True}, {}, "unknown", "Canary was not run in check mode"),
]


@pytest.mark.parametrize(("options", "facts", "status", "said"), CASES)
def test_one_fact_decides(options: dict[str, t.Any], facts: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(options, **facts)
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


@pytest.mark.parametrize("option", ["queues", "key_prefixes", "eviction_policies"])
def test_an_empty_list_is_refused(option: str) -> None:
    with pytest.raises(BadInput, match=f"{option} is an empty list"):
        check.gather(params(**{option: []}), run=Run(timeout_seconds=1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_other_keys": 5, "use": "cache"}, "max_other_keys is for a broker"),
        ({"watch": 0}, "watch is 0, expected more than 0 seconds"),
        ({"min_canary_replicas": 1}, "are of the canary"),
        ({"canary_persistence": "fsync"}, "are of the canary"),
    ],
)
def test_an_option_of_which_nothing_would_come_is_refused(options: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check.gather(params(**options), run=Run(timeout_seconds=1))


def test_evidence_is_json() -> None:
    facts = dataclasses.replace(
        HEALTHY, key_samples=(SAMPLE,), other_keys=CACHED, counted=NOTHING_NEW, canary=CAME_BACK
    )
    evidence = json.loads(json.dumps(check.evidence(facts)))
    assert evidence["key_samples"][0]["seen"] == 10
    assert evidence["canary"]["outcome"] == "came back"


def facts_of(info: dict[str, t.Any]) -> Facts:
    names = ("rdb_save_points", "tls_version", "open_to_strangers", "other_keys", "counted", "canary")
    nothing = dict.fromkeys(names, None)
    return check.facts_of(info, server="s", now=0.0, cluster={}, queue_lengths={}, key_samples=(), **nothing)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"role": "master", "slave0": {"state": "online", "lag": 1}, "slave1": {"state": "online", "lag": 4}}, 4),
        ({"role": "master", "slave0": {"state": "online", "lag": 1}, "slave1": {"state": "online"}}, None),
        ({"role": "master", "slave0": {"state": "wait_bgsave", "lag": 9}}, None),
        ({"role": "slave", "master_last_io_seconds_ago": 3}, 3),
        ({"role": "slave", "master_last_io_seconds_ago": -1}, None),
        ({"role": "slave"}, None),
    ],
)
def test_lag_in_seconds_is_the_slowest_replicas_or_the_masters_silence(
    told: dict[str, t.Any], expected: int | None
) -> None:
    assert facts_of({"redis_version": "7", **told}).replica_lag_seconds == expected


def test_a_sparse_info_leaves_facts_unknown_and_never_raises() -> None:
    facts = facts_of({"redis_version": "2.8"})
    judgement = Judgement.of(check.judge(facts, params(role="any")))
    assert judgement.status == "unknown"


def test_replicas_that_are_not_online_do_not_count() -> None:
    info = {
        "redis_version": "7.0",
        "valkey_version": "9.1",
        "role": "master",
        "master_repl_offset": 100,
        "slave0": {"state": "online", "offset": 40},
        "slave1": {"state": "wait_bgsave", "offset": 0},
        "db0": {"keys": 3},
        "db1": {"keys": 4},
    }
    facts = facts_of(info)
    assert (facts.replicas_online, facts.replica_lag_bytes, facts.keys, facts.version) == (1, 60, 7, "9.1")


@given(used=st.integers(0, 10**12), limit=st.integers(1, 10**12), share=st.floats(0, 1))
def test_memory_passes_exactly_when_the_share_is_not_exceeded(used: int, limit: int, share: float) -> None:
    status = judged({"max_memory_share": share}, used_memory=used, maxmemory=limit).status
    assert status == ("pass" if round(used / limit, 4) <= share else "fail")
