# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a database's backups: is there a new one that is proven and whole, as large as usual, kept as asked, and elsewhere too?"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import re
import statistics
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import age, manifest, retention
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster, Database
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    S3_PLACE,
    Destination,
    Digest,
    Held,
    destination,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import Bucket
from ansible_collections.opsready.golive.plugins.module_utils._checks.side_by_side import side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._checks.units import size_text, span_seconds, span_text
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres, s3
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    holds,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_backup"

_PLACE: Spec = {
    "destination": {"type": "str", "required": True},
    "s3": {"type": "dict", "options": S3_PLACE},
}
ARGUMENT_SPEC: Spec = {
    **_PLACE,
    "database": {"type": "str", "required": True},
    "max_age": {"type": "str", "required": True},
    "verify": {"type": "str", "choices": list(manifest.LEVELS), "default": "restore"},
    "max_restore_time": {"type": "str"},
    "archive": {"type": "str", "choices": ["head", "sha256"], "default": "head"},
    "min_size_share": {"type": "float", "default": 0.5},
    "history": {"type": "int", "default": 7},
    "keep": {"type": "dict", "options": retention.SPEC},
    "first_backup": {"type": "str"},
    "max_gap": {"type": "str"},
    "gap_window": {"type": "str"},
    "copies": {"type": "list", "elements": "dict", "options": {**_PLACE, "max_age": {"type": "str"}}},
    "encryption": {"type": "str", "choices": ["required", "age", "any"], "default": "any"},
    "recipients": {"type": "list", "elements": "str"},
    "object_lock": {"type": "str", "choices": ["required", "any"], "default": "any"},
    "min_lock_days": {"type": "float"},
    "dsn": {"type": "str", "no_log": False},
    "password": {"type": "str", "no_log": True},
    "max_kept_age": {"type": "str", "default": "7d"},
}
CONSTRAINTS: Constraints = {"required_by": {"password": ["dsn"]}}

#: A size is held against its history from so many earlier backups on.
FEWEST_EARLIER = 3
#: A clock may be ahead of another by this much, in seconds.
CLOCKS_DIFFER = 300
#: Databases that a release or a restore kept, by their mark: what was replaced, and the copy made before.
KEPT = {"failed": "replaced by a restore", "copy": "a copy made before a release"}
_DATED = re.compile(r"\d{8}T\d{6}")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Stored:
    """A file of an archive, as its manifest has it."""

    name: str
    version_id: str | None
    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Backup:
    """One backup as its manifest, ``name``, has it. ``problem``: why its archive is not what was written, or nothing."""

    name: str
    archive: str
    url: str
    created: datetime.datetime
    size_bytes: int
    sha256: str
    level: str
    is_proven: bool
    proven_at: str | None
    restore_seconds: float | None
    tables: int
    rows: int
    problem: str = ""
    #: The SQL beside the archive, and whom both are encrypted to by their manifest.
    roles: str | None = None
    recipients: tuple[str, ...] | None = None
    #: What the archive is stored as: names and versions, one unless it is a directory, and its size and digest.
    files: tuple[Stored, ...] = ()


@dataclasses.dataclass(frozen=True)
class Newest:
    """What was asked of the newest backup's archive alone. A lock is that of archive and manifest, whichever is less."""

    encryption: str | None = None
    not_encrypted: str = ""
    #: What of archive and roles does not begin as what age encrypts; None where it was not looked at.
    not_age: tuple[str, ...] | None = None
    lock: str | None = None
    locked_until: datetime.datetime | None = None
    not_locked: str = ""
    #: Why what was read is not what was written; None where it was not read.
    reread: str | None = None


