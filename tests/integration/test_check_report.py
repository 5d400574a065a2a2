# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_report over reports that the real tools wrote: of a good build, of a bad one, and of one that looked at nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_report, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from tests.module_examples import examples_of
from tests.servers import Answer, HttpServer, Request, installed_beside_python

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

ROOT = Path(__file__).resolve().parent.parent.parent
COMMIT = "8f14e45fceea167a5a36dedd4bea2543f3c8d1b2"
OTHER = "9" * 40
PROVENANCE = re.search(r"```python\n(.*?)```", (ROOT / "docs/reports.md").read_text(encoding="utf-8"), re.DOTALL)

serves = pytest.mark.serves

#: Types of the standard library, read once.
MYPY_CACHE = ROOT / "build/mypy-of-tests"

CALC = """\
def half(number: int) -> float:
    if number < 0:
        return -half(-number)
    return number / 2


def never(number: int) -> int:
    return number
"""
TESTS = """\
import pytest

from app.calc import half


@pytest.mark.parametrize("number", [2, 4, 6])
def test_größe(number: int) -> None:
    assert half(number) == number / 2


@pytest.mark.skip(reason="later")
def test_later() -> None:
    raise AssertionError
"""


def finding(**params: t.Any) -> dict[str, t.Any]:
    params = {**({} if "unbound" in params else {"commit": COMMIT}), **params}
    checked = validated(check_report.ARGUMENT_SPEC, params, where="check_report", **check_report.CONSTRAINTS)
    found = judged(registry.load("check_report"), checked, Run(timeout_seconds=60))
    json.dumps(found)
    return found


@dataclasses.dataclass
class Build:
    """A project, the tools that look at it, and where they report."""

    project: Path
    codes: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def reports(self) -> Path:
        return self.project / "reports"

    def tool(self, report: str, *argv: str, to_stdout: bool = False, looked_at: str = "") -> None:
        program = (
            [sys.executable, "-m", "pytest"] if argv[0] == "pytest" else [installed_beside_python(argv[0]) or argv[0]]
        )
        environment = {**os.environ, "PYTHONPATH": str(self.project), "COVERAGE_FILE": str(self.project / ".coverage")}
        for name in [name for name in environment if name.startswith(("COV_CORE_", "COVERAGE_PROCESS", "PYTEST_"))]:
            environment.pop(name)
        ended = subprocess.run(
            [*program, *argv[1:]], cwd=self.project, env=environment, capture_output=True, check=False
        )
        if to_stdout:
            (self.reports / report).write_bytes(ended.stdout)
        assert (self.reports / report).exists(), ended.stdout.decode() + ended.stderr.decode()
        self.codes[report] = f"{ended.returncode}{looked_at and ':' + looked_at}"

    def test(self, *options: str) -> None:
        self.tool(
            "junit.xml",
            *(
                "pytest",
                "-q",
                "-c",
                "/dev/null",
                "--rootdir",
                ".",
                "-p",
                "no:cacheprovider",
                "--junit-xml=reports/junit.xml",
            ),
            *(
                "--cov=app",
                "--cov-branch",
                "--cov-report=xml:reports/coverage.xml",
                "--cov-report=json:reports/coverage.json",
            ),
            *options,
        )

    def lint(self, target: str = "app") -> None:
        files = str(len(list((self.project / target).rglob("*.py"))))
        self.tool("mypy.txt", "mypy", "--strict", "--cache-dir", str(MYPY_CACHE), target, to_stdout=True)
        self.tool(
            "mypy.jsonl",
            "mypy",
            "--strict",
            "--no-incremental",
            "--output",
            "json",
            target,
            to_stdout=True,
            looked_at=files,
        )
        ruff = ("ruff", "check", "--isolated", "--no-cache")
        self.tool("ruff.json", *ruff, "--output-format", "json", target, to_stdout=True, looked_at=files)
        self.tool("ruff.sarif", *ruff, "--output-format", "sarif", target, to_stdout=True, looked_at=files)
        self.tool("format.txt", "ruff", "format", "--isolated", "--no-cache", "--check", target, to_stdout=True)
        self.tool("bandit.json", "bandit", "-q", "-r", target, "-f", "json", to_stdout=True)

    def state(self, commit: str = COMMIT) -> None:
        """Write the provenance with the script of the documentation."""
        assert PROVENANCE is not None
        script = self.project / "provenance.py"
        script.write_text(PROVENANCE[1])
        said = [f"{name}={code}" for name, code in self.codes.items()]
        subprocess.run([sys.executable, str(script), commit, str(self.reports), *said], check=True)

    def finding(self, report: str, kind: str, **params: t.Any) -> dict[str, t.Any]:
        stated = {"provenance": str(self.reports / "provenance.json")} if "unbound" not in params else {}
        return finding(path=str(self.reports / report), format=kind, **{**stated, **params})


