# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_backup on what runs the backups: lines of crontabs and timers of systemd, as their files have them."""

from __future__ import annotations

import datetime
import itertools
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import cron_table, systemd_timer
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from tests.conftest import ModuleRun
from tests.integration.written_backups import DAY, HOUR, Backups
from tests.parts import need_part

COMMAND = "ansible-playbook /srv/golive/backup.yml"
MINUTE = datetime.timedelta(minutes=1)
#: The user id of a login without rights.
NOBODY = 65534


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    (tmp_path / "backups").mkdir()
    return Backups(f"file://{tmp_path}/backups")


@pytest.fixture
def judged(run_module_here: ModuleRun) -> t.Callable[..., dict[str, t.Any]]:
    def judge(backups: Backups, schedule: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
        wanted = backups.options(schedule=schedule, min_size_share=0, **options)
        return t.cast("dict[str, t.Any]", run_module_here("check_backup", wanted)["finding"])

    return judge


Judge = t.Callable[..., dict[str, t.Any]]


def at(moment: datetime.datetime) -> str:
    """Every day at this time of this host's zone, as cron has it."""
    local = moment.astimezone()
    return f"{local.minute} {local.hour} * * *"


def table(folder: Path, text: str, name: str = "cron.d/archive-backup") -> dict[str, t.Any]:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return {"cron": COMMAND, "cron_files": [f"{path.parent}/*"]}


def ago(span: datetime.timedelta) -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) - span


def test_a_line_that_made_last_nights_backup_and_runs_again_passes(
    backups: Backups, judged: Judge, tmp_path: Path
) -> None:
    backups.write(3 * HOUR)
    schedule = table(tmp_path, f"SHELL=/bin/sh\n{at(ago(3 * HOUR + MINUTE))} golive {COMMAND}\n")
    found = judged(backups, schedule)
    assert found["status"] == "pass", found["summary"]
    seen = found["evidence"]["schedule"]
    assert seen["lines"] == [f"{tmp_path}/cron.d/archive-backup:2 runs at {at(ago(3 * HOUR + MINUTE))}"]
    assert found["measured"]["next run"] == seen["coming"][0]
    assert found["measured"]["longest time between runs"] == "24.0 h"


BROKEN = [
    ("# {line}\n", "cron.d/backup", "Nothing runs the backups: no line of "),
    ("{when} golive ansible-playbook /srv/golive/other.yml\n", "cron.d/backup", f"runs {COMMAND}"),
    ("{line}\n", "cron.d/backup.cron", "has a name that cron does not read"),
    ("{line}", "cron.d/backup", "backup:1 has no newline at its end, so cron does not read it"),
    ("@reboot golive {command}\n", "cron.d/backup", "@reboot has no time that could be told"),
    ("0 0 30 2 * golive {command}\n", "cron.d/backup", "The schedule of the backups never runs again: "),
    (
        "0 3 * * 1 golive {command}\n",
        "cron.d/backup",
        "the schedule leaves 7.0 days between two runs, and max_age is 26h",
    ),
    (
        "0 * * * 1-5 golive {command}\n",
        "cron.d/backup",
        "the schedule leaves 2.0 days between two runs, and max_age is 26h",
    ),
    ("{missed} golive {command}\n", "cron.d/backup", "made no backup that counts; the newest is of "),
]


@pytest.mark.parametrize(("text", "name", "said"), BROKEN)
def test_what_does_not_run_the_backups_is_told(
    backups: Backups, judged: Judge, tmp_path: Path, text: str, name: str, said: str
) -> None:
    backups.write(25 * HOUR)
    good = at(ago(25 * HOUR + MINUTE) + 23 * HOUR)
    filled = text.format(line=f"{good} golive {COMMAND}", when=good, command=COMMAND, missed=at(ago(4 * HOUR)))
    found = judged(backups, table(tmp_path, filled, name))
    assert (found["status"], said.lower() in found["summary"].lower()) == ("fail", True), found["summary"]
    late = {"max_delay": "5h"} if "{missed}" in text else None
    if late is not None:
        assert judged(backups, {**table(tmp_path, filled, name), **late})["status"] == "pass"


