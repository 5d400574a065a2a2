# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Begin, journal, end and read a release; the lock and its token make it the only one of its system."""

from __future__ import annotations

import datetime
import getpass
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    downtime_probe,
    journal,
    release_steps,
    rollback_document,
    rollback_plan,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import (
    Record,
    maintenance_windows,
    measured_from,
    steps_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.settlement import FINISH, lost_in_words, settle
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context, Result

_STEP_STATUSES = ["done", "failed", "undone", "skipped"]
#: Names the step that is open, whichever it is.
CURRENT = "current"
_JUDGE_AGAIN = "Judge again: run pre_deploy or golive."
_TAKEN_BACK = ("rolled_back", "aborted")
OUTCOMES = ["live", "rolled_back", "left_on", "aborted", "failed"]

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
        "sign_off": {
            "type": "dict",
            "options": {
                "item": {"type": "str", "required": True},
                "team": {"type": "str", "required": True},
                "name": {"type": "str", "required": True},
                "digest": {"type": "str"},
                "valid_seconds": {"type": "float"},
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
        "read": _read,
        "claimed": _claimed,
        "signed": _signed,
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


def require_go(verdict: Params, *, now_text: str, max_age_seconds: float) -> None:
    """Raise Refused unless this verdict lets something change (law 2)."""
    decision = verdict.get("decision")
    if decision not in ("GO", "GO WITH WARNINGS"):
        raise Refused(f"The verdict is {decision or 'missing'}: nothing is changed without a GO.")
    if verdict.get("check_mode") or verdict.get("conditional"):
        raise Refused("The verdict was made in check mode: some of it is only GO if the rest holds.")
    if not verdict.get("digest"):
        raise Refused("The verdict is for no release: it has no digest.")
    try:
        age = (parse_utc(now_text) - parse_utc(str(verdict.get("decided", "")))).total_seconds()
    except ValueError:
        raise Refused("The verdict does not say when it was made.", remedy=_JUDGE_AGAIN) from None
    if not -60 <= age <= max_age_seconds:
        raise Refused(
            f"The verdict is {age:.0f} s old, and may be at most {max_age_seconds:.0f} s.",
            remedy=_JUDGE_AGAIN,
        )


#: What a GO is for, beside system and version, and what it means when it is not the same any more.
_SUBJECTS = {
    "checklist_sha256": "The checklist is not the one that was judged",
    "system_file_sha256": "The system file is not the one that was judged",
    "hosts_sha256": "The hosts that the checklist names are not those that were judged",
    "migration_preview": "What the migration would do is not what was judged: its files, its target or the database's "
    "revision changed",
}


def require_subject(verdict: Params, params: Params) -> None:
    """Raise Refused unless the verdict is for what would be deployed: each part has its own sentence (law 2)."""
    judged_as = (verdict.get("system"), verdict.get("version"))
    if judged_as != (params["system"], params["version"]):
        raise Refused(
            f"The verdict is for {judged_as[0]} {judged_as[1]}, not for {params['system']} {params['version']}."
        )
    judged, now = verdict.get("subject"), params["subject"]
    if not isinstance(judged, dict):
        raise Refused("The verdict does not say for which artefacts, checklist and hosts it is.", remedy=_JUDGE_AGAIN)
    for name in sorted({**(judged.get("artefacts") or {}), **now["artefacts"]}):
        was, is_now = (_digest((part.get("artefacts") or {}).get(name)) for part in (judged, now))
        if was != is_now:
            raise Refused(f"The verdict is for {name} {was}, and {is_now} would be deployed.", remedy=_JUDGE_AGAIN)
    for name, sentence in _SUBJECTS.items():
        was, is_now = (str(part.get(name) or "") for part in (judged, now))
        if was != is_now:
            raise Refused(f"{sentence} ({_short(is_now)}, judged was {_short(was)}).", remedy=_JUDGE_AGAIN)


def _digest(value: t.Any) -> str:
    return f"sha256:{str(value).lower().replace('sha256:', '')}" if value else "no digest"


def _short(value: str) -> str:
    return f"{value[:12]}…" if value else "none"


def _refuse_what_serves(params: Params, record: Record) -> None:
    """Raise Refused for the version that serves already; a version's name stands for one artefact and no other."""
    serving = record.serving()
    if serving is None or serving["version"] != params["version"]:
        return
    was, now = serving["artefacts"], {name: _digest(value) for name, value in params["subject"]["artefacts"].items()}
    since = f"live since {serving['since']} (release {serving['release']})"
    if was and {name: _digest(value) for name, value in was.items()} != now:
        # Both would lie in one folder and answer with one version: no gate could tell them apart, and nothing lead back.
        raise Refused(
            f"Version {params['version']} of {params['system']} is {since}, from another artefact than the one that "
            f"would be deployed ({', '.join(sorted(now.values())) or 'none is named'}).",
            remedy="Give the new build a version of its own: under the same one there would be no way back.",
        )
    if not params["redeploy"]:
        raise Refused(
            f"Version {params['version']} of {params['system']} is {since} already: nothing would change but the downtime.",
            remedy="To deploy it again all the same, say golive_redeploy: true.",
        )


def _begun(context: Context, record: Record) -> Result:
    params = context.params
    verdict = params["verdict"]
    require_go(verdict, now_text=utc_text(record.clock.now()), max_age_seconds=params["verdict_max_age"])
    require_subject(verdict, params)
    if context.check_mode:
        _refuse_a_second(params, record)
        _refuse_what_serves(params, record)
        return {"changed": True, "msg": f"Release of {params['system']} {params['version']} would begin."}
    record.create()
    with record.exclusively():
        _clear_dismissed_lock(record)
        _refuse_a_second(params, record)
        _refuse_what_serves(params, record)
        release = record.new_id()
        begun = {"event": "begun", **_owner(params), "version": params["version"], "digest": verdict["digest"]}
        try:
            _make_folder(record.folder(release))
            _make_folder(os.path.join(record.folder(release), "report"))
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


def _refuse_a_second(params: Params, record: Record) -> None:
    """Raise Refused while another release holds the lock (law 3)."""
    held = record.standing_lock()
    if held is None:
        return
    if params["takeover"] == held["release"]:
        raise Refused(
            f"Release {held['release']} has not ended, so no other begins.",
            remedy=f"End it first: `abort` with golive_takeover={held['release']}.",
        )
    raise Refused(
        f"There is a release already: {record.described_lock(held)}.",
        remedy=f"Wait for it; or read `status`; or, when you know that its run is dead, end it with `abort` "
        f"and golive_takeover={held['release']}.",
    )


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
    entries = [planned, *_opening(params["opens"])]
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
        "steps": release_steps.predicted(record.history()),
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
    entries += _opening(opens)
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
    noted = {name: str(backup.get(name) or "") for name in ("archive", "sha256")}
    plan["where"]["backup"] = {**(plan["where"].get("backup") or {}), **noted}
    text = rollback_document.render(plan)
    record.write(release, "rollback_plan.json", plan)
    record.write(release, "ROLLBACK.md", text)
    return {"rollback_md": text}


def _opening(opens: Params | None) -> list[journal.Entry]:
    """The journal line that opens a step."""
    if opens is None:
        return []
    titles = {step.name: step.title for step in (*release_steps.STEPS, *release_steps.WAY_BACK)}
    return [{"event": "step_started", "step": opens["name"], "direction": opens["direction"],
             "title": titles.get(opens["name"], opens["name"].replace("_", " "))}]  # fmt: skip


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


def _left_behind(record: Record, release: str) -> str:
    """What was written inside the fence and did not come back, as the journal has it."""
    try:
        return lost_in_words(steps_of(record.chain(release).entries))
    except UnexpectedAnswer:  # a damaged journal tells nothing, and blocks no way back
        return ""


def _read(context: Context, record: Record) -> Result:
    """Everything that a person or the settlement needs to know; changes nothing."""
    params = context.params
    lock = record.standing_lock()
    release = Token.parse(params["release"]).release if params["release"] else None
    release = release or params["takeover"] or (lock["release"] if lock else None)
    if release is None and record.releases():
        release = record.releases()[-1]
    answer: Result = {
        "changed": False,
        "lock": _shown_lock(lock),
        "lock_text": record.described_lock(lock) if lock else "",
        "verdict": record.last_verdict() or {},
        "judged": record.last_judged() or {},
        "sign_offs": record.sign_offs(),
        "id": release,
        "releases": record.releases()[-20:],
    }
    if release is None:
        return {**answer, "steps": [], "msg": f"No release of {params['system']} is on record."}
    return {**answer, **_told(params, record, release, lock)}


def _shown_lock(lock: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
    """The lock without what makes its token."""
    return {key: value for key, value in lock.items() if key != "nonce"} if lock else None


def _told(params: Params, record: Record, release: str, lock: t.Mapping[str, t.Any] | None) -> Result:
    """A release as its record tells it, and what has to happen now. ``lock`` is the one that stands."""
    chain = record.chain(release)
    if not chain.entries:
        raise GoliveError(f"Release {release} of {params['system']} is not on record in {record.root}.")
    steps = steps_of(chain.entries)
    plan = record.document(release, "plan.json") or {}
    rollback = record.document(release, "rollback_plan.json") or {}
    ended = chain.entries[-1] if chain.entries[-1]["event"] == "ended" else None
    outcomes = [entry["outcome"] for entry in chain.entries if entry["event"] == "ended"]
    stood_as = outcomes[-1] if outcomes else ""
    damage = next((entry for entry in chain.entries[::-1] if entry["event"] == "damaged"), None)
    decision = settle(
        steps=steps, ended=ended, rollback=rollback, world=params["world"], stood_as=stood_as, damage=damage
    )
    text = _status_text(
        params["system"],
        release,
        chain,
        steps,
        ended=ended,
        damage=damage,
        decision=decision,
        lock_text=record.described_lock(lock) if lock else "",
        plan=plan,
    )
    return {
        "id": release,
        "lock": _shown_lock(lock),
        "head": chain.head,
        "torn": chain.torn,
        "damage": damage,
        "entries": len(chain.entries),
        "begun": chain.entries[0],
        "ended": ended,
        "steps": steps,
        "maintenance_windows": maintenance_windows(chain.entries),
        "measured_from": measured_from(chain.entries),
        "plan": plan,
        "rollback": rollback,
        "release_verdict": record.document(release, "verdict.json") or {},
        "settlement": decision,
        "folder": record.folder(release),
        "text": text,
        "msg": text.splitlines()[0],
    }


def _settled(context: Context, record: Record) -> Result:
    """Close what is open, decide, and end the release where nothing is left to do."""
    params = context.params
    token = _held_token(params, record)
    if context.check_mode:
        return {"changed": False, **_told(params, record, token.release, record.standing_lock())}
    written: list[journal.Chain] = []
    with record.exclusively():
        entries = _closing(record, token, params["closes"], way_back=False)
        if entries:
            written.append(_append(record, token, entries, way_back=True))
        told = _told(params, record, token.release, record.standing_lock())
        decision = told["settlement"]
        if decision["action"] == FINISH:
            ending = {"event": "ended", "outcome": decision["outcome"], "detail": decision["sentence"]}
            written.append(_append(record, token, [ending], way_back=True))
            record.free()
            told = {**_told(params, record, token.release, None), "settlement": decision}
    if not all(chain.head for chain in written):
        context.warn(f"The journal of release {token.release} cannot be written; the way back goes on without it.")
    return {"changed": bool(written), **told}


def _status_text(
    system: str,
    release: str,
    chain: journal.Chain,
    steps: t.Sequence[t.Mapping[str, t.Any]],
    *,
    ended: t.Mapping[str, t.Any] | None,
    damage: t.Mapping[str, t.Any] | None,
    decision: t.Mapping[str, t.Any],
    lock_text: str,
    plan: t.Mapping[str, t.Any],
) -> str:
    begun = chain.entries[0]
    lines = [
        f"STATUS  {system} {plan.get('previous_version') or '(unknown)'} → {begun.get('version')}   release {release}   "
        + (f"ended: {ended['outcome']}" if ended else "has not ended")
    ]
    for step in steps:
        seconds = "" if step["seconds"] is None else f"{step['seconds']:.1f} s"
        lines.append(f"  {step['status']:8}{step['title']:<66} {seconds:>9}  {step['detail'][:200]}".rstrip())
    if lock_text:
        lines.append(f"  lock: {lock_text}.")
    if chain.torn:
        lines.append("  the journal's last line is torn, as by a power cut; it was never acknowledged.")
    if damage:
        lines.append(
            f"  the journal was damaged at line {damage['line']}; the file as it was is kept as {damage['kept_as']}."
        )
    if ended and ended["outcome"] == "left_on":
        lines.append(f"  {ended['detail']}")  # what was counted then; this run has not asked the database
    elif not ended:
        lines.append(f"  {decision['sentence']}")
        lines += [f"    choice: {choice}" for choice in decision["choices"]]
    lines.append(f"  journal head {chain.head}")
    return "\n".join(lines)


def _refuse_what_was_taken_back(release: str, last: journal.Entry) -> None:
    if last["event"] == "ended" and last["outcome"] in _TAKEN_BACK:
        raise Refused(
            f"Release {release} ended: {last['outcome']}. Nothing is left to take over.", remedy="Read `status`."
        )


def _refuse_what_was_built_upon(release: str, record: Record) -> None:
    """Raise Refused for a release that a later one came after, unless that one was taken back."""
    for later in record.releases()[::-1]:
        if later <= release:
            return
        if record.chain(later).entries[-1].get("outcome") not in _TAKEN_BACK:
            raise Refused(
                f"Release {later} came after {release}; what it changed would be lost.",
                remedy=f"Take {later} back first.",
            )


def _claimed(context: Context, record: Record) -> Result:
    """Take over a release whose run is dead: an explicit, recorded word."""
    params = context.params
    release = params["takeover"]
    with record.exclusively():
        damaged = _found_damaged(params, record)
        entries = damaged.entries if damaged else record.chain(release).entries
        if not entries and not damaged:
            raise BadInput(f"There is no release {release} of {params['system']} on record.")
        held = record.lock()
        if held is not None and held["release"] != release:
            held = record.standing_lock()
        if held is not None and held["release"] != release:
            raise Refused(f"It is not {release} that is open: {record.described_lock(held)}.")
        if not damaged:
            _refuse_what_was_taken_back(release, entries[-1])
        _refuse_what_was_built_upon(release, record)
        if context.check_mode:
            return {"changed": True, "msg": f"Release {release} would be taken over."}
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


def _found_damaged(params: Params, record: Record) -> journal.Salvage | None:
    """What can be read of the journal to be taken over, where it is damaged and a person said to set it aside."""
    try:
        record.chain(params["takeover"])
    except UnexpectedAnswer:
        if params["damaged_journal"] != "set_aside":
            raise
        return journal.salvage(record.journal_path(params["takeover"]))
    return None


def _signed(context: Context, record: Record) -> Result:
    """Keep an attestation; one that holds is not kept twice, one that ended is renewed and stays on record."""
    given = {key: value for key, value in context.params["sign_off"].items() if value is not None}
    if not given["name"].strip():
        raise BadInput("The sign-off names nobody.")
    awaited = _awaited(given, record)
    valid_seconds = given.pop("valid_seconds", None) or awaited.get("valid_seconds")
    sign_off = {"digest": awaited.get("digest"), **given}
    now = record.clock.now()
    same = [old for old in record.sign_offs() if all(old.get(key) == value for key, value in sign_off.items())]
    if same:
        ends = parse_utc(str(same[-1]["signed"])) + datetime.timedelta(seconds=valid_seconds) if valid_seconds else None
        if ends is None or ends > now:
            until = f"until {utc_text(ends)}" if ends else "without an end"
            said = f"{sign_off['name']} has signed {sign_off['item']} already, {until}."
            return {"changed": False, "sign_off": same[-1], "msg": said}
        sign_off["renews"] = same[-1]["signed"]
    sign_off["signed"] = utc_text(now)
    if not context.check_mode:
        record.create()
        record.sign(sign_off)
    again = ", which had ended," if same else ""
    return {
        "changed": True,
        "sign_off": sign_off,
        "msg": f"{sign_off['name']} signed {sign_off['item']}{again} for {sign_off['digest'][:12]}.",
    }


def _awaited(given: Params, record: Record) -> t.Mapping[str, t.Any]:
    """What the verdict kept last waits for; empty where none was kept and the caller says the digest. Raises what refuses."""
    judged = record.last_judged()
    if judged is None:
        if given.get("digest"):
            return {}
        raise Refused(
            f"Nothing of {record.system} was judged yet, so there is nothing to sign.", remedy="Run pre_deploy first."
        )
    waiting = judged.get("sign_offs") or []
    awaited = next((entry for entry in waiting if entry["item"] == given["item"]), None)
    if awaited is None:
        listed = ", ".join(f"{entry['item']} ({entry['team']})" for entry in waiting) or "nothing"
        raise BadInput(f"The last verdict waits for no signature of {given['item']}. It waits for: {listed}.")
    if awaited["team"] != given["team"]:
        raise Refused(f"{given['item']} is for team {awaited['team']} to sign, not for team {given['team']}.")
    if not awaited.get("digest"):
        raise Refused(
            f"What is to be signed for {given['item']} cannot be determined.",
            remedy="Run pre_deploy where the migration can be read.",
        )
    if given.get("digest") not in (None, awaited["digest"]):
        raise Refused(
            f"{given['digest'][:12]} is not what was judged last; that is {awaited['digest'][:12]}.",
            remedy="Read the newest report, then sign what it says.",
        )
    return t.cast("t.Mapping[str, t.Any]", awaited)
