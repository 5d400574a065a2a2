# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_s3 against real object stores: rclone for bytes and keys, moto for versions, locks and rules."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.packed_findings import unpacked
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.module_examples import examples_of
from tests.servers import S3, Answer, HangingServer, HttpServer, MotoS3, Request, ScriptedServer

WRONG = "wrong-canary-a81c"
Store = t.Union[S3, MotoS3]
serves = pytest.mark.serves


def judged(
    run: ModuleRun, store: Store, buckets: list[str], *, check: bool = False, **options: t.Any
) -> dict[str, t.Any]:
    keys = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
    args = {**keys, "buckets": buckets, "enforce": False, "timeout": 60, **options}
    secrets = [WRONG] if isinstance(store, MotoS3) else [store.secret_key, WRONG]
    answer = run("check_s3", args, check=check, secrets=secrets)
    assert answer["changed"] is False
    assert isinstance(answer["finding"], dict)
    return answer["finding"]


def everything_in(store: Store, bucket: str) -> list[str]:
    listed = store.client().list_object_versions(Bucket=bucket)
    return [entry["Key"] for entry in (*listed.get("Versions", []), *listed.get("DeleteMarkers", []))]


def test_a_bucket_that_takes_and_gives_back_passes(s3: S3, run_module_here: ModuleRun) -> None:
    bucket = s3.create_bucket()
    finding = judged(run_module_here, s3, [bucket], canary=True, canary_bytes=100_000, public_access="refused")
    assert finding["status"] == "pass", finding["summary"]
    assert finding["measured"][f"canary in {bucket}"] == "came back"
    assert s3.client().list_objects_v2(Bucket=bucket).get("KeyCount", 0) == 0


def test_a_bucket_that_refuses_writes_fails(s3: S3, run_module_here: ModuleRun) -> None:
    bucket = s3.create_bucket()
    s3.refuse_writes(bucket)
    finding = judged(run_module_here, s3, [bucket], canary=True)
    assert finding["status"] == "fail"
    assert f"Canary in {bucket} is refused: Writing" in finding["summary"]


def test_a_store_that_stumbles_is_unknown_until_it_says_no(http_server: HttpServer, run_module_here: ModuleRun) -> None:
    args = scripted(http_server, lambda request: xml_error(500, "InternalError"))
    http_server.route("*", lambda request: xml_error(500, "InternalError"))
    silent = run_module_here("check_s3", args, secrets=[WRONG])["finding"]
    assert silent["status"] == "unknown"
    assert "Listing s3://docs: S3 answered InternalError" in silent["summary"]
    finding = run_module_here("check_s3", {**args, "canary": True}, secrets=[WRONG])["finding"]
    assert finding["status"] == "fail"
    assert "Canary in docs is refused" in finding["summary"]
    assert "Listing s3://docs: S3 answered InternalError" in finding["summary"]


def test_a_missing_bucket_fails_and_the_others_are_judged(s3: S3, run_module_here: ModuleRun) -> None:
    bucket = s3.create_bucket()
    finding = judged(run_module_here, s3, ["missing-bucket", bucket])
    assert finding["status"] == "fail"
    assert "Bucket missing-bucket is missing, expected there" in finding["summary"]
    assert finding["measured"][f"bucket {bucket}"] == "there"


def test_wrong_keys_are_unknown_and_say_so(s3: S3, run_module_here: ModuleRun) -> None:
    bucket = s3.create_bucket()
    finding = judged(run_module_here, s3, [bucket], secret_key=WRONG, canary=True)
    assert finding["status"] == "unknown"
    assert "SignatureDoesNotMatch" in finding["summary"]
    assert "Check access_key, secret_key" in finding["remedy"]


def test_no_server_and_a_hanging_one_are_unknown(
    run_module_here: ModuleRun, hanging_server: HangingServer, refused_port: int
) -> None:
    for port, said, timeout in ((refused_port, "cannot be reached", 30), (hanging_server.port, "no answer from S3", 3)):
        keys = {"endpoint_url": f"http://127.0.0.1:{port}", "access_key": "a", "secret_key": WRONG, "buckets": ["docs"]}
        answer = run_module_here(
            "check_s3", {**keys, "enforce": False, "timeout": timeout, "canary": True}, secrets=[WRONG]
        )
        assert answer["finding"]["status"] == "unknown"
        assert said in answer["finding"]["summary"]


