# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What SIGKILL leaves is found and removed, to the last thing; what is alive, whole or somebody else's stays."""

from __future__ import annotations

import contextlib
import secrets
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Mark, claim
from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample, await_gone
from tests.integration.test_pg_backup import BIG, fake_programs, keys, options
from tests.integration.test_pg_backup import uploads as _uploads
from tests.servers import S3, MotoS3, Postgres, await_true


def uploads(store: S3 | MotoS3, bucket: str) -> list[str]:
    """rclone says that there is no such upload where there is none."""
    with contextlib.suppress(store.client().exceptions.NoSuchUpload):
        return _uploads(store, bucket)
    return []


@pytest.fixture(scope="module")
def big(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(BIG)
    finally:
        made.drop()


@pytest.fixture
def release() -> str:
    """A token of a release that nobody else has."""
    return f"sweep/r-{secrets.token_hex(4)}/1/{secrets.token_hex(8)}"


def id_of(token: str) -> str:
    return token.split("/")[1]


def sweep(run: ModuleRun, sample: Sample, check: bool = False, **more: t.Any) -> dict[str, t.Any]:
    answer = run("pg_restore", sample.options(state="swept", **more), check=check, diff=True)
    assert "failed" not in answer, answer
    return answer


def kinds(answer: dict[str, t.Any]) -> list[str]:
    return sorted(one["kind"] for one in answer["removed"])


def killed(
    name: str, wanted: dict[str, t.Any], when: t.Callable[[], bool], what: str, *, programs: int | None = None
) -> None:
    """SIGKILL the module once ``when`` holds; its programs, where told so many, die with it."""
    with ModuleInBackground(name, wanted) as module:
        await_true(when, seconds=60, what=what)
        if programs is not None:  # another may be ending yet
            await_true(lambda: len(module.children()) == programs, seconds=60, what=f"{programs} programs")
        children = module.children()
        module.end(signal.SIGKILL)
        module.child.wait()
        await_gone(children)


def has(sample: Sample, kind: str) -> t.Callable[[], bool]:
    """Whether a database of this kind is there, with its mark."""
    marks = "select shobj_description(oid, 'pg_database') from pg_database"
    mark = f'"kind": "{kind}"'

    def found() -> bool:
        texts = [text for (text,) in sample.server.execute(marks) if text is not None]
        return any(mark in text and f'"original": "{sample.name}"' in text for text in texts)

    return found


def unmarked_now(sample: Sample, name: str, owner: str) -> None:
    """As a kill between CREATE DATABASE and the mark leaves it."""
    made = f'create database "{name}" owner "{owner}" allow_connections false'
    sample.server.execute(f"{made} connection limit {claim(sample.name, name)}")


def swept_to_the_last(run: ModuleRun, sample: Sample, expected: t.Sequence[str], **more: t.Any) -> dict[str, t.Any]:
    """Check mode says it and changes nothing, then it is done, then there is nothing to do."""
    before = sample.databases()
    would = sweep(run, sample, check=True, **more)
    assert (would["changed"], kinds(would)) == (True, sorted(expected)), would
    assert sample.databases() == before
    done = sweep(run, sample, **more)
    assert (done["removed"], done["diff"]) == (would["removed"], would["diff"])
    again = sweep(run, sample, **more)
    assert (again["changed"], again["removed"]) == (False, []), again
    return done


@pytest.mark.parametrize("kind", ["s3", "moto_s3"])
def test_an_upload_that_was_killed_is_aborted(
    run_module_here: ModuleRun, request: pytest.FixtureRequest, big: Sample, release: str, kind: str, tmp_path: Path
) -> None:
    store: S3 | MotoS3 = request.getfixturevalue(kind)
    bucket = store.create_bucket()
    wanted = options(big, f"s3://{bucket}/p", store, compression="none", release=release)
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, '$REAL "$@"; exec sleep 600')
    killed("pg_backup", wanted, lambda: bool(uploads(store, bucket)), "an open upload")
    assert keys(store, bucket) == []
    # It is somebody else's, and too young to be anybody's remains.
    place = {"destination": f"s3://{bucket}/p", "s3": wanted["s3"]}
    assert sweep(run_module_here, big, restore_id="r-another", **place)["kept"] == []
    if kind == "s3":  # moto begins every upload in 2010
        young = sweep(run_module_here, big, **place)
        assert (young["removed"], "s old" in young["kept"][0]["reason"]) == ([], True), young
    done = swept_to_the_last(run_module_here, big, ["upload"], restore_id=id_of(release), **place)
    assert done["removed"][0]["name"].startswith(f"s3://{bucket}/p/{big.name}/")
    assert uploads(store, bucket) == []


def test_a_proof_that_was_killed_leaves_nothing_after_the_sweep(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3, release: str
) -> None:
    bucket = moto_s3.create_bucket()
    moto_s3.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none")
    whole = run_module_here("pg_backup", {**wanted, "verify": "head"})
    assert whole["changed"] is True, whole
    kept = keys(moto_s3, bucket)
    again = {**wanted, "release": release}
    killed("pg_backup", again, has(big, "scratch"), "a scratch database")
    assert len(keys(moto_s3, bucket)) == len(kept) + 2
    place = {"destination": f"s3://{bucket}", "s3": wanted["s3"]}
    done = sweep(run_module_here, big, restore_id=id_of(release), **place)
    assert kinds(done) == ["archive", "roles", "scratch"], done
    assert (big.databases(), keys(moto_s3, bucket)) == ([big.name], kept)
    versions = moto_s3.client().list_object_versions(Bucket=bucket)
    assert sorted(one["Key"] for one in versions["Versions"]) == sorted(kept) and "DeleteMarkers" not in versions


