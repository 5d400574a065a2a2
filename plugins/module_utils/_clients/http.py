# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request over the standard library, with a deadline that holds.

A socket timeout counts from byte to byte, so a server that drips one byte a second holds an ordinary client for ever. Here
each read and write gets what is left of one deadline, name resolution and the TLS handshake included. Bodies are read
up to a bound. Proxies from the environment are not used: what is measured is the address that is named.
Certificates are always verified; a private authority is given as ``ca_file``.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import io
import re
import select
import socket
import ssl
import string
import threading
import typing as t
import zlib
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._clients.handshakes import Handshakes, Wire
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

MAX_BODY_BYTES = 1024 * 1024
MAX_REDIRECTS = 5
#: Parts of a gzip body: each costs a copy of all that follow, so a body of nothing but empty ones would hold us for long.
_MOST_PARTS = 1000
USER_AGENT = "opsready.golive/1"
#: Sent again on a fresh connection when a kept one turns out to be closed.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ALWAYS_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})


class NotTrusted(UnexpectedAnswer):
    """The server's certificate is not one that a client of this name would accept."""


class NoSuchName(Unreachable):
    """The host's name does not resolve."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what a connection belongs to. The host is in ASCII (IDNA), IPv6 without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


@dataclasses.dataclass(frozen=True)
class Response:
    """What was answered. ``is_truncated`` says that the body, as it came or unpacked, is longer than what is read of it.

    ``seconds`` runs from the first byte of work (connecting, if that was needed) to the last of the body."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_truncated: bool
    seconds: float
    connect_seconds: float
    url: str
    hops: tuple[tuple[int, str], ...] = ()
    #: So many bytes are read of a body, as it came and unpacked.
    limit: int = MAX_BODY_BYTES

    def header(self, name: str) -> str | None:
        """The header's value, several joined by commas; None where it is absent."""
        values = self.header_values(name)
        return ", ".join(values) if values else None

    def header_values(self, name: str) -> list[str]:
        """Each value on its own (Set-Cookie must not be joined)."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def coding(self) -> str:
        """How the body was packed to be sent; ``identity`` where it was not."""
        return _coding(self.headers)

    def content(self, *, limit: int | None = None) -> bytes:
        """The body, unpacked if it came as gzip or deflate, up to a bound in bytes. Raises UnexpectedAnswer."""
        bound = self.limit if limit is None else limit
        return _unpacked(self.body, _coding(self.headers), limit=bound, is_cut=self.is_truncated, url=self.url)[0]

    def text(self) -> str:
        """The body as text, in the charset it names, else UTF-8; what cannot be decoded is replaced."""
        match = re.search(r"charset=\"?([\w.:-]+)", self.header("content-type") or "", re.IGNORECASE)
        content = self.content()
        with contextlib.suppress(LookupError):
            return content.decode(match[1] if match else "utf-8", "replace")
        return content.decode("utf-8", "replace")

    def json(self) -> t.Any:
        """The body as JSON. Raises UnexpectedAnswer, without quoting the body: it may hold a token."""
        if self.is_truncated:
            read = len(self.content())
            raise UnexpectedAnswer(f"{self.url} answered with more than {read} bytes; JSON cut there is not read.")
        try:
            return foreign_json.read(self.content().decode("utf-8-sig"))
        except ValueError as problem:
            said = getattr(problem, "msg", "it is not UTF-8")
            raise UnexpectedAnswer(f"{self.url} answered with {len(self.body)} bytes that are not JSON: {said}.")


def _coding(headers: t.Iterable[tuple[str, str]]) -> str:
    return (_header(headers, "content-encoding") or "identity").strip().lower() or "identity"


def _unpacked(body: bytes, coding: str, *, limit: int, is_cut: bool, url: str) -> tuple[bytes, bool]:
    """The content of a body, and whether there is more than ``limit`` bytes of it. Raises UnexpectedAnswer."""
    if coding == "identity" or not body:
        return body, False
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise UnexpectedAnswer(f"{url} answered in the coding {coding!r}, which was not asked for.")
    content, rest, parts = b"", body, 0
    try:
        while rest:  # gzip may come in several parts, one after the other
            parts += 1
            if parts > _MOST_PARTS:
                raise UnexpectedAnswer(f"{url} sent its {coding} body in more than {_MOST_PARTS} parts.")
            unpacking = zlib.decompressobj(wbits=15 if coding == "deflate" else 47)
            content += unpacking.decompress(rest, limit + 1 - len(content))
            if len(content) > limit:
                return content[:limit], True
            if not unpacking.eof:
                if is_cut:
                    return content, True
                raise UnexpectedAnswer(f"{url} ended its {coding} body early.")
            rest = unpacking.unused_data.lstrip(b"\0")  # some pad it
    except zlib.error:
        raise UnexpectedAnswer(f"{url} said its body is {coding}, and it is not.")
    return content, False


def _has_more(body: bytes, headers: t.Iterable[tuple[str, str]], *, limit: int) -> bool:
    """Whether a whole body holds more than ``limit`` bytes when it is unpacked; False where it cannot be."""
    try:
        return _unpacked(body, _coding(headers), limit=limit, is_cut=False, url="")[1]
    except UnexpectedAnswer:  # whoever reads the content is told
        return False


def origin_of(url: str) -> tuple[Origin, str]:
    """The origin and the request target of an http(s) URL. Raises BadInput, also for a URL that holds a password."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:  # its text may quote a part of a password
        raise BadInput(f"The URL {_without_userinfo(url)!r} cannot be read: its host or port is not valid.")
    if parts.username is not None or parts.password is not None:
        raise BadInput(
            f"The URL {_without_userinfo(url)!r} holds a user name or password.",
            remedy="Pass it as a secret header or as bearer: option values are printed at -vvv.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"The URL {url!r} is not http://host or https://host.")
    origin = Origin(parts.scheme, _ascii_host(parts.hostname), port or {"http": 80, "https": 443}[parts.scheme])
    target = quote(parts.path or "/", safe=string.punctuation)
    if parts.query:
        target += "?" + quote(parts.query, safe=string.punctuation)
    return origin, target


def _without_userinfo(url: str) -> str:
    return re.sub(r"//.*@", "//", url)


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadInput(f"The host name {host!r} is not a valid name.")


def host_and_port(text: str, *, default_port: int | None = None) -> tuple[str, int]:
    """``host:port``, ``[v6]:port``, or with a default port the host alone. Raises BadInput."""
    match = re.fullmatch(
        r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/@\[\]]+))(?::(?P<port>\d{1,5}))?", text.strip()
    )
    port = int(match["port"]) if match and match["port"] else default_port
    if match is None or port is None or not 0 < port < 65536:
        raise BadInput(f"{text!r} is not host:port.", remedy="An IPv6 address stands in brackets: [::1]:443.")
    return match["v6"] or _ascii_host(match["host"]), port


