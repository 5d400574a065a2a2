# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Begin, journal, end and read a release; the lock and its token make it the only one of its system."""

from __future__ import annotations

import getpass
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    downtime_probe,
    journal,
    release_gates,
    release_ledger,
    release_status,
    release_steps,
    rollback_document,
    rollback_plan,
    sign_offs,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import (
    Record,
    maintenance_windows,
    measured_from,
    steps_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.settlement import (
    FINISH,
    lost_in_words,
    readers_in_words,
    schema_in_words,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context, Result

_STEP_STATUSES = ["done", "failed", "undone", "skipped"]
#: Names the step that is open, whichever it is.
CURRENT = "current"
OUTCOMES = ["live", "rolled_back", "left_on", "aborted"]

ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "state": {
            "type": "str",
            "required": True,
            "choices": ["begun", "planned", "judged", "step", "settled", "ended", "read", "claimed", "signed"],
        },
        "system": {"type": "str", "required": True},
        "state_dir": {"type": "path", "required": True},
        "version": {"type": "str"},
        "verdict": {"type": "dict"},
        "verdict_max_age": {"type": "float", "default": 3600.0},
        "subject": {
            "type": "dict",
            "options": {
                "artefacts": {"type": "dict", "default": {}},
                "migration_preview": {"type": "str", "default": ""},
                "checklist_sha256": {"type": "str", "default": ""},
                "system_file_sha256": {"type": "str", "default": ""},
                "hosts_sha256": {"type": "str", "default": ""},
            },
        },
        "redeploy": {"type": "bool", "default": False},
        "operator": {"type": "str"},
        "job": {"type": "str"},
        "takeover": {"type": "str"},
        "damaged_journal": {"type": "str", "choices": ["refuse", "set_aside"], "default": "refuse"},
        "services": {"type": "dict"},
        "migration": {"type": "dict"},
        "way_back": {"type": "dict"},
        "downtime_budget": {"type": "float"},
        "way_out": {"type": "list", "elements": "str", "default": []},
        "closes": {
            "type": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "status": {"type": "str", "choices": _STEP_STATUSES, "default": "done"},
                "detail": {"type": "str", "default": ""},
                "known": {"type": "dict", "default": {}},
            },
        },
        "opens": {
            "type": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "direction": {"type": "str", "choices": ["forward", "back"], "default": "forward"},
            },
        },
        "probe": {"type": "path"},
        "outcome": {"type": "str", "choices": OUTCOMES},
        "detail": {"type": "str", "default": ""},
        "world": {"type": "dict", "default": {}},
        "tells": {"type": "str", "choices": ["always", "open", "ledger"], "default": "always"},
        "sign_off": {
            "type": "dict",
            "options": {
                "item": {"type": "str", "required": True},
                "team": {"type": "str", "required": True},
                "name": {"type": "str", "required": True},
                "digest": {"type": "str"},
                "valid_seconds": {"type": "float"},
                "details": {"type": "dict"},
            },
        },
    },
)
REQUIRED_IF = [
    ("state", "begun", ["version", "verdict", "subject"]),
    ("state", "planned", ["release", "services"]),
    ("state", "judged", ["verdict"]),
    ("state", "step", ["release"]),
    ("state", "settled", ["release"]),
    ("state", "ended", ["release", "outcome"]),
    ("state", "claimed", ["takeover"]),
    ("state", "signed", ["sign_off"]),
]

Params = t.Mapping[str, t.Any]


def body(context: Context) -> Result:
    """The module's work."""
    params = context.params
    record = Record(params["state_dir"], params["system"])
    work: dict[str, t.Callable[[Context, Record], Result]] = {
        "begun": _begun,
        "planned": _planned,
        "judged": _judged,
        "step": _step,
        "settled": _settled,
        "ended": _ended,
        "read": release_status.read,
        "claimed": _claimed,
        "signed": sign_offs.signed,
    }
    return work[params["state"]](context, record)


