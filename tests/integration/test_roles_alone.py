# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role in a playbook of somebody else, who knows nothing of golive_* and sets the role's own variables only."""

from __future__ import annotations

import json
import re
import sys
import textwrap
import typing as t
from pathlib import Path

from tests.integration.supervised import Supervised
from tests.leaks import assert_no_leak
from tests.playbook import ROOT, Played, run_playbook
from tests.servers import S3, Answer, HttpServer, Postgres, Program, Redis, Request

ROLES = ROOT / "roles"
BYPASS = "geheim-bypass-of-somebody"
SMOKE_PASSWORD = "geheim-smoke-of-somebody"

ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ["DATABASE_URL"]
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer))

def downgrade():
    op.drop_table("notes")
"""
JOBS = """
import pathlib
from celery import Celery

app = Celery("jobs", broker=pathlib.Path("broker.url").read_text())

@app.task(name="jobs.one")
def one():
    pass
"""


def play_of(role: str, hosts: str = "web1", **variables: t.Any) -> dict[str, t.Any]:
    """One play with one role, as somebody writes it who read the role's README."""
    return {
        "name": role,
        "hosts": hosts,
        "gather_facts": False,
        "roles": [{"role": f"opsready.golive.{role}", "vars": variables}],
    }


def played(*plays: dict[str, t.Any], directory: Path, secrets: t.Sequence[str] = (), **options: t.Any) -> Played:
    """All of it went well, and nothing secret was printed at the highest verbosity."""
    ended = run_playbook(list(plays), directory=directory, args=["-vvv"], **options)
    assert ended.rc == 0, ended.text[-6000:]
    assert_no_leak(secrets, ended.text, "the run")
    return ended


def test_no_role_reads_or_sets_a_variable_of_the_playbooks() -> None:
    found = {}
    for path in sorted(ROLES.glob("*/*/*.yml")):
        # The names of the lists are defaults of two roles, as texts.
        names = set(re.findall(r"\bgolive_\w+", path.read_text())) - {"golive_checklist", "golive_checklist_defaults"}
        if names:
            found[str(path.relative_to(ROLES))] = names
    assert not found


def test_every_role_has_its_place_here() -> None:
    text = Path(__file__).read_text()
    alone = set(re.findall(r'play_of\(\s*"(\w+)"', text))
    # settle needs a release that began; whole releases are run with it.
    assert alone == {path.name for path in ROLES.iterdir() if path.is_dir()} - {"settle"}


def test_checklist_verdict_watch_and_report(http_server: HttpServer, tmp_path: Path) -> None:
    http_server.route("/health", Answer(200, {"status": "up"}))
    shop = [
        {"id": "room", "title": "There is room", "hosts": "all", "phase": ["pre_deploy", "watch"],
         "check_host": {"disk": [{"path": "/", "min_free": "1MB"}]}},
        {"id": "up", "title": "It answers", "phase": ["pre_deploy", "watch"], "check_http": {"url": f"{http_server.url}/health"}},
    ]  # fmt: skip
    read = {
        "name": "Read",
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [{"name": "Plan", "opsready.golive.plan": {"checklist": "shop_checklist"}}],
    }
    ended = played(
        read,
        play_of("checklist", "localhost,all", checklist_checks="shop_checklist"),
        play_of("verdict", "localhost", verdict_system="shop", verdict_version="7"),
        play_of("report", "localhost", report_destination=str(tmp_path / "report"), report_system="shop"),
        play_of("watch", "localhost,web1", watch_checks="shop_checklist", watch_system="shop"),
        directory=tmp_path / "play",
        inventory={"all": {"hosts": {"web1": {}}, "vars": {"shop_checklist": shop}}},
    )
    assert ended.of("Main | Judge this host's items", "web1").result["counts"]["pass"] == 1
    verdict = ended.of("Main | Decide").result["verdict"]
    assert (verdict["decision"], verdict["counts"]["pass"]) == ("GO", 2)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["verdict"]["decision"] == "GO"
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {"index.html", "report.md", "junit.xml"}
    (watched,) = [found for found in ended.results if found.task.endswith("Main | Decide on them")]
    assert (watched.result["verdict"]["decision"], watched.result["verdict"]["counts"]["pass"]) == ("GO", 2)


