# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a Redis server: does it keep what it is given, and is it fit to carry jobs?"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import broker_keys
from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._core import versions
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import REDIS, Constraints, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, TimedOut, UnexpectedAnswer
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

NAME = "check_redis"

ARGUMENT_SPEC: Spec = compose(
    REDIS,
    {
        "use": {"type": "str", "choices": ["broker", "cache", "store"], "default": "broker"},
        "eviction_policies": {"type": "list", "elements": "str"},
        "persistence": {"type": "str", "choices": ["aof", "rdb", "either", "optional"]},
        "max_save_age": {"type": "float"},
        "max_unsaved_changes": {"type": "int"},
        "max_delayed_fsyncs": {"type": "int"},
        "min_version": {"type": "str"},
        "role": {"type": "str", "choices": ["master", "replica", "any"], "default": "master"},
        "min_replicas": {"type": "int"},
        "max_replica_lag_bytes": {"type": "int"},
        "max_replica_lag_seconds": {"type": "float"},
        "cluster": {"type": "str", "choices": ["required", "refused", "any"], "default": "any"},
        "min_cluster_nodes": {"type": "int"},
        "tls": {"type": "str", "choices": ["required", "optional"], "default": "optional"},
        "authentication": {"type": "str", "choices": ["required", "optional"], "default": "optional"},
        "max_memory_share": {"type": "float", "default": 0.9},
        "require_maxmemory": {"type": "bool", "default": False},
        "max_clients_share": {"type": "float"},
        "max_blocked_share": {"type": "float"},
        "max_rejected_connections": {"type": "int"},
        "max_evicted_keys": {"type": "int", "no_log": False},
        "watch": {"type": "float"},
        "min_hit_ratio": {"type": "float"},
        "queues": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "max_length": {"type": "int", "required": True},
            },
        },
        "max_other_keys": {"type": "int", "no_log": False},
        "global_keyprefix": {"type": "str", "default": "", "no_log": False},
        "key_prefixes": {
            "type": "list",
            "elements": "dict",
            "no_log": False,
            "options": {
                "prefix": {"type": "str", "required": True},
                "min_keys": {"type": "int", "default": 1, "no_log": False},
                "min_ttl_share": {"type": "float"},
                "max_ttl": {"type": "float"},
                "sample": {"type": "int", "default": 1000},
            },
        },
        "canary": {"type": "bool", "default": False},
        "canary_persistence": {"type": "str", "choices": ["fsync", "any"], "default": "any"},
        "min_canary_replicas": {"type": "int"},
    },
)
CONSTRAINTS: Constraints = {}

#: kombu's separator between a queue's name and its priority; priorities are cut to 0..9.
PRIORITY_SEPARATOR = "\x06\x16"
CANARY_SECONDS = 30
#: How long the canary's key may take to the disk and to the replicas, in seconds.
ACKNOWLEDGED_SECONDS = 5.0
_DEFAULT_POLICIES = {"broker": ["noeviction"], "store": ["noeviction"]}
_DEFAULT_PERSISTENCE = {"broker": "aof", "store": "either", "cache": "optional"}


@dataclasses.dataclass(frozen=True)
class KeySample:
    """Keys that begin with one prefix, as far as a bounded scan met them."""

    prefix: str
    seen: int
    with_ttl: int
    longest_ttl: float | None
    is_complete: bool


@dataclasses.dataclass(frozen=True)
class Counted:
    """What the server counted while it was watched; None where it does not count it, or began anew meanwhile."""

    seconds: float
    evicted_keys: int | None
    rejected_connections: int | None
    delayed_fsyncs: int | None


