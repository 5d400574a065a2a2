# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a service's variables come from: what a container tells, and which variables were declared."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import env_sources
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_sources import (
    CONTAINER,
    FILE,
    PROCESS,
    UNIT,
    Source,
    Values,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run


class Engine:
    """Tells of one container, as Docker's ``inspect`` does."""

    url = "unix:///docker.sock"

    def __init__(self, created: t.Any) -> None:
        self._created = created

    def inspected(self, _kind: str, _identity: str, **_unused: t.Any) -> dict[str, t.Any]:
        return {
            "Created": self._created,
            "Name": "/runner",
            "State": {"Status": "running"},
            "Config": {"Env": ["A=1", "B"]},
        }


@pytest.mark.parametrize(
    "created",
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T01:00:00.12345678+01:00"],
)
def test_a_container_was_made_at_a_time_in_nanoseconds(created: str) -> None:
    """In whole seconds: Python 3.9 and 3.10 refuse what Docker writes behind them, and later ones leave it in place."""
    source = env_sources._of_container(Engine(created), "a" * 64, Run(timeout_seconds=1))
    assert source == Source(CONTAINER, "runner (running)", {"A": "1"}, since=1767225600.0)


@pytest.mark.parametrize("created", ["", "yesterday", "0001-01-01T00:00:00Z", None, 1767225600])
def test_a_time_that_is_none_is_not_what_docker_tells(created: t.Any) -> None:
    with pytest.raises(UnexpectedAnswer, match="of container aaaaaaaaaaaa, and not as Docker does"):
        env_sources._of_container(Engine(created), "a" * 64, Run(timeout_seconds=1))


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        ([PROCESS], [PROCESS]),
        ([PROCESS, FILE], [FILE]),
        ([CONTAINER], [CONTAINER]),
        ([CONTAINER, FILE], [CONTAINER, FILE]),
        ([PROCESS, CONTAINER, UNIT, FILE], [CONTAINER, UNIT, FILE]),
    ],
)
def test_what_a_container_a_unit_and_a_file_have_was_declared(kinds: list[str], names: list[str]) -> None:
    values = Values([Source(kind, kind, {kind: "1"}, unclear={f"{kind} 2": "is unclear"}) for kind in kinds])
    assert values.names() == sorted(names)
    assert values.unclear_names() == sorted(f"{name} 2" for name in names)
