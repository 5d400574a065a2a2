# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a checklist item may say, and one clear error for each way of saying it wrong."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec, validated
from ansible_collections.opsready.golive.plugins.module_utils._core.attestation import UNBOUND
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils import office_hours

PHASES = ("pre_deploy", "post_start", "smoke", "watch", "post_rollback")
SEVERITIES = ("blocker", "warning")
#: The pattern that means this controller, and never is part of ``all``.
CONTROLLER = "controller"
DEFAULT_TIMEOUT_SECONDS = 10.0

_KEYS = {
    "id", "title", "phase", "severity", "hosts", "satisfies", "owner", "max_age", "timeout", "when", "reason", "sign_off",
}  # fmt: skip
_SIGN_OFF: Spec = {
    "team": {"type": "str", "required": True},
    "expires_after": {"type": "str"},
    "binds_to": {"type": "str", "choices": ["release", "migration_preview", UNBOUND], "default": "release"},
    "asks": {"type": "list", "elements": "str", "default": []},
    "hours": {"type": "dict", "options": office_hours.SPEC},
}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)?")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclasses.dataclass(frozen=True)
class Item:
    """One valid item; ``params`` still holds what the check's own spec judges."""

    id: str
    title: str
    phases: tuple[str, ...]
    severity: str
    hosts: str
    satisfies: tuple[str, ...]
    owner: str
    max_age_seconds: float | None
    timeout_seconds: float
    when: t.Any
    reason: str
    check: str
    params: dict[str, t.Any]
    sign_off: dict[str, t.Any] | None

    def described(self) -> dict[str, t.Any]:
        """What every finding of this item repeats."""
        return {
            "id": self.id,
            "title": self.title,
            "phase": list(self.phases),
            "severity": self.severity,
            "satisfies": list(self.satisfies),
            "owner": self.owner,
        }


def seconds_of(duration: t.Any, *, where: str) -> float:
    """``90``, ``30s``, ``15m``, ``1h``, ``7d``, ``2w`` in seconds. Raises BadInput."""
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        return float(duration)
    match = _DURATION.fullmatch(str(duration).strip())
    if match is None:
        raise BadInput(f"{where} is {duration!r}, expected a duration such as 90s, 15m, 1h or 7d.")
    return float(match[1]) * _UNIT_SECONDS[match[2] or "s"]


