# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts: few enough, large enough, small enough in memory, for streams of unknown length."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import (
    LARGEST_OBJECT,
    LARGEST_PART,
    MIB,
    MOST_PARTS,
    SMALLEST_PART,
    part_sizes,
)

GIB = 1 << 30


@settings(max_examples=30)
@given(st.integers(0, 8 << 40))
def test_five_tebibytes_fit_whatever_was_estimated(estimate: int) -> None:
    size = part_sizes(estimate)
    parts = [size(number) for number in range(1, MOST_PARTS + 1)]
    assert sum(parts) >= LARGEST_OBJECT
    assert max(parts) <= LARGEST_PART
    assert min(parts) >= SMALLEST_PART
    assert all(earlier <= later for earlier, later in zip(parts, parts[1:]))


@settings(max_examples=30)
@given(st.integers(0, 300 * GIB))
def test_three_parts_stay_below_120_mebibytes_up_to_300_gibibytes(estimate: int) -> None:
    size = part_sizes(estimate)
    written, number = 0, 0
    while written < estimate:  # at most 8,000 parts, by the other test
        number += 1
        written += size(number)
        assert size(number) * 3 <= 120 * MIB


def test_a_small_database_has_small_parts() -> None:
    assert part_sizes(0)(1) == SMALLEST_PART
    assert part_sizes(60 * GIB)(1) == SMALLEST_PART
