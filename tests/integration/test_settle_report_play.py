# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settlement reports in the end: how the release ended, also where the journal did not take the line that says so."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.action.report import release_part
from ansible_collections.opsready.golive.plugins.module_utils._actions import journal
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record
from tests.playbook import ROOT, Played, run_playbook

pytestmark = pytest.mark.long

SETTLE = ROOT / "roles" / "settle"
DONE = {"outcome": "rolled_back", "detail": "Version 1.0.0 runs again."}
BEGUN = {"event": "begun", "version": "2.0.0", "digest": "d" * 64, "operator": "grete"}
MAINTENANCE = {"event": "step_started", "step": "maintenance_on", "direction": "forward", "title": "maintenance on"}


def _released(directory: Path, *steps: dict[str, t.Any]) -> str:
    """A release of this record that has begun, and whose journal says no more than this; returns its id."""
    record = Record(str(directory / "state"), "archive")
    record.create()
    with record.exclusively():
        release = record.new_id()
        os.makedirs(os.path.join(record.folder(release), "report"))
        token = record.take(release, owner={}, version="2.0.0")
    journal.append(record.journal_path(release), [BEGUN, *steps], token=token.number)
    record.write(release, "plan.json", {"system": "archive", "version": "2.0.0", "downtime_budget": 60})
    record.write(release, "rollback_plan.json", {"database": "image_only", "previous_version": "1.0.0"})
    return release


def _report(directory: Path, release: str, **more: t.Any) -> Played:
    """The end of the role, after its decision was read and done."""
    tasks = [
        {"name": "Read", "ansible.builtin.import_role": {"name": "opsready.golive.release"}},
        {"name": "Report", "ansible.builtin.import_tasks": str(SETTLE / "tasks" / "report.yml")},
    ]
    files = [str(SETTLE / part / "main.yml") for part in ("defaults", "vars")]
    state = {"release_system": "archive", "release_state_host": "web1", "release_state_dir": str(directory / "state")}
    own = {"settle_release_id": release, "release_takeover": release, "report_destination": str(directory / "out")}
    return run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "vars_files": files, "vars": {**state, **own, **more},
          "tasks": tasks}],
        directory=directory / "play",
    )  # fmt: skip


def test_a_loss_that_cannot_be_counted_leaves_the_decision_as_it_was(tmp_path: Path, refused_port: int) -> None:
    """The database may be down, which may be why the release failed: it is left on then, ended and reported."""
    files = [str(SETTLE / part / "main.yml") for part in ("defaults", "vars")]
    settled = {"settlement": {"action": "leave_on", "needs_loss": True}}
    variables = {
        "backup_dsn": f"postgresql://archive@127.0.0.1:{refused_port}/archive",
        "backup_host": "localhost",
        "__settle_baseline": {"snapshot": "1:1:", "tables": []},
        "__release_record": settled,
    }
    tasks = [
        {"name": "Count", "ansible.builtin.import_tasks": str(SETTLE / "tasks" / "loss.yml")},
        {"name": "Goes on", "ansible.builtin.debug": {"msg": "{{ __release_record.settlement.action }}"}},
    ]
    played = run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "vars_files": files, "vars": variables, "tasks": tasks}],
        directory=tmp_path / "play",
    )
    assert played.of("Goes on").msg == "leave_on", played.text
    assert "connection refused" in played.of("Loss | Say that it could not be counted").msg.lower()


def _written(directory: Path) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((directory / "out" / "report.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("steps", "ended", "outcome", "sentence"),
    [
        ((), {}, "aborted", "Nothing was changed: the release can be ended as it is."),
        ((MAINTENANCE,), DONE, "rolled_back", "Version 1.0.0 runs again."),
    ],
)
def test_an_end_that_the_journal_did_not_take_is_reported_as_it_was_reached(
    tmp_path: Path, steps: tuple[dict[str, t.Any], ...], ended: dict[str, t.Any], outcome: str, sentence: str
) -> None:
    release = _released(tmp_path, *steps)
    played = _report(tmp_path, release, **({"__release_ended": ended} if ended else {}))
    report = _written(tmp_path)
    assert report["outcome"] == outcome
    assert report["outcome_text"].startswith(f"{sentence} This could not be written into the release's journal")
    assert played.of("Report | Say how it ended").msg.startswith(sentence)
    assert "unknown" in played.of("Report | Say that nothing was measured").msg


def test_a_downtime_that_nobody_measured_is_not_within_its_budget(tmp_path: Path) -> None:
    played = _report(tmp_path, _released(tmp_path, MAINTENANCE), __release_ended=DONE)
    assert _written(tmp_path)["release"]["downtime"]["verdict"] == "unknown"
    assert "rolled back, and the downtime budget of 60 s cannot be judged: nothing was measured" in played.stdout


def test_a_step_with_a_name_of_ones_own_is_told(tmp_path: Path) -> None:
    own = {"event": "step_started", "step": "warm_cache", "direction": "forward", "title": "warm cache"}
    _report(tmp_path, _released(tmp_path, MAINTENANCE, own), __release_ended=DONE)
    assert [step["title"] for step in _written(tmp_path)["release"]["steps"]] == ["maintenance on", "warm cache"]


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ({"level": "restore", "restore_seconds": 1.25}, "restored and compared in 1.2 s"),
        ({"level": "archive"}, "read back and its rows counted, not restored"),
        ({"level": "head"}, "its stored bytes compared, neither read back nor restored"),
    ],
)
def test_of_a_backup_no_more_is_said_than_was_seen(tmp_path: Path, proof: dict[str, t.Any], said: str) -> None:
    backup = {"archive": "s3://b/x.dump", "size_bytes": 10, "rows": 5, "tables": 1, "verified": proof}
    opened = {"event": "step_started", "step": "backup", "direction": "forward", "title": "backup, and proven"}
    closed = {"event": "step_ended", "step": "backup", "status": "done", "detail": "", "known": {"backup": backup}}
    played = _report(tmp_path, _released(tmp_path, MAINTENANCE, opened, closed), __release_ended=DONE)
    assert f"5 rows in 1 tables, {said}" in played.stdout
    assert ("restored and compared" in played.stdout) is (proof["level"] == "restore")


@pytest.mark.parametrize(
    ("until", "verdict"), [("2026-11-22T01:00:28Z", "unknown"), ("2026-11-22T01:00:29Z", "within budget")]
)
def test_a_downtime_that_had_not_ended_when_measuring_did_is_within_no_budget(
    tmp_path: Path, until: str, verdict: str
) -> None:
    down = {"from": "2026-11-22T01:00:00Z", "to": "2026-11-22T01:00:28Z", "seconds": 28.0, "cause": "503"}
    record = {
        "id": "r1", "begun": {"at": "2026-11-22T00:59:00Z"}, "plan": {"downtime_budget": 60}, "rollback": {}, "steps": [],
        "head": "", "entries": 1,
    }  # fmt: skip
    downtime = {"seconds": 28.0, "unknown_seconds": 0, "until": until, "intervals": [down], "resolution_seconds": 0.1}
    assert release_part(record, downtime)["downtime"]["verdict"] == verdict


def test_what_is_still_open_is_left_on(tmp_path: Path) -> None:
    _report(tmp_path, _released(tmp_path, MAINTENANCE))
    assert _written(tmp_path)["outcome"] == "left_on"
