# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_celery against real Celery workers on a real broker, healthy and broken."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.integration.celery_site import SECONDS, Site
from tests.module_examples import examples_of
from tests.servers import HangingServer, Redis, await_true

PASSWORD = "broker-canary-5d1f07"


@pytest.fixture(scope="module")
def broker() -> t.Iterator[Redis]:
    with Redis(password=PASSWORD) as server:
        yield server


@pytest.fixture
def site(broker: Redis, tmp_path: Path) -> t.Iterator[Site]:
    made = Site(broker, tmp_path, 3)
    try:
        yield made
    finally:
        made.close()


def judged(run: ModuleRun, site: Site, **options: t.Any) -> dict[str, t.Any]:
    args = {"url": site.server.url(site.number, with_password=False), "password": PASSWORD, "enforce": False, **options}
    answer = run("check_celery", {"timeout": 40, "reply_timeout": 20, **args}, secrets=[PASSWORD, "wrong-canary-33"])
    assert answer["changed"] is False
    assert isinstance(answer["finding"], dict)
    return answer["finding"]


def test_workers_that_answer_and_consume_pass_and_leave_nothing_behind(site: Site, run_module_here: ModuleRun) -> None:
    site.worker(arguments=["-Q", "ocr,mail"])
    site.worker(name="w2", arguments=["-Q", "mail"])
    before = sorted(site.broker.keys("*"))
    finding = judged(
        run_module_here,
        site,
        expected_workers=2,
        workers=["w1@test", "w?@*"],
        queues=[{"name": "ocr", "max_length": 0}, {"name": "mail", "min_consumers": 2, "stalled_after": "1s"}],
        max_age="1m",
        tasks=["jobs.quick", "jobs.gated"],
        max_unacked=0,
        max_unacked_age="1s",
        max_scheduled=0,
        max_running_age="1s",
    )
    assert finding["status"] == "pass", finding["summary"]
    assert [worker["queues"] for worker in finding["evidence"]["workers"]] == [["mail", "ocr"], ["mail"]]
    assert sorted(site.broker.keys("*")) == before


def test_what_is_missing_fails_and_is_named(site: Site, run_module_here: ModuleRun) -> None:
    site.worker()
    finding = judged(
        run_module_here,
        site,
        min_workers=2,
        workers=["gpu@*"],
        queues=[{"name": "ocr"}],
        tasks=["jobs.lost"],
    )
    assert finding["status"] == "fail"
    for part in (
        "Workers is 1, expected at least 2",
        "no worker is named gpu@*",
        "consumers of queue ocr is 0, expected at least 1",
        "task jobs.lost is registered in no worker",
    ):
        assert part in finding["summary"]


def test_a_queue_that_grows_is_measured_where_its_workers_consume(site: Site, run_module_here: ModuleRun) -> None:
    site.worker()
    site.send("jobs.gated", 1)
    site.started(1)
    site.send("jobs.quick", 2, eta=dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1))
    await_true(
        lambda: judged(run_module_here, site)["evidence"]["workers"][0]["scheduled"] == 1,
        seconds=SECONDS,
        what="the scheduled task",
    )
    long_ago = time.time() - 600
    for number, priority in ((3, 0), (4, 9), (5, 0), (6, 0)):
        site.send("jobs.quick", number, headers={"sent_at": long_ago}, priority=priority)
    finding = judged(
        run_module_here,
        site,
        max_length=1,
        max_age="5m",
        max_scheduled=0,
        max_unacked_age="0s",
        max_running_age="0s",
        queues=[{"name": "celery", "stalled_after": "0.3s"}],
    )
    assert finding["status"] == "fail"
    # prefetching takes one or two of the four
    waiting = next(queue for queue in finding["evidence"]["queues"] if queue["name"] == "celery")
    assert f"length of queue celery is {waiting['length']} messages, expected at most 1" in finding["summary"].lower()
    assert waiting["age_from"] == "header"
    assert 599 < waiting["oldest_age"] < 700
    for part in (
        "age of the oldest message in queue celery is 60",
        "scheduled tasks is 1, expected at most 0",
        "age of the longest running task is",
        "age of the oldest unacknowledged message is",
        "its next one was not taken within 0.3s",
    ):
        assert part in finding["summary"].lower()


