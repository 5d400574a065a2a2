# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the environment variables of a service: set, right for production, secrets strong; in the file and in what runs.

Values that may be secret never leave gather(): facts hold what was found out about them, and of a strong secret the first
eight digits of its SHA-256, so that two releases can be compared.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import math
import re
import typing as t
from urllib.parse import SplitResult, unquote, urlsplit

from ansible_collections.opsready.golive.plugins.module_utils._checks import (
    env_arithmetic,
    env_sources,
    secret_strength,
    units,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import envfile
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, MissingLibrary
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    holds,
    one_of,
    plain,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import are_in, compiled, is_in
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

if t.TYPE_CHECKING:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_unit

NAME = "check_env"
T = t.TypeVar("T")

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
CONSTRAINTS: Constraints = {"required_one_of": [["file", "process", "container", "unit_file"]]}

_SECRET_KINDS = ("secret", "fernet")
#: Processes or containers named in a sentence.
_TOLD = 5
#: Kinds whose value may stand in a report.
_SHOWN_KINDS = ("literal", "one_of", "email", "origins", "number", "boolean")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
#: How old each kind of place is told, and all of that kind.
_BEGAN = {env_sources.PROCESS: "started", env_sources.CONTAINER: "was made"}
_ALL_OF = {env_sources.PROCESS: "processes", env_sources.CONTAINER: "containers"}
_ELSEWHERE = "Judge the running process as well, which has the value that is in force."
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
    #: Where the variable has more than one value: in which kinds of places, the file first.
    differs: tuple[str, ...] = ()
    #: Processes or containers differ among themselves, in their values or in having one: which of the two.
    divides: str = ""
    #: A container was made without what the file has.
    only_in_file: bool = False
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
    #: Names whose value matches a forbidden pattern, per pattern.
    forbidden: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: Names that the example lacks, and names of the example that the file lacks.
    undocumented: tuple[str, ...] | None = None
    left_unset: tuple[str, ...] | None = None
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
        _refuse_unusable_number(rule)
        if rule["kind"] == "any_of" and not all(rule["groups"]):
            raise BadInput(f"rule {rule['name']}: groups holds an empty group.")
    env_arithmetic.refuse_unreadable(params.get("fits") or ())
    _max_mode(params["max_mode"])


def _refuse_unusable_number(rule: t.Mapping[str, t.Any]) -> None:
    if rule["kind"] != "number":
        if rule.get("unit"):
            raise BadInput(f"rule {rule['name']}: unit is for numbers, and its kind is {rule['kind']}.")
        return
    bounds = {option: rule[option] for option in ("min", "max", "value") if rule.get(option) is not None}
    if not bounds:
        raise BadInput(f"rule {rule['name']}: a number needs min, max or value.")
    for option, text in bounds.items():
        _bound(rule, text, option=f"rule {rule['name']}: {option}")


def _bound(rule: t.Mapping[str, t.Any], text: str, *, option: str) -> float:
    """A number in the rule's unit: plain, bytes or seconds. Raises BadInput naming the option."""
    if rule.get("unit") == "size":
        return float(units.size_bytes(text, option=option))
    if rule.get("unit") == "duration":
        return units.span_seconds(text, option=option)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(
            f"{option} is {text!r}, which is not a number.", remedy="With unit it may be a size or a duration."
        )
    return number


@dataclasses.dataclass
class _Read:
    """What could be read of all that was asked for, and why the rest could not."""

    run: Run
    file: envfile.EnvFile | None = None
    example: envfile.Parsed | None = None
    running: list[env_sources.Source] = dataclasses.field(default_factory=list)
    containers: env_sources.Containers | None = None
    unit: systemd_unit.Unit | None = None
    problems: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def attempt(self, what: str, read: t.Callable[[], T]) -> T | None:
        """None where it cannot be read, with its problem noted. Raises BadInput."""
        try:
            return read()
        except BadInput:
            raise
        except GoliveError as problem:
            self.problems.append((what, problem.message, problem.remedy))
            return None

    def env_file(self, what: str, path: str) -> envfile.EnvFile | None:
        return self.attempt(what, lambda: self.run.once(("env file", path), lambda: envfile.read(path)))

    def sources(self) -> list[env_sources.Source]:
        """What counts more first."""
        found = [*self.running, *(self.containers.sources if self.containers else ())]
        if self.unit:
            found.append(
                env_sources.Source(env_sources.UNIT, self.unit.path, self.unit.values, unclear=self.unit.unclear)
            )
        return [*found, env_sources.of_file(self.file)] if self.file else found


def _read(params: t.Mapping[str, t.Any], run: Run) -> _Read:
    read = _Read(run)
    if params.get("file"):
        read.file = read.env_file("env file", params["file"])
    if params.get("process"):
        chosen = params["process"]
        read.running = read.attempt("running process", lambda: env_sources.of_processes(chosen, run=run)) or []
    if params.get("container"):
        chosen = params["container"]
        read.containers = read.attempt("containers", lambda: env_sources.of_containers(chosen, run=run))
    if params.get("unit_file"):
        read.unit = read.attempt("unit file", lambda: _unit(params["unit_file"], run))
    if params.get("example_file"):
        example = read.env_file("example file", params["example_file"])
        read.example = example.parsed if example else None
    return read


def _unit(path: str, run: Run) -> systemd_unit.Unit:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_unit

    return run.once(("systemd unit", path), lambda: systemd_unit.read(path))


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read each place, and look at each variable here, so that no secret goes further. Raises BadInput."""
    _refuse_unusable(params)
    read = _read(params, run)
    file, sources = read.file, read.sources()
    expected, missing = (read.containers.expected, read.containers.missing) if read.containers else ((), ())
    if not sources:
        return Facts(looked=(), expected_containers=expected, missing_containers=missing, problems=tuple(read.problems))
    values = env_sources.Values(sources)
    example = read.example.values if read.example else {}
    run.scrub.learn(_secret_values(values, params))
    return Facts(
        looked=tuple(_looked(rule, values, example) for rule in params["rules"]),
        file=file.path if file else "",
        mode=file.mode if file else None,
        oddities=tuple(str(oddity) for oddity in file.parsed.oddities) if file else (),
        conflicts=tuple(o.name for o in file.parsed.oddities if o.name and "another value" in o.what) if file else (),
        places={source.kind: values.labels(source.kind) for source in sources if source.kind != env_sources.FILE},
        is_stale=_stale(file, sources),
        expected_containers=expected,
        missing_containers=missing,
        left_out=read.unit.left_out if read.unit else None,
        alike=_alike(values, params.get("distinct") or ()),
        missing_distinct=tuple(name for name in params.get("distinct") or () if not values.get(name)),
        reckoned=tuple(env_arithmetic.reckoned(claim, values.get, run=run) for claim in params.get("fits") or ()),
        forbidden=_forbidden(values, params),
        **_documented(read, params),
        not_searched=tuple(name for name in values.unclear_names() if name not in params["forbidden_except"]),
        problems=tuple(read.problems),
    )


def _documented(read: _Read, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What file and example do not have in common, where both could be read and it was asked for."""
    if params["documented"] != "required" or read.file is None or read.example is None:
        return {}
    held, told = read.file.parsed.values, read.example
    excused = {rule["name"] for rule in params["rules"] if rule.get("optional") or rule["kind"] == "absent"}
    return {
        "undocumented": tuple(sorted(held.keys() - told.values.keys() - set(told.commented))),
        "left_unset": tuple(sorted(told.values.keys() - held.keys() - excused)),
    }


def _stale(file: envfile.EnvFile | None, sources: t.Sequence[env_sources.Source]) -> dict[str, bool]:
    if file is None:
        return {}
    # A second of slack: start times come in clock ticks after a boot time in whole seconds.
    is_older = [(source.kind, source.since + 1 < file.changed_at) for source in sources if source.since is not None]
    return {kind: any(older for other, older in is_older if other == kind) for kind, _older in is_older}


def _secret_values(values: env_sources.Values, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for rule in params["rules"]:
        for value in values.everywhere(rule["name"]):
            if rule["kind"] in _SECRET_KINDS and len(value) >= _SHORTEST_LEARNED:
                yield value
            elif rule["kind"] in ("dsn", "url", "origins"):
                parts = _split(value)
                password = unquote(parts.password or "") if parts else ""
                if len(password) >= _SHORTEST_LEARNED:
                    yield password


def _looked(rule: t.Mapping[str, t.Any], values: env_sources.Values, example: t.Mapping[str, str]) -> Looked:
    name, kind = rule["name"], rule["kind"]
    value = values.get(name)
    if kind == "any_of":
        return _looked_at_groups(rule, values)
    if value is None:
        return Looked(name, unclear=values.why_unclear(name))
    seen = Looked(
        name,
        is_set=True,
        is_empty=not value.strip(),
        source=values.source(name),
        length=len(value),
        shown=value if kind in _SHOWN_KINDS else None,
        differs=values.differing(name),
        divides=values.divided(name),
        only_in_file=values.is_only_in_file(name),
        equals_example=kind in _SECRET_KINDS and bool(value) and value in example.values(),
    )
    if seen.is_empty or kind not in _LOOKS:
        return seen
    return _LOOKS[kind](seen, rule, value)


def _looked_at_number(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    if not rule.get("unit"):
        return dataclasses.replace(seen, number=_number(value))
    try:
        return dataclasses.replace(seen, number=_bound(rule, value, option=seen.name))
    except BadInput:  # it is the variable that is wrong, not an option
        return seen


def _looked_at_text(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    faults = [fault for fault in _FAULTS[rule["kind"]](rule, value) if fault]
    shown = _without_secrets(value) if rule["kind"] in ("url", "dsn") else seen.shown
    return dataclasses.replace(seen, wrong=faults[0] if faults else None, shown=shown)


def _looked_at_groups(rule: t.Mapping[str, t.Any], values: env_sources.Values) -> Looked:
    complete, half = [], []
    for name in (str(name) for group in rule["groups"] for name in group):
        why = values.why_unclear(name)
        if why:
            return Looked(rule["name"], unclear=f"depends on {name}, which {why}")
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
    """The file, then each rule in the list's order, then what holds between variables."""
    for name, message, remedy in facts.problems:
        yield unknown(name, message.rstrip("."), remedy=remedy)
    if facts.mode is not None:
        yield from _judge_file(facts, facts.mode, params)
    yield from _judge_documentation(facts, params)
    if facts.expected_containers:
        yield _judge_containers(facts)
    if facts.left_out is not None:
        yield _judge_unit(facts.left_out, params["unit_file"])
    for kind, is_stale in facts.is_stale.items():
        yield holds(
            kind,
            not is_stale,
            measured="older than the file" if is_stale else "newer than the file",
            expected="newer than the file",
            sentence=f"{facts.file} was changed after {', '.join(facts.places[kind])} {_BEGAN[kind]}",
            remedy="Restart the service, or what was checked is not what runs.",
            level="warn",
        )
    labels = told_apart(rule["name"] for rule in params["rules"])
    for label, rule, seen in zip(labels, params["rules"], facts.looked):
        yield from _judge_rule({**rule, "name": label}, seen, facts.places)
    if not facts.looked:
        return
    for pattern, names in facts.forbidden:
        if facts.not_searched and not names:
            yield unknown(
                f"values free of /{pattern}/",
                f"{', '.join(facts.not_searched)} cannot be searched for /{pattern}/",
                remedy=_ELSEWHERE,
            )
            continue
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


def _judge_documentation(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if facts.undocumented is None or facts.left_unset is None:
        return
    undocumented, left_unset = ", ".join(facts.undocumented), ", ".join(facts.left_unset)
    yield holds(
        "documented variables",
        not undocumented,
        measured=undocumented or "all",
        expected="all",
        sentence=f"{params['example_file']} does not tell of {undocumented}",
        remedy="Write it into the example, without its value, or take it out of the file.",
    )
    yield holds(
        "variables of the example",
        not left_unset,
        measured=f"without {left_unset}" if left_unset else "all",
        expected="all",
        sentence=f"{facts.file} lacks {left_unset}, which {params['example_file']} has",
        remedy="Set it, or comment it out in the example where the application can do without.",
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


def _judge_rule(
    rule: t.Mapping[str, t.Any], seen: Looked, places: t.Mapping[str, t.Sequence[str]]
) -> t.Iterator[Criterion]:
    name, kind, level = rule["name"], rule["kind"], rule["level"]
    if seen.unclear and not seen.is_set:
        yield unknown(name, f"{name} {seen.unclear}", remedy=_ELSEWHERE)
    elif kind == "any_of":
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
        yield from _judge_agreement(name, seen, places, level)
        yield from _judge_value(rule, seen)


def _judge_agreement(
    name: str, seen: Looked, places: t.Mapping[str, t.Sequence[str]], level: str
) -> t.Iterator[Criterion]:
    """Nothing where all places that have the variable have one value."""
    if seen.divides:
        yield holds(
            f"{name} among the {_ALL_OF[seen.divides]}",
            False,
            measured="different",
            expected="the same",
            sentence=f"{name} is not the same in all of {', '.join(places[seen.divides][:_TOLD])}",
            remedy="Give them one value and restart them, or say more narrowly which are meant.",
            level=level,
        )
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
        first, *others, last = seen.differs
        told = f"one value in the {first} and another one in the {last}"
        if others:
            told = f"not one value in the {', the '.join([first, *others])} and the {last}"
        yield holds(
            f"{name} in {' and '.join(env_sources.short(kind) for kind in seen.differs)}",
            False,
            measured="different",
            expected="the same",
            sentence=f"{name} has {told}",
            remedy="Restart the service, or correct the file.",
            level=level,
        )


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


#: What a number is called by its unit, and how it is written.
_MEASURES: dict[str | None, tuple[str, t.Callable[[float], t.Any]]] = {
    None: ("a number", lambda number: number),
    "size": ("a size such as 512MB or 1GiB", lambda number: units.size_text(int(number))),
    "duration": ("a span of time such as 30s or 15m", units.span_text),
}


def _judge_number(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    name, level, number = rule["name"], rule["level"], seen.number
    called, told = _MEASURES[rule.get("unit")]
    if number is None:
        yield holds(name, False, measured=seen.shown, expected=called, level=level)
        return
    value, lowest, highest = (
        None if rule.get(option) is None else _bound(rule, rule[option], option=option)
        for option in ("value", "min", "max")
    )
    measured = told(number)
    if value is not None:
        yield holds(name, number == value, measured=measured, expected=rule["value"], level=level)
    if lowest is not None:
        expected = f"at least {plain(told(lowest))}"
        yield holds(f"{name} (lower bound)", number >= lowest, measured=measured, expected=expected, level=level)
    if highest is not None:
        expected = f"at most {plain(told(highest))}"
        yield holds(f"{name} (upper bound)", number <= highest, measured=measured, expected=expected, level=level)


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
