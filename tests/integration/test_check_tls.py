# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_tls against real servers and real files, one for each way in which a certificate can be wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_tls, registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._clients import tls
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import secrets_in, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import (
    Answer,
    DemoCa,
    HangingServer,
    HttpServer,
    Issued,
    IssuedPaths,
    Postgres,
    ScriptedServer,
    TlsServer,
    debian_postgres_versions,
)

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ModuleRun

PASSPHRASE = "passphrase-6d0f2b9c7e"
serves = pytest.mark.serves


def finding(*, seconds: float = 5.0, shared: Shared | None = None, **params: t.Any) -> dict[str, t.Any]:
    checked = validated(check_tls.ARGUMENT_SPEC, params, where="check_tls", **check_tls.CONSTRAINTS)
    scrub = Scrubber(secrets_in(check_tls.ARGUMENT_SPEC, params))
    found = judged(registry.load("check_tls"), checked, Run(timeout_seconds=seconds, scrubber=scrub, shared=shared))
    assert PASSPHRASE not in json.dumps(found)
    assert "PRIVATE KEY" not in json.dumps(found)
    return found


@pytest.fixture(scope="module")
def good(demo_ca: DemoCa, tmp_path_factory: pytest.TempPathFactory) -> IssuedPaths:
    return demo_ca.issue().write(tmp_path_factory.mktemp("good"))


@pytest.fixture
def ca_file(good: IssuedPaths) -> str:
    return str(good.ca)


def at(server: TlsServer) -> str:
    return f"127.0.0.1:{server.port}"


def test_a_good_endpoint_passes_with_its_chain_in_the_evidence(intermediate_ca: DemoCa, ca_file: str) -> None:
    with TlsServer(intermediate_ca.issue()) as server:
        found = finding(endpoints=[at(server)], ca_file=ca_file, names=["localhost"])
        assert found["status"] == "pass", found
        told = found["evidence"][at(server)]
        assert told["protocol"] == "TLSv1.3"
        assert [link["subject"] for link in told["chain"]] == ["CN=localhost", "CN=Demo Intermediate CA"]
        assert told["anchor"] == "CN=Demo CA"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"days": 3}, "days left is 2.9 days, expected at least 30 days"),
        ({"days": -2}, "certificate has expired"),
        ({"days": 100, "valid_for": 50}, "not yet valid"),
        ({"self_signed": True}, "signed by itself"),
        ({"names": ["other.example.org"]}, "it is for other.example.org"),
        ({"usage": "client"}, "usage is another use"),
    ],
)
def test_each_wrong_certificate_fails_and_says_why(
    demo_ca: DemoCa, ca_file: str, options: dict[str, t.Any], said: str
) -> None:
    with TlsServer(demo_ca.issue(**options)) as server:
        found = finding(endpoints=[at(server)], ca_file=ca_file)
    assert found["status"] == "fail", found
    assert said in found["summary"]


def test_a_small_key_fails(demo_ca: DemoCa, tmp_path: Path) -> None:
    # as a file: OpenSSL does not even load such a key into a server
    found = finding(files=[{"certificate": str(demo_ca.issue(key="rsa-1024").write(tmp_path).certificate)}])
    assert found["status"] == "fail"
    assert "RSA key is 1024 bits" in found["summary"]


def test_a_missing_intermediate_is_explained(intermediate_ca: DemoCa, ca_file: str) -> None:
    with TlsServer(intermediate_ca.issue(with_chain=False)) as server:
        found = finding(endpoints=[at(server)], ca_file=ca_file)
    assert found["status"] == "fail"
    assert "the chain of 1 ends at CN=Demo Intermediate CA" in found["summary"]
    assert "intermediate certificates" in found["remedy"]


def test_an_unknown_authority_fails(demo_ca: DemoCa) -> None:
    with TlsServer(demo_ca.issue()) as server:
        assert "is not among the trusted" in finding(endpoints=[at(server)])["summary"]


def test_the_anchor_on_this_host_must_last_too(tmp_path: Path) -> None:
    authority = DemoCa("Old CA", days=10)
    issued = authority.issue(days=60)
    with TlsServer(issued) as server:
        found = finding(endpoints=[at(server)], ca_file=str(issued.write(tmp_path).ca))
    assert found["status"] == "fail"
    assert "issuer CN=Old CA days left is 9.9 days" in found["summary"]


