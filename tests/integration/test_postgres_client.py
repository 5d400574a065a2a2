# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to real PostgreSQL servers: every failure is one of our errors, and no wait outlives its limit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres as client
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from tests.parts import need_part
from tests.servers import HangingServer, PgBouncer, Postgres, ScriptedServer, await_true


def connect(server: Postgres, *, seconds: float = 30.0, **options: t.Any) -> t.Any:
    wanted = {"password": server.password, "deadline": Deadline(seconds), **options}
    return client.connect(server.dsn(password=None), **wanted)


def test_a_connection_has_a_name_and_limits(postgres: Postgres) -> None:
    with contextlib.closing(connect(postgres, application_name="x" * 99, settings={"lock_timeout": "7s"})) as made:
        deadline = Deadline(10)
        assert client.value(made, "show lock_timeout", doing="Asking", deadline=deadline) == "7s"
        assert client.value(made, "show application_name", doing="Asking", deadline=deadline) == "x" * 63
        assert client.value(made, "show statement_timeout", doing="Asking", deadline=deadline) != "0"
        assert client.value(made, "select 1 where false", doing="Asking", deadline=deadline) is None
        assert client.rows(made, "set work_mem = '8MB'", doing="Setting", deadline=deadline) == []


def test_a_wrong_or_missing_password_is_denied(postgres: Postgres) -> None:
    for password in ("canary-wrong", None):
        with pytest.raises(Denied) as caught:
            connect(postgres, password=password)
        assert "canary" not in str(caught.value)


def test_a_missing_database_and_a_closed_one_are_named(postgres: Postgres, database: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="no_such_database"):
        connect(postgres, dbname="no_such_database")
    postgres.execute(f"alter database {database} allow_connections false")
    with pytest.raises(Denied, match="not currently accepting"):
        connect(postgres, dbname=database)


def test_nobody_there_is_unreachable(refused_port: int) -> None:
    with pytest.raises(Unreachable, match="refused"):
        client.connect(f"postgresql://u@127.0.0.1:{refused_port}/d", password=None, deadline=Deadline(5))


def test_a_server_that_never_answers_ends_at_the_limit(hanging_server: HangingServer) -> None:
    with pytest.raises(TimedOut, match="No answer"):
        client.connect(f"postgresql://u@127.0.0.1:{hanging_server.port}/d", password="x", deadline=Deadline(0.3))


def test_a_limit_that_has_passed_sends_nothing(postgres: Postgres) -> None:
    with pytest.raises(TimedOut):
        connect(postgres, seconds=0.0)


def test_a_server_that_stops_answering_in_a_query_ends_at_the_limit() -> None:
    with Postgres() as server:
        deadline = Deadline(1.5)
        with contextlib.closing(connect(server, deadline=deadline)) as made:
            # A backend has a session of its own, which suspending the server does not reach.
            backend = made.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            try:
                with pytest.raises(TimedOut):
                    client.rows(made, "select 1", doing="Asking", deadline=deadline)
            finally:
                os.kill(backend, signal.SIGCONT)


def test_a_server_that_dies_in_a_query_is_unreachable() -> None:
    with Postgres() as server:
        with contextlib.closing(connect(server)) as made:
            backend = made.info.backend_pid  # in a session of its own, it ends once it has seen that its parent is gone
            server.kill()
            await_true(lambda: not os.path.exists(f"/proc/{backend}"), seconds=30, what="end of the backend")
            with pytest.raises(Unreachable, match="Asking broke off"):
                client.rows(made, "select 1", doing="Asking", deadline=Deadline(30))


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        ("select pg_sleep(30)", TimedOut, "cancelled"),
        ("select * from canary_table", UnexpectedAnswer, "42P01"),
        ("select 1/0 as canary_column", UnexpectedAnswer, "division by zero"),
    ],
)
def test_a_query_that_fails_is_told_without_the_query(
    postgres: Postgres, statement: str, kind: type[GoliveError], said: str
) -> None:
    with contextlib.closing(connect(postgres, settings={"statement_timeout": "300ms"})) as made:
        with pytest.raises(kind, match=said) as caught:
            client.rows(made, statement, doing="Asking", deadline=Deadline(30))
    assert "select" not in str(caught.value)


