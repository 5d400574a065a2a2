# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one URL again and again, on a schedule that waits for no answer, and write down what came back.

This file stands alone: ``downtime_probe`` copies its source beside the output and starts it detached, since downtime goes
on when the controller dies. So it imports the standard library only, and nothing of the collection.

The output is one JSON object a line: ``{"began": {...}}``, samples, ``{"ended": {...}}``. A sample has ``n`` (number in the
schedule), ``t`` (wall clock, seconds since 1970), ``m`` (monotonic, seconds), ``ms`` (until the answer or the end of the
attempt), ``skew`` (ms behind the schedule), ``status``, ``retry_after``, ``version`` and ``error`` ("" or what happened).
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import typing as t
from urllib.parse import urlsplit

#: As much of a body as is read; the rest says nothing about being up.
BODY_BYTES = 65536
#: Somebody who only looks whether a probe lives holds the lock for a moment; a probe holds it for good.
CLAIM_SECONDS = 1.0


def host_and_port(text: str, default_port: int) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[v6]:port``. Raises ValueError."""
    parts = urlsplit("//" + text)
    if not parts.hostname:
        raise ValueError(f"{text!r} is not host:port")
    return parts.hostname, parts.port or default_port


#: Kinds of failure, the narrow ones before those that hold them.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.timeout, "timeout"),
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    (socket.gaierror, "name not found"),
    (ssl.SSLCertVerificationError, "certificate refused"),
    (http.client.HTTPException, "not HTTP"),
    (ConnectionError, "connection closed"),
)


class Target:
    """Where the requests go: taken apart once, since it is asked ten times a second."""

    def __init__(self, config: t.Mapping[str, t.Any]) -> None:
        url = urlsplit(config["url"])
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("url is not http:// or https:// with a host")
        self.host = url.hostname
        self.netloc = url.netloc.rpartition("@")[2]
        self.path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        port = url.port or (443 if url.scheme == "https" else 80)
        self.address = host_and_port(config["connect_to"], port) if config.get("connect_to") else (self.host, port)
        self.timeout = float(config["timeout"])
        self.version_header: str = config.get("version_header") or ""
        self.headers: dict[str, str] = dict(config.get("headers") or {})
        self.context: ssl.SSLContext | None = None
        if url.scheme == "https":
            self.context = ssl.create_default_context(cafile=config.get("ca_file") or None)


class Attempt:
    """One request. It is recorded once, by whoever is first: its own thread, or the watch when it is overdue."""

    def __init__(self, number: int, due: float, record: t.Callable[[dict[str, t.Any]], None]) -> None:
        self.number = number
        self.wall = time.time()
        self.began = time.monotonic()
        self.skew = self.began - due
        self.socket: socket.socket | None = None
        self._record = record
        self._lock = threading.Lock()
        self.over = False

    def settle(
        self, *, status: int | None = None, retry_after: str | None = None, version: str | None = None, error: str = ""
    ) -> None:
        with self._lock:
            if self.over:
                return
            self.over = True
        self._record(
            {
                "n": self.number,
                "t": round(self.wall, 6),
                "m": round(self.began, 6),
                "ms": round((time.monotonic() - self.began) * 1000, 3),
                "skew": round(self.skew * 1000, 3),
                "status": status,
                "retry_after": retry_after,
                "version": version,
                "error": error,
            }
        )

    def give_up(self) -> None:
        """Record the time-out and wake the thread that still waits."""
        self.settle(error="timeout")
        if self.socket is not None:
            # The base class's shutdown: SSLSocket's own would take the TLS object away from a thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def ask(target: Target, attempt: Attempt) -> None:
    """One request on a connection of its own, recorded in the attempt."""
    connected: socket.socket | None = None
    try:
        connected = socket.create_connection(target.address, timeout=target.timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.context is not None:
            tls = target.context.wrap_socket(connected, server_hostname=target.host, do_handshake_on_connect=False)
            connected = tls
            attempt.socket = tls
            tls.do_handshake()
        attempt.socket = connected
        connection = http.client.HTTPConnection(target.host)
        connection.sock = connected
        connection.request(
            "GET",
            target.path,
            headers={
                "Host": target.netloc,
                "User-Agent": "opsready.golive downtime_probe",
                "Connection": "close",
                **target.headers,
            },
        )
        response = connection.getresponse()
        if len(response.read(BODY_BYTES)) < BODY_BYTES and response.length:
            raise http.client.IncompleteRead(b"")
        attempt.settle(
            status=response.status,
            retry_after=response.getheader("Retry-After"),
            version=response.getheader(target.version_header) if target.version_header else None,
        )
    except Exception as problem:  # whatever goes wrong in a request is what the probe is there to write down
        attempt.settle(error=kind_of(problem))
    finally:
        attempt.settle(error="the attempt was cut short")
        if connected is not None:
            connected.close()


def kind_of(problem: BaseException) -> str:
    """A few words for what went wrong, without anything that came from the other side."""
    for kind, words in _KINDS:
        if isinstance(problem, kind):
            return words
    if isinstance(problem, ssl.SSLError):
        return f"TLS: {getattr(problem, 'reason', '') or 'failed'}"
    if isinstance(problem, OSError):
        return f"{type(problem).__name__}: {problem.strerror or 'failed'}"
    return type(problem).__name__


class Probe:
    """The schedule, the attempts under way, and the file."""

    def __init__(self, config: t.Mapping[str, t.Any]) -> None:
        self.path: str = config["path"]
        self.stop_file = self.path + ".stop"
        self.interval = float(config["interval"])
        self.seconds = float(config["seconds"])
        self.config = config
        self.target = Target(config)
        # A thread per attempt under way; twice the number that a server which never answers can keep open.
        self.most_under_way = 2 * int(self.target.timeout / self.interval + 1) + 16
        self.under_way: list[Attempt] = []
        self.stopping = threading.Event()
        self.lost = 0
        self._lock = threading.Lock()
        self._torn = False
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._inode = os.fstat(self._descriptor).st_ino

    def write(self, line: t.Mapping[str, t.Any]) -> None:
        """Append one line; a full disk loses samples, which the reader sees as a gap."""
        raw = json.dumps(line, separators=(",", ":")).encode("utf-8") + b"\n"
        with self._lock:
            if self._torn:
                raw = b"\n" + raw
            try:
                self._torn = os.write(self._descriptor, raw) != len(raw)
            except OSError:
                self._torn = True
            self.lost += self._torn

    def why_end(self, began: float) -> str:
        """The reason to end now, or nothing."""
        if self.stopping.is_set():
            return "signal"
        if time.monotonic() - began >= self.seconds:
            return "deadline"
        if os.path.exists(self.stop_file):
            return "stop file"
        try:
            same = os.stat(self.path).st_ino == self._inode
        except OSError:
            same = False
        return "" if same else "output removed"

    def watch(self) -> None:
        """Give up what is overdue, forget what is over."""
        now = time.monotonic()
        for attempt in self.under_way:
            if not attempt.over and now - attempt.began >= self.target.timeout:
                attempt.give_up()
        self.under_way = [attempt for attempt in self.under_way if not attempt.over]

    def run(self) -> str:
        """Probe until there is a reason to end; returns it."""
        began = time.monotonic()
        public = {key: self.config.get(key) for key in ("url", "interval", "timeout", "seconds", "version_header")}
        self.write({"began": {"t": time.time(), "m": began, "pid": os.getpid(), "boot": boot_id(), **public}})
        number = 0
        while True:
            due = began + number * self.interval
            self.stopping.wait(max(0.0, due - time.monotonic()))
            reason = self.why_end(began)
            if reason:
                break
            self.watch()
            if len(self.under_way) < self.most_under_way:
                attempt = Attempt(number, due, self.write)
                self.under_way.append(attempt)
                threading.Thread(target=ask, args=(self.target, attempt), daemon=True).start()
            # Ticks that went by while this process did not run are not made up for: that time is a gap.
            number = max(number, int((time.monotonic() - began) / self.interval)) + 1
        ended = {"t": time.time(), "m": time.monotonic(), "reason": reason, "lost": self.lost}
        while self.under_way:
            time.sleep(min(self.interval, 0.02))
            self.watch()
        self.write({"ended": ended})
        os.close(self._descriptor)
        return reason


def boot_id() -> str:
    """Which boot of the machine this is: monotonic times compare within one boot only."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            return source.read().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the pid it names one process for good."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as source:
            return int(source.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def claim(path: str, note: t.Mapping[str, t.Any]) -> int | None:
    """Take the lock of an output file for the life of this process; None when another probe has it."""
    descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    patience = time.monotonic() + CLAIM_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= patience:
                os.close(descriptor)
                return None
            time.sleep(0.01)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode("utf-8"), 0)
    return descriptor


def main() -> int:
    """Read the configuration from standard input, detach, say on standard output that the schedule runs, and probe."""
    config = json.loads(sys.stdin.read())
    os.umask(0o077)
    if os.fork():
        return 0  # the one who started us waits for this process only
    os.chdir("/")
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    note = {key: config.get(key) for key in ("url", "interval", "timeout", "seconds", "release", "fingerprint")}
    note.update(
        {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid()), "boot": boot_id(), "started": time.time()}
    )
    try:
        if claim(config["path"], note) is None:
            answer: dict[str, t.Any] = {"refused": "another probe writes to this file"}
        else:
            probe = Probe(config)
            signal.signal(signal.SIGTERM, lambda *_ignored: probe.stopping.set())
            answer = {"ready": note}
    except (OSError, ValueError, ssl.SSLError) as problem:
        answer = {"refused": str(problem)}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    if "ready" in answer:
        probe.run()
    os._exit(0)  # attempts that hang in the resolver must not keep the process


if __name__ == "__main__":
    raise SystemExit(main())
