# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carried files are imported as files are: packages, lines in a traceback, source that can be asked for; each compiled once."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.carried import carried, import_from

SOURCES = {
    "golive_carried/__init__.py": "NAME = 'größe'\n",
    "golive_carried/inner.py": "from golive_carried import NAME\n\n\ndef fail():\n    raise ValueError(NAME)\n",
    "golive_carried/json.py": "IS_OURS = True\n",
}


@pytest.fixture(autouse=True)
def imported() -> t.Iterator[None]:
    finders = list(sys.meta_path)
    import_from(carried(SOURCES))
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.split(".")[0] == "golive_carried"]:
        del sys.modules[name]


def test_a_module_is_imported_with_its_package_and_knows_its_source() -> None:
    inner = importlib.import_module("golive_carried.inner")
    assert inner.NAME == "größe" and inner.__file__ == "golive_carried/inner.py"
    assert inspect.getsource(inner) == SOURCES["golive_carried/inner.py"]
    with pytest.raises(ValueError, match="größe") as caught:
        inner.fail()
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == ("golive_carried/inner.py", 5)


def test_what_is_not_carried_is_found_as_ever_or_is_missing() -> None:
    assert importlib.import_module("golive_carried.json").IS_OURS
    assert importlib.import_module("json").loads("1") == 1
    with pytest.raises(ModuleNotFoundError, match=r"'golive_carried\.other'"):
        importlib.import_module("golive_carried.other")


def test_a_file_is_compiled_once_and_leaves_no_bytecode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compiled: list[str] = []

    def watched(event: str, arguments: tuple[t.Any, ...]) -> None:
        if event == "compile" and str(arguments[1]).startswith("golive_carried/"):
            compiled.append(arguments[1])

    sys.addaudithook(watched)
    importlib.import_module("golive_carried.inner")
    assert compiled == ["golive_carried/__init__.py", "golive_carried/inner.py"]
    assert not list(tmp_path.iterdir())
