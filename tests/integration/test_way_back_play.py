# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ROLLBACK.md reaches the database's host, where no folder waits for it, and is replaced once the backup has a name."""

from __future__ import annotations

from pathlib import Path

from tests.playbook import ROOT, run_playbook

TASKS = str(ROOT / "playbooks" / "tasks" / "way_back.yml")


def _play(text: str, folder: Path) -> dict[str, object]:
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"__golive_way_back": text, "__golive_snapshot_dir": str(folder), "backup_host": "web1"},
        "tasks": [{"name": "Put it there", "ansible.builtin.import_tasks": TASKS}],
    }


def test_it_is_written_where_no_folder_is_and_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "db" / "golive"
    played = run_playbook([_play("before", folder), _play("with the backup", folder)], directory=tmp_path / "play")
    assert played.rc == 0, played.text
    assert (folder / "ROLLBACK.md").read_text(encoding="utf-8") == "with the backup"
    assert (folder / "ROLLBACK.md").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_database_host_that_is_lost_stops_the_release(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, and no folder")
    played = run_playbook([_play("before", tmp_path / "taken")], directory=tmp_path / "play")
    assert played.rc != 0
    assert not played.ran("Way back | Put it beside the database")
