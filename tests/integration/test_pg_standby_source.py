# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup from a standby: nothing that was written before the fence is missing from it."""

from __future__ import annotations

import contextlib
import secrets
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_restore import fence
from tests.servers import Postgres, Standby, await_true

NOTES = "create table public.notes (id bigserial primary key, text text)"


@pytest.fixture(scope="module", params=[None, "15"], ids=["18", "15"])
def standby(request: pytest.FixtureRequest) -> t.Iterator[Standby]:
    with Postgres(request.param) as primary, Standby(primary, request.param) as server:
        server.catch_up()
        yield server


@pytest.fixture
def sample(standby: Standby) -> t.Iterator[Sample]:
    made = Sample(standby.primary)
    try:
        made.create(NOTES)
        standby.catch_up()
        yield made
    finally:
        made.drop()


@contextlib.contextmanager
def paused(standby: Standby) -> t.Iterator[None]:
    """A standby that stays where it is."""
    standby.execute("select pg_wal_replay_pause()")
    try:
        await_true(
            lambda: standby.execute("select pg_get_wal_replay_pause_state()") == [("paused",)],
            seconds=30,
            what="the pause",
        )
        yield
    finally:
        standby.execute("select pg_wal_replay_resume()")


def options(sample: Sample, standby: Standby, place: Path, **more: t.Any) -> dict[str, t.Any]:
    dsn = standby.dsn(sample.name, user=sample.login, password=None)
    where = {"destination": f"file://{place}", "pg_bindir": sample.programs, "verify": "archive", "dsn": dsn}
    return {**sample.options(), **where, **more}


def test_a_standby_that_has_not_replayed_the_fence_is_refused(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    with paused(standby):
        before = standby.execute("select pg_last_wal_replay_lsn()::text")[0][0]
        with standby.primary.connect(sample.name, options="-c synchronous_commit=off") as writer:
            writer.execute("insert into public.notes (text) values ('the last one')")
        lsn = fence(run_module_here, sample, method="revoke")["position"]["lsn"]
        for check in (True, False):
            wanted = options(sample, standby, tmp_path, after_lsn=lsn, catch_up_timeout=0)
            refused = run_module_here("pg_backup", wanted, check=check)
            assert refused["failed"] is True, refused
            assert f"has replayed {before}, and the fence is at {lsn}" in refused["msg"]
            assert (refused["replayed_lsn"], refused["after_lsn"]) == (before, lsn)
        assert list(tmp_path.iterdir()) == []
    standby.catch_up()
    made = run_module_here("pg_backup", options(sample, standby, tmp_path, after_lsn=lsn))
    assert (made["changed"], made["backup"]["rows"]) == (True, 1), made


def test_a_release_finds_its_own_fence_on_the_standby(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    mine, another = (f"archive-{secrets.token_hex(4)}/{name}/1/{secrets.token_hex(8)}" for name in ("r1", "r2"))
    with paused(standby):
        fence(run_module_here, sample, method="revoke")
        refused = run_module_here("pg_backup", options(sample, standby, tmp_path, release=mine, catch_up_timeout=0))
        assert "it shows no fence of release r1" in refused["msg"], refused
    standby.catch_up()
    refused = run_module_here("pg_backup", options(sample, standby, tmp_path, release=another, catch_up_timeout=0.5))
    assert "it shows no fence of release r2" in refused["msg"], refused
    assert list(tmp_path.iterdir()) == []
    made = run_module_here("pg_backup", options(sample, standby, tmp_path, release=mine))
    assert (made["changed"], made["backup"]["release"]) == (True, "r1"), made


def test_a_standby_whose_primary_does_not_wait_for_a_dump_is_told(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    said = f"The server of {sample.name} is a standby with hot_standby_feedback = off"
    assert said in str(run_module_here("pg_backup", options(sample, standby, tmp_path))["warnings"])
    other = Sample(standby.primary)
    standby.execute("alter system set hot_standby_feedback = on")
    standby.execute("select pg_reload_conf()")
    try:
        other.create(NOTES)
        standby.catch_up()
        await_true(lambda: standby.execute("show hot_standby_feedback") == [("on",)], seconds=30, what="the setting")
        quiet = run_module_here("pg_backup", options(other, standby, tmp_path))
        assert quiet["changed"] is True, quiet
        assert f"The server of {other.name} is a standby" not in str(quiet.get("warnings"))
    finally:
        standby.execute("alter system reset hot_standby_feedback")
        standby.execute("select pg_reload_conf()")
        other.drop()


@pytest.mark.parametrize("wrong", ["soon", "0/", "0/123456789", "1"])
def test_what_is_no_position_is_refused(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path, wrong: str
) -> None:
    refused = run_module_here("pg_backup", options(sample, standby, tmp_path, after_lsn=wrong))
    assert f"after_lsn is {wrong}, expected a position" in refused["msg"], refused
