# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_postgres against real servers, healthy and broken, one of them a standby."""

from __future__ import annotations

import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._clients import lending
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.module_examples import examples_of
from tests.parts import need_part
from tests.servers import HOST, DemoCa, HangingServer, Postgres, Standby, await_true, debian_postgres_versions

WRONG = "wrong-canary-58d1"
SECONDS = 30.0
serves = pytest.mark.serves


def judged(
    run: ModuleRun,
    server: Postgres,
    dbname: str = "postgres",
    *,
    check: bool = False,
    user: str | None = None,
    **options: t.Any,
) -> dict[str, t.Any]:
    args = {
        "dsn": server.dsn(dbname, user=user, password=None),
        "password": server.password,
        "enforce": False,
        **options,
    }
    args.setdefault("timeout", 30)
    answer = run("check_postgres", args, check=check, secrets=[server.password, WRONG])
    assert answer["changed"] is False
    assert isinstance(answer["finding"], dict)
    return answer["finding"]


@pytest.fixture(scope="module", params=[None, "15"], ids=["18", "15"])
def version(request: pytest.FixtureRequest) -> str | None:
    """Of the server: the newest, and the one that reference systems have."""
    if request.param is not None:
        need_part("debian-postgres", request.param in debian_postgres_versions(), "postgresql-15 is not installed")
    return t.cast("str | None", request.param)


@pytest.fixture(scope="module")
def standby(version: str | None) -> t.Iterator[Standby]:
    with Postgres(version) as primary, Standby(primary, version) as server:
        # Until its first reply it tells nothing of how far it is.
        follows = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL"
        await_true(lambda: primary.execute(follows) == [(1,)], seconds=SECONDS, what="replication")
        yield server


def test_a_healthy_database_passes(postgres: Postgres, database: str, run_module_here: ModuleRun) -> None:
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('0002')")
        connection.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id serial PRIMARY KEY, parent int REFERENCES parent)")
        connection.execute("CREATE INDEX ON child (parent)")
        connection.execute("INSERT INTO child (parent) VALUES (NULL)")
    finding = judged(
        run_module_here,
        postgres,
        database,
        min_version="15",
        pools=[{"name": "backend", "size": 5, "instances": 4}],
        max_transaction_age=3600,
        max_idle_in_transaction=10,
        max_freeze_age_share=1.2,
        max_horizon_age=10**6,
        max_prepared_age=0,
        slots="healthy",
        max_slot_bytes=1,
        min_safe_wal_bytes=10**9,
        checksums="required",
        invalid_indexes="refused",
        unindexed_foreign_keys="refused",
        max_sequence_share=0.5,
        pending_restart="refused",
        extensions=[{"name": "plpgsql", "min_version": "1.0"}],
        extension_versions="current",
        encoding="UTF8",
        collation_versions="current",
        settings={"wal_level": "replica", "fsync": False},
        schema_revision={"expected": "0002"},
        sessions={},
        canary=True,
        queries=[
            {"name": "rows", "sql": "SELECT count(*) FROM child", "value": "1", "at_least": 1, "at_most": 1},
            {"name": "share", "sql": "SELECT 12 % 5 AS percent", "value": "2"},
        ],
    )
    assert finding["status"] == "pass", finding["summary"]
    assert len(finding["measured"]) == 33


def test_broken_objects_are_named(postgres: Postgres, database: str, run_module_here: ModuleRun) -> None:
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id int, parent int CONSTRAINT to_parent REFERENCES parent)")
        connection.execute("INSERT INTO child VALUES (1), (1)")
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON child (id)")
        connection.execute("CREATE SEQUENCE small AS smallint")
        connection.execute("SELECT setval('small', 30000)")
    finding = judged(
        run_module_here,
        postgres,
        database,
        invalid_indexes="refused",
        unindexed_foreign_keys="refused",
        max_sequence_share=0.5,
        extensions=[{"name": "vector"}],
        schema_revision={"expected": "0002"},
        superuser="refused",
        archiver="required",
        min_version="99",
        pools=[{"name": "backend", "size": 1000}],
    )
    assert finding["status"] == "fail"
    for part in (
        "invalid indexes is broken",
        "foreign keys without an index is child.to_parent",
        "the fullest sequence (public.small) is 0.916",
        "extension vector is not installed",
        "no table public.alembic_version",
        "role is postgres (superuser)",
        "archive_mode is off",
        "expected at least 99",
        "connections that the pools may open is 1000",
    ):
        assert part in finding["summary"].lower(), finding["summary"]


