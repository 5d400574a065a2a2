# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates as tests: each runs one tool over a copy of the collection, and shows what the tool said when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from filelock import FileLock

from tests.gates.copy_collection import copy

ROOT = Path(__file__).resolve().parent.parent.parent
GATE = ROOT / "build" / "gate"
GATE_SECONDS = 1200.0


class Gate(t.Protocol):
    def __call__(
        self, *command: str, cwd: Path | None = None, environment: t.Mapping[str, str] | None = None
    ) -> str: ...


@pytest.fixture(scope="session")
def collection_copy() -> Path:
    """The sources as a real directory below ``ansible_collections``; test processes share it."""
    GATE.mkdir(parents=True, exist_ok=True)
    with FileLock(GATE / ".copy.lock"):
        return copy(GATE)


@pytest.fixture(scope="session")
def gate_environment() -> dict[str, str]:
    """An environment with a home of its own, so that nobody's settings or caches decide."""
    home = GATE / "home"
    home.mkdir(parents=True, exist_ok=True)
    dropped = ("ANSIBLE_", "COVERAGE_", "COV_CORE_", "PYTEST_", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {
        **kept,
        "HOME": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(GATE),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }


@pytest.fixture(scope="session")
def gate(collection_copy: Path, gate_environment: dict[str, str]) -> Gate:
    """Run a tool in the copy; its output, or a failure that shows it."""

    def run(*command: str, cwd: Path | None = None, environment: t.Mapping[str, str] | None = None) -> str:
        ended = subprocess.run(
            command,
            cwd=cwd or collection_copy,
            env={**gate_environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=GATE_SECONDS,
            check=False,
        )
        said = ended.stdout.decode(errors="replace")
        if ended.returncode:
            pytest.fail(f"{' '.join(command)} ended with {ended.returncode}:\n{said[-20000:]}", pytrace=False)
        return said

    return run
