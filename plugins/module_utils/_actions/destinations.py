# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups lie: an S3 prefix or a directory. A stream is written there and exists only once it is committed.

Writers take bytes of unknown total length in bounded memory and compute size, SHA-256 and CRC32 on the way.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import datetime
import hashlib
import io
import os
import re
import secrets
import stat
import typing as t
import zlib

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._clients import s3
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import S3, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import sync_folder

CHUNK_BYTES = 1 << 20
MANIFEST_SUFFIX = ".manifest.json"
ROLES_SUFFIX = ".roles.sql"
#: A directory that is an archive: it is there as long as one of its files is.
_ARCHIVE_DIRECTORY = re.compile(r"\d{8}T\d{6}Z-[^/]+\.dump(?:\.age)?\Z")

#: S3 options of whoever writes or reads backups: the connection, and what the server can check.
S3_PLACE: Spec = {
    **S3,
    "checksums": {"type": "str", "choices": ["full_object", "none"], "default": "full_object"},
}

#: What a backup asks of an object store with each of its uploads.
UPLOAD: Spec = {
    "object_lock": {
        "type": "dict",
        "options": {
            "mode": {"type": "str", "choices": ["governance", "compliance"], "required": True},
            "days": {"type": "int", "required": True},
        },
    },
    "tags": {"type": "dict"},
    "server_side_encryption": {"type": "str", "choices": ["AES256", "aws:kms"]},
    "kms_key_id": {"type": "str", "no_log": False},
}


@dataclasses.dataclass(frozen=True)
class Upload:
    """What is asked of a store with an upload, as headers of it: a lock, tags, encryption."""

    lock_mode: str | None = None
    locked_until: datetime.datetime | None = None
    tags: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    encryption: str | None = None
    kms_key_id: str | None = None

    @classmethod
    def of(cls, options: t.Mapping[str, t.Any] | None, *, now: datetime.datetime) -> Upload | None:
        """Of the options ``UPLOAD``, or None where they ask for nothing. Raises BadInput."""
        if not options or not any(options.values()):
            return None
        lock, tags = options["object_lock"], options["tags"] or {}
        if lock is not None and lock["days"] < 1:
            raise BadInput(f"upload.object_lock.days is {lock['days']}, expected 1 or more.")
        if options["kms_key_id"] is not None and options["server_side_encryption"] != "aws:kms":
            raise BadInput("upload.kms_key_id goes with upload.server_side_encryption: aws:kms.")
        if len(tags) > 10:
            raise BadInput(f"upload.tags has {len(tags)} tags, and an object may have 10.")
        for name, value in tags.items():
            if not 1 <= len(str(name)) <= 128 or isinstance(value, (dict, list)) or len(str(value)) > 256:
                raise BadInput(f"upload.tags: {name} is no tag: a name of 1 to 128 characters, a value of up to 256.")
        return cls(
            lock_mode=None if lock is None else lock["mode"].upper(),
            locked_until=None if lock is None else now.replace(microsecond=0) + datetime.timedelta(days=lock["days"]),
            tags={str(name): str(value) for name, value in tags.items()},
            encryption=options["server_side_encryption"],
            kms_key_id=options["kms_key_id"],
        )


@dataclasses.dataclass(frozen=True)
class Stored:
    """What was written: size in bytes, checksums in hex, the version where the bucket keeps versions.

    Encryption and lock are what the store told of it afterwards. ``notes`` is what the user should know of it, in sentences.
    """

    size: int
    sha256: str
    crc32: str
    version_id: str | None = None
    proven_by: str = "size"
    notes: tuple[str, ...] = ()
    encryption: str | None = None
    lock_mode: str | None = None
    locked_until: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Held:
    """What a place tells of an object without reading it: size in bytes; None is what it does not tell.

    ``crc32`` is that of the whole, in hex.
    """

    size: int
    crc32: str | None = None
    encryption: str | None = None
    lock_mode: str | None = None
    locked_until: datetime.datetime | None = None
    legal_hold: bool = False

    def lock_at(self, now: datetime.datetime) -> str | None:
        """What keeps it from being removed at this time; None when nothing does."""
        if self.legal_hold:
            return "a legal hold"
        if self.locked_until is not None and self.locked_until > now:
            return f"a lock until {utc_text(self.locked_until)}"
        return None