def _owner(params: Params) -> dict[str, t.Any]:
    return {
        "operator": params["operator"] or _user(),
        "job": params["job"] or "",
        "host": os.uname().nodename,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"


def _begun(context: Context, record: Record) -> Result:
    params = context.params
    verdict = params["verdict"]
    release_gates.require_go(
        verdict,
        now_text=utc_text(record.clock.now()),
        max_age_seconds=params["verdict_max_age"],
        check_mode=context.check_mode,
    )
    release_gates.require_subject(verdict, params)
    if context.check_mode:
        release_gates.refuse_a_second(params, record)
        release_gates.refuse_what_serves(params, record)
        return {"changed": True, "msg": f"Release of {params['system']} {params['version']} would begin."}
    record.create()
    with record.exclusively():
        _clear_dismissed_lock(record)
        release_gates.refuse_a_second(params, record)
        release_gates.refuse_what_serves(params, record)
        release = record.new_id()
        begun = {"event": "begun", **_owner(params), "version": params["version"], "digest": verdict["digest"]}
        try:
            _make_folder(record.folder(release))
            _make_folder(os.path.join(record.folder(release), "report"))
            record.reserve_room()
            token = record.take(release, owner=_owner(params), version=params["version"])
            record.write(release, "verdict.json", dict(verdict))
            record.keep_verdict(verdict)
            chain = _append(record, token, [begun], way_back=False)
        except BaseException:
            record.discard(release)
            raise
    return {
        "changed": True,
        "token": str(token),
        "id": release,
        "folder": record.folder(release),
        "head": chain.head,
        "msg": f"Release {release} has begun.",
    }


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700)
    except OSError as problem:
        raise ActionFailed(
            f"{path} cannot be made: {problem.strerror}.", remedy="Make room or give rights there."
        ) from None


def _clear_dismissed_lock(record: Record) -> None:
    """Take away a lock that says nothing any more; whoever begins holds the mutex, so the run that left it is dead."""
    held = record.lock()
    if held is None or record.standing_lock() is not None:
        return
    if record.never_began(held):
        record.discard(held["release"])
    else:
        record.free()


def _planned(context: Context, record: Record) -> Result:
    """Write plan and way back, and print the plan: all of it before anything changes."""
    params = context.params
    token = _held_token(params, record)
    release = token.release
    verdict = record.document(release, "verdict.json") or {}
    rollback = rollback_plan.build(
        release=release,
        system=params["system"],
        version=str(verdict.get("version", "")),
        services=params["services"],
        migration=params["migration"] or {},
        way_back=params["way_back"] or {},
    )
    plan = _plan(params, record, release, verdict, rollback)
    rollback_text = rollback_document.render(rollback)
    answer: Result = {
        "changed": True,
        "id": release,
        "plan": plan,
        "rollback": rollback,
        "rollback_md": rollback_text,
        "text": release_steps.plan_text(plan, rollback),
        "msg": f"The way back of release {release} is written.",
    }
    if context.check_mode:
        return answer
    record.write(release, "plan.json", plan)
    record.write(release, "rollback_plan.json", rollback)
    record.write(release, "ROLLBACK.md", rollback_text)
    planned = {"event": "planned", "previous_version": rollback["previous_version"], "rollback": rollback["database"]}
    entries = [planned, *_opening(params["opens"], release_steps.parts_of(rollback))]
    answer["head"] = _append(record, token, entries, way_back=False).head
    return answer


def _plan(params: Params, record: Record, release: str, verdict: Params, rollback: Params) -> dict[str, t.Any]:
    """The plan as it is kept: what is printed, and what the report tells afterwards."""
    return {
        "release": release,
        "system": params["system"],
        "version": str(verdict.get("version", "")),
        "previous_version": rollback["previous_version"],
        "digest": verdict.get("digest", ""),
        "steps": release_steps.of_system(release_steps.predicted(record.history()), release_steps.parts_of(rollback)),
        "point_of_no_return": release_steps.POINT_OF_NO_RETURN,
        "irreversible": rollback["irreversible"],
        "downtime_budget": params["downtime_budget"] or None,
        "way_out": [line.replace("<release>", release) for line in params["way_out"]],
    }


def _append(record: Record, token: Token, entries: t.Sequence[journal.Entry], *, way_back: bool) -> journal.Chain:
    """Append, or say why not. On the way back a journal that cannot be written stops nothing: the head is then empty."""
    path = record.journal_path(token.release)
    try:
        return journal.append(path, entries, token=token.number)
    except UnexpectedAnswer as problem:
        if way_back:
            return journal.Chain((), "", False)
        raise record.damage(problem, token.release) from None
    except OSError as problem:
        if way_back and record.give_room_back():
            return _append(record, token, entries, way_back=True)
        if way_back:
            return journal.Chain((), "", False)
        raise ActionFailed(
            f"The journal {path} cannot be written: {problem.strerror}.",
            remedy="Nothing more is changed. Make room or give rights there.",
        ) from None


def _judged(context: Context, record: Record) -> Result:
    if context.check_mode:
        return {"changed": False, "msg": "The verdict would be kept."}
    record.create()
    verdict = context.params["verdict"]
    record.keep_verdict(verdict)
    return {"changed": True, "msg": f"Kept: {verdict.get('decision')} for {verdict.get('digest', '')[:12]}."}


def _held_token(params: Params, record: Record) -> Token:
    token = Token.parse(params["release"])
    record.verify(token)
    return token


