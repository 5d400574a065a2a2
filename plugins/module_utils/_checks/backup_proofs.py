# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a backup was last restored as a proof, how long that took, and whether it was equal: by its manifest, or by a record since.

Each backup is what its own last proof says. One that failed is no backup to restore from, whatever another one proved since.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import restore_record
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Backup,
    Facts,
    Proof,
    Records,
    first_of,
    last_records,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds, span_text


def are_wanted(params: t.Mapping[str, t.Any]) -> bool:
    """Whether anything is judged by them."""
    return params["verify"] == "restore" or any(
        params[bound] is not None for bound in ("max_proof_age", "max_restore_time")
    )


def gathered(place: Destination, database: str, names: t.Sequence[str]) -> Records:
    """The records beside the backups of a database, among these names."""
    proofs: list[Proof] = []
    damaged: list[str] = []
    for one in restore_record.listed(place, database, names=names):
        if one.record is None:
            damaged.append(one.problem)
            continue
        made = one.record
        proofs.append(
            Proof(
                manifest=restore_record.manifest_beside(one.name, made),
                sha256=made.sha256,
                created=parse_utc(made.created),
                at=parse_utc(made.at),
                is_good=made.is_good,
                restore_seconds=made.restore_seconds,
                problem=made.problem,
                record=one.url,
                where=made.where,
                verified=dict(made.verified),
                revision=made.revision,
            )
        )
    return Records(tuple(proofs), tuple(damaged))


def counted(facts: Facts) -> list[Proof]:
    """Proofs of backups that are there as they were written, oldest first; none of the future."""
    latest = facts.now + datetime.timedelta(seconds=CLOCKS_DIFFER)
    there = {one.name: one for one in facts.backups if one.is_proven and not one.problem}
    since = [one for one in facts.records.proofs if one.manifest in there and there[one.manifest].sha256 == one.sha256]
    own = [_of_manifest(one) for one in there.values() if one.level == "restore"]
    return sorted((one for one in (*own, *since) if one.at <= latest), key=lambda one: (one.at, one.record or ""))


def _last_of_each(facts: Facts) -> list[Proof]:
    """The last proof of each backup that is there as it was written, oldest first."""
    since = last_records(facts)
    last = {one.manifest: one for one in counted(facts)}
    return sorted((since.get(name, one) for name, one in last.items()), key=lambda one: (one.at, one.record or ""))


def _of_manifest(one: Backup) -> Proof:
    """The proof that a backup was made with; manifests of before do not tell when it was."""
    at = one.created if one.proven_at is None else _moment(one.proven_at) or one.created
    return Proof(one.name, one.sha256, one.created, at, True, one.restore_seconds)


def _moment(text: str) -> datetime.datetime | None:
    try:
        return parse_utc(text).astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        return None


def judged(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """The newest proof must be young enough, and have been fast enough."""
    good = [one for one in _last_of_each(facts) if one.is_good]
    if params["max_proof_age"] is not None:
        yield _judge_age(good, facts, params["max_proof_age"])
    if params["max_restore_time"] is not None:
        yield _judge_time(good, params["max_restore_time"])


def judged_records(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Records must be readable, and the newest backup whose restore failed must have a newer one that was restored."""
    if not are_wanted(params):
        return
    yield from _judge_records(facts)
    last = _last_of_each(facts)
    failed = max((one for one in last if not one.is_good), key=lambda one: one.created, default=None)
    if failed is not None and not any(one.is_good and one.created > failed.created for one in last):
        yield holds(
            "newest restore",
            False,
            measured="failed",
            expected="equal to what was backed up",
            sentence=f"the newest restore as a proof, of the backup of {utc_text(failed.created)} at {utc_text(failed.at)}, "
            f"failed: {failed.problem}",
            remedy="Prove the backup again with pg_restore, state: verified. Where it fails again, back up now and restore that one.",
        )


def _judge_records(facts: Facts) -> t.Iterator[Criterion]:
    damaged = facts.records.damaged
    if damaged:
        yield unknown(
            "records of restores",
            f"records of restores that are damaged, so that the newest is not known: {first_of(damaged)}",
            remedy="Find out what writes there, remove them by hand, and prove a backup again with pg_restore, state: verified.",
        )
    ahead = [
        f"{one.record} is dated {span_text((one.at - facts.now).total_seconds())} from now"
        for one in facts.records.proofs
        if (one.at - facts.now).total_seconds() > CLOCKS_DIFFER
    ]
    if ahead:
        yield unknown(
            "dates of restores",
            f"records of restores that are of the future: {first_of(ahead)}",
            remedy="Set the clocks of this host and of the one that proves the backups by NTP.",
        )


def _judge_age(good: t.Sequence[Proof], facts: Facts, bound: str) -> Criterion:
    name = "age of the newest restore"
    remedy = "Prove the newest backup with pg_restore, state: verified, and see that it is done regularly."
    if not good:
        return holds(
            name,
            False,
            measured="none",
            expected=f"at most {bound}",
            sentence="no backup that is there was ever restored as a proof",
            remedy=remedy,
        )
    age = max(0.0, (facts.now - good[-1].at).total_seconds())
    return holds(
        name,
        age <= span_seconds(bound, option="max_proof_age"),
        measured=span_text(age),
        expected=f"at most {bound}",
        sentence=f"the newest restore that proved a backup was {span_text(age)} ago, expected at most {bound}",
        remedy=remedy,
    )


def _judge_time(good: t.Sequence[Proof], bound: str) -> Criterion:
    name = "measured restore time"
    measured = [one for one in good if one.restore_seconds is not None]
    if not measured:
        return unknown(
            name,
            "how long a restore takes is unknown: no backup was proven by restoring it",
            remedy="Back up with verify: restore, or prove a backup with pg_restore, state: verified.",
        )
    seconds = t.cast(float, measured[-1].restore_seconds)
    return holds(
        name,
        seconds <= span_seconds(bound, option="max_restore_time"),
        measured=span_text(seconds),
        expected=f"at most {bound}",
        sentence=f"restoring the backup of {utc_text(measured[-1].created)} took {span_text(seconds)}, expected at most {bound}",
        remedy="Restore faster (a faster server, a template copy), or agree on a longer time.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was told of restores, newest first, as JSON. A record of a backup that is not there counts for nothing."""
    own = (_of_manifest(one) for one in facts.backups if one.is_proven and one.level == "restore")
    proofs = [*facts.records.proofs, *own]
    known = counted(facts)
    return {
        "proofs": [
            {
                **dataclasses.asdict(one),
                "created": utc_text(one.created),
                "at": utc_text(one.at),
                "counts": one in known,
            }
            for one in sorted(proofs, key=lambda one: one.at, reverse=True)
        ],
        "damaged_records": list(facts.records.damaged),
    }
