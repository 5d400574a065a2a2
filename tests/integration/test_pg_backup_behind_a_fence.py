# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup from a standby waits for the fence, and believes no position of another cluster or timeline."""

from __future__ import annotations

import concurrent.futures
import contextlib
import secrets
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_restore import fence
from tests.integration.test_pg_standby_source import NOTES, options, paused, sample, standby
from tests.servers import Postgres, Standby, await_true

__all__ = ["sample", "standby"]

ASKED = "select count(*) > 0 from pg_stat_activity where application_name like 'opsready%%' and query like %s"


def after(position: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """The options that say where the fence is, as pg_fence returned it."""
    told = {f"after_{name}": position[name] for name in ("lsn", "system_identifier", "timeline")}
    return {**told, **more}


@contextlib.contextmanager
def resumed_once_we_asked(standby: Standby, asked: str) -> t.Iterator[None]:
    """From another thread, after the module has asked the standby for what has not come yet."""

    def resume() -> None:
        await_true(lambda: bool(standby.execute(ASKED, f"%{asked}%")[0][0]), seconds=60, what="the module's question")
        standby.execute("select pg_wal_replay_resume()")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        resuming = pool.submit(resume)
        yield
        resuming.result()


def write(standby: Standby, sample: Sample, text: str) -> None:
    with standby.primary.connect(sample.name, options="-c synchronous_commit=off") as writer:
        writer.execute("insert into public.notes (text) values (%s)", [text])


@pytest.mark.parametrize("check", [True, False])
def test_a_standby_behind_the_fence_is_waited_for(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path, check: bool
) -> None:
    with paused(standby):
        write(standby, sample, "the last one")
        position = fence(run_module_here, sample, method="revoke")["position"]
        with resumed_once_we_asked(standby, "pg_is_wal_replay_paused"):
            made = run_module_here("pg_backup", options(sample, standby, tmp_path, **after(position)), check=check)
    assert made["changed"] is True, made
    told = str(made["warnings"])
    assert f"and the fence is at {position['lsn']}" in told
    assert "bytes of the log. It is waited for, 300 s at most" in told
    assert f"Of the fence at {position['lsn']} its position" not in told
    if not check:
        assert made["backup"]["rows"] == 1


@pytest.mark.parametrize("told", ["position", "release"])
def test_what_the_fence_renames_is_waited_for(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path, told: str
) -> None:
    with paused(standby):
        write(standby, sample, "the last one")
        fenced = fence(run_module_here, sample)
        more = after(fenced["position"])
        if told == "release":
            more = {"release": f"archive-{secrets.token_hex(4)}/r1/1/{secrets.token_hex(8)}"}
        wanted = options(sample, standby, tmp_path, database=fenced["fenced_database"], **more)
        soon = run_module_here("pg_backup", {**wanted, "catch_up_timeout": 0.5}, check=True)
        assert (soon["failed"], soon["error"]) == (True, "UnexpectedAnswer"), soon
        with resumed_once_we_asked(standby, "where d.datname = "):
            made = run_module_here("pg_backup", wanted)
    assert (made["changed"], made["backup"]["rows"]) == (True, 1), made
    assert f"has no database {fenced['fenced_database']} yet" in str(made["warnings"])
    fence(run_module_here, sample, "lifted")


def test_a_standby_that_does_not_come_is_refused_with_how_far_it_is(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    with paused(standby):
        write(standby, sample, "the last one")
        position = fence(run_module_here, sample, method="revoke")["position"]
        wanted = options(sample, standby, tmp_path, **after(position, catch_up_timeout=0.5))
        refused = run_module_here("pg_backup", wanted)
        assert refused["failed"] is True, refused
        behind = standby.execute("select (%s::pg_lsn - pg_last_wal_replay_lsn())::bigint", position["lsn"])[0][0]
        assert (refused["behind_bytes"], behind > 0) == (behind, True)
        assert f"would be missing, {behind} bytes of the log. It was waited for 0.5 s." in refused["msg"]
        assert "Its replay is paused: SELECT pg_wal_replay_resume() there." in refused["msg"]
        assert refused["waited_seconds"] == 0.5
        assert list(tmp_path.iterdir()) == []


def test_a_position_of_another_cluster_is_not_believed(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path, postgres: Postgres
) -> None:
    position = fence(run_module_here, sample, method="revoke")["position"]
    standby.catch_up()
    assert run_module_here("pg_backup", options(sample, standby, tmp_path, **after(position)), check=True)["changed"]
    other = postgres.execute("select system_identifier::text from pg_control_system()")[0][0]
    own = position["system_identifier"]
    assert other != own
    wrong = after({**position, "lsn": "0/1", "system_identifier": other})
    for dsn in (standby.dsn(sample.name, user=sample.login, password=None), sample.dsn()):
        refused = run_module_here("pg_backup", options(sample, standby, tmp_path, **{**wrong, "dsn": dsn}))
        assert refused["failed"] is True, refused
        assert f"is of the cluster {own}, and the fence is in the cluster {other}" in refused["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_position_alone_is_compared_with_a_warning(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    position = fence(run_module_here, sample, method="revoke")["position"]
    standby.catch_up()
    seen = run_module_here("pg_backup", options(sample, standby, tmp_path, after_lsn=position["lsn"]), check=True)
    assert seen["changed"] is True, seen
    assert "was compared without after_system_identifier and after_timeline" in str(seen["warnings"])


def test_a_timeline_that_the_login_is_not_told_is_a_warning(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    position = fence(run_module_here, sample, method="revoke")["position"]
    said = "is not told the timeline that the standby"
    for statement, is_hidden in (("grant pg_read_all_stats to", False), ("revoke pg_read_all_stats from", True)):
        standby.primary.execute(f'{statement} "{sample.login}"')
        standby.catch_up()
        seen = run_module_here("pg_backup", options(sample, standby, tmp_path, **after(position)), check=True)
        assert seen["changed"] is True, seen
        assert (f"{said} of {sample.name} receives" in str(seen.get("warnings"))) is is_hidden


def test_a_position_beyond_what_the_server_wrote_is_refused(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path
) -> None:
    position = fence(run_module_here, sample, method="revoke")["position"]
    primary = {"dsn": sample.dsn()}
    for wrong, said in (
        ({**position, "lsn": "FFFF/0"}, "is no standby and has written its log until"),
        ({**position, "timeline": 7}, f"of timeline 1, and the fence is at {position['lsn']} of timeline 7"),
    ):
        refused = run_module_here("pg_backup", options(sample, standby, tmp_path, **after(wrong), **primary))
        assert refused["failed"] is True, refused
        assert said in refused["msg"]
    made = run_module_here("pg_backup", options(sample, standby, tmp_path, **after(position), **primary))
    assert made["changed"] is True, made


@pytest.mark.parametrize("was_past", [True, False])
def test_a_promoted_standby_must_have_come_past_the_fence_before(
    run_module_here: ModuleRun, tmp_path: Path, was_past: bool
) -> None:
    with Postgres() as primary:
        sample = Sample(primary).create(NOTES)  # it ends with its server
        with Standby(primary) as standby:
            standby.catch_up()
            if not was_past:
                standby.stop()
            write(standby, sample, "the last one")
            position = fence(run_module_here, sample, method="revoke")["position"]
            if was_past:
                standby.catch_up()
            primary.kill()
            if not was_past:
                standby.start()
            standby.execute("select pg_promote()")
            written = "select pg_current_wal_lsn() > %s::pg_lsn"
            while not standby.execute(written, position["lsn"])[0][0]:
                standby.execute("select pg_logical_emit_message(true, 'other', repeat('x', 100000))")
            wanted = options(sample, standby, tmp_path, **after(position))
            refused = run_module_here("pg_backup", wanted, check=True)
            assert refused["failed"] is True, refused
            said = f"is on timeline 2, and the fence is at {position['lsn']} of timeline 1: where it left that cannot be read"
            assert said in refused["msg"]

            standby.execute(f'grant pg_read_server_files to "{sample.login}"')
            name = "pg_read_file(text, bigint, bigint)"
            standby.execute(f'grant execute on function {name} to "{sample.login}"', dbname=sample.name)
            seen = run_module_here("pg_backup", wanted, check=True)
            if was_past:
                assert seen["changed"] is True, seen
            else:
                assert seen["failed"] is True, seen
                assert "of timeline 1: it left that at " in seen["msg"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"after_timeline": 1}, "after_timeline is given without after_lsn"),
        ({"after_system_identifier": "7"}, "after_system_identifier is given without after_lsn"),
        ({"after_lsn": "0/1", "after_timeline": 0}, "after_timeline is 0, expected 1 or more"),
        ({"catch_up_timeout": -1}, "catch_up_timeout is -1, expected 0 or more seconds"),
    ],
)
def test_what_says_nothing_of_a_fence_is_refused(
    run_module_here: ModuleRun, sample: Sample, standby: Standby, tmp_path: Path, wrong: dict[str, t.Any], said: str
) -> None:
    refused = run_module_here("pg_backup", options(sample, standby, tmp_path, **wrong))
    assert refused["error"] == "BadInput", refused
    assert said in refused["msg"]
