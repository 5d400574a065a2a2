# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_grafana judges plain facts, and reads dashboards as a browser does: nothing at all never passes."""

from __future__ import annotations

import math
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_grafana as check
from ansible_collections.opsready.golive.plugins.module_utils._checks import grafana_dashboards as dashboards
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_grafana import Dashboard, Facts, Panel, Rule
from ansible_collections.opsready.golive.plugins.module_utils._checks.grafana_dashboards import NotEvaluated, Shown
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

Json = dict[str, t.Any]
GOOD = Panel("Queue", 1, "stat", 1, values=(Shown(5.0, "green", True),))
EMPTY = Panel("Pages", 2, "timeseries", 1, ("A",))
UNASKED = Panel("Users", 3, "timeseries", problem="query A fails")
SPAN = (1_000_000, 1_900_000)


def judged(options: t.Mapping[str, t.Any], *, database: str = "ok", **facts: t.Any) -> Judgement:
    params = validated(check.ARGUMENT_SPEC, {"url": "http://x", **options}, where="test", **check.CONSTRAINTS)
    seen = Facts("http://x", "11.3.0", database, facts.pop("problems", {}), **facts)
    check.evidence(seen)
    return Judgement.of(check.judge(seen, params))


def of_dashboard(seen: Dashboard, **wanted: t.Any) -> Judgement:
    return judged({"dashboards": [{"uid": "d", **wanted}]}, dashboards=(seen,))


@pytest.mark.parametrize(
    ("seen", "wanted", "status", "said"),
    [
        (Dashboard("d", panels=(GOOD,)), {}, "pass", ""),
        (Dashboard("d", panels=(GOOD,)), {"green": True}, "pass", ""),
        (Dashboard("d", panels=(GOOD,)), {"green": True, "good_colors": ["blue"]}, "fail", "Queue is 5, which is green"),
        (Dashboard("d", panels=(GOOD, EMPTY)), {}, "fail", "1 of 2 panels have data of the last 15m, expected all: Pages (no data)"),
        (Dashboard("d", panels=(GOOD, EMPTY)), {"max_without_data": 1}, "pass", ""),
        (Dashboard("d", panels=(EMPTY,)), {"max_without_data": 1}, "fail", "0 of 1 panels have data"),
        (Dashboard("d", panels=(GOOD, UNASKED)), {}, "unknown", "1 of 2 panels not known: Users: query A fails"),
        (Dashboard("d", panels=(UNASKED,)), {"max_without_data": 9}, "unknown", "1 of 1 panels not known"),
        (Dashboard("d", panels=(EMPTY, UNASKED)), {}, "fail", "0 of 1 panels have data"),
        (Dashboard("d", panels=(Panel("O", 1, "stat", problem="gone", is_orphan=True),)), {}, "fail", "O (gone)"),
        (Dashboard("d"), {}, "fail", "has no panel that asks a data source"),
        (Dashboard("d"), {"max_without_data": 1}, "fail", "has no panel that asks a data source"),
        (Dashboard("d", is_there=False), {}, "fail", "there is none that this login may see"),
        (Dashboard("d", problem="it hangs"), {}, "unknown", "could not be judged: it hangs"),
        (Dashboard("d", panels=(EMPTY, GOOD)), {"green": True, "max_without_data": 1}, "pass", ""),
        (Dashboard("d", panels=(Panel("P", 1, "graph", 1),)), {"green": True}, "unknown", "nothing there is green or not"),
        (Dashboard("d", panels=(Panel("P", 1, "stat", 1, values=()),)), {"green": True}, "unknown", "it shows no value"),
        (Dashboard("d", panels=(GOOD,), absent=("X",)), {"panels": ["X"]}, "fail", "X absent"),
        (Dashboard("d", panels=(GOOD,), silent=("X",)), {"panels": ["X"]}, "unknown", "X of those named ask nothing"),
    ],
)  # fmt: skip
def test_dashboards(seen: Dashboard, wanted: Json, status: str, said: str) -> None:
    found = of_dashboard(seen, **wanted)
    assert (found.status, said in found.summary) == (status, True), found.summary


