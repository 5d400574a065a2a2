# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports as tools and their versions differ in writing them; and what cannot be believed of them."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import report_formats as formats
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer


def junit(body: str, attributes: str = "") -> formats.Tests:
    tests = formats.read_junit(f"<testsuites><testsuite {attributes}>{body}</testsuite></testsuites>".encode()).tests
    assert tests is not None
    return tests


@pytest.mark.parametrize(
    ("body", "attributes", "counts"),
    [
        ("<testcase/><testcase/>", "", (2, 0, 0, 0, 0)),
        ("<testcase><failure/></testcase>", "", (1, 1, 0, 0, 0)),
        ("<testcase><error/></testcase>", "", (1, 0, 1, 0, 0)),
        ("<testcase><failure/><error/></testcase>", "", (1, 0, 1, 0, 0)),
        ("<testcase><skipped/></testcase>", "", (1, 0, 0, 1, 0)),
        ('<testcase status="notrun"/>', "", (1, 0, 0, 1, 0)),
        ('<testcase status="failed"/>', "", (1, 1, 0, 0, 0)),
        ('<testcase status="run"/>', "", (1, 0, 0, 0, 0)),
        ("<testcase><flakyFailure/></testcase>", "", (1, 0, 0, 0, 1)),
        ("<testcase><rerunFailure/><failure/></testcase>", "", (1, 1, 0, 0, 0)),
        ("<testcase><system-out><failure/></system-out></testcase>", "", (1, 0, 0, 0, 0)),
        ("<testsuite><testcase/></testsuite><testsuite><testcase/></testsuite>", 'tests="2"', (2, 0, 0, 0, 0)),
        ("<testcase/>", 'tests="1" errors="1"', (1, 0, 1, 0, 0)),
        ("<testcase/>", 'tests="1" failures="2"', (1, 2, 0, 0, 0)),
        ("<testcase/>", 'tests="many"', (1, 0, 0, 0, 0)),
    ],
)
def test_junits_cases_are_counted(body: str, attributes: str, counts: tuple[int, ...]) -> None:
    tests = junit(body, attributes)
    assert (tests.total, tests.failures, tests.errors, tests.skipped, tests.flaky) == counts


def test_junit_that_declares_more_than_it_holds_is_doubted() -> None:
    for text in ('<testsuites tests="3"><testsuite><testcase/></testsuite></testsuites>', '<testsuite tests="3"/>'):
        assert "it declares 3 tests" in formats.read_junit(text.encode()).doubts[0]
    both = '<testsuites tests="2"><testsuite tests="1"><testcase/></testsuite><testsuite tests="1"><testcase/></testsuite></testsuites>'
    assert formats.read_junit(both.encode()).doubts == ()


def test_the_oldest_of_several_suites_counts() -> None:
    text = '<testsuites><testsuite timestamp="2026-01-02T00:00:00"/><testsuite timestamp="2026-01-01T00:00:00.5+00:00"/></testsuites>'
    made_at = formats.read_junit(text.encode()).made_at
    assert made_at is not None and made_at.isoformat() == "2026-01-01T00:00:00.500000+00:00"


def cobertura(attributes: str, lines: str = "") -> formats.Report:
    classes = f"<packages><package><classes><class><lines>{lines}</lines></class></classes></package></packages>"
    return formats.read_cobertura(f"<coverage {attributes}>{classes if lines else ''}</coverage>".encode())


@pytest.mark.parametrize(
    ("attributes", "lines", "counted"),
    [
        ('line-rate="0.8" lines-covered="79996" lines-valid="100000"', "", (79996, 100000)),
        ('line-rate="1" lines-covered="0" lines-valid="0"', "", (0, 0)),
        ('line-rate="0.5"', '<line hits="1"/><line hits="0"/>', (1, 2)),
        ('line-rate="1"', "", (0, 0)),
        ('line-rate="1" lines-covered="2" lines-valid="2"', '<line hits="1"/><line hits="0"/>', (1, 2)),
        ('line-rate="0" lines-covered="0" lines-valid="2"', '<line hits="1"/><line hits="1"/>', (0, 2)),
        ('line-rate="1"', '<line hits="99999999999999"/>', (1, 1)),
        ('line-rate="1"', '<line hits="-1"/>', (0, 1)),
    ],
)
def test_coberturas_lines_are_counted_and_the_worse_counts(
    attributes: str, lines: str, counted: tuple[int, int]
) -> None:
    coverage = cobertura(attributes, lines).coverage
    assert coverage is not None and (coverage.covered_lines, coverage.lines) == counted


