# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_fence on real servers: behind the fence nobody writes, and from every state a kill leaves there is a way on."""

from __future__ import annotations

import threading
import typing as t

import psycopg
import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Mark, claim
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import HangingServer, Postgres

NO_TABLES = "create table public.notes (id bigserial primary key, text text)"


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(NO_TABLES)
    finally:
        made.drop()


def options(sample: Sample, state: str, **more: t.Any) -> dict[str, t.Any]:
    return sample.options(state=state, **{"fence_id": "r1", **more})


def mark(sample: Sample, name: str, kind: str, *, identity: str = "r1", oid: int | None = None) -> None:
    found = sample.server.execute("select oid::bigint from pg_database where datname = %s", name)[0][0]
    text = Mark(kind, sample.name, identity, found if oid is None else oid, "Das Archiv").text()
    with sample.server.connect() as connection:
        connection.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(text)))


def alter(sample: Sample, statement: str, *names: str) -> None:
    with sample.server.connect() as connection:
        connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


class Clients:
    """Clients that write and reconnect as fast as they can."""

    def __init__(self, sample: Sample, count: int) -> None:
        self.sample = sample
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def _write(self, number: int) -> None:
        login = self.sample.owner if number % 3 else "postgres"
        password = self.sample.password if number % 3 else self.sample.server.password
        dsn = self.sample.server.dsn(self.sample.name, user=login, password=password)
        while not self.stopped.is_set():
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
                    while not self.stopped.is_set():
                        connection.execute("insert into public.notes (text) values ('x')")
            except psycopg.Error:
                continue

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_check_mode_apply_check_mode_apply(run_module_here: ModuleRun, sample: Sample) -> None:
    before = sample.properties()
    would = run_module_here("pg_fence", options(sample, "fenced"), check=True, diff=True, secrets=[sample.password])
    assert would["changed"] is True
    assert sample.databases() == [sample.name]

    done = run_module_here("pg_fence", options(sample, "fenced"), secrets=[sample.password])
    fenced = f"{sample.name}_golive_r1"
    assert (done["changed"], done["fenced_database"]) == (True, fenced), done
    assert done["position"]["snapshot"].count(":") == 2
    assert done["diff"]["after"] == f"database: {fenced}\n"
    assert sample.databases() == [fenced]

    for check in (True, False):
        again = run_module_here("pg_fence", options(sample, "fenced"), check=check)
        assert again["changed"] is False
        assert again["position"] == done["position"]

    assert run_module_here("pg_fence", options(sample, "lifted"), check=True)["changed"] is True
    assert sample.databases() == [fenced]
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert run_module_here("pg_fence", options(sample, "lifted"), check=True)["changed"] is False
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is False
    assert sample.properties() == before


def test_twelve_clients_that_reconnect_are_stopped_every_time(run_module_here: ModuleRun, sample: Sample) -> None:
    with Clients(sample, 12):
        # Superusers write too, and only a superuser may end their sessions.
        wanted = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
        for turn in range(4):
            fenced = run_module_here("pg_fence", {**options(sample, "fenced"), **wanted})
            assert fenced["changed"] is True, fenced
            name = fenced["fenced_database"]
            count = sample.execute("select count(*) from public.notes", name=name)
            assert sample.server.execute("select count(*) from pg_stat_activity where datname = %s", name)[0][0] == 0
            assert sample.execute("select count(*) from public.notes", name=name) == count
            assert run_module_here("pg_fence", {**options(sample, "lifted"), **wanted})["changed"] is True, turn


