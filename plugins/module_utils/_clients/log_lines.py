# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line of a log says of itself: when it was written, how bad it is, and the message inside a container's wrapper."""

from __future__ import annotations

import calendar
import datetime
import json
import re
import time
import typing as t

#: How much of a line is searched for its time and its level: both stand at the beginning.
_HEAD = 200
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z\b|UTC\b|[+-]\d\d:?\d\d)?", re.ASCII
)
#: Apache and nginx: 22/Nov/2026:05:01:02 +0000
_COMMON = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})", re.ASCII)
#: RFC 3164: Nov 22 05:01:02, without a year
_SYSLOG = re.compile(r"^(?:<\d+>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)\b", re.ASCII)
_EPOCH = re.compile(r"^\[?(\d{10}(?:\.\d+)?)\b", re.ASCII)
_TIME_KEYS = ("timestamp", "@timestamp", "time", "ts", "asctime", "datetime", "date")
_LEVEL_KEYS = ("level", "levelname", "severity", "log.level", "loglevel", "log_level", "lvl")
#: The kubelet's format: time, stream, F for a full line or P for a part of one
_CRI = re.compile(r"^(\d{4}-\d\d-\d\dT\S+) (?:stdout|stderr) [FP] ", re.ASCII)
_CRI_ANYWHERE = re.compile(r" (?:stdout|stderr) [FP] ")

#: What each spelling means; the German ones are what Windows services and some house loggers write.
_LEVELS = {
    "critical": ("CRITICAL", "CRIT", "FATAL", "EMERGENCY", "EMERG", "ALERT", "PANIC", "KRITISCH"),
    "error": ("ERROR", "ERR", "SEVERE", "FEHLER"),
    "warning": ("WARNING", "WARN", "WARNUNG"),
    "info": ("INFO", "INFORMATION", "NOTICE", "HINWEIS"),
    "debug": ("DEBUG", "TRACE", "FINE", "VERBOSE"),
}
LEVELS = tuple(_LEVELS)
_LEVEL_OF = {spelling: level for level, spellings in _LEVELS.items() for spelling in spellings}
_WORDS = "|".join(sorted(_LEVEL_OF, key=len, reverse=True))
#: A word in capitals, or any case where brackets or a key say that it is a level.
_LEVEL = re.compile(
    rf"(?<![\w-])(?:({_WORDS})(?![\w-])|(?i:\[\s*({_WORDS})\s*\]|\b(?:level|severity|lvl)[\"']?\s*[=:]\s*[\"']?({_WORDS})\b))",
    re.ASCII,
)
#: One of these is in every line that is worse than info, in capitals; a search for each is fast, where _LEVEL is slow.
_BAD_WORDS = ("CRIT", "FATAL", "EMERG", "ALERT", "PANIC", "KRITISCH", "ERR", "SEVERE", "FEHLER", "WARN")
#: glog and klog: E1122 05:01:02.345678
_GLOG = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d", re.ASCII)
_GLOG_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}
#: syslog's numbers, as the journal keeps them
PRIORITIES = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")


class Batch(t.NamedTuple):
    """Lines that were read together: their texts, and beside them what was known without reading the text.

    ``place`` says where a line of the batch stands; a moment is in seconds since the epoch.
    """

    texts: list[str]
    place: t.Callable[[int], str]
    moments: list[float | None] | None = None
    levels: list[str | None] | None = None

    def moment(self, index: int) -> float | None:
        return None if self.moments is None else self.moments[index]

    def level(self, index: int) -> str | None:
        return None if self.levels is None else self.levels[index]

    def since(self, index: int) -> Batch:
        """The batch from one of its lines on."""
        if not index:
            return self
        return Batch(
            self.texts[index:],
            lambda number: self.place(number + index),
            None if self.moments is None else self.moments[index:],
            None if self.levels is None else self.levels[index:],
        )


def json_object(text: str) -> dict[str, t.Any] | None:
    """The line as a JSON object, else None."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def may_be_wrapped(text: str) -> bool:
    """Whether any line of a longer text may carry a container runtime's wrapper."""
    return '{"log":' in text or _CRI_ANYWHERE.search(text) is not None


def unwrapped(text: str) -> tuple[str, float | None]:
    """The application's own line and its time, where a container runtime wrapped it; else the line as it is."""
    if text.startswith('{"log":'):
        value = json_object(text)
        if value is not None and set(value) <= {"log", "stream", "time", "attrs"} and isinstance(value["log"], str):
            return value["log"].rstrip("\r\n"), _time_of_value(value.get("time"), is_utc=True)
    match = _CRI.match(text)
    if match:
        return text[match.end() :], _time_of_value(match[1], is_utc=True)
    return text, None


