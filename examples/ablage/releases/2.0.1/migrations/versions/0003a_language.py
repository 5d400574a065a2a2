"""The language of each document.

Revision ID: 0003a
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003a"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("language", sa.Text, nullable=False, server_default="de"))
    op.create_index("documents_language", "documents", ["language"])


def downgrade() -> None:
    op.drop_index("documents_language", "documents")
    op.drop_column("documents", "language")
