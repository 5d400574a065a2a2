# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a message is sent again, what it is judged to be, and what of a URL is a secret, with plain data."""

from __future__ import annotations

import datetime as dt
import threading
import types
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import notify
from ansible_collections.opsready.golive.plugins.module_utils._actions.notify import Message, Outcome, Round
from ansible_collections.opsready.golive.plugins.module_utils._clients.delivery import NotNow, Unconfirmed
from ansible_collections.opsready.golive.plugins.module_utils._core import side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Clock, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)


class HandClock(Clock):
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> dt.datetime:
        return NOW

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


class Scripted:
    """A channel whose attempts end as they are listed; the last one repeats."""

    def __init__(self, *ends: GoliveError | None) -> None:
        self.outcome = Outcome("chat", "webhook", "chat.example.org:443 (https)")
        self.ends = list(ends)
        self.limits: list[float] = []

    def attempt(self, deadline: Deadline) -> None:
        self.limits.append(deadline.seconds)
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if end is not None:
            raise end
        self.outcome.is_sent = True


def told(*ends: GoliveError | None, timeout: float = 30.0, interval: float = 1.0) -> tuple[Outcome, list[float]]:
    channel, clock = Scripted(*ends), HandClock()
    deadline = Deadline(timeout, clock=clock)
    notify.tell(t.cast(t.Any, channel), deadline=deadline, request_timeout=10.0, interval=interval)
    assert all(limit <= 10.0 for limit in channel.limits)
    return channel.outcome, clock.slept


# ── again, or not ──


def test_pauses_double_and_end_before_the_time_does() -> None:
    outcome, slept = told(Unreachable("Nothing listens."))
    assert slept == [1.0, 2.0, 4.0, 8.0]
    assert (outcome.attempts, outcome.is_sent, outcome.problem, outcome.seconds) == (5, False, "Nothing listens.", 15.0)


def test_an_attempt_that_would_be_cut_short_is_not_made() -> None:
    assert told(Unreachable("Nothing listens."), timeout=1.9)[0].attempts == 1
    assert told(Unreachable("Nothing listens."), timeout=2.0)[0].attempts == 2


def test_a_defect_in_one_channel_is_that_channels_problem() -> None:
    outcome, _slept = told(t.cast(GoliveError, ValueError("geheim")))
    assert (outcome.attempts, outcome.is_unconfirmed) == (1, True)
    assert outcome.problem.startswith("ValueError at test_notify.py:")
    assert "geheim" not in outcome.problem


def test_a_server_that_names_a_longer_pause_gets_it() -> None:
    outcome, slept = told(
        NotNow("Busy.", known={"retry_after": 5.0}), NotNow("Busy.", known={"retry_after": 0.0}), None
    )
    assert slept == [5.0, 2.0]
    assert (outcome.attempts, outcome.is_sent, outcome.problem) == (3, True, "")


def test_a_pause_that_does_not_fit_ends_the_attempts_and_is_named() -> None:
    outcome, slept = told(NotNow("Busy.", known={"retry_after": 31.0}))
    assert (outcome.attempts, slept) == (1, [])
    assert outcome.problem == "Busy; it wants 31 s until the next attempt."


@pytest.mark.parametrize("problem", [Denied("No."), UnexpectedAnswer("404."), Unconfirmed("Silent.")])
def test_what_may_arrive_twice_or_never_is_not_sent_again(problem: GoliveError) -> None:
    outcome, slept = told(problem)
    assert (outcome.attempts, slept, outcome.problem) == (1, [], problem.message)
    assert outcome.is_unconfirmed == isinstance(problem, Unconfirmed)


@given(
    ends=st.lists(
        st.sampled_from([Unreachable("a"), TimedOut("b"), NotNow("c"), Denied("d"), Unconfirmed("e"), None]), min_size=1
    )
)
def test_nothing_is_sent_after_it_was_or_may_have_been_taken(ends: list[GoliveError | None]) -> None:
    outcome, slept = told(*ends, timeout=10_000.0, interval=0.001)
    last = ends[min(outcome.attempts, len(ends)) - 1]
    before = ends[: outcome.attempts - 1][: len(ends)]
    assert all(isinstance(end, (Unreachable, NotNow)) for end in before)
    assert outcome.is_sent == (last is None)
    assert sum(slept) < 10_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("9" * 40, 0.0),
        ("Sun, 22 Nov 2026 12:01:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 12:01:30 -0000", 90.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 99 Nov 2026 12:01:30 GMT", 0.0),
    ],
)
def test_a_wish_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float) -> None:
    assert notify.retry_after(header, HandClock()) == seconds


# ── judged ──


