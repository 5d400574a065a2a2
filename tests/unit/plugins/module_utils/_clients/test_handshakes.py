# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which items share handshakes, with a real one of a server that counts them."""

from __future__ import annotations

import contextlib
import ssl
import threading
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import http, lending
from ansible_collections.opsready.golive.plugins.module_utils._clients.handshakes import Handshakes, Wire, shown_by
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut, UnexpectedAnswer
from tests.servers import HOST, DemoCa, TlsServer, await_true

LONG = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", LONG)


class Endpoint:
    """One server, and the handshakes with it; each waits until it ``may_begin``."""

    def __init__(self, server: TlsServer, ca: DemoCa) -> None:
        self.server = server
        self.handshakes = Handshakes()
        self.may_begin = threading.Event()
        self.may_begin.set()
        self.problems: list[Exception] = []
        self.made: list[ssl.SSLSocket] = []
        self.wire = Wire(HOST, server.port, "localhost")
        self._context = ssl.create_default_context(cadata=ca.root.pem)

    def shake(self) -> ssl.SSLSocket:
        self.may_begin.wait(LONG)
        if self.problems:
            raise self.problems.pop(0)
        deadline = Deadline(LONG)
        plug = http.connected(HOST, self.server.port, deadline=deadline)
        self.made.append(http.secured(plug, self._context, "localhost", deadline=deadline, where="here"))
        return self.made[-1]

    def look(self, seconds: float = LONG) -> t.Any:
        return self.handshakes.shown(self.wire, self.shake, deadline=Deadline(seconds))

    def connect(self, seconds: float = LONG) -> ssl.SSLSocket:
        return self.handshakes.connection(self.wire, self.shake, deadline=Deadline(seconds))

    @property
    def place(self) -> t.Any:
        return self.handshakes._places[self.wire]

    def begun(self, *jobs: t.Callable[[], t.Any]) -> list[threading.Thread]:
        threads = [threading.Thread(target=job) for job in jobs]
        for thread in threads:
            thread.start()
        return threads


@pytest.fixture
def endpoint(demo_ca: DemoCa) -> t.Iterator[Endpoint]:
    with TlsServer(demo_ca.issue()) as server:
        made = Endpoint(server, demo_ca)
        yield made
        for plug in made.made:
            plug.close()


def echoes(plug: ssl.SSLSocket) -> bool:
    plug.sendall(b"here")
    return plug.recv(4) == b"here"


def test_what_a_connection_showed_is_known_to_who_looks_later(endpoint: Endpoint) -> None:
    plug = endpoint.connect()
    seen = endpoint.look()
    assert seen == shown_by(plug) == endpoint.look()
    assert (seen.version, len(seen.sent)) == ("TLSv1.3", 1)
    assert (len(endpoint.made), echoes(plug)) == (1, True)


def test_who_only_looked_leaves_no_connection_behind(endpoint: Endpoint) -> None:
    endpoint.look()
    assert endpoint.made[0].fileno() == -1
    assert endpoint.place.handed == []
    assert echoes(endpoint.connect())
    assert len(endpoint.made) == 2


def test_who_waits_takes_over_the_connection_of_who_looks(endpoint: Endpoint, patient: None) -> None:
    endpoint.may_begin.clear()
    seen: list[t.Any] = []
    taken: list[ssl.SSLSocket] = []
    looking = endpoint.begun(lambda: seen.append(endpoint.look()))
    await_true(lambda: endpoint.place.looking == 1, seconds=LONG, what="the handshake")
    waiting = endpoint.begun(*[lambda: taken.append(endpoint.connect())] * 2)
    await_true(lambda: endpoint.place.waiting == 2, seconds=LONG, what="who waits")
    endpoint.may_begin.set()
    for thread in (*looking, *waiting):
        thread.join(LONG)
    assert len(endpoint.made) == 2, "one is handed over, and one is of its own"
    assert [echoes(plug) for plug in taken] == [True, True]
    assert shown_by(taken[0]).sent == seen[0].sent


def test_who_looks_waits_for_a_connection_that_is_under_way(endpoint: Endpoint, patient: None) -> None:
    endpoint.may_begin.clear()
    seen: list[t.Any] = []
    connecting = endpoint.begun(endpoint.connect)
    await_true(lambda: endpoint.place.shaking == 1, seconds=LONG, what="the handshake")
    looking = endpoint.begun(lambda: seen.append(endpoint.look()))
    endpoint.may_begin.set()
    for thread in (*connecting, *looking):
        thread.join(LONG)
    assert (len(endpoint.made), len(seen)) == (1, 1)


def test_who_sends_does_not_wait_for_who_sends(endpoint: Endpoint, patient: None) -> None:
    endpoint.may_begin.clear()
    connecting = endpoint.begun(endpoint.connect, endpoint.connect)
    await_true(lambda: endpoint.place.shaking == 2, seconds=LONG, what="both handshakes")
    endpoint.may_begin.set()
    for thread in connecting:
        thread.join(LONG)
    assert len(endpoint.made) == 2


@pytest.mark.parametrize("problem", [UnexpectedAnswer("Not trusted."), TimedOut("Too slow."), ValueError("a defect")])
def test_what_fails_is_nobody_elses_answer(endpoint: Endpoint, patient: None, problem: Exception) -> None:
    for ask in (endpoint.look, endpoint.connect):
        endpoint.problems = [problem]
        with pytest.raises(type(problem)):
            ask()
        assert (endpoint.place.shaking, endpoint.place.looking, endpoint.place.shown) == (0, 0, None)
    assert endpoint.look().version == "TLSv1.3"


def test_a_handshake_that_hangs_holds_nobody_up_for_long(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", 0.01)
    may_end = threading.Event()

    def hang() -> ssl.SSLSocket:
        may_end.wait(LONG)
        raise TimedOut("It hung.")

    def look() -> None:
        with contextlib.suppress(TimedOut):
            endpoint.handshakes.shown(endpoint.wire, hang, deadline=Deadline(LONG))

    hung = endpoint.begun(look)
    await_true(lambda: endpoint.place.looking == 1, seconds=LONG, what="the handshake")
    assert echoes(endpoint.connect())
    assert endpoint.look().version == "TLSv1.3"
    may_end.set()
    hung[0].join(LONG)


def test_a_limit_that_has_passed_begins_nothing(endpoint: Endpoint) -> None:
    for ask in (endpoint.look, endpoint.connect):
        with pytest.raises(TimedOut, match=f"The TLS handshake with {HOST}:{endpoint.server.port}"):
            ask(0.0)
    assert (endpoint.made, endpoint.place.waiting, endpoint.place.shaking) == ([], 0, 0)


@pytest.mark.parametrize("other", [{"host": "127.0.0.2"}, {"port": 1}, {"name": "else"}, {"starttls": "smtp"}])
def test_only_the_same_wire_is_shared(endpoint: Endpoint, other: dict[str, t.Any]) -> None:
    endpoint.look()
    with pytest.raises(RuntimeError, match="asked itself"):
        endpoint.handshakes.shown(endpoint.wire._replace(**other), refuse, deadline=Deadline(LONG))


def refuse() -> ssl.SSLSocket:
    raise RuntimeError("asked itself")
