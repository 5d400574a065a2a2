"""Health: liveness, the state of each component, the pipeline, and all of it together.

The body carries the verdict, not the status code: /health/detailed answers 200 even when kritisch, and says when it looked:
HEALTH_CACHE_SECONDS keeps its answer for that long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ablage import broker, settings, storage
from ablage.database import engine
from ablage.version import SCHEMA_REVISION, VERSION

router = APIRouter(prefix="/health", tags=["health"])
GESUND, BEEINTRAECHTIGT, KRITISCH = "gesund", "beeintraechtigt", "kritisch"
_ORDER = (GESUND, BEEINTRAECHTIGT, KRITISCH)
_kept: list[tuple[float, dict[str, Any]]] = []


def worst(states: list[str]) -> str:
    return max(states, key=_ORDER.index, default=KRITISCH)


def database() -> dict[str, Any]:
    with engine().connect() as connection:
        connection.execute(text("select 1"))
    return {"status": GESUND}


def schema() -> dict[str, Any]:
    with engine().connect() as connection:
        found = connection.scalars(text("select version_num from alembic_version")).all()
    return {
        "status": GESUND if list(found) == [SCHEMA_REVISION] else KRITISCH,
        "erwartet": SCHEMA_REVISION,
        "vorgefunden": list(found),
    }


def redis() -> dict[str, Any]:
    broker.redis_client().ping()
    return {"status": GESUND}


def object_storage() -> dict[str, Any]:
    storage.probe()
    return {"status": GESUND}


def worker() -> dict[str, Any]:
    names = broker.answering_workers()
    return {"status": GESUND if names else BEEINTRAECHTIGT, "worker": names}


COMPONENTS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "datenbank": (database, KRITISCH),
    "schema": (schema, KRITISCH),
    "redis": (redis, KRITISCH),
    "speicher": (object_storage, KRITISCH),
    "worker": (worker, BEEINTRAECHTIGT),
}


def examined(probe: Callable[[], dict[str, Any]], state_on_error: str) -> dict[str, Any]:
    started = time.monotonic()
    try:
        result = probe()
    except (SQLAlchemyError, RedisError, storage.StorageError, OSError) as error:
        result = {"status": state_on_error, "fehler": type(error).__name__}
    return {**result, "dauer_ms": round((time.monotonic() - started) * 1000, 1)}


def components() -> dict[str, dict[str, Any]]:
    with ThreadPoolExecutor(len(COMPONENTS)) as pool:
        futures = {name: pool.submit(examined, *entry) for name, entry in COMPONENTS.items()}
        return {name: future.result() for name, future in futures.items()}


def pipeline_state() -> dict[str, Any]:
    try:
        queues, names = broker.queue_lengths(), broker.answering_workers()
    except (RedisError, OSError) as error:
        return {"status": KRITISCH, "fehler": type(error).__name__}
    return {"status": GESUND if names else BEEINTRAECHTIGT, "warteschlangen": queues, "worker": names}


@router.get("")
def alive() -> dict[str, str]:
    return {"status": GESUND, "version": VERSION}


@router.get("/detailed")
def detailed() -> dict[str, Any]:
    now = time.monotonic()
    if _kept and now - _kept[0][0] < settings.load().health_cache_seconds:
        return _kept[0][1]
    looked, parts = datetime.now(UTC).isoformat(), components()
    state = worst([part["status"] for part in parts.values()])
    answer = {"status": state, "version": VERSION, "geprueft_um": looked, "komponenten": parts}
    _kept[:] = [(now, answer)]
    return answer


@router.get("/pipeline")
def pipeline() -> dict[str, Any]:
    return {"version": VERSION, **pipeline_state()}


@router.get("/complete")
def complete() -> dict[str, Any]:
    parts, jobs = components(), pipeline_state()
    return {
        "status": worst([jobs["status"], *(part["status"] for part in parts.values())]),
        "version": VERSION,
        "schema_revision": SCHEMA_REVISION,
        "komponenten": parts,
        "pipeline": jobs,
    }
