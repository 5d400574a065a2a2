# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The latency of many like requests, judged by percentiles of which the samples say how sure they are.

Requests that wait for each other hide a stall: while one hangs no other is sent, so a second in which nobody was served is one
slow sample (coordinated omission). With ``interval_ms`` they are sent on a schedule, each counted from when it was to be sent.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import percentile_bounds
from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, at_least, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side

MOST_SAMPLES = 10_000
#: The percentile that each option bounds.
SHARES = {"max_p50_ms": 0.50, "max_p95_ms": 0.95, "max_p99_ms": 0.99}
OPTIONS: Spec = {
    **{name: {"type": "float"} for name in SHARES},
    "samples": {"type": "int"},
    "warmup": {"type": "int"},
    "interval_ms": {"type": "float"},
}
#: So many requests of a schedule may be under way at once.
_SENDERS = 32
#: By default one sample may be slow, and the others still tell.
_SLOW_BY_DEFAULT = 1


@dataclasses.dataclass(frozen=True)
class Timing:
    """One sample, warm-up left out."""

    status: int
    milliseconds: float
    #: How late a sender that was free woke, in milliseconds: this host's own share.
    sent_late_ms: float = 0.0

    @property
    def surely_ms(self) -> float:
        """What the service alone took."""
        return self.milliseconds - self.sent_late_ms


@dataclasses.dataclass(frozen=True)
class Sampled:
    """The samples of one request; ``problem`` says why they are fewer than were wanted."""

    timings: tuple[Timing, ...]
    wanted: int
    interval_ms: float | None
    problem: str = ""


def complete(request: dict[str, t.Any]) -> None:
    """Fill in how many samples the limits need. Raises BadInput."""
    limits = [share for name, share in SHARES.items() if request.get(name) is not None]
    if limits and not request.get("samples"):
        request["samples"] = percentile_bounds.needed(max(limits), beyond=_SLOW_BY_DEFAULT)
    for name in ("samples", "warmup"):
        request[name] = request.get(name) or 0
        if not 0 <= request[name] <= MOST_SAMPLES:
            raise BadInput(f"{name} is {request[name]}, expected 0 to {MOST_SAMPLES}.")
    if request.get("interval_ms") is not None:
        if not request["samples"]:
            raise BadInput("interval_ms needs samples, or a limit of a percentile: there is nothing to send.")
        if request["interval_ms"] <= 0:
            raise BadInput(f"interval_ms is {request['interval_ms']:g}, expected more than 0.")


def sampled(request: t.Mapping[str, t.Any], ask: t.Callable[[], http.Response], *, run: Run) -> Sampled | None:
    """Take the samples; None where none is wanted. Raises BadInput, and what a request of the warm-up raises."""
    count, interval = request["samples"], request.get("interval_ms")
    if not count:
        return None
    if interval and count * interval / 1000 >= run.deadline.seconds:
        raise BadInput(
            f"{count} samples, one each {interval:g} ms, take {count * interval / 1000:g} s, and the time limit is "
            f"{run.deadline.seconds:g} s.",
            remedy="Set a longer timeout, or a shorter interval_ms.",
        )
    for _turn in range(request["warmup"]):
        ask()
    take = _on_schedule if interval else _one_after_the_other
    timings, problem = take(request, ask, run)
    return Sampled(timings, count, interval, problem)


def _one_after_the_other(
    request: t.Mapping[str, t.Any], ask: t.Callable[[], http.Response], _run: Run
) -> tuple[tuple[Timing, ...], str]:
    timings: list[Timing] = []
    try:
        for _turn in range(request["samples"]):
            response = ask()
            timings.append(Timing(response.status, response.seconds * 1000))
    except GoliveError as problem:
        return tuple(timings), problem.message
    return tuple(timings), ""


def _on_schedule(
    request: t.Mapping[str, t.Any], ask: t.Callable[[], http.Response], run: Run
) -> tuple[tuple[Timing, ...], str]:
    clock, count = run.clock, request["samples"]
    began = clock.monotonic()

    def take(number: int) -> Timing:
        intended = began + (number + 1) * request["interval_ms"] / 1000
        ahead = intended - clock.monotonic()
        late = 0.0
        if ahead > 0:
            clock.sleep(min(ahead, run.deadline.remaining()))
            late = clock.monotonic() - intended
        response = ask()
        return Timing(response.status, (clock.monotonic() - intended) * 1000, late * 1000)

    jobs = [lambda number=number: take(number) for number in range(count)]
    results = side_by_side(jobs, deadline=run.deadline, width=min(count, _SENDERS))
    problems = [result.message for result in results if isinstance(result, GoliveError)]
    return tuple(result for result in results if isinstance(result, Timing)), problems[0] if problems else ""