def new_build(folder: Path, calc: str = CALC, tests: str = TESTS) -> Build:
    for name, text in {"app/__init__.py": "", "app/calc.py": calc, "tests/test_calc.py": tests}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "reports").mkdir()
    return Build(folder)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Build:
    build = new_build(tmp_path_factory.mktemp("good"))
    build.test()
    build.lint()
    build.state()
    return build


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Build:
    calc = "import json\nimport subprocess\n" + CALC.replace("number: int) -> float", "number)")
    calc += "def call(text: str) -> int:\n    return subprocess.call(text, shell=True)\n"
    build = new_build(tmp_path_factory.mktemp("bad"), calc, TESTS.replace("number / 2", "number / 3"))
    build.test()
    build.lint()
    build.state()
    return build


@pytest.fixture
def copy(good: Build, tmp_path: Path) -> Build:
    """The good build's reports, to be spoilt."""
    shutil.copytree(good.reports, tmp_path / "copy" / "reports")
    return Build(tmp_path / "copy")


#: What each report serves. That of pip-audit has tests of its own.
SERVED = {
    "junit.xml": ["S1.1"],
    "coverage.xml": ["S1.2"],
    "coverage.json": ["S1.2"],
    "mypy.txt": ["S1.3"],
    "mypy.jsonl": ["S1.3"],
    "ruff.json": ["S1.4"],
    "ruff.sarif": ["S1.4"],
    "format.txt": ["S1.5"],
    "bandit.json": ["S1.6"],
}
EACH: list[tuple[str, str, dict[str, t.Any]]] = [
    ("junit.xml", "junit", {}),
    ("coverage.xml", "cobertura", {"min_percent": 60}),
    ("coverage.json", "coverage_json", {"min_percent": 60}),
    ("mypy.txt", "mypy", {}),
    ("mypy.jsonl", "mypy", {}),
    ("ruff.json", "ruff", {}),
    ("ruff.sarif", "sarif", {}),
    ("format.txt", "ruff_format", {}),
    ("bandit.json", "bandit", {}),
]


@pytest.mark.parametrize(
    ("report", "kind", "options"),
    [pytest.param(*each, marks=[serves(*SERVED[each[0]], case="pass")] if each[0] in SERVED else []) for each in EACH],
)
def test_the_reports_of_a_good_build_pass(good: Build, report: str, kind: str, options: dict[str, t.Any]) -> None:
    found = good.finding(report, kind, **options)
    assert found["status"] == "pass", found["summary"]
    told = found["evidence"]["reports"][0]
    assert told["sha256"] == hashlib.sha256((good.reports / report).read_bytes()).hexdigest()
    assert (told["commits"], bool(told["looked_at"])) == ([COMMIT], True)
    assert 0 <= told["age_seconds"] < 86400
    if kind == "junit":
        counts = [told["tests"][name] for name in ("total", "failures", "errors", "skipped")]
        assert counts == [4, 0, 0, 1]
    elif "coverage" in kind:
        assert told["coverage"]["covered_lines"] < told["coverage"]["lines"]
    elif kind in ("mypy", "ruff", "ruff_format"):
        assert (told["exit_code"], told["findings"], told["by_rule"], told["first"]) == (0, 0, {}, [])


