# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup on real servers: what it makes restores, and after any failure nothing of it is left."""

from __future__ import annotations

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
from psycopg import sql

from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample, await_gone
from tests.leaks import assert_no_leak
from tests.servers import S3, HangingServer, MotoS3, Postgres, await_true
from tests.store_faults import FaultyStore

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
serves = pytest.mark.serves
BIG = """
create table public.big as select i, sha256(i::text::bytea) || sha256((i + 1)::text::bytea) as b from generate_series(1, 200000) i
"""


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    with Sample(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def big(postgres: Postgres) -> t.Iterator[Sample]:
    """A database whose uncompressed dump is larger than two parts of an upload."""
    made = Sample(postgres)
    try:
        made.create(BIG)
        yield made
    finally:
        made.drop()


def store_options(store: S3 | MotoS3 | FaultyStore) -> dict[str, t.Any]:
    return {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}


def options(
    sample: Sample, destination: str, store: S3 | MotoS3 | FaultyStore | None = None, **more: t.Any
) -> dict[str, t.Any]:
    found = sample.options(destination=destination, pg_bindir=sample.programs, **more)
    return {**found, "s3": store_options(store)} if store is not None else found


def keys(store: S3 | MotoS3, bucket: str) -> list[str]:
    return [one["Key"] for one in store.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def uploads(store: S3 | MotoS3, bucket: str) -> list[str]:
    return [one["Key"] for one in store.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def assert_nothing_left(sample: Sample, store: S3 | MotoS3 | None = None, bucket: str = "") -> None:
    assert sample.databases() == [sample.name]
    if store is not None:
        assert keys(store, bucket) == []
        assert uploads(store, bucket) == []


@serves("S1.10", case="pass")
def test_a_backup_is_restored_compared_and_then_listed(run_module_here: ModuleRun, sample: Sample, s3: S3) -> None:
    bucket = s3.create_bucket()
    wanted = options(sample, f"s3://{bucket}/nightly", s3)
    secrets = [sample.password, s3.secret_key]

    planned = run_module_here("pg_backup", wanted, check=True, secrets=secrets)
    assert planned["changed"] is True
    assert keys(s3, bucket) == []

    made = run_module_here("pg_backup", wanted, secrets=secrets)
    assert made["changed"] is True, made
    assert made["verified"]["level"] == "restore"
    assert made["verified"]["compared"] == "rows and content"
    assert made["verified"]["schema_equal"] is True
    assert made["backup"]["revision"] == ["0002"]
    archive, written, _roles = keys(s3, bucket)
    assert made["backup"]["archive"] == f"s3://{bucket}/{archive}"
    assert made["backup"]["manifest"] == f"s3://{bucket}/{written}"
    manifest = json.loads(s3.client().get_object(Bucket=bucket, Key=written)["Body"].read())
    assert_no_leak(secrets, json.dumps(manifest), "the manifest")
    rows = {(one["schema"], one["name"]): one["rows"] for one in manifest["tables"]}
    assert rows[("app", "documents")] == 2000
    assert rows[("app", 'Zwei Wörter\nund "mehr"')] == 2
    assert (rows[("app", "parent")], rows[("app", "child")]) == (1, 1)
    assert (rows[("app", "parted_low")], ("app", "parted") in rows) == (10, False)
    assert manifest["large_objects"] == 1
    assert manifest["archive"]["size"] == s3.client().head_object(Bucket=bucket, Key=archive)["ContentLength"]
    stored = s3.client().get_object(Bucket=bucket, Key=archive)["Body"].read()
    assert made["backup"]["sha256"] == manifest["archive"]["sha256"] == hashlib.sha256(stored).hexdigest()
    # The dump is one program's; whatever else is in the pipe is the module itself.
    assert made["backup"]["programs"]["exit_codes"] == {"pg_dump": 0}
    assert made["backup"]["programs"]["version"] and manifest["server"]["version_num"] > 150000
    assert sample.databases() == [sample.name]

    again = run_module_here("pg_backup", {**wanted, "max_age": 3600}, secrets=secrets)
    assert again["changed"] is False
    assert again["backup"]["manifest"] == made["backup"]["manifest"]
    assert len(keys(s3, bucket)) == 3


@pytest.mark.parametrize("compression", ["auto", "none"])
def test_a_directory_holds_private_files_and_is_proven_without_a_server(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, compression: str
) -> None:
    wanted = options(sample, f"file://{tmp_path}", verify="archive", compression=compression, compare="rows")
    made = run_module_here("pg_backup", wanted, secrets=[sample.password])
    assert made["verified"]["level"] == "archive", made
    assert made["verified"]["rows"] == made["backup"]["rows"]
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    listed = subprocess.run([sample.server.program("pg_restore"), "-l", str(files[0])], capture_output=True, check=True)
    assert b"documents" in listed.stdout


def test_a_large_dump_goes_up_in_parts_and_its_checksum_is_the_servers(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3
) -> None:
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wanted = options(big, f"s3://{bucket}", moto_s3, verify="head", compression="none")
    made = run_module_here("pg_backup", wanted)
    assert made["verified"]["compared"] == "size and CRC32", made
    assert made["backup"]["size_bytes"] > 3 * (8 << 20)
    assert made["plan"]["destination"]["versioning"] == "Enabled"
    archive, written, _roles = keys(moto_s3, bucket)
    manifest = json.loads(moto_s3.client().get_object(Bucket=bucket, Key=written)["Body"].read())
    head = moto_s3.client().head_object(Bucket=bucket, Key=archive)
    assert manifest["archive"]["version_id"] == head["VersionId"]
    assert uploads(moto_s3, bucket) == []


def test_where_the_server_keeps_no_checksum_the_object_is_read_back(
    run_module_here: ModuleRun, big: Sample, s3: S3
) -> None:
    bucket = s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", s3, verify="head", compression="none", compare="rows")
    wanted["s3"]["checksums"] = "none"
    made = run_module_here("pg_backup", wanted)
    assert made["verified"]["compared"] == "SHA-256, read back", made


def test_counts_are_those_of_the_snapshot_while_others_write(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path
) -> None:
    with Sample(postgres) as sample:
        stopped = threading.Event()

        def write() -> None:
            with sample.connect() as connection:
                while not stopped.is_set():
                    connection.execute("insert into app.documents (title) values ('live')")
                    connection.execute("delete from app.documents where id % 97 = 3")

        writers = [threading.Thread(target=write) for unused in range(2)]
        for writer in writers:
            writer.start()
        try:
            made = run_module_here("pg_backup", options(sample, f"file://{tmp_path}"))
        finally:
            stopped.set()
            for writer in writers:
                writer.join()
        # Restored and compared by content: any row too many or too few would have failed it.
        assert made.get("verified", {}).get("compared") == "rows and content", made


def test_a_backup_can_be_proven_on_another_server(
    run_module_here: ModuleRun, debian_postgres: Postgres, postgres: Postgres, tmp_path: Path
) -> None:
    with Sample(debian_postgres) as sample:
        wanted = options(sample, f"file://{tmp_path}")
        wanted["pg_bindir"] = str(debian_postgres.programs)
        wanted.update(verify_dsn=postgres.dsn(password=None), verify_password=postgres.password)
        made = run_module_here("pg_backup", wanted, secrets=[sample.password, postgres.password])
        assert made["verified"]["owners"] == "left out", made
        assert made["verified"]["schema_equal"] is None
        assert made["verified"]["server_version"] >= 180000
        assert not [name for name in postgres.execute("select datname from pg_database") if "scratch" in name[0]]


def test_a_superuser_keeps_owners_in_the_scratch_database(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    wanted = options(
        sample, f"file://{tmp_path}", verify_sql=[{"query": "select count(*) from app.documents", "expect": "2000"}]
    )
    wanted.update(dsn=sample.dsn(login="postgres"), password=sample.server.password)
    made = run_module_here("pg_backup", wanted)
    assert made["verified"]["owners"] == "kept", made
    assert made["verified"]["assertions"][0]["found"] == "2000"


def test_a_name_of_63_bytes_is_backed_up_and_never_dropped(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path
) -> None:
    name = 'ä"' * 10 + "x" * 30 + "=/"
    assert len(name.encode()) <= 63
    name = name + "y" * (63 - len(name.encode()))
    with Sample(postgres, name=name) as sample:
        made = run_module_here("pg_backup", options(sample, f"file://{tmp_path}"))
        assert made["changed"] is True, made
        assert sample.databases() == [name]


@pytest.mark.parametrize("verify", ["head", "archive"])
def test_a_query_that_nobody_would_ask_is_refused(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, verify: str
) -> None:
    query = [{"query": "select 1", "expect": "2"}]
    refused = run_module_here("pg_backup", options(sample, f"file://{tmp_path}", verify=verify, verify_sql=query))
    assert refused["failed"] is True
    assert refused["msg"].startswith(
        f"verify_sql looks at a restored database, and with verify: {verify} there is none."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select max(i) from documents", 'relation "documents" does not exist'),
        ("selct 1", 'syntax error at or near "selct"'),
        ("select 1; select 2", "cannot insert multiple commands into a prepared statement"),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused_before_the_dump(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, query: str, said: str
) -> None:
    asked = [{"query": "show server_encoding", "expect": "UTF8"}, {"query": query, "expect": "1"}]
    for check in (True, False):
        refused = run_module_here("pg_backup", options(sample, f"file://{tmp_path}", verify_sql=asked), check=check)
        assert refused["failed"] is True
        assert refused["msg"].startswith(f"verify_sql number 2 cannot be asked: {said}"), refused
    assert list(tmp_path.iterdir()) == []


def test_a_query_of_the_user_that_fails_leaves_no_backup(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    wanted = options(sample, f"file://{tmp_path}", verify_sql=[{"query": "select 1", "expect": "2"}])
    failed = run_module_here("pg_backup", wanted)
    assert failed["failed"] is True
    assert "verify_sql number 1 gave 1, expected 2" in failed["msg"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert_nothing_left(sample)


def test_the_cause_is_told_first_where_the_store_lets_nothing_be_removed(
    run_module_here: ModuleRun, sample: Sample, moto_s3: MotoS3
) -> None:
    bucket, client = f"locked-{os.urandom(4).hex()}", moto_s3.client()
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    wanted = options(sample, f"s3://{bucket}", moto_s3, verify_sql=[{"query": "select 1", "expect": "2"}])
    failed = run_module_here("pg_backup", wanted, secrets=[sample.password])
    assert failed["failed"] is True
    assert failed["msg"].startswith("verify_sql number 1 gave 1, expected 2."), failed
    left = [f"s3://{bucket}/{key}" for key in keys(moto_s3, bucket)]
    assert sorted(failed["left_behind"]) == sorted(left) and len(left) == 2
    assert all(f"{url} could not be removed: " in failed["msg"] for url in left)
    assert failed["plan"]["verify"] == "restore"


def test_a_recent_backup_that_proves_less_or_is_gone_is_made_anew(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    query = {"query": "select 1", "expect": "1"}
    wanted = options(sample, f"file://{tmp_path}", max_age=3600, verify_sql=[query])
    made = run_module_here("pg_backup", {**wanted, "compare": "rows"})
    assert made["changed"] is True, made
    assert run_module_here("pg_backup", {**wanted, "compare": "rows"}, check=True)["changed"] is False
    assert run_module_here("pg_backup", {**wanted, "compare": "rows", "verify_sql": []})["changed"] is False
    assert run_module_here("pg_backup", wanted, check=True)["changed"] is True
    other = [query, {"query": "select 2", "expect": "2"}]
    assert run_module_here("pg_backup", {**wanted, "compare": "rows", "verify_sql": other}, check=True)["changed"]
    os.unlink(made["backup"]["archive"].removeprefix("file://"))
    anew = run_module_here("pg_backup", {**wanted, "compare": "rows"}, check=True)
    assert anew["changed"] is True
    assert f"{made['backup']['archive']} is not there" in str(anew["warnings"])


def test_bad_input_is_refused_before_anything_runs(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    for changes, said in (
        ({"dsn": "postgresql://u:canary-77@h/d"}, "holds a password"),
        ({"destination": "ftp://x"}, "neither s3://"),
        ({"destination": "s3://UPPER"}, "not s3://bucket"),
        ({"destination": f"file://{tmp_path}/gone"}, "No such file"),
        ({"verify_dsn": "postgresql://u:canary-77@h/d"}, "holds a password"),
        ({"compression": "lz4"}, "cannot compress with lz4"),
        ({"maintenance_database": sample.name}, "the database to be changed"),
    ):
        failed = run_module_here(
            "pg_backup", {**options(sample, f"file://{tmp_path}"), **changes}, secrets=["canary-77"]
        )
        assert failed["failed"] is True
        assert said in failed["msg"]
    assert_nothing_left(sample)


def test_a_wrong_password_says_so(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    failed = run_module_here(
        "pg_backup", {**options(sample, f"file://{tmp_path}"), "password": "wrong-canary-1"}, secrets=["wrong-canary-1"]
    )
    assert failed["error"] == "Denied"
    assert "password authentication failed" in failed["msg"]


def test_a_table_that_cannot_be_read_is_named(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    wanted = options(sample, f"file://{tmp_path}")
    wanted["dsn"] = sample.dsn(login=sample.reader)
    failed = run_module_here("pg_backup", wanted)
    assert failed["error"] == "Denied"
    assert "app.documents" in failed["msg"]


def test_rows_hidden_by_row_level_security_are_refused(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path
) -> None:
    with Sample(postgres) as sample:
        sample.execute("alter table app.documents enable row level security")
        sample.execute("alter table app.documents force row level security")
        failed = run_module_here("pg_backup", options(sample, f"file://{tmp_path}"))
        assert failed["error"] == "Denied"
        assert "BYPASSRLS" in failed["msg"]


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="debian-postgres: not installed")
def test_an_older_pg_dump_is_refused_with_both_versions(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    failed = run_module_here("pg_backup", {**options(sample, f"file://{tmp_path}"), "pg_bindir": str(DEBIAN_15)})
    assert failed["error"] == "MissingLibrary"
    assert "PostgreSQL 18" in failed["msg"]
    assert "15." in failed["msg"]


def test_a_missing_bucket_and_wrong_keys_are_named(run_module_here: ModuleRun, sample: Sample, s3: S3) -> None:
    missing = run_module_here("pg_backup", options(sample, "s3://no-such-bucket", s3))
    assert "no-such-bucket" in missing["msg"]
    assert "404" in missing["msg"]
    wanted = options(sample, f"s3://{s3.create_bucket()}", s3)
    wanted["s3"]["secret_key"] = "wrong-canary-2"
    denied = run_module_here("pg_backup", wanted, secrets=["wrong-canary-2"])
    assert denied["error"] == "Denied"
    assert_nothing_left(sample)


def test_an_object_store_that_hangs_ends_at_the_limit(
    run_module_here: ModuleRun, sample: Sample, hanging_server: HangingServer
) -> None:
    wanted = options(sample, "s3://bucket", timeout=3.0)
    wanted["s3"] = {
        "endpoint_url": f"http://127.0.0.1:{hanging_server.port}",
        "access_key": "a",
        "secret_key": "canary-5",
    }
    failed = run_module_here("pg_backup", wanted, secrets=["canary-5"])
    assert failed["error"] == "TimedOut"


def test_a_bucket_that_refuses_writes_leaves_nothing(run_module_here: ModuleRun, sample: Sample) -> None:
    with S3() as store:
        bucket = store.create_bucket()
        (store.bytes_directory / bucket).rmdir()
        (store.bytes_directory / bucket).mkdir()
        wanted = options(sample, f"s3://{bucket}", store)
        # A file stands where the folder of the database's backups would be.
        (store.bytes_directory / bucket / sample.name).write_text("in the way")
        failed = run_module_here("pg_backup", wanted, secrets=[store.secret_key])
        assert failed["failed"] is True
        assert sample.databases() == [sample.name]
        assert keys(store, bucket) == [sample.name]


def fake_programs(directory: Path, sample: Sample, pg_dump: str) -> str:
    """A directory with the real pg_restore, and a pg_dump that does what the shell text says."""
    directory.mkdir()
    real = sample.server.program("pg_dump")
    (directory / "pg_restore").symlink_to(sample.server.program("pg_restore"))
    script = directory / "pg_dump"
    guards = f'case "$*" in *--version*|*--schema-only*|*/nonexistent*) exec {real} "$@";; esac'
    script.write_text(f"#!/bin/sh\n{guards}\nREAL={real}\n{pg_dump}\n")
    script.chmod(0o755)
    return str(directory)


@serves("S1.10", case="fail")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('$REAL "$@" | head -c 20000000; kill -9 $$', "was killed by SIGKILL"),
        (
            '$REAL "$@"; echo "pg_dump: error: something late" >&2; exit 1',
            "ended with code 1: pg_dump: error: something late",
        ),
        ('echo "pg_dump: error: server version mismatch" >&2; exit 1', "server version mismatch"),
    ],
)
def test_a_pg_dump_that_fails_at_any_time_leaves_no_object(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3, tmp_path: Path, script: str, said: str
) -> None:
    bucket = moto_s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none")
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, script)
    failed = run_module_here("pg_backup", wanted)
    assert failed["failed"] is True
    assert said in failed["msg"]
    assert_nothing_left(big, moto_s3, bucket)


def test_a_dump_that_is_cut_but_ends_with_0_is_not_a_backup(
    run_module_here: ModuleRun, big: Sample, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    wanted = options(big, f"file://{place}", compression="none")
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, '$REAL "$@" | head -c 20000000; exit 0')
    for verify in ("restore", "archive"):
        failed = run_module_here("pg_backup", {**wanted, "verify": verify})
        assert failed["failed"] is True
        assert "could not read from input file" in failed["msg"]
    assert [path for path in place.rglob("*") if path.is_file()] == []
    assert_nothing_left(big)


def test_a_dump_that_lacks_a_table_is_not_a_backup(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    wanted = options(sample, f"file://{place}")
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", sample, 'exec $REAL "$@" --exclude-table-data=app.documents')
    for verify in ("restore", "archive"):
        failed = run_module_here("pg_backup", {**wanted, "verify": verify})
        assert "is not what was backed up" in failed["msg"]
        assert "app.documents" in failed["msg"]
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_a_full_disk_leaves_no_file(sample: Sample, tmp_path: Path) -> None:
    # The kernel refuses to let a file of this process grow further, as a full disk would.
    limited = ("sh", "-c", 'ulimit -f 40; exec "$@"', "sh")
    wanted = options(sample, f"file://{tmp_path}", compression="none")
    with ModuleInBackground("pg_backup", wanted, prefix=limited) as module:
        failed = module.answer()
    assert failed["failed"] is True
    assert "File too large" in failed["msg"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert_nothing_left(sample)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_upload_leaves_nothing(big: Sample, moto_s3: MotoS3, tmp_path: Path, number: int) -> None:
    bucket = moto_s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none")
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, '$REAL "$@" | head -c 20000000; exec sleep 300')
    with ModuleInBackground("pg_backup", wanted) as module:
        await_true(lambda: bool(uploads(moto_s3, bucket)), seconds=60, what="an open upload")
        children = module.children()
        assert children
        module.end(number)
        failed = module.answer()
    assert "was ended by" in failed["msg"]
    await_gone(children)
    assert_nothing_left(big, moto_s3, bucket)


def test_a_signal_during_the_scratch_restore_leaves_nothing(big: Sample, s3: S3) -> None:
    bucket = s3.create_bucket()
    with ModuleInBackground("pg_backup", options(big, f"s3://{bucket}", s3, compression="none")) as module:
        await_true(lambda: len(big.databases()) == 2, seconds=60, what="a scratch database")
        module.end()
        failed = module.answer()
    assert failed["failed"] is True
    assert_nothing_left(big, s3, bucket)


def test_a_killed_module_has_committed_nothing_and_its_children_are_dead(
    big: Sample, moto_s3: MotoS3, tmp_path: Path
) -> None:
    bucket = moto_s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none")
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, 'exec $REAL "$@"')
    with ModuleInBackground("pg_backup", wanted) as module:
        await_true(lambda: bool(uploads(moto_s3, bucket)), seconds=60, what="an open upload")
        children = module.children()
        module.end(signal.SIGKILL)
        module.child.wait()
        await_gone(children)
    assert keys(moto_s3, bucket) == []


def test_a_store_that_dies_during_the_upload_fails_it(big: Sample, tmp_path: Path) -> None:
    with MotoS3() as store:
        bucket = store.create_bucket()
        wanted = options(big, f"s3://{bucket}", store, compression="none", timeout=50.0)
        wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, '$REAL "$@" | head -c 9000000; sleep 2; $REAL "$@"')
        with ModuleInBackground("pg_backup", wanted) as module:
            await_true(lambda: bool(uploads(store, bucket)), seconds=60, what="an open upload")
            store.kill()
            failed = module.answer()
    assert failed["failed"] is True
    assert "S3 cannot be reached" in failed["msg"]
    assert big.databases() == [big.name]


def test_a_lock_that_is_never_granted_ends_at_the_limit(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    with sample.connect() as holder, holder.transaction():
        holder.execute("lock table app.documents in access exclusive mode")
        failed = run_module_here("pg_backup", options(sample, f"file://{tmp_path}", timeout=4.0))
    assert failed["failed"] is True
    assert failed["error"] in ("TimedOut", "CommandFailed")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert_nothing_left(sample)


def test_a_server_that_dies_during_the_dump_fails_it(postgres: Postgres, tmp_path: Path) -> None:
    with Postgres() as server, Sample(server) as sample:
        place = tmp_path / "place"
        place.mkdir()
        wanted = options(sample, f"file://{place}")
        marker = tmp_path / "dumping"
        wanted["pg_bindir"] = fake_programs(tmp_path / "bin", sample, f'touch {marker}; sleep 1; exec $REAL "$@"')
        with ModuleInBackground("pg_backup", wanted) as module:
            await_true(marker.exists, seconds=60, what="the dump")
            server.kill()
            failed = module.answer()
        server.start()
        assert failed["failed"] is True
        assert [path for path in place.rglob("*") if path.is_file()] == []
        assert sample.databases() == [sample.name]


def test_two_at_once_both_make_a_backup(sample: Sample, s3: S3) -> None:
    bucket = s3.create_bucket()
    wanted = options(sample, f"s3://{bucket}", s3)
    with ModuleInBackground("pg_backup", wanted) as one, ModuleInBackground("pg_backup", wanted) as other:
        answers = [one.answer(), other.answer()]
    assert [answer["changed"] for answer in answers] == [True, True], answers
    assert len(keys(s3, bucket)) == 6
    assert sample.databases() == [sample.name]


def test_no_program_has_a_secret_in_its_arguments_or_environment(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    place, seen = tmp_path / "place", tmp_path / "seen"
    place.mkdir()
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = bin_directory / name
        script.write_text(f'#!/bin/sh\n{{ echo "$0 $*"; env; }} >> {seen}\nexec {sample.server.program(name)} "$@"\n')
        script.chmod(0o755)
    wanted = {**options(sample, f"file://{place}"), "pg_bindir": str(bin_directory)}
    made = run_module_here("pg_backup", wanted, secrets=[sample.password])
    assert made["changed"] is True, made
    text = seen.read_text()
    assert "PGPASSFILE=/proc/self/fd/" in text
    assert_no_leak([sample.password], text, "a program's arguments and environment")
    assert "PGPASSWORD" not in os.environ


def test_the_next_proof_sweeps_what_a_killed_one_left_and_nothing_else(
    run_module_here: ModuleRun, big: Sample, tmp_path: Path
) -> None:
    wanted = options(big, f"file://{tmp_path}", compression="none")
    with ModuleInBackground("pg_backup", wanted) as killed:
        await_true(lambda: len(big.databases()) == 2, seconds=60, what="a scratch database")
        await_true(lambda: is_marked(big), seconds=60, what="its mark")
        killed.end(signal.SIGKILL)
        killed.child.wait()
    (left,) = [name for name in big.databases() if name != big.name]
    named_like_ours = f"{big.name}_scratch_by-hand"
    big.server.execute(sql.SQL("create database {}").format(sql.Identifier(named_like_ours)).as_string(None))
    with ModuleInBackground("pg_backup", wanted) as alive:
        await_true(
            lambda: len(set(big.databases()) - {big.name, left, named_like_ours}) == 1, seconds=60, what="another"
        )
        made = run_module_here("pg_backup", wanted)
        assert made["changed"] is True, made
        # The one that is at work keeps its own.
        answer = alive.answer()
        assert answer["changed"] is True
    said = json.dumps([made["warnings"], answer.get("warnings")])  # ansible-core before 2.19: texts
    assert f"A proof that was killed had left the scratch database {left}: it was dropped." in said
    (archive,) = [
        path for path in tmp_path.rglob("*.dump") if not path.with_name(f"{path.name}.manifest.json").exists()
    ]
    assert f"file://{archive}" in said and "no manifest, so no backup. A run that was killed" in said
    assert big.databases() == [big.name, named_like_ours]
    big.server.drop_database(named_like_ours)


def is_marked(sample: Sample) -> bool:
    asked = "select count(*) from pg_database where shobj_description(oid, 'pg_database') like 'opsready.golive %%scratch%%'"
    return bool(sample.server.execute(asked)[0][0])
