# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check alone, in a task of its own, against the same question asked with stock modules and ``assert``: one row for each.

It is the question, or the simplest part of what the check answers, that stock modules can ask; a row whose question needs what
this machine lacks says so. The peer has the environment that ``backup_peer_stock`` makes. Reported, without a bar: a checklist
pays for its task once, whatever it holds.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from pathlib import Path

from tests.benchmarks import check_questions_of_files, check_questions_of_services
from tests.benchmarks.backup_peer_stock import environment
from tests.benchmarks.backup_site import ROOT, rounds
from tests.benchmarks.check_question import Asker, PartMissing, Question
from tests.benchmarks.playbook_timing import Playbooks, play

QUESTIONS = {**check_questions_of_files.QUESTIONS, **check_questions_of_services.QUESTIONS}


def checks() -> list[str]:
    """Names of the collection's checks."""
    return sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("check_*.py"))


def run() -> list[dict[str, t.Any]]:
    # A check without a question is told before minutes of measuring.
    askers = {name: QUESTIONS[name] for name in checks()}
    made = environment()
    with tempfile.TemporaryDirectory(prefix="golive-bench-") as folder:
        ours, peer = Playbooks(Path(folder)), Playbooks(Path(folder))
        peer.environment["PATH"] = os.pathsep.join([str(made / "bin"), os.environ.get("PATH", os.defpath)])
        return [_row(ours, peer, name, asker) for name, asker in askers.items()]


def _row(playbooks: Playbooks, stock: Playbooks, name: str, asker: Asker) -> dict[str, t.Any]:
    """Over parts of the check's own, which end with it."""
    directory = playbooks.directory / name
    directory.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            asked = asker(directory, stack)
        except PartMissing as reason:
            return {"name": f"check_overhead: {name}", "skipped": str(reason)}
        return _measured(playbooks, stock, name, asked)


def _measured(playbooks: Playbooks, stock: Playbooks, name: str, asked: Question) -> dict[str, t.Any]:
    task = {"name": name, f"opsready.golive.{name}": asked.options, "register": "answer"}
    passed = {
        "name": "It passed",
        "ansible.builtin.assert": {
            "that": ["answer.finding.status == 'pass'"],
            "fail_msg": "{{ answer.finding.summary }}",
        },
    }
    playbooks.seconds([play([task, passed])])
    ours = peer = float("inf")
    for unused_round in range(rounds(3)):  # in turns, so that a busy machine is busy for both
        ours = min(ours, playbooks.seconds([play([task])]))
        peer = min(peer, stock.seconds([play(asked.stock)]))
    over = f"; both over {asked.stand_in}" if asked.stand_in else ""
    return {
        "name": f"check_overhead: {name}",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(peer / ours, 2),
        "bar": None,
        "holds": None,
        "unit": f"s for a playbook with {name} alone; peer: {', '.join(step['name'] for step in asked.stock)}; ratio: peer / ours{over}",
    }
