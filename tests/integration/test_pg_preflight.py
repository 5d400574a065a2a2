# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_backup finds out before it dumps: what it will need, and what would end it late."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions import upload_memory
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Mark
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import MotoS3, Postgres
from tests.small_disk import small_disk

NOTES = "create table public.notes as select i, repeat(md5(i::text), 8) as note from generate_series(1, 20000) i"


@pytest.fixture(scope="module", params=[None, "15"], ids=["18", "15"])
def server(request: pytest.FixtureRequest) -> t.Iterator[Postgres]:
    with Postgres(request.param) as made:
        yield made


@pytest.fixture
def notes(server: Postgres) -> t.Iterator[Sample]:
    made = Sample(server)
    try:
        yield made.create(NOTES)
    finally:
        made.drop()


def options(sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    where = {"destination": f"file://{place}", "pg_bindir": sample.programs, "verify": "head", "compare": "rows"}
    return sample.options(**{**where, **more})


# ---- how it is compressed


def test_a_level_of_the_method_is_the_dumps(
    run_module_here: ModuleRun, notes: Sample, server: Postgres, tmp_path: Path
) -> None:
    sizes = []
    for level in (1, 9):
        wanted = options(notes, tmp_path, compression="gzip", compression_level=level, verify="archive")
        made = run_module_here("pg_backup", wanted)
        assert made["changed"] is True, made
        assert made["plan"]["pg_dump"]["argument"].endswith(
            f":{level}" if "15" not in server.programs.parts else f"={level}"
        )
        assert made["plan"]["compression"] == "gzip"
        sizes.append(made["backup"]["size_bytes"])
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"compression": "gzip", "compression_level": 10}, "cannot compress with gzip at level 10"),
        ({"compression": "zstd", "compression_level": 99}, "cannot compress with zstd at level 99"),
        ({"compression": "gzip", "compression_level": 0}, "compression_level is 0, expected 1 or more"),
        ({"compression_level": 9}, "compression is auto, which has no levels"),
        ({"compression": "none", "compression_level": 1}, "compression is none, which has no levels"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_level_that_this_pg_dump_does_not_know_is_refused_before_the_dump(
    run_module_here: ModuleRun, notes: Sample, tmp_path: Path, wanted: dict[str, t.Any], said: str, check: bool
) -> None:
    refused = run_module_here("pg_backup", options(notes, tmp_path, **wanted), check=check)
    assert refused["failed"] is True, refused
    assert said in refused["msg"]
    assert list(tmp_path.iterdir()) == []


# ---- what it will need


def test_what_the_upload_and_the_server_will_need_is_in_the_plan(
    run_module_here: ModuleRun, notes: Sample, server: Postgres, moto_s3: MotoS3, tmp_path: Path
) -> None:
    size = notes.execute("select pg_database_size(current_database())")[0][0]
    told = run_module_here("pg_backup", options(notes, tmp_path, verify="restore"), check=True)["plan"]
    assert told["memory_bytes"] is None
    assert abs(told["room"]["scratch_bytes"] - size) < 1 << 20
    assert told["room"]["copy_bytes"] == told["room"]["scratch_bytes"] == told["room"]["wal_bytes"]
    # A login that is not told where the data is.
    unseen = {"data_directory": None, "free_bytes": None, "wal_free_bytes": None}
    assert told["room"]["server"] == {**unseen, "max_wal_size_bytes": 1 << 30, "writes_wal": True}
    assert list(tmp_path.iterdir()) == []

    server.execute(f'grant pg_read_all_settings to "{notes.login}"')
    store = {"endpoint_url": moto_s3.endpoint, "access_key": moto_s3.access_key, "secret_key": moto_s3.secret_key}
    away = {"destination": f"s3://{moto_s3.create_bucket()}", "s3": store}
    told = run_module_here("pg_backup", options(notes, tmp_path, verify="archive", **away), check=True)["plan"]
    assert told["memory_bytes"] == 3 * 8 << 20
    assert (told["room"]["scratch_bytes"], told["room"]["wal_bytes"]) == (None, None)
    if os.access(server.cluster / "postmaster.pid", os.R_OK):
        assert told["room"]["server"]["data_directory"] == str(server.cluster)
        assert told["room"]["server"]["free_bytes"] > 0 and told["room"]["server"]["wal_free_bytes"] > 0


def test_much_memory_is_told(
    run_module_here: ModuleRun, notes: Sample, moto_s3: MotoS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {"endpoint_url": moto_s3.endpoint, "access_key": moto_s3.access_key, "secret_key": moto_s3.secret_key}
    away = {"destination": f"s3://{moto_s3.create_bucket()}", "s3": store, "format": "directory", "jobs": 2}
    wanted = options(notes, tmp_path, work_dir=str(tmp_path), **away)
    quiet = run_module_here("pg_backup", wanted, check=True)
    assert f"The upload of {notes.name}" not in str(quiet.get("warnings"))
    monkeypatch.setattr(upload_memory, "MUCH_MEMORY", (2 * 3 * 8 << 20) - 1)
    told = run_module_here("pg_backup", wanted, check=True)
    assert f"The upload of {notes.name}" in str(told["warnings"])
    assert f"may take {2 * 3 * 8 << 20} bytes of memory" in str(told["warnings"])


@pytest.fixture
def crowded() -> t.Iterator[Sample]:
    """On a server with a small disk, of which its login may be told."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Postgres())
        sample = Sample(server).create(NOTES)
        server.execute(f'grant pg_read_all_settings to "{sample.login}"')
        server.stop()
        (server.cluster / "base").rename(server.cluster / "aside")
        stack.enter_context(small_disk(server.cluster / "base", kibibytes=90 << 10))
        stack.callback(server.stop)  # before its disk is taken away
        subprocess.run(["cp", "-a", f"{server.cluster}/aside/.", f"{server.cluster}/base"], check=True)
        server.start()
        yield sample


def leave(sample: Sample, free: int) -> None:
    """Let others take all but so many bytes of the disk."""
    base = sample.server.cluster / "base"
    disk = os.statvfs(base)
    with (base / "others").open("wb") as others:
        os.posix_fallocate(others.fileno(), 0, disk.f_bavail * disk.f_frsize - free)


def test_a_server_without_room_for_the_proof_is_refused_before_the_dump(
    run_module_here: ModuleRun, crowded: Sample, tmp_path: Path
) -> None:
    wanted = crowded.options(destination=f"file://{tmp_path}", pg_bindir=crowded.programs)
    made = run_module_here("pg_backup", wanted)
    assert made["changed"] is True, made
    leave(crowded, made["plan"]["room"]["scratch_bytes"] // 2)
    for check in (True, False):
        refused = run_module_here("pg_backup", wanted, check=check)
        assert refused["failed"] is True, refused
        assert "The scratch database that proves the backup" in refused["msg"]
        assert refused["room"]["free_bytes"] < refused["room"]["needed_bytes"], refused
    assert len(list(tmp_path.rglob("*.manifest.json"))) == 1
    assert crowded.databases() == [crowded.name]
    # What needs none is made.
    made = run_module_here("pg_backup", {**wanted, "verify": "archive"})
    assert made["changed"] is True, made


def test_what_a_killed_proof_left_is_no_reason_to_refuse_the_next_one(
    run_module_here: ModuleRun, crowded: Sample, tmp_path: Path
) -> None:
    server, left = crowded.server, f"{crowded.name}_scratch_left"
    server.execute(f'create database "{left}" template "{crowded.name}" owner "{crowded.login}"')
    (oid,) = server.execute("select oid::bigint from pg_database where datname = %s", left)[0]
    mark = Mark("scratch", crowded.name, "left", oid).text()
    server.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(left), sql.Literal(mark)))
    leave(crowded, crowded.execute("select pg_database_size(current_database())")[0][0] // 2)
    made = run_module_here("pg_backup", crowded.options(destination=f"file://{tmp_path}", pg_bindir=crowded.programs))
    assert made["changed"] is True, made
    assert f"the scratch database {left}: it was dropped" in str(made["warnings"])
    assert crowded.databases() == [crowded.name]


@pytest.mark.parametrize("method", ["rename", "revoke"])
def test_a_copy_without_room_is_refused_before_the_fence(
    run_module_here: ModuleRun, crowded: Sample, method: str
) -> None:
    size = crowded.execute("select pg_database_size(current_database())")[0][0]
    leave(crowded, size // 2)
    wanted = crowded.options(state="fenced", fence_id="r1", method=method)
    for check in (True, False):
        refused = run_module_here("pg_fence", {**wanted, "copy": True}, check=check)
        assert refused["failed"] is True, refused
        assert f"The copy of {crowded.name} needs room for about" in refused["msg"]
        assert crowded.databases() == [crowded.name]
    (crowded.server.cluster / "base" / "others").unlink()
    made = run_module_here("pg_fence", {**wanted, "copy": True})
    assert (made["changed"], made["copy"]["name"]) == (True, f"{crowded.name}_before_r1"), made


# ---- what would end it late


def test_a_large_object_that_the_login_may_not_read_is_named(
    run_module_here: ModuleRun, notes: Sample, tmp_path: Path
) -> None:
    notes.execute(
        "select lo_from_bytea(4711, 'theirs'), lo_from_bytea(4712, 'everybodys'), lo_from_bytea(4713, 'ours')"
    )
    notes.execute("grant select on large object 4712 to public")
    notes.execute(f'alter large object 4713 owner to "{notes.owner}"')
    for check in (True, False):
        denied = run_module_here("pg_backup", options(notes, tmp_path), check=check)
        assert denied["error"] == "Denied", denied
        assert f"cannot read 1 large objects of {notes.name}, of which 4711 is the first" in denied["msg"]
        assert f"GRANT SELECT ON LARGE OBJECT 4711 TO {notes.login}" in denied["msg"]
    assert list(tmp_path.iterdir()) == []

    # The owner's own right can be taken away, and a member has no more than he.
    notes.execute(f'revoke all on large object 4713 from "{notes.owner}"')
    denied = run_module_here("pg_backup", options(notes, tmp_path))
    assert "cannot read 2 large objects" in denied["msg"], denied

    notes.execute(f'grant select on large object 4711, 4713 to "{notes.login}"')
    made = run_module_here("pg_backup", options(notes, tmp_path, verify="restore"))
    assert made["changed"] is True, made


def test_who_may_read_whatever_there_is_is_asked_for_no_large_object(
    run_module_here: ModuleRun, notes: Sample, server: Postgres, tmp_path: Path
) -> None:
    notes.execute("select lo_from_bytea(4711, 'theirs')")
    superuser = {"dsn": notes.dsn(login="postgres"), "password": server.password}
    assert run_module_here("pg_backup", {**options(notes, tmp_path), **superuser})["changed"] is True
    server.execute(f'alter database "{notes.name}" set lo_compat_privileges = on')
    assert run_module_here("pg_backup", options(notes, tmp_path))["changed"] is True


LIMITS = {
    "statement_timeout": "1s",
    "idle_in_transaction_session_timeout": "1s",
    "idle_session_timeout": "1s",
    "transaction_timeout": "2s",
}


def slow_programs(directory: Path, sample: Sample) -> str:
    """The real ones, each of which is at work for longer than the server lets anybody be."""
    directory.mkdir()
    for name in ("pg_dump", "pg_restore"):
        real = sample.server.program(name)
        quick = f'case "$*" in *--version*|*/nonexistent*) exec {real} "$@";; esac'
        (directory / name).write_text(f'#!/bin/sh\n{quick}\nsleep 3\nexec {real} "$@"\n')
        (directory / name).chmod(0o755)
    return str(directory)


@pytest.mark.long
@pytest.mark.parametrize("of", ["the login", "the database"])
def test_no_limit_of_login_or_database_ends_a_long_backup(
    run_module_here: ModuleRun, postgres: Postgres, request: pytest.FixtureRequest, tmp_path: Path, of: str
) -> None:
    notes = Sample(postgres)
    request.addfinalizer(notes.drop)
    notes.create(NOTES)
    named = f'role "{notes.login}"' if of == "the login" else f'database "{notes.name}"'
    for name, value in LIMITS.items():
        postgres.execute(f"alter {named} set {name} = '{value}'")
    place = tmp_path / "place"
    place.mkdir()
    slow = slow_programs(tmp_path / "bin", notes)
    wanted = options(notes, place, pg_bindir=slow, verify="restore", compare="content")
    made = run_module_here("pg_backup", wanted)
    assert made["changed"] is True, made
    assert made["verified"]["rows"] == 20000
    proven = run_module_here(
        "pg_restore",
        notes.options(
            state="verified", backup=made["backup"]["manifest"], destination=f"file://{place}", pg_bindir=slow
        ),
    )
    assert proven["verified"]["ok"] is True, proven
