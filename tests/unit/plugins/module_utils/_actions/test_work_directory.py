# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a directory is, is told by its lock: what is alive stays, what was left goes, and nobody takes another's."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import work_directory
from ansible_collections.opsready.golive.plugins.module_utils._actions.work_directory import Room
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Refused


def test_a_directory_is_private_and_gone_at_the_end_with_the_one_above(tmp_path: Path) -> None:
    room = Room(str(tmp_path), identity="r/1 ä")
    with room.taken("a%2Fb") as path, room.taken("a%2Fb") as other:
        assert path != other and Path(path).parent == tmp_path / "a%2Fb"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
        (Path(path) / "toc.dat").touch()
        assert {name for name, unused in work_directory.left(str(tmp_path), "a%2Fb")} == {path, other}
        assert {identity for unused, identity in work_directory.left(str(tmp_path), "a%2Fb")} == {"r/1 ä"}
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileExistsError), room.taken("a") as path:
        os.mkdir(path)
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_holds_is_removed_and_what_somebody_holds_is_not(tmp_path: Path) -> None:
    with Room(str(tmp_path)).taken("a") as path:
        assert work_directory.discard(path) == "a run that is alive is at work on it"
        assert os.path.isdir(path)
    left = tmp_path / "a" / "golive-r-1-00000000.work"
    for name in (left.name, "golive-00000001.work", "notes", "golive-r-1.work"):
        (tmp_path / "a" / name).mkdir(parents=True)
    (left / "toc.dat").touch()
    (tmp_path / "a" / "golive-00000002.work").symlink_to(left)
    found = work_directory.left(str(tmp_path), "a")
    assert [(Path(one).name, identity) for one, identity in found] == [
        ("golive-00000001.work", None),
        (left.name, "r-1"),
    ]
    assert (work_directory.discard(str(left), check_mode=True), left.exists()) == (None, True)
    assert (work_directory.discard(str(left)), left.exists()) == (None, False)
    assert work_directory.discard(str(left)) is None
    assert (tmp_path / "a" / "notes").is_dir()


@pytest.mark.parametrize("trap", ["link", "writable"])
def test_what_others_can_change_is_not_entered_and_not_swept(tmp_path: Path, trap: str) -> None:
    """The name below work_dir can be guessed, and a dump below it is the whole database."""
    victim = tmp_path / "victim"
    (victim / "golive-r-1-00000000.work").mkdir(parents=True)
    above = tmp_path / "room" / "shop"
    above.parent.mkdir()
    if trap == "link":
        above.symlink_to(victim)
    else:
        victim.rename(above)
        above.chmod(0o777)
    with pytest.raises(Refused, match="others can change it"), Room(str(above.parent)).taken("shop"):
        pass
    assert work_directory.left(str(above.parent), "shop") == []
    assert len(list(above.iterdir())) == 1


def test_a_room_that_others_can_rearrange_is_refused(tmp_path: Path) -> None:
    room = Room(str(tmp_path))
    tmp_path.chmod(0o777)
    with pytest.raises(Refused, match="Others can rename"):
        room.require(1, what="A dump", instead="")
    tmp_path.chmod(0o1777)
    assert room.require(1, what="A dump", instead="")["path"] == str(tmp_path)


def test_one_that_is_swept_before_it_is_held_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, swept = os.open, []

    def swept_once(path: str, *more: int) -> int:
        if not swept:
            swept.append(path)
            os.rmdir(path)
        return real(path, *more)

    monkeypatch.setattr(os, "open", swept_once)
    with Room(str(tmp_path)).taken("a") as path:
        monkeypatch.undo()
        assert swept and path != swept[0] and os.path.isdir(path)


def test_what_cannot_be_removed_is_told_after_what_led_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(ActionFailed, match=r"^The dump failed\. .* could not be removed: Permission denied") as caught:
        with Room(str(tmp_path)).taken("a") as path:
            raise ActionFailed("The dump failed.", known={"left_behind": ["x"]})
    assert caught.value.known["left_behind"] == ["x", path]


def test_room_that_is_not_there_is_refused_with_its_figures(tmp_path: Path) -> None:
    told = Room(str(tmp_path)).require(1, what="It", instead="")
    assert told == {"path": str(tmp_path), "free_bytes": told["free_bytes"], "needed_bytes": 1}
    with pytest.raises(
        Refused, match=rf"^It needs room for {1 << 60} bytes, and work_dir {tmp_path} has \d+ free\."
    ) as no:
        Room(str(tmp_path)).require(1 << 60, what="It", instead=", or not")
    assert no.value.remedy == "Name a directory with more room as work_dir, or not."
    for room, said in (
        (Room(), "work_dir does not say where"),
        (Room(str(tmp_path / "gone")), "No such file"),
    ):
        with pytest.raises(BadInput, match=said):
            room.require(1, what="It", instead="")
