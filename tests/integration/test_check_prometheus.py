# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_prometheus on a real Prometheus and a real Alertmanager, with targets, rules and alerts that are well and that are not."""

from __future__ import annotations

import datetime
import json
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_prometheus, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import (
    HOST,
    Alertmanager,
    Answer,
    DemoCa,
    HangingServer,
    HttpServer,
    Prometheus,
    RefusedPort,
    Request,
    accepts,
    await_true,
)

if t.TYPE_CHECKING:
    from tests.conftest import ModuleRun

serves = pytest.mark.serves
TOKEN, PASSWORD = "prom-token-8d02c4", "prom-password-71c2"
#: The bcrypt of PASSWORD, which Prometheus wants in its configuration.
HASHED = "$2b$04$abcdefghijklmnopqrstuudck3m1aAZsE9cUhNevu2J0953ONKmr2"
PATIENT = 60.0
WATCHDOG = {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}}
GROWS = {"alert": "QueueGrows", "expr": "queue_length > 100", "labels": {"severity": "critical"}}
SLOW = {"alert": "Slow", "expr": "queue_length > 10", "labels": {"severity": "info"}}
WAITING = {"alert": "Waiting", "expr": "queue_length > 100", "for": "1h", "labels": {"severity": "critical"}}
RATIO = {"record": "job:up:ratio", "expr": "avg by (job) (up)"}
#: Two targets are up, so this has two on each side.
BROKEN = {"record": "up:broken", "expr": "up * on() group_left() up"}


def finding(timeout: float = 20.0, shared: Shared | None = None, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(
        check_prometheus.ARGUMENT_SPEC, params, where=check_prometheus.NAME, **check_prometheus.CONSTRAINTS
    )
    found = judged(registry.load("check_prometheus"), checked, Run(timeout_seconds=timeout, shared=shared))
    json.dumps(found, allow_nan=False)
    return found


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


class Application:
    """Two instances of a service that tell how long their queue is."""

    def __init__(self) -> None:
        self.servers = [HttpServer().start(), HttpServer().start()]
        self.instances = [f"{HOST}:{server.port}" for server in self.servers]
        self.tells(5)

    def tells(self, queue_length: int | None) -> None:
        text = "" if queue_length is None else f"queue_length {queue_length}\n"
        for server in self.servers:
            server.route("/metrics", Answer(200, f"requests_total 1000\nerrors_total 0\n{text}"))

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


@pytest.fixture(scope="module")
def application() -> t.Iterator[Application]:
    application = Application()
    yield application
    application.stop()


@pytest.fixture(scope="module")
def alertmanager() -> t.Iterator[Alertmanager]:
    need_part("prometheus-alertmanager", shutil.which("prometheus-alertmanager"))
    with Alertmanager() as server:
        yield server


def scraped(prometheus: Prometheus, targets: int) -> Prometheus:
    """Once so many targets were scraped, and each rule was evaluated on what they told."""

    def is_settled() -> bool:
        told = prometheus.api("targets?state=active")["activeTargets"]
        seen = [target for target in told if target["health"] != "unknown"]
        return len(seen) >= targets and bool(prometheus.api("query?query=job:up:ratio")["result"])

    await_true(is_settled, seconds=PATIENT, what="the first scrape")
    return prometheus


@pytest.fixture(scope="module")
def prometheus(application: Application, alertmanager: Alertmanager) -> t.Iterator[Prometheus]:
    """All is well here, until a test makes the queue grow."""
    need_part("prometheus", shutil.which("prometheus"))
    with Prometheus(
        jobs={"backend": {"static_configs": [{"targets": application.instances}]}},
        rules={"archive": [WATCHDOG, GROWS, SLOW, WAITING], "ratios": [RATIO]},
        alertmanagers=[f"{HOST}:{alertmanager.port}"],
        flags=["--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=1GB"],
    ) as server:
        yield scraped(server, 2)


@pytest.fixture(scope="module")
def broken(application: Application) -> t.Iterator[Prometheus]:
    """A target that is down, one that is not scraped for hours, and a rule that cannot be evaluated."""
    need_part("prometheus", shutil.which("prometheus"))
    with RefusedPort() as refused:
        target = f"{HOST}:{refused.port}"
        with Prometheus(
            jobs={
                "backend": {"static_configs": [{"targets": application.instances}]},
                "worker": {
                    "static_configs": [{"targets": [target, application.instances[0]]}],
                    "params": {"key": [TOKEN]},
                },
                "seldom": {"static_configs": [{"targets": [target]}], "scrape_interval": "600h"},
                "slow": {"static_configs": [{"targets": application.instances[:1]}], "scrape_interval": "2s"},
            },
            rules={"archive": [RATIO], "broken": [BROKEN]},
            flags=["--storage.tsdb.retention.size=1GB", "--storage.tsdb.retention.time=2d"],
        ) as server:
            yield scraped(server, 5)


def rule_health(prometheus: Prometheus, name: str) -> str:
    groups = prometheus.api("rules")["groups"]
    return next(str(rule["health"]) for group in groups for rule in group["rules"] if rule["name"] == name)


# ── targets ──


@serves("S1.50", case="pass")
def test_targets_that_are_all_there_and_up_pass(prometheus: Prometheus, application: Application) -> None:
    jobs = [{"name": "backend", "instances": application.instances, "min_up": 2}]
    found = finding(url=prometheus.url, all_up=True, jobs=jobs)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["targets"] == "2 of 2 up"
    assert found["evidence"]["targets"] == {"backend": {"up": 2}}
    assert 0 <= found["evidence"]["oldest_scrape_seconds"] < PATIENT


@serves("S1.50", case="fail")
@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"all_up": True},
            ["Targets: 4 of 6 up", "of worker is down", "connection refused", "of seldom was not scraped yet"],
        ),
        ({"jobs": [{"name": "worker"}]}, ["Job worker targets: 1 of 2 up", "connection refused"]),
        ({"jobs": [{"name": "ocr"}]}, ["Job ocr targets: there are none"]),
        ({"jobs": [{"name": "backend", "min_up": 3}]}, ["Job backend targets up is 2, expected at least 3"]),
        ({"jobs": [{"name": "backend", "instances": ["app9:80"]}]}, ["Job backend instances is app9:80 absent"]),
    ],
)
def test_a_target_that_is_down_or_missing_fails(broken: Prometheus, params: dict[str, t.Any], said: list[str]) -> None:
    found = finding(url=broken.url, **params)
    assert found["status"] == "fail"
    for part in said:
        assert part in found["summary"], found["summary"]
    assert TOKEN not in json.dumps(found)


