# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The swap of a restored database for the failed one, while clients reconnect as fast as they can: it works every time."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import psycopg
import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_restore
from tests.conftest import ModuleRun
from tests.integration.sample_database import TABLES, Sample
from tests.integration.test_pg_restore import restore
from tests.servers import Postgres, await_true

NOTES = "create table public.notes (id bigserial primary key, client text)"
CLIENTS = 12
TURNS = 3
#: Each note up to one of them; what clients write later is above.
HELD = "select count(*), md5(string_agg(n::text, '|' order by id)) from public.notes n where id <= %s"


class Reconnecting:
    """Clients that connect, write one row, and connect again; some are superusers, some look behind the fence."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.behind = ""
        self.stopped = threading.Event()
        self.unexpected: list[str] = []
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def _run(self, number: int) -> None:
        as_owner = number % 3
        login = self.sample.owner if as_owner else "postgres"
        password = self.sample.password if as_owner else self.sample.server.password
        turn = 0
        while not self.stopped.is_set():
            turn += 1
            # A superuser gets behind the fence by its name; he only looks, since what he wrote there would be lost.
            behind = self.behind if not as_owner and turn % 2 else ""
            dsn = self.sample.server.dsn(behind or self.sample.name, user=login, password=password)
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
                    if behind:
                        connection.execute("select count(*) from public.notes")
                    else:
                        connection.execute("insert into public.notes (client) values (%s)", (str(number),))
            except psycopg.OperationalError:
                continue  # no such database, not accepting connections, or ended: what a swap does to clients
            except psycopg.Error as problem:
                self.unexpected.append(f"{type(problem).__name__}: {problem}")

    def __enter__(self) -> Reconnecting:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        made.create(TABLES.rstrip().removesuffix(";") + ";\n" + NOTES)
        made.server.execute(f'grant connect on database "{made.name}" to "{made.owner}"')
        yield made
    finally:
        made.drop()


def without_notes(sample: Sample, name: str | None = None) -> dict[str, tuple[int, str]]:
    return {table: held for table, held in sample.contents(name).items() if "notes" not in table}


@pytest.mark.long
def test_twelve_clients_that_reconnect_never_stop_a_swap(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
    live = "select oid from pg_database where datname = %s"

    def run(module: str, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        answer = run_module_here(module, {**wanted, **superuser})
        assert "failed" not in answer, answer
        return answer

    with Reconnecting(sample) as clients:
        for turn in range(TURNS):
            identity = f"t{turn}"
            fenced = run("pg_fence", sample.options(state="fenced", fence_id=identity))["fenced_database"]
            place = sample.options(destination=f"file://{tmp_path}", database=fenced, pg_bindir=sample.programs)
            made = run("pg_backup", {**place, "verify": "head"})["backup"]
            last = sample.execute("select max(id) from public.notes", name=fenced)[0][0] or 0
            notes, others = sample.execute(HELD, last, name=fenced), without_notes(sample, fenced)
            sample.execute("drop table app.parted", name=fenced)
            since = run("pg_restore", restore(sample, "assessed", restore_id=identity))["baseline"]
            replaced = sample.server.execute(live, fenced)

            clients.behind = fenced
            wanted = {"restore_id": identity, "backup": made["manifest"], "baseline": since}
            if turn % 2:  # back into the fence, which is lifted afterwards: two renames more
                run("pg_restore", restore(sample, "restored", target=fenced, **wanted))
                run("pg_fence", sample.options(state="lifted", fence_id=identity))
            else:
                run("pg_restore", restore(sample, "restored", **wanted))
            failed = f"{sample.name}_failed_{identity}"
            assert sample.server.execute(live, failed) == replaced
            assert sample.server.execute("select pid from pg_stat_activity where datname = %s", failed) == []
            with pytest.raises(psycopg.OperationalError, match="not currently accepting"):
                sample.connect(failed)
            assert (sample.execute(HELD, last), without_notes(sample)) == (notes, others)

            def all_are_here(since_id: int = last) -> bool:
                seen = sample.execute("select count(distinct client) from public.notes where id > %s", since_id)
                return bool(seen[0][0] == CLIENTS)

            await_true(all_are_here, seconds=60, what="every client's row in the new database")
    assert clients.unexpected == []
    assert sample.databases() == sorted([sample.name, *(f"{sample.name}_failed_t{turn}" for turn in range(TURNS))])


@pytest.mark.parametrize("target", ["live", "fenced"])
def test_a_swap_that_was_killed_with_its_doors_closed_goes_on(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, target: str
) -> None:
    fenced = str(run_module_here("pg_fence", sample.options(state="fenced", fence_id="r1"))["fenced_database"])
    place = sample.options(destination=f"file://{tmp_path}", database=fenced, pg_bindir=sample.programs)
    made = run_module_here("pg_backup", {**place, "verify": "head"})["backup"]
    contents = sample.contents(fenced)
    since = run_module_here("pg_restore", restore(sample, "assessed"))["baseline"]
    wanted = restore(sample, "restored", backup=made["manifest"], baseline=since)
    wanted["target"] = fenced if target == "fenced" else None
    restoring = f"{sample.name}_restore_r1"
    with pytest.MonkeyPatch.context() as patched:

        def killed(*_unused: t.Any) -> t.NoReturn:
            raise SystemExit(9)

        patched.setattr(pg_restore.Work, "_swap", killed)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            run_module_here("pg_restore", wanted)
    # SIGKILL between closing both databases and renaming them leaves them closed.
    for name in (fenced, restoring):
        sample.server.execute(f'alter database "{name}" allow_connections false')
    would = run_module_here("pg_restore", wanted, check=True)
    assert f"{fenced}, {restoring} was closed by a swap that was killed" in would["msg"], would
    assert sample.properties(fenced)["open"] is False
    done = run_module_here("pg_restore", wanted)
    assert done["changed"] is True, done
    assert run_module_here("pg_restore", wanted)["changed"] is False
    name = fenced if target == "fenced" else sample.name
    assert (sample.contents(name), sample.properties(name)["open"]) == (contents, True)


@pytest.mark.parametrize("verify", ["restore", "head"])
def test_a_database_that_was_restored_without_its_indexes_is_not_swapped_in_where_a_proof_had_them(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, verify: str
) -> None:
    """Its rows are all there, so nothing but the schema tells. Where no proof had compared that, users need not wait for it."""
    sample.execute("insert into public.notes (client) values ('1'), ('2')")
    fenced = run_module_here("pg_fence", sample.options(state="fenced", fence_id="r1"))["fenced_database"]
    place = {"destination": f"file://{tmp_path}", "database": fenced, "verify": verify}
    made = run_module_here("pg_backup", sample.options(**place, pg_bindir=sample.programs))["backup"]
    since = run_module_here("pg_restore", restore(sample, "assessed"))["baseline"]
    oid = sample.server.execute("select oid from pg_database where datname = %s", fenced)

    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pg_dump").symlink_to(sample.server.program("pg_dump"))
    (programs / "pg_restore").write_text(
        f'#!/bin/sh\nexec {sample.server.program("pg_restore")} --section=pre-data --section=data "$@"\n'
    )
    (programs / "pg_restore").chmod(0o755)
    wanted = restore(sample, "restored", backup=made["manifest"], baseline=since)
    refused = run_module_here("pg_restore", {**wanted, "pg_bindir": str(programs)})
    if verify == "head":
        assert refused["changed"] is True, refused
        assert "no proof of this backup had compared it" in str(refused["warnings"])
        return
    assert refused["failed"] is True, refused
    assert refused["msg"].startswith(f"What was restored into {sample.name}_restore_r1 is not what was backed up")
    assert "the schema differs" in refused["msg"]
    assert sample.databases() == [fenced]
    assert sample.server.execute("select oid from pg_database where datname = %s", fenced) == oid

    done = run_module_here("pg_restore", wanted)
    assert done["changed"] is True, done
    assert sample.execute("select count(*) from pg_indexes where tablename = 'notes'") == [(1,)]
