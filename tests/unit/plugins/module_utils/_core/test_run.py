# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts are fetched once per call, and an item's own time limit is nobody else's."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied, TimedOut
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run, Shared


def test_twenty_items_at_once_cost_one_fetch() -> None:
    shared, calls, answers = Shared(), [], []
    together = threading.Barrier(20)

    def fetch() -> str:
        calls.append(1)
        return "INFO"

    def item() -> None:
        together.wait()
        answers.append(Run(timeout_seconds=5, shared=shared).once("redis info", fetch))

    threads = [threading.Thread(target=item) for _unused in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert answers == ["INFO"] * 20


def test_a_refusal_is_shared_too() -> None:
    shared, calls = Shared(), []

    def fetch() -> None:
        calls.append(1)
        raise Denied("wrong password")

    for _unused in range(3):
        with pytest.raises(Denied, match="wrong password"):
            Run(timeout_seconds=5, shared=shared).once("redis", fetch)
    assert len(calls) == 1


def test_one_items_time_limit_is_not_anothers() -> None:
    shared = Shared()

    def too_slow() -> str:
        raise TimedOut("redis did not answer within 1 s.")

    with pytest.raises(TimedOut):
        Run(timeout_seconds=1, shared=shared).once("redis", too_slow)
    assert Run(timeout_seconds=30, shared=shared).once("redis", lambda: "PONG") == "PONG"


def test_what_is_no_error_of_ours_is_nobody_elses_answer() -> None:
    """A library's own time-out, which a factory forgot to translate, must not become every item's."""
    shared = Shared()

    def forgot_to_translate() -> str:
        raise TimeoutError("timed out")

    with pytest.raises(TimeoutError):
        Run(timeout_seconds=1, shared=shared).once("redis", forgot_to_translate)
    assert Run(timeout_seconds=30, shared=shared).once("redis", lambda: "PONG") == "PONG"


def test_who_waits_for_anothers_answer_waits_no_longer_than_its_own_limit() -> None:
    shared, asked, answered = Shared(), threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        answered.wait(30)
        return "INFO"

    patient = threading.Thread(target=lambda: Run(timeout_seconds=30, shared=shared).once("redis", slow))
    patient.start()
    assert asked.wait(30)
    try:
        with pytest.raises(TimedOut, match="another item was asking for"):
            Run(timeout_seconds=0.05, shared=shared).once("redis", slow)
    finally:
        answered.set()
        patient.join()
    assert Run(timeout_seconds=30, shared=shared).once("redis", lambda: "other") == "INFO"


def test_shared_connections_end_with_the_call() -> None:
    class Connection:
        is_open = True

        def close(self) -> None:
            self.is_open = False

    run = Run(timeout_seconds=5)
    connection = run.once("connection", Connection)
    run.once("info", dict)
    assert connection.is_open
    run.close()
    assert not connection.is_open


def test_traces_are_waited_for_until_they_are_gone() -> None:
    shared = Shared()
    assert shared.traces_are_gone(0)
    with Run(timeout_seconds=5, shared=shared).trace():
        assert not shared.traces_are_gone(0)
    assert shared.traces_are_gone(0)


def test_keys_do_not_share_and_a_run_alone_works() -> None:
    run = Run(timeout_seconds=5)
    assert run.once("a", lambda: 1) == 1
    assert run.once("b", lambda: 2) == 2
    assert run.once("a", lambda: 3) == 1
    assert run.check_mode is False
    assert 0 < run.deadline.remaining() <= 5
