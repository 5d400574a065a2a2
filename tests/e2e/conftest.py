# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole demos, each shown once per session, from an installed copy of the collection."""

from __future__ import annotations

import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

from tests.e2e.demos import EXAMPLE, Shown, install_collection, show

# the example is a program and no installed package; the tests use its eyes
sys.path[:0] = [str(EXAMPLE), str(EXAMPLE.parent)]

Demo = t.Callable[[str], Shown]
#: How each demo is called, and below which folder it leaves its artefacts.
CALLS = {
    "release": (["release"], ""),
    "bad-release a": (["bad-release", "a"], "a"),
    "bad-release b": (["bad-release", "b"], "b"),
    "bad-release c": (["bad-release", "c"], "c"),
    "no-go": (["no-go"], ""),
    "killed": (["killed"], ""),
    "killed with a restore": (["killed", "--to", "2.0.2"], ""),
}


#: Shown by `make test-all` only: each takes minutes.
LONG = ("bad-release a", "bad-release b", "bad-release c", "killed with a restore")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "e2e: a whole demo, or a playbook on the whole reference system")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker("e2e")
            shown = getattr(item, "callspec", None)
            if shown is not None and shown.params.get("name") in LONG:
                item.add_marker("long")


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, built and installed outside the work tree."""
    return install_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="session")
def reachable_folder() -> t.Iterator[t.Callable[[str], Path]]:
    """Folders that another user may pass through: where we are root, PostgreSQL runs as somebody else.

    Not pytest's own: each session that starts closes their common parent to others, under a stack that runs.
    """
    with tempfile.TemporaryDirectory(prefix="golive-e2e-") as root:
        Path(root).chmod(0o711)

        def make(name: str) -> Path:
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
            folder.chmod(0o711)
            return folder

        yield make


@pytest.fixture(scope="session")
def demo(collections: Path, reachable_folder: t.Callable[[str], Path]) -> Demo:
    """Show a demo, or tell how it went when it was shown already."""
    shown: dict[str, Shown] = {}

    def find(name: str) -> Shown:
        if name not in shown:
            words, below = CALLS[name]
            shown[name] = show(words, reachable_folder("demo"), collections=collections, below=below)
        return shown[name]

    return find
