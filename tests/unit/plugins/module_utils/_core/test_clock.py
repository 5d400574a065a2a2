# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines end, polling waits for answers in a row, and nothing sleeps longer than is left."""

from __future__ import annotations

import contextlib
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import (
    CLOCK,
    Clock,
    Deadline,
    Stopwatch,
    parse_utc,
    poll,
    utc_text,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut

UTC = datetime.timezone.utc


class HandClock(Clock):
    """A clock that only moves when somebody sleeps or pushes it."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def test_a_deadline_never_falls_below_zero() -> None:
    clock = HandClock()
    deadline = Deadline(5, clock=clock)
    assert deadline.remaining() == 5
    assert deadline.require("connecting") == 5
    clock.seconds += 9
    assert deadline.remaining() == 0
    assert deadline.expired()
    with pytest.raises(TimedOut, match=r"connecting did not end within 5 s\."):
        deadline.require("connecting")


def test_a_phase_is_timed_however_it_ends() -> None:
    clock = HandClock()
    watch = Stopwatch(clock)
    with watch.timed("dump"):
        clock.seconds += 2.5
    with contextlib.suppress(TimedOut), watch.timed("verify"):
        clock.seconds += 1.23456
        raise TimedOut("too slow")
    assert watch.seconds == {"dump": 2.5, "verify": 1.235}


def _said(answer: object, in_a_row: int) -> str:
    return f"{in_a_row} of 3 good answers in a row, last {answer}"


def test_polling_needs_good_answers_in_a_row() -> None:
    clock = HandClock()
    answers = iter([True, True, False, True, True, True])
    found = poll(
        lambda: next(answers), good=bool, deadline=Deadline(10, clock=clock), describe=_said, consecutive=3, interval=1
    )
    assert found is True
    assert len(clock.slept) == 5


def test_polling_ends_at_its_deadline_and_says_what_it_saw() -> None:
    clock = HandClock()
    with pytest.raises(TimedOut, match=r"0 of 3 good answers in a row, last 503 after 2.5 s\."):
        poll(
            lambda: 503, good=lambda code: code == 200, deadline=Deadline(2.5, clock=clock), describe=_said, interval=1
        )
    assert clock.slept == [1, 1, 0.5]


def test_polling_asks_once_even_with_no_time_left() -> None:
    assert (
        poll(lambda: 200, good=lambda code: code == 200, deadline=Deadline(0, clock=HandClock()), describe=_said) == 200
    )


@given(st.integers(min_value=0, max_value=7 * 10**12))
def test_times_are_written_and_read_without_loss(milliseconds: int) -> None:
    moment = datetime.datetime.fromtimestamp(0, tz=UTC) + datetime.timedelta(milliseconds=milliseconds)
    assert parse_utc(utc_text(moment)) == moment


def test_a_time_without_a_zone_is_utc_and_another_zone_is_converted() -> None:
    assert parse_utc("2026-11-22T01:02:03") == datetime.datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
    assert utc_text(parse_utc(" 2026-11-22T01:02:03+02:00 ")) == "2026-11-21T23:02:03.000Z"
    with pytest.raises(ValueError, match="tomorrow"):
        parse_utc("tomorrow")


def test_the_real_clock_moves_forward() -> None:
    before = CLOCK.monotonic()
    CLOCK.sleep(0)
    assert CLOCK.monotonic() >= before
    assert CLOCK.now().tzinfo is UTC
