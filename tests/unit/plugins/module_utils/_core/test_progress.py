# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures are written only for who gave a word, into a folder that nobody made before, and never in the way of the work."""

from __future__ import annotations

import ast
import json
import os
import secrets
import shutil
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core import progress
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import (
    FILE,
    NAMED_BY,
    SILENT,
    folder_of,
    telling,
)
from tests.servers import await_true


@pytest.fixture
def word(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[str]:
    given = secrets.token_hex(16)
    monkeypatch.setenv(NAMED_BY, given)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.01)
    yield given
    shutil.rmtree(folder_of(given), ignore_errors=True)


def figures(word: str) -> dict[str, t.Any]:
    path = Path(folder_of(word)) / FILE
    await_true(path.exists, seconds=20, what="The first figures")
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("given", [None, "", "../../etc", "0" * 31, "0" * 33, "G" * 32, "0" * 32 + "\n"])
def test_without_a_word_nothing_is_told(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAMED_BY, raising=False)
    if given is not None:
        monkeypatch.setenv(NAMED_BY, given)
    with telling() as told:
        assert told is SILENT and not told.is_told


def test_figures_are_those_of_the_phase_and_end_with_the_work(word: str) -> None:
    with telling() as told:
        assert NAMED_BY not in os.environ
        told.begin("dump", size=lambda: 7, stored=lambda: 5, whole=9, estimated_by="database", estimate=lambda: 11)
        told.tables(1, 2)
        await_true(lambda: figures(word)["estimated_by"] == "last backup", seconds=20, what="The better estimate")
        assert figures(word) | {"seconds": 0} == {
            "phase": "dump", "seconds": 0, "size": 7, "stored": 5, "whole": 11, "estimated_by": "last backup",
            "tables": [1, 2], "made": 0,
        }  # fmt: skip
        told.begin("indexes")
        told.made()
        await_true(lambda: figures(word)["made"] == 1, seconds=20, what="The next phase")
        assert figures(word)["tables"] is None
    assert not os.path.exists(folder_of(word))


def test_an_estimate_that_fails_leaves_the_first_one(word: str) -> None:
    asked = threading.Event()

    def estimate() -> int:
        asked.set()
        raise OSError("no such place")

    with telling() as told:
        told.begin("dump", size=lambda: 7, whole=9, estimated_by="database", estimate=estimate)
        assert asked.wait(20)
        before = figures(word)["seconds"]
        await_true(lambda: figures(word)["seconds"] > before, seconds=20, what="Figures after it")
        assert figures(word)["estimated_by"] == "database"


def test_a_folder_that_somebody_made_before_is_left_alone(word: str) -> None:
    os.mkdir(folder_of(word))
    counted: list[int] = []
    with telling() as told:
        told.begin("dump", size=lambda: counted.append(1) or 1)
        await_true(lambda: len(counted) > 1, seconds=20, what="The look behind the first write")
    assert os.listdir(folder_of(word)) == []


def test_a_figure_that_cannot_be_had_once_ends_nothing(word: str) -> None:
    asked = iter([FileNotFoundError("stored meanwhile")])

    def size() -> int:
        for problem in asked:
            raise problem
        return 7

    with telling() as told:
        told.begin("storing", size=size)
        await_true(lambda: os.path.exists(folder_of(word)), seconds=20, what="The look behind it")


def test_work_that_is_done_before_the_first_second_makes_no_file(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 3600.0)
    with telling() as told:
        told.begin("dump", size=lambda: 1)
        assert not os.path.exists(folder_of(word))
    assert not os.path.exists(folder_of(word))


def test_every_phase_that_an_action_begins_is_one_that_is_understood() -> None:
    actions = Path(progress.__file__).parent.parent / "_actions"
    begun = {
        argument.value
        for path in actions.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "begin"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    assert begun == set(progress.PHASES)
