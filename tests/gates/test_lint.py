# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linters and types."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.gates.conftest import GATE, Gate
from tests.parts import need_part

pytestmark = pytest.mark.gate


def test_ruff_finds_nothing(gate: Gate) -> None:
    gate("ruff", "check", "--no-cache", ".")


def test_every_python_file_is_formatted(gate: Gate) -> None:
    gate("ruff", "format", "--no-cache", "--check", ".")


def test_types_hold_under_strict_mypy(gate: Gate, collection_copy: Path) -> None:
    typed = [str(collection_copy / "plugins" / name) for name in ("module_utils", "plugin_utils")]
    settings = str(collection_copy / "pyproject.toml")
    # mypy finds the collection by its namespace only from above ansible_collections.
    gate("mypy", "--config-file", settings, "--cache-dir", str(GATE / "mypy"), *typed, cwd=GATE)


def test_yaml_is_clean(gate: Gate) -> None:
    gate("yamllint", "--strict", ".")


def test_ansible_lint_passes_its_production_profile(gate: Gate) -> None:
    gate("ansible-lint", "--offline", "--nocolor")


def test_documentation_renders(gate: Gate) -> None:
    gate(
        "antsibull-docs",
        "lint-collection-docs",
        "--plugin-docs",
        "--skip-rstcheck",
        "--validate-collection-refs=all",
        ".",
    )


def test_changelog_fragments_are_valid(gate: Gate) -> None:
    gate("antsibull-changelog", "lint")


def test_shell_scripts_are_clean(gate: Gate, collection_copy: Path) -> None:
    need_part("shellcheck", shutil.which("shellcheck"), "apt-get install shellcheck")
    candidates = (path for path in collection_copy.rglob("*") if path.is_file() and ".git" not in path.parts)
    scripts = [
        str(path)
        for path in candidates
        if path.suffix == ".sh"
        or path.open("rb").readline().rstrip() in (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")
    ]
    assert scripts
    gate("shellcheck", *scripts)
