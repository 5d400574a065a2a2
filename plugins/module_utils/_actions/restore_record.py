# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof by restoring leaves beside its backup: which archive was restored where, how long it took, and whether it was equal.

Each proof has a record of its own, which nobody writes again. The manifest stays as it is, for it may be locked.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import secrets
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import backup_proof, manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import Absent
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, UnexpectedAnswer

FORMAT = "opsready.golive/restore/1"
#: 1,000 queries of a user's own make it as large.
LARGEST_BYTES = 4 << 20
#: Seconds that nothing takes: 30,000 years.
_ENDLESS_SECONDS = 1e12
_NAME = re.compile(r"(?P<archive>.+\.dump(?:\.age)?)\.restored-\d{8}T\d{6}Z-[0-9a-f]{8}\.json\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclasses.dataclass(frozen=True)
class Record:
    """One proof. ``manifest``: the manifest's name beside it; ``at``: when it ended (RFC 3339, UTC); ``where``: the server.

    ``verified`` is what ``backup_proof.by_restore`` told, with ``ok``; where that is false ``problem`` says why, without a word
    of what the backup holds, since whoever may list the backups reads this.
    """

    manifest: str
    database: str
    created: str
    revision: t.Sequence[str] | None
    size: int
    sha256: str
    at: str
    where: t.Mapping[str, t.Any]
    verified: t.Mapping[str, t.Any]
    problem: str = ""

    @property
    def is_good(self) -> bool:
        return self.verified.get("ok") is True

    @property
    def restore_seconds(self) -> float | None:
        """Seconds that pg_restore took; None where it did not end."""
        return seconds_of(self.verified)

    def is_of_the_future(self, now: datetime.datetime) -> bool:
        """Whether its time is still to come, by more than clocks differ: nobody can tell then what it was the last proof of."""
        return (parse_utc(self.at) - now).total_seconds() > CLOCKS_DIFFER

    def body(self) -> bytes:
        """As it is stored."""
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1, sort_keys=True, ensure_ascii=False)
        return text.encode("utf-8")


def seconds_of(verified: t.Mapping[str, t.Any]) -> float | None:
    """Seconds that pg_restore took by what somebody wrote of a proof; None where that is no number of seconds."""
    seconds = verified.get("restore_seconds")
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return None
    return float(seconds) if 0 <= seconds < _ENDLESS_SECONDS else None


def of(
    made: manifest.Manifest,
    *,
    where: t.Mapping[str, t.Any],
    at: datetime.datetime,
    proof: t.Mapping[str, t.Any] | None = None,
    problem: GoliveError | None = None,
) -> Record:
    """The record of a proof that held, or of the problem that it ended with."""
    return Record(
        manifest=made.name,
        database=made.database,
        created=made.created,
        revision=None if made.revision is None else list(made.revision),
        size=int(made.archive["size"]),
        sha256=str(made.archive["sha256"]),
        at=utc_text(at),
        where=dict(where),
        verified={"level": "restore", "ok": False} if proof is None else _without_answers(proof),
        problem="" if problem is None else _told(problem),
    )


