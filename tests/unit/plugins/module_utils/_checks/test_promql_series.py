# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which series an expression needs; one line per case."""

from __future__ import annotations

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.promql_series import needed

#: Expression as Prometheus prints it -> groups of what is counted, and what is hidden.
CASES: list[tuple[str, list[list[str]], list[str]]] = [
    ("vector(1)", [], []),
    ("time() - 5", [], []),
    ("1e-05 + 0x1F + .5 - +Inf + NaN", [], []),
    ("queue_length > 100", [["count(queue_length)"]], []),
    ("queue_length offset 1w > -queue_length", [["count(queue_length)"]], []),
    ("x @ 1609746000.000 offset -5m", [["count(x)"]], []),
    ("x @ end()", [["count(x)"]], []),
    ('up{job="a,b) or (c"} == 0', [['count(up{job="a,b) or (c"})']], []),
    ('{__name__=~"job:.*"}', [['count({__name__=~"job:.*"})']], []),
    ('{"my.metric", "a.b"="c}"} > 0', [['count({"my.metric", "a.b"="c}"})']], []),
    ("avg by (job) (up)", [["count(up)"]], []),
    ("avg(up) by (job)", [["count(up)"]], []),
    ("quantile by (job, le) (0.9, x) > bool 3", [["count(x)"]], []),
    ("rate(x[5m]) * on (a, b) group_left (c) y", [["count(last_over_time(x[5m]))"], ["count(y)"]], []),
    ("x * ignoring () group_right y", [["count(x)"], ["count(y)"]], []),
    ("max_over_time(rate(x[5m])[1h:1m])", [["count(last_over_time(x[5m]))"]], []),
    ("max_over_time(x[1h:1m])", [["count(x)"]], []),
    ('label_replace(up, "a", "$1", "b", "(.*)or vector(0)")', [["count(up)"]], []),
    ("absent(up)", [], []),
    ("absent_over_time(up[5m])", [], []),
    ("up == 0 or absent(up)", [], []),
    ("absent(up) and on () y", [["count(y)"]], []),
    ("sum(x) or vector(0)", [], ["count(x)"]),
    ("(sum(x) or on () vector(0)) / sum(y) > 0.5", [["count(y)"]], ["count(x)"]),
    ("vector(0) or x", [], ["count(x)"]),
    ("x or y", [["count(x)", "count(y)"]], []),
    ("(x + z) or y", [["count(x)", "count(y)"], ["count(z)", "count(y)"]], []),
    ("x and y or z", [["count(x)", "count(z)"], ["count(y)", "count(z)"]], []),
    ("x unless on (a) y", [["count(x)"]], []),
    ("x and ignoring (a) y", [["count(x)"], ["count(y)"]], []),
    ('ALERTS{alertstate="firing"} > 0', [], []),
    ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) > 1", [["count(last_over_time(x_bucket[5m]))"]], []),
    ("job:up:ratio < 1 and job:up:ratio < 2", [["count(job:up:ratio)"]], []),
]


@pytest.mark.parametrize(("expression", "groups", "hidden"), CASES)
def test_an_expression_needs_its_series(expression: str, groups: list[list[str]], hidden: list[str]) -> None:
    read = needed(expression)
    assert [[each.counted for each in group] for group in read.groups] == groups
    assert [each.counted for each in read.hidden] == hidden


@pytest.mark.parametrize(
    ("expression", "has_stand_in"),
    [
        ("sum(x) or vector(0)", True),
        ("vector(0) or sum(rate(x[5m]))", True),
        ('sum(x) or label_replace(vector(0), "a", "b", "", "")', True),
        ("sum(x) or sum(vector(0))", True),
        ("sum(x) or (0 * vector(1))", True),
        ("sum(x or vector(0)) / sum(y)", True),
        ("count(ALERTS) or vector(0)", True),
        ("absent(x) or vector(0)", True),
        ("up == 0 or absent(up)", False),
        ("x or y", False),
        ('count(up{job="or vector(0)"})', False),
        ("vector(1)", False),
        ("sum(x) or 0 * sum(y)", True),
        ("sum(x) or sum(y) * 0", True),
        ("-sum by (a) (y * -0) or sum by (a) (x)", True),
        ("sum(x) or (vector(0) and on () y)", True),
        ("sum(x) or y * 0 + 1", True),
        ("sum(x) or y * 10", False),
        ("up == 0 or (vector(1) and on () y > 3)", False),
    ],
)
def test_a_number_that_stands_in_is_known(expression: str, has_stand_in: bool) -> None:
    assert needed(expression).has_stand_in is has_stand_in


@pytest.mark.parametrize(
    "expression",
    [
        "vector(1)", "1 + 2", "sum(x) * 0", "0 * x", "x * 0 > 5", "(1 - 1) * x", "x * on () vector(0)", "sum(x offset 5m) * 0",
        "0 * sum(x) by (a)", "sum(0 * x)", "max(x * 0 + 1)", "0 / x", "x ^ 0", "-(0 * x)", "x * 0x0", "x * 0.0e-5",
        "vector(0) and on () x", "0 * x unless y", 'label_replace(0 * x, "a", "b", "c", "d")', "0 * x @ end()", "2 * x ^ 0",
    ],
)  # fmt: skip
def test_a_value_that_no_data_can_change_is_known(expression: str) -> None:
    assert needed(expression).is_fixed


@pytest.mark.parametrize(
    "expression",
    [
        "x", "x + 0 * y", "x and 0 * y", "10 * x", "1e-0 * x", "x ^ 0 * y", "count(0 * x)", "sum(x * 0 + 1)", "x > 0", "x > bool 0",
        "time() - x", "absent(x)", "1 - absent(x)", "scalar(x)", "rate(x[5m])", "x offset 0s", "x @ 0", "vector(0) and on () x > 3",
        "(x == bool 0) * y", "ALERTS", "x - 0", "0 + x", "0 > x", "x or y", "clamp(x, 0, 1)", "group(x)", 'x{a="0 * y"}', "0 x", "time()",
    ],
)  # fmt: skip
def test_a_value_that_data_may_change_is_not_refused(expression: str) -> None:
    assert not needed(expression).is_fixed


def test_an_endless_sum_is_read_all_the_same() -> None:
    assert not needed("x" + " + 0" * 20_000).is_fixed


def test_a_selector_has_a_name_to_be_shown_by() -> None:
    (group,) = needed('sum(rate(errors_total{code=~"5.."}[5m]))').groups
    assert (group[0].shown, group[0].metric) == ('errors_total{code=~"5.."}', "errors_total")


@pytest.mark.parametrize("expression", ["", "sum(x", "x{a", "x[5m", "x)", "x ; y", "x, y", 'x{a="b'])
def test_what_cannot_be_read_is_said(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        needed(expression)
