# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles that a backup brings along: with them it restores, owners and all, onto a server that knows none of them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from psycopg import sql

from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import Postgres

TABLES = """
create table public.notes (id bigserial primary key, text text);
insert into public.notes (text) values ('a'), ('b')
"""
#: Names and texts that break out of what is put together as text.
ODD = 'Zwei "Wörter"\n\'); drop role x; -- $golive$ \\'


class Roles:
    """A database whose roles depend on each other, and have what roles have."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        mark = sample.name.rpartition("_")[2]
        self.group, self.above, self.odd, self.stranger = (
            f"{word}_{mark}" for word in ("group", "above", ODD, "stranger")
        )
        self.all = [self.group, self.above, self.odd, self.stranger]

    def create(self) -> Roles:
        statements = [
            "create role {above} createrole connection limit 7",
            "create role {group} noinherit",
            "create role {odd} login valid until '2031-02-03 04:05:06+00' password 'role-canary-51c9'",
            "create role {stranger} login",
            "grant {above} to {group} with admin option",
            "grant {group} to {owner}",
            "grant pg_monitor to {group}",
            'alter role {odd} set search_path to app, "$user"',
            "alter role {odd} set application_name to {text}",
            "comment on role {odd} is {text}",
            "grant select on public.notes to {odd}",
            "alter role {odd} in database {name} set statement_timeout to '7s'",
        ]
        with self.sample.connect() as connection:
            for statement in statements:
                names = {one: sql.Identifier(getattr(self, one)) for one in ("group", "above", "odd", "stranger")}
                names.update(owner=sql.Identifier(self.sample.owner), name=sql.Identifier(self.sample.name))
                connection.execute(sql.SQL(statement).format(**names, text=sql.Literal(ODD)))
        return self

    def drop(self) -> None:
        self.sample.drop()
        forget(self.sample.server, self.all)


def forget(server: Postgres, names: t.Iterable[str]) -> None:
    with server.connect() as connection:
        for name in names:
            connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))


@pytest.fixture(params=["postgres", "debian_postgres"])
def source(request: pytest.FixtureRequest) -> t.Iterator[Roles]:
    """On the newest server and on an older one, which knows less of memberships."""
    made = Roles(Sample(request.getfixturevalue(request.param)))
    try:
        made.sample.create(TABLES)
        yield made.create()
    finally:
        made.drop()


@pytest.fixture(scope="module")
def elsewhere() -> t.Iterator[Postgres]:
    """A server of its own, which knows none of a test's roles: each database has roles of its own names."""
    with Postgres() as server:
        yield server


def back_up(run: ModuleRun, sample: Sample, place: Path) -> dict[str, t.Any]:
    made = run(
        "pg_backup",
        sample.options(destination=f"file://{place}", verify="head", pg_bindir=sample.programs),
        secrets=[sample.password, "role-canary-51c9"],
    )
    assert made["changed"] is True, made["msg"]
    return dict(made["backup"])


