# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having no fence is somebody's decision, with a name, a second name, a reason and an end."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.pg_fence import accepted_waiver
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)
WAIVER = {"owner": "data team", "approver": "head of IT", "reason": "one writer", "expires": "2999-01-01T00:00:00Z"}


def test_a_waiver_that_counts_is_told_back() -> None:
    assert accepted_waiver(WAIVER, now=NOW)["owner"] == "data team"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (None, "nothing waives that"),
        ({"approver": "Data Team"}, "by its own owner"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expired"),
        ({"expires": "soon"}, "expected a time"),
        ({"reason": " "}, "has no reason"),
    ],
)
def test_a_waiver_that_does_not_count_is_refused(changes: dict[str, str] | None, said: str) -> None:
    with pytest.raises(GoliveError) as caught:
        accepted_waiver(None if changes is None else {**WAIVER, **changes}, now=NOW)
    assert said in str(caught.value)