def test_the_name_that_is_asked_for(demo_ca: DemoCa, ca_file: str) -> None:
    with TlsServer(demo_ca.issue(["archive.example.org"])) as server:
        through = {"host": "archive.example.org", "connect_to": at(server)}
        assert finding(endpoints=[through], ca_file=ca_file)["status"] == "pass"
        named = {"host": "127.0.0.1", "port": server.port, "sni": "archive.example.org"}
        found = finding(endpoints=[named], ca_file=ca_file)
        assert found["status"] == "pass"
        assert f"{at(server)} (archive.example.org)" in found["evidence"]
        assert finding(endpoints=[{**named, "names": ["www.example.org"]}], ca_file=ca_file)["status"] == "fail"


@serves("S1.21", case="pass")
def test_what_is_served_is_what_lies_on_disk_with_its_key(
    intermediate_ca: DemoCa, ca_file: str, tmp_path: Path
) -> None:
    issued = intermediate_ca.issue()
    paths = issued.write(tmp_path)
    with TlsServer(issued) as server:
        found = finding(
            endpoints=[at(server)],
            files=[{"certificate": str(paths.chain), "key": str(paths.key)}],
            match_file=str(paths.chain),
            names=["localhost"],
            ca_file=ca_file,
        )
    assert found["status"] == "pass", found["summary"]
    served, stored = found["evidence"][at(server)]["chain"], found["evidence"][str(paths.chain)]["chain"]
    assert [link["subject"] for link in served] == ["CN=localhost", "CN=Demo Intermediate CA"]
    assert served[0]["sha256"] == stored[0]["sha256"]
    assert found["measured"][f"{at(server)} served certificate"] == f"sha256 {stored[0]['sha256'][:16]}"
    assert found["measured"][f"{paths.chain} key"] == "matches"
    for leaf in (served[0], stored[0]):
        assert "localhost" in leaf["names"]
        assert leaf["days_left"] >= 30
        assert leaf["not_after"].endswith("Z")


@serves("S1.21", case="fail")
def test_a_certificate_about_to_end_with_another_key_on_disk_fails(
    demo_ca: DemoCa, ca_file: str, tmp_path: Path
) -> None:
    served, renewed = demo_ca.issue(days=3), demo_ca.issue().write(tmp_path / "renewed")
    other = demo_ca.issue().write(tmp_path / "other")
    with TlsServer(served) as server:
        found = finding(
            endpoints=[at(server)],
            files=[{"certificate": str(renewed.certificate), "key": str(other.key)}],
            match_file=str(renewed.certificate),
            ca_file=ca_file,
        )
    assert found["status"] == "fail"
    for part in (
        "days left is 2.9 days, expected at least 30 days",
        "serves another certificate than the one in",
        "does not belong to",
    ):
        assert part in found["summary"], found["summary"]


def proxied(public: TlsServer, plain: HttpServer, app_port: int, ca_file: str) -> list[dict[str, t.Any]]:
    """The findings of the three items by which a TLS proxy before an application is judged."""
    name = {"host": "archive.example.org", "connect_to": at(public)}
    asked: dict[str, dict[str, t.Any]] = {
        "check_tls": {"endpoints": [name], "ca_file": ca_file},
        "check_http": {"url": f"{plain.url}/", "redirects_to": "https://archive.example.org/"},
        "check_net": {"ports": [{"host": "127.0.0.1", "ports": [app_port], "expect": "closed"}]},
    }
    items = [{"id": check, "check": check, "params": params, "timeout": 20.0} for check, params in asked.items()]
    return judge_all(items, [], timeout_seconds=60, scrub=Scrubber([]))