@dataclasses.dataclass(frozen=True)
class Copy:
    """The newest backup that lies elsewhere too, or why none is known."""

    is_elsewhere: bool | None
    name: str | None = None
    created: datetime.datetime | None = None
    others: tuple[str, ...] = ()
    absent: str = ""
    problem: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Kept:
    """A database that a release or a restore kept, and since when."""

    name: str
    kind: str
    size_bytes: int | None
    since: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen. ``absent``: why there is no such place; ``unreadable``: manifests that are none, and why."""

    now: datetime.datetime
    absent: str = ""
    backups: tuple[Backup, ...] = ()
    unreadable: tuple[str, ...] = ()
    newest: Newest = Newest()
    copies: tuple[Copy, ...] = ()
    kept: tuple[Kept, ...] = ()
    kept_problem: str = ""
    kept_remedy: str = ""


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("max_age", "max_restore_time", "max_gap", "gap_window", "max_kept_age"):
        if params[option] is not None:
            span_seconds(params[option], option=option)
    for number, copy in enumerate(params["copies"] or (), 1):
        if copy["max_age"] is not None:
            span_seconds(copy["max_age"], option=f"copies[{number}].max_age")
    if params["copies"] == []:
        raise BadInput("copies is an empty list: nothing would be judged by it.")
    if params["recipients"] == []:
        raise BadInput("recipients is an empty list: nobody could read such a backup.")
    if not params["database"]:
        raise BadInput("database is empty.")
    if params["history"] < FEWEST_EARLIER:
        raise BadInput(f"history is {params['history']}, and a usual size takes {FEWEST_EARLIER} backups.")
    if not 0 <= params["min_size_share"] <= 1:
        raise BadInput(f"min_size_share is {params['min_size_share']}, expected between 0 and 1.")
    if params["keep"] is not None:
        retention.require_rules(params["keep"])
    if params["max_gap"] is not None and _gap_window(params) < span_seconds(params["max_gap"], option="max_gap"):
        raise BadInput("gap_window is shorter than max_gap.")
    _first_backup(params)


def _gap_window(params: t.Mapping[str, t.Any]) -> float:
    """How far back gaps are looked for, in seconds. Six: whoever keeps seven daily ones has six gaps to look at."""
    if params["gap_window"] is not None:
        return span_seconds(params["gap_window"], option="gap_window")
    return 6 * span_seconds(params["max_gap"], option="max_gap")


def _first_backup(params: t.Mapping[str, t.Any]) -> datetime.datetime | None:
    if params["first_backup"] is None:
        return None
    try:
        return parse_utc(params["first_backup"]).astimezone(datetime.timezone.utc)
    except ValueError:
        raise BadInput("first_backup is no time.", remedy="Write it as 2026-11-22 or 2026-11-22T03:00:00Z.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read the manifests and ask for their archives; then, side by side, for the copies and the databases kept."""
    _refuse_unusable(params)
    (seen,) = side_by_side([lambda: _source(params, run)], deadline=run.deadline)
    if isinstance(seen, GoliveError):
        raise seen
    places = params["copies"] or [] if seen.backups else []
    looks: list[t.Callable[[], t.Any]] = [functools.partial(_copy, place, seen, params, run) for place in places]
    if params["dsn"] is not None:
        looks.append(lambda: _kept(params, run))
    found = side_by_side(looks, deadline=run.deadline)
    for answer in found:
        if isinstance(answer, BadInput):
            raise answer
    copies = [
        Copy(None, problem=answer.message.rstrip("."), remedy=answer.remedy)
        if isinstance(answer, GoliveError)
        else answer
        for answer in found[: len(places)]
    ]
    seen = dataclasses.replace(seen, copies=tuple(t.cast("list[Copy]", copies)))
    for answer in found[len(places) :]:
        if isinstance(answer, GoliveError):
            return dataclasses.replace(seen, kept_problem=answer.message.rstrip("."), kept_remedy=answer.remedy)
        seen = dataclasses.replace(seen, kept=t.cast("tuple[Kept, ...]", answer))
    return seen


@contextlib.contextmanager
def _opened(place: t.Mapping[str, t.Any], run: Run) -> t.Iterator[Destination]:
    session = run.once("s3 session", s3.Session) if place["destination"].startswith("s3://") else None
    found = destination(place["destination"], place["s3"], deadline=run.deadline, session=session)
    with contextlib.closing(found):
        yield found


