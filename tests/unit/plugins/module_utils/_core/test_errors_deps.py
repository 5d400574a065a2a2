# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One error family; a missing library names itself, the minimum, the interpreter and the host."""

from __future__ import annotations

import platform
import sys
import sysconfig
import types
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.deps import CEILINGS, FLOORS, require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    CommandFailed,
    GoliveError,
    MissingLibrary,
    TimedOut,
    Unreachable,
)


def test_a_library_that_is_there_is_imported() -> None:
    import psycopg

    assert require("psycopg") is psycopg


def test_a_missing_library_names_itself_the_minimum_the_interpreter_and_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FLOORS, "no_such_library_here", ("no-such-library", "1.2"))
    with pytest.raises(MissingLibrary) as caught:
        require("no_such_library_here")
    for part in ("no-such-library >= 1.2", sys.executable, platform.node(), "-m pip install 'no-such-library>=1.2'"):
        assert part in str(caught.value)


@pytest.mark.parametrize(("is_managed", "is_own"), [(True, True), (True, False), (False, True)])
def test_where_pip_would_refuse_another_python_is_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_managed: bool, is_own: bool
) -> None:
    """As on Debian 12; in a virtual environment made there pip works."""
    if is_managed:
        (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix if is_own else "/srv/venv")
    monkeypatch.setitem(FLOORS, "no_such_library_here", ("no-such-library", "1.2"))
    with pytest.raises(MissingLibrary) as caught:
        require("no_such_library_here")
    said = caught.value.remedy
    assert ("set ansible_python_interpreter of the host to /opt/golive/bin/python" in said) is (is_managed and is_own)
    assert "pip install 'no-such-library>=1.2'" in said


def test_where_the_newest_has_no_wheel_an_older_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)
    for bound, wanted in (((3, 0), "'pglast>=7.20'"), ((99, 0), "'pglast>=7.20,<8'")):
        monkeypatch.setitem(CEILINGS, "pglast", (bound, "8"))
        with pytest.raises(MissingLibrary) as raised:
            require("pglast")
        assert raised.value.remedy.endswith(f"-m pip install {wanted}.")


@pytest.mark.parametrize(
    ("found", "good"), [("2.9.9", False), ("2.10", True), ("2.10.0rc1", True), ("3", True), ("2.9", False)]
)
def test_an_old_library_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, found: str, good: bool) -> None:
    library = types.ModuleType("a_library_of_this_test")
    library.__version__ = found  # type: ignore[attr-defined]  # what a real library sets
    monkeypatch.setitem(sys.modules, library.__name__, library)
    monkeypatch.setitem(FLOORS, library.__name__, ("a-library", "2.10"))
    if good:
        assert require(library.__name__) is library
        return
    with pytest.raises(MissingLibrary, match=rf"a-library is {found} .* but 2\.10 is needed"):
        require(library.__name__)


def test_a_version_that_is_no_text_is_asked_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    library = types.ModuleType("a_library_of_this_test")
    library.__version__ = types.ModuleType("__version__")  # type: ignore[attr-defined]  # as detect_secrets has it
    monkeypatch.setitem(sys.modules, library.__name__, library)
    monkeypatch.setitem(FLOORS, library.__name__, ("pytest", "1.0"))
    assert require(library.__name__) is library
    monkeypatch.setitem(FLOORS, library.__name__, ("pytest", "999.0"))
    with pytest.raises(MissingLibrary, match=r"pytest is \d+\.\S+ for .* but 999\.0 is needed"):
        require(library.__name__)


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_every_library_of_the_list_can_be_had(name: str) -> None:
    assert require(name).__name__ == name


def test_an_error_is_its_sentence_and_its_way_out() -> None:
    error = GoliveError("It broke.", remedy="Mend it.", known={"done": 1})
    assert str(error) == "It broke. Mend it."
    assert error.known == {"done": 1}
    assert str(GoliveError("It broke.")) == "It broke."
    assert issubclass(TimedOut, Unreachable)
    failed = CommandFailed("psql ended with code 2: x.", returncode=2, stderr="x")
    assert failed.known == {"returncode": 2, "stderr": "x"}