@dataclasses.dataclass(frozen=True)
class Canary:
    """What came of the canary's key; how far it got is None where nobody asked, or nothing can tell."""

    outcome: str
    seconds: float | None = None
    replicas: int | None = None
    is_on_disk: bool | None = None
    disk_problem: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen, in plain types; sizes in bytes, ages and times in seconds."""

    server: str
    version: str
    role: str
    is_loading: bool
    maxmemory_policy: str | None
    maxmemory: int | None
    used_memory: int | None
    aof_enabled: bool | None
    aof_last_write_ok: bool | None
    aof_last_rewrite_ok: bool | None
    rdb_save_points: bool | None
    rdb_last_save_ok: bool | None
    rdb_last_save_age: float | None
    rdb_changes_since_last_save: int | None
    delayed_fsyncs: int | None
    connected_clients: int | None
    maxclients: int | None
    blocked_clients: int | None
    rejected_connections: int | None
    evicted_keys: int | None
    keyspace_hits: int | None
    keyspace_misses: int | None
    replicas_online: int | None
    replica_lag_bytes: int | None
    replica_lag_seconds: float | None
    master_link_up: bool | None
    cluster_enabled: bool | None
    cluster_state: str | None
    cluster_slots_ok: int | None
    cluster_nodes: int | None
    tls_version: str | None
    open_to_strangers: bool | None
    queue_lengths: dict[str, int]
    key_samples: tuple[KeySample, ...]
    keys: int
    other_keys: broker_keys.OtherKeys | None
    counted: Counted | None
    canary: Canary | None
    uptime_seconds: int | None


@dataclasses.dataclass(frozen=True)
class Told:
    """What a server tells of itself, the same for every item that asks as the same user."""

    info: dict[str, t.Any]
    cluster: dict[str, str]
    rdb_save_points: bool | None
    tls_version: str | None


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask the server about itself once per server and user, and on a connection of this item what only it asks for."""
    for option in ("queues", "key_prefixes", "eviction_policies"):
        if params.get(option) is not None and not params[option]:
            raise BadInput(f"{option} is an empty list: nothing would be judged.")
    versions.require_version(params["min_version"], option="min_version")
    _require_sense(params)
    server = redis_client.parsed(params["url"])
    login = {name: params[name] for name in ("username", "password", "ca_file")}
    target = redis_client.target(params["url"], **login)
    lender = run.once(target, lambda: redis_client.Lender(server, **login))

    def told() -> Told:
        with lender.lent(deadline=run.deadline) as client:
            return _told(server, client)

    seen = run.once((*target, "told"), told)
    stranger = None
    if params["authentication"] == "required":
        stranger = run.once(
            (*target, "stranger"),
            lambda: redis_client.answers_without_password(server, deadline=run.deadline, ca_file=params["ca_file"]),
        )
    others, counted = None, None
    if params["use"] == "broker" and not _is_loading(seen.info):
        prefix = params["global_keyprefix"]
        keys = _keys_in(seen.info, f"db{server.db}")
        others = run.once((*target, "other keys", prefix), lambda: _other_keys(lender, prefix, keys, run))
    if params["watch"] is not None:
        seconds = params["watch"]
        counted = run.once((*target, "counted", seconds), lambda: _counted(server, lender, seconds, run))
    lengths: dict[str, int] = {}
    samples: tuple[KeySample, ...] = ()
    canary = None
    writes = params["canary"] and not run.check_mode
    if params["queues"] or params["key_prefixes"] or writes:
        with lender.lent(deadline=run.deadline) as client:
            for queue in params["queues"] or []:
                lengths[queue["name"]] = _queue_length(client, params["global_keyprefix"] + queue["name"])
            samples = tuple(_sampled(client, wanted, run.deadline) for wanted in params["key_prefixes"] or [])
            canary = _canary(client, params, run) if writes else None
    return facts_of(
        seen.info,
        server=server.name,
        now=run.clock.now().timestamp(),
        cluster=seen.cluster,
        rdb_save_points=seen.rdb_save_points,
        tls_version=seen.tls_version,
        open_to_strangers=stranger,
        queue_lengths=lengths,
        key_samples=samples,
        other_keys=others,
        counted=counted,
        canary=canary,
    )


