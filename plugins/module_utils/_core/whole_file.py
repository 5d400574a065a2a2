# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole files: written so that readers see the old one or the new one, and never a part, also after a power cut."""

from __future__ import annotations

import contextlib
import os
import tempfile


def sync_folder(path: str) -> None:
    """Have a folder's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(
    path: str, content: bytes, *, mode: int, owner: tuple[int, int] | None = None, survives_power_cut: bool = True
) -> None:
    """Temporary file, fsync, rename, fsync of the folder. Raises OSError; on any failure the old file is as it was.

    Without ``survives_power_cut`` nothing waits for the disk: for files that are of no use once the process is gone.
    """
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
            if owner is not None and (os.fstat(target.fileno()).st_uid, os.fstat(target.fileno()).st_gid) != owner:
                os.fchown(target.fileno(), *owner)
            os.fchmod(target.fileno(), mode)
            target.flush()
            if survives_power_cut:
                os.fsync(target.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if survives_power_cut:
        sync_folder(folder)
