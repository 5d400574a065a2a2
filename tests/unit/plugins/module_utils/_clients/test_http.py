# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client against real sockets: its deadline holds, its errors name the cause, and secrets stay where they belong."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import typing as t
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from tests.servers import Answer, DemoCa, HangingServer, HttpServer, Request, ScriptedServer, TlsServer

if t.TYPE_CHECKING:
    from pathlib import Path

SECRET = "tok-7f3e9a1c5b2d8e6f"


def get(url: str, seconds: float = 5.0, **options: t.Any) -> http.Response:
    return http.request("GET", url, deadline=Deadline(seconds), **options)


def conversation(*sent: bytes) -> t.Callable[[socket.socket], None]:
    """Read the request's first bytes, then say this, piece by piece."""

    def converse(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in sent:
            connection.sendall(piece)

    return converse


def test_an_answer_has_status_headers_body_and_time(http_server: HttpServer) -> None:
    http_server.route("/x", Answer(201, {"a": 1}, headers={"X-One": "1"}))
    answer = get(f"{http_server.url}/x?q=1")
    assert (answer.status, answer.json(), answer.header("x-one")) == (201, {"a": 1}, "1")
    assert answer.header("x-two") is None
    assert 0 < answer.connect_seconds < answer.seconds
    assert http_server.requests[0].path == "/x?q=1"
    assert http_server.requests[0].headers["Host"] == f"127.0.0.1:{http_server.port}"


def test_a_body_is_sent_with_its_length(http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    http.request("POST", http_server.url, deadline=Deadline(5), body=b"abc", headers={"Content-Type": "text/plain"})
    http.request("PUT", http_server.url, deadline=Deadline(5))
    first, second = http_server.requests
    assert (first.body, first.headers["Content-Length"], second.headers["Content-Length"]) == (b"abc", "3", "0")


def test_an_answer_that_comes_before_the_body_was_read_is_the_answer() -> None:
    def refuse(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")

    with ScriptedServer(refuse) as server:  # with the body unread, closing resets the connection
        url = f"http://127.0.0.1:{server.port}/"
        answer = http.request("POST", url, deadline=Deadline(5), body=b"x" * 20_000_000)
        assert (answer.status, answer.body) == (413, b"large")
    with (
        ScriptedServer(lambda connection: None) as server,
        pytest.raises(UnexpectedAnswer, match="ended the connection"),
    ):
        http.request("POST", f"http://127.0.0.1:{server.port}/", deadline=Deadline(5), body=b"x" * 20_000_000)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_body_that_is_never_read_is_sent_until_there_is_an_answer(
    demo_ca: DemoCa, tmp_path: Path, encrypted: bool
) -> None:
    issued, asked = demo_ca.issue(), threading.Event()

    def refuse(connection: socket.socket) -> None:
        plug = issued.server_context().wrap_socket(connection, server_side=True) if encrypted else connection
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += plug.recv(1)
        plug.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
        asked.wait(30)

    with ScriptedServer(refuse) as server:
        scheme, ca_file = ("https", str(issued.write(tmp_path).ca)) if encrypted else ("http", None)
        url = f"{scheme}://127.0.0.1:{server.port}/"
        answer = http.request("POST", url, deadline=Deadline(20), body=b"x" * 20_000_000, ca_file=ca_file)
        asked.set()
    assert (answer.status, answer.body) == (413, b"large")


def test_connections_are_kept_and_a_closed_one_is_replaced(http_server: HttpServer) -> None:
    ports: list[int] = []
    ended = threading.Event()

    def twice(connection: socket.socket) -> None:
        ports.append(connection.getpeername()[1])
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if len(ports) == 1:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.close()
            ended.set()

    with ScriptedServer(twice) as server, http.HttpClient() as client:
        url = f"http://127.0.0.1:{server.port}/"
        assert client.request("GET", url, deadline=Deadline(5)).connect_seconds > 0
        assert client.request("GET", url, deadline=Deadline(5)).connect_seconds == 0
        assert ended.wait(5)
        assert client.request("GET", url, deadline=Deadline(5)).status == 200
    assert len(ports) == 2


def test_a_post_is_not_sent_into_a_connection_that_has_ended() -> None:
    turns: list[bytes] = []
    ended = threading.Event()

    def once(connection: socket.socket) -> None:
        turns.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.close()
        ended.set()

    with ScriptedServer(once) as server, http.HttpClient() as client:
        url = f"http://127.0.0.1:{server.port}/"
        client.request("GET", url, deadline=Deadline(5))
        assert ended.wait(5)
        assert client.request("POST", url, deadline=Deadline(5), body=b"x").status == 200
    assert len(turns) == 2


def test_an_answer_that_ends_with_the_connection_is_read_whole() -> None:
    with ScriptedServer(conversation(b"HTTP/1.0 200 OK\r\n\r\nab", b"cd")) as server:
        assert get(f"http://127.0.0.1:{server.port}/").body == b"abcd"


def test_an_answer_in_chunks_is_read_whole() -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with ScriptedServer(conversation(said)) as server:
        assert get(f"http://127.0.0.1:{server.port}/").body == b"abcde"


def test_head_has_no_body(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, "abc"))
    assert http.request("HEAD", http_server.url, deadline=Deadline(5)).body == b""


def test_a_body_is_cut_at_the_bound_and_says_so(http_server: HttpServer) -> None:
    http_server.route("/", Answer(200, "x" * 5000))
    answer = get(http_server.url, max_body=1000)
    assert (len(answer.body), answer.is_truncated) == (1000, True)
    with pytest.raises(UnexpectedAnswer, match="more than 1000 bytes"):
        answer.json()
    assert not get(http_server.url, max_body=5000).is_truncated


def test_a_dripping_server_does_not_outlive_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.02):
            connection.sendall(b"x")

    stop = threading.Event()
    with ScriptedServer(drip) as server:
        with pytest.raises(TimedOut, match=r"did not answer GET / within 0\.3 s"):
            get(f"http://127.0.0.1:{server.port}/?token={SECRET}", 0.3)
        stop.set()


def test_a_silent_server_is_timed_out(hanging_server: HangingServer) -> None:
    with pytest.raises(TimedOut, match="did not answer GET /health"):
        get(f"http://127.0.0.1:{hanging_server.port}/health", 0.3)
    with pytest.raises(TimedOut, match="TLS handshake"):
        get(f"https://127.0.0.1:{hanging_server.port}/health", 0.3)


def test_a_server_that_reads_nothing_is_timed_out() -> None:
    stop = threading.Event()
    with ScriptedServer(lambda connection: t.cast(None, stop.wait(10))) as server:
        with pytest.raises(TimedOut):
            http.request("PUT", f"http://127.0.0.1:{server.port}/", deadline=Deadline(0.5), body=b"x" * 20_000_000)
        stop.set()


def test_a_refused_connection_and_an_unknown_name_are_unreachable(refused_port: int) -> None:
    with pytest.raises(Unreachable, match="Nothing listens on"):
        get(f"http://127.0.0.1:{refused_port}/")
    with pytest.raises(http.NoSuchName, match=r"nowhere\.invalid does not resolve"):
        get("http://nowhere.invalid/")


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *_unused, **__: stop.wait(10))
    with pytest.raises(TimedOut, match="was not resolved within"):
        get("http://slow.example/", 0.2)
    stop.set()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", (socket.AF_INET, ("127.0.0.1", 80))),
        ("::1", (socket.AF_INET6, ("::1", 80, 0, 0))),
        ("2001:db8::7", (socket.AF_INET6, ("2001:db8::7", 80, 0, 0))),
    ],
)
def test_an_address_asks_no_resolver(
    monkeypatch: pytest.MonkeyPatch, address: str, expected: tuple[int, t.Any]
) -> None:
    monkeypatch.delattr(http.socket, "getaddrinfo")
    assert http.resolved(address, 80, deadline=Deadline(1)) == [expected]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1.example", "fe80::1%lo", "127.1", "a\0b"])
