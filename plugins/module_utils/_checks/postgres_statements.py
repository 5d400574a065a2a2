# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of statements as pg_stat_statements keeps it, made fit to be shown.

It puts ``$1`` in place of the constants of a query, but keeps a utility statement as it was given, ``ALTER ROLE … PASSWORD '…'`` included.
"""

from __future__ import annotations

import re

#: So much of a statement is read, in characters, and so much of it shown.
READ = 20000
_SHOWN = 200
#: A plain literal with \' ends there or not by standard_conforming_strings, and comments may be nested: all that follows is left out.
_TOKENS = re.compile(
    r"""(?P<name>"(?:[^"]|"")*")
    | (?P<comment>--[^\n]*|/\*(?:(?!/\*).)*?\*/)
    | /\*.*
    | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
    | '(?:[^'\\]|''|\\(?!'))*(?:'|\Z)
    | '.*
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)""",
    re.DOTALL | re.VERBOSE,
)


def shown(query: str | None) -> str | None:
    """The beginning of a statement on one line, without comments and with each quoted constant as ``'…'``. Pure."""
    if query is None:
        return None
    return " ".join(_TOKENS.sub(_masked, query).split())[:_SHOWN]


def _masked(token: re.Match[str]) -> str:
    if token["name"] is not None:
        return token[0]
    return " " if token["comment"] is not None else "'…'"
