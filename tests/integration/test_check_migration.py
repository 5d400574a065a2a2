# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_migration with real Alembic on a real server: the preview, the review, the lint, and the rehearsal up and down."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import shutil
import signal
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from ansible_collections.opsready.golive.plugins.plugin_utils.verdict_rules import signed_findings
from tests.age_keys import age_key
from tests.conftest import ModuleRun
from tests.integration.alembic_projects import COLUMN, LOSSY, NOTES, release, revision
from tests.integration.sample_database import ROOT, ModuleInBackground, Sample
from tests.integration.written_backups import DAY, Backups
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.servers import HangingServer, Postgres, await_true

serves = pytest.mark.serves
Finding = t.Dict[str, t.Any]
Judge = t.Callable[..., Finding]

INDEX = (
    "with op.get_context().autocommit_block():\n    op.create_index('notes_text', 'notes', ['text'], postgresql_concurrently=True)",
    "op.drop_index('notes_text', 'notes')",
)
BLOCKING_INDEX = ("op.create_index('notes_text', 'notes', ['text'])", "op.drop_index('notes_text', 'notes')")
FORGETS = (BLOCKING_INDEX[0] + "\n" + COLUMN[0], COLUMN[1])
ASKS = ("if op.get_bind().execute(sa.text('select count(*) from notes')).scalar() == 0:\n    " + COLUMN[0], COLUMN[1])
FAILS_DOWN = (COLUMN[0], "op.execute('ALTER TABLE notes DROP COLUMN nowhere')")
SLOW = (COLUMN[0] + "\nop.execute('SELECT pg_sleep(120)')", COLUMN[1])


@contextlib.contextmanager
def at_first_revision(server: Postgres) -> t.Iterator[Sample]:
    """A database at revision 0001, with rows."""
    made = Sample(server)
    try:
        made.create(
            "create table public.notes (id integer, text text);\n"
            "insert into public.notes select i, 'note ' || i from generate_series(1, 500) i;\n"
            "create table public.alembic_version"
            " (version_num varchar(32) not null, constraint alembic_version_pkc primary key (version_num));\n"
            "insert into public.alembic_version values ('0001')"
        )
        server.execute(f'alter database "{made.name}" reset search_path')
        yield made
    finally:
        made.drop()


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    with at_first_revision(postgres) as made:
        yield made


def backed_up(run_module_here: ModuleRun, sample: Sample, folder: Path, **more: t.Any) -> Backups:
    """One backup, made and proven by pg_backup."""
    folder.mkdir()
    found = Backups(f"file://{folder}", database=sample.name)
    done = run_module_here("pg_backup", sample.options(destination=found.url, **more))
    assert done.get("changed") is True, done
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Revision 0002 is pending, which adds a column."""
    return release(tmp_path / "2.0.0", ("0001", None, NOTES), ("0002", "0001", COLUMN))


@pytest.fixture
def backups(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> Backups:
    return backed_up(run_module_here, sample, tmp_path / "backups", pg_bindir=sample.programs)


def options(sample: Sample, directory: Path, **more: t.Any) -> dict[str, t.Any]:
    common = {"dsn": sample.dsn(), "password": sample.password, "directory": str(directory)}
    return {**common, "enforce": False, "timeout": 240, **more}


@pytest.fixture
def judged(run_module_here: ModuleRun, sample: Sample) -> Judge:
    def judge(folder: Path, *, check: bool = False, **more: t.Any) -> Finding:
        answer = run_module_here(
            "check_migration", {**options(sample, folder), **more}, check=check, secrets=[sample.password]
        )
        assert answer["changed"] is False
        return t.cast(Finding, answer["finding"])

    return judge


def rehearsal(sample: Sample, backups: Backups | None = None, **more: t.Any) -> dict[str, t.Any]:
    place = {"source": "template"} if backups is None else {"destination": backups.url}
    return {**place, "pg_bindir": sample.programs, **more}


def says(found: Finding, text: str) -> bool:
    """A sentence that comes first begins with a capital."""
    return text.casefold() in found["summary"].casefold()


def fingerprint(sample: Sample) -> list[tuple[t.Any, ...]]:
    """What any change of the database would change: each row's transaction, of the catalogs and of the tables."""
    query = " union all ".join(
        f"select '{table}', count(*), md5(coalesce(string_agg(xmin::text || ctid::text || t::text, '|' order by ctid), ''))"
        f" from {table} t"
        for table in (
            "public.notes",
            "public.alembic_version",
            "pg_attribute",
            "pg_namespace",
            "pg_constraint",
            "pg_index",
        )
    )
    return sample.execute(query)


