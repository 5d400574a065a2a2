# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns mean what they mean in a play, over the whole inventory, and the controller is never part of ``all``."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.plugin_utils.host_patterns import Hosts

GROUPS = {
    "all": ["web1", "web2", "db1", "localhost"],
    "ungrouped": ["localhost"],
    "web": ["web1", "web2"],
    "db": ["db1"],
    "empty": [],
}


@pytest.fixture
def hosts() -> Hosts:
    return Hosts(GROUPS, DataLoader())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("controller", ["controller"]), ("localhost", ["controller"]), ("all", ["web1", "web2", "db1"]),
        ("web", ["web1", "web2"]), ("web:!web2", ["web1"]), ("web,db", ["web1", "web2", "db1"]), ("web:&all", ["web1", "web2"]),
        ("web[0]", ["web1"]), ("web*", ["web1", "web2"]), ("~w.b2", ["web2"]), ("db1", ["db1"]),
    ],
)  # fmt: skip
def test_patterns_are_those_of_a_play(hosts: Hosts, pattern: str, found: list[str]) -> None:
    assert hosts.of(pattern) == found
    assert hosts.of(pattern) is hosts.of(pattern)


@pytest.mark.parametrize("pattern", ["nowhere", "empty", "web:!web", "", "ungrouped", "web[9]"])
def test_a_pattern_without_a_host_is_refused(hosts: Hosts, pattern: str) -> None:
    with pytest.raises(BadInput, match=r"matches no host of the inventory|cannot be read"):
        hosts.of(pattern)


def test_a_pattern_that_is_none_is_refused(hosts: Hosts) -> None:
    with pytest.raises(BadInput, match=r"the pattern '~\(' cannot be read"):
        hosts.of("~(")


def test_a_host_that_is_called_like_the_controller_is_refused() -> None:
    with pytest.raises(BadInput, match="has a host named controller"):
        Hosts({"all": ["controller"]}, DataLoader())
