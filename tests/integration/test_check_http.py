# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_http against real servers: what is right passes, what is wrong fails, and what does not answer is unknown."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import json
import os
import secrets
import socket
import threading
import time
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
from tests.module_examples import examples_of
from tests.servers import Answer, DemoCa, DnsServer, HangingServer, HttpServer, Request, ScriptedServer

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


def test_json_beyond_what_is_read_is_unknown(http_server: HttpServer) -> None:
    body = json.dumps({"state": "ok", "padding": "x" * 1024 * 1024})
    http_server.route("/", Answer(200, body, {"Content-Type": "application/json"}))
    found = finding(url=http_server.url, json=[{"path": "state", "equals": "ok"}])
    assert found["status"] == "unknown", found
    assert "JSON cut there is not read" in found["summary"]


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
    found = finding(url=http_server.url, samples=93, warmup=1, max_p95_ms=290)
    assert found["status"] == "pass", found
    latency = found["evidence"]["requests"][0]["latency"]
    assert (latency["samples"], latency["confidence"], latency["p95_needs_samples"]) == (93, 0.95, 59)
    assert latency["p50_ms"] <= latency["p95_ms"] <= latency["p95_at_most_ms"] <= latency["max_ms"]
    assert latency["p99_at_most_ms"] is None, "of 93 samples"
    assert found["evidence"]["measured_from"] == os.uname().nodename
    assert len(http_server.requests) == 95


@serves("S1.53", case="fail")
def test_a_slow_service_fails_by_its_p95(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, delay=0.02))
    found = finding(url=http_server.url, max_p95_ms=10, max_p50_ms=10, samples=20)
    assert found["status"] == "fail"
    assert "p95 of 20 samples is" in found["summary"] and "p50 of 20 samples is" in found["summary"]
    assert finding(url=http_server.url, max_ms=10)["status"] == "fail"


def test_too_few_samples_are_unknown_and_the_default_is_enough(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200))
    found = finding(url=http_server.url, samples=20, max_p95_ms=4000)
    assert found["status"] == "unknown"
    assert "cannot be told (needs n >= 59)" in found["summary"]
    assert "about 59 would tell" in found["remedy"]
    found = finding(url=http_server.url, max_p95_ms=4000, max_p50_ms=4000)
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["requests"][0]["latency"]["samples"] == 93
    found = finding(url=http_server.url, max_p99_ms=4000)
    assert found["status"] == "pass", found["summary"]
    assert "p99 of 473 samples" in found["summary"]


def stalling(requests: int, seconds: float) -> t.Callable[[Request], Answer]:
    """Answers at once, save that after so many requests nobody is served for a while."""
    ends: list[float] = []
    lock = threading.Lock()
    counted = itertools.count(1)

    def answer(_request: Request) -> Answer:
        with lock:
            if next(counted) == requests:
                ends.append(time.monotonic() + seconds)
        return Answer(200, delay=max(0.0, ends[0] - time.monotonic()) if ends else 0.0)

    return answer


def test_a_stall_is_one_slow_sample_or_as_many_as_a_schedule_meets(http_server: HttpServer) -> None:
    options: dict[str, t.Any] = {"url": http_server.url, "samples": 124, "max_p95_ms": 300.0}
    http_server.route("/", stalling(20, 1.0))
    hidden = finding(**options)
    assert hidden["status"] == "pass", hidden["summary"]
    http_server.route("/", stalling(20, 1.0))
    shown = finding(**options, interval_ms=10)
    assert (shown["status"], "p95 of 124 samples" in shown["summary"]) == ("fail", True), shown["summary"]
    latency = shown["evidence"]["requests"][0]["latency"]
    assert (latency["samples"], latency["interval_ms"]) == (124, 10)
    assert latency["max_ms"] >= 900 and latency["sent_late_ms"] >= 0
    http_server.route("/", Answer(200))
    assert finding(**{**options, "max_p95_ms": 4000}, interval_ms=5)["status"] == "pass"


