# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Celery on Redis over the wire: remote control and messages as kombu keeps them, without the app and without kombu.

PUBLISH returns how many workers received a command, so that a missing answer is seen and not waited for in vain.
Layout of keys and envelopes: kombu.transport.redis and kombu.pidbox, 5.3 to 5.7.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import dataclasses
import hashlib
import json
import re
import time
import typing as t
import uuid

from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut, UnexpectedAnswer

SEPARATOR = "\x06\x16"
UNACKED, UNACKED_INDEX = "unacked", "unacked_index"
#: A worker's name that no worker has.
NOBODY = "nobody@opsready"
#: Messages read per request: what they weigh is not known beforehand.
CHUNK = 500
_PRIORITIES = range(1, 10)


@dataclasses.dataclass(frozen=True)
class Message:
    """What a message is about; never its arguments."""

    id: str
    task: str | None
    eta: str | None
    #: the list it waits in, or would return to: a queue or one of its priority sub-queues, without the global prefix
    key: str | None


@dataclasses.dataclass(frozen=True)
class Delivered:
    """A message that was handed to a worker and not acknowledged: an entry of the hash ``unacked``."""

    #: its field in the hash, as the server has it
    tag: bytes
    message: Message
    #: every list that kombu would return it to; empty when no binding names one
    keys: tuple[str, ...]
    payload: bytes
    #: Kombu can return it; where it cannot, ``payload`` is the whole entry, and ends each worker that tries.
    is_readable: bool = True


@dataclasses.dataclass(frozen=True)
class Replies:
    """Answers of workers by name, and how many had to come."""

    expected: int
    answers: dict[str, t.Any]


def identity(raw: bytes, key: str | None) -> Message:
    """Id, task name and ETA of a message as it lies in a queue: protocol 2 in headers, protocol 1 in the body.

    What cannot be read gets an id made of its bytes: it is counted and moved like any other. No worker knows its task, so
    it stays aside when the others are put back.
    """
    try:
        envelope = foreign_json.read(raw)
        headers = envelope.get("headers") or {}
        if not isinstance(envelope.get("properties", {}), dict):
            raise TypeError("kombu delivers nothing whose properties are no mapping.")
        fields = headers if "task" in headers else foreign_json.read(_body(envelope))
        eta = fields.get("eta")
        task = fields.get("task")
        if fields["id"] in (None, ""):
            raise ValueError("A message without an id.")
        return Message(_text(fields["id"]), None if task is None else _text(task), _text(eta) if eta else None, key)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Message("unreadable-" + hashlib.sha256(raw).hexdigest()[:16], None, None, key)


def _text(value: t.Any) -> str:
    """Raises ValueError for half a surrogate pair, which JSON can name and nothing can write."""
    return str(value).encode().decode()


def _body(envelope: t.Mapping[str, t.Any]) -> bytes:
    body = envelope.get("body", "")
    if (envelope.get("properties") or {}).get("body_encoding") == "base64":
        try:
            return base64.b64decode(body)
        except binascii.Error as problem:
            raise ValueError(str(problem))
    return str(body).encode()


def queue_of(key: str) -> str:
    """The queue that a list belongs to: its name without the priority."""
    return key.rsplit(SEPARATOR, 1)[0]


def lists_of(queue: str) -> list[str]:
    """A queue's list and those of its priorities."""
    return [queue, *(f"{queue}{SEPARATOR}{priority}" for priority in _PRIORITIES)]


