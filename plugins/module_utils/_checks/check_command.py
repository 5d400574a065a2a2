# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what a program says: its exit code, its output by patterns, JSON or a number with a unit. For what no other check asks.

Nobody but the user knows whether a program changes something. So check mode runs only what is promised to change nothing, and
only that is run once for several items.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import re
import shlex
import signal
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import json_expectations
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json, units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.bounded_command import Ran, run_bounded
from ansible_collections.opsready.golive.plugins.module_utils._core.command import clean_environment
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, TimedOut
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    apart,
    at_least,
    at_most,
    holds,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import compiled, is_in, occurrences
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import (
    Scrubber,
    beginning_of,
    refuse_public_secret,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, Sensitive

NAME = "check_command"

_LEVEL: dict[str, t.Any] = {"type": "str", "choices": ["fail", "warn"], "default": "fail"}
_PATTERNS = ("stdout_matches", "stdout_matches_not", "stderr_matches", "stderr_matches_not")

ARGUMENT_SPEC: Spec = {
    "argv": {"type": "list", "elements": "str"},
    "command": {"type": "str"},
    "shell": {"type": "bool", "default": False},
    "chdir": {"type": "path"},
    "environment": {"type": "dict", "default": {}},
    "stdin": {"type": "str"},
    "secret_stdin": {"type": "str", "no_log": True},
    "changes_nothing": {"type": "bool", "default": False},
    "exit_codes": {"type": "list", "elements": "int", "default": [0]},
    **{name: {"type": "list", "elements": "str"} for name in _PATTERNS},
    "json": json_expectations.JSON,
    "numbers": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "pattern": {"type": "str"},
            "unit": {"type": "str", "default": ""},
            "min": {"type": "float"},
            "max": {"type": "float"},
            "level": _LEVEL,
        },
        "required_one_of": [["min", "max"]],
    },
    "max_output": {"type": "str", "default": "1MiB"},
    "shown_lines": {"type": "int", "default": 20},
}
CONSTRAINTS: Constraints = {
    "required_one_of": [["argv", "command"]],
    "mutually_exclusive": [["argv", "command"], ["stdin", "secret_stdin"]],
}

#: What a shell answers for a program that it did not find or may not run (POSIX, 2.8.2).
_NOT_RUN_BY_SHELL = {126: "was found and cannot be run", 127: "was not found"}
_MOST_OUTPUT_BYTES = 64 * 2**20
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
#: A whole output that is one number, with or without a unit: ``13.6``, ``85 %``, ``12GiB``.
_ONLY_A_NUMBER = r"\A\s*(?P<number>[-+]?[\d.,'\u2019]*\d\.?(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\d\s].*?)?\s*\Z"


@dataclasses.dataclass(frozen=True)
class Number:
    """One number as it was printed; ``value`` is None where ``problem`` says why there is none."""

    name: str
    value: float | None = None
    unit: str = ""
    problem: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """How the program ended, and what was read from its output."""

    label: str
    #: Why it was not run, or not to its end.
    problem: str = ""
    #: Check mode did not run it.
    left_out: bool = False
    exit_code: int | None = None
    seconds: float = 0.0
    stdout: str = ""
    stderr: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stdout_is_cut: bool = False
    stderr_is_cut: bool = False
    document: t.Any = None
    #: Why there is no document, where JSON was asked for; it holds the program to it only if the output is whole.
    not_json: str = ""
    #: When the program had ended.
    ended_at: datetime.datetime | None = None
    numbers: tuple[Number, ...] = ()
    #: The last lines of each stream as they may be shown; none where nothing may.
    shown_stdout: tuple[str, ...] = ()
    shown_stderr: tuple[str, ...] = ()