# ---- the preview (S1.8)


@serves("S1.8", case="pass")
def test_the_sql_is_kept_as_a_file_and_is_what_is_pending(
    run_module_here: ModuleRun, judged: Judge, sample: Sample, project: Path, tmp_path: Path
) -> None:
    revision(project, "0003", "0002", INDEX)
    path = tmp_path / "migration_preview.sql"
    wanted = {key: value for key, value in options(sample, project, state="previewed").items() if key != "enforce"} | {
        "preview_file": str(path)
    }
    before = fingerprint(sample)
    would = run_module_here("migrate", wanted, check=True, secrets=[sample.password])
    assert (would["changed"], path.exists()) == (True, False)
    done = run_module_here("migrate", wanted, diff=True, secrets=[sample.password])
    assert (done["changed"], done["preview_file"]) == (True, str(path)), done
    assert path.stat().st_mode & 0o777 == 0o600
    plan = done["migration"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == plan["sql_sha256"]
    assert "ALTER TABLE notes ADD COLUMN extra TEXT" in path.read_text()
    assert "CREATE INDEX CONCURRENTLY notes_text" in done["diff"]["after"]
    assert (plan["from"], plan["to"], [one["revision"] for one in plan["pending"]]) == (
        ["0001"],
        "0003",
        ["0002", "0003"],
    )
    for check in (True, False):
        assert run_module_here("migrate", wanted, check=check)["changed"] is False
    path.chmod(0o644)
    assert run_module_here("migrate", wanted)["changed"] is True
    assert path.stat().st_mode & 0o777 == 0o600

    found = judged(project, preview_file=str(path), expected_preview=plan["preview"])
    assert found["status"] == "pass", found["summary"]
    seen = found["evidence"]
    assert (seen["current"], seen["target"], [one["revision"] for one in seen["pending"]]) == (
        ["0001"],
        "0003",
        ["0002", "0003"],
    )
    assert seen["sql_sha256"] == seen["kept"]["sha256"] == plan["sql_sha256"]
    assert seen["preview"] == plan["preview"]
    assert fingerprint(sample) == before


@serves("S1.8", case="fail")
def test_a_migration_that_asks_the_database_cannot_be_previewed(
    run_module_here: ModuleRun, judged: Judge, sample: Sample, project: Path, tmp_path: Path
) -> None:
    revision(project, "0003", "0002", ASKS)
    path = tmp_path / "migration_preview.sql"
    wanted = {**options(sample, project, state="previewed"), "preview_file": str(path)}
    del wanted["enforce"]
    failed = run_module_here("migrate", wanted)
    assert (failed["error"], path.exists()) == ("ActionFailed", False)
    assert "The SQL of the 2 pending revisions cannot be rendered" in failed["msg"]
    path.write_text("-- of an earlier day\n")
    path.chmod(0o600)
    found = judged(project, preview_file=str(path), lint={})
    assert found["status"] == "unknown", found["summary"]
    assert says(found, "the SQL of 0002, 0003 cannot be rendered: ")
    assert says(found, "the SQL was not judged by its rules")
    assert "cannot be compared" in found["summary"]
    assert "alembic upgrade --sql" in found["remedy"]


@serves("S1.8", case="fail")
def test_a_kept_preview_of_another_migration_fails(judged: Judge, project: Path, tmp_path: Path) -> None:
    path = tmp_path / "migration_preview.sql"
    missing = judged(project, preview_file=str(path))
    assert (missing["status"], missing["summary"]) == ("fail", f"{path} is missing.")
    path.write_text("ALTER TABLE notes ADD COLUMN other TEXT;\n")
    path.chmod(0o644)
    other = judged(project, preview_file=str(path))
    assert other["status"] == "fail"
    assert f"{path} is not the SQL that is pending now" in other["summary"]
    assert "has mode 0644, so that others may read or change it" in other["summary"]
    path.unlink()
    path.mkdir()
    assert judged(project, preview_file=str(path))["status"] == "unknown"


@pytest.mark.parametrize("where", ["nowhere/preview.sql", "folder", "file/preview.sql"])
def test_a_preview_that_cannot_be_written_is_one_clear_error(
    run_module_here: ModuleRun, sample: Sample, project: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    wanted = {**options(sample, project, state="previewed"), "preview_file": str(tmp_path / where)}
    del wanted["enforce"]
    failed = run_module_here("migrate", wanted)
    assert failed["error"] in ("ActionFailed", "BadInput", "UnexpectedAnswer"), failed
    assert failed["msg"].startswith(f"{tmp_path / where} ")


def test_a_revision_that_asks_for_the_mode_is_unknown(judged: Judge, project: Path) -> None:
    hidden = (COLUMN[0] + "\nif not op.get_context().as_sql:\n    op.execute('DELETE FROM notes')", COLUMN[1])
    revision(project, "0002", "0001", hidden)
    found = judged(project)
    assert found["status"] == "unknown"
    assert "0002 asks whether it is only rendered" in found["summary"]


def test_nothing_pending_is_said(run_module_here: ModuleRun, judged: Judge, sample: Sample, tmp_path: Path) -> None:
    done = release(tmp_path / "1.0.0", ("0001", None, NOTES))
    path = tmp_path / "migration_preview.sql"
    wanted = {**options(sample, done, state="previewed"), "preview_file": str(path)}
    del wanted["enforce"]
    answer = run_module_here("migrate", wanted)
    assert (answer["changed"], path.exists()) == (False, False)
    assert "nothing is pending, so there is no SQL" in answer["msg"]
    found = judged(
        done, pending="none", preview_file=str(path), lint={}, rehearse={"source": "template"}, way_back="downgrade"
    )
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["pending revisions"] == found["measured"]["rehearsal"] == "nothing is pending"


def test_what_alembic_did_not_print_is_no_preview(judged: Judge, project: Path) -> None:
    environment = project / "migrations" / "env.py"
    environment.write_text("print('-- nothing at all')\n")
    found = judged(project)
    assert found["status"] == "unknown"
    assert "does not reach revision 0002" in found["summary"]


def test_a_version_that_is_not_deployed_yet_is_judged_from_its_archive(
    judged: Judge, project: Path, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "release"), "gztar", project)
    artefact = {"src": archive, "sha256": hashlib.sha256(Path(archive).read_bytes()).hexdigest()}
    aside, deployed = judged(Path("."), artefact=artefact), judged(project)
    assert aside["status"] == deployed["status"] == "pass"
    assert aside["evidence"]["preview"] == deployed["evidence"]["preview"]


# ---- the review and the lint (S1.9)


def signed_state(preview: str, record: dict[str, t.Any]) -> tuple[str, str]:
    """What the verdict says of a sign-off that binds to the migration's preview."""
    wanted = {"team": "backend", "binds_to": "migration_preview", "expires_after": "7d", "asks": []}
    item = {
        "id": "migration-reviewed", "title": "Read by a second person", "phase": ["pre_deploy"], "severity": "blocker",
        "satisfies": ["S1.9"], "owner": "backend", "check": "sign_off", "sign_off": wanted, "hosts": ["localhost"],
    }  # fmt: skip
    (finding,) = signed_findings(
        {"items": [item]},
        [record],
        phase="pre_deploy",
        bindings={"migration_preview": preview},
        now=datetime.datetime.now(datetime.timezone.utc),
    )
    return finding["status"], finding["summary"]


@serves("S1.9", case="pass")
def test_what_was_read_is_what_is_pending_and_its_sql_holds_no_lock_for_long(judged: Judge, project: Path) -> None:
    revision(project, "0003", "0002", INDEX)
    found = judged(project, lint={})
    assert found["status"] == "pass", found["summary"]
    seen = found["evidence"]
    # Rules that pass by default are told all the same.
    assert [(one["table"], one["mode"]) for one in seen["lint"]["locks"]] == [
        ("notes", "ACCESS EXCLUSIVE"), ("notes", "SHARE UPDATE EXCLUSIVE"),
    ]  # fmt: skip
    assert [(one["rule"], one["what"], one["revision"]) for one in seen["lint"]["remarks"]] == [
        ("access_exclusive", "notes", "0002")
    ]
    signed = datetime.datetime.now(datetime.timezone.utc).isoformat()
    record = {
        "item": "migration-reviewed",
        "team": "backend",
        "name": "Anna Beispiel",
        "signed": signed,
        "digest": seen["preview"],
    }
    assert signed_state(seen["preview"], record)[0] == "pass"
    again = judged(project, expected_preview=seen["preview"])
    assert (again["status"], again["measured"]["review"]) == ("pass", seen["preview"])


@serves("S1.9", case="fail")
def test_a_change_after_the_review_voids_it(judged: Judge, project: Path) -> None:
    read = judged(project)["evidence"]["preview"]
    signed = datetime.datetime.now(datetime.timezone.utc).isoformat()
    record = {
        "item": "migration-reviewed",
        "team": "backend",
        "name": "Anna Beispiel",
        "signed": signed,
        "digest": read,
    }
    revision(project, "0002", "0001", (COLUMN[0].replace("extra", "other"), COLUMN[1].replace("extra", "other")))
    changed = judged(project, expected_preview=read)
    assert changed["status"] == "fail"
    assert says(changed, "what is pending is not what was reviewed")
    status, said = signed_state(changed["evidence"]["preview"], record)
    assert (status, "another migration preview: it has changed since" in said) == ("unknown", True)


@serves("S1.9", case="fail")
def test_sql_that_rewrites_locks_and_drops_is_told_by_rule_and_line(judged: Judge, project: Path) -> None:
    harsh = (
        "op.add_column('notes', sa.Column('owner', sa.Text, nullable=False))\n"
        "op.alter_column('notes', 'id', type_=sa.BigInteger)\n"
        "op.create_index('notes_text', 'notes', ['text'])\n"
        "op.drop_column('notes', 'text')\n"
        'op.execute("ALTER TABLE notes ADD COLUMN token uuid DEFAULT gen_random_uuid()")\n'
        "op.execute('UPDATE notes SET id = 1')",
        "pass",
    )
    revision(project, "0003", "0002", harsh)
    found = judged(project, lint={})
    assert found["status"] == "fail"
    measured = found["measured"]
    for rule, what in (
        ("not_null_without_default", "notes.owner"), ("type_change", "notes.id"), ("index_not_concurrent", "notes"),
        ("drop_column", "notes.text"), ("rewrite", "notes.token"), ("lock_held", "notes"), ("dml_without_where", "notes"),
    ):  # fmt: skip
        assert measured[rule].startswith(f"{what} (0003, line "), (rule, measured)
    assert "drops a column: notes.text (0003, line " in found["summary"]
    assert measured["drop_table"] == "none"
    milder = judged(project, lint={"fail_on": ["drop_table"], "warn_on": ["drop_column"], "accept": []})
    assert (milder["status"], "lock_held" in milder["measured"]) == ("warn", False)
    accepted = judged(project, lint={"fail_on": ["drop_column"], "warn_on": [], "accept": ["drop_column:notes.text"]})
    assert accepted["status"] == "pass", accepted["summary"]


def test_what_sql_does_not_show_is_unknown_until_it_is_accepted(judged: Judge, project: Path) -> None:
    revision(project, "0002", "0001", ("op.execute(\"DO $$ BEGIN EXECUTE 'DROP TABLE notes'; END $$\")", "pass"))
    found = judged(project, lint={})
    assert found["status"] == "unknown"
    assert "does what the SQL does not show: Do (0002, line " in found["summary"]
    assert judged(project, lint={"accept": ["unjudged:Do"]})["status"] == "pass"


def test_the_migrations_of_the_example_are_judged(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    """As they lie in the repository, with the application's own settings and models."""
    app = tmp_path / "app"
    shutil.copytree(ROOT / "examples" / "ablage" / "app", app)
    shutil.copytree(ROOT / "examples" / "ablage" / "releases" / "2.0.0", app, dirs_exist_ok=True)
    sample.execute("drop table public.notes")
    sample.execute("update public.alembic_version set version_num = '0002'")
    wanted = options(sample, app, url_variable="DATABASE_URL", lint={}, environment={"PYTHONPATH": str(app)})
    found = run_module_here("check_migration", wanted)["finding"]
    assert found["evidence"]["sql_sha256"], found
    assert [one["revision"] for one in found["evidence"]["pending"]] == ["0003"]
    assert found["evidence"]["lint"]["statements"] > 2, found


# ---- the rehearsal (S1.12)


@serves("S1.12", case="pass")
@pytest.mark.parametrize("source", ["backup", "template"])
def test_up_and_down_on_a_copy_leaves_the_schema_as_it_was(
    judged: Judge, sample: Sample, project: Path, backups: Backups, source: str
) -> None:
    revision(project, "0003", "0002", INDEX)
    before, databases = fingerprint(sample), sample.databases()
    bounds = {"max_upgrade_time": "10m", "max_downgrade_time": "10m"}
    wanted = rehearsal(sample, backups if source == "backup" else None, **bounds)
    if source == "backup":
        wanted["max_backup_age"] = "1h"
    found = judged(project, rehearse=wanted, way_back="downgrade")
    assert found["status"] == "pass", (found["summary"], found["evidence"])
    done = found["evidence"]["rehearsal"]
    assert (done["upgrade"]["returncode"], done["downgrade"]["returncode"]) == (0, 0)
    assert done["upgrade"]["seconds"] > 0 and done["downgrade"]["seconds"] > 0
    assert done["schema_before"] == done["schema_after"] != done["schema_upgraded"]
    assert (done["lost"], done["left"], done["revision_after"]) == ([], [], ["0001"])
    assert done["copied_from"].startswith("backup " if source == "backup" else "a template copy")
    assert (fingerprint(sample), sample.databases()) == (before, databases)


@serves("S1.12", case="pass")
@pytest.mark.parametrize("source", ["backup", "template"])
def test_the_owner_of_the_database_owns_the_copy_too(
    run_module_here: ModuleRun, judged: Judge, sample: Sample, project: Path, tmp_path: Path, source: str
) -> None:
    """What the role that migrates may create in the schema public, it may as the owner alone."""
    revision(project, "0002", "0001", ("op.create_table('made', sa.Column('id', sa.Integer))", "op.drop_table('made')"))
    server = sample.server
    login = {"dsn": server.dsn(sample.name, password=None), "password": server.password}
    kept = None
    if source == "backup":
        kept = backed_up(
            run_module_here, sample, tmp_path / "owned", pg_bindir=sample.programs, verify="head", **login
        )  # fmt: skip
    found = judged(project, rehearse=rehearsal(sample, kept), role=sample.owner, **login)
    assert found["status"] == "pass", (found["summary"], found["evidence"])
    assert sample.databases() == [sample.name]


def test_an_encrypted_backup_is_rehearsed_on_with_its_identity_alone(
    run_module_here: ModuleRun, judged: Judge, sample: Sample, project: Path, tmp_path: Path
) -> None:
    key = age_key(tmp_path, "key.txt")
    encryption = {"recipients": [key.recipient]}
    sealed = backed_up(
        run_module_here, sample, tmp_path / "sealed", pg_bindir=sample.programs, verify="head", encryption=encryption
    )
    found = judged(project, rehearse=rehearsal(sample, sealed))
    assert found["status"] == "unknown", found["summary"]
    assert says(found, "is encrypted, and no identity is given") and key.recipient in found["remedy"]
    found = judged(project, rehearse=rehearsal(sample, sealed, identity=key.identity))
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["rehearsal"]["backup"]["encryption"]["recipients"] == [key.recipient]
    assert_no_leak(key.secrets, json.dumps(found), "the finding")
    assert sample.databases() == [sample.name]


@serves("S1.12", case="fail")
def test_a_downgrade_that_leaves_something_fails_with_what_it_is(judged: Judge, sample: Sample, project: Path) -> None:
    revision(project, "0002", "0001", FORGETS)
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "fail"
    assert says(found, "after the downgrade of 0002 the schema is not as before: +CREATE INDEX notes_text")
    assert sample.databases() == [sample.name]


@serves("S1.12", case="fail")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ((COLUMN[0], "raise NotImplementedError"), "there is no downgrade to rehearse, since 0002: "),
        ((COLUMN[0], "pass"), "there is no downgrade to rehearse, since 0002: "),
        (FAILS_DOWN, "failed at 0002 with exit code 1"),
    ],
)
def test_a_revision_that_does_not_go_back_is_named(
    judged: Judge, sample: Sample, project: Path, code: tuple[str, str], said: str
) -> None:
    revision(project, "0002", "0001", code)
    revision(project, "0003", "0002", INDEX)
    before = fingerprint(sample)
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "fail", found["summary"]
    assert says(found, said)
    assert (fingerprint(sample), sample.databases()) == (before, [sample.name])


