# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report is built in a fixed order, refuses what it does not know, and reaches the disk whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.plugin_utils import report_model as model
from ansible_collections.opsready.golive.tests.unit.plugins.plugin_utils import test_report_samples as samples


def build(**parts: Any) -> dict[str, Any]:
    given_parts = {"system": "s", "version": "1", "verdict": {"decision": "GO"}, "outcome": "checked", "findings": []}
    return model.build_report(**{**given_parts, **parts})


def test_findings_are_sorted_by_item_and_host_in_natural_order() -> None:
    wanted = [("S1.2", "web-2"), ("S1.2", "web-10"), ("S1.10", "web-1")]
    report = build(findings=[samples.finding(item, host=host) for item, host in reversed(wanted)])
    assert [(finding["id"], finding["host"]) for finding in report["findings"]] == wanted


def test_a_finding_without_a_decision_keeps_its_status_and_the_input_is_not_changed() -> None:
    found = {"id": "a", "host": "h", "status": "unknown"}
    assert build(findings=[found])["findings"][0]["decision"] == "unknown"
    assert found == {"id": "a", "host": "h", "status": "unknown"}


def test_the_counts_are_those_of_the_listed_findings_whatever_the_verdict_had_counted() -> None:
    findings = [samples.finding("a"), samples.finding("b", "fail", decision="waived")]
    counted = {"pass": 1, "not_applicable": 0, "waived": 1, "warn": 0, "unknown": 0, "fail": 0}
    assert build(findings=findings)["verdict"]["counts"] == counted
    given_more = {"decision": "GO", "counts": {**counted, "pass": 9}}
    assert build(findings=findings, verdict=given_more)["verdict"]["counts"] == counted


def test_what_a_release_did_not_keep_is_counted_by_its_verdict_beside_what_is_listed() -> None:
    verdict = {"decision": "GO", "counts": {"pass": 9}}
    report = build(verdict=verdict, findings=[samples.finding("a", "fail")], findings_are_all=False)
    counts = report["verdict"]["counts"]
    assert (counts["pass"], counts["fail"], sum(counts.values()), model.not_listed(report)) == (9, 1, 10, 9)
    assert model.not_listed(build(verdict=verdict, findings=[samples.finding("a")])) == 0


@pytest.mark.parametrize(
    ("seconds", "at_most", "unknown", "budget", "verdict"),
    [
        (30.0, 30.1, 0.0, 60.0, "within budget"),
        (59.95, 60.05, 0.0, 60.0, "over budget"),
        (12.0, 12.1, 106.0, 60.0, "unknown"),
        (12.0, 12.1, 47.0, 60.0, "within budget"),
        (61.0, None, 106.0, 60.0, "over budget"),
        (None, None, None, 60.0, "unknown"),
        (12.0, 12.1, 106.0, None, None),
    ],
)
def test_a_downtime_is_within_its_budget_only_with_all_that_nobody_measured(
    seconds: float | None, at_most: float | None, unknown: float | None, budget: float | None, verdict: str | None
) -> None:
    assert model.budget_verdict(seconds=seconds, at_most=at_most, unknown=unknown, budget=budget) == verdict


def test_the_time_is_utc_and_the_generator_names_the_collection() -> None:
    report = build()
    assert datetime.fromisoformat(report["generated"]).tzinfo == timezone.utc
    assert report["generator"].startswith("opsready.golive")


