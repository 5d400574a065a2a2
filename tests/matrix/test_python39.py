# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on hosts runs on Python 3.9: it compiles, imports, passes its unit tests, and does a real task."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix.environments import ROOT, environment_of, run_there
from tests.servers import Answer, HttpServer

PYTHON = "python3.9"
COLLECTION = "ansible_collections.opsready.golive"


@pytest.fixture(scope="module")
def program() -> Path:
    return environment_of("none", PYTHON)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Import paths as a host has them: of ansible only module_utils, and the collection."""
    package = importlib.util.find_spec("ansible")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent
    place = tmp_path_factory.mktemp("host")
    (place / "ansible").mkdir()
    # AnsiballZ ships such a package; the controller's own imports more than a host has.
    (place / "ansible" / "__init__.py").write_text(f"__version__ = {importlib.metadata.version('ansible-core')!r}\n")
    shutil.copytree(source / "module_utils", place / "ansible" / "module_utils")
    return [place, ROOT, ROOT / "build"]


def _sources() -> list[Path]:
    return sorted(path for name in ("module_utils", "modules") for path in (ROOT / "plugins" / name).rglob("*.py"))


def test_every_file_compiles(program: Path, paths: list[Path]) -> None:
    check = "import sys; [compile(open(p, encoding='utf-8').read(), p, 'exec') for p in sys.argv[1:]]"
    run_there(program, "-c", check, *map(str, _sources()), paths=paths)


def test_every_module_and_module_util_is_imported(program: Path, paths: list[Path]) -> None:
    relative = (path.relative_to(ROOT).with_suffix("") for path in _sources() if path.name != "__init__.py")
    names = [".".join((COLLECTION, *path.parts)) for path in relative]
    run_there(
        program, "-c", "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]", *names, paths=paths
    )


def test_unit_tests_of_modules_pass(program: Path, paths: list[Path]) -> None:
    tests = [
        f"tests/unit/plugins/{name}"
        for name in ("module_utils", "modules")
        if (ROOT / "tests/unit/plugins" / name).is_dir()
    ]
    said = run_there(program, "-m", "pytest", "-q", "-n", "2", *tests, paths=paths)
    assert " passed" in said


def test_a_real_task_runs(program: Path, http_server: HttpServer, tmp_path: Path) -> None:
    http_server.route("/health", Answer(200, "ok"))
    arguments = {"url": f"{http_server.url}/health"}
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "ansible.cli.adhoc", "localhost", "-c", "local", "-i", "localhost,"),
            *("-m", "opsready.golive.check_http", "-a", json.dumps(arguments)),
            *("-e", json.dumps({"ansible_python_interpreter": str(program)})),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=_controller_environment(tmp_path),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SUCCESS" in ended.stdout


def _controller_environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build"),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "0",
    }