def test_an_upgrade_that_fails_on_the_data_is_found_on_the_copy(judged: Judge, sample: Sample, project: Path) -> None:
    """And what PostgreSQL says of the rows is not passed on."""
    sample.execute("insert into public.notes values (1, 'canary-row'), (2, 'canary-row')")
    unique = ("op.create_unique_constraint('u', 'notes', ['text'])", "op.drop_constraint('u', 'notes')")
    revision(project, "0002", "0001", unique)
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "fail"
    assert "(a template copy) failed at 0002 with exit code 1" in found["summary"]
    assert "could not create unique index" in found["summary"]
    assert_no_leak(["canary-row"], str(found), "the finding")
    assert sample.databases() == [sample.name]


def test_what_comes_back_empty_is_told_and_can_be_refused(judged: Judge, sample: Sample, project: Path) -> None:
    revision(project, "0002", "0001", LOSSY)
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["way back"] == "restore"
    refused = judged(project, way_back="downgrade")
    assert refused["status"] == "fail"
    assert "drops column notes.text" in refused["summary"]


def test_from_nothing_and_back(judged: Judge, sample: Sample, tmp_path: Path) -> None:
    """Alembic makes its own table on the way up and leaves it, which is no difference."""
    sample.execute("drop table public.notes, public.alembic_version")
    project = release(tmp_path / "1.0.0", ("0001", None, NOTES))
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["rehearsal"]["revision_after"] == []


