# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Celery on Redis: do the workers answer, do they consume every queue, and is what waits being worked off?

Redis tells how many workers received a question, so a worker that hangs is seen, and never taken for one that is not there. Celery
writes no time into a message: the age of a waiting one is known from a header that the application adds, or, as far as it is
overdue, from its ETA, and is unknown without either.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import fnmatch
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import (
    UNACKED,
    UNACKED_INDEX,
    Broker,
    Replies,
    identity,
    queue_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import REDIS, Constraints, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, TimedOut, Unreachable
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds

NAME = "check_celery"

ARGUMENT_SPEC: Spec = compose(
    REDIS,
    {
        "workers": {"type": "list", "elements": "str"},
        "min_workers": {"type": "int", "default": 1},
        "expected_workers": {"type": "int"},
        "queues": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "min_consumers": {"type": "int", "default": 1},
                "max_length": {"type": "int"},
                "max_age": {"type": "str"},
                "stalled_after": {"type": "str"},
            },
        },
        "max_length": {"type": "int"},
        "max_age": {"type": "str"},
        "sent_header": {"type": "str", "default": "sent_at"},
        "tasks": {"type": "list", "elements": "str"},
        "sample": {"type": "int", "default": 200},
        "max_unacked": {"type": "int"},
        "max_unacked_age": {"type": "str"},
        "max_scheduled": {"type": "int"},
        "max_running_age": {"type": "str"},
        "reply_timeout": {"type": "float", "default": 3.0},
        "global_keyprefix": {"type": "str", "default": "", "no_log": False},
        "fanout_prefix": {"type": "str", "default": "/{db}."},
        "control_exchange": {"type": "str", "default": "celery"},
    },
)
CONSTRAINTS: Constraints = {}

#: What changes the workers' answer, beside server and login.
_ASKED_BY = ("global_keyprefix", "fanout_prefix", "control_exchange", "reply_timeout")
#: Messages are read in small requests, since each may carry anything.
_CHUNK = 20
_MOST_SAMPLED_BYTES = 16 * 1024 * 1024
_WATCH_INTERVAL = 0.1
_SET_CLOCKS = "Set the clocks of both by NTP."
_METHODS: dict[str, dict[str, t.Any]] = {
    "active_queues": {},
    "registered": {"builtins": True},
    "active": {},
    "reserved": {},
    "scheduled": {},
}


@dataclasses.dataclass(frozen=True)
class Worker:
    """One worker as it answered; what it did not answer is None. Ages in seconds."""

    name: str
    queues: tuple[str, ...] | None
    tasks: tuple[str, ...] | None
    active: int | None
    reserved: int | None
    scheduled: int | None
    longest_running_age: float | None
    #: How far the start of a running task lies ahead of this host's clock.
    started_ahead: float = 0.0


@dataclasses.dataclass(frozen=True)
class Queue:
    """One queue with the lists of its priorities. Ages in seconds; the oldest is 0 where nothing waits."""

    name: str
    length: int
    oldest_age: float | None
    #: header; eta: then it is at least that old; empty where nothing tells, or nothing waits
    age_from: str
    sampled: int
    waiting_tasks: dict[str, int]
    has_moved: bool | None = None
    #: How far the header of a message lies ahead of this host's clock.
    sent_ahead: float = 0.0


@dataclasses.dataclass(frozen=True)
class Facts:
    """Who works, and on what."""

    server: str
    channel: str
    listeners: int
    workers: tuple[Worker, ...]
    queues: tuple[Queue, ...]
    unacked: int
    oldest_unacked_age: float | None

    @property
    def silent(self) -> int:
        """How many workers received the question and did not answer."""
        return max(0, self.listeners - len(self.workers))


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask every worker, and read the broker's lists. Raises the errors of _core.errors."""
    for option in ("workers", "queues", "tasks"):
        if params[option] is not None and not params[option]:
            raise BadInput(f"{option} is an empty list: nothing would be judged.")
    watched = {
        queue["name"]: span_seconds(queue["stalled_after"], option=f"stalled_after of queue {queue['name']}")
        for queue in params["queues"] or []
        if queue["stalled_after"]
    }
    _limits(params)
    named = [queue["name"] for queue in params["queues"] or []]
    if len(set(named)) < len(named):
        raise BadInput("queues names a queue twice.")
    server = redis_client.parsed(params["url"])
    login = {name: params[name] for name in ("username", "password", "ca_file")}
    target = redis_client.target(params["url"], **login)
    lender = run.once(target, lambda: redis_client.Lender(server, **login))

    def survey() -> tuple[int, tuple[Worker, ...]]:
        with lender.lent(deadline=run.deadline) as client:
            return _survey(_broker(client, server, params, run), run)

    listeners, workers = run.once((*target, "workers", *(params[name] for name in _ASKED_BY)), survey)
    with lender.lent(deadline=run.deadline) as client:
        broker = _broker(client, server, params, run)
        if not listeners and params["expected_workers"] != 0:
            raise Unreachable(
                f"No worker listens on {broker.channel!r} of {server.name}.",
                remedy="Start the workers, or correct the database number, control_exchange and fanout_prefix; if no worker "
                "is meant to run, say expected_workers: 0.",
            )
        consumed = {queue for worker in workers for queue in worker.queues or ()}
        heads = {name: _heads(broker, name) for name in watched}
        now = run.clock.now()
        queues = [_queue(broker, name, params, now) for name in sorted({*named, *consumed})]
        moved = _watched(broker, watched, heads, run)
        unacked, oldest = _unacked(broker, now)
    return Facts(
        server=server.name,
        channel=broker.channel,
        listeners=listeners,
        workers=workers,
        queues=tuple(dataclasses.replace(queue, has_moved=moved.get(queue.name)) for queue in queues),
        unacked=unacked,
        oldest_unacked_age=oldest,
    )


