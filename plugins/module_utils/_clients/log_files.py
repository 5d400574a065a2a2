# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of log files with those that were rotated away, and of the journal: since a time, and bounded in bytes.

A huge file is not read from its beginning: where the time asked for begins is searched by halving. What the bound leaves out is
the oldest part, and is told.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import dataclasses
import datetime
import glob
import gzip
import json
import lzma
import os
import re
import selectors
import stat
import subprocess
import tempfile
import typing as t
import zlib

from ansible_collections.opsready.golive.plugins.module_utils._clients.log_lines import (
    PRIORITIES,
    Batch,
    json_object,
    may_be_wrapped,
    moment_of,
    unwrapped,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.command import (
    clean_environment,
    find_program,
    kill_group,
    start,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    CommandFailed,
    Denied,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

_BLOCK = 1 << 18
_PROBE = 1 << 16
#: A longer line is judged in pieces.
_LONGEST_LINE = 1 << 16
_COMPRESSED: dict[str, t.Callable[..., t.Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: What stands behind, or before the suffix of, the name of a file that was rotated away.
_DATE = r"[.-](?:\d{8}(?:-\d{1,10})?|\d{4}-\d\d-\d\d(?:[T_.-][\d:.-]+)?)"
_PACKED = r"(?:\.(?:gz|bz2|xz|zst|Z))?"
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclasses.dataclass
class Reading:
    """What came of reading one source. ``unread_bytes`` are those that the bound left out."""

    read_bytes: int = 0
    unread_bytes: int = 0
    hole_bytes: int = 0
    undecodable_lines: int = 0
    files: list[str] = dataclasses.field(default_factory=list)
    #: why something is missing, one sentence part each
    gaps: list[str] = dataclasses.field(default_factory=list)


def paths_of(pattern: str) -> list[str]:
    """The files that a path or a pattern names, without those rotated away from another. Raises Unreachable for none."""
    found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
    if not found:
        raise Unreachable(f"No file matches {pattern}.", remedy="Correct the path, or let the service write its log.")
    if len(found) == 1:
        return found
    rotated = {other for path in found for other in rotated_of(path)}
    return [path for path in found if path not in rotated]


def rotated_of(path: str) -> list[str]:
    """Files beside it that were rotated away: app.log.1, app.log.2.gz, app.log-20261122, app-20261122.log, app.log.2026-11-22."""
    directory, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    behind = re.compile(rf"{re.escape(name)}(?:[.-]\d{{1,4}}|{_DATE}){_PACKED}")
    inside = re.compile(rf"{re.escape(stem)}{_DATE}{re.escape(suffix)}{_PACKED}")
    try:
        with os.scandir(directory or ".") as entries:
            names = [entry.name for entry in entries]
    except OSError:  # the file itself may be readable all the same
        return []
    return [os.path.join(directory, other) for other in names if behind.fullmatch(other) or inside.fullmatch(other)]


class FileSource:
    """One log file and, since a time, what was rotated away from it."""

    def __init__(
        self,
        path: str,
        *,
        since: float | None,
        is_utc: bool,
        encoding: str,
        max_bytes: int,
        deadline: Deadline,
        now: float,
    ) -> None:
        self.path = path
        self.since = since
        self.is_utc = is_utc
        self.encoding = encoding
        self.max_bytes = max_bytes
        self.deadline = deadline
        self.now = now
        self.reading = Reading()

    def moment(self, text: str) -> float | None:
        """When a line was written, by the line itself."""
        inner, moment = unwrapped(text)
        return moment if moment is not None else moment_of(inner, json_object(inner), is_utc=self.is_utc, now=self.now)

    def batches(self) -> t.Iterator[Batch]:
        """The oldest file's first. Raises Unreachable, Denied."""
        with contextlib.ExitStack() as stack:
            # Opened before its neighbours are listed: a rotation in between then loses nothing.
            current = stack.enter_context(_opened(self.path))
            opened = [(os.fstat(current.fileno()), self.path, current)]
            for path in rotated_of(self.path) if self.since is not None else []:
                try:
                    seen = os.stat(path)
                    if seen.st_mtime < (self.since or 0) or any(_same(seen, known) for known, _path, _file in opened):
                        continue
                    opened.append((seen, path, stack.enter_context(_opened(path))))
                except (OSError, Unreachable, Denied) as problem:
                    self.reading.gaps.append(
                        f"{path}, rotated away from it, cannot be read: {str(problem).rstrip('.')}"
                    )
            opened[1:] = sorted(opened[1:], key=lambda entry: entry[0].st_mtime)
            left = self._bounded([entry[1:] for entry in opened])
            for path, file, first in left:
                yield from self._lines_of(path, file, first)
            self._look_again(current)

    def _bounded(self, opened: t.Sequence[tuple[str, t.BinaryIO]]) -> list[tuple[str, t.BinaryIO, int]]:
        """Where to begin in each file, oldest file first; the bound is spent on the newest part."""
        budget = self.max_bytes
        chosen: list[tuple[str, t.BinaryIO, int]] = []
        (current, file), rotated = opened[0], opened[1:]
        for path, file_ in [(current, file), *reversed(rotated)]:
            size = os.fstat(file_.fileno()).st_size
            if os.path.splitext(path)[1] in {*_COMPRESSED, ".zst", ".Z"}:
                begin, wanted = 0, size
            else:
                begin = self._begin(file_, size)
                wanted = size - begin
            if wanted > budget:
                self.reading.unread_bytes += wanted - budget
                begin = max(begin, size - budget)
            if budget > 0:
                chosen.append((path, file_, begin))
            budget = max(0, budget - wanted)
        return list(reversed(chosen))

    def _begin(self, file: t.BinaryIO, size: int) -> int:
        """The offset of a line that is older than ``since``, and near the first that is not; 0 where nothing tells."""
        descriptor = file.fileno()
        first = _data_after(descriptor, 0, size)
        self.reading.hole_bytes += first
        if self.since is None or size - first <= _BLOCK:
            return first
        low, high = first, size
        while high - low > _PROBE:
            self.deadline.require(f"Searching {self.path} for the time to begin at")
            middle = (low + high) // 2
            moment = self._first_moment(descriptor, middle, high)
            if moment is not None and moment < self.since:
                low = middle
            else:
                high = middle
        return max(first, low - _PROBE)  # lines of several writers are not in strict order

    def _first_moment(self, descriptor: int, offset: int, end: int) -> float | None:
        """The time of the first line behind an offset that has one, within 1 MiB."""
        stop = min(end, offset + (1 << 20))
        rest = b""
        is_whole = offset == 0
        while offset < stop:
            block = os.pread(descriptor, _PROBE, offset)
            if not block:
                return None
            offset += len(block)
            pieces = (rest + block).split(b"\n")
            rest = pieces.pop()[-_LONGEST_LINE:]
            for piece in pieces if is_whole else pieces[1:]:
                moment = self.moment(piece.strip(b"\0\r").decode("utf-8", "replace"))
                if moment is not None:
                    return moment
            is_whole = is_whole or bool(pieces)
        return None

    def _lines_of(self, path: str, file: t.BinaryIO, begin: int) -> t.Iterator[Batch]:
        suffix = os.path.splitext(path)[1]
        if suffix in (".zst", ".Z"):
            self.reading.gaps.append(f"{path} is compressed in a way that Python does not read")
            return
        self.reading.files.append(path)
        stream: t.Any = file
        is_compressed = suffix in _COMPRESSED
        if is_compressed:
            stream = _COMPRESSED[suffix](file)
        else:
            file.seek(begin)
        is_torn = begin > 0 and os.pread(file.fileno(), 1, begin - 1) not in (b"\n", b"\0")
        try:
            yield from self._split(path, stream, begin, is_torn=is_torn, is_compressed=is_compressed)
        except (EOFError, OSError, zlib.error, lzma.LZMAError) as problem:
            self.reading.gaps.append(f"{path} breaks off: {problem}")

    def _split(self, path: str, stream: t.Any, begin: int, *, is_torn: bool, is_compressed: bool) -> t.Iterator[Batch]:
        """Lines with the place of each; the first is left out where we began in its middle."""
        encoding, newline = self.encoding, b"\n"
        offset, rest = begin, b""
        while True:
            if self.deadline.remaining() <= self.deadline.seconds * 0.1:
                self.reading.gaps.append(f"{path} was read up to byte {offset + len(rest)}, then the time was up")
                return
            if is_compressed and self.reading.read_bytes >= self.max_bytes:
                self.reading.gaps.append(f"{path} was read up to byte {offset + len(rest)} of its content")
                return
            block = stream.read(_BLOCK)
            if offset == 0 and not rest and block[:2] in _MARKS:
                encoding = _MARKS[block[:2]]
                newline = "\n".encode(encoding)
                block, offset = block[2:], 2
            self.reading.read_bytes += len(block)
            pieces, rest = _cut(rest + block, newline)
            if is_torn and pieces:
                offset += len(pieces.pop(0)) + len(newline)
                is_torn = False
            size = sum(map(len, pieces)) + len(newline) * len(pieces)
            if rest and not is_torn and (not block or len(rest) > _LONGEST_LINE):
                pieces.append(rest)
                size += len(rest)
                rest = b""
            if pieces:
                yield self._batch(path, offset, pieces, newline, encoding)
                offset += size
            if not block:
                return

    def _batch(self, path: str, offset: int, pieces: list[bytes], newline: bytes, encoding: str) -> Batch:
        octets = newline.join(pieces)
        if len(newline) == 1 and b"\0" in octets:
            self.reading.hole_bytes += octets.count(b"\0")
            octets = octets.replace(b"\0", b"")
        try:
            text = octets.decode(encoding)
        except UnicodeDecodeError:
            parts = octets.split(newline) if len(newline) == 1 else pieces
            text = "\n".join(self._decoded(part, encoding) for part in parts)
        texts = (text.replace("\r\n", "\n").rstrip("\r") if "\r" in text else text).split("\n")
        moments: list[float | None] | None = None
        if may_be_wrapped(text):
            pairs = [unwrapped(line) for line in texts]
            texts, moments = [inner for inner, _moment in pairs], [moment for _inner, moment in pairs]
        kept = [number for number, line in enumerate(texts) if line and not line.isspace()]

        def place(index: int) -> str:
            before = pieces[: kept[index]]
            return f"{path} byte {offset + sum(map(len, before)) + len(newline) * len(before)}"

        return Batch(
            [texts[number] for number in kept],
            place,
            None if moments is None else [moments[number] for number in kept],
        )

    def _decoded(self, piece: bytes, encoding: str) -> str:
        """Every byte is a letter of Latin-1, so that umlauts of an old program are what they were."""
        try:
            return piece.decode(encoding)
        except UnicodeDecodeError:
            self.reading.undecodable_lines += 1
            return piece.decode("latin-1") if encoding == "utf-8" else piece.decode(encoding, "replace")

    def _look_again(self, current: t.BinaryIO) -> None:
        if os.fstat(current.fileno()).st_size < current.tell():
            self.reading.gaps.append(f"{self.path} was cut short while it was read")


def _cut(octets: bytes, newline: bytes) -> tuple[list[bytes], bytes]:
    """Whole lines, and the rest; in UTF-16 a line ends at an even place."""
    if len(newline) == 1:
        pieces = octets.split(newline)
    else:
        pieces, start = [], 0
        place = octets.find(newline)
        while place >= 0:
            if (place - start) % 2:
                place = octets.find(newline, place + 1)
                continue
            pieces.append(octets[start:place])
            start = place + 2
            place = octets.find(newline, start)
        pieces.append(octets[start:])
    rest = pieces.pop()
    return pieces, rest


def _opened(path: str) -> t.BinaryIO:
    """Raises Unreachable for what is no regular file, Denied."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise Denied(
            f"{path} may not be read by this user.", remedy="Run the task with become, or add the user to its group."
        )
    except OSError as problem:
        raise Unreachable(f"{path} cannot be read: {problem.strerror}.")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreachable(f"{path} is no regular file.")
    return os.fdopen(descriptor, "rb")


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _data_after(descriptor: int, offset: int, size: int) -> int:
    """Where a hole at the beginning ends: a writer that goes on after its file was truncated leaves one."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except (OSError, AttributeError):  # nothing but a hole, or a file system that keeps none
        return offset if size else 0


# ------------------------------------------------------------------------------------------------------------ journal


def _ended(process: subprocess.Popen[bytes], deadline: Deadline) -> None:
    try:
        process.wait(timeout=max(0.1, deadline.remaining()))
    except subprocess.TimeoutExpired:
        raise TimedOut(f"journalctl did not end within {deadline.seconds:g} s.")


class JournalSource:
    """A unit's lines in the journal, by journalctl."""

    def __init__(
        self, unit: str, *, since: float | None, directory: str | None, max_bytes: int, deadline: Deadline
    ) -> None:
        if unit.startswith("-"):
            raise BadInput(f"journal is {unit!r}, which is not the name of a unit.")
        self.unit = unit
        self.since = since
        self.directory = directory
        self.max_bytes = max_bytes
        self.deadline = deadline
        self.reading = Reading()

    def _argv(self) -> list[str]:
        argv = [find_program("journalctl", remedy="Name the log file in path.")]
        argv += ["--no-pager", "--quiet", "--all", "--output=json", "--unit", self.unit]
        argv += ["--output-fields=MESSAGE,PRIORITY"]
        if self.since is not None:
            argv.append(f"--since=@{self.since:.6f}")
        if self.directory is not None:
            argv.append(f"--directory={self.directory}")
        return argv

    def batches(self) -> t.Iterator[Batch]:
        """In the order of time. Raises MissingLibrary, Denied, CommandFailed, UnexpectedAnswer."""
        with tempfile.TemporaryFile() as said:
            process = start(self._argv(), environment=clean_environment(), stderr=said)
            try:
                if process.stdout is None:
                    raise UnexpectedAnswer("journalctl has no output.")
                yield from self._entries(process.stdout)
                if not self.reading.gaps:
                    _ended(process, self.deadline)
            finally:
                kill_group(process)
                if process.stdout is not None:
                    process.stdout.close()
            said.seek(0)
            complaint = said.read(2000).decode("utf-8", "replace").strip()
        if "permission" in complaint.lower() or "not seeing messages" in complaint:
            raise Denied(
                "The journal may not be read by this user in full.",
                remedy="Run the task with become, or add the user to the group systemd-journal.",
            )
        if process.returncode not in (0, -9) or (process.returncode and not self.reading.gaps):
            raise CommandFailed(
                f"journalctl ended with code {process.returncode}: {complaint or 'it printed nothing'}.",
                returncode=process.returncode,
                stderr=complaint,
            )

    def _entries(self, stream: t.IO[bytes]) -> t.Iterator[Batch]:
        rest = b""
        descriptor = stream.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                left = self.deadline.remaining() - self.deadline.seconds * 0.1
                if left <= 0 or not selector.select(left):
                    self.reading.gaps.append(f"the journal of {self.unit} was not read to its end, the time was up")
                    return
                block = os.read(descriptor, _BLOCK)
                self.reading.read_bytes += len(block)
                pieces = (rest + block).split(b"\n")
                rest = pieces.pop()
                lines = [line for piece in pieces for line in self._entry(piece)]
                if lines:
                    yield self._batch(lines)
                if not block:
                    return
                if self.reading.read_bytes >= self.max_bytes:
                    self.reading.gaps.append(f"the journal of {self.unit} was read up to {self.max_bytes} bytes")
                    return

    def _batch(self, lines: t.Sequence[tuple[str, float, str | None]]) -> Batch:
        def place(index: int) -> str:
            moment = datetime.datetime.fromtimestamp(lines[index][1], datetime.timezone.utc)
            return f"journal of {self.unit} at {utc_text(moment)}"

        return Batch(
            [text for text, _moment, _level in lines],
            place,
            [moment for _text, moment, _level in lines],
            [level for _text, _moment, level in lines],
        )

    def _entry(self, raw: bytes) -> list[tuple[str, float, str | None]]:
        try:
            entry = json.loads(raw)
            moment = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
            message = entry.get("MESSAGE") or ""
        except (ValueError, KeyError, TypeError):
            raise UnexpectedAnswer(f"journalctl printed what is no entry for {self.unit}.")
        if isinstance(message, list) and all(isinstance(octet, int) for octet in message):
            message = bytes(message).decode("utf-8", "replace")
        if isinstance(message, list):  # a field that stands there more than once
            message = "\n".join(map(str, message))
        priority = str(entry.get("PRIORITY", ""))
        level = PRIORITIES[int(priority)] if priority.isdigit() and int(priority) < len(PRIORITIES) else None
        return [(text[:_LONGEST_LINE], moment, level) for text in str(message).splitlines() if text.strip()]