@given(good=st.integers(0, 3), empty=st.integers(0, 3), unasked=st.integers(0, 3), allowed=st.integers(0, 4))
def test_only_data_that_was_seen_passes(good: int, empty: int, unasked: int, allowed: int) -> None:
    found = of_dashboard(
        Dashboard("d", panels=(GOOD,) * good + (EMPTY,) * empty + (UNASKED,) * unasked), max_without_data=allowed
    )
    assert (found.status == "pass") == (good > 0 and empty <= allowed and not unasked)


def test_what_a_part_could_not_answer_hides_no_other() -> None:
    wanted = {"dashboards": [{"uid": "d"}], "datasources": ["a"]}
    found = judged(
        wanted, dashboards=(Dashboard("d", panels=(EMPTY,)),), problems={"datasources": UnexpectedAnswer("No.")}
    )
    assert (found.status, "No" in found.summary, "0 of 1 panels" in found.summary) == ("fail", True, True)
    assert judged({"datasources": ["a"]}, database="failing", datasources=()).status == "fail"


def test_a_rule_that_was_evaluated_long_ago_fails() -> None:
    def status(age: float | None) -> str:
        told = Rule("Q", "g", "alerting", "inactive", "ok", "", age, 60.0, False)
        return judged({"alert_rules": {"none_firing": True}}, rules=(told,)).status

    assert [status(181.0), status(182.0), status(None)] == ["pass", "fail", "unknown"]


# ── what a dashboard asks ──


def model(*listed: Json, **more: t.Any) -> Json:
    return {"panels": [], "templating": {"list": list(listed)}, **more}


def filled(text: str, *listed: Json, kind: str = "prometheus", given: Json | None = None, **values: str) -> str:
    panel = dashboards.Panel(1, "P", {}, values)
    return dashboards.Variables(model(*listed), given or {}).filled(text, panel, kind, SPAN)


def saved(value: t.Any, **more: t.Any) -> Json:
    return {"name": "v", "type": "query", "current": {"value": value}, **more}


@pytest.mark.parametrize(
    ("text", "listed", "expected"),
    [
        ("$v ${v} [[v]] ${v:raw}", saved("a"), "a a a a"),
        ("x{a=~'$v'}", saved(["a.b", "c"], multi=True), r"x{a=~'(a\\.b|c)'}"),
        ("$v", saved("a.b", multi=True), r"a\\.b"),
        ("$v", saved("a\\b", multi=True), r"a\\\\b"),
        ("$v", saved("a.b"), "a.b"),
        ("${v:regex}", saved(["a.b", "c"], multi=True), r"(a\.b|c)"),
        ("${v:pipe} ${v:csv}", saved(["a", "b"], multi=True), "a|b a,b"),
        ("$v", saved("$__all", allValue=".*"), ".*"),
        (
            "$v",
            saved(["$__all"], includeAll=True, options=[{"value": "$__all"}, {"value": "a"}, {"value": "b"}]),
            "(a|b)",
        ),
        ("$v", saved("$__all", type="custom", multi=True, query="one : 1,2"), "(1|2)"),
        ("$v", saved(None, type="constant", query="k"), "k"),
        ("$v", saved("", type="textbox"), ""),
        ("[$v]", saved("$__auto_interval_v", type="interval"), "[$__interval]"),
        ("rate(x[$__rate_interval]) $__from ${__to}", saved("a"), "rate(x[$__rate_interval]) 1000000 1900000"),
        ('label_replace(x, "a", "$1", "b", "(.*)$")', saved("a"), 'label_replace(x, "a", "$1", "b", "(.*)$")'),
        ("$vx $other", saved("a"), "$vx $other"),
    ],
)
def test_variables_are_filled_in(text: str, listed: Json, expected: str) -> None:
    assert filled(text, listed) == expected


