# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent carries all that it imports, for a checklist the checks of its items, and nothing else of ours."""

from __future__ import annotations

import ast
import dataclasses
import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core import carried
from ansible_collections.opsready.golive.plugins.plugin_utils.sent_module import needed_by, sent_module, source_of

PLUGINS = Path(carried.__file__).parent.parent.parent
PACKAGE = "ansible_collections.opsready.golive.plugins."
ROUTED = yaml.safe_load((PLUGINS.parent / "meta" / "runtime.yml").read_text())["plugin_routing"]["modules"]
ACTING = [name for name, route in ROUTED.items() if route.get("action_plugin") == "opsready.golive.acting"]


@dataclasses.dataclass
class Loader:
    """The part of Ansible's module loader that is used."""

    folders: list[str] = dataclasses.field(default_factory=list)

    def add_directory(self, folder: str) -> None:
        self.folders.append(folder)


def file_of(module: str) -> Path:
    return PLUGINS.joinpath(*module.split(".")).with_suffix(".py")


def imports_of(module: str) -> t.Iterator[str]:
    """As Python's own parser sees them, inside of functions too."""
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            source = t.cast(str, node.module)[len(PACKAGE) :]
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if file_of(inner).exists() else source
        assert not isinstance(node, ast.Import) or not any(alias.name.startswith(PACKAGE) for alias in node.names)


def all_that_is_imported(modules: set[str]) -> set[str]:
    needed = set(modules)
    while more := {inner for module in needed for inner in imports_of(module) if file_of(inner).exists()} - needed:
        needed |= more
    return needed


@pytest.mark.parametrize("check", registry.names())
def test_all_that_a_check_imports_is_carried_and_nothing_else(check: str) -> None:
    roots = {"modules.checklist", f"module_utils._checks.{check}"}
    needed = all_that_is_imported(roots)
    assert needed_by(roots) == needed
    others = {f"module_utils._checks.{name}" for name in registry.names()} - {f"module_utils._checks.{check}"}
    assert not others & needed, "a check that nobody asked for is sent"


def answered_there(source: bytes, arguments: dict[str, t.Any], folder: Path) -> dict[str, t.Any]:
    """What the module answers where nothing of ours is installed."""
    (folder / "sent.py").write_bytes(source)
    (folder / "arguments.json").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    command = [sys.executable, "-I", str(folder / "sent.py"), str(folder / "arguments.json")]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    answer: dict[str, t.Any] = json.loads(ended.stdout)
    return answer


@pytest.mark.parametrize("name", ACTING)
def test_all_that_an_acting_module_imports_is_carried_and_nothing_else(name: str) -> None:
    assert needed_by([f"modules.{name}"]) == all_that_is_imported({f"modules.{name}"})


@pytest.mark.parametrize("name", ACTING)
def test_an_acting_module_runs_where_nothing_of_ours_is_installed(name: str, tmp_path: Path) -> None:
    # ansible-core 2.21 tells what it understood where that is asked for.
    asked = {"no_such_option": 1, "_ansible_inject_invocation": True}
    answer = answered_there(source_of(name), asked, tmp_path)
    understood = answer["invocation"]["module_args"]
    assert answer["failed"] and understood.keys() > {"no_such_option"}, (
        "its own defaults are not among what it was given"
    )


@pytest.mark.parametrize("check", registry.names())
def test_it_runs_where_nothing_of_ours_is_installed(check: str, tmp_path: Path) -> None:
    item = {"id": "x", "check": check, "params": {"no_such_option": 1}, "timeout": 5.0}
    answer = answered_there(source_of("checklist", [check]), {"checks": [item], "secrets": []}, tmp_path)
    found = carried_findings(answer)
    assert found[0]["status"] == "unknown" and "no_such_option" in found[0]["summary"], answer


def carried_findings(answer: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    from ansible_collections.opsready.golive.plugins.module_utils._checks.packed_findings import unpacked

    assert "findings" in answer, answer
    return unpacked(answer["findings"])


def test_a_check_that_was_not_sent_is_unknown(tmp_path: Path) -> None:
    item = {"id": "x", "check": "check_tls", "params": {}, "timeout": 5.0}
    found = carried_findings(
        answered_there(source_of("checklist", ["check_env"]), {"checks": [item], "secrets": []}, tmp_path)
    )
    assert found[0]["status"] == "unknown" and "No module named" in found[0]["summary"]


def test_other_checks_make_another_module_and_the_same_make_the_same() -> None:
    loader = Loader()
    once = sent_module("checklist", loader, checks=["check_tls", "check_http"])
    again = sent_module("checklist", loader, checks=["check_http", "check_tls", "check_http"])
    other = sent_module("checklist", loader, checks=["check_http"])
    assert once == again != other
    sent = Path(loader.folders[0]) / f"{once.removeprefix('ansible.legacy.')}.py"
    assert sent.read_bytes() == source_of("checklist", ["check_http", "check_tls"])
