# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server must have room for all that stands there at the same time: a fence's copy, and the proof's scratch database."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import capacity
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_preflight import crowded, leave, options
from tests.servers import Postgres

__all__ = ["crowded"]


def database_bytes(sample: Sample) -> int:
    return int(sample.execute("select pg_database_size(current_database())")[0][0])


def fenced(run: ModuleRun, sample: Sample, **more: t.Any) -> dict[str, t.Any]:
    return run("pg_fence", sample.options(state="fenced", fence_id="r1", copy=True, **more))


def test_room_for_either_is_none_for_both(run_module_here: ModuleRun, crowded: Sample, tmp_path: Path) -> None:
    wanted = crowded.options(destination=f"file://{tmp_path}", pg_bindir=crowded.programs)
    made = run_module_here("pg_backup", wanted)
    assert made["changed"] is True, made
    size, scratch = database_bytes(crowded), made["plan"]["room"]["scratch_bytes"]
    leave(crowded, size + scratch // 2)
    # Each alone has room.
    alone = run_module_here("pg_backup", wanted, check=True)
    assert (alone["changed"], alone["plan"]["room"]["needed_bytes"]) == (True, alone["plan"]["room"]["scratch_bytes"])
    assert (
        run_module_here("pg_fence", crowded.options(state="fenced", fence_id="r1", copy=True), check=True)["changed"]
        is True
    )
    for check in (True, False):
        refused = run_module_here("pg_backup", {**wanted, "beside_copy": True}, check=check)
        assert refused["failed"] is True, refused
        room = refused["room"]
        assert room["free_bytes"] < room["needed_bytes"]
        assert room["needed_bytes"] - database_bytes(crowded) < room["free_bytes"]
        assert (
            f"The scratch database that proves the backup of {crowded.name} ({room['needed_bytes'] - size} bytes), beside the copy of "
            f"{crowded.name} ({size} bytes), needs room for about {room['needed_bytes']} bytes on the server"
        ) in refused["msg"]
        assert f"has {room['free_bytes']} free" in refused["msg"]
        assert "leave the copy out" in refused["msg"]
    assert len(list(tmp_path.rglob("*.manifest.json"))) == 1
    assert crowded.databases() == [crowded.name]

    (crowded.server.cluster / "base" / "others").unlink()
    told = run_module_here("pg_backup", {**wanted, "beside_copy": True}, check=True)
    assert told["plan"]["room"]["needed_bytes"] == size + told["plan"]["room"]["scratch_bytes"]


def test_a_copy_that_stands_takes_no_room_again(run_module_here: ModuleRun, crowded: Sample, tmp_path: Path) -> None:
    wanted = crowded.options(destination=f"file://{tmp_path}", pg_bindir=crowded.programs, beside_copy=True)
    assert run_module_here("pg_backup", wanted)["changed"] is True
    assert fenced(run_module_here, crowded, method="revoke")["copy"]["name"] == f"{crowded.name}_before_r1"
    told = run_module_here("pg_backup", wanted, check=True)["plan"]["room"]
    assert told["needed_bytes"] == told["scratch_bytes"]
    leave(crowded, told["scratch_bytes"] + (4 << 20))
    made = run_module_here("pg_backup", wanted)
    assert made["changed"] is True, made


def test_without_a_measured_proof_both_are_told_and_the_copy_alone_is_refused(
    run_module_here: ModuleRun, crowded: Sample, tmp_path: Path
) -> None:
    wanted = crowded.options(destination=f"file://{tmp_path}", pg_bindir=crowded.programs, beside_copy=True)
    size = database_bytes(crowded)
    leave(crowded, size + size // 2)
    told = run_module_here("pg_backup", wanted, check=True)
    assert told["changed"] is True, told
    assert f"beside the copy of {crowded.name} ({size} bytes)" in str(told["warnings"])
    assert "No proof of it was measured yet" in str(told["warnings"])
    (crowded.server.cluster / "base" / "others").unlink()
    leave(crowded, size // 2)
    for verify in ("restore", "archive"):
        refused = run_module_here("pg_backup", {**wanted, "verify": verify}, check=True)
        assert refused["failed"] is True, refused
        assert f"The copy of {crowded.name} needs room for about {size} bytes" in refused["msg"]


@pytest.mark.parametrize("on_one", [True, False])
def test_a_scratch_database_elsewhere_counts_with_the_copy_on_the_same_file_system_alone(
    run_module_here: ModuleRun,
    crowded: Sample,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_one: bool,
) -> None:
    if on_one:  # as two servers on one disk are seen
        monkeypatch.setattr(capacity, "on_one_file_system", lambda one, other: True)
    elsewhere = {"verify_dsn": postgres.dsn(password=None), "verify_password": postgres.password}
    wanted = options(crowded, tmp_path, verify="restore", beside_copy=True, **elsewhere)
    seen = run_module_here("pg_backup", wanted, check=True)
    assert seen["changed"] is True, seen
    told = seen["plan"]["room"]
    assert told["needed_bytes"] == told["scratch_bytes"] + (told["copy_bytes"] if on_one else 0)


def test_file_systems_are_told_apart(tmp_path: Path) -> None:
    seen = [{"data_directory": str(tmp_path / name)} for name in ("one", "other")]
    for room in seen:
        (Path(room["data_directory"]) / "base").mkdir(parents=True)
    assert capacity.on_one_file_system(*seen) is True
    (tmp_path / "other" / "base").rmdir()
    assert capacity.on_one_file_system(*seen) is False
    os.symlink("/proc", tmp_path / "other" / "base")
    assert capacity.on_one_file_system(*seen) is False
    assert capacity.on_one_file_system(seen[0], {"data_directory": None}) is False
