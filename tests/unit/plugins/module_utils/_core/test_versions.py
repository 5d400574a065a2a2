# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions are compared number by number, and a text that is none is never at least anything."""

from __future__ import annotations

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.versions import (
    is_at_least,
    numbers,
    require_version,
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("6.1.0-18-amd64", (6, 1, 0)),
        ("2.10.1.dev3", (2, 10, 1)),
        ("1.34.0b1", (1, 34, 0)),
        ("v8", (8,)),
        ("18.1 (Debian 18.1-1)", (18, 1)),
        ("latest", ()),
        ("", ()),
    ],
)
def test_the_numbers_are_those_it_begins_with(text: str, read: tuple[int, ...]) -> None:
    assert numbers(text) == read


@pytest.mark.parametrize(
    ("version", "lowest", "truth"),
    [
        ("10.0", "9.9", True),
        ("9.9", "10.0", False),
        ("7", "7.0.0", True),
        ("7.0.0", "7", True),
        ("7.0.1", "7.0.2", False),
        ("7.1", "7.0.9", True),
        ("7", "latest", None),
        ("unknown", "7", None),
    ],
)
def test_versions_are_compared_as_numbers(version: str, lowest: str, truth: bool | None) -> None:
    assert is_at_least(version, lowest) is truth


def test_a_bound_that_is_no_version_is_refused_by_its_option() -> None:
    require_version(None, option="min_version")
    require_version("7.2", option="min_version")
    with pytest.raises(BadInput, match="min_version is 'latest'"):
        require_version("latest", option="min_version")
