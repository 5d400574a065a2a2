# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and blocks of bash inside Markdown, for ROLLBACK.md."""

from __future__ import annotations

import shlex
import typing as t


def line(text: t.Any) -> str:
    """Somebody else's text in one line, so that it cannot begin a block."""
    return " ".join(str(text).split())


def block(*commands: str) -> list[str]:
    """Bash reads what stands in braces whole: when it ends half-way, the rest of what was pasted goes to nobody else."""
    return ["```sh", "{", *commands, "}", "```", ""]


def word(value: t.Any) -> str:
    return shlex.quote(str(value))


def trusting(path: t.Any) -> str:
    return f"--cacert {word(path)} " if path else ""
