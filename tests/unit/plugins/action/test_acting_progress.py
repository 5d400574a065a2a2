# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks are watched, and how often; that the lines come is for the integration tests."""

from __future__ import annotations

import typing as t

import pytest
from ansible.playbook.task import Task

from ansible_collections.opsready.golive.plugins.action.acting import ActionModule
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput


def interval(arguments: dict[str, t.Any], *, module: str = "opsready.golive.pg_backup", **keywords: t.Any) -> t.Any:
    task = Task()
    task.action = module
    for name, value in {"check_mode": False, "async_val": 0, "no_log": False, **keywords}.items():
        setattr(task, name, value)
    action = ActionModule.__new__(ActionModule)
    action._task = task
    return action._interval(arguments)


@pytest.mark.parametrize("module", ["pg_backup", "opsready.golive.pg_backup", "opsready.golive.pg_restore"])
def test_long_work_is_looked_at_every_ten_seconds(module: str) -> None:
    assert interval({}, module=module) == 10.0


def test_the_task_says_how_often() -> None:
    assert interval({"progress": "lines", "progress_interval": "2.5"}) == 2.5


@pytest.mark.parametrize(
    "keywords",
    [{"check_mode": True}, {"async_val": 60}, {"no_log": True}, {"module": "opsready.golive.pg_fence"}],
    ids=str,
)
def test_nobody_looks_where_nothing_is_to_be_shown(keywords: dict[str, t.Any]) -> None:
    assert interval({}, **keywords) is None


@pytest.mark.parametrize(
    "arguments", [{"progress": "quiet"}, {"progress_interval": "often"}, {"progress": "loud"}], ids=str
)
def test_nobody_looks_where_the_task_says_so_or_says_what_the_module_refuses(arguments: dict[str, t.Any]) -> None:
    assert interval(arguments) is None


@pytest.mark.parametrize("given", [0, -1, "nan", "inf", 1e300])
def test_an_interval_that_is_none_is_refused(given: t.Any) -> None:
    with pytest.raises(BadInput, match="progress_interval"):
        interval({"progress_interval": given})
