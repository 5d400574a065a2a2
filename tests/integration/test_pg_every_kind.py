# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that break naive tools: backed up, lost and brought back, they are what they were, to the last grant."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import typing as t
from pathlib import Path

import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions import backup_proof
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.test_pg_restore import restore
from tests.servers import UNPRIVILEGED_UID, Postgres, Standby, runs_as_root

#: One statement each, divided by an empty line; {owner} and {reader} are roles.
EVERYTHING = r'''
create schema kinds

create schema "Ein ""Schema"" 名前
" authorization {reader}

create type kinds.mood as enum ('sad', 'ok', 'happy', 'it''s')

create type kinds.address as (street text, number int)

create domain kinds.percent as numeric(5, 2) not null check (value between 0 and 100)

create type kinds.span as range (subtype = float8)

create function kinds.upper_first(text) returns text language sql immutable as $$ select upper(left($1, 1)) || substr($1, 2) $$

create table kinds.all_types (
    id int generated always as identity primary key, m kinds.mood, a kinds.address, p kinds.percent default 0, s kinds.span,
    i4 int4range, moments tstzrange[], j json, jb jsonb, b bytea, words text[], grid int[][], cash money, tsv tsvector, tsq tsquery,
    bits bit(5), more_bits bit varying, ip inet, net cidr, mac macaddr, x xid8, u uuid, iv interval, f float8, n numeric,
    at timestamptz, d date, c "char", fixed char(4), pt point, poly polygon,
    first text generated always as (kinds.upper_first('x')) stored
)

insert into kinds.all_types (m, a, p, s, i4, moments, j, jb, b, words, grid, cash, tsv, tsq, bits, more_bits, ip, net, mac, x, u, iv, f,
    n, at, d, c, fixed, pt, poly) values
    ('it''s', ('Straße "1"', 2), 99.99, '[1.5,2.5)', '[1,5)', array[tstzrange('2026-01-01', null)], '{"a":  1, "a": 2}', '{"b": [1, null]}',
    '\x00ff', array['a,b', null, E'n\nl', '"'], array[[1, 2], [3, 4]], 1234.56, 'fat:2A cat', 'fat & !cat', b'10101', b'1', '::1/64',
    '10.0.0.0/8', '08:00:2b:01:02:03', '123', '00000000-0000-0000-0000-000000000001', '1 year 2 mons -3 days 04:05:06.7', 'NaN',
    'Infinity', '0044-03-15 12:00:00+00 BC', 'infinity', 'x', 'ab', '(1,2)', '((0,0),(1,1),(1,0))'),
    (null, null, 0, 'empty', 'empty', array[]::tstzrange[], 'null', 'null', '', array[]::text[], null, -0.01, '', null, b'00000', b'', null,
    null, null, null, null, null, '-0', 1e-50, '-infinity', null, null, '', null, null)

create table "Ein ""Schema"" 名前
"."Tabelle
mit ""Zeile""" ("Spalte
1" int, "b (c), d" text)

insert into "Ein ""Schema"" 名前
"."Tabelle
mit ""Zeile""" values (1, 'Größe'), (2, E'tab\t\\N'), (null, '\.')

alter table "Ein ""Schema"" 名前
"."Tabelle
mit ""Zeile""" owner to {reader}

create table kinds.secret (id int primary key, who text)

insert into kinds.secret select i, 'role' || i from generate_series(1, 9) i

alter table kinds.secret enable row level security

alter table kinds.secret force row level security

create policy own_rows on kinds.secret for select to {reader} using (who = current_user)

alter table kinds.secret owner to {owner}

create unlogged table kinds.unlogged (a int)

insert into kinds.unlogged values (1)

create table kinds.parted (k int, at date, primary key (k, at)) partition by range (at)

create table kinds.parted_1 partition of kinds.parted for values from ('2026-01-01') to ('2026-07-01') partition by hash (k)

create table kinds.parted_1a partition of kinds.parted_1 for values with (modulus 2, remainder 0)

create table kinds.parted_1b partition of kinds.parted_1 for values with (modulus 2, remainder 1)

create table kinds.parted_rest partition of kinds.parted default

insert into kinds.parted select i, date '2026-01-01' + i * 30 from generate_series(1, 20) i

create table kinds.parent (a int check (a > 0))

create table kinds.child (b text) inherits (kinds.parent)

insert into kinds.child values (1, 'b')

create materialized view kinds.summary as select count(*) from kinds.secret

create unique index on kinds.summary (count)

create table kinds.log (at timestamptz default now(), what text)

create function kinds.noted() returns trigger language plpgsql as $$ begin insert into kinds.log (what) values (tg_op); return null; end $$

create trigger noted after update on kinds.secret for each statement execute function kinds.noted()

alter table kinds.secret disable trigger noted

create rule kept as on delete to kinds.log do instead nothing

create function kinds.no_drop() returns event_trigger language plpgsql as $$ begin if false then raise exception 'no'; end if; end $$

create event trigger watched on sql_drop execute function kinds.no_drop()

create view kinds.visible with (security_barrier) as select id from kinds.secret where id > 1

create statistics kinds.related on k, at from kinds.parted

create publication everything for table kinds.secret, kinds.log with (publish = 'insert')

create sequence kinds.down increment -3 minvalue -100 maxvalue 10 start 10 cache 5

select nextval('kinds.down'), nextval('kinds.down')

create sequence kinds.round minvalue 1 maxvalue 3 cycle

select nextval('kinds.round') from generate_series(1, 4)

create aggregate kinds.total(int) (sfunc = int4pl, stype = int, initcond = '0')

create operator kinds.=== (leftarg = int, rightarg = int, function = int4eq)

create collation kinds.plain (provider = libc, locale = 'C')

grant select (id), update (who) on kinds.secret to {reader} with grant option

grant usage on schema kinds to {reader}, public

revoke execute on function kinds.upper_first(text) from public

alter default privileges for role {owner} in schema kinds grant select on tables to {reader}

alter default privileges for role {owner} revoke execute on functions from public

comment on table kinds.secret is E'a "comment"\nof two lines'

comment on constraint parent_a_check on kinds.parent is 'positive'

comment on trigger noted on kinds.secret is 'disabled'

select lo_from_bytea(4711, '\xdeadbeef'), lo_from_bytea(4712, '')

grant select on large object 4711 to {reader}

alter large object 4712 owner to {owner}

comment on large object 4711 is 'large'
'''
#: What the rest of the types is, with a row of values, and one of none.
MORE_TYPES = r"""
create table kinds.more_types (
    yes bool, i2 int2, i8 int8, f4 float4, v varchar(9), ts timestamp(3), clock time, clock_tz timetz, several int4multirange,
    mac8 macaddr8, found jsonpath, ln line, seg lseg, bx box, pa path, ci circle, lsn pg_lsn, o oid, rel regclass, fn regprocedure
)

insert into kinds.more_types values
    (true, -32768, 9223372036854775807, '-Infinity', E'\'"\\\t', '2026-02-28 23:59:59.9996', '24:00:00', '04:05:06.789-08', '{[1,3),[5,)}',
    '08:00:2b:01:02:03:04:05', '$.a[*] ? (@.b > 1)', '{1,-1,0}', '[(0,0),(1,1)]', '((1,1),(0,0))',
    '[(0,0),(1,1),(2,0)]', '<(0,0),1.5>', '16/B374D848', 4294967295, 'kinds.secret', 'kinds.upper_first(text)')

insert into kinds.more_types (rel) values (null), ('pg_catalog.pg_class')
"""
#: Of PostgreSQL 18.
VIRTUAL = r"""
create table kinds.computed (a int, twice int generated always as (a * 2) virtual, thrice int generated always as (a * 3) stored)

insert into kinds.computed values (1), (null)
"""
EXTENSIONS = r"""
create schema extra

create extension pg_trgm with schema extra

create extension hstore

create extension citext

create table kinds.extended (id uuid default gen_random_uuid() primary key, name citext unique, more hstore)

insert into kinds.extended (name, more) values ('Name', 'a=>1, "b c"=>NULL')

create index on kinds.extended using gin ((name::text) extra.gin_trgm_ops)
"""
#: The embedded server is built without both.
XML_AND_UUID_OSSP = r"""
create table kinds.papers (doc xml)

insert into kinds.papers values ('<a b="1">Größe<!-- x --></a>'), ('words <b/>'), (null)

create extension "uuid-ossp" with schema extra

alter table kinds.extended alter id set default extra.uuid_generate_v4()
"""
#: What each version has beside the statements above.
MORE = {"postgres": VIRTUAL + EXTENSIONS, "debian_postgres": EXTENSIONS + XML_AND_UUID_OSSP}
#: Every row of every table with its oid's name, and the shared rows that belong to a database. OIDs are the new database's own.
FACTS = {
    # the locale has other columns in each version, and those of another are null
    "database": "select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, datallowconn,"
    " (select spcname from pg_tablespace s where s.oid = dattablespace), to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale',"
    " to_jsonb(d)->>'daticurules', datcollversion,"
    " datistemplate, datconnlimit, (select array_agg(a::text order by a::text) from unnest(datacl) a),"
    " shobj_description(oid, 'pg_database') from pg_database d where datname = current_database()",
    "settings": "select setrole::regrole::text, setconfig from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase"
    " where datname = current_database() order by 1",
    "large objects": "select oid, lomowner::regrole::text, lomacl::text, lo_get(oid) from pg_largeobject_metadata order by 1",
    "extensions": "select extname, extnamespace::regnamespace::text, extversion from pg_extension order by 1",
}
SEQUENCES = "select schemaname, sequencename, last_value, increment_by, cycle from pg_sequences order by 1, 2"


