# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What samples say of a percentile, on plain data: the bounds' ranks, how many samples they need, and the verdict."""

from __future__ import annotations

import math
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import http_latency, percentile_bounds
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

SHARES = (0.5, 0.95, 0.99)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile_bounds.percentile([5, 1, 3, 2, 4], 0.95) == 5
    assert percentile_bounds.percentile(list(range(1, 101)), 0.95) == 95
    assert percentile_bounds.percentile([7], 0.5) == 7


@pytest.mark.parametrize(("share", "count"), [(0.5, 5), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_so_many_samples_are_needed(share: float, count: int) -> None:
    assert percentile_bounds.needed(share) == count
    assert percentile_bounds.upper_bound(range(count - 1), share) is None
    assert percentile_bounds.upper_bound(range(count), share) == count - 1, "it is the highest of them"


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("beyond", [0, 1, 5])
def test_with_more_samples_some_may_lie_beyond_the_bound(share: float, beyond: int) -> None:
    count = percentile_bounds.needed(share, beyond=beyond)
    assert percentile_bounds.upper_bound(range(count), share) == count - 1 - beyond
    fewer = percentile_bounds.upper_bound(range(count - 1), share)
    assert fewer is None or fewer > count - 2 - beyond


@pytest.mark.parametrize(("count", "upper"), [(200, 0.98), (1000, 0.962), (10_000, 0.9537)])
def test_the_bound_comes_nearer_with_more_samples(count: int, upper: float) -> None:
    assert percentile_bounds.upper_bound(range(1, count + 1), 0.95) == round(upper * count)


@given(st.integers(1, 400), st.sampled_from(SHARES))
def test_the_bounds_are_as_sure_as_they_say(count: int, share: float) -> None:
    """By the exact sum of the binomial distribution, with whole numbers' ways to choose."""

    def fewer_than(rank: int) -> float:
        return sum(math.comb(count, hits) * share**hits * (1 - share) ** (count - hits) for hits in range(rank))

    lower = percentile_bounds.lower_bound(range(1, count + 1), share)
    upper = percentile_bounds.upper_bound(range(1, count + 1), share)
    if lower is not None:
        assert fewer_than(int(lower)) <= 0.05 + 1e-9 < fewer_than(int(lower) + 1) + 2e-9
    if upper is not None:
        assert fewer_than(int(upper)) >= 0.95 - 1e-9
        assert fewer_than(int(upper) - 1) < 0.95 + 1e-9
    else:
        assert fewer_than(count) < 0.95


def judged(spent: t.Sequence[float], *, problem: str = "", wanted: int = 0, **limits: float) -> Judgement:
    timings = tuple(http_latency.Timing(200, milliseconds) for milliseconds in spent)
    seen = http_latency.Sampled(timings, wanted or len(timings), None, problem)
    assert http_latency.evidence(seen)["samples"] == len(timings)
    return Judgement.of(http_latency.criteria(seen, "/", {"status": [200], **limits}))


@pytest.mark.parametrize(
    ("spent", "limits", "status", "said"),
    [
        ([5.0] * 59, {"max_p95_ms": 5}, "pass", "p95 of 59 samples 5.0 ms (95 % sure: 5.0 to 5.0 ms)"),
        ([5.0] * 58, {"max_p95_ms": 5}, "unknown", "5.0 ms (95 % sure: 5.0 to any), expected at most 5 ms"),
        ([5.0] * 58, {"max_p95_ms": 5}, "unknown", "cannot be told (needs n >= 59)"),
        ([5.0] * 298, {"max_p99_ms": 5}, "unknown", "needs n >= 299"),
        ([5.0] * 299, {"max_p99_ms": 5}, "pass", ""),
        ([5.0] * 4, {"max_p50_ms": 5}, "unknown", "needs n >= 5"),
        ([5.0] * 5, {"max_p50_ms": 5}, "pass", ""),
        ([5.0] * 92 + [900.0], {"max_p95_ms": 5}, "pass", ""),
        ([5.0] * 91 + [900.0] * 2, {"max_p95_ms": 5}, "unknown", "the limit lies between"),
        ([5.0] * 58 + [900.0], {"max_p95_ms": 5}, "unknown", "the limit lies between"),
        ([5.0] * 80 + [900.0] * 13, {"max_p95_ms": 5}, "fail", "p95 of 93 samples is 900.0 ms"),
        ([5.0] * 80 + [900.0] * 13, {"max_p50_ms": 5, "max_p99_ms": 900}, "unknown", "p99 of 93 samples"),
        ([900.0] * 3, {"max_p95_ms": 5}, "fail", "95 % sure: 900.0 to any"),
    ],
)
def test_the_verdict_on_a_percentile(spent: list[float], limits: dict[str, float], status: str, said: str) -> None:
    judgement = judged(spent, **limits)
    assert (judgement.status, said in judgement.summary) == (status, True), judgement.summary


def test_what_cannot_be_told_says_how_many_samples_would_tell() -> None:
    assert judged([5.0] * 20, max_p95_ms=5).remedy == "Take more samples: about 59 would tell."
    enough = int(judged([5.0] * 90 + [900.0] * 3, max_p95_ms=5).remedy.split("about ")[1].split()[0])
    assert judged(([5.0] * 30 + [900.0]) * (enough // 31), max_p95_ms=5).status == "pass"
    assert "no number of samples tells" in judged(([5.0] * 19 + [900.0]) * 10, max_p95_ms=5).remedy


def test_samples_that_ended_early_are_told_and_never_pass() -> None:
    judgement = judged([5.0] * 59, problem="The server hung.", wanted=93, max_p95_ms=5)
    assert judgement.status == "unknown"
    assert "/ samples are 59, expected 93: The server hung." in judgement.summary
    assert judged([900.0] * 9, problem="The server hung.", wanted=93, max_p95_ms=5).status == "fail"
    assert judged([], problem="The server hung.", wanted=93, max_p95_ms=5).status == "unknown"


def test_what_only_this_hosts_own_lateness_makes_slow_is_no_failure_of_the_service() -> None:
    def judge(milliseconds: float, late: float) -> Judgement:
        seen = http_latency.Sampled((http_latency.Timing(200, milliseconds, late),) * 93, 93, 20.0)
        return Judgement.of(http_latency.criteria(seen, "/", {"status": [200], "max_p95_ms": 50}))

    assert judge(40, 30).status == "pass", "who waited no longer for both was served in time"
    assert judge(60, 30).status == "unknown"
    assert "This host sent them late itself" in judge(60, 30).remedy
    assert judge(90, 30).status == "fail"
