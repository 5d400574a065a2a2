# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real file system that is soon full, or that nobody may write."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from pathlib import Path

from tests.parts import need_part


@contextlib.contextmanager
def small_disk(path: Path, *, kibibytes: int = 1500) -> t.Iterator[None]:
    """Mounted at ``path``, which it makes. Skips where this machine lets nobody mount one."""
    need_part("root", os.geteuid() == 0, "only root can mount a small disk")
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(path)], check=False, capture_output=True
    )
    refused = f"this machine lets nobody mount a file system: {mounted.stderr.decode()}"
    need_part("mount", mounted.returncode == 0, refused)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(path: Path) -> None:
    """Take all the room there is, to the last octet."""
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(b"\0" * 512)


def make_read_only(path: Path) -> None:
    """What the kernel does to a disk that fails."""
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)
