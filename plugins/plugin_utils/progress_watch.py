# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside a module at work: how far it is, read now and then over a connection of its own, and shown.

The module runs as it does without. A thread wakes up after an interval; what is done by then was not watched at all.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import os
import secrets
import signal
import threading
import types
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import FILE, NAMED_BY, folder_of
from ansible_collections.opsready.golive.plugins.plugin_utils.progress_lines import MOST_BYTES, Lines, parsed

#: What cannot be read is asked for less and less often, up to this.
_LONGEST_SECONDS = 600.0
#: How long an interrupt waits for a line that is on its way to the screen.
_LINE_SECONDS = 2.0
Say = t.Callable[[str], None]


class ProgressWatch(contextlib.AbstractContextManager["ProgressWatch"]):
    """Around one run of a module. ``show`` is given each line, ``admit`` once that nothing can be read."""

    def __init__(self, action: ActionBase, *, interval: float, show: Say, admit: Say) -> None:
        self._action = action
        self._interval = interval
        self._show = show
        self._admit = admit
        self._word = secrets.token_hex(16)
        self._ended = threading.Event()
        self._showing = threading.Lock()
        self._reader: ActionBase | None = None
        self._handlers: dict[int, t.Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What the module has to be given: a word that nobody could guess, and no secret."""
        return {NAMED_BY: self._word}

    def __enter__(self) -> ProgressWatch:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._interrupted)
        # Ansible keeps the task at hand in the thread's context.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._watch,), name="opsready-progress", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Nothing is shown any more. A look that is under way is not waited for."""
        with self._showing:
            self._ended.set()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _interrupted(self, number: int, frame: types.FrameType | None) -> None:
        """Ansible ends this process at once, and a line under way would take the lock of Ansible's queue along: the run would hang."""
        if self._showing.acquire(timeout=_LINE_SECONDS):
            self._ended.set()
            self._showing.release()
        signal.signal(number, self._handlers[number])
        signal.raise_signal(number)

    def _watch(self) -> None:
        # An interrupt is the main thread's: it is waiting for the module, and nothing else would wake it up.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        lines, look, wait, is_admitted = Lines(), 0, self._interval, False
        while not self._ended.wait(wait):
            look += 1
            try:
                text = self._read()
                line = lines.of(parsed(text), look) if text else None
                wait = self._interval
            except Exception as problem:  # a connection plugin may raise anything, and the task goes on
                wait, line, self._reader = min(wait * 2, _LONGEST_SECONDS), None, None
                if not is_admitted:
                    is_admitted = True
                    self._say(self._admit, _reason(problem))
            if line is not None:
                self._say(self._show, line)

    def _say(self, say: Say, text: str) -> None:
        with self._showing:
            if not self._ended.is_set():
                say(text)

    def _read(self) -> str:
        """The figures as they were written; empty where none are, since the work has just begun or is about to end."""
        self._reader = self._reader or _beside(self._action)
        folder = folder_of(self._word)
        # Neither another user's folder is believed, nor a link.
        path = f"{folder}/{FILE}"
        asked = (
            f"[ ! -L {folder} ] && [ -O {folder} ] && [ ! -L {path} ] && [ -f {path} ] && "
            f"head -c {MOST_BYTES} {path} 2>/dev/null || :"
        )
        answer = self._reader._low_level_execute_command(f"{{ {asked}; }}")
        if answer["rc"] != 0:
            raise UnexpectedAnswer(f"The shell ended with code {answer['rc']}.")
        return str(answer["stdout"]).strip()


def _beside(action: ActionBase) -> ActionBase:
    """The same action over a connection of its own: the module's is at work, and keeps the state of its command."""
    running = action._connection
    play_context = copy.copy(running._play_context)
    loader = action._shared_loader_obj
    connection = loader.connection_loader.get(
        running._load_name,
        play_context,
        new_stdin=None,
        task_uuid=action._task._uuid,
        ansible_playbook_pid=str(os.getppid()),
    )
    if connection is None:
        raise UnexpectedAnswer(f"There is no connection plugin {running._load_name}.")
    options = running.get_options()
    if "reconnection_retries" in options:  # the next look is the next try
        options["reconnection_retries"] = 0
    connection.set_options(direct=options)
    connection._shell.set_options(direct=running._shell.get_options())
    if running.become is not None:
        become = loader.become_loader.get(running.become._load_name)
        become.set_options(direct=running.become.get_options())
        connection.set_become_plugin(become)
    beside = copy.copy(action)
    beside._connection = connection
    beside._play_context = play_context
    return beside


def _reason(problem: Exception) -> str:
    if isinstance(problem, AnsibleError):
        return str(problem.message).partition("\n")[0][:200]
    return str(problem) if isinstance(problem, UnexpectedAnswer) else type(problem).__name__
