# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of somebody else's YAML."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients.yaml_documents import Document
from ansible_collections.opsready.golive.plugins.module_utils._clients.yaml_documents import read_documents as read
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut, UnexpectedAnswer


def read_documents(text: str, *, where: str) -> list[Document]:
    return read(text, where=where, deadline=Deadline(60))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(min_codepoint=97, max_codepoint=122)), inner),
    max_leaves=20,
)


def test_documents_are_told_with_their_lines_and_empty_ones_are_not() -> None:
    found = read_documents("# first\n---\na: 1\n---\n---\n- b\n", where="x")
    assert [(each.line, each.content) for each in found] == [(3, {"a": 1}), (6, ["b"])]


def test_aliases_and_merges_are_followed() -> None:
    (found,) = read_documents("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n", where="x")
    assert found.content["c"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "x has the key 'a' twice (line 2)"),
        ("- {b: {c: 1, c: 1}}\n", "x has the key 'c' twice (line 1)"),
        ("a: 1\n'a': 2\n", "x has the key 'a' twice (line 2)"),
        ("a: b: c\n", "x is not YAML (line 1)"),
        ("{[a]: 1}\n", "x is not YAML (line 1)"),
        ("a: \x01\n", "x is not YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        read_documents(text, where="x")
    assert said in caught.value.message


def test_a_key_that_is_a_number_is_not_its_text() -> None:
    assert read_documents("1: a\n'1': b\n", where="x")[0].content == {1: "a", "1": "b"}


def test_many_documents_end_with_their_time() -> None:
    with pytest.raises(TimedOut, match="Reading x did not end within 0 s"):
        read("a: 1\n", where="x", deadline=Deadline(0))


@given(PLAIN)
def test_json_is_read_as_what_it_is(value: object) -> None:
    found = read_documents(json.dumps(value), where="x")
    assert [each.content for each in found] == ([] if value is None else [value])
