# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule may want of a variable, and what was found out about it, without a value that may be secret."""

from __future__ import annotations

import dataclasses

from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec

KINDS = (
    "literal",
    "one_of",
    "secret",
    "fernet",
    "url",
    "dsn",
    "email",
    "origins",
    "number",
    "boolean",
    "matches",
    "any_of",
    "present",
    "absent",
)
RULE: Spec = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "default": "present"},
    "value": {"type": "str"},
    "allowed": {"type": "list", "elements": "str"},
    "pattern": {"type": "str"},
    "unit": {"type": "str", "choices": ["size", "duration"]},
    "min": {"type": "str"},
    "max": {"type": "str"},
    "min_length": {"type": "int", "default": 32},
    "min_strength_bits": {"type": "int", "default": 64},
    "fingerprint": {"type": "str"},
    "schemes": {"type": "list", "elements": "str"},
    "allow_private": {"type": "bool", "default": False},
    "groups": {"type": "list", "elements": "list"},
    "optional": {"type": "str"},
    "level": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
}
#: What each kind needs beside its name.
REQUIRED_IF: list[list[object]] = [
    ["kind", "literal", ["value"]],
    ["kind", "one_of", ["allowed"]],
    ["kind", "matches", ["pattern"]],
    ["kind", "any_of", ["groups"]],
]
SECRET_KINDS = ("secret", "fernet")
#: What to do about a value that cannot be seen.
ELSEWHERE = "Judge the running process as well, which has the value that is in force."


@dataclasses.dataclass(frozen=True)
class Looked:
    """What was found out about one rule's variable. ``shown`` is only set where the value may be seen."""

    name: str
    is_set: bool = False
    is_empty: bool = False
    source: str = ""
    length: int = 0
    shown: str | None = None
    number: float | None = None
    #: None where the value is as the rule wants it, else what is wrong, without the value.
    wrong: str | None = None
    #: What could not be found out.
    unclear: str | None = None
    strength_bits: int | None = None
    is_placeholder: bool = False
    equals_example: bool = False
    fingerprint: str = ""
    #: Where the variable has more than one value: in which kinds of places, the file first.
    differs: tuple[str, ...] = ()
    #: Processes or containers differ among themselves, in their values or in having one: which of the two.
    divides: str = ""
    #: A container was made without what the file has.
    only_in_file: bool = False
    complete_groups: tuple[str, ...] = ()
    half_groups: tuple[str, ...] = ()
