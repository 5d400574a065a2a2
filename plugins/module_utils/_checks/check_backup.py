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
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest, restore_record, retention
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster, Database
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import S3_PLACE, Destination
from ansible_collections.opsready.golive.plugins.module_utils._checks import (
    backup_copies,
    backup_files,
    backup_newest,
    backup_proofs,
    backup_registry,
    backup_schedule,
    shared_login,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_facts import (
    Backup,
    Copy,
    Facts,
    Kept,
    Records,
    Stored,
    counted,
    first_of,
    newest_of,
    unfailed,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_places import opened, unlike
from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_sizes import FEWEST_EARLIER, judged_size
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres, s3
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_text, span_seconds, span_text

NAME = "check_backup"

_PLACE: Spec = {
    "destination": {"type": "str", "required": True},
    "s3": {"type": "dict", "options": S3_PLACE},
}
ARGUMENT_SPEC: Spec = {
    **_PLACE,
    "destination": {"type": "str"},
    "kind": {"type": "str", "choices": ["database", "files", "registry"], "default": "database"},
    "database": {"type": "str"},
    "images": {"type": "list", "elements": "str"},
    "registry": {"type": "dict", "options": backup_registry.SPEC},
    "pattern": {"type": "str"},
    "min_size": {"type": "str", "default": "1B"},
    "begins_with": {"type": "str"},
    "max_age": {"type": "str"},
    "verify": {"type": "str", "choices": list(manifest.LEVELS), "default": "restore"},
    "max_proof_age": {"type": "str"},
    "max_restore_time": {"type": "str"},
    "archive": {"type": "str", "choices": ["head", "sha256"], "default": "head"},
    "min_size_share": {"type": "float", "default": 0.5},
    "history": {"type": "int", "default": 7},
    "keep": {"type": "dict", "options": retention.SPEC},
    "first_backup": {"type": "str"},
    "max_gap": {"type": "str"},
    "gap_window": {"type": "str"},
    "schedule": {"type": "dict", "options": backup_schedule.SPEC},
    "copies": {"type": "list", "elements": "dict", "options": {**_PLACE, "max_age": {"type": "str"}}},
    "encryption": {"type": "str", "choices": ["required", "age", "any"], "default": "any"},
    "recipients": {"type": "list", "elements": "str"},
    "object_lock": {"type": "str", "choices": ["required", "any"], "default": "any"},
    "min_lock_days": {"type": "float"},
    "dsn": {"type": "str", "no_log": False},
    "password": {"type": "str", "no_log": True},
    "max_kept_age": {"type": "str", "default": "7d"},
}
CONSTRAINTS: Constraints = {
    "required_by": {"password": ["dsn"]},
    "required_if": [
        ("kind", "database", ["destination", "database", "max_age"]),
        ("kind", "files", ["destination", "pattern", "max_age"]),
        ("kind", "registry", ["images"]),
    ],
}

#: Databases that a release or a restore kept, by their mark: what was replaced, and the copy made before.
KEPT = {"failed": "replaced by a restore", "copy": "a copy made before a release"}
_DATED = re.compile(r"\d{8}T\d{6}")
#: A hundred years: six times that can still be taken from any date of today.
_LONGEST_SECONDS = 36_525 * 86400.0


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("max_age", "max_proof_age", "max_restore_time", "max_gap", "gap_window", "max_kept_age"):
        if params[option] is not None:
            _require_span(params[option], option)
    for number, copy in enumerate(params["copies"] or (), 1):
        if copy["max_age"] is not None:
            _require_span(copy["max_age"], f"copies[{number}].max_age")
    if params["copies"] == []:
        raise BadInput("copies is an empty list: nothing would be judged by it.")
    if params["recipients"] == []:
        raise BadInput("recipients is an empty list: nobody could read such a backup.")
    backup_registry.require_usable(params, ARGUMENT_SPEC)
    if params["kind"] != "registry":
        backup_files.require_usable(params, ARGUMENT_SPEC)
    if params["history"] < FEWEST_EARLIER:
        raise BadInput(f"history is {params['history']}, and a usual size takes {FEWEST_EARLIER} backups.")
    if not 0 <= params["min_size_share"] <= 1:
        raise BadInput(f"min_size_share is {params['min_size_share']}, expected between 0 and 1.")
    if params["keep"] is not None:
        retention.require_rules(params["keep"])
    if params["max_gap"] is not None and _gap_window(params) < span_seconds(params["max_gap"], option="max_gap"):
        raise BadInput("gap_window is shorter than max_gap.")
    if params["schedule"] is not None:
        backup_schedule.require_usable(params["schedule"])
        _require_span(params["schedule"]["max_delay"], "schedule.max_delay")
    _first_backup(params)


def _require_span(text: str, option: str) -> None:
    """Raises BadInput for what is no span, or one that no date can be reckoned with."""
    if span_seconds(text, option=option) > _LONGEST_SECONDS:
        raise BadInput(f"{option} is {text!r}, expected at most 100 years (36525d).", remedy="Write a shorter span.")


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
    except (ValueError, OverflowError):
        raise BadInput("first_backup is no time.", remedy="Write it as 2026-11-22 or 2026-11-22T03:00:00Z.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read the manifests and ask for their archives; then, side by side, for the copies and the databases kept."""
    _refuse_unusable(params)
    if params["kind"] == "registry":
        return backup_registry.gathered(params, run)
    (seen,) = side_by_side([lambda: _source(params, run)], deadline=run.deadline)
    if isinstance(seen, GoliveError):
        raise seen
    if params["schedule"] is not None:
        schedule = backup_schedule.gathered(params["schedule"], _made_at(seen, params), run=run)
        seen = dataclasses.replace(seen, schedule=schedule)
    places = params["copies"] or [] if seen.backups else []
    looks: list[t.Callable[[], t.Any]] = [
        functools.partial(backup_copies.gathered, place, seen, params, run) for place in places
    ]
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


def _made_at(seen: Facts, params: t.Mapping[str, t.Any]) -> datetime.datetime | None:
    """When the newest was made that counts; None where there is none."""
    if params["kind"] == "files":
        return seen.files.saved_at or (seen.files.files[-1].at if seen.files.files else None)
    newest = newest_of(seen, params["verify"])
    return None if newest is None else newest.created


def _source(params: t.Mapping[str, t.Any], run: Run) -> Facts:
    now = run.clock.now()
    database = params["database"]
    with opened(params, run) as place:
        try:
            if params["kind"] == "files":
                return Facts(now, files=backup_files.gathered(place, params, run))
            names = run.once(_key(params, "names"), lambda: place.names(manifest.folder(database)))
        except s3.Absent as problem:
            return Facts(now, absent=problem.message.rstrip("."))
        backups, unreadable = run.once(_key(params, "manifests"), lambda: _backups(place, database, names, run))
        seen = Facts(now, backups=backups, unreadable=unreadable, records=_records(place, params, names, run))
        newest = newest_of(seen, params["verify"])
        if newest is None:
            return seen
        return dataclasses.replace(seen, newest=backup_newest.gathered(place, newest, params, run))


def _key(params: t.Mapping[str, t.Any], what: str) -> tuple[str, ...]:
    """What items of one place and database share."""
    return (NAME, what, params["destination"], json.dumps(params["s3"], sort_keys=True), params["database"])


def _records(place: Destination, params: t.Mapping[str, t.Any], names: t.Sequence[str], run: Run) -> Records:
    """Read where something is judged by them."""
    if not backup_proofs.are_wanted(params):
        return Records()
    return run.once(_key(params, "records"), lambda: backup_proofs.gathered(place, params["database"], names))


def _backups(
    place: Destination, database: str, names: t.Sequence[str], run: Run
) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
    """Every backup of the database, each with what is told of its archive; and what cannot be read, with why."""
    listed = manifest.listed(place, database, names=names)
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
        restore_seconds=restore_record.seconds_of(verified),
        tables=len(made.tables),
        rows=made.rows,
        problem=unlike(place, name, made, is_copy=False),
        roles=manifest.roles_beside(name, made),
        recipients=None if made.recipients is None else tuple(made.recipients),
        files=tuple(
            Stored(part, said.get("version_id"), int(said["size"]), str(said["sha256"]))
            for part, said in manifest.files_beside(name, made)
        ),
    )


def _kept(params: t.Mapping[str, t.Any], run: Run) -> tuple[Kept, ...]:
    lender = shared_login.lender(params["dsn"], password=params["password"], run=run)
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
    elif params["kind"] == "files":
        yield from backup_files.judged(facts, params)
    elif params["kind"] == "registry":
        yield from backup_registry.judged(facts, params)
    else:
        yield from _judge_manifests(facts)
        counting = unfailed(facts, params["verify"])
        newest = newest_of(facts, params["verify"])
        yield from backup_proofs.judged_records(facts, params)
        if newest is None:
            yield _nothing_counts(facts, params, where)
        else:
            yield from backup_newest.judged(newest, facts, params)
            if params["min_size_share"] > 0:
                earlier = [one.size_bytes for one in counting if one.created < newest.created]
                yield judged_size(newest.size_bytes, earlier, params)
            yield from backup_proofs.judged(facts, params)
            if params["keep"] is not None:
                yield from _judge_keep(counting, facts, params)
            if params["max_gap"] is not None:
                yield _judge_gaps(counting, facts.now, params)
        yield from backup_copies.judged(facts, params)
    yield from backup_schedule.judged(facts, params)
    yield from _judge_kept(facts, params)


def _judge_manifests(facts: Facts) -> t.Iterator[Criterion]:
    if facts.unreadable:
        yield holds(
            "manifests",
            False,
            measured=f"{len(facts.unreadable)} damaged",
            expected="all can be read",
            sentence=f"manifests that are damaged: {first_of(facts.unreadable)}",
            remedy="A backup whose manifest is damaged does not count. Find out what writes there, and remove it by hand.",
        )
    changed = [f"{one.url} {one.problem}" for one in facts.backups if one.problem]
    if facts.backups:
        yield holds(
            "archives",
            not changed,
            measured=f"{len(changed)} of {len(facts.backups)} not as written"
            if changed
            else f"{len(facts.backups)} as written",
            expected="all are as their manifests say",
            sentence=f"archives that are not what was backed up: {first_of(changed)}",
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
            f"backups that are of the future, so that no age can be trusted: {first_of(ahead)}",
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


def _judge_keep(counting: t.Sequence[Backup], facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    rules, first = params["keep"], _first_backup(params)
    remedy = (
        "Somebody else removes backups (a lifecycle rule, a clean-up), or they were not made. Where backups began later, "
        "say so with first_backup."
    )
    there = counted(facts.backups, facts.now)
    failed = len(there) - len(counting)
    told = f", beside {failed} whose last restore failed" if failed else ""
    # As long as the very first one is there, none can have been removed.
    is_whole = first is not None and there[0].created.date() <= first.date()
    for rule in ("last", "min_keep"):
        if rules[rule] > 0:
            yield holds(
                f"keep.{rule}",
                len(counting) >= rules[rule] or is_whole,
                measured=f"{len(counting)} backups",
                expected=f"{rules[rule]} backups",
                sentence=f"keep.{rule} asks for {rules[rule]} backups, and {len(counting)} are there{told}",
                remedy=remedy,
            )
    for rule, lacking in retention.missing([one.created for one in counting], rules, first=first).items():
        yield holds(
            f"keep.{rule}",
            not lacking,
            measured=f"{len(lacking)} missing" if lacking else "none missing",
            expected=f"one in each of {rules[rule]}",
            sentence=f"keep.{rule} asks for a backup in each of {rules[rule]}, and there is none of {first_of(lacking)}{told}",
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
    if facts.images.images:
        return {"now": utc_text(facts.now), **backup_registry.evidence(facts.images)}
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
        **backup_proofs.evidence(facts),
        **backup_files.evidence(facts.files),
        "schedule": backup_schedule.evidence(facts.schedule),
        "copies": [
            {**dataclasses.asdict(one), "created": None if one.created is None else utc_text(one.created)}
            for one in facts.copies
        ],
        "kept": [
            {**dataclasses.asdict(one), "since": None if one.since is None else utc_text(one.since)}
            for one in facts.kept
        ],
    }
