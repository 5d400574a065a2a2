# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""downtime_probe with its real process: it measures, outlives whoever started it, and admits what it did not see."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.downtime_probe import look, read_recording
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from tests.servers import Answer, HangingServer, HttpServer, await_true, free_port

SYSTEM = f"probe-{os.urandom(4).hex()}"
TOKEN = f"{SYSTEM}/r-1/1/0123456789abcdef"


@pytest.fixture(scope="module", autouse=True)
def token_forgotten() -> t.Iterator[None]:
    yield
    (Path(lock_directory()) / f"{SYSTEM}.lock").unlink(missing_ok=True)


@pytest.fixture
def path(tmp_path: Path) -> t.Iterator[Path]:
    """Where the probe writes; whatever a test leaves running is ended by its pid."""
    made = tmp_path / "probe.jsonl"
    yield made
    running = look(str(made))
    if running.is_alive and running.pid:
        os.kill(running.pid, signal.SIGKILL)


@pytest.fixture
def downtime_probe(path: Path, run_module_here: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    def run(state: str, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"state": state, "path": str(path), "interval_ms": 20, "timeout": 2.0, **options}
        return t.cast("dict[str, t.Any]", run_module_here("downtime_probe", arguments, check=check))

    return run


def samples(path: Path) -> int:
    with path.open("rb") as lines:
        return len(read_recording(lines).samples)


def await_samples(path: Path, more: int) -> None:
    wanted = samples(path) + more
    await_true(lambda: samples(path) >= wanted, seconds=30, what=f"{more} more samples")


def test_a_server_that_is_stopped_for_a_while_was_down_for_that_while(path: Path, downtime_probe: t.Any) -> None:
    port = free_port()
    server = HttpServer({"*": Answer(200, "ok", {"X-Version": "1"})}, port=port).start()
    begun = downtime_probe("started", url=f"http://127.0.0.1:{port}/", good={"version_header": "X-Version"})
    assert (begun["changed"], begun["first_answer"]) == (True, "200"), begun
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(f"{path}.py").stat().st_mode & 0o777 == 0o600
    await_samples(path, 10)
    server.stop()
    await_samples(path, 20)
    server = HttpServer({"*": Answer(200, "ok", {"X-Version": "2"})}, port=port).start()
    await_samples(path, 10)
    so_far = downtime_probe("read", max_downtime=3600)
    assert so_far["running"]
    ended = downtime_probe("stopped", good={"versions": ["1", "2"]}, max_downtime=3600)
    server.stop()
    assert (ended["changed"], ended["running"], ended["ended_by"]) == (True, False, "stop file")
    found = ended["downtime"]
    assert len(found["intervals"]) == 1
    assert found["intervals"][0]["answers"].keys() <= {"refused", "connection closed", "not HTTP"}
    assert 0 < found["at_least_seconds"] <= found["seconds"] <= found["at_most_seconds"]
    assert set(found["versions"]) == {"1", "2"}
    assert ended["finding"]["status"] == "pass"
    assert [each.name for each in path.parent.iterdir()] == ["probe.jsonl"]
    wrong = downtime_probe("read", good={"versions": ["2"]}, max_downtime=0.01)
    assert wrong["failed"]
    assert "downtime is" in wrong["msg"].lower()
    assert not downtime_probe("stopped", enforce=False, max_downtime=0)["changed"]


def test_versions_that_the_probe_was_not_told_to_read_are_not_judged(path: Path, downtime_probe: t.Any) -> None:
    with HttpServer({"*": Answer(200, "ok", {"X-Version": "1"})}) as server:
        downtime_probe("started", url=f"{server.url}/")
        await_samples(path, 10)
        refused = downtime_probe("read", good={"versions": ["1"]})
        assert "not told in which header" in refused["msg"]
        assert downtime_probe("stopped", max_downtime=3600)["downtime"]["seconds"] == 0


def test_a_server_that_hangs_is_down_though_it_accepts(path: Path, downtime_probe: t.Any) -> None:
    with HangingServer() as server:
        begun = downtime_probe("started", url=f"http://127.0.0.1:{server.port}/", timeout=0.3)
        assert begun["first_answer"] == "timeout"
        assert "is not a good one" in json.dumps(begun["warnings"])
        await_samples(path, 10)
        ended = downtime_probe("stopped", enforce=False)
    found = ended["downtime"]
    assert found["bad_samples"] == found["samples"]
    assert found["seconds"] > 0
    with path.open("rb") as lines:
        seen = read_recording(lines).samples
    assert seen[-1].at - seen[0].at < sum(sample.seconds for sample in seen), "several were under way at the same time"


def test_maintenance_is_watched_all_the_time(path: Path, downtime_probe: t.Any, http_server: HttpServer) -> None:
    shut = Answer(503, "Wartung", {"Retry-After": "60"})
    http_server.route("*", shut)
    downtime_probe("started", url=http_server.url)
    await_samples(path, 10)
    http_server.route("*", [Answer(502, "gone"), shut])
    await_samples(path, 10)
    recording = json.loads(path.read_bytes().splitlines()[0])["began"]["t"]
    window = [{"since": f"@{recording}"}]
    assert "expected a time" in downtime_probe("read", maintenance=window)["msg"]
    seen = downtime_probe("read", enforce=False)
    window = [{"since": seen["downtime"]["since"]}]
    failed = downtime_probe("stopped", maintenance=window)
    assert failed["failed"]
    assert failed["downtime"]["maintenance"]["violation_count"] == 1
    assert "502" in failed["msg"]
    tolerant = downtime_probe("read", maintenance=window, clock_tolerance=3600, enforce=False)
    assert tolerant["downtime"]["maintenance"]["samples"] == 0
    assert tolerant["finding"]["status"] == "fail", "a window without samples proves nothing"


def test_a_probe_that_is_killed_leaves_a_gap_that_is_unknown(
    path: Path, downtime_probe: t.Any, http_server: HttpServer
) -> None:
    http_server.route("*", Answer(200))
    begun = downtime_probe("started", url=http_server.url)
    await_samples(path, 5)
    os.kill(begun["pid"], signal.SIGKILL)
    await_true(lambda: not look(str(path)).is_alive, seconds=20, what="end of the probe")
    told = downtime_probe("read", max_downtime=1, until="2099-01-01T00:00:00Z")
    assert told["failed"]
    assert told["ended_by"] == "killed"
    assert told["finding"]["status"] == "unknown"
    assert told["downtime"]["unknown_seconds"] > 1000
    again = downtime_probe("started", url=http_server.url)
    assert again["changed"]
    assert again["pid"] != begun["pid"]
    await_samples(path, 5)
    both = downtime_probe("stopped", gap_after=0.001, enforce=False)
    assert both["downtime"]["samples"] > 10
    assert both["downtime"]["gaps"]


def test_the_probe_goes_on_when_who_started_it_is_killed(path: Path, http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    arguments = {"state": "started", "path": str(path), "url": http_server.url, "interval_ms": 20}
    script = (
        "import json, subprocess, sys, time\n"
        "subprocess.run([sys.executable, '-m', 'tests.module_process', 'downtime_probe'], input=sys.argv[1].encode())\n"
        "print('done', flush=True)\ntime.sleep(600)\n"
    )
    controller = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps({**arguments, "_ansible_remote_tmp": "/tmp"})],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert controller.stdout is not None
        said = b"".join(iter(controller.stdout.readline, b"done\n"))
        answer = json.loads(said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
        if controller.stdout:
            controller.stdout.close()
    assert os.getsid(answer["pid"]) != controller.pid
    await_samples(path, 10)
    assert look(str(path)).pid == answer["pid"]
    with open(f"/proc/{answer['pid']}/environ", "rb") as environment:
        names = {each.partition(b"=")[0] for each in environment.read().split(b"\0") if each}
    assert names <= {b"PATH", b"LANG", b"SSL_CERT_FILE", b"SSL_CERT_DIR", b"LC_CTYPE"}


def test_two_probes_for_one_file_are_refused(path: Path, downtime_probe: t.Any, http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    first = downtime_probe("started", url=http_server.url, release=TOKEN)
    assert first["changed"]
    again = downtime_probe("started", url=http_server.url, release=TOKEN)
    assert (again["changed"], again["pid"]) == (False, first["pid"])
    other = downtime_probe("started", url=f"{http_server.url}/other", release=TOKEN)
    assert other["failed"]
    assert f"writes to {path}" in other["msg"]
    assert downtime_probe("stopped", release=TOKEN, check=True)["changed"]
    assert look(str(path)).is_alive
    assert downtime_probe("stopped", release=TOKEN)["changed"]


def test_check_mode_starts_nothing(path: Path, downtime_probe: t.Any, http_server: HttpServer) -> None:
    told = downtime_probe("started", url=http_server.url, check=True)
    assert (told["changed"], told["running"]) == (True, False)
    assert list(path.parent.iterdir()) == []


def test_it_ends_by_itself_at_its_deadline(path: Path, downtime_probe: t.Any, http_server: HttpServer) -> None:
    http_server.route("*", Answer(200))
    downtime_probe("started", url=http_server.url, max_seconds=0.2)
    await_true(lambda: not look(str(path)).is_alive, seconds=20, what="end of the probe")
    told = downtime_probe("stopped")
    assert (told["changed"], told["ended_by"]) == (False, "deadline")


def test_a_probe_that_does_not_see_the_stop_file_is_ended_by_signals(
    path: Path, downtime_probe: t.Any, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.route("*", Answer(200))
    begun = downtime_probe("started", url=http_server.url, timeout=0.1)
    os.kill(begun["pid"], signal.SIGSTOP)
    from ansible_collections.opsready.golive.plugins.module_utils._actions import downtime_probe as action

    monkeypatch.setattr(action, "_STOPPING_SECONDS", 0.2)
    told = downtime_probe("stopped", enforce=False)
    assert told["changed"]
    assert told["ended_by"] == "killed"
    assert not look(str(path)).is_alive


def test_a_stranger_that_holds_the_lock_is_not_killed(
    path: Path, downtime_probe: t.Any, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.route("*", Answer(200))
    begun = downtime_probe("started", url=http_server.url, timeout=0.1)
    await_samples(path, 2)
    os.kill(begun["pid"], signal.SIGSTOP)
    note = json.loads(Path(f"{path}.lock").read_text())
    Path(f"{path}.lock").write_text(json.dumps({**note, "start_ticks": 1}))
    from ansible_collections.opsready.golive.plugins.module_utils._actions import downtime_probe as action

    monkeypatch.setattr(action, "_STOPPING_SECONDS", 0.2)
    told = downtime_probe("stopped", enforce=False)
    os.kill(begun["pid"], signal.SIGKILL)
    assert told["failed"]
    assert "cannot be told for sure" in told["msg"]


def test_bad_options_are_refused(path: Path, downtime_probe: t.Any, tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/"
    for options, says in (
        ({"url": "ftp://x"}, "http://host"),
        ({"url": "http://u:geheim-pw@127.0.0.1/"}, "user name or password"),
        ({"url": url, "interval_ms": 1}, "at least 10"),
        ({"url": url, "timeout": 0}, "more than 0"),
        ({"url": url, "connect_to": "nowhere"}, "not host:port"),
        ({"url": url, "ca_file": str(tmp_path / "none")}, "ca_file"),
        ({"url": url, "headers": {"X": "a\nb"}}, "line break"),
        ({"url": url, "path": str(tmp_path / "none" / "p")}, "does not exist"),
        ({}, "url"),
    ):
        refused = downtime_probe("started", **options)
        assert refused["failed"]
        assert says in refused["msg"], (options, refused["msg"])
        assert "geheim-pw" not in json.dumps(refused)
    assert "no probe was started" in downtime_probe("read")["msg"]
    path.write_text("{}\n")
    assert "holds no recording" in downtime_probe("read")["msg"]
    path.unlink()
    path.mkdir()
    assert "cannot be read" in downtime_probe("read")["msg"]
    path.rmdir()


def test_a_probe_that_cannot_start_says_why(
    path: Path, downtime_probe: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ansible_collections.opsready.golive.plugins.module_utils._actions import downtime_probe as action

    url = "http://127.0.0.1:1/"
    path.mkdir()
    assert "did not start" in downtime_probe("started", url=url)["msg"]
    path.rmdir()
    monkeypatch.setattr(action.sys, "executable", "/bin/false")
    assert "it said nothing" in downtime_probe("started", url=url)["msg"]
    monkeypatch.setattr(action.sys, "executable", str(tmp_path / "none"))
    assert "The probe's files" in downtime_probe("started", url=url)["msg"]
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(action.sys, "executable", str(sleeper))
    monkeypatch.setattr(action, "_STARTING_SECONDS", 0.2)
    assert "Starting the probe did not end within" in downtime_probe("started", url=url)["msg"]