@pytest.mark.parametrize("interval", [{}, {"interval_ms": 1}])
def test_samples_that_a_hanging_server_ends_are_unknown_and_kept(
    http_server: HttpServer, interval: dict[str, t.Any]
) -> None:
    http_server.route("/", [*[Answer(200)] * 30, Answer(200, delay=60)])
    found = finding(seconds=3.0, url=http_server.url, max_p95_ms=4000, **interval)
    assert found["status"] == "unknown"
    assert "samples are 29, expected 93: " in found["summary"]
    assert "did not answer GET / within 3 s" in found["summary"]
    assert found["evidence"]["requests"][0]["latency"]["samples"] == 29


def test_a_sample_that_fails_is_not_a_fast_one(http_server: HttpServer) -> None:
    http_server.route("/", [Answer(200), Answer(200), Answer(503)])
    found = finding(url=http_server.url, samples=5, max_p95_ms=5000)
    assert found["status"] == "fail"
    assert "samples with the expected status is 1, expected at least 5" in found["summary"]


def setting_cookies(*lines: str) -> ScriptedServer:
    """Answers each connection's request with these cookies."""
    cookies = "".join(f"Set-Cookie: {line}\r\n" for line in lines)

    def converse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{cookies}Content-Length: 0\r\n\r\n".encode())

    return ScriptedServer(converse)


def test_each_cookie_of_an_answer_is_judged_by_itself() -> None:
    session = f"session={SECRET}; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax"
    theme = 'theme="schön, dunkel"; Secure; SameSite=Strict'
    expected = [
        {"name": "session", "secure": True, "http_only": True, "same_site": ["lax", "strict"]},
        {"name": "any", "secure": True},
    ]
    with setting_cookies(session, theme) as server:
        found = finding(url=f"http://127.0.0.1:{server.port}/", cookies=expected)
    assert found["status"] == "pass", found["summary"]
    told = found["evidence"]["requests"][0]["cookies"]
    assert [(cookie["name"], cookie["http_only"], cookie["same_site"]) for cookie in told] == [
        ("session", True, "lax"),
        ("theme", False, "strict"),
    ]
    with setting_cookies(session.replace("; HttpOnly", ""), theme.replace("; Secure", "")) as server:
        found = finding(url=f"http://127.0.0.1:{server.port}/", cookies=expected)
    assert found["status"] == "fail"
    assert "cookie session HttpOnly is not set" in found["summary"]
    assert "cookie theme Secure is not set" in found["summary"]
    assert "schön" not in json.dumps(found, ensure_ascii=False)


def test_an_answer_without_cookies_is_unknown_to_a_rule_for_any(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200))
    found = finding(url=http_server.url, cookies=[{"name": "any", "secure": True}])
    assert (found["status"], "sets no cookie" in found["summary"]) == ("unknown", True)
    assert finding(url=http_server.url, cookies=[{"name": "session"}])["status"] == "fail"


def packing(body: bytes, *codings: str) -> t.Callable[[Request], Answer]:
    """Answers in a coding that was asked for, if it knows it; what is not gzip it only calls so."""

    def answer(request: Request) -> Answer:
        asked = [name.strip() for name in request.headers.get("Accept-Encoding", "").split(",")]
        coding = next((name for name in codings if name in asked), None)
        if coding is None:
            return Answer(200, body)
        return Answer(200, gzip.compress(body) if coding == "gzip" else body, headers={"Content-Encoding": coding})

    return answer


