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

import coverage
import pytest

from tests.gates import coverage_bar, make_venv
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


def test_what_ansible_test_keeps_in_the_copy_stays(tmp_path: Path) -> None:
    root = _repository(tmp_path / "clone")
    kept = copy(tmp_path / "gate", root) / "tests" / "output" / "environment"
    kept.parent.mkdir(parents=True)
    kept.write_text("made once")
    copy(tmp_path / "gate", root)
    assert kept.read_text() == "made once"


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


def _recorded(tmp_path: Path, arcs: list[tuple[int, int]]) -> Path:
    """A recording of a file with an if and an else, in which these steps from line to line were taken."""
    source = tmp_path / "package" / "one.py"
    source.parent.mkdir()
    source.write_text("a = 1\nif a:\n    b = 2\nelse:\n    c = 3\n")
    recording = coverage.CoverageData(str(tmp_path / "data"))
    recording.add_arcs({str(source): arcs})
    recording.write()
    return tmp_path / "data"


def test_coverage_counts_lines_and_branches(tmp_path: Path) -> None:
    data = _recorded(tmp_path, [(-1, 1), (1, 2), (2, 3), (3, -1)])
    assert round(coverage_bar.percent_of(data, tmp_path / "package"), 2) == 66.67


def test_coverage_of_everything_is_full_and_of_nothing_is_none(tmp_path: Path) -> None:
    data = _recorded(tmp_path, [(-1, 1), (1, 2), (2, 3), (3, -1), (2, 5), (5, -1)])
    assert coverage_bar.percent_of(data, tmp_path / "package") == 100.0
    assert coverage_bar.percent_of(data, tmp_path / "another") == 0.0


@pytest.mark.parametrize(("percents", "code"), [((95.0, 97.0, 100.0), 0), ((100.0, 94.99, 100.0), 1)])
def test_each_package_has_to_reach_the_bar_by_itself(
    percents: tuple[float, ...], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = dict(zip(coverage_bar.PACKAGES, percents))
    monkeypatch.setattr(coverage_bar, "percent_of", lambda data_file, folder: by_name[folder.name])
    assert coverage_bar.main(Path("data")) == code
    assert capsys.readouterr().out.count("BELOW") == code


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
