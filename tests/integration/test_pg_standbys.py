# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way back on a server that has standbys: nobody there goes on reading the database that gave way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import typing as t
from pathlib import Path

import psycopg
import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import standbys
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample, await_gone
from tests.integration.test_pg_restore import back_up, baseline, fence, migrate, restore
from tests.servers import HangingServer, Postgres, Standby, await_true


@pytest.fixture(scope="module", params=[None, "15"], ids=["18", "15"])
def standby(request: pytest.FixtureRequest) -> t.Iterator[Standby]:
    """Of a server of its own: a standby stands in the way of every restore that does not name it."""
    with Postgres(request.param) as primary, Standby(primary, request.param) as server:
        server.catch_up()
        yield server


@pytest.fixture
def sample(standby: Standby) -> t.Iterator[Sample]:
    with Sample(standby.primary) as made:
        yield made


@pytest.fixture
def readers(sample: Sample, standby: Standby) -> t.Iterator[list[t.Any]]:
    """Two sessions on the standby, one of them in a transaction, from before the release."""
    standby.catch_up()
    idle, reading = (standby.connect(sample.name, user=sample.owner, password=sample.password) for _each in range(2))
    with contextlib.closing(idle), contextlib.closing(reading):
        reading.execute("begin isolation level repeatable read")
        yield [idle, reading]


@pytest.fixture
def way_back(run_module_here: ModuleRun, sample: Sample, readers: list[t.Any], tmp_path: Path) -> dict[str, t.Any]:
    """The arguments that bring the database back behind its fence, after a bad migration."""
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    migrate(sample)
    since = baseline(run_module_here, sample)
    return restore(sample, "restored", backup=made["manifest"], baseline=since, target=f"{sample.name}_golive_r1")


def named(sample: Sample, *servers: Postgres) -> list[str]:
    return [server.dsn(sample.name, user=sample.login, password=None) for server in servers]


COUNT = "select count(*) from app.documents"


def test_what_reads_the_old_database_on_a_standby_is_ended(
    run_module_here: ModuleRun,
    sample: Sample,
    standby: Standby,
    readers: list[t.Any],
    way_back: dict[str, t.Any],
) -> None:
    fenced, failed = f"{sample.name}_golive_r1", f"{sample.name}_failed_r1"
    standby.catch_up()
    assert [one.execute(COUNT).fetchone() for one in readers] == [(2500,), (2500,)]

    wanted = {**way_back, "standbys": named(sample, standby)}
    would = run_module_here("pg_restore", wanted, check=True)
    assert would["changed"] is True, would
    assert readers[0].execute(COUNT).fetchone() == (2500,)

    done = run_module_here("pg_restore", wanted, secrets=[sample.password])
    assert done["changed"] is True, done
    (freed,) = done["standbys"]
    assert freed["standby"] == f"postgres at 127.0.0.1:{standby.port} as {sample.login}"
    assert sorted(one["pid"] for one in freed["ended_sessions"]) == sorted(one.info.backend_pid for one in readers)
    for ended in readers:
        with pytest.raises(psycopg.OperationalError):
            ended.execute(COUNT)
    left = "select count(*) from pg_stat_activity where datname = %s"
    assert standby.execute(left, failed) == [(0,)]
    assert standby.execute(COUNT, dbname=fenced) == [(2000,)]

    again = run_module_here("pg_restore", wanted)
    assert (again["changed"], again["standbys"][0]["ended_sessions"]) == (False, [])
    fence(run_module_here, sample, "lifted")
    standby.catch_up()
    assert standby.execute(COUNT, dbname=sample.name) == [(2000,)]


def test_a_standby_that_is_not_named_is_refused_unless_it_is_left(
    run_module_here: ModuleRun,
    sample: Sample,
    standby: Standby,
    readers: list[t.Any],
    way_back: dict[str, t.Any],
) -> None:
    there = sample.databases()
    for check in (True, False):
        refused = run_module_here("pg_restore", way_back, check=check)
        assert refused["failed"] is True, refused
        assert "1 standbys follow this server, copy at" in refused["msg"]
        assert sample.databases() == there

    left = run_module_here("pg_restore", {**way_back, "unfreed_standbys": "leave"})
    assert left["changed"] is True, left
    assert [one["standby"] for one in left["standbys"]] == [None]
    assert "and standbys names 0" in left["standbys"][0]["problem"]
    assert "sessions on a standby may still read what it replaced" in str(left["warnings"])
    standby.catch_up()
    # What it is all about: no error, and the rows of the failed release.
    assert readers[0].execute(COUNT).fetchone() == (2500,)


