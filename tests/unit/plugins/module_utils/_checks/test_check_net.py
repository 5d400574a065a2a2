# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_net judges plain facts; one line per case."""

from __future__ import annotations

import errno
import json
import socket
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_net as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_net import Facts, Knocked, Looked
from ansible_collections.opsready.golive.plugins.module_utils._clients import dns, sockets
from ansible_collections.opsready.golive.plugins.module_utils._clients.dns import Answer
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Unreachable
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared

TWO = Answer(("192.0.2.1", "192.0.2.2"), True, 300)
MX = Answer(("10 mail.example.org", "20 spare.example.org"), True, 60)


def params(**options: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, options, where="test", **check.CONSTRAINTS)


def named(options: t.Mapping[str, t.Any], answer: Answer | None, problem: str = "") -> Judgement:
    facts = Facts((Looked("h A", 0, answer, problem),), ())
    return Judgement.of(check.judge(facts, params(dns=[{"name": "h", **options}])))


def knocked(options: t.Mapping[str, t.Any], states: dict[str, str], **fields: t.Any) -> Judgement:
    facts = Facts((), (Knocked("port h:80", 0, states, **fields),))
    return Judgement.of(check.judge(facts, params(ports=[{"host": "h", "port": [80], **options}])))


@pytest.mark.parametrize(
    ("options", "answer", "status", "said"),
    [
        ({}, TWO, "pass", "H A is 192.0.2.1, 192.0.2.2"),
        ({}, Answer((), False), "fail", "H A is no such name, expected a record"),
        ({}, Answer((), True), "fail", "H A is no record, expected a record"),
        ({}, None, "unknown", "Nobody answered"),
        ({"level": "warn"}, Answer((), True), "warn", "H A is no record"),
        ({"exists": False}, Answer((), False), "pass", "no such name"),
        ({"exists": False}, Answer((), True), "pass", "no record"),
        ({"exists": False}, TWO, "fail", "expected nothing"),
        ({"exists": False}, None, "unknown", "Nobody answered"),
        ({"expect": ["192.0.2.2", "192.0.2.1"]}, TWO, "pass", "H A is"),
        ({"expect": ["192.0.2.1"]}, TWO, "fail", "expected 192.0.2.1"),
        ({"expect": ["192.0.2.1"], "match": "all"}, TWO, "pass", "H A is"),
        ({"expect": ["192.0.2.1", "192.0.2.3"], "match": "all"}, TWO, "fail", "expected all of 192.0.2.1, 192.0.2.3"),
        ({"expect": ["192.0.2.1", "192.0.2.3"], "match": "any"}, TWO, "pass", "H A is"),
        ({"expect": ["192.0.2.3"], "match": "any"}, TWO, "fail", "expected any of 192.0.2.3"),
        ({"expect": ["192.0.2.3"], "match": "any"}, Answer((), True), "fail", "no record"),
        ({"max_ttl": 300}, TWO, "pass", "All hold"),
        ({"max_ttl": 299}, TWO, "fail", "Lifetime of h A is 300 s"),
        ({"max_ttl": 299}, Answer(TWO.values, True), "unknown", "Lifetime of h A could not be read"),
        ({"type": "MX", "expect": ["Mail.example.org.", "spare.example.org"]}, MX, "pass", "H A is"),
        ({"type": "MX", "expect": ["10 mail.example.org"], "match": "any"}, MX, "pass", "H A is"),
        ({"type": "MX", "expect": ["20 mail.example.org"], "match": "any"}, MX, "fail", "expected any of 20 mail"),
    ],
)
def test_an_answer_decides(options: dict[str, t.Any], answer: Answer | None, status: str, said: str) -> None:
    judgement = named(options, answer, "nobody answered.")
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


CLOSED = {"expect": "closed"}