@pytest.mark.parametrize(
    ("text", "listed", "kind", "said"),
    [
        ("$v", saved(None), "prometheus", "no value of the variable v is saved"),
        ("$v", saved([]), "prometheus", "no value"),
        ("$v", saved("$__all"), "prometheus", "stands on All"),
        ("$v", saved(["a", "b"], multi=True), "mysql", "for a data source of type mysql is not known"),
        ("$v", saved("a", multi=True), "mysql", "for a data source of type mysql is not known"),
        ("${v:lucene}", saved("a"), "prometheus", "as lucene is not known"),
        ("${v.text}", saved("a"), "prometheus", "by the browser alone"),
        ("$__dashboard", saved("a"), "prometheus", "by the browser alone"),
        ("${__from:date}", saved("a"), "prometheus", "by the browser alone"),
    ],
)
def test_what_the_browser_alone_fills_in_is_not_guessed(text: str, listed: Json, kind: str, said: str) -> None:
    with pytest.raises(NotEvaluated, match=said):
        filled(text, listed, kind=kind)


def test_given_values_come_before_saved_ones_and_repeated_ones_before_both() -> None:
    assert filled("$v", saved("a", multi=True), given={"v": ["x", 1]}) == "(x|1)"
    assert filled("$v", saved("a", multi=True), given={"v": "x"}, v="r") == "r"
    assert filled("$v", saved("a"), kind="mysql", given={"v": 5}) == "5"


def test_panels_of_rows_old_ones_and_copies() -> None:
    inner, outer, copy = (
        {"id": 1, "type": "stat"},
        {"id": 2, "type": "stat"},
        {"id": 3, "type": "stat", "repeatPanelId": 2},
    )
    row = {"type": "row", "repeat": "host", "panels": [inner]}
    found = dashboards.panels_of({"panels": [outer, row, copy, outer], "rows": [{"panels": [inner]}]})
    assert found == [(outer, None), (inner, "host"), (outer, "host"), (inner, None)]


def test_a_panel_of_a_repeated_row_is_repeated_by_both() -> None:
    variables = dashboards.Variables(model(saved(["a", "b"]), {**saved(["x"]), "name": "w"}), {})
    found = dashboards.repeated({"id": 1, "title": "P", "repeat": "w"}, "v", variables)
    assert [panel.called for panel in found] == ["P (v=a, w=x)", "P (v=b, w=x)"]


def test_what_grows_without_bound_is_not_asked() -> None:
    many = saved([str(number) for number in range(1000)], multi=True)
    with pytest.raises(NotEvaluated, match="repeated more than 200 times"):
        dashboards.repeated({"id": 1, "repeat": "v"}, "w", dashboards.Variables(model(many, {**many, "name": "w"}), {}))
    with pytest.raises(NotEvaluated, match="longer than 1000000 characters"):
        filled("$v " * 1000, many)


# ── what an answer shows ──


def frame(kinds: str, *values: list[t.Any], **more: t.Any) -> Json:
    fields = [{"type": {"t": "time", "n": "number", "s": "string"}[kind]} for kind in kinds]
    return {"schema": {"fields": fields}, "data": {"values": list(values), **more}}


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], (False, [])),
        ([{}], (False, [])),
        ([frame("tn")], (False, [])),
        ([frame("tn", [], [])], (False, [[]])),
        ([frame("tn", [50], [1])], (False, [[]])),
        ([frame("tn", [50, 100], [1, 2])], (True, [[2.0]])),
        ([frame("tn", [100], [None])], (False, [[None]])),
        ([frame("tn", [100], [math.nan])], (False, [[None]])),
        ([frame("tn", [100], [None], entities=[None, {"NaN": [0]}])], (False, [[None]])),
        ([frame("tn", [100, 101], [None, None], entities=[None, {"Inf": [0], "NegInf": [1]}])], (True, [[math.inf, -math.inf]])),
        ([frame("ts", [50], ["a log line"])], (True, [])),
        ([frame("s", [None])], (False, [])),
        ([frame("t", [100])], (False, [])),
        ([frame("n", [7])], (True, [[7.0]])),
        ([frame("tn", [100], [None]), frame("tn", [100], [0])], (True, [[None], [0.0]])),
    ],
)  # fmt: skip
def test_what_is_data(frames: list[Json], expected: t.Any) -> None:
    assert dashboards.columns(frames, since=100) == expected


