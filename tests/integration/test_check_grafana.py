# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_grafana on a stand-in that answers as Grafana does, in front of a real Prometheus.

Grafana cannot be installed here. The stand-in follows its public documentation: it knows dashboards, data sources and alert rules, and
what it answers to a panel's queries is what the real Prometheus says, in Grafana's frames.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import typing as t
import urllib.error
import urllib.parse
import urllib.request

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_grafana, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import HOST, Answer, DemoCa, HangingServer, HttpServer, Prometheus, Request, await_true

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

pytestmark = pytest.mark.long

serves = pytest.mark.serves
STAND_IN = "replayed Grafana"
TOKEN, PASSWORD = "glsa_8d02c4f1a7", "grafana-password-71c2"
PATIENT = 60.0
Json = dict[str, t.Any]


def finding(timeout: float = 20.0, shared: Shared | None = None, **params: t.Any) -> Json:
    checked = validated(check_grafana.ARGUMENT_SPEC, params, where=check_grafana.NAME, **check_grafana.CONSTRAINTS)
    found = judged(registry.load("check_grafana"), checked, Run(timeout_seconds=timeout, shared=shared))
    json.dumps(found, allow_nan=False)
    return found


class Grafana(HttpServer):
    """What Grafana answers to a login that may view. ``sources`` are uid, type and the address of what is behind, by name."""

    def __init__(self, **sources: tuple[str, str, str]) -> None:
        super().__init__({"*": self._told})
        self.sources = sources
        self.dashboards: dict[str, Json] = {}
        self.shared_panels: dict[str, Json] = {}
        self.groups: list[Json] | None = []
        self.refused: tuple[str, ...] = ()
        #: Whether an error of a query has the whole answer's status, or one beside it.
        self.error_status = 400

    def _told(self, request: Request) -> Answer:
        path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path).removeprefix("/grafana")
        if path == "/api/health":
            return Answer(200, {"commit": "abc", "database": "ok", "version": "11.3.0"})
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Unauthorized", "messageId": "session.token.rotate", "statusCode": 401})
        if any(path.startswith(f"/api/{name}") for name in self.refused):
            return Answer(403, {"message": "You'll need additional permissions to perform this action."})
        if path == "/api/frontend/settings":
            builtin = {"-- Grafana --": {"uid": "grafana", "type": "datasource", "name": "-- Grafana --"}}
            listed = {
                name: {"uid": uid, "type": kind, "name": name} for name, (uid, kind, _url) in self.sources.items()
            }
            return Answer(
                200, {"datasources": {**builtin, **listed}, "defaultDatasource": next(iter(self.sources), "")}
            )
        for pattern, answer in (
            (r"/api/dashboards/uid/(.+)", self._dashboard),
            (r"/api/library-elements/(.+)", self._library),
            (r"/api/datasources/uid/(.+)/health", self._health),
        ):
            match = re.fullmatch(pattern, path)
            if match:
                return answer(match[1])
        if path == "/api/ds/query" and request.method == "POST":
            return self._queries(json.loads(request.body))
        if path == "/api/prometheus/grafana/api/v1/rules" and self.groups is not None:
            return Answer(200, {"status": "success", "data": {"groups": self.groups}})
        return Answer(404, {"message": "Not found"})

    def _dashboard(self, uid: str) -> Answer:
        if uid not in self.dashboards:
            return Answer(404, {"message": "Dashboard not found", "status": "not-found"})
        if "elements" in self.dashboards[uid]:
            return Answer(
                406, {"message": "dashboard api version not supported, use /apis/dashboard.grafana.app instead"}
            )
        return Answer(200, {"meta": {"slug": uid, "folderTitle": "General"}, "dashboard": self.dashboards[uid]})

    def _library(self, uid: str) -> Answer:
        if uid not in self.shared_panels:
            return Answer(404, {"message": "library element could not be found"})
        return Answer(200, {"result": {"uid": uid, "kind": 1, "model": self.shared_panels[uid]}})

    def _source(self, uid: str) -> tuple[str, str] | None:
        return next(((kind, url) for known, kind, url in self.sources.values() if known == uid), None)

    def _health(self, uid: str) -> Answer:
        source = self._source(uid)
        if source is None:
            return Answer(404, {"message": "Data source not found"})
        if source[0] != "prometheus":
            return Answer(404, {"message": "Not found"})
        try:
            urllib.request.urlopen(f"{source[1]}/-/healthy", timeout=5).close()
        except OSError as problem:
            return Answer(400, {"message": f"{problem}", "status": "ERROR"})
        return Answer(200, {"message": "Successfully queried the Prometheus API.", "status": "OK"})

    def _queries(self, asked: Json) -> Answer:
        results: Json = {}
        for query in asked["queries"]:
            if query["datasource"]["uid"] == "__expr__":
                results[query["refId"]] = self._expression(query, results)
                continue
            source = self._source(query["datasource"]["uid"])
            if source is None:
                return Answer(404, {"message": "Data source not found"})
            if source[0] != "prometheus":
                return Answer(500, {"message": "Plugin unavailable"})
            results[query["refId"]] = _promql(source[1], query, int(asked["from"]), int(asked["to"]))
        is_bad = any("error" in told for told in results.values())
        return Answer(self.error_status if is_bad else 200, {"results": results})

    def _expression(self, query: Json, results: Json) -> Json:
        """The last value of another query, which is all that is needed of expressions here."""
        frames = results[query["expression"].removeprefix("$")]["frames"]
        fields = [{"name": query["refId"], "type": "number"}]
        values = [[frame["data"]["values"][1][-1]] for frame in frames if frame["data"]["values"][1]]
        return {"status": 200, "frames": [{"schema": {"fields": fields}, "data": {"values": [one]}} for one in values]}


