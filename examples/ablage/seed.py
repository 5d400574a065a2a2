"""What is in the archive when it starts: paper records by the thousand, and a few real PDF documents."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from embedded.layout import Layout, Ports, Secrets
from embedded.postgres import connect

KINDS = ("rechnung", "vertrag", "brief", "sonstiges")
LETTERS = (
    ("rechnung", "Rechnung Bürobedarf", "Rechnung Nr. 4711 über 1.190,00 EUR, zahlbar binnen 14 Tagen."),
    ("vertrag", "Mietvertrag Lagerhalle", "Mietvertrag über die Lagerhalle Süd, Laufzeit fünf Jahre."),
    ("brief", "Schreiben der Stadtwerke", "Ihr Abschlag für Strom ändert sich zum 1. Januar."),
    ("sonstiges", "Protokoll", "Protokoll der Besprechung zur Einführung der Ablage."),
)
COPIES = 3

PAPER = """
insert into documents (title, kind, file_name, content_type, size_bytes, sha256, note, owner_id, created_at)
select 'Beleg ' || i, (array['rechnung', 'vertrag', 'brief', 'sonstiges'])[1 + i %% 4], 'beleg-' || i || '.pdf',
       'application/pdf', 20000 + (i * 7919) %% 80000, encode(sha256(i::text::bytea), 'hex'),
       case when i %% 3 = 0 then 'Ordner ' || i / 500 || ', Fach ' || i %% 40 end,
       (select id from users order by id limit 1), timestamptz '2017-01-01 00:00:00+00' + i * interval '7 minutes'
from generate_series(1, %(documents)s) as i
"""

EVENTS = """
insert into events (document_id, actor, action, happened_at)
select first + (i %% %(documents)s), case when i %% 5 = 0 then 'verwaltung' else 'anna' end,
       (array['angelegt', 'gelesen', 'umgelagert'])[1 + i %% 3],
       timestamptz '2017-01-01 00:00:00+00' + i * interval '5 minutes'
from generate_series(1, %(events)s) as i, (select min(id) as first from documents) as d
"""


def pdf(title: str, body: str) -> bytes:
    """A one-page PDF with a text layer; the same arguments give the same bytes."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setTitle(title)
    canvas.setFont("Helvetica-Bold", 16)
    canvas.drawString(72, 760, title)
    canvas.setFont("Helvetica", 11)
    canvas.drawString(72, 730, body)
    canvas.save()
    return buffer.getvalue()


def store_files(bucket: Path) -> list[dict[str, object]]:
    """Put the PDF documents where the S3 server serves them from, and return their rows."""
    folder = bucket / "documents"
    folder.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for copy in range(1, COPIES + 1):
        for kind, title, body in LETTERS:
            name = f"{kind}-{copy}.pdf"
            content = pdf(f"{title} ({copy})", body)
            (folder / name).write_bytes(content)
            rows.append(
                {
                    "title": f"{title} ({copy})", "kind": kind, "file_name": name, "size_bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(), "object_key": f"documents/{name}",
                }
            )  # fmt: skip
    return rows


def fill(layout: Layout, ports: Ports, secrets: Secrets, *, rows: int, files: list[dict[str, object]]) -> None:
    """About two fifths paper records, the rest the record of what was done to them."""
    documents = max(1, rows * 2 // 5)
    connection = connect(ports.postgres, user=layout.name, password=secrets.db_app_password, dbname=layout.name)
    with connection, connection.transaction(), connection.cursor() as cursor:
        cursor.execute("set local statement_timeout = 0")
        cursor.execute(PAPER, {"documents": documents})
        cursor.execute(EVENTS, {"documents": documents, "events": max(1, rows - documents - len(files))})
        cursor.executemany(
            "insert into documents (title, kind, file_name, content_type, size_bytes, sha256, object_key, note, owner_id)"
            " values (%(title)s, %(kind)s, %(file_name)s, 'application/pdf', %(size_bytes)s, %(sha256)s, %(object_key)s,"
            " 'eingescannt', (select min(id) from users))",
            files,
        )
        # planner statistics, as a system has that has been running
        cursor.execute("analyze users, documents, events")
