# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all check modules have in common when they are used as a task of their own."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  enforce:
    description:
      - Whether the task fails when the finding is V(fail) or V(unknown). The finding is returned either way.
      - It is not an option of a checklist item, where M(opsready.golive.verdict) decides.
    type: bool
    default: true
  timeout:
    description: Limit for the whole check in seconds. What did not answer by then is V(unknown).
    type: float
    default: 10.0
attributes:
  check_mode:
    description: Can run in C(check_mode), changes nothing then, and tells what would happen.
    support: full
    details: A check changes nothing, so check mode gives the same finding.
  diff_mode:
    description: Returns what it changed, or would change, when in C(diff_mode).
    support: N/A
    details: A check changes nothing.
  idempotent:
    description: Run a second time with the same options, it changes nothing more and says so.
    support: full
  platform:
    description: The operating systems that the module works on.
    platforms: posix
    support: full
notes:
  - As an item of a checklist the options stand below the check's name, without O(enforce). Many items are judged in one task by
    M(opsready.golive.checklist).
seealso:
  - module: opsready.golive.checklist
  - module: opsready.golive.verdict
"""
