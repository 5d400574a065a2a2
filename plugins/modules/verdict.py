#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GO or NO-GO?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: verdict
short_description: Decide GO or NO-GO over all expected findings
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Compares the findings in the run's directory with those that M(opsready.golive.plan) expects. One that did not come
    in is V(unknown), and unknown is not pass.
  - A blocker that fails or is unknown makes NO-GO; a blocker that warns, a warning that does not pass, and anything waived
    make GO WITH WARNINGS; otherwise it is GO.
  - Findings are never edited. Waivers and sign-offs are applied here, and the finding stays beside its decision.
  - Fails on NO-GO. In check mode it says GO if certain items hold, and names them.
options:
  phase:
    description: The phase whose findings are decided on.
    type: str
    default: pre_deploy
  directory:
    description: The run's directory on the controller; a directory of this run by default.
    type: str
  system:
    description: The system's name, part of the release digest.
    type: str
    default: ''
  version:
    description: The version that is to go live, part of the release digest.
    type: str
    default: ''
  artefacts:
    description: Digests of what is deployed, by name, part of the release digest.
    type: dict
    default: {}
  migration_preview:
    description: The hash of what the migration would do, as M(opsready.golive.migrate) with O(opsready.golive.migrate#module:state=planned) returns it.
    type: str
    default: ''
  unreadable:
    description: What could not be read that the release depends on, its name over the reason. Each blocks as V(unknown).
    type: dict
    default: {}
  obstacles:
    description: What is known to stand in the release's way, its name over the reason. Each blocks as V(fail).
    type: dict
    default: {}
  waivers:
    description:
      - Accepted failures, each with C(item), C(owner), C(approver) (not the owner), C(reason), C(expires) in UTC, and
        C(hosts) where it does not hold for all. Expired and unused ones are reported.
    type: list
    elements: dict
    default: []
  sign_offs:
    description: Attestations, each with C(item), C(team), C(name), C(signed) and the C(digest) of what was signed.
    type: list
    elements: dict
    default: []
  force:
    description: Items to go live in spite of, each with C(item), C(reason) and C(approver); recorded.
    type: list
    elements: dict
    default: []
  previous:
    description:
      - The verdict of the last GO. Every way in which an item judges less than then is reported as loosened, and needs an approver.
      - What differs and cannot be ordered, such as another URL, is reported as changed, and needs nobody.
    type: dict
    default: {}
  loosened_approver:
    description: Who approved what was loosened since the last GO.
    type: str
    default: ''
  enforce:
    description: Fail the task on NO-GO.
    type: bool
    default: true
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
  - module: opsready.golive.checklist
  - module: opsready.golive.release
"""

EXAMPLES = r"""
- name: Decide
  opsready.golive.verdict:
    system: ablage
    version: 2.0.0
    waivers:
      - item: disk-backup
        owner: operations
        approver: head of operations
        reason: The new volume comes on Monday.
        expires: "2026-12-01T00:00:00Z"
"""

RETURN = r"""
verdict:
  description: The decision, what blocks and warns, counts, coverage, what was loosened or changed, waivers, sign-offs and the release digest.
  returned: when it could be decided
  type: dict
directory:
  description: The run's directory on the controller.
  returned: when it could be decided
  type: str
"""
