# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows per table, counted in the text that ``pg_restore --data-only`` makes of an archive. No database is needed."""

from __future__ import annotations

import re

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer

_NAME = rb'(?:"(?:[^"]|"")+"|[^\s".(]+)'
#: A name may hold line ends inside its quotes, so this is not a pattern for one line.
_COLUMNS = rb'(?:\((?:[^"()]|"(?:[^"]|"")*")*\) )?'
_HEAD = re.compile(rb"^COPY (" + _NAME + rb")\.(" + _NAME + rb") " + _COLUMNS + rb" ?FROM stdin;\n", re.M)
_END = b"\n\\.\n"
#: No COPY header is longer: 1,600 columns of 63 bytes, each quoted.
_LONGEST_HEAD = 1 << 18


def _plain(name: bytes) -> str:
    text = name.decode("utf-8", "surrogateescape")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


class RowCounter:
    """Feed it the text in chunks of any size; ``counts`` is (schema, table) → rows.

    Inside a COPY block a line end within a value is written as ``\\n``, so each line is one row and ``\\.`` ends it.
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self._buffer = b""
        self._table: tuple[str, str] | None = None
        self._rows = 0

    def update(self, chunk: bytes) -> None:
        buffer = self._buffer + chunk
        while True:
            if self._table is None:
                head = _HEAD.search(buffer)
                if head is None:
                    self._buffer = self._from_a_line(buffer)
                    return
                self._table = (_plain(head.group(1)), _plain(head.group(2)))
                self._rows = 0
                # The end mark of an empty table follows its header at once; keep the header's line end before it.
                buffer = buffer[head.end() - 1 :]
            end = buffer.find(_END)
            if end < 0:
                keep = max(0, len(buffer) - len(_END) + 1)
                line_end = buffer.rfind(b"\n", 0, keep)
                if line_end > 0:
                    self._rows += buffer.count(b"\n", 1, line_end + 1)
                    buffer = buffer[line_end:]
                self._buffer = buffer
                return
            self._rows += buffer.count(b"\n", 1, end + 1)
            self.counts[self._table] = self._rows
            self._table = None
            buffer = buffer[end + len(_END) :]

    @staticmethod
    def _from_a_line(buffer: bytes) -> bytes:
        """What may still become a header: from the last line that begins like one, at most its longest length."""
        start = 0 if buffer.startswith(b"COPY ") else -1
        found = buffer.rfind(b"\nCOPY ")
        start = found + 1 if found >= 0 else start
        if start >= 0 and len(buffer) - start <= _LONGEST_HEAD:
            return buffer[start:]
        last = buffer.rfind(b"\n")
        return buffer[last + 1 :] if len(buffer) - last <= 8 else b"\x00"

    def close(self) -> dict[tuple[str, str], int]:
        """Raises UnexpectedAnswer when the text broke off inside a table."""
        if self._table is not None:
            raise UnexpectedAnswer(f"The archive breaks off inside table {'.'.join(self._table)}.")
        return self.counts
