# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_backup judges plain facts; one line per case."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Database, Mark
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Directory
from ansible_collections.opsready.golive.plugins.module_utils._checks import check_backup as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import Newest, Proof, Schedule
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_backup import (
    Backup,
    Copy,
    Facts,
    Kept,
    Records,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


def backup(age: dt.timedelta, **changes: t.Any) -> Backup:
    created = NOW - age
    name = f"archive/{created:%Y%m%dT%H%M%S%f}.dump"
    made = Backup(
        name=f"{name}.manifest.json",
        archive=name,
        url=f"s3://b/{name}",
        created=created,
        size_bytes=1_000_000,
        sha256="0" * 64,
        level="restore",
        is_proven=True,
        proven_at=None,
        restore_seconds=60.0,
        tables=1,
        rows=1,
    )
    return dataclasses.replace(made, **changes)


def nightly(count: int, **newest: t.Any) -> tuple[Backup, ...]:
    """One each night, oldest first; the newest is nine hours old."""
    older = [backup(9 * HOUR + number * DAY) for number in range(count - 1, 0, -1)]
    return (*older, backup(9 * HOUR, **newest))


def params(**options: t.Any) -> dict[str, t.Any]:
    wanted = {"destination": "s3://backups/nightly", "database": "archive", "max_age": "26h", **options}
    return validated(check.ARGUMENT_SPEC, wanted, where="test", **check.CONSTRAINTS)


def judged(options: t.Mapping[str, t.Any], **facts: t.Any) -> Judgement:
    seen = Facts(NOW, **{"backups": nightly(8), **facts})
    json.dumps(check.evidence(seen))
    return Judgement.of(check.judge(seen, params(**options)))


def proof(age: dt.timedelta, **changes: t.Any) -> Proof:
    """Of the newest of ``nightly``, so long ago."""
    made = backup(9 * HOUR)
    seen = Proof(made.name, made.sha256, made.created, NOW - age, True, 90.0, record="s3://b/r")
    return dataclasses.replace(seen, **changes)


#: What a proof of another backup is of.
DAY_BEFORE = {"manifest": backup(33 * HOUR).name, "created": NOW - 33 * HOUR}
SECOND = dt.timedelta(seconds=1)
SCHEDULE = {"schedule": {"cron": "backup.yml"}}
DAILY = tuple(NOW + HOUR + number * DAY for number in range(4))
COPIES = {"copies": [{"destination": "s3://elsewhere/nightly"}]}
THERE = Copy(True, "x", NOW - 9 * HOUR)
DSN = {"dsn": "postgresql://h/archive"}
OLD = Kept("archive_failed_r1", "failed", 5_000_000, NOW - 8 * DAY)
LOCKED = Newest(lock="COMPLIANCE", locked_until=NOW + 20 * DAY)

CASES: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    ({}, {}, "pass", "All hold: archives 8 as written, age of the newest backup 9.0 h"),
    # none
    ({}, {"backups": ()}, "fail", "There is no backup of archive at s3://backups/nightly"),
    ({}, {"absent": "Listing s3://b: NoSuchBucket"}, "fail", "The destination of the backups is not there: Listing s3://b"),
    ({}, {"backups": nightly(1, is_proven=False)}, "fail", "None of the 1 backups of archive at s3://backups/nightly is whole"),
    ({}, {"backups": nightly(1, problem="is missing")}, "fail", "none of the 1 backups"),
    ({}, {"backups": (), "unreadable": ("m is not JSON",)}, "fail", "None of the 1 backups"),
    ({}, {"backups": nightly(1, level="archive")}, "fail", "is whole and proven by restore"),
    # what is there but is none
    ({}, {"unreadable": ("m is not JSON",)}, "fail", "Manifests that are damaged: m is not JSON"),
    ({}, {"backups": (backup(40 * DAY, problem="is missing"), *nightly(8))}, "fail", "Archives that are not what was backed up: s3://b/"),
    ({}, {"backups": (*nightly(8), backup(-HOUR))}, "unknown", "of the future, so that no age can be trusted: archive/"),
    ({}, {"backups": (*nightly(8), backup(-dt.timedelta(seconds=200)))}, "pass", "newest backup 0 s"),
    ({}, {"backups": (backup(-HOUR),)}, "fail", "of the future"),
    # age
    ({"max_age": "8h"}, {}, "fail", "The newest backup that is proven by restore is 9.0 h old, expected at most 8h"),
    ({}, {"backups": nightly(8, is_proven=False)}, "fail", "is 33.0 h old, expected at most 26h"),
    ({}, {"backups": nightly(8, level="archive")}, "fail", "is 33.0 h old"),
    ({"verify": "archive"}, {"backups": nightly(8, level="archive")}, "pass", ""),
    # size
    ({}, {"backups": nightly(8, size_bytes=500_001)}, "pass", ""),
    ({}, {"backups": nightly(8, size_bytes=500_000)}, "warn", "The newest backup has 500000 B, no more than 50 % of the usual 1.0 MB"),
    ({}, {"backups": nightly(8, size_bytes=499_999)}, "warn", "The newest backup has 499999 B, no more than 50 % of the usual 1.0 MB"),
    ({"min_size_share": 0.9}, {"backups": nightly(8, size_bytes=800_000)}, "warn", "median of the 7 before it"),
    ({"min_size_share": 0}, {"backups": nightly(8, size_bytes=0)}, "pass", ""),
    ({}, {"backups": nightly(4)}, "pass", ""),
    ({}, {"backups": nightly(3)}, "warn", "not known before there are 3 earlier ones; there are 2"),
    ({"min_size_share": 0}, {"backups": nightly(1)}, "pass", ""),
    # proofs
    ({"max_proof_age": "9h"}, {}, "pass", ""),
    ({"max_proof_age": "8h"}, {}, "fail", "The newest restore that proved a backup was 9.0 h ago, expected at most 8h"),
    ({"max_proof_age": "8h"}, {"records": Records((proof(HOUR),))}, "pass", ""),
    ({"max_proof_age": "8h"}, {"records": Records((proof(HOUR, sha256="1" * 64),))}, "fail", "was 9.0 h ago"),
    ({"max_proof_age": "8h"}, {"records": Records((proof(HOUR, manifest="another"),))}, "fail", "was 9.0 h ago"),
    ({"max_proof_age": "9h"}, {"records": Records((proof(HOUR, is_good=False, problem="t is missing"),))}, "fail",
     "The newest restore as a proof, of the backup of 2026-11-22T03:00:00.000Z at 2026-11-22T11:00:00.000Z, failed: t is missing"),
    ({"max_proof_age": "9h"}, {"records": Records((proof(2 * HOUR, is_good=False), proof(HOUR)))}, "pass", ""),
    ({"max_proof_age": "9h"}, {"records": Records((proof(-HOUR),))}, "unknown", "Records of restores that are of the future: s3://b/r is dated 60.0 min"),
    ({"max_proof_age": "9h"}, {"records": Records(damaged=("s3://b/r is none",))}, "unknown", "damaged, so that the newest is not known: s3://b/r is none"),
    ({"verify": "head"}, {"records": Records((proof(HOUR, is_good=False),), ("s3://b/r is none",))}, "pass", ""),
    ({}, {"records": Records(damaged=("s3://b/r is none",))}, "unknown", "damaged, so that the newest is not known: s3://b/r is none"),
    # each backup is what its own last proof says
    ({"max_age": "9h"}, {"records": Records((proof(HOUR),))}, "pass", ""),
    ({"max_age": "9h"}, {"records": Records((proof(HOUR, is_good=False, problem="t is missing"),))}, "fail", "proven by restore is 33.0 h old"),
    ({"max_age": "2d"}, {"records": Records((proof(HOUR, is_good=False, problem="t is missing"),))}, "fail", "at 2026-11-22T11:00:00.000Z, failed: t is"),
    ({"max_age": "2d"}, {"records": Records((proof(HOUR, is_good=False, sha256="1" * 64),))}, "pass", ""),
    ({"max_age": "2d"}, {"records": Records((proof(HOUR), proof(2 * HOUR, is_good=False)))}, "pass", ""),
    ({"max_age": "2d"}, {"records": Records((proof(HOUR, is_good=False), proof(0 * HOUR, **DAY_BEFORE)))}, "fail", "of the backup of 2026-11-22T03"),
    ({"max_age": "2d", "max_proof_age": "9h", "verify": "head"}, {"records": Records((proof(HOUR, is_good=False), proof(0 * HOUR, **DAY_BEFORE)))},
     "fail", "of the backup of 2026-11-22T03"),
    ({}, {"records": Records((proof(HOUR, is_good=False, **DAY_BEFORE),))}, "pass", ""),
    ({}, {"backups": nightly(1), "records": Records((proof(HOUR, is_good=False, problem="t is missing"),))}, "fail",
     "None of the 1 backups of archive at s3://backups/nightly is whole and proven by restore"),
    ({}, {"backups": nightly(1), "records": Records((proof(HOUR, is_good=False, problem="t is missing"),))}, "fail", "failed: t is missing"),
    ({"max_proof_age": "9h", "verify": "head"}, {"backups": nightly(8, level="head")}, "fail", "was 33.0 h ago"),
    ({"max_proof_age": "9h", "verify": "head"}, {"backups": (backup(HOUR, level="head"),), "records": Records((proof(HOUR),))}, "fail",
     "No backup that is there"),
    ({"max_restore_time": "89s"}, {"records": Records((proof(HOUR),))}, "fail", "took 90 s, expected at most 89s"),
    ({"max_restore_time": "90s"}, {"records": Records((proof(HOUR),))}, "pass", ""),
    # schedule
    (SCHEDULE, {"schedule": Schedule(("c:1 runs at 3 1 * * *",), coming=DAILY, longest_seconds=86400.0, made=NOW - HOUR, due=NOW + HOUR)}, "pass", ""),
    (SCHEDULE, {"schedule": Schedule(("c:1",), coming=DAILY, made=NOW - 4 * HOUR, due=NOW - 2 * HOUR)}, "pass", ""),
    (SCHEDULE, {"schedule": Schedule(("c:1",), coming=DAILY, made=NOW - 4 * HOUR, due=NOW - 2 * HOUR - SECOND)}, "fail",
     "The run of 2026-11-22T09:59:59.000Z made no backup that counts; the newest is of 2026-11-22T08:00:00.000Z"),
    (SCHEDULE, {"schedule": Schedule(("c:1",), coming=DAILY, longest_seconds=27 * 3600.0, made=NOW)}, "fail",
     "leaves 27.0 h between two runs, and max_age is 26h"),
    (SCHEDULE, {"schedule": Schedule(("c:1 at x",), made=NOW)}, "fail", "The schedule of the backups never runs again: c:1 at x"),
    (SCHEDULE, {"schedule": Schedule(absent="no line runs it", left_out=("c:2 is cut",))}, "fail", "Nothing runs the backups: no line runs it; c:2 is cut"),
    (SCHEDULE, {"schedule": Schedule(unreadable="c may not be read by golive")}, "unknown", "The schedule of the backups is unknown: c may not be"),
    (SCHEDULE, {"absent": "no such bucket", "schedule": Schedule(absent="no line runs it")}, "fail", "nothing runs the backups"),
    # restore time
    ({"max_restore_time": "60s"}, {}, "pass", ""),
    ({"max_restore_time": "59s"}, {}, "fail", "Restoring the backup of 2026-11-22T03:00:00.000Z took 60 s, expected at most 59s"),
    ({"max_restore_time": "1h", "verify": "head"}, {"backups": (backup(HOUR, level="head", restore_seconds=None),)},
     "unknown", "no backup was proven by restoring it"),
    ({"max_restore_time": "59s", "verify": "head"}, {"backups": (*nightly(8), backup(HOUR, level="head", restore_seconds=None))},
     "fail", "Restoring the backup of 2026-11-22T03"),
    # retention
    ({"keep": {"daily": 8, "last": 8, "min_keep": 8}}, {}, "pass", ""),
    ({"keep": {"last": 9}}, {}, "fail", "keep.last asks for 9 backups, and 8 are there"),
    ({"keep": {"daily": 1, "min_keep": 9}}, {}, "fail", "Keep.min_keep asks for 9 backups"),
    ({"keep": {"daily": 9}}, {}, "fail", "keep.daily asks for a backup in each of 9, and there is none of 2026-11-14"),
    ({"keep": {"daily": 9, "last": 20}, "first_backup": "2026-11-15"}, {}, "pass", ""),
    ({"keep": {"daily": 9, "last": 20}, "first_backup": "2026-11-14"}, {}, "fail", "none of 2026-11-14"),
    ({"keep": {"monthly": 12}, "first_backup": "2026-10-15"}, {}, "fail", "none of 2026-10"),
    ({"keep": {"monthly": 12}}, {}, "fail", "2026-10, 2026-09, 2026-08, 2026-07, 2026-06 and 6 more"),
    # what does not count keeps no day
    ({"keep": {"daily": 2}}, {"backups": (backup(9 * HOUR + DAY, is_proven=False), backup(9 * HOUR))}, "fail", "none of 2026-11-21"),
    # schedule
    ({"max_gap": "25h"}, {}, "pass", ""),
    ({"max_gap": "23h"}, {}, "fail", "There was no backup for 24.0 h before"),
    ({"max_gap": "25h"}, {"backups": (*nightly(8)[:5], *nightly(8)[6:])}, "fail", "no backup for 2.0 days before 2026-11-21T03:00:00.000Z"),
    ({"max_gap": "25h"}, {"backups": (backup(90 * DAY), *nightly(7))}, "pass", ""),
    ({"max_gap": "25h", "gap_window": "14d"}, {}, "fail", "no backup for 6.6 days before 2026-11-15"),
    ({"max_gap": "25h", "gap_window": "14d", "first_backup": "2026-11-15"}, {}, "pass", ""),
    ({"max_gap": "25h", "min_size_share": 0}, {"backups": nightly(2)}, "fail", "no backup for 4.9 days before"),
    ({"max_gap": "1h", "max_age": "30d"}, {}, "fail", "There is no backup since 2026-11-22T06:00:00.000Z, and max_gap is 1h"),
    # elsewhere
    (COPIES, {"copies": (THERE,)}, "pass", ""),
    (COPIES, {"copies": (Copy(True),)}, "fail", "Copy at s3://elsewhere/nightly holds none of the backups"),
    (COPIES, {"copies": (Copy(True, "x", NOW - 27 * HOUR),)}, "fail", "is 27.0 h old, expected at most 26h"),
    ({"copies": [{"destination": "s3://e/x", "max_age": "2d"}]}, {"copies": (Copy(True, "x", NOW - 27 * HOUR),)}, "pass", ""),
    (COPIES, {"copies": (dataclasses.replace(THERE, is_elsewhere=False),)}, "fail", "is in the same bucket or file system"),
    (COPIES, {"copies": (dataclasses.replace(THERE, is_elsewhere=None),)},
     "unknown", "whether copy at s3://elsewhere/nightly is elsewhere could not be told"),
    (COPIES, {"copies": (dataclasses.replace(THERE, others=("s3://e/y is of another archive",)),)},
     "fail", "Copies that are not the backup of their name: s3://e/y is of"),
    (COPIES, {"copies": (Copy(True, absent="NoSuchBucket"),)}, "fail", "Copy at s3://elsewhere/nightly is not there: NoSuchBucket"),
    (COPIES, {"copies": (Copy(None, problem="S3 cannot be reached"),)}, "unknown", "is unknown: S3 cannot be reached"),
    ({"copies": [{"destination": "s3://e/x"}] * 2}, {"copies": (THERE, Copy(True))}, "fail", "Copy at s3://e/x (2 of 2) holds none"),
    # encryption
    ({"encryption": "required"}, {"newest": Newest(encryption="age")}, "pass", ""),
    ({"encryption": "required"}, {"newest": Newest(encryption="none", not_encrypted="the bucket encrypts nothing")},
     "fail", "Encryption of the newest backup is none, since the bucket"),
    ({"encryption": "required"}, {"newest": Newest(not_encrypted="the store does not tell")}, "unknown", "is unknown: the store does not tell"),
    ({"encryption": "age"}, {"newest": Newest(not_age=())}, "pass", ""),
    ({"encryption": "age"}, {"newest": Newest(not_age=("s3://b/x",))}, "fail", "The newest backup is not encrypted to age recipients: s3://b/x"),
    ({"recipients": ["age1a", "age1b "]}, {"newest": Newest(not_age=()), "backups": nightly(8, recipients=("age1b", "age1a"))}, "pass", ""),
    ({"recipients": ["age1a"]}, {"newest": Newest(not_age=())}, "fail", "The newest backup is encrypted to other recipients: age1a cannot read it"),
    ({"recipients": ["age1a"]}, {"newest": Newest(not_age=()), "backups": nightly(8, recipients=("age1a", "age1b"))}, "fail", "other recipients: age1b can"),
    ({"recipients": ["age1a"]}, {"newest": Newest(not_age=("s3://b/x",)), "backups": nightly(8, recipients=("age1a",))}, "fail", "not encrypted to age"),
    # lock
    ({"object_lock": "required", "min_lock_days": 20}, {"newest": LOCKED}, "pass", ""),
    ({"min_lock_days": 20.5}, {"newest": LOCKED}, "fail", "Time of the object lock is 20.4 days, expected at least 20.5 days"),
    ({"object_lock": "required"}, {"newest": dataclasses.replace(LOCKED, locked_until=NOW)}, "fail", "is COMPLIANCE until 2026-11-22T12"),
    ({"object_lock": "required"}, {"newest": Newest(lock="none", not_locked="a directory locks nothing")}, "fail", "is none, since a directory"),
    ({"min_lock_days": 1}, {"newest": Newest(not_locked="the store does not tell")}, "unknown", "is unknown: the store"),
    # content
    ({"archive": "sha256"}, {"newest": Newest(reread="")}, "pass", ""),
    ({"archive": "sha256"}, {"newest": Newest(reread="has SHA-256 1…")}, "fail", "has SHA-256 1…"),
    # kept databases
    (DSN, {}, "pass", ""),
    (DSN, {"kept": (OLD,)},
     "warn", "Kept database archive_failed_r1 (5.0 MB (4.8 MiB)) is still there after 8.0 days, replaced by a restore; expected at most 7d"),
    ({**DSN, "max_kept_age": "9d"}, {"kept": (OLD,)}, "pass", ""),
    (DSN, {"kept": (dataclasses.replace(OLD, since=None, size_bytes=None),)}, "unknown", "archive_failed_r1 is of an unknown age"),
    (DSN, {"kept_problem": "PostgreSQL cannot be reached"}, "unknown", "Kept databases are unknown: PostgreSQL"),
    (DSN, {"kept": (OLD,), "absent": "NoSuchBucket"}, "fail", "after 8.0 days"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "facts", "status", "said"), CASES)