def test_an_older_backup_is_brought_to_where_the_database_is(
    judged: Judge, sample: Sample, project: Path, backups: Backups
) -> None:
    sample.execute("alter table public.notes add extra text")
    sample.execute("update public.alembic_version set version_num = '0002'")
    revision(project, "0003", "0002", INDEX)
    found = judged(project, rehearse=rehearsal(sample, backups))
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["rehearsal"]["caught_up"] == ["0002"]
    # One that has gone further is no copy of this database.
    sample.execute("drop table public.notes, public.alembic_version")
    beyond = judged(project, rehearse=rehearsal(sample, backups))
    assert beyond["status"] == "unknown"
    assert says(beyond, "the copy is at 0001 and the database at no revision")


def test_a_rehearsal_on_an_old_backup_and_one_without_any(
    judged: Judge, sample: Sample, project: Path, backups: Backups, tmp_path: Path
) -> None:
    found = judged(project, rehearse=rehearsal(sample, backups, max_backup_age="0.001s", max_upgrade_time="0.001s"))
    assert found["status"] == "fail"
    assert says(found, "age of the rehearsed backup")
    assert says(found, "time of the upgrade")
    (tmp_path / "empty").mkdir()
    none = Backups(f"file://{tmp_path}/empty", database=sample.name)
    none.write(DAY, verified={"level": "head", "ok": False})
    unproven = judged(project, rehearse=rehearsal(sample, none))
    assert unproven["status"] == "unknown"
    assert says(unproven, f"there is no proven backup of {sample.name}")


