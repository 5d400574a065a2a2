#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which findings must come in before there can be a GO?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Validate a checklist and say which findings it expects
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads the whole checklist once, on the controller, and refuses what cannot be meant in one error that names item
    and key, before anything runs.
  - Resolves every host pattern over the whole inventory, so that C(--limit) never makes an expected finding disappear,
    and writes C(expected.json) to the run's directory.
  - A variable that is undefined in one item makes that item V(unknown); it does not fail the play.
options:
  checklist:
    description: The name of the variable that holds the list of items.
    type: str
    default: golive_checklist
  defaults:
    description: The name of the variable that holds defaults by check, each check's name over a mapping of its options.
    type: str
    default: golive_checklist_defaults
  system_file:
    description: Validate all C(golive_*) variables too; unknown names, unknown keys and missing ones are refused.
    type: bool
    default: false
  require:
    description:
      - Ids of written checklists that have to be covered, such as V(S1) or V(S1.21), by an item of any phase or by a step
        in O(satisfies). A gap is NO-GO.
      - An item that turns out not to apply covers nothing.
    type: list
    elements: str
    default: []
  satisfies:
    description:
      - Ids of written checklists that the release serves by what it does, by the name of its step; what only the release can
        do needs no item. Steps of a way back cover nothing that is required.
    type: dict
    default: {}
  waivers:
    description: Accepted failures, as M(opsready.golive.verdict) takes them. One that could not count is refused here, before anything is judged.
    type: list
    elements: dict
    default: []
  force:
    description: What is let through all the same, as M(opsready.golive.verdict) takes it, and refused here likewise.
    type: list
    elements: dict
    default: []
  directory:
    description: Where the run keeps its files on the controller; a directory of this run by default.
    type: str
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
  - module: opsready.golive.checklist
  - module: opsready.golive.verdict
"""

EXAMPLES = r"""
- name: Read the checklist
  opsready.golive.plan:
    checklist: golive_checklist
    require: [S1]
    satisfies:
      backup: [S1.10]
      stop: [S1.31, S1.32, S1.33]
"""

RETURN = r"""
directory:
  description: The run's directory on the controller.
  returned: success
  type: str
expected:
  description: Path of the file that lists the expected findings.
  returned: success
  type: str
items:
  description: How many items the checklist has.
  returned: success
  type: int
findings:
  description: How many findings have to come in, over all hosts.
  returned: success
  type: int
phases:
  description: The phases that have items.
  returned: success
  type: list
  elements: str
hosts_by_phase:
  description: The hosts that judge in each phase, as a play names them; the controller is C(localhost).
  returned: success
  type: dict
  sample: {pre_deploy: [localhost, app1], watch: [localhost]}
hosts:
  description: The hosts they have to come from.
  returned: success
  type: list
  elements: str
checklist_sha256:
  description: Digest of the checklist as it is written.
  returned: success
  type: str
system_file_sha256:
  description: Digest of the system file's variables as they are written, without secrets.
  returned: success
  type: str
hosts_sha256:
  description: Digest of the host set.
  returned: success
  type: str
"""
