# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of different checks on one target share what they can: the servers themselves count what it cost them."""

from __future__ import annotations

import re
import socket
import threading
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry, shared_trust
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres as postgres_client
from ansible_collections.opsready.golive.plugins.module_utils._clients.handshakes import Wire
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.integration.alembic_projects import COLUMN, NOTES, release
from tests.parts import need_part
from tests.servers import HOST, DemoCa, PgBouncer, Postgres, ScriptedServer, await_true

if t.TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60.0


@pytest.fixture(scope="module")
def counting() -> t.Iterator[Postgres]:
    """A server that writes down each login."""
    with Postgres(settings={"log_connections": "on", "log_min_messages": "log"}) as server:
        yield server


@pytest.fixture
def archive(counting: Postgres) -> t.Iterator[str]:
    """A database at revision 0001."""
    name = counting.create_database("archive")
    counting.execute("CREATE TABLE notes (id integer, text text)", dbname=name)
    counting.execute("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)", dbname=name)
    counting.execute("INSERT INTO alembic_version VALUES ('0001')", dbname=name)
    yield name
    counting.drop_database(name)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Revision 0002 is pending."""
    return release(tmp_path / "2.0.0", ("0001", None, NOTES), ("0002", "0001", COLUMN))


def item(server: Postgres, dbname: str, identity: str, check: str, **options: t.Any) -> dict[str, t.Any]:
    login = {"dsn": server.dsn(dbname, password=None), "password": server.password}
    return {"id": identity, "check": check, "params": {**login, **options}, "timeout": SECONDS}


def judged_together(server: Postgres, items: list[dict[str, t.Any]], *, workers: int = 8) -> list[dict[str, t.Any]]:
    return judge_all(items, [], timeout_seconds=120, scrub=Scrubber([server.password]), workers=workers)


def logins(server: Postgres, database: str) -> list[str]:
    """The application names of all who logged in to the database so far."""
    return re.findall(rf"connection authorized: .*database={database} application_name=(\S+)", server.log())


def require_all(found: list[dict[str, t.Any]], status: str = "pass") -> None:
    assert [one["summary"] for one in found if one["status"] != status] == []


def test_items_on_a_database_and_on_its_migrations_log_in_once(
    counting: Postgres, archive: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", SECONDS)
    items = [
        item(counting, archive, "size", "check_postgres", queries=[{"name": "one", "sql": "SELECT 1", "value": "1"}]),
        item(counting, archive, "preview", "check_migration", directory=str(project)),
        item(counting, archive, "canary", "check_postgres", canary=True),
        item(counting, archive, "lint", "check_migration", directory=str(project), lint={}),
        item(counting, archive, "head", "check_migration", directory=str(project), to="0002"),
        item(counting, archive, "named", "check_migration", directory=str(project), database=archive),
    ]
    require_all(judged_together(counting, items))
    assert logins(counting, archive) == ["opsready/check"]


def test_another_database_that_is_named_is_asked_itself(counting: Postgres, archive: str, project: Path) -> None:
    options = {"directory": str(project), "database": archive}
    found = judged_together(counting, [item(counting, "postgres", "named", "check_migration", **options)])
    require_all(found)
    assert (found[0]["evidence"]["database"], found[0]["evidence"]["current"]) == (archive, ["0001"])


def test_what_an_item_before_set_does_not_reach_the_migrations(counting: Postgres, archive: str, project: Path) -> None:
    """An empty search_path and a timezone of its own, a lock, and the mode of its transactions."""
    setting = [
        {"name": "path", "sql": "SELECT set_config('search_path', 'elsewhere', false)", "value": "elsewhere"},
        {"name": "role", "sql": "SELECT set_config('role', 'pg_monitor', false)", "value": "pg_monitor"},
        {"name": "lock", "sql": "SELECT pg_try_advisory_lock(8071)::text", "value": "true"},
    ]
    asking = [
        {"name": "lock", "sql": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "value": "0"},
        {"name": "wait", "sql": "SELECT current_setting('lock_timeout')", "value": "0"},
    ]
    items = [
        item(counting, archive, "first", "check_postgres", queries=setting),
        item(counting, archive, "migrations", "check_migration", directory=str(project)),
        item(counting, archive, "last", "check_postgres", queries=asking, canary=True),
    ]
    require_all(judged_together(counting, items, workers=1))
    assert logins(counting, archive) == ["opsready/check"]


def test_a_template_is_rehearsed_on_after_other_items_asked_the_database(
    counting: Postgres, archive: str, project: Path
) -> None:
    rehearsal = {"source": "template", "pg_bindir": str(counting.programs)}
    items = [
        item(counting, archive, "size", "check_postgres"),
        item(counting, archive, "up and down", "check_migration", directory=str(project), rehearse=rehearsal),
        item(counting, archive, "again", "check_postgres", max_connections_share=0.5),
    ]
    require_all(judged_together(counting, items, workers=1))


def test_migrations_are_read_through_a_pooler_too(counting: Postgres, archive: str, project: Path) -> None:
    need_part("pgbouncer", PgBouncer.program)
    with PgBouncer(counting, mode="transaction", ignore="extra_float_digits") as pooler:
        wanted = item(counting, archive, "preview", "check_migration", directory=str(project))
        wanted["params"]["dsn"] = f"postgresql://{counting.user}@{pooler.host}:{pooler.port}/{archive}"
        require_all(judged_together(counting, [wanted]))


def test_a_connection_is_lent_as_fresh_as_a_new_one(counting: Postgres, archive: str) -> None:
    import psycopg

    lender = postgres_client.Lender(
        counting.dsn(archive, password=None), password=counting.password, application_name="opsready/check"
    )
    with lender.lent(deadline=Deadline(SECONDS)) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        first = connection.info.backend_pid
    with lender.lent(deadline=Deadline(SECONDS)) as connection:
        assert (connection.read_only, connection.isolation_level) == (None, None)
        assert connection.info.backend_pid == first
    lender.close()


def test_a_connection_that_the_server_ended_meanwhile_is_replaced(counting: Postgres, archive: str) -> None:
    lender = postgres_client.Lender(
        counting.dsn(archive, password=None), password=counting.password, application_name="opsready/check"
    )
    with lender.lent(deadline=Deadline(SECONDS)) as connection:
        first = connection.info.backend_pid
    counting.execute("SELECT pg_terminate_backend(%s)", first)
    await_true(
        lambda: not counting.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", first),
        seconds=SECONDS,
        what="the end of the session",
    )
    with lender.lent(deadline=Deadline(SECONDS)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    lender.close()


# ---- one handshake


class Https:
    """A service that answers 200 to all, and counts connections, and the requests of each that shook hands."""

    def __init__(self, ca: DemoCa) -> None:
        self.connections = 0
        self.requests: list[int] = []
        #: Called before each handshake.
        self.before: t.Callable[[], None] = lambda: None
        self._context = ca.issue().server_context()

    def converse(self, connection: socket.socket) -> None:
        self.connections += 1
        self.before()
        with self._context.wrap_socket(connection, server_side=True) as plug:
            number = len(self.requests)
            self.requests.append(0)
            asked = b""
            while piece := plug.recv(65536):
                asked += piece
                while b"\r\n\r\n" in asked:
                    asked = asked.partition(b"\r\n\r\n")[2]
                    self.requests[number] += 1
                    plug.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def https(demo_ca: DemoCa) -> Https:
    return Https(demo_ca)


@pytest.fixture
def port(https: Https) -> t.Iterator[int]:
    with ScriptedServer(https.converse) as server:
        yield server.port


@pytest.fixture
def ca_file(demo_ca: DemoCa, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_text(demo_ca.pem)
    return str(path)


def of_tls(identity: str, port: int, ca_file: str, **options: t.Any) -> dict[str, t.Any]:
    params = {"endpoints": [f"{HOST}:{port}"], "ca_file": ca_file, "min_remaining": "1h", **options}
    return {"id": identity, "check": "check_tls", "params": params, "timeout": SECONDS}


def of_http(identity: str, port: int, ca_file: str, **options: t.Any) -> dict[str, t.Any]:
    params = {"url": f"https://{HOST}:{port}/{identity}", "ca_file": ca_file, **options}
    return {"id": identity, "check": "check_http", "params": params, "timeout": SECONDS}


def one_by_one(*items: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return judge_all(list(items), [], timeout_seconds=120, scrub=Scrubber(()), workers=1)


def test_items_on_a_certificate_share_one_handshake(https: Https, port: int, ca_file: str) -> None:
    """That older versions are refused is tried with each of them, once for all."""
    require_all(
        one_by_one(
            of_tls("days", port, ca_file, min_days=1),
            of_tls("names", port, ca_file, names=["localhost"]),
            of_tls("older", port, ca_file, refuses_older=True),
            of_tls("older again", port, ca_file, refuses_older=True, min_days=1),
            of_tls("long form", port, ca_file, endpoints=[{"host": HOST, "port": port, "sni": HOST}]),
        )
    )
    assert (https.requests, https.connections) == ([0], 1 + len(["TLSv1", "TLSv1.1"]))


def test_items_on_each_address_share_one_handshake_for_each(https: Https, port: int, ca_file: str) -> None:
    everywhere = {"endpoints": [f"localhost:{port}"], "addresses": "all", "names": ["localhost"]}
    found = one_by_one(of_tls("one", port, ca_file, **everywhere), of_tls("two", port, ca_file, **everywhere))
    addresses = {address[4][0] for address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
    assert {len(one["evidence"]) for one in found} == {len(addresses)}
    assert https.requests == [0]  # it listens on one


def test_requests_and_the_certificate_share_one_handshake(https: Https, port: int, ca_file: str) -> None:
    require_all(
        one_by_one(
            of_http("a", port, ca_file),
            of_tls("certificate", port, ca_file),
            of_http("b", port, ca_file, compression="optional"),
            of_http("c", port, ca_file, contains=["ok"]),
            of_tls("days", port, ca_file, min_days=1),
        )
    )
    assert https.requests == [3]


def test_other_origins_are_asked_for_over_the_shared_connection(https: Https, port: int, ca_file: str) -> None:
    cors = {"origin_refused": ["https://elsewhere.example.org"]}
    require_all(one_by_one(of_http("a", port, ca_file), of_http("b", port, ca_file, cors=cors)))
    assert https.requests == [4]


def test_a_request_goes_over_the_connection_that_is_being_looked_at(
    https: Https, port: int, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server begins the handshake when the request is there and waits for it."""
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", SECONDS)
    shared = Shared()
    handshakes = shared_trust.trust(ca_file, run=Run(timeout_seconds=SECONDS, shared=shared)).handshakes
    place = handshakes._places[Wire(HOST, port, HOST)]
    begun: list[None] = []

    def both_are_there() -> None:
        begun.append(None)
        await_true(lambda: place.waiting == 1, seconds=SECONDS, what="the request")

    https.before = both_are_there
    found: list[dict[str, t.Any]] = []
    looking = judging(found, shared, of_tls("certificate", port, ca_file))
    await_true(lambda: bool(begun), seconds=SECONDS, what="the handshake")
    asking = judging(found, shared, of_http("a", port, ca_file))
    for thread in (looking, asking):
        thread.join(SECONDS)
    require_all(found)
    assert (len(found), https.requests) == (2, [1])
    shared.close()


