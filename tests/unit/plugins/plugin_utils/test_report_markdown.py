# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown report is the written checklist, ticked only where everything passed; no text leaves its line."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ansible_collections.opsready.golive.plugins.plugin_utils.report_markdown import (
    code,
    escape,
    prose,
    render_markdown,
)
from ansible_collections.opsready.golive.tests.unit.plugins.plugin_utils import test_report_samples as samples

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


def markdown_of(report: dict[str, Any]) -> str:
    return "".join(render_markdown(report))


def of_findings(*findings: dict[str, Any], **verdict: Any) -> str:
    return markdown_of(
        samples.build_report(
            system="s", version="1", verdict={"decision": "GO", **verdict}, outcome="checked", findings=findings
        )
    )


def tick(text: str, item: str) -> str:
    found = re.search(rf"^- \[(.)\] \*\*{re.escape(item)}\*\*", text, re.MULTILINE)
    assert found, item
    return found.group(1)


def test_the_first_line_is_the_verdict_and_the_outcome() -> None:
    assert markdown_of(samples.live()).startswith("# GO WITH WARNINGS, live: ablage 2.0.0\n")
    assert markdown_of(samples.rolled_back()).startswith("# GO WITH WARNINGS, rolled back, over budget: ablage 2.0.0\n")


def test_what_blocks_says_what_to_do_below_it() -> None:
    blocks = markdown_of(samples.no_go()).split("## What blocks")[1].split("## ")[0]
    assert "\n  - do: Renew the certificate: certbot renew --cert-name archive.example.org.\n" in blocks


@pytest.mark.parametrize("decision", ["fail", "unknown", "warn", "waived", "not_applicable"])
def test_only_a_pass_ticks_an_item(decision: str) -> None:
    status = "fail" if decision == "waived" else decision
    text = of_findings(
        samples.finding("a", satisfies=["S1.1"]),
        samples.finding("b", status, decision=decision, satisfies=["S1.2"]),
    )
    assert (tick(text, "S1.1"), tick(text, "S1.2")) == ("x", " ")
    assert "## Checklist S1: 1 of 2 ticked" in text


def test_an_item_is_ticked_only_when_every_host_that_it_concerns_passes() -> None:
    mixed = of_findings(
        samples.finding("a", host="web-1", satisfies=["S1.1"]),
        samples.finding("a", "fail", host="web-2", satisfies=["S1.1"]),
    )
    assert tick(mixed, "S1.1") == " "
    assert "(**fail**)" in mixed
    partly = of_findings(
        samples.finding("a", host="web-1", satisfies=["S1.1"]),
        samples.finding("a", "not_applicable", host="web-2", satisfies=["S1.1"]),
    )
    assert tick(partly, "S1.1") == "x"


def test_a_finding_that_serves_several_checklists_ticks_in_each() -> None:
    text = of_findings(samples.finding("tls", satisfies=["S1.21", "S0.9"]))
    assert [tick(text, item) for item in ("S0.9", "S1.21")] == ["x", "x"]
    assert text.index("## Checklist S0") < text.index("## Checklist S1")


def test_a_required_item_without_a_finding_stands_unticked_in_its_checklist() -> None:
    text = of_findings(coverage={"required": ["S1"], "covered": [], "missing": ["S1.36"]})
    assert tick(text, "S1.36") == " "
    assert "## Checklist S1: 0 of 1 ticked" in text


@pytest.mark.parametrize(
    ("status", "finding", "box"),
    [
        ("done", "pass", "x"),
        ("done", None, "x"),
        ("done", "fail", " "),
        ("undone", "pass", " "),
        ("failed", None, " "),
        (None, "pass", " "),  # the release never came to it
    ],
)
def test_what_a_step_serves_is_ticked_when_it_is_done(status: str | None, finding: str | None, box: str) -> None:
    report = samples.live()
    report["verdict"]["coverage"]["by_steps"] = {"backup": ["S9.10"]}
    report["release"]["steps"] = [
        {**step, "status": status} if step["name"] == "backup" else step
        for step in report["release"]["steps"]
        if status or step["name"] != "backup"
    ]
    if finding:
        report["findings"].append(samples.finding("store", finding, satisfies=["S9.10"]))
    text = markdown_of(report)
    assert tick(text, "S9.10") == box
    assert f"- {status or 'not done'} by the release (`backup`)" in text


def test_an_item_of_no_checklist_is_listed_by_its_own_id() -> None:
    assert tick(of_findings(samples.finding("extra")), "extra") == "x"


def test_evidence_stands_below_its_tick_and_is_bounded() -> None:
    text = of_findings(samples.finding("a", evidence={"raw": "x" * 5_000}, satisfies=["S1.1"]))
    line = next(line for line in text.splitlines() if "evidence:" in line)
    assert len(line) < 400
    assert "more characters in report.json" in line


def test_of_very_many_hosts_only_those_that_do_not_pass_get_a_line() -> None:
    findings = [samples.finding("a", host=f"web-{number}", satisfies=["S1.1"]) for number in range(500)]
    findings[7] = {**findings[7], "status": "fail", "decision": "fail", "summary": "2 days left."}
    text = of_findings(*findings)
    section = text.split("## Checklist S1")[1].split("\n## ")[0]
    assert "pass on 499 hosts" in section
    assert "fail on web-7 (`a`): 2 days left." in section
    assert len(section.splitlines()) < 20


