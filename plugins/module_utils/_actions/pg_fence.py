# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fence a database: nobody but us knows its name, until the fence is lifted.

Read-only defaults, connection limits and revoked grants each leave somebody writing: old sessions, owners, superusers.
Ending every session and renaming the database stops all of them. New connections are refused before sessions are
ended, since clients that reconnect win that race otherwise. What a kill leaves is found again by name and mark.

Method ``revoke`` keeps the name and takes CONNECT away. It ends nobody, so it stands only where nobody else is there: that
is looked at before and after, and again at each later call. A superuser who comes and goes between two looks is not seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import admission, capacity
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
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    Ended,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context

METHODS = ("rename", "revoke", "none")
#: A waiver for having no fence, with the words that a waiver for an item has.
WAIVER: Spec = {name: {"type": "str", "required": True} for name in ("owner", "approver", "reason", "expires")}

ARGUMENT_SPEC: Spec = compose(
    POSTGRES,
    RELEASE,
    {
        "state": {"type": "str", "choices": ["fenced", "inside", "lifted", "status"], "required": True},
        "method": {"type": "str", "choices": list(METHODS), "default": "rename"},
        "waiver": {"type": "dict", "options": WAIVER},
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
    def method(self) -> str | None:
        """How the fence that stands was made."""
        if self.state != "fenced":
            return None
        return "rename" if self.fenced is not None else "revoke"

    @property
    def behind(self) -> Database | None:
        """The database behind the fence, under the name that it has there."""
        if self.state != "fenced":
            return None
        return self.fenced if self.fenced is not None else self.live

    @property
    def state(self) -> str:
        """``open``, ``fencing`` (half way), ``fenced``, ``inside`` (only the application may connect), and what we refuse.

        That is ``both``, ``foreign`` (not our mark), ``other`` (another id's fence) and ``absent``.
        """
        if self.live is not None and self.fenced is not None:
            return "both"
        if self.fenced is not None:
            return "fenced" if self.fenced.is_ours(("fenced",), self.names.identity) else "foreign"
        if self.others:
            return "other"
        if self.live is None:
            return "absent"
        for kind, state in (("fencing", "fencing"), ("inside", "inside"), ("revoked", "fenced")):
            if self.live.is_ours((kind,), self.names.identity):
                return state
        return "open"

    @property
    def copy(self) -> Database | None:
        """The copy of this very fence; one that an earlier fence of the same id left is older than its data."""
        if self.before is None or self.behind is None or self.behind.mark is None:
            return None
        mark = self.before.mark if self.before.is_ours(("copy",), self.names.identity) else None
        fresh = mark is not None and mark.note.get("position") == self.behind.mark.note.get("position")
        return self.before if fresh else None


#: Marks of a fence that stands, or half stands, on the database itself.
_ON_THE_LIVE_NAME = ("fencing", "inside", "revoked")


def look(cluster: Cluster, names: Names) -> Seen:
    others = [
        one
        for one in cluster.marked(names.live)
        if one.mark is not None
        and one.mark.identity != names.identity
        and (one.mark.kind == "fenced" or (one.mark.kind in _ON_THE_LIVE_NAME and one.name == names.live))
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
            return status(cluster, look(cluster, names), params["application_roles"])
        if not context.check_mode:
            stack.enter_context(cluster.exclusive(live, doing="pg_fence"))
        seen = look(cluster, names)
        waived = None
        if params["method"] == "none" and params["state"] in ("fenced", "inside"):
            waived = accepted_waiver(params["waiver"], now=deadline.clock.now())
        call = Call(cluster, seen, context.check_mode, context.warn, params["application_roles"])
        if waived is not None and seen.state == "open":
            return unfenced(call, waived, copy=params["copy"])
        if params["state"] == "inside":
            return admit(call)
        if params["state"] == "fenced":
            if params["method"] == "revoke" and seen.method != "rename":
                return revoke(call, copy=params["copy"])
            return fence(call, copy=params["copy"])
        return lift(call)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call that may change something."""

    cluster: Cluster
    seen: Seen
    check_mode: bool
    warn: t.Callable[[str], None]
    #: Who is let in at ``inside``.
    roles: t.Sequence[str]

    @property
    def names(self) -> Names:
        return self.seen.names


def accepted_waiver(waiver: t.Mapping[str, t.Any] | None, *, now: datetime.datetime) -> dict[str, str]:
    """The waiver for having no fence. Raises Refused where there is none that counts, BadInput for an unreadable one."""
    if waiver is None:
        raise Refused(
            "Without a fence anybody may write between backup and migration, and nothing waives that.",
            remedy="Fence with method rename, or give a waiver with owner, approver, reason and expires.",
        )
    told = {name: str(waiver.get(name) or "").strip() for name in WAIVER}
    missing = [name for name, value in told.items() if not value]
    if missing:
        raise BadInput(f"The waiver for the fence has no {', '.join(missing)}.")
    if told["owner"].casefold() == told["approver"].casefold():
        raise Refused("The waiver for the fence is approved by its own owner; somebody else has to approve it.")
    try:
        expires = parse_utc(told["expires"])
    except ValueError:
        raise BadInput(
            f"The waiver for the fence expires at {told['expires']}, expected a time such as 2026-12-31T00:00:00Z."
        )
    if expires <= now:
        raise Refused(f"The waiver for the fence expired at {utc_text(expires)}.")
    return {**told, "expires": utc_text(expires)}


def _fence_of(cluster: Cluster, live: str) -> str:
    """The id of the fence that stands, for those who only ask."""
    marks = [one.mark for one in cluster.marked(live) if one.mark is not None]
    return next((mark.identity for mark in marks if mark.kind in ("fenced", *_ON_THE_LIVE_NAME)), "none")


def status(cluster: Cluster, seen: Seen, roles: t.Sequence[str]) -> dict[str, t.Any]:
    present = seen.live or seen.fenced
    sessions = cluster.sessions(present.name) if present is not None else []
    prepared = cluster.prepared_transactions(present.name) if present is not None else []
    others = foreign(sessions, _roles_inside(seen))
    missing = admission.missing_roles(cluster.connection, roles, deadline=cluster.deadline)
    return {
        "changed": False,
        "missing_roles": missing,
        "fence": {
            "state": seen.state,
            "method": seen.method,
            "database": seen.names.live,
            "fenced_database": seen.names.fenced if seen.behind is None else seen.behind.name,
            "copy_database": None if seen.copy is None else seen.copy.name,
            "id": seen.names.identity,
            "allows_connections": None if present is None else present.allows_connections,
            "others": [one.told() for one in seen.others],
            "databases": [one.told() for one in cluster.marked(seen.names.live)],
        },
        "sessions": sessions,
        "foreign_sessions": others,
        "prepared_transactions": prepared,
        "position": cluster.position(),
        "msg": f"{seen.names.live} is {seen.state}, with {len(sessions)} sessions, "
        f"{len(others)} of them foreign, and {len(prepared)} prepared transactions."
        + (f" The server has no role {', '.join(missing)}, which application_roles names." if missing else ""),
    }


def foreign(sessions: t.Sequence[t.Mapping[str, t.Any]], roles: t.Container[str] = ()) -> list[dict[str, t.Any]]:
    """Sessions that are not ours, by what they call themselves, nor of these roles."""
    return [
        dict(one) for one in sessions if not str(one["application"]).startswith("opsready") and one["user"] not in roles
    ]


def told_sessions(sessions: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """``postgres (psql at 10.0.0.7), …``: who it was, by user, application and address."""
    some = [
        f"{one['user']} ({one['application'] or one['kind'] or 'unnamed'} at {one['address']})" for one in sessions[:5]
    ]
    return ", ".join(some) + (f" and {len(sessions) - 5} more" if len(sessions) > 5 else "")


def _admission_of(database: Database | None) -> dict[str, t.Any]:
    """What was taken from whom, as the mark has it."""
    mark = None if database is None else database.mark
    return {} if mark is None else dict(mark.note.get("admission") or {})


def _roles_inside(seen: Seen) -> list[str]:
    """The application's roles, while only they may connect."""
    return list(_admission_of(seen.live).get("roles") or ()) if seen.state == "inside" else []


def _difference(seen: Seen, after: str) -> dict[str, str]:
    before = seen.fenced.name if seen.fenced is not None else seen.names.live
    return {"before": f"database: {before}\n", "after": f"database: {after}\n"}


def fence(call: Call, *, copy: bool) -> dict[str, t.Any]:
    """Fence; again after a kill, from where it stood. On failure the live name is open as before."""
    cluster, seen, names = call.cluster, call.seen, call.names
    require_clear(seen)
    complete = seen.method == "rename" and seen.fenced is not None and seen.fenced.allows_connections
    if complete and (seen.copy is not None or not copy):
        return _fenced_result(call, seen, changed=False, sessions=[], copy=_copy_told(seen.copy))
    present = t.cast(Database, seen.live or seen.fenced)
    # Who is let in later is looked for while everybody still is: neither the way on nor the way back goes without them.
    admission.require_roles(cluster.connection, call.roles, deadline=cluster.deadline)
    sessions = cluster.sessions(present.name)
    cluster.require_no_prepared_transactions(present.name)
    cluster.require_no_subscriptions(present.name)
    cluster.may_alter(present)
    if copy and seen.before is None:
        capacity.require_room_for_copy(cluster, present)
    if call.check_mode:
        return {
            "changed": True,
            "diff": _difference(seen, names.fenced),
            "sessions": sessions,
            "foreign_sessions": foreign(sessions, _roles_inside(seen)),
            "msg": f"Would end {len(sessions)} sessions and rename {present.name} to {names.fenced}.",
        }
    try:
        return _fence(call, present, sessions, copy=copy)
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
        return {"state": "unknown", "names": [names.live, names.fenced, names.before]}


def _fence(call: Call, present: Database, sessions: list[dict[str, t.Any]], *, copy: bool) -> dict[str, t.Any]:
    cluster, seen, names = call.cluster, call.seen, call.names
    clock = cluster.deadline.clock
    began = clock.monotonic()
    # A fencing mark says whose work it is, should we be killed between here and the rename.
    as_before = dataclasses.replace(present, allows_connections=True)
    copied: dict[str, t.Any] | None = None
    changed_grants: str | None = None
    try:
        if seen.state == "open":
            cluster.mark(present, "fencing", original=names.live, identity=names.identity)
        with closed(cluster, [as_before]) as ended:
            cluster.require_no_prepared_transactions(present.name)
            cluster.flush_log()  # what was committed without waiting for the disk lies before the position, too
            position = cluster.position()
            if seen.fenced is None:
                with cluster.together(f"Renaming {names.live}"):
                    cluster.rename(names.live, names.fenced)
                    admitted = _admission_of(present)
                    if admitted:
                        changed_grants = admission.widen(cluster, names.fenced, admitted)
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
    if changed_grants is not None:
        call.warn(changed_grants)
    if copy:
        try:
            copied = _copy(cluster, look(cluster, names))
        finally:
            with uninterrupted():
                cluster.settle()
                cluster.allow_connections(names.fenced, True)
    now = look(cluster, names)
    if now.fenced is None or not now.fenced.allows_connections:
        raise ActionFailed(f"{names.fenced} is not there after the rename, or refuses connections.")
    result = _fenced_result(call, now, changed=True, sessions=sessions, copy=copied)
    result["diff"] = _difference(seen, names.fenced)
    result["ended_sessions"] = ended
    result["seconds"] = {"fence": round(down_to_fence, 3), "total": round(clock.monotonic() - began, 3)}
    return result


def revoke(call: Call, *, copy: bool) -> dict[str, t.Any]:
    """Fence by taking CONNECT away; only where nobody else is there. On failure everything is as before."""
    cluster, seen, names = call.cluster, call.seen, call.names
    require_clear(seen)
    present = t.cast(Database, seen.live)
    if seen.state == "fencing":
        raise Refused(f"A fence by renaming {names.live} was begun.", remedy="Finish or lift that one first.")
    require_nobody_else(cluster, names.live)
    cluster.require_no_subscriptions(names.live)
    stands = seen.state == "fenced"
    if stands and (seen.copy is not None or not copy):
        return _fenced_result(call, seen, changed=False, sessions=[], copy=_copy_told(seen.copy))
    admission.require_roles(cluster.connection, call.roles, deadline=cluster.deadline)
    cluster.may_alter(present)
    if copy and seen.before is None:
        capacity.require_room_for_copy(cluster, present)
    if call.check_mode:
        return {
            "changed": True,
            "diff": _grants_difference(
                "grants as they were" if not stands else "CONNECT for us alone", "CONNECT for us alone"
            ),
            "sessions": cluster.sessions(names.live),
            "foreign_sessions": [],
            "msg": f"Would take CONNECT on {names.live} from everybody but us.",
        }
    clock = cluster.deadline.clock
    began = clock.monotonic()
    try:
        if not stands:
            _take_connect(call, present)
        down_to_fence = clock.monotonic() - began
        now = look(cluster, names)
        copied = _copy(cluster, now) if copy else None
        if copy:
            require_nobody_else(cluster, names.live)
    except (GoliveError, Ended) as problem:
        problem.known.setdefault("left", _left(cluster, names))
        raise
    result = _fenced_result(call, now, changed=True, sessions=[], copy=copied)
    result["diff"] = _grants_difference("grants as they were", "CONNECT for us alone")
    result["ended_sessions"] = []
    result["seconds"] = {"fence": round(down_to_fence, 3), "total": round(clock.monotonic() - began, 3)}
    return result


def _take_connect(call: Call, present: Database) -> None:
    cluster, names = call.cluster, call.names
    before = _admission_of(present)
    ourselves = cluster.rows("select current_user::text", None, "Reading us")[0][0]
    taken: dict[str, t.Any] = {}
    try:
        with cluster.together(f"Taking CONNECT on {names.live} away"):
            changed_grants = admission.widen(cluster, names.live, before) if before else None
            taken.update(admission.narrow(cluster, names.live, [ourselves]))
            _mark_revoked(cluster, names, present, taken)
        cluster.await_starting_sessions(present.oid, names.live)
        require_nobody_else(cluster, names.live)
        # The position of the mark is where the fence stood: after the last session that was let in had shown itself.
        _mark_revoked(cluster, names, present, taken)
    except BaseException:
        with uninterrupted(), contextlib.suppress(GoliveError):
            cluster.settle()
            now = cluster.find(names.live)
            if now is not None and now.is_ours(("revoked",), names.identity):
                with cluster.together(f"Giving back CONNECT on {names.live}"):
                    admission.widen(cluster, names.live, taken or _admission_of(now))
                    if before:
                        admission.narrow(cluster, names.live, list(before["roles"]))
                    cluster.write_comment(names.live, present.comment)
        raise
    if changed_grants is not None:
        call.warn(changed_grants)


def _mark_revoked(cluster: Cluster, names: Names, present: Database, taken: t.Mapping[str, t.Any]) -> None:
    cluster.flush_log()
    note = {"position": cluster.position(), "admission": dict(taken)}
    cluster.mark(present, "revoked", original=names.live, identity=names.identity, note=note)


def require_nobody_else(cluster: Cluster, name: str) -> None:
    """Raises Refused naming the sessions and prepared transactions on the database that are not ours."""
    others = foreign(cluster.sessions(name))
    if others:
        raise Refused(
            f"{len(others)} other sessions are on {name}, and revoking CONNECT does not end them: {told_sessions(others)}.",
            remedy="End them and keep them away, or fence with method rename.",
            known={"foreign_sessions": others},
        )
    cluster.require_no_prepared_transactions(name)


def _grants_difference(before: str, after: str) -> dict[str, str]:
    return {"before": before + "\n", "after": after + "\n"}


def unfenced(call: Call, waived: t.Mapping[str, str], *, copy: bool) -> dict[str, t.Any]:
    """No fence, since that was waived; said on each run."""
    cluster, names = call.cluster, call.names
    if copy:
        raise BadInput("A copy needs a fence: what others write meanwhile would not be in it.")
    live = t.cast(Database, call.seen.live)
    sessions = cluster.sessions(names.live)
    others = foreign(sessions)
    text = (
        f"{names.live} is not fenced, as {waived['owner']} asked and {waived['approver']} approved: {waived['reason']}. "
        f"{len(others)} foreign sessions may write"
    )
    call.warn(text + (f": {told_sessions(others)}." if others else "."))
    return {
        "changed": False,
        "method": "none",
        "waiver": dict(waived),
        "database": names.live,
        "fenced_database": names.live,
        "oid": live.oid,
        "position": cluster.position(),
        "sessions": sessions,
        "foreign_sessions": others,
        "copy": None,
        "msg": text + ".",
    }


def _copy(cluster: Cluster, seen: Seen) -> dict[str, t.Any]:
    """The fast way back: a template copy made of files, closed, so that nobody writes into it."""
    began = cluster.deadline.clock.monotonic()
    names, source, present = seen.names, seen.behind, seen.before
    if source is None or source.mark is None:
        raise ActionFailed(f"{names.fenced} is gone.")
    if present is not None and seen.copy is None:
        if present.is_unmarked_of(names.live):  # we were killed between making the copy and marking it
            cluster.mark(present, "copy", original=names.live, identity=names.identity)
        elif not present.is_ours(("copy",), names.identity):
            raise Refused(f"{names.before} exists, and does not carry our mark; it is left alone.")
        cluster.drop_ours(names.before, present.oid, names.identity, kinds=("copy",))
        present = None
    if present is None:
        present = cluster.create(names.before, owner=source.owner, template=source.name, original=names.live)
    note = {"position": source.mark.note.get("position")}
    with cluster.together(f"Marking {names.before}"):
        cluster.mark(present, "copy", original=names.live, identity=names.identity, note=note)
        cluster.unclaim(names.before)
    told = t.cast("dict[str, t.Any]", _copy_told(present))
    told["seconds"] = round(cluster.deadline.clock.monotonic() - began, 3)
    return told


def _copy_told(copy: Database | None) -> dict[str, t.Any] | None:
    return None if copy is None else {"name": copy.name, "oid": copy.oid, "size_bytes": copy.size_bytes}


def _fenced_result(
    call: Call, now: Seen, *, changed: bool, sessions: list[dict[str, t.Any]], copy: dict[str, t.Any] | None
) -> dict[str, t.Any]:
    """``now`` is what stands after the call; ``call.seen`` is what stood before."""
    names, behind = call.names, now.behind
    if behind is None:
        raise ActionFailed(f"{names.live} is {now.state}, although it was just fenced.")
    position = {} if behind.mark is None else dict(behind.mark.note.get("position") or {})
    others = foreign(sessions, _roles_inside(call.seen))
    if behind.name == names.live:
        text = f"{names.live} is fenced: only we may connect, and nobody else is there."
    else:
        text = f"{names.live} is fenced as {behind.name}; {len(sessions)} sessions were ended, {len(others)} of them foreign."
    return {
        "changed": changed,
        "method": now.method,
        "database": names.live,
        "fenced_database": behind.name,
        "oid": behind.oid,
        "position": position or call.cluster.position(),
        "sessions": sessions,
        "foreign_sessions": others,
        "copy": copy,
        "msg": text if changed else f"{names.live} was fenced already as {behind.name}.",
    }


def admit(call: Call) -> dict[str, t.Any]:
    """Give the database its live name back, and let nobody connect but the application's roles."""
    cluster, seen, names, roles = call.cluster, call.seen, call.names, call.roles
    if seen.state == "inside" and set(_roles_inside(seen)) == set(roles):
        return _admitted(call, changed=False, ended=[])
    require_clear(seen)
    present = seen.live if seen.state == "inside" else seen.behind
    if present is None or present.mark is None:
        raise Refused(f"{names.live} is {seen.state}, not fenced: others may have written.", remedy="Fence it first.")
    cluster.require_no_prepared_transactions(present.name)
    if seen.method == "revoke":
        require_nobody_else(cluster, names.live)
    if call.check_mode:
        return {**_admitted(call, changed=True, ended=[]), "diff": _admission_difference(call)}
    cluster.may_alter(present)
    note = {key: value for key, value in present.mark.note.items() if key == "position"}
    ended: list[dict[str, t.Any]] = []
    changed_grants: str | None = None
    with contextlib.ExitStack() as stack:
        if seen.method == "rename":
            as_before = dataclasses.replace(present, allows_connections=True)
            ended = stack.enter_context(closed(cluster, [as_before]))
        stack.enter_context(cluster.together(f"Letting {', '.join(roles)} into {names.live}"))
        if seen.method == "rename":
            cluster.rename(names.fenced, names.live)
        elif _admission_of(present):
            changed_grants = admission.widen(cluster, names.live, _admission_of(present))
        note["admission"] = admission.narrow(cluster, names.live, roles)
        cluster.mark(present, "inside", original=names.live, identity=names.identity, name=names.live, note=note)
        if seen.method == "rename":
            cluster.allow_connections(names.live, True)
    if changed_grants is not None:
        call.warn(changed_grants)
    others = foreign(ended)
    if others:
        call.warn(
            f"{len(others)} sessions that are not ours had found {present.name} behind the fence, and were ended: "
            f"{told_sessions(others)}. What they wrote since the backup is in no backup."
        )
    return {**_admitted(call, changed=True, ended=ended), "diff": _admission_difference(call)}


def _admission_difference(call: Call) -> dict[str, str]:
    if call.seen.fenced is not None:
        return _difference(call.seen, call.names.live)
    before = _admission_of(call.seen.live).get("roles") or ()
    return _grants_difference(f"CONNECT for {', '.join(before)}", f"CONNECT for {', '.join(call.roles)}")


def _admitted(call: Call, *, changed: bool, ended: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    names, roles = call.names, call.roles
    return {
        "changed": changed,
        "database": names.live,
        "fenced_database": names.fenced if call.seen.behind is None else call.seen.behind.name,
        "application_roles": list(roles),
        "foreign_sessions": foreign(call.cluster.sessions(names.live), roles),
        "ended_sessions": ended,
        "msg": f"{names.live} has its name back; only {', '.join(roles)} may connect, and superusers.",
    }


def lift(call: Call) -> dict[str, t.Any]:
    """Give the database its live name and its grants back; nothing to do where it has them."""
    cluster, seen, names = call.cluster, call.seen, call.names
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
    if call.check_mode:
        result = _lifted(names, changed=True, ended=[])
        result["msg"] = f"Would let everybody connect to {names.live} as before."
        return {**result, "diff": _difference(seen, names.live)}
    cluster.may_alter(present)
    cluster.require_no_prepared_transactions(present.name)
    if seen.fenced is None:
        return _open(call, present)
    with (
        closed(cluster, [dataclasses.replace(present, allows_connections=True)]) as ended,
        cluster.together(f"Renaming {names.fenced}"),
    ):
        cluster.rename(names.fenced, names.live)
        cluster.write_comment(names.live, present.own_comment)
        cluster.allow_connections(names.live, True)
    return {**_lifted(names, changed=True, ended=ended), "diff": _difference(seen, names.live)}


def _open(call: Call, present: Database) -> dict[str, t.Any]:
    """Lift where the live name is back already, or was never taken."""
    cluster, seen, names = call.cluster, call.seen, call.names
    others = [] if seen.state == "fencing" else foreign(cluster.sessions(names.live), _roles_inside(seen))
    ended = _end_strangers(call, others) if others else []
    changed_grants = None
    with cluster.together(f"Opening {names.live}"):
        if _admission_of(present):
            changed_grants = admission.widen(cluster, names.live, _admission_of(present))
        cluster.write_comment(names.live, present.own_comment)
        if seen.state == "fencing":
            cluster.allow_connections(names.live, True)
    if changed_grants is not None:
        call.warn(changed_grants)
    result = {**_lifted(names, changed=True, ended=ended), "diff": _difference(seen, names.live)}
    return {**result, "foreign_sessions": others}


def _end_strangers(call: Call, others: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """End who was there although nobody but the application was let in, and say so."""
    names = call.names
    text = f"{len(others)} sessions were on {names.live} before it was opened: {told_sessions(others)}."
    try:
        ended = call.cluster.end_sessions(names.live, pids={int(one["pid"]) for one in others})
    except (Denied, UnexpectedAnswer) as problem:
        call.warn(f"{text} They go on, since they could not be ended: {problem}")
        return []
    call.warn(f"{text} They were ended; what they had written stays.")
    return ended


def _lifted(names: Names, *, changed: bool, ended: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    return {
        "changed": changed,
        "database": names.live,
        "fenced_database": names.fenced,
        "ended_sessions": ended,
        "foreign_sessions": [],
        "msg": f"The fence is lifted: everybody may connect to {names.live} as before."
        if changed
        else f"{names.live} is not fenced.",
    }
