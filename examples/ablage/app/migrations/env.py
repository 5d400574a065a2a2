"""Alembic environment: the database comes from ablage.settings, so a migration and the backend cannot disagree."""

from __future__ import annotations

from logging.config import fileConfig

from ablage.models import Base
from ablage.settings import database_url
from alembic import context
from sqlalchemy import create_engine, pool

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def migrate_offline() -> None:
    """Render SQL; the connection is never opened."""
    context.configure(url=database_url(), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def migrate_online() -> None:
    engine = create_engine(database_url(), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    migrate_offline()
else:
    migrate_online()
