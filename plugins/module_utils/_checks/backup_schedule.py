# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the backups, a line of a crontab or a systemd timer: when it runs next, and whether its last run made a backup."""

from __future__ import annotations

import dataclasses
import datetime
import heapq
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Facts,
    Schedule,
    first_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import cron_table, systemd_timer
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds, span_text

SPEC: Spec = {
    "cron": {"type": "str"},
    "cron_files": {"type": "list", "elements": "path", "default": list(cron_table.PLACES)},
    "timer": {"type": "path"},
    "max_delay": {"type": "str", "default": "2h"},
}

#: So far after the next run others are looked for: further than a month is long, so that a week is in it whatever the day.
_AHEAD = datetime.timedelta(days=35)
#: So many runs are looked at, one a minute for so long; of those that come more often a week must be among them.
_MOST_RUNS = 35 * 24 * 60
_WEEK = datetime.timedelta(days=7)
#: So many of the coming runs are kept.
_SHOWN = 3

#: The runs after a moment, in UTC.
_Runs = t.Callable[[datetime.datetime], "t.Iterator[datetime.datetime]"]


def require_usable(options: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput."""
    if (options["cron"] is None) == (options["timer"] is None):
        raise BadInput("schedule needs one of cron and timer.")
    if options["cron"] is not None and not options["cron"].strip():
        raise BadInput("schedule.cron is empty, and any line would do.")
    if not options["cron_files"]:
        raise BadInput("schedule.cron_files is an empty list: nothing would be looked at.")


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
        if entry.when == cron_table.AT_BOOT:
            left_out.append(f"{where}: {entry.when} has no time that could be told")
            continue
        _require_reckonable(entry, where, run.clock.now())
        lines.append(f"{where} runs at {entry.when}")
        times.append(_of_line(entry.when))
    absent = "" if lines else f"no line of {first_of(table.files) or 'any crontab'} runs {wanted}"
    return _reckoned(Schedule(tuple(lines), tuple(left_out), absent), times, made, run)


def _require_reckonable(entry: cron_table.Entry, where: str, now: datetime.datetime) -> None:
    """Raises UnexpectedAnswer for a line that some cron may run when nobody here can tell."""
    if entry.zone and not cron_table.is_of_this_host(entry.zone, now):
        raise UnexpectedAnswer(
            f"{where} stands below CRON_TZ={entry.zone}, which cronie takes for the zone of its times and Debian's cron does not.",
            remedy="Write the line in this host's zone above CRON_TZ, or use a systemd timer, whose OnCalendar may name a zone.",
        )
    try:
        cron_table.runs_after(entry.when, now)
    except BadInput as problem:
        raise UnexpectedAnswer(
            f"{where}: {problem.message}",
            remedy="Write the line's time with numbers, names, lists, ranges and steps, as crontab(5) has them.",
        )


def _of_line(when: str) -> _Runs:
    return lambda moment: cron_table.runs_after(when, moment)


def _timer(options: t.Mapping[str, t.Any], made: datetime.datetime | None, run: Run) -> Schedule:
    timer = systemd_timer.read(options["timer"])
    if timer is None:
        return Schedule(absent=f"{options['timer']} is not there")
    path = timer.path
    if timer.masked is not None:
        return Schedule(absent=f"{timer.masked} is masked, so systemd never starts it")
    if timer.enabled is None:
        return Schedule(absent=f"{path} is not enabled, so nothing starts it with the host")
    if not timer.calendar:
        return Schedule(absent=f"{path} has no OnCalendar, so it runs at no time that could be told")
    lines = tuple(f"{path} starts {timer.service} at {one}" for one in timer.calendar)
    return _reckoned(Schedule(lines), [_of_calendar(one, run) for one in timer.calendar], made, run)


def _of_calendar(expression: str, run: Run) -> _Runs:
    return lambda moment: systemd_timer.elapses_after(expression, moment, deadline=run.deadline)


def _reckoned(found: Schedule, times: t.Sequence[_Runs], made: datetime.datetime | None, run: Run) -> Schedule:
    now = run.clock.now()
    coming, longest = looked_ahead(heapq.merge(*(runs(now) for runs in times)))
    due = None if made is None else next(heapq.merge(*(runs(made) for runs in times)), None)
    return dataclasses.replace(found, coming=coming, longest_seconds=longest, made=made, due=due)


def looked_ahead(runs: t.Iterable[datetime.datetime]) -> tuple[tuple[datetime.datetime, ...], float | None]:
    """The next few runs, and the longest time between two in seconds, None where fewer come: of those within five weeks of
    the next one, and the first after those. Raises UnexpectedAnswer for runs that come so often that not even a week is seen.
    """
    shown: list[datetime.datetime] = []
    longest: datetime.timedelta | None = None
    for number, one in enumerate(runs):
        if number == 0:
            first = latest = one
        else:
            longest = max(longest or datetime.timedelta(0), one - latest)
        if len(shown) < _SHOWN:
            shown.append(one)
        latest = max(latest, one)
        if number == _MOST_RUNS and latest - first < _WEEK:
            raise UnexpectedAnswer(
                f"{_MOST_RUNS} runs come before {utc_text(latest)}, too many to tell the longest time between two.",
                remedy="Schedule the backups once a minute at most.",
            )
        if number == _MOST_RUNS or latest - first > _AHEAD:
            break
    return tuple(shown), None if longest is None else longest.total_seconds()


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
    if seen.longest_seconds is not None:
        yield _judge_distance(seen.longest_seconds, params["max_age"])
    if seen.made is not None:
        yield _judge_last_run(seen, seen.made, facts.now, options["max_delay"])


def _judge_distance(longest: float, bound: str) -> Criterion:
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
    """What was seen, as JSON."""
    if seen is None:
        return None
    return {
        **dataclasses.asdict(seen),
        "made": None if seen.made is None else utc_text(seen.made),
        "due": None if seen.due is None else utc_text(seen.due),
        "coming": [utc_text(one) for one in seen.coming],
    }
