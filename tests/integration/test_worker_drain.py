# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""worker_drain against real Celery workers on a real broker: law 6, kept and broken on purpose."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import SEPARATOR, Broker
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut
from tests.conftest import ModuleRun
from tests.integration.celery_site import SECONDS, Site
from tests.servers import HangingServer, Redis, await_true

PASSWORD = "broker-canary-9c2e71"
serves = pytest.mark.serves


@pytest.fixture(scope="module")
def broker() -> t.Iterator[Redis]:
    with Redis(password=PASSWORD, config={"appendonly": "yes"}) as server:
        yield server


@pytest.fixture
def site(broker: Redis, tmp_path: Path) -> t.Iterator[Site]:
    made = Site(broker, tmp_path, 3)
    try:
        yield made
    finally:
        made.close()


def queued(site: Site, queue: str = "celery") -> list[int]:
    """The numbers that wait, from the next to be consumed on."""
    return [
        int(json.loads(raw)["headers"]["argsrepr"].strip("(),")) for raw in reversed(site.broker.lrange(queue, 0, -1))
    ]


def seen_idle(run: ModuleRun, site: Site) -> bool:
    """A task tells us that it is done a moment before its worker does."""
    return not any(worker["active"] for worker in run("worker_drain", site.args("status"))["workers"])


def octets(site: Site) -> t.Any:
    """A client that gives what lies there, undecoded."""
    import redis

    return redis.Redis.from_url(site.server.url(site.number), socket_timeout=10)


def expiries(site: Site) -> list[int]:
    """Seconds after which the broker forgets the ledger and its state; -1 where it does not."""
    return [site.broker.ttl(f"opsready:shop:ledger:r1{part}") for part in ("", ":state")]


@serves("S1.32", case="pass")
def test_a_full_drain_loses_nothing_and_every_task_runs_once(site: Site, run_module_here: ModuleRun) -> None:
    old = site.worker()
    site.send("jobs.gated", 100)
    site.started(100)
    eta_id = site.send("jobs.quick", 200, eta=dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1))
    # prefetch 1 and one running: the scheduled task is taken beside it before the others are sent
    await_true(lambda: "received" in old.log() and eta_id in old.log(), seconds=SECONDS, what="the scheduled task")
    numbers = list(range(20))
    for number in numbers:
        site.send("jobs.quick", number)

    seen = run_module_here("worker_drain", site.args("status"), secrets=[PASSWORD])
    assert not seen.get("failed"), seen
    assert [task["id"] for task in seen["workers"][0]["active"]] == [site.sent[0]]
    assert {"acks_early", "not_visible"} <= {risk["risk"] for risk in seen["risks"]}

    site.open_gate(100)
    done = run_module_here("worker_drain", site.args("drained", expected_workers=1), secrets=[PASSWORD])
    assert not done.get("failed"), done
    assert done["changed"]
    assert done["ledger"]["scheduled"] == 1
    assert done["drained_seconds"] > 0
    waiting = queued(site)
    still = set(waiting)
    # what was prefetched or taken before the consumer was cancelled ran to its end; the rest waits
    assert set(site.done()) | still >= {100, *numbers}
    assert not set(site.done()) & still

    again = run_module_here("worker_drain", site.args("drained", expected_workers=1))
    assert not again.get("failed"), again
    assert not again["changed"]

    refused = run_module_here("worker_drain", site.args("parked"))
    assert refused["failed"]
    assert "still listen: w1@test" in refused["msg"]

    assert old.terminate() == 0
    predicted = run_module_here("worker_drain", site.args("parked"), check=True, diff=True)
    assert predicted["changed"], predicted
    assert queued(site)
    parked = run_module_here("worker_drain", site.args("parked"), diff=True, secrets=[PASSWORD])
    assert not parked.get("failed"), parked
    assert parked["changed"]
    assert parked["moved"] == predicted["moved"] == len(still) + 1
    assert parked["lost"] == []
    assert site.broker.llen("celery") == 0
    assert site.broker.hlen("unacked") == 0
    assert not run_module_here("worker_drain", site.args("parked"))["changed"]

    before = dict(site.done())
    new = site.worker(name="w2")
    settled = run_module_here("worker_drain", site.args("settled"))
    assert not settled.get("failed"), settled
    assert site.done() == before  # a worker that starts now finds nothing
    assert expiries(site) == [-1, -1]

    resumed = run_module_here("worker_drain", site.args("resumed"), secrets=[PASSWORD])
    assert not resumed.get("failed"), resumed
    assert resumed["put_back"] == parked["moved"]
    assert resumed["parked_unknown"] == {}
    site.await_done({100, *numbers})
    assert set(site.done().values()) == {1}
    order = [int(number) for number in site.store.lrange("order", 0, -1)]
    # kombu itself requeues at the end what it popped while its consumer was cancelled; parking changes no place
    assert order[len(order) - len(waiting) :] == waiting
    assert not run_module_here("worker_drain", site.args("resumed"))["changed"]

    # A task has done its work a moment before its worker says that it ended.
    await_true(
        lambda: "running" not in run_module_here("worker_drain", site.args("settled"))["ledger"],
        seconds=SECONDS,
        what="the end of the last task",
    )
    balance = run_module_here("worker_drain", site.args("settled"))
    assert balance["lost"] == []
    assert balance["is_closed"]
    assert all(29 * 86400 < left <= 30 * 86400 for left in expiries(site))
    assert balance["ledger"]["scheduled"] == 1
    # none, where the worker was through with all before its consumer was cancelled
    assert balance["ledger"].get("finished", 0) == balance["ledger"]["total"] - 1
    assert run_module_here("worker_drain", site.args("forgotten"))["changed"]
    assert not run_module_here("worker_drain", site.args("forgotten"))["changed"]
    assert site.broker.keys("opsready:*") == []
    assert new.terminate() == 0
    assert site.broker.llen("celery") == 1  # the scheduled task is back, kept and not waited for


