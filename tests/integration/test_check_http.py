# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_http against real servers: what is right passes, what is wrong fails, and what does not answer is unknown."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import secrets
import typing as t
from urllib.parse import quote, urlsplit

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_http, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import secrets_in, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.servers import Answer, DemoCa, DnsServer, HangingServer, HttpServer, Request

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ModuleRun

SECRET = "tok-5b1c7e9f2a4d8c60"
serves = pytest.mark.serves


def finding(
    *, seconds: float = 5.0, check_mode: bool = False, shared: Shared | None = None, **params: t.Any
) -> dict[str, t.Any]:
    checked = validated(check_http.ARGUMENT_SPEC, params, where="check_http", **check_http.CONSTRAINTS)
    scrub = Scrubber(secrets_in(check_http.ARGUMENT_SPEC, params))
    run = Run(timeout_seconds=seconds, scrubber=scrub, shared=shared, check_mode=check_mode)
    found = judged(registry.load("check_http"), checked, run)
    assert SECRET not in json.dumps(found)
    return found


def test_a_healthy_service_passes(http_server: HttpServer) -> None:
    http_server.route("/health", Answer(200, {"status": "gesund", "version": "2.0.0"}))
    found = finding(
        url=f"{http_server.url}/health",
        json=[{"path": "$.status", "equals": "gesund"}, {"path": "version", "matches": r"^2\."}],
        max_ms=4000,
    )
    assert found["status"] == "pass", found
    assert found["evidence"]["requests"][0]["status"] == 200
    assert found["evidence"]["measured_from"]


def test_a_file_of_authorities_that_cannot_be_read_to_its_end_is_unknown_in_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    found = finding(seconds=0.3, url="https://archive.example/", ca_file=str(tmp_path / "ca.pem"))
    assert found["status"] == "unknown" and "No answer within 0.3 s" in found["summary"]
    # What the daemon thread waits for, so that it ends.
    os.close(os.open(tmp_path / "ca.pem", os.O_WRONLY))


def test_an_unexpected_status_fails_and_names_both(http_server: HttpServer) -> None:
    http_server.route("/health", Answer(500))
    found = finding(url=f"{http_server.url}/health")
    assert found["status"] == "fail"
    assert "/health status is 500, expected 200" in found["summary"]


def test_a_redirect_that_nobody_expected_says_where_it_goes(http_server: HttpServer) -> None:
    http_server.route("/", Answer(302, headers={"Location": "/login?next=/"}))
    found = finding(url=http_server.url)
    assert "is 302 (a redirect to" in found["summary"] and "/login)" in found["summary"]
    assert "follow: true" in found["remedy"]


STATES = {"paths": ["$.status"], "pass": ["gesund"], "warn": ["beeintraechtigt"], "fail": ["kritisch"]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"status": "gesund"}, "pass"),
        ({"status": "beeintraechtigt"}, "warn"),
        ({"status": "kritisch"}, "fail"),
        ({"status": "healthy"}, "unknown"),
        ({"status": None}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_body_decides_where_a_service_answers_200_whatever_its_state(
    http_server: HttpServer, body: dict[str, t.Any], status: str
) -> None:
    http_server.route("/", Answer(200, body))
    assert finding(url=http_server.url, states=STATES)["status"] == status


def test_the_worst_component_decides(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, {"components": {"db": {"state": "ok"}, "cache": {"state": "down"}}}))
    found = finding(url=http_server.url, states={"path": "$.components[*].state", "pass": ["ok"], "fail": ["down"]})
    assert found["status"] == "fail"
    assert "$.components[*].state (2 of 2) is down" in found["summary"]