def test_backup_by_its_three_ways_in(postgres: Postgres, database: str, s3: S3, tmp_path: Path) -> None:
    postgres.execute("create table orders as select n from generate_series(1, 300) n", dbname=database)
    reached = {
        "backup_dsn": postgres.dsn(database, password=None),
        "backup_password": postgres.password,
        "backup_pg_bindir": str(postgres.programs),
        "backup_destination": f"s3://{s3.create_bucket('alone')}/orders",
        "backup_s3": {"endpoint_url": s3.endpoint, "access_key": s3.access_key, "secret_key": s3.secret_key},
    }
    proof = {
        "backup_amcheck": True,
        "backup_verify_sql": [{"query": "select max(n) from public.orders", "expect": "300"}],
    }
    extract = {"backup_tables": ["public.orders"], "backup_fence_id": "alone"}
    ways: list[tuple[str, dict[str, t.Any]]] = [
        ("restore", {}),
        ("restore", {"backup_restore_state": "verified", **proof}),
        ("restore", {"backup_restore_state": "extracted", **proof, **extract}),
        ("restore", {"backup_restore_state": "swept", **extract}),
        ("fence", {}),
    ]
    more = [
        {
            "name": f"Backup | {way}",
            "ansible.builtin.include_role": {"name": "opsready.golive.backup", "tasks_from": way},
            "vars": variables,
        }
        for way, variables in ways
    ]
    ended = played(
        play_of("backup", **reached, **proof),
        play_of("backup", **reached, **proof, backup_max_age=3600),
        play_of("backup", **reached, backup_keep={"last": 1}),
        {"name": "More", "hosts": "web1", "gather_facts": False, "vars": reached, "tasks": more},
        directory=tmp_path,
        secrets=[postgres.password, s3.secret_key],
    )
    first, taken, made = (
        found.result for found in ended.results if found.task.endswith("Main | Make a backup and prove it")
    )
    assert first["verified"]["amcheck_seconds"] > 0
    assert (taken["changed"], taken["backup"]["manifest"]) == (False, first["backup"]["manifest"])
    assert (made["changed"], made["backup"]["rows"], made["verified"]["ok"]) == (True, 300, True)
    listed, verified, extracted, swept = (found.result for found in ended.results if " | Assess, list" in found.task)
    assert [one["manifest"] for one in listed["backups"]] == [made["backup"]["manifest"]]
    assert verified["verified"]["amcheck_seconds"] > 0
    beside = extracted["extracted"]["database"]
    assert postgres.execute("select count(*) from orders", dbname=beside) == [(300,)]
    assert (swept["changed"], swept["removed"]) == (False, [])
    assert ended.of("Fence | Keep others out of the database, or let them in again").result["fence"]["state"] == "open"


def test_maintenance_on_and_off(tmp_path: Path) -> None:
    flag = tmp_path / "maintenance.flag"

    def answer(request: Request) -> Answer:
        if flag.exists() and request.headers.get("X-Bypass") != BYPASS:
            return Answer(503, "closed", {"Retry-After": "60"})
        return Answer(200, "open")

    with HttpServer({"/": answer}) as server:
        own = {
            "maintenance_layers": [{"name": "proxy", "backend": "file", "path": str(flag), "survives_stop": True}],
            "maintenance_verify": {"url": f"{server.url}/", "interval": 0.05},
            "maintenance_bypass_header": "X-Bypass",
            "maintenance_bypass": BYPASS,
        }
        on = played(
            play_of("maintenance", **own, maintenance_state="enabled"), directory=tmp_path / "on", secrets=[BYPASS]
        )
        assert flag.exists()
        off = played(play_of("maintenance", **own, maintenance_state="disabled"), directory=tmp_path / "off")
        assert not flag.exists()
    for ended in (on, off):
        assert ended.of("Main | Switch maintenance and prove it on the user path").result["changed"]