def _require_sense(params: t.Mapping[str, t.Any]) -> None:
    """Raise BadInput for options that nothing would come of."""
    if params["max_other_keys"] is not None and params["use"] != "broker":
        raise BadInput("max_other_keys is for a broker.", remedy="Say use: broker, or leave it out.")
    if params["watch"] is not None and params["watch"] <= 0:
        raise BadInput(f"watch is {params['watch']:g}, expected more than 0 seconds.")
    wants_more = params["min_canary_replicas"] is not None or params["canary_persistence"] != "any"
    if wants_more and not params["canary"]:
        raise BadInput("min_canary_replicas and canary_persistence are of the canary.", remedy="Say canary: true.")


def _other_keys(lender: redis_client.Lender, global_keyprefix: str, keys: int, run: Run) -> broker_keys.OtherKeys:
    with lender.lent(deadline=run.deadline) as client:
        return broker_keys.scanned(client, global_keyprefix, run.deadline, keys=keys)


def _counted(server: redis_client.Server, lender: redis_client.Lender, seconds: float, run: Run) -> Counted:
    """What the counters of INFO grew by. Nobody's connection is held while time passes."""
    if run.deadline.remaining() <= seconds:
        raise TimedOut(
            f"Watching {server.name} for {seconds:g} s would not end within {run.deadline.seconds:g} s.",
            remedy="Watch for less, or raise timeout.",
        )
    before = _counters(server, lender, run)
    run.clock.sleep(seconds)
    after = _counters(server, lender, run)
    is_same = before["run_id"] == after["run_id"]

    def growth(name: str) -> int | None:
        then, now = _number(before, name), _number(after, name)
        return None if then is None or now is None or now < then or not is_same else now - then

    return Counted(seconds, growth("evicted_keys"), growth("rejected_connections"), growth("aof_delayed_fsync"))


def _counters(server: redis_client.Server, lender: redis_client.Lender, run: Run) -> dict[str, t.Any]:
    with lender.lent(deadline=run.deadline) as client:
        info = read_info(server, client)
    names = ("run_id", "evicted_keys", "rejected_connections", "aof_delayed_fsync")
    return {name: info.get(name) for name in names}


def _told(server: redis_client.Server, client: t.Any) -> Told:
    info = read_info(server, client)
    return Told(
        info=info,
        cluster=_cluster_info(client, info),
        rdb_save_points=_has_save_points(client),
        tls_version=redis_client.tls_version(client) if server.is_tls else None,
    )


def read_info(server: redis_client.Server, client: t.Any) -> dict[str, t.Any]:
    """All of INFO, or UnexpectedAnswer when it lacks a version."""
    info = client.info("everything")
    if not isinstance(info, dict) or "redis_version" not in info:
        raise UnexpectedAnswer(f"{server.name} answered INFO without a version; is it a Redis?")
    return t.cast("dict[str, t.Any]", info)


def _cluster_info(client: t.Any, info: t.Mapping[str, t.Any]) -> dict[str, str]:
    if not info.get("cluster_enabled"):
        return {}
    answer = client.execute_command("CLUSTER INFO")
    if isinstance(answer, dict):
        return {str(name): str(value) for name, value in answer.items()}
    return dict(line.split(":", 1) for line in redis_client.text(answer).splitlines() if ":" in line)


def _has_save_points(client: t.Any) -> bool | None:
    """Whether snapshots are taken by themselves; None where CONFIG is not allowed, as on managed servers."""
    try:
        answer = client.config_get("save")
    except require("redis").exceptions.ResponseError:
        return None
    values = list(answer.values())
    return bool(values[0]) if values else None


def _queue_length(client: t.Any, queue: str) -> int:
    pipe = client.pipeline(transaction=False)
    for key in [queue, *(f"{queue}{PRIORITY_SEPARATOR}{priority}" for priority in range(1, 10))]:
        pipe.llen(key)
    return sum(pipe.execute())


