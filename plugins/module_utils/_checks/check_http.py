# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what an HTTP service answers: status, headers, cookies, the states inside its JSON, redirects, CORS, limits, latency.

A 200 only says that a process lives: health endpoints answer 200 while their body says that the database is gone. So the
body's states decide where they are given.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import typing as t
from urllib.parse import parse_qs, urljoin, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._checks import (
    http_compression,
    http_cookies,
    http_latency,
    http_limits,
    json_expectations,
    shared_trust,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import http, jsonpath
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    ORDER,
    Criterion,
    apart,
    at_least,
    at_most,
    holds,
    matches,
    one_of,
    plain,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import compiled
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side

NAME = "check_http"

_LEVEL: dict[str, t.Any] = {"type": "str", "choices": ["fail", "warn"], "default": "fail"}

#: One request and what is expected of its answer. At the top level the same options are each request's defaults.
REQUEST: Spec = {
    "url": {"type": "str"},
    "method": {"type": "str"},
    "headers": {"type": "dict"},
    "secret_headers": {"type": "dict", "no_log": True},
    "bearer": {"type": "str", "no_log": True},
    "body": {"type": "raw"},
    "ca_file": {"type": "path"},
    "connect_to": {"type": "str"},
    "follow": {"type": "bool"},
    "status": {"type": "list", "elements": "int"},
    "json": json_expectations.JSON,
    "states": {
        "type": "dict",
        "options": {
            "paths": {"type": "list", "elements": "str", "required": True, "aliases": ["path"]},
            "pass": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "warn": {"type": "list", "elements": "str", "default": []},
            "fail": {"type": "list", "elements": "str", "default": []},
        },
    },
    "response_headers": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "equals": {"type": "str"},
            "matches": {"type": "str"},
            "exists": {"type": "bool"},
            "level": _LEVEL,
        },
        "required_one_of": [["equals", "matches", "exists"]],
    },
    "cookies": http_cookies.COOKIES,
    "compression": http_compression.OPTION,
    "contains": {"type": "list", "elements": "str"},
    "contains_not": {"type": "list", "elements": "str"},
    "redirects_to": {"type": "str"},
    "redirects_with": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "equals": {"type": "str"},
            "fresh": {"type": "bool", "default": False},
        },
    },
    "cors": {
        "type": "dict",
        "options": {
            "origin_allowed": {"type": "list", "elements": "str", "default": []},
            "origin_refused": {"type": "list", "elements": "str", "default": []},
        },
    },
    "max_bytes": {"type": "int"},
    "max_ms": {"type": "float"},
    **http_latency.OPTIONS,
    **http_limits.OPTIONS,
    "consecutive": {"type": "int"},
    "proves": {"type": "str", "choices": ["liveness", "readiness"]},
}

ARGUMENT_SPEC: Spec = {
    **REQUEST,
    "requests": {"type": "list", "elements": "dict", "options": REQUEST},
}
CONSTRAINTS: Constraints = {"required_one_of": [["url", "requests"]], "mutually_exclusive": [["url", "requests"]]}

#: Methods that change nothing by their definition (RFC 9110, section 9.2.1).
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REDIRECT_STATUSES = [301, 302, 303, 307, 308]
_MOST_CONSECUTIVE = 10_000
#: An answer, and when it had come: items that share it judge the same age.
Received = tuple[http.Response, datetime.datetime]

