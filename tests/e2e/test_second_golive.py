# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that goes live late, with its database on a host of its own, and the same version once more: one stack, four runs."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from scenarios.aftermath import program_pids

from tests.e2e.demos import EXAMPLE
from tests.e2e.reference import VERSION, System, reference_system

#: It drops a column, and its inside smoke test fails.
RESTORED = "2.0.2"
BUDGET_SECONDS = 0.5


@pytest.fixture(scope="module")
def system(collections: Path, reachable_folder: t.Callable[[str], Path]) -> t.Iterator[System]:
    with reference_system(collections, reachable_folder("second")) as found:
        yield found


@pytest.fixture(scope="module")
def run(system: System) -> t.Callable[..., t.Any]:
    """Take it live: the database's host is not the state host, and the budget is one that nobody keeps."""
    as_written = yaml.safe_load((EXAMPLE / "system.yml").read_text(encoding="utf-8"))
    values = {
        "golive_database": {**as_written["golive_database"], "host": "db1"},
        "golive_downtime": {**as_written["golive_downtime"], "budget_seconds": BUDGET_SECONDS},
    }
    inventory = yaml.safe_load((EXAMPLE / "inventory.yml").read_text(encoding="utf-8"))
    inventory["all"]["hosts"]["db1"] = {"ansible_connection": "local"}
    place = system.workspace.write("inventory.yml", yaml.safe_dump(inventory))

    def golive(*options: str, version: str = VERSION) -> t.Any:
        words = ("-e", json.dumps(values), *options)
        return system.workspace.playbook("golive", version=version, options=words, inventory=place)

    return golive


def test_the_databases_host_has_the_way_back_with_the_backups_name(system: System, run: t.Callable[..., t.Any]) -> None:
    """Of a release whose way back is the backup: written before the window, and once more when it had a name."""
    ended = run(version=RESTORED)
    assert ended.returncode == 2
    assert system.workspace.journal()[-1]["outcome"] == "rolled_back", ended.output[-4000:]
    record = system.workspace.record()
    beside = Path(system.facts["releases_dir"]).parent / "golive" / record.name / "ROLLBACK.md"
    text = beside.read_text(encoding="utf-8")
    assert text == (record / "ROLLBACK.md").read_text(encoding="utf-8")
    plan = json.loads((record / "rollback_plan.json").read_text(encoding="utf-8"))
    archive = plan["where"]["backup"]["archive"]
    assert archive.startswith("s3://") and archive.removeprefix("s3:/") in text
    assert beside.stat().st_mode & 0o077 == 0


def test_a_live_release_over_its_budget_stays_live_and_says_so_last(
    system: System, run: t.Callable[..., t.Any]
) -> None:
    ended = run()
    assert ended.returncode == 0, ended.output[-4000:]
    assert system.workspace.journal()[-1]["outcome"] == "live"
    report = system.workspace.read_report()
    downtime = report["release"]["downtime"]
    assert downtime["verdict"] == "over budget"
    (found,) = [finding for finding in report["findings"] if finding["id"] == "downtime"]
    assert (found["status"], found["severity"]) == ("fail", "warning")
    assert f"expected at most {BUDGET_SECONDS:g}" in found["summary"]
    said = [line for line in ended.output.partition("PLAY RECAP")[0].splitlines() if line.strip()]
    words = f"live, over budget: {downtime['seconds']:.1f} s of {BUDGET_SECONDS:g} s"
    assert words in said
    assert [
        line for line in said[said.index(words) + 1 :] if not line.startswith(("TASK", "ok:", "changed:", "skipping:"))
    ] == []
    assert (system.workspace.record() / "report" / "report.json").read_bytes() == (
        system.workspace.report / "report.json"
    ).read_bytes()


def test_the_version_that_serves_is_refused_before_maintenance_and_names_the_way_out(
    system: System, run: t.Callable[..., t.Any]
) -> None:
    pids, releases = program_pids(system.facts), system.workspace.releases()
    since = system.workspace.journal()[-1]["at"]
    ended = run()
    assert ended.returncode == 2
    said = " ".join(ended.output.split())
    assert f"Version {VERSION} of ablage is live since {since}" in said
    assert "golive_redeploy: true" in said
    assert (program_pids(system.facts), system.workspace.releases()) == (pids, releases)


def test_the_version_that_serves_is_deployed_again_when_that_is_said(
    system: System, run: t.Callable[..., t.Any]
) -> None:
    before = program_pids(system.facts)["backend"]
    ended = run("-e", '{"golive_redeploy": true}')
    assert ended.returncode == 0, ended.output[-4000:]
    assert system.workspace.journal()[-1]["outcome"] == "live"
    assert program_pids(system.facts)["backend"] != before
