# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments of other Pythons and ansible-cores, made on demand and kept in build/."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gates.make_venv import find_interpreter
from tests.parts import need_part

ROOT = Path(__file__).resolve().parent.parent.parent


def environment_of(core: str, python: str) -> Path:
    """The Python program of that pair's environment with the unit tests' requirements; skips where Python is absent."""
    need_part(python, find_interpreter(python), "no such Python is installed")
    directory = ROOT / "build" / ("venv-module-" + python if core == "none" else f"venv-{core}-{python}")
    made = subprocess.run(
        [
            *(sys.executable, str(ROOT / "tests" / "gates" / "make_venv.py"), "--python", python, "--core", core),
            *("--directory", str(directory), "units"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.fail(made.stdout + made.stderr, pytrace=False)
    return directory / "bin" / "python"


def run_there(program: Path, *arguments: str, paths: list[Path], cwd: Path = ROOT) -> str:
    """Run a Python with these import paths; its output, or a failure that shows it."""
    # A test of what an older ansible-core does not have is skipped there, wherever the parts are.
    dropped = ("ANSIBLE_", "COVERAGE_", "COV_CORE_", "GOLIVE_NO_SKIP", "PYTEST_", "PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    search = os.pathsep.join([str(program.parent), kept.get("PATH", os.defpath)])
    ended = subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env={**kept, "PATH": search, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = ended.stdout.decode(errors="replace")
    if ended.returncode:
        pytest.fail(f"{' '.join(arguments)} ended with {ended.returncode}:\n{said[-12000:]}", pytrace=False)
    return said
