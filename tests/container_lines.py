# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container has logged so far: an engine has a line a moment after it was written."""

from __future__ import annotations

import re

from tests.servers import Docker, await_true


def await_lines(docker: Docker, name: str, count: int) -> None:
    """Until the engine tells so many lines of a container. Raises TimeoutError."""
    path = f"/containers/{name}/logs?stdout=1&stderr=1&timestamps=1"
    stamps = re.compile(rb"\d{4}-\d\d-\d\dT\S+Z ")
    await_true(
        lambda: len(stamps.findall(docker.asked("GET", path, raw=True))) >= count, seconds=30, what=f"the log of {name}"
    )