def test_the_outcome_is_told_in_a_sentence_where_none_is_given() -> None:
    assert build(system="ablage", version="2", outcome="rolled_back")["outcome_text"] == "ablage 2 was rolled back."


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"verdict": {"decision": "MAYBE"}}, "verdict.decision is 'MAYBE'"),
        ({"verdict": None}, "verdict.decision is None"),
        ({"verdict": {"decision": "GO", "blocking": "tls"}}, "verdict.blocking"),
        ({"outcome": "fine"}, "outcome is 'fine'"),
        ({"findings": ["tls"]}, "findings[0] is str"),
        ({"findings": [{"id": "a", "host": "h"}]}, "findings[0].status is None"),
        ({"findings": [{"id": "a", "host": "h", "status": "waived"}]}, "findings[0].status is 'waived'"),
        ({"findings": [{"id": "a", "host": "h", "status": "pass", "decision": "ok"}]}, "findings[0].decision is 'ok'"),
        ({"release": []}, "release is list"),
        ({"release": {"steps": [{"name": "backup", "status": "maybe"}]}}, "release step 'backup' has status 'maybe'"),
        ({"release": {"backup": "key"}}, "release.backup is str"),
    ],
)
def test_a_part_of_the_wrong_shape_is_refused_by_name(parts: dict[str, Any], named: str) -> None:
    with pytest.raises(model.ReportError) as refused:
        build(**parts)
    assert named in str(refused.value)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 512])
def test_the_json_is_the_report_one_finding_a_line(count: int) -> None:
    report = build(findings=[samples.finding(f"item-{number}") for number in range(count)])
    text = "".join(model.render_json(report))
    assert json.loads(text) == report
    assert sum(line.startswith('{"') for line in text.splitlines()) == count


def test_the_json_survives_what_json_cannot_hold() -> None:
    evidence = {"ratio": float("nan"), "when": datetime(2026, 1, 1, tzinfo=timezone.utc), 1: "a", "raw": "\udc80"}
    text = "".join(model.render_json(build(findings=[samples.finding("a", evidence=evidence)])))
    read = json.loads(text.encode("utf-8", "backslashreplace"))["findings"][0]["evidence"]
    assert read == {"ratio": "nan", "when": "2026-01-01 00:00:00+00:00", "1": "a", "raw": "\udc80"}


def test_the_same_report_renders_to_the_same_bytes(tmp_path: Path) -> None:
    first, second = (model.write_all(samples.live(), tmp_path / name) for name in ("a", "b"))
    assert {name: made["sha256"] for name, made in first.items()} == {n: made["sha256"] for n, made in second.items()}


def test_write_all_returns_the_path_and_the_digest_of_each_format(tmp_path: Path) -> None:
    written = model.write_all(samples.live(), tmp_path / "report", ["json", "html", "markdown", "junit"])
    names = {name: Path(made["path"]).name for name, made in written.items()}
    assert names == {"json": "report.json", "html": "index.html", "markdown": "report.md", "junit": "junit.xml"}
    for made in written.values():
        assert hashlib.sha256(Path(made["path"]).read_bytes()).hexdigest() == made["sha256"]
    assert sorted(os.listdir(tmp_path / "report")) == sorted(names.values())


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(model.ReportError, match="'pdf'"):
        model.write_all(samples.live(), tmp_path / "report", ["json", "pdf"])
    assert not (tmp_path / "report").exists()


