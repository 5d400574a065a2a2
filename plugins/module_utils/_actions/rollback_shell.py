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


def first_block(*commands: str) -> list[str]:
    """The block that all others need: what they call, and what has to be there."""
    return _fenced(*commands, "block_0_was_run=yes")


def block(*commands: str) -> list[str]:
    """A block that does nothing in a bash that was not given the first one, or was ended by it."""
    return _fenced(': "${block_0_was_run?run block 0 first}"', *commands)


def _fenced(*commands: str) -> list[str]:
    """Bash reads what stands in braces whole: when it ends half-way, the rest of what was pasted goes to nobody else."""
    return ["```sh", "{", *commands, "}", "```", ""]


def word(value: t.Any) -> str:
    return shlex.quote(str(value))


def found(programs: t.Sequence[str]) -> str:
    """That these programs are there, before something is changed that they are needed for later."""
    missing = 'command -v "$program" > /dev/null || stop "$program is not found; add its directory to PATH"'
    return f"for program in {' '.join(map(word, programs))}; do {missing}; done"


def trusting(path: t.Any) -> str:
    return f"--cacert {word(path)} " if path else ""
