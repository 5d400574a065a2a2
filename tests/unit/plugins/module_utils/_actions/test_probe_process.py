# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe itself, in this process: its schedule waits for nobody, and it says what went wrong."""

from __future__ import annotations

import ast
import http.client
import inspect
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import probe_process
from ansible_collections.opsready.golive.plugins.module_utils._actions.downtime_probe import Recording, read_recording
from tests.servers import Answer, DemoCa, HangingServer, HttpServer, ScriptedServer


def probe(path: Path, url: str, **options: t.Any) -> probe_process.Probe:
    return probe_process.Probe(
        {"path": str(path), "url": url, "interval": 0.02, "timeout": 1.0, "seconds": 0.3, **options}
    )


def recorded(path: Path) -> Recording:
    return read_recording(path.read_bytes().splitlines(keepends=True))


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(inspect.getsource(probe_process))
    names = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    names |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {"json", "urllib"} <= names
    # Isolated and without site-packages, Python finds its standard library and nothing else.
    subprocess.run([sys.executable, "-I", "-S", "-c", "import " + ", ".join(sorted(names))], check=True)


def test_it_ends_by_itself_and_says_why(tmp_path: Path, http_server: HttpServer) -> None:
    http_server.route("/x", Answer(200, "ok", {"X-Version": "2", "Retry-After": "9"}))
    made = probe(tmp_path / "p", f"{http_server.url}/x?a=1", version_header="X-Version", headers={"X-Own": "1"})
    assert made.run() == "deadline"
    recording = recorded(tmp_path / "p")
    assert recording.ended_by == "deadline"
    assert {(sample.status, sample.version, sample.retry_after) for sample in recording.samples} == {(200, "2", "9")}
    assert http_server.requests[0].path == "/x?a=1"
    assert http_server.requests[0].headers["X-Own"] == "1"
    assert http_server.requests[0].headers["Host"] == f"127.0.0.1:{http_server.port}"


def test_a_request_that_hangs_delays_no_other(tmp_path: Path, hanging_server: HangingServer) -> None:
    made = probe(tmp_path / "p", f"http://127.0.0.1:{hanging_server.port}/", timeout=0.25, seconds=0.6)
    made.run()
    samples = recorded(tmp_path / "p").samples
    assert {sample.error for sample in samples} == {"timeout"}
    begun = [sample.at for sample in samples]
    assert begun[-1] - begun[0] < sum(sample.seconds for sample in samples), "several were under way at the same time"
    assert made.under_way == []


def test_a_server_that_drips_bytes_is_a_timeout(tmp_path: Path) -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(1000)
        while not ended.wait(0.05):
            connection.sendall(b"H")

    with ScriptedServer(drip) as server:
        probe(tmp_path / "p", f"http://127.0.0.1:{server.port}/", timeout=0.2, seconds=0.1).run()
        ended.set()
    assert {sample.error for sample in recorded(tmp_path / "p").samples} == {"timeout"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "not HTTP"),
        (b"no http\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "not HTTP"),
    ],
)
def test_half_an_answer_is_no_answer(tmp_path: Path, answer: bytes, error: str) -> None:
    def say(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)

    with ScriptedServer(say) as server:
        probe(tmp_path / "p", f"http://127.0.0.1:{server.port}/", seconds=0.05).run()
    assert {sample.error for sample in recorded(tmp_path / "p").samples} <= {error, "connection closed"}


def test_a_refused_connection_is_named(tmp_path: Path, refused_port: int) -> None:
    probe(tmp_path / "p", f"http://127.0.0.1:{refused_port}/", seconds=0.05).run()
    assert {sample.error for sample in recorded(tmp_path / "p").samples} == {"refused"}


def test_certificates_are_verified(tmp_path: Path, demo_ca: DemoCa) -> None:
    paths = demo_ca.issue().write(tmp_path / "tls")
    with HttpServer({"*": Answer(200)}, tls=demo_ca.issue()) as server:
        url = f"https://localhost:{server.port}/"
        there = {"connect_to": f"127.0.0.1:{server.port}", "seconds": 0.05}
        probe(tmp_path / "a", url, **there).run()
        probe(tmp_path / "b", url, ca_file=str(paths.ca), **there).run()
        probe(tmp_path / "c", f"https://127.0.0.1:{server.port}/", ca_file=str(paths.ca), seconds=0.05).run()
    assert {sample.error for sample in recorded(tmp_path / "a").samples} == {"certificate refused"}
    assert {sample.status for sample in recorded(tmp_path / "b").samples} == {200}
    assert {sample.status for sample in recorded(tmp_path / "c").samples} == {200}