def moment_of(text: str, fields: t.Mapping[str, t.Any] | None, *, is_utc: bool, now: float) -> float | None:
    """Seconds since the epoch, from the fields of a JSON line or the beginning of any other; None where it has no time.

    A time without a zone is UTC with ``is_utc``, else the host's own.
    """
    if fields is not None:
        for key in _TIME_KEYS:
            if key in fields:
                return _time_of_value(fields[key], is_utc=is_utc)
        return None
    head = text[:_HEAD]
    match = _ISO.search(head)
    if match:
        return _of_parts([int(part) for part in match.groups()[:6]], match[7], match[8], is_utc=is_utc)
    match = _COMMON.search(head)
    if match and match[2] in _MONTHS:
        parts = [int(match[3]), _MONTHS[match[2]], int(match[1]), *(int(match[index]) for index in (4, 5, 6))]
        return _of_parts(parts, None, match[7], is_utc=is_utc)
    match = _SYSLOG.match(head)
    if match and match[1] in _MONTHS:
        return _without_year([_MONTHS[match[1]], *(int(match[index]) for index in (2, 3, 4, 5))], is_utc, now)
    match = _EPOCH.match(head)
    return float(match[1]) if match else None


def _time_of_value(value: t.Any, *, is_utc: bool) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        # Seconds, milli-, micro- or nanoseconds, told apart by their size.
        for divisor in (1.0, 1e3, 1e6, 1e9):
            if 0 < value / divisor < 1e11:
                return value / divisor
        return None
    if not isinstance(value, str):
        return None
    match = _ISO.search(value[:_HEAD])
    return _of_parts([int(p) for p in match.groups()[:6]], match[7], match[8], is_utc=is_utc) if match else None


def _of_parts(parts: t.Sequence[int], fraction: str | None, zone: str | None, *, is_utc: bool) -> float | None:
    year, month, day, hour, minute, second = parts
    try:
        moment = datetime.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=datetime.timezone.utc)
        if zone is None and not is_utc:
            seconds = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
        else:
            seconds = moment.timestamp() - _zone_seconds(zone)
    except (ValueError, OverflowError):
        return None
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)


def _zone_seconds(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _without_year(parts: t.Sequence[int], is_utc: bool, now: float) -> float | None:
    """The latest such moment that is not more than a day ahead."""
    year = time.gmtime(now).tm_year
    for candidate in (year + 1, year, year - 1):
        seconds = _of_parts([candidate, *parts], None, None, is_utc=is_utc)
        if seconds is not None and seconds <= now + 86400:
            return seconds
    return None


def may_be_bad(texts: t.Sequence[str]) -> set[int]:
    """The numbers of the lines for which ``level_of`` may be worse than info: mostly few, and found fast."""
    heads = [text[:_HEAD] for text in texts]
    found = {number for number, head in enumerate(heads) if head[:1] in ("{", "W", "E", "F")}
    capitals = "\n".join(heads).upper()
    words = [word for word in _BAD_WORDS if word in capitals]
    if words:
        found.update(n for n, head in enumerate(capitals.split("\n")) if any(word in head for word in words))
    return found


def level_of(text: str, fields: t.Mapping[str, t.Any] | None) -> str | None:
    """``critical``, ``error``, ``warning``, ``info``, ``debug``, or None where the line names no level."""
    if fields is not None:
        return _level_of_fields(fields)
    match = _LEVEL.search(text, 0, _HEAD)
    if match:
        return _LEVEL_OF[(match[1] or match[2] or match[3]).upper()]
    match = _GLOG.match(text)
    return _GLOG_LEVELS[match[1]] if match else None


def _level_of_fields(fields: t.Mapping[str, t.Any]) -> str | None:
    values = [fields[key] for key in _LEVEL_KEYS if key in fields]
    nested = fields.get("log")
    if isinstance(nested, dict) and "level" in nested:
        values.append(nested["level"])
    for value in values:
        if isinstance(value, str) and value.strip().upper() in _LEVEL_OF:
            return _LEVEL_OF[value.strip().upper()]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Python's logging and pino both count in tens, and differ by one step above warnings.
            for bound, level in ((60, "critical"), (50, "error"), (40, "error"), (30, "warning"), (20, "info")):
                if value >= bound:
                    return level
            return "debug"
    return None