class World(t.NamedTuple):
    """All that a database is, as the server's own programs and catalogs tell it."""

    contents: dict[str, tuple[int, str]]
    schema: list[str]
    facts: dict[str, list[t.Any]]
    sequences: list[t.Any]


def world(sample: Sample, name: str | None = None) -> World:
    server, name = sample.server, name or sample.name
    dumped = subprocess.run(
        [server.program("pg_dump"), "--schema-only", "--dbname", server.dsn(name, password=None)],
        env={"PGPASSWORD": server.password},
        capture_output=True,
        check=True,
    )
    lines = [line for line in dumped.stdout.decode("utf-8", "replace").splitlines() if "restrict " not in line]
    contents = {}
    with sample.connect(name) as connection:
        for statement in ("set search_path to pg_catalog", "set timezone to 'UTC'", "set client_encoding to 'UTF8'"):
            connection.execute(statement)
        tables = connection.execute(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where relkind in ('r', 'm') and nspname !~ '^(pg_|information_schema)' order by 1"
        ).fetchall()
        for (table,) in tables:
            hashed = (
                f"select count(*), coalesce(md5(string_agg(r_::text, '|' order by r_::text)), '') from only {table} r_"
            )
            contents[str(table)] = connection.execute(hashed).fetchone()
        facts = {what: connection.execute(asked).fetchall() for what, asked in FACTS.items()}
        return World(contents, lines, facts, connection.execute(SEQUENCES).fetchall())


