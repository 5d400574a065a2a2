# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge all of a host's items in one module call, with secrets apart, and spool what was found."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.packed_findings import unpacked
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import (
    Spec,
    strings_in,
    transform_secrets,
    validated,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import ORDER, STATUSES
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from ansible_collections.opsready.golive.plugins.plugin_utils import spool, strictness
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import CONTROLLER, Item, label, parse
from ansible_collections.opsready.golive.plugins.plugin_utils.controller import end_with_controller
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.sent_module import sent_module
from ansible_collections.opsready.golive.plugins.plugin_utils.templating import (
    Undefined,
    digest_as_written,
    plain,
    templated,
    truth,
)

_OPTIONS: Spec = {
    "checks": {"type": "raw", "default": "golive_checklist"},
    "defaults": {"type": "raw"},
    "phase": {"type": "str", "default": "pre_deploy"},
    "volatile": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 120.0},
    "workers": {"type": "int", "default": 32},
    "directory": {"type": "str"},
    "full": {"type": "bool", "default": False},
}
_DEFINE = "Define it where this host sees it, or say with when: and reason: that the item does not apply."
_ANOTHER = "This host's own variables hold another item of this id, or other defaults, than was planned."
_ONE_LIST = (
    "Keep one list for all hosts, beside the system file, and write what differs from host to host as a template in it."
)
_RUN_ALONE = "Run this check as a task of its own on the host, with -vvv, to see what it says."
#: How many findings that did not pass are returned; all of them are in the spool.
_SHOWN = 50