def _without_answers(proof: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the user's own queries found is what the backup holds; how many held is enough."""
    return {**proof, "assertions": len(proof["assertions"])}


def _told(problem: GoliveError) -> str:
    """What differs is named by tables, as the manifest does, and what fails by its SQLSTATE. A program's own words may hold rows."""
    comparison = problem.known.get("comparison")
    if comparison is not None:
        return f"what was restored is not what was backed up: {backup_proof.described_differences(comparison)}"
    if "backup_fault" in problem.known:
        return f"it cannot be restored, {problem.known['backup_fault']}; the output of that run says more"
    return f"it ended with {type(problem).__name__}, and the output of that run says more"


def name_for(archive: str, at: datetime.datetime) -> str:
    """What a record is called beside its archive: sorts by time, and is nobody else's."""
    moment = at.astimezone(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"{archive}.restored-{moment}-{secrets.token_hex(4)}.json"


def archive_of(name: str) -> str | None:
    """The name of the archive whose record has this name; None where it is no record's."""
    match = _NAME.match(name)
    return None if match is None else match["archive"]


def parts_of(archive: str, names: t.Iterable[str]) -> list[tuple[str, t.Mapping[str, t.Any]]]:
    """Those of the names that are records of this archive, as ``manifest.parts_beside`` has what a manifest knows."""
    return [(name, {}) for name in names if archive_of(name) == archive]


def parse(body: bytes, *, where: str) -> Record:
    """Raises UnexpectedAnswer, naming what is wrong, for anything but a record of this format."""
    try:
        found = foreign_json.read(body.decode("utf-8"))
    except ValueError:
        raise UnexpectedAnswer(f"{where} is not a record of a restore: it is not JSON.")
    kinds: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "t.Mapping[str, t.Any]": (dict,),
        "t.Sequence[str] | None": (list, type(None)),
    }
    _require(isinstance(found, dict) and found.get("format") == FORMAT, f"its format is not {FORMAT}", where)
    for field in dataclasses.fields(Record):
        value = found.get(field.name)
        is_good = isinstance(value, kinds[str(field.type)]) and not isinstance(value, bool)
        _require(is_good, f"{field.name} is not what it should be", where)
    _require(_SHA256.match(found["sha256"]) is not None, "sha256 is none", where)
    for moment in ("created", "at"):
        try:
            parse_utc(found[moment]).astimezone(datetime.timezone.utc)
        except (ValueError, OverflowError):
            _require(False, f"{moment} is no time", where)
    _require(all(isinstance(one, str) for one in found["revision"] or ()), "revision is unreadable", where)
    try:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except ValueError:
        _require(False, "it holds half a surrogate pair, or what is no number", where)
    record = Record(**{field.name: found[field.name] for field in dataclasses.fields(Record)})
    _require(isinstance(record.verified.get("ok"), bool), "verified.ok is neither true nor false", where)
    _require(not record.is_good or record.restore_seconds is not None, "verified.restore_seconds is no number", where)
    return record


def _require(holds: bool, what: str, where: str) -> None:
    if not holds:
        raise UnexpectedAnswer(f"{where} is not a record of a restore: {what}.")


@dataclasses.dataclass(frozen=True)
class Listed:
    """A record found at a place, or why it cannot be read."""

    name: str
    url: str
    record: Record | None
    problem: str = ""


def listed(place: Destination, database: str, *, names: t.Sequence[str] | None = None) -> list[Listed]:
    """All records of a database at a place, by name; a damaged one is listed with its problem. Raises what the place raises.

    ``names`` are those below the database's folder, where they are known already.
    """
    found = []
    for name in place.names(manifest.folder(database)) if names is None else names:
        if archive_of(name) is None:
            continue
        try:
            record = parse(place.read(name, limit=LARGEST_BYTES), where=place.url(name))
        except Absent:  # removed since it was listed
            continue
        except UnexpectedAnswer as problem:
            found.append(Listed(name, place.url(name), None, problem.message.rstrip(".")))
            continue
        if record.database == database:
            found.append(Listed(name, place.url(name), record))
    return found


def manifest_beside(name: str, record: Record) -> str:
    """The name of the backup's manifest at the place where the record has this name."""
    folder, slash, _unused = name.rpartition("/")
    return f"{folder}{slash}{record.manifest}"


def last_of_each(found: t.Iterable[Listed], now: datetime.datetime) -> dict[tuple[str, str], Record]:
    """The last record of each backup, by its manifest's name and its archive's SHA-256; none unreadable, and none of the future."""
    readable = [(manifest_beside(one.name, one.record), one.record) for one in found if one.record is not None]
    known = [(name, record) for name, record in readable if not record.is_of_the_future(now)]
    known.sort(key=lambda one: parse_utc(one[1].at))
    return {(name, record.sha256): record for name, record in known}