def test_an_answer_comes_compressed_and_is_judged_unpacked(http_server: HttpServer) -> None:
    body = json.dumps({"documents": ["a" * 20] * 100}).encode()
    http_server.route("/", packing(body, "gzip", "br"))
    expected = {"json": [{"path": "$.documents", "count_at_least": 100}], "contains": ["aaaa"]}
    found = finding(url=http_server.url, compression="required", **expected)
    assert found["status"] == "pass", found["summary"]
    told = found["evidence"]["requests"][0]["compression"]
    assert told == {"coding": "gzip", "sent_bytes": len(gzip.compress(body)), "plain_bytes": len(body), "also": "br"}
    assert [request.headers["Accept-Encoding"] for request in http_server.requests] == ["gzip", "br, zstd"]
    assert finding(url=http_server.url, compression="optional")["status"] == "pass"
    assert http_server.requests[-1].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (Answer(200, "x" * 5000), "fail", "compression is none, expected gzip"),
        (Answer(200, "x", headers={"Content-Encoding": "br"}), "fail", "compression is br, expected gzip"),
        (Answer(200, "plain", headers={"Content-Encoding": "gzip"}), "fail", "said its body is gzip, and it is not"),
        (Answer(200, gzip.compress(b"x" * 999)[:-9], headers={"Content-Encoding": "gzip"}), "fail", "body early"),
        (Answer(200, b""), "unknown", "the answer has no body"),
    ],
)
def test_an_answer_that_does_not_come_compressed_fails(
    http_server: HttpServer, answer: Answer, status: str, said: str
) -> None:
    http_server.route("/", answer)
    found = finding(url=http_server.url, compression="required")
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


def test_a_compressed_bomb_is_unpacked_up_to_the_bound(http_server: HttpServer) -> None:
    bomb = gzip.compress(b"[" + b" " * 50_000_000)
    http_server.route("/", Answer(200, bomb, headers={"Content-Encoding": "gzip"}))
    found = finding(url=http_server.url, compression="required", json=[{"path": "$", "exists": True}])
    assert (found["status"], "JSON cut there is not read" in found["summary"]) == ("unknown", True), found["summary"]
    assert found["evidence"]["requests"][0]["compression"]["plain_bytes"] == "more than 1048576"


def limiting(requests: int, refusal: Answer) -> t.Callable[[Request], Answer]:
    """Answers so many requests, and refuses those that follow."""
    counted = itertools.count(1)
    return lambda _request: Answer(200) if next(counted) <= requests else refusal


TOO_MANY = Answer(429, headers={"Retry-After": "60"})
LIMIT: dict[str, t.Any] = {"requests": 20, "within": "4s", "header": "Retry-After"}


def test_a_rate_limit_that_answers_passes_and_is_asked_no_further(http_server: HttpServer) -> None:
    http_server.route("/", limiting(7, TOO_MANY))
    found = finding(url=http_server.url, rate_limit=LIMIT)
    assert found["status"] == "pass", found["summary"]
    # The first of the eight was the answer that is judged.
    assert found["measured"][f"{http_server.url} rate limit"] == "429 at request 7"
    assert found["evidence"]["requests"][0]["rate_limit"]["requests"] == 7
    assert len(http_server.requests) == 8
    http_server.route("/", limiting(2, Answer(403)))
    assert (
        finding(url=http_server.url, rate_limit={**LIMIT, "header": None, "expect_status": [403]})["status"] == "pass"
    )


@pytest.mark.parametrize(
    ("refusal", "options", "status", "said"),
    [
        (Answer(200), {}, "fail", "rate limit is 200 at request 20, expected 429 within 20 requests"),
        (Answer(503), {}, "fail", "rate limit is 503 at request 7"),
        (Answer(429), {}, "fail", "rate limit header Retry-After is absent"),
        (Answer(200, delay=60), {"within": "0.5s"}, "unknown", "only 6 of 20 requests were answered in time"),
    ],
)
def test_a_rate_limit_that_does_not_answer_as_it_should(
    http_server: HttpServer, refusal: Answer, options: dict[str, t.Any], status: str, said: str
) -> None:
    http_server.route("/", limiting(7, refusal))
    found = finding(url=http_server.url, rate_limit={**LIMIT, **options})
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]
    assert len(http_server.requests) <= 21


def test_a_connection_that_is_cut_is_no_rate_limit() -> None:
    counted = itertools.count(1)

    def converse(connection: socket.socket) -> None:
        connection.recv(65536)
        if next(counted) == 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(converse) as server:
        found = finding(url=f"http://127.0.0.1:{server.port}/", rate_limit=LIMIT)
    assert (found["status"], "rate limit could not be tried" in found["summary"]) == ("unknown", True), found["summary"]


