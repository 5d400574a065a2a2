# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 100 items of ``checklist_100`` against ``goss validate``, Ansible's own start subtracted. Reported, without a bar."""

from __future__ import annotations

import shutil
import subprocess
import time
import typing as t
from pathlib import Path

import yaml

from tests.benchmarks.checklist_100 import items
from tests.benchmarks.playbook_timing import ITEMS, judge, ping_play, play, quick_http, scratch_playbooks
from tests.parts import CI_MAY_LACK
from tests.servers import HttpServer

NAME = "checklist_goss"
ROUNDS = 3


def gossfile(server: HttpServer) -> dict[str, t.Any]:
    """The same items in goss's words; goss keys by target, so each target is its own."""
    kinds: dict[str, dict[str, t.Any]] = {"file": {}, "addr": {}, "http": {}, "command": {}}
    for number in range(ITEMS):
        if number % 4 == 0:
            kinds["file"][f"item-{number}"] = {"path": "/etc/passwd", "exists": True, "mode": "0644"}
        elif number % 4 == 1:
            kinds["addr"][f"item-{number}"] = {"address": f"tcp://127.0.0.1:{server.port}", "reachable": True}
        elif number % 4 == 2:
            kinds["http"][f"{server.url}/{number}"] = {"status": 200}
        else:
            kinds["command"][f"item-{number}"] = {"exec": "/bin/true", "exit-status": 0}
    return kinds


def run() -> dict[str, t.Any]:
    goss = shutil.which("goss")
    if goss is None:
        return {"name": NAME, "holds": None, "skipped": f"goss is not installed: {CI_MAY_LACK['goss']}"}
    with scratch_playbooks() as playbooks, quick_http() as server:
        written = Path(playbooks.directory, "goss.yaml")
        written.write_text(yaml.safe_dump(gossfile(server)))
        theirs = start = ours = float("inf")
        for unused_round in range(ROUNDS):
            started = time.perf_counter()
            subprocess.run([goss, "--gossfile", str(written), "validate"], stdout=subprocess.DEVNULL, check=True)
            theirs = min(theirs, time.perf_counter() - started)
            ours = min(ours, playbooks.seconds([play([judge(items(server))])]))
            start = min(start, playbooks.seconds([ping_play()]))
    mine = max(ours - start, 0.0)
    return {
        "name": NAME,
        "ours": round(mine, 3),
        "peer": round(theirs, 3),
        "ratio": round(mine / theirs, 2),
        "bar": None,
        "holds": None,
        "unit": "s for 100 items, a playbook with one ping subtracted; peer: goss validate",
    }
