# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML report is one well-formed file without assets, says the verdict first, and no text in it becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.plugin_utils import report_html
from ansible_collections.opsready.golive.plugins.plugin_utils.report_html import escape, render_html
from ansible_collections.opsready.golive.tests.unit.plugins.plugin_utils import test_report_samples as samples

VOID = {"meta", "input", "br", "option"}


class Outline(HTMLParser):
    """The elements of a page, their text, and every end tag that does not close what is open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.mismatched: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "option":
            return
        if not self._open or self._open.pop() != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def unclosed(self) -> list[str]:
        return self._open


def page_of(report: dict[str, Any]) -> str:
    return "".join(render_html(report))


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_sample_is_well_formed_and_has_no_asset_and_no_handler(name: str) -> None:
    page = page_of(samples.SAMPLES[name]())
    outline = Outline(page)
    assert (outline.mismatched, outline.unclosed) == ([], [])
    assert {"img", "link", "iframe", "object", "base"}.isdisjoint(outline.tags)
    assert outline.tags.count("script") == 1
    assert [
        attribute for attribute in outline.attributes if attribute[1].startswith("on") or attribute[1] == "src"
    ] == []
    assert all(value.startswith("#") for _unused, attribute, value in outline.attributes if attribute == "href")
    assert "url(" not in page
    assert "@import" not in page
    identities = [value for _unused, attribute, value in outline.attributes if attribute == "id"]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_link_leads_somewhere(name: str) -> None:
    outline = Outline(page_of(samples.SAMPLES[name]()))
    identities = {value for _unused, attribute, value in outline.attributes if attribute == "id"}
    assert {value[1:] for _unused, attribute, value in outline.attributes if attribute == "href"} <= identities


def test_the_policy_allows_exactly_the_one_script() -> None:
    page = page_of(samples.live())
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_the_verdict_comes_before_everything_else_and_what_blocks_comes_next() -> None:
    text = " ".join(Outline(page_of(samples.no_go())).text)
    order = [
        text.index(part)
        for part in ("NO-GO", "Nothing was changed.", "What blocks", "certificate of archive", "of 36 pass")
    ]
    assert order == sorted(order)


def test_a_release_that_was_rolled_back_does_not_open_with_go() -> None:
    page = page_of(samples.rolled_back())
    assert re.search(
        r'<h1><span class="first">Rolled back</span> <span class="second">GO WITH WARNINGS</span> '
        r'<span class="waited">over budget</span></h1>',
        page,
    )
    assert "Where it stopped" in page
    assert "answered 500" in page


def test_each_blocking_item_shows_its_remedy_and_links_to_its_finding() -> None:
    page = page_of(samples.no_go())
    blocks = page.split('id="blocks"')[1].split("</section>")[0]
    assert "<b>Do</b> Renew the certificate: certbot renew --cert-name archive.example.org." in blocks
    anchor = re.search(r'<a href="#(f\d+)"><code>tls-public</code></a>', page)
    assert anchor
    assert re.search(rf'<li id="{anchor.group(1)}" [^>]*data-i="tls-public S1.21 S0.9"', page)


def test_a_command_in_a_remedy_is_code() -> None:
    report = samples.no_go()
    report["findings"][0].update(remedy="Then: `sign_off -e \"a='<b>'\"`, or `wait")
    page = page_of(report)
    assert "Then: <code>sign_off -e &quot;a=&#39;&lt;b&gt;&#39;&quot;</code>, or `wait" in page


def test_what_nobody_covers_is_told_where_the_blocking_items_are() -> None:
    blocks = page_of(samples.no_go()).split('id="blocks"')[1].split("</section>")[0]
    assert "1 required item is covered by no check and no sign-off" in blocks
    assert "S1.36" in blocks


def test_what_the_release_serves_by_doing_it_stands_with_the_coverage() -> None:
    page = page_of(samples.live())
    assert "<dt>By the step fence</dt><dd><code>S1.33</code>, <code>S1.34</code></dd>" in page


def test_the_downtime_is_marked_on_every_step_and_told_in_figures() -> None:
    page = page_of(samples.live())
    first, enlarged = page.split('<ol class="steps">')[1:]
    assert first.count('<i class="down"') == first.count('class="track"') == len(samples.STEPS)
    assert enlarged.count('class="track"') < len(samples.STEPS)
    assert "22.6 s<small> of 60.0 s</small>" in page
    assert "within the budget" in page


def _with_downtime(**changes: Any) -> dict[str, Any]:
    report = samples.live()
    report["release"]["downtime"].update(changes)
    return report


def test_over_the_budget_is_in_the_headline_the_title_and_the_colour() -> None:
    calm, late = page_of(_with_downtime()), page_of(_with_downtime(seconds=71.3, verdict="over budget"))
    headline = '<span class="second">live</span> <span class="waited">over budget</span></h1>'
    assert (headline in calm, headline in late) == (False, True)
    assert "<title>GO WITH WARNINGS, live, over budget: ablage 2.0.0</title>" in late
    assert "11.3 s over the budget" in late
    assert '<body class="pass">' in page_of({**_with_downtime(), "verdict": samples.verdict()})
    quiet = {**_with_downtime(verdict="over budget"), "verdict": samples.verdict()}
    assert '<body class="warn">' in page_of(quiet)


def test_seconds_that_nobody_measured_are_told_and_never_within_the_budget() -> None:
    page = page_of(_with_downtime(seconds=12.0, unknown_seconds=106.0, verdict="unknown"))
    assert "within the budget" not in page.replace("whether it was within the budget is not known", "")
    assert "whether it was within the budget is not known" in page
    assert "1 min 46 s unknown" in page
    assert '<span class="waited">downtime not known</span>' in page
    assert '<div class="tile unknown"><dt>Downtime' in page


def test_without_a_budget_the_tile_says_so() -> None:
    report = samples.live()
    assert "no budget was given" not in page_of(report)
    report["release"]["downtime"].update(budget_seconds=None, verdict=None)
    page = page_of(report)
    assert "no budget was given" in page
    assert "within the budget" not in page


def test_a_downtime_that_was_measured_later_says_so_and_that_of_the_release_does_not() -> None:
    report = samples.live()
    assert "measured only" not in page_of(report)
    report["release"]["downtime"]["since"] = "2026-11-25T01:00:00Z"
    assert "measured only since 2026-11-25 01:00:00 UTC" in page_of(report)


def test_the_point_of_no_return_stands_before_its_step() -> None:
    page = page_of(samples.live())
    assert re.search(r'class="turn">.{0,80}</li>\n<li class="done"><span class="name">Maintenance off', page)


def test_the_steps_of_a_rollback_stand_below_their_own_line() -> None:
    report = samples.rolled_back()
    again = {"name": "maintenance_off", "title": "Maintenance off", "phase": "rollback", "status": "done", "seconds": 1}
    report["release"]["steps"].append(again)
    page = page_of(report)
    assert page.count("<span>rollback</span>") == page.count("<span>point of no return</span>") == 1


def test_a_rollback_that_began_before_the_point_of_no_return_does_not_show_it() -> None:
    report = samples.rolled_back()
    forward = [step for step in report["release"]["steps"] if step["status"] != "skipped"]
    back = {"name": "maintenance_off", "title": "Maintenance off", "phase": "rollback", "status": "done", "seconds": 1}
    report["release"]["steps"] = [*forward, back]
    page = page_of(report)
    assert "<span>rollback</span>" in page
    assert "<span>point of no return</span>" not in page


def test_a_check_run_names_what_must_hold() -> None:
    text = " ".join(Outline(page_of(samples.checked())).text)
    assert "GO if this one holds" in text
    assert "leaves an object behind" in text


def test_a_verdict_over_nothing_says_that_it_is_no_pass() -> None:
    page = page_of(samples.empty())
    assert "Nothing judged is not a pass." in page
    assert "There are no findings." in page


def test_findings_that_were_not_kept_are_told_where_the_list_is() -> None:
    report = samples.live()
    assert "not kept with the release" not in page_of(report)
    report["verdict"]["counts"]["pass"] += 9
    assert "9 more were judged, and not kept with the release." in page_of(report)


def test_an_unverified_backup_is_told_in_words() -> None:
    report = samples.live()
    report["release"]["backup"]["verified"] = None
    assert "nothing: it was not restored" in page_of(report)


def test_a_release_record_with_nothing_in_it_renders() -> None:
    report = {**samples.live(), "release": {"id": "r", "steps": [], "backup": None, "downtime": None, "drain": None}}
    outline = Outline(page_of(report))
    assert (outline.mismatched, outline.unclosed) == ([], [])


@given(st.text(), st.text(), st.text())
@example("`<b>` and `<i>`", "", "")
def test_no_text_becomes_markup(title: str, summary: str, evidence: str) -> None:
    found = samples.finding("a", "fail", title=title, summary=summary, evidence={"raw": evidence}, remedy=title)
    report = samples.build_report(
        system=title, version=summary, verdict={"decision": "GO"}, outcome="checked", findings=[found]
    )
    plain = samples.build_report(
        system="s",
        version="v",
        verdict={"decision": "GO"},
        outcome="checked",
        findings=[samples.finding("a", "fail", remedy="r")],
    )
    # Empty texts leave their element out, so the plain page is the upper bound.
    allowed, made = Outline(page_of(plain)), Outline(page_of(report))
    assert (made.mismatched, made.unclosed) == ([], [])
    # What the remedy and the outcome's sentence have between backticks is code, and nothing but text.
    spans = {"code": title.count("`") // 2 + f"{title} {summary}".count("`") // 2}
    assert all(made.tags.count(tag) <= allowed.tags.count(tag) + spans.get(tag, 0) for tag in set(made.tags))


def test_escape_leaves_no_quote_and_no_angle() -> None:
    assert escape("<a b='c' d=\"e\">&\x00") == "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;\ufffd"


def test_very_many_findings_fold_what_reads_the_same_and_keep_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_html, "FULL_DETAIL_FINDINGS", 100)
    report = samples.fleet(hosts=40, items=10)
    page = page_of(report)
    outline = Outline(page)
    assert (outline.mismatched, outline.unclosed) == ([], [])
    passing = [finding for finding in report["findings"] if finding["status"] == "pass"]
    assert page.count('data-s="pass"') == len({finding["id"] for finding in passing})
    rows = page.split('<ul class="rows"')[1:]
    assert sum(row.count("<li><b>") + row.count('class="where">web-') for row in rows) == len(report["findings"])
    for status in ("fail", "warn"):
        sentences = {(f["id"], f["summary"]) for f in report["findings"] if f["status"] == status}
        assert page.count(f'data-s="{status}"') == len(sentences)


def test_the_pieces_stay_small_however_many_findings_there_are() -> None:
    report = samples.fleet(hosts=15, items=100)
    assert max(len(piece) for piece in render_html(report)) < 300_000


def test_each_criterion_stands_in_a_line_with_what_was_expected_and_measured() -> None:
    report = samples.no_go()
    report["findings"][0].update(
        expected={"days left": "at least 30 days", "key": "matches"}, measured={"days left": 3}
    )
    page = page_of(report)
    assert (
        '<td data-l="Criterion">days left</td><td data-l="Expected">at least 30 days</td><td data-l="Measured">3</td>'
        in page
    )
    assert '<td data-l="Criterion">key</td><td data-l="Expected">matches</td><td data-l="Measured">–</td>' in page
    report["findings"][0].update(expected={}, measured={})
    assert "<dd>{}</dd>" not in page_of(report)


def test_the_ways_out_are_the_first_thing_below_where_it_stopped() -> None:
    report = samples.rolled_back()
    assert "Ways out" not in page_of(report)
    report["release"]["way_out"] = ["ansible-playbook opsready.golive.abort -e golive_takeover=r1 <x>"]
    page = page_of(report)
    assert "<li><code>ansible-playbook opsready.golive.abort -e golive_takeover=r1 &lt;x&gt;</code></li>" in page
    assert page.index("Where it stopped<") < page.index("Ways out<") < page.index(">Time line</h2>")


def test_what_was_changed_since_the_last_go_is_told_beside_what_was_loosened() -> None:
    page = page_of(samples.live())
    assert page.index(">Loosened<") < page.index(">Changed<") < page.index("https://b.example.org/")
    assert ">Changed<" not in page_of(samples.no_go())
