# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a release stands, as its record tells it; reading changes nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal, release_ledger
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import (
    Record,
    maintenance_windows,
    measured_from,
    steps_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.settlement import settle
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context, Result

Params = t.Mapping[str, t.Any]


def read(context: Context, record: Record) -> Result:
    """Everything that a person or the settlement needs to know; changes nothing.

    What the record keeps beside its releases may be damaged: that is named in ``unreadable`` and blocks the next GO, no way back.
    """
    params = context.params
    unreadable: dict[str, str] = {}
    lock = _readable(record.standing_lock, "lock", unreadable)
    releases = record.releases()
    release = Token.parse(params["release"]).release if params["release"] else None
    release = (
        release or params["takeover"] or (lock["release"] if lock else None) or (releases[-1] if releases else None)
    )
    answer: Result = {
        "changed": False,
        "lock": _shown_lock(lock),
        "lock_text": record.described_lock(lock) if lock else "",
        "verdict": _readable(record.last_verdict, "last verdict", unreadable) or {},
        "judged": _readable(record.last_judged, "what was judged last", unreadable) or {},
        "sign_offs": _readable(record.sign_offs, "sign-offs", unreadable) or [],
        "unreadable": unreadable,
        "id": release,
        "releases": releases[-20:],
    }
    for sentence in unreadable.values():
        context.warn(sentence)
    if release is None:
        return {**answer, "steps": [], "msg": f"No release of {params['system']} is on record."}
    live = _readable(record.serving, "last release that went live", {})  # only told
    found = told(params, record, release, lock)
    if params["tells"] == "open" and _is_over(found):
        return {**answer, **found, "text": ""}
    text = [found["text"], *_way_out(found), *_serving(live, release)]
    if params["tells"] != "ledger":
        return {**answer, **found, "text": "\n".join(text)}
    ledger = release_ledger.told(record)
    for fault in ledger["faults"]:
        context.warn(fault)
    return {**answer, **found, "ledger": ledger["rows"], "text": "\n".join([*text, ledger["text"]]).rstrip()}


Part = t.TypeVar("Part")


def _readable(read_part: t.Callable[[], Part], name: str, unreadable: dict[str, str]) -> Part | None:
    """A part of the record; of a damaged one nothing, and under its name what is wrong with it."""
    try:
        return read_part()
    except UnexpectedAnswer as problem:
        unreadable[name] = str(problem)
        return None


def _shown_lock(lock: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
    """The lock without what makes its token."""
    return {key: value for key, value in lock.items() if key != "nonce"} if lock else None


def told(params: Params, record: Record, release: str, lock: t.Mapping[str, t.Any] | None) -> Result:
    """A release as its record tells it, and what has to happen now. ``lock`` is the one that stands.

    Raises UnexpectedAnswer where journal or way back are damaged. Of a plan or verdict that is, nothing depends but words.
    """
    chain = record.chain(release)
    if not chain.entries:
        raise GoliveError(f"Release {release} of {params['system']} is not on record in {record.root}.")
    steps = steps_of(chain.entries)
    only_words: dict[str, str] = {}
    plan = _readable(lambda: record.document(release, "plan.json"), "plan", only_words) or {}
    verdict = _readable(lambda: record.document(release, "verdict.json"), "verdict", only_words) or {}
    rollback = record.document(release, "rollback_plan.json") or {}
    ended = chain.entries[-1] if chain.entries[-1]["event"] == "ended" else None
    outcomes = [entry["outcome"] for entry in chain.entries if entry["event"] == "ended"]
    stood_as = outcomes[-1] if outcomes else ""
    damage = next((entry for entry in chain.entries[::-1] if entry["event"] == "damaged"), None)
    # Whoever holds it: of a release that was taken over, who took it.
    operator = next((str(entry.get("operator") or "") for entry in chain.entries[::-1] if "operator" in entry), "")
    world = {"accepted_by": operator, **params["world"]}
    decision = settle(steps=steps, ended=ended, rollback=rollback, world=world, stood_as=stood_as, damage=damage)
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
        damaged=list(only_words.values()),
    )
    return {
        "id": release,
        "lock": _shown_lock(lock),
        "head": chain.head,
        "torn": chain.torn,
        "damage": damage,
        "entries": len(chain.entries),
        "begun": chain.entries[0],
        "operator": operator or "(unknown)",
        "ended": ended,
        "steps": steps,
        "maintenance_windows": maintenance_windows(chain.entries),
        "measured_from": measured_from(chain.entries),
        "plan": plan,
        "rollback": rollback,
        "release_verdict": verdict,
        "settlement": decision,
        "folder": record.folder(release),
        "text": text,
        "msg": text.splitlines()[0],
    }


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
    damaged: t.Sequence[str],
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
    lines += [f"  {sentence}" for sentence in damaged]
    if ended and ended["outcome"] == "left_on":
        lines.append(f"  {ended['detail']}")  # what was counted then; this run has not asked the database
    elif not ended:
        lines.append(f"  {decision['sentence']}")
        lines += [f"    choice: {choice}" for choice in decision["choices"]]
    if not ended or ended["outcome"] == "left_on":
        lines += _shut_out(chain.entries)
    lines.append(f"  journal head {chain.head}")
    return "\n".join(lines)


def _shut_out(entries: t.Sequence[journal.Entry]) -> list[str]:
    """Whether users are kept out, which whoever finds a release open must know first."""
    windows = maintenance_windows(entries)
    if not windows or "until" in windows[-1]:
        return []
    return [f"  maintenance is on since {windows[-1]['since']}, as the journal has it."]


def _way_out(found: t.Mapping[str, t.Any]) -> list[str]:
    """The commands that lead on from a release that is open."""
    if _is_over(found):
        return []
    return [f"  way out: {command}" for command in found["plan"].get("way_out") or []]


def _serving(live: t.Mapping[str, t.Any] | None, release: str) -> list[str]:
    """What serves users as this record has it, where that is not the release that is told."""
    if live is None or live["release"] == release:
        return []
    return [f"  last live: {live['version']} since {live['since']}, by release {live['release']}"]


def _is_over(found: t.Mapping[str, t.Any]) -> bool:
    return bool(found["ended"]) and found["ended"]["outcome"] != "left_on"
