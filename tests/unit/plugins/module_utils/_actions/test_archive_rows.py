# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows are counted right out of COPY blocks, however the text is cut into chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.archive_rows import RowCounter
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer


def _quoted(name: str) -> str:
    plain = name.isascii() and name.isidentifier() and name.islower()
    return name if plain else '"' + name.replace('"', '""') + '"'


def _text(tables: dict[tuple[str, str], list[str]]) -> bytes:
    parts = ["--\n-- dump\n--\n\nSET statement_timeout = 0;\n\n"]
    for (schema, name), rows in tables.items():
        parts.append(f'COPY {_quoted(schema)}.{_quoted(name)} (id, "a (b)") FROM stdin;\n')
        parts.extend(row + "\n" for row in rows)
        parts.append("\\.\n\n\nSELECT pg_catalog.setval('public.x', 7, true);\n\n")
    return "".join(parts).encode()


names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=12)
# What COPY writes: a line end inside a value is two characters, and no line is the end mark.
lines = st.text(st.sampled_from("ab\t\\N.COPYFROM stdin;"), max_size=12).filter(lambda line: line != "\\.")
dumps = st.dictionaries(st.tuples(names, names), st.lists(lines, max_size=6), max_size=4)


@given(dumps, st.integers(1, 40))
def test_counts_do_not_depend_on_how_the_text_is_cut(tables: dict[tuple[str, str], list[str]], size: int) -> None:
    text = _text(tables)
    counter = RowCounter()
    for start in range(0, len(text), size):
        counter.update(text[start : start + size])
    assert counter.close() == {table: len(rows) for table, rows in tables.items()}


def test_an_archive_that_breaks_off_inside_a_table_is_named() -> None:
    counter = RowCounter()
    counter.update(b"COPY public.documents (id) FROM stdin;\n1\n2\n")
    with pytest.raises(UnexpectedAnswer, match=r"public\.documents"):
        counter.close()


def test_a_table_without_columns_is_counted() -> None:
    counter = RowCounter()
    counter.update(b"COPY public.nothing  FROM stdin;\n\n\n\\.\n")
    assert counter.close() == {("public", "nothing"): 2}


def test_what_looks_like_a_header_inside_a_line_is_none() -> None:
    counter = RowCounter()
    counter.update(b"SELECT 'x")
    counter.update(b"COPY public.t (id) FROM stdin;\n1\n\\.\n")
    assert counter.close() == {}


def test_text_without_any_line_end_is_not_kept() -> None:
    counter = RowCounter()
    for unused in range(50):
        counter.update(b"x" * 100_000)
    assert counter.close() == {}
    assert len(counter._buffer) < 10


def test_a_header_that_never_ends_is_given_up() -> None:
    counter = RowCounter()
    counter.update(b"COPY public.t (" + b"a" * (1 << 19))
    assert len(counter._buffer) < 10
