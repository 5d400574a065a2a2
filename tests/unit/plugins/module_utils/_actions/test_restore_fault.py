# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed restore says of the backup, and what it says of everything else."""

from __future__ import annotations

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import restore_fault

NEWER = "pg_restore: error: unsupported version (1.17) in file header"


@pytest.mark.parametrize("state", ["22P02", "22012", "23503", "23514", "P0001", "42P01", "42703"])
def test_what_no_server_takes_is_the_backups_fault(state: str) -> None:
    assert restore_fault.of_the_state(state, same_version=True) is not None
    assert (restore_fault.of_the_state(state, same_version=False) is not None) is not state.startswith("42")


@pytest.mark.parametrize(
    "state", ["53100", "57014", "42501", "42704", "42883", "22023", "0A000", "42601", "58P01", "08006", "40P01"]
)
def test_what_another_server_may_take_is_not(state: str) -> None:
    assert restore_fault.of_the_state(state, same_version=True) is None


@pytest.mark.parametrize(
    ("said", "is_own"),
    [
        ("pg_restore: error: could not uncompress data: incorrect data check", True),
        ("pg_restore: connecting\npg_restore: error: could not read from input file: end of file", True),
        ("pg_restore: error: could not read from input file: Input/output error", False),
        ('pg_restore: error: COPY failed for table "t": ERROR:  could not uncompress data', False),
        ("pg_restore: error: connection to server failed", False),
        ("", False),
    ],
)
def test_an_archive_that_is_damaged_inside_is_the_backups_fault(said: str, is_own: bool) -> None:
    assert (restore_fault.of_the_archive(said, written_by="18.6", read_by=18) is not None) is is_own


@pytest.mark.parametrize(("written_by", "is_own"), [("18.6", True), ("17.1", True), ("19.0", False), (None, False)])
def test_an_older_program_says_nothing_of_a_newer_archive(written_by: str | None, is_own: bool) -> None:
    assert (restore_fault.of_the_archive(NEWER, written_by=written_by, read_by=18) is not None) is is_own


def test_a_statement_is_taken_whole_or_not_at_all() -> None:
    said = (
        "pg_restore: error: could not execute query: ERROR:  x\nDETAIL:  y\nCommand was: CREATE VIEW v AS\n SELECT 1;"
    )
    assert restore_fault.statement_of(said) == "CREATE VIEW v AS\n SELECT 1;"
    ended = f"{said}\npg_restore: error: a worker process died unexpectedly"
    assert restore_fault.statement_of(ended) == restore_fault.statement_of(said)
    assert restore_fault.statement_of(said[40:]) is None
    assert restore_fault.statement_of('pg_restore: error: COPY failed for table "t": ERROR:  x') is None
