# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups to age recipients: proven, restorable with the stock tools, and unreadable for the host that made them."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from tests.age_keys import AgeKey, age_key, ssh_key
from tests.conftest import ModuleRun
from tests.integration.sample_database import ModuleInBackground, Sample, await_gone
from tests.integration.test_pg_backup import (
    BIG,
    assert_nothing_left,
    fake_programs,
    keys,
    options,
    uploads,
)
from tests.integration.test_pg_restore import baseline, fence, migrate, restore
from tests.module_examples import examples_of
from tests.servers import S3, MotoS3, Postgres, await_true

RECIPIENT = "age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm"
MARKER = "Geheimnis-7f3a91c4"
serves = pytest.mark.serves


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> AgeKey:
    return age_key(tmp_path_factory.mktemp("key"), "operations.txt")


@pytest.fixture(scope="module")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> AgeKey:
    return age_key(tmp_path_factory.mktemp("other"), "other.txt")


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> t.Iterator[Sample]:
    """The marker stands in a row, in a setting of the database and in one of a role in it."""
    with Sample(postgres) as made:
        made.execute(f"insert into app.documents (title) values ('{MARKER}')")
        made.execute(f"alter database {made.name} set app.signing_key to '{MARKER}'")
        made.execute(f"alter role {made.owner} in database {made.name} set app.role_key to '{MARKER}'")
        yield made


@pytest.fixture(scope="module")
def big(postgres: Postgres) -> t.Iterator[Sample]:
    made = Sample(postgres)
    try:
        made.create(BIG)
        yield made
    finally:
        made.drop()


def to(*recipients: AgeKey, **more: t.Any) -> dict[str, t.Any]:
    return {"encryption": {"recipients": [one.recipient for one in recipients], **more}}


def stanzas(archive: bytes) -> int:
    """How many recipients of age's own kind a file has; the format says of each no more than that."""
    return archive.partition(b"\n--- ")[0].count(b"\n-> X25519 ")


def files(place: Path) -> dict[str, Path]:
    found = [path for path in place.rglob("*") if path.is_file()]
    return {"".join(path.suffixes[-2:]): path for path in found}


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "opsready-age"]


