# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of unknown length into S3, in bounded memory: parts that grow, committed once, aborted without a trace.

Three parts are in memory at most: one that fills and two under way. Each part carries its CRC32 and the whole its
full-object CRC32, where the server knows about checksums. A lock, tags and encryption are headers of the upload itself.
Nothing is ever put to a subresource (ACL, tags, retention): there are servers that take that for a new content of the object.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import math
import threading
import typing as t
import zlib
from urllib.parse import urlencode

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import GRACE_SECONDS
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    CHUNK_BYTES,
    Begun,
    Destination,
    Digest,
    Held,
    Stored,
    Upload,
    Writer,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import s3
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

MIB = 1 << 20
SMALLEST_PART = 8 * MIB
LARGEST_PART = 5 << 30
LARGEST_OBJECT = 5 << 40
MOST_PARTS = 10_000
#: Ten tags of 128 and 256 characters have room in it.
_TAGS_BYTES = 64 << 10
#: Parts of one size up to here, as the estimate asks; then they grow, should the estimate have been wrong.
EVEN_PARTS = 8_000
UNDER_WAY = 2


def part_sizes(estimated_bytes: int) -> t.Callable[[int], int]:
    """The size in bytes of part number n (from 1), such that 5 TiB always fit into 10,000 parts.

    Up to 62 GiB the parts have 8 MiB; an estimate beyond that makes them larger from the first one on.
    """
    even = max(SMALLEST_PART, -(-estimated_bytes // EVEN_PARTS))
    even = min(-(-even // MIB) * MIB, LARGEST_OBJECT // EVEN_PARTS)
    missing = LARGEST_OBJECT - even * EVEN_PARTS
    growth = _growth(even, MOST_PARTS - EVEN_PARTS, missing)

    def size(number: int) -> int:
        if number <= EVEN_PARTS:
            return even
        return int(min(LARGEST_PART, even * growth ** (number - EVEN_PARTS)))

    return size


def _growth(first: int, count: int, wanted: int) -> float:
    """The smallest factor by which ``count`` growing parts, none above the largest, hold ``wanted`` bytes."""

    def holds(factor: float) -> bool:
        growing = min(count, int(math.log(LARGEST_PART / first) / math.log(factor)))
        total = first * factor * (factor**growing - 1) / (factor - 1) + (count - growing) * LARGEST_PART
        return total >= wanted + count  # each part is cut to a whole number of bytes

    low, high = 1.0 + 1e-9, 2.0
    for unused in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _crc_text(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _ask_for_the_beginning(request: t.Any, **_unused: t.Any) -> None:
    """There are servers that answer the question for an object's tags with the object, and botocore reads an answer whole."""
    request.headers["Range"] = f"bytes=0-{_TAGS_BYTES - 1}"


def _require_answer(response_dict: t.Mapping[str, t.Any], **_unused: t.Any) -> None:
    """An object is none. botocore takes it for a server's error and asks again; older versions cannot read it."""
    if "ETag" in response_dict["headers"] and not response_dict["body"].lstrip().startswith(b"<"):
        raise s3.NoAnswer("S3 answered with something else.")


class Bucket(Destination):
    """A prefix in a bucket."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        options: t.Mapping[str, t.Any],
        *,
        deadline: Deadline,
        session: s3.Session | None = None,
        upload: Upload | None = None,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
        self.deadline = deadline
        self._session = session or s3.Session()
        self.client = s3.s3_client(options, deadline=deadline, session=self._session, attempts=s3.ATTEMPTS)
        #: Servers that keep no versions may still name one, and then refuse to be asked for it.
        self.keeps_versions = False
        self.sends_checksums = (options.get("checksums") or "full_object") == "full_object"
        self.upload = upload or Upload()
        self._cleaning: Bucket | None = None
        self.client.meta.events.register("before-sign.s3.GetObjectTagging", _ask_for_the_beginning)
        self.client.meta.events.register("before-parse.s3.GetObjectTagging", _require_answer)

    def close(self) -> None:
        self.client.close()
        if self._cleaning is not None:
            self._cleaning.close()

    def with_more_time(self) -> Bucket:
        """One such time for all that is cleaned up: a store that hangs would take it again for each object."""
        if self._cleaning is None:
            self._cleaning = Bucket(self.bucket, self.prefix, self.options, deadline=Deadline(GRACE_SECONDS))
            self._cleaning.keeps_versions = self.keeps_versions
        return self._cleaning

    def beside(self, go_on: t.Callable[[], None]) -> Bucket:
        other = Bucket(
            self.bucket, self.prefix, self.options, deadline=self.deadline, session=self._session, upload=self.upload
        )
        other.keeps_versions = self.keeps_versions
        # A request that broke off is not sent again once nobody wants it.
        other.client.meta.events.register("before-send.s3", lambda **_unused: go_on())
        return other

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def url(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.key(name)}"

    def translated(self, doing: str) -> t.ContextManager[None]:
        return s3.translated(doing, deadline=self.deadline)

    def accepts(self, operation: str, parameter: str) -> bool:
        """Whether this version of boto3 knows a parameter."""
        return parameter in self.client.meta.service_model.operation_model(operation).input_shape.members

    def preflight(self) -> dict[str, t.Any]:
        with self.translated(f"Looking at bucket {self.bucket}"):
            self.client.head_bucket(Bucket=self.bucket)
        known: dict[str, t.Any] = {"bucket": self.bucket, "versioning": None}
        with contextlib.suppress(GoliveError), self.translated("Asking for versioning"):
            known["versioning"] = self.client.get_bucket_versioning(Bucket=self.bucket).get("Status", "Disabled")
        self.keeps_versions = known["versioning"] == "Enabled"
        known["object_lock"] = self._object_lock()
        known["encryption"] = self._encryption()
        if self.upload.lock_mode is not None and not (known["object_lock"] or {}).get("enabled"):
            lacks = "has no object lock" if known["object_lock"] else "does not tell whether it locks objects"
            raise BadInput(
                f"Bucket {self.bucket} {lacks}, and upload.object_lock asks for one.",
                remedy="Take a bucket that was made with object lock, and grant s3:GetBucketObjectLockConfiguration.",
            )
        return known

    def _object_lock(self) -> dict[str, t.Any] | None:
        """Whether the bucket locks objects, and how by default; None where it does not tell."""
        try:
            with self.translated("Asking for object lock"):
                found = (
                    self.client.get_object_lock_configuration(Bucket=self.bucket).get("ObjectLockConfiguration") or {}
                )
        except GoliveError as problem:
            return {"enabled": False} if "ObjectLockConfigurationNotFoundError" in problem.message else None
        if found.get("ObjectLockEnabled") != "Enabled":
            return None
        default = found.get("Rule", {}).get("DefaultRetention") or {}
        given = {name.lower(): default[name] for name in ("Mode", "Days", "Years") if default.get(name)}
        return {"enabled": True, "default": given or None}

    def _encryption(self) -> str | None:
        """How the bucket encrypts by default; None where it does not tell."""
        try:
            with self.translated("Asking for encryption"):
                answer = self.client.get_bucket_encryption(Bucket=self.bucket)
        except GoliveError as problem:
            return "none" if "ServerSideEncryptionConfigurationNotFoundError" in problem.message else None
        rules = (answer.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or [{}]
        algorithm = rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
        return None if algorithm is None else str(algorithm)

    def writer(self, name: str, *, estimated_bytes: int) -> Writer:
        return _S3Writer(self, name, estimated_bytes)

    def head(self, name: str, version_id: str | None = None) -> dict[str, t.Any]:
        request: dict[str, t.Any] = {"Bucket": self.bucket, "Key": self.key(name), "ChecksumMode": "ENABLED"}
        if version_id is not None:
            request["VersionId"] = version_id
        doing = f"Looking at {self.url(name)}"
        with self.translated(doing):
            seen = dict(self.client.head_object(**request))
            s3.said(doing, seen, "ContentLength")
        return seen

    def held(self, name: str, version_id: str | None = None) -> Held:
        seen = self.head(name, version_id)
        crc = seen.get("ChecksumCRC32") if seen.get("ChecksumType") == "FULL_OBJECT" else None
        return Held(
            size=int(seen["ContentLength"]),
            crc32=None if crc is None else base64.b64decode(crc).hex(),
            encryption=seen.get("ServerSideEncryption"),
            lock_mode=seen.get("ObjectLockMode"),
            locked_until=seen.get("ObjectLockRetainUntilDate"),
            legal_hold=seen.get("ObjectLockLegalHoldStatus") == "ON",
        )

    def tags(self, name: str, version_id: str | None = None) -> dict[str, str]:
        """Raises UnexpectedAnswer where the store answers with something else, such as the object."""
        request: dict[str, t.Any] = {"Bucket": self.bucket, "Key": self.key(name)}
        if version_id is not None:
            request["VersionId"] = version_id
        with self.translated(f"Reading the tags of {self.url(name)}"):
            answer = self.client.get_object_tagging(**request)
        return {one["Key"]: one["Value"] for one in answer.get("TagSet", ())}

    def chunks(self, name: str, version_id: str | None = None) -> t.Iterator[bytes]:
        """Where an answer breaks off, the rest is asked for, of the same content."""
        request: dict[str, t.Any] = {"Bucket": self.bucket, "Key": self.key(name)}
        if version_id is not None:
            request["VersionId"] = version_id
        doing = f"Reading {self.url(name)}"
        read, in_vain = 0, 0
        while True:
            with self.translated(doing):
                answer = self.client.get_object(**request)
            if read and not str(answer.get("ContentRange", "")).startswith(f"bytes {read}-"):
                raise UnexpectedAnswer(
                    f"{doing} broke off after {read} bytes, and the store does not go on from there."
                )
            with contextlib.closing(answer["Body"]) as body:
                while True:
                    try:
                        chunk = self._next_of(body, doing)
                    except Unreachable:
                        in_vain += 1
                        if in_vain == s3.ATTEMPTS or self.deadline.expired():
                            raise
                        break
                    if not chunk:
                        return
                    read, in_vain = read + len(chunk), 0
                    yield chunk
            if read:
                request["Range"] = f"bytes={read}-"
                request["IfMatch"] = s3.said(doing, answer, "ETag")

    def _next_of(self, body: t.Any, doing: str) -> bytes:
        with self.translated(doing):
            left = self.deadline.require(doing)
            if left < s3.SILENCE:
                with contextlib.suppress(AttributeError):  # all of it was read
                    body.set_socket_timeout(left)
            return bytes(body.read(CHUNK_BYTES))

    def names(self, below: str = "") -> list[str]:
        start = self.key(below).rstrip("/") + "/" if below or self.prefix else ""
        cut = len(self.prefix) + 1 if self.prefix else 0
        found: list[str] = []
        with self.translated(f"Listing {self.url(below)}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
                found.extend(one["Key"][cut:] for one in page.get("Contents", ()))
        return sorted(found)

    def begun(self, below: str) -> list[Begun]:
        """A store that lists no uploads (MinIO lists those of one whole key only) ends them by itself after a day or so."""
        start = self.key(below).rstrip("/") + "/" if below or self.prefix else ""
        cut = len(self.prefix) + 1 if self.prefix else 0
        found: list[Begun] = []
        with self.translated(f"Listing {self.url(below)}"):
            for page in self._pages("list_object_versions" if self.keeps_versions else "list_objects_v2", start):
                for one in (*page.get("Contents", ()), *page.get("Versions", ())):
                    version = one.get("VersionId") if self.keeps_versions else None
                    found.append(Begun(one["Key"][cut:], one["LastModified"], None, version))
        # The objects were listed, so the bucket is there: some stores say so where there is no upload.
        with contextlib.suppress(s3.Absent), self.translated(f"Listing the uploads below {self.url(below)}"):
            for page in self._pages("list_multipart_uploads", start):
                for one in page.get("Uploads", ()):
                    found.append(Begun(one["Key"][cut:], one["Initiated"], one["UploadId"]))
        return found

    def _pages(self, operation: str, start: str) -> t.Any:
        return self.client.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=start)

    def discard(self, one: Begun) -> None:
        if one.upload is None:
            with contextlib.suppress(s3.Absent):
                self.remove(one.name, one.version_id)
            return
        target = {"Bucket": self.bucket, "Key": self.key(one.name), "UploadId": one.upload}
        with contextlib.suppress(s3.Absent), self.translated(f"Aborting the upload of {self.url(one.name)}"):
            self.client.abort_multipart_upload(**target)

    def remove(self, name: str, version_id: str | None = None) -> None:
        request: dict[str, t.Any] = {"Bucket": self.bucket, "Key": self.key(name)}
        if version_id is not None:
            request["VersionId"] = version_id
        with self.translated(f"Removing {self.url(name)}"):
            self.client.delete_object(**request)

    def versions(self, name: str) -> list[str | None]:
        """What stands under exactly this name: ids of its versions, or one None in a bucket that keeps none."""
        key = self.key(name)
        operation, found = (
            ("list_object_versions", "Versions") if self.keeps_versions else ("list_objects_v2", "Contents")
        )
        with self.translated(f"Looking for {self.url(name)}"):
            pages = self.client.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=key)
            return [one.get("VersionId") for page in pages for one in page.get(found, ()) if one["Key"] == key]

    def open_uploads(self, name: str) -> list[str]:
        """Ids of the uploads of exactly this name that were neither completed nor aborted."""
        key = self.key(name)
        found: list[str] = []
        with contextlib.suppress(s3.Absent), self.translated(f"Looking for open uploads of {self.url(name)}"):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=key):
                found.extend(one["UploadId"] for one in page.get("Uploads", ()) if one["Key"] == key)
        return found

    def abort_upload(self, name: str, upload: str) -> None:
        with contextlib.suppress(s3.Absent), self.translated(f"Aborting {self.url(name)}"):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key(name), UploadId=upload)


class _S3Writer(Writer):
    def __init__(self, bucket: Bucket, name: str, estimated_bytes: int) -> None:
        super().__init__(bucket.url(name))
        self.bucket = bucket
        self.name = name
        self._size_of = part_sizes(estimated_bytes)
        self._filling = bytearray()
        self._filling_crc = 0
        self._upload: str | None = None
        self._version: str | None = None
        self._may_have_begun = False
        self._may_exist = False
        self._is_unguarded = False
        self._parts: list[concurrent.futures.Future[dict[str, t.Any]]] = []
        self._sent: list[int] = []
        #: Those that were not seen to have ended: a slow one may be much older than the newest.
        self._under_way: set[concurrent.futures.Future[dict[str, t.Any]]] = set()
        self._room = threading.BoundedSemaphore(UNDER_WAY)
        self._stopped = threading.Event()
        # A request that broke off is not sent again once nobody wants it.
        bucket.client.meta.events.register("before-send.s3.UploadPart", self._refuse_when_stopped)
        self._senders = concurrent.futures.ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="opsready-upload")

    def _refuse_when_stopped(self, **_unused: t.Any) -> None:
        if self._stopped.is_set():
            raise ActionFailed("The upload was aborted.")

    @property
    def stored_bytes(self) -> int:
        return sum(self._sent)

    @property
    def _target(self) -> dict[str, str]:
        return {"Bucket": self.bucket.bucket, "Key": self.bucket.key(self.name)}

    def _headers(self) -> dict[str, t.Any]:
        """What is asked of the store beside the content: headers of the upload itself, and no requests of their own."""
        upload = self.bucket.upload
        asked = {
            "ObjectLockMode": upload.lock_mode,
            "ObjectLockRetainUntilDate": upload.locked_until,
            "Tagging": urlencode(upload.tags) or None,
            "ServerSideEncryption": upload.encryption,
            "SSEKMSKeyId": upload.kms_key_id,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def write(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        view = memoryview(chunk)
        while view:
            size = self._size_of(len(self._parts) + 1)
            taken = view[: size - len(self._filling)]
            self._filling += taken
            self._filling_crc = zlib.crc32(taken, self._filling_crc)
            view = view[len(taken) :]
            if len(self._filling) == size:
                self._send()

    def _send(self) -> None:
        """Give the filled part to a sender, when there is room for it; raise what an earlier one met."""
        number = len(self._parts) + 1
        if number > MOST_PARTS:
            raise UnexpectedAnswer(f"{self.url} needs more than {MOST_PARTS} parts.")
        if self._upload is None:
            self._begin()
        self._wait_for_room()
        body, crc = self._filling, self._filling_crc
        self._filling, self._filling_crc = bytearray(), 0
        part = self._senders.submit(self._send_part, number, body, crc)
        self._parts.append(part)
        self._under_way.add(part)

    def _wait_for_room(self) -> None:
        while not self._room.acquire(timeout=0.2):
            self.bucket.deadline.require(f"Writing {self.url}")
        ended = [part for part in self._under_way if part.done()]
        for part in ended:
            if part.exception() is not None:
                self._room.release()
                part.result()
        self._under_way.difference_update(ended)

    def _begin(self) -> None:
        request: dict[str, t.Any] = {**self._target, **self._headers(), "ContentType": "application/octet-stream"}
        if self.bucket.sends_checksums:
            request["ChecksumAlgorithm"] = "CRC32"
            if self.bucket.accepts("CreateMultipartUpload", "ChecksumType"):
                request["ChecksumType"] = "FULL_OBJECT"
        doing = f"Writing {self.url}"
        self._may_have_begun = True
        with self.bucket.translated(doing):
            answer = self.bucket.client.create_multipart_upload(**request)
            self._upload = s3.said(doing, answer, "UploadId")
        self._may_have_begun = s3.was_sent_again(answer.get("ResponseMetadata", {}))

    def _end_strays(self, bucket: Bucket) -> None:
        """An answer to the beginning of an upload was lost, and what it began has an id that nobody told us."""
        for upload in bucket.open_uploads(self.name):
            if upload != self._upload:
                bucket.abort_upload(self.name, upload)
        self._may_have_begun = False

    def _send_part(self, number: int, body: bytearray, crc: int) -> dict[str, t.Any]:
        try:
            request = {**self._target, "UploadId": self._upload, "PartNumber": number, "Body": body}
            checksum = {"ChecksumCRC32": _crc_text(crc)} if self.bucket.sends_checksums else {}
            doing = f"Writing part {number} of {self.url}"
            with self.bucket.translated(doing):
                etag = s3.said(doing, self.bucket.client.upload_part(**request, **checksum), "ETag")
            self._sent.append(len(body))
            return {"PartNumber": number, "ETag": etag, **checksum}
        finally:
            self._room.release()

    def commit(self) -> Stored:
        full = {"ChecksumCRC32": _crc_text(self.digest.crc32)} if self.bucket.sends_checksums else {}
        if self._upload is None:
            request: dict[str, t.Any] = {**self._target, **self._headers(), "Body": self._filling, **full}
            if full:  # named too: a bucket with a default retention asks for it
                request["ChecksumAlgorithm"] = "CRC32"
            elif "ObjectLockMode" in request:  # what is locked has a checksum, or is refused
                md5 = hashlib.new("md5", self._filling, usedforsecurity=False)
                request["ContentMD5"] = base64.b64encode(md5.digest()).decode()
            answer = self._guarded("PutObject", self.bucket.client.put_object, request)
        else:
            if self._filling:
                self._send()
            parts = [part.result() for part in self._parts]
            request = {**self._target, "UploadId": self._upload, "MultipartUpload": {"Parts": parts}}
            if full and self.bucket.accepts("CompleteMultipartUpload", "ChecksumType"):
                request.update(full, ChecksumType="FULL_OBJECT")
            if self.bucket.accepts("CompleteMultipartUpload", "MpuObjectSize"):
                request["MpuObjectSize"] = self.digest.size
            answer = self._guarded("CompleteMultipartUpload", self.bucket.client.complete_multipart_upload, request)
        self._version = answer.get("VersionId") if self.bucket.keeps_versions else None
        self._end_senders()
        seen = self.bucket.head(self.name, self._version)
        proven_by = self._read_back(seen, full.get("ChecksumCRC32"))
        notes = (*self._unguarded(), *self._left_over(), *self._require_headers(seen))
        self.committed = True
        return self.digest.stored(
            self._version,
            proven_by,
            notes=notes,
            encryption=seen.get("ServerSideEncryption"),
            lock_mode=seen.get("ObjectLockMode"),
            locked_until=seen.get("ObjectLockRetainUntilDate"),
        )

    def _require_headers(self, seen: t.Mapping[str, t.Any]) -> tuple[str, ...]:
        """Raises UnexpectedAnswer where the store took the upload and not what was asked with it."""
        upload = self.bucket.upload
        if upload.encryption is not None and seen.get("ServerSideEncryption") != upload.encryption:
            found = seen.get("ServerSideEncryption") or "no encryption"
            raise UnexpectedAnswer(
                f"{self.url} was to be encrypted by {upload.encryption}, and the store tells of {found}."
            )
        if upload.locked_until is not None:
            until = seen.get("ObjectLockRetainUntilDate")
            if seen.get("ObjectLockMode") != upload.lock_mode or until is None or until < upload.locked_until:
                raise UnexpectedAnswer(
                    f"{self.url} was to be locked until {utc_text(upload.locked_until)}, and the store tells "
                    + (
                        f"{seen.get('ObjectLockMode')} until {utc_text(until)}." if until is not None else "of no lock."
                    ),
                    remedy="Grant s3:GetObjectRetention, or the lock cannot be seen.",
                )
        return self._require_tags() if upload.tags else ()

    def _require_tags(self) -> tuple[str, ...]:
        try:
            found = self.bucket.tags(self.name, self._version)
        except TimedOut:
            raise
        except GoliveError as problem:
            return (f"Whether {self.url} has its tags is not known: {problem}",)
        if found != dict(self.bucket.upload.tags):
            raise UnexpectedAnswer(f"{self.url} has not the {len(self.bucket.upload.tags)} tags that it was sent with.")
        return ()

    def _end_senders(self) -> None:
        self._senders.shutdown(wait=True, cancel_futures=True)
        self.bucket.client.meta.events.unregister("before-send.s3.UploadPart", self._refuse_when_stopped)

    def _left_over(self) -> tuple[str, ...]:
        """The object stands whatever comes of this, so a problem is a note."""
        if not self._may_have_begun:
            return ()
        try:
            self._end_strays(self.bucket)
        except GoliveError as problem:
            return (f"An upload of {self.url} that was begun twice may be open still: {problem}",)
        return ()

    def _guarded(
        self, operation: str, send: t.Callable[..., dict[str, t.Any]], request: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Send it so that it replaces nothing; to a store that cannot be asked that, when nothing is there to be replaced."""
        if not self.bucket.accepts(operation, "IfNoneMatch"):
            return self._made(lambda: send(**request))
        try:
            return self._made(lambda: send(**request, IfNoneMatch="*"))
        except s3.NotImplementedThere:
            self._may_exist = False
            self._require_free()
            self._is_unguarded = True
            return self._made(lambda: send(**request))

    def _require_free(self) -> None:
        """Raises AlreadyThere."""
        with contextlib.suppress(s3.Absent):
            self.bucket.head(self.name)
            raise s3.AlreadyThere(
                f"Writing {self.url}: it exists.", remedy="Another writer took this name; nothing of it was changed."
            )

    def _unguarded(self) -> tuple[str, ...]:
        if not self._is_unguarded:
            return ()
        return (
            f"The store cannot be asked to replace nothing (If-None-Match), so it was looked before {self.url} was written: "
            "another writer in between would not have been noticed.",
        )

    def _made(self, request: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
        """Send the request that makes the object exist; when its answer is lost, it may have."""
        self._may_exist = True
        try:
            with self.bucket.translated(f"Writing {self.url}"):
                return request()
        except (s3.AlreadyThere, s3.Absent) as problem:
            # botocore asked again, and was told that it is done: the first request did it, if what stands there is ours.
            standing = self._standing() if problem.sent_again else None
            if standing is not None:
                return standing
            self._may_exist = False
            raise

    def _standing(self) -> dict[str, t.Any] | None:
        """What the store tells of the object, if that is what was written, to the last byte."""
        try:
            seen = self.bucket.head(self.name)
        except s3.Absent:
            return None
        version = seen.get("VersionId") if self.bucket.keeps_versions else None
        digest = Digest()
        if seen["ContentLength"] == self.digest.size:
            for chunk in self.bucket.chunks(self.name, version):
                digest.update(chunk)
        return seen if digest.stored() == self.digest.stored() else None

    def _read_back(self, seen: t.Mapping[str, t.Any], crc: str | None) -> str:
        """What the server told that it holds, after the last request that could change it."""
        if seen["ContentLength"] != self.digest.size:
            raise UnexpectedAnswer(
                f"{self.url} has {seen['ContentLength']} bytes, but {self.digest.size} were written."
            )
        held = seen.get("ChecksumCRC32")
        # boto3 before 1.36 can ask for no checksum of the whole: what the server holds is then one of the parts' checksums.
        of_parts = self._upload is not None and not self.bucket.accepts("CompleteMultipartUpload", "ChecksumType")
        if crc is None or held is None or of_parts or seen.get("ChecksumType") == "COMPOSITE":
            return "size"
        if held != crc:
            raise UnexpectedAnswer(f"{self.url} has another CRC32 than what was written.")
        return "size and CRC32"

    def abort(self) -> None:
        self._stopped.set()
        self._end_senders()
        bucket, name = self.bucket.with_more_time(), self.name
        if self._upload is not None:
            bucket.abort_upload(name, self._upload)
        if self._may_have_begun:
            self._end_strays(bucket)
        if self._may_exist:
            for version in [self._version] if self._version is not None else bucket.versions(name):
                bucket.remove(name, version)
            if bucket.versions(name):
                raise ActionFailed(f"{self.url} was left behind.", remedy="Remove it by hand.")
