# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan, checklist and verdict over 200 hosts, 5 of them unreachable, against one ping over the same hosts."""

from __future__ import annotations

import typing as t

from tests.benchmarks.playbook_timing import ping_play, play, scratch_playbooks
from tests.servers import RefusedPort

HOSTS = 200
LOST = 5
BAR = 1.5
ROUNDS = 2
UNREACHABLE = 4

CHECKLIST = [
    {
        "id": f"item-{number}",
        "title": f"Item {number} holds",
        "hosts": "fleet",
        "check_host": {"files": [{"path": "/etc/passwd", "mode": "0644"}]},
    }
    for number in range(10)
]


def inventory(lost_port: int) -> str:
    """200 hosts on this machine; to the last five nobody listens."""
    here = [f"host{number:03} ansible_connection=local" for number in range(HOSTS - LOST)]
    lost = [
        f"host{number:03} ansible_connection=ssh ansible_host=127.0.0.1 ansible_port={lost_port}"
        for number in range(HOSTS - LOST, HOSTS)
    ]
    return "\n".join(["localhost ansible_connection=local", "[fleet]", *here, *lost, ""])


def flow() -> list[dict[str, t.Any]]:
    """The three plays; the last one holds the verdict to what it must have seen."""
    named = {"golive_checklist": CHECKLIST}
    counted = {
        "that": [
            f"decided.verdict.counts.unknown == {LOST * len(CHECKLIST)}",
            f"decided.verdict.counts.pass == {(HOSTS - LOST) * len(CHECKLIST)}",
            "decided.verdict.decision == 'NO-GO'",
        ]
    }
    plays = [
        play([{"name": "Plan", "opsready.golive.plan": {}}]),
        play([{"name": "Judge", "opsready.golive.checklist": {}}], "fleet"),
        play(
            [
                {"name": "Decide", "opsready.golive.verdict": {"enforce": False}, "register": "decided"},
                {"name": "It counted every host", "ansible.builtin.assert": counted},
            ]
        ),
    ]
    for part in plays:
        part["vars"] = {**part["vars"], **named}
    return plays


def run() -> dict[str, t.Any]:
    with RefusedPort() as refused, scratch_playbooks(inventory(refused.port)) as playbooks:
        ours = peer = float("inf")
        for unused_round in range(ROUNDS):  # in turns, so that a busy machine is busy for both
            ours = min(ours, playbooks.seconds(flow()))
            peer = min(peer, playbooks.seconds([ping_play("fleet")], codes=(UNREACHABLE,)))
    return {
        "name": "fleet_200",
        "ours": round(ours / HOSTS, 4),
        "peer": round(peer / HOSTS, 4),
        "ratio": round(ours / peer, 3),
        "bar": BAR,
        "holds": ours / peer <= BAR,
        "unit": "s per host for plan, checklist and verdict over 200 hosts, 5 lost; peer: one ping; ratio at most",
    }
