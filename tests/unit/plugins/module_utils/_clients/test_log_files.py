# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files read from where a time begins, in any encoding and to the last byte."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import log_files
from ansible_collections.opsready.golive.plugins.module_utils._clients.log_files import FileSource
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied

BEGIN = 1_763_780_400


def source(path: Path, **options: t.Any) -> FileSource:
    base: dict[str, t.Any] = {
        "since": None,
        "is_utc": True,
        "encoding": "utf-8",
        "max_bytes": 10**9,
        "now": BEGIN + 1e6,
    }
    return FileSource(str(path), **{**base, **options}, deadline=Deadline(60))


def texts(read: FileSource) -> list[str]:
    return [text for batch in read.batches() for text in batch.texts]


@given(lines=st.lists(st.text(alphabet="aäß€ \u0a0a\u0d0a", min_size=1).filter(lambda text: text.strip()), max_size=30))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_line_comes_back_whatever_the_blocks(
    lines: list[str], encoding: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "x.log"
    path.write_bytes("\n".join(lines).encode(encoding))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log_files, "_BLOCK", 6)
        assert texts(source(path)) == lines


@pytest.mark.parametrize("asked", [0, 1, 777, 19_998, 19_999])
def test_the_time_is_found_by_halving_and_nothing_newer_is_left_out(asked: int, tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    with path.open("w") as stream:
        for number in range(20_000):
            stream.write(f"{BEGIN + number} line {number}\n    {'x' * 40}\n")
    read = source(path, since=float(BEGIN + asked))
    numbers = [int(text.rpartition(" ")[2]) for text in texts(read) if text.startswith("1")]
    assert numbers[-1] == 19_999
    assert numbers[0] <= asked
    assert asked - numbers[0] < 10_000
    assert read.reading.gaps == []


def test_the_bound_is_spent_on_the_newest_part(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("".join(f"{BEGIN + number} line\n" for number in range(100, 200)))
    older = tmp_path / "app.log.1"
    older.write_text("".join(f"{BEGIN + number} line\n" for number in range(100)))
    size = path.stat().st_size
    read = source(path, since=float(BEGIN), max_bytes=size + 160)
    assert texts(read)[0].startswith(str(BEGIN + 90))
    assert read.reading.unread_bytes == older.stat().st_size - 160
    small = source(path, since=float(BEGIN), max_bytes=160)
    assert len(texts(small)) == 10
    assert small.reading.files == [str(path)]


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("app.log.1", True),
        ("app.log.12.gz", True),
        ("app.log-20261122", True),
        ("app.log-20261122.gz", True),
        ("app-20261122.log", True),
        ("app.log.2026-11-22", True),
        ("app.log.2026-11-22_05-00", True),
        ("app.log.2.zst", True),
        ("app.log", False),
        ("app.log.bak", False),
        ("app-worker.log", False),
        ("app-1.log", False),
        ("other.log.1", False),
    ],
)
def test_a_file_that_was_rotated_away_is_known_by_its_name(name: str, is_ours: bool, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert log_files.rotated_of(str(tmp_path / "app.log")) == ([str(tmp_path / name)] if is_ours else [])


def test_a_rotated_file_that_vanishes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.log"
    path.write_text(f"{BEGIN} line\n")
    monkeypatch.setattr(log_files, "rotated_of", lambda path: [f"{path}.1"])
    read = source(path, since=float(BEGIN))
    assert len(texts(read)) == 1
    assert "app.log.1, rotated away from it, cannot be read" in read.reading.gaps[0]


def test_a_file_cut_short_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("line\n" * 100)
    read = source(path)
    batches = read.batches()
    assert len(next(batches).texts) == 100
    path.write_text("new\n")
    assert list(batches) == []
    assert read.reading.gaps == [f"{path} was cut short while it was read"]


def test_a_line_without_end_is_judged_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("x" * 1_000_000 + "\nend\n")
    found = texts(source(path))
    assert sum(map(len, found[:-1])) == 1_000_000
    assert max(map(len, found)) <= log_files._LONGEST_LINE + log_files._BLOCK
    assert found[-1] == "end"


def test_nul_bytes_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n" + b"\0" * 5000 + b"two\n")
    read = source(path)
    assert texts(read) == ["one", "two"]
    assert read.reading.hole_bytes == 5000


def test_what_a_user_may_not_read_is_denied(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("x\n")
    path.chmod(0)
    child = os.fork()
    if child == 0:  # root may read everything, so somebody else tries
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            list(source(path).batches())
        except Denied:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