def _sampled(client: t.Any, wanted: t.Mapping[str, t.Any], deadline: Deadline) -> KeySample:
    """Scan until ``sample`` keys of the prefix were met or the key space ended."""
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", wanted["prefix"]) + "*"
    seen: dict[bytes, None] = {}
    cursor = 0
    while True:
        deadline.require(f"Scanning for keys with the prefix {wanted['prefix']}")
        cursor, keys = client.scan(cursor=cursor, match=pattern, count=1000)
        seen.update(dict.fromkeys(keys))
        if cursor == 0 or len(seen) >= wanted["sample"]:
            break
    sampled = list(seen)[: wanted["sample"]]
    pipe = client.pipeline(transaction=False)
    for name in sampled:
        pipe.pttl(name)
    lives = [int(life) for life in pipe.execute()]
    limited = [life / 1000 for life in lives if life >= 0]
    alive = sum(life != -2 for life in lives)  # -2: it expired between SCAN and PTTL
    return KeySample(wanted["prefix"], alive, len(limited), max(limited, default=None), cursor == 0)


def _canary(client: t.Any, params: t.Mapping[str, t.Any], run: Run) -> Canary:
    """Write, read and delete one key that expires by itself, and see it to the disk and to the replicas if asked for."""
    key, value = f"{params['global_keyprefix']}opsready:canary:{secrets.token_hex(8)}", secrets.token_hex(16)
    began = run.clock.monotonic()
    refusal = require("redis").exceptions.ResponseError
    try:
        with run.trace():
            try:
                client.set(key, value, ex=CANARY_SECONDS)
                came_back = redis_client.text(client.get(key) or b"")
                seconds = run.clock.monotonic() - began
                replicas = _replicas_reached(client, params["min_canary_replicas"], run)
                is_on_disk, disk_problem = _reached_the_disk(client, params["canary_persistence"], run)
            except BaseException:
                # What went wrong says more than that the key cannot be deleted; it expires by itself.
                with contextlib.suppress(require("redis").exceptions.RedisError):
                    client.delete(key)
                raise
            client.delete(key)
    except refusal as problem:
        return Canary(f"refused: {problem}")
    if came_back != value:
        return Canary("lost: the key did not come back as it was written")
    return Canary("came back", seconds, replicas, is_on_disk, disk_problem)


def _patience(run: Run) -> int:
    """Milliseconds that an acknowledgement is waited for: less than the answer itself may take."""
    return max(1, int(1000 * min(ACKNOWLEDGED_SECONDS, run.deadline.remaining() / 3)))


def _replicas_reached(client: t.Any, wanted: int | None, run: Run) -> int | None:
    """How many replicas have the last write; None where nobody asked, or this user may not."""
    if wanted is None:
        return None
    try:
        return int(client.execute_command("WAIT", wanted, _patience(run)))
    except require("redis").exceptions.ResponseError:
        return None


def _reached_the_disk(client: t.Any, wanted: str, run: Run) -> tuple[bool | None, str]:
    """Whether this server's append-only file was synchronised after the last write, or why that cannot be told."""
    if wanted != "fsync":
        return None, ""
    try:
        local, _replicas = client.execute_command("WAITAOF", 1, 0, _patience(run))
    except require("redis").exceptions.ResponseError as problem:
        said = str(problem).rstrip(".")
        return (False if "appendonly is disabled" in said else None), said
    return int(local) >= 1, ""


def _number(info: t.Mapping[str, t.Any], name: str) -> int | None:
    value = info.get(name)
    return int(value) if isinstance(value, (int, float)) else None


def _keys_in(info: t.Mapping[str, t.Any], databases: str) -> int:
    return sum(int(value.get("keys", 0)) for name, value in info.items() if re.fullmatch(databases, name))


def _is_ok(info: t.Mapping[str, t.Any], name: str) -> bool | None:
    return None if name not in info else str(info[name]) == "ok"


