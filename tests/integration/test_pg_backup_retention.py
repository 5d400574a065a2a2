# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Old backups go once a new one is proven: as check mode showed it, and never one that something depends on."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import Postgres

NOTES = "create table public.notes (id bigserial primary key, text text)"


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(NOTES)
    finally:
        made.drop()


def options(sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    where = {"destination": f"file://{place}", "pg_bindir": sample.programs, "verify": "head"}
    return sample.options(**where, **more)


def older(manifest: Path, created: str, **changes: t.Any) -> Path:
    """The same backup, as if it had been made then."""
    told = json.loads(manifest.read_text())
    stem = created.replace("-", "").replace(":", "").replace(".000", "") + "-aaaaaaaa.dump"
    shutil.copy(manifest.with_name(told["archive"]["name"]), manifest.with_name(stem))
    roles = {**told["archive"]["roles"], "name": f"{stem}.roles.sql"}
    shutil.copy(manifest.with_name(told["archive"]["roles"]["name"]), manifest.with_name(roles["name"]))
    archive = {**told["archive"], "name": stem, "roles": roles}
    told.update(name=f"{stem}.manifest.json", created=created, archive=archive, **changes)
    written = manifest.with_name(told["name"])
    written.write_text(json.dumps(told))
    return written


def files(place: Path) -> set[str]:
    return {path.name for path in place.rglob("*") if path.is_file()}


def all_of(manifest: Path) -> set[str]:
    """The manifest's file and those of its archive and roles."""
    archive = manifest.name.removesuffix(".manifest.json")
    return {manifest.name, archive, f"{archive}.roles.sql"}


def first_backup(run: ModuleRun, sample: Sample, place: Path) -> Path:
    made = run("pg_backup", options(sample, place))
    assert made["changed"] is True, made
    return Path(made["backup"]["manifest"].removeprefix("file://"))


def test_what_check_mode_shows_is_what_goes(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    first = first_backup(run_module_here, sample, tmp_path)
    same_day = older(first, "2026-01-01T01:00:00.000Z")
    last_of_day = older(first, "2026-01-01T23:00:00.000Z")
    day_before = older(first, "2025-12-31T12:00:00.000Z")
    unproven = older(first, "2025-06-01T12:00:00.000Z", verified={"level": "restore", "ok": False})
    foreign = older(first, "2025-06-02T12:00:00.000Z", database="another")
    unreadable = older(first, "2025-06-03T12:00:00.000Z", tables="?")
    before = files(tmp_path)
    wanted = options(sample, tmp_path, keep={"last": 1, "daily": 2})

    would = run_module_here("pg_backup", wanted, check=True, diff=True)
    assert would["pruned"] == [f"file://{one}" for one in (day_before, same_day, first)], would
    assert (str(day_before) in would["diff"]["before"], str(day_before) in would["diff"]["after"]) == (True, False)
    assert would["diff"]["after"].endswith("the new one\n")
    assert files(tmp_path) == before

    done = run_module_here("pg_backup", wanted)
    assert done["pruned"] == would["pruned"], done
    assert done["diff"] == {
        **would["diff"],
        "after": would["diff"]["after"].replace("the new one", done["backup"]["manifest"]),
    }
    new = Path(done["backup"]["manifest"])
    stays = [last_of_day, unproven, foreign, unreadable]
    left = files(tmp_path)
    assert all_of(new) <= left
    for one in stays:
        assert all_of(one) <= left, one
    assert left & (all_of(day_before) | all_of(same_day) | all_of(first)) == set()


def test_nothing_goes_when_another_backup_claims_to_be_newer(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    first = first_backup(run_module_here, sample, tmp_path)
    older(first, "2999-01-01T00:00:00.000Z")
    before = files(tmp_path)
    wanted = options(sample, tmp_path, keep={"last": 1})
    would = run_module_here("pg_backup", wanted, check=True, diff=True)
    assert (would["changed"], would["pruned"]) == (True, []), would
    assert "would not be removed" in str(would["warnings"]) and "claims to be newer" in str(would["warnings"])
    assert would["diff"]["after"] == would["diff"]["before"] + "the new one\n"
    assert files(tmp_path) == before
    done = run_module_here("pg_backup", wanted, diff=True)
    assert (done["changed"], done["pruned"]) == (True, []), done
    assert "were not all removed" in str(done["warnings"])
    assert done["diff"]["before"] == would["diff"]["before"]
    assert done["diff"]["after"] == done["diff"]["before"] + done["backup"]["manifest"] + "\n"
    assert before < files(tmp_path)


def test_copies_never_remove_the_last_backup_that_was_restored(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    first = first_backup(run_module_here, sample, tmp_path)
    told = json.loads(first.read_text())["verified"]
    levels = ("restore", "restore", "archive", "head", "head")
    made = [
        older(first, f"2026-01-0{day}T01:00:00.000Z", verified={**told, "level": level})
        for day, level in enumerate(levels, 1)
    ]
    wanted = options(sample, tmp_path, keep={"last": 1})
    would = run_module_here("pg_backup", wanted, check=True)
    done = run_module_here("pg_backup", wanted)
    assert done["pruned"] == would["pruned"] == [f"file://{one}" for one in (made[0], *made[2:], first)], done
    assert all_of(made[1]) <= files(tmp_path)
    # One that is restored again takes its place.
    again = run_module_here("pg_backup", {**wanted, "verify": "restore"})
    assert again["pruned"] == [f"file://{made[1]}", done["backup"]["manifest"]], again
    assert files(tmp_path) == all_of(Path(again["backup"]["manifest"]))


def test_nothing_goes_when_the_new_backup_fails(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    first_backup(run_module_here, sample, tmp_path)
    before = files(tmp_path)
    wanted = options(sample, tmp_path, keep={"last": 1})
    refused = [{"query": "select 1", "expect": "2"}]
    failed = run_module_here("pg_backup", {**wanted, "verify": "restore", "verify_sql": refused})
    assert failed["failed"] is True
    assert files(tmp_path) == before


def test_rules_that_keep_nothing_are_refused_before_anything_runs(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    for keep, said in (({}, "no rule"), ({"last": 1, "min_keep": 0}, "no way back")):
        failed = run_module_here("pg_backup", options(sample, tmp_path, keep=keep))
        assert said in failed["msg"], failed
    assert files(tmp_path) == set()