@pytest.mark.parametrize(
    ("expectation", "status"),
    [
        ({"path": "n", "equals": 3}, "pass"),
        ({"path": "n", "equals": "3"}, "pass"),
        ({"path": "n", "equals": 4}, "fail"),
        ({"path": "b", "equals": True}, "pass"),
        ({"path": "b", "equals": 1}, "fail"),
        ({"path": "s", "equals": "x"}, "pass"),
        ({"path": "n", "equals": "x"}, "fail"),
        ({"path": "z", "equals": "null"}, "pass"),
        ({"path": "z", "equals": "x"}, "fail"),
        ({"path": "s", "one_of": ["y", "x"]}, "pass"),
        ({"path": "s", "one_of": ["y", "z"]}, "fail"),
        ({"path": "s", "one_of": ["y", "z"], "level": "warn"}, "warn"),
        ({"path": "s", "matches": "^x$"}, "pass"),
        ({"path": "n", "matches": "^3$"}, "pass"),
        ({"path": "s", "matches": "y"}, "fail"),
        ({"path": "n", "at_least": 3, "at_most": 3}, "pass"),
        ({"path": "n", "at_least": 4}, "fail"),
        ({"path": "n", "at_most": 2}, "fail"),
        ({"path": "s", "at_most": 2}, "fail"),
        ({"path": "b", "at_least": 0}, "fail"),
        ({"path": "l[*]", "at_least": 1}, "pass"),
        ({"path": "l[*]", "at_least": 2}, "fail"),
        ({"path": "l", "count_at_least": 2}, "pass"),
        ({"path": "l[*]", "count_at_least": 3}, "fail"),
        ({"path": "n", "exists": True}, "pass"),
        ({"path": "none", "exists": True}, "fail"),
        ({"path": "none", "exists": False}, "pass"),
        ({"path": "none", "equals": 1}, "fail"),
    ],
)
def test_json_expectations(http_server: HttpServer, expectation: dict[str, t.Any], status: str) -> None:
    http_server.route("/", Answer(200, {"n": 3, "b": True, "s": "x", "l": [1, 2], "z": None}))
    found = finding(url=http_server.url, json=[expectation])
    assert found["status"] == status, found


def ago(**spent: float) -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc) - dt.timedelta(**spent)


@pytest.mark.parametrize(
    ("written", "status", "said"),
    [
        (lambda: ago(seconds=2).isoformat(), "pass", ""),
        (lambda: ago(seconds=2).isoformat().replace("+00:00", "123Z"), "pass", ""),  # nanoseconds
        (lambda: ago(seconds=2).astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat(), "pass", ""),
        (lambda: ago(seconds=2).replace(tzinfo=None).isoformat(" "), "pass", ""),
        (lambda: ago(seconds=2).timestamp(), "pass", ""),
        (lambda: round(ago(seconds=2).timestamp() * 1000), "pass", ""),
        (lambda: str(round(ago(seconds=2).timestamp())), "pass", ""),
        (lambda: ago(seconds=-1).isoformat(), "pass", ""),  # clocks differ a little
        (lambda: ago(minutes=30).isoformat(), "fail", "$.at (age) is 30.0 min (2"),
        (lambda: round(ago(minutes=30).timestamp() * 1000), "fail", "expected at most 5m"),
        (lambda: 3, "fail", "(1970-01-01T00:00:03.000Z), expected at most 5m"),
        (lambda: ago(hours=-1).isoformat(), "unknown", "60.0 min ahead of this host's clock"),
        (lambda: "yesterday", "fail", "$.at (age) is yesterday, expected a moment in ISO 8601 or since 1970"),
        (lambda: "2026-13-01T00:00:00Z", "fail", "expected a moment"),
        (lambda: True, "fail", "expected a moment"),
        (lambda: [1], "fail", "expected a moment"),
        (lambda: None, "fail", "is null, expected a moment"),
        (lambda: 10**400, "fail", "expected a moment"),
        (lambda: "1e999", "fail", "expected a moment"),
        (lambda: "0001-01-01T00:00:00+14:00", "fail", "expected a moment"),
    ],
)
def test_the_age_of_a_moment_in_the_body(
    http_server: HttpServer, written: t.Callable[[], t.Any], status: str, said: str
) -> None:
    http_server.route("/", lambda _request: Answer(200, {"at": written()}))
    found = finding(url=http_server.url, json=[{"path": "$.at", "max_age": "5m"}])
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


def test_no_moment_in_the_body_fails_and_a_span_that_is_none_is_refused(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, {}))
    found = finding(url=http_server.url, json=[{"path": "$.at", "max_age": "5s"}])
    assert found["status"] == "fail" and "$.at is absent" in found["summary"], found["summary"]
    found = finding(url=http_server.url, json=[{"path": "$.at", "max_age": "5"}])
    assert "max_age is '5', which is not a span of time" in found["summary"]