def test_coberturas_time_is_in_milliseconds_or_seconds() -> None:
    times = {cobertura(f'line-rate="1" timestamp="{stamp}"').made_at for stamp in ("1763789000000", "1763789000")}
    assert [moment.isoformat() for moment in times if moment] == ["2025-11-22T05:23:20+00:00"]
    assert cobertura('line-rate="1" timestamp="yesterday"').made_at is None


@pytest.mark.parametrize("body", ["<coverage/>", "<report/>", '<coverage clover="4.0" generated="1"/>'])
def test_other_xml_is_no_cobertura(body: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        formats.read_cobertura(body.encode())


def sarif(*results: t.Any, **run: t.Any) -> formats.Report:
    rules = [
        {"id": "R0"},
        {"id": "R1", "defaultConfiguration": {"level": "note"}},
        {"id": "R2", "properties": {"security-severity": "9.1"}},
    ]
    whole = {"tool": {"driver": {"name": "tool", "version": "1", "rules": rules}}, "results": list(results), **run}
    return formats.read_sarif(json.dumps({"version": "2.1.0", "runs": [whole]}).encode())


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({"ruleId": "R0", "level": "error"}, [("R0", "high")]),
        ({"ruleId": "R0"}, [("R0", "medium")]),
        ({"ruleId": "R1"}, [("R1", "low")]),
        ({"ruleIndex": 1}, [("R1", "low")]),
        ({"rule": {"id": "R1"}}, [("R1", "low")]),
        ({"ruleId": "R2", "level": "note"}, [("R2", "critical")]),
        ({"ruleId": "R0", "level": "strange"}, [("R0", "high")]),
        ({}, [("?", "medium")]),
        ({"ruleId": "R0", "kind": "pass"}, []),
        ({"ruleId": "R0", "suppressions": [{"kind": "inSource"}]}, []),
        ({"ruleId": "R0", "suppressions": [{"kind": "external", "status": "rejected"}]}, [("R0", "medium")]),
        ({"ruleId": "R0", "suppressions": []}, [("R0", "medium")]),
        ({"ruleId": "R0", "baselineState": "absent"}, []),
        ({"ruleId": "R0", "baselineState": "unchanged"}, [("R0", "medium")]),
    ],
)
def test_which_sarif_results_count_and_how_much(result: dict[str, t.Any], found: list[tuple[str, str]]) -> None:
    assert [(entry.rule, entry.severity) for entry in sarif(result).findings] == found


def test_sarif_of_a_run_without_results_or_without_success_is_doubted() -> None:
    assert "no results at all" in sarif(results=None).doubts[0]
    assert "did not run to its end" in sarif(invocations=[{"executionSuccessful": False}]).doubts[0]
    assert sarif(invocations=[{"executionSuccessful": True}]).doubts == ()
    assert sarif(versionControlProvenance=[{"revisionId": "abc"}]).commits == ("abc",)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"version": "2.0.0", "runs": [{}]},
        {"version": "2.1.0", "runs": []},
        {"version": "2.1.0", "runs": None},
    ],
)
def test_sarif_of_another_version_or_of_no_run_is_refused(document: t.Any) -> None:
    with pytest.raises(UnexpectedAnswer):
        formats.read_sarif(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("text", "looked_at", "rules", "doubts"),
    [
        ("Success: no issues found in 12 source files\n", 12, [], 0),
        ("\x1b[1m\x1b[32mSuccess: no issues found in 1 source file\x1b[m\n", 1, [], 0),
        ("a.py:1: error: Bad  [attr-defined]\na.py:2: note: See\nFound 1 error in 1 file (checked 3 source files)\n", 3, ["attr-defined"], 0),
        ("a.py:1:5: error: Bad\nFound 1 error in 1 file (errors prevented further checking)\n", 1, ["?"], 0),
        ("C:\\ä.py:1: error: Bad [x]  [misc]\n", None, ["misc"], 1),
        ("Found 3 errors in 1 file (checked 3 source files)\n", 3, ["?", "?", "?"], 0),
        ("mypy: can't read file 'x': No such file\n", None, [], 2),
        ("a.py: error: INTERNAL ERROR -- Please try\n", None, [], 2),
        ("", None, [], 0),
        ("\n", None, [], 0),
        ('{"file": "a.py", "line": 1, "code": "misc", "severity": "error"}\n{"file": "a.py", "line": 1, "severity": "note"}\n', None, ["misc"], 0),
    ],
)  # fmt: skip
def test_mypys_output_in_its_versions(text: str, looked_at: int | None, rules: list[str], doubts: int) -> None:
    report = formats.read_mypy(text.encode())
    assert (report.looked_at, [found.rule for found in report.findings], len(report.doubts)) == (
        looked_at,
        rules,
        doubts,
    )