def judging(found: list[dict[str, t.Any]], shared: Shared, wanted: dict[str, t.Any]) -> threading.Thread:
    check = registry.load(wanted["check"])
    params = validated(check.ARGUMENT_SPEC, wanted["params"], where=wanted["check"], **check.CONSTRAINTS)
    run = Run(timeout_seconds=SECONDS, shared=shared)
    thread = threading.Thread(target=lambda: found.append(judged(check, params, run)))
    thread.start()
    return thread


def test_a_connection_that_was_only_looked_at_is_not_kept_for_a_request(https: Https, port: int, ca_file: str) -> None:
    """It would hold a place of the server's, which may end it, or answer 408 before it is asked."""
    require_all(one_by_one(of_tls("certificate", port, ca_file), of_http("a", port, ca_file)))
    assert https.requests == [0, 1]


def test_a_time_that_is_judged_begins_with_a_connection_of_its_own(https: Https, port: int, ca_file: str) -> None:
    require_all(
        one_by_one(
            of_http("a", port, ca_file),
            of_tls("certificate", port, ca_file),
            of_http("b", port, ca_file, max_ms=30000),
            of_http("c", port, ca_file, max_p50_ms=30000, samples=10, warmup=0),
            of_http("d", port, ca_file, consecutive=2),
        )
    )
    # The item of samples asks once over the shared connection before it measures over one of its own.
    assert https.requests == [2, 1, 10, 1, 1]


def test_what_is_trusted_otherwise_or_named_otherwise_is_verified_itself(
    https: Https, port: int, ca_file: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text(DemoCa("Other CA").pem)
    require_all(one_by_one(of_http("a", port, ca_file)))
    found = one_by_one(
        of_http("a", port, ca_file),
        of_tls("other trust", port, str(other)),
        of_tls("other name", port, ca_file, endpoints=[{"host": HOST, "port": port, "sni": "elsewhere.example.org"}]),
        of_http("b", port, str(other)),
    )
    assert [one["status"] for one in found] == ["pass", "fail", "fail", "fail"]
    assert "is refused by clients" in found[1]["summary"]
    assert "is refused by clients" in found[2]["summary"]
    assert "The certificate of" in found[3]["summary"]