def resolved(host: str, port: int, *, deadline: Deadline) -> list[tuple[int, t.Any]]:
    """Address family and socket address of each address of a name. Raises Unreachable, TimedOut.

    An IP address needs no resolver. The system's knows no deadline, so it runs in a daemon thread that is left behind when
    it does not come back.
    """
    literal = _literal(host, port)
    if literal is not None:
        return [literal]
    answer: list[t.Any] = []

    def look_up() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as problem:
            answer.append(problem)

    thread = threading.Thread(target=look_up, daemon=True, name=f"resolve {host}")
    thread.start()
    thread.join(deadline.require(f"Resolving {host}"))
    if not answer:
        raise TimedOut(f"The name {host} was not resolved within {deadline.seconds:g} s.")
    if isinstance(answer[0], Exception):
        raise NoSuchName(f"The name {host} does not resolve: {getattr(answer[0], 'strerror', None) or answer[0]}.")
    return list(dict.fromkeys((entry[0], entry[4]) for entry in answer[0]))


def _literal(host: str, port: int) -> tuple[int, t.Any] | None:
    """Address family and socket address of an IP address; None of a name, and of an address with a scope."""
    for family, rest in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):  # no address, or characters that stand in none
            continue
        return family, (host, port, *rest)
    return None


def connected(host: str, port: int, *, deadline: Deadline) -> socket.socket:
    """A TCP connection. Raises Unreachable (refused, no route) or TimedOut."""
    addresses = resolved(host, port, deadline=deadline)
    where = f"{host}:{port}"
    problem: OSError | None = None
    for index, (family, address) in enumerate(addresses):
        # An address that swallows packets must leave time for the next one.
        share = deadline.require(f"Connecting to {where}") / (len(addresses) - index)
        try:
            plug = socket.socket(family, socket.SOCK_STREAM)
        except OSError as unsupported:
            problem = unsupported
            continue
        try:
            plug.settimeout(share)
            plug.connect(address)
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plug
        except OSError as refused:
            problem = refused
            plug.close()
    if isinstance(problem, socket.timeout):
        raise TimedOut(f"{where} did not accept a connection within {deadline.seconds:g} s.")
    if isinstance(problem, ConnectionRefusedError):
        raise Unreachable(f"Nothing listens on {where}: connection refused.")
    raise Unreachable(f"{where} cannot be reached: {getattr(problem, 'strerror', None) or 'no address'}.")