def taking(most: int, *, otherwise: int = 200) -> t.Callable[[Request], Answer]:
    """Refuses bodies that are larger."""
    return lambda request: Answer(413 if len(request.body) > most else otherwise if request.body else 200)


@pytest.mark.parametrize(
    ("most", "otherwise", "status", "said"),
    [
        (1000, 200, "pass", ""),
        (1000, 401, "pass", ""),
        (1001, 200, "fail", "body of 1001 bytes status is 200, expected 413"),
        (10**9, 201, "fail", "body of 1001 bytes status is 201, expected 413"),
        (998, 200, "fail", "body of 999 bytes status is 413, expected anything but 413"),
        (1000, 502, "unknown", "body of 999 bytes status is 502, which does not tell"),
    ],
)
def test_a_body_limit_refuses_what_is_above_and_nothing_below(
    http_server: HttpServer, most: int, otherwise: int, status: str, said: str
) -> None:
    http_server.route("/", taking(most, otherwise=otherwise))
    found = finding(url=http_server.url, body_limit="1kB")
    assert (found["status"], said in found["summary"]) == (status, True), found["summary"]
    sent = [(request.method, len(request.body)) for request in http_server.requests]
    assert sent == [("GET", 0), ("POST", 1001), ("POST", 999)]
    above = 413 if most <= 1000 else otherwise
    assert found["evidence"]["requests"][0]["body_limit"]["above"] == above


def test_a_body_limit_is_tried_by_the_method_that_has_a_body(http_server: HttpServer) -> None:
    http_server.route("/", taking(1000))
    found = finding(url=http_server.url, method="PUT", headers={"content-type": "a/b"}, body_limit="1kB", bearer=SECRET)
    assert found["status"] == "pass", found["summary"]
    assert {request.method for request in http_server.requests} == {"PUT"}
    assert {request.headers["Authorization"] for request in http_server.requests} == {f"Bearer {SECRET}"}
    assert [request.headers.get("content-type") for request in http_server.requests] == ["a/b"] * 3


def test_a_body_that_nobody_takes_is_unknown() -> None:
    counted = itertools.count(1)

    def converse(connection: socket.socket) -> None:
        connection.recv(65536)
        if next(counted) == 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(converse) as server:
        found = finding(url=f"http://127.0.0.1:{server.port}/", body_limit="1kB")
    assert (found["status"], "body limit could not be tried" in found["summary"]) == ("unknown", True), found["summary"]


def test_no_limit_is_tried_in_check_mode(http_server: HttpServer) -> None:
    http_server.route("/", limiting(7, TOO_MANY))
    for option in ({"rate_limit": LIMIT}, {"body_limit": "1kB"}):
        found = finding(url=http_server.url, check_mode=True, **option)
        assert (found["status"], found["left_out"]) == ("unknown", True)
        assert "was not tried in check mode" in found["summary"]
    assert [request.method for request in http_server.requests] == ["GET", "GET"]


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


