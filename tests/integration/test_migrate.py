# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""migrate with real Alembic on a real server: what was reviewed runs once, and goes back with the code that brought it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import lock_directory
from tests.conftest import ModuleRun
from tests.integration.alembic_projects import COLUMN, LOSSY, NOTES, release, revision
from tests.integration.sample_database import Sample
from tests.leaks import assert_no_leak
from tests.servers import HangingServer, Postgres

serves = pytest.mark.serves


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create("select 1")
    finally:
        made.drop()


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return release(tmp_path / "1.0.0", ("0001", None, NOTES))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return release(tmp_path / "2.0.0", ("0001", None, NOTES), ("0002", "0001", COLUMN))


def options(sample: Sample, state: str, directory: Path, **more: t.Any) -> dict[str, t.Any]:
    wanted = {"dsn": sample.dsn(login=sample.owner), "password": sample.password, "state": state}
    # The application's settings put its schema first; these migrations make theirs in public.
    return {**wanted, "directory": str(directory), "environment": {"PGTZ": "UTC"}, **more}


@pytest.fixture(autouse=True)
def public_schema(sample: Sample) -> None:
    sample.server.execute(f'alter database "{sample.name}" reset search_path')


@serves("S1.36", case="pass")
def test_status_plan_apply_and_again(run_module_here: ModuleRun, sample: Sample, first: Path) -> None:
    secrets = [sample.password]
    seen = run_module_here("migrate", options(sample, "status", first), secrets=secrets)["migration"]
    assert (seen["current"], seen["version_table"], seen["heads"]) == (None, "missing", ["0001"])
    plan = run_module_here("migrate", options(sample, "planned", first), diff=True, secrets=secrets)
    found = plan["migration"]
    assert [one["revision"] for one in found["pending"]] == ["0001"]
    assert "CREATE TABLE notes" in found["sql"]
    assert "CREATE TABLE notes" in plan["diff"]["after"]
    assert (found["rollback_kind"], found["from"], found["to"]) == ("downgrade", [], "0001")

    wanted = options(sample, "applied", first, expected_preview=found["preview"])
    assert run_module_here("migrate", wanted, check=True, secrets=secrets)["changed"] is True
    assert sample.execute("select to_regclass('notes')") == [(None,)]
    done = run_module_here("migrate", wanted, secrets=secrets)
    assert (done["changed"], done["current"], done["applied"]) == (True, ["0001"], ["0001"]), done
    assert done["after"]["snapshot"].count(":") == 2
    ran = done["migration"]
    assert (ran["from"], ran["to"], ran["preview"], ran["sql"]) == ([], "0001", found["preview"], found["sql"])
    assert done["seconds"] > 0
    for check in (True, False):
        assert run_module_here("migrate", wanted, check=check)["changed"] is False
    assert run_module_here("migrate", options(sample, "planned", first))["migration"]["rollback_kind"] == "image_only"


@serves("S1.65", case="fail")
def test_back_with_the_new_code_and_not_with_the_old(
    run_module_here: ModuleRun, sample: Sample, first: Path, second: Path
) -> None:
    run_module_here("migrate", options(sample, "applied", second))
    refused = run_module_here("migrate", options(sample, "rolled_back", first, to="0001"))
    assert refused["error"] == "Refused"
    assert "Can't locate revision identified by '0002'" in refused["msg"]
    assert "code that brought it" in refused["msg"]
    seen = run_module_here("migrate", options(sample, "status", first))
    assert seen["migration"]["unknown"] == ["0002"]

    back = options(sample, "rolled_back", second, to="0001")
    assert run_module_here("migrate", back, check=True)["changed"] is True
    done = run_module_here("migrate", back)
    assert (done["changed"], done["current"]) == (True, ["0001"]), done
    assert run_module_here("migrate", back)["changed"] is False
    ahead = run_module_here("migrate", options(sample, "rolled_back", second, to="0002"))
    assert "does not come after 0002" in ahead["msg"]
    base = run_module_here("migrate", options(sample, "rolled_back", second, to="base"))
    assert (base["changed"], base["current"]) == (True, []), base


