# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placeholders: filled with their type where they stand alone, as text elsewhere, and never left over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.placeholders import filled, names_in
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput


def test_a_placeholder_that_is_the_whole_string_keeps_its_type() -> None:
    assert filled({"a": ["${n}", "n=${n}"], "${k}": None}, {"n": 7, "k": "x"}) == {"a": [7, "n=7"], "x": None}


def test_a_doubled_dollar_is_literal() -> None:
    assert filled("$${n} ${n} $n", {"n": 1}) == "${n} 1 $n"
    assert list(names_in("$${n}")) == []


def test_values_from_outside_are_quoted_inside_a_text_only() -> None:
    values = {"n": "a/b c"}
    assert filled("x/${n}", values, quoted={"n"}) == "x/a%2Fb%20c"
    assert filled("${n}", values, quoted={"n"}) == "a/b c"
    assert filled("x/${n}", values) == "x/a/b c"


@pytest.mark.parametrize("bad", ["${}", "${a b}", "${1}", "${a-b}"])
def test_what_is_no_name_is_refused(bad: str) -> None:
    with pytest.raises(BadInput):
        list(names_in([bad]))


def test_a_name_without_a_value_is_refused() -> None:
    with pytest.raises(BadInput, match=r"\$\{n\} has no value"):
        filled(("x ${n}",), {})


@given(st.text())
def test_a_value_is_not_filled_again(value: str) -> None:
    assert filled("<${n}>", {"n": value, "m": "never"}) == f"<{value}>"


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True), st.integers(), min_size=1))
def test_every_name_that_is_needed_is_found(values: dict[str, int]) -> None:
    text = {"key": [f"-${{{name}}}" for name in values]}
    assert list(names_in(text)) == list(values)
    assert filled(text, values) == {"key": [f"-{value}" for value in values.values()]}
