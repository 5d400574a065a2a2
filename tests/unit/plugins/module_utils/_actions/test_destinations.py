# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of backups are private, appear whole or not at all, and never replace another."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import destinations
from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    Directory,
    Held,
    Writer,
    destination,
    split_object_url,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import Absent
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    UnexpectedAnswer,
)


def files(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    stored = place.put("db/a.dump", b"abc" * 1_000_000)
    assert stored.size == 3_000_000
    assert b"".join(place.chunks("db/a.dump")) == b"abc" * 1_000_000
    assert stat.S_IMODE((tmp_path / "db/a.dump").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o700
    assert place.names() == place.names("db") == ["db/a.dump"]
    assert place.with_more_time() is place
    place.remove("db/a.dump")
    assert place.names("db") == place.names("nothing") == []


def test_what_is_held_is_told_without_reading_it(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    place.put("db/a.dump", b"abc")
    assert place.held("db/a.dump") == Held(3)
    with pytest.raises(Absent):
        place.held("db/b.dump")


def test_a_place_that_is_not_there_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(Absent):
        Directory(str(tmp_path / "nowhere")).names()
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="not a directory"):
        Directory(str(tmp_path / "file")).names("db")


def write(place: Directory, name: str, *, commit: bool, then: t.Callable[[Writer], None] = lambda writer: None) -> None:
    with place.writer(name, estimated_bytes=0) as writer:
        writer.write(b"abc")
        if commit:
            writer.commit()
        then(writer)


def fail(writer: Writer) -> None:
    raise Denied("the first", known={"at": "x"})


def block_cleanup(writer: Writer) -> None:
    """A directory stands where the partial file was: it cannot be unlinked."""
    partial = t.cast(t.Any, writer).partial
    os.unlink(partial)
    os.mkdir(partial)


def test_a_database_that_was_never_backed_up_has_nothing_begun(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    assert place.begun("archive") == []
    empty = tmp_path / "archive" / "20261122T010203Z-1f2e3d4c.dump"
    empty.mkdir(parents=True)
    assert [one.name for one in place.begun("archive")] == [f"archive/{empty.name}/"]


def test_nothing_is_seen_before_it_is_committed_and_nothing_stays_after_a_failure(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    seen: list[list[str]] = []
    write(place, "a.dump", commit=False, then=lambda writer: seen.append(files(tmp_path)))
    assert "a.dump" not in seen[0]
    # Whoever leaves without committing has written nothing; a failure right after the commit takes it back.
    assert files(tmp_path) == []
    for commit in (False, True):
        with pytest.raises(Denied, match=r"^the first$"):
            write(place, "a.dump", commit=commit, then=fail)
        assert files(tmp_path) == []


def test_a_commit_that_fails_after_the_file_has_its_name_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: str) -> None:
        assert files(tmp_path) == ["a.dump.manifest.json"]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(destinations, "sync_folder", broken)
    with pytest.raises(UnexpectedAnswer, match="Input/output error"):
        Directory(str(tmp_path)).put("a.dump.manifest.json", b"{}")
    assert files(tmp_path) == []


def test_another_backup_is_never_replaced(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    place.put("a.dump", b"first")
    with pytest.raises(UnexpectedAnswer):
        place.put("a.dump", b"second")
    assert place.read("a.dump", limit=10) == b"first"
    assert files(tmp_path) == ["a.dump"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(UnexpectedAnswer, match=r"a\.dump: File too large"):
            place.put("a.dump", b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == []


def test_cleaning_up_that_fails_is_told_with_the_first_failure(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))

    def block_and_fail(writer: Writer) -> None:
        block_cleanup(writer)
        fail(writer)

    with pytest.raises(ActionFailed, match=r"the first Cleaning up failed too: Removing") as caught:
        write(place, "a.dump", commit=False, then=block_and_fail)
    assert caught.value.known == {"at": "x", "left_behind": [place.url("a.dump")]}
    with pytest.raises(UnexpectedAnswer, match="Removing"):
        write(place, "b.dump", commit=False, then=block_cleanup)


def test_a_place_is_looked_at_before(tmp_path: Path) -> None:
    assert Directory(str(tmp_path)).preflight()["free_bytes"] > 0
    with pytest.raises(Absent, match="No such file"):
        Directory(str(tmp_path / "gone")).preflight()
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="not a directory"):
        Directory(str(tmp_path / "file")).preflight()
    with pytest.raises(UnexpectedAnswer, match="Not a directory"):
        Directory(str(tmp_path / "file")).put("a/b", b"x")


@pytest.fixture
def as_somebody_else() -> t.Iterator[None]:
    """Root may write anywhere; so it becomes ``nobody`` for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(as_somebody_else: None) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = Directory(folder)
        place.put("db/a.dump", b"abc")
        os.chmod(os.path.join(folder, "db"), 0)
        try:
            for below in ("", "db"):
                with pytest.raises(Denied, match="Listing"):
                    place.names(below)
        finally:
            os.chmod(os.path.join(folder, "db"), 0o700)


def test_a_place_that_cannot_be_written_is_refused(as_somebody_else: None) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o500)
        try:
            with pytest.raises(Denied):
                Directory(folder).preflight()
            with pytest.raises(Denied):
                Directory(folder).put("a", b"x")
        finally:
            os.chmod(folder, 0o700)


def test_a_name_leads_nowhere_else(tmp_path: Path) -> None:
    place = Directory(str(tmp_path / "place"))
    for name in ("../a", "a/../../b", "/etc/passwd", "a//b", "."):
        with pytest.raises(BadInput):
            place.url(name)


def test_a_pipe_is_no_file_and_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    place = Directory(str(tmp_path))
    with pytest.raises(UnexpectedAnswer, match="pipe is not a file"):
        place.read("pipe", limit=10)
    with pytest.raises(UnexpectedAnswer, match="pipe is not a file"):
        place.adopted("pipe")


def test_what_is_too_large_to_be_a_manifest_is_not_read(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    place.put("a", b"x" * 100)
    with pytest.raises(UnexpectedAnswer, match="larger than 99"):
        place.read("a", limit=99)
    with pytest.raises(Absent):
        place.read("b", limit=99)


def test_a_destination_is_chosen_by_its_url(tmp_path: Path) -> None:
    assert isinstance(destination(f"file://{tmp_path}", None, deadline=Deadline(5)), Directory)
    store = destination("s3://bucket/p", {"access_key": "a", "secret_key": "b"}, deadline=Deadline(5))
    assert store.url("x") == "s3://bucket/p/x"
    assert store.with_more_time().url("x") == "s3://bucket/p/x"
    assert destination("s3://bucket", {}, deadline=Deadline(5)).url("x") == "s3://bucket/x"
    for url in ("file://relative", "/plain", "ftp://x", ""):
        with pytest.raises(BadInput):
            destination(url, None, deadline=Deadline(5))


def test_an_objects_url_is_split() -> None:
    assert split_object_url("file:///a/b") == ("file:///a", "b")
    for url in ("s3://b", "file:///a", "b", "s3://b/"):
        with pytest.raises(BadInput):
            split_object_url(url)


def test_a_signal_waits_until_cleaning_up_is_done() -> None:
    seen: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append("signal"))
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            seen.append("cleaned")
        assert seen == ["cleaned", "signal"]
    finally:
        signal.signal(signal.SIGTERM, before)
