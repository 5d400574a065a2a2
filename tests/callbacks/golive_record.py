# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write each task's result as one line of JSON to the file that GOLIVE_TEST_RESULTS names."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: golive_record
    type: aggregate
    short_description: Record results for tests
    description: Writes each task's result as one line of JSON to the file that GOLIVE_TEST_RESULTS names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "golive_record"

    def _keep(self, result, status):
        task = result.task if hasattr(result, "task") else result._task
        line = {
            "host": result.host.get_name() if hasattr(result, "host") else result._host.get_name(),
            "task": result.task_name,
            "uuid": task._uuid,
            "action": task.action,
            "status": status,
            "result": result.result if hasattr(result, "result") else result._result,
        }
        with open(os.environ["GOLIVE_TEST_RESULTS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._keep(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._keep(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result):
        self._keep(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self._keep(result, "unreachable")
