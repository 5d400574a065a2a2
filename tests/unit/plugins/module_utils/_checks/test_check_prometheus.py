# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_prometheus judges plain facts: nothing at all never passes."""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_prometheus as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_prometheus import (
    Alert,
    Asked,
    Configuration,
    Facts,
    Rule,
    Series,
    Target,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import prometheus
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

UP = Target("web", "a:80", "up", "", 3.0, 15.0)
GOOD = Rule("g", "QueueGrows", "alerting", "ok", "", 3.0, 15.0)


def judged(options: t.Mapping[str, t.Any], **facts: t.Any) -> Judgement:
    params = validated(check.ARGUMENT_SPEC, {"url": "http://x", **options}, where="test", **check.CONSTRAINTS)
    seen = Facts("http://x", facts.pop("problems", {}), **facts)
    check.evidence(seen)
    return Judgement.of(check.judge(seen, params))


@pytest.mark.parametrize(
    ("targets", "options", "status", "said"),
    [
        ([UP], {}, "pass", ""),
        ([Target("web", "a:80", "up", "", 46.0, 15.0)], {}, "pass", ""),
        ([Target("web", "a:80", "up", "", 47.0, 15.0)], {}, "fail", "a:80 of web was last scraped 47 s ago"),
        ([Target("web", "a:80", "up", "", 47.0, 15.0)], {"max_scrape_age": "1m"}, "pass", ""),
        ([Target("web", "a:80", "up", "", 3.0, 15.0)], {"max_scrape_age": "2s"}, "fail", "3 s ago"),
        ([Target("web", "a:80", "up", "", None, 15.0)], {}, "unknown", "was not scraped yet"),
        ([Target("web", "a:80", "unknown", "", 1.0, 15.0)], {}, "unknown", "was not scraped yet"),
        ([Target("web", "a:80", "down", "refused", 1.0, 15.0), UP], {}, "fail", "Targets: 1 of 2 up: a:80 of web is down: refused"),
        ([], {}, "fail", "Targets: there are none"),
    ],
)  # fmt: skip
def test_targets(targets: list[Target], options: dict[str, t.Any], status: str, said: str) -> None:
    found = judged({"all_up": True, **options}, targets=tuple(targets))
    assert (found.status, said in found.summary) == (status, True), found.summary


@pytest.mark.parametrize(
    ("rules", "status", "said"),
    [
        ([Asked("g", "A")], "pass", ""),
        ([], "fail", "Rules alive: there are none"),
        ([Asked("g", "A"), Asked("g", "B", absent=("x", "y"))], "fail", "1 of 2 alive: B of g asks for x, y, of which"),
        ([Asked("g", "A", problem="refused")], "unknown", "of A of g it is not known: refused"),
        ([Asked("g", "A", problem="refused"), Asked("g", "B", absent=("x",))], "fail", "B of g asks for x, of which"),
        (
            [Asked("g", "A", other_labels=("x{a}",))],
            "warn",
            "asks for x{a}, and there are series with other labels only",
        ),
        ([Asked("g", "A", hidden=("x",))], "warn", "A of g has a number in place of x"),
        ([Asked("g", str(number), hidden=("x",)) for number in range(7)], "warn", "; and 2 more"),
    ],
)
def test_rules_alive(rules: list[Asked], status: str, said: str) -> None:
    found = judged({"rules_alive": True}, asked=tuple(rules))
    assert (found.status, said in found.summary) == (status, True), found.summary


@pytest.mark.parametrize(("taken", "status"), [(None, "pass"), (15.0, "pass"), (15.1, "warn")])
def test_a_group_is_evaluated_within_its_interval(taken: float | None, status: str) -> None:
    found = judged({"rules_healthy": True}, rules=(dataclasses.replace(GOOD, group_seconds=taken),))
    assert found.status == status, found.summary


@given(up=st.integers(0, 3), down=st.integers(0, 3), waiting=st.integers(0, 3), min_up=st.integers(1, 4))
def test_a_job_passes_with_enough_targets_that_are_all_up(up: int, down: int, waiting: int, min_up: int) -> None:
    health = ["up"] * up + ["down"] * down + ["unknown"] * waiting
    targets = tuple(Target("web", f"w{index}:80", state, "", 1.0, 15.0) for index, state in enumerate(health))
    found = judged({"jobs": [{"name": "web", "min_up": min_up}]}, targets=targets)
    is_known_bad = bool(down) or up + waiting < min_up
    assert found.status == ("fail" if is_known_bad else "unknown" if waiting else "pass")


def test_of_many_bad_targets_the_worst_few_are_named() -> None:
    waiting = [Target("web", f"w{index}:80", "unknown", "", None, 15.0) for index in range(9)]
    found = judged({"all_up": True}, targets=(*waiting, Target("web", "z:80", "down", "refused", 1.0, 15.0)))
    assert found.summary.startswith("Targets: 0 of 10 up: z:80 of web is down")
    assert "; and 5 more" in found.summary