@serves("S0.9", case="pass")
def test_a_proxy_serves_a_good_certificate_redirects_to_it_and_hides_the_application(
    demo_ca: DemoCa, ca_file: str, http_server: HttpServer, refused_port: int
) -> None:
    http_server.route("/", Answer(308, headers={"Location": "https://archive.example.org/"}))
    with TlsServer(demo_ca.issue(["archive.example.org"])) as public:
        found = proxied(public, http_server, refused_port, ca_file)
    assert [one["status"] for one in found] == ["pass"] * 3, found
    (told,) = found[0]["evidence"].values()
    leaf = told["chain"][0]
    assert (told["trust"], told["protocol"], leaf["issuer"]) == ("trusted", "TLSv1.3", "CN=Demo CA")
    assert (leaf["names"], leaf["days_left"] >= 30) == (["archive.example.org"], True)
    assert leaf["not_after"].endswith("Z")
    assert "308" in str(found[1]["measured"])
    assert "closed" in str(found[2]["measured"])


@serves("S0.9", case="fail")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"days": -2}, "certificate has expired"),
        ({"names": ["other.example.org"]}, "it is for other.example.org"),
        ({"self_signed": True}, "signed by itself"),
    ],
)
def test_a_proxy_with_a_bad_certificate_without_redirect_before_an_open_application_fails(
    demo_ca: DemoCa, ca_file: str, http_server: HttpServer, options: dict[str, t.Any], said: str
) -> None:
    http_server.route("/", Answer(200, "plain"))
    with TlsServer(demo_ca.issue(**{"names": ["archive.example.org"], **options})) as public:
        found = proxied(public, http_server, http_server.port, ca_file)
    assert [one["status"] for one in found] == ["fail"] * 3, found
    assert said in found[0]["summary"]
    assert "nowhere" in found[1]["summary"]
    assert "is open" in found[2]["summary"]


def test_a_renewed_file_that_was_not_reloaded_fails(demo_ca: DemoCa, ca_file: str, tmp_path: Path) -> None:
    served, renewed = demo_ca.issue(days=40), demo_ca.issue()
    with TlsServer(served) as server:
        same = str(served.write(tmp_path / "same").certificate)
        other = str(renewed.write(tmp_path / "other").certificate)
        assert finding(endpoints=[at(server)], ca_file=ca_file, match_file=same)["status"] == "pass"
        found = finding(endpoints=[at(server)], ca_file=ca_file, match_file=other)
        assert found["status"] == "fail"
        assert "serves another certificate than the one in" in found["summary"]
        absent = finding(endpoints=[at(server)], ca_file=ca_file, match_file=str(tmp_path / "absent"))
        assert absent["status"] == "unknown"


def test_old_versions_are_found_out(demo_ca: DemoCa, ca_file: str) -> None:
    with TlsServer(demo_ca.issue(), min_version=ssl.TLSVersion.TLSv1_2, max_version=ssl.TLSVersion.TLSv1_2) as server:
        assert finding(endpoints=[at(server)], ca_file=ca_file, refuses_older=True)["status"] == "pass"
        found = finding(endpoints=[at(server)], ca_file=ca_file, min_version="TLSv1.3", refuses_older=True)
        assert found["status"] == "fail"
        assert "protocol is TLSv1.2, expected TLSv1.3" in found["summary"]
        assert "still speaks TLSv1.2" in found["summary"]


def test_a_server_of_yesterday_is_explained(demo_ca: DemoCa, ca_file: str) -> None:
    server = TlsServer(demo_ca.issue(key="rsa-2048"))
    server._context.set_ciphers("ALL:@SECLEVEL=0")
    server._context.minimum_version = ssl.TLSVersion.TLSv1
    server._context.maximum_version = ssl.TLSVersion.TLSv1_1
    with server:
        found = finding(endpoints=[at(server)], ca_file=ca_file, refuses_older=True)
    assert found["status"] == "fail", found
    assert "protocol is TLSv1.1, expected one of TLSv1.2, TLSv1.3" in found["summary"]
    assert "still speaks TLSv1, TLSv1.1" in found["summary"]