def test_an_answer_that_two_items_share_is_as_old_for_both_as_when_it_came(http_server: HttpServer) -> None:
    made = ago(seconds=0)
    http_server.route("/", lambda _request: Answer(200, {"at": made.isoformat()}))
    shared = Shared()
    expected = {"url": http_server.url, "json": [{"path": "$.at", "max_age": "1m"}]}
    first, second = (finding(shared=shared, **expected) for _turn in range(2))
    assert first["measured"] == second["measured"] and first["status"] == "pass"
    assert len(http_server.requests) == 1


def test_an_answer_that_is_not_json_fails_without_being_quoted(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, f"<html>{SECRET}</html>"))
    found = finding(url=http_server.url, states=STATES)
    assert found["status"] == "fail"
    assert "not JSON" in found["summary"]


@pytest.mark.parametrize(
    ("expectation", "status"),
    [
        ({"name": "x-frame-options", "equals": "DENY"}, "pass"),
        ({"name": "X-Frame-Options", "equals": "SAMEORIGIN"}, "fail"),
        ({"name": "X-Frame-Options", "matches": "^D"}, "pass"),
        ({"name": "Strict-Transport-Security", "matches": "max-age"}, "fail"),
        ({"name": "Strict-Transport-Security", "equals": "x", "level": "warn"}, "warn"),
        ({"name": "Server-Secret", "exists": False}, "pass"),
        ({"name": "X-Frame-Options", "exists": False}, "fail"),
        ({"name": "X-Frame-Options", "exists": True}, "pass"),
    ],
)
def test_header_expectations(http_server: HttpServer, expectation: dict[str, t.Any], status: str) -> None:
    http_server.route("/", Answer(200, headers={"X-Frame-Options": "DENY"}))
    assert finding(url=http_server.url, response_headers=[expectation])["status"] == status


def test_texts_that_must_and_must_not_be_there(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, "Willkommen"))
    assert finding(url=http_server.url, contains=["Will"], contains_not=["Traceback"])["status"] == "pass"
    assert finding(url=http_server.url, contains=["Abschied"])["status"] == "fail"
    assert finding(url=http_server.url, contains_not=["kommen"])["status"] == "fail"
    assert finding(url=http_server.url, max_bytes=3)["status"] == "fail"


def test_a_text_beyond_what_is_read_is_unknown(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, "x" * (1024 * 1024 + 10)))
    assert finding(url=http_server.url, contains=["y"])["status"] == "unknown"
    assert finding(url=http_server.url, contains_not=["y"])["status"] == "unknown"
    assert finding(url=http_server.url, contains_not=["x"])["status"] == "fail"


@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("{0}/new/page?x=1", "pass"),
        ("/new", "pass"),
        ("{0}/old", "fail"),
        ("http://elsewhere.example/new", "fail"),
        ("ftp://x/", "fail"),
    ],
)
def test_where_a_redirect_leads(http_server: HttpServer, location: str, status: str) -> None:
    http_server.route("/", Answer(308, headers={"Location": location.format(http_server.url)}))
    assert finding(url=http_server.url, redirects_to=f"{http_server.url}/new")["status"] == status


def test_no_redirect_where_one_is_expected_fails(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200))
    found = finding(url=http_server.url, redirects_to="https://archive.example.org/")
    assert found["status"] == "fail"
    assert "nowhere" in found["summary"]


def test_a_followed_redirect_is_judged_where_it_ends(http_server: HttpServer) -> None:
    http_server.routes.update({"/": Answer(301, headers={"Location": "/new"}), "/new": Answer(200)})
    found = finding(url=http_server.url, follow=True, redirects_to=f"{http_server.url}/new")
    assert found["status"] == "pass"
    assert found["evidence"]["requests"][0]["redirects"] == [[301, f"{http_server.url}/new"]]


LOGIN: dict[str, t.Any] = {
    "redirects_to": "https://github.com/login/oauth/authorize",
    "redirects_with": [
        {"name": "client_id", "equals": "Iv1.abc"},
        {"name": "redirect_uri", "equals": "https://runner.example.org/auth/callback"},
        {"name": "state", "fresh": True},
    ],
    "consecutive": 2,
}


