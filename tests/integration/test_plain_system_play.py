# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A system of a backend and a proxy, without database, workers or schedulers: what its release prints, reports and takes back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.integration.supervised import Supervised
from tests.playbook import ROOT, Played, run_playbook
from tests.servers import Answer, HttpServer, Postgres, Request

#: Parts that this system does not have, in the words of steps and ways back.
OTHERS = ("fence", "backup", "migration", "database", "worker", "scheduler", "inside")


class Site:
    """The system behind a proxy that answers 503 while a file is there, and the playbooks run on it one after the other."""

    def __init__(self, app: Supervised, proxy: HttpServer, directory: Path) -> None:
        self.app, self.proxy, self.directory = app, proxy, directory
        self.flag = directory / "maintenance"
        self.report = directory / "report"
        # Made once: a version is one artefact, and each archive has a digest of its own.
        self.archive = app.artefact("2.0.0")
        proxy.route("*", self._forwarded)
        control = [sys.executable, "-m", "supervisor.supervisorctl", "-s", app.server["server"],
                   "-u", app.server["username"], "-p", app.password]  # fmt: skip
        subprocess.run([*control, "start", "backend"], check=True, capture_output=True)

    def _forwarded(self, request: Request) -> Answer:
        if self.flag.exists():
            return Answer(503, "maintenance", {"Retry-After": "30"})
        try:
            with urllib.request.urlopen(self.app.url, timeout=5) as answer:
                return Answer(200, answer.read(), {"X-Version": answer.headers["X-Version"]})
        except (urllib.error.URLError, OSError):
            return Answer(502, "nobody is there")

    def variables(self) -> dict[str, t.Any]:
        gates = [{"service": "backend", "url": self.app.url, "timeout": 20}]
        health = f"{self.proxy.url}/health"
        return {
            "golive_system": "plain",
            "golive_version": "2.0.0",
            "golive_state_host": "web1",
            "golive_state_dir": str(self.directory / "state"),
            "golive_checklist": [
                {"id": "there", "title": "It answers", "check_http": {"url": health}},
                {"id": "room", "title": "Room", "hosts": "web1", "check_host": {"disk": [{"path": "/", "min_free": "1MB"}]}},
            ],
            "golive_services": {
                "supervisor": self.app.server,
                "artefact": {name: self.archive[name] for name in ("src", "sha256", "releases_dir", "current")},
                "backend": ["backend"],
                "gates": gates,
                "previous_gates": gates,
            },
            "golive_maintenance": {
                "layers": [{"name": "proxy", "backend": "file", "path": str(self.flag), "survives_stop": True}],
                "verify": {"url": health, "status": [200], "timeout": 20},
            },
            "golive_downtime": {"url": health, "budget_seconds": 300, "version_header": "X-Version"},
            "golive_smoke": {
                "base_url": self.proxy.url,
                "outside": [{"name": "it answers", "request": {"method": "GET", "url": "/health"}}],
            },
            "golive_report": {"directory": str(self.report)},
        }  # fmt: skip

    def play(self, name: str, *args: str, codes: tuple[int, ...] = (0,), **more: t.Any) -> Played:
        played = run_playbook(
            ROOT / "playbooks" / f"{name}.yml",
            extra_vars={**self.variables(), **more},
            args=args,
            directory=self.directory / "play",
        )
        assert played.rc in codes, played.text[-6000:]
        return played

    @property
    def release(self) -> str:
        (folder,) = (self.directory / "state" / "plain" / "releases").iterdir()
        return folder.name

    def written(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads((self.report / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    with Supervised() as app, HttpServer() as proxy:
        yield Site(app, proxy, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def released(site: Site) -> Played:
    return site.play("golive")


def test_the_printed_plan_names_no_part_that_the_system_does_not_have(released: Played) -> None:
    plan = released.stdout.partition("PLAN  ")[2].partition("if this run dies")[0]
    numbered = re.findall(r"^ +(\d+) [▮ ] (.*?) {2,}", plan, re.MULTILINE)
    assert [(int(number), title) for number, title in numbered] == [
        (1, "new version fetched and unpacked, beside the old one"),
        (2, "maintenance on, proven on the user path"),
        (3, "backend stopped"),
        (4, "new version started behind its health gates"),
        (5, "maintenance off"),
        (6, "smoke test from outside, as a user"),
        (7, "watch"),
    ]
    assert [word for word in OTHERS if word in plan] == []


def test_neither_do_the_journal_and_the_report(released: Played, site: Site) -> None:
    steps = site.written()["release"]["steps"]
    assert [step["name"] for step in steps] == [
        "images", "maintenance_on", "stop", "start", "traffic", "smoke_outside", "watch"
    ]  # fmt: skip
    assert {step["status"] for step in steps} == {"done"}
    assert [word for step in steps for word in OTHERS if word in step["title"]] == []
    assert site.written()["release"]["rollback"]["database"] is None


def test_the_smoke_test_says_how_far_it_went(released: Played) -> None:
    assert re.search(r"^smoke test: 1 step passed in \d+\.\d s$", released.stdout, re.MULTILINE)


@pytest.mark.parametrize("outside", [[{"name": "it answers", "request": {"method": "GET", "url": "/health"}}], []])
def test_the_smoke_playbook_tests_what_there_is_and_never_nothing(
    released: Played, site: Site, outside: list[dict[str, t.Any]]
) -> None:
    assert released.rc == 0
    smoke = {**site.variables()["golive_smoke"], "outside": outside}
    played = site.play("smoke", golive_smoke=smoke, codes=(0,) if outside else (2,))
    assert ("There is nothing to test" in played.text) is not bool(outside)


def test_the_headlines_counts_are_those_of_the_list(released: Played, site: Site) -> None:
    report = site.written()
    assert len(report["findings"]) == 3
    assert sum(report["verdict"]["counts"].values()) == 3


def test_the_report_playbook_tells_what_the_run_told(released: Played, site: Site) -> None:
    told = site.written()
    shutil.rmtree(site.report)
    played = site.play("report")
    again = site.written()
    assert again["release"]["downtime"] == told["release"]["downtime"]
    assert again["release"]["downtime"]["seconds"] > 0
    assert [finding["id"] for finding in again["findings"]] == [finding["id"] for finding in told["findings"]]
    assert again["verdict"] == told["verdict"]
    assert re.search(r"^downtime: \d+\.\d s of 300 s allowed", played.stdout, re.MULTILINE)


def test_check_mode_says_what_golive_would_refuse(released: Played, site: Site) -> None:
    refused = site.play("golive", "--check", codes=(2,))
    assert "GO" in refused.stdout and "is live since" in refused.text and "golive_redeploy" in refused.text
    # With the word that was asked for it is a GO, and still nothing begins.
    before = site.release
    site.play("golive", "--check", golive_redeploy=True)
    assert site.release == before


def test_how_an_earlier_release_ended_is_told_where_it_is_asked(released: Played, site: Site) -> None:
    assert "STATUS  plain" in site.play("status").stdout
    assert "STATUS  plain" not in site.play("pre_deploy").stdout


def test_a_rollback_later_tells_its_own_downtime(released: Played, site: Site) -> None:
    kept = site.directory / "state" / "plain" / "releases" / site.release / "report" / "report.json"
    first = json.loads(kept.read_text(encoding="utf-8"))["release"]["downtime"]
    played = site.play("rollback", golive_takeover=site.release)
    own = site.written()["release"]["downtime"]
    assert site.written()["outcome"] == "rolled_back"
    assert site.written()["outcome_text"].startswith("Rolled back: version 1.0.0 runs, maintenance is off. ")
    assert own["since"] > first["until"]
    assert own["seconds"] > 0 and own["unknown_seconds"] == 0 and own["verdict"] == "within budget"
    assert all(interval["from"] >= own["since"] for interval in own["intervals"])
    assert re.search(r"^downtime since 20\d\d-.* UTC: \d+\.\d s of 300 s allowed", played.stdout, re.MULTILINE)
    back = {step["name"]: step["title"] for step in site.written()["release"]["steps"] if step["phase"] == "rollback"}
    assert [word for title in back.values() for word in (*OTHERS, "job") if word in title] == []
    assert list(back) == ["back_maintenance", "back_stop", "back_files", "back_start", "back_traffic"]


#: Nothing in it asks the user path: an item that does would be a NO-GO behind maintenance by itself.
WITHOUT_USERS = {
    "golive_checklist": [{"id": "room", "title": "Room", "check_host": {"disk": [{"path": "/", "min_free": "1MB"}]}}],
    "golive_loosened_approver": "Grete Hermann",
}


@pytest.mark.parametrize(
    ("more", "asked"), [({}, "database"), ({"golive_migration": {"directory": ".", "role": "postgres"}}, "migration")]
)
def test_what_would_stop_the_window_and_its_way_back_is_a_no_go(
    released: Played, site: Site, postgres: Postgres, more: dict[str, t.Any], asked: str
) -> None:
    """The roles are asked for in the plan of a migration where there is one, else for themselves."""
    site.flag.write_text("by hand")
    try:
        site.play(
            "pre_deploy",
            codes=(2,),
            **WITHOUT_USERS,
            **more,
            golive_database={"dsn": postgres.dsn(password=None), "application_roles": ["postgres", "archiv_misspelt"]},
            golive_secrets={"database": postgres.password},
        )
    finally:
        site.flag.unlink()
    said = {entry["id"]: entry["summary"] for entry in site.written()["verdict"]["blocking"]}
    assert sorted(said) == sorted(["maintenance", asked])
    status = {entry["id"]: entry["status"] for entry in site.written()["verdict"]["blocking"]}
    assert status["maintenance"] == "fail"
    assert f"enabled by somebody outside this release ({site.flag})" in said["maintenance"]
    assert "The server has no role archiv_misspelt, which application_roles names" in said[asked]


def test_a_release_behind_somebody_elses_maintenance_ends_before_it_has_stopped_anything(
    released: Played, site: Site
) -> None:
    """The flag stays, the lock does not, and taking over is a word."""
    site.flag.write_text("by hand")
    services, newer = site.variables()["golive_services"], site.app.artefact("2.1.0")
    services["artefact"] = {name: newer[name] for name in services["artefact"]}
    wanted = {**WITHOUT_USERS, "golive_version": "2.1.0", "golive_services": services}
    played = site.play("golive", codes=(2,), **wanted)
    release = site.written()["release"]
    assert [(step["name"], step["status"]) for step in release["steps"]] == [
        ("images", "done"), ("maintenance_on", "failed"), ("back_traffic", "done")
    ]  # fmt: skip
    assert site.written()["outcome"] == "rolled_back"
    assert "golive_take_over_maintenance=true" in played.text
    assert site.flag.read_text() == "by hand"
    assert not (site.directory / "state" / "plain" / "lock.json").exists()
    site.play("pre_deploy", **wanted, golive_take_over_maintenance=True)
    assert site.written()["verdict"]["blocking"] == []