@pytest.mark.parametrize(
    ("options", "states", "fields", "status", "said"),
    [
        ({}, {"a": "open"}, {}, "pass", "Port h:80 is open"),
        ({}, {"a": "closed"}, {}, "fail", "Port h:80 is closed, expected open"),
        ({}, {"a": "filtered"}, {}, "fail", "Port h:80 is filtered, expected open"),
        ({"level": "warn"}, {"a": "closed"}, {}, "warn", "expected open"),
        ({}, {"a": "open", "b": "closed"}, {}, "fail", "Port h:80 is a open, b closed"),
        ({"addresses": "any"}, {"a": "open", "b": "closed"}, {}, "pass", "a open, b closed"),
        ({}, {"a": "open"}, {"problems": {"b": "no route."}}, "unknown", "could not be tried: no route"),
        ({"addresses": "any"}, {"a": "open"}, {"problems": {"b": "no route."}}, "pass", "is open"),
        ({}, {}, {"problem": "h has no address."}, "unknown", "could not be tried: h has no address"),
        ({}, {}, {"problems": {"b": "no route."}}, "unknown", "no route"),
        (CLOSED, {"a": "closed"}, {}, "pass", "Port h:80 is closed"),
        (CLOSED, {"a": "open"}, {}, "fail", "Port h:80 is open, expected closed"),
        (CLOSED, {"a": "closed", "b": "open"}, {}, "fail", "a closed, b open"),
        ({**CLOSED, "addresses": "any"}, {"a": "closed", "b": "open"}, {}, "fail", "a closed, b open"),
        (CLOSED, {"a": "filtered"}, {}, "unknown", "only a refusal proves that it is closed"),
        (CLOSED, {"a": "closed", "b": "filtered"}, {}, "unknown", "a closed, b filtered"),
        ({**CLOSED, "filtered_is_closed": True}, {"a": "filtered"}, {}, "pass", "Port h:80 is filtered"),
        ({**CLOSED, "filtered_is_closed": True}, {"a": "open"}, {}, "fail", "is open"),
        (CLOSED, {"a": "closed"}, {"problems": {"b": "no route"}}, "unknown", "no route"),
        (CLOSED, {"a": "open"}, {"problems": {"b": "no route"}}, "fail", "is open"),
        (CLOSED, {}, {"problem": "h has no address."}, "unknown", "could not be tried"),
    ],
)
def test_what_a_port_said_decides(
    options: dict[str, t.Any], states: dict[str, str], fields: dict[str, t.Any], status: str, said: str
) -> None:
    judgement = knocked(options, states, **fields)
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


@given(states=st.dictionaries(st.text(min_size=1, max_size=3), st.sampled_from(["open", "closed", "filtered"])))
def test_closed_is_proven_by_refusals_alone_and_open_by_nothing_else(states: dict[str, str]) -> None:
    values = set(states.values())
    assert (knocked(CLOSED, states).status == "pass") == (values == {"closed"})
    assert (knocked({}, states).status == "pass") == (values == {"open"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.53", ("10.0.0.53", 53)),
        ("10.0.0.53:5353", ("10.0.0.53", 5353)),
        ("2001:db8:0::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_name_server_is_an_address_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert dns.server_address(text) == expected


@pytest.mark.parametrize("text", ["", ":53", "10.0.0.53:", "10.0.0.53:0", "10.0.0.53:65536", "[::1]:x", "[]"])
def test_what_is_no_name_server_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no name server"):
        dns.server_address(text)


def test_a_resolver_that_fails_is_not_a_name_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(number: int) -> t.Callable[..., t.NoReturn]:
        def getaddrinfo(*unused: t.Any, **unused_too: t.Any) -> t.NoReturn:
            raise socket.gaierror(number, "as the test has it")

        return getaddrinfo

    monkeypatch.setattr(socket, "getaddrinfo", fails(socket.EAI_AGAIN))
    with pytest.raises(Unreachable, match="cannot be resolved by this host"):
        dns.resolved("h")
    monkeypatch.setattr(socket, "getaddrinfo", fails(socket.EAI_NONAME))
    assert dns.resolved("h") == Answer((), False)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EHOSTUNREACH, "filtered"), (errno.ECONNREFUSED, "closed"), (errno.ECONNRESET, "closed"), (0, "open")],
)
def test_a_routers_word_is_not_the_hosts(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*unused: t.Any) -> None:
        if number:
            raise OSError(number, "as the test has it")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert sockets.knocked("192.0.2.1", 80, seconds=1) == said


def test_a_host_without_a_route_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*unused: t.Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(Unreachable, match="2001:db8::1 port 80 cannot be tried from here: Network is unreachable"):
        sockets.knocked("2001:db8::1", 80, seconds=1)


def test_two_items_on_one_name_and_port_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[t.Any] = []
    monkeypatch.setattr(dns, "resolved", lambda name, *rest: asked.append(name) or Answer(("127.0.0.1",), True))
    monkeypatch.setattr(sockets, "knocked", lambda address, port, **rest: asked.append((address, port)) or "open")
    shared = Shared()
    for expect in ("open", "closed"):
        wanted = params(ports=[{"host": "h", "port": [80], "expect": expect}])
        check.gather(wanted, run=Run(timeout_seconds=5, shared=shared))
    assert asked == ["h", ("127.0.0.1", 80)]


def test_evidence_is_json() -> None:
    facts = Facts((Looked("h A", 0, TWO), Looked("g A", 0, problem="no")), (Knocked("port h:80", 0, {"a": "open"}),))
    evidence = json.loads(json.dumps(check.evidence(facts)))
    assert evidence["dns"][0]["values"] == list(TWO.values)
    assert evidence["ports"][0]["states"] == {"a": "open"}
