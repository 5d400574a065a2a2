# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that others wrote: what cannot be read is one ValueError, whatever is wrong with it.

``json.loads`` raises RecursionError for a text of brackets, and a document that it just reads is too deep for whoever
walks through it next.
"""

from __future__ import annotations

import json
import typing as t

#: Levels of a document. What people exchange has ten.
DEEPEST = 100


def read(text: str | bytes) -> t.Any:
    """The document. Raises json.JSONDecodeError, or another ValueError for bytes that are no text."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    level = [document]
    for _unused in range(DEEPEST):
        level = [
            child
            for value in level
            if isinstance(value, (dict, list))
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return document
    raise _too_deep()


def _too_deep() -> json.JSONDecodeError:
    return json.JSONDecodeError(f"it is nested more than {DEEPEST} levels deep", "", 0)