class Broker:
    """One Celery broker: its workers by remote control, its messages by key."""

    def __init__(
        self,
        client: t.Any,
        server: redis_client.Server,
        *,
        deadline: Deadline,
        reply_seconds: float,
        global_keyprefix: str = "",
        fanout_prefix: str = "/{db}.",
        control_exchange: str = "celery",
        priority_steps: t.Sequence[int] = (0, 3, 6, 9),
    ) -> None:
        self.client = client
        self.server = server
        self.deadline = deadline
        self.reply_seconds = reply_seconds
        self.prefix = global_keyprefix
        self.exchange = control_exchange
        self.priority_steps = sorted(priority_steps)
        topic = fanout_prefix.replace("{db}", str(server.db)) + f"{control_exchange}.pidbox"
        self.channel = self.prefix + topic

    def key(self, name: str) -> str:
        """A key as the server knows it."""
        return self.prefix + name

    # ------------------------------------------------------------------------------------------ remote control

    def listeners(self) -> int:
        """How many workers listen for remote control, the ones that hang included.

        A question to nobody is published, since PUBSUB NUMSUB does not count kombu's pattern subscriptions.
        """
        body: dict[str, t.Any] = {
            "method": "ping",
            "arguments": {},
            "destination": [NOBODY],
            "pattern": None,
            "matcher": None,
        }
        with redis_client.asking(self.server):
            return int(self.client.publish(self.channel, self._envelope(body, 1.0)))

    def _envelope(self, body: t.Mapping[str, t.Any], seconds: float) -> str:
        envelope = {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 1, "expires": time.time() + seconds},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": f"{self.exchange}.pidbox", "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
        return json.dumps(envelope)

    def ask(
        self, method: str, arguments: t.Mapping[str, t.Any] | None = None, destination: t.Sequence[str] | None = None
    ) -> Replies:
        """Send one command and collect every answer that must come. Raises TimedOut when one does not."""
        replies = self.heard(method, arguments, destination)
        if len(replies.answers) < replies.expected:
            named = f" Answered: {', '.join(sorted(replies.answers))}." if replies.answers else ""
            raise TimedOut(
                f"{len(replies.answers)} of {replies.expected} workers answered {method} within "
                f"{self.reply_seconds:g} s.{named}",
                remedy="A worker of the solo pool answers nothing while a task runs; another may hang or be starting.",
                known={"answered": sorted(replies.answers), "expected_answers": replies.expected},
            )
        return replies

    def heard(
        self, method: str, arguments: t.Mapping[str, t.Any] | None = None, destination: t.Sequence[str] | None = None
    ) -> Replies:
        """Send one command and collect the answers that came in time."""
        correlation, ticket = str(uuid.uuid4()), str(uuid.uuid4())
        reply_exchange = f"reply.{self.exchange}.pidbox"
        reply_queue = f"{correlation}.{reply_exchange}"
        binding, member = self.key(f"_kombu.binding.{reply_exchange}"), SEPARATOR.join([correlation, "", reply_queue])
        wait = Deadline(min(self.reply_seconds, self.deadline.require(f"Asking workers for {method}")))
        body = {
            "method": method,
            "arguments": dict(arguments or {}),
            "destination": list(destination) if destination is not None else None,
            "pattern": None,
            "matcher": None,
            "ticket": ticket,
            "reply_to": {"exchange": reply_exchange, "routing_key": correlation},
        }
        received = 0
        answers: dict[str, t.Any] = {}
        with redis_client.asking(self.server):
            self.client.sadd(binding, member)
            try:
                receivers = int(self.client.publish(self.channel, self._envelope(body, wait.seconds)))
                expected = receivers if destination is None else len(destination)
                while received < min(expected, receivers) and not wait.expired():
                    popped = self.client.brpop([self.key(reply_queue)], timeout=max(0.05, wait.remaining()))
                    if popped is not None:
                        answers.update(_answer(popped[1]))
                        received += 1
            finally:
                self.client.srem(binding, member)
                self.client.delete(self.key(reply_queue))
        if received > len(answers):
            raise UnexpectedAnswer(
                f"{received} workers answered under {len(answers)} names: {', '.join(sorted(answers))}.",
                remedy="Start each worker with a name of its own (-n), or they cannot be told apart.",
            )
        return Replies(expected, answers)

    # ------------------------------------------------------------------------------------------------ messages

    def lengths(self, queues: t.Iterable[str]) -> dict[str, int]:
        """Waiting messages by list; empty lists are left out."""
        keys = [key for queue in queues for key in lists_of(queue)]
        return self._lengths(keys)

    def _lengths(self, keys: t.Sequence[str]) -> dict[str, int]:
        with redis_client.asking(self.server):
            pipe = self.client.pipeline(transaction=False)
            for key in keys:
                pipe.llen(self.key(key))
            return {key: int(length) for key, length in zip(keys, pipe.execute()) if length}

    def messages(self, keys: t.Iterable[str], name: t.Callable[[str], str] = str) -> list[Message]:
        """The messages of lists, each list from the next to be consumed on. ``name`` gives the key to read for a list.

        Read from the right end, where producers do not push, so that what arrives meanwhile shifts nothing.
        """
        found: list[Message] = []
        for key in keys:
            position = 0
            while True:
                self.deadline.require(f"Reading {key}")
                with redis_client.asking(self.server):
                    chunk = self.client.lrange(self.key(name(key)), -position - CHUNK, -position - 1)
                found.extend(identity(raw, key) for raw in reversed(chunk))
                if len(chunk) < CHUNK:
                    break
                position += CHUNK
        return found

    def delivered(self) -> list[Delivered]:
        """What workers hold unacknowledged, the longest held first."""
        with redis_client.asking(self.server):
            pipe = self.client.pipeline(transaction=True)
            pipe.hgetall(self.key(UNACKED))
            pipe.zrange(self.key(UNACKED_INDEX), 0, -1)
            entries, order = pipe.execute()
        rank = {tag: position for position, tag in enumerate(order)}
        tables: dict[str, list[tuple[str, ...]]] = {}
        ordered = sorted(entries.items(), key=lambda entry: rank.get(entry[0], len(rank)))
        return [self._delivered(tag, raw, tables) for tag, raw in ordered]

    def _delivered(self, tag: bytes, raw: bytes, tables: dict[str, list[tuple[str, ...]]]) -> Delivered:
        try:
            payload, *route = foreign_json.read(raw)
            exchange, routing_key = ("" if name is None else name for name in route)
            "".join((exchange, routing_key)).encode()  # raises for what is no text, or none that can be written
            headers, properties = payload["headers"], payload["properties"]
            if not isinstance(properties, dict) or not (exchange or routing_key):
                raise ValueError("No list is named that it could return to.")
        except (ValueError, TypeError, KeyError):
            return Delivered(tag, identity(raw, None), (), raw, is_readable=False)
        # What kombu itself marks on a message that it hands out a second time.
        if isinstance(headers, dict) and isinstance(properties.get("delivery_info"), dict):
            headers["redelivered"] = True
            properties["delivery_info"]["redelivered"] = True
        suffix = priority_suffix(properties, self.priority_steps)
        keys = tuple(queue + suffix for queue in self._queues_for(exchange, routing_key, tables))
        encoded = json.dumps(payload).encode()
        return Delivered(tag, identity(encoded, keys[0] if keys else None), keys, encoded)

    def _queues_for(self, exchange: str, routing_key: str, tables: dict[str, list[tuple[str, ...]]]) -> list[str]:
        if not exchange:
            return [routing_key]
        if exchange not in tables:
            with redis_client.asking(self.server):
                members = self.client.smembers(self.key(f"_kombu.binding.{exchange}"))
            tables[exchange] = sorted(tuple(redis_client.text(member).split(SEPARATOR)) for member in members)
        found = []
        for row in tables[exchange]:
            if len(row) == 3 and row[2] and (row[0] == routing_key or (row[1] and _topic_matches(row[1], routing_key))):
                found.append(row[2])
        return sorted(set(found))

    def blocked_pops(self) -> int | None:
        """Clients of this database that wait in BRPOP; None where CLIENT LIST is not allowed."""
        errors = require("redis").exceptions
        with redis_client.asking(self.server):
            try:
                clients = self.client.client_list()
            except errors.ResponseError:
                return None
        waiting = (c for c in clients if "b" in str(c.get("flags", "")) and str(c.get("cmd", "")).lower() == "brpop")
        return sum(str(c.get("db")) == str(self.server.db) for c in waiting)

    # ---------------------------------------------------------------------------------------- moving, atomically

    def park_list(self, key: str, parked: str, index: str) -> int:
        """Move a whole list aside, in order; what arrives later is appended behind. Returns how many moved."""
        source, target = self.key(key), self.key(parked)
        with redis_client.asking(self.server):
            length = int(self.client.llen(source))
            if not length:
                return 0
            pipe = self.client.pipeline(transaction=True)
            pipe.sadd(self.key(index), key)
            if not self.client.exists(target):
                pipe.renamenx(source, target)
                if pipe.execute()[-1]:
                    return length
                return self.park_list(key, parked, index)
            # The oldest goes first and stays the nearest to the right end, where consumers pop.
            for _unused in range(length):
                pipe.rpoplpush(source, target)
            return sum(moved is not None for moved in pipe.execute()[1:])

    def park_delivered(self, held: t.Sequence[Delivered], name: t.Callable[[str], str], index: str) -> int:
        """Take unacknowledged messages back from workers that are gone; they are older than all that waits."""
        moved = 0
        for entry in reversed(held):
            with redis_client.asking(self.server):
                pipe = self.client.pipeline(transaction=True)
                pipe.hdel(self.key(UNACKED), entry.tag)
                pipe.zrem(self.key(UNACKED_INDEX), entry.tag)
                for key in entry.keys:
                    pipe.sadd(self.key(index), key)
                    pipe.rpush(self.key(name(key)), entry.payload)
                pipe.execute()
            moved += 1
        return moved

    def unpark_list(self, key: str, parked: str, index: str, keep: t.Callable[[Message], bool] | None = None) -> int:
        """Put parked messages back in front of what waits, in their order; ``keep`` says which stay parked."""
        source, target = self.key(parked), self.key(key)
        watch_error = require("redis").exceptions.WatchError
        while True:
            self.deadline.require(f"Putting {queue_of(key)} back")
            with redis_client.asking(self.server):
                pipe = self.client.pipeline(transaction=True)
                try:
                    pipe.watch(source, target)
                    moved = self._unpark_once(pipe, source, target, key, index, keep)
                    pipe.execute()
                    return moved
                except watch_error:
                    continue
                finally:
                    pipe.reset()

    def _unpark_once(
        self, pipe: t.Any, source: str, target: str, key: str, index: str, keep: t.Callable[[Message], bool] | None
    ) -> int:
        is_free = not pipe.exists(target)
        length = int(pipe.llen(source))
        if keep is None:
            pipe.multi()
            pipe.srem(self.key(index), key)
            if length and is_free:
                pipe.rename(source, target)
            else:
                # The newest goes first, so that the oldest ends nearest to the right end, where consumers pop.
                for _unused in range(length):
                    pipe.lmove(source, target, "LEFT", "RIGHT")
            return length
        messages = pipe.lrange(source, 0, -1)
        stays = [keep(identity(raw, key)) for raw in messages]
        leaving = [raw for raw, kept in zip(messages, stays) if not kept]
        pipe.multi()
        if leaving:
            pipe.delete(source)
            for raws, place in (([r for r, kept in zip(messages, stays) if kept], source), (leaving, target)):
                for start in range(0, len(raws), CHUNK):
                    pipe.rpush(place, *raws[start : start + CHUNK])
        return len(leaving)

    def park_some(self, key: str, parked: str, index: str, which: t.Callable[[Message], bool]) -> int:
        """Move those messages of a list aside that ``which`` names; the others keep their order."""
        source, target = self.key(key), self.key(parked)
        watch_error = require("redis").exceptions.WatchError
        while True:
            self.deadline.require(f"Parking messages of {queue_of(key)}")
            with redis_client.asking(self.server):
                pipe = self.client.pipeline(transaction=True)
                try:
                    pipe.watch(source)
                    leaving = [raw for raw in pipe.lrange(source, 0, -1) if which(identity(raw, key))]
                    if not leaving:
                        return 0
                    pipe.multi()
                    pipe.sadd(self.key(index), key)
                    for raw in leaving:
                        pipe.lrem(source, -1, raw)
                    pipe.lpush(target, *reversed(leaving))
                    pipe.execute()
                    return len(leaving)
                except watch_error:
                    continue
                finally:
                    pipe.reset()


def _answer(raw: bytes) -> dict[str, t.Any]:
    try:
        envelope = foreign_json.read(raw)
        answer = foreign_json.read(_body(envelope))
    except (ValueError, TypeError, AttributeError):
        raise UnexpectedAnswer(
            "A worker's answer cannot be read.", remedy="Remote control must use the json serializer."
        )
    if not isinstance(answer, dict):
        raise UnexpectedAnswer("A worker's answer names no worker.")
    return answer


def priority_suffix(properties: t.Mapping[str, t.Any], steps: t.Sequence[int]) -> str:
    """What kombu appends to a queue's name for a message's priority: the highest step that is not above it."""
    try:
        priority = max(0, min(9, int(properties.get("priority") or 0)))
    except (TypeError, ValueError, OverflowError):  # JSON knows Infinity
        priority = 0
    step = steps[bisect.bisect(steps, priority) - 1]
    return f"{SEPARATOR}{step}" if step else ""


def _topic_matches(pattern: str, routing_key: str) -> bool:
    try:
        return re.match(pattern, routing_key) is not None
    except re.error:
        return False