def program(server: Postgres, name: str, *arguments: str) -> str:
    host = server.connect().info
    environment = {
        **os.environ, "PGHOST": host.host, "PGPORT": str(host.port), "PGUSER": host.user, "PGPASSWORD": host.password,
    }  # fmt: skip
    ended = subprocess.run(
        [server.program(name), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def psql(server: Postgres, script: str) -> None:
    path = script.removeprefix("file://")
    program(server, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", path, "postgres")


ROLES = """
select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit,
       rolvaliduntil at time zone 'UTC', rolconfig, shobj_description(oid, 'pg_authid')
from pg_roles where rolname !~ '^pg_' and rolname <> 'postgres' and rolname = any(%s) order by rolname collate "C"
"""
MEMBERS = """
select m.member::regrole::text, m.roleid::regrole::text, bool_or(m.admin_option) from pg_auth_members m
join pg_roles r on r.oid = m.member where r.rolname = any(%s) group by 1, 2 order by 1, 2
"""
IN_DATABASE = """
select r.rolname, setconfig from pg_db_role_setting join pg_roles r on r.oid = setrole
join pg_database d on d.oid = setdatabase where datname = %s order by 1
"""


def test_a_backup_restores_with_its_owners_onto_a_server_that_knows_none(
    run_module_here: ModuleRun, source: Roles, elsewhere: Postgres, tmp_path: Path
) -> None:
    sample = source.sample
    made = back_up(run_module_here, sample, tmp_path)
    script = Path(made["roles"].removeprefix("file://"))
    archive = Path(made["archive"].removeprefix("file://"))
    assert "role-canary" not in script.read_text()
    needed = [sample.owner, sample.reader, source.group, source.above, source.odd]
    for _again in range(2):  # a second run finds them all
        psql(elsewhere, made["roles"])
    assert elsewhere.execute(ROLES, needed) == sample.server.execute(ROLES, needed)
    assert elsewhere.execute(MEMBERS, needed) == sample.server.execute(MEMBERS, needed)
    mark = source.stranger.rpartition("_")[2]
    every = {name for (name,) in elsewhere.execute("select rolname from pg_roles where rolname like %s", f"%{mark}")}
    assert every == set(needed)

    # Without --exit-on-error pg_restore would go on over a role that is missing.
    program(elsewhere, "pg_restore", "--exit-on-error", "--create", "-d", "postgres", str(archive))
    psql(elsewhere, made["roles"])
    assert elsewhere.execute(IN_DATABASE, sample.name) == sample.server.execute(IN_DATABASE, sample.name)
    owner = (
        "select relowner::regrole::text, has_table_privilege(%s, oid, 'select') from pg_class where relname = 'notes'"
    )
    assert elsewhere.execute(owner, source.odd, dbname=sample.name) == [(sample.owner, True)]


def test_a_grant_that_says_more_than_older_servers_know_is_made_again(
    run_module_here: ModuleRun, postgres: Postgres, elsewhere: Postgres, tmp_path: Path
) -> None:
    roles = Roles(Sample(postgres))
    try:
        roles.sample.create(TABLES)
        roles.create()
        names = {"above": sql.Identifier(roles.above), "odd": sql.Identifier(roles.odd)}
        with postgres.connect() as connection:
            connection.execute(sql.SQL("grant {above} to {odd} with inherit false, set false").format(**names))
        made = back_up(run_module_here, roles.sample, tmp_path)
        psql(elsewhere, made["roles"])
        options = MEMBERS.replace(
            "bool_or(m.admin_option)", "bool_or(m.admin_option), bool_or(inherit_option), bool_or(set_option)"
        )
        needed = [roles.sample.owner, roles.group, roles.above, roles.odd]
        found = elsewhere.execute(options, needed)
        assert found == postgres.execute(options, needed)
        assert [row[2:] for row in found if roles.odd.replace('"', '""') in row[0]] == [(False, False, False)]
    finally:
        roles.drop()


def test_tablespaces_are_told_and_never_made_by_themselves(
    run_module_here: ModuleRun, elsewhere: Postgres, tmp_path: Path
) -> None:
    with Postgres() as server:
        sample = Sample(server).create(TABLES)  # it ends with its server
        plain, odd, unused = (server.directory / name for name in ("plain", "odd", "unused"))
        for place in (plain, odd, unused):
            place.mkdir()
            os.chown(place, *(server.cluster.stat().st_uid, server.cluster.stat().st_gid))
        in_name = "two\n'); drop role x; --\rdrop database postgres;"
        with sample.connect() as connection:
            for name, place in (("plain", plain), (in_name, odd), ("unused", unused)):
                make = sql.SQL("create tablespace {} location {} with (random_page_cost = 1.1)")
                connection.execute(make.format(sql.Identifier(name), sql.Literal(str(place))))
            connection.execute("alter table public.notes set tablespace plain")
            index = sql.SQL("create index on public.notes (text) tablespace {}").format(sql.Identifier(in_name))
            connection.execute(index)
        made = back_up(run_module_here, sample, tmp_path)
        options = {"owner": "postgres", "options": ["random_page_cost=1.1"]}
        told = [{"name": "plain", "location": str(plain)}, {"name": in_name, "location": str(odd)}]
        assert made["tablespaces"] == [{**one, **options} for one in told]
        manifest = json.loads(Path(made["manifest"].removeprefix("file://")).read_text())
        assert manifest["server"]["tablespaces"] == made["tablespaces"]

    spaces = "select spcname from pg_tablespace where spcname !~ '^pg_'"
    psql(elsewhere, made["roles"])
    assert elsewhere.execute(spaces) == []
    assert elsewhere.execute("select 1 from pg_database where datname = 'postgres'") == [(1,)]
    script = Path(made["roles"].removeprefix("file://")).read_bytes().decode()
    (line,) = [one for one in script.split("\n") if one.startswith('-- CREATE TABLESPACE "plain" ')]
    place = elsewhere.directory / "plain"
    place.mkdir()
    os.chown(place, *(elsewhere.cluster.stat().st_uid, elsewhere.cluster.stat().st_gid))
    elsewhere.execute(line.removeprefix("-- ").replace(str(plain), str(place)))
    assert elsewhere.execute(spaces) == [("plain",)]
    archive = made["archive"].removeprefix("file://")
    with pytest.raises(AssertionError, match="tablespace"):
        program(elsewhere, "pg_restore", "--exit-on-error", "--create", "-d", "postgres", archive)
    elsewhere.execute(sql.SQL("drop database {}").format(sql.Identifier(sample.name)))
    program(elsewhere, "pg_restore", "--exit-on-error", "--create", "--no-tablespaces", "-d", "postgres", archive)
    elsewhere.execute(sql.SQL("drop database {}").format(sql.Identifier(sample.name)))
    elsewhere.execute("drop tablespace plain")


def test_a_role_that_is_there_is_left_as_it_is(
    run_module_here: ModuleRun, source: Roles, elsewhere: Postgres, tmp_path: Path
) -> None:
    made = back_up(run_module_here, source.sample, tmp_path)
    with elsewhere.connect() as connection:
        connection.execute(sql.SQL("create role {} login connection limit 3").format(sql.Identifier(source.above)))
    psql(elsewhere, made["roles"])
    kept = elsewhere.execute(
        "select rolcanlogin, rolcreaterole, rolconnlimit from pg_roles where rolname = %s", source.above
    )
    assert kept == [(True, False, 3)]


@pytest.mark.parametrize("broken", ["changed", "missing"])
def test_roles_that_are_not_what_was_written_are_no_proof(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path, broken: str
) -> None:
    with Sample(postgres) as sample:
        made = back_up(run_module_here, sample, tmp_path)
        wanted = sample.options(state="verified", backup=made["manifest"], pg_bindir=sample.programs)
        assert run_module_here("pg_restore", wanted)["verified"]["ok"] is True
        script = Path(made["roles"].removeprefix("file://"))
        with contextlib.ExitStack() as after:
            if broken == "changed":
                after.callback(script.write_text, script.read_text())
                script.write_text("create role intruder superuser;\n")
            else:
                script.unlink()
            failed = run_module_here("pg_restore", wanted)
        said = f"{made['roles']} is {'not what was written' if broken == 'changed' else 'missing'}."
        assert said in failed["msg"], failed["msg"]


def test_a_proof_that_fails_leaves_no_roles_behind(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path
) -> None:
    with Sample(postgres) as sample:
        place = {"destination": f"file://{tmp_path}", "pg_bindir": sample.programs}
        wrong = [{"query": "select 1", "expect": "2"}]
        failed = run_module_here("pg_backup", sample.options(**place, verify_sql=wrong))
        assert "verify_sql number 1 gave 1, expected 2" in failed["msg"]
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
