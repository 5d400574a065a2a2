# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the network as it is seen from the host that runs this: do names resolve to what they should, and are ports open or closed?

Only a refusal proves that a port is closed. A time-out says that something swallows packets, which may let them through for
others, so it is filtered, and counts as closed only when that is asked for.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import dns, sockets
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_most,
    holds,
    plain,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side

NAME = "check_net"

_LEVEL: dict[str, t.Any] = {"type": "str", "choices": ["fail", "warn"], "default": "fail"}
ARGUMENT_SPEC: Spec = {
    "dns": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "choices": list(dns.TYPES), "default": "A"},
            "servers": {"type": "list", "elements": "str"},
            "expect": {"type": "list", "elements": "str"},
            "match": {"type": "str", "choices": ["exact", "all", "any"], "default": "exact"},
            "exists": {"type": "bool", "default": True},
            "max_ttl": {"type": "int"},
            "level": _LEVEL,
        },
    },
    "ports": {
        "type": "list",
        "elements": "dict",
        "options": {
            "host": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True, "aliases": ["port"]},
            "expect": {"type": "str", "choices": [sockets.OPEN, sockets.CLOSED], "default": sockets.OPEN},
            "family": {"type": "str", "choices": ["any", "ipv4", "ipv6", "both"], "default": "any"},
            "addresses": {"type": "str", "choices": ["all", "any"], "default": "all"},
            "filtered_is_closed": {"type": "bool", "default": False},
            "level": _LEVEL,
        },
    },
    "connect_timeout": {"type": "float", "default": 3.0},
}
CONSTRAINTS: Constraints = {"required_one_of": [["dns", "ports"]]}

