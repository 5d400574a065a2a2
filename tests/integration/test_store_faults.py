# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real object store that fails at each phase of a backup: what passes is asked again, what stays leaves nothing."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import signal
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import MIB, Bucket
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import AlreadyThere
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Clock, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, Unreachable
from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample, await_gone
from tests.servers import S3, MotoS3, Postgres, await_true
from tests.small_disk import small_disk
from tests.store_faults import SUB_RESOURCES, FaultyStore, Kind

#: Uncompressed, its dump is one part of an upload and a piece.
TWO_PARTS = "create table public.big as select i, sha256(i::text::bytea) as b from generate_series(1, 130000) i"
STAYING: tuple[Kind, ...] = ("503 SlowDown", "reset after")
#: As the object goes up, and comes back.
PHASES = ("create", "part 1", "part 2", "complete", "head", "get")


@pytest.fixture(scope="module")
def moto(moto_s3: MotoS3) -> t.Iterator[FaultyStore]:
    with FaultyStore(moto_s3) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def rclone(s3: S3) -> t.Iterator[FaultyStore]:
    with FaultyStore(s3) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def big(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        made.create(TWO_PARTS)
        yield made
    finally:
        made.drop()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's pause between two attempts is botocore's."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_unused: 0.01)


@pytest.fixture(autouse=True)
def no_thread_stays() -> t.Iterator[None]:
    yield

    def ours() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith("opsready")]

    await_true(lambda: ours() == [], seconds=5, what="end of our threads")


def keys(proxy: FaultyStore, **more: t.Any) -> dict[str, t.Any]:
    given = {"endpoint_url": proxy.endpoint, "access_key": proxy.access_key, "secret_key": proxy.secret_key}
    return {**given, **more}


