# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that the release needs is unplugged inside the window, or has no room left.

Where it is back before the settlement needs it, the release is taken back by itself. Where it stays away, users stay behind
maintenance, the lock is kept, the last words name what did not answer, and `abort` takes it back once it is plugged in again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import typing as t
from pathlib import Path

import pytest
from scenarios import pictures
from scenarios.users import Archive
from scenarios.workspace import Ended, wait_until

from tests.e2e.reference import VERSION, System, reference_system


@pytest.fixture(scope="module")
def system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    with reference_system(collections, reachable_folder("unplugged")) as found:
        yield found


@pytest.fixture(scope="module")
def user(system: System) -> Archive:
    archive = Archive(system.facts)
    archive.login()
    return archive


@pytest.fixture(scope="module")
def document(user: Archive) -> int:
    return user.upload("auftrag.pdf")


def _golive_until(
    system: System,
    step: str,
    unplug: t.Callable[[], None],
    plug_in: t.Callable[[], None] = lambda: None,
    options: t.Sequence[str] = (),
) -> Ended:
    """Take it live, unplug when this step begins, and plug in again when it has failed; returns how the run ended."""
    before = system.workspace.releases()
    running = system.started(*options)

    def has_begun() -> bool:
        return system.workspace.releases() != before and system.has("step_started", step)

    try:
        assert wait_until(lambda: has_begun() or running.process.poll() is not None, seconds=600)
        assert has_begun(), "".join(running.lines)[-4000:]
        unplug()
        assert wait_until(lambda: system.has("step_ended", step) or running.process.poll() is not None, seconds=300)
        plug_in()
        return running.wait()
    finally:
        running.kill()


def _abort(system: System) -> Ended:
    release = system.workspace.record().name
    return system.workspace.playbook("abort", version=VERSION, options=("-e", f"golive_takeover={release}"))


def _is_as_it_was(system: System, user: Archive, document: int, waiting: str) -> None:
    assert not Path(system.facts["maintenance_flag"]).exists()
    assert not (system.workspace.state / "lock.json").exists()
    assert Path(system.facts["current"]).resolve().name == "1.0.0"
    assert [name for name in pictures.databases(system.facts) if name.startswith("ablage")] == ["ablage"]
    assert wait_until(lambda: user.health()["version"] == "1.0.0", seconds=30)
    # the worker finds its way back to a broker that was away
    assert wait_until(lambda: user.ask("GET", "/health/pipeline")["status"] == "gesund", seconds=60)
    for job in (waiting, user.submit(document)):
        state = f"/ocr/jobs/{job}"
        assert wait_until(lambda path=state: user.ask("GET", path)["state"] == "fertig", seconds=60), f"{job}: not done"
    assert wait_until(lambda: not system.workspace.left_over(), seconds=30), "the downtime probe goes on"


@dataclasses.dataclass(frozen=True)
class Unplugged:
    """A program that stops when a step begins, and stays away; ``named`` is in the last words of the run."""

    program: str
    step: str
    named: str

    def __str__(self) -> str:
        return f"{self.program} at {self.step}"


STAYS_AWAY = [
    Unplugged("postgres", "backup", "connect"),
    Unplugged("postgres", "start", "connect"),
    Unplugged("redis", "stop", "kritisch"),
    Unplugged("proxy", "migration", "maintenance"),
]


@pytest.mark.parametrize("unplugged", STAYS_AWAY, ids=str)
def test_what_stays_away_keeps_users_out_until_abort(
    system: System, user: Archive, document: int, unplugged: Unplugged
) -> None:
    waiting = user.submit(document)
    try:
        ended = _golive_until(system, unplugged.step, lambda: system.control("stop", unplugged.program))
        assert ended.returncode == 2
        last = system.workspace.journal()[-1]
        assert (last["event"], last.get("outcome")) == ("ended", "left_on"), last
        assert unplugged.named in last["detail"].lower(), last["detail"]
        assert Path(system.facts["maintenance_flag"]).exists()
        assert (system.workspace.state / "lock.json").exists()
        assert system.workspace.read_report()["outcome"] == "left_on"
    finally:
        system.control("start", unplugged.program)
    aborted = _abort(system)
    assert aborted.returncode == 0, aborted.output[-6000:]
    assert system.workspace.journal()[-1]["outcome"] == "rolled_back"
    _is_as_it_was(system, user, document, waiting)


