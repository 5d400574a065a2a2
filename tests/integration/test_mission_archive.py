# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of the written checklists on the whole reference system: proxy, backend, worker, database, broker, store.

The system is started once; a test that breaks a part of it mends it again.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.leaks import assert_no_leak
from tests.servers import await_true

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "ablage"
SECONDS = 60.0
FOREIGN = "https://fremd.example"
#: Of this run only: a host remembers the highest token of each system.
SYSTEM = f"mission-{os.urandom(4).hex()}"
TOKEN = f"{SYSTEM}/r-1/1/0123456789abcdef"
serves = pytest.mark.serves


class Archive:
    """The reference system as it runs, and hands to break it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        told = yaml.safe_load((folder / "facts.yml").read_text()) | yaml.safe_load((folder / "secrets.yml").read_text())
        self.facts: dict[str, t.Any] = {name.removeprefix("ablage_"): value for name, value in told.items()}
        self.secrets = [
            str(value) for name, value in self.facts.items() if name.endswith(("password", "token", "_key"))
        ]

    def url(self, path: str) -> str:
        return f"{self.facts['base_url']}/api/v1{path}"

    def judged(self, *items: tuple[str, dict[str, t.Any]], timeout: float = 30.0) -> list[dict[str, t.Any]]:
        """One finding an item, as a checklist judges them; no secret may be in one."""
        listed = [{"id": check, "check": check, "params": params, "timeout": timeout} for check, params in items]
        found = judge_all(listed, [], timeout_seconds=90, scrub=Scrubber(self.secrets))
        assert_no_leak(self.secrets, json.dumps(found), "the findings")
        return found

    def asked(self, path: str, **options: t.Any) -> tuple[str, dict[str, t.Any]]:
        return "check_http", {"url": self.url(path), "ca_file": self.facts["ca_file"], **options}

    def set_to(self, *rules: dict[str, t.Any]) -> tuple[str, dict[str, t.Any]]:
        return "check_env", {"file": self.facts["env_file"], "rules": list(rules)}

    def answer(self, path: str) -> http.Response:
        return http.request("GET", self.url(path), deadline=Deadline(10), ca_file=self.facts["ca_file"])

    def is_healthy(self) -> bool:
        answer = self.answer("/health/complete")
        return answer.status == 200 and answer.json()["status"] == "gesund"

    def control(self, verb: str, *programs: str) -> None:
        ctl = [self.facts["supervisorctl"], "-s", f"unix://{self.facts['supervisor_socket']}"]
        subprocess.run([*ctl, verb, *programs], check=True, capture_output=True)

    def await_health(self) -> None:
        await_true(self.is_healthy, seconds=SECONDS, what="a healthy archive")

    @contextlib.contextmanager
    def without(self, program: str) -> t.Iterator[None]:
        self.control("stop", program)
        try:
            yield
        finally:
            self.control("start", program)
            self.await_health()

    @contextlib.contextmanager
    def with_settings(self, **values: str) -> t.Iterator[None]:
        """The backend runs with other settings."""
        path = Path(self.facts["env_file"])
        before = path.read_text()
        lines = [line for line in before.splitlines() if line.partition("=")[0] not in values]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")
        try:
            self.control("restart", "backend")
            self.await_health()
            yield
        finally:
            path.write_text(before)
            self.control("restart", "backend")
            self.await_health()


@pytest.fixture(scope="module")
def archive() -> t.Iterator[Archive]:
    # Where we are root, PostgreSQL runs as somebody else, who must get through; pytest's own folders are closed.
    with tempfile.TemporaryDirectory(prefix="golive-mission-") as root:
        Path(root).chmod(0o711)
        stack, folder = [sys.executable, str(EXAMPLE / "stack.py")], Path(root) / "s"
        try:
            up = [*stack, "up", "--dir", str(folder), "--rows", "2000"]
            made = subprocess.run(up, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
            yield Archive(folder)
        finally:
            subprocess.run([*stack, "down", "--dir", str(folder)], capture_output=True, check=True)
            (Path(lock_directory()) / f"{SYSTEM}.lock").unlink(missing_ok=True)


# ---- settings, and what the system makes of them


def cors(archive: Archive) -> list[dict[str, t.Any]]:
    own = archive.facts["base_url"]
    return archive.judged(
        archive.set_to({"name": "CORS_ORIGINS", "kind": "origins", "allowed": [own], "allow_private": True}),
        archive.asked("/health", cors={"origin_allowed": [own], "origin_refused": [FOREIGN]}),
    )


@serves("S0.4", "S1.18", case="pass")
def test_the_listed_origin_is_let_in_and_a_foreign_one_is_not(archive: Archive) -> None:
    settings, live = cors(archive)
    assert (settings["status"], live["status"]) == ("pass", "pass"), (settings, live)
    own = archive.facts["base_url"]
    assert settings["measured"]["CORS_ORIGINS"] == own
    told = {(one["kind"], one["origin"]): one["allow_origin"] for one in live["evidence"]["requests"][0]["cors"]}
    assert told[("preflight", own)] == told[("request", own)] == own
    assert told[("preflight", FOREIGN)] is told[("request", FOREIGN)] is None


@serves("S0.4", "S1.18", case="fail")
def test_every_origin_let_in_fails_in_the_settings_and_in_the_answers(archive: Archive) -> None:
    with archive.with_settings(CORS_ORIGINS="*"):
        settings, live = cors(archive)
    assert (settings["status"], "holds *" in settings["summary"]) == ("fail", True), settings["summary"]
    assert (live["status"], "expected a refusal" in live["summary"]) == ("fail", True), live["summary"]


def body_limit(archive: Archive) -> list[dict[str, t.Any]]:
    form = "x" * 3_000_000
    part = f'--b\r\nContent-Disposition: form-data; name="file"; filename="x.pdf"\r\n\r\n%PDF-{form}\r\n--b--\r\n'
    login = {"username": archive.facts["user_name"], "password": archive.facts["user_password"]}
    sent = http.request(
        "POST",
        archive.url("/auth/login"),
        deadline=Deadline(10),
        ca_file=archive.facts["ca_file"],
        headers={"Content-Type": "application/json"},
        body=json.dumps(login).encode(),
    )
    token = sent.json()["access_token"]
    wanted = {"headers": {"Content-Type": "multipart/form-data; boundary=b"}, "status": [413], "bearer": token}
    return archive.judged(
        archive.set_to({"name": "MAX_REQUEST_BODY_MB", "kind": "number", "min": 1, "max": 50, "level": "warn"}),
        archive.asked("/documents", method="POST", body=part, **wanted),
    )


@serves("S0.13", case="pass")
def test_a_body_above_the_limit_is_refused(archive: Archive) -> None:
    with archive.with_settings(MAX_REQUEST_BODY_MB="2"):
        settings, live = body_limit(archive)
    assert (settings["status"], live["status"]) == ("pass", "pass"), (settings, live)
    assert live["evidence"]["requests"][0]["status"] == 413


@serves("S0.13", case="fail")
def test_a_limit_that_is_none_lets_large_bodies_in(archive: Archive) -> None:
    with archive.with_settings(MAX_REQUEST_BODY_MB="5000"):
        settings, live = body_limit(archive)
    assert (settings["status"], "expected at most 50" in settings["summary"]) == ("warn", True), settings["summary"]
    assert (live["status"], "status is 201, expected 413" in live["summary"]) == ("fail", True), live["summary"]


# ---- health


STATES = {"pass": ["gesund"], "warn": [], "fail": ["beeintraechtigt", "kritisch"]}


def liveness(archive: Archive) -> dict[str, t.Any]:
    gesund = [{"path": "$.status", "equals": "gesund"}]
    return archive.judged(archive.asked("/health", json=gesund, max_ms=5000, proves="liveness"))[0]


@serves("S0.16", "S1.40", case="pass")
def test_liveness_says_that_it_is_no_more_than_that(archive: Archive) -> None:
    """The store is away, which the constant answer does not know."""
    with archive.without("s3"):
        found = liveness(archive)
    assert found["status"] == "pass", found["summary"]
    (asked,) = found["evidence"]["requests"]
    assert (asked["status"], asked["proves"], len(asked["milliseconds"])) == (200, "liveness", 1)
    assert "gesund" in found["measured"].values()


@serves("S0.16", "S1.40", case="fail")
def test_liveness_fails_where_only_the_proxy_answers(archive: Archive) -> None:
    with archive.without("backend"):
        found = liveness(archive)
    assert (found["status"], found["evidence"]["requests"][0]["status"]) == ("fail", 502), found["summary"]


def readiness(archive: Archive) -> dict[str, t.Any]:
    states = {"paths": ["$.status", "$.komponenten.*.status"], **STATES}
    return archive.judged(archive.asked("/health/detailed", states=states))[0]


@serves("S0.17", case="pass")
def test_readiness_tells_each_dependency(archive: Archive) -> None:
    found = readiness(archive)
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["requests"][0]["status"] == 200
    assert list(found["measured"].values()).count("gesund") == 6, found["measured"]


@serves("S0.17", case="fail")
def test_readiness_fails_by_its_body_while_its_status_is_200(archive: Archive) -> None:
    with archive.without("s3"):
        found = readiness(archive)
    assert (found["status"], "is kritisch" in found["summary"]) == ("fail", True), found["summary"]
    assert found["evidence"]["requests"][0]["status"] == 200


def detailed(archive: Archive) -> dict[str, t.Any]:
    states = {"paths": ["$.status", "$.komponenten.*.status"], **STATES}
    return archive.judged(
        archive.asked("/health/detailed", states=states, json=[{"path": "$.geprueft_um", "max_age": "5s"}])
    )[0]


@serves("S1.41", case="pass")
def test_each_component_says_how_it_is_and_when_that_was_seen(archive: Archive) -> None:
    with archive.with_settings(HEALTH_CACHE_SECONDS="5"):
        archive.answer("/health/detailed")
        found = detailed(archive)
    assert found["status"] == "pass", found["summary"]
    assert list(found["measured"].values()).count("gesund") == 6, found["measured"]
    (age,) = (value for name, value in found["measured"].items() if name.endswith("$.geprueft_um (age)"))
    assert re.fullmatch(r"[0-5]\.\d s \(2\d{3}-.*Z\)", age), age


@serves("S1.41", case="fail")
def test_a_component_that_is_gone_fails_while_the_status_is_200(archive: Archive) -> None:
    with archive.without("s3"):
        found = detailed(archive)
    assert found["status"] == "fail" and "status (4 of 5) is kritisch" in found["summary"], found["summary"]
    assert found["evidence"]["requests"][0]["status"] == 200


@serves("S1.41", case="fail")
def test_an_answer_that_was_kept_too_long_fails_while_it_says_that_all_is_well(archive: Archive) -> None:
    with archive.with_settings(HEALTH_CACHE_SECONDS="3600"):
        seen = dt.datetime.fromisoformat(archive.answer("/health/detailed").json()["geprueft_um"])
        with archive.without("s3"):
            await_true(
                lambda: dt.datetime.now(dt.timezone.utc) - seen > dt.timedelta(seconds=5.1),
                seconds=SECONDS,
                what="an answer of more than 5 s",
            )
            found = detailed(archive)
    assert found["status"] == "fail" and "expected at most 5s" in found["summary"], found["summary"]
    assert list(found["measured"].values()).count("gesund") == 6, found["measured"]


def pipeline(archive: Archive) -> list[dict[str, t.Any]]:
    queues = [{"name": name, "max_length": 0} for name in archive.facts["queues"]]
    server = {"url": archive.facts["redis_url"], "password": archive.facts["redis_password"], "reply_timeout": 5}
    return archive.judged(
        archive.asked("/health/pipeline", states={"path": "$.status", **STATES}),
        ("check_celery", {**server, "expected_workers": 1, "queues": queues}),
    )


@serves("S1.42", case="pass")
def test_the_pipeline_is_healthy_and_its_queues_are_empty_in_the_broker(archive: Archive) -> None:
    health, broker = pipeline(archive)
    assert (health["status"], broker["status"]) == ("pass", "pass"), (health, broker)
    assert {queue["name"]: queue["length"] for queue in broker["evidence"]["queues"]} == {"ocr": 0, "wartung": 0}
    assert sorted(broker["evidence"]["workers"][0]["queues"]) == ["ocr", "wartung"]


@serves("S1.42", case="fail")
def test_a_queue_that_no_worker_consumes_fails_although_the_service_calls_itself_healthy(
    archive: Archive, walk: t.Any
) -> None:
    from celery import Celery

    url = archive.facts["redis_url"].replace("//", f"//:{archive.facts['redis_password']}@")
    with Celery(broker=url) as sender:
        assert sender.control.cancel_consumer("ocr", reply=True, timeout=10)
        walk([LOGIN, upload(), SUBMIT])
        health, broker = pipeline(archive)
        with archive.without("worker"):
            away = pipeline(archive)[0]
    assert health["status"] == "pass"
    assert broker["status"] == "fail"
    assert "onsumers of queue ocr is 0, expected at least 1" in broker["summary"]
    assert "ength of queue ocr is 1 messages, expected at most 0" in broker["summary"]
    assert (away["status"], "is beeintraechtigt" in away["summary"]) == ("fail", True), away["summary"]


def after_a_rollback(archive: Archive) -> list[dict[str, t.Any]]:
    states = {"paths": ["$.status", "$.komponenten.*.status", "$.pipeline.status"], **STATES}
    database = {"dsn": archive.facts["golive_dsn"], "password": archive.facts["db_golive_password"]}
    return archive.judged(
        archive.asked("/health/complete", states=states, json=[{"path": "$.schema_revision", "equals": "0002"}]),
        ("check_postgres", {**database, "schema_revision": {"expected": "0002"}}),
    )


@serves("S1.67", case="pass")
def test_the_version_that_runs_finds_every_component_and_its_own_schema(archive: Archive) -> None:
    health, database = after_a_rollback(archive)
    assert (health["status"], database["status"]) == ("pass", "pass"), (health, database)
    assert list(health["measured"].values()).count("gesund") == 7, health["measured"]
    assert "0002" in str(database["measured"])


@serves("S1.67", case="fail")
def test_a_schema_that_was_left_ahead_of_the_version_fails(archive: Archive) -> None:
    def at(revision: str) -> None:
        import psycopg

        dsn = archive.facts["dsn"]
        with psycopg.connect(dsn, password=archive.facts["db_app_password"]) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))

    at("0003")
    try:
        health, database = after_a_rollback(archive)
    finally:
        at("0002")
    assert (health["status"], "is kritisch" in health["summary"]) == ("fail", True), health["summary"]
    assert (database["status"], "0003, expected 0002" in database["summary"]) == ("fail", True), database["summary"]


# ---- what users do


LOGIN = {
    "name": "login",
    "secret": True,
    "request": {"url": "/auth/login", "json": {"username": "${user}", "password": "${user_password}"}},
    "expect": {"json": [{"path": "$.access_token", "exists": True}]},
    "capture": {"token": "$.access_token"},
}
ME = {"name": "who am I", "request": {"url": "/auth/me", "bearer": "${token}"}}
NOBODY = {"name": "nobody", "request": {"url": "/auth/me"}, "expect": {"status": [401]}}
SUBMIT = {
    "name": "submit",
    "request": {"url": "/ocr/process", "bearer": "${token}", "json": {"document_id": "${document}", "backend": "auto"}},
    "expect": {"status": [202]},
    "capture": {"job": "$.job_id"},
}
RECOGNISED = {
    "name": "recognised",
    "request": {"url": "/ocr/jobs/${job}", "bearer": "${token}"},
    "poll": {
        "until": [{"path": "$.state", "equals": "fertig"}],
        "give_up": [{"path": "$.state", "equals": "fehlgeschlagen"}],
        "timeout": 20,
        "interval": 0.2,
    },
    "expect": {"json": [{"path": "$.text", "matches": "${phrase}"}, {"path": "$.backend", "equals": "textlayer"}]},
    "capture": {"recognised_by": "$.backend", "state": "$.state"},
}
EXPORT = {
    "name": "export",
    "request": {"url": "/documents/export", "bearer": "${token}"},
    "expect": {
        "response_headers": [{"name": "Content-Type", "matches": "^text/csv"}],
        "contains": ["id;title;kind", "golive-mission.pdf"],
    },
}
DELETE = {
    "name": "delete",
    "request": {"method": "DELETE", "url": "/documents/${document}", "bearer": "${token}"},
    "expect": {"status": [204]},
}


def upload(sha256: str = "${sent}") -> dict[str, t.Any]:
    """A document goes in; what is stored is what was sent, by its digest and byte for byte."""
    return {
        "name": "upload",
        "request": {
            "url": "/documents/",
            "bearer": "${token}",
            "multipart": [{"field": "file", "filename": "golive-mission.pdf", "pdf_text": "${phrase}"}],
        },
        "expect": {"status": [201]},
        "capture": {"document": "$.id", "stored": "$.sha256", "sent": "sent:sha256"},
    }


STORED = {
    "name": "stored",
    "request": {"url": "/documents/${document}", "bearer": "${token}"},
    "expect": {"json": [{"path": "$.sha256", "equals": "${sent}"}]},
}
DOWNLOAD = {
    "name": "download",
    "request": {"url": "/documents/${document}/download", "bearer": "${token}"},
    "expect": {"body_sha256": "${sent}"},
}


@pytest.fixture
def walk(archive: Archive, run_module_here: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """smoke_http through the proxy; what it made is removed again."""

    def run(steps: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
        facts = archive.facts
        arguments = {
            "base_url": archive.url(""),
            "ca_file": facts["ca_file"],
            "variables": {"user": facts["user_name"], "admin": facts["admin_name"], "phrase": facts["test_phrase"]},
            "secrets": {name: facts[name] for name in ("user_password", "admin_password")},
            "steps": steps,
            "cleanup": [DELETE] if any(step["name"] == "upload" for step in steps) else [],
            "enforce": False,
            **options,
        }
        answer = run_module_here("smoke_http", arguments, secrets=archive.secrets)
        assert answer["left_behind"] == [], answer
        return t.cast("dict[str, t.Any]", answer)

    return run


@serves("S1.45", "S1.56", case="pass")
def test_a_document_goes_in_is_stored_as_it_was_sent_and_is_removed(walk: t.Any) -> None:
    done = walk([LOGIN, upload(), STORED, DOWNLOAD])
    assert done["status"] == "pass", done
    sent = done["steps"][1]
    assert (sent["http_status"], sent["seconds"] > 0) == (201, True)
    assert int(done["captured"]["document"]) > 0
    assert done["captured"]["stored"] == done["captured"]["sent"]
    assert [(step["name"], step["http_status"]) for step in done["cleanup"]] == [("delete", 204)]


@serves("S1.45", "S1.56", case="fail")
def test_a_document_that_cannot_be_stored_fails(archive: Archive, walk: t.Any) -> None:
    with archive.without("s3"):
        failed = walk([LOGIN, upload(), STORED])
    assert failed["status"] == "fail"
    assert "status is 503" in failed["finding"]["summary"]


@serves("S1.46", "S1.57", case="pass")
def test_a_text_is_recognised_and_by_what(walk: t.Any) -> None:
    done = walk([LOGIN, upload(), SUBMIT, RECOGNISED])
    assert done["status"] == "pass", done
    assert done["captured"]["state"] == "fertig"
    assert done["captured"]["recognised_by"] == "textlayer"
    assert len(done["captured"]["job"]) == 36
    assert done["steps"][3]["seconds"] > 0


@serves("S1.46", "S1.57", case="fail")
def test_a_text_without_the_phrase_or_by_another_engine_fails(walk: t.Any) -> None:
    other = [{"path": "$.text", "matches": "no such phrase"}, {"path": "$.backend", "equals": "gpu"}]
    failed = walk([LOGIN, upload(), SUBMIT, {**RECOGNISED, "expect": {"json": other}}])
    assert failed["status"] == "fail"
    assert "expected a match of /no such phrase/" in failed["finding"]["summary"]
    assert "$.backend is textlayer, expected gpu" in failed["finding"]["summary"]


@serves("S1.46", "S1.57", case="fail")
def test_a_job_that_no_worker_takes_fails_at_its_limit(archive: Archive, walk: t.Any) -> None:
    with archive.without("worker"):
        failed = walk([LOGIN, upload(), SUBMIT, {**RECOGNISED, "poll": {**RECOGNISED["poll"], "timeout": 1}}])
    assert failed["status"] == "fail"
    assert "$.state is " in failed["finding"]["summary"]


@serves("S1.55", case="pass")
def test_a_login_opens_what_is_closed_without_it(walk: t.Any) -> None:
    done = walk([LOGIN, ME, NOBODY])
    assert done["status"] == "pass", done
    assert [step["http_status"] for step in done["steps"]] == [200, 200, 401]


@serves("S1.55", case="fail")
def test_a_wrong_password_and_an_open_door_fail(archive: Archive, walk: t.Any) -> None:
    refused = walk([LOGIN, ME], secrets={"user_password": "not-the-password"})
    assert (refused["status"], "status is 401" in refused["finding"]["summary"]) == ("fail", True)
    door = {"name": "open", "request": {"url": "/health"}, "expect": {"status": [401]}}
    opened = walk([LOGIN, door])
    assert (opened["status"], "status is 200, expected 401" in opened["finding"]["summary"]) == ("fail", True)


@serves("S1.58", case="pass")
def test_an_export_holds_what_was_just_put_in(walk: t.Any) -> None:
    done = walk([LOGIN, upload(), EXPORT])
    assert done["status"] == "pass", done
    assert done["steps"][2]["http_status"] == 200
    header = next(csv.reader(io.StringIO(done["steps"][2]["excerpt"]), delimiter=";"))
    assert header[:3] == ["id", "title", "kind"]


@serves("S1.58", case="fail")
def test_an_export_of_another_kind_or_without_the_document_fails(walk: t.Any) -> None:
    failed = walk([LOGIN, EXPORT])
    assert (failed["status"], "golive-mission.pdf" in failed["finding"]["summary"]) == ("fail", True)
    archived = {**EXPORT, "request": {**EXPORT["request"], "url": "/documents/export?format=zip"}}
    failed = walk([LOGIN, upload(), archived])
    assert (failed["status"], "application/zip" in failed["finding"]["summary"]) == ("fail", True), failed


PROBES = [
    {"name": "health", "request": {"url": "/health"}, "expect": {"json": [{"path": "$.status", "equals": "gesund"}]}},
    {
        "name": "ready",
        "request": {"url": "/health/detailed"},
        "expect": {"states": {"paths": ["$.status", "$.komponenten.*.status"], **STATES}},
    },
]


@serves("S0.24", case="pass")
def test_both_probes_succeed_three_times_in_a_row_and_are_timed(walk: t.Any) -> None:
    done = walk(PROBES, runs=3)
    assert done["status"] == "pass", done
    assert [(step["run"], step["name"]) for step in done["steps"]] == [
        (run, name) for run in (1, 2, 3) for name in ("health", "ready")
    ]
    assert all(step["seconds"] > 0 for step in done["steps"])


@serves("S0.24", case="fail")
def test_a_probe_that_fails_once_fails(archive: Archive, walk: t.Any) -> None:
    with archive.without("s3"):
        failed = walk(PROBES, runs=3)
    assert failed["status"] == "fail"
    assert failed["steps"][0]["status"] == "pass"
    assert "is kritisch" in failed["finding"]["summary"]


# ---- maintenance


FLAG = "the proxy's flag file, for an ingress annotation"


@pytest.fixture
def maintenance(archive: Archive, run_module_here: t.Any) -> t.Iterator[t.Callable[..., dict[str, t.Any]]]:
    def run(
        state: str, flag: str | None = None, switch: dict[str, t.Any] | None = None, **verify: t.Any
    ) -> dict[str, t.Any]:
        facts = archive.facts
        path = flag or facts["maintenance_flag"]
        arguments = {
            "state": state,
            "layers": [
                {"name": "proxy", "backend": "file", "path": path, "survives_stop": True},
                *([switch] if switch else []),
            ],
            "bypass_header": {"name": facts["bypass_header"], "value": facts["bypass_token"]},
            "verify_bypass": state == "enabled",
            "verify": {"url": archive.url("/health"), "ca_file": facts["ca_file"], "timeout": 10, **verify},
            "release": TOKEN,
        }
        answer = run_module_here("maintenance", arguments, diff=True, secrets=archive.secrets)
        return t.cast("dict[str, t.Any]", answer)

    yield run
    Path(archive.facts["maintenance_flag"]).unlink(missing_ok=True)


@serves("S1.27", case="pass", stand_in=FLAG)
def test_users_meet_maintenance_from_a_known_moment_on_and_we_pass_by(archive: Archive, maintenance: t.Any) -> None:
    before = dt.datetime.now(dt.timezone.utc).isoformat()
    done = maintenance("enabled")
    assert done["changed"], done
    assert (done["diff"]["before"]["proxy"], done["diff"]["after"]["proxy"]) == ("disabled", "enabled")
    assert "503" in done["proofs"][0]["last"]
    assert done["proofs"][-1]["what"] == "service behind the bypass"
    assert before[:19] <= done["since"][:19] <= dt.datetime.now(dt.timezone.utc).isoformat()[:19]
    assert archive.answer("/health").status == 503


@serves("S1.27", case="fail", stand_in=FLAG)
def test_a_flag_that_the_proxy_does_not_look_at_fails(maintenance: t.Any, tmp_path: Path) -> None:
    failed = maintenance("enabled", flag=str(tmp_path / "elsewhere.flag"), timeout=1)
    assert failed["failed"]
    assert "Status is 200, expected 503" in failed["msg"]
    assert failed["layers"][0]["state"] == "enabled"


@pytest.fixture
def switch(archive: Archive) -> t.Iterator[dict[str, t.Any]]:
    """The application's own switch, as its administrator turns it."""
    facts = archive.facts
    login = {"username": facts["admin_name"], "password": facts["admin_password"]}
    answer = http.request(
        "POST",
        archive.url("/auth/login"),
        deadline=Deadline(10),
        ca_file=facts["ca_file"],
        body=json.dumps(login).encode(),
        headers={"Content-Type": "application/json"},
    )
    token = answer.json()["access_token"]
    archive.secrets.append(token)

    def url(word: str) -> str:
        """Asked of the backend itself, since the proxy lets nobody through in maintenance."""
        return f"{facts['backend_url']}/api/v1/admin/maintenance/{word}"

    yield {
        "name": "application", "backend": "http", "bearer": token,
        "enable": {"url": url("enable")}, "disable": {"url": url("disable")},
        "read": {"url": url("status"), "path": "$.maintenance"},
    }  # fmt: skip
    off = http.request("POST", url("disable"), deadline=Deadline(10), secret_headers=http.bearer(token))
    assert off.status == 200


