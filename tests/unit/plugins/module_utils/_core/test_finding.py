# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding is as bad as its worst criterion, and of nothing it is unknown."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core import finding
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Denied
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    ORDER,
    Criterion,
    Judgement,
    at_least,
    at_most,
    holds,
    matches,
    one_of,
    plain,
    told_apart,
    unknown,
    worst,
    worst_of_error,
)

statuses = st.sampled_from(ORDER)
criteria = st.builds(
    Criterion,
    name=st.text(min_size=1, max_size=8),
    status=statuses,
    measured=st.integers(),
    expected=st.just("at least 1"),
    sentence=st.text(min_size=1, max_size=20),
    remedy=st.sampled_from(["", "do this", "do that"]),
)


#: What a check yields for one item: each criterion has a name of its own.
several = st.lists(criteria, max_size=6, unique_by=lambda criterion: criterion.name)


@given(st.lists(statuses), statuses)
def test_one_more_criterion_never_makes_it_better(before: list[str], added: str) -> None:
    if before:
        assert ORDER.index(worst([*before, added])) >= ORDER.index(worst(before))


@given(several)
def test_the_order_of_criteria_does_not_change_the_status(listed: list[Criterion]) -> None:
    assert Judgement.of(listed).status == Judgement.of(reversed(listed)).status


@given(several)
def test_the_summary_names_every_criterion_that_did_not_pass(listed: list[Criterion]) -> None:
    judgement = Judgement.of(listed)
    for criterion in listed:
        if criterion.status != "pass":
            assert criterion.sentence[1:] in judgement.summary
            assert criterion.remedy in judgement.remedy


def test_no_criteria_at_all_is_unknown() -> None:
    judgement = Judgement.of([])
    assert judgement.status == "unknown"
    assert judgement.summary == "Nothing was judged, so nothing is known."
    assert worst([]) == "unknown"


def test_a_name_that_two_criteria_share_is_a_defect_and_not_the_end_of_one() -> None:
    with pytest.raises(ValueError, match="several criteria are called 'lag'; this is a defect"):
        Judgement.of([at_most("lag", 9, 5), at_most("load", 1, 5), at_most("lag", 1, 5)])


@given(st.lists(st.text(max_size=3)))
def test_labels_that_come_again_are_told_apart(labels: list[str]) -> None:
    told = told_apart(labels)
    assert len(told) == len(labels)
    assert all(one.startswith(label) for one, label in zip(told, labels))
    if not any("of" in label for label in labels):
        assert len(set(told)) == len(labels)


def test_a_label_is_numbered_only_where_it_comes_again() -> None:
    assert told_apart(["/a", "/b", "/a"]) == ["/a (1 of 2)", "/b", "/a (2 of 2)"]


def test_only_what_check_mode_left_out_is_left_out() -> None:
    trace = unknown("canary", "canary was not run in check mode", left_out=True)
    other = unknown("lag", "lag was not run in check mode")
    known = at_least("replicas", 2, 1)
    assert Judgement.of([known, trace]).left_out
    for listed in ([], [known], [known, trace, other], [other], [trace, at_least("free", 0, 1)]):
        assert not Judgement.of(listed).left_out


def test_what_does_not_pass_stands_worst_first() -> None:
    judgement = Judgement.of(
        [
            at_least("free", 3, 5, unit="GB", level="warn"),
            unknown("lag", "lag could not be read"),
            at_most("load", 9, 2),
        ]
    )
    assert judgement.status == "fail"
    assert (
        judgement.summary
        == "Load is 9, expected at most 2; lag could not be read; free is 3 GB, expected at least 5 GB."
    )


def test_a_pass_says_what_was_measured() -> None:
    assert Judgement.of([at_least("replicas", 2, 1)]).summary == "Replicas is 2 (at least 1)."
    many = Judgement.of([at_least(f"n{i}", i, 0) for i in range(6)])
    assert many.summary == "All hold: n0 0, n1 1, n2 2, n3 3 and 2 more."
    assert Judgement.of([at_least("a", 1, 0), at_most("b", 1, 2)]).summary == "All hold: a 1, b 1."