def test_a_bare_bucket_lacks_what_is_required(moto_s3: MotoS3, run_module_here: ModuleRun) -> None:
    bucket = moto_s3.create_bucket()
    finding = judged(
        run_module_here,
        moto_s3,
        [bucket],
        versioning="enabled",
        lifecycle="required",
        object_lock="required",
        max_retention_days=30,
        public_access="refused",
    )
    assert finding["status"] == "fail"
    for part in ("versioning", "active lifecycle rules", "object lock", "longest retention"):
        assert f"{part} of {bucket} is" in finding["summary"].lower()
    # moto answers everybody
    assert f"public access to {bucket} is anybody may list it" in finding["summary"].lower()


def test_a_bucket_with_everything_set_passes(moto_s3: MotoS3, run_module_here: ModuleRun) -> None:
    bucket = moto_s3.create_bucket(ObjectLockEnabledForBucket=True)
    client = moto_s3.client()
    client.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    )
    rule: dict[str, t.Any] = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 35}}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    # A bucket with a lock has versions.
    endless = judged(run_module_here, moto_s3, [bucket], max_retention_days=70)
    assert "no rule expires old versions, which stay when an object expires" in endless["summary"], endless
    rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 30}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 7}},
        },
    )
    options = {
        "versioning": "enabled",
        "encryption": "required",
        "lifecycle": "required",
        "min_retention_days": 30,
        "max_retention_days": 65,
        "object_lock": "required",
        "min_lock_days": 7,
    }
    finding = judged(run_module_here, moto_s3, [bucket], **options)
    assert finding["status"] == "pass", finding["summary"]
    kept = judged(run_module_here, moto_s3, [bucket], canary=True)
    assert kept["status"] == "unknown"
    assert "default retention would keep it" in kept["summary"]
    assert kept["left_out"] is False
    assert everything_in(moto_s3, bucket) == []


def retention(run: ModuleRun, moto_s3: MotoS3, *rules: dict[str, t.Any], **bound: int) -> dict[str, t.Any]:
    """The finding about a bucket with these lifecycle rules."""
    bucket = moto_s3.create_bucket()
    enabled = [{"ID": f"r{number}", "Status": "Enabled", **rule} for number, rule in enumerate(rules)]
    moto_s3.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": enabled})
    return judged(run, moto_s3, [bucket], **bound)


EVERYTHING = {"Prefix": ""}


@pytest.mark.parametrize("date", ["2020-01-01", "2100-01-01"])
def test_a_lifecycle_rule_with_a_date_keeps_nothing_for_long(
    moto_s3: MotoS3, run_module_here: ModuleRun, date: str
) -> None:
    dated = {"Filter": EVERYTHING, "Expiration": {"Date": f"{date}T00:00:00Z"}}
    finding = retention(run_module_here, moto_s3, dated, min_retention_days=30)
    assert finding["status"] == "fail"
    assert re.search(rf"is none: rule r0 removes objects (since|on) {date} of whatever age", finding["summary"])
    assert "Write Days in the rule in place of Date" in finding["remedy"]
    is_past = date < "2026"
    found = retention(run_module_here, moto_s3, dated, max_retention_days=30)
    assert found["status"] == ("pass" if is_past else "fail")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"Prefix": "logs/"}, "objects under logs/"),
        ({"Tag": {"Key": "temporary", "Value": "1"}}, "objects of some tag or size"),
        (
            {"And": {"Prefix": "logs/", "Tags": [{"Key": "temporary", "Value": "1"}]}},
            "objects under logs/ of some tag or size",
        ),
    ],
)
def test_a_lifecycle_rule_for_a_part_limits_only_that_part(
    moto_s3: MotoS3, run_module_here: ModuleRun, part: dict[str, t.Any], said: str
) -> None:
    partial = {"Filter": part, "Expiration": {"Days": 3}}
    finding = retention(run_module_here, moto_s3, partial, max_retention_days=30)
    assert finding["status"] == "fail"
    assert f"is without limit, as no rule expires all of it (rule r0 removes {said})" in finding["summary"]
    whole = {"Filter": EVERYTHING, "Expiration": {"Days": 30}}
    assert retention(run_module_here, moto_s3, partial, whole, max_retention_days=30)["status"] == "pass"
    shortest = retention(run_module_here, moto_s3, partial, whole, min_retention_days=30)
    assert shortest["status"] == "fail"
    assert "is 3 days, expected at least 30 days" in shortest["summary"]


