# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_backup on files that something else copies: dumps that a real Redis and a real Valkey saved, at a place of backups."""

from __future__ import annotations

import datetime
import os
import shutil
import struct
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_files import saved_at
from tests.conftest import ModuleRun
from tests.parts import need_part
from tests.servers import S3, Redis

serves = pytest.mark.serves
PLACE = "redis/dump-2026112{night}.rdb"


@pytest.fixture(scope="module", params=["redis", "valkey"])
def dump(request: pytest.FixtureRequest) -> t.Iterator[bytes]:
    """What a server wrote by SAVE, as its file has it."""
    if request.param == "redis":
        need_part("redis-server", shutil.which("redis-server"), "apt-get install redis-server")
    with Redis(flavour=request.param) as server:
        client = server.client()
        client.mset({f"session:{number}": "x" * 40 for number in range(200)})
        assert client.save()
        yield (server.directory / "dump.rdb").read_bytes()


def made_at(dump: bytes, moment: datetime.datetime) -> bytes:
    """The same dump, as if it had been saved then."""
    place = dump.index(b"\x05ctime\xc2") + len(b"\x05ctime\xc2")
    return dump[:place] + struct.pack("<I", int(moment.timestamp())) + dump[place + 4 :]


class Copies:
    """Where each night's dump is copied to: a directory, or a bucket."""

    def __init__(self, folder: Path, store: S3 | None = None) -> None:
        self.folder, self.store = folder, store
        self.bucket = store.create_bucket() if store is not None else ""

    def put(self, night: int, body: bytes) -> None:
        name = PLACE.format(night=night)
        if self.store is not None:
            self.store.client().put_object(Bucket=self.bucket, Key=f"nightly/{name}", Body=body)
            return
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        moment = datetime.datetime.now(datetime.timezone.utc).timestamp() - (9 - night) * 86400
        os.utime(path, (moment, moment))

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        place: dict[str, t.Any] = {"destination": f"file://{self.folder}"}
        if self.store is not None:
            keys = {"access_key": self.store.access_key, "secret_key": self.store.secret_key}
            place = {"destination": f"s3://{self.bucket}/nightly", "s3": {"endpoint_url": self.store.endpoint, **keys}}
        wanted = {"kind": "files", "pattern": "redis/dump-*.rdb", "max_age": "26h", "enforce": False, "timeout": 60}
        return {**place, **wanted, **more}


@pytest.fixture
def judged(run_module_here: ModuleRun) -> t.Callable[..., dict[str, t.Any]]:
    def judge(copies: Copies, **options: t.Any) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", run_module_here("check_backup", copies.options(**options))["finding"])

    return judge


Judge = t.Callable[..., dict[str, t.Any]]


@serves("S3.89", case="pass")
@pytest.mark.parametrize("where", ["directory", "bucket"])
def test_a_dump_that_was_copied_tonight_like_those_before_passes(
    judged: Judge, dump: bytes, s3: S3, tmp_path: Path, where: str
) -> None:
    copies = Copies(tmp_path, s3 if where == "bucket" else None)
    for night in range(5, 10):
        copies.put(night, dump)
    magic = "REDIS" if dump.startswith(b"REDIS") else "VALKEY"
    found = judged(copies, begins_with=magic, min_size="50B")
    assert found["status"] == "pass", found["summary"]
    assert found["evidence"]["files"][0]["name"] == PLACE.format(night=9)
    assert [one["size_bytes"] for one in found["evidence"]["files"]] == [len(dump)] * 5
    assert found["evidence"]["saved_at"] == saved_at(dump).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@serves("S3.89", case="fail")