def _broker(client: t.Any, server: redis_client.Server, params: t.Mapping[str, t.Any], run: Run) -> Broker:
    return Broker(
        client,
        server,
        deadline=run.deadline,
        reply_seconds=params["reply_timeout"],
        global_keyprefix=params["global_keyprefix"],
        fanout_prefix=params["fanout_prefix"],
        control_exchange=params["control_exchange"],
    )


def _limits(params: t.Mapping[str, t.Any]) -> dict[str, float]:
    """Every span among the options, in seconds. Raises BadInput."""
    spans = {option: params[option] for option in ("max_age", "max_unacked_age", "max_running_age")}
    for queue in params["queues"] or []:
        spans[f"max_age of queue {queue['name']}"] = queue["max_age"]
    return {option: span_seconds(text, option=option) for option, text in spans.items() if text is not None}


# ------------------------------------------------------------------------------------------------------------ workers


def _survey(broker: Broker, run: Run) -> tuple[int, tuple[Worker, ...]]:
    """How many workers listen, and those that answered. Raises TimedOut where it was this item's limit that ended."""
    with run.trace():  # the keys that wait for the answers
        return _asked(broker, run)


def _asked(broker: Broker, run: Run) -> tuple[int, tuple[Worker, ...]]:
    pinged = broker.heard("ping")
    names = sorted(pinged.answers)
    answers: dict[str, dict[str, t.Any]] = {}
    talking = names
    for method, arguments in _METHODS.items():
        if talking:
            replies = broker.heard(method, arguments, talking)
            answers[method] = _without_errors(replies)
            talking = sorted(replies.answers)  # one that fell silent is not waited for again
    if len(names) < pinged.expected and run.deadline.expired():
        raise TimedOut(f"{len(names)} of {pinged.expected} workers answered within {run.deadline.seconds:g} s.")
    now = run.clock.now().timestamp()
    return pinged.expected, tuple(_worker(name, answers, now) for name in names)


def _without_errors(replies: Replies) -> dict[str, list[t.Any]]:
    return {name: answer for name, answer in replies.answers.items() if isinstance(answer, list)}


def _worker(name: str, answers: t.Mapping[str, t.Mapping[str, t.Any]], now: float) -> Worker:
    told = {method: answers.get(method, {}).get(name) for method in _METHODS}

    def count(method: str) -> int | None:
        answer = told[method]
        return None if answer is None else len(answer)

    ages = [
        now - task["time_start"] for task in told["active"] or () if isinstance(task.get("time_start"), (int, float))
    ]
    return Worker(
        name=name,
        queues=None if told["active_queues"] is None else tuple(sorted(str(q["name"]) for q in told["active_queues"])),
        # A task with a rate limit or a route of its own is told as "name [rate_limit=10/s]".
        tasks=None
        if told["registered"] is None
        else tuple(sorted(str(n).partition(" [")[0] for n in told["registered"])),
        active=count("active"),
        reserved=count("reserved"),
        scheduled=count("scheduled"),
        longest_running_age=None if told["active"] is None else max([0.0, *ages]),
        started_ahead=-min([0.0, *ages]),
    )


# ----------------------------------------------------------------------------------------------------------- messages


