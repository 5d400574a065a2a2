# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal during cleanup waits for its end, and is not forgotten."""

from __future__ import annotations

import signal
import threading
import types
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import ENDING


@pytest.fixture
def came() -> t.Iterator[list[int]]:
    """Numbers of the signals that reached the handlers from before the cleanup."""
    numbers: list[int] = []

    def remember(number: int, frame: types.FrameType | None) -> None:
        numbers.append(number)

    before = {number: signal.signal(number, remember) for number in ENDING}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_a_signal_waits_until_the_cleanup_is_over(came: list[int], number: signal.Signals) -> None:
    with uninterrupted():
        signal.raise_signal(number)
        assert came == []
    assert came == [number]


def test_of_several_signals_the_first_is_delivered(came: list[int]) -> None:
    with uninterrupted():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGHUP]


def test_without_a_signal_none_is_delivered_and_later_ones_arrive(came: list[int]) -> None:
    with uninterrupted():
        pass
    assert came == []
    signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGTERM]


def test_a_cleanup_that_fails_still_gives_the_signal_back(came: list[int]) -> None:
    def clean_up() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        clean_up()
    assert came == [signal.SIGINT]


def test_a_thread_cleans_up_without_touching_the_handlers(came: list[int]) -> None:
    seen: list[t.Any] = []

    def work() -> None:
        with uninterrupted():
            seen.extend(signal.getsignal(number) for number in ENDING)

    handlers = [signal.getsignal(number) for number in ENDING]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == handlers
