# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's arithmetic and the drain's decisions, with plain data."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import drain_ledger as ledger
from ansible_collections.opsready.golive.plugins.module_utils._actions import worker_drain as drain
from ansible_collections.opsready.golive.plugins.module_utils._actions.drain_ledger import Entry, Holdings, Worker
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import Delivered, Message

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)
PAST, FUTURE = "2026-11-22T11:59:59+00:00", "2026-11-22T12:00:01+00:00"
PLACES = ["waiting", "running", "scheduled", "unacked", "parked", "finished", "lost"]

entries = st.builds(
    Entry,
    task=st.sampled_from(["a", None]),
    key=st.just("celery"),
    eta=st.sampled_from([None, PAST, FUTURE, "soon"]),
    place=st.sampled_from(PLACES),
)
ledgers = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), entries, max_size=12)
names = st.sets(st.text("abcdefgh", min_size=1, max_size=2), max_size=12)


def worker(name: str = "w1", queues: t.Sequence[str] = (), **tasks: t.Any) -> Worker:
    none: tuple[dict[str, t.Any], ...] = ()
    held = {"active": none, "reserved": none, "scheduled": none, **tasks}
    return Worker(name, tuple({"name": queue} for queue in queues), **held)


def message(task: str | None = "jobs.a", key: str = "celery", name: str = "id") -> Message:
    return Message(name, task, None, key)


@given(known=ledgers, present=names)
def test_what_is_there_is_never_missing_and_what_is_new_is_named(known: dict[str, Entry], present: set[str]) -> None:
    found = ledger.balance(known, present, NOW)
    assert not (set(found.missing) | set(found.due)) & present
    assert set(found.arrived) == present - set(known)
    open_ids = {name for name, entry in known.items() if entry.place in ("waiting", "scheduled", "unacked", "parked")}
    assert set(found.missing) | set(found.due) == open_ids - present


@given(known=ledgers, present=names)
def test_parked_nothing_finishes_unseen(known: dict[str, Entry], present: set[str]) -> None:
    now = {name: Entry("a", "celery", None, "parked") for name in present}
    places = ledger.settle(known, now, stage="parked", moment=NOW)
    assert set(places) == set(known)
    for name, entry in known.items():
        if name not in present and entry.place not in ("finished", "lost"):
            due = entry.place == "scheduled" and entry.eta != FUTURE
            assert places[name] == ("finished" if due else "lost")


@pytest.mark.parametrize(
    ("place", "stage", "expected"),
    [
        ("waiting", "resumed", "finished"),
        ("running", "resumed", "finished"),
        ("parked", "resumed", "lost"),
        ("lost", "resumed", "lost"),
        ("finished", "parked", "finished"),
        ("waiting", "parked", "lost"),
    ],
)
def test_a_message_that_is_gone(place: str, stage: str, expected: str) -> None:
    assert ledger.settle({"x": Entry("a", "celery", None, place)}, {}, stage=stage, moment=NOW) == {"x": expected}


def test_what_a_worker_says_of_a_message_counts_more_than_where_its_bytes_are() -> None:
    held = Holdings(
        waiting=(message(name="waits"),),
        unacked=(
            Delivered("t1", message(name="runs"), ("celery",), b""),
            Delivered("t2", message(name="later"), ("celery",), b""),
            Delivered("t3", message(name="orphan"), ("celery",), b""),
        ),
        parked=(message(name="aside"),),
    )
    busy = worker(
        active=({"id": "runs", "name": "jobs.a"}, {"id": "early", "name": "jobs.b"}),
        scheduled=({"id": "later", "name": "jobs.a", "eta": FUTURE},),
    )
    found = ledger.entries_of(held, [busy])
    assert {name: entry.place for name, entry in found.items()} == {
        "waits": "waiting",
        "runs": "running",
        "early": "running",
        "later": "scheduled",
        "orphan": "unacked",
        "aside": "parked",
    }
    assert found["later"].eta == FUTURE
    assert found["later"].key == "celery"
    assert found["early"].key is None
    assert held.ids() == {"waits", "runs", "later", "orphan", "aside"}


