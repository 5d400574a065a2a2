# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive's own items on logs, on what its backend and its worker themselves write while they run."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path

import httpx
import pytest
from celery import Celery

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.integration.test_ablage_items import written
from tests.servers import HOST, Postgres, Program, Redis, await_true

APP = Path(__file__).resolve().parents[2] / "examples" / "ablage" / "app"
SECONDS = 60.0
serves = pytest.mark.serves


class Part(Program):
    """A process of the archive, whose log is where its items look for it."""

    def __init__(self, name: str, folder: Path, env_file: Path) -> None:
        self.name = name
        super().__init__()
        self.log_path = folder / f"{name}.log"
        self.env_file = env_file

    def environment(self) -> dict[str, str]:
        return environment_of(self.env_file)


class Backend(Part):
    def command(self) -> list[str]:
        return [sys.executable, "-m", "ablage.backend", "--port", str(self.port)]

    def log_in(self, name: str) -> int:
        """The status of the answer."""
        login = {"username": name, "password": "wrong"}
        return httpx.post(f"http://{HOST}:{self.port}/api/v1/auth/login", json=login, timeout=SECONDS).status_code


class Worker(Part):
    def command(self) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", "ablage.tasks", "worker", "-n", "ablage@localhost"]
        return [*celery, "-Q", "ocr,wartung", "-P", "threads", "-c", "1", "-l", "INFO", "--without-gossip"]

    def is_ready(self) -> bool:
        return self.log().rstrip().endswith("ready.")


def environment_of(env_file: Path) -> dict[str, str]:
    own = {"ABLAGE_ENV_FILE": str(env_file), "PYTHONPATH": str(APP), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own}


class Archive:
    """A backend and a worker on a database of the archive's schema."""

    def __init__(self, folder: Path, postgres: Postgres, database: str, redis: Redis) -> None:
        self.folder, self.postgres, self.database, self.redis = folder, postgres, database, redis
        env_file = folder / "ablage.env"
        env_file.touch(mode=0o600)
        address = postgres.dsn(database).replace("postgresql:", "postgresql+psycopg:")
        values = {
            **dict.fromkeys(("MINIO_ENDPOINT", "CORS_ORIGINS", "BASE_URL"), "https://archive.example.org"),
            **dict.fromkeys(("MINIO_BUCKET", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"), "ablage"),
            **dict.fromkeys(("SECRET_KEY", "JWT_SECRET_KEY"), uuid.uuid4().hex * 2),
            "ENVIRONMENT": "production",
            "DATABASE_URL": address,
            "REDIS_URL": redis.url(),
        }
        env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        migrate = [sys.executable, "-m", "alembic", "-c", str(APP / "alembic.ini"), "upgrade", "head"]
        subprocess.run(migrate, cwd=APP, env=environment_of(env_file), check=True, capture_output=True)
        self.backend, self.worker = Backend("backend", folder, env_file), Worker("worker", folder, env_file)

    def hand_in(self, task: str, queue: str, *arguments: str) -> None:
        with contextlib.closing(Celery(broker=self.redis.url())) as producer:
            producer.send_task(task, arguments, queue=queue)

    def work(self) -> None:
        """What every day brings: somebody mistypes a password, and the clean-up runs."""
        assert self.backend.log_in("nobody") == 401
        done = self.worker.log().count("succeeded")
        self.hand_in("ablage.aufraeumen", "wartung")
        await_true(lambda: self.worker.log().count("succeeded") > done, seconds=SECONDS, what="the clean-up")

    def meet_a_missing_table(self) -> None:
        """As code does that was written for another revision."""
        line = "Exception in ASGI application"
        before = self.backend.log().count(line)
        self.postgres.execute("ALTER TABLE users RENAME TO accounts", dbname=self.database)
        assert self.backend.log_in("anna") == 500
        # The answer comes before the line is written.
        await_true(lambda: self.backend.log().count(line) > before, seconds=SECONDS, what="the backend's complaint")
        self.postgres.execute("ALTER TABLE accounts RENAME TO users", dbname=self.database)

    def meet_a_missing_job(self) -> None:
        """As a worker does whose database was put back and whose queue was not."""
        job = str(uuid.uuid4())
        self.hand_in("ablage.ocr", "ocr", job)
        line = f"job {job} is not in the database"
        await_true(lambda: line in self.worker.log(), seconds=SECONDS, what="the worker's complaint")

    def judged(self, item: str, since: str) -> dict[str, t.Any]:
        """By an item of the archive's checklist as its user wrote it."""
        places = {"ablage_log_dir": str(self.folder), "ablage_release_began": since, "ablage_back_since": since}
        wanted = written(item, **places)
        listed = [{"id": item, "check": wanted["check"], "params": wanted["params"], "timeout": SECONDS}]
        (finding,) = judge_all(listed, [], timeout_seconds=SECONDS, scrub=Scrubber([]))
        return finding


def now() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> t.Iterator[Archive]:
    """One for all tests: each judges what was written since it began."""
    database = postgres.create_database()
    with Redis() as redis:
        made = Archive(tmp_path_factory.mktemp("archive"), postgres, database, redis)
        with made.backend, made.worker:
            yield made
    postgres.drop_database(database)


@serves("S1.51", "S1.52", "S1.68", case="pass")
def test_what_the_archive_writes_on_a_day_without_errors_passes(archive: Archive) -> None:
    began = now()
    archive.work()
    for item, files in (("backend-log", 1), ("worker-log", 1), ("back-log", 2)):
        found = archive.judged(item, began)
        assert found["status"] == "pass", (item, found["summary"])
        sources = found["evidence"]["sources"]
        assert len(sources) == files
        assert all(source["lines"] > 0 and source["levels"]["info"] > 0 for source in sources)


@serves("S1.51", "S1.68", case="fail")
def test_an_exception_that_the_backend_wrote_fails_with_its_line(archive: Archive) -> None:
    began = now()
    archive.work()
    archive.meet_a_missing_table()
    found = archive.judged("backend-log", began)
    assert found["status"] == "fail"
    assert "an exception is " in found["summary"]
    assert any("Exception in ASGI application" in line for line in found["evidence"]["sources"][0]["excerpts"])
    assert archive.judged("back-log", began)["status"] == "fail"
    assert archive.judged("worker-log", began)["status"] == "pass"


@serves("S1.52", "S1.68", case="fail")
def test_an_error_that_the_worker_wrote_fails_with_its_line(archive: Archive) -> None:
    began = now()
    archive.work()
    archive.meet_a_missing_job()
    found = archive.judged("worker-log", began)
    assert found["status"] == "fail"
    assert "ines of level error is 1, expected at most 0" in found["summary"]
    assert any("is not in the database" in line for line in found["evidence"]["sources"][0]["excerpts"])
    assert archive.judged("back-log", began)["status"] == "fail"
    assert archive.judged("backend-log", began)["status"] == "pass"


@serves("S1.68", case="pass")
def test_errors_from_before_the_way_back_do_not_count_after_it(archive: Archive) -> None:
    began = now()
    archive.meet_a_missing_table()
    archive.meet_a_missing_job()
    for part in (archive.backend, archive.worker):
        part.stop()
    back = now()
    for part in (archive.backend, archive.worker):
        part.start()
    archive.work()
    assert archive.judged("back-log", began)["status"] == "fail"
    found = archive.judged("back-log", back)
    assert found["status"] == "pass", found["summary"]
