"""One engine per process, opened on first use so that a forked worker never shares a connection."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from ablage.settings import database_url


@cache
def engine() -> Engine:
    return create_engine(
        database_url(),
        pool_size=5,
        max_overflow=5,
        # the database may be renamed or restored under a running program
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "ablage"},
    )


@cache
def session_factory() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


def session() -> Iterator[Session]:
    """A session per request; what the request did not commit is rolled back."""
    with session_factory()() as opened:
        yield opened
