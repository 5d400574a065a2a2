# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables that would stand for what a run finds out: Ansible lets ``-e`` beat ``register`` and ``set_fact`` without a word."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.common.yaml import yaml_load

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Refused
from ansible_collections.opsready.golive.plugins.plugin_utils.system_file import OWN

#: The variable by which our own playbooks are known; in others a role's variables are for -e to set.
OUR_PLAYBOOKS = "__golive_playbooks"
_COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ROLES = os.path.join(_COLLECTION, "roles")


def refuse_forged(extra_vars: t.Iterable[str]) -> None:
    """Raise Refused where an extra variable has a name that only our playbooks and roles give: what they registered, or a token."""
    prefixes = tuple(f"__{name}_" for name in ("golive", *_roles()))
    _refuse(
        (name for name in extra_vars if name in OWN or name.startswith(prefixes)),
        "is made by the run itself, and an extra variable would stand in its place",
        "Leave it out of -e.",
    )


def refuse_roles_variables(extra_vars: t.Iterable[str]) -> None:
    """Raise Refused where an extra variable is a role's own: it would beat what the playbooks give the role, step for step."""
    _refuse(
        (name for name in extra_vars if name in _given_to(name.partition("_")[0])),
        "is a role's own variable, and as an extra variable it would beat what the playbooks give that role",
        "Leave it out of -e: the playbooks take golive_* alone, and a limit of a role, such as checklist_timeout, from the inventory.",
    )


def _refuse(names: t.Iterable[str], why: str, remedy: str) -> None:
    found = sorted(names)
    if found:
        raise Refused("; ".join(f"{name} {why}" for name in found) + ".", remedy=remedy)


def _roles() -> list[str]:
    return sorted(os.listdir(_ROLES))


def _given_to(role: str) -> set[str]:
    """The variables that a role of ours documents, and those that our playbooks name as its own; none for another name."""
    if role not in _roles():
        return set()
    specs = _read(_ROLES, role, "meta", "argument_specs.yml")["argument_specs"]
    given = _read(_COLLECTION, "playbooks", "vars", "roles.yml")
    return {name for entry in specs.values() for name in entry.get("options") or {}} | set(given)


def _read(*parts: str) -> t.Any:
    with open(os.path.join(*parts), encoding="utf-8") as stream:
        return yaml_load(stream)
