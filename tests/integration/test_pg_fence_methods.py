# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 17 without renaming: `revoke` stands only where nobody else is, `none` only with a waiver, and each is lifted again."""

from __future__ import annotations

import typing as t
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample
from tests.servers import Postgres

NOTES = "create table public.notes (id bigserial primary key, text text)"
WAIVER = {"owner": "data team", "approver": "head of IT", "reason": "one writer", "expires": "2999-01-01T00:00:00Z"}


@pytest.fixture(params=["postgres", "debian_postgres"])
def server(request: pytest.FixtureRequest) -> Postgres:
    found: Postgres = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def sample(server: Postgres) -> t.Iterator[Sample]:
    made = Sample(server)
    try:
        yield made.create(NOTES)
    finally:
        made.drop()


def options(sample: Sample, state: str, **more: t.Any) -> dict[str, t.Any]:
    return sample.options(state=state, **{"fence_id": "r1", "method": "revoke", **more})


def grants(sample: Sample, name: str | None = None) -> str:
    """The database's ACL, byte for byte."""
    found = sample.server.execute("select datacl::text from pg_database where datname = %s", name or sample.name)
    return str(found[0][0])


def is_let_in(sample: Sample, user: str) -> bool:
    try:
        sample.server.connect(sample.name, user=user, password=sample.password).close()
    except psycopg.OperationalError as problem:
        if "permission denied" not in str(problem):
            raise
        return False
    return True


def assert_as_before(sample: Sample, before: tuple[str, dict[str, t.Any]]) -> None:
    assert (grants(sample), sample.properties()) == before
    assert sample.databases() == [sample.name]


def test_check_mode_apply_check_mode_apply_and_lifted_again(run_module_here: ModuleRun, sample: Sample) -> None:
    before = grants(sample), sample.properties()
    assert run_module_here("pg_fence", options(sample, "fenced"), check=True, diff=True)["changed"] is True
    assert_as_before(sample, before)
    done = run_module_here("pg_fence", options(sample, "fenced"), secrets=[sample.password])
    assert (done["changed"], done["method"], done["fenced_database"]) == (True, "revoke", sample.name), done
    assert [is_let_in(sample, who) for who in (sample.owner, sample.reader, sample.login)] == [False, False, True]
    for check in (True, False):
        again = run_module_here("pg_fence", options(sample, "fenced"), check=check)
        assert again["changed"] is False, again
        assert again["position"] == done["position"]
    seen = run_module_here("pg_fence", sample.options(state="status"))["fence"]
    assert (seen["state"], seen["method"], seen["fenced_database"]) == ("fenced", "revoke", sample.name)
    assert run_module_here("pg_fence", options(sample, "lifted"), check=True)["changed"] is True
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is False
    assert_as_before(sample, before)


def test_the_application_is_let_in_and_everybody_after_it(run_module_here: ModuleRun, sample: Sample) -> None:
    before = grants(sample), sample.properties()
    run_module_here("pg_fence", options(sample, "fenced"))
    inside = options(sample, "inside", application_roles=[sample.owner])
    assert run_module_here("pg_fence", inside)["changed"] is True
    assert [is_let_in(sample, who) for who in (sample.owner, sample.reader)] == [True, False]
    assert run_module_here("pg_fence", inside)["changed"] is False
    # Back from inside, and out of it again.
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True
    assert [is_let_in(sample, who) for who in (sample.owner, sample.reader)] == [False, False]
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
    assert_as_before(sample, before)


def test_another_session_is_named_and_nothing_was_taken(run_module_here: ModuleRun, sample: Sample) -> None:
    before = grants(sample), sample.properties()
    with sample.server.connect(sample.name, user=sample.reader, password=sample.password) as stranger:
        for check in (True, False):
            refused = run_module_here("pg_fence", options(sample, "fenced"), check=check)
            assert refused["error"] == "Refused", refused
            assert sample.reader in refused["msg"]
            assert [one["user"] for one in refused["foreign_sessions"]] == [sample.reader]
        assert stranger.execute("select 1").fetchone() == (1,)
        assert_as_before(sample, before)
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True