def _source(params: t.Mapping[str, t.Any], run: Run) -> Facts:
    now = run.clock.now()
    database = params["database"]
    with _opened(params, run) as place:
        key = (NAME, params["destination"], json.dumps(params["s3"], sort_keys=True), database)
        try:
            backups, unreadable = run.once(key, lambda: _backups(place, database, run))
        except s3.Absent as problem:
            return Facts(now, absent=problem.message.rstrip("."))
        newest = newest_of(backups, params["verify"], now)
        return Facts(
            now,
            backups=backups,
            unreadable=unreadable,
            newest=Newest() if newest is None else _newest(place, newest, params, run),
        )


def _backups(place: Destination, database: str, run: Run) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
    """Every backup of the database, each with what is told of its archive; and what cannot be read, with why."""
    listed = manifest.listed(place, database)
    readable = [(one.name, one.manifest) for one in listed if one.manifest is not None]
    looks = [functools.partial(_backup, place, name, made) for name, made in readable]
    backups: list[Backup] = []
    for answer in side_by_side(looks, deadline=run.deadline):
        if isinstance(answer, GoliveError):
            raise answer
        backups.append(answer)
    unreadable = tuple(str(one.problem).rstrip(".") for one in listed if one.manifest is None)
    return tuple(backups), unreadable


def _backup(place: Destination, name: str, made: manifest.Manifest) -> Backup:
    archive, verified = manifest.archive_beside(name, made), made.verified
    seconds = verified.get("restore_seconds")
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    return Backup(
        name=name,
        archive=archive,
        url=place.url(archive),
        created=parse_utc(made.created),
        size_bytes=int(made.archive["size"]),
        sha256=str(made.archive["sha256"]),
        level=str(verified["level"]),
        is_proven=verified.get("ok") is True,
        proven_at=None if verified.get("at") is None else str(verified["at"]),
        restore_seconds=float(t.cast(float, seconds)) if is_number else None,
        tables=len(made.tables),
        rows=made.rows,
        problem=_unlike(place, name, made, is_copy=False),
        roles=manifest.roles_beside(name, made),
        recipients=None if made.recipients is None else tuple(made.recipients),
        files=tuple(
            Stored(part, said.get("version_id"), int(said["size"]), str(said["sha256"]))
            for part, said in manifest.files_beside(name, made)
        ),
    )


def _unlike(place: Destination, name: str, made: manifest.Manifest, *, is_copy: bool) -> str:
    """Why the archive is not what its manifest says, by what is told of it; nothing when it may be.

    A copy has versions of its own, which its manifest cannot know.
    """
    beside, roles = manifest.roles_beside(name, made), made.archive.get("roles") or {}
    try:
        if (
            beside is not None
            and place.held(beside, None if is_copy else roles.get("version_id")).size != roles["size"]
        ):
            return "has other roles beside it than its manifest says"
    except s3.Absent:
        return "has lost the roles beside it"
    for part, said in manifest.files_beside(name, made):
        what = "" if made.format == "custom" else f"has a file {said['name']} that "
        try:
            held = place.held(part, None if is_copy else said.get("version_id"))
        except s3.Absent:
            return f"{what}is missing"
        if held.size != said["size"]:
            return f"{what}has {held.size} bytes, and its manifest says {said['size']}"
        if held.crc32 is not None and said.get("crc32") not in (None, held.crc32):
            return f"{what}has another CRC32 than its manifest says"
    return ""


def newest_of(backups: t.Iterable[Backup], level: str, now: datetime.datetime) -> Backup | None:
    """The newest that counts, and is proven at least as well as asked."""
    return next(reversed(proven_by(backups, level, now)), None)


def proven_by(backups: t.Iterable[Backup], level: str, now: datetime.datetime) -> list[Backup]:
    """Those that count, and are proven at least as well as asked; oldest first."""
    enough = manifest.LEVELS[manifest.LEVELS.index(level) :]
    return [one for one in counted(backups, now) if one.level in enough]


