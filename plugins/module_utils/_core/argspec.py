# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs, composed: connection options exist once, and one validator serves modules and checklist items."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

Spec = dict[str, dict[str, t.Any]]
#: mutually_exclusive, required_together, required_one_of, required_if, required_by
Constraints = dict[str, t.Any]

#: Options of a check module that are not part of an item.
STANDALONE: Spec = {
    "enforce": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 10.0},
}

POSTGRES: Spec = {
    "dsn": {"type": "str", "required": True, "no_log": False},
    "password": {"type": "str", "no_log": True},
}

REDIS: Spec = {
    "url": {"type": "str", "required": True, "no_log": False},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
}

S3: Spec = {
    "endpoint_url": {"type": "str"},
    "region": {"type": "str", "default": "us-east-1"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "path"},
}

#: The release's fencing token, on every acting module.
RELEASE: Spec = {"release": {"type": "str", "no_log": False}}

#: Of work that can be long; the action plugin ``acting`` reads them too.
PROGRESS: Spec = {
    "progress": {"type": "str", "choices": ["lines", "quiet"], "default": "lines"},
    "progress_interval": {"type": "float", "default": 10.0},
}


def compose(*parts: Spec) -> Spec:
    """One spec of several; an option that two parts name must be the same in both."""
    whole: Spec = {}
    for part in parts:
        for option, definition in part.items():
            if option in whole and whole[option] != definition:
                raise ValueError(f"option {option} is defined twice, differently")
            whole[option] = definition
    return whole


#: How Ansible says that a value is of a wrong type, at the top, inside of something, and as one of a list.
_WRONG_TYPE = re.compile(
    r"(?P<what>argument|Elements value for option) '(?P<name>[^']*)'(?: found in '(?P<around>[^']*)')? is of type (?P<given>.+?)"
    r"(?: found in '(?P<inside>[^']*)'\.)? and we were unable to convert to (?P<wanted>\w+): .*",
    re.DOTALL,
)
_UNKNOWN_OPTIONS = re.compile(r"(?P<names>.+?)\. Supported parameters include: (?P<known>.+)\.", re.DOTALL)
_KINDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list",
    "dict": "a mapping", "path": "a path",
}  # fmt: skip
_GIVEN = re.compile("|".join(_KINDS))


def _in_words(text: str) -> str:
    """A fault that Ansible found, in the words of a YAML file; what it was given is not shown, it may be a secret."""
    unknown = _UNKNOWN_OPTIONS.fullmatch(text)
    if unknown:
        return f"there is no option {unknown['names']}; there are {unknown['known']}"
    wrong = _WRONG_TYPE.fullmatch(text)
    if wrong is None:
        return text.rstrip(".")
    path = (wrong["around"] or wrong["inside"] or "").replace(" -> ", ".")
    name = f"{path}.{wrong['name']}" if path else wrong["name"]
    given = _GIVEN.search(wrong["given"].lower())  # ansible-core 2.19+ has a type of its own for each of them
    is_one_of_many = wrong["what"] != "argument"
    return (
        f"{'an entry of ' if is_one_of_many else ''}{name} is {_KINDS[given[0]] if given else 'nothing'}, "
        f"expected {_KINDS.get(wrong['wanted'], wrong['wanted'])}"
    )


def validated(spec: Spec, params: t.Mapping[str, t.Any], *, where: str, **constraints: t.Any) -> dict[str, t.Any]:
    """The parameters with types and defaults applied, or BadInput naming ``where`` and every key at fault."""
    result = ArgumentSpecValidator(spec, **constraints).validate(dict(params))
    if result.error_messages:
        raise BadInput(f"{where}: " + "; ".join(_in_words(text) for text in result.error_messages) + ".")
    return t.cast("dict[str, t.Any]", result.validated_parameters)


def _children(definition: t.Mapping[str, t.Any]) -> Spec | None:
    return t.cast("Spec | None", definition.get("options"))


def transform_secrets(
    spec: Spec, params: t.Mapping[str, t.Any], replace: t.Callable[[t.Any], t.Any]
) -> dict[str, t.Any]:
    """A copy of the parameters in which every non-empty ``no_log`` value went through ``replace``."""
    by_name = dict(spec)
    for definition in spec.values():
        by_name.update(dict.fromkeys(definition.get("aliases", ()), definition))
    copied: dict[str, t.Any] = {}
    for name, value in params.items():
        definition = by_name.get(name, {})
        children = _children(definition)
        if definition.get("no_log") and value not in (None, "", [], {}):
            copied[name] = replace(value)
        elif children is not None and isinstance(value, dict):
            copied[name] = transform_secrets(children, value, replace)
        elif children is not None and isinstance(value, list):
            copied[name] = [
                transform_secrets(children, item, replace) if isinstance(item, dict) else item for item in value
            ]
        else:
            copied[name] = value
    return copied


def strings_in(value: t.Any) -> t.Iterator[str]:
    """Every string inside a value: what a scrubber has to learn of a secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, t.Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings_in(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def secrets_in(spec: Spec, params: t.Mapping[str, t.Any]) -> list[str]:
    """All secret strings among the parameters, by the spec's ``no_log``."""
    found: list[str] = []

    def keep(value: t.Any) -> t.Any:
        found.extend(strings_in(value))
        return value

    transform_secrets(spec, params, keep)
    return found