@serves("S1.28", case="pass")
def test_the_applications_own_switch_is_turned_read_back_and_seen_by_users(
    archive: Archive, maintenance: t.Any, switch: dict[str, t.Any]
) -> None:
    done = maintenance("enabled", switch=switch)
    assert (done["diff"]["before"]["application"], done["diff"]["after"]["application"]) == ("disabled", "enabled")
    assert "503" in done["proofs"][0]["last"]
    assert not maintenance("enabled", switch=switch)["changed"], "the switch was asked, and says that it is on"
    Path(archive.facts["maintenance_flag"]).unlink()
    assert archive.answer("/documents").status == 503, "kept out by the application alone"
    off = maintenance("disabled", switch=switch)
    assert off["diff"]["before"]["application"] == "enabled"
    assert archive.answer("/documents").status == 401


@serves("S1.28", case="fail")
def test_a_switch_that_refuses_or_that_ends_with_the_application_fails(
    archive: Archive, maintenance: t.Any, switch: dict[str, t.Any]
) -> None:
    refused = maintenance("enabled", switch={**switch, "bearer": "nobody's"})
    assert refused["failed"]
    assert "401" in refused["msg"]
    unread = {name: value for name, value in switch.items() if name != "read"}
    elsewhere = {**unread, "enable": {"url": f"{archive.facts['backend_url']}/api/v1/health", "method": "GET"}}
    failed = maintenance("enabled", flag=str(archive.folder / "elsewhere.flag"), switch=elsewhere, timeout=1)
    assert failed["failed"]
    assert "Status is 200, expected 503" in failed["msg"], "an answer of 200 is no proof"


