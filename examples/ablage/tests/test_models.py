"""What the database is told to keep."""

from __future__ import annotations

from ablage.models import KINDS, Base, Document


def test_every_table_has_a_key() -> None:
    assert {"users", "documents", "events", "ocr_jobs", "settings"} <= set(Base.metadata.tables)
    assert all(table.primary_key.columns for table in Base.metadata.tables.values())


def test_a_file_belongs_to_one_document_and_an_unknown_kind_is_known() -> None:
    assert Document.__table__.columns["object_key"].unique
    assert Document.__table__.columns["kind"].default.arg in KINDS
