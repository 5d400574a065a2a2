# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two modules of one system never work on one host at once, and an old token is refused there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Clock
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import (
    PATIENCE_SECONDS,
    Token,
    held,
    lock_directory,
)
from tests.release_process import NOBODY, as_nobody
from tests.servers import await_true

names = st.text(alphabet="abcXYZ019_.-", min_size=1, max_size=64)
NONCE = "0123456789abcdef"
LOCK = "archive-01234567.lock"


@pytest.fixture(autouse=True)
def _own_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fencing, "PLACE", str(tmp_path))


@given(names, names, st.integers(min_value=0, max_value=10**12 - 1), st.integers(min_value=0, max_value=2**64 - 1))
def test_a_token_is_read_as_it_was_written(system: str, release: str, number: int, nonce: int) -> None:
    token = Token(system, release, number, f"{nonce:016x}")
    assert Token.parse(str(token)) == token
    assert len(token.application_name.encode()) <= 63
    assert token.application_name.startswith("opsready/")


@given(st.text(max_size=60))
def test_anything_else_is_no_token(text: str) -> None:
    with pytest.raises(BadInput, match="not a token"):
        Token.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "a/b/1/0123456789ABCDEF",
        "a/b/x/" + NONCE,
        "a/b/1/" + NONCE + "\n",
        "a b/c/1/" + NONCE,
        "a/b/\u0661/" + NONCE,
        "a/b/" + NONCE,
    ],
)
def test_what_looks_like_a_token_is_none(text: str) -> None:
    with pytest.raises(BadInput):
        Token.parse(text)


def test_without_a_release_there_is_no_lock(tmp_path: Path) -> None:
    with held(None, doing="a backup of its own") as token:
        assert token is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_module_is_refused_and_told_who_is_at_work() -> None:
    with (
        held(f"archive/r1/7/{NONCE}", doing="pg_backup") as token,
        pytest.raises(Refused, match=rf"pg_backup of release r1 \(process {os.getpid()}\)"),
        held(f"archive/r1/7/{NONCE}", doing="migrate"),
    ):
        pass
    assert token == Token("archive", "r1", 7, NONCE)
    with held(f"archive/r1/7/{NONCE}", doing="migrate") as again:
        assert again == token


