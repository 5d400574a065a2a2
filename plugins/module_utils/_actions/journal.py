# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's journal: append-only lines, each with the hash of the one before and the lock's token.

Whole files are written by rename, but a journal written so loses lines when two write at once (400 written, 207 kept, and
the chain still verified). So it is appended under a lock and synced; a torn last line is what a power cut leaves, and is
tolerated. Any other damage is refused, until a person has it set aside: the file stays as evidence, and a new journal goes on
from what can still be read.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core import whole_file
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    Refused,
    UnexpectedAnswer,
)

Entry = dict[str, t.Any]
#: The hash before the first line.
GENESIS = "0" * 64


@dataclasses.dataclass(frozen=True)
class Chain:
    """What a journal holds; ``head`` is the hash of its last whole line."""

    entries: tuple[Entry, ...]
    head: str
    torn: bool


def _line_hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _follow(lines: t.Sequence[bytes]) -> tuple[list[Entry], str]:
    """The entries up to the first line that does not follow the one before, and the head there."""
    entries: list[Entry] = []
    head = GENESIS
    for number, line in enumerate(lines, start=1):
        entry = _entry(line)
        if entry is None or entry.get("prev") != head or entry.get("n") != number:
            break
        entries.append(entry)
        head = _line_hash(line)
    return entries, head


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def parse_chain(content: bytes, *, where: str = "the journal") -> Chain:
    """Verify and read the lines. Raises UnexpectedAnswer when a line was changed, removed or put in."""
    lines = content.split(b"\n")
    entries, head = _follow(lines[:-1])
    if len(entries) < len(lines) - 1:
        raise UnexpectedAnswer(
            f"Line {len(entries) + 1} of {where} does not follow the one before: the journal was changed or damaged.",
            remedy="Keep the file as evidence, and look at the services themselves before anything else.",
        )
    return Chain(tuple(entries), head, bool(lines[-1]))


def first_line(path: str) -> Entry | None:
    """A journal's first line, empty where it is no entry any more.

    None where nothing was ever acknowledged: half a line is what a kill while beginning left.
    """
    try:
        with open(path, "rb") as stream:
            line = stream.readline()
    except FileNotFoundError:
        return None
    return (_entry(line) or {}) if line.endswith(b"\n") else None


def read_chain(path: str) -> Chain:
    """The journal in a file; a file that is not there has no entries."""
    try:
        with open(path, "rb") as stream:
            return parse_chain(stream.read(), where=path)
    except FileNotFoundError:
        return Chain((), GENESIS, False)


def append(path: str, records: t.Sequence[Entry], *, token: int, clock: Clock = CLOCK) -> Chain:
    """Append entries, all or none, and sync. Raises Refused for a stale token, OSError when it cannot be written."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with open(path, "rb") as stream:
            content = stream.read()
        chain = parse_chain(content, where=path)
        newest = max((entry["token"] for entry in chain.entries), default=0)
        if token < newest:
            raise Refused(
                f"The token {token} is stale: token {newest} has written to {path}.",
                remedy="Another run has taken over this release; this one must end.",
            )
        if chain.torn:  # what a power cut left of a line that nobody was told is written
            os.ftruncate(descriptor, content.rfind(b"\n") + 1)
            content = content[: content.rfind(b"\n") + 1]
        lines = _chained(records, head=chain.head, number=len(chain.entries), token=token, clock=clock)
        _write_all(descriptor, lines, len(content))
        os.fsync(descriptor)
        if not content:
            whole_file.sync_folder(os.path.dirname(path))
        return parse_chain(content + lines, where=path)
    finally:
        os.close(descriptor)


@dataclasses.dataclass(frozen=True)
class Salvage:
    """What can be read of a damaged journal; nothing proves it from ``line`` on, nor the line before it."""

    entries: tuple[Entry, ...]
    #: The first line that does not follow the one before.
    line: int
    #: Numbers of the lines that say nothing any more.
    unreadable: tuple[int, ...]
    sha256: str

    #: How the release ended, where the last line of all says so.
    ended: str


def salvage(path: str) -> Salvage:
    """Read what can be read, whatever the chain says; nothing of a file that is gone."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        content = b""
    lines = content.split(b"\n")[:-1]
    parsed = [_entry(line) for line in lines]
    entries = [entry if entry is not None and _is_telling(entry) else None for entry in parsed]
    unreadable = tuple(number for number, entry in enumerate(entries, start=1) if entry is None)
    last = entries[-1] if entries else None
    return Salvage(
        entries=tuple(entry for entry in entries if entry is not None),
        line=len(_follow(lines)[0]) + 1,
        unreadable=unreadable,
        sha256=hashlib.sha256(content).hexdigest(),
        ended=last["outcome"] if last is not None and last["event"] == "ended" else "",
    )


def _is_telling(entry: Entry) -> bool:
    """Whether a line that may be altered still has what readers of a journal rely on."""
    wanted = {"step_started": ("step",), "step_ended": ("step", "status"), "ended": ("outcome",)}
    named = ("event", *wanted.get(str(entry.get("event")), ()))
    try:
        parse_utc(str(entry.get("at")))
    except ValueError:
        return False
    return all(isinstance(entry.get(name), str) for name in named)


def set_aside(path: str, entries: t.Sequence[Entry], *, note: Entry, token: int, clock: Clock = CLOCK) -> str:
    """Keep the file beside, untouched, and put a new journal in its place; returns the kept file's path.

    The new one holds these entries, which keep their times and tokens, then ``note`` with ``kept_as``. A kill leaves the old
    journal or the new one. Raises OSError.
    """
    with open(path, "ab") as held:  # one that is gone is kept as the empty file it is worth
        fcntl.flock(held, fcntl.LOCK_EX)
        kept = _kept_beside(path)
        noted = [*entries, {**note, "kept_as": os.path.basename(kept)}]
        lines = _chained(noted, head=GENESIS, number=0, token=token, clock=clock)
        whole_file.write_whole(path, lines, mode=0o600)
    return kept


def _kept_beside(path: str) -> str:
    stem, ending = os.path.splitext(path)
    number = 1
    while True:
        kept = f"{stem}.damaged-{number}{ending}"
        try:
            os.link(path, kept)
        except FileExistsError:
            number += 1
        else:
            return kept


def _chained(records: t.Sequence[Entry], *, head: str, number: int, token: int, clock: Clock) -> bytes:
    """The lines of these records, to stand after ``number`` lines that end in ``head``."""
    lines = b""
    for count, record in enumerate(records, start=number + 1):
        entry = {"at": utc_text(clock.now()), "token": token, **record, "n": count, "prev": head}
        line = json.dumps(entry, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
        lines += line + b"\n"
        head = _line_hash(line)
    return lines


def _write_all(descriptor: int, content: bytes, size_before: int) -> None:
    written = 0
    try:
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError:
        os.ftruncate(descriptor, size_before)  # a full disk takes half a line: take it back
        raise


def write_whole(path: str, content: str, *, mode: int = 0o600) -> None:
    """Write a text file, or nothing. Raises ActionFailed naming the file."""
    try:
        whole_file.write_whole(path, content.encode("utf-8", "replace"), mode=mode)
    except OSError as problem:
        raise ActionFailed(
            f"{path} cannot be written: {problem.strerror}.",
            remedy=f"Make room or give rights in {os.path.dirname(path)}.",
        ) from None