def test_no_backup_does_not_hide_that_nothing_runs_it(backups: Backups, judged: Judge, tmp_path: Path) -> None:
    found = judged(backups, {"cron": COMMAND, "cron_files": [f"{tmp_path}/none/*"]})
    assert "There is no backup" in found["summary"]
    assert f"nothing runs the backups: no line of any crontab runs {COMMAND}" in found["summary"]


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A folder of units with a timer that is enabled; the calendar is reckoned by the real systemd-analyze."""
    need_part("systemd-analyze", shutil.which("systemd-analyze"), "apt-get install systemd")
    folder = tmp_path / "units"
    (folder / "timers.target.wants").mkdir(parents=True)
    (folder / "timers.target.wants" / "backup.timer").symlink_to(folder / "backup.timer")
    return folder


def timer(folder: Path, calendar: str, *, more: str = "") -> dict[str, t.Any]:
    path = folder / "backup.timer"
    path.write_text(f"[Unit]\nDescription=Backups\n\n[Timer]\n{calendar}\n{more}\n[Install]\nWantedBy=timers.target\n")
    return {"timer": str(path)}


def test_a_timer_is_judged_like_a_line_of_cron(
    run_module_here: ModuleRun, backups: Backups, judged: Judge, units: Path
) -> None:
    backups.write(3 * HOUR)
    moment = ago(3 * HOUR + MINUTE)
    good = timer(units, f"OnCalendar={moment:%H:%M} UTC", more="Unit=golive-backup.service")
    found = judged(backups, good)
    assert found["status"] == "pass", found["summary"]
    (line,) = found["evidence"]["schedule"]["lines"]
    assert line == f"{units}/backup.timer starts golive-backup.service at {moment:%H:%M} UTC"
    following = (moment + DAY).replace(second=0, microsecond=0)
    assert found["measured"]["next run"] == f"{following:%Y-%m-%dT%H:%M:%S}.000Z"

    missed = ago(3 * HOUR - MINUTE)
    for calendar, said in (
        (f"OnCalendar={missed:%H:%M} UTC", "made no backup that counts"),
        ("OnCalendar=Mon 03:00", "the schedule leaves 7.0 days between two runs"),
        ("OnCalendar=2020-01-01", "never runs again"),
        ("OnBootSec=5min", "has no OnCalendar"),
    ):
        found = judged(backups, timer(units, calendar))
        assert (found["status"], said.lower() in found["summary"].lower()) == ("fail", True), found["summary"]
    drop_ins = units / "backup.timer.d"
    drop_ins.mkdir()
    (drop_ins / "10-often.conf").write_text(f"[Timer]\nOnCalendar=\nOnCalendar={moment:%H:%M} UTC\n")
    assert judged(backups, timer(units, "OnCalendar=Mon 03:00"))["status"] == "pass"
    (drop_ins / "10-often.conf").unlink()
    unread = run_module_here("check_backup", backups.options(schedule=timer(units, "OnCalendar=lately")))
    assert "systemd reads no time in OnCalendar=lately" in unread["msg"], unread
    (units / "golive-backup.service").symlink_to("/dev/null")
    found = judged(backups, timer(units, f"OnCalendar={moment:%H:%M} UTC", more="Unit=golive-backup.service"))
    assert (found["status"], "golive-backup.service is masked" in found["summary"]) == ("fail", True), found["summary"]
    timer(units, f"OnCalendar={moment:%H:%M} UTC")
    (units / "timers.target.wants" / "backup.timer").unlink()
    found = judged(backups, good)
    assert (found["status"], "is not enabled" in found["summary"]) == ("fail", True), found["summary"]
    assert "is not there" in judged(backups, {"timer": f"{units}/none.timer"})["summary"]


@pytest.mark.parametrize(
    ("when", "calendar"),
    [
        ("3 1 * * 1-5", "Mon..Fri 01:03"),
        ("*/20 8-10,22 * * *", "*-*-* 08..10,22:00/20"),
        ("0 12 1,15 * *", "*-*-01,15 12:00"),
        ("30 4 29 feb *", "*-02-29 04:30"),
        ("@weekly", "Sun 00:00"),
        ("5/25 0 * jan-mar sat", "Sat *-01..03-* 00:05/25"),
        ("0 0 13 * fri", "*-*-13 00:00|Fri 00:00"),
        ("0 0 * * 7", "Sun 00:00"),
        ("0 0 */2 * mon", "Mon *-*-01/2 00:00"),
    ],
)
def test_a_line_of_cron_runs_when_systemd_says_the_same_calendar_does(when: str, calendar: str) -> None:
    need_part("systemd-analyze", shutil.which("systemd-analyze"), "apt-get install systemd")
    begin = datetime.datetime(2026, 11, 20, 10, 0, tzinfo=datetime.timezone.utc)
    runs = list(itertools.islice(cron_table.runs_after(when, begin), 12))
    each = [systemd_timer.elapses_after(one, begin, deadline=Deadline(60)) for one in calendar.split("|")]
    assert runs == sorted({moment for found in each for moment in itertools.islice(found, len(runs))})[: len(runs)]
    assert len(runs) >= 1


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({}, "schedule needs one of cron and timer."),
        ({"cron": "x", "timer": "/x.timer"}, "schedule needs one of cron and timer."),
        ({"cron": " "}, "schedule.cron is empty"),
        ({"cron": "x", "cron_files": []}, "schedule.cron_files is an empty list"),
        ({"cron": "x", "cron_files": ["crontab"]}, "is no absolute path of a crontab"),
        ({"cron": "x", "max_delay": "soon"}, "schedule.max_delay"),
        ({"timer": "/etc/backup.service"}, "expected the absolute path of a timer's unit file"),
    ],
)
def test_a_wrong_schedule_is_one_clear_error(
    backups: Backups, run_module_here: ModuleRun, schedule: dict[str, t.Any], said: str
) -> None:
    answer = run_module_here("check_backup", backups.options(schedule=schedule))
    assert said in answer["msg"], answer


def test_a_crontab_that_cannot_be_read_is_unknown(backups: Backups, judged: Judge, tmp_path: Path) -> None:
    backups.write(HOUR)
    schedule = table(tmp_path, f"0 3 * * * golive {COMMAND}\n" * 40000)
    found = judged(backups, schedule)
    assert (found["status"], "The schedule of the backups is unknown: " in found["summary"]) == ("unknown", True)


def test_no_schedule_is_asked_for_unless_it_is_given(backups: Backups, judged: Judge) -> None:
    backups.write(HOUR)
    assert judged(backups, t.cast("dict[str, t.Any]", None))["evidence"]["schedule"] is None


def test_what_is_no_schedule_is_refused() -> None:
    for when in ("* * * *", "x * * * *", "5-3 * * * *", "*/0 * * * *", "* * * * 8", "@never", "1~5 * * * *"):
        with pytest.raises(BadInput):
            cron_table.runs_after(when, datetime.datetime.now(datetime.timezone.utc))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0~30 3 * * * golive {command}\n", "backup:1: 0~30 3 * * * is no schedule that could be read: 0~30"),
        ("61 1 * * * golive {command}\n", "61 1 * * * is no schedule that could be read: 61"),
        (
            "{good}CRON_TZ=Pacific/Kiritimati\n{good}",
            "backup:3 stands below CRON_TZ=Pacific/Kiritimati, which cronie takes",
        ),
        ("CRON_TZ=Nowhere/At_all\n{good}", "backup:2 stands below CRON_TZ=Nowhere/At_all"),
    ],
)
def test_a_line_that_cannot_be_reckoned_makes_the_schedule_unknown(
    backups: Backups, judged: Judge, tmp_path: Path, text: str, said: str
) -> None:
    backups.write(3 * HOUR)
    good = f"{at(ago(3 * HOUR + MINUTE))} golive {COMMAND}\n"
    found = judged(backups, table(tmp_path, text.format(command=COMMAND, good=good), "cron.d/backup"))
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert found["remedy"].startswith("Write the line")


@pytest.mark.parametrize("setting", ["CRON_TZ=", "TZ=Pacific/Kiritimati", "CRON_TZ=Pacific/Kiritimati\nCRON_TZ=''"])
def test_a_setting_that_changes_no_zone_is_passed_over(
    backups: Backups, judged: Judge, tmp_path: Path, setting: str
) -> None:
    backups.write(3 * HOUR)
    found = judged(backups, table(tmp_path, f"{setting}\n{at(ago(3 * HOUR + MINUTE))} golive {COMMAND}\n"))
    assert found["status"] == "pass", found["summary"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may become a login without rights")
@pytest.mark.parametrize(
    ("pattern", "mode", "expected"),
    [
        ("crontabs/*", 0o1700, "pass"),
        ("crontabs/*", 0o1744, "pass"),
        ("crontabs/golive", 0o1700, "pass"),
        ("crontabs/*/*", 0o1700, "fail"),
    ],
)
def test_crontabs_that_may_not_be_looked_at_are_unknown(judged: Judge, pattern: str, mode: int, expected: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "backups").mkdir()
        backups = Backups(f"file://{folder}/backups")
        backups.write(3 * HOUR)
        table(folder, f"{at(ago(3 * HOUR + MINUTE))} {COMMAND}\n", "crontabs/golive")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        schedule = {"cron": COMMAND, "cron_files": [f"{folder}/{pattern}"]}
        (folder / "crontabs").chmod(mode)
        assert judged(backups, schedule)["status"] == expected
        os.seteuid(NOBODY)
        try:
            found = judged(backups, schedule)
        finally:
            os.seteuid(0)
        assert found["status"] == "unknown", found["summary"]
        assert f"{folder}/crontabs" in found["summary"]
        assert f"may not be looked at by the user with id {NOBODY}" in found["summary"]
        assert "become: true" in found["remedy"]


def test_a_timer_that_runs_too_often_to_see_a_week_of_is_unknown(backups: Backups, judged: Judge, units: Path) -> None:
    backups.write(HOUR)
    found = judged(backups, timer(units, "OnCalendar=*:*:*"))
    assert (found["status"], "too many to tell the longest time between two" in found["summary"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("program", "said", "remedy"),
    [
        ("echo \"systemd-analyze: unrecognized option '$3'\" >&2; exit 1", "is too old to reckon", "systemd 244"),
        ("echo Segmentation fault >&2; exit 3", "ended with code 3", "Run systemd-analyze calendar 'daily'"),
        ("echo Naechster Lauf: bald", "told neither a time in UTC nor that none comes", "Run it on this host"),
        ("echo '    Next elapse: Mon 2026-99-99 00:00:00 UTC'", "told what is no time: 2026-99-99", ""),
    ],
)
def test_a_systemd_that_cannot_reckon_is_not_blamed_on_the_timer(
    backups: Backups,
    judged: Judge,
    units: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    said: str,
    remedy: str,
) -> None:
    backups.write(HOUR)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemd-analyze").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "bin" / "systemd-analyze").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    found = judged(backups, timer(units, "OnCalendar=daily"))
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert remedy in found["remedy"]
