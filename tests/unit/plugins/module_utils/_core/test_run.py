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


def test_keys_do_not_share_and_a_run_alone_works() -> None:
    run = Run(timeout_seconds=5)
    assert run.once("a", lambda: 1) == 1
    assert run.once("b", lambda: 2) == 2
    assert run.once("a", lambda: 3) == 1
    assert run.check_mode is False
    assert 0 < run.deadline.remaining() <= 5