@pytest.mark.parametrize("stage", ["open", "inside"])
def test_a_session_that_slips_in_while_grants_are_taken_gives_everything_back(
    run_module_here: ModuleRun, sample: Sample, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    if stage == "inside":
        run_module_here("pg_fence", options(sample, "fenced"))
        run_module_here("pg_fence", options(sample, "inside", application_roles=[sample.owner]))
    before = grants(sample), sample.properties()
    slipped: list[t.Any] = []
    waiting = Cluster.await_starting_sessions

    def slip_in(cluster: Cluster, *arguments: t.Any) -> None:
        slipped.append(sample.connect())  # a superuser, whom no grant keeps out
        waiting(cluster, *arguments)

    monkeypatch.setattr(Cluster, "await_starting_sessions", slip_in)
    refused = run_module_here("pg_fence", options(sample, "fenced"))
    slipped[0].close()
    assert refused["error"] == "Refused", refused
    assert refused["left"] == {"state": stage}
    assert "1 other sessions" in refused["msg"]
    assert (grants(sample), sample.properties()) == before


def test_a_session_that_starts_is_waited_for(sample: Sample) -> None:
    """It locks the database before it reads the grants: as long as that lock is held, it may not be listed yet."""
    from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import cluster_of
    from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
    from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut

    opened = cluster_of(
        sample.dsn(),
        password=sample.password,
        maintenance="postgres",
        deadline=Deadline(3),
        application_name="opsready",
    )
    with opened as cluster, sample.server.connect() as starting:
        found = cluster.find(sample.name)
        assert found is not None
        cluster.await_starting_sessions(found.oid, sample.name)
        starting.execute("begin")
        starting.execute(sql.SQL("comment on database {} is 'x'").format(sql.Identifier(sample.name)))
        with pytest.raises(TimedOut, match="did not finish starting"):
            cluster.await_starting_sessions(found.oid, sample.name)
        starting.execute("rollback")


@pytest.mark.parametrize("state", ["fenced", "inside"])
def test_a_superuser_who_came_later_is_named_and_the_fence_stays(
    run_module_here: ModuleRun, sample: Sample, state: str
) -> None:
    before = grants(sample), sample.properties()
    run_module_here("pg_fence", options(sample, "fenced"))
    with sample.server.connect(sample.name, application_name="psql"):
        refused = run_module_here("pg_fence", options(sample, state, application_roles=[sample.owner]))
        assert refused["error"] == "Refused", refused
        assert "postgres (psql" in refused["msg"]
        assert not is_let_in(sample, sample.owner)
    run_module_here("pg_fence", options(sample, "lifted"))
    assert_as_before(sample, before)


def test_prepared_transactions_are_refused_and_nothing_was_taken() -> None:
    with Postgres(settings={"max_prepared_transactions": "2"}) as server, Sample(server) as sample:
        before = grants(sample), sample.properties()
        with sample.connect() as connection:
            connection.execute("begin")
            connection.execute("insert into app.documents (title) values ('x')")
            connection.execute("prepare transaction 'left over'")
        with ModuleInBackground("pg_fence", options(sample, "fenced")) as module:
            refused = module.answer()
        assert refused["error"] == "Refused"
        assert "left over of postgres" in refused["msg"]
        assert_as_before(sample, before)
        sample.execute("rollback prepared 'left over'")


def test_a_fence_by_renaming_is_kept_and_one_by_revoking_is_made_one(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    before = grants(sample), sample.properties()
    fenced = f"{sample.name}_golive_r1"
    assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True
    renamed = run_module_here("pg_fence", options(sample, "fenced", method="rename"))
    assert (renamed["changed"], renamed["method"], renamed["fenced_database"]) == (True, "rename", fenced), renamed
    assert grants(sample, fenced) == before[0]
    kept = run_module_here("pg_fence", options(sample, "fenced"))
    assert (kept["changed"], kept["method"]) == (False, "rename"), kept
    run_module_here("pg_fence", options(sample, "lifted"))
    assert_as_before(sample, before)


def test_another_releases_revoked_database_is_left_alone(run_module_here: ModuleRun, sample: Sample) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    for method in ("rename", "revoke"):
        refused = run_module_here("pg_fence", options(sample, "fenced", fence_id="r2", method=method))
        assert refused["error"] == "Refused", refused
        assert "fence r1" in refused["msg"]


@pytest.mark.parametrize("way", ["backup", "copy"])
def test_a_bad_release_is_taken_back_behind_revoked_grants(
    run_module_here: ModuleRun, server: Postgres, tmp_path: Path, way: str
) -> None:
    with Sample(server) as sample:
        before, contents = (sorted(grants(sample).strip("{}").split(",")), sample.properties()), sample.contents()
        run_module_here("pg_fence", options(sample, "fenced", copy=way == "copy"))
        wanted = sample.options(state="restored", restore_id="r1", pg_bindir=sample.programs)
        if way == "backup":
            place = {"destination": f"file://{tmp_path}", "pg_bindir": sample.programs, "verify": "head"}
            made = run_module_here("pg_backup", sample.options(**place))
            wanted["backup"] = made["backup"]["manifest"]
        else:
            wanted["copy"] = f"{sample.name}_before_r1"
        sample.execute("alter table app.documents drop column title")
        assessed = run_module_here("pg_restore", sample.options(state="assessed", restore_id="r1"))
        wanted["baseline"] = assessed["baseline"]
        done = run_module_here("pg_restore", wanted)
        assert (done.get("changed"), done.get("database")) == (True, sample.name), done
        assert run_module_here("pg_restore", wanted)["changed"] is False
        assert not is_let_in(sample, sample.owner)
        assert run_module_here("pg_fence", options(sample, "status"))["fence"]["state"] == "fenced"
        run_module_here("pg_fence", options(sample, "lifted"))
        assert (sorted(grants(sample).strip("{}").split(",")), sample.properties()) == before
        assert sample.contents() == contents


def test_no_fence_needs_a_waiver_and_changes_nothing(run_module_here: ModuleRun, sample: Sample) -> None:
    before = grants(sample), sample.properties()
    for state in ("fenced", "inside"):
        refused = run_module_here("pg_fence", options(sample, state, method="none", application_roles=[sample.owner]))
        assert refused["error"] == "Refused", refused
        assert "nothing waives that" in refused["msg"]
    with sample.server.connect(sample.name, user=sample.reader, password=sample.password) as stranger:
        for state in ("fenced", "inside"):
            wanted = options(sample, state, method="none", waiver=WAIVER, application_roles=[sample.owner])
            waived = run_module_here("pg_fence", wanted)
            assert (waived["changed"], waived["fenced_database"]) == (False, sample.name), waived
            assert [one["user"] for one in waived["foreign_sessions"]] == [sample.reader]
            assert "head of IT approved" in str(waived["warnings"])
        assert stranger.execute("select 1").fetchone() == (1,)
    assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is False
    assert_as_before(sample, before)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"approver": "Data Team"}, "its own owner"),
        ({"expires": "2020-01-01"}, "expired"),
        ({"reason": ""}, "no reason"),
    ],
)
def test_a_waiver_that_does_not_count_is_refused(
    run_module_here: ModuleRun, sample: Sample, changes: dict[str, str], said: str
) -> None:
    wanted = options(sample, "fenced", method="none", waiver={**WAIVER, **changes})
    assert said in run_module_here("pg_fence", wanted)["msg"]


def test_without_a_fence_there_is_neither_copy_nor_restore(run_module_here: ModuleRun, sample: Sample) -> None:
    wanted = options(sample, "fenced", method="none", waiver=WAIVER, copy=True)
    assert "A copy needs a fence" in run_module_here("pg_fence", wanted)["msg"]
    restore = sample.options(state="restored", restore_id="r1", copy="x", accept_data_loss=True)
    assert "is live" in run_module_here("pg_restore", restore)["msg"]


def test_a_lost_connection_does_not_hide_what_went_wrong(sample: Sample) -> None:
    from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import cluster_of
    from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
    from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed

    opened = cluster_of(
        sample.dsn(),
        password=sample.password,
        maintenance="postgres",
        deadline=Deadline(60),
        application_name="opsready",
    )

    def lose_the_connection(cluster: Cluster) -> None:
        with cluster.exclusive(sample.name, doing="test"):
            sample.server.execute("select pg_terminate_backend(%s)", cluster.connection.info.backend_pid)
            raise ActionFailed("the real reason")

    with opened as cluster, pytest.raises(ActionFailed, match="the real reason"):
        lose_the_connection(cluster)
