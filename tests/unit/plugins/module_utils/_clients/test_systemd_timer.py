# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit files of timers as they are read, and what systemd-analyze says of a calendar."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_timer
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
)

DAILY = """\
  Original form: daily
Normalized form: *-*-* 00:00:00
    Next elapse: Sat 2026-11-21 00:00:00 CET
       (in UTC): Fri 2026-11-20 23:00:00 UTC
       From now: 2 days ago
       Iter. #2: Sun 2026-11-22 00:00:00 CET
       (in UTC): Sat 2026-11-21 23:00:00 UTC
       From now: 1 day 20h ago
"""


def unit(folder: Path, text: str) -> str:
    path = folder / "backup.timer"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "calendar", "service"),
    [
        ("[Timer]\nOnCalendar=daily\n", ("daily",), "backup.service"),
        ("[Timer]\nOnCalendar=daily\nOnCalendar = Mon 03:00 \nUnit=x.service\n", ("daily", "Mon 03:00"), "x.service"),
        ("[Timer]\nOnCalendar=daily\nOnCalendar=\nOnCalendar=weekly", ("weekly",), "backup.service"),
        ("[Timer]\nOnCalendar=Mon \\\n03:00\n", ("Mon  03:00",), "backup.service"),
        ("[Timer]\n#OnCalendar=daily\n;OnCalendar=daily\n", (), "backup.service"),
        ("[Unit]\nOnCalendar=daily\n[Timer]\nOnBootSec=5\n", (), "backup.service"),
        ("", (), "backup.service"),
    ],
)
def test_a_unit_file_is_read(tmp_path: Path, text: str, calendar: tuple[str, ...], service: str) -> None:
    path = unit(tmp_path, text)
    assert systemd_timer.read(path) == systemd_timer.Timer(path, calendar, service, None)


def test_a_timer_has_its_drop_ins_and_the_link_that_starts_it(tmp_path: Path) -> None:
    path = unit(tmp_path, "[Timer]\nOnCalendar=daily\n")
    for folder in ("backup.timer.d", "timers.target.wants"):
        (tmp_path / folder).mkdir()
    (tmp_path / "backup.timer.d" / "10.conf").write_text("[Timer]\nOnCalendar=\n")
    (tmp_path / "backup.timer.d" / "20.conf").write_text("[Timer]\nOnCalendar=weekly\n")
    (tmp_path / "backup.timer.d" / "30.conf").symlink_to("/dev/null")
    link = tmp_path / "timers.target.wants" / "backup.timer"
    link.symlink_to(path)
    assert systemd_timer.read(path) == systemd_timer.Timer(path, ("weekly",), "backup.service", str(link))
    assert systemd_timer.read(f"{tmp_path}/other.timer") is None


def test_the_file_of_the_first_folder_counts_and_a_mask_is_told(tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("etc", "lib"))
    for folder in (first, second):
        folder.mkdir()
    packaged, own = second / "backup.timer", first / "backup.timer"
    packaged.write_text("[Timer]\nOnCalendar=daily\n")

    def read(path: Path = packaged) -> systemd_timer.Timer:
        timer = systemd_timer.read(str(path), folders=(str(first), str(second)))
        assert timer is not None
        return timer

    assert read() == systemd_timer.Timer(str(packaged), ("daily",), "backup.service", None)
    own.write_text("[Timer]\nOnCalendar=weekly\n")
    assert read() == systemd_timer.Timer(str(own), ("weekly",), "backup.service", None)
    own.unlink()
    own.symlink_to("/dev/null")
    assert read().masked == str(own)
    own.unlink()
    (first / "backup.service").symlink_to("/dev/null")
    assert read().masked == str(first / "backup.service")
    elsewhere = tmp_path / "elsewhere.timer"
    elsewhere.write_text("[Timer]\nOnCalendar=daily\n")
    assert read(elsewhere).masked is None


@pytest.mark.parametrize("path", ["backup.timer", "/etc/backup.service", ""])
def test_what_is_no_path_of_a_timer_is_refused(path: str) -> None:
    with pytest.raises(BadInput):
        systemd_timer.read(path)


def test_times_are_told_in_utc() -> None:
    expected = [dt.datetime(2026, 11, day, 23, tzinfo=dt.timezone.utc) for day in (20, 21)]
    assert systemd_timer.told_times(DAILY) == expected
    assert systemd_timer.told_times("Normalized form: 2020-01-01 00:00:00\n    Next elapse: never\n") == []


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Next elapse: soon\n",
        "    Next elapse: Sat 2026-11-21 00:00:00 CET\n",
        "    Next elapse: Sat 2026-13-41 00:00:00 UTC\n",
        "  Original form: never\n",
    ],
)
def test_an_answer_without_a_time_is_not_taken_for_never(said: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        systemd_timer.told_times(said)


@given(st.one_of(st.text(max_size=80), st.from_regex(systemd_timer._ELAPSE)))
def test_no_answer_raises_anything_else(said: str) -> None:
    with contextlib.suppress(UnexpectedAnswer):
        systemd_timer.told_times(said)


LINE = st.one_of(st.text(max_size=30), st.sampled_from(["[Timer]", "OnCalendar=daily", "Unit=", "OnCalendar=\\"]))


@given(st.lists(LINE, max_size=8).map("\n".join))
def test_any_unit_file_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.timer"
    path.write_bytes(text.encode("utf-8", "replace"))
    with contextlib.suppress(GoliveError):
        assert systemd_timer.read(str(path)) is not None