def test_what_is_named_must_be_a_standby_of_this_server(
    run_module_here: ModuleRun,
    sample: Sample,
    standby: Standby,
    way_back: dict[str, t.Any],
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = sample.databases()
    postgres.execute(f"create role {sample.login} login password '{sample.password}'")
    for wrong, why in (
        (standby.primary, "is named as a standby and is not in recovery"),
        (postgres, "is named as a standby and is of another cluster"),
    ):
        refused = run_module_here("pg_restore", {**way_back, "standbys": named(sample, wrong)})
        assert refused["failed"] is True, refused
        assert why in refused["msg"]
        assert sample.databases() == there
    with HangingServer() as silent:
        dsn = f"postgresql://golive@127.0.0.1:{silent.port}/{sample.name}"
        monkeypatch.setattr(standbys, "STANDBY_SECONDS", 1)
        refused = run_module_here("pg_restore", {**way_back, "standbys": [dsn]})
        assert refused["failed"] is True, refused
        assert sample.databases() == there
        # At night a replica that is down keeps nobody from the way back.
        back = run_module_here("pg_restore", {**way_back, "standbys": [dsn], "unfreed_standbys": "leave"})
        assert back["changed"] is True, back
        assert f"127.0.0.1:{silent.port}" in back["standbys"][0]["standby"]


def test_a_standby_that_does_not_catch_up_is_not_taken_for_free(
    run_module_here: ModuleRun,
    sample: Sample,
    standby: Standby,
    readers: list[t.Any],
    way_back: dict[str, t.Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standbys, "STANDBY_SECONDS", 2)
    wanted = {**way_back, "standbys": named(sample, standby)}
    standby.execute("select pg_wal_replay_pause()")
    try:
        await_true(
            lambda: standby.execute("select pg_get_wal_replay_pause_state()") == [("paused",)],
            seconds=30,
            what="the pause",
        )
        late = run_module_here("pg_restore", wanted)
        assert late["failed"] is True, late
        assert f"{sample.name} is back; but sessions on a standby may still read what it replaced" in late["msg"]
        assert "has replayed" in late["msg"]
        assert sample.execute(COUNT, name=f"{sample.name}_golive_r1") == [(2000,)]
        told = run_module_here("pg_restore", {**wanted, "unfreed_standbys": "leave"})
        assert (told.get("failed"), told["changed"]) == (None, False), told
        assert "has replayed" in told["standbys"][0]["problem"]
        assert "may still read what it replaced" in str(told["warnings"])
    finally:
        standby.execute("select pg_wal_replay_resume()")
    # They were ended all the same: what they read may be what holds the replay up.
    for ended in readers:
        with pytest.raises(psycopg.OperationalError):
            ended.execute(COUNT)
    monkeypatch.setattr(standbys, "STANDBY_SECONDS", 30)
    done = run_module_here("pg_restore", wanted)
    assert (done["changed"], done["standbys"][0]["ended_sessions"]) == (False, []), done


def test_a_reader_that_holds_the_replay_up_is_ended(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, readers: list[t.Any], tmp_path: Path
) -> None:
    standby.execute("alter system set max_standby_streaming_delay = -1")
    standby.execute("select pg_reload_conf()")
    try:
        assert readers[1].execute(COUNT).fetchone() == (2000,)  # its lock is in the way of the migration's
        fence(run_module_here, sample)
        made = back_up(run_module_here, sample, tmp_path)
        migrate(sample)
        since = baseline(run_module_here, sample)
        wanted = restore(sample, "restored", backup=made["manifest"], baseline=since, standbys=named(sample, standby))
        done = run_module_here("pg_restore", wanted)
        assert done["changed"] is True, done
        assert readers[1].info.backend_pid in [one["pid"] for one in done["standbys"][0]["ended_sessions"]]
    finally:
        standby.execute("alter system reset max_standby_streaming_delay")
        standby.execute("select pg_reload_conf()")


ONE_MORE = "insert into app.documents (title) values (%s)"


def write_one_by_one(server: Postgres, sample: Sample, title: str, rows: int) -> None:
    """Each row in a transaction of its own, so that each takes a transaction id."""
    with server.connect(sample.name) as connection:
        for number in range(rows):
            connection.execute(ONE_MORE, [f"{title} {number}"])


def go_past(server: Postgres, sample: Sample, snapshot: str) -> None:
    """Give out transaction ids until those of the snapshot are used up."""
    newest = int(snapshot.split(":")[1])
    with server.connect(sample.name) as connection:
        while connection.execute("select pg_current_xact_id()::text::int8").fetchone()[0] <= newest:
            pass


@pytest.mark.parametrize("source", ["baseline", "backup"])
def test_what_a_promoted_standby_had_not_got_is_not_known_to_be_unlost(
    run_module_here: ModuleRun, tmp_path: Path, source: str
) -> None:
    with Postgres() as primary:
        sample = Sample(primary).create()  # it ends with its server
        sample.execute("drop table app.unlogged")
        with Standby(primary) as standby:
            standby.catch_up()
            standby.stop()
            write_one_by_one(primary, sample, "lost", 30)
            since: dict[str, t.Any] = {
                "baseline": run_module_here("pg_restore", restore(sample, "assessed"))["baseline"]
            }
            if source == "backup":
                since = {"backup": back_up(run_module_here, sample, tmp_path)["manifest"]}
            seen = run_module_here("pg_restore", restore(sample, "assessed", **since))
            assert seen["data_loss"]["lossless"] is True, seen
            primary.kill()
            standby.start()
            standby.execute("select pg_promote()")
            # As many rows as were lost, under the very transaction ids of those.
            write_one_by_one(standby, sample, "new", 30)
            go_past(standby, sample, seen["baseline"]["snapshot"])
            there = sample_at(standby, sample)
            asked = {**restore(sample, "assessed", **since), "dsn": there}
            seen = run_module_here("pg_restore", asked)
            assert seen["data_loss"]["lossless"] is None, seen["data_loss"]
            assert "timeline 1, and the server is on 2" in seen["msg"]
            # What is taken there and then counts.
            asked = {**restore(sample, "assessed", baseline=seen["baseline"]), "dsn": there}
            assert run_module_here("pg_restore", asked)["data_loss"]["lossless"] is True


def sample_at(server: Postgres, sample: Sample) -> str:
    return server.dsn(sample.name, user=sample.login, password=None)


@pytest.mark.parametrize("source", ["baseline", "backup"])
def test_a_crash_gives_no_transaction_id_of_the_snapshot_again(
    run_module_here: ModuleRun, tmp_path: Path, source: str
) -> None:
    with Postgres() as server:  # without synchronous_commit
        sample = Sample(server).create()
        sample.execute("drop table app.unlogged")
        server.execute("checkpoint")
        writers = (
            "select pid from pg_stat_activity where backend_type in ('walwriter', 'checkpointer', 'background writer')"
        )
        stopped = [pid for (pid,) in server.execute(writers)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        write_one_by_one(server, sample, "not flushed", 30)
        if source == "baseline":
            since: dict[str, t.Any] = {
                "baseline": run_module_here("pg_restore", restore(sample, "assessed"))["baseline"]
            }
            snapshot = since["baseline"]["snapshot"]
        else:
            since = {"backup": back_up(run_module_here, sample, tmp_path)["manifest"]}
            snapshot = json.loads(Path(since["backup"].removeprefix("file://")).read_text())["snapshot"]
        server.kill()
        for pid in stopped:  # each is in a session of its own, and notices nothing
            os.kill(pid, signal.SIGKILL)
        await_gone(stopped)
        server.start()
        newest = int(snapshot.split(":")[1])
        assert server.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::int8 >= %s", newest) == [(True,)]
        write_one_by_one(server, sample, "new", 1)
        seen = run_module_here("pg_restore", restore(sample, "assessed", **since))
        loss = seen["data_loss"]
        assert (loss["lossless"], loss["rows"], loss["gone_rows"]) == (False, 1, 0), loss
