# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a user has it: built, installed into an empty path, and a release run from there, far from the sources.

What Galaxy says of the artefact, and ``ansible-doc`` of its modules, is asked in tests/gates/test_artifact.py.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.gates.copy_collection import copy, sources
from tests.leaks import assert_no_leak

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(sys.executable).parent
COMMAND_SECONDS = 600.0
#: Only in the artefact.
ADDED_BY_GALAXY = {"MANIFEST.json", "FILES.json"}


class Outside:
    """A directory with the installed collection, the examples that came with it, and nothing of the sources."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.artefact = self._built()
        self.collections = directory / "collections"
        self.run(
            "ansible-galaxy", "collection", "install", "--offline", str(self.artefact), "-p", str(self.collections)
        )
        self.installed = self.collections / "ansible_collections" / "opsready" / "golive"
        self.example = directory / "ablage"
        for name in ("ablage", "embedded"):
            shutil.copytree(self.installed / "examples" / name, directory / name)
        self.stack = directory / "stack"

    def _built(self) -> Path:
        place = copy(self.directory / "sources")
        self.run("ansible-galaxy", "collection", "build", "--output-path", str(self.directory), cwd=place)
        shutil.rmtree(self.directory / "sources")
        (built,) = self.directory.glob("opsready-golive-*.tar.gz")
        return built

    def environment(self) -> dict[str, str]:
        dropped = ("ANSIBLE_", "PYTHONPATH", "GOLIVE_", "COVERAGE_", "COV_CORE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        home = self.directory / "home"
        home.mkdir(exist_ok=True, mode=0o700)
        return {
            **kept,
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)]),
            "ANSIBLE_HOME": str(home / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.directory / "collections"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
        }

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """What a program said, which has to end well."""
        ended = subprocess.run(
            command,
            cwd=cwd or self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        said = ended.stdout.decode(errors="replace")
        assert ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}:\n{said[-8000:]}"
        return said

    def stack_command(self, command: str, *options: str) -> str:
        return self.run(
            sys.executable, str(self.example / "stack.py"), command, "--dir", str(self.stack), *options
        )  # fmt: skip

    def playbook(self, name: str, *options: str) -> str:
        """A playbook of the collection by its name, over the example's own inventory and files."""
        files = [
            self.stack / "facts.yml", self.stack / "secrets.yml", self.example / "system.yml", self.example / "checklist.yml",
            self.stack / "ready" / "2.0.0" / "ready.yml",
        ]  # fmt: skip
        said = self.run(
            *("ansible-playbook", "-i", str(self.example / "inventory.yml"), f"opsready.golive.{name}", "-vvvv"),
            *(f"-e@{path}" for path in files),
            *options,
        )
        secrets = yaml.safe_load((self.stack / "secrets.yml").read_text())
        # The id of an access key is no secret: a written way back names it.
        kept_back = [value for key, value in secrets.items() if not key.endswith("_access_key")]
        assert_no_leak(kept_back, said, f"the output of {name}")
        return said

    def served_version(self) -> str:
        return str(json.loads(self.stack_command("status"))["health"]["body"]["version"])


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return Outside(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def up(outside: Outside) -> t.Iterator[Outside]:
    """With the reference system running in version 1."""
    try:
        outside.stack_command("up", "--rows", "5000")
        outside.run(sys.executable, str(outside.example / "ready.py"), "2.0.0", "--dir", str(outside.stack))
        yield outside
    finally:
        outside.stack_command("down", "--purge")


def test_the_artefact_is_the_sources_without_what_build_ignore_names(outside: Outside) -> None:
    with tarfile.open(outside.artefact) as archive:
        packed = {member.name for member in archive if member.isfile()} - ADDED_BY_GALAXY
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]

    def is_ignored(name: Path) -> bool:
        parts = [name, *name.parents]
        return any(fnmatch.fnmatch(str(part), pattern) for part in parts for pattern in ignored)

    expected = {str(name) for name in sources(ROOT) if not is_ignored(name)} - {"galaxy.yml"}
    assert packed == expected


def test_no_file_of_the_artefact_names_the_place_it_was_built_in(outside: Outside) -> None:
    places = [str(ROOT).encode(), str(outside.directory).encode()]
    found = [
        str(path)
        for path in outside.installed.rglob("*")
        if path.is_file() and any(place in path.read_bytes() for place in places)
    ]
    assert not found


def test_every_role_is_documented_where_it_is_installed(outside: Outside) -> None:
    roles = sorted(path.name for path in (outside.installed / "roles").iterdir())
    said = outside.run("ansible-doc", "--type", "role", "--json", *(f"opsready.golive.{role}" for role in roles))
    documented = json.loads(said[said.index("{") :])
    assert sorted(documented) == [f"opsready.golive.{role}" for role in roles]
    assert not [name for name, role in documented.items() if "main" not in role["entry_points"]]


def test_check_mode_gives_the_verdict_from_there_and_a_release_goes_live(up: Outside) -> None:
    state = up.directory / "state" / "ablage"
    said = up.playbook("golive", "--check")
    assert re.search(r"^(GO|GO WITH WARNINGS|GO if)\b", said, re.MULTILINE), said[-4000:]
    assert not list(state.rglob("journal.jsonl"))
    assert up.served_version() == "1.0.0"

    said = up.playbook("golive")
    assert set(re.findall(r"^Loading collection opsready\.golive from (.+)$", said, re.MULTILINE)) == {
        str(up.installed)
    }
    used = re.findall(r"^Using module file (.+)$", said, re.MULTILINE)
    assert any(path.endswith("/golive_release.py") for path in used), "made of the collection's files in this very run"
    assert not [path for path in used if "/opsready/golive/" in path and not path.startswith(str(up.installed))]
    (journal,) = state.rglob("journal.jsonl")
    last = json.loads(journal.read_text().splitlines()[-1])
    assert (last["event"], last["outcome"]) == ("ended", "live")
    assert up.served_version() == "2.0.0"
    assert json.loads((up.directory / "report" / "report.json").read_text())["outcome"] == "live"

    assert "ended: live" in up.playbook("status")
