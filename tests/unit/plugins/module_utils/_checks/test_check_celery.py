# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_celery judges plain facts; one line per case."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_celery as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_celery import Facts, Queue, Worker
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import Replies
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.timezone.utc)
OCR = Worker("ocr@h", ("ocr",), ("jobs.ocr",), 1, 0, 2, 30.0)
MAIL = Worker("mail@h", ("mail", "ocr"), ("jobs.mail", "jobs.ocr"), 0, 0, 0, 0.0)
WAITING = Queue("ocr", 3, 120.0, "header", 3, {"jobs.ocr": 3})
HEALTHY = Facts("Redis at h:6379 database 0", "/0.celery.pidbox", 2, (OCR, MAIL), (WAITING,), 4, 60.0)


def params(**options: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, {"url": "redis://h", **options}, where="test")


def judged(options: t.Mapping[str, t.Any], **facts: t.Any) -> Judgement:
    return Judgement.of(check.judge(dataclasses.replace(HEALTHY, **facts), params(**options)))


def asked(**options: t.Any) -> dict[str, t.Any]:
    return {"queues": [{"name": "ocr", **options}]}


def waiting(**fields: t.Any) -> dict[str, t.Any]:
    return {"queues": (dataclasses.replace(WAITING, **fields),)}


UNTOLD = dataclasses.replace(OCR, queues=None, tasks=None, active=None, scheduled=None, longest_running_age=None)
AHEAD = dataclasses.replace(OCR, started_ahead=301.0)
CASES: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    ({}, {}, "pass", "Workers is 2"),
    ({"min_workers": 3}, {}, "fail", "Workers is 2, expected at least 3"),
    ({"expected_workers": 2}, {}, "pass", "Workers is 2"),
    ({"expected_workers": 1}, {}, "fail", "2 workers listen, expected 1: ocr@h, mail@h"),
    ({"expected_workers": 0}, {"listeners": 0, "workers": (), "queues": ()}, "pass", "Workers is 0"),
    ({}, {"listeners": 3}, "unknown", "2 of 3 workers answered: ocr@h, mail@h"),
    ({}, {"workers": ()}, "unknown", "0 of 2 workers answered"),
    ({"workers": ["ocr@*"]}, {}, "pass", "All hold"),
    ({"workers": ["gpu@*"]}, {}, "fail", "No worker is named gpu@*"),
    ({"workers": ["gpu@*"]}, {"listeners": 3}, "unknown", "worker gpu@* is not among those that answered"),
    ({"tasks": ["jobs.mail"]}, {}, "pass", "All hold"),
    ({"tasks": ["jobs.pay"]}, {}, "fail", "Task jobs.pay is registered in no worker"),
    ({"tasks": ["jobs.pay"]}, {"listeners": 3}, "unknown", "task jobs.pay is known to no worker that told"),
    ({"workers": ["ocr@h"] * 2, "tasks": ["jobs.mail"] * 2}, {"workers": (UNTOLD, MAIL)}, "unknown", "did not tell"),
    ({}, waiting(waiting_tasks={"jobs.mail": 2, "unreadable": 1}), "fail", "1 messages that cannot be read"),
    ({}, {"workers": (UNTOLD, MAIL)}, "unknown", "Worker ocr@h did not tell its queues, tasks, running tasks"),
    (asked(min_consumers=2), {}, "pass", "All hold"),
    (asked(min_consumers=3), {}, "fail", "Consumers of queue ocr is 2, expected at least 3"),
    (asked(min_consumers=2), {"workers": (UNTOLD, MAIL)}, "unknown", "consumers of queue ocr are 1 of those"),
    (asked(max_length=3), {}, "pass", "All hold"),
    (asked(max_length=2), {}, "fail", "Length of queue ocr is 3 messages"),
    ({"max_length": 2}, {}, "fail", "Length of queue ocr is 3 messages"),
    ({"max_length": 2, **asked(max_length=3)}, {}, "pass", "All hold"),
    ({"max_age": "2m"}, {}, "pass", "All hold"),
    ({"max_age": "119s"}, {}, "fail", "Age of the oldest message in queue ocr is 120 s, expected at most 119 s"),
    ({"max_age": "1s", **asked(max_age="2m")}, {}, "pass", "All hold"),
    ({"max_age": "2m"}, waiting(oldest_age=None), "unknown", "3 wait, and the oldest carries no sent_at"),
    ({"max_age": "2m"}, waiting(sent_ahead=119.0), "pass", "All hold"),
    ({"max_age": "2m"}, waiting(sent_ahead=121.0), "unknown", "the clock of a producer is ahead"),
    ({"max_age": "1h"}, waiting(sent_ahead=301.0), "unknown", "the clock of a producer is ahead"),
    ({"max_age": "1m"}, waiting(sent_ahead=7200.0), "fail", "is 120 s, expected at most 60 s"),
    ({"max_running_age": "1h"}, {"workers": (AHEAD, MAIL)}, "unknown", "the clock of ocr@h is ahead"),
    ({"max_age": "2m"}, waiting(age_from="eta"), "unknown", "only known to be at least 120 s"),
    ({"max_age": "1m"}, waiting(age_from="eta"), "fail", "Age of the oldest message in queue ocr is 120 s"),
    (asked(stalled_after="2s"), waiting(has_moved=True), "pass", "All hold"),
    (asked(stalled_after="2s"), waiting(has_moved=False), "fail", "its next one was not taken within 2s"),
    (asked(stalled_after="2s"), waiting(has_moved=None), "unknown", "was not taken while there was time to watch"),
    ({}, waiting(waiting_tasks={"jobs.mail": 2}), "fail", "2 jobs.mail unknown to ocr@h"),
    ({}, waiting(waiting_tasks={"unreadable": 2}), "unknown", "holds 2 messages that cannot be read"),
    ({}, {"workers": (UNTOLD,), **waiting(waiting_tasks={"x": 1})}, "unknown", "did not tell"),
    ({"max_unacked": 4}, {}, "pass", "All hold"),
    ({"max_unacked": 3}, {}, "fail", "Unacknowledged messages is 4"),
    ({"max_unacked_age": "1m"}, {}, "pass", "All hold"),
    ({"max_unacked_age": "59s"}, {}, "fail", "Age of the oldest unacknowledged message is 60 s"),
    ({"max_unacked_age": "59s"}, {"oldest_unacked_age": -58.0}, "pass", "All hold"),
    ({"max_unacked_age": "59s"}, {"oldest_unacked_age": -60.0}, "unknown", "the clock of a worker is ahead"),
    ({"max_unacked_age": "59s"}, {"oldest_unacked_age": None}, "unknown", "Age of the oldest unacknowledged"),
    ({"max_scheduled": 2}, {}, "pass", "All hold"),
    ({"max_scheduled": 1}, {}, "fail", "Scheduled tasks is 2"),
    ({"max_scheduled": 1}, {"workers": (UNTOLD, MAIL)}, "unknown", "scheduled tasks are 0 in those workers that told"),
    ({"max_running_age": "30s"}, {}, "pass", "All hold"),
    ({"max_running_age": "29s"}, {}, "fail", "Age of the longest running task is 30 s"),
    ({"max_running_age": "30s"}, {"listeners": 3}, "unknown", "longest running task is 30 s in those"),
]


