# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Grafana: do its dashboards have data and good colours, are its data sources healthy, and does no alert rule fire?

A dashboard that is there may be empty, and a panel without data looks calm. So each panel's queries are sent as the browser
would send them, and what cannot be sent so is unknown, by name.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import grafana_dashboards as dashboards
from ansible_collections.opsready.golive.plugins.module_utils._clients import grafana, http, prometheus
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    holds,
    one_of,
    plain,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_grafana"
ARGUMENT_SPEC: Spec = {
    "url": {"type": "str", "required": True},
    "token": {"type": "str", "no_log": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "dashboards": {
        "type": "list",
        "elements": "dict",
        "options": {
            "uid": {"type": "str", "required": True},
            "panels": {"type": "list", "elements": "str"},
            "max_age": {"type": "str", "default": "15m"},
            "max_without_data": {"type": "int", "default": 0},
            "variables": {"type": "dict", "default": {}},
            "green": {"type": "bool"},
            "good_colors": {"type": "list", "elements": "str"},
        },
        "required_by": {"good_colors": ["green"]},
    },
    "datasources": {"type": "list", "elements": "str"},
    "alert_rules": {
        "type": "dict",
        "options": {
            "expected": {"type": "list", "elements": "str"},
            "none_firing": {"type": "bool"},
            "none_in_error": {"type": "bool"},
            "ignored": {"type": "list", "elements": "str", "default": []},
        },
        "required_one_of": [["expected", "none_firing", "none_in_error"]],
    },
}
CONSTRAINTS: Constraints = {
    "required_one_of": [["dashboards", "datasources", "alert_rules"]],
    "mutually_exclusive": [["token", "username"]],
    "required_by": {"password": ["username"]},
}

_SHOWN = 5
#: An evaluation is late after so many of its intervals.
_LATE_INTERVALS = 3
#: What reading a field raises that is not there, or of another type.
_NOT_AS_ITS_API = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, IndexError)


@dataclasses.dataclass(frozen=True)
class Panel:
    """What a panel shows. ``empty`` are the queries without data; ``problem`` says why it could not be asked.

    ``values`` is None where its colours tell nothing, or ``paint_problem`` says why they are not known.
    """

    title: str
    number: int | None
    kind: str
    queries: int = 0
    empty: tuple[str, ...] = ()
    problem: str = ""
    values: tuple[dashboards.Shown, ...] | None = None
    paint_problem: str = ""
    remedy: str = ""
    #: Its data source does not exist: it has no data, and nobody has to be asked.
    is_orphan: bool = False


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """What is known of one dashboard. ``absent`` and ``silent`` are panels that were named, and are not there or ask nothing."""

    uid: str
    title: str = ""
    is_there: bool = True
    problem: str = ""
    remedy: str = ""
    panels: tuple[Panel, ...] = ()
    without_queries: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Health:
    """What Grafana says of a data source: OK, ERROR or nothing, where ``message`` says why."""

    wanted: str
    is_there: bool
    status: str = ""
    message: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule that Grafana evaluates; ``age_seconds`` is None where it was never evaluated."""

    name: str
    group: str
    kind: str
    state: str
    health: str
    error: str
    age_seconds: float | None
    interval_seconds: float
    is_paused: bool


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was asked for and answered; None is what was not asked for, or what ``problems`` has the reason of."""

    url: str
    version: str
    database: str | None
    problems: t.Mapping[str, GoliveError]
    dashboards: tuple[Dashboard, ...] | None = None
    datasources: tuple[Health, ...] | None = None
    rules: tuple[Rule, ...] | None = None


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("dashboards", "datasources"):
        if params[option] == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for wanted in params["dashboards"] or ():
        called = f"dashboards: {wanted['uid']}"
        if not 0 < units.span_seconds(wanted["max_age"], option=f"{called}: max_age") <= 366 * 86400:
            raise BadInput(f"{called}: max_age is {wanted['max_age']!r}, which is not up to a year.")
        if wanted["max_without_data"] < 0:
            raise BadInput(f"{called}: max_without_data is {wanted['max_without_data']}, which is no number of panels.")
        for option in ("panels", "good_colors"):
            if wanted[option] == []:
                raise BadInput(f"{called}: {option} is empty, so nothing would be good by it.")
        if wanted["good_colors"] and not wanted["green"]:
            raise BadInput(f"{called}: good_colors are named, and green is not true, so no colour would be judged.")
        for name, value in wanted["variables"].items():
            values = value if isinstance(value, list) else [value]
            if not values or not all(isinstance(one, (str, int, float)) for one in values):
                raise BadInput(
                    f"{called}: the variable {name} has no value, or one that is no text, number or list of them."
                )
    rules = params["alert_rules"]
    if rules is not None and not (rules["expected"] or rules["none_firing"] or rules["none_in_error"]):
        raise BadInput("alert_rules asks for nothing, so nothing would be judged by it.")


