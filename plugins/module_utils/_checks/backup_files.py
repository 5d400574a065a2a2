# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that somebody else copies to a place as backups, such as dumps of Redis: the newest one's age, size and beginning."""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import age
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import Bucket
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Facts,
    File,
    Files,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_sizes import judged_size
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import (
    size_bytes,
    size_text,
    span_seconds,
    span_text,
)

#: Of the newest file so much is read, where its beginning tells something.
_HEAD_BYTES = 4096
#: What an RDB file of Redis or Valkey begins with: a name and a version, nine bytes together.
_RDB = re.compile(rb"(?:REDIS|VALKEY)\d+")
_RDB_BYTES = 9
#: A field of an RDB file's beginning: its name and its value are strings, which may be numbers of 8, 16 or 32 bits.
_AUXILIARY = 0xFA
_NUMBERS = {0xC0: 1, 0xC1: 2, 0xC2: 4}
#: What both kinds take, and what this one alone does; the rest is of databases.
_OF_BOTH = ("destination", "s3", "kind", "max_age", "min_size_share", "history", "schedule")
_OF_FILES = ("pattern", "begins_with", "min_size")


def require_usable(params: t.Mapping[str, t.Any], spec: Spec) -> None:
    """Raises BadInput for options of the other kind, by what ``spec`` has them be, and for those of this one that cannot be used."""
    is_of_files = params["kind"] == "files"
    of_databases = [name for name in spec if name not in (*_OF_BOTH, *_OF_FILES)]
    others = of_databases if is_of_files else _OF_FILES
    given = [name for name in others if params[name] != spec[name].get("default")]
    if given:
        verb, them = ("are", "them") if len(given) > 1 else ("is", given[0])
        raise BadInput(f"{', '.join(given)} {verb} not for kind: {params['kind']}.", remedy=f"Leave {them} out.")
    size_bytes(params["min_size"], option="min_size")
    if params["begins_with"] is not None:
        _require_beginning(params["begins_with"])
    needed = "pattern" if is_of_files else "database"
    if not params[needed]:
        raise BadInput(f"{needed} is empty.")


def _require_beginning(text: str) -> None:
    """Raises BadInput for what no beginning could be."""
    if not text:
        raise BadInput("begins_with is empty.")
    if len(text) > _HEAD_BYTES:
        raise BadInput(
            f"begins_with has {len(text)} characters, and {_HEAD_BYTES} bytes of the newest file are read.",
            remedy="Give the first few; they tell what a file is.",
        )
    if not all(ord(one) < 256 for one in text):
        raise BadInput(
            "begins_with has characters that are not in Latin-1, which has one for each byte.",
            remedy="Write each byte of the file's beginning as the character of that number.",
        )


def gathered(place: Destination, params: t.Mapping[str, t.Any], run: Run) -> Files:
    """The newest file whose name matches and the ``history`` before it, and how the newest begins. Raises what the place raises."""
    files = sorted(
        (one for one in listed(place, run) if fnmatch.fnmatchcase(one.name, params["pattern"])),
        key=lambda one: (one.at, one.name),
    )
    if not files:
        return Files()
    head = _head(place, files[-1].name)
    beginning = head[: len(params["begins_with"] or "")].decode("latin-1")
    return Files(tuple(files[-params["history"] - 1 :]), beginning, saved_at(head), len(files))


def listed(place: Destination, run: Run) -> t.Iterator[File]:
    """All that lies there. Raises what the place raises."""
    if isinstance(place, Bucket):
        prefix = f"{place.prefix}/" if place.prefix else ""
        with place.translated(f"Listing {place.url('')}"):
            for page in place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=prefix):
                run.deadline.require(f"Listing {place.url('')}")
                for one in page.get("Contents", ()):
                    yield File(one["Key"][len(prefix) :], int(one["Size"]), one["LastModified"])
        return
    for name in place.names():
        try:
            seen = os.stat(t.cast(str, place.path_of(name)))
        except FileNotFoundError:  # removed since it was listed
            continue
        yield File(name, seen.st_size, datetime.datetime.fromtimestamp(seen.st_mtime, datetime.timezone.utc))


def _head(place: Destination, name: str) -> bytes:
    head = b""
    with age.closing(place.chunks(name)) as chunks:
        for chunk in chunks:
            head += chunk
            if len(head) >= _HEAD_BYTES:
                break
    return head[:_HEAD_BYTES]


