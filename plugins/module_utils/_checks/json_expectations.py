# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is expected of values inside a JSON document, whoever answered with it: a server or a program."""

from __future__ import annotations

import datetime
import json
import math
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import jsonpath
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    matches,
    one_of,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import compiled
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

_LEVEL: dict[str, t.Any] = {"type": "str", "choices": ["fail", "warn"], "default": "fail"}
#: The option ``json`` of a check.
JSON: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "path": {"type": "str", "required": True},
        "equals": {"type": "raw"},
        "one_of": {"type": "list", "elements": "raw"},
        "matches": {"type": "str"},
        "at_least": {"type": "float"},
        "at_most": {"type": "float"},
        "exists": {"type": "bool"},
        "count_at_least": {"type": "int"},
        "max_age": {"type": "str"},
        "level": _LEVEL,
    },
    "required_one_of": [["equals", "one_of", "matches", "at_least", "at_most", "exists", "count_at_least", "max_age"]],
}
#: How far ahead of this host's clock a moment may be, in seconds: two hosts' clocks, and fractions rounded up.
_MOST_AHEAD = 2.0
#: Numbers from here on are milliseconds since 1970: as seconds this is the year 5138.
_MILLISECONDS_FROM = 1e11
_ISO_8601 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(?:([Zz])|([+-]\d\d):?(\d\d)?)?", re.ASCII
)


def refuse_unreadable(expectations: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    """Raises BadInput for a path, pattern or span that cannot be read."""
    for expectation in expectations:
        jsonpath.parse(expectation["path"])
        compiled(expectation.get("matches") or "", option="json")
        if expectation.get("max_age") is not None:
            units.span_seconds(expectation["max_age"], option="max_age")


def _alike(measured: t.Any, expected: t.Any) -> t.Any:
    """The expected value in the measured one's type: templating may have turned 200 into "200"."""
    if isinstance(expected, str) and not isinstance(measured, str):
        try:
            return json.loads(expected)
        except ValueError:
            return expected
    return expected


def moment_of(value: t.Any) -> datetime.datetime:
    """A moment in ISO 8601, UTC where it names no zone, or in seconds or milliseconds since 1970.

    Raises ValueError, OverflowError.
    """
    if isinstance(value, str) and (match := _ISO_8601.fullmatch(value.strip())):
        day, clock, fraction, _utc, hours, minutes = match.groups()
        zone = f"{hours}:{minutes or '00'}" if hours else "Z"
        moment = parse_utc(f"{day}T{clock}.{(fraction or '0').ljust(6, '0')[:6]}{zone}")
        return moment.astimezone(datetime.timezone.utc)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("no moment")
    number = float(value)
    if not math.isfinite(number) or abs(number) >= _MILLISECONDS_FROM * 1000:
        raise ValueError("no moment of our time")
    seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def criteria(
    document: t.Any, label: str, expectation: t.Mapping[str, t.Any], *, read_at: datetime.datetime
) -> t.Iterator[Criterion]:
    """Judge the values that one expectation's path finds in a document read at that time; none at all is a failure."""
    path, level = expectation["path"], expectation["level"]
    values = jsonpath.find(document, path)
    called = f"{label} {path}"
    if expectation.get("exists") is not None:
        state = {True: "present", False: "absent"}
        yield one_of(f"{called} (existence)", state[bool(values)], [state[expectation["exists"]]], level=level)
    if expectation.get("count_at_least") is not None:
        # One array at the path is counted by what is in it.
        counted = values[0] if len(values) == 1 and isinstance(values[0], (list, dict)) else values
        yield at_least(f"{called} (count)", len(counted), expectation["count_at_least"], level=level)
    compared = [
        name
        for name in ("equals", "one_of", "matches", "at_least", "at_most", "max_age")
        if expectation.get(name) is not None
    ]
    for index, value in enumerate(values if compared else ()):
        each = called if len(values) == 1 else f"{called} ({index + 1} of {len(values)})"
        for name in compared:
            if name == "max_age":
                yield _age(f"{each} (age)", value, expectation[name], level, read_at)
            else:
                yield _comparison(f"{each}", name, value, expectation[name], level)
    if compared and not values:
        yield holds(called, False, measured="absent", expected="a value", sentence=f"{called} is absent", level=level)


def _comparison(called: str, how: str, value: t.Any, bound: t.Any, level: str) -> Criterion:
    if how in ("at_least", "at_most"):
        called = f"{called} ({how.replace('_', ' ')})"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return holds(called, False, measured=short(value), expected="a number", level=level)
        return (
            at_least(called, value, bound, level=level)
            if how == "at_least"
            else at_most(called, value, bound, level=level)
        )
    if how == "matches":
        return matches(
            f"{called} (pattern)", value if isinstance(value, str) else json.dumps(value), bound, level=level
        )
    allowed = [_alike(value, item) for item in (bound if how == "one_of" else [bound])]
    if value is None:
        return holds(called, None in allowed, measured="null", expected=plain(allowed), level=level)
    return one_of(called, value, allowed, level=level)


def _age(called: str, value: t.Any, max_age: str, level: str, read_at: datetime.datetime) -> Criterion:
    try:
        moment = moment_of(value)
    except (ValueError, OverflowError):
        return holds(called, False, measured=short(value), expected="a moment in ISO 8601 or since 1970", level=level)
    seconds = (read_at - moment).total_seconds()
    if seconds < -_MOST_AHEAD:
        return unknown(
            called,
            f"{called} cannot be told: {short(value)} is {_age_text(-seconds)} ahead of this host's clock",
            remedy="Set both clocks by NTP, and have the time written with its zone.",
        )
    seconds = max(0.0, seconds)
    return holds(
        called,
        seconds <= units.span_seconds(max_age, option="max_age"),
        measured=f"{_age_text(seconds)} ({utc_text(moment)})",
        expected=f"at most {max_age}",
        level=level,
    )


def _age_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else units.span_text(seconds)


def short(value: t.Any) -> str:
    """A value as it stands in a sentence, at most 80 characters."""
    text = plain(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else beginning_of(text, 79) + "…"