def _is_loading(info: t.Mapping[str, t.Any]) -> bool:
    return bool(info.get("loading", 0)) or bool(info.get("async_loading", 0))


def _lag_seconds(info: t.Mapping[str, t.Any], online: t.Sequence[t.Mapping[str, t.Any]]) -> int | None:
    """On a replica the time since its master was last heard, else that since the slowest replica acknowledged."""
    if info.get("role") == "slave":
        silence = _number(info, "master_last_io_seconds_ago")
        return None if silence is None or silence < 0 else silence  # -1: there is no link
    lags = [_number(replica, "lag") for replica in online]
    known = [lag for lag in lags if lag is not None and lag >= 0]
    return max(known) if known and len(known) == len(lags) else None


def facts_of(
    info: t.Mapping[str, t.Any], *, server: str, now: float, cluster: t.Mapping[str, str], **seen: t.Any
) -> Facts:
    """INFO in plain types; a field that the server does not tell is None."""
    offset = _number(info, "master_repl_offset")
    replicas = [value for name, value in info.items() if re.fullmatch(r"slave\d+", name) and isinstance(value, dict)]
    online = [replica for replica in replicas if replica.get("state") == "online"]
    lags = [offset - int(replica["offset"]) for replica in online if offset is not None and "offset" in replica]
    hits, misses = _number(info, "keyspace_hits"), _number(info, "keyspace_misses")
    saved = _number(info, "rdb_last_save_time")
    role = str(info.get("role", ""))
    keys = _keys_in(info, r"db\d+")
    return Facts(
        server=server,
        version=str(info.get("valkey_version", info["redis_version"])),
        role="replica" if role == "slave" else role,
        is_loading=_is_loading(info),
        maxmemory_policy=str(info["maxmemory_policy"]) if "maxmemory_policy" in info else None,
        maxmemory=_number(info, "maxmemory"),
        used_memory=_number(info, "used_memory"),
        aof_enabled=bool(info["aof_enabled"]) if "aof_enabled" in info else None,
        aof_last_write_ok=_is_ok(info, "aof_last_write_status"),
        aof_last_rewrite_ok=_is_ok(info, "aof_last_bgrewrite_status"),
        rdb_last_save_ok=_is_ok(info, "rdb_last_bgsave_status"),
        rdb_last_save_age=None if saved is None else now - saved,
        rdb_changes_since_last_save=_number(info, "rdb_changes_since_last_save"),
        delayed_fsyncs=_number(info, "aof_delayed_fsync"),
        connected_clients=_number(info, "connected_clients"),
        maxclients=_number(info, "maxclients"),
        blocked_clients=_number(info, "blocked_clients"),
        rejected_connections=_number(info, "rejected_connections"),
        evicted_keys=_number(info, "evicted_keys"),
        keyspace_hits=hits,
        keyspace_misses=misses,
        replicas_online=len(online),
        replica_lag_bytes=max(lags, default=None),
        replica_lag_seconds=_lag_seconds(info, online),
        master_link_up=None if role != "slave" else str(info.get("master_link_status")) == "up",
        cluster_enabled=bool(info["cluster_enabled"]) if "cluster_enabled" in info else None,
        cluster_state=cluster.get("cluster_state"),
        cluster_slots_ok=int(cluster["cluster_slots_ok"]) if "cluster_slots_ok" in cluster else None,
        cluster_nodes=int(cluster["cluster_known_nodes"]) if "cluster_known_nodes" in cluster else None,
        keys=keys,
        uptime_seconds=_number(info, "uptime_in_seconds"),
        **seen,
    )


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Judge what was seen; pure."""
    use = params["use"]
    yield holds(
        "data set",
        not facts.is_loading,
        measured="loading" if facts.is_loading else "loaded",
        expected="loaded",
        remedy="Wait until the server has loaded its data.",
    )
    if params["min_version"]:
        yield holds(
            "version",
            versions.is_at_least(facts.version, params["min_version"]),
            measured=facts.version,
            expected=f"at least {params['min_version']}",
            remedy="Upgrade the server.",
        )
    if params["role"] != "any":
        yield one_of("role", facts.role, [params["role"]], remedy="Point url at the right node, or fail over.")
    if facts.master_link_up is not None:
        yield one_of("link to the master", facts.master_link_up, [True], remedy="Look at the replica's log.")
    yield from _judge_keeping(facts, params)
    yield from _judge_memory(facts, params)
    yield from _judge_access(facts, params)
    yield from _judge_replication(facts, params)
    queues = params["queues"] or []
    for label, queue in zip(told_apart(queue["name"] for queue in queues), queues):
        yield at_most(
            f"length of queue {label}",
            facts.queue_lengths.get(queue["name"]),
            queue["max_length"],
            unit="messages",
            remedy="Start workers for it, or find out why they do not keep up.",
        )
    if use == "broker" and (not facts.is_loading or params["max_other_keys"] is not None):
        yield broker_keys.judge(facts.other_keys, params["max_other_keys"])
    if params["min_hit_ratio"] is not None:
        yield _hit_ratio(facts, params["min_hit_ratio"])
    prefixes = params["key_prefixes"] or []
    labels = told_apart(wanted["prefix"] for wanted in prefixes)
    for label, wanted, sample in zip(labels, prefixes, facts.key_samples):
        yield from _judge_sample(label, sample, wanted)
    if params["canary"]:
        yield from _judge_canary(facts.canary, params)


def _judge_save_age(age: float | None, bound: float) -> Criterion:
    """A server's clock that is ahead hides as much of the age, so it may be no further than the age that is allowed."""
    name = "age of the last snapshot"
    if age is not None and -age > min(CLOCKS_DIFFER, bound):
        return unknown(
            name,
            f"{name} is unknown: the server's clock is ahead, as it took the snapshot {-age:.0f} s after what this host's clock shows",
            remedy="Set the clocks of both by NTP.",
        )
    return at_most(name, None if age is None else max(0.0, age), bound, unit="s", remedy="Run BGSAVE.")