def counted(backups: t.Iterable[Backup], now: datetime.datetime) -> list[Backup]:
    """Those that are proven, whole by what their place tells, and not of the future; oldest first."""
    latest = now + datetime.timedelta(seconds=CLOCKS_DIFFER)
    good = (one for one in backups if one.is_proven and not one.problem and one.created <= latest)
    return sorted(good, key=lambda one: (one.created, one.name))


def _newest(place: Destination, newest: Backup, params: t.Mapping[str, t.Any], run: Run) -> Newest:
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


def _copy(place: t.Mapping[str, t.Any], source: Facts, params: t.Mapping[str, t.Any], run: Run) -> Copy:
    """The newest backup of the source whose archive, of the same SHA-256 and size, lies there too."""
    with _opened(place, run) as there:
        is_elsewhere = _is_elsewhere(params, place)
        others: list[str] = []
        try:
            names = set(there.names(manifest.folder(params["database"])))
            for one in reversed(proven_by(source.backups, params["verify"], source.now)):
                if one.name not in names:
                    continue
                run.deadline.require(f"Looking at {there.url(one.name)}")
                problem = _unlike_there(there, one)
                if not problem:
                    return Copy(is_elsewhere, one.name, one.created, tuple(others))
                others.append(f"{there.url(one.name)} {problem}")
        except s3.Absent as problem:
            return Copy(is_elsewhere, absent=problem.message.rstrip("."))
        return Copy(is_elsewhere, others=tuple(others))


def _unlike_there(there: Destination, one: Backup) -> str:
    """Why what lies there is not this backup; nothing when it is."""
    try:
        made = manifest.load(there, one.name)
    except s3.Absent:
        return "was removed"
    except UnexpectedAnswer:
        return "cannot be read"
    if made.archive["sha256"] != one.sha256:
        return "is of another archive"
    problem = _unlike(there, one.name, made, is_copy=True)
    return f"has an archive that {problem}" if problem else ""


def _is_elsewhere(params: t.Mapping[str, t.Any], place: t.Mapping[str, t.Any]) -> bool | None:
    """Whether what takes one place away leaves the other; None where it cannot be told."""
    here, there = params["destination"], place["destination"]
    if not here.startswith("s3://") and not there.startswith("s3://"):
        try:
            return os.stat(here[len("file://") :]).st_dev != os.stat(there[len("file://") :]).st_dev
        except OSError:
            return None
    if here.startswith("s3://") and there.startswith("s3://"):
        return _bucket_of(params) != _bucket_of(place)
    return True


def _bucket_of(place: t.Mapping[str, t.Any]) -> tuple[str, str]:
    endpoint = (place["s3"] or {}).get("endpoint_url") or ""
    return endpoint.rstrip("/").lower(), s3.split_url(place["destination"])[0]


def _kept(params: t.Mapping[str, t.Any], run: Run) -> tuple[Kept, ...]:
    dsn, password = params["dsn"], params["password"]
    lender = run.once(
        ("postgres", dsn, password), lambda: postgres.Lender(dsn, password=password, application_name="opsready/check")
    )
    with lender.lent(deadline=run.deadline) as connection:
        connection.read_only = True
        with postgres.translated("Reading the databases kept", deadline=run.deadline), connection.transaction():
            postgres.limit(connection, run.deadline)
            found = Cluster(connection, deadline=run.deadline).marked(params["database"])
    return tuple(
        Kept(one.name, one.mark.kind, one.size_bytes, _kept_since(one))
        for one in found
        if one.mark is not None and one.mark.kind in KEPT
    )