@pytest.mark.parametrize(
    "criterion",
    [
        one_of("policy", None, ["noeviction"]),
        at_least("replicas", None, 1),
        at_most("lag", None, 1),
        matches("version", None, "^18"),
        holds("write", None, measured=None, expected="a write"),
    ],
)
def test_what_could_not_be_read_is_unknown(criterion: Criterion) -> None:
    assert criterion.status == "unknown"
    assert "could not be" in criterion.sentence


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_bounds_are_inclusive_and_opposite(measured: float, bound: float) -> None:
    low, high = at_least("x", measured, bound), at_most("x", measured, bound)
    assert (low.status == "pass") == (measured >= bound)
    assert (high.status == "pass") == (measured <= bound)
    assert "pass" in (low.status, high.status)


@pytest.mark.parametrize("criterion", [at_least("n", float("nan"), 1), at_most("n", float("nan"), 1)])
def test_not_a_number_never_passes(criterion: Criterion) -> None:
    assert criterion.status != "pass"


def test_true_is_not_one() -> None:
    assert one_of("flag", True, [1]).status == "fail"
    assert one_of("flag", 1, [True]).status == "fail"
    assert one_of("flag", True, [True, "always"]).status == "pass"


def test_a_remedy_is_given_only_where_it_is_needed() -> None:
    assert one_of("policy", "noeviction", ["noeviction"], remedy="set it").remedy == ""
    assert one_of("policy", "allkeys-lru", ["noeviction"], remedy="set it").remedy == "set it"
    assert matches("version", "17.2", "^18", remedy="upgrade").remedy == "upgrade"
    assert matches("version", "18.1", "^18").status == "pass"


def test_of_a_long_text_that_was_searched_its_beginning_is_told() -> None:
    text = "x" * 299 + "secret-at-the-end"
    found = matches("body", text, "end$")
    assert (found.status, found.measured) == ("pass", "x" * 299 + "s…")
    found = matches("body", text, "^end")
    assert (found.status, "at-the-end" in found.sentence, len(found.sentence) < 400) == ("fail", False, True)


def test_a_sentence_of_ones_own_is_used() -> None:
    own = holds(
        "write", False, measured="refused", expected="a write", sentence="the bucket refuses writes", level="warn"
    )
    assert (own.status, own.sentence) == ("warn", "the bucket refuses writes")
    assert holds("write", False, measured="x", expected="y").sentence == "write is x, expected y"


def test_a_level_that_is_none_is_a_defect() -> None:
    with pytest.raises(ValueError, match="level is 'error'"):
        at_least("n", 1, 1, level="error")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), (True, "true"), (False, "false"), (1.5, "1.5"), (2.0, "2"), (0.1 + 0.2, "0.3"),
     ([1, None], "1, nothing"), ((), "nothing"), ("ü", "ü"), (7, "7")],
)  # fmt: skip
def test_values_read_like_a_sentence(value: t.Any, text: str) -> None:
    assert plain(value) == text


def test_an_error_says_what_and_how_out_and_is_unknown() -> None:
    judgement = worst_of_error(Denied("db refused the password.", remedy="Ask the owner."))
    assert (judgement.status, judgement.summary, judgement.remedy) == (
        "unknown",
        "db refused the password.",
        "Ask the owner.",
    )
    assert worst_of_error(KeyError("a")).summary == "KeyError: 'a'"
    assert worst_of_error(RuntimeError()).summary == "RuntimeError: RuntimeError"
    assert worst_of_error(BadInput("")).status == "unknown"


def test_the_words_of_the_design_are_the_statuses() -> None:
    assert finding.STATUSES == ("pass", "warn", "unknown", "fail", "not_applicable")


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("free space", "Free space is 1, "),
        ("append-only file", "Append-only file is 1, "),
        ("https://archive.example.org/health status", "https://archive.example.org/health status is 1, "),
        ("localhost:443 days left", "localhost:443 days left is 1, "),
        ("localhost A", "localhost A is 1, "),
        ("archive.example.org days left", "archive.example.org days left is 1, "),
        ("db1 lag", "db1 lag is 1, "),
        ("max_connections", "max_connections is 1, "),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_as_it_is_written(name: str, begins: str) -> None:
    assert Judgement.of([at_least(name, 1, 2)]).summary.startswith(begins)
