"""Redis: the job queues, and the maintenance switch that every backend process sees."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from ablage.settings import load

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

QUEUES = ("ocr", "wartung")
MAINTENANCE_KEY = "ablage:wartung"


@cache
def redis_client() -> Redis:
    from redis import Redis

    return Redis.from_url(load().redis_url, socket_timeout=1.0, socket_connect_timeout=1.0, decode_responses=True)


def celery_app() -> Celery:
    # celery costs 0.4 s to import: only what sends or runs jobs loads it
    from ablage.tasks import app

    return app


def queue_lengths() -> dict[str, int]:
    """Messages per queue as the broker counts them; `unacked` are held by workers."""
    with redis_client().pipeline(transaction=False) as pipe:
        for queue in QUEUES:
            pipe.llen(queue)
        pipe.hlen("unacked")
        return dict(zip((*QUEUES, "unacked"), (int(count) for count in pipe.execute()), strict=True))


def listening_workers() -> int:
    """How many connections listen for remote control: one a worker, which subscribes by pattern."""
    return sum(int(client["psub"]) > 0 for client in redis_client().client_list())


def answering_workers() -> list[str]:
    """Names of the workers that answer a ping within a second."""
    expected = listening_workers()
    if expected == 0:
        return []
    replies = celery_app().control.broadcast("ping", reply=True, timeout=1.0, limit=expected) or []
    return sorted(name for reply in replies for name in reply)


def maintenance() -> dict[str, Any] | None:
    """The switch's record, or None when it is not set."""
    record = redis_client().get(MAINTENANCE_KEY)
    return json.loads(record) if record else None


def set_maintenance(record: dict[str, Any] | None) -> None:
    if record is None:
        redis_client().delete(MAINTENANCE_KEY)
    else:
        redis_client().set(MAINTENANCE_KEY, json.dumps(record))
