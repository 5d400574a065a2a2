# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A system of a backend and a proxy, without database, workers or schedulers: what its release prints, reports and takes back."""

from __future__ import annotations

import hashlib
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

serves = pytest.mark.serves
#: Parts that this system does not have, in the words of steps and ways back.
HOOK = "T0CANARY9f3b7c1d5e8a2046"
OTHERS = ("fence", "backup", "migration", "database", "worker", "scheduler", "inside")


class Site:
    """The system behind a proxy that answers 503 while a file is there, and the playbooks run on it one after the other."""

    def __init__(self, app: Supervised, proxy: HttpServer, team: HttpServer, directory: Path) -> None:
        self.app, self.proxy, self.team, self.directory = app, proxy, team, directory
        self.flag = directory / "maintenance"
        self.report = directory / "report"
        # Made once: a version is one artefact, and each archive has a digest of its own.
        self.archive = app.artefact("2.0.0")
        proxy.route("*", self._forwarded)
        subprocess.run(self.control("start", "backend"), check=True, capture_output=True)

    def control(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "supervisor.supervisorctl", "-s", self.app.server["server"],
                "-u", self.app.server["username"], "-p", self.app.password, *words]  # fmt: skip

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
                {"id": "notes", "title": "Release notes", "hosts": "web1", "check_host": {"files": [{"path": "/no/such/notes"}]}},
            ],
            "golive_operator": "Grete Hermann",
            "golive_waivers": [
                {"item": "notes", "owner": "development", "approver": "Lise Meitner", "reason": "nothing to note", "expires": "2126-01-01"}
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
            "golive_secrets": {"notify": {"team": f"{self.team.url}/hooks/{HOOK}"}},
            "golive_notify": {
                "channels": [{"name": "team", "webhook": {"url": "{{ golive_secrets.notify.team }}"}}],
                "link": "https://ci.example.org/run/7",
            },
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
    def record(self) -> Path:
        return self.directory / "state" / "plain"

    @property
    def release(self) -> str:
        (folder,) = (self.record / "releases").iterdir()
        return folder.name

    def ledger(self) -> list[dict[str, t.Any]]:
        return [json.loads(line) for line in (self.record / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]

    def written(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads((self.report / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    with Supervised() as app, HttpServer() as proxy, HttpServer({"*": Answer(200, "ok")}) as team:
        yield Site(app, proxy, team, tmp_path_factory.mktemp("plain"))


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


def told_to(team: HttpServer) -> list[str]:
    return [json.loads(request.body)["text"] for request in team.requests]


def test_the_team_is_told_how_it_ended_and_nobody_where_to_tell_it(released: Played, site: Site) -> None:
    (told,) = told_to(site.team)
    subject, *text = told.splitlines()
    assert subject == "plain 2.0.0: live"
    assert text[0] == site.written()["outcome_text"] and text[-1] == "https://ci.example.org/run/7"
    assert HOOK not in released.text
    assert not [path for path in site.record.rglob("*") if path.is_file() and HOOK in path.read_text(errors="replace")]


def test_the_headlines_counts_are_those_of_the_list(released: Played, site: Site) -> None:
    report = site.written()
    assert len(report["findings"]) == 4
    assert sum(report["verdict"]["counts"].values()) == 4


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


def test_services_are_restarted_in_the_version_that_runs_and_never_beside_a_release(
    released: Played, site: Site
) -> None:
    def pid() -> int:
        told = subprocess.run(site.control("pid", "backend"), check=True, capture_output=True, text=True)
        return int(told.stdout)

    before = pid()
    site.play("restart", "--check")
    assert pid() == before
    played = site.play("restart", restart_services="backend")
    assert before != pid()
    said = rf"backend: process {before} → process {pid()}, away for \d+\.\d+ s +\(version 2\.0\.0, 1 gates passed\)"
    assert re.search(said, " ".join(played.stdout.split())), played.stdout[-2000:]
    unknown = site.play("restart", restart_services="backend,wroker", codes=(2,))
    assert "restart_services names wroker; golive_services has backend." in unknown.text

    before = pid()
    journal, lock = site.record / "releases" / site.release / "journal.jsonl", site.record / "lock.json"
    whole = journal.read_bytes()
    try:  # as a run left it that was killed before its last line
        journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
        owner = {"operator": "Grete Hermann", "version": "2.0.0", "taken": "2026-11-22T01:02:03.004Z"}
        lock.write_text(json.dumps({"release": site.release, "number": 1, "nonce": "0" * 16, **owner}))
        refused = site.play("restart", codes=(2,))
    finally:
        journal.write_bytes(whole)
        lock.unlink()
    assert f"Nothing was restarted: release {site.release} of plain 2.0.0 holds the lock" in refused.text
    assert pid() == before


@serves("S1.77", case="pass")
def test_what_went_live_is_a_row_of_the_ledger_with_all_that_proves_it(released: Played, site: Site) -> None:
    (row,) = site.ledger()
    folder = site.record / "releases" / site.release
    report = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    assert (row["release"], row["version"], row["previous_version"], row["outcome"]) == (
        site.release, "2.0.0", "1.0.0", "live"
    )  # fmt: skip
    assert row["artefacts"] == {"artefact": site.archive["sha256"]}
    assert row["digest"] == json.loads((folder / "verdict.json").read_text())["digest"]
    assert (row["began"], row["ended"]) == (report["release"]["started"], report["release"]["ended"])
    assert row["operator"] == row["ended_by"] == "Grete Hermann"
    assert row["approvers"] == [{"name": "Lise Meitner", "for": "waiver notes"}]
    assert row["verdict"] == "GO WITH WARNINGS"
    assert row["bundle"]["sha256"] == _sha256sum_of(folder)
    told = site.play("status").stdout
    shown = [cell.strip() for cell in re.findall(r"^\| 2\.0\.0 .*$", told, re.MULTILINE)[0].split("|")[1:-1]]
    assert shown == ["2.0.0", "1.0.0", row["began"], row["ended"], "live", "GO WITH WARNINGS", "Grete Hermann",
                     "Lise Meitner (waiver notes)", f"artefact {site.archive['sha256'][:12]}", site.release,
                     row["bundle"]["sha256"][:12]]  # fmt: skip
    assert "changed since" not in told and "lacks" not in told


def _sha256sum_of(folder: Path) -> str:
    """What a person gets who asks the shell."""
    names = ["ROLLBACK.md", "journal.jsonl", "plan.json", "rollback_plan.json", "verdict.json"]
    said = subprocess.run(["sha256sum", *names], cwd=folder, check=True, capture_output=True).stdout
    return hashlib.sha256(said).hexdigest()


@pytest.fixture(scope="module")
def taken_back(released: Played, site: Site) -> tuple[dict[str, t.Any], Played]:
    """The rollback of a release that is live, and the downtime that the release itself had told."""
    site.team.route("*", Answer(403, "no"))
    kept = site.directory / "state" / "plain" / "releases" / site.release / "report" / "report.json"
    first = json.loads(kept.read_text(encoding="utf-8"))["release"]["downtime"]
    return first, site.play("rollback", golive_takeover=site.release)


def test_a_rollback_later_tells_its_own_downtime(taken_back: tuple[dict[str, t.Any], Played], site: Site) -> None:
    first, played = taken_back
    assert told_to(site.team)[-1].startswith("plain 2.0.0: rolled back\nRolled back: version 1.0.0 runs")
    assert re.search(r"Team was not told: .* 403", played.stdout), "whoever knows, the release ends as it ended"
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


@serves("S1.77", case="fail")
def test_what_was_taken_back_has_its_own_row_and_a_forged_ledger_is_noticed(
    taken_back: tuple[dict[str, t.Any], Played], site: Site
) -> None:
    """Of a version that did not stay the table says so, whatever somebody would have it say."""
    assert taken_back[1].rc == 0
    first, back = site.ledger()
    assert (first["outcome"], back["outcome"], back["release"]) == ("live", "rolled_back", site.release)
    assert back["ended"] > first["ended"] and back["began"] == first["began"]
    assert back["detail"].startswith("Rolled back: version 1.0.0 runs, maintenance is off.")
    assert back["bundle"]["sha256"] == _sha256sum_of(site.record / "releases" / site.release)
    path = site.record / "ledger.jsonl"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole.replace(b"Lise Meitner", b"Emmy Noether", 1))
        told = site.play("status").text
        assert f"Line 2 of {path} does not follow the one before: the ledger was changed" in told
        assert "Emmy Noether" not in told
    finally:
        path.write_bytes(whole)
    plan = site.record / "releases" / site.release / "plan.json"
    kept = plan.read_bytes()
    try:
        plan.write_bytes(kept.replace(b"1.0.0", b"1.0.1"))
        told = site.play("status").stdout
        assert (
            f"The record of {site.release} is not as it was when it ended rolled_back: plan.json changed since." in told
        )
    finally:
        plan.write_bytes(kept)


#: Nothing in it asks the user path: an item that does would be a NO-GO behind maintenance by itself.
WITHOUT_USERS = {
    "golive_checklist": [{"id": "room", "title": "Room", "check_host": {"disk": [{"path": "/", "min_free": "1MB"}]}}],
    "golive_loosened_approver": "Grete Hermann",
}


@pytest.mark.long
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
            golive_secrets={**site.variables()["golive_secrets"], "database": postgres.password},
        )
    finally:
        site.flag.unlink()
    said = {entry["id"]: entry["summary"] for entry in site.written()["verdict"]["blocking"]}
    assert sorted(said) == sorted(["maintenance", asked])
    status = {entry["id"]: entry["status"] for entry in site.written()["verdict"]["blocking"]}
    assert status["maintenance"] == "fail"
    assert f"enabled by somebody outside this release ({site.flag})" in said["maintenance"]
    assert "The server has no role archiv_misspelt, which application_roles names" in said[asked]


@pytest.mark.long
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
