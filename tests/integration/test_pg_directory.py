# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of pg_dump's directory format, by several jobs: many files are one backup, with all that holds for one file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest

from tests.age_keys import AgeKey, age_key
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_backup import (
    assert_nothing_left,
    fake_programs,
    keys,
    options,
    uploads,
)
from tests.integration.test_pg_restore import baseline, fence, migrate, restore
from tests.integration.test_pg_sweep import id_of, killed, kinds, release, sweep, swept_to_the_last
from tests.servers import S3, MotoS3, Postgres

__all__ = ["release"]
RECIPIENT = "age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm"


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    with Sample(postgres) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def in_directory(sample: Sample, destination: str, store: S3 | MotoS3 | None = None, **more: t.Any) -> dict[str, t.Any]:
    return options(sample, destination, store, format="directory", jobs=2, **more)


def entries(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


def test_files_at_a_directory_are_one_backup_that_stock_tools_restore(
    run_module_here: ModuleRun, sample: Sample, place: Path
) -> None:
    wanted = in_directory(sample, f"file://{place}")
    planned = run_module_here("pg_backup", wanted, check=True)
    assert (planned["plan"]["format"], planned["plan"]["jobs"], entries(place)) == ("directory", 2, []), planned
    made = run_module_here("pg_backup", wanted, secrets=[sample.password])
    assert (made["verified"]["level"], made["verified"]["compared"]) == ("restore", "rows and content"), made
    assert made["backup"]["programs"]["exit_codes"] == {"pg_dump": 0}

    archive = Path(made["backup"]["archive"].removeprefix("file://"))
    files = sorted(archive.iterdir())
    assert "toc.dat" in [path.name for path in files] and len(files) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    manifest = json.loads(Path(made["backup"]["manifest"].removeprefix("file://")).read_bytes())
    said = {one["name"]: (one["size"], one["sha256"]) for one in manifest["archive"]["files"]}
    assert said == {
        path.name: (len(path.read_bytes()), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files
    }
    # One line of the shell tells whether all of it is what was proven.
    shell = subprocess.run("LC_ALL=C sha256sum * | sha256sum", shell=True, cwd=archive, capture_output=True, check=True)
    assert shell.stdout.split()[0].decode() == made["backup"]["sha256"] == manifest["archive"]["sha256"]
    listed = subprocess.run(
        [sample.server.program("pg_restore"), "-l", str(archive)], capture_output=True, check=True
    ).stdout
    assert b"documents" in listed

    again = run_module_here("pg_backup", {**wanted, "max_age": 3600})
    assert (again["changed"], again["backup"]["format"]) == (False, "directory"), again
    (archive / "toc.dat").rename(archive / "other.dat")
    anew = run_module_here("pg_backup", {**wanted, "max_age": 3600}, check=True)
    assert anew["changed"] is True and "toc.dat is not there" in str(anew["warnings"])
    (archive / "other.dat").rename(archive / "toc.dat")

    # What no rule keeps goes with its last file, and the other backup stays whole.
    kept = run_module_here("pg_backup", {**wanted, "keep": {"last": 1}, "verify": "archive", "compare": "rows"})
    assert kept["pruned"] == [made["backup"]["manifest"]], kept
    assert kept["verified"]["rows"] == kept["backup"]["rows"]
    assert not archive.exists()
    left = {path.parent.name for path in place.rglob("*.dat*")}
    assert left == {kept["backup"]["archive"].rpartition("/")[2]}


@pytest.mark.parametrize("kind", ["s3", "moto_s3"])
def test_files_go_up_one_by_one_and_the_manifest_last(
    run_module_here: ModuleRun, request: pytest.FixtureRequest, sample: Sample, work: Path, kind: str
) -> None:
    store: S3 | MotoS3 = request.getfixturevalue(kind)
    bucket = store.create_bucket()
    wanted = in_directory(sample, f"s3://{bucket}/p", store, work_dir=str(work))
    made = run_module_here("pg_backup", wanted, secrets=[sample.password, store.secret_key])
    assert made["verified"]["compared"] == "rows and content", made
    assert made["plan"]["work_dir"]["needed_bytes"] == made["plan"]["database_bytes"]
    stored = keys(store, bucket)
    manifest = json.loads(store.client().get_object(Bucket=bucket, Key=_manifest(stored))["Body"].read())
    below = made["backup"]["archive"].partition(f"{bucket}/")[2]
    files = {one["name"]: one for one in manifest["archive"]["files"]}
    assert sorted(one for one in stored if one.startswith(f"{below}/")) == sorted(f"{below}/{name}" for name in files)
    assert len(stored) == len(files) + 2 and entries(work) == []
    head = run_module_here("pg_backup", {**wanted, "verify": "head", "keep": {"last": 1}})
    expected = "size and CRC32" if kind == "moto_s3" else "SHA-256, read back"
    assert head["verified"]["compared"] == expected, head
    assert head["pruned"] == [made["backup"]["manifest"]]
    assert [one for one in keys(store, bucket) if one.startswith(below)] == []
    assert uploads(store, bucket) == []


def _manifest(names: t.Iterable[str]) -> str:
    return next(name for name in names if name.endswith(".manifest.json"))
