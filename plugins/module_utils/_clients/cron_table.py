# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of crontab files, and when each runs: crontab(5) as Debian's cron and cronie read it. Times are those of this host's zone."""

from __future__ import annotations

import dataclasses
import datetime
import glob
import itertools
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Denied

#: Where cron looks: the system's tables, and those of users, in Debian and in Red Hat's places.
PLACES = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")
_MOST_BYTES = 1024 * 1024
#: Four years and a leap day: a day of the month that never comes is not there by then.
_FURTHEST_DAYS = 4 * 366
_NICKNAMES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
#: The five fields: lowest, highest, and names.
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 7, _DAYS),
)  # fmt: skip
_LINE = re.compile(r"\s*(?P<when>@[a-z]+|(?:[^\s#@]\S*\s+){4}\S+)\s+(?P<command>.+)\Z")
_SETTING = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*\s*=")
_ITEM = re.compile(r"(?P<low>\*|[0-9a-z]+)(?:-(?P<high>[0-9a-z]+))?(?:/(?P<step>\d+))?\Z")
#: What cron reads of a directory: with any other name, such as one with a dot, a file is left out without a word.
_READ_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line that runs something: ``when`` as it is written, ``command`` with the user before it where the file has one."""

    path: str
    line: int
    when: str
    command: str


@dataclasses.dataclass(frozen=True)
class Table:
    """What the files hold, and which of them, or of their lines, cron leaves out, with why."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]
    files: tuple[str, ...]


def read(patterns: t.Iterable[str] = PLACES) -> Table:
    """The files that the patterns name; what is not there has no line. Raises BadInput, Denied."""
    entries: list[Entry] = []
    left_out: list[str] = []
    paths: dict[str, None] = {}
    for pattern in patterns:
        if not os.path.isabs(pattern):
            raise BadInput(f"{pattern} is no absolute path of a crontab.")
        paths.update(dict.fromkeys(path for path in sorted(glob.glob(pattern)) if os.path.isfile(path)))
    for path in paths:
        if os.path.basename(os.path.dirname(path)) == "cron.d" and not _READ_NAME.match(os.path.basename(path)):
            left_out.append(f"{path} has a name that cron does not read: letters, digits, - and _ alone")
            continue
        _take(path, entries, left_out)
    return Table(tuple(entries), tuple(left_out), tuple(paths))


def _take(path: str, entries: list[Entry], left_out: list[str]) -> None:
    try:
        text = read_whole(path, max_bytes=_MOST_BYTES).octets.decode("utf-8", "replace")
    except Denied as problem:
        raise Denied(problem.message, remedy="Run this item with become: true.")
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        match = _LINE.match(line)
        if match is None or line.lstrip().startswith("#") or _SETTING.match(line):
            continue
        if number == len(lines):
            left_out.append(f"{path}:{number} has no newline at its end, so cron does not read it")
            continue
        entries.append(Entry(path, number, match["when"], match["command"].strip()))


def runs_after(when: str, moment: datetime.datetime, count: int) -> list[datetime.datetime]:
    """The next so many runs after a moment, in UTC; fewer where none come for years. Raises BadInput for what is no schedule."""
    local = moment.astimezone().replace(tzinfo=None)
    later = (run for run in _runs(when, local.date()) if run > local)
    return [run.astimezone(datetime.timezone.utc) for run in itertools.islice(later, count)]


def _runs(when: str, first: datetime.date) -> t.Iterator[datetime.datetime]:
    text = _NICKNAMES.get(when, when)
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise BadInput(f"{when} has no time that could be told.")
    minutes, hours, days, months, weekdays = (
        _values(field, *bounds, whole=when) for field, bounds in zip(fields, _FIELDS)
    )
    weekdays = {number % 7 for number in weekdays}
    # Where both are restricted one of them is enough; a field that begins with a star restricts nothing.
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    for offset in range(_FURTHEST_DAYS):
        day = first + datetime.timedelta(days=offset)
        fits = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month in months and (any(fits) if either else all(fits)):
            for hour, minute in itertools.product(sorted(hours), sorted(minutes)):
                yield datetime.datetime.combine(day, datetime.time(hour, minute))


def _values(field: str, lowest: int, highest: int, names: t.Mapping[str, int], *, whole: str) -> set[int]:
    found: set[int] = set()
    for item in field.lower().split(","):
        match = _ITEM.match(item)
        if match is None:
            raise BadInput(f"{whole} is no schedule that could be read: {field}.")
        if match["low"] == "*":
            low, high = lowest, highest
        else:
            low = _number(match["low"], names, whole)
            high = low if match["high"] is None else _number(match["high"], names, whole)
            high = highest if match["high"] is None and match["step"] is not None else high
        step = int(match["step"] or 1)
        if not lowest <= low <= high <= highest or step < 1:
            raise BadInput(f"{whole} is no schedule that could be read: {field}.")
        found.update(range(low, high + 1, step))
    return found


def _number(text: str, names: t.Mapping[str, int], whole: str) -> int:
    if text in names:
        return names[text]
    if not text.isdigit():
        raise BadInput(f"{whole} is no schedule that could be read: {text}.")
    return int(text)