_WIDTH = 32
_MOST_ATTEMPTS = 1000
_RESOLVING_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Looked:
    """One name at one server, or why nothing is known of it."""

    label: str
    option: int
    answer: dns.Answer | None = None
    problem: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Knocked:
    """One port at every address of a host: open, closed, filtered, or why it is not known."""

    label: str
    option: int
    states: dict[str, str] = dataclasses.field(default_factory=dict)
    #: by address, why it could not be tried
    problems: dict[str, str] = dataclasses.field(default_factory=dict)
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """Every name and port, in the order of the options."""

    names: tuple[Looked, ...]
    ports: tuple[Knocked, ...]


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask for every name, resolve every host, and knock at every address, side by side. Raises BadInput."""
    _checked(params)
    questions = list(_questions(params))
    hosts = list(dict.fromkeys(wanted["host"] for wanted in params["ports"] or []))
    # A name server that does not answer must leave time for the ports.
    share = _RESOLVING_SHARE if hosts else 1.0
    resolving = Deadline(run.deadline.remaining() * share, clock=run.clock)
    jobs: list[t.Callable[[], dns.Answer]] = [
        functools.partial(_look, params["dns"][number], server, run, resolving) for _label, number, server in questions
    ]
    jobs += [functools.partial(_resolve, host, run) for host in hosts]
    answers = side_by_side(jobs, deadline=resolving, width=_WIDTH)
    names = tuple(_looked(questions, answers[: len(questions)]))
    return Facts(names, tuple(_knocks(params, dict(zip(hosts, answers[len(questions) :])), run)))


def _checked(params: t.Mapping[str, t.Any]) -> None:
    """Raises BadInput for what cannot be meant."""
    for option in ("dns", "ports"):
        if params[option] is not None and not params[option]:
            raise BadInput(f"{option} is an empty list: nothing would be judged.")
    for wanted in params["dns"] or []:
        for option in ("servers", "expect"):
            if wanted[option] is not None and not wanted[option]:
                raise BadInput(f"{option} of {wanted['name']} is an empty list: nothing would be judged by it.")
        if not wanted["exists"] and (wanted["expect"] or wanted["max_ttl"] is not None):
            raise BadInput(f"{wanted['name']} must not exist, and yet something is expected of its records.")
        for value in wanted["expect"] or [] if wanted["type"] in dns.FAMILIES else []:
            _address_of(value, wanted)
    for wanted in params["ports"] or []:
        if not wanted["ports"]:
            raise BadInput(f"ports of {wanted['host']} is an empty list: nothing would be judged.")
        wrong = [port for port in wanted["ports"] if not 0 < port < 65536]
        if wrong:
            raise BadInput(f"{plain(wrong)} is no port number, expected 1 to 65535.")
    labels = [*(label for label, *_rest in _questions(params)), *(label for label, *_rest in _doors(params))]
    for label in labels:
        if labels.count(label) > 1:
            raise BadInput(f"{label} stands in the list twice.")


def _address_of(value: str, wanted: t.Mapping[str, t.Any]) -> None:
    try:
        version = ipaddress.ip_address(value.strip()).version
    except ValueError:
        raise BadInput(f"{wanted['name']} is expected to be {value!r}, which is no address.")
    if version != (4 if wanted["type"] == "A" else 6):
        raise BadInput(f"{wanted['name']} is expected to be {value}, which is no address of type {wanted['type']}.")


# --------------------------------------------------------------------------------------------------------------- names


def _questions(params: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, int, str | None]]:
    """Label, number of the option, and server of each question."""
    for number, wanted in enumerate(params["dns"] or []):
        for server in wanted["servers"] or [None]:
            yield f"{wanted['name']} {wanted['type']}" + (f" at {server}" if server else ""), number, server


def _looked(
    questions: t.Sequence[tuple[str, int, str | None]], answers: t.Sequence[dns.Answer | GoliveError]
) -> t.Iterator[Looked]:
    for (label, number, _server), answer in zip(questions, answers):
        if isinstance(answer, BadInput):
            raise answer
        if isinstance(answer, GoliveError):
            yield Looked(label, number, problem=answer.message, remedy=answer.remedy)
        else:
            yield Looked(label, number, answer)


def _look(wanted: t.Mapping[str, t.Any], server: str | None, run: Run, deadline: Deadline) -> dns.Answer:
    name, kind = wanted["name"], wanted["type"]
    if server is None and kind in dns.FAMILIES and wanted["max_ttl"] is None:
        return run.once(("resolved", name, kind), lambda: dns.resolved(name, dns.FAMILIES[kind]))
    return run.once(("dns", name, kind, server), lambda: dns.asked(name, kind, server=server, deadline=deadline))


# --------------------------------------------------------------------------------------------------------------- ports


def _doors(params: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, int, str, int]]:
    """Label, number of the option, host and port of each door."""
    for number, wanted in enumerate(params["ports"] or []):
        for port in wanted["ports"]:
            family = "" if wanted["family"] == "any" else f" over {wanted['family']}"
            yield f"port {_bracketed(wanted['host'])}:{port}{family}", number, wanted["host"], port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _knocks(
    params: t.Mapping[str, t.Any], resolutions: t.Mapping[str, dns.Answer | GoliveError], run: Run
) -> t.Iterator[Knocked]:
    doors = list(_doors(params))
    attempts: dict[tuple[str, int], t.Any] = {}
    for _label, number, host, port in doors:
        for address in _addresses(resolutions[host], params["ports"][number]["family"]):
            attempts[address, port] = None
    if len(attempts) > _MOST_ATTEMPTS:
        raise BadInput(
            f"These are {len(attempts)} ports at their addresses, and no more than {_MOST_ATTEMPTS} are tried."
        )
    limit = params["connect_timeout"]

    def knock(address: str, port: int) -> str:
        return run.once(
            ("knocked", address, port, limit),
            lambda: sockets.knocked(
                address, port, seconds=min(limit, run.deadline.require(f"Connecting to {address} port {port}"))
            ),
        )

    results = side_by_side(
        [functools.partial(knock, address, port) for address, port in attempts],
        deadline=run.deadline,
        width=_WIDTH,
    )
    attempts.update(zip(list(attempts), results))
    for label, number, host, port in doors:
        yield _knocked(label, number, resolutions[host], port, params["ports"][number], attempts)


def _resolve(host: str, run: Run) -> dns.Answer:
    return run.once(("resolved", host, ""), lambda: dns.resolved(host))


def _addresses(answer: dns.Answer | GoliveError, family: str) -> list[str]:
    if isinstance(answer, BadInput):
        raise answer
    if isinstance(answer, GoliveError):
        return []
    versions = {"ipv4": (4,), "ipv6": (6,)}.get(family, (4, 6))
    return [address for address in answer.values if ipaddress.ip_address(address).version in versions]


def _knocked(
    label: str,
    number: int,
    resolution: dns.Answer | GoliveError,
    port: int,
    wanted: t.Mapping[str, t.Any],
    attempts: t.Mapping[tuple[str, int], t.Any],
) -> Knocked:
    if isinstance(resolution, GoliveError):
        return Knocked(label, number, problem=resolution.message)
    addresses = _addresses(resolution, wanted["family"])
    versions = {ipaddress.ip_address(address).version for address in addresses}
    missing = [f"IPv{version}" for version in (4, 6) if version not in versions]
    if not addresses:
        kind = {"ipv4": "IPv4 ", "ipv6": "IPv6 "}.get(wanted["family"], "")
        return Knocked(label, number, problem=f"{wanted['host']} has no {kind}address.")
    if wanted["family"] == "both" and missing:
        return Knocked(label, number, problem=f"{wanted['host']} has no {missing[0]} address.")
    results = {address: attempts[address, port] for address in addresses}
    return Knocked(
        label,
        number,
        states={address: result for address, result in results.items() if isinstance(result, str)},
        problems={address: result.message for address, result in results.items() if isinstance(result, GoliveError)},
    )


# ------------------------------------------------------------------------------------------------------------- judging


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Each name, then each port; pure."""
    for looked in facts.names:
        yield from _judge_name(looked, params["dns"][looked.option])
    for knocked in facts.ports:
        yield _judge_port(knocked, params["ports"][knocked.option])


