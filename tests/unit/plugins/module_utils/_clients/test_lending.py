# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which items lend each other connections, on ones that are only counted."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, TimedOut, Unreachable

#: Longer than any of these tests may take: who waits for that long has hung.
LONG = 60.0


@dataclasses.dataclass
class Counted:
    """A connection that keeps what was done with it."""

    number: int
    deadline: Deadline
    is_dead: bool = False
    is_dirty: bool = False
    is_ended: bool = False


class Pool(lending.Lender[Counted]):
    """``problems`` are raised by the next openings, and ``renewal`` by each renewal."""

    def __init__(self, *problems: BaseException) -> None:
        super().__init__("the server")
        self.problems = list(problems)
        self.renewal: BaseException | None = None
        self.cleaning: BaseException | None = None
        self.opened: list[Counted] = []
        self.ended_with: list[BaseException | None] = []

    def _opened(self, deadline: Deadline) -> Counted:
        if self.problems:
            raise self.problems.pop(0)
        self.opened.append(Counted(len(self.opened), deadline))
        return self.opened[-1]

    def _renewed(self, connection: Counted, deadline: Deadline) -> bool:
        if self.renewal is not None:
            raise self.renewal
        connection.deadline = deadline
        return not connection.is_dead

    def _cleaned(self, connection: Counted, problem: BaseException | None) -> bool:
        self.ended_with.append(problem)
        if self.cleaning is not None:
            raise self.cleaning
        return not connection.is_dirty

    def _ended(self, connection: Counted) -> None:
        connection.is_ended = True

    def borrow(self, seconds: float = LONG) -> t.ContextManager[Counted]:
        return self.lent(deadline=Deadline(seconds))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", LONG)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", 0.01)


def test_items_one_after_the_other_share_one_and_each_has_its_own_deadline(patient: None) -> None:
    pool = Pool()
    for seconds in (10.0, 20.0, 30.0):
        with pool.borrow(seconds) as connection:
            assert (connection.number, connection.deadline.seconds) == (0, seconds)
    assert len(pool.opened) == 1


def test_items_at_the_same_time_wait_for_each_other(patient: None) -> None:
    pool, at_work, most = Pool(), [], []

    def item() -> None:
        with pool.borrow() as connection:
            at_work.append(connection)
            most.append(len(at_work))
            at_work.remove(connection)

    threads = [threading.Thread(target=item) for _number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert (len(pool.opened), len(most), max(most)) == (1, 20, 1)


def test_who_waited_long_enough_opens_another_and_both_are_kept(hasty: None) -> None:
    pool = Pool()
    with pool.borrow() as first, pool.borrow() as second:
        assert (first.number, second.number) == (0, 1)
    with pool.borrow(), pool.borrow():
        assert len(pool.opened) == 2


def test_nobody_waits_for_more_than_half_of_its_own_limit(patient: None) -> None:
    pool = Pool()
    with pool.borrow(), pool.borrow(0.4) as second:
        assert second.number == 1
        assert not second.deadline.expired()


def test_a_limit_that_has_passed_opens_nothing_and_counts_nothing(patient: None) -> None:
    pool = Pool()
    with pytest.raises(TimedOut, match="Waiting for a connection to the server did not end"), pool.borrow(0.0):
        pass
    with pool.borrow():
        pass
    assert len(pool.opened) == 1


def test_a_refused_login_is_the_answer_to_all(patient: None) -> None:
    pool = Pool(Denied("Wrong password."))
    for _turn in range(3):
        with pytest.raises(Denied, match="Wrong password"), pool.borrow():
            pass
    assert pool.opened == []


def test_who_waits_hears_of_the_refusal(patient: None) -> None:
    may_refuse, heard = threading.Event(), []

    class Slow(Pool):
        def _opened(self, deadline: Deadline) -> Counted:
            may_refuse.wait(LONG)
            return super()._opened(deadline)

    pool = Slow(Denied("Wrong password."))

    def item() -> None:
        try:
            with pool.borrow():
                pass
        except Denied as problem:
            heard.append(problem)

    threads = [threading.Thread(target=item) for _number in range(4)]
    for thread in threads:
        thread.start()
    may_refuse.set()
    for thread in threads:
        thread.join(LONG)
    assert len(heard) == 4
    assert pool.opened == []


@pytest.mark.parametrize("problem", [TimedOut("Too slow."), ValueError("a defect")])
def test_what_ran_out_of_time_or_is_a_defect_is_one_items_alone(patient: None, problem: Exception) -> None:
    pool = Pool(problem)
    with pytest.raises(type(problem)), pool.borrow():
        pass
    with pool.borrow() as connection:
        assert connection.number == 0


def test_after_the_first_login_a_refusal_is_one_items_alone(hasty: None) -> None:
    """It may only have been one connection too many."""
    pool = Pool()
    with pool.borrow():
        pool.problems = [Denied("Too many connections.")]
        with pytest.raises(Denied), pool.borrow():
            pass
    with pool.borrow() as connection:
        assert connection.number == 0


def test_an_idle_one_that_ended_meanwhile_is_replaced(patient: None) -> None:
    pool = Pool()
    with pool.borrow() as first:
        first.is_dead = True
    with pool.borrow() as second:
        assert (first.is_ended, second.number) == (True, 1)


@pytest.mark.parametrize("problem", [Unreachable("Gone."), TimedOut("Too slow."), RuntimeError("no thread is left")])
def test_one_that_cannot_be_renewed_is_counted_back_and_ended(patient: None, problem: Exception) -> None:
    pool = Pool()
    with pool.borrow() as first:
        pass
    pool.renewal = problem
    with pytest.raises(type(problem)), pool.borrow():
        pass
    assert (first.is_ended, pool._lent) == (True, 0)
    pool.renewal = None
    with pool.borrow() as second:
        assert second.number == 1


def test_one_that_cannot_be_cleaned_is_not_kept(patient: None) -> None:
    pool = Pool()
    with pool.borrow() as first:
        first.is_dirty = True
    with pool.borrow() as second:
        assert (first.is_ended, second.number) == (True, 1)
    pool.cleaning = ValueError("a defect")
    with pytest.raises(ValueError, match="a defect"), pool.borrow():
        pass
    pool.cleaning = None
    with pool.borrow() as third:
        assert (second.is_ended, third.number) == (True, 2)


def test_an_items_problem_is_its_own_and_told_to_who_cleans(patient: None) -> None:
    pool, problem = Pool(), Denied("Not this query.")
    with contextlib.suppress(Denied), pool.borrow():
        raise problem
    with pool.borrow() as connection:
        assert connection.number == 0
    assert pool.ended_with == [problem, None]


def test_what_is_idle_can_be_ended_and_is_opened_anew(hasty: None) -> None:
    pool = Pool()
    with pool.borrow() as lent:
        with pool.borrow() as idle:
            pass
        pool.end_idle()
        assert (lent.is_ended, idle.is_ended) == (False, True)
    with pool.borrow() as again:
        assert again is lent
    pool.end_idle()
    with pool.borrow() as anew:
        assert anew.number == 2


def test_closing_ends_what_is_idle_at_once_and_what_is_lent_when_it_comes_back(hasty: None) -> None:
    pool = Pool()
    with pool.borrow() as lent:
        with pool.borrow() as idle:
            pass
        pool.close()
        assert (lent.is_ended, idle.is_ended) == (False, True)
    assert lent.is_ended