def test_a_target_that_was_never_scraped_is_unknown(broken: Prometheus) -> None:
    found = finding(url=broken.url, jobs=[{"name": "seldom"}])
    assert (found["status"], "of seldom was not scraped yet" in found["summary"]) == ("unknown", True), found["summary"]
    found = finding(url=broken.url, jobs=[{"name": "seldom", "min_up": 2}])
    assert (found["status"], "targets up is 0, expected at least 2" in found["summary"]) == ("fail", True), found[
        "summary"
    ]


def test_a_target_that_was_scraped_too_long_ago_fails(broken: Prometheus) -> None:
    def is_late() -> bool:
        found = finding(url=broken.url, jobs=[{"name": "slow"}], max_scrape_age="1s")
        return found["status"] == "fail" and "of slow was last scraped" in found["summary"]

    await_true(is_late, seconds=PATIENT, what="a scrape that is two seconds old")
    assert finding(url=broken.url, jobs=[{"name": "slow"}])["status"] == "pass"


def test_a_prometheus_without_targets_fails() -> None:
    need_part("prometheus", shutil.which("prometheus"))
    with Prometheus(jobs={}, rules={}) as empty:
        found = finding(url=empty.url, all_up=True, rules_healthy=True, alerts={})
    assert found["status"] == "fail"
    assert "Targets: there are none" in found["summary"]
    assert "ules: there are none" in found["summary"]


# ── rules ──


def test_rules_that_are_loaded_and_evaluated_pass(prometheus: Prometheus) -> None:
    found = finding(
        url=prometheus.url, rules_healthy=True, rule_groups=["archive", "ratios"], rules=["QueueGrows", "job:up:ratio"]
    )
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["rules"] == {"archive": 4, "ratios": 1}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rules_healthy": True}, "Rules: 1 of 2 evaluated: up:broken of broken fails: found duplicate series"),
        ({"rule_groups": ["broken"]}, "Rule group broken: 0 of 1 evaluated"),
        ({"rule_groups": ["archive", "ocr"]}, "Rule group ocr: there are none"),
        ({"rules": ["up:broken"]}, "Rule up:broken: 0 of 1 evaluated"),
        ({"rules": ["QueueGrows"]}, "Rule QueueGrows: there are none"),
        ({"alerts": {}}, "Alerting rules: there are none"),
    ],
)
def test_a_rule_that_is_missing_or_fails_is_a_failure(broken: Prometheus, params: dict[str, t.Any], said: str) -> None:
    await_true(lambda: rule_health(broken, "up:broken") == "err", seconds=PATIENT, what="the broken rule's evaluation")
    found = finding(url=broken.url, **params)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]
    assert finding(url=broken.url, rule_groups=["archive"])["status"] == "pass"


#: By its name what a rule asks for.
ASKS = {
    "Alive": "queue_length > 100",
    "Constant": "vector(1)",
    "Gone": "absent(backup_age_seconds)",
    "NoneOrGone": "up == 0 or absent(up)",
    "Either": "queue_lenght > 100 or queue_length > 100",
    "Dead": "sum(rate(queue_lenght[5m])) > 5",
    "HalfDead": "queue_length / queue_limit > 0.9",
    "OtherLabels": 'queue_length{job="bakend"} > 100',
    "Hidden": "(sum(queue_lenght) or vector(0)) > 5",
    "HiddenByZeros": "(sum(queue_lenght) or 0 * sum(queue_length)) > 5",
    "Inhibited": "queue_length > 100 unless on () maintenance == 1",
}


