# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose fault it is that pg_restore ended badly: that of the backup itself, or of a full disk, a missing right, an older program.

Of a server's error pg_restore tells the text alone, in the server's own language. The statement that failed is tried once more, and
its SQLSTATE decides. Nothing is the backup's fault that cannot be told to be: rows that a server refuses are not.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import database_facts
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError

if t.TYPE_CHECKING:
    import psycopg

#: What pg_restore says of an archive that is damaged inside: pg_backup_archiver.c, pg_backup_custom.c, compress_*.c.
_OF_THE_ARCHIVE = re.compile(
    r"^pg_restore: error: (?P<what>did not find magic string in file header|sanity check on integer size|"
    r"unrecognized data block type|found unexpected block ID|could not find block ID \d+ in archive -- possibly corrupt archive|"
    r"unexpected data offset flag|unexpected section code|unrecognized file format|invalid (?:ENCODING|STDSTRINGS|SEARCHPATH) item|"
    r"entry ID -?\d+ out of range|could not read from input file: end of file|unexpected end of file|could not (?:un|de)compress data|"
    r"input file is too short|input file does not appear to be a valid archive|input file appears to be a text format dump)",
    re.M,
)
_OF_A_NEWER_FORMAT = re.compile(r"^pg_restore: error: (?P<what>unsupported version \(\d+\.\d+\) in file header)", re.M)
_STATEMENT = re.compile(
    r"^pg_restore: error: could not execute query: .*?^Command was: (?P<sql>.+?)(?=^pg_restore: |\Z)", re.M | re.S
)
#: Classes of SQLSTATE: what the rows are, what they break, and what a function in PL/pgSQL raises.
_CLASSES = ("22", "23", "P0")
#: Of class 42 what no other server of the same version takes: no missing right, function, collation, tablespace or access method.
_STATES = frozenset(("42703", "42804", "42P01", "42P13", "42P16", "42P17"))
#: A value that the server has no such setting for, as another one may.
_NO_VALUE = "22023"


def of_the_archive(stderr: str, *, written_by: t.Any, read_by: int) -> str | None:
    """What pg_restore itself met in the archive, without a word of what that holds; None where it met something else.

    ``written_by``: the version of the pg_dump that wrote it, such as ``18.6``; ``read_by``: pg_restore's, as 18. An older one's
    refusal says nothing of the archive.
    """
    said, version = _OF_THE_ARCHIVE.search(stderr), re.match(r"\d{1,4}", str(written_by))
    if said is None and version is not None and int(version[0]) <= read_by:
        said = _OF_A_NEWER_FORMAT.search(stderr)
    return None if said is None else f"pg_restore tells of the archive: {said['what']}"


def of_the_state(sqlstate: str, *, same_version: bool) -> str | None:
    """What the server refused by this SQLSTATE; None where another server of the kind may take it."""
    is_own = sqlstate[:2] in _CLASSES and sqlstate != _NO_VALUE
    if not is_own and not (same_version and sqlstate in _STATES):
        return None
    return f"the server refuses what it holds, with SQLSTATE {sqlstate}"


def statement_of(stderr: str) -> str | None:
    """The whole statement that the server refused, by what pg_restore said; None where that was cut, or was no statement."""
    said = _STATEMENT.search(stderr)
    return None if said is None else said["sql"].rstrip()


def tried_again(
    connect: t.Callable[..., psycopg.Connection[t.Any]], statement: str, *, deadline: Deadline
) -> str | None:
    """The SQLSTATE with which the server refuses a statement, rolled back; None where it takes it, or cannot be asked."""
    library = require("psycopg")
    try:
        with connect(settings=database_facts.PINNED) as connection, connection.transaction(force_rollback=True):
            connection.execute("set local check_function_bodies = off")
            postgres.limit(connection, deadline)
            connection.execute(statement.encode("utf-8"))
    except library.Error as problem:
        return getattr(problem, "sqlstate", None)
    except GoliveError:
        return None
    return None
