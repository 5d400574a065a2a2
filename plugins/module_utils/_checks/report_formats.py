# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what tools report: JUnit and Cobertura XML, and the output of coverage, SARIF tools, mypy, ruff, bandit and pip-audit.

Each reader takes the whole file and raises UnexpectedAnswer for what it is not. Numbers that a report states of itself are
compared with what it holds, and the worse one counts: a file that was cut, or merged badly, must not look better.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import datetime
import re
import typing as t
import xml.parsers.expat
from fractions import Fraction

from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import text_of
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

_MOST_DEPTH = 200
_SHOWN = 20
SEVERITIES = ("low", "medium", "high", "critical")
_COMMIT_NAMES = frozenset({"commit", "commit_id", "commit.id", "git_commit", "git.commit", "revision", "vcs.revision"})
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclasses.dataclass(frozen=True)
class Found:
    """One finding of a linter or scanner; ``severity`` and ``confidence`` are empty where the tool names none."""

    rule: str
    place: str = ""
    severity: str = ""
    confidence: str = ""
    #: Further names of the same thing, such as the CVE of an advisory.
    aliases: tuple[str, ...] = ()
    #: The versions in which it is mended.
    fixed_in: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Tests:
    """Test cases by how they ended."""

    total: int
    failures: int
    errors: int
    skipped: int
    #: Passed only when tried again.
    flaky: int
    bad_names: tuple[str, ...] = ()

    @property
    def executed(self) -> int:
        return self.total - self.skipped


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Lines and branches; a branch count of 0 means that branches were not measured."""

    covered_lines: int
    lines: int
    covered_branches: int = 0
    branches: int = 0

    def percent(self) -> Fraction:
        """Exactly, never rounded."""
        return Fraction(100 * self.covered_lines, self.lines)

    def branch_percent(self) -> Fraction:
        return Fraction(100 * self.covered_branches, self.branches)


@dataclasses.dataclass(frozen=True)
class Report:
    """What a report says."""

    #: How many things were looked at, and what they are; None where the format does not tell.
    looked_at: int | None
    unit: str
    findings: tuple[Found, ...] = ()
    tests: Tests | None = None
    coverage: Coverage | None = None
    tool: str = ""
    #: The commits that the report itself names.
    commits: tuple[str, ...] = ()
    #: When it says it was made; without a zone it is naive.
    made_at: datetime.datetime | None = None
    #: What keeps it from being believed.
    doubts: tuple[str, ...] = ()
    #: What was looked at and could not be judged by the tool, such as a package that is on no index.
    not_judged: tuple[str, ...] = ()
    #: Name and version of what was looked at, where that are packages.
    packages: tuple[tuple[str, str], ...] = ()


# ── XML ──


class _Xml(abc.ABC):
    """Elements as they come, without a tree. Entities that a document declares itself are refused, and none is fetched."""

    def __init__(self) -> None:
        self.stack: list[str] = []
        self._parser = xml.parsers.expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = self._refuse

    def read(self, octets: bytes) -> None:
        try:
            self._parser.Parse(octets, True)
        except xml.parsers.expat.ExpatError as problem:
            what = xml.parsers.expat.ErrorString(problem.code)
            raise UnexpectedAnswer(f"it is not whole XML: {what} in line {problem.lineno}")
        except (ValueError, LookupError):
            raise UnexpectedAnswer("it is not XML in an encoding that can be read")

    def _refuse(self, *_unused: object) -> None:
        raise UnexpectedAnswer("it declares entities, which no such report needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if not self.stack:
            self.root(name, attributes)
        self.stack.append(name)
        if len(self.stack) > _MOST_DEPTH:
            raise UnexpectedAnswer(f"its elements are nested more than {_MOST_DEPTH} deep")
        self.begin(name, attributes)

    def _end(self, name: str) -> None:
        self.finish(self.stack[-1])
        self.stack.pop()

    @abc.abstractmethod
    def root(self, name: str, attributes: dict[str, str]) -> None:
        """The document's outermost element."""

    @abc.abstractmethod
    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element that begins, the outermost included."""

    @abc.abstractmethod
    def finish(self, name: str) -> None:
        """An element that ends; its name is the last of the stack."""


def _count(attributes: t.Mapping[str, str], name: str) -> int:
    text = attributes.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,18}", text) else 0


class _JUnit(_Xml):
    def __init__(self) -> None:
        super().__init__()
        self.ended: collections.Counter[str] = collections.Counter()
        self.flaky = 0
        self.bad_names: list[str] = []
        self.declared: collections.Counter[str] = collections.Counter()
        self.of_root: dict[str, str] = {}
        self.commits: list[str] = []
        self.times: list[datetime.datetime] = []
        self._case = ""
        self._states: set[str] = set()

    def root(self, name: str, attributes: dict[str, str]) -> None:
        if name not in ("testsuites", "testsuite"):
            raise UnexpectedAnswer(f"it is XML of <{name}>, and JUnit's is of <testsuites> or <testsuite>")
        self.of_root = attributes

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        parent = self.stack[-2] if len(self.stack) > 1 else ""
        if name in ("testsuite", "testsuites"):
            if name == "testsuite" and parent in ("", "testsuites"):
                for key in ("tests", "failures", "errors"):
                    self.declared[key] += _count(attributes, key)
            moment = _moment(attributes.get("timestamp", ""))
            if moment is not None:
                self.times.append(moment)
        elif name == "testcase":
            self._case = "::".join(part for part in (attributes.get("classname"), attributes.get("name")) if part)
            self._states = set()
            said = {attributes.get("status", "").lower(), attributes.get("result", "").lower()}
            if said & {"notrun", "disabled", "skipped", "suppressed"}:
                self._states.add("skipped")
            if said & {"failed", "failure", "error"}:
                self._states.add("failures")
        elif parent == "testcase":
            states = {"failure": "failures", "error": "errors", "skipped": "skipped"}
            if name in states:
                self._states.add(states[name])
            elif name in ("flakyFailure", "flakyError"):
                self._states.add("flaky")
        elif name == "property" and attributes.get("name", "").lower() in _COMMIT_NAMES:
            self.commits.append(attributes.get("value", ""))

    def finish(self, name: str) -> None:
        if name != "testcase":
            return
        state = next((state for state in ("errors", "failures", "skipped") if state in self._states), "passed")
        self.ended[state] += 1
        self.flaky += "flaky" in self._states
        if state in ("errors", "failures") and len(self.bad_names) < _SHOWN:
            self.bad_names.append(self._case)


def read_junit(octets: bytes) -> Report:
    """JUnit's XML, of whatever tool. Test cases are counted, and what the suites declare is compared."""
    seen = _JUnit()
    seen.read(octets)
    total = sum(seen.ended.values())
    declared = {key: max(seen.declared[key], _count(seen.of_root, key)) for key in ("tests", "failures", "errors")}
    doubts = []
    if declared["tests"] > total:
        doubts.append(f"it declares {declared['tests']} tests and holds {total}: it was cut, or is a summary")
    return Report(
        looked_at=total,
        unit="tests",
        tests=Tests(
            total=total,
            failures=max(seen.ended["failures"], declared["failures"]),
            errors=max(seen.ended["errors"], declared["errors"]),
            skipped=seen.ended["skipped"],
            flaky=seen.flaky,
            bad_names=tuple(seen.bad_names),
        ),
        commits=tuple(dict.fromkeys(seen.commits)),
        made_at=_oldest(seen.times),
        doubts=tuple(doubts),
    )


