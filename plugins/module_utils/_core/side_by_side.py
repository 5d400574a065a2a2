# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at several targets at the same time: one that hangs must not hide the others."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, TimedOut

T = t.TypeVar("T")

#: How long a job that watches the deadline itself may take to say so.
GRACE_SECONDS = 0.5
_UNFINISHED: t.Any = object()


def side_by_side(
    jobs: t.Sequence[t.Callable[[], T]], *, deadline: Deadline, width: int = 8, watched: bool = False
) -> list[T | GoliveError]:
    """The value, or the GoliveError, of each job, in the jobs' order; what did not end in time is a TimedOut.

    The threads are daemons: a job that is stuck is left behind and does not keep the module alive. Jobs that watch the
    deadline in all they do are ``watched``: one that is alone needs no thread then, which is a quarter of a short job's
    work. An exception outside the error family is raised here.
    """
    if watched and len(jobs) == 1:
        try:
            return [jobs[0]()]
        except GoliveError as problem:
            return [problem]
    results: list[t.Any] = [_UNFINISHED] * len(jobs)
    following = iter(range(len(jobs)))
    lock = threading.Lock()
    ended = threading.Semaphore(0)

    def work() -> None:
        while True:
            with lock:
                index = next(following, None)
            if index is None:
                return
            try:
                results[index] = jobs[index]()
            except BaseException as problem:
                results[index] = problem
            ended.release()

    for number in range(min(width, len(jobs))):
        threading.Thread(target=work, daemon=True, name=f"look {number}").start()
    for _job in jobs:
        if not ended.acquire(timeout=deadline.remaining() + GRACE_SECONDS):
            break
    answers: list[T | GoliveError] = []
    for result in list(results):
        if result is _UNFINISHED:
            answers.append(TimedOut(f"No answer within {deadline.seconds:g} s."))
        elif isinstance(result, GoliveError):
            answers.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            answers.append(result)
    return answers
