# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the environment variables of a service: set, right for production, secrets strong; in the file and in the process.

Values that may be secret never leave gather(): facts hold what was found out about them, and of a strong secret the first
eight digits of its SHA-256, so that two releases can be compared.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import json
import re
import typing as t
from urllib.parse import SplitResult, unquote, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._checks import env_arithmetic, secret_strength
from ansible_collections.opsready.golive.plugins.module_utils._clients import envfile
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, MissingLibrary
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import are_in, compiled, is_in
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_env"

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
    "min": {"type": "float"},
    "max": {"type": "float"},
    "min_length": {"type": "int", "default": 32},
    "min_strength_bits": {"type": "int", "default": 64},
    "fingerprint": {"type": "str"},
    "schemes": {"type": "list", "elements": "str"},
    "allow_private": {"type": "bool", "default": False},
    "groups": {"type": "list", "elements": "list"},
    "optional": {"type": "str"},
    "level": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
}

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
    "example_file": {"type": "path"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": RULE,
        "required_if": [
            ["kind", "literal", ["value"]],
            ["kind", "one_of", ["allowed"]],
            ["kind", "matches", ["pattern"]],
            ["kind", "any_of", ["groups"]],
        ],
    },
    "distinct": {"type": "list", "elements": "str"},
    "fits": env_arithmetic.FITS,
    "forbidden_patterns": {"type": "list", "elements": "str"},
    "forbidden_except": {"type": "list", "elements": "str", "default": []},
}
CONSTRAINTS: Constraints = {"required_one_of": [["file", "process"]]}