def test_what_is_no_plain_address_is_the_resolvers_to_say(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    answer = (socket.AF_INET, ("192.0.2.1", 80))
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *_unused, **__: [(answer[0], 1, 0, "", answer[1])])
    assert http.resolved(name, 80, deadline=Deadline(1)) == [answer]


def test_each_address_of_a_name_is_tried(
    monkeypatch: pytest.MonkeyPatch, http_server: HttpServer, refused_port: int
) -> None:
    http_server.route("/", Answer(200))
    addresses = [
        (999, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1)),  # a family that this host cannot speak
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", refused_port)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", http_server.port)),
    ]
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *_unused, **__: addresses)
    assert get("http://several.example/").status == 200
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *_unused, **__: addresses[:1])
    with pytest.raises(Unreachable, match="cannot be reached"):
        get("http://several.example/")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((b"SSH-2.0-OpenSSH\r\n",), "did not answer in HTTP"),
        ((), "ended the connection without a whole answer"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",), "ended the body of / after 3 bytes"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,), "did not answer in HTTP"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), "after 0 bytes|did not answer in HTTP"),
    ],
)
def test_what_is_not_a_whole_http_answer_is_unexpected(said: tuple[bytes, ...], expected: str) -> None:
    with ScriptedServer(conversation(*said)) as server, pytest.raises(UnexpectedAnswer, match=expected):
        get(f"http://127.0.0.1:{server.port}/")