def login_page(client_id: str = "Iv1.abc", state: str = "", more: str = "") -> t.Callable[[Request], Answer]:
    """Begins a login through OAuth; without a state it makes a new one each time."""
    back = quote("https://runner.example.org/auth/callback", safe="")

    def answer(_request: Request) -> Answer:
        query = f"client_id={client_id}&redirect_uri={back}&state={state or secrets.token_urlsafe(16)}{more}"
        return Answer(302, headers={"Location": f"https://github.com/login/oauth/authorize?{query}"})

    return answer


def test_a_login_is_handed_over_as_ours_with_a_state_of_its_own(http_server: HttpServer) -> None:
    http_server.route("/auth/login", login_page())
    found = finding(url=f"{http_server.url}/auth/login", **LOGIN)
    assert found["status"] == "pass", found["summary"]
    measured = {name.rpartition(" ")[2]: value for name, value in found["measured"].items() if "redirect's" in name}
    assert measured["client_id"] == "Iv1.abc"
    assert measured["redirect_uri"] == "https://runner.example.org/auth/callback"
    assert "github.com/login/oauth/authorize" in json.dumps(found["measured"])
    # A state belongs to a session: it is nowhere told.
    assert "state=" not in json.dumps(found)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (login_page(client_id="Iv1.other"), "redirect's client_id is Iv1.other, expected Iv1.abc"),
        (login_page(client_id=""), "redirect's client_id is absent or empty, expected Iv1.abc"),
        (login_page(state="always"), "different values of the redirect's state is 1, expected at least 2"),
        (login_page(more="&state=twice"), "redirect's state is 2 times, expected present"),
        (login_page(more="&redirect_uri=https%3A%2F%2Fevil.example"), "redirect's redirect_uri is 2 times"),
        (lambda _request: Answer(200), "redirect's state is absent or empty"),
    ],
)
def test_a_login_that_begins_in_another_way_fails(
    http_server: HttpServer, page: t.Callable[[Request], Answer], said: str
) -> None:
    http_server.route("/auth/login", page)
    found = finding(url=f"{http_server.url}/auth/login", **LOGIN)
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def cors_service(*allowed: str, star: bool = False) -> t.Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        origin = request.headers.get("Origin", "")
        headers = {}
        if star:
            headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
        elif origin in allowed:
            headers = {"Access-Control-Allow-Origin": origin}
        return Answer(200, headers=headers)

    return answer


CORS = {"origin_allowed": ["https://archive.example.org"], "origin_refused": ["https://evil.example"]}


def test_cors_lets_in_the_listed_origin_and_no_other(http_server: HttpServer) -> None:
    http_server.route("*", cors_service("https://archive.example.org"))
    found = finding(url=http_server.url, cors=CORS)
    assert found["status"] == "pass", found
    assert len(found["evidence"]["requests"][0]["cors"]) == 4


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (cors_service(), "expected https://archive.example.org"),
        (cors_service("https://archive.example.org", "https://evil.example"), "expected a refusal"),
        (cors_service(star=True), "with credentials"),
    ],
)
def test_cors_that_is_too_narrow_or_too_wide_fails(http_server: HttpServer, service: t.Any, said: str) -> None:
    http_server.route("*", service)
    found = finding(url=http_server.url, cors=CORS)
    assert found["status"] == "fail"
    assert said in found["summary"]


def test_cors_of_a_method_that_changes_something_is_only_asked_by_preflight(http_server: HttpServer) -> None:
    http_server.route("*", cors_service("https://archive.example.org"))
    found = finding(url=http_server.url, method="POST", cors=CORS)
    assert [request.method for request in http_server.requests] == ["POST", "OPTIONS", "OPTIONS"]
    assert found["status"] == "pass"


@serves("S1.53", case="pass")
def test_latency_is_judged_by_samples_after_the_warm_up(http_server: HttpServer) -> None:
    http_server.route("/", [Answer(200, delay=0.3), Answer(200, delay=0.3), Answer(200)])
    found = finding(url=http_server.url, samples=10, warmup=1, max_p95_ms=290)
    assert found["status"] == "pass", found
    latency = found["evidence"]["requests"][0]["latency"]
    assert latency["samples"] == 10
    assert latency["p50_ms"] <= latency["p95_ms"] <= latency["max_ms"]
    assert found["evidence"]["measured_from"] == os.uname().nodename
    assert len(http_server.requests) == 12


