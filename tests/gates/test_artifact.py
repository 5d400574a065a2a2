# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact: built, imported as Galaxy would, installed into an empty path, and used from there."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.gates.conftest import Gate

pytestmark = pytest.mark.gate


@pytest.fixture(scope="module")
def artifact(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("artifact")
    gate("ansible-galaxy", "collection", "build", "--force", "--output-path", str(place))
    built = list(place.glob("opsready-golive-*.tar.gz"))
    assert len(built) == 1
    return built[0]


def test_the_artifact_holds_what_users_need_and_nothing_else(artifact: Path) -> None:
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    tops = {name.partition("/")[0] for name in names}
    assert {"plugins", "roles", "playbooks", "meta", "README.md", "LICENSE"} <= tops
    assert not tops & {"tests", "molecule", "build", "requirements", ".ci", "Makefile", ".git"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_galaxy_imports_it_without_error_or_warning(artifact: Path, gate: Gate, tmp_path: Path) -> None:
    settings = tmp_path / "galaxy-importer.cfg"
    settings.write_text(
        "[galaxy-importer]\nLOG_LEVEL_MAIN = INFO\nRUN_ANSIBLE_DOC = True\nCHECK_REQUIRED_TAGS = True\n"
    )
    said = gate(
        *("python", "-m", "galaxy_importer.main", str(artifact)),
        cwd=tmp_path,
        environment={"GALAXY_IMPORTER_CONFIG": str(settings)},
    )
    complaints = [line for line in said.splitlines() if re.match(r"(WARNING|ERROR)", line)]
    assert not complaints, "\n".join(complaints)
    assert "Importer processing completed successfully" in said


@pytest.fixture(scope="module")
def installed(artifact: Path, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("installed")
    # Where a path already has the collection, ansible-galaxy leaves it at that.
    gate(
        *("ansible-galaxy", "collection", "install", "--offline", str(artifact), "--collections-path", str(place)),
        environment={"ANSIBLE_COLLECTIONS_PATH": str(place)},
    )
    return place


def test_every_module_is_documented_where_it_is_installed(installed: Path, gate: Gate, tmp_path: Path) -> None:
    modules = sorted(path.stem for path in installed.rglob("plugins/modules/*.py"))
    assert modules
    said = gate(
        *("ansible-doc", "--json", *(f"opsready.golive.{name}" for name in modules)),
        cwd=tmp_path,
        environment={"ANSIBLE_COLLECTIONS_PATH": str(installed)},
    )
    documented = json.loads(said[said.index("{") :])
    assert sorted(documented) == [f"opsready.golive.{name}" for name in modules]


def test_every_playbook_runs_from_where_it_is_installed(installed: Path, gate: Gate, tmp_path: Path) -> None:
    playbooks = sorted(path.stem for path in installed.glob("ansible_collections/opsready/golive/playbooks/*.yml"))
    assert "golive" in playbooks
    for name in playbooks:
        gate(
            *("ansible-playbook", f"opsready.golive.{name}", "--syntax-check"),
            cwd=tmp_path,
            environment={"ANSIBLE_COLLECTIONS_PATH": str(installed)},
        )


def test_golive_without_a_system_file_says_what_is_missing(
    installed: Path, gate_environment: dict[str, str], tmp_path: Path
) -> None:
    ended = subprocess.run(
        ["ansible-playbook", "opsready.golive.golive", "-e", "ansible_python_interpreter={{ansible_playbook_python}}"],
        cwd=tmp_path,
        env={**gate_environment, "ANSIBLE_COLLECTIONS_PATH": str(installed)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "golive_system" in ended.stdout
    assert "changed=0" in ended.stdout