def _judge_keeping(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Does it keep what it is given?"""
    use = params["use"]
    policies = params["eviction_policies"] or _DEFAULT_POLICIES.get(use)
    if policies:
        yield one_of(
            "eviction policy",
            facts.maxmemory_policy,
            policies,
            remedy=f"A {use} that evicts loses what it was given: CONFIG SET maxmemory-policy {policies[0]}.",
        )
    elif facts.maxmemory:
        yield holds(
            "eviction policy",
            None if facts.maxmemory_policy is None else facts.maxmemory_policy != "noeviction",
            measured=facts.maxmemory_policy,
            expected="one that evicts",
            remedy="A full cache that does not evict refuses writes: CONFIG SET maxmemory-policy allkeys-lru.",
            level="warn",
        )
    wanted = params["persistence"] or _DEFAULT_PERSISTENCE[use]
    if wanted == "aof":
        yield one_of("append-only file", facts.aof_enabled, [True], remedy="CONFIG SET appendonly yes.")
    elif wanted == "rdb":
        yield one_of("snapshots", facts.rdb_save_points, [True], remedy="CONFIG SET save '3600 1 300 100'.")
    elif wanted == "either":
        known = [facts.aof_enabled, facts.rdb_save_points]
        truth = True if True in known else None if None in known else False
        yield holds(
            "persistence",
            truth,
            measured="some" if truth else "none",
            expected="append-only file or snapshots",
            remedy="CONFIG SET appendonly yes.",
        )
    if facts.aof_enabled:
        yield one_of(
            "last append-only write", facts.aof_last_write_ok, [True], remedy="Look at disk space and the log."
        )
        yield one_of("last append-only rewrite", facts.aof_last_rewrite_ok, [True], remedy="Look at disk and memory.")
    if facts.rdb_save_points or wanted == "rdb":
        yield one_of("last snapshot", facts.rdb_last_save_ok, [True], remedy="Look at disk, memory and the log.")
    if params["max_save_age"] is not None:
        yield _judge_save_age(facts.rdb_last_save_age, params["max_save_age"])
    if params["max_unsaved_changes"] is not None:
        yield at_most(
            "changes since the last snapshot",
            facts.rdb_changes_since_last_save,
            params["max_unsaved_changes"],
            remedy="Run BGSAVE, or CONFIG SET save to take snapshots more often.",
        )
    since, counted = _growth(facts, params)
    if params["max_delayed_fsyncs"] is not None:
        yield at_most(
            f"delayed fsyncs {since}",
            counted.delayed_fsyncs,
            params["max_delayed_fsyncs"],
            remedy="The disk is too slow for the append-only file. They are counted where one is written.",
        )
    most_evicted = params["max_evicted_keys"]
    if most_evicted is None and use != "cache":
        most_evicted = 0
    if most_evicted is not None:
        yield at_most(
            f"evicted keys {since}",
            counted.evicted_keys,
            most_evicted,
            remedy="Keys were lost already: find out which, then CONFIG RESETSTAT."
            if params["watch"] is None
            else "Keys are being lost: raise maxmemory, or find out what fills it.",
        )


def _growth(facts: Facts, params: t.Mapping[str, t.Any]) -> tuple[str, Counted]:
    """Since when was counted, and what."""
    if params["watch"] is None:
        whole = Counted(0.0, facts.evicted_keys, facts.rejected_connections, facts.delayed_fsyncs)
        return "since the start", whole
    return f"within {params['watch']:g} s", facts.counted or Counted(params["watch"], None, None, None)


def _judge_memory(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["require_maxmemory"]:
        yield at_least(
            "maxmemory", facts.maxmemory, 1, unit="bytes", remedy="CONFIG SET maxmemory to what the host can give."
        )
    if facts.maxmemory:
        share = None if facts.used_memory is None else round(facts.used_memory / facts.maxmemory, 4)
        yield at_most(
            "share of maxmemory in use", share, params["max_memory_share"], remedy="Raise maxmemory or free keys."
        )
    if params["max_clients_share"] is not None:
        known = facts.connected_clients is not None and facts.maxclients
        share = round((facts.connected_clients or 0) / (facts.maxclients or 1), 4) if known else None
        yield at_most("share of maxclients in use", share, params["max_clients_share"], remedy="Raise maxclients.")
    if params["max_blocked_share"] is not None:
        known = facts.blocked_clients is not None and facts.maxclients
        share = round((facts.blocked_clients or 0) / (facts.maxclients or 1), 4) if known else None
        yield at_most(
            "share of maxclients that wait in a blocking command",
            share,
            params["max_blocked_share"],
            remedy="CLIENT LIST shows who waits: too many workers, or ones that were left behind. Raise maxclients.",
        )
    since, counted = _growth(facts, params)
    most_rejected = params["max_rejected_connections"]
    yield at_most(
        f"rejected connections {since}",
        counted.rejected_connections,
        0 if most_rejected is None else most_rejected,
        remedy="Clients were turned away at maxclients: raise it, then CONFIG RESETSTAT."
        if params["watch"] is None
        else "Clients are being turned away at maxclients: raise it.",
        level="warn" if most_rejected is None else "fail",
    )


def _judge_access(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["tls"] == "required":
        yield holds(
            "TLS",
            facts.tls_version is not None,
            measured=facts.tls_version or "none",
            expected="an encrypted connection",
            remedy="Give the server tls-port and a certificate, and use rediss://.",
        )
    if params["authentication"] == "required":
        is_open = facts.open_to_strangers
        yield holds(
            "authentication",
            None if is_open is None else not is_open,
            measured="none needed" if is_open else "needed",
            expected="needed",
            remedy="Set requirepass or an access control list.",
        )


def _judge_replication(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["min_replicas"] is not None:
        yield at_least("replicas", facts.replicas_online, params["min_replicas"], remedy="Start the missing replicas.")
    if params["max_replica_lag_bytes"] is not None:
        yield at_most(
            "lag of the slowest replica",
            facts.replica_lag_bytes,
            params["max_replica_lag_bytes"],
            unit="bytes",
            remedy="Look at INFO replication on both: a replica that lags is short of network, disk or processor.",
        )
    if params["max_replica_lag_seconds"] is not None:
        yield at_most(
            "time since the master was heard"
            if facts.role == "replica"
            else "time since the slowest replica acknowledged",
            facts.replica_lag_seconds,
            params["max_replica_lag_seconds"],
            unit="s",
            remedy="Look at the replica's log and at the network; without a link, or a replica, nothing can tell.",
        )
    if params["cluster"] != "any":
        yield one_of(
            "cluster mode", facts.cluster_enabled, [params["cluster"] == "required"], remedy="Set cluster-enabled."
        )
    if facts.cluster_enabled and params["cluster"] == "required":
        yield one_of("cluster state", facts.cluster_state, ["ok"], remedy="CLUSTER NODES shows what is missing.")
        yield one_of("served hash slots", facts.cluster_slots_ok, [16384], remedy="redis-cli --cluster fix.")
    if params["min_cluster_nodes"] is not None:
        yield at_least(
            "cluster nodes",
            facts.cluster_nodes,
            params["min_cluster_nodes"],
            remedy="Start the missing nodes: redis-cli cluster nodes tells which have failed.",
        )


def _hit_ratio(facts: Facts, bound: float) -> Criterion:
    asked = (facts.keyspace_hits or 0) + (facts.keyspace_misses or 0)
    if asked == 0:
        return unknown("hit ratio", "hit ratio is unknown: no key was read since the start")
    return at_least("hit ratio", round((facts.keyspace_hits or 0) / asked, 4), bound, remedy="Look at keys and TTLs.")


def _judge_sample(label: str, sample: KeySample, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    yield at_least(f"keys with the prefix {label}", sample.seen, wanted["min_keys"])
    if wanted["min_ttl_share"] is not None:
        share = round(sample.with_ttl / sample.seen, 4) if sample.seen else None
        yield at_least(f"share of {label} keys that expire", share, wanted["min_ttl_share"])
    if wanted["max_ttl"] is not None:
        yield at_most(f"longest time to live of {label} keys", sample.longest_ttl, wanted["max_ttl"], unit="s")


def _judge_canary(canary: Canary | None, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if canary is None:
        yield unknown("canary", "canary was not run in check mode, since it writes a key", left_out=True)
        return
    yield holds(
        "canary",
        canary.outcome == "came back",
        measured=canary.outcome,
        expected="came back",
        remedy=f"The {params['use']} does not take writes: look at role, memory and persistence errors.",
    )
    if canary.outcome != "came back":
        return
    if params["min_canary_replicas"] is not None:
        yield at_least(
            "replicas that took the canary",
            canary.replicas,
            params["min_canary_replicas"],
            remedy="What was just written is lost with this node: look at the replicas and their links.",
        )
    if params["canary_persistence"] == "fsync":
        yield _judge_disk(canary)


def _judge_disk(canary: Canary) -> Criterion:
    name = "canary on disk"
    if canary.is_on_disk is None:
        remedy = "WAITAOF is of Redis 7.2 and of Valkey; the user must be allowed to give it."
        return unknown(name, f"{name} is unknown: {canary.disk_problem}", remedy=remedy)
    return holds(
        name,
        canary.is_on_disk,
        measured="synchronised" if canary.is_on_disk else canary.disk_problem or "not synchronised in time",
        expected="synchronised",
        remedy="CONFIG SET appendonly yes, and appendfsync everysec or always; look at the disk.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON."""
    return dataclasses.asdict(facts)