def test_the_next_backup_of_a_release_removes_what_the_killed_one_left(
    run_module_here: ModuleRun, big: Sample, tmp_path: Path, release: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    wanted = options(big, f"file://{place}", compression="none", verify="head")
    fakes = fake_programs(tmp_path / "bin", big, '$REAL "$@"; exec sleep 600')

    def has_partial() -> bool:
        return any(one.stat().st_size for one in place.rglob("*.partial-*"))

    killed("pg_backup", {**wanted, "release": release, "pg_bindir": fakes}, has_partial, "a file")
    (partial,) = place.rglob("*.partial-*")
    other = run_module_here("pg_backup", wanted)
    assert f"file://{partial}: no manifest, so no backup" in str(other["warnings"]), other
    assert partial.exists()
    own = run_module_here("pg_backup", {**wanted, "release": release})
    assert f"file://{partial}: a run that was killed before its proof had left it" in str(own["warnings"]), own
    assert not partial.exists()
    assert len(list(place.rglob("*.manifest.json"))) == 2


def test_a_backup_that_is_alive_is_left_to_its_work(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3, tmp_path: Path, release: str
) -> None:
    bucket = moto_s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none", verify="head", release=release)
    wait = f'$REAL "$@"; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done'
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, wait)
    place = {"destination": f"s3://{bucket}", "s3": wanted["s3"]}
    with ModuleInBackground("pg_backup", wanted) as module:
        await_true(lambda: bool(uploads(moto_s3, bucket)), seconds=60, what="an open upload")
        for scope in (
            {"restore_id": id_of(release)},
            {"min_age": 0},
            {"min_age": 0, "maintenance_database": "template1"},
        ):
            seen = sweep(run_module_here, big, **scope, **place)
            assert (seen["changed"], [one["reason"] for one in seen["kept"]]) == (
                False,
                ["a run that is alive is at work on it"],
            ), seen
        (tmp_path / "go").touch()
        assert module.answer()["changed"] is True
    assert sweep(run_module_here, big, min_age=0, **place)["removed"] == []


def test_databases_in_the_making_are_dropped_and_nothing_else(
    run_module_here: ModuleRun, big: Sample, tmp_path: Path
) -> None:
    wanted = options(big, f"file://{tmp_path}", verify="head")
    made = run_module_here("pg_backup", wanted)["backup"]["manifest"]
    extract = big.options(state="extracted", backup=made, tables=["public.big"], pg_bindir=big.programs)
    kept = run_module_here("pg_restore", {**extract, "restore_id": "kept"})["extracted"]["database"]
    server = big.server
    unmarked, lookalike = f"{big.name}_restore_r9", f"{big.name}_scratch_r9-00000000"
    try:
        assert run_module_here("pg_fence", big.options(state="fenced", fence_id="r9"))["changed"] is True
        restore = big.options(state="restored", backup=made, restore_id="r9", pg_bindir=big.programs)
        killed("pg_restore", restore, has(big, "restoring"), "a database that is being restored")
        killed("pg_restore", {**extract, "restore_id": "r9"}, has(big, "extracting"), "an extract")
        server.execute(f'create database "{lookalike}" owner "{big.owner}" allow_connections false')
        before = set(big.databases())
        assert sweep(run_module_here, big, restore_id="r8")["removed"] == []

        swept_to_the_last(run_module_here, big, ["restoring", "extracting"], restore_id="r9")
        stays = {f"{big.name}_golive_r9", kept, lookalike}
        assert set(big.databases()) == stays and before > stays

        # Between its making and its mark, a database has our claim; a mark that came with another OID is none.
        unmarked_now(big, unmarked, "postgres")
        assert sweep(run_module_here, big)["kept"][0]["reason"] == "it belongs to postgres"
        server.drop_database(unmarked)
        unmarked_now(big, unmarked, big.owner)
        forged = Mark("scratch", big.name, "r9", 1).text()
        server.execute(f"comment on database \"{lookalike}\" is '{forged}'")
        swept_to_the_last(run_module_here, big, ["unmarked"])
        assert set(big.databases()) == stays

        # Somebody looks at what was left: it stays until he is gone.
        killed("pg_restore", {**extract, "restore_id": "r9"}, has(big, "extracting"), "an extract")
        (left,) = set(big.databases()) - stays
        server.execute(f'alter database "{left}" allow_connections true')
        with server.connect(left, application_name="psql"):
            seen = sweep(run_module_here, big)
            assert "postgres (psql) is connected" in str(seen["kept"]), seen
        assert len(sweep(run_module_here, big)["removed"]) == 1
    finally:
        assert "failed" not in run_module_here("pg_fence", big.options(state="lifted", fence_id="r9"))
        for name in set(big.databases()) - {big.name}:
            server.drop_database(name)


def test_a_missing_place_is_told_before_anything_is_removed(run_module_here: ModuleRun, big: Sample) -> None:
    name = f"{big.name}_scratch_x"
    unmarked_now(big, name, big.owner)
    failed = run_module_here("pg_restore", big.options(state="swept", destination="file:///no/such/place"))
    assert (failed["error"], name in big.databases()) == ("Absent", True), failed
    assert kinds(sweep(run_module_here, big)) == ["unmarked"]
