# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge many items in one call: concurrently, each within its own limit, all within one, in the list's order.

Threads are daemons: a hung worker of a ThreadPoolExecutor would keep the task alive after its result was sent.
"""

from __future__ import annotations

import queue
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import judged
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Clock, Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Ended, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import where_it_broke
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber

#: How long after its own limit an item may still answer before it is given up, in seconds.
GRACE = 0.5
#: How long a probe may take to remove its trace when the list is at its end, in seconds.
TRACE_SECONDS = 8.0


def with_secrets(value: t.Any, secrets: t.Sequence[t.Any]) -> t.Any:
    """The value with every reference replaced by its secret. Raises BadInput for a reference to nothing."""
    if isinstance(value, dict):
        if set(value) == {registry.REFERENCE}:
            index = value[registry.REFERENCE]
            if not isinstance(index, int) or not 0 <= index < len(secrets):
                raise BadInput("An item refers to a secret that was not sent.")
            return secrets[index]
        return {key: with_secrets(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [with_secrets(item, secrets) for item in value]
    return value


class _Collected:
    """Findings as they come in; the first answer for an item counts."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._found: list[dict[str, t.Any] | None] = [None] * count
        self._missing = count
        self.all_there = threading.Condition(self._lock)

    def put(self, index: int, finding: dict[str, t.Any]) -> None:
        with self._lock:
            if self._found[index] is None:
                self._found[index] = finding
                self._missing -= 1
                if not self._missing:
                    self.all_there.notify_all()

    def has(self, index: int) -> bool:
        with self._lock:
            return self._found[index] is not None

    def wait(self, seconds: float) -> bool:
        """Whether everything is there, after at most this many seconds."""
        with self._lock:
            if self._missing:
                self.all_there.wait(seconds)
            return not self._missing

    def finding(self, index: int) -> dict[str, t.Any] | None:
        with self._lock:
            return self._found[index]


def _judge(
    item: t.Mapping[str, t.Any], secrets: t.Sequence[t.Any], *, shared: Shared, scrub: Scrubber, check_mode: bool
) -> dict[str, t.Any]:
    try:
        check = registry.load(item["check"])
        params = validated(
            check.ARGUMENT_SPEC, with_secrets(item["params"], secrets), where=item["check"], **check.CONSTRAINTS
        )
        run = Run(timeout_seconds=item["timeout"], shared=shared, scrubber=scrub, check_mode=check_mode)
        return judged(check, params, run)
    except GoliveError as problem:
        return _unknown(item, scrub.text(str(problem)))
    except BaseException as problem:  # a thread that ends without a word would cost the item its whole limit
        name, place = type(problem).__name__, where_it_broke(problem)
        return _unknown(item, scrub.text(f"{name} at {place}: {problem}. This is a defect; please report it."))


def _unknown(item: t.Mapping[str, t.Any], summary: str, seconds: float = 0.0) -> dict[str, t.Any]:
    return {
        "status": "unknown",
        "summary": summary,
        "expected": {},
        "measured": {},
        "evidence": {},
        "remedy": "",
        "left_out": False,
        "check": item["check"],
        "started": utc_text(CLOCK.now()),
        "seconds": round(seconds, 3),
    }


def judge_all(
    items: t.Sequence[t.Mapping[str, t.Any]],
    secrets: t.Sequence[t.Any],
    *,
    timeout_seconds: float,
    scrub: Scrubber,
    workers: int = 32,
    check_mode: bool = False,
    clock: Clock = CLOCK,
) -> list[dict[str, t.Any]]:
    """One finding an item, in the list's order; what did not answer in time, or before a signal, is unknown.

    Each item has ``id``, ``check``, ``params`` and ``timeout`` (seconds). A signal reaches the main thread alone, and a
    thread that is left behind dies with the module: so no item begins after the end, and those whose probe would leave a
    trace are waited for, at most TRACE_SECONDS.
    """
    shared = Shared()
    collected = _Collected(len(items))
    began: dict[int, float] = {}
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(items)):
        waiting.put(index)

    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            began[index] = clock.monotonic()
            found = _judge(items[index], secrets, shared=shared, scrub=scrub, check_mode=check_mode)
            collected.put(index, found)

    def one_more_worker() -> None:
        threading.Thread(target=work, daemon=True, name="golive-check").start()

    total = Deadline(timeout_seconds, clock=clock)
    reason = f"The whole list's limit of {timeout_seconds:g} s was reached"
    try:
        for _unused in range(min(workers, len(items))):
            one_more_worker()
        while not collected.wait(min(0.05, max(0.001, total.remaining()))):
            now = clock.monotonic()
            for index, start in list(began.items()):
                limit = items[index]["timeout"]
                if now - start > limit + GRACE and not collected.has(index):
                    collected.put(index, _unknown(items[index], f"No answer within {limit:g} s.", now - start))
                    one_more_worker()  # the stuck thread no longer serves the queue
            if total.expired():
                break
        is_over.set()
        shared.traces_are_gone(TRACE_SECONDS)
    except Ended as problem:  # there is no second one: see the guard
        reason = problem.message.rstrip(".")
        is_over.set()
        shared.traces_are_gone(TRACE_SECONDS)
    shared.close()

    findings = []
    for index, item in enumerate(items):
        finding = collected.finding(index)
        if finding is None:
            at_work = "was still at work" if index in began else "had not begun"
            finding = _unknown(item, f"{reason}; this item {at_work}.")
        findings.append({"id": item["id"], **finding})
    return findings
