"""Retention periods by kind of document, filled in for what is already archived.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# § 147 AO, § 257 HGB: vouchers 8 years since 2025, letters 6, contracts 10 after their end
RULES = [
    {"kind": "rechnung", "years": 8},
    {"kind": "vertrag", "years": 10},
    {"kind": "brief", "years": 6},
    {"kind": "sonstiges", "years": 6},
]


def upgrade() -> None:
    rules = op.create_table(
        "retention_rules",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("years", sa.Integer, nullable=False),
        sa.CheckConstraint("years between 1 and 100", name="retention_rules_years_sane"),
    )
    op.bulk_insert(rules, RULES)
    op.add_column("documents", sa.Column("retention_until", sa.Date))
    # a period begins with the end of the year in which the document arose
    op.execute(
        """
        update documents set retention_until =
            make_date(extract(year from created_at at time zone 'UTC')::int + rules.years, 12, 31)
        from retention_rules rules where rules.kind = documents.kind
        """
    )
    op.alter_column("documents", "retention_until", nullable=False)


def downgrade() -> None:
    op.drop_column("documents", "retention_until")
    op.drop_table("retention_rules")