def wanted_argv(params: t.Mapping[str, t.Any]) -> list[str]:
    """The argument list that is run. Raises BadInput."""
    if params.get("command") is not None:
        if params["shell"]:
            argv = ["/bin/sh", "-c", params["command"]] if params["command"].strip() else []
        else:
            try:
                argv = shlex.split(params["command"])
            except ValueError as problem:
                raise BadInput(f"command cannot be split into arguments: {problem}.")
    else:
        if params["shell"]:
            raise BadInput("shell needs command, a text; argv is run as it is.")
        argv = list(params["argv"])
    if not argv or not argv[0]:
        raise BadInput(
            f"{'argv' if params.get('argv') is not None else 'command'} is empty, so there is nothing to run."
        )
    if any("\0" in part for part in argv):
        raise BadInput("An argument holds a NUL character, which no program can be given.")
    return argv


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("exit_codes", "json", "numbers", *_PATTERNS):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for option in _PATTERNS:
        for pattern in params.get(option) or ():
            compiled(pattern, option=option)
    for number in params.get("numbers") or ():
        pattern = compiled(number.get("pattern") or _ONLY_A_NUMBER, option="numbers")
        if not pattern.groups:
            raise BadInput(f"numbers: {number['pattern']!r} has no group; the number is what its group matches.")
    json_expectations.refuse_unreadable(params.get("json") or ())
    if not 0 <= params["shown_lines"] <= 100:
        raise BadInput(f"shown_lines is {params['shown_lines']}, expected 0 to 100.")
    public = {"argv or command": " ".join(wanted_argv(params))}
    public.update({f"environment.{name}": value for name, value in _environment(params).items()})
    for where, text in public.items():
        refuse_public_secret(
            text,
            where=where,
            remedy="Let the program read it from a file of its own, or give it as secret_stdin.",
        )


