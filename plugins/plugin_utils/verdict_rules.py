# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GO or NO-GO: pure rules over what was expected, found, waived and signed. *Unknown is not pass.*"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import shlex
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_steps import NAMES
from ansible_collections.opsready.golive.plugins.module_utils._core.attestation import UNBOUND, is_blank, unstated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import STATUSES, plain
from ansible_collections.opsready.golive.plugins.plugin_utils import office_hours, strictness
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import CONTROLLER, seconds_of
from ansible_collections.opsready.golive.plugins.plugin_utils.spool import as_json

GO = "GO"
GO_WITH_WARNINGS = "GO WITH WARNINGS"
NO_GO = "NO-GO"

#: What a sign-off states where the go-live is not within the person's hours.
SUBSTITUTE = "substitute"
#: How many changes since the last GO a sentence names.
_LISTED = 20
_AGAIN = "Start the run again, which judges it anew."
_SAME_TIME = "Let both hosts take their time from one source: chronyc tracking, or timedatectl timesync-status, says whether they do."
_APPROVE = "Take it back, or have somebody who answers for it approve it: -e \"golive_loosened_approver='<first and last name>'\"."
_COVER = "Name it in satisfies of an item or of a sign-off, or in golive_satisfies below the step that does it."
#: How much of a finding's summary is printed; all of it is in the report.
_SHOWN_CHARACTERS = 1000
#: A remedy may be a command with a whole run's options, of which half is none.
_SHOWN_OF_A_REMEDY = 4000

Finding = dict[str, t.Any]
Expected = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Waiver:
    """An accepted failure. Its approver is somebody else than its owner, and it ends."""

    item: str
    owner: str
    approver: str
    reason: str
    expires: datetime.datetime
    hosts: tuple[str, ...]

    def covers(self, finding: Finding) -> bool:
        return finding["id"] == self.item and (not self.hosts or finding["host"] in self.hosts)


def read_waivers(raw: t.Sequence[t.Mapping[str, t.Any]]) -> list[Waiver]:
    """Valid waivers, or BadInput naming the one that is not. Expiry is a moment in UTC."""
    waivers = []
    for entry in raw:
        name = f"The waiver for {entry.get('item', 'no item')}"
        missing = [key for key in ("item", "owner", "approver", "reason", "expires") if not entry.get(key)]
        if missing:
            raise BadInput(f"{name} has no {', '.join(missing)}.")
        unknown = set(entry) - {"item", "owner", "approver", "reason", "expires", "hosts", "ticket"}
        if unknown:
            raise BadInput(f"{name} has unknown keys: {', '.join(sorted(unknown))}.")
        if str(entry["owner"]).strip().casefold() == str(entry["approver"]).strip().casefold():
            raise BadInput(f"{name} is approved by its own owner; somebody else has to approve it.")
        try:
            expires = parse_utc(str(entry["expires"]))
        except ValueError:
            raise BadInput(
                f"{name} expires at {entry['expires']!r}, expected a time such as 2026-12-31T00:00:00Z."
            ) from None
        hosts = entry.get("hosts") or []
        waivers.append(
            Waiver(str(entry["item"]), str(entry["owner"]), str(entry["approver"]), str(entry["reason"]), expires,
                   tuple(str(host) for host in ([hosts] if isinstance(hosts, str) else hosts)))
        )  # fmt: skip
    return waivers


def read_force(raw: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, str]]:
    """Whose failures are forced by whom and why, or BadInput."""
    for entry in raw:
        if not entry.get("item") or not entry.get("reason") or not entry.get("approver"):
            raise BadInput("golive_force: each entry names item, reason and approver.")
    return [{key: str(entry[key]) for key in ("item", "reason", "approver")} for entry in raw]


def digest_of(inputs: t.Mapping[str, t.Any]) -> str:
    """The release digest: what a GO and a sign-off are for."""
    return hashlib.sha256(as_json(dict(inputs))).hexdigest()