def _promql(url: str, query: Json, start: int, end: int) -> Json:
    step = max(query["intervalMs"] // 1000, 1)
    macros = {"$__rate_interval": f"{4 * step}s", "$__interval": f"{step}s", "$__range": f"{(end - start) // 1000}s"}
    text = query["expr"]
    for macro, value in macros.items():
        text = text.replace(macro, value)
    if query.get("instant"):
        path, span = "query", {"time": end / 1000}
    else:
        path, span = "query_range", {"start": start // 1000 // step * step, "end": end / 1000, "step": step}
    try:
        with urllib.request.urlopen(
            f"{url}/api/v1/{path}?{urllib.parse.urlencode({'query': text, **span})}", timeout=5
        ) as told:
            result = json.load(told)["data"]["result"]
    except urllib.error.HTTPError as problem:
        with problem:
            return {"error": json.load(problem)["error"], "status": 400, "frames": []}
    except OSError as problem:
        return {"error": f"Get {url}: {problem}", "status": 502, "frames": []}
    return {"status": 200, "frames": [_frame(series) for series in result]}


def _frame(series: Json) -> Json:
    """One series as Grafana writes it: what is not finite is null, and stands beside."""
    samples = series.get("values") or [series["value"]]
    numbers = [float(value) for _time, value in samples]
    odd = {
        name: [index for index, number in enumerate(numbers) if is_odd(number)]
        for name, is_odd in (
            ("NaN", math.isnan),
            ("Inf", lambda number: number == math.inf),
            ("NegInf", lambda number: number == -math.inf),
        )
    }
    values = [[int(when * 1000) for when, _value in samples], [one if math.isfinite(one) else None for one in numbers]]
    fields = [{"name": "Time", "type": "time"}, {"name": "Value", "type": "number", "labels": series["metric"]}]
    entities = [None, {name: indexes for name, indexes in odd.items() if indexes} or None]
    return {"schema": {"refId": "A", "fields": fields}, "data": {"values": values, "entities": entities}}


PROMETHEUS = {"type": "prometheus", "uid": "prom-1"}
GREEN_RED = {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 100}]}


def panel(
    title: str, *expressions: str, kind: str = "timeseries", thresholds: Json | None = None, **more: t.Any
) -> Json:
    defaults = {"thresholds": thresholds} if thresholds else {}
    queries = [
        {"refId": chr(ord("A") + index), "expr": text, "range": True, "datasource": PROMETHEUS, "exemplar": True}
        for index, text in enumerate(expressions)
    ]
    return {
        "id": sum(map(ord, title)),
        "title": title,
        "type": kind,
        "datasource": PROMETHEUS,
        "targets": queries,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""}},
        **more,
    }


def variable(name: str, value: t.Any, kind: str = "query", **more: t.Any) -> Json:
    return {"name": name, "type": kind, "current": {"text": value, "value": value}, "options": [], **more}


def dashboard(*panels: Json, variables: t.Sequence[Json] = (), **more: t.Any) -> Json:
    return {
        "title": "A dashboard",
        "schemaVersion": 39,
        "panels": list(panels),
        "templating": {"list": list(variables)},
        **more,
    }


QUEUE = panel("Queue", "sum(queue_length)", kind="stat", thresholds=GREEN_RED)
OVERVIEW = dashboard(
    QUEUE,
    panel("Instances up", "sum(up)", kind="gauge", thresholds={**GREEN_RED, "steps": [
        {"color": "red", "value": None}, {"color": "green", "value": 2}]}),
    panel("Requests", "sum(rate(requests_total[$__rate_interval]))", "sum(requests_total)"),
    {"id": 1, "type": "text", "title": "Notes", "options": {"content": "see the wiki"}},
    title="System overview",
)  # fmt: skip


class Application:
    """Two instances of a service that tell how long their queue is."""

    def __init__(self) -> None:
        self.servers = [HttpServer().start(), HttpServer().start()]
        self.instances = [f"{HOST}:{server.port}" for server in self.servers]
        self.tells(5)

    def tells(self, queue_length: int) -> None:
        for server in self.servers:
            server.route("/metrics", Answer(200, f"requests_total 1000\nqueue_length {queue_length}\n"))

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


@pytest.fixture(scope="module")
def application() -> t.Iterator[Application]:
    application = Application()
    yield application
    application.stop()


