# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of pg_dump's directory format, by several jobs: many files are one backup, with all that holds for one file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from tests.age_keys import AgeKey, age_key
from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample
from tests.integration.test_pg_backup import (
    fake_programs,
    keys,
    options,
)
from tests.integration.test_pg_backup_upload import locking_bucket
from tests.integration.test_pg_restore import baseline, fence, migrate, restore
from tests.integration.test_pg_sweep import has, id_of, killed, release, sweep, swept_to_the_last, uploads
from tests.module_examples import examples_of
from tests.servers import S3, MotoS3, Postgres
from tests.small_disk import small_disk
from tests.store_faults import FaultyStore, Seen

__all__ = ["release"]
#: A file of contents, one for each table, and those of a large object.
SMALL = """
create schema app;
create table app.documents as select i, 'Rechnung ' || i as title from generate_series(1, 2000) i;
create table app.notes (id int);
select lo_from_bytea(0, 'deadbeef')
"""
MARKER = "Geheimnis-1c40be7d"


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    with Sample(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def small(postgres: Postgres) -> t.Iterator[Sample]:
    """What goes to a store, file by file."""
    made = Sample(postgres)
    try:
        yield made.create(SMALL)
    finally:
        made.drop()


class Sealed(t.NamedTuple):
    """An encrypted backup in an object store, which no test changes."""

    key: AgeKey
    bucket: str
    answer: dict[str, t.Any]
    options: dict[str, t.Any]


@pytest.fixture(scope="module")
def sealed(small: Sample, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    small.execute(f"insert into app.documents (title) values ('{MARKER}')")
    key, bucket = age_key(tmp_path_factory.mktemp("key"), "operations.txt"), s3.create_bucket()
    work = str(tmp_path_factory.mktemp("work"))
    wanted = in_directory(small, f"s3://{bucket}", s3, work_dir=work, compression="none")
    with ModuleInBackground("pg_backup", {**wanted, "encryption": {"recipients": [key.recipient]}}) as module:
        answer = module.answer()
    assert answer.get("verified", {}).get("compared") == "rows and content", answer
    return Sealed(key, bucket, answer, {"destination": f"s3://{bucket}", "s3": wanted["s3"]})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def in_directory(
    sample: Sample, destination: str, store: S3 | MotoS3 | FaultyStore | None = None, **more: t.Any
) -> dict[str, t.Any]:
    return options(sample, destination, store, format="directory", jobs=2, **more)


def entries(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


def test_files_at_a_directory_are_one_backup_that_stock_tools_restore(
    run_module_here: ModuleRun, sample: Sample, place: Path
) -> None:
    shown = examples_of("pg_backup", {"file:///var/backups/archive": f"file://{place}"})
    example = shown["Four jobs, a file for each table"]
    wanted = {**example, **sample.options(pg_bindir=sample.programs)}
    planned = run_module_here("pg_backup", wanted, check=True)
    assert (planned["plan"]["format"], planned["plan"]["jobs"], entries(place)) == ("directory", 4, []), planned
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
    line = ["sh", "-c", "LC_ALL=C sha256sum * | sha256sum"]
    shell = subprocess.run(line, cwd=archive, capture_output=True, check=True)
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

    decoded = run_module_here("pg_backup", {**wanted, "verify": "archive", "compare": "rows"})
    assert decoded["verified"]["rows"] == decoded["backup"]["rows"], decoded

    # What no rule keeps goes with its last file, and the other backup stays whole.
    kept = run_module_here("pg_backup", {**wanted, "keep": {"last": 1}})
    assert sorted(kept["pruned"]) == sorted(one["backup"]["manifest"] for one in (made, decoded)), kept
    assert not archive.exists()
    left = {path.parent.name for path in place.rglob("*.dat*")}
    assert left == {kept["backup"]["archive"].rpartition("/")[2]}


def test_files_go_up_and_the_manifest_last(
    run_module_here: ModuleRun, small: Sample, moto_s3: MotoS3, work: Path
) -> None:
    sample, store = small, moto_s3
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
    head = run_module_here("pg_backup", {**wanted, "verify": "head"})
    assert head["verified"]["compared"] == "size and CRC32", head
    kept = run_module_here("pg_backup", {**wanted, "keep": {"last": 1}})
    assert sorted(kept["pruned"]) == sorted(one["backup"]["manifest"] for one in (made, head)), kept
    assert [one for one in keys(store, bucket) if one.startswith(below)] == []
    assert uploads(store, bucket) == []


def test_as_many_files_are_under_way_as_there_are_jobs(
    run_module_here: ModuleRun, small: Sample, moto_s3: MotoS3, work: Path
) -> None:
    bucket = moto_s3.create_bucket()
    with FaultyStore(moto_s3) as proxy:
        both = {"put": threading.Barrier(2), "get": threading.Barrier(2)}

        def watch(seen: Seen) -> None:
            if [one.phase for one in proxy.seen].count(seen.phase) <= 2 and seen.phase in both:
                both[seen.phase].wait(20.0)

        proxy.watch = watch
        made = run_module_here("pg_backup", in_directory(small, f"s3://{bucket}", proxy, work_dir=str(work)))
        assert made["verified"]["compared"] == "rows and content", made
        assert not any(barrier.broken for barrier in both.values())
    manifest = json.loads(
        moto_s3.client().get_object(Bucket=bucket, Key=_manifest(keys(moto_s3, bucket)))["Body"].read()
    )
    names = [one["name"] for one in manifest["archive"]["files"]]
    assert names == sorted(names)


def test_a_signal_among_files_that_are_under_way_leaves_none_of_them(
    small: Sample, moto_s3: MotoS3, work: Path
) -> None:
    bucket = moto_s3.create_bucket()
    with FaultyStore(moto_s3) as proxy:
        may_go_on, puts = threading.Event(), threading.Semaphore(0)

        def watch(seen: Seen) -> None:
            if seen.phase == "put":
                puts.release()
                may_go_on.wait(20.0)

        proxy.watch = watch
        wanted = in_directory(small, f"s3://{bucket}", proxy, work_dir=str(work))
        with ModuleInBackground("pg_backup", wanted) as module:
            assert puts.acquire(timeout=20.0) and puts.acquire(timeout=20.0)
            module.end()
            may_go_on.set()
            failed = module.answer()
    assert failed["failed"] is True and "SIGTERM" in failed["msg"], failed
    assert (keys(moto_s3, bucket), uploads(moto_s3, bucket), entries(work)) == ([], [], [])


def test_no_request_is_sent_again_once_a_signal_came(small: Sample, moto_s3: MotoS3, work: Path) -> None:
    bucket = moto_s3.create_bucket()
    with FaultyStore(moto_s3) as proxy:
        puts = threading.Semaphore(0)

        def watch(seen: Seen) -> None:
            if seen.phase == "put":
                puts.release()

        proxy.watch = watch
        proxy.spoil("put", "silence")
        wanted = in_directory(small, f"s3://{bucket}", proxy, work_dir=str(work), timeout=24.0)
        with ModuleInBackground("pg_backup", wanted) as module:
            assert puts.acquire(timeout=20.0) and puts.acquire(timeout=20.0)
            module.end()
            failed = module.answer()
        assert failed["failed"] is True and "SIGTERM" in failed["msg"], failed
        assert proxy.phases().count("put") == 2
    assert (keys(moto_s3, bucket), entries(work)) == ([], [])


def _manifest(names: t.Iterable[str]) -> str:
    return next(name for name in names if name.endswith(".manifest.json"))


def test_each_file_is_encrypted_and_whoever_has_the_key_restores_them(
    run_module_here: ModuleRun, small: Sample, s3: S3, sealed: Sealed, work: Path
) -> None:
    bodies = {
        name: s3.client().get_object(Bucket=sealed.bucket, Key=name)["Body"].read() for name in keys(s3, sealed.bucket)
    }
    assert [name for name, body in bodies.items() if MARKER.encode() in body] == []
    encrypted = [name for name in bodies if not name.endswith(".manifest.json")]
    assert all(bodies[name].startswith(b"age-encryption.org/v1\n") and name.endswith(".age") for name in encrypted)
    table_of_contents = next(name for name in encrypted if name.endswith("/toc.dat.age"))
    assert sealed.key.decrypted(bodies[table_of_contents]).startswith(b"PGDMP")

    wanted = restore(small, "verified", **sealed.options, identity=sealed.key.identity, jobs=2)
    refused = run_module_here("pg_restore", wanted)
    size = sealed.answer["backup"]["size_bytes"]
    assert f"needs room for {size} bytes on " in refused["msg"] and "work_dir does not say where" in refused["msg"]
    proven = run_module_here("pg_restore", {**wanted, "work_dir": str(work)}, secrets=[sealed.key.identity])
    assert proven["verified"]["compared"] == "rows and content", proven
    extracted = run_module_here(
        "pg_restore", {**wanted, "state": "extracted", "work_dir": str(work), "tables": ["app.documents"]}
    )
    assert extracted["extracted"]["rows"] == 2001, extracted
    small.server.drop_database(extracted["extracted"]["database"])
    assert (entries(work), small.databases()) == ([], [small.name])


def test_it_is_listed_and_judged_as_one_backup(run_module_here: ModuleRun, small: Sample, sealed: Sealed) -> None:
    listed = run_module_here("pg_restore", small.options(state="listed", **sealed.options))
    (one,) = listed["backups"]
    assert (one["format"], one["size_bytes"]) == ("directory", sealed.answer["backup"]["size_bytes"]), listed
    judged = {
        "database": small.name,
        "max_age": "1h",
        "archive": "sha256",
        "encryption": "age",
        "recipients": [sealed.key.recipient],
    }
    found = run_module_here("check_backup", {**sealed.options, **judged, "enforce": False})["finding"]
    assert found["measured"]["content of the newest backup"] == "the SHA-256 of its manifest", found
    assert found["measured"]["age encryption of the newest backup"] == "age"
    # Whether its size is usual is not known of the first one.
    assert found["status"] == "warn", found


def test_a_bad_release_is_taken_back_by_several_jobs(
    run_module_here: ModuleRun, postgres: Postgres, place: Path
) -> None:
    with Sample(postgres) as sample:
        contents, properties = sample.contents(), sample.properties()
        fence(run_module_here, sample)
        fenced = f"{sample.name}_golive_r1"
        wanted = in_directory(sample, f"file://{place}", verify="head", database=fenced)
        made = run_module_here("pg_backup", wanted)
        assert made["changed"] is True, made
        migrate(sample)
        since = baseline(run_module_here, sample)
        back = restore(sample, "restored", backup=made["backup"]["manifest"], baseline=since, jobs=2)
        done = run_module_here("pg_restore", back)
        # It was not proven: only its bytes were.
        assert done.get("changed") is True, done
        assert (sample.contents(), sample.properties()) == (contents, properties)


def test_a_file_that_changed_is_named_and_nothing_is_restored(
    run_module_here: ModuleRun, sample: Sample, place: Path
) -> None:
    made = run_module_here("pg_backup", in_directory(sample, f"file://{place}", verify="head"))
    archive = Path(made["backup"]["archive"].removeprefix("file://"))
    path = max((one for one in archive.iterdir() if one.name != "toc.dat"), key=lambda one: one.stat().st_size)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    wanted = restore(sample, "verified", destination=f"file://{place}", jobs=2)
    failed = run_module_here("pg_restore", wanted)
    assert f"{path} is not what was written" in failed["msg"], failed
    judged = {"destination": f"file://{place}", "database": sample.name, "max_age": "1h", "verify": "head"}
    finding = run_module_here("check_backup", {**judged, "archive": "sha256", "enforce": False})["finding"]
    assert finding["status"] == "fail" and f"has a file {path.name} that has SHA-256" in finding["summary"], finding
    path.unlink()
    failed = run_module_here("pg_restore", wanted)
    assert path.name in failed["msg"] and "No such file" in failed["msg"], failed
    finding = run_module_here("check_backup", {**judged, "enforce": False})["finding"]
    assert f"has a file {path.name} that is missing" in str(finding), finding
    assert sample.databases() == [sample.name]


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_several_jobs_restore_the_custom_format_from_a_file(
    run_module_here: ModuleRun, small: Sample, s3: S3, place: Path, work: Path, kind: str
) -> None:
    store = None if kind == "file" else s3
    where = f"file://{place}" if kind == "file" else f"s3://{s3.create_bucket()}"
    wanted = options(small, where, store, verify="head")
    made = run_module_here("pg_backup", wanted)
    back = restore(small, "verified", destination=where, jobs=2, **({"s3": wanted["s3"]} if store else {}))
    if kind == "s3":
        refused = run_module_here("pg_restore", back)
        assert refused["msg"].startswith("pg_restore with 2 jobs reads a file, and the copy of s3://"), refused
        assert f"{made['backup']['size_bytes']} bytes" in refused["msg"]
        back["work_dir"] = str(work)
    proven = run_module_here("pg_restore", back)
    assert proven["verified"]["compared"] == "rows and content", proven
    assert entries(work) == []


def test_what_cannot_be_made_whole_is_refused_before_the_dump(
    run_module_here: ModuleRun, small: Sample, s3: S3, place: Path, work: Path, tmp_path: Path
) -> None:
    bucket = s3.create_bucket()
    to_store = in_directory(small, f"s3://{bucket}", s3)
    here = in_directory(small, f"file://{place}")
    sealed = {"recipients": ["age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm"]}
    file = tmp_path / "file"
    file.touch()
    refused = run_module_here("pg_backup", to_store, check=True)
    assert "work_dir does not say where" in refused["msg"], refused
    for wanted, said in (
        (
            {**here, "format": "custom"},
            "jobs is 2, and pg_dump writes the custom format with one. Take format: directory",
        ),
        ({**here, "jobs": 0}, "jobs is 0, expected 1 or more"),
        (to_store, "A directory that goes to an object store needs room for"),
        ({**here, "encryption": sealed}, "A directory that is encrypted needs room for"),
        ({**to_store, "work_dir": f"{tmp_path}/gone"}, "No such file"),
        ({**to_store, "work_dir": str(file)}, "is not a directory"),
    ):
        refused = run_module_here("pg_backup", wanted)
        assert refused["failed"] is True and said in refused["msg"], refused
    assert (keys(s3, bucket), entries(place), small.databases()) == ([], [], [small.name])


def test_too_little_room_is_told_with_both_figures_and_the_way_out(
    run_module_here: ModuleRun, small: Sample, s3: S3, tmp_path: Path
) -> None:
    bucket, disk = s3.create_bucket(), tmp_path / "disk"
    with small_disk(disk):
        wanted = in_directory(small, f"s3://{bucket}", s3, work_dir=str(disk))
        refused = run_module_here("pg_backup", wanted)
        figures = refused["work_dir"]
        assert refused["msg"] == (
            f"A directory that goes to an object store needs room for {figures['needed_bytes']} bytes, and work_dir {disk} "
            f"has {figures['free_bytes']} free. Name a directory with more room as work_dir, or take format: custom, which "
            "needs none."
        )
        assert 0 < figures["free_bytes"] <= 1500 << 10 < figures["needed_bytes"]
        assert (entries(disk), keys(s3, bucket)) == ([], [])


@pytest.mark.parametrize(
    ("kind", "script", "said"),
    [
        ("file", '$REAL "$@"; echo "pg_dump: error: something late" >&2; exit 1', "ended with code 1: pg_dump: error"),
        (
            "moto_s3",
            '$REAL "$@"; echo "pg_dump: error: something late" >&2; exit 1',
            "ended with code 1: pg_dump: error",
        ),
        (
            "file",
            '$REAL "$@"; for a; do case $a in --file=*) rm "${a#--file=}/toc.dat";; esac; done',
            "wrote no toc.dat",
        ),
        ("file", 'exec $REAL "$@" --exclude-table-data=app.documents', "app.documents is missing"),
    ],
)
def test_a_dump_that_fails_leaves_nothing(
    run_module_here: ModuleRun,
    request: pytest.FixtureRequest,
    small: Sample,
    place: Path,
    work: Path,
    tmp_path: Path,
    kind: str,
    script: str,
    said: str,
) -> None:
    store: MotoS3 | None = None if kind == "file" else request.getfixturevalue(kind)
    bucket = "" if store is None else store.create_bucket()
    where = f"file://{place}" if store is None else f"s3://{bucket}"
    wanted = in_directory(small, where, store, work_dir=str(work), verify="archive", compare="rows")
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", small, script)
    failed = run_module_here("pg_backup", wanted)
    assert failed["failed"] is True and said in failed["msg"], failed
    assert small.databases() == [small.name]
    assert store is None or (keys(store, bucket), uploads(store, bucket)) == ([], [])
    assert (entries(work), list(place.rglob("*.dump*"))) == ([], [])


def test_a_store_that_takes_half_of_it_has_none_of_it(
    run_module_here: ModuleRun, small: Sample, moto_s3: MotoS3, work: Path
) -> None:
    bucket = moto_s3.create_bucket()
    with FaultyStore(moto_s3) as proxy:

        def watch(seen: Seen) -> None:
            if [one.phase for one in proxy.seen].count("put") >= 4:
                proxy.spoil("put", "403 ExpiredToken")

        proxy.watch = watch
        wanted = in_directory(small, f"s3://{bucket}", proxy, work_dir=str(work))
        failed = run_module_here("pg_backup", wanted)
        assert failed["failed"] is True and "ExpiredToken" in failed["msg"], failed
        assert proxy.phases().count("delete") == proxy.phases().count("head") >= 3
    assert (keys(moto_s3, bucket), uploads(moto_s3, bucket), small.databases()) == ([], [], [small.name])
    assert entries(work) == []


def test_a_lock_holds_every_file_and_retention_leaves_it_whole(
    run_module_here: ModuleRun, small: Sample, moto_s3: MotoS3, work: Path
) -> None:
    bucket = locking_bucket(moto_s3)
    wanted = in_directory(small, f"s3://{bucket}", moto_s3, work_dir=str(work), verify="head", keep={"last": 1})
    upload = {"object_lock": {"mode": "governance", "days": 7}, "tags": {"system": "archive"}}
    made = run_module_here("pg_backup", {**wanted, "upload": upload})
    assert made["backup"]["lock"]["mode"] == "GOVERNANCE", made
    stored = keys(moto_s3, bucket)
    for key in stored:
        assert moto_s3.client().head_object(Bucket=bucket, Key=key)["ObjectLockMode"] == "GOVERNANCE"
        assert moto_s3.client().get_object_tagging(Bucket=bucket, Key=key)["TagSet"][0]["Value"] == "archive"
    second = run_module_here("pg_backup", wanted)
    assert second["pruned"] == [] and "is kept by no rule and stays" in str(second["warnings"]), second
    assert set(stored) < set(keys(moto_s3, bucket))


def test_a_dump_that_was_killed_is_swept(
    run_module_here: ModuleRun, sample: Sample, place: Path, tmp_path: Path, release: str
) -> None:
    whole = run_module_here("pg_backup", in_directory(sample, f"file://{place}", verify="head"))
    assert whole["changed"] is True, whole
    before = entries(place)
    wanted = in_directory(sample, f"file://{place}", release=release)
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", sample, '$REAL "$@"; exec sleep 600')
    killed("pg_backup", wanted, lambda: len(list(place.rglob("toc.dat"))) == 2, "a dump that is written")
    where = {"destination": f"file://{place}", "restore_id": id_of(release)}
    done = swept_to_the_last(run_module_here, sample, ["archive"], **where)
    assert done["removed"][0]["name"].startswith(f"file://{place}/{sample.name}/")
    assert entries(place) == before
    # Killed before pg_dump wrote anything.
    folder = place / sample.name / f"20260101T000000Z-{id_of(release)}-00000000.dump"
    folder.mkdir()
    swept_to_the_last(run_module_here, sample, ["archive"], **where)
    assert entries(place) == before


def test_the_jobs_of_a_killed_dump_do_not_go_on_to_the_end_of_their_table(postgres: Postgres, place: Path) -> None:
    wide = "create table app.wide as select i, repeat(md5(i::text), 200) from generate_series(1, 40000) i"
    with contextlib.ExitStack() as stack:
        made = Sample(postgres)
        stack.callback(made.drop)
        made.create(f"create schema app;\n{wide}")
        session = stack.enter_context(made.connect())
        reading = "select pid from pg_stat_activity where datname = current_database() and query like 'COPY app.wide %'"

        def has_stopped_in_the_table() -> bool:
            for (backend,) in session.execute(reading).fetchall():
                os.kill(backend, signal.SIGSTOP)
                stack.callback(os.kill, backend, signal.SIGCONT)
                return True
            return False

        wanted = in_directory(made, f"file://{place}", compression="none")
        killed("pg_backup", wanted, has_stopped_in_the_table, "a table that is read", programs=3)


def test_a_proof_that_was_killed_leaves_no_file_after_the_sweep(
    run_module_here: ModuleRun, small: Sample, moto_s3: MotoS3, work: Path, tmp_path: Path, release: str
) -> None:
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wanted = in_directory(small, f"s3://{bucket}", moto_s3, work_dir=str(work))
    programs = Path(fake_programs(tmp_path / "bin", small, 'exec $REAL "$@"'))
    (programs / "pg_restore").unlink()
    (programs / "pg_restore").write_text("#!/bin/sh\nexec sleep 600\n")
    (programs / "pg_restore").chmod(0o755)
    has_scratch = has(small, "scratch")

    def lives_and_is_left_alone() -> bool:
        if not (has_scratch() and any(work.rglob("toc.dat"))):
            return False
        copies = entries(work)
        young = sweep(run_module_here, small, work_dir=str(work))
        assert (young["removed"], entries(work)) == ([], copies), young
        return [one["reason"] for one in young["kept"] if one["kind"] == "work"] == [
            "a run that is alive is at work on it"
        ]

    alive = {**wanted, "pg_bindir": str(programs), "release": release}
    killed("pg_backup", alive, lives_and_is_left_alone, "a proof that reads its copy")
    where = {"destination": f"s3://{bucket}", "s3": wanted["s3"], "work_dir": str(work), "restore_id": id_of(release)}
    swept_to_the_last(run_module_here, small, ["archive", "roles", "scratch", "work"], **where)
    assert (entries(work), keys(moto_s3, bucket), small.databases()) == ([], [], [small.name])
    found = moto_s3.client().list_object_versions(Bucket=bucket)
    assert not {"Versions", "DeleteMarkers"} & set(found)
