"""Notes are no longer kept.

Revision ID: 0003b
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003b"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("documents", "note")


def downgrade() -> None:
    # the column comes back, what was in it does not
    op.add_column("documents", sa.Column("note", sa.Text))
