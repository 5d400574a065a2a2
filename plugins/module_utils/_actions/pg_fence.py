# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fence a database: nobody but us knows its name, until the fence is lifted.

Read-only defaults, connection limits and revoked grants each leave somebody writing: old sessions, owners, superusers.
Ending every session and renaming the database stops all of them. New connections are refused before sessions are
ended, since clients that reconnect win that race otherwise. What a kill leaves is found again by name and mark.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import admission
from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    Cluster,
    Database,
    closed,
    cluster_of,
    derived_name,
    maintenance_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import POSTGRES, RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Ended,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context

ARGUMENT_SPEC: Spec = compose(
    POSTGRES,
    RELEASE,
    {
        "state": {"type": "str", "choices": ["fenced", "inside", "lifted", "status"], "required": True},
        "database": {"type": "str"},
        "fence_id": {"type": "str"},
        "copy": {"type": "bool", "default": False},
        "application_roles": {"type": "list", "elements": "str", "default": []},
        "maintenance_database": {"type": "str"},
        "timeout": {"type": "float", "default": 600.0},
    },
)


@dataclasses.dataclass(frozen=True)
class Names:
    """The live name, and the two that a fence gives."""

    live: str
    identity: str
    fenced: str
    before: str

    @staticmethod
    def of(live: str, identity: str) -> Names:
        return Names(live, identity, derived_name(live, "golive", identity), derived_name(live, "before", identity))


@dataclasses.dataclass(frozen=True)
class Seen:
    """Which of the names exist, and as what."""

    names: Names
    live: Database | None
    fenced: Database | None
    before: Database | None
    others: t.Sequence[Database]

    @property
    def state(self) -> str:
        """``open``, ``fencing`` (half way), ``fenced``, ``inside`` (only the application may connect), and what we refuse.

        That is ``both``, ``foreign`` (not our mark), ``other`` (another id's fence) and ``absent``.
        """
        if self.live is not None and self.fenced is not None:
            return "both"
        if self.fenced is not None:
            return "fenced" if self.fenced.is_ours(("fenced",), self.names.identity) else "foreign"
        if self.live is not None:
            for kind in ("fencing", "inside"):
                if self.live.is_ours((kind,), self.names.identity):
                    return kind
            return "open"
        return "other" if self.others else "absent"

    @property
    def copy(self) -> Database | None:
        """The copy of this very fence; one that an earlier fence of the same id left is older than its data."""
        if self.before is None or self.fenced is None or self.fenced.mark is None:
            return None
        mark = self.before.mark if self.before.is_ours(("copy",), self.names.identity) else None
        fresh = mark is not None and mark.note.get("position") == self.fenced.mark.note.get("position")
        return self.before if fresh else None


def look(cluster: Cluster, names: Names) -> Seen:
    others = [
        one
        for one in cluster.marked(names.live)
        if one.mark is not None and one.mark.kind == "fenced" and one.mark.identity != names.identity
    ]
    return Seen(names, cluster.find(names.live), cluster.find(names.fenced), cluster.find(names.before), others)


def require_clear(seen: Seen) -> None:
    """Raises Refused or UnexpectedAnswer for every state in which we cannot know what to do."""
    names = seen.names
    if seen.state == "both" and seen.live is not None and seen.fenced is not None:
        raise Refused(
            f"Both {names.live} (OID {seen.live.oid}, {seen.live.size_bytes} bytes, marked "
            f"{_kind(seen.live)}) and {names.fenced} (OID {seen.fenced.oid}, {seen.fenced.size_bytes} bytes, marked "
            f"{_kind(seen.fenced)}) exist.",
            remedy=f"The second holds the fenced data. Somebody made {names.live} since: rename that one away first.",
            known={"live": seen.live.told(), "fenced": seen.fenced.told()},
        )
    if seen.state == "foreign":
        raise Refused(f"{names.fenced} exists, and does not carry our mark; it is left alone.")
    if seen.state == "other":
        told = ", ".join(f"{one.name} (fence {one.mark.identity if one.mark else ''})" for one in seen.others)
        raise Refused(
            f"{names.live} is fenced by another release: {told}.",
            remedy="Settle that release first: status tells where it stands.",
            known={"others": [one.told() for one in seen.others]},
        )
    if seen.state == "absent":
        raise UnexpectedAnswer(f"There is neither a database {names.live} nor {names.fenced}.")


def _kind(database: Database) -> str:
    return database.mark.kind if database.mark is not None else "not as ours"