def test_a_connection_to_the_name_with_another_address(demo_ca: DemoCa, tmp_path: Path) -> None:
    issued = demo_ca.issue(["archive.example.org"])
    ca = issued.write(tmp_path).ca
    with HttpServer({"/": Answer(200)}, tls=issued) as server:
        answer = get("https://archive.example.org/", ca_file=str(ca), connect_to=f"127.0.0.1:{server.port}")
        assert answer.status == 200
        assert server.requests[0].headers["Host"] == "archive.example.org"
        with pytest.raises(http.NotTrusted, match=r"refused for 127\.0\.0\.1"):
            get(server.url, ca_file=str(ca))


def test_an_untrusted_certificate_is_never_accepted(demo_ca: DemoCa) -> None:
    with HttpServer({"/": Answer(200)}, tls=demo_ca.issue()) as server:
        with pytest.raises(http.NotTrusted, match=r"self-signed certificate|unable to get local issuer"):
            get(server.url)
        assert server.requests == []


def test_a_server_without_tls_or_with_only_old_tls_did_not_agree(demo_ca: DemoCa, http_server: HttpServer) -> None:
    with pytest.raises(UnexpectedAnswer, match="TLS"):
        get(f"https://127.0.0.1:{http_server.port}/")
    with TlsServer(demo_ca.issue(), min_version=ssl.TLSVersion.TLSv1, max_version=ssl.TLSVersion.TLSv1_1) as old:
        with pytest.raises(UnexpectedAnswer, match="TLS"):
            get(f"https://127.0.0.1:{old.port}/")
    with ScriptedServer(lambda connection: None) as closing, pytest.raises(UnexpectedAnswer, match="TLS"):
        get(f"https://127.0.0.1:{closing.port}/")


