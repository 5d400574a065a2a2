# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find values in a JSON document: the part of RFC 9535 that a health check needs.

``$.a.b``, ``$["a.b"]``, ``$.list[0]``, ``$.list[-1]``, ``$.list[*].state``, ``$.map.*``; the leading ``$`` may be left out.
No filters, no recursive descent, no slices: a path that needs those is refused, and never silently finds nothing.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput


class _Every:
    """The step ``[*]``."""

    def __repr__(self) -> str:
        return "EVERY"


EVERY: t.Final = _Every()
#: A key of an object, an index of an array (negative from the end), or EVERY.
Step = t.Union[str, int, _Every]

_NAME = re.compile(r"[^\W\d][\w-]*")
_INDEX = re.compile(r"\[\s*(-?\d{1,9})\s*\]")
_STAR = re.compile(r"\[\s*\*\s*\]")
_DOUBLE = re.compile(r'\[\s*("(?:[^"\\\x00-\x1f]|\\.)*")\s*\]')
_SINGLE = re.compile(r"\[\s*'((?:[^'\\\x00-\x1f]|\\['\\])*)'\s*\]")


def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises BadInput with the place where it cannot be read."""
    steps: list[Step] = []
    position = 1 if path.startswith("$") else 0
    if position == 0 and path and path[0] not in ".[":
        path = "." + path
    while position < len(path):
        step, position = _step_at(path, position)
        steps.append(step)
    return tuple(steps)


def _step_at(path: str, position: int) -> tuple[Step, int]:
    if path[position] == ".":
        if path.startswith(".*", position):
            return EVERY, position + 2
        name = _NAME.match(path, position + 1)
        if name:
            return name[0], name.end()
    else:
        index = _INDEX.match(path, position)
        if index:
            return int(index[1]), index.end()
        star = _STAR.match(path, position)
        if star:
            return EVERY, star.end()
        double = _DOUBLE.match(path, position)
        if double:
            try:
                return str(json.loads(double[1])), double.end()
            except ValueError:
                raise _cannot_read(path, position)
        single = _SINGLE.match(path, position)
        if single:
            return re.sub(r"\\(.)", r"\1", single[1]), single.end()
    raise _cannot_read(path, position)


def _cannot_read(path: str, position: int) -> BadInput:
    return BadInput(
        f"The JSON path {path!r} cannot be read at {path[position:]!r}.",
        remedy='Use $.name, $["any key"], $.list[0], $.list[*] and their combinations.',
    )


def written(steps: t.Sequence[Step]) -> str:
    """The path of these steps, such that parse() gives them back."""
    text = "$"
    for step in steps:
        if isinstance(step, _Every):
            text += "[*]"
        elif isinstance(step, int):
            text += f"[{step}]"
        elif _NAME.fullmatch(step):
            text += f".{step}"
        else:
            text += f"[{json.dumps(step)}]"
    return text


def find(document: t.Any, path: str) -> list[t.Any]:
    """Every value at this path, in the document's order; an empty list where there is none. Raises BadInput."""
    found = [document]
    for step in parse(path):
        found = [below for value in found for below in _below(value, step)]
    return found


def _below(value: t.Any, step: Step) -> list[t.Any]:
    if isinstance(step, _Every):
        if isinstance(value, dict):
            return list(value.values())
        return list(value) if isinstance(value, list) else []
    if isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            return [value[step]]
        return []
    return [value[step]] if isinstance(value, dict) and step in value else []
