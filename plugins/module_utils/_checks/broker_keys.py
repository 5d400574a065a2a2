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
_MAY_READ = "Let this user SCAN, TYPE and PTTL every key."
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
    #: of those looked at that are not known to be a queue's, how many this user may not read
    refused: int = 0
    #: how many keys the database has
    keys: int = 0

    def of_all(self, count: int) -> int:
        """What so many of those looked at make of the whole: SCAN goes by the hash of a name, which chooses at random."""
        return count if self.is_complete else round(count * max(self.keys, self.looked_at) / max(1, self.looked_at))


def scanned(client: t.Any, global_keyprefix: str, deadline: Deadline, *, keys: int) -> OtherKeys:
    """Look at the first of so many keys that SCAN gives. Raises TimedOut; a refusal is the problem that the answer names."""
    try:
        names, is_complete = _some_keys(client, deadline)
    except require("redis").exceptions.ResponseError as refusal:
        return OtherKeys(0, 0, 0, {}, False, redis_client.text(str(refusal)).rstrip("."), keys=keys)
    others, refused = [], 0
    for name, (kind, life) in zip(map(redis_client.text, names), _kinds_and_lives(client, names)):
        if _is_own(name, global_keyprefix):
            continue
        if kind is None or life is None:
            refused += 1
        elif kind != "none" and (kind != "list" or life >= 0):
            others.append((name, life))
    words = collections.Counter(name.partition(":")[0] + ":" for name, _life in others if ":" in name)
    return OtherKeys(
        looked_at=len(names),
        found=len(others),
        expiring=sum(life >= 0 for _name, life in others),
        namespaces={word: count for word, count in words.most_common(5) if count >= _NAMESPACE_KEYS},
        is_complete=is_complete,
        refused=refused,
        keys=keys,
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


def _kinds_and_lives(client: t.Any, names: t.Sequence[bytes]) -> list[tuple[str | None, int | None]]:
    """Type, ``none`` for a key that is gone, and milliseconds to live, -1 for a key that does not expire; None if refused.

    What redis-py raises for a refusal names the key, which may be a secret such as the name of a session.
    """
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
        pipe.pttl(name)
    answers = pipe.execute(raise_on_error=False)
    known = [None if isinstance(answer, Exception) else answer for answer in answers]
    return [
        (None if kind is None else redis_client.text(kind), None if life is None else int(life))
        for kind, life in zip(known[::2], known[1::2])
    ]


def _is_own(name: str, global_keyprefix: str) -> bool:
    without = name[len(global_keyprefix) :] if name.startswith(global_keyprefix) else name
    return any(_OWN.match(known) for known in (name, without))


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
        return holds(name, False, measured=None, expected="few", sentence=sentence, remedy=_MAY_READ, level=level)
    if seen.of_all(seen.found) <= bound and seen.of_all(seen.found + seen.refused) > bound:
        sentence = f"{name} are {_counted(seen)}: too few could be read to tell"
        if wanted is not None:
            return unknown(name, sentence, remedy=_MAY_READ)
        return holds(
            name,
            False,
            measured=_counted(seen),
            expected="few",
            sentence=sentence,
            remedy=_MAY_READ,
            level=level,
        )
    if wanted is not None and not seen.is_complete and seen.found <= bound:
        return unknown(name, f"{name} are {_counted(seen)}: only all of them would tell")
    if seen.of_all(seen.found) <= bound:
        if seen.is_complete and not seen.refused:
            return at_most(name, seen.found, bound)
        return holds(name, True, measured=_counted(seen), expected=f"at most {bound}")
    inside = (
        f", of them {', '.join(f'{count} {word}*' for word, count in seen.namespaces.items())}"
        if seen.namespaces
        else ""
    )
    return holds(
        name,
        False,
        measured=seen.found if seen.is_complete and not seen.refused else _counted(seen),
        expected=f"at most {bound}",
        sentence=f"{name} are {_counted(seen)}, {seen.expiring} with a time to live{inside}; expected at most {bound}",
        remedy=remedy,
        level=level,
    )


def _counted(seen: OtherKeys) -> str:
    """``77 of 2000 looked at (about 7700 of all 200000)``."""
    told = f"{seen.found} of {seen.looked_at}"
    if not seen.is_complete:
        told += f" looked at (about {seen.of_all(seen.found)} of all {max(seen.keys, seen.looked_at)})"
    return told + (f", and {seen.refused} that this user may not read" if seen.refused else "")