@serves("S1.32", case="fail")
def test_a_task_that_outlasts_the_limit_fails_the_drain_and_the_workers_go_on(
    site: Site, run_module_here: ModuleRun
) -> None:
    site.worker()
    running = site.send("jobs.gated", 1)
    site.started(1)
    answer = run_module_here("worker_drain", site.args("drained", timeout=3))
    assert answer["failed"]
    assert "1 tasks were still running" in answer["msg"]
    assert [task["id"] for task in answer["running"]] == [running]
    assert answer["resumed"] is True
    site.open_gate(1)
    site.send("jobs.quick", 2)
    site.await_done([1, 2])


@serves("S1.32", case="fail")
def test_a_drain_may_leave_the_workers_quiet_and_resumed_undoes_it(site: Site, run_module_here: ModuleRun) -> None:
    site.worker()
    site.send("jobs.gated", 1)
    site.started(1)
    answer = run_module_here("worker_drain", site.args("drained", timeout=3, on_timeout="fail"))
    assert answer["failed"]
    assert answer["left_quiet"] == ["w1@test"]
    site.open_gate(1)
    site.await_done([1])
    site.send("jobs.quick", 2)
    refused = run_module_here("worker_drain", site.args("forgotten"))
    assert "not yet resumed" in refused["msg"]
    resumed = run_module_here("worker_drain", site.args("resumed"))
    assert not resumed.get("failed"), resumed
    assert resumed["changed"]
    site.await_done([2])
    assert min(expiries(site)) > 0
    run_module_here("worker_drain", site.args("quieted"))
    assert expiries(site) == [-1, -1]  # it is written again, so it is open again


