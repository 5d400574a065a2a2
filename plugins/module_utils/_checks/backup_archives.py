# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of images at a place of backups: OCI image layouts, each in a tar or in a folder, looked into without reading them whole.

Of a tar the headers are read, and of its files the index and the manifests. One that is compressed has to be read whole
for that, so it is not looked into.
"""

from __future__ import annotations

import abc
import contextlib
import os
import tarfile
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import Bucket
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import File
from ansible_collections.opsready.golive.plugins.module_utils._clients import s3
from ansible_collections.opsready.golive.plugins.module_utils._clients.image_registry import (
    INDEXES,
    MOST_MANIFEST_BYTES,
    NotThere,
)
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, UnexpectedAnswer

#: What a layout is known by: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
INDEX = "index.json"
#: So many files of a tar are looked at; an image has some ten.
_MOST_FILES = 20_000
#: A tar's headers have 512 bytes; what is read beyond that saves a question to an object store.
_WINDOW_BYTES = 64 * 1024
#: No header of a tar is larger, but for one that means harm.
_MOST_HEADER_BYTES = 1024 * 1024


class NotReadable(UnexpectedAnswer):
    """The archive is no layout, or one that cannot be looked into."""


class Layout(abc.ABC):
    """One image layout: an index, and blobs by their digests."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abc.abstractmethod
    def size_of(self, path: str) -> int:
        """Of a file in the layout, in bytes. Raises NotThere."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """A small file of the layout. Raises NotThere, UnexpectedAnswer."""

    def manifest(self, digest: str) -> bytes:
        """A manifest's own bytes. Raises NotThere, UnexpectedAnswer."""
        return self.read(_path_of(digest))

    def blob(self, digest: str) -> int:
        """A blob's size in bytes. Raises NotThere."""
        return self.size_of(_path_of(digest))

    def named(self) -> set[str]:
        """The digests of the images that the index names, and those of an index that it names. Raises NotReadable."""
        try:
            listed = _descriptors(self.read(INDEX))
            found = {digest for digest, _kind in listed}
            for digest, kind in listed:
                if kind in INDEXES:
                    with contextlib.suppress(NotThere):
                        found |= {child for child, _kind in _descriptors(self.manifest(digest))}
        except (NotThere, ValueError) as problem:
            raise NotReadable(f"{self.url} is no image layout: {getattr(problem, 'message', 'its index is damaged')}")
        return found


def _path_of(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _descriptors(octets: bytes) -> list[tuple[str, str]]:
    """Digest and media type of each that an index names. Raises ValueError."""
    document = foreign_json.read(octets)
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("no index")
    return [(str(entry.get("digest")), str(entry.get("mediaType"))) for entry in entries]


def opened(place: Destination, file: File, deadline: Deadline) -> Layout:
    """The layout in this tar, or the one whose index this is. Raises NotReadable, and what the place raises."""
    folder, _slash, name = file.name.rpartition("/")
    if name == INDEX:
        return _Folder(place, f"{folder}/" if folder else "")
    return _Tar(place, file, deadline)


class _Folder(Layout):
    def __init__(self, place: Destination, folder: str) -> None:
        super().__init__(place.url(f"{folder}{INDEX}").rpartition("/")[0])
        self._place, self._folder = place, folder

    def size_of(self, path: str) -> int:
        try:
            return self._place.held(self._folder + path).size
        except s3.Absent:
            raise NotThere(f"there is no {path}")

    def read(self, path: str) -> bytes:
        try:
            return self._place.read(self._folder + path, limit=MOST_MANIFEST_BYTES)
        except s3.Absent:
            raise NotThere(f"there is no {path}")


class _Tar(Layout):
    def __init__(self, place: Destination, file: File, deadline: Deadline) -> None:
        super().__init__(place.url(file.name))
        self._source = _Source(place, file, deadline)
        self._files = self._headers()

    def _headers(self) -> dict[str, tuple[int, int]]:
        """Where each file begins, and its size."""
        found: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(fileobj=t.cast("t.IO[bytes]", self._source), mode="r:") as archive:
                last = -1
                for _unused in range(_MOST_FILES):
                    member = archive.next()
                    if member is None:
                        return found
                    if member.offset <= last:
                        raise tarfile.ReadError("a header points back")
                    last = member.offset
                    if member.isreg() and not member.issparse():
                        found[os.path.normpath(member.name)] = (member.offset_data, member.size)
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as problem:
            raise NotReadable(f"{self.url} is no tar that can be looked into, or it is cut off: {problem}.")
        raise NotReadable(f"{self.url} holds more than the {_MOST_FILES} files that are looked at.")

    def size_of(self, path: str) -> int:
        if path not in self._files:
            raise NotThere(f"there is no {path}")
        return self._files[path][1]

    def read(self, path: str) -> bytes:
        size = self.size_of(path)
        if size > MOST_MANIFEST_BYTES:
            raise UnexpectedAnswer(
                f"{path} of {self.url} has more than the {MOST_MANIFEST_BYTES // 2**20} MiB that are read of a manifest."
            )
        return self._source.piece(self._files[path][0], size)


class _Source:
    """An object's bytes from any place in it, as ``tarfile`` asks for them."""

    def __init__(self, place: Destination, file: File, deadline: Deadline) -> None:
        self._place, self._name, self._size, self._deadline = place, file.name, file.size_bytes, deadline
        self._at = 0
        self._window, self._begin = b"", 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int) -> None:
        if offset < 0:
            raise tarfile.ReadError("a header points back")
        self._at = offset

    def read(self, length: int) -> bytes:
        if length > _MOST_HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        octets = self.piece(self._at, length)
        self._at += len(octets)
        return octets

    def piece(self, begin: int, length: int) -> bytes:
        """So many bytes from there on, fewer where it ends. Raises what the place raises."""
        end = min(begin + length, self._size)
        if begin >= end:
            return b""
        if not self._begin <= begin < end <= self._begin + len(self._window):
            self._deadline.require(f"Reading {self._place.url(self._name)}")
            self._window = self._asked(begin, min(max(length, _WINDOW_BYTES), self._size - begin))
            self._begin = begin
        return self._window[begin - self._begin : end - self._begin]

    def _asked(self, begin: int, length: int) -> bytes:
        url = self._place.url(self._name)
        if isinstance(self._place, Bucket):
            wanted = f"bytes={begin}-{begin + length - 1}"
            with self._place.translated(f"Reading {url}"):
                answer = self._place.client.get_object(
                    Bucket=self._place.bucket, Key=self._place.key(self._name), Range=wanted
                )
                with contextlib.closing(answer["Body"]) as body:
                    octets = bytes(body.read(length + 1))
        else:
            try:
                with open(t.cast(str, self._place.path_of(self._name)), "rb") as source:
                    source.seek(begin)
                    octets = source.read(length)
            except PermissionError:
                raise Denied(f"{url} cannot be read by this user.")
            except OSError as problem:
                raise NotReadable(f"{url} cannot be read: {problem.strerror}.")
        if len(octets) != length:
            raise NotReadable(
                f"{url} did not give {length} bytes from {begin} on: it changes, or its store reads no parts."
            )
        return octets
