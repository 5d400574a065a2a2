# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Template a list item by item, so that one undefined variable is one unknown item and not a failed host."""

from __future__ import annotations

import datetime
import hashlib
import re
import typing as t

from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import kind_of
from ansible_collections.opsready.golive.plugins.plugin_utils.spool import as_json

_UNDEFINED = re.compile(
    r"'[^'\n]{1,200}' is undefined|has no attribute '[^'\n]{1,80}'|No (?:filter|test) named '[^'\n]{1,80}'"
    r"|The (?:lookup|filter|test) plugin '[^'\n]{1,80}' failed"
    r'|Could not load "[\w.]{1,80}"'  # a filter or test, on ansible-core 2.18
)


class Undefined(Exception):
    """A value could not be templated; the text names the variable and nothing beside it."""


def plain(value: t.Any, omit: t.Any = None) -> t.Any:
    """A deep copy in JSON's types. On ansible-core 2.19+ containers template on access: this is where they do."""
    if isinstance(value, t.Mapping):
        copied = {str(key): plain(item, omit) for key, item in value.items()}
        return {key: item for key, item in copied.items() if not _is_omit(item, omit)}
    if isinstance(value, (list, tuple)):
        return [item for item in (plain(item, omit) for item in value) if not _is_omit(item, omit)]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):  # what YAML makes of an unquoted time
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float)) or _is_omit(value, omit):
        return value
    return str(value)  # a vault's string, decrypted


def digest_as_written(item: t.Any, defaults: t.Any) -> str:
    """SHA-256 of an item and of the defaults behind its options, before any host has templated them."""
    return hashlib.sha256(as_json([plain(item), plain(defaults)])).hexdigest()


def _is_omit(value: t.Any, omit: t.Any) -> bool:
    return omit is not None and (value is omit or (isinstance(value, str) and isinstance(omit, str) and value == omit))


def templated(templar: t.Any, value: t.Any, omit: t.Any = None) -> t.Any:
    """The value, templated in full. Raises Undefined; Ansible's own message may hold the neighbouring lines."""
    try:
        return plain(templar.template(value), omit)
    except Exception as problem:  # ansible-core 2.18 passes on what an expression or a filter raised
        said = _UNDEFINED.search(str(problem))
        if said:
            raise Undefined(said.group(0)) from None
        where = _first_that_fails(templar, value)
        raise Undefined(
            f"{'the template of ' + where if where else 'a template'} cannot be evaluated ({type(problem).__name__})"
        ) from None


def _first_that_fails(templar: t.Any, value: t.Any, path: str = "") -> str:
    """Where the template stands that cannot be evaluated, such as ``files.0.path``; its text may hold a secret."""
    inner: t.Iterable[tuple[t.Any, t.Any]] = ()
    if isinstance(value, t.Mapping):
        inner = value.items()
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    else:
        try:
            plain(templar.template(value))
        except Exception:  # whatever it was, it is this one
            return path
    found = (_first_that_fails(templar, item, f"{path}.{key}" if path else str(key)) for key, item in inner)
    return next((place for place in found if place), "")


def truth(templar: t.Any, value: t.Any, *, where: str) -> bool:
    """A condition as a real boolean. Raises Undefined for anything else, since 'no' is a true string."""
    if isinstance(value, str):
        expression = value if "{{" in value or "{%" in value else "{{ " + value + " }}"
        value = templated(templar, _with_trust_of(value, expression))
        if value in ("True", "False"):
            value = value == "True"
    if not isinstance(value, bool):
        raise Undefined(f"{where} is {kind_of(value)}, expected a boolean: true, false, or a condition that gives one")
    return value


def _with_trust_of(source: str, expression: str) -> str:
    """ansible-core 2.19+ templates only strings marked as trusted: what was made of a trusted one is trusted too."""
    try:
        from ansible.template import is_trusted_as_template, trust_as_template
    except ImportError:
        return expression
    return t.cast(str, trust_as_template(expression)) if is_trusted_as_template(source) else expression
