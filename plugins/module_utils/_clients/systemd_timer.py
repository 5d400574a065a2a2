# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd timer as its unit file and drop-ins have it: what it starts, whether it is enabled, and when it elapses.

systemd.timer(5). The calendar is reckoned by systemd-analyze, which asks no service manager.
"""

from __future__ import annotations

import dataclasses
import datetime
import glob
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.systemd_unit import FOLDERS
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import (
    clean_environment,
    find_program,
    run_command,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    CommandFailed,
    MissingLibrary,
    UnexpectedAnswer,
    Unreachable,
)

_MOST_BYTES = 1024 * 1024
#: So many times are asked for at once: enough of a daily timer first, and then what takes half a second.
_FIRST_TIMES, _MORE_TIMES = 64, 4096
_ASSIGNMENT = re.compile(r"\s*(?P<name>[A-Za-z]+)\s*=\s*(?P<value>.*?)\s*\Z")
_NEVER = re.compile(r"^\s*Next elapse: never\s*$", re.M)
_ELAPSE = re.compile(
    r"^\s*(?:Next elapse|Iter\. #\d+|\(in UTC\)): \w{3} (?P<moment>[-0-9]{10} [0-9:]{8}) (?P<zone>\S+)$", re.M
)


@dataclasses.dataclass(frozen=True)
class Timer:
    """``calendar``: its OnCalendar lines; ``service``: what it starts; ``enabled``: the link that starts it with the host.

    ``path`` is the file that counts, ``masked`` the timer's or the service's own that keeps it from ever being started.
    """

    path: str
    calendar: tuple[str, ...]
    service: str
    enabled: str | None
    masked: str | None = None


def read(path: str, *, folders: t.Sequence[str] = FOLDERS) -> Timer | None:
    """The timer, or None where there is no such file. Raises BadInput, Denied, UnexpectedAnswer.

    In one of systemd's own folders a file of that name in a folder that comes before it counts in its place.
    """
    folder, name = os.path.split(path)
    if not os.path.isabs(path) or not name.endswith(".timer"):
        raise BadInput(f"schedule.timer is {path}, expected the absolute path of a timer's unit file.")
    folders = folders if folder in folders else (folder,)
    path = _that_counts(name, folders) or path
    calendar: list[str] = []
    service = f"{name[: -len('.timer')]}.service"
    drop_ins = {
        os.path.basename(one): one
        for place in reversed(folders)
        for one in glob.glob(f"{glob.escape(place)}/{name}.d/*.conf")
    }
    for file in (path, *(drop_ins[one] for one in sorted(drop_ins))):
        try:
            lines = _timer_lines(_text(file))
        except Unreachable:
            if file == path:
                return None
            continue
        for key, value in lines:
            if key == "OnCalendar":
                calendar = [*calendar, value] if value else []
            elif key == "Unit" and value:
                service = value
    wanted = (link for place in folders for link in glob.glob(f"{glob.escape(place)}/*.wants/{glob.escape(name)}"))
    files = (path, _that_counts(service, folders) or "")
    masked = next((file for file in files if os.path.realpath(file) == os.devnull), None)
    return Timer(path, tuple(calendar), service, next(wanted, None), masked)


def _that_counts(name: str, folders: t.Sequence[str]) -> str | None:
    """The file of a unit that systemd reads, be it a link to nowhere; None where no folder has one."""
    return next(filter(os.path.lexists, (f"{folder}/{name}" for folder in folders)), None)


def _text(path: str) -> str:
    if os.path.realpath(path) == os.devnull:
        return ""  # so a unit or a drop-in is masked
    return read_whole(path, max_bytes=_MOST_BYTES).octets.decode("utf-8", "replace")


def _timer_lines(text: str) -> t.Iterator[tuple[str, str]]:
    section = ""
    for line in text.replace("\\\n", " ").split("\n"):
        if line.startswith("["):
            section = line.strip()
        match = _ASSIGNMENT.match(line)
        if match is not None and section == "[Timer]" and line.lstrip()[:1] not in ("#", ";"):
            yield match["name"], match["value"]


def elapses_after(expression: str, moment: datetime.datetime, *, deadline: Deadline) -> t.Iterator[datetime.datetime]:
    """The times after a moment, in UTC, for as long as they are asked for.

    Raises BadInput, CommandFailed, MissingLibrary, TimedOut, UnexpectedAnswer.
    """
    latest, count = moment, _FIRST_TIMES
    while True:
        found = told_times(_calendar(expression, latest, count, deadline))
        yield from found
        if len(found) < count:
            return
        if found[-1] <= latest:
            raise UnexpectedAnswer(f"systemd-analyze calendar tells no later time of {expression} than before.")
        latest, count = found[-1], _MORE_TIMES


def _calendar(expression: str, moment: datetime.datetime, count: int, deadline: Deadline) -> str:
    base = moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    program = find_program(
        "systemd-analyze", remedy="It comes with systemd; run this item on the host that has the timer."
    )
    try:
        return run_command(
            [program, "calendar", f"--iterations={count}", f"--base-time={base}", "--", expression],
            deadline=deadline,
            environment={**clean_environment(), "LC_ALL": "C"},
        ).stdout
    except CommandFailed as problem:
        if "unrecognized option" in problem.stderr:
            raise MissingLibrary(
                f"systemd-analyze is too old to reckon from a given time: {problem.message}",
                remedy="It takes systemd 244. Judge an older host's backups by max_gap, or run them by cron.",
            )
        if "Failed to parse calendar specification" in problem.stderr:
            raise BadInput(
                f"systemd reads no time in OnCalendar={expression}: {problem.message}",
                remedy="Correct OnCalendar in the timer; systemd.time(7) tells how it is written.",
            )
        raise CommandFailed(
            problem.message,
            returncode=problem.returncode,
            stderr=problem.stderr,
            remedy=f"Run systemd-analyze calendar '{expression}' on this host, and see what it lacks.",
        )


def told_times(said: str) -> list[datetime.datetime]:
    """The times that ``systemd-analyze calendar`` told, in UTC; none where it said never. Raises UnexpectedAnswer."""
    times = [match["moment"] for match in _ELAPSE.finditer(said) if match["zone"] == "UTC"]
    if not times and not _NEVER.search(said):
        raise UnexpectedAnswer(
            "systemd-analyze calendar told neither a time in UTC nor that none comes.",
            remedy="Run it on this host with the timer's OnCalendar, and report what it says.",
        )
    try:
        return [
            datetime.datetime.strptime(one, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc) for one in times
        ]
    except ValueError:
        raise UnexpectedAnswer(f"systemd-analyze calendar told what is no time: {', '.join(times[:3])}.")