def test_a_damaged_backup_is_no_rehearsal(judged: Judge, sample: Sample, project: Path, backups: Backups) -> None:
    (archive,) = [name for name in backups.place.names("") if name.endswith(".dump")]
    content = b"".join(backups.place.chunks(archive))
    backups.replace(archive, content[: len(content) // 2])
    found = judged(project, rehearse=rehearsal(sample, backups))
    assert (found["status"], sample.databases()) == ("unknown", [sample.name])
    assert "was not rehearsed" in found["summary"]


def test_an_application_that_goes_elsewhere_migrates_nothing(judged: Judge, sample: Sample, project: Path) -> None:
    """env.py takes the URL of the live database from somewhere else than url_variable."""
    environment = project / "migrations" / "env.py"
    url = f"postgresql+psycopg://{sample.login}@127.0.0.1:{sample.server.port}/{sample.name}"
    environment.write_text(environment.read_text().replace('os.environ["DATABASE_URL"]', repr(url)))
    before = fingerprint(sample)
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "unknown", found["summary"]
    assert "Alembic was told the scratch copy's URL and did not read its version table" in found["summary"]
    assert "url_variable" in found["remedy"]
    assert (fingerprint(sample), sample.databases()) == (before, [sample.name])


def test_check_mode_makes_no_copy(judged: Judge, sample: Sample, project: Path, backups: Backups) -> None:
    found = judged(project, check=True, rehearse=rehearsal(sample, backups))
    assert (found["status"], found["left_out"]) == ("unknown", True)
    assert "check mode" in found["summary"]
    assert "rehearsal" not in found["evidence"]


def test_a_template_with_somebody_connected_is_unknown(judged: Judge, sample: Sample, project: Path) -> None:
    with sample.connect():
        found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "unknown"
    assert "being accessed by other users" in found["summary"]
    assert sample.databases() == [sample.name]


def is_at_work(sample: Sample) -> bool:
    """Whether the migration is in its slow statement, on a copy."""
    query = "select 1 from pg_stat_activity where query = 'SELECT pg_sleep(120)' and datname like %s"
    return bool(sample.server.execute(query, f"{sample.name[:20]}%_scratch_%"))


@pytest.mark.parametrize("module", ["check_migration", "checklist"])
def test_a_signal_during_the_rehearsal_leaves_no_copy(sample: Sample, project: Path, module: str) -> None:
    revision(project, "0002", "0001", SLOW)
    params = options(sample, project, rehearse=rehearsal(sample))
    if module == "checklist":
        del params["enforce"], params["timeout"]
        params = {"checks": [{"id": "up-and-down", "check": "check_migration", "params": params, "timeout": 240.0}]}
    before = fingerprint(sample)

    with ModuleInBackground(module, params) as running:
        await_true(lambda: is_at_work(sample), seconds=60, what="the upgrade on the copy")
        assert len(sample.databases()) == 2
        running.end(signal.SIGTERM)
        answer = running.answer()
    assert (sample.databases(), fingerprint(sample)) == ([sample.name], before)
    if module == "check_migration":
        assert (answer["failed"], answer["finding"]["status"]) == (True, "unknown")
        assert "ended by SIGTERM" in answer["msg"]


def test_what_a_killed_rehearsal_left_is_swept_by_the_next(judged: Judge, sample: Sample, project: Path) -> None:
    revision(project, "0002", "0001", SLOW)
    with ModuleInBackground("check_migration", options(sample, project, rehearse=rehearsal(sample))) as running:
        await_true(lambda: is_at_work(sample), seconds=60, what="the upgrade on the copy")
        running.end(signal.SIGKILL)
        running.child.wait(30)
    (left,) = set(sample.databases()) - {sample.name}

    def maker_is_gone() -> bool:
        query = "select 1 from pg_stat_activity where application_name = 'opsready rehearsal' and datname <> %s"
        return not sample.server.execute(query, left)

    await_true(maker_is_gone, seconds=30, what="the end of the session that made the copy")
    revision(project, "0002", "0001", COLUMN)
    found = judged(project, rehearse=rehearsal(sample))
    assert found["status"] == "pass", found["summary"]
    assert left in " ".join(found["evidence"]["rehearsal"]["swept"])
    assert sample.databases() == [sample.name]


@pytest.mark.long
def test_a_rehearsal_beyond_its_time_is_unknown_and_cleaned_up(judged: Judge, sample: Sample, project: Path) -> None:
    revision(project, "0002", "0001", SLOW)
    found = judged(project, rehearse=rehearsal(sample), timeout=15)
    assert found["status"] == "unknown"
    assert "did not end within 15 s" in found["summary"]
    assert sample.databases() == [sample.name]


def test_a_copy_on_another_server(
    run_module_here: ModuleRun, debian_postgres: Postgres, postgres: Postgres, project: Path, tmp_path: Path
) -> None:
    with at_first_revision(debian_postgres) as there:
        found = backed_up(
            run_module_here, there, tmp_path / "backups", pg_bindir=str(postgres.programs), verify="archive"
        )
        before = fingerprint(there)
        elsewhere = {
            "dsn": postgres.dsn(password=None),
            "password": postgres.password,
            "pg_bindir": str(postgres.programs),
            "destination": found.url,
        }
        answer = run_module_here("check_migration", options(there, project, rehearse=elsewhere))
        assert answer["finding"]["status"] == "pass", answer["finding"]["summary"]
        assert answer["finding"]["evidence"]["rehearsal"]["upgrade"]["returncode"] == 0
        assert (there.databases(), fingerprint(there)) == ([there.name], before)
        assert not postgres.execute("select 1 from pg_database where datname like %s", f"{there.name[:20]}%")


# ---- what is missing, slow or wrong


def test_what_is_absent_or_hangs_is_unknown(
    judged: Judge, sample: Sample, project: Path, tmp_path: Path, hanging_server: HangingServer
) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 100\n")
    hangs.chmod(0o755)
    gone = f"postgresql://golive@127.0.0.1:{hanging_server.port}/archive"
    for more, said in (
        ({"directory": str(tmp_path / "nowhere")}, "is not there"),
        ({"command": [sys.executable, "-m", "no_such_tool"]}, "No module named no_such_tool"),
        ({"command": ["/no/such/python", "-m", "alembic"]}, "/no/such/python"),
        ({"command": [str(hangs)], "timeout": 2}, "did not end within 2 s"),
        ({"dsn": gone, "timeout": 1}, "No answer from PostgreSQL"),
        ({"dsn": sample.dsn(name="no_such_database")}, "no_such_database"),
        ({"password": "wrong-canary-77"}, "password authentication failed"),
        (
            {"command": [sys.executable, "-m", "no_such_tool"], "rehearse": rehearsal(sample)},
            "No module named no_such_tool",
        ),
    ):
        found = judged(project, **more)
        assert found["status"] == "unknown", (more, found)
        assert said in found["summary"], found["summary"]
    assert "Name the application's interpreter" in found["remedy"]
    assert sample.databases() == [sample.name]


def test_without_the_parser_the_rest_is_judged(judged: Judge, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)
    found = judged(project, lint={})
    assert found["status"] == "unknown"
    assert "The Python library pglast >= 7.20 is missing" in found["summary"]
    assert "pip install 'pglast>=7.20'" in found["remedy"]
    assert found["measured"]["preview"].startswith("SHA-256 ")


def test_a_history_without_one_way_fails(judged: Judge, sample: Sample, project: Path) -> None:
    revision(project, "aaaa", "0001", COLUMN)
    heads = judged(project)
    assert heads["status"] == "fail"
    assert "There are 2 heads: 0002, aaaa" in heads["summary"]
    (project / "migrations" / "versions" / "aaaa.py").unlink()
    sample.execute("update public.alembic_version set version_num = '0009'")
    unknown = judged(project)
    assert unknown["status"] == "fail"
    assert "0009, which is in none of the revision files" in unknown["summary"]


def test_a_database_that_must_be_at_the_head(judged: Judge, project: Path) -> None:
    found = judged(project, pending="none")
    assert found["status"] == "fail"
    assert "is at 0001, and 1 revisions are pending: 0002" in found["summary"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lint": {"accept": ["drop_column"]}}, "lint.accept[1] is 'drop_column'"),
        ({"lint": {"accept": ["dropping:a.b"]}}, "lint.accept[1] is 'dropping:a.b'"),
        ({"rehearse": {"source": "template", "max_upgrade_time": "soon"}}, "rehearse.max_upgrade_time"),
        ({"rehearse": {"source": "template", "dsn": "postgresql://a@b/c"}}, "rehearse.dsn is another server"),
        ({"rehearse": {"destination": "ftp://backups"}}, "neither s3://bucket/prefix nor file:///directory"),
        ({"environment": {"URL": "redis://u:canary-33@h"}}, "environment.URL holds a password"),
        ({"dsn": "postgresql://golive:canary-33@db/archive"}, "password"),
    ],
)
def test_a_wrong_option_is_one_clear_error(judged: Judge, project: Path, wrong: dict[str, t.Any], said: str) -> None:
    found = judged(project, **wrong)
    assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]
    assert_no_leak(["canary-33"], str(found), "the finding")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rehearse": {}}, "destination"),
        ({"lint": {"fail_on": ["everything"]}}, "value of fail_on must be one or more of"),
        ({"rehearse": {"source": "template", "password": "canary-33"}}, "password"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    run_module_here: ModuleRun, sample: Sample, project: Path, wrong: dict[str, t.Any], said: str
) -> None:
    answer = run_module_here("check_migration", options(sample, project, **wrong), secrets=["canary-33"])
    assert answer["failed"] is True
    assert said in answer["msg"]