def test_a_query_can_change_nothing_and_says_why_it_has_no_answer(
    postgres: Postgres, database: str, run_module_here: ModuleRun
) -> None:
    postgres.execute("CREATE TABLE kept (id int)", dbname=database)
    queries = [
        {"name": "one", "sql": "DROP TABLE kept", "at_least": 1},
        {"name": "two", "sql": "SELECT 1; COMMIT; DROP TABLE kept", "at_least": 1},
        {"name": "none", "sql": "SELECT id FROM kept", "at_least": 1},
        {"name": "null", "sql": "SELECT NULL::int", "at_least": 1},
        {"name": "typo", "sql": "SELEC 1", "at_least": 1},
        {"name": "last", "sql": "SELECT 1", "at_least": 1},
    ]
    finding = judged(run_module_here, postgres, database, queries=queries)
    assert finding["status"] == "unknown"
    for said in ("read-only transaction", "multiple commands", "no row", "NULL", "syntax error"):
        assert said in finding["summary"]
    assert finding["measured"]["query last"] == 1
    assert postgres.execute("SELECT count(*) FROM kept", dbname=database) == [(0,)]


def test_a_query_that_never_ends_is_unknown_within_the_limit(postgres: Postgres, run_module_here: ModuleRun) -> None:
    queries = [{"name": "sleep", "sql": "SELECT 1 FROM pg_sleep(600)", "at_least": 1}]
    finding = judged(run_module_here, postgres, queries=queries, timeout=2)
    assert finding["status"] == "unknown"
    assert finding["seconds"] < 60


def test_foreign_sessions_and_prepared_transactions_are_listed(run_module_here: ModuleRun) -> None:
    with Postgres(settings={"max_prepared_transactions": "2"}) as server:
        name = server.create_database()
        server.execute("CREATE ROLE eve LOGIN PASSWORD 'x'")
        with (
            server.connect(name, user="eve", password="x", application_name="psql") as eve,
            server.connect(name, application_name="opsready/r1/7"),
        ):
            eve.execute("SELECT 1")
            finding = judged(run_module_here, server, name, sessions={})
            assert "Foreign sessions is 1 of eve (psql) from 127.0.0.1, expected none" in finding["summary"]
            assert judged(run_module_here, server, name, sessions={"allowed_users": ["eve"]})["status"] == "pass"
            allowed = {"allowed_applications": ["ps*"]}
            assert judged(run_module_here, server, name, sessions=allowed)["status"] == "pass"
        with server.connect(name) as connection:
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE t (id int)")
            connection.execute("PREPARE TRANSACTION 'left-over'")
        finding = judged(run_module_here, server, name, sessions={})
        assert "Prepared transactions is left-over of postgres" in finding["summary"]
        with server.connect(name) as connection:
            connection.execute("ROLLBACK PREPARED 'left-over'")


def test_a_role_that_may_not_see_others_does_not_pass(
    postgres: Postgres, database: str, run_module_here: ModuleRun
) -> None:
    options: dict[str, t.Any] = {"sessions": {}, "max_transaction_age": 3600, "max_idle_in_transaction": 5}
    postgres.execute("CREATE ROLE blind LOGIN PASSWORD 'blind-canary-1'")
    try:
        with postgres.connect(database):
            finding = judged(run_module_here, postgres, database, user="blind", password="blind-canary-1", **options)
    finally:
        postgres.execute("DROP ROLE blind")
    assert finding["status"] == "unknown"
    assert "may not see what others do" in finding["summary"]
    assert "Sessions idle in transaction could not be read; oldest transaction could not be read" in finding["summary"]


