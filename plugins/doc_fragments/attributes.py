# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attributes mean that every module declares."""

from __future__ import annotations


class ModuleDocFragment:
    # Each module says for itself what it supports; only what is the same for nearly all is filled in here.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode), changes nothing then, and tells what would happen.
  diff_mode:
    description: Returns what it changed, or would change, when in C(diff_mode).
  idempotent:
    description: Run a second time with the same options, it changes nothing more and says so.
  action:
    description: Runs partly on the controller, through an action plugin of the same collection.
    support: none
  platform:
    description: The operating systems that the module works on.
    platforms: posix
    support: full
"""
