# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis and Valkey over redis-py: one way to connect, and its errors as ours.

Answers are bytes, as the server sent them: a message that is moved must not change by being decoded. No command is
repeated by the library, since a repeated RPOPLPUSH would move twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from urllib.parse import parse_qsl, unquote, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

#: How long the server may take for one answer, in seconds.
LONGEST_SECONDS = 30.0

_SCHEMES = ("redis", "rediss", "unix", "redis+socket")
_DENIALS = (
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "ERR invalid password",
    "invalid username-password",
    "without any password",
)


@dataclasses.dataclass(frozen=True)
class Server:
    """Where a Redis is, taken from its URL."""

    host: str
    port: int
    db: int
    username: str | None
    is_tls: bool
    socket_path: str | None = None

    @property
    def name(self) -> str:
        """The server as it stands in a sentence; never with a password."""
        if self.socket_path is not None:
            return f"Redis at {self.socket_path} database {self.db}"
        return f"Redis at {self.host}:{self.port} database {self.db}"


def parsed(url: str) -> Server:
    """Read ``redis[s]://[user@]host[:port][/db]`` or ``unix:///path?db=0``. Raises BadInput, also for a password."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        raise BadInput("url is not a URL such as redis://host:6379/0.")
    if parts.scheme not in _SCHEMES:
        raise BadInput(f"url has the scheme {parts.scheme!r}, expected one of {', '.join(_SCHEMES)}.")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.password is not None or "password" in query:
        raise BadInput("url holds a password.", remedy="Pass it as password, which is never printed.")
    unknown = sorted(set(query) - {"db", "virtual_host", "ssl_cert_reqs"})
    if unknown:
        raise BadInput(f"url has parameters that are not known here: {', '.join(unknown)}.")
    if query.get("ssl_cert_reqs", "required").lower() not in ("required", "cert_required"):
        raise BadInput("url turns certificate verification off.", remedy="Name the certificate authority in ca_file.")
    is_socket = parts.scheme in ("unix", "redis+socket")
    number = query.get("db") or query.get("virtual_host") or ("" if is_socket else parts.path.strip("/")) or "0"
    if not number.isdigit():
        raise BadInput(f"url names the database {number!r}, expected a number.")
    if is_socket and not parts.path:
        raise BadInput("url names no socket, expected unix:///path/to/redis.sock.")
    if not is_socket and not parts.hostname:
        raise BadInput("url names no host, expected redis://host:6379/0.")
    return Server(
        host=parts.hostname or "",
        port=port,
        db=int(number),
        username=unquote(parts.username) if parts.username else None,
        is_tls=parts.scheme == "rediss",
        socket_path=unquote(parts.path) if is_socket else None,
    )


@contextlib.contextmanager
def asking(server: Server) -> t.Iterator[None]:
    """Turn redis-py's errors into ours. The library's texts name hosts, never a password, and no key of a pipeline."""
    library = require("redis")
    errors = library.exceptions
    try:
        yield
    except GoliveError:
        raise
    except (errors.AuthenticationError, errors.NoPermissionError) as problem:
        raise _denied(server, problem)
    except errors.TimeoutError:
        raise TimedOut(f"{server.name} did not answer in time.")
    except errors.BusyLoadingError:
        raise UnexpectedAnswer(f"{server.name} is still loading its data.", remedy="Wait until INFO says loading:0.")
    except errors.WatchError:
        raise
    except errors.ConnectionError as problem:
        raise _unreachable(server, problem)
    except errors.RedisError as problem:
        if any(mark in str(problem) for mark in _DENIALS):
            raise _denied(server, problem)
        raise UnexpectedAnswer(f"{server.name} answered: {_said(problem)}.")
    except OSError as problem:
        raise Unreachable(f"{server.name} cannot be reached: {problem.strerror or problem}.")


def _said(problem: Exception) -> str:
    """What the server said. Of a pipeline redis-py puts the command before it, and with it a key, which may be a secret."""
    return str(problem).rpartition(" of pipeline caused error: ")[2].rstrip(".")


def _denied(server: Server, problem: Exception) -> Denied:
    said = _said(problem)
    return Denied(f"{server.name} refused us: {said}.", remedy="Check username and password, and the user's ACL.")


def _unreachable(server: Server, problem: Exception) -> GoliveError:
    said = str(problem).rstrip(".")
    if any(mark in said for mark in _DENIALS):
        return _denied(server, problem)
    if "max number of clients" in said:
        return Unreachable(
            f"{server.name} has no connection left: {said}.", remedy="Raise maxclients or end idle clients."
        )
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return Unreachable(
            f"{server.name} shows a certificate that does not verify: {said}.",
            remedy="Name the certificate authority in ca_file.",
        )
    return Unreachable(f"{server.name} cannot be reached: {said}.")


def connect(
    server: Server,
    *,
    deadline: Deadline,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | None = None,
    longest_seconds: float = LONGEST_SECONDS,
) -> t.Any:
    """A redis-py client that answered PING. One answer may take ``longest_seconds``, and never more than is left.

    Raises Denied, TimedOut, Unreachable, MissingLibrary.
    """
    library = require("redis")
    patience = min(longest_seconds, deadline.require(f"Connecting to {server.name}"))
    options: dict[str, t.Any] = {
        "db": server.db,
        "username": username or server.username,
        "password": password,
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry": library.retry.Retry(library.backoff.NoBackoff(), 0),
        "client_name": "opsready",
    }
    if server.socket_path is not None:
        options["unix_socket_path"] = server.socket_path
    else:
        options.update(host=server.host, port=server.port)
    if server.is_tls:
        options.update(ssl=True, ssl_ca_certs=ca_file, ssl_cert_reqs="required", ssl_check_hostname=True)
    # RESP2 answers alike on every server version, and spares the HELLO that old servers refuse.
    client = library.Redis(protocol=2, **options)
    try:
        with asking(server):
            client.ping()
    except BaseException:
        client.close()
        raise
    return client


@contextlib.contextmanager
def session(server: Server, *, deadline: Deadline, **options: t.Any) -> t.Iterator[t.Any]:
    """A client of ``connect`` for one deadline, closed at the end; whatever is asked of it raises our errors."""
    client = connect(server, deadline=deadline, **options)
    try:
        with asking(server):
            yield client
    finally:
        _end(client)


def target(url: str, *, username: str | None, password: str | None, ca_file: str | None) -> tuple[str | None, ...]:
    """What a connection is shared by, as a key of ``Run.once``: every option that decides where it goes and as whom."""
    return ("redis", url, username, password, ca_file)


class Lender(lending.Lender[t.Any]):
    """Clients of one connection each to one server, for the items of a checklist."""

    def __init__(self, server: Server, **login: str | None) -> None:
        super().__init__(server.name)
        self._server = server
        self._login: dict[str, t.Any] = dict(login)

    @contextlib.contextmanager
    def lent(self, *, deadline: Deadline) -> t.Iterator[t.Any]:
        """A client of one connection, as ``session`` gives it. Raises what ``connect`` raises."""
        with super().lent(deadline=deadline) as client, asking(self._server):
            yield client

    def _opened(self, deadline: Deadline) -> t.Any:
        return connect(self._server, deadline=deadline, **self._login)

    def _renewed(self, connection: t.Any, deadline: Deadline) -> bool:
        _limit(connection, self._server, deadline)
        return True  # redis-py has closed a connection that broke, and makes another one when it is asked again

    def _cleaned(self, connection: t.Any, problem: BaseException | None) -> bool:
        return problem is None or isinstance(problem, GoliveError)

    def _ended(self, connection: t.Any) -> None:
        _end(connection)


def _limit(client: t.Any, server: Server, deadline: Deadline) -> None:
    """Let one answer take as long as this deadline allows, and no other; redis-py knows that only while it connects."""
    seconds = min(LONGEST_SECONDS, deadline.require(f"Asking {server.name}"))
    with asking(server):
        single = client.client()
        try:
            connection = single.connection
            connection.socket_timeout = connection.socket_connect_timeout = seconds
            connection._sock.settimeout(seconds)
            connection._parser.on_connect(connection)
        finally:
            single.close()


def _end(client: t.Any) -> None:
    client.close()
    client.connection_pool.disconnect()  # which redis 5.0.0 leaves to us


def answers_without_password(server: Server, *, deadline: Deadline, ca_file: str | None = None) -> bool:
    """Whether a stranger may give commands."""
    try:
        with session(server, deadline=deadline, ca_file=ca_file):
            return True
    except Denied:
        return False


def tls_version(client: t.Any) -> str | None:
    """The negotiated TLS version of this client's connection, None without TLS."""
    # The pool's get_connection() needs an argument before redis 5.3 and must have none after it.
    single = client.client()
    try:
        version = getattr(getattr(single.connection, "_sock", None), "version", None)
        return str(version()) if callable(version) else None
    finally:
        single.close()


def text(value: t.Any) -> str:
    """A server's bytes as text; bytes that are no UTF-8 are replaced."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