def test_the_stock_tools_restore_what_is_stored_and_nobody_else_reads_it(
    run_module_here: ModuleRun, sample: Sample, s3: S3, key: AgeKey, tmp_path: Path
) -> None:
    by_ssh, bucket = ssh_key(tmp_path, "id_ed25519"), s3.create_bucket()
    wanted = options(sample, f"s3://{bucket}/nightly", s3, compression="none", **to(key, by_ssh))
    told = {"format": "age", "recipients": [key.recipient, by_ssh.recipient]}
    planned = run_module_here("pg_backup", wanted, check=True)
    assert planned["plan"]["encryption"] == told, planned
    assert keys(s3, bucket) == []

    made = run_module_here("pg_backup", wanted, secrets=[sample.password])
    # Law 7 holds as ever, although nothing on this host could read it again.
    assert (made["verified"]["level"], made["verified"]["compared"]) == ("restore", "rows and content"), made
    assert made["backup"]["encryption"] == told
    stored = {name: s3.client().get_object(Bucket=bucket, Key=name)["Body"].read() for name in keys(s3, bucket)}
    assert [name.partition("Z-")[2].partition(".")[2] for name in stored] == [
        "dump.age",
        "dump.age.manifest.json",
        "dump.roles.sql.age",
    ]
    archive, written, roles = stored.values()
    assert [name for name, body in stored.items() if MARKER.encode() in body] == []
    manifest = json.loads(written)
    assert (manifest["archive"]["size"], manifest["archive"]["sha256"]) == (
        len(archive),
        hashlib.sha256(archive).hexdigest(),
    )
    assert (made["backup"]["size_bytes"], made["backup"]["sha256"]) == (len(archive), manifest["archive"]["sha256"])
    assert manifest["archive"]["roles"]["sha256"] == hashlib.sha256(roles).hexdigest()

    for one in (key, by_ssh):
        assert MARKER.encode() in one.decrypted(archive)
    sealed = json.loads(key.decrypted(base64.b64decode(manifest["archive"]["encryption"]["sealed"])))
    assert f"app.signing_key={MARKER}" in str(sealed["settings"])
    assert b"CREATE ROLE" in key.decrypted(roles) and MARKER.encode() in key.decrypted(roles)

    # As a person would: age -d -i key.txt archive | pg_restore
    again = sample.server.create_database()
    try:
        environment = {"PGPASSWORD": str(sample.server.password)}
        piped = [sample.server.program("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error", "-d"]
        place = tmp_path / "archive.age"
        place.write_bytes(archive)
        with subprocess.Popen(["age", "-d", "-i", str(key.path), str(place)], stdout=subprocess.PIPE) as age:
            subprocess.run([*piped, sample.server.dsn(again)], stdin=age.stdout, env=environment, check=True)
        assert age.returncode == 0
        # The search path of the database is not among what pg_restore brings back without --create.
        restored = {name.removeprefix("app."): found for name, found in sample.contents(again).items()}
        assert restored == sample.contents()
    finally:
        sample.server.drop_database(again)
    assert sample.databases() == [sample.name]
    assert threads() == []

    # Without encryption the same bytes hold the marker: it is not its absence from the database that was seen.
    plain = run_module_here("pg_backup", {**wanted, "encryption": None, "verify": "head", "compare": "rows"})
    name = plain["backup"]["archive"].partition(f"{bucket}/")[2]
    assert name.endswith(".dump")
    assert MARKER.encode() in s3.client().get_object(Bucket=bucket, Key=name)["Body"].read()


@pytest.mark.parametrize(("verify", "readers"), [("head", 1), ("archive", 2), ("restore", 2)])
def test_each_proof_reads_what_is_stored_with_a_key_that_is_gone_afterwards(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, tmp_path: Path, verify: str, readers: int
) -> None:
    wanted = options(sample, f"file://{tmp_path}", verify=verify, max_age=3600, **to(key))
    made = run_module_here("pg_backup", wanted)
    assert made["verified"]["level"] == verify, made
    archive = files(tmp_path)[".dump.age"]
    # A proof of the bytes alone needs nobody to read them.
    assert stanzas(archive.read_bytes()) == readers
    assert "AGE-SECRET-KEY" not in json.dumps(made) + "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )
    assert key.decrypted(archive.read_bytes()).startswith(b"PGDMP")
    assert run_module_here("pg_backup", wanted)["changed"] is False


def judged(run: ModuleRun, sample: Sample, place: Path, key: AgeKey) -> dict[str, t.Any]:
    """What check_backup finds, asked for the magic at the head of what lies there and for who can read it."""
    asked = {"database": sample.name, "max_age": "1h", "verify": "head", "min_size_share": 0, "archive": "sha256"}
    wanted = {"destination": f"file://{place}", "encryption": "required", "recipients": [key.recipient], **asked}
    return dict(run("check_backup", {**wanted, "enforce": False})["finding"])


@serves("S3.40", case="pass")
def test_the_newest_backup_is_encrypted_and_its_key_restores_it(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, tmp_path: Path
) -> None:
    run_module_here("pg_backup", options(sample, f"file://{tmp_path}", verify="head", **to(key)))
    finding = judged(run_module_here, sample, tmp_path, key)
    assert finding["status"] == "pass", finding["summary"]
    assert finding["measured"]["encryption of the newest backup"] == "age"
    proof = restore(sample, "verified", destination=f"file://{tmp_path}", identity=key.identity)
    assert run_module_here("pg_restore", proof, secrets=key.secrets)["verified"]["compared"] == "rows and content"


@serves("S3.40", case="fail")
def test_a_newest_backup_in_clear_or_that_the_key_does_not_read_is_seen(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, other_key: AgeKey, tmp_path: Path
) -> None:
    wanted = options(sample, f"file://{tmp_path}", verify="head", compare="rows")
    run_module_here("pg_backup", {**wanted, **to(other_key)})
    finding = judged(run_module_here, sample, tmp_path, key)
    said = f"encrypted to other recipients: {key.recipient} cannot read it and {other_key.recipient} can."
    assert (finding["status"], said in finding["summary"]) == ("fail", True), finding["summary"]
    proof = restore(sample, "verified", destination=f"file://{tmp_path}", identity=key.identity)
    assert run_module_here("pg_restore", proof, secrets=key.secrets)["error"] == "Denied"
    run_module_here("pg_backup", wanted)
    finding = judged(run_module_here, sample, tmp_path, key)
    assert (finding["status"], "is not encrypted to age recipients: " in finding["summary"]) == ("fail", True)


def test_a_recent_backup_for_other_readers_is_made_anew(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, other_key: AgeKey, tmp_path: Path
) -> None:
    wanted = options(sample, f"file://{tmp_path}", verify="head", max_age=3600)
    run_module_here("pg_backup", {**wanted, **to(key)})
    for asked, anew in ((to(key), False), ({}, True), (to(other_key), True), (to(key, other_key), True)):
        assert run_module_here("pg_backup", {**wanted, **asked}, check=True)["changed"] is anew


def test_a_release_is_taken_back_with_the_identity_and_refused_without(
    run_module_here: ModuleRun, postgres: Postgres, key: AgeKey, other_key: AgeKey, tmp_path: Path
) -> None:
    with Sample(postgres) as sample:
        sample.execute(f"alter database {sample.name} set application_name to '{MARKER}'")
        contents, properties = sample.contents(), sample.properties()
        fence(run_module_here, sample)
        fenced = f"{sample.name}_golive_r1"
        at_once = options(sample, f"file://{tmp_path}", database=fenced, verify="head", compare="rows", **to(key))
        made = run_module_here("pg_backup", at_once)
        migrate(sample)
        since = baseline(run_module_here, sample)
        wanted = restore(sample, "restored", backup=made["backup"]["manifest"], baseline=since, target=fenced)

        before = sample.databases()
        for identity, kind, said in (
            (None, "BadInput", "is encrypted, and no identity is given"),
            (other_key.identity, "Denied", "The identity that is given cannot read"),
            ("AGE-SECRET-KEY-1NONSENSE", "BadInput", "Line 1 of identity is no age identity"),
            ("# nothing\n", "BadInput", "identity holds no age identity"),
        ):
            for check in (True, False):
                refused = run_module_here(
                    "pg_restore", {**wanted, "identity": identity}, check=check, secrets=other_key.secrets
                )
                assert (refused["error"], said in refused["msg"]) == (kind, True), refused
                # Who could read it is told where somebody has to look for the right identity.
                assert (identity is not None and kind == "BadInput") or key.recipient in refused["msg"]
        assert sample.databases() == before

        done = run_module_here("pg_restore", {**wanted, "identity": key.identity}, secrets=key.secrets)
        assert done["changed"] is True, done
        fence(run_module_here, sample, "lifted")
        # The setting of the database, too, which the manifest keeps from others.
        assert (sample.contents(), sample.properties()) == (contents, properties)


def test_what_is_not_as_it_was_written_is_refused_and_leaves_nothing(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, other_key: AgeKey, tmp_path: Path
) -> None:
    made = run_module_here("pg_backup", options(sample, f"file://{tmp_path}", verify="head", **to(key)))
    archive = files(tmp_path)[".dump.age"]
    wanted = restore(sample, "verified", destination=f"file://{tmp_path}", identity=key.identity)
    good = run_module_here("pg_restore", wanted, secrets=key.secrets)
    assert good["verified"]["ok"] is True, good
    assert good["backup"]["encryption"] == made["backup"]["encryption"]

    whole = archive.read_bytes()
    header = whole.index(b"\n", whole.index(b"\n--- ") + 1) + 1
    for damaged in (
        whole[:-1],
        whole[: header // 2],
        whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:],
        b"PGDMP" * 100,
    ):
        archive.write_bytes(damaged)
        failed = run_module_here("pg_restore", wanted, secrets=key.secrets)
        assert failed["error"] == "ActionFailed", failed
        assert "cannot be decrypted, so it is not what was written" in failed["msg"]
        assert "take another backup" in failed["msg"]
        assert sample.databases() == [sample.name]
    assert threads() == []

    # Of another database, and encrypted by somebody else who had the recipient, which is public.
    somebody = subprocess.run(["age", "-r", key.recipient], input=key.decrypted(whole), capture_output=True, check=True)
    archive.write_bytes(somebody.stdout)
    failed = run_module_here("pg_restore", wanted, secrets=key.secrets)
    assert "is not what was written: " in failed["msg"] and "with SHA-256" in failed["msg"], failed
    archive.write_bytes(whole)
    roles = files(tmp_path)[".sql.age"]
    roles.write_bytes(roles.read_bytes()[:-1])
    failed = run_module_here("pg_restore", wanted)
    assert f"file://{roles} is not what was written" in failed["msg"]


def test_recipients_that_are_none_are_refused_before_anything_runs(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, other_key: AgeKey, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    secret = key.secrets[0]
    locked = ssh_key(tmp_path, "locked", passphrase="geheim-1234")
    mistyped = key.recipient[:-1] + ("p" if key.recipient.endswith("q") else "q")
    for encryption, said in (
        ({"recipients": []}, "encryption.recipients is empty: nobody could ever read the backup."),
        ({"recipients": [key.recipient, "age1nonsense"]}, "encryption.recipients[2] is neither an age recipient"),
        ({"recipients": [mistyped]}, "encryption.recipients[1] is neither an age recipient"),
        ({"recipients": ["ssh-ed25519 AAAA"]}, "encryption.recipients[1] is neither an age recipient"),
        ({"recipients": [f"{key.recipient}\n{key.recipient}"]}, "encryption.recipients[1] is neither an age recipient"),
        ({"recipients": [""]}, "encryption.recipients[1] is neither an age recipient"),
        ({"recipients": [secret]}, "encryption.recipients[1] is a secret key, where its public one belongs."),
        ({"recipients": [key.recipient], "identity": other_key.identity}, "cannot read the backup that would be made"),
        ({"recipients": [locked.recipient], "identity": locked.identity}, "cannot"),
    ):
        wanted = options(sample, f"file://{place}", encryption=encryption)
        failed = run_module_here("pg_backup", wanted, check=True, secrets=[*key.secrets, *other_key.secrets])
        assert (failed.get("failed"), said in failed["msg"]) == (True, True), failed
    assert list(place.iterdir()) == []
    good = options(sample, f"file://{place}", **to(other_key, key, identity=key.identity))
    assert run_module_here("pg_backup", good, check=True, secrets=key.secrets)["changed"] is True


def test_without_the_library_it_says_which(run_module: ModuleRun, sample: Sample, key: AgeKey, tmp_path: Path) -> None:
    (tmp_path / "pyrage.py").write_text("raise ImportError('no such library here')\n")
    place = tmp_path / "place"
    place.mkdir()
    root = Path(__file__).resolve().parent.parent.parent
    environment = {"PYTHONPATH": f"{tmp_path}:{root / 'build'}:{root}"}
    failed = run_module("pg_backup", options(sample, f"file://{place}", **to(key)), check=True, environment=environment)
    assert failed["error"] == "MissingLibrary"
    assert "The Python library pyrage >= " in failed["msg"] and "-m pip install 'pyrage>=" in failed["msg"]
    # Who does not encrypt does not need it.
    plain = run_module("pg_backup", options(sample, f"file://{place}"), check=True, environment=environment)
    assert plain["changed"] is True


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('$REAL "$@" | head -c 20000000; kill -9 $$', "was killed by SIGKILL"),
        ('$REAL "$@"; echo "pg_dump: error: something late" >&2; exit 1', "ended with code 1"),
    ],
)
def test_a_pg_dump_that_fails_at_any_time_leaves_no_object_and_no_thread(
    run_module_here: ModuleRun, big: Sample, moto_s3: MotoS3, key: AgeKey, tmp_path: Path, script: str, said: str
) -> None:
    bucket = moto_s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none", **to(key))
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, script)
    failed = run_module_here("pg_backup", wanted)
    assert (failed.get("failed"), said in failed["msg"]) == (True, True), failed
    assert threads() == []
    assert_nothing_left(big, moto_s3, bucket)


