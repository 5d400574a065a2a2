# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task's own process when Ansible itself was killed.

It holds both ends of the pipe for its result. What does not fit into the pipe it writes for ever, with every secret of the
play in its memory, and whoever looks for what goes on after a kill finds it at work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal

from ansible_collections.opsready.golive.plugins.module_utils._core.command import die_with_parent


def end_with_controller() -> None:
    """From here on only the result is left to give: without the process that takes it, end at once."""
    controller = multiprocessing.parent_process()
    if controller is None:
        return
    die_with_parent()
    if os.getppid() != controller.pid:
        os.kill(os.getpid(), signal.SIGKILL)