@dataclasses.dataclass(frozen=True)
class Begun:
    """Something at a place, whole or not: when it was last written, the upload where none ended it, its version if it has any."""

    name: str
    at: datetime.datetime
    upload: str | None = None
    version_id: str | None = None


class Digest:
    """Size, SHA-256 and CRC32 of a stream."""

    def __init__(self) -> None:
        self.size = 0
        self.crc32 = 0
        self._sha256 = hashlib.sha256()

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        self.size += len(chunk)
        self.crc32 = zlib.crc32(chunk, self.crc32)
        self._sha256.update(chunk)

    def stored(self, version_id: str | None = None, proven_by: str = "size", **more: t.Any) -> Stored:
        return Stored(self.size, self._sha256.hexdigest(), f"{self.crc32:08x}", version_id, proven_by, **more)


class Writer(abc.ABC):
    """One object in the making. Leaving it without ``commit`` removes every trace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.digest = Digest()
        self.committed = False

    @property
    def stored_bytes(self) -> int:
        """What the other side has taken so far."""
        return self.digest.size

    @abc.abstractmethod
    def write(self, chunk: bytes) -> None:
        """Take the next bytes; may wait for the other side."""

    @abc.abstractmethod
    def commit(self) -> Stored:
        """Make it exist, read size and checksum back."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Remove every trace; raises ActionFailed saying what could not be removed."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: t.Any, problem: BaseException | None, trace: t.Any) -> None:
        if self.committed and problem is None:
            return
        with uninterrupted():
            try:
                self.abort()
            except GoliveError as left:
                if problem is None:
                    raise
                known = getattr(problem, "known", {})
                raise ActionFailed(
                    f"{problem} Cleaning up failed too: {left}",
                    remedy=f"What {self.url} holds has no manifest, so nothing takes it for a backup; remove it by hand.",
                    known={**known, "left_behind": [*known.get("left_behind", []), self.url]},
                )


class Destination(abc.ABC):
    """A place for backups. Names are relative to it, with ``/`` between parts."""

    @abc.abstractmethod
    def url(self, name: str) -> str: ...

    @abc.abstractmethod
    def preflight(self) -> dict[str, t.Any]:
        """Whether the place is there and what is known about it. Raises Denied, UnexpectedAnswer, Unreachable."""

    @abc.abstractmethod
    def writer(self, name: str, *, estimated_bytes: int) -> Writer: ...

    @abc.abstractmethod
    def chunks(self, name: str, version_id: str | None = None) -> t.Iterator[bytes]:
        """The object's bytes. Raises s3.Absent when there is none."""

    @abc.abstractmethod
    def held(self, name: str, version_id: str | None = None) -> Held:
        """What is told of the object. Raises s3.Absent when there is none."""

    @abc.abstractmethod
    def names(self, below: str = "") -> list[str]:
        """Names of all objects below a name, sorted. Raises s3.Absent when the place itself is not there."""

    @abc.abstractmethod
    def begun(self, below: str) -> list[Begun]:
        """All that lies below a name: each version of each object, and each upload that was never completed."""

    @abc.abstractmethod
    def discard(self, one: Begun) -> None:
        """Remove exactly that. What is gone already is as wanted."""

    @abc.abstractmethod
    def remove(self, name: str, version_id: str | None = None) -> None: ...

    @abc.abstractmethod
    def close(self) -> None:
        """End the connections to it."""

    @abc.abstractmethod
    def beside(self, go_on: t.Callable[[], None]) -> Destination:
        """The same place for another thread, to be closed by whoever asked for it; ``go_on`` raises where nobody waits any more."""

    def path_of(self, name: str) -> str | None:
        """The path of what has this name, where it is a file or directory of this host."""
        return None

    def with_more_time(self) -> Destination:
        """The same place for cleaning up, when the task's own limit may have passed."""
        return self

    def put(self, name: str, body: bytes) -> Stored:
        """Write a small object whole."""
        with self.writer(name, estimated_bytes=len(body)) as writer:
            writer.write(body)
            return writer.commit()

    def read(self, name: str, *, limit: int) -> bytes:
        """A small object whole, or UnexpectedAnswer when it is larger than ``limit`` bytes."""
        body = bytearray()
        with contextlib.closing(t.cast("t.Generator[bytes, None, None]", self.chunks(name))) as chunks:
            for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    raise UnexpectedAnswer(f"{self.url(name)} is larger than {limit} bytes.")
        return bytes(body)