def stat(steps: t.Sequence[tuple[float | None, str]], calc: str = "lastNotNull", **defaults: t.Any) -> Json:
    told = [{"value": value, "color": color} for value, color in steps]
    return {
        "type": "stat",
        "options": {"reduceOptions": {"calcs": [calc]}},
        "fieldConfig": {"defaults": {"thresholds": {"mode": "absolute", "steps": told}, **defaults}},
    }


STEPS = ((None, "green"), (50, "orange"), (100, "red"))


@pytest.mark.parametrize(
    ("calc", "column", "value", "color"),
    [
        ("lastNotNull", [1, 60, None], 60, "orange"),
        ("firstNotNull", [None, 1, 60], 1, "green"),
        ("last", [1, 100], 100, "red"),
        ("first", [1, 100], 1, "green"),
        ("mean", [0, 99], 49.5, "green"),
        ("max", [120, 1], 120, "red"),
        ("min", [120, 49.9], 49.9, "green"),
        ("sum", [25, 25], 50, "orange"),
        ("count", [1, 1], 2, "green"),
        ("range", [10, 110], 100, "red"),
        ("diff", [10, 70], 60, "orange"),
        ("lastNotNull", [math.inf], math.inf, "red"),
        ("lastNotNull", [-math.inf], -math.inf, "green"),
    ],
)
def test_the_value_and_colour_of_a_stat(calc: str, column: list[float | None], value: float, color: str) -> None:
    assert dashboards.shown_values(stat(STEPS, calc), [column]) == (Shown(value, color, color == "green"),)


def test_a_stat_without_a_value_shows_none_and_every_row_where_it_is_told_to() -> None:
    assert dashboards.shown_values(stat(STEPS), [[None], []]) == ()
    assert dashboards.shown_values(stat(STEPS, "last"), [[1, None]]) == ()
    every = stat(STEPS)
    every["options"]["reduceOptions"] = {"values": True}
    assert [shown.color for shown in dashboards.shown_values(every, [[1, None, 70]])] == ["green", "orange"]


def test_percentages_and_mappings() -> None:
    percent = stat(((None, "green"), (80, "red")), min=0, max=500)
    percent["fieldConfig"]["defaults"]["thresholds"]["mode"] = "percentage"
    assert [dashboards.shown_values(percent, [[value]])[0].color for value in (399, 400)] == ["green", "red"]
    mapped = stat(STEPS, mappings=[
        {"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up"}}},
        {"type": "range", "options": {"from": 2, "to": None, "result": {"color": "purple"}}},
    ])  # fmt: skip
    assert [dashboards.shown_values(mapped, [[value]])[0].color for value in (0, 1, 3)] == ["red", "green", "purple"]
    with pytest.raises(NotEvaluated, match="value mapping of type regex"):
        dashboards.shown_values(stat(STEPS, mappings=[{"type": "regex"}]), [[1]])


@given(
    st.lists(st.floats(allow_nan=False), min_size=1),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4, unique=True),
)
def test_a_colour_is_that_of_the_highest_step_that_is_reached(column: list[float], bounds: list[float]) -> None:
    steps = [(None, "base"), *((bound, f"c{bound}") for bound in bounds)]
    (shown,) = dashboards.shown_values(stat(steps), [column])
    reached = [bound for bound in bounds if column[-1] >= bound]
    assert (shown.color, shown.is_base) == (f"c{max(reached)}" if reached else "base", not reached)
