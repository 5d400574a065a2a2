# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_net against real sockets of both families and a real name server."""

from __future__ import annotations

import contextlib
import socket
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import dns
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from tests.conftest import ModuleRun
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import HOST, DnsServer, FilteredPort, HangingServer, free_port

ZONE = """
archive.example.org.  300 IN A     192.0.2.10
archive.example.org.  300 IN A     192.0.2.11
archive.example.org.  300 IN AAAA  2001:db8::10
www.example.org.      600 IN CNAME Archive.Example.org.
example.org.         3600 IN MX    10 mail.example.org.
example.org.         3600 IN NS    ns1.example.org.
example.org.         3600 IN TXT   "v=spf1 mx -all"
example.org.         3600 IN TXT   "Prüfung=" "zwei Teile"
big.example.org.       60 IN TXT   "{long}"
xn--bcher-kva.example. 60 IN A     192.0.2.20
""".replace("{long}", '" "'.join(["x" * 250] * 8))


def judged(run: ModuleRun, **options: t.Any) -> dict[str, t.Any]:
    answer = run("check_net", {"enforce": False, "connect_timeout": 1, **options})
    assert answer["changed"] is False
    assert isinstance(answer.get("finding"), dict), answer
    return answer["finding"]


@pytest.fixture(scope="module")
def names() -> t.Iterator[DnsServer]:
    with DnsServer(ZONE, broken=["broken.example.org"], silent=["silent.example.org"]) as server:
        yield server


