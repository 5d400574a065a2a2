# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest backup's archive alone: its age, its bytes, how it is encrypted, and what locks it."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import age
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    Destination,
    Digest,
    Held,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import Bucket
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Backup,
    Facts,
    Newest,
    Stored,
    first_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, TimedOut
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds, span_text


def gathered(place: Destination, newest: Backup, params: t.Mapping[str, t.Any], run: Run) -> Newest:
    wants_lock = params["object_lock"] == "required" or params["min_lock_days"] is not None
    wants_encryption = params["encryption"] == "required"
    found: dict[str, t.Any] = {}
    if _wants_age(params):
        parts = [(one.name, one.version_id) for one in newest.files]
        parts += [(newest.roles, None)] if newest.roles is not None else []
        found["not_age"] = tuple(place.url(name) for name, version in parts if not _is_age(place, name, version))
    if wants_lock or wants_encryption:
        held = [place.held(one.name, one.version_id) for one in newest.files]
        if wants_encryption:
            found["encryption"], found["not_encrypted"] = _encryption(place, newest, held)
        if wants_lock:
            found.update(_lock(place, [*held, place.held(newest.name)]))
    if params["archive"] == "sha256":
        found["reread"] = _reread(place, newest, run)
    return Newest(**found)


def _wants_age(params: t.Mapping[str, t.Any]) -> bool:
    return params["encryption"] == "age" or params["recipients"] is not None


def _is_age(place: Destination, name: str, version_id: str | None) -> bool:
    with age.closing(place.chunks(name, version_id)) as chunks:
        return next(iter(chunks), b"").startswith(age.MAGIC)


def _encryption(place: Destination, newest: Backup, held: t.Sequence[Held]) -> tuple[str | None, str]:
    """How the archive is encrypted; ``none`` with why that is known, or None with why nothing is. Of files, the least."""
    each = [_encryption_of(place, one, seen) for one, seen in zip(newest.files, held)]
    return next((one for one in each if one[0] in (None, "none")), each[0])


def _encryption_of(place: Destination, file: Stored, held: Held) -> tuple[str | None, str]:
    if _is_age(place, file.name, file.version_id):
        return age.FORMAT, ""
    if held.encryption is not None:
        return held.encryption, ""
    if not isinstance(place, Bucket):
        return None, "a directory does not tell how its disk is encrypted"
    try:
        with place.translated(f"Asking for the encryption of {place.bucket}"):
            answer = place.client.get_bucket_encryption(Bucket=place.bucket)
    except TimedOut:
        raise
    except GoliveError as problem:
        if "ServerSideEncryptionConfigurationNotFoundError" in problem.message:
            return "none", "the bucket encrypts nothing by default"
        return None, problem.message.rstrip(".")
    if answer.get("ServerSideEncryptionConfiguration", {}).get("Rules"):
        return "none", "it was written before the bucket's default encryption"
    return None, "the store does not tell"


def _lock(place: Destination, held: t.Sequence[Held]) -> dict[str, t.Any]:
    """The lesser lock of archive and manifest; ``none`` with why that is known, or None with why nothing is."""
    times = [one.locked_until for one in held if one.lock_mode is not None and one.locked_until is not None]
    if len(times) == len(held):
        return {"lock": ", ".join(sorted({str(one.lock_mode) for one in held})), "locked_until": min(times)}
    if not isinstance(place, Bucket):
        return {"lock": "none", "not_locked": "a directory locks nothing"}
    if times:
        return {"lock": "none", "not_locked": "one of archive and manifest has no lock"}
    try:
        with place.translated(f"Asking for the object lock of {place.bucket}"):
            answer = place.client.get_object_lock_configuration(Bucket=place.bucket)
    except TimedOut:
        raise
    except GoliveError as problem:
        if "ObjectLockConfigurationNotFoundError" in problem.message:
            return {"lock": "none", "not_locked": "the bucket has no object lock"}
        return {"not_locked": problem.message.rstrip(".")}
    if not answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled"):
        return {"not_locked": "the store does not tell"}
    # Without s3:GetObjectRetention a store leaves an object's lock out of its answer.
    return {"not_locked": "the bucket locks objects, and the answer has no lock: none, or this login may not see it"}


