# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be lost is accounted so that no loss is hidden."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.data_loss import parse_snapshot, row_of, verdict
from ansible_collections.opsready.golive.plugins.module_utils._actions.pg_restore import advances, told_loss
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

TABLE = ("public", "documents")
counts = st.integers(0, 1000)


@given(counts, counts, counts, counts)
def test_lossless_means_that_nobody_else_touched_anything(
    before: int, deleted: int, updated: int, inserted: int
) -> None:
    deleted = min(deleted, before)
    updated = min(updated, before - deleted)
    account = row_of(TABLE, before - deleted + inserted, updated + inserted, 0, before, True)
    found = verdict([account], counted_before=True)
    assert found["lossless"] is (deleted == updated == inserted == 0)
    assert account["gone"] == deleted + updated
    assert account["deleted"] <= deleted


@given(counts, counts)
def test_our_own_rows_are_counted_apart(before: int, own: int) -> None:
    account = row_of(TABLE, before + own, own, own, before, True)
    found = verdict([account], counted_before=True)
    assert found["lossless"] is True
    assert found["own_rows"] == own
    assert found["rows"] == 0


def test_our_own_insert_does_not_hide_somebodys_delete() -> None:
    account = row_of(TABLE, 10, 1, 1, 10, True)
    assert verdict([account], counted_before=True)["lossless"] is False


def test_a_table_that_is_gone_is_a_loss() -> None:
    assert verdict([row_of(TABLE, None, 0, 0, 5, True)], counted_before=True)["lossless"] is False


def test_an_empty_table_that_came_or_went_is_none() -> None:
    assert verdict([row_of(TABLE, 0, 0, 0, None, True)], counted_before=True)["lossless"] is True
    assert verdict([row_of(TABLE, None, 0, 0, 0, True)], counted_before=True)["lossless"] is True


def test_without_counts_deletes_are_not_known() -> None:
    clean = verdict([row_of(TABLE, 5, 0, 0, None, False)], counted_before=False)
    assert clean["lossless"] is None
    assert "deletes" in clean["reason"]
    assert verdict([row_of(TABLE, 5, 1, 0, None, False)], counted_before=False)["lossless"] is False


@pytest.mark.parametrize("text", ["", "1:2", "a:b:", "1:2:x", "1:2:3,", "1:2:; drop table x"])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_snapshot(text)


def test_a_snapshot_is_read() -> None:
    assert parse_snapshot("10:20:12,15") == (10, 20)
    assert parse_snapshot("10:10:") == (10, 10)


def _sequence(last: int | None, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "schema": "public", "name": "s", "last_value": last, "increment": 1, "min": 1, "max": 2**63 - 1, "cache": 1,
        "cycles": False, **changes,
    }  # fmt: skip


@given(st.none() | st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 100), st.integers(1, 50))
def test_no_id_that_was_given_out_is_given_again(present: int | None, used: int, step: int, cache: int) -> None:
    changes = {"increment": step, "cache": cache}
    moves = list(advances([_sequence(present, **changes)], [_sequence(used, **changes)]))
    last = moves[0]["to"] if moves else present
    assert last is not None
    assert last + step > used + (cache - 1) * step


def test_a_sequence_that_counts_down_is_moved_down() -> None:
    down = {"increment": -1, "min": -100, "max": -1}
    assert next(advances([_sequence(-3, **down)], [_sequence(-9, **down)]))["to"] == -10


def test_a_sequence_is_never_moved_past_its_bounds_nor_when_it_cycles() -> None:
    assert next(advances([_sequence(5, max=10)], [_sequence(10, max=10)]))["to"] == 10
    assert list(advances([_sequence(5, cycles=True)], [_sequence(10, cycles=True)])) == []
    assert list(advances([_sequence(5)], [_sequence(None)])) == []
    assert list(advances([_sequence(5)], [])) == []
    assert list(advances([_sequence(50)], [_sequence(5)])) == []


def test_the_loss_is_told_with_rows_tables_and_minutes() -> None:
    since = {"snapshot": "1:1:", "at": "2026-11-22T11:00:00.000Z"}
    tables = [row_of(TABLE, 12, 3, 0, 10, True)]
    lost = {"since": since, "span_seconds": 120.0, **verdict(tables, counted_before=True)}
    assert told_loss(lost) == (
        "3 rows were inserted or updated and 1 that were there are gone or replaced within 2.0 minutes, in public.documents."
    )
    kept = {"since": since, "span_seconds": None, **verdict([], counted_before=True)}
    assert "nothing was written since 2026" in told_loss(kept)
    unknown = {"since": since, "span_seconds": None, "lossless": None, "reason": "why", "tables": [], "rows": None}
    assert "not known: why" in told_loss(unknown)
    deletes = {"since": since, "span_seconds": 60.0, **verdict([], counted_before=False)}
    assert "no row was written within 1.0 minutes, but deletes" in told_loss(deletes)
