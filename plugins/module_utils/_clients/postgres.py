# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to PostgreSQL: every wait ends at the deadline, every failure is one of our errors, without the query.

libpq's connect_timeout knows whole seconds from two upwards, and nothing in it ends a query on a server that stopped
answering. So connecting happens in a thread that is waited for, and a watchdog shuts the socket down at the deadline.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import socket
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import clean_environment
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

if t.TYPE_CHECKING:
    import psycopg

#: PostgreSQL cuts identifiers and application names here, without an error.
NAME_BYTES = 63

_DRIVER = re.compile(r"^(?:postgres|postgresql)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
_SECRET_WORDS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_REFUSED_LOGIN = ("password authentication failed", "no password supplied", "pg_hba.conf", "authentication failed")

Row = tuple[t.Any, ...]


def normalised(dsn: str) -> dict[str, str]:
    """A DSN as libpq's keywords. SQLAlchemy's ``postgresql+driver://`` and asyncpg's ``ssl=`` are understood.

    Raises BadInput when it cannot be read, and when it holds a password: option values are printed at -vvv.
    """
    psycopg = require("psycopg")
    text = _DRIVER.sub("postgresql://", dsn.strip())
    if text.startswith("postgresql://"):
        text = re.sub(r"(?<=[?&])ssl=", "sslmode=", text)
    if not text:
        raise BadInput("dsn is empty.", remedy="Write it as postgresql://user@host:port/database.")
    try:
        parts = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(text).items() if value is not None}
    except psycopg.ProgrammingError:  # its text repeats the DSN, which may hold a password
        raise BadInput("dsn cannot be read.", remedy="Write it as postgresql://user@host:port/database.")
    for word in _SECRET_WORDS:
        if word in parts:
            raise BadInput(f"dsn holds a {word}, and option values are printed at -vvv.", remedy="Pass it as password.")
    return parts


def described(dsn: str, dbname: str | None = None) -> str:
    """``ablage at 127.0.0.1:5432 as golive``, for messages."""
    parts = normalised(dsn)
    host = parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "the local socket"
    port = parts.get("port") or os.environ.get("PGPORT") or "5432"
    user = parts.get("user") or os.environ.get("PGUSER")
    return f"{dbname or database_of(dsn)} at {host}:{port}" + (f" as {user}" if user else "")


def quoted(name: str) -> str:
    """A name as SQL that somebody is to run writes it."""
    return '"' + name.replace('"', '""') + '"'


def database_of(dsn: str) -> str:
    """The name of the database that a DSN means: named, or libpq's default (PGDATABASE, then the user's name)."""
    parts = normalised(dsn)
    name = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or os.environ.get("PGUSER")
    if not name:
        raise BadInput("dsn names no database.", remedy="Write it as postgresql://user@host:port/database.")
    return name


def with_database(dsn: str, dbname: str) -> str:
    """The same DSN for another database, in libpq's keyword form."""
    psycopg = require("psycopg")
    return str(psycopg.conninfo.make_conninfo(**{**normalised(dsn), "dbname": dbname}))


def libpq_options(settings: t.Mapping[str, t.Any], existing: str = "") -> str:
    """libpq's ``options``: ``-c name=value`` each; blanks and backslashes in values are escaped."""
    words = [existing] if existing else []
    for name, value in settings.items():
        escaped = re.sub(r"([\\\s])", r"\\\1", str(value))
        words.append(f"-c {name}={escaped}")
    return " ".join(words)