class ActionModule(ActionBase):
    """The action behind ``opsready.golive.checklist``. It never fails on findings: the verdict does."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            result.update(self._judge(task_vars or {}))
        except GoliveError as problem:
            result.update(failed=True, msg=str(problem), error=type(problem).__name__)
        end_with_controller()
        return result

    def _judge(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        omit = variables.get("omit")
        named = plain(self._task.args, omit)
        options = validated(_OPTIONS, named, where="checklist")
        self._task.args = named  # they go back with the result, and each string would carry Ansible's notes about it
        directory = options["directory"] or run_directory()
        host = str(variables["inventory_hostname"])
        host = CONTROLLER if host == "localhost" else host
        raw_items = self._raw_list(options["checks"], variables)
        defaults = self._defaults(options["defaults"], variables)
        planned = self._planned_here(directory, host, options) if isinstance(options["checks"], str) else None

        secrets: list[t.Any] = []
        sent: list[dict[str, t.Any]] = []
        findings: dict[str, dict[str, t.Any]] = {}
        meta: dict[str, dict[str, t.Any]] = {}
        demands: dict[str, dict[str, t.Any]] = {}
        shared_by_check: dict[str, t.Any] = {}
        for index, raw in enumerate(raw_items):
            if planned is not None and (not isinstance(raw, dict) or self._id(raw) not in planned):
                continue
            item = self._item(raw, index, variables)
            if item.check == "sign_off" or options["phase"] not in item.phases:
                continue
            meta[item.id] = item.described()
            if planned is not None:
                expected, written = planned[item.id], digest_as_written(raw, defaults.get(item.check))
                if expected["written_sha256"] != written:
                    findings[item.id] = _blank(expected["check"], "unknown", _ANOTHER, _ONE_LIST)
                    continue
            try:
                if not truth(self._templar, item.when, where="when"):
                    findings[item.id] = _blank(
                        item.check, "not_applicable", f"Not applicable: {item.reason.rstrip('.')}."
                    )
                    continue
                own = templated(self._templar, raw[item.check], omit) or {}
                if item.check not in shared_by_check:
                    shared_by_check[item.check] = templated(self._templar, defaults.get(item.check) or {}, omit)
                shared = shared_by_check[item.check]
            except Undefined as problem:
                findings[item.id] = _blank(item.check, "unknown", f"The item cannot be read: {problem}.", _DEFINE)
                continue
            if not isinstance(own, dict) or not isinstance(shared, dict):
                text = f"The item cannot be read: {item.check} has to be a mapping of its options."
                findings[item.id] = _blank(item.check, "unknown", text, f"Write {item.check}: {{option: value}}.")
                continue
            sent.append(self._split(item, {**shared, **own}, secrets))
            if host != CONTROLLER:
                options_as_written = strictness.as_written(raw[item.check], defaults.get(item.check))
                demands[item.id] = strictness.depends_on_host(item.check, options_as_written, {**shared, **own})
        findings.update(self._on_host(sent, secrets, options, variables))
        ordered = [{**findings[identity], **meta[identity], "host": host} for identity in meta]
        batch = options["phase"] + (".volatile" if options["volatile"] else "")
        digest = spool.put(directory, batch, host, ordered)
        spool.put_demands(directory, batch, host, demands)
        return self._summary(ordered, digest, directory, options["full"])

    def _id(self, raw: t.Mapping[str, t.Any]) -> str:
        try:
            return str(templated(self._templar, raw.get("id", "")))
        except Undefined as problem:
            raise BadInput(f"An item's id cannot be read: {problem}.") from None

    def _defaults(self, given: t.Any, variables: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
        defaults = given if isinstance(given, dict) else variables.get(given or "golive_checklist_defaults") or {}
        if not isinstance(defaults, t.Mapping):
            raise BadInput("defaults has to be a mapping from a check to its options.")
        return defaults

    def _raw_list(self, checks: t.Any, variables: t.Mapping[str, t.Any]) -> list[t.Any]:
        if isinstance(checks, str):
            if checks not in variables:
                raise BadInput(f"The variable {checks} is not defined; it holds the checklist.")
            checks = variables[checks]
            if isinstance(checks, str):
                checks = templated(self._templar, checks)
        if not isinstance(checks, list) or not checks:
            raise BadInput("checks is empty: with nothing to judge nothing is known.")
        return checks

    def _planned_here(self, directory: str, host: str, options: t.Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
        """What the plan says of each item that this host has to judge now, by its id."""
        path = os.path.join(directory, "expected.json")
        try:
            with open(path, encoding="utf-8") as stream:
                document = json.load(stream)
        except FileNotFoundError:
            raise BadInput(f"There is no {path}: opsready.golive.plan comes before checklist.") from None
        return {
            item["id"]: item
            for item in document["items"]
            if host in item["hosts"]
            and options["phase"] in item["phase"]
            and (not options["volatile"] or item["max_age_seconds"] is not None)
        }

    def _item(self, raw: t.Any, index: int, variables: t.Mapping[str, t.Any]) -> Item:
        if not isinstance(raw, t.Mapping):
            return parse(plain(raw), index)
        head = {key: value for key, value in raw.items() if not str(key).startswith("check_") and key != "when"}
        try:
            whole = templated(self._templar, head, variables.get("omit"))
        except Undefined as problem:
            raise BadInput(f"{label(raw, index)}: {problem}.") from None
        whole.update({key: {} for key in raw if str(key).startswith("check_")})
        if "when" in raw:
            whole["when"] = raw["when"]
        return parse(whole, index)

    def _split(self, item: Item, params: dict[str, t.Any], secrets: list[t.Any]) -> dict[str, t.Any]:
        """The item as it is sent: every no_log value moved to ``secrets``, a reference left behind."""

        def move(value: t.Any) -> dict[str, int]:
            secrets.append(value)
            return {registry.REFERENCE: len(secrets) - 1}

        spec = registry.load(item.check).ARGUMENT_SPEC
        apart = transform_secrets(spec, params, move)
        return {
            "id": item.id,
            "check": item.check,
            "params": _without_look_alikes(apart, move),
            "timeout": item.timeout_seconds,
        }

    def _on_host(
        self,
        sent: list[dict[str, t.Any]],
        secrets: list[t.Any],
        options: t.Mapping[str, t.Any],
        variables: dict[str, t.Any],
    ) -> dict[str, dict[str, t.Any]]:
        if not sent:
            return {}
        modules = self._shared_loader_obj.module_loader
        try:
            answer = self._execute_module(
                module_name=sent_module("checklist", modules, checks=(item["check"] for item in sent)),
                module_args={
                    "checks": sent,
                    "secrets": secrets,
                    "timeout": options["timeout"],
                    "workers": options["workers"],
                },
                task_vars=variables,
            )
            problem = "" if "findings" in answer else _why_no_findings(answer)
            remedy = "Look at the host's Python (ansible_python_interpreter) and what it reports."
        except AnsibleConnectionFailure as lost:
            answer, problem = {}, f"The host cannot be reached: {lost.message}"
            remedy = "Bring the host back and run it again; a host that is gone for good leaves the inventory."
        except AnsibleError as failure:
            answer, problem = {}, f"The checks could not be started on this host: {failure.message}"
            remedy = "Look at the host's Python (ansible_python_interpreter) and the rights of the user who connects."
        if problem:
            text = Scrubber(strings_in(secrets)).text(problem).strip().rstrip(".")
            return {item["id"]: _blank(item["check"], "unknown", f"{text[:500]}.", remedy) for item in sent}
        # By place and not by id: Ansible masks an id that happens to contain one of the secrets.
        found = unpacked(answer["findings"])
        found += [None] * (len(sent) - len(found))
        return {item["id"]: _as_sent(item, finding) for item, finding in zip(sent, found, strict=True)}

    def _summary(self, findings: list[dict[str, t.Any]], digest: str, directory: str, full: bool) -> dict[str, t.Any]:
        counts = dict.fromkeys(STATUSES, 0)
        for finding in findings:
            counts[finding["status"]] += 1
        not_passed = [finding for finding in findings if finding["status"] not in ("pass", "not_applicable")]
        not_passed.sort(key=lambda finding: -ORDER.index(finding["status"]))
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing to judge here"
        summary: dict[str, t.Any] = {
            "changed": False,
            "msg": said,
            "counts": counts,
            "not_passed": [
                {key: finding[key] for key in ("id", "status", "severity", "summary")}
                for finding in not_passed[:_SHOWN]
            ],
            "sha256": digest,
            "directory": directory,
        }
        if full:
            summary["findings"] = findings
        return summary


def _why_no_findings(answer: t.Mapping[str, t.Any]) -> str:
    """What a module said that could not run: the end of its standard error says more than Ansible's own sentence."""
    said = str(answer.get("msg") or "the module gave no answer").strip().rstrip(".")
    lines = str(answer.get("module_stderr") or answer.get("module_stdout") or "").strip().splitlines()
    return f"The checks could not be started on this host: {said}" + (f": {lines[-1].strip()}" if lines else "")