def test_an_old_version_that_this_host_cannot_offer_is_unknown(
    demo_ca: DemoCa, ca_file: str, tmp_path: Path, run_module: ModuleRun
) -> None:
    policy = tmp_path / "openssl.cnf"
    policy.write_text(
        "openssl_conf = all\n[all]\nssl_conf = tls\n[tls]\nsystem_default = lowest\n[lowest]\nProtocol = -TLSv1\n"
    )
    here = {"OPENSSL_CONF": str(policy)}
    options = {"ca_file": ca_file, "refuses_older": True, "enforce": False}
    with TlsServer(demo_ca.issue()) as server:
        found = run_module("check_tls", {**options, "endpoints": [at(server)]}, environment=here)["finding"]
        assert found["status"] == "unknown", found
        assert "the OpenSSL policy of this host does not let us offer TLSv1" in found["summary"]
        assert "TLSv1.1" not in found["summary"]
        assert run_module("check_tls", {**options, "endpoints": [at(server)]})["finding"]["status"] == "pass"
    with TlsServer(demo_ca.issue(), max_version=ssl.TLSVersion.TLSv1_2) as server:
        options.update(endpoints=[at(server)], min_version="TLSv1.3")
        assert run_module("check_tls", options, environment=here)["finding"]["status"] == "fail"


def test_an_endpoint_without_a_certificate_fails_and_the_others_are_judged(demo_ca: DemoCa, ca_file: str) -> None:
    bare = TlsServer(demo_ca.issue())
    bare._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bare._context.maximum_version = ssl.TLSVersion.TLSv1_2
    bare._context.set_ciphers("aNULL:@SECLEVEL=0")
    with bare, TlsServer(demo_ca.issue()) as server:
        found = finding(endpoints=[at(bare), at(server)], ca_file=ca_file, match_file=ca_file, names=["localhost"])
    assert found["status"] == "fail", found
    assert f"{at(bare)} shows no certificate" in found["summary"]
    assert found["measured"][f"{at(server)} trust"] == "trusted"
    assert found["evidence"][at(bare)]["chain"] == []


def test_no_server_a_hanging_one_and_one_without_tls_are_unknown(
    demo_ca: DemoCa, ca_file: str, refused_port: int, hanging_server: HangingServer
) -> None:
    with TlsServer(demo_ca.issue()) as server, ScriptedServer(lambda c: c.sendall(b"SSH-2.0\r\n")) as plain:
        endpoints = [f"127.0.0.1:{port}" for port in (refused_port, hanging_server.port, plain.port, server.port)]
        found = finding(seconds=0.8, endpoints=endpoints, ca_file=ca_file)
        assert found["status"] == "unknown"
        for said in ("connection refused", "did not end the TLS handshake within 0.8 s", "did not agree on TLS"):
            assert said in found["summary"]
        assert found["measured"][f"{at(server)} trust"] == "trusted"


def agree_to_tls(connection: socket.socket) -> None:
    """As PostgreSQL does."""
    assert connection.recv(8) == bytes.fromhex("0000000804d2162f")
    connection.sendall(b"S")


def test_postgres_is_asked_for_tls_in_its_own_words(demo_ca: DemoCa, ca_file: str) -> None:
    with TlsServer(demo_ca.issue(), prelude=agree_to_tls) as server:
        endpoint = {"host": "127.0.0.1", "port": server.port, "starttls": "postgres"}
        assert finding(endpoints=[endpoint], ca_file=ca_file)["status"] == "pass"


def test_a_real_postgres_without_tls_is_unknown_and_says_so(postgres: Postgres) -> None:
    found = finding(endpoints=[{"host": "127.0.0.1", "port": postgres.port, "starttls": "postgres"}])
    assert found["status"] == "unknown"
    assert "does not offer TLS to PostgreSQL clients" in found["summary"]


def test_a_real_postgres_with_tls_shows_its_certificate(demo_ca: DemoCa, ca_file: str) -> None:
    versions = debian_postgres_versions()
    need_part("debian-postgres", versions, "no postgresql package is installed")
    with Postgres(versions[0], tls=demo_ca.issue()) as server:
        endpoint = {"host": "127.0.0.1", "port": server.port, "starttls": "postgres"}
        found = finding(endpoints=[endpoint], ca_file=ca_file, refuses_older=True)
        assert found["status"] == "pass", found["summary"]
        (told,) = found["evidence"].values()
        assert (told["protocol"], told["trust"], told["chain"][0]["names"]) == (
            "TLSv1.3",
            "trusted",
            ["localhost", "127.0.0.1"],
        )
        assert "is not among the trusted" in finding(endpoints=[endpoint])["summary"]
        plain = finding(endpoints=[{**endpoint, "starttls": "none"}], ca_file=ca_file)
        assert plain["status"] == "unknown", plain["summary"]
    with Postgres(versions[0], tls=demo_ca.issue(days=-2)) as server:
        found = finding(endpoints=[{**endpoint, "port": server.port}], ca_file=ca_file)
        assert (found["status"], "certificate has expired" in found["summary"]) == ("fail", True)