def test_the_canary_leaves_no_version_and_no_marker_behind(moto_s3: MotoS3, run_module_here: ModuleRun) -> None:
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert judged(run_module_here, moto_s3, [bucket], canary=True)["status"] == "pass"
    assert everything_in(moto_s3, bucket) == []


def forwarded(request: Request, store: MotoS3) -> Answer:
    """What the store answers to a request that was sent to somebody else."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port)
    with contextlib.closing(connection):
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        kept = {
            name: value for name, value in answer.getheaders() if name.lower().startswith(("x-amz", "last-m", "etag"))
        }
        return Answer(answer.status, answer.read(), kept)


def policy_of(bucket: str, principal: t.Any, **more: t.Any) -> str:
    statement = {
        **more,
        "Effect": "Allow",
        "Principal": principal,
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Guarded:
    """moto lets everybody do everything: before it strangers are told no, save for objects of a bucket whose policy lets them."""

    #: Its answer to who asks for the public access block, where it does not tell.
    no_block: Answer | None = None

    def __init__(self, store: MotoS3, server: HttpServer, *, tells_policy: bool = True) -> None:
        self.store, self.endpoint = store, server.url
        self.access_key, self.secret_key = store.access_key, store.secret_key
        self._tells_policy = tells_policy
        server.route("*", self._answer)

    def _answer(self, request: Request) -> Answer:
        path, _mark, query = request.path.lstrip("/").partition("?")
        bucket, _slash, key = path.partition("/")
        if "policy" in query.split("&") and not self._tells_policy:
            return xml_error(403, "AccessDenied")
        if "publicAccessBlock" in query.split("&") and self.no_block is not None:
            return self.no_block
        if "Authorization" not in request.headers and not (key and self._is_open(bucket)):
            return xml_error(403, "AccessDenied")
        return forwarded(request, self.store)

    def _is_open(self, bucket: str) -> bool:
        with contextlib.suppress(Exception):  # where it has none
            return bool(self.store.client().get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])
        return False


def guarded(run: ModuleRun, store: Guarded, bucket: str, **options: t.Any) -> dict[str, t.Any]:
    return judged(run, t.cast("MotoS3", store), [bucket], public_access="refused", **options)


def test_objects_that_strangers_may_read_fail_though_the_bucket_cannot_be_listed(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    store, bucket = Guarded(moto_s3, http_server), moto_s3.create_bucket()
    shut = guarded(run_module_here, store, bucket)
    assert (shut["status"], shut["evidence"]["buckets"][0]["has_public_policy"]) == ("pass", False), shut["summary"]
    moto_s3.client().put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, "*"))
    by_policy = guarded(run_module_here, store, bucket)
    assert by_policy["evidence"]["buckets"][0]["is_public"] is False
    assert f"Public access to {bucket} is its policy lets everybody in, expected refused" in by_policy["summary"]
    store = Guarded(moto_s3, http_server, tells_policy=False)
    by_object = guarded(run_module_here, store, bucket, canary=True)
    assert f"Public access to {bucket} is anybody may read its objects, expected refused" in by_object["summary"]
    assert (by_policy["status"], by_object["status"]) == ("fail", "fail")
    assert everything_in(moto_s3, bucket) == []


def test_a_policy_that_cannot_be_read_is_unknown_until_the_canary_tries(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    store, bucket = Guarded(moto_s3, http_server, tells_policy=False), moto_s3.create_bucket()
    silent = guarded(run_module_here, store, bucket)
    assert silent["status"] == "unknown"
    assert (
        f"Whether anybody may read objects of {bucket} is unknown: Reading policy of s3://{bucket}" in silent["summary"]
    )
    assert "canary: true" in silent["remedy"]
    tried = guarded(run_module_here, store, bucket, canary=True)
    assert tried["status"] == "pass", tried["summary"]


def test_a_public_access_block_makes_a_public_policy_count_for_nothing(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    store, bucket = Guarded(moto_s3, http_server), moto_s3.create_bucket()
    client = moto_s3.client()
    client.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, {"AWS": "*"}))
    for is_blocked, status in ((False, "fail"), (True, "pass")):
        block = {"RestrictPublicBuckets": is_blocked, "BlockPublicPolicy": True}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
        assert guarded(run_module_here, store, bucket)["status"] == status


def test_a_condition_decides_whom_a_policy_lets_in_so_the_canary_tries_it(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    store, bucket = Guarded(moto_s3, http_server), moto_s3.create_bucket()
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    moto_s3.client().put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, "*", Condition=condition))
    alone = guarded(run_module_here, store, bucket)
    assert (alone["status"], "canary: true" in alone["remedy"]) == ("unknown", True), alone["summary"]
    assert f"objects of {bucket} is unknown: its policy lets in under a condition" in alone["summary"]
    rehearsed = guarded(run_module_here, store, bucket, canary=True, check=True)
    assert (rehearsed["status"], "canary: true" in rehearsed["remedy"]) == ("unknown", False), rehearsed["remedy"]
    tried = guarded(run_module_here, store, bucket, canary=True)
    assert tried["status"] == ("fail" if store._is_open(bucket) else "pass"), tried["summary"]


def test_a_public_policy_fails_where_there_is_no_block_and_is_unknown_where_it_may_not_be_read(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    store, bucket = Guarded(moto_s3, http_server), moto_s3.create_bucket()
    moto_s3.client().put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, "*"))
    store.no_block = xml_error(403, "AccessDenied")
    unread = guarded(run_module_here, store, bucket)
    assert (unread["status"], "s3:GetBucketPublicAccessBlock" in unread["remedy"]) == ("unknown", True)
    assert f"The policy of {bucket} lets everybody in, unless a public access block" in unread["summary"]
    store.no_block = xml_error(501, "NotImplemented")
    assert guarded(run_module_here, store, bucket)["status"] == "fail"


def test_a_bucket_in_another_region_fails(moto_s3: MotoS3, run_module_here: ModuleRun) -> None:
    here, there = (
        moto_s3.create_bucket(),
        moto_s3.create_bucket(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}),
    )
    assert judged(run_module_here, moto_s3, [here], expected_region="us-east-1")["status"] == "pass"
    assert judged(run_module_here, moto_s3, [there], expected_region="eu-central-1")["status"] == "pass"
    finding = judged(run_module_here, moto_s3, [here, there], expected_region="eu-central-1")
    assert finding["status"] == "fail"
    assert finding["summary"] == f"Region of {here} is us-east-1, expected eu-central-1."
    wrong = judged(run_module_here, moto_s3, [here], expected_region="Frankfurt am Main")
    assert (wrong["status"], "expected_region is 'Frankfurt am Main'" in wrong["summary"]) == ("unknown", True)


def test_what_items_ask_alike_is_asked_once(moto_s3: MotoS3, http_server: HttpServer) -> None:
    bucket = moto_s3.create_bucket()
    http_server.route("*", lambda request: forwarded(request, moto_s3))
    base = {"endpoint_url": http_server.url, "access_key": "a", "secret_key": WRONG, "buckets": [bucket]}
    newest = [{"bucket": bucket, "prefix": "a/", "max_age": 1.0}]
    items = [
        {"id": str(number), "check": "check_s3", "params": {**base, **options}, "timeout": 30.0}
        for number, options in enumerate(
            [{"newest": newest}, {"newest": newest, "versioning": "disabled"}, {"versioning": "enabled"}, {}]
        )
    ]
    found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber([WRONG]), workers=1)
    assert [finding["status"] for finding in found] == ["fail", "fail", "fail", "pass"]
    assert len(http_server.requests) == 3, "whether it is there, what is newest, and its versioning"
    assert len({request.client_port for request in http_server.requests}) == 2, (
        "items without a question do not connect"
    )
    http_server.requests.clear()
    other = [
        {**item, "params": {**item["params"], "secret_key": str(number)}} for number, item in enumerate(items[3:] * 2)
    ]
    judge_all(
        [{**item, "id": str(number)} for number, item in enumerate(other)], [], timeout_seconds=60, scrub=Scrubber([])
    )
    assert len(http_server.requests) == 2, "another key may have another answer"


@pytest.mark.parametrize("versioning", ["Enabled", "Suspended", None])
def test_a_canary_whose_answer_was_lost_leaves_no_version_and_no_marker(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun, versioning: str | None
) -> None:
    bucket = moto_s3.create_bucket()
    if versioning:
        moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": versioning})
    seen: list[list[str]] = []

    def answer(request: Request) -> Answer:
        told = forwarded(request, moto_s3)
        if request.method == "PUT":
            seen.append(everything_in(moto_s3, bucket))
            return xml_error(500, "InternalError")
        return told

    http_server.route("*", answer)
    finding = judged(run_module_here, moto_s3, [bucket], canary=True, endpoint_url=http_server.url)
    assert (finding["status"], len(seen[0])) == ("fail", 1)
    assert f"Canary in {bucket} is refused: Writing" in finding["summary"]
    assert "left behind" not in finding["summary"]
    assert everything_in(moto_s3, bucket) == []


def test_a_version_that_cannot_be_removed_is_told(
    moto_s3: MotoS3, http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def answer(request: Request) -> Answer:
        if request.method == "DELETE" and "versionId" in request.path:
            return xml_error(403, "AccessDenied")
        told = forwarded(request, moto_s3)
        return xml_error(500, "InternalError") if request.method == "PUT" else told

    http_server.route("*", answer)
    finding = judged(run_module_here, moto_s3, [bucket], canary=True, endpoint_url=http_server.url)
    assert f"clean-up in {bucket} is left behind s3://{bucket}/opsready-canary/" in finding["summary"]
    assert len(everything_in(moto_s3, bucket)) == 2


@pytest.mark.parametrize("module", ["check_s3", "checklist"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_canary_is_removed_when_a_signal_ends_the_module(
    moto_s3: MotoS3, http_server: HttpServer, module: str, method: str
) -> None:
    """At the PUT the object is there and its version is not known; at the GET it is."""
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    is_there, was_ended = threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        told = forwarded(request, moto_s3)
        if request.method == method and "opsready-canary" in request.path and "?" not in request.path:
            is_there.set()
            was_ended.wait(60)
        return told

    http_server.route("*", answer)
    params = {
        "endpoint_url": http_server.url,
        "access_key": "a",
        "secret_key": WRONG,
        "buckets": [bucket],
        "canary": True,
    }
    if module == "checklist":
        arguments = {"checks": [{"id": "s3", "check": "check_s3", "params": params, "timeout": 60.0}]}
    else:
        arguments = {**params, "enforce": False, "timeout": 60}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.module_process", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps({**arguments, "_ansible_remote_tmp": "/tmp"}))
        process.stdin.close()
        process.stdin = None
        assert is_there.wait(60)
        assert len(everything_in(moto_s3, bucket)) == 1
        process.send_signal(signal.SIGTERM)
        # A thread cannot be interrupted: it goes on when the store does.
        was_ended.wait(1.0 if module == "checklist" else 0.0)
        was_ended.set()
        out, _unused = process.communicate(timeout=60)
    finally:
        was_ended.set()
        process.kill()
        process.wait()
    assert everything_in(moto_s3, bucket) == []
    said = json.loads(out)
    if module == "checklist":
        assert unpacked(said["findings"])[0]["status"] in ("pass", "unknown")
    else:
        assert (said["failed"], said["finding"]["status"]) == (True, "unknown")
        assert "ended by SIGTERM" in said["msg"]


def test_one_items_limit_is_not_anothers(http_server: HttpServer) -> None:
    slow = scripted(http_server, lambda request: Answer(body=LISTING.format(more=""), delay=1.5))
    del slow["enforce"]
    items = [
        {"id": identity, "check": "check_s3", "params": slow, "timeout": timeout}
        for identity, timeout in (("short", 0.5), ("long", 30.0))
    ]
    found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber([WRONG]))
    assert [finding["status"] for finding in found] == ["unknown", "pass"], found[1]["summary"]
    assert "within 0.5 s" in found[0]["summary"]


def test_an_item_that_begins_later_has_its_own_limit(http_server: HttpServer) -> None:
    """More items than workers: the second begins when the first one's limit is long over."""
    quick = scripted(http_server, lambda request: Answer(body=LISTING.format(more=""), delay=0.8))
    del quick["enforce"]
    items = [
        {"id": str(number), "check": "check_s3", "params": quick, "timeout": 1.5 if number == 0 else 30.0}
        for number in range(3)
    ]
    found = judge_all(items, [], timeout_seconds=90, scrub=Scrubber([WRONG]), workers=1)
    assert [finding["status"] for finding in found[1:]] == ["pass", "pass"], found[1]["summary"]