def queue_is(prometheus: Prometheus, length: int) -> bool:
    """Whether the newest point of a panel's range has this length, and a rate; it may be a step of 9 s later than the scrapes."""
    now = CLOCK.now().timestamp()
    span = {"start": now // 9 * 9 - 90, "end": now, "step": 9}
    has_rate = "sum(rate(requests_total[36s])) >= 0"  # of two scrapes: both lie before the point
    query = urllib.parse.urlencode({"query": f"sum(queue_length) and sum(up) == 2 and {has_rate}", **span})
    result = prometheus.api(f"query_range?{query}")["result"]
    return bool(result) and float(result[0]["values"][-1][1]) == length


@pytest.fixture(scope="module")
def prometheus(application: Application) -> t.Iterator[Prometheus]:
    need_part("prometheus", shutil.which("prometheus"))
    with Prometheus(jobs={"backend": {"static_configs": [{"targets": application.instances}]}}, rules={}) as server:
        await_true(lambda: queue_is(server, 10), seconds=PATIENT, what="the first scrape of both")
        yield server


@pytest.fixture
def stand_in(prometheus: Prometheus, refused_port: int) -> t.Iterator[Grafana]:
    with Grafana(
        Prometheus=("prom-1", "prometheus", prometheus.url),
        Gone=("prom-2", "prometheus", f"http://{HOST}:{refused_port}"),
        Browser=("json-1", "simple-json", ""),
    ) as server:
        server.dashboards["system-overview"] = OVERVIEW
        yield t.cast(Grafana, server)


def shown(stand_in: Grafana, *panels: Json, variables: t.Sequence[Json] = (), **wanted: t.Any) -> Json:
    """What is found for a dashboard of these panels."""
    stand_in.dashboards["d"] = dashboard(*panels, variables=variables)
    return finding(url=stand_in.url, token=TOKEN, dashboards=[{"uid": "d", **wanted}])


# ── dashboards: data ──


@serves("S1.47", case="pass", stand_in=STAND_IN)
def test_an_overview_whose_panels_have_data_and_are_green_passes(stand_in: Grafana) -> None:
    wanted = [
        {"uid": "system-overview", "panels": ["Queue", "Requests"], "green": True},
        {"uid": "system-overview", "panels": ["Instances up"], "green": True, "good_colors": ["green"]},
        {"uid": "system-overview"},
    ]
    found = finding(url=stand_in.url, token=TOKEN, dashboards=wanted)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["dashboard system-overview (1 of 3): colours"] == "1 of 1 values good"
    assert found["measured"]["dashboard system-overview (3 of 3): panels with data"] == "3 of 3"
    first, second, whole = found["evidence"]["dashboards"]
    assert [one["shown"] for one in first["panels"]] == [[[10.0, "green"]], []]
    assert second["panels"][0]["shown"] == [[2.0, "green"]]
    assert whole["without_queries"] == ["Notes"]
    assert found["evidence"]["version"] == "11.3.0"


@serves("S1.47", case="fail", stand_in=STAND_IN)
def test_an_overview_that_is_red_without_data_or_absent_fails(
    stand_in: Grafana, application: Application, prometheus: Prometheus
) -> None:
    wanted = {"uid": "system-overview", "panels": ["Queue"], "green": True}
    application.tells(500)
    try:
        await_true(lambda: queue_is(prometheus, 1000), seconds=PATIENT, what="the longer queue")
        found = finding(url=stand_in.url, token=TOKEN, dashboards=[wanted])
    finally:
        application.tells(5)
        await_true(lambda: queue_is(prometheus, 10), seconds=PATIENT, what="the shorter queue")
    assert found["status"] == "fail"
    assert "1 of 1 values are not in the colour of the lowest step: Queue is 1000, which is red" in found["summary"]
    assert finding(url=stand_in.url, token=TOKEN, dashboards=[wanted])["status"] == "pass"
    found = finding(url=stand_in.url, token=TOKEN, dashboards=[{**wanted, "panels": ["Instances up"]}])
    assert (found["status"], "Instances up is 2, which is green" in found["summary"]) == ("fail", True)
    found = shown(stand_in, QUEUE, panel("Pages", "sum(pages_total)", kind="stat", thresholds=GREEN_RED), green=True)
    assert found["status"] == "fail"
    assert "1 of 2 panels have data of the last 15m, expected all: Pages (no data)" in found["summary"]
    assert "no colour is known of Pages: it shows no value" in found["summary"]
    found = finding(url=stand_in.url, token=TOKEN, dashboards=[{"uid": "gone"}])
    assert (found["status"], found["summary"]) == ("fail", "Dashboard gone: there is none that this login may see.")


LIBRARY = {
    "type": "timeseries",
    "title": "Old title",
    "datasource": PROMETHEUS,
    "targets": [{"refId": "A", "expr": "up"}],
}


@serves("S1.48", case="pass", stand_in=STAND_IN)
def test_a_pipeline_whose_panels_have_data_of_the_last_15_minutes_passes(
    stand_in: Grafana, application: Application
) -> None:
    stand_in.shared_panels["lib-1"] = LIBRARY
    first, second = application.instances
    found = shown(
        stand_in,
        panel("By instance", 'queue_length{instance=~"$instance", job="${job}"}', repeat="instance"),
        {"id": 90, "type": "row", "title": "Closed", "collapsed": True, "panels": [panel("Inside", "up")]},
        {"id": 91, "type": "timeseries", "libraryPanel": {"uid": "lib-1", "name": "Shared"}},
        panel("All of them", 'sum by (job) (queue_length{instance=~"$instance"}) > 0', datasource="${ds}"),
        panel(
            "A table", "up", kind="table", targets=[{"refId": "A", "expr": "up", "instant": True, "format": "table"}]
        ),
        panel(
            "Of another panel",
            datasource={"uid": "-- Dashboard --", "type": "datasource"},
            targets=[{"refId": "A", "panelId": sum(map(ord, "A table"))}],
        ),
        panel(
            "Mixed",
            datasource={"uid": "-- Mixed --", "type": "datasource"},
            targets=[
                {"refId": "A", "expr": "up", "datasource": PROMETHEUS},
                {"refId": "B", "expr": "up", "datasource": {"uid": "Prometheus"}},
                {"refId": "C", "expr": "sum(up", "datasource": PROMETHEUS, "hide": True},
            ],
        ),
        panel(
            "Computed",
            targets=[
                {"refId": "A", "expr": "sum(up)", "hide": True},
                {
                    "refId": "B",
                    "datasource": {"uid": "__expr__", "type": "__expr__"},
                    "type": "reduce",
                    "expression": "$A",
                },
            ],
        ),
        variables=[
            variable("instance", [first, second], multi=True),
            variable("job", "backend"),
            variable("ds", "Prometheus", "datasource"),
        ],
        max_age="15m",
    )
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["dashboard d: panels with data"] == "9 of 9"
    titles = [one["title"] for one in found["evidence"]["dashboards"][0]["panels"]]
    assert titles[:4] == [f"By instance (instance={first})", f"By instance (instance={second})", "Inside", "Shared"]
    asked = [json.loads(one.body) for one in stand_in.requests if one.path == "/api/ds/query"]
    assert {int(one["to"]) - int(one["from"]) for one in asked} == {15 * 60 * 1000}
    assert not any(query.get("exemplar") for one in asked for query in one["queries"])


@serves("S1.48", case="fail", stand_in=STAND_IN)
def test_a_pipeline_with_panels_without_data_fails_and_names_them(stand_in: Grafana) -> None:
    panels = [
        panel("Alive", "up"),
        panel("Half", "up", "pages_total"),
        panel("Divided", "sum(queue_length * 0) / sum(queue_length * 0)"),
        panel("Before", "up offset 1d"),
    ]
    found = shown(stand_in, *panels)
    assert found["status"] == "fail"
    for part in (
        "1 of 4 panels have data of the last 15m",
        "Half (no data of query B)",
        "Divided (no data)",
        "Before (no data)",
    ):
        assert part in found["summary"], found["summary"]
    assert [one["has_data"] for one in found["evidence"]["dashboards"][0]["panels"]] == [True, False, False, False]
    assert shown(stand_in, *panels, max_without_data=2)["status"] == "fail"
    assert shown(stand_in, *panels, max_without_data=3)["status"] == "pass"
    assert shown(stand_in, *panels, panels=["Alive"])["status"] == "pass"
    found = shown(stand_in, *panels[2:], max_without_data=5)
    assert (found["status"], "0 of 2 panels have data" in found["summary"]) == ("fail", True), found["summary"]


@pytest.mark.parametrize(
    ("panels", "said"),
    [
        ((), "has no panel that asks a data source"),
        (({"id": 1, "type": "text", "title": "Notes", "targets": [{"refId": "A"}]},), "has no panel that asks"),
        ((panel("Hidden", targets=[{"refId": "A", "expr": "up", "hide": True}]),), "has no panel that asks"),
        ((panel("Lost", "up", datasource={"uid": "prom-9"}),), "Lost (its data source prom-9 does not exist"),
        (
            (panel("Lost", "up", datasource={"uid": "${DS_PROMETHEUS}"}),),
            "its data source ${DS_PROMETHEUS} does not exist",
        ),
    ],
)
def test_a_dashboard_that_asks_nothing_or_nobody_fails(stand_in: Grafana, panels: tuple[Json, ...], said: str) -> None:
    found = shown(stand_in, *panels)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (panel("P", "sum(up"), "query A fails: 1:7: parse error"),
        (panel("P", "up", datasource={"uid": "prom-2"}), "query A fails: Get http"),
        (panel("P", "up", datasource="Browser"), "its queries cannot be asked: Plugin unavailable"),
        (panel("P", "up", datasource={"uid": "grafana", "type": "datasource"}), "it shows Grafana's own data"),
        (panel("P", 'up{job="$job"}'), "no value of the variable job is saved"),
        (panel("P", 'up{instance=~"$all"}'), "the variable all stands on All"),
        (panel("P", "up", repeat="all"), "the variable all stands on All"),
        (panel("P", "up{x=~'${many:sqlstring}'}"), "writes the variable many as sqlstring is not known"),
        (panel("P", "up", "up", targets=[{"expr": "up"}, {"refId": "A", "expr": "up"}]), "several of its queries have one refId"),
        (panel("P", 'up{x="${__user.login}"}'), "${__user.login} is filled in by the browser alone"),
        (panel("P", datasource="-- Dashboard --", targets=[{"panelId": 77}]), "shows what another panel asks for"),
        (panel("P", datasource="-- Dashboard --", targets=[{"panelId": 0}]), "the panel whose queries it shows asks nothing"),
        ({"id": 5, "type": "stat", "libraryPanel": {"uid": "gone", "name": "Shared"}},
         "panel 5: it is of the library and cannot be read there: library element could not be found"),
    ],
)  # fmt: skip
def test_a_panel_that_cannot_be_asked_is_unknown_and_named(stand_in: Grafana, broken: Json, said: str) -> None:
    variables = [
        variable("job", ""),
        variable("all", "$__all", includeAll=True),
        variable("many", ["a", "b"], multi=True),
    ]
    asks_nothing = {"id": 0, "type": "text", "title": "Notes"}
    found = shown(stand_in, panel("Good", "up"), asks_nothing, broken, variables=variables)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert "raised" not in found["evidence"]