class _Clock(Clock):
    """Time passes only where somebody waits; ``then`` runs at the third wait."""

    def __init__(self, then: t.Callable[[], object]) -> None:
        self.moment, self.waits, self.then = 0.0, 0, then

    def monotonic(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.moment += seconds
        self.waits += 1
        if self.waits == 3:
            self.then()


def test_who_has_taken_over_waits_for_what_the_dead_run_left_at_work() -> None:
    with contextlib.ExitStack() as dead:
        dead.enter_context(held(f"archive/r1/7/{NONCE}", doing="pg_backup"))
        clock = _Clock(dead.close)
        with held(f"archive/r1/8/{NONCE}", doing="services stopped", clock=clock) as token:
            assert (token is not None and token.number, clock.waits) == (8, 3)


def test_what_the_dead_run_left_at_work_is_not_waited_for_for_ever() -> None:
    clock = _Clock(lambda: None)
    with (
        held(f"archive/r1/7/{NONCE}", doing="pg_backup"),
        pytest.raises(Refused, match="pg_backup of release r1"),
        held(f"archive/r1/8/{NONCE}", doing="services stopped", clock=clock),
    ):
        pass
    assert clock.moment >= PATIENCE_SECONDS


def test_another_system_is_not_in_the_way() -> None:
    with held(f"archive/r1/7/{NONCE}", doing="a"), held(f"shop/r1/3/{NONCE}", doing="b") as token:
        assert token is not None


def test_two_records_of_one_name_are_two_systems() -> None:
    """A state directory that was made anew counts from 1 again, and is not taken for a stale run of the old one."""
    with held(f"archive/r1/7/{NONCE}", doing="a"), held("archive/r1/1/fedcba9876543210", doing="b") as token:
        assert token is not None
        assert token.record == "fedcba98"


def test_an_older_token_is_refused_after_a_newer_one_was_seen() -> None:
    with held(f"archive/r2/8/{NONCE}", doing="services"):
        pass
    with (
        pytest.raises(Refused, match=r"release r1 is stale: release r2 has taken over"),
        held(f"archive/r1/7/{NONCE}", doing="services"),
    ):
        pass
    with held(f"archive/r3/9/{NONCE}", doing="services"):
        pass


def test_the_lock_is_free_after_an_exception() -> None:
    with pytest.raises(RuntimeError), held(f"archive/r1/7/{NONCE}", doing="a"):
        raise RuntimeError("in the middle")
    with held(f"archive/r1/7/{NONCE}", doing="b"):
        pass


def test_the_lock_is_free_after_a_kill(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    hold = f"""
import time
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
fencing.PLACE = {str(tmp_path)!r}
with fencing.held("archive/r1/7/{NONCE}", doing="pg_restore"):
    open({str(ready)!r}, "w").close()
    time.sleep(600)
"""
    holder = subprocess.Popen([sys.executable, "-c", hold])
    try:
        await_true(ready.exists, seconds=30, what="the other process to hold the lock")
        with (
            pytest.raises(Refused, match=rf"process {holder.pid}"),
            held(f"archive/r2/8/{NONCE}", doing="x", clock=_Clock(lambda: None)),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with held(f"archive/r2/8/{NONCE}", doing="x"):
        pass


@pytest.mark.parametrize("note", [b"{torn", b"[1]", b"", b"\xff\xfe"])
def test_a_note_torn_by_a_crash_is_no_obstacle(note: bytes) -> None:
    Path(lock_directory(), LOCK).write_bytes(note)
    with held(f"archive/r1/7/{NONCE}", doing="x"):
        noted = json.loads(Path(lock_directory(), LOCK).read_text())
    assert noted == {"number": 7, "release": "r1", "doing": "x", "pid": os.getpid()}


def test_the_lock_directory_is_written_and_listed_by_this_user_alone() -> None:
    assert os.stat(lock_directory()).st_mode & 0o777 == 0o711
    os.chmod(lock_directory(), 0o700)
    path = lock_directory()
    assert os.stat(path).st_mode & 0o777 == 0o711
    os.chmod(path, 0o777)  # noqa: S103 - the very mistake that is not used
    assert lock_directory() != path


def _planted_link(usual: Path) -> None:
    usual.with_name("elsewhere").mkdir(mode=0o700)
    usual.symlink_to(usual.with_name("elsewhere"))


def _planted_folder(usual: Path) -> None:
    usual.mkdir()
    usual.chmod(0o777)


PLANTED: dict[str, t.Callable[[Path], None]] = {
    "a link": _planted_link,
    "a file": Path.touch,
    "a folder open to all": _planted_folder,
}


@pytest.mark.parametrize("planted", PLANTED)
def test_whoever_takes_our_folders_name_keeps_nobody_from_the_lock_and_gets_no_part_in_it(
    tmp_path: Path, planted: str
) -> None:
    usual = tmp_path / f"opsready-golive-{os.geteuid()}"
    PLANTED[planted](usual)
    with held(f"archive/r1/7/{NONCE}", doing="x"):
        place = Path(lock_directory())
        assert (place.parent, place.stat().st_mode & 0o777) == (tmp_path, 0o711)
        assert (place / LOCK).is_file()
        assert place != usual and place.name.startswith(f"{usual.name}.")
        # gone as suddenly as it came: the next module takes the usual name, and still sees who is at work
        (shutil.rmtree if usual.is_dir() and not usual.is_symlink() else os.unlink)(usual)
        assert lock_directory() == str(usual)
        with (
            pytest.raises(Refused, match="Another step of archive is at work"),
            held(f"archive/r1/7/{NONCE}", doing="y"),
        ):
            pass
    with held(f"archive/r1/8/{NONCE}", doing="y"):
        pass
    with pytest.raises(Refused, match="is stale"), held(f"archive/r1/7/{NONCE}", doing="z"):
        pass


def test_a_planted_lock_file_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    Path(lock_directory(), LOCK).symlink_to(victim)
    with pytest.raises(ActionFailed, match="symbolic links"), held(f"archive/r1/7/{NONCE}", doing="x"):
        pass
    assert victim.read_text() == "precious"


def test_another_users_directory_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = lock_directory()
    real = os.lstat

    def foreign(path: t.Any) -> t.Any:
        seen = list(real(path))
        if path == usual:
            seen[4] = os.geteuid() + 1
        return os.stat_result(seen)

    monkeypatch.setattr(os, "lstat", foreign)
    assert lock_directory() != usual


def test_two_processes_never_hold_the_lock_at_once(tmp_path: Path) -> None:
    """Four processes try; each that gets in marks the room, and nobody ever finds it marked."""
    enter = f"""
import os, sys
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Refused
fencing.PLACE = os.getcwd()
inside = 0
for _ in range(200):
    try:
        with fencing.held("archive/r1/7/{NONCE}", doing=str(os.getpid())):
            os.close(os.open("room", os.O_CREAT | os.O_EXCL))
            inside += 1
            os.unlink("room")
    except Refused:
        pass
print(inside)
"""
    tries = [
        subprocess.Popen([sys.executable, "-c", enter], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _unused in range(4)
    ]
    ended = [process.communicate(timeout=120) for process in tries]
    assert [process.returncode for process in tries] == [0] * 4, ended
    assert sum(int(out) for out, _err in ended) >= 1


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """A folder like /tmp, which another user reaches; pytest's own are closed."""
    if os.geteuid() != 0:
        pytest.skip("root: only root can work as another user")
    made = Path(tempfile.mkdtemp(prefix="golive-test-"))
    made.chmod(0o1777)
    monkeypatch.setattr(fencing, "PLACE", str(made))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextlib.contextmanager
def _held_by_nobody(release: str) -> t.Iterator[int]:
    """Another user's module at work, which ends when it is told to; yields its process."""
    said, saying = os.pipe()
    waiting, telling = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child's own life is not measured
        try:
            os.close(telling)
            as_nobody()
            with held(release, doing="pg_restore restored"):
                os.write(saying, b"held")
                os.read(waiting, 1)
        except Refused as refused:
            os.write(saying, str(refused).encode())
        finally:
            os._exit(0)
    os.close(saying)
    os.close(waiting)
    try:
        answer = os.read(said, 4096)
        assert answer == b"held", answer
        yield child
    finally:
        os.close(telling)
        os.close(said)
        os.waitpid(child, 0)


def _refused_to_nobody(release: str) -> str:
    """What the same module says to another user."""
    with pytest.raises(AssertionError) as caught, _held_by_nobody(release):
        pass
    return str(caught.value)


def test_another_users_module_is_in_the_way_too_and_named(place: Path) -> None:
    """The lock is the host's: root and an ordinary user exclude each other, whoever came first."""
    with (
        _held_by_nobody(f"archive/r1/7/{NONCE}") as process,
        pytest.raises(Refused, match=rf"pg_restore restored of release r1 \(process {process} of user {NOBODY}\)"),
        held(f"archive/r1/7/{NONCE}", doing="migrate applied"),
    ):
        pass
    with held(f"archive/r1/7/{NONCE}", doing="migrate applied"):
        assert f"migrate applied of release r1 (process {os.getpid()} of user 0)" in _refused_to_nobody(
            f"archive/r1/7/{NONCE}"
        )
    with _held_by_nobody(f"archive/r1/7/{NONCE}"):
        pass


def test_who_has_taken_over_waits_for_another_users_module(place: Path) -> None:
    with contextlib.ExitStack() as dead:
        dead.enter_context(_held_by_nobody(f"archive/r1/7/{NONCE}"))
        clock = _Clock(dead.close)
        with held(f"archive/r1/8/{NONCE}", doing="x", clock=clock):
            assert clock.waits == 3


def test_a_token_is_stale_whichever_user_showed_the_newer_one(place: Path) -> None:
    with _held_by_nobody(f"archive/r2/8/{NONCE}"):
        pass
    with pytest.raises(Refused, match="release r2 has taken over"), held(f"archive/r1/7/{NONCE}", doing="x"):
        pass
    with held(f"archive/r3/9/{NONCE}", doing="x"):
        pass
    assert "release r3 has taken over" in _refused_to_nobody(f"archive/r2/8/{NONCE}")


def _nobodys(place: Path) -> Path:
    folder = place / f"opsready-golive-{NOBODY}"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o711)
    return folder


@pytest.mark.parametrize(
    "planted", ["a link", "a pipe", "another's file", "a folder that all may write", "a linked folder"]
)
def test_what_another_user_planted_is_neither_followed_nor_waited_for(place: Path, planted: str) -> None:
    folder = _nobodys(place)
    newest = json.dumps({"number": 99, "release": "r9"})
    file = folder / LOCK
    if planted == "a link":
        (place / "elsewhere").write_text(newest)
        file.symlink_to(place / "elsewhere")
    elif planted == "a pipe":
        os.mkfifo(file)
    else:
        file.write_text(newest)
        if planted != "another's file":
            os.chown(file, NOBODY, NOBODY)
    if planted == "a folder that all may write":
        folder.chmod(0o777)
    if planted == "a linked folder":
        folder.rename(place / "moved")
        folder.symlink_to(place / "moved")
    with held(f"archive/r1/7/{NONCE}", doing="x") as token:
        assert token is not None


def test_words_that_another_user_wrote_are_not_repeated_as_they_are(place: Path) -> None:
    file = _nobodys(place) / LOCK
    file.write_text(json.dumps({"number": 99, "release": "\u001b[2Jr9"}))
    os.chown(file, NOBODY, NOBODY)
    with pytest.raises(Refused, match="release unknown has taken over"), held(f"archive/r1/7/{NONCE}", doing="x"):
        pass


def test_nobody_else_can_write_or_list_what_a_module_left(place: Path) -> None:
    with held(f"archive/r1/7/{NONCE}", doing="x"):
        pass
    folder = Path(lock_directory())
    assert [entry.stat().st_mode & 0o777 for entry in (folder, folder / LOCK)] == [0o711, 0o644]