def alive(*names: str, **params: t.Any) -> dict[str, t.Any]:
    """The finding of a real Prometheus with these rules alone."""
    need_part("prometheus", shutil.which("prometheus"))
    rules = [{"alert": name, "expr": ASKS[name]} for name in names]
    with HttpServer({"/metrics": Answer(200, "queue_length 5\n")}) as application:
        jobs = {"backend": {"static_configs": [{"targets": [f"{HOST}:{application.port}"]}]}}
        with Prometheus(jobs=jobs, rules={"asking": rules, "ratios": [RATIO]}) as server:
            return finding(url=scraped(server, 1).url, rules_alive=True, **params)


def test_rules_whose_series_are_there_are_alive(prometheus: Prometheus) -> None:
    found = finding(url=prometheus.url, rules_alive=True)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["rules alive"] == "5 of 5 alive"
    found = alive("Alive", "Constant", "Gone", "NoneOrGone", "Either", "Inhibited", rules_healthy=True)
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["rules_without_series"] == []
    assert "of 2 within their intervals" in found["measured"]["rule groups' evaluation time"]


def test_a_rule_over_a_metric_that_does_not_exist_is_dead() -> None:
    found = alive("Alive", "Dead", "HalfDead", "OtherLabels", "Hidden", rules_healthy=True)
    assert found["status"] == "fail" and found["measured"]["rules"] == "6 of 6 evaluated", "none of them is an error"
    assert (
        "Rules alive: 4 of 6 alive: Dead of asking asks for queue_lenght, of which there are no series; "
        "HalfDead of asking asks for queue_limit, of which there are no series" in found["summary"]
    )
    dead = {each["name"] for each in found["evidence"]["rules_without_series"]}
    assert dead == {"Dead", "HalfDead", "OtherLabels", "Hidden"}


def test_a_rule_whose_labels_nothing_has_or_that_hides_it_is_a_warning() -> None:
    found = alive("Alive", "OtherLabels", "Hidden", "HiddenByZeros")
    assert found["status"] == "warn", found["summary"]
    assert 'asks for queue_length{job="bakend"}, and there are series with other labels only' in found["summary"]
    assert "Hidden of asking has a number in place of queue_lenght" in found["summary"]
    assert "HiddenByZeros of asking has a number in place of queue_lenght" in found["summary"]


def served_rules(*expressions: str, taken: float | None = 0.1, refuses: str = "") -> t.Callable[[Request], Answer]:
    """A Prometheus that has these rules, and series of everything."""
    evaluated = {"type": "alerting", "health": "ok", "lastEvaluation": now()}
    rules = [{"name": f"R{number}", "query": text, **evaluated} for number, text in enumerate(expressions)]
    group = {"name": "asking", "interval": 2, "rules": rules, **({} if taken is None else {"evaluationTime": taken})}

    def answer(request: Request) -> Answer:
        if request.path.startswith("/api/v1/rules"):
            return Answer(200, {"status": "success", "data": {"groups": [group]}})
        if refuses:
            return Answer(400, {"status": "error", "errorType": "bad_data", "error": refuses})
        series = [{"metric": {"golive": str(number)}, "value": [1, "1"]} for number in range(20)]
        return Answer(200, {"status": "success", "data": {"resultType": "vector", "result": series}})

    return answer


@pytest.mark.parametrize(
    ("expression", "refuses", "said"),
    [
        ("", "", "of R0 of asking it is not known: its expression is not told"),
        ("sum(x ; y)", "", "of R0 of asking it is not known: ' ; y)' cannot be read"),
        ("x > 1", "parse error", "of R0 of asking it is not known: Prometheus does not evaluate it: parse error"),
    ],
)
def test_a_rule_that_cannot_be_read_is_unknown_with_a_way_out(
    http_server: HttpServer, expression: str, refuses: str, said: str
) -> None:
    http_server.route("*", served_rules(expression, refuses=refuses))
    found = finding(url=http_server.url, rules_alive=True)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert "Name the series of these rules in fresh" in found["remedy"]


def test_a_selector_that_is_refused_hides_no_other(http_server: HttpServer) -> None:
    served = served_rules("x > 1", "bad > 1", "y > 1")

    def answer(request: Request) -> Answer:
        if "bad" in request.path:
            return Answer(422, {"status": "error", "errorType": "execution", "error": "too many samples"})
        return served(request)

    http_server.route("*", answer)
    found = finding(url=http_server.url, rules_alive=True)
    assert found["status"] == "unknown"
    assert (
        "Rules alive: 2 of 3 alive: of R1 of asking it is not known: Prometheus does not evaluate it"
        in found["summary"]
    )


def test_rules_that_take_longer_than_their_interval_are_a_warning(http_server: HttpServer) -> None:
    http_server.route("*", served_rules("x > 1", taken=2.5))
    found = finding(url=http_server.url, rules_healthy=True)
    assert (found["status"], "miss evaluations: asking takes 2.5 s of 2 s" in found["summary"]) == ("warn", True)
    http_server.route("*", served_rules("x > 1", taken=None))
    assert finding(url=http_server.url, rules_healthy=True)["status"] == "pass", "not every server tells it"


