# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of databases that are large in one way each: thousands of tables, and a table of two GiB that nothing compresses."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.parts import need_part
from tests.servers import S3, Postgres, debian_postgres_versions

TABLES = 5000
GIB = 1 << 30
#: A row's ``bytea`` of random bytes, and how many of them are 2 GiB.
ROW = 1 << 20
ROWS = 2 * GIB // ROW
FORMATS = [{"format": "custom"}, {"format": "directory", "jobs": 2}]


#: Memory for locks is as PostgreSQL has it by default: each session locks every table that it reads.
SETTINGS = {"max_wal_size": "4GB", "autovacuum": "off"}


@pytest.fixture(scope="module")
def server() -> t.Iterator[Postgres]:
    with Postgres(settings=SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def older_server() -> t.Iterator[Postgres]:
    versions = debian_postgres_versions()
    need_part("debian-postgres", versions, "no postgresql package is installed")
    with Postgres(versions[0], settings=SETTINGS) as made:
        yield made


def make_many(server: Postgres) -> str:
    """Half of the tables are empty, and half have a row."""
    database = server.create_database("many")
    with server.connect(database) as connection:
        connection.execute("set synchronous_commit to off")
        for first in range(0, TABLES, 500):  # a transaction locks what it makes
            connection.execute(
                f"do $$ begin for i in {first} .. {first + 499} loop"
                "  execute format('create table public.t_%s (id int, title text)', i);"
                "  if i % 2 = 0 then execute format('insert into public.t_%s values (%s, ''a'')', i, i); end if;"
                " end loop; end $$"
            )
    return database


@pytest.fixture(scope="module")
def many(server: Postgres) -> str:
    return make_many(server)


def options(server: Postgres, database: str, destination: str, **more: t.Any) -> dict[str, t.Any]:
    return {
        "dsn": server.dsn(database, password=None),
        "password": server.password,
        "pg_bindir": str(server.programs),
        "destination": destination,
        **more,
    }


@pytest.mark.parametrize("how", FORMATS, ids=lambda how: how["format"])
def test_five_thousand_tables_are_backed_up_and_proven(
    run_module_here: ModuleRun, server: Postgres, many: str, tmp_path: Path, how: dict[str, t.Any]
) -> None:
    made = run_module_here("pg_backup", options(server, many, f"file://{tmp_path}", **how))
    assert (made["backup"]["tables"], made["backup"]["rows"]) == (TABLES, TABLES // 2), made
    assert (made["verified"]["level"], made["verified"]["tables"]) == ("restore", TABLES)
    archive = Path(made["backup"]["archive"].removeprefix("file://"))
    assert archive.is_file() if how["format"] == "custom" else len(list(archive.iterdir())) == TABLES + 1


@pytest.mark.long
def test_five_thousand_tables_of_an_older_server_are_backed_up_and_proven(
    run_module_here: ModuleRun, older_server: Postgres, tmp_path: Path
) -> None:
    made = run_module_here("pg_backup", options(older_server, make_many(older_server), f"file://{tmp_path}"))
    assert (made["backup"]["tables"], made["backup"]["rows"]) == (TABLES, TABLES // 2), made
    assert (made["verified"]["level"], made["verified"]["tables"]) == ("restore", TABLES)


@pytest.fixture(scope="module")
def large(server: Postgres) -> str:
    """Out of line and as they are, as images and videos are kept."""
    database = server.create_database("large")
    with server.connect(database) as connection:
        connection.execute("create table public.scans (id int primary key, body bytea)")
        connection.execute("alter table public.scans alter body set storage external")
        with connection.cursor() as cursor, cursor.copy("copy public.scans from stdin (format binary)") as copy:
            copy.set_types(["int4", "bytea"])
            for number in range(ROWS):
                copy.write_row((number, os.urandom(ROW)))
        (size,) = connection.execute("select pg_table_size('public.scans')").fetchone()
    assert size >= 2 * GIB
    return database


@pytest.mark.parametrize("how", FORMATS, ids=lambda how: how["format"])
def test_two_gib_that_nothing_compresses_are_backed_up_and_proven(
    run_module_here: ModuleRun, server: Postgres, large: str, tmp_path: Path, how: dict[str, t.Any]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with S3() as store:
        bucket = store.create_bucket()
        keys = {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}
        wanted = options(server, large, f"s3://{bucket}", s3=keys, work_dir=str(work), compression="none", **how)
        made = run_module_here("pg_backup", {**wanted, "verify": "archive", "compare": "rows"})
        assert made["verified"]["rows"] == ROWS, made
        # As text each byte is two digits: beyond what 32 bits count.
        assert made["backup"]["size_bytes"] > 4 * GIB
        assert list(work.iterdir()) == []


@pytest.mark.long
def test_two_gib_that_nothing_compresses_are_proven_by_a_restore(
    run_module_here: ModuleRun, server: Postgres, large: str, tmp_path: Path
) -> None:
    """One row is compared by its digest: to hash each row as text, twice, takes three minutes more."""
    digest = server.execute("select md5(body) from public.scans where id = %s", ROWS - 1, dbname=large)[0][0]
    asked = [{"query": f"select md5(body) from public.scans where id = {ROWS - 1}", "expect": digest}]
    wanted = options(server, large, f"file://{tmp_path}", compression="none", compare="rows", verify_sql=asked)
    made = run_module_here("pg_backup", wanted)
    assert made["verified"]["level"] == "restore", made
    assert made["verified"]["rows"] == ROWS
    assert made["verified"]["database_bytes"] >= 2 * GIB
    assert made["backup"]["size_bytes"] > 4 * GIB
    assert server.execute("select datname from pg_database where datname like 'large%%'") == [(large,)]