def test_a_ca_file_that_cannot_be_used_is_bad_input(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    with pytest.raises(BadInput, match="holds no certificate"):
        http.trust(str(empty))
    with pytest.raises(BadInput, match="No such file"):
        http.trust(str(tmp_path / "absent.pem"))


def redirect(to: str, status: int = 302) -> Answer:
    return Answer(status, "", headers={"Location": to})


def test_redirects_are_followed_when_asked(http_server: HttpServer) -> None:
    http_server.routes.update({"/a": redirect("/b?x=1"), "/b": redirect("c"), "/c": Answer(200, "end")})
    assert get(f"{http_server.url}/a").status == 302
    answer = get(f"{http_server.url}/a", follow=True)
    assert (answer.text(), answer.url) == ("end", f"{http_server.url}/c")
    assert [hop[0] for hop in answer.hops] == [302, 302]


@pytest.mark.parametrize(
    ("status", "method", "body"), [(302, "GET", b""), (303, "GET", b""), (307, "POST", b"x"), (308, "POST", b"x")]
)
def test_a_redirect_keeps_the_method_only_where_it_must(
    http_server: HttpServer, status: int, method: str, body: bytes
) -> None:
    http_server.routes.update({"/a": redirect("/b", status), "/b": Answer(200)})
    http.request("POST", f"{http_server.url}/a", deadline=Deadline(5), body=b"x", follow=True)
    assert (http_server.requests[1].method, http_server.requests[1].body) == (method, body)


def test_a_redirect_of_head_stays_head(http_server: HttpServer) -> None:
    http_server.routes.update({"/a": redirect("/b", 303), "/b": Answer(200)})
    http.request("HEAD", f"{http_server.url}/a", deadline=Deadline(5), follow=True)
    assert http_server.requests[1].method == "HEAD"


def test_secrets_do_not_follow_a_redirect_to_another_origin(http_server: HttpServer) -> None:
    with HttpServer({"*": Answer(200)}) as other:
        http_server.route("/a", redirect(f"{other.url}/b"))
        secrets = {"X-Key": SECRET, **http.bearer(f"{SECRET}\n")}
        get(f"{http_server.url}/a", secret_headers=secrets, headers={"Cookie": SECRET, "X-Plain": "1"}, follow=True)
        assert SECRET in http_server.requests[0].headers["X-Key"]
        assert http_server.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
        assert other.requests[0].headers["X-Plain"] == "1"
        assert SECRET not in json.dumps(other.requests[0].headers)


def test_endless_and_impossible_redirects_are_unexpected(http_server: HttpServer) -> None:
    http_server.routes.update({"/loop": redirect("/loop"), "/ftp": redirect("ftp://u:geheim@host/")})
    with pytest.raises(UnexpectedAnswer, match="redirects more than 5 times"):
        get(f"{http_server.url}/loop", follow=True)
    with pytest.raises(UnexpectedAnswer, match="cannot be followed") as caught:
        get(f"{http_server.url}/ftp", follow=True)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(b'{"a": 1}', mtime=0)), ("deflate", zlib.compress(b'{"a": 1}')), ("identity", b'{"a": 1}')],
)
def test_a_packed_body_is_unpacked(coding: str, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with ScriptedServer(conversation(head + body)) as server:
        assert get(f"http://127.0.0.1:{server.port}/", headers={"Accept-Encoding": "gzip"}).json() == {"a": 1}


def answered(body: bytes, **headers: str) -> http.Response:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return http.Response(200, "OK", named, body, False, 0.1, 0.0, "http://h/")


def test_a_body_of_countless_packed_parts_is_not_followed_to_its_end() -> None:
    part = gzip.compress(b"")
    answer = http.Response(200, "OK", (("Content-Encoding", "gzip"),), part * 1000, False, 0, 0, "http://h/")
    assert (answer.content(), answer.coding) == (b"", "gzip")
    answer = http.Response(200, "OK", (("Content-Encoding", "gzip"),), part * 50_000, False, 0, 0, "http://h/")
    with pytest.raises(UnexpectedAnswer, match="more than 1000 parts"):
        answer.content()


def test_a_packed_bomb_is_unpacked_up_to_the_bound() -> None:
    bomb = answered(gzip.compress(b"x" * 10_000_000), Content_Encoding="gzip")
    assert len(bomb.content(limit=1000)) == 1000


def test_a_body_that_is_longer_unpacked_than_what_is_read_says_so(http_server: HttpServer) -> None:
    """Packed it is short, so its length on the wire tells nothing."""
    long = b'{"a": "' + b"x" * http.MAX_BODY_BYTES + b'", "b": "hidden"}'
    for name, body in (("gzip", gzip.compress(long)), ("deflate", zlib.compress(long))):
        http_server.route("/long", Answer(body=body, headers={"Content-Encoding": name}))
        response = get(f"{http_server.url}/long")
        assert response.is_truncated
        assert len(response.content()) == http.MAX_BODY_BYTES
        with pytest.raises(UnexpectedAnswer, match=f"more than {http.MAX_BODY_BYTES} bytes; JSON cut there"):
            response.json()
    http_server.route(
        "/just", Answer(body=gzip.compress(long[: http.MAX_BODY_BYTES]), headers={"Content-Encoding": "gzip"})
    )
    assert not get(f"{http_server.url}/just").is_truncated


def test_gzip_in_parts_is_read_whole_and_gzip_cut_short_is_not_believed() -> None:
    parts = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 8
    assert answered(parts, Content_Encoding="gzip").content() == b"one two"
    with pytest.raises(UnexpectedAnswer, match="ended its gzip body early"):
        answered(gzip.compress(b"one two three" * 9)[:-12], Content_Encoding="gzip").content()


def test_wrong_codings_and_wrong_json_are_unexpected() -> None:
    for response in (answered(b"abc", Content_Encoding="gzip"), answered(b"abc", Content_Encoding="br")):
        with pytest.raises(UnexpectedAnswer):
            response.text()
    for body in (b"<html>geheim</html>", b"\xff\xfe", b"[" * 100_000, b"[" * 500 + b"]" * 500):
        with pytest.raises(UnexpectedAnswer, match="not JSON") as caught:
            answered(body).json()
        assert "geheim" not in str(caught.value)


def test_text_uses_the_charset_that_is_named() -> None:
    assert answered("ä".encode("latin-1"), Content_Type='text/html; charset="latin-1"').text() == "ä"
    assert answered("ä".encode(), Content_Type="text/html; charset=nonsense").text() == "ä"
    assert answered(b"\xff").text() == "�"


def test_several_headers_of_a_name_are_joined_or_listed() -> None:
    response = http.Response(200, "OK", (("Set-Cookie", "a"), ("set-cookie", "b")), b"", False, 0, 0, "http://h/")
    assert response.header("SET-COOKIE") == "a, b"
    assert response.header_values("Set-Cookie") == ["a", "b"]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:geheim@host/",
        "http://user:ge@heim@host/",
        "http://user:geheim/x@host:nan/",
        "http://user@host/",
        "ftp://host/",
        "http:///x",
        "host:80",
        "",
        "http://host:99999/",
        "http://[::1/",
        "http://" + "ä" * 70 + ".example/",
    ],
)
def test_a_url_that_cannot_be_used_is_bad_input_without_its_password(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        http.origin_of(url)
    assert "geheim" not in str(caught.value) and "heim@" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://h", "http://h:80", "/"),
        ("https://H:8443/a b?q=ü", "https://h:8443", "/a%20b?q=%C3%BC"),
        ("http://[::1]:8000/x#frag", "http://[::1]:8000", "/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example:443", "/"),
        ("http://h/%41?a=b&c=%20", "http://h:80", "/%41?a=b&c=%20"),
    ],
)
def test_a_url_becomes_origin_and_target(url: str, origin: str, target: str) -> None:
    seen = http.origin_of(url)
    assert (str(seen[0]), seen[1]) == (origin, target)