def missing_findings(
    expected: Expected, found: t.Iterable[Finding], phase: str, now: datetime.datetime
) -> list[Finding]:
    """An unknown finding for each expected one that never came in."""
    present = {(finding["id"], finding["host"]) for finding in found}
    missing = []
    for item in expected["items"]:
        if phase not in item["phase"] or item["check"] == "sign_off":
            continue
        for host in item["hosts"]:
            if (item["id"], host) not in present:
                finding = _finding(item, host, "unknown", "No finding came in for this item on this host.", now)
                finding["remedy"] = "Run it without --limit, --tags, --skip-tags and --start-at-task."
                missing.append(finding)
    return missing


def signed_findings(
    expected: Expected,
    sign_offs: t.Sequence[t.Mapping[str, t.Any]],
    *,
    phase: str,
    bindings: t.Mapping[str, str],
    now: datetime.datetime,
    check_mode: bool = False,
    run_options: str = "",
) -> list[Finding]:
    """A finding for each item that a person signs; ``bindings`` holds the current digest of what is signed.

    ``run_options`` are those of this run, which the command to sign with repeats.
    """
    findings = []
    for item in expected["items"]:
        if item["check"] != "sign_off" or phase not in item["phase"]:
            continue
        wanted = item["sign_off"]
        candidates = [s for s in sign_offs if s.get("item") == item["id"]]
        candidates.sort(key=lambda record: str(record.get("signed", "")))
        best: tuple[str, str, dict[str, t.Any]] = (
            "unknown", f"Nobody of team {wanted['team']} has signed this.", {},
        )  # fmt: skip
        for record in candidates:  # oldest first: of those that do not hold, the newest is told
            status, sentence = _judge_sign_off(wanted, record, bindings, now)
            if status == "pass" or best[0] != "pass":
                best = (status, sentence, dict(record))
        finding = _finding(item, CONTROLLER, best[0], best[1], now)
        if best[0] != "pass":
            to_sign = _bound(wanted, bindings)
            finding["remedy"] = _how_to_sign(
                item["id"], wanted, to_sign, check_mode=check_mode, run_options=run_options
            )
        finding["evidence"] = {
            "team": wanted["team"],
            **best[2],
            "binds_to": wanted["binds_to"],
            "expires": _ends(wanted, best[2]),
            "to_sign": _bound(wanted, bindings),
            "valid_seconds": _valid_seconds(wanted),
            "asks": list(wanted.get("asks") or []),
        }
        if wanted.get("hours"):
            finding["evidence"]["hours"] = wanted["hours"]
        findings.append(finding)
    return findings


def _bound(wanted: t.Mapping[str, t.Any], bindings: t.Mapping[str, str]) -> str:
    """The digest that a signature has to carry now; empty where it cannot be told."""
    return UNBOUND if wanted["binds_to"] == UNBOUND else bindings.get(wanted["binds_to"], "")


def _how_to_sign(item: str, wanted: t.Mapping[str, t.Any], digest: str, *, check_mode: bool, run_options: str) -> str:
    """The command that keeps the attestation, bound to what this verdict is about."""
    if not digest:
        return "Run it where the migration can be read: what is to be signed cannot be determined here."
    # Check mode keeps nothing that a signature could be bound to.
    team = wanted["team"]
    asked = dict.fromkeys([*(wanted.get("asks") or []), *([SUBSTITUTE] if wanted.get("hours") else [])], "...")
    stated = f" -e '{json.dumps({'signed_details': asked})}'" if asked else ""
    first = "Run pre_deploy, without --check, which keeps what is to be signed. Then a" if check_mode else "A"
    return (
        f"{first} person of team {team} reads it, and: `ansible-playbook opsready.golive.sign_off "
        + (f"{run_options} " if run_options else "")
        + f"-e signed_item={item} -e signed_team={shlex.quote(team)} -e signed_digest={digest} "
        f"-e \"signed_by='<first and last name>'\"{stated}`"
    )


def _ends(wanted: t.Mapping[str, t.Any], record: t.Mapping[str, t.Any]) -> str:
    """When a signature ends, where it does and where that can be told."""
    try:
        signed = parse_utc(str(record["signed"]))
    except (KeyError, ValueError):
        return ""
    valid = _valid_seconds(wanted)
    return "" if valid is None else utc_text(signed + datetime.timedelta(seconds=valid))


def _valid_seconds(wanted: t.Mapping[str, t.Any]) -> float | None:
    return seconds_of(wanted["expires_after"], where="expires_after") if wanted["expires_after"] else None