@serves("S1.3", "S1.4", case="pass")
@pytest.mark.parametrize(("report", "kind"), [("mypy.txt", "mypy"), ("ruff.json", "ruff")])
def test_the_tools_version_is_told_where_the_build_states_it(copy: Build, report: str, kind: str) -> None:
    program = installed_beside_python(kind) or kind
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    document = json.loads((copy.reports / "provenance.json").read_text())
    document["reports"][report]["tool"] = version
    (copy.reports / "provenance.json").write_text(json.dumps(document))
    found = copy.finding(report, kind)
    assert (found["status"], found["evidence"]["reports"][0]["tool"]) == ("pass", version)
    assert re.search(r"\d+\.\d+", version)


@pytest.mark.parametrize(
    ("report", "kind", "options", "said"),
    [
        pytest.param(
            "junit.xml",
            "junit",
            {},
            "junit.xml has 3 failures, expected none (tests.test_calc::test_größe[2]",
            marks=serves("S1.1", case="fail"),
        ),
        pytest.param("mypy.txt", "mypy", {}, "no-untyped-def", marks=serves("S1.3", case="fail")),
        pytest.param("mypy.jsonl", "mypy", {}, "no-untyped-def", marks=serves("S1.3", case="fail")),
        pytest.param("ruff.json", "ruff", {}, "F401", marks=serves("S1.4", case="fail")),
        pytest.param("ruff.sarif", "sarif", {}, "F401", marks=serves("S1.4", case="fail")),
        pytest.param(
            "format.txt",
            "ruff_format",
            {},
            "1 findings, expected at most 0: unformatted, first at app/calc.py",
            marks=serves("S1.5", case="fail"),
        ),
        pytest.param(
            "bandit.json",
            "bandit",
            {"min_severity": "high", "min_confidence": "high"},
            "1 findings, expected at most 0: B602",
            marks=serves("S1.6", case="fail"),
        ),
    ],
)
def test_the_reports_of_a_bad_build_fail_and_say_why(
    bad: Build, report: str, kind: str, options: dict[str, t.Any], said: str
) -> None:
    found = bad.finding(report, kind, **options)
    assert (found["status"], said.lower() in found["summary"].lower()) == ("fail", True), found["summary"]
    told = found["evidence"]["reports"][0]
    if kind in ("mypy", "ruff", "ruff_format"):
        assert told["findings"] == sum(told["by_rule"].values()) == len(told["first"]) > 0
        assert (told["exit_code"], told["commits"]) == (1, [COMMIT])
    elif kind == "bandit":
        assert told["by_severity_and_confidence"]["high x high"] == 1
        waiver = {"id": "B602", "reason": "our own words alone", "expires": "2099-12-31"}
        found = bad.finding(report, kind, waived=[waiver], **options)
        assert found["status"] == "warn", found["summary"]
        assert found["measured"][f"{report} waived findings"] == ["1 by B602 until 2099-12-31: our own words alone"]


@serves("S1.2", case="fail")
@pytest.mark.parametrize("report", ["coverage.xml", "coverage.json"])
def test_coverage_is_not_rounded_up(good: Build, report: str) -> None:
    kind = {"coverage.xml": "cobertura", "coverage.json": "coverage_json"}[report]
    measured = json.loads((good.reports / "coverage.json").read_text())["totals"]
    share = 100 * measured["covered_lines"] / measured["num_statements"]
    assert share != round(share, 2)
    for bound, status in ((share - 0.001, "pass"), (share + 0.001, "fail"), (round(share + 0.5), "fail")):
        assert good.finding(report, kind, min_percent=bound)["status"] == status
    shown = f"{int(share * 100) / 100:.2f} % ({measured['covered_lines']} of {measured['num_statements']})"
    assert shown in good.finding(report, kind, min_percent=100)["summary"]
    assert good.finding(report, kind, min_percent=0, min_branch_percent=50)["status"] == "pass"
    assert good.finding(report, kind, min_percent=0, min_branch_percent=99)["status"] == "fail"


def test_the_reference_systems_own_code_is_as_clean_as_its_reports_say(tmp_path: Path) -> None:
    build = new_build(tmp_path)
    app = shutil.copytree(
        ROOT / "examples/ablage/app", tmp_path / "ablage", ignore=shutil.ignore_patterns("__pycache__")
    )
    settings = ["--config", str(ROOT / "pyproject.toml")]
    names = str(len(list(app.rglob("*.py"))))
    build.tool("ruff.json", "ruff", "check", "--no-cache", *settings, "--output-format", "json", "ablage", to_stdout=True, looked_at=names)  # fmt: skip
    build.tool("format.txt", "ruff", "format", "--no-cache", *settings, "--check", "ablage", to_stdout=True)
    build.tool("bandit.json", "bandit", "-q", "-r", "ablage", "-f", "json", to_stdout=True)
    build.state()
    assert build.finding("ruff.json", "ruff")["status"] == "pass"
    assert build.finding("format.txt", "ruff_format")["status"] == "pass"
    assert build.finding("bandit.json", "bandit", min_severity="high")["status"] == "pass"