def test_an_error_that_is_told_beside_good_answers_is_unknown_too(stand_in: Grafana) -> None:
    stand_in.error_status = 207
    found = shown(stand_in, panel("Half", "up", "sum(up"))
    assert (found["status"], "Half: query B fails: 1:7: parse error" in found["summary"]) == ("unknown", True)


def test_variables_are_filled_in_as_the_browser_does(stand_in: Grafana, application: Application) -> None:
    first, second = application.instances
    listed = panel("Listed", 'queue_length{instance=~"$instance"} == 5')
    query = variable("instance", "$__all", multi=True, includeAll=True)
    assert shown(stand_in, listed, variables=[query])["status"] == "unknown"
    assert shown(stand_in, listed, variables=[{**query, "allValue": ".+"}])["status"] == "pass"
    options = [{"value": one} for one in ("$__all", first, second)]
    assert shown(stand_in, listed, variables=[{**query, "options": options}])["status"] == "pass"
    stand_in.dashboards["d"] = dashboard(listed, variables=[query])

    def given(values: t.Any) -> str:
        wanted = {"uid": "d", "variables": {"instance": values}}
        return str(finding(url=stand_in.url, token=TOKEN, dashboards=[wanted])["status"])

    found = finding(url=stand_in.url, token=TOKEN, dashboards=[{"uid": "d", "variables": {"instnace": first}}])
    assert (found["status"], "it has no variable instnace" in found["summary"]) == ("unknown", True), found["summary"]
    assert [given(first), given([first, second]), given("10.0.0.9"), given(".+")] == ["pass", "pass", "fail", "fail"]
    asked = [json.loads(one.body)["queries"][0]["expr"] for one in stand_in.requests if one.path == "/api/ds/query"]
    escaped = [re.sub(r"\.", r"\\\\.", one) for one in (first, second)]
    assert f'queue_length{{instance=~"({escaped[0]}|{escaped[1]})"}} == 5' in asked
    stand_in.dashboards["d"] = dashboard(listed, variables=[{**query, "filters": []}, {
        "name": "f", "type": "adhoc", "filters": [{"key": "job"}]}])  # fmt: skip
    found = finding(url=stand_in.url, token=TOKEN, dashboards=[{"uid": "d", "variables": {"instance": first}}])
    assert (found["status"], "the ad hoc filters of f" in found["summary"]) == ("unknown", True)