def _judge_sign_off(
    wanted: t.Mapping[str, t.Any], record: t.Mapping[str, t.Any], bindings: t.Mapping[str, str], now: datetime.datetime
) -> tuple[str, str]:
    name = str(record.get("name", "")).strip()
    if record.get("team") != wanted["team"]:
        return "unknown", f"{name or 'Somebody'} of team {record.get('team')} signed, but team {wanted['team']} has to."
    if is_blank(name):
        return "fail", f"The sign-off names nobody: {name or 'empty'}."
    lacking = unstated(wanted.get("asks") or [], record.get("details"))
    if lacking:
        return "fail", f"The sign-off of {name} does not state {', '.join(lacking)}."
    try:
        signed = parse_utc(str(record.get("signed", "")))
    except ValueError:
        return "unknown", f"The sign-off of {name} has no readable time."
    if signed > now + datetime.timedelta(seconds=CLOCKS_DIFFER):
        return "unknown", f"The sign-off of {name} lies in the future: {utc_text(signed)}."
    ends = _ends(wanted, record)
    if ends and parse_utc(ends) <= now:
        return "unknown", f"The sign-off of {name} expired at {ends}."
    bound = _bound(wanted, bindings)
    if not bound:
        return "unknown", f"What {name} signed ({wanted['binds_to']}) cannot be determined now."
    if record.get("digest") != bound:
        return "unknown", f"{name} signed another {wanted['binds_to'].replace('_', ' ')}: it has changed since."
    signed_by = f"Signed by {name} of team {wanted['team']} at {utc_text(signed)}"
    if not wanted.get("hours"):
        return "pass", f"{signed_by}."
    try:
        hours = office_hours.read(wanted["hours"])
    except BadInput as problem:
        return "unknown", f"{signed_by}; when {name} is there cannot be told: {problem.message}"
    if hours.hold(now):
        return "pass", f"{signed_by}; {hours.told(now)}."
    if unstated([SUBSTITUTE], record.get("details")):
        return "fail", f"{signed_by}, but {hours.told(now)}, and no substitute is named."
    return "pass", f"{signed_by}; {hours.told(now)}, when {record['details'][SUBSTITUTE]} stands in."


def _finding(item: Expected, host: str, status: str, summary: str, now: datetime.datetime) -> Finding:
    return {
        **{key: item[key] for key in ("id", "title", "phase", "severity", "satisfies", "owner")},
        "host": host, "status": status, "summary": summary, "expected": {}, "measured": {}, "evidence": {},
        "remedy": "", "check": item["check"], "started": utc_text(now), "seconds": 0.0,
    }  # fmt: skip


def _covered(item_id: str, ids: t.Iterable[str]) -> bool:
    """``S1`` requires any id of S1 to be served; ``S1.21`` that one."""
    return any(served == item_id or served.startswith(item_id + ".") for served in ids)


def _strictness(
    expected: Expected,
    judged: t.Sequence[Finding],
    demands: t.Mapping[str, t.Mapping[str, t.Any]],
    previous: t.Mapping[str, t.Any],
) -> dict[str, t.Any]:
    """What this list demands: as planned, and as each host's own variables and conditions have it."""
    planned = expected.get("strictness") or {}
    options: dict[str, dict[str, t.Any]] = {}
    for identity, item in (planned.get("items") or {}).items():
        if item["by_host"]:  # a host that was not judged this time demands what it did
            options[identity] = dict(strictness.by_host(previous, identity))
    for host, items in demands.items():
        for identity, own in items.items():
            if identity in options:
                options[identity][host] = own
    skipped: dict[str, list[str]] = {}
    for finding in judged:
        if finding["status"] == "not_applicable":
            skipped.setdefault(finding["id"], []).append(finding["host"])
    return {
        **planned,
        "on_hosts": {identity: strictness.grouped(hosts) for identity, hosts in options.items() if hosts},
        "not_applicable": skipped,
    }