def test_foreign_sessions_are_listed_by_user_application_and_address(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    with sample.connect() as unused, sample.server.connect(sample.name, application_name="opsready/r1/1") as ours:
        ours.execute("select 1")
        hidden = run_module_here("pg_fence", options(sample, "status"))
        assert [one["address"] for one in hidden["sessions"]] == ["not visible to this login"] * 2
        wanted = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
        seen = run_module_here("pg_fence", {**options(sample, "status"), **wanted})
    assert seen["changed"] is False
    assert seen["fence"]["state"] == "open"
    assert len(seen["sessions"]) == 2
    (stranger,) = seen["foreign_sessions"]
    assert (stranger["user"], stranger["address"]) == ("postgres", "127.0.0.1")
    assert "1 of them foreign" in seen["msg"]


def test_status_needs_no_id(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced", fence_id="r-2026.11"))
    seen = run_module_here("pg_fence", sample.options(state="status"))
    assert (seen["fence"]["state"], seen["fence"]["id"]) == ("fenced", "r-2026.11")
    failed = run_module_here("pg_fence", sample.options(state="lifted"))
    assert "Neither release nor fence_id" in failed["msg"]


def test_only_the_application_is_let_inside(run_module_here: ModuleRun, sample: Sample) -> None:
    before = sample.properties()
    refused = run_module_here("pg_fence", options(sample, "inside", application_roles=[sample.owner]))
    assert "not fenced" in refused["msg"]
    run_module_here("pg_fence", options(sample, "fenced"))
    inside = options(sample, "inside", application_roles=[sample.owner])
    assert run_module_here("pg_fence", inside, check=True)["changed"] is True
    assert run_module_here("pg_fence", inside)["changed"] is True
    assert run_module_here("pg_fence", inside)["changed"] is False
    with sample.server.connect(sample.name, user=sample.owner, password=sample.password) as connection:
        connection.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        sample.server.connect(sample.name, user=sample.reader, password=sample.password)
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert sample.properties() == before


def test_a_fence_goes_up_again_from_inside(run_module_here: ModuleRun, sample: Sample) -> None:
    before = sample.properties()
    run_module_here("pg_fence", options(sample, "fenced"))
    run_module_here("pg_fence", options(sample, "inside", application_roles=[sample.owner]))
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert sample.properties() == before


def test_a_copy_is_made_closed_and_made_anew_by_a_later_fence(run_module_here: ModuleRun, sample: Sample) -> None:
    with_copy = options(sample, "fenced", copy=True)
    first = run_module_here("pg_fence", with_copy)
    name = f"{sample.name}_before_r1"
    assert first["copy"]["name"] == name
    assert sample.properties(name)["open"] is False
    assert run_module_here("pg_fence", with_copy)["changed"] is False
    run_module_here("pg_fence", options(sample, "lifted"))
    sample.execute("insert into public.notes (text) values ('later')")
    second = run_module_here("pg_fence", with_copy)
    assert second["copy"]["oid"] != first["copy"]["oid"], second
    alter(sample, "alter database {} allow_connections true", name)
    assert sample.execute("select count(*) from public.notes", name=name) == [(1,)]


def test_a_copy_can_be_asked_for_later(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    assert run_module_here("pg_fence", options(sample, "fenced", copy=True))["changed"] is True
    assert f"{sample.name}_before_r1" in sample.databases()


def test_somebody_elses_database_under_the_copys_name_is_left_alone(run_module_here: ModuleRun, sample: Sample) -> None:
    name = f"{sample.name}_before_r1"
    alter(sample, "create database {}", name)
    failed = run_module_here("pg_fence", options(sample, "fenced", copy=True))
    assert "does not carry our mark" in failed["msg"]
    assert name in sample.databases()
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True


def test_what_a_kill_left_of_a_copy_is_replaced(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    name = f"{sample.name}_before_r1"
    claimed = f"allow_connections false connection limit {claim(sample.name, name)}"
    alter(sample, f"create database {{}} owner {{}} {claimed}", name, sample.owner)
    done = run_module_here("pg_fence", options(sample, "fenced", copy=True))
    assert done["changed"] is True, done
    alter(sample, "alter database {} allow_connections true", f"{sample.name}_before_r1")
    assert sample.execute("select count(*) from public.notes", name=f"{sample.name}_before_r1") == [(0,)]


@pytest.mark.parametrize("closed", [True, False])
def test_a_fence_that_was_killed_half_way_is_finished_or_lifted(
    run_module_here: ModuleRun, sample: Sample, closed: bool
) -> None:
    before = sample.properties()
    mark(sample, sample.name, "fencing")
    if closed:
        alter(sample, "alter database {} allow_connections false", sample.name)
    assert run_module_here("pg_fence", options(sample, "status"))["fence"]["state"] == "fencing"
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert sample.properties() == before

    mark(sample, sample.name, "fencing")
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert sample.properties() == before


def test_a_fence_that_was_killed_before_it_was_opened_is_opened(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    alter(sample, "alter database {} allow_connections false", f"{sample.name}_golive_r1")
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True
    assert sample.properties(f"{sample.name}_golive_r1")["open"] is True


def test_another_releases_fence_is_named(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    for state in ("fenced", "lifted"):
        refused = run_module_here("pg_fence", options(sample, state, fence_id="r2"))
        assert refused["error"] == "Refused"
        assert f"{sample.name}_golive_r1 (fence r1)" in refused["msg"]


def test_when_both_names_exist_it_is_said_which_is_which(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    alter(sample, "create database {}", sample.name)
    for state in ("fenced", "lifted"):
        refused = run_module_here("pg_fence", options(sample, state))
        assert refused["error"] == "Refused"
        assert "holds the fenced data" in refused["msg"]
    assert len(sample.databases()) == 2


def test_a_foreign_database_under_the_fenced_name_is_left_alone(run_module_here: ModuleRun, sample: Sample) -> None:
    fenced = f"{sample.name}_golive_r1"
    alter(sample, "alter database {} rename to {}", sample.name, fenced)
    for state in ("fenced", "lifted"):
        assert "does not carry our mark" in run_module_here("pg_fence", options(sample, state))["msg"]
    # A mark that came with another database (its OID differs) does not count either.
    mark(sample, fenced, "fenced", oid=1)
    assert "does not carry our mark" in run_module_here("pg_fence", options(sample, "lifted"))["msg"]


def test_a_database_that_is_not_there_or_closed_by_somebody_is_named(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    failed = run_module_here("pg_fence", options(sample, "fenced", database="no_such_database"))
    assert "neither a database no_such_database nor" in failed["msg"]
    alter(sample, "alter database {} allow_connections false", sample.name)
    refused = run_module_here("pg_fence", options(sample, "lifted"))
    assert "Somebody else closed it" in refused["msg"]


def test_prepared_transactions_are_refused() -> None:
    with Postgres(settings={"max_prepared_transactions": "2"}) as server:
        made = Sample(server)
        made.create(NO_TABLES)
        with made.connect() as connection:
            connection.execute("begin")
            connection.execute("insert into public.notes (text) values ('x')")
            connection.execute("prepare transaction 'left over'")
        from tests.integration.sample_database import ModuleInBackground

        with ModuleInBackground("pg_fence", options(made, "fenced")) as module:
            refused = module.answer()
        assert refused["error"] == "Refused"
        assert "left over of postgres" in refused["msg"]
        assert made.databases() == [made.name]


def test_a_login_without_the_rights_changes_nothing(run_module_here: ModuleRun, sample: Sample) -> None:
    wanted = {**options(sample, "fenced"), "dsn": sample.dsn(login=sample.reader)}
    denied = run_module_here("pg_fence", wanted)
    assert denied["error"] == "Denied"
    for right in ("CREATEDB", f"membership in {sample.owner}", "pg_signal_backend"):
        assert right in denied["msg"]
    assert sample.databases() == [sample.name]


def test_a_superusers_session_that_cannot_be_ended_opens_the_database_again(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    before = sample.properties()
    with sample.connect() as connection:
        failed = run_module_here("pg_fence", options(sample, "fenced"))
        assert failed["failed"] is True
        assert failed["error"] == "Denied"
        assert failed["left"] == {"state": "open"}
        assert connection.execute("select 1").fetchone() == (1,)
    assert sample.properties() == before


def test_two_at_once_do_not_meet(run_module_here: ModuleRun, sample: Sample) -> None:
    from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import cluster_of
    from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline

    opened = cluster_of(
        sample.dsn(),
        password=sample.password,
        maintenance="postgres",
        deadline=Deadline(60),
        application_name="opsready",
    )
    with opened as cluster, cluster.exclusive(sample.name, doing="test"):
        refused = run_module_here("pg_fence", options(sample, "fenced"))
        assert "another step of ours is at work" in refused["msg"]
        assert run_module_here("pg_fence", options(sample, "status"))["fence"]["state"] == "open"
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True


def test_a_server_that_hangs_ends_at_the_limit(
    run_module_here: ModuleRun, sample: Sample, hanging_server: HangingServer
) -> None:
    dsn = f"postgresql://golive@127.0.0.1:{hanging_server.port}/archive"
    failed = run_module_here(
        "pg_fence", {"state": "status", "dsn": dsn, "password": "canary-11", "timeout": 1.0}, secrets=["canary-11"]
    )
    assert failed["error"] == "TimedOut"


def test_a_name_of_63_bytes_is_fenced_and_lifted(run_module_here: ModuleRun, postgres: Postgres) -> None:
    name = "ü" * 20 + "x" * 23
    assert len(name.encode()) == 63
    made = Sample(postgres, name=name)
    try:
        made.create(NO_TABLES)
        fenced = run_module_here("pg_fence", options(made, "fenced", copy=True))
        assert fenced["changed"] is True, fenced
        assert len(fenced["fenced_database"].encode()) <= 63
        assert run_module_here("pg_fence", options(made, "lifted"))["changed"] is True
        assert name in made.databases()
    finally:
        made.drop()