class _Cobertura(_Xml):
    def __init__(self) -> None:
        super().__init__()
        self.of_root: dict[str, str] = {}
        self.lines = self.covered = 0

    def root(self, name: str, attributes: dict[str, str]) -> None:
        if name != "coverage" or not {"line-rate", "lines-valid"} & set(attributes):
            raise UnexpectedAnswer(f"it is XML of <{name}>, and not Cobertura's <coverage line-rate=…>")
        self.of_root = attributes

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        # A method's lines stand a second time below its class.
        if name == "line" and self.stack[-3:-1] == ["class", "lines"]:
            self.lines += 1
            self.covered += _count(attributes, "hits") > 0

    def finish(self, name: str) -> None:
        """Everything stands in the attributes, so an end tells nothing more."""


def read_cobertura(octets: bytes) -> Report:
    """Cobertura's XML. Its line-rate is rounded to four digits and 1 where nothing was measured, so lines are counted."""
    seen = _Cobertura()
    seen.read(octets)
    root = seen.of_root
    doubts = []
    covered, lines = seen.covered, seen.lines
    if "lines-valid" in root and "lines-covered" in root:
        declared_covered, declared = _count(root, "lines-covered"), _count(root, "lines-valid")
        if declared_covered > declared:
            doubts.append(f"it declares {declared_covered} of {declared} lines as covered")
        # Tools that write totals alone hold no lines; of two that differ the worse counts.
        elif not lines or declared_covered * lines < covered * declared:
            covered, lines = declared_covered, declared
    stamp = root.get("timestamp", "")
    made_at = None
    if re.fullmatch(r"\d{9,14}(?:\.\d+)?", stamp):
        # Milliseconds by Cobertura and coverage.py, seconds by gcovr and others.
        seconds = float(stamp) / (1000 if float(stamp) > 1e11 else 1)
        made_at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return Report(
        looked_at=lines,
        unit="lines",
        coverage=Coverage(covered, lines, _count(root, "branches-covered"), _count(root, "branches-valid")),
        tool=f"version {root['version']}" if root.get("version") else "",
        made_at=made_at,
        doubts=tuple(doubts),
    )