class ServersOfAName:
    """Servers at 127.0.0.1, 127.0.0.2, … and one port, and the name that has these addresses."""

    name = "archive.example.org"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *certificates: Issued | None) -> None:
        self._stack = contextlib.ExitStack()
        first = TlsServer(t.cast(Issued, certificates[0]))
        self.port = first.port
        self._stack.enter_context(first)
        addresses = [f"127.0.0.{number}" for number in range(1, len(certificates) + 1)]
        for address, issued in zip(addresses[1:], certificates[1:]):
            if issued is not None:
                other = TlsServer(issued)
                other._socket.close()
                other._socket = socket.create_server((address, self.port))
                self._stack.enter_context(other)
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_options: self._resolved(host, port, addresses))

    def _resolved(self, host: str, port: int, addresses: list[str]) -> list[t.Any]:
        if host != self.name:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    def __enter__(self) -> ServersOfAName:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._stack.close()


def test_each_address_of_a_name_is_judged_and_told_apart(
    monkeypatch: pytest.MonkeyPatch, demo_ca: DemoCa, ca_file: str, tmp_path: Path
) -> None:
    renewed, old = demo_ca.issue([ServersOfAName.name]), demo_ca.issue([ServersOfAName.name], days=3)
    on_disk = str(renewed.write(tmp_path).certificate)
    with ServersOfAName(monkeypatch, renewed, old) as servers:
        options = {"endpoints": [f"{servers.name}:{servers.port}"], "ca_file": ca_file, "match_file": on_disk}
        assert finding(**options)["status"] == "pass"
        found = finding(**options, addresses="all")
        assert found["status"] == "fail"
        label = f"{servers.name}:{servers.port} at 127.0.0"
        assert list(found["evidence"]) == [f"{label}.1", f"{label}.2"]
        assert f"{label}.2 days left is 2.9 days" in found["summary"]
        assert f"{label}.2 serves another certificate" in found["summary"]
        assert f"{label}.1" not in found["summary"]
        through = {"host": "other.example.org", "sni": servers.name, "connect_to": f"{servers.name}:{servers.port}"}
        found = finding(endpoints=[{**through, "addresses": "all"}], ca_file=ca_file)
        assert list(found["evidence"]) == [f"other.example.org:443 ({servers.name}) at 127.0.0.{n}" for n in (1, 2)]
    with ServersOfAName(monkeypatch, renewed, renewed) as servers:
        options["endpoints"] = [f"{servers.name}:{servers.port}"]
        found = finding(**options, addresses="all")
        assert found["status"] == "pass"
        assert found["measured"][f"{servers.name}:{servers.port} at every address"].endswith("at 127.0.0.1, 127.0.0.2")


def test_two_good_certificates_at_the_addresses_of_a_name_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, demo_ca: DemoCa, ca_file: str
) -> None:
    name = ServersOfAName.name
    with ServersOfAName(monkeypatch, demo_ca.issue([name]), demo_ca.issue([name], days=70)) as servers:
        found = finding(endpoints=[f"{name}:{servers.port}"], ca_file=ca_file, addresses="all")
        assert found["status"] == "warn", found
        assert (
            f"{name}:{servers.port} does not show the same certificate at every address: sha256 "
            in found["summary"].lower()
        )
        assert finding(endpoints=[f"{name}:{servers.port}"], ca_file=ca_file)["status"] == "pass"


