# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks.packed_findings import packed, unpacked

FINDINGS: list[dict[str, t.Any]] = [
    {"id": "größe", "status": "pass", "measured": {"n": 1.5, "none": None, "list": [True]}}
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(), json_values), max_size=5))
def test_what_was_packed_comes_out_as_json_would_give_it(findings: list[dict[str, t.Any]]) -> None:
    assert unpacked(packed(findings, [])) == json.loads(json.dumps(findings))


def test_it_is_one_text_that_a_common_word_as_a_password_cannot_break() -> None:
    text = packed(FINDINGS, ["status", "pass", "measured"])
    assert isinstance(text, str) and unpacked(text) == FINDINGS


def test_a_secret_too_short_for_the_scrubber_is_left_to_ansibles_masking() -> None:
    assert packed(FINDINGS, ["a-long-secret", "xyz"]) is FINDINGS


def test_a_secret_that_the_text_happens_to_hold_is_no_reason_for_an_answer_nobody_can_read() -> None:
    text = packed(FINDINGS, [])
    assert isinstance(text, str)
    assert packed(FINDINGS, [text[10:15]]) is FINDINGS


@pytest.mark.parametrize("answer", ["", "no base64 !", "bm90IHpsaWI=", None, 5, {"findings": 1}, "********"])
def test_what_cannot_be_read_holds_no_findings(answer: t.Any) -> None:
    assert unpacked(answer) == []


def test_what_is_no_list_inside_is_none_either_and_half_of_it_neither() -> None:
    text = packed(t.cast("t.Any", {"status": "pass"}), [])
    assert unpacked(text) == []
    whole = packed([{"text": "".join(map(chr, range(33, 5000)))}], [])
    assert unpacked(whole[: len(whole) // 8 * 4]) == []
