# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's token, and the lock that every acting module holds on its target while it runs.

A killed controller leaves its module running to the end. So a later release must not start a step beside it: each acting
module takes an exclusive lock for its system on this host, and a token older than the highest one seen is refused. Who has
taken over waits for what the dead run left at work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import stat
import tempfile
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused

#: How long a module waits for one that an older token left at work, in seconds.
PATIENCE_SECONDS = 120.0
_STEP_SECONDS = 0.1

_TOKEN = re.compile(
    r"(?P<system>[A-Za-z0-9_.-]{1,64})/(?P<release>[A-Za-z0-9_.-]{1,64})/(?P<number>[0-9]{1,12})/(?P<nonce>[0-9a-f]{16})"
)


@dataclasses.dataclass(frozen=True)
class Token:
    """``<system>/<release id>/<monotonic number>/<nonce>``, minted by ``release`` on the state host."""

    system: str
    release: str
    number: int
    nonce: str

    @property
    def record(self) -> str:
        """The record that minted it: the nonce's first half. Two records of one system name are two systems."""
        return self.nonce[:8]

    def __str__(self) -> str:
        return f"{self.system}/{self.release}/{self.number}/{self.nonce}"

    @staticmethod
    def parse(text: str) -> Token:
        """Raises BadInput for anything else."""
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise BadInput(
                "release is not a token of a release: it is made by opsready.golive.release with state begun."
            )
        return Token(match["system"], match["release"], int(match["number"]), match["nonce"])

    @property
    def application_name(self) -> str:
        """How this release's database sessions call themselves (PostgreSQL cuts at 63 bytes)."""
        return f"opsready/{self.release}/{self.number}"[:63]


def lock_directory() -> str:
    """A directory that only this user can write, for locks that end with the boot or with us."""
    path = os.path.join(tempfile.gettempdir(), f"opsready-golive-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    seen = os.lstat(path)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise Refused(f"{path} is not a private directory of this user; remove it and try again.")
    return path


@contextlib.contextmanager
def held(release: str | None, *, doing: str, clock: Clock = CLOCK) -> t.Iterator[Token | None]:
    """Hold this host's lock of the release's system; without a release (a task of its own) there is no lock.

    Waits for a module of an older token. Raises Refused when it does not end, when another module of this or a newer
    token is at work here, and when a newer release was seen.
    """
    if release is None:
        yield None
        return
    token = Token.parse(release)
    path = os.path.join(lock_directory(), f"{token.system}-{token.record}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = Deadline(PATIENCE_SECONDS, clock=clock)
        while not _locked(descriptor):
            other = _read(descriptor)
            if int(other.get("number", token.number)) >= token.number or deadline.expired():
                raise Refused(
                    f"Another step of {token.system} is at work on this host: {other.get('doing', 'unknown')} of release "
                    f"{other.get('release', 'unknown')} (process {other.get('pid', 'unknown')}).",
                    remedy="Wait for it to end, then read `status` before anything else.",
                )
            clock.sleep(_STEP_SECONDS)
        seen = _read(descriptor)
        if int(seen.get("number", 0)) > token.number:
            raise Refused(
                f"The token of release {token.release} is stale: release {seen.get('release')} has taken over.",
                remedy="Read `status`; this run must end.",
            )
        note = {"number": token.number, "release": token.release, "doing": doing, "pid": os.getpid()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield token
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> dict[str, t.Any]:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:  # torn by a crash: the flock is what protects, the note only explains
        return {}
    return note if isinstance(note, dict) else {}