def test_panels_that_are_named_must_be_there_and_ask_something(stand_in: Grafana) -> None:
    found = shown(stand_in, QUEUE, panels=["Queue", "Pages"])
    assert (found["status"], "Pages absent" in found["summary"]) == ("fail", True)
    found = shown(stand_in, QUEUE, {"id": 7, "type": "text", "title": "Notes"}, panels=[str(QUEUE["id"]), "7"])
    assert (found["status"], "Notes of those named ask nothing" in found["summary"]) == ("unknown", True)


def test_a_dashboard_in_the_new_schema_is_unknown(stand_in: Grafana) -> None:
    stand_in.dashboards["v2"] = {"elements": {}, "layout": {}}
    found = finding(url=stand_in.url, token=TOKEN, dashboards=[{"uid": "v2"}, {"uid": "system-overview"}])
    assert (found["status"], "stored in schema v2" in found["summary"]) == ("unknown", True)
    assert found["measured"]["dashboard system-overview: panels with data"] == "3 of 3"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"transformations": [{"id": "reduce"}]}, "its transformations are computed by the browser alone"),
        ({"fieldConfig": {"defaults": {"thresholds": GREEN_RED}, "overrides": [
            {"properties": [{"id": "thresholds"}]}]}}, "thresholds of their own"),
        ({"options": {"reduceOptions": {"calcs": ["stdDev"]}}}, "computes stdDev is not known"),
        ({"options": {"reduceOptions": {"fields": "/^x$/"}}}, "it shows some fields alone"),
        ({"fieldConfig": {"defaults": {"thresholds": {**GREEN_RED, "mode": "percentage"}}}}, "its thresholds are percentages"),
        ({"type": "singlestat"}, "replaced by stat"),
        ({"fieldConfig": {"defaults": {}}}, "has no stat or gauge panel with a threshold"),
    ],
)  # fmt: skip
def test_a_colour_that_cannot_be_told_is_unknown(stand_in: Grafana, changed: Json, said: str) -> None:
    found = shown(stand_in, {**QUEUE, **changed}, green=True)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


# ── data sources, alert rules ──


