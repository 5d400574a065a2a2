"""A small pipeline runner: settings by environment, a login that begins at an OAuth provider, health, and runs with logs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import boto3
import jwt
import psycopg
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.fernet import Fernet
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, RedirectResponse
from psycopg.rows import dict_row
from starlette.responses import JSONResponse, Response

VERSION = (Path(__file__).parent / "VERSION").read_text(encoding="utf-8")
PROVIDERS = {
    "GITHUB": "https://github.com/login/oauth/authorize",
    "GOOGLE": "https://accounts.google.com/o/oauth2/v2/auth",
}
TABLE = """
create table if not exists runs (
    id uuid primary key, pipeline text not null, state text not null,
    submitted timestamptz not null default now(), started timestamptz, ended timestamptz
)
"""
MEGABYTE = 1_000_000
log = logging.getLogger("runner")


def setting(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


def is_set(name: str) -> bool:
    return setting(name).lower() == "true"


# ── logging ──


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stdout() -> None:
    handler = logging.StreamHandler(sys.stdout)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines() if is_set("LOG_JSON") else plain)
    logging.basicConfig(level=setting("LOG_LEVEL", "INFO"), handlers=[handler])


# ── runs ──


def database() -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(setting("DATABASE_URL"), row_factory=dict_row, connect_timeout=3, autocommit=True)


def bucket() -> Any:
    store = boto3.resource(
        "s3",
        endpoint_url=setting("S3_ENDPOINT_URL"),
        region_name="us-east-1",
        aws_access_key_id=setting("S3_ACCESS_KEY"),
        aws_secret_access_key=setting("S3_SECRET_KEY"),
    )
    return store.Bucket(setting("S3_BUCKET"))


class Runner:
    """Runs pipelines, at most MAX_CONCURRENT_RUNS at once. A pipeline is a JSON list of commands in PIPELINES_DIR."""

    def __init__(self) -> None:
        self.pipelines = Path(setting("PIPELINES_DIR", "pipelines"))
        self.logs = Path(setting("LOG_DIR", "logs"))
        self.pool = ThreadPoolExecutor(int(setting("MAX_CONCURRENT_RUNS", "1")))

    def steps(self, pipeline: str) -> list[list[str]]:
        path = self.pipelines / f"{pipeline}.json"
        if not pipeline.isalnum() or not path.is_file():
            raise HTTPException(404, "no such pipeline")
        steps: list[list[str]] = json.loads(path.read_text(encoding="utf-8"))
        return steps

    def log_of(self, identity: uuid.UUID) -> Path:
        return self.logs / f"{identity}.log"

    def submit(self, pipeline: str) -> uuid.UUID:
        steps, identity = self.steps(pipeline), uuid.uuid4()
        with database() as connection:
            connection.execute("insert into runs (id, pipeline, state) values (%s, %s, 'QUEUED')", (identity, pipeline))
        self.pool.submit(self.run, identity, steps)
        return identity

    def run(self, identity: uuid.UUID, steps: list[list[str]]) -> None:
        state = "FAILED"
        try:
            with database() as connection:
                connection.execute("update runs set state = 'RUNNING', started = now() where id = %s", (identity,))
            state = self.work(identity, steps)
            if is_set("S3_BACKUP_ENABLED"):
                bucket().upload_file(str(self.log_of(identity)), f"logs/{identity}.log")
        except (psycopg.Error, BotoCoreError, ClientError, OSError):
            log.exception("run %s", identity)
        finally:
            with database() as connection:
                connection.execute("update runs set state = %s, ended = now() where id = %s", (state, identity))
            log.info("run %s ended: %s", identity, state)
            self.remove_old_logs()

    def work(self, identity: uuid.UUID, steps: list[list[str]]) -> str:
        # like the app that this stands for: without CONTAINER_TIMEOUT there is none
        deadline = time.monotonic() + float(setting("CONTAINER_TIMEOUT", "inf"))
        room = int(float(setting("LOG_MAX_SIZE_MB", "10")) * MEGABYTE)
        with self.log_of(identity).open("wb") as written:
            for number, command in enumerate(steps, start=1):
                written.write(f"step {number} of {len(steps)}: {command[0]}\n".encode())
                left = deadline - time.monotonic()
                try:
                    ended = subprocess.run(
                        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        env={"PATH": "/usr/bin:/bin"}, timeout=None if left == float("inf") else max(left, 0), check=False,
                    )  # fmt: skip
                except subprocess.TimeoutExpired:
                    written.write(b"ERROR: out of time\n")
                    return "FAILED"
                written.write(ended.stdout[: max(0, room - written.tell())])
                if ended.returncode != 0:
                    written.write(f"ERROR: exit code {ended.returncode}\n".encode())
                    return "FAILED"
        return "SUCCESS"

    def remove_old_logs(self) -> None:
        newest_first = sorted(self.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        oldest = time.time() - float(setting("LOG_RETENTION_DAYS", "inf")) * 86400
        kept = float(setting("LOG_RETENTION_RUNS", "inf"))
        for position, path in enumerate(newest_first):
            if position >= kept or path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


# ── the interface ──


class BodyLimit:
    """Refuses a body above MAX_REQUEST_BODY_MB by its stated length, and one that states none."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.limit = float(setting("MAX_REQUEST_BODY_MB", "inf")) * MEGABYTE

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        app: Callable[..., Awaitable[None]] = self.app
        if b"transfer-encoding" in headers:
            app = JSONResponse({"detail": "length required"}, 411)
        elif float(headers.get(b"content-length", b"0")) > self.limit:
            app = JSONResponse({"detail": "too large"}, 413)
        await app(scope, receive, send)


