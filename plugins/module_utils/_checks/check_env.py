# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the environment variables of a service: set, right for production, secrets strong; in the file and in what runs.

Values that may be secret never leave gather(): facts hold what was found out about them, and of a strong secret the first
eight digits of its SHA-256, so that two releases can be compared.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import (
    env_arithmetic,
    env_documented,
    env_drift,
    env_numbers,
    env_reading,
    env_secrets,
    env_sources,
    env_variables,
)
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_rules import (
    ELSEWHERE,
    REQUIRED_IF,
    RULE,
    Looked,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.envfile import EnvFile
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    holds,
    plain,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import are_in, compiled
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_env"

ARGUMENT_SPEC: Spec = {
    "file": {"type": "path"},
    "max_mode": {"type": "str", "default": "0600"},
    "process": {
        "type": "dict",
        "options": {
            "pid": {"type": "int"},
            "pid_file": {"type": "path"},
            "pattern": {"type": "str"},
        },
        "mutually_exclusive": [["pid", "pid_file", "pattern"]],
        "required_one_of": [["pid", "pid_file", "pattern"]],
    },
    "container": env_sources.CONTAINER_OPTION,
    "unit_file": {"type": "path"},
    "example_file": {"type": "path"},
    "documented": {"type": "str", "choices": ["required", "ignored"], "default": "ignored"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": RULE,
        "required_if": REQUIRED_IF,
    },
    "distinct": {"type": "list", "elements": "str"},
    "fits": env_arithmetic.FITS,
    "forbidden_patterns": {"type": "list", "elements": "str"},
    "forbidden_except": {"type": "list", "elements": "str", "default": []},
}
CONSTRAINTS: Constraints = {"required_one_of": [["file", "process", "container", "unit_file"]]}


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that judging needs, without a secret in it."""

    looked: tuple[Looked, ...]
    file: str = ""
    mode: int | None = None
    oddities: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    #: By their kind, what else was read: processes, containers, a unit.
    places: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    #: By their kind, whether some of them are older than the file.
    is_stale: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    expected_containers: tuple[str, ...] = ()
    missing_containers: tuple[str, ...] = ()
    #: What systemd leaves out of the unit.
    left_out: tuple[str, ...] | None = None
    #: Groups of names that hold the same value and must not.
    alike: tuple[tuple[str, ...], ...] = ()
    missing_distinct: tuple[str, ...] = ()
    reckoned: tuple[env_arithmetic.Reckoned, ...] = ()
    #: Whether the variables without a rule of their own are the same everywhere.
    further: tuple[Looked, ...] = ()
    #: Names whose value matches a forbidden pattern, per pattern.
    forbidden: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: None where file and example were not compared.
    undocumented: env_documented.Undocumented | None = None
    #: Names whose value could not be held against the forbidden patterns.
    not_searched: tuple[str, ...] = ()
    #: Why the file or another place could not be read.
    problems: tuple[tuple[str, str, str], ...] = ()


def _max_mode(text: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise BadInput(f"max_mode is {text!r}, expected octal digits such as '0600', in quotes.")
    return int(text, 8)


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("rules", "distinct", "fits", "forbidden_patterns"):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    if params["documented"] == "required" and not (params.get("file") and params.get("example_file")):
        raise BadInput("documented: required needs file and example_file, which it compares.")
    if (params.get("container") or {}).get("services") == []:
        raise BadInput("container.services is empty, so nothing would be judged by it.")
    if params.get("distinct") and len(params["distinct"]) < 2:
        raise BadInput("distinct names one variable, expected at least two.")
    patterns = [(rule["pattern"], f"rule {rule['name']}") for rule in params["rules"] if rule.get("pattern")]
    patterns += [(pattern, "forbidden_patterns") for pattern in params.get("forbidden_patterns") or ()]
    for pattern, where in patterns:
        compiled(pattern, option=where)
    for rule in params["rules"]:
        env_numbers.refuse_unusable(rule)
        if rule["kind"] == "any_of" and not all(rule["groups"]):
            raise BadInput(f"rule {rule['name']}: groups holds an empty group.")
    env_arithmetic.refuse_unreadable(params.get("fits") or ())
    _max_mode(params["max_mode"])


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read each place, and look at each variable here, so that no secret goes further. Raises BadInput."""
    _refuse_unusable(params)
    reading = env_reading.read(params, run)
    sources = reading.sources()
    facts = _facts_of_places(reading, sources)
    if not sources:
        return facts
    values = env_sources.Values(sources)
    example = reading.example.values if reading.example else {}
    run.scrub.learn(env_secrets.secret_values(values, params["rules"]))
    return dataclasses.replace(
        facts,
        looked=tuple(env_variables.looked(rule, values, example) for rule in params["rules"]),
        alike=_alike(values, params.get("distinct") or ()),
        missing_distinct=tuple(name for name in params.get("distinct") or () if not values.get(name)),
        reckoned=tuple(env_arithmetic.reckoned(claim, values.get, run=run) for claim in params.get("fits") or ()),
        further=tuple(env_drift.looked_at(name, values) for name in env_drift.further_levels(params)),
        forbidden=_forbidden(values, params),
        undocumented=_undocumented(reading, params),
        not_searched=tuple(name for name in values.unclear_names() if name not in params["forbidden_except"]),
    )


def _facts_of_places(reading: env_reading.Reading, sources: t.Sequence[env_sources.Source]) -> Facts:
    """Of each place that was read, and of those that could not be."""
    file, containers = reading.file, reading.containers
    values = env_sources.Values(sources)
    return Facts(
        looked=(),
        file=file.path if file else "",
        mode=file.mode if file else None,
        oddities=tuple(str(oddity) for oddity in file.parsed.oddities) if file else (),
        conflicts=_conflicts(file) if file else (),
        places={source.kind: values.labels(source.kind) for source in sources if source.kind != env_sources.FILE},
        is_stale=env_drift.stale(file, sources),
        expected_containers=containers.expected if containers else (),
        missing_containers=containers.missing if containers else (),
        left_out=reading.unit.left_out if reading.unit else None,
        problems=tuple(reading.problems),
    )


def _conflicts(file: EnvFile) -> tuple[str, ...]:
    """Names that the file gives more than one value."""
    return tuple(odd.name for odd in file.parsed.oddities if odd.name and "another value" in odd.what)


def _undocumented(reading: env_reading.Reading, params: t.Mapping[str, t.Any]) -> env_documented.Undocumented | None:
    """None where it was not asked for, or one of the two could not be read."""
    if params["documented"] != "required" or reading.file is None or reading.example is None:
        return None
    return env_documented.compared(reading.file.parsed.values, reading.example, params["rules"])


def _alike(values: env_sources.Values, names: t.Sequence[str]) -> tuple[tuple[str, ...], ...]:
    by_value: dict[str, list[str]] = {}
    for name in names:
        value = values.get(name)
        if value:
            by_value.setdefault(value, []).append(name)
    return tuple(tuple(group) for group in by_value.values() if len(group) > 1)


def _forbidden(values: env_sources.Values, params: t.Mapping[str, t.Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = [name for name in values.names() if name not in params["forbidden_except"]]
    found = []
    for pattern in dict.fromkeys(params.get("forbidden_patterns") or ()):
        searched = compiled(pattern, option="forbidden_patterns", flags=re.IGNORECASE)
        held = [
            (f"{name} {where}".strip(), value) for name in names for value, where in values.everywhere(name).items()
        ]
        are_hits = are_in(searched, [value for _place, value in held])
        hits = [place for (place, _value), is_hit in zip(held, are_hits) if is_hit]
        found.append((pattern, tuple(dict.fromkeys(hits))))
    return tuple(found)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """The places, then each rule in the list's order, then what holds between variables."""
    yield from _judge_places(facts, params)
    labels = told_apart(rule["name"] for rule in params["rules"])
    for label, rule, seen in zip(labels, params["rules"], facts.looked):
        yield from env_variables.judge({**rule, "name": label}, seen, facts.places)
    if not facts.looked:
        return
    for seen, level in zip(facts.further, env_drift.further_levels(params).values()):
        yield from env_drift.judge_agreement(seen.name, seen, facts.places, level)
    for pattern, names in facts.forbidden:
        yield _judge_forbidden(pattern, names, facts.not_searched)
    if params.get("distinct"):
        yield from _judge_distinct(facts, params)
    yield from env_arithmetic.judge(facts.reckoned, params.get("fits") or ())


def _judge_places(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    for name, message, remedy in facts.problems:
        yield unknown(name, message.rstrip("."), remedy=remedy)
    if facts.mode is not None:
        yield from _judge_file(facts, facts.mode, params)
    if facts.undocumented is not None:
        yield from env_documented.judge(facts.undocumented, file=facts.file, example=params["example_file"])
    if facts.expected_containers:
        yield _judge_containers(facts)
    if facts.left_out is not None:
        yield _judge_unit(facts.left_out, params["unit_file"])
    for kind, is_stale in facts.is_stale.items():
        yield env_drift.judge_age(kind, is_stale, facts.file, facts.places[kind])


def _judge_file(facts: Facts, mode: int, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    allowed = _max_mode(params["max_mode"])
    yield holds(
        "file mode",
        not mode & ~allowed & 0o777,
        measured=f"{mode:04o}",
        expected=f"at most {allowed:04o}",
        sentence=f"{facts.file} has mode {mode:04o}, expected at most {allowed:04o}: others can read the secrets in it",
        remedy=f"chmod {allowed:04o} {facts.file}",
    )
    conflict = ", ".join(facts.conflicts)
    yield holds(
        "file syntax",
        not facts.oddities,
        measured="; ".join(facts.oddities) or "clean",
        expected="clean",
        sentence=f"{facts.file}: {'; '.join(facts.oddities)}",
        remedy=f"Programs differ in which value of {conflict} they take." if conflict else "",
        level="fail" if conflict else "warn",
    )


def _judge_containers(facts: Facts) -> Criterion:
    count, missing = len(facts.expected_containers), facts.missing_containers
    return holds(
        "containers",
        not missing,
        measured=f"{count - len(missing)} of {count} there",
        expected=plain(facts.expected_containers),
        sentence=f"there is no {plain(missing)}: {count - len(missing)} of {count} are there",
        remedy="docker ps --all tells what there is.",
    )


def _judge_unit(left_out: t.Sequence[str], path: str) -> Criterion:
    told = "; ".join(left_out)
    return holds(
        "unit file syntax",
        not left_out,
        measured=told or "clean",
        expected="clean",
        sentence=f"systemd leaves out what is written: {told}",
        remedy=f"systemd-analyze verify {path} says the same; systemd.exec(5) tells how it is written.",
    )


def _judge_forbidden(pattern: str, names: t.Sequence[str], not_searched: t.Sequence[str]) -> Criterion:
    name = f"values free of /{pattern}/"
    if not_searched and not names:
        return unknown(name, f"{', '.join(not_searched)} cannot be searched for /{pattern}/", remedy=ELSEWHERE)
    return holds(
        name,
        not names,
        measured=", ".join(names) or "none",
        expected="none",
        sentence=f"/{pattern}/ is in the value of {', '.join(names)}",
    )


def _judge_distinct(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if facts.missing_distinct:
        yield unknown(
            "distinct variables", f"{', '.join(facts.missing_distinct)} cannot be compared, since it is not set"
        )
    alike = "; ".join(" = ".join(group) for group in facts.alike)
    yield holds(
        f"{', '.join(params['distinct'])}",
        not facts.alike,
        measured=f"the same: {alike}" if alike else "distinct",
        expected="distinct",
        sentence=f"these variables hold the same value: {alike}",
        remedy="Make a secret of its own for each.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Per variable: set or not, from where, length, strength; the value only of those that are no secret."""
    return {
        "file": facts.file or None,
        "file_mode": f"{facts.mode:04o}" if facts.mode is not None else None,
        "processes": list(facts.places.get(env_sources.PROCESS, ())),
        "containers": list(facts.places.get(env_sources.CONTAINER, ())),
        "unit_file": next(iter(facts.places.get(env_sources.UNIT, ())), None),
        "variables": [
            {
                key: value
                for key, value in dataclasses.asdict(seen).items()
                if value not in (None, "", False, ()) and key not in ("wrong", "number", "unclear")
            }
            for seen in facts.looked
        ],
    }