def connected_to_socket(path: str, *, deadline: Deadline) -> socket.socket:
    """A connection to a unix socket. Raises Unreachable, Denied or TimedOut."""
    limit = deadline.require(f"Connecting to {path}")
    plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        plug.settimeout(limit)
        plug.connect(path)
        return plug
    except (OSError, ValueError) as refused:  # the second for what is no path
        plug.close()
        problem = refused
    if isinstance(problem, (socket.timeout, BlockingIOError)):  # the second where its queue is full
        raise TimedOut(f"{path} did not accept a connection within {deadline.seconds:g} s.")
    if isinstance(problem, PermissionError):
        raise Denied(f"This user may not connect to {path}.")
    if isinstance(problem, FileNotFoundError):
        raise Unreachable(f"There is no socket {path}.")
    if isinstance(problem, ConnectionRefusedError):
        raise Unreachable(f"Nothing listens on {path}: connection refused.")
    raise Unreachable(f"{path} cannot be reached: {_what(problem)}.")


class Channel:
    """A socket whose every read and write ends with one deadline; http.client uses it in place of a socket."""

    def __init__(self, plug: socket.socket, deadline: Deadline, where: str) -> None:
        self.plug = plug
        self.deadline = deadline
        self._where = where
        self._readers = 0
        self._is_closed = False
        self._read_ahead = b""

    def _allow(self) -> None:
        self.plug.settimeout(self.deadline.require(f"{self._where}: the answer"))

    def recv_into(self, buffer: t.Any) -> int:
        if self._read_ahead:
            buffer[:1], self._read_ahead = self._read_ahead, b""
            return 1
        self._allow()
        return self.plug.recv_into(buffer)

    def sendall(self, octets: bytes) -> None:
        rest = memoryview(octets)
        while rest:
            self._allow()
            rest = rest[self.plug.send(rest[:65536]) :]

    def send_until_answered(self, octets: bytes) -> None:
        """Send all, or less where an answer comes first: a body may be refused (413) before it was read, and then never is."""
        rest = memoryview(octets)
        watcher = select.poll()
        watcher.register(self.plug.fileno(), select.POLLIN | select.POLLOUT)
        while rest:
            ready = watcher.poll(self.deadline.require(f"{self._where}: the answer") * 1000)
            self.plug.settimeout(0)
            if any(events & ~select.POLLOUT for _number, events in ready) and self._is_answered():
                return
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                rest = rest[self.plug.send(rest[:65536]) :]

    def _is_answered(self) -> bool:
        try:
            self._read_ahead = self.plug.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):  # the second where it was TLS's own, such as a ticket
            return False
        return True

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """What http.client reads an answer from."""
        self._readers += 1
        return io.BufferedReader(_Reading(self))

    def release(self) -> None:
        """An answer's reader was closed."""
        self._readers -= 1
        self._end_if_unused()

    def close(self) -> None:
        # http.client closes the socket before it has read an answer that ends with the connection.
        self._is_closed = True
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._is_closed and self._readers <= 0:
            self.plug.close()

    def has_input(self) -> bool:
        """Whether something, or the end, arrived that nobody asked for."""
        watcher = select.poll()
        watcher.register(self.plug.fileno(), select.POLLIN)
        return bool(watcher.poll(0))