class _Asking:
    """Questions to one Grafana; each is asked once for all items."""

    def __init__(self, params: t.Mapping[str, t.Any], run: Run) -> None:
        secrets = {**http.bearer(params["token"]), **http.basic(params["username"], params["password"])}
        self.api = grafana.Api(params["url"], secret_headers=secrets, ca_file=params["ca_file"])
        self.run = run
        self._key = (NAME, self.api.url, json.dumps(secrets, sort_keys=True), params["ca_file"])

    def get(self, *parts: str) -> grafana.Answer:
        return self.run.once((*self._key, parts), lambda: self.api.get(*parts, deadline=self.run.deadline))

    def query(self, question: t.Mapping[str, t.Any]) -> grafana.Answer:
        key = (*self._key, json.dumps(question, sort_keys=True))
        return self.run.once(key, lambda: self.api.query(question, deadline=self.run.deadline))

    def sources(self) -> dashboards.Sources:
        """The data sources that this login may query: what the browser of a Viewer is told."""
        answer = self.get("frontend", "settings")
        if answer.status != 200:
            raise UnexpectedAnswer(f"{self.api.url} does not tell its data sources: {answer.said}.")
        listed = tuple(
            dashboards.Source(str(told["uid"]), str(told.get("name") or name), str(told["type"]))
            for name, told in answer.content["datasources"].items()
            if told.get("uid")
        )
        return dashboards.Sources(listed, str(answer.content.get("defaultDatasource") or ""))


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask for what is judged; what one part could not answer is its own. Raises BadInput, and where no part answered, why."""
    _refuse_unusable(params)
    asking = _Asking(params, run)
    parts: dict[str, t.Callable[[], t.Any]] = {}
    if params["dashboards"] is not None:
        parts["dashboards"] = lambda: tuple(_dashboard(asking, wanted) for wanted in params["dashboards"])
    if params["datasources"] is not None:
        parts["datasources"] = lambda: _health(asking, params["datasources"])
    if params["alert_rules"] is not None:
        parts["rules"] = lambda: _rules(asking)
    known: dict[str, t.Any] = {}
    problems: dict[str, GoliveError] = {}
    with asking.api:
        version, database = _understood(lambda: _own_health(asking))
        for name, ask in parts.items():
            try:
                known[name] = _understood(ask)
            except BadInput:
                raise
            except GoliveError as problem:
                problems[name] = problem
    return Facts(asking.api.url, version, database, problems, **known)


def _understood(ask: t.Callable[[], t.Any]) -> t.Any:
    """The facts, or UnexpectedAnswer where a field is not there or not of its type: another program may answer as well."""
    try:
        return ask()
    except _NOT_AS_ITS_API as problem:
        raise _not_as_its_api(problem)


def _not_as_its_api(problem: Exception) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"Grafana answered, and not as its API does ({type(problem).__name__}).")


def _own_health(asking: _Asking) -> tuple[str, str]:
    """Version, which may be hidden, and whether it reaches its own database. It needs no login."""
    answer = asking.get("health")
    told = answer.content
    if answer.status not in (200, 503) or not isinstance(told, dict) or not isinstance(told.get("database"), str):
        raise UnexpectedAnswer(f"{asking.api.url}/api/health answered, and not as Grafana does.")
    return str(told.get("version") or ""), told["database"]


def _dashboard(asking: _Asking, wanted: t.Mapping[str, t.Any]) -> Dashboard:
    uid = wanted["uid"]
    try:
        return t.cast(Dashboard, _understood(lambda: _dashboard_of(asking, uid, wanted)))
    except BadInput:
        raise
    except GoliveError as problem:
        return Dashboard(uid, problem=problem.message.rstrip("."), remedy=problem.remedy)


def _dashboard_of(asking: _Asking, uid: str, wanted: t.Mapping[str, t.Any]) -> Dashboard:
    answer = asking.get("dashboards", "uid", uid)
    if answer.status == 404:
        return Dashboard(uid, is_there=False)
    if answer.status == 406:
        raise UnexpectedAnswer("it is stored in schema v2, which this check does not read")
    if answer.status != 200:
        raise UnexpectedAnswer(f"Grafana cannot give it: {answer.said}")
    model = answer.content["dashboard"]
    if "elements" in model:
        raise UnexpectedAnswer("it is stored in schema v2, which this check does not read")
    title = str(model.get("title") or "")
    every = dashboards.panels_of(model)
    named = wanted["panels"]
    chosen = [
        pair for pair in every if named is None or {str(pair[0].get("title")), str(pair[0].get("id"))} & set(named)
    ]
    names = {str(panel.get(key)) for panel, _repeat in every for key in ("title", "id")}
    variables = dashboards.Variables(model, wanted["variables"])
    if variables.strange():
        raise UnexpectedAnswer(f"it has no variable {', '.join(variables.strange())}")
    models = {panel.get("id"): panel for panel, _repeat in every}
    seen: list[Panel] = []
    quiet: list[str] = []
    for panel, repeat in chosen:
        try:
            whole = _inlined(asking, panel)
        except BadInput:
            raise
        except GoliveError as problem:
            seen.append(_unasked(_called(panel), panel, problem))
            continue
        if dashboards.has_query(whole):
            seen += _panels(asking, whole, repeat, models, variables, wanted)
        else:
            quiet.append(_called(whole))
    return Dashboard(
        uid,
        title,
        panels=tuple(seen),
        without_queries=tuple(quiet),
        absent=tuple(name for name in dict.fromkeys(named or ()) if name not in names),
        silent=tuple(quiet) if named is not None else (),
    )


def _called(model: t.Mapping[str, t.Any]) -> str:
    return str(model.get("title") or f"panel {model.get('id')}")


def _unasked(called: str, model: t.Mapping[str, t.Any], problem: GoliveError) -> Panel:
    why = problem.message.rstrip(".")
    is_orphan = isinstance(problem, dashboards.NoSource)
    return Panel(
        called, model.get("id"), str(model.get("type")), problem=why, remedy=problem.remedy, is_orphan=is_orphan
    )


def _inlined(asking: _Asking, panel: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The panel's model, which for one of the library may stand there alone."""
    library = panel.get("libraryPanel")
    if not library or panel.get("targets"):
        return panel
    answer = asking.get("library-elements", str(library["uid"]))
    if answer.status != 200:
        raise UnexpectedAnswer(f"it is of the library and cannot be read there: {answer.said}")
    return {
        **answer.content["result"]["model"],
        "id": panel.get("id"),
        "title": panel.get("title") or library.get("name"),
    }


