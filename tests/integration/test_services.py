# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""services on a real supervisord: stopped in order and read, started behind gates, kept and put back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
import typing as t
import urllib.request
import xmlrpc.client
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import kept_files, supervisor_services
from ansible_collections.opsready.golive.plugins.module_utils._actions.supervisor_services import SupervisorServices
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    Refused,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from tests.integration.supervised import Supervised
from tests.servers import HangingServer, HttpServer, ScriptedServer, await_true, free_port

#: A system of this run only: a host remembers the highest token of each system.
SYSTEM = f"services-{os.urandom(4).hex()}"
TOKEN = f"{SYSTEM}/r-1/1/0123456789abcdef"
serves = pytest.mark.serves


@pytest.fixture(scope="module", autouse=True)
def token_forgotten() -> t.Iterator[None]:
    yield
    (Path(lock_directory()) / f"{SYSTEM}-01234567.lock").unlink(missing_ok=True)


@pytest.fixture
def app() -> t.Iterator[Supervised]:
    with Supervised() as supervised:
        yield supervised


@pytest.fixture
def services(app: Supervised, run_module_here: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """The module on this supervisord; neither its password nor the environment file's secret may be printed."""

    def run(state: str, *names: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"state": state, "supervisor": app.server, "services": list(names), **options}
        answer = run_module_here(
            "services", arguments, check=check, diff=True, secrets=[app.password, "geheim-env-value"]
        )
        return t.cast("dict[str, t.Any]", answer)

    return run


def version_served(app: Supervised) -> str:
    with urllib.request.urlopen(app.url, timeout=5) as answer:
        return t.cast(str, json.load(answer)["version"])


def gate(app: Supervised, version: str, **options: t.Any) -> dict[str, t.Any]:
    return {
        "service": "backend",
        "url": app.url,
        "json": [{"path": "$.version", "equals": version}],
        "states": {"paths": ["$.status"], "pass": ["gesund"]},
        "timeout": 20,
        **options,
    }


@serves("S1.33", "S1.34", "S1.35", "S1.38", case="pass")
def test_a_release_goes_to_the_new_version_and_back(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    environment = app.root / "app.env"
    added = app.root / "added.conf"
    folder = str(tmp_path / "snapshot")
    first = services("started", "backend", "worker", artefact=app.places(), gates=[gate(app, "1.0.0")])
    assert first["changed"], first
    artefact = app.artefact("2.0.0")
    kept = {"artefact": app.places(), "snapshot_dir": folder, "files": [str(environment), str(added)], "release": TOKEN}
    snapshot = services("snapshot", "backend", "worker", **kept)
    assert snapshot["changed"]
    assert snapshot["snapshot"]["deployed"]["digest"].startswith("tree:")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert {entry.stat().st_mode & 0o777 for entry in Path(folder).iterdir()} == {0o600}
    pulled = services("pulled", artefact=artefact)
    assert pulled["changed"]
    assert pulled["deployed"] == {"version": "1.0.0", "digest": snapshot["snapshot"]["deployed"]["digest"]}
    assert (pulled["pulled"]["version"], pulled["pulled"]["digest"]) == ("2.0.0", f"sha256:{artefact['sha256']}")
    assert pulled["pulled"]["bytes"] == Path(artefact["src"]).stat().st_size
    assert pulled["pulled"]["seconds"] >= 0
    assert version_served(app) == "1.0.0"
    assert (app.releases / "1.0.0" / "backend.py").exists()

    ports = [f"127.0.0.1:{app.backend_port}"]
    await_true(app.ready_file("worker").exists, seconds=20, what="worker ready")
    stopped = services("stopped", "worker", "backend", ports_closed=ports)
    assert [(each["name"], each["exit"]) for each in stopped["services"]] == [("worker", "0"), ("backend", "0")], (
        stopped
    )
    assert all(each["seconds"] > 0 for each in stopped["services"])
    environment.write_text("SECRET_KEY=geheim-env-value\nNEW=1\n")
    environment.chmod(0o644)
    added.write_text("new\n")
    assert not services("snapshot", "backend", "worker", **kept)["changed"], "a release's snapshot is taken once"
    started = services("started", "backend", "worker", artefact=artefact, gates=[gate(app, "2.0.0")])
    assert not started.get("failed"), started
    assert version_served(app) == "2.0.0"
    assert started["deployed"] == {"version": "2.0.0", "digest": f"sha256:{artefact['sha256']}"}
    assert started["gates"][0]["consecutive"] == 3
    assert started["gates"][0]["seconds"] > 0
    assert f"{app.url} $.version 2.0.0, {app.url} $.status gesund" in started["gates"][0]["last"]
    assert started["restarts"] == {}, "none came back"
    assert started["diff"]["after"]["version"] == "2.0.0"

    refused = services("restored", "backend", "worker", **kept)
    assert refused["failed"]
    assert "still runs" in refused["msg"]
    services("stopped", "worker", "backend")
    planned = services("restored", "backend", "worker", check=True, **kept)
    assert planned["changed"]
    assert added.exists()
    restored = services("restored", "backend", "worker", **kept)
    assert restored["restored"] == [str(environment), str(added)]
    assert environment.read_text() == "SECRET_KEY=geheim-env-value\n"
    assert environment.stat().st_mode & 0o777 == 0o600
    assert not added.exists()
    assert services("status", "backend", artefact=app.places())["all_stopped"], "restored starts nothing"
    assert not services("restored", "backend", "worker", **kept)["changed"]
    services("started", "backend", artefact=app.places(), gates=[gate(app, "1.0.0")])
    assert version_served(app) == "1.0.0"


def test_check_mode_changes_nothing_and_says_what_would(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    artefact = app.artefact("2.0.0")
    folder = tmp_path / "snapshot"
    assert services("pulled", artefact=artefact, check=True)["changed"]
    assert not (app.releases / "2.0.0").exists()
    services("pulled", artefact=artefact)
    assert not services("pulled", artefact=artefact)["changed"]
    planned = services("started", "backend", artefact=artefact, check=True)
    assert planned["changed"]
    assert planned["diff"]["before"] == {"version": "1.0.0", "backend": "stopped"}
    assert os.readlink(app.current) == "releases/1.0.0"
    taken = services("snapshot", "backend", snapshot_dir=str(folder), files=[str(app.root / "app.env")], check=True)
    assert taken["changed"]
    assert not folder.exists()
    services("started", "backend", artefact=artefact)
    assert os.readlink(app.current) == "releases/2.0.0", "a relative link stays relative"
    assert not services("started", "backend", artefact=artefact)["changed"]
    assert services("stopped", "backend", check=True)["changed"]
    assert services("status", "backend")["all_running"]
    services("stopped", "backend")
    assert not services("stopped", "backend")["changed"]


def test_services_stop_in_the_order_given(app: Supervised, services: t.Any) -> None:
    services("started", "worker", "pair:*", "plain")
    stopped = services("stopped", "plain", "pair", "worker")
    assert [each["name"] for each in stopped["services"]] == ["plain", "pair:0", "pair:1", "worker"]
    log = (app.directory / "supervisord.log").read_text()
    places = [log.index(f"stopped: {name} ") for name in ("plain", "0", "1", "worker")]
    assert places == sorted(places)


def test_a_service_that_does_not_catch_its_stop_signal_ends_well(app: Supervised, services: t.Any) -> None:
    services("started", "plain")
    # A signal between fork and exec is lost: supervisord's own handler takes it in the child.
    await_true(app.ready_file("plain").exists, seconds=20, what="plain ready")
    assert services("stopped", "plain")["services"][0]["exit"] == "SIGTERM"


@serves("S1.33", "S1.34", case="fail")
def test_a_killed_service_is_a_failure_named_as_killed(app: Supervised, services: t.Any) -> None:
    services("started", "stubborn", "worker")
    await_true(app.ready_file("stubborn").exists, seconds=20, what="stubborn ready")
    failed = services("stopped", "stubborn", "worker")
    assert failed["failed"]
    assert "stubborn was killed (SIGKILL)" in failed["msg"]
    assert failed["left_running"] == ["worker"]
    assert failed["changed"]


def test_on_the_way_back_a_killed_service_is_reported_and_the_rest_stopped(app: Supervised, services: t.Any) -> None:
    services("started", "stubborn", "worker")
    await_true(app.ready_file("stubborn").exists, seconds=20, what="stubborn ready")
    done = services("stopped", "stubborn", "worker", on_bad_exit="report")
    assert not done.get("failed"), done
    assert done["services"][0]["killed"]
    assert "was killed" in json.dumps(done["warnings"])
    assert [each["after"] for each in done["services"]] == ["stopped", "stopped"]


def test_a_bad_exit_code_is_a_failure(app: Supervised, services: t.Any) -> None:
    services("started", "bad_exit")
    await_true(app.ready_file("bad_exit").exists, seconds=20, what="bad_exit ready")
    failed = services("stopped", "bad_exit")
    assert "bad_exit ended with 9, expected 0 or 143 or SIGTERM" in failed["msg"]


def test_a_service_that_does_not_end_is_not_killed_by_us(app: Supervised, services: t.Any) -> None:
    services("started", "sluggish")
    await_true(app.ready_file("sluggish").exists, seconds=20, what="sluggish ready")
    failed = services("stopped", "sluggish", stop_timeout=0.5)
    assert failed["failed"]
    assert "sluggish is stopping after 0.5 s" in failed["msg"]
    assert failed["left_running"] == ["sluggish"]
    still = services("status", "sluggish")["services"][0]
    os.kill(still["pid"], signal.SIGKILL)


def test_a_process_left_behind_is_found(app: Supervised, services: t.Any) -> None:
    services("started", "parent")
    await_true(app.ready_file("parent").exists, seconds=20, what="parent ready")
    group = services("status", "parent")["services"][0]["pid"]
    failed = services("stopped", "parent", stop_timeout=1)
    os.killpg(group, signal.SIGKILL)
    assert failed["failed"]
    assert "left processes behind" in failed["msg"]


@serves("S1.34", case="pass")
@serves("S1.34", case="fail")
def test_stateful_services_are_not_stopped_by_a_deploy(services: t.Any) -> None:
    services("started", "worker", "postgres")
    refused = services("stopped", "worker", "postgres")
    assert refused["failed"]
    assert "postgres keeps data" in refused["msg"]
    assert services("status", "worker", "postgres")["all_running"], "nothing was stopped"
    assert services("stopped", "postgres", stateful=["worker"])["failed"], "the well-known ones stay known"
    assert "worker keeps data" in services("stopped", "worker", stateful=["worker"])["msg"]
    assert services("stopped", "postgres", allow_stateful=True)["changed"]


@serves("S1.33", case="fail")
def test_a_port_that_somebody_else_holds_is_not_closed(services: t.Any) -> None:
    services("started", "worker")
    with HttpServer() as other:
        failed = services("stopped", "worker", ports_closed=[f"127.0.0.1:{other.port}"], stop_timeout=3)
    assert "Something still listens" in failed["msg"]


def test_a_service_that_crashes_at_once_is_not_started(services: t.Any) -> None:
    failed = services("started", "crasher")
    assert failed["failed"]
    assert "crasher does not stay up" in failed["msg"] or "did not start" in failed["msg"]
    assert failed["left"]["crasher"] != "running"
    allowed = services("started", "crasher", max_restarts=9)
    assert "crasher did not start: it is failed" in allowed["msg"], allowed


def test_a_service_without_a_program_is_not_started(services: t.Any) -> None:
    assert "its program is not there" in services("started", "missing")["msg"]


@serves("S1.38", case="fail")
def test_a_crash_loop_behind_a_gate_is_seen(app: Supervised, services: t.Any) -> None:
    (app.root / "health").write_text("kritisch")
    shut = gate(app, "1.0.0", service=None)
    failed = services("started", "backend", "flapping", artefact=app.places(), gates=[shut])
    assert failed["failed"]
    assert "flapping does not stay up: it went away 1 times, 0 are allowed" in failed["msg"]
    assert failed["restarts"] == {"flapping": 1}


def test_restarts_within_the_allowance_are_counted(app: Supervised, services: t.Any) -> None:
    (app.root / "health").write_text("kritisch")
    patient = gate(app, "1.0.0", service=None, timeout=60)
    done = services("started", "backend", "flapping", artefact=app.places(), gates=[patient], max_restarts=2)
    assert not done.get("failed"), done
    assert done["restarts"] == {"flapping": 2}


def test_a_service_that_is_away_in_the_end_is_not_started(app: Supervised, services: t.Any) -> None:
    (app.root / "health").write_text("kritisch")
    waits = {
        **gate(app, "1.0.0", service=None, timeout=60),
        "states": None,
        "contains": ["kritisch"],
        "consecutive": 30,
    }
    failed = services("started", "backend", "ended", artefact=app.places(), gates=[waits], max_restarts=1)
    assert "ended is not running in the end" in failed["msg"]


def test_a_service_that_ends_while_a_gate_waits_fails_at_once(app: Supervised, services: t.Any) -> None:
    (app.root / "health").write_text("kritisch")
    shut = gate(app, "1.0.0", service=None, timeout=600)
    failed = services("started", "backend", "ended", artefact=app.places(), gates=[shut])
    assert "ended does not stay up" in failed["msg"]
    assert "It ended with 5" in failed["msg"]


@serves("S1.38", case="fail")
def test_a_gate_that_stays_shut_names_its_last_answer(app: Supervised, services: t.Any) -> None:
    services("started", "backend", artefact=app.places(), gates=[gate(app, "1.0.0")])
    (app.root / "health").write_text("kritisch")
    failed = services("started", "backend", "worker", artefact=app.places(), gates=[gate(app, "1.0.0", timeout=0.6)])
    assert failed["failed"]
    assert "kritisch" in failed["msg"]
    assert "gave 0 of 3 good answers in a row within 0.6 s" in failed["msg"]
    assert failed["left"] == {"backend": "running", "worker": "stopped"}
    assert not failed["changed"]


def test_a_gate_on_a_server_that_hangs_ends_within_its_limit(services: t.Any) -> None:
    with HangingServer() as hanging:
        shut = {"url": f"http://127.0.0.1:{hanging.port}/", "timeout": 1.0, "request_timeout": 0.5}
        failed = services("started", "worker", gates=[shut])
    assert "did not answer" in failed["msg"]


def test_a_gate_sends_its_secrets_and_never_shows_them(services: t.Any, http_server: HttpServer) -> None:
    token = "geheim-gate-token-1"
    shut = {
        "url": f"{http_server.url}/x",
        "timeout": 0.3,
        "bearer": token,
        "secret_headers": {"X-Key": "geheim-key-22"},
    }
    failed = services("started", "worker", gates=[shut])
    assert failed["failed"]
    assert http_server.requests[0].headers["Authorization"] == f"Bearer {token}"
    assert http_server.requests[0].headers["X-Key"] == "geheim-key-22"
    assert token not in json.dumps(failed)
    assert "geheim-key-22" not in json.dumps(failed)


def test_a_version_is_not_selected_under_a_running_service(app: Supervised, services: t.Any) -> None:
    artefact = app.artefact("2.0.0")
    services("pulled", artefact=artefact)
    services("started", "backend", artefact=app.places())
    refused = services("started", "backend", artefact=artefact)
    assert "still runs version 1.0.0" in refused["msg"]
    assert os.readlink(app.current) == "releases/1.0.0"


def test_a_service_older_than_the_switch_is_not_taken_for_the_new_version(app: Supervised, services: t.Any) -> None:
    services("started", "backend", artefact=app.places())
    app.install("3.0.0")
    app.current.unlink()
    app.current.symlink_to("releases/3.0.0")
    future = os.lstat(app.current).st_mtime + 10
    os.utime(app.current, (future, future), follow_symlinks=False)
    refused = services("started", "backend", artefact={**app.places(), "version": "3.0.0"})
    assert "runs since before version 3.0.0 was selected" in refused["msg"]


@serves("S1.35", case="fail")
def test_an_artefact_with_another_digest_is_not_pulled(app: Supervised, services: t.Any) -> None:
    artefact = app.artefact("2.0.0")
    failed = services("pulled", artefact={**artefact, "sha256": "0" * 64})
    assert failed["failed"]
    assert artefact["sha256"][:12] in failed["msg"]
    assert not (app.releases / "2.0.0").exists()


def test_a_version_that_is_not_there_or_was_altered_is_not_started(app: Supervised, services: t.Any) -> None:
    artefact = app.artefact("2.0.0")
    assert "Pull it first" in services("started", "backend", artefact=artefact)["msg"]
    services("pulled", artefact=artefact)
    (app.releases / "2.0.0" / "backend.py").write_text("altered")
    assert "are not as they were unpacked: backend.py" in services("started", "backend", artefact=artefact)["msg"]
    assert os.readlink(app.current) == "releases/1.0.0"


def test_a_snapshot_that_was_altered_is_refused(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    kept = {"snapshot_dir": str(tmp_path / "s"), "files": [str(app.root / "app.env")], "artefact": app.places()}
    services("snapshot", "backend", **kept)
    assert not services("snapshot", "backend", **kept)["changed"], "nothing differs, so it still holds"
    (app.root / "app.env").write_text("OTHER=1\n")
    assert "Give each release a folder of its own" in services("snapshot", "backend", **kept)["msg"]
    (tmp_path / "s" / "000").write_text("altered")
    refused = services("restored", "backend", **kept)
    assert "is gone or was altered" in refused["msg"]
    assert (app.root / "app.env").read_text() == "OTHER=1\n"
    assert "nothing to go back to" in services("restored", "backend", snapshot_dir=str(tmp_path / "none"))["msg"]
    (tmp_path / "s" / "snapshot.json").write_text("{")
    assert "cannot be read" in services("restored", "backend", **kept)["msg"]


def test_what_was_written_through_a_link_is_told_and_put_back(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    link, led_to = app.root / "linked.env", app.root / "shared.env"
    led_to.write_text("KEY=old")
    link.symlink_to("shared.env")
    kept = {"snapshot_dir": str(tmp_path / "s"), "files": [str(link)], "artefact": app.places()}
    planned = services("snapshot", "backend", check=True, **kept)
    taken = services("snapshot", "backend", **kept)
    paths = [[entry["path"] for entry in answer["snapshot"]["files"]] for answer in (planned, taken)]
    assert paths == [[str(link), str(led_to)]] * 2
    assert not services("snapshot", "backend", **kept)["changed"], "nothing differs, so it still holds"
    link.write_text("KEY=new")
    assert "Give each release a folder of its own" in services("snapshot", "backend", **kept)["msg"]
    restored = services("restored", "backend", **kept)
    assert restored["restored"] == [str(led_to)]
    assert (link.read_text(), os.readlink(link)) == ("KEY=old", "shared.env")


def test_a_restored_version_that_differs_from_the_snapshot_is_said(
    app: Supervised, services: t.Any, tmp_path: Path
) -> None:
    kept = {"snapshot_dir": str(tmp_path / "s"), "files": [], "artefact": app.places(), "release": TOKEN}
    services("snapshot", "backend", **kept)
    (app.releases / "1.0.0" / "backend.py").write_text("altered")
    restored = services("restored", "backend", **kept)
    assert "is not as it was in the snapshot" in json.dumps(restored["warnings"])


def test_what_was_and_was_not_put_back_is_told(
    app: Supervised, services: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(app.root / name) for name in ("a.conf", "b.conf")]
    for path in paths:
        Path(path).write_text("1")
    kept = {"snapshot_dir": str(tmp_path / "s"), "files": paths, "artefact": app.places()}
    services("snapshot", "backend", **kept)
    assert "folder of its own" in services("snapshot", "backend", **{**kept, "files": []})["msg"]
    for path in paths:
        Path(path).write_text("2")
    original = kept_files.put_back

    def full_disk(entry: t.Mapping[str, t.Any], folder: str) -> None:
        if entry["path"] == paths[1]:
            raise OSError(28, "No space left on device")
        original(entry, folder)

    monkeypatch.setattr(kept_files, "put_back", full_disk)
    failed = services("restored", "backend", **kept)
    assert "No space left on device" in failed["msg"]
    assert (failed["restored"], failed["not_restored"], failed["changed"]) == ([paths[0]], [paths[1]], True)


def test_a_snapshot_folder_that_cannot_be_made_is_named(services: t.Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    failed = services("snapshot", "backend", snapshot_dir=str(tmp_path / "file" / "s"), files=[])
    assert "Not a directory" in failed["msg"] or "cannot be read" in failed["msg"]
    failed = services("snapshot", "backend", snapshot_dir="/proc/self/snapshot", files=[])
    assert "/proc/self/snapshot" in failed["msg"]


def test_a_snapshot_of_another_application_is_refused(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    folder = {"snapshot_dir": str(tmp_path / "s")}
    services("snapshot", "backend", artefact=app.places(), **folder)
    other = app.root / "other"
    other.symlink_to("releases/1.0.0")
    refused = services("restored", "backend", artefact={**app.places(), "current": str(other)}, **folder)
    assert "Not everything was put back" in refused["msg"]
    assert "not of" in refused["msg"]


def test_a_first_version_is_taken_away_again(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    app.current.unlink()
    kept = {"snapshot_dir": str(tmp_path / "s"), "artefact": app.places(), "release": TOKEN}
    first = services("snapshot", "backend", **kept)
    assert first["snapshot"]["deployed"] == {"version": None, "digest": None}
    artefact = app.artefact("2.0.0")
    services("pulled", artefact=artefact)
    services("started", "backend", artefact=artefact)
    services("stopped", "backend")
    assert services("restored", "backend", **kept)["changed"]
    assert not os.path.lexists(app.current)


def test_asking_for_what_is_so_already_is_no_error(app: Supervised) -> None:
    options = {"server": app.server["server"], "username": "golive", "password": app.password}
    manager = SupervisorServices(options, None)
    limit = Deadline(20)
    manager.ask_stop("worker", deadline=limit)
    manager.ask_start("worker", deadline=limit)
    manager.ask_start("worker", deadline=limit)
    assert manager.status("worker", deadline=limit).state == "running"
    for ask in (manager.ask_start, manager.ask_stop):
        with pytest.raises(ActionFailed, match="nobody"):
            ask("nobody", deadline=limit)
    with pytest.raises(UnexpectedAnswer, match="refused"):
        manager.status("nobody", deadline=limit)
    os.kill(app.pid, signal.SIGTERM)
    await_true(lambda: _is_shutting_down(manager), seconds=20, what="shutdown")
    with pytest.raises((Refused, Unreachable, UnexpectedAnswer)):
        manager.ask_start("plain", deadline=limit)


def _is_shutting_down(manager: SupervisorServices) -> bool:
    try:
        manager.status("worker", deadline=Deadline(20))
    except (Unreachable, UnexpectedAnswer):  # the second where it ends the connection in mid-answer
        return True
    return False


def test_without_its_log_the_end_of_a_service_cannot_be_told(run_module_here: t.Any) -> None:
    with Supervised(log="/dev/null") as app:
        arguments = {"supervisor": app.server, "services": ["stubborn"]}
        run_module_here("services", {**arguments, "state": "started"})
        await_true(app.ready_file("stubborn").exists, seconds=20, what="stubborn ready")
        failed = run_module_here("services", {**arguments, "state": "stopped"})
    assert failed["failed"]
    assert "how it ended cannot be told" in failed["msg"]


def test_a_file_that_cannot_be_put_back_is_named(app: Supervised, services: t.Any, tmp_path: Path) -> None:
    first, second = app.root / "a.conf", app.root / "sub" / "b.conf"
    second.parent.mkdir()
    first.write_text("1")
    second.write_text("1")
    kept = {"snapshot_dir": str(tmp_path / "s"), "files": [str(first), str(second)], "artefact": app.places()}
    services("snapshot", "backend", **kept)
    first.write_text("2")
    second.unlink()
    second.parent.rmdir()
    second.parent.write_text("in the way")
    failed = services("restored", "backend", **kept)
    assert failed["failed"]
    second.parent.unlink()
    first.write_text("2")
    second.parent.mkdir()
    assert services("restored", "backend", **kept)["changed"]
    assert (first.read_text(), second.read_text()) == ("1", "1")


def test_the_port_with_a_password_serves_as_well(app: Supervised, run_module_here: t.Any) -> None:
    server = {"server": f"http://127.0.0.1:{app.port}", "username": "golive", "password": app.password}
    arguments = {"state": "status", "supervisor": server, "services": ["backend"]}
    told = run_module_here("services", arguments, secrets=[app.password])
    assert told["services"][0]["state"] == "stopped"
    arguments["supervisor"] = {**server, "password": "wrong-geheim-word"}
    denied = run_module_here("services", arguments, secrets=[app.password, "wrong-geheim-word"])
    assert denied["failed"]
    assert "refused the user name or password" in denied["msg"]


def test_no_supervisord_is_named(run_module_here: t.Any, tmp_path: Path) -> None:
    nowhere = {"server": f"unix://{tmp_path}/none.sock"}
    failed = run_module_here("services", {"state": "status", "supervisor": nowhere, "services": ["x"]})
    assert "supervisord does not run" in failed["msg"]
    assert failed["error"] == "Unreachable"


def test_a_supervisord_that_hangs_ends_within_the_limit(app: Supervised, services: t.Any) -> None:
    app.suspend()
    failed = services("status", "backend", timeout=0.5)
    app.resume()
    assert "did not answer within 0.5 s" in failed["msg"]


def reading_a_call(answer: t.Callable[[socket.socket], None]) -> t.Callable[[socket.socket], None]:
    """A conversation that gives this answer to a whole call."""

    def converse(connection: socket.socket) -> None:
        received = b""
        while b"</methodCall>" not in received:
            received += connection.recv(65536)
        with contextlib.suppress(OSError):  # who has read enough closes
            answer(connection)

    return converse


OK = b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (OK + b"not xml", "XML-RPC"),
        (OK + b"<a><b", "XML-RPC"),
        (OK + xmlrpc.client.dumps((7,), methodresponse=True).encode(), "does not list its processes"),
        (OK + xmlrpc.client.dumps(([{"group": "x"}],), methodresponse=True).encode(), "does not tell of a process"),
        (OK + b"<" * (5 << 20), "answered with more than 4194304 bytes"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n<methodResponse>", "ended the body"),
        (b"HTTP/1.0 500 No\r\n\r\n", "status 500"),
        (b"garbage", "XML-RPC"),
    ],
)
def test_something_that_is_no_supervisord_is_named(run_module_here: t.Any, answer: bytes, says: str) -> None:
    with ScriptedServer(reading_a_call(lambda connection: connection.sendall(answer))) as server:
        supervisor = {"server": f"http://127.0.0.1:{server.port}"}
        failed = run_module_here("services", {"state": "status", "supervisor": supervisor, "services": ["x"]})
    assert failed["failed"]
    assert says in failed["msg"]


def test_an_answer_in_drops_ends_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_services, "ANSWER_SECONDS", 0.4)
    is_over = threading.Event()

    def drip(connection: socket.socket) -> None:
        for octet in OK + b"<" * 1000:
            connection.sendall(bytes([octet]))
            is_over.wait(0.05)

    with ScriptedServer(reading_a_call(drip)) as server:
        supervisor = supervisor_services.Supervisor(f"http://127.0.0.1:{server.port}")
        with pytest.raises(TimedOut, match=r"did not answer within 0\.4 s"):
            supervisor.call("supervisor.getState", deadline=Deadline(30))
        is_over.set()


def test_names_that_supervisord_does_not_know_are_refused_with_those_it_knows(services: t.Any) -> None:
    refused = services("stopped", "backend", "frontend")
    assert "knows no service 'frontend'" in refused["msg"]
    assert "backend" in refused["msg"]
    assert "services is empty" in services("status")["msg"]


def test_bad_gates_are_refused_before_anything_starts(app: Supervised, services: t.Any) -> None:
    free = f"http://127.0.0.1:{free_port()}/"
    for bad, says in (
        ({"url": free, "consecutive": 0}, "consecutive is 0"),
        ({"url": free, "timeout": 0}, "more than 0 seconds"),
        ({"url": free, "json": []}, "json is empty"),
        ({"url": free, "service": "worker"}, "not among services"),
    ):
        assert says in services("started", "backend", gates=[bad])["msg"]
    assert services("status", "backend")["all_stopped"]


def test_without_an_artefact_there_are_no_versions(services: t.Any) -> None:
    done = services("started", "worker")
    assert done["changed"]
    assert done["deployed"] == {"version": None, "digest": None}


def _processes(answer: dict[str, t.Any]) -> dict[str, tuple[int | None, int | None]]:
    return {
        each["name"]: (each["was"]["pid"] if each["was"] else None, each["now"]["pid"] if each["now"] else None)
        for each in answer["services"]
    }


@serves("S1.75", case="pass")
def test_services_are_restarted_one_after_the_other_each_behind_its_gate(app: Supervised, services: t.Any) -> None:
    assert not services("started", "backend", "worker", "pair:*", gates=[gate(app, "1.0.0")]).get("failed")
    await_true(app.ready_file("worker").exists, seconds=20, what="worker ready")
    before = {each["name"]: each["pid"] for each in services("status", "backend", "worker", "pair:*")["services"]}
    would = services("restarted", "backend", "pair:*", "worker", artefact=app.places(), check=True)
    assert would["changed"] and would["not_restarted"] == ["backend", "pair:0", "pair:1", "worker"]
    assert {
        each["name"]: each["pid"] for each in services("status", "backend", "worker", "pair:*")["services"]
    } == before

    one = services("restarted", "backend", artefact=app.places(), gates=[gate(app, "1.0.0")])
    assert one["changed"] and not one.get("failed"), one
    ((was, now),) = _processes(one).values()
    assert was == before["backend"] != now
    assert one["gates"][0]["consecutive"] == 3
    assert one["deployed"]["version"] == "1.0.0" and one["deployed"]["digest"].startswith("tree:")
    (backend,) = one["services"]
    assert (backend["before"], backend["after"], backend["exit"], backend["killed"]) == (
        "running",
        "running",
        "0",
        False,
    )
    assert backend["was"]["command_sha256"] is not None
    assert backend["was"]["command_sha256"] == _command_of(services, "backend")
    assert backend["seconds"] > 0

    ports = services("restarted", "worker", "backend", "pair:*", gates=[gate(app, "1.0.0")])
    assert list(_processes(ports)) == ["worker", "backend", "pair:0", "pair:1"]
    assert {name: was for name, (was, _now) in _processes(ports).items()} == {**before, "backend": now}
    assert all(was != now for was, now in _processes(ports).values())
    assert ports["not_restarted"] == [] and version_served(app) == "1.0.0"


@serves("S1.75", case="fail")
def test_a_service_that_does_not_come_back_healthy_is_named_and_no_other_is_touched(
    app: Supervised, services: t.Any
) -> None:
    assert not services("started", "backend", "worker", gates=[gate(app, "1.0.0")]).get("failed")
    await_true(app.ready_file("worker").exists, seconds=20, what="worker ready")
    worker = services("status", "worker")["services"][0]["pid"]
    (app.root / "health").write_text("kritisch")
    sick = services("restarted", "backend", "worker", gates=[gate(app, "1.0.0", timeout=1)])
    assert sick["failed"] and sick["changed"]
    assert sick["msg"].startswith("The restart of backend failed: ") and "kritisch" in sick["msg"]
    assert "Not restarted: worker." in sick["msg"]
    assert (sick["not_restarted"], sick["left"]) == (["worker"], {"backend": "running", "worker": "running"})
    ((was, now),) = _processes(sick).values()
    assert was != now
    assert services("status", "worker")["services"][0]["pid"] == worker


def test_a_service_whose_program_is_broken_does_not_come_back_and_is_named(app: Supervised, services: t.Any) -> None:
    assert not services("started", "worker").get("failed")
    await_true(app.ready_file("worker").exists, seconds=20, what="worker ready")
    down = services("restarted", "worker", "crasher", "backend", start_timeout=20)
    assert down["failed"] and down["msg"].startswith("The restart of crasher failed: ")
    assert [each["name"] for each in down["services"]] == ["worker", "crasher"] and down["not_restarted"] == ["backend"]
    assert down["left"]["worker"] == "running" and down["left"]["backend"] == "stopped"


def test_a_service_that_was_killed_runs_again_and_is_a_failure_all_the_same(app: Supervised, services: t.Any) -> None:
    assert not services("started", "stubborn").get("failed")
    await_true(app.ready_file("stubborn").exists, seconds=20, what="stubborn ready")
    killed = services("restarted", "stubborn", "backend")
    assert killed["failed"] and "stubborn was killed (SIGKILL)" in killed["msg"] and "It runs again." in killed["msg"]
    assert killed["left"] == {"stubborn": "running", "backend": "stopped"}
    assert killed["services"][0]["killed"] is True
    assert services("restarted", "backend").get("failed", False) is False
    services("stopped", "stubborn", on_bad_exit="report")
    app.ready_file("stubborn").unlink(missing_ok=True)  # its last life may have been too short to write it
    services("started", "stubborn")
    await_true(app.ready_file("stubborn").exists, seconds=20, what="stubborn ready")
    reported = services("restarted", "stubborn", "backend", on_bad_exit="report")
    assert not reported.get("failed") and reported["services"][0]["killed"] is True
    assert reported["not_restarted"] == []


def test_a_restart_changes_no_version_and_stops_no_data(app: Supervised, services: t.Any) -> None:
    assert not services("started", "backend", artefact=app.places()).get("failed")
    pid = services("status", "backend")["services"][0]["pid"]
    other = services("restarted", "backend", artefact={**app.places(), "version": "2.0.0"})
    assert other["failed"] and "a restart does not change it to 2.0.0" in other["msg"]
    data = services("restarted", "backend", "postgres")
    assert data["failed"] and "postgres keeps data" in data["msg"]
    app.install("2.0.0")
    await_true(lambda: time.time() > app.current.lstat().st_mtime + 2, seconds=20, what="a later second")
    app.current.unlink()
    app.current.symlink_to("releases/2.0.0")
    stale = services("restarted", "backend", artefact=app.places())
    assert stale["failed"] and "a restart would change the version" in stale["msg"]
    assert services("status", "backend")["services"][0]["pid"] == pid


def _command_of(services: t.Any, name: str) -> str | None:
    return t.cast("str | None", services("status", name)["services"][0]["command_sha256"])


def test_recreating_takes_the_managers_configuration_as_it_is_now(app: Supervised, services: t.Any) -> None:
    assert not services("started", "worker", "pair:*").get("failed")
    await_true(app.ready_file("worker").exists, seconds=20, what="worker ready")
    configuration = app.directory / "supervisord.conf"
    kept = configuration.read_text()
    more = f"{sys.executable} {app.root}/worker.py --second"
    configuration.write_text(
        kept.replace(f"{sys.executable} {app.root}/worker.py", more).replace("numprocs=2", "numprocs=3")
    )
    plain = services("restarted", "worker")
    was = plain["services"][0]["was"]["command_sha256"]
    await_true(lambda: _command_of(services, "worker") is not None, seconds=20, what="worker's program")
    assert was == _command_of(services, "worker")
    partly = services("restarted", "pair:0", recreate=True)
    assert partly["failed"] and "pair:0 is recreated with the rest of its group, pair:1, or not at all" in partly["msg"]
    renewed = services("restarted", "worker", "pair:*", recreate=True)
    assert not renewed.get("failed"), renewed
    (worker, *pair) = renewed["services"]
    await_true(lambda: _command_of(services, "worker") is not None, seconds=20, what="worker's program")
    assert worker["was"]["command_sha256"] != _command_of(services, "worker")
    assert [(each["name"], each["now"]["state"]) for each in pair] == [(f"pair:{n}", "running") for n in range(3)]
    assert (pair[2]["was"], pair[2]["before"]) == (None, "unknown")

    pid = services("status", "worker")["services"][0]["pid"]
    configuration.write_text(kept.replace("[program:worker]", "[program:labourer]"))
    gone = services("restarted", "worker", recreate=True)
    assert gone["failed"] and "has no worker any more" in gone["msg"]
    configuration.write_text(kept + "\n[program:broken]\n")
    unread = services("restarted", "worker", recreate=True)
    assert unread["failed"] and "supervisord cannot read its configuration" in unread["msg"]
    assert services("status", "worker")["services"][0]["pid"] == pid