def test_many_selectors_are_counted_with_few_queries_and_once_for_all_items(http_server: HttpServer) -> None:
    http_server.route("*", served_rules(*(f"metric_{number % 41} > {number}" for number in range(100))))
    shared = Shared()
    for _item in range(2):
        assert finding(url=http_server.url, shared=shared, rules_alive=True)["status"] == "pass"
    assert len(http_server.requests) == 4, "the rules, and 41 selectors in three queries"


# ── alerts ──


def firing(prometheus: Prometheus) -> list[str]:
    alerts = prometheus.api("alerts")["alerts"]
    return sorted(alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing")


def test_an_alert_without_a_baseline_is_an_alert(prometheus: Prometheus) -> None:
    found = finding(url=prometheus.url, alerts={})
    assert (found["status"], "1 alert: Watchdog (severity=none) is firing since" in found["summary"]) == ("fail", True)
    assert finding(url=prometheus.url, alerts={"ignored_severities": ["none"]})["status"] == "pass"


@serves("S1.49", case="pass")
def test_no_alert_beyond_the_baseline_of_before_the_deploy_passes(
    prometheus: Prometheus, alertmanager: Alertmanager, application: Application
) -> None:
    await_true(lambda: firing(prometheus) == ["Watchdog"], seconds=PATIENT, what="the alert that always fires")
    found = finding(
        url=prometheus.url,
        alerts={
            "ignored": ["Watchdog"],
            "ignored_severities": ["info"],
            "baseline_at": now(),
            "states": ["firing", "pending"],
        },
        alertmanager={"url": alertmanager.url},
        min_alertmanagers=1,
    )
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["alerts"] == "0 new, 0 from before"
    assert found["measured"]["silences"] == "none"
    assert [alert["labels"]["alertname"] for alert in found["evidence"]["alerts"]] == ["Watchdog"]


@serves("S1.49", case="fail")
def test_an_alert_that_is_new_since_the_deploy_fails_and_one_from_before_does_not(
    prometheus: Prometheus, alertmanager: Alertmanager, application: Application
) -> None:
    params = {"url": prometheus.url, "alertmanager": {"url": alertmanager.url}}
    before = now()
    # The baseline is what fired then, so the deploy begins after it.
    await_true(lambda: now() > before, seconds=PATIENT, what="a later moment")
    application.tells(500)
    try:
        expected = ["QueueGrows", "QueueGrows", "Slow", "Slow", "Watchdog"]
        await_true(lambda: firing(prometheus) == expected, seconds=PATIENT, what="the alert of both instances")
        found = finding(
            **params, alerts={"ignored": ["Watchdog"], "ignored_severities": ["info"], "baseline_at": before}
        )
        assert found["status"] == "fail"
        assert (
            f"2 alerts beyond those of {before}: QueueGrows (instance={min(application.instances)}" in found["summary"]
        )
        assert "severity=critical) is firing since 20" in found["summary"]
        assert "Slow" not in found["summary"]
        assert {alert["labels"]["alertname"] for alert in found["evidence"]["alerts"]} >= {
            "QueueGrows",
            "Slow",
            "Waiting",
        }
        pending = finding(
            **params, alerts={"ignored": ["QueueGrows", "Watchdog", "Slow"], "states": ["firing", "pending"]}
        )
        assert "Waiting (instance" in pending["summary"]
        assert "is pending since" in pending["summary"]
        assert finding(**params, alerts={"ignored": ["QueueGrows", "Watchdog", "Slow"]})["status"] == "pass"

        def is_old() -> bool:
            return finding(**params, alerts={"baseline_at": now(), "states": ["firing", "pending"]})["status"] == "pass"

        await_true(is_old, seconds=PATIENT, what="a later baseline")
        alertmanager.silence("QueueGrows")

        def is_silenced() -> bool:
            told = finding(**params, alerts={"ignored": ["Watchdog", "Slow"], "baseline_at": before})
            return (
                told["status"] == "fail"
                and "Z, silenced" in told["summary"]
                and "QueueGrows" in told["measured"]["silences"]
            )

        await_true(is_silenced, seconds=PATIENT, what="the silence")
    finally:
        application.tells(5)
        await_true(lambda: firing(prometheus) == ["Watchdog"], seconds=PATIENT, what="the end of the alert")


def test_without_alertmanager_the_silences_are_unknown_and_too_few_fail(
    prometheus: Prometheus, broken: Prometheus, refused_port: int
) -> None:
    alerts = {"ignored": ["Watchdog"]}
    found = finding(url=prometheus.url, alerts=alerts, alertmanager={"url": f"http://{HOST}:{refused_port}"})
    assert (found["status"], "Which alerts are silenced is not known" in found["summary"]) == ("unknown", True)
    found = finding(url=prometheus.url, alerts=alerts, alertmanager={"url": prometheus.url})
    assert (found["status"], "404" in found["summary"]) == ("unknown", True), found["summary"]
    found = finding(url=broken.url, min_alertmanagers=1)
    assert (found["status"], found["summary"]) == ("fail", "Alertmanagers is 0, expected at least 1.")


# ── configuration ──


def test_what_is_loaded_and_kept_passes(prometheus: Prometheus) -> None:
    found = finding(
        url=prometheus.url, config_loaded=True, config_loaded_since="2020-01-01T00:00:00Z", min_retention="15d"
    )
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["retention"] == found["evidence"]["configuration"]["retention"] == "15d or 1GiB"


def test_a_reload_that_failed_or_never_came_and_a_short_retention_fail(broken: Prometheus) -> None:
    found = finding(url=broken.url, min_retention="15d")
    assert (found["status"], found["summary"]) == ("fail", "Retention is 2d or 1GiB, expected at least 15d.")
    deployed = now()
    found = finding(url=broken.url, config_loaded_since=deployed)
    assert (found["status"], f"expected not before {deployed}" in found["summary"]) == ("fail", True), found["summary"]
    assert finding(url=broken.url, config_loaded=True)["status"] == "pass"
    try:
        broken.configure({"scrape_configs": "none"})
        assert not broken.reload()
        found = finding(url=broken.url, config_loaded=True)
        assert (found["status"], "configuration is failed, expected succeeded" in found["summary"]) == ("fail", True)
    finally:
        broken.configure(broken.configuration)
        # It tells the second in which it was loaded.
        await_true(lambda: now()[:19] > deployed[:19], seconds=PATIENT, what="the next second")
        assert broken.reload()
    assert finding(url=broken.url, config_loaded=True, config_loaded_since=deployed)["status"] == "pass"


def test_a_retention_by_size_alone_is_unknown() -> None:
    need_part("prometheus", shutil.which("prometheus"))
    with Prometheus(jobs={}, rules={}, flags=["--storage.tsdb.retention.size=1GB"]) as server:
        found = finding(url=server.url, min_retention="15d")
    assert (found["status"], "etention is 1GiB, which is no span of time" in found["summary"]) == ("unknown", True)


# ── queries ──


@pytest.mark.parametrize(
    ("query", "bounds", "status", "said"),
    [
        ("sum(up)", {"at_least": 2}, "pass", ""),
        ("sum(up)", {"at_least": 3}, "fail", "Query q (at least) is 2, expected at least 3"),
        ("up", {"at_least": 1, "at_most": 1, "min_series": 2}, "pass", ""),
        ("up", {"at_least": 1, "min_series": 3}, "fail", "Query q (series) is 2, expected at least 3"),
        ("up", {"at_most": 0}, "fail", "the max of 2 series: instance="),
        ("scalar(sum(up))", {"at_most": 1}, "fail", "Query q (at most) is 2"),
        ("no_such_series", {"at_most": 0}, "unknown", "Query q has no data"),
        ("sum(errors_total) / sum(requests_total)", {"at_most": 0.01}, "pass", ""),
        ("sum(errors_total) / sum(errors_total)", {"at_most": 0.01}, "unknown", "Query q is not a number"),
        ("sum(requests_total) / sum(errors_total)", {"at_least": 1}, "unknown", "Query q is not a number"),
        ("errors_total / errors_total", {"at_most": 1}, "unknown", "Query q is not a number for instance="),
        ("sum(up", {"at_most": 0}, "unknown", "Query q is not known: Prometheus does not evaluate it"),
        ("up * on() group_left() up", {"at_most": 0}, "unknown", "Prometheus does not evaluate it"),
        ("up[1m]", {"at_most": 0}, "unknown", "it gives a matrix"),
        ('count(up{job="or vector(0)"} or up)', {"at_least": 2}, "pass", ""),
    ],
)
def test_a_query_must_have_data(
    prometheus: Prometheus, query: str, bounds: dict[str, t.Any], status: str, said: str
) -> None:
    found = finding(url=prometheus.url, queries=[{"name": "q", "query": query, **bounds}])
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


def test_a_query_that_cannot_be_evaluated_hides_no_other(prometheus: Prometheus) -> None:
    queries = [{"name": "a", "query": "sum(", "at_most": 0}, {"name": "b", "query": "sum(up)", "at_most": 0}]
    found = finding(url=prometheus.url, queries=queries)
    assert (found["status"], "Query b (at most) is 2" in found["summary"]) == ("fail", True)


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(errors_total[5m])) or vector(0)",
        "sum(x) OR  vector ( 0 )",
        "sum(x) or on() vector(0)",
        "sum(x) or (vector(0))",
        "(sum(x)\nor # no data\nvector(0)) / y",
        "vector(0) or sum(rate(errors_total[5m]))",
        'sum(rate(e[5m])) or label_replace(vector(0),"a","b","","")',
        "sum(x) or sum(vector(0))",
        "sum(x) or (0 * vector(1))",
        'sum(x{path="a # b"}) or vector(0) # in quotes it is no comment',
        "count(ALERTS) or vector(0)",
        "sum(x) or sum(up) * 0",
        "0 * sum(up) or sum(x)",
        "sum(x) or (vector(0) and on() up)",
    ],
)
def test_a_number_made_of_no_data_is_refused(prometheus: Prometheus, query: str) -> None:
    found = finding(url=prometheus.url, queries=[{"name": "q", "query": query, "at_most": 1}])
    assert (found["status"], "makes a number of no data" in found["summary"]) == ("unknown", True), found["summary"]