def _reread(place: Destination, newest: Backup, run: Run) -> str:
    for one in newest.files:
        digest = Digest()
        for chunk in place.chunks(one.name, one.version_id):
            run.deadline.require(f"Reading {place.url(one.name)}")
            digest.update(chunk)
        stored = digest.stored()
        if (stored.size, stored.sha256) != (one.size_bytes, one.sha256):
            what = "" if one.name == newest.archive else f"has a file {one.name.rpartition('/')[2]} that "
            return f"{what}has SHA-256 {stored.sha256[:12]}…, and its manifest says {one.sha256[:12]}…"
    return ""


def judged(newest: Backup, facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    age = max(0.0, (facts.now - newest.created).total_seconds())
    yield holds(
        "age of the newest backup",
        age <= span_seconds(params["max_age"], option="max_age"),
        measured=span_text(age),
        expected=f"at most {params['max_age']}",
        sentence=f"the newest backup that is proven by {params['verify']} is {span_text(age)} old, expected at most {params['max_age']}",
        remedy="Back up now, and look at what should have run since: its schedule, its log, its rights.",
    )
    seen = facts.newest
    if seen.reread is not None:
        yield holds(
            "content of the newest backup",
            not seen.reread,
            measured=seen.reread or "the SHA-256 of its manifest",
            expected="the SHA-256 of its manifest",
            sentence=f"{newest.url} {seen.reread}",
            remedy="It is damaged. Take a backup now, and look at the disks or the store.",
        )
    if params["encryption"] == "required":
        yield _told(
            "encryption of the newest backup",
            seen.encryption,
            seen.not_encrypted,
            expected="encrypted",
            remedy="Set the bucket's default encryption, or ask for it with upload.server_side_encryption, and back up again.",
        )
    if _wants_age(params):
        yield _judge_age(seen.not_age)
    if params["recipients"] is not None:
        yield _judge_recipients(newest.recipients or (), params["recipients"])
    if params["object_lock"] == "required" or params["min_lock_days"] is not None:
        yield from _judge_lock(newest, facts, params)


def _judge_age(not_age: t.Sequence[str] | None) -> Criterion:
    return holds(
        "age encryption of the newest backup",
        None if not_age is None else not not_age,
        measured=f"{len(not_age)} in clear" if not_age else age.FORMAT,
        expected="archive and roles encrypted to age recipients",
        sentence=f"the newest backup is not encrypted to age recipients: {first_of(not_age or ())}",
        remedy="Back up with encryption of pg_backup. What the store encrypts by itself, the store and the host can read.",
    )


def _judge_recipients(named: t.Sequence[str], wanted: t.Sequence[str]) -> Criterion:
    expected = [one.strip() for one in wanted]
    lacking = [one for one in expected if one not in named]
    foreign = [one for one in named if one not in expected]
    parts = [f"{', '.join(lacking)} cannot read it"] * bool(lacking) + [f"{', '.join(foreign)} can"] * bool(foreign)
    return holds(
        "recipients of the newest backup",
        not parts,
        measured=", ".join(named) or "none",
        expected=", ".join(expected),
        sentence=f"the newest backup is encrypted to other recipients: {' and '.join(parts)}",
        remedy="Correct encryption.recipients where the backups are made, and back up again.",
    )


def _told(name: str, seen: str | None, why: str, *, expected: str, remedy: str) -> Criterion:
    """``none`` fails, what the place does not tell is unknown."""
    if seen is None:
        return unknown(name, f"{name} is unknown: {why}", remedy=remedy)
    sentence = f"{name} is {seen}" + (f", since {why}" if why else "")
    return holds(name, seen != "none", measured=seen, expected=expected, sentence=sentence, remedy=remedy)


def _judge_lock(newest: Backup, facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    seen, name = facts.newest, "object lock of the newest backup"
    remedy = "Give the bucket an object lock with a default retention, or ask for one with upload.object_lock, and back up again."
    if seen.locked_until is None:
        yield _told(name, seen.lock, seen.not_locked, expected="locked", remedy=remedy)
        return
    until = utc_text(seen.locked_until)
    yield holds(
        name, seen.locked_until > facts.now, measured=f"{seen.lock} until {until}", expected="locked", remedy=remedy
    )
    if params["min_lock_days"] is not None:
        days = (seen.locked_until - newest.created).total_seconds() / 86400
        yield holds(
            "time of the object lock",
            days >= params["min_lock_days"],
            measured=f"{days:.1f} days",
            expected=f"at least {params['min_lock_days']:g} days",
            remedy="Raise the bucket's default retention.",
        )
