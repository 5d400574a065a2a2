# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``check_overhead`` asks: a check's options, and the stock tasks that ask the same."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from tests.benchmarks.playbook_timing import Task


class PartMissing(RuntimeError):
    """This machine lacks what a question is about; the text is the reason."""


class Question:
    """What a check is asked, and the stock tasks that ask the same. ``stand_in`` names what no real part answers."""

    def __init__(self, options: dict[str, t.Any], *stock: Task, stand_in: str = "") -> None:
        self.options, self.stock, self.stand_in = options, list(stock), stand_in


#: Makes a question over parts of its own: files in the directory, servers that end with the stack. Raises PartMissing.
Asker = t.Callable[[Path, contextlib.ExitStack], Question]


def told(module: str, options: t.Any, *that: str, **keywords: t.Any) -> tuple[Task, ...]:
    """A stock task and what has to hold of its ``answer``; ``keywords`` are the task's own."""
    asked: Task = {"name": module, module: options, "register": "answer", **keywords}
    if module.endswith(".command"):
        asked["changed_when"] = False
    return (asked, {"name": "It holds", "ansible.builtin.assert": {"that": list(that)}}) if that else (asked,)


def written(path: Path, text: str) -> str:
    """The path of a file that only its owner may read."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return str(path)
