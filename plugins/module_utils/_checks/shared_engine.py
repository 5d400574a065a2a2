# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Docker Engine for all items of a run that ask it, whatever their check: one connection, and one list of its containers."""

from __future__ import annotations

from ansible_collections.opsready.golive.plugins.module_utils._clients import docker
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run


def opened(url: str, *, run: Run) -> docker.Engine:
    """An engine that answered. Raises BadInput, Unreachable, Denied, TimedOut, UnexpectedAnswer."""
    return run.once(("docker", url), lambda: docker.opened(url, deadline=run.deadline))


def containers(url: str, *, run: Run) -> tuple[docker.Listed, ...]:
    """All that it has, running or not. Raises as ``opened`` does."""
    return run.once(("docker", url, "list"), lambda: opened(url, run=run).containers(deadline=run.deadline))
