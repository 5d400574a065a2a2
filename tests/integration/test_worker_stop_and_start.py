# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's Celery worker under supervisord, stopped and started as the checklist says: worker_drain, services, check_celery."""

from __future__ import annotations

import datetime as dt
import sys
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests import nvml_stub
from tests.conftest import ModuleRun
from tests.integration.celery_site import APP, SECONDS, Site
from tests.integration.supervised import Supervised
from tests.servers import Redis, await_true

PASSWORD = "broker-canary-51d0c3"
#: Seconds from TERM to KILL.
GRACE = 30
serves = pytest.mark.serves


class WorkerService(Supervised):
    """supervisord with one program more: a Celery worker of the release in ``current``, which is in its name."""

    def __init__(self, site: Site, grace: int) -> None:
        super().__init__()
        self._site, self._grace = site, grace
        for release in self.releases.iterdir():
            (release / "jobs.py").write_text(APP)

    def command(self) -> list[str]:
        argv = super().command()
        celery = f"exec {sys.executable} -m celery -A jobs worker -n $(basename $(pwd -P))@test -c 1 -l INFO --without-gossip --without-mingle"
        variables = ",".join(f'{name}="{value}"' for name, value in self._site.environment.items()).replace("%", "%%")
        section = (
            f"\n[program:celery]\ncommand=/bin/sh -c '{celery}'\ndirectory={self.current}\nenvironment={variables}\n"
            f"autostart=false\nstartsecs=0\nstopwaitsecs={self._grace}\nkillasgroup=true\n"
        )
        with Path(argv[-1]).open("a") as configuration:
            configuration.write(section)
        return argv


class Stage:
    """The broker, the worker's service, and the modules on them."""

    def __init__(self, site: Site, app: WorkerService, run_module: ModuleRun) -> None:
        self.site, self.app, self._run_module = site, app, run_module

    def drain(self, state: str, **options: t.Any) -> dict[str, t.Any]:
        return self._run_module("worker_drain", self.site.args(state, **options), secrets=[PASSWORD])

    def services(self, state: str, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"state": state, "supervisor": self.app.server, "services": ["celery"], **options}
        return self._run_module("services", arguments, secrets=[PASSWORD, self.app.password])

    def start(self) -> dict[str, t.Any]:
        """The worker answers, by the name of its release."""
        started = self.services("started", artefact=self.app.places())
        assert not started.get("failed"), started
        self.drain("resumed")
        return started

    def open_gate_while_draining(self, number: int) -> threading.Thread:
        """The running task ends only once the drain waits for it."""

        def wait() -> None:
            stage = "opsready:shop:ledger:r1:state"
            await_true(lambda: self.site.broker.hget(stage, "stage") == '"draining"', seconds=SECONDS, what="the wait")
            self.site.open_gate(number)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


@pytest.fixture(scope="module")
def broker() -> t.Iterator[Redis]:
    with Redis(password=PASSWORD, config={"appendonly": "yes"}) as server:
        yield server


@pytest.fixture
def grace() -> int:
    return GRACE


@pytest.fixture
def stage(broker: Redis, tmp_path: Path, run_module_here: ModuleRun, grace: int) -> t.Iterator[Stage]:
    site = Site(broker, tmp_path, 3)
    try:
        with WorkerService(site, grace) as app:
            yield Stage(site, app, run_module_here)
    finally:
        site.close()


def with_work(stage: Stage) -> list[str]:
    """A worker of version 1.0.0 that runs one task, keeps a scheduled one, and has three more to do."""
    stage.start()
    stage.site.send("jobs.gated", 1)
    stage.site.started(1)
    stage.site.send("jobs.quick", 9, eta=dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1))
    for number in (2, 3, 4):
        stage.site.send("jobs.quick", number)
    await_true(
        lambda: [len(worker["scheduled"]) for worker in stage.drain("status")["workers"]] == [1],
        seconds=SECONDS,
        what="the scheduled task",
    )
    return stage.site.sent


@serves("S1.31", case="pass")
def test_a_worker_stops_taking_ends_what_it_runs_and_is_then_stopped_with_nothing_lost(stage: Stage) -> None:
    sent = with_work(stage)
    opener = stage.open_gate_while_draining(1)
    drained = stage.drain("drained", expected_workers=1)
    opener.join(SECONDS)
    assert not drained.get("failed"), drained
    consuming = {"before": {"1.0.0@test": ["celery"]}, "after": {"1.0.0@test": []}}
    assert {side: seen["consuming"] for side, seen in drained["diff"].items()} == consuming
    before, after = drained["load"]["before"], drained["load"]["after"]
    assert before["workers"]["1.0.0@test"]["active"] == before["workers"]["1.0.0@test"]["scheduled"] == 1
    assert after["workers"] == {"1.0.0@test": {"active": 0, "reserved": 0, "scheduled": 1}}
    # Every message is somewhere: waiting, held by the worker, or done under its eyes.
    held = sum(before["queues"].values()) + before["unacked"] + 1  # the running one was acknowledged before it ran
    assert held == len(sent) == drained["ledger"]["total"] + len(stage.site.done()), drained
    assert after["unacked"] == 1 and sum(after["queues"].values()) == drained["ledger"].get("waiting", 0)

    (stopped,) = stage.services("stopped")["services"]
    told = {name: stopped[name] for name in ("before", "after", "exit", "killed", "signal", "grace_seconds")}
    assert told == {"before": "running", "after": "stopped", "exit": "0", "killed": False, "signal": "SIGTERM",
                    "grace_seconds": float(GRACE)}  # fmt: skip
    assert 0 < stopped["seconds"] < GRACE
    parked = stage.drain("parked")
    assert (parked["lost"], parked["due_before_stop"]) == ([], []), parked
    assert parked["moved"] == drained["ledger"]["total"]


