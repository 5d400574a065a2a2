# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference system's checklist on the live archive: one task per host, against a task for each of its items.

Both are judged by the same checks, so the ratio is what one process, one connection and one handshake for all of them bring.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import yaml

from tests.benchmarks.playbook_timing import ROOT, Playbooks, Task, play

EXAMPLE = ROOT / "examples" / "ablage"
VERSION = "2.0.0"
PHASE = "pre_deploy"
ROUNDS = 3


def items() -> list[dict[str, t.Any]]:
    """What is judged before a release of every archive: no signatures, and not what this one has no part for."""
    written = yaml.safe_load((EXAMPLE / "checklist.yml").read_text(encoding="utf-8"))["golive_checklist"]
    return [item for item in written if not {"sign_off", "when"} & set(item) and PHASE in item.get("phase", [PHASE])]


@contextlib.contextmanager
def live_archive() -> t.Iterator[Playbooks]:
    """The archive, ready to be judged, and playbooks that are told of it."""

    def script(name: str, *arguments: str) -> None:
        argv = [sys.executable, str(EXAMPLE / name), *arguments, "--dir", str(folder)]
        subprocess.run(argv, env=playbooks.environment, stdout=subprocess.PIPE, check=True)

    with tempfile.TemporaryDirectory(prefix="golive-bench-") as directory:
        folder = Path(directory) / "archive"
        playbooks = Playbooks(Path(directory), (EXAMPLE / "inventory.yml").read_text(encoding="utf-8"))
        try:
            script("stack.py", "up")
            script("ready.py", VERSION, "--nightly-backup")
            files = [*(folder / name for name in ("facts.yml", "secrets.yml")), EXAMPLE / "system.yml"]
            files += [EXAMPLE / "checklist.yml", folder / "ready" / VERSION / "ready.yml"]
            told = [word for file in files for word in ("-e", f"@{file}")]
            playbooks.options = [*told, "-e", f"golive_version={VERSION}", "-e", "golive_operator=bench"]
            yield playbooks
        finally:
            script("stack.py", "down")


def run() -> dict[str, t.Any]:
    judged = items()

    def judge(name: str, checks: list[dict[str, t.Any]]) -> Task:
        task = {"checks": checks, "phase": PHASE, "timeout": 300}
        return {"name": f"Judge {name}", "opsready.golive.checklist": task, "register": f"judged_{name}"}

    together = [judge("all", judged)]
    apart = [judge(str(number), [item]) for number, item in enumerate(judged)]
    counts = f"[{', '.join(f'judged_{number}.counts' for number in range(len(judged)))}]"
    same = [
        f"({counts} | map(attribute='{status}') | sum) == judged_all.counts.{status}"
        for status in ("pass", "fail", "unknown")
    ]
    with live_archive() as playbooks:
        compared: Task = {"name": "Both judged the same", "ansible.builtin.assert": {"that": same}}
        playbooks.seconds([play([*together, *apart, compared], hosts="app1")])
        ours = peer = float("inf")
        for unused_round in range(ROUNDS):  # in turns, so that a busy machine is busy for both
            ours = min(ours, playbooks.seconds([play(together, hosts="app1")]))
            peer = min(peer, playbooks.seconds([play(apart, hosts="app1")]))
    return {
        "name": "checklist_real",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(peer / ours, 2),
        "bar": None,
        "holds": None,
        "unit": f"s for a playbook with the archive's {len(judged)} items in one task; peer: a task for each; ratio: peer / ours",
        "items": len(judged),
    }
