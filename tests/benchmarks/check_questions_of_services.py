# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions of ``check_overhead`` about servers, each over a real one that ends with its row."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import sys
import typing as t
from pathlib import Path

from tests.benchmarks.check_question import Asker, PartMissing, Question, told, written
from tests.benchmarks.playbook_timing import Playbooks, play, quick_http
from tests.integration.alembic_projects import NOTES, release
from tests.integration.celery_site import Site
from tests.servers import (
    HOST,
    Answer,
    DemoCa,
    Docker,
    HttpServer,
    MotoS3,
    Postgres,
    Prometheus,
    Redis,
    Request,
    TlsServer,
    await_true,
    runs_as_root,
)

COMMIT = "8c2f1e0d9b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e"
REVISION = "org.opencontainers.image.revision"
HEALTHY = {"Test": ["CMD", "/program", "exit", "0"], "Interval": 500_000_000}
TOKEN = "glsa_of_the_benchmark"


def of_a_backup(directory: Path, stack: contextlib.ExitStack) -> Question:
    """Is the newest one of today, proven by a restore, and as large as its manifest says?"""
    server = stack.enter_context(Postgres())
    place = directory / "backups"
    place.mkdir(mode=0o700)
    database = server.create_database("bench")
    login = {"dsn": server.dsn(database, password=None), "password": server.password}
    options = {**login, "destination": f"file://{place}", "pg_bindir": str(server.programs)}
    Playbooks(directory).seconds([play([{"name": "Back up", "opsready.golive.pg_backup": options}])])
    (found,) = told("ansible.builtin.find", {"paths": [str(place / database)], "patterns": ["*.manifest.json"]})
    newest = "{{ (answer.files | sort(attribute='path') | last).path }}"
    (read,) = told("ansible.builtin.slurp", {"src": newest}, register="read")
    archive = "{{ read.source | regex_replace('[.]manifest[.]json$', '') }}"
    looked_at, judged = told(
        "ansible.builtin.stat",
        {"path": archive, "get_checksum": False},
        "(now(utc=true) - (manifest.created[:19] | to_datetime('%Y-%m-%dT%H:%M:%S'))).total_seconds() < 26 * 3600",
        "manifest.verified.ok and manifest.verified.level == 'restore'",
        "answer.stat.size == manifest.archive.size",
    )
    judged["vars"] = {"manifest": "{{ read.content | b64decode | from_json }}"}
    asked = {"destination": options["destination"], "database": database, "max_age": "26h", "min_size_share": 0}
    return Question(asked, found, read, looked_at, judged)


def of_workers(directory: Path, stack: contextlib.ExitStack) -> Question:
    """Neither side waits once the one worker has replied."""
    site = Site(stack.enter_context(Redis()), directory, 3)
    stack.callback(site.close)
    worker = site.worker()
    url = site.server.url(site.number)
    inspect = [sys.executable, "-m", "celery", "--broker", url, "inspect", "--destination", worker.name, "--json"]
    holds = f"(answer.stdout | from_json)['{worker.name}'] | map(attribute='name') | list == ['celery']"
    return Question(
        {"url": url, "workers": [worker.name], "expected_workers": 1, "queues": [{"name": "celery"}]},
        *told("ansible.builtin.command", {"argv": [*inspect, "active_queues"]}, holds),
    )


def _engine(stack: contextlib.ExitStack) -> Docker:
    """Raises PartMissing."""
    missing = [name for name in ("dockerd", "gcc") if shutil.which(name) is None]
    if missing or not runs_as_root():
        raise PartMissing(f"there is no {' and no '.join(missing)}" if missing else "dockerd needs root")
    return t.cast(Docker, stack.enter_context(Docker()))