def _panels(
    asking: _Asking,
    model: t.Mapping[str, t.Any],
    row_repeat: t.Any,
    models: t.Mapping[t.Any, t.Mapping[str, t.Any]],
    variables: dashboards.Variables,
    wanted: t.Mapping[str, t.Any],
) -> list[Panel]:
    try:
        each = dashboards.repeated(model, row_repeat, variables)
    except dashboards.NotEvaluated as problem:
        return [_unasked(_called(model), model, problem)]
    found = []
    for panel in each:
        try:
            found.append(_panel(asking, panel, models, variables, wanted))
        except BadInput:
            raise
        except GoliveError as problem:
            found.append(_unasked(panel.called, model, problem))
        except _NOT_AS_ITS_API as problem:
            found.append(_unasked(panel.called, model, _not_as_its_api(problem)))
    return found


def _panel(
    asking: _Asking,
    panel: dashboards.Panel,
    models: t.Mapping[t.Any, t.Mapping[str, t.Any]],
    variables: dashboards.Variables,
    wanted: t.Mapping[str, t.Any],
) -> Panel:
    seconds = units.span_seconds(wanted["max_age"], option="max_age")
    now = asking.get("health").now or asking.run.clock.now()
    span = (int((now.timestamp() - seconds) * 1000), int(now.timestamp() * 1000))
    question = dashboards.question(panel, models, variables, asking.sources(), span)
    results: dict[str, t.Any] = {}
    for queries in question.requests:
        results.update(_results(asking, {"queries": list(queries), "from": str(span[0]), "to": str(span[1])}))
    empty: list[str] = []
    numeric: list[list[float | None]] = []
    for name in question.shown:
        if name not in results:
            raise UnexpectedAnswer(f"query {name} got no answer")
        has_value, numbers = dashboards.columns(results[name].get("frames") or (), since=span[0])
        numeric += numbers
        if not has_value:
            empty.append(name)
    values, paint_problem = None, ""
    if dashboards.is_painted(panel.model):
        try:
            values = dashboards.shown_values(panel.model, numeric)
        except dashboards.NotEvaluated as problem:
            paint_problem = problem.message
    return Panel(panel.called, panel.number, panel.kind, len(question.shown), tuple(empty), "", values, paint_problem)


