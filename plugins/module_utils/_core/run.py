# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check is given: a deadline, a clock, a scrubber, and facts that are fetched once.

Twenty items on one Redis cost one connection and one INFO: ``once`` is locked per key, so items that run at the same
time share the first one's answer, its error included, unless only its own time ran out.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, TimedOut
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber

T = t.TypeVar("T")
Key = t.Hashable


class Shared:
    """Facts of one checklist call, shared by its items."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[Key, _Cell] = {}
        self._traces = 0
        self._trace_gone = threading.Condition()

    def once(self, key: Key, factory: t.Callable[[], T], *, deadline: Deadline) -> T:
        """See ``Run.once``."""
        with self._lock:
            cell = self._cells.setdefault(key, _Cell())
        if not cell.lock.acquire(timeout=min(deadline.remaining(), threading.TIMEOUT_MAX)):
            raise TimedOut(f"What another item was asking for as well was not there within {deadline.seconds:g} s.")
        try:
            if not cell.filled:
                try:
                    cell.value = factory()
                except TimedOut:  # this item's limit, not the fact's: one with more time may try again
                    raise
                except GoliveError as problem:
                    cell.problem = problem
                cell.filled = True
        finally:
            cell.lock.release()
        if cell.problem is not None:
            raise cell.problem
        return t.cast(T, cell.value)

    @contextlib.contextmanager
    def trace(self) -> t.Iterator[None]:
        """See ``Run.trace``."""
        with self._trace_gone:
            self._traces += 1
        try:
            yield
        finally:
            with self._trace_gone:
                self._traces -= 1
                self._trace_gone.notify_all()

    def traces_are_gone(self, seconds: float) -> bool:
        """Whether no probe leaves a trace any more, after at most this many seconds."""
        with self._trace_gone:
            return self._trace_gone.wait_for(lambda: not self._traces, timeout=seconds)

    def close(self) -> None:
        """End what is shared and can be closed: connections that nobody uses any more."""
        with self._lock:
            cells = list(self._cells.values())
        for cell in cells:
            if hasattr(cell.value, "close"):
                cell.value.close()


class _Cell:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.filled = False
        self.value: t.Any = None
        self.problem: GoliveError | None = None


class Run:
    """One item's view of the call it runs in."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        shared: Shared | None = None,
        scrubber: Scrubber | None = None,
        clock: Clock = CLOCK,
        check_mode: bool = False,
    ) -> None:
        self.clock = clock
        self.deadline = Deadline(timeout_seconds, clock=clock)
        self.scrub = scrubber or Scrubber()
        self.check_mode = check_mode
        self._shared = shared or Shared()

    def once(self, key: Key, factory: t.Callable[[], T]) -> T:
        """The value that ``factory`` made for this key, made at most once per call of the checklist.

        The law: the key holds every option that changes the answer, credentials too. The factory raises our errors
        (_core.errors) and no others: what it says is every item's answer, save that a TimedOut is this item's alone. The
        value keeps no deadline, since the next item has one of its own; where it has a ``close()``, that ends it with the
        call. Raises TimedOut where another item is still asking when this one's limit is reached.
        """
        return self._shared.once(key, factory, deadline=self.deadline)

    def trace(self) -> t.ContextManager[None]:
        """Stand around a probe that leaves a trace until it has removed it: a signal ends the module after that."""
        return self._shared.trace()

    def close(self) -> None:
        """End what the items shared."""
        self._shared.close()
