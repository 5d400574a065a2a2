# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON of others is a document or a ValueError, and nothing that is too deep to walk through."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(documents)
def test_a_document_is_read_as_it_was_written(document: object) -> None:
    assert foreign_json.read(json.dumps(document)) == document
    assert foreign_json.read(json.dumps(document).encode()) == document


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_anything_else_is_a_value_error(raw: bytes | str) -> None:
    try:
        foreign_json.read(raw)
    except ValueError:
        return


@pytest.mark.parametrize("opened", ["[", '{"a":'])
@pytest.mark.parametrize("levels", [foreign_json.DEEPEST, 500, 100_000])
def test_what_is_too_deep_is_refused_in_words(opened: str, levels: int) -> None:
    closed = {"[": "]", '{"a":': "}"}[opened]
    for raw in (opened * levels + "1" + closed * levels, opened * 100_000):
        with pytest.raises(json.JSONDecodeError, match="nested more than 100 levels deep"):
            foreign_json.read(raw)


def test_the_deepest_document_is_read() -> None:
    levels = foreign_json.DEEPEST - 1
    assert foreign_json.read("[" * levels + "]" * levels)