@pytest.mark.parametrize(
    ("text", "looked_at", "places", "doubts"),
    [
        ("4 files already formatted\n", 4, [], 0),
        ("4 files left unchanged\n", 4, [], 0),
        ("Would reformat: a b.py\n1 file would be reformatted, 3 files already formatted\n", 4, ["a b.py"], 0),
        ("unformatted: File would be reformatted\n --> a.py:2:1\n  |\n\n1 file would be reformatted\n", 1, ["a.py"], 0),
        ("2 files would be reformatted\n", 2, ["not listed", "not listed"], 0),
        ("error: Failed to parse a.py:1:1\n1 file already formatted\n", 1, [], 1),
        ("Would reformat: a.py\n", None, ["a.py"], 1),
        ("", None, [], 0),
        ('[{"code": "unformatted", "filename": "a.py", "location": {"row": 2}}]', None, ["a.py:2"], 0),
    ],
)
def test_ruff_formats_output_in_its_versions(text: str, looked_at: int | None, places: list[str], doubts: int) -> None:
    report = formats.read_ruff_format(text.encode())
    assert (report.looked_at, [found.place for found in report.findings], len(report.doubts)) == (
        looked_at,
        places,
        doubts,
    )


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("[]", []),
        ('[{"filename": "a.py", "code": null}]', ["invalid-syntax"]),
        ('{"filename": "a.py", "code": "E1"}\n{"filename": "b.py", "code": "E2"}\n', ["E1", "E2"]),
        ("", []),
    ],
)
def test_ruffs_json_in_its_versions(text: str, rules: list[str]) -> None:
    assert [found.rule for found in formats.read_ruff(text.encode()).findings] == rules


def test_bandits_unread_files_and_undefined_severities_are_not_lost() -> None:
    document = {
        "errors": [{"filename": "a.py", "reason": "syntax error"}],
        "metrics": {"_totals": {"loc": 7}},
        "results": [
            {
                "test_id": "B1",
                "filename": "b.py",
                "line_number": 3,
                "issue_severity": "UNDEFINED",
                "issue_confidence": "LOW",
            }
        ],
    }
    report = formats.read_bandit(json.dumps(document).encode())
    assert (report.not_judged, report.looked_at) == (("a.py (syntax error)",), 7)
    assert report.findings == (formats.Found("B1", "b.py:3", "high", "low"),)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_coverage_is_exact(covered: int, lines: int) -> None:
    coverage = formats.Coverage(min(covered, lines), lines)
    assert coverage.percent() * lines == 100 * min(covered, lines)


FRAGMENTS = st.lists(
    st.sampled_from(
        ["<testsuite>", "</testsuite>", "<testcase/>", "<coverage line-rate='1'>", "</coverage>", "{", "}", "[", "]", ":", ",",
         '"results"', '"runs"', '"version"', '"2.1.0"', '"metrics"', '"filename"', "null", "1", "Success: no issues found in 1 source file",
         "\n", "a.py:1: error: x", "\x00", "ä"]
    )
)  # fmt: skip


@given(FRAGMENTS, st.sampled_from(sorted(formats.READERS)))
def test_any_text_is_read_or_refused_in_one_way(parts: list[str], kind: str) -> None:
    with contextlib.suppress(UnexpectedAnswer):
        report = formats.READERS[kind]("".join(parts).encode())
        assert not (report.looked_at and report.findings and report.unit == "tests")


@given(st.binary(), st.sampled_from(sorted(formats.READERS)))
def test_any_octets_are_read_or_refused_in_one_way(octets: bytes, kind: str) -> None:
    with contextlib.suppress(UnexpectedAnswer):
        formats.READERS[kind](octets)