def test_replication_is_judged_on_both_sides(standby: Standby, version: str | None, run_module_here: ModuleRun) -> None:
    limits = {"max_lag_bytes": 10**9, "max_lag_seconds": 3600}
    primary = judged(run_module_here, standby.primary, min_replicas=1, **limits)
    assert primary["status"] == "pass", primary["summary"]
    assert primary["evidence"]["server"]["version"].split(".")[0] == (version or "18")
    few = judged(run_module_here, standby.primary, min_replicas=2, min_sync_replicas=1)
    assert "Streaming replicas is 1, expected at least 2; synchronous replicas is 0" in few["summary"]
    assert "Server is standby, expected primary" in judged(run_module_here, standby)["summary"]
    await_true(
        lambda: judged(run_module_here, standby, recovery="standby", **limits)["status"] == "pass",
        seconds=SECONDS,
        what="a healthy standby",
    )
    slots = judged(run_module_here, standby, recovery="standby", slots="healthy", max_slot_bytes=1)
    assert slots["status"] == "pass", slots["summary"]
    refused = judged(run_module_here, standby, recovery="standby", canary=True)
    assert refused["status"] == "fail"
    assert "Canary is refused" in refused["summary"]


def test_a_standby_that_replays_nothing_lags_on_both_sides(standby: Standby, run_module_here: ModuleRun) -> None:
    standby.catch_up()
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        standby.primary.execute("SELECT pg_logical_emit_message(true, 'lag', repeat('x', 1000000))")
        lags = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > 900000"
        await_true(lambda: standby.execute(lags) == [(True,)], seconds=SECONDS, what="the standby's lag")
        here = judged(run_module_here, standby.primary, max_lag_bytes=900000)
        there = judged(run_module_here, standby, recovery="standby", max_lag_bytes=900000, max_lag_seconds=0)
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    assert (here["status"], there["status"]) == ("fail", "fail"), (here["summary"], there["summary"])
    assert here["measured"]["replication lag in bytes"] > 900000
    assert there["measured"]["WAL receiver"] == "streaming"
    assert there["measured"]["replication lag in bytes"] > 900000
    assert there["measured"]["replication lag in seconds"] > 0
    standby.catch_up()
    assert judged(run_module_here, standby, recovery="standby", max_lag_bytes=900000)["status"] == "pass"


def test_a_standby_that_follows_nobody_does_not_pass(
    strained: Postgres, version: str | None, run_module_here: ModuleRun
) -> None:
    lost = Standby(strained, version)
    lost.settings["max_prepared_transactions"] = strained.settings["max_prepared_transactions"]
    with lost:
        lost.catch_up()
        limits: dict[str, t.Any] = {"recovery": "standby", "max_lag_bytes": 10**9}
        assert judged(run_module_here, lost, **limits)["status"] == "pass"
        lost.execute("ALTER SYSTEM SET primary_conninfo = ''")
        lost.execute("SELECT pg_reload_conf()")
        gone = "SELECT count(*) FROM pg_stat_wal_receiver"
        await_true(lambda: lost.execute(gone) == [(0,)], seconds=SECONDS, what="the end of the WAL receiver")
        finding = judged(run_module_here, lost, **limits)
        alone = judged(run_module_here, strained, min_replicas=1, max_lag_bytes=10**9)
    assert finding["status"] == "unknown"
    assert "WAL receiver could not be read" in finding["summary"]
    assert finding["remedy"] == "Look at primary_conninfo."
    assert alone["status"] == "fail"
    assert "Streaming replicas is 0, expected at least 1" in alone["summary"]
    assert "replication lag in bytes is unknown: no replica is connected" in alone["summary"]


