# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit files, drop-ins and environment files as systemd reads them."""

from __future__ import annotations

import os
import threading
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_unit
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    UnexpectedAnswer,
    Unreachable,
)

#: Lines of [Service], the environment they make, and how much of it is left out.
LINES: list[tuple[str, dict[str, str], int]] = [
    ("Environment=A=1", {"A": "1"}, 0),
    ("Environment=A=1 B=2", {"A": "1", "B": "2"}, 0),
    ("Environment = A=1", {"A": "1"}, 0),
    ('Environment="A=a b" \'B=c "d"\'', {"A": "a b", "B": 'c "d"'}, 0),
    ('Environment=A="x y"z', {"A": "x yz"}, 0),
    (r"Environment=A=\x41\101\s\tz\u00e4\U0001f600", {"A": "AA \tzä😀"}, 0),
    ("Environment=A=$B ${C} D=#1", {"A": "$B", "D": "#1"}, 1),
    ("Environment=A=50%% B=5%", {"A": "50%", "B": "5%"}, 0),
    ("Environment=A=1\nEnvironment=A=2", {"A": "2"}, 0),
    ("Environment=A=1\nEnvironment=\nEnvironment=B=2", {"B": "2"}, 0),
    ("Environment=A=1 \\\n# between\n  ; them\n B=2", {"A": "1", "B": "2"}, 0),
    ("Environment=A=", {"A": ""}, 0),
    ("Environment=1A=x A-B=y export C=1", {"C": "1"}, 3),
    ("Environment=A=1 'B=2", {"A": "1"}, 1),
    (r"Environment=A=1 B=\q C=3", {"A": "1"}, 1),
    ("Environment=A=1 B=2\\", {"A": "1", "B": "2"}, 0),
    ("Environment=A=1\n[Install]\nEnvironment=A=2", {"A": "1"}, 0),
    ("[Unit]\nEnvironment=A=2\n[Service]\nEnvironment=B=1", {"B": "1"}, 0),
    ("Environment=A=1 B=2\nUnsetEnvironment=A B=3", {"B": "2"}, 0),
    ("EnvironmentFile=a.env\nEnvironment=A=1", {"A": "1"}, 1),
]


def written(folder: Path, lines: str, name: str = "x.service") -> str:
    path = folder / name
    path.write_text(f"[Service]\nExecStart=/bin/true\n{lines}\n")
    return str(path)


@pytest.mark.parametrize(("lines", "values", "left_out"), LINES)
def test_lines_of_a_unit(tmp_path: Path, lines: str, values: dict[str, str], left_out: int) -> None:
    unit = systemd_unit.read(written(tmp_path, lines))
    assert (unit.values, unit.unclear, len(unit.left_out)) == (values, {}, left_out), unit


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB = 2 \n", {"A": "1", "B": "2"}),
        ("# A=1\n; B=2\nC=3\n", {"C": "3"}),
        ("A=a # no comment\n", {"A": "a # no comment"}),
        ("A='a $b \\n'\n", {"A": "a $b \\n"}),
        ('A="a \\"b\\" \\n \\$c"\n', {"A": 'a "b" \\n $c'}),
        ("A='a' b\n", {"A": "ab"}),
        ("A=a 'b'\n", {"A": "a 'b'"}),
        ("A=a\\\nb\\ \nB=\n", {"A": "ab ", "B": ""}),
        ('A="two\nlines"\nB=1\n', {"A": "two\nlines", "B": "1"}),
        ('A="joined\\\nline"\n', {"A": "joinedline"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("no assignment\nA=1\n", {"A": "1"}),
        ("A='never closed\nB=1\n", {"A": "never closed\nB=1\n"}),
        ("A=1\nA=2\n", {"A": "2"}),
    ],
)
def test_an_environment_file(text: str, values: dict[str, str]) -> None:
    assert {name: value for _line, name, value in systemd_unit.assignments(text)} == values


@given(st.text(max_size=60))
def test_any_text_is_read_to_its_end(text: str) -> None:
    for _line, name, _value in systemd_unit.assignments(text):
        assert name


def test_what_is_wrong_in_an_environment_file_is_told_by_its_line_and_never_by_its_value(tmp_path: Path) -> None:
    file = tmp_path / "a.env"
    file.write_text("# note\n\nexport A=geheim-1\nB=geheim-2\n# a note \\\n")
    unit = systemd_unit.read(written(tmp_path, f"EnvironmentFile={file}"))
    assert unit.values == {"B": "geheim-2"}
    assert unit.left_out[0].startswith(f"{file} has a comment that ends in \\")
    assert unit.left_out[1] == f"{file} line 3 assigns to what is no name"
    assert "geheim" not in repr(unit.left_out)