def _standing(finding: Finding, item: Expected, now: datetime.datetime) -> tuple[str, str, str]:
    """What a finding is worth now: its status, summary and remedy, or unknown with the reason."""
    status, summary, remedy = finding["status"], finding["summary"], str(finding.get("remedy") or "")
    if status not in STATUSES:
        return "unknown", f"The finding's status is {status!r}, which means nothing.", remedy
    limit = item.get("max_age_seconds")
    if limit is None or item["check"] == "sign_off":
        return status, summary, remedy
    try:
        age = (now - parse_utc(str(finding["started"]))).total_seconds()
    except (KeyError, ValueError):
        return "unknown", f"When this was judged is not known. It said: {summary}", remedy
    if age > limit:
        sentence = f"Judged {age:.0f} s ago, and may be at most {limit:.0f} s old. It said: {summary}"
        return "unknown", sentence, f"{remedy} {_AGAIN}".strip()
    if age < -CLOCKS_DIFFER:
        sentence = f"Judged {-age:.0f} s in the future: the clocks differ, so its age is not known. It said: {summary}"
        return "unknown", sentence, f"{remedy} {_SAME_TIME}".strip()
    return status, summary, remedy


class _Accepted:
    """What people accepted, a waiver before force, and what of it was used."""

    def __init__(
        self, waivers: t.Sequence[Waiver], force: t.Sequence[t.Mapping[str, t.Any]], now: datetime.datetime
    ) -> None:
        self._waivers = waivers
        self._force = read_force(force)
        self._now = now
        self._used_waivers: set[int] = set()
        self._used_force: set[str] = set()

    def of(self, finding: Finding) -> dict[str, t.Any] | None:
        """Who accepted that this finding is bad; None where nobody did."""
        for index, waiver in enumerate(self._waivers):
            if waiver.covers(finding) and waiver.expires > self._now:
                self._used_waivers.add(index)
                return _waiver_note(waiver)
        for entry in self._force[::-1]:
            if entry["item"] == finding["id"]:
                self._used_force.add(entry["item"])
                return {**entry, "forced": True}
        return None

    def waivers(self) -> list[dict[str, t.Any]]:
        return [
            {**_waiver_note(waiver), "state": self._state(index, waiver)} for index, waiver in enumerate(self._waivers)
        ]

    def _state(self, index: int, waiver: Waiver) -> str:
        return "used" if index in self._used_waivers else "expired" if waiver.expires <= self._now else "unused"

    def forced(self) -> list[dict[str, t.Any]]:
        return [{**entry, "state": "used" if entry["item"] in self._used_force else "unused"} for entry in self._force]


@dataclasses.dataclass
class _SortedOut:
    """The findings by what they mean for the decision; each line is what is printed of one."""

    blocking: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    warnings: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    #: What would leave a trace and was left out in check mode.
    conditional: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    decided: list[Finding] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys((*STATUSES, "waived"), 0))
    #: How much of what blocks is no finding, and so in no count.
    beside: int = 0

    def block(self, identity: str, status: str, summary: str, remedy: str = "") -> None:
        """What no finding of a check says."""
        line = {"id": identity, "host": CONTROLLER, "status": status, "severity": "blocker", "summary": summary}
        self.blocking.append({**line, "remedy": remedy})
        self.beside += 1

    def sort(
        self, finding: Finding, item: Expected, accepted: _Accepted, *, now: datetime.datetime, check_mode: bool
    ) -> None:
        status, summary, remedy = _standing(finding, item, now)
        # The plan's word counts; a host's own variables may only make an item stricter.
        severity = "blocker" if "blocker" in (item["severity"], finding["severity"]) else "warning"
        waiver = None if status in ("pass", "not_applicable") else accepted.of(finding)
        decision = "waived" if waiver else status
        self.counts[decision] += 1
        self.decided.append({**finding, "decision": decision, "waiver": waiver})
        line = {
            "id": finding["id"],
            "host": finding["host"],
            "status": status,
            "severity": severity,
            "summary": summary,
            "remedy": "" if waiver else remedy,
        }
        if decision in ("fail", "unknown") and severity == "blocker":
            stands = (status, summary) == ("unknown", finding["summary"])
            if check_mode and stands and finding.get("left_out") is True:
                self.conditional.append({"id": finding["id"], "host": finding["host"], "reason": summary})
            else:
                self.blocking.append(line)
        elif decision not in ("pass", "not_applicable"):
            self.warnings.append(line)


