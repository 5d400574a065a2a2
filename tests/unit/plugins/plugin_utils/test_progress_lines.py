# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a module's figures become a line, and what it says."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import PHASES
from ansible_collections.opsready.golive.plugins.plugin_utils.progress_lines import (
    MOST_LOOKS,
    Figures,
    Lines,
    parsed,
    size,
    span,
)

MB = 1_000_000


def seen(phase: str = "dump", seconds: float = 10.0, **more: t.Any) -> Figures:
    given = {"size": None, "stored": None, "whole": None, "estimated_by": None, "tables": None, "made": 0, **more}
    return Figures(phase=phase, seconds=seconds, **given)


def written(figures: Figures) -> str:
    return json.dumps(dataclasses.asdict(figures))


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        (
            seen(size=50 * MB, stored=40 * MB, whole=200 * MB, estimated_by="last backup", tables=(1, 3)),
            "dump, 50.0 MB (about 25 % of 200.0 MB, estimated by the last backup), 40.0 MB stored, 5.0 MB/s, "
            "1 of 3 tables counted, 0:10",
        ),
        (
            seen(size=50 * MB, stored=50 * MB, whole=200 * MB, estimated_by="database"),
            "dump, 50.0 MB (estimated at 25 % or more, the database has 200.0 MB), 5.0 MB/s, 0:10",
        ),
        (
            seen(size=250 * MB, whole=200 * MB, estimated_by="database"),
            "dump, 250.0 MB (more than the 200.0 MB estimated by the size of the database), 25.0 MB/s, 0:10",
        ),
        (
            seen("restore", 3723, size=50 * MB, whole=200 * MB, tables=(2, 7)),
            "restore, 50.0 MB of 200.0 MB read (25 %), 13.4 kB/s, table 2 of 7, 1:02:03",
        ),
        (seen("comparison", tables=(2, 4)), "comparison, 2 of 4 tables (50 %), 0:10"),
        (seen("comparison", tables=(0, 0)), "comparison, 0 of 0 tables, 0:10"),
        (seen("indexes", made=3), "indexes, 3 made, 0:10"),
        (seen("dump", 0.0, size=0), "dump, 0 B, 0:00"),
    ],
)
def test_a_line_says_what_is_known(figures: Figures, line: str) -> None:
    assert Lines().of(figures, 1) == line


def test_a_rate_is_that_of_late() -> None:
    lines = Lines()
    lines.of(seen(seconds=10.0, size=100 * MB, whole=1000 * MB), 1)
    line = lines.of(seen(seconds=20.0, size=300 * MB, whole=1000 * MB), 2)
    assert line is not None and "20.0 MB/s" in line


def test_a_line_comes_for_five_percent_and_no_less() -> None:
    lines = Lines()
    told = [lines.of(seen(seconds=one, size=one * 4 * MB, whole=200 * MB), one) for one in range(1, 7)]
    assert [line is not None for line in told] == [True, False, False, True, False, False]


def test_a_line_comes_for_another_phase() -> None:
    lines = Lines()
    assert lines.of(seen(size=99, whole=100), 1) is not None
    assert lines.of(seen("restore", 1.0, size=1, whole=100), 2) == "restore, 1 B of 100 B read (1 %), 1 B/s, 0:01"


def test_what_stands_is_told_now_and_then_and_for_how_long() -> None:
    lines = Lines()
    told = [lines.of(seen(seconds=10.0 * one, size=5 * MB, whole=10 * MB), one) for one in range(1, 2 + MOST_LOOKS)]
    assert [line is not None for line in told] == [True, *[False] * (MOST_LOOKS - 1), True]
    assert told[-1] == "dump, 5.0 MB of 10.0 MB read (50 %), 0 B/s, the same for 1:00, 1:10"


def test_without_a_whole_lines_come_now_and_then() -> None:
    lines = Lines()
    told = [lines.of(seen(seconds=float(one), size=one * MB), one) for one in range(1, 14)]
    assert [number for number, line in enumerate(told, 1) if line] == [1, 1 + MOST_LOOKS, 1 + 2 * MOST_LOOKS]


_COUNTS = st.none() | st.integers(0, 1 << 50)


@given(
    st.lists(
        st.builds(
            seen,
            st.sampled_from(PHASES),
            st.floats(0, 1e6),
            size=_COUNTS,
            stored=_COUNTS,
            whole=_COUNTS,
            estimated_by=st.sampled_from([None, "last backup", "database"]),
            tables=st.none() | st.tuples(st.integers(0, 100), st.integers(100, 200)),
            made=st.integers(0, 9),
        ),
        max_size=20,
    )
)
def test_whatever_a_module_counts_is_a_line_of_at_most_a_hundred_percent(looks: list[Figures]) -> None:
    lines = Lines()
    for number, figures in enumerate(looks):
        assert parsed(written(figures)) == figures
        line = lines.of(figures, number)
        assert line is None or ("\n" not in line and figures.phase in line)
        assert figures.percent is None or 0 <= figures.percent <= 100


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "rm -rf"},
        {"phase": None},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": True},
        {"size": -1},
        {"size": "12"},
        {"size": 1.5},
        {"size": 1 << 70},
        {"estimated_by": "\x1b[2J"},
        {"tables": [1]},
        {"tables": ["1", "2"]},
        {"made": None},
        {"made": True},
    ],
    ids=str,
)
def test_what_no_module_of_ours_wrote_is_not_understood(change: dict[str, t.Any]) -> None:
    figures = {**dataclasses.asdict(seen(size=1)), **change}
    with pytest.raises(UnexpectedAnswer, match="not understood"):
        parsed(json.dumps(figures))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"phase": "dump"', " " * 5000 + "{}", "[" * 4000])
def test_what_is_no_figures_at_all_is_not_understood(text: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="not understood"):
        parsed(text)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (1_250_000_000, "1.2 GB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_sizes_are_in_units_of_a_thousand(octets: int, text: str) -> None:
    assert size(octets) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00"), (61, "1:01"), (3600, "1:00:00"), (90061, "25:01:01")])
def test_times_are_minutes_and_seconds(seconds: float, text: str) -> None:
    assert span(seconds) == text
