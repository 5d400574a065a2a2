# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run keeps its files in a directory of its own, and knows which tokens were given out in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.plugin_utils import run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import is_of_this_run, mark_token

TOKEN = "archive/r1/1/0123456789abcdef"


@pytest.fixture(autouse=True)
def _a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path / "ansible-local-1"))


def test_the_directory_is_this_users_alone(tmp_path: Path) -> None:
    path = Path(run_directory.run_directory())
    assert path.parent == tmp_path / "ansible-local-1"
    assert path.stat().st_mode & 0o777 == 0o700
    assert run_directory.run_directory() == str(path)


def test_a_token_is_known_in_the_run_that_it_was_given_out_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not is_of_this_run(TOKEN)
    mark_token(TOKEN)
    assert is_of_this_run(TOKEN)
    assert not is_of_this_run(TOKEN.replace("/1/", "/2/"))
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path / "ansible-local-2"))
    assert not is_of_this_run(TOKEN)


def test_the_mark_does_not_show_the_token() -> None:
    mark_token(TOKEN)
    names = [path.name for path in Path(run_directory.run_directory()).iterdir()]
    assert len(names) == 1
    assert "0123456789abcdef" not in names[0]
