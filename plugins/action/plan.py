# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the checklist once, refuse what cannot be meant, and say which findings must come in."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.plugin_utils import strictness, system_file
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import (
    CONTROLLER,
    Item,
    check_keys,
    check_params,
    close_match,
    duplicates,
    kind_of,
    label,
    parse,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.forged_variables import (
    refuse_forged,
    refuse_roles_variables,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.host_patterns import Hosts
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import mark_plan, run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.spool import as_json, write_file
from ansible_collections.opsready.golive.plugins.plugin_utils.templating import (
    Undefined,
    digest_as_written,
    plain,
    templated,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.verdict_rules import read_force, read_waivers

_OPTIONS: Spec = {
    "checklist": {"type": "str", "default": "golive_checklist"},
    "defaults": {"type": "str", "default": "golive_checklist_defaults"},
    "system_file": {"type": "bool", "default": False},
    "require": {"type": "list", "elements": "str", "default": []},
    "satisfies": {"type": "dict", "default": {}},
    "waivers": {"type": "list", "elements": "dict", "default": []},
    "force": {"type": "list", "elements": "dict", "default": []},
    "directory": {"type": "str"},
}


class ActionModule(ActionBase):
    """The action behind ``opsready.golive.plan``; it runs on the controller and touches no host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            result.update(self._plan(task_vars or {}))
        except GoliveError as problem:
            result.update(failed=True, msg=str(problem), error=type(problem).__name__)
        return result

    def _plan(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        refuse_forged(load_extra_vars(self._loader))
        options = validated(_OPTIONS, plain(self._task.args, variables.get("omit")), where="plan")
        faults: list[str] = []
        system_file.require_steps(
            options["satisfies"], name="golive_satisfies" if options["system_file"] else "satisfies"
        )
        # What could not count is refused before all is judged, and not after.
        read_waivers(options["waivers"])
        read_force(options["force"])
        if options["system_file"]:
            self._check_system_file(variables)
        raw_items = self._raw_list(options["checklist"], variables)
        hosts = Hosts(variables.get("groups", {}), self._loader)
        defaults = self._defaults(options["defaults"], variables)
        items: list[Item] = []
        expected: list[dict[str, t.Any]] = []
        demands: dict[str, dict[str, t.Any]] = {}
        for index, raw in enumerate(raw_items):
            try:
                item, undefined, written, value = self._item(raw, index, defaults, variables)
                _refuse_distant(item)
                where = hosts.of(item.hosts)
            except BadInput as problem:
                text = problem.message.rstrip(".")
                faults.append(text if text.startswith("item ") else f"{label(raw, index)}: {text}")
                continue
            items.append(item)
            expected.append({**item.described(), "check": item.check, "hosts": where, "pattern": item.hosts,
                             "max_age_seconds": item.max_age_seconds, "timeout_seconds": item.timeout_seconds,
                             "sign_off": item.sign_off, "undefined": undefined,
                             "written_sha256": digest_as_written(raw, defaults.get(item.check))})  # fmt: skip
            demands[item.id] = strictness.demanded(item, written, value)
        faults += [f"item {identity}: the id stands more than once" for identity in duplicates(items)]
        if faults:
            raise BadInput(f"The checklist {options['checklist']} cannot be used: " + "; ".join(faults) + ".")
        return self._write(options, expected, demands, raw_items, variables)

    def _check_system_file(self, variables: t.Mapping[str, t.Any]) -> None:
        """Raise BadInput with everything that is wrong at once."""
        refuse_roles_variables(load_extra_vars(self._loader))
        system_file.check_names(variables)
        faults: list[str] = []
        values: dict[str, t.Any] = {}
        for name in system_file.named_variables(variables):
            if name in system_file.OWN or name == "golive_checklist":
                continue
            try:
                values[name] = templated(self._templar, variables[name], variables.get("omit"))
                system_file.check_value(name, values[name])
            except Undefined as problem:
                faults.append(f"in {name}, {problem}")
            except BadInput as problem:
                faults.append(problem.message.removeprefix("The system file: ").rstrip("."))
        faults += system_file.check_together(values)
        faults += system_file.check_hosts(values, variables.get("groups", {}).get("all", ()))
        if faults:
            raise BadInput("The system file cannot be used: " + "; ".join(faults) + ".")

    def _raw_list(self, name: str, variables: t.Mapping[str, t.Any]) -> list[t.Any]:
        if name not in variables:
            raise BadInput(f"The variable {name} is not defined; it holds the checklist.")
        raw = variables[name]
        if isinstance(raw, str):  # one expression that makes the list
            try:
                raw = templated(self._templar, raw)
            except Undefined as problem:
                raise BadInput(f"The checklist {name} cannot be used: {problem}.") from None
        if not isinstance(raw, (list, tuple)):
            raise BadInput(f"The variable {name} is {kind_of(raw)}, expected a list of items.")
        if not raw:
            raise BadInput(f"The checklist {name} is empty: with nothing to judge there is no GO.")
        return list(raw)

    def _defaults(self, name: str, variables: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
        """Defaults by check, still untemplated; a name that is no check, or no mapping behind it, is refused."""
        defaults = variables.get(name) or {}
        if not isinstance(defaults, t.Mapping) or not all(
            isinstance(part, (t.Mapping, str)) for part in defaults.values()
        ):
            raise BadInput(f"The variable {name} has to be a mapping from a check to a mapping of its options.")
        for check in defaults:
            if check not in registry.names():
                raise BadInput(f"In {name} there is no check {check!r}{close_match(str(check), registry.names())}.")
        return defaults

    def _item(
        self, raw: t.Any, index: int, defaults: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any]
    ) -> tuple[Item, str, t.Any, t.Any]:
        """The item, why its options cannot be read (empty where they can), and these: as written, and as the controller has them."""
        omit = variables.get("omit")
        if not isinstance(raw, dict):
            return parse(plain(raw), index), "", {}, {}
        head = {key: value for key, value in raw.items() if not str(key).startswith("check_") and key != "when"}
        body = {key: value for key, value in raw.items() if str(key).startswith("check_")}
        if "when" in raw:
            head["when"] = None
        try:
            whole = templated(self._templar, head, omit)
        except Undefined as problem:
            raise BadInput(str(problem)) from None
        whole.update({key: _shallow(value) for key, value in body.items()})
        if "when" in raw:
            whole["when"] = True if raw["when"] is True else str(raw["when"])
        item = parse(whole, index)
        if item.check == "sign_off":
            return item, "", {}, {}
        written = strictness.as_written(raw[item.check], defaults.get(item.check))
        check_keys(item, written)
        try:
            own = templated(self._templar, raw[item.check], omit) or {}
            shared = templated(self._templar, defaults.get(item.check) or {}, omit)
        except Undefined as problem:
            return item, str(problem) if item.hosts == CONTROLLER else "", written, written
        if not isinstance(own, dict) or not isinstance(shared, dict):
            raise BadInput(f"item {item.id}: {item.check} has to be a mapping of its options.")
        if item.hosts != CONTROLLER:
            if not strictness.has_template(written):
                check_params(item, plain(written))
            return item, "", written, written
        check_params(item, {**shared, **own})
        return item, "", written, {**shared, **own}

    def _write(
        self,
        options: t.Mapping[str, t.Any],
        expected: list[dict[str, t.Any]],
        demands: dict[str, dict[str, t.Any]],
        raw_items: list[t.Any],
        variables: t.Mapping[str, t.Any],
    ) -> dict[str, t.Any]:
        directory = options["directory"] or run_directory()
        inputs = {
            name: plain(variables[name])
            for name in system_file.named_variables(variables)
            if name not in system_file.OWN | {"golive_checklist", "golive_accept_data_loss", "golive_takeover",
                                              "golive_waivers", "golive_sign_offs", "golive_force", "golive_operator",
                                              "golive_secrets", "golive_loosened_approver", "golive_redeploy",
                                              "golive_take_over_maintenance", "golive_progress"}
        }  # fmt: skip
        checklist_hash = hashlib.sha256(as_json(plain(raw_items))).hexdigest()
        hosts = sorted({host for item in expected for host in item["hosts"]})
        document = {
            "items": expected,
            "require": options["require"],
            "satisfies": options["satisfies"],
            "checklist": options["checklist"],
            "defaults": options["defaults"],
            "checklist_sha256": checklist_hash,
            "system_file_sha256": hashlib.sha256(as_json(inputs)).hexdigest(),
            "hosts_sha256": hashlib.sha256(as_json(hosts)).hexdigest(),
            "strictness": {
                "require": options["require"],
                "satisfies": options["satisfies"],
                "hosts": {item["pattern"]: item["hosts"] for item in expected},
                "items": demands,
            },
        }
        path = os.path.join(directory, "expected.json")
        content = as_json(document)
        write_file(path, content)
        mark_plan(content)
        findings = sum(len(item["hosts"]) for item in expected)
        return {
            "changed": False,
            "directory": directory,
            "expected": path,
            "items": len(expected),
            "hosts": hosts,
            "findings": findings,
            "phases": sorted({phase for item in expected for phase in item["phase"]}),
            "hosts_by_phase": _hosts_by_phase(expected),
            "volatile_hosts": _hosts_by_phase([item for item in expected if item["max_age_seconds"] is not None]).get(
                "pre_deploy", []
            ),
            "checklist_sha256": checklist_hash,
            "system_file_sha256": document["system_file_sha256"],
            "hosts_sha256": document["hosts_sha256"],
            "msg": f"{len(expected)} items on {len(hosts)} hosts: {findings} findings are expected.",
        }


def _shallow(value: t.Any) -> t.Any:
    """A check's options with their names only; the values may be templates that this host cannot evaluate."""
    return {str(key): None for key in value} if isinstance(value, t.Mapping) else value


def _hosts_by_phase(expected: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, list[str]]:
    """The hosts that judge in each phase, as a play names them."""
    found: dict[str, dict[str, None]] = {}
    for item in expected:
        if item["check"] != "sign_off":
            here = ["localhost" if host == CONTROLLER else host for host in item["hosts"]]
            for phase in item["phase"]:
                found.setdefault(phase, {}).update(dict.fromkeys(here))
    return {phase: list(hosts) for phase, hosts in found.items()}


def _refuse_distant(item: Item) -> None:
    """The way back is one run on the controller, entered from four sides; another host's finding would never come in."""
    if "post_rollback" in item.phases and item.hosts != CONTROLLER:
        raise BadInput(
            f"in phase post_rollback an item is judged on the controller, not on {item.hosts}: leave hosts out and ask over "
            "the network, or make it an item of another phase"
        )
