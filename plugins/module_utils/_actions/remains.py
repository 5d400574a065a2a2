# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that was killed left: found by name and mark, told from what a living one is at, and removed.

Whoever makes a database or an archive holds an advisory lock of its name in a session of his own while he works, and the lock
ends with him. So what carries our mark, and whose lock nobody holds, has no maker any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import age, manifest, work_directory
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import DROPPABLE, Cluster, Database
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    MANIFEST_SUFFIX,
    ROLES_SUFFIX,
    Begun,
    Destination,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, GoliveError, Refused

#: Whose run left something at a destination cannot be asked where it worked from another server: then so old it must be.
STRANGER_SECONDS = 86400.0
#: Made for one that gives way, so its maker holds that one's lock.
_OF_A_RESTORE = ("restoring", "ready")
#: The archive, the roles beside it, the manifest and the records of proofs, encrypted or not, how a directory calls each until it
#: is whole, and what lies in an archive that is a directory itself.
_PART = re.compile(
    r"(?P<dump>.*/\d{8}T\d{6}Z-(?P<identity>[^/]+)\.dump)"
    r"(?P<rest>(?:\.roles\.sql)?(?:\.age)?(?:\.manifest\.json|(?P<record>\.restored-[0-9TZ]+-[0-9a-f]+\.json))?)"
    r"(?P<file>/[^/]*?)?(?P<partial>\.partial-[0-9a-f]+)?\Z"
)
_RANDOM = re.compile(r"-?[0-9a-f]{8}\Z")


@dataclasses.dataclass(frozen=True)
class Remain:
    """One thing that a killed run left, or a living one is at."""

    #: A database's kind (scratch, restoring, ready, extracting, unmarked), or upload, archive, roles, record, partial or work.
    kind: str
    #: The database's name, or a URL.
    name: str
    #: The release's or the restore's, where it says so.
    identity: str | None
    original: str
    database: Database | None = None
    #: Of an archive that is a directory, all that lies in it.
    begun: tuple[Begun, ...] = ()

    def told(self) -> dict[str, t.Any]:
        """For results: JSON types."""
        found: dict[str, t.Any] = {"kind": self.kind, "name": self.name, "id": self.identity}
        if self.database is not None:
            found.update(oid=self.database.oid, size_bytes=self.database.size_bytes)
        return found


def databases(cluster: Cluster, original: str, *, identity: str | None) -> list[Remain]:
    """Databases that a run was making for the database ``original``, and that are of no use without it; those of one id, or all."""
    found = []
    for one in cluster.marked(original):
        mark = one.mark
        if mark is not None and mark.kind in DROPPABLE:
            run = str(mark.note.get("run") or mark.identity)
            if identity in (None, run):
                found.append(Remain(mark.kind, one.name, run, original, database=one))
    for one in cluster.unmarked(original):
        if identity is None or identity[:12] in one.name:
            found.append(Remain("unmarked", one.name, None, original, database=one))
    return sorted(found, key=lambda one: one.name)


def drop(cluster: Cluster, one: Remain, *, check_mode: bool = False) -> str | None:
    """Drop a database that has no maker any more; name, OID and mark are read again. None, or why it is left."""
    seen = t.cast(Database, one.database)
    locks = {
        **dict.fromkeys(_OF_A_RESTORE, (one.original,)),
        "unmarked": (one.name, one.original),
    }
    with cluster.nobody_at(*locks.get(one.kind, (one.name,))) as is_left_alone:
        if not is_left_alone:
            return "a run that is alive is at work on it"
        others = [who for who in cluster.sessions(one.name) if not who["application"].startswith("opsready")]
        if others:
            return f"{others[0]['user']} ({others[0]['application'] or others[0]['address']}) is connected to it"
        if not cluster.owns(seen):
            return f"it belongs to {seen.owner}"
        if check_mode:
            return None
        try:
            if seen.mark is None:
                cluster.drop_made(one.name, "scratch", original=one.original, identity="unmarked")
            else:
                cluster.drop_ours(one.name, seen.oid, seen.mark.identity)
        except (Denied, Refused) as problem:  # another login's, or not what it was any more
            return str(problem)
    return None


def at_destination(place: Destination, original: str, *, identity: str | None) -> list[Remain]:
    """What lies at a place as a backup of this database begins, and has no manifest; that of one id, or all."""
    seen = place.begun(manifest.folder(original))
    parts = [(one, match) for one in seen for match in [_PART.match(one.name)] if match is not None]
    whole = {
        _archive(match)
        for one, match in parts
        if one.upload is None and not match["partial"] and match["rest"].endswith(MANIFEST_SUFFIX)
    }
    found: dict[t.Any, Remain] = {}
    for one, match in parts:
        is_unfinished = one.upload is not None or match["partial"]
        if not is_unfinished and _archive(match) in whole:
            continue
        run = _RANDOM.sub("", match["identity"]) or None
        if identity not in (None, run):
            continue
        is_inside = match["file"] is not None
        name = _archive(match) if is_inside else one.name
        kind = "archive" if is_inside else _kind(one, match)
        key = (kind, name) if is_inside else one
        before = found[key].begun if key in found else ()
        found[key] = Remain(kind, place.url(name), run, match["dump"], begun=(*before, one))
    return sorted(found.values(), key=lambda one: (one.name, one.kind))


def in_work_dir(directory: str, original: str, *, identity: str | None) -> list[Remain]:
    """Copies of archives that runs for this database were writing or reading on this host; those of one id, or all."""
    found = work_directory.left(directory, manifest.folder(original))
    return [Remain("work", path, run, original) for path, run in found if identity in (None, run)]


def _archive(match: re.Match[str]) -> str:
    return match["dump"] + (age.SUFFIX if age.SUFFIX in match["rest"] else "")


def _kind(one: Begun, match: re.Match[str]) -> str:
    if one.upload is not None:
        return "upload"
    if match["partial"]:
        return "partial"
    if match["record"]:
        return "record"
    return "roles" if match["rest"].startswith(ROLES_SUFFIX) else "archive"


def discard(
    cluster: Cluster,
    place: Destination | None,
    one: Remain,
    *,
    now: datetime.datetime,
    min_age: float,
    check_mode: bool = False,
) -> str | None:
    """Remove from a place what has no maker any more, on the server that is asked. None, or why it is left."""
    if one.kind == "work":
        return work_directory.discard(one.name, check_mode=check_mode)
    if cluster.is_locked(one.original):
        return "a run that is alive is at work on it"
    seconds = (now - max(begun.at for begun in one.begun)).total_seconds()
    if seconds < min_age:
        return f"it is {max(seconds, 0.0):.0f} s old, and is left for {min_age:.0f} s"
    if check_mode:
        return None
    try:
        for begun in one.begun:
            t.cast(Destination, place).discard(begun)
    except GoliveError as problem:
        return str(problem)
    return None


@contextlib.contextmanager
def at_work(cluster: Cluster, archive: str) -> t.Iterator[None]:
    """Say that we are alive while an archive of this name has no manifest."""
    archive = archive.removesuffix(age.SUFFIX)
    key = cluster.lock_key(archive)
    cluster.rows("select pg_catalog.pg_advisory_lock(%s)", (key,), f"Locking {archive}")
    try:
        yield
    finally:
        with contextlib.suppress(GoliveError):  # the lock ended with its session
            if not cluster.connection.closed:
                cluster.rows("select pg_catalog.pg_advisory_unlock(%s)", (key,), f"Unlocking {archive}")
