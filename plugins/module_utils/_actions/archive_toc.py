# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of contents of pg_dump's custom and directory formats, and which of its entries bring single tables or schemas back.

It is read from the archive's own bytes, as pg_backup_archiver.c of PostgreSQL 9.3 to 18 writes them: what ``pg_restore --list``
prints has names with blanks run together and line feeds taken out, and ``pg_restore --table`` finds the name in any schema, and
brings neither the indexes nor the types. Here names are matched whole, and each entry knows what it needs.
"""

from __future__ import annotations

import codecs
import dataclasses
import difflib
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.database_facts import Table, readable
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, UnexpectedAnswer

_MAGIC = b"PGDMP"
#: Formats of pg_dump 9.3 (1.12), 10 (1.13), 12 (1.14), 16 (1.15), 17 and 18 (1.16).
_VERSIONS = range(12, 17)
#: As they call themselves; a directory's file of contents says that it is of a tar archive, which has the same.
_CUSTOM, _DIRECTORY = 1, 3
#: No name, query or function's body is longer: PostgreSQL itself holds none.
_LONGEST_TEXT = 1 << 30
#: Of an entry, in digits.
_LONGEST_NUMBER = 18


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing in an archive: ``description`` as pg_dump calls it (TABLE, FK CONSTRAINT), and the numbers that it needs."""

    number: int
    description: str
    schema: str
    name: str
    needs: tuple[int, ...]

    @property
    def table(self) -> Table:
        return self.schema, self.name

    @property
    def label(self) -> str:
        """For messages and results."""
        return f"{self.description} {readable(self.table) if self.schema else self.name}"


