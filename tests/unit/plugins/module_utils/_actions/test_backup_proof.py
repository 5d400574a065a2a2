# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup lacks is said by name, and few enough of it to be read."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.backup_proof import (
    described_differences,
    require_equal,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed

EQUAL: dict[str, t.Any] = {
    "equal": True, "differences": [], "sequences_behind": [], "large_objects": {"expected": 0, "found": 0},
    "schema_equal": None,
}  # fmt: skip


def unlike(table: str, differs: str, **rows: int) -> dict[str, t.Any]:
    return {"table": table, "differs": differs, **rows}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"differences": [unlike("app.a", "rows", expected_rows=7, found_rows=6)]}, "app.a has 6 rows instead of 7"),
        ({"differences": [unlike("app.a", "content")]}, "the content of app.a differs"),
        ({"differences": [unlike("app.a", "missing")]}, "app.a is missing"),
        ({"sequences_behind": ["app.s"]}, "sequence app.s is behind"),
        ({"large_objects": {"expected": 2, "found": 1}}, "1 large objects instead of 2"),
        ({"schema_equal": False}, "the schema differs"),
    ],
)
def test_each_difference_is_said_and_refused(found: dict[str, t.Any], said: str) -> None:
    comparison = {**EQUAL, "equal": False, **found}
    assert described_differences(comparison) == said
    with pytest.raises(ActionFailed, match=f"The archive is not what was backed up: {said}") as caught:
        require_equal(comparison, "The archive")
    assert caught.value.known["comparison"] == comparison


def test_many_differences_are_counted_after_the_third() -> None:
    comparison = {**EQUAL, "differences": [unlike(f"app.t{number}", "content") for number in range(12)]}
    said = described_differences(comparison)
    assert "app.t2" in said
    assert "app.t3" not in said
    assert said.endswith("9 more tables differ")


def test_what_is_equal_is_left_alone() -> None:
    require_equal(EQUAL, "The archive")
    assert described_differences(EQUAL) == ""
