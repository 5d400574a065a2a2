# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's journal: append-only lines, each with the hash of the one before and the lock's token.

Whole files are written by rename, but a journal written so loses lines when two write at once (400 written, 207 kept, and
the chain still verified). So it is appended under a lock and synced; a torn last line is what a power cut leaves, and is
tolerated.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core import whole_file
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, utc_text
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


def parse_chain(content: bytes, *, where: str = "the journal") -> Chain:
    """Verify and read the lines. Raises UnexpectedAnswer when a line was changed, removed or put in."""
    entries: list[Entry] = []
    head = GENESIS
    lines = content.split(b"\n")
    torn = bool(lines[-1])
    for number, line in enumerate(lines[:-1], start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or entry.get("prev") != head or entry.get("n") != number:
            raise UnexpectedAnswer(
                f"Line {number} of {where} does not follow the one before: the journal was changed or damaged.",
                remedy="Keep the file as evidence, and look at the services themselves before anything else.",
            )
        entries.append(entry)
        head = _line_hash(line)
    return Chain(tuple(entries), head, torn)


def read_chain(path: str) -> Chain:
    """The journal in a file; a file that is not there has no entries."""
    try:
        with open(path, "rb") as stream:
            return parse_chain(stream.read(), where=path)
    except FileNotFoundError:
        return Chain((), GENESIS, False)


def append(path: str, records: t.Sequence[Entry], *, token: int, clock: Clock = CLOCK) -> Chain:
    """Append entries, all or none, and sync. Raises Refused for a stale token, OSError when it cannot be written."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
        head, number, lines = chain.head, len(chain.entries), b""
        for record in records:
            number += 1
            entry = {"n": number, "at": utc_text(clock.now()), "token": token, "prev": head, **record}
            line = json.dumps(entry, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
            lines += line + b"\n"
            head = _line_hash(line)
        _write_all(descriptor, lines, len(content))
        os.fsync(descriptor)
        if not content:
            whole_file.sync_folder(os.path.dirname(path))
        return parse_chain(content + lines, where=path)
    finally:
        os.close(descriptor)


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
