# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check is registered, offers the same six things, and is imported only when an item asks for it."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import STANDALONE, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

CHECKS = Path(registry.__file__ or "").parent


def test_every_check_file_is_registered_and_has_its_module() -> None:
    files = sorted(path.stem for path in CHECKS.glob("check_*.py"))
    modules = sorted(path.stem for path in (CHECKS.parent.parent / "modules").glob("check_*.py"))
    assert registry.names() == files == modules


@pytest.mark.parametrize("name", registry.names())
def test_a_check_offers_what_the_registry_promises(name: str) -> None:
    check = registry.load(name)
    assert name == check.NAME
    compose(check.ARGUMENT_SPEC, STANDALONE)
    assert isinstance(check.CONSTRAINTS, dict)
    for part in (check.gather, check.judge, check.evidence):
        assert callable(part)
    json.dumps(check.ARGUMENT_SPEC, default=str)


@pytest.mark.parametrize("name", registry.names())
def test_no_option_or_choice_reads_as_a_boolean(name: str) -> None:
    booleans = {"on", "off", "yes", "no", "true", "false", "y", "n"}

    def walk(spec: dict[str, dict[str, object]]) -> None:
        for option, definition in spec.items():
            assert option.lower() not in booleans, option
            for choice in definition.get("choices") or []:  # type: ignore[attr-defined]  # a spec is only data
                assert str(choice).lower() not in booleans, (option, choice)
            walk(definition.get("options") or {})  # type: ignore[arg-type]  # likewise

    walk(registry.load(name).ARGUMENT_SPEC)


@pytest.mark.parametrize("name", registry.names())
def test_every_check_module_hands_over_to_the_same_main(name: str) -> None:
    module = importlib.import_module(f"ansible_collections.opsready.golive.plugins.modules.{name}")
    source = ast.parse(Path(module.__file__ or "").read_text())
    main = next(node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert ast.unparse(main.body[-1]) == f"main_of({name})"
    assert getattr(module, name) is registry.load(name)


def test_an_unknown_check_names_those_there_are() -> None:
    with pytest.raises(
        BadInput, match=rf"There is no check 'check_everything'; there are {', '.join(registry.names())}\."
    ):
        registry.load("check_everything")


def test_loading_the_registry_imports_no_check_and_no_library() -> None:
    look = """
import sys
from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
registry.names()
print([name for name in sys.modules if "._checks.check_" in name or name in ("psycopg", "redis", "boto3", "cryptography")])
registry.load("check_host")
print([name.rpartition(".")[2] for name in sys.modules if "._checks.check_" in name])
"""
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["[]", "['check_host']"]
