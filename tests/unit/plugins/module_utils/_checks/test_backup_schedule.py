# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The longest time between two runs of a schedule, whatever the day it is asked on."""

from __future__ import annotations

import datetime as dt
import itertools
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_schedule import looked_ahead
from ansible_collections.opsready.golive.plugins.module_utils._clients.cron_table import runs_after
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer

MONDAY = dt.datetime(2026, 11, 23, tzinfo=dt.timezone.utc)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture(autouse=True, scope="module")
def _utc() -> t.Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def longest(when: str, now: dt.datetime) -> dt.timedelta | None:
    _coming, seconds = looked_ahead(runs_after(when, now))
    return None if seconds is None else dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("day", range(7))
@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("0 3 * * *", DAY),
        ("0 * * * 1-5", 2 * DAY + HOUR),
        ("* * * * *", MINUTE),
        ("*/10 8-10 * * sun", 7 * DAY - 2 * HOUR - 50 * MINUTE),
        ("0 3 1,15 * *", 17 * DAY),
        ("* * 1 1 *", 364 * DAY + MINUTE),
        ("0 0 1 1 *", 365 * DAY),
    ],
)
def test_the_longest_time_is_the_same_on_each_day(when: str, expected: dt.timedelta, day: int) -> None:
    assert longest(when, MONDAY + day * DAY + 12 * HOUR) == expected


HOURS = st.sets(st.integers(0, 23), min_size=1, max_size=4)
WEEKDAYS = st.sets(st.integers(0, 6), min_size=1)


def listed(numbers: t.Iterable[int]) -> str:
    return ",".join(str(one) for one in sorted(numbers))


@given(HOURS, WEEKDAYS, st.lists(st.integers(0, 7 * 24 * 60 - 1), min_size=2, max_size=2))
def test_it_does_not_depend_on_when_in_the_week_it_is_asked(
    hours: set[int], days: set[int], minutes: list[int]
) -> None:
    when = f"17 {listed(hours)} * * {listed(days)}"
    week = sorted(dt.timedelta(days=day, hours=hour) for day in days for hour in hours)
    expected = max(later - earlier for earlier, later in zip(week, [*week[1:], week[0] + 7 * DAY]))
    assert {longest(when, MONDAY + one * MINUTE) for one in minutes} == {expected}


def test_few_runs_have_no_time_between_them_and_few_are_kept() -> None:
    assert looked_ahead([]) == ((), None)
    assert looked_ahead([MONDAY]) == ((MONDAY,), None)
    assert looked_ahead([MONDAY, MONDAY + 90 * DAY]) == ((MONDAY, MONDAY + 90 * DAY), 90 * 86400.0)
    assert len(looked_ahead(runs_after("* * * * *", MONDAY))[0]) == 3


@pytest.mark.parametrize(("seconds", "is_told"), [(60, True), (12, True), (11, False), (1, False)])
def test_runs_that_come_too_often_for_a_week_are_refused(seconds: int, is_told: bool) -> None:
    endless = (MONDAY + dt.timedelta(seconds=seconds * number) for number in itertools.count())
    if is_told:
        assert looked_ahead(endless)[1] == seconds
        return
    with pytest.raises(UnexpectedAnswer, match="too many to tell the longest time between two"):
        looked_ahead(endless)