@serves("S1.31", case="fail")
@pytest.mark.parametrize("grace", [1])
def test_a_worker_that_is_killed_in_the_middle_of_a_task_fails_and_names_what_is_lost(stage: Stage) -> None:
    running = with_work(stage)[0]
    drained = stage.drain("drained", timeout=3, on_timeout="fail")
    assert drained["failed"] and "1 tasks were still running" in drained["msg"]
    assert [task["id"] for task in drained["running"] if task["place"] == "active"] == [running]

    stopped = stage.services("stopped")
    assert stopped["failed"] and "celery was killed (SIGKILL), it did not end by itself" in stopped["msg"], stopped
    (told,) = stopped["services"]
    assert (told["exit"], told["killed"], told["signal"], told["grace_seconds"]) == ("SIGKILL", True, "SIGTERM", 1.0)
    lost = stage.drain("drained", expected_workers=0)
    assert lost["failed"] and running in lost["lost"], lost
    assert "nobody saw what became of" in lost["msg"]


STUB = "NVML stub"


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nvml_stub.compiled(tmp_path_factory.mktemp("nvml") / "new")


@pytest.fixture
def with_gpu(nvml: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """The stub's GPUs, as ``count=0``."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml))

    def set_to(**settings: int) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"NVML_STUB_{name.upper()}", str(value))

    return set_to


def released(stage: Stage, content: bytes = APP.encode()) -> dict[str, t.Any]:
    """Version 2.0.0 is pulled and started."""
    artefact = stage.app.artefact("2.0.0", extra={"jobs.py": content})
    assert not stage.services("pulled", artefact=artefact).get("failed")
    return stage.services("started", artefact=artefact)


def judged_worker(stage: Stage, *queues: str) -> list[dict[str, t.Any]]:
    """The findings of the workers that answer, and of the GPU that they hold."""
    server = {"url": stage.site.server.url(3, with_password=False), "password": PASSWORD, "reply_timeout": 20}
    wanted = {"workers": ["2.0.0@test"], "expected_workers": 1, "queues": [{"name": queue} for queue in queues]}
    asked = {
        "check_celery": {**server, **wanted, "tasks": ["jobs.quick"]},
        "check_gpu": {"count": 1, "required_processes": ["py"]},
    }
    items = [{"id": check, "check": check, "params": params, "timeout": 60.0} for check, params in asked.items()]
    return judge_all(items, [], timeout_seconds=90, scrub=Scrubber([PASSWORD]))


@serves("S1.39", case="pass", stand_in=STUB)
def test_the_worker_of_the_new_release_answers_consumes_its_queues_and_holds_the_gpu(
    stage: Stage, with_gpu: t.Callable[..., None]
) -> None:
    started = released(stage)
    assert not started.get("failed"), started
    assert started["deployed"]["version"] == "2.0.0"
    (service,) = started["services"]
    assert (service["before"], service["state"]) == ("stopped", "running")
    (answered,) = stage.drain("resumed")["workers"]
    assert (answered["name"], answered["queues"]) == ("2.0.0@test", ["celery"])
    with_gpu(count=1, pid=service["pid"])
    worker, gpu = judged_worker(stage, "celery")
    assert (worker["status"], gpu["status"]) == ("pass", "pass"), (worker["summary"], gpu["summary"])
    (told,) = worker["evidence"]["workers"]
    assert (told["name"], list(told["queues"])) == ("2.0.0@test", ["celery"])
    assert [process["pid"] for process in gpu["evidence"]["gpus"][0]["processes"]] == [service["pid"]]


@serves("S1.39", case="fail", stand_in=STUB)
def test_a_worker_of_the_old_release_that_answers_is_not_the_new_one(
    stage: Stage, with_gpu: t.Callable[..., None]
) -> None:
    stage.start()
    with_gpu(count=0)
    worker, gpu = judged_worker(stage, "celery", "ocr")
    assert (worker["status"], gpu["status"]) == ("fail", "fail"), (worker["summary"], gpu["summary"])
    for said in ("2.0.0@test", "onsumers of queue ocr is 0, expected at least 1"):
        assert said in worker["summary"], worker["summary"]
    assert "umber of GPUs is 0, expected 1" in gpu["summary"]


@serves("S1.39", case="fail", stand_in=STUB)
def test_a_worker_that_ends_while_it_starts_is_not_taken_for_started(stage: Stage) -> None:
    # Here the worker under test sleeps, not the test: it ends a second after it was started.
    started = released(stage, b"import time\ntime.sleep(1)\nraise SystemExit(3)\n")
    answered = stage.drain("resumed", timeout=5, reply_timeout=1)
    assert answered["failed"] and "0 of 1 workers answered" in answered["msg"], (started, answered)
    again = stage.services("started", artefact=stage.app.places(), gates=[{"url": stage.app.url, "timeout": 8}])
    assert again["failed"] and "celery does not stay up" in again["msg"], again