def of_a_container(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    engine = _engine(stack)
    engine.run("backend", engine.image("archive"), Healthcheck=HEALTHY)
    engine.await_healthy("backend")
    state = "answer.container.State"
    return Question(
        {"url": engine.url, "containers": ["backend"]},
        *told(
            "community.docker.docker_container_info",
            {"docker_host": engine.url, "name": "backend"},
            f"{state}.Running and {state}.Health.Status == 'healthy' and answer.container.RestartCount == 0",
        ),
    )


def of_an_image(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    engine = _engine(stack)
    engine.image("archive", changes=['CMD ["/program"]', f"LABEL {REVISION}={COMMIT}"])
    return Question(
        {"url": engine.url, "images": ["archive:1"], "labels": {REVISION: COMMIT}},
        *told(
            "community.docker.docker_image_info",
            {"docker_host": engine.url, "name": ["archive:1"]},
            f"answer.images[0].Config.Labels['{REVISION}'] == '{COMMIT}'",
        ),
    )


def of_alert_rules(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    def rules(unused_request: Request) -> Answer:
        evaluated = dt.datetime.now(dt.timezone.utc).isoformat()
        rule = {
            "name": "Queue grows",
            "type": "alerting",
            "state": "inactive",
            "health": "ok",
            "lastEvaluation": evaluated,
        }
        group = {"name": "archive", "file": "Ops", "interval": 60, "rules": [rule]}
        return Answer(200, {"status": "success", "data": {"groups": [group]}})

    path = "/api/prometheus/grafana/api/v1/rules"
    health = Answer(200, {"commit": "abc", "database": "ok", "version": "11.3.0"})
    grafana = stack.enter_context(HttpServer({"/api/health": health, path: rules}))
    listed = "answer.json.data.groups | map(attribute='rules') | flatten"
    return Question(
        {"url": grafana.url, "token": TOKEN, "alert_rules": {"none_firing": True, "none_in_error": True}},
        *told(
            "ansible.builtin.uri",
            {"url": grafana.url + path, "headers": {"Authorization": f"Bearer {TOKEN}"}},
            f"{listed} | length > 0",
            f"{listed} | selectattr('state', 'equalto', 'firing') | length == 0",
            f"{listed} | rejectattr('health', 'equalto', 'ok') | length == 0",
        ),
        stand_in="the answers that Grafana documents, from an HTTP server: Grafana is in no package registry",
    )


def of_a_page(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    web = stack.enter_context(quick_http())
    return Question({"url": web.url}, *told("ansible.builtin.uri", {"url": web.url}))


def of_a_migration(directory: Path, stack: contextlib.ExitStack) -> Question:
    """Is the database at the head?"""
    server = stack.enter_context(Postgres())
    database = server.create_database("bench")
    server.execute("create table alembic_version (version_num varchar(32) primary key)", dbname=database)
    server.execute("insert into alembic_version values ('0001')", dbname=database)
    project = release(directory / "2.0.0", ("0001", None, NOTES))
    url = server.dsn(database).replace("postgresql://", "postgresql+psycopg://")
    alembic = [sys.executable, "-m", "alembic"]
    asked = {"dsn": server.dsn(database, password=None), "password": server.password, "directory": str(project)}
    return Question(
        {**asked, "command": alembic, "pending": "none"},
        *told(
            "ansible.builtin.command",
            {"argv": [*alembic, "current"], "chdir": str(project)},
            "answer.stdout_lines == ['0001 (head)']",
            environment={"DATABASE_URL": url},
        ),
    )


def of_a_port(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    port = stack.enter_context(quick_http()).port
    return Question(
        {"ports": [{"host": HOST, "ports": [port]}]},
        *told("ansible.builtin.wait_for", {"host": HOST, "port": port, "timeout": 5}),
    )


def of_a_primary(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    server = stack.enter_context(Postgres())
    login = {"login_host": server.host, "login_port": server.port, "login_user": server.user}
    query = {"login_db": "postgres", "query": "select pg_is_in_recovery() as standby"}
    return Question(
        {"dsn": server.dsn("postgres", password=None), "password": server.password, "recovery": "primary"},
        *told(
            "community.postgresql.postgresql_query",
            {**login, "login_password": server.password, **query},
            "not answer.query_result[0].standby",
        ),
    )


def of_targets(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    if shutil.which(Prometheus.program) is None:
        raise PartMissing("there is no prometheus (Debian package prometheus)")
    application = stack.enter_context(HttpServer({"/metrics": Answer(200, "queue_length 5\n")}))
    job = {"static_configs": [{"targets": [f"{HOST}:{application.port}"]}]}
    server = stack.enter_context(Prometheus(jobs={"app": job}, rules={}))

    def scraped() -> bool:
        return [one["health"] for one in server.api("targets")["activeTargets"]] == ["up"]

    await_true(scraped, seconds=60, what="the first scrape")
    targets = "answer.json.data.activeTargets"
    return Question(
        {"url": server.url, "all_up": True},
        *told(
            "ansible.builtin.uri",
            {"url": f"{server.url}/api/v1/targets?state=active"},
            f"{targets} | length > 0",
            f"{targets} | rejectattr('health', 'equalto', 'up') | length == 0",
        ),
    )


def of_a_cache(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    server = stack.enter_context(Redis())
    return Question(
        {"url": server.url(), "use": "cache"},
        *told(
            "community.general.redis_info",
            {"login_host": HOST, "login_port": server.port},
            "answer.info.role == 'master'",
        ),
    )


def of_a_bucket(unused_directory: Path, stack: contextlib.ExitStack) -> Question:
    """Does it take an object, give it back and delete it?"""
    store = stack.enter_context(MotoS3())
    bucket = store.create_bucket()
    login = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
    canary = {**login, "region": store.region, "bucket": bucket, "object": "canary"}
    module = "amazon.aws.s3_object"
    return Question(
        {**login, "buckets": [bucket], "canary": True},
        *told(module, {**canary, "mode": "put", "content": "tweet"}),
        *told(module, {**canary, "mode": "getstr"}, "answer.contents == 'tweet'"),
        *told(module, {**canary, "mode": "delobj"}),
    )


def of_a_certificate(directory: Path, stack: contextlib.ExitStack) -> Question:
    authority = DemoCa()
    port = stack.enter_context(TlsServer(authority.issue(days=90))).port
    trusted = written(directory / "ca.pem", authority.pem)
    return Question(
        {"endpoints": [{"host": HOST, "port": port}], "ca_file": trusted},
        *told(
            "community.crypto.get_certificate", {"host": HOST, "port": port, "ca_cert": trusted}, "not answer.expired"
        ),
    )


QUESTIONS: t.Mapping[str, Asker] = {
    "check_backup": of_a_backup,
    "check_celery": of_workers,
    "check_container": of_a_container,
    "check_grafana": of_alert_rules,
    "check_http": of_a_page,
    "check_image": of_an_image,
    "check_migration": of_a_migration,
    "check_net": of_a_port,
    "check_postgres": of_a_primary,
    "check_prometheus": of_targets,
    "check_redis": of_a_cache,
    "check_s3": of_a_bucket,
    "check_tls": of_a_certificate,
}
