# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Prometheus: does it scrape all it should, evaluate its rules, keep its data, and is no alert new?

A target that is not configured is not down, a rule that was not loaded never fires, and a query without data has no value:
what must be there is named by the user, and nothing at all is never good.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import promql_series
from ansible_collections.opsready.golive.plugins.module_utils._clients import http, prometheus
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    apart,
    at_least,
    at_most,
    holds,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_prometheus"

CONNECTION: Spec = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "bearer": {"type": "str", "no_log": True},
    "secret_headers": {"type": "dict", "no_log": True},
    "ca_file": {"type": "path"},
}
ARGUMENT_SPEC: Spec = {
    **CONNECTION,
    "all_up": {"type": "bool"},
    "jobs": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "instances": {"type": "list", "elements": "str"},
            "min_up": {"type": "int", "default": 1},
        },
    },
    "max_scrape_age": {"type": "str"},
    "rules_healthy": {"type": "bool"},
    "rules_alive": {"type": "bool"},
    "rule_groups": {"type": "list", "elements": "str"},
    "rules": {"type": "list", "elements": "str"},
    "alerts": {
        "type": "dict",
        "options": {
            "states": {"type": "list", "elements": "str", "choices": ["firing", "pending"], "default": ["firing"]},
            "ignored": {"type": "list", "elements": "str", "default": []},
            "ignored_severities": {"type": "list", "elements": "str", "default": []},
            "baseline_at": {"type": "str"},
        },
    },
    "alertmanager": {"type": "dict", "options": CONNECTION},
    "min_alertmanagers": {"type": "int"},
    "min_retention": {"type": "str"},
    "config_loaded": {"type": "bool"},
    "config_loaded_since": {"type": "str"},
    "queries": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "query": {"type": "str", "required": True},
            "at_least": {"type": "float"},
            "at_most": {"type": "float"},
            "min_series": {"type": "int", "default": 1},
        },
        "required_one_of": [["at_least", "at_most"]],
    },
    "fresh": {
        "type": "list",
        "elements": "dict",
        "options": {"series": {"type": "str", "required": True}, "max_age": {"type": "str", "default": "2m"}},
    },
}
_JUDGED = [
    "all_up", "jobs", "rules_healthy", "rules_alive", "rule_groups", "rules", "alerts", "min_alertmanagers", "min_retention",
    "config_loaded", "config_loaded_since", "queries", "fresh",
]  # fmt: skip
CONSTRAINTS: Constraints = {"required_one_of": [_JUDGED], "required_by": {"alertmanager": ["alerts"]}}

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|#[^\n]*')
#: The name and labels of series: of anything that is computed, the newest sample's time is now.
_SERIES = re.compile(r"\s*(?:[A-Za-z_:][\w:]*\s*(?:\{[^{}]*\})?|\{[^{}]+\})\s*")
_SHOWN = 5
#: A scrape or evaluation is late after so many of its intervals.
_LATE_INTERVALS = 3
#: So many selectors are counted with one query: its text goes with the address.
_COUNTED_AT_ONCE = 20


