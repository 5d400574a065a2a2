# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What samples say of a percentile: an estimate, and between which two samples it lies with 95 % confidence. Pure.

By order statistics, so nothing is assumed of how the values are distributed: the number of samples at or below a percentile is
binomial (Conover, Practical Nonparametric Statistics, 3.2). Of too few samples even the highest may lie below it.
"""

from __future__ import annotations

import math
import typing as t

CONFIDENCE = 0.95
#: So much more is tried when the samples that would decide are sought.
_GROWTH = 1.5


def percentile(values: t.Sequence[float], share: float) -> float:
    """By nearest rank: a value that was measured, never one between two."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def lower_bound(values: t.Sequence[float], share: float) -> float | None:
    """The highest sample that the percentile is not below, with confidence; None where there is none."""
    rank = _ranks(len(values), share)[0]
    return sorted(values)[rank - 1] if rank else None


def upper_bound(values: t.Sequence[float], share: float) -> float | None:
    """The lowest sample that the percentile is not above, with confidence; None of fewer samples than are needed."""
    rank = _ranks(len(values), share)[1]
    return sorted(values)[rank - 1] if rank else None


def needed(share: float, *, beyond: int = 0) -> int:
    """The fewest samples that can bound a percentile from above, so many of them lying beyond the bound: 59 for 0.95."""
    count = beyond + 1
    while _up_to(beyond, count, 1 - share) > 1 - CONFIDENCE:
        count += 1
    return count


def deciding(within: int, count: int, share: float, *, most: int) -> int | None:
    """About how many samples would tell whether the percentile keeps a limit that ``within`` of ``count`` samples kept.

    None where as many as ``most`` would not.
    """
    tried = max(count, needed(share))
    while tried <= most:
        lower, upper = _ranks(tried, share)
        kept = round(tried * within / count)
        if kept < lower or (upper and kept >= upper):
            return tried
        tried = math.ceil(tried * _GROWTH)
    return None


def _ranks(count: int, share: float) -> tuple[int, int]:
    """The ranks, from 1, of the samples that bound a percentile from below and from above; 0 where none does."""
    lower = upper = 0
    below = 0.0  # the chance that fewer samples than the rank lie at or below the percentile
    for rank in range(1, count + 1):
        below += _exactly(rank - 1, count, share)
        if below <= 1 - CONFIDENCE:
            lower = rank
        if below >= CONFIDENCE:
            upper = rank
            break
    return lower, upper


def _up_to(hits: int, count: int, chance: float) -> float:
    return sum(_exactly(number, count, chance) for number in range(hits + 1))


def _exactly(hits: int, count: int, chance: float) -> float:
    """The chance of so many hits, by logarithms: of thousands of samples the powers alone would be 0."""
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(ways + hits * math.log(chance) + (count - hits) * math.log1p(-chance))
