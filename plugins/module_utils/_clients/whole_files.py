# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a file whole, once, up to a bound: what is judged is what was hashed."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import os
import stat

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, UnexpectedAnswer, Unreachable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclasses.dataclass(frozen=True)
class WholeFile:
    """A file's content, its SHA-256, when it was changed last (seconds since the epoch), and who may read it."""

    path: str
    octets: bytes
    changed_at: float
    #: Permission bits, and the owner's user id.
    mode: int
    owner: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()


def read_whole(path: str, *, max_bytes: int) -> WholeFile:
    """Raises Unreachable (no such file), Denied, and UnexpectedAnswer for what is no file or larger than the bound."""
    try:
        # A pipe without a writer would hold an open that may block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise Denied(f"{path} may not be read by {_user()}.")
    except (OSError, ValueError) as problem:
        raise Unreachable(f"{path} cannot be read: {getattr(problem, 'strerror', None) or problem}.")
    seen = os.fstat(descriptor)
    if not stat.S_ISREG(seen.st_mode):
        os.close(descriptor)
        raise UnexpectedAnswer(f"{path} is not a file.")
    with os.fdopen(descriptor, "rb") as stream:
        try:
            octets = stream.read(max_bytes + 1)
        except OSError as problem:
            raise Unreachable(f"{path} cannot be read: {problem.strerror}.")
    if len(octets) > max_bytes:
        raise UnexpectedAnswer(
            f"{path} has {max(seen.st_size, len(octets))} bytes, more than the {max_bytes} that are read."
        )
    return WholeFile(path, octets, seen.st_mtime, stat.S_IMODE(seen.st_mode), seen.st_uid)


def _user() -> str:
    return f"the user with id {os.geteuid()}"


def text_of(octets: bytes) -> str:
    """Text by its byte-order mark, else UTF-8; what cannot be decoded is replaced. PowerShell writes UTF-16."""
    encoding = next((encoding for mark, encoding in _MARKS if octets.startswith(mark)), "utf-8")
    return octets.decode(encoding, "replace")
