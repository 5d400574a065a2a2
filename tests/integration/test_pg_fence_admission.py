# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect between the renaming back and the opening to all, on PostgreSQL 15 and 18; and who cannot be kept out."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
import pytest
from psycopg import sql

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import Postgres

NOTES = "create table public.notes (id bigserial primary key, text text)"


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
    return sample.options(state=state, **{"fence_id": "r1", **more})


def as_superuser(sample: Sample) -> dict[str, str]:
    return {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}


def grants(sample: Sample) -> str | None:
    """The database's ACL, byte for byte."""
    found = sample.server.execute("select datacl::text from pg_database where datname = %s", sample.name)
    return t.cast("str | None", found[0][0])


def on_database(sample: Sample, statement: str, *roles: str, role: str | None = None) -> None:
    with sample.server.connect() as connection:
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, (sample.name, *roles))))


@contextlib.contextmanager
def another_role(sample: Sample, attributes: str = "login") -> t.Iterator[str]:
    name = f"other_{sample.name[-8:]}"
    with sample.server.connect() as connection:
        role = sql.Identifier(name)
        connection.execute(
            sql.SQL("create role {} password {} " + attributes).format(role, sql.Literal(sample.password))
        )
        try:
            yield name
        finally:
            sample.drop()  # what was granted by others goes with the database alone
            connection.execute(sql.SQL("drop role {}").format(role))


def go_inside(run: ModuleRun, sample: Sample, *roles: str, **more: t.Any) -> dict[str, t.Any]:
    assert run("pg_fence", {**options(sample, "fenced"), **more})["changed"] is True
    wanted = {**options(sample, "inside", application_roles=list(roles)), **more}
    answer = run("pg_fence", wanted, secrets=[sample.password])
    assert answer.get("changed") is True, answer
    return answer


def may_connect(sample: Sample, user: str) -> bool:
    try:
        sample.server.connect(sample.name, user=user, password=sample.password).close()
    except psycopg.OperationalError as problem:
        if "permission denied" not in str(problem):
            raise
        return False
    return True


def warnings(answer: dict[str, t.Any]) -> str:
    """As text, since ansible-core 2.19 makes a mapping of each."""
    return str(answer.get("warnings"))


def test_only_the_application_and_we_ourselves_may_connect_inside(run_module_here: ModuleRun, sample: Sample) -> None:
    with another_role(sample) as other:
        on_database(sample, "grant connect on database {} to public")
        before = grants(sample)
        assert all(may_connect(sample, who) for who in (sample.owner, sample.reader, sample.login, other))
        go_inside(run_module_here, sample, sample.reader)
        admitted = {who for who in (sample.owner, sample.reader, sample.login, other) if may_connect(sample, who)}
        # The owner's own login is no exception, and ours reads the revision meanwhile.
        assert admitted == {sample.reader, sample.login}
        assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
        assert all(may_connect(sample, who) for who in (sample.owner, sample.reader, sample.login, other))
        assert grants(sample) == before


def test_other_privileges_stay_while_connect_is_narrowed(run_module_here: ModuleRun, sample: Sample) -> None:
    go_inside(run_module_here, sample, sample.owner)
    asked = "select has_database_privilege(%s, %s, 'TEMP'), has_database_privilege(%s, %s, 'CREATE')"
    assert sample.server.execute(asked, sample.reader, sample.name, sample.owner, sample.name) == [(True, True)]
    run_module_here("pg_fence", options(sample, "lifted"))


def test_grants_of_several_grantors_come_back_in_their_order(run_module_here: ModuleRun, sample: Sample) -> None:
    with another_role(sample) as other:
        on_database(sample, "revoke all on database {} from {}", sample.reader)
        on_database(sample, "grant connect on database {} to {} with grant option", sample.reader)
        on_database(sample, "grant connect on database {} to {}", other, role=sample.reader)
        on_database(sample, "grant temporary on database {} to public")
        before = grants(sample)
        assert f"{other}=c/{sample.reader}" in str(before)
        # Only who may act as the grantor can give that grant back: our login may not, and so nothing is taken.
        assert run_module_here("pg_fence", options(sample, "fenced"))["changed"] is True
        denied = run_module_here("pg_fence", options(sample, "inside", application_roles=[sample.owner]))
        assert denied["error"] == "Denied", denied
        assert f"as {sample.reader}, who granted it" in denied["msg"]
        fenced = f"{sample.name}_golive_r1"
        assert sample.server.execute("select datacl::text from pg_database where datname = %s", fenced) == [(before,)]
        assert sample.properties(fenced)["open"] is True

        inside = options(sample, "inside", application_roles=[sample.owner])
        assert run_module_here("pg_fence", {**inside, **as_superuser(sample)})["changed"] is True
        assert not may_connect(sample, other)
        assert run_module_here("pg_fence", {**options(sample, "lifted"), **as_superuser(sample)})["changed"] is True
        assert grants(sample) == before


