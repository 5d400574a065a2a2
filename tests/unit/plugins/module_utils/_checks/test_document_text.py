# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headings, versions and placeholders, as documents really write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import document_text


def titles(text: str) -> list[tuple[int, str]]:
    return [(section.level, section.title) for section in document_text.read(text).sections]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# One\ntext\n## Two ##\n", [(1, "One"), (2, "Two")]),
        ("#no heading\n#\ttab\n", [(1, "tab")]),
        ("```sh\n# comment\n```\n# real\n", [(1, "real")]),
        ("~~~\n# a\n```\n# b\n~~~\n# real\n", [(1, "real")]),
        ("````\n```\n# a\n````\n# real\n", [(1, "real")]),
        ("<!-- # hidden\n# hidden -->\n# real\n", [(1, "real")]),
        ("One\n===\ntext\n\nTwo\n---\n", [(1, "One"), (2, "Two")]),
        ("# A\n\nTwo\n---\n", [(1, "A"), (2, "Two")]),
        ("---\ntitle: x\n---\n# A\n", [(1, "A")]),
        ("# A\n\ntext\n\n---\n\nmore\n", [(1, "A")]),
        ("A\n---\n\nB\n~~~\n\nC\n---\n", [(1, "A"), (2, "B"), (1, "C")]),
        ("=====\nTitle\n=====\n\nPart\n----\n", [(1, "Title"), (2, "Part")]),
        ("= Title\n\n== Teil\ntext\n", [(1, "Title"), (2, "Teil")]),
        ("| a | b |\n| --- | --- |\n| c | d |\n", []),
        ("# Rück\u0308fall\r\ntext\r\n", [(1, "Rück\u0308fall")]),
        ("<!DOCTYPE html><html><h1>A <b>b</b></h1><p>x</p><script>'<h2>no</h2>'</script><h2>C&amp;D</h2></html>", [(1, "A b"), (2, "C&D")]),
        ("", []),
    ],
)  # fmt: skip
def test_headings_of_each_kind(text: str, found: list[tuple[int, str]]) -> None:
    assert titles(text) == found


@pytest.mark.parametrize(
    ("text", "empty"),
    [
        ("# A\ntext\n", []),
        ("# A\n\n# B\ntext\n", ["A"]),
        ("# A\n## B\ntext\n", []),
        ("# A\n## B\n", ["A", "B"]),
        ("# A\n<!-- later -->\n", ["A"]),
        ("# A\n---\n***\n", ["A"]),
        ("# A\n[a]: https://example.org\n", ["A"]),
        ("# A\n```\ncode\n```\n", []),
        ("A\n===\n\nB\n===\ntext\n", ["A"]),
        ("<html><h2>A</h2><h2>B</h2><p>text</p></html>", ["A"]),
    ],
)
def test_a_section_with_nothing_below_is_empty(text: str, empty: list[str]) -> None:
    assert [section.title for section in document_text.read(text).sections if section.is_empty] == empty


@pytest.mark.parametrize(
    ("title", "is_there"),
    [
        ("2.0.1", True), ("v2.0.1", True), ("[2.0.1] - 2026-11-22", True), ("Version 2.0.1 (today)", True), ("2.0.1: notes", True),
        ("archive-2.0.1", False), ("12.0.1", False), ("2.0.10", False), ("2.0.1.4", False), ("2.0.1-rc1", False), ("2.0.1+build", False),
        ("2.0.1.", True), ("1.2.0.1", False), ("2x0x1", False), ("", False),
    ],
)  # fmt: skip
def test_a_version_is_this_one_and_no_other(title: str, is_there: bool) -> None:
    assert document_text.has_version(title, "2.0.1") is is_there
    assert document_text.has_version(title, "v2.0.1") is is_there


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("| DevOps | [Name] | [Telefon] |", ["[Name]", "[Telefon]"]),
        ("Über [Ihr Name]", ["[Ihr Name]"]),
        ("a [link](https://x) [other][ref] [note]: x\n", []),
        ("see [Guide] and [guide][]\n\n[Guide]: https://x\n", []),
        ("- [ ] open\n- [x] done\n- [X] done\n", []),
        ("note[^1] [!NOTE] [2.0.1] ![Bild](x.png)", []),
        ("## [Unreleased]", []),
        ("a `[Name]` b\n```\n[Name]\n```\n", []),
        ("list[Name]", []),
        ("TODO: x\nall TBD.\nFIXME XXX", ["TODO", "TBD", "FIXME", "XXX"]),
        ("todo el mundo, mastodon, TODOS, my-TODO-list", []),
        ("```\n# TODO later\n```", ["TODO"]),
        ("who???", ["???"]),
        ("really?? yes", []),
        ("Lorem ipsum dolor", ["Lorem ipsum"]),
        ("<!-- TODO hidden from readers -->", []),
        ("by {{ author }} at ${HOST}", ["{{ author }}", "${HOST}"]),
        ("write `{{ author }}`", []),
        ("mail <your address> or <b>bold</b>", ["<your address>"]),
        ("<html><p>[Name]</p><code>[Name]</code><p>TBD</p></html>", ["[Name]", "TBD"]),
    ],
)
def test_placeholders_and_what_only_looks_like_one(text: str, found: list[str]) -> None:
    assert [placeholder.text for placeholder in document_text.read(text).placeholders] == found


def test_placeholders_are_told_by_line_and_may_be_excepted_or_added() -> None:
    text = "a\n\n[Name] and [ERROR]\nwird ergänzt\n"
    found = document_text.read(text, extra=[re.compile("wird ergänzt")], excepted=["[ERROR]"]).placeholders
    assert [(each.text, each.line) for each in found] == [("[Name]", 3), ("wird ergänzt", 4)]


def test_a_document_full_of_placeholders_is_told_in_part() -> None:
    assert len(document_text.read("TODO\n" * 10_000).placeholders) == 50


def test_comparison_knows_neither_case_nor_composition_nor_markup() -> None:
    assert document_text.normalised("**Ru\u0308ckfall** `plan`  B") == document_text.normalised("rückfall plan b")
    assert document_text.normalised("snake_case") == "snake_case"


@given(st.text(alphabet="#=-`~<!>[]ab \n\r[Name]TODO{}", max_size=200))
def test_any_text_is_read(text: str) -> None:
    document = document_text.read(text)
    lines = text.count("\n") + 1
    assert all(1 <= section.line <= lines for section in document.sections)
    assert all(1 <= placeholder.line <= lines for placeholder in document.placeholders)
