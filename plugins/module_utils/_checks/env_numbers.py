# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are numbers, sizes or spans of time, and the bounds that they are held to."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks.env_rules import Looked
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, plain

#: What a number is called by its unit, and how it is written.
_MEASURES: dict[str | None, tuple[str, t.Callable[[float], t.Any]]] = {
    None: ("a number", lambda number: number),
    "size": ("a size such as 512MB or 1GiB", lambda number: units.size_text(int(number))),
    "duration": ("a span of time such as 30s or 15m", units.span_text),
}


def refuse_unusable(rule: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput for bounds that a number cannot be held to."""
    if rule["kind"] != "number":
        if rule.get("unit"):
            raise BadInput(f"rule {rule['name']}: unit is for numbers, and its kind is {rule['kind']}.")
        return
    bounds = {option: rule[option] for option in ("min", "max", "value") if rule.get(option) is not None}
    if not bounds:
        raise BadInput(f"rule {rule['name']}: a number needs min, max or value.")
    for option, text in bounds.items():
        _bound(rule, text, option=f"rule {rule['name']}: {option}")


def _bound(rule: t.Mapping[str, t.Any], text: str, *, option: str) -> float:
    """A number in the rule's unit: plain, bytes or seconds. Raises BadInput naming the option."""
    if rule.get("unit") == "size":
        return float(units.size_bytes(text, option=option))
    if rule.get("unit") == "duration":
        return units.span_seconds(text, option=option)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(
            f"{option} is {text!r}, which is not a number.", remedy="With unit it may be a size or a duration."
        )
    return number


def looked_at(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    """The number in the rule's unit; None where the value is none."""
    if not rule.get("unit"):
        return dataclasses.replace(seen, number=_number(value))
    try:
        return dataclasses.replace(seen, number=_bound(rule, value, option=seen.name))
    except BadInput:  # it is the variable that is wrong, not an option
        return seen


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", value) else None


def judge(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    """Whether it is a number, and within each bound that the rule has."""
    name, level, number = rule["name"], rule["level"], seen.number
    called, told = _MEASURES[rule.get("unit")]
    if number is None:
        yield holds(name, False, measured=seen.shown, expected=called, level=level)
        return
    value, lowest, highest = (
        None if rule.get(option) is None else _bound(rule, rule[option], option=option)
        for option in ("value", "min", "max")
    )
    measured = told(number)
    if value is not None:
        yield holds(name, number == value, measured=measured, expected=rule["value"], level=level)
    if lowest is not None:
        expected = f"at least {plain(told(lowest))}"
        yield holds(f"{name} (lower bound)", number >= lowest, measured=measured, expected=expected, level=level)
    if highest is not None:
        expected = f"at most {plain(told(highest))}"
        yield holds(f"{name} (upper bound)", number <= highest, measured=measured, expected=expected, level=level)