class _Reading(io.RawIOBase):
    """One answer's view of a channel."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        return self._channel.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._channel.release()
        super().close()


def trust(ca_file: str | None) -> ssl.SSLContext:
    """A client's TLS policy: the system's authorities, or only those of ``ca_file``. Raises BadInput."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as problem:
        why = "it holds no certificate" if isinstance(problem, ssl.SSLError) else problem.strerror
        raise BadInput(f"The ca_file {ca_file} cannot be used: {why}.")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def checked_headers(headers: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Headers that can be sent. Raises BadInput naming the header, never its value: it may be secret."""
    good: dict[str, str] = {}
    for name, value in headers.items():
        text = str(value)
        if not _TOKEN.fullmatch(str(name)):
            raise BadInput(f"{name!r} is not the name of a header.")
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            raise BadInput(f"The value of header {name} holds characters beyond Latin-1.")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
            raise BadInput(f"The value of header {name} holds a line break or control character.")
        good[str(name)] = text.strip()
    return good


def bearer(token: str | None) -> dict[str, str]:
    """The header of a bearer token; none without one."""
    return {"Authorization": f"Bearer {token.strip()}"} if token else {}


def basic(username: str | None, password: str | None) -> dict[str, str]:
    """The header of a user name and password; none without one."""
    if not username:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password or ''}".encode()).decode("ascii")}


class HttpClient:
    """Requests over kept connections. Not for use by two threads at once; close it, or use it in a ``with``."""

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        connect_to: str | None = None,
        socket_path: str | None = None,
        context: ssl.SSLContext | None = None,
        handshakes: Handshakes | None = None,
        keep: bool = True,
    ) -> None:
        """``connect_to`` is the host:port to connect to in place of the first URL's own; Host and SNI stay the URL's.

        ``socket_path`` is a unix socket to connect to in its place. ``context`` is a policy made by trust(), to be shared by
        many clients, and ``handshakes`` are those that were verified by it, to be shared too. Without ``keep`` each request
        connects anew.
        """
        self._ca_file = ca_file
        self._context = context
        self._handshakes = handshakes
        self._connect_to = host_and_port(connect_to) if connect_to else None
        self._socket_path = socket_path
        self._keep = keep
        #: Whether a request began to be sent: then the server may have received it, whatever became of its answer.
        self.has_asked = False
        self._kept: dict[tuple[Origin, bool], http.client.HTTPConnection] = {}

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()

    def close(self) -> None:
        """End all kept connections."""
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()

    def request(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        headers: t.Mapping[str, t.Any] | None = None,
        secret_headers: t.Mapping[str, t.Any] | None = None,
        body: bytes | None = None,
        follow: bool = False,
        max_body: int = MAX_BODY_BYTES,
    ) -> Response:
        """Send and read one answer, whatever its status. ``secret_headers`` do not follow a redirect to another origin.

        Raises BadInput, Unreachable, TimedOut, NotTrusted, UnexpectedAnswer.
        """
        method = method.upper()
        if not _TOKEN.fullmatch(method):
            raise BadInput(f"{method!r} is not an HTTP method.")
        public = checked_headers(headers or {})
        secret = checked_headers(secret_headers or {})
        began = deadline.clock.monotonic()
        first, target = origin_of(url)
        origin = first
        hops: list[tuple[int, str]] = []
        connecting = 0.0
        while True:
            sent = dict(public)
            if origin == first:
                sent.update(secret)
            else:
                sent = {name: value for name, value in sent.items() if name.lower() not in _ALWAYS_SECRET | {"host"}}
            answer, waited = self._exchange(
                method, origin, target, sent, body, deadline=deadline, max_body=max_body, replaced=origin == first
            )
            connecting += waited
            location = _header(answer[2], "location")
            if not (follow and answer[0] in _REDIRECTS and location):
                limit = max(max_body, MAX_BODY_BYTES)
                return Response(
                    status=answer[0],
                    reason=answer[1],
                    headers=answer[2],
                    body=answer[3],
                    is_truncated=answer[4] or _has_more(answer[3], answer[2], limit=limit),
                    seconds=deadline.clock.monotonic() - began,
                    connect_seconds=connecting,
                    url=url,
                    hops=tuple(hops),
                    limit=limit,
                )
            if len(hops) >= MAX_REDIRECTS:
                raise UnexpectedAnswer(f"{hops[0][1] if hops else url} redirects more than {MAX_REDIRECTS} times.")
            url = urljoin(url, location)
            hops.append((answer[0], url))
            try:
                origin, target = origin_of(url)
            except BadInput as problem:
                raise UnexpectedAnswer(
                    f"The redirect to {_without_userinfo(url)!r} cannot be followed: {problem.message}"
                )
            if answer[0] == 303 or (answer[0] in (301, 302) and method == "POST"):
                method = "GET" if method != "HEAD" else "HEAD"
                body = None

    def _exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: t.Mapping[str, str],
        body: bytes | None,
        *,
        deadline: Deadline,
        max_body: int,
        replaced: bool,
    ) -> tuple[tuple[int, str, tuple[tuple[str, str], ...], bytes, bool], float]:
        key = (origin, replaced)
        while True:
            connection = self._kept.pop(key, None)
            if connection and method not in _REPEATABLE and t.cast(Channel, connection.sock).has_input():
                connection.close()
                connection = None
            was_kept = connection is not None
            began = deadline.clock.monotonic()
            if connection is None:
                connection = self._connection(origin, deadline=deadline, replaced=replaced)
            connecting = 0.0 if was_kept else deadline.clock.monotonic() - began
            channel = t.cast(Channel, connection.sock)
            channel.deadline = deadline
            self.has_asked = True
            try:
                answer, is_open = _one_answer(
                    connection,
                    method=method,
                    origin=origin,
                    target=target,
                    headers=headers,
                    body=body,
                    max_body=max_body,
                )
            except (http.client.RemoteDisconnected, ConnectionError) as problem:
                connection.close()
                if was_kept and method in _REPEATABLE:
                    continue
                raise UnexpectedAnswer(f"{origin} ended the connection without a whole answer: {_what(problem)}.")
            except (socket.timeout, TimedOut):
                connection.close()
                raise TimedOut(f"{origin} did not answer {method} {_path(target)} within {deadline.seconds:g} s.")
            except http.client.IncompleteRead as problem:
                connection.close()
                raise UnexpectedAnswer(
                    f"{origin} ended the body of {_path(target)} after {len(problem.partial)} bytes."
                )
            except (http.client.HTTPException, ValueError, ssl.SSLError) as problem:
                connection.close()
                raise UnexpectedAnswer(f"{origin} did not answer in HTTP: {type(problem).__name__}.")
            except OSError as problem:
                connection.close()
                raise Unreachable(f"{origin} cannot be reached: {_what(problem)}.")
            if self._keep and is_open:
                self._kept[key] = connection
            else:
                connection.close()
            return answer, connecting

    def _connection(self, origin: Origin, *, deadline: Deadline, replaced: bool) -> http.client.HTTPConnection:
        host, port = self._connect_to if self._connect_to and replaced else (origin.host, origin.port)

        def plugged() -> socket.socket:
            if self._socket_path and replaced:
                return connected_to_socket(self._socket_path, deadline=deadline)
            return connected(host, port, deadline=deadline)

        plug = plugged() if origin.scheme == "http" else self._secured(plugged, host, port, origin.host, deadline)
        connection = http.client.HTTPConnection(origin.host, origin.port)
        connection.auto_open = 0
        connection.sock = Channel(plug, deadline, str(origin))
        return connection

    def _secured(
        self, plugged: t.Callable[[], socket.socket], host: str, port: int, name: str, deadline: Deadline
    ) -> ssl.SSLSocket:
        if self._context is None:
            self._context = trust(self._ca_file)
        context = self._context

        def shake() -> ssl.SSLSocket:
            return secured(plugged(), context, name, deadline=deadline, where=f"{host}:{port}")

        if self._handshakes is None or self._socket_path:
            return shake()
        return self._handshakes.connection(Wire(host, port, name), shake, deadline=deadline)


class Connections:
    """Clients of one kind that are lent, each to one user at a time: many requests cost few connections."""

    def __init__(
        self,
        *,
        connect_to: str | None = None,
        socket_path: str | None = None,
        context: ssl.SSLContext | None = None,
        handshakes: Handshakes | None = None,
    ) -> None:
        """See HttpClient."""
        self._connect_to = connect_to
        self._socket_path = socket_path
        self._context = context
        self._handshakes = handshakes
        self._idle: list[HttpClient] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lent(self) -> t.Iterator[HttpClient]:
        """A client for as long as the block lasts; the one that was given back last is the least likely to be stale."""
        with self._lock:
            client = self._idle.pop() if self._idle else None
        if client is None:
            client = HttpClient(
                connect_to=self._connect_to,
                socket_path=self._socket_path,
                context=self._context,
                handshakes=self._handshakes,
            )
        try:
            yield client
        finally:
            with self._lock:
                self._idle.append(client)

    def close(self) -> None:
        """End the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()


def secured(
    plug: socket.socket, context: ssl.SSLContext, name: str, *, deadline: Deadline, where: str
) -> ssl.SSLSocket:
    """The handshake of a client that asks for ``name``. Raises NotTrusted, TimedOut, UnexpectedAnswer; closes on failure."""
    try:
        plug.settimeout(deadline.require(f"The TLS handshake with {where}"))
        wrapped = context.wrap_socket(plug, server_hostname=name, do_handshake_on_connect=False)
        plug = wrapped
        _handshake(wrapped, deadline)
        return wrapped
    except ssl.SSLCertVerificationError as problem:
        plug.close()
        raise NotTrusted(
            f"The certificate of {where} is refused for {name}: {problem.verify_message}.",
            known={"verify_code": problem.verify_code, "verify_message": problem.verify_message},
            remedy="Renew or correct the certificate, or give the private authority as ca_file.",
        )
    except socket.timeout:
        plug.close()
        raise TimedOut(f"{where} did not end the TLS handshake within {deadline.seconds:g} s.")
    except TimedOut:
        plug.close()
        raise
    except ssl.SSLError as problem:
        plug.close()
        raise UnexpectedAnswer(f"{where} did not agree on TLS: {problem.reason or 'the handshake failed'}.")
    except OSError as problem:
        plug.close()
        raise UnexpectedAnswer(f"{where} ended the TLS handshake: {_what(problem)}.")


def _handshake(wrapped: ssl.SSLSocket, deadline: Deadline) -> None:
    # do_handshake() takes the socket's timeout as a whole, so dripped bytes do not prolong it.
    wrapped.settimeout(deadline.require("The TLS handshake"))
    wrapped.do_handshake()


def _one_answer(
    connection: http.client.HTTPConnection,
    *,
    method: str,
    origin: Origin,
    target: str,
    headers: t.Mapping[str, str],
    body: bytes | None,
    max_body: int,
) -> tuple[tuple[int, str, tuple[tuple[str, str], ...], bytes, bool], bool]:
    complete = {"Host": origin.host_header, "User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    given = {name.lower() for name in headers}
    complete = {name: value for name, value in complete.items() if name.lower() not in given}
    complete.update(headers)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in complete.items():
        connection.putheader(name, value.encode("latin-1"))
    if "content-length" not in given and (body is not None or method in ("POST", "PUT", "PATCH")):
        connection.putheader("Content-Length", str(len(body or b"")))
    connection.endheaders()
    if body:
        # Where the connection ends meanwhile, its answer may be there all the same.
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            t.cast(Channel, connection.sock).send_until_answered(body)
    response = connection.getresponse()
    kept, is_truncated = _bounded_body(response, max_body)
    answer = (response.status, response.reason, tuple(response.getheaders()), kept, is_truncated)
    is_open = not response.will_close and not is_truncated
    response.close()
    return answer, is_open


def _bounded_body(response: http.client.HTTPResponse, max_body: int) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    length = 0
    while length <= max_body:
        piece = response.read(min(65536, max_body + 1 - length))
        if not piece:
            if response.length:  # a read() with an amount does not raise IncompleteRead
                raise http.client.IncompleteRead(b"".join(pieces))
            break
        pieces.append(piece)
        length += len(piece)
    whole = b"".join(pieces)
    return whole[:max_body], length > max_body


def _header(headers: t.Iterable[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def _path(target: str) -> str:
    # A query may carry a token, so messages name the path alone.
    return target.split("?", 1)[0]


def _what(problem: BaseException) -> str:
    return str(getattr(problem, "strerror", None) or problem or type(problem).__name__)


def request(
    method: str,
    url: str,
    *,
    deadline: Deadline,
    headers: t.Mapping[str, t.Any] | None = None,
    secret_headers: t.Mapping[str, t.Any] | None = None,
    body: bytes | None = None,
    ca_file: str | None = None,
    connect_to: str | None = None,
    follow: bool = False,
    max_body: int = MAX_BODY_BYTES,
) -> Response:
    """One request over a connection of its own; see HttpClient.request."""
    with HttpClient(ca_file=ca_file, connect_to=connect_to, keep=False) as client:
        return client.request(
            method,
            url,
            deadline=deadline,
            headers=headers,
            secret_headers=secret_headers,
            body=body,
            follow=follow,
            max_body=max_body,
        )