def destination(
    url: str,
    s3_options: t.Mapping[str, t.Any] | None,
    *,
    deadline: Deadline,
    session: s3.Session | None = None,
    upload: Upload | None = None,
) -> Destination:
    """``s3://bucket/prefix`` or ``file:///directory``. Raises BadInput for anything else."""
    if url.startswith("s3://"):
        from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import Bucket

        bucket, prefix = s3.split_url(url)
        return Bucket(bucket, prefix, s3_options or {}, deadline=deadline, session=session, upload=upload)
    if url.startswith("file:///"):
        if upload is not None:
            raise BadInput(f"{url} is a directory, and upload asks an object store for something.")
        return Directory(url[len("file://") :])
    raise BadInput(f"{url} is neither s3://bucket/prefix nor file:///directory.")


def split_object_url(url: str) -> tuple[str, str]:
    """The place and the name of one object: ``s3://bucket/a/b`` is ``("s3://bucket/a", "b")``."""
    place, slash, name = url.rpartition("/")
    if not slash or not name or place in ("s3:/", "file:/", "file://"):
        raise BadInput(f"{url} does not name a manifest.", remedy="It ends with .manifest.json; see state: listed.")
    return place, name


class Directory(Destination):
    """A directory on this host; files are 0600, written beside their place, synced, then linked into it."""

    def __init__(self, path: str) -> None:
        self.path = os.path.normpath(path)

    def _place(self, name: str) -> str:
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise BadInput(f"{name} is not a name of a backup.")
        return os.path.join(self.path, *parts)

    def close(self) -> None:
        """A directory keeps none."""

    def beside(self, go_on: t.Callable[[], None]) -> Directory:
        return self

    def url(self, name: str) -> str:
        return "file://" + self._place(name)

    def preflight(self) -> dict[str, t.Any]:
        with _files(f"Looking at {self.path}"):
            if not stat.S_ISDIR(os.stat(self.path).st_mode):
                raise BadInput(f"{self.path} is not a directory.")
            room = os.statvfs(self.path)
        if not os.access(self.path, os.W_OK | os.X_OK, effective_ids=True):
            raise Denied(f"{self.path} cannot be written by this user.")
        return {"free_bytes": room.f_bavail * room.f_frsize}

    def writer(self, name: str, *, estimated_bytes: int) -> Writer:
        return _FileWriter(self._place(name))

    def chunks(self, name: str, version_id: str | None = None) -> t.Iterator[bytes]:
        path = self._place(name)
        with _files(f"Reading {path}"), _opened(path) as source:
            while True:
                chunk = source.read(CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    def path_of(self, name: str) -> str | None:
        return self._place(name)

    def made_directory(self, name: str) -> str:
        """The path of a new directory, in which an archive is written file by file."""
        path = self._place(name)
        with _files(f"Writing {path}"):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.mkdir(path, 0o700)
        return path

    def adopted(self, name: str) -> Stored:
        """A file that a program wrote into such a directory, read once, and safe on the disk."""
        path, digest = self._place(name), Digest()
        with _files(f"Reading {path}"), _opened(path) as source:
            os.fchmod(source.fileno(), 0o600)
            for chunk in iter(lambda: source.read(CHUNK_BYTES), b""):
                digest.update(chunk)
            os.fsync(source.fileno())
        return digest.stored()

    def held(self, name: str, version_id: str | None = None) -> Held:
        path = self._place(name)
        with _files(f"Looking at {path}"):
            return Held(os.stat(path).st_size)

    def names(self, below: str = "") -> list[str]:
        def unreadable(problem: OSError) -> None:
            raise problem

        start = self._place(below) if below else self.path
        found: list[str] = []
        with _files(f"Listing {start}"):
            if not stat.S_ISDIR(os.stat(self.path).st_mode):
                raise BadInput(f"{self.path} is not a directory.")
            if not os.path.isdir(start):
                return []
            for folder, unused, files in os.walk(start, onerror=unreadable):
                found.extend(os.path.relpath(os.path.join(folder, one), self.path) for one in files)
        return sorted(found)

    def begun(self, below: str) -> list[Begun]:
        found = []
        for name in [*self.names(below), *self._empty_archives(below)]:
            path = self._place(name.rstrip("/"))
            with contextlib.suppress(s3.Absent), _files(f"Looking at {path}"):
                moment = os.stat(path).st_mtime
                found.append(Begun(name, datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)))
        return found

    def _empty_archives(self, below: str) -> list[str]:
        """Directories that a dump was about to write into; their names end with a slash."""
        start = self._place(below)
        found: list[str] = []
        with _files(f"Listing {start}"), contextlib.suppress(FileNotFoundError), os.scandir(start) as there:
            for one in there:
                if _ARCHIVE_DIRECTORY.match(one.name) and one.is_dir(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):  # it ended meanwhile
                        found += [] if os.listdir(one.path) else [f"{below}/{one.name}/"]
        return sorted(found)

    def discard(self, one: Begun) -> None:
        with contextlib.suppress(s3.Absent):
            if one.name.endswith("/"):
                _end_archive(self._place(one.name.rstrip("/")))
            else:
                self.remove(one.name)

    def remove(self, name: str, version_id: str | None = None) -> None:
        path = self._place(name)
        with _files(f"Removing {path}"):
            os.unlink(path)
        _end_archive(os.path.dirname(path))


