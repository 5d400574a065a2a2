# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a service keeps its own limits: how often it may be asked, and how large a body may be. Not tried in check mode."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, TimedOut
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    holds,
    one_of,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

OPTIONS: Spec = {
    "rate_limit": {
        "type": "dict",
        "options": {
            "requests": {"type": "int", "required": True},
            "within": {"type": "str", "required": True},
            "expect_status": {"type": "list", "elements": "int", "default": [429]},
            "header": {"type": "str"},
        },
    },
    "body_limit": {"type": "str"},
}
MOST_REQUESTS = 500
MOST_BODY_BYTES = 100 * 10**6
_TOO_LARGE = 413
_OTHER_CREDENTIALS = "Give the check a token or secret header that this path accepts."


@dataclasses.dataclass(frozen=True)
class Burst:
    """Requests one after the other until the service said that they are too many, or ``problem`` ended them."""

    sent: int = 0
    seconds: float = 0.0
    #: Of the last answer.
    status: int | None = None
    has_header: bool = False
    #: The time was over before all were sent.
    was_too_slow: bool = False
    problem: str = ""
    left_out: bool = False


@dataclasses.dataclass(frozen=True)
class Bodies:
    """The statuses that a body above the limit, and one below it, were answered with."""

    above: int | None = None
    below: int | None = None
    problem: str = ""
    left_out: bool = False


def refuse_unreadable(request: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput for a limit that cannot be read, or that would take too much to try."""
    limit = request.get("rate_limit")
    if limit:
        units.span_seconds(limit["within"], option="rate_limit.within")
        if not 1 <= limit["requests"] <= MOST_REQUESTS:
            raise BadInput(f"rate_limit.requests is {limit['requests']}, expected 1 to {MOST_REQUESTS}.")
        if not limit["expect_status"]:
            raise BadInput("rate_limit.expect_status is empty, so no answer would do.")
    if request.get("body_limit") is not None and not 2 <= _body_bytes(request) <= MOST_BODY_BYTES:
        raise BadInput(f"body_limit is {request['body_limit']}, expected 2B to {units.size_text(MOST_BODY_BYTES)}.")


def _body_bytes(request: t.Mapping[str, t.Any]) -> int:
    return units.size_bytes(request["body_limit"], option="body_limit")


def burst(request: t.Mapping[str, t.Any], ask: t.Callable[[Deadline], http.Response], *, run: Run) -> Burst | None:
    """Ask until the limit answers, or the service breaks; None where no limit is named."""
    limit = request.get("rate_limit")
    if not limit:
        return None
    if run.check_mode:
        return Burst(left_out=True)
    within = units.span_seconds(limit["within"], option="rate_limit.within")
    deadline = Deadline(min(within, run.deadline.remaining()), clock=run.clock)
    began = run.clock.monotonic()
    seen = Burst()
    for number in range(1, limit["requests"] + 1):
        try:
            response = ask(deadline)
        except TimedOut:
            return dataclasses.replace(seen, was_too_slow=True)
        except GoliveError as problem:
            return dataclasses.replace(seen, problem=problem.message)
        has_header = bool(limit["header"]) and response.header(limit["header"]) is not None
        seen = Burst(number, run.clock.monotonic() - began, response.status, has_header)
        if response.status in limit["expect_status"] or response.status >= 500:
            break
    return seen


def bodies(request: t.Mapping[str, t.Any], ask: t.Callable[[bytes], http.Response], *, run: Run) -> Bodies | None:
    """Send a body of one byte more than the limit, and one of one byte less; None where no limit is named."""
    if request.get("body_limit") is None:
        return None
    if run.check_mode:
        return Bodies(left_out=True)
    limit = _body_bytes(request)
    try:
        return Bodies(ask(b"x" * (limit + 1)).status, ask(b"x" * (limit - 1)).status)
    except GoliveError as problem:
        return Bodies(problem=problem.message)


def burst_criteria(
    seen: Burst, label: str, request: t.Mapping[str, t.Any], *, is_refused: bool
) -> t.Iterator[Criterion]:
    """Whether the limit answered, and said when to come again; ``is_refused`` says that it was our credentials instead."""
    limit, name = request["rate_limit"], f"{label} rate limit"
    expected = f"{' or '.join(plain(status) for status in limit['expect_status'])} within {limit['requests']} requests"
    measured = f"{seen.status} at request {seen.sent}"
    if seen.left_out:
        why = f"{name} was not tried in check mode, since it sends up to {limit['requests']} requests"
        yield unknown(name, why, left_out=True)
    elif seen.problem:
        yield unknown(name, f"{name} could not be tried: {seen.problem.rstrip('.')}")
    elif seen.status in limit["expect_status"]:
        yield holds(name, True, measured=measured, expected=expected)
        if limit["header"]:
            state = "present" if seen.has_header else "absent"
            yield one_of(f"{name} header {limit['header']}", state, ["present"])
    elif is_refused:
        yield unknown(
            name,
            f"{name} cannot be told: our credentials were refused with status {measured}",
            remedy=_OTHER_CREDENTIALS,
        )
    elif seen.was_too_slow:
        yield unknown(
            name,
            f"{name} cannot be told: only {seen.sent} of {limit['requests']} requests were answered in time",
            remedy="Name fewer requests or a longer within, and a timeout that is longer than that.",
        )
    else:
        yield holds(
            name,
            False,
            measured=measured,
            expected=expected,
            remedy="Set a rate limit before the service, or in it." if (seen.status or 0) < 500 else "",
        )


def bodies_criteria(
    seen: Bodies, label: str, request: t.Mapping[str, t.Any], *, is_refused: bool
) -> t.Iterator[Criterion]:
    """Whether what is too large is refused as such, and nothing else is; ``is_refused`` says that our credentials were."""
    limit, name = _body_bytes(request), f"{label} body limit"
    if seen.left_out:
        yield unknown(name, f"{name} was not tried in check mode, since it sends a body", left_out=True)
    elif seen.problem:
        yield unknown(name, f"{name} could not be tried: {seen.problem.rstrip('.')}")
    elif is_refused and seen.above != _TOO_LARGE:
        answered = f"{seen.above} above it and {seen.below} below"
        yield unknown(
            name, f"{name} cannot be told: our credentials were refused ({answered})", remedy=_OTHER_CREDENTIALS
        )
    else:
        yield one_of(
            f"{label} body of {limit + 1} bytes status",
            seen.above,
            [_TOO_LARGE],
            remedy="Set the limit at the proxy and in the application: client_max_body_size in nginx, max_size of request_body in Caddy.",
        )
        below = f"{label} body of {limit - 1} bytes status"
        if (seen.below or 0) >= 500:
            yield unknown(below, f"{below} is {seen.below}, which does not tell whether the limit let it in")
        else:
            yield holds(below, seen.below != _TOO_LARGE, measured=seen.below, expected=f"anything but {_TOO_LARGE}")


def evidence(rate: Burst | None, tried: Bodies | None) -> dict[str, t.Any]:
    """How many requests were sent until the limit answered, and what the bodies were answered with."""
    told: dict[str, t.Any] = {}
    if rate is not None and not rate.left_out:
        told["rate_limit"] = {"requests": rate.sent, "seconds": round(rate.seconds, 3), "last_status": rate.status}
    if tried is not None and not tried.left_out and not tried.problem:
        told["body_limit"] = {"above": tried.above, "below": tried.below}
    return told
