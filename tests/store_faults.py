# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object store behind a proxy that spoils the requests of one phase: some of them, or all for ever.

The store behind is a real one, and what is not spoilt passes through unchanged, signature and all.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import struct
import threading
import typing as t
import urllib.parse
from dataclasses import dataclass

from tests.servers import HOST, S3, MotoS3, await_true

#: What a fault does to a request; "after" is after the store has done what was asked.
Kind = t.Literal[
    "500",
    "503 SlowDown",
    "403 ExpiredToken",
    "reset",
    "reset after",
    "500 after",
    "silence",
    "cut",
    "flipped",
    "shorter",
    "501 NotImplemented",
]
_ERROR = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code} by test</Message></Error>'
_CODES = {"500": "InternalError", "503": "SlowDown", "403": "ExpiredToken", "501": "NotImplemented"}
#: Queries that ask for a part of an object's settings; as a PUT, some stores take them for the object.
SUB_RESOURCES = frozenset(("acl", "tagging", "retention", "legal-hold", "encryption", "torrent", "attributes"))


@dataclass(frozen=True)
class Seen:
    """A request that came, with the phase of a backup that it belongs to."""

    phase: str
    method: str
    key: str
    query: t.Mapping[str, str]
    headers: t.Mapping[str, str]
    spoilt: bool


@dataclass
class Fault:
    """``phase`` as ``phase_of`` has it; ``times`` None is for ever."""

    phase: str
    kind: Kind
    times: int | None = None

    def meets(self, phase: str) -> bool:
        return self.times != 0 and phase == self.phase


def phase_of(method: str, target: str) -> tuple[str, str, dict[str, str]]:
    """The phase, the key and the query of a request to ``/bucket/key?query``.

    ``part 2``, ``put``, ``put roles``, ``head manifest``, …; without a second word it is the archive's.
    """
    parts = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    key = urllib.parse.unquote(parts.path).lstrip("/").partition("/")[2]
    what = " manifest" if key.endswith(".manifest.json") else " roles" if key.endswith(".roles.sql") else ""
    if not key:
        return ("list" if "list-type" in query else "uploads" if "uploads" in query else "bucket"), key, query
    if SUB_RESOURCES & set(query):
        return f"{method.lower()} {min(SUB_RESOURCES & set(query))}", key, query
    if "uploads" in query:
        return "create", key, query
    if "partNumber" in query:
        return f"part {query['partNumber']}", key, query
    if "uploadId" in query:
        return {"POST": "complete", "DELETE": "abort"}.get(method, "parts"), key, query
    return {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}.get(method, method) + what, key, query