@serves("S1.65", case="pass")
def test_a_downgrade_goes_to_the_revision_of_before_and_brings_its_schema_back(
    run_module_here: ModuleRun, sample: Sample, first: Path, tmp_path: Path
) -> None:
    run_module_here("migrate", options(sample, "applied", first))
    sample.execute("create index notes_by_text on public.notes (text)")
    wide = (
        "op.execute('CREATE TYPE colour AS ENUM (\\'red\\')')\nop.add_column('notes', sa.Column('extra', sa.Text))\n"
        "op.execute('CREATE INDEX notes_by_extra ON notes (extra, text)')\nop.alter_column('notes', 'text', nullable=False)",
        "op.alter_column('notes', 'text', nullable=True)\nop.drop_column('notes', 'extra')",
    )
    second = release(tmp_path / "2.0.0", ("0001", None, NOTES), ("0002", "0001", COLUMN), ("0003", "0002", wide))
    revision(second, "0002", "0001", ("op.create_table('more', sa.Column('id', sa.Integer))", "op.drop_table('more')"))
    file = tmp_path / "private" / "schema.jsonl"
    before = run_module_here("migrate", options(sample, "planned", second))["migration"]["from"]
    done = run_module_here("migrate", options(sample, "applied", second, schema_file=str(file)))
    kept = done["schema_before"]
    assert (kept["revisions"], kept["sha256"]) == (before, hashlib.sha256(file.read_bytes()).hexdigest()), done
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert '["index public.notes_by_text", ' in file.read_text()

    # What the checklist says, -1, would stop halfway: the revision that was recorded is asked for, and nothing else.
    relative = options(sample, "rolled_back", second, to="-1", schema_file=str(file))
    assert run_module_here("migrate", relative)["error"] == "BadInput"
    back = options(sample, "rolled_back", second, to=before[0], schema_file=str(file))
    taken = run_module_here("migrate", {**back, "accept_data_loss": True, "accepted_by": "Ada Example"})
    assert (taken["changed"], taken["current"]) == (True, before), taken
    told = taken["migration"]
    assert (told["from"], told["to"], told["heads"], told["directory"]) == (["0003"], "0001", ["0003"], str(second))
    schema = taken["schema"]
    # An enum stays, as so often: the previous version does not meet it, and the next attempt will.
    assert (schema["is_as_before"], schema["sha256"]) == (True, kept["sha256"]), schema
    assert schema["counts"] == {"missing": 0, "changed": 0, "unexpected": 0, "left_over": 1}
    assert [one["object"] for one in schema["left_over"]] == ["enum public.colour"]
    assert "as it was before the migration, but for 1 left over (enum public.colour)" in taken["msg"]
    sample.execute("drop type public.colour")
    again = run_module_here("migrate", back)
    assert (again["changed"], again["schema"]["is_as_before"]) == (False, True), again
    assert f"The schema is as it was before the migration: {kept['objects']} objects." in again["msg"]


