# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's lock on a disk that is full, or that nobody may write: one clear error, and no step in its way that began before."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import held
from tests.conftest import ModuleRun
from tests.small_disk import fill, make_read_only, small_disk

NONCE = "0123456789abcdef"
TOKEN = f"archive/r1/7/{NONCE}"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    place = tmp_path / "disk"
    monkeypatch.setattr(fencing, "PLACE", str(place))
    with small_disk(place, kibibytes=64):
        yield place


def test_a_full_disk_is_told_with_its_path_and_the_way_out(disk: Path) -> None:
    ballast = disk / "ballast"
    fill(ballast)
    with pytest.raises(ActionFailed) as told, held(TOKEN, doing="x"):
        pass
    assert f"{disk}/opsready-golive-0/archive-01234567.lock: No space left on device" in told.value.message
    assert f"Make room in {disk}" in told.value.remedy
    ballast.unlink()
    with held(TOKEN, doing="x") as token:
        assert token is not None


def test_a_way_back_on_a_disk_that_filled_up_since_takes_the_lock_that_is_there(disk: Path) -> None:
    with held(f"archive/r1/7/{NONCE}", doing="a forward step of a longer name"):
        pass
    fill(disk / "ballast")
    with held(f"archive/r1/8/{NONCE}", doing="back"):
        pass
    with (
        pytest.raises(Refused, match=r"release r1 is stale: another run of it \(token 8\) has taken over"),
        held(TOKEN, doing="x"),
    ):
        pass


@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_nobody_may_write_is_told_in_one_sentence(
    disk: Path, run_module_here: ModuleRun, is_there: bool
) -> None:
    if is_there:
        with held(TOKEN, doing="x"):
            pass
    make_read_only(disk)
    arguments = {
        "state": "enabled",
        "release": TOKEN,
        "layers": [{"name": "proxy", "backend": "file", "path": "/nowhere/flag", "survives_stop": True}],
        "verify": {"url": "http://127.0.0.1:9/"},
    }
    answer = run_module_here("maintenance", arguments)
    assert answer["error"] == "ActionFailed", answer
    assert answer["msg"].startswith("The lock that keeps two steps of a release apart on this host cannot be written: ")
    assert f"{disk}/opsready-golive-0" in answer["msg"] and "Read-only file system" in answer["msg"]