def test_a_canary_is_not_run_in_check_mode(moto_s3: MotoS3, run_module_here: ModuleRun) -> None:
    bucket = moto_s3.create_bucket()
    finding = judged(run_module_here, moto_s3, [bucket], canary=True, check=True)
    assert finding["status"] == "unknown"
    assert "not run in check mode" in finding["summary"]
    assert finding["left_out"] is True
    assert everything_in(moto_s3, bucket) == []


def test_the_newest_object_is_found_over_pages_and_by_prefix(moto_s3: MotoS3, run_module_here: ModuleRun) -> None:
    bucket = moto_s3.create_bucket()
    client = moto_s3.client()
    for number in range(3):
        client.put_object(Bucket=bucket, Key=f"backup/{number}", Body=b"x" * (number + 1))
    base = {"bucket": bucket, "max_age": 3600}
    good = judged(run_module_here, moto_s3, [bucket], newest=[{**base, "prefix": "backup/"}])
    assert good["status"] == "pass", good["summary"]
    assert good["evidence"]["newest"][0]["listed"] == 3
    empty = judged(run_module_here, moto_s3, [bucket], newest=[{**base, "prefix": "none/"}])
    assert f"Objects in s3://{bucket}/none/ is 0" in empty["summary"]
    small = judged(run_module_here, moto_s3, [bucket], newest=[{**base, "prefix": "backup/0", "min_size": 2}])
    assert "is 1 bytes, expected at least 2 bytes" in small["summary"]
    old = judged(run_module_here, moto_s3, [bucket], newest=[{**base, "prefix": "backup/", "max_age": -1}])
    assert old["status"] == "fail"


