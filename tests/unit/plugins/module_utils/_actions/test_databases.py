# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names fit into 63 bytes, marks are read back, and what is not ours is never taken for ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    Database,
    Mark,
    claim,
    creation_clauses,
    derived_name,
    maintenance_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1).filter(
    lambda name: len(name.encode()) <= 63
)
identities = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)


@given(names, st.sampled_from(["golive", "before", "scratch", "restore", "failed"]), identities)
def test_a_derived_name_fits_and_is_never_the_name_itself(base: str, word: str, identity: str) -> None:
    made = derived_name(base, word, identity)
    assert len(made.encode()) <= 63
    assert made != base
    assert f"_{word}_" in made


@given(st.lists(names, min_size=2, max_size=2, unique=True), identities)
def test_different_databases_get_different_names(bases: list[str], identity: str) -> None:
    assert derived_name(bases[0], "failed", identity) != derived_name(bases[1], "failed", identity)


@given(names, st.lists(identities, min_size=2, max_size=2, unique=True))
def test_different_releases_get_different_names(base: str, pair: list[str]) -> None:
    assert derived_name(base, "failed", pair[0]) != derived_name(base, "failed", pair[1])


def test_a_short_name_is_kept_readable() -> None:
    assert derived_name("archive", "golive", "r1") == "archive_golive_r1"


def test_a_name_is_cut_between_characters() -> None:
    made = derived_name("ä" * 31, "golive", "r1")
    assert len(made.encode()) <= 63
    assert made.startswith("ä" * 10)


marks = st.builds(
    Mark,
    kind=st.sampled_from(["scratch", "fenced", "copy"]),
    original=names,
    identity=identities,
    oid=st.integers(1, 2**32),
    comment=st.none() | st.text(),
    note=st.dictionaries(st.text(), st.none() | st.text() | st.integers()),
)


@given(marks)
def test_a_mark_is_read_back_as_it_was_written(mark: Mark) -> None:
    assert Mark.parse(mark.text()) == mark


@pytest.mark.parametrize(
    "comment",
    [
        None,
        "",
        "The archive",
        "opsready.golive",
        "opsready.golive {",
        "opsready.golive []",
        'opsready.golive {"kind": 1}',
    ],
)
def test_any_other_comment_is_no_mark(comment: str | None) -> None:
    assert Mark.parse(comment) is None


def _database(comment: str | None, *, oid: int = 7, opened: bool = True, limit: int = -1) -> Database:
    return Database(oid, "archive", "owner", opened, comment, 1, limit)


def test_a_mark_that_came_with_another_database_does_not_count() -> None:
    text = Mark("scratch", "archive", "r1", 7).text()
    assert _database(text).is_ours(("scratch",), "r1")
    assert not _database(text, oid=8).is_ours(("scratch",), "r1")
    assert not _database(text).is_ours(("scratch",), "r2")
    assert not _database(text).is_ours(("fenced",), "r1")


def test_the_peoples_own_comment_survives_marking() -> None:
    marked = _database(Mark("fenced", "archive", "r1", 7, "The archive").text())
    assert marked.own_comment == "The archive"
    assert _database("The archive").own_comment == "The archive"
    assert _database(None).own_comment is None


@given(st.text(max_size=70), st.text(max_size=70))
def test_a_claim_is_a_connection_limit_that_nobody_else_would_give(original: str, name: str) -> None:
    assert 10**9 < claim(original, name) < 2**31


def test_only_a_closed_database_with_its_claim_and_without_comment_is_ours_before_its_mark() -> None:
    limit = claim("live", "archive")
    assert _database(None, opened=False, limit=limit).is_unmarked_of("live")
    assert not _database(None, opened=False, limit=limit).is_unmarked_of("another")
    assert not _database(None, opened=False).is_unmarked_of("live")
    assert not _database(None, limit=limit).is_unmarked_of("live")
    assert not _database("x", opened=False, limit=limit).is_unmarked_of("live")


def test_a_database_is_told_with_its_mark() -> None:
    assert _database(None).told()["mark"] is None
    assert _database(Mark("copy", "a", "r1", 7).text()).told()["mark"] == {"kind": "copy", "original": "a", "id": "r1"}


def test_the_maintenance_database_is_never_the_one_to_be_renamed() -> None:
    assert maintenance_name("archive", None) == "postgres"
    assert maintenance_name("postgres", None) == "template1"
    assert maintenance_name("archive", "other") == "other"
    with pytest.raises(BadInput, match="archive"):
        maintenance_name("archive", "archive")


@pytest.mark.parametrize(
    ("like", "version", "clauses"),
    [
        ({}, 180000, {}),
        (
            {"encoding": "LATIN1", "collate": "C", "ctype": "C", "locale_provider": "c"},
            150000,
            {"encoding": "LATIN1", "lc_collate": "C", "lc_ctype": "C", "locale_provider": "libc"},
        ),
        ({"encoding": "UTF8", "locale_provider": "c"}, 140000, {"encoding": "UTF8"}),
        (
            {"locale_provider": "i", "locale": "de", "icu_rules": "&a < b"},
            160000,
            {"locale_provider": "icu", "icu_locale": "de", "icu_rules": "&a < b"},
        ),
        (
            {"locale_provider": "i", "locale": "de", "icu_rules": "x"},
            150000,
            {"locale_provider": "icu", "icu_locale": "de"},
        ),
        (
            {"locale_provider": "b", "locale": "C.UTF-8"},
            180000,
            {"locale_provider": "builtin", "builtin_locale": "C.UTF-8"},
        ),
        ({"locale_provider": "i"}, 180000, {"locale_provider": "icu"}),
    ],
)
def test_a_new_database_gets_the_locale_of_the_old_one(
    like: dict[str, str], version: int, clauses: dict[str, str]
) -> None:
    assert dict(creation_clauses(like, version)) == clauses
