# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what a build reported: tests, coverage, findings of linters and scanners; of this very commit, and not old.

Most formats name neither the commit nor what was looked at. A provenance file beside the reports does, with each report's
SHA-256, so that it cannot be about another one.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import glob
import math
import os
import re
import typing as t
from fractions import Fraction

from ansible_collections.opsready.golive.plugins.module_utils._checks import report_formats
from ansible_collections.opsready.golive.plugins.module_utils._checks.report_formats import Found, Report
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import WholeFile, read_whole, text_of
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json, units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_report"

_COVERAGE = ("cobertura", "coverage_json")
_FINDINGS = ("sarif", "mypy", "ruff", "ruff_format", "bandit", "pip_audit")
#: Options that only some formats have an answer to.
_ONLY_FOR = {
    "max_skipped": ("junit",),
    "min_percent": _COVERAGE,
    "min_branch_percent": _COVERAGE,
    "max_findings": _FINDINGS,
    "waived": _FINDINGS,
    "min_severity": ("sarif", "bandit", "pip_audit"),
    "min_confidence": ("bandit",),
    "lockfile": ("pip_audit",),
    "unaudited": ("pip_audit",),
    "advisories": ("pip_audit",),
}
#: bandit knows no more than these, for its severity and its confidence.
_LEVELS = ("low", "medium", "high")