def test_an_object_that_is_written_in_the_future_has_no_age(s3: S3, run_module_here: ModuleRun) -> None:
    bucket = s3.create_bucket()
    s3.client().put_object(Bucket=bucket, Key="backup/1", Body=b"x")
    stored = s3.bytes_directory / bucket / "backup" / "1"
    newest = [{"bucket": bucket, "prefix": "backup/", "max_age": 3600}]
    assert judged(run_module_here, s3, [bucket], newest=newest)["status"] == "pass"
    later = time.time() + 7200
    os.utime(stored, (later, later))
    finding = judged(run_module_here, s3, [bucket], newest=newest)
    assert finding["status"] == "unknown", finding
    assert "the store's clock says that backup/1 was written" in finding["summary"]
    assert "after what this host's clock shows" in finding["summary"]
    assert "Set both clocks by NTP" in finding["remedy"]


def settings_and_store(
    store: S3, env_file: Path, rules: list[dict[str, t.Any]], **options: t.Any
) -> list[dict[str, t.Any]]:
    """The findings of the two items by which an application's object store is judged."""
    keys = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
    items = [
        {"id": "settings", "check": "check_env", "params": {"file": str(env_file), "rules": rules}, "timeout": 60.0},
        {"id": "store", "check": "check_s3", "params": {**keys, "canary": True, **options}, "timeout": 60.0},
    ]
    return judge_all(items, [], timeout_seconds=90, scrub=Scrubber([store.secret_key]))


