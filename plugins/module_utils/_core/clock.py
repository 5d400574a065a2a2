# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, injected: a monotonic clock, deadlines, and polling in place of fixed sleeps."""

from __future__ import annotations

import contextlib
import datetime
import time
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut

T = t.TypeVar("T")


class Clock:
    """The real clock. Tests pass one of their own with the same three methods."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def now(self) -> datetime.datetime:
        """The wall clock in UTC."""
        return datetime.datetime.now(datetime.timezone.utc)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


CLOCK = Clock()
#: How far two hosts' clocks may be apart, in seconds, before what one says of time means nothing to the other.
CLOCKS_DIFFER = 300.0


def utc_text(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-11-22T01:02:03.004Z``."""
    moment = moment.astimezone(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_utc(text: str) -> datetime.datetime:
    """Read RFC 3339; a time without a zone is taken as UTC. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


class Deadline:
    """A point on the monotonic clock. ``remaining()`` never falls below zero."""

    def __init__(self, seconds: float, *, clock: Clock = CLOCK) -> None:
        self.seconds = seconds
        self.clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        return max(0.0, self._end - self.clock.monotonic())

    def expired(self) -> bool:
        return self.remaining() <= 0.0

    def require(self, doing: str) -> float:
        """Seconds left, or TimedOut naming what was being done."""
        left = self.remaining()
        if left <= 0.0:
            raise TimedOut(f"{doing} did not end within {self.seconds:g} s.")
        return left


class Stopwatch:
    """How long each phase of something took, in seconds, whether it ended well or not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(self, phase: str) -> t.Iterator[None]:
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = round(self._clock.monotonic() - began, 3)


def poll(
    attempt: t.Callable[[], T],
    *,
    good: t.Callable[[T], bool],
    deadline: Deadline,
    describe: t.Callable[[T | None, int], str],
    consecutive: int = 1,
    interval: float = 0.1,
) -> T:
    """Call ``attempt`` until ``consecutive`` answers in a row are good; raise TimedOut with what was seen last.

    ``describe(last answer, good answers in a row)`` writes the sentence of the error.
    """
    in_a_row = 0
    while True:
        answer = attempt()
        in_a_row = in_a_row + 1 if good(answer) else 0
        if in_a_row >= consecutive:
            return answer
        if deadline.expired():
            raise TimedOut(f"{describe(answer, in_a_row)} after {deadline.seconds:g} s.")
        deadline.clock.sleep(min(interval, deadline.remaining()))