def criteria(seen: Sampled, label: str, request: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Whether each sample was answered as expected, and the percentiles."""
    good = [timing for timing in seen.timings if timing.status in request["status"]]
    if seen.timings:
        yield at_least(f"{label} samples with the expected status", len(good), len(seen.timings))
    if seen.problem:
        name, taken = f"{label} samples", len(seen.timings)
        yield unknown(name, f"{name} are {taken}, expected {seen.wanted}: {seen.problem.rstrip('.')}")
    for name, share in SHARES.items() if seen.timings else ():
        if request.get(name) is not None:
            called = f"{label} p{share * 100:.0f} of {len(seen.timings)} samples"
            yield _percentile(called, seen.timings, share, request[name])


def _bounds(timings: t.Sequence[Timing], share: float) -> tuple[float | None, float | None]:
    """From below by what the service alone took, from above by all that a user would have waited."""
    return (
        percentile_bounds.lower_bound([timing.surely_ms for timing in timings], share),
        percentile_bounds.upper_bound([timing.milliseconds for timing in timings], share),
    )


def _percentile(name: str, timings: t.Sequence[Timing], share: float, limit: float) -> Criterion:
    spent = [timing.milliseconds for timing in timings]
    lower, upper = _bounds(timings, share)
    measured = _between(percentile_bounds.percentile(spent, share), lower, upper)
    if upper is not None and upper <= limit:
        truth: bool | None = True
    else:
        truth = False if lower is not None and lower > limit else None
    sentence = f"{name} is {measured}, expected at most {limit:g} ms"
    remedy = ""
    if truth is None:
        remedy = _how_to_decide(spent, share, limit)
        least = percentile_bounds.needed(share)
        told = f"needs n >= {least}" if len(spent) < least else "the limit lies between"
        sentence = f"{sentence}, which cannot be told ({told})"
    return holds(name, truth, measured=measured, expected=f"at most {limit:g} ms", sentence=sentence, remedy=remedy)


def _between(estimate: float, lower: float | None, upper: float | None) -> str:
    """``12.1 ms (95 % sure: 9.8 to 14.0 ms)``."""
    least = "0" if lower is None else f"{lower:.1f}"
    most = "any" if upper is None else f"{upper:.1f} ms"
    return f"{estimate:.1f} ms ({percentile_bounds.CONFIDENCE:.0%} sure: {least} to {most})".replace("%", " %")


def _how_to_decide(spent: t.Sequence[float], share: float, limit: float) -> str:
    counted = percentile_bounds.lower_bound(spent, share)
    if counted is not None and counted > limit:
        return "This host sent them late itself: ask from one that has less to do, or with a longer interval_ms."
    within = sum(milliseconds <= limit for milliseconds in spent)
    count = percentile_bounds.deciding(within, len(spent), share, most=MOST_SAMPLES)
    if count is None:
        return "The limit lies so near to what the service does that no number of samples tells: set another limit."
    return f"Take more samples: about {count} would tell."


def evidence(seen: Sampled) -> dict[str, t.Any]:
    """The percentiles with their bounds, and how they were measured."""
    spent = [timing.milliseconds for timing in seen.timings]
    told: dict[str, t.Any] = {"samples": len(spent)}
    if seen.interval_ms is not None:
        told["interval_ms"] = seen.interval_ms
        told["sent_late_ms"] = round(max((timing.sent_late_ms for timing in seen.timings), default=0.0), 1)
    if not spent:
        return told
    for share in SHARES.values():
        name = f"p{share * 100:.0f}"
        told[f"{name}_ms"] = _rounded(percentile_bounds.percentile(spent, share))
        told[f"{name}_at_least_ms"], told[f"{name}_at_most_ms"] = map(_rounded, _bounds(seen.timings, share))
        told[f"{name}_needs_samples"] = percentile_bounds.needed(share)
    return {**told, "max_ms": _rounded(max(spent)), "confidence": percentile_bounds.CONFIDENCE}


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