@pytest.mark.parametrize("where", ["directory", "bucket"])
def test_dumps_that_are_old_small_cut_or_none_are_told(
    judged: Judge, dump: bytes, s3: S3, tmp_path: Path, where: str
) -> None:
    copies = Copies(tmp_path, s3 if where == "bucket" else None)
    found = judged(copies)
    assert (found["status"], "matches redis/dump-*.rdb" in found["summary"]) == ("fail", True), found["summary"]
    for night in range(5, 9):
        copies.put(night, dump)
    now = datetime.datetime.now(datetime.timezone.utc)
    for body, status, said in (
        # A copy of tonight, of what was saved three days ago.
        (
            made_at(dump, now - datetime.timedelta(days=3)),
            "fail",
            "the data of redis/dump-20261129.rdb is 3.0 days old",
        ),
        (made_at(dump, now + datetime.timedelta(days=3)), "unknown", "is dated 3.0 days from now"),
        (dump[: len(dump) // 3], "warn", "no more than 50 % of the usual"),
        (b"", "fail", "has 0 b, expected at least 1 b"),
        (b"<html>503 Service Unavailable</html>" * 200, "fail", "begins with '<html>"),
        (dump, "pass", "all hold"),
    ):
        copies.put(9, body)
        found = judged(copies, begins_with=dump[:6].decode())
        assert (found["status"], said in found["summary"].lower()) == (status, True), found["summary"]


def test_a_file_that_tells_no_time_is_as_old_as_its_copy(judged: Judge, tmp_path: Path) -> None:
    copies = Copies(tmp_path)
    copies.put(7, b"registry")
    found = judged(copies, min_size_share=0)
    assert (found["status"], "is 2.0 days old, expected at most 26h" in found["summary"]) == ("fail", True)
    assert judged(copies, min_size_share=0, max_age="49h")["status"] == "pass"


def test_the_newest_files_are_shown_and_all_are_counted(judged: Judge, tmp_path: Path) -> None:
    copies = Copies(tmp_path)
    for night in range(10):
        copies.put(night, b"\xe9" * 4096)
    found = judged(copies, history=3, begins_with="\u00e9" * 4096)
    assert found["status"] == "pass", found["summary"]
    shown = [one["name"] for one in found["evidence"]["files"]]
    assert shown == [PLACE.format(night=night) for night in (9, 8, 7, 6)]
    assert found["evidence"]["files_matching"] == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": None}, "pattern"),
        ({"pattern": ""}, "pattern is empty"),
        ({"begins_with": ""}, "begins_with is empty"),
        ({"min_size": "1G"}, "min_size is '1G'"),
        ({"database": "archive"}, "database is not for kind: files."),
        ({"max_proof_age": "30d"}, "max_proof_age is not for kind: files."),
        ({"archive": "sha256"}, "archive is not for kind: files."),
        ({"verify": "head", "max_kept_age": "9d"}, "verify, max_kept_age are not for kind: files."),
        ({"dsn": "postgresql://h/d", "password": "x"}, "dsn, password are not for kind: files."),
        ({"begins_with": "R\u0113dis"}, "begins_with has characters that are not in Latin-1"),
        ({"begins_with": "R" * 4097}, "begins_with has 4097 characters, and 4096 bytes of the newest file are read."),
        ({"kind": "database", "database": "archive"}, "pattern is not for kind: database."),
        ({"kind": "database", "pattern": None}, "database"),
        ({"kind": "database", "pattern": None, "database": None}, "database is empty"),
    ],
)
def test_a_wrong_option_is_one_clear_error(
    run_module_here: ModuleRun, tmp_path: Path, options: dict[str, t.Any], said: str
) -> None:
    answer = run_module_here("check_backup", Copies(tmp_path).options(**options))
    assert answer.get("failed") is not False and said in answer["msg"], answer


@pytest.mark.parametrize(
    "head", [b"", b"REDIS0011", b"REDIS0011\xfa\x80", b"REDIS0011\xfa\x05ctime\x03now", b"REDIS0011\xfe\x00"]
)
def test_what_tells_no_time_of_its_own_has_none(head: bytes) -> None:
    assert saved_at(head) is None
