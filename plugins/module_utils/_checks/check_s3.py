# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge an object store: are its buckets there, do they take and keep what they are given, and is the newest object new?"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import email.utils
import hashlib
import json
import re
import secrets
import typing as t
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._clients import http, s3
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import S3, Constraints, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    Ended,
    GoliveError,
    TimedOut,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_s3"
T = t.TypeVar("T")

ARGUMENT_SPEC: Spec = compose(
    S3,
    {
        "buckets": {"type": "list", "elements": "str", "required": True},
        "expected_region": {"type": "str"},
        "versioning": {"type": "str", "choices": ["enabled", "disabled", "any"], "default": "any"},
        "encryption": {"type": "str", "choices": ["required", "any"], "default": "any"},
        "lifecycle": {"type": "str", "choices": ["required", "any"], "default": "any"},
        "min_retention_days": {"type": "int"},
        "max_retention_days": {"type": "int"},
        "object_lock": {"type": "str", "choices": ["required", "any"], "default": "any"},
        "min_lock_days": {"type": "int"},
        "public_access": {"type": "str", "choices": ["refused", "any"], "default": "any"},
        "newest": {
            "type": "list",
            "elements": "dict",
            "options": {
                "bucket": {"type": "str", "required": True},
                "prefix": {"type": "str", "default": ""},
                "max_age": {"type": "float", "required": True},
                "min_size": {"type": "int", "default": 1},
                "max_listed": {"type": "int", "default": 100000},
            },
        },
        "max_clock_skew": {"type": "float", "default": 300.0},
        "canary": {"type": "bool", "default": False},
        "canary_prefix": {"type": "str", "default": "opsready-canary/"},
        "canary_bytes": {"type": "int", "default": 1024},
    },
)
CONSTRAINTS: Constraints = {}

