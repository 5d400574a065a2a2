# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as a whole on real servers: only what is proven ours is dropped, and no name is cut in silence."""

from __future__ import annotations

import os
import signal
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.backup_proof import scratch_database
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster, cluster_of
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    Refused,
    TimedOut,
)
from tests.servers import Postgres

TOO_LONG = "ä" * 32  # 64 bytes


def opened(server: Postgres) -> t.ContextManager[Cluster]:
    deadline = Deadline(60)
    return cluster_of(
        server.dsn(password=None),
        password=server.password,
        maintenance="postgres",
        deadline=deadline,
        application_name="opsready/test",
    )


@pytest.fixture
def cluster(postgres: Postgres) -> t.Iterator[Cluster]:
    with opened(postgres) as found:
        yield found


def oid_of(cluster: Cluster, name: str) -> int:
    found = cluster.find(name)
    assert found is not None
    return found.oid


def names(server: Postgres) -> set[str]:
    return {name for (name,) in server.execute("select datname from pg_database")}


def test_a_name_that_the_server_would_cut_is_refused(cluster: Cluster, postgres: Postgres, database: str) -> None:
    before = names(postgres)
    for attempt in (
        lambda: cluster.find(TOO_LONG),
        lambda: cluster.create(TOO_LONG),
        lambda: cluster.rename(database, TOO_LONG),
    ):
        with pytest.raises(BadInput, match="63 bytes"):
            attempt()
    assert names(postgres) == before


def test_a_database_of_somebody_else_is_never_dropped(cluster: Cluster, postgres: Postgres, database: str) -> None:
    with pytest.raises(Refused, match="is not the one we made"):
        cluster.drop_made(database, "scratch", original="archive", identity="r1")
    with pytest.raises(Refused, match="left alone"):
        cluster.drop_ours(database, oid_of(cluster, database), "r1")
    assert database in names(postgres)


def test_only_the_marked_database_with_its_own_oid_is_dropped(cluster: Cluster, postgres: Postgres) -> None:
    name = "scratch_of_a_test"
    made = cluster.create(name)
    cluster.open_marked(made, "scratch", original="archive", identity="r1")
    for oid, identity in ((made.oid + 1, "r1"), (made.oid, "r2")):
        with pytest.raises(Refused, match="left alone"):
            cluster.drop_ours(name, oid, identity)
    assert name in names(postgres)
    cluster.drop_ours(name, made.oid, "r1")
    assert name not in names(postgres)
    cluster.drop_ours(name, made.oid, "r1")  # what is gone already is as wanted


def test_what_was_interrupted_before_its_mark_is_dropped(cluster: Cluster, postgres: Postgres) -> None:
    cluster.create("scratch_without_a_mark", original="archive")
    with pytest.raises(Refused, match="left alone"):
        cluster.drop_made("scratch_without_a_mark", "scratch", original="another", identity="r1")
    cluster.drop_made("scratch_without_a_mark", "scratch", original="archive", identity="r1")
    assert "scratch_without_a_mark" not in names(postgres)
    cluster.drop_made("scratch_without_a_mark", "scratch", original="archive", identity="r1")


def test_a_database_is_made_where_it_is_wanted(cluster: Cluster, postgres: Postgres, database: str) -> None:
    made = cluster.create(
        "copy_of_a_test", template=database, tablespace="pg_default", owner="postgres", original=database
    )
    try:
        assert (made.owner, made.allows_connections) == ("postgres", False)
        with pytest.raises(GoliveError, match="no_such_place"):
            cluster.create("elsewhere", tablespace="no_such_place")
    finally:
        cluster.drop_made("copy_of_a_test", "scratch", original=database, identity="r1")
    assert "elsewhere" not in names(postgres)


def test_a_scratch_database_is_gone_also_after_a_session_was_lost(postgres: Postgres) -> None:
    before = names(postgres)
    with opened(postgres) as cluster:
        with scratch_database(cluster, "archive", identity="r1", properties={}, warn=pytest.fail) as made:
            assert made.name in names(postgres) - before
            cluster.connection.close()
    assert names(postgres) == before


def test_a_session_that_does_not_end_is_named(cluster: Cluster, postgres: Postgres, database: str) -> None:
    with postgres.connect(database, application_name="stubborn") as session:
        pid = session.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimedOut, match=r"1 sessions on \S+ did not end: postgres \(stubborn\)"):
                cluster.end_sessions(database, seconds=0.3)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert [one["pid"] for one in cluster.end_sessions(database)] in ([pid], [])
    assert cluster.sessions(database) == []