def entries(server: DnsServer, *wanted: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return [{"servers": [server.address], **entry} for entry in wanted]


def test_a_zone_that_is_as_it_should_be_passes(names: DnsServer, run_module_here: ModuleRun) -> None:
    finding = judged(
        run_module_here,
        dns=entries(
            names,
            {"name": "archive.example.org", "expect": ["192.0.2.11", "192.0.2.10"], "max_ttl": 300},
            {"name": "archive.example.org", "type": "AAAA", "expect": ["2001:0db8:0::10"]},
            {"name": "www.example.org", "type": "A", "expect": ["192.0.2.10"], "match": "all"},
            {"name": "www.example.org", "type": "CNAME", "expect": ["archive.example.org."]},
            {"name": "example.org", "type": "MX", "expect": ["mail.example.org"]},
            {"name": "example.org", "type": "NS", "expect": ["NS1.example.org", "ns2.example.org"], "match": "any"},
            {"name": "example.org", "type": "TXT", "expect": ["Prüfung=zwei Teile"], "match": "all"},
            {"name": "big.example.org", "type": "TXT", "expect": ["x" * 2000]},
            {"name": "bücher.example", "expect": ["192.0.2.20"]},
            {"name": "gone.example.org", "exists": False},
            {"name": "example.org", "type": "A", "exists": False},
        ),
    )
    assert finding["status"] == "pass", finding["summary"]


def test_what_resolves_elsewhere_or_not_at_all_fails(names: DnsServer, run_module_here: ModuleRun) -> None:
    finding = judged(
        run_module_here,
        dns=entries(
            names,
            {"name": "archive.example.org", "expect": ["192.0.2.10"], "max_ttl": 60},
            {"name": "gone.example.org"},
            {"name": "example.org", "type": "AAAA"},
            {"name": "example.org", "type": "MX", "expect": ["20 mail.example.org"]},
            {"name": "www.example.org", "type": "CNAME", "exists": False, "level": "warn"},
        ),
    )
    assert finding["status"] == "fail"
    at = names.address
    for part in (
        f"archive.example.org A at {at} is 192.0.2.10, 192.0.2.11, expected 192.0.2.10",
        f"lifetime of archive.example.org A at {at} is 300 s, expected at most 60 s",
        f"gone.example.org A at {at} is no such name, expected a record",
        f"example.org AAAA at {at} is no record, expected a record",
        f"example.org MX at {at} is 10 mail.example.org, expected 20 mail.example.org",
        f"www.example.org CNAME at {at} is archive.example.org, expected nothing",
    ):
        assert part.lower() in finding["summary"].lower()


def test_a_server_that_cannot_or_does_not_answer_is_unknown(
    names: DnsServer, run_module_here: ModuleRun, hanging_server: HangingServer
) -> None:
    for name, server, said in (
        ("broken.example.org", names.address, "SERVFAIL"),
        ("silent.example.org", names.address, "did not answer for silent.example.org within"),
        ("archive.example.org", f"{HOST}:{free_port()}", "did not answer for archive.example.org"),
        ("archive.example.org", f"{HOST}:{hanging_server.port}", "archive.example.org"),
        ("archive.example.org", "no-such-host.invalid", "no-such-host.invalid"),
    ):
        finding = judged(run_module_here, dns=[{"name": name, "servers": [server]}], timeout=2)
        assert finding["status"] == "unknown", (name, finding["summary"])
        assert said in finding["summary"]


def test_a_server_that_hangs_hides_neither_other_names_nor_ports(
    names: DnsServer, run_module_here: ModuleRun, refused_port: int
) -> None:
    finding = judged(
        run_module_here,
        dns=entries(names, {"name": "silent.example.org"}, {"name": "archive.example.org"}),
        ports=[{"host": HOST, "ports": [refused_port], "expect": "closed"}],
        timeout=4,
    )
    assert finding["status"] == "unknown"
    assert finding["summary"].count(";") == 0
    assert finding["measured"][f"port {HOST}:{refused_port}"] == "closed"
    assert finding["measured"][f"archive.example.org A at {names.address}"] == "192.0.2.10, 192.0.2.11"


def test_one_server_that_lags_behind_is_named(names: DnsServer, run_module_here: ModuleRun) -> None:
    with DnsServer("archive.example.org. 300 IN A 192.0.2.99") as old:
        wanted = {"name": "archive.example.org", "match": "any", "expect": ["192.0.2.10"]}
        finding = judged(run_module_here, dns=[{**wanted, "servers": [names.address, old.address]}])
    assert finding["status"] == "fail"
    assert f"at {old.address} is 192.0.2.99, expected any of 192.0.2.10" in finding["summary"]
    assert f"at {names.address}" not in finding["summary"]


def test_without_a_server_the_hosts_own_resolver_is_asked(run_module_here: ModuleRun) -> None:
    assert judged(run_module_here, dns=[{"name": "localhost", "expect": ["127.0.0.1"]}])["status"] == "pass"
    finding = judged(run_module_here, dns=[{"name": "localhost", "expect": ["127.0.0.2"]}])
    assert "localhost A is 127.0.0.1, expected 127.0.0.2" in finding["summary"]


def test_a_host_without_the_library_is_unknown_and_needs_none_for_addresses(
    names: DnsServer, run_module_here: ModuleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(deps.FLOORS, "dns", ("dnspython", "999.0"))
    finding = judged(run_module_here, dns=entries(names, {"name": "archive.example.org"}))
    assert finding["status"] == "unknown"
    assert "dnspython" in finding["summary"]
    assert judged(run_module_here, dns=[{"name": "localhost"}])["status"] == "pass"


# ── ports ──


@contextlib.contextmanager
def listening(family: int, address: str, port: int = 0) -> t.Iterator[int]:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(64)
        yield int(listener.getsockname()[1])


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), listening(socket.AF_INET6, "::1"):
        return True
    return False


def test_open_and_closed_ports_are_told_apart(run_module_here: ModuleRun, refused_port: int) -> None:
    with listening(socket.AF_INET, HOST) as port:
        good = [{"host": HOST, "port": port}, {"host": HOST, "ports": [refused_port], "expect": "closed"}]
        finding = judged(run_module_here, ports=good)
        assert finding["status"] == "pass", finding["summary"]
        bad = [{"host": HOST, "ports": [refused_port]}, {"host": HOST, "ports": [port], "expect": "closed"}]
        finding = judged(run_module_here, ports=bad)
    assert finding["status"] == "fail"
    assert f"ort {HOST}:{refused_port} is closed, expected open" in finding["summary"]
    assert f"ort {HOST}:{port} is open, expected closed" in finding["summary"]


def test_a_filtered_port_is_closed_only_where_that_is_asked_for(run_module_here: ModuleRun) -> None:
    with FilteredPort() as silent:
        wanted = {"host": HOST, "ports": [silent.port], "expect": "closed"}
        finding = judged(run_module_here, ports=[wanted])
        assert finding["status"] == "unknown"
        assert "is filtered, and only a refusal proves that it is closed" in finding["summary"]
        assert judged(run_module_here, ports=[{**wanted, "filtered_is_closed": True}])["status"] == "pass"
        finding = judged(run_module_here, ports=[{**wanted, "expect": "open"}])
        assert finding["status"] == "fail"
        assert "is filtered, expected open" in finding["summary"]


def test_both_families_are_tried(
    run_module_here: ModuleRun, refused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_part("ipv6", _has_ipv6(), "this host has no ::1")
    real = dns.resolved
    # no name of this host is sure to have an address of each family
    both = dns.Answer(("127.0.0.1", "::1"), True)
    monkeypatch.setattr(dns, "resolved", lambda name, *rest: both if name == "both.test" else real(name, *rest))
    with listening(socket.AF_INET, HOST) as port:
        wanted = {"host": "both.test", "ports": [port]}
        finding = judged(run_module_here, ports=[wanted])
        assert finding["status"] == "fail"
        assert "127.0.0.1 open, ::1 closed" in finding["summary"]
        assert judged(run_module_here, ports=[{**wanted, "family": "ipv4"}])["status"] == "pass"
        assert judged(run_module_here, ports=[{**wanted, "addresses": "any"}])["status"] == "pass"
        assert judged(run_module_here, ports=[{**wanted, "family": "ipv6"}])["status"] == "fail"
        assert judged(run_module_here, ports=[{**wanted, "family": "ipv6", "expect": "closed"}])["status"] == "pass"
        assert judged(run_module_here, ports=[{**wanted, "expect": "closed"}])["status"] == "fail"
        with listening(socket.AF_INET6, "::1", port):
            assert judged(run_module_here, ports=[{**wanted, "family": "both"}])["status"] == "pass"
    only = judged(run_module_here, ports=[{"host": HOST, "ports": [refused_port], "family": "both"}])
    assert only["status"] == "unknown"
    assert "has no IPv6 address" in only["summary"]


def test_a_host_that_does_not_resolve_is_unknown_also_where_it_must_be_closed(run_module_here: ModuleRun) -> None:
    for expect in ("open", "closed"):
        finding = judged(run_module_here, ports=[{"host": "no-such-host.invalid", "ports": [80], "expect": expect}])
        assert finding["status"] == "unknown"
        assert "no-such-host.invalid" in finding["summary"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dns": []}, "dns is an empty list"),
        ({"ports": []}, "ports is an empty list"),
        ({"ports": [{"host": "h", "ports": []}]}, "ports of h is an empty list"),
        ({"ports": [{"host": "h", "ports": [65536]}]}, "65536 is no port number"),
        ({"ports": [{"host": "h", "ports": [80, 80]}]}, "port h:80 stands in the list twice"),
        ({"dns": [{"name": "h", "expect": ["::1"]}]}, "::1, which is no address of type A"),
        ({"dns": [{"name": "h", "expect": ["web1"]}]}, "'web1', which is no address"),
        ({"dns": [{"name": "h", "expect": []}]}, "expect of h is an empty list"),
        ({"dns": [{"name": "h", "exists": False, "max_ttl": 1}]}, "must not exist, and yet"),
        ({"dns": [{"name": "h", "servers": ["1.2.3.4:dns"]}]}, "is no name server"),
        ({"dns": [{"name": "a..b", "servers": ["127.0.0.1:1"]}]}, "'a..b' cannot be asked for"),
        ({"dns": [{"name": "a" * 64 + ".example"}]}, "is no name that can be resolved"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(
    run_module_here: ModuleRun, options: dict[str, t.Any], said: str
) -> None:
    finding = judged(run_module_here, **options)
    assert finding["status"] == "unknown"
    assert said in finding["summary"]


def test_too_many_ports_are_refused_before_any_is_tried(run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, ports=[{"host": HOST, "ports": list(range(1, 1002))}])
    assert finding["status"] == "unknown"
    assert "These are 1001 ports at their addresses" in finding["summary"]


def test_the_examples_run(names: DnsServer, run_module_here: ModuleRun, refused_port: int) -> None:
    zone, ports = examples_of("check_net").values()
    here = [{**entry, "servers": [names.address]} for entry in zone["dns"]]
    finding = judged(run_module_here, dns=here)
    assert finding["status"] == "pass", finding["summary"]
    with listening(socket.AF_INET, HOST) as port:
        numbers = {443: port, 8000: refused_port}
        tried = [{**e, "host": HOST, "ports": [numbers[n] for n in e["ports"] if n in numbers]} for e in ports["ports"]]
        finding = judged(run_module_here, ports=tried)
    assert finding["status"] == "pass", finding["summary"]


def test_used_alone_the_module_fails_unless_told_otherwise(run_module: ModuleRun, refused_port: int) -> None:
    answer = run_module("check_net", {"ports": [{"host": HOST, "port": [refused_port]}]})
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]
