# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller dies somewhere in a release, and `abort` takes back what was done: users are served, every job is kept.

One stack for all of them, since each ends in the system that it began with.
"""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from scenarios import pictures
from scenarios.aftermath import program_pids
from scenarios.users import Archive, Refused
from scenarios.workspace import Ended, wait_until

from tests.e2e.reference import VERSION, System, reference_system

ALL_BACK = ["back_maintenance", "back_stop", "back_database", "back_files", "back_start", "back_traffic"]
NEXT_VERSION = "2.0.1"
LATER_SECONDS = 3600.0


def _stage(system: System) -> str:
    """How far the drain of this release got, as the broker has it."""
    found = [path.name for path in system.workspace.releases()]
    with pictures.broker(system.facts) as client:
        said = client.hget(f"opsready:ablage:ledger:{found[-1]}:state", "stage") if found else None
    return said.decode().strip('"') if said else ""


def _is_unpacked(system: System) -> bool:
    return (Path(system.facts["releases_dir"]) / VERSION).is_dir()


def _maintenance(system: System) -> bool:
    return Path(system.facts["maintenance_flag"]).exists()


@dataclasses.dataclass(frozen=True)
class Kill:
    """When the controller dies, how `abort` ends it, and by which steps back."""

    name: str
    moment: t.Callable[[System], bool]
    outcome: str
    back: t.Sequence[str]


KILLS = [
    # the first three times the new version was never unpacked: `abort` has to do without its files
    Kill("begun", lambda system: system.has("begun"), "aborted", []),
    Kill("planned", lambda system: system.has("planned"), "aborted", []),
    Kill("images", _is_unpacked, "aborted", []),
    Kill("maintenance", _maintenance, "rolled_back", ["back_traffic"]),
    Kill("draining", lambda system: _stage(system) in ("quieted", "draining", "drained"), "rolled_back",
         ["back_maintenance", "back_start", "back_traffic"]),
    Kill("fenced", lambda system: system.has("step_started", "backup"), "rolled_back",
         ["back_maintenance", "back_start", "back_traffic"]),
    Kill("backed up", lambda system: system.has("step_started", "migration"), "rolled_back", ALL_BACK),
    Kill("migrated", lambda system: system.has("step_started", "start"), "rolled_back", ALL_BACK),
    Kill("started", lambda system: system.has("step_started", "smoke_inside"), "rolled_back", ALL_BACK),
]  # fmt: skip


@pytest.fixture(scope="module")
def system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    with reference_system(collections, reachable_folder("kills")) as found:
        yield found


@pytest.fixture(scope="module")
def user(system: System) -> Archive:
    archive = Archive(system.facts)
    archive.login()
    return archive


@pytest.fixture(scope="module")
def document(user: Archive) -> int:
    return user.upload("auftrag.pdf")


@pytest.fixture(scope="module")
def scheduled(system: System, user: Archive, document: int) -> str:
    """A job that a worker holds until long after the tests: it has to outlive every one of them."""
    job = user.submit(document, LATER_SECONDS)
    assert wait_until(lambda: job in pictures.messages(system.facts).held, seconds=20)
    return job


def _state_of(user: Archive, job: str) -> str:
    return str(user.ask("GET", f"/ocr/jobs/{job}")["state"])


def _kill_at(system: System, moment: t.Callable[[System], bool]) -> str:
    """Take it live, and kill the controller then; returns the release's id."""
    before = system.workspace.releases()
    running = system.started()

    def is_there() -> bool:
        return system.workspace.releases() != before and moment(system)

    try:
        assert wait_until(lambda: is_there() or running.process.poll() is not None, seconds=600)
    finally:
        running.kill()
    assert is_there(), "".join(running.lines)[-4000:]
    return system.workspace.record().name


def _abort(system: System, release: str) -> Ended:
    """As somebody does it whose system file names the next version already."""
    return system.workspace.playbook("abort", version=NEXT_VERSION, options=("-e", f"golive_takeover={release}"))


def _steps_back(system: System) -> list[str]:
    return [
        entry["step"]
        for entry in system.workspace.journal()
        if entry["event"] == "step_started" and entry["direction"] == "back"
    ]