@serves("S1.53", case="fail")
def test_a_slow_service_fails_by_its_p95(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, delay=0.02))
    found = finding(url=http_server.url, max_p95_ms=10)
    assert found["status"] == "fail"
    assert "p95 of 20 samples is" in found["summary"]
    assert finding(url=http_server.url, max_ms=10)["status"] == "fail"


def test_a_sample_that_fails_is_not_a_fast_one(http_server: HttpServer) -> None:
    http_server.route("/", [Answer(200), Answer(200), Answer(503)])
    found = finding(url=http_server.url, samples=5, max_p95_ms=5000)
    assert found["status"] == "fail"
    assert "samples with the expected status is 1, expected at least 5" in found["summary"]


def test_all_of_several_answers_must_be_right(http_server: HttpServer) -> None:
    http_server.route("/", [Answer(200), Answer(502), Answer(200), Answer(502)])
    found = finding(url=http_server.url, consecutive=4)
    assert found["status"] == "fail"
    assert "(in 2 of 4 answers)" in found["summary"]
    assert found["evidence"]["requests"][0]["status"] == [200, 502, 200, 502]
    http_server.route("/", Answer(200))
    assert finding(url=http_server.url, consecutive=4)["status"] == "pass"


def test_several_requests_keep_their_own_answers(http_server: HttpServer, refused_port: int) -> None:
    http_server.routes.update({"/a": Answer(200), "/b": Answer(404)})
    found = finding(
        status=[200],
        requests=[
            {"url": f"{http_server.url}/a"},
            {"url": f"{http_server.url}/b"},
            {"url": f"{http_server.url}/c", "status": [404], "method": "head"},
            {"url": f"http://127.0.0.1:{refused_port}/"},
        ],
    )
    assert found["status"] == "fail"
    assert "/b status is 404" in found["summary"]
    assert "connection refused" in found["summary"]
    assert "/a" not in found["summary"]
    assert found["measured"][f"HEAD {http_server.url}/c status"] == 404


def test_no_server_is_unknown(refused_port: int) -> None:
    found = finding(url=f"http://127.0.0.1:{refused_port}/")
    assert (found["status"], "connection refused" in found["summary"]) == ("unknown", True)


def test_a_hanging_server_is_unknown_and_hides_nothing(http_server: HttpServer, hanging_server: HangingServer) -> None:
    http_server.route("/", Answer(200))
    found = finding(
        seconds=0.5, requests=[{"url": f"http://127.0.0.1:{hanging_server.port}/"}, {"url": http_server.url}]
    )
    assert found["status"] == "unknown"
    assert "did not answer GET / within 0.5 s" in found["summary"]
    assert found["measured"][f"{http_server.url} status"] == 200


def test_refused_credentials_are_unknown_and_say_so(http_server: HttpServer) -> None:
    http_server.route("/", Answer(401))
    for options in ({"bearer": SECRET}, {"secret_headers": {"X-Key": SECRET}}):
        found = finding(url=http_server.url, **options)
        assert found["status"] == "unknown"
        assert "refused our credentials with status 401" in found["summary"]
    assert finding(url=http_server.url)["status"] == "fail"
    assert finding(url=http_server.url, status=[401], bearer=SECRET)["status"] == "pass"