def test_the_grants_that_a_new_database_has_come_back_written_out(run_module_here: ModuleRun, server: Postgres) -> None:
    made = Sample(server)
    try:
        made.create(NOTES)
        with server.connect() as connection:
            for part in ("drop database {}", "create database {}"):
                connection.execute(sql.SQL(part).format(sql.Identifier(made.name)))
            owned = sql.SQL("alter database {} owner to {}")
            connection.execute(owned.format(sql.Identifier(made.name), sql.Identifier(made.owner)))
        assert grants(made) is None
        default = server.execute("select acldefault('d', datdba)::text from pg_database where datname = %s", made.name)
        go_inside(run_module_here, made, made.owner)
        assert not may_connect(made, made.reader)
        run_module_here("pg_fence", options(made, "lifted"))
        assert grants(made) == default[0][0]
    finally:
        made.drop()


def test_a_grant_made_meanwhile_is_kept_and_told(run_module_here: ModuleRun, sample: Sample) -> None:
    with another_role(sample) as other:
        go_inside(run_module_here, sample, sample.owner)
        on_database(sample, "grant connect on database {} to {}", other)
        lifted = run_module_here("pg_fence", options(sample, "lifted"))
        assert "were changed while it was fenced" in warnings(lifted), lifted
        assert all(may_connect(sample, who) for who in (sample.owner, sample.reader, other))
        assert sample.properties()["comment"] == "Das Archiv"


def test_a_role_that_was_renamed_or_dropped_meanwhile_does_not_hinder(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    with another_role(sample) as other:
        gone = f"gone_{sample.name[-8:]}"
        sample.server.execute(sql.SQL("create role {}").format(sql.Identifier(gone)).as_string(None))
        on_database(sample, "grant connect on database {} to {}", other)
        on_database(sample, "grant connect on database {} to {}", gone)
        go_inside(run_module_here, sample, sample.owner)
        with sample.server.connect() as connection:
            new = sql.Identifier(other + "_new")
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(gone)))
            connection.execute(sql.SQL("alter role {} rename to {}").format(sql.Identifier(other), new))
            connection.execute(sql.SQL("alter role {} password {}").format(new, sql.Literal(sample.password)))
            try:
                assert run_module_here("pg_fence", options(sample, "lifted"))["changed"] is True
                assert may_connect(sample, other + "_new")
            finally:
                connection.execute(sql.SQL("alter role {} rename to {}").format(new, sql.Identifier(other)))
        assert gone not in str(grants(sample))


def test_other_roles_may_be_let_in_later(run_module_here: ModuleRun, sample: Sample) -> None:
    before = grants(sample)
    go_inside(run_module_here, sample, sample.owner)
    inside = options(sample, "inside", application_roles=[sample.reader])
    for check in (True, False):
        assert run_module_here("pg_fence", inside, check=check)["changed"] is True
        assert may_connect(sample, sample.reader) is not check
    assert not may_connect(sample, sample.owner)
    assert run_module_here("pg_fence", inside)["changed"] is False
    run_module_here("pg_fence", options(sample, "lifted"))
    assert grants(sample) == before


@pytest.mark.parametrize(("roles", "said"), [([], "nobody could connect"), (["no_such_role"], "has no role")])
def test_roles_that_cannot_be_let_in_leave_the_fence_as_it_is(
    run_module_here: ModuleRun, sample: Sample, roles: list[str], said: str
) -> None:
    run_module_here("pg_fence", options(sample, "fenced"))
    before = sample.properties(f"{sample.name}_golive_r1")
    failed = run_module_here("pg_fence", options(sample, "inside", application_roles=roles))
    assert failed["error"] == "BadInput"
    assert said in failed["msg"]
    assert sample.properties(f"{sample.name}_golive_r1") == before


@pytest.mark.parametrize("method", ["rename", "revoke"])
def test_a_role_that_cannot_be_let_in_later_is_found_before_anything_is_closed(
    run_module_here: ModuleRun, sample: Sample, method: str
) -> None:
    """Neither the way on nor the way back would get past it: both go through the inside stage."""
    before = sample.properties()
    wanted = {"application_roles": [sample.owner, "archiv_misspelt"], "method": method}
    with sample.connect() as connection:
        for check in (True, False):
            refused = run_module_here("pg_fence", options(sample, "fenced", **wanted), check=check)
            assert refused["error"] == "BadInput" if method == "rename" else refused["failed"], refused
        connection.execute("select 1")
    if method == "revoke":  # where a session is, that is said first
        refused = run_module_here("pg_fence", options(sample, "fenced", **wanted))
    assert "The server has no role archiv_misspelt, which application_roles names" in refused["msg"]
    assert sample.properties() == before
    told = run_module_here("pg_fence", options(sample, "status", **wanted))
    assert told["missing_roles"] == ["archiv_misspelt"]
    assert told["fence"]["state"] == "open"
    assert (
        run_module_here("pg_fence", options(sample, "status", application_roles=[sample.owner]))["missing_roles"] == []
    )


def test_another_releases_inside_stage_is_not_fenced_over(run_module_here: ModuleRun, sample: Sample) -> None:
    before = grants(sample)
    go_inside(run_module_here, sample, sample.owner)
    for state in ("fenced", "lifted"):
        refused = run_module_here("pg_fence", options(sample, state, fence_id="r2"))
        assert refused["error"] == "Refused", refused
        assert f"{sample.name} (fence r1)" in refused["msg"]
    run_module_here("pg_fence", options(sample, "lifted"))
    assert grants(sample) == before