def test_a_downtime_that_was_measured_later_says_so() -> None:
    report = samples.live()
    assert "Measured only" not in markdown_of(report)
    report["release"]["downtime"]["since"] = "2026-11-25T01:00:00Z"
    assert "| Measured only | since 2026-11-25 01:00:00 UTC |" in markdown_of(report)


def test_downtime_backup_waivers_and_sign_offs_are_tables() -> None:
    tokens = MARKDOWN.parse(markdown_of(samples.live()))
    assert sum(token.type == "table_open" for token in tokens) == 7
    text = markdown_of(samples.live())
    for told in ("22.6 s", "17.9 MiB", "Nadia Sørensen", "Jörg Weiß", "2026-12-15"):
        assert told in text


def test_without_a_budget_that_is_said_and_nothing_is_judged() -> None:
    report = samples.live()
    report["release"]["downtime"].update(budget_seconds=None, verdict=None)
    text = markdown_of(report)
    assert re.search(r"Budget\W+none was given", text)
    assert "within budget" not in text


def test_a_downtime_with_unknown_seconds_is_not_called_within_the_budget() -> None:
    report = samples.live()
    assert "| Verdict | within the budget |" in markdown_of(report)
    report["release"]["downtime"].update(seconds=12.0, unknown_seconds=106.0, verdict="unknown")
    text = markdown_of(report)
    assert text.startswith("# GO WITH WARNINGS, live, downtime not known: ablage 2.0.0\n")
    assert "| Verdict | whether it was within the budget is not known |" in text
    assert "| Unknown | 1 min 46 s |" in text


COMMAND = "ansible-playbook opsready.golive.sign_off <-i and -e @files> -e signed_item=a_b -e \"signed_by='<name>'\""


def test_a_command_can_be_copied_as_it_is() -> None:
    remedy = f"Read it, then: `{COMMAND}`. It needs golive_takeover=r1_2, *not* a <b>."
    text = of_findings(samples.finding("a", "fail", remedy=remedy, satisfies=["S1.1"]))
    line = next(line for line in text.splitlines() if "remedy:" in line)
    assert f"then: `{COMMAND}`. It needs golive_takeover=r1_2, " in line
    assert line.endswith("\\*not\\* a \\<b\\>.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`a|b` and a|b", "`a|b` and a\\|b"),
        ("a `` `x` `` b_", "a `` `x` `` b\\_"),
        ("an `open one", "an \\`open one"),
        ("` `", "\\` \\`"),
        ("__a__ b_c_d _e_", "\\_\\_a\\_\\_ b_c_d \\_e\\_"),
    ],
)
def test_only_what_would_be_markup_is_escaped(text: str, shown: str) -> None:
    assert prose(text) == shown


@given(st.text(alphabet="`|ab\\_ *", min_size=1))
def test_in_a_table_code_keeps_its_cell(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {prose(text, in_table=True)} | c |\n"
    tokens = MARKDOWN.parse(table)
    assert [token.content for token in tokens if token.type == "inline"][-1] == "c"
    assert sum(token.type == "td_open" for token in tokens) == 2


@given(st.text(alphabet="`ab_* \\", min_size=1))
def test_prose_reads_as_what_went_in(text: str) -> None:
    children = MARKDOWN.parse(f"x{prose(text)}")[1].children or []
    assert {child.type for child in children} <= {"text", "text_special", "code_inline"}


@given(st.text(min_size=1))
def test_no_text_becomes_markup_or_leaves_its_line(text: str) -> None:
    made = of_findings(
        samples.finding("a", "fail", title=text, summary=text, remedy=text, evidence=text, satisfies=["S1.1"])
    )
    plain = of_findings(
        samples.finding("a", "fail", title="t", summary="t", remedy="t", evidence="t", satisfies=["S1.1"])
    )

    def shape(markdown: str) -> list[str]:
        inline = [child.type for token in MARKDOWN.parse(markdown) for child in token.children or []]
        return sorted(set(inline) | {token.type for token in MARKDOWN.parse(markdown)})

    assert set(shape(made)) <= set(shape(plain))


@given(st.text())
def test_a_code_span_gives_back_what_went_in(text: str) -> None:
    span = code(text)
    if span:
        children = MARKDOWN.parse(f"x {span} y")[0 + 1].children or []
        assert [child.type for child in children] == ["text", "code_inline", "text"]


def test_a_cell_cannot_end_its_row() -> None:
    assert escape("a | b\nc") == "a \\| b c"


def test_the_hostile_sample_has_the_same_tables_as_the_plain_one() -> None:
    count = [
        sum(token.type in ("table_open", "tr_open", "td_open") for token in MARKDOWN.parse(markdown_of(report)))
        for report in (samples.live(), samples.hostile())
    ]
    assert count[0] == count[1]


def test_ways_out_and_changes_are_told() -> None:
    report = samples.rolled_back()
    report["release"]["way_out"] = ["ansible-playbook opsready.golive.abort -e golive_takeover=r1"]
    assert "## Ways out\n\n- `ansible-playbook opsready.golive.abort -e golive_takeover=r1`" in "".join(
        render_markdown(report)
    )
    assert "Changed since the last GO" in "".join(render_markdown(samples.live()))
