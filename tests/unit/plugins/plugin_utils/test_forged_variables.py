# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No extra variable stands for what a run finds out: whatever a playbook or role registers, sets or names for itself."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Refused
from ansible_collections.opsready.golive.plugins.plugin_utils.forged_variables import (
    refuse_forged,
    refuse_roles_variables,
)
from ansible_collections.opsready.golive.plugins.plugin_utils.system_file import SYSTEM_FILE
from tests.playbook import ROOT

FILES = sorted([*(ROOT / "playbooks").rglob("*.yml"), *(ROOT / "roles").glob("*/*/*.yml")])


def _made(node: t.Any) -> t.Iterator[str]:
    """The names that tasks register or set, and those in front of which two underscores say that they are nobody's input."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "register":
                yield value
            elif key == "ansible.builtin.set_fact":
                yield from value
            elif str(key).startswith("__"):
                yield key
            yield from _made(value)
    elif isinstance(node, list):
        for value in node:
            yield from _made(value)
    elif isinstance(node, str):
        yield from re.findall(r"\b__[a-z]\w*", node)


MADE = sorted({name for path in FILES for name in _made(yaml.safe_load(path.read_text(encoding="utf-8")))})


def test_names_are_found_at_all() -> None:
    assert {"__verdict_decided", "__golive_failure", "__settle_world", "golive_release"} <= set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_a_name_that_a_run_makes_is_refused_by_name(name: str) -> None:
    with pytest.raises(Refused, match=rf"^{name} is made by the run itself.* Leave it out of -e\.$"):
        refuse_forged(["golive_version", name])


def test_what_users_give_is_let_through() -> None:
    theirs = [*SYSTEM_FILE, "__name", "__postgresql_version", "backup_notes", "release", "signed_item", "ablage_dir"]
    refuse_forged(theirs)
    refuse_roles_variables(theirs)


def test_every_variable_that_the_playbooks_give_a_role_is_refused_as_an_extra_one() -> None:
    given = yaml.safe_load((ROOT / "playbooks" / "vars" / "roles.yml").read_text(encoding="utf-8"))
    for name in given:
        if not name.startswith("__"):
            with pytest.raises(Refused, match=rf"^{name} is a role's own variable"):
                refuse_roles_variables([name])


def test_all_of_them_are_named_at_once() -> None:
    with pytest.raises(Refused, match=r"^settle_wanted is .*; verdict_enforce is .*\."):
        refuse_roles_variables(["verdict_enforce", "settle_wanted", "golive_system"])
