# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that the items of a checklist lend each other: one pool, whatever the server; its client says how one is opened."""

from __future__ import annotations

import abc
import contextlib
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, TimedOut

C = t.TypeVar("C")

#: How long an item waits for the connection that another one is using, in seconds.
PATIENCE_SECONDS = 1.0


class Lender(abc.ABC, t.Generic[C]):
    """Connections to one target for the items of a checklist: each is one item's at a time, and there are as few as will do.

    An item takes over what another one has done with, and waits for that at most PATIENCE_SECONDS, and half of its own
    limit: then it logs in itself, since the long query of one item is no reason to leave another one without an answer.
    A login that was refused is the answer to all. Any thread may borrow.
    """

    def __init__(self, name: str) -> None:
        """``name`` is the target as it stands in a sentence."""
        self._name = name
        self._changed = threading.Condition()
        self._idle: list[C] = []
        self._lent = 0
        self._was_let_in = False
        self._refusal: GoliveError | None = None
        self._is_closed = False

    @abc.abstractmethod
    def _opened(self, deadline: Deadline) -> C:
        """A new connection, for this deadline. Raises our errors."""

    @abc.abstractmethod
    def _renewed(self, connection: C, deadline: Deadline) -> bool:
        """Let this deadline count for an idle connection, and no earlier one; False where it ended meanwhile. Raises our errors."""

    @abc.abstractmethod
    def _cleaned(self, connection: C, problem: BaseException | None) -> bool:
        """Take the traces of an item away, which ended with this problem; False where nobody else may have the connection."""

    @abc.abstractmethod
    def _ended(self, connection: C) -> None:
        """Close it, whatever state it is in."""

    @contextlib.contextmanager
    def lent(self, *, deadline: Deadline) -> t.Iterator[C]:
        """A connection, as fresh as a new one, that no wait on it outlives the deadline. Raises what opening one does."""
        connection = self._taken(deadline)
        problem: BaseException | None = None
        try:
            yield connection
        except BaseException as raised:
            problem = raised
            raise
        finally:
            self._taken_back(connection, problem)

    def end_idle(self) -> None:
        """End what nobody has borrowed; who borrows next opens a new one."""
        with self._changed:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._ended(connection)

    def close(self) -> None:
        """End what nobody has borrowed; what is still lent ends when it comes back."""
        with self._changed:
            self._is_closed = True
        self.end_idle()

    def _taken(self, deadline: Deadline) -> C:
        connection = self._awaited(deadline)
        try:
            if connection is not None and not self._renewed(connection, deadline):
                self._ended(connection)
                connection = None
            if connection is None:
                connection = self._opened(deadline)
        except BaseException as problem:
            self._count_back(problem)
            if connection is not None:
                self._ended(connection)
            raise
        self._was_let_in = True
        return connection

    def _awaited(self, deadline: Deadline) -> C | None:
        """An idle connection, or None for who is to open one; either way it is counted as lent."""
        with self._changed:
            patience = min(PATIENCE_SECONDS, deadline.require(f"Waiting for a connection to {self._name}") / 2)
            self._changed.wait_for(lambda: self._idle or self._refusal or not self._lent, timeout=patience)
            if self._refusal is not None:
                raise self._refusal
            self._lent += 1
            return self._idle.pop() if self._idle else None

    def _count_back(self, problem: BaseException) -> None:
        with self._changed:
            self._lent -= 1
            is_final = isinstance(problem, GoliveError) and not isinstance(problem, TimedOut)
            if is_final and not self._was_let_in:  # later ones may only be one too many
                self._refusal = t.cast(GoliveError, problem)
            self._changed.notify_all()

    def _taken_back(self, connection: C, problem: BaseException | None) -> None:
        is_good = False
        try:
            is_good = self._cleaned(connection, problem)
        finally:
            with self._changed:
                self._lent -= 1
                is_kept = is_good and not self._is_closed
                if is_kept:
                    self._idle.append(connection)
                self._changed.notify_all()
            if not is_kept:
                self._ended(connection)