def body(context: Context) -> dict[str, t.Any]:
    params = context.params
    deadline = Deadline(params["timeout"])
    live = params["database"] or postgres.database_of(params["dsn"])
    with contextlib.ExitStack() as stack:
        if params["state"] == "status":
            token = None if params["release"] is None else fencing.Token.parse(params["release"])
        else:
            token = stack.enter_context(fencing.held(params["release"], doing=f"pg_fence {params['state']}"))
        identity = params["fence_id"] or (None if token is None else token.release)
        if not identity and params["state"] != "status":
            raise BadInput("Neither release nor fence_id is given.", remedy="The fenced name is made of it.")
        opened = cluster_of(
            params["dsn"],
            password=params["password"],
            maintenance=maintenance_name(live, params["maintenance_database"]),
            deadline=deadline,
            application_name="opsready" if token is None else token.application_name,
        )
        cluster = stack.enter_context(opened)
        names = Names.of(live, identity or _fence_of(cluster, live))
        if params["state"] == "status":
            return status(cluster, look(cluster, names))
        if not context.check_mode:
            stack.enter_context(cluster.exclusive(live, doing="pg_fence"))
        seen = look(cluster, names)
        if params["state"] == "inside":
            return admit(cluster, seen, params["application_roles"], check_mode=context.check_mode)
        if params["state"] == "fenced":
            return fence(cluster, seen, copy=params["copy"], check_mode=context.check_mode)
        return lift(cluster, seen, check_mode=context.check_mode)


def _fence_of(cluster: Cluster, live: str) -> str:
    """The id of the fence that stands, for those who only ask."""
    marks = [one.mark for one in cluster.marked(live) if one.mark is not None]
    return next((mark.identity for mark in marks if mark.kind in ("fenced", "fencing", "inside")), "none")


def status(cluster: Cluster, seen: Seen) -> dict[str, t.Any]:
    present = seen.live or seen.fenced
    sessions = cluster.sessions(present.name) if present is not None else []
    prepared = cluster.prepared_transactions(present.name) if present is not None else []
    return {
        "changed": False,
        "fence": {
            "state": seen.state,
            "database": seen.names.live,
            "fenced_database": seen.names.fenced,
            "copy_database": None if seen.copy is None else seen.copy.name,
            "id": seen.names.identity,
            "allows_connections": None if present is None else present.allows_connections,
            "others": [one.told() for one in seen.others],
            "databases": [one.told() for one in cluster.marked(seen.names.live)],
        },
        "sessions": sessions,
        "foreign_sessions": foreign(sessions),
        "prepared_transactions": prepared,
        "position": cluster.position(),
        "msg": f"{seen.names.live} is {seen.state}, with {len(sessions)} sessions, "
        f"{len(foreign(sessions))} of them foreign, and {len(prepared)} prepared transactions.",
    }


