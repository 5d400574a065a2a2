# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a server is seen to be here, and what has no room there."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import capacity
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Refused


@pytest.mark.parametrize(
    ("holder", "began", "is_here"),
    [
        ("{parent}\n/data\n1000\n", 1001.5, True),
        # a standby of another host's server: the same path, another process
        ("1\n/data\n1000\n", 1001.5, False),
        # that process id by chance, and another start
        ("{parent}\n/data\n900\n", 1001.5, False),
        ("{parent}\n", 1001.5, False),
        ("?\n/data\n?\n", 1001.5, False),
        (None, 1001.5, False),
    ],
)
def test_a_directory_is_the_servers_where_its_lock_is_held_by_who_serves_us(
    tmp_path: Path, holder: str | None, began: float, is_here: bool
) -> None:
    if holder is not None:
        (tmp_path / "postmaster.pid").write_text(holder.format(parent=os.getppid()))
    assert capacity._is_served_from(str(tmp_path), os.getpid(), began) is is_here
    assert capacity._is_served_from(str(tmp_path), 1 << 30, began) is False


def room(path: Path, free: int | None) -> dict[str, t.Any]:
    return {"data_directory": str(path), "free_bytes": free}


def test_what_is_not_seen_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "1").write_bytes(os.urandom(1 << 20))
    capacity.require_room(room(tmp_path, None), 1000, what="It", remedy="?")
    capacity.require_room(room(tmp_path, 1000), 1000, what="It", remedy="?")
    with pytest.raises(Refused, match=r"It needs room for about 1000 bytes on the server, .* has 100 free"):
        capacity.require_room(room(tmp_path, 100), 1000, what="It", remedy="?")


def test_files_that_take_less_than_their_length_are_what_a_restored_one_takes_too(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with (tmp_path / "base" / "1").open("wb") as sparse:
        sparse.truncate(1 << 30)
    capacity.require_room(room(tmp_path, 100), 1000, what="It", remedy="?")
