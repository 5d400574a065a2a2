# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""100 items (file, port, HTTP, command in equal parts) in one task, against the same as 100 stock tasks."""

from __future__ import annotations

import typing as t

from tests.benchmarks.playbook_timing import ITEMS, Task, all_passed, judge, play, quick_http, scratch_playbooks
from tests.servers import HttpServer

BAR = 20.0


def items(server: HttpServer) -> list[dict[str, t.Any]]:
    """The items as our checklist writes them."""
    kinds: list[t.Callable[[int], dict[str, t.Any]]] = [
        lambda number: {"check_host": {"files": [{"path": "/etc/passwd", "mode": "0644"}]}},
        lambda number: {"check_host": {"ports": [{"port": server.port}]}},
        lambda number: {"check_http": {"url": f"{server.url}/{number}"}},
        lambda number: {"check_host": {"commands": [{"argv": ["/bin/true"]}]}},
    ]
    return [
        {"id": f"item-{number}", "title": f"Item {number} holds", **kinds[number % len(kinds)](number)}
        for number in range(ITEMS)
    ]


def stock_tasks(server: HttpServer) -> list[Task]:
    """The same, one stock task each."""
    kinds: list[t.Callable[[int], Task]] = [
        lambda number: {"ansible.builtin.file": {"path": "/etc/passwd", "mode": "0644", "state": "file"}},
        lambda number: {"ansible.builtin.wait_for": {"host": "127.0.0.1", "port": server.port, "timeout": 5}},
        lambda number: {"ansible.builtin.uri": {"url": f"{server.url}/{number}"}},
        lambda number: {"ansible.builtin.command": {"argv": ["/bin/true"]}, "changed_when": False},
    ]
    return [{"name": f"Item {number} holds", **kinds[number % len(kinds)](number)} for number in range(ITEMS)]


def run() -> dict[str, t.Any]:
    with scratch_playbooks() as playbooks, quick_http() as server:
        playbooks.seconds([play([judge(items(server)), all_passed(ITEMS)])])
        ours = playbooks.seconds([play([judge(items(server))])], rounds=3)
        peer = playbooks.seconds([play(stock_tasks(server))])
    return {
        "name": "checklist_100",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(peer / ours, 2),
        "bar": BAR,
        "holds": peer / ours >= BAR,
        "unit": "s for a playbook with 100 items in one task; peer: 100 stock tasks; ratio: peer / ours, at least",
    }
