# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action expects of an HTTP answer, in check_http's words, and waiting until it is answered N times in a row."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_http
from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Deadline, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber

#: Expectations of one answer: the same keys as in an item with check_http.
EXPECTATION: Spec = {
    name: check_http.REQUEST[name]
    for name in ("status", "json", "states", "response_headers", "contains", "contains_not", "max_ms")
}
#: How a request reaches its server.
CONNECTION: Spec = {
    "ca_file": {"type": "path"},
    "connect_to": {"type": "str"},
    "headers": {"type": "dict", "default": {}},
    "secret_headers": {"type": "dict", "default": {}, "no_log": True},
    "bearer": {"type": "str", "no_log": True},
}
#: How long to wait, and for how many good answers in a row.
PATIENCE: Spec = {
    "consecutive": {"type": "int", "default": 3},
    "interval": {"type": "float", "default": 0.1},
    "timeout": {"type": "float", "default": 60.0},
    "request_timeout": {"type": "float", "default": 5.0},
}
#: The least that a request gets, however near the deadline.
_LAST_SECONDS = 1.0
#: A request and what must be answered, again and again.
GATE: Spec = {"url": {"type": "str", "required": True}, **CONNECTION, **EXPECTATION, **PATIENCE}


def criteria(response: http.Response, expectation: t.Mapping[str, t.Any], *, label: str) -> list[Criterion]:
    """Judge an answer that has just come. Raises BadInput for an expectation that cannot be read."""
    document: t.Any = None
    not_json = ""
    if expectation.get("json") or expectation.get("states"):
        try:
            document = response.json()
        except UnexpectedAnswer as problem:
            not_json = problem.message
    answer = check_http.Answer(
        status=response.status,
        headers=response.headers,
        text=response.text() if expectation.get("contains") or expectation.get("contains_not") else "",
        document=document,
        not_json=not_json,
        milliseconds=response.seconds * 1000,
        size_bytes=len(response.body),
        is_truncated=response.is_truncated,
        url=response.url,
        hops=response.hops,
        location=response.header("location") or "",
        received_at=CLOCK.now(),
    )
    seen = check_http.Seen(label, "GET", response.url, False, answers=(answer,))
    judged = {name: expectation.get(name) for name in EXPECTATION}
    return list(check_http.judge(check_http.Facts((seen,), ""), {**judged, "url": response.url}))


def refuse_unreadable(expectation: t.Mapping[str, t.Any], *, url: str) -> None:
    """Raises BadInput for an expectation that could not be judged later: better now than in the window."""
    check_http.wanted({**{name: expectation.get(name) for name in EXPECTATION}, "url": url})


def checked_gate(gate: t.Mapping[str, t.Any], *, where: str) -> None:
    """Raises BadInput for a gate that would never open, or always."""
    if gate["consecutive"] < 1:
        raise BadInput(f"{where}: consecutive is {gate['consecutive']}, expected at least 1.")
    if gate["timeout"] <= 0 or gate["request_timeout"] <= 0 or gate["interval"] <= 0:
        raise BadInput(f"{where}: timeout, request_timeout and interval must be more than 0 seconds.")


def secrets_of(connection: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The headers that hold secrets."""
    return {**(connection.get("secret_headers") or {}), **http.bearer(connection.get("bearer"))}


@dataclasses.dataclass(frozen=True)
class Passed:
    """A gate that opened: what was answered, how long it took, and when the first of the good answers came."""

    label: str
    last: str
    seconds: float
    attempts: int
    consecutive: int
    since: str

    def told(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "seconds": round(self.seconds, 3)}


def await_answers(
    gate: t.Mapping[str, t.Any],
    *,
    judge: t.Callable[[http.Response], t.Iterable[Criterion]],
    label: str,
    deadline: Deadline,
    between: t.Callable[[], None] = lambda: None,
    secret_headers: t.Mapping[str, t.Any] | None = None,
    scrub: Scrubber | None = None,
) -> Passed:
    """Ask until ``consecutive`` answers in a row are as wanted. Each asks on a connection of its own.

    ``between`` is called before each request and may raise to end the wait. Raises TimedOut with the last answer; answers are
    in its ``known``.
    """
    hidden = secrets_of(gate) if secret_headers is None else secret_headers
    return await_good(
        gate,
        lambda limit: _attempt(gate, judge, hidden, limit=limit),
        label=label,
        deadline=deadline,
        between=between,
        scrub=scrub,
    )


def await_good(
    patience: t.Mapping[str, t.Any],
    attempt: t.Callable[[float], tuple[bool, str]],
    *,
    label: str,
    deadline: Deadline,
    between: t.Callable[[], None] = lambda: None,
    scrub: Scrubber | None = None,
) -> Passed:
    """As await_answers, of whatever can be asked: ``attempt`` gets its seconds, and says whether it was good, and why."""
    clock = deadline.clock
    began = clock.monotonic()
    in_a_row = attempts = 0
    first_good = ""
    while True:
        between()
        attempts += 1
        asked = utc_text(clock.now())
        # Near the end, too, a request gets time to be answered: its answer is the error's.
        limit = min(patience["request_timeout"], max(deadline.remaining(), _LAST_SECONDS))
        is_good, said = attempt(limit)
        if is_good:
            first_good = first_good or asked
            in_a_row += 1
        else:
            first_good, in_a_row = "", 0
        if in_a_row >= patience["consecutive"]:
            between()
            return Passed(label, said, clock.monotonic() - began, attempts, in_a_row, first_good)
        if deadline.expired():
            shown = scrub.text(said) if scrub else said
            raise TimedOut(
                f"{label} gave {in_a_row} of {patience['consecutive']} good answers in a row within {deadline.seconds:g} s; the "
                f"last of {attempts}: {shown}",
                known={"last_answer": shown, "attempts": attempts},
            )
        clock.sleep(min(patience["interval"], deadline.remaining()))


def _attempt(
    gate: t.Mapping[str, t.Any],
    judge: t.Callable[[http.Response], t.Iterable[Criterion]],
    hidden: t.Mapping[str, t.Any],
    *,
    limit: float,
) -> tuple[bool, str]:
    try:
        response = http.request(
            "GET",
            gate["url"],
            deadline=Deadline(limit),
            headers=gate.get("headers") or {},
            secret_headers=hidden,
            ca_file=gate.get("ca_file"),
            connect_to=gate.get("connect_to"),
        )
    except BadInput:
        raise
    except GoliveError as problem:
        return False, problem.message
    judgement = Judgement.of(judge(response))
    return judgement.status in ("pass", "warn"), judgement.summary
