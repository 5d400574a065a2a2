# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock, tags and encryption travel with the upload itself, are read back from the store, and keep what they hold."""

from __future__ import annotations

import datetime
import hashlib
import json
import secrets
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import S3, MotoS3, Postgres
from tests.store_faults import SUB_RESOURCES, FaultyStore, Seen

#: Uncompressed, its dump is one part of an upload and a piece.
TWO_PARTS = "create table public.big as select i, sha256(i::text::bytea) as b from generate_series(1, 130000) i"
EVERYTHING = {
    "object_lock": {"mode": "governance", "days": 7},
    "tags": {"system": "archive", "kept by": "ops+team@night"},
    "server_side_encryption": "aws:kms",
    "kms_key_id": "alias/backups",
}


@pytest.fixture(scope="module")
def big(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        made.create(TWO_PARTS)
        yield made
    finally:
        made.drop()


def locking_bucket(store: MotoS3) -> str:
    name = f"locking-{secrets.token_hex(4)}"
    store.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def options(sample: Sample, store: t.Any, bucket: str, **more: t.Any) -> dict[str, t.Any]:
    keys = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
    given = {"destination": f"s3://{bucket}/d", "pg_bindir": sample.programs, "s3": keys, "compression": "none"}
    return sample.options(**{**given, "verify": "head", "compare": "rows", **more})


def keys_of(store: t.Any, bucket: str) -> list[str]:
    return [one["Key"] for one in store.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def lock_what_goes_up_in_parts(proxy: FaultyStore, bucket: str) -> None:
    """moto forgets the lock that an upload in parts was begun with; S3 does not. It is set from the headers that came."""
    begun: dict[str, t.Mapping[str, str]] = {}

    def watch(seen: Seen) -> None:
        if seen.phase == "create":
            begun[seen.key] = {name.lower(): value for name, value in seen.headers.items()}
        elif seen.phase == "head" and seen.key in begun:
            headers = begun.pop(seen.key)
            until = datetime.datetime.fromisoformat(
                headers["x-amz-object-lock-retain-until-date"].replace("Z", "+00:00")
            )
            retention = {"Mode": headers["x-amz-object-lock-mode"], "RetainUntilDate": until}
            proxy.client().put_object_retention(Bucket=bucket, Key=seen.key, Retention=retention)

    proxy.watch = watch


@pytest.mark.parametrize("checksums", ["full_object", "none"])
def test_what_is_asked_with_the_upload_is_what_the_object_has(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3, checksums: str
) -> None:
    bucket = locking_bucket(moto_s3)
    with FaultyStore(moto_s3) as proxy:
        lock_what_goes_up_in_parts(proxy, bucket)
        wanted = options(big, proxy, bucket, upload=EVERYTHING)
        wanted["s3"]["checksums"] = checksums
        made = run_module_here("pg_backup", wanted)
        assert made["changed"] is True, made["msg"]
        assert not [one for one in proxy.seen if one.method == "PUT" and SUB_RESOURCES & set(one.query)]
        assert {one.phase for one in proxy.seen} >= {"create", "put roles", "put manifest"}
    assert made["plan"]["destination"]["object_lock"] == {"enabled": True, "default": None}
    found = keys_of(moto_s3, bucket)
    assert len(found) == 3
    week = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=7)
    for key in found:
        head = moto_s3.client().head_object(Bucket=bucket, Key=key)
        assert head["ObjectLockMode"] == "GOVERNANCE"
        assert abs(head["ObjectLockRetainUntilDate"] - week) < datetime.timedelta(minutes=10)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/backups")
        tags = moto_s3.client().get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert {one["Key"]: one["Value"] for one in tags} == EVERYTHING["tags"]
    manifest = moto_s3.client().get_object(Bucket=bucket, Key=made["backup"]["manifest"].partition(f"{bucket}/")[2])
    told = json.loads(manifest["Body"].read())["archive"]
    archive = moto_s3.client().head_object(Bucket=bucket, Key=made["backup"]["archive"].partition(f"{bucket}/")[2])
    until = archive["ObjectLockRetainUntilDate"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert told["lock"] == told["roles"]["lock"] == made["backup"]["lock"] == {"mode": "GOVERNANCE", "until": until}
    assert told["server_side_encryption"] == made["backup"]["server_side_encryption"] == "aws:kms"
    place = {"destination": f"s3://{bucket}/d", "s3": {**wanted["s3"], "endpoint_url": moto_s3.endpoint}}
    judged = run_module_here(
        "check_backup",
        {
            **place,
            "database": big.name,
            "max_age": "1h",
            "verify": "head",
            "min_lock_days": 6,
            "encryption": "required",
        },
    )
    assert judged.get("failed") is not True, judged


def test_a_store_that_keeps_no_tags_is_noted_and_the_backup_stands(
    run_module_here: ModuleRun, big: Sample, s3: S3
) -> None:
    bucket = s3.create_bucket()
    made = run_module_here("pg_backup", options(big, s3, bucket, upload={"tags": {"class": "backup"}}))
    assert made.get("changed") is True, made
    for name in ("archive", "roles"):
        assert f"Whether {made['backup'][name]} has its tags is not known" in str(made["warnings"])
    archive = made["backup"]["archive"].partition(f"{bucket}/")[2]
    stored = s3.client().get_object(Bucket=bucket, Key=archive)["Body"].read()
    assert (len(stored), hashlib.sha256(stored).hexdigest()) == (made["backup"]["size_bytes"], made["backup"]["sha256"])
    assert len(keys_of(s3, bucket)) == 3


def test_a_lock_asked_of_a_bucket_that_locks_nothing_is_refused_before_the_dump(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3, s3: S3
) -> None:
    stores: tuple[tuple[MotoS3 | S3, str], ...] = ((moto_s3, "has no object lock"), (s3, "does not tell"))
    for store, said in stores:
        bucket = store.create_bucket()
        wanted = options(big, store, bucket, upload={"object_lock": {"mode": "compliance", "days": 1}})
        for check in (True, False):
            refused = run_module_here("pg_backup", wanted, check=check)
            assert refused["failed"] is True
            assert refused["error"] == "BadInput"
            assert f"Bucket {bucket} {said}" in refused["msg"]
        assert keys_of(store, bucket) == []


@pytest.mark.parametrize(
    ("upload", "said"),
    [
        ({"object_lock": {"mode": "governance", "days": 0}}, "upload.object_lock.days is 0"),
        ({"server_side_encryption": "AES256", "kms_key_id": "k"}, "upload.kms_key_id goes with"),
        ({"tags": {str(number): "x" for number in range(11)}}, "11 tags, and an object may have 10"),
        ({"tags": {"a": {"b": "c"}}}, "a is no tag"),
        ({"tags": {"a": "b"}}, "is a directory"),
    ],
)
def test_what_no_store_could_do_is_refused(
    run_module_here: ModuleRun, big: Sample, tmp_path: Path, upload: dict[str, t.Any], said: str
) -> None:
    wanted = big.options(destination=f"file://{tmp_path}", upload=upload)
    refused = run_module_here("pg_backup", wanted)
    assert refused["failed"] is True
    assert said in refused["msg"]


def test_a_store_that_takes_the_upload_and_not_what_was_asked_with_it(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3
) -> None:
    asked: dict[str, tuple[dict[str, t.Any], str]] = {
        "x-amz-server-side-encryption": (
            {"server_side_encryption": "AES256"},
            "was to be encrypted by AES256, and the store tells of no encryption",
        ),
        "x-amz-tagging": ({"tags": {"system": "archive"}}, "has not the 1 tags that it was sent with"),
        "x-amz-object-lock-mode": (
            {"object_lock": {"mode": "governance", "days": 1}},
            "and the store tells of no lock. Grant s3:GetObjectRetention",
        ),
    }
    with FaultyStore(moto_s3) as proxy:
        for header, (upload, said) in asked.items():
            bucket = locking_bucket(moto_s3)
            proxy.unknown_headers = frozenset((header, "x-amz-object-lock-retain-until-date"))
            failed = run_module_here("pg_backup", options(big, proxy, bucket, upload=upload))
            assert failed.get("failed") is True, failed
            assert said in failed["msg"], failed
            assert moto_s3.client().list_object_versions(Bucket=bucket).get("Versions", []) == []


def test_what_a_bucket_does_by_default_is_noted(
    run_module_here: ModuleRun, moto_s3: MotoS3, postgres: Postgres
) -> None:
    bucket, client = locking_bucket(moto_s3), moto_s3.client()
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}}
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [by_default]})
    with Sample(postgres) as sample:
        made = run_module_here("pg_backup", options(sample, moto_s3, bucket))
    held = {"enabled": True, "default": {"mode": "COMPLIANCE", "days": 3}}
    assert made["plan"]["destination"]["object_lock"] == held, made
    assert made["plan"]["destination"]["encryption"] == "AES256"
    assert (made["backup"]["lock"]["mode"], made["backup"]["server_side_encryption"]) == ("COMPLIANCE", "AES256")


