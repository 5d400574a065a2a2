# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at one variable for one rule, and judge what was found out: set, of the right kind, and the same everywhere."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import (
    env_drift,
    env_faults,
    env_groups,
    env_numbers,
    env_secrets,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_rules import ELSEWHERE, SECRET_KINDS, Looked
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_sources import Values
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, one_of, unknown

#: Kinds whose value may stand in a report.
_SHOWN_KINDS = ("literal", "one_of", "email", "origins", "number", "boolean")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def looked(rule: t.Mapping[str, t.Any], values: Values, example: t.Mapping[str, str]) -> Looked:
    """What a rule needs to know of its variable. ``example`` holds values that everybody knows."""
    name, kind = rule["name"], rule["kind"]
    value = values.get(name)
    if kind == "any_of":
        return env_groups.looked_at(rule, values)
    if value is None:
        return Looked(name, unclear=values.why_unclear(name))
    seen = Looked(
        name,
        is_set=True,
        is_empty=not value.strip(),
        source=values.source(name),
        length=len(value),
        shown=value if kind in _SHOWN_KINDS else None,
        differs=values.differing(name),
        divides=values.divided(name),
        only_in_file=values.is_only_in_file(name),
        equals_example=kind in SECRET_KINDS and bool(value) and value in example.values(),
    )
    if not any(one.strip() for one in values.everywhere(name)):
        return dataclasses.replace(seen, differs=(), divides="", only_in_file=False)
    if seen.is_empty or kind not in _LOOKS:
        return seen
    return _LOOKS[kind](seen, rule, value)


def _looked_at_text(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    shown = env_faults.without_secrets(value) if rule["kind"] in ("url", "dsn") else seen.shown
    return dataclasses.replace(seen, wrong=env_faults.fault_of(rule, value), shown=shown)


_LOOKS: dict[str, t.Callable[[Looked, t.Mapping[str, t.Any], str], Looked]] = {
    **dict.fromkeys(env_faults.FAULTS, _looked_at_text),
    **dict.fromkeys(SECRET_KINDS, env_secrets.looked_at),
    "number": env_numbers.looked_at,
}


def judge(rule: t.Mapping[str, t.Any], seen: Looked, places: t.Mapping[str, t.Sequence[str]]) -> t.Iterator[Criterion]:
    """Whether it is there as the rule wants it. ``places`` are the labels of what was read, by kind."""
    name, kind, level = rule["name"], rule["kind"], rule["level"]
    if seen.unclear and not seen.is_set:
        yield unknown(name, f"{name} {seen.unclear}", remedy=ELSEWHERE)
    elif kind == "any_of":
        yield from env_groups.judge(name, seen, level)
    elif kind == "absent":
        yield one_of(name, "set" if seen.is_set else "not set", ["not set"], level=level)
    elif not seen.is_set or seen.is_empty:
        state = "empty" if seen.is_set else "not set"
        reason = rule.get("optional")
        if reason:
            yield holds(name, True, measured=f"{state} ({reason})", expected="set, or left out for a reason")
            # Blank here and set in another place is no agreement.
            yield from env_drift.judge_agreement(name, seen, places, level)
        else:
            yield holds(name, False, measured=state, expected="set", sentence=f"{name} is {state}", level=level)
    else:
        yield from env_drift.judge_agreement(name, seen, places, level)
        yield from _judge_value(rule, seen)


def _judge_value(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    name, kind, level = rule["name"], rule["kind"], rule["level"]
    if kind in SECRET_KINDS:
        yield from env_secrets.judge(rule, seen)
    elif kind == "literal":
        yield one_of(name, seen.shown, [rule["value"]], level=level)
    elif kind == "one_of":
        yield one_of(name, seen.shown, rule["allowed"], level=level)
    elif kind == "boolean":
        yield from _judge_boolean(rule, seen)
    elif kind == "number":
        yield from env_numbers.judge(rule, seen)
    elif seen.wrong is not None:
        yield holds(
            name, False, measured=seen.shown or "set", expected=kind, sentence=f"{name} {seen.wrong}", level=level
        )
    else:
        yield holds(name, True, measured=seen.shown or f"set, {seen.length} characters", expected=kind)


def _judge_boolean(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    said = (seen.shown or "").strip().lower()
    truth = True if said in _TRUE else (False if said in _FALSE else None)
    if truth is None:
        yield holds(rule["name"], False, measured=seen.shown, expected="true or false", level=rule["level"])
        return
    wanted = str(rule["value"]).strip().lower() if rule.get("value") is not None else None
    expected = "true or false" if wanted is None else ("true" if wanted in _TRUE else "false")
    good = wanted is None or truth == (wanted in _TRUE)
    yield holds(rule["name"], good, measured=seen.shown, expected=expected, level=rule["level"])
