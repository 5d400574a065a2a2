# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what settings multiply to fit this host: eight runs of 2 GiB each in its memory, thirty logs of 50 MB on its disk?"""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import host
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

#: What a product is held against; all but processors are bytes.
_CAPACITIES = ("memory", "memory_available", "disk", "processors")

#: The option ``fits`` of a check.
FITS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "factors": {"type": "list", "elements": "str", "required": True},
        "unit": {"type": "str"},
        "within": {"type": "str", "choices": list(_CAPACITIES), "required": True},
        "path": {"type": "path"},
        "share": {"type": "float", "default": 0.8},
        "level": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    },
    "required_if": [["within", "disk", ["path"]]],
}

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclasses.dataclass(frozen=True)
class Reckoned:
    """One product and what it has to fit in, in bytes or processors; or why either is not known."""

    name: str
    #: ``MAX_RUNS 8 x 2GiB``
    terms: str = ""
    product: float = 0.0
    capacity: float = 0.0
    problem: str = ""
    remedy: str = ""


def refuse_unreadable(claims: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Raises BadInput for a claim that could not be reckoned whatever the variables hold."""
    for claim in claims:
        where = f"fits {claim['name']}"
        if not claim["factors"]:
            raise BadInput(f"{where}: factors is empty, so nothing would be judged by it.")
        if not 0 < claim["share"] <= 1:
            raise BadInput(f"{where}: share is {claim['share']:g}, expected above 0 and at most 1.")
        if claim.get("unit"):
            if claim["within"] == "processors":
                raise BadInput(f"{where}: processors have no unit.")
            units.size_bytes(f"1{claim['unit']}", option=f"{where}: unit")
        for factor in claim["factors"]:
            if not _VARIABLE.fullmatch(factor):
                _value_of(factor, option=f"{where}: factors")


def variables_of(claim: t.Mapping[str, t.Any]) -> list[str]:
    """The factors that are names of variables."""
    return [factor for factor in claim["factors"] if _VARIABLE.fullmatch(factor)]


def _value_of(text: str, *, option: str) -> tuple[float, bool]:
    """A number, or a size in bytes; and whether it was a size. Raises BadInput."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text), False
    return float(units.size_bytes(text, option=option)), True


def reckoned(claim: t.Mapping[str, t.Any], value_of: t.Callable[[str], str | None], *, run: Run) -> Reckoned:
    """The product of the claim's factors, and what this host has."""
    name = claim["name"]
    try:
        terms, product = _product(claim, value_of)
        return Reckoned(name, terms, product, _capacity(claim, run))
    except GoliveError as problem:
        return Reckoned(name, problem=problem.message.rstrip("."), remedy=problem.remedy)


def _product(claim: t.Mapping[str, t.Any], value_of: t.Callable[[str], str | None]) -> tuple[str, float]:
    terms, values, sizes = [], [], 0
    for factor in claim["factors"]:
        is_variable = _VARIABLE.fullmatch(factor)
        text = (value_of(factor) or "").strip() if is_variable else factor
        try:
            value, is_size = _value_of(text, option=factor)
        except BadInput as problem:  # its text quotes what may be a secret
            what = f"{factor} is {'neither a number nor a size' if text else 'not set'}."
            raise BadInput(what, remedy=problem.remedy) from None
        terms.append(f"{factor} {text}" if is_variable else factor)
        values.append(value)
        sizes += is_size
    wanted = 0 if claim["within"] == "processors" else 1
    if claim.get("unit"):
        terms.append(claim["unit"])
        values.append(float(units.size_bytes(f"1{claim['unit']}", option="unit")))
        sizes += 1
    if sizes != wanted:
        raise BadInput(
            f"{' x '.join(terms)} is no number of {'processors' if wanted == 0 else 'bytes'}.",
            remedy="Say the unit once: in unit, or in one of the factors.",
        )
    return " x ".join(terms), math.prod(values)


def _capacity(claim: t.Mapping[str, t.Any], run: Run) -> float:
    within = claim["within"]
    if within == "processors":
        return float(host.usable_cpus())
    if within == "disk":
        path = claim["path"]
        return float(run.once(("space", path), lambda: host.space(path, deadline=run.deadline)).free_bytes)
    memory = run.once("meminfo", host.memory)
    return float(memory.total_bytes if within == "memory" else memory.available_bytes)


def judge(reckonings: t.Iterable[Reckoned], claims: t.Iterable[t.Mapping[str, t.Any]]) -> t.Iterator[Criterion]:
    """The arithmetic, shown."""
    for claim, found in zip(claims, reckonings):
        if found.problem:
            yield unknown(found.name, f"{found.name} cannot be reckoned: {found.problem}", remedy=found.remedy)
            continue
        bound = claim["share"] * found.capacity
        what = {
            "memory": "of the memory",
            "memory_available": "of the available memory",
            "disk": f"of what is free at {claim.get('path')}",
            "processors": "of the processors",
        }[claim["within"]]
        expected = f"at most {_text(bound, claim)}, which is {claim['share']:.0%} {what}"
        yield holds(
            found.name,
            found.product <= bound,
            measured=f"{_text(found.product, claim)} ({found.terms})",
            expected=expected,
            remedy="Lower the settings, or give the host more.",
            level=claim["level"],
        )


def _text(number: float, claim: t.Mapping[str, t.Any]) -> str:
    return f"{number:g}" if claim["within"] == "processors" else units.size_text(int(number))