def test_items_share_one_plan_and_each_has_its_own_limit(sample: Sample, project: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    slow = tmp_path / "alembic"
    slow.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nsleep 1\nexec {sys.executable} -m alembic "$@"\n')
    slow.chmod(0o755)
    params = options(sample, project, command=[str(slow)])
    del params["enforce"], params["timeout"]
    items = [
        {"id": identity, "check": "check_migration", "params": {**params, **more}, "timeout": timeout}
        for identity, timeout, more in (("short", 0.5, {}), ("long", 60.0, {}), ("lint", 60.0, {"lint": {}}))
    ]
    found = {
        one["id"]: one["status"] for one in judge_all(items, [], timeout_seconds=90, scrub=Scrubber([sample.password]))
    }
    assert found == {"short": "unknown", "long": "pass", "lint": "pass"}
    # That of the item whose time ran out, and one that the others shared.
    assert len(calls.read_text().splitlines()) <= 2


def test_the_examples_run(
    run_module_here: ModuleRun, sample: Sample, project: Path, backups: Backups, tmp_path: Path
) -> None:
    replaced = {
        "/srv/archive/releases/2.0.0/migration_preview.sql": str(tmp_path / "migration_preview.sql"),
        "/srv/archive/releases/2.0.0": str(project),
        "/srv/archive/venv/bin/python": sys.executable,
        "postgresql://golive@db.example.org/archive": sample.dsn(),
        "{{ database_password }}": sample.password,
    }
    kept = examples_of("migrate", replaced)["The SQL, as a file that a second person reads"]
    assert run_module_here("migrate", kept)["changed"] is True
    examples = examples_of("check_migration", {**replaced, "file:///var/backups/archive": backups.url})
    for name, example in examples.items():
        example.setdefault("timeout", 60)
        if "rehearse" in example:
            example["rehearse"]["pg_bindir"] = sample.programs
        answer = run_module_here("check_migration", example, secrets=[sample.password])
        assert answer["finding"]["status"] == "pass", (name, answer)
