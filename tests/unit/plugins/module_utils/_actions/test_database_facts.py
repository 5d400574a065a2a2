# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparisons of tables and sequences miss nothing; settings are carried over to the letter."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.database_facts import (
    differences,
    differing_properties,
    readable,
    sequences_behind,
    setting_values,
    told_replication,
)


def _table(name: str, rows: int, content: str | None = None) -> dict[str, t.Any]:
    return {"schema": "public", "name": name, "rows": rows, "content": content}


tables = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 3), st.sampled_from([None, "1", "2"])))


@given(tables, tables)
def test_equal_tables_and_only_those_have_no_difference(
    left: dict[str, tuple[int, str | None]], right: dict[str, tuple[int, str | None]]
) -> None:
    found = differences(
        [_table(name, *value) for name, value in left.items()], [_table(name, *value) for name, value in right.items()]
    )
    unlike = {one["table"].removeprefix("public.") for one in found}
    for name in left.keys() | right.keys():
        if name not in left or name not in right:
            assert name in unlike
            continue
        (rows, content), (other_rows, other_content) = left[name], right[name]
        compared = content is not None and other_content is not None
        assert (name in unlike) is (rows != other_rows or (compared and content != other_content))


def test_a_difference_says_of_which_kind_it_is() -> None:
    wanted = [_table("a", 1), _table("b", 1), _table("c", 1, "1")]
    found = [_table("b", 2), _table("c", 1, "2"), _table("d", 0)]
    assert [one["differs"] for one in differences(wanted, found)] == ["missing", "rows", "content", "unexpected"]


def _sequence(last: int | None, increment: int = 1, cycles: bool = False) -> dict[str, t.Any]:
    return {"schema": "public", "name": "s", "last_value": last, "increment": increment, "cycles": cycles}


@pytest.mark.parametrize(
    ("wanted", "found", "is_behind"),
    [
        (_sequence(5), _sequence(5), False),
        (_sequence(5), _sequence(9), False),
        (_sequence(5), _sequence(4), True),
        (_sequence(5), _sequence(None), True),
        (_sequence(None), _sequence(None), False),
        (_sequence(-5, -1), _sequence(-9, -1), False),
        (_sequence(-5, -1), _sequence(-4, -1), True),
        (_sequence(5, cycles=True), _sequence(1, cycles=True), False),
    ],
)
def test_a_sequence_is_behind_when_it_would_give_a_value_again(
    wanted: dict[str, t.Any], found: dict[str, t.Any], is_behind: bool
) -> None:
    assert bool(sequences_behind([wanted], [found])) is is_behind


def test_a_missing_sequence_is_behind() -> None:
    assert sequences_behind([_sequence(None)], []) == ["public.s"]


@pytest.mark.parametrize(
    ("name", "stored", "values"),
    [
        ("search_path", "app, public", ["app", "public"]),
        ("search_path", '"$user", public', ["$user", "public"]),
        ("search_path", '"a ""b"", c", d', ['a "b", c', "d"]),
        ("search_path", "", [""]),
        ("TimeZone", "Europe/Berlin", ["Europe/Berlin"]),
        ("application_name", "a, b", ["a, b"]),
    ],
)
def test_a_list_setting_becomes_a_list_again(name: str, stored: str, values: list[str]) -> None:
    assert setting_values(name, stored) == values


def test_the_comment_is_not_among_the_properties_compared() -> None:
    wanted = {"owner": "a", "comment": "x", "connection_limit": 1}
    assert differing_properties(wanted, {"owner": "a", "comment": None, "connection_limit": 2}) == ["connection_limit"]


def test_unusual_names_are_quoted() -> None:
    assert readable(("public", "t")) == "public.t"
    assert readable(("Archive", "two words")) == '"Archive"."two words"'


def test_slots_and_subscriptions_are_told_with_their_state() -> None:
    slot = {"kind": "slot", "name": "debezium", "of": "pgoutput", "active": True, "confirmed_flush_lsn": "0/1A"}
    subscription = {"kind": "subscription", "name": "feed", "of": "a, b", "enabled": True, "slot_name": "feed"}
    told = "slot debezium (pgoutput; active, confirmed up to 0/1A), subscription feed (a, b; enabled, slot feed)"
    assert told_replication([slot, subscription]) == told
    idle = {**slot, "active": False, "confirmed_flush_lsn": None}
    assert told_replication([idle]) == "slot debezium (pgoutput; not active, confirmed up to nothing)"
    assert told_replication([]) == ""
