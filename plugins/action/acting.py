# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way every acting module is run: with this run's token, and with a lost host as a failure that a play can rescue.

Of work that can be long it shows how far it is.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import PROGRESS
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token
from ansible_collections.opsready.golive.plugins.plugin_utils.controller import end_with_controller
from ansible_collections.opsready.golive.plugins.plugin_utils.forged_variables import (
    OUR_PLAYBOOKS,
    refuse_forged,
    refuse_roles_variables,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.progress_watch import ProgressWatch
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import (
    is_of_this_run,
    is_verdict_of_this_run,
    keep_way_back,
    mark_token,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.run_options import run_options
from ansible_collections.opsready.golive.plugins.plugin_utils.sent_module import sent_module
from ansible_collections.opsready.golive.plugins.plugin_utils.templating import plain
from ansible_collections.opsready.golive.plugins.plugin_utils.terminal import printable

_DISPLAY = Display()
#: The states of ``release`` that begin or keep on a verdict's word (law 2).
_TAKES_A_VERDICT = ("begun", "judged")
#: Modules whose work can be long: they take the options ``PROGRESS``, and tell how far they are.
_TELLS_PROGRESS = ("pg_backup", "pg_restore")
#: What they answer at once: there is nothing to tell but the answer.
_ANSWERED_AT_ONCE = ("listed", "assessed")
_INTERVAL_SECONDS = float(PROGRESS["progress_interval"]["default"])


class ActionModule(ActionBase):
    """Every acting module is routed here by meta/runtime.yml."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            arguments = self._arguments(variables)
            interval = self._interval(arguments)
            sent = sent_module(self._module(), self._shared_loader_obj.module_loader)
        except GoliveError as problem:
            result.update(failed=True, changed=False, msg=str(problem), error=type(problem).__name__)
            return result
        try:
            with self._watched(interval, variables):
                answer = self._execute_module(
                    module_name=sent,
                    module_args=arguments,
                    task_vars=variables,
                    wrap_async=bool(self._task.async_val),
                )
        except AnsibleConnectionFailure as lost:
            answer = {
                "failed": True,
                "changed": False,
                "error": "Unreachable",
                "lost_host": True,
                "msg": f"The host {self._target(variables)} cannot be reached: {lost.message}",
            }
        result.update(answer)
        if interval is not None and not result.get("failed") and arguments.get("state") not in _ANSWERED_AT_ONCE:
            said = " ".join(str(result.get("msg")).split())  # no name of a database begins a line of its own
            self._show(f"done: [{self._where(variables)}] {self._module()}: {said}")
        if _is_silent(answer):
            result["msg"] = (
                f"The module gave no answer: it was killed, or its connection broke. {answer.get('msg') or ''}".strip()
            )
        token = result.get("token")
        if self._is_release() and isinstance(token, str) and not result.get("failed"):
            mark_token(token)
        if self._is_release() and isinstance(result.get("rollback_md"), str):
            keep_way_back(result["rollback_md"])
        if isinstance(result.get("text"), str) and result["text"]:
            _DISPLAY.display(printable(result["text"]))
        end_with_controller()
        return result

    def _arguments(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        extra_vars = load_extra_vars(self._loader)
        refuse_forged(extra_vars)
        if OUR_PLAYBOOKS in variables:
            refuse_roles_variables(extra_vars)
        arguments = dict(plain(self._task.args, variables.get("omit")))
        if self._is_release() and arguments.get("state") in _TAKES_A_VERDICT:
            _require_own_verdict(arguments.get("verdict"))
        if isinstance(arguments.get("way_out"), list):
            options = run_options()
            arguments["way_out"] = [str(line).replace("<options>", options) for line in arguments["way_out"]]
        if arguments.get("release") in (None, ""):
            arguments.pop("release", None)
            return arguments
        token = arguments["release"]
        if not isinstance(token, str):
            raise BadInput("release is not a token.")
        Token.parse(token)
        if not is_of_this_run(token):
            raise Refused(
                "The release's token was not given out in this run.",
                remedy="A release begins in the run that changes something: start it with golive, deploy or rollback.",
            )
        return arguments

    def _interval(self, arguments: t.Mapping[str, t.Any]) -> float | None:
        """Seconds between two looks at how far the module is; None where nobody looks. Raises BadInput."""
        if self._module() not in _TELLS_PROGRESS or arguments.get("progress", "lines") != "lines":
            return None
        try:
            interval = float(arguments.get("progress_interval", _INTERVAL_SECONDS))
        except (TypeError, ValueError):
            return None  # the module refuses it
        if not 0 < interval <= threading.TIMEOUT_MAX:
            raise BadInput(f"progress_interval is {interval:g}, expected more than 0.")
        # What async runs is nobody's to wait for, and what no_log is said of is nobody's to see.
        is_watched = not (self._task.check_mode or self._task.async_val or self._task.no_log)
        return interval if is_watched else None

    @contextlib.contextmanager
    def _watched(self, interval: float | None, variables: t.Mapping[str, t.Any]) -> t.Iterator[None]:
        """Show how far the module is as long as it runs, every so many seconds."""
        if interval is None:
            yield
            return
        where = self._where(variables)
        watch = ProgressWatch(
            self,
            interval=interval,
            show=lambda line: self._show(f"progress: [{where}] {self._module()}: {line}"),
            admit=lambda reason: _DISPLAY.v(printable(f"The progress on {where} cannot be read: {reason}")),
        )
        given = self._task.environment
        self._task.environment = [*(given or []), watch.environment]
        try:
            with watch:
                yield
        finally:
            self._task.environment = given

    @staticmethod
    def _show(line: str) -> None:
        """At once: Ansible keeps what goes to standard output until it has a page, unless a terminal is there."""
        _DISPLAY.display(printable(line), stderr=True)

    def _where(self, variables: t.Mapping[str, t.Any]) -> str:
        host = str(variables.get("inventory_hostname", "the target"))
        return f"{host} -> {self._task.delegate_to}" if self._task.delegate_to else host

    def _module(self) -> str:
        return str(self._task.action).rpartition(".")[2]

    def _is_release(self) -> bool:
        return self._module() == "release"

    def _target(self, variables: t.Mapping[str, t.Any]) -> str:
        return str(self._task.delegate_to or variables.get("inventory_hostname", "the target"))


def _is_silent(answer: t.Mapping[str, t.Any]) -> bool:
    """Whether Ansible found nothing to read, and nobody said why; a shell that found no interpreter has."""
    said = f"{answer.get('module_stdout') or ''}{answer.get('module_stderr') or ''}"
    return bool(answer.get("failed")) and "module_stdout" in answer and said.strip() in ("", "Killed")


def _require_own_verdict(verdict: t.Any) -> None:
    """Raise Refused for a verdict that nothing in this run judged; whether it is a GO is the module's to say."""
    if verdict is not None and not is_verdict_of_this_run(verdict):
        raise Refused(
            "The verdict was not made in this run.",
            remedy="opsready.golive.verdict makes it, over what opsready.golive.plan expects in the same run.",
        )