_SECRET_KINDS = ("secret", "fernet")
#: Processes named in a sentence.
_TOLD = 5
#: Kinds whose value may stand in a report.
_SHOWN_KINDS = ("literal", "one_of", "email", "origins", "number", "boolean")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63})"
)
#: Names that nobody can own (RFC 2606, RFC 6761).
_RESERVED = re.compile(r"(^|\.)(example\.(com|org|net)|example|test|invalid|localhost|local)$", re.IGNORECASE)
_HASHED_FROM = 32
#: A shorter value would mask ordinary words all over the report; that it is short is a finding of its own.
_SHORTEST_LEARNED = 8


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
    #: The file's value differs from the running process's.
    differs: bool = False
    #: Running processes differ among themselves: in their values, or in having one.
    divides: bool = False
    complete_groups: tuple[str, ...] = ()
    half_groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything that judging needs, without a secret in it."""

    looked: tuple[Looked, ...]
    file: str = ""
    mode: int | None = None
    oddities: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    is_stale: bool | None = None
    #: Groups of names that hold the same value and must not.
    alike: tuple[tuple[str, ...], ...] = ()
    missing_distinct: tuple[str, ...] = ()
    reckoned: tuple[env_arithmetic.Reckoned, ...] = ()
    #: Names whose value matches a forbidden pattern, per pattern.
    forbidden: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: Why the file or the process could not be read.
    problems: tuple[tuple[str, str, str], ...] = ()


def _max_mode(text: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise BadInput(f"max_mode is {text!r}, expected octal digits such as '0600', in quotes.")
    return int(text, 8)


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("rules", "distinct", "fits", "forbidden_patterns"):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    if params.get("distinct") and len(params["distinct"]) < 2:
        raise BadInput("distinct names one variable, expected at least two.")
    patterns = [(rule["pattern"], f"rule {rule['name']}") for rule in params["rules"] if rule.get("pattern")]
    patterns += [(pattern, "forbidden_patterns") for pattern in params.get("forbidden_patterns") or ()]
    for pattern, where in patterns:
        compiled(pattern, option=where)
    for rule in params["rules"]:
        if (
            rule["kind"] == "number"
            and rule.get("min") is None
            and rule.get("max") is None
            and rule.get("value") is None
        ):
            raise BadInput(f"rule {rule['name']}: a number needs min, max or value.")
        if rule["kind"] == "any_of" and not all(rule["groups"]):
            raise BadInput(f"rule {rule['name']}: groups holds an empty group.")
    env_arithmetic.refuse_unreadable(params.get("fits") or ())
    _max_mode(params["max_mode"])


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read file and process, and look at each variable here, so that no secret goes further. Raises BadInput."""
    _refuse_unusable(params)
    problems: list[tuple[str, str, str]] = []
    file: envfile.EnvFile | None = None
    running: list[envfile.Process] = []
    example: dict[str, str] = {}
    if params.get("file"):
        path = params["file"]
        try:
            file = run.once(("env file", path), lambda: envfile.read(path))
        except GoliveError as problem:
            problems.append(("env file", problem.message, problem.remedy))
    if params.get("process"):
        chosen = params["process"]
        try:
            running = run.once(("env process", json.dumps(chosen, sort_keys=True)), lambda: envfile.processes(**chosen))
        except BadInput:
            raise
        except GoliveError as problem:
            problems.append(("running process", problem.message, problem.remedy))
    if params.get("example_file"):
        example_path = params["example_file"]
        try:
            example = run.once(("env file", example_path), lambda: envfile.read(example_path)).parsed.values
        except GoliveError as problem:
            problems.append(("example file", problem.message, problem.remedy))
    if problems and not file and not running:
        return Facts(looked=(), problems=tuple(problems))
    values = _Values(file, running)
    run.scrub.learn(_secret_values(values, params))
    return Facts(
        looked=tuple(_looked(rule, values, example) for rule in params["rules"]),
        file=file.path if file else "",
        mode=file.mode if file else None,
        oddities=tuple(str(oddity) for oddity in file.parsed.oddities) if file else (),
        conflicts=tuple(o.name for o in file.parsed.oddities if o.name and "another value" in o.what) if file else (),
        processes=tuple(f"{process.name} ({process.pid})" for process in running),
        # A second of slack: start times come in clock ticks after a boot time in whole seconds.
        is_stale=any(process.started_at + 1 < file.changed_at for process in running) if file and running else None,
        alike=_alike(values, params.get("distinct") or ()),
        missing_distinct=tuple(name for name in params.get("distinct") or () if not values.get(name)),
        reckoned=tuple(env_arithmetic.reckoned(claim, values.get, run=run) for claim in params.get("fits") or ()),
        forbidden=_forbidden(values, params),
        problems=tuple(problems),
    )


class _Values:
    """The effective values: a running process's before the file's."""

    def __init__(self, file: envfile.EnvFile | None, running: t.Sequence[envfile.Process]) -> None:
        self.in_file = file.parsed.values if file else {}
        self.running = running
        self.has_file = file is not None

    def get(self, name: str) -> str | None:
        for process in self.running:
            if name in process.values:
                return process.values[name]
        return self.in_file.get(name)

    def everywhere(self, name: str) -> dict[str, str]:
        """Each value that the name has, with where: the next start of the service takes the file's."""
        found = {process.values[name]: "in the process" for process in self.running if name in process.values}
        if name in self.in_file:
            found[self.in_file[name]] = "in the file" if self.in_file[name] not in found else ""
        return found if len(found) > 1 else dict.fromkeys(found, "")

    def source(self, name: str) -> str:
        return "process" if any(name in process.values for process in self.running) else "file"

    def differs(self, name: str) -> bool:
        seen = {process.values[name] for process in self.running if name in process.values}
        if name in self.in_file:
            seen.add(self.in_file[name])
        return len(seen) > 1

    def divides(self, name: str) -> bool:
        return len({process.values.get(name) for process in self.running}) > 1

    def names(self) -> list[str]:
        # A process also inherits PATH, HOME and the like, which nobody declared for the service.
        return (
            sorted(self.in_file) if self.has_file else sorted({n for process in self.running for n in process.values})
        )