@pytest.mark.parametrize(
    "options",
    [
        {"body_limit": "1kB"},
        {"rate_limit": LIMIT},
        {"rate_limit": {**LIMIT, "header": None, "expect_status": [401]}},
        {"samples": 3},
        {"max_p50_ms": 4000.0},
    ],
)
def test_an_expired_token_leaves_what_is_asked_again_unknown(
    http_server: HttpServer, options: dict[str, t.Any]
) -> None:
    http_server.route("/", Answer(401))
    found = finding(url=http_server.url, bearer=SECRET, **options)
    assert (found["status"], list(found["expected"])) == ("unknown", [f"{http_server.url} status"]), found["summary"]
    assert "refused our credentials with status 401" in found["summary"]
    assert finding(url=http_server.url, **options)["status"] == "fail"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"body_limit": "1kB"}, "body limit cannot be told: our credentials were refused (403 above it and 403 below)"),
        (
            {"rate_limit": LIMIT},
            "rate limit cannot be told: our credentials were refused with status 403 at request 20",
        ),
    ],
)
def test_a_token_that_may_not_do_that_is_unknown(http_server: HttpServer, options: dict[str, t.Any], said: str) -> None:
    http_server.route("/", limiting(1, Answer(403)))
    found = finding(url=http_server.url, bearer=SECRET, **options)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    http_server.route("/", limiting(1, Answer(403)))
    assert finding(url=http_server.url, **options)["status"] == "fail"


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
        ({"url": "http://h/", "warmup": -1}, "warmup is -1"),
        ({"url": "http://h/", "interval_ms": 5}, "interval_ms needs samples"),
        ({"url": "http://h/", "interval_ms": 0, "samples": 2}, "interval_ms is 0"),
        ({"url": "http://h/", "cookies": []}, "cookies is empty"),
        ({"url": "http://h/", "cookies": [{"name": "any"}]}, "any names no attribute"),
        ({"url": "http://h/", "compression": "required", "headers": {"accept-encoding": "br"}}, "leave the header"),
        (
            {"url": "http://h/", "rate_limit": {**LIMIT, "requests": 501}},
            "rate_limit.requests is 501, expected 1 to 500",
        ),
        ({"url": "http://h/", "rate_limit": {**LIMIT, "within": "10"}}, "rate_limit.within is '10'"),
        ({"url": "http://h/", "rate_limit": {**LIMIT, "expect_status": []}}, "expect_status is empty"),
        ({"url": "http://h/", "body_limit": "1M"}, "body_limit is '1M', which is not a size"),
        ({"url": "http://h/", "body_limit": "1GB"}, "body_limit is 1GB, expected 2B to 100.0 MB"),
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


def test_a_schedule_that_outlasts_the_time_limit_is_refused(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200))
    found = finding(url=http_server.url, samples=100, interval_ms=100)
    assert found["status"] == "unknown"
    assert "100 samples, one each 100 ms, take 10 s, and the time limit is 5 s" in found["summary"]


def example_service(http_server: HttpServer) -> None:
    """What the examples of the documentation expect."""
    origin = {"Access-Control-Allow-Origin": http_server.url}
    documents = gzip.compress(json.dumps({"documents": ["x"]}).encode())

    def asked_for_documents(request: Request) -> Answer:
        if request.headers.get("Accept-Encoding") == "gzip":
            return Answer(200, documents, headers={"Content-Encoding": "gzip"})
        return Answer(401, headers=origin if request.headers.get("Origin") == http_server.url else {})

    http_server.routes.update(
        {
            "/api/v1/health/detailed": lambda _request: Answer(
                200,
                {
                    "status": "gesund",
                    "checked_at": ago(seconds=1).isoformat(),
                    "components": {"db": {"status": "gesund"}},
                },
            ),
            "/api/v1/health": Answer(200),
            "/api/v1/documents": asked_for_documents,
            "/": Answer(301, headers={"Location": f"{http_server.url}/"}),
            "/auth/login": login_page(client_id="Iv1.0123456789abcdef"),
            "/login": Answer(200, headers={"Set-Cookie": "session=1; Secure; HttpOnly; SameSite=Lax"}),
            "/api/v1/search": limiting(50, TOO_MANY),
            "POST /api/v1/upload": lambda request: Answer(413 if len(request.body) > 10**6 else 422),
        }
    )


def test_the_examples_run_and_tell_good_from_bad(http_server: HttpServer, run_module: ModuleRun) -> None:
    replaced = {
        "https://archive.example.org": http_server.url,
        "http://archive.example.org": http_server.url,
        "https://runner.example.org/auth/login": f"{http_server.url}/auth/login",
        "max_p95_ms: 50": "max_p95_ms: 4000",
        "interval_ms: 20": "interval_ms: 2",
    }
    examples = examples_of("check_http", replaced)
    example_service(http_server)
    for name, options in examples.items():
        good = run_module("check_http", {**options, "enforce": False})["finding"]
        assert good["status"] == "pass", (name, good["summary"])
    http_server.routes.clear()
    http_server.route("*", Answer(500, "broken"))
    for name, options in examples.items():
        bad = run_module("check_http", {**options, "enforce": False})["finding"]
        assert bad["status"] == "fail", (name, bad["summary"])


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
