# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide GO or NO-GO from what was expected and what the spool holds; fail the play on NO-GO."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.plugin_utils import spool
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import mark_verdict, run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.run_options import run_options
from ansible_collections.opsready.golive.plugins.plugin_utils.templating import plain
from ansible_collections.opsready.golive.plugins.plugin_utils.terminal import printable
from ansible_collections.opsready.golive.plugins.plugin_utils.verdict_rules import (
    NO_GO,
    decide,
    digest_of,
    in_words,
    read_waivers,
)

_OPTIONS: Spec = {
    "phase": {"type": "str", "default": "pre_deploy"},
    "directory": {"type": "str"},
    "system": {"type": "str", "default": ""},
    "version": {"type": "str", "default": ""},
    "artefacts": {"type": "dict", "default": {}},
    "migration_preview": {"type": "str", "default": ""},
    "unreadable": {"type": "dict", "default": {}},
    "obstacles": {"type": "dict", "default": {}},
    "waivers": {"type": "list", "elements": "dict", "default": []},
    "sign_offs": {"type": "list", "elements": "dict", "default": []},
    "force": {"type": "list", "elements": "dict", "default": []},
    "previous": {"type": "dict", "default": {}},
    "loosened_approver": {"type": "str", "default": ""},
    "enforce": {"type": "bool", "default": True},
}
_DISPLAY = Display()
#: How many of the items that block a task's message names.
_NAMED = 5


class ActionModule(ActionBase):
    """The action behind ``opsready.golive.verdict``; it runs on the controller and touches no host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            options = validated(_OPTIONS, plain(self._task.args, variables.get("omit")), where="verdict")
            result.update(self._decide(options))
        except GoliveError as problem:
            result.update(failed=True, msg=str(problem), error=type(problem).__name__)
        return result

    def _decide(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        directory = options["directory"] or run_directory()
        path = os.path.join(directory, "expected.json")
        try:
            with open(path, "rb") as stream:
                planned = stream.read()
        except FileNotFoundError:
            raise BadInput(f"There is no {path}: opsready.golive.plan comes before verdict.") from None
        expected = json.loads(planned)
        subject = {
            "artefacts": options["artefacts"],
            "migration_preview": options["migration_preview"],
            **{name: expected[name] for name in ("checklist_sha256", "system_file_sha256", "hosts_sha256")},
        }
        digest = digest_of({"system": options["system"], "version": options["version"], **subject})
        phase = options["phase"]
        verdict, findings = decide(
            expected=expected,
            findings=spool.read(directory, [phase, f"{phase}.volatile"]),
            phase=phase,
            now=CLOCK.now(),
            unreadable=options["unreadable"],
            obstacles=options["obstacles"],
            waivers=read_waivers(options["waivers"]),
            force=options["force"],
            sign_offs=options["sign_offs"],
            bindings={"release": digest, "migration_preview": options["migration_preview"]},
            previous=options["previous"],
            approver=options["loosened_approver"],
            demands=spool.read_demands(directory, phase),
            check_mode=self._task.check_mode,
            run_options=run_options(),
        )
        verdict.update(
            digest=digest,
            subject=subject,
            system=options["system"],
            version=options["version"],
            check_mode=self._task.check_mode,
        )
        mark_verdict(verdict, expected=planned)
        spool.write_file(os.path.join(directory, f"verdict.{phase}.json"), spool.as_json(verdict))
        spool.write_file(os.path.join(directory, f"decided.{phase}.json"), spool.as_json(findings))
        text = in_words(verdict)
        _DISPLAY.display(printable(text), color="red" if verdict["decision"] == NO_GO else "green")
        no_go = verdict["decision"] == NO_GO
        return {
            "changed": False,
            "failed": no_go and options["enforce"],
            "verdict": verdict,
            "msg": text.splitlines()[0] + (f": {_what_blocks(verdict)}" if no_go else ""),
            "directory": directory,
        }


def _what_blocks(verdict: dict[str, t.Any]) -> str:
    """The items alone: why each blocks was printed, and Ansible prints a failed task's message twice."""
    blocking = list(dict.fromkeys(entry["id"] for entry in verdict["blocking"]))
    more = f" and {len(blocking) - _NAMED} more" if len(blocking) > _NAMED else ""
    return f"blocked by {', '.join(blocking[:_NAMED])}{more}"
