"""Documents: upload, list, read, download, export, delete."""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from ablage import storage
from ablage.database import session, session_factory
from ablage.models import Document, Event, RetentionRule
from ablage.security import SignedIn
from ablage.settings import load
from fastapi import APIRouter, Depends, HTTPException, Query, Response, UploadFile
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

router = APIRouter(prefix="/documents", tags=["documents"])
Database = Annotated[Session, Depends(session)]
EXPORT_COLUMNS = ("id", "title", "kind", "file_name", "size_bytes", "sha256", "note", "created_at", "retention_until")
EXPORTED_FILES = 100


def as_json(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "kind": document.kind,
        "file_name": document.file_name,
        "content_type": document.content_type,
        "size_bytes": document.size_bytes,
        "sha256": document.sha256,
        "on_paper": document.object_key is None,
        "note": document.note,
        "created_at": document.created_at.isoformat(),
        "retention_until": document.retention_until.isoformat(),
    }


def found(db: Session, document_id: int) -> Document:
    document = db.get(Document, document_id)
    if document is None:
        raise HTTPException(404, "Dokument nicht gefunden")
    return document


def retention_until(db: Session, kind: str) -> date:
    """The end of the year in which the period of this kind of document ends."""
    return date(datetime.now(UTC).year + db.get_one(RetentionRule, kind).years, 12, 31)


@router.post("", status_code=201)
@router.post("/", status_code=201, include_in_schema=False)
def upload(
    *,
    user: SignedIn,
    db: Database,
    file: UploadFile,
    title: str | None = None,
    kind: Literal["rechnung", "vertrag", "brief", "sonstiges"] = "sonstiges",
    note: str | None = None,
) -> dict[str, Any]:
    content = file.file.read(load().max_request_body_bytes + 1)
    if len(content) > load().max_request_body_bytes:
        raise HTTPException(413, "Datei zu groß")
    if not content.startswith(b"%PDF-"):
        raise HTTPException(415, "Nur PDF-Dateien")
    file_name = file.filename or "dokument.pdf"
    key = f"documents/{uuid.uuid4()}.pdf"
    storage.put(key, content, "application/pdf")
    document = Document(
        title=title or file_name,
        kind=kind,
        file_name=file_name,
        content_type="application/pdf",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        object_key=key,
        note=note,
        owner_id=user.user_id,
        retention_until=retention_until(db, kind),
    )
    db.add(document)
    db.flush()
    db.add(Event(document_id=document.id, actor=user.username, action="hochgeladen"))
    db.commit()
    db.refresh(document)
    return as_json(document)


@router.get("")
@router.get("/", include_in_schema=False)
def listing(
    user: SignedIn,
    db: Database,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: int | None = None,
) -> dict[str, Any]:
    """Newest first; `before` is the last id of the page before."""
    query = select(Document).order_by(Document.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Document.id < before)
    return {"documents": [as_json(document) for document in db.scalars(query)]}


def csv_lines() -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";")
    writer.writerow(EXPORT_COLUMNS)
    columns = [getattr(Document, name) for name in EXPORT_COLUMNS]
    # a session of its own: the request's is closed before the stream is read
    with session_factory()() as db:
        for row in db.execute(select(*columns).order_by(Document.id).execution_options(yield_per=2000)):
            writer.writerow(row)
            if buffer.tell() > 64 * 1024:
                yield buffer.getvalue().encode()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue().encode()


def zip_chunks(db: Session) -> Iterator[bytes]:
    """The newest files and the index of all documents, spooled to disk above 8 MiB."""
    with tempfile.SpooledTemporaryFile(max_size=8 * 1024 * 1024) as spool:
        with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("dokumente.csv", "w") as index:
                for chunk in csv_lines():
                    index.write(chunk)
            stored = select(Document).where(Document.object_key.is_not(None)).order_by(Document.id.desc())
            for document in db.scalars(stored.limit(EXPORTED_FILES)):
                archive.writestr(f"dateien/{document.id}-{document.file_name}", storage.read(str(document.object_key)))
        spool.seek(0)
        yield from iter(lambda: spool.read(64 * 1024), b"")


@router.get("/export")
def export(
    user: SignedIn, db: Database, file_format: Annotated[Literal["csv", "zip"], Query(alias="format")] = "csv"
) -> Response:
    if file_format == "zip":
        return StreamingResponse(
            zip_chunks(db),
            media_type="application/zip",
            headers={"Content-Disposition": "attachment; filename=ablage.zip"},
        )
    return StreamingResponse(
        csv_lines(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": "attachment; filename=ablage.csv"},
    )


@router.get("/retention")
def retention(user: SignedIn, db: Database) -> dict[str, int]:
    """Years of retention by kind of document."""
    return {rule.kind: rule.years for rule in db.scalars(select(RetentionRule).order_by(RetentionRule.kind))}


@router.get("/{document_id}")
def read(user: SignedIn, db: Database, document_id: int) -> dict[str, Any]:
    return as_json(found(db, document_id))


@router.get("/{document_id}/download")
def download(user: SignedIn, db: Database, document_id: int) -> Response:
    document = found(db, document_id)
    if document.object_key is None:
        raise HTTPException(409, "Nur auf Papier vorhanden")
    chunks = storage.stream(document.object_key)
    db.add(Event(document_id=document.id, actor=user.username, action="heruntergeladen"))
    db.commit()
    headers = {"Content-Disposition": f'attachment; filename="{document.id}.pdf"', "X-Sha256": document.sha256}
    return StreamingResponse(chunks, media_type=document.content_type, headers=headers)


@router.delete("/{document_id}", status_code=204)
def delete(user: SignedIn, db: Database, document_id: int) -> None:
    document = found(db, document_id)
    if document.owner_id != user.user_id and not user.is_admin:
        raise HTTPException(403, "Nicht das eigene Dokument")
    key = document.object_key
    db.delete(document)
    db.add(Event(document_id=None, actor=user.username, action=f"gelöscht: {document.id}"))
    db.commit()
    if key is not None:
        storage.delete(key)
