# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host patterns over the whole inventory: ``--limit`` never makes an expected finding disappear."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils.checklist_items import CONTROLLER

_HERE = {CONTROLLER, "localhost"}


class Hosts:
    """Resolves each distinct pattern once."""

    def __init__(self, groups: t.Mapping[str, t.Sequence[str]], loader: t.Any) -> None:
        self._manager = InventoryManager(loader=loader, parse=False)
        for group, hosts in groups.items():
            self._manager.add_group(group)
            for host in hosts:
                self._manager.add_host(host, group=group)
        if CONTROLLER in self._manager.hosts:
            raise BadInput(
                f"The inventory has a host named {CONTROLLER}, which in a checklist means this controller: rename it."
            )
        self._resolved: dict[str, list[str]] = {}

    def of(self, pattern: str) -> list[str]:
        """Host names in inventory order; the controller never is part of ``all``. Raises BadInput for none or nonsense."""
        if pattern not in self._resolved:
            if not pattern.strip():  # Ansible takes it for all
                self._resolved[pattern] = []
            elif pattern in _HERE:
                self._resolved[pattern] = [CONTROLLER]
            elif _HERE & set(re.split(r"[,:]\s*", pattern)):
                raise BadInput(f"the pattern {pattern!r} mixes the controller with other hosts: make two items of it")
            else:
                try:
                    found = self._manager.get_hosts(pattern, ignore_limits=True)
                except (AnsibleError, LookupError, ValueError):
                    raise BadInput(f"the pattern {pattern!r} cannot be read") from None
                self._resolved[pattern] = [str(host.name) for host in found if host.name != "localhost"]
        hosts = self._resolved[pattern]
        if not hosts:
            raise BadInput(f"the pattern {pattern!r} matches no host of the inventory")
        return hosts
