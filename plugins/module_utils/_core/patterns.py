# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular expressions that users write: refused by option and reason before anything is asked."""

from __future__ import annotations

import re

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput


def compiled(pattern: str, *, option: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern, ready to search with. Raises BadInput naming the option."""
    try:
        return re.compile(pattern, flags)
    except re.error as problem:
        raise BadInput(f"{option}: {pattern!r} is not a regular expression: {problem}.")