def _environment(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The variables as text; YAML's true is written true. Raises BadInput."""
    variables = {
        str(name): plain(value) if isinstance(value, bool) else str(value)
        for name, value in params["environment"].items()
    }
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise BadInput(f"environment: {name!r} cannot be set.")
    return variables


def _max_bytes(params: t.Mapping[str, t.Any]) -> int:
    size = units.size_bytes(params["max_output"], option="max_output")
    if not 0 < size <= _MOST_OUTPUT_BYTES:
        raise BadInput(f"max_output is {params['max_output']}, expected at most 64MiB.")
    return size


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Run the program once and read what it printed. Raises BadInput and MissingLibrary."""
    _refuse_unusable(params)
    argv, max_bytes = wanted_argv(params), _max_bytes(params)
    label = _label(params, argv)
    if run.check_mode and not params["changes_nothing"]:
        why = f"{label} was not run in check mode, since it has no promise to change nothing"
        return Facts(label, problem=why, left_out=True)
    environment = _environment(params)
    stdin = params.get("secret_stdin") or params.get("stdin") or ""

    def end() -> tuple[Ran, datetime.datetime]:
        ran = run_bounded(
            argv,
            deadline=run.deadline,
            max_bytes=max_bytes,
            environment=clean_environment(environment),
            cwd=params.get("chdir"),
            stdin_text=stdin,
        )
        return ran, run.clock.now()

    key = ("command", *argv, json.dumps(environment, sort_keys=True), params.get("chdir"), stdin, max_bytes)
    try:
        ended, ended_at = run.once(key, end) if params["changes_nothing"] else end()
    except TimedOut as problem:
        printed = problem.known["stderr"] or problem.known["stdout"]
        said = _after_colon(_shown(printed, False, params["shown_lines"], run.scrub))
        return Facts(label, problem=f"{label} did not end within {run.deadline.seconds:g} s{said}")
    document, not_json = _document(ended, label) if params.get("json") else (None, "")
    return Facts(
        label=label,
        exit_code=ended.returncode,
        seconds=ended.seconds,
        stdout=ended.stdout.text,
        stderr=ended.stderr.text,
        stdout_bytes=ended.stdout.size_bytes,
        stderr_bytes=ended.stderr.size_bytes,
        stdout_is_cut=ended.stdout.is_cut,
        stderr_is_cut=ended.stderr.is_cut,
        document=document,
        not_json=not_json,
        ended_at=ended_at,
        numbers=tuple(_number(wanted, ended) for wanted in params.get("numbers") or ()),
        shown_stdout=_shown(ended.stdout.text, ended.stdout.is_cut, params["shown_lines"], run.scrub),
        shown_stderr=_shown(ended.stderr.text, ended.stderr.is_cut, params["shown_lines"], run.scrub),
    )


def _shown(text: str, is_cut: bool, count: int, scrub: Scrubber) -> tuple[str, ...]:
    """The last lines, without secrets and personal data and only then shortened: half a secret is not recognised."""
    if not count:
        return ()
    lines = scrub.text(text).rstrip().splitlines()
    if is_cut:
        lines = lines[:-1]
    mask = Sensitive(GROUPS)
    return tuple(mask.without(line).rstrip()[:500] for line in lines[-count:])


def _label(params: t.Mapping[str, t.Any], argv: t.Sequence[str]) -> str:
    if params["shell"]:
        words = params["command"].split()
        return " ".join(words)[:40] + ("…" if len(" ".join(words)) > 40 else "")
    return os.path.basename(argv[0])


def _document(ended: Ran, label: str) -> tuple[t.Any, str]:
    if ended.stdout.is_cut:
        return (
            None,
            f"{label} printed {ended.stdout.size_bytes} bytes, more than max_output; JSON cut there is not read",
        )
    try:
        return foreign_json.read(ended.stdout.text.lstrip("\ufeff")), ""
    except ValueError as problem:
        why = getattr(problem, "msg", problem)
        return None, f"{label} printed {ended.stdout.size_bytes} bytes that are not JSON: {why}"


def _number(wanted: t.Mapping[str, t.Any], ended: Ran) -> Number:
    """The one number that the pattern finds in the standard output; several are as bad as none."""
    name, pattern = wanted["name"], wanted.get("pattern")
    found = occurrences(re.compile(pattern or _ONLY_A_NUMBER), ended.stdout.text)
    texts = list(dict.fromkeys(match.named.get("number", match.groups[0]) or "" for match in found))
    if not found:
        why = f"nothing that matches /{pattern}/" if pattern else "not one number and nothing else"
        return Number(name, problem=f"{name} was not found: the output holds {why}")
    if len(texts) > 1:
        return Number(
            name,
            problem=f"{name} is ambiguous: /{pattern}/ finds {len(texts)} different numbers",
            remedy="Write a pattern that finds only the one that is meant.",
        )
    if ended.stdout.is_cut and pattern:
        return Number(name, problem=f"{name} may stand once more beyond the first {len(ended.stdout.text)} characters")
    text = texts[0].strip()
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return Number(
            name,
            problem=f"{name} is {beginning_of(text, 40)!r}, which is not a number that can be read without guessing",
            remedy="Numbers are read with a decimal point and without separators of thousands; set LC_ALL=C for the program.",
        )
    units_seen = {(match.named.get("unit") or "").strip() for match in found}
    unit = next(iter(units_seen - {""}), "")
    return Number(name, float(text), unit)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """The exit code, then what is expected of the output."""
    label = facts.label
    if facts.problem:
        remedy = "Promise changes_nothing: true if it does not." if facts.left_out else ""
        yield unknown(label, facts.problem, remedy=remedy, left_out=facts.left_out)
        return
    yield _judge_exit(facts, params)
    for stream in ("stdout", "stderr"):
        text, is_cut = getattr(facts, stream), getattr(facts, f"{stream}_is_cut")
        for pattern in dict.fromkeys(params.get(f"{stream}_matches") or ()):
            yield _judge_pattern(label, stream, pattern, text, is_cut, is_wanted=True)
        for pattern in dict.fromkeys(params.get(f"{stream}_matches_not") or ()):
            yield _judge_pattern(label, stream, pattern, text, is_cut, is_wanted=False)
    if params.get("json"):
        if facts.not_json:
            yield holds(
                f"{label} JSON",
                None if facts.stdout_is_cut else False,
                measured="not JSON",
                expected="JSON",
                sentence=facts.not_json,
            )
        else:
            ended_at = t.cast(datetime.datetime, facts.ended_at)
            wanted_of_json = (
                json_expectations.criteria(facts.document, label, wanted, read_at=ended_at) for wanted in params["json"]
            )
            yield from apart(criterion for criteria in wanted_of_json for criterion in criteria)
    numbers = zip(params.get("numbers") or (), facts.numbers)
    yield from apart(criterion for wanted, number in numbers for criterion in _judge_number(wanted, number))


def _judge_exit(facts: Facts, params: t.Mapping[str, t.Any]) -> Criterion:
    label, code = f"{facts.label} exit code", t.cast(int, facts.exit_code)
    said = _after_colon(facts.shown_stderr or facts.shown_stdout)
    good = code in params["exit_codes"]
    if params["shell"] and code in _NOT_RUN_BY_SHELL and not good:
        return unknown(
            label,
            f"The shell says that a program of {facts.label!r} {_NOT_RUN_BY_SHELL[code]}{said}",
            remedy="Name it with its whole path, or look at its rights: ls -l.",
        )
    expected = (
        plain(params["exit_codes"]) if len(params["exit_codes"]) == 1 else f"one of {plain(params['exit_codes'])}"
    )
    if code < 0:
        sentence = f"{facts.label} was killed by {_signal_name(-code)}, expected exit code {expected}{said}"
    else:
        sentence = f"{facts.label} ended with exit code {code}, expected {expected}{said}"
    return holds(label, good, measured=code, expected=expected, sentence=sentence)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _after_colon(lines: t.Sequence[str]) -> str:
    return f": {beginning_of(lines[-1].strip(), 200)}" if lines else ""


def _judge_pattern(label: str, stream: str, pattern: str, text: str, is_cut: bool, *, is_wanted: bool) -> Criterion:
    name = f"{label} {stream} /{pattern}/"
    try:
        found = is_in(re.compile(pattern), text)
    except GoliveError as problem:
        return unknown(name, problem.message.rstrip("."), remedy=problem.remedy)
    sentence = f"{label} {stream} {'holds no' if is_wanted else 'holds a'} match of /{pattern}/"
    if is_cut and not found:
        return unknown(
            name,
            f"{label} {stream} is longer than max_output, and its beginning holds no match of /{pattern}/",
            remedy="Raise max_output.",
        )
    word = {True: "found", False: "not found"}
    return holds(name, found == is_wanted, measured=word[found], expected=word[is_wanted], sentence=sentence)


def _judge_number(wanted: t.Mapping[str, t.Any], number: Number) -> t.Iterator[Criterion]:
    name, unit, level = wanted["name"], wanted["unit"], wanted["level"]
    if number.value is None:
        yield unknown(name, number.problem, remedy=number.remedy)
        return
    if number.unit and number.unit != unit:
        yield unknown(
            name,
            f"{name} is printed in {number.unit!r}, and the bounds are in {unit or 'no unit'!r}",
            remedy="Write the bounds in the unit that the program prints.",
        )
        return
    if wanted.get("min") is not None:
        yield at_least(f"{name} (lower bound)", number.value, wanted["min"], unit=unit, level=level)
    if wanted.get("max") is not None:
        yield at_most(f"{name} (upper bound)", number.value, wanted["max"], unit=unit, level=level)


def evidence(facts: Facts) -> dict[str, t.Any]:
    """How it ended, how much it printed, and the last lines of that, as many as ``shown_lines`` says."""
    if facts.problem:
        return {"command": facts.label, "problem": facts.problem}
    told: dict[str, t.Any] = {
        "command": facts.label,
        "exit_code": facts.exit_code,
        "seconds": round(facts.seconds, 3),
        "stdout_bytes": facts.stdout_bytes,
        "stderr_bytes": facts.stderr_bytes,
        "numbers": {number.name: number.value for number in facts.numbers if number.value is not None},
    }
    if facts.shown_stdout:
        told["stdout"] = list(facts.shown_stdout)
    if facts.shown_stderr:
        told["stderr"] = list(facts.shown_stderr)
    return told
