"""The ASGI application."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from ablage import admin, auth, broker, documents, health, ocr, search_index, storage
from ablage.settings import load
from ablage.version import VERSION
from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

log = logging.getLogger("ablage")
PREFIX = "/api/v1"
OPEN_IN_MAINTENANCE = (f"{PREFIX}/health", f"{PREFIX}/admin", f"{PREFIX}/auth/login")
MAINTENANCE_RETRY_SECONDS = "30"


def warm_up() -> None:
    """Load what the first request would otherwise wait for."""
    storage.client()
    broker.celery_app()
    search_index.build()


@asynccontextmanager
async def lifespan(_unused: FastAPI) -> AsyncIterator[None]:
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    yield


def in_maintenance() -> bool:
    try:
        return broker.maintenance() is not None
    except (RedisError, OSError):
        # the switch is the second layer: without Redis the proxy's flag still holds
        return False


async def refuse_in_maintenance(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    bypass = load().maintenance_bypass
    offered = request.headers.get("X-Golive-Bypass", "")
    is_exempt = request.url.path.startswith(OPEN_IN_MAINTENANCE) or (
        bypass != "" and hmac.compare_digest(offered.encode(), bypass.encode())
    )
    if not is_exempt and await run_in_threadpool(in_maintenance):
        return JSONResponse({"detail": "Wartung"}, 503, {"Retry-After": MAINTENANCE_RETRY_SECONDS})
    return await call_next(request)


async def dependency_down(_unused: Request, error: Exception) -> Response:
    log.error("dependency down: %s", type(error).__name__)
    return JSONResponse({"detail": "Vorübergehend nicht verfügbar"}, 503, {"Retry-After": "5"})


class VersionHeader:
    """Every answer names the version that gave it, error answers too."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-ablage-version", VERSION.encode())]
            await send(message)

        await self.app(scope, receive, stamped)


def create_app() -> VersionHeader:
    app = FastAPI(title="Ablage", version=VERSION, lifespan=lifespan)
    app.middleware("http")(refuse_in_maintenance)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(load().cors_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    for error in (OperationalError, RedisError, storage.StorageError):
        app.add_exception_handler(error, dependency_down)
    api = APIRouter(prefix=PREFIX)
    for module in (auth, documents, ocr, admin, health):
        api.include_router(module.router)
    app.include_router(api)
    return VersionHeader(app)