def test_data_sources_are_healthy_by_uid_or_name_and_one_that_is_not_fails(stand_in: Grafana) -> None:
    found = finding(url=stand_in.url, token=TOKEN, datasources=["prom-1", "Prometheus"])
    assert found["status"] == "pass", found["summary"]
    found = finding(url=stand_in.url, token=TOKEN, datasources=["Prometheus", "Gone", "Absent"])
    assert found["status"] == "fail"
    assert "data source Gone is ERROR: " in found["summary"].replace("Data", "data")
    assert "data source Absent: there is none that this login may query" in found["summary"]
    found = finding(url=stand_in.url, token=TOKEN, datasources=["Browser"])
    assert (found["status"], "its plugin has no health check" in found["summary"]) == ("unknown", True)


def rule(name: str, **more: t.Any) -> Json:
    return {"name": name, "type": "alerting", "state": "inactive", "health": "ok", **more}


def group(rules: list[Json]) -> Json:
    """A group whose rules were evaluated right now, where they say nothing else."""
    now = {"lastEvaluation": utc_text(CLOCK.now())}
    return {"name": "archive", "file": "Ops", "interval": 60, "rules": [{**now, **each} for each in rules]}


@pytest.mark.parametrize(
    ("rules", "wanted", "status", "said"),
    [
        ([rule("Q")], {"expected": ["Q"], "none_firing": True, "none_in_error": True}, "pass", ""),
        ([rule("Q")], {"expected": ["R"]}, "fail", "Alert rule R is absent"),
        ([rule("Q", isPaused=True)], {"expected": ["Q"]}, "fail", "Alert rule Q is paused"),
        ([rule("Q", isPaused=True)], {"none_firing": True}, "fail", "Alert rules: there are none"),
        ([], {"none_firing": True}, "fail", "Alert rules: there are none"),
        ([rule("Q", state="firing")], {"none_firing": True}, "fail", "1 alert rule firing: Q of Ops/archive"),
        ([rule("Q", state="firing"), rule("R")], {"none_firing": True, "ignored": ["Q"]}, "pass", ""),
        ([rule("Q", state="firing")], {"none_in_error": True}, "pass", ""),
        ([rule("Q", health="error", lastError="no such host")], {"none_firing": True}, "fail", "fails: no such host"),
        ([rule("Q", health="nodata")], {"none_in_error": True}, "fail", "Q of Ops/archive has no data"),
        ([rule("Q", health="unknown")], {"none_in_error": True}, "unknown", "was not evaluated yet"),
        ([rule("Q", lastEvaluation="0001-01-01T00:00:00Z")], {"none_firing": True}, "unknown", "was not evaluated yet"),
        ([rule("Q", lastEvaluation="2026-01-01T00:00:00Z")], {"none_firing": True}, "fail", "was last evaluated"),
    ],
)
def test_alert_rules(stand_in: Grafana, rules: list[Json], wanted: Json, status: str, said: str) -> None:
    stand_in.groups = [group(rules)]
    found = finding(url=stand_in.url, token=TOKEN, alert_rules=wanted)
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


def test_a_grafana_that_does_not_tell_its_rules_or_a_part_of_them_is_unknown(
    stand_in: Grafana, http_server: HttpServer
) -> None:
    stand_in.groups = None
    found = finding(url=stand_in.url, token=TOKEN, alert_rules={"none_firing": True}, datasources=["Gone"])
    assert (found["status"], "older than 8, or its own alerting is switched off" in found["summary"]) == ("fail", True)
    assert found["measured"]["alert rules"] is None
    http_server.route("/api/health", Answer(200, {"database": "ok"}))
    part = {"status": "success", "data": {"groups": [], "groupNextToken": "x"}}
    http_server.route("/api/prometheus/grafana/api/v1/rules", Answer(200, part))
    found = finding(url=http_server.url, alert_rules={"none_firing": True})
    assert (found["status"], "a part of its alert rules" in found["summary"]) == ("unknown", True)


# ── servers that are not well ──


def test_no_server_and_a_hanging_one_are_unknown(refused_port: int, hanging_server: HangingServer) -> None:
    found = finding(url=f"http://{HOST}:{refused_port}", datasources=["a"])
    assert (found["status"], found["summary"]) == (
        "unknown",
        f"Nothing listens on {HOST}:{refused_port}: connection refused.",
    )
    found = finding(url=f"http://{HOST}:{hanging_server.port}", datasources=["a"], timeout=0.5)
    assert (found["status"], "did not answer GET /api/health within 0.5 s" in found["summary"]) == ("unknown", True)


def test_two_items_of_different_limits_on_a_slow_one_each_get_their_own_answer(stand_in: Grafana) -> None:
    settings = stand_in._told(Request("GET", "/api/frontend/settings", {"Authorization": f"Bearer {TOKEN}"}, b"", 0))
    stand_in.route("/api/frontend/settings", Answer(200, settings.body, delay=1.5))
    shared = Shared()
    params = {"url": stand_in.url, "token": TOKEN, "datasources": ["prom-1"], "shared": shared}
    short, long = finding(**params, timeout=0.5), finding(**params, timeout=20.0)
    assert (short["status"], "0.5 s" in short["summary"], long["status"]) == ("unknown", True, "pass")


