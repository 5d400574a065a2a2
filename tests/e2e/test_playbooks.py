# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each playbook on its own, as operators call them one after the other, with the downtime probe on a host of its own.

One stack: pre_deploy, sign_off, deploy, smoke, watch, report, status, rollback. `golive` and `abort` stand in the other files.
"""

from __future__ import annotations

import json
import shutil
import threading
import typing as t
from pathlib import Path

import pytest
import yaml
from scenarios.aftermath import program_pids
from scenarios.workspace import Ended, wait_until

from tests.e2e.demos import EXAMPLE
from tests.e2e.reference import VERSION, System, reference_system

AS_WRITTEN = yaml.safe_load((EXAMPLE / "system.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    with reference_system(collections, reachable_folder("playbooks")) as found:
        yield found


class Site:
    """The reference system with a second host that measures, one item that a person signs, and one that a host judges."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.workspace = system.workspace
        self.there = self.workspace.out / "there"
        self.there.touch()
        # below the record, where a demo looks for probes that are left over
        self.far = self.workspace.state / "far"
        hosts = yaml.safe_load((EXAMPLE / "inventory.yml").read_text(encoding="utf-8"))
        hosts["all"]["hosts"]["probe1"] = {
            "ansible_connection": "local", "ansible_remote_tmp": str(self.workspace.tmp / "probe1")
        }  # fmt: skip
        self.inventory = self.workspace.write("inventory.yml", yaml.safe_dump(hosts))
        items = yaml.safe_load((EXAMPLE / "checklist.yml").read_text(encoding="utf-8"))["golive_checklist"]
        own = [
            {"id": "reviewed", "title": "A second person read the migration",
             "sign_off": {"team": "backend", "expires_after": "7d", "binds_to": "migration_preview"}},
            {"id": "there", "title": "The file is there", "hosts": "app1", "phase": ["smoke", "watch"],
             "check_host": {"files": [{"path": str(self.there)}]}},
        ]  # fmt: skip
        text = yaml.safe_dump({"golive_checklist": [*items, *own]}, allow_unicode=True, sort_keys=False)
        self.checklist = self.workspace.write("checklist.yml", text)

    def options(self, *more: str, **downtime: t.Any) -> tuple[str, ...]:
        measured = {**AS_WRITTEN["golive_downtime"], "host": "probe1", "directory": str(self.far), **downtime}
        return ("-e", f"@{self.checklist}", "-e", json.dumps({"golive_downtime": measured}), *more)

    def play(self, name: str, *more: str, **downtime: t.Any) -> Ended:
        options = self.options(*more, **downtime)
        return self.workspace.playbook(name, version=VERSION, options=options, inventory=self.inventory)

    def took_over(self, name: str, **more: t.Any) -> Ended:
        return self.play(name, "-e", json.dumps({"golive_takeover": self.workspace.record().name, **more}))

    @property
    def recording(self) -> Path:
        return self.far / "ablage" / "probes" / self.workspace.record().name / "probe.jsonl"

    def look(self) -> dict[str, t.Any]:
        return {
            "programs": program_pids(self.system.facts),
            "maintenance": Path(self.system.facts["maintenance_flag"]).exists(),
            "version": Path(self.system.facts["current"]).resolve().name,
        }


@pytest.fixture(scope="module")
def site(system: System) -> Site:
    return Site(system)


def _said_last(ended: Ended) -> str:
    """Why Ansible ended the run, in its own words."""
    return " ".join(ended.output.partition("fatal: [localhost]")[2].partition("PLAY RECAP")[0].split())


def test_pre_deploy_is_no_go_until_somebody_signs_and_says_so_once(site: Site) -> None:
    before = site.look()
    refused = site.play("pre_deploy")
    assert refused.returncode == 2
    assert site.workspace.read_report()["verdict"]["decision"] == "NO-GO"
    assert refused.output.count("NO-GO  (") == 1
    (line,) = [line for line in refused.output.splitlines() if " reviewed: " in line]
    assert line.startswith("  blocks ")
    assert "NO-GO: nothing was changed. What blocks it stands above, and in the report." in _said_last(refused)

    signed = site.play(
        "sign_off", "-e", "signed_item=reviewed", "-e", "signed_team=backend", "-e", "signed_by='Grete Hermann'"
    )
    assert signed.returncode == 0, signed.output[-4000:]
    approved = site.play("pre_deploy")
    assert approved.returncode == 0, approved.output[-4000:]
    report = site.workspace.read_report()
    assert (report["outcome"], report["verdict"]["decision"][:2]) == ("checked", "GO")
    assert site.look() == before
    assert site.workspace.releases() == []