def test_an_address_where_nobody_listens_is_unknown_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, demo_ca: DemoCa, ca_file: str
) -> None:
    with ServersOfAName(monkeypatch, demo_ca.issue([ServersOfAName.name]), None) as servers:
        endpoints = [{"host": servers.name, "port": servers.port, "addresses": "all"}]
        found = finding(endpoints=endpoints, ca_file=ca_file)
        assert (found["status"], "Nothing listens on 127.0.0.2" in found["summary"]) == ("unknown", True)
        assert found["measured"][f"{servers.name}:{servers.port} at 127.0.0.1 trust"] == "trusted"
        assert finding(endpoints=[{**endpoints[0], "addresses": "first"}], ca_file=ca_file)["status"] == "pass"
        gone = finding(endpoints=["gone.example.org:443"], addresses="all")
        assert gone["status"] == "unknown"
        assert "The name gone.example.org does not resolve" in gone["summary"]


DIALOGUES = {
    "smtp": [
        (b"220 mail ESMTP\r\n", b"EHLO"),
        (b"250-mail\r\n250-SIZE\r\n250 STARTTLS\r\n", b"STARTTLS"),
        (b"220 go\r\n", b""),
    ],
    "imap": [(b"* OK ready\r\n", b"a1 STARTTLS"), (b"a1 OK begin\r\n", b"")],
    "pop3": [(b"+OK ready\r\n", b"STLS"), (b"+OK begin\r\n", b"")],
    "ftp": [(b"220 ready\r\n", b"AUTH TLS"), (b"234 go\r\n", b"")],
}


@pytest.mark.parametrize("protocol", DIALOGUES)
def test_starttls_dialogues(demo_ca: DemoCa, ca_file: str, protocol: str) -> None:
    def talk(connection: socket.socket) -> None:
        for said, expected in DIALOGUES[protocol]:
            connection.sendall(said)
            if expected:
                assert connection.recv(1024).startswith(expected)

    with TlsServer(demo_ca.issue(), prelude=talk) as server:
        endpoint = {"host": "127.0.0.1", "port": server.port, "starttls": protocol}
        assert finding(endpoints=[endpoint], ca_file=ca_file)["status"] == "pass"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"554 go away\r\n", "does not offer STARTTLS: it said '554 go away'"),
        (b"", "did not answer to STARTTLS with a line"),
        (b"220-" + b"x" * 5000, "did not answer to STARTTLS with a line"),
        (b"220-x\r\n" * 200, "sent more than 100 lines"),
    ],
)
def test_a_server_that_does_not_know_starttls_is_unknown(said: bytes, told: str) -> None:
    with ScriptedServer(lambda connection: connection.sendall(said)) as server:
        found = finding(endpoints=[{"host": "127.0.0.1", "port": server.port, "starttls": "smtp"}])
    assert found["status"] == "unknown"
    assert told in found["summary"]


def test_a_server_that_never_greets_is_unknown(hanging_server: HangingServer) -> None:
    for protocol in ("smtp", "postgres"):
        endpoint = {"host": "127.0.0.1", "port": hanging_server.port, "starttls": protocol}
        found = finding(seconds=0.3, endpoints=[endpoint])
        assert found["status"] == "unknown"
        assert "within 0.3 s" in found["summary"]


def test_a_reset_before_tls_is_unknown() -> None:
    def reset(connection: socket.socket) -> None:
        connection.sendall(b"+OK ready\r\n")
        connection.recv(1024)
        # closing with an empty linger time sends a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with ScriptedServer(reset) as server:
        found = finding(endpoints=[{"host": "127.0.0.1", "port": server.port, "starttls": "pop3"}])
    assert (found["status"], "ended the connection before TLS" in found["summary"]) == ("unknown", True)


def test_items_of_one_call_share_a_handshake(demo_ca: DemoCa, ca_file: str) -> None:
    with TlsServer(demo_ca.issue()) as server:
        shared = Shared()
        for _turn in range(3):
            assert finding(endpoints=[at(server)], ca_file=ca_file, shared=shared)["status"] == "pass"
        assert server.accepted == 1


def test_a_certificate_with_its_key_and_chain_passes(intermediate_ca: DemoCa, tmp_path: Path) -> None:
    paths = intermediate_ca.issue().write(tmp_path)
    assert finding(files=[{"certificate": str(paths.chain), "key": str(paths.key)}])["status"] == "pass"
    split = finding(files=[{"certificate": str(paths.certificate), "chain": str(paths.ca), "names": ["localhost"]}])
    assert split["status"] == "fail"
    assert "not signed by the next one" in split["summary"]