@pytest.mark.parametrize(
    ("sent", "unconfirmed", "problem", "somebody", "status", "says"),
    [
        (True, False, "", True, "pass", ""),
        (False, False, "404.", False, "fail", "chat was not told: 404"),
        (False, False, "404.", True, "warn", "chat was not told: 404"),
        (False, True, "Silent.", False, "unknown", "chat may not have been told: Silent"),
        (False, True, "Silent.", True, "warn", "chat may not have been told: Silent"),
        (True, False, "550.", True, "warn", "chat was not told as a whole: 550"),
        (True, True, "Silent.", True, "warn", "chat was not told as a whole: Silent"),
    ],
)
def test_a_channel_is_as_bad_as_what_is_known_of_all(
    sent: bool, unconfirmed: bool, problem: str, somebody: bool, status: str, says: str
) -> None:
    outcome = Outcome("chat", "webhook", "x", is_sent=sent, is_unconfirmed=unconfirmed, problem=problem)
    criterion = outcome.criterion(somebody_knows=somebody)
    assert (criterion.status, says in criterion.sentence) == (status, True)


def test_each_kind_of_channel_tells_what_it_has() -> None:
    assert "message_id" not in Outcome("chat", "webhook", "x").told()
    assert "http_status" not in Outcome("team", "mail", "x").told()
    assert "remedy" not in Outcome("team", "mail", "x").told()


def _context(channels: list[dict[str, t.Any]]) -> t.Any:
    params = {
        "subject": "live",
        "text": "",
        "link": None,
        "channels": channels,
        "timeout": 0.05,
        "request_timeout": 0.05,
    }
    return types.SimpleNamespace(params={**params, "interval": 0.01}, scrub=Scrubber())


def _webhook(name: str) -> dict[str, t.Any]:
    nothing: dict[str, t.Any] = {"headers": {}, "secret_headers": {}, "secret_json": {}, "json": None, "ca_file": None}
    url = "http://127.0.0.1:1/hook"
    return {"name": name, "mail": None, "webhook": {**nothing, "url": url, "method": "POST", "status": [200]}}


def test_a_channel_that_is_stuck_beyond_its_limit_is_left_alone_and_may_have_been_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = threading.Event()

    def attempt(self: notify.Webhook, deadline: Deadline) -> None:
        if self.outcome.name == "stuck":
            ends.wait(60)
        self.outcome.is_sent = True

    monkeypatch.setattr(notify.Webhook, "attempt", attempt)
    monkeypatch.setattr(side_by_side, "GRACE_SECONDS", 0.0)
    channels = Round(_context([_webhook("stuck"), _webhook("told")]))
    try:
        channels.go()
    finally:
        ends.set()
    stuck, other = channels.outcomes
    assert (stuck.is_sent, stuck.is_unconfirmed, other.is_sent) == (False, True, True)
    assert "No answer within 0.05 s" in stuck.problem
    assert channels.judged().status == "warn"


def test_channels_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = Round(_context([_webhook("chat"), _webhook("chat")]))
    assert list(channels.left_out().expected) == ["chat (1 of 2)", "chat (2 of 2)"]


# ── what is secret ──


@pytest.mark.parametrize(
    ("url", "tokens"),
    [
        ("https://hooks.example.org/services/T0AB1CD2E/B0EF/geheim", {"T0AB1CD2E"}),
        ("https://x/hooks/abcdefghijklmnopqrstuvwxyz", {"abcdefghijklmnopqrstuvwxyz"}),
        ("https://x/a%2Fb12345678/", {"a%2Fb12345678", "a/b12345678"}),
        ("https://x/?wait=true&token=geheim123#fragment99", {"geheim123", "fragment99"}),
        ("https://x/notifications/incoming", set()),
    ],
)
def test_tokens_of_a_url_are_secrets_and_its_words_are_not(url: str, tokens: set[str]) -> None:
    assert notify.tokens_in(url) == tokens


@given(st.text(), st.text(), st.one_of(st.none(), st.text()))
def test_a_subject_is_one_line_whatever_it_was(subject: str, text: str, link: str | None) -> None:
    message = Message.of({"subject": subject, "text": text, "link": link}, Scrubber())
    assert not any(ord(character) < 32 or ord(character) == 127 for character in message.subject)
    assert len(message.subject.splitlines()) <= 1
    message.lines(with_subject=True).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "host"), [("::1", "::1"), ("10.0.0.1", "10.0.0.1"), ("bücher.example", "xn--bcher-kva.example")]
)
def test_a_mail_server_is_a_name_or_an_address(text: str, host: str) -> None:
    assert notify._host(text) == host


@pytest.mark.parametrize("text", ["", "a b", "[::1]", "mail:25", "smtp://mail", "u@mail"])
def test_what_is_no_mail_server_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="without a port"):
        notify._host(text)


def test_a_message_has_no_empty_lines_where_something_is_left_out() -> None:
    assert Message("live", " \n", "https://x").lines(with_subject=True) == "live\nhttps://x"
    assert Message("live", "a\n\nb\n", "").lines(with_subject=False) == "a\n\nb"
