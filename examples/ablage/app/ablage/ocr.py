"""OCR jobs: hand one in, ask how it stands."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from ablage import broker
from ablage.database import session
from ablage.models import Document, OcrJob
from ablage.security import SignedIn

router = APIRouter(prefix="/ocr", tags=["ocr"])
Database = Annotated[Session, Depends(session)]


class OcrRequest(BaseModel):
    document_id: int
    backend: Literal["auto", "textlayer"] = "auto"
    delay_seconds: float = Field(default=0, ge=0, le=3600)


@router.post("/process", status_code=202)
def submit(request: OcrRequest, user: SignedIn, db: Database) -> dict[str, str]:
    from kombu.exceptions import OperationalError

    document = db.get(Document, request.document_id)
    if document is None:
        raise HTTPException(404, "Dokument nicht gefunden")
    if document.object_key is None:
        raise HTTPException(409, "Nur auf Papier vorhanden")
    job = OcrJob(id=uuid.uuid4(), document_id=document.id, backend="textlayer")
    db.add(job)
    # committed first: a worker may be faster than this request
    db.commit()
    identifier = str(job.id)
    try:
        broker.celery_app().send_task(
            "ablage.ocr", (identifier,), task_id=identifier, countdown=request.delay_seconds or None, retry=False
        )
    except OperationalError:
        db.delete(job)
        db.commit()
        raise HTTPException(503, "Warteschlange nicht erreichbar", {"Retry-After": "5"}) from None
    return {"job_id": identifier, "state": job.state}


@router.get("/jobs/{job_id}")
def state(job_id: uuid.UUID, user: SignedIn, db: Database) -> dict[str, Any]:
    job = db.get(OcrJob, job_id)
    if job is None:
        raise HTTPException(404, "Auftrag nicht gefunden")
    return {
        "job_id": str(job.id),
        "document_id": job.document_id,
        "state": job.state,
        "backend": job.backend,
        "text": job.text,
        "error": job.error,
        "attempts": job.attempts,
        "completions": job.completions,
        "done_by_task_id": job.done_by_task_id,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }
