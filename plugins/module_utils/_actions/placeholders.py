# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``${name}`` in the strings of a step, filled when the step is sent. ``$${`` is a literal ``${``."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

_PLACE = re.compile(r"\$(?P<literal>\$\{)|\$\{(?P<name>[^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def names_in(value: t.Any) -> t.Iterator[str]:
    """Every name that a value needs. Raises BadInput for a placeholder that is none."""
    if isinstance(value, str):
        for match in _PLACE.finditer(value):
            if match["literal"]:
                continue
            if not _NAME.fullmatch(match["name"]):
                raise BadInput(f"${{{match['name']}}} is no placeholder: a name has letters, digits and _.")
            yield match["name"]
    elif isinstance(value, t.Mapping):
        for key, item in value.items():
            yield from names_in(key)
            yield from names_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from names_in(item)


def filled(value: t.Any, values: t.Mapping[str, t.Any], *, quoted: t.Container[str] = ()) -> t.Any:
    """The value with every placeholder filled. One that is the whole string keeps its type; ``quoted`` names are URL-quoted.

    Raises BadInput for a name without a value.
    """
    if isinstance(value, str):
        whole = _PLACE.fullmatch(value)
        if whole and whole["name"] is not None:
            return _value_of(whole["name"], values)

        def fill(match: re.Match[str]) -> str:
            if match["literal"]:
                return "${"
            found = str(_value_of(match["name"], values))
            return quote(found, safe="") if match["name"] in quoted else found

        return _PLACE.sub(fill, value)
    if isinstance(value, t.Mapping):
        return {filled(key, values, quoted=quoted): filled(item, values, quoted=quoted) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [filled(item, values, quoted=quoted) for item in value]
    return value


def _value_of(name: str, values: t.Mapping[str, t.Any]) -> t.Any:
    if name not in values:
        raise BadInput(f"${{{name}}} has no value.")
    return values[name]