def test_an_abandoned_slot_and_a_failing_archiver_are_found(version: str | None, run_module_here: ModuleRun) -> None:
    with Postgres(version, settings={"archive_mode": "on", "archive_command": "false"}) as server:
        server.execute("SELECT pg_create_physical_replication_slot('abandoned', true)")
        server.execute("CREATE TABLE t AS SELECT 1")
        server.execute("SELECT pg_switch_wal()")
        await_true(
            lambda: server.execute("SELECT failed_count > 0 FROM pg_stat_archiver") == [(True,)],
            seconds=SECONDS,
            what="a failed archive_command",
        )
        server.execute("ALTER SYSTEM SET max_connections = 70")
        server.execute("SELECT pg_reload_conf()")
        finding = judged(
            run_module_here, server, slots="healthy", max_slot_bytes=1, archiver="required", max_archive_age=60
        )
    assert finding["status"] == "fail"
    for part in (
        "abandoned inactive, expected healthy",
        "WAL kept for the slowest slot",
        "Archiver is failing",
        "last archived WAL",
    ):
        assert part.lower() in finding["summary"].lower(), finding["summary"]


@pytest.fixture(scope="module")
def strained(version: str | None) -> t.Iterator[Postgres]:
    """A server of tight limits on what others may keep it from."""
    settings = {
        "max_prepared_transactions": "2",
        "autovacuum_freeze_max_age": "100000",
        "max_slot_wal_keep_size": "2MB",
        "min_wal_size": "2MB",
        "max_wal_size": "2MB",
    }
    with Postgres(version, settings=settings, initdb=["--wal-segsize=1"]) as server:
        yield server