def _step(context: Context, record: Record) -> Result:
    params = context.params
    token = _held_token(params, record)
    closes, opens = params["closes"], params["opens"]
    if closes is None and opens is None:
        raise BadInput("With state=step a step is closed or opened, or both.")
    way_back = bool(opens and opens["direction"] == "back") or bool(closes and closes["status"] in ("failed", "undone"))
    entries = _closing(record, token, closes, way_back=way_back)
    entries += _opening(opens, _parts(record, token.release) if opens else None)
    if context.check_mode or not entries:
        return {"changed": bool(entries), "id": token.release, "msg": "The journal would be written."}
    if params["probe"] is not None:
        _require_maintenance(params["probe"], record, token.release)
    chain = _append(record, token, entries, way_back=way_back)
    written: Result = {}
    if closes is not None and closes["known"].get("backup"):
        written = _note_backup(record, token.release, closes["known"]["backup"])
    if not chain.head:
        context.warn(f"The journal of release {token.release} cannot be written; the way back goes on without it.")
    return {
        "changed": True,
        "head": chain.head,
        "id": token.release,
        "measured_from": measured_from(chain.entries),
        "maintenance_windows": maintenance_windows(chain.entries),
        "msg": "; ".join(_said(entry) for entry in entries),
        **written,
    }


def _require_maintenance(probe: str, record: Record, release: str) -> None:
    """Raise ActionFailed unless the probe saw maintenance hold all the time (law 5)."""
    entries = record.chain(release).entries
    # Which version answered outside of maintenance is not asked here.
    seen = downtime_probe.measure(
        probe, since=measured_from(entries), maintenance=maintenance_windows(entries)
    ).judgement
    if seen.status in ("fail", "unknown"):
        raise ActionFailed(seen.summary, remedy=seen.remedy)


def _note_backup(record: Record, release: str, backup: Params) -> Result:
    """Say in the written way back which backup it is, now that there is one; returns it as it is now."""
    plan = record.document(release, "rollback_plan.json")
    if plan is None:
        return {}
    noted: dict[str, t.Any] = {name: str(backup.get(name) or "") for name in ("archive", "sha256")}
    noted["recipients"] = list((backup.get("encryption") or {}).get("recipients") or ())
    plan["where"]["backup"] = {**(plan["where"].get("backup") or {}), **noted}
    text = rollback_document.render(plan)
    record.write(release, "rollback_plan.json", plan)
    record.write(release, "ROLLBACK.md", text)
    return {"rollback_md": text}


def _parts(record: Record, release: str) -> t.Collection[str] | None:
    """The parts that this system has; of a way back that cannot be read all of them, since only words depend on it."""
    try:
        return release_steps.parts_of(record.document(release, "rollback_plan.json") or {})
    except (ActionFailed, UnexpectedAnswer):
        return None


def _opening(opens: Params | None, parts: t.Collection[str] | None) -> list[journal.Entry]:
    """The journal line that opens a step, in the words of what this system has."""
    if opens is None:
        return []
    titles = {step.name: step.title for step in (*release_steps.STEPS, *release_steps.WAY_BACK)}
    step = {"name": opens["name"], "title": titles.get(opens["name"], opens["name"].replace("_", " "))}
    return [{"event": "step_started", "step": opens["name"], "direction": opens["direction"],
             "title": release_steps.title_of(step, parts)}]  # fmt: skip


def _closing(record: Record, token: Token, closes: Params | None, *, way_back: bool) -> list[journal.Entry]:
    """The journal line that closes a step; ``current`` is the one that is open, and nothing where none is."""
    if closes is None:
        return []
    name = closes["name"]
    if name == CURRENT:
        try:
            entries = record.chain(token.release).entries
        except UnexpectedAnswer:
            if way_back:  # nothing could be written into it either, and the way back goes on
                return []
            raise
        still_open = [step["name"] for step in steps_of(entries) if step["status"] == "open"]
        if not still_open:
            return []
        name = still_open[-1]
    return [{"event": "step_ended", "step": name, "status": closes["status"], "detail": closes["detail"],
             "known": closes["known"]}]  # fmt: skip


def _said(entry: journal.Entry) -> str:
    if entry["event"] == "step_started":
        return f"{entry['step']} begins"
    return f"{entry['step']} {entry['status']}"


