# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a broker's database a cache as well? A cache in it asks for an eviction policy by which the broker loses jobs.

Queues are lists that do not expire; beside them a broker holds what Celery and kombu keep under names of their own.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, at_most, holds, unknown

#: How many keys are looked at.
MOST_LOOKED_AT = 2000
#: How many other keys are many, where nobody says.
MANY = 100
#: A name that so many keys begin with is a namespace, and tells nothing about one of them.
_NAMESPACE_KEYS = 10
#: Names of kombu's Redis transport, of Celery's result backend, of remote control's answers, and ours.
_OWN = re.compile(
    r"_kombu\.|unacked(_index|_mutex)?$|celery-task(set)?-meta-|chord-unlock-|.*\.pidbox$|opsready:", re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class OtherKeys:
    """Keys that no queue has among those that a bounded scan met, or why there was none."""

    looked_at: int
    found: int
    expiring: int
    #: how many of them begin with the same word before a colon
    namespaces: dict[str, int]
    is_complete: bool
    problem: str = ""


def scanned(client: t.Any, global_keyprefix: str, deadline: Deadline) -> OtherKeys:
    """Look at the first keys that SCAN gives. Raises TimedOut; a refusal is the problem that the answer names."""
    try:
        names, is_complete = _some_keys(client, deadline)
        kinds, lives = _kinds_and_lives(client, names)
    except require("redis").exceptions.ResponseError as refusal:
        return OtherKeys(0, 0, 0, {}, False, redis_client.text(str(refusal)).rstrip("."))
    others = [
        (name, life)
        for name, kind, life in zip(map(redis_client.text, names), kinds, lives)
        if kind != "none" and not _is_own(name, global_keyprefix) and (kind != "list" or life >= 0)
    ]
    words = collections.Counter(name.partition(":")[0] + ":" for name, _life in others if ":" in name)
    return OtherKeys(
        looked_at=len(names),
        found=len(others),
        expiring=sum(life >= 0 for _name, life in others),
        namespaces={word: count for word, count in words.most_common(5) if count >= _NAMESPACE_KEYS},
        is_complete=is_complete,
    )


def _some_keys(client: t.Any, deadline: Deadline) -> tuple[list[bytes], bool]:
    seen: dict[bytes, None] = {}
    cursor = 0
    while True:
        deadline.require("Scanning for keys that no queue has")
        cursor, keys = client.scan(cursor=cursor, count=1000)
        seen.update(dict.fromkeys(keys))
        if cursor == 0 or len(seen) >= MOST_LOOKED_AT:
            return list(seen)[:MOST_LOOKED_AT], cursor == 0 and len(seen) <= MOST_LOOKED_AT


def _kinds_and_lives(client: t.Any, names: t.Sequence[bytes]) -> tuple[list[str], list[int]]:
    """Types, ``none`` for a key that is gone, and milliseconds to live, -1 for a key that does not expire."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
        pipe.pttl(name)
    answers = pipe.execute()
    return [redis_client.text(kind) for kind in answers[::2]], [int(life) for life in answers[1::2]]


def _is_own(name: str, global_keyprefix: str) -> bool:
    return any(_OWN.match(known) for known in (name, name[len(global_keyprefix) :]))


def judge(seen: OtherKeys | None, wanted: int | None) -> Criterion:
    """Other keys are a warning where they are many, and a failure where there are more than was asked for. Pure."""
    name, level = "keys that no queue has", "warn" if wanted is None else "fail"
    bound = MANY if wanted is None else wanted
    remedy = (
        "Give the cache a server of its own: one that evicts loses jobs, and one that does not refuses writes when the "
        "cache has filled it."
    )
    if seen is None or seen.problem:
        why = seen.problem if seen else "the server is loading"
        sentence = f"{name} could not be counted: {why}"
        if wanted is not None:
            return unknown(name, sentence)
        remedy = "Let this user SCAN, TYPE and PTTL every key."
        return holds(name, False, measured=None, expected="few", sentence=sentence, remedy=remedy, level=level)
    if seen.found <= bound:
        if wanted is not None and not seen.is_complete:
            return unknown(name, f"{name} are {seen.found} of the {seen.looked_at} keys that were looked at")
        return at_most(name, seen.found, bound)
    inside = (
        f", of them {', '.join(f'{count} {word}*' for word, count in seen.namespaces.items())}"
        if seen.namespaces
        else ""
    )
    return holds(
        name,
        False,
        measured=seen.found,
        expected=f"at most {bound}",
        sentence=f"{name} are {seen.found} of {seen.looked_at}{'' if seen.is_complete else ' looked at'}, {seen.expiring} with "
        f"a time to live{inside}; expected at most {bound}",
        remedy=remedy,
        level=level,
    )
