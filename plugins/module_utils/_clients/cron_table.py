# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of crontab files, and when each runs: crontab(5) as Debian's cron and cronie read it. Times are those of this host's zone.

Of zones cronie takes CRON_TZ, for the lines after it; Debian's cron takes none. TZ is for the commands alone, in both.
"""

from __future__ import annotations

import dataclasses
import datetime
import errno
import fnmatch
import glob
import itertools
import os
import re
import stat
import typing as t
import zoneinfo

from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Denied, Unreachable

#: Where cron looks: the system's tables, and those of users, in Debian and in Red Hat's places.
PLACES = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")
#: What is written in place of a time for the start of the host.
AT_BOOT = "@reboot"
_BECOME = "Run this item with become: true."
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
_ZONE = re.compile(r"\s*(?P<quote>[\"']?)CRON_TZ(?P=quote)\s*=\s*(?P<value>.*)")
_ITEM = re.compile(r"(?P<low>\*|[0-9a-z]{1,9})(?:-(?P<high>[0-9a-z]{1,9}))?(?:/(?P<step>[0-9]{1,9}))?\Z")
#: What cron reads of a directory: with any other name, such as one with a dot, a file is left out without a word.
_READ_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")

T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line that runs something: ``when`` as it is written, ``command`` with the user before it where the file has one.

    ``zone``: what CRON_TZ is above it, or nothing.
    """

    path: str
    line: int
    when: str
    command: str
    zone: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """What the files hold, and which of them, or of their lines, cron leaves out, with why."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]
    files: tuple[str, ...]


def read(patterns: t.Iterable[str] = PLACES) -> Table:
    """The files that the patterns name; what is not there has no line. Raises BadInput, Denied, Unreachable, UnexpectedAnswer."""
    entries: list[Entry] = []
    left_out: list[str] = []
    paths: dict[str, None] = {}
    for pattern in patterns:
        if not os.path.isabs(pattern):
            raise BadInput(f"{pattern} is no absolute path of a crontab.")
        paths.update(dict.fromkeys(path for path in _named(pattern) if _is_file(path)))
    for path in paths:
        if os.path.basename(os.path.dirname(path)) == "cron.d" and not _READ_NAME.match(os.path.basename(path)):
            left_out.append(f"{path} has a name that cron does not read: letters, digits, - and _ alone")
            continue
        _take(path, entries, left_out)
    return Table(tuple(entries), tuple(left_out), tuple(paths))


def _named(pattern: str) -> list[str]:
    """What a pattern names, sorted; in place of ``glob``, which takes a directory that may not be listed for an empty one."""
    folder, name = os.path.split(pattern)
    if not glob.has_magic(pattern):
        return [pattern] if _asked(os.lstat, pattern) is not None else []
    found: list[str] = []
    is_hidden = name.startswith(".")
    for place in _named(folder) if glob.has_magic(folder) else [folder]:
        if glob.has_magic(name):
            names = sorted(fnmatch.filter(_asked(os.listdir, place) or (), name))
            found.extend(os.path.join(place, one) for one in names if is_hidden or not one.startswith("."))
        elif _asked(os.lstat, os.path.join(place, name)) is not None:
            found.append(os.path.join(place, name))
    return found


def _is_file(path: str) -> bool:
    seen = _asked(os.stat, path)
    return seen is not None and stat.S_ISREG(seen.st_mode)


def _asked(ask: t.Callable[[str], T], path: str) -> T | None:
    """What the system tells of a path, None where it is not there. Raises Denied, Unreachable."""
    try:
        return ask(path)
    except PermissionError:
        raise Denied(
            f"{path} may not be looked at by the user with id {os.geteuid()}.",
            remedy=f"{_BECOME} Or name the crontabs that count in schedule.cron_files.",
        )
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise Unreachable(f"{path} cannot be looked at: {problem.strerror}.")


def _take(path: str, entries: list[Entry], left_out: list[str]) -> None:
    try:
        text = read_whole(path, max_bytes=_MOST_BYTES).octets.decode("utf-8", "replace")
    except Denied as problem:
        raise Denied(problem.message, remedy=_BECOME)
    lines = text.split("\n")
    zone = ""
    for number, line in enumerate(lines, 1):
        match, setting = _LINE.match(line), _ZONE.match(line)
        zone = zone if setting is None else setting["value"].strip().strip("\"'")
        if match is None or line.lstrip().startswith("#") or _SETTING.match(line):
            continue
        if number == len(lines):
            left_out.append(f"{path}:{number} has no newline at its end, so cron does not read it")
            continue
        entries.append(Entry(path, number, match["when"], match["command"].strip(), zone))


def is_of_this_host(zone: str, moment: datetime.datetime) -> bool:
    """Whether clocks of a zone show what those of this host do, on each day of the year after a moment."""
    try:
        there = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    days = (moment + datetime.timedelta(days=number) for number in range(366))
    return all(one.astimezone(there).utcoffset() == one.astimezone().utcoffset() for one in days)


def runs_after(when: str, moment: datetime.datetime) -> t.Iterator[datetime.datetime]:
    """The runs after a moment, in UTC, up to four years from it. Raises BadInput at once for what is no schedule."""
    local = moment.astimezone().replace(tzinfo=None)
    runs = _runs(when, local.date())
    return (run.astimezone(datetime.timezone.utc) for run in runs if run > local)


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
    all_days = (first + datetime.timedelta(days=offset) for offset in range(_FURTHEST_DAYS))
    fitting = (
        day
        for day in all_days
        if day.month in months and (any if either else all)((day.day in days, day.isoweekday() % 7 in weekdays))
    )
    times = [datetime.time(hour, minute) for hour, minute in itertools.product(sorted(hours), sorted(minutes))]
    return (datetime.datetime.combine(day, time) for day in fitting for time in times)


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