def test_an_age_that_nothing_tells_is_unknown_and_an_eta_tells_a_little(site: Site, run_module_here: ModuleRun) -> None:
    site.worker(arguments=["-Q", "other"])
    site.send("jobs.quick", 1, queue="celery")
    queues = [{"name": "celery", "min_consumers": 0}]
    finding = judged(run_module_here, site, queues=queues, max_age="1h")
    assert finding["status"] == "unknown"
    assert "the oldest carries no sent_at" in finding["summary"]
    site.broker.delete("celery")
    site.send("jobs.quick", 2, queue="celery", eta=dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=2))
    assert judged(run_module_here, site, queues=queues, max_age="1h")["status"] == "fail"
    finding = judged(run_module_here, site, queues=queues, max_age="3h")
    assert finding["status"] == "unknown"
    assert "only known to be at least" in finding["summary"]


def test_a_producer_whose_clock_is_ahead_hides_no_backlog(site: Site, run_module_here: ModuleRun) -> None:
    site.worker(arguments=["-Q", "other"])
    site.send("jobs.quick", 1, queue="celery", headers={"sent_at": time.time() + 7200})
    queues = [{"name": "celery", "min_consumers": 0}]
    finding = judged(run_module_here, site, queues=queues, max_age="1h")
    assert finding["status"] == "unknown", finding
    assert "the clock of a producer is ahead" in finding["summary"]
    site.send("jobs.quick", 2, queue="celery", headers={"sent_at": time.time() - 7200})
    assert judged(run_module_here, site, queues=queues, max_age="1h")["status"] == "fail"


def test_a_message_that_its_worker_would_throw_away_fails(site: Site, run_module_here: ModuleRun) -> None:
    worker = site.worker()
    site.send("jobs.gated", 1)
    site.started(1)
    second = site.send("jobs.gated", 2)
    # it takes no third before it is done with the first
    await_true(lambda: second in worker.log(), seconds=SECONDS, what="the second task")
    site.send("jobs.größer", 3)
    finding = judged(run_module_here, site)
    assert finding["status"] == "fail"
    assert "1 jobs.größer unknown to w1@test" in finding["summary"]


def test_a_worker_that_hangs_is_unknown_also_for_what_it_alone_could_tell(
    site: Site, run_module_here: ModuleRun
) -> None:
    silent = site.worker(arguments=["-Q", "ocr"])
    site.worker(name="w2")
    os.killpg(silent.process.pid, signal.SIGSTOP)
    finding = judged(
        run_module_here,
        site,
        reply_timeout=1,
        expected_workers=2,
        workers=["w1@*"],
        queues=[{"name": "ocr"}],
        tasks=["jobs.other"],
        max_scheduled=0,
        max_running_age="1h",
    )
    assert finding["status"] == "unknown"
    for part in (
        "1 of 2 workers answered: w2@test",
        "worker w1@* is not among those that answered",
        "consumers of queue ocr are 0 of those that answered",
        "task jobs.other is known to no worker that told its tasks",
        "scheduled tasks are 0 in those workers that told",
        "longest running task is 0 s in those workers that told",
    ):
        assert part in finding["summary"]


def test_a_solo_worker_at_work_is_unknown(site: Site, run_module_here: ModuleRun) -> None:
    site.worker(pool="solo")
    site.send("jobs.gated", 1)
    site.started(1)
    finding = judged(run_module_here, site, reply_timeout=1)
    assert finding["status"] == "unknown"
    assert "0 of 1 workers answered" in finding["summary"]
    assert "solo pool" in finding["remedy"]


def test_nobody_on_the_broker_is_unknown_unless_nobody_is_meant_to_be(site: Site, run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, site)
    assert finding["status"] == "unknown"
    assert "No worker listens on '/3.celery.pidbox'" in finding["summary"]
    assert judged(run_module_here, site, expected_workers=0)["status"] == "pass"


def test_prefixes_of_the_transport_are_followed(broker: Redis, tmp_path: Path, run_module_here: ModuleRun) -> None:
    transport = {"global_keyprefix": "shop:", "fanout_prefix": "/shop-{db}."}
    site = Site(broker, tmp_path, 4, TEST_TRANSPORT=repr(transport))
    try:
        site.worker()
        site.send("jobs.quick", 1, queue="mail")
        queues = [{"name": "mail", "min_consumers": 0, "max_length": 0}]
        assert judged(run_module_here, site)["status"] == "unknown"
        finding = judged(run_module_here, site, queues=queues, **transport)
        assert finding["status"] == "fail"
        assert "Length of queue mail is 1 messages" in finding["summary"]
    finally:
        site.close()