def program_environment(
    dsn: str,
    dbname: str | None = None,
    *,
    application_name: str = "opsready",
    settings: t.Mapping[str, t.Any] | None = None,
) -> dict[str, str]:
    """The environment of a libpq program (pg_dump, alembic): the DSN as PG* variables, and never a password.

    ``settings`` become startup options, which a later RESET returns to. PGDATABASE is taken literally, unlike a
    ``-d`` argument, so no name can be mistaken for a connection string.
    """
    psycopg = require("psycopg")
    parts = normalised(dsn)
    parts["dbname"] = dbname or database_of(dsn)
    parts["application_name"] = application_name[:NAME_BYTES]
    options = libpq_options(settings or {}, parts.pop("options", ""))
    variables = {"PGOPTIONS": options} if options else {}
    for option in psycopg.pq.Conninfo.get_defaults():
        keyword = option.keyword.decode()
        if option.envvar is None or keyword in ("options", "passfile", *_SECRET_WORDS):
            continue
        variable = option.envvar.decode()
        given = parts.get(keyword) or os.environ.get(variable)
        if given:
            variables[variable] = given
    if "passfile" in parts or "PGPASSFILE" in os.environ:
        variables["PGPASSFILE"] = parts.get("passfile") or os.environ["PGPASSFILE"]
    return clean_environment(variables)


def connect(
    dsn: str,
    *,
    password: str | None,
    deadline: Deadline,
    application_name: str = "opsready",
    dbname: str | None = None,
    autocommit: bool = True,
    settings: t.Mapping[str, t.Any] | None = None,
) -> psycopg.Connection[Row]:
    """A connection that no wait on it outlives the deadline.

    ``settings`` are server settings given at startup (``{"lock_timeout": "3s"}``); statement_timeout is the deadline's.
    Who gives some needs a session of the server's, and is refused one of a pooler's: it drops them, or hands them to the
    next client. Raises BadInput, MissingLibrary, Unreachable, TimedOut, Denied.
    """
    psycopg = require("psycopg")
    parts: dict[str, t.Any] = normalised(dsn)
    where = described(dsn, dbname)
    left = deadline.require(f"Connecting to {where}")
    startup = {"statement_timeout": math.ceil(left * 1000), **(settings or {})}
    arguments = {
        **parts,
        "dbname": dbname or database_of(dsn),
        "application_name": application_name[:NAME_BYTES],
        "connect_timeout": max(2, math.ceil(left)),
        "options": libpq_options(startup, parts.get("options", "")),
    }
    if password is not None:
        arguments["password"] = password
    try:
        try:
            made = _connected(arguments, autocommit, deadline, where)
        except psycopg.OperationalError as problem:
            # PgBouncer refuses startup options unless told to ignore them; the watchdog still bounds every wait.
            if "unsupported startup parameter" not in str(problem):
                raise
            if settings:
                raise _behind_a_pooler(where)
            return _connected({**arguments, "options": parts.get("options", "")}, autocommit, deadline, where)
        if settings and not _is_direct(made):
            made.close()
            raise _behind_a_pooler(where)
        return made
    except psycopg.Error as problem:
        raise _connection_error(problem, where, deadline)