def env_file_at(folder: Path, text: str) -> Path:
    path = folder / "app.env"
    path.write_text(text)
    path.chmod(0o600)
    return path


ENDPOINT = [{"name": "MINIO_ENDPOINT", "kind": "url", "schemes": ["http", "https"], "allow_private": True}]


@serves("S1.15", case="pass")
def test_the_settings_name_a_store_whose_buckets_give_back_what_they_take(s3: S3, tmp_path: Path) -> None:
    buckets = [s3.create_bucket(), s3.create_bucket()]
    env_file = env_file_at(tmp_path, f"MINIO_ENDPOINT={s3.endpoint}\n")
    settings, store = settings_and_store(s3, env_file, ENDPOINT, buckets=buckets)
    assert (settings["status"], store["status"]) == ("pass", "pass"), (settings, store)
    assert settings["measured"]["MINIO_ENDPOINT"] == store["evidence"]["endpoint"] == s3.endpoint
    for bucket in buckets:
        assert (store["measured"][f"bucket {bucket}"], store["measured"][f"canary in {bucket}"]) == (
            "there",
            "came back",
        )


@serves("S1.15", case="fail")
def test_no_endpoint_and_buckets_that_are_missing_or_refuse_fail(s3: S3, tmp_path: Path) -> None:
    bucket = s3.create_bucket()
    s3.refuse_writes(bucket)
    env_file = env_file_at(tmp_path, "MINIO_ENDPOINT=\n")
    settings, store = settings_and_store(s3, env_file, ENDPOINT, buckets=[bucket, "missing-bucket"])
    assert (settings["status"], "MINIO_ENDPOINT is empty" in settings["summary"]) == ("fail", True)
    assert store["status"] == "fail"
    assert f"anary in {bucket} is refused" in store["summary"]
    assert "ucket missing-bucket is missing" in store["summary"]


