# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup whose rows and contents are right, and whose index cannot be: only pg_amcheck tells."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import amcheck, pg_programs
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.servers import Postgres

#: As a collation does that changed with the system's libc, but reproducibly: an order that contradicts itself.
NO_ORDER = """
create function app.no_order(int, int) returns int language sql immutable as
    'select case when $1 = $2 then 0 when ($1 * 7919) % 104729 * (($2 * 31) % 17 - 8) > 0 then 1 else -1 end';
create operator class app.no_order_ops for type int using btree as
    operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 app.no_order(int, int);
create table app.unordered (number int);
insert into app.unordered select generate_series(1, 1000);
create index unordered_number on app.unordered (number app.no_order_ops)
"""


@pytest.fixture(params=[None, "15"], ids=["18", "15"])
def sample(request: pytest.FixtureRequest) -> t.Iterator[Sample]:
    server: Postgres = request.getfixturevalue("postgres" if request.param is None else "debian_postgres")
    with Sample(server, name="a=b 'c' größe") as made:
        yield made


def wanted(sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
    return {**superuser, "destination": f"file://{place}", "pg_bindir": sample.programs, "amcheck": True, **more}


def test_a_healthy_restore_passes_and_says_how_long_it_took(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    there = sample.databases()
    plain = run_module_here("pg_backup", wanted(sample, tmp_path, amcheck=False))
    assert plain["verified"]["amcheck_seconds"] is None, plain
    made = run_module_here("pg_backup", wanted(sample, tmp_path, max_age=3600), secrets=[sample.server.password])
    assert made["changed"] is True, made
    assert made["verified"]["amcheck_seconds"] > 0
    assert (made["verified"]["ok"], made["verified"]["schema_equal"]) == (True, True)
    assert run_module_here("pg_backup", wanted(sample, tmp_path, max_age=3600))["changed"] is False
    again = run_module_here("pg_restore", {**wanted(sample, tmp_path, jobs=2), "state": "verified"})
    assert again["verified"]["amcheck_seconds"] > 0, again
    assert sample.databases() == there


def test_an_index_that_contradicts_itself_fails_the_proof(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    there = sample.databases()
    for statement in NO_ORDER.strip().split(";\n"):
        sample.execute(statement)
    (tmp_path / "blind").mkdir()
    blind = run_module_here("pg_backup", wanted(sample, tmp_path / "blind", amcheck=False))
    assert "failed" not in blind, blind
    assert blind["verified"]["ok"] is True
    found = run_module_here("pg_backup", wanted(sample, tmp_path))
    assert found["failed"] is True, found
    assert "What was restored is damaged" in found["msg"]
    assert "unordered_number" in found["msg"]
    assert [path for path in tmp_path.rglob("*.dump*") if "blind" not in str(path)] == []
    assert sample.databases() == there


def test_a_limit_of_the_login_is_no_damage(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = pg_programs.Programs(sample.programs, (18, 0))
    superuser = sample.dsn(login="postgres"), sample.server.password

    def seconds() -> float:
        return amcheck.check(programs, *superuser, dbname=sample.name, jobs=1, deadline=Deadline(60))

    sample.server.execute("alter role postgres set statement_timeout = '1ms'")
    try:
        assert seconds() > 0
        monkeypatch.setattr(amcheck, "_UNLIMITED", {})
        with pytest.raises(GoliveError) as cancelled:
            seconds()
        assert "damaged" not in str(cancelled.value)
    finally:
        with sample.server.connect(options="-c statement_timeout=0") as connection:
            connection.execute("alter role postgres reset statement_timeout")


def test_it_is_refused_before_a_long_restore_where_it_cannot_be(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    plain = sample.options(destination=f"file://{tmp_path}", pg_bindir=sample.programs, amcheck=True)
    for check in (True, False):
        denied = run_module_here("pg_backup", plain, check=check)
        assert "is a superuser's alone" in denied["msg"], denied
    useless = run_module_here("pg_backup", wanted(sample, tmp_path, verify="archive"))
    assert useless["failed"] is True, useless
    assert "amcheck looks at a restored database, and with verify: archive there is none" in useless["msg"]
    ignored = run_module_here("pg_restore", {**wanted(sample, tmp_path), "state": "restored", "restore_id": "r1"})
    assert "amcheck is for state verified, and state is restored" in ignored["msg"], ignored
    without = tmp_path / "bin"
    without.mkdir()
    for program in ("pg_dump", "pg_restore"):
        (without / program).symlink_to(Path(sample.programs) / program)
    lacking = run_module_here("pg_backup", wanted(sample, tmp_path, pg_bindir=str(without)))
    assert lacking["failed"] is True, lacking
    assert f"{without}/pg_amcheck is not there" in lacking["msg"]
    assert list(tmp_path.rglob("*.json")) == []