def use_transaction_ids(server: Postgres, count: int) -> None:
    server.execute(f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")


def test_a_forgotten_session_holds_back_the_horizon_and_the_freezing(
    strained: Postgres, run_module_here: ModuleRun
) -> None:
    bounds = {"max_horizon_age": 1000, "max_freeze_age_share": 1}
    assert judged(run_module_here, strained, **bounds)["status"] == "pass"
    with strained.connect(application_name="report") as forgotten:
        forgotten.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        process = forgotten.execute("SELECT pg_backend_pid() FROM pg_class LIMIT 1").fetchone()[0]
        use_transaction_ids(strained, 110_000)
        finding = judged(run_module_here, strained, **bounds)
        strained.execute("CREATE ROLE blind LOGIN PASSWORD 'blind-canary-1'")
        blind = judged(run_module_here, strained, user="blind", password="blind-canary-1", max_horizon_age=1000)
        strained.execute("DROP ROLE blind")
    assert finding["status"] == "fail"
    assert "oldest transaction id as a share of autovacuum_freeze_max_age is 1.1" in finding["summary"].lower()
    held = f"it is held back by the session {process} of postgres (report) in postgres"
    assert held in finding["summary"]
    assert "pg_terminate_backend" in finding["remedy"]
    assert blind["status"] == "fail"
    assert held in blind["summary"]
    assert judged(run_module_here, strained, max_horizon_age=1000)["status"] == "pass"


@pytest.mark.parametrize("slot", [None, "feedback"])
def test_a_long_query_on_a_standby_holds_back_the_primary(
    strained: Postgres, version: str | None, run_module_here: ModuleRun, slot: str | None
) -> None:
    """By hot_standby_feedback; through a slot it stays even when the standby is gone."""
    held = "SELECT 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"
    replica = Standby(strained, version)
    feedback = {"hot_standby_feedback": "on", "wal_receiver_status_interval": "1s", "max_prepared_transactions": "2"}
    replica.settings.update(feedback)
    if slot is not None:
        strained.execute("SELECT pg_create_physical_replication_slot(%s)", slot)
        held = "SELECT 1 FROM pg_replication_slots WHERE xmin IS NOT NULL"
        replica.settings["primary_slot_name"] = slot
    with replica, replica.connect() as reading:
        reading.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reading.execute("SELECT FROM pg_class LIMIT 1")
        await_true(lambda: bool(strained.execute(held)), seconds=SECONDS, what="the standby's feedback")
        use_transaction_ids(strained, 2000)
        finding = judged(run_module_here, strained, max_horizon_age=1000)
        replica.catch_up()
        there = judged(run_module_here, replica, recovery="standby", max_horizon_age=1000, max_prepared_age=0)
    if slot is not None:
        strained.execute("SELECT pg_drop_replication_slot(%s)", slot)
    assert finding["status"] == "fail"
    holder = "the standby " if slot is None else "the replication slot feedback"
    assert f"it is held back by {holder}" in finding["summary"]
    assert "held back by the session" in there["summary"]


def test_a_prepared_transaction_that_nobody_ends_is_found_from_any_database(
    strained: Postgres, run_module_here: ModuleRun
) -> None:
    there, elsewhere = strained.create_database(), strained.create_database()
    options: dict[str, t.Any] = {"sessions": {"allowed_users": ["postgres"]}}
    with strained.connect(elsewhere) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE t (id int)")
        connection.execute("PREPARE TRANSACTION 'orphan'")
    try:
        use_transaction_ids(strained, 2000)
        finding = judged(run_module_here, strained, there, max_prepared_age=0, max_horizon_age=1000)
        young = judged(run_module_here, strained, there, max_prepared_age=3600, **options)
        own = judged(run_module_here, strained, elsewhere, **options)
    finally:
        strained.execute("ROLLBACK PREPARED 'orphan'", dbname=elsewhere)
    assert finding["status"] == "fail"
    assert f"age of prepared transactions is orphan of postgres in {elsewhere} for" in finding["summary"].lower()
    assert f"held back by the prepared transaction orphan in {elsewhere} for" in finding["summary"]
    assert young["status"] == "pass", young["summary"]
    assert "Prepared transactions is orphan of postgres, expected none" in own["summary"]
    assert judged(run_module_here, strained, there, max_prepared_age=0, max_horizon_age=1000)["status"] == "pass"


def test_a_slot_that_nobody_reads_runs_out_of_room_and_is_lost(strained: Postgres, run_module_here: ModuleRun) -> None:
    bounds: dict[str, t.Any] = {"slots": "healthy", "min_safe_wal_bytes": 10 * 2**20}
    assert judged(run_module_here, strained, **bounds)["status"] == "pass"
    strained.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        kept = judged(run_module_here, strained, **bounds)
        for _unused in range(6):
            strained.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 100000))")
            strained.execute("SELECT pg_switch_wal()")
        strained.execute("CHECKPOINT")
        lost = judged(run_module_here, strained, **bounds)
    finally:
        strained.execute("SELECT pg_drop_replication_slot('forgotten')")
    assert "Replication slots is forgotten inactive, expected healthy" in kept["summary"]
    assert "WAL that may be written before a slot is lost (forgotten) is " in kept["summary"]
    assert 0 < kept["measured"]["WAL that may be written before a slot is lost (forgotten)"] < 10 * 2**20
    assert "Replication slots is forgotten lost, expected healthy" in lost["summary"]
    assert "a slot is lost (forgotten) is 0 bytes" in lost["summary"]


def test_an_extension_that_was_not_updated_with_its_package_is_found(
    postgres: Postgres, database: str, run_module_here: ModuleRun
) -> None:
    postgres.execute("CREATE EXTENSION amcheck VERSION '1.0'", dbname=database)
    finding = judged(run_module_here, postgres, database, extension_versions="current")
    postgres.execute("ALTER EXTENSION amcheck UPDATE", dbname=database)
    updated = judged(run_module_here, postgres, database, extension_versions="current")
    assert finding["status"] == "fail"
    assert "Versions of extensions is amcheck 1.0 where 1." in finding["summary"]
    assert updated["status"] == "pass", updated["summary"]


