# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report says when users waited too long, and reaches the release record on its host."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from tests.playbook import Played, run_playbook

RECORD: dict[str, t.Any] = {
    "id": "r1",
    "head": "a" * 64,
    "entries": 2,
    "begun": {"at": "2026-11-22T01:00:00.000Z", "version": "2.0.0", "digest": "d" * 64, "operator": "grete"},
    "ended": {"at": "2026-11-22T01:02:00.000Z", "outcome": "live", "detail": "Every step is done."},
    "steps": [],
    "plan": {"system": "archive", "version": "2.0.0", "downtime_budget": 60, "steps": []},
    "rollback": {},
    "release_verdict": {"decision": "GO", "counts": {"pass": 1}},
}


def _downtime(seconds: float, at_most: float) -> dict[str, t.Any]:
    over = at_most > 60
    finding = {
        "status": "fail" if over else "pass",
        "summary": f"downtime is {at_most} s, expected at most 60",
        "remedy": "",
        "expected": {"downtime": "at most 60 s"},
        "measured": {"downtime": at_most},
    }
    return {
        "seconds": seconds,
        "at_most_seconds": at_most,
        "resolution_seconds": 0.1,
        "intervals": [],
        "finding": finding,
    }


def _report(directory: Path, downtime: dict[str, t.Any], **more: t.Any) -> Played:
    options = {"destination": str(directory / "out"), "formats": ["json"], "system": "archive", "version": "2.0.0"}
    task = {"name": "Report", "opsready.golive.report": {**options, "record": RECORD, "downtime": downtime, **more}}
    if "copy_to" in more:
        task["delegate_to"] = "web1"
    return run_playbook([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}], directory=directory / "play")


@pytest.mark.parametrize(
    ("seconds", "at_most", "status", "verdict"),
    [(84.2, 84.3, "fail", "over budget"), (59.95, 60.05, "fail", "over budget"), (30.0, 30.1, "pass", "within budget")],
)
def test_over_the_budget_is_a_finding_that_fails_and_the_last_line(
    tmp_path: Path, seconds: float, at_most: float, status: str, verdict: str
) -> None:
    played = _report(tmp_path, _downtime(seconds, at_most))
    assert played.rc == 0, played.text
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["outcome"], report["release"]["downtime"]["verdict"]) == ("live", verdict)
    (found,) = [finding for finding in report["findings"] if finding["id"] == "downtime"]
    assert (found["status"], found["decision"], found["severity"]) == (status, status, "warning")
    words = f"live, over budget: {seconds:.1f} s of 60 s"
    lines = played.stdout.splitlines()
    assert (words in lines) == (status == "fail")
    if status == "fail":
        assert lines[lines.index(words) - 1].startswith("journal head")


def test_without_a_budget_nothing_is_judged(tmp_path: Path) -> None:
    downtime = _downtime(84.2, 84.3)
    del downtime["finding"]
    record = {**RECORD, "plan": {**RECORD["plan"], "downtime_budget": None}}
    played = _report(tmp_path, downtime, record=record)
    assert played.rc == 0, played.text
    assert "downtime: 84.2 s, no budget was given, measured" in played.text
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["findings"], report["release"]["downtime"]["verdict"]) == ([], None)


def test_the_report_is_put_into_the_record_for_its_owner_alone(tmp_path: Path) -> None:
    record = tmp_path / "state" / "report"
    played = _report(tmp_path, _downtime(30, 30.1), copy_to=str(record))
    assert played.rc == 0, played.text
    assert (record / "report.json").read_bytes() == (tmp_path / "out" / "report.json").read_bytes()
    assert (record / "report.json").stat().st_mode & 0o077 == 0


def test_a_report_in_a_folder_of_where_one_stands_gets_into_the_record_too(tmp_path: Path) -> None:
    record = tmp_path / "state" / "report"
    played = _report(tmp_path, _downtime(30, 30.1), copy_to=str(record), destination="golive-report")
    assert played.rc == 0, played.text
    assert (record / "report.json").read_bytes() == (tmp_path / "play" / "golive-report" / "report.json").read_bytes()
    assert f"report: {tmp_path / 'play' / 'golive-report'}" in played.stdout


def test_a_record_that_cannot_be_reached_fails_after_the_report_was_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder is wanted")
    played = _report(tmp_path, _downtime(30, 30.1), copy_to=str(tmp_path / "state" / "report"))
    assert played.rc != 0
    assert f"The report is at {tmp_path / 'out'}, and could not be put into" in played.of("Report").msg
    assert (tmp_path / "out" / "report.json").exists()
