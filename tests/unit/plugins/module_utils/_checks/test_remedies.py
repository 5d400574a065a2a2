# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever reads a finding at night reads what to do about it, where anything is known that helps."""

from __future__ import annotations

import ast
import inspect
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry

JUDGES = {"unknown", "one_of", "at_least", "at_most", "matches", "holds"}
#: How many criteria of a check say nothing of what to do: what the item's author asked for in words of his own, such as a
#: query's value, and what its sentence says already. A new criterion has a remedy.
SILENT = {
    "check_celery": 9, "check_command": 5, "check_doc": 5, "check_grafana": 7, "check_host": 13, "check_http": 15, "check_k8s": 5,
    "check_logs": 6, "check_migration": 1, "check_net": 0, "check_postgres": 6, "check_redis": 4, "check_report": 3,
    "check_secrets": 0, "check_vcs": 3,
}  # fmt: skip


def _is_silent(call: ast.Call) -> bool:
    """Whether a criterion that may not pass has no remedy; check mode leaves out what needs none."""
    named = {keyword.arg for keyword in call.keywords}
    passes = len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and call.args[1].value is True
    return not passes and not named & {"remedy", "left_out", None}


def silent_lines(check: str) -> list[int]:
    source = inspect.getsource(registry.load(check))
    calls: t.Iterator[ast.Call] = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return sorted(
        call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id in JUDGES and _is_silent(call)
    )


@pytest.mark.parametrize("check", sorted(SILENT))
def test_a_criterion_says_what_to_do(check: str) -> None:
    lines = silent_lines(check)
    assert len(lines) <= SILENT[check], f"{check}: no remedy at lines {lines}"
