# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent for a checklist imports the checks of its items, each once, and has a name of its own for them."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.plugin_utils.sent_module import sent_module, source_with


@dataclasses.dataclass
class Loader:
    """The part of Ansible's module loader that is used."""

    folders: list[str] = dataclasses.field(default_factory=list)

    def add_directory(self, folder: str) -> None:
        self.folders.append(folder)


@given(st.lists(st.sampled_from(registry.names()), min_size=1))
def test_it_imports_the_checks_that_were_asked_for(checks: list[str]) -> None:
    packed = ast.parse(source_with(checks)).body[-1]
    assert isinstance(packed, ast.FunctionDef)
    assert [alias.name for line in packed.body if isinstance(line, ast.ImportFrom) for alias in line.names] == sorted(
        set(checks)
    )


def test_other_checks_make_another_module_and_the_same_make_the_same() -> None:
    loader = Loader()
    once = sent_module(["check_tls", "check_http"], loader)
    again = sent_module(["check_http", "check_tls", "check_http"], loader)
    other = sent_module(["check_http"], loader)
    assert once == again != other
    assert (Path(loader.folders[0]) / f"{once.removeprefix('ansible.legacy.')}.py").read_bytes() == source_with(
        ["check_http", "check_tls"]
    )
