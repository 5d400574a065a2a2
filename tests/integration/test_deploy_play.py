# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`deploy` goes on only with what pre_deploy approved, and names each part that is another one now."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from tests.playbook import ROOT, Played, run_playbook

SUBJECT = {"artefacts": {"artefact": "a" * 64}, "migration_preview": "b" * 64, "checklist_sha256": "c" * 64}
APPROVED = {"decision": "GO", "digest": "d" * 64, "system": "archive", "version": "2.0.0", "subject": SUBJECT}


def _compare(kept: t.Any, now: dict[str, t.Any], directory: Path) -> Played:
    """The play of deploy.yml that compares, as it stands there."""
    plays = yaml.safe_load((ROOT / "playbooks" / "deploy.yml").read_text(encoding="utf-8"))
    (play,) = [play for play in plays if play["name"] == "Is it what was approved"]
    play["vars"] = {**play["vars"], "__release_record": {"verdict": kept}, "__verdict_decided": {"verdict": now}}
    return run_playbook([play], directory=directory)


def test_what_was_approved_is_deployed(tmp_path: Path) -> None:
    played = _compare(APPROVED, APPROVED, tmp_path)
    assert played.rc == 0, played.text


@pytest.mark.parametrize(
    ("kept", "subject", "differs"),
    [
        (APPROVED, {"artefacts": {"artefact": "e" * 64}, "checklist_sha256": "e" * 64}, "artefacts, checklist_sha256."),
        (APPROVED, {"migration_preview": ""}, "migration_preview."),
        ({**APPROVED, "version": "1.9.0"}, {}, "version."),
        (None, {}, "system, version, artefacts, migration_preview, checklist_sha256."),
    ],
)
def test_what_is_another_one_now_is_named(tmp_path: Path, kept: t.Any, subject: dict[str, t.Any], differs: str) -> None:
    now = {**APPROVED, "digest": "e" * 64, "subject": {**SUBJECT, **subject}}
    played = _compare(kept, now, tmp_path)
    assert played.rc != 0
    said = " ".join(played.of("Approved | Compare the digests").msg.split())
    assert f"Not as it was approved: {differs} Judge it again" in said, said
