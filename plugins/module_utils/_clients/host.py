# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's kernel and file systems say: space, memory, load, descriptors, files, accounts."""

from __future__ import annotations

import dataclasses
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import sys

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import run_command
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    CommandFailed,
    Denied,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

#: Asks for one path; it runs in a child, since statvfs() on a server that is gone sleeps in the kernel.
_ASK_STATVFS = """\
import json, os, sys
try:
    s, mount = os.statvfs(sys.argv[1]), os.path.realpath(sys.argv[1])
    device = os.stat(mount).st_dev
    while not os.path.ismount(mount):
        mount = os.path.dirname(mount)
    print(json.dumps([s.f_frsize, s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_favail, mount, device]))
except OSError as problem:
    print(json.dumps(problem.strerror))
"""
_MOST_BYTES = 16 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Space:
    """A file system, as an ordinary user may use it. Inodes are None where it counts none (btrfs)."""

    path: str
    size_bytes: int
    free_bytes: int
    free_percent: float
    free_inodes_percent: float | None
    free_inodes: int | None
    #: Where it is mounted.
    mount: str
    #: The same for all paths on one file system.
    device: int


@dataclasses.dataclass(frozen=True)
class Memory:
    """/proc/meminfo, in bytes."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int


@dataclasses.dataclass(frozen=True)
class FileSeen:
    """A file as it lies there; ``text`` and ``sha256`` only where they were asked for."""

    path: str
    kind: str
    mode: int = 0
    owner: str = ""
    group: str = ""
    size_bytes: int = 0
    changed_at: float = 0.0
    text: str | None = None
    sha256: str | None = None
    #: There is more than ``text``.
    is_cut: bool = False


def space(path: str, *, deadline: Deadline, python: str = sys.executable) -> Space:
    """Free space at a path, asked in a child that is killed at the deadline. Raises Unreachable, TimedOut."""
    try:
        answered = run_command([python, "-I", "-S", "-c", _ASK_STATVFS, path], deadline=deadline)
    except TimedOut:
        raise TimedOut(
            f"The file system at {path} did not answer within {deadline.seconds:g} s.",
            remedy="A network file system whose server is gone hangs like this: look at mount and dmesg.",
        )
    except CommandFailed as problem:
        raise UnexpectedAnswer(f"The file system at {path} could not be asked: {problem.message}")
    told = json.loads(answered.stdout)
    if isinstance(told, str):
        raise Unreachable(f"The path {path} cannot be asked for its free space: {told}.")
    block, blocks, free, available, files, free_files, mount, device = told
    usable = blocks - free + available  # what df counts: without the blocks kept for root
    return Space(
        path=path,
        size_bytes=block * blocks,
        free_bytes=block * available,
        free_percent=100.0 * available / usable if usable else 0.0,
        free_inodes_percent=100.0 * free_files / files if files else None,
        free_inodes=free_files if files else None,
        mount=mount,
        device=device,
    )


def _proc_text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read(65536)
    except OSError as problem:
        raise Unreachable(f"{path} cannot be read: {problem.strerror}.")


def memory(proc: str = "/proc") -> Memory:
    """Raises Unreachable, UnexpectedAnswer."""
    text = _proc_text(f"{proc}/meminfo")
    found = {match[1]: int(match[2]) * 1024 for match in re.finditer(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    try:
        return Memory(found["MemTotal"], found["MemAvailable"], found.get("SwapTotal", 0), found.get("SwapFree", 0))
    except KeyError as missing:
        raise UnexpectedAnswer(f"{proc}/meminfo has no line {missing}.")


def load(proc: str = "/proc") -> tuple[float, float, float]:
    """Load averages over 1, 5 and 15 minutes. Raises Unreachable, UnexpectedAnswer."""
    fields = _proc_text(f"{proc}/loadavg").split()
    try:
        return float(fields[0]), float(fields[1]), float(fields[2])
    except (IndexError, ValueError):
        raise UnexpectedAnswer(f"{proc}/loadavg cannot be read.")


def file_descriptors(proc: str = "/proc") -> tuple[int, int]:
    """Open files of the whole host, and the most there may be. Raises Unreachable, UnexpectedAnswer."""
    fields = _proc_text(f"{proc}/sys/fs/file-nr").split()
    try:
        return int(fields[0]) - int(fields[1]), int(fields[2])
    except (IndexError, ValueError):
        raise UnexpectedAnswer(f"{proc}/sys/fs/file-nr cannot be read.")


def setting(path: str, proc: str = "/proc") -> str:
    """A kernel setting by its path below /proc/sys, blanks between its values. Raises Unreachable, Denied."""
    place = f"{proc}/sys/{path}"
    try:
        with open(place, encoding="ascii", errors="replace") as stream:
            return " ".join(stream.read(65536).split())
    except FileNotFoundError:
        raise Unreachable(
            f"This kernel has no setting {path.replace('/', '.')}.",
            remedy="Load the module that it belongs to, or correct its name: sysctl --all tells what there is.",
        )
    except PermissionError:
        raise Denied(f"{place} may not be read by user id {os.geteuid()}.", remedy="Run this item with become: true.")
    except OSError as problem:
        raise Unreachable(f"{place} cannot be read: {problem.strerror}.")


def file_seen(path: str, *, with_text: bool = False, with_sha256: bool = False) -> FileSeen:
    """A file's facts; kind ``absent`` where there is none. Raises Denied, Unreachable, UnexpectedAnswer."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return FileSeen(path, "absent")
    except PermissionError:
        raise Denied(
            f"{path} may not be looked at by user id {os.geteuid()}.", remedy="Run this item with become: true."
        )
    except OSError as problem:
        raise Unreachable(f"{path} cannot be looked at: {problem.strerror}.")
    seen = FileSeen(
        path,
        _kind(status.st_mode),
        stat.S_IMODE(status.st_mode),
        _user_name(status.st_uid),
        _group_name(status.st_gid),
        status.st_size,
        status.st_mtime,
    )
    if seen.kind != "file" or not (with_text or with_sha256):
        return seen
    return _with_content(seen, with_text=with_text, with_sha256=with_sha256)


def _with_content(seen: FileSeen, *, with_text: bool, with_sha256: bool) -> FileSeen:
    digest = hashlib.sha256()
    first = b""
    try:
        with open(seen.path, "rb") as stream:
            while chunk := stream.read(1024 * 1024):
                digest.update(chunk)
                if len(first) <= _MOST_BYTES:
                    first += chunk
                elif not with_sha256:
                    break
    except PermissionError:
        raise Denied(
            f"{seen.path} may not be read by user id {os.geteuid()}.", remedy="Run this item with become: true."
        )
    except OSError as problem:
        raise Unreachable(f"{seen.path} cannot be read: {problem.strerror}.")
    return dataclasses.replace(
        seen,
        text=first[:_MOST_BYTES].decode("utf-8", "replace") if with_text else None,
        sha256=digest.hexdigest() if with_sha256 else None,
        is_cut=with_text and len(first) > _MOST_BYTES,
    )


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISFIFO, "pipe"),
    )
    return next((name for test, name in kinds if test(mode)), "device")


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def groups_of(user: str) -> list[str] | None:
    """The groups of a user, None where there is no such user."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return None
    return sorted({_group_name(number) for number in os.getgrouplist(user, account.pw_gid)})


def kernel_release() -> str:
    """What ``uname -r`` prints."""
    return os.uname().release


def usable_cpus() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