@pytest.mark.parametrize(
    ("rules", "status", "said"),
    [
        ([GOOD], "pass", ""),
        ([Rule("g", "r", "recording", "ok", "", 47.0, 15.0)], "fail", "r of g was last evaluated 47 s ago"),
        ([Rule("g", "r", "recording", "err", "many-to-many", 1.0, 15.0)], "fail", "r of g fails: many-to-many"),
        ([Rule("g", "r", "recording", "unknown", "", None, 15.0)], "unknown", "r of g was not evaluated yet"),
        ([], "fail", "there are none"),
    ],
)
def test_rules(rules: list[Rule], status: str, said: str) -> None:
    for options in ({"rules_healthy": True}, {"rule_groups": ["g"]}):
        found = judged(options, rules=tuple(rules))
        assert (found.status, said in found.summary) == (status, True), found.summary


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (GOOD, "pass"),
        (Rule("g", "QueueGrows", "alerting", "err", "x", 3.0, 15.0), "fail"),
        (Rule("g", "QueueGrows", "recording", "ok", "", 3.0, 15.0), "fail"),
    ],
)
def test_no_alert_of_rules_that_cannot_fire_is_no_proof(rule: Rule, status: str) -> None:
    assert judged({"alerts": {}}, rules=(rule,), alerts=()).status == status


@given(
    st.lists(st.tuples(st.sampled_from(["firing", "pending"]), st.sampled_from(["critical", "info", None]), st.booleans())),
    st.sampled_from([["firing"], ["firing", "pending"]]),
)  # fmt: skip
def test_an_alert_counts_unless_it_is_old_ignored_or_of_another_state(
    seen: list[tuple[str, str | None, bool]], states: list[str]
) -> None:
    alerts = tuple(
        Alert(
            {"alertname": f"A{index}", **({"severity": severity} if severity else {})},
            state,
            "2026-11-22T05:00:00Z",
            is_old,
        )
        for index, (state, severity, is_old) in enumerate(seen)
    )
    options = {"states": states, "ignored": ["A0"], "ignored_severities": ["info"]}
    found = judged({"alerts": options}, rules=(GOOD,), alerts=alerts)
    counted = [
        index
        for index, (state, severity, is_old) in enumerate(seen)
        if index and state in states and severity != "info" and not is_old
    ]
    assert found.status == ("fail" if counted else "pass")


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=4),
    at_least=st.one_of(st.none(), st.floats(-10, 10)),
    at_most=st.floats(-10, 10),
    min_series=st.integers(1, 3),
)
def test_a_query_passes_only_with_enough_numbers_that_all_hold(
    values: list[float], at_least: float | None, at_most: float, min_series: int
) -> None:
    query = {"name": "q", "query": "x", "at_most": at_most, "min_series": min_series}
    series = Series(tuple((f"instance={index}", value) for index, value in enumerate(values)))
    found = judged({"queries": [{**query, **({} if at_least is None else {"at_least": at_least})}]}, queries=(series,))
    if not values or not all(map(math.isfinite, values)):
        assert found.status == "unknown"
        return
    holds = len(values) >= min_series and max(values) <= at_most and (at_least is None or min(values) >= at_least)
    assert found.status == ("pass" if holds else "fail")


@pytest.mark.parametrize(
    ("configuration", "status"),
    [
        (Configuration(True, datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc), "15d"), "pass"),
        (Configuration(False, datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc), "15d"), "fail"),
        (Configuration(True, datetime.datetime(2026, 11, 20, tzinfo=datetime.timezone.utc), "15d"), "fail"),
        (Configuration(True, None, "15d"), "unknown"),
        (Configuration(None, datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc), "15d"), "unknown"),
        (Configuration(True, datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc), "1w or 3GiB"), "fail"),
        (Configuration(True, datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc), "10GiB"), "unknown"),
    ],
)
def test_configuration(configuration: Configuration, status: str) -> None:
    options = {"config_loaded": True, "config_loaded_since": "2026-11-21T00:00:00Z", "min_retention": "15d"}
    assert judged(options, configuration=configuration).status == status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15d", 1296000.0),
        ("1h30m", 5400.0),
        ("200ms", 0.2),
        ("1y2w", 32745600.0),
        ("", None),
        ("1GiB", None),
        ("15 days", None),
    ],
)
def test_prometheus_spans(text: str, seconds: float | None) -> None:
    assert prometheus.duration_seconds(text) == seconds


def test_times_as_go_writes_them() -> None:
    expected = datetime.datetime(2026, 11, 22, 5, 0, 1, 123456, tzinfo=datetime.timezone.utc)
    assert prometheus.moment("2026-11-22T05:00:01.123456789Z") == expected
    assert prometheus.moment("2026-11-22T06:00:01.123456789+01:00") == expected
    assert prometheus.moment("2026-11-22T05:00:01.1Z") == expected.replace(microsecond=100000)
    assert prometheus.moment("0001-01-01T00:00:00Z") is None
    with pytest.raises(UnexpectedAnswer, match="a time that is none"):
        prometheus.moment("yesterday")
