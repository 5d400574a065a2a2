# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_restore on real servers: law 7 and law 10, kept and broken on purpose."""

from __future__ import annotations

import json
import signal
import typing as t
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import claim
from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample
from tests.servers import S3, Postgres, await_true

serves = pytest.mark.serves


@pytest.fixture
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    with Sample(postgres) as made:
        yield made


def restore(sample: Sample, state: str, **more: t.Any) -> dict[str, t.Any]:
    return sample.options(state=state, pg_bindir=sample.programs, **{"restore_id": "r1", **more})


def fence(run: ModuleRun, sample: Sample, state: str = "fenced", **more: t.Any) -> dict[str, t.Any]:
    answer = run("pg_fence", sample.options(state=state, fence_id="r1", **more))
    assert "failed" not in answer, answer
    return answer


def back_up(run: ModuleRun, sample: Sample, place: Path, **more: t.Any) -> dict[str, t.Any]:
    """A backup of the database, fenced or not, proven only by hash: the restore under test compares anyway."""
    fenced = f"{sample.name}_golive_r1"
    name = fenced if fenced in sample.databases() else sample.name
    wanted = sample.options(
        destination=f"file://{place}", database=name, pg_bindir=sample.programs, **{"verify": "head", **more}
    )
    answer = run("pg_backup", wanted)
    assert "failed" not in answer, answer
    return dict(answer["backup"])


def migrate(sample: Sample) -> None:
    """What a migration does: it changes the schema and writes rows of its own."""
    name = f"{sample.name}_golive_r1"
    sample.execute("alter table app.documents drop column title", name=name)
    sample.execute("insert into app.documents (amount) select 1 from generate_series(1, 500)", name=name)


def baseline(run: ModuleRun, sample: Sample) -> dict[str, t.Any]:
    answer = run("pg_restore", restore(sample, "assessed"))
    assert answer["database"] == f"{sample.name}_golive_r1", answer
    assert answer["data_loss"] is None
    return dict(answer["baseline"])


