# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The laws, broken on purpose in real runs on the reference system."""

from __future__ import annotations

import json
import re
import threading
import typing as t
from pathlib import Path

import pytest
import yaml
from scenarios import no_go, pictures
from scenarios.workspace import Ended, wait_until

from tests.e2e.demos import ROOT, Recorder
from tests.e2e.reference import VERSION, System, reference_system
from tests.leaks import forms_of

STATEFUL = ("postgres", "redis", "s3", "proxy")


@pytest.fixture(scope="module")
def system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    """The reference system in version 1, at rest; each test leaves it so."""
    with reference_system(collections, reachable_folder("laws")) as found:
        no_go.keep_still(found.facts)
        yield found


@pytest.fixture
def own_system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    """One for a test that changes it."""
    with reference_system(collections, reachable_folder("own")) as found:
        yield found


@pytest.mark.parametrize(
    "options",
    [
        ("--tags", "deploy"),
        ("--skip-tags", "untagged"),
        ("--limit", "app1"),
        ("--start-at-task", "Release | Take the lock"),
        ("--start-at-task", "Main | Switch maintenance and prove it on the user path"),
    ],
    ids=" ".join,
)
def test_law_2_no_option_of_ansible_walks_around_the_verdict(system: System, options: tuple[str, ...]) -> None:
    before, releases = system.look(), system.workspace.releases()
    system.golive(*options)
    assert system.look() == before
    assert system.workspace.releases() == releases


def test_law_16_check_mode_gives_the_verdict_and_changes_nothing(system: System) -> None:
    before, releases = system.look(), system.workspace.releases()
    ended = system.golive("--check")
    assert ended.returncode == 0, ended.output[-4000:]
    assert system.look() == before
    assert system.workspace.releases() == releases
    report = system.workspace.read_report()
    assert report["outcome"] == "checked"
    assert "GO if" in ended.output and "store-backups" in ended.output


@pytest.fixture(scope="class")
def died(system: System) -> t.Iterator[str]:
    """A release whose run was killed before it changed anything; its lock is still there. Ended by abort afterwards."""
    running = system.started()
    try:
        assert wait_until(lambda: system.has("planned"), seconds=300), "".join(running.lines)[-4000:]
    finally:
        running.kill()
    release = system.workspace.record().name
    yield release
    # what rests for the comparisons runs in a system that is as it was
    system.control("start", "beat")
    ended = system.workspace.playbook("abort", version=VERSION, options=("-e", f"golive_takeover={release}"))
    assert ended.returncode == 0, ended.output[-4000:]
    assert system.workspace.journal()[-1]["outcome"] in ("aborted", "rolled_back")
    assert not (system.workspace.state / "lock.json").exists()


class TestWhileTheLockOfADeadRunIsHeld:
    def test_law_3_a_second_release_is_refused_and_told_the_way_out(self, system: System, died: str) -> None:
        before = system.look()
        ended = system.golive()
        assert ended.returncode == 2
        assert f"release {died} of ablage {VERSION} holds the lock" in " ".join(ended.output.split())
        assert "abort" in ended.output and f"golive_takeover={died}" in ended.output
        assert system.look() == before
        assert [path.name for path in system.workspace.releases()][-1] == died

    @pytest.mark.parametrize(
        "start_at",
        ["", "Probe | Measure from outside, from now on", "Main | Switch maintenance and prove it on the user path"],
    )  # fmt: skip
    def test_law_2_a_token_from_another_run_opens_nothing(self, system: System, died: str, start_at: str) -> None:
        """The token is the very one that holds the lock; only it was not given out in this run."""
        from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token

        lock = json.loads((system.workspace.state / "lock.json").read_text(encoding="utf-8"))
        token = str(Token("ablage", lock["release"], lock["number"], lock["nonce"]))
        copied = {"golive_release": {"token": token, "id": died, "folder": str(system.workspace.record())}}
        before, journal = system.look(), system.workspace.journal()
        ended = system.golive("-e", json.dumps(copied), *(["--start-at-task", start_at] if start_at else []))
        assert ended.returncode != 0
        assert system.look() == before
        assert system.workspace.journal() == journal