def _queue(broker: Broker, name: str, params: t.Mapping[str, t.Any], now: datetime.datetime) -> Queue:
    lengths = broker.lengths([name])
    tasks: collections.Counter[str] = collections.Counter()
    ages: list[float] = []
    sampled, budget = 0, _MOST_SAMPLED_BYTES
    sources: set[str] = set()
    for key in lengths:
        is_first = True
        for raw in _oldest(broker, key, params["sample"], budget):
            budget -= len(raw)
            sampled += 1
            message = identity(raw, key)
            tasks[message.task or "unreadable"] += 1
            age, source = _age(raw, message.eta, params["sent_header"], now)
            ages.append(age)
            if is_first:  # what lies behind it came later, and may say what it likes
                sources.add(source)
            is_first = False
    return Queue(
        name=name,
        length=sum(lengths.values()),
        oldest_age=None if "" in sources else max([0.0, *ages]),
        age_from="eta" if "eta" in sources else "header" if sources else "",
        sampled=sampled,
        waiting_tasks=dict(tasks.most_common(50)),
        sent_ahead=-min([0.0, *ages]),
    )


def _oldest(broker: Broker, key: str, most: int, most_bytes: int) -> t.Iterator[bytes]:
    """The messages that are consumed next, up to a number and a size."""
    position = 0
    while position < most and most_bytes > 0:
        broker.deadline.require(f"Reading queue {queue_of(key)}")
        wanted = min(_CHUNK, most - position)
        with redis_client.asking(broker.server):
            chunk = broker.client.lrange(broker.key(key), -position - wanted, -position - 1)
        yield from reversed(chunk)
        most_bytes -= sum(map(len, chunk))
        position += wanted
        if len(chunk) < wanted:
            return


def _age(raw: bytes, eta: str | None, sent_header: str, now: datetime.datetime) -> tuple[float, str]:
    """Seconds that a message has waited, negative by a clock that is ahead, and how that is known: by nothing where it is empty."""
    try:
        sent = (foreign_json.read(raw).get("headers") or {}).get(sent_header)
    except (ValueError, AttributeError):
        sent = None
    moment = _moment(sent)
    if moment is not None:
        return (now - moment).total_seconds(), "header"
    due = _moment(eta)
    if due is not None and due <= now:
        return (now - due).total_seconds(), "eta"
    return 0.0, ""


def _moment(value: t.Any) -> datetime.datetime | None:
    """Seconds since the epoch, or RFC 3339; None for anything else."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
        return parse_utc(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _heads(broker: Broker, name: str) -> dict[str, bytes]:
    """The message that is consumed next, by list."""
    found = {}
    for key in broker.lengths([name]):
        for raw in _oldest(broker, key, 1, 1):
            found[key] = raw
    return found


def _watched(
    broker: Broker, watched: t.Mapping[str, float], heads: t.Mapping[str, dict[str, bytes]], run: Run
) -> dict[str, bool | None]:
    """Whether the next message of each queue was taken within its span; None where our own time ended before."""
    began = run.clock.monotonic()
    moved: dict[str, bool | None] = {name: True for name in watched if not heads[name]}
    while len(moved) < len(watched):
        waited = run.clock.monotonic() - began
        for name, span in watched.items():
            if name in moved:
                continue
            if any(_heads(broker, name).get(key) != raw for key, raw in heads[name].items()):
                moved[name] = True
            elif waited >= span:
                moved[name] = False
            elif run.deadline.remaining() <= _WATCH_INTERVAL:
                moved[name] = None
        run.clock.sleep(min(_WATCH_INTERVAL, run.deadline.remaining()))
    return moved


def _unacked(broker: Broker, now: datetime.datetime) -> tuple[int, float | None]:
    """How many messages workers hold unacknowledged, and for how long the first of them, negative by a clock that is ahead."""
    with redis_client.asking(broker.server):
        pipe = broker.client.pipeline(transaction=True)
        pipe.hlen(broker.key(UNACKED))
        pipe.zrange(broker.key(UNACKED_INDEX), 0, 0, withscores=True)
        count, first = pipe.execute()
    if not count:
        return 0, 0.0
    return int(count), now.timestamp() - float(first[0][1]) if first else None


# ------------------------------------------------------------------------------------------------------------ judging


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Workers, then each queue, then what is under way; pure."""
    limits = _limits(params)
    yield from _judge_workers(facts, params)
    for task in dict.fromkeys(params["tasks"] or []):
        yield _judge_task(task, facts)
    wanted = {queue["name"]: queue for queue in params["queues"] or []}
    for queue in facts.queues:
        yield from _judge_queue(queue, wanted.get(queue.name), facts, params, limits)
    if params["max_unacked"] is not None:
        yield at_most(
            "unacknowledged messages",
            facts.unacked,
            params["max_unacked"],
            remedy="Workers hold them: see what they are at, and whether one was killed.",
        )
    if params["max_unacked_age"] is not None:
        yield _judge_unacked_age(facts.oldest_unacked_age, limits["max_unacked_age"])
    if params["max_scheduled"] is not None:
        yield _judge_sum("scheduled tasks", facts, "scheduled", params["max_scheduled"])
    if params["max_running_age"] is not None:
        yield _judge_running(facts, limits["max_running_age"])


