# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of a drain: which messages there were, where each was seen last, and whether the balance holds.

It lies in the broker, a hash by message id, so that it outlives the controller. A broker for jobs evicts nothing, so what
is left there stays: a ledger that nothing is open in expires.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import (
    Broker,
    Delivered,
    Message,
    queue_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut, UnexpectedAnswer

#: How long the broker keeps a ledger that nothing is open in.
EXPIRES_AFTER = datetime.timedelta(days=30)

# ------------------------------------------------------------------------------------------------------- the ledger


@dataclasses.dataclass(frozen=True)
class Entry:
    """One message of the ledger: what it is, and where it was seen last."""

    task: str | None
    key: str | None
    eta: str | None
    #: waiting, running, scheduled, unacked, parked, finished, or lost
    place: str
    #: Of what is lost: its workers ended while they were drained, so nobody saw what became of it. Else it vanished.
    is_unwitnessed: bool = False


class Ledger:
    """The ledger of one release, in the broker: a hash by message id, and a hash of the drain's own state."""

    def __init__(self, broker: Broker, system: str, ledger_id: str) -> None:
        self.broker = broker
        self.name = f"opsready:{system}:ledger:{ledger_id}"
        self.state_name = f"{self.name}:state"
        self.parked_index = f"opsready:{system}:parked:{ledger_id}"

    def parked_key(self, key: str) -> str:
        """Where a list is put aside."""
        return f"{self.parked_index}:{key}"

    def state(self) -> dict[str, t.Any]:
        """What the drain remembers; {} before its first step."""
        with redis_client.asking(self.broker.server):
            stored = self.broker.client.hgetall(self.broker.key(self.state_name))
        return {redis_client.text(name): json.loads(value) for name, value in stored.items()}

    def remember(self, **values: t.Any) -> None:
        encoded = {name: json.dumps(value) for name, value in values.items()}
        with self._writing() as pipe:
            pipe.hset(self.broker.key(self.state_name), mapping=encoded)

    def entries(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        with redis_client.asking(self.broker.server):
            for field, value in self.broker.client.hscan_iter(self.broker.key(self.name), count=1000):
                found[redis_client.text(field)] = Entry(*json.loads(value))
        return found

    def write(self, entries: t.Mapping[str, Entry]) -> None:
        """Add or replace entries."""
        encoded = [(name, json.dumps(dataclasses.astuple(entry))) for name, entry in entries.items()]
        with self._writing() as pipe:
            for start in range(0, len(encoded), 1000):
                pipe.hset(self.broker.key(self.name), mapping=dict(encoded[start : start + 1000]))

    @contextlib.contextmanager
    def _writing(self) -> t.Iterator[t.Any]:
        """What is written to is open again: it no longer expires."""
        with redis_client.asking(self.broker.server):
            pipe = self.broker.client.pipeline(transaction=False)
            yield pipe
            for name in (self.name, self.state_name):
                pipe.persist(self.broker.key(name))
            pipe.execute()

    def expire(self) -> None:
        """Have the broker forget it after ``EXPIRES_AFTER``, unless it is written to again."""
        with redis_client.asking(self.broker.server):
            pipe = self.broker.client.pipeline()
            for name in (self.name, self.state_name):
                pipe.expire(self.broker.key(name), int(EXPIRES_AFTER.total_seconds()))
            pipe.execute()

    def parked_lists(self) -> list[str]:
        with redis_client.asking(self.broker.server):
            members = self.broker.client.smembers(self.broker.key(self.parked_index))
        return sorted(redis_client.text(member) for member in members)

    def parked_messages(self) -> list[Message]:
        return self.broker.messages(self.parked_lists(), self.parked_key)

    def delete(self) -> bool:
        with redis_client.asking(self.broker.server):
            keys = [self.broker.key(name) for name in (self.name, self.state_name)]
            return bool(self.broker.client.delete(*keys))


# --------------------------------------------------------------------------------------------------- what is there


@dataclasses.dataclass(frozen=True)
class Worker:
    """One worker as it answered."""

    name: str
    consumes: tuple[dict[str, t.Any], ...]
    active: tuple[dict[str, t.Any], ...]
    reserved: tuple[dict[str, t.Any], ...]
    scheduled: tuple[dict[str, t.Any], ...]

    @property
    def queues(self) -> list[str]:
        return sorted(str(queue["name"]) for queue in self.consumes)

    @property
    def is_idle(self) -> bool:
        return not self.active and not self.reserved

    def summary(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "queues": self.queues,
            "active": [task_summary(task) for task in self.active],
            "reserved": [task_summary(task) for task in self.reserved],
            "scheduled": [task_summary(task) for task in self.scheduled],
        }


def task_summary(task: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A task without its arguments, which may be anybody's business."""
    kept = {"id": task.get("id"), "task": task.get("name"), "eta": task.get("eta")}
    return {name: value for name, value in kept.items() if value is not None}


def survey(broker: Broker, expected_workers: int | None, *, may_be_none: bool = False) -> list[Worker]:
    """Every worker with what it does. Raises unless each one answers each question.

    may_be_none: between two versions no worker may run at all, whatever number is expected of those that do.
    """
    found = broker.ask("ping").answers
    if not found and (may_be_none or expected_workers == 0):
        return []
    if not found:
        raise TimedOut(
            f"No worker listens on {broker.channel!r} of {broker.server.name}.",
            remedy="Check the database number, control_exchange and fanout_prefix; if no worker is meant to run, "
            "say expected_workers: 0.",
        )
    if expected_workers is not None and len(found) != expected_workers:
        raise UnexpectedAnswer(
            f"{len(found)} workers answered, expected {expected_workers}: {', '.join(sorted(found)) or 'none'}.",
            remedy="Find out what became of the others, or correct expected_workers.",
        )
    answers = {method: broker.ask(method).answers for method in ("active_queues", "active", "reserved", "scheduled")}
    names = sorted(found)
    for method, answered in answers.items():
        if sorted(answered) != names:
            raise UnexpectedAnswer(
                f"The workers changed while they were asked: {', '.join(sorted(answered))} to {method}."
            )
        _refuse_errors(method, answered)
    return [
        Worker(
            name,
            consumes=tuple(answers["active_queues"][name]),
            active=tuple(answers["active"][name]),
            reserved=tuple(answers["reserved"][name]),
            scheduled=tuple({**item["request"], "eta": item.get("eta")} for item in answers["scheduled"][name]),
        )
        for name in names
    ]


def _refuse_errors(method: str, answered: t.Mapping[str, t.Any]) -> None:
    for worker, answer in answered.items():
        if isinstance(answer, dict) and "error" in answer:
            raise UnexpectedAnswer(f"Worker {worker} answered {method} with an error: {answer['error']}.")


@dataclasses.dataclass(frozen=True)
class Holdings:
    """Every message of our queues, by place."""

    waiting: tuple[Message, ...]
    unacked: tuple[Delivered, ...]
    parked: tuple[Message, ...]

    def ids(self) -> set[str]:
        kept = {message.id for message in self.waiting} | {message.id for message in self.parked}
        return kept | {entry.message.id for entry in self.unacked}


def holdings(broker: Broker, ledger: Ledger, queues: t.Sequence[str]) -> Holdings:
    """What the broker holds for these queues; messages of other applications in the same database are left out.

    An entry that kombu cannot return is taken for one of the first queue: left there, it would end the workers that come.
    """
    ours = set(queues)
    first = queues[0]
    held = [
        entry
        if entry.is_readable
        else dataclasses.replace(entry, keys=(first,), message=dataclasses.replace(entry.message, key=first))
        for entry in broker.delivered()
        if not entry.keys or ours & {queue_of(key) for key in entry.keys}
    ]
    lists = sorted(broker.lengths(queues))
    return Holdings(tuple(broker.messages(lists)), tuple(held), tuple(ledger.parked_messages()))


def entries_of(held: Holdings, workers: t.Sequence[Worker]) -> dict[str, Entry]:
    """A ledger entry for each message; what a worker says of it counts more than where its bytes are."""
    found: dict[str, Entry] = {}
    for entry in held.unacked:
        found[entry.message.id] = Entry(entry.message.task, entry.message.key, entry.message.eta, "unacked")
    for place, messages in (("waiting", held.waiting), ("parked", held.parked)):
        for message in messages:
            found[message.id] = Entry(message.task, message.key, message.eta, place)
    for worker in workers:
        for place, tasks in (("scheduled", worker.scheduled), ("running", (*worker.reserved, *worker.active))):
            for task in tasks:
                known = found.get(str(task["id"]))
                found[str(task["id"])] = Entry(
                    task.get("name"),
                    known.key if known else None,
                    task.get("eta") or (known.eta if known else None),
                    place,
                )
    return found


@dataclasses.dataclass(frozen=True)
class Balance:
    """How the ledger compares with the world."""

    missing: tuple[str, ...]
    #: scheduled tasks whose time came before their worker was stopped: they ran, or the worker's exit code says otherwise
    due: tuple[str, ...]
    arrived: tuple[str, ...]


def balance(entries: t.Mapping[str, Entry], present: t.Collection[str], now: datetime.datetime) -> Balance:
    """Which messages of the ledger that were still to be done are gone, and which are new. Pure."""
    open_places = ("waiting", "scheduled", "unacked", "parked")
    gone = [name for name, entry in entries.items() if entry.place in open_places and name not in present]
    due = [name for name in gone if entries[name].place == "scheduled" and _is_due(entries[name].eta, now)]
    return Balance(
        missing=tuple(sorted(set(gone) - set(due))),
        due=tuple(sorted(due)),
        arrived=tuple(sorted(set(present) - set(entries))),
    )


def _is_due(eta: str | None, now: datetime.datetime) -> bool:
    if eta is None:
        return True
    try:
        return parse_utc(eta) <= now
    except ValueError:
        return True


def settle(
    ledger: t.Mapping[str, Entry], now: t.Mapping[str, Entry], *, stage: str, moment: datetime.datetime
) -> dict[str, str]:
    """The place of every message of the ledger. Pure.

    Gone is finished, unless no worker ran that could have finished it: then it is lost.
    """
    gone = balance(ledger, now, moment)
    places: dict[str, str] = {}
    for name, entry in ledger.items():
        if name in now:
            places[name] = now[name].place
        elif entry.place in ("lost", "finished"):
            places[name] = entry.place
        elif stage in ("parked", "parking") or entry.place == "parked":
            places[name] = "finished" if name in gone.due else "lost"
        else:
            places[name] = "finished"
    return places