# ── JSON ──


def _json(octets: bytes) -> t.Any:
    try:
        return foreign_json.read(text_of(octets))
    except ValueError as problem:
        raise UnexpectedAnswer(f"it is not whole JSON: {getattr(problem, 'msg', problem)}")


def _entry(value: t.Any, key: str, kind: type) -> t.Any:
    """An entry of a JSON object, if it is of this kind; None otherwise."""
    entry = value.get(key) if isinstance(value, dict) else None
    return entry if isinstance(entry, kind) and not (kind is int and isinstance(entry, bool)) else None


def _objects(value: t.Any, key: str) -> list[dict[str, t.Any]]:
    return [entry for entry in _entry(value, key, list) or () if isinstance(entry, dict)]


def read_coverage_json(octets: bytes) -> Report:
    """``coverage json``, formats 1 to 3: the totals are the same in all. ``percent_covered_display`` is rounded, so it is not read."""
    document = _json(octets)
    totals, meta = _entry(document, "totals", dict), _entry(document, "meta", dict)
    counts = {
        key: _entry(totals, key, int) for key in ("covered_lines", "num_statements", "covered_branches", "num_branches")
    }
    if meta is None or counts["covered_lines"] is None or counts["num_statements"] is None:
        raise UnexpectedAnswer("it has no meta and totals as coverage.py's JSON has")
    covered, lines = counts["covered_lines"], counts["num_statements"]
    doubts = []
    if not 0 <= covered <= lines:
        doubts.append(f"it declares {covered} of {lines} lines as covered")
        covered = 0
    return Report(
        looked_at=lines,
        unit="lines",
        coverage=Coverage(covered, lines, counts["covered_branches"] or 0, counts["num_branches"] or 0),
        tool=f"coverage.py {_entry(meta, 'version', str) or ''}".strip(),
        made_at=_moment(_entry(meta, "timestamp", str) or ""),
        doubts=tuple(doubts),
    )


_LEVELS = {"error": "high", "warning": "medium", "note": "low", "none": ""}