def test_slow_statements_are_listed(run_module_here: ModuleRun, debian_postgres: Postgres) -> None:
    unloaded = judged(run_module_here, debian_postgres, statements={"max_mean_ms": 1})
    assert unloaded["status"] == "unknown"
    assert "CREATE EXTENSION pg_stat_statements" in unloaded["remedy"]
    versions = debian_postgres_versions()
    with Postgres(versions[0], settings={"shared_preload_libraries": "pg_stat_statements"}) as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        server.execute("SELECT pg_sleep(0.05), 'a literal that is nobody''s business'")
        finding = judged(run_module_here, server, statements={"max_mean_ms": 1, "min_calls": 1})
        assert finding["status"] == "fail"
        assert any("pg_sleep" in row["query"] for row in finding["evidence"]["statements"])
        assert "nobody" not in str(finding)
        fast = judged(run_module_here, server, statements={"max_mean_ms": 60000, "min_calls": 1})
        assert fast["status"] == "pass"


def test_an_encrypted_connection_is_named(run_module_here: ModuleRun, demo_ca: DemoCa, tmp_path: Path) -> None:
    versions = debian_postgres_versions()
    need_part("debian-postgres", versions, "no postgresql package is installed")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(demo_ca.pem)
    with Postgres(versions[0], tls=demo_ca.issue()) as server:
        dsn = server.dsn(password=None)
        verified = judged(
            run_module_here, server, dsn=f"{dsn}?sslmode=verify-full&sslrootcert={ca_file}", ssl="required"
        )
        assert verified["status"] == "pass", verified["summary"]
        assert verified["measured"]["encryption of the connection"] == "TLSv1.3"
        plain = judged(run_module_here, server, dsn=f"{dsn}?sslmode=disable", ssl="required")
        assert "Encryption of the connection is none, expected TLS" in plain["summary"]


def test_a_canary_is_not_run_in_check_mode(postgres: Postgres, run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, postgres, canary=True, check=True)
    assert finding["status"] == "unknown"
    assert "not run in check mode" in finding["summary"]
    assert finding["left_out"] is True


def test_a_wrong_password_is_unknown_and_says_so(postgres: Postgres, run_module_here: ModuleRun) -> None:
    finding = judged(run_module_here, postgres, password=WRONG)
    assert finding["status"] == "unknown"
    assert "refused the login" in finding["summary"]
    inside = judged(run_module_here, postgres, dsn=postgres.dsn(password=WRONG))
    assert inside["status"] == "unknown"
    assert "dsn holds a password" in inside["summary"]
    assert "nosuch" in judged(run_module_here, postgres, "nosuch")["summary"]


def test_no_server_and_a_hanging_one_are_unknown(
    run_module_here: ModuleRun, hanging_server: HangingServer, refused_port: int
) -> None:
    for port, said, timeout in (
        (refused_port, "cannot be reached", 30),
        (hanging_server.port, "No answer from PostgreSQL", 3),
    ):
        args = {"dsn": f"postgresql://app@127.0.0.1:{port}/shop", "enforce": False, "timeout": timeout}
        finding = run_module_here("check_postgres", args)["finding"]
        assert finding["status"] == "unknown"
        assert said in finding["summary"]


def test_used_alone_the_module_fails_unless_told_otherwise(postgres: Postgres, run_module: ModuleRun) -> None:
    args = {"dsn": postgres.dsn(password=None), "password": postgres.password, "recovery": "standby"}
    answer = run_module("check_postgres", args, secrets=[postgres.password])
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]


