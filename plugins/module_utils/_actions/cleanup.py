# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleanup runs to its end: a signal that comes meanwhile waits, and a limit that has passed does not count."""

from __future__ import annotations

import contextlib
import signal
import threading
import types
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.guard import ENDING

#: What cleaning up may take after the task's own limit has passed.
GRACE_SECONDS = 60.0


@contextlib.contextmanager
def uninterrupted() -> t.Iterator[None]:
    """Hold back the signals that end a module, and deliver the first of them afterwards.

    A mask would not do: it is one thread's, and the kernel gives the signal to any other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def remember(number: int, frame: types.FrameType | None) -> None:
        waiting.append(number)

    before = {number: signal.signal(number, remember) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if waiting:
            signal.raise_signal(waiting[0])
