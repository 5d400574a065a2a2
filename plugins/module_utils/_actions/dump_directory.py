# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump's directory format: several jobs write a file for each table, and each file is an object of the backup.

A directory cannot be streamed. At ``file:///`` it is written where it stays; for an object store, and where it is encrypted, it
is written to ``work_dir`` first. Either way it is a backup only once its manifest is there, which is after ``pg_dump`` ended with 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import subprocess
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    age,
    manifest,
    pg_programs,
    work_directory,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    CHUNK_BYTES,
    Destination,
    Directory,
    Stored,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.side_by_side import GoOn, side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._actions.work_directory import Room
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    CommandFailed,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import sync_folder

FORMATS = ("custom", "directory")
#: What a dump without compression may need of the database's size: bytes are written as two digits each.
_UNCOMPRESSED = 2
#: What is to be known of so many files is told of each.
_NOTES = 3


def require_jobs(jobs: int, wanted: str) -> None:
    """Raises BadInput."""
    if jobs > 1 and wanted != "directory":
        raise BadInput(
            f"jobs is {jobs}, and pg_dump writes the custom format with one.",
            remedy="Take format: directory, or leave jobs out.",
        )


def most_of(compression: str) -> int:
    """How many times the size of the database a dump may have."""
    return _UNCOMPRESSED if compression == "none" else 1


def room_for(
    place: Destination, room: Room, *, size_bytes: int, compression: str, is_encrypted: bool
) -> dict[str, t.Any] | None:
    """What the dump needs of ``work_dir``, and what there is; None where it needs nothing of it. Raises as ``Room.require``.

    The need is an estimate by the size of the database, which is what a dump that does not compress well takes.
    """
    if stays(place, is_encrypted=is_encrypted):
        return None
    return room.require(
        size_bytes * most_of(compression),
        what="A directory that is encrypted" if is_encrypted else "A directory that goes to an object store",
        instead=", or take format: custom, which needs none",
    )


def stays(place: Destination, *, is_encrypted: bool) -> bool:
    """Whether pg_dump can write where the backup lies."""
    return isinstance(place, Directory) and not is_encrypted


@dataclasses.dataclass(frozen=True)
class Dump:
    """One dump in the making: from where, to where, and what is to be known of it on the way."""

    place: Destination
    room: Room
    #: The archive's name at the place, which is that of a directory.
    archive: str
    folder: str
    encryption: age.Encryption | None
    deadline: Deadline

    def command(self, argv: t.Sequence[str], path: str) -> list[str]:
        """What pg_dump is called with. It need not sync what is synced here, or not kept."""
        return [*argv, f"--jobs={self.room.jobs}", "--no-sync", f"--file={path}"]

    @contextlib.contextmanager
    def directory(self) -> t.Iterator[str]:
        """Where pg_dump writes. One of which the files were not all stored is gone at the end."""
        if not stays(self.place, is_encrypted=self.encryption is not None):
            with self.room.taken(self.folder) as path:
                yield path
            return
        path = t.cast(Directory, self.place).made_directory(self.archive)
        try:
            yield path
        except BaseException as problem:
            work_directory.remove(path, problem)
            raise

    def ended_well(self, program: str, process: subprocess.Popen[bytes], said: pg_programs.Drained, path: str) -> None:
        """Raises CommandFailed, TimedOut."""
        try:
            pg_programs.ended_well(program, process, said, deadline=self.deadline)
        except CommandFailed as problem:
            if "No space left" in problem.stderr:
                problem.remedy = f"The disk of {path} is full, or the server's."
            raise

    @staticmethod
    def written(path: str) -> int:
        """The bytes of the files that pg_dump has made so far."""
        with os.scandir(path) as files:
            return sum(file.stat().st_size for file in files)

    def stored(self, path: str, stored: list[tuple[str, Stored]]) -> Stored:
        """Make each file an object of the backup, and add it to ``stored`` once it is; returns what they are together."""
        names = sorted(os.listdir(path))
        if manifest.CONTENTS not in names:
            raise UnexpectedAnswer(f"pg_dump ended with 0 and wrote no {manifest.CONTENTS} into {path}.")
        side_by_side(self.place, names, functools.partial(self._store, path, stored), jobs=self.room.jobs)
        stored.sort(key=lambda one: one[0])
        if stays(self.place, is_encrypted=self.encryption is not None):
            sync_folder(path)
            sync_folder(os.path.dirname(path))
        return _together(self.archive, stored)

    def _store(
        self, directory: str, stored: list[tuple[str, Stored]], place: Destination, file: str, go_on: GoOn
    ) -> None:
        self.deadline.require(f"Storing {file}")
        path, name = os.path.join(directory, file), f"{self.archive}/{file}"
        if self.encryption is None and isinstance(place, Directory):
            stored.append((name, place.adopted(name)))
            return
        size = os.stat(path).st_size
        name = name if self.encryption is None else name + age.SUFFIX
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open(path, "rb", buffering=0))
            chunks: t.Iterable[bytes] = iter(lambda: source.read(CHUNK_BYTES), b"")
            if self.encryption is not None:
                chunks = stack.enter_context(age.closing(self.encryption.stream(chunks)))
            writer = stack.enter_context(place.writer(name, estimated_bytes=size))
            for chunk in chunks:
                go_on()
                writer.write(chunk)
            stored.append((name, writer.commit()))
        os.unlink(path)


def _together(archive: str, stored: t.Sequence[tuple[str, Stored]]) -> Stored:
    """What is said of a directory: all of its bytes, the least of what holds for each file, and the digest of their digests."""
    each = [one for unused, one in stored]
    locks = [one.locked_until for one in each if one.locked_until is not None]
    is_locked = len(locks) == len(each)
    encryptions = {one.encryption for one in each}
    notes = [note for one in each for note in one.notes]
    if len(notes) > _NOTES:
        notes[_NOTES:] = [f"So it is with {len(notes) - _NOTES} more files of {archive}."]
    return Stored(
        size=sum(one.size for one in each),
        sha256=manifest.directory_sha256((name.rpartition("/")[2], one.sha256) for name, one in stored),
        crc32="",
        proven_by="size" if any(one.proven_by == "size" for one in each) else each[0].proven_by,
        notes=tuple(notes),
        encryption=encryptions.pop() if len(encryptions) == 1 else None,
        lock_mode=each[0].lock_mode if is_locked else None,
        locked_until=min(locks) if is_locked else None,
    )


def told(stored: t.Sequence[tuple[str, Stored]]) -> list[dict[str, t.Any]]:
    """The files, as the manifest has them."""
    return [
        {
            "name": name.rpartition("/")[2],
            "size": one.size,
            "sha256": one.sha256,
            "crc32": one.crc32,
            "version_id": one.version_id,
        }
        for name, one in stored
    ]