def test_environment_files_count_more_than_lines_and_the_last_of_them_most(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / f"{name}.env").write_text(f"A={name}\n{'B=%i' if name == '2' else ''}\n")
    lines = f"EnvironmentFile={tmp_path}/[12].env\nEnvironment=A=0 B=%i C=%i\nPassEnvironment=A D"
    unit = systemd_unit.read(written(tmp_path, lines))
    assert unit.values == {"A": "2", "B": "%i"}
    assert set(unit.unclear) == {"C", "D"}
    assert unit.files == (str(tmp_path / "x.service"), str(tmp_path / "1.env"), str(tmp_path / "2.env"))
    reset = systemd_unit.read(written(tmp_path, f"{lines}\nEnvironmentFile=\nPassEnvironment=\n"))
    assert (reset.values, set(reset.unclear)) == ({"A": "0"}, {"B", "C"})


def test_drop_ins_of_all_folders_are_sorted_by_name_and_the_more_important_folder_wins(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("etc", "run", "lib")]
    for folder in folders:
        folder.mkdir()
    path = written(folders[2], "Environment=A=unit B=unit C=unit D=unit E=unit", "pre-x@.service")
    named = path.replace("pre-x@", "pre-x@one")
    Path(path).rename(named)
    for place, text in {
        "lib/pre-x@one.service.d/10.conf": "A=lib-10",
        "etc/pre-x@one.service.d/10.conf": "B=etc-10",
        "run/pre-x@one.service.d/20.conf": "C=run-20",
        "lib/pre-x@.service.d/15.conf": "C=lib-15 D=lib-15",
        "etc/pre-.service.d/30.conf": "E=etc-30",
        "etc/service.d/05.conf": "F=etc-05",
        "etc/pre-x@one.service.d/no-drop-in": "G=1",
    }.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(f"[Service]\nEnvironment={text}\n")
    unit = systemd_unit.read(named, folders=[str(folder) for folder in folders])
    assert unit.values == {"A": "unit", "B": "etc-10", "C": "run-20", "D": "lib-15", "E": "etc-30", "F": "etc-05"}
    assert systemd_unit.read(named).values["B"] == "unit", "of a folder that is none of systemd's, only its own"
    (tmp_path / "etc/pre-x@one.service.d/20.conf").symlink_to("/dev/null")
    masked = systemd_unit.read(named, folders=[str(folder) for folder in folders])
    assert masked.values["C"] == "lib-15"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("{}/x.timer", BadInput),
        ("x.service", BadInput),
        ("{}/absent.service", Unreachable),
        ("{}/folder.service", UnexpectedAnswer),
        ("{}/latin.service", UnexpectedAnswer),
    ],
)
def test_what_is_no_unit(tmp_path: Path, path: str, error: type[Exception]) -> None:
    (tmp_path / "folder.service").mkdir()
    (tmp_path / "latin.service").write_bytes(b"[Service]\nEnvironment=A=\xe4\n")
    with pytest.raises(error):
        systemd_unit.read(path.format(tmp_path))


@pytest.mark.parametrize(
    ("line", "error"),
    [("EnvironmentFile={}/absent", Unreachable), ("EnvironmentFile=/etc/%p", UnexpectedAnswer)],
)
def test_an_environment_file_that_cannot_be_had(tmp_path: Path, line: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        systemd_unit.read(written(tmp_path, line.format(tmp_path)))
    unit = systemd_unit.read(written(tmp_path, f"EnvironmentFile=-{tmp_path}/absent"))
    assert (unit.values, unit.left_out) == ({}, ())


@pytest.mark.parametrize("name", ["x.service", "a.env"])
def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"EnvironmentFile={tmp_path}/a.env")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    # A writer that holds the pipe without writing: a plain read would wait for it, so it is closed in the end.
    descriptor = os.open(tmp_path / name, os.O_RDWR)
    closing = threading.Timer(5, os.close, (descriptor,))
    closing.start()
    try:
        with pytest.raises(UnexpectedAnswer, match=f"{name} is not a file"):
            systemd_unit.read(path)
    finally:
        closing.cancel()
        closing.join()
    os.close(descriptor)


@pytest.mark.parametrize("name", ["x.service", "a.env"])
def test_what_leads_to_dev_null_is_empty(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"EnvironmentFile={tmp_path}/a.env\nEnvironment=A=1")
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/dev/null")
    assert systemd_unit.read(path).values == ({"A": "1"} if name == "a.env" else {})


def test_what_may_not_be_read_is_denied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # root may read everything, so the kernel's answer is put in place of its own
    def refuse(*_unused: t.Any, **__: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, "")
    monkeypatch.setattr(systemd_unit.os, "listdir", refuse)
    with pytest.raises(Denied, match="cannot be read"):
        systemd_unit.read(path)
    monkeypatch.setattr(systemd_unit.os, "open", refuse)
    with pytest.raises(Denied) as denied:
        systemd_unit.read(path)
    assert denied.value.remedy == "Run this item with become: true."
