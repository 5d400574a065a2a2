# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report: JSON is the source, the other formats are derived from it."""

from __future__ import annotations

import json
import math
import os
import platform
import typing as t

from ansible import __version__ as ansible_version
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_steps import (
    STEPS,
    TOUCHING,
    Step,
    parts_of,
    title_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import PHASES
from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import (
    BUDGET_UNKNOWN,
    OVER_BUDGET,
    ReportError,
    budget_verdict,
    build_report,
    measured_later,
    word,
    write_all,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.templating import plain
from ansible_collections.opsready.golive.plugins.plugin_utils.terminal import printable

_OPTIONS: Spec = {
    "directory": {"type": "str"},
    "destination": {"type": "str", "required": True},
    "formats": {
        "type": "list",
        "elements": "str",
        "choices": ["json", "html", "markdown", "junit"],
        "default": ["json", "html", "markdown", "junit"],
    },
    "record": {"type": "dict", "default": {}},
    "downtime": {"type": "dict", "default": {}},
    "kept": {"type": "str"},
    "copy_to": {"type": "str"},
    "system": {"type": "str", "default": ""},
    "version": {"type": "str", "default": ""},
}
_DISPLAY = Display()
_DOWNTIME_CHECK = "downtime_probe"
#: The end was decided and done, and the disk took no line of it.
_UNWRITTEN = "This could not be written into the release's journal, which shows the release as it stood before."
_NO_VERDICT: dict[str, t.Any] = {
    "decision": "NO-GO",
    "blocking": [
        {"id": "verdict", "host": "controller", "status": "unknown", "severity": "blocker",
         "summary": "No verdict was made in this run.", "remedy": "opsready.golive.plan, checklist and verdict come before report."}
    ],
}  # fmt: skip


class ActionModule(ActionBase):
    """The action behind ``opsready.golive.report``; it writes on the controller, and with ``copy_to`` on the task's host, too."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            options = validated(_OPTIONS, plain(self._task.args, (task_vars or {}).get("omit")), where="report")
            options["destination"] = os.path.abspath(options["destination"])
            result.update(self._report(options))
            if options["copy_to"]:
                self._copy(options["destination"], options["copy_to"], task_vars or {})
        except GoliveError as problem:
            result.update(failed=True, msg=str(problem), error=type(problem).__name__)
        return result

    def _copy(self, source: str, target: str, variables: dict[str, t.Any]) -> None:
        """Put the report onto the task's host, as ansible.builtin.copy does. Raises ActionFailed; the report is written then."""
        task = self._task.copy()
        task.args = {"src": f"{source}/", "dest": f"{target}/", "mode": "0600", "directory_mode": "0700"}
        copy = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.copy", task=task, connection=self._connection, play_context=self._play_context,
            loader=self._loader, templar=self._templar, shared_loader_obj=self._shared_loader_obj,
        )  # fmt: skip
        try:
            copied = copy.run(task_vars=variables)
        except AnsibleError as lost:  # a host that is gone, or a path that cannot be looked at
            copied = {"failed": True, "msg": lost.message}
        if copied.get("failed"):
            raise ActionFailed(
                f"The report is at {source}, and could not be put into {target}: {_reason_of(copied)}.",
                remedy="Make room or give rights there, then copy it.",
            )

    def _report(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        directory = options["directory"] or run_directory()
        record = options["record"]
        kept = _kept(options["kept"], record)
        verdict = _verdict(directory, record, kept)
        judged = _latest(kept.get("findings") or [], _findings(directory))
        outcome, sentence = _outcome(verdict, record, self._task.check_mode)
        try:
            report = build_report(
                system=options["system"] or str(verdict.get("system", "")),
                version=options["version"] or str(verdict.get("version", "")),
                verdict={key: value for key, value in verdict.items() if key in _VERDICT_KEYS},
                outcome=outcome,
                outcome_text=sentence,
                findings=_latest(judged, _downtime_findings(options["downtime"])),
                # A run that died kept its verdict, and none of what it had judged.
                findings_are_all=bool(judged) or not verdict.get("counts"),
                release=release_part(record, options["downtime"]) if record.get("id") and record.get("begun") else None,
                environment={
                    "ansible": ansible_version,
                    "python": platform.python_version(),
                    "controller": platform.node(),
                },
            )
            written = write_all(report, options["destination"], options["formats"])
        except ReportError as problem:
            raise BadInput(f"The report cannot be made: {problem}.") from None
        except OSError as problem:
            raise ActionFailed(
                f"The report cannot be written to {options['destination']}: {problem.strerror}.",
                remedy="Make room or give rights there; the findings and the release record are kept.",
            ) from None
        head = record.get("head", "")
        lines = [f"{report['outcome_text']}", *(_figures(report["release"]) if report["release"] else [])]
        lines += [f"report: {entry['path']}" for name, entry in written.items() if name == "html"] or [
            f"report: {options['destination']}"
        ]
        if head:
            lines.append(f"journal head: {head}")
        if report["release"]:
            lines += _beside_budget(outcome, report["release"]["downtime"])
        _DISPLAY.display(printable("\n".join(lines)))
        return {
            "changed": True,
            "outcome": outcome,
            "files": written,
            "destination": options["destination"],
            "head": head,
            "msg": report["outcome_text"],
        }


def _reason_of(failed: t.Mapping[str, t.Any]) -> str:
    """Why Ansible's own module failed; from ansible-core 2.19 on a raised error stands beside the message, cause by cause."""
    told = [str(failed["msg"])] if failed.get("msg") else []
    event = getattr(failed.get("exception"), "event", None)
    while event is not None:
        told.append(str(event.msg))
        event = getattr(event.chain, "event", None)
    causes = [cause for number, cause in enumerate(told) if not any(cause in other for other in told[:number])]
    return ": ".join(cause.strip().rstrip(".") for cause in causes) or "no reason given"


_VERDICT_KEYS = {
    "decision", "decided", "counts", "blocking", "warnings", "conditional", "coverage", "loosened", "changed",
    "waivers", "sign_offs", "digest",
}  # fmt: skip


def _load(path: str) -> t.Any:
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def _kept(path: str | None, record: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The verdict and findings of an earlier report of this very release, empty where there is none that can be read."""
    try:
        kept = (_load(path) if path else None) or {}
        own = (kept.get("release") or {}).get("id")
        if not own or own != record.get("id"):
            return {}
        # What the probe found is asked of the probe.
        judged = [finding for finding in kept["findings"] if finding["check"] != _DOWNTIME_CHECK]
        return {"verdict": kept["verdict"], "findings": judged}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # cut by a full disk, or no report at all
        _DISPLAY.warning(f"{path} cannot be read as a report; what was judged is told by the verdict alone.")
        return {}


def _verdict(directory: str, record: t.Mapping[str, t.Any], kept: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The go-live verdict: this run's, else what was kept of the release; later phases' blockers are added to it."""
    own = _load(os.path.join(directory, "verdict.pre_deploy.json"))
    first = own or kept.get("verdict") or record.get("release_verdict") or None
    verdict: dict[str, t.Any] = dict(first or _NO_VERDICT)
    for phase in PHASES[1:]:
        later = _load(os.path.join(directory, f"verdict.{phase}.json"))
        if later is None:
            continue
        for part in ("blocking", "warnings"):
            verdict[part] = [*verdict.get(part, []), *later[part]]
        verdict["counts"] = {
            name: count + verdict.get("counts", {}).get(name, 0) for name, count in later["counts"].items()
        }
    return verdict


def _findings(directory: str) -> list[dict[str, t.Any]]:
    """Every finding beside its decision. One that was judged in several phases stands once, with the last word."""
    by_phase = [_load(os.path.join(directory, f"decided.{phase}.json")) or [] for phase in PHASES]
    return _latest(*by_phase)


def _latest(*lists: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The findings of several lists, each item of a host once: as the last list that has it says."""
    return list({(finding["id"], finding["host"]): finding for listed in lists for finding in listed}.values())


def _outcome(verdict: t.Mapping[str, t.Any], record: t.Mapping[str, t.Any], check_mode: bool) -> tuple[str, str]:
    ended, decided = record.get("ended"), record.get("decided")
    if ended:
        outcome = str(ended["outcome"])
        return outcome, str(ended.get("detail", ""))
    if decided:
        return str(decided["outcome"]), f"{decided.get('detail', '')} {_UNWRITTEN}".strip()
    if record.get("begun") and record.get("id"):
        return "left_on", str(record.get("settlement", {}).get("sentence", ""))
    if verdict["decision"] == "NO-GO":
        return "no_go", ""
    return "checked", "Checked, and nothing was changed." if check_mode else ""


def _known(steps: t.Sequence[t.Mapping[str, t.Any]], name: str, key: str) -> dict[str, t.Any] | None:
    for step in reversed(steps):
        if step["name"] == name and isinstance(step.get("known"), dict) and step["known"].get(key):
            return t.cast("dict[str, t.Any]", step["known"][key])
    return None


def release_part(record: t.Mapping[str, t.Any], downtime: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The report's view of a release record, as ``release`` with state read returned it."""
    begun, plan, rollback, steps = record["begun"], record["plan"], record["rollback"], record["steps"]
    ended = record.get("ended") or record.get("decided") or {}
    by_name = {step.name: step for step in STEPS}
    parts = parts_of(rollback)
    predicted = {step["name"]: step["predicted_seconds"] for step in plan.get("steps", [])}
    return {
        "id": record["id"],
        "system": plan.get("system", ""),
        "version": plan.get("version", ""),
        "previous_version": plan.get("previous_version", ""),
        "operator": begun.get("operator", ""),
        "digest": begun.get("digest", ""),
        "journal": {"head": record["head"], "entries": record["entries"]},
        "started": begun["at"],
        "ended": ended.get("at"),
        "steps": [
            {
                "name": step["name"],
                "title": title_of(step, parts),
                "phase": _phase_of(step, by_name),
                "status": step["status"],
                "started": step["started"],
                "seconds": step["seconds"],
                "predicted_seconds": None if step["direction"] == "back" else predicted.get(step["name"]),
                "changes": step["name"] not in by_name or by_name[step["name"]].changes,
                "detail": step["detail"],
            }
            for step in steps
        ],
        "point_of_no_return": plan.get("point_of_no_return"),
        "irreversible": plan.get("irreversible", []),
        # What was printed before the first change.
        "way_out": _ways_out(plan, ended.get("outcome", "")),
        "rollback": _rollback_part(rollback, parts),
        "backup": _backup_part(_known(steps, "backup", "backup")),
        "downtime": _downtime_part(downtime, plan.get("downtime_budget"), steps),
        "drain": _known(steps, "watch", "drain"),
    }


def _ways_out(plan: t.Mapping[str, t.Any], outcome: str) -> list[str]:
    """The commands that lead on: out of a release that is not settled, and back from one that is live."""
    ways = [str(way) for way in plan.get("way_out") or []]
    if outcome == "live":
        return [way for way in ways if " opsready.golive.abort " not in way]
    return ways if outcome in ("", "left_on") else []


def _phase_of(step: t.Mapping[str, t.Any], by_name: t.Mapping[str, Step]) -> str:
    """When it ran; a step with a name of one's own, which only the module ``release`` makes, is one of the window."""
    if step["direction"] == "back":
        return "rollback"
    return by_name[step["name"]].phase if step["name"] in by_name else "window"


def _rollback_part(rollback: t.Mapping[str, t.Any], parts: t.Collection[str] | None) -> dict[str, t.Any]:
    told = {key: rollback.get(key) for key in ("database", "reason", "services")}
    # Where there is no database, nothing of one is taken back or left as it is.
    return {**told, "database": None, "reason": None} if parts is not None and "database" not in parts else told


def _backup_part(backup: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
    if backup is None:
        return None
    proof = backup.get("verified") or {}
    return {
        **{key: backup.get(key) for key in ("size_bytes", "tables", "rows", "sha256", "dump_seconds")},
        "key": backup.get("archive") or backup.get("name", ""),
        "verified": proof.get("level"),
        "restore_seconds": proof.get("restore_seconds"),
        "at": backup.get("created"),
    }


def _downtime_part(
    downtime: t.Mapping[str, t.Any], budget: float | None, steps: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[str, t.Any] | None:
    """What was measured beside the budget; None where nothing was measured of what touched nobody, or has no budget."""
    went_on = [step for step in steps if downtime.get("until") and _began_after(step, downtime["until"])]
    if any(step["direction"] == "back" for step in went_on):
        downtime = {}  # of this way back there is nothing: what was measured is an earlier run's
    if not downtime and not (budget and any(map(_is_felt, steps))):
        return None
    wanted = ("resolution_seconds", "samples", "unknown_seconds", "since", "until")
    return {
        **{key: downtime[key] for key in wanted if downtime.get(key) is not None},
        "seconds": downtime.get("seconds"),
        "intervals": downtime.get("intervals") or [],
        "budget_seconds": budget or None,
        "job_delay_seconds": downtime.get("job_delay_seconds"),
        "verdict": budget_verdict(
            seconds=downtime.get("seconds"),
            at_most=downtime.get("at_most_seconds"),
            unknown=math.inf if went_on or _is_still_down(downtime) else downtime.get("unknown_seconds"),
            budget=budget,
        ),
    }


def _is_still_down(downtime: t.Mapping[str, t.Any]) -> bool:
    """Whether measuring ended before the downtime did: it is that long at least, and nobody knows how long."""
    intervals = downtime.get("intervals") or []
    return bool(intervals and downtime.get("until") and intervals[-1].get("to") == downtime["until"])


def _is_felt(step: t.Mapping[str, t.Any]) -> bool:
    return step["name"] in TOUCHING or step["direction"] == "back"


def _began_after(step: t.Mapping[str, t.Any], moment: str) -> bool:
    return _is_felt(step) and bool(step["started"]) and parse_utc(step["started"]) > parse_utc(moment)


def _downtime_findings(downtime: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """What the probe found of budget and maintenance, where it was asked: a release that is live stays so."""
    found = downtime.get("finding")
    if not found:
        return []
    return [
        {
            "id": "downtime",
            "title": "Users were without it for no longer than the budget allows, and maintenance held",
            "phase": ["watch"],
            "severity": "warning",
            "host": "controller",
            "check": _DOWNTIME_CHECK,
            "satisfies": [],
            **{name: found[name] for name in ("status", "summary", "expected", "measured", "remedy")},
        }
    ]


def _beside_budget(outcome: str, downtime: t.Mapping[str, t.Any] | None) -> list[str]:
    """The last words where users waited longer than they should have, or may have."""
    if not downtime or downtime["verdict"] not in (OVER_BUDGET, BUDGET_UNKNOWN):
        return []
    budget = f"{downtime['budget_seconds']:g} s"
    if downtime["verdict"] == OVER_BUDGET:
        return [f"{word(outcome)}, over budget: {downtime['seconds']:.1f} s of {budget}"]
    known = "nothing was measured" if downtime["seconds"] is None else _measured(downtime)
    if _is_still_down(downtime):
        known += ", and it was still down then"
    return [f"{word(outcome)}, and the downtime budget of {budget} cannot be judged: {known}"]


def _measured(downtime: t.Mapping[str, t.Any]) -> str:
    unknown = downtime.get("unknown_seconds")
    return f"{downtime['seconds']:.1f} s" + (f" and {unknown:.1f} s unknown" if unknown else "")


def _figures(release: t.Mapping[str, t.Any]) -> list[str]:
    """Downtime and backup in a line each."""
    lines = []
    downtime, backup = release.get("downtime"), release.get("backup")
    if downtime and (downtime.get("seconds") or (downtime.get("seconds") is not None and _was_felt(release))):
        budget = downtime.get("budget_seconds")
        allowed = f" of {budget:g} s allowed" if budget is not None else ", no budget was given"
        # A way back days later has a window of its own.
        since = measured_later(release)
        lines.append(
            f"downtime{since and ' '}{since}: {_measured(downtime)}{allowed}, measured on the user path every "
            f"{downtime['resolution_seconds']:g} s"
        )
    if backup:
        lines.append(
            f"backup: {backup['size_bytes']:,} bytes at {backup['key']}, {backup['rows']:,} rows in {backup['tables']} "
            f"tables, {_proof(backup)}"
        )
    return lines


def _was_felt(release: t.Mapping[str, t.Any]) -> bool:
    """Whether it went so far that anybody could notice."""
    return any(step["name"] in TOUCHING or step["phase"] == "rollback" for step in release["steps"])


def _proof(backup: t.Mapping[str, t.Any]) -> str:
    """What was seen of a backup, and no more than that."""
    seconds = f" in {backup['restore_seconds']:.1f} s" if backup.get("restore_seconds") is not None else ""
    proofs = {
        "restore": f"restored and compared{seconds}",
        "archive": "read back and its rows counted, not restored",
        "head": "its stored bytes compared, neither read back nor restored",
    }
    return proofs.get(str(backup.get("verified")), "not proven")