def superuser_writes(sample: Sample) -> psycopg.Connection[t.Any]:
    connection = sample.server.connect(sample.name, application_name="psql")
    connection.execute("insert into public.notes (text) values ('by hand')")
    return t.cast("psycopg.Connection[t.Any]", connection)


def test_a_superuser_inside_is_named_and_ended_at_the_point_of_no_return(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    more = as_superuser(sample)
    go_inside(run_module_here, sample, sample.owner, **more)
    application = sample.server.connect(sample.name, user=sample.owner, password=sample.password)
    with application, superuser_writes(sample) as stranger:
        seen = run_module_here("pg_fence", {**options(sample, "status"), **more})
        assert [one["application"] for one in seen["foreign_sessions"]] == ["psql"], seen
        lifted = run_module_here("pg_fence", {**options(sample, "lifted"), **more})
        assert [one["user"] for one in lifted["foreign_sessions"]] == ["postgres"], lifted
        assert [one["pid"] for one in lifted["ended_sessions"]] == [one["pid"] for one in seen["foreign_sessions"]]
        assert "postgres (psql at 127.0.0.1)" in warnings(lifted)
        # The application's own session goes on.
        assert application.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            stranger.execute("select 1")


def test_a_superuser_whom_we_may_not_end_is_named_and_the_fence_is_lifted(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    before = sample.properties()
    go_inside(run_module_here, sample, sample.owner)
    with superuser_writes(sample) as stranger:
        lifted = run_module_here("pg_fence", options(sample, "lifted"))
        assert (lifted["changed"], lifted["ended_sessions"]) == (True, []), lifted
        assert [one["user"] for one in lifted["foreign_sessions"]] == ["postgres"]
        assert "They go on, since they could not be ended" in warnings(lifted)
        assert stranger.execute("select 1").fetchone() == (1,)
    assert sample.properties() == before


def test_what_a_superuser_wrote_inside_is_counted_as_loss_before_the_way_back(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    more = as_superuser(sample)
    assert run_module_here("pg_fence", {**options(sample, "fenced", copy=True), **more})["changed"] is True
    restore = {**sample.options(restore_id="r1"), **more}
    baseline = run_module_here("pg_restore", {**restore, "state": "assessed"})["baseline"]
    run_module_here("pg_fence", {**options(sample, "inside", application_roles=[sample.owner]), **more})
    with sample.server.connect(sample.name, user=sample.owner, password=sample.password) as application:
        application.execute("insert into public.notes (text) values ('smoke')")
    own = [{"table": "notes", "column": "text", "values": ["smoke"]}]
    wanted = {**restore, "baseline": baseline, "own_rows": own}
    alone = run_module_here("pg_restore", {**wanted, "state": "assessed"})
    assert (alone["data_loss"]["lossless"], alone["data_loss"]["own_rows"]) == (True, 1), alone

    superuser_writes(sample).close()  # came and went: no list of sessions shows it
    again = run_module_here("pg_fence", {**options(sample, "fenced"), **more})
    assert again["foreign_sessions"] == [], again
    refused = run_module_here("pg_restore", {**wanted, "state": "restored", "copy": f"{sample.name}_before_r1"})
    assert refused["error"] == "Refused", refused
    assert (refused["data_loss"]["rows"], refused["data_loss"]["own_rows"]) == (1, 1)


def test_a_stranger_who_found_the_fenced_name_is_ended_and_named(run_module_here: ModuleRun, sample: Sample) -> None:
    more = as_superuser(sample)
    run_module_here("pg_fence", {**options(sample, "fenced"), **more})
    with sample.server.connect(f"{sample.name}_golive_r1", application_name="psql") as stranger:
        stranger.execute("select 1")
        wanted = {**options(sample, "inside", application_roles=[sample.owner]), **more}
        inside = run_module_here("pg_fence", wanted)
        assert [one["application"] for one in inside["ended_sessions"]] == ["psql"], inside
        assert "had found" in warnings(inside)
    run_module_here("pg_fence", {**options(sample, "lifted"), **more})


def test_an_enabled_subscription_is_refused(run_module_here: ModuleRun, sample: Sample) -> None:
    with sample.connect() as connection:
        connection.execute(
            "create subscription feed connection 'host=127.0.0.1 port=1 dbname=x' publication p"
            " with (connect = false, slot_name = none)"
        )
        connection.execute("alter subscription feed set (slot_name = 'feed')")
        connection.execute("alter subscription feed enable")
        refused = run_module_here("pg_fence", {**options(sample, "fenced"), **as_superuser(sample)})
        assert refused["error"] == "Refused", refused
        assert "write into database" in refused["msg"]
        assert "feed" in refused["msg"]
        connection.execute("alter subscription feed disable")
        connection.execute("alter subscription feed set (slot_name = none)")
        connection.execute("drop subscription feed")
    assert run_module_here("pg_fence", {**options(sample, "fenced"), **as_superuser(sample)})["changed"] is True