@serves("S1.66", case="pass")
def test_a_bad_release_is_taken_back_without_a_trace(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    contents, properties = sample.contents(), sample.properties()
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    assert made["database"] == sample.name
    migrate(sample)
    since = baseline(run_module_here, sample)
    wanted = restore(sample, "restored", backup=made["manifest"], baseline=since, target=f"{sample.name}_golive_r1")

    would = run_module_here("pg_restore", wanted, check=True, secrets=[sample.password])
    assert (would["changed"], would["data_loss"]["lossless"]) == (True, True), would
    assert sample.databases() == [f"{sample.name}_golive_r1"]

    done = run_module_here("pg_restore", wanted, secrets=[sample.password])
    assert done["changed"] is True, done
    assert done["failed_database"] == f"{sample.name}_failed_r1"
    assert (done["source"]["sha256"], done["source"]["rows"]) == (made["sha256"], made["rows"])
    assert (done["data_loss"]["lossless"], done["data_loss"]["rows"]) == (True, 0)
    assert run_module_here("pg_restore", wanted)["changed"] is False
    assert run_module_here("pg_restore", wanted, check=True)["changed"] is False

    fence(run_module_here, sample, "lifted")
    assert sample.contents() == contents
    assert sample.properties() == properties
    assert sample.databases() == [sample.name, f"{sample.name}_failed_r1"]
    assert sample.properties(f"{sample.name}_failed_r1")["open"] is False
    # The failed release gave out ids up to 2500; none of them is given again.
    assert sample.execute("insert into app.documents (title) values ('new') returning id")[0][0] > 2500


def test_restoring_to_the_live_name_lifts_the_fence_at_once(
    run_module_here: ModuleRun, sample: Sample, s3: S3, tmp_path: Path
) -> None:
    contents, properties = sample.contents(), sample.properties()
    fence(run_module_here, sample)
    back_up(run_module_here, sample, tmp_path)
    since = baseline(run_module_here, sample)
    done = run_module_here("pg_restore", restore(sample, "restored", destination=f"file://{tmp_path}", baseline=since))
    assert done["database"] == sample.name, done
    assert (sample.contents(), sample.properties()) == (contents, properties)


def test_a_superuser_restores_several_owners(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    with sample.connect() as connection:
        connection.execute(sql.SQL("create schema other authorization {}").format(sql.Identifier(sample.reader)))
        connection.execute(sql.SQL("create table other.t (a int)"))
        connection.execute(sql.SQL("alter table other.t owner to {}").format(sql.Identifier(sample.reader)))
        connection.execute(sql.SQL("grant select on other.t to {}").format(sql.Identifier(sample.owner)))
    owners = "select relname::text, relowner::regrole::text, relacl::text from pg_class where relnamespace = 'other'::regnamespace"
    before, contents = sample.execute(owners), sample.contents()
    fence(run_module_here, sample)
    superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
    back_up(run_module_here, sample, tmp_path)
    since = baseline(run_module_here, sample)
    wanted = restore(sample, "restored", destination=f"file://{tmp_path}", baseline=since)
    done = run_module_here("pg_restore", {**wanted, **superuser})
    assert done["changed"] is True, done
    assert (sample.execute(owners), sample.contents()) == (before, contents)


def test_a_live_database_is_refused(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    made = back_up(run_module_here, sample, tmp_path)
    wanted = restore(sample, "restored", backup=made["manifest"], accept_data_loss=True)
    refused = run_module_here("pg_restore", wanted)
    assert refused["error"] == "Refused"
    assert "is live" in refused["msg"]
    assert sample.databases() == [sample.name]


@serves("S1.66", case="pass")
@serves("S1.66", case="fail")
def test_what_was_written_since_is_counted_and_not_lost_by_itself(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    fenced = f"{sample.name}_golive_r1"
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    migrate(sample)
    since = baseline(run_module_here, sample)
    sample.execute("insert into app.documents (amount) select 9 from generate_series(1, 3)", name=fenced)
    sample.execute("update app.documents set amount = 0 where id in (1, 2)", name=fenced)
    sample.execute("delete from app.documents where id between 10 and 13", name=fenced)
    sample.execute("vacuum freeze app.documents", name=fenced)
    sample.execute("truncate app.parted_low", name=fenced)

    wanted = restore(sample, "restored", backup=made["manifest"], baseline=since)
    refused = run_module_here("pg_restore", wanted)
    assert refused["error"] == "Refused", refused
    loss = refused["data_loss"]
    tables = {one["table"]: one for one in loss["tables"]}
    assert (loss["lossless"], loss["rows"], loss["gone_rows"]) == (False, 5, 16)
    assert (tables["app.documents"]["at_stake"], tables["app.documents"]["gone"]) == (5, 6)
    assert tables["app.parted_low"]["gone"] == 10
    assert loss["span_seconds"] >= 0
    assert "5 rows were inserted or updated and 16 that were there are gone or replaced" in refused["msg"]
    assert sample.databases() == [fenced]

    accepted = run_module_here("pg_restore", {**wanted, "accept_data_loss": True})
    assert accepted["changed"] is True, accepted
    assert accepted["data_loss"] == {**loss, "span_seconds": accepted["data_loss"]["span_seconds"]}
    # One that was killed after its swap told nobody: the next call tells what that one counted.
    again = run_module_here("pg_restore", wanted)
    assert (again["changed"], again["data_loss"]) == (False, accepted["data_loss"])


def test_the_releases_own_rows_are_counted_apart(run_module_here: ModuleRun, sample: Sample) -> None:
    fenced = f"{sample.name}_golive_r1"
    fence(run_module_here, sample)
    since = baseline(run_module_here, sample)
    sample.execute("insert into app.documents (title) values ('golive-smoke')", name=fenced)
    own = [{"table": "app.documents", "column": "title", "values": ["golive-smoke"]}]
    seen = run_module_here("pg_restore", restore(sample, "assessed", baseline=since, own_rows=own))
    assert (seen["data_loss"]["lossless"], seen["data_loss"]["own_rows"]) == (True, 1), seen
    sample.execute("insert into app.documents (title) values ('user')", name=fenced)
    seen = run_module_here("pg_restore", restore(sample, "assessed", baseline=since, own_rows=own))
    assert (seen["data_loss"]["lossless"], seen["data_loss"]["rows"]) == (False, 1)


def test_a_new_large_object_and_a_new_table_are_at_stake(run_module_here: ModuleRun, sample: Sample) -> None:
    fenced = f"{sample.name}_golive_r1"
    fence(run_module_here, sample)
    for statement in ("select lo_from_bytea(0, 'x')", "create table app.later as select 1 as a"):
        since = baseline(run_module_here, sample)
        sample.execute(statement, name=fenced)
        seen = run_module_here("pg_restore", restore(sample, "assessed", baseline=since))
        assert seen["data_loss"]["lossless"] is False, seen
        assert seen["data_loss"]["rows"] >= 1
    since = baseline(run_module_here, sample)
    sample.execute("select lo_unlink(oid) from pg_largeobject_metadata", name=fenced)
    seen = run_module_here("pg_restore", restore(sample, "assessed", baseline=since))
    assert (seen["data_loss"]["lossless"], seen["data_loss"]["rows"]) == (False, 0), seen


def test_without_a_baseline_the_loss_is_not_known_and_refused(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    fenced = fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    snapshot = fenced["position"]["snapshot"]
    seen = run_module_here("pg_restore", restore(sample, "assessed", since_snapshot=snapshot))
    assert seen["data_loss"]["lossless"] is None
    assert "deletes" in seen["msg"]
    refused = run_module_here(
        "pg_restore", restore(sample, "restored", backup=made["manifest"], since_snapshot=snapshot)
    )
    assert refused["error"] == "Refused"
    # The backup's own manifest has counts, and nothing was written since.
    done = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert done["changed"] is True, done


def test_a_baseline_of_another_server_or_of_the_future_tells_nothing(
    run_module_here: ModuleRun, sample: Sample
) -> None:
    fence(run_module_here, sample)
    since = baseline(run_module_here, sample)
    for changes, said in (
        ({"system_identifier": "1"}, "another server"),
        ({"snapshot": "99999999999:99999999999:"}, "behind the snapshot"),
    ):
        seen = run_module_here("pg_restore", restore(sample, "assessed", baseline={**since, **changes}))
        assert seen["data_loss"]["lossless"] is None, seen
        assert said in seen["data_loss"]["reason"]
    for broken, said in (
        ({"snapshot": "1:1:"}, "lacks at, tables"),
        ({**since, "snapshot": "now"}, "not a snapshot"),
        ({**since, "tables": ["x"]}, "baseline.tables"),
    ):
        failed = run_module_here("pg_restore", restore(sample, "assessed", baseline=broken))
        assert failed["error"] == "BadInput"
        assert said in failed["msg"]


def test_a_copy_is_swapped_back_at_once(run_module_here: ModuleRun, sample: Sample) -> None:
    contents, properties = sample.contents(), sample.properties()
    fence(run_module_here, sample, copy=True)
    name = f"{sample.name}_before_r1"
    migrate(sample)
    since = baseline(run_module_here, sample)
    unproven = run_module_here("pg_restore", restore(sample, "restored", copy=name))
    assert unproven["error"] == "Refused"
    wanted = restore(sample, "restored", copy=name, baseline=since)
    assert run_module_here("pg_restore", wanted, check=True)["changed"] is True
    done = run_module_here("pg_restore", wanted)
    assert done["changed"] is True, done
    assert (sample.contents(), sample.properties()) == (contents, properties)
    assert sample.databases() == [sample.name, f"{sample.name}_failed_r1"]
    assert sample.execute("insert into app.documents (title) values ('new') returning id")[0][0] > 2500


def test_a_copy_that_is_not_of_this_fence_is_refused(run_module_here: ModuleRun, sample: Sample) -> None:
    fence(run_module_here, sample, copy=True)
    name = f"{sample.name}_before_r1"
    fence(run_module_here, sample, "lifted")
    gone = run_module_here("pg_restore", restore(sample, "restored", copy=name, accept_data_loss=True))
    assert "is live" in gone["msg"]
    fence(run_module_here, sample)
    for copy, said in ((name, "earlier fence"), ("postgres", "not a copy"), ("no_such", "not a copy")):
        refused = run_module_here("pg_restore", restore(sample, "restored", copy=copy, accept_data_loss=True))
        assert refused["error"] == "Refused"
        assert said in refused["msg"]
    assert len(sample.databases()) == 2


def test_a_database_that_is_lost_is_restored_to_its_name(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    contents, properties = sample.contents(), sample.properties()
    made = back_up(run_module_here, sample, tmp_path)
    sample.server.drop_database(sample.name)
    refused = run_module_here(
        "pg_restore", restore(sample, "restored", backup=made["manifest"], target=f"{sample.name}_golive_r1")
    )
    assert "is not there" in refused["msg"]
    done = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert (done["changed"], done["failed_database"]) == (True, None), done
    assert (sample.contents(), sample.properties()) == (contents, properties)


def test_a_backup_is_listed_and_verified_again(run_module_here: ModuleRun, sample: Sample, s3: S3) -> None:
    bucket = s3.create_bucket()
    store = {"endpoint_url": s3.endpoint, "access_key": s3.access_key, "secret_key": s3.secret_key}
    place = {"destination": f"s3://{bucket}/p", "s3": store}
    for verify in ("head", "archive"):
        answer = run_module_here(
            "pg_backup", sample.options(pg_bindir=sample.programs, verify=verify, **place), secrets=[s3.secret_key]
        )
        assert "failed" not in answer, answer
    listed = run_module_here("pg_restore", restore(sample, "listed", **place), secrets=[s3.secret_key])
    assert [one["verified"]["level"] for one in listed["backups"]] == ["head", "archive"]
    assert run_module_here("pg_restore", restore(sample, "verified", **place), check=True)["changed"] is True
    proven = run_module_here(
        "pg_restore",
        restore(
            sample, "verified", verify_sql=[{"query": "select count(*) from app.documents", "expect": "2000"}], **place
        ),
        secrets=[s3.secret_key, sample.password],
    )
    assert proven["verified"]["compared"] == "rows and content", proven
    assert proven["backup"]["manifest"] == listed["backups"][-1]["manifest"]
    assert sample.databases() == [sample.name]


@serves("S1.66", case="fail")
@pytest.mark.parametrize("damage", ["truncated", "one byte", "gone"])
def test_a_damaged_archive_is_never_restored(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path, damage: str
) -> None:
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    archive = Path(made["archive"].removeprefix("file://"))
    body = bytearray(archive.read_bytes())
    if damage == "gone":
        archive.unlink()
    else:
        body[len(body) // 2] ^= 1
        archive.write_bytes(bytes(body[: len(body) // 2] if damage == "truncated" else body))
    for state in ("verified", "restored"):
        failed = run_module_here("pg_restore", restore(sample, state, backup=made["manifest"]))
        assert failed["failed"] is True, failed
        assert failed["error"] in ("ActionFailed", "CommandFailed", "Absent")
    assert sample.databases() == [f"{sample.name}_golive_r1"]


@serves("S1.66", case="fail")
def test_an_archive_of_other_contents_is_noticed(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    path = Path(made["manifest"].removeprefix("file://"))
    manifest = json.loads(path.read_text())
    table = next(one for one in manifest["tables"] if one["name"] == "documents")
    table["content"] = "1"
    path.write_text(json.dumps(manifest))
    failed = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert "the content of app.documents differs" in failed["msg"]
    assert failed["left"]["restoring"] is None
    assert sample.databases() == [f"{sample.name}_golive_r1"]


def test_what_cannot_be_carried_over_is_said_before_the_long_restore(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    sample.execute("create role stranger_of_this_test")
    try:
        sample.server.execute(f"alter role stranger_of_this_test in database {sample.name} set work_mem = '8MB'")
        fence(run_module_here, sample)
        made = back_up(run_module_here, sample, tmp_path)
        failed = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
        assert failed["error"] == "Denied", failed
        assert "stranger_of_this_test" in failed["msg"]
        assert sample.databases() == [f"{sample.name}_golive_r1"]
    finally:
        sample.drop()
        sample.server.execute("drop role stranger_of_this_test")


def test_a_security_label_that_nothing_on_the_server_understands_is_said_before_the_long_restore(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    """A provider is a library that no package here has; the label itself is a row like any other."""
    sample.server.execute(
        "insert into pg_shseclabel (objoid, classoid, provider, label)"
        f" select oid, 'pg_database'::regclass, 'selinux', 'system_u:db' from pg_database where datname = '{sample.name}'"
    )
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    written = json.loads(Path(made["manifest"].removeprefix("file://")).read_text())
    assert written["properties"]["security_labels"] == [{"provider": "selinux", "label": "system_u:db"}]
    failed = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert failed["failed"] and "labels of the provider selinux, which the server has not loaded" in failed["msg"], (
        failed
    )
    assert sample.databases() == [f"{sample.name}_golive_r1"]


def test_a_signal_in_the_middle_drops_what_was_being_made(postgres: Postgres, tmp_path: Path) -> None:
    big = Sample(postgres)
    try:
        big.create(
            "create table public.big as select i, repeat(md5(i::text), 20) as t from generate_series(1, 200000) i"
        )
        with ModuleInBackground("pg_fence", big.options(state="fenced", fence_id="r1")) as module:
            module.answer()
        fenced = f"{big.name}_golive_r1"
        wanted = big.options(destination=f"file://{tmp_path}", database=fenced, pg_bindir=big.programs, verify="head")
        with ModuleInBackground("pg_backup", wanted) as module:
            made = module.answer()["backup"]
        wanted = restore(big, "restored", backup=made["manifest"])
        with ModuleInBackground("pg_restore", wanted) as module:
            await_true(lambda: len(big.databases()) == 2, seconds=60, what="a new database")
            module.end()
            assert module.answer()["failed"] is True
        assert big.databases() == [fenced]

        with ModuleInBackground("pg_restore", wanted) as module:
            await_true(lambda: len(big.databases()) == 2, seconds=60, what="a new database")
            module.end(signal.SIGKILL)
            module.child.wait()
        # What the kill left is found by its name and mark, and replaced.
        with ModuleInBackground("pg_restore", wanted) as module:
            assert module.answer()["changed"] is True
        assert big.execute("select count(*) from public.big") == [(200000,)]
        assert big.databases() == [big.name, f"{big.name}_failed_r1"]
    finally:
        big.drop()


def test_what_was_ready_before_a_kill_is_taken_as_it_is(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_restore

    with pytest.MonkeyPatch.context() as patched:

        def killed(*_unused: t.Any) -> t.NoReturn:
            raise SystemExit(9)

        patched.setattr(pg_restore.Work, "_swap", killed)
        with pytest.raises((SystemExit, AssertionError, pytest.fail.Exception)):
            run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert f"{sample.name}_restore_r1" in sample.databases()
    oid = sample.server.execute("select oid from pg_database where datname = %s", f"{sample.name}_restore_r1")
    done = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert done["changed"] is True, done
    assert sample.server.execute("select oid from pg_database where datname = %s", sample.name) == oid


def test_names_that_are_taken_by_others_are_left_alone(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    for word in ("restore", "failed"):
        name = f"{sample.name}_{word}_r1"
        sample.server.execute(f'create database "{name}"')
        refused = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
        assert refused["error"] == "Refused", refused
        assert name in refused["msg"]
        sample.server.drop_database(name)
    # Closed and without any comment, with our claim, it is what a kill of ours leaves between making and marking.
    name = f"{sample.name}_restore_r1"
    sample.server.execute(f'create database "{name}" owner "{sample.owner}" allow_connections false')
    assert name in run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))["msg"]
    sample.server.execute(f'alter database "{name}" connection limit {claim(sample.name, name)}')
    done = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert done["changed"] is True, done


def test_bad_input_is_named(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    made = back_up(run_module_here, sample, tmp_path)
    other = {"database": "other", "backup": made["manifest"]}
    for state, more, said in (
        ("restored", {"restore_id": None}, "Neither release nor restore_id"),
        ("restored", {"target": "elsewhere", "backup": made["manifest"]}, "target is elsewhere"),
        ("verified", {"backup": made["archive"]}, "does not name a manifest"),
        ("verified", other, "not of other"),
        ("verified", {"destination": f"file://{tmp_path}", "database": "other"}, "no proven backup"),
        ("verified", {"backup": made["manifest"] + "x.manifest.json"}, "No such file"),
        ("verified", {}, "backup, destination"),
        ("listed", {}, "destination"),
    ):
        failed = run_module_here("pg_restore", restore(sample, state, **more))
        assert failed["failed"] is True
        assert said in failed["msg"], failed["msg"]


def test_a_backup_that_was_never_proven_is_refused(run_module_here: ModuleRun, sample: Sample, tmp_path: Path) -> None:
    fence(run_module_here, sample)
    made = back_up(run_module_here, sample, tmp_path)
    path = Path(made["manifest"].removeprefix("file://"))
    manifest = json.loads(path.read_text())
    manifest["verified"]["ok"] = False
    path.write_text(json.dumps(manifest))
    refused = run_module_here("pg_restore", restore(sample, "restored", backup=made["manifest"]))
    assert "was never proven" in refused["msg"]


def test_clients_that_reconnect_do_not_stop_the_swap(
    run_module_here: ModuleRun, sample: Sample, tmp_path: Path
) -> None:
    from tests.integration.test_pg_fence import Clients

    sample.execute("create table public.notes (id bigserial, text text)")
    sample.server.execute(f'grant connect on database "{sample.name}" to "{sample.owner}"')
    sample.execute(f'alter table public.notes owner to "{sample.owner}"')
    fence(run_module_here, sample)
    back_up(run_module_here, sample, tmp_path)
    since = baseline(run_module_here, sample)
    superuser = {"dsn": sample.dsn(login="postgres"), "password": sample.server.password}
    with Clients(sample, 12):
        wanted = restore(sample, "restored", destination=f"file://{tmp_path}", baseline=since)
        done = run_module_here("pg_restore", {**wanted, **superuser})
    assert done["changed"] is True, done
    with pytest.raises(psycopg.OperationalError, match="not currently accepting"):
        sample.connect(f"{sample.name}_failed_r1")


def test_slots_and_subscriptions_are_never_left_behind_in_silence(run_module_here: ModuleRun, tmp_path: Path) -> None:
    with Postgres(settings={"wal_level": "logical"}) as server:
        sample = Sample(server).create()  # it ends with its server
        server.execute("select pg_create_logical_replication_slot('debezium', 'pgoutput')", dbname=sample.name)
        server.execute(
            "create subscription \"from head office\" connection 'host=nowhere' publication documents"
            " with (connect = false, slot_name = none)",
            dbname=sample.name,
        )
        (confirmed,) = server.execute("select confirmed_flush_lsn::text from pg_replication_slots")[0]
        slot = {"kind": "slot", "name": "debezium", "of": "pgoutput", "active": False, "confirmed_flush_lsn": confirmed}
        subscription = {"kind": "subscription", "name": "from head office", "of": "documents"}
        tied = [slot, {**subscription, "enabled": False, "slot_name": None}]
        fence(run_module_here, sample)
        made = back_up(run_module_here, sample, tmp_path)
        written = json.loads(Path(made["manifest"].removeprefix("file://")).read_text())
        assert written["server"]["replication"] == tied
        since = baseline(run_module_here, sample)
        wanted = restore(sample, "restored", backup=made["manifest"], baseline=since, target=f"{sample.name}_golive_r1")
        for check in (True, False):
            refused = run_module_here("pg_restore", wanted, check=check)
            assert refused["failed"] and refused["replication"] == tied, refused
            told = f"slot debezium (pgoutput; not active, confirmed up to {confirmed}), "
            assert f"{told}subscription from head office (documents; disabled, without a slot)" in refused["msg"]
        assert sample.databases() == [f"{sample.name}_golive_r1"]
        done = run_module_here("pg_restore", {**wanted, "replication": "leave"})
        assert (done["changed"], done["replication"]) == (True, tied), done
        assert "2 replication slots or subscriptions stay with it" in done["msg"]
        kept = server.execute("select database::text from pg_replication_slots")
        assert kept == [(done["failed_database"],)]
