# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's token, an option of every module that changes something."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  release:
    description:
      - Token of the release that this task belongs to, from M(opsready.golive.release). While the task runs, no other step of the
        same system runs on this host, and a token older than the newest one seen there is refused.
      - Without it, the task stands for itself.
    type: str
"""