def test_it_ends_for_a_stop_file_a_signal_and_a_file_that_went_away(tmp_path: Path, http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    for name, end in (
        ("stop file", lambda path: Path(f"{path}.stop").touch()),
        ("output removed", lambda path: path.unlink()),
    ):
        path = tmp_path / name.split()[0]
        made = probe(path, http_server.url, seconds=60)
        timer = threading.Timer(0.1, end, args=[path])
        timer.start()
        assert made.run() == name
        timer.join()
    made = probe(tmp_path / "signal", http_server.url, seconds=60)
    made.stopping.set()
    assert made.run() == "signal"


def test_ticks_that_went_by_are_not_made_up_for(
    tmp_path: Path, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.route("*", Answer(200))
    made = probe(tmp_path / "p", http_server.url, interval=0.05, seconds=1.5)
    paused = threading.Event()
    original = made.watch

    def pause_once() -> None:
        original()
        if not paused.is_set():
            paused.set()
            threading.Event().wait(0.3)

    monkeypatch.setattr(made, "watch", pause_once)
    made.run()
    lines = [json.loads(line) for line in (tmp_path / "p").read_bytes().splitlines()]
    numbers = [line["n"] for line in lines if "n" in line]
    assert numbers[0] == 0
    assert numbers[1] >= 6, "the ticks of the pause are missing, not late"


def test_when_too_many_are_under_way_samples_are_left_out(tmp_path: Path, hanging_server: HangingServer) -> None:
    made = probe(tmp_path / "p", f"http://127.0.0.1:{hanging_server.port}/", timeout=0.2)
    made.most_under_way = 2
    made.run()
    assert len(recorded(tmp_path / "p").samples) <= 6


def test_a_full_disk_loses_samples_and_nothing_else(tmp_path: Path, http_server: HttpServer) -> None:
    made = probe(tmp_path / "p", http_server.url)
    made.write({"a": 1})
    whole, made._descriptor = made._descriptor, os.open("/dev/full", os.O_WRONLY)
    made.write({"lost": 1})
    os.close(made._descriptor)
    made._descriptor = whole
    made.write({"b": 2})
    assert made.lost == 1
    assert (tmp_path / "p").read_bytes() == b'{"a":1}\n\n{"b":2}\n'
    os.close(whole)


def test_an_attempt_is_recorded_once() -> None:
    lines: list[dict[str, t.Any]] = []
    attempt = probe_process.Attempt(1, 0.0, lines.append)
    attempt.give_up()
    attempt.settle(status=200)
    assert [line["error"] for line in lines] == ["timeout"]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (TimeoutError(), "timeout"),
        (socket.timeout(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "connection closed"),
        (socket.gaierror(-2, "x"), "name not found"),
        (ssl.SSLCertVerificationError(), "certificate refused"),
        (ssl.SSLError(1, "x"), "TLS: failed"),
        (http.client.BadStatusLine("x"), "not HTTP"),
        (OSError(101, "Network is unreachable"), "OSError: Network is unreachable"),
        (KeyError("x"), "KeyError"),
    ],
)
def test_what_went_wrong_has_a_word(problem: BaseException, words: str) -> None:
    assert probe_process.kind_of(problem) == words


@pytest.mark.parametrize("config", [{"url": "ftp://x/"}, {"url": "http:///"}, {"url": "http://x/", "connect_to": ":1"}])
def test_a_target_that_cannot_be_asked_is_refused(config: dict[str, t.Any]) -> None:
    with pytest.raises(ValueError, match=r"not"):
        probe_process.Target({"timeout": 1, **config})


def test_a_lock_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_process, "CLAIM_SECONDS", 0.02)
    path = str(tmp_path / "p")
    held = probe_process.claim(path, {"pid": 1})
    assert held is not None
    assert json.loads((tmp_path / "p.lock").read_text()) == {"pid": 1}
    assert probe_process.claim(path, {"pid": 2}) is None
    os.close(held)
    again = probe_process.claim(path, {"pid": 3})
    assert again is not None
    os.close(again)


def test_a_process_is_named_by_pid_and_start() -> None:
    assert probe_process.start_ticks(os.getpid()) == probe_process.start_ticks(os.getpid())
    assert probe_process.start_ticks(2**22 + 1) is None
    assert probe_process.boot_id() != ""


@pytest.mark.parametrize("config", [{}, {"url": "ftp://x"}, {"path": "/nonexistent/folder/p"}])
def test_the_detached_half_says_how_it_began(
    tmp_path: Path,
    http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: dict[str, t.Any],
) -> None:
    http_server.route("*", Answer(200))
    complete = {
        "path": str(tmp_path / "p"),
        "url": http_server.url,
        "interval": 0.02,
        "timeout": 1.0,
        "seconds": 0.1,
        **config,
    }

    def ended(code: int) -> t.NoReturn:
        raise SystemExit(code)

    # What belongs to a process of its own would end or deafen this one.
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(complete)))
    for owner, name, stand_in in (
        (probe_process.os, "fork", lambda: 0),
        (probe_process.os, "_exit", ended),
        (probe_process.os, "dup2", lambda *_unused: None),
        (probe_process.os, "chdir", lambda *_unused: None),
        (probe_process.os, "umask", lambda *_unused: 0),
        (probe_process.signal, "signal", lambda *_unused: None),
    ):
        monkeypatch.setattr(owner, name, stand_in)
    with pytest.raises(SystemExit):
        probe_process.main()
    answer = json.loads(capsys.readouterr().out)
    if config:
        assert "refused" in answer
    else:
        assert answer["ready"]["pid"] == os.getpid()
        assert recorded(tmp_path / "p").ended_by == "deadline"


def test_the_half_that_was_started_returns_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("{}"))
    monkeypatch.setattr(probe_process.os, "fork", lambda: 4711)
    monkeypatch.setattr(probe_process.os, "umask", lambda *_unused: 0)
    assert probe_process.main() == 0


def test_without_proc_there_is_no_boot_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_unused: t.Any, **__: t.Any) -> t.NoReturn:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", absent)
    assert probe_process.boot_id() == ""
