# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of a module's documentation, as options that a test runs it with."""

from __future__ import annotations

import importlib
import typing as t
from types import MappingProxyType

import yaml

from tests.module_process import COLLECTION


def examples_of(module: str, replaced: t.Mapping[str, str] = MappingProxyType({})) -> dict[str, dict[str, t.Any]]:
    """Options by the task's name. ``replaced`` puts what the test has (a path, an address) in place of the example's."""
    text = importlib.import_module(f"{COLLECTION}.plugins.modules.{module}").EXAMPLES
    for there, here in replaced.items():
        if there not in text:
            raise AssertionError(f"{there} is in no example of {module}")
        text = text.replace(there, here)
    tasks = yaml.safe_load(text)
    examples = {task["name"]: task[f"opsready.golive.{module}"] for task in tasks}
    assert len(examples) == len(tasks), "two examples have one name"
    return examples
