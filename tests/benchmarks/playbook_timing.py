# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time whole ``ansible-playbook`` runs, as a user would see them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import yaml

from tests.servers import Answer, HttpServer

ROOT = Path(__file__).resolve().parent.parent.parent
ITEMS = 100
Task = t.Dict[str, t.Any]


class PlaybookFailed(RuntimeError):
    """A playbook of a benchmark did not end as it should; the text is the end of its output."""


class Playbooks:
    """A scratch directory with an inventory, in which playbooks are timed."""

    def __init__(self, directory: Path, inventory: str = "localhost ansible_connection=local\n") -> None:
        self.directory = directory
        #: What each of them is told on its command line.
        self.options: list[str] = []
        self.inventory = directory / "inventory"
        self.inventory.write_text(inventory)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build"),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_REMOTE_TEMP": str(directory / "remote"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
        }

    def seconds(self, plays: list[dict[str, t.Any]], *, rounds: int = 1, codes: tuple[int, ...] = (0,)) -> float:
        """The fastest of so many runs; an exit code not in ``codes`` raises."""
        written = self.directory / f"play-{time.monotonic_ns()}.yml"
        written.write_text(yaml.safe_dump(plays, sort_keys=False))
        command = ["ansible-playbook", "-i", str(self.inventory), *self.options, str(written)]
        fastest = float("inf")
        for unused_round in range(rounds):
            started = time.perf_counter()
            ended = subprocess.run(
                command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            fastest = min(fastest, time.perf_counter() - started)
            if ended.returncode not in codes:
                raise PlaybookFailed(f"ended with {ended.returncode}:\n{ended.stdout[-4000:]}")
        return fastest


@contextlib.contextmanager
def scratch_playbooks(inventory: str = "localhost ansible_connection=local\n") -> t.Iterator[Playbooks]:
    with tempfile.TemporaryDirectory(prefix="golive-bench-") as directory:
        yield Playbooks(Path(directory), inventory)


def play(tasks: list[Task], hosts: str = "localhost", **keywords: t.Any) -> dict[str, t.Any]:
    variables = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    return {"hosts": hosts, "gather_facts": False, "vars": variables, **keywords, "tasks": tasks}


def ping_play(hosts: str = "localhost") -> dict[str, t.Any]:
    return play([{"name": "Ping", "ansible.builtin.ping": {}}], hosts)


def all_passed(count: int) -> Task:
    """A task that fails unless the registered checklist judged ``count`` items and passed them all."""
    return {
        "name": "All items passed",
        "ansible.builtin.assert": {"that": [f"judged.counts.pass == {count}"]},
    }


def judge(checks: list[dict[str, t.Any]]) -> Task:
    return {"name": "Judge", "opsready.golive.checklist": {"checks": checks}, "register": "judged"}


@contextlib.contextmanager
def quick_http(delay: float = 0.0) -> t.Iterator[HttpServer]:
    """A server whose every answer is 200, after ``delay`` seconds."""
    with HttpServer({"*": Answer(200, "ok", delay=delay)}) as server:
        yield server