def test_no_broker_a_hanging_one_and_a_wrong_password_are_unknown(
    site: Site, run_module_here: ModuleRun, hanging_server: HangingServer, refused_port: int
) -> None:
    cases: list[tuple[dict[str, t.Any], str]] = [
        ({"url": f"redis://127.0.0.1:{refused_port}/0"}, "cannot be reached"),
        ({"url": f"redis://127.0.0.1:{hanging_server.port}/0", "timeout": 1}, "did not answer in time"),
        ({"password": "wrong-canary-33"}, "refused us"),
    ]
    for options, said in cases:
        finding = judged(run_module_here, site, **options)
        assert finding["status"] == "unknown"
        assert said in finding["summary"]


def test_used_alone_the_module_fails_unless_told_otherwise(site: Site, run_module: ModuleRun) -> None:
    args = {"url": site.server.url(site.number, with_password=False), "password": PASSWORD}
    answer = run_module("check_celery", args, secrets=[PASSWORD])
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]


def test_the_examples_run(site: Site, run_module_here: ModuleRun) -> None:
    site.worker(name="ocr", arguments=["-Q", "ocr,mail"], TEST_TASKS="archive")
    site.worker(name="mail", arguments=["-Q", "mail"], TEST_TASKS="archive")
    for number, options in enumerate(examples_of("check_celery").values()):
        here = {"url": site.server.url(site.number, with_password=False), "password": PASSWORD}
        known = {"tasks": ["archive.quick"]} if number == 0 else {}
        finding = judged(run_module_here, site, **{**options, **here, **known})
        assert finding["status"] == "pass", finding["summary"]


def items_on(site: Site, check: str, *options: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    target = {"url": site.server.url(site.number, with_password=False), "password": PASSWORD}
    return [
        {"id": f"{check}-{number}", "check": check, "params": {**target, **own}, "timeout": 60.0}
        for number, own in enumerate(options)
    ]


def test_items_of_both_checks_share_one_connection_to_the_broker(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a worker, since one may connect whenever it likes."""
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", 60.0)
    nobody: dict[str, t.Any] = {"expected_workers": 0}
    kept: dict[str, t.Any] = {"persistence": "optional"}
    queue = {"name": "ocr", "max_length": 5}
    items = [
        *items_on(site, "check_celery", nobody, {**nobody, "max_length": 5}, {**nobody, "reply_timeout": 2.0}),
        *items_on(
            site,
            "check_redis",
            kept,
            {**kept, "queues": [queue]},
            {**kept, "key_prefixes": [{"prefix": "x", "min_keys": 0}]},
            {**kept, "canary": True},
            {**kept, "watch": 0.1},
        ),
    ]

    def received() -> int:
        return int(site.broker.info("stats")["total_connections_received"])

    before = received()
    found = judge_all(items * 3, [], timeout_seconds=120, scrub=Scrubber([PASSWORD]))
    bad = [finding["summary"] for finding in found if finding["status"] != "pass"]
    assert bad == []
    assert received() - before == 1
    ours = [client for client in site.broker.client_list() if client["name"] == "opsready"]
    assert ours == []


def test_items_on_a_broker_with_workers_tell_the_same_over_one_connection(site: Site) -> None:
    site.worker(arguments=["-Q", "ocr"])
    celery = items_on(site, "check_celery", *[{"queues": [{"name": "ocr"}], "reply_timeout": 20.0}] * 6)
    redis = items_on(site, "check_redis", *[{"persistence": "optional", "max_other_keys": 0}] * 6)
    found = judge_all([*celery, *redis], [], timeout_seconds=120, scrub=Scrubber([PASSWORD]))
    bad = [finding["summary"] for finding in found if finding["status"] != "pass"]
    assert bad == []


def test_a_long_watch_of_one_item_keeps_no_other_from_its_answer(site: Site) -> None:
    site.broker.lpush("ocr", "{}")
    stalled = {"expected_workers": 0, "queues": [{"name": "ocr", "min_consumers": 0, "stalled_after": "8s"}]}
    watching, other = items_on(site, "check_celery", stalled, {"expected_workers": 0})
    found = judge_all([watching, {**other, "timeout": 6.0}], [], timeout_seconds=120, scrub=Scrubber([PASSWORD]))
    assert "not taken within 8s" in found[0]["summary"]
    assert found[1]["status"] == "pass", found[1]["summary"]