@pytest.mark.parametrize(("program", "step"), [("postgres", "backup"), ("s3", "backup")])
def test_what_comes_back_in_time_is_taken_back_by_the_run_itself(
    system: System, user: Archive, document: int, program: str, step: str
) -> None:
    waiting = user.submit(document)
    ended = _golive_until(
        system, step, lambda: system.control("stop", program), lambda: system.control("start", program)
    )
    assert ended.returncode == 2
    last = system.workspace.journal()[-1]
    assert last["outcome"] == "rolled_back", last
    assert f"It stopped at '{step}'" in last["detail"]
    _is_as_it_was(system, user, document, waiting)


def test_a_role_that_went_missing_before_the_fence_does_not_stop_the_way_back(
    system: System, user: Archive, document: int
) -> None:
    """What cannot be fenced cannot be fenced again: nothing was written, so the way back has no need to."""
    waiting = user.submit(document)
    with pictures.database(system.facts) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute("create role auswertung login")

        def drop() -> None:
            connection.execute("drop role auswertung")

        ended = _golive_until(system, "stop", drop, options=("-e", "ablage_database_owner=auswertung"))
    assert ended.returncode == 2
    last = system.workspace.journal()[-1]
    assert (last["outcome"], "auswertung" in last["detail"]) == ("rolled_back", True), last
    assert system.has("step_ended", "fence") and not system.has("step_started", "back_database")
    _is_as_it_was(system, user, document, waiting)


def _supervisor(system: System) -> int:
    """The process id of the service manager itself."""
    ctl = [system.facts["supervisorctl"], "-s", f"unix://{system.facts['supervisor_socket']}", "pid"]
    return int(subprocess.run(ctl, check=True, capture_output=True).stdout)


def test_a_service_manager_that_hangs_is_named_and_abort_goes_on_when_it_answers(
    system: System, user: Archive, document: int
) -> None:
    waiting = user.submit(document)
    supervisor = _supervisor(system)
    try:
        ended = _golive_until(system, "migration", lambda: os.kill(supervisor, signal.SIGSTOP))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert ended.returncode == 2
    last = system.workspace.journal()[-1]
    assert last["outcome"] == "left_on", last
    assert "supervisor" in last["detail"].lower(), last["detail"]
    assert Path(system.facts["maintenance_flag"]).exists()
    aborted = _abort(system)
    assert aborted.returncode == 0, aborted.output[-6000:]
    _is_as_it_was(system, user, document, waiting)


def test_a_settlement_that_died_in_its_report_leaves_an_ended_release(
    system: System, user: Archive, document: int
) -> None:
    """Killed after the outcome was written: nothing is left to take over, and `report` writes what was missing."""
    waiting = user.submit(document)
    before = system.workspace.releases()
    running = system.started()
    try:
        with contextlib.suppress(ProcessLookupError):
            assert wait_until(
                lambda: (
                    (system.workspace.releases() != before and system.has("ended"))
                    or running.process.poll() is not None
                ),
                seconds=600,
            )
    finally:
        running.kill()
    assert system.workspace.journal()[-1]["outcome"] == "live"
    refused = _abort(system)
    assert system.workspace.journal()[-1]["outcome"] == "live", refused.output[-3000:]
    told = system.workspace.playbook("report", version=VERSION, options=())
    assert told.returncode == 0, told.output[-4000:]
    assert system.workspace.read_report()["outcome"] == "live"
    release = system.workspace.record().name
    back = system.workspace.playbook(
        "rollback",
        version=VERSION,
        options=("-e", f"golive_takeover={release}", "-e", '{"golive_accept_data_loss": true}'),
    )
    assert back.returncode == 0, back.output[-6000:]
    _is_as_it_was(system, user, document, waiting)