def saved_at(head: bytes) -> datetime.datetime | None:
    """When the data of an RDB file was saved, as its field ``ctime`` tells; None where it is no such file, or does not tell."""
    if not _RDB.match(head):
        return None
    place = _RDB_BYTES
    try:
        while head[place] == _AUXILIARY:
            name, place = _string(head, place + 1)
            value, place = _string(head, place)
            if name == b"ctime":
                return datetime.datetime.fromtimestamp(int(value), datetime.timezone.utc)
    except (IndexError, ValueError, OverflowError, OSError):
        return None
    return None


def _string(head: bytes, place: int) -> tuple[bytes, int]:
    """A string of up to 16 KiB and the place after it. Raises IndexError, ValueError."""
    first = head[place]
    if first in _NUMBERS:
        end = place + 1 + _NUMBERS[first]
        return str(int.from_bytes(head[place + 1 : end], "little")).encode("ascii"), end
    if first >> 6 == 0:
        begin, length = place + 1, first
    elif first >> 6 == 1:
        begin, length = place + 2, (first & 0x3F) << 8 | head[place + 1]
    else:
        raise ValueError("neither a short string nor a number")
    return head[begin : begin + length], begin + length


def judged(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """There is one, new enough, large enough, as large as usual, and it begins as it should."""
    seen = facts.files
    remedy = "Copy one there now, and look at what should have done so since."
    if not seen.files:
        yield holds(
            "newest file",
            False,
            measured="none",
            expected=f"one that matches {params['pattern']}",
            sentence=f"no file at {params['destination']} matches {params['pattern']}",
            remedy=remedy,
        )
        return
    newest = seen.files[-1]
    what = "data" if seen.saved_at is not None else "file"
    yield judged_age(
        "age of the newest file",
        dataclasses.replace(newest, at=seen.saved_at or newest.at),
        facts.now,
        params["max_age"],
        called=f"the {what} of {newest.name}",
        remedy=remedy,
    )
    yield from _judge_content(newest, seen, params)
    if params["min_size_share"] > 0:
        yield judged_size(newest.size_bytes, [one.size_bytes for one in seen.files[:-1]], params)


def judged_age(name: str, newest: File, now: datetime.datetime, bound: str, *, called: str, remedy: str) -> Criterion:
    """Whether the newest that was copied is new enough; one of the future has no age."""
    seconds = (now - newest.at).total_seconds()
    if seconds < -CLOCKS_DIFFER:
        return unknown(
            name,
            f"{newest.name} is dated {span_text(-seconds)} from now, so that no age can be trusted",
            remedy="Set the clocks of this host and of the one that copies by NTP.",
        )
    age = max(0.0, seconds)
    return holds(
        name,
        age <= span_seconds(bound, option="max_age"),
        measured=span_text(age),
        expected=f"at most {bound}",
        sentence=f"{called} is {span_text(age)} old, expected at most {bound}",
        remedy=remedy,
    )


def _judge_content(newest: File, seen: Files, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    least = size_bytes(params["min_size"], option="min_size")
    yield holds(
        "least size of the newest file",
        newest.size_bytes >= least,
        measured=size_text(newest.size_bytes),
        expected=f"at least {size_text(least)}",
        sentence=f"{newest.name} has {size_text(newest.size_bytes)}, expected at least {size_text(least)}",
        remedy="Look at what was copied, and whether the copy was cut off.",
    )
    if params["begins_with"] is not None:
        yield holds(
            "beginning of the newest file",
            seen.beginning == params["begins_with"],
            measured=ascii(seen.beginning),
            expected=ascii(params["begins_with"]),
            sentence=f"{newest.name} begins with {seen.beginning!a}, expected {params['begins_with']!a}",
            remedy="It is something else. Look at what was copied.",
        )


def evidence(seen: Files) -> dict[str, t.Any]:
    """The files that were looked at, newest first, and how many match, as JSON."""
    return {
        "files": [{**dataclasses.asdict(one), "at": utc_text(one.at)} for one in reversed(seen.files)],
        "files_matching": seen.matching,
        "saved_at": None if seen.saved_at is None else utc_text(seen.saved_at),
    }
