"""Administration: the maintenance switch and the panel."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ablage import broker
from ablage.database import session
from ablage.models import Document, OcrJob, User
from ablage.security import Admin
from ablage.version import SCHEMA_REVISION, VERSION

router = APIRouter(prefix="/admin", tags=["admin"])


class Maintenance(BaseModel):
    reason: str = "Wartung"


@router.post("/maintenance/enable")
def enable(admin: Admin, request: Maintenance | None = None) -> dict[str, Any]:
    record = broker.maintenance() or {
        "since": datetime.now(UTC).isoformat(),
        "by": admin.username,
        "reason": (request or Maintenance()).reason,
    }
    broker.set_maintenance(record)
    return {"maintenance": True, **record}


@router.post("/maintenance/disable")
def disable(admin: Admin) -> dict[str, Any]:
    broker.set_maintenance(None)
    return {"maintenance": False}


@router.get("/maintenance/status")
def status(admin: Admin) -> dict[str, Any]:
    record = broker.maintenance()
    return {"maintenance": record is not None, **(record or {})}


@router.get("/panel")
def panel(admin: Admin, db: Annotated[Session, Depends(session)]) -> HTMLResponse:
    def count(model: type[Document] | type[User] | type[OcrJob]) -> int:
        return db.scalar(select(func.count()).select_from(model)) or 0

    rows = {
        "Version": VERSION,
        "Schema": SCHEMA_REVISION,
        "Dokumente": count(Document),
        "Benutzer": count(User),
        "OCR-Aufträge": count(OcrJob),
        **{f"Warteschlange {name}": length for name, length in broker.queue_lengths().items()},
    }
    cells = "".join(f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}" for name, value in rows.items())
    return HTMLResponse(
        f'<!doctype html><html lang="de"><meta charset="utf-8"><title>Ablage: Verwaltung</title>'
        f"<h1>Verwaltung</h1><p>Angemeldet als {html.escape(admin.username)}</p><table>{cells}</table></html>"
    )
