# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The right pg_dump is chosen; what it says is believed and explained."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_programs
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import clean_environment
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    CommandFailed,
    MissingLibrary,
    TimedOut,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import SILENT, Progress

DEADLINE_SECONDS = 20.0


def programs(directory: Path, version: str, *, compressions: str = "") -> str:
    """A directory with a pg_dump that says this version, and refuses to compress but with these methods."""
    directory.mkdir()
    refusal = 'echo "pg_dump: error: invalid compression specification" >&2; exit 1'
    allowed = "|".join(f"*'compress={method} '*" for method in compressions.split()) or "none"
    for name in ("pg_dump", "pg_restore"):
        script = directory / name
        script.write_text(
            f'#!/bin/sh\ncase "$*" in\n*--version*) echo "{name} (PostgreSQL) {version}";;\n'
            f'{allowed}) echo "connection failed" >&2; exit 1;;\n*) {refusal};;\nesac\n'
        )
        script.chmod(0o755)
    return str(directory)


def choose(found: t.Sequence[str], server: int, monkeypatch: pytest.MonkeyPatch) -> pg_programs.Programs:
    monkeypatch.setattr(pg_programs, "_candidates", lambda: iter(found))
    return pg_programs.chosen(None, server, deadline=Deadline(DEADLINE_SECONDS))


def test_the_lowest_version_that_fits_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        programs(tmp_path / "18", "18.1"),
        programs(tmp_path / "15", "15.18 (Debian 15.18-1)"),
        programs(tmp_path / "16a", "16.2"),
        programs(tmp_path / "16b", "16.9"),
        programs(tmp_path / "beta", "19beta1"),
        programs(tmp_path / "strange", "unknown"),
        str(tmp_path / "gone"),
    ]
    found.append(found[0])
    assert choose(found, 160004, monkeypatch).directory.endswith("16b")
    assert choose(found, 150000, monkeypatch).version_text == "15.18"
    assert choose(found, 170000, monkeypatch).version == (18, 1)
    assert choose(found, 190000, monkeypatch).version == (19, 0)
    with pytest.raises(MissingLibrary, match=r"PostgreSQL 20.*18\.1 in") as caught:
        choose(found, 200000, monkeypatch)
    assert "postgresql-client-20" in str(caught.value)
    with pytest.raises(MissingLibrary, match="none"):
        choose([], 150000, monkeypatch)


def test_a_directory_that_was_named_is_the_only_one_looked_at(tmp_path: Path) -> None:
    old = programs(tmp_path / "15", "15.1")
    with pytest.raises(MissingLibrary, match=r"15\.1"):
        pg_programs.chosen(old, 180000, deadline=Deadline(DEADLINE_SECONDS))


def test_the_usual_places_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"/one{os.pathsep}/two{os.pathsep}")
    assert list(pg_programs._candidates())[-2:] == ["/one", "/two"]


@pytest.mark.parametrize(
    ("version", "can", "wanted", "level", "chosen"),
    [
        ("18.1", "zstd gzip none", "auto", None, ("zstd", "--compress=zstd")),
        ("18.1", "gzip:3 none", "auto", None, ("gzip", "--compress=gzip:3")),
        ("18.1", "gzip none", "gzip", None, ("gzip", "--compress=gzip")),
        ("18.1", "gzip lz4 none", "lz4", None, ("lz4", "--compress=lz4")),
        ("15.1", "3 0", "auto", None, ("gzip", "--compress=3")),
        ("15.1", "6 0", "gzip", None, ("gzip", "--compress=6")),
        ("15.1", "6 0", "none", None, ("none", "--compress=0")),
        ("18.1", "gzip none", "zstd", None, None),
        ("15.1", "6 0", "zstd", None, None),
        ("18.1", "zstd:19 gzip none", "zstd", 19, ("zstd", "--compress=zstd:19")),
        ("16.0", "lz4:12", "lz4", 12, ("lz4", "--compress=lz4:12")),
        ("18.1", "gzip:9 gzip none", "gzip", 9, ("gzip", "--compress=gzip:9")),
        ("15.1", "9 6 0", "gzip", 9, ("gzip", "--compress=9")),
        ("18.1", "gzip", "gzip", 10, None),
        ("15.1", "6 0", "zstd", 3, None),
    ],
)
def test_the_binary_is_asked_what_it_can_compress_with(
    tmp_path: Path, version: str, can: str, wanted: str, level: int | None, chosen: tuple[str, str] | None
) -> None:
    major, minor = version.split(".")
    found = pg_programs.Programs(programs(tmp_path / "bin", version, compressions=can), (int(major), int(minor)))
    deadline = Deadline(DEADLINE_SECONDS)
    if chosen is None:
        with pytest.raises(BadInput, match=wanted if level is None else f"{wanted} at level {level}"):
            pg_programs.compression_argument(found, wanted, deadline=deadline, level=level)
    else:
        assert pg_programs.compression_argument(found, wanted, deadline=deadline, level=level) == chosen


@pytest.mark.parametrize(
    ("wanted", "level", "said"),
    [("auto", 3, "has no levels"), ("none", 1, "has no levels"), ("gzip", 0, "1 or more"), ("zstd", -5, "1 or more")],
)
def test_a_level_is_one_of_a_method_that_was_named(wanted: str, level: int, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pg_programs.require_level(level, wanted)
    pg_programs.require_level(None, wanted)
    pg_programs.require_level(9, "gzip")


def test_the_schemas_hash_ignores_what_differs_every_time() -> None:
    first = b"-- Dumped from 18.1\n\\restrict abc\nCREATE TABLE t (a int);\n\nSET x = 1;\n\\unrestrict abc\n"
    second = b"-- Dumped from 18.2\n\\restrict xyz\nSET x = 1;\nCREATE TABLE t (a int);\n\\unrestrict xyz\n"
    assert pg_programs.hash_of_schema(first) == pg_programs.hash_of_schema(second)
    assert pg_programs.hash_of_schema(first) != pg_programs.hash_of_schema(first + b"SET y = 1;\n")


def test_a_name_that_looks_like_a_connection_string_is_quoted() -> None:
    assert pg_programs.database_argument("a=b c'") == r"--dbname=dbname='a=b c\''"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("aborting because of server version mismatch", "pg_bindir"),
        ("permission denied for table t", "pg_read_all_data"),
        ("would be affected by row-level security", "BYPASSRLS"),
        ("canceling statement due to lock timeout", "holds a table's lock"),
        ("something else", ""),
    ],
)
def test_what_programs_say_most_often_is_explained(said: str, remedy: str) -> None:
    problem = pg_programs.explained(CommandFailed("x", returncode=1, stderr=f"pg_dump: error: {said}"))
    assert remedy in problem.remedy


def _shell(script: str, **streams: int) -> t.Any:
    return pg_programs.running(["sh", "-c", script], environment=clean_environment(), password=None, **streams)


def test_what_a_program_says_is_drained_and_its_end_kept() -> None:
    with _shell("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3") as (process, said):
        with pytest.raises(CommandFailed, match="ended with code 3") as caught:
            pg_programs.ended_well("sh", process, said, deadline=Deadline(DEADLINE_SECONDS))
    assert "line 2999" in caught.value.stderr
    assert "line 0\n" not in caught.value.stderr


def test_what_is_kept_of_a_programs_words_begins_with_a_whole_line() -> None:
    """Of a line longer than all that is kept its end alone would be left, and in it half a secret."""
    code = "import sys; sys.stderr.write('x' * 8192 * 70 + ' half\\nwhole\\n')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    said = pg_programs.Drained(t.cast("t.IO[bytes]", process.stderr))
    process.wait()
    assert said.text() == "whole\n"


def test_a_program_that_never_ends_is_ended_at_the_limit() -> None:
    with pytest.raises(TimedOut), _shell("sleep 60") as (process, said):
        pg_programs.ended_well("sh", process, said, deadline=Deadline(0.2))
    assert process.poll() is not None
    with pytest.raises(TimedOut), _shell("sleep 60", stdout=subprocess.PIPE) as (process, said):
        list(pg_programs.output_chunks(process, doing="sh", deadline=Deadline(0.2)))
    with pytest.raises(TimedOut), _shell("sleep 60", stdin=subprocess.PIPE) as (process, said):
        pg_programs.feed(process, iter([b"x" * 5_000_000]), doing="sh", deadline=Deadline(0.2))


def test_a_program_that_stops_reading_is_noticed() -> None:
    deadline = Deadline(DEADLINE_SECONDS)
    with _shell("head -c 10 >/dev/null", stdin=subprocess.PIPE) as (process, unused):
        assert pg_programs.feed(process, iter([b"x" * 1_000_000] * 20), doing="sh", deadline=deadline) is False
    with _shell("cat >/dev/null", stdin=subprocess.PIPE) as (process, said):
        assert pg_programs.feed(process, iter([b"x" * 1_000_000] * 5), doing="sh", deadline=deadline) is True
        pg_programs.ended_well("cat", process, said, deadline=deadline)


class Counted(Progress):
    """What pg_restore's words made of it."""

    is_told = True

    def __init__(self) -> None:
        self.seen: list[t.Any] = []

    def begin(self, phase: str, **_unused: t.Any) -> None:
        self.seen.append(phase)

    def tables(self, done: int, of: int) -> None:
        self.seen.append((done, of))

    def made(self) -> None:
        self.seen.append("made")


SAID = [
    b"pg_restore: connecting to database for restore\n",
    b'pg_restore: creating TABLE "app.a"\n',
    b'pg_restore: processing data for table "app.a"\n',
    b'pg_restore: processing data for table "app.b\n',
    b'with a break"\n',
    b"pg_restore: executing SEQUENCE SET a_id_seq\n",
    b'pg_restore: creating INDEX "app.a_i"\n',
    b'pg_restore: creating CONSTRAINT "app.a a_pkey"\n',
]
FAILED = [
    b"pg_restore: while PROCESSING TOC:\n",
    b"pg_restore: from TOC entry 3; 0 0 TABLE DATA a owner\n",
    b'pg_restore: error: COPY failed for table "a": ERROR:  out of range\n',
    b"CONTEXT:  COPY a, line 1\n",
]


def test_what_pg_restore_does_is_counted_and_kept_out_of_what_it_complains_of() -> None:
    counted = Counted()
    told = pg_programs.Restoring(counted, 2)
    assert [line for line in SAID + FAILED if not told.takes(line)] == FAILED
    assert counted.seen == [(1, 2), (2, 2), "indexes", "made", "made"]


def test_an_index_that_one_of_several_jobs_makes_before_all_data_is_in_ends_no_phase() -> None:
    data, index = (b'pg_restore: processing data for table "app.a"\n', b'pg_restore: creating INDEX "app.a_i"\n')
    said = [
        data,
        index,
        b"pg_restore: launching item 7 TABLE DATA b\n",
        data,
        index,
        b"pg_restore: finished main parallel loop\n",
    ]
    counted = Counted()
    told = pg_programs.Restoring(counted, 2, jobs=2)
    assert all(told.takes(line) for line in said)
    assert counted.seen == [(1, 2), (2, 2), "indexes", "made"]


def test_who_is_not_watched_loses_no_line() -> None:
    told = pg_programs.Restoring(SILENT, 2)
    assert not any(told.takes(line) for line in SAID + FAILED)
