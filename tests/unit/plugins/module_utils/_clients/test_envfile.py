# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Env files as they are found in the wild, and the environment of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import envfile
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    UnexpectedAnswer,
    Unreachable,
)

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b ", "b"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A=b # note", "b"),
        ("A=b#c", "b#c"),
        ("A=# note", ""),
        ('A="b c"', "b c"),
        ('A="b # c" # note', "b # c"),
        (r'A="b\nc\"d\q"', 'b\nc"d\\q'),
        ("A='b $c \\n'", "b $c \\n"),
        (r"A='it\'s'", "it's"),
        ('A="two\nlines"', "two\nlines"),
        ("A=postgresql://u:p=w@h/d?x=1", "postgresql://u:p=w@h/d?x=1"),
        ("A=['x']", "['x']"),
    ],
)
def test_values_are_read_as_the_usual_programs_read_them(line: str, value: str) -> None:
    parsed = envfile.parse(f"# first\n\n{line}\nZ=1\n".encode())
    assert parsed.values == {"A": value, "Z": "1"}
    assert parsed.oddities == ()


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"\xef\xbb\xbfA=1\n", "line 1: a byte order mark"),
        (b"A=1\r\nB=2\r\n", "line 1: a carriage return"),
        (b"A=1\nB=\xff\n", "line 2: not UTF-8"),
        (b"A=1\nA=2\n", "line 2 (A): set a second time, with another value"),
        (b"A=1\nA=1\n", "line 2 (A): set a second time, with the same value"),
        (b"A=1\nnonsense here\n", "line 2: not an assignment"),
        (b"export A\n", "line 1: not an assignment"),
        (b'A="open\n', "line 1 (A): a quote that is not closed"),
        (b'A="b"c\n', "line 1 (A): a quote that is not closed, or text after it"),
        (b"A=${B}\n", "line 1 (A): refers to another variable"),
        (b'A="$B"\n', "line 1 (A): refers to another variable"),
    ],
)
def test_what_programs_read_differently_is_told_by_line(octets: bytes, told: str) -> None:
    assert any(told in str(oddity) for oddity in envfile.parse(octets).oddities)


def test_a_byte_order_mark_is_not_a_part_of_the_name() -> None:
    assert envfile.parse(b"\xef\xbb\xbfA=1\r\nB=2").values == {"A": "1", "B": "2"}


def test_the_last_value_counts() -> None:
    assert envfile.parse(b"A=1\nA=2\n").values == {"A": "2"}


@given(st.binary(max_size=200))
def test_no_file_can_break_the_parser(octets: bytes) -> None:
    envfile.parse(octets)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\0"), max_size=20)


@given(st.dictionaries(names, texts, max_size=5))
def test_what_is_written_in_double_quotes_is_read_back(values: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'

    written = "\n".join(f"{name}={quoted(value)}" for name, value in values.items())
    parsed = envfile.parse(written.encode())
    assert parsed.values == values
    assert parsed.oddities == ()


@given(st.dictionaries(names, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12), max_size=4))
def test_oddities_never_hold_a_value(values: dict[str, str]) -> None:
    marked = {name: f"{value}GEHEIM" for name, value in values.items()}
    text = "\n".join(f"{name}={value}\n{name}='{value}x\n{value}" for name, value in marked.items())
    assert "GEHEIM" not in " ".join(oddity.what for oddity in envfile.parse(text.encode()).oddities)


def test_mode_owner_and_time_come_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("A=1\n")
    path.chmod(0o640)
    seen = envfile.read(str(path))
    assert (seen.mode, seen.owner, seen.parsed.values) == (0o640, os.geteuid(), {"A": "1"})
    assert seen.changed_at == pytest.approx(path.stat().st_mtime)


def read_pid_file(path: str) -> object:
    return envfile.processes(pid_file=path)