def _judge_unacked_age(age: float | None, bound: float) -> Criterion:
    name = "age of the oldest unacknowledged message"
    if age is not None and _is_too_far_ahead(-age, bound):
        return unknown(
            name,
            f"{name} is unknown: the clock of a worker is ahead, as it took the message {-age:.0f} s after what this host's clock shows",
            remedy=_SET_CLOCKS,
        )
    return at_most(
        name,
        None if age is None else max(0.0, age),
        bound,
        unit="s",
        remedy="A worker that was killed keeps its messages until visibility_timeout; worker_drain takes them back.",
    )


def _judge_workers(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    answered = len(facts.workers)
    named = f": {', '.join(worker.name for worker in facts.workers)}" if facts.workers else ""
    if facts.silent:
        yield unknown(
            "answers of workers",
            f"{answered} of {facts.listeners} workers answered{named}",
            remedy="A worker of the solo pool answers nothing while a task runs; another may hang or be starting.",
        )
    expected = params["expected_workers"]
    if expected is not None:
        yield holds(
            "workers",
            facts.listeners == expected,
            measured=facts.listeners,
            expected=f"exactly {expected}",
            sentence=f"{facts.listeners} workers listen, expected {expected}{named}",
            remedy="Find out what became of the others, or correct expected_workers.",
        )
    else:
        yield at_least("workers", facts.listeners, params["min_workers"], remedy="Start the missing workers.")
    for pattern in dict.fromkeys(params["workers"] or []):
        yield _judge_named(pattern, facts)
    for worker in facts.workers:
        parts = {"queues": worker.queues, "tasks": worker.tasks, "running tasks": worker.active}
        missing = [name for name, value in parts.items() if value is None]
        if missing:
            yield unknown(f"answers of {worker.name}", f"worker {worker.name} did not tell its {', '.join(missing)}")


def _judge_named(pattern: str, facts: Facts) -> Criterion:
    found = [worker.name for worker in facts.workers if fnmatch.fnmatchcase(worker.name, pattern)]
    if not found and facts.silent:
        return unknown(f"worker {pattern}", f"worker {pattern} is not among those that answered")
    return holds(
        f"worker {pattern}",
        bool(found),
        measured=", ".join(found) or "absent",
        expected="present",
        sentence=f"no worker is named {pattern}",
        remedy="Start it, or correct its name: -n on its command line, and the host's name behind the @.",
    )


def _judge_task(task: str, facts: Facts) -> Criterion:
    knowing = [worker.name for worker in facts.workers if task in (worker.tasks or ())]
    if not knowing and (facts.silent or any(worker.tasks is None for worker in facts.workers)):
        return unknown(f"task {task}", f"task {task} is known to no worker that told its tasks")
    return holds(
        f"task {task}",
        bool(knowing),
        measured=", ".join(knowing) or "unregistered",
        expected="registered",
        sentence=f"task {task} is registered in no worker",
        remedy="Add its module to the application's imports, or start the worker with the new code.",
    )


def _judge_queue(
    queue: Queue,
    wanted: t.Mapping[str, t.Any] | None,
    facts: Facts,
    params: t.Mapping[str, t.Any],
    limits: t.Mapping[str, float],
) -> t.Iterator[Criterion]:
    label = f"queue {queue.name}"
    consumers = [worker for worker in facts.workers if queue.name in (worker.queues or ())]
    if wanted is not None:
        yield _judge_consumers(queue.name, consumers, wanted["min_consumers"], facts)
    length = wanted["max_length"] if wanted and wanted["max_length"] is not None else params["max_length"]
    if length is not None:
        yield at_most(
            f"length of {label}",
            queue.length,
            length,
            unit="messages",
            remedy="Start workers for it, or find out why they do not keep up.",
        )
    age = limits.get(f"max_age of {label}", limits.get("max_age"))
    if age is not None:
        yield _judge_age(queue, age, params["sent_header"])
    if wanted and wanted["stalled_after"]:
        yield holds(
            f"progress of {label}",
            queue.has_moved,
            measured="moving" if queue.has_moved else "stalled",
            expected="moving",
            sentence=f"{label} holds {queue.length} messages and its next one was not taken"
            + (f" within {wanted['stalled_after']}" if queue.has_moved is False else " while there was time to watch"),
            remedy="Its workers are busy, stuck, or do not consume it: see what they run.",
        )
    yield from _judge_waiting_tasks(queue, consumers, facts)


def _judge_consumers(name: str, consumers: t.Sequence[Worker], least: int, facts: Facts) -> Criterion:
    label = f"consumers of queue {name}"
    if len(consumers) < least and (facts.silent or any(worker.queues is None for worker in facts.workers)):
        return unknown(label, f"{label} are {len(consumers)} of those that answered, expected at least {least}")
    return at_least(label, len(consumers), least, remedy=f"Start a worker with -Q {name}.")


def _is_too_far_ahead(ahead: float, bound: float) -> bool:
    """A clock that is ahead hides as much of an age, so it may be no further than the age that is allowed."""
    return ahead > min(CLOCKS_DIFFER, bound)


def _judge_age(queue: Queue, bound: float, sent_header: str) -> Criterion:
    label = f"age of the oldest message in queue {queue.name}"
    if queue.oldest_age is None:
        return unknown(
            label,
            f"{label} is unknown: {queue.length} wait, and the oldest carries no {sent_header}",
            remedy="Celery writes no time into a message: add one in before_task_publish "
            f"(headers['{sent_header}'] = time.time()), or use stalled_after.",
        )
    if queue.age_from == "eta" and queue.oldest_age <= bound:
        return unknown(label, f"{label} is only known to be at least {plain(queue.oldest_age)} s, by its ETA")
    if queue.oldest_age <= bound and _is_too_far_ahead(queue.sent_ahead, bound):
        return unknown(
            label,
            f"{label} is unknown: the clock of a producer is ahead, as it says that a message was sent {queue.sent_ahead:.0f} s "
            "after what this host's clock shows",
            remedy=_SET_CLOCKS,
        )
    return at_most(
        label, queue.oldest_age, bound, unit="s", remedy="Start workers for it, or find out why they do not keep up."
    )


def _judge_waiting_tasks(queue: Queue, consumers: t.Sequence[Worker], facts: Facts) -> t.Iterator[Criterion]:
    """A worker throws a message away whose task it does not know."""
    label = f"waiting tasks of queue {queue.name}"
    if not consumers or any(worker.tasks is None for worker in consumers):
        return
    blind = {
        task: sorted(worker.name for worker in consumers if task not in (worker.tasks or ()))
        for task in queue.waiting_tasks
        if task != "unreadable"
    }
    lost = {task: names for task, names in blind.items() if names}
    if lost:
        told = ", ".join(f"{queue.waiting_tasks[task]} {task} unknown to {plain(lost[task])}" for task in sorted(lost))
        yield holds(
            label,
            False,
            measured=told,
            expected="known to every worker that consumes them",
            sentence=f"queue {queue.name} holds messages that are thrown away when consumed: {told}",
            remedy="Start those workers with code that knows these tasks, before they come to them.",
        )
    if "unreadable" in queue.waiting_tasks:
        count = queue.waiting_tasks["unreadable"]
        yield unknown(
            f"messages of queue {queue.name}", f"queue {queue.name} holds {count} messages that cannot be read"
        )


def _judge_sum(name: str, facts: Facts, field: str, bound: int) -> Criterion:
    values = [getattr(worker, field) for worker in facts.workers]
    known = sum(value or 0 for value in values)
    if known <= bound and (facts.silent or None in values):
        return unknown(name, f"{name} are {known} in those workers that told, expected at most {bound}")
    return at_most(name, known, bound)


def _judge_running(facts: Facts, bound: float) -> Criterion:
    name = "age of the longest running task"
    values = [worker.longest_running_age for worker in facts.workers]
    longest = round(max((value for value in values if value is not None), default=0.0), 1)
    if longest <= bound and (facts.silent or None in values):
        return unknown(name, f"{name} is {plain(longest)} s in those workers that told")
    ahead = [worker for worker in facts.workers if _is_too_far_ahead(worker.started_ahead, bound)]
    if longest <= bound and ahead:
        return unknown(
            name,
            f"{name} is unknown: the clock of {ahead[0].name} is ahead, as a task of it began {ahead[0].started_ahead:.0f} s "
            "after what this host's clock shows",
            remedy=_SET_CLOCKS,
        )
    return at_most(name, longest, bound, unit="s", remedy="See what it waits for; give the task a time_limit.")


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON; of each worker how many tasks it knows, not which."""
    seen = dataclasses.asdict(facts)
    for worker in seen["workers"]:
        worker["tasks"] = None if worker["tasks"] is None else len(worker["tasks"])
    return {**seen, "silent": facts.silent}