app = FastAPI(title="Pipeline runner", version=VERSION)
app.add_middleware(BodyLimit)
app.add_middleware(
    CORSMiddleware,
    allow_origins=[origin.strip() for origin in setting("CORS_ORIGINS").split(",") if origin.strip()],
    allow_methods=["GET", "POST"],
    allow_headers=["Authorization", "Content-Type"],
)
runner = Runner()


def user(authorization: Annotated[str, Header()] = "") -> str:
    try:
        told = jwt.decode(authorization.removeprefix("Bearer "), setting("JWT_SECRET_KEY"), algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "log in first") from None
    return str(told["sub"])


User = Annotated[str, Depends(user)]


@app.get("/health")
@app.get("/healthz")
def alive() -> dict[str, str]:
    return {"status": "ok", "version": VERSION}


def ask_database() -> None:
    with database() as connection:
        connection.execute("select 1")


def ask_executor() -> None:
    if not os.access(runner.pipelines, os.R_OK | os.X_OK):
        raise OSError("the pipelines cannot be read")


@app.get("/ready")
def ready() -> Response:
    states = {}
    for name, ask in (("database", ask_database), ("executor", ask_executor)):
        try:
            ask()
            states[name] = "up"
        except (psycopg.Error, OSError) as error:
            log.warning("%s: %s", name, type(error).__name__)
            states[name] = "down"
    good = set(states.values()) == {"up"}
    body = {"status": "ready" if good else "not ready", "version": VERSION, "dependencies": states}
    return JSONResponse(body, 200 if good else 503)


@app.get("/auth/login")
def login() -> Response:
    """To the first provider that is configured, with a state that only we can have made."""
    for name, url in PROVIDERS.items():
        if setting(f"{name}_CLIENT_ID") and setting(f"{name}_CLIENT_SECRET"):
            query = {
                "client_id": setting(f"{name}_CLIENT_ID"),
                "redirect_uri": f"{setting('BASE_URL')}/auth/callback",
                "response_type": "code",
                "state": Fernet(setting("ENCRYPTION_KEY")).encrypt(os.urandom(16)).decode(),
            }
            return RedirectResponse(f"{url}?{urlencode(query)}", 302)
    raise HTTPException(503, "no provider is configured")


@app.post("/api/pipelines/{pipeline}/runs", status_code=202)
def submit(pipeline: str, _user: User) -> dict[str, str]:
    return {"id": str(runner.submit(pipeline)), "state": "QUEUED"}


def found(where: str, *values: Any) -> dict[str, Any]:
    with database() as connection:
        row = connection.execute(f"select * from runs {where}", values).fetchone()
    if row is None:
        raise HTTPException(404, "no such run")
    seconds = (row["ended"] - row["submitted"]).total_seconds() if row["ended"] else None
    return {**row, "seconds": seconds}


# "latest" before an id, or it would be taken for one
@app.get("/api/runs/latest")
def latest(_user: User) -> dict[str, Any]:
    return found("order by submitted desc limit 1")


@app.get("/api/runs/latest/logs", response_class=PlainTextResponse)
def latest_logs(_user: User) -> str:
    return logs(found("order by submitted desc limit 1")["id"], _user)


@app.get("/api/runs/{identity}")
def state(identity: uuid.UUID, _user: User) -> dict[str, Any]:
    return found("where id = %s", identity)


@app.get("/api/runs/{identity}/logs", response_class=PlainTextResponse)
def logs(identity: uuid.UUID, _user: User) -> str:
    try:
        return runner.log_of(identity).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise HTTPException(404, "no such log") from None


def main() -> None:
    log_to_stdout()
    with database() as connection:
        connection.execute(TABLE)
    runner.logs.mkdir(parents=True, exist_ok=True)
    # boto3's first client takes a second; the first run should not wait for it
    threading.Thread(target=bucket, daemon=True).start()
    uvicorn.run(app, host=setting("HOST", "127.0.0.1"), port=int(sys.argv[1]), log_config=None, server_header=False)


if __name__ == "__main__":
    main()