@serves("S1.1", case="fail")
def test_tools_that_looked_at_nothing_found_nothing_out(tmp_path: Path) -> None:
    build = new_build(tmp_path, tests="")
    (tmp_path / "empty").mkdir()
    build.test()
    build.lint("empty")
    build.state()
    statuses = {
        report: build.finding(report, kind, **options) for report, kind, options in EACH if "coverage" not in report
    }
    assert (statuses["junit.xml"]["status"], "tests is 0, expected at least 1" in statuses["junit.xml"]["summary"]) == (
        "fail",
        True,
    )
    for report in ("ruff.json", "ruff.sarif", "format.txt", "bandit.json"):
        assert statuses[report]["status"] == "unknown", (report, statuses[report]["summary"])
    for report in ("mypy.txt", "mypy.jsonl"):  # mypy itself refuses an empty folder, with exit code 2
        assert (statuses[report]["status"], "exit code 2" in statuses[report]["summary"]) == ("fail", True)


@pytest.mark.parametrize(("report", "kind"), [("ruff.json", "ruff"), ("ruff.sarif", "sarif"), ("mypy.jsonl", "mypy")])
def test_a_clean_report_that_does_not_say_what_was_looked_at_is_unknown(good: Build, report: str, kind: str) -> None:
    reason = "made on this host a minute ago"
    found = good.finding(report, kind, unbound=reason)
    assert (found["status"], "does not say whether the tool looked at any files" in found["summary"]) == (
        "unknown",
        True,
    )
    believed = good.finding(report, kind, unbound=reason, min_looked_at=0)
    assert (believed["status"], reason in str(believed["measured"])) == ("pass", True)


def test_min_looked_at_wants_as_many(good: Build) -> None:
    assert good.finding("junit.xml", "junit", min_looked_at=4)["status"] == "pass"
    found = good.finding("junit.xml", "junit", min_looked_at=5)
    assert (found["status"], "tests looked at is 4, expected at least 5" in found["summary"].lower()) == ("fail", True)


@pytest.mark.parametrize(
    ("report", "kind", "options"),
    [pytest.param(*each, marks=[serves(*SERVED[each[0]], case="fail")] if each[0] in SERVED else []) for each in EACH],
)
def test_a_report_is_about_the_commit_that_is_released(
    good: Build, report: str, kind: str, options: dict[str, t.Any]
) -> None:
    found = good.finding(report, kind, commit=OTHER, **options)
    assert (found["status"], f"is about commit {COMMIT}, expected {OTHER}" in found["summary"]) == ("fail", True)


