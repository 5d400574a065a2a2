# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive's table of contents: read from its bytes, in every format, and chosen from by names that are matched whole."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.archive_toc import Entry, read, selected
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, UnexpectedAnswer


def number(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def text(value: str | bytes | None) -> bytes:
    if value is None:
        return number(-1)
    body = value.encode() if isinstance(value, str) else value
    return number(len(body)) + body


def written(entries: t.Sequence[Entry], *, minor: int = 16, encoding: str = "UTF8") -> bytes:
    """As pg_dump writes them."""
    head = b"PGDMP" + bytes([1, minor, 0, 4, 8, 1]) + (b"\1" if minor >= 15 else number(6))
    head += b"".join(number(part) for part in (1, 2, 3, 22, 10, 126, 0)) + text("archive") + text("18.0") + text("18.0")
    made = [*entries, Entry(9000, "ENCODING", "", "ENCODING", ())]
    body = b""
    for one in made:
        said = f"SET client_encoding = '{encoding}';\n" if one.description == "ENCODING" else "create"
        body += number(one.number) + number(0) + text("1259") + text("16384")
        body += text(one.name) + text(one.description) + number(2) + text(said) + text("") + text(None)
        body += text(one.schema or None) + text(None)
        body += (text(None) if minor >= 14 else b"") + (number(114) if minor >= 16 else b"")
        body += text("owner") + text("false") + b"".join(text(str(other)) for other in one.needs) + text(None)
        body += b"\1" + bytes(8)
    return head + number(len(made)) + body


def table(one: int, schema: str, name: str, *needs: int) -> Entry:
    return Entry(one, "TABLE", schema, name, needs)


ENTRIES = [
    Entry(1, "SCHEMA", "", "app", ()),
    table(2, "app", "a.b", 1),
    table(3, "app.a", "b"),
    table(4, "app", 'odd "name"\n', 1),
    table(5, "app", "plain", 1, 9),
    Entry(6, "FOREIGN TABLE", "app", "far", (1, 7)),
    Entry(7, "SERVER", "", "elsewhere", ()),
    Entry(8, "INDEX", "app", "of_another", (2, 9)),
    Entry(9, "FUNCTION", "app", "f()", (1,)),
    Entry(10, "PUBLICATION TABLE", "app", "pub plain", (5,)),
    Entry(11, "TABLE DATA", "app", "plain", (5,)),
    Entry(12, "FK CONSTRAINT", "app", "a.b to_plain", (2, 5)),
]


@pytest.mark.parametrize("minor", [12, 13, 14, 15, 16])
@given(size=st.integers(1, 4096))
def test_what_was_written_is_read_in_every_format(minor: int, size: int) -> None:
    body = written(ENTRIES, minor=minor)
    chunks = (body[begin : begin + size] for begin in range(0, len(body), size))
    assert read(chunks)[:-1] == ENTRIES


@given(cut=st.integers(0, len(written(ENTRIES)) - 1))
def test_an_archive_that_ends_too_early_says_so(cut: int) -> None:
    with pytest.raises(UnexpectedAnswer):
        read([written(ENTRIES)[:cut]])


@given(body=st.binary(max_size=200))
def test_what_is_no_archive_is_one_clear_error(body: bytes) -> None:
    for begun in (body, b"PGDMP\1\x10\0\4\x08\1" + body):
        with pytest.raises(UnexpectedAnswer):
            read([begun])


@pytest.mark.parametrize(("encoding", "python"), [("LATIN1", "latin-1"), ("WIN1252", "cp1252"), ("KOI8R", "koi8-r")])
def test_names_are_in_the_encoding_of_the_database(encoding: str, python: str) -> None:
    name = "я" if encoding == "KOI8R" else "Größe"
    body = written([table(2, "app", "name")], encoding=encoding)
    body = body.replace(text("name"), text(name.encode(python)), 1)
    assert read([body])[0].name == name
    with pytest.raises(UnexpectedAnswer, match="names are in EUC_XY"):
        read([written(ENTRIES, encoding="EUC_XY")])
    for no_text in ("hex", "idna", "undefined", "utf_16", "rot13"):
        with pytest.raises(UnexpectedAnswer, match="names cannot be read"):
            read([written(ENTRIES, encoding=no_text)])


def test_a_name_with_a_dot_is_asked_for_in_quotes() -> None:
    with pytest.raises(BadInput, match=r'may be each of app."a.b", "app.a".b'):
        selected(ENTRIES, tables=["app.a.b"], schemas=[])
    assert selected(ENTRIES, tables=['"app"."a.b"'], schemas=[]).tables == (("app", "a.b"),)
    assert selected(ENTRIES, tables=["b"], schemas=[]).tables == (("app.a", "b"),)
    assert selected(ENTRIES, tables=['odd "name"\n'], schemas=[]).tables == (("app", 'odd "name"\n'),)


def test_only_what_belongs_to_a_table_comes_with_it() -> None:
    found = selected(ENTRIES, tables=["plain"], schemas=[])
    assert [one.number for one in found.entries] == [1, 5, 9, 11]
    assert found.use_list == b"1;\n5;\n9;\n11;\n"
    assert found.brought_along == ['FUNCTION app."f()"']
    assert found.left_out == ()


def test_what_is_on_another_server_is_named() -> None:
    found = selected(ENTRIES, tables=[], schemas=["app"])
    assert found.left_out == (
        {"object": "FOREIGN TABLE app.far", "reason": "it belongs to the whole database or to another server"},
    )
    assert len(found.tables) == 3


def test_a_schema_may_be_quoted_and_is_told_from_what_is_like_it() -> None:
    assert selected(ENTRIES, tables=[], schemas=['"app.a"']).tables == (("app.a", "b"),)
    with pytest.raises(BadInput, match="no schema App in the backup"):
        selected(ENTRIES, tables=[], schemas=["App"])
    both = [Entry(1, "SCHEMA", "", "a", ()), Entry(2, "SCHEMA", "", '"a"', ())]
    with pytest.raises(BadInput, match="may be each of the schemas"):
        selected(both, tables=[], schemas=['"a"'])


def test_the_end_of_needs_that_lead_nowhere_or_in_circles() -> None:
    entries = [table(1, "app", "a", 2, 99), table(2, "app", "b", 1)]
    found = selected(entries, tables=["a"], schemas=[])
    assert (found.tables, found.without_rows) == ((("app", "a"),), (("app", "b"),))