LOG_BACKUP = [
    {"name": "S3_BACKUP_ENABLED", "kind": "boolean", "value": "true"},
    {"name": "S3_ENDPOINT_URL", "kind": "url", "schemes": ["http", "https"], "allow_private": True},
]


@serves("S0.15", case="pass")
def test_the_backup_of_logs_is_set_and_has_a_new_object(s3: S3, tmp_path: Path) -> None:
    bucket = s3.create_bucket()
    s3.client().put_object(Bucket=bucket, Key="logs/2026-11-22.gz", Body=b"lines")
    env_file = env_file_at(tmp_path, f"S3_BACKUP_ENABLED=true\nS3_ENDPOINT_URL={s3.endpoint}\n")
    newest = [{"bucket": bucket, "prefix": "logs/", "max_age": 86400}]
    settings, store = settings_and_store(s3, env_file, LOG_BACKUP, buckets=[bucket], newest=newest)
    assert (settings["status"], store["status"]) == ("pass", "pass"), (settings, store)
    assert store["measured"][f"canary in {bucket}"] == "came back"
    assert store["evidence"]["newest"][0]["key"] == "logs/2026-11-22.gz"
    assert store["evidence"]["newest"][0]["age_seconds"] < 3600


@serves("S0.15", case="fail")
def test_a_backup_of_logs_that_is_off_or_has_come_to_a_stop_fails(s3: S3, tmp_path: Path) -> None:
    bucket, refusing = s3.create_bucket(), s3.create_bucket()
    s3.refuse_writes(refusing)
    env_file = env_file_at(tmp_path, f"S3_BACKUP_ENABLED=false\nS3_ENDPOINT_URL={s3.endpoint}\n")
    newest = [{"bucket": bucket, "prefix": "logs/", "max_age": 86400}]
    settings, store = settings_and_store(s3, env_file, LOG_BACKUP, buckets=[bucket, refusing], newest=newest)
    assert (settings["status"], "S3_BACKUP_ENABLED is false" in settings["summary"]) == ("fail", True)
    assert store["status"] == "fail"
    assert f"bjects in s3://{bucket}/logs/ is 0" in store["summary"]
    assert f"anary in {refusing} is refused" in store["summary"]


def scripted(server: HttpServer, answer: t.Callable[[Request], Answer]) -> dict[str, t.Any]:
    server.route("/docs", answer)
    return {"endpoint_url": server.url, "access_key": "a", "secret_key": WRONG, "buckets": ["docs"], "enforce": False}


LISTING = '<?xml version="1.0"?><ListBucketResult><Name>docs</Name><KeyCount>0</KeyCount>{more}</ListBucketResult>'


def xml_error(status: int, code: str) -> Answer:
    return Answer(status=status, body=f"<Error><Code>{code}</Code><Message>no</Message></Error>")


def test_a_store_that_keeps_the_canary_is_told_on(http_server: HttpServer, run_module_here: ModuleRun) -> None:
    kept: dict[str, bytes] = {}

    def objects(request: Request) -> Answer:
        if request.method == "PUT":
            kept[request.path] = request.body
        if request.method == "DELETE":
            return xml_error(403, "AccessDenied")
        if request.method == "GET":
            return Answer(body=b"something else")
        return Answer()

    args = scripted(http_server, lambda request: Answer(body=LISTING.format(more="")))
    http_server.route("*", objects)
    finding = run_module_here("check_s3", {**args, "canary": True}, secrets=[WRONG])["finding"]
    assert finding["status"] == "fail"
    assert "Canary in docs is changed: 1024 bytes were written and 14 others came back" in finding["summary"]
    assert "clean-up in docs is left behind s3://docs/opsready-canary/" in finding["summary"]