def _is_as_it_was(system: System) -> None:
    assert not _maintenance(system)
    assert not (system.workspace.state / "lock.json").exists()
    assert Path(system.facts["current"]).resolve().name == "1.0.0"
    assert [name for name in pictures.databases(system.facts) if name.startswith("ablage")] == ["ablage"]
    with pictures.database(system.facts) as connection:
        (revision,) = connection.execute("select version_num from alembic_version").fetchone()
    assert revision.startswith("0002")
    assert wait_until(lambda: not system.workspace.left_over(), seconds=30), "the downtime probe goes on"


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: kill.name)
def test_a_release_that_died_is_aborted_and_users_are_served(
    system: System, user: Archive, document: int, scheduled: str, kill: Kill
) -> None:
    pids = program_pids(system.facts)
    waiting = user.submit(document)
    release = _kill_at(system, kill.moment)
    ended = _abort(system, release)
    assert ended.returncode == 0, ended.output[-6000:]
    last = system.workspace.journal()[-1]
    assert (last["event"], last.get("outcome")) == ("ended", kill.outcome), last
    assert system.workspace.read_report()["version"] == VERSION
    assert _steps_back(system) == list(kill.back)
    if "back_start" not in kill.back:  # nothing was stopped, so nothing may have been started anew
        assert program_pids(system.facts) == pids
    _is_as_it_was(system)
    assert user.health()["version"] == "1.0.0"
    handed_in = user.submit(document)
    for job in (waiting, handed_in):
        assert wait_until(lambda job=job: _state_of(user, job) == "fertig", seconds=60), f"{job} was not done"
    assert wait_until(lambda: pictures.messages(system.facts).held == {scheduled: 1}, seconds=30)


def test_past_the_point_of_no_return_abort_says_what_stands_at_stake_and_rollback_takes_it_back(
    system: System, user: Archive, document: int, scheduled: str
) -> None:
    """Killed when users were back; somebody wrote since."""
    release = _kill_at(system, lambda system: system.has("step_started", "smoke_outside"))
    written = user.upload("seither.pdf")
    ended = _abort(system, release)
    assert ended.returncode == 2
    last = system.workspace.journal()[-1]
    assert last["outcome"] == "left_on", last
    for part in ("point of no return", "public.documents", "golive_accept_data_loss=true"):
        assert part in last["detail"]
    assert not _maintenance(system)
    back = system.workspace.playbook(
        "rollback", version=VERSION, options=("-e", f"golive_takeover={release}", "-e", '{"golive_accept_data_loss": true}')
    )  # fmt: skip
    assert back.returncode == 0, back.output[-6000:]
    entries = system.workspace.journal()
    assert entries[-1]["outcome"] == "rolled_back"
    operator = next(entry["operator"] for entry in entries[::-1] if "operator" in entry)
    assert f"the loss was accepted by {operator}: " in entries[-1]["detail"]
    assert "The schema is as it was before the migration: " in entries[-1]["detail"]
    known = next(entry["known"] for entry in entries[::-1] if entry.get("step") == "back_database" and "known" in entry)
    assert (known["schema"]["is_as_before"], known["migration"]["data_loss"]) == (True, None), known
    assert _steps_back(system) == ALL_BACK
    _is_as_it_was(system)
    job = user.submit(document)
    assert wait_until(lambda: _state_of(user, job) == "fertig", seconds=60)
    assert wait_until(lambda: pictures.messages(system.facts).held == {scheduled: 1}, seconds=30)
    # the way back of 2.0.0 is a downgrade: rows stay, and only what the migration had brought is lost
    assert user.ask("GET", f"/documents/{written}")["id"] == written


def test_a_way_back_that_died_goes_on_where_it_stood(system: System, user: Archive, document: int) -> None:
    release = _kill_at(system, lambda system: system.has("step_started", "smoke_inside"))
    running = system.workspace.start("abort", version=VERSION, options=("-e", f"golive_takeover={release}"))
    try:
        assert wait_until(lambda: system.has("step_started", "back_files"), seconds=600), "".join(running.lines)[-4000:]
    finally:
        running.kill()
    ended = _abort(system, release)
    assert ended.returncode == 0, ended.output[-6000:]
    assert system.workspace.journal()[-1]["outcome"] == "rolled_back"
    assert _steps_back(system) == [*ALL_BACK[:4], *(name for name in ALL_BACK if name != "back_database")]
    _is_as_it_was(system)
    with pytest.raises(Refused):
        user.ask("GET", "/documents/0")
    job = user.submit(document)
    assert wait_until(lambda: _state_of(user, job) == "fertig", seconds=60)