def foreign(sessions: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Sessions that are not ours, by what they call themselves."""
    return [dict(one) for one in sessions if not str(one["application"]).startswith("opsready")]


def _difference(seen: Seen, after: str) -> dict[str, str]:
    before = seen.fenced.name if seen.fenced is not None else seen.names.live
    return {"before": f"database: {before}\n", "after": f"database: {after}\n"}


def fence(cluster: Cluster, seen: Seen, *, copy: bool, check_mode: bool) -> dict[str, t.Any]:
    """Fence; again after a kill, from where it stood. On failure the live name is open as before."""
    require_clear(seen)
    names = seen.names
    complete = seen.state == "fenced" and seen.fenced is not None and seen.fenced.allows_connections
    if complete and (seen.copy is not None or not copy) and seen.fenced is not None:
        return _fenced_result(cluster, seen.fenced, names, changed=False, sessions=[], copy=_copy_told(seen.copy))
    present = t.cast(Database, seen.live or seen.fenced)
    sessions = cluster.sessions(present.name)
    cluster.require_no_prepared_transactions(present.name)
    cluster.may_alter(present)
    if check_mode:
        return {
            "changed": True,
            "diff": _difference(seen, names.fenced),
            "sessions": sessions,
            "foreign_sessions": foreign(sessions),
            "msg": f"Would end {len(sessions)} sessions and rename {present.name} to {names.fenced}.",
        }
    try:
        return _fence(cluster, seen, present, sessions, copy=copy)
    except (GoliveError, Ended) as problem:
        problem.known.setdefault("sessions", sessions)
        problem.known.setdefault("left", _left(cluster, names))
        raise


def _left(cluster: Cluster, names: Names) -> dict[str, t.Any]:
    """How things stand after a failure, as far as it can be asked."""
    try:
        cluster.settle()
        return {"state": look(cluster, names).state}
    except GoliveError:
        return {"state": "unknown"}


def _fence(
    cluster: Cluster, seen: Seen, present: Database, sessions: list[dict[str, t.Any]], *, copy: bool
) -> dict[str, t.Any]:
    names = seen.names
    clock = cluster.deadline.clock
    began = clock.monotonic()
    # A fencing mark says whose work it is, should we be killed between here and the rename.
    as_before = dataclasses.replace(present, allows_connections=True)
    if seen.state == "open":
        cluster.mark(present, "fencing", original=names.live, identity=names.identity)
    position = cluster.position()
    copied: dict[str, t.Any] | None = None
    try:
        with closed(cluster, [as_before]) as ended:
            cluster.require_no_prepared_transactions(present.name)
            position = cluster.position()
            if seen.state != "fenced":
                with cluster.together(f"Renaming {names.live}"):
                    cluster.rename(names.live, names.fenced)
                    if seen.state == "inside" and present.mark is not None:
                        admission.widen(cluster, names.fenced, present.mark.note.get("admission") or {})
                    cluster.mark(
                        present,
                        "fenced",
                        original=names.live,
                        identity=names.identity,
                        name=names.fenced,
                        note={"position": position},
                    )
                    if not copy:
                        cluster.allow_connections(names.fenced, True)
            elif not copy:
                cluster.allow_connections(names.fenced, True)
            down_to_fence = clock.monotonic() - began
    except BaseException:
        if seen.state == "open":
            with uninterrupted(), contextlib.suppress(GoliveError):
                cluster.settle()
                cluster.write_comment(names.live, present.own_comment)
        raise
    if copy:
        try:
            copied = _copy(cluster, look(cluster, names))
        finally:
            with uninterrupted():
                cluster.settle()
                cluster.allow_connections(names.fenced, True)
    fenced = cluster.find(names.fenced)
    if fenced is None or not fenced.allows_connections:
        raise ActionFailed(f"{names.fenced} is not there after the rename, or refuses connections.")
    result = _fenced_result(cluster, fenced, names, changed=True, sessions=sessions, copy=copied)
    result["diff"] = _difference(seen, names.fenced)
    result["ended_sessions"] = ended
    result["seconds"] = {"fence": round(down_to_fence, 3), "total": round(clock.monotonic() - began, 3)}
    return result


def _copy(cluster: Cluster, seen: Seen) -> dict[str, t.Any]:
    """The fast way back: a template copy made of files, closed, so that nobody writes into it."""
    began = cluster.deadline.clock.monotonic()
    names, source, present = seen.names, seen.fenced, seen.before
    if source is None or source.mark is None:
        raise ActionFailed(f"{names.fenced} is gone.")
    if present is not None and seen.copy is None:
        if present.is_unclaimed:  # we were killed between making the copy and marking it
            cluster.mark(present, "copy", original=names.live, identity=names.identity)
        elif not present.is_ours(("copy",), names.identity):
            raise Refused(f"{names.before} exists, and does not carry our mark; it is left alone.")
        cluster.drop_ours(names.before, present.oid, names.identity, kinds=("copy",))
        present = None
    if present is None:
        present = cluster.create(names.before, owner=source.owner, template=names.fenced)
    note = {"position": source.mark.note.get("position")}
    cluster.mark(present, "copy", original=names.live, identity=names.identity, note=note)
    told = t.cast("dict[str, t.Any]", _copy_told(present))
    told["seconds"] = round(cluster.deadline.clock.monotonic() - began, 3)
    return told


def _copy_told(copy: Database | None) -> dict[str, t.Any] | None:
    return None if copy is None else {"name": copy.name, "oid": copy.oid, "size_bytes": copy.size_bytes}


def _fenced_result(
    cluster: Cluster,
    fenced: Database,
    names: Names,
    *,
    changed: bool,
    sessions: list[dict[str, t.Any]],
    copy: dict[str, t.Any] | None,
) -> dict[str, t.Any]:
    position = dict(fenced.mark.note.get("position") or {}) if fenced.mark is not None else {}
    others = foreign(sessions)
    return {
        "changed": changed,
        "database": names.live,
        "fenced_database": names.fenced,
        "oid": fenced.oid,
        "position": position or cluster.position(),
        "sessions": sessions,
        "foreign_sessions": others,
        "copy": copy,
        "msg": f"{names.live} is fenced as {names.fenced}; {len(sessions)} sessions were ended, "
        f"{len(others)} of them foreign."
        if changed
        else f"{names.live} was fenced already as {names.fenced}.",
    }


def admit(cluster: Cluster, seen: Seen, roles: t.Sequence[str], *, check_mode: bool) -> dict[str, t.Any]:
    """Give the database its live name back, and let nobody connect but the application's roles."""
    names = seen.names
    if seen.state == "inside":
        return _admitted(cluster, names, roles, changed=False)
    require_clear(seen)
    if seen.state != "fenced" or seen.fenced is None or seen.fenced.mark is None:
        raise Refused(f"{names.live} is {seen.state}, not fenced: others may have written.", remedy="Fence it first.")
    present = seen.fenced
    if check_mode:
        return {**_admitted(cluster, names, roles, changed=True), "diff": _difference(seen, names.live)}
    cluster.may_alter(present)
    note = {key: value for key, value in seen.fenced.mark.note.items() if key == "position"}
    with (
        closed(cluster, [dataclasses.replace(present, allows_connections=True)]),
        cluster.together(f"Renaming {names.fenced}"),
    ):
        cluster.rename(names.fenced, names.live)
        note["admission"] = admission.narrow(cluster, names.live, roles)
        cluster.mark(present, "inside", original=names.live, identity=names.identity, name=names.live, note=note)
        cluster.allow_connections(names.live, True)
    return {**_admitted(cluster, names, roles, changed=True), "diff": _difference(seen, names.live)}


def _admitted(cluster: Cluster, names: Names, roles: t.Sequence[str], *, changed: bool) -> dict[str, t.Any]:
    strangers = [one for one in foreign(cluster.sessions(names.live)) if one["user"] not in roles]
    return {
        "changed": changed,
        "database": names.live,
        "fenced_database": names.fenced,
        "application_roles": list(roles),
        "foreign_sessions": strangers,
        "msg": f"{names.live} has its name back; only {', '.join(roles)} may connect, and superusers.",
    }


def lift(cluster: Cluster, seen: Seen, *, check_mode: bool) -> dict[str, t.Any]:
    """Give the database its live name back; nothing to do where it has it."""
    names = seen.names
    if seen.state == "open" and seen.live is not None:
        changed = not seen.live.allows_connections
        if changed:
            raise Refused(
                f"{names.live} refuses connections, and does not carry our mark.",
                remedy="Somebody else closed it: ALTER DATABASE … ALLOW_CONNECTIONS true when that is right.",
            )
        return _lifted(names, changed=False, ended=[])
    require_clear(seen)
    present = t.cast(Database, seen.fenced or seen.live)
    if check_mode:
        result = _lifted(names, changed=True, ended=[])
        return {**result, "diff": _difference(seen, names.live), "msg": f"Would rename {present.name} to {names.live}."}
    cluster.may_alter(present)
    cluster.require_no_prepared_transactions(present.name)
    if seen.state == "inside":
        note = present.mark.note if present.mark is not None else {}
        with cluster.together(f"Opening {names.live}"):
            admission.widen(cluster, names.live, note.get("admission") or {})
            cluster.write_comment(names.live, present.own_comment)
        return {**_lifted(names, changed=True, ended=[]), "diff": _difference(seen, names.live)}
    if seen.state == "fencing":
        with cluster.together(f"Opening {names.live}"):
            cluster.write_comment(names.live, present.own_comment)
            cluster.allow_connections(names.live, True)
        return {**_lifted(names, changed=True, ended=[]), "diff": _difference(seen, names.live)}
    with (
        closed(cluster, [dataclasses.replace(present, allows_connections=True)]) as ended,
        cluster.together(f"Renaming {names.fenced}"),
    ):
        cluster.rename(names.fenced, names.live)
        cluster.write_comment(names.live, present.own_comment)
        cluster.allow_connections(names.live, True)
    return {**_lifted(names, changed=True, ended=ended), "diff": _difference(seen, names.live)}


def _lifted(names: Names, *, changed: bool, ended: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    return {
        "changed": changed,
        "database": names.live,
        "fenced_database": names.fenced,
        "ended_sessions": ended,
        "msg": f"The fence is lifted: {names.fenced} is {names.live} again."
        if changed
        else f"{names.live} is not fenced.",
    }