def test_a_file_without_its_intermediate_does_not_lead_to_the_authority(
    intermediate_ca: DemoCa, demo_ca: DemoCa, ca_file: str, tmp_path: Path
) -> None:
    paths = intermediate_ca.issue().write(tmp_path / "whole")
    assert finding(files=[{"certificate": str(paths.chain)}], ca_file=ca_file)["status"] == "pass"
    bare = intermediate_ca.issue(with_chain=False).write(tmp_path / "bare")
    found = finding(files=[{"certificate": str(bare.certificate)}], ca_file=ca_file)
    assert found["status"] == "fail", found
    assert (
        "does not lead to an authority that is trusted: the chain of 1 ends at CN=Demo Intermediate CA"
        in found["summary"]
    )
    own = str(demo_ca.issue(self_signed=True).write(tmp_path / "own").certificate)
    assert finding(files=[{"certificate": own}], ca_file=own)["status"] == "pass"
    assert finding(files=[{"certificate": own}], ca_file=ca_file)["status"] == "fail"


def test_a_certificate_in_der_is_read(demo_ca: DemoCa, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    path = tmp_path / "cert.der"
    path.write_bytes(demo_ca.issue().certificate.public_bytes(Encoding.DER))
    assert finding(files=[{"certificate": str(path)}])["status"] == "pass"


def test_a_key_of_another_certificate_and_one_for_everybody_fail(demo_ca: DemoCa, tmp_path: Path) -> None:
    one, two = demo_ca.issue().write(tmp_path / "one"), demo_ca.issue().write(tmp_path / "two")
    two.key.chmod(0o644)
    found = finding(files=[{"certificate": str(one.certificate), "key": str(two.key)}])
    assert found["status"] == "fail"
    assert "does not belong to" in found["summary"] and "(mode 0644)" in found["summary"]


def test_encrypted_keys_need_their_passphrase(demo_ca: DemoCa, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    paths = demo_ca.issue().write(tmp_path)
    loaded = serialization.load_pem_private_key(paths.key.read_bytes(), None)
    paths.key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )
    file = {"certificate": str(paths.certificate), "key": str(paths.key)}
    assert finding(files=[{**file, "key_passphrase": PASSPHRASE}])["status"] == "pass"
    for options, said in (
        ({}, "is encrypted, and no key_passphrase"),
        ({"key_passphrase": f"{PASSPHRASE}x"}, "cannot be read with this key_passphrase"),
    ):
        found = finding(files=[{**file, **options}])
        assert found["status"] == "unknown"
        assert said in found["summary"]
    plain = demo_ca.issue().write(tmp_path / "plain")
    found = finding(
        files=[{"certificate": str(plain.certificate), "key": str(plain.key), "key_passphrase": PASSPHRASE}]
    )
    assert "is not encrypted" in found["summary"]


def test_files_that_cannot_be_read_are_unknown(demo_ca: DemoCa, tmp_path: Path) -> None:
    paths = demo_ca.issue().write(tmp_path)
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for certificate, key, said in (
        (nonsense, None, "no certificate that can be read"),
        (broken, None, "no certificate that can be read"),
        (tmp_path / "absent", None, "No such file"),
        (paths.certificate, nonsense, "cannot be read"),
        (paths.certificate, broken, "cannot be read"),
        (paths.certificate, tmp_path / "absent", "No such file"),
    ):
        file = {"certificate": str(certificate), **({"key": str(key)} if key else {})}
        found = finding(files=[file])
        assert found["status"] == "unknown", found
        assert said in found["summary"]


def test_a_file_that_may_not_be_read_is_denied(monkeypatch: pytest.MonkeyPatch, good: IssuedPaths) -> None:
    # root may read everything, so the kernel's answer is put in place of its own
    def refuse(*_unused: t.Any, **__: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(Denied, match="may not be read by user id"):
        tls.read_file(str(good.key))


def test_a_server_that_sends_nonsense_for_a_certificate_is_unexpected() -> None:
    with pytest.raises(UnexpectedAnswer, match="cannot be read"):
        tls.certificate_of(b"nonsense")


def test_a_missing_library_is_unknown_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, demo_ca: DemoCa, ca_file: str, good: IssuedPaths
) -> None:
    monkeypatch.setitem(deps.FLOORS, "cryptography", ("cryptography", "999.0"))
    with TlsServer(demo_ca.issue()) as server:
        found = finding(endpoints=[at(server)], ca_file=ca_file, files=[{"certificate": str(good.certificate)}])
    assert found["status"] == "unknown"
    assert "999.0 is needed" in found["summary"]
    assert "pip install" in found["remedy"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"endpoints": []}, "endpoints is empty"),
        ({"files": []}, "files is empty"),
        ({"endpoints": ["h:443"], "names": []}, "names is empty"),
        ({"endpoints": ["a b:443"]}, "is not host:port"),
        ({"endpoints": [7]}, "number 1 is neither"),
        ({"endpoints": [{"port": 1}]}, "number 1"),
        ({"endpoints": [{"host": "h", "starttls": "gopher"}]}, "number 1"),
        ({"endpoints": [{"host": "h", "port": 99999}]}, "is not host:port"),
        ({"endpoints": ["h"], "ca_file": "/nonexistent/ca.pem"}, "cannot be used"),
        ({"endpoints": [{"host": "h", "addresses": "some"}]}, "number 1"),
        ({"endpoints": ["h"], "min_remaining": "48"}, "min_remaining is '48', which is not a span of time"),
    ],
)
def test_what_cannot_be_used_is_unknown_and_says_why(params: dict[str, t.Any], said: str) -> None:
    found = finding(**params)
    assert found["status"] == "unknown"
    assert said in found["summary"]