def test_a_dump_that_is_cut_but_ends_with_0_is_not_a_backup(
    run_module_here: ModuleRun, big: Sample, key: AgeKey, tmp_path: Path
) -> None:
    """What is encrypted is whole, and what is in it is not: the proof looks inside."""
    place = tmp_path / "place"
    place.mkdir()
    wanted = options(big, f"file://{place}", compression="none", verify="archive", **to(key))
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, '$REAL "$@" | head -c 20000000; exit 0')
    failed = run_module_here("pg_backup", wanted)
    assert "could not read from input file" in failed["msg"], failed
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_a_signal_during_the_upload_leaves_nothing(big: Sample, moto_s3: MotoS3, key: AgeKey, tmp_path: Path) -> None:
    bucket = moto_s3.create_bucket()
    wanted = options(big, f"s3://{bucket}", moto_s3, compression="none", **to(key))
    wanted["pg_bindir"] = fake_programs(tmp_path / "bin", big, '$REAL "$@" | head -c 20000000; exec sleep 300')
    with ModuleInBackground("pg_backup", wanted) as module:
        await_true(lambda: bool(uploads(moto_s3, bucket)), seconds=60, what="an open upload")
        children = module.children()
        module.end()
        failed = module.answer()
    assert "was ended by SIGTERM" in failed["msg"], failed
    await_gone(children)
    assert_nothing_left(big, moto_s3, bucket)


