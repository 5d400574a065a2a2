# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that a container logged, from the Docker Engine: since a time, bounded in bytes, and with the engine's time of each.

https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Container/operation/ContainerLogs
"""

from __future__ import annotations

import contextlib
import datetime
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import docker
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_files import Reading
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_lines import Batch, moment_of
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

#: The engine hands a longer line on in pieces of this size, each with a time of its own.
_PIECE = 1 << 14
#: A longer line is judged in parts.
_LONGEST_LINE = 1 << 16
_LONGEST_FRAME = 1 << 24
_STDOUT, _STDERR, _ENGINE = 1, 2, 3
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) ")
#: What a terminal takes as a change of colour, which would stand between a word and its pattern.
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_ENGINE_ERROR = b"Error grabbing logs: "


class ContainerSource:
    """What one container wrote to standard output and error, in the order of time."""

    def __init__(
        self,
        name: str,
        engine: t.Callable[[], docker.Engine],
        *,
        since: float | None,
        max_bytes: int,
        deadline: Deadline,
    ) -> None:
        """``since`` is in seconds since 1970. Raises BadInput."""
        if not docker.CONTAINER_NAME.fullmatch(name):
            raise BadInput(f"container is {name!r}, which is not the name of a container.")
        self.name = name
        self._engine = engine
        self.since = since
        self.max_bytes = max_bytes
        self.deadline = deadline
        self.reading = Reading()

    def batches(self) -> t.Iterator[Batch]:
        """The oldest lines first. Raises Unreachable, Denied, TimedOut, UnexpectedAnswer."""
        engine = self._engine()
        container = self._found(engine)
        messages = _OfTerminal() if container.has_terminal else _Frames(f"{engine.url} for {self.name}")
        # What is left of the time is for judging what was read.
        deadline = Deadline(0.9 * self.deadline.remaining(), clock=self.deadline.clock)
        with contextlib.closing(engine.log(container.id, since=self.since, deadline=deadline)) as blocks:
            try:
                for block in blocks:
                    self.reading.read_bytes += len(block)
                    yield from self._batch(messages.lines(block))
                    if self.reading.read_bytes >= self.max_bytes:
                        self.reading.gaps.append(f"what it logged was read up to {self.max_bytes} bytes")
                        break
                    deadline.require("Reading")
            except docker.NotKept:
                raise Unreachable(
                    f"The log driver of container {self.name} is {container.log_driver}, of which the engine keeps nothing to read.",
                    remedy="Let it log with json-file, local or journald, or name the file that its lines end up in.",
                )
            except GoliveError as problem:
                if not self.reading.read_bytes:
                    raise
                why = "the time was up" if isinstance(problem, TimedOut) else problem.message.rstrip(".")
                self.reading.gaps.append(f"what it logged was not read to its end: {why}")
        yield from self._batch(messages.rest())
        self.reading.gaps += messages.errors

    def _found(self, engine: docker.Engine) -> docker.Container:
        try:
            found = engine.container(self.name, deadline=self.deadline)
        except docker.NotThere:
            found = None
        # The engine would also take the beginning of an id.
        if found is None or found.name != self.name:
            raise Unreachable(
                f"{engine.url} has no container {self.name}.", remedy="docker ps --all tells what there is."
            )
        return found

    def _batch(self, lines: t.Sequence[tuple[bytes, float | None]]) -> t.Iterator[Batch]:
        read = [(_COLOUR.sub("", self._decoded(line)), moment) for line, moment in lines]
        kept = [(text, moment) for text, moment in read if text and not text.isspace()]

        def place(index: int) -> str:
            moment = kept[index][1]
            if moment is None:
                return f"container {self.name}"
            at = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
            return f"container {self.name} at {utc_text(at)}"

        if kept:
            yield Batch([text for text, _moment in kept], place, [moment for _text, moment in kept])

    def _decoded(self, line: bytes) -> str:
        line = line.rstrip(b"\r\n").replace(b"\0", b"")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self.reading.undecodable_lines += 1
            return line.decode("latin-1")


class _Line:
    """A line as it comes together: what is there of it, and the time of its first piece."""

    def __init__(self) -> None:
        self.moment: float | None = None
        self.text = b""

    def add(self, message: bytes) -> list[tuple[bytes, float | None]]:
        """The lines that a message with its time ends; a line that is too long ends by itself."""
        match = _TIME.match(message)
        if match:
            message = message[match.end() :]
            if not self.text:
                self.moment = moment_of(match[1].decode(), None, is_utc=True, now=0.0)
        self.text += message
        return self.end() if self.text.endswith(b"\n") or len(self.text) > _LONGEST_LINE else []

    def end(self) -> list[tuple[bytes, float | None]]:
        ended = [(part, self.moment) for part in self.text.split(b"\n") if part]
        self.text = b""
        return ended


class _Frames:
    """Messages of a container without a terminal: each in a frame, with the stream that it was written to."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._octets = b""
        self._lines = {_STDOUT: _Line(), _STDERR: _Line()}
        #: What the engine says that it could not read.
        self.errors: list[str] = []

    def lines(self, block: bytes) -> list[tuple[bytes, float | None]]:
        """The lines that end in the next block. Raises UnexpectedAnswer."""
        octets = self._octets + block
        ended: list[tuple[bytes, float | None]] = []
        begin = 0
        while len(octets) - begin >= 8:
            stream, length = octets[begin], int.from_bytes(octets[begin + 4 : begin + 8], "big")
            if octets[begin + 1 : begin + 4] != b"\0\0\0" or stream > _ENGINE or length > _LONGEST_FRAME:
                raise UnexpectedAnswer(f"{self._where} answered with logs, and not as Docker does.")
            if len(octets) - begin - 8 < length:
                break
            message = octets[begin + 8 : begin + 8 + length]
            begin += 8 + length
            if stream in self._lines:
                ended += self._lines[stream].add(message)
            else:
                self.errors.append(_said(message))
        self._octets = octets[begin:]
        return ended

    def rest(self) -> list[tuple[bytes, float | None]]:
        """What was begun, and not ended."""
        if self._octets:
            self.errors.append("its last message breaks off")
        return [line for each in self._lines.values() for line in each.end()]


class _OfTerminal:
    """Messages of a container with a terminal, which come as they are: each line begins with its time."""

    def __init__(self) -> None:
        self._octets = b""
        self.errors: list[str] = []

    def lines(self, block: bytes) -> list[tuple[bytes, float | None]]:
        """The lines that end in the next block."""
        pieces = (self._octets + block).split(b"\n")
        self._octets = pieces.pop()
        if len(self._octets) > _LONGEST_LINE:
            pieces.append(self._octets)
            self._octets = b""
        return [line for piece in pieces for line in self._line(piece)]

    def rest(self) -> list[tuple[bytes, float | None]]:
        return self._line(self._octets)

    def _line(self, piece: bytes) -> list[tuple[bytes, float | None]]:
        if piece.startswith(_ENGINE_ERROR):
            self.errors.append(_said(piece))
            return []
        line = _Line()
        begun = line.add(piece)
        # Of a line that came in pieces the others have a time too.
        return [(_TIME.sub(b"", text) if len(text) > _PIECE else text, moment) for text, moment in begun + line.end()]


def _said(message: bytes) -> str:
    return "the engine says: " + " ".join(message.decode("utf-8", "replace").split())[:300]