def _judge_name(looked: Looked, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    answer = looked.answer
    if answer is None:
        yield unknown(looked.label, looked.problem.rstrip("."), remedy=looked.remedy)
        return
    measured = ", ".join(answer.values) or ("no record" if answer.exists else "no such name")
    if not wanted["exists"]:
        yield holds(
            looked.label,
            not answer.values,
            measured=measured,
            expected="nothing",
            remedy="Remove the record, and wait until its lifetime has passed.",
            level=wanted["level"],
        )
        return
    expected = [dns.canonical(wanted["type"], value) for value in wanted["expect"] or []]
    yield holds(
        looked.label,
        bool(answer.values) and _matches(answer.values, expected, wanted),
        measured=measured,
        expected=_expectation(expected, wanted["match"]),
        remedy="Correct the record; where it was changed lately, wait until its old lifetime has passed.",
        level=wanted["level"],
    )
    if wanted["max_ttl"] is not None:
        yield at_most(
            f"lifetime of {looked.label}",
            answer.ttl,
            wanted["max_ttl"],
            unit="s",
            remedy="Lower it, and wait for as long as it was before, so that the way back is as quick.",
            level=wanted["level"],
        )


def _expectation(expected: t.Sequence[str], match: str) -> str:
    if not expected:
        return "a record"
    listed = ", ".join(sorted(expected))
    return listed if match == "exact" else f"{match} of {listed}"


def _matches(values: t.Sequence[str], expected: t.Sequence[str], wanted: t.Mapping[str, t.Any]) -> bool:
    if not expected:
        return True
    seen = set(values)
    if wanted["type"] == "MX":  # where no preference is expected, none is compared
        seen = {value if any(" " in item for item in expected) else value.partition(" ")[2] for value in values}
    if wanted["match"] == "any":
        return bool(seen & set(expected))
    return seen >= set(expected) if wanted["match"] == "all" else seen == set(expected)


def _judge_port(knocked: Knocked, wanted: t.Mapping[str, t.Any]) -> Criterion:
    if knocked.problem or not knocked.states:
        why = knocked.problem or next(iter(knocked.problems.values()), "it was not tried")
        return _untried(knocked.label, why)
    states = set(knocked.states.values())
    told = next(iter(states)) if len(states) == 1 else ", ".join(f"{a} {s}" for a, s in sorted(knocked.states.items()))
    if wanted["expect"] == sockets.OPEN:
        return _judge_open(knocked, wanted, told)
    if sockets.OPEN in states:
        return holds(
            knocked.label,
            False,
            measured=told,
            expected="closed",
            remedy="Bind the service to a local address, or close the port in the firewall.",
            level=wanted["level"],
        )
    if knocked.problems:
        return _untried(knocked.label, next(iter(knocked.problems.values())))
    if sockets.FILTERED in states and not wanted["filtered_is_closed"]:
        return unknown(
            knocked.label,
            f"{knocked.label} is {told}, and only a refusal proves that it is closed",
            remedy="Something swallows what is sent there from here, and may let others through; if that is how it is meant, "
            "say filtered_is_closed: true.",
        )
    return holds(knocked.label, True, measured=told, expected="closed")


def _untried(label: str, why: str) -> Criterion:
    return unknown(
        label,
        f"{label} could not be tried: {why.rstrip('.')}",
        remedy="Correct the name; where this host has no route over one family, name the other in family.",
    )


def _judge_open(knocked: Knocked, wanted: t.Mapping[str, t.Any], told: str) -> Criterion:
    is_open = [state == sockets.OPEN for state in knocked.states.values()]
    good = any(is_open) if wanted["addresses"] == "any" else all(is_open)
    if good and knocked.problems and wanted["addresses"] == "all":
        return _untried(knocked.label, next(iter(knocked.problems.values())))
    return holds(
        knocked.label,
        good,
        measured=told,
        expected="open",
        remedy="Start the service and see which address it binds to; where it is filtered, look at firewalls in between.",
        level=wanted["level"],
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON."""
    return {
        "dns": [
            {
                "question": looked.label,
                "values": list(looked.answer.values) if looked.answer else None,
                "ttl": looked.answer.ttl if looked.answer else None,
                "problem": looked.problem,
            }
            for looked in facts.names
        ],
        "ports": [
            {"port": knocked.label, "states": knocked.states, "problem": knocked.problem or knocked.problems}
            for knocked in facts.ports
        ],
    }
