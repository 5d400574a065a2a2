# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Celery workers on Redis: quiet them, drain them, put what waits aside, bring it back, and prove that nothing was lost.

The proof is a ledger of message ids, kept in the broker itself so that it outlives the controller. While no worker runs,
the ids that wait or are parked must be those that were there when the workers were drained.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.drain_ledger import (
    Balance,
    Entry,
    Ledger,
    Worker,
    balance,
    entries_of,
    holdings,
    settle,
    survey,
    task_summary,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import (
    UNACKED,
    UNACKED_INDEX,
    Broker,
    Delivered,
    Message,
    lists_of,
    queue_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing, foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import (
    REDIS,
    RELEASE,
    Constraints,
    Spec,
    compose,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import (
    CLOCK,
    Deadline,
    parse_utc,
    poll,
    utc_text,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Ended,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context

Result = t.Dict[str, t.Any]
#: What workers consumed, by worker: the arguments of add_consumer.
Cancelled = t.Dict[str, t.List[t.Dict[str, t.Any]]]

STATES = ["status", "quieted", "drained", "parked", "resumed", "settled", "forgotten"]

ARGUMENT_SPEC: Spec = compose(
    REDIS,
    RELEASE,
    {
        "state": {"type": "str", "choices": STATES, "default": "status"},
        "queues": {"type": "list", "elements": "str", "default": ["celery"]},
        "expected_workers": {"type": "int"},
        "min_workers": {"type": "int", "default": 1},
        "timeout": {"type": "float", "default": 300.0},
        "reply_timeout": {"type": "float", "default": 5.0},
        "on_timeout": {"type": "str", "choices": ["resume_and_fail", "fail"], "default": "resume_and_fail"},
        "on_stuck": {"type": "str", "choices": ["fail", "leave"], "default": "fail"},
        "fail_on_unregistered": {"type": "bool", "default": False},
        "accept_lost": {"type": "bool", "default": False},
        "system": {"type": "str"},
        "ledger_id": {"type": "str"},
        "results_db": {"type": "int"},
        "global_keyprefix": {"type": "str", "default": "", "no_log": False},
        "fanout_prefix": {"type": "str", "default": "/{db}."},
        "control_exchange": {"type": "str", "default": "celery"},
        "priority_steps": {"type": "list", "elements": "int", "default": [0, 3, 6, 9]},
    },
)
CONSTRAINTS: Constraints = {}

#: Celery waits this long in one BRPOP, so a pop that was under way when a consumer was cancelled has ended after it.
POP_SECONDS = 1.5
#: How long the broker may take to see that a worker's connection is gone.
GONE_SECONDS = 2.0
#: Ids listed in a result; the counts are always whole.
LISTED = 500
#: The task of a message that cannot be read.
_UNREADABLE = "unreadable"
#: Messages named in a sentence.
_TOLD = 5
#: Stages of a state that was cut short, by that state: what it had done by then stands nowhere.
_CUT_SHORT = {"draining": "drained", "resuming": "resumed"}
_CHANGING = ("quieted", "drained", "parked", "resumed", "forgotten")
_RISKY_SETTINGS = (
    "task_acks_late",
    "task_acks_on_failure_or_timeout",
    "task_reject_on_worker_lost",
    "task_time_limit",
    "task_soft_time_limit",
    "worker_prefetch_multiplier",
    "worker_soft_shutdown_timeout",
    "worker_enable_soft_shutdown_on_idle",
)


# --------------------------------------------------------------------------------------------------------- the module


@dataclasses.dataclass(frozen=True)
class Drain:
    """What every state works with."""

    broker: Broker
    ledger: Ledger
    params: t.Mapping[str, t.Any]
    context: Context
    deadline: Deadline

    @property
    def check_mode(self) -> bool:
        return self.context.check_mode

    def queues(self, workers: t.Sequence[Worker] = ()) -> list[str]:
        """The queues named by the user, those remembered, and those that workers consume."""
        remembered = self.ledger.state().get("queues", [])
        consumed = [queue for worker in workers for queue in worker.queues]
        return sorted({*self.params["queues"], *remembered, *consumed})


def body(context: Context) -> Result:
    """One state of the drain. Raises the error family; nothing that can be undone is left half done."""
    params = context.params
    if not params["queues"]:
        raise BadInput("queues is an empty list: nothing would be looked at.")
    if not params["priority_steps"] or min(params["priority_steps"]) != 0:
        raise BadInput("priority_steps must begin with 0, as kombu's do.")
    if params["min_workers"] < 1:
        raise BadInput("min_workers must be at least 1: without a worker it cannot be told which tasks it knows.")
    state = params["state"]
    token = fencing.Token.parse(params["release"]) if params["release"] else None
    system = params["system"] or (token.system if token else "default")
    ledger_id = params["ledger_id"] or (token.release if token else None)
    if ledger_id is None and state == "status":
        ledger_id = "none"
    if ledger_id is None:
        raise BadInput("ledger_id is required without a release: it names the ledger that is written.")
    server = redis_client.parsed(params["url"])
    deadline = Deadline(params["timeout"])
    lock = params["release"] if state in _CHANGING and not context.check_mode else None
    with fencing.held(lock, doing=f"worker_drain {state}"):
        client = redis_client.connect(
            server,
            deadline=deadline,
            username=params["username"],
            password=params["password"],
            ca_file=params["ca_file"],
            longest_seconds=max(10.0, params["reply_timeout"] + 5.0),
        )
        try:
            broker = Broker(
                client,
                server,
                deadline=deadline,
                reply_seconds=params["reply_timeout"],
                global_keyprefix=params["global_keyprefix"],
                fanout_prefix=params["fanout_prefix"],
                control_exchange=params["control_exchange"],
                priority_steps=params["priority_steps"],
            )
            drain = Drain(broker, Ledger(broker, system, ledger_id), params, context, deadline)
            if token is not None:
                _refuse_stale(drain, token, is_writing=lock is not None)
            return {"state": state, **_STATES[state](drain)}
        finally:
            client.close()


def _refuse_stale(drain: Drain, token: fencing.Token, *, is_writing: bool) -> None:
    seen = int(drain.ledger.state().get("token_number", 0))
    if seen > token.number:
        raise Refused(
            f"The token of release {token.release} is stale: token {seen} has worked on this ledger.",
            remedy="Read `status`; this run must end.",
        )
    if is_writing and drain.params["state"] != "forgotten" and seen != token.number:
        drain.ledger.remember(token_number=token.number)


def _difference(before: t.Any, after: t.Any) -> Result:
    """``changed`` and ``diff`` of the same comparison."""
    return {"changed": before != after, "diff": {"before": before, "after": after}}


def _listed(names: t.Iterable[str]) -> list[str]:
    return sorted(names)[:LISTED]


# ------------------------------------------------------------------------------------------------------------- status


def status(drain: Drain) -> Result:
    """Workers, queues and risks; changes nothing."""
    workers = survey(drain.broker, drain.params["expected_workers"])
    queues = drain.queues(workers)
    held = holdings(drain.broker, drain.ledger, queues)
    by_task: dict[str, int] = {}
    for message in held.waiting:
        by_task[message.task or _UNREADABLE] = by_task.get(message.task or _UNREADABLE, 0) + 1
    return {
        "changed": False,
        "workers": [worker.summary() for worker in workers],
        "queues": _by_queue(drain.broker.lengths(queues)),
        "waiting": len(held.waiting),
        "waiting_by_task": dict(sorted(by_task.items())),
        "unacked": len(held.unacked),
        "parked": len(held.parked),
        "stage": drain.ledger.state().get("stage", "none"),
        "risks": risks(drain.broker, workers, drain.context),
    }


def _by_queue(lengths: t.Mapping[str, int]) -> dict[str, int]:
    summed: dict[str, int] = {}
    for key, length in sorted(lengths.items()):
        summed[queue_of(key)] = summed.get(queue_of(key), 0) + length
    return summed


def risks(broker: Broker, workers: t.Sequence[Worker], context: Context) -> list[dict[str, t.Any]]:
    """What could lose or repeat a task in this drain, by worker, from what each says of its configuration."""
    found: list[dict[str, t.Any]] = []
    if workers:
        configurations = broker.ask("conf", {"with_defaults": True}).answers
        pools = broker.ask("stats").answers
        now = CLOCK.now()
        for worker in workers:
            settings = configurations.get(worker.name) or {}
            pool = (pools.get(worker.name) or {}).get("pool") or {}
            found.extend({"worker": worker.name, **risk} for risk in worker_risks(worker, settings, pool, now))
    with redis_client.asking(broker.server):
        info = broker.client.info("everything")
    if not info.get("aof_enabled"):
        text = "The broker writes no append-only file: a crash loses messages and the ledger."
        found.append({"worker": None, "risk": "persistence", "text": text})
    if str(info.get("maxmemory_policy")) != "noeviction":
        text = f"The broker may evict messages (maxmemory-policy {info.get('maxmemory_policy')})."
        found.append({"worker": None, "risk": "eviction", "text": text})
    return found


def worker_risks(
    worker: Worker, settings: t.Mapping[str, t.Any], pool: t.Mapping[str, t.Any], now: datetime.datetime
) -> t.Iterator[dict[str, t.Any]]:
    """Pure: one worker's settings, read for what they mean at a stop."""
    seen = {name: settings[name] for name in _RISKY_SETTINGS if name in settings}
    if not settings.get("task_acks_late"):
        yield {
            "risk": "acks_early",
            "text": "Tasks are acknowledged before they run: one that is killed is gone (task_acks_late is false).",
            "settings": seen,
        }
    elif not settings.get("task_reject_on_worker_lost"):
        yield {
            "risk": "child_killed",
            "text": "A task whose pool process is killed is acknowledged (task_reject_on_worker_lost is false).",
            "settings": seen,
        }
    if not settings.get("worker_soft_shutdown_timeout"):
        yield {
            "risk": "no_soft_shutdown",
            "text": "A second signal ends running tasks at once (worker_soft_shutdown_timeout is 0).",
        }
    if settings.get("task_time_limit") is None:
        yield {"risk": "no_time_limit", "text": "A task may run for any time (task_time_limit is not set)."}
    implementation = str(pool.get("implementation", ""))
    if "solo" in implementation:
        yield {"risk": "solo_pool", "text": "A worker of the solo pool answers nothing while a task runs."}
    options = settings.get("broker_transport_options") or {}
    visibility = float(options.get("visibility_timeout") or 3600)
    for task in worker.scheduled:
        try:
            ahead = (parse_utc(str(task.get("eta"))) - now).total_seconds()
        except ValueError:
            continue
        if ahead > visibility:
            yield {
                "risk": "visibility_timeout",
                "text": f"Task {task.get('id')} is due in {ahead:.0f} s, after the visibility timeout of "
                f"{visibility:g} s: it is delivered again and may run twice.",
            }
    yield {
        "risk": "not_visible",
        "text": "Whether REMAP_SIGTERM makes TERM a cold shutdown, and how long the process manager waits before it "
        "kills, cannot be seen over the wire.",
    }


# ------------------------------------------------------------------------------------------------------------ quieted


def quieted(drain: Drain) -> Result:
    """No worker takes a new message."""
    workers = survey(drain.broker, drain.params["expected_workers"])
    before = {worker.name: worker.queues for worker in workers}
    after: dict[str, list[str]] = {worker.name: [] for worker in workers}
    result = {**_difference({"consuming": before}, {"consuming": after}), "workers": [w.summary() for w in workers]}
    if not drain.check_mode:
        _quiet(drain, workers)
        if drain.ledger.state().get("stage") not in ("drained", "parked"):
            drain.ledger.remember(stage="quieted")
    return result


def _quiet(drain: Drain, workers: t.Sequence[Worker]) -> Cancelled:
    """Cancel every consumer, and prove it; what was cancelled is remembered first. On failure it is undone."""
    cancelled: Cancelled = drain.ledger.state().get("cancelled", {})
    for worker in workers:
        if worker.consumes:
            cancelled[worker.name] = [_consumer(queue) for queue in worker.consumes]
    drain.ledger.remember(cancelled=cancelled, queues=drain.queues(workers))
    try:
        for queue in sorted({name for worker in workers for name in worker.queues}):
            consumers = [worker.name for worker in workers if queue in worker.queues]
            drain.broker.ask("cancel_consumer", {"queue": queue}, consumers)
        if workers:
            _await_quiet(drain, len(workers))
    except (GoliveError, Ended) as problem:
        left = _undo_quiet(drain, cancelled)
        raise ActionFailed(
            f"The workers could not be quieted: {problem.message}",
            remedy=problem.remedy,
            known={**problem.known, "changed": bool(left), "resumed": not left, "left_quiet": left},
        )
    return cancelled


def _consumer(queue: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    exchange = queue.get("exchange") or {}
    return {
        "queue": queue["name"],
        "exchange": exchange.get("name"),
        "exchange_type": exchange.get("type"),
        "routing_key": queue.get("routing_key"),
    }


def _await_quiet(drain: Drain, count: int) -> None:
    """Wait until no worker consumes, and until no pop that was under way can still take a message."""
    broker = drain.broker
    since = CLOCK.monotonic()

    def attempt() -> tuple[list[str], int | None]:
        answers = broker.ask("active_queues").answers
        if len(answers) != count:
            raise UnexpectedAnswer(f"{len(answers)} of {count} workers are left.", remedy="Find out what ended them.")
        return sorted(name for name, queues in answers.items() if queues), broker.blocked_pops()

    def good(seen: tuple[list[str], int | None]) -> bool:
        # Another application may wait in this database for ever; a pop of ours cannot.
        return not seen[0] and (seen[1] == 0 or CLOCK.monotonic() - since > POP_SECONDS)

    poll(
        attempt,
        good=good,
        deadline=drain.deadline,
        describe=lambda seen, _row: f"Still consuming: {', '.join((seen or ([], 0))[0]) or 'a pop under way'}",
        consecutive=2,
    )


def _undo_quiet(drain: Drain, cancelled: Cancelled) -> list[str]:
    """Consume again after a failure; that must not depend on what is left of the deadline."""
    drain.broker.deadline = Deadline(10.0 + drain.params["reply_timeout"])
    _await_last_pop(drain)
    left = _resume_consumers(drain, cancelled)
    if not left:
        with contextlib.suppress(GoliveError):  # the failure that brought us here is the one to report
            drain.ledger.remember(stage="none", cancelled={})
            _expire_closed(drain)
    return left


def _await_last_pop(drain: Drain) -> None:
    """A worker that is told to consume again within the pop in which it was told to stop may never pop again."""
    since = CLOCK.monotonic()
    with contextlib.suppress(GoliveError):  # a broker that does not answer is met, and told, by whoever asks it next
        poll(
            drain.broker.blocked_pops,
            good=lambda pops: pops == 0 or CLOCK.monotonic() - since > POP_SECONDS,
            deadline=drain.broker.deadline,
            describe=lambda pops, _row: f"{pops} pops were under way",
            interval=0.05,
        )


def _resume_consumers(drain: Drain, cancelled: Cancelled) -> list[str]:
    """Tell workers to consume again what was cancelled; returns the workers that did not confirm it."""
    left: set[str] = set()
    for worker, consumers in sorted(cancelled.items()):
        for consumer in consumers:
            try:
                drain.broker.ask("add_consumer", consumer, [worker])
            except GoliveError:
                left.add(worker)
    return sorted(left)


# ------------------------------------------------------------------------------------------------------------ drained


def drained(drain: Drain) -> Result:
    """Quieted, nothing is running or reserved, and the ledger is written."""
    workers = survey(drain.broker, drain.params["expected_workers"])
    stage = drain.ledger.state().get("stage", "none")
    consuming = {worker.name: worker.queues for worker in workers}
    idle = not any(worker.queues or not worker.is_idle for worker in workers)
    queues = drain.queues(workers)
    load = {"before": _load(drain, queues, workers)}
    seen = entries_of(holdings(drain.broker, drain.ledger, queues), workers)
    is_done = idle and stage == "drained" and set(seen) <= set(drain.ledger.entries())
    before = {"consuming": consuming, "stage": stage}
    after: dict[str, t.Any] = {"consuming": {name: [] for name in consuming}, "stage": "drained"}
    if is_done:
        after = before
    result = _difference(before, after)
    if drain.check_mode or is_done:
        return {**result, "workers": [w.summary() for w in workers], "load": load, "ledger": _counts(seen)}
    began = CLOCK.monotonic()
    dangers = risks(drain.broker, workers, drain.context)
    cancelled = _quiet(drain, workers)
    workers, at_quiet = _await_idle(drain, workers, cancelled, queues=queues)
    final = _settled_holdings(drain, queues, workers)
    gone = {name: entry for name, entry in drain.ledger.entries().items() if name not in final}
    unwitnessed = {name: e for name, e in gone.items() if not workers and e.place not in ("finished", "lost")}
    # Of a drain that its workers did not survive, nobody can say whether what they ran came to its end.
    lost = unwitnessed if stage == "draining" else {}
    lost = {name: dataclasses.replace(e, place="lost", is_unwitnessed=True) for name, e in lost.items()}
    finished = {name: e for name, e in gone.items() if name not in lost and e.place != "lost"}
    drain.ledger.write({**{name: dataclasses.replace(e, place="finished") for name, e in finished.items()}, **lost})
    drain.ledger.write(final)
    drain.ledger.remember(stage="drained", drained_at=utc_text(CLOCK.now()))
    result = {
        **result,
        "workers": [worker.summary() for worker in workers],
        "load": {**load, "after": _load(drain, queues, workers)},
        "ledger": _counts(final),
        "finished_while_draining": len(set(at_quiet) - set(final)),
        "unwitnessed": _listed(unwitnessed),
        "lost": [],
        "drained_seconds": round(CLOCK.monotonic() - began, 3),
        "risks": dangers,
    }
    _fail_on_lost(drain, lost, result)
    return result


def _load(drain: Drain, queues: t.Sequence[str], workers: t.Sequence[Worker]) -> Result:
    """What waits and what is worked on, as numbers by queue and by worker."""
    with redis_client.asking(drain.broker.server):
        unacked = drain.broker.client.hlen(drain.broker.key(UNACKED))
    return {
        "queues": _by_queue(drain.broker.lengths(queues)),
        "unacked": unacked,
        "workers": {
            worker.name: {
                "active": len(worker.active),
                "reserved": len(worker.reserved),
                "scheduled": len(worker.scheduled),
            }
            for worker in workers
        },
    }


def _counts(entries: t.Mapping[str, Entry]) -> dict[str, int]:
    counted = {"total": len(entries)}
    for entry in entries.values():
        counted[entry.place] = counted.get(entry.place, 0) + 1
    return counted


def _await_idle(
    drain: Drain,
    workers: t.Sequence[Worker],
    cancelled: Cancelled,
    *,
    queues: t.Sequence[str],
) -> tuple[list[Worker], dict[str, Entry]]:
    """Wait until active and reserved are empty; scheduled tasks are kept and never waited for.

    Returns the workers, and what was held when they had been quieted. ``workers`` is how they were before that.
    """
    last = list(workers)

    def attempt() -> list[Worker]:
        found = survey(drain.broker, len(last))
        # All workers answered, so what they no longer run has come to its end under their eyes.
        ended = {str(task["id"]): task for task in _running(last)}
        for task in _running(found):
            ended.pop(str(task["id"]), None)
        drain.ledger.write({name: Entry(task.get("task"), None, None, "finished") for name, task in ended.items()})
        last[:] = found
        return found

    def describe(found: list[Worker] | None, _row: int) -> str:
        running = sum(len(worker.active) for worker in found or [])
        reserved = sum(len(worker.reserved) for worker in found or [])
        return f"{running} tasks were still running and {reserved} reserved"

    try:
        last[:] = survey(drain.broker, drain.params["expected_workers"])
        at_quiet = entries_of(holdings(drain.broker, drain.ledger, queues), last)
        # Written before the wait, so that a worker that dies meanwhile leaves the ids of what it ran.
        drain.ledger.remember(stage="draining", queues=queues, workers=[worker.name for worker in last])
        drain.ledger.write(at_quiet)
        found = poll(
            attempt,
            good=lambda found: all(worker.is_idle for worker in found),
            deadline=drain.deadline,
            describe=describe,
            consecutive=2,
            interval=0.2,
        )
        return found, at_quiet
    except (GoliveError, Ended) as problem:
        known: dict[str, t.Any] = {"changed": True, "running": _running(last), **problem.known}
        if drain.params["on_timeout"] == "resume_and_fail":
            left = _undo_quiet(drain, cancelled)
            known.update(resumed=not left, left_quiet=left)
        else:
            known.update(resumed=False, left_quiet=sorted(worker.name for worker in last))
        why = problem.message
        if drain.deadline.expired():
            why = f"{describe(last, 0)} after {drain.deadline.seconds:g} s."
        raise ActionFailed(
            f"The workers were not drained: {why}",
            remedy=problem.remedy
            or "Raise timeout, or look at the running tasks; nothing was stopped and no message was moved.",
            known=known,
        )


def _running(workers: t.Sequence[Worker]) -> list[dict[str, t.Any]]:
    return [
        {"worker": worker.name, "place": place, **task_summary(task)}
        for worker in workers
        for place, tasks in (("active", worker.active), ("reserved", worker.reserved))
        for task in tasks
    ]


def _settled_holdings(drain: Drain, queues: t.Sequence[str], workers: t.Sequence[Worker]) -> dict[str, Entry]:
    """The broker's messages, once two readings agree: a message on its way between two keys is in one of them."""
    seen: list[dict[str, Entry]] = []

    def attempt() -> dict[str, Entry]:
        found = entries_of(holdings(drain.broker, drain.ledger, queues), workers)
        seen.append(found)
        return found

    return poll(
        attempt,
        good=lambda found: len(seen) > 1 and set(seen[-2]) == set(found),
        deadline=drain.deadline,
        describe=lambda found, _row: f"Messages kept moving: {len(found or {})} seen last",
    )


# ------------------------------------------------------------------------------------------------------------- parked


def parked(drain: Drain) -> Result:
    """Every waiting message lies aside, so that a worker that starts now finds nothing."""
    state = drain.ledger.state()
    stage = state.get("stage", "none")
    # In check mode nothing was drained before, and workers still run: what would be moved is all that can be told.
    if stage not in ("drained", "parking", "parked") and not drain.check_mode:
        raise Refused(
            f"The workers were not drained for ledger {drain.ledger.name}: its stage is {stage}.",
            remedy="Run state drained first; without a ledger it could not be shown that nothing is lost.",
        )
    if not drain.check_mode:
        _refuse_running(drain)
    queues = drain.queues()
    held = holdings(drain.broker, drain.ledger, queues)
    ledger = drain.ledger.entries()
    seen = entries_of(held, [])
    verdict = balance(ledger, seen, CLOCK.now())
    stuck = [entry for entry in held.unacked if not entry.keys]
    movable = [entry for entry in held.unacked if entry.keys]
    before = {"queues": _by_queue(drain.broker.lengths(queues)), "unacked": len(movable), "parked": len(held.parked)}
    after = {"queues": {}, "unacked": 0, "parked": len(held.waiting) + len(movable) + len(held.parked)}
    result = {
        **_difference(before, after),
        **_verdict_summary(verdict),
        "moved": len(held.waiting) + len(movable),
        "restored_from_unacked": len(movable),
        "stuck": [entry.message.id for entry in stuck],
    }
    if drain.check_mode:
        return result
    drain.ledger.remember(stage="parking")
    lost = {name: dataclasses.replace(ledger[name], place="lost") for name in verdict.missing}
    due = {name: dataclasses.replace(ledger[name], place="finished") for name in verdict.due}
    drain.ledger.write({**seen, **lost, **due})
    for key in [key for queue in queues for key in lists_of(queue)]:
        drain.broker.park_list(key, drain.ledger.parked_key(key), drain.ledger.parked_index)
    drain.broker.park_delivered(movable, drain.ledger.parked_key, drain.ledger.parked_index)
    aside = drain.ledger.parked_messages()
    drain.ledger.write({message.id: Entry(message.task, message.key, message.eta, "parked") for message in aside})
    vanished = {name for name in seen if name not in {m.id for m in aside}} - {entry.message.id for entry in stuck}
    drain.ledger.remember(stage="parked", parked_at=utc_text(CLOCK.now()))
    result["parked"] = len(aside)
    if vanished:
        gone = {name: dataclasses.replace(seen[name], place="lost") for name in vanished}
        drain.ledger.write(gone)
        lost.update(gone)
    if stuck:
        _tell_stuck(drain, stuck, result)
    _fail_on_lost(drain, lost, result)
    if verdict.due:
        drain.context.warn(
            f"{len(verdict.due)} scheduled tasks became due before their worker was stopped: its exit code says "
            "whether they ended."
        )
    return result


def _tell_stuck(drain: Drain, stuck: t.Sequence[Delivered], result: Result) -> None:
    """What no queue takes back lies untouched where it was: that is no reason to keep a way back from its end."""
    hashed, index = drain.broker.key(UNACKED), drain.broker.key(UNACKED_INDEX)
    named = [
        f"{entry.message.id} ({entry.message.task or _UNREADABLE}) in field {redis_client.text(entry.tag)!r}"
        for entry in stuck[:_TOLD]
    ]
    more = f" and {len(stuck) - _TOLD} more" if len(stuck) > _TOLD else ""
    text = (
        f"{len(stuck)} unacknowledged messages name an exchange without a queue, so they cannot be put aside. They lie "
        f"untouched in the hash {hashed} of {drain.broker.server.name}: {', '.join(named)}{more}."
    )
    remedy = (
        f"A worker of their application binds the queue when it starts. Where none will, keep each elsewhere (HGET {hashed} "
        f"FIELD), and take it away (HDEL {hashed} FIELD, ZREM {index} FIELD): Celery drops it once its visibility timeout is over."
    )
    if drain.params["on_stuck"] == "fail":
        raise ActionFailed(text, remedy=remedy, known=result)
    drain.context.warn(f"{text} {remedy}")


def _verdict_summary(verdict: Balance) -> Result:
    return {
        "lost": _listed(verdict.missing),
        "due_before_stop": _listed(verdict.due),
        "arrived_since": _listed(verdict.arrived),
    }


def _fail_on_lost(drain: Drain, lost: t.Mapping[str, Entry], result: Result) -> None:
    if not lost:
        return
    result["lost"] = _listed(lost)
    texts, remedies = zip(*_told_lost(lost))
    if not drain.params["accept_lost"]:
        raise ActionFailed(
            " ".join(texts),
            remedy=" ".join([*remedies, "With accept_lost: true the release goes on without them."]),
            known=result,
        )
    drain.context.warn(" ".join([*texts, "That was accepted."]))


def _told_lost(lost: t.Mapping[str, Entry]) -> t.Iterator[tuple[str, str]]:
    """A sentence, and what to look at, for each way in which messages are lost. Pure."""
    for is_unwitnessed in (True, False):
        group = [entry for entry in lost.values() if entry.is_unwitnessed is is_unwitnessed]
        tasks = ", ".join(sorted({entry.task or _UNREADABLE for entry in group}))
        if group and is_unwitnessed:
            yield (
                f"The workers ended while they were drained, and nobody saw what became of {len(group)} tasks: {tasks}.",
                "The workers' exit codes and logs, and what the tasks themselves leave, say whether they ran; send again "
                "those that did not.",
            )
        elif group:
            yield (
                f"{len(group)} messages vanished while no worker could take them: {tasks}.",
                "Who else reads this broker?",
            )


def _refuse_running(drain: Drain) -> None:
    """Raise Refused while workers listen. The broker may not have seen yet that one ended a moment ago."""
    gone = Deadline(min(GONE_SECONDS, drain.deadline.remaining()))
    listeners = drain.broker.listeners()
    while listeners and not gone.expired():
        CLOCK.sleep(min(0.1, gone.remaining()))
        listeners = drain.broker.listeners()
    if listeners:
        names = sorted(drain.broker.heard("ping").answers)
        raise Refused(
            f"{listeners} workers still listen: {', '.join(names) or 'none of them answers'}.",
            remedy="Stop them first; messages are put aside only while nobody can take them.",
        )


# ------------------------------------------------------------------------------------------------------------ resumed


@dataclasses.dataclass(frozen=True)
class _Comeback:
    """What goes back to its queue, and what stays aside since no worker knows its task."""

    workers: t.Sequence[Worker]
    #: Consumers that each worker lacks.
    to_add: Cancelled
    aside: t.Sequence[Message]
    unknown_parked: t.Sequence[Message]
    #: These wait in a queue that a worker is about to consume.
    unknown_waiting: t.Sequence[Message]
    knows: t.Callable[[Message], bool]

    @property
    def unknown(self) -> list[Message]:
        return [*self.unknown_parked, *self.unknown_waiting]

    def difference(self) -> Result:
        before = {"consuming": {worker.name: worker.queues for worker in self.workers}, "parked": len(self.aside)}
        after = {
            "consuming": {
                worker.name: sorted({*worker.queues, *(str(one["queue"]) for one in self.to_add.get(worker.name, []))})
                for worker in self.workers
            },
            "parked": len(self.unknown),
        }
        return _difference(before, after)


def resumed(drain: Drain) -> Result:
    """Workers consume again, and what was parked is back in its queue, in its order."""
    state = drain.ledger.state()
    workers = _await_workers(drain)
    comeback = _comeback(drain, state, workers)
    ledger = drain.ledger.entries()
    parked_ids = {message.id for message in comeback.aside}
    verdict = _parked_balance(drain, ledger, parked_ids, drain.queues(workers), workers)
    result = {
        **comeback.difference(),
        "workers": [worker.summary() for worker in workers],
        "put_back": len(comeback.aside) - len(comeback.unknown_parked),
        "parked_unknown": _unknown_tasks(comeback.unknown),
        **_verdict_summary(verdict),
    }
    if drain.check_mode:
        return result
    if verdict.missing:
        lost = {name: dataclasses.replace(ledger[name], place="lost") for name in verdict.missing}
        if not drain.params["accept_lost"]:
            result.update(changed=False, put_back=0)
        _fail_on_lost(drain, lost, result)
        drain.ledger.write(lost)
    drain.ledger.remember(stage="resuming")
    _put_back(drain, comeback)
    drain.ledger.write(_entries_after(comeback, ledger, was_cut_short=state.get("stage") == "resuming"))
    left = _resume_consumers(drain, comeback.to_add)
    if left:
        raise ActionFailed(
            f"{', '.join(left)} did not confirm to consume again; what was parked is back in its queues.",
            remedy="Run state resumed again, or restart these workers.",
            known={**result, "left_quiet": left},
        )
    if comeback.to_add:
        _await_consuming(drain, comeback.to_add)
    drain.ledger.remember(stage="resumed", cancelled={}, resumed_at=utc_text(CLOCK.now()))
    _expire_closed(drain)
    if comeback.unknown:
        _tell_what_stays(drain, len({message.id for message in comeback.unknown}), result)
    return result


def _comeback(drain: Drain, state: t.Mapping[str, t.Any], workers: t.Sequence[Worker]) -> _Comeback:
    """Sort what lies aside, and what waits in queues that nobody consumes yet, by whether a worker knows the task."""
    registered = {
        name: {str(task).split(" [", 1)[0] for task in tasks}
        for name, tasks in drain.broker.ask("registered", {"builtins": True}).answers.items()
    }
    to_add = consumers_to_add(workers, state.get("cancelled", {}), [] if "stage" in state else drain.params["queues"])
    aside = drain.ledger.parked_messages()
    knows = known_tasks(workers, to_add, registered)
    idle_queues = {consumer["queue"] for consumers in to_add.values() for consumer in consumers} - {
        queue for worker in workers for queue in worker.queues
    }
    waiting = drain.broker.messages(sorted(drain.broker.lengths(sorted(idle_queues))))
    return _Comeback(
        workers,
        to_add,
        aside,
        unknown_parked=[message for message in aside if not knows(message)],
        unknown_waiting=[message for message in waiting if not knows(message)],
        knows=knows,
    )


def _put_back(drain: Drain, comeback: _Comeback) -> None:
    """Move messages: what no worker knows aside, what was parked back, each list in its order."""

    def is_unknown(message: Message) -> bool:
        return not comeback.knows(message)

    for key in sorted({str(message.key) for message in comeback.unknown_waiting}):
        drain.broker.park_some(key, drain.ledger.parked_key(key), drain.ledger.parked_index, is_unknown)
    with_unknown = {message.key for message in comeback.unknown}
    for key in drain.ledger.parked_lists():
        keep = is_unknown if key in with_unknown else None
        drain.broker.unpark_list(key, drain.ledger.parked_key(key), drain.ledger.parked_index, keep)


def _entries_after(comeback: _Comeback, ledger: t.Mapping[str, Entry], *, was_cut_short: bool) -> dict[str, Entry]:
    """The ledger's entries for what was put back and what stays."""
    stays = {message.id for message in comeback.unknown}
    entries = {m.id: Entry(m.task, m.key, m.eta, "waiting") for m in comeback.aside if m.id not in stays}
    if was_cut_short:
        # A resume that was cut short had put these back already.
        parked_ids = {message.id for message in comeback.aside}
        gone = {name: entry for name, entry in ledger.items() if entry.place == "parked" and name not in parked_ids}
        entries.update({name: dataclasses.replace(entry, place="waiting") for name, entry in gone.items()})
    entries.update({m.id: Entry(m.task, m.key, m.eta, "parked") for m in comeback.unknown})
    return entries


def _tell_what_stays(drain: Drain, count: int, result: Result) -> None:
    text = f"{count} messages stay parked, since no worker knows their task: {', '.join(result['parked_unknown'])}."
    remedy = "Start workers of a version that knows them, and resume again."
    if _UNREADABLE in result["parked_unknown"]:
        remedy += " " + _way_out_of_unreadable(drain)
    if drain.params["fail_on_unregistered"]:
        raise ActionFailed(text, remedy=remedy, known=result)
    drain.context.warn(f"{text} {remedy}")


def _way_out_of_unreadable(drain: Drain) -> str:
    lists = ", ".join(drain.broker.key(drain.ledger.parked_key(key)) for key in drain.ledger.parked_lists())
    return (
        f"What is unreadable no worker will ever know: look at it (LRANGE KEY 0 -1 of {lists}), and take it away "
        "(LREM KEY 1 MESSAGE)."
    )


def _parked_balance(
    drain: Drain,
    ledger: t.Mapping[str, Entry],
    parked_ids: t.Collection[str],
    queues: t.Sequence[str],
    workers: t.Sequence[Worker],
) -> Balance:
    """Every id that was parked must still lie aside, or be back in its queue from a resume that was cut short."""
    aside = {name: entry for name, entry in ledger.items() if entry.place == "parked"}
    # A resume that was cut short had begun to put them back, so workers may have finished some.
    if set(aside) <= set(parked_ids) or drain.ledger.state().get("stage") == "resuming":
        return Balance((), (), ())
    present = {*parked_ids, *entries_of(holdings(drain.broker, drain.ledger, queues), workers)}
    return balance(aside, present, CLOCK.now())


def _await_workers(drain: Drain) -> list[Worker]:
    """Wait until enough workers answer."""
    wanted = max(drain.params["min_workers"], drain.params["expected_workers"] or 0)
    poll(
        lambda: len(drain.broker.heard("ping").answers) if drain.broker.listeners() >= wanted else 0,
        good=lambda found: found >= wanted,
        deadline=drain.deadline,
        describe=lambda found, _row: f"{found or 0} of {wanted} workers answered",
        interval=0.2,
    )
    return survey(drain.broker, None)


def consumers_to_add(
    workers: t.Sequence[Worker], cancelled: t.Mapping[str, t.Sequence[dict[str, t.Any]]], fallback: t.Sequence[str]
) -> dict[str, list[dict[str, t.Any]]]:
    """What each worker has to consume again: what was cancelled, or, when nothing is remembered, the user's queues.

    A worker that was started anew consumes by itself and is left alone. Pure.
    """
    wanted: dict[str, list[dict[str, t.Any]]] = {}
    for worker in workers:
        consumers = list(cancelled.get(worker.name, []))
        if not consumers and not worker.queues:
            consumers = [{"queue": queue} for queue in fallback]
        missing = [consumer for consumer in consumers if consumer["queue"] not in worker.queues]
        if missing:
            wanted[worker.name] = missing
    return wanted


def known_tasks(
    workers: t.Sequence[Worker],
    to_add: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]],
    registered: t.Mapping[str, t.Collection[str]],
) -> t.Callable[[Message], bool]:
    """Whether every worker that may take a message knows its task: any of them would discard what it does not. Pure."""

    def knows(message: Message) -> bool:
        queue = queue_of(message.key or "")
        takers = [
            worker.name
            for worker in workers
            if queue in worker.queues or any(c["queue"] == queue for c in to_add.get(worker.name, []))
        ]
        names = takers or [worker.name for worker in workers]
        return all(message.task in registered.get(name, ()) for name in names)

    return knows


def _unknown_tasks(messages: t.Sequence[Message]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for message in messages:
        found.setdefault(message.task or _UNREADABLE, []).append(message.id)
    return {task: _listed(ids) for task, ids in sorted(found.items())}


def _await_consuming(drain: Drain, to_add: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]) -> None:
    wanted = {name: {str(c["queue"]) for c in consumers} for name, consumers in to_add.items()}

    def missing() -> list[str]:
        answers = drain.broker.ask("active_queues", destination=sorted(wanted)).answers
        seen = {name: {str(queue["name"]) for queue in queues} for name, queues in answers.items()}
        return sorted(name for name, queues in wanted.items() if queues - seen.get(name, set()))

    poll(
        missing,
        good=lambda names: not names,
        deadline=drain.deadline,
        describe=lambda names, _row: f"Not consuming again: {', '.join(names or [])}",
    )


# ----------------------------------------------------------------------------------------------- settled and forgotten


def settled(drain: Drain) -> Result:
    """The ledger's balance: what became of every message in it. Changes nothing but when the ledger expires."""
    ledger = drain.ledger.entries()
    state = drain.ledger.state()
    if "stage" not in state and drain.check_mode:
        return {"changed": False, "stage": "none", "ledger": {"total": 0}, "lost": [], "is_closed": True}
    if "stage" not in state:
        raise Refused(
            f"There is no ledger {drain.ledger.name}.", remedy="It is written by state drained, and by nothing else."
        )
    stage = state.get("stage", "none")
    if stage in _CUT_SHORT:
        raise Refused(
            f"State {_CUT_SHORT[stage]} was cut short, so the ledger does not say what became of its messages.",
            remedy=f"Run state {_CUT_SHORT[stage]} again first.",
        )
    workers = survey(drain.broker, drain.params["expected_workers"], may_be_none=stage in ("parking", "parked"))
    now = entries_of(holdings(drain.broker, drain.ledger, drain.queues(workers)), workers)
    places = settle(ledger, now, stage=stage, moment=CLOCK.now())
    ended_by_status = _ended_by_status(drain, [name for name, place in places.items() if place == "finished"])
    lost = sorted(name for name, place in places.items() if place == "lost")
    by_place = {place: sum(seen == place for seen in places.values()) for place in sorted(set(places.values()))}
    result: Result = {
        "changed": False,
        "stage": stage,
        "ledger": {"total": len(places), **by_place},
        "lost": _listed(lost),
        "parked": _listed(name for name, place in places.items() if place == "parked"),
        "waiting": _listed(name for name, place in places.items() if place == "waiting"),
        "running": _listed(name for name, place in places.items() if place == "running"),
        "is_closed": not lost and "parked" not in by_place,
        "ended_by_status": ended_by_status,
    }
    _fail_on_lost(drain, {name: ledger[name] for name in lost}, result)
    if not drain.check_mode:
        _expire_closed(drain)
    return result


def _expire_closed(drain: Drain) -> None:
    """Let the ledger expire where it has done its work: workers consume, nothing lies aside, no loss is undecided."""
    state = drain.ledger.state()
    if state.get("stage") not in ("none", "resumed") or state.get("cancelled") or drain.ledger.parked_lists():
        return
    is_lost = any(entry.place == "lost" for entry in drain.ledger.entries().values())
    if not is_lost or drain.params["accept_lost"]:
        drain.ledger.expire()


def _ended_by_status(drain: Drain, ids: t.Sequence[str]) -> dict[str, int] | None:
    """How the finished tasks ended, from Celery's result keys of a database on the same server."""
    number = drain.params["results_db"]
    if number is None:
        return None
    server = dataclasses.replace(drain.broker.server, db=number)
    client = redis_client.connect(
        server,
        deadline=drain.deadline,
        username=drain.params["username"],
        password=drain.params["password"],
        ca_file=drain.params["ca_file"],
    )
    counted: dict[str, int] = {}
    try:
        with redis_client.asking(server):
            for start in range(0, len(ids), 500):
                keys = [drain.broker.key(f"celery-task-meta-{name}") for name in ids[start : start + 500]]
                for raw in client.mget(keys):
                    ended = _ended(raw)
                    counted[ended] = counted.get(ended, 0) + 1
    finally:
        client.close()
    return counted


def _ended(raw: bytes | None) -> str:
    if raw is None:
        return "no result"
    try:
        return str(foreign_json.read(raw)["status"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def forgotten(drain: Drain) -> Result:
    """The ledger is deleted, which its balance must allow."""
    state = drain.ledger.state()
    if state.get("cancelled") and not drain.check_mode:
        raise Refused(
            f"The consumers of {', '.join(sorted(state['cancelled']))} were cancelled and not yet resumed.",
            remedy="Run state resumed first: the ledger is what knows which queues to consume again.",
        )
    aside = drain.ledger.parked_messages()
    if aside:
        remedy = "Resume with workers that know them; their ledger is the only thing that names them."
        if _UNREADABLE in _unknown_tasks(aside):
            remedy += " " + _way_out_of_unreadable(drain)
        raise Refused(f"{len(aside)} messages are still parked: {', '.join(_unknown_tasks(aside))}.", remedy=remedy)
    lost = {name: entry for name, entry in drain.ledger.entries().items() if entry.place == "lost"}
    result: Result = _difference({"stage": state.get("stage", "none")}, {"stage": "none"})
    result["changed"] = "stage" in state
    _fail_on_lost(drain, lost, {**result, "changed": False})
    if not drain.check_mode:
        drain.ledger.delete()
    return result


_STATES: dict[str, t.Callable[[Drain], Result]] = {
    "status": status,
    "quieted": quieted,
    "drained": drained,
    "parked": parked,
    "resumed": resumed,
    "settled": settled,
    "forgotten": forgotten,
}