LARGEST_CANARY = 8 * 1024 * 1024
CLEANING_SECONDS = 3.0
#: Why a canary was not sent.
IN_CHECK_MODE, KEPT_BY_RETENTION = "check mode", "retention"
#: What a server says of a bucket that has no such configuration.
_UNSET = (
    "NoSuchLifecycleConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
)
#: Why a policy that was read does not tell whom it lets in.
_UNDECIDED = (
    "its policy lets in under a condition, or all but some, and only a request tells whether strangers are among them"
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One lifecycle rule that removes objects; days are None where the rule names a date or nothing."""

    name: str
    prefix: str
    is_enabled: bool
    days: int | None
    noncurrent_days: int | None
    #: From this day on it removes whatever it is for, however new: YYYY-MM-DD.
    date: str | None = None
    is_date_past: bool = False
    #: It is only for objects of some tag or size.
    is_filtered: bool = False


@dataclasses.dataclass(frozen=True)
class Newest:
    """The newest object under a prefix; its age is below zero where the store's clock is ahead of this host's."""

    bucket: str
    prefix: str
    key: str | None
    age_seconds: float | None
    size_bytes: int | None
    listed: int
    is_complete: bool


@dataclasses.dataclass(frozen=True)
class Canary:
    """What came of one object that was written, read and deleted, or why none was (``not_sent``)."""

    outcome: str
    seconds: float | None
    left_behind: str | None
    not_sent: str = ""
    #: Whether a stranger could read it; None where nobody tried, or where the answer tells nothing.
    is_public: bool | None = None


@dataclasses.dataclass(frozen=True)
class Bucket:
    """One bucket; what could not be read is named in ``unread`` with the reason."""

    name: str
    #: None where the store stumbled over the question
    is_there: bool | None
    versioning: str | None
    encryption: str | None
    rules: tuple[Rule, ...] | None
    lock_enabled: bool | None
    lock_mode: str | None
    lock_days: int | None
    is_public: bool | None
    canary: Canary | None
    unread: dict[str, str]
    region: str | None = None
    #: Whether its policy lets everybody in, and whether a public access block keeps such a policy from counting; None where it is not known.
    has_public_policy: bool | None = None
    is_blocked: bool | None = None


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen; ages and differences in seconds."""

    endpoint: str
    buckets: tuple[Bucket, ...]
    newest: tuple[Newest, ...]
    clock_skew: float | None


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask for each bucket what the options need, and nothing else."""
    if not params["buckets"]:
        raise BadInput("buckets is an empty list: nothing would be judged.")
    if params["newest"] is not None and not params["newest"]:
        raise BadInput("newest is an empty list: nothing would be judged.")
    if not 1 <= params["canary_bytes"] <= LARGEST_CANARY:
        raise BadInput(f"canary_bytes must be between 1 and {LARGEST_CANARY}.")
    region = params["expected_region"]
    if region is not None and not re.fullmatch("[a-z0-9-]+", region):
        raise BadInput(f"expected_region is {region!r}, which is no region.", remedy="Write it as eu-central-1.")
    with contextlib.closing(_Store(params, run)) as store:
        return _gathered(store)


class _Store:
    """One item's way to the store: its client, one for cleaning up when its limit is spent, and what other items asked."""

    def __init__(self, params: t.Mapping[str, t.Any], run: Run) -> None:
        self.params = params
        self.run = run
        self._connection = (NAME, *(params[option] for option in S3))
        self._client: t.Any = None

    @property
    def _session(self) -> s3.Session:
        return self.run.once("s3 session", s3.Session)

    @property
    def client(self) -> t.Any:
        """Made when it is needed first. Raises as ``s3.s3_client`` does."""
        if self._client is None:
            self._client = s3.s3_client(self.params, deadline=self.run.deadline, session=self._session)
        return self._client

    def once(self, doing: str, call: t.Callable[[], T], *more: t.Hashable) -> T:
        """What a call answers, asked once for all items of these keys. Raises our errors."""

        def ask() -> T:
            with s3.translated(doing, deadline=self.run.deadline):
                return call()

        return self.run.once((*self._connection, doing, *more), ask)

    def cleaner(self) -> t.Any:
        """A client that still works when the check's own limit is spent: the object must not stay for that."""
        if self.run.deadline.remaining() > CLEANING_SECONDS:
            return self.client
        return s3.s3_client(self.params, deadline=Deadline(CLEANING_SECONDS), session=self._session)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _gathered(store: _Store) -> Facts:
    params = store.params
    skews: list[float] = []
    buckets = []
    for name in dict.fromkeys(params["buckets"]):
        try:
            is_there = _is_there(store, name, skews)
        except Unreachable as problem:
            # A store that answers with an error of its own may still say no to the canary, which tells more.
            if not (params["canary"] and _answered(problem)):
                raise
            bucket = _bucket(store, name)
            buckets.append(
                dataclasses.replace(bucket, is_there=None, unread={**bucket.unread, "bucket": problem.message})
            )
            continue
        buckets.append(_bucket(store, name) if is_there else _absent(name))
    found = {bucket.name for bucket in buckets if bucket.is_there}
    newest = tuple(_newest(store, wanted) for wanted in params["newest"] or [] if wanted["bucket"] in found)
    return Facts(
        endpoint=params["endpoint_url"] or f"Amazon S3 in {params['region']}",
        buckets=tuple(buckets),
        newest=newest,
        clock_skew=min(skews, default=None),
    )


def _absent(name: str) -> Bucket:
    return Bucket(name, False, None, None, None, None, None, None, None, None, {})


def _is_there(store: _Store, name: str, skews: list[float]) -> bool:
    """Whether the bucket is there. A wrong key or a missing right is raised: nothing is known then."""
    clock = store.run.clock

    def listed() -> float | None:
        answer = store.client.list_objects_v2(Bucket=name, MaxKeys=1)
        said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        with contextlib.suppress(TypeError, ValueError):
            return abs((email.utils.parsedate_to_datetime(said) - clock.now()).total_seconds())
        return None

    try:
        skew = store.once(f"Listing s3://{name}", listed)
    except s3.Absent:
        return False
    skews += [] if skew is None else [skew]
    return True


def _bucket(store: _Store, name: str) -> Bucket:
    params = store.params
    unread: dict[str, str] = {}

    def ask(topic: str, is_wanted: bool, operation: str) -> t.Any:
        """The answer, {} where nothing is set, None where it is not wanted or could not be read."""
        if not is_wanted:
            return None
        try:
            return store.once(f"Reading {topic} of s3://{name}", lambda: getattr(store.client, operation)(Bucket=name))
        except TimedOut:
            raise
        except GoliveError as problem:
            # What a store does not know of at all keeps no policy from counting.
            has_no_block = isinstance(problem, s3.NotImplementedThere) and operation == "get_public_access_block"
            if has_no_block or any(code in problem.message for code in _UNSET):
                return {}
            unread[topic] = problem.message
            return None

    wants_days = params["min_retention_days"] is not None or params["max_retention_days"] is not None
    wants_lifecycle = params["lifecycle"] == "required" or wants_days
    wants_lock = params["object_lock"] == "required" or params["min_lock_days"] is not None
    wants_refusal = params["public_access"] == "refused"
    wants_versions = params["versioning"] != "any" or params["max_retention_days"] is not None
    versioning = ask("versioning", wants_versions, "get_bucket_versioning")
    encryption = ask("encryption", params["encryption"] == "required", "get_bucket_encryption")
    lifecycle = ask("lifecycle", wants_lifecycle, "get_bucket_lifecycle_configuration")
    lock = ask("object lock", wants_lock or params["canary"], "get_object_lock_configuration")
    location = ask("region", params["expected_region"] is not None, "get_bucket_location")
    policy = ask("policy", wants_refusal, "get_bucket_policy")
    block = ask("public access block", wants_refusal, "get_public_access_block")
    locked = (lock or {}).get("ObjectLockConfiguration", {})
    retention = locked.get("Rule", {}).get("DefaultRetention", {})
    days = retention.get("Days") or (retention["Years"] * 365 if retention.get("Years") else None)
    return Bucket(
        name=name,
        is_there=True,
        versioning=None if versioning is None else str(versioning.get("Status") or "never enabled").lower(),
        encryption=None if encryption is None else _algorithm(encryption),
        rules=None
        if lifecycle is None
        else tuple(_rule(rule, store.run.clock.now()) for rule in lifecycle.get("Rules", [])),
        lock_enabled=None if lock is None else locked.get("ObjectLockEnabled") == "Enabled",
        lock_mode=retention.get("Mode"),
        lock_days=days,
        is_public=_is_public(store, name, unread) if wants_refusal else None,
        canary=_canary(store, name, has_retention=bool(retention)) if params["canary"] else None,
        unread=unread,
        region=None if location is None else s3.region_of(location),
        has_public_policy=None if policy is None else _lets_everybody_in(str(policy.get("Policy") or "{}"), unread),
        is_blocked=None if block is None else _is_blocked(block),
    )


def _is_blocked(block: t.Mapping[str, t.Any]) -> bool:
    return block.get("PublicAccessBlockConfiguration", {}).get("RestrictPublicBuckets") is True


def _lets_everybody_in(policy: str, unread: dict[str, str]) -> bool | None:
    """Whether a statement allows anybody anything; None where a condition decides, or where the policy cannot be understood."""
    try:
        statements = json.loads(policy).get("Statement", [])
        listed = statements if isinstance(statements, list) else [statements]
        allowing = [each for each in listed if each["Effect"] == "Allow"]
        open_to_all = [each for each in allowing if _is_everybody(each.get("Principal"))]
        if any(not each.get("Condition") for each in open_to_all):
            return True
        if open_to_all or any(each.get("NotPrincipal") for each in allowing):
            unread["policy"] = _UNDECIDED
            return None
        return False
    except (ValueError, AttributeError, KeyError, TypeError):
        unread["policy"] = "It is no policy that can be understood."
        return None


def _is_everybody(principal: t.Any) -> bool:
    named = principal.get("AWS") if isinstance(principal, dict) else principal
    return "*" in (named if isinstance(named, list) else [named])


def _algorithm(answer: t.Mapping[str, t.Any]) -> str:
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    named = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    return next((str(algorithm) for algorithm in named if algorithm), "none")


def _rule(rule: t.Mapping[str, t.Any], now: datetime.datetime) -> Rule:
    condition = rule.get("Filter") or {}
    every = {**condition, **(condition.get("And") or {})}
    expiration = rule.get("Expiration") or {}
    date = expiration.get("Date")
    return Rule(
        name=str(rule.get("ID") or ""),
        prefix=str(rule.get("Prefix") or every.get("Prefix") or ""),
        is_enabled=rule.get("Status") == "Enabled",
        days=expiration.get("Days"),
        noncurrent_days=(rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays"),
        date=None if date is None else _aware(date).date().isoformat(),
        is_date_past=date is not None and _aware(date) <= now,
        is_filtered=any(key not in ("And", "Prefix") for key in every),
    )


def _is_public(store: _Store, name: str, unread: dict[str, str]) -> bool | None:
    """Whether a stranger, who signs nothing, may list the bucket."""
    try:
        answer = store.once(
            f"Listing s3://{name} as a stranger", lambda: _stranger(store, f"{quote(name)}?list-type=2&max-keys=1")
        )
    except GoliveError as problem:
        unread["public access"] = problem.message
        return None
    # The signed request was answered, so the bucket is there: a stranger is told no, in one of three ways.
    if answer in (400, 401, 403):
        return False
    if 200 <= answer < 300:
        return True
    unread["public access"] = f"An unsigned request was answered {answer}."
    return None


def _stranger(store: _Store, target: str) -> int:
    """The status of the answer to a request without a signature. Raises our errors."""
    params = store.params
    endpoint = params["endpoint_url"] or f"https://s3.{params['region']}.amazonaws.com"
    url = f"{endpoint.rstrip('/')}/{target}"
    return http.request("GET", url, deadline=store.run.deadline, ca_file=params["ca_file"]).status


def _newest(store: _Store, wanted: t.Mapping[str, t.Any]) -> Newest:
    """The newest object under a prefix, of at most ``max_listed``."""
    bucket, prefix = wanted["bucket"], wanted["prefix"]
    doing = f"Listing s3://{bucket}/{prefix}"
    latest, listed, is_complete = store.once(doing, lambda: _listed(store, wanted), "newest", wanted["max_listed"])
    age = None if latest is None else (store.run.clock.now() - _aware(latest["LastModified"])).total_seconds()
    return Newest(
        bucket=bucket,
        prefix=prefix,
        key=None if latest is None else str(latest["Key"]),
        age_seconds=age,
        size_bytes=None if latest is None else int(latest["Size"]),
        listed=listed,
        is_complete=is_complete,
    )


def _listed(store: _Store, wanted: t.Mapping[str, t.Any]) -> tuple[t.Mapping[str, t.Any] | None, int, bool]:
    """The newest entry, how many were listed, and whether those are all."""
    bucket, prefix = wanted["bucket"], wanted["prefix"]
    latest: t.Mapping[str, t.Any] | None = None
    listed, token = 0, None
    while True:
        store.run.deadline.require(f"Listing s3://{bucket}/{prefix}")
        more: dict[str, t.Any] = {"ContinuationToken": token} if token else {}
        page = store.client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1000, **more)
        for entry in page.get("Contents", []):
            listed += 1
            if latest is None or entry["LastModified"] > latest["LastModified"]:
                latest = entry
        token = page.get("NextContinuationToken") if page.get("IsTruncated") else None
        if token is None or listed >= wanted["max_listed"]:
            return latest, listed, token is None


def _aware(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def _canary(store: _Store, bucket: str, *, has_retention: bool) -> Canary:
    """Write, read and delete one object; it is deleted whatever happens, and by its version."""
    run = store.run
    if run.check_mode:
        return Canary("not run in check mode, since it writes an object", None, None, IN_CHECK_MODE)
    if has_retention:
        return Canary("not run, since the bucket's default retention would keep it", None, None, KEPT_BY_RETENTION)
    key = f"{store.params['canary_prefix']}{secrets.token_hex(12)}"
    content = secrets.token_bytes(store.params["canary_bytes"])
    began = run.clock.monotonic()
    with run.trace():
        try:
            with s3.translated(f"Writing s3://{bucket}/{key}", deadline=run.deadline):
                version = store.client.put_object(Bucket=bucket, Key=key, Body=content).get("VersionId")
        except (GoliveError, Ended) as problem:
            # The answer may be lost while the object is there.
            left = _removed(store.cleaner(), bucket, key)
            left = None if isinstance(problem, Denied) else left
            if isinstance(problem, (Ended, TimedOut)) or not _answered(problem):
                remedy = f"{problem.remedy} Delete {left}.".strip() if left else problem.remedy
                raise type(problem)(problem.message, remedy=remedy)
            return Canary(f"refused: {problem.message}", None, left)
        outcome, is_public = "came back", None
        try:
            with s3.translated(f"Reading s3://{bucket}/{key}", deadline=run.deadline):
                body = store.client.get_object(Bucket=bucket, Key=key)["Body"].read(LARGEST_CANARY + 1)
            if hashlib.sha256(body).digest() != hashlib.sha256(content).digest():
                outcome = f"changed: {len(content)} bytes were written and {len(body)} others came back"
            is_public = _is_readable(store, bucket, key) if store.params["public_access"] == "refused" else None
        except GoliveError as problem:
            outcome = f"not readable: {problem.message}"
        finally:
            left = _deleted(store.cleaner(), bucket, key, version)
    return Canary(outcome, run.clock.monotonic() - began, left, is_public=is_public)


def _is_readable(store: _Store, bucket: str, key: str) -> bool | None:
    """Whether a stranger, who signs nothing, may read an object that is there; None where the answer tells nothing."""
    try:
        status = _stranger(store, f"{quote(bucket)}/{quote(key)}")
    except GoliveError:
        return None
    return True if 200 <= status < 300 else False if status in (400, 401, 403, 404) else None


def _answered(problem: GoliveError) -> bool:
    """Whether the server said no, in contrast to saying nothing."""
    return not isinstance(problem, Unreachable) or "S3 answered" in problem.message


def _deleted(client: t.Any, bucket: str, key: str, version: str | None) -> str | None:
    """Delete the canary and prove it; what is left behind, or None."""
    target = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    name = f"s3://{bucket}/{key}" + (f" version {version}" if version else "")
    grace = Deadline(CLEANING_SECONDS)
    try:
        with s3.translated(f"Deleting {name}", deadline=grace):
            client.delete_object(**target)
        with s3.translated(f"Looking for {name}", deadline=grace):
            client.head_object(Bucket=bucket, Key=key)
    except s3.Absent:
        return None
    except GoliveError as problem:
        return f"{name} ({problem.message})"
    return name


def _removed(client: t.Any, bucket: str, key: str) -> str | None:
    """The same without knowing a version: on a versioned bucket deleting by the key alone hides the object under a marker."""
    left = _deleted(client, bucket, key, None)
    name = f"s3://{bucket}/{key}"
    try:
        for version in _versions(client, bucket, key):
            with s3.translated(f"Deleting {name} version {version}", deadline=Deadline(CLEANING_SECONDS)):
                client.delete_object(Bucket=bucket, Key=key, VersionId=version)
        kept = _versions(client, bucket, key)
    except GoliveError as problem:
        return left or f"{name}, if the bucket keeps versions ({problem.message})"
    return f"{name} version {', '.join(kept)}" if kept else None


def _versions(client: t.Any, bucket: str, key: str) -> list[str]:
    """The versions and delete markers of exactly this key: it is random, so one page holds them all."""
    with s3.translated(f"Listing the versions of s3://{bucket}/{key}", deadline=Deadline(CLEANING_SECONDS)):
        page = client.list_object_versions(Bucket=bucket, Prefix=key)
    entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [str(entry["VersionId"]) for entry in entries if entry["Key"] == key]


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Judge what was seen; pure."""
    for bucket in facts.buckets:
        if bucket.is_there is None:
            yield unknown(f"bucket {bucket.name}", bucket.unread["bucket"].rstrip("."))
        else:
            yield holds(
                f"bucket {bucket.name}",
                bucket.is_there,
                measured="there" if bucket.is_there else "missing",
                expected="there",
                remedy=f"Create the bucket {bucket.name}, or correct its name.",
            )
        if bucket.is_there is not False:
            yield from _judge_bucket(bucket, params)
    if facts.clock_skew is not None:
        yield at_most(
            "clock difference to the object store",
            facts.clock_skew,
            params["max_clock_skew"],
            unit="s",
            remedy="Set the clocks by NTP: S3 refuses requests that are 15 minutes off.",
        )
    places = params["newest"] or []
    labels = told_apart(f"s3://{wanted['bucket']}/{wanted['prefix']}" for wanted in places)
    for label, wanted in zip(labels, places):
        found = [n for n in facts.newest if (n.bucket, n.prefix) == (wanted["bucket"], wanted["prefix"])]
        yield from _judge_newest(label, wanted, found[0] if found else None)


def _unread(bucket: Bucket, topic: str) -> Criterion:
    why = bucket.unread.get(topic, "it was not read")
    return unknown(f"{topic} of {bucket.name}", f"{topic} of {bucket.name} is unknown: {why.rstrip('.')}")


def _judge_bucket(bucket: Bucket, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    name = bucket.name
    if params["versioning"] != "any":
        allowed = ["enabled"] if params["versioning"] == "enabled" else ["never enabled", "suspended"]
        if bucket.versioning is None:
            yield _unread(bucket, "versioning")
        else:
            yield one_of(f"versioning of {name}", bucket.versioning, allowed, remedy="PutBucketVersioning.")
    if params["encryption"] == "required":
        if bucket.encryption is None:
            yield _unread(bucket, "encryption")
        else:
            yield holds(
                f"encryption of {name}",
                bucket.encryption != "none",
                measured=bucket.encryption,
                expected="a default encryption",
                remedy="PutBucketEncryption with AES256 or aws:kms.",
            )
    yield from _judge_lifecycle(bucket, params)
    yield from _judge_lock(bucket, params)
    if params["expected_region"] is not None:
        if bucket.region is None:
            yield _unread(bucket, "region")
        else:
            remedy = "A bucket cannot be moved: make one there, and copy the objects."
            yield one_of(f"region of {name}", bucket.region, [params["expected_region"]], remedy=remedy)
    if params["public_access"] == "refused":
        yield _judge_public_access(bucket)
    if bucket.canary is not None:
        yield from _judge_canary(name, bucket.canary)


def _judge_public_access(bucket: Bucket) -> Criterion:
    """A bucket that cannot be listed may give away each object whose name somebody knows."""
    name = f"public access to {bucket.name}"
    read = bucket.canary.is_public if bucket.canary is not None else None
    counts = _policy_counts(bucket)
    ways = {
        "anybody may list it": bucket.is_public,
        "anybody may read its objects": read,
        "its policy lets everybody in": counts,
    }
    open_ways = [way for way, is_open in ways.items() if is_open]
    if not open_ways and bucket.is_public is None:
        return _unread(bucket, "public access")
    if not open_ways and counts is None and (read is None or bucket.has_public_policy):
        return _undecided(name, bucket)
    return holds(
        name,
        not open_ways,
        measured=", ".join(open_ways) or "refused",
        expected="refused",
        remedy="Remove the bucket policy or ACL that lets everybody in, and set a public access block.",
    )


def _policy_counts(bucket: Bucket) -> bool | None:
    """Whether the policy lets everybody in and no public access block keeps it from it; None where one of them is not known."""
    if bucket.has_public_policy is False or bucket.is_blocked:
        return False
    return None if bucket.has_public_policy is None or bucket.is_blocked is None else True


def _undecided(name: str, bucket: Bucket) -> Criterion:
    """What keeps it from being known whether strangers may read; a canary tells, save of what a public policy opens elsewhere."""
    if bucket.has_public_policy:
        why = bucket.unread.get("public access block", "it was not read").rstrip(".")
        return unknown(
            name,
            f"the policy of {bucket.name} lets everybody in, unless a public access block keeps it from counting, which is unknown: {why}",
            remedy="Give the key the right s3:GetBucketPublicAccessBlock, or remove the statement that lets everybody in.",
        )
    why = bucket.unread.get("policy", "it was not read")
    remedy = (
        "Name in the policy whom it lets in."
        if why == _UNDECIDED
        else "Give the key the right s3:GetBucketPolicy, by which the policy itself is judged."
    )
    return unknown(
        name,
        f"whether anybody may read objects of {bucket.name} is unknown: {why.rstrip('.')}",
        remedy=f"Say canary: true, which tries it. {remedy}" if bucket.canary is None else remedy,
        left_out=bucket.canary is not None and bucket.canary.not_sent == IN_CHECK_MODE,
    )


def _judge_lifecycle(bucket: Bucket, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    shortest, longest = params["min_retention_days"], params["max_retention_days"]
    if params["lifecycle"] != "required" and shortest is None and longest is None:
        return
    if bucket.rules is None:
        yield _unread(bucket, "lifecycle")
        return
    active = [rule for rule in bucket.rules if rule.is_enabled]
    name = bucket.name
    if params["lifecycle"] == "required":
        yield at_least(f"active lifecycle rules of {name}", len(active), 1, remedy="PutBucketLifecycleConfiguration.")
    if shortest is not None:
        yield _judge_shortest(name, active, shortest)
    if longest is not None:
        yield _judge_longest(bucket, active, longest)


def _judge_shortest(name: str, active: t.Sequence[Rule], shortest: int) -> Criterion:
    """Whatever a rule removes counts, be it for a part of the bucket alone."""
    label, expected = f"shortest retention of {name}", f"at least {shortest} days"
    dated = [rule for rule in active if rule.date is not None]
    if dated:
        return holds(
            label,
            False,
            measured=", ".join(f"until {rule.date}" for rule in dated),
            expected=expected,
            sentence=f"{label} is none: {_told(dated)} of whatever age, expected {expected}",
            remedy="Write Days in the rule in place of Date.",
        )
    days = [value for rule in active for value in (rule.days, rule.noncurrent_days) if value is not None]
    if not days:
        return holds(label, True, measured="without limit", expected=expected)
    return at_least(label, min(days), shortest, unit="days", remedy="Raise the rule's days.")


def _judge_longest(bucket: Bucket, active: t.Sequence[Rule], longest: int) -> Criterion:
    """Only a rule for the whole bucket keeps anything from staying for ever, and with versions one for the old ones too."""
    label = f"longest retention of {bucket.name}"
    whole = [rule for rule in active if not rule.prefix and not rule.is_filtered]
    current = [days for rule in whole if (days := 0 if rule.is_date_past else rule.days) is not None]
    old = [rule.noncurrent_days for rule in whole if rule.noncurrent_days is not None]
    if current and (bucket.versioning == "never enabled" or max(current) > longest):
        return at_most(label, max(current), longest, unit="days", remedy="Lower the rule's days.")
    if current and bucket.versioning is None:
        return _unread(bucket, "versioning")
    if current and old:
        # A version's days begin when the object expires.
        return at_most(
            label,
            max(current) + max(old),
            longest,
            unit="days",
            remedy="Lower the days of the rule, or those of its old versions: they add up.",
        )
    removing = [rule for rule in active if (rule.days, rule.noncurrent_days, rule.date) != (None, None, None)]
    lacking = "old versions, which stay when an object expires" if current else "all of it"
    why = f", as no rule expires {lacking} ({_told(removing)})" if removing else ""
    return holds(
        label,
        False,
        measured="without limit",
        expected=f"at most {longest} days",
        sentence=f"{label} is without limit{why}, expected at most {longest} days",
        remedy=(
            "Add NoncurrentVersionExpiration to the rule."
            if current
            else "Add a lifecycle rule that expires objects after some days, without a prefix, tag or size."
        ),
    )


def _told(rules: t.Sequence[Rule]) -> str:
    """What each rule removes, in words."""
    return ", ".join(f"rule {rule.name or 'without a name'} removes {_removed_by(rule)}" for rule in rules)


def _removed_by(rule: Rule) -> str:
    what = "objects" if rule.days is not None or rule.date is not None else "old versions"
    where = f" under {rule.prefix}" if rule.prefix else ""
    some = " of some tag or size" if rule.is_filtered else ""
    when = "" if rule.date is None else f" {'since' if rule.is_date_past else 'on'} {rule.date}"
    return f"{what}{where}{some}{when}"


def _judge_lock(bucket: Bucket, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params["object_lock"] != "required" and params["min_lock_days"] is None:
        return
    if bucket.lock_enabled is None:
        yield _unread(bucket, "object lock")
        return
    remedy = "Object lock is set when a bucket is created, or by PutObjectLockConfiguration on a versioned one."
    yield holds(
        f"object lock of {bucket.name}",
        bucket.lock_enabled,
        measured="enabled" if bucket.lock_enabled else "not enabled",
        expected="enabled",
        remedy=remedy,
    )
    if params["min_lock_days"] is not None:
        yield at_least(
            f"default retention of {bucket.name}",
            bucket.lock_days or 0,
            params["min_lock_days"],
            unit="days",
            remedy=remedy,
        )


def _judge_canary(name: str, canary: Canary) -> t.Iterator[Criterion]:
    if canary.not_sent:
        left_out = canary.not_sent == IN_CHECK_MODE
        yield unknown(f"canary in {name}", f"canary in {name} was {canary.outcome}", left_out=left_out)
        return
    yield holds(
        f"canary in {name}",
        canary.outcome == "came back",
        measured=canary.outcome.rstrip("."),
        expected="came back",
        remedy="The bucket does not take, give back or delete objects: check policy, quota and the store's disks.",
    )
    if canary.left_behind is not None:
        yield holds(
            f"clean-up in {name}",
            False,
            measured=f"left behind {canary.left_behind}",
            expected="nothing left behind",
            remedy=f"Delete {canary.left_behind.split(' (')[0]}.",
        )


def _judge_newest(where: str, wanted: t.Mapping[str, t.Any], newest: Newest | None) -> t.Iterator[Criterion]:
    if newest is None:
        yield unknown(f"newest object of {where}", f"newest object of {where} is unknown: its bucket was not read")
        return
    if not newest.is_complete:
        yield unknown(
            f"newest object of {where}",
            f"newest object of {where} is unknown: more than {newest.listed} objects",
            remedy="Name a narrower prefix, or raise max_listed.",
        )
        return
    if newest.key is None:
        yield at_least(f"objects in {where}", 0, 1, remedy="Nothing was written there: look at what should write it.")
        return
    yield _judge_age(f"age of the newest object in {where}", newest, wanted["max_age"])
    yield at_least(f"size of the newest object in {where}", newest.size_bytes, wanted["min_size"], unit="bytes")


def _judge_age(label: str, newest: Newest, max_age: float) -> Criterion:
    age = newest.age_seconds
    if age is not None and age < -CLOCKS_DIFFER:
        return unknown(
            label,
            f"{label} is unknown: the store's clock says that {newest.key} was written {-age:.0f} s after what this host's clock shows",
            remedy="Set both clocks by NTP, and write the object again.",
        )
    measured = None if age is None else round(max(0.0, age), 1)
    return at_most(label, measured, max_age, unit="s", remedy="What writes there has stopped.")


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON."""
    return {
        "endpoint": facts.endpoint,
        "clock_skew": facts.clock_skew,
        "buckets": [dataclasses.asdict(bucket) for bucket in facts.buckets],
        "newest": [dataclasses.asdict(newest) for newest in facts.newest],
    }