def test_an_address_of_version_six_is_written_in_brackets(refused_port: int) -> None:
    found = finding(endpoints=[f"[::1]:{refused_port}", {"host": "::1", "port": refused_port}])
    assert list(found["measured"]) == [f"[::1]:{refused_port} ({number} of 2)" for number in (1, 2)]


def test_the_examples_run_and_tell_good_from_bad(demo_ca: DemoCa, tmp_path: Path, run_module: ModuleRun) -> None:
    renewed, old = demo_ca.issue(["archive.example.org"]), demo_ca.issue(["archive.example.org"], days=1)
    database = demo_ca.issue(["db.example.org"])
    paths = renewed.write(tmp_path)

    def judge_all_of(public: TlsServer, private: TlsServer) -> dict[str, dict[str, t.Any]]:
        replaced = {
            "[archive.example.org:443]": f'[{{host: archive.example.org, connect_to: "{at(public)}"}}]',
            "/etc/ssl/certs/archive.crt": str(paths.certificate),
            "/etc/ssl/private/archive.key": str(paths.key),
            "/etc/ssl/certs/internal-ca.pem": str(paths.ca),
            "host: db.example.org, port: 5432": f'host: db.example.org, connect_to: "{at(private)}"',
        }
        own = {"ca_file": str(paths.ca), "enforce": False}
        return {
            name: run_module("check_tls", {**own, **options})["finding"]
            for name, options in examples_of("check_tls", replaced).items()
        }

    newest, older = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
    with TlsServer(renewed) as public, TlsServer(database, prelude=agree_to_tls, min_version=newest) as private:
        for name, good in judge_all_of(public, private).items():
            assert good["status"] == "pass", (name, good["summary"])
    with TlsServer(old) as public, TlsServer(database, prelude=agree_to_tls, min_version=older) as private:
        for name, bad in judge_all_of(public, private).items():
            assert bad["status"] == "fail", (name, bad["summary"])


def test_the_module_fails_on_three_days_left(
    demo_ca: DemoCa, ca_file: str, good: IssuedPaths, run_module: ModuleRun
) -> None:
    file = {"certificate": str(good.certificate), "key": str(good.key), "key_passphrase": PASSPHRASE}
    with TlsServer(demo_ca.issue(days=3)) as server:
        answer = run_module(
            "check_tls", {"endpoints": [at(server)], "ca_file": ca_file, "files": [file]}, secrets=[PASSPHRASE]
        )
        assert answer["failed"] and answer["finding"]["status"] == "fail"
        lax = run_module(
            "check_tls", {"endpoints": [at(server)], "ca_file": ca_file, "min_days": 1, "min_lifetime_share": 0}
        )
        assert lax["finding"]["status"] == "pass", lax