def _is_direct(connection: psycopg.Connection[Row]) -> bool:
    """Whether the process that greeted us is the one that answers: a pooler makes up a process id of its own."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if not connection.autocommit:
        connection.rollback()  # a snapshot is set before the first query of a transaction
    return row is not None and row[0] == connection.info.backend_pid


def _behind_a_pooler(where: str) -> BadInput:
    return BadInput(
        f"A connection pooler stands before PostgreSQL ({where}), and this needs a session of the server's own: locks, "
        "settings and the snapshot belong to one.",
        remedy="Name the server's own host and port in dsn.",
    )


def _connected(
    arguments: dict[str, t.Any], autocommit: bool, deadline: Deadline, where: str
) -> psycopg.Connection[Row]:
    outcome: list[t.Any] = []
    abandoned = threading.Event()
    guarded = _guarded_class()

    def attempt() -> None:
        try:
            made = guarded.connect(autocommit=autocommit, **arguments)
        except Exception as problem:
            outcome.append(problem)
            return
        outcome.append(made)
        if abandoned.is_set():
            made.close()

    thread = threading.Thread(target=attempt, name="opsready-connect", daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if not outcome:
        abandoned.set()
        raise TimedOut(
            f"No answer from PostgreSQL ({where}) within {deadline.seconds:g} s: the connection was accepted or is on "
            "its way, but nothing came back."
        )
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    made: psycopg.Connection[Row] = outcome[0]
    t.cast(t.Any, made).end_at(deadline)
    return made


_GUARDED: list[t.Any] = []
_WATCHING = threading.Lock()


def _guarded_class() -> t.Any:
    """psycopg's connection with a watchdog; made on first use, since psycopg is not imported before."""
    if _GUARDED:
        return _GUARDED[0]
    require("psycopg")
    import psycopg

    class GuardedConnection(psycopg.Connection[t.Any]):
        """Its socket is shut down at the deadline, so that a server that stopped answering cannot hold us."""

        _watchdog: threading.Timer | None = None
        #: Its deadline was reached: it is of no use to anybody.
        was_ended = False

        def end_at(self, deadline: Deadline) -> None:
            """From now on this deadline counts, and no earlier one."""
            self.rest()
            descriptor = self.fileno()

            def shut_down() -> None:
                # The descriptor belongs to libpq; a duplicate lets us shut down without closing it under its feet.
                with _WATCHING:
                    if self.closed or self._watchdog is not watchdog:
                        return
                    self.was_ended = True
                    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as raw:
                        raw.shutdown(socket.SHUT_RDWR)

            # statement_timeout ends at the deadline too, and says more: it goes first.
            watchdog = threading.Timer(min(deadline.remaining() + 0.5, threading.TIMEOUT_MAX), shut_down)
            watchdog.daemon = True
            self._watchdog = watchdog
            watchdog.start()

        def rest(self) -> None:
            """No deadline counts until the next one is set."""
            with _WATCHING:
                watchdog, self._watchdog = self._watchdog, None
            if watchdog is not None:
                watchdog.cancel()

        def close(self) -> None:
            self.rest()
            super().close()

    _GUARDED.append(GuardedConnection)
    return GuardedConnection


class Lender(lending.Lender["psycopg.Connection[Row]"]):
    """Logins to one database for the items of a checklist, in autocommit.

    ``limit`` has to be the first statement of each transaction.
    """

    def __init__(self, dsn: str, *, password: str | None, application_name: str) -> None:
        super().__init__("PostgreSQL")
        self._login: dict[str, t.Any] = {"dsn": dsn, "password": password, "application_name": application_name}

    def _opened(self, deadline: Deadline) -> psycopg.Connection[Row]:
        made = connect(**self._login, deadline=deadline)
        made.prepare_threshold = None  # DISCARD ALL would take prepared statements away under its feet
        return made

    def _renewed(self, connection: psycopg.Connection[Row], deadline: Deadline) -> bool:
        try:
            if _has_input(connection.fileno()):  # nobody asked: the server has ended it
                return False
            t.cast(t.Any, connection).end_at(deadline)
        except require("psycopg").Error:
            return False
        return True

    def _cleaned(self, connection: psycopg.Connection[Row], problem: BaseException | None) -> bool:
        psycopg = require("psycopg")
        guarded = t.cast(t.Any, connection)
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            return False
        try:
            # Settings, locks and temporary tables of one item's queries are no business of the next one's.
            connection.execute("DISCARD ALL")
            connection.read_only = connection.isolation_level = connection.deferrable = None
        except psycopg.Error:
            return False  # it broke in the meantime; the next item gets a new one
        guarded.rest()
        return not guarded.was_ended

    def _ended(self, connection: psycopg.Connection[Row]) -> None:
        connection.close()


def _has_input(descriptor: int) -> bool:
    watcher = select.poll()
    watcher.register(descriptor, select.POLLIN)
    return bool(watcher.poll(0))


def limit(connection: psycopg.Connection[Row], deadline: Deadline) -> None:
    """Let the server end each statement of this transaction at the deadline; a session's setting would outlive it."""
    milliseconds = math.ceil(deadline.require("Asking PostgreSQL") * 1000)
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])


