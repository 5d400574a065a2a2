#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May this host go live? Judge all of its checklist items in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: checklist
short_description: Judge all checklist items of a host in one task
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Judges every item of a checklist that belongs to this host, all at the same time, in one module call.
  - Findings are spooled to a file on the controller for each host; the task returns counts, what did not pass, and the
    spool file's SHA-256. O(full=true) returns the findings too.
  - The task does not fail on findings. M(opsready.golive.verdict) decides, and fails on NO-GO.
  - An item that raises, does not answer in time, has an undefined variable, or whose host cannot be reached is
    V(unknown), which is never a pass.
options:
  checks:
    description:
      - The name of the variable that holds the checklist, as M(opsready.golive.plan) read it, or a list of items.
      - With a name each item is templated by itself, so that one undefined variable is one unknown item.
    type: raw
    default: golive_checklist
  defaults:
    description:
      - The name of the variable with defaults by check, or these defaults, each check's name over a mapping of its options.
      - When it is not given, the variable V(golive_checklist_defaults) is read if there is one.
    type: raw
  phase:
    description: Judge the items of this phase.
    type: str
    default: pre_deploy
  volatile:
    description: Judge only the items that have a C(max_age), once more.
    type: bool
    default: false
  timeout:
    description: Limit for the whole list in seconds. Each item has its own C(timeout), 10 seconds by default.
    type: float
    default: 120.0
  workers:
    description: How many items are judged at the same time.
    type: int
    default: 32
  directory:
    description: Where findings are spooled on the controller; a directory of this run by default.
    type: str
  full:
    description: Return the findings themselves too.
    type: bool
    default: false
  secrets:
    description: Filled by the action plugin, which moves every secret of the items here. Not for playbooks.
    type: list
    elements: raw
extends_documentation_fragment:
  - opsready.golive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  action:
    support: full
seealso:
  - module: opsready.golive.plan
  - module: opsready.golive.verdict
"""

EXAMPLES = r"""
- name: Judge every host's items
  opsready.golive.checklist:
    checks: golive_checklist
    phase: pre_deploy

- name: Judge two things here, without a plan
  opsready.golive.checklist:
    checks:
      - id: disk
        title: There is room on /
        check_host:
          disk: [{path: /, min_free: 1GB}]
      - id: port
        title: The application answers
        check_http:
          url: https://archive.example.org/api/v1/health
    full: true
"""

RETURN = r"""
counts:
  description: How many findings have each status.
  returned: always
  type: dict
  sample: {pass: 31, warn: 1, unknown: 0, fail: 0, not_applicable: 1}
not_passed:
  description: Id, status, severity and summary of what did not pass, worst first, at most 50.
  returned: always
  type: list
  elements: dict
sha256:
  description: Digest of this host's spool file.
  returned: always
  type: str
directory:
  description: The run's directory on the controller.
  returned: always
  type: str
findings:
  description: The findings, in the list's order.
  returned: with O(full=true)
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._checks.packed_findings import packed
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import strings_in
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Ended
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import ended_by_signals
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber, in_use


def main():
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "raw", "default": "golive_checklist"},
            "defaults": {"type": "raw"},
            "phase": {"type": "str", "default": "pre_deploy"},
            "volatile": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 120.0},
            "workers": {"type": "int", "default": 32},
            "directory": {"type": "str"},
            "full": {"type": "bool", "default": False},
            "secrets": {"type": "list", "elements": "raw", "no_log": True},
        },
        supports_check_mode=True,
    )
    if not isinstance(module.params["checks"], list):
        module.fail_json(msg="checks has to be a list here: the action plugin of checklist makes it one.")
    secrets = module.params["secrets"] or []
    known = list(strings_in(secrets))
    scrub = Scrubber(known)
    try:
        with ended_by_signals(), in_use(scrub):
            findings = judge_all(
                module.params["checks"],
                secrets,
                timeout_seconds=module.params["timeout"],
                scrub=scrub,
                workers=module.params["workers"],
                check_mode=module.check_mode,
            )
    except Ended as problem:
        module.fail_json(msg=problem.message)
    # The controller knows what it asked: only names go back.
    module.params = {"checks": [item["id"] for item in module.params["checks"]]}
    # Once more: what one item learned to be a secret may stand in the finding of another.
    module.exit_json(changed=False, findings=packed(scrub.value(findings), known))


if __name__ == "__main__":
    main()