@pytest.fixture
def measured(archive: Archive, run_module_here: t.Any, tmp_path: Path) -> t.Iterator[t.Callable[..., dict[str, t.Any]]]:
    """How long users were without the system since now, against a budget in seconds."""
    arguments = {"path": str(tmp_path / "probe.jsonl"), "release": TOKEN}
    asked = {"url": archive.url("/health"), "ca_file": archive.facts["ca_file"], "interval_ms": 20}
    started = run_module_here("downtime_probe", {"state": "started", **asked, **arguments})
    assert started["changed"], started

    def stop(budget: float) -> dict[str, t.Any]:
        stopped = {"state": "stopped", "max_downtime": budget, "enforce": False, **arguments}
        return t.cast("dict[str, t.Any]", run_module_here("downtime_probe", stopped))

    yield stop
    run_module_here("downtime_probe", {"state": "stopped", "enforce": False, **arguments})


@serves("S1.44", case="pass")
def test_maintenance_goes_off_users_are_served_and_the_downtime_is_told(maintenance: t.Any, measured: t.Any) -> None:
    assert maintenance("enabled")["changed"]
    done = maintenance("disabled")
    assert (done["diff"]["after"]["proxy"], "200" in done["proofs"][0]["last"]) == ("disabled", True), done
    told = measured(60)
    assert told["finding"]["status"] == "pass", told
    assert 0 < told["downtime"]["seconds"] < 60


@serves("S1.44", case="fail")
def test_maintenance_that_goes_off_over_a_dead_backend_fails_and_so_does_its_downtime(
    archive: Archive, maintenance: t.Any, measured: t.Any
) -> None:
    assert maintenance("enabled")["changed"]
    with archive.without("backend"):
        failed = maintenance("disabled", timeout=1)
    assert failed["failed"]
    assert "502" in failed["msg"]
    told = measured(0.01)
    assert told["finding"]["status"] == "fail", told
