# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof by restoring leaves beside its backup, who reads it, and when it goes."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import S3, Postgres

MARKER = "Geheimnis-52ab90"
NOTES = f"""
create table public.notes (id bigserial primary key, text text);
insert into public.notes (text) select '{MARKER} ' || i from generate_series(1, 50) i
"""


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(NOTES)
    finally:
        made.drop()


def back_up(run: ModuleRun, sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    made = run(
        "pg_backup",
        sample.options(**{"destination": f"file://{place}", "verify": "head", "pg_bindir": sample.programs, **more}),
    )
    assert made["changed"] is True, made
    return made


def proof(sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    return sample.options(
        **{"state": "verified", "destination": f"file://{place}", "pg_bindir": sample.programs, **more}
    )


def judged(run: ModuleRun, sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    asked = {"verify": "head", "max_age": "1h", "min_size_share": 0, "max_proof_age": "1h", "enforce": False}
    answer = run("check_backup", {"destination": f"file://{place}", "database": sample.name, **asked, **more})
    return dict(answer["finding"])


def records(place: Path) -> list[Path]:
    return sorted(place.rglob("*.restored-*"))


def test_a_proof_leaves_one_record_that_names_no_row_and_is_no_backup(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    made = back_up(run_module_here, sample, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    query = {"query": "select min(text) from public.notes", "expect": f"{MARKER} 1"}
    wanted = proof(sample, tmp_path, verify_sql=[query])
    assert run_module_here("pg_restore", wanted, check=True)["changed"] is True
    assert records(tmp_path) == []

    proven = run_module_here("pg_restore", wanted)
    (record,) = records(tmp_path)
    assert (proven["changed"], proven["record"]) == (True, f"file://{record}"), proven
    assert record.stat().st_mode & 0o777 == 0o600
    assert {path: path.read_bytes() for path in before} == before
    assert MARKER not in record.read_text() and sample.password not in record.read_text()
    told = json.loads(record.read_text())
    assert (told["sha256"], told["size"]) == (made["backup"]["sha256"], made["backup"]["size_bytes"])
    assert f"file://{record.parent / told['manifest']}" == made["backup"]["manifest"]
    assert told["where"]["port"] == sample.server.port
    verified = told["verified"]
    assert verified["scratch_database"].startswith(sample.name[:20]) and "_scratch_" in verified["scratch_database"]
    assert (verified["ok"], verified["compared"], verified["rows"]) == (True, "rows and content", 50)
    assert (verified["restore_seconds"], verified["assertions"]) == (proven["verified"]["restore_seconds"], 1)

    listed = run_module_here("pg_restore", proof(sample, tmp_path, state="listed"))
    assert [one["manifest"] for one in listed["backups"]] == [made["backup"]["manifest"]]
    swept = run_module_here("pg_restore", proof(sample, tmp_path, state="swept", min_age=0))
    assert swept["removed"] == [] and records(tmp_path) == [record]
    run_module_here("pg_restore", wanted)
    assert len(records(tmp_path)) == 2

    quiet = run_module_here("pg_restore", {**wanted, "record": False})
    assert (quiet["changed"], quiet["record"], len(records(tmp_path))) == (False, None, 2)


def test_a_record_without_its_backup_and_one_that_was_never_whole_are_swept(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    made = back_up(run_module_here, sample, tmp_path)
    run_module_here("pg_restore", proof(sample, tmp_path))
    (record,) = records(tmp_path)
    manifest = Path(made["backup"]["manifest"].removeprefix("file://"))
    partial = record.with_name(f"{record.name}.partial-1a2b3c4d")
    partial.write_text("{")
    wanted = proof(sample, tmp_path, state="swept", min_age=0)
    swept = run_module_here("pg_restore", wanted)
    assert [(one["kind"], one["name"]) for one in swept["removed"]] == [("partial", f"file://{partial}")], swept
    assert (record.exists(), partial.exists()) == (True, False)
    manifest.unlink()
    swept = run_module_here("pg_restore", wanted)
    assert sorted(one["kind"] for one in swept["removed"]) == ["archive", "record", "roles"], swept
    assert records(tmp_path) == []


def test_the_age_and_the_time_of_the_newest_proof_are_judged(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    back_up(run_module_here, sample, tmp_path)
    found = judged(run_module_here, sample, tmp_path, max_restore_time="1h")
    assert found["status"] == "fail", found["summary"]
    assert "No backup that is there was ever restored as a proof" in found["summary"]
    assert "how long a restore takes is unknown" in found["summary"]

    proven = run_module_here("pg_restore", proof(sample, tmp_path))
    found = judged(run_module_here, sample, tmp_path, max_restore_time="1h")
    assert found["status"] == "pass", found["summary"]
    (seen,) = found["evidence"]["proofs"]
    assert (seen["record"], seen["counts"]) == (proven["record"], True)
    assert seen["restore_seconds"] == proven["verified"]["restore_seconds"]

    (record,) = records(tmp_path)
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "at": told["created"].replace("2026", "2024").replace("2027", "2025")}))
    found = judged(run_module_here, sample, tmp_path)
    assert (found["status"], "The newest restore that proved a backup was " in found["summary"]) == ("fail", True)
    record.write_text(json.dumps({**told, "verified": {**told["verified"], "restore_seconds": 3601.0}}))
    found = judged(run_module_here, sample, tmp_path, max_restore_time="1h")
    assert (found["status"], "took 60.0 min, expected at most 1h" in found["summary"]) == ("fail", True)
    # A manifest of a backup that was proven by a restore as it was made tells as much.
    record.unlink()
    back_up(run_module_here, sample, tmp_path, verify="restore")
    assert judged(run_module_here, sample, tmp_path)["status"] == "pass"


def archive_of(made: dict[str, t.Any]) -> Path:
    return Path(made["backup"]["archive"].removeprefix("file://"))


def rot(archive: Path) -> bytes:
    """One byte of it in the middle; returns what it was."""
    body = archive.read_bytes()
    middle = len(body) // 2
    archive.write_bytes(body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])
    return body


def test_a_proof_that_failed_is_recorded_and_counts_until_one_holds_again(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    archive = archive_of(back_up(run_module_here, sample, tmp_path))
    run_module_here("pg_restore", proof(sample, tmp_path))
    assert judged(run_module_here, sample, tmp_path)["status"] == "pass"
    body = rot(archive)
    failed = run_module_here("pg_restore", proof(sample, tmp_path))
    told = json.loads(Path(failed["record"].removeprefix("file://")).read_text())
    assert (failed["failed"], told["verified"]["ok"], MARKER in json.dumps(told)) == (True, False, False)
    assert "is not what was written" in failed["msg"] + str(failed.get("warnings"))
    found = judged(run_module_here, sample, tmp_path)
    assert (found["status"], "failed: it ended with ActionFailed" in found["summary"]) == ("fail", True), found
    # Without a bound on proofs nobody asks for them, where backups need not be restored.
    assert judged(run_module_here, sample, tmp_path, max_proof_age=None)["status"] == "pass"
    archive.write_bytes(body)
    run_module_here("pg_restore", proof(sample, tmp_path))
    assert judged(run_module_here, sample, tmp_path)["status"] == "pass"


def test_an_archive_that_cannot_be_read_is_recorded_as_a_proof_that_failed(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    archive = archive_of(back_up(run_module_here, sample, tmp_path))
    archive.unlink()
    os.mkfifo(archive)
    failed = run_module_here("pg_restore", proof(sample, tmp_path))
    assert (failed["error"], "is not a file" in failed["msg"]) == ("UnexpectedAnswer", True), failed
    assert json.loads(Path(failed["record"].removeprefix("file://")).read_text())["verified"]["ok"] is False


@pytest.mark.parametrize(
    ("script", "more", "error"),
    [
        (f'echo "pg_restore: error: COPY failed at {MARKER} 7: disk full" >&2; exit 1', {}, "CommandFailed"),
        ("exec sleep 60", {"timeout": 3}, "TimedOut"),
    ],
)
def test_what_failed_for_another_reason_says_nothing_of_the_backup(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, script: str, more: dict[str, t.Any], error: str
) -> None:
    place, programs = tmp_path / "place", tmp_path / "bin"
    place.mkdir()
    programs.mkdir()
    back_up(run_module_here, sample, place)
    run_module_here("pg_restore", proof(sample, place))
    before = records(place)
    for program in ("pg_dump", "pg_restore"):
        path = programs / program
        real = f'exec {sample.server.program(program)} "$@"'
        path.write_text(f'#!/bin/sh\ncase "$*" in *--version*|*--schema-only*) {real};; esac\n{script}\n')
        path.chmod(0o755)
    failed = run_module_here("pg_restore", proof(sample, place, pg_bindir=str(programs), **more))
    assert (failed["error"], "record" in failed, records(place)) == (error, False, before), failed
    assert judged(run_module_here, sample, place)["status"] == "pass"


#: A row that a foreign key lacks.
BREAKS_IN_A_KEY = """
create table public.pages (note bigint references public.notes);
alter table public.pages disable trigger all;
insert into public.pages values (4711)
"""


@pytest.mark.parametrize("more", [{}, {"format": "directory", "jobs": 2}])
def test_a_whole_backup_that_no_server_takes_is_recorded_as_a_proof_that_failed(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, more: dict[str, t.Any]
) -> None:
    sample.execute(BREAKS_IN_A_KEY)
    back_up(run_module_here, sample, tmp_path, **more)
    jobs = {name: value for name, value in more.items() if name == "jobs"}
    failed = run_module_here("pg_restore", proof(sample, tmp_path, **jobs))
    assert (failed["error"], failed["backup_fault"]) == (
        "CommandFailed",
        "the server refuses what it holds, with SQLSTATE 23503",
    ), failed
    assert "Do not use this backup" in failed["msg"] + str(failed.get("remedy"))
    told = json.loads(Path(failed["record"].removeprefix("file://")).read_text())
    assert (told["verified"]["ok"], "4711" in json.dumps(told)) == (False, False)
    found = judged(run_module_here, sample, tmp_path)
    said = "failed: it cannot be restored, the server refuses what it holds, with SQLSTATE 23503"
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]
    left = [one[0] for one in sample.server.execute("select datname from pg_database where datname ~ '_scratch_'")]
    assert [name for name in left if name.startswith(sample.name[:20])] == []


def written_again(made: dict[str, t.Any], body: bytes) -> None:
    """The archive as if pg_backup had stored it so: its manifest has its digests."""
    archive_of(made).write_bytes(body)
    manifest = Path(made["backup"]["manifest"].removeprefix("file://"))
    told = json.loads(manifest.read_text())
    told["archive"].update(size=len(body), sha256=hashlib.sha256(body).hexdigest(), crc32=None)
    manifest.write_text(json.dumps(told))


def test_an_archive_that_pg_restore_cannot_read_is_one_unless_it_was_written_by_a_newer_program(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    made = back_up(run_module_here, sample, tmp_path)
    body = archive_of(made).read_bytes()
    written_again(made, body[: len(body) - 200])
    failed = run_module_here("pg_restore", proof(sample, tmp_path))
    assert failed["backup_fault"] == "pg_restore tells of the archive: could not read from input file: end of file", (
        failed
    )
    assert judged(run_module_here, sample, tmp_path)["status"] == "fail"

    written_again(made, body[:6] + bytes([99]) + body[7:])  # the minor number of the format's version
    failed = run_module_here("pg_restore", proof(sample, tmp_path))
    assert "unsupported version (1.99) in file header" in failed["backup_fault"], failed
    left = len(records(tmp_path))
    manifest = Path(made["backup"]["manifest"].removeprefix("file://"))
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**told, "programs": {**told["programs"], "version": "99.1"}}))
    failed = run_module_here("pg_restore", proof(sample, tmp_path))
    assert (failed["failed"], "record" in failed, len(records(tmp_path))) == (True, False, left), failed


def test_a_backup_whose_last_restore_failed_counts_for_no_restore_and_takes_no_place(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    good = back_up(run_module_here, sample, tmp_path, verify="restore")
    rotten = back_up(run_module_here, sample, tmp_path, verify="restore")
    asked = {"verify": "restore", "max_proof_age": None}
    assert judged(run_module_here, sample, tmp_path, **asked)["status"] == "pass"
    rot(archive_of(rotten))
    assert run_module_here("pg_restore", proof(sample, tmp_path))["failed"] is True
    # A proof of the other one since does not make it good.
    run_module_here("pg_restore", proof(sample, tmp_path, destination=None, backup=good["backup"]["manifest"]))
    found = judged(run_module_here, sample, tmp_path, **asked)
    said = f"The newest restore as a proof, of the backup of {rotten['backup']['created']}"
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]

    wanted = {"keep": {"last": 1}}
    nightly = back_up(run_module_here, sample, tmp_path, **wanted)
    assert nightly["pruned"] == [rotten["backup"]["manifest"]], nightly
    assert archive_of(good).exists()


def test_what_cannot_be_read_beside_a_backup_lets_nothing_be_removed(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    first = archive_of(back_up(run_module_here, sample, tmp_path))
    # A pipe that nobody writes: as a manifest it is no backup.
    os.mkfifo(first.with_name("20260101T000000Z-00000000.dump.manifest.json"))
    wanted = {"keep": {"last": 1}}
    second = back_up(run_module_here, sample, tmp_path, **wanted)
    assert (len(second["pruned"]), first.exists()) == (1, False), second
    pipe = archive_of(second).with_name(f"{archive_of(second).name}.restored-20260101T000000Z-00000000.json")
    os.mkfifo(pipe)
    options = sample.options(destination=f"file://{tmp_path}", verify="head", pg_bindir=sample.programs, **wanted)
    would = run_module_here("pg_backup", options, check=True)
    third = back_up(run_module_here, sample, tmp_path, **wanted)
    for answer in (would, third):
        assert answer["pruned"] == [], answer
        assert f"{pipe} is not a file" in str(answer["warnings"]), answer
    pipe.unlink()
    assert len(back_up(run_module_here, sample, tmp_path, **wanted)["pruned"]) == 2


def test_what_differs_is_named_by_its_tables_alone(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    made = back_up(run_module_here, sample, tmp_path)
    manifest = Path(made["backup"]["manifest"].removeprefix("file://"))
    told = json.loads(manifest.read_text())
    told["tables"][0]["rows"] += 1
    manifest.write_text(json.dumps(told))
    failed = run_module_here("pg_restore", proof(sample, tmp_path))
    assert "public.notes has 50 rows instead of 51" in failed["msg"], failed
    found = judged(run_module_here, sample, tmp_path)
    said = "failed: what was restored is not what was backed up: public.notes has 50 rows instead of 51"
    assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def test_a_damaged_record_is_told_and_one_of_another_archive_counts_for_nothing(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    back_up(run_module_here, sample, tmp_path)
    run_module_here("pg_restore", proof(sample, tmp_path))
    (record,) = records(tmp_path)
    told = json.loads(record.read_text())
    ahead = told["at"].replace("2026", "2099")
    for body, status, said in (
        ("{", "fail", "records of restores that are damaged, so that the newest is not known: "),
        (json.dumps({**told, "format": "opsready.golive/restore/9"}), "fail", "its format is not"),
        (json.dumps({**told, "verified": {"ok": "yes"}}), "fail", "verified.ok is neither true nor false"),
        (json.dumps({**told, "verified": {"ok": True}}), "fail", "verified.restore_seconds is no number"),
        (json.dumps({**told, "at": "lately"}), "fail", "at is no time"),
        (json.dumps({**told, "sha256": "0" * 64}), "fail", "no backup that is there was ever restored as a proof"),
        (json.dumps({**told, "at": ahead}), "fail", "records of restores that are of the future: "),
        (json.dumps(told), "pass", "all hold"),
    ):
        record.write_text(body)
        found = judged(run_module_here, sample, tmp_path)
        assert (found["status"], said in found["summary"].lower()) == (status, True), found["summary"]
    # Beside one that holds, a damaged one leaves the newest unknown.
    record.with_name(record.name.replace("-" + record.name[-13:-5], "-00000000")).write_text("{")
    assert judged(run_module_here, sample, tmp_path)["status"] == "unknown"


class ReadOnlyS3(S3):
    """The bytes of another store, for keys that may only read."""

    def __init__(self, other: S3) -> None:
        super().__init__()
        self.bytes_directory = other.bytes_directory

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "RCLONE_READ_ONLY": "true"}


def test_a_place_that_takes_no_record_leaves_the_proof_and_a_warning(
    run_module_here: ModuleRun, sample: Sample, s3: S3
) -> None:
    bucket = s3.create_bucket()

    def at(store: S3) -> dict[str, t.Any]:
        keys = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
        return {"destination": f"s3://{bucket}/nightly", "s3": keys, "pg_bindir": sample.programs}

    run_module_here("pg_backup", sample.options(verify="head", **at(s3)), secrets=[s3.secret_key])
    with ReadOnlyS3(s3) as store:
        wanted = sample.options(state="verified", **at(store))
        proven = run_module_here("pg_restore", wanted, secrets=[store.secret_key])
        assert (proven["changed"], proven["record"], proven["verified"]["ok"]) == (False, None, True), proven
        assert "This proof left no record, so check_backup will not know of it: " in str(proven["warnings"])
        assert "or set record: false" in str(proven["warnings"])
        quiet = run_module_here("pg_restore", {**wanted, "record": False}, secrets=[store.secret_key])
        assert (quiet["changed"], quiet["record"]) == (False, None), quiet
    # With keys that may, it is committed there like all the rest.
    proven = run_module_here("pg_restore", sample.options(state="verified", **at(s3)), secrets=[s3.secret_key])
    stored = [one["Key"] for one in s3.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert proven["record"].partition(f"{bucket}/")[2] in stored


def test_records_go_with_their_backup_and_the_last_that_was_restored_stays(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    first = back_up(run_module_here, sample, tmp_path)
    run_module_here("pg_restore", proof(sample, tmp_path))
    keep = {"keep": {"last": 1}}
    second = back_up(run_module_here, sample, tmp_path, **keep)
    # Proven by its bytes alone, it replaces none that was restored.
    assert second["pruned"] == []
    run_module_here("pg_restore", proof(sample, tmp_path))
    assert len(records(tmp_path)) == 2
    third = back_up(run_module_here, sample, tmp_path, **keep)
    assert third["pruned"] == [first["backup"]["manifest"]]
    (left,) = records(tmp_path)
    assert second["backup"]["archive"].endswith(left.name.partition(".restored-")[0])


def test_a_record_of_the_future_keeps_no_backup(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    first = back_up(run_module_here, sample, tmp_path)
    run_module_here("pg_restore", proof(sample, tmp_path))
    (record,) = records(tmp_path)
    record.write_text(json.dumps({**json.loads(record.read_text()), "at": "2099-01-01T00:00:00Z"}))
    second = back_up(run_module_here, sample, tmp_path, keep={"last": 1})
    assert second["pruned"] == [first["backup"]["manifest"]], second
    assert "which is still to come: it counts for nothing" in str(second["warnings"])


def test_a_way_back_takes_the_newest_whose_last_restore_did_not_fail(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    older = back_up(run_module_here, sample, tmp_path)
    run_module_here("pg_restore", proof(sample, tmp_path))
    newer = back_up(run_module_here, sample, tmp_path)
    run_module_here("pg_restore", proof(sample, tmp_path))
    asked = proof(sample, tmp_path, state="extracted", tables=["public.notes"], restore_id="r1")

    def taken(**more: t.Any) -> dict[str, t.Any]:
        return run_module_here("pg_restore", {**asked, **more}, check=True)

    assert newer["backup"]["manifest"] in str(taken()), "the newest, without a word"
    newest, oldest = reversed(records(tmp_path))
    told = json.loads(newest.read_text())
    newest.write_text(json.dumps({**told, "verified": {"ok": False}, "problem": "it cannot be restored"}))
    answer = taken()
    assert f"{newer['backup']['manifest']} was passed over: its last restore failed: {told['at']}, it cannot" in str(
        answer
    )
    assert f"{older['backup']['manifest']} is taken in its place" in str(answer["warnings"])
    named = taken(destination=None, backup=newer["backup"]["manifest"])
    assert "is taken as it was named, although its last restore failed" in str(named["warnings"]), named

    before = json.loads(oldest.read_text())
    oldest.write_text(json.dumps({**before, "verified": {"ok": False}}))
    refused = taken()
    assert (refused["error"], "whose last restore did not fail" in refused["msg"]) == ("Refused", True), refused
    # One of the future says nothing.
    oldest.write_text(json.dumps({**before, "verified": {"ok": False}, "at": "2099-01-01T00:00:00Z"}))
    assert "is taken in its place" in str(taken()["warnings"])
    assert (
        run_module_here("pg_restore", proof(sample, tmp_path), check=True)["backup"]["name"] == newer["backup"]["name"]
    )
