# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text for the operator's terminal: what servers and titles say may hold what moves a cursor or clears a screen."""

from __future__ import annotations

import re

#: C0 and C1 control characters but tab and newline, and what turns the direction of writing.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with every control character written out, as in ``\\x1b[2J``."""
    return _UNPRINTABLE.sub(lambda found: repr(found.group())[1:-1], text)
