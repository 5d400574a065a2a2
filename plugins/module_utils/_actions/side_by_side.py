# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several files of a backup at once, each thread by connections of its own; the first failure ends them all."""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed

Thing = t.TypeVar("Thing")
#: What is called now and then in the midst of a file; it raises where another one has failed.
GoOn = t.Callable[[], None]


class _GivenUp(ActionFailed):
    """Another file failed, so this one is not wanted any more."""


def side_by_side(
    place: Destination, things: t.Sequence[Thing], work: t.Callable[[Destination, Thing, GoOn], None], *, jobs: int
) -> None:
    """Call ``work(place, thing, go_on)`` for each, so many at once. Raises what the first of them met, once all have ended."""
    jobs = min(jobs, len(things))
    if jobs < 2:
        for thing in things:
            work(place, thing, lambda: None)
        return
    failed: list[BaseException] = []
    given_up = threading.Event()
    places: queue.SimpleQueue[Destination] = queue.SimpleQueue()

    def go_on() -> None:
        if given_up.is_set():
            raise _GivenUp("Another file of the backup failed.")

    def one(thing: Thing) -> None:
        if given_up.is_set():
            return
        mine = places.get()
        try:
            work(mine, thing, go_on)
        except BaseException as problem:
            failed.append(problem)
            given_up.set()
        finally:
            places.put(mine)

    with contextlib.ExitStack() as stack:
        for unused in range(jobs):
            places.put(stack.enter_context(contextlib.closing(place.beside(go_on))))
        threads = concurrent.futures.ThreadPoolExecutor(jobs, thread_name_prefix="opsready-file")
        try:
            with uninterrupted():  # a thread that is just being started would not be waited for
                begun = [threads.submit(one, thing) for thing in things]
            concurrent.futures.wait(begun)
        except BaseException as problem:  # a signal
            failed.insert(0, problem)
        given_up.set()
        with uninterrupted():
            threads.shutdown(wait=True, cancel_futures=True)
    if failed:
        raise _with_all_left_behind(failed)


def _with_all_left_behind(failed: t.Sequence[BaseException]) -> BaseException:
    """The first failure, which knows what the others could not remove either."""
    first = failed[0]
    left = [name for problem in failed for name in getattr(problem, "known", {}).get("left_behind", ())]
    if left and hasattr(first, "known"):
        first.known["left_behind"] = left
    return first