def test_what_is_locked_outlasts_every_rule_and_is_told(
    run_module_here: ModuleRun, postgres: Postgres, moto_s3: MotoS3
) -> None:
    bucket = locking_bucket(moto_s3)
    with Sample(postgres) as sample:
        lock = {"object_lock": {"mode": "governance", "days": 1}}
        unlocked = run_module_here("pg_backup", options(sample, moto_s3, locking_bucket(moto_s3), max_age=60))
        assert unlocked["changed"] is True
        asked = options(sample, moto_s3, unlocked["plan"]["destination"]["bucket"], max_age=60)
        assert run_module_here("pg_backup", asked)["changed"] is False
        assert run_module_here("pg_backup", {**asked, "upload": lock}, check=True)["changed"] is True
        locked = run_module_here("pg_backup", options(sample, moto_s3, bucket, upload=lock))
        free = run_module_here("pg_backup", options(sample, moto_s3, bucket))
        wanted = options(sample, moto_s3, bucket, keep={"last": 1})
        would = run_module_here("pg_backup", wanted, check=True)
        assert would["pruned"] == [free["backup"]["manifest"]]
        done = run_module_here("pg_backup", wanted)
        assert done["pruned"] == [free["backup"]["manifest"]], done
        said = f"{locked['backup']['manifest']} is kept by no rule and stays: {locked['backup']['archive']} has a lock until"
        assert said in str(done["warnings"])
        found = run_module_here(
            "pg_restore", sample.options(state="listed", destination=wanted["destination"], s3=wanted["s3"])
        )
        left = [one["manifest"] for one in found["backups"]]
        assert left == [locked["backup"]["manifest"], done["backup"]["manifest"]]
