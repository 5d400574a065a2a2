# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's token, and the lock that every acting module holds on its target while it runs.

A killed controller leaves its module running to the end. So a later release must not start a step beside it: each acting
module takes an exclusive lock for its system on this host, and a token older than the highest one seen is refused. Who has
taken over waits for what the dead run left at work.

The lock is the host's, whichever user works: each user has a file of its own, which nobody else can write, locks it first,
and then looks at every other user's. Whoever comes second of two sees the other one. Folders cannot be listed by others, and
a file's name holds the record's identity, so who has no part in the release can neither find nor hold it.
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
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Refused

#: How long a module waits for one that an older token left at work, in seconds.
PATIENCE_SECONDS = 120.0
_STEP_SECONDS = 0.1
#: Where every user's folder is, whatever TMPDIR says of one of them. Sticky: nobody takes away what is another's.
PLACE = os.path.join(os.sep, "tmp")
_FOLDER = re.compile(r"opsready-golive-(?P<user>[0-9]{1,10})(?:\.[A-Za-z0-9_]+)?")

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
    """A directory that only this user can write or list, for locks that end with the boot or with us.

    Its name can be taken by anybody before us: then it is one of a name that nobody could guess. That there may be
    several of one user harms nothing, since each lock looks at all the others. Raises ActionFailed where there is none and
    none can be made.
    """
    usual = os.path.join(PLACE, f"opsready-golive-{os.geteuid()}")
    with _writing(usual):
        with contextlib.suppress(FileExistsError):
            os.mkdir(usual, 0o700)
        candidates = [usual, *(path for path, user in _folders() if user == os.geteuid() and path != usual)]
        path = next((one for one in candidates if _is_folder_of(one, os.geteuid())), None)
        path = path or tempfile.mkdtemp(prefix=f"{os.path.basename(usual)}.", dir=PLACE)
        if stat.S_IMODE(os.lstat(path).st_mode) != _PASSABLE:
            os.chmod(path, _PASSABLE)
    return path


@contextlib.contextmanager
def _writing(path: str) -> t.Iterator[None]:
    """Raises ActionFailed for what a full or read-only file system says."""
    try:
        yield
    except OSError as problem:
        raise ActionFailed(
            f"The lock that keeps two steps of a release apart on this host cannot be written: {path}: {problem.strerror}.",
            remedy=f"Make room in {PLACE}, or have it writable, then run the same again; this step has changed nothing.",
        ) from None


def _folders() -> t.Iterator[tuple[str, int]]:
    """Every user's folders, and those that others only called so, with the user of the name."""
    for entry in sorted(os.listdir(PLACE)):
        match = _FOLDER.fullmatch(entry)
        if match is not None:
            yield os.path.join(PLACE, entry), int(match["user"])


#: Others may reach a file whose name they know, and list or write nothing.
_PASSABLE = 0o711


def _is_folder_of(path: str, user: int) -> bool:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == user and not seen.st_mode & 0o022


@contextlib.contextmanager
def held(release: str | None, *, doing: str, clock: Clock = CLOCK) -> t.Iterator[Token | None]:
    """Hold this host's lock of the release's system; without a release (a task of its own) there is no lock.

    Waits for a module of an older token. Raises Refused when it does not end, when another module of this or a newer
    token is at work here, and when a newer release was seen; ActionFailed where the lock cannot be written.
    """
    if release is None:
        yield None
        return
    token = Token.parse(release)
    name = f"{token.system}-{token.record}.lock"
    own = lock_directory()
    path = os.path.join(own, name)
    with _writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = Deadline(PATIENCE_SECONDS, clock=clock)
        _wait_for(descriptor, fcntl.LOCK_EX, token, deadline)
        _refuse_stale(token, _read(descriptor))
        note = json.dumps(
            {"number": token.number, "release": token.release, "doing": doing, "pid": os.getpid()}
        ).encode()
        with _writing(path):
            os.fchmod(descriptor, 0o644)
            os.pwrite(descriptor, note, 0)  # over the old one: a full file system takes that, and no new block
            os.ftruncate(descriptor, len(note))
        for other in _others(name, own):
            try:
                _wait_for(other, fcntl.LOCK_SH, token, deadline)
                _refuse_stale(token, _read(other))
            finally:
                os.close(other)
        yield token
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, kind: int, token: Token, deadline: Deadline) -> None:
    """Lock a file, exclusively or to look at it. Raises Refused where a module that is not older holds it."""
    while not _locked(descriptor, kind):
        other = _read(descriptor)
        is_waited_for = _is_looked_at(descriptor) or _number(other, token.number) < token.number
        if not is_waited_for or deadline.expired():
            raise Refused(
                f"Another step of {token.system} is at work on this host: {_word(other, 'doing')} of release "
                f"{_word(other, 'release')} (process {_word(other, 'pid')}{_whose(descriptor)}).",
                remedy="Wait for it to end, then read `status` before anything else.",
            )
        deadline.clock.sleep(_STEP_SECONDS)


def _is_looked_at(descriptor: int) -> bool:
    """Whether who holds it only looks, which takes a moment: such a lock is shared, a working module's is not."""
    if not _locked(descriptor, fcntl.LOCK_SH):
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # two that wait would take each other for lookers, for ever
    return True


def _refuse_stale(token: Token, seen: dict[str, t.Any]) -> None:
    if _number(seen, 0) > token.number:
        raise Refused(
            f"The token of release {token.release} is stale: {_newer(token, seen)} has taken over.",
            remedy="Read `status`; this run must end.",
        )


def _newer(token: Token, seen: dict[str, t.Any]) -> str:
    release = _word(seen, "release")
    return f"another run of it (token {_number(seen, 0)})" if release == token.release else f"release {release}"


def _others(name: str, own: str) -> t.Iterator[int]:
    """The same lock's files in all other folders, open for reading; the caller closes each.

    A folder that is closed to us holds no module at work: each opens its own before it begins.
    """
    for folder, user in _folders():
        if folder == own:
            continue
        if not _is_folder_of(folder, user):
            continue
        try:
            # A pipe in the file's place is not waited for.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(os.path.join(folder, name), flags)
        except OSError:
            continue
        seen = os.fstat(descriptor)
        if stat.S_ISREG(seen.st_mode) and seen.st_uid == user:
            yield descriptor
        else:
            os.close(descriptor)


def _number(note: dict[str, t.Any], default: int) -> int:
    number = note.get("number", default)
    return number if isinstance(number, int) else default


def _word(note: dict[str, t.Any], key: str) -> str:
    """A note's word, which another user may have written: what is no plain word is not repeated."""
    word = str(note.get(key, "unknown"))
    return word if re.fullmatch(r"[A-Za-z0-9_.: -]{1,64}", word) else "unknown"


def _whose(descriptor: int) -> str:
    user = os.fstat(descriptor).st_uid
    return "" if user == os.geteuid() else f" of user {user}"


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> dict[str, t.Any]:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:  # torn by a crash: the flock is what protects, the note only explains
        return {}
    return note if isinstance(note, dict) else {}
