# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report: JSON is the source, the other formats are derived from it."""

from __future__ import annotations

import json
import os
import platform
import typing as t

from ansible import __version__ as ansible_version
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_steps import STEPS
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import PHASES
from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import (
    ReportError,
    build_report,
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
    "copy_to": {"type": "str"},
    "system": {"type": "str", "default": ""},
    "version": {"type": "str", "default": ""},
}
_DISPLAY = Display()
_NO_VERDICT: dict[str, t.Any] = {
    "decision": "NO-GO",
    "blocking": [
        {"id": "verdict", "host": "controller", "status": "unknown", "severity": "blocker",
         "summary": "No verdict was made in this run."}
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
                f"The report is at {source}, and could not be put into {target}: {copied.get('msg') or 'no reason given'}.",
                remedy="Copy it there.",
            )

    def _report(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        directory = options["directory"] or run_directory()
        record = options["record"]
        verdict = _verdict(directory, record)
        outcome, sentence = _outcome(verdict, record, self._task.check_mode)
        try:
            report = build_report(
                system=options["system"] or str(verdict.get("system", "")),
                version=options["version"] or str(verdict.get("version", "")),
                verdict={key: value for key, value in verdict.items() if key in _VERDICT_KEYS},
                outcome=outcome,
                outcome_text=sentence,
                findings=[*_findings(directory), *_downtime_findings(options["downtime"])],
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
            lines += _over_budget(outcome, report["release"]["downtime"])
        _DISPLAY.display(printable("\n".join(lines)))
        return {
            "changed": True,
            "outcome": outcome,
            "files": written,
            "destination": options["destination"],
            "head": head,
            "msg": report["outcome_text"],
        }


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


def _verdict(directory: str, record: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The go-live verdict: this run's, else the one in the release record; later phases' blockers are added to it."""
    first = _load(os.path.join(directory, "verdict.pre_deploy.json")) or record.get("release_verdict") or None
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
    latest: dict[tuple[str, str], dict[str, t.Any]] = {}
    for phase in PHASES:
        for finding in _load(os.path.join(directory, f"decided.{phase}.json")) or []:
            latest[(finding["id"], finding["host"])] = finding
    return list(latest.values())


def _outcome(verdict: t.Mapping[str, t.Any], record: t.Mapping[str, t.Any], check_mode: bool) -> tuple[str, str]:
    ended = record.get("ended")
    if ended:
        outcome = str(ended["outcome"])
        return outcome, str(ended.get("detail", ""))
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
    ended = record.get("ended") or {}
    by_name = {step.name: step for step in STEPS}
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
                "title": step["title"],
                "phase": "rollback" if step["direction"] == "back" else by_name[step["name"]].phase,
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
        # What was printed before the first change; it matters while the release is not settled.
        "way_out": [] if ended and ended["outcome"] != "left_on" else plan.get("way_out") or [],
        "rollback": {key: rollback.get(key) for key in ("database", "reason", "services")},
        "backup": _backup_part(_known(steps, "backup", "backup")),
        "downtime": _downtime_part(downtime, plan.get("downtime_budget")),
        "drain": _known(steps, "watch", "drain"),
    }


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


def _downtime_part(downtime: t.Mapping[str, t.Any], budget: float | None) -> dict[str, t.Any] | None:
    if not downtime:
        return None
    wanted = ("seconds", "resolution_seconds", "samples", "unknown_seconds", "intervals")
    return {
        **{key: downtime.get(key) for key in wanted},
        "budget_seconds": budget or None,
        "job_delay_seconds": downtime.get("job_delay_seconds"),
        "verdict": None if not budget else "over budget" if _is_over(downtime, budget) else "within budget",
    }


def _is_over(downtime: t.Mapping[str, t.Any], budget: float) -> bool:
    """By the most that it can have been, as the probe's finding has it."""
    return bool(downtime.get("at_most_seconds", downtime["seconds"]) > budget)


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
            "check": "downtime_probe",
            "satisfies": [],
            **{name: found[name] for name in ("status", "summary", "expected", "measured", "remedy")},
        }
    ]


def _over_budget(outcome: str, downtime: t.Mapping[str, t.Any] | None) -> list[str]:
    """The last words where users waited longer than they should have."""
    if not downtime or downtime["verdict"] != "over budget":
        return []
    return [f"{word(outcome)}, over budget: {downtime['seconds']:.1f} s of {downtime['budget_seconds']:g} s"]


def _figures(release: t.Mapping[str, t.Any]) -> list[str]:
    """Downtime and backup in a line each."""
    lines = []
    downtime, backup = release.get("downtime"), release.get("backup")
    if downtime and downtime.get("seconds") is not None:
        budget = downtime.get("budget_seconds")
        allowed = f" of {budget:g} s allowed" if budget is not None else ", no budget was given"
        lines.append(
            f"downtime: {downtime['seconds']:.1f} s{allowed}, measured on the user path every "
            f"{downtime['resolution_seconds']:g} s"
        )
    if backup:
        lines.append(
            f"backup: {backup['size_bytes']:,} bytes at {backup['key']}, {backup['rows']:,} rows in {backup['tables']} "
            f"tables, restored and compared in {backup.get('restore_seconds') or 0:.1f} s"
        )
    return lines
