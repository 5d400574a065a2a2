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
    UnexpectedAnswer,
    Unreachable,
)

_MOST_BYTES = 1024 * 1024
_ASSIGNMENT = re.compile(r"\s*(?P<name>[A-Za-z]+)\s*=\s*(?P<value>.*?)\s*\Z")
_ELAPSE = re.compile(
    r"^\s*(?:Next elapse|Iter\. #\d+|\(in UTC\)): \w{3} (?P<moment>[-0-9]{10} [0-9:]{8}) (?P<zone>\S+)$", re.M
)


@dataclasses.dataclass(frozen=True)
class Timer:
    """``calendar``: its OnCalendar lines; ``service``: what it starts; ``enabled``: the link that starts it with the host."""

    path: str
    calendar: tuple[str, ...]
    service: str
    enabled: str | None


def read(path: str) -> Timer | None:
    """The timer, or None where there is no such file. Raises BadInput, Denied, UnexpectedAnswer."""
    folder, name = os.path.split(path)
    if not os.path.isabs(path) or not name.endswith(".timer"):
        raise BadInput(f"schedule.timer is {path}, expected the absolute path of a timer's unit file.")
    folders = FOLDERS if folder in FOLDERS else (folder,)
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
    return Timer(path, tuple(calendar), service, next(wanted, None))


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


def elapses_after(
    expression: str, moment: datetime.datetime, count: int, *, deadline: Deadline
) -> list[datetime.datetime]:
    """The next so many times after a moment, in UTC; fewer where none come. Raises BadInput, MissingLibrary, UnexpectedAnswer."""
    base = moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    program = find_program(
        "systemd-analyze", remedy="It comes with systemd; run this item on the host that has the timer."
    )
    try:
        said = run_command(
            [program, "calendar", f"--iterations={count}", f"--base-time={base}", "--", expression],
            deadline=deadline,
            environment={**clean_environment(), "LC_ALL": "C"},
        ).stdout
    except CommandFailed as problem:
        raise BadInput(f"systemd reads no time in OnCalendar={expression}: {problem.message}")
    found = [(match["moment"], match["zone"]) for match in _ELAPSE.finditer(said)]
    times = [moment for moment, zone in found if zone == "UTC"]
    if found and not times:
        raise UnexpectedAnswer("systemd-analyze calendar told no time in UTC.")
    return [datetime.datetime.strptime(one, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc) for one in times]
