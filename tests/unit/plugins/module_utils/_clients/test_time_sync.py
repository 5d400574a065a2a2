# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who says whether a clock is kept right, and whose word counts where they differ."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import time_sync
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut, Unreachable

if t.TYPE_CHECKING:
    from pathlib import Path

#: As chronyc 4.3 prints them with -c.
TRACKING = "C0000201,192.0.2.1,3,1700000000.1,-0.000012,0.000034,0.000045,-12.3,0.001,0.02,0.0123,0.0012,64.4,{}"
NONE = "no-such-program"


def chronyc(folder: Path, script: str) -> str:
    path = folder / "chronyc"
    path.write_text(f"#!/bin/sh\n[ \"$*\" = '-c tracking' ] || exit 9\n{script}\n")
    path.chmod(0o755)
    return str(path)


def asked(root: Path, *, kernel: bool | None, chrony: str = NONE, seconds: float = 5.0) -> time_sync.Synchronisation:
    return time_sync.synchronisation(deadline=Deadline(seconds), root=str(root), chronyc=chrony, kernel=lambda: kernel)


@pytest.mark.parametrize(
    ("kernel", "leap", "holds", "said_by"),
    [
        (True, "Not synchronised", True, "the kernel"),
        (False, "Normal", True, "chrony"),
        (False, "Insert second", True, "chrony"),
        (False, "Not synchronised", False, "chrony"),
        (None, "Normal", True, "chrony"),
        (None, "Not synchronised", False, "chrony"),
    ],
)
def test_chrony_is_asked_where_the_kernel_does_not_say_that_all_is_well(
    tmp_path: Path, kernel: bool | None, leap: str, holds: bool, said_by: str
) -> None:
    found = asked(tmp_path, kernel=kernel, chrony=chronyc(tmp_path, f"echo '{TRACKING.format(leap)}'"))
    assert found == time_sync.Synchronisation(holds, said_by)


@pytest.mark.parametrize("script", ["echo '506 Cannot talk to daemon'; exit 1", "echo nonsense"])
def test_a_chrony_that_does_not_run_says_nothing(tmp_path: Path, script: str) -> None:
    found = asked(tmp_path, kernel=False, chrony=chronyc(tmp_path, script))
    assert found == time_sync.Synchronisation(False, "the kernel")


def test_a_chrony_that_hangs_is_timed_out(tmp_path: Path) -> None:
    with pytest.raises(TimedOut):
        asked(tmp_path, kernel=False, chrony=chronyc(tmp_path, "exec sleep 600"), seconds=0.3)


def test_systemd_timesyncd_counts_where_the_kernel_says_nothing(tmp_path: Path) -> None:
    """Its file stays from the first time on, also where it has lost its server since."""
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert asked(tmp_path, kernel=None) == time_sync.Synchronisation(True, "systemd-timesyncd")
    assert asked(tmp_path, kernel=False) == time_sync.Synchronisation(False, "the kernel")


def test_where_nobody_can_tell_it_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be told here") as raised:
        asked(tmp_path, kernel=None)
    assert "clock.url" in raised.value.remedy


class Libc:
    """adjtimex(2) as it would answer."""

    def __init__(self, state: int, status: int = 0) -> None:
        self.state, self.status = state, status

    def adjtimex(self, answered: t.Any) -> int:
        answered._obj.status = self.status
        return self.state


@pytest.mark.parametrize(
    ("libc", "told"),
    [(Libc(0), True), (Libc(5, 0x40), False), (Libc(0, 0x40), False), (Libc(5), False), (Libc(-1), None), (object(), None)],
)  # fmt: skip
def test_the_kernels_word(monkeypatch: pytest.MonkeyPatch, libc: t.Any, told: bool | None) -> None:
    monkeypatch.setattr(time_sync.ctypes, "CDLL", lambda _name: libc)
    assert time_sync.kernel_is_synchronised() is told


def test_this_kernel_has_a_word() -> None:
    assert time_sync.kernel_is_synchronised() in (True, False, None)
