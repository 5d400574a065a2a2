# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Template a list item by item, so that one undefined variable is one unknown item and not a failed host."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleError

_UNDEFINED = re.compile(r"'[^'\n]{1,200}' is undefined|has no attribute '[^'\n]{1,80}'")


class Undefined(Exception):
    """A value could not be templated; the text names the variable and nothing beside it."""


def plain(value: t.Any, omit: t.Any = None) -> t.Any:
    """A deep copy in built-in types. On ansible-core 2.19+ containers template on access: this is where they do."""
    if isinstance(value, t.Mapping):
        copied = {str(key): plain(item, omit) for key, item in value.items()}
        return {key: item for key, item in copied.items() if not _is_omit(item, omit)}
    if isinstance(value, (list, tuple)):
        return [item for item in (plain(item, omit) for item in value) if not _is_omit(item, omit)]
    if isinstance(value, str):
        return str(value)
    return value


def _is_omit(value: t.Any, omit: t.Any) -> bool:
    return omit is not None and (value is omit or (isinstance(value, str) and isinstance(omit, str) and value == omit))


def templated(templar: t.Any, value: t.Any, omit: t.Any = None) -> t.Any:
    """The value, templated in full. Raises Undefined; Ansible's own message may hold the neighbouring lines."""
    try:
        return plain(templar.template(value), omit)
    except AnsibleError as problem:
        said = _UNDEFINED.search(str(problem))
        raise Undefined(said.group(0) if said else f"a template cannot be evaluated ({type(problem).__name__})") from None


def truth(templar: t.Any, value: t.Any, *, where: str) -> bool:
    """A condition as a real boolean. Raises Undefined for anything else, since 'no' is a true string."""
    if isinstance(value, str):
        expression = value if "{{" in value or "{%" in value else "{{ " + value + " }}"
        trust = getattr(_trust_tag(), "tag", None)
        value = templated(templar, trust(expression) if trust else expression)
        if value in ("True", "False"):
            value = value == "True"
    if not isinstance(value, bool):
        raise Undefined(f"{where} is {value!r}, expected a boolean")
    return value


def _trust_tag() -> t.Any:
    """ansible-core 2.19+ templates only strings that are marked as trusted; ours come from the user's own file."""
    try:
        from ansible.template import trust_as_template
    except ImportError:
        return None

    class Trust:
        tag = staticmethod(trust_as_template)

    return Trust