def test_a_data_source_that_hangs_leaves_its_panel_unknown(stand_in: Grafana) -> None:
    stand_in.route("/api/ds/query", Answer(200, {}, delay=5))
    stand_in.dashboards["d"] = dashboard(panel("P", "up"), panel("Q", "up"))
    found = finding(url=stand_in.url, token=TOKEN, dashboards=[{"uid": "d"}], timeout=1.0)
    assert (found["status"], "2 of 2 panels not known" in found["summary"]) == ("unknown", True), found["summary"]
    assert "within 1 s" in found["summary"]


GOOD_HEALTH = {"/api/health": Answer(200, {"database": "ok"})}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(503, "Service Unavailable"), "answered with status 503: it is not ready"),
        (Answer(200, "<html>Log in</html>", {"Content-Type": "text/html"}), "an HTML page in place of JSON"),
        (Answer(200, "{", {"Content-Type": "application/json"}), "that are not JSON"),
        (Answer(200, "[" * 5000 + "]" * 5000, {"Content-Type": "application/json"}), "levels deep"),
        (Answer(200, [1]), "not as its API does"),
        (Answer(200, {}), "not as its API does"),
        (Answer(200, {"dashboard": 5}), "not as its API does"),
        (Answer(200, {"dashboard": {"panels": [7]}}), "not as its API does"),
        (Answer(200, {"dashboard": {"panels": {"a": 1}}}), "not as its API does"),
        (Answer(200, {"dashboard": {"panels": [{"targets": 5}]}}), "not as its API does"),
        (Answer(200, {"dashboard": {"templating": {"list": [{}]}}}), "not as its API does"),
        (Answer(500, {"message": "Failed to read it"}), "Failed to read it"),
        (Answer(302, "", {"Location": "https://login.example.org/?token=x"}), "redirects (status 302)"),
        (Answer(200, b" " * (17 * 2**20), {"Content-Type": "application/json"}), "more than the 16 MiB"),
    ],
)
def test_an_answer_that_is_not_grafanas_is_unknown(http_server: HttpServer, answer: Answer, said: str) -> None:
    http_server.routes.update({**GOOD_HEALTH, "/api/dashboards/uid/d": answer})
    found = finding(url=http_server.url, dashboards=[{"uid": "d"}])
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert "raised" not in found["evidence"]
    http_server.route("/api/health", answer)
    found = finding(url=http_server.url, dashboards=[{"uid": "d"}])
    assert (found["status"], "raised" in found["evidence"]) == ("unknown", False), found["summary"]


@pytest.mark.parametrize(
    "results",
    [
        [],
        {},
        {"results": {}},
        {"results": []},
        {"results": {"A": 5}},
        {"results": {"B": {"frames": []}}},
        {"results": {"A": {"frames": [], "status": 500}}},
        {"results": {"A": {"frames": 5}}},
        {"results": {"A": {"frames": [5]}}},
        {"results": {"A": {"frames": [{"schema": {"fields": [{"type": "number"}]}, "data": {"values": [[1], [2]]}}]}}},
        {"results": {"A": {"frames": [{"schema": {"fields": [{"type": "number"}]}, "data": {"values": [["x"]]}}]}}},
        {"results": {"A": {"frames": [{"schema": {"fields": [{"type": "number"}]}, "data": {"values": [[10**400]]}}]}}},
        {"results": {"A": {"frames": [{"schema": {"meta": {"notices": [{"severity": "error", "text": "no"}]}}}]}}},
    ],
)
def test_an_answer_of_queries_that_is_none_is_unknown(stand_in: Grafana, results: t.Any) -> None:
    stand_in.route("/api/ds/query", Answer(200, results))
    found = shown(stand_in, QUEUE, green=True)
    assert (found["status"], "raised" in found["evidence"]) == ("unknown", False), found["summary"]
    assert "1 of 1 panels not known" in found["summary"]


def test_samples_from_before_the_time_that_was_asked_for_are_no_data(stand_in: Grafana) -> None:
    def told(minutes: float) -> Json:
        when = int((CLOCK.now().timestamp() - 60 * minutes) * 1000)
        fields = [{"type": "time"}, {"type": "number"}]
        return {"results": {"A": {"frames": [{"schema": {"fields": fields}, "data": {"values": [[when], [1]]}}]}}}

    stand_in.route("/api/ds/query", Answer(200, told(20)))
    assert shown(stand_in, QUEUE)["status"] == "fail"
    assert shown(stand_in, QUEUE, max_age="30m")["status"] == "pass"


def test_grafana_without_its_database_fails(http_server: HttpServer, stand_in: Grafana) -> None:
    http_server.route("/api/health", Answer(503, {"database": "failing", "version": "10.4.1"}))
    http_server.route("/api/frontend/settings", Answer(500, {"message": "no database"}))
    found = finding(url=http_server.url, datasources=["Prometheus"])
    assert (found["status"], "own database is failing, expected ok" in found["summary"]) == ("fail", True)


# ── logging in ──


def test_a_wrong_login_and_one_without_a_right_are_unknown_and_say_which(stand_in: Grafana) -> None:
    wanted: Json = {"url": stand_in.url, "dashboards": [{"uid": "system-overview"}]}
    for login in ({}, {"token": "wrong"}, {"username": "viewer", "password": PASSWORD}):
        found = finding(**wanted, **login)
        assert (found["status"], "refused us with status 401" in found["summary"]) == ("unknown", True)
    for refused, more in (("ds/query", {}), ("dashboards", {}), ("datasources", {"datasources": ["prom-1"]})):
        stand_in.refused = (refused,)
        found = finding(**wanted, **more, token=TOKEN)
        assert (found["status"], "status 403" in found["summary"]) == ("unknown", True), found["summary"]
        assert "Viewer" in found["remedy"]
        assert "datasources:query" in found["remedy"]