def test_a_case(options: dict[str, t.Any], facts: dict[str, t.Any], status: str, said: str) -> None:
    found = judged(options, **facts)
    assert found.status == status, found.summary
    assert said.lower() in found.summary.lower()
    assert status == "pass" or found.remedy or status == "unknown", found.summary


def test_one_clock_ahead_of_another_is_no_future() -> None:
    ahead = backup(-dt.timedelta(seconds=check.CLOCKS_DIFFER))
    assert judged({}, backups=(*nightly(8), ahead)).measured["age of the newest backup"] == "0 s"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_age": "26"}, "max_age"),
        ({"max_restore_time": "soon"}, "max_restore_time"),
        ({"max_gap": "x"}, "max_gap"),
        ({"max_gap": "2h", "gap_window": "1h"}, "gap_window is shorter"),
        ({"max_kept_age": "x"}, "max_kept_age"),
        ({"copies": []}, "copies is an empty list"),
        ({"copies": [{"destination": "s3://b/x", "max_age": "x"}]}, r"copies\[1\].max_age"),
        ({"database": ""}, "database is empty"),
        ({"history": 2}, "history is 2"),
        ({"min_size_share": 1.5}, "min_size_share is 1.5"),
        ({"keep": {"daily": 0}}, "no rule"),
        ({"first_backup": "lately"}, "first_backup is no time"),
        ({"first_backup": "0001-01-01T00:00:00+05:00"}, "first_backup is no time"),
        ({"destination": "/var/backups"}, "neither s3://bucket/prefix nor file:///directory"),
    ],
)
def test_a_wrong_option_is_one_clear_error(options: dict[str, t.Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check.gather(params(**options), run=Run(timeout_seconds=5))


def test_a_password_without_a_database_is_refused() -> None:
    with pytest.raises(BadInput, match="dsn"):
        params(password="x")


ages = st.integers(-72, 24 * 60).map(lambda hours: dt.timedelta(hours=hours))
backups_of = st.lists(
    st.builds(
        backup,
        ages,
        is_proven=st.booleans(),
        level=st.sampled_from(["head", "archive", "restore"]),
        problem=st.sampled_from(["", "is missing"]),
        size_bytes=st.integers(0, 10**12),
        restore_seconds=st.none() | st.floats(0, 1e6),
    ),
    max_size=12,
).map(lambda found: tuple(sorted(found, key=lambda one: one.created)))
WANTED = {"keep": {"daily": 3}, "max_gap": "25h", "max_restore_time": "1h", "min_size_share": 0.5}


@given(backups_of, st.sampled_from(["head", "archive", "restore"]))
def test_nothing_passes_without_a_new_proven_and_whole_backup(backups: tuple[Backup, ...], level: str) -> None:
    levels = ["head", "archive", "restore"]
    good = [
        one
        for one in backups
        if one.is_proven
        and not one.problem
        and levels.index(one.level) >= levels.index(level)
        and dt.timedelta(0) <= NOW - one.created <= dt.timedelta(hours=26)
    ]
    for options in ({"min_size_share": 0}, WANTED):
        found = judged({"verify": level, **options}, backups=backups)
        assert found.status in ("fail", "unknown") or good
        if any(one.created > NOW + dt.timedelta(minutes=5) or one.problem for one in backups):
            assert found.status in ("fail", "unknown")


# ---- what somebody else wrote


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
PROPERTIES = {"owner": "o", "connection_limit": -1, "grants": None, "settings": [], "comment": None}
PARTS = {
    "verified": ("level", "ok", "at", "restore_seconds"),
    "archive": ("name", "size", "sha256", "crc32", "version_id", "roles"),
}


@given(st.data(), st.sampled_from(sorted(PARTS)), json_values | st.sampled_from([10**400, -1, 1e300]))
def test_no_manifest_breaks_the_check(data: st.DataObject, part: str, value: t.Any) -> None:
    archive = {"name": "a.dump", "size": 0, "sha256": "0" * 64, "crc32": "0" * 8}
    body = {field.name: "" for field in dataclasses.fields(manifest.Manifest)} | {
        "format": manifest.FORMAT, "name": "a", "created": "2026-11-22T03:00:00Z", "finished": "2026-11-22T03:00:00Z",
        "server": {"version_num": 180006}, "snapshot": "1:1:", "archive": archive, "tables": [], "large_objects": 0, "sequences": [], "revision": None,
        "properties": PROPERTIES, "verified": {"level": "restore", "ok": True, "seconds": 1}, "release": None, "programs": {}, "seconds": {},
    }  # fmt: skip
    body[part] = {**t.cast("dict[str, t.Any]", body[part]), data.draw(st.sampled_from(PARTS[part])): value}
    try:
        made = manifest.parse(json.dumps(body).encode(), where="x")
    except UnexpectedAnswer:
        return
    found = check._backup(Directory("/nowhere"), "archive/a.dump.manifest.json", made)
    assert found.problem in ("is missing", "has lost the roles beside it")
    assert judged({"max_restore_time": "1h"}, backups=(found,)).status == "fail"


# ---- since when a database is kept


@pytest.mark.parametrize(
    ("identity", "note", "since"),
    [
        ("r1", {"at": "2026-11-20T10:00:00.000Z"}, "2026-11-20T10:00:00+00:00"),
        ("r1", {"position": {"at": "2026-11-20T10:00:00.000Z"}}, "2026-11-20T10:00:00+00:00"),
        ("r20261119T090807-5e1f", {}, "2026-11-19T09:08:07+00:00"),
        ("r1", {}, None),
        ("r1", {"at": "lately"}, None),
        ("r1", {"at": 7}, None),
        ("r1", {"position": "0/1"}, None),
        ("r99999999T999999", {}, None),
    ],
)
def test_since_when_is_what_its_mark_says(identity: str, note: dict[str, t.Any], since: str | None) -> None:
    mark = Mark("failed", "archive", identity, 7, None, note)
    found = check._kept_since(Database(7, "archive_failed", "owner", False, mark.text(), 1))
    assert (None if found is None else found.isoformat()) == since


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": {"last": 8}}, "keep.last asks for 8 backups, and 7 are there, beside 1 whose last restore failed"),
        ({"keep": {"daily": 3}}, "there is none of 2026-11-21, beside 1 whose last restore failed"),
        ({"max_gap": "26h"}, "here was no backup for 2.0 days before 2026-11-22T03"),
        ({"history": 7, "backups": 4}, "there are 3 earlier ones; there are 2"),
    ],
)
def test_a_backup_whose_last_restore_failed_is_no_history(options: dict[str, t.Any], said: str) -> None:
    options = dict(options)
    there = nightly(options.pop("backups", 8))
    failed = Records((proof(HOUR, **DAY_BEFORE, is_good=False, problem="x"),))
    assert said not in judged(options, backups=there).summary
    found = judged({**options, "verify": "restore"}, backups=there, records=failed)
    assert said in found.summary, found.summary


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": "9999999d"},
        {"max_gap": "9999999d"},
        {"max_gap": "1d", "gap_window": "9999999d"},
        {"max_proof_age": "1" + "0" * 400 + "w"},
        {"schedule": {"cron": "backup.yml", "max_delay": "9999999d"}},
        {"copies": [{"destination": "s3://elsewhere/nightly", "max_age": "9999999d"}]},
    ],
)
def test_a_span_that_no_date_can_be_reckoned_with_is_one_clear_error(options: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput, match="expected at most 100 years"):
        check.gather(params(**options), run=Run(timeout_seconds=5))


def test_the_longest_spans_and_the_first_dates_are_judged() -> None:
    found = judged({"max_gap": "36525d", "keep": {"weekly": 3}, "first_backup": "0001-01-01"})
    assert "longest gap" not in found.summary
