# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Criteria and findings: what was measured, what was expected, and how bad the difference is.

A finding is as bad as its worst criterion, and no criteria at all is unknown: *unknown is not pass*.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core import patterns
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

#: From good to bad. ``waived`` and ``not_applicable`` are never a criterion's: the verdict and the plan give them.
ORDER = ("pass", "warn", "unknown", "fail")
STATUSES = (*ORDER, "not_applicable")
#: How many characters are told of a text that was searched.
_MOST_SHOWN = 300


@dataclasses.dataclass(frozen=True)
class Criterion:
    """One judged fact. Its name is its own in its finding: see ``told_apart``."""

    name: str
    status: str
    measured: t.Any
    expected: str
    sentence: str
    remedy: str = ""
    #: Unknown since check mode left the question out, which would leave a trace.
    left_out: bool = False


def plain(value: t.Any) -> str:
    """A value as it stands in a sentence."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or "nothing"
    return str(value)


def _judged(
    name: str, holds_true: bool, measured: t.Any, expected: str, sentence: str, remedy: str, level: str
) -> Criterion:
    if level not in ("fail", "warn"):
        raise ValueError(f"level is {level!r}, expected 'fail' or 'warn'")
    return Criterion(name, "pass" if holds_true else level, measured, expected, sentence, "" if holds_true else remedy)


def one_of(
    name: str, measured: t.Any, allowed: t.Sequence[t.Any], *, remedy: str = "", level: str = "fail"
) -> Criterion:
    """The value is one of those allowed; None means that it could not be read."""
    if measured is None:
        return unknown(name, f"{name} could not be read", remedy=remedy)
    expected = plain(allowed[0]) if len(allowed) == 1 else "one of " + plain(list(allowed))
    good = any(measured == item and isinstance(measured, bool) == isinstance(item, bool) for item in allowed)
    return _judged(name, good, measured, expected, f"{name} is {plain(measured)}, expected {expected}", remedy, level)


def at_least(
    name: str, measured: float | None, bound: float, *, unit: str = "", remedy: str = "", level: str = "fail"
) -> Criterion:
    """The number is not below the bound."""
    if measured is None:
        return unknown(name, f"{name} could not be read", remedy=remedy)
    suffix = f" {unit}" if unit else ""
    expected = f"at least {plain(bound)}{suffix}"
    sentence = f"{name} is {plain(measured)}{suffix}, expected {expected}"
    return _judged(name, measured >= bound, measured, expected, sentence, remedy, level)


def at_most(
    name: str, measured: float | None, bound: float, *, unit: str = "", remedy: str = "", level: str = "fail"
) -> Criterion:
    """The number is not above the bound."""
    if measured is None:
        return unknown(name, f"{name} could not be read", remedy=remedy)
    suffix = f" {unit}" if unit else ""
    expected = f"at most {plain(bound)}{suffix}"
    sentence = f"{name} is {plain(measured)}{suffix}, expected {expected}"
    return _judged(name, measured <= bound, measured, expected, sentence, remedy, level)


def matches(name: str, measured: str | None, pattern: str, *, remedy: str = "", level: str = "fail") -> Criterion:
    """The text contains a match of the regular expression."""
    if measured is None:
        return unknown(name, f"{name} could not be read", remedy=remedy)
    expected = f"a match of /{pattern}/"
    shown = measured if len(measured) <= _MOST_SHOWN else f"{beginning_of(measured, _MOST_SHOWN)}…"
    sentence = f"{name} is {shown!r}, expected {expected}"
    try:
        is_match = patterns.is_in(re.compile(pattern), measured)
    except GoliveError as problem:
        return unknown(name, f"{name} could not be judged: {problem.message.rstrip('.')}", remedy=problem.remedy)
    return _judged(name, is_match, shown, expected, sentence, remedy, level)


def holds(
    name: str,
    truth: bool | None,
    *,
    measured: t.Any,
    expected: str,
    sentence: str = "",
    remedy: str = "",
    level: str = "fail",
) -> Criterion:
    """A statement that is true, false, or (None) cannot be told."""
    if truth is None:
        return unknown(name, sentence or f"{name} could not be judged", remedy=remedy)
    text = sentence or f"{name} is {plain(measured)}, expected {expected}"
    return _judged(name, truth, measured, expected, text, remedy, level)


def unknown(name: str, why: str, *, remedy: str = "", left_out: bool = False) -> Criterion:
    """What could not be found out; ``left_out`` where nothing but check mode was in the way."""
    return Criterion(name, "unknown", None, "an answer", why, remedy, left_out)


def told_apart(labels: t.Iterable[str]) -> list[str]:
    """The labels, in their order; one that comes again is numbered, ``/ (1 of 2)``: a list may name a thing twice."""
    listed = list(labels)
    total, seen = collections.Counter(listed), collections.Counter[str]()
    told = []
    for label in listed:
        seen[label] += 1
        told.append(f"{label} ({seen[label]} of {total[label]})" if total[label] > 1 else label)
    return told


def apart(criteria: t.Iterable[Criterion]) -> list[Criterion]:
    """The criteria of several expectations on one thing, each under a name of its own."""
    listed = list(criteria)
    names = told_apart(criterion.name for criterion in listed)
    return [dataclasses.replace(criterion, name=name) for name, criterion in zip(names, listed)]


def worst(statuses: t.Iterable[str]) -> str:
    """The worst status; of nothing it is unknown."""
    seen = [ORDER.index(status) for status in statuses]
    return ORDER[max(seen)] if seen else "unknown"


#: What is a word and no name: a URL, a host, a path or a setting is written as it is.
_WORD = re.compile(r"(?!localhost\b)[a-z]+(?:-[a-z]+)*[,;:]?(?=\s|$)")


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if _WORD.match(text) else text


@dataclasses.dataclass(frozen=True)
class Judgement:
    """All criteria of one item on one host, folded into what a finding says."""

    status: str
    summary: str
    expected: dict[str, str]
    measured: dict[str, t.Any]
    remedy: str
    #: Nothing but check mode kept it from being known: the verdict then says "GO if these N hold".
    left_out: bool = False

    @staticmethod
    def of(criteria: t.Iterable[Criterion]) -> Judgement:
        """Fold criteria; the summary names each one that did not pass, worst first.

        Raises ValueError where two have one name: the second would hide the first.
        """
        listed = list(criteria)
        twice = [name for name, count in collections.Counter(item.name for item in listed).items() if count > 1]
        if twice:
            raise ValueError(
                f"several criteria are called {twice[0]!r}; this is a defect of the check, please report it"
            )
        status = worst(item.status for item in listed)
        bad = sorted((c for c in listed if c.status != "pass"), key=lambda c: -ORDER.index(c.status))
        if not listed:
            summary = "Nothing was judged, so nothing is known."
        elif bad:
            summary = "; ".join(item.sentence for item in bad) + "."
        elif len(listed) == 1:
            summary = f"{listed[0].name} is {plain(listed[0].measured)} ({listed[0].expected})."
        else:
            summary = "All hold: " + ", ".join(beginning_of(f"{c.name} {plain(c.measured)}", 80) for c in listed[:4])
            summary += f" and {len(listed) - 4} more." if len(listed) > 4 else "."
        remedies = dict.fromkeys(item.remedy for item in bad if item.remedy)
        return Judgement(
            status=status,
            summary=_as_sentence(summary),
            expected={item.name: item.expected for item in listed},
            measured={item.name: item.measured for item in listed},
            remedy=" ".join(remedies),
            left_out=status == "unknown" and bool(bad) and all(c.left_out for c in bad if c.status == "unknown"),
        )


def worst_of_error(problem: BaseException) -> Judgement:
    """What an exception says about an item: unknown, with its sentence."""
    text = str(problem) or type(problem).__name__
    remedy = str(getattr(problem, "remedy", ""))
    message = str(getattr(problem, "message", "")) or f"{type(problem).__name__}: {text}"
    return Judgement(status="unknown", summary=message, expected={}, measured={}, remedy=remedy)
