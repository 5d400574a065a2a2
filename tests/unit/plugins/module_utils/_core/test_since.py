# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment from which on something counts, as people write it."""

from __future__ import annotations

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.since import since_when


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("@100.5", 100.5),
        ("1970-01-01T00:10:00Z", 600.0),
        ("10m", 400.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
    ],
)
def test_since_is_a_moment_or_a_span(text: str | None, expected: float | None) -> None:
    assert since_when(text, 1000.0) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1970-13-01T00:00:00Z", "completed_since is '1970-13-01T00:00:00Z', which is no time"),
        ("@2000", "completed_since is '@2000', which is still to come"),
        ("9999999d", "completed_since is '9999999d', which is before 1970"),
        ("1969-12-31T23:59:59Z", "completed_since is '1969-12-31T23:59:59Z', which is before 1970"),
        ("0001-01-01T00:00:00+14:00", "completed_since is '0001-01-01T00:00:00+14:00', which is before 1970"),
        (f"@{'9' * 400}", "which is still to come"),
        ("@", "completed_since is '@', which is not a span of time"),
    ],
)
def test_what_is_no_moment_is_refused_by_the_name_of_its_option(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        since_when(text, 1000.0, option="completed_since")
    assert said in str(refused.value)
