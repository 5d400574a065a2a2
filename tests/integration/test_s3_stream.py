# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream into a real object store, also with the S3 that an older boto3 knows."""

from __future__ import annotations

import os
import re
import tracemalloc
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Held, Stored, Upload, Writer
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import MIB, Bucket
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import Absent, AlreadyThere
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    UnexpectedAnswer,
    Unreachable,
)
from tests.servers import S3, Answer, HttpServer, MotoS3
from tests.store_faults import FaultyStore

#: What boto3 1.34 does not know of the S3 that 1.36 knows: (operation, member of its input or output).
SINCE_1_36 = (
    ("CreateMultipartUpload", "ChecksumType"),
    ("CompleteMultipartUpload", "ChecksumType"),
    ("CompleteMultipartUpload", "MpuObjectSize"),
    ("CompleteMultipartUpload", "IfNoneMatch"),
    ("PutObject", "IfNoneMatch"),
    ("HeadObject", "ChecksumType"),
)


def forget_what_is_newer(bucket: Bucket) -> None:
    """boto3 then neither sends nor reads it, as the older one."""
    for operation, member in SINCE_1_36:
        model = bucket.client.meta.service_model.operation_model(operation)
        shapes = [shape.members for shape in (model.input_shape, model.output_shape) if member in shape.members]
        assert shapes, (operation, member)
        for members in shapes:
            del members[member]


@pytest.fixture(params=["s3", "moto_s3"])
def store(request: pytest.FixtureRequest) -> t.Any:
    return request.getfixturevalue(request.param)


def bucket_of(store: S3 | MotoS3, **options: t.Any) -> Bucket:
    keys = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
    made = Bucket(store.create_bucket(**options), "p", keys, deadline=Deadline(120))
    made.preflight()
    return made


def written(bucket: Bucket, body: bytes) -> Stored:
    with bucket.writer("object", estimated_bytes=len(body)) as writer:
        for begin in range(0, len(body), MIB):
            writer.write(body[begin : begin + MIB])
        return writer.commit()


@pytest.mark.parametrize("boto3", ["of today", "before 1.36"])
@pytest.mark.parametrize("size", [1000, 9 * MIB, 17 * MIB])
def test_what_was_written_is_what_is_read(store: t.Any, boto3: str, size: int) -> None:
    bucket = bucket_of(store)
    if boto3 == "before 1.36":
        forget_what_is_newer(bucket)
    body = os.urandom(size)
    stored = written(bucket, body)
    assert b"".join(bucket.chunks("object", stored.version_id)) == body
    assert stored.proven_by in ("size", "size and CRC32")


def test_a_bucket_that_locks_by_default_takes_it_and_tells_the_lock(moto_s3: MotoS3) -> None:
    """A small one: moto gives a default retention to no upload in parts."""
    bucket = bucket_of(moto_s3, ObjectLockEnabledForBucket=True)
    moto_s3.client().put_object_lock_configuration(
        Bucket=bucket.bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 7}},
        },
    )
    stored = written(bucket, b"abc")
    held = bucket.held("object", stored.version_id)
    assert (held.size, held.lock_mode) == (3, "GOVERNANCE")
    assert held.locked_until is not None


def test_what_is_held_is_told_without_reading_it(moto_s3: MotoS3) -> None:
    bucket = bucket_of(moto_s3)
    stored = written(bucket, os.urandom(9 * MIB))
    assert bucket.held("object") == Held(size=9 * MIB, crc32=stored.crc32)
    older = bucket_of(moto_s3)
    forget_what_is_newer(older)
    written(older, os.urandom(9 * MIB))
    assert older.held("object").crc32 is None
    with pytest.raises(Absent):
        bucket.held("another")


def test_a_checksum_of_parts_is_not_taken_for_one_of_the_whole(moto_s3: MotoS3) -> None:
    body = os.urandom(9 * MIB)
    assert written(bucket_of(moto_s3), body).proven_by == "size and CRC32"
    older = bucket_of(moto_s3)
    forget_what_is_newer(older)
    assert written(older, body).proven_by == "size"
    assert "ChecksumCRC32" in older.head("object")


