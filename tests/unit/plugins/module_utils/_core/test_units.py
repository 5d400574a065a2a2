# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and spans: strict readings, and both units in every sentence."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.units import (
    moment_of,
    size_bytes,
    size_text,
    span_seconds,
    span_text,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("50GB", 50 * 10**9),
        ("16GiB", 16 * 2**30),
        ("1.5 MB", 1_500_000),
        ("12", 12),
        ("3kB", 3000),
        ("2 TiB", 2 * 2**40),
        ("0B", 0),
    ],
)
def test_a_size_is_read_by_its_own_unit(text: str, size: int) -> None:
    assert size_bytes(text, option="x") == size


@pytest.mark.parametrize("text", ["50G", "16Gi", "GB", "", "-1GB", "1,5GB", "50gb", "50 GB free", "5Gb"])
def test_an_ambiguous_size_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="disk is"):
        size_bytes(text, option="disk")


def test_a_size_is_shown_both_ways() -> None:
    assert size_text(16 * 10**9) == "16.0 GB (14.9 GiB)"
    assert size_text(5 * 10**6) == "5.0 MB (4.8 MiB)"
    assert size_text(12) == "12 B"


@given(st.integers(0, 2**60))
def test_plain_bytes_are_exact(size: int) -> None:
    assert size_bytes(str(size), option="x") == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800), ("2w", 1209600), ("0.5h", 1800)]
)
def test_a_span_is_read(text: str, seconds: float) -> None:
    assert span_seconds(text, option="x") == seconds


@pytest.mark.parametrize("text", ["90", "", "1y", "-1s", "1 h 5 m"])
def test_a_span_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="max_age is"):
        span_seconds(text, option="max_age")


def test_a_span_is_shown_in_the_unit_that_suits_it() -> None:
    assert [span_text(seconds) for seconds in (40, 600, 7200, 3 * 86400, -300)] == [
        "40 s", "10.0 min", "2.0 h", "3.0 days", "-5.0 min",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-31", "2027-01-01T00:00:00+00:00"),
        (" 2026-12-31 ", "2027-01-01T00:00:00+00:00"),
        ("2026-12-31T10:00:00Z", "2026-12-31T10:00:00+00:00"),
        ("2026-12-31T10:00:00+02:00", "2026-12-31T08:00:00+00:00"),
    ],
)
def test_a_day_lasts_until_its_end_and_a_time_until_then(text: str, moment: str) -> None:
    assert moment_of(text, option="expires") == datetime.datetime.fromisoformat(moment)


def test_what_is_no_day_is_refused() -> None:
    with pytest.raises(BadInput, match="expires is 'soon', expected a day"):
        moment_of("soon", option="expires")