def test_deploy_refuses_another_system_file_than_was_approved(site: Site) -> None:
    ended = site.play("deploy", interval_ms=50)
    assert ended.returncode == 2
    assert "Not as it was approved: system_file_sha256." in _said_last(ended)
    assert site.workspace.releases() == []


def test_deploy_takes_live_what_was_approved_and_the_other_host_has_measured_it(site: Site) -> None:
    ended = site.play("deploy")
    assert ended.returncode == 0, ended.output[-6000:]
    assert site.workspace.journal()[-1]["outcome"] == "live"
    assert site.look()["version"] == VERSION
    record = site.workspace.record()
    assert not (record / "probe.jsonl").exists()
    assert [path.name for path in site.recording.parent.iterdir()] == ["probe.jsonl"], "the probe goes on"
    assert site.recording.parent.stat().st_mode & 0o077 == 0
    samples = [json.loads(line) for line in site.recording.read_text(encoding="utf-8").splitlines()]
    assert samples[-1]["ended"]["reason"] == "stop file"
    downtime = site.workspace.read_report()["release"]["downtime"]
    assert downtime["seconds"] > 0 and downtime["samples"] > 100 and downtime["intervals"]
    (found,) = [finding for finding in site.workspace.read_report()["findings"] if finding["id"] == "downtime"]
    assert found["measured"]["maintenance held"] == 0


@pytest.mark.parametrize("name", ["smoke", "watch"])
def test_one_item_on_one_host_decides(site: Site, name: str) -> None:
    holds = site.play(name)
    assert holds.returncode == 0, holds.output[-4000:]
    site.there.unlink()
    try:
        broken = site.play(name)
    finally:
        site.there.touch()
    assert broken.returncode == 2
    lines = broken.output.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("  blocks ")][:1] == [
        "  blocks fail     there on app1"
    ]
    assert len([line for line in lines if line.startswith("NO-GO  (")]) == 1


def test_report_and_status_tell_of_the_release_from_its_record(site: Site) -> None:
    shutil.rmtree(site.workspace.report)
    assert site.play("report").returncode == 0
    report = site.workspace.read_report()
    assert (report["outcome"], report["release"]["id"]) == ("live", site.workspace.record().name)
    status = site.play("status")
    assert status.returncode == 0
    assert "ended: live" in status.output


def test_rollback_takes_it_back(site: Site) -> None:
    ended = site.took_over("rollback", golive_accept_data_loss=True)
    assert ended.returncode == 0, ended.output[-6000:]
    assert site.workspace.journal()[-1]["outcome"] == "rolled_back"
    found = site.look()
    assert (found["version"], found["maintenance"]) == ("1.0.0", False)
    assert site.workspace.read_report()["release"]["downtime"]["samples"] > 100


def test_law_5_what_the_other_host_saw_of_maintenance_stops_the_release(site: Site) -> None:
    before = site.workspace.releases()
    running = site.workspace.start("golive", version=VERSION, options=site.options(), inventory=site.inventory)

    def is_fenced() -> bool:
        return site.workspace.releases() != before and site.system.has("step_started", "backup")

    def sabotage() -> None:
        wait_until(lambda: is_fenced() or running.process.poll() is not None, seconds=300)
        if running.process.poll() is None:
            Path(site.system.facts["maintenance_flag"]).unlink()

    saboteur = threading.Thread(target=sabotage)
    saboteur.start()
    ended = running.wait()
    saboteur.join()
    assert ended.returncode == 2, ended.output[-4000:]
    last = site.workspace.journal()[-1]
    assert last["outcome"] == "rolled_back", last
    assert "It stopped at 'smoke_inside'" in last["detail"]
    (inside,) = [
        entry
        for entry in site.workspace.journal()
        if (entry["event"], entry.get("step")) == ("step_ended", "smoke_inside")
    ]
    assert inside["detail"].startswith("Measure | Did maintenance hold: ")
    assert [path.name for path in site.recording.parent.iterdir()] == ["probe.jsonl"], "the probe goes on"


def test_a_host_where_nothing_can_be_recorded_stops_it_before_maintenance(site: Site) -> None:
    before = site.look()
    ended = site.play("golive", directory=str(site.there))
    assert ended.returncode == 2
    assert site.workspace.journal()[-1]["outcome"] == "aborted"
    assert not site.system.has("step_started", "maintenance_on")
    assert site.look() == before
