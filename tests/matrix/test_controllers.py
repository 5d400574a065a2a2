# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests on every supported pair of ansible-core and the controller's Python."""

from __future__ import annotations

import re

import pytest

from tests.matrix.environments import ROOT, environment_of, run_there

PAIRS = [("2.18", "python3.11"), ("2.19", "python3.11"), ("2.20", "python3.12"), ("2.21", "python3.13")]


@pytest.mark.parametrize(("core", "python"), PAIRS)
def test_unit_tests_pass_on(core: str, python: str) -> None:
    program = environment_of(core, python)
    said = run_there(program, "-m", "pytest", "-q", "-n", "2", "tests/unit", paths=[ROOT, ROOT / "build"])
    assert re.search(r"\d+ passed", said), said[-2000:]
    version = run_there(program, "-c", "import ansible.release; print(ansible.release.__version__)", paths=[])
    assert version.startswith(f"{core}.")
