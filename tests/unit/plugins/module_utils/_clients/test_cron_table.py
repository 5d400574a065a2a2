# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of crontabs as they are read, and when they run, from a fixed moment on."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import cron_table
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError

NOW = dt.datetime(2026, 11, 23, 10, 30, tzinfo=dt.timezone.utc)


@pytest.fixture(autouse=True, scope="module")
def _utc() -> t.Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def runs(when: str, count: int) -> list[str]:
    return [f"{one:%m-%d %H:%M}" for one in itertools.islice(cron_table.runs_after(when, NOW), count)]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("* * * * *", ["11-23 10:31", "11-23 10:32", "11-23 10:33"]),
        ("30 10 * * *", ["11-24 10:30", "11-25 10:30", "11-26 10:30"]),
        ("0 3 1 * *", ["12-01 03:00", "01-01 03:00", "02-01 03:00"]),
        ("0 3 1 * mon", ["11-30 03:00", "12-01 03:00", "12-07 03:00"]),
        ("0 3 */10 * 7", ["01-31 03:00", "02-21 03:00", "03-21 03:00"]),
        ("@monthly", ["12-01 00:00", "01-01 00:00", "02-01 00:00"]),
        ("0 0 29 2 *", ["02-29 00:00"]),
        ("0 0 31 4,6 *", []),
    ],
)
def test_runs_are_those_after_the_moment(when: str, expected: list[str]) -> None:
    assert runs(when, 3) == expected


def test_lines_are_read_with_the_zone_above_them(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text(
        "# 0 1 * * * root no\n"
        "MAILTO = operations\n"
        "0 1 * * * root  one \n"
        'CRON_TZ = "Asia/Tokyo"\n'
        "\t@daily root two\n"
        "TZ=Europe/Berlin\n"
        "CRON_TZ=\n"
        "0 2 * * mon-fri root three % four\n"
        "0 3 * * *\n"
        "0 4 * * * root cut"
    )
    table = cron_table.read([f"{tmp_path}/tab*"])
    assert [(one.line, one.when, one.command, one.zone) for one in table.entries] == [
        (3, "0 1 * * *", "root  one", ""),
        (5, "@daily", "root two", "Asia/Tokyo"),
        (8, "0 2 * * mon-fri", "root three % four", ""),
    ]
    assert table.left_out == (f"{path}:10 has no newline at its end, so cron does not read it",)


def test_patterns_name_what_a_shell_would(tmp_path: Path) -> None:
    for name in ("a/one", "a/.hidden", "b/two", "b/deep/three", "plain", "x[1]/four"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    patterns = {
        "*/*": ["a/one", "b/two", "x[1]/four"],
        "[ab]/t*": ["b/two"],
        "*/two": ["b/two"],
        "a/.*": ["a/.hidden"],
        "plain": ["plain"],
        "plain/*": [],
        "none/*": [],
        "none/plain": [],
        "x[[]1]/*": ["x[1]/four"],
    }
    for pattern, expected in patterns.items():
        found = cron_table.read([f"{tmp_path}/{pattern}"]).files
        assert [str(Path(one).relative_to(tmp_path)) for one in found] == expected, pattern


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", True),
        ("Etc/UTC", True),
        ("Asia/Tokyo", False),
        ("Europe/London", False),
        ("../x", False),
        ("No/Zone", False),
    ],
)
def test_a_zone_is_of_this_host_when_its_clocks_are_all_year(zone: str, expected: bool) -> None:
    assert cron_table.is_of_this_host(zone, NOW) is expected


FIELD = st.text("0123456789*/,-~jansu²", max_size=12)


@given(st.one_of(st.text(max_size=40), st.lists(FIELD, min_size=5, max_size=5).map(" ".join)))
def test_what_is_no_schedule_is_refused_and_nothing_else_raised(when: str) -> None:
    try:
        coming = list(itertools.islice(cron_table.runs_after(when, NOW), 3))
    except BadInput:
        return
    assert coming == sorted(coming) and all(one > NOW for one in coming)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-crontab"
    path.write_bytes(octets)
    with contextlib.suppress(GoliveError):
        cron_table.read([str(path)])