_NOT_BEHIND = (
    "The proxy has no service behind it that is ready, or maintenance is on: look whether it runs, and at its log."
)
_OF_STATUS = {
    404: "Nothing is at this path: compare it with the routes of the version that runs, and with the proxy's.",
    405: "The path takes another method: compare it with the routes of the version that runs.",
    429: "A rate limit answers: ask more slowly, or from an address that it spares.",
    500: "The service failed at it: its log says why.",
    502: _NOT_BEHIND,
    503: _NOT_BEHIND,
    504: "The service behind the proxy did not answer in time: look at its log, and at what it waits for.",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer, as far as expectations look at it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str
    document: t.Any
    #: Why there is no document, where JSON was asked for.
    not_json: str
    milliseconds: float
    size_bytes: int
    is_truncated: bool
    url: str
    hops: tuple[tuple[int, str], ...]
    location: str
    #: When it had come, by this host's clock.
    received_at: datetime.datetime
    #: How its body was packed, where that is judged.
    packed: http_compression.Packed | None = None

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


@dataclasses.dataclass(frozen=True)
class CorsAnswer:
    """What a service says to a browser page of another origin; ``kind`` is ``preflight`` or ``request``."""

    origin: str
    kind: str
    status: int
    allow_origin: str | None
    allows_credentials: bool


@dataclasses.dataclass(frozen=True)
class Seen:
    """One request of the list: its answers, or why there are none."""

    label: str
    method: str
    url: str
    with_credentials: bool
    answers: tuple[Answer, ...] = ()
    sampled: http_latency.Sampled | None = None
    cors: tuple[CorsAnswer, ...] = ()
    #: A coding that was given to who knows it, beside the one that is judged.
    other_coding: str = ""
    burst: http_limits.Burst | None = None
    bodies: http_limits.Bodies | None = None
    #: No answer: nothing is known.
    problem: str = ""
    #: There is no answer, since check mode did not ask for one.
    left_out: bool = False
    #: An answer that a client must refuse.
    refusal: str = ""
    remedy: str = ""
    #: What a good answer proves, where the user said so.
    proves: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """All requests, and the host they were sent from: a latency means nothing without it."""

    seen: tuple[Seen, ...]
    measured_from: str


def wanted(params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Each request with the top level's options as defaults. Raises BadInput."""
    if params.get("requests") is None:
        return [_complete(dict(params))]
    if not params["requests"]:
        raise BadInput("requests is empty, so nothing would be judged.")
    shared = {name: params.get(name) for name in REQUEST}
    complete = []
    for number, own in enumerate(params["requests"], 1):
        merged = {**shared, **{name: value for name, value in own.items() if value is not None}}
        if not merged.get("url"):
            raise BadInput(f"requests: number {number} has no url.")
        complete.append(_complete(merged))
    return complete


def _complete(request: dict[str, t.Any]) -> dict[str, t.Any]:
    request["method"] = (request.get("method") or "GET").upper()
    request["consecutive"] = 1 if request.get("consecutive") is None else request["consecutive"]
    if not 1 <= request["consecutive"] <= _MOST_CONSECUTIVE:
        raise BadInput(f"consecutive is {request['consecutive']}, expected 1 to {_MOST_CONSECUTIVE}.")
    http_latency.complete(request)
    if request["samples"] and request["method"] not in _SAFE:
        raise BadInput(f"samples needs a method that changes nothing, and {request['method']} may.")
    for name in ("status", "json", "response_headers", "cookies", "contains", "contains_not", "redirects_with"):
        if request.get(name) == []:
            raise BadInput(f"{name} is empty, so nothing would be judged by it.")
    if not request.get("status"):
        request["status"] = _REDIRECT_STATUSES if request.get("redirects_to") and not request.get("follow") else [200]
    _refuse_unreadable(request)
    return request


def _refuse_unreadable(request: t.Mapping[str, t.Any]) -> None:
    http.origin_of(request["url"])
    json_expectations.refuse_unreadable(request.get("json") or ())
    http_cookies.refuse_unreadable(request.get("cookies") or ())
    http_limits.refuse_unreadable(request)
    for expectation in request.get("response_headers") or ():
        compiled(expectation.get("matches") or "", option="response_headers")
    if request.get("states"):
        if not request["states"]["paths"]:
            raise BadInput("states.paths is empty, so nothing would be judged by it.")
        for path in request["states"]["paths"]:
            jsonpath.parse(path)
    if request.get("redirects_to"):
        http.origin_of(request["redirects_to"])
    elif request.get("redirects_with"):
        raise BadInput("redirects_with needs redirects_to: parameters mean something only to whom they are for.")
    if any(wanted["fresh"] for wanted in request.get("redirects_with") or ()) and request["consecutive"] < 2:
        raise BadInput("fresh needs consecutive: 2 or more: whether a value is new is seen by two answers.")
    cors = request.get("cors")
    if cors and not cors["origin_allowed"] and not cors["origin_refused"]:
        raise BadInput("cors names no origin, so nothing would be judged by it.")


def _label(request: t.Mapping[str, t.Any]) -> str:
    path = request["url"].split("?", 1)[0]
    return path if request["method"] == "GET" else f"{request['method']} {path}"


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Send the requests, side by side; each one's error stays its own. Raises BadInput."""
    requests = wanted(params)
    jobs = [lambda request=request: _seen(request, run) for request in requests]
    # The client watches the deadline in all that it does but reading a file, which a file system may keep for ever.
    watched = not any(request.get("ca_file") for request in requests)
    results = side_by_side(jobs, deadline=run.deadline, watched=watched)
    seen = tuple(
        dataclasses.replace(_seen_or_not(request, result), proves=request.get("proves") or "")
        for request, result in zip(requests, results)
    )
    return Facts(seen, os.uname().nodename)


def _seen_or_not(request: t.Mapping[str, t.Any], result: Seen | GoliveError) -> Seen:
    if isinstance(result, Seen):
        return result
    if isinstance(result, BadInput):
        raise result
    refused = isinstance(result, http.NotTrusted)
    return Seen(
        _label(request),
        request["method"],
        request["url"],
        False,
        problem="" if refused else result.message,
        refusal=result.message if refused else "",
        remedy=result.remedy,
    )


class _Sender:
    """One request of the list, ready to be sent. Raises BadInput."""

    def __init__(self, request: t.Mapping[str, t.Any], run: Run) -> None:
        self._run = run
        self._method, self._url = request["method"], request["url"]
        self._follow = bool(request.get("follow"))
        self._connect_to, self._ca_file = request.get("connect_to"), request.get("ca_file")
        self.secrets = {**(request.get("secret_headers") or {}), **http.bearer(request.get("bearer"))}
        self.headers = dict(request.get("headers") or {})
        self._body = _body_of(request, self.headers)
        http_compression.ask_for(request, self.headers)
        self._trust = shared_trust.trust(self._ca_file, run=run) if _may_need_tls(request) else None
        self._context = self._trust.context if self._trust else None

    def client(self, *, keep: bool = True) -> http.HttpClient:
        return http.HttpClient(connect_to=self._connect_to, context=self._context, keep=keep)

    def connections(self) -> http.Connections:
        """For this request alone: nothing that was measured began on a connection of somebody else's."""
        return http.Connections(connect_to=self._connect_to, context=self._context)

    def shared_connections(self) -> http.Connections:
        """Those of all items that connect alike; their handshakes are check_tls' too."""

        def opened() -> http.Connections:
            handshakes = self._trust.handshakes if self._trust else None
            return http.Connections(connect_to=self._connect_to, context=self._context, handshakes=handshakes)

        return self._run.once(("http connections", self._connect_to, self._ca_file, self._trust is not None), opened)

    def over(
        self,
        client: http.HttpClient,
        *,
        deadline: Deadline | None = None,
        method: str = "",
        more_headers: t.Mapping[str, t.Any] | None = None,
        body: bytes | None = None,
    ) -> http.Response:
        return client.request(
            method or self._method,
            self._url,
            deadline=deadline or self._run.deadline,
            headers={**self.headers, **(more_headers or {})},
            secret_headers=self.secrets,
            body=self._body if body is None else body,
            follow=self._follow,
        )

    def anew(self) -> Received:
        """Over a connection of its own."""
        with self.client(keep=False) as client:
            return self.over(client), self._run.clock.now()

    def shared(self, *, anew: bool) -> Received:
        """One answer for all items of the call that ask the same, over a connection that they share unless ``anew``."""

        def over_kept() -> Received:
            with self.shared_connections().lent() as client:
                return self.over(client), self._run.clock.now()

        given = json.dumps([self.headers, self.secrets], sort_keys=True, default=str)
        key = ("http", self._method, self._url, given, self._body, self._ca_file, self._connect_to, self._follow, anew)
        return self._run.once(key, self.anew if anew else over_kept)

    def with_body(self, body: bytes) -> http.Response:
        """With this body, by a method that has one."""
        has_type = any(name.lower() == "content-type" for name in self.headers)
        kind = {} if has_type else {"Content-Type": "application/octet-stream"}
        method = "POST" if self._method in _SAFE else self._method
        with self.client(keep=False) as client:
            return self.over(client, method=method, more_headers=kind, body=body)


def _seen(request: t.Mapping[str, t.Any], run: Run) -> Seen:
    method, url = request["method"], request["url"]
    if run.check_mode and method not in _SAFE:
        why = f"{method} may change something, so check mode did not send it"
        return Seen(_label(request), method, url, False, problem=why, left_out=True)
    sender = _Sender(request, run)
    if method in _SAFE and request["consecutive"] == 1:
        # A time that is judged is a user's, who connects first.
        received = [sender.shared(anew=request.get("max_ms") is not None)]
    else:
        # A connection for each, so that a load balancer may choose another backend.
        received = [sender.anew() for _turn in range(request["consecutive"])]
    connections = sender.connections()

    def ask() -> http.Response:
        with connections.lent() as client:
            return sender.over(client)

    cors, other_coding = _asked_otherwise(sender, request, run)
    with sender.client() as client, contextlib.closing(connections):
        return Seen(
            _label(request),
            method,
            url,
            bool(sender.secrets),
            tuple(_read(one, request) for one in received),
            cors=cors,
            other_coding=other_coding,
            bodies=http_limits.bodies(request, sender.with_body, run=run),
            sampled=http_latency.sampled(request, ask, run=run),
            # The last, since nothing else is answered after it.
            burst=http_limits.burst(request, lambda until: sender.over(client, deadline=until), run=run),
        )


def _asked_otherwise(sender: _Sender, request: t.Mapping[str, t.Any], run: Run) -> tuple[tuple[CorsAnswer, ...], str]:
    """What other origins are answered, and in which coding who knows newer ones is; no time is judged here."""
    if not request.get("cors") and request.get("compression") != "required":
        return (), ""
    with sender.shared_connections().lent() as client:
        cors = tuple(_cors_answers(client, request, sender.headers, run))
        if request["method"] not in _SAFE:
            return cors, ""
        return cors, http_compression.other_coding(request, lambda asked: sender.over(client, more_headers=asked))


def _may_need_tls(request: t.Mapping[str, t.Any]) -> bool:
    return bool(request["url"].strip().lower().startswith("https") or request.get("follow") or request.get("ca_file"))


def _body_of(request: t.Mapping[str, t.Any], headers: dict[str, t.Any]) -> bytes | None:
    body = request.get("body")
    if body is None:
        return None
    if isinstance(body, (dict, list)):
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        return json.dumps(body).encode("utf-8")
    return str(body).encode("utf-8")


def _read(received: Received, request: t.Mapping[str, t.Any]) -> Answer:
    response, received_at = received
    document: t.Any = None
    not_json = ""
    if request.get("json") or request.get("states"):
        try:
            document = response.json()
        except GoliveError as problem:
            not_json = problem.message
    needs_text = request.get("contains") or request.get("contains_not")
    location = response.header("location")
    return Answer(
        status=response.status,
        headers=response.headers,
        text=response.text() if needs_text else "",
        document=document,
        not_json=not_json,
        milliseconds=response.seconds * 1000,
        size_bytes=len(response.body),
        is_truncated=response.is_truncated,
        url=response.url,
        hops=response.hops,
        location=urljoin(response.url, location) if location else "",
        received_at=received_at,
        packed=http_compression.packed(response) if request.get("compression") == "required" else None,
    )


def _cors_answers(
    client: http.HttpClient, request: t.Mapping[str, t.Any], headers: t.Mapping[str, t.Any], run: Run
) -> t.Iterator[CorsAnswer]:
    cors = request.get("cors") or {"origin_allowed": [], "origin_refused": []}
    for origin in [*cors["origin_allowed"], *cors["origin_refused"]]:
        preflight = {"Origin": origin, "Access-Control-Request-Method": request["method"]}
        asked = [("preflight", "OPTIONS", preflight)]
        if request["method"] in _SAFE:
            # Some services refuse the preflight and still mark the answer itself as readable for everybody.
            asked.append(("request", request["method"], {**headers, "Origin": origin}))
        for kind, method, sent in asked:
            response = client.request(method, request["url"], deadline=run.deadline, headers=sent)
            yield CorsAnswer(
                origin=origin,
                kind=kind,
                status=response.status,
                allow_origin=response.header("access-control-allow-origin"),
                allows_credentials=(response.header("access-control-allow-credentials") or "").lower() == "true",
            )


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each request's expectations, in the list's order."""
    labels = told_apart(seen.label for seen in facts.seen)
    for label, request_seen, request in zip(labels, facts.seen, wanted(params)):
        seen = dataclasses.replace(request_seen, label=label)
        if seen.refusal:
            yield holds(
                f"{seen.label} certificate",
                False,
                measured=seen.refusal,
                expected="one that clients accept",
                sentence=seen.refusal.rstrip("."),
                remedy=seen.remedy,
            )
        elif seen.problem:
            yield unknown(seen.label, seen.problem.rstrip("."), remedy=seen.remedy, left_out=seen.left_out)
        else:
            yield from _worst_of_each([apart(_judge_answer(answer, seen, request)) for answer in seen.answers])
            yield from apart(_judge_cors(seen, request))
            if not any(_is_refused(answer.status, seen, request) for answer in seen.answers):
                yield from _judge_repeated(seen, request)


def _judge_repeated(seen: Seen, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """What is asked with the same credentials again: where these were refused, it tells nothing of the service."""
    yield from apart(_judge_freshness(seen, request))
    if seen.bodies:
        is_refused = any(_is_refused(status, seen, request) for status in (seen.bodies.above, seen.bodies.below))
        yield from http_limits.bodies_criteria(seen.bodies, seen.label, request, is_refused=is_refused)
    if seen.sampled:
        yield from http_latency.criteria(seen.sampled, seen.label, request)
    if seen.burst:
        is_refused = _is_refused(seen.burst.status, seen, request)
        yield from http_limits.burst_criteria(seen.burst, seen.label, request, is_refused=is_refused)


def _is_refused(status: int | None, seen: Seen, request: t.Mapping[str, t.Any]) -> bool:
    """Whether our credentials were refused."""
    return status in (401, 403) and seen.with_credentials and status not in request["status"]


def _worst_of_each(by_answer: t.Sequence[t.Sequence[Criterion]]) -> t.Iterator[Criterion]:
    """Of several answers to the same request: per criterion the worst, saying in how many answers it was so."""
    by_name: dict[str, list[Criterion]] = {}
    for criteria in by_answer:
        for criterion in criteria:
            by_name.setdefault(criterion.name, []).append(criterion)
    for criteria in by_name.values():
        worst = max(criteria, key=lambda criterion: ORDER.index(criterion.status))
        bad = sum(criterion.status != "pass" for criterion in criteria)
        if bad and len(by_answer) > 1:
            worst = dataclasses.replace(worst, sentence=f"{worst.sentence} (in {bad} of {len(by_answer)} answers)")
        yield worst


def _judge_answer(answer: Answer, seen: Seen, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    label = seen.label
    if _is_refused(answer.status, seen, request):
        yield unknown(
            f"{label} status",
            f"{label} refused our credentials with status {answer.status}",
            remedy="Give the check a token or secret header that this path accepts.",
        )
        return
    if answer.status in (301, 302, 303, 307, 308) and answer.location and answer.status not in request["status"]:
        where = re.sub(r"[?#].*", "", answer.location)
        expected = plain(request["status"])
        yield holds(
            f"{label} status",
            False,
            measured=answer.status,
            expected=expected,
            sentence=f"{label} status is {answer.status} (a redirect to {where}), expected {expected}",
            remedy="Name the final URL, or set follow: true.",
        )
    else:
        yield one_of(f"{label} status", answer.status, request["status"], remedy=_status_remedy(answer.status))
    if request.get("redirects_to"):
        yield _redirect(answer, label, request)
        yield from _redirect_parameters(answer, label, request)
    for expectation in request.get("response_headers") or ():
        yield from _header_criteria(answer, label, expectation)
    if request.get("cookies"):
        found = http_cookies.cookies_of(answer.headers, received_at=answer.received_at)
        yield from http_cookies.criteria(found, label, request["cookies"])
    if answer.packed:
        yield from http_compression.criteria(answer.packed, label)
    yield from _text_criteria(answer, label, request)
    yield from _document_criteria(answer, label, request)
    if request.get("max_ms") is not None:
        yield at_most(f"{label} latency", round(answer.milliseconds, 1), request["max_ms"], unit="ms")
    if request.get("max_bytes") is not None:
        size = answer.size_bytes
        yield at_most(f"{label} body", size, request["max_bytes"], unit="bytes")


def _status_remedy(status: int) -> str:
    """What to do about an answer that was not expected, where its status tells."""
    return _OF_STATUS.get(status, _OF_STATUS[500] if status >= 500 else "")


def _text_criteria(answer: Answer, label: str, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    for text in request.get("contains") or ():
        found = text in answer.text
        yield holds(
            f"{label} body contains {text!r}",
            found or (None if answer.is_truncated else False),
            measured=found,
            expected="true",
            sentence=f"{label} does not contain {text!r}" + (" in its first part" if answer.is_truncated else ""),
        )
    for text in request.get("contains_not") or ():
        found = text in answer.text
        yield holds(
            f"{label} body is free of {text!r}",
            False if found else (None if answer.is_truncated else True),
            measured=not found,
            expected="true",
            sentence=f"{label} contains {text!r}" if found else f"{label} is too long to be read whole",
        )


def _document_criteria(answer: Answer, label: str, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if not request.get("json") and not request.get("states"):
        return
    if answer.not_json:
        # A health answer that is not JSON is an answer, and a wrong one; of one that was cut nobody knows.
        yield holds(
            f"{label} JSON",
            None if answer.is_truncated else False,
            measured="too long to be read whole" if answer.is_truncated else "not JSON",
            expected="JSON",
            sentence=answer.not_json.rstrip("."),
        )
        return
    for expectation in request.get("json") or ():
        yield from json_expectations.criteria(answer.document, label, expectation, read_at=answer.received_at)
    if request.get("states"):
        yield from _state_criteria(answer.document, label, request["states"])


def _reached(answer: Answer, request: t.Mapping[str, t.Any]) -> str:
    return answer.url if request.get("follow") else answer.location


def _redirect(answer: Answer, label: str, request: t.Mapping[str, t.Any]) -> Criterion:
    reached = _reached(answer, request)
    shown = re.sub(r"[?#].*", "", reached) or "nowhere"
    origin, target = http.origin_of(request["redirects_to"])
    good = False
    if reached:
        try:
            reached_origin, reached_target = http.origin_of(reached)
            good = reached_origin == origin and reached_target.startswith(target)
        except BadInput:
            good = False
    return holds(f"{label} redirect", good, measured=shown, expected=request["redirects_to"])


def _parameter(answer: Answer, name: str, request: t.Mapping[str, t.Any]) -> list[str]:
    """The values that the redirect gives a parameter of its query."""
    try:
        return parse_qs(urlsplit(_reached(answer, request)).query, keep_blank_values=True).get(name, [])
    except ValueError:  # no URL, or one with more parameters than anybody sends
        return []


def _redirect_parameters(answer: Answer, label: str, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each parameter once and not empty. A value that nobody named may be a secret of the session, so it is not told."""
    for wanted in request.get("redirects_with") or ():
        values = _parameter(answer, wanted["name"], request)
        if len(values) > 1:
            measured = f"{len(values)} times"
        elif not any(values):
            measured = "absent or empty"
        else:
            measured = "present" if wanted["equals"] is None else values[0]
        yield one_of(f"{label} redirect's {wanted['name']}", measured, [wanted["equals"] or "present"])


def _judge_freshness(seen: Seen, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    for wanted in request.get("redirects_with") or ():
        if wanted["fresh"]:
            name = wanted["name"]
            values = [value for answer in seen.answers for value in _parameter(answer, name, request)]
            yield at_least(
                f"{seen.label} different values of the redirect's {name}", len(set(values)), len(seen.answers)
            )


def _header_criteria(answer: Answer, label: str, expectation: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    name, level = expectation["name"], expectation["level"]
    value = answer.header(name)
    called = f"{label} header {name}"
    if expectation.get("exists") is not None:
        state = {True: "present", False: "absent"}
        yield one_of(called, state[value is not None], [state[expectation["exists"]]], level=level)
    if expectation.get("equals") is not None:
        yield one_of(f"{called} value", value or "absent", [expectation["equals"]], level=level)
    if expectation.get("matches") is not None:
        if value is None:
            yield one_of(f"{called} value", "absent", [f"a match of /{expectation['matches']}/"], level=level)
        else:
            yield matches(f"{called} value", value, expectation["matches"], level=level)


def _state_criteria(document: t.Any, label: str, states: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    known = {"pass": states["pass"], "warn": states["warn"], "fail": states["fail"]}
    expected = plain(states["pass"])
    for path in states["paths"]:
        values = jsonpath.find(document, path)
        if not values:
            yield unknown(f"{label} {path}", f"{label} has nothing at {path}")
        for index, value in enumerate(values):
            called = f"{label} {path}" + (f" ({index + 1} of {len(values)})" if len(values) > 1 else "")
            said = value if isinstance(value, str) else json.dumps(value)
            level = next((level for level in ("fail", "warn", "pass") if said in known[level]), None)
            if level is None:
                yield unknown(
                    called, f"{called} is {json_expectations.short(said)!r}, which is not among the known states"
                )
            else:
                yield holds(
                    called,
                    level == "pass",
                    measured=said,
                    expected=expected,
                    level="warn" if level == "warn" else "fail",
                )


def _judge_cors(seen: Seen, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    allowed = (request.get("cors") or {}).get("origin_allowed", [])
    for answer in seen.cors:
        called = f"{seen.label} CORS {answer.kind} of {answer.origin}"
        said = answer.allow_origin or "no Access-Control-Allow-Origin"
        if answer.allow_origin == "*" and answer.allows_credentials:
            yield holds(
                f"{called} with credentials",
                False,
                measured="*",
                expected="a named origin",
                remedy="Name the frontend's origin in place of *: with credentials browsers refuse *.",
            )
        if answer.origin in allowed:
            yield holds(
                called,
                answer.allow_origin in (answer.origin, "*"),
                measured=said,
                expected=answer.origin,
                remedy=f"Add {answer.origin} to the service's allowed origins.",
            )
        else:
            yield holds(
                called,
                answer.allow_origin not in (answer.origin, "*"),
                measured=said,
                expected="a refusal",
                remedy="List the real frontend origins; never * or the caller's own.",
            )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was answered, without bodies: they may hold anything."""
    return {"measured_from": facts.measured_from, "requests": [_evidence_of(seen) for seen in facts.seen]}


def _evidence_of(seen: Seen) -> dict[str, t.Any]:
    told: dict[str, t.Any] = {"method": seen.method, "url": re.sub(r"\?.*", "?…", seen.url)}
    if seen.proves:
        told["proves"] = seen.proves
    if seen.problem or seen.refusal:
        return {**told, "problem": seen.problem or seen.refusal}
    last = seen.answers[-1]
    told.update(
        status=[answer.status for answer in seen.answers] if len(seen.answers) > 1 else last.status,
        milliseconds=[round(answer.milliseconds, 1) for answer in seen.answers],
        body_bytes=last.size_bytes,
        content_type=last.header("content-type"),
    )
    if last.hops:
        told["redirects"] = [[status, re.sub(r"[?#].*", "", url)] for status, url in last.hops]
    cookies = http_cookies.cookies_of(last.headers, received_at=last.received_at)
    if cookies:
        told["cookies"] = http_cookies.evidence(cookies)
    if last.packed:
        told["compression"] = http_compression.evidence(last.packed, seen.other_coding)
    if seen.sampled:
        told["latency"] = http_latency.evidence(seen.sampled)
    told.update(http_limits.evidence(seen.burst, seen.bodies))
    if seen.cors:
        told["cors"] = [dataclasses.asdict(answer) for answer in seen.cors]
    return told
