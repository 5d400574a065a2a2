# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a system at any time, without a release: is it well, and what did it log. On the whole reference system."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, utc_text
from tests.integration.test_mission_archive import EXAMPLE, STATES, Archive
from tests.leaks import assert_no_leak
from tests.playbook import ROOT, Played, run_playbook
from tests.servers import Answer, HttpServer

pytestmark = pytest.mark.long

serves = pytest.mark.serves
GPU = "a server that tells of a GPU, which the archive has not"


class Site:
    """The reference system, and the playbooks run on it."""

    def __init__(self, archive: Archive, gpu: HttpServer, directory: Path) -> None:
        self.archive, self.gpu, self.directory = archive, gpu, directory
        self.report = directory / "report"

    def play(self, name: str, *args: str, codes: tuple[int, ...] = (0,), **more: t.Any) -> Played:
        variables = yaml.safe_load((EXAMPLE / "system.yml").read_text(encoding="utf-8"))
        for part in ("facts.yml", "secrets.yml"):
            variables |= yaml.safe_load((self.archive.folder / part).read_text(encoding="utf-8"))
        own = {
            "golive_state_dir": str(self.directory / "state"),
            "golive_report": {"directory": str(self.report)},
            "golive_checklist": self.checklist(),
            "golive_require": [],
        }
        played = run_playbook(
            ROOT / "playbooks" / f"{name}.yml",
            extra_vars={**variables, **own, **more},
            args=args,
            directory=self.directory / "play",
        )
        assert played.rc in codes, played.text[-6000:]
        assert_no_leak(self.archive.secrets, played.text, name)
        return played

    def checklist(self) -> list[dict[str, t.Any]]:
        def health(identity: str, path: str, **more: t.Any) -> dict[str, t.Any]:
            _check, asked = self.archive.asked(f"/health{path}", **more)
            return {"id": identity, "title": f"Health {path}", "phase": "post_start", "check_http": asked}

        parts = {"paths": ["$.status", "$.komponenten.*.status"], **STATES}
        return [
            health("health", "", json=[{"path": "$.status", "equals": "gesund"}]),
            health("detailed", "/detailed", states=parts),
            health("pipeline", "/pipeline", states={"path": "$.status", **STATES}),
            {"id": "queues", "title": "Queues", "phase": "post_start", "check_celery": self.broker()},
            health("gpu", "/gpu-memory", states={"path": "$.status", **STATES}, url=f"{self.gpu.url}/gpu-memory"),
            health("complete", "/complete", states=parts),
            {"id": "before", "title": "Before", "check_http": {"url": "http://127.0.0.1:1/"}},
            health("later", "") | {"phase": "watch"},
        ]  # fmt: skip

    def broker(self) -> dict[str, t.Any]:
        facts = self.archive.facts
        queues = [{"name": name, "max_length": 0} for name in facts["queues"]]
        reached = {"url": facts["redis_url"], "password": facts["redis_password"], "reply_timeout": 5}
        return {**reached, "expected_workers": 1, "queues": queues}

    def files(self) -> dict[str, int]:
        state = self.directory / "state"
        return {str(path): path.stat().st_mtime_ns for path in state.rglob("*")} if state.exists() else {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    # Where we are root, PostgreSQL runs as somebody else, who must get through; pytest's own folders are closed.
    with tempfile.TemporaryDirectory(prefix="golive-on-demand-") as root:
        Path(root).chmod(0o711)
        stack, folder = [sys.executable, str(EXAMPLE / "stack.py")], Path(root) / "s"
        try:
            up = [*stack, "up", "--dir", str(folder), "--rows", "200"]
            made = subprocess.run(up, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
            with HttpServer({"*": Answer(200, {"status": "gesund"})}) as gpu:
                yield Site(Archive(folder), gpu, tmp_path_factory.mktemp("on-demand"))
        finally:
            subprocess.run([*stack, "down", "--dir", str(folder)], capture_output=True, check=True)


def _verdict(played: Played) -> dict[str, t.Any]:
    (decided,) = [result for result in played.results if result.action == "opsready.golive.verdict"]
    return t.cast("dict[str, t.Any]", decided.result["verdict"])


@serves("S1.73", case="pass", stand_in=GPU)
def test_health_and_complete_health_are_judged_at_any_time_and_nothing_is_changed(site: Site) -> None:
    before = site.files()
    played = site.play("check", check_phase="post_start")
    verdict = _verdict(played)
    assert (verdict["decision"], verdict["counts"]["pass"], verdict["blocking"]) == ("GO", 6, [])
    assert "GO  (6 pass)" in played.stdout
    assert all(result.result.get("changed") is not True for result in played.results)
    assert site.files() == before == {}


@serves("S1.73", case="fail", stand_in=GPU)
def test_a_sick_part_is_named_by_complete_health_asked_on_demand(site: Site) -> None:
    well = site.gpu.routes["*"]
    site.gpu.route("*", Answer(200, {"status": "kritisch"}))
    try:
        with site.archive.without("worker"):
            played = site.play("check", check_phase="post_start", codes=(2,))
    finally:
        site.gpu.route("*", well)
    verdict = _verdict(played)
    said = {entry["id"]: (entry["status"], entry["summary"]) for entry in verdict["blocking"]}
    assert (verdict["decision"], verdict["counts"]["pass"]) == ("NO-GO", 1)
    assert {identity: status for identity, (status, _summary) in said.items() if identity != "queues"} == dict.fromkeys(
        ("complete", "detailed", "pipeline", "gpu"), "fail"
    )
    assert said["queues"][0] in ("fail", "unknown")
    assert "kritisch" in said["gpu"][1] and "beeintraechtigt" in said["complete"][1], said
    assert site.files() == {}


def test_a_phase_without_items_judges_nothing_and_says_which_there_are(site: Site) -> None:
    for phase in ("smoke", "pre_deploy", "nonsense"):
        refused = site.play("check", check_phase=phase, codes=(2,))
        assert f"no item of phase {phase} that is judged at any time" in refused.text
        assert "-e check_phase=<phase> takes post_start, watch." in " ".join(refused.text.split()), refused.text[-1500:]


def test_what_would_leave_a_trace_is_not_asked(site: Site) -> None:
    store = {"buckets": [site.archive.facts["backup_bucket"]], "canary": True, "endpoint_url": site.archive.facts["s3_endpoint"],
             "region": site.archive.facts["s3_region"], "access_key": site.archive.facts["backup_access_key"],
             "secret_key": site.archive.facts["backup_secret_key"]}  # fmt: skip
    items = [{"id": "canary", "title": "Canary", "phase": "watch", "check_s3": store}]
    played = site.play("check", golive_checklist=items, codes=(0, 2))
    assert [entry["id"] for entry in _verdict(played)["conditional"]] == ["canary"]


def _bundle(site: Site, played: Played) -> tuple[dict[str, str], dict[str, t.Any]]:
    """The files of the bundle that was fetched beside the report, which is the one on the services' host, and its manifest."""
    (collected,) = [result.result for result in played.results if result.action == "opsready.golive.collect_logs"]
    there = Path(collected["bundle"]["path"])
    here = site.report / there.name
    assert here.read_bytes() == there.read_bytes()
    assert hashlib.sha256(here.read_bytes()).hexdigest() == collected["bundle"]["sha256"]
    assert there.stat().st_mode & 0o777 == 0o600 and there.parent.stat().st_mode & 0o777 == 0o700
    with tarfile.open(here) as archive:
        files = {name: _member(archive, name) for name in archive.getnames()}
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["services"] == collected["services"]
    for each in manifest["services"]:
        content = files[each["file"]].encode()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (each["sha256"], each["size_bytes"])
    return files, manifest


def _member(archive: tarfile.TarFile, name: str) -> str:
    stream = archive.extractfile(name)
    assert stream is not None
    return stream.read().decode()


def _logged(site: Site, program: str, *lines: str) -> Path:
    """The log of a program under supervisord, with these lines behind its own."""
    (log,) = site.archive.folder.rglob(f"{program}.log")
    with log.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)
    return log


SECRET_LINES = (
    "{at} ERROR cannot log in: password=Sommer-2026! for grete@example.org",
    "{at} ERROR loading key",
    "-----BEGIN RSA PRIVATE KEY-----",
    "MIIEowIBAAKCAQEAq7bodyofakey",
    "-----END RSA PRIVATE KEY-----",
    "{at} WARNING sent Authorization: Bearer abcdefghijklmnop0123456789",
    "{at} ERROR broker said no to {own}",
    "Traceback (most recent call last):",
    '  File "x.py", line 1, in x',
    "{at} INFO all is well again",
)


@serves("S1.74", case="pass")
def test_logs_are_collected_for_each_service_bounded_filtered_and_without_secrets(site: Site) -> None:
    at = utc_text(CLOCK.now()).replace("Z", "+00:00")
    own = site.archive.facts["redis_password"]
    _logged(site, "worker", *(line.format(at=at, own=own) for line in SECRET_LINES))
    files, manifest = _bundle(site, site.play("collect"))
    assert {each["service"]: each["lines_read"] > 0 for each in manifest["services"]} == dict.fromkeys(
        ("backend", "worker", "beat"), True
    )
    hidden = [*site.archive.secrets, "Sommer-2026", "grete@example.org", "bodyofakey", "abcdefghijklmnop", own]
    assert [secret for secret in hidden if secret in "".join(files.values())] == []
    assert "all is well again" in files["worker.log"]

    errors, told = _bundle(site, site.play("collect", collect_services="worker", collect_levels="ERROR,WARNING"))
    assert list(errors) == ["worker.log"] and [each["service"] for each in told["services"]] == ["worker"]
    lines = errors["worker.log"].splitlines()
    assert [line for line in lines if "INFO" in line] == []
    for part in ("cannot log in", "sent Authorization", "broker said no to ********", "Traceback (most", 'File "x.py"'):
        assert part in errors["worker.log"], lines
    only, _told = _bundle(site, site.play("collect", collect_services="worker", collect_pattern="broker said no"))
    assert [line.partition(" ERROR ")[2] for line in only["worker.log"].splitlines()] == ["broker said no to ********"]


@serves("S1.74", case="fail")
def test_a_service_whose_log_is_gone_is_named_and_the_others_are_collected_all_the_same(site: Site) -> None:
    log = _logged(site, "worker")
    aside = log.with_name("aside")
    log.rename(aside)
    try:
        played = site.play("collect", codes=(2,))
        (collected,) = [result.result for result in played.results if result.action == "opsready.golive.collect_logs"]
    finally:
        aside.rename(log)
    assert "Of 1 of 3 services nothing was read: worker: " in played.text and str(log) in played.text
    lines = {each["service"]: each["lines_read"] for each in collected["services"]}
    assert lines["worker"] == 0 < lines["backend"]
    with tarfile.open(site.report / Path(collected["bundle"]["path"]).name) as archive:
        manifest = json.loads(_member(archive, "manifest.json"))
        assert {each["service"]: bool(each["gaps"]) for each in manifest["services"]}["worker"] is True
        assert _member(archive, "backend.log") and not _member(archive, "worker.log")


def test_check_mode_collects_nothing(site: Site) -> None:
    before = site.files()
    site.play("collect", "--check")
    assert site.files() == before
