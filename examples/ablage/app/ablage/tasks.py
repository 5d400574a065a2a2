"""The Celery application: OCR jobs and the periodic clean-up."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import celeryd_after_setup
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from ablage import storage
from ablage.database import session_factory
from ablage.models import Document, OcrJob, Setting
from ablage.recognition import recognise
from ablage.settings import load

log = logging.getLogger("ablage.tasks")

app = Celery("ablage", broker=load().redis_url)
app.conf.update(
    task_default_queue="ocr",
    task_routes={"ablage.aufraeumen": {"queue": "wartung"}},
    task_queues=None,
    task_create_missing_queues=True,
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=True,
    broker_connection_retry_on_startup=True,
    # longer than any OCR job: a shorter one would hand a running job to a second worker
    broker_transport_options={"visibility_timeout": 3600, "socket_timeout": 10, "socket_connect_timeout": 2},
    beat_schedule={"aufraeumen": {"task": "ablage.aufraeumen", "schedule": 30.0, "options": {"expires": 25}}},
    timezone="UTC",
)


@celeryd_after_setup.connect
def hold_consumption(instance: Any, **_unused: Any) -> None:
    """With the hold file in place a worker starts, answers remote control, and consumes nothing until told to."""
    hold_file = load().worker_hold_file
    if hold_file and Path(hold_file).exists():
        for queue in list(instance.app.amqp.queues.consume_from):
            instance.app.amqp.queues.deselect(queue)
        log.warning("hold file present: consuming nothing until add_consumer")


# a database that is away for a while must not cost a job: it is handed in again, ever later
@app.task(
    name="ablage.ocr",
    bind=True,
    autoretry_for=(OperationalError,),
    max_retries=None,
    retry_backoff=1,
    retry_backoff_max=30,
    retry_jitter=False,
)
def ocr(task: Task, job_id: str) -> None:
    """Read a document's text into its job. Delivered twice, it is stored once."""
    identifier = uuid.UUID(job_id)
    with session_factory()() as session:
        job = session.get(OcrJob, identifier, with_for_update=True)
        if job is None:
            log.error("job %s is not in the database", job_id)
            return
        if job.state in ("fertig", "fehler"):
            return
        document = session.get_one(Document, job.document_id)
        job.state, job.attempts, job.started_at = "laeuft", job.attempts + 1, datetime.now(UTC)
        session.commit()
        key = document.object_key
    text, error = None, None
    started = time.monotonic()
    try:
        if key is None:
            raise ValueError("only on paper")
        text = recognise(storage.read(key))
    # a broken file can break its reader in any way, and its job must still end
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    # recognition takes OCR_SECONDS on the production GPU; the text layer alone is read in milliseconds
    time.sleep(max(0.0, load().ocr_seconds - (time.monotonic() - started)))
    with session_factory()() as session:
        session.execute(
            update(OcrJob)
            .where(OcrJob.id == identifier, OcrJob.state == "laeuft")
            .values(
                state="fehler" if error else "fertig",
                text=text,
                error=error,
                completions=OcrJob.completions + (0 if error else 1),
                done_by_task_id=task.request.id,
                finished_at=datetime.now(UTC),
            )
        )
        session.commit()


@app.task(name="ablage.aufraeumen")
def aufraeumen() -> None:
    """Give up jobs that failed to finish within a day, and record when this last ran."""
    now = datetime.now(UTC)
    with session_factory()() as session:
        given_up = session.scalars(
            update(OcrJob)
            .where(OcrJob.state == "laeuft", OcrJob.started_at < now - timedelta(days=1))
            .values(state="fehler", error="nicht beendet")
            .returning(OcrJob.id)
        ).all()
        session.merge(Setting(key="aufraeumen", value={"zuletzt": now.isoformat(), "aufgegeben": len(given_up)}))
        session.commit()
