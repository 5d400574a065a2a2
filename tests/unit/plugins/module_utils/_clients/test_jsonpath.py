# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON paths of expectations: what they find, and that what cannot be read is refused."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients.jsonpath import EVERY, find, parse, written
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

DOCUMENT = {
    "status": "gesund",
    "components": [{"name": "db", "state": "gesund"}, {"name": "redis", "state": "kritisch"}],
    "a.b": {"c d": 1},
    'q"': None,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("", [DOCUMENT]),
        ("$.status", ["gesund"]),
        ("status", ["gesund"]),
        ("$['status']", ["gesund"]),
        ("$.components[0].name", ["db"]),
        ("$.components[-1].name", ["redis"]),
        ("$.components[*].state", ["gesund", "kritisch"]),
        ("$.components[0].*", ["db", "gesund"]),
        ('$["a.b"]["c d"]', [1]),
        ("['a.b']['c d']", [1]),
        (r'$["q\""]', [None]),
        ("$.nothing", []),
        ("$.components[2]", []),
        ("$.components[-3]", []),
        ("$.components.name", []),
        ("$.status[0]", []),
        ("$.status.*", []),
    ],
)
def test_a_path_finds_every_value_in_order(path: str, found: list[t.Any]) -> None:
    assert find(DOCUMENT, path) == found


@pytest.mark.parametrize(
    "path", ["$..a", "$.a[", "$.a[1:2]", "$.a[?(@.b)]", "$.", "$x", "$.a b", r'$["\u12"]', "$.a[1e3]"]
)
def test_what_cannot_be_read_is_refused_and_never_finds_nothing(path: str) -> None:
    with pytest.raises(BadInput, match="cannot be read at"):
        parse(path)


steps = st.lists(st.one_of(st.text(max_size=8), st.integers(-999, 999), st.just(EVERY)), max_size=6).map(tuple)


@given(steps)
def test_what_is_written_is_read_back(path: tuple[t.Any, ...]) -> None:
    assert parse(written(path)) == path


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.data())
def test_a_path_made_from_a_document_finds_what_is_there(document: t.Any, data: st.DataObject) -> None:
    place, value = [], document
    while isinstance(value, (dict, list)) and value and data.draw(st.booleans()):
        step = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else list(range(len(value)))))
        place.append(step)
        value = value[step]
    assert find(document, written(place)) == [value]


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_bad_input(path: str) -> None:
    with contextlib.suppress(BadInput):
        assert parse(written(parse(path))) == parse(path)