def close_match(word: str, known: t.Iterable[str]) -> str:
    """`` (did you mean x?)`` or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _listed(value: t.Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]


def kind_of(value: t.Any) -> str:
    """What a value is, in YAML's words: on ansible-core 2.19+ a list's own type is ``_AnsibleTaggedList``."""
    words: list[tuple[str, tuple[type, ...]]] = [
        ("a mapping", (dict,)), ("a list", (list, tuple)), ("a text", (str,)), ("a boolean", (bool,)),
        ("a number", (int, float)), ("nothing", (type(None),)),
    ]  # fmt: skip
    return next((word for word, types in words if isinstance(value, types)), type(value).__name__)


def label(raw: t.Any, index: int) -> str:
    """How an error names an item: by its id where it has one, by its place otherwise."""
    identity = raw.get("id") if isinstance(raw, t.Mapping) else None
    return f"item {identity}" if isinstance(identity, str) and identity else f"item {index + 1} of the list"


def _key_faults(raw: t.Mapping[str, t.Any], checks: t.Sequence[str]) -> t.Iterator[str]:
    for key in raw:
        if key not in _KEYS and key not in checks:
            yield f"unknown key {key!r}{close_match(str(key), [*_KEYS, *registry.names()])}"
    judged_by = [*checks, *(["sign_off"] if "sign_off" in raw else [])]
    if len(judged_by) != 1:
        yield f"exactly one check_* or sign_off is needed, found {', '.join(judged_by) or 'none'}"
    for key in checks:
        if key not in registry.names():
            yield f"there is no check {key!r}{close_match(key, registry.names())}"


def _value_faults(raw: t.Mapping[str, t.Any], phases: t.Sequence[str], severity: str) -> t.Iterator[str]:
    identity = raw.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        yield "id is missing or not of letters, digits, '.', '_' and '-'"
    if not raw.get("title"):
        yield "title is missing"
    for phase in phases:
        if phase not in PHASES:
            yield f"phase {phase!r} is not one of {', '.join(PHASES)}"
    if not phases:
        yield "phase is empty"
    if severity not in SEVERITIES:
        yield f"severity {severity!r} is not one of {', '.join(SEVERITIES)}"
    if "when" in raw and raw["when"] is not True and not raw.get("reason"):
        yield "when needs a reason: it is what makes an item not applicable"


def parse(raw: t.Any, index: int) -> Item:
    """A valid item, or BadInput that names the item and each key at fault."""
    name = label(raw, index)
    if not isinstance(raw, t.Mapping):
        raise BadInput(f"{name} is {kind_of(raw)}, expected a mapping with id, title and one check.")
    checks = [str(key) for key in raw if isinstance(key, str) and key.startswith("check_")]
    phases = _listed(raw.get("phase", "pre_deploy"))
    severity = str(raw.get("severity", "blocker"))
    params = raw.get(checks[0]) if checks else {}
    params = {} if params is None else params
    faults = [*_value_faults(raw, phases, severity), *_key_faults(raw, checks)]
    if not isinstance(params, t.Mapping):
        faults.append(f"{checks[0]} is {kind_of(params)}, expected a mapping of its options")
        params = {}
    max_age = timeout = None
    sign_off = None
    try:
        if raw.get("max_age") is not None:
            max_age = seconds_of(raw["max_age"], where="max_age")
        timeout = seconds_of(raw.get("timeout", DEFAULT_TIMEOUT_SECONDS), where="timeout")
        if timeout <= 0:
            raise BadInput("timeout is not above 0.")
        if "sign_off" in raw:
            if not isinstance(raw["sign_off"], t.Mapping):
                raise BadInput("sign_off is not a mapping with team.")
            sign_off = validated(_SIGN_OFF, raw["sign_off"], where="sign_off")
            if sign_off["expires_after"]:
                seconds_of(sign_off["expires_after"], where="sign_off.expires_after")
            elif sign_off["binds_to"] == UNBOUND:
                raise BadInput(f"sign_off needs expires_after with binds_to: {UNBOUND}: it would hold for ever.")
            if sign_off["hours"]:
                office_hours.read(sign_off["hours"])
    except BadInput as problem:
        faults.append(problem.message.rstrip("."))
    if faults:
        raise BadInput(f"{name}: {'; '.join(faults)}.")
    return Item(
        id=str(raw["id"]),
        title=str(raw["title"]),
        phases=tuple(phases),
        severity=severity,
        hosts=CONTROLLER if raw.get("hosts") in (None, "localhost") else str(raw["hosts"]),
        satisfies=tuple(_listed(raw.get("satisfies"))),
        owner=str(raw.get("owner", "")),
        max_age_seconds=max_age,
        timeout_seconds=timeout or DEFAULT_TIMEOUT_SECONDS,
        when=raw.get("when", True),
        reason=str(raw.get("reason", "")),
        check=checks[0] if checks else "sign_off",
        params=dict(params),
        sign_off=sign_off,
    )


def unknown_keys(spec: Spec, value: t.Any, path: str = "") -> t.Iterator[str]:
    """Each key that the spec does not have, however deep, in words: ``unknown key 'files.pth' (did you mean path?)``."""
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from unknown_keys(spec, entry, path)
    elif isinstance(value, t.Mapping):
        by_name = {alias: option for name, option in spec.items() for alias in (name, *option.get("aliases", ()))}
        for key, inner in value.items():
            if key not in by_name:
                yield f"unknown key '{path}{key}'{close_match(str(key), by_name)}"
            elif by_name[key].get("options"):
                yield from unknown_keys(by_name[key]["options"], inner, f"{path}{key}.")


def check_keys(item: Item, params: t.Any) -> None:
    """Raise BadInput for keys that the check does not have, however deep; values may still be waiting for a host's variables."""
    unknown = list(dict.fromkeys(unknown_keys(registry.load(item.check).ARGUMENT_SPEC, params)))
    if unknown:
        raise BadInput(f"item {item.id}: {item.check}: {'; '.join(unknown)}.")


def check_params(item: Item, params: t.Mapping[str, t.Any]) -> None:
    """Raise BadInput when the check's own spec refuses the (templated) parameters."""
    check = registry.load(item.check)
    check_keys(item, params)
    validated(check.ARGUMENT_SPEC, params, where=f"item {item.id}: {item.check}", **check.CONSTRAINTS)


def duplicates(items: t.Iterable[Item]) -> list[str]:
    """Ids that stand more than once, in order."""
    seen: dict[str, int] = {}
    for item in items:
        seen[item.id] = seen.get(item.id, 0) + 1
    return [identity for identity, count in seen.items() if count > 1]
