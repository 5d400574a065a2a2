"""Health: liveness, the state of each component, the pipeline, and all of it together.

The body carries the verdict, not the status code: /health/detailed answers 200 even when kritisch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ablage import broker, search_index, storage
from ablage.database import engine
from ablage.version import SCHEMA_REVISION, VERSION
from fastapi import APIRouter, Response
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

router = APIRouter(prefix="/health", tags=["health"])
GESUND, BEEINTRAECHTIGT, KRITISCH = "gesund", "beeintraechtigt", "kritisch"
_ORDER = (GESUND, BEEINTRAECHTIGT, KRITISCH)


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


def index() -> dict[str, Any]:
    return {"status": GESUND if search_index.ready.is_set() else KRITISCH}


COMPONENTS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "datenbank": (database, KRITISCH),
    "schema": (schema, KRITISCH),
    "redis": (redis, KRITISCH),
    "speicher": (object_storage, KRITISCH),
    "suchindex": (index, KRITISCH),
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
def alive(response: Response) -> dict[str, str]:
    if not search_index.ready.is_set():
        response.status_code = 503
        return {"status": KRITISCH, "version": VERSION, "grund": "Suchindex wird aufgebaut"}
    return {"status": GESUND, "version": VERSION}


@router.get("/detailed")
def detailed() -> dict[str, Any]:
    parts = components()
    return {"status": worst([part["status"] for part in parts.values()]), "version": VERSION, "komponenten": parts}


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