def test_the_documentations_identity_is_in_no_programs_arguments_environment_or_file(
    run_module_here: ModuleRun, sample: Sample, key: AgeKey, tmp_path: Path
) -> None:
    place, seen, programs = tmp_path / "place", tmp_path / "seen", tmp_path / "bin"
    place.mkdir()
    programs.mkdir()
    replaced = {
        "postgresql://golive@db.example.org/archive": sample.dsn(),
        "file:///var/backups/sealed": f"file://{place}",
        "{{ database_password }}": sample.password,
    }
    sealed = examples_of("pg_backup", {**replaced, RECIPIENT: key.recipient})[
        "A backup that this host cannot read once it is made"
    ]
    proof = examples_of("pg_restore", replaced)["Prove that an encrypted one does, and that its identity is at hand"]
    made = run_module_here("pg_backup", {**sealed, "pg_bindir": sample.programs})
    assert made["backup"]["encryption"]["recipients"] == [key.recipient], made
    for name in ("pg_dump", "pg_restore"):
        script = programs / name
        script.write_text(
            f'#!/bin/sh\n{{ echo "$0 $*"; env; cat /proc/$PPID/cmdline /proc/$PPID/environ | tr "\\0" "\\n"; }} >> {seen}\n'
            f'exec {sample.server.program(name)} "$@"\n'
        )
        script.chmod(0o755)
    wanted = {**proof, "identity": key.identity, "pg_bindir": str(programs)}
    proven = run_module_here("pg_restore", wanted, secrets=key.secrets)
    assert proven["verified"]["ok"] is True, proven
    text = seen.read_text()
    assert "--exit-on-error" in text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if key.secrets[0].encode() in path.read_bytes()] == []