def test_a_store_that_does_not_know_a_setting_leaves_it_unknown(
    http_server: HttpServer, run_module_here: ModuleRun
) -> None:
    def answer(request: Request) -> Answer:
        if "list-type" in request.path:
            return Answer(body=LISTING.format(more="")) if "Authorization" in request.headers else Answer(status=500)
        return xml_error(501, "NotImplemented")

    args = scripted(http_server, answer)
    wanted = {"versioning": "enabled", "encryption": "required", "lifecycle": "required", "object_lock": "required"}
    finding = run_module_here("check_s3", {**args, **wanted, "public_access": "refused"}, secrets=[WRONG])["finding"]
    assert finding["status"] == "unknown"
    assert finding["summary"].count("NotImplemented") == 4
    assert "An unsigned request was answered 500" in finding["summary"]


def test_a_listing_that_never_ends_is_unknown(http_server: HttpServer, run_module_here: ModuleRun) -> None:
    entry = "<Contents><Key>a</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>1</Size></Contents>"
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>{entry}"
    args = scripted(http_server, lambda request: Answer(body=LISTING.format(more=more)))
    newest = [{"bucket": "docs", "max_age": 1, "max_listed": 3}]
    finding = run_module_here("check_s3", {**args, "newest": newest}, secrets=[WRONG])["finding"]
    assert finding["status"] == "unknown"
    assert "more than 3 objects" in finding["summary"]


def test_a_clock_that_is_off_is_named(run_module_here: ModuleRun) -> None:
    body = LISTING.format(more="").encode()
    head = f"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: {len(body)}\r\n\r\n"

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head.encode() + body)

    with ScriptedServer(answer) as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        args = {"endpoint_url": endpoint, "access_key": "a", "secret_key": WRONG, "buckets": ["docs"], "enforce": False}
        finding = run_module_here("check_s3", args, secrets=[WRONG])["finding"]
    assert finding["status"] == "fail", finding["summary"]
    assert "Clock difference to the object store is" in finding["summary"]
    assert "NTP" in finding["remedy"]


def test_the_examples_run_and_tell_good_from_bad(s3: S3, moto_s3: MotoS3, run_module: ModuleRun) -> None:
    replaced = {"https://minio.example.org:9000": s3.endpoint, "{{ vault_s3_secret_key }}": s3.secret_key}
    documents, backups = examples_of("check_s3", replaced).values()
    documents = {**documents, "access_key": s3.access_key}
    backups = {**backups, "endpoint_url": moto_s3.endpoint}

    def statuses() -> list[str]:
        answers = [run_module("check_s3", {**args, "enforce": False}) for args in (documents, backups)]
        return [answer["finding"]["status"] for answer in answers]

    client = moto_s3.client()
    s3.client().create_bucket(Bucket="documents")
    client.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_bucket_versioning(Bucket="backups", VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket="backups", Key="archive/1", Body=b"x" * 1_000_000)
    assert statuses() == ["pass", "pass"]
    s3.refuse_writes("documents")
    client.put_bucket_versioning(Bucket="backups", VersioningConfiguration={"Status": "Suspended"})
    assert statuses() == ["fail", "fail"]


def test_used_alone_the_module_fails_unless_told_otherwise(s3: S3, run_module: ModuleRun) -> None:
    keys = {"endpoint_url": s3.endpoint, "access_key": s3.access_key, "secret_key": s3.secret_key}
    answer = run_module("check_s3", {**keys, "buckets": ["missing-bucket"]}, secrets=[s3.secret_key])
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]


@pytest.mark.parametrize("url", ["http://u:secret-canary-1@h:1", "ftp://h"])
def test_an_endpoint_that_cannot_be_used_is_unknown(run_module_here: ModuleRun, url: str) -> None:
    args = {"endpoint_url": url, "access_key": "a", "secret_key": WRONG, "buckets": ["docs"], "enforce": False}
    assert run_module_here("check_s3", args, secrets=[WRONG, "secret-canary-1"])["finding"]["status"] == "unknown"