def _results(asking: _Asking, question: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The answers by refId. Raises UnexpectedAnswer where one is an error: what it would have shown is not known."""
    answer = asking.query(question)
    results = answer.content.get("results") if isinstance(answer.content, dict) else None
    for name, told in (results or {}).items():
        if told.get("error") or told.get("status", 200) >= 400:
            said = str(told.get("error") or f"status {told['status']}")
            raise UnexpectedAnswer(f"query {name} fails: {said[:300].rstrip('.')}")
        warnings = [
            str(notice.get("text"))
            for frame in told.get("frames") or ()
            for notice in ((frame.get("schema") or {}).get("meta") or {}).get("notices") or ()
            if notice.get("severity") == "error"
        ]
        if warnings:
            raise UnexpectedAnswer(f"query {name} fails: {warnings[0][:300].rstrip('.')}")
    if answer.status not in (200, 207) or not results:
        raise UnexpectedAnswer(f"its queries cannot be asked: {answer.said}")
    return t.cast("t.Mapping[str, t.Any]", results)


def _health(asking: _Asking, wanted: t.Sequence[str]) -> tuple[Health, ...]:
    sources = asking.sources()
    return tuple(_health_of(asking, name, sources) for name in wanted)


def _health_of(asking: _Asking, name: str, sources: dashboards.Sources) -> Health:
    source = sources.find(name)
    if source is None:
        return Health(name, is_there=False)
    try:
        answer = asking.get("datasources", "uid", source.uid, "health")
    except GoliveError as problem:
        return Health(name, True, message=problem.message.rstrip("."), remedy=problem.remedy)
    status = answer.content.get("status") if isinstance(answer.content, dict) else None
    if status in ("OK", "ERROR"):
        return Health(name, True, status, answer.said)
    if answer.status in (404, 501):
        return Health(name, True, message="its plugin has no health check, or Grafana is older than 9")
    return Health(name, True, message=f"Grafana could not check it: {answer.said}")


def _rules(asking: _Asking) -> tuple[Rule, ...]:
    answer = asking.get("prometheus", "grafana", "api", "v1", "rules")
    if answer.status == 404:
        raise UnexpectedAnswer(
            "This Grafana does not tell its alert rules: it is older than 8, or its own alerting is switched off."
        )
    if answer.status != 200 or answer.content["status"] != "success":
        raise UnexpectedAnswer(f"Grafana cannot tell its alert rules: {answer.said}.")
    told = answer.content["data"]
    if told.get("groupNextToken"):
        raise UnexpectedAnswer("Grafana told a part of its alert rules alone.")
    now = answer.now or asking.run.clock.now()
    return tuple(
        Rule(
            str(rule["name"]),
            f"{group.get('file', '')}/{group['name']}".lstrip("/"),
            str(rule["type"]),
            str(rule.get("state") or ""),
            str(rule["health"]),
            str(rule.get("lastError") or "")[:300],
            _age(str(rule["lastEvaluation"]), now),
            float(group["interval"]),
            bool(rule.get("isPaused")),
        )
        for group in told["groups"]
        for rule in group["rules"]
    )


def _age(text: str, now: datetime.datetime) -> float | None:
    then = prometheus.moment(text)
    return max(0.0, (now - then).total_seconds()) if then else None


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Grafana itself, dashboards with their panels, data sources, alert rules."""
    yield one_of(
        "Grafana's own database", facts.database, ["ok"], remedy="See Grafana's log, and its [database] settings."
    )
    for part, problem in facts.problems.items():
        called = {"rules": "alert rules", "datasources": "data sources"}.get(part, part)
        yield unknown(called, problem.message.rstrip("."), remedy=problem.remedy)
    if facts.dashboards is not None:
        labels = told_apart(f"dashboard {wanted['uid']}" for wanted in params["dashboards"])
        for label, seen, wanted in zip(labels, facts.dashboards, params["dashboards"]):
            yield from _judge_dashboard(label, seen, wanted)
    if facts.datasources is not None:
        labels = told_apart(f"data source {health.wanted}" for health in facts.datasources)
        for label, health in zip(labels, facts.datasources):
            yield _judge_health(label, health)
    if facts.rules is not None:
        yield from _judge_rules(facts.rules, params["alert_rules"])


def _listed(texts: t.Sequence[str]) -> str:
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more


def _judge_dashboard(label: str, seen: Dashboard, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if seen.problem:
        yield unknown(label, f"{label} could not be judged: {seen.problem}", remedy=seen.remedy)
        return
    yield holds(
        label,
        seen.is_there,
        measured=seen.title or "there" if seen.is_there else "absent",
        expected="there",
        sentence="" if seen.is_there else f"{label}: there is none that this login may see",
        remedy="See its uid in its address, /d/<uid>, and whether it was provisioned.",
    )
    if not seen.is_there:
        return
    if wanted["panels"] is not None:
        yield holds(
            f"{label}: panels that are named",
            not seen.absent,
            measured="; ".join(f"{name} absent" for name in seen.absent) or "all there",
            expected="all there",
        )
    if seen.silent:
        yield unknown(f"{label}: panels without queries", f"{label}: {_listed(seen.silent)} of those named ask nothing")
    yield from _judge_data(label, seen, wanted)
    if wanted["green"]:
        yield from _judge_colors(label, seen, wanted["good_colors"])


def _judge_data(label: str, seen: Dashboard, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    max_age, allowed = wanted["max_age"], wanted["max_without_data"]
    unasked = [panel for panel in seen.panels if panel.problem and not panel.is_orphan]
    if unasked:
        why = _listed([f"{panel.title}: {panel.problem}" for panel in unasked])
        yield unknown(
            f"{label}: panels that could be asked",
            f"{label}: {len(unasked)} of {len(seen.panels)} panels not known: {why}",
            remedy=" ".join(dict.fromkeys(panel.remedy for panel in unasked if panel.remedy)),
        )
    answered = [panel for panel in seen.panels if panel not in unasked]
    without = [panel for panel in answered if panel.empty or panel.is_orphan]
    if unasked and not answered:
        return
    good = len(answered) - len(without)
    told = _listed([f"{panel.title} ({_lacking(panel)})" for panel in without])
    name = f"{label}: panels with data"
    measured = f"{good} of {len(answered)}"
    expected = "all" if not allowed else f"all but {allowed}"
    sentence = f"{label}: {measured} panels have data of the last {max_age}, expected {expected}: {told}"
    if not answered:
        sentence = f"{label} has no panel that asks a data source"
    yield holds(
        name,
        good > 0 and len(without) <= allowed,
        measured=measured,
        expected=expected,
        sentence=sentence,
        remedy="Nothing was written in that time, or the queries ask for what is called otherwise." if answered else "",
    )


def _lacking(panel: Panel) -> str:
    if panel.is_orphan:
        return panel.problem
    return "no data" if len(panel.empty) == panel.queries else f"no data of query {', '.join(panel.empty)}"


def _judge_colors(label: str, seen: Dashboard, good_colors: t.Sequence[str] | None) -> t.Iterator[Criterion]:
    painted = [panel for panel in seen.panels if panel.values is not None or panel.paint_problem]
    unseen = [f"{panel.title}: {panel.paint_problem or 'it shows no value'}" for panel in painted if not panel.values]
    if unseen:
        yield unknown(f"{label}: colours that could be seen", f"{label}: no colour is known of {_listed(unseen)}")
    name = f"{label}: colours"
    shown = [(panel.title, value) for panel in painted for value in panel.values or ()]
    if not shown:
        if not unseen:
            yield unknown(
                name, f"{label} has no stat or gauge panel with a threshold, so nothing there is green or not"
            )
        return
    bad = [
        f"{title} is {plain(value.value)}, which is {value.color}"
        for title, value in shown
        if not (value.color in good_colors if good_colors else value.is_base)
    ]
    expected = f"one of {', '.join(good_colors)}" if good_colors else "the colour of the lowest step"
    yield holds(
        name,
        not bad,
        measured=f"{len(shown) - len(bad)} of {len(shown)} values good",
        expected=expected,
        sentence=f"{label}: {len(bad)} of {len(shown)} values are not in {expected}: {_listed(bad)}",
        remedy="" if good_colors else "Where a higher step is the good one, name its colour in good_colors.",
    )


def _judge_health(label: str, health: Health) -> Criterion:
    if not health.is_there:
        return holds(
            label,
            False,
            measured="absent",
            expected="OK",
            sentence=f"{label}: there is none that this login may query",
        )
    if not health.status:
        return unknown(label, f"{label} is not known to be healthy: {health.message}", remedy=health.remedy)
    return holds(
        label,
        health.status == "OK",
        measured=health.status,
        expected="OK",
        sentence=f"{label} is {health.status}: {health.message}",
        remedy="Open the data source in Grafana (Connections, Data sources) and press Test.",
    )


def _judge_rules(rules: t.Sequence[Rule], wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    for name in dict.fromkeys(wanted["expected"] or ()):
        those = [rule for rule in rules if rule.name == name]
        paused = [rule for rule in those if rule.is_paused]
        yield holds(
            f"alert rule {name}",
            bool(those) and not paused,
            measured="paused" if paused else "there" if those else "absent",
            expected="there",
            remedy="Provision the rule, or resume it where it is paused.",
        )
    counted = [rule for rule in rules if rule.name not in wanted["ignored"] and not rule.is_paused]
    if wanted["none_firing"] or wanted["none_in_error"]:
        yield _judge_evaluation(counted)
    if wanted["none_firing"]:
        firing = [f"{rule.name} of {rule.group}" for rule in counted if rule.state == "firing"]
        yield holds(
            "alert rules firing",
            not firing,
            measured=len(firing),
            expected="none",
            sentence=f"{len(firing)} alert rule{'' if len(firing) == 1 else 's'} firing: {_listed(firing)}",
            remedy="See to what fires, or silence it with a reason.",
        )


def _judge_evaluation(rules: t.Sequence[Rule]) -> Criterion:
    """A rule that is not evaluated never fires, so that is judged where none may fire."""
    name = "alert rules evaluated"
    if not rules:
        return holds(
            name,
            False,
            measured="none",
            expected="all evaluated",
            sentence="alert rules: there are none",
            remedy="Provision the alert rules.",
        )
    bad, open_ones = [], []
    for rule in rules:
        called = f"{rule.name} of {rule.group}"
        allowed = _LATE_INTERVALS * rule.interval_seconds + 1
        if rule.health in ("error", "err"):
            bad.append(f"{called} fails: {rule.error}")
        elif rule.health == "nodata":
            bad.append(f"{called} has no data")
        elif rule.health != "ok" or rule.age_seconds is None:
            open_ones.append(f"{called} was not evaluated yet")
        elif rule.age_seconds > allowed:
            bad.append(f"{called} was last evaluated {units.span_text(rule.age_seconds)} ago")
    measured = f"{len(rules) - len(bad) - len(open_ones)} of {len(rules)} evaluated"
    sentence = f"alert rules: {measured}: {_listed(bad + open_ones)}"
    if open_ones and not bad:
        return unknown(name, sentence)
    return holds(name, not bad, measured=measured, expected="all evaluated", sentence=sentence)


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Version, dashboards with their panels, the health of data sources, and rules by state."""
    states: dict[str, int] = {}
    for rule in facts.rules or ():
        state = "paused" if rule.is_paused else rule.state or rule.health
        states[state] = states.get(state, 0) + 1
    return {
        "url": facts.url,
        "version": facts.version,
        "dashboards": [_seen(dashboard) for dashboard in facts.dashboards] if facts.dashboards is not None else None,
        "datasources": {health.wanted: health.status or "unknown" for health in facts.datasources}
        if facts.datasources is not None
        else None,
        "alert_rules": states if facts.rules is not None else None,
    }


def _seen(dashboard: Dashboard) -> dict[str, t.Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "without_queries": list(dashboard.without_queries),
        "panels": [
            {
                "title": panel.title,
                "id": panel.number,
                "type": panel.kind,
                "has_data": None if panel.problem and not panel.is_orphan else not (panel.empty or panel.is_orphan),
                "shown": [
                    [value.value if math.isfinite(value.value) else str(value.value), value.color]
                    for value in (panel.values or ())[:20]
                ],
            }
            for panel in dashboard.panels[:100]
        ],
    }