def test_another_checksum_of_the_whole_is_refused(moto_s3: MotoS3, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = bucket_of(moto_s3)
    head = bucket.head
    monkeypatch.setattr(bucket, "head", lambda *names: {**head(*names), "ChecksumCRC32": "AAAAAA=="})
    with pytest.raises(UnexpectedAnswer, match="another CRC32"):
        written(bucket, os.urandom(9 * MIB))
    monkeypatch.undo()
    assert bucket.names() == []


def test_an_upload_that_was_given_up_leaves_neither_parts_nor_an_object(store: t.Any) -> None:
    bucket = bucket_of(store)
    with pytest.raises(RuntimeError, match="enough"), bucket.writer("object", estimated_bytes=0) as writer:
        write_then_raise(writer, os.urandom(17 * MIB))
    assert bucket.names() == []
    assert store.client().list_multipart_uploads(Bucket=bucket.bucket).get("Uploads", []) == []


def write_then_raise(writer: Writer, body: bytes) -> None:
    writer.write(body)
    raise RuntimeError("enough")


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_an_object_that_stands_there_already_is_neither_replaced_nor_removed(moto_s3: MotoS3, size: int) -> None:
    bucket = bucket_of(moto_s3)
    written(bucket, b"the first")
    with pytest.raises(AlreadyThere):
        written(bucket, os.urandom(size))
    assert b"".join(bucket.chunks("object")) == b"the first"


def test_an_older_version_is_read_and_removed_by_its_id(moto_s3: MotoS3) -> None:
    bucket = bucket_of(moto_s3)
    moto_s3.client().put_bucket_versioning(Bucket=bucket.bucket, VersioningConfiguration={"Status": "Enabled"})
    bucket.preflight()
    first = written(bucket, b"the first")
    assert first.version_id is not None
    bucket.remove("object")
    assert bucket.names() == []
    written(bucket, b"the second one")
    assert bucket.head("object", first.version_id)["ContentLength"] == len(b"the first")
    assert b"".join(bucket.chunks("object", first.version_id)) == b"the first"
    bucket.remove("object", first.version_id)
    with pytest.raises(Absent):
        bucket.head("object", first.version_id)
    assert b"".join(bucket.chunks("object")) == b"the second one"


def test_what_a_store_keeps_otherwise_than_it_was_sent_is_refused_and_named_when_it_stays(
    http_server: HttpServer,
) -> None:
    http_server.route("PUT /bucket/object", Answer(200, headers={"ETag": '"e"'}))
    http_server.route("HEAD /bucket/object", Answer(200, "cut", headers={"ETag": '"e"'}))
    http_server.route("DELETE /bucket/object", Answer(204))
    http_server.route(
        "GET /bucket", Answer(200, "<ListBucketResult><Contents><Key>object</Key></Contents></ListBucketResult>")
    )
    keys = {"endpoint_url": http_server.url, "access_key": "a", "secret_key": "s"}
    bucket = Bucket("bucket", "", keys, deadline=Deadline(60))
    writer = bucket.writer("object", estimated_bytes=0)
    writer.write(b"in full")
    with pytest.raises(UnexpectedAnswer, match="has 3 bytes, but 7 were written"):
        writer.commit()
    with pytest.raises(ActionFailed, match="s3://bucket/object was left behind"):
        writer.abort()
    assert [one.method for one in http_server.requests].count("DELETE") == 1


@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_that_broke_off_is_a_store_that_cannot_be_reached(http_server: HttpServer, begun: bool) -> None:
    upload = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    http_server.route("POST /bucket/object", Answer(200, upload if begun else b""))
    http_server.route("PUT /bucket/object", Answer(200))
    http_server.route("DELETE /bucket/object", Answer(204))
    keys = {"endpoint_url": http_server.url, "access_key": "a", "secret_key": "s"}
    lost = "ETag" if begun else "UploadId"
    with pytest.raises(Unreachable, match=f"s3://bucket/object: S3 cannot be reached: .* without {lost}"):
        written(Bucket("bucket", "", keys, deadline=Deadline(60)), bytes(9 * MIB))
    assert [one.method for one in http_server.requests].count("DELETE") == begun


def test_a_store_that_takes_the_question_for_tags_for_one_for_the_object_is_not_believed_nor_read(s3: S3) -> None:
    with FaultyStore(s3) as proxy:
        bucket = bucket_of(s3)
        tagging = Bucket(
            bucket.bucket,
            "p",
            {**bucket.options, "endpoint_url": proxy.endpoint},
            deadline=bucket.deadline,
            upload=Upload(tags={"class": "backup"}),
        )
        body = b"canary" * (2 * MIB)
        stored = written(tagging, body)
        (note,) = stored.notes
        assert re.search(r"has its tags is not known: .*S3 answered with what cannot be read", note), note
        assert "canary" not in note
        asked = [one for one in proxy.seen if one.phase == "get tagging"]
        assert len(asked) == 1
        assert b"".join(bucket.chunks("object")) == body
        tracemalloc.start()
        try:
            with pytest.raises(UnexpectedAnswer):
                tagging.tags("object")
            assert tracemalloc.get_traced_memory()[1] < 2 * MIB
        finally:
            tracemalloc.stop()


def test_tags_are_read_whole(moto_s3: MotoS3) -> None:
    bucket = bucket_of(moto_s3)
    bucket.upload = Upload(tags={f"{number}{'k' * 120}": "ü" * 120 for number in range(10)})
    assert written(bucket, b"x").notes == ()
    assert bucket.tags("object") == dict(bucket.upload.tags)
