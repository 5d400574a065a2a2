# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference system: it runs, its releases behave as they claim, and nothing of it is left afterwards."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

ABLAGE = Path(__file__).parents[2] / "examples" / "ablage"
STACK = ABLAGE / "stack.py"
BASE_REVISION = "0002"
HEADS = {"1.0.0": "0002", "2.0.0": "0003", "2.0.1": "0003a", "2.0.2": "0003b", "2.0.3": "0003"}


def until(holds: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.05)
    return found


def stack(command: str, folder: Path, *options: str) -> Any:
    finished = subprocess.run(
        [sys.executable, str(STACK), command, "--dir", str(folder), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@dataclass
class Archive:
    folder: Path
    facts: dict[str, Any]
    secrets: dict[str, str]

    @contextmanager
    def client(self, name: str | None = None, **headers: str) -> Iterator[httpx.Client]:
        trust = ssl.create_default_context(cafile=self.facts["ablage_ca_file"])
        base_url = self.facts["ablage_base_url"] + "/api/v1"
        with httpx.Client(base_url=base_url, verify=trust, headers=headers, timeout=20) as client:
            if name:
                key = "ablage_user_password" if name == self.facts["ablage_user_name"] else "ablage_admin_password"
                answer = client.post("/auth/login", json={"username": name, "password": self.secrets[key]})
                assert answer.status_code == 200, answer.text
                client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield client

    def user(self, **headers: str) -> AbstractContextManager[httpx.Client]:
        return self.client(self.facts["ablage_user_name"], **headers)

    def admin(self) -> AbstractContextManager[httpx.Client]:
        return self.client(self.facts["ablage_admin_name"])

    def supervisorctl(self, *words: str) -> None:
        subprocess.run(
            [self.facts["ablage_supervisorctl"], "-c", self.facts["ablage_supervisor_config"], *words],
            capture_output=True, check=True,
        )  # fmt: skip

    def health(self) -> dict[str, Any]:
        with self.client() as client:
            answer = client.get("/health/detailed")
        return answer.json() if answer.status_code == 200 else {"status": str(answer.status_code), "version": ""}

    def until_healthy(self, state: str = "gesund", version: str | None = None) -> None:
        until(
            lambda: (seen := self.health())["status"] == state and version in (None, seen["version"]),
            f"health {state} of {version or 'any version'}",
        )

    def run(self, release: Path, *command: str, **environment: str) -> str:
        env = {
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ABLAGE_ENV_FILE": self.facts["ablage_env_file"],
        }
        finished = subprocess.run(
            [self.facts["ablage_python"], "-m", *command], cwd=release, env={**env, **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def unpacked(self, version: str) -> Path:
        target = Path(self.facts["ablage_releases_dir"]) / version
        if not target.exists():
            target.mkdir()
            subprocess.run(
                ["tar", "-xzf", self.facts["ablage_artefacts"][version]["path"], "-C", str(target)], check=True
            )
        return target

    def deploy(self, version: str, *, before: str, programs: tuple[str, ...] = ("backend", "worker")) -> None:
        """By hand: the way back with the old code, then the way forward with the new."""
        self.supervisorctl("stop", *programs)
        self.run(self.unpacked(before), "alembic", "downgrade", BASE_REVISION)
        self.run(self.unpacked(version), "alembic", "upgrade", "head")
        link = Path(self.facts["ablage_current"])
        new = link.with_name("next")
        new.symlink_to(Path("releases") / version)
        new.replace(link)
        self.supervisorctl("start", *programs)

    def query(self, text: str, dbname: str = "ablage") -> list[Any]:
        with psycopg.connect(
            self.facts["ablage_golive_dsn"], dbname=dbname, password=self.secrets["ablage_db_golive_password"]
        ) as connection:
            return connection.execute(text).fetchall()

    def upload(self, client: httpx.Client) -> dict[str, Any]:
        content = Path(self.facts["ablage_test_document"]).read_bytes()
        answer = client.post("/documents/", files={"file": ("testdokument.pdf", content, "application/pdf")})
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        assert document["sha256"] == hashlib.sha256(content).hexdigest()
        return document

    def recognised(self, client: httpx.Client, document_id: int) -> dict[str, Any]:
        submitted = client.post("/ocr/process", json={"document_id": document_id, "backend": "auto"})
        assert submitted.status_code == 202, submitted.text
        return self.finished(client, submitted.json()["job_id"])

    def finished(self, client: httpx.Client, job_id: str) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            job: dict[str, Any] = client.get(f"/ocr/jobs/{job_id}").json()
            return job if job["state"] in ("fertig", "fehler") else None

        try:
            job: dict[str, Any] = until(done, f"job {job_id}")
        except AssertionError as error:
            log = Path(self.facts["ablage_log_dir"], "worker.log").read_text(errors="replace")
            raise AssertionError(f"{error}; queues {self.queues()}; worker: {log[-3000:]}") from None
        return job

    def queues(self) -> dict[str, int]:
        with self.client() as client:
            lengths: dict[str, int] = client.get("/health/pipeline").json()["warteschlangen"]
        return lengths


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("ablage")
    try:
        stack("up", folder, "--set", "OCR_SECONDS=1")
        facts = yaml.safe_load((folder / "facts.yml").read_text())
        yield Archive(folder, facts, yaml.safe_load((folder / "secrets.yml").read_text()))
    finally:
        stack("down", folder, "--purge")
    assert marked_processes(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def marked_processes(folder: Path) -> list[int]:
    sys.path.insert(0, str(ABLAGE.parent))
    try:
        from embedded.supervision import processes_of

        record = folder / "stack.json"
        data = Path(json.loads(record.read_text())["postgres_data"]) if record.exists() else None
        return list(processes_of(folder, data))
    finally:
        sys.path.remove(str(ABLAGE.parent))


def test_only_who_logs_in_gets_in_and_only_admins_see_the_panel(archive: Archive) -> None:
    with archive.client() as nobody, archive.user() as user, archive.admin() as admin:
        refused = nobody.post("/auth/login", json={"username": "anna", "password": "falsch"})
        assert refused.status_code == 401
        assert refused.headers["X-Ablage-Version"] == "1.0.0"
        assert [each.get("/documents").status_code for each in (nobody, user)] == [401, 200]
        assert [each.get("/admin/panel").status_code for each in (nobody, user, admin)] == [401, 403, 200]
        token = archive.secrets["ablage_admin_token"]
        assert nobody.get("/admin/maintenance/status", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_document_goes_through_upload_ocr_download_export_and_delete(archive: Archive) -> None:
    with archive.user() as client:
        document = archive.upload(client)
        assert client.get("/documents").json()["documents"][0]["id"] == document["id"]
        job = archive.recognised(client, document["id"])
        assert job["state"] == "fertig", job
        assert archive.facts["ablage_test_phrase"] in job["text"]
        assert (job["attempts"], job["completions"], job["done_by_task_id"]) == (1, 1, job["job_id"])
        content = client.get(f"/documents/{document['id']}/download").content
        assert hashlib.sha256(content).hexdigest() == document["sha256"]
        lines = client.get("/documents/export").text.splitlines()
        assert lines[-1].startswith(f"{document['id']};")
        assert len(lines) > 20_000
        with zipfile.ZipFile(io.BytesIO(client.get("/documents/export", params={"format": "zip"}).content)) as packed:
            assert packed.read(f"dateien/{document['id']}-testdokument.pdf") == content
        assert client.delete(f"/documents/{document['id']}").status_code == 204
        assert client.get(f"/documents/{document['id']}").status_code == 404


def test_seeded_documents_are_really_in_the_bucket(archive: Archive) -> None:
    rows = archive.query("select id, sha256 from documents where object_key is not null order by id")
    assert len(rows) >= 12
    with archive.user() as client:
        for number, digest in rows:
            assert hashlib.sha256(client.get(f"/documents/{number}/download").content).hexdigest() == digest
    (total,) = archive.query("select (select count(*) from documents) + (select count(*) from events)")[0]
    assert total >= 50_000


def test_what_is_no_pdf_or_only_on_paper_is_refused(archive: Archive) -> None:
    paper = archive.query("select min(id) from documents where object_key is null")[0][0]
    with archive.user() as client:
        assert client.post("/documents", files={"file": ("a.txt", b"text", "text/plain")}).status_code == 415
        assert client.get(f"/documents/{paper}/download").status_code == 409
        assert client.post("/ocr/process", json={"document_id": paper}).status_code == 409


def test_a_job_delivered_twice_is_done_once(archive: Archive) -> None:
    with archive.user() as client:
        job = archive.recognised(client, archive.upload(client)["id"])
        current = Path(archive.facts["ablage_current"])
        archive.run(
            current, "celery", "-A", "ablage.tasks", "call", "ablage.ocr", "--args", json.dumps([job["job_id"]])
        )
        until(lambda: not any(archive.queues().values()), "empty queues")
        assert archive.finished(client, job["job_id"]) == job


def test_a_delayed_job_waits_with_the_worker_unacknowledged(archive: Archive) -> None:
    with archive.user() as client:
        document = archive.upload(client)
        answer = client.post("/ocr/process", json={"document_id": document["id"], "delay_seconds": 1.5})
        until(lambda: archive.queues()["unacked"], "the scheduled message")
        assert archive.finished(client, answer.json()["job_id"])["completions"] == 1


def test_a_database_that_is_away_costs_no_job(archive: Archive) -> None:
    with archive.user() as client:
        document = archive.upload(client)
        log = Path(archive.facts["ablage_log_dir"], "worker.log")
        job_id = client.post("/ocr/process", json={"document_id": document["id"], "delay_seconds": 2}).json()["job_id"]
        archive.supervisorctl("stop", "postgres")
        try:
            refused = client.get("/documents")
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            assert archive.health()["komponenten"]["datenbank"]["status"] == "kritisch"
            until(lambda: f"Task ablage.ocr[{job_id}] retry" in log.read_text(errors="replace"), "a retry")
        finally:
            archive.supervisorctl("start", "postgres")
        archive.until_healthy("gesund")
        assert archive.finished(client, job_id)["completions"] == 1


def test_health_tells_three_states_and_always_answers_200(archive: Archive) -> None:
    archive.until_healthy("gesund")
    archive.supervisorctl("stop", "worker")
    try:
        archive.until_healthy("beeintraechtigt")
    finally:
        archive.supervisorctl("start", "worker")
    archive.until_healthy("gesund")
    archive.supervisorctl("stop", "redis")
    try:
        seen = archive.health()
        assert (seen["status"], seen["komponenten"]["redis"]["status"]) == ("kritisch", "kritisch")
        assert seen["komponenten"]["datenbank"]["status"] == "gesund"
        with archive.user() as client:
            assert client.get("/health").json() == {"status": "gesund", "version": "1.0.0"}
            assert client.get("/health/pipeline").json()["status"] == "kritisch"
            document = client.get("/documents").json()["documents"][0]
            refused = client.post("/ocr/process", json={"document_id": document["id"]})
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    finally:
        archive.supervisorctl("start", "redis")
    archive.until_healthy("gesund")
    assert archive.query("select count(*) from ocr_jobs where state = 'wartend'") == [(0,)]


def test_the_flag_file_holds_maintenance_without_the_backend_and_the_bypass_passes(archive: Archive) -> None:
    flag = Path(archive.facts["ablage_maintenance_flag"])
    header = {archive.facts["ablage_bypass_header"]: archive.secrets["ablage_bypass_token"]}
    flag.touch()
    try:
        with archive.client() as outside, archive.user(**header) as inside:
            refused = outside.get("/health", headers={"Accept": "application/json"})
            assert (refused.status_code, refused.headers["Retry-After"], refused.json()["detail"]) == (
                503,
                "30",
                "Wartung",
            )
            page = outside.get("/documents", headers={"Accept": "text/html"})
            assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
            assert outside.get("/health", headers={"X-Golive-Bypass": "falsch"}).status_code == 503
            assert inside.get("/documents").status_code == 200
            archive.supervisorctl("stop", "backend")
            assert outside.get("/documents").status_code == 503
            assert inside.get("/documents").status_code == 502
            archive.supervisorctl("start", "backend")
    finally:
        flag.unlink()
    archive.until_healthy("gesund")


def test_the_archives_own_switch_refuses_users_and_lets_admins_and_the_bypass_through(archive: Archive) -> None:
    with archive.admin() as admin, archive.user() as user:
        assert admin.post("/admin/maintenance/enable", json={"reason": "Probe"}).json()["maintenance"] is True
        try:
            refused = user.get("/documents")
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
            assert admin.get("/admin/maintenance/status").json()["reason"] == "Probe"
            header = {archive.facts["ablage_bypass_header"]: archive.secrets["ablage_bypass_token"]}
            assert user.get("/documents", headers=header).status_code == 200
            assert user.get("/health").status_code == 200
        finally:
            assert admin.post("/admin/maintenance/disable").json() == {"maintenance": False}
        assert user.get("/documents").status_code == 200


def test_a_held_worker_answers_but_consumes_nothing_until_told(archive: Archive) -> None:
    hold = Path(archive.facts["ablage_worker_hold_file"])
    hold.touch()
    # beat would add messages of its own to the count
    archive.supervisorctl("stop", "beat")
    try:
        archive.supervisorctl("restart", "worker")
        archive.until_healthy("gesund")
        with archive.user() as client:
            document = archive.upload(client)
            job_id = client.post("/ocr/process", json={"document_id": document["id"]}).json()["job_id"]
            # a job sent after it to the other queue would be taken too: both must still lie there
            archive.run(
                Path(archive.facts["ablage_current"]), "celery", "-A", "ablage.tasks", "call", "ablage.aufraeumen"
            )
            assert archive.health()["komponenten"]["worker"]["worker"] == [archive.facts["ablage_worker_name"]]
            assert archive.queues() == {"ocr": 1, "wartung": 1, "unacked": 0}
            hold.unlink()
            for queue in archive.facts["ablage_queues"]:
                archive.run(
                    Path(archive.facts["ablage_current"]),
                    "celery",
                    "-A",
                    "ablage.tasks",
                    "control",
                    "add_consumer",
                    queue,
                )
            assert archive.finished(client, job_id)["completions"] == 1
    finally:
        hold.unlink(missing_ok=True)
        archive.supervisorctl("restart", "worker")
        archive.supervisorctl("start", "beat")
    until(lambda: not any(archive.queues().values()), "empty queues")


def test_a_stop_waits_for_the_running_job(archive: Archive) -> None:
    with archive.user() as client:
        document = archive.upload(client)
        job_ids: list[str] = []

        def is_running() -> bool:
            job_ids.append(client.post("/ocr/process", json={"document_id": document["id"]}).json()["job_id"])
            return bool(archive.query("select 1 from ocr_jobs where state = 'laeuft'"))

        until(is_running, "a running job")
        (stopped_at,) = archive.query("select clock_timestamp()")[0]
        archive.supervisorctl("stop", "worker")
        assert archive.query("select id from ocr_jobs where state = 'laeuft'") == [], "a job was cut off by the stop"
        assert archive.query(f"select 1 from ocr_jobs where finished_at > '{stopped_at}'"), "none was running"
        archive.supervisorctl("start", "worker")
        assert [archive.finished(client, job_id)["completions"] for job_id in job_ids] == [1] * len(job_ids)


def test_no_secret_is_in_the_arguments_or_the_environment_of_any_program(archive: Archive) -> None:
    pids = marked_processes(archive.folder)
    assert len(pids) >= 9
    for pid in pids:
        try:
            shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        leaked = [name for name, value in archive.secrets.items() if value.encode() in shown]
        assert leaked == [], f"process {pid}"
    assert archive.folder.joinpath("secrets.yml").stat().st_mode & 0o077 == 0
    known = archive.folder.joinpath("facts.yml").read_text()
    assert [name for name, value in archive.secrets.items() if value in known] == []


def test_an_env_file_open_to_others_is_refused(archive: Archive, tmp_path: Path) -> None:
    copy = tmp_path / "ablage.env"
    copy.write_bytes(Path(archive.facts["ablage_env_file"]).read_bytes())
    copy.chmod(0o644)
    finished = subprocess.run(
        [sys.executable, "-m", "ablage.backend", "--port", "1"], cwd=archive.facts["ablage_current"],
        env={"ABLAGE_ENV_FILE": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode != 0
    assert "open to other users" in finished.stderr
    assert [name for name, value in archive.secrets.items() if value in finished.stderr] == []


@pytest.fixture
def scratch(archive: Archive, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An empty database, and the environment that points a migration at it without a password in any URL."""
    facts = archive.facts
    password = archive.secrets["ablage_db_golive_password"]
    with psycopg.connect(facts["ablage_golive_maintenance_dsn"], password=password, autocommit=True) as connection:
        connection.execute("create database scratch owner ablage")
        passfile = tmp_path / "pgpass"
        passfile.touch(mode=0o600)
        passfile.write_text(f"127.0.0.1:*:*:ablage:{archive.secrets['ablage_db_app_password']}\n")
        url = f"postgresql+psycopg://ablage@127.0.0.1:{facts['ablage_postgres_port']}/scratch"
        try:
            yield {"DATABASE_URL": url, "PGPASSFILE": str(passfile)}
        finally:
            connection.execute("drop database scratch with (force)")


@pytest.mark.parametrize("version", [version for version in HEADS if version != "1.0.0"])
def test_migrations_go_up_and_down_and_only_the_lossy_one_loses(
    archive: Archive, scratch: dict[str, str], version: str
) -> None:
    release = archive.unpacked(version)
    archive.run(release, "alembic", "upgrade", BASE_REVISION, **scratch)
    dump = "select table_name, column_name, data_type, is_nullable from information_schema.columns where table_schema = 'public' order by 1, 2"
    before = archive.query(dump, "scratch")
    with psycopg.connect(
        archive.facts["ablage_golive_dsn"], dbname="scratch", password=archive.secrets["ablage_db_golive_password"]
    ) as connection:
        connection.execute("insert into users (username, password_hash) values ('a', 'scrypt$00$00')")
        connection.execute(
            "insert into documents (title, kind, file_name, content_type, size_bytes, sha256, note, owner_id, created_at)"
            " values ('t', 'rechnung', 'f', 'application/pdf', 1, '0', 'wichtig', 1, '2024-05-01 12:00+00')"
        )
    archive.run(release, "alembic", "upgrade", "head", **scratch)
    assert archive.query("select version_num from alembic_version", "scratch") == [(HEADS[version],)]
    if HEADS[version] == "0003":
        assert str(archive.query("select retention_until from documents", "scratch")[0][0]) == "2032-12-31"
    archive.run(release, "alembic", "downgrade", BASE_REVISION, **scratch)
    assert archive.query(dump, "scratch") == before
    kept = archive.query("select note from documents", "scratch")
    assert kept == ([(None,)] if version == "2.0.2" else [("wichtig",)])
    rendered = archive.run(release, "alembic", "upgrade", f"{BASE_REVISION}:head", "--sql", **scratch)
    assert f"SET version_num='{HEADS[version]}'" in rendered


def test_a_foreign_schema_revision_is_kritisch_while_liveness_stays_gesund(archive: Archive) -> None:
    release = archive.unpacked("2.0.0")
    archive.run(release, "alembic", "upgrade", "head")
    try:
        seen = archive.health()
        assert seen["status"] == "kritisch"
        assert seen["komponenten"]["schema"]["vorgefunden"] == ["0003"]
        with archive.client() as client:
            assert client.get("/health").json()["status"] == "gesund"
    finally:
        archive.run(release, "alembic", "downgrade", BASE_REVISION)
    archive.until_healthy("gesund")


def test_each_release_behaves_as_its_release_note_says(archive: Archive) -> None:
    header = {archive.facts["ablage_bypass_header"]: archive.secrets["ablage_bypass_token"]}
    archive.deploy("2.0.0", before="1.0.0")
    archive.until_healthy("gesund", "2.0.0")
    with archive.user(**header) as client:
        document = archive.upload(client)
        assert document["retention_until"].endswith("-12-31")
        assert client.get("/documents/retention").json()["rechnung"] == 8
        assert archive.facts["ablage_test_phrase"] in archive.recognised(client, document["id"])["text"]

    archive.deploy("2.0.3", before="2.0.0")
    archive.until_healthy("gesund", "2.0.3")
    with archive.user(**header) as client:
        assert client.get(f"/documents/{document['id']}/download").status_code == 200
        job = archive.recognised(client, document["id"])
        assert (job["state"], archive.facts["ablage_test_phrase"] in job["text"]) == ("fertig", False)

    archive.deploy("2.0.2", before="2.0.3", programs=("backend",))
    archive.until_healthy("gesund", "2.0.2")
    with archive.user(**header) as client:
        broken = client.get(f"/documents/{document['id']}/download")
        assert (broken.status_code, broken.headers["X-Ablage-Version"]) == (500, "2.0.2")
        assert client.get("/documents").status_code == 200

    archive.deploy("2.0.1", before="2.0.2", programs=("backend",))
    archive.until_healthy("kritisch", "2.0.1")
    with archive.client() as client:
        assert client.get("/health").status_code == 503

    archive.deploy("1.0.0", before="2.0.1")
    archive.until_healthy("gesund", "1.0.0")


def test_a_killed_up_beside_a_running_stack_is_cleared_by_down(archive: Archive, tmp_path: Path) -> None:
    second = tmp_path / "zweite"
    starting = subprocess.Popen(
        [sys.executable, str(STACK), "up", "--dir", str(second)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until((second / "run" / "supervisord.pid").exists, "supervisord of the second stack")
        refused = subprocess.run(
            [sys.executable, str(STACK), "down", "--dir", str(second)], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "another stack.py is at work" in refused.stderr
        starting.send_signal(signal.SIGKILL)
        starting.wait()
        assert marked_processes(second)
    finally:
        starting.kill()
        starting.wait()
        stack("down", second)
    assert marked_processes(second) == []
    assert stack("down", second, "--purge") == {"down": True, "ended_by_pid": []}
    assert stack("status", archive.folder)["health"]["body"]["status"] == "gesund"


def test_a_running_stack_is_not_overwritten(archive: Archive) -> None:
    again = subprocess.run(
        [sys.executable, str(STACK), "up", "--dir", str(archive.folder)], capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "a stack is running" in again.stderr
    archive.until_healthy("gesund")


def test_a_release_has_the_same_bytes_whenever_it_is_built(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        built = subprocess.run(
            [sys.executable, str(ABLAGE / "build_release.py"), "2.0.3", "--out", str(tmp_path / f"{name}.tar.gz")],
            capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC" if name == "a" else "Asia/Tokyo"},
        )  # fmt: skip
        digests.append(json.loads(built.stdout)["sha256"])
        assert digests[-1] == hashlib.sha256((tmp_path / f"{name}.tar.gz").read_bytes()).hexdigest()
    assert digests[0] == digests[1]