@dataclasses.dataclass(frozen=True)
class Target:
    """What Prometheus says of one target; ``age_seconds`` is None where it was never scraped."""

    job: str
    instance: str
    health: str
    error: str
    age_seconds: float | None
    interval_seconds: float


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule as loaded; ``age_seconds`` is None where it was never evaluated."""

    group: str
    name: str
    kind: str
    health: str
    error: str
    age_seconds: float | None
    interval_seconds: float
    #: As Prometheus prints it.
    expression: str = ""
    #: How long its whole group took; None where that is not told.
    group_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a rule asks for that has no series, or why that is not known."""

    group: str
    name: str
    #: Of no such metric there are series, whatever their labels.
    absent: tuple[str, ...] = ()
    #: Of the metric there are, and none with these labels.
    other_labels: tuple[str, ...] = ()
    #: No such metric, and a number stands in for it.
    hidden: tuple[str, ...] = ()
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Alert:
    """One alert that is firing or pending, and whether it was so at the baseline's time."""

    labels: t.Mapping[str, str]
    state: str
    since: str
    is_old: bool
    is_silenced: bool = False

    @property
    def called(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in sorted(self.labels.items()) if name != "alertname")
        return f"{self.labels.get('alertname')} ({told})" if told else str(self.labels.get("alertname"))


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What is loaded, and how long samples are kept: both as told."""

    is_reloaded: bool | None
    loaded_at: datetime.datetime | None
    retention: str


@dataclasses.dataclass(frozen=True)
class Series:
    """A query's answer: labels and value of each of its series, or why there is no answer."""

    values: tuple[tuple[str, float], ...] = ()
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was asked for and answered; None is what was not asked for, or what ``problems`` has the reason of."""

    url: str
    problems: t.Mapping[str, GoliveError]
    targets: tuple[Target, ...] | None = None
    rules: tuple[Rule, ...] | None = None
    asked: tuple[Asked, ...] | None = None
    alerts: tuple[Alert, ...] | None = None
    alertmanagers: tuple[str, ...] | None = None
    configuration: Configuration | None = None
    queries: tuple[Series, ...] | None = None
    ages: tuple[Series, ...] | None = None
    silences_problem: str = ""


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("jobs", "rule_groups", "rules", "queries", "fresh"):
        if params[option] == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for option in ("all_up", "rules_healthy", "rules_alive", "config_loaded"):
        if params[option] is False and all(params[other] in (None, False) for other in _JUDGED):
            raise BadInput(f"{option} is false, so nothing would be judged.")
    for job in params["jobs"] or ():
        if job["min_up"] < 1 or job["instances"] == []:
            raise BadInput(f"jobs: {job['name']} demands no target, so nothing would be judged by it.")
    for option in ("max_scrape_age", "min_retention"):
        if params[option] is not None:
            units.span_seconds(params[option], option=option)
    if params["alerts"] is not None and not params["alerts"]["states"]:
        raise BadInput("alerts.states is empty, so nothing would be judged by it.")
    _moment(params["config_loaded_since"], "config_loaded_since")
    _moment((params["alerts"] or {}).get("baseline_at"), "alerts.baseline_at")
    for query in params["queries"] or ():
        if query["min_series"] < 1:
            raise BadInput(f"queries: {query['name']} demands no series, so no data would pass.")
        _refuse_made_numbers(query["name"], query["query"])
    for fresh in params["fresh"] or ():
        units.span_seconds(fresh["max_age"], option="fresh")
        if not _SERIES.fullmatch(_bare(fresh["series"])):
            raise BadInput(f"fresh: {fresh['series']!r} is not the name of a series, with or without labels.")


def _refuse_made_numbers(name: str, query: str) -> None:
    """BadInput for ``x or vector(0)`` and ``x or 0 * y``, in all their spellings, and for what is the same number whatever the data."""
    try:
        need = promql_series.needed(_bare(query))
    except ValueError:
        return  # Prometheus may refuse it too; if it answers, ``_of_query`` does not trust the answer.
    if need.has_stand_in:
        raise BadInput(
            f"queries: {name} says 'or' with a number such as vector(0) or 0 * up, which makes a number of no data.",
            remedy="Leave it out: a query without data is unknown. Judge whether there is traffic with a query of its own.",
        )
    if need.is_fixed:
        raise BadInput(
            f"queries: {name} has the same value whatever the data, as 0 * up has, so nothing would be judged by it.",
            remedy="Write the query so that its value is what was measured; count(up) says whether there are series.",
        )


def _bare(query: str) -> str:
    """The query without comments, and its strings empty."""
    return _QUOTED.sub(lambda match: "" if match[0].startswith("#") else '""', query)


def _moment(text: str | None, option: str) -> datetime.datetime | None:
    try:
        return parse_utc(text) if text is not None else None
    except ValueError:
        raise BadInput(f"{option} is {text!r}, which is no time.", remedy="Write 2026-11-22T05:00:00Z.")


class _Asking:
    """Questions to one server; each is asked once for all items."""

    def __init__(self, connection: t.Mapping[str, t.Any], run: Run) -> None:
        login = http.basic(connection["username"], connection["password"])
        secrets = {**(connection["secret_headers"] or {}), **http.bearer(connection["bearer"]), **login}
        self.api = prometheus.Api(connection["url"], secret_headers=secrets, ca_file=connection["ca_file"])
        self.run = run
        self._key = (NAME, self.api.url, json.dumps(secrets, sort_keys=True, default=str), connection["ca_file"])

    def get(self, path: str, **query: str) -> prometheus.Answer:
        key = (*self._key, path, tuple(sorted(query.items())))
        return self.run.once(key, lambda: self.api.get(path, query, deadline=self.run.deadline))

    def silenced(self) -> list[t.Mapping[str, str]]:
        return self.run.once((*self._key, "silenced"), lambda: self.api.silenced(deadline=self.run.deadline))

    def age(self, text: str, now: datetime.datetime | None) -> float | None:
        """Seconds since then, by the server's clock where it tells it."""
        then = prometheus.moment(text)
        return max(0.0, ((now or self.run.clock.now()) - then).total_seconds()) if then else None


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask for what is judged; what one part could not answer is its own. Raises BadInput, and where no part answered, why."""
    _refuse_unusable(params)
    asking = _Asking(params, run)
    alerts = params["alerts"]
    parts: dict[str, t.Callable[[], t.Any]] = {}
    if params["all_up"] or params["jobs"]:
        parts["targets"] = lambda: _targets(asking)
    named = any(params[option] for option in ("rules_healthy", "rules_alive", "rule_groups", "rules"))
    if named or alerts is not None:
        parts["rules"] = lambda: _rules(asking)
    if params["rules_alive"]:
        parts["asked"] = lambda: _asked(asking)
    if alerts is not None:
        parts["alerts"] = lambda: _alerts(asking, alerts)
    if params["min_alertmanagers"] is not None:
        parts["alertmanagers"] = lambda: _alertmanagers(asking)
    if params["min_retention"] is not None or params["config_loaded"] or params["config_loaded_since"] is not None:
        parts["configuration"] = lambda: _configuration(asking)
    if params["queries"] is not None:
        parts["queries"] = lambda: tuple(_of_query(asking, query["query"]) for query in params["queries"])
    if params["fresh"] is not None:
        parts["ages"] = lambda: tuple(_series(asking, _age_of(fresh)) for fresh in params["fresh"])
    with asking.api:
        known, problems = _answers(parts)
    facts = Facts(asking.api.url, problems, **known)
    return _with_silences(facts, params["alertmanager"], run) if params["alertmanager"] else facts


def _answers(parts: t.Mapping[str, t.Callable[[], t.Any]]) -> tuple[dict[str, t.Any], dict[str, GoliveError]]:
    known: dict[str, t.Any] = {}
    problems: dict[str, GoliveError] = {}
    for name, ask in parts.items():
        try:
            known[name] = _understood(ask)
        except BadInput:
            raise
        except GoliveError as problem:
            problems[name] = problem
            if not known and isinstance(problem, (Unreachable, Denied, http.NotTrusted)):
                raise
    if not known:
        raise next(iter(problems.values()))
    return known, problems


def _understood(ask: t.Callable[[], t.Any]) -> t.Any:
    """The facts, or UnexpectedAnswer where a field is not there or not of its type: another program may answer as well."""
    try:
        return ask()
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as problem:
        raise UnexpectedAnswer(f"Prometheus answered, and not as its API does ({type(problem).__name__}).")


def _targets(asking: _Asking) -> tuple[Target, ...]:
    answer = asking.get("targets", state="active")
    return tuple(
        Target(
            told["labels"].get("job", told["scrapePool"]),
            told["labels"].get("instance", told["scrapeUrl"]),
            told["health"],
            _without_queries(told["lastError"]),
            asking.age(told["lastScrape"], answer.now),
            prometheus.duration_seconds(told.get("scrapeInterval", "")) or 60.0,
        )
        for told in answer.content["activeTargets"]
    )


def _without_queries(error: str) -> str:
    """An error quotes the URL, whose query may hold a token."""
    return re.sub(r"\?[^\"\s]*", "?…", error)[:300]


def _rules(asking: _Asking) -> tuple[Rule, ...]:
    answer = asking.get("rules")
    return tuple(
        Rule(
            group["name"],
            told["name"],
            told["type"],
            told["health"],
            str(told.get("lastError", ""))[:300],
            asking.age(told["lastEvaluation"], answer.now),
            float(group["interval"]),
            str(told.get("query", "")),
            None if group.get("evaluationTime") is None else float(group["evaluationTime"]),
        )
        for group in answer.content["groups"]
        for told in group["rules"]
    )


def _asked(asking: _Asking) -> tuple[Asked, ...]:
    """Each rule beside the series that there are of what it asks for."""
    rules = _rules(asking)
    needs: dict[str, promql_series.Needed | ValueError] = {}
    for expression in {rule.expression for rule in rules}:
        try:
            needs[expression] = promql_series.needed(expression)
        except ValueError as problem:
            needs[expression] = problem
    read = [need for need in needs.values() if isinstance(need, promql_series.Needed)]
    every = {each for need in read for group in (*need.groups, need.hidden) for each in group}
    there = _there(asking, sorted({each.counted for each in every}))
    # What is not there with its labels may be there with others.
    metrics = {each.metric for each in every if each.metric and there[each.counted] is False}
    known = _there(asking, [f"count({metric})" for metric in sorted(metrics)])
    return tuple(_asked_by(rule, needs[rule.expression], {**there, **known}) for rule in rules)


def _there(asking: _Asking, queries: t.Sequence[str]) -> dict[str, bool | str]:
    """Whether there are series, for each query that counts them; why that is not known, where it is not."""
    if not queries:
        return {}
    numbered = (f'label_replace({query}, "golive", "{number}", "", "")' for number, query in enumerate(queries))
    answer = _series(asking, " or ".join(numbered)) if len(queries) <= _COUNTED_AT_ONCE else None
    if answer is None or (answer.problem and len(queries) > 1):
        # One that is refused must not hide the others.
        middle = len(queries) // 2
        return {**_there(asking, queries[:middle]), **_there(asking, queries[middle:])}
    found = {labels for labels, _count in answer.values}
    return {query: answer.problem or f"golive={number}" in found for number, query in enumerate(queries)}


def _asked_by(rule: Rule, need: promql_series.Needed | ValueError, there: t.Mapping[str, bool | str]) -> Asked:
    asked = Asked(rule.group, rule.name)
    if isinstance(need, ValueError):
        return dataclasses.replace(asked, problem=str(need))
    selectors = [each for group in (*need.groups, need.hidden) for each in group]
    answers = [there.get(query) for each in selectors for query in (each.counted, f"count({each.metric})")]
    problem = next((answer for answer in answers if isinstance(answer, str)), "")
    if problem:
        return dataclasses.replace(asked, problem=problem)
    missing = [group for group in need.groups if not any(there[each.counted] for each in group)]
    known = [any(there.get(f"count({each.metric})") for each in group) for group in missing]
    shown = [" or ".join(each.shown for each in group) for group in missing]
    return dataclasses.replace(
        asked,
        absent=tuple(text for text, is_known in zip(shown, known) if not is_known),
        other_labels=tuple(text for text, is_known in zip(shown, known) if is_known),
        hidden=tuple(
            each.shown for each in need.hidden if not there[each.counted] and not there.get(f"count({each.metric})")
        ),
    )


def _alerts(asking: _Asking, wanted: t.Mapping[str, t.Any]) -> tuple[Alert, ...]:
    before: dict[frozenset[tuple[str, str]], str] = {}
    baseline = _moment(wanted["baseline_at"], "alerts.baseline_at")
    if baseline is not None:
        # Prometheus keeps every alert as a series, so it knows itself what fired then.
        answer = asking.get("query", query="ALERTS", time=utc_text(baseline))
        for series in answer.content["result"]:
            labels = {name: value for name, value in series["metric"].items() if name not in ("__name__", "alertstate")}
            before[frozenset(labels.items())] = series["metric"]["alertstate"]
    return tuple(
        Alert(
            told["labels"],
            told["state"],
            told["activeAt"],
            before.get(frozenset(told["labels"].items())) in ("firing", told["state"]),
        )
        for told in asking.get("alerts").content["alerts"]
    )


def _with_silences(facts: Facts, connection: t.Mapping[str, t.Any], run: Run) -> Facts:
    asking = _Asking(connection, run)
    try:
        with asking.api:
            silenced = [frozenset(labels.items()) for labels in asking.silenced()]
    except BadInput:
        raise
    except GoliveError as problem:
        return dataclasses.replace(facts, silences_problem=problem.message.rstrip("."))
    if facts.alerts is None:
        return facts
    # Alertmanager's alerts may have external labels besides.
    alerts = (
        dataclasses.replace(alert, is_silenced=any(labels >= frozenset(alert.labels.items()) for labels in silenced))
        for alert in facts.alerts
    )
    return dataclasses.replace(facts, alerts=tuple(alerts))


def _alertmanagers(asking: _Asking) -> tuple[str, ...]:
    return tuple(told["url"] for told in asking.get("alertmanagers").content["activeAlertmanagers"])


def _configuration(asking: _Asking) -> Configuration:
    told = asking.get("status/runtimeinfo").content
    loaded_at = prometheus.moment(told["lastConfigTime"])
    return Configuration(told.get("reloadConfigSuccess"), loaded_at, told.get("storageRetention") or "")


def _age_of(fresh: t.Mapping[str, t.Any]) -> str:
    """The age of the newest sample, also where it is older than the five minutes that an ordinary query looks back."""
    series = fresh["series"]
    return f"time() - max(timestamp({series}) or max_over_time(timestamp({series})[1h:15s]))"


def _of_query(asking: _Asking, query: str) -> Series:
    """What a query gives, where it can be told that it makes no number of no data."""
    series, bare = _series(asking, query), _bare(query)
    if not series.problem and re.search(r"\bor\b", bare, re.IGNORECASE):
        try:
            promql_series.needed(bare)
        except ValueError as problem:
            return Series(problem=f"whether its 'or' makes a number of no data cannot be told: {problem}")
    return series


def _series(asking: _Asking, query: str) -> Series:
    try:
        answer = asking.get("query", query=query)
    except prometheus.QueryRefused as problem:
        return Series(problem=f"Prometheus does not evaluate it: {problem.message.rstrip('.')}")
    kind, result = answer.content["resultType"], answer.content["result"]
    partial = [text for text in answer.warnings if not text.startswith("PromQL")]
    if partial:
        return Series(problem=f"the answer is not whole: {partial[0][:200]}")
    if kind == "scalar":
        return Series((("", float(result[1])),))
    if kind != "vector":
        return Series(problem=f"it gives a {kind}, and not a number for each series")
    return Series(tuple((_labels(series["metric"]), float(series["value"][1])) for series in result))


def _labels(metric: t.Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(metric.items()) if name != "__name__")


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Targets, rules, alerts, where they are sent, what is kept, what is loaded, and queries."""
    for part, problem in facts.problems.items():
        called = {"ages": "ages of series", "asked": "rules alive"}.get(part, part)
        yield unknown(called, problem.message.rstrip("."), remedy=problem.remedy)
    if facts.targets is not None:
        yield from _judge_targets(facts.targets, params)
    if facts.rules is not None:
        yield from _judge_rules(facts.rules, params)
    if facts.asked is not None:
        yield from _judge_asked(facts.asked)
    if facts.alerts is not None:
        yield from _judge_alerts(facts, params)
    if facts.alertmanagers is not None:
        yield at_least("Alertmanagers", len(facts.alertmanagers), params["min_alertmanagers"])
    if facts.configuration is not None:
        yield from _judge_configuration(facts.configuration, params)
    if facts.queries is not None:
        names = told_apart(f"query {query['name']}" for query in params["queries"])
        for name, query, series in zip(names, params["queries"], facts.queries):
            yield from _judge_query(name, series, query)
    if facts.ages is not None:
        names = told_apart(f"age of {fresh['series']}" for fresh in params["fresh"])
        for name, fresh, series in zip(names, params["fresh"], facts.ages):
            yield _judge_age(name, series, fresh["max_age"])