def test_a_write_that_fails_leaves_the_old_report_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def torn() -> Any:
        yield "half of it"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        model.write_atomic(torn(), target)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_the_umask_rules_who_may_read_the_report(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        model.write_atomic(["x"], tmp_path / "private")
    finally:
        os.umask(before)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_the_probe_s_intervals_become_the_report_s() -> None:
    probed = {
        "since": "2026-11-22T01:00:00.000Z",
        "until": "2026-11-22T01:00:04.000Z",
        "seconds": 4.0,
        "answers": {"503": 20},
    }
    report = build(release={"id": "r", "downtime": {"seconds": 4.0, "intervals": [probed], "p95_ms": 3.1}})
    assert report["release"]["downtime"]["intervals"] == [
        {"from": probed["since"], "to": probed["until"], "seconds": 4.0, "cause": "503 (20 times)"}
    ]
    assert list(samples.validator().iter_errors(report)) == []


@pytest.mark.parametrize(
    ("drain", "lost"),
    [
        ({"ledger": {"waiting": 2}}, None),
        ({"ledger": {"waiting": 2}, "lost": []}, []),
        ({"ledger": {}, "lost": [{"id": "m-1", "task": "ocr"}]}, ["m-1"]),
        ({"ledger": {"lost": ["m-1"]}}, ["m-1"]),
    ],
)
def test_a_ledger_that_names_no_lost_jobs_is_unknown_and_not_none(
    drain: dict[str, Any], lost: list[str] | None
) -> None:
    report = build(release={"id": "r", "drain": drain})
    ledger = report["release"]["drain"]["ledger"]
    assert ledger["lost"] == lost
    assert model.lost_jobs(ledger) == ("unknown" if lost is None else str(len(lost)))
    assert list(samples.validator().iter_errors(report)) == []


def test_a_sign_off_that_nobody_gave_has_no_times() -> None:
    pending = {
        "item": "reviewed",
        "team": "backend",
        "name": "",
        "signed": "",
        "expires": "",
        "binds_to": "",
        "state": "unknown",
    }
    report = build(verdict={"decision": "NO-GO", "sign_offs": [pending]})
    assert report["verdict"]["sign_offs"][0]["signed"] is None
    assert list(samples.validator().iter_errors(report)) == []


def test_a_missing_item_that_blocks_is_told_once() -> None:
    blocking = [
        {
            "id": "S1.36",
            "host": "controller",
            "status": "unknown",
            "severity": "blocker",
            "summary": "no item covers it",
        }
    ]
    coverage = {"required": ["S1"], "covered": [], "missing": ["S1.36", "S1.37"]}
    assert model.uncovered({"decision": "NO-GO", "blocking": blocking, "coverage": coverage}) == ["S1.37"]


def test_a_forced_item_says_so() -> None:
    assert model.waiver_sentence({"reason": "known", "approver": "mira", "forced": True}) == (
        "known; forced for this release; approved by mira"
    )


@given(st.text())
def test_printable_text_can_be_encoded_and_is_stable(text: str) -> None:
    shown = model.printable(text)
    shown.encode("utf-8")
    assert model.printable(shown) == shown
    assert not any(ord(char) < 32 and char not in "\t\n" for char in shown)


def test_terminal_colours_vanish_and_reordering_marks_show() -> None:
    assert model.printable("\x1b[1;31mfail\x1b[0m a\u202eb\x00") == "fail a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"), (0.0123, "12 ms"), (0.0996, "0.1 s"), (4.25, "4.2 s"), (99.96, "1 min 40 s"),
        (3599.6, "1 h 00 min"), (172_800, "2 d 0 h"), (None, ""), (float("nan"), ""), (True, ""),
    ],
)  # fmt: skip
def test_a_duration_is_told_with_its_unit(seconds: Any, told: str) -> None:
    assert model.human_seconds(seconds) == told


def test_a_size_is_told_in_binary_units() -> None:
    sizes = [model.human_bytes(size) for size in (0, 1023, 1024, 18_734_211, 3 * 2**40, None)]
    assert sizes == ["0 B", "1023 B", "1.0 KiB", "17.9 MiB", "3.0 TiB", ""]


def test_a_time_in_another_zone_is_shown_in_utc_and_no_time_as_it_is() -> None:
    assert model.human_time("2026-11-22T03:02:03+02:00") == "2026-11-22 01:02:03 UTC"
    assert model.human_time("soon") == "soon"


@pytest.mark.parametrize(
    ("decision", "outcome", "tone"),
    [
        ("GO", "live", "pass"),
        ("GO", "checked", "pass"),
        ("GO WITH WARNINGS", "live", "warn"),
        ("NO-GO", "no_go", "fail"),
        ("GO", "rolled_back", "warn"),
        ("GO", "failed", "fail"),
        ("GO", "left_on", "fail"),
        ("NO-GO", "rolled_back", "fail"),
    ],
)
def test_a_release_that_ended_badly_is_never_green(decision: str, outcome: str, tone: str) -> None:
    assert model.tone(build(verdict={"decision": decision}, outcome=outcome)) == tone
