"""Where everything of one stack lies, and which ports and secrets it got."""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# below the ephemeral range, so that no outgoing connection takes a port between choosing and listening
PORT_RANGE = range(15000, 32000)
SOCKET_PATH_LIMIT = 100
MARK = "EXAMPLE_STACK_DIR"
# not resolved: the interpreter of a virtual environment is a link, and its place is what makes the environment
INTERPRETER = Path(os.path.abspath(sys.executable))


class StackError(RuntimeError):
    """The stack cannot be started or stopped; the message names the way out."""


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nothing listens on, held together so that none is chosen twice."""
    held: list[socket.socket] = []
    try:
        for port in random.SystemRandom().sample(PORT_RANGE, len(PORT_RANGE)):
            if len(held) == count:
                break
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                candidate.close()
                continue
            held.append(candidate)
        if len(held) < count:
            raise StackError(f"only {len(held)} of {count} ports are free on 127.0.0.1")
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


@dataclass(frozen=True)
class Ports:
    postgres: int
    s3: int
    proxy: int
    backend: int


@dataclass(frozen=True)
class Secrets:
    """Random per `up`; each begins with a word by which a leak is recognised."""

    db_superuser_password: str = field(default_factory=lambda: f"geheim-pgroot-{secrets.token_hex(16)}")
    db_app_password: str = field(default_factory=lambda: f"geheim-pgapp-{secrets.token_hex(16)}")
    db_golive_password: str = field(default_factory=lambda: f"geheim-pggolive-{secrets.token_hex(16)}")
    s3_access_key: str = field(default_factory=lambda: f"EXAMPLE{secrets.token_hex(8).upper()}")
    s3_secret_key: str = field(default_factory=lambda: f"geheim-s3-{secrets.token_hex(16)}")
    backup_access_key: str = field(default_factory=lambda: f"BACKUP{secrets.token_hex(8).upper()}")
    backup_secret_key: str = field(default_factory=lambda: f"geheim-s3backup-{secrets.token_hex(16)}")
    jwt_secret_key: str = field(default_factory=lambda: f"geheim-jwt-{secrets.token_hex(24)}")
    bypass_token: str = field(default_factory=lambda: f"geheim-bypass-{secrets.token_hex(16)}")


@dataclass(frozen=True)
class Layout:
    """The name is that of the system, of its env file, its database and the database's owner."""

    root: Path
    name: str

    @property
    def record(self) -> Path:
        return self.root / "stack.json"

    @property
    def secrets_file(self) -> Path:
        return self.root / "secrets.yml"

    @property
    def facts_file(self) -> Path:
        return self.root / "facts.yml"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def supervisor_config(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def rclone_socket(self) -> Path:
        return self.run / "rclone.sock"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def s3(self) -> Path:
        return self.root / "s3"

    @property
    def proxy(self) -> Path:
        return self.root / "proxy"

    @property
    def maintenance_flag(self) -> Path:
        return self.proxy / "maintenance.flag"

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def env_file(self) -> Path:
        return self.app / f"{self.name}.env"

    @property
    def current(self) -> Path:
        return self.app / "current"

    @property
    def releases(self) -> Path:
        return self.app / "releases"

    @property
    def worker_hold(self) -> Path:
        return self.app / "worker.hold"

    @property
    def artefacts(self) -> Path:
        return self.root / "artefacts"

    @property
    def ready(self) -> Path:
        return self.root / "ready"

    def parts(self) -> list[Path]:
        """Everything that belongs to a stack, and nothing that a user put beside it."""
        return [
            self.run, self.log, self.postgres, self.redis, self.s3, self.proxy, self.app, self.artefacts,
            self.ready, self.secrets_file, self.facts_file, self.record,
        ]  # fmt: skip

    def check_socket_length(self) -> None:
        longest = max(len(os.fsencode(path)) for path in (self.supervisor_socket, self.rclone_socket))
        if longest > SOCKET_PATH_LIMIT:
            raise StackError(
                f"{self.root} is too long: its unix sockets would take {longest} bytes of {SOCKET_PATH_LIMIT}; "
                "choose a shorter --dir"
            )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, and never exists any other way."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def write_record(layout: Layout, **values: Any) -> None:
    """What `down` must know, written before it exists."""
    record = read_record(layout) or {}
    record.update(values)
    temporary = layout.record.with_suffix(".new")
    write_private(temporary, json.dumps(record, indent=2, default=str) + "\n")
    temporary.replace(layout.record)


def read_record(layout: Layout) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(layout.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def vars_of(prefix: str, values: Secrets) -> dict[str, str]:
    return {f"{prefix}{name}": value for name, value in asdict(values).items()}