@serves("S1.65", case="fail")
def test_a_downgrade_that_leaves_another_schema_fails_and_names_each_object(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    notes = (NOTES[0] + "\nop.create_index('notes_by_id', 'notes', ['id'])", NOTES[1])
    # Read alone each step of it can be taken back: it forgets the unique text, the type, and what the index was on.
    careless = (
        "op.drop_index('notes_by_id', 'notes')\nop.create_unique_constraint('once', 'notes', ['text'])\n"
        "op.alter_column('notes', 'id', existing_type=sa.Integer(), type_=sa.BigInteger())",
        "op.create_index('notes_of_old', 'notes', ['text'])",
    )
    directory = release(tmp_path / "1", ("0001", None, notes), ("0002", "0001", careless))
    run_module_here("migrate", options(sample, "applied", directory, to="0001"))
    file = str(tmp_path / "schema.jsonl")
    run_module_here("migrate", options(sample, "applied", directory, schema_file=file))
    back = options(sample, "rolled_back", directory, to="0001", schema_file=file)
    for changed in (True, False):
        failed = run_module_here("migrate", back)
        assert (failed["error"], failed["changed"]) == ("ActionFailed", changed), failed
        schema = failed["schema"]
        assert schema["is_as_before"] is False
        assert [one["object"] for one in schema["missing"]] == ["index public.notes_by_id"]
        assert schema["changed"] == [{"object": "column public.notes.id", "before": "integer", "after": "bigint"}]
        assert schema["unexpected"] == [{"object": "constraint public.notes.once", "after": "UNIQUE (text)"}]
        assert [one["object"] for one in schema["left_over"]] == ["index public.notes_of_old"]
        assert "not as it was before the migration: 1 missing (index public.notes_by_id), 1 changed" in failed["msg"]
    # Whoever decides that it will do, by name, goes on; what differs is told all the same.
    decided = run_module_here("migrate", {**back, "accept_data_loss": True, "accepted_by": "Ada Example"})
    assert (decided.get("failed"), decided["schema"]["is_as_before"]) == (None, False), decided


@serves("S1.65", case="fail")
def test_a_schema_that_cannot_be_compared_is_unknown_and_stops_no_way_back(
    run_module_here: ModuleRun, sample: Sample, second: Path, tmp_path: Path
) -> None:
    file = tmp_path / "schema.jsonl"
    run_module_here("migrate", options(sample, "applied", second, to="0001", schema_file=str(file)))
    run_module_here("migrate", options(sample, "applied", second))
    for text, said in ((None, "holds the schema of no revision, expected 0001"), ("{}", "is no schema that was kept")):
        if text is not None:
            file.write_text(text)
        taken = run_module_here("migrate", options(sample, "rolled_back", second, to="0001", schema_file=str(file)))
        assert (taken["current"] if text is None else ["0001"], taken["schema"]["is_as_before"]) == (["0001"], None), (
            taken
        )
        assert said in taken["msg"]
        assert "is not known" in taken["msg"]
    (tmp_path / "taken").write_text("a file, and no folder")
    refused = run_module_here(
        "migrate", options(sample, "applied", second, schema_file=str(tmp_path / "taken" / "schema.jsonl"))
    )
    assert "Nothing was migrated" in refused["msg"], refused
    assert sample.execute("select version_num from alembic_version") == [("0001",)]


@serves("S1.36", case="fail")
def test_what_is_deployed_must_be_what_was_reviewed(run_module_here: ModuleRun, sample: Sample, first: Path) -> None:
    plan = run_module_here("migrate", options(sample, "planned", first))["migration"]
    wanted = options(sample, "applied", first, expected_preview=plan["preview"])
    # The rendered SQL stays the same: only online would this run.
    code = (NOTES[0] + "\nif not op.get_context().as_sql:\n    op.execute('DELETE FROM notes')", NOTES[1])
    revision(first, "0001", None, code)
    refused = run_module_here("migrate", wanted)
    assert refused["error"] == "Refused"
    assert refused["migration"]["sql_sha256"] == plan["sql_sha256"]
    assert "not what was reviewed" in refused["msg"]
    assert sample.execute("select to_regclass('notes')") == [(None,)]


def test_a_version_that_is_not_deployed_yet_is_planned_from_its_archive(
    run_module_here: ModuleRun, sample: Sample, first: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "first.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(first, arcname=".")
    artefact = {"src": str(archive), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    aside = run_module_here("migrate", options(sample, "planned", Path("."), artefact=artefact))
    deployed = run_module_here("migrate", options(sample, "planned", first))
    assert aside["migration"]["preview"] == deployed["migration"]["preview"], aside
    refused = run_module_here("migrate", options(sample, "applied", Path("."), artefact=artefact))
    assert refused["error"] == "BadInput"


def test_a_role_that_is_let_in_afterwards_is_looked_for_in_the_plan(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    directory = release(tmp_path / "one", ("0001", None, NOTES))
    for roles, is_planned in (([sample.owner], True), ([sample.owner, "archiv_misspelt"], False)):
        plan = run_module_here("migrate", options(sample, "planned", directory, application_roles=roles))
        assert ("migration" in plan) is is_planned, plan
    assert plan["error"] == "BadInput"
    assert "The server has no role archiv_misspelt, which application_roles names" in plan["msg"]


@serves("S1.65", case="pass")
@serves("S1.65", case="fail")
def test_lossy_steps_are_not_taken_back_by_themselves(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    directory = release(tmp_path / "bad", ("0001", None, NOTES), ("0002", "0001", LOSSY))
    plan = run_module_here("migrate", options(sample, "planned", directory))["migration"]
    assert plan["rollback_kind"] == "restore"
    assert "drops column notes.text" in plan["rollback_reason"]
    never = run_module_here("migrate", options(sample, "planned", directory, restore_possible=False))["migration"]
    assert never["rollback_kind"] == "forward_only"
    run_module_here("migrate", options(sample, "applied", directory))
    back = options(sample, "rolled_back", directory, to="0001")
    refused = run_module_here("migrate", back)
    assert refused["error"] == "Refused"
    assert "0002 is lossy" in refused["msg"]
    anonymous = {**back, "accept_data_loss": True}
    assert "accepted_by" in run_module_here("migrate", anonymous)["msg"]
    assert run_module_here("migrate", {**anonymous, "accepted_by": " "})["error"] == "BadInput"
    assert sample.execute("select version_num from alembic_version") == [("0002",)]
    done = run_module_here("migrate", {**anonymous, "accepted_by": "Ada Example"})
    assert done["changed"] is True
    lost = done["migration"]["data_loss"]
    assert (lost["accepted_by"], [one["revision"] for one in lost["revisions"]]) == ("Ada Example", ["0002"])
    assert "drops column notes.text" in lost["revisions"][0]["reasons"][0]
    assert "Ada Example accepted what does not come back" in done["msg"]


def test_sql_that_cannot_be_rendered_is_said_and_part_of_the_preview(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    code = ("op.get_bind().execute(sa.text('select 1')).scalar()\n" + NOTES[0], NOTES[1])
    directory = release(tmp_path / "online", ("0001", None, code))
    plan = run_module_here("migrate", options(sample, "planned", directory))["migration"]
    assert plan["sql"] is None
    assert plan["sql_problem"].startswith("cannot be rendered: ")
    done = run_module_here("migrate", options(sample, "applied", directory, expected_preview=plan["preview"]))
    assert done["changed"] is True, done


@serves("S1.36", case="fail")
def test_a_migration_that_fails_says_where_the_database_is(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    broken = ("op.execute('ALTER TABLE no_such_table ADD a int')", "op.execute('ALTER TABLE no_such_table DROP a')")
    directory = release(tmp_path / "broken", ("0001", None, NOTES), ("0002", "0001", broken))
    file = tmp_path / "schema.jsonl"
    system = f"migrate-{os.urandom(4).hex()}"
    wanted = options(sample, "applied", directory, schema_file=str(file), release=f"{system}/r-1/1/0123456789abcdef")
    failed = run_module_here("migrate", wanted, secrets=[sample.password])
    assert failed["error"] == "ActionFailed"
    assert "stopped on the way, at 0001" in failed["msg"]
    assert (failed["current"], failed["changed"]) == (["0001"], True)
    try:
        again = run_module_here("migrate", wanted)
    finally:
        (Path(lock_directory()) / f"{system}-01234567.lock").unlink()
    # The schema of before is that of the release's first attempt; of no release it is that of this one.
    assert json.loads(file.read_text().splitlines()[0])["revisions"] == []
    run_module_here("migrate", options(sample, "applied", directory, schema_file=str(file)))
    assert json.loads(file.read_text().splitlines()[0])["revisions"] == ["0001"]
    assert "is where it was, at 0001" in again["msg"]
    assert "no_such_table" in again["output"]


@serves("S1.36", case="fail")
def test_a_lock_that_is_held_is_not_waited_for(run_module_here: ModuleRun, sample: Sample, second: Path) -> None:
    run_module_here("migrate", options(sample, "applied", second, to="0001"))
    with sample.connect() as holder, holder.transaction():
        holder.execute("select 1 from notes for update")
        holder.execute("lock table notes in access share mode")
        failed = run_module_here("migrate", options(sample, "applied", second, lock_timeout=0.3))
    assert failed["error"] == "ActionFailed"
    assert "Another session holds a lock" in failed["msg"]
    assert failed["current"] == ["0001"]


@serves("S1.36", case="pass")
def test_a_migration_cannot_reset_the_limits(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    code = (
        "op.execute('SET lock_timeout = 0')\nop.execute('RESET lock_timeout')\n"
        "op.execute('CREATE TABLE seen AS SELECT name, setting, pid FROM pg_settings, (SELECT pg_backend_pid() AS pid) p')\n"
        "op.execute('CREATE TABLE who AS SELECT application_name AS a FROM pg_stat_activity WHERE pid = pg_backend_pid()')",
        "op.drop_table('seen')\nop.drop_table('who')",
    )
    directory = release(tmp_path / "limits", ("0001", None, code))
    done = run_module_here("migrate", options(sample, "applied", directory, lock_timeout=7, statement_timeout=90))
    assert done["changed"] is True, done
    seen = dict(sample.execute("select name, setting from seen where name in ('lock_timeout', 'statement_timeout')"))
    assert seen == {"lock_timeout": "7000", "statement_timeout": "90000"}
    assert sample.execute("select a from who") == [("opsready",)]


@serves("S1.36", case="pass")
def test_two_at_once_apply_it_once(run_module: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    code = (NOTES[0] + "\nop.execute('SELECT pg_sleep(2)')", NOTES[1])
    directory = release(tmp_path / "slow", ("0001", None, code))
    answers: list[dict[str, t.Any]] = []

    def call() -> None:
        answers.append(run_module("migrate", options(sample, "applied", directory)))

    callers = [threading.Thread(target=call) for unused in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    changed = [answer for answer in answers if answer.get("changed")]
    others = [answer for answer in answers if not answer.get("changed")]
    assert len(changed) == 1, answers
    # The second came either while the first held the lock, or after it had ended.
    assert "at work" in others[0]["msg"] or "nothing is pending" in others[0]["msg"]


def test_a_database_that_alembic_never_saw_is_refused(run_module_here: ModuleRun, sample: Sample, first: Path) -> None:
    sample.execute("create table public.older (a int)")
    refused = run_module_here("migrate", options(sample, "planned", first))
    assert refused["error"] == "Refused"
    assert "alembic_version" in refused["msg"]
    assert "public.older" in refused["msg"]
    done = run_module_here("migrate", options(sample, "applied", first, allow_unversioned=True))
    assert done["changed"] is True, done["msg"]
    # The migration is applied, though the login may not count the other table.
    assert done["baseline"] == {}
    assert "public.older" in done["baseline_problem"]
    sample.execute("delete from alembic_version")
    assert "is empty" in run_module_here("migrate", options(sample, "planned", first))["msg"]


@serves("S1.11", case="pass")
def test_where_the_database_is_where_it_goes_and_how_it_comes_back(
    run_module_here: ModuleRun, sample: Sample, first: Path
) -> None:
    run_module_here("migrate", options(sample, "applied", first))

    def plan(**more: t.Any) -> dict[str, t.Any]:
        planned = run_module_here("migrate", options(sample, "planned", first, **more))["migration"]
        assert (planned["from"], planned["heads"]) == (["0001"], [planned["to"]])
        return t.cast("dict[str, t.Any]", planned)

    assert (plan()["pending"], plan()["rollback_kind"]) == ([], "image_only")
    revision(first, "0002", "0001", COLUMN)
    assert plan()["rollback_kind"] == "downgrade"
    revision(first, "0003", "0002", ("op.execute('CREATE TABLE r (a int)')", "raise NotImplementedError"))
    revision(first, "0004", "0003", ("op.execute('CREATE TABLE e (a int)')", "pass"))
    revision(first, "0005", "0004", LOSSY)
    seen = plan()
    assert seen["rollback_kind"] == "restore"
    assert plan(restore_possible=False)["rollback_kind"] == "forward_only"
    told = {one["revision"]: (one["rollback"], "; ".join(one["reasons"])) for one in seen["pending"]}
    assert told["0002"] == ("reversible", "")
    assert told["0003"][0] == told["0004"][0] == "irreversible"
    assert "raises" in told["0003"][1]
    assert "empty" in told["0004"][1]
    assert told["0005"][0] == "lossy"
    assert "drops column notes.text" in told["0005"][1]


@serves("S1.11", case="fail")
def test_several_heads_are_refused_and_told(run_module_here: ModuleRun, sample: Sample, first: Path) -> None:
    revision(first, "aaaa", "0001", COLUMN)
    revision(first, "bbbb", "0001", COLUMN)
    seen = run_module_here("migrate", options(sample, "status", first))
    assert "there are 2 heads: aaaa, bbbb" in seen["msg"]
    refused = run_module_here("migrate", options(sample, "applied", first))
    assert "There are 2 heads: aaaa, bbbb" in refused["msg"]
    assert run_module_here("migrate", options(sample, "applied", first, to="0001"))["changed"] is True
    sample.execute("delete from alembic_version")
    sample.execute("insert into alembic_version values ('aaaa'), ('bbbb')")
    revision(first, "cccc", "aaaa", NOTES)
    (first / "migrations" / "versions" / "cccc.py").write_text(
        (first / "migrations" / "versions" / "cccc.py").read_text().replace("'aaaa'", "('aaaa', 'bbbb')")
    )
    plan = run_module_here("migrate", options(sample, "planned", first))["migration"]
    assert "at 2 revisions at once" in plan["sql_problem"]


def test_an_application_that_migrates_another_database_is_noticed(
    run_module_here: ModuleRun, sample: Sample, first: Path
) -> None:
    other = sample.server.create_database()
    url = f"postgresql+psycopg://{sample.owner}@127.0.0.1:{sample.server.port}/{other}"
    sample.server.execute(f'alter database {other} owner to "{sample.owner}"')
    try:
        environment = (first / "migrations" / "env.py").read_text()
        (first / "migrations" / "env.py").write_text(environment.replace('os.environ["DATABASE_URL"]', repr(url)))
        failed = run_module_here("migrate", options(sample, "applied", first))
        assert failed["error"] == "ActionFailed"
        assert "Alembic ended with 0" in failed["msg"]
    finally:
        sample.server.drop_database(other)


def test_neither_arguments_nor_environment_of_the_tool_hold_the_password(
    run_module_here: ModuleRun, sample: Sample, first: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    script = tmp_path / "alembic"
    script.write_text(f'#!/bin/sh\n{{ echo "$0 $*"; env; }} >> {seen}\nexec {sys.executable} -m alembic "$@"\n')
    script.chmod(0o755)
    env_file = tmp_path / "app.env"
    env_file.write_text("X=1\n")
    wanted = options(
        sample, "applied", first, command=[str(script)], env_file=str(env_file), env_file_variable="APP_ENV_FILE"
    )
    assert run_module_here("migrate", wanted, secrets=[sample.password])["changed"] is True
    text = seen.read_text()
    assert_no_leak([sample.password], text, "alembic's arguments and environment")
    assert f"APP_ENV_FILE={env_file}" in text
    assert f"DATABASE_URL=postgresql+psycopg://{sample.owner}@127.0.0.1:" in text
    assert "PGPASSFILE=/proc/self/fd/" in text


def test_bad_input_is_named(
    run_module_here: ModuleRun, sample: Sample, first: Path, tmp_path: Path, hanging_server: HangingServer
) -> None:
    hanging = f"postgresql://golive@127.0.0.1:{hanging_server.port}/archive"
    for state, more, said in (
        ("planned", {"directory": str(tmp_path / "gone")}, "is not there"),
        ("planned", {"config": "other.ini"}, "other.ini is not there"),
        ("planned", {"to": "zzzz9"}, "Can't locate revision zzzz9"),
        ("applied", {"command": ["/no/such/python", "-m", "alembic"]}, "/no/such/python"),
        ("applied", {"command": [sys.executable, "-m", "no_such_tool"]}, "No module named"),
        ("planned", {"environment": {"URL": "redis://u:canary-33@h"}}, "environment.URL holds a password"),
        ("planned", {"password": "canary-33"}, "password authentication failed"),
        ("planned", {"dsn": hanging, "timeout": 1.0}, "No answer from PostgreSQL"),
        ("rolled_back", {}, "to"),
    ):
        failed = run_module_here("migrate", {**options(sample, state, first), **more}, secrets=["canary-33"])
        assert failed["failed"] is True, (state, more)
        assert said in failed["msg"], failed["msg"]


def test_a_tool_that_hangs_is_ended_at_the_limit(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    code = (NOTES[0] + "\nif not op.get_context().as_sql:\n    op.execute('SELECT pg_sleep(60)')", NOTES[1])
    directory = release(tmp_path / "hangs", ("0001", None, code))
    failed = run_module_here("migrate", options(sample, "applied", directory, timeout=12.0))
    assert failed["error"] == "ActionFailed"
    assert "did not end within 12 s" in failed["msg"]
    assert sample.execute("select to_regclass('notes')") == [(None,)]