@pytest.mark.parametrize(("options", "facts", "status", "said"), CASES)
def test_one_fact_decides(options: dict[str, t.Any], facts: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(options, **facts)
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


@pytest.mark.parametrize("option", ["queues", "workers", "tasks"])
def test_an_empty_list_is_refused(option: str) -> None:
    with pytest.raises(BadInput, match=f"{option} is an empty list"):
        check.gather(params(**{option: []}), run=Run(timeout_seconds=1))


def test_a_queue_named_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="names a queue twice"):
        check.gather(params(queues=[{"name": "ocr"}, {"name": "ocr"}]), run=Run(timeout_seconds=1))


@pytest.mark.parametrize("options", [{"max_age": "5"}, asked(max_age="soon"), asked(stalled_after="2")])
def test_a_span_without_a_unit_is_refused_before_anything_is_asked(options: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput, match="is not a span of time"):
        check.gather(params(**options), run=Run(timeout_seconds=1))


class FallsSilent:
    """A broker of two workers, one of which answers nothing after its queues, and the other errs once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str] | None]] = []

    def heard(self, method: str, unused: t.Any = None, destination: list[str] | None = None) -> Replies:
        self.asked.append((method, destination))
        if method == "reserved":
            return Replies(1, {"a@h": {"error": "no"}})
        names = ["a@h", "b@h"] if method in ("ping", "active_queues") else ["a@h"]
        answer: t.Any = [{"name": "ocr"}] if method == "active_queues" else []
        return Replies(2, dict.fromkeys(names, answer))


def test_a_worker_that_falls_silent_is_asked_no_more_and_what_it_did_not_tell_is_not_known() -> None:
    broker = FallsSilent()
    listeners, workers = check._survey(t.cast("t.Any", broker), Run(timeout_seconds=60))
    assert listeners == 2
    assert [asked for asked in broker.asked if asked[1] == ["a@h", "b@h"]] == [
        ("active_queues", ["a@h", "b@h"]),
        ("registered", ["a@h", "b@h"]),
    ]
    assert workers[0] == Worker("a@h", ("ocr",), (), 0, None, 0, 0.0)
    assert workers[1] == Worker("b@h", ("ocr",), None, None, None, None, None)


def test_evidence_is_json_and_counts_tasks_instead_of_naming_them() -> None:
    evidence = json.loads(json.dumps(check.evidence(HEALTHY)))
    assert [worker["tasks"] for worker in evidence["workers"]] == [1, 2]
    assert evidence["silent"] == 0


@pytest.mark.parametrize(
    ("headers", "eta", "expected"),
    [
        ({"sent_at": NOW.timestamp() - 5}, None, (5.0, "header")),
        ({"sent_at": "2026-11-22T11:59:00Z"}, None, (60.0, "header")),
        ({"sent_at": NOW.timestamp() + 5}, None, (-5.0, "header")),
        ({"sent_at": "gestern"}, "2026-11-22T11:00:00", (3600.0, "eta")),
        ({"sent_at": True}, None, (0.0, "")),
        ({"sent_at": 1e300}, "2026-11-22T13:00:00Z", (0.0, "")),
        (None, None, (0.0, "")),
    ],
)
def test_an_age_is_read_from_the_header_then_from_an_eta_that_is_past(
    headers: t.Any, eta: str | None, expected: tuple[float, str]
) -> None:
    assert check._age(json.dumps({"headers": headers}).encode(), eta, "sent_at", NOW) == expected


@given(raw=st.binary(max_size=200), header=st.text(max_size=10))
def test_bytes_that_name_no_time_have_no_age(raw: bytes, header: str) -> None:
    age, source = check._age(raw, None, header, NOW)
    assert age >= 0
    assert source in ("", "header")


@given(length=st.integers(0, 10**9), bound=st.integers(0, 10**9), age=st.floats(0, 1e9), most=st.integers(0, 10**6))
def test_a_queue_passes_exactly_when_neither_bound_is_exceeded(length: int, bound: int, age: float, most: int) -> None:
    status = judged({"max_length": bound, "max_age": f"{most}s"}, **waiting(length=length, oldest_age=age)).status
    assert status == ("pass" if length <= bound and age <= most else "fail")
