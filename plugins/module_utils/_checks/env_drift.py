# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what was written down what runs: the same value in every place, and nothing older than the file?"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import env_arithmetic
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_rules import Looked
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_sources import (
    CONTAINER,
    PROCESS,
    Source,
    Values,
    short,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.envfile import EnvFile
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds

#: Processes or containers named in a sentence.
_TOLD = 5
#: How old each kind of place is told, and all of that kind.
_BEGAN = {PROCESS: "started", CONTAINER: "was made"}
_ALL_OF = {PROCESS: "processes", CONTAINER: "containers"}


def stale(file: EnvFile | None, sources: t.Sequence[Source]) -> dict[str, bool]:
    """By their kind, whether some of the places took their variables over before the file was changed."""
    if file is None:
        return {}
    # A second of slack: start times come in clock ticks after a boot time in whole seconds.
    is_older = [(source.kind, source.since + 1 < file.changed_at) for source in sources if source.since is not None]
    return {kind: any(older for other, older in is_older if other == kind) for kind, _older in is_older}


def judge_age(kind: str, is_stale: bool, file: str, labels: t.Sequence[str]) -> Criterion:
    """Whether what runs began after the file was changed."""
    return holds(
        kind,
        not is_stale,
        measured="older than the file" if is_stale else "newer than the file",
        expected="newer than the file",
        sentence=f"{file} was changed after {', '.join(labels)} {_BEGAN[kind]}",
        remedy="Restart the service, or what was checked is not what runs.",
        level="warn",
    )


def further_levels(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The variables of groups, of ``distinct`` and of ``fits`` that have no rule of their own, each with how bad it is when they differ."""
    used = [
        (str(name), rule["level"])
        for rule in params["rules"]
        if rule["kind"] == "any_of"
        for group in rule["groups"]
        for name in group
    ]
    used += [(name, "fail") for name in params.get("distinct") or ()]
    used += [
        (name, claim["level"]) for claim in params.get("fits") or () for name in env_arithmetic.variables_of(claim)
    ]
    ruled = {rule["name"] for rule in params["rules"] if rule["kind"] not in ("any_of", "absent")}
    failing = {name for name, level in used if level == "fail"}
    return {name: "fail" if name in failing else "warn" for name, _level in used if name not in ruled}


def looked_at(name: str, values: Values) -> Looked:
    """Whether the variable is the same everywhere; one that is blank wherever it is counts as the same."""
    if values.get(name) is None or not any(value.strip() for value in values.everywhere(name)):
        return Looked(name)
    return Looked(
        name,
        differs=values.differing(name),
        divides=values.divided(name),
        only_in_file=values.is_only_in_file(name),
    )


def judge_agreement(
    name: str, seen: Looked, places: t.Mapping[str, t.Sequence[str]], level: str
) -> t.Iterator[Criterion]:
    """Nothing where all places that have the variable have one value."""
    if seen.divides:
        yield _judge_divided(name, seen.divides, places[seen.divides], level)
    elif seen.only_in_file:
        yield holds(
            f"{name} in file and container",
            False,
            measured="only in the file",
            expected="the same",
            sentence=f"{name} is in the file, and the container was made without it",
            remedy="Name the file in env_file of the service, and make its container anew.",
            level=level,
        )
    elif seen.differs:
        yield _judge_differing(name, seen.differs, level)


def _judge_divided(name: str, kind: str, labels: t.Sequence[str], level: str) -> Criterion:
    return holds(
        f"{name} among the {_ALL_OF[kind]}",
        False,
        measured="different",
        expected="the same",
        sentence=f"{name} is not the same in all of {', '.join(labels[:_TOLD])}",
        remedy="Give them one value and restart them, or say more narrowly which are meant.",
        level=level,
    )


def _judge_differing(name: str, kinds: t.Sequence[str], level: str) -> Criterion:
    first, *others, last = kinds
    told = f"one value in the {first} and another one in the {last}"
    if others:
        told = f"not one value in the {', the '.join([first, *others])} and the {last}"
    return holds(
        f"{name} in {' and '.join(short(kind) for kind in kinds)}",
        False,
        measured="different",
        expected="the same",
        sentence=f"{name} has {told}",
        remedy="Restart the service, or correct the file.",
        level=level,
    )
