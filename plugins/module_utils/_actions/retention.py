# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups stay: the newest of each of so many hours, days, weeks, months and years that have one, as restic's forget.

Only proven backups are counted, kept or removed. One that was not proven, or that cannot be read, is nobody's replacement.
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


def kept(moments: t.Mapping[str, datetime.datetime], rules: t.Mapping[str, int]) -> dict[str, list[str]]:
    """The names that stay, each with the rules that keep it. ``moments``: when each backup was made."""
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
    for name in newest_first:
        if len(reasons) >= rules["min_keep"]:
            break
        reasons.setdefault(name, []).append("min_keep")
    return reasons
