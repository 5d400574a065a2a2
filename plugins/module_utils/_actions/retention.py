# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups stay: the newest of each of so many hours, days, weeks, months and years that have one, as restic's forget.

Only proven backups are counted, kept or removed. One that was not proven, or that cannot be read, is nobody's replacement. Nor is
one that was proven by its bytes alone one for the last that was restored: whatever the rules say, the newest of those proven best stays.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

#: What two backups have in common when they are of one period; weeks are those of ISO 8601, all times UTC.
PERIODS: dict[str, t.Callable[[datetime.datetime], tuple[int, ...]]] = {
    "hourly": lambda moment: (moment.year, moment.month, moment.day, moment.hour),
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: tuple(moment.isocalendar()[:2]),
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: (moment.year,),
}

#: No backup is of an earlier year: where a rule that asks for a million hours ends.
_NO_POSTGRES = 1996

SPEC: Spec = {
    "last": {"type": "int", "default": 0},
    **{period: {"type": "int", "default": 0} for period in PERIODS},
    "min_keep": {"type": "int", "default": 1},
}


def require_rules(rules: t.Mapping[str, int]) -> None:
    """Raises BadInput for rules that would keep nothing."""
    negative = [name for name in SPEC if int(rules[name]) < 0]
    if negative:
        raise BadInput(f"keep.{negative[0]} is {rules[negative[0]]}, expected 0 or more.")
    if not any(rules[name] for name in ("last", *PERIODS)):
        raise BadInput("keep names no rule, so nothing would be kept.", remedy=f"Give last, {', '.join(PERIODS)}.")
    if rules["min_keep"] < 1:
        raise BadInput("keep.min_keep is 0, and without any backup there is no way back.")


_STEPS = {
    "hourly": datetime.timedelta(hours=1),
    "daily": datetime.timedelta(days=1),
    "weekly": datetime.timedelta(weeks=1),
}


def _before(rule: str, moment: datetime.datetime) -> datetime.datetime:
    """A moment of the period before this one's."""
    if rule in _STEPS:
        return moment - _STEPS[rule]
    return moment.replace(day=1, month=1 if rule == "yearly" else moment.month) - datetime.timedelta(days=1)


def _named(rule: str, period: tuple[int, ...]) -> str:
    """A period as people write it: ``2026-11-22T03``, ``2026-11-22``, ``2026-W47``, ``2026-11``, ``2026``."""
    if rule == "weekly":
        return f"{period[0]}-W{period[1]:02d}"
    day = "-".join(f"{part:02d}" for part in period[:3])
    return f"{day}T{period[3]:02d}" if rule == "hourly" else day


def missing(
    moments: t.Iterable[datetime.datetime], rules: t.Mapping[str, int], *, first: datetime.datetime | None = None
) -> dict[str, list[str]]:
    """By rule, the periods that lack a backup: of so many up to the newest one's, but none before ``first``.

    It is stricter than ``kept``, which passes over a period without any. ``moments`` are those of at least one backup.
    """
    made = [moment.astimezone(datetime.timezone.utc) for moment in moments]
    lacking: dict[str, list[str]] = {}
    for rule in (rule for rule in PERIODS if rules[rule] > 0):
        period, moment = PERIODS[rule], max(made)
        there = {period(one) for one in made}
        oldest: tuple[int, ...] = (_NO_POSTGRES,)
        if first is not None:
            oldest = max(oldest, period(first.astimezone(datetime.timezone.utc)))
        lacking[rule] = []
        for unused in range(rules[rule]):
            wanted = period(moment)
            if wanted < oldest:
                break
            if wanted not in there:
                lacking[rule].append(_named(rule, wanted))
            moment = _before(rule, moment)
    return lacking


def kept(
    moments: t.Mapping[str, datetime.datetime],
    rules: t.Mapping[str, int],
    *,
    proofs: t.Mapping[str, int] | None = None,
) -> dict[str, list[str]]:
    """The names that stay, each with the rules that keep it. ``moments``: when each backup was made.

    ``proofs``: how well each was proven, more is better, and below 0 what failed since. The newest of the best stays for its ``proof``.
    """
    newest_first = sorted(moments, key=lambda name: (moments[name], name), reverse=True)
    reasons: dict[str, list[str]] = {}
    for name in newest_first[: rules["last"]]:
        reasons.setdefault(name, []).append("last")
    for rule, period in PERIODS.items():
        seen: set[tuple[int, ...]] = set()
        for name in newest_first:
            if len(seen) == rules[rule]:
                break
            when = period(moments[name].astimezone(datetime.timezone.utc))
            if when not in seen:
                seen.add(when)
                reasons.setdefault(name, []).append(rule)
    if proofs:
        best = max(proofs[name] for name in moments)
        proven_best = next(name for name in newest_first if proofs[name] == best)
        reasons.setdefault(proven_best, []).append("proof")
    for name in newest_first:
        if len(reasons) >= rules["min_keep"]:
            break
        reasons.setdefault(name, []).append("min_keep")
    return reasons