@pytest.mark.parametrize("read", [envfile.read, read_pid_file], ids=["env file", "pid file"])
def test_a_file_that_is_absent_or_no_file_is_said_so(tmp_path: Path, read: t.Callable[[str], object]) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        read(str(tmp_path / "absent"))
    with pytest.raises(UnexpectedAnswer, match="is not a file"):
        read(str(tmp_path))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # without a writer, for which a plain open would wait for ever
    with pytest.raises(UnexpectedAnswer, match="is not a file"):
        read(str(pipe))
    with pytest.raises(UnexpectedAnswer, match="is not a file"):
        read("/dev/zero")
    big = tmp_path / "big"
    big.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(UnexpectedAnswer, match="has 4194305 bytes, more than the"):
        read(str(big))


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_bytes(b"A=1\n" + b"#" * (4 * 1024 * 1024 - 4))
    assert envfile.read(str(path)).parsed.values == {"A": "1"}


def test_a_file_of_another_encoding_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_bytes(b"\xef\xbb\xbfA=1\nNAME=M\xfcller\n")
    seen = envfile.read(str(path)).parsed
    assert seen.values == {"A": "1", "NAME": "M\ufffdller"}
    told = [str(oddity) for oddity in seen.oddities]
    assert told == [
        "line 1: a byte order mark, which becomes a part of the first name in many programs",
        "line 2: not UTF-8",
    ]


def test_a_file_that_may_not_be_read_is_denied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # root may read everything, so the kernel's answer is put in place of its own
    def refuse(*_unused: t.Any, **__: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(Denied, match="may not be read by the user with id") as denied:
        envfile.read(str(tmp_path / "x"))
    assert "become: true" in denied.value.remedy
    with pytest.raises(Denied, match="environment of process"):
        envfile.processes(pid=1)


@pytest.fixture
def process() -> t.Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(); sys.stdout.flush(); sys.stdin.read()", "opsready-env-probe"],
        env={"A": "1", "B": "x=y", "EMPTY": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert started.stdout is not None
        started.stdout.readline()
        yield started
    finally:
        started.kill()
        started.communicate()


def test_the_environment_of_a_process_is_read(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    by_pid = envfile.processes(pid=process.pid)[0]
    assert by_pid.values == {"A": "1", "B": "x=y", "EMPTY": ""}
    assert by_pid.name.startswith("python")
    assert abs(by_pid.started_at - time.time()) < 600
    pid_file = tmp_path / "app.pid"
    pid_file.write_text(f"{process.pid}\n")
    assert envfile.processes(pid_file=str(pid_file)) == [by_pid]
    assert envfile.processes(pattern="opsready-env-probe") == [by_pid]


def test_a_child_that_ends_meanwhile_is_left_out(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list of processes and the look at each, one has gone and one waits to be buried."""
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    listed = [2**22 + 1, ended.pid, process.pid]
    monkeypatch.setattr(envfile, "matching", lambda pattern, proc: listed)
    assert [found.pid for found in envfile.processes(pattern="x")] == [process.pid]
    listed.remove(process.pid)
    with pytest.raises(Unreachable, match="No process's command line matches"):
        envfile.processes(pattern="x")
    with pytest.raises(Unreachable, match=f"process {ended.pid}"):
        envfile.processes(pid=ended.pid)
    ended.wait()


def test_our_own_processes_do_not_match_their_own_pattern() -> None:
    assert os.getpid() not in envfile.matching("python")
    assert os.getppid() not in envfile.matching(".")


def test_a_process_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="There is no process"):
        envfile.processes(pid=2**22 + 1)
    with pytest.raises(Unreachable, match="No process's command line matches"):
        envfile.processes(pattern="no such process, surely")
    with pytest.raises(Unreachable, match="cannot be read"):
        envfile.processes(pid_file=str(tmp_path / "absent.pid"))
    (tmp_path / "bad.pid").write_text("nonsense")
    with pytest.raises(UnexpectedAnswer, match="holds no number"):
        envfile.processes(pid_file=str(tmp_path / "bad.pid"))
    with pytest.raises(BadInput, match="not a regular expression"):
        envfile.processes(pattern="(")
    assert envfile.command_line(2**22 + 1) == ""


def test_assignments_that_are_commented_out_are_known_by_name() -> None:
    text = "# A=1\n#B=\n  # export C=x\n# see D=1\n# E = 1\nF='\n# G=1\n'\n# A=2\n"
    assert envfile.parse(text.encode()).commented == ("A", "B", "C")
