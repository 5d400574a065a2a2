# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module documents as its RETURN, held against what it really returned."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
#: Every module returns these; Ansible documents them.
COMMON = {"changed", "diff", "msg", "warnings", "deprecations"}


def documented(module: str) -> dict[str, t.Any]:
    """The RETURN of a module, by key."""
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN":
            found = yaml.safe_load(ast.literal_eval(node.value))
            assert isinstance(found, dict)
            return found
    raise AssertionError(f"{module} has no RETURN")


def _missing(sample: t.Any, returned: t.Any, path: str) -> t.Iterator[str]:
    """Keys that a sample shows and a result lacks; of a list's elements one with them is enough."""
    if isinstance(sample, dict) and isinstance(returned, dict):
        for key, part in sample.items():
            if key in returned:
                yield from _missing(part, returned[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(sample, list) and isinstance(returned, list) and sample and returned:
        candidates = [list(_missing(sample[0], one, f"{path}[]")) for one in returned]
        yield from min(candidates, key=len)


def contradictions(module: str, results: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """What the documentation says that no result bears out, and what results hold that it does not name."""
    known = documented(module)
    undocumented = {key for result in results for key in result} - set(known) - COMMON
    faults = [f"{key} is returned and not documented" for key in sorted(undocumented)]
    for key, entry in known.items():
        values = [result[key] for result in results if result.get(key) not in (None, [], {})]
        if not values and entry.get("sample") not in (None, [], {}):
            faults.append(f"{key} is documented with a sample and was never returned")
        elif not any(key in result for result in results):
            faults.append(f"{key} is documented and was never returned")
        if values:
            lacking = min((list(_missing(entry.get("sample"), value, key)) for value in values), key=len)
            faults += [f"{path} is in the sample and was never returned" for path in lacking]
    return faults
