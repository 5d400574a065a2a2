# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a container that had one task, such as a migration: has it ended with exit code 0, and since when?

Compose calls this condition ``service_completed_successfully``.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import docker
from ansible_collections.opsready.golive.plugins.module_utils._clients.docker import Container
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds

_EXPECTED = "exited (exit code 0)"


def state_text(each: Container) -> str:
    """The state as it stands in a sentence, with how it ended where it has ended."""
    if each.state not in ("exited", "dead", "restarting"):
        return each.state
    return f"{each.state} (exit code {each.exit_code}{', out of memory' if each.is_out_of_memory else ''})"


def judge_completion(each: Container, since: float | None) -> t.Iterator[Criterion]:
    """Whether it ended well, and not before ``since``, in seconds since the epoch. One that still runs has not."""
    name, ended_at = f"container {each.name} state", _seconds_of(each.finished_at)
    has_ended = each.state == "exited"
    is_good = None if has_ended and each.exit_code is None else has_ended and each.exit_code == 0
    is_suspicious = bool(is_good) and each.is_out_of_memory
    yield holds(
        name,
        is_good and not is_suspicious,
        measured=state_text(each) + (f" at {_time(ended_at)}" if has_ended and ended_at is not None else ""),
        expected=_EXPECTED,
        remedy=_remedy(each),
        level="warn" if is_suspicious else "fail",
    )
    if has_ended and since is not None:
        yield _judge_end(each, ended_at, since)


def _remedy(each: Container) -> str:
    remedies = {
        "running": f"It has not ended yet: docker wait {each.name}, then judge again.",
        "created": f"It was never started: docker start {each.name}, and look at its State.Error.",
        "restarting": "A task that Docker starts again and again never completes: set restart: 'no', or on-failure with a number.",
    }
    memory = " The kernel killed what it ran, for want of memory: raise mem_limit." if each.is_out_of_memory else ""
    return remedies.get(each.state, f"docker logs --tail 50 {each.name}") + memory


def _judge_end(each: Container, ended_at: float | None, since: float) -> Criterion:
    """An end before the deploy is that of a task of the version before."""
    name, bound = f"container {each.name} end", _time(since)
    return holds(
        name,
        None if ended_at is None else ended_at >= since,
        measured=None if ended_at is None else _time(ended_at),
        expected=f"not before {bound}",
        sentence=f"{name} could not be judged: Docker did not tell when" if ended_at is None else "",
        remedy="It was not run by this deploy: docker compose up --force-recreate runs it again.",
    )


def _seconds_of(text: str) -> float | None:
    """With the part of the second, which the engine's times else leave out: a bound may lie in the same second."""
    whole, part = docker.seconds_of(text), re.search(r"\.\d+", text)
    return whole if whole is None or part is None else whole + float(part[0])


def _time(seconds: float) -> str:
    return utc_text(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))
