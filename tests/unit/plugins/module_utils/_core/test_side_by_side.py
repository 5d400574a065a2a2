# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several targets at once: each keeps its own answer, and one that hangs hides nothing."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, TimedOut, Unreachable
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side


def refuse() -> int:
    raise Denied("no")


def test_answers_and_errors_come_in_the_jobs_order() -> None:
    turn = threading.Event()

    def late() -> int:
        assert turn.wait(5)
        return 1

    def early() -> int:
        turn.set()
        return 2

    first, second, third, fourth = side_by_side([late, early, refuse, lambda: None], deadline=Deadline(5))
    assert (first, second, fourth) == (1, 2, None)
    assert isinstance(third, Denied)


def test_a_job_that_hangs_is_timed_out_and_the_others_are_known() -> None:
    stop = threading.Event()
    hung, known = side_by_side([lambda: stop.wait(20), lambda: 7], deadline=Deadline(0.2))
    stop.set()
    assert isinstance(hung, TimedOut) and isinstance(hung, Unreachable)
    assert known == 7


def test_more_jobs_than_threads_are_all_done() -> None:
    assert side_by_side([lambda n=n: n for n in range(50)], deadline=Deadline(5), width=3) == list(range(50))


def test_one_watched_job_needs_no_thread_and_its_error_is_its_answer() -> None:
    assert side_by_side([threading.current_thread], deadline=Deadline(5), watched=True) == [threading.current_thread()]
    assert side_by_side([threading.current_thread], deadline=Deadline(5)) != [threading.current_thread()]
    (refused,) = side_by_side([refuse], deadline=Deadline(5), watched=True)
    assert isinstance(refused, Denied)
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 // 0], deadline=Deadline(5), watched=True)


def test_nothing_to_do_is_nothing() -> None:
    assert side_by_side([], deadline=Deadline(1)) == []


def test_a_defect_is_not_an_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 // 0], deadline=Deadline(5))