def test_law_5_and_12_a_flag_that_somebody_removes_fails_the_release(own_system: System) -> None:
    """Maintenance is lost for a moment in the window. Nothing stateful was stopped on the way there and back."""
    system = own_system
    before = system.look()
    flag = Path(system.facts["maintenance_flag"])
    running = system.started()
    second: list[Ended] = []

    def sabotage() -> None:
        wait_until(lambda: system.has("step_started", "backup") or running.process.poll() is not None, seconds=300)
        if running.process.poll() is None:
            flag.unlink()
            # a second go-live while one runs: law 3, with a living owner
            second.append(system.golive())

    saboteur = threading.Thread(target=sabotage)
    saboteur.start()
    ended = running.wait()
    saboteur.join()
    assert ended.returncode == 2 and second, ended.output[-4000:]
    last = system.workspace.journal()[-1]
    assert last.get("outcome") == "rolled_back", last
    assert "It stopped at 'smoke_inside'" in last["detail"]
    assert second[0].returncode == 2
    assert "holds the lock" in second[0].output
    after = system.look()
    assert {name: after["programs"].get(name) for name in STATEFUL} == {
        name: before["programs"].get(name) for name in STATEFUL
    }
    assert not after["maintenance"]
    assert Path(system.facts["current"]).resolve().name == "1.0.0"


def test_law_13_services_that_fail_take_no_secret_with_them(system: System, tmp_path: Path) -> None:
    """Each service that a secret opens is down once; what is said about it at -vvv names none."""
    recorder = Recorder.make(tmp_path / "recorded")
    said: list[str] = []
    for service in ("postgres", "redis", "s3", "backend"):
        system.control("stop", service)
        try:
            ended = system.golive(*recorder.options())
        finally:
            system.control("start", service)
        assert ended.returncode == 2
        assert system.workspace.read_report()["verdict"]["decision"] == "NO-GO"
        said.append(ended.output)
        said += [path.read_text(errors="replace") for path in system.workspace.report.iterdir()]
    values = yaml.safe_load((system.workspace.stack / "secrets.yml").read_text(encoding="utf-8"))
    secrets = [str(value) for name, value in values.items() if not name.endswith("_access_key")]
    text = "\n".join(said)
    assert not [form for secret in secrets for form, written in forms_of(secret).items() if written in text]


def _tasks(content: t.Any) -> t.Iterator[dict[str, t.Any]]:
    if isinstance(content, list):
        for entry in content:
            yield from _tasks(entry)
    elif isinstance(content, dict):
        yield content
        for key in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always", "handlers"):
            yield from _tasks(content.get(key))


def test_law_15_no_playbook_and_no_role_sleeps() -> None:
    found, seen = [], 0
    for folder in ("playbooks", "roles"):
        for path in (ROOT / folder).rglob("*.yml"):
            if path.parent.name in ("meta", "vars", "defaults"):
                continue
            for task in _tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
                seen += 1
                if {"pause", "ansible.builtin.pause", "wait_for", "ansible.builtin.wait_for"} & task.keys():
                    found.append(f"{path}: {task.get('name')}")
                if re.search(r"\bsleep\s+[\d.]", json.dumps(task, default=str)):
                    found.append(f"{path}: {task.get('name')} sleeps")
    assert seen > 50
    assert not found


def test_law_15_the_collection_waits_only_by_its_clock() -> None:
    """Whatever waits, polls to a deadline through one clock, or is a program of its own that samples on a schedule."""
    allowed = {"clock.py", "probe_process.py", "nvml_reading.py"}
    sleepers = {
        path.name
        for path in (ROOT / "plugins").rglob("*.py")
        if re.search(r"\btime\.sleep\(", path.read_text(encoding="utf-8"))
    }
    assert sleepers <= allowed


def test_pictures_see_a_change(system: System) -> None:
    """The comparison that every test above relies on is not blind."""
    import psycopg

    before = system.look()
    with psycopg.connect(
        host=system.facts["postgres_host"], port=system.facts["postgres_port"], user="postgres", dbname="ablage",
        password=system.facts.secret("db_superuser_password"), autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute("insert into events (actor, action) values ('test', 'gesehen')")
    after = system.look()
    assert after["transaction"] > before["transaction"]
    assert pictures.changed_keys(before["files"], after["files"]) == []
