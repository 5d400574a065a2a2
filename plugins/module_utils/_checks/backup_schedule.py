# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the backups, a line of a crontab or a systemd timer: when it runs next, and whether its last run made a backup."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Facts,
    Schedule,
    first_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.units import span_seconds, span_text
from ansible_collections.opsready.golive.plugins.module_utils._clients import cron_table, systemd_timer
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

SPEC: Spec = {
    "cron": {"type": "str"},
    "cron_files": {"type": "list", "elements": "path", "default": list(cron_table.PLACES)},
    "timer": {"type": "path"},
    "max_delay": {"type": "str", "default": "2h"},
}

#: So many runs from now on tell the longest time between two: six weeks of one on each working day.
_COMING = 32

#: The next so many runs after a moment.
_Runs = t.Callable[[datetime.datetime, int], "list[datetime.datetime]"]


def require_usable(options: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput."""
    if (options["cron"] is None) == (options["timer"] is None):
        raise BadInput("schedule needs one of cron and timer.")
    if options["cron"] is not None and not options["cron"].strip():
        raise BadInput("schedule.cron is empty, and any line would do.")
    if not options["cron_files"]:
        raise BadInput("schedule.cron_files is an empty list: nothing would be looked at.")
    span_seconds(options["max_delay"], option="schedule.max_delay")


def gathered(options: t.Mapping[str, t.Any], made: datetime.datetime | None, *, run: Run) -> Schedule:
    """The schedule as this host's files have it; what cannot be read is a problem of it. Raises BadInput."""
    try:
        return _timer(options, made, run) if options["timer"] is not None else _cron(options, made, run)
    except BadInput:
        raise
    except GoliveError as problem:
        return Schedule(unreadable=problem.message.rstrip("."), remedy=problem.remedy)


def _cron(options: t.Mapping[str, t.Any], made: datetime.datetime | None, run: Run) -> Schedule:
    table = cron_table.read(options["cron_files"])
    wanted, left_out = options["cron"].strip(), list(table.left_out)
    lines, times = [], []
    for entry in table.entries:
        if wanted not in entry.command:
            continue
        where = f"{entry.path}:{entry.line}"
        try:
            cron_table.runs_after(entry.when, run.clock.now(), 1)
        except BadInput as problem:
            left_out.append(f"{where}: {problem.message.rstrip('.')}")
            continue
        lines.append(f"{where} runs at {entry.when}")
        times.append(_of_line(entry.when))
    absent = "" if lines else f"no line of {first_of(table.files) or 'any crontab'} runs {wanted}"
    return _reckoned(Schedule(tuple(lines), tuple(left_out), absent), times, made, run)


def _of_line(when: str) -> _Runs:
    return lambda moment, count: cron_table.runs_after(when, moment, count)


def _timer(options: t.Mapping[str, t.Any], made: datetime.datetime | None, run: Run) -> Schedule:
    path = options["timer"]
    timer = systemd_timer.read(path)
    if timer is None:
        return Schedule(absent=f"{path} is not there")
    if timer.enabled is None:
        return Schedule(absent=f"{path} is not enabled, so nothing starts it with the host")
    if not timer.calendar:
        return Schedule(absent=f"{path} has no OnCalendar, so it runs at no time that could be told")
    lines = tuple(f"{path} starts {timer.service} at {one}" for one in timer.calendar)
    return _reckoned(Schedule(lines), [_of_calendar(one, run) for one in timer.calendar], made, run)


def _of_calendar(expression: str, run: Run) -> _Runs:
    return lambda moment, count: systemd_timer.elapses_after(expression, moment, count, deadline=run.deadline)


def _reckoned(found: Schedule, times: t.Sequence[_Runs], made: datetime.datetime | None, run: Run) -> Schedule:
    now = run.clock.now()
    coming = sorted({one for runs in times for one in runs(now, _COMING)})[:_COMING]
    due = [] if made is None else sorted(one for runs in times for one in runs(made, 1))
    return dataclasses.replace(found, coming=tuple(coming), made=made, due=due[0] if due else None)


def judged(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """It is there, runs again, often enough for ``max_age``, and its last run made a backup."""
    seen, options = facts.schedule, params["schedule"]
    if options is None or seen is None:
        return
    remedy = "Schedule the backups, and see that the schedule is read: its file's name, its last line, systemctl enable --now for a timer."
    if seen.unreadable:
        yield unknown("schedule", f"the schedule of the backups is unknown: {seen.unreadable}", remedy=seen.remedy)
        return
    ignored = f"; {first_of(seen.left_out)}" if seen.left_out else ""
    yield holds(
        "schedule",
        not seen.absent,
        measured=first_of(seen.lines) or "none",
        expected="one that runs the backups",
        sentence=f"nothing runs the backups: {seen.absent}{ignored}",
        remedy=remedy,
    )
    if seen.absent:
        return
    yield holds(
        "next run",
        bool(seen.coming),
        measured=utc_text(seen.coming[0]) if seen.coming else "none",
        expected="some time",
        sentence=f"the schedule of the backups never runs again: {first_of(seen.lines)}",
        remedy=remedy,
    )
    if len(seen.coming) > 1:
        yield _judge_distance(seen, params["max_age"])
    if seen.made is not None:
        yield _judge_last_run(seen, seen.made, facts.now, options["max_delay"])


def _judge_distance(seen: Schedule, bound: str) -> Criterion:
    longest = max((later - earlier).total_seconds() for earlier, later in zip(seen.coming, seen.coming[1:]))
    return holds(
        "longest time between runs",
        longest <= span_seconds(bound, option="max_age"),
        measured=span_text(longest),
        expected=f"at most {bound}",
        sentence=f"the schedule leaves {span_text(longest)} between two runs, and max_age is {bound}",
        remedy="Run the backups more often, or agree on losing more (RPO).",
    )


def _judge_last_run(seen: Schedule, made: datetime.datetime, now: datetime.datetime, delay: str) -> Criterion:
    due, bound = seen.due, datetime.timedelta(seconds=span_seconds(delay, option="schedule.max_delay"))
    if due is None or due > now:
        return holds(
            "last run", True, measured=f"made the one of {utc_text(made)}", expected=f"a backup within {delay}"
        )
    return holds(
        "last run",
        now <= due + bound,
        measured=f"of {utc_text(due)}, without a backup yet",
        expected=f"a backup within {delay}",
        sentence=f"the run of {utc_text(due)} made no backup that counts; the newest is of {utc_text(made)}",
        remedy="Look at the log of that run, and back up now.",
    )


def evidence(seen: Schedule | None) -> dict[str, t.Any] | None:
    """What was seen, as JSON; the next three runs."""
    if seen is None:
        return None
    return {
        **dataclasses.asdict(seen),
        "made": None if seen.made is None else utc_text(seen.made),
        "due": None if seen.due is None else utc_text(seen.due),
        "coming": [utc_text(one) for one in seen.coming[:3]],
    }