def test_secrets_are_sent_and_never_told(http_server: HttpServer) -> None:
    seen: list[Request] = []
    http_server.route("*", lambda request: (seen.append(request), Answer(200, {"echo": f"Bearer {SECRET}"}))[1])
    found = finding(url=http_server.url, bearer=SECRET, json=[{"path": "echo", "equals": "x"}])
    assert seen[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert found["status"] == "fail"


def test_a_header_that_cannot_be_sent_is_told_without_its_value() -> None:
    found = finding(url="http://127.0.0.1:1/", secret_headers={"X-Key": f"{SECRET}\nX: y"})
    assert found["status"] == "unknown"
    assert "X-Key" in found["summary"]


def test_a_certificate_that_clients_refuse_fails(demo_ca: DemoCa, tmp_path: Path) -> None:
    ca = str(demo_ca.issue().write(tmp_path).ca)
    with HttpServer({"/": Answer(200)}, tls=demo_ca.issue(days=-2)) as expired:
        found = finding(url=expired.url, ca_file=ca)
        assert found["status"] == "fail"
        assert "certificate has expired" in found["summary"]
        assert found["evidence"]["requests"][0]["problem"]
    with HttpServer({"/": Answer(200)}, tls=demo_ca.issue()) as good:
        assert finding(url=good.url, ca_file=ca)["status"] == "pass"
        assert finding(url=good.url)["status"] == "fail"
        assert (
            finding(url=f"https://localhost:{good.port}", ca_file=ca, connect_to=f"127.0.0.1:{good.port}")["status"]
            == "pass"
        )


class PublicUrl:
    """A variable of the settings that names a URL, the name server that knows its host, and the service that answers."""

    def __init__(self, folder: Path, service: HttpServer, names: DnsServer, ca_file: str) -> None:
        self.folder, self.service, self.names, self.ca_file = folder, service, names, ca_file

    def judged(self, variable: str, url: str, **options: t.Any) -> list[dict[str, t.Any]]:
        """The findings of the three items: as it is set, resolved, and answered."""
        env_file = self.folder / "app.env"
        env_file.write_text(f"{variable}={url}\n" if url else "")
        env_file.chmod(0o600)
        host = urlsplit(url).hostname or ""
        asked: dict[str, dict[str, t.Any]] = {
            "check_env": {"file": str(env_file), "rules": [{"name": variable, "kind": "url", **options}]},
            "check_net": {"dns": [{"name": host, "servers": [self.names.address]}]},
            "check_http": {"url": url, "ca_file": self.ca_file, "connect_to": f"127.0.0.1:{self.service.port}"},
        }
        checks = list(asked) if url else ["check_env"]
        items = [{"id": check, "check": check, "params": asked[check], "timeout": 20.0} for check in checks]
        return judge_all(items, [], timeout_seconds=60, scrub=Scrubber([]))


@pytest.fixture
def public_url(tmp_path: Path, demo_ca: DemoCa) -> t.Iterator[PublicUrl]:
    issued = demo_ca.issue(["archive.firma.de"])
    zone = "archive.firma.de. 300 IN A 203.0.113.7\n"
    with HttpServer({"/": Answer(200)}, tls=issued) as service, DnsServer(zone) as names:
        yield PublicUrl(tmp_path, service, names, str(issued.write(tmp_path).ca))


def each_variable(case: str) -> pytest.MarkDecorator:
    served = {"BASE_URL": "S0.5", "FRONTEND_URL": "S0.6"}
    params = [pytest.param(name, marks=serves(item, case=case)) for name, item in served.items()]
    return pytest.mark.parametrize("variable", params)


@each_variable("pass")
def test_a_public_url_is_set_resolves_and_answers(public_url: PublicUrl, variable: str) -> None:
    settings, name, answer = public_url.judged(variable, "https://archive.firma.de/")
    assert [one["status"] for one in (settings, name, answer)] == ["pass"] * 3, (settings, name, answer)
    assert settings["measured"][variable] == "https://archive.firma.de/"
    assert "203.0.113.7" in str(name["evidence"])
    assert answer["evidence"]["requests"][0]["status"] == 200


@each_variable("fail")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://archive.firma.de/", "has the scheme http, expected https"),
        ("https://localhost:8000/", "points to localhost"),
        ("https://10.1.2.3/", "points to 10.1.2.3"),
        ("", "is not set"),
    ],
)
def test_a_url_that_users_cannot_use_fails(public_url: PublicUrl, variable: str, url: str, said: str) -> None:
    settings = public_url.judged(variable, url)[0]
    assert (settings["status"], said in settings["summary"]) == ("fail", True), settings["summary"]


@each_variable("fail")
def test_a_url_that_resolves_to_nothing_or_answers_an_error_fails(public_url: PublicUrl, variable: str) -> None:
    public_url.service.route("/", Answer(502))
    settings, name, answer = public_url.judged(variable, "https://gone.firma.de/")
    assert (settings["status"], name["status"], answer["status"]) == ("pass", "fail", "fail"), (name, answer)
    answer = public_url.judged(variable, "https://archive.firma.de/")[2]
    assert (answer["status"], "status is 502" in answer["summary"]) == ("fail", True)


