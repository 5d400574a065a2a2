# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test suite's own instruments: what they must notice, they notice."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from tests.gates import make_venv
from tests.gates.copy_collection import copy
from tests.leaks import leaks
from tests.parts import CI_MAY_LACK, may_be_skipped

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SECRET = 'p/w "with" all+sorts'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        'p/w \\"with\\" all+sorts',
    ],
)
def test_a_secret_is_found_in_every_form(written: str) -> None:
    found = leaks([SECRET], f"before {written} after")
    assert found
    assert written not in "".join(found)


def test_a_text_without_the_secret_has_no_leak() -> None:
    assert leaks([SECRET], "nothing of the sort") == []


def _repository(place: Path) -> Path:
    place.mkdir()
    subprocess.run(["git", "init", "--quiet", str(place)], check=True)
    (place / ".gitignore").write_text("ignored\n")
    for name in ("kept", "ignored"):
        (place / name).write_text(name)
    return place


def test_the_copy_holds_what_git_would_track(tmp_path: Path) -> None:
    root = _repository(tmp_path / "clone")
    made = copy(tmp_path / "gate", root)
    assert sorted(path.name for path in made.iterdir() if path.name != ".git") == [".gitignore", "kept"]


def test_the_copy_follows_changes_and_removals(tmp_path: Path) -> None:
    root = _repository(tmp_path / "clone")
    copy(tmp_path / "gate", root)
    (root / "kept").unlink()
    (root / "new").mkdir()
    (root / "new" / "file").write_text("new")
    made = copy(tmp_path / "gate", root)
    assert not (made / "kept").exists()
    assert (made / "new" / "file").read_text() == "new"


def test_an_unchanged_file_is_not_copied_again(tmp_path: Path) -> None:
    root = _repository(tmp_path / "clone")
    made = copy(tmp_path / "gate", root)
    before = os.stat(made / "kept").st_ino, os.stat(made / "kept").st_mtime_ns
    copy(tmp_path / "gate", root)
    assert (os.stat(made / "kept").st_ino, os.stat(made / "kept").st_mtime_ns) == before


def _outcome_of_a_skip(tmp_path: Path, reason: str, no_skip: str) -> str:
    written = tmp_path / "test_one.py"
    written.write_text(f"import pytest\n\ndef test_one():\n    pytest.skip({reason!r})\n")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)),
            *("-p", "tests.conftest", str(written)),
        ],
        cwd=ROOT,
        env={**os.environ, "GOLIVE_NO_SKIP": no_skip, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'build'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout


def test_a_skip_fails_where_none_is_allowed(tmp_path: Path) -> None:
    assert "1 skipped" in _outcome_of_a_skip(tmp_path, "postgres: not installed", "")
    assert "1 failed" in _outcome_of_a_skip(tmp_path, "postgres: not installed", "1")


def test_a_part_that_ci_may_lack_can_be_skipped_anywhere(tmp_path: Path) -> None:
    assert "1 skipped" in _outcome_of_a_skip(tmp_path, "goss: not installed", "1")
    assert not may_be_skipped("gossip: not installed")
    assert all(len(reason) > 20 for reason in CI_MAY_LACK.values())


def test_requirement_files_are_followed_and_counted_once() -> None:
    found = [path.name for path in make_venv.requirement_files(["test", "demo"])]
    assert len(found) == len(set(found))
    assert {"test.txt", "demo.txt", "units.txt", "ee-requirements.txt", "requirements.txt"} == set(found)


def test_a_new_pair_or_a_changed_file_asks_for_a_new_environment() -> None:
    marks = {
        make_venv.fingerprint(sets, python, core)
        for sets in (["demo"], ["test"])
        for python in ("3.11", "3.12")
        for core in ("2.18", "2.19")
    }
    assert len(marks) == 8


def test_a_python_that_does_not_exist_is_not_found() -> None:
    assert make_venv.find_interpreter("python9.99") is None
