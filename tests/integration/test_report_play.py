# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report says when users waited too long, and reaches the release record on its host."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
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


def test_a_budget_is_not_judged_over_seconds_that_nobody_measured(tmp_path: Path) -> None:
    downtime = {**_downtime(12.0, 12.1), "unknown_seconds": 106.0}
    played = _report(tmp_path, downtime, formats=["json", "html", "markdown"])
    assert played.rc == 0, played.text
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["release"]["downtime"]["verdict"] == "unknown"
    assert "downtime: 12.0 s and 106.0 s unknown of 60 s allowed, measured" in played.stdout
    words = "live, and the downtime budget of 60 s cannot be judged: 12.0 s and 106.0 s unknown"
    assert words in played.stdout.splitlines()
    assert "within" not in played.stdout


@pytest.mark.parametrize(
    ("release", "cut", "listed", "counted"),
    [("r1", False, ["downtime", "tls"], 2), ("r2", False, ["downtime"], 2), ("r1", True, ["downtime"], 2)],
)
def test_what_an_earlier_run_judged_is_told_again_of_the_same_release(
    tmp_path: Path, release: str, cut: bool, listed: list[str], counted: int
) -> None:
    def found(name: str, check: str) -> dict[str, str]:
        return {"id": name, "host": "controller", "status": "pass", "decision": "pass", "check": check}

    earlier = {"release": {"id": release}, "verdict": RECORD["release_verdict"],
               "findings": [found("tls", "check_tls"), found("downtime", "downtime_probe")]}  # fmt: skip
    text = json.dumps(earlier)
    kept = tmp_path / "kept.json"
    kept.write_text(text[: len(text) // 2] if cut else text, encoding="utf-8")
    played = _report(tmp_path, _downtime(84.2, 84.3), kept=str(kept))
    assert played.rc == 0, played.text
    assert ("cannot be read as a report" in played.text) is cut
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [finding["id"] for finding in report["findings"]] == listed
    assert report["findings"][0]["status"] == "fail"
    assert sum(report["verdict"]["counts"].values()) == counted


def _step(name: str, started: str, direction: str = "forward") -> dict[str, t.Any]:
    return {"name": name, "title": name, "status": "done", "started": started, "seconds": 2.0, "direction": direction,
            "detail": "", "known": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "seconds", "verdict"),
    [
        ([_step("maintenance_on", "2026-11-22T01:00:10Z")], 12.0, "within budget"),
        ([_step("maintenance_on", "2026-11-22T01:00:10Z"), _step("traffic", "2026-11-22T01:09:00Z")], 12.0, "unknown"),
        ([_step("back_maintenance", "2026-11-24T01:00:00Z", "back")], None, "unknown"),
    ],
)
def test_what_went_on_after_the_probe_had_ended_was_not_measured(
    tmp_path: Path, steps: list[dict[str, t.Any]], seconds: float | None, verdict: str
) -> None:
    downtime = {**_downtime(12.0, 12.1), "since": "2026-11-22T01:00:00Z", "until": "2026-11-22T01:02:00Z"}
    played = _report(tmp_path, downtime, record={**RECORD, "steps": steps})
    assert played.rc == 0, played.text
    told = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["release"]["downtime"]
    assert (told["seconds"], told["verdict"]) == (seconds, verdict)
    assert ("downtime: 12.0 s" in played.stdout) is (seconds is not None)


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


@contextlib.contextmanager
def _full_disk(path: Path) -> t.Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("root: only root can mount a small disk")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"mount: this machine lets nobody mount a file system: {mounted.stderr.decode()}")
    try:
        with (path / "ballast").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * 512)
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_why_it_did_not_get_into_the_record_is_told(tmp_path: Path) -> None:
    with _full_disk(tmp_path / "state"):
        played = _report(tmp_path, _downtime(30, 30.1), copy_to=str(tmp_path / "state" / "report"))
    assert played.rc != 0
    assert "No space left on device" in played.of("Report").msg
    assert "no reason given" not in played.text


def test_a_record_that_cannot_be_reached_fails_after_the_report_was_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder is wanted")
    played = _report(tmp_path, _downtime(30, 30.1), copy_to=str(tmp_path / "state" / "report"))
    assert played.rc != 0
    assert f"The report is at {tmp_path / 'out'}, and could not be put into" in played.of("Report").msg
    assert (tmp_path / "out" / "report.json").exists()
