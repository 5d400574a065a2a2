# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check is given: a deadline, a clock, a scrubber, and facts that are fetched once.

Twenty items on one Redis cost one connection and one INFO: ``once`` is locked per key, so items that run at the same
time share the first one's answer, its error included, unless only its own time ran out.
"""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber

T = t.TypeVar("T")
Key = t.Hashable


class Shared:
    """Facts of one checklist call, shared by its items."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[Key, _Cell] = {}

    def once(self, key: Key, factory: t.Callable[[], T]) -> T:
        with self._lock:
            cell = self._cells.setdefault(key, _Cell())
        with cell.lock:
            if not cell.filled:
                try:
                    cell.value = factory()
                except TimedOut:  # this item's limit, not the fact's: one with more time may try again
                    raise
                except Exception as problem:
                    cell.problem = problem
                cell.filled = True
        if cell.problem is not None:
            raise cell.problem
        return t.cast(T, cell.value)


class _Cell:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.filled = False
        self.value: t.Any = None
        self.problem: Exception | None = None


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
        """The value that ``factory`` made for this key, made at most once per call."""
        return self._shared.once(key, factory)