def read_sarif(octets: bytes) -> Report:
    """SARIF 2.1.0. Suppressed results, those of a baseline that are gone, and kinds other than ``fail`` do not count."""
    document = _json(octets)
    version = _entry(document, "version", str) or ""
    if not version.startswith("2.1"):
        raise UnexpectedAnswer(f"its SARIF version is {version or 'not stated'}, and 2.1.0 is read")
    runs = _objects(document, "runs")
    if not runs:
        raise UnexpectedAnswer("it has no runs, so nothing was looked at")
    found: list[Found] = []
    doubts: list[str] = []
    commits: list[str] = []
    times: list[datetime.datetime] = []
    tools: list[str] = []
    for run in runs:
        driver = _entry(_entry(run, "tool", dict), "driver", dict) or {}
        name = " ".join(str(driver[key]) for key in ("name", "version") if driver.get(key)) or "a tool"
        tools.append(name)
        if _entry(run, "results", list) is None:
            doubts.append(f"{name} gave no results at all, not even an empty list")
        for invocation in _objects(run, "invocations"):
            if invocation.get("executionSuccessful") is False:
                doubts.append(f"{name} did not run to its end")
            moment = _moment(_entry(invocation, "endTimeUtc", str) or _entry(invocation, "startTimeUtc", str) or "")
            if moment is not None:
                times.append(moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc))
        commits.extend(
            entry["revisionId"]
            for entry in _objects(run, "versionControlProvenance")
            if _entry(entry, "revisionId", str)
        )
        components = [driver, *_objects(_entry(run, "tool", dict), "extensions")]
        rules = {str(rule.get("id")): rule for component in components for rule in _objects(component, "rules")}
        own_rules = _objects(driver, "rules")
        found.extend(_sarif_found(result, rules, own_rules) for result in _objects(run, "results") if _counts(result))
    return Report(
        looked_at=None,
        unit="files",
        findings=tuple(found),
        tool=", ".join(dict.fromkeys(tools)),
        commits=tuple(dict.fromkeys(commits)),
        made_at=_oldest(times),
        doubts=tuple(doubts),
    )


def _counts(result: t.Mapping[str, t.Any]) -> bool:
    accepted = [entry for entry in _objects(result, "suppressions") if entry.get("status", "accepted") == "accepted"]
    return result.get("kind", "fail") == "fail" and result.get("baselineState") != "absent" and not accepted


def _sarif_found(
    result: dict[str, t.Any], rules: t.Mapping[str, dict[str, t.Any]], own_rules: t.Sequence[dict[str, t.Any]]
) -> Found:
    index = _entry(result, "ruleIndex", int)
    by_index = own_rules[index] if index is not None and 0 <= index < len(own_rules) else {}
    identity = (
        _entry(result, "ruleId", str) or _entry(_entry(result, "rule", dict), "id", str) or by_index.get("id") or "?"
    )
    rule = rules.get(str(identity)) or by_index
    default = _entry(_entry(rule, "defaultConfiguration", dict), "level", str)
    severity = _LEVELS.get(_entry(result, "level", str) or default or "warning", "high")
    score = (_entry(rule, "properties", dict) or {}).get("security-severity")
    try:
        number = float(str(score))
        severity = "critical" if number >= 9 else "high" if number >= 7 else "medium" if number >= 4 else "low"
    except ValueError:
        pass
    location = (_objects(result, "locations") or [{}])[0]
    physical = _entry(location, "physicalLocation", dict)
    uri = _entry(_entry(physical, "artifactLocation", dict), "uri", str) or ""
    line = _entry(_entry(physical, "region", dict), "startLine", int)
    return Found(str(identity), f"{uri}:{line}" if line else uri, severity)


_MYPY_ERROR = re.compile(r"(?P<place>.*?): error: .*?(?:\[(?P<code>[\w-]+)\])?\s*")
_MYPY_FOUND = re.compile(r"Found (\d+) errors? in (\d+) files? \((?:checked (\d+) source files?|errors prevented .*)\)")
_MYPY_CLEAN = re.compile(r"Success: no issues found in (\d+) source files?")