class CeleryWorker(Program):
    """A real worker on a database of the broker."""

    name = "worker"

    def __init__(self, broker: str) -> None:
        super().__init__()
        (self.directory / "broker.url").write_text(broker)
        (self.directory / "jobs.py").write_text(JOBS)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-n", "w1@alone", "-P", "solo", "-l", "INFO"]

    def is_ready(self) -> bool:
        return " ready." in self.log()


def test_workers_status(redis_server: Redis, tmp_path: Path) -> None:
    password = str(redis_server.password)
    with CeleryWorker(redis_server.url(3)):
        ended = played(
            play_of("workers", workers_url=redis_server.url(3, with_password=False), workers_password=password),
            directory=tmp_path,
            secrets=[password],
        )
    told = ended.of("Main | Bring the workers to their state").result
    assert [(one["name"], one["queues"]) for one in told["workers"]] == [("w1@alone", ["celery"])]
    assert (told["changed"], told["waiting_by_task"]) == (False, {})


def test_services_status(tmp_path: Path) -> None:
    with Supervised() as app:
        ended = played(
            play_of("services", services_supervisor=app.server, services_names=["backend", "worker"]),
            directory=tmp_path,
            secrets=[app.password],
        )
    told = ended.of("Main | Bring the services to their state").result
    assert [(one["name"], one["state"]) for one in told["services"]] == [("backend", "stopped"), ("worker", "stopped")]
    assert (told["changed"], told["all_running"], told["all_stopped"]) == (False, False, True)


def test_migration_status_and_planned(postgres: Postgres, database: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "migrations" / "versions").mkdir(parents=True)
    (project / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (project / "migrations" / "env.py").write_text(ALEMBIC_ENV)
    (project / "migrations" / "versions" / "0001.py").write_text(textwrap.dedent(REVISION))
    own = {
        "migration_dsn": postgres.dsn(database, password=None),
        "migration_password": postgres.password,
        "migration_directory": str(project),
        "migration_command": [sys.executable, "-m", "alembic"],
    }
    told = {
        state: played(
            play_of("migration", **own, migration_state=state), directory=tmp_path / state, secrets=[postgres.password]
        ).of("Main | Bring the schema to its state").result
        for state in ("status", "planned")
    }  # fmt: skip
    assert told["status"]["migration"]["heads"] == ["0001"]
    assert [one["revision"] for one in told["planned"]["migration"]["pending"]] == ["0001"]
    assert told["planned"]["migration"]["rollback_kind"] == "downgrade"
    assert not [state for state, result in told.items() if result["changed"] and state == "status"]
    assert postgres.execute("select to_regclass('notes')", dbname=database) == [(None,)]


def test_smoke(http_server: HttpServer, tmp_path: Path) -> None:
    http_server.route("POST /login", Answer(200, {"token": "t-1"}))
    http_server.route(
        "/orders", lambda request: Answer(200 if request.headers.get("Authorization") == "Bearer t-1" else 401, [])
    )
    steps = [
        {"name": "log in", "secret": True, "capture": {"token": "$.token"},
         "request": {"method": "POST", "url": "/login", "json": {"name": "${user}", "password": "${password}"}}},
        {"name": "see orders", "request": {"url": "/orders", "bearer": "${token}"}},
    ]  # fmt: skip
    ended = played(
        play_of(
            "smoke",
            smoke_base_url=http_server.url,
            smoke_steps=steps,
            smoke_variables={"user": "anna"},
            smoke_secrets={"password": SMOKE_PASSWORD},
        ),
        directory=tmp_path,
        secrets=[SMOKE_PASSWORD],
    )
    assert ended.of("Main | Do what a user does").result["finding"]["status"] == "pass"
    assert json.loads(http_server.requests[0].body) == {"name": "anna", "password": SMOKE_PASSWORD}


def test_release_reads_a_record_that_is_still_empty(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    ended = played(
        play_of("release", release_system="shop", release_state_dir=str(state)),
        directory=tmp_path / "play",
    )
    told = ended.of("Main | Read the record, and print where the release stands").result
    assert not told["changed"]
    assert told.get("id") in (None, "")
    assert list(state.rglob("*.jsonl")) == []