ARGUMENT_SPEC: Spec = {
    "paths": {"type": "list", "elements": "path", "required": True, "aliases": ["path"]},
    "format": {"type": "str", "required": True, "choices": list(report_formats.READERS)},
    "commit": {"type": "str"},
    "unbound": {"type": "str"},
    "provenance": {"type": "path"},
    "max_age": {"type": "str", "default": "24h"},
    "min_looked_at": {"type": "int", "default": 1},
    "max_skipped": {"type": "int"},
    "min_percent": {"type": "float"},
    "min_branch_percent": {"type": "float"},
    "max_findings": {"type": "int"},
    "min_severity": {"type": "str", "choices": list(report_formats.SEVERITIES)},
    "min_confidence": {"type": "str", "choices": list(_LEVELS)},
    "waived": {
        "type": "list",
        "elements": "dict",
        "options": {
            "id": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "expires": {"type": "str", "required": True},
        },
    },
    "lockfile": {"type": "path"},
    "advisories": {"type": "list", "elements": "path"},
    "unaudited": {"type": "list", "elements": "str"},
    "max_size": {"type": "str", "default": "32MiB"},
}
CONSTRAINTS: Constraints = {
    "required_one_of": [["commit", "unbound"]],
    "mutually_exclusive": [["commit", "unbound"]],
    "required_if": [["format", "cobertura", ["min_percent"]], ["format", "coverage_json", ["min_percent"]]],
}

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORTEST_COMMIT = 7
_MOST_FILES = 200
_MOST_SIZE = 256 * 2**20
_SHOWN = 20
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)\s*(\\|--hash\S*|#.*)?\s*$")


@dataclasses.dataclass(frozen=True)
class Stated:
    """What the provenance file states about one report."""

    commit: str
    sha256: str = ""
    exit_code: int | None = None
    looked_at: int | None = None
    tool: str = ""
    made_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Seen:
    """One report file: what it says, or why it could not be read."""

    path: str
    problem: str = ""
    remedy: str = ""
    report: Report | None = None
    sha256: str = ""
    size_bytes: int = 0
    age_seconds: float = 0.0
    #: Where the age comes from: the report, its provenance, or the file.
    age_of: str = ""
    stated: Stated | None = None


@dataclasses.dataclass(frozen=True)
class Facts:
    """All reports, and the time at which they were read."""

    seen: tuple[Seen, ...]
    now: datetime.datetime
    #: Why the provenance or the lock file could not be read.
    problems: tuple[tuple[str, str], ...] = ()
    lockfile_sha256: str = ""
    #: Name and version that the lock file pins.
    pins: tuple[tuple[str, str], ...] = ()


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("paths", "waived", "unaudited", "advisories"):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for option, formats in _ONLY_FOR.items():
        if params.get(option) is not None and params["format"] not in formats:
            raise BadInput(f"{option} means nothing for {params['format']}; it is for {', '.join(formats)}.")
    if params.get("commit") is not None and not _COMMIT.fullmatch(params["commit"].strip().lower()):
        raise BadInput(f"commit is {params['commit']!r}, expected a whole commit id: 40 or 64 hexadecimal digits.")
    for option in ("min_percent", "min_branch_percent"):
        if params.get(option) is not None and not 0 <= params[option] <= 100:
            raise BadInput(f"{option} is {params[option]:g}, expected 0 to 100.")
    for option in ("max_findings", "max_skipped", "min_looked_at"):
        if params.get(option) is not None and params[option] < 0:
            raise BadInput(f"{option} is {params[option]}, expected at least 0.")
    if params["format"] == "bandit" and params.get("min_severity") == "critical":
        raise BadInput("min_severity is critical, and bandit's highest is high: nothing would ever count.")
    if params["format"] == "pip_audit" and params.get("min_severity") and not params.get("advisories"):
        raise BadInput(
            "min_severity needs advisories: pip-audit does not say how severe a vulnerability is.",
            remedy="Keep the OSV records beside the report, and name them in advisories.",
        )
    if params["min_looked_at"] == 0 and params["format"] == "junit":
        raise BadInput("min_looked_at is 0: no test at all is never a pass.")
    for waiver in params.get("waived") or ():
        _expiry(waiver)
    units.span_seconds(params["max_age"], option="max_age")
    if not 0 < units.size_bytes(params["max_size"], option="max_size") <= _MOST_SIZE:
        raise BadInput(f"max_size is {params['max_size']}, expected at most 256MiB.")


def _expiry(waiver: t.Mapping[str, t.Any]) -> datetime.datetime:
    """When a waiver ends; of a day without a time, its end."""
    return units.moment_of(waiver["expires"], option=f"waived {waiver['id']}: expires")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read the reports and what stands beside them. Raises BadInput."""
    _refuse_unusable(params)
    max_bytes = units.size_bytes(params["max_size"], option="max_size")
    problems: list[tuple[str, str]] = []

    def once(path: str) -> WholeFile:
        return run.once(("whole file", path, max_bytes), lambda: read_whole(path, max_bytes=max_bytes))

    provenance: dict[str, Stated] = {}
    if params.get("provenance"):
        try:
            provenance = _provenance(once(params["provenance"]))
        except GoliveError as problem:
            problems.append(("provenance", problem.message.rstrip(".")))
    lockfile = None
    if params.get("lockfile"):
        try:
            lockfile = once(params["lockfile"])
        except GoliveError as problem:
            problems.append(("lock file", problem.message.rstrip(".")))
    severities: dict[str, str] = {}
    for wanted in params.get("advisories") or ():
        paths = _matching(wanted)
        if not paths:
            problems.append(("advisories", f"No file matches {wanted}"))
        for path in paths:
            try:
                rated = _severities(once(path))
            except GoliveError as problem:
                problems.append((f"advisories {os.path.basename(path)}", problem.message.rstrip(".")))
                continue
            severities.update({name: report_formats.worse(said, severities.get(name)) for name, said in rated.items()})
    now = run.clock.now()
    seen: list[Seen] = []
    for wanted in params["paths"]:
        paths = _matching(wanted)
        if not paths:
            seen.append(Seen(wanted, problem=f"No file matches {wanted}"))
        seen.extend(_rated(_seen(path, params["format"], once, run, provenance, now), severities) for path in paths)
    return Facts(
        tuple(seen),
        now,
        tuple(problems),
        lockfile.sha256 if lockfile else "",
        tuple(_pins(text_of(lockfile.octets))) if lockfile else (),
    )


def _matching(wanted: str) -> list[str]:
    """The files that a path or pattern means, if any. Raises BadInput for too many."""
    paths = sorted(glob.glob(wanted)) if glob.has_magic(wanted) else [wanted]
    if len(paths) > _MOST_FILES:
        raise BadInput(f"{wanted} matches {len(paths)} files, more than {_MOST_FILES}.")
    return paths


def _severities(file: WholeFile) -> dict[str, str]:
    try:
        return report_formats.read_advisories(file.octets)
    except UnexpectedAnswer as problem:
        raise UnexpectedAnswer(f"{file.path} cannot be read as advisories: {problem.message}")


def _rated(seen: Seen, severities: t.Mapping[str, str]) -> Seen:
    """With the severity that the advisories give each finding that has none; of several the worst."""
    if seen.report is None or not severities:
        return seen
    findings = []
    for found in seen.report.findings:
        rated = [severities[name.lower()] for name in (found.rule, *found.aliases) if name.lower() in severities]
        worst = max(rated, key=report_formats.SEVERITIES.index, default="")
        findings.append(dataclasses.replace(found, severity=found.severity or worst))
    return dataclasses.replace(seen, report=dataclasses.replace(seen.report, findings=tuple(findings)))


def _seen(
    path: str,
    kind: str,
    once: t.Callable[[str], WholeFile],
    run: Run,
    provenance: t.Mapping[str, Stated],
    now: datetime.datetime,
) -> Seen:
    try:
        file = once(path)
        report = run.once(("report", kind, path, file.sha256), lambda: _parsed(file, kind))
    except GoliveError as problem:
        return Seen(path, problem=problem.message.rstrip("."), remedy=problem.remedy)
    stated = provenance.get(os.path.basename(path))
    made_at, age_of = report.made_at, "the report"
    if made_at is None and stated is not None:
        made_at, age_of = stated.made_at, "the provenance"
    if made_at is None:
        made_at, age_of = datetime.datetime.fromtimestamp(file.changed_at, datetime.timezone.utc), "the file"
    return Seen(
        path,
        report=report,
        sha256=file.sha256,
        size_bytes=len(file.octets),
        age_seconds=_age_seconds(made_at, now),
        age_of=age_of,
        stated=stated,
    )


def _parsed(file: WholeFile, kind: str) -> Report:
    try:
        return report_formats.READERS[kind](file.octets)
    except UnexpectedAnswer as problem:
        raise UnexpectedAnswer(f"{file.path} cannot be read as {kind}: {problem.message}")


def _age_seconds(made_at: datetime.datetime, now: datetime.datetime) -> float:
    """A time without a zone is UTC or this host's own, whichever makes the report older."""
    if made_at.tzinfo:
        return (now - made_at).total_seconds()
    readings = (made_at.replace(tzinfo=datetime.timezone.utc), made_at.astimezone())
    return max((now - reading).total_seconds() for reading in readings)


def _provenance(file: WholeFile) -> dict[str, Stated]:
    """By the report's file name. Raises UnexpectedAnswer."""
    try:
        document = foreign_json.read(text_of(file.octets))
        commit = document["commit"]
        reports = document["reports"].items()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UnexpectedAnswer(f"{file.path} is not JSON with commit and reports.")
    found: dict[str, Stated] = {}
    for name, entry in reports:
        if not isinstance(entry, dict) or not re.fullmatch(r"[0-9a-fA-F]{64}", str(entry.get("sha256"))):
            raise UnexpectedAnswer(f"{file.path} states no sha256 of {name}.")
        try:
            made_at = parse_utc(entry["made_at"]) if entry.get("made_at") else None
            found[os.path.basename(name)] = Stated(
                commit=str(commit),
                sha256=entry["sha256"].lower(),
                exit_code=None if entry.get("exit_code") is None else int(entry["exit_code"]),
                looked_at=None if entry.get("looked_at") is None else int(entry["looked_at"]),
                tool=str(entry.get("tool") or ""),
                made_at=made_at,
            )
        except (ValueError, TypeError, AttributeError):
            raise UnexpectedAnswer(f"{file.path} cannot be read at {name}: expected numbers, and a time in RFC 3339.")
    return found


def _pins(text: str) -> t.Iterator[tuple[str, str]]:
    """What a requirements file pins for every platform; lines with a marker are left aside."""
    for line in text.splitlines():
        match = _PIN.match(line.strip())
        if match:
            yield _canonical(match[1]), match[2]


def _canonical(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each report: whether it is this release's, whether it is whole, and what it says."""
    for name, problem in facts.problems:
        yield unknown(name, problem)
    for label, seen in zip(told_apart(os.path.basename(seen.path) for seen in facts.seen), facts.seen):
        if seen.report is None:
            yield unknown(label, seen.problem, remedy=seen.remedy)
            continue
        yield from _judge_binding(seen, label, params)
        yield from _judge_whole(seen, seen.report, label, params)
        if seen.report.tests is not None:
            yield from _judge_tests(seen.report.tests, label, params)
        elif seen.report.coverage is not None:
            yield from _judge_coverage(seen.report.coverage, label, params)
        else:
            yield from _judge_findings(seen.report, label, facts, params)
    yield from _judge_looked_at(facts, params)
    if params.get("lockfile") and facts.lockfile_sha256:
        yield from _judge_lockfile(facts)


def _judge_binding(seen: Seen, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    report = t.cast(Report, seen.report)
    stated = seen.stated
    if stated is not None and stated.sha256 != seen.sha256:
        yield holds(
            f"{label} SHA-256",
            False,
            measured=seen.sha256[:12],
            expected=stated.sha256[:12],
            sentence=f"{label} is not the file that the provenance is about: their SHA-256 differ",
            remedy="Run the tool again, and write the provenance right after it.",
        )
        return
    if params.get("unbound"):
        yield holds(f"{label} commit", True, measured=f"not asked ({params['unbound']})", expected="bound, or a reason")
    else:
        commits = [*report.commits, *([stated.commit] if stated else [])]
        if not commits:
            yield unknown(
                f"{label} commit",
                f"{label} does not say which commit it is about",
                remedy="Write a provenance file where the report is made, and name it in provenance.",
            )
        for commit in dict.fromkeys(commits):
            yield holds(
                f"{label} commit",
                _is_commit(commit, params["commit"]),
                measured=commit,
                expected=params["commit"],
                sentence=f"{label} is about commit {commit[:48]}, expected {params['commit']}",
                remedy="Run the tool again on the commit that is released.",
            )
    yield from _judge_age(seen, label, params)


def _is_commit(said: str, wanted: str) -> bool:
    """Whether a commit is meant, in full or by its beginning; ``…-dirty`` is another one."""
    said = said.strip().lower()
    return (
        bool(re.fullmatch(r"[0-9a-f]+", said))
        and len(said) >= _SHORTEST_COMMIT
        and wanted.strip().lower().startswith(said)
    )


def _judge_age(seen: Seen, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if seen.age_seconds < -CLOCKS_DIFFER:
        ahead = units.span_text(-seen.age_seconds)
        yield unknown(
            f"{label} age",
            f"{label} says that it was made {ahead} from now, so one of the clocks is wrong",
            remedy="Compare the clock of the host that made it with this one: timedatectl or chronyc tracking.",
        )
        return
    age = max(0.0, seen.age_seconds)
    bound = units.span_seconds(params["max_age"], option="max_age")
    yield holds(
        f"{label} age",
        age <= bound,
        measured=f"{units.span_text(age)} (by {seen.age_of})",
        expected=f"at most {params['max_age']}",
        sentence=f"{label} is {units.span_text(age)} old by {seen.age_of}, expected at most {params['max_age']}",
        remedy="Run the tool again.",
    )


def _judge_whole(seen: Seen, report: Report, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    for doubt in report.doubts:
        yield unknown(f"{label} is whole", f"{label} cannot be believed: {doubt}")
    allowed = {_canonical(name) for name in params.get("unaudited") or ()}
    left = [name for name in report.not_judged if _canonical(name) not in allowed]
    if left:
        yield unknown(
            f"{label} left out",
            f"{label}: the tool could not judge {', '.join(left[:_SHOWN])}",
            remedy="Name them in unaudited if that is accepted." if params["format"] == "pip_audit" else "",
        )
    code = seen.stated.exit_code if seen.stated else None
    if code is not None:
        # 1 is how these tools say that they found something; the report then says what.
        tests = report.tests
        said_something = bool(report.findings) or (tests is not None and bool(tests.failures or tests.errors))
        yield holds(
            f"{label} exit code",
            code == 0 or (code == 1 and said_something),
            measured=code,
            expected="0",
            sentence=f"{label}: the tool ended with exit code {code}, and the report does not say why",
            remedy="Run the tool by hand in the same place: what it prints says why.",
        )


def _judge_looked_at(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Nothing looked at is nothing known. What the format does not tell, the provenance may, or the places of findings."""
    wanted = params["min_looked_at"]
    counts: list[int | None] = []
    unit = ""
    for seen in facts.seen:
        if seen.report is None:
            continue
        count, unit, label = _looked_at(seen, seen.report), seen.report.unit, os.path.basename(seen.path)
        counts.append(count)
        if count is None and wanted:
            yield unknown(
                f"{label} looked at",
                f"{label} has no findings and does not say whether the tool looked at any {unit}",
                remedy="State looked_at in the provenance, or set min_looked_at: 0 to believe it.",
            )
        elif count == 0 and unit == "tests":
            yield at_least(
                f"{label} tests",
                0,
                1,
                remedy="Look at the test runner's selection (-k, -m, paths): it collected no test.",
            )
        elif count == 0:
            yield unknown(
                f"{label} looked at",
                f"{label}: the tool looked at no {unit}",
                remedy="Look at the paths and exclusions that the tool was given.",
            )
    if counts and all(counts):
        yield at_least(
            f"{unit} looked at",
            sum(count for count in counts if count),
            wanted,
            remedy="Look at the paths, selections and exclusions that the tool was given.",
        )


def _looked_at(seen: Seen, report: Report) -> int | None:
    if report.looked_at is not None:
        return report.looked_at
    if seen.stated is not None and seen.stated.looked_at is not None:
        return seen.stated.looked_at
    return len({_file_of(found.place) for found in report.findings}) or None


def _file_of(place: str) -> str:
    return re.sub(r"(:\d+)+$", "", place)


def _judge_tests(tests: report_formats.Tests, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    names = f" ({', '.join(name[:100] for name in tests.bad_names[:3])})" if tests.bad_names else ""
    for name, count in (("failures", tests.failures), ("errors", tests.errors)):
        found = at_most(f"{label} {name}", count, 0, remedy="Mend what the report names, and run the tool again.")
        yield dataclasses.replace(found, sentence=f"{label} has {count} {name}, expected none{names}")
    if tests.total and not tests.executed:
        yield at_least(
            f"{label} tests that were not skipped",
            0,
            1,
            remedy="Look why they were skipped: the report names a reason with each.",
        )
    if params.get("max_skipped") is not None:
        yield at_most(
            f"{label} skipped",
            tests.skipped,
            params["max_skipped"],
            unit="tests",
            remedy="Look why they were skipped: the report names a reason with each.",
        )
    if tests.flaky:
        yield at_most(
            f"{label} tests that passed only when tried again",
            tests.flaky,
            0,
            level="warn",
            remedy="Look at what they share with other tests, such as time, order and ports.",
        )


def _judge_coverage(
    coverage: report_formats.Coverage, label: str, params: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    if coverage.lines:
        yield _share(
            f"{label} line coverage", coverage.percent(), params["min_percent"], coverage.covered_lines, coverage.lines
        )
    if params.get("min_branch_percent") is not None:
        name = f"{label} branch coverage"
        if coverage.branches:
            bound = params["min_branch_percent"]
            yield _share(name, coverage.branch_percent(), bound, coverage.covered_branches, coverage.branches)
        else:
            yield unknown(name, f"{label} holds no branches", remedy="Measure them: coverage run --branch.")


def _share(name: str, percent: Fraction, bound: float, covered: int, total: int) -> Criterion:
    """Shown rounded down: 79.999 is not 80."""
    shown = f"{math.floor(percent * 100) / 100:.2f} % ({covered} of {total})"
    expected = f"at least {bound:g} %"
    # Of the bound the digits that were written count, not the nearest binary fraction.
    good = percent >= Fraction(str(bound))
    return holds(
        name,
        good,
        measured=shown,
        expected=expected,
        sentence=f"{name} is {shown}, expected {expected}",
        remedy="The report names the lines that no test runs.",
    )


def _judge_findings(report: Report, label: str, facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    waivers = {waiver["id"].lower(): waiver for waiver in params.get("waived") or ()}
    counted: list[Found] = []
    waived: dict[str, list[Found]] = {}
    for found in report.findings:
        if not _is_at_least(found.severity, params.get("min_severity")):
            continue
        if not _is_at_least(found.confidence, params.get("min_confidence")):
            continue
        waiver = next((waivers[name.lower()] for name in (found.rule, *found.aliases) if name.lower() in waivers), None)
        if waiver is not None and facts.now < _expiry(waiver):
            waived.setdefault(waiver["id"].lower(), []).append(found)
        else:
            counted.append(found)
    bound = params.get("max_findings") or 0
    said = f": {_named(counted)}" if counted else ""
    found_criterion = at_most(
        f"{label} findings", len(counted), bound, remedy="Mend what the report names, and run the tool again."
    )
    yield dataclasses.replace(
        found_criterion, sentence=f"{label} has {len(counted)} findings, expected at most {bound}{said}"
    )
    if waived:
        excused = [found for several in waived.values() for found in several]
        yield holds(
            f"{label} waived findings",
            False,
            measured=[
                f"{len(several)} by {waivers[name]['id']} until {waivers[name]['expires']}: {waivers[name]['reason']}"
                for name, several in waived.items()
            ],
            expected="none",
            sentence=f"{label} has {len(excused)} findings that were waived for now: {_named(excused)}",
            level="warn",
        )
    names = {name.lower() for found in report.findings for name in (found.rule, *found.aliases)}
    for waiver in waivers.values():
        if waiver["id"].lower() in names and facts.now >= _expiry(waiver):
            yield holds(
                f"waiver of {waiver['id']}",
                False,
                measured=waiver["expires"],
                expected="not over",
                sentence=f"the waiver of {waiver['id']} ended on {waiver['expires']}",
                remedy="Mend it, or agree on a new waiver with a later end.",
            )


def _is_at_least(said: str, wanted: str | None) -> bool:
    """What names no severity may be the worst, so it counts."""
    order = report_formats.SEVERITIES
    return wanted is None or not said or order.index(said) >= order.index(wanted)


def _named(findings: t.Sequence[Found]) -> str:
    """Rules by how often, and the first places."""
    counts = collections.Counter(found.rule for found in findings)
    rules = ", ".join(f"{rule} ({count})" if count > 1 else rule for rule, count in counts.most_common(5))
    more = f" and {len(counts) - 5} more rules" if len(counts) > 5 else ""
    return f"{rules}{more}, first at {findings[0].place[:160] or 'no place'}"


def _judge_lockfile(facts: Facts) -> t.Iterator[Criterion]:
    audited = {
        (_canonical(name), version) for seen in facts.seen if seen.report for name, version in seen.report.packages
    }
    missing = [f"{name} {version}" for name, version in facts.pins if (name, version) not in audited]
    if not facts.pins:
        yield unknown(
            "lock file",
            "the lock file pins nothing with ==, so the report cannot be compared with it",
            remedy="Make the lock file with pinned versions: pip-compile, uv pip compile or poetry export write one.",
        )
        return
    yield holds(
        "packages of the lock file",
        not missing,
        measured=f"{len(facts.pins) - len(missing)} of {len(facts.pins)} audited",
        expected="all audited",
        sentence=f"the report is not about this lock file: it lacks {', '.join(missing[:5])}"
        + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
        remedy="Run pip-audit on the lock file that is released.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """By report its hash, age, tool and commits, and what it counts; of findings the first places."""
    told: dict[str, t.Any] = {"read_at": utc_text(facts.now), "reports": [_evidence_of(seen) for seen in facts.seen]}
    if facts.lockfile_sha256:
        told["lockfile"] = {"sha256": facts.lockfile_sha256, "pins": len(facts.pins)}
    return told


def _evidence_of(seen: Seen) -> dict[str, t.Any]:
    if seen.report is None:
        return {"path": seen.path, "problem": seen.problem}
    report, stated = seen.report, seen.stated
    told: dict[str, t.Any] = {
        "path": seen.path,
        "sha256": seen.sha256,
        "bytes": seen.size_bytes,
        "age_seconds": round(seen.age_seconds),
        "age_of": seen.age_of,
        "tool": (stated.tool if stated else "") or report.tool,
        "commits": list(dict.fromkeys([*report.commits, *([stated.commit] if stated else [])])),
        "looked_at": _looked_at(seen, report),
        "unit": report.unit,
    }
    if stated and stated.exit_code is not None:
        told["exit_code"] = stated.exit_code
    if report.tests is not None:
        told["tests"] = dataclasses.asdict(report.tests)
    elif report.coverage is not None:
        told["coverage"] = dataclasses.asdict(report.coverage)
    else:
        told["findings"] = len(report.findings)
        told["by_rule"] = dict(collections.Counter(found.rule for found in report.findings).most_common(_SHOWN))
        if any(found.severity for found in report.findings):
            told["by_severity_and_confidence"] = dict(
                collections.Counter(
                    " x ".join(part for part in (found.severity, found.confidence) if part) or "none"
                    for found in report.findings
                )
            )
        told["first"] = [_described(found) for found in report.findings[:_SHOWN]]
    if report.not_judged:
        told["not_judged"] = list(report.not_judged[:_SHOWN])
    return told


def _described(found: Found) -> str:
    """``PYSEC-2026-1 idna 3.7 (high, mended in 3.8)``."""
    known = [found.severity, f"mended in {', '.join(found.fixed_in)}" if found.fixed_in else ""]
    details = ", ".join(detail for detail in known if detail)
    return f"{found.rule} {found.place}".strip() + (f" ({details})" if details else "")