def _without_look_alikes(value: t.Any, move: t.Callable[[t.Any], t.Any]) -> t.Any:
    """Passwords inside URLs and DSNs are refused by the checks; until then they are kept from the module's own log."""
    if isinstance(value, dict):
        return {key: _without_look_alikes(item, move) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_look_alikes(item, move) for item in value]
    return move(value) if isinstance(value, str) and _LOOKS.option(value) != value else value


_LOOKS = Scrubber()


def _as_sent(item: t.Mapping[str, t.Any], answer: t.Any) -> dict[str, t.Any]:
    """A finding as the host gave it, for the item that it was sent."""
    if not isinstance(answer, dict) or answer.get("status") not in ORDER:
        return _blank(item["check"], "unknown", "The host's answer for this item cannot be read.", _RUN_ALONE)
    blank = _blank(item["check"], "unknown", "")
    return {**blank, **{key: answer[key] for key in blank if key in answer}, "check": item["check"]}


def _blank(check: str, status: str, summary: str, remedy: str = "") -> dict[str, t.Any]:
    return {
        "status": status, "summary": summary, "expected": {}, "measured": {}, "evidence": {}, "remedy": remedy,
        "left_out": False, "check": check, "started": utc_text(CLOCK.now()), "seconds": 0.0,
    }  # fmt: skip