def test_a_report_that_names_no_commit_is_unknown(good: Build) -> None:
    bare = finding(path=str(good.reports / "mypy.txt"), format="mypy")
    assert (bare["status"], "does not say which commit" in bare["summary"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("stated", "status"),
    [(COMMIT, "pass"), (COMMIT[:12], "pass"), (COMMIT.upper(), "pass"), (COMMIT[:6], "fail"), (COMMIT + "-dirty", "fail"), ("", "fail")],
)  # fmt: skip
def test_a_commit_is_meant_in_full_or_by_its_beginning(copy: Build, stated: str, status: str) -> None:
    copy.state(stated)
    assert copy.finding("mypy.txt", "mypy")["status"] == status


def test_junit_may_name_its_commit_itself(tmp_path: Path) -> None:
    named = "@pytest.fixture(scope='session', autouse=True)\ndef commit(record_testsuite_property):\n"
    tests = TESTS.replace(
        "\n\n@pytest.mark.param",
        f"\n\n{named}    record_testsuite_property('commit', '{COMMIT}')\n\n\n@pytest.mark.param",
    )
    build = new_build(tmp_path, tests=tests)
    build.test()
    path = str(build.reports / "junit.xml")
    assert finding(path=path, format="junit")["status"] == "pass"
    assert finding(path=path, format="junit", commit=OTHER)["status"] == "fail"


def test_a_report_that_was_changed_after_it_was_stated_fails(copy: Build) -> None:
    path = copy.reports / "mypy.txt"
    path.write_text("Success: no issues found in 900 source files\n")
    found = copy.finding("mypy.txt", "mypy")
    assert (found["status"], "SHA-256 differ" in found["summary"]) == ("fail", True)


@serves("S1.1", case="fail")
def test_an_old_report_fails_and_a_new_date_of_the_file_does_not_help(copy: Build) -> None:
    path = copy.reports / "junit.xml"
    path.write_text(re.sub(r'timestamp="[^"]*"', 'timestamp="2020-01-02T03:04:05+00:00"', path.read_text()))
    copy.state()
    found = copy.finding("junit.xml", "junit")
    assert (found["status"], "old by the report, expected at most 24h" in found["summary"]) == ("fail", True)
    os.utime(copy.reports / "mypy.txt", (time.time() - 90000, time.time() - 90000))
    copy.state()
    found = copy.finding("mypy.txt", "mypy")
    assert (found["status"], "is 25.0 h old by the provenance" in found["summary"]) == ("fail", True)
    assert copy.finding("mypy.txt", "mypy", max_age="26h")["status"] == "pass"
    found = copy.finding("mypy.txt", "mypy", unbound="x")
    assert (found["status"], "by the file" in found["summary"]) == ("fail", True)


def test_a_report_of_the_future_is_unknown(copy: Build) -> None:
    os.utime(copy.reports / "mypy.txt", (time.time() + 7200, time.time() + 7200))
    found = copy.finding("mypy.txt", "mypy", unbound="x")
    assert (found["status"], "one of the clocks is wrong" in found["summary"]) == ("unknown", True)


def test_a_tool_that_broke_down_is_not_clean(copy: Build) -> None:
    for report, kind in (("mypy.txt", "mypy"), ("ruff.json", "ruff"), ("junit.xml", "junit")):
        for code, status in (("0", "pass"), ("1", "fail"), ("2", "fail"), ("-9", "fail")):
            copy.codes = {report: f"{code}:3"}
            copy.state()
            assert copy.finding(report, kind)["status"] == status, (report, code)


@pytest.mark.parametrize(("report", "kind", "options"), EACH)
def test_a_report_that_was_cut_is_no_pass(copy: Build, report: str, kind: str, options: dict[str, t.Any]) -> None:
    path = copy.reports / report
    whole = path.read_bytes()
    for length in sorted({0, 1, len(whole) // 3, len(whole) // 2, max(0, len(whole) - 12)}):
        if length == len(whole):
            continue
        path.write_bytes(whole[:length])
        copy.state()
        found = copy.finding(report, kind, **options)
        assert found["status"] in ("unknown", "fail"), (length, found["summary"])


@pytest.mark.parametrize(("report", "kind", "options"), EACH)
def test_a_report_in_another_format_is_unknown(copy: Build, report: str, kind: str, options: dict[str, t.Any]) -> None:
    others = {
        "junit.xml": "coverage.xml",
        "coverage.xml": "junit.xml",
        "mypy.txt": "bandit.json",
        "format.txt": "mypy.txt",
    }
    wrong = others.get(report, "junit.xml")
    if report == "mypy.jsonl":
        return
    found = copy.finding(wrong, kind, **options)
    assert found["status"] == "unknown", found["summary"]


def test_powershells_encoding_is_read(copy: Build) -> None:
    for report, kind in (("mypy.txt", "mypy"), ("ruff.json", "ruff"), ("coverage.json", "coverage_json")):
        path = copy.reports / report
        path.write_bytes(path.read_text().encode("utf-16"))
        copy.codes = {report: "0:2"}
        copy.state()
        options = {"min_percent": 50} if "coverage" in kind else {}
        assert copy.finding(report, kind, **options)["status"] == "pass", report


def test_several_reports_are_judged_together(good: Build, bad: Build, tmp_path: Path) -> None:
    for name, build in (("1", good), ("2", good)):
        shutil.copy(build.reports / "junit.xml", tmp_path / f"junit{name}.xml")
    pattern = str(tmp_path / "junit*.xml")
    assert finding(path=pattern, format="junit", unbound="x", min_looked_at=8)["status"] == "pass"
    shutil.copy(bad.reports / "junit.xml", tmp_path / "junit2.xml")
    found = finding(path=pattern, format="junit", unbound="x")
    assert (found["status"], "junit2.xml has 3 failures" in found["summary"].lower()) == ("fail", True)
    none = finding(paths=[str(tmp_path / "*.nothing")], format="junit", unbound="x")
    assert (none["status"], "No file matches" in none["summary"]) == ("unknown", True)


@pytest.mark.parametrize("what", ["absent", "directory", "pipe", "large"])
def test_what_cannot_be_read_is_unknown(what: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "large":
        path.write_bytes(b" " * 2000)
    found = finding(path=str(path), format="junit", unbound="x", max_size="1kB")
    assert (found["status"], str(path) in found["summary"]) == ("unknown", True)


XML_TRAPS = {
    "laughs": '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><testsuite tests="1"><testcase name="&b;"/></testsuite>',
    "file": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="x">&a;</testcase></testsuite>',
    "deep": "<testsuite>" * 500 + "</testsuite>" * 500,
    "html": "<html><body>404</body></html>",
}


@pytest.mark.parametrize("trap", sorted(XML_TRAPS))
def test_xml_is_parsed_without_danger(trap: str, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(XML_TRAPS[trap])
    found = finding(path=str(path), format="junit", unbound="x")
    assert (found["status"], "cannot be read as junit" in found["summary"]) == ("unknown", True)
    assert "root:" not in json.dumps(found)


def test_a_document_type_of_the_format_itself_is_not_fetched(tmp_path: Path, http_server: HttpServer) -> None:
    path = tmp_path / "coverage.xml"
    lines = "".join(f'<line number="{number}" hits="{number % 5}"/>' for number in range(10))
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE coverage SYSTEM "{http_server.url}/coverage-04.dtd"><coverage line-rate="0.80">'
        f"<packages><package><classes><class><methods><method><lines>{lines}</lines></method></methods>"
        f"<lines>{lines}</lines></class></classes></package></packages></coverage>"
    )
    assert finding(path=str(path), format="cobertura", unbound="x", min_percent=80)["status"] == "pass"
    assert finding(path=str(path), format="cobertura", unbound="x", min_percent=80.01)["status"] == "fail"
    assert http_server.requests == []


# ── pip-audit ──

ADVISORY = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-0001"],
    "modified": "2026-01-01T00:00:00Z",
    "summary": "made for a test",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "idna"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.8"}]}]}],
}  # fmt: skip


@pytest.fixture
def audited(tmp_path: Path, http_server: HttpServer) -> t.Callable[..., Build]:
    def audit(pins: str, vulnerable: str = "") -> Build:
        def answer(request: Request) -> Answer:
            package = json.loads(request.body)["package"]["name"]
            return Answer(200, {"vulns": [ADVISORY]} if package == vulnerable else {})

        http_server.route("/v1/query", answer)
        build = new_build(tmp_path / f"audit{len(http_server.requests)}")
        (build.project / "requirements.txt").write_text(pins)
        build.tool(
            "pip-audit.json",
            *(
                "pip-audit",
                "-r",
                "requirements.txt",
                "--no-deps",
                "--disable-pip",
                "-f",
                "json",
                "-o",
                "reports/pip-audit.json",
            ),
            *("--progress-spinner", "off", "-s", "osv", "--osv-url", f"{http_server.url}/v1/query"),
        )
        build.state()
        return build

    return audit


PINS = "idna==3.7\nrequests[socks]==2.32.0\nZope.Interface==7.0\nwin32==1.0 ; sys_platform == 'win32'\n"


@serves("S1.7", case="pass")
def test_pip_audits_report_is_about_the_lock_file(audited: t.Callable[..., Build], tmp_path: Path) -> None:
    build = audited(PINS)
    lockfile = str(build.project / "requirements.txt")
    found = build.finding("pip-audit.json", "pip_audit", lockfile=lockfile)
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["lockfile"]["sha256"] == hashlib.sha256(PINS.encode()).hexdigest()
    other = tmp_path / "other.txt"
    other.write_text(PINS.replace("3.7", "3.6"))
    found = build.finding("pip-audit.json", "pip_audit", lockfile=str(other))
    assert (found["status"], "it lacks idna 3.6" in found["summary"]) == ("fail", True)
    other.write_text("idna\n")
    assert build.finding("pip-audit.json", "pip_audit", lockfile=str(other))["status"] == "unknown"
    assert build.finding("pip-audit.json", "pip_audit", lockfile="/no/such/file")["status"] == "unknown"


def test_a_vulnerability_fails_until_it_is_waived_and_again_when_the_waiver_ends(
    audited: t.Callable[..., Build],
) -> None:
    build = audited(PINS, vulnerable="idna")
    found = build.finding("pip-audit.json", "pip_audit")
    assert (found["status"], "PYSEC-2026-1, first at idna 3.7" in found["summary"]) == ("fail", True)
    for identity in ("PYSEC-2026-1", "cve-2026-0001"):
        waiver = {"id": identity, "reason": "not called", "expires": "2099-12-31"}
        found = build.finding("pip-audit.json", "pip_audit", waived=[waiver])
        assert (found["status"], "1 findings that were waived for now" in found["summary"]) == ("warn", True), found
        found = build.finding("pip-audit.json", "pip_audit", waived=[{**waiver, "expires": "2020-12-31"}])
        assert (found["status"], f"the waiver of {identity} ended" in found["summary"]) == ("fail", True)


@serves("S1.7", case="fail")
def test_how_severe_a_vulnerability_is_is_in_its_advisory(audited: t.Callable[..., Build], tmp_path: Path) -> None:
    build = audited(PINS, vulnerable="idna")
    records = tmp_path / "advisories"
    records.mkdir()

    def judged_by(*rated: tuple[str, str | None]) -> dict[str, t.Any]:
        for number, (identity, severity) in enumerate(rated):
            specific = {} if severity is None else {"database_specific": {"severity": severity}}
            record = {"id": identity, "aliases": ["CVE-2026-0001"], **specific}
            (records / f"{number}.json").write_text(json.dumps(record))
        return build.finding(
            "pip-audit.json", "pip_audit", advisories=[str(records / "*.json")], min_severity="critical"
        )

    found = judged_by(("GHSA-1111-2222-3333", "CRITICAL"))
    assert (found["status"], "PYSEC-2026-1, first at idna 3.7" in found["summary"]) == ("fail", True), found
    told = found["evidence"]["reports"][0]
    assert told["first"] == ["PYSEC-2026-1 idna 3.7 (critical, mended in 3.8)"]
    assert told["by_severity_and_confidence"] == {"critical": 1}
    # Two databases rate it: the worse one counts, in whatever order they come.
    assert judged_by(("PYSEC-2026-1", "MODERATE"), ("GHSA-1111-2222-3333", "critical"))["status"] == "fail"
    assert judged_by(("PYSEC-2026-1", "CRITICAL"), ("GHSA-1111-2222-3333", "high"))["status"] == "fail"
    assert judged_by(("PYSEC-2026-1", "MODERATE"), ("GHSA-1111-2222-3333", "HIGH"))["status"] == "pass"
    # What no record rates may be critical.
    assert judged_by(("PYSEC-2026-1", None), ("GHSA-1111-2222-3333", None))["status"] == "fail"
    assert judged_by(("PYSEC-1999-7", "LOW"), ("CVE-1999-7", "LOW"))["status"] == "pass"


@pytest.mark.parametrize("content", ["", "[1]", '{"vulns": [{}]}', '{"summary": "x"}', "{"])
def test_what_is_no_advisory_is_unknown(audited: t.Callable[..., Build], tmp_path: Path, content: str) -> None:
    build = audited(PINS)
    (tmp_path / "odd.json").write_text(content)
    found = build.finding("pip-audit.json", "pip_audit", advisories=[str(tmp_path / "odd.json")])
    assert (found["status"], "odd.json cannot be read as advisories" in found["summary"]) == ("unknown", True), found
    for missing in ("nowhere-*.json", "nowhere.json"):
        found = build.finding("pip-audit.json", "pip_audit", advisories=[str(tmp_path / missing)])
        assert (found["status"], "nowhere" in found["summary"]) == ("unknown", True), found


@pytest.mark.parametrize(
    ("document", "options", "status"),
    [
        ({"dependencies": [], "fixes": []}, {}, "unknown"),
        ([{"name": "a", "version": "1", "vulns": []}], {}, "pass"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "app", "skip_reason": "not on PyPI"}]}, {}, "unknown"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "My.App", "skip_reason": "x"}]}, {"unaudited": ["my-app"]}, "pass"),
        ({"dependencies": [{"name": "a", "version": "1"}]}, {}, "unknown"),
        ({"dependencies": None}, {}, "unknown"),
    ],
)  # fmt: skip
def test_older_and_odd_reports_of_pip_audit(
    document: t.Any, options: dict[str, t.Any], status: str, tmp_path: Path
) -> None:
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(document))
    assert finding(path=str(path), format="pip_audit", unbound="x", **options)["status"] == status


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"paths": []}, "paths is empty"),
        ({"format": "bandit", "min_severity": "critical"}, "nothing would ever count"),
        ({"format": "pip_audit", "min_severity": "high"}, "min_severity needs advisories"),
        ({"format": "pip_audit", "advisories": []}, "advisories is empty"),
        ({"advisories": ["a.json"]}, "advisories means nothing for junit"),
        ({"commit": "main"}, "expected a whole commit id"),
        ({"commit": COMMIT[:12]}, "expected a whole commit id"),
        ({"min_percent": 80}, "min_percent means nothing for junit"),
        ({"min_severity": "high"}, "min_severity means nothing for junit"),
        ({"waived": []}, "waived is empty"),
        ({"format": "ruff", "waived": [{"id": "E1", "reason": "x", "expires": "soon"}]}, "expires is 'soon'"),
        ({"format": "ruff", "max_findings": -1}, "expected at least 0"),
        ({"format": "cobertura", "min_percent": 101}, "expected 0 to 100"),
        ({"min_looked_at": 0}, "no test at all is never a pass"),
        ({"max_age": "1 day"}, "not a span"),
        ({"max_size": "1GB"}, "at most 256MiB"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(good: Build, params: dict[str, t.Any], said: str) -> None:
    found = finding(**{"paths": [str(good.reports / "junit.xml")], "format": "junit", **params})
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"commit": "x"}', '{"commit": "x", "reports": {"junit.xml": {}}}',
     '{"commit": "x", "reports": {"junit.xml": {"sha256": "' + "0" * 64 + '", "exit_code": "zero"}}}'],
)  # fmt: skip
def test_a_provenance_that_cannot_be_read_is_unknown(copy: Build, text: str) -> None:
    (copy.reports / "provenance.json").write_text(text)
    found = copy.finding("junit.xml", "junit")
    assert (found["status"], "provenance.json" in found["summary"]) == ("unknown", True)


def test_the_examples_run_and_tell_good_from_bad(
    good: Build, bad: Build, audited: t.Callable[..., Build], run_module: ModuleRun, tmp_path: Path
) -> None:
    def statuses(build: Build, vulnerable: str) -> list[str]:
        folder = tmp_path / build.project.name
        shutil.copytree(build.reports, folder / "reports")
        checked = audited("idna==3.7\nzope.interface==7.0\n", vulnerable)
        shutil.copy(checked.reports / "pip-audit.json", folder / "reports")
        shutil.copy(checked.project / "requirements.txt", folder)
        (folder / "reports/advisories").mkdir()
        record = {**ADVISORY, "database_specific": {"severity": "CRITICAL"}}
        (folder / "reports/advisories/idna.json").write_text(json.dumps(record))
        Build(folder, {**build.codes, **checked.codes}).state()
        examples = examples_of("check_report", {"/srv/build": str(folder), "min_percent: 80": "min_percent: 60"})
        return [
            run_module("check_report", {**args, "enforce": False})["finding"]["status"] for args in examples.values()
        ]

    assert statuses(good, "") == ["pass"] * 6
    assert statuses(bad, "idna") == ["fail", "pass", "fail", "fail", "fail", "warn"]