@pytest.mark.parametrize("query", ["sum(up) * 0", "0 * up", "vector(0) and on() up", "sum(0 * up) <= 0", "vector(1)"])
def test_a_value_that_no_data_can_change_is_refused(prometheus: Prometheus, query: str) -> None:
    found = finding(url=prometheus.url, queries=[{"name": "q", "query": query, "at_most": 1}])
    assert (found["status"], "has the same value whatever the data" in found["summary"]) == ("unknown", True), found


def test_an_answer_to_what_cannot_be_read_is_not_trusted(http_server: HttpServer) -> None:
    # A server may know more of the language than is read here.
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0"]}]}
    http_server.route("/api/v1/query", Answer(200, {"status": "success", "data": data}))
    queries = [{"name": "q", "query": "sum(x) or ?vector(0)", "at_most": 0}]
    found = finding(url=http_server.url, queries=queries)
    assert found["status"] == "unknown", found
    assert "whether its 'or' makes a number of no data cannot be told: ' ?vector(0)' cannot be read" in found["summary"]


def test_a_series_that_nobody_writes_any_more_is_stale(prometheus: Prometheus, application: Application) -> None:
    fresh = [{"series": 'queue_length{job="backend"}', "max_age": "15s"}]
    assert finding(url=prometheus.url, fresh=fresh)["status"] == "pass"
    looked_back = 'max_over_time(timestamp(queue_length{job="backend"})[1h:15s])'
    kept = [{"name": "kept", "query": looked_back, "at_least": 1}]
    # A look back goes by steps of 15 s: the series has to have lived through one of them.
    await_true(
        lambda: finding(url=prometheus.url, queries=kept)["status"] == "pass",
        seconds=PATIENT,
        what="a step",
        interval=0.5,
    )
    application.tells(None)
    try:

        def is_stale() -> bool:
            found = finding(url=prometheus.url, fresh=fresh)
            return found["status"] == "fail" and "expected at most 15s" in found["summary"]

        # Its series ended, so an ordinary query has no data; an hour's look back may have to wait for its next step.
        await_true(is_stale, seconds=130.0, what="a stale series", interval=0.5)
        query = {"name": "q", "query": "queue_length", "at_least": 0}
        assert finding(url=prometheus.url, queries=[query])["status"] == "unknown"
    finally:
        application.tells(5)
    found = finding(url=prometheus.url, fresh=[{"series": "no_such_series"}])
    assert (found["status"], "no sample of the last hour" in found["summary"]) == ("unknown", True)