def test_quieted_workers_take_nothing_until_they_are_resumed(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    predicted = run_module_here("worker_drain", site.args("quieted"), check=True)
    assert predicted["changed"], predicted
    site.send("jobs.quick", 1)
    site.await_done([1])
    assert run_module_here("worker_drain", site.args("quieted"))["changed"]
    assert not run_module_here("worker_drain", site.args("quieted"))["changed"]
    assert not run_module_here("worker_drain", site.args("quieted"), check=True)["changed"]
    site.send("jobs.quick", 2)
    site.send("jobs.unheard_of", 3)
    seen = run_module_here("worker_drain", site.args("status"))
    assert seen["workers"][0]["queues"] == []
    assert seen["waiting_by_task"] == {"jobs.quick": 1, "jobs.unheard_of": 1}
    resumed = run_module_here("worker_drain", site.args("resumed"))
    assert list(resumed["parked_unknown"]) == ["jobs.unheard_of"]
    assert "jobs.unheard_of" in str(resumed["warnings"])
    site.await_done([1, 2])
    assert "unregistered" not in worker.log()
    refused = run_module_here("worker_drain", site.args("forgotten"))
    assert "still parked: jobs.unheard_of" in refused["msg"]


@serves("S1.32", case="fail")
def test_a_worker_that_cannot_answer_is_unknown_and_nothing_is_changed(site: Site, run_module_here: ModuleRun) -> None:
    site.worker(pool="solo")
    site.send("jobs.gated", 1)
    site.started(1)
    answer = run_module_here("worker_drain", site.args("drained", reply_timeout=1))
    assert answer["failed"]
    assert answer["error"] == "TimedOut"
    assert "0 of 1 workers answered ping within 1 s" in answer["msg"]
    assert site.broker.keys("opsready:*") == []
    site.open_gate(1)
    site.send("jobs.quick", 2)
    site.await_done([1, 2])


def test_one_silent_worker_of_two_is_seen(site: Site, run_module_here: ModuleRun) -> None:
    silent = site.worker()
    site.worker(name="w2")
    os.killpg(silent.process.pid, signal.SIGSTOP)
    try:
        answer = run_module_here("worker_drain", site.args("status", reply_timeout=1))
    finally:
        os.killpg(silent.process.pid, signal.SIGCONT)
    assert "1 of 2 workers answered ping within 1 s. Answered: w2@test." in answer["msg"]
    short = run_module_here("worker_drain", site.args("status", expected_workers=3))
    assert "2 workers answered, expected 3: w1@test, w2@test" in short["msg"]


def test_two_workers_of_one_name_are_refused(site: Site, run_module_here: ModuleRun) -> None:
    site.worker()
    site.worker()
    answer = run_module_here("worker_drain", site.args("quieted"))
    assert "2 workers answered under 1 names" in answer["msg"]


def test_a_worker_killed_while_it_is_drained_leaves_the_ids_it_ran(
    site: Site, run_module: ModuleRun, run_module_here: ModuleRun
) -> None:
    worker = site.worker()
    running = site.send("jobs.gated", 1)
    site.started(1)
    site.send("jobs.quick", 2)
    held: list[dict[str, t.Any]] = []
    thread = threading.Thread(
        target=lambda: held.append(run_module("worker_drain", site.args("drained", reply_timeout=3)))
    )
    thread.start()
    state = "opsready:shop:ledger:r1:state"
    await_true(
        lambda: site.broker.hget(state, "stage") == '"draining"', seconds=SECONDS, what="the wait for idle workers"
    )
    worker.kill()
    thread.join(SECONDS)
    assert held[0]["failed"]
    assert [task["id"] for task in held[0]["running"] if task["place"] == "active"] == [running]
    assert held[0]["left_quiet"] == ["w1@test"]

    unknown = run_module_here("worker_drain", site.args("drained"))
    assert unknown["error"] == "TimedOut"
    assert "No worker listens" in unknown["msg"]
    dead = run_module_here("worker_drain", site.args("drained", expected_workers=0))
    assert dead["failed"]
    assert dead["lost"] == [running]
    for said in (
        "nobody saw what became of 1 tasks: jobs.gated.",
        "The workers' exit codes and logs",
        "With accept_lost: true",
    ):
        assert said in dead["msg"]
    assert "vanished" not in dead["msg"] and "Who else" not in dead["msg"]
    parked = run_module_here("worker_drain", site.args("parked"))
    assert not parked.get("failed"), parked
    assert parked["moved"] == 1
    site.worker(name="w2")
    run_module_here("worker_drain", site.args("resumed"))
    site.await_done([2])
    settled = run_module_here("worker_drain", site.args("settled"))
    assert settled["failed"]
    assert settled["lost"] == [running]
    assert "nobody saw what became of 1 tasks: jobs.gated." in settled["msg"] and "vanished" not in settled["msg"]
    assert expiries(site) == [-1, -1]  # a loss that nobody accepted is open
    assert not run_module_here("worker_drain", site.args("settled", accept_lost=True)).get("failed")
    assert min(expiries(site)) > 0
    assert run_module_here("worker_drain", site.args("forgotten"))["failed"]
    accepted = run_module_here("worker_drain", site.args("forgotten", accept_lost=True))
    assert accepted["changed"]
    assert "nobody saw what became of 1 tasks" in str(accepted["warnings"])


def test_what_a_killed_worker_held_unacknowledged_is_put_back(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker(TEST_ACKS_LATE="1")
    eta = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
    scheduled = site.send("jobs.quick", 9, eta=eta)
    await_true(lambda: site.broker.hlen("unacked") == 1, seconds=SECONDS, what="the scheduled task in unacked")
    drained = run_module_here("worker_drain", site.args("drained"))
    assert drained["ledger"] == {"total": 1, "scheduled": 1}
    assert worker.kill() == -signal.SIGKILL
    late = site.send("jobs.quick", 10)
    parked = run_module_here("worker_drain", site.args("parked"))
    assert not parked.get("failed"), parked
    assert parked["restored_from_unacked"] == 1
    assert parked["arrived_since"] == [late]
    assert site.broker.exists("unacked", "unacked_index") == 0
    later = site.send("jobs.quick", 11)
    again = run_module_here("worker_drain", site.args("parked"))
    assert again["moved"] == 1
    assert again["arrived_since"] == [later]
    order = [
        json.loads(raw)["headers"]["id"]
        for raw in reversed(site.broker.lrange("opsready:shop:parked:r1:celery", 0, -1))
    ]
    assert order == [scheduled, late, later]
    site.worker(name="w2")
    assert run_module_here("worker_drain", site.args("resumed"))["put_back"] == 3
    site.await_done([10, 11])
    settled = run_module_here("worker_drain", site.args("settled"))
    assert settled["ledger"] == {"total": 3, "finished": 2, "scheduled": 1}


def test_a_scheduled_task_that_became_due_before_the_stop_is_named(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=4)
    due = site.send("jobs.quick", 1, eta=soon)
    await_true(lambda: site.broker.hlen("unacked") == 1, seconds=SECONDS, what="the scheduled task in unacked")
    assert run_module_here("worker_drain", site.args("drained"))["ledger"].get("scheduled") == 1
    site.await_done([1])
    assert worker.terminate() == 0
    parked = run_module_here("worker_drain", site.args("parked"))
    assert not parked.get("failed"), parked
    assert parked["due_before_stop"] == [due]
    assert "became due" in str(parked["warnings"])
    settled = run_module_here("worker_drain", site.args("settled"))
    assert settled["ledger"] == {"total": 1, "finished": 1}


def test_messages_whose_task_no_worker_knows_stay_parked_and_are_named(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    run_module_here("worker_drain", site.args("drained"))
    assert worker.terminate() == 0
    known, foreign = site.send("jobs.quick", 1), site.send("renamed.quick", 2)
    site.send("jobs.quick", 3)
    run_module_here("worker_drain", site.args("parked"))
    other = site.worker(name="w2")
    strict = run_module_here("worker_drain", site.args("resumed", fail_on_unregistered=True))
    assert strict["failed"]
    assert strict["parked_unknown"] == {"renamed.quick": [foreign]}
    site.await_done([1, 3])
    assert [int(number) for number in site.store.lrange("order", 0, -1)] == [1, 3]
    settled = run_module_here("worker_drain", site.args("settled"))
    assert settled["parked"] == [foreign]
    assert not settled["is_closed"]
    assert expiries(site) == [-1, -1]
    assert known not in settled["parked"]
    # with both versions at work either could take it, so it stays where it is
    site.worker(name="w3", TEST_TASKS="renamed")
    assert run_module_here("worker_drain", site.args("resumed", min_workers=2))["parked_unknown"]
    assert other.terminate() == 0
    assert not run_module_here("worker_drain", site.args("resumed"))["parked_unknown"]
    assert min(expiries(site)) > 0  # also where nobody asks for the balance any more, as on the way back
    site.await_done([2])


def test_a_message_that_vanishes_while_no_worker_runs_is_lost(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    run_module_here("worker_drain", site.args("quieted"))
    ids = [site.send("jobs.quick", number) for number in range(3)]
    run_module_here("worker_drain", site.args("drained"))
    assert worker.terminate() == 0
    site.broker.rpop("celery")
    parked = run_module_here("worker_drain", site.args("parked"))
    assert parked["failed"]
    assert parked["lost"] == [ids[0]]
    assert "1 messages vanished while no worker could take them: jobs.quick" in parked["msg"]
    assert "Who else reads this broker?" in parked["msg"]
    site.broker.rpop("opsready:shop:parked:r1:celery")
    while_parked = run_module_here("worker_drain", site.args("settled"))
    assert sorted(while_parked["lost"]) == sorted(ids[:2])
    site.worker(name="w2")
    resumed = run_module_here("worker_drain", site.args("resumed"))
    assert resumed["failed"]
    assert resumed["lost"] == [ids[1]]
    assert not resumed["changed"]
    assert site.done() == {}
    accepted = run_module_here("worker_drain", site.args("resumed", accept_lost=True))
    assert not accepted.get("failed"), accepted
    site.await_done([2])
    settled = run_module_here("worker_drain", site.args("settled", accept_lost=True))
    assert sorted(settled["lost"]) == sorted(ids[:2])


def test_priorities_prefixes_and_another_queue_are_followed(
    broker: Redis, tmp_path: Path, run_module_here: ModuleRun
) -> None:
    transport = {"global_keyprefix": "shop:", "fanout_prefix": "/shop-{db}."}
    site = Site(broker, tmp_path, 4, TEST_TRANSPORT=repr(transport))
    options = {**transport, "queues": ["celery", "mail"]}
    try:
        worker = site.worker(arguments=["-Q", "celery,mail"])
        assert not run_module_here("worker_drain", site.args("quieted", **options)).get("failed")
        for number, priority, queue in ((1, 0, "celery"), (2, 9, "celery"), (3, 4, "mail")):
            site.send("jobs.quick", number, priority=priority, queue=queue)
        drained = run_module_here("worker_drain", site.args("drained", **options))
        assert drained["ledger"] == {"total": 3, "waiting": 3}, drained
        assert worker.terminate() == 0
        assert run_module_here("worker_drain", site.args("parked", **options))["moved"] == 3
        assert {key.split(":")[0] for key in site.broker.keys("*opsready*")} == {"shop"}
        lists = ["shop:celery", "shop:celery\x06\x169", "shop:mail\x06\x163"]
        assert site.broker.exists(*lists) == 0
        blind = run_module_here("worker_drain", site.args("status"))
        assert "No worker listens on '/4.celery.pidbox'" in blind["msg"]
        site.worker(name="w2", arguments=["-Q", "celery,mail"])
        assert run_module_here("worker_drain", site.args("resumed", **options))["put_back"] == 3
        site.await_done([1, 2, 3])
    finally:
        site.close()


def test_results_say_how_the_finished_tasks_ended(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    run_module_here("worker_drain", site.args("quieted"))
    ids = [site.send("jobs.quick", number) for number in range(3)]
    run_module_here("worker_drain", site.args("drained"))
    run_module_here("worker_drain", site.args("resumed"))
    site.await_done([0, 1, 2])
    await_true(lambda: seen_idle(run_module_here, site), seconds=SECONDS, what="the end of the last task")
    results = site.server.client(5)
    results.flushdb()
    results.set(f"celery-task-meta-{ids[0]}", json.dumps({"status": "SUCCESS"}))
    results.set(f"celery-task-meta-{ids[1]}", "torn")
    results.close()
    settled = run_module_here("worker_drain", site.args("settled", results_db=5))
    assert settled["ended_by_status"] == {"SUCCESS": 1, "unreadable": 1, "no result": 1}
    assert worker.terminate() == 0


def test_a_stale_release_is_refused_and_a_newer_one_goes_on(
    site: Site, run_module_here: ModuleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "PLACE", str(tmp_path))
    site.worker()
    nonce = "0" * 16

    def args(state: str, number: int) -> dict[str, t.Any]:
        return site.args(state, system=None, ledger_id=None, release=f"shop/r7/{number}/{nonce}")

    assert run_module_here("worker_drain", args("drained", 5))["changed"]
    assert site.broker.exists("opsready:shop:ledger:r7:state")
    stale = run_module_here("worker_drain", args("settled", 4))
    assert stale["error"] == "Refused"
    assert "stale" in stale["msg"]
    assert run_module_here("worker_drain", args("resumed", 6))["changed"]
    assert "stale" in run_module_here("worker_drain", args("resumed", 5))["msg"]
    assert run_module_here("worker_drain", args("forgotten", 6))["changed"]


def test_check_mode_goes_through_every_state_and_changes_nothing(site: Site, run_module_here: ModuleRun) -> None:
    site.worker()
    site.send("jobs.gated", 1)
    site.started(1)
    before = site.broker.dbsize()
    for state in ("status", "quieted", "drained", "parked", "resumed", "settled", "forgotten"):
        answer = run_module_here("worker_drain", site.args(state), check=True)
        assert not answer.get("failed"), (state, answer)
    assert site.broker.keys("opsready:*") == []
    assert site.broker.dbsize() == before
    site.open_gate(1)
    site.send("jobs.quick", 2)
    site.await_done([1, 2])


def test_states_out_of_order_say_what_to_do(site: Site, run_module_here: ModuleRun) -> None:
    parked = run_module_here("worker_drain", site.args("parked"))
    assert "its stage is none" in parked["msg"]
    assert "Run state drained first" in parked["msg"]
    assert "There is no ledger" in run_module_here("worker_drain", site.args("settled"))["msg"]
    waiting = run_module_here("worker_drain", site.args("resumed", timeout=1, min_workers=2))
    assert waiting["error"] == "TimedOut"
    assert "0 of 2 workers answered after 1 s" in waiting["msg"]
    status = run_module_here("worker_drain", site.args("status", expected_workers=0, ledger_id=None))
    assert status["workers"] == []
    assert status["stage"] == "none"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queues": []}, "queues is an empty list"),
        ({"priority_steps": [3, 6]}, "priority_steps must begin with 0"),
        ({"min_workers": 0}, "min_workers must be at least 1"),
        ({"ledger_id": None}, "ledger_id is required without a release"),
        ({"release": "nonsense"}, "release is not a token"),
    ],
)
def test_bad_input_is_one_clear_message(
    site: Site, run_module_here: ModuleRun, options: dict[str, t.Any], said: str
) -> None:
    answer = run_module_here("worker_drain", site.args("drained", **options))
    assert answer["error"] == "BadInput"
    assert said in answer["msg"]


def test_a_broker_that_is_not_there_or_hangs_or_refuses_is_one_clear_error(
    site: Site, run_module_here: ModuleRun, hanging_server: HangingServer, refused_port: int
) -> None:
    wrong = run_module_here(
        "worker_drain", site.args("drained", password="wrong-canary-77"), secrets=["wrong-canary-77"]
    )
    assert wrong["error"] == "Denied"
    assert "refused us" in wrong["msg"]
    hanging = site.args("drained", url=f"redis://127.0.0.1:{hanging_server.port}/0", timeout=1)
    assert run_module_here("worker_drain", hanging)["error"] == "TimedOut"
    absent = run_module_here("worker_drain", site.args("drained", url=f"redis://127.0.0.1:{refused_port}/0"))
    assert absent["error"] == "Unreachable"


def test_a_broker_that_dies_in_the_middle_is_a_clear_error(tmp_path: Path, run_module: ModuleRun) -> None:
    with Redis(password=PASSWORD) as server:
        site = Site(server, tmp_path, 0)
        try:
            site.worker()
            site.send("jobs.gated", 1)
            site.started(1)
            held: list[dict[str, t.Any]] = []
            args = site.args("drained", reply_timeout=1)
            thread = threading.Thread(target=lambda: held.append(run_module("worker_drain", args, secrets=[PASSWORD])))
            thread.start()
            state = "opsready:shop:ledger:r1:state"
            await_true(lambda: site.broker.hget(state, "stage") == '"draining"', seconds=SECONDS, what="the drain")
            server.kill()
            thread.join(SECONDS)
            assert held[0]["failed"]
            assert "cannot be reached" in held[0]["msg"]
            assert [task["id"] for task in held[0]["running"]] == site.sent
        finally:
            site.close()


def break_off(monkeypatch: pytest.MonkeyPatch, method: str, skip: int = 0) -> None:
    """Let a question to the workers stay unanswered, from its ``skip``-th time on."""
    asked = {"times": 0}
    original = Broker.ask

    def ask(self: Broker, name: str, *arguments: t.Any, **options: t.Any) -> t.Any:
        if name == method:
            asked["times"] += 1
            if asked["times"] > skip:
                raise TimedOut(f"0 of 1 workers answered {name}.")
        return original(self, name, *arguments, **options)

    monkeypatch.setattr(Broker, "ask", ask)


def test_workers_that_cannot_be_quieted_go_on(
    site: Site, run_module_here: ModuleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.worker()
    under_way: list[int | None] = []
    with monkeypatch.context() as patched:
        break_off(patched, "active_queues", skip=1)
        broken = Broker.ask

        def ask(self: Broker, name: str, *arguments: t.Any, **options: t.Any) -> t.Any:
            if name == "add_consumer":
                under_way.append(self.blocked_pops())
            return broken(self, name, *arguments, **options)

        patched.setattr(Broker, "ask", ask)
        answer = run_module_here("worker_drain", site.args("drained"))
    assert under_way == [0]  # told within the pop in which it was told to stop, a worker may never pop again
    assert answer["failed"]
    assert "could not be quieted: 0 of 1 workers answered active_queues" in answer["msg"]
    assert answer["left_quiet"] == []
    assert not answer["changed"]
    site.send("jobs.quick", 1)
    site.await_done([1])


def test_workers_that_do_not_answer_once_they_are_quiet_are_let_go_again(
    site: Site, run_module_here: ModuleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.worker()
    with monkeypatch.context() as patched:
        break_off(patched, "active", skip=1)  # the first answer is that of before they were quieted
        answer = run_module_here("worker_drain", site.args("drained", on_timeout="resume_and_fail"))
    assert "The workers were not drained: 0 of 1 workers answered active" in answer["msg"]
    assert (answer["resumed"], answer["left_quiet"], answer["running"]) == (True, [], [])
    site.send("jobs.quick", 1)
    site.await_done([1])


def test_a_worker_that_does_not_confirm_to_resume_is_named(
    site: Site, run_module_here: ModuleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.worker()
    run_module_here("worker_drain", site.args("quieted"))
    with monkeypatch.context() as patched:
        break_off(patched, "add_consumer")
        answer = run_module_here("worker_drain", site.args("resumed"))
    assert answer["left_quiet"] == ["w1@test"]
    assert "w1@test did not confirm to consume again" in answer["msg"]
    assert run_module_here("worker_drain", site.args("resumed"))["changed"]
    site.send("jobs.quick", 1)
    site.await_done([1])


def test_a_message_that_no_queue_would_take_back_is_left_and_named(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    run_module_here("worker_drain", site.args("drained"))
    assert worker.terminate() == 0
    headers = {"id": "stuck-1", "task": "jobs.quick"}
    payload = {"headers": headers, "properties": {"delivery_info": {}}, "body": ""}
    site.broker.hset("unacked", "tag", json.dumps([payload, "nowhere", "key"]))
    site.broker.hset("unacked", "torn", "no json")
    bound = {"headers": {"id": "topic-1", "task": "jobs.quick"}, "properties": {"delivery_info": {}}, "body": ""}
    site.broker.hset("unacked", "topic", json.dumps([bound, "topics", "jobs.new"]))
    site.broker.sadd("_kombu.binding.topics", r"jobs.#" + SEPARATOR + r"^jobs\..*?$" + SEPARATOR + "celery")
    foreign = {"headers": {"id": "foreign", "task": "other"}, "properties": {"delivery_info": {}}, "body": ""}
    site.broker.hset("unacked", "foreign", json.dumps([foreign, "", "other-application"]))
    answer = run_module_here("worker_drain", site.args("parked"))
    assert answer["failed"]
    assert answer["stuck"] == ["stuck-1"]
    told = ("1 unacknowledged messages name an exchange", "stuck-1 (jobs.quick) in field 'tag'", "HDEL unacked FIELD")
    for said in told:
        assert said in answer["msg"]
    assert answer["restored_from_unacked"] == 2
    assert set(site.broker.hkeys("unacked")) == {"tag", "foreign"}
    restored = json.loads(site.broker.lindex("opsready:shop:parked:r1:celery", 0))
    assert restored["headers"]["redelivered"] is True
    # A way back comes to its end, and the message is where it was.
    back = run_module_here("worker_drain", site.args("parked", on_stuck="leave"))
    assert not back.get("failed"), back
    assert back["stuck"] == ["stuck-1"]
    for said in told:
        assert said in str(back["warnings"])
    assert json.loads(site.broker.hget("unacked", "tag"))[0]["headers"]["id"] == "stuck-1"


#: Bytes that no worker can make a task of, as they lie in a queue.
UNREADABLE = {
    "brackets": b"[" * 100_000,
    "brackets in the body": json.dumps({"body": "[" * 100_000, "headers": {}, "properties": {}}).encode(),
    "half a surrogate pair": b'{"body":"","headers":{"task":"jobs.quick","id":"\\ud800x"},"properties":{}}',
    "properties are a list": b'{"body":"","headers":{"task":"jobs.quick","id":"x"},"properties":[]}',
    "headers are a list": b'{"body":"","headers":["task"],"properties":{}}',
    "no text": b"\xff\xfe\x00",
}


@serves("S1.32", case="pass")
@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_message_that_nobody_can_read_is_kept_aside_and_the_others_run(
    site: Site, run_module_here: ModuleRun, raw: bytes
) -> None:
    worker = site.worker()
    quieted = run_module_here("worker_drain", site.args("quieted", expected_workers=1))
    assert quieted.get("failed") is not True, f"{quieted}\n{worker.log()}"
    site.send("jobs.quick", 1)
    site.broker.lpush("celery", raw)
    site.send("jobs.quick", 2)
    seen = run_module_here("worker_drain", site.args("status"))
    assert seen.get("waiting_by_task") == {"jobs.quick": 2, "unreadable": 1}, f"{seen}\n{worker.log()}"
    drained = run_module_here("worker_drain", site.args("drained", expected_workers=1))
    assert drained.get("ledger") == {"total": 3, "waiting": 3}, drained
    assert worker.terminate() == 0
    parked = run_module_here("worker_drain", site.args("parked"))
    assert (parked.get("moved"), parked.get("lost")) == (3, []), parked
    site.worker(name="w2")
    resumed = run_module_here("worker_drain", site.args("resumed"))
    assert resumed.get("put_back") == 2, resumed
    (kept,) = resumed["parked_unknown"]["unreadable"]
    assert kept.startswith("unreadable-")
    site.await_done([1, 2])
    aside = "opsready:shop:parked:r1:celery"
    with octets(site) as broker:
        assert broker.lrange(aside, 0, -1) == [raw]
    assert f"LRANGE KEY 0 -1 of {aside}" in str(resumed["warnings"])
    settled = run_module_here("worker_drain", site.args("settled"))
    assert settled["ledger"] == {"total": 3, "finished": 2, "parked": 1}, settled
    assert f"LRANGE KEY 0 -1 of {aside}" in run_module_here("worker_drain", site.args("forgotten"))["msg"]


_PAYLOAD: dict[str, t.Any] = {"headers": {"id": "x", "task": "jobs.quick"}, "properties": {}, "body": ""}
#: The same as entries of the hash unacked: a payload, its exchange and its routing key.
UNROUTABLE = {
    "brackets": b"[" * 100_000,
    "properties are a list": json.dumps([{**_PAYLOAD, "properties": []}, "", "celery"]).encode(),
    "no text": b"\xff\xfe\x00",
    "no route": json.dumps([_PAYLOAD]).encode(),
    "a route that is no text": json.dumps([_PAYLOAD, [], ["celery"]]).encode(),
    "a route to nowhere": json.dumps([_PAYLOAD, None, None]).encode(),
    "half a surrogate pair": json.dumps([_PAYLOAD, "\ud800", "celery"]).encode(),
}


@pytest.mark.parametrize("raw", UNROUTABLE.values(), ids=list(UNROUTABLE))
def test_what_no_worker_could_take_back_is_kept_aside_from_those_that_come(
    site: Site, run_module_here: ModuleRun, raw: bytes
) -> None:
    worker = site.worker()
    run_module_here("worker_drain", site.args("quieted"))
    site.send("jobs.quick", 1)
    site.broker.hset("unacked", b"tag-\xff", raw)
    # Out since long ago: a worker that starts takes it back at once.
    site.broker.zadd("unacked_index", {b"tag-\xff": 1})
    drained = run_module_here("worker_drain", site.args("drained", expected_workers=1))
    assert drained.get("ledger") == {"total": 2, "waiting": 1, "unacked": 1}, drained
    assert worker.terminate() == 0
    parked = run_module_here("worker_drain", site.args("parked"))
    assert (parked.get("moved"), parked.get("lost"), parked.get("stuck")) == (2, [], []), parked
    assert site.broker.exists("unacked", "unacked_index") == 0
    site.worker(name="w2")
    resumed = run_module_here("worker_drain", site.args("resumed"))
    assert (resumed.get("put_back"), list(resumed.get("parked_unknown", ()))) == (1, ["unreadable"]), resumed
    site.await_done([1])
    with octets(site) as broker:
        assert broker.lrange("opsready:shop:parked:r1:celery", 0, -1) == [raw]


def test_an_unacknowledged_message_of_an_unreadable_id_goes_back_to_its_queue_aside(
    site: Site, run_module_here: ModuleRun
) -> None:
    payload = {"headers": {"id": "\ud800x", "task": "jobs.quick"}, "properties": {"priority": float("inf")}, "body": ""}
    site.broker.hset("unacked", "tag", json.dumps([payload, "", "celery"]))
    drained = run_module_here("worker_drain", site.args("drained", expected_workers=0))
    assert drained.get("ledger") == {"total": 1, "unacked": 1}, drained
    parked = run_module_here("worker_drain", site.args("parked"))
    assert (parked.get("restored_from_unacked"), parked.get("lost"), parked.get("stuck")) == (1, [], []), parked
    assert site.broker.hlen("unacked") == 0
    assert site.broker.llen("opsready:shop:parked:r1:celery") == 1


def test_a_resume_that_was_cut_short_is_carried_on(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    run_module_here("worker_drain", site.args("quieted"))
    for number in range(3):
        site.send("jobs.quick", number)
    run_module_here("worker_drain", site.args("drained"))
    assert worker.terminate() == 0
    run_module_here("worker_drain", site.args("parked"))
    # as a module that was killed in the middle leaves it
    site.broker.hset("opsready:shop:ledger:r1:state", "stage", '"resuming"')
    site.broker.rpoplpush("opsready:shop:parked:r1:celery", "celery")
    site.worker(name="w2")
    site.await_done([0])
    early = run_module_here("worker_drain", site.args("settled"))
    assert early["error"] == "Refused"
    assert "State resumed was cut short" in early["msg"] and "Run state resumed again first." in early["msg"]
    answer = run_module_here("worker_drain", site.args("resumed"))
    assert not answer.get("failed"), answer
    assert answer["put_back"] == 2
    site.await_done([0, 1, 2])
    settled = run_module_here("worker_drain", site.args("settled"))
    assert settled["ledger"] == {"total": 3, "finished": 3}


def test_a_worker_that_ended_a_moment_ago_is_in_nobodys_way(site: Site, run_module_here: ModuleRun) -> None:
    """Its process is gone, and the broker has not seen yet that its connection is."""
    worker = site.worker()
    run_module_here("worker_drain", site.args("drained"))
    assert worker.terminate() == 0
    site.send("jobs.quick", 1)
    ghost = site.broker.pubsub()
    ghost.psubscribe(f"/{site.number}.celery.pidbox")
    assert ghost.get_message(timeout=5)["type"] == "psubscribe"
    closing = threading.Timer(0.7, ghost.close)
    closing.start()
    try:
        parked = run_module_here("worker_drain", site.args("parked"))
    finally:
        closing.join()
    assert (parked.get("failed", False), parked["parked"]) == (False, 1), parked


def test_a_late_message_keeps_its_place_behind_what_was_parked(site: Site, run_module_here: ModuleRun) -> None:
    def done(state: str) -> dict[str, t.Any]:
        answer = run_module_here("worker_drain", site.args(state))
        assert not answer.get("failed"), answer
        return answer

    worker = site.worker()
    done("quieted")
    site.send("jobs.quick", 1)
    site.send("other.task", 2)
    site.send("jobs.quick", 3)
    done("drained")
    assert worker.terminate() == 0
    done("parked")
    new = site.worker(name="w2")
    done("quieted")
    site.send("jobs.quick", 4)
    assert list(done("resumed")["parked_unknown"]) == ["other.task"]
    site.await_done([1, 3, 4])
    assert [int(number) for number in site.store.lrange("order", 0, -1)] == [1, 3, 4]
    assert "unregistered" not in new.log()


def test_a_broker_that_may_lose_messages_is_a_risk(tmp_path: Path, run_module_here: ModuleRun) -> None:
    with Redis(password=PASSWORD, config={"maxmemory-policy": "allkeys-lru"}) as server:
        site = Site(server, tmp_path, 0)
        try:
            status = run_module_here("worker_drain", site.args("status", expected_workers=0))
        finally:
            site.close()
    assert {risk["risk"] for risk in status["risks"]} == {"persistence", "eviction"}


def test_a_user_that_may_not_list_clients_waits_for_the_pop_to_end(site: Site, run_module_here: ModuleRun) -> None:
    site.worker()
    acl = ["ACL", "SETUSER", "drain", "on", f">{PASSWORD}", "+@all", "-client|list", "allkeys", "allchannels"]
    site.broker.execute_command(*acl)
    answer = run_module_here("worker_drain", site.args("quieted", username="drain"))
    assert not answer.get("failed"), answer
    assert answer["changed"]
