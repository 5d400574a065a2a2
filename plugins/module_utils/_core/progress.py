# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is: figures in a private file on this host, which the action plugin ``acting`` reads and shows.

``acting`` names the file by a random word in our environment. Without that word nothing is told; what cannot be written is not
told either, and changes nothing else. The file holds a phase of ours and numbers, and is gone with the module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import threading
import time
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import PLACE
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import write_whole

#: The variable of the environment that holds the word.
NAMED_BY = "OPSREADY_PROGRESS"
FILE = "figures"
#: What an action can be at.
PHASES = ("dump", "storing", "reading", "restore", "indexes", "comparison", "amcheck", "decoding", "reading back")
#: By what the whole is estimated, where it is not known.
ESTIMATED_BY = ("last backup", "database")

_WORD = re.compile("[0-9a-f]{32}")
_SECONDS_BETWEEN = 1.0
#: A folder that no module holds, and that is older than this, was left by one that was killed.
_LEFT_SECONDS = 60.0

Count = t.Callable[[], int]


class Progress:
    """What an action tells; this one tells nobody."""

    is_told = False

    def begin(
        self,
        phase: str,
        *,
        size: Count | None = None,
        stored: Count | None = None,
        whole: int | None = None,
        estimated_by: str | None = None,
        estimate: t.Callable[[], int | None] | None = None,
    ) -> None:
        """From now on the action is at this phase.

        ``size`` gives the bytes so far and ``stored`` those that their place has taken, ``whole`` is what they will be.
        ``estimate`` may find the size of the last backup instead; it is asked once, when the phase lasts.
        """

    def tables(self, done: int, of: int) -> None:
        """So many tables of so many are done, in this phase."""

    def made(self) -> None:
        """One thing more was made, in this phase."""


#: For whoever calls an action's parts without being watched.
SILENT = Progress()


@dataclasses.dataclass
class _Phase:
    name: str
    began: float
    size: Count | None
    stored: Count | None
    whole: int | None
    estimated_by: str | None
    estimate: t.Callable[[], int | None] | None
    tables: tuple[int, int] | None = None
    made: int = 0

    def figures(self) -> dict[str, t.Any]:
        return {
            "phase": self.name,
            "seconds": round(time.monotonic() - self.began, 1),
            "size": None if self.size is None else self.size(),
            "stored": None if self.stored is None else self.stored(),
            "whole": self.whole,
            "estimated_by": self.estimated_by,
            "tables": None if self.tables is None else list(self.tables),
            "made": self.made,
        }


class Told(Progress):
    """Written by a thread beside the work, once a second, from the first second of work on."""

    is_told = True

    def __init__(self, word: str) -> None:
        self._folder = folder_of(word)
        self._phase: _Phase | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._descriptor: int | None = None

    def begin(
        self,
        phase: str,
        *,
        size: Count | None = None,
        stored: Count | None = None,
        whole: int | None = None,
        estimated_by: str | None = None,
        estimate: t.Callable[[], int | None] | None = None,
    ) -> None:
        self._phase = _Phase(phase, time.monotonic(), size, stored, whole, estimated_by, estimate)
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell, name="opsready-progress", daemon=True)
            self._thread.start()

    def tables(self, done: int, of: int) -> None:
        if self._phase is not None:
            self._phase.tables = (done, of)

    def made(self) -> None:
        if self._phase is not None:
            self._phase.made += 1

    def end(self) -> None:
        """Leave nothing behind, and write nothing any more."""
        with self._writing:
            self._ended.set()
            if self._descriptor is not None:
                # what stays is harmless, and swept by the next module: no reason to fail finished work
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._descriptor)

    def _tell(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN):
            phase = self._phase
            if phase is None:
                continue
            with contextlib.suppress(Exception):  # a full disk, a file that is gone by now: no matter of the work's
                self._write(phase)
            if phase.estimate is not None:
                asked, phase.estimate = phase.estimate, None
                expected = _expected(asked)
                if expected is not None:
                    phase.whole, phase.estimated_by = expected, ESTIMATED_BY[0]

    def _write(self, phase: _Phase) -> None:
        figures = json.dumps(phase.figures()).encode("ascii")
        with self._writing:
            if self._ended.is_set():
                return
            if self._descriptor is None:
                os.mkdir(self._folder, 0o700)  # one that somebody made already is not ours
                self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _sweep()
            write_whole(os.path.join(self._folder, FILE), figures, mode=0o600, survives_power_cut=False)


def folder_of(word: str) -> str:
    """Where the file of this word is, on the host where the module runs."""
    return os.path.join(PLACE, f"opsready-progress-{word}")


@contextlib.contextmanager
def telling() -> t.Iterator[Progress]:
    """What the module's work tells to whoever named a word for it."""
    word = os.environ.pop(NAMED_BY, "")
    if not _WORD.fullmatch(word):
        yield SILENT
        return
    told = Told(word)
    try:
        yield told
    finally:
        told.end()


def _expected(estimate: t.Callable[[], int | None]) -> int | None:
    with contextlib.suppress(Exception):  # an estimate is worth no failure
        return estimate()
    return None


def _sweep() -> None:
    """Remove what killed modules of this user left: a living one holds its folder, and writes into it every second."""
    for entry in os.listdir(PLACE):
        match = re.fullmatch("opsready-progress-([0-9a-f]{32})", entry)
        if match is not None:
            with contextlib.suppress(OSError):
                _sweep_one(folder_of(match[1]))


def _sweep_one(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        seen = os.fstat(descriptor)
        if seen.st_uid == os.geteuid() and time.time() - seen.st_mtime > _LEFT_SECONDS:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)  # another sweep may be at it too
    finally:
        os.close(descriptor)
