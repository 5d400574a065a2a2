# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CI server reads every finding in its right colour, and a NO-GO is never green."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.plugin_utils.report_junit import render_junit
from ansible_collections.opsready.golive.tests.unit.plugins.plugin_utils import test_report_samples as samples


def tree_of(report: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring("".join(render_junit(report)).encode())  # noqa: S314 - our own output, made above


def of_findings(*findings: dict[str, Any], decision: str = "GO", **verdict: Any) -> ElementTree.Element:
    return tree_of(
        samples.build_report(
            system="s", version="1", verdict={"decision": decision, **verdict}, outcome="checked", findings=findings
        )
    )


def case(tree: ElementTree.Element, name: str) -> ElementTree.Element:
    found = tree.find(f".//testcase[@name='{name}']")
    assert found is not None
    return found


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_the_counts_of_every_suite_are_those_of_its_cases(name: str) -> None:
    tree = tree_of(samples.SAMPLES[name]())
    for suite in [tree, *tree.iter("testsuite")]:
        for attribute, element in (
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            assert int(suite.attrib[attribute]) == sum(1 for _unused in suite.iter(element)), (
                suite.attrib["name"],
                attribute,
            )


def test_there_is_a_suite_per_host_and_a_case_per_item() -> None:
    tree = of_findings(*(samples.finding(item, host=host) for host in ("web-10", "web-2") for item in ("b", "a")))
    suites = {
        suite.attrib["name"]: [c.attrib["name"] for c in suite.iter("testcase")] for suite in tree.iter("testsuite")
    }
    assert suites == {"web-2": ["a", "b"], "web-10": ["a", "b"]}


@pytest.mark.parametrize(
    ("decision", "element"),
    [("fail", "failure"), ("unknown", "error"), ("waived", "skipped"), ("not_applicable", "skipped")],
)
def test_a_decision_that_is_no_pass_becomes(decision: str, element: str) -> None:
    status = "fail" if decision == "waived" else decision
    tree = of_findings(samples.finding("a", status, decision=decision, summary="3 days left.", waiver=samples.WAIVER))
    told = case(tree, "a").find(element)
    assert told is not None
    assert ("Nadia Sørensen" if decision == "waived" else "3 days left.") in told.attrib["message"]


@pytest.mark.parametrize("decision", ["pass", "warn"])
def test_a_pass_and_a_warning_are_green_and_say_which(decision: str) -> None:
    children = list(case(of_findings(samples.finding("a", decision)), "a"))
    assert [child.tag for child in children] == ["system-out"]
    assert (children[0].text or "").startswith(f"{decision}: ")


def test_the_evidence_is_in_system_out() -> None:
    assert '"days": 42' in (case(of_findings(samples.finding("a")), "a").findtext("system-out") or "")


def is_green(tree: ElementTree.Element) -> bool:
    return tree.attrib["failures"] == tree.attrib["errors"] == "0"


def test_a_no_go_is_never_green() -> None:
    assert not is_green(tree_of(samples.empty()))
    assert not is_green(of_findings(samples.finding("a"), decision="NO-GO"))
    assert not is_green(
        of_findings(samples.finding("a"), coverage={"required": ["S1"], "covered": [], "missing": ["S1.36"]})
    )
    never_reported = {
        "id": "b",
        "host": "web-9",
        "status": "unknown",
        "severity": "blocker",
        "summary": "never reported",
        "remedy": "Look at web-9.",
    }
    tree = of_findings(samples.finding("a"), decision="NO-GO", blocking=[never_reported])
    told = [(error.attrib["message"], error.text) for error in case(tree, "b").iter("error")]
    assert told == [("web-9: never reported", "remedy: Look at web-9.")]


def test_a_blocking_item_with_a_finding_is_told_once() -> None:
    found = samples.finding("a", "fail", host="h")
    tree = of_findings(found, decision="NO-GO", blocking=[{"id": "a", "host": "h", "status": "fail", "summary": "no"}])
    assert tree.attrib["tests"] == "1"


def test_a_release_that_was_rolled_back_is_red_with_its_failed_step() -> None:
    tree = tree_of(samples.rolled_back())
    assert case(tree, "smoke").find("failure") is not None
    assert case(tree, "outcome").find("failure") is not None
    assert is_green(tree_of(samples.live()))


@given(st.text(), st.text())
def test_every_text_gives_valid_xml_without_control_characters(first: str, second: str) -> None:
    tree = of_findings(
        samples.finding("a", "fail", host=first, title=second, summary=first, evidence=second, remedy=first)
    )
    whole = "".join(tree.itertext()) + "".join(value for element in tree.iter() for value in element.attrib.values())
    assert not any(ord(char) < 32 and char not in "\t\n" for char in whole)


def test_line_breaks_survive_in_messages() -> None:
    tree = of_findings(samples.finding("a", "fail", summary='one\ntwo & <three> "four"'))
    failure = case(tree, "a").find("failure")
    assert failure is not None
    assert failure.attrib["message"] == 'one\ntwo & <three> "four"'
