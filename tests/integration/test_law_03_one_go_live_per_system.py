# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 3, broken on purpose: of two go-lives at once one is refused, and an old token does nothing any more."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.opsready.golive.plugins.module_utils._actions.journal import read_chain
from tests.conftest import ModuleRun

ROOT = Path(__file__).resolve().parents[2]


def _begin(state_dir: Path, system: str = "archive") -> dict[str, t.Any]:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    subject = {"artefacts": {"archive": "a" * 64}}
    verdict = {
        "decision": "GO",
        "decided": now,
        "digest": "d" * 64,
        "system": system,
        "version": "2.0.0",
        "subject": subject,
    }
    return {"state": "begun", "system": system, "state_dir": str(state_dir), "version": "2.0.0", "verdict": verdict,
            "subject": subject}  # fmt: skip


def _at_once(arguments: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The module's answers, all processes started before any is given its arguments."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "build"), str(ROOT)])}
    started = [
        subprocess.Popen([sys.executable, "-m", "tests.module_process", "release"], cwd=ROOT, env=environment,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _unused in arguments
    ]  # fmt: skip
    try:
        for process, sent in zip(started, arguments, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps({**sent, "_ansible_remote_tmp": "/tmp"}).encode())
            process.stdin.close()
            process.stdin = None
        return [json.loads(process.communicate(timeout=120)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_of_many_at_once_one_begins_and_the_others_are_told_by_whom(tmp_path: Path) -> None:
    answers = _at_once([_begin(tmp_path) for _unused in range(6)])
    begun = [answer for answer in answers if "token" in answer]
    refused = [answer for answer in answers if answer.get("failed")]
    assert (len(begun), len(refused)) == (1, 5), answers
    for answer in refused:
        assert f"release {begun[0]['id']} of archive 2.0.0 holds the lock" in answer["msg"]
    assert len(read_chain(str(Path(begun[0]["folder"]) / "journal.jsonl")).entries) == 1


def test_other_systems_begin_beside_it(tmp_path: Path) -> None:
    answers = _at_once([_begin(tmp_path, system) for system in ("archive", "shop", "mail")])
    assert all("token" in answer for answer in answers), answers


def test_after_a_takeover_the_old_run_can_do_nothing(tmp_path: Path, run_module_here: ModuleRun) -> None:
    state = {"system": "archive", "state_dir": str(tmp_path)}
    old = run_module_here("release", _begin(tmp_path))
    new = run_module_here("release", {**state, "state": "claimed", "takeover": old["id"]})
    step = {**state, "state": "step", "opens": {"name": "stop"}}
    refused = run_module_here("release", {**step, "release": old["token"]})["msg"]
    assert "no longer holds the lock" in refused
    assert "another run has taken its release over (token 2, its own is 1)" in refused
    run_module_here("release", {**step, "release": new["token"]})
    entries = read_chain(str(Path(old["folder"]) / "journal.jsonl")).entries
    assert [(entry["event"], entry["token"]) for entry in entries] == [
        ("begun", 1),
        ("claimed", 2),
        ("step_started", 2),
    ]


def test_steps_of_both_runs_at_once_keep_the_chain_whole(tmp_path: Path, run_module_here: ModuleRun) -> None:
    state = {"system": "archive", "state_dir": str(tmp_path)}
    begun = run_module_here("release", _begin(tmp_path))
    steps = [
        {**state, "state": "step", "release": begun["token"], "opens": {"name": f"s{number}"}} for number in range(6)
    ]
    answers = _at_once(steps)
    assert all(answer["changed"] for answer in answers), answers
    entries = read_chain(str(Path(begun["folder"]) / "journal.jsonl")).entries
    assert sorted(entry.get("step", "") for entry in entries) == ["", *[f"s{number}" for number in range(6)]]
