# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of variables of which one must be complete, such as the settings of one storage or another."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import secret_strength
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_rules import Looked
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_sources import Values
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds


def looked_at(rule: t.Mapping[str, t.Any], values: Values) -> Looked:
    """Which groups are there as a whole, and which in part; a placeholder counts for nothing."""
    complete, half = [], []
    for name in (str(name) for group in rule["groups"] for name in group):
        why = values.why_unclear(name)
        if why:
            return Looked(rule["name"], unclear=f"depends on {name}, which {why}")
    for group in rule["groups"]:
        names = [str(name) for name in group]
        there = [name for name in names if (values.get(name) or "").strip()]
        usable = [name for name in there if not secret_strength.placeholder_in(values.get(name) or "")]
        if len(usable) == len(names):
            complete.append(" + ".join(names))
        elif there:
            missing = [name for name in names if name not in usable]
            half.append(f"{' + '.join(names)} (without {', '.join(missing)})")
    return Looked(rule["name"], is_set=bool(complete or half), complete_groups=tuple(complete), half_groups=tuple(half))


def judge(name: str, seen: Looked, level: str) -> t.Iterator[Criterion]:
    """One is complete, and none is there in part."""
    complete, half = ", ".join(seen.complete_groups), ", ".join(seen.half_groups)
    yield holds(
        name,
        bool(seen.complete_groups),
        measured=complete or "none",
        expected="at least one complete group",
        sentence=f"{name}: no group is complete",
        level=level,
    )
    yield holds(
        f"{name} half-configured",
        not seen.half_groups,
        measured=half or "none",
        expected="none",
        sentence=f"{name}: half-configured is {half}",
        level=level,
    )