def test_the_examples_run_and_tell_good_from_bad(run_module_here: ModuleRun, demo_ca: DemoCa, tmp_path: Path) -> None:
    versions = debian_postgres_versions()
    need_part("debian-postgres", versions, "no postgresql package is installed")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(demo_ca.pem)
    settings = {"archive_mode": "on", "archive_command": "true", "max_connections": "100"}
    with Postgres(versions[0], settings=settings, tls=demo_ca.issue()) as server:
        replica = Standby(server, versions[0])
        replica.settings["max_connections"] = settings["max_connections"]
        with replica:
            for statement in (
                f"CREATE ROLE archive LOGIN PASSWORD '{server.password}'",
                f"CREATE ROLE monitor LOGIN PASSWORD '{server.password}' IN ROLE pg_monitor",
                "CREATE DATABASE archive OWNER archive",
            ):
                server.execute(statement)
            with server.connect("archive", user="archive", password=server.password) as connection:
                connection.execute("CREATE TABLE alembic_version AS SELECT '0002' AS version_num")
                connection.execute("CREATE TABLE jobs (state text)")
                connection.execute("GRANT SELECT ON jobs TO monitor")
                replaced = {
                    "db.example.org:5432": f"{HOST}:{server.port}",
                    "sslmode=verify-full": f"sslmode=verify-full&sslrootcert={ca_file}",
                    "{{ vault_postgres_password }}": server.password,
                    "{{ vault_monitor_password }}": server.password,
                    'min_version: "16"': f'min_version: "{versions[0]}"',
                }
                examples = examples_of("check_postgres", replaced).values()

                def statuses() -> list[str]:
                    found = [
                        run_module_here("check_postgres", {**args, "enforce": False}, secrets=[server.password])
                        for args in examples
                    ]
                    return [answer["finding"]["status"] for answer in found]

                await_true(
                    lambda: server.execute("SELECT state FROM pg_stat_replication") == [("streaming",)],
                    seconds=SECONDS,
                    what="replication",
                )
                assert statuses() == ["pass", "pass", "pass", "pass"]
                connection.execute("UPDATE alembic_version SET version_num = '0001'")
                server.execute("SELECT pg_create_physical_replication_slot('abandoned')")
                connection.execute("INSERT INTO jobs VALUES ('running')")
                server.execute("CREATE EXTENSION amcheck VERSION '1.0'", dbname="archive")
                assert statuses() == ["fail", "fail", "fail", "fail"]


# ---- several items on one database


@pytest.fixture
def lonely(postgres: Postgres) -> t.Iterator[str]:
    """A role that may be logged in once."""
    name = f"lonely_{secrets.token_hex(4)}"
    postgres.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 1 PASSWORD '{postgres.password}'")
    yield name
    await_true(
        lambda: not postgres.execute("SELECT 1 FROM pg_stat_activity WHERE usename = %s", name),
        seconds=SECONDS,
        what="the end of its sessions",
    )
    postgres.execute(f"DROP ROLE {name}")


def item_on(
    server: Postgres, identity: str, timeout: float = 30.0, *, user: str | None = None, **options: t.Any
) -> t.Any:
    params = {"dsn": server.dsn(user=user, password=None), "password": server.password, **options}
    return {"id": identity, "check": "check_postgres", "params": params, "timeout": timeout}


def judged_together(server: Postgres, items: list[t.Any], **options: t.Any) -> list[dict[str, t.Any]]:
    return judge_all(items, [], timeout_seconds=120, scrub=Scrubber([server.password, WRONG]), **options)


def settings_and_database(server: Postgres, env_file: Path, url: str) -> list[dict[str, t.Any]]:
    """The findings of the two items by which an application's DATABASE_URL is judged."""
    env_file.write_text(f"DATABASE_URL={url}\n")
    env_file.chmod(0o600)
    rules = [{"name": "DATABASE_URL", "kind": "dsn", "schemes": ["postgresql"]}]
    settings = {"id": "url", "check": "check_env", "params": {"file": str(env_file), "rules": rules}, "timeout": 30.0}
    return judged_together(server, [settings, item_on(server, "database", min_version="15", recovery="primary")])


@serves("S0.10", "S1.13", case="pass")
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+asyncpg", "postgres"])
def test_the_settings_name_a_database_that_answers_as_the_primary(
    postgres: Postgres, tmp_path: Path, driver: str
) -> None:
    url = postgres.dsn(password=postgres.password).replace("postgresql:", f"{driver}:")
    settings, database = settings_and_database(postgres, tmp_path / "app.env", url)
    assert (settings["status"], database["status"]) == ("pass", "pass"), (settings, database)
    assert settings["measured"]["DATABASE_URL"] == f"{driver}://postgres:********@{HOST}:{postgres.port}/postgres"
    assert database["measured"]["server"] == "primary"
    assert database["evidence"]["server"]["version"] == database["measured"]["version"]
    assert database["evidence"]["server"]["in_recovery"] is False
    assert postgres.password not in str((settings, database))