def test_the_host_header_leaves_out_the_usual_port() -> None:
    headers = [
        http.origin_of(url)[0].host_header for url in ("http://h", "https://h", "http://h:443", "http://[::1]:1")
    ]
    assert headers == ["h", "h", "h:443", "[::1]:1"]


@pytest.mark.parametrize("text", ["h", "h:0", "h:65536", "::1:80", "h:x", "", "a b:1", "u@h:1"])
def test_what_is_not_host_and_port_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="is not host:port"):
        http.host_and_port(text)


def test_host_and_port_are_read() -> None:
    assert http.host_and_port("h:80") == ("h", 80)
    assert http.host_and_port("[::1]:443") == ("::1", 443)
    assert http.host_and_port("h", default_port=443) == ("h", 443)


@pytest.mark.parametrize(
    "headers", [{"A b": "x"}, {"": "x"}, {"X": f"{SECRET}\r\nY: z"}, {"X": f"{SECRET}\x00"}, {"X": f"{SECRET}€"}]
)
def test_headers_that_cannot_be_sent_are_bad_input_without_their_value(headers: dict[str, str]) -> None:
    with pytest.raises(BadInput) as caught:
        http.checked_headers(headers)
    assert SECRET not in str(caught.value)


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=12), max_size=3))
def test_no_header_can_break_out_of_its_line(headers: dict[str, str]) -> None:
    try:
        good = http.checked_headers(headers)
    except BadInput:
        return
    assert not any(character in name + value for name, value in good.items() for character in "\r\n\0")


def test_a_method_that_is_none_is_bad_input() -> None:
    with pytest.raises(BadInput, match="is not an HTTP method"):
        http.request("GET /", "http://h/", deadline=Deadline(1))


def test_an_expired_deadline_starts_nothing(http_server: HttpServer) -> None:
    with pytest.raises(TimedOut):
        get(http_server.url, 0.0)
    assert http_server.requests == []


def test_no_bearer_is_no_header() -> None:
    assert http.bearer(None) == http.bearer("") == {}


def test_the_server_sees_what_was_given_instead_of_our_own_headers(http_server: HttpServer) -> None:
    seen: list[Request] = []
    http_server.route("/", lambda request: (seen.append(request), Answer(200))[1])
    get(http_server.url, headers={"user-agent": "mine", "Accept": "text/html"})
    assert (seen[0].headers["user-agent"], seen[0].headers["Accept"]) == ("mine", "text/html")
