# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alembic projects as an application has them: alembic.ini, env.py and revision files, written for a test."""

from __future__ import annotations

import textwrap
from pathlib import Path

ENVIRONMENT = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ["DATABASE_URL"]
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"""
HEAD = "import sqlalchemy as sa\nfrom alembic import op\nimport os, sys\n"
#: A table, a column, and a column that cannot be brought back: (upgrade, downgrade).
NOTES = ("op.create_table('notes', sa.Column('id', sa.Integer), sa.Column('text', sa.Text))", "op.drop_table('notes')")
COLUMN = ("op.add_column('notes', sa.Column('extra', sa.Text))", "op.drop_column('notes', 'extra')")
LOSSY = ("op.drop_column('notes', 'text')", "op.add_column('notes', sa.Column('text', sa.Text))")


def revision(directory: Path, identity: str, down: str | None, code: tuple[str, str]) -> None:
    versions = directory / "migrations" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    up, back = (textwrap.indent(textwrap.dedent(part), "    ") for part in code)
    body = (
        f"{HEAD}revision = {identity!r}\ndown_revision = {down!r}\n\ndef upgrade():\n{up}\n\ndef downgrade():\n{back}\n"
    )
    (versions / f"{identity}.py").write_text(body)


def release(directory: Path, *revisions: tuple[str, str | None, tuple[str, str]]) -> Path:
    directory.mkdir()
    (directory / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (directory / "migrations").mkdir()
    (directory / "migrations" / "env.py").write_text(ENVIRONMENT)
    for one in revisions:
        revision(directory, *one)
    return directory
