# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every molecule scenario of the roles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gates.conftest import GATE, ROOT, Gate

pytestmark = pytest.mark.gate

SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
PROMISED = {"default", "checklist", "backup", "maintenance", "workers"}


def test_the_promised_scenarios_exist() -> None:
    assert set(SCENARIOS) >= PROMISED


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, gate: Gate, collection_copy: Path, tmp_path: Path) -> None:
    gate(
        *("molecule", "test", "--scenario-name", scenario),
        cwd=collection_copy,
        environment={"GOLIVE_COLLECTIONS": str(GATE), "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / scenario)},
    )
