# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program that may print without end, or leave somebody behind who holds its output open.

Of each stream the beginning is kept, up to a bound; the rest is read and dropped, so that the program does not stand still.
When the program has ended, what it printed is read and nobody is waited for.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import subprocess
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import kill_group, start
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut

#: How often a program is asked whether it has ended while nothing of it can be read, in seconds.
_LOOK_SECONDS = 0.05
#: How long a killed program may take to be gone. One that sleeps in the kernel takes as long as that does.
_REAP_SECONDS = 2.0
_PIECE = 65536


class Printed(t.NamedTuple):
    """The kept beginning of one stream, and how much it was in all."""

    text: str
    size_bytes: int
    is_cut: bool


class Ran(t.NamedTuple):
    """How a program ended."""

    returncode: int
    stdout: Printed
    stderr: Printed
    seconds: float


class _Kept:
    def __init__(self, most: int) -> None:
        self._most = most
        self._octets = bytearray()
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._octets += piece[: self._most - len(self._octets)]
        self._size += len(piece)

    def printed(self) -> Printed:
        is_cut = self._size > len(self._octets)
        return Printed(self._octets.decode("utf-8", "replace"), self._size, is_cut)


def run_bounded(
    argv: t.Sequence[str],
    *,
    deadline: Deadline,
    max_bytes: int,
    environment: t.Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin_text: str = "",
    user: pwd.struct_passwd | None = None,
) -> Ran:
    """Run a program to its end, whatever its exit code, and end all of its process group; as ``user``, if we are root.

    Raises MissingLibrary, and TimedOut with the kept output as ``stdout`` and ``stderr`` of its ``known``.
    """
    clock = deadline.clock
    began = clock.monotonic()
    process = start(argv, environment=environment, cwd=cwd, stdin=subprocess.PIPE, user=user)
    kept = {"stdout": _Kept(max_bytes), "stderr": _Kept(max_bytes)}
    try:
        with selectors.DefaultSelector() as watcher:
            for name in kept:
                stream = t.cast("t.IO[bytes]", getattr(process, name))
                os.set_blocking(stream.fileno(), False)
                watcher.register(stream, selectors.EVENT_READ, name)
            _Feeding(t.cast("t.IO[bytes]", process.stdin), stdin_text.encode("utf-8", "surrogateescape"), watcher)
            while process.poll() is None or watcher.get_map():
                has_ended, has_expired = process.poll() is not None, deadline.expired()
                if has_ended:
                    kill_group(process)  # who is left behind may print for ever
                events = watcher.select(0 if has_ended or has_expired else _LOOK_SECONDS)
                for key, _mask in events:
                    if isinstance(key.data, _Feeding):
                        key.data.go_on()
                    elif not _read(key.fd, kept[key.data]):
                        watcher.unregister(key.fileobj)
                if has_expired and not has_ended:
                    raise TimedOut(
                        f"{os.path.basename(argv[0])} did not end within {deadline.seconds:g} s.",
                        known={name: stream.printed().text for name, stream in kept.items()},
                    )
                if has_ended and (has_expired or all(isinstance(key.data, _Feeding) for key, _mask in events)):
                    break  # all that it printed was read; who still holds the pipe is not it
    finally:
        kill_group(process, reap_seconds=_REAP_SECONDS)
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                t.cast("t.IO[bytes]", pipe).close()
    return Ran(process.returncode, kept["stdout"].printed(), kept["stderr"].printed(), clock.monotonic() - began)


class _Feeding:
    """Standard input, written as fast as the program takes it, and closed."""

    def __init__(self, stream: t.IO[bytes], octets: bytes, watcher: selectors.BaseSelector) -> None:
        self._stream = stream
        self._rest = memoryview(octets)
        self._watcher = watcher
        if octets:
            os.set_blocking(stream.fileno(), False)
            watcher.register(stream, selectors.EVENT_WRITE, self)
        else:
            stream.close()

    def go_on(self) -> None:
        try:
            self._rest = self._rest[os.write(self._stream.fileno(), self._rest[:_PIECE]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it reads no further, as it may
            self._rest = self._rest[:0]
        if not self._rest:
            self._watcher.unregister(self._stream)
            self._stream.close()


def _read(descriptor: int, kept: _Kept) -> bool:
    """Whether there may be more."""
    try:
        piece = os.read(descriptor, _PIECE)
    except BlockingIOError:
        return True
    kept.add(piece)
    return bool(piece)