@serves("S0.10", "S1.13", case="fail")
def test_a_file_for_a_database_and_a_server_in_recovery_fail(standby: Standby, tmp_path: Path) -> None:
    settings, database = settings_and_database(standby, tmp_path / "app.env", "sqlite:///archive.db")
    assert settings["status"] == "fail"
    assert "DATABASE_URL has the scheme sqlite, expected postgresql" in settings["summary"]
    assert database["status"] == "fail"
    assert "Server is standby, expected primary" in database["summary"]


def test_twenty_items_share_one_login(postgres: Postgres, lonely: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "PATIENCE_SECONDS", 60.0)
    queries = [{"name": "one", "sql": "SELECT 1", "value": "1"}]
    options: list[dict[str, t.Any]] = [
        {},
        {"queries": queries},
        {"canary": True},
        {"settings": {"server_encoding": "UTF8"}},
    ]
    items = [item_on(postgres, str(number), 60.0, user=lonely, **options[number % 4]) for number in range(20)]
    found = judged_together(postgres, items)
    assert {finding["status"] for finding in found} == {"pass"}, [finding["summary"] for finding in found]


def test_a_long_query_of_one_item_keeps_no_other_from_its_answer(postgres: Postgres) -> None:
    slow = {"name": "slow", "sql": "SELECT 1 FROM pg_sleep(8)", "value": "1"}
    items = [item_on(postgres, "slow", 40.0, queries=[slow]), *(item_on(postgres, str(n), 6.0) for n in range(3))]
    found = judged_together(postgres, items)
    assert [finding["status"] for finding in found] == ["pass"] * 4, [finding["summary"] for finding in found]


def test_one_items_limit_is_not_anothers(postgres: Postgres) -> None:
    """On the same connection: the first item's statement_timeout and watchdog would both end the second one's query."""
    slow = {"name": "slow", "sql": "SELECT 1 FROM pg_sleep(3)", "value": "1"}
    items = [item_on(postgres, "short", 1.5), item_on(postgres, "long", 30.0, queries=[slow])]
    found = judged_together(postgres, items, workers=1)
    assert [finding["status"] for finding in found] == ["pass", "pass"], found[1]["summary"]
    late = [item_on(postgres, "short", 1.0, queries=[slow]), item_on(postgres, "long", 30.0, queries=[slow])]
    found = judged_together(postgres, late, workers=1)
    assert [finding["status"] for finding in found] == ["unknown", "pass"], found[1]["summary"]


def test_what_one_items_query_sets_is_gone_for_the_next(postgres: Postgres) -> None:
    changing = {"name": "c", "sql": "SELECT set_config('search_path', 'changed', false)", "value": "changed"}
    locking = {"name": "l", "sql": "SELECT pg_try_advisory_lock(8071)::text", "value": "true"}
    locks = {
        "name": "n",
        "sql": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 8071",
        "value": "0",
    }
    looking = {"name": "s", "sql": "SELECT current_setting('search_path') <> 'changed'", "value": "true"}
    items = [
        item_on(postgres, "first", queries=[changing, locking]),
        item_on(postgres, "second", queries=[looking, locks]),
    ]
    found = judged_together(postgres, items, workers=1)
    assert [finding["status"] for finding in found] == ["pass", "pass"], found[1]["summary"]


def test_a_wrong_password_is_tried_once_for_all(postgres: Postgres) -> None:
    before = postgres.log().count("password authentication failed")
    items = [item_on(postgres, str(number), password=WRONG) for number in range(8)]
    found = judged_together(postgres, items)
    assert {finding["status"] for finding in found} == {"unknown"}
    assert all("refused the login" in finding["summary"] for finding in found)
    assert postgres.log().count("password authentication failed") - before == 1