def _several(called: str, bad: t.Sequence[tuple[str, str]], total: int, good: str, *, remedy: str = "") -> Criterion:
    """One criterion of many things, of which ``bad`` has status and sentence of those that are not ``good``; of none it fails."""
    measured = f"{total - len(bad)} of {total} {good}"
    if not total:
        return holds(
            called, False, measured="none", expected=f"all {good}", sentence=f"{called}: there are none", remedy=remedy
        )
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    # What failed is told before what is not known.
    listed = sorted(bad, key=lambda each: each[0])
    sentence = f"{called}: {measured}: " + "; ".join(text for _status, text in listed[:_SHOWN]) + more
    if bad and all(status == "unknown" for status, _text in bad):
        return unknown(called, sentence, remedy=remedy)
    return holds(
        called, not bad, measured=measured, expected=f"all {good}", sentence=sentence, remedy=remedy if bad else ""
    )


def _judge_targets(targets: t.Sequence[Target], params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["all_up"]:
        yield _several("targets", _bad_targets(targets, params), len(targets), "up")
    labels = told_apart(f"job {job['name']}" for job in params["jobs"] or ())
    for label, job in zip(labels, params["jobs"] or ()):
        those = [target for target in targets if target.job == job["name"]]
        bad = _bad_targets(those, params)
        yield _several(f"{label} targets", bad, len(those), "up", remedy="See scrape_configs." if not those else "")
        failed = sum(status == "fail" for status, _text in bad)
        if len(those) - len(bad) < job["min_up"] <= len(those) - failed:
            yield unknown(f"{label} targets up", f"{label} has targets that were not scraped yet")
        else:
            yield at_least(f"{label} targets up", len(those) - len(bad), job["min_up"])
        if job["instances"] is not None:
            absent = [
                name for name in dict.fromkeys(job["instances"]) if name not in {target.instance for target in those}
            ]
            yield holds(
                f"{label} instances",
                not absent,
                measured=", ".join(f"{name} absent" for name in absent) or "all there",
                expected="all there",
                remedy="See scrape_configs, and what service discovery found.",
            )


def _bad_targets(targets: t.Iterable[Target], params: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    allowed = params["max_scrape_age"]
    allowed_seconds = units.span_seconds(allowed, option="max_scrape_age") if allowed else None
    bad = []
    for target in targets:
        called = f"{target.instance} of {target.job}"
        late = _late(target, allowed_seconds)
        if target.health == "down":
            bad.append(("fail", f"{called} is down: {target.error}"))
        elif target.health != "up" or target.age_seconds is None:
            bad.append(("unknown", f"{called} was not scraped yet"))
        elif late:
            bad.append(("fail", f"{called} was last scraped {late} ago"))
    return bad


def _late(thing: Target | Rule, allowed_seconds: float | None = None) -> str:
    """How long ago, where that is too long."""
    # The server's clock is read to the second.
    allowed = _LATE_INTERVALS * thing.interval_seconds + 1 if allowed_seconds is None else allowed_seconds
    age = thing.age_seconds or 0.0
    return units.span_text(age) if age > allowed else ""


def _judge_rules(rules: t.Sequence[Rule], params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    remedy = "See rule_files, and whether the last reload succeeded."
    if params["rules_healthy"]:
        yield _several("rules", _bad_rules(rules), len(rules), "evaluated", remedy=remedy)
    elif params["alerts"] is not None:
        alerting = [rule for rule in rules if rule.kind == "alerting"]
        yield _several("alerting rules", _bad_rules(alerting), len(alerting), "evaluated", remedy=remedy)
    if params["rules_healthy"] or params["rules_alive"]:
        yield from _judge_evaluation_time(rules)
    for kind, names in (("group", params["rule_groups"]), ("name", params["rules"])):
        for name in dict.fromkeys(names or ()):
            those = [rule for rule in rules if getattr(rule, kind) == name]
            called = f"rule group {name}" if kind == "group" else f"rule {name}"
            yield _several(called, _bad_rules(those), len(those), "evaluated", remedy=remedy)


def _bad_rules(rules: t.Iterable[Rule]) -> list[tuple[str, str]]:
    bad = []
    for rule in rules:
        late = _late(rule)
        if rule.health == "err":
            bad.append(("fail", f"{rule.name} of {rule.group} fails: {rule.error}"))
        elif rule.health != "ok" or rule.age_seconds is None:
            bad.append(("unknown", f"{rule.name} of {rule.group} was not evaluated yet"))
        elif late:
            bad.append(("fail", f"{rule.name} of {rule.group} was last evaluated {late} ago"))
    return bad


def _judge_evaluation_time(rules: t.Iterable[Rule]) -> t.Iterator[Criterion]:
    """A group that takes longer than its interval leaves evaluations out."""
    told = {rule.group: (rule.group_seconds, rule.interval_seconds) for rule in rules if rule.group_seconds is not None}
    slow = [
        f"{group} takes {taken:.1f} s of {interval:g} s"
        for group, (taken, interval) in told.items()
        if taken is not None and taken > interval
    ]
    if told:
        yield holds(
            "rule groups' evaluation time",
            not slow,
            measured=f"{len(told) - len(slow)} of {len(told)} within their intervals",
            expected="each within its interval",
            sentence="rule groups miss evaluations: " + "; ".join(slow[:_SHOWN]) if slow else "",
            remedy="Divide the group, record what is expensive, or lengthen its interval." if slow else "",
            level="warn",
        )


def _judge_asked(rules: t.Sequence[Asked]) -> t.Iterator[Criterion]:
    """A rule without series never fires, and nobody is told."""
    bad = [
        ("unknown", f"of {each.name} of {each.group} it is not known: {each.problem}")
        if each.problem
        else ("fail", f"{each.name} of {each.group} asks for {', '.join(each.absent)}, of which there are no series")
        for each in rules
        if each.problem or each.absent
    ]
    is_unknown = bool(bad) and all(status == "unknown" for status, _text in bad)
    remedy = "Is the metric called otherwise, or not scraped?"
    if is_unknown:
        remedy = "Name the series of these rules in fresh, which judges them one by one."
    yield _several("rules alive", bad, len(rules), "alive", remedy=remedy)
    partly = [
        f"{each.name} of {each.group} asks for {text}, and there are series with other labels only"
        for each in rules
        for text in each.other_labels
    ]
    partly += [
        f"{each.name} of {each.group} has a number in place of {text}, of which there are no series"
        for each in rules
        for text in each.hidden
    ]
    yield holds(
        "series of rules",
        not partly,
        measured=f"{len(partly)} not there" if partly else "all there",
        expected="all there",
        sentence="; ".join(partly[:_SHOWN]) + (f"; and {len(partly) - _SHOWN} more" if len(partly) > _SHOWN else ""),
        remedy="Some series are only there once something happened; others are called otherwise." if partly else "",
        level="warn",
    )


def _judge_alerts(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    wanted = params["alerts"]
    counted = [
        alert
        for alert in facts.alerts or ()
        if alert.state in wanted["states"]
        and alert.labels.get("alertname") not in wanted["ignored"]
        and alert.labels.get("severity") not in wanted["ignored_severities"]
    ]
    new = sorted((alert for alert in counted if not alert.is_old), key=lambda alert: alert.called)
    named = "; ".join(
        f"{alert.called} is {alert.state} since {alert.since[:19]}Z" + (", silenced" if alert.is_silenced else "")
        for alert in new[:_SHOWN]
    )
    more = f"; and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
    beyond = f" beyond those of {wanted['baseline_at']}" if wanted["baseline_at"] else ""
    yield holds(
        "alerts",
        not new,
        measured=f"{len(new)} new, {len(counted) - len(new)} from before" if wanted["baseline_at"] else str(len(new)),
        expected=f"none{beyond}",
        sentence=f"{len(new)} alert{'' if len(new) == 1 else 's'}{beyond}: {named}{more}",
    )
    if params["alertmanager"] is not None:
        why = facts.silences_problem
        sentence = f"Which alerts are silenced is not known: {why}"
        yield holds("silences", None if why else True, measured=_silences(counted), expected="told", sentence=sentence)


def _silences(alerts: t.Iterable[Alert]) -> str:
    return ", ".join(alert.called for alert in alerts if alert.is_silenced) or "none"


def _judge_configuration(configuration: Configuration, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["config_loaded"]:
        remedy = "Its file has a mistake, so it runs with an older one: promtool check config says where."
        state = (
            {True: "succeeded", False: "failed"}.get(configuration.is_reloaded)
            if configuration.is_reloaded is not None
            else None
        )
        yield one_of("last reload of the configuration", state, ["succeeded"], remedy=remedy)
    if params["config_loaded_since"] is not None:
        loaded_at = configuration.loaded_at
        yield holds(
            "configuration loaded at",
            loaded_at >= t.cast(datetime.datetime, _moment(params["config_loaded_since"], "config_loaded_since"))
            if loaded_at
            else None,
            measured=utc_text(loaded_at) if loaded_at else None,
            expected=f"not before {params['config_loaded_since']}",
            remedy="Reload it: POST /-/reload, or SIGHUP.",
        )
    if params["min_retention"] is not None:
        kept = [
            seconds for text in configuration.retention.split(" or ") if (seconds := prometheus.duration_seconds(text))
        ]
        yield holds(
            "retention",
            kept[0] >= units.span_seconds(params["min_retention"], option="min_retention") if kept else None,
            measured=configuration.retention,
            expected=f"at least {params['min_retention']}",
            sentence="" if kept else f"retention is {configuration.retention or 'not told'}, which is no span of time",
        )


def _judge_query(name: str, series: Series, query: t.Mapping[str, t.Any]) -> list[Criterion]:
    values = series.values
    if series.problem:
        return [unknown(name, f"{name} is not known: {series.problem}")]
    if not values:
        return [unknown(name, f"{name} has no data", remedy="Nothing was counted, or the series is called otherwise.")]
    odd = [labels for labels, value in values if not math.isfinite(value)]
    if odd:
        of = f" for {odd[0]}" if odd[0] else ""
        return [unknown(name, f"{name} is not a number{of}: nothing was counted in that time")]
    criteria = [at_least(f"{name} (series)", len(values), query["min_series"])] if query["min_series"] > 1 else []
    for how, judge_value, pick in (("at_least", at_least, min), ("at_most", at_most, max)):
        if query[how] is not None:
            labels, value = pick(values, key=lambda each: each[1])
            criterion = judge_value(f"{name} ({how.replace('_', ' ')})", value, query[how])
            of = f", the {pick.__name__} of {len(values)} series: {labels}" if len(values) > 1 else ""
            criteria.append(dataclasses.replace(criterion, sentence=criterion.sentence + of))
    return apart(criteria)


def _judge_age(name: str, series: Series, max_age: str) -> Criterion:
    if series.problem or not series.values:
        return unknown(name, f"{name} is not known: {series.problem or 'there is no sample of the last hour'}")
    age = max(0.0, series.values[0][1])
    return holds(
        name,
        age <= units.span_seconds(max_age, option="fresh"),
        measured=units.span_text(age),
        expected=f"at most {max_age}",
        remedy="Nothing writes it any more, or what scrapes it stands still.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Targets by job, rules by group, alerts with their labels, and what the queries gave."""
    jobs: dict[str, dict[str, int]] = {}
    for target in facts.targets or ():
        counts = jobs.setdefault(target.job, {})
        counts[target.health] = counts.get(target.health, 0) + 1
    groups: dict[str, int] = {}
    for rule in facts.rules or ():
        groups[rule.group] = groups.get(rule.group, 0) + 1
    loaded = facts.configuration
    return {
        "url": facts.url,
        "targets": jobs if facts.targets is not None else None,
        "oldest_scrape_seconds": max((target.age_seconds or 0.0 for target in facts.targets), default=None)
        if facts.targets
        else None,
        "rules": groups if facts.rules is not None else None,
        "rules_without_series": [
            dataclasses.asdict(each)
            for each in facts.asked
            if each.problem or each.absent or each.other_labels or each.hidden
        ]
        if facts.asked is not None
        else None,
        "alerts": [dataclasses.asdict(alert) for alert in facts.alerts[:50]] if facts.alerts is not None else None,
        "alertmanagers": list(facts.alertmanagers) if facts.alertmanagers is not None else None,
        "configuration": {
            "is_reloaded": loaded.is_reloaded,
            "loaded_at": utc_text(loaded.loaded_at) if loaded.loaded_at else None,
            "retention": loaded.retention,
        }
        if loaded
        else None,
        "queries": [
            [[labels, value if math.isfinite(value) else str(value)] for labels, value in series.values[:20]]
            for series in facts.queries or ()
        ],
    }