def test_a_missing_right_is_denied_and_a_held_lock_times_out(postgres: Postgres, database: str) -> None:
    postgres.execute("create table held (a int)", dbname=database)
    with contextlib.closing(connect(postgres, dbname=database, settings={"lock_timeout": "200ms"})) as made:
        with postgres.connect(database) as holder, holder.transaction():
            holder.execute("lock table held")
            with pytest.raises(TimedOut, match="lock"):
                client.rows(made, "select * from held", doing="Asking", deadline=Deadline(30))
        client.rows(made, "set role pg_monitor", doing="Asking", deadline=Deadline(30))
        with pytest.raises(Denied, match="Asking was refused"):
            client.rows(made, "select * from held", doing="Asking", deadline=Deadline(30))


def test_a_query_that_is_given_up_is_cancelled(postgres: Postgres) -> None:
    import threading

    with contextlib.closing(connect(postgres)) as made:
        canceller = threading.Timer(0.3, client.cancel, (made,))
        canceller.start()
        with pytest.raises(TimedOut, match="user request"):
            client.rows(made, "select pg_sleep(30)", doing="Asking", deadline=Deadline(30))
        canceller.join()


def _error(text: str) -> bytes:
    body = b"SFATAL\0VFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body


def test_a_pooler_that_knows_no_startup_options_is_asked_without_them() -> None:
    startups: list[bytes] = []

    def converse(connection: socket.socket) -> None:
        while True:
            size = struct.unpack("!i", connection.recv(4))[0]
            packet = connection.recv(size - 4)
            if packet[:4] in (struct.pack("!i", 80877103), struct.pack("!i", 80877104)):
                connection.sendall(b"N")
                continue
            startups.append(packet)
            refused = b"statement_timeout" in packet
            connection.sendall(_error("unsupported startup parameter: options" if refused else "the pool is full"))
            return

    with ScriptedServer(converse) as server:
        dsn = f"postgresql://u@127.0.0.1:{server.port}/d"
        with pytest.raises(Unreachable, match="the pool is full"):
            client.connect(dsn, password="x", deadline=Deadline(10))
        assert [b"statement_timeout" in packet for packet in startups] == [True, False]
        with pytest.raises(BadInput, match="A connection pooler stands before PostgreSQL"):
            client.connect(dsn, password="x", deadline=Deadline(10), settings={"lock_timeout": "1s"})


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("ignore", ["options", "extra_float_digits"])
def test_what_needs_a_session_is_refused_a_poolers(postgres: Postgres, mode: str, ignore: str) -> None:
    """A pooler that ignores startup options would take the lock_timeout away in silence."""
    need_part("pgbouncer", PgBouncer.program)
    with PgBouncer(postgres, mode=mode, ignore=ignore) as pooler:
        dsn = f"postgresql://{postgres.user}@{pooler.host}:{pooler.port}/postgres"
        with contextlib.closing(client.connect(dsn, password="x", deadline=Deadline(10))) as made:
            assert client.value(made, "select 1", doing="Asking", deadline=Deadline(10)) == 1
        for autocommit in (True, False):
            with pytest.raises(BadInput, match="A connection pooler stands before PostgreSQL") as caught:
                client.connect(
                    dsn, password="x", deadline=Deadline(10), autocommit=autocommit, settings={"lock_timeout": "1s"}
                )
            assert "the server's own host and port" in str(caught.value)


def test_a_transaction_begins_afresh_after_the_server_was_asked_for_its_process(postgres: Postgres) -> None:
    with contextlib.closing(connect(postgres, autocommit=False, settings={"lock_timeout": "1s"})) as made:
        made.execute("set transaction isolation level repeatable read")  # refused after a query