def test_tls_needs_the_authority(demo_ca: DemoCa, tmp_path_factory: pytest.TempPathFactory) -> None:
    issued = demo_ca.issue()
    files = issued.write(tmp_path_factory.mktemp("tls"))
    settings = Answer(200, {"datasources": {}, "defaultDatasource": ""})
    with HttpServer({**GOOD_HEALTH, "/api/frontend/settings": settings}, tls=issued) as server:
        url = f"https://localhost:{server.port}"
        assert finding(url=url, datasources=["a"], ca_file=str(files.ca))["status"] == "fail"
        found = finding(url=url, datasources=["a"])
    assert (found["status"], "certificate" in found["summary"].lower()) == ("unknown", True), found["summary"]


def test_secrets_are_sent_where_they_belong_and_never_told(stand_in: Grafana, run_module: ModuleRun) -> None:
    echo = {"results": {"A": {"error": f"no {TOKEN} here", "status": 400}}}
    stand_in.route("/api/ds/query", Answer(400, echo))
    args: Json = {"url": stand_in.url, "dashboards": [{"uid": "system-overview"}], "enforce": False}
    answer = run_module("check_grafana", {**args, "token": TOKEN}, secrets=[TOKEN])
    assert answer["finding"]["status"] == "unknown"
    assert re.search(r"no \S+ here", answer["msg"])
    login = {"username": "viewer", "password": PASSWORD}
    assert run_module("check_grafana", {**args, **login}, secrets=[PASSWORD])["finding"]["status"] == "unknown"
    sent = {request.headers["Authorization"].split()[0] for request in stand_in.requests}
    assert sent == {"Bearer", "Basic"}
    assert {request.method for request in stand_in.requests if request.path != "/api/ds/query"} == {"GET"}


def test_a_grafana_behind_a_path_is_asked_there_and_once_for_many_items(stand_in: Grafana) -> None:
    shared = Shared()
    for _turn in range(5):
        found = finding(url=f"{stand_in.url}/grafana/", token=TOKEN, datasources=["prom-1"], shared=shared)
        assert found["status"] == "pass", found["summary"]
    assert [request.path for request in stand_in.requests] == [
        "/grafana/api/health",
        "/grafana/api/frontend/settings",
        "/grafana/api/datasources/uid/prom-1/health",
    ]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"dashboards": []}, "dashboards is empty"),
        ({"datasources": []}, "datasources is empty"),
        ({"dashboards": [{"uid": "d", "panels": []}]}, "panels is empty"),
        ({"dashboards": [{"uid": "d", "max_age": "soon"}]}, "not a span of time"),
        ({"dashboards": [{"uid": "d", "max_age": "0s"}]}, "not up to a year"),
        ({"dashboards": [{"uid": "d", "max_without_data": -1}]}, "no number of panels"),
        ({"dashboards": [{"uid": "d", "green": True, "good_colors": []}]}, "good_colors is empty"),
        ({"dashboards": [{"uid": "d", "green": False, "good_colors": ["red"]}]}, "green is not true"),
        ({"dashboards": [{"uid": "d", "variables": {"a": []}}]}, "the variable a has no value"),
        ({"dashboards": [{"uid": "d", "variables": {"a": {"b": 1}}}]}, "the variable a has no value"),
        ({"alert_rules": {"none_firing": False}}, "alert_rules asks for nothing"),
        ({"url": "http://u:p@127.0.0.1", "datasources": ["a"]}, "holds a user name or password"),
        ({"url": "http://127.0.0.1/?a=b", "datasources": ["a"]}, "address alone"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: Json, said: str) -> None:
    found = finding(**{"url": "http://127.0.0.1:1", **params})
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_the_examples_run_and_tell_good_from_bad(stand_in: Grafana, run_module: ModuleRun) -> None:
    stand_in.dashboards["system-overview"] = dashboard(
        {**QUEUE, "id": 4}, panel("Instances up", "sum(up)", kind="stat"), panel("Requests", "requests_total")
    )
    stand_in.dashboards["ocr-pipeline"] = dashboard(
        panel("Queue", 'queue_length{instance!~"$instance"}'),
        panel("Pages", "pages_total"),
        variables=[variable("instance", "$__all", multi=True)],
    )
    stand_in.groups = [group([rule("Queue grows")])]
    replaced = {"https://grafana.example.org": stand_in.url, "{{ vault_grafana_token }}": TOKEN}
    examples = examples_of("check_grafana", replaced).values()

    def statuses() -> list[str]:
        return [run_module("check_grafana", {**args, "enforce": False})["finding"]["status"] for args in examples]

    assert statuses() == ["pass", "pass", "pass"]
    stand_in.dashboards = {"system-overview": dashboard(panel("Pages", "pages_total"))}
    stand_in.groups = []
    assert statuses() == ["fail", "fail", "fail"]