@serves("S0.6", case="pass")
def test_a_url_that_is_not_needed_says_why(public_url: PublicUrl) -> None:
    (settings,) = public_url.judged("FRONTEND_URL", "", optional="the backend serves the pages")
    assert settings["status"] == "pass"
    assert settings["measured"]["FRONTEND_URL"] == "not set (the backend serves the pages)"


def test_a_body_is_sent_as_json_or_as_it_is(http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    finding(url=http_server.url, method="POST", body={"a": 1})
    finding(url=http_server.url, method="POST", body=[1], headers={"content-type": "x/y"})
    finding(url=http_server.url, method="POST", body="a=1")
    assert [(request.body, request.headers.get("Content-Type")) for request in http_server.requests] == [
        (b'{"a": 1}', "application/json"),
        (b"[1]", None),
        (b"a=1", None),
    ]
    assert http_server.requests[1].headers["content-type"] == "x/y"


def test_what_may_change_something_is_not_sent_in_check_mode(http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    found = finding(url=http_server.url, method="POST", check_mode=True)
    assert found["status"] == "unknown"
    assert "check mode did not send it" in found["summary"]
    assert found["left_out"] is True
    assert http_server.requests == []
    assert finding(url=http_server.url, check_mode=True)["status"] == "pass"


def test_one_url_with_two_sets_of_headers_is_two_requests_in_the_finding(http_server: HttpServer) -> None:
    http_server.route("/", lambda request: Answer(200 if request.headers.get("X-Tenant") == "a" else 500))
    requests = [{"url": http_server.url + "/", "headers": {"X-Tenant": tenant}} for tenant in ("b", "a")]
    found = finding(requests=requests)
    assert found["status"] == "fail"
    assert list(found["measured"].values()) == [500, 200]
    assert "/ (1 of 2) status is 500" in found["summary"]


def test_two_expectations_on_one_header_are_both_told(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, headers={"Cache-Control": "public"}))
    wanted = [{"name": "Cache-Control", "matches": pattern} for pattern in ("no-store", "private")]
    found = finding(url=http_server.url + "/", response_headers=wanted)
    assert "a match of /no-store/" in found["summary"]
    assert "a match of /private/" in found["summary"]


def test_what_stands_behind_what_is_read_of_a_packed_body_is_not_called_absent(http_server: HttpServer) -> None:
    page = b"a" * http.MAX_BODY_BYTES + b"Traceback"
    http_server.route("/", Answer(200, gzip.compress(page), headers={"Content-Encoding": "gzip"}))
    found = finding(url=http_server.url + "/", contains_not=["Traceback"])
    assert (found["status"], "too long to be read whole" in found["summary"]) == ("unknown", True)


def test_items_of_one_call_share_a_request(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, {"a": 1, "b": 2}))
    shared = Shared()
    assert finding(url=http_server.url, shared=shared, json=[{"path": "a", "equals": 1}])["status"] == "pass"
    assert finding(url=http_server.url, shared=shared, json=[{"path": "b", "equals": 1}])["status"] == "fail"
    finding(url=http_server.url, shared=shared, bearer=SECRET)
    assert len(http_server.requests) == 2


def connections(server: HttpServer, shared: Shared, **options: t.Any) -> int:
    """How many connections three paths cost, one after the other."""
    before = len(server.requests)
    for path in ("/a", "/b", "/c"):
        assert finding(url=f"{server.url}{path}", shared=shared, **options)["status"] == "pass"
    assert len(server.requests) == before + 3, "each path is asked for"
    return len({request.client_port for request in server.requests[before:]})