def test_what_is_lost_is_told_by_how_it_was_lost() -> None:
    died = Entry("jobs.b", None, None, "lost", is_unwitnessed=True)
    gone = Entry("jobs.a", "celery", None, "lost")
    ((with_workers, look_at_workers),) = drain._told_lost({"1": died})
    ((vanished, look_at_readers),) = drain._told_lost({"2": gone, "3": gone})
    assert "vanished" not in with_workers and "jobs.b" in with_workers
    assert "exit codes" in look_at_workers and "Who else" not in look_at_workers
    assert vanished == "2 messages vanished while no worker could take them: jobs.a."
    assert look_at_readers == "Who else reads this broker?"
    assert list(drain._told_lost({"1": died, "2": gone, "3": gone})) == [
        (with_workers, look_at_workers),
        (vanished, look_at_readers),
    ]


def test_a_task_is_summed_up_without_its_arguments() -> None:
    task = {"id": "1", "name": "jobs.a", "args": ["private"], "kwargs": {"iban": "private"}}
    assert "private" not in str(worker(active=(task,)).summary())


def test_cancelled_consumers_come_back_only_where_they_are_missing() -> None:
    cancelled = {"w1": [{"queue": "a"}, {"queue": "b"}], "gone": [{"queue": "a"}]}
    workers = [worker("w1", ["b"]), worker("w2", ["a"]), worker("w3")]
    assert drain.consumers_to_add(workers, cancelled, []) == {"w1": [{"queue": "a"}]}
    assert drain.consumers_to_add(workers, {}, ["celery"]) == {"w3": [{"queue": "celery"}]}


@pytest.mark.parametrize(
    ("workers", "to_add", "registered", "known"),
    [
        ([worker("w1", ["celery"])], {}, {"w1": {"jobs.a"}}, True),
        ([worker("w1", ["celery"])], {}, {"w1": {"jobs.b"}}, False),
        ([worker("w1", ["celery"]), worker("w2", ["celery"])], {}, {"w1": {"jobs.a"}, "w2": set()}, False),
        ([worker("w1", ["celery"]), worker("w2", ["mail"])], {}, {"w1": {"jobs.a"}, "w2": set()}, True),
        ([worker("w1"), worker("w2")], {"w1": [{"queue": "celery"}]}, {"w1": {"jobs.a"}, "w2": set()}, True),
        ([worker("w1", ["mail"])], {}, {"w1": {"jobs.a"}}, True),
        ([worker("w1", ["mail"])], {}, {}, False),
    ],
)
def test_every_worker_that_may_take_a_message_must_know_its_task(
    workers: list[Worker], to_add: t.Any, registered: t.Any, known: bool
) -> None:
    assert drain.known_tasks(workers, to_add, registered)(message()) is known
    assert drain.known_tasks(workers, to_add, registered)(message(key="celery\x06\x163")) is known
    assert drain.known_tasks(workers, to_add, registered)(message(task=None)) is False


def risky(settings: t.Mapping[str, t.Any], pool: t.Mapping[str, t.Any] | None = None, **tasks: t.Any) -> set[str]:
    return {risk["risk"] for risk in drain.worker_risks(worker(**tasks), settings, pool or {}, NOW)}


def test_risks_follow_from_the_workers_settings() -> None:
    careful = {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_soft_shutdown_timeout": 30,
        "task_time_limit": 600,
    }
    assert risky(careful) == {"not_visible"}
    assert risky({}) == {"acks_early", "no_soft_shutdown", "no_time_limit", "not_visible"}
    assert "child_killed" in risky({**careful, "task_reject_on_worker_lost": False})
    assert "solo_pool" in risky(careful, {"implementation": "celery.concurrency.solo:TaskPool"})


def test_a_task_due_after_the_visibility_timeout_may_run_twice() -> None:
    settings = {"broker_transport_options": {"visibility_timeout": 60}}
    late = ({"id": "x", "eta": "2026-11-22T12:01:01+00:00"}, {"id": "y", "eta": "no date"})
    assert "visibility_timeout" in risky(settings, scheduled=late)
    assert "visibility_timeout" not in risky({}, scheduled=late)
