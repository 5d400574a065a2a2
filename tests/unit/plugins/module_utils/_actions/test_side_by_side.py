# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files at once: as many as there are jobs, none after a failure, and the first failure is told with all that is left."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination, Directory
from ansible_collections.opsready.golive.plugins.module_utils._actions.side_by_side import GoOn, side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, Ended, Unreachable

SOON = 10.0


class Place(Directory):
    """Counts the connections that were made beside its own, and those that were closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.others: list[Place] = []
        self.closed = 0

    def beside(self, go_on: GoOn) -> Destination:
        other = Place(Path(self.path))
        self.others.append(other)
        return other

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_as_many_are_at_work_as_there_are_jobs_each_by_a_connection_of_its_own(place: Place) -> None:
    meet = threading.Barrier(3)
    seen: list[tuple[Destination, str]] = []

    def work(mine: Destination, name: str, go_on: GoOn) -> None:
        go_on()
        meet.wait(SOON)  # breaks unless three are here at once
        seen.append((mine, name))

    side_by_side(place, list("abcdef"), work, jobs=3)
    assert sorted(name for _mine, name in seen) == list("abcdef")
    assert {id(mine) for mine, _name in seen} == {id(other) for other in place.others}
    assert [other.closed for other in place.others] == [1, 1, 1]
    assert place.closed == 0


@pytest.mark.parametrize(("jobs", "names"), [(1, "ab"), (4, "a"), (4, "")])
def test_one_job_or_file_needs_no_thread(place: Place, jobs: int, names: str) -> None:
    seen = []

    def work(mine: Destination, name: str, go_on: GoOn) -> None:
        go_on()
        seen.append((mine, name, threading.current_thread()))

    side_by_side(place, list(names), work, jobs=jobs)
    assert seen == [(place, name, threading.main_thread()) for name in names]
    assert place.others == []


def test_the_first_failure_ends_what_is_under_way_and_begins_nothing_more(place: Place) -> None:
    begun: list[str] = []
    is_under_way = threading.Event()

    def work(_mine: Destination, name: str, go_on: GoOn) -> None:
        begun.append(name)
        if name == "first":
            is_under_way.wait(SOON)
            raise Unreachable("The store is gone.", known={"left_behind": ["one"]})
        try:
            for _unused in range(int(SOON * 100)):
                is_under_way.set()
                threading.Event().wait(0.01)
                go_on()
        except ActionFailed as given_up:
            given_up.known["left_behind"] = ["two"]
            raise
        pytest.fail("nobody told it to give up")

    with pytest.raises(Unreachable, match=r"The store is gone\.") as caught:
        side_by_side(place, ["first", "second", "third"], work, jobs=2)
    assert sorted(begun) == ["first", "second"]
    assert caught.value.known["left_behind"] == ["one", "two"]
    assert [other.closed for other in place.others] == [1, 1]


def test_a_signal_ends_what_is_under_way_and_is_what_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    under_way = threading.Barrier(3)

    def interrupted(_futures: object) -> t.NoReturn:
        under_way.wait(SOON)
        raise Ended("SIGTERM ended the module.")

    def work(_mine: Destination, name: str, go_on: GoOn) -> None:
        under_way.wait(SOON)
        try:
            while True:
                threading.Event().wait(0.01)
                go_on()
        finally:
            ended.append(name)

    monkeypatch.setattr("concurrent.futures.wait", interrupted)
    with pytest.raises(Ended, match="SIGTERM"):
        side_by_side(place, ["first", "second", "third"], work, jobs=2)
    assert sorted(ended) == ["first", "second"]