def test_items_of_one_call_share_a_connection_save_where_connecting_is_judged(http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    shared = Shared()
    assert connections(http_server, shared) == 1
    assert connections(http_server, shared, max_ms=4000) == 3, "a user's time begins with connecting"
    assert connections(http_server, shared, headers={"X-Tenant": "a"}) == 1
    http_server.stop()
    http_server.start()
    assert connections(http_server, shared, headers={"X-Tenant": "b"}) == 1, "a connection that ended is made anew"
    shared.close()


def test_items_that_run_at_the_same_time_never_share_a_connection(http_server: HttpServer) -> None:
    http_server.route("*", lambda request: Answer(200, request.path, delay=0.05))
    items = [
        {
            "id": str(n),
            "check": "check_http",
            "params": {"url": f"{http_server.url}/{n}/", "contains": [f"/{n}/"]},
            "timeout": 5,
        }
        for n in range(40)
    ]
    found = judge_all(items, [], timeout_seconds=30, scrub=Scrubber(()), workers=8)
    assert {item["status"] for item in found} == {"pass"}, found
    assert len({request.client_port for request in http_server.requests}) == 8


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"requests": []}, "requests is empty"),
        ({"requests": [{"method": "GET"}]}, "number 1 has no url"),
        ({"url": "http://u:geheim@h/"}, "holds a user name or password"),
        ({"url": "http://h/", "status": []}, "status is empty"),
        ({"url": "http://h/", "contains": []}, "contains is empty"),
        ({"url": "http://h/", "consecutive": 0}, "consecutive is 0"),
        ({"url": "http://h/", "samples": 100_000}, "samples is 100000"),
        ({"url": "http://h/", "samples": 2, "method": "POST"}, "samples needs a method"),
        ({"url": "http://h/", "json": [{"path": "$..x", "exists": True}]}, "cannot be read"),
        ({"url": "http://h/", "json": [{"path": "x", "matches": "("}]}, "not a regular expression"),
        ({"url": "http://h/", "response_headers": [{"name": "x", "matches": "("}]}, "not a regular expression"),
        ({"url": "http://h/", "states": {"paths": [], "pass": ["x"]}}, "states.paths is empty"),
        ({"url": "http://h/", "states": {"paths": ["$..x"], "pass": ["x"]}}, "cannot be read"),
        ({"url": "http://h/", "redirects_to": "nowhere"}, "is not http"),
        ({"url": "http://h/", "redirects_to": "http://i/", "redirects_with": []}, "redirects_with is empty"),
        ({"url": "http://h/", "redirects_with": [{"name": "state"}]}, "redirects_with needs redirects_to"),
        (
            {"url": "http://h/", "redirects_to": "http://i/", "redirects_with": [{"name": "state", "fresh": True}]},
            "fresh needs",
        ),
        ({"url": "http://h/", "cors": {}}, "cors names no origin"),
        ({"url": "http://h/", "ca_file": "/nonexistent/ca.pem"}, "cannot be used"),
        ({"url": "http://h/", "connect_to": "nonsense"}, "is not host:port"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: dict[str, t.Any], said: str) -> None:
    found = finding(**params)
    assert found["status"] == "unknown"
    assert said in found["summary"]
    assert "geheim" not in json.dumps(found)


def test_the_module_fails_on_fail_and_returns_the_finding(http_server: HttpServer, run_module: ModuleRun) -> None:
    http_server.routes.update({"/good": Answer(200), "/bad": Answer(500, f"{SECRET}")})
    args = {"bearer": SECRET, "timeout": 10}
    good = run_module("check_http", {**args, "url": f"{http_server.url}/good"}, secrets=[SECRET])
    assert (good["changed"], good["finding"]["status"]) == (False, "pass")
    bad = run_module("check_http", {**args, "url": f"{http_server.url}/bad"}, secrets=[SECRET])
    assert bad["failed"] and bad["finding"]["status"] == "fail"
    reported = run_module("check_http", {**args, "url": f"{http_server.url}/bad", "enforce": False}, secrets=[SECRET])
    assert not reported.get("failed") and reported["finding"]["status"] == "fail"


def test_the_module_leaks_nothing_where_it_cannot_begin(run_module_here: ModuleRun) -> None:
    for args in ({"url": "nonsense"}, {"url": "http://h/", "bearer": f"{SECRET}\n\nx"}, {"bearer": SECRET}):
        answer = run_module_here("check_http", {"secret_headers": {"X": SECRET}, **args}, secrets=[SECRET])
        assert answer["failed"]


def test_the_unreachable_part_is_one_unknown_for_the_module(run_module_here: ModuleRun, refused_port: int) -> None:
    answer = run_module_here(
        "check_http", {"url": f"http://127.0.0.1:{refused_port}/", "bearer": SECRET}, secrets=[SECRET]
    )
    assert answer["failed"] and answer["finding"]["status"] == "unknown"


def test_p95_is_a_value_that_was_measured() -> None:
    assert check_http.percentile([5, 1, 3, 2, 4], 0.95) == 5
    assert check_http.percentile(list(range(1, 101)), 0.95) == 95
    assert check_http.percentile([7], 0.5) == 7
