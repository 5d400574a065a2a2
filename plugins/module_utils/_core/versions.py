# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions as programs print them, compared number by number: 10 is more than 9, and 7 is 7.0."""

from __future__ import annotations

import itertools
import re

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``6.1.0-18-amd64`` is (6, 1, 0). Empty where it begins with none."""
    match = re.match(r"\s*[vV]?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def is_at_least(version: str, lowest: str) -> bool | None:
    """Whether a version is not below another; None where one of them is no version."""
    found, bound = numbers(version), numbers(lowest)
    if not found or not bound:
        return None
    pairs = itertools.zip_longest(found, bound, fillvalue=0)
    return next((one > other for one, other in pairs if one != other), True)


def require_version(text: str | None, *, option: str) -> None:
    """Raise BadInput, naming the option, for a text that is no version; an option that is not given is fine."""
    if text is not None and not numbers(text):
        raise BadInput(f"{option} is {text!r}, expected a version such as 5.10.")