def _ended(context: Context, record: Record) -> Result:
    params = context.params
    token = _held_token(params, record)
    if context.check_mode:
        return {"changed": True, "msg": "The release would end."}
    way_back = params["outcome"] != "live"
    entries = _closing(record, token, params["closes"], way_back=way_back)
    detail = params["detail"]
    if params["outcome"] == "rolled_back":
        detail = f"{detail} {_left_behind(record, token.release)}".strip()
    entries.append({"event": "ended", "outcome": params["outcome"], "detail": detail})
    # left_on keeps the lock: the system is not as it should be, and no other release may begin over it.
    with record.exclusively():
        chain = _append(record, token, entries, way_back=way_back)
        if params["outcome"] != "left_on":
            record.free()
        _note_in_ledger(context, record, chain)
    if not chain.head:
        context.warn(
            f"The journal of release {token.release} cannot be written: how it ended stands in the report alone."
        )
    return {
        "changed": True,
        "head": chain.head,
        "id": token.release,
        "outcome": params["outcome"],
        "detail": detail,
        "steps": steps_of(chain.entries),
        "entries": len(chain.entries),
        "msg": f"Release {token.release} ended: {params['outcome']}. Journal head {chain.head[:16]}.",
    }


def _note_in_ledger(context: Context, record: Record, chain: journal.Chain) -> None:
    """Add the row of an end that the journal took. A ledger that takes none stops no end: the next one adds it."""
    fault = release_ledger.keep(record) if chain.head else ""
    if fault:
        context.warn(f"The ledger has no row of this end. {fault}")


def _left_behind(record: Record, release: str) -> str:
    """What did not come back of what was written inside the fence, who still reads it, and the schema, as the journal has it."""
    try:
        steps = steps_of(record.chain(release).entries)
        return " ".join(filter(None, (lost_in_words(steps), readers_in_words(steps), schema_in_words(steps))))
    except UnexpectedAnswer:  # a damaged journal tells nothing, and blocks no way back
        return ""


def _settled(context: Context, record: Record) -> Result:
    """Close what is open, decide, and end the release where nothing is left to do."""
    params = context.params
    token = _held_token(params, record)
    if context.check_mode:
        return {"changed": False, **release_status.told(params, record, token.release, record.standing_lock())}
    written: list[journal.Chain] = []
    with record.exclusively():
        entries = _closing(record, token, params["closes"], way_back=False)
        if entries:
            written.append(_append(record, token, entries, way_back=True))
        told = release_status.told(params, record, token.release, record.standing_lock())
        decision = told["settlement"]
        if decision["action"] == FINISH:
            ending = {"event": "ended", "outcome": decision["outcome"], "detail": decision["sentence"]}
            written.append(_append(record, token, [ending], way_back=True))
            record.free()
            _note_in_ledger(context, record, written[-1])
            told = {**release_status.told(params, record, token.release, None), "settlement": decision}
    if not all(chain.head for chain in written):
        context.warn(f"The journal of release {token.release} cannot be written; the way back goes on without it.")
    return {"changed": bool(written), **told}


def _claimed(context: Context, record: Record) -> Result:
    """Take over a release whose run is dead: an explicit, recorded word."""
    params = context.params
    release = params["takeover"]
    with record.exclusively():
        damaged = _found_damaged(params, record)
        entries = damaged.entries if damaged else record.chain(release).entries
        if not entries and not damaged:
            raise BadInput(f"There is no release {release} of {params['system']} on record.")
        held = _holder(record, release)
        if held is not None and held["release"] != release:
            raise Refused(f"It is not {release} that is open: {record.described_lock(held)}.")
        if not damaged:
            release_gates.refuse_what_was_taken_back(release, entries[-1])
        release_gates.refuse_what_was_built_upon(release, record)
        if context.check_mode:
            return {"changed": True, "msg": f"Release {release} would be taken over."}
        record.give_room_back()
        version = str(entries[0].get("version", "")) if entries else ""
        token = record.take(release, owner=_owner(params), version=version)
        kept_as = record.set_aside(release, damaged, token) if damaged else ""
        entry = {"event": "claimed", **_owner(params), "from_token": held["number"] if held else None}
        chain = _append(record, token, [entry], way_back=True)
    aside = f" Its damaged journal is kept as {kept_as}." if kept_as else ""
    return {
        "changed": True,
        "token": str(token),
        "id": token.release,
        "folder": record.folder(token.release),
        "head": chain.head,
        "plan": record.document(token.release, "plan.json") or {},
        "rollback": record.document(token.release, "rollback_plan.json") or {},
        "msg": f"Release {token.release} was taken over by {_owner(params)['operator']}.{aside}",
    }


def _holder(record: Record, release: str) -> dict[str, t.Any] | None:
    """Who stands in the way of taking this release over: its own lock, or the one that stands. None for a damaged lock."""
    try:
        held = record.lock()
    except UnexpectedAnswer:
        return None
    return held if held is not None and held["release"] == release else record.standing_lock()


def _found_damaged(params: Params, record: Record) -> journal.Salvage | None:
    """What can be read of the journal to be taken over, where it is damaged and a person said to set it aside."""
    try:
        record.chain(params["takeover"])
    except UnexpectedAnswer:
        if params["damaged_journal"] != "set_aside":
            raise
        return journal.salvage(record.journal_path(params["takeover"]))
    return None