def cancel(connection: psycopg.Connection[t.Any]) -> None:
    """Ask the server to end what the connection is waiting for; whoever gives up a query does not wait for an answer."""
    with contextlib.suppress(Exception):
        if hasattr(connection, "cancel_safe"):
            connection.cancel_safe(timeout=5)
        else:  # psycopg 3.1
            connection.cancel()


def _said(problem: BaseException) -> str:
    """What the server said in one line, without the query it was about."""
    diagnosis = getattr(problem, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    text = primary or str(problem)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return beginning_of((lines[0] if lines else type(problem).__name__).rstrip("."), 500)


def _connection_error(problem: t.Any, where: str, deadline: Deadline) -> Exception:
    text = str(problem)
    said = next((line.strip() for line in text.splitlines() if "FATAL" in line), "") or _said(problem)
    said = re.sub(r"^.*?(?=FATAL)", "", said).rstrip(".")
    finished = getattr(problem, "pgconn", None)
    lowered = text.lower()
    if any(phrase in lowered for phrase in _REFUSED_LOGIN) or getattr(finished, "needs_password", False):
        return Denied(
            f"PostgreSQL refused the login ({where}): {said}.", remedy="Check user, password and pg_hba.conf."
        )
    if "not currently accepting connections" in lowered or "permission denied" in lowered:
        return Denied(f"PostgreSQL refused the connection ({where}): {said}.")
    if "does not exist" in lowered:
        return UnexpectedAnswer(f"PostgreSQL does not know it ({where}): {said}.", remedy="Check user and database.")
    if isinstance(problem, require("psycopg").errors.ConnectionTimeout) or deadline.expired() or "timeout" in lowered:
        return TimedOut(f"No answer from PostgreSQL ({where}) within {deadline.seconds:g} s.")
    if "FATAL" in text and getattr(finished, "used_password", False):
        # A server that speaks another language: the password was asked for and used, and then came a FATAL.
        return Denied(f"PostgreSQL refused the login ({where}): {said}.", remedy="Check user and password.")
    return Unreachable(f"PostgreSQL cannot be reached ({where}): {said}.")


@contextlib.contextmanager
def translated(doing: str, *, deadline: Deadline) -> t.Iterator[None]:
    """Turn psycopg's errors into ours; ``doing`` begins the sentence ("Counting rows")."""
    psycopg = require("psycopg")
    try:
        yield
    except psycopg.errors.QueryCanceled as problem:
        raise TimedOut(f"{doing} was cancelled after at most {deadline.seconds:g} s: {_said(problem)}.")
    except psycopg.errors.LockNotAvailable as problem:
        raise TimedOut(f"{doing} waited for a lock that was not granted: {_said(problem)}.")
    except psycopg.errors.InsufficientPrivilege as problem:
        raise Denied(f"{doing} was refused: {_said(problem)}.")
    except psycopg.Error as problem:
        code = getattr(problem, "sqlstate", None)
        # Without a code, or with one of classes 08 and 57, the connection itself is at its end.
        if isinstance(problem, psycopg.OperationalError) and (code is None or code[:2] in ("08", "57")):
            if deadline.expired():
                raise TimedOut(f"{doing} did not end within {deadline.seconds:g} s.")
            raise Unreachable(f"{doing} broke off: {_said(problem)}.")
        raise UnexpectedAnswer(f"{doing} failed: {_said(problem)}" + (f" (SQLSTATE {code})." if code else "."))


def rows(
    connection: psycopg.Connection[Row], sql: t.Any, parameters: t.Any = None, *, doing: str, deadline: Deadline
) -> list[Row]:
    """All rows of a query; [] for a statement without any. Errors are ours."""
    with translated(doing, deadline=deadline):
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def value(
    connection: psycopg.Connection[Row], sql: t.Any, parameters: t.Any = None, *, doing: str, deadline: Deadline
) -> t.Any:
    """The first column of the first row, or None."""
    found = rows(connection, sql, parameters, doing=doing, deadline=deadline)
    return found[0][0] if found else None