def build(sample: Sample, statements: str, clauses: str = "") -> None:
    """The sample's roles, and a database of the sample's name with all this in it."""
    roles = {"owner": sql.Identifier(sample.owner), "reader": sql.Identifier(sample.reader)}
    name = sql.Identifier(sample.name)
    sample.create("select 1")
    sample.server.drop_database(sample.name)
    with sample.server.connect() as connection:
        for statement in (
            "create database {} owner {} template template0 connection limit 33 " + clauses,
            "revoke all on database {} from public",
            "alter database {} set search_path to kinds, \"$user\", 'a b'",
            "alter role {1} in database {0} set work_mem to '8MB'",
            "grant connect on database {} to {} with grant option",
        ):
            connection.execute(sql.SQL(statement).format(name, roles["owner"]))
        connection.execute(sql.SQL("comment on database {} is {}").format(name, sql.Literal("Größe \"1\"\n'zwei'")))
    with sample.connect() as connection:
        for statement in filter(None, statements.strip("\n").split("\n\n")):
            used = {key: value for key, value in roles.items() if "{" + key + "}" in statement}
            connection.execute(sql.SQL(statement).format(**used) if used else statement)


def lost_and_brought_back(run: ModuleRun, sample: Sample, place: Path) -> tuple[World, World]:
    """The world before, and after it was backed up, destroyed and restored."""
    superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}

    def call(module: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        answer = run(module, {**wanted, **superuser})
        assert "failed" not in answer, answer
        return answer

    before = world(sample)
    fenced = str(call("pg_fence", sample.options(state="fenced", fence_id="r1"))["fenced_database"])
    backup = sample.options(destination=f"file://{place}", database=fenced, pg_bindir=sample.programs)
    made = call("pg_backup", backup)
    assert (made["verified"]["compared"], made["verified"]["schema_equal"]) == ("rows and content", True), made
    sample.execute("drop schema if exists kinds cascade", name=fenced)
    since = call("pg_restore", restore(sample, "assessed"))["baseline"]
    call("pg_restore", restore(sample, "restored", backup=made["backup"]["manifest"], baseline=since))
    return before, world(sample)


def assert_alike(before: World, after: World) -> None:
    assert after.contents == before.contents
    assert after.schema == before.schema
    assert after.facts == before.facts
    assert [one[:2] for one in after.sequences] == [one[:2] for one in before.sequences]
    for (*unused, was, step, cycles), (*unused_too, now, step_now, cycles_now) in zip(
        before.sequences, after.sequences
    ):
        assert (step, cycles) == (step_now, cycles_now)
        # Never behind: what was given out is not given again.
        assert now == was if was is None or cycles else (now - was) * step >= 0


@pytest.mark.parametrize("kind", ["postgres", "debian_postgres"])
def test_a_database_of_every_kind_is_what_it_was(
    run_module_here: ModuleRun, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    server: Postgres = request.getfixturevalue(kind)
    sample = Sample(server)
    try:
        build(sample, EVERYTHING + MORE_TYPES + MORE[kind])
        before, after = lost_and_brought_back(run_module_here, sample, tmp_path)
        assert len(before.contents) > 10 and len(before.facts["large objects"]) == 2
        assert_alike(before, after)
    finally:
        sample.drop()


PLAIN = "create schema kinds\n\ncreate table kinds.t as select i, 'Größe ' || i as t from generate_series(1, 50) i"
#: Names, statements and clauses.
ODD = {
    "63 bytes": ("ä" * 31 + "x", PLAIN, ""),
    "58 bytes": ("数" * 17 + "_50bytes", PLAIN, ""),
    "quotes and lines": ('Das "Archiv" = a\n%s\'x', PLAIN, ""),
    "empty": ("empty one", "", ""),
    "LATIN1": ("latin", PLAIN, "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'"),
}


@pytest.mark.parametrize(
    ("kind", "name", "statements", "clauses"),
    [
        *(
            pytest.param(kind, *case, id=f"{identity}, {version}")
            for kind, version in (("postgres", "18"), ("debian_postgres", "15"))
            for identity, case in ODD.items()
        ),
        pytest.param(
            "debian_postgres", "of_icu", PLAIN, "locale_provider icu icu_locale 'de-AT' locale 'C.UTF-8'", id="ICU"
        ),
        pytest.param(
            "postgres",
            "builtin",
            PLAIN,
            "locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C'",
            id="builtin",
        ),
    ],
)
def test_a_database_of_an_odd_name_or_encoding_is_what_it_was(
    run_module_here: ModuleRun,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kind: str,
    name: str,
    statements: str,
    clauses: str,
) -> None:
    sample = Sample(request.getfixturevalue(kind), name=name)
    try:
        build(sample, statements, clauses)
        assert_alike(*lost_and_brought_back(run_module_here, sample, tmp_path))
    finally:
        for left in sample.server.execute("select datname from pg_database where datname like '%failed_r1'"):
            sample.server.drop_database(left[0])
        sample.drop()


@pytest.mark.parametrize("kind", ["postgres", "debian_postgres"])
def test_a_database_in_a_tablespace_with_a_table_in_another_is_what_it_was(
    run_module_here: ModuleRun, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    server: Postgres = request.getfixturevalue(kind)
    sample, places = Sample(server), [f"{name}_{secrets.token_hex(4)}" for name in ("platten", "langsame")]
    for place in places:
        folder = server.directory / place
        folder.mkdir()
        if runs_as_root():
            os.chown(folder, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        server.execute(f"create tablespace {place} location '{folder}'")
    elsewhere = f"{PLAIN}\n\ncreate table kinds.elsewhere tablespace {places[1]} as table kinds.t\n\ncreate index on kinds.t (i) tablespace {places[1]}"
    try:
        build(sample, elsewhere, f"tablespace {places[0]}")
        before, after = lost_and_brought_back(run_module_here, sample, tmp_path)
        assert places[0] in before.facts["database"][0]
        assert f"SET default_tablespace = {places[1]};" in before.schema
        assert_alike(before, after)
    finally:
        sample.drop()
        for place in places:
            server.execute(f"drop tablespace {place}")


@pytest.mark.parametrize("version", [None, "15"], ids=["18", "15"])
def test_a_backup_is_taken_from_a_standby_and_proven_on_its_primary(
    run_module_here: ModuleRun, request: pytest.FixtureRequest, tmp_path: Path, version: str | None
) -> None:
    primary: Postgres = request.getfixturevalue("postgres" if version is None else "debian_postgres")
    with Sample(primary) as sample, Standby(primary, version) as standby:
        standby.catch_up()
        wanted = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
        wanted.update(verify_dsn=sample.dsn(), verify_password=sample.password)
        wanted["dsn"] = standby.dsn(sample.name, user=sample.login, password=None)
        made = run_module_here("pg_backup", wanted, secrets=[sample.password])
        assert "A standby has no rows of unlogged tables, so the backup has none: app.unlogged." in str(
            made["warnings"]
        )
        assert (made["verified"]["compared"], made["verified"]["rows"]) == (
            "rows and content",
            made["backup"]["rows"],
        ), made
        written = json.loads(Path(made["backup"]["manifest"].removeprefix("file://")).read_text())
        assert written["server"]["in_recovery"] is True
        # Without another server for the proof there is none, and it says so.
        alone = run_module_here("pg_backup", {**wanted, "verify_dsn": None, "verify_password": None})
        assert alone["failed"] is True and "read-only transaction" in alone["msg"], alone
        assert [path.suffix for path in tmp_path.rglob("*.dump")] == [".dump"]


PUBLICATION = 'create publication "für\nalle" for table app.documents (id, title) where (id > 7)'


def edit(url: str, change: t.Callable[[dict[str, t.Any]], object]) -> None:
    """A manifest in a directory, with this change."""
    path = Path(url.removeprefix("file://"))
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


@pytest.mark.parametrize("kind", ["postgres", "debian_postgres"])
def test_a_login_that_is_no_superuser_proves_a_database_that_publishes(
    run_module_here: ModuleRun, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    with Sample(request.getfixturevalue(kind)) as sample:
        sample.execute(PUBLICATION)
        sample.execute("create publication everything for all tables")
        wanted = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
        made = run_module_here("pg_backup", wanted, secrets=[sample.password])
        assert made.get("changed") is True, made
        assert (made["verified"]["owners"], made["verified"]["schema_equal"]) == ("left out", True)
        url = made["backup"]["manifest"]
        verified = restore(sample, "verified", backup=url)
        superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
        for login, owners in (({}, "left out"), (superuser, "kept")):
            seen = run_module_here("pg_restore", {**verified, **login})
            assert (seen["verified"]["owners"], seen["verified"]["schema_equal"]) == (owners, True), seen
        # What is not restored is not compared either, and everything else is.
        edit(url, lambda found: found.update(schema_sha256="0" * 64))
        assert run_module_here("pg_restore", verified)["verified"]["schema_equal"] is True
        assert "the schema differs" in run_module_here("pg_restore", {**verified, **superuser})["msg"]
        edit(url, lambda found: found.update(unpublished_schema_sha256="0" * 64))
        assert "the schema differs" in run_module_here("pg_restore", verified)["msg"]


def test_a_manifest_of_before_tells_nothing_of_a_schema_without_publications(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path
) -> None:
    with Sample(postgres) as sample:
        sample.execute(PUBLICATION)
        wanted = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
        url = run_module_here("pg_backup", wanted)["backup"]["manifest"]

        def as_before(found: dict[str, t.Any]) -> None:
            del found["unpublished_schema_sha256"], found["only_superusers_make"]

        edit(url, as_before)
        seen = run_module_here("pg_restore", restore(sample, "verified", backup=url))
        assert seen["verified"]["schema_equal"] is None, seen
        assert "The schema was not compared" in str(seen["warnings"])
        superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
        seen = run_module_here("pg_restore", {**restore(sample, "verified", backup=url), **superuser})
        assert seen["verified"]["schema_equal"] is True, seen


WATCHED = "create function app.no_drop() returns event_trigger language plpgsql as $$ begin null; end $$"


def test_what_only_a_superuser_makes_is_refused_before_the_dump(
    run_module_here: ModuleRun, postgres: Postgres, tmp_path: Path
) -> None:
    with Sample(postgres) as sample:
        sample.execute(WATCHED)
        sample.execute('create event trigger "Wächter" on sql_drop execute function app.no_drop()')
        try:
            wanted = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
            for check in (True, False):
                refused = run_module_here("pg_backup", wanted, check=check, secrets=[sample.password])
                assert refused["error"] == "Denied", refused
                assert f'1 event trigger ("Wächter") of {sample.name}' in refused["msg"], refused
                assert "pg_read_all_data" not in refused["msg"]
            assert list(tmp_path.iterdir()) == []
            made = run_module_here("pg_backup", {**wanted, "verify": "archive"})
            assert made["changed"] is True, made
            verified = restore(sample, "verified", backup=made["backup"]["manifest"])
            refused = run_module_here("pg_restore", verified)
            assert refused["error"] == "Denied" and '"Wächter"' in refused["msg"], refused
            # A manifest of before does not say so, and pg_restore's own words are no matter of reading.
            edit(made["backup"]["manifest"], lambda found: found.pop("only_superusers_make"))
            failed = run_module_here("pg_restore", verified)
            assert failed["error"] == "CommandFailed" and "Use a superuser's login" in failed["msg"], failed
            assert sample.databases() == [sample.name]
            superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
            assert run_module_here("pg_backup", {**wanted, **superuser})["verified"]["owners"] == "kept"
        finally:
            sample.execute('drop event trigger "Wächter"')


@pytest.mark.parametrize("scope", ["all tables", "tables in schema app"])
@pytest.mark.parametrize("kind", ["postgres", "debian_postgres"])
def test_a_publication_that_only_a_superuser_makes_is_refused_before_the_restore(
    run_module_here: ModuleRun,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    scope: str,
) -> None:
    with Sample(request.getfixturevalue(kind)) as sample:
        sample.execute(f"create publication everything for {scope}")
        wanted = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
        made = run_module_here("pg_backup", wanted)
        untried = f'Whether the login makes 1 publication ("everything") of {sample.name} again'
        assert untried in str(made["warnings"]) and "may create nothing in the database postgres" in str(
            made["warnings"]
        )
        sample.server.drop_database(sample.name)
        wanted = restore(sample, "restored", backup=made["backup"]["manifest"])
        # It has CREATE in the new database alone.
        would = run_module_here("pg_restore", wanted, check=True)
        assert would["changed"] is True and untried in str(would["warnings"]), would
        server_wide = f"create on database postgres {{}} {sample.login}"
        sample.server.execute("grant " + server_wide.format("to"))
        try:
            known = run_module_here("pg_restore", wanted, check=True)
        finally:
            sample.server.execute("revoke " + server_wide.format("from"))
        restored = False
        real = backup_proof.Archive.restore

        def restoring(*args: t.Any, **more: t.Any) -> None:
            nonlocal restored
            restored = True
            real(*args, **more)

        monkeypatch.setattr(backup_proof.Archive, "restore", restoring)
        for refused in (known, run_module_here("pg_restore", wanted)):
            assert refused["error"] == "Denied", refused
            assert f'1 publication ("everything") of {sample.name}' in refused["msg"]
        assert (sample.databases(), restored) == ([], False)
        superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
        done = run_module_here("pg_restore", {**wanted, **superuser})
        assert done["changed"] is True, done
        assert sample.execute("select pubname from pg_publication") == [("everything",)]


#: Written otherwise once it was read back: an array of casts, groups of parentheses, a constant in the database's time zone.
REWRITTEN = """
create schema app;
create table app.orders (
    status varchar(20) check (status in ('open', 'paid')), n int, at timestamptz default '2020-01-01 00:00:00+00',
    check (n between 1 and 5 and status <> 'gone'), check (at > '2019-12-31 23:00:00+00')
);
create index on app.orders (n) where status in ('open', 'paid') and n between 1 and 9;
create view app.open_orders as select n from app.orders where status in ('open', 'paid') and (n between 1 and 5 or n is null);
insert into app.orders values ('open', 1)
"""


@pytest.mark.parametrize("kind", ["postgres", "debian_postgres"])
def test_expressions_that_a_restore_writes_otherwise_are_the_same_schema(
    request: pytest.FixtureRequest, kind: str, run_module_here: ModuleRun, tmp_path: Path
) -> None:
    sample = Sample(request.getfixturevalue(kind)).create(REWRITTEN)
    options = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs)
    made = run_module_here("pg_backup", options)
    assert made.get("changed") is True, made
    assert made["verified"]["schema_equal"] is True