# ── servers that are not well ──


def test_no_server_and_a_hanging_one_are_unknown(refused_port: int, hanging_server: HangingServer) -> None:
    found = finding(url=f"http://{HOST}:{refused_port}", all_up=True, config_loaded=True)
    assert (found["status"], found["summary"]) == (
        "unknown",
        f"Nothing listens on {HOST}:{refused_port}: connection refused.",
    )
    found = finding(url=f"http://{HOST}:{hanging_server.port}", all_up=True, config_loaded=True, timeout=0.5)
    assert (found["status"], "did not answer GET /api/v1/targets within 0.5 s" in found["summary"]) == ("unknown", True)


def test_a_real_server_that_stands_still_is_unknown(broken: Prometheus) -> None:
    broken.suspend()
    try:
        stopped = Path(f"/proc/{broken.pid}/stat")
        await_true(lambda: ") T " in stopped.read_text(), seconds=PATIENT, what="the server's standstill")
        found = finding(url=broken.url, all_up=True, timeout=1.0)
    finally:
        broken.resume()
    assert (found["status"], "within 1 s" in found["summary"]) == ("unknown", True), found["summary"]


def test_two_items_of_different_limits_on_a_slow_one_each_get_their_own_answer(http_server: HttpServer) -> None:
    answer = {"status": "success", "data": {"activeAlertmanagers": [{"url": "x"}]}}
    http_server.route("/api/v1/alertmanagers", Answer(200, answer, delay=1.5))
    shared = Shared()
    params = {"url": http_server.url, "min_alertmanagers": 1, "shared": shared}
    short, long = finding(**params, timeout=0.5), finding(**params, timeout=20.0)
    assert (short["status"], "0.5 s" in short["summary"], long["status"]) == ("unknown", True, "pass")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(503, "Service Unavailable"), "answered with status 503: it is not ready"),
        (Answer(404, "404 page not found\n"), "answered with status 404"),
        (
            Answer(200, "<html>Log in</html>", {"Content-Type": "text/html; charset=utf-8"}),
            "an HTML page in place of JSON",
        ),
        (Answer(200, "up 1\n"), "answered with text/plain"),
        (Answer(200, "{", {"Content-Type": "application/json"}), "that are not JSON"),
        (Answer(200, [1]), "not as Prometheus does"),
        (Answer(200, {"status": "healthy"}), "not as Prometheus does"),
        (Answer(200, {"status": "success"}), "not as its API does"),
        (Answer(200, {"status": "success", "data": {"activeTargets": [{"labels": 1}]}}), "not as its API does"),
        (Answer(503, {"status": "error", "errorType": "unavailable", "error": "starting"}), "unavailable: starting"),
        (Answer(401, "no"), "refused us with status 401"),
        (Answer(302, "", {"Location": "https://login.example.org/?token=x"}), "redirects (status 302)"),
        (Answer(200, b" " * (17 * 2**20), {"Content-Type": "application/json"}), "more than the 16 MiB"),
    ],
)
def test_a_half_dead_server_is_unknown(http_server: HttpServer, answer: Answer, said: str) -> None:
    http_server.route("/api/v1/targets", answer)
    found = finding(url=http_server.url, all_up=True)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert "raised" not in found["evidence"]
    assert "state=active" not in found["summary"]