class FaultyStore:
    """The proxy. ``spoil`` names the next fault; ``seen`` is every request so far."""

    def __init__(self, store: S3 | MotoS3) -> None:
        self.store = store
        self.access_key, self.secret_key = store.access_key, store.secret_key
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        #: Called with each request before it is forwarded or spoilt, in the proxy's own thread.
        self.watch: t.Callable[[Seen], None] = lambda unused_seen: None
        #: Headers that the store behind never gets: it does not know them. In lower case; moto only, which checks no signature.
        self.unknown_headers: frozenset[str] = frozenset()
        #: Headers that it answers with 501, as stores do that know them and not what they ask. In lower case.
        self.refused_headers: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def client(self) -> t.Any:
        """Straight to the store: what is there, whatever the proxy does."""
        return self.store.client()

    def spoil(self, phase: str, kind: Kind, times: int | None = None) -> None:
        with self._lock:
            self.faults.append(Fault(phase, kind, times))

    def heal(self) -> None:
        """No faults any more, and nothing seen yet."""
        with self._lock:
            self.faults.clear()
            self.seen.clear()
            self.watch = lambda unused_seen: None
            self.refused_headers = frozenset()

    def phases(self) -> list[str]:
        with self._lock:
            return [one.phase for one in self.seen]

    def _fault_for(self, method: str, target: str, headers: t.Mapping[str, str]) -> tuple[Seen, Kind | None]:
        phase, key, query = phase_of(method, target)
        with self._lock:
            found = next((fault for fault in self.faults if fault.meets(phase)), None)
            if found is not None and found.times is not None:
                found.times -= 1
            refused: Kind | None = None
            if self.refused_headers & {name.lower() for name in headers}:
                refused = "501 NotImplemented"
            seen = Seen(phase, method, key, query, headers, found is not None or refused is not None)
            self.seen.append(seen)
        return seen, refused if found is None else found.kind

    def start(self) -> FaultyStore:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                seen, kind = outer._fault_for(self.command, self.path, dict(self.headers.items()))
                outer.watch(seen)
                with contextlib.suppress(OSError):  # the client has gone
                    self.spoilt(kind, body) if kind is not None else self.answer(*self.forwarded(body))

            def spoilt(self, kind: Kind, body: bytes) -> None:
                if kind == "silence":
                    self.wait_for_the_client_to_go()
                elif kind in ("500", "501 NotImplemented", "503 SlowDown", "403 ExpiredToken"):
                    self.refuse(kind[:3])
                elif kind == "reset":
                    self.break_off()
                else:
                    self.spoilt_after(kind, body)

            def wait_for_the_client_to_go(self) -> None:
                self.connection.settimeout(0.05)
                while not outer._ended.is_set():
                    with contextlib.suppress(socket.timeout):
                        if not self.connection.recv(1):
                            break
                self.close_connection = True

            def spoilt_after(self, kind: Kind, body: bytes) -> None:
                head, payload = self.forwarded(body)
                if kind == "500 after":
                    self.refuse("500")
                elif kind == "reset after":
                    self.break_off()
                elif kind == "cut":
                    whole = head if self.command == "HEAD" or not payload else head + payload
                    start = 0 if whole is head else len(head)
                    self.wfile.write(whole[: start + (len(whole) - start) // 2])
                    self.close_connection = True
                elif kind == "flipped":
                    middle = len(payload) // 2
                    changed = bytes([payload[middle] ^ 1])
                    self.answer(head, payload[:middle] + changed + payload[middle + 1 :])
                else:  # shorter, and consistently so
                    kept = payload[: len(payload) // 2]
                    lines = [one for one in head.split(b"\r\n") if not one.lower().startswith(b"content-length:")]
                    self.answer(b"\r\n".join([lines[0], b"Content-Length: %d" % len(kept), *lines[1:]]), kept)

            def refuse(self, status: str) -> None:
                body = b"" if self.command == "HEAD" else _ERROR.format(code=_CODES[status]).encode()
                head = (
                    f"HTTP/1.1 {status} By test\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                self.answer(head.encode(), body)

            def break_off(self) -> None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True

            def forwarded(self, body: bytes) -> tuple[bytes, bytes]:
                upstream = http.client.HTTPConnection(HOST, outer.store.port, timeout=60)
                with contextlib.closing(upstream):
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        if name.lower() not in {"connection", "expect"} | outer.unknown_headers:
                            upstream.putheader(name, value)
                    upstream.endheaders(body or None)
                    answer = upstream.getresponse()
                    payload = answer.read()
                    told = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
                if self.command != "HEAD":
                    told = [*((name, value) for name, value in told if name.lower() != "content-length")]
                    told.append(("Content-Length", str(len(payload))))
                lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in told)]
                return "\r\n".join([*lines, "", ""]).encode("latin-1"), payload

            def answer(self, head: bytes, payload: bytes) -> None:
                self.wfile.write(head if self.command == "HEAD" else head + payload)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = pass_on

            def log_message(self, *_unused: object) -> None:
                return None

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_unused: object) -> None:
                return None

        self._ended.clear()
        self._server = Server((HOST, self.port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """From now on connections are refused, until ``start``."""
        self._ended.set()
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()

    def refuse_from(self, phase: str) -> None:
        """The store dies when the first request of this phase comes: that one breaks off, and nobody listens any more."""
        self.spoil(phase, "reset")

        def watch(seen: Seen) -> None:
            if seen.phase == phase:
                threading.Thread(target=self.stop, daemon=True).start()
                await_true(lambda: self._server is None, seconds=10, what="the end of the proxy")

        self.watch = watch

    def __enter__(self) -> FaultyStore:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()


_HOP_BY_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-encoding"))
