#!/usr/bin/env python3
"""The pipeline runner with everything it needs, on one machine, under one folder.

  stack.py up --dir DIR      start it: PostgreSQL, S3, proxy, runner; one pipeline has run
  stack.py down --dir DIR    end all of it; safe to repeat, and after a killed `up`

`up` writes DIR/facts.yml (addresses, paths) and DIR/secrets.yml (mode 0600), both Ansible vars files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import urllib.request
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embedded import artefact, certificates, folder, object_store, postgres, proxy, supervision
from embedded import layout as places
from embedded.folder import is_open, postgres_data, tool
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
NAME = "runner"
# what runs, and what goes live next: the same sources, since nothing here depends on what is new
RUNNING, NEXT = "1.0.0", "1.1.0"
SERVICES = ("postgres", "s3", "proxy")
BUCKETS = ("runner-logs", "runner-backups")
PACKAGES = ("boto3", "botocore", "cryptography", "fastapi", "jwt", "psycopg", "pydantic", "starlette", "uvicorn")
PAGE = "The pipeline runner is being updated and will be back soon."
#: What a request to port 80 is told.
TO_HTTPS = """
http://localhost:{http} {{
    bind 127.0.0.1
    redir https://localhost:{port}{{uri}} 308
}}
"""
CRON = "# m h dom mon dow user command\n3 1 * * * golive ansible-playbook {playbook} -e @{facts} -e @{secrets} -e @{system}\n"


@dataclass(frozen=True)
class Ports(places.Ports):
    http: int


@dataclass(frozen=True)
class Secrets(places.Secrets):
    encryption_key: str = field(default_factory=lambda: urlsafe_b64encode(token_bytes(32)).decode())
    oauth_client_secret: str = field(default_factory=lambda: f"geheim-oauth-{token_hex(20)}")


def settings(layout: Layout, ports: Ports, secrets: Secrets) -> dict[str, str]:
    return {
        "ENVIRONMENT": "production",
        "ENCRYPTION_KEY": secrets.encryption_key,
        "JWT_SECRET_KEY": secrets.jwt_secret_key,
        "DATABASE_URL": f"postgresql://{NAME}:{secrets.db_app_password}@127.0.0.1:{ports.postgres}/{NAME}",
        "CORS_ORIGINS": f"https://localhost:{ports.proxy}",
        "BASE_URL": f"https://localhost:{ports.proxy}",
        "GITHUB_CLIENT_ID": "Iv1.0123456789abcdef",
        "GITHUB_CLIENT_SECRET": secrets.oauth_client_secret,
        "INITIAL_ADMIN_EMAIL": "anna.beispiel@ablage-beispiel.de",
        "LOG_LEVEL": "INFO",
        "LOG_JSON": "true",
        "LOG_DIR": str(layout.app / "logs"),
        "LOG_RETENTION_DAYS": "30",
        "LOG_RETENTION_RUNS": "500",
        "LOG_MAX_SIZE_MB": "1",
        "MAX_CONCURRENT_RUNS": "2",
        "CONTAINER_TIMEOUT": "600",
        "MAX_REQUEST_BODY_MB": "1",
        "PIPELINES_DIR": str(layout.app / "pipelines"),
        "S3_BACKUP_ENABLED": "true",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports.s3}",
        "S3_BUCKET": BUCKETS[0],
        "S3_ACCESS_KEY": secrets.s3_access_key,
        "S3_SECRET_KEY": secrets.s3_secret_key,
    }


def write_env_file(layout: Layout, values: dict[str, str]) -> None:
    write_private(layout.env_file, "".join(f"{key}={value}\n" for key, value in values.items()))


def programs(layout: Layout, ports: Ports, cluster: postgres.Cluster) -> list[Program]:
    # the env file becomes the process's own environment, as Docker and systemd do it
    start = f'set -a; . "$RUNNER_ENV_FILE"; exec {INTERPRETER} runner.py {ports.backend}'
    return [
        postgres.program(cluster),
        object_store.program(layout, INTERPRETER),
        proxy.program(layout, tool("caddy")),
        Program("backend", ("/bin/sh", "-c", start), layout.current, stop_as_group=True, priority=100),
    ]


def build(layout: Layout, version: str) -> dict[str, str]:
    files = {path.name: path.read_bytes() for path in (HERE / "app").iterdir() if path.is_file()}
    return artefact.pack({**files, "VERSION": version.encode()}, layout.artefacts / f"{NAME}-{version}.tar.gz")


def ask(ports: Ports, path: str, *, token: str = "", method: str = "GET") -> Any:
    """One request to the runner itself. Raises OSError when it does not answer, or answers that it cannot."""
    request = urllib.request.Request(f"http://127.0.0.1:{ports.backend}{path}", method=method)  # our own
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def answers(ports: Ports, path: str, token: str = "", **wanted: str) -> bool:
    try:
        told = ask(ports, path, token=token)
    except OSError:
        return False
    return all(told[name] == value for name, value in wanted.items())


def facts(layout: Layout, ports: Ports, cluster: postgres.Cluster, made: dict[str, str]) -> dict[str, Any]:
    return {
        "runner_dir": str(layout.root),
        "runner_base_url": f"https://localhost:{ports.proxy}",
        "runner_http_url": f"http://localhost:{ports.http}",
        "runner_proxy_port": ports.proxy,
        "runner_backend_url": f"http://127.0.0.1:{ports.backend}",
        "runner_backend_port": ports.backend,
        "runner_public_address": "127.0.0.2",
        "runner_ca_file": str(layout.proxy / "ca.crt"),
        "runner_maintenance_flag": str(layout.maintenance_flag),
        "runner_oauth_client_id": "Iv1.0123456789abcdef",
        "runner_dsn": f"postgresql://{postgres.GOLIVE_ROLE}@127.0.0.1:{ports.postgres}/{NAME}",
        "runner_superuser_dsn": f"postgresql://{postgres.SUPERUSER}@127.0.0.1:{ports.postgres}/{NAME}",
        "runner_postgres_bin_dir": str(cluster.binaries),
        "runner_s3_endpoint": f"http://127.0.0.1:{ports.s3}",
        "runner_log_bucket": BUCKETS[0],
        "runner_backup_bucket": BUCKETS[1],
        "runner_supervisor_socket": str(layout.supervisor_socket),
        "runner_supervisorctl": tool("supervisorctl"),
        "runner_env_file": str(layout.env_file),
        "runner_current": str(layout.current),
        "runner_releases_dir": str(layout.releases),
        "runner_log_file": str(layout.log / "backend.log"),
        "runner_manifests": str(layout.app / "k8s"),
        "runner_pipelines": str(layout.app / "pipelines"),
        "runner_schedule": str(layout.app / "backup.cron"),
        "runner_artefact": made,
    }


def up(layout: Layout, cert_days: int) -> dict[str, Any]:
    import jwt

    began = time.monotonic()
    folder.clear(layout)
    for path in (layout.run, layout.log, layout.s3, layout.proxy, layout.app, layout.artefacts):
        path.mkdir(mode=0o700)
    layout.postgres.mkdir(mode=0o711)
    layout.postgres.chmod(0o711)
    layout.releases.mkdir()
    for name in ("pipelines", "k8s"):
        shutil.copytree(HERE / name, layout.app / name)
    ports, secrets = Ports(*free_ports(5)), Secrets()
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
    token = jwt.encode({"sub": "smoke"}, secrets.jwt_secret_key, algorithm="HS256")
    write_private(layout.secrets_file, yaml.safe_dump({**vars_of("runner_", secrets), "runner_smoke_token": token}))
    with ThreadPoolExecutor(3) as pool:
        tasks = [
            pool.submit(postgres.initialise, cluster, port=ports.postgres, password=secrets.db_superuser_password),
            pool.submit(certificates.issue, layout.proxy, organisation="Pipeline runner", days=cert_days),
            pool.submit(folder.compile_packages, PACKAGES),
        ]
        object_store.write_config(
            layout.s3, rclone=tool("rclone"), control_socket=layout.rclone_socket, port=ports.s3,
            keys={secrets.s3_access_key: secrets.s3_secret_key, secrets.backup_access_key: secrets.backup_secret_key},
            buckets=BUCKETS, read_only=None,
        )  # fmt: skip
        proxy.write_config(
            layout, ports, bypass_token=secrets.bypass_token, page_json=json.dumps({"detail": PAGE}),
            page_html=f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Maintenance</title><p>{PAGE}</p></html>',
            more=TO_HTTPS.format(http=ports.http, port=ports.proxy),
        )  # fmt: skip
        write_env_file(layout, settings(layout, ports, secrets))
        artefact.make_current(layout, Path(build(layout, RUNNING)["path"]), RUNNING)
        made = build(layout, NEXT)
        for task in tasks:
            task.result()
    supervision.write_config(layout, programs(layout, ports, cluster))
    supervision.start_supervisord(layout)
    supervision.start(layout, *SERVICES)
    wait_until(
        lambda: postgres.is_ready(ports.postgres, secrets), "PostgreSQL", seconds=30, layout=layout, program="postgres"
    )
    postgres.create_roles_and_database(NAME, ports.postgres, secrets, comment="Pipeline runs")
    supervision.start(layout, "backend")
    wait_until(lambda: is_open(ports.s3), "the S3 server", seconds=30, layout=layout, program="s3")
    wait_until(lambda: is_open(ports.proxy), "the proxy", seconds=30, layout=layout, program="proxy")
    wait_until(lambda: answers(ports, "/ready"), "the runner", seconds=60, layout=layout, program="backend")
    run = ask(ports, "/api/pipelines/smoke/runs", token=token, method="POST")["id"]
    wait_until(lambda: answers(ports, f"/api/runs/{run}", token, state="SUCCESS"), "the first run", seconds=60)
    known = facts(layout, ports, cluster, made)
    layout.facts_file.write_text(yaml.safe_dump(known), encoding="utf-8")
    (layout.app / "backup.cron").write_text(
        CRON.format(
            playbook=HERE / "backup.yml",
            facts=layout.facts_file,
            secrets=layout.secrets_file,
            system=HERE / "system.yml",
        ),
        encoding="utf-8",
    )
    write_record(layout, is_up=True)
    return {
        "base_url": known["runner_base_url"], "facts": str(layout.facts_file), "secrets": str(layout.secrets_file),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def down(layout: Layout) -> dict[str, Any]:
    if read_record(layout) is None:
        return {"down": True, "ended_by_pid": []}
    ended = supervision.end_all(layout, postgres_data(layout), seconds=75)
    write_record(layout, is_up=False)
    return {"down": True, "ended_by_pid": ended}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down"):
        command = commands.add_parser(name)
        command.add_argument("--dir", type=Path, required=True)
        if name == "up":
            command.add_argument("--cert-days", type=int, default=90)
    given = parser.parse_args()
    layout = Layout(given.dir.resolve(), NAME)
    try:
        folder.prepare(layout)
        with folder.only_one_up(layout):
            if given.command == "down":
                print(json.dumps(down(layout)))
                return 0
            try:
                print(json.dumps(up(layout, given.cert_days)))
            except BaseException:
                if (read_record(layout) or {}).get("up_pid") == os.getpid():
                    supervision.end_all(layout, postgres_data(layout), seconds=30)
                raise
    except StackError as error:
        print(f"stack.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
