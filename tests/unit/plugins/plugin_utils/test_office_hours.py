# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Office hours: inside, outside, where the person is, in winter and in summer."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils import office_hours

BERLIN: dict[str, t.Any] = {
    "days": ["mon-fri"], "time": "09:00-17:00", "time_zone": "Europe/Berlin", "window": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "now", "is_there"),
    [
        ({}, "2026-11-23T08:00:00", True),  # a Monday, 09:00 in winter
        ({}, "2026-11-23T07:59:59", False),
        ({}, "2026-11-23T16:00:00", True),
        ({}, "2026-11-23T16:00:01", False),
        ({}, "2026-07-20T07:00:00", True),  # a Monday, 09:00 in summer
        ({}, "2026-07-20T15:30:00", False),
        ({}, "2026-11-22T11:00:00", False),  # a Sunday
        ({"days": ["sun", "tue"]}, "2026-11-22T11:00:00", True),
        ({"days": ["sun", "tue"]}, "2026-11-23T11:00:00", False),
        ({"window": "2h"}, "2026-11-23T14:00:00", True),
        ({"window": "2h"}, "2026-11-23T14:00:01", False),
        ({"window": "7d"}, "2026-11-23T14:00:00", False),  # inside again, a week later
        ({"time_zone": "America/New_York"}, "2026-11-23T13:59:00", False),
        ({"time_zone": "America/New_York"}, "2026-11-23T14:00:00", True),
        ({"time_zone": "Asia/Tokyo", "days": ["mon"]}, "2026-11-23T00:30:00", True),
        ({"time_zone": "Asia/Tokyo", "days": ["mon"], "time": "00:00-23:59"}, "2026-11-22T15:00:00", True),
    ],
)
def test_a_go_live_is_within_somebodys_hours(hours: dict[str, t.Any], now: str, is_there: bool) -> None:
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.timezone.utc)
    assert office_hours.read({**BERLIN, **hours}).hold(moment) is is_there


def test_the_sentence_says_when_it_is_there_and_for_how_long() -> None:
    told = office_hours.read({**BERLIN, "window": "90m"}).told(dt.datetime(2026, 11, 23, 15, 0, tzinfo=dt.timezone.utc))
    assert told == "a go-live at mon 16:00 for 90.0 min is outside mon-fri 09:00-17:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ({"time": "1020"}, "hours.time is '1020'"),
        ({"time": "17:00-09:00"}, "hours.time"),
        ({"time": "09:00-24:00"}, "hours.time"),
        ({"days": []}, "hours.days is empty"),
        ({"days": ["fri-mon"]}, "hours.days has 'fri-mon'"),
        ({"days": ["daily"]}, "hours.days has 'daily'"),
        ({"window": "2"}, "hours.window is '2'"),
        ({"time_zone": "CEST"}, "hours.time_zone is 'CEST'"),
        ({"time_zone": "../../etc/passwd"}, "hours.time_zone"),
        ({"time_zone": "Europe"}, "hours.time_zone"),
        ({"time_zone": ""}, "hours.time_zone"),
    ],
)
def test_what_cannot_be_read_is_refused(hours: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        office_hours.read({**BERLIN, **hours})
    assert said in refused.value.message


def test_hours_that_cannot_be_read_any_more_may_allow_anything() -> None:
    assert not office_hours.allows_more(BERLIN, BERLIN)
    assert office_hours.allows_more(BERLIN, {**BERLIN, "time_zone": "Europe/Nowhere"})
