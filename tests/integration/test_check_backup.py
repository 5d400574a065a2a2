# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_backup on what pg_backup made, in a directory and in real object stores, and on what went wrong with it since."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.conftest import ModuleRun
from tests.integration.sample_database import Sample
from tests.integration.written_backups import DAY, HOUR, Backups
from tests.leaks import assert_no_leak
from tests.module_examples import examples_of
from tests.servers import S3, Answer, HangingServer, HttpServer, MotoS3, Postgres

WRONG = "wrong-canary-b72e"
NOTES = """
create table public.notes (id bigserial primary key, text text);
insert into public.notes (text) select repeat(i::text, 40) from generate_series(1, 500) i
"""
Store = t.Union[S3, MotoS3]
serves = pytest.mark.serves


def keys_of(store: Store) -> dict[str, str]:
    return {"endpoint_url": store.endpoint, "access_key": store.access_key, "secret_key": store.secret_key}


def in_bucket(store: Store, **options: t.Any) -> Backups:
    return Backups(f"s3://{store.create_bucket(**options)}/nightly", keys_of(store))


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    """In a directory."""
    (tmp_path / "backups").mkdir()
    return Backups(f"file://{tmp_path}/backups")


@pytest.fixture(params=["directory", "rclone", "moto"])
def anywhere(request: pytest.FixtureRequest, backups: Backups) -> Backups:
    if request.param == "directory":
        return backups
    return in_bucket(request.getfixturevalue({"rclone": "s3", "moto": "moto_s3"}[request.param]))


@pytest.fixture
def elsewhere() -> t.Iterator[Backups]:
    """A directory on another file system than the temporary one."""
    folder = tempfile.mkdtemp(dir="/dev/shm", prefix="opsready-copies-")
    yield Backups(f"file://{folder}")
    shutil.rmtree(folder)


@pytest.fixture
def judged(run_module_here: ModuleRun, s3: S3) -> t.Callable[..., dict[str, t.Any]]:
    def judge(backups: Backups, **options: t.Any) -> dict[str, t.Any]:
        answer = run_module_here("check_backup", backups.options(**options), secrets=[s3.secret_key, WRONG])
        assert answer["changed"] is False
        return t.cast("dict[str, t.Any]", answer["finding"])

    return judge


Judge = t.Callable[..., dict[str, t.Any]]


# ---- what pg_backup made


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        yield made.create(NOTES)
    finally:
        made.drop()


def back_up(run: ModuleRun, sample: Sample, backups: Backups, **options: t.Any) -> dict[str, t.Any]:
    place = {"destination": backups.url, **({"s3": dict(backups.s3)} if backups.s3 else {})}
    made = run("pg_backup", sample.options(**place, pg_bindir=sample.programs, **options))
    assert made["changed"] is True, made["msg"]
    return made


def manifest_name(backups: Backups, made: dict[str, t.Any]) -> str:
    return str(made["backup"]["manifest"]).removeprefix(f"{backups.url}/")


CRON = "# m h dom mon dow user command\n3 1 * * * golive ansible-playbook /srv/golive/backup.yml\n"


def scheduled(folder: Path, text: str = CRON) -> dict[str, t.Any]:
    """Where the schedule stands, and that it names the backup's playbook."""
    path = folder / "archive-backup"
    path.write_text(text)
    return {"files": [{"path": str(path), "contains": ["3 1 * * * golive ansible-playbook /srv/golive/backup.yml"]}]}