class _Stream:
    """Bytes out of chunks; no more chunks are taken than are needed."""

    def __init__(self, chunks: t.Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self._at = 0
        self.int_size = 4

    def take(self, size: int) -> bytes:
        there = len(self._held) - self._at
        if there < size:
            parts = [self._held[self._at :]]
            while there < size:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise UnexpectedAnswer("The archive ends within its table of contents.")
                parts.append(chunk)
                there += len(chunk)
            self._held, self._at = b"".join(parts), 0
        self._at += size
        return self._held[self._at - size : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """A sign, and then as many bytes as the archive's head says, the lowest first."""
        sign = self.byte()
        size = int.from_bytes(self.take(self.int_size), "little")
        return -size if sign else size

    def text(self) -> bytes | None:
        size = self.number()
        if size > _LONGEST_TEXT:
            raise UnexpectedAnswer("The archive's table of contents is unreadable.")
        return None if size < 0 else self.take(size)


def read(chunks: t.Iterable[bytes]) -> list[Entry]:
    """The entries of an archive, in its order. Takes no more than its beginning. Raises UnexpectedAnswer."""
    stream = _Stream(chunks)
    if stream.take(len(_MAGIC)) != _MAGIC:
        raise UnexpectedAnswer("The archive does not begin as one of pg_dump does.")
    major, minor, unused = stream.take(3)
    if major != 1 or minor not in _VERSIONS:
        raise UnexpectedAnswer(
            f"The archive has format {major}.{minor}; its table of contents is known for 1.{_VERSIONS[0]} to 1.{_VERSIONS[-1]}.",
            remedy="Restore the whole of it with state: verified or restored.",
        )
    stream.int_size = stream.byte()
    offset_size = stream.byte()
    kind = stream.byte()
    if kind not in (_CUSTOM, _DIRECTORY) or not (1 <= stream.int_size <= 8 and 1 <= offset_size <= 8):
        raise UnexpectedAnswer("The archive is of neither the custom nor the directory format of pg_dump.")
    _skip_head(stream, minor)
    count = stream.number()
    if count < 0:
        raise UnexpectedAnswer("The archive's table of contents is unreadable.")
    raw = [_entry(stream, minor, offset_size if kind == _CUSTOM else None) for unused in range(count)]
    decode = _decoder(raw)
    try:
        return [
            Entry(number, decode(description), decode(schema), decode(name), needs)
            for number, description, schema, name, unused, needs in raw
        ]
    except (UnicodeError, LookupError, TypeError):  # an encoding that is none of text
        raise UnexpectedAnswer("The archive's names cannot be read.")


def _skip_head(stream: _Stream, minor: int) -> None:
    """How it is compressed, when it was made (seven numbers), of which database, by which versions."""
    if minor >= 15:
        stream.byte()
    else:
        stream.number()
    for unused in range(7):
        stream.number()
    for unused in range(3):
        stream.text()


_Raw = tuple[int, bytes, bytes, bytes, bytes, "tuple[int, ...]"]


def _entry(stream: _Stream, minor: int, offset_size: int | None) -> _Raw:
    """``offset_size`` is that of the place of its data in the archive, which is None in a directory."""
    number = stream.number()
    stream.number()  # whether it has data
    stream.text()  # OID of its catalog
    stream.text()  # its own OID
    name, description = stream.text() or b"", stream.text() or b""
    stream.number()  # section
    definition = stream.text() or b""
    stream.text()  # how to drop it
    stream.text()  # how to copy its data
    schema = stream.text() or b""
    stream.text()  # tablespace
    if minor >= 14:
        stream.text()  # access method
    if minor >= 16:
        stream.number()  # relkind
    stream.text()  # owner
    stream.text()  # whether it has OIDs
    needs = []
    for text in iter(stream.text, None):
        if not text.isdigit() or len(text) > _LONGEST_NUMBER:
            raise UnexpectedAnswer("The archive's table of contents is unreadable.")
        needs.append(int(text))
    if offset_size is None:
        stream.text()  # the file that its data is in
    else:
        stream.take(1 + offset_size)  # where its data is
    kept = definition if description == b"ENCODING" else b""
    return number, description, schema, name, kept, tuple(needs)


def _decoder(raw: t.Iterable[_Raw]) -> t.Callable[[bytes], str]:
    """Names are in the encoding of the database, which an entry of its own tells."""
    said = next((one[4] for one in raw if one[1] == b"ENCODING"), b"")
    match = re.search(rb"'([A-Za-z0-9_]+)'", said)
    name = "UTF8" if match is None else match[1].decode("ascii")
    python = {"SQL_ASCII": "utf-8", "KOI8R": "koi8-r", "KOI8U": "koi8-u"}.get(name, re.sub(r"^WIN", "cp", name))
    try:
        codecs.lookup(python)
    except LookupError:
        raise UnexpectedAnswer(f"The archive's names are in {name}, which cannot be read here.")
    return lambda text: text.decode(python, "surrogateescape")


# --------------------------------------------------------------------------------------------------- what is asked for

#: What holds rows, or stands for what does elsewhere.
_TABLES = ("TABLE", "FOREIGN TABLE")
#: What belongs to the whole database, to other servers, or to none of its schemas.
_NEVER = re.compile(r"(?:DATABASE|PUBLICATION|SUBSCRIPTION|EVENT TRIGGER|BLOB|SERVER|USER MAPPING|FOREIGN )")
#: What is called ``<table> <name>`` and belongs to that table, whatever else it names.
_CALLED_AFTER_TABLE = ("CHECK CONSTRAINT", "CONSTRAINT", "DEFAULT", "FK CONSTRAINT", "POLICY", "RULE", "TRIGGER")
_OF_A_TABLE = (
    *_CALLED_AFTER_TABLE,
    *("INDEX", "INDEX ATTACH", "ROW SECURITY", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET"),
    *("STATISTICS", "STATISTICS DATA", "TABLE ATTACH", "TABLE DATA"),
)
_HAVE_PARTS = ("CONSTRAINT", "INDEX", "MATERIALIZED VIEW", "SEQUENCE", "STATISTICS", "TABLE")
#: What is said about anything that is brought back.
_ABOUT = ("ACL", "COMMENT", "SECURITY LABEL", "SEQUENCE SET")
#: What would be wrong, and not only lacking, where a table that it reads has no rows.
_READS_ROWS = ("FK CONSTRAINT", "MATERIALIZED VIEW", "MATERIALIZED VIEW DATA", "VIEW")


@dataclasses.dataclass(frozen=True)
class Selection:
    """What is restored of an archive, in its order."""

    entries: tuple[Entry, ...]
    #: With their rows.
    tables: tuple[Table, ...]
    #: Needed by those, such as the parent of a child: made, but left empty.
    without_rows: tuple[Table, ...]
    #: What belongs to what was asked for, and why it is not restored: object, reason.
    left_out: tuple[dict[str, str], ...]

    @property
    def use_list(self) -> bytes:
        """As pg_restore's ``--use-list`` reads it."""
        return "".join(f"{entry.number};\n" for entry in self.entries).encode()

    @property
    def sequences(self) -> set[Table]:
        return {entry.table for entry in self.entries if entry.description == "SEQUENCE"}

    @property
    def brought_along(self) -> list[str]:
        """Types, functions, extensions and the like, by label."""
        mere = {*_TABLES, *_OF_A_TABLE, *_ABOUT, "SCHEMA"}
        return [entry.label for entry in self.entries if entry.description not in mere]


def selected(entries: t.Sequence[Entry], *, tables: t.Sequence[str], schemas: t.Sequence[str]) -> Selection:
    """The entries that bring these tables and schemas back, each with what it needs. Raises BadInput for unknown names.

    A partitioned table brings its partitions. A part that needs another table, such as a foreign key, is left out with that reason.
    """
    return _Choice(entries).made(
        [_table_of(entries, text) for text in tables], [_schema_of(entries, text) for text in schemas]
    )


def _spellings(*parts: str) -> set[str]:
    """How somebody may write a name: as it is, quoted as results show it, and quoted as SQL wants it."""
    quoted = ".".join(map(postgres.quoted, parts))
    return {".".join(parts), readable(t.cast(Table, parts)), quoted}


def _nearest(text: str, known: t.Iterable[str]) -> str:
    """The known names that are most like one, in whichever case, as a sentence."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(text.casefold(), folded, n=3, cutoff=0.5)
    return f"Nearest: {', '.join(folded[name] for name in near)}." if near else ""


def _table_of(entries: t.Sequence[Entry], text: str) -> Entry:
    found = [one for one in entries if one.description == "TABLE"]
    exact = [one for one in found if text in _spellings(*one.table)]
    exact = exact or [one for one in found if text in _spellings(one.name)]
    if len(exact) == 1:
        return exact[0]
    if exact:
        names = ", ".join(readable(one.table) for one in exact)
        raise BadInput(
            f"{text} may be each of {names}.", remedy="Write it with its schema, each part in double quotes."
        )
    other = next((one for one in entries if one.schema and one.name and text in _spellings(*one.table)), None)
    if other is not None:
        raise BadInput(f"{text} is no table in the backup: it is a {other.description}.", remedy="Ask for its schema.")
    known = {readable(one.table) for one in found}
    near = _nearest(text, known) or _nearest(text, (one.name for one in found))
    raise BadInput(
        f"There is no table {text} in the backup. {near}".strip(), remedy="Upper and lower case are told apart."
    )


def _schema_of(entries: t.Sequence[Entry], text: str) -> str:
    known = {one.schema for one in entries if one.schema} | {one.name for one in entries if one.description == "SCHEMA"}
    exact = [name for name in sorted(known) if text in _spellings(name)]
    if len(exact) == 1:
        return exact[0]
    if exact:
        raise BadInput(f"{text} may be each of the schemas {', '.join(exact)}.", remedy="Write it in double quotes.")
    raise BadInput(
        f"There is no schema {text} in the backup. {_nearest(text, known)}".strip(),
        remedy="Upper and lower case are told apart.",
    )


class _Choice:
    """One selection in the making."""

    def __init__(self, entries: t.Sequence[Entry]) -> None:
        self.entries = entries
        self.by_number = {one.number: one for one in entries}
        self.with_rows: set[int] = set()
        self.chosen: set[int] = set()
        self.left_out: dict[str, str] = {}

    def made(self, tables: t.Iterable[Entry], schemas: t.Collection[str]) -> Selection:
        self.with_rows = {one.number for one in tables}
        self.with_rows |= {one.number for one in self.entries if one.description == "TABLE" and one.schema in schemas}
        self._take_partitions()
        for number in self.with_rows:
            self.chosen |= self._closure(number)
        names = {self.by_number[number].schema for number in self.chosen} | set(schemas)
        self.chosen |= {one.number for one in self.entries if one.description == "SCHEMA" and one.name in names}
        self._take_parts(schemas)
        self._tell_heirs()
        if any(one.description.startswith("BLOB") for one in self.entries):
            self.left_out["large objects"] = "they belong to no table"
        mine = tuple(one for one in self.entries if one.number in self.chosen)
        made = [one for one in mine if one.description == "TABLE"]
        return Selection(
            entries=mine,
            tables=tuple(one.table for one in made if one.number in self.with_rows),
            without_rows=tuple(one.table for one in made if one.number not in self.with_rows),
            left_out=tuple({"object": what, "reason": why} for what, why in self.left_out.items()),
        )

    def _take_partitions(self) -> None:
        """Whoever asks for a partitioned table asks for its rows, which are its partitions'."""
        below: dict[int, list[int]] = {}
        for one in self.entries:
            ends = [self.by_number[number] for number in one.needs if number in self.by_number]
            ends = [end for end in ends if end.description in _TABLES]
            child = next((end for end in ends if end.table == one.table), None)
            if one.description == "TABLE ATTACH" and child is not None:
                for parent in ends:
                    if parent is not child:
                        below.setdefault(parent.number, []).append(child.number)
        waiting = list(self.with_rows)
        while waiting:
            for number in below.get(waiting.pop(), ()):
                if number not in self.with_rows and self.by_number[number].description == "TABLE":
                    self.with_rows.add(number)
                    waiting.append(number)

    def _closure(self, number: int, *, within: bool = False) -> set[int]:
        """An entry and all that it needs; with ``within`` no further than to what is chosen already."""
        found, waiting = set(), [number]
        while waiting:
            one = waiting.pop()
            if one in found or one not in self.by_number or (within and one in self.chosen):
                continue
            found.add(one)
            waiting.extend(self.by_number[one].needs)
        return found

    def _tables_below(self, number: int) -> set[int]:
        """The tables that an entry needs, not looking through them."""
        found, seen, waiting = set(), set(), list(self.by_number[number].needs)
        while waiting:
            one = waiting.pop()
            if one in seen or one not in self.by_number:
                continue
            seen.add(one)
            if self.by_number[one].description in _TABLES:
                found.add(one)
            else:
                waiting.extend(self.by_number[one].needs)
        return found

    def _take_parts(self, schemas: t.Collection[str]) -> None:
        """What belongs to what is chosen, until nothing is added: a comment may be on an index."""
        refused: set[int] = set()
        is_growing = True
        while is_growing:
            is_growing = False
            for one in self.entries:
                if one.number in self.chosen or one.number in refused or not self._is_part(one, schemas):
                    continue
                reason = self._reason_against(one)
                if reason is None:
                    self.chosen |= self._closure(one.number, within=True)
                    is_growing = True
                else:
                    refused.add(one.number)
                    if one.description not in _ABOUT:
                        self.left_out[one.label] = reason

    def _is_part(self, one: Entry, schemas: t.Collection[str]) -> bool:
        if one.description in _TABLES or _NEVER.match(one.description):
            return one.description == "FOREIGN TABLE" and one.schema in schemas
        if one.description in _ABOUT and self.chosen.intersection(one.needs):
            return True
        if one.schema in schemas and (one.description not in _OF_A_TABLE or one.description == "SEQUENCE"):
            return True
        if one.description not in _OF_A_TABLE:
            return False
        needed = [self.by_number[number] for number in one.needs if number in self.by_number]
        if one.description in _CALLED_AFTER_TABLE:
            needed = [to for to in needed if to.schema == one.schema and one.name.startswith(f"{to.name} ")]
        elif one.description == "TABLE ATTACH":
            needed = [to for to in needed if to.table == one.table]
        else:  # a function, a type or a schema may be chosen for another table's sake
            needed = [to for to in needed if to.description in _HAVE_PARTS]
        empty = {to.number for to in needed if to.description in _TABLES} - self.with_rows
        return any(to.number in self.chosen - empty for to in needed)

    def _reason_against(self, one: Entry) -> str | None:
        """Why a part stays out: it needs a table that was not asked for, or what is never restored alone."""
        needed = [self.by_number[number] for number in self._closure(one.number, within=True)]
        if any(_NEVER.match(to.description) for to in needed):
            return "it belongs to the whole database or to another server"
        tables = {to.number for to in needed if to.description in _TABLES}
        if one.description in _READS_ROWS:
            tables |= self._tables_below(one.number) - self.with_rows
        if not tables:
            return None
        names = ", ".join(sorted(readable(self.by_number[number].table) for number in tables))
        return f"it needs {names}, which was not asked for"

    def _tell_heirs(self) -> None:
        """A query of a parent shows its children's rows too, and here it would not."""
        for one in self.entries:
            above = [self.by_number[number] for number in one.needs if number in self.with_rows]
            if one.description == "TABLE" and one.number not in self.with_rows and above:
                names = ", ".join(readable(parent.table) for parent in above)
                self.left_out[one.label] = (
                    f"it is built on {names} (as its child, or by a column), and was not asked for"
                )