def _end_archive(path: str) -> None:
    """A directory that was an archive, and of which no file is left, goes with the last one."""
    if _ARCHIVE_DIRECTORY.match(os.path.basename(path)):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _opened(path: str) -> io.FileIO:
    """To read. Raises OSError, and UnexpectedAnswer for what is no file."""
    # A pipe without a writer would hold an open that may block.
    source = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        source.close()
        raise UnexpectedAnswer(f"{path} is not a file.")
    return source


@contextlib.contextmanager
def _files(doing: str) -> t.Iterator[None]:
    try:
        yield
    except FileNotFoundError as problem:
        raise s3.Absent(f"{doing}: {problem.strerror} ({problem.filename}).")
    except PermissionError as problem:
        raise Denied(f"{doing}: {problem.strerror} ({problem.filename}).")
    except OSError as problem:
        raise UnexpectedAnswer(f"{doing}: {problem.strerror}.")


class _FileWriter(Writer):
    def __init__(self, path: str) -> None:
        super().__init__(f"file://{path}")
        self.path = path
        self.partial = f"{path}.partial-{secrets.token_hex(4)}"
        self._is_linked = False
        with _files(f"Writing {path}"):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            self._descriptor = os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        view = memoryview(chunk)
        with _files(f"Writing {self.path}"):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def commit(self) -> Stored:
        with _files(f"Writing {self.path}"):
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            with uninterrupted():
                # A link, unlike a rename, never replaces what is already there.
                os.link(self.partial, self.path)
                self._is_linked = True
            os.unlink(self.partial)
            sync_folder(os.path.dirname(self.path))
            size = os.stat(self.path).st_size
        if size != self.digest.size:
            raise UnexpectedAnswer(f"{self.path} has {size} bytes, but {self.digest.size} were written.")
        self.committed = True
        return self.digest.stored()

    def abort(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        # First what readers would take for a backup.
        if self._is_linked:
            with _files(f"Removing {self.path}"), contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        with _files(f"Removing {self.partial}"), contextlib.suppress(FileNotFoundError):
            os.unlink(self.partial)
        _end_archive(os.path.dirname(self.path))