def both(store: Store, *checks: tuple[str, dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    items = [{"id": name, "check": name, "params": params, "timeout": 60.0} for name, params in checks]
    for _name, params in checks:
        for option in ("enforce", "timeout"):
            params.pop(option, None)
    found = judge_all(items, [], timeout_seconds=90, scrub=Scrubber([store.secret_key]))
    assert_no_leak([store.secret_key], json.dumps(found), "the findings")
    return found


@serves("S0.14", case="pass")
def test_backups_that_run_every_night_are_proven_and_lie_elsewhere_too_pass(
    run_module_here: ModuleRun, sample: Sample, s3: S3, elsewhere: Backups, tmp_path: Path
) -> None:
    backups = in_bucket(s3)
    backups.database = elsewhere.database = sample.name
    made = back_up(run_module_here, sample, backups)
    name = manifest_name(backups, made)
    older = [backups.older(name, night * DAY) for night in range(1, 7)]
    backups.copy_to(elsewhere, older[0], name)
    wanted = {
        "max_restore_time": "10m",
        "archive": "sha256",
        "keep": {"daily": 7, "last": 7},
        "max_gap": "25h",
        "copies": [{"destination": elsewhere.url}],
        "dsn": sample.dsn(),
        "password": sample.password,
    }
    found, timer = both(s3, ("check_backup", backups.options(**wanted)), ("check_host", scheduled(tmp_path)))
    assert (found["status"], timer["status"]) == ("pass", "pass"), (found["summary"], timer["summary"])
    newest = found["evidence"]["backups"][0]
    assert (newest["url"], newest["sha256"]) == (made["backup"]["archive"], made["backup"]["sha256"])
    assert (newest["size_bytes"], newest["rows"]) == (made["backup"]["size_bytes"], 500)
    assert (newest["level"], newest["restore_seconds"]) == ("restore", made["verified"]["restore_seconds"])
    assert found["measured"]["longest gap between backups"] == "24.0 h"
    assert "expected" not in found["summary"]
    assert found["evidence"]["copies"][0]["name"] == name


def lose(backups: Backups, *names: str) -> None:
    for name in names:
        backups.place.remove(name)
        backups.place.remove(backups.archive_of(name))


@serves("S0.14", case="fail")
@pytest.mark.parametrize(
    ("broken", "status", "said"),
    [
        ("stale", "fail", "The newest backup that is proven by restore is 3.1 days old, expected at most 26h."),
        (
            "small",
            "warn",
            "The newest backup has 5 B, no more than 50 % of the usual 10000 B (median of the 7 before it).",
        ),
        ("unproven", "fail", "The newest backup that is proven by restore is 27.0 h old, expected at most 26h."),
        ("irregular", "fail", "There was no backup for 3.0 days before "),
        ("unscheduled", "pass", "All hold: "),
    ],
)
def test_backups_that_are_stale_small_unproven_irregular_or_not_scheduled_are_told(
    s3: S3, tmp_path: Path, broken: str, status: str, said: str
) -> None:
    backups = in_bucket(s3)
    names = backups.nightly(8)

    def look(cron: str) -> list[dict[str, t.Any]]:
        options = backups.options(max_gap="25h", gap_window="5d")
        return both(s3, ("check_backup", options), ("check_host", scheduled(tmp_path, cron)))

    assert [finding["status"] for finding in look(CRON)] == ["pass", "pass"]
    if broken == "stale":
        lose(backups, *names[-3:])
    elif broken == "small":
        backups.write(HOUR, b"PGDMP")
    elif broken == "unproven":
        lose(backups, names[-1])
        backups.write(HOUR, verified={"level": "restore", "ok": False})
    elif broken == "irregular":
        lose(backups, *names[-4:-2])
    found, timer = look(CRON.replace("backup.yml", "other.yml") if broken == "unscheduled" else CRON)
    assert (found["status"], found["summary"].startswith(said)) == (status, True), found["summary"]
    assert timer["status"] == ("fail" if broken == "unscheduled" else "pass"), timer["summary"]


# ---- what is there, and what is not


def test_a_history_of_proven_backups_passes(anywhere: Backups, judged: Judge) -> None:
    anywhere.nightly(4)
    found = judged(anywhere, archive="sha256", max_gap="25h", gap_window="3d", keep={"last": 4, "daily": 4})
    assert found["status"] == "pass", found["summary"]
    assert len(found["evidence"]["backups"]) == 4


def test_no_backup_at_all_fails(anywhere: Backups, judged: Judge) -> None:
    anywhere.write(HOUR, database="another")
    found = judged(anywhere)
    assert (found["status"], f"There is no backup of archive at {anywhere.url}" in found["summary"]) == ("fail", True)
    assert "Back up now with pg_backup" in found["remedy"]


def test_an_archive_without_a_manifest_is_no_backup(anywhere: Backups, judged: Judge) -> None:
    names = anywhere.nightly(1)
    anywhere.place.remove(names[0])
    assert "There is no backup" in judged(anywhere)["summary"]


def lose_archive(backups: Backups, name: str) -> None:
    backups.place.remove(backups.archive_of(name))


def truncate_archive(backups: Backups, name: str) -> None:
    backups.replace(backups.archive_of(name), b"PGDMP")


def damage_manifest(backups: Backups, name: str) -> None:
    backups.replace(name, b'{"format": "opsready.golive/backup/1", ')


BROKEN = [
    (lose_archive, "Archives that are not what was backed up: {url} is missing"),
    (truncate_archive, "{url} has 5 bytes, and its manifest says 10000"),
    (damage_manifest, "Manifests that are damaged: {url}.manifest.json is not a manifest of a backup: it is not JSON"),
]


@pytest.mark.parametrize(("break_it", "said"), BROKEN)
def test_what_is_damaged_fails_and_counts_for_nothing(
    anywhere: Backups, judged: Judge, break_it: t.Callable[[Backups, str], None], said: str
) -> None:
    names = anywhere.nightly(5)
    break_it(anywhere, names[-1])
    found = judged(anywhere, keep={"last": 5})
    assert found["status"] == "fail"
    assert said.format(url=anywhere.place.url(anywhere.archive_of(names[-1]))) in found["summary"]
    # The one of the night before is the newest now.
    assert "is 27.0 h old, expected at most 26h" in found["summary"]
    assert "keep.last asks for 5 backups, and 4 are there" in found["summary"]


def test_an_old_archive_that_is_lost_is_told_though_the_newest_is_well(backups: Backups, judged: Judge) -> None:
    names = backups.nightly(5)
    lose_archive(backups, names[0])
    found = judged(backups)
    assert (found["status"], "is missing" in found["summary"]) == ("fail", True)
    assert found["measured"]["age of the newest backup"] == "3.0 h"


def test_bytes_that_changed_are_seen_by_reading_them(anywhere: Backups, judged: Judge) -> None:
    names = anywhere.nightly(4)
    anywhere.replace(anywhere.archive_of(names[-1]), b"PGDUMP" + b"x" * 9994)
    read = judged(anywhere, archive="sha256")
    assert (read["status"], "and its manifest says" in read["summary"]) == ("fail", True)
    assert judged(anywhere)["status"] == "pass"


def test_where_the_store_keeps_a_checksum_of_the_whole_it_is_enough_to_ask(moto_s3: MotoS3, judged: Judge) -> None:
    backups = in_bucket(moto_s3)
    names = backups.nightly(3, first=DAY)
    names.append(backups.write(HOUR, b"PGDMP" + bytes(9 << 20)))
    assert judged(backups)["status"] == "pass"
    backups.replace(backups.archive_of(names[-1]), b"PGDUM" + bytes(9 << 20))
    found = judged(backups)
    assert (found["status"], "has another CRC32 than its manifest says" in found["summary"]) == ("fail", True)


def test_a_backup_of_the_future_is_unknown(backups: Backups, judged: Judge) -> None:
    backups.nightly(4)
    backups.write(-2.5 * DAY)
    found = judged(backups)
    assert (found["status"], "is dated 2.5 days from now" in found["summary"]) == ("unknown", True)
    assert "NTP" in found["remedy"]


def test_the_way_it_was_proven_must_do(backups: Backups, judged: Judge) -> None:
    for night in range(4):
        backups.write(night * DAY + HOUR, verified={"level": "archive", "ok": True, "seconds": 1.0})
    assert judged(backups, verify="archive")["status"] == "pass"
    found = judged(backups)
    assert "None of the 4 backups of archive" in found["summary"]
    assert "is whole and proven by restore" in found["summary"]
    slow = judged(backups, verify="archive", max_restore_time="1h")
    assert (slow["status"], "no backup was proven by restoring it" in slow["summary"]) == ("unknown", True)


def test_restoring_took_longer_than_agreed(backups: Backups, judged: Judge) -> None:
    backups.nightly(4)
    assert judged(backups, max_restore_time="2s")["status"] == "pass"
    found = judged(backups, max_restore_time="1s")
    assert (found["status"], "took 2 s, expected at most 1s" in found["summary"]) == ("fail", True)


def test_a_size_is_held_against_its_history(backups: Backups, judged: Judge) -> None:
    backups.nightly(2, first=2 * DAY)
    few = judged(backups, max_age="3d")
    assert (few["status"], "not known before there are 3 earlier ones; there are 1" in few["summary"]) == ("warn", True)
    backups.nightly(2, first=HOUR)
    assert judged(backups)["status"] == "pass"
    backups.write(HOUR / 2, b"PGDMP" * 1000)
    found = judged(backups)
    assert (
        found["status"],
        "The newest backup has 5000 B, no more than 50 % of the usual 10000 B" in found["summary"],
    ) == ("warn", True)
    assert judged(backups, min_size_share=0.49)["status"] == "pass"


def test_what_should_be_kept_and_is_not_is_named(backups: Backups, judged: Judge) -> None:
    names = backups.nightly(7)
    assert judged(backups, keep={"daily": 7})["status"] == "pass"
    gone = datetime.datetime.now(datetime.timezone.utc) - 3 * HOUR - 4 * DAY
    lose(backups, names[2])
    found = judged(backups, keep={"daily": 7})
    assert (found["status"], f"there is none of {gone:%Y-%m-%d}" in found["summary"]) == ("fail", True)
    began = datetime.datetime.now(datetime.timezone.utc) - 3 * HOUR - 3 * DAY
    assert judged(backups, keep={"daily": 7}, first_backup=f"{began:%Y-%m-%d}")["status"] == "pass"


# ---- elsewhere


def test_a_copy_in_another_bucket_is_compared(s3: S3, judged: Judge) -> None:
    backups, copies = in_bucket(s3), in_bucket(s3)
    names = backups.nightly(4)
    wanted = {"copies": [{"destination": copies.url, "s3": keys_of(s3)}]}
    label = f"opy at {copies.url}"  # at the begin of a sentence and within it
    empty = judged(backups, **wanted)
    assert (empty["status"], f"{label} holds none of the backups" in empty["summary"]) == ("fail", True)

    backups.copy_to(copies, *names[:-1])
    late = judged(backups, **wanted)
    assert (late["status"], f"{label} is 27.0 h old, expected at most 26h" in late["summary"]) == ("fail", True)
    assert judged(backups, copies=[{**wanted["copies"][0], "max_age": "2d"}])["status"] == "pass"

    backups.copy_to(copies, names[-1])
    assert judged(backups, **wanted)["status"] == "pass"

    truncate_archive(copies, names[-1])
    cut = judged(backups, **wanted)
    assert (cut["status"], "has an archive that has 5 bytes" in cut["summary"]) == ("fail", True)
    lose_archive(copies, names[-1])
    assert "has an archive that is missing" in judged(backups, **wanted)["summary"]
    damage_manifest(copies, names[-1])
    assert "cannot be read" in judged(backups, **wanted)["summary"]


def test_another_backup_of_the_same_name_is_no_copy(backups: Backups, elsewhere: Backups, judged: Judge) -> None:
    names = backups.nightly(4)
    backups.copy_to(elsewhere, *names)
    wanted = {"copies": [{"destination": elsewhere.url}]}
    assert judged(backups, **wanted)["status"] == "pass"
    body = json.loads(elsewhere.place.read(names[-1], limit=10**6))
    body["archive"]["sha256"] = "f" * 64
    elsewhere.replace(names[-1], json.dumps(body).encode())
    found = judged(backups, **wanted)
    assert (found["status"], f"{elsewhere.place.url(names[-1])} is of another archive" in found["summary"]) == (
        "fail",
        True,
    )


def test_only_a_copy_of_what_is_proven_as_asked_counts(backups: Backups, elsewhere: Backups, judged: Judge) -> None:
    backups.nightly(4)
    hashed = backups.write(HOUR, verified={"level": "head", "ok": True, "seconds": 1.0})
    backups.copy_to(elsewhere, hashed)
    wanted = {"copies": [{"destination": elsewhere.url}]}
    found = judged(backups, **wanted)
    assert (found["status"], "holds none of the backups" in found["summary"]) == ("fail", True)
    assert judged(backups, **wanted, verify="head")["status"] == "pass"


def test_a_copy_that_goes_when_the_backups_go_is_none(backups: Backups, s3: S3, judged: Judge, tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    beside = Backups(f"file://{tmp_path}/copies")
    backups.copy_to(beside, *backups.nightly(4))
    said = "is in the same bucket or file system as the backups"
    found = judged(backups, copies=[{"destination": beside.url}])
    assert (found["status"], said in found["summary"]) == ("fail", True)

    first = in_bucket(s3)
    second = Backups(first.url.replace("/nightly", "/copies"), keys_of(s3))
    first.copy_to(second, *first.nightly(4))
    found = judged(
        first, copies=[{"destination": second.url, "s3": {**keys_of(s3), "endpoint_url": f"{s3.endpoint}/"}}]
    )
    assert (found["status"], said in found["summary"]) == ("fail", True)


def test_a_copys_place_that_is_not_there_fails_and_one_that_refuses_is_unknown(
    backups: Backups, s3: S3, judged: Judge, refused_port: int, tmp_path: Path
) -> None:
    backups.nightly(4)
    gone = judged(backups, copies=[{"destination": f"file://{tmp_path}/nowhere"}])
    assert (gone["status"], "nowhere is not there: Listing" in gone["summary"]) == ("fail", True)
    bucket = judged(backups, copies=[{"destination": "s3://missing-bucket/x", "s3": keys_of(s3)}])
    assert (bucket["status"], "is not there: Listing s3://missing-bucket" in bucket["summary"]) == ("fail", True)
    for changed, said in (
        ({"secret_key": WRONG}, "SignatureDoesNotMatch"),
        ({"endpoint_url": f"http://127.0.0.1:{refused_port}"}, "S3 cannot be reached"),
    ):
        copies = [{"destination": "s3://missing-bucket/x", "s3": {**keys_of(s3), **changed}}]
        found = judged(backups, copies=copies)
        assert (found["status"], said in found["summary"]) == ("unknown", True)
        assert found["measured"]["age of the newest backup"] == "3.0 h"


# ---- encryption and lock


def test_encryption_is_what_the_store_or_the_archive_says(
    backups: Backups, s3: S3, moto_s3: MotoS3, judged: Judge
) -> None:
    for place, said in ((backups, "a directory does not tell"), (in_bucket(s3), "the store does not tell")):
        place.nightly(4)
        found = judged(place, encryption="required")
        assert (found["status"], said in found["summary"]) == ("unknown", True)
        place.write(HOUR, b"age-encryption.org/v1\n-> X25519 " + b"x" * 9000)
        found = judged(place, encryption="required")
        assert (found["status"], found["measured"]["encryption of the newest backup"]) == ("pass", "age")

    kept = in_bucket(moto_s3)
    kept.nightly(4)
    plain = judged(kept, encryption="required")
    assert (plain["status"], "is none, since the bucket encrypts nothing by default" in plain["summary"]) == (
        "fail",
        True,
    )
    bucket = kept.url.split("/")[2]
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    moto_s3.client().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    before = judged(kept, encryption="required")
    assert (before["status"], "before the bucket's default encryption" in before["summary"]) == ("fail", True)
    kept.write(HOUR)
    after = judged(kept, encryption="required")
    assert (after["status"], after["measured"]["encryption of the newest backup"]) == ("pass", "AES256")


AGE = b"age-encryption.org/v1\n-> X25519 " + b"x" * 9000
OPERATIONS = "age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm"


def test_only_those_named_can_read_the_newest_backup(
    run_module_here: ModuleRun, sample: Sample, backups: Backups, moto_s3: MotoS3, judged: Judge
) -> None:
    backups.write(HOUR, AGE, recipients=["age1formerly"])
    wanted = {"recipients": [OPERATIONS], "min_size_share": 0}
    formerly = judged(backups, **wanted)
    assert formerly["status"] == "fail"
    assert (
        f"The newest backup is encrypted to other recipients: {OPERATIONS} cannot read it and age1formerly can."
        in formerly["summary"]
    )
    backups.write(HOUR / 2, AGE, recipients=[OPERATIONS])
    found = judged(backups, **wanted)
    assert (found["status"], found["measured"]["recipients of the newest backup"]) == ("pass", OPERATIONS)
    # What the manifest says and what lies there are two things.
    backups.write(HOUR / 4, recipients=[OPERATIONS])
    in_clear = judged(backups, **wanted)
    assert (in_clear["status"], "is not encrypted to age recipients: file://" in in_clear["summary"]) == ("fail", True)

    # The store's own encryption, which the store can read, is enough for `required` and not for `age`.
    kept = in_bucket(moto_s3)
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    moto_s3.client().put_bucket_encryption(
        Bucket=kept.url.split("/")[2], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    kept.write(HOUR)
    for encryption, status in (("required", "pass"), ("age", "fail")):
        assert judged(kept, encryption=encryption, min_size_share=0)["status"] == status
    kept.write(HOUR / 2, AGE)
    assert judged(kept, encryption="age", min_size_share=0)["status"] == "pass"
    nobody = judged(kept, **wanted)
    assert f"encrypted to other recipients: {OPERATIONS} cannot read it." in nobody["summary"]

    # As pg_backup makes them, with the roles beside.
    kept.database = sample.name
    back_up(run_module_here, sample, kept, verify="head", encryption={"recipients": [OPERATIONS]})
    made = judged(kept, **wanted, verify="head")
    assert made["status"] == "pass", made["summary"]
    (roles,) = [name for name in kept.place.names() if name.endswith(".roles.sql.age")]
    body = kept.place.read(roles, limit=1 << 20)
    kept.place.remove(roles)
    kept.place.put(roles, b"-" * len(body))
    opened = judged(kept, **wanted, verify="head")
    assert f"is not encrypted to age recipients: {kept.url}/{roles}" in opened["summary"]


def locking_bucket(store: MotoS3, days: int | None) -> Backups:
    bucket = store.create_bucket(ObjectLockEnabledForBucket=True)
    if days is not None:
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}
        store.client().put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
    return Backups(f"s3://{bucket}", keys_of(store))


def test_a_lock_holds_archive_and_manifest(
    run_module_here: ModuleRun, sample: Sample, moto_s3: MotoS3, judged: Judge
) -> None:
    backups = locking_bucket(moto_s3, 7)
    backups.database = sample.name
    back_up(run_module_here, sample, backups, verify="head")
    wanted = {"object_lock": "required", "verify": "head", "min_size_share": 0}
    found = judged(backups, **wanted, min_lock_days=6.9)
    assert found["status"] == "pass", found["summary"]
    assert found["measured"]["object lock of the newest backup"].startswith("GOVERNANCE until ")
    short = judged(backups, **wanted, min_lock_days=8)
    assert (short["status"], "Time of the object lock is 7.0 days, expected at least 8" in short["summary"]) == (
        "fail",
        True,
    )


def test_without_a_lock_it_is_told_why(backups: Backups, s3: S3, moto_s3: MotoS3, judged: Judge) -> None:
    for place, status, said in (
        (backups, "fail", "is none, since a directory locks nothing"),
        (in_bucket(moto_s3), "fail", "is none, since the bucket has no object lock"),
        (in_bucket(s3), "unknown", "is unknown: the store does not tell"),
        (locking_bucket(moto_s3, None), "unknown", "this login may not see it"),
    ):
        place.nightly(4)
        found = judged(place, object_lock="required")
        assert (found["status"], said in found["summary"]) == (status, True), found["summary"]


# ---- databases that were kept


def test_what_a_restore_kept_is_named_with_its_size_and_age(
    run_module_here: ModuleRun, postgres: Postgres, backups: Backups, judged: Judge
) -> None:
    with Sample(postgres) as sample:
        backups.database = sample.name
        fenced = f"{sample.name}_golive_r1"
        run_module_here("pg_fence", sample.options(state="fenced", fence_id="r1"))
        back_up(run_module_here, sample, backups, database=fenced, verify="head")
        common = {"restore_id": "r1", "pg_bindir": sample.programs}
        since = run_module_here("pg_restore", sample.options(state="assessed", **common))["baseline"]
        wanted = {"destination": backups.url, "baseline": since, "target": fenced}
        done = run_module_here("pg_restore", sample.options(state="restored", **common, **wanted))
        assert done["failed_database"] == f"{sample.name}_failed_r1", done
        run_module_here("pg_fence", sample.options(state="lifted", fence_id="r1"))

        asked = {"verify": "head", "min_size_share": 0, "dsn": sample.dsn(), "password": sample.password}
        found = judged(backups, **asked)
        assert found["status"] == "pass", found["summary"]
        kept = found["evidence"]["kept"][0]
        assert (kept["name"], kept["kind"]) == (done["failed_database"], "failed")
        assert kept["size_bytes"] > 1_000_000
        late = judged(backups, **asked, max_kept_age="0s")
        said = f"Kept database {done['failed_database']} ("
        assert (late["status"], said in late["summary"]) == ("warn", True)
        assert f'DROP DATABASE "{done["failed_database"]}".' in late["remedy"]

        sample.server.execute(f'drop database "{done["failed_database"]}"')
        assert judged(backups, **asked, max_kept_age="0s")["measured"]["kept databases"] == "none"


def test_a_server_that_is_not_there_is_unknown_and_the_backups_are_judged(
    backups: Backups, judged: Judge, refused_port: int
) -> None:
    backups.nightly(4)
    found = judged(backups, dsn=f"postgresql://golive@127.0.0.1:{refused_port}/archive", password=WRONG)
    assert (found["status"], "Kept databases are unknown: PostgreSQL cannot be reached" in found["summary"]) == (
        "unknown",
        True,
    )
    assert found["measured"]["age of the newest backup"] == "3.0 h"


# ---- places that are not there


def test_a_place_that_is_not_there_fails(s3: S3, moto_s3: MotoS3, judged: Judge, tmp_path: Path) -> None:
    for place in (
        Backups(f"file://{tmp_path}/nowhere"),
        Backups("s3://missing-bucket/nightly", keys_of(s3)),
        Backups("s3://missing-bucket", keys_of(moto_s3)),
    ):
        found = judged(place)
        said = "The destination of the backups is not there: Listing"
        assert (found["status"], said in found["summary"]) == ("fail", True), found["summary"]


def test_keys_that_are_refused_are_unknown(s3: S3, judged: Judge) -> None:
    backups = in_bucket(s3)
    backups.nightly(4)
    found = judged(backups, s3={**keys_of(s3), "secret_key": WRONG})
    assert (found["status"], "SignatureDoesNotMatch" in found["summary"]) == ("unknown", True)
    assert "Check access_key, secret_key" in found["remedy"]


def test_no_store_and_a_hanging_one_are_unknown(
    judged: Judge, hanging_server: HangingServer, refused_port: int
) -> None:
    for port, said, timeout in ((refused_port, "cannot be reached", 30), (hanging_server.port, "within 3 s", 3)):
        store = {"endpoint_url": f"http://127.0.0.1:{port}", "access_key": "a", "secret_key": WRONG}
        found = judged(Backups("s3://backups/nightly", store), timeout=timeout)
        assert (found["status"], said in found["summary"]) == ("unknown", True), found["summary"]


def test_a_pipe_that_nobody_writes_into_holds_nothing_up(backups: Backups, judged: Judge, tmp_path: Path) -> None:
    backups.nightly(1)
    stuck = tmp_path / "backups/archive/stuck.manifest.json"
    os.mkfifo(stuck)
    found = judged(backups)
    assert (found["status"], f"{stuck} is not a file" in found["summary"]) == ("fail", True), found["summary"]


def test_an_archive_that_may_not_be_seen_is_unknown(http_server: HttpServer, judged: Judge) -> None:
    denied = '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'
    http_server.route("*", lambda request: Answer(403, denied))
    store = {"endpoint_url": http_server.url, "access_key": "a", "secret_key": WRONG}
    found = judged(Backups("s3://backups/nightly", store))
    assert (found["status"], "S3 answered AccessDenied" in found["summary"]) == ("unknown", True)


LISTING = '<?xml version="1.0"?><ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>'


def test_one_items_limit_is_not_anothers(http_server: HttpServer) -> None:
    http_server.route("*", lambda request: Answer(body=LISTING, delay=1.5))
    store = {"endpoint_url": http_server.url, "access_key": "a", "secret_key": WRONG}
    slow = Backups("s3://backups/nightly", store).options()
    for option in ("enforce", "timeout"):
        del slow[option]
    items = [
        {"id": identity, "check": "check_backup", "params": slow, "timeout": timeout}
        for identity, timeout in (("short", 0.5), ("long", 30.0))
    ]
    found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber([WRONG]))
    assert [finding["status"] for finding in found] == ["unknown", "fail"], found
    assert "within 0.5 s" in found[0]["summary"]
    assert "There is no backup" in found[1]["summary"]


def test_items_on_one_place_read_its_manifests_once(s3: S3, http_server: HttpServer) -> None:
    asked: list[str] = []
    lock = threading.Lock()

    def answer(request: t.Any) -> Answer:
        with lock:
            asked.append(request.path)
        return Answer(body=LISTING)

    http_server.route("*", answer)
    store = {"endpoint_url": http_server.url, "access_key": "a", "secret_key": WRONG}
    place = Backups("s3://backups/nightly", store)
    items = []
    for number, options in enumerate(({"max_age": "1h"}, {"max_age": "2h"}, {"max_gap": "1h"})):
        params = place.options(**options)
        for option in ("enforce", "timeout"):
            del params[option]
        items.append({"id": str(number), "check": "check_backup", "params": params, "timeout": 30.0})
    found = judge_all(items, [], timeout_seconds=60, scrub=Scrubber([WRONG]))
    assert [finding["status"] for finding in found] == ["fail"] * 3
    assert len(asked) == 1


# ---- as a task


def test_used_alone_the_module_fails_unless_told_otherwise(run_module: ModuleRun, backups: Backups) -> None:
    wanted = backups.options(enforce=True)
    answer = run_module("check_backup", wanted)
    assert answer["failed"]
    assert answer["msg"] == answer["finding"]["summary"]
    backups.nightly(4)
    good = run_module("check_backup", wanted, check=True)
    assert ("failed" not in good, good["finding"]["status"]) == (True, "pass")


def test_the_documentations_examples_are_judged(
    run_module_here: ModuleRun, sample: Sample, s3: S3, backups: Backups
) -> None:
    nightly, copies, dumps, sealed = in_bucket(s3), in_bucket(s3), in_bucket(s3), Backups(f"{backups.url}/sealed")
    (Path(backups.url.removeprefix("file://")) / "sealed").mkdir()
    nightly.copy_to(copies, *nightly.nightly(7))
    replaced = {
        "s3://backups/nightly": nightly.url,
        "s3://backups-elsewhere/nightly": copies.url,
        "s3://backups/redis": dumps.url,
        "https://minio.example.org:9000": s3.endpoint,
        "https://minio.example.com:9000": s3.endpoint,
        "{{ backup_access_key }}": s3.access_key,
        "{{ backup_secret_key }}": s3.secret_key,
        "{{ copies_access_key }}": s3.access_key,
        "{{ copies_secret_key }}": s3.secret_key,
        "file:///var/backups/archive": backups.url,
        "file:///var/backups/sealed": sealed.url,
        "postgresql://golive@db.example.org/archive": sample.dsn(),
        "{{ database_password }}": sample.password,
    }
    sealed.write(HOUR, AGE, recipients=[OPERATIONS])
    examples = examples_of("check_backup", replaced)
    # Those of images are run by test_check_backup_registry.py.
    examples = {name: options for name, options in examples.items() if options.get("kind") != "registry"}
    backups.nightly(4, first=HOUR / 2)
    first, second, by_cron, by_timer, of_redis, sealed_for = (
        run_module_here(
            "check_backup", {**options, "enforce": False, "timeout": 60}, secrets=[s3.secret_key, sample.password]
        )
        for options in examples.values()
    )
    assert second["finding"]["status"] == "pass", second["finding"]["summary"]
    assert sealed_for["finding"]["measured"]["recipients of the newest backup"] == OPERATIONS, sealed_for["finding"]
    assert by_cron["finding"]["measured"]["age of the newest restore"] == "30.0 min", by_cron["finding"]["summary"]
    assert "no line of " in by_cron["finding"]["summary"] and "runs ansible-playbook" in by_cron["finding"]["summary"]
    assert f"No file at {dumps.url} matches dump-*.rdb" in of_redis["finding"]["summary"], of_redis
    assert "/etc/systemd/system/backup.timer is not there" in by_timer["finding"]["summary"]
    # rclone knows neither encryption nor locks; all the rest holds, but for what was never made.
    assert "encryption of the newest backup is unknown" in first["finding"]["summary"].lower()
    assert "object lock of the newest backup is unknown" in first["finding"]["summary"].lower()
    assert first["finding"]["measured"][f"copy at {copies.url}: age"] == "3.0 h"