def objects(proxy: FaultyStore, bucket: str) -> list[str]:
    found = proxy.client().list_object_versions(Bucket=bucket) if isinstance(proxy.store, MotoS3) else {}
    versions = [one["Key"] for one in found.get("Versions", [])]
    return versions or [one["Key"] for one in proxy.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def uploads(proxy: FaultyStore, bucket: str) -> list[str]:
    client = proxy.client()
    with contextlib.suppress(client.exceptions.NoSuchUpload):  # rclone, of a bucket that never had one
        return [one["Key"] for one in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]
    return []


@contextlib.contextmanager
def opened(proxy: FaultyStore, *, seconds: float = 120.0, versioned: bool = False) -> t.Iterator[Bucket]:
    proxy.heal()
    name = proxy.store.create_bucket()
    if versioned:
        proxy.client().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    with contextlib.closing(Bucket(name, "p", keys(proxy), deadline=Deadline(seconds))) as bucket:
        bucket.preflight()
        yield bucket


def stream(bucket: Bucket, body: bytes) -> bytes:
    """Up, as a backup goes, and down again, as its proof does."""
    with bucket.writer("object", estimated_bytes=0) as writer:
        writer.write(body)
        stored = writer.commit()
    return b"".join(bucket.chunks("object", stored.version_id))


@pytest.mark.parametrize(
    ("real", "kind"),
    [
        *(("moto", kind) for kind in ("503 SlowDown", "reset", "500 after", "reset after", "cut")),
        *(("rclone", kind) for kind in ("reset after", "cut")),
    ],
)
def test_what_passes_is_asked_again_at_every_phase(request: pytest.FixtureRequest, real: str, kind: Kind) -> None:
    store: FaultyStore = request.getfixturevalue(real)
    body = os.urandom(9 * MIB)
    with opened(store) as bucket:
        for phase in (*PHASES, "put"):
            if (phase, kind) != ("head", "cut"):  # headers that broke off inside a number are a smaller number
                store.spoil(phase, kind, 1)
        assert stream(bucket, body) == body
        assert stream(Bucket(bucket.bucket, "small", keys(store), deadline=bucket.deadline), b"small") == b"small"
        assert {one.phase for one in store.seen if one.spoilt} >= {*PHASES, "put"} - {"head"}
        assert (objects(store, bucket.bucket), uploads(store, bucket.bucket)) == (["p/object", "small/object"], [])


@pytest.mark.parametrize(
    ("phase", "kind", "versioned"),
    [
        *((phase, kind, False) for phase in ("create", "part 2", "complete", "put") for kind in STAYING),
        *((phase, "reset after", True) for phase in ("complete", "head", "put")),
    ],
)
def test_what_stays_leaves_neither_object_nor_upload(
    moto: FaultyStore, phase: str, kind: Kind, versioned: bool
) -> None:
    with opened(moto, versioned=versioned) as bucket:
        moto.spoil(phase, kind)
        with pytest.raises(Unreachable, match=f"s3://{bucket.bucket}/p/object: S3 (answered|cannot be reached)"):
            stream(bucket, os.urandom(1000 if phase == "put" else 9 * MIB))
        assert (objects(moto, bucket.bucket), uploads(moto, bucket.bucket)) == ([], [])


def test_what_was_made_by_a_request_without_answer_is_ours_only_if_it_is_what_we_wrote(moto: FaultyStore) -> None:
    for theirs in (b"ours", b"them"):
        with opened(moto) as bucket:
            moto.spoil("put", "500", 1)

            def first(seen: t.Any, name: str = bucket.bucket, body: bytes = theirs) -> None:
                if seen.phase == "put" and seen.spoilt:
                    moto.client().put_object(Bucket=name, Key="p/object", Body=body)

            moto.watch = first
            if theirs == b"ours":
                assert stream(bucket, b"ours") == b"ours"
            else:
                with pytest.raises(GoliveError, match="Another writer took this name"):
                    stream(bucket, b"ours")
            assert moto.client().get_object(Bucket=bucket.bucket, Key="p/object")["Body"].read() == theirs


IF_NONE_MATCH = frozenset(("if-none-match",))


@pytest.mark.parametrize("size", [1000, 9 * MIB], ids=["put", "complete"])
def test_a_store_that_cannot_be_asked_to_replace_nothing_is_looked_at_before(moto: FaultyStore, size: int) -> None:
    body = os.urandom(size)
    with opened(moto) as bucket:
        moto.refused_headers = IF_NONE_MATCH
        with bucket.writer("object", estimated_bytes=0) as writer:
            writer.write(body)
            stored = writer.commit()
        assert [note for note in stored.notes if "another writer in between" in note], stored.notes
        phase = "put" if size == 1000 else "complete"
        last = [one for one in moto.phases() if one in ("put", "complete", "head")]
        assert last == [phase, "head", phase, "head"]
        assert b"".join(bucket.chunks("object")) == body
        # What is there by now is neither replaced nor removed.
        with pytest.raises(AlreadyThere, match=r"it exists.*Another writer took this name"):
            stream(bucket, os.urandom(size))
        assert b"".join(bucket.chunks("object")) == body
        assert (objects(moto, bucket.bucket), uploads(moto, bucket.bucket)) == (["p/object"], [])


@pytest.mark.parametrize("phase", ["put", "complete"])
def test_a_store_that_implements_no_writing_at_all_leaves_nothing(moto: FaultyStore, phase: str) -> None:
    with opened(moto) as bucket:
        moto.spoil(phase, "501 NotImplemented")
        with pytest.raises(Unreachable, match="S3 answered NotImplemented"):
            stream(bucket, os.urandom(1000 if phase == "put" else 9 * MIB))
        assert moto.phases().count(phase) == 2
        assert (objects(moto, bucket.bucket), uploads(moto, bucket.bucket)) == ([], [])


def test_cleaning_up_asks_a_busy_store_again(moto: FaultyStore) -> None:
    with opened(moto) as bucket:
        moto.spoil("complete", "503 SlowDown")
        moto.spoil("abort", "503 SlowDown", 2)
        moto.spoil("delete", "500", 2)
        with pytest.raises(Unreachable, match="SlowDown"):
            stream(bucket, os.urandom(9 * MIB))
        assert moto.phases().count("abort") == 3
        assert uploads(moto, bucket.bucket) == []


@pytest.mark.parametrize("phase", ["create", "part 2", "complete", "head", "get", "put"])
def test_silence_is_broken_by_asking_again(moto: FaultyStore, phase: str) -> None:
    body = os.urandom(1000 if phase == "put" else 9 * MIB)
    with opened(moto, seconds=6) as bucket:
        moto.spoil(phase, "silence", 1)
        assert stream(bucket, body) == body
        assert moto.phases().count(phase) == 2
        assert (objects(moto, bucket.bucket), uploads(moto, bucket.bucket)) == (["p/object"], [])


def hurried(bucket: Bucket, proxy: FaultyStore) -> t.ContextManager[Bucket]:
    """The same bucket, for whoever has a second left."""
    return contextlib.closing(Bucket(bucket.bucket, "p", keys(proxy), deadline=Deadline(1)))


def test_silence_ends_an_upload_at_the_limit_and_leaves_nothing(moto: FaultyStore) -> None:
    with opened(moto) as bucket:
        moto.spoil("part 2", "silence")
        with (
            hurried(bucket, moto) as short,
            pytest.raises(Unreachable, match=r"no answer from S3|did not end within 1 s"),
        ):
            stream(short, os.urandom(9 * MIB))
        assert (objects(moto, bucket.bucket), uploads(moto, bucket.bucket)) == ([], [])


def test_silence_ends_a_download_at_the_limit_and_leaves_the_object(moto: FaultyStore) -> None:
    body = os.urandom(9 * MIB)
    with opened(moto) as bucket:
        assert stream(bucket, body) == body
        moto.spoil("get", "silence")
        with (
            hurried(bucket, moto) as short,
            pytest.raises(Unreachable, match=r"no answer from S3|did not end within 1 s"),
        ):
            b"".join(short.chunks("object"))
        assert (objects(moto, bucket.bucket), uploads(moto, bucket.bucket)) == (["p/object"], [])


def test_a_request_near_the_limit_waits_no_longer_than_is_left(moto: FaultyStore) -> None:
    class Later(Clock):
        seconds = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.seconds

    moto.heal()
    clock = Later()
    bucket = Bucket("bucket", "", keys(moto), deadline=Deadline(3600, clock=clock))
    clock.seconds = 3599.0
    moto.spoil("head", "silence")

    def ask() -> None:
        with contextlib.suppress(Unreachable):
            bucket.head("object")

    asked = threading.Thread(target=ask, daemon=True)
    asked.start()
    asked.join(20)
    assert not asked.is_alive()
    assert moto.phases() == ["head"]


# ------------------------------------------------------------------------------------------------ the module


def options(sample: Sample, proxy: FaultyStore, bucket: str, **more: t.Any) -> dict[str, t.Any]:
    given = {"destination": f"s3://{bucket}/d", "pg_bindir": sample.programs, "s3": keys(proxy), "timeout": 100.0}
    return sample.options(**{**given, "compression": "none", "verify": "archive", "compare": "rows", **more})


def assert_nothing_left(sample: Sample, proxy: FaultyStore, bucket: str) -> None:
    assert (objects(proxy, bucket), uploads(proxy, bucket)) == ([], [])
    assert sample.databases() == [sample.name]
    connected = "select count(*) from pg_stat_activity where application_name like 'opsready%%' and datname = %s"
    await_true(
        lambda: sample.server.execute(connected, sample.name) == [(0,)], seconds=10, what="the end of our sessions"
    )
    assert "pg_dump" not in children() and "pg_restore" not in children()


def children() -> str:
    names = []
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text().split():
                names.append((Path("/proc") / pid / "comm").read_text().strip())
    return " ".join(names)


@pytest.mark.parametrize("kind", ["503 SlowDown", "reset after", "cut"])
def test_a_backup_is_carried_through_what_passes(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore, kind: Kind
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    everything = ("bucket", *PHASES, "put roles", "head roles", "get roles", "put manifest", "list")
    for phase in everything:
        if not (kind == "cut" and phase.startswith("head")):
            moto.spoil(phase, kind, 1)
    made = run_module_here("pg_backup", options(big, moto, bucket), secrets=[big.password, moto.secret_key])
    assert made["changed"] is True, made
    assert made["verified"]["rows"] == 130000
    assert len(objects(moto, bucket)) == 3
    assert uploads(moto, bucket) == []
    assert len([one for one in moto.seen if one.spoilt]) >= len(everything) - 2
    # Tags, locks and the like are headers of an upload: some stores take their own requests for a new content.
    assert not [one for one in moto.seen if one.method == "PUT" and SUB_RESOURCES & set(one.query)]


@pytest.mark.parametrize(
    ("phase", "kind", "said"),
    [
        ("create", "503 SlowDown", "S3 answered SlowDown"),
        ("part 1", "reset", "Writing part 1 of .*: S3 cannot be reached"),
        ("part 2", "403 ExpiredToken", "S3 answered ExpiredToken.* Check access_key"),
        ("complete", "500 after", "S3 answered InternalError"),
        ("get", "cut", "Reading .*: S3 cannot be reached"),
        ("get", "flipped", "is not what was written|could not"),
        ("get", "shorter", "is not what was written|could not read from input file"),
        ("get roles", "flipped", "roles.sql is not what was written"),
        ("put manifest", "reset after", "manifest.json: S3 cannot be reached"),
        ("head manifest", "503 SlowDown", "manifest.json: S3 answered 503"),
    ],
)
def test_a_backup_that_meets_what_stays_leaves_nothing(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore, phase: str, kind: Kind, said: str
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    moto.spoil(phase, kind)
    failed = run_module_here("pg_backup", options(big, moto, bucket), secrets=[big.password, moto.secret_key])
    assert failed["failed"] is True, failed
    assert re.search(said, failed["msg"]), failed["msg"]
    assert "Cleaning up failed" not in failed["msg"] and "defect" not in failed["msg"]
    assert_nothing_left(big, moto, bucket)


def test_a_scratch_restore_that_cannot_read_on_leaves_no_scratch_database(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    made_scratch = threading.Event()

    def watch(seen: t.Any) -> None:
        if seen.phase == "get" and len(big.databases()) == 2:
            made_scratch.set()

    moto.watch = watch
    moto.spoil("get", "cut")
    failed = run_module_here("pg_backup", options(big, moto, bucket, verify="restore"))
    assert failed["failed"] is True
    assert made_scratch.is_set()
    assert_nothing_left(big, moto, bucket)


def test_a_backup_goes_to_a_store_that_cannot_be_asked_to_replace_nothing(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    moto.refused_headers = IF_NONE_MATCH
    made = run_module_here("pg_backup", options(big, moto, bucket))
    assert made.get("changed") is True, made
    assert f"it was looked before {made['backup']['archive']} was written" in str(made["warnings"])
    assert len(objects(moto, bucket)) == 3


def test_a_store_that_answers_no_more_ends_the_module_at_its_limit(big: Sample, moto: FaultyStore) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    moto.spoil("part 2", "silence")
    with ModuleInBackground("pg_backup", options(big, moto, bucket, timeout=3.0)) as module:
        failed = module.answer(30)
    assert failed["error"] == "TimedOut", failed
    assert f"s3://{bucket}/d/" in failed["msg"]
    assert_nothing_left(big, moto, bucket)


@pytest.mark.long
def test_a_manifest_that_is_never_taken_ends_the_module_at_its_limit(big: Sample, moto: FaultyStore) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    moto.spoil("put manifest", "silence")
    with ModuleInBackground("pg_backup", options(big, moto, bucket, timeout=6.0)) as module:
        failed = module.answer(60)
    assert failed["error"] == "TimedOut", failed
    assert re.search(r"manifest\.json: no answer from S3|manifest\.json did not end", failed["msg"]), failed["msg"]
    assert_nothing_left(big, moto, bucket)


@pytest.fixture
def huge() -> t.Iterator[Sample]:
    """On a server of its own, to be killed; more than an upload holds in memory at a time."""
    with Postgres() as server:
        yield Sample(server).create(  # it ends with its server
            "create table public.huge as select i, sha256(i::text::bytea) || sha256((-i)::text::bytea) as b from"
            " generate_series(1, 400000) i"
        )


class HeldUp(t.NamedTuple):
    """A backup whose pg_dump waits in its COPY, since its upload does, and whose count has not begun, until ``go_on``."""

    module: ModuleInBackground
    bucket: str
    go_on: t.Callable[[], None]


@pytest.fixture
def held_up(huge: Sample, moto: FaultyStore, tmp_path: Path) -> t.Iterator[HeldUp]:
    moto.heal()
    bucket = moto.store.create_bucket()
    released, marker = threading.Event(), tmp_path / "released"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pg_restore").symlink_to(huge.server.program("pg_restore"))
    script = programs / "pg_dump"
    wait = f'case "$*" in *--schema-only*) while [ ! -e {marker} ]; do sleep 0.05; done;; esac'
    script.write_text(f'#!/bin/sh\n{wait}\nexec {huge.server.program("pg_dump")} "$@"\n')
    script.chmod(0o755)

    def go_on() -> None:
        marker.touch()
        released.set()

    def watch(seen: t.Any) -> None:
        if seen.phase == "part 1":
            released.wait(60)

    moto.watch = watch
    wanted = options(huge, moto, bucket, verify="restore", compare="content", pg_bindir=str(programs))
    try:
        with ModuleInBackground("pg_backup", wanted) as module:
            yield HeldUp(module, bucket, go_on)
    finally:
        go_on()


def assert_one_clear_error(failed: dict[str, t.Any], said: str) -> None:
    assert failed["failed"] is True, failed
    assert re.search(said, failed["msg"]), failed["msg"]
    assert "defect" not in failed["msg"] and "Cleaning up failed" not in failed["msg"], failed["msg"]
    assert len(failed["msg"]) < 600, failed["msg"]


COPYING = "exists (select from pg_stat_activity where query ilike 'copy public.huge %')"


def test_a_database_server_that_is_killed_while_parts_go_up_leaves_nothing(
    huge: Sample, moto: FaultyStore, held_up: HeldUp
) -> None:
    copying = f"select {COPYING}"
    await_true(lambda: huge.execute(copying) == [(True,)] and "part 1" in moto.phases(), seconds=60, what="the dump")
    running = held_up.module.children()
    assert running and uploads(moto, held_up.bucket)
    huge.server.kill()
    held_up.go_on()
    failed = held_up.module.answer(60)
    assert_one_clear_error(failed, "server closed the connection|Connection refused")
    await_gone(running)
    huge.server.start()
    assert_nothing_left(huge, moto, held_up.bucket)


#: The sessions of a backup: how each is known while the dump waits, and what is said of its end.
SESSIONS = {
    "dump": (
        "query ilike 'copy public.huge %'",
        # libpq tells what the server said, or that it is gone, by which it sees first.
        'the contents of table "huge" failed.*(terminating connection due to administrator command|closed the connection unexpectedly)',
    ),
    "count": (
        "state = 'idle in transaction' and query ilike 'set transaction snapshot %'",
        "broke off: terminating connection due to administrator command",
    ),
    "snapshot": (
        "backend_start = (select min(backend_start) from pg_stat_activity where application_name = 'opsready')",
        "snapshot .* does not exist.* The session that held the snapshot was ended",
    ),
}


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_of_a_backup_that_is_ended_leaves_nothing(
    huge: Sample, moto: FaultyStore, held_up: HeldUp, session: str
) -> None:
    known_by, said = SESSIONS[session]
    ours = f"application_name = 'opsready' and {COPYING} and {known_by}"
    end = f"select pg_terminate_backend(pid, 10000) from pg_stat_activity where {ours}"
    await_true(lambda: huge.execute(end) == [(True,)], seconds=60, what=f"the session of the {session}")
    held_up.go_on()
    failed = held_up.module.answer(60)
    assert_one_clear_error(failed, f"(?s){said}")
    assert_nothing_left(huge, moto, held_up.bucket)


def test_a_signal_while_the_store_is_silent_leaves_nothing_and_sends_no_part_again(
    big: Sample, moto: FaultyStore
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    moto.spoil("part 1", "silence")
    with ModuleInBackground("pg_backup", options(big, moto, bucket, timeout=8.0)) as module:
        await_true(lambda: "part 1" in moto.phases(), seconds=60, what="a part under way")
        running = module.children()
        module.end(signal.SIGTERM)
        failed = module.answer(60)
    assert "was ended by SIGTERM" in failed["msg"]
    await_gone(running)
    assert moto.phases().count("part 1") == 1
    assert_nothing_left(big, moto, bucket)


def test_a_store_that_dies_between_the_last_part_and_completion_is_told_with_what_is_there(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3
) -> None:
    with FaultyStore(moto_s3) as dying:
        bucket = dying.store.create_bucket()
        dying.refuse_from("complete")
        failed = run_module_here("pg_backup", options(big, dying, bucket))
        assert failed["failed"] is True
        (upload,) = uploads(dying, bucket)
        assert failed["left_behind"] == [f"s3://{bucket}/{upload}"]
        assert (
            f"s3://{bucket}/{upload}: S3 cannot be reached" in failed["msg"] and "Cleaning up failed" in failed["msg"]
        )
        assert objects(dying, bucket) == []
        assert big.databases() == [big.name]


def test_a_bucket_that_goes_while_it_is_written_is_named(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    gone: list[str] = []

    def remove(seen: t.Any) -> None:
        if seen.phase == "complete" and not gone:
            gone.append(bucket)
            for upload in moto.client().list_multipart_uploads(Bucket=bucket)["Uploads"]:
                moto.client().abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            moto.client().delete_bucket(Bucket=bucket)

    moto.watch = remove
    failed = run_module_here("pg_backup", options(big, moto, bucket))
    assert failed["failed"] is True
    assert re.search(f"s3://{bucket}/.*NoSuch(Bucket|Upload)", failed["msg"]), failed["msg"]


def test_what_was_damaged_at_rest_is_told_when_it_is_verified_again(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    made = run_module_here("pg_backup", options(big, moto, bucket, verify="head"))
    asked = {"state": "verified", "backup": made["backup"]["manifest"], "s3": keys(moto), "pg_bindir": big.programs}
    damages: dict[Kind, str] = {
        "flipped": "is not what was written|pg_restore ended with",
        "shorter": "is not what was written|could not read from input file",
        "403 ExpiredToken": "S3 answered ExpiredToken",
    }
    for damage, said in damages.items():
        moto.heal()
        moto.spoil("get", damage)
        failed = run_module_here("pg_restore", big.options(**asked))
        assert failed["failed"] is True
        assert re.search(said, failed["msg"]), failed["msg"]
        assert big.databases() == [big.name]
    records = [name for name in objects(moto, bucket) if ".restored-" in name]
    assert len(records) == 2  # that a store lets nobody read says nothing of the backup
    assert len(objects(moto, bucket)) - len(records) == 3


def test_a_manifest_that_is_lost_is_no_backup(run_module_here: ModuleRun, big: Sample, moto: FaultyStore) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    wanted = options(big, moto, bucket, verify="head", max_age=3600.0)
    made = run_module_here("pg_backup", wanted)
    assert run_module_here("pg_backup", wanted)["changed"] is False
    moto.client().delete_object(Bucket=bucket, Key=made["backup"]["manifest"].removeprefix(f"s3://{bucket}/"))
    again = run_module_here("pg_backup", wanted)
    assert again["changed"] is True
    assert f"{made['backup']['archive']}, " in str(again["warnings"]) and "no manifest, so no backup" in str(
        again["warnings"]
    )


def test_a_wall_clock_that_jumps_back_changes_no_limit_and_removes_nothing(
    run_module_here: ModuleRun, big: Sample, moto: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto.heal()
    bucket = moto.store.create_bucket()
    wanted = options(big, moto, bucket, verify="head", keep={"last": 1}, max_age=3600.0)
    first = run_module_here("pg_backup", {**wanted, "keep": None})
    assert first["changed"] is True
    now = Clock.now
    monkeypatch.setattr(Clock, "now", lambda self: now(self) - datetime.timedelta(days=1))
    second = run_module_here("pg_backup", wanted)
    assert second["changed"] is True, second  # what lies a day ahead proves nothing about today
    assert second["pruned"] == [first["backup"]["manifest"]]  # their times are the database server's
    monkeypatch.undo()
    assert run_module_here("pg_backup", wanted)["changed"] is False


def test_a_disk_that_is_full_leaves_no_file(run_module_here: ModuleRun, big: Sample, tmp_path: Path) -> None:
    place = tmp_path / "small"
    with small_disk(place):
        wanted = big.options(destination=f"file://{place}", pg_bindir=big.programs, compression="none", verify="head")
        failed = run_module_here("pg_backup", wanted)
        assert failed["failed"] is True
        assert "No space left on device" in failed["msg"]
        assert [one for one in place.rglob("*") if one.is_file()] == []
        assert big.databases() == [big.name]