def read_mypy(octets: bytes) -> Report:
    """mypy's output, as text or with ``--output json``. Notes do not count."""
    # A clean run with --output json prints one empty line.
    lines = [line for line in _COLOUR.sub("", text_of(octets)).splitlines() if line.strip()]
    found: list[Found] = []
    doubts: list[str] = []
    checked: int | None = None
    declared: int | None = None
    is_json = any(line.startswith("{") for line in lines)
    for line in lines:
        summary, clean, error = _MYPY_FOUND.fullmatch(line), _MYPY_CLEAN.fullmatch(line), _MYPY_ERROR.fullmatch(line)
        if summary:
            declared, checked = int(summary[1]), int(summary[3]) if summary[3] else int(summary[2])
        elif clean:
            declared, checked = 0, int(clean[1])
        elif "INTERNAL ERROR" in line or line.startswith(("mypy: ", "Traceback ")):
            doubts.append(f"mypy stopped: {beginning_of(line.strip(), 160)}")
        elif is_json and line.startswith("{"):
            entry = _json(line.encode("utf-8"))
            if entry.get("severity", "error") == "error":
                found.append(Found(str(entry.get("code") or "?"), f"{entry.get('file')}:{entry.get('line')}"))
        elif error:
            found.append(Found(error["code"] or "?", error["place"]))
    if declared is None and not is_json and lines:
        doubts.append("it has no last line that says how many files mypy checked")
    if declared is not None and declared > len(found):
        found.extend([Found("?", "not listed")] * min(declared - len(found), 100_000))
    return Report(checked, "files", tuple(found), tool="mypy", doubts=tuple(doubts))


def read_ruff(octets: bytes) -> Report:
    """``ruff check --output-format json`` or ``json-lines``."""
    text = text_of(octets).strip()
    if text and not text.startswith(("[", "{")):
        raise UnexpectedAnswer("it is not JSON: run ruff with --output-format json")
    entries = _json(octets) if text.startswith("[") else [_json(line.encode("utf-8")) for line in text.splitlines()]
    if any(not isinstance(entry, dict) or "filename" not in entry for entry in entries):
        raise UnexpectedAnswer("its entries are not those of ruff's JSON")
    found = tuple(
        # A syntax error has no code in older versions.
        Found(str(entry.get("code") or entry.get("name") or "invalid-syntax"), _ruff_place(entry))
        for entry in entries
    )
    return Report(None, "files", found, tool="ruff")


def _ruff_place(entry: t.Mapping[str, t.Any]) -> str:
    row = _entry(_entry(entry, "location", dict), "row", int)
    return f"{entry['filename']}:{row}" if row else str(entry["filename"])


_FORMATTED = re.compile(r"(\d+) files? (would be reformatted|already formatted|left unchanged|would be left unchanged)")
_WOULD = re.compile(r"Would reformat: (.+)|\s*--> (.+?):\d+:\d+")


def read_ruff_format(octets: bytes) -> Report:
    """``ruff format --check``, as text or with ``--output-format json``."""
    text = _COLOUR.sub("", text_of(octets))
    if text.lstrip().startswith("["):
        return read_ruff(octets)
    named = [match[1] or match[2] for match in map(_WOULD.fullmatch, text.splitlines()) if match]
    names = list(dict.fromkeys(named))
    counted: dict[bool, int] = {}
    for number, what in _FORMATTED.findall((text.strip().splitlines() or [""])[-1]):
        counted["reformatted" in what] = int(number)
    doubts = [] if counted or not text.strip() else ["it has no last line that says how many files ruff looked at"]
    errors = [beginning_of(line.strip(), 160) for line in text.splitlines() if line.startswith(("error: ", "error["))]
    doubts.extend(f"ruff could not read a file: {line}" for line in errors[:3])
    names.extend(["not listed"] * min(counted.get(True, 0) - len(names), 100_000))
    found = tuple(Found("unformatted", name) for name in names)
    return Report(sum(counted.values()) if counted else None, "files", found, tool="ruff", doubts=tuple(doubts))


def read_bandit(octets: bytes) -> Report:
    """bandit's JSON. A file that it could not read is named below ``errors`` and does not change its exit code."""
    document = _json(octets)
    metrics, results = _entry(document, "metrics", dict), _entry(document, "results", list)
    totals = _entry(metrics, "_totals", dict)
    if totals is None or results is None:
        raise UnexpectedAnswer("it has no metrics and results as bandit's JSON has")
    found = tuple(
        Found(
            str(entry.get("test_id") or "?"),
            f"{entry.get('filename')}:{entry.get('line_number')}",
            _level_of(entry.get("issue_severity")),
            _level_of(entry.get("issue_confidence")),
        )
        for entry in _objects(document, "results")
    )
    errors = [f"{entry.get('filename')} ({entry.get('reason')})" for entry in _objects(document, "errors")]
    return Report(
        looked_at=_entry(totals, "loc", int) or 0,
        unit="lines",
        findings=found,
        tool="bandit",
        made_at=_moment(_entry(document, "generated_at", str) or ""),
        not_judged=tuple(errors),
    )