def decide(
    *,
    expected: Expected,
    findings: list[Finding],
    phase: str,
    now: datetime.datetime,
    waivers: t.Sequence[Waiver] = (),
    force: t.Sequence[t.Mapping[str, t.Any]] = (),
    sign_offs: t.Sequence[t.Mapping[str, t.Any]] = (),
    bindings: t.Mapping[str, str] | None = None,
    previous: t.Mapping[str, t.Any] | None = None,
    approver: str = "",
    demands: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    unreadable: t.Mapping[str, str] | None = None,
    obstacles: t.Mapping[str, str] | None = None,
    check_mode: bool = False,
    run_options: str = "",
) -> tuple[dict[str, t.Any], list[Finding]]:
    """The verdict, and every finding beside its decision. Findings themselves are never edited."""
    items = {item["id"]: item for item in expected["items"]}
    judged = _counting(findings, items, phase)
    judged += missing_findings(expected, judged, phase, now)
    judged += signed_findings(
        expected,
        sign_offs,
        phase=phase,
        bindings=bindings or {},
        now=now,
        check_mode=check_mode,
        run_options=run_options,
    )
    accepted = _Accepted(waivers, force, now)
    sorted_out = _SortedOut()
    for finding in judged:
        sorted_out.sort(finding, items[finding["id"]], accepted, now=now, check_mode=check_mode)

    for status, reasons in (("fail", obstacles), ("unknown", unreadable)):
        for name, reason in (reasons or {}).items():
            sorted_out.block(name, status, str(reason))
    coverage = _coverage(expected, judged, phase)
    for identity in coverage["missing"]:
        sorted_out.block(identity, "unknown", f"{identity} is required, and no item and no step covers it.", _COVER)
    before = (previous or {}).get("strictness") or {}
    strict = _strictness(expected, judged, demands or {}, before)
    easier, changed = _changes(strict, before, approver)
    if easier and not approver:
        said = f"Loosened since the last GO, and golive_loosened_approver names nobody: {_all_said(easier)}."
        sorted_out.block("loosened", "fail", said, _APPROVE)
    if all(finding["status"] == "not_applicable" for finding in judged):
        remedy = "Let when: hold for one of its items." if judged else f"Write an item with phase: {phase}."
        sorted_out.block("findings", "unknown", f"Nothing was judged in phase {phase}.", remedy)
    is_warned = bool(sorted_out.warnings or easier)
    verdict = {
        "decision": NO_GO if sorted_out.blocking else GO_WITH_WARNINGS if is_warned else GO,
        "decided": utc_text(now),
        "phase": phase,
        "counts": sorted_out.counts,
        "beside": sorted_out.beside,
        "blocking": sorted_out.blocking,
        "warnings": sorted_out.warnings,
        "conditional": sorted_out.conditional,
        "coverage": coverage,
        "loosened": easier,
        "changed": changed,
        "waivers": accepted.waivers(),
        "forced": accepted.forced(),
        "sign_offs": [_sign_off_note(finding) for finding in judged if finding["check"] == "sign_off"],
        "strictness": strict,
    }
    return verdict, sorted_out.decided


def _counting(findings: t.Sequence[Finding], items: t.Mapping[str, Expected], phase: str) -> list[Finding]:
    """The findings that were expected of a check, in this phase and from that host."""
    return [
        finding
        for finding in findings
        if (item := items.get(finding["id"])) is not None
        and phase in item["phase"]
        and finding["host"] in item["hosts"]
        and finding["check"] == item["check"] != "sign_off"
    ]


def _coverage(expected: Expected, judged: t.Sequence[Finding], phase: str) -> dict[str, t.Any]:
    """What of the required lists is served by an item that applied somewhere, by one of another phase, or by a step."""
    serving = [finding for finding in judged if finding["status"] != "not_applicable"]
    serving += [item for item in expected["items"] if phase not in item["phase"]]
    by_steps = dict(expected.get("satisfies") or {})
    served = {identity for one in serving for identity in (one["id"], *one["satisfies"])}
    # A step back is taken when a release fails: the report ticks what it serves then, and nothing counts on it.
    served.update(identity for step, ids in by_steps.items() if step in NAMES for identity in ids)
    required = list(expected.get("require", []))
    return {
        "required": required,
        "covered": sorted(identity for identity in served if "." in identity),
        "by_steps": by_steps,
        "missing": [identity for identity in required if not _covered(identity, served)],
    }


