# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a person is there: days of the week and a time of day, where that person is. Holidays are not known."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t
import zoneinfo

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds, span_text

#: The option ``hours`` of a sign-off.
SPEC: Spec = {
    "days": {"type": "list", "elements": "str", "default": ["mon-fri"]},
    "time": {"type": "str", "required": True},
    "time_zone": {"type": "str", "required": True},
    "window": {"type": "str"},
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d) ?- ?((?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class OfficeHours:
    """Days from 0 for Monday, times of day, and how long the go-live takes that has to lie inside."""

    days: frozenset[int]
    begins: datetime.time
    ends: datetime.time
    zone: zoneinfo.ZoneInfo
    window: datetime.timedelta
    text: str

    def hold(self, now: datetime.datetime) -> bool:
        """Whether a go-live that begins now ends before the person leaves."""
        first, last = self._local(now), self._local(now + self.window)
        return (
            first.weekday() in self.days
            and first.date() == last.date()
            and self.begins <= first.time()
            and last.time() <= self.ends
        )

    def told(self, now: datetime.datetime) -> str:
        """What is compared, in words."""
        begins = f"{_DAYS[self._local(now).weekday()]} {self._local(now):%H:%M}"
        lasting = f" for {span_text(self.window.total_seconds())}" if self.window else ""
        return f"a go-live at {begins}{lasting} is {'inside' if self.hold(now) else 'outside'} {self.text}"

    def is_within(self, other: OfficeHours) -> bool:
        """Whether whatever these hours allow, the others allow too."""
        return (
            self.zone.key == other.zone.key
            and self.days <= other.days
            and other.begins <= self.begins
            and self.ends <= other.ends
            and other.window <= self.window
        )

    def _local(self, moment: datetime.datetime) -> datetime.datetime:
        return moment.astimezone(self.zone)


def read(raw: t.Mapping[str, t.Any]) -> OfficeHours:
    """The hours of a sign-off that its spec has validated. Raises BadInput."""
    match = _TIME.fullmatch(raw["time"].strip())
    begins, ends = (datetime.time.fromisoformat(text) for text in match.groups()) if match else (None, None)
    if begins is None or ends is None or begins >= ends:
        raise BadInput(f"hours.time is {raw['time']!r}, expected such as 09:00-17:00, within one day.")
    if not raw["days"]:
        raise BadInput("hours.days is empty, so nobody would ever be there.")
    try:
        zone = zoneinfo.ZoneInfo(raw["time_zone"])
    except (LookupError, ValueError, OSError):
        raise BadInput(
            f"hours.time_zone is {raw['time_zone']!r}, which this controller does not know; write Europe/Berlin or UTC, "
            "and install tzdata."
        ) from None
    window = span_seconds(raw["window"], option="hours.window") if raw.get("window") is not None else 0.0
    days = frozenset(day for days in raw["days"] for day in _days(days))
    return OfficeHours(days, begins, ends, zone, datetime.timedelta(seconds=window), in_words({**raw, "window": None}))


def allows_more(now: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> bool:
    """Whether a go-live may now be where it might not, or where nobody can tell."""
    try:
        return not read(now).is_within(read(before))
    except BadInput:
        return True


def in_words(raw: t.Mapping[str, t.Any]) -> str:
    window = f", window {raw['window']}" if raw.get("window") else ""
    return f"{', '.join(raw['days'])} {raw['time']} {raw['time_zone']}{window}"


def _days(text: str) -> range:
    first, _dash, last = text.strip().lower().partition("-")
    last = last or first
    if first not in _DAYS or last not in _DAYS or _DAYS.index(first) > _DAYS.index(last):
        raise BadInput(f"hours.days has {text!r}, expected days such as mon or mon-fri.")
    return range(_DAYS.index(first), _DAYS.index(last) + 1)
