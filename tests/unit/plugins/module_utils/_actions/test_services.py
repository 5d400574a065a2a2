# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port is closed where it refuses, and nowhere else."""

from __future__ import annotations

import itertools
import resource
import socket
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import services
from ansible_collections.opsready.golive.plugins.module_utils._clients import sockets
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, Unreachable


class Stopping:
    """What is asked of a Work while ports are awaited."""

    params: t.ClassVar[dict[str, t.Any]] = {"stop_timeout": 0.2}


def await_closed(address: str) -> None:
    outcomes = {"backend": {"name": "backend", "before": "running", "after": "stopped"}}
    services._await_closed(t.cast(services.Work, Stopping()), address, outcomes)


def test_a_refused_connection_is_closed_and_an_accepted_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert services.port_state(address) == "open"
        with pytest.raises(ActionFailed, match=f"Something still listens on {address} after 0.2 s") as failed:
            await_closed(address)
        assert "users may still reach it" in failed.value.remedy
        assert failed.value.known["changed"]
    assert services.port_state(address) == "closed"
    await_closed(address)


def test_a_name_that_does_not_resolve_is_not_a_closed_port() -> None:
    address = "no-such-host.invalid:80"
    with pytest.raises(Unreachable, match="does not resolve"):
        services.port_state(address)
    said = f"Whether anything listens on {address} is not known: The name no-such-host.invalid does not resolve"
    with pytest.raises(ActionFailed, match=said) as failed:
        await_closed(address)
    assert failed.value.known["services"]


def test_without_a_descriptor_to_try_it_with_no_port_is_closed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = socket.socket()
    lowest = probe.fileno()
    probe.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        with pytest.raises(Unreachable, match="Too many open files"):
            services.port_state("127.0.0.1:9")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_silence_is_what_a_firewall_does_and_not_a_closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for waiting in (first, second):  # a full queue answers nobody: the kernel drops what comes
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        monkeypatch.setattr(services, "_KNOCK_SECONDS", 0.1)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert services.port_state(address) == "filtered"
        with pytest.raises(ActionFailed, match=f"Nothing came back from {address}, neither") as failed:
            await_closed(address)
        assert "firewall" in failed.value.remedy


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([sockets.CLOSED, sockets.CLOSED], "closed"),
        ([sockets.CLOSED, sockets.OPEN], "open"),
        ([sockets.CLOSED, sockets.FILTERED], "filtered"),
        ([Unreachable("no such address here"), sockets.CLOSED], "closed"),
        ([Unreachable("no such address here"), Unreachable("nor here")], None),
    ],
)
def test_every_address_of_a_name_counts(monkeypatch: pytest.MonkeyPatch, said: list[t.Any], state: str | None) -> None:
    addresses = [(socket.AF_INET6, ("::1", 9, 0, 0)), (socket.AF_INET, ("127.0.0.1", 9))]
    monkeypatch.setattr(services, "resolved", lambda host, port, deadline: addresses)
    answers = itertools.cycle(said)

    def knocked(address: str, port: int, *, seconds: float) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(sockets, "knocked", knocked)
    if state is None:
        with pytest.raises(Unreachable, match="nor here"):
            services.port_state("localhost:9")
    else:
        assert services.port_state("localhost:9") == state