def test_what_one_part_cannot_answer_hides_no_other(http_server: HttpServer) -> None:
    http_server.route("/api/v1/alertmanagers", Answer(200, {"status": "success", "data": {"activeAlertmanagers": []}}))
    found = finding(url=http_server.url, min_alertmanagers=1, min_retention="1d")
    assert found["status"] == "fail"
    assert "Alertmanagers is 0" in found["summary"]
    assert "status/runtimeinfo answered with status 404" in found["summary"]


def test_a_part_of_the_data_is_no_answer(http_server: HttpServer) -> None:
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0"]}]}
    partial = {"status": "success", "data": data, "warnings": ["store 10.0.0.9 did not answer"]}
    http_server.route("/api/v1/query", Answer(200, partial))
    queries = [{"name": "q", "query": "x", "at_most": 0}]
    found = finding(url=http_server.url, queries=queries)
    assert (found["status"], "the answer is not whole: store 10.0.0.9" in found["summary"]) == ("unknown", True)
    http_server.route("/api/v1/query", Answer(200, {**partial, "warnings": ["PromQL warning: a bucket"]}))
    assert finding(url=http_server.url, queries=queries)["status"] == "pass"


def test_retention_that_is_not_told_and_times_that_are_none_are_unknown(http_server: HttpServer) -> None:
    told = {"lastConfigTime": "0001-01-01T00:00:00Z", "storageRetention": ""}
    http_server.route("/api/v1/status/runtimeinfo", Answer(200, {"status": "success", "data": told}))
    found = finding(
        url=http_server.url, min_retention="1d", config_loaded=True, config_loaded_since="2020-01-01T00:00:00Z"
    )
    assert (found["status"], "fail" in found["measured"].values()) == ("unknown", False)
    told["lastConfigTime"] = "yesterday"
    found = finding(url=http_server.url, config_loaded_since="2020-01-01T00:00:00Z")
    assert (found["status"], "a time that is none" in found["summary"]) == ("unknown", True)


# ── logging in ──


def test_basic_authentication_over_tls_and_a_wrong_password_or_authority(
    application: Application, demo_ca: DemoCa, tmp_path_factory: pytest.TempPathFactory
) -> None:
    need_part("prometheus", shutil.which("prometheus"))
    files = demo_ca.issue().write(tmp_path_factory.mktemp("tls"))
    web = {
        "basic_auth_users": {"golive": HASHED},
        "tls_server_config": {"cert_file": str(files.chain), "key_file": str(files.key)},
    }
    with Prometheus(jobs={}, rules={}, web=web) as server:
        url = f"https://localhost:{server.port}"
        params = {"url": url, "config_loaded": True, "ca_file": str(files.ca)}
        found = finding(**params, username="golive", password=PASSWORD)
        assert found["status"] == "pass", found["summary"]
        for login in ({}, {"username": "golive", "password": "wrong-password"}):
            found = finding(**params, **login)
            assert (found["status"], "refused us with status 401" in found["summary"]) == ("unknown", True)
        found = finding(url=url, config_loaded=True, username="golive", password=PASSWORD)
        assert (found["status"], "certificate" in found["summary"].lower()) == ("unknown", True), found["summary"]
        assert accepts(server.port)