def _kept_since(database: Database) -> datetime.datetime | None:
    """When it was put aside: as its mark says, else as the release's id in it does."""
    mark = database.mark
    if mark is None:
        return None
    position = mark.note.get("position")
    said = mark.note.get("at") or (position.get("at") if isinstance(position, dict) else None)
    with contextlib.suppress(ValueError):
        if isinstance(said, str):
            return parse_utc(said)
        dated = _DATED.search(mark.identity)
        if dated is not None:
            return datetime.datetime.strptime(dated[0], "%Y%m%dT%H%M%S").replace(tzinfo=datetime.timezone.utc)
    return None


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Judge what was seen; pure."""
    where = f"{params['database']} at {params['destination']}"
    if facts.absent:
        yield holds(
            "destination",
            False,
            measured="missing",
            expected="there",
            sentence=f"the destination of the backups is not there: {facts.absent}",
            remedy="Correct destination, or create it and back up: nothing is kept there.",
        )
    else:
        yield from _judge_manifests(facts)
        counting = counted(facts.backups, facts.now)
        newest = newest_of(facts.backups, params["verify"], facts.now)
        if newest is None:
            yield _nothing_counts(facts, params, where)
        else:
            yield from _judge_newest(newest, facts, params)
            if params["min_size_share"] > 0:
                yield _judge_size(newest, counting, params)
            if params["max_restore_time"] is not None:
                yield _judge_restore_time(counting, params)
            if params["keep"] is not None:
                yield from _judge_keep(counting, params)
            if params["max_gap"] is not None:
                yield _judge_gaps(counting, facts.now, params)
        yield from _judge_copies(facts, params)
    yield from _judge_kept(facts, params)


def _first(texts: t.Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _judge_manifests(facts: Facts) -> t.Iterator[Criterion]:
    if facts.unreadable:
        yield holds(
            "manifests",
            False,
            measured=f"{len(facts.unreadable)} damaged",
            expected="all can be read",
            sentence=f"manifests that are damaged: {_first(facts.unreadable)}",
            remedy="A backup whose manifest is damaged does not count. Find out what writes there, and remove it by hand.",
        )
    unlike = [f"{one.url} {one.problem}" for one in facts.backups if one.problem]
    if facts.backups:
        yield holds(
            "archives",
            not unlike,
            measured=f"{len(unlike)} of {len(facts.backups)} not as written"
            if unlike
            else f"{len(facts.backups)} as written",
            expected="all are as their manifests say",
            sentence=f"archives that are not what was backed up: {_first(unlike)}",
            remedy="Do not restore from them. Take a backup now, and find out who changes or removes what lies there.",
        )
    ahead = [
        f"{one.name} is dated {span_text((one.created - facts.now).total_seconds())} from now"
        for one in facts.backups
        if (one.created - facts.now).total_seconds() > CLOCKS_DIFFER
    ]
    if ahead:
        yield unknown(
            "dates",
            f"backups that are of the future, so that no age can be trusted: {_first(ahead)}",
            remedy="Set the clocks of this host and of the database's server by NTP.",
        )


def _nothing_counts(facts: Facts, params: t.Mapping[str, t.Any], where: str) -> Criterion:
    if not facts.backups and not facts.unreadable:
        sentence = f"there is no backup of {where}"
    else:
        total = len(facts.backups) + len(facts.unreadable)
        sentence = f"none of the {total} backups of {where} is whole and proven by {params['verify']}"
    return holds(
        "newest backup",
        False,
        measured="none",
        expected=f"one that is proven by {params['verify']}",
        sentence=sentence,
        remedy="Back up now with pg_backup, and look at what should have run it. Without a backup there is no way back.",
    )


def _judge_newest(newest: Backup, facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
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
        sentence=f"the newest backup is not encrypted to age recipients: {_first(not_age or ())}",
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


def _judge_size(newest: Backup, counting: t.Sequence[Backup], params: t.Mapping[str, t.Any]) -> Criterion:
    """Against the median of the backups before it."""
    name, share = "size of the newest backup", params["min_size_share"]
    earlier = [one.size_bytes for one in counting if one.created < newest.created][-params["history"] :]
    if len(earlier) < FEWEST_EARLIER:
        return holds(
            name,
            False,
            measured=f"{size_text(newest.size_bytes)}, after {len(earlier)} others",
            expected=f"a usual size, of {FEWEST_EARLIER} earlier backups",
            sentence=f"the newest backup has {size_text(newest.size_bytes)}, and whether that is usual is not known before "
            f"there are {FEWEST_EARLIER} earlier ones; there are {len(earlier)}",
            remedy="It will be known after a few more backups; min_size_share: 0 leaves it out.",
            level="warn",
        )
    usual = statistics.median(earlier)
    return holds(
        name,
        newest.size_bytes > share * usual,
        measured=size_text(newest.size_bytes),
        expected=f"more than {share * 100:g} % of {size_text(int(usual))}",
        sentence=f"the newest backup has {size_text(newest.size_bytes)}, no more than {share * 100:g} % of the usual "
        f"{size_text(int(usual))} (median of the {len(earlier)} before it)",
        remedy="Look at whether data is gone, or a table is left out.",
        level="warn",
    )


def _judge_restore_time(counting: t.Sequence[Backup], params: t.Mapping[str, t.Any]) -> Criterion:
    name, bound = "measured restore time", params["max_restore_time"]
    measured = [one for one in counting if one.restore_seconds is not None]
    if not measured:
        return unknown(
            name,
            "how long a restore takes is unknown: no backup was proven by restoring it",
            remedy="Back up with verify: restore.",
        )
    last = measured[-1]
    seconds = t.cast(float, last.restore_seconds)
    return holds(
        name,
        seconds <= span_seconds(bound, option="max_restore_time"),
        measured=span_text(seconds),
        expected=f"at most {bound}",
        sentence=f"restoring the backup of {utc_text(last.created)} took {span_text(seconds)}, expected at most {bound}",
        remedy="Restore faster (a faster server, a template copy), or agree on a longer time.",
    )


def _judge_keep(counting: t.Sequence[Backup], params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    rules, first = params["keep"], _first_backup(params)
    remedy = (
        "Somebody else removes backups (a lifecycle rule, a clean-up), or they were not made. Where backups began later, "
        "say so with first_backup."
    )
    # As long as the very first one is there, none can have been removed.
    is_whole = first is not None and counting[0].created.date() <= first.date()
    for rule in ("last", "min_keep"):
        if rules[rule] > 0:
            yield holds(
                f"keep.{rule}",
                len(counting) >= rules[rule] or is_whole,
                measured=f"{len(counting)} backups",
                expected=f"{rules[rule]} backups",
                sentence=f"keep.{rule} asks for {rules[rule]} backups, and {len(counting)} are there",
                remedy=remedy,
            )
    for rule, lacking in retention.missing([one.created for one in counting], rules, first=first).items():
        yield holds(
            f"keep.{rule}",
            not lacking,
            measured=f"{len(lacking)} missing" if lacking else "none missing",
            expected=f"one in each of {rules[rule]}",
            sentence=f"keep.{rule} asks for a backup in each of {rules[rule]}, and there is none of {_first(lacking)}",
            remedy=remedy,
        )


def _judge_gaps(counting: t.Sequence[Backup], now: datetime.datetime, params: t.Mapping[str, t.Any]) -> Criterion:
    """Between neighbours within the window, and between its begin and the first of them."""
    first = _first_backup(params)
    begin = now - datetime.timedelta(seconds=_gap_window(params))
    begin = begin if first is None else max(begin, first)
    moments = [begin, *(one.created for one in counting if one.created > begin)]
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(moments, moments[1:])]
    if not gaps:
        return holds(
            "longest gap between backups",
            False,
            measured="no backup",
            expected=f"at most {params['max_gap']}",
            sentence=f"there is no backup since {utc_text(begin)}, and max_gap is {params['max_gap']}",
            remedy="Look at what should run the backups: its schedule, its log.",
        )
    longest = max(gaps)
    until = moments[gaps.index(longest) + 1]
    return holds(
        "longest gap between backups",
        longest <= span_seconds(params["max_gap"], option="max_gap"),
        measured=span_text(longest),
        expected=f"at most {params['max_gap']}",
        sentence=f"there was no backup for {span_text(longest)} before {utc_text(until)}, expected at most {params['max_gap']}",
        remedy="Look at what should have run the backups then: its schedule, its log.",
    )


def _judge_copies(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    places = params["copies"] or []
    for label, place, copy in zip(
        told_apart(f"copy at {place['destination']}" for place in places), places, facts.copies
    ):
        if copy.problem:
            yield unknown(label, f"{label} is unknown: {copy.problem}", remedy=copy.remedy)
            continue
        if copy.absent:
            yield holds(label, False, measured="missing", expected="there", sentence=f"{label} is not there: {copy.absent}",
                        remedy="Correct the copy's destination, or create it and copy.")  # fmt: skip
            continue
        yield holds(
            f"{label}: elsewhere",
            copy.is_elsewhere,
            measured="the same bucket or file system" if copy.is_elsewhere is False else "another",
            expected="another bucket, endpoint or file system",
            sentence=f"{label} is in the same bucket or file system as the backups, which can be lost as a whole"
            if copy.is_elsewhere is False
            else f"whether {label} is elsewhere could not be told",
            remedy="Copy to another site.",
        )
        if copy.others:
            yield holds(
                f"{label}: content",
                False,
                measured=f"{len(copy.others)} differ",
                expected="the same",
                sentence=f"copies that are not the backup of their name: {_first(copy.others)}",
                remedy="Copy them again, archive first and manifest last.",
            )
        yield _judge_copy_age(label, copy, place["max_age"] or params["max_age"], facts)


def _judge_copy_age(label: str, copy: Copy, bound: str, facts: Facts) -> Criterion:
    remedy = "Look at what should copy the backups there."
    if copy.created is None:
        sentence = f"{label} holds none of the backups"
        return holds(
            f"{label}: age", False, measured="none", expected=f"at most {bound}", sentence=sentence, remedy=remedy
        )
    age = max(0.0, (facts.now - copy.created).total_seconds())
    return holds(
        f"{label}: age",
        age <= span_seconds(bound, option="max_age"),
        measured=span_text(age),
        expected=f"at most {bound}",
        sentence=f"the newest backup of {label} is {span_text(age)} old, expected at most {bound}",
        remedy=remedy,
    )


def _judge_kept(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if facts.kept_problem:
        yield unknown("kept databases", f"kept databases are unknown: {facts.kept_problem}", remedy=facts.kept_remedy)
    elif params["dsn"] is not None and not facts.kept:
        yield holds("kept databases", True, measured="none", expected="none, or a note")
    bound = params["max_kept_age"]
    for kept in facts.kept:
        label = f"kept database {kept.name}"
        size = "" if kept.size_bytes is None else f" ({size_text(kept.size_bytes)})"
        remedy = f"When nobody needs it any more: DROP DATABASE {postgres.quoted(kept.name)}."
        if kept.since is None:
            yield unknown(label, f"{label}{size} is of an unknown age, {KEPT[kept.kind]}", remedy=remedy)
            continue
        age = max(0.0, (facts.now - kept.since).total_seconds())
        yield holds(
            label,
            age <= span_seconds(bound, option="max_kept_age"),
            measured=f"{span_text(age)} old{size}",
            expected=f"at most {bound}",
            sentence=f"{label}{size} is still there after {span_text(age)}, {KEPT[kept.kind]}; expected at most {bound}",
            remedy=remedy,
            level="warn",
        )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON: the backups newest first."""
    if facts.absent:
        return {"absent": facts.absent}
    return {
        "now": utc_text(facts.now),
        "backups": [
            {**dataclasses.asdict(one), "created": utc_text(one.created)}
            for one in sorted(facts.backups, key=lambda one: one.created, reverse=True)
        ],
        "unreadable": list(facts.unreadable),
        "newest": {
            **dataclasses.asdict(facts.newest),
            "locked_until": None if facts.newest.locked_until is None else utc_text(facts.newest.locked_until),
        },
        "copies": [
            {**dataclasses.asdict(one), "created": None if one.created is None else utc_text(one.created)}
            for one in facts.copies
        ],
        "kept": [
            {**dataclasses.asdict(one), "since": None if one.since is None else utc_text(one.since)}
            for one in facts.kept
        ],
    }
