# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ansible-test sanity``, with no ignore file, in environments that ansible-test makes itself."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from tests.gates.conftest import GATE, Gate
from tests.gates.copy_collection import copy

pytestmark = pytest.mark.gate

# ansible-test fetches get-pip.py from a host of its own, and takes a cached one if there is any. This one installs the
# wanted pip by the pip of our environment, from the package index that pip is configured for.
GET_PIP = """\
import sys
sys.path.append({site!r})
from pip._internal.cli.main import main
sys.exit(main(["install", "--quiet", "--disable-pip-version-check", "pip=={version}"]))
"""


def _offer_pip(home: Path) -> None:
    package = importlib.util.find_spec("ansible_test")
    assert package is not None and package.origin is not None
    source = Path(package.origin).with_name("_internal") / "python_requirements.py"
    versions = set(re.findall(r"pip='([0-9.]+)'", source.read_text()))
    assert versions, f"{source} no longer says which pip it wants"
    pip = importlib.util.find_spec("pip")
    assert pip is not None and pip.origin is not None
    for version in versions:
        cached = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(GET_PIP.format(site=str(Path(pip.origin).parent.parent), version=version))


@pytest.fixture(params=["shipped", pytest.param("tests too", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest) -> Path:
    """A copy for ansible-test alone, which keeps its environments in it: other tools would read them as sources.

    What the archive of the collection holds; its tests, which it does not, are half of all sources.
    """
    return copy(GATE / "sanity", without=("tests",) if request.param == "shipped" else ())


def test_ansible_test_sanity_finds_nothing(gate: Gate, place: Path) -> None:
    _offer_pip(GATE / "home")
    assert not list((place / "tests" / "sanity").glob("ignore*"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ("ansible-test", "sanity", "--venv", "--python", version, "--color", "no", "--truncate", "0")
    said = gate(*command, cwd=place)
    assert "Running sanity test" in said
    assert "All targets skipped" not in said
    skipped = [line for line in said.splitlines() if "Skipping" in line and os.environ.get("GOLIVE_NO_SKIP") == "1"]
    assert not skipped, skipped
