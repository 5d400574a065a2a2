# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a module's figures to lines for the operator: which of them are worth one, and what it says."""

from __future__ import annotations

import dataclasses
import json
import math
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import ESTIMATED_BY, PHASES

#: Figures are some numbers: what is longer is none.
MOST_BYTES = 4096
#: A line comes when so much more of the whole is done, in percent, or when there was none for so many looks.
STEP_PERCENT = 5
MOST_LOOKS = 6
_MOST = 1 << 62
#: What the seconds of figures are rounded to: a rate of less says nothing.
_SHORTEST_SECONDS = 0.1
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclasses.dataclass(frozen=True)
class Figures:
    """Seconds are those of the phase. ``estimated_by`` is None where ``whole`` is known."""

    phase: str
    seconds: float
    size: int | None
    stored: int | None
    whole: int | None
    estimated_by: str | None
    tables: tuple[int, int] | None
    made: int

    @property
    def percent(self) -> int | None:
        """How much of the whole is done, rounded down; None where that is not known, or where the whole was underestimated."""
        if self.size is not None and self.whole and self.size <= self.whole:
            return 100 * self.size // self.whole
        if self.size is None and self.tables is not None and self.tables[1]:
            return 100 * self.tables[0] // self.tables[1]
        return None

    @property
    def done(self) -> tuple[t.Any, ...]:
        """What differs when anything was done meanwhile."""
        return (self.phase, self.size, self.stored, self.tables, self.made)


def parsed(text: str) -> Figures:
    """What a module wrote. Raises UnexpectedAnswer for anything else: the file lies on another host."""
    try:
        found: t.Any = json.loads(text) if len(text) <= MOST_BYTES else {}
        tables = None if found["tables"] is None else (_count(found["tables"][0]), _count(found["tables"][1]))
        figures = Figures(
            phase=_one_of(found["phase"], PHASES),
            seconds=_seconds(found["seconds"]),
            size=_count_or_none(found["size"]),
            stored=_count_or_none(found["stored"]),
            whole=_count_or_none(found["whole"]),
            estimated_by=None if found["estimated_by"] is None else _one_of(found["estimated_by"], ESTIMATED_BY),
            tables=tables,
            made=_count(found["made"]),
        )
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise UnexpectedAnswer("What the module tells of its progress is not understood.") from None
    return figures


def _count(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError
    return value


def _count_or_none(value: t.Any) -> int | None:
    return None if value is None else _count(value)


def _seconds(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:
        raise ValueError
    return float(value)


def _one_of(value: t.Any, known: t.Sequence[str]) -> str:
    if value not in known:
        raise ValueError
    return str(value)


class Lines:
    """Which looks become a line. ``at`` is the number of the look."""

    def __init__(self) -> None:
        self._before: Figures | None = None
        self._shown: Figures | None = None
        self._shown_at = 0
        self._since = 0.0

    def of(self, now: Figures, at: int) -> str | None:
        """The line that these figures are worth; None where they say too little that is new."""
        before, self._before = self._before, now
        if before is not None and before.phase != now.phase:
            before = None
        if before is None or before.done != now.done:
            self._since = now.seconds
        if not self._is_due(now, at):
            return None
        self._shown, self._shown_at = now, at
        return _line(now, before, stands=now.seconds - self._since)

    def _is_due(self, now: Figures, at: int) -> bool:
        shown = self._shown
        if shown is None or shown.phase != now.phase or at - self._shown_at >= MOST_LOOKS:
            return True
        if shown.percent is None or now.percent is None:
            return shown.percent != now.percent
        return now.percent - shown.percent >= STEP_PERCENT


def _line(now: Figures, before: Figures | None, *, stands: float) -> str:
    parts = [now.phase if now.size is None else f"{now.phase}, {size(now.size)}{_share(now)}"]
    if now.stored is not None and now.stored != now.size:
        parts.append(f"{size(now.stored)} stored")
    rate = _rate(now, before)
    if rate is not None:
        parts.append(f"{size(rate)}/s")
    if now.tables is not None:
        parts.append(_tables(now))
    if now.made:
        parts.append(f"{now.made} made")
    if stands > 0:
        parts.append(f"the same for {span(stands)}")
    return f"{', '.join(parts)}, {span(now.seconds)}"


def _share(now: Figures) -> str:
    whole = now.whole
    if not whole:
        return ""
    if now.estimated_by is None:
        return f" of {size(whole)} read" + ("" if now.percent is None else f" ({now.percent} %)")
    is_by_last = now.estimated_by == ESTIMATED_BY[0]
    if now.percent is None:
        return f" (more than the {size(whole)} estimated by {'the last backup' if is_by_last else 'the size of the database'})"
    if is_by_last:
        return f" (about {now.percent} % of {size(whole)}, estimated by the last backup)"
    # A compressed dump without indexes takes less.
    return f" (estimated at {now.percent} % or more, the database has {size(whole)})"


def _tables(now: Figures) -> str:
    done, of = now.tables or (0, 0)
    share = f" ({now.percent} %)" if now.size is None and now.percent is not None else ""
    if now.phase == "restore":
        return f"table {done} of {of}{share}"
    return f"{done} of {of} tables{' counted' if now.phase == 'dump' else share}"


def _rate(now: Figures, before: Figures | None) -> int | None:
    """Bytes per second since the look before, or since the phase began."""
    if now.size is None:
        return None
    seconds = now.seconds - (0.0 if before is None else before.seconds)
    octets = now.size - (0 if before is None else before.size or 0)
    return None if seconds < _SHORTEST_SECONDS or octets < 0 else math.floor(octets / seconds)


def size(octets: int) -> str:
    """``1.2 GB``: units of a thousand, as the modules' own sentences have them."""
    value, unit = float(octets), 0
    while value >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{octets} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def span(seconds: float) -> str:
    """``0:40`` is 40 seconds, ``1:02:03`` an hour and more."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