def _changes(
    strict: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any], approver: str
) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    """What is judged less than at the last GO, and what is only judged otherwise."""
    easier, changed = [], []
    for change in strictness.compared(strict, before):
        if change.pop("kind") == strictness.LOOSENED:
            easier.append({**change, "approver": approver})
        else:
            changed.append(change)
    return easier, changed


def _all_said(changes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    what = "; ".join(_said(change) for change in changes[:_LISTED])
    return what + (f"; and {len(changes) - _LISTED} more" if len(changes) > _LISTED else "")


def _said(change: t.Mapping[str, t.Any]) -> str:
    """One change in words: ``disk paths[/srv].min_free 20GB → 10GB``."""
    was, now = (plain(change[side])[:80] for side in ("was", "now"))
    return f"{change['id']} {change['field']} {was} → {now}"


def _waiver_note(waiver: Waiver) -> dict[str, t.Any]:
    return {
        "item": waiver.item, "owner": waiver.owner, "approver": waiver.approver, "reason": waiver.reason,
        "scope": ", ".join(waiver.hosts) or "all hosts", "expires": utc_text(waiver.expires),
    }  # fmt: skip


def _sign_off_note(finding: Finding) -> dict[str, t.Any]:
    record = finding["evidence"]
    return {
        "item": finding["id"], "team": record["team"], "name": record.get("name", ""),
        "signed": record.get("signed", ""), "expires": record["expires"], "binds_to": record["binds_to"],
        "state": finding["status"], "digest": record["to_sign"], "valid_seconds": record["valid_seconds"],
        "asks": record["asks"], "details": record.get("details") or {},
    }  # fmt: skip


def in_words(verdict: t.Mapping[str, t.Any]) -> str:
    """The verdict as it is printed: the decision first, then what blocks and what warns, each with what to do about it."""
    counts = ", ".join(f"{count} {status}" for status, count in verdict["counts"].items() if count)
    decision = verdict["decision"]
    if verdict["conditional"] and decision != NO_GO:
        decision += f" if these {len(verdict['conditional'])} hold"
    beside = f"; {verdict['beside']} more beside the checklist" if counts and verdict.get("beside") else ""
    lines = [f"{decision}  ({counts or 'nothing judged'}{beside})"]
    for title, entries in (("blocks", verdict["blocking"]), ("warns", verdict["warnings"])):
        for entry in entries[:30]:
            where = "" if entry["host"] == CONTROLLER else f" on {entry['host']}"
            summary = " ".join(entry["summary"].split())  # no server's answer begins a line of its own
            lines.append(f"  {title:7}{entry['status']:8} {entry['id']}{where}: {summary[:_SHOWN_CHARACTERS]}")
            remedy = " ".join(entry["remedy"].split())
            if remedy:
                lines.append(f"  {'':15} → {remedy[:_SHOWN_OF_A_REMEDY]}")
        if len(entries) > 30:
            lines.append(f"  {title:7}and {len(entries) - 30} more")
    lines += [f"  holds? {entry['id']}: {entry['reason']}" for entry in verdict["conditional"]]
    lines += [
        f"  forced {entry['item']} by {entry['approver']}: {entry['reason']}"
        + ("" if entry["state"] == "used" else " (unused)")
        for entry in verdict["forced"]
    ]
    # What was loosened without an approver stands among what blocks.
    approved = [entry for entry in verdict["loosened"] if entry["approver"]]
    lines += [f"  loosened, approved by {entry['approver']}: {_said(entry)}" for entry in approved[:_LISTED]]
    lines += [f"  changed since the last GO: {_said(entry)}" for entry in verdict["changed"][:_LISTED]]
    for title, count in (("loosened", len(approved)), ("changed", len(verdict["changed"]))):
        if count > _LISTED:
            lines.append(f"  {title}: {count - _LISTED} more, in the report")
    for waiver in verdict["waivers"]:
        if waiver["state"] != "used":
            lines.append(f"  waiver for {waiver['item']} is {waiver['state']} (until {waiver['expires']})")
    return "\n".join(lines)