def _level_of(word: t.Any) -> str:
    """What is UNDEFINED may be anything, so it counts as high."""
    text = str(word).lower()
    return text if text in SEVERITIES else "high"


def read_pip_audit(octets: bytes) -> Report:
    """pip-audit's JSON: an object since 2.2, and a bare list before."""
    document = _json(octets)
    entries = document if isinstance(document, list) else _entry(document, "dependencies", list)
    if entries is None or any(not isinstance(entry, dict) or "name" not in entry for entry in entries):
        raise UnexpectedAnswer("it has no dependencies as pip-audit's JSON has")
    audited = [entry for entry in entries if "skip_reason" not in entry]
    if any(_entry(entry, "vulns", list) is None for entry in audited):
        raise UnexpectedAnswer("it has dependencies without a list of vulnerabilities")
    found = tuple(
        Found(
            str(advisory.get("id") or "?"),
            f"{entry['name']} {entry.get('version')}",
            aliases=tuple(str(alias) for alias in _entry(advisory, "aliases", list) or ()),
            fixed_in=tuple(str(version) for version in _entry(advisory, "fix_versions", list) or ()),
        )
        for entry in audited
        for advisory in _objects(entry, "vulns")
    )
    return Report(
        looked_at=len(audited),
        unit="dependencies",
        findings=found,
        tool="pip-audit",
        not_judged=tuple(str(entry["name"]) for entry in entries if "skip_reason" in entry),
        packages=tuple((str(entry["name"]), str(entry.get("version"))) for entry in audited),
    )


_OSV_SEVERITIES = {"low": "low", "moderate": "medium", "medium": "medium", "high": "high", "critical": "critical"}


def worse(severity: str, than: str | None) -> str:
    """The worse of two severities; the first where there is no other."""
    return max(severity, than or severity, key=SEVERITIES.index)


def read_advisories(octets: bytes) -> dict[str, str]:
    """The severity of each advisory by all of its names, of OSV records: one, a list, or the answer of a query.

    A record that rates nothing has no entry: its severity is not known. Of two ratings of one name the worse counts.
    """
    document = _json(octets)
    vulns = document.get("vulns") if isinstance(document, dict) else None
    records = vulns if isinstance(vulns, list) else document if isinstance(document, list) else [document]
    if any(not isinstance(record, dict) or "id" not in record for record in records):
        raise UnexpectedAnswer("it is neither an OSV record nor a list of them")
    severities: dict[str, str] = {}
    for record in records:
        said = str(_entry(_entry(record, "database_specific", dict), "severity", str) or "").lower()
        for name in [record["id"], *(_entry(record, "aliases", list) or ())]:
            if said in _OSV_SEVERITIES:
                severities[str(name).lower()] = worse(_OSV_SEVERITIES[said], severities.get(str(name).lower()))
    return severities


READERS: dict[str, t.Callable[[bytes], Report]] = {
    "junit": read_junit,
    "cobertura": read_cobertura,
    "coverage_json": read_coverage_json,
    "sarif": read_sarif,
    "mypy": read_mypy,
    "ruff": read_ruff,
    "ruff_format": read_ruff_format,
    "bandit": read_bandit,
    "pip_audit": read_pip_audit,
}


# ── time ──


def _moment(text: str) -> datetime.datetime | None:
    """A time in ISO 8601 as far as Python 3.9 reads it, naive where it has no zone; None where it is none."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.strip().replace("Z", "+00:00"))
    text = re.sub(r"\.(\d{1,5})(?=\D|$)", lambda match: "." + match[1].ljust(6, "0"), text)
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _oldest(times: t.Sequence[datetime.datetime]) -> datetime.datetime | None:
    """Of times with and without a zone, those without are read as UTC to be compared."""
    return min(
        times,
        key=lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc),
        default=None,
    )