def test_secrets_are_sent_where_they_belong_and_never_told(http_server: HttpServer, run_module: ModuleRun) -> None:
    http_server.route("/api/v1/alerts", Answer(200, {"status": "success", "data": {"alerts": []}}))
    error = {"status": "error", "errorType": "bad_data", "error": f"no {TOKEN} here, {PASSWORD}"}
    http_server.route("/api/v1/query", Answer(400, error))
    http_server.route("/api/v1/rules", Answer(200, {"status": "success", "data": {"groups": []}}))
    with HttpServer({"/api/v2/alerts": Answer(200, [])}) as other:
        args = {
            "url": http_server.url,
            "bearer": TOKEN,
            "secret_headers": {"X-Scope": PASSWORD},
            "alerts": {},
            "alertmanager": {"url": other.url, "username": "golive", "password": PASSWORD},
            "queries": [{"name": "q", "query": "x", "at_most": 1}],
        }
        answer = run_module("check_prometheus", args, secrets=[TOKEN, PASSWORD])
        assert answer["finding"]["status"] == "fail"
        assert TOKEN not in str(other.requests)
        assert other.requests[0].headers["Authorization"].startswith("Basic ")
    assert {request.headers["Authorization"] for request in http_server.requests} == {f"Bearer {TOKEN}"}
    assert {request.headers["X-Scope"] for request in http_server.requests} == {PASSWORD}
    assert {request.method for request in http_server.requests} == {"GET"}


def test_a_server_behind_a_path_is_asked_there_and_once_for_many_items(http_server: HttpServer) -> None:
    http_server.route(
        "/prometheus/api/v1/alertmanagers", Answer(200, {"status": "success", "data": {"activeAlertmanagers": []}})
    )
    shared = Shared()
    for _turn in range(5):
        assert finding(url=f"{http_server.url}/prometheus/", min_alertmanagers=1, shared=shared)["status"] == "fail"
    assert len(http_server.requests) == 1
    assert (
        finding(url=f"{http_server.url}/prometheus/", min_alertmanagers=1, shared=shared, bearer="a")["status"]
        == "fail"
    )
    assert len(http_server.requests) == 2


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"jobs": []}, "jobs is empty"),
        ({"rules": []}, "rules is empty"),
        ({"queries": []}, "queries is empty"),
        ({"all_up": False}, "nothing would be judged"),
        ({"rules_alive": False}, "nothing would be judged"),
        ({"jobs": [{"name": "a", "min_up": 0}]}, "demands no target"),
        ({"jobs": [{"name": "a", "instances": []}]}, "demands no target"),
        ({"alerts": {"states": []}}, "alerts.states is empty"),
        ({"alerts": {"baseline_at": "yesterday"}}, "alerts.baseline_at is 'yesterday'"),
        ({"config_loaded_since": "now"}, "config_loaded_since is 'now'"),
        ({"min_retention": "15 days"}, "not a span"),
        ({"all_up": True, "max_scrape_age": "x"}, "not a span"),
        ({"queries": [{"name": "q", "query": "x", "at_most": 1, "min_series": 0}]}, "demands no series"),
        ({"fresh": [{"series": "rate(x[5m])"}]}, "is not the name of a series"),
        ({"fresh": [{"series": "x", "max_age": "soon"}]}, "not a span"),
        ({"url": "http://u:p@127.0.0.1", "all_up": True}, "holds a user name or password"),
        ({"url": "http://127.0.0.1/?a=b", "all_up": True}, "address alone"),
        ({"all_up": True, "secret_headers": {"a b": "c"}}, "not the name of a header"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: dict[str, t.Any], said: str) -> None:
    found = finding(**{"url": "http://127.0.0.1:1", **params})
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_the_examples_run_and_tell_good_from_bad(application: Application, run_module: ModuleRun) -> None:
    need_part("prometheus", shutil.which("prometheus"))
    one = {"static_configs": [{"targets": application.instances[:1], "labels": {"instance": "app1"}}]}
    two = {"static_configs": [{"targets": application.instances}]}
    renamed = [
        {
            "source_labels": ["__name__"],
            "regex": "(requests|errors)_total",
            "target_label": "__name__",
            "replacement": "http_${1}_total",
        }
    ]
    jobs = {"backend": {**one, "metric_relabel_configs": renamed}, "worker": two}
    with Prometheus(
        jobs=jobs, rules={"archive": [WATCHDOG, RATIO]}, flags=["--storage.tsdb.retention.time=30d"]
    ) as server:
        scraped(server, 3)
        replaced = {
            "https://prometheus.example.org": server.url,
            "{{ vault_prometheus_token }}": TOKEN,
            "2026-11-22T05:00:00Z": now(),
        }
        examples = examples_of("check_prometheus", replaced).values()

        def statuses(url: str) -> list[str]:
            return [
                run_module("check_prometheus", {**args, "url": url, "enforce": False})["finding"]["status"]
                for args in examples
            ]

        assert statuses(server.url) == ["pass", "pass", "pass"]
        empty: dict[str, t.Any] = {
            "activeTargets": [],
            "groups": [],
            "alerts": [],
            "resultType": "scalar",
            "result": [1, "0.5"],
        }
        loaded = {"lastConfigTime": "2026-01-01T00:00:00Z", "reloadConfigSuccess": False, "storageRetention": "1d"}
        with HttpServer({"*": Answer(200, {"status": "success", "data": {**empty, **loaded}})}) as bad:
            assert statuses(bad.url) == ["fail", "fail", "fail"]