def _secret_values(values: _Values, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for rule in params["rules"]:
        for value in values.everywhere(rule["name"]):
            if rule["kind"] in _SECRET_KINDS and len(value) >= _SHORTEST_LEARNED:
                yield value
            elif rule["kind"] in ("dsn", "url", "origins"):
                parts = _split(value)
                password = unquote(parts.password or "") if parts else ""
                if len(password) >= _SHORTEST_LEARNED:
                    yield password


def _looked(rule: t.Mapping[str, t.Any], values: _Values, example: t.Mapping[str, str]) -> Looked:
    name, kind = rule["name"], rule["kind"]
    value = values.get(name)
    if kind == "any_of":
        return _looked_at_groups(rule, values)
    if value is None:
        return Looked(name)
    seen = Looked(
        name,
        is_set=True,
        is_empty=not value.strip(),
        source=values.source(name),
        length=len(value),
        shown=value if kind in _SHOWN_KINDS else None,
        differs=values.differs(name),
        divides=values.divides(name),
        equals_example=kind in _SECRET_KINDS and bool(value) and value in example.values(),
    )
    if seen.is_empty or kind not in _LOOKS:
        return seen
    return _LOOKS[kind](seen, rule, value)


def _looked_at_number(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    return dataclasses.replace(seen, number=_number(value))


def _looked_at_text(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    faults = [fault for fault in _FAULTS[rule["kind"]](rule, value) if fault]
    shown = _without_secrets(value) if rule["kind"] in ("url", "dsn") else seen.shown
    return dataclasses.replace(seen, wrong=faults[0] if faults else None, shown=shown)


def _looked_at_groups(rule: t.Mapping[str, t.Any], values: _Values) -> Looked:
    complete, half = [], []
    for group in rule["groups"]:
        names = [str(name) for name in group]
        there = [name for name in names if (values.get(name) or "").strip()]
        usable = [name for name in there if not secret_strength.placeholder_in(values.get(name) or "")]
        if len(usable) == len(names):
            complete.append(" + ".join(names))
        elif there:
            missing = [name for name in names if name not in usable]
            half.append(f"{' + '.join(names)} (without {', '.join(missing)})")
    return Looked(rule["name"], is_set=bool(complete or half), complete_groups=tuple(complete), half_groups=tuple(half))


def _looked_at_secret(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    placeholder = secret_strength.placeholder_in(value)
    bits = secret_strength.strength_bits(value)
    wrong, unclear = (None, None)
    if rule["kind"] == "fernet":
        try:
            wrong = _fernet_fault(value)
        except MissingLibrary as problem:
            unclear = problem.message.rstrip(".")
    strong = not placeholder and not seen.equals_example and wrong is None and bits >= rule["min_strength_bits"]
    shows_hash = strong and len(value) >= _HASHED_FROM
    return dataclasses.replace(
        seen,
        is_placeholder=placeholder,
        strength_bits=bits,
        wrong=wrong,
        unclear=unclear,
        # The hash of a weak secret is as good as the secret.
        fingerprint=secret_strength.fingerprint(value) if shows_hash else "",
    )


def _fernet_fault(value: str) -> str | None:
    try:
        raw = base64.b64decode(value.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError, UnicodeEncodeError):
        return "is not URL-safe base64"
    if len(raw) != 32:
        return f"holds {len(raw)} bytes, and a Fernet key 32"
    require("cryptography")
    from cryptography.fernet import Fernet

    box = Fernet(value.encode("ascii"))
    return None if box.decrypt(box.encrypt(b"opsready")) == b"opsready" else "does not decrypt what it encrypted"


def _split(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value.strip())
        _port = parts.port  # reading it is what raises where it is no number
    except ValueError:
        return None
    return parts


def _without_secrets(value: str) -> str:
    """Scheme, user, host, port and path: neither password nor query."""
    parts = _split(value)
    if parts is None or not parts.scheme:
        return "(not a URL)"
    user = (
        f"{parts.username}:********@"
        if parts.password is not None
        else (f"{parts.username}@" if parts.username else "")
    )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{user}{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _is_private(host: str) -> bool:
    if _RESERVED.search(host) or ("." not in host and ":" not in host):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _url_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    parts = _split(value)
    schemes = rule.get("schemes") or ["https"]
    if parts is None or not parts.hostname:
        yield "is not a URL with a host"
        return
    if parts.scheme not in schemes:
        yield f"has the scheme {parts.scheme}, expected {' or '.join(schemes)}"
    if not rule["allow_private"] and _is_private(parts.hostname):
        yield f"points to {parts.hostname}, which is not reachable from outside"


def _dsn_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    parts = _split(value)
    if parts is None or not parts.scheme:
        yield "is not scheme://host/database"
        return
    scheme = parts.scheme.partition("+")[0].lower()
    scheme = "postgresql" if scheme == "postgres" else scheme
    schemes = rule.get("schemes") or ["postgresql"]
    if scheme not in schemes:
        yield f"has the scheme {scheme}, expected {' or '.join(schemes)}"
    if not parts.hostname and scheme != "sqlite" and "host=" not in parts.query:
        yield "names no host"
    if scheme in ("postgresql", "mysql", "mariadb") and not parts.path.strip("/"):
        yield "names no database"
    if parts.password and secret_strength.placeholder_in(unquote(parts.password)):
        yield "holds a placeholder for its password"


def _email_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    match = _EMAIL.fullmatch(value.strip())
    if match is None:
        yield "is not an e-mail address"
    elif _RESERVED.search(match[1]):
        yield f"is at {match[1]}, which nobody can own"


def origins_in(value: str) -> list[str] | None:
    """The origins of a JSON list, or of a list with commas; None for JSON that is no list of strings."""
    if value.strip().startswith("["):
        try:
            listed = foreign_json.read(value)
        except ValueError:
            return None
        return listed if isinstance(listed, list) and all(isinstance(item, str) for item in listed) else None
    return [item.strip() for item in value.split(",") if item.strip()]


def _origins_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    listed = origins_in(value)
    if not listed:
        yield "is not a list of origins"
        return
    for origin in listed:
        yield from _origin_fault(rule, origin)
    allowed = rule.get("allowed") or listed
    strange = [origin for origin in listed if origin not in allowed]
    missing = [origin for origin in allowed if origin not in listed]
    if strange:
        yield f"holds {', '.join(strange)}, which was not expected"
    if missing:
        yield f"lacks {', '.join(missing)}"


def _origin_fault(rule: t.Mapping[str, t.Any], origin: str) -> t.Iterator[str]:
    schemes = rule.get("schemes") or ["https"]
    parts = _split(origin)
    if "*" in origin:
        yield "holds *, which lets every page read the answers"
    elif parts is None or not parts.hostname or parts.path or parts.query or parts.username:
        yield f"holds {origin}, which is not scheme://host"
    elif parts.scheme not in schemes:
        yield f"holds {origin}, expected {' or '.join(schemes)}"
    elif not rule["allow_private"] and _is_private(parts.hostname):
        yield f"holds {origin}, which is no public origin"


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", value) else None


def _pattern_fault(rule: t.Mapping[str, t.Any], value: str) -> t.Iterator[str]:
    if not is_in(re.compile(rule["pattern"]), value):
        yield f"does not match /{rule['pattern']}/"


_FAULTS: dict[str, t.Callable[[t.Mapping[str, t.Any], str], t.Iterator[str]]] = {
    "url": _url_fault,
    "dsn": _dsn_fault,
    "email": _email_fault,
    "origins": _origins_fault,
    "matches": _pattern_fault,
}
_LOOKS: dict[str, t.Callable[[Looked, t.Mapping[str, t.Any], str], Looked]] = {
    **dict.fromkeys(_FAULTS, _looked_at_text),
    **dict.fromkeys(_SECRET_KINDS, _looked_at_secret),
    "number": _looked_at_number,
}


def _alike(values: _Values, names: t.Sequence[str]) -> tuple[tuple[str, ...], ...]:
    by_value: dict[str, list[str]] = {}
    for name in names:
        value = values.get(name)
        if value:
            by_value.setdefault(value, []).append(name)
    return tuple(tuple(group) for group in by_value.values() if len(group) > 1)


def _forbidden(values: _Values, params: t.Mapping[str, t.Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
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
    """The file, then each rule in the list's order, then what holds between variables."""
    for name, message, remedy in facts.problems:
        yield unknown(name, message.rstrip("."), remedy=remedy)
    if facts.mode is not None:
        yield from _judge_file(facts, facts.mode, params)
    if facts.is_stale is not None:
        yield holds(
            "running process",
            not facts.is_stale,
            measured="older than the file" if facts.is_stale else "newer than the file",
            expected="newer than the file",
            sentence=f"{facts.file} was changed after {', '.join(facts.processes)} started",
            remedy="Restart the service, or what was checked is not what runs.",
            level="warn",
        )
    labels = told_apart(rule["name"] for rule in params["rules"])
    for label, rule, seen in zip(labels, params["rules"], facts.looked):
        yield from _judge_rule({**rule, "name": label}, seen, facts.processes)
    if not facts.looked:
        return
    for pattern, names in facts.forbidden:
        yield holds(
            f"values free of /{pattern}/",
            not names,
            measured=", ".join(names) or "none",
            expected="none",
            sentence=f"/{pattern}/ is in the value of {', '.join(names)}",
        )
    if params.get("distinct"):
        yield from _judge_distinct(facts, params)
    yield from env_arithmetic.judge(facts.reckoned, params.get("fits") or ())


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


def _judge_rule(rule: t.Mapping[str, t.Any], seen: Looked, processes: t.Sequence[str]) -> t.Iterator[Criterion]:
    name, kind, level = rule["name"], rule["kind"], rule["level"]
    if kind == "any_of":
        yield from _judge_groups(name, seen, level)
    elif kind == "absent":
        yield one_of(name, "set" if seen.is_set else "not set", ["not set"], level=level)
    elif not seen.is_set or seen.is_empty:
        state = "empty" if seen.is_set else "not set"
        reason = rule.get("optional")
        if reason:
            yield holds(name, True, measured=f"{state} ({reason})", expected="set, or left out for a reason")
        else:
            yield holds(name, False, measured=state, expected="set", sentence=f"{name} is {state}", level=level)
    else:
        if seen.divides:
            yield holds(
                f"{name} among the processes",
                False,
                measured="different",
                expected="the same",
                sentence=f"{name} is not the same in all of {', '.join(processes[:_TOLD])}",
                remedy="Give them one value and restart them, or say by pattern which processes are meant.",
                level=level,
            )
        elif seen.differs:
            yield holds(
                f"{name} in file and process",
                False,
                measured="different",
                expected="the same",
                sentence=f"{name} has one value in the file and another one in the running process",
                remedy="Restart the service, or correct the file.",
                level=level,
            )
        yield from _judge_value(rule, seen)


def _judge_groups(name: str, seen: Looked, level: str) -> t.Iterator[Criterion]:
    complete, half = ", ".join(seen.complete_groups), ", ".join(seen.half_groups)
    yield holds(
        name,
        bool(seen.complete_groups),
        measured=complete or "none",
        expected="at least one complete group",
        sentence=f"{name}: no group is complete",
        level=level,
    )
    yield holds(
        f"{name} half-configured",
        not seen.half_groups,
        measured=half or "none",
        expected="none",
        sentence=f"{name}: half-configured is {half}",
        level=level,
    )


def _judge_value(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    name, kind, level = rule["name"], rule["kind"], rule["level"]
    if kind in _SECRET_KINDS:
        yield from _judge_secret(rule, seen)
    elif kind == "literal":
        yield one_of(name, seen.shown, [rule["value"]], level=level)
    elif kind == "one_of":
        yield one_of(name, seen.shown, rule["allowed"], level=level)
    elif kind == "boolean":
        yield from _judge_boolean(rule, seen)
    elif kind == "number":
        yield from _judge_number(rule, seen)
    elif seen.wrong is not None:
        yield holds(
            name, False, measured=seen.shown or "set", expected=kind, sentence=f"{name} {seen.wrong}", level=level
        )
    else:
        yield holds(name, True, measured=seen.shown or f"set, {seen.length} characters", expected=kind)


def _judge_secret(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    name, level = rule["name"], rule["level"]
    remedy = "Make a new one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'."
    if rule["kind"] == "fernet":
        remedy = "A Fernet key is made by cryptography.fernet.Fernet.generate_key(); what an old key encrypted needs the old key."
        if seen.wrong is not None:
            yield holds(
                f"{name} form",
                False,
                measured="set",
                expected="a Fernet key",
                sentence=f"{name} {seen.wrong}",
                level=level,
                remedy=remedy,
            )
        elif seen.unclear is not None:
            yield unknown(f"{name} round trip", f"{name} looks like a Fernet key, but was not tried: {seen.unclear}")
        else:
            yield holds(f"{name} form", True, measured="encrypts and decrypts", expected="a Fernet key")
    else:
        yield at_least(f"{name} length", seen.length, rule["min_length"], unit="characters", remedy=remedy, level=level)
    if seen.is_placeholder or seen.equals_example:
        what = "a value of the example file" if seen.equals_example else "a placeholder that was never replaced"
        yield holds(
            f"{name} origin",
            False,
            measured=what,
            expected="a value of its own",
            sentence=f"{name} is {what}",
            remedy=remedy,
            level=level,
        )
    yield at_least(
        f"{name} strength",
        seen.strength_bits,
        rule["min_strength_bits"],
        unit="bits (estimated)",
        remedy=remedy,
        level=level,
    )
    if rule.get("fingerprint"):
        yield one_of(
            f"{name} fingerprint",
            seen.fingerprint or "none, as it is weak",
            [rule["fingerprint"]],
            level=level,
            remedy="The key has changed: what the old one encrypted or signed can no longer be read.",
        )


def _judge_boolean(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    said = (seen.shown or "").strip().lower()
    truth = True if said in _TRUE else (False if said in _FALSE else None)
    if truth is None:
        yield holds(rule["name"], False, measured=seen.shown, expected="true or false", level=rule["level"])
        return
    wanted = str(rule["value"]).strip().lower() if rule.get("value") is not None else None
    expected = "true or false" if wanted is None else ("true" if wanted in _TRUE else "false")
    good = wanted is None or truth == (wanted in _TRUE)
    yield holds(rule["name"], good, measured=seen.shown, expected=expected, level=rule["level"])


def _judge_number(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    name, level = rule["name"], rule["level"]
    if seen.number is None:
        yield holds(name, False, measured=seen.shown, expected="a number", level=level)
        return
    if rule.get("value") is not None:
        yield holds(
            name, _number(rule["value"]) == seen.number, measured=seen.number, expected=rule["value"], level=level
        )
    if rule.get("min") is not None:
        yield at_least(f"{name} (lower bound)", seen.number, rule["min"], level=level)
    if rule.get("max") is not None:
        yield at_most(f"{name} (upper bound)", seen.number, rule["max"], level=level)


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Per variable: set or not, from where, length, strength; the value only of those that are no secret."""
    return {
        "file": facts.file or None,
        "file_mode": f"{facts.mode:04o}" if facts.mode is not None else None,
        "processes": list(facts.processes),
        "variables": [
            {
                key: value
                for key, value in dataclasses.asdict(seen).items()
                if value not in (None, "", False, ()) and key not in ("wrong", "number", "unclear")
            }
            for seen in facts.looked
        ],
    }
