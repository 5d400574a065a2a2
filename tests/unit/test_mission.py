# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How "served" is counted: both cases ran and held, and no test claims what is no item."""

from __future__ import annotations

import re
import typing as t

import pytest

from tests.mission.served import BadMark, Claim, Collector, Row, as_markdown, claims_of, counted, rows

ITEMS = [
    Row("S1.1", "tests | pass", "check_report"),
    Row("S1.2", "coverage", "check_report (xml|json)"),
    Row("S2.1", "x", "report"),
]


def claim(identity: str, case: str, **more: t.Any) -> Claim:
    return Claim(**{"id": identity, "case": case, "stand_in": "", "held": True, "test": "a test", **more})


def test_all_written_items_are_known_once() -> None:
    items = rows()
    assert len({row.id for row in items}) == len(items) == 433
    assert counted(items, [])["S1"]["total"] == 77


@pytest.mark.parametrize(
    ("claims", "served", "on_stand_in"),
    [
        ([], 0, []),
        ([claim("S1.1", "pass")], 0, []),
        ([claim("S1.1", "fail")], 0, []),
        ([claim("S1.1", "pass"), claim("S1.2", "fail")], 0, []),
        ([claim("S1.1", "pass"), claim("S1.1", "fail")], 1, []),
        ([claim("S1.1", "pass"), claim("S1.1", "fail", held=False)], 0, []),
        ([claim("S1.1", "pass"), claim("S1.1", "fail"), claim("S1.1", "pass", held=False)], 0, []),
        ([claim("S1.1", "pass", stand_in="NVML stub"), claim("S1.1", "fail")], 1, ["S1.1"]),
    ],
)
def test_an_item_is_served_by_both_cases_that_held(claims: list[Claim], served: int, on_stand_in: list[str]) -> None:
    counts = counted(ITEMS, claims)["S1"]
    assert (counts["served"], counts["on_stand_in"], counts["total"]) == (served, on_stand_in, 2)
    assert len(counts["missing"]) == 2 - served
    assert counted(ITEMS, claims)["S2"] == {"total": 1, "served": 0, "on_stand_in": [], "missing": ["S2.1"]}


def test_the_page_lists_every_item() -> None:
    page = as_markdown(ITEMS, [claim("S1.1", "pass", stand_in="NVML stub"), claim("S1.1", "fail")])
    assert "| S1.1 | tests \\| pass | check_report | on a stand-in: NVML stub | a test |" in page
    assert "| S1.2 | coverage | check_report (xml\\|json) |  |  |" in page
    assert "| S1 | 2 | 1 | 1 |" in page
    assert {
        len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith(("| id", "| S1."))
    } == {6}


def test_the_page_names_each_test_of_an_item_once() -> None:
    tests = [
        "tests/integration/test_x.py::test_b[a/b|c]",
        "tests/integration/test_x.py::test_b[d]",
        "tests/unit/test_a.py::test_a",
    ]
    page = as_markdown(ITEMS, [claim("S1.1", "pass", test=test) for test in tests])
    assert "| S1.1 | tests \\| pass | check_report |  | test_a.py::test_a<br>test_x.py::test_b |" in page


@pytest.mark.parametrize(
    "mark",
    [
        pytest.mark.serves("S1.1"),
        pytest.mark.serves("S1.1", case="maybe"),
        pytest.mark.serves(case="pass"),
        pytest.mark.serves("S9.1", case="pass"),
        pytest.mark.serves("S1.1", case="pass", by="me"),
    ],
)
def test_a_mark_that_claims_nothing_known_is_refused(mark: pytest.MarkDecorator) -> None:
    with pytest.raises(BadMark):
        claims_of([mark.mark], {row.id for row in ITEMS})


@pytest.mark.parametrize(("when", "outcome", "kept"), [
    ("call", "passed", [True]), ("call", "failed", [False]), ("setup", "failed", [False]), ("setup", "passed", []),
    ("setup", "skipped", []), ("teardown", "passed", []), ("teardown", "failed", [False]), ("call", "skipped", [False]),
])  # fmt: skip
def test_only_what_ran_to_its_end_held(when: t.Any, outcome: t.Any, kept: list[bool]) -> None:
    collector = Collector()
    claims = claims_of([pytest.mark.serves("S1.1", case="pass").mark], {"S1.1"})
    report = pytest.TestReport("a test", ("", 0, ""), {}, outcome, None, when, user_properties=[("serves", claims)])
    collector.pytest_runtest_logreport(report)
    assert [one.held for one in collector.claims] == kept
