# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on this host for an archive as files: where several jobs of pg_dump write, and several of pg_restore read.

Each run has a directory of its own there, which nobody else may look into, and holds its lock as long as it lives. The kernel
ends the lock with the process, so a directory whose lock is free has no maker any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import secrets
import shutil
import stat
import typing as t
from urllib.parse import quote, unquote

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    Refused,
    UnexpectedAnswer,
)

_NAME = re.compile(r"golive-(?:(?P<identity>.+)-)?[0-9a-f]{8}\.work\Z")
#: Somebody who sweeps may take a new directory for one that was left, for a moment.
_ATTEMPTS = 5
_TAKEN = "a run that is alive is at work on it"


@dataclasses.dataclass(frozen=True)
class Room:
    """What a run has on this host: a directory, if any, for so many jobs, and the id that its own ones below are named for.

    Raises BadInput for less than one job.
    """

    directory: str | None = None
    jobs: int = 1
    identity: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise BadInput(f"jobs is {self.jobs}, expected 1 or more.")

    def require(self, needed: int, *, what: str, instead: str) -> dict[str, t.Any]:
        """The directory, its free bytes and those that are needed. Raises BadInput, Denied, and Refused where there is too little.

        ``what`` needs it, as the beginning of a sentence; ``instead`` is the way without, as the end of one.
        """
        if self.directory is None:
            raise BadInput(
                f"{what} needs room for {needed} bytes on {os.uname().nodename}, and work_dir does not say where.",
                remedy=f"Name a directory with so much room as work_dir{instead}.",
            )
        with _doing(f"Looking at work_dir {self.directory}"):
            if not stat.S_ISDIR(os.stat(self.directory).st_mode):
                raise BadInput(f"work_dir {self.directory} is not a directory.")
            disk = os.statvfs(self.directory)
            _require_safe(self.directory)
        if not os.access(self.directory, os.W_OK | os.X_OK, effective_ids=True):
            raise Denied(f"work_dir {self.directory} cannot be written by this user.")
        free = disk.f_bavail * disk.f_frsize
        if free < needed:
            raise Refused(
                f"{what} needs room for {needed} bytes, and work_dir {self.directory} has {free} free.",
                remedy=f"Name a directory with more room as work_dir{instead}.",
                known={"work_dir": {"path": self.directory, "free_bytes": free, "needed_bytes": needed}},
            )
        return {"path": self.directory, "free_bytes": free, "needed_bytes": needed}

    @contextlib.contextmanager
    def taken(self, folder: str) -> t.Iterator[str]:
        """An empty directory of our own, below one of this name; it is gone at the end, whatever happens inside."""
        above = os.path.join(t.cast(str, self.directory), folder)
        path, lock = _made(above, self.identity)
        problem: BaseException | None = None
        try:
            yield path
        except BaseException as ended:
            problem = ended
            raise
        finally:
            try:
                remove(path, problem)
            finally:
                os.close(lock)


def remove(path: str, problem: BaseException | None) -> None:
    """Remove a directory with all that is in it. Raises ActionFailed, after the ``problem`` that led here, where it stays."""
    with uninterrupted():
        why = _removed(path)
    if why is None:
        return
    known = getattr(problem, "known", {})
    raise ActionFailed(
        (f"{problem} " if problem is not None else "") + f"{path} could not be removed: {why}.",
        remedy="It holds what pg_dump wrote and is no backup; remove it by hand.",
        known={**known, "left_behind": [*known.get("left_behind", []), path]},
    )


def _is_ours_alone(path: str) -> bool:
    """Whether it is a directory of this user that nobody else can change; not a link to one."""
    seen = os.lstat(path)
    return (
        stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _require_safe(path: str) -> None:
    """Raises Refused where others can put something else in the place of what is ours."""
    mode = os.stat(path).st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise Refused(
            f"Others can rename what lies in work_dir {path}, and what lies there is the whole database.",
            remedy="Name a directory that only this user can write, or set its sticky bit.",
        )


@contextlib.contextmanager
def _doing(what: str) -> t.Iterator[None]:
    try:
        yield
    except PermissionError as problem:
        raise Denied(f"{what}: {problem.strerror}.")
    except FileNotFoundError as problem:
        raise BadInput(f"{what}: {problem.strerror}.")
    except OSError as problem:
        raise UnexpectedAnswer(f"{what}: {problem.strerror}.")


def _made(above: str, identity: str | None) -> tuple[str, int]:
    """A new directory, and the descriptor that holds its lock."""
    for unused in range(_ATTEMPTS):
        parts = ["golive", *([] if identity is None else [quote(identity, safe="")]), secrets.token_hex(4)]
        path = os.path.join(above, "-".join(parts) + ".work")
        with contextlib.suppress(FileNotFoundError), _os_errors(f"Making {path}"):
            os.makedirs(above, mode=0o700, exist_ok=True)
            if not _is_ours_alone(above):
                raise Refused(
                    f"{above} is a link, or others can change it, and what lies there is the whole database.",
                    remedy="Remove it, or name another directory as work_dir.",
                )
            os.mkdir(path, 0o700)
            lock = _locked(path)
            if lock is not None:
                return path, lock
    raise UnexpectedAnswer(f"{above} is being cleared by somebody else, again and again.")


@contextlib.contextmanager
def _os_errors(what: str) -> t.Iterator[None]:
    """As ``_doing``, but what somebody removed meanwhile is for the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise (Denied if isinstance(problem, PermissionError) else UnexpectedAnswer)(f"{what}: {problem.strerror}.")


def _locked(path: str) -> int | None:
    """The descriptor that holds the lock of the directory at this path; None where somebody else holds it, or it is gone."""
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _removed(path: str) -> str | None:
    """None, or why it is there still. The directory above goes with the last one below it."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except OSError as problem:
        return f"{problem.strerror} ({problem.filename})"
    with contextlib.suppress(OSError):  # another run's is in it
        os.rmdir(os.path.dirname(path))
    return None


def left(directory: str, folder: str) -> list[tuple[str, str | None]]:
    """The directories that runs have, or had, below one of this name: path, and id where there is one."""
    above = os.path.join(directory, folder)
    with _doing(f"Looking at work_dir {directory}"):
        os.stat(directory)
        names = sorted(os.listdir(above)) if os.path.isdir(above) and _is_ours_alone(above) else []
    found = [(os.path.join(above, name), _NAME.match(name)) for name in names]
    return [
        (path, None if match["identity"] is None else unquote(match["identity"]))
        for path, match in found
        if match is not None and os.path.isdir(path) and not os.path.islink(path)
    ]


def discard(path: str, *, check_mode: bool = False) -> str | None:
    """Remove what nobody is at any more. None, or why it is left."""
    try:
        lock = _locked(path)
    except FileNotFoundError:
        return None
    except OSError as problem:
        return str(problem.strerror)
    if lock is None:
        return _TAKEN if os.path.isdir(path) else None
    try:
        return None if check_mode else _removed(path)
    finally:
        os.close(lock)
