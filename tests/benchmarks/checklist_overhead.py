# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""100 items of 20 ms each in one task, against a playbook with one ping: what does judging cost?"""

from __future__ import annotations

import typing as t

from tests.benchmarks.playbook_timing import (
    ITEMS,
    all_passed,
    judge,
    ping_play,
    play,
    quick_http,
    scratch_playbooks,
)

BAR_SECONDS = 0.5
ROUNDS = 5


def run() -> dict[str, t.Any]:
    with scratch_playbooks() as playbooks, quick_http(delay=0.02) as server:
        checks = [
            {"id": f"item-{number}", "title": f"Item {number} holds", "check_http": {"url": f"{server.url}/{number}"}}
            for number in range(ITEMS)
        ]
        playbooks.seconds([play([judge(checks), all_passed(ITEMS)])])
        ours = peer = float("inf")
        for unused_round in range(ROUNDS):  # in turns, so that a busy machine is busy for both
            ours = min(ours, playbooks.seconds([play([judge(checks)])]))
            peer = min(peer, playbooks.seconds([ping_play()]))
    return {
        "name": "checklist_overhead",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 3),
        "bar": BAR_SECONDS,
        "holds": ours - peer <= BAR_SECONDS,
        "unit": "s for a playbook with 100 items of 20 ms; peer: one ping; bar: seconds more than the peer, at most",
        "seconds_more": round(ours - peer, 3),
    }
