# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task's process whose Ansible was killed, as Ansible makes it: forked by multiprocessing, in a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import typing as t
from pathlib import Path

import pytest

from tests.servers import await_true, is_alive

ROOT = Path(__file__).resolve().parents[4]
#: Both outlast the test, which ends them.
CONTROLLER = """
import multiprocessing, os, pathlib, sys, time
from ansible_collections.opsready.golive.plugins.plugin_utils.controller import end_with_controller

here = pathlib.Path(sys.argv[1])

def work():
    os.setsid()
    (here / "new").write_text(str(os.getpid()))
    (here / "new").rename(here / "pid")
    while not (here / "done").exists():
        time.sleep(0.01)
    end_with_controller()
    (here / "went on").touch()
    time.sleep(120)

multiprocessing.get_context("fork").Process(target=work).start()
time.sleep(120)
"""


class Run(t.NamedTuple):
    controller: subprocess.Popen[bytes]
    folder: Path
    worker: int


@pytest.fixture
def run(tmp_path: Path) -> t.Iterator[Run]:
    controller = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CONTROLLER), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "build")},
    )
    worker = tmp_path / "pid"
    try:
        await_true(worker.exists, seconds=60, what="The worker")
        made = Run(controller, tmp_path, int(worker.read_text()))
        yield made
    finally:
        controller.kill()
        controller.wait()
        if worker.exists():
            subprocess.run(["kill", "-KILL", worker.read_text()], check=False, capture_output=True)


def test_it_goes_on_as_long_as_ansible_lives(run: Run) -> None:
    (run.folder / "done").touch()
    await_true((run.folder / "went on").exists, seconds=60, what="The rest of the task")
    time.sleep(0.2)  # long enough for what must not happen
    assert is_alive(run.worker)
    run.controller.kill()
    run.controller.wait()
    await_true(lambda: not is_alive(run.worker), seconds=60, what="Its end with Ansible")


def test_it_ends_where_ansible_was_killed_before_the_module_was_done(run: Run) -> None:
    run.controller.kill()
    run.controller.wait()
    time.sleep(0.2)  # long enough for what must not happen
    assert is_alive(run.worker)  # the module's work is not cut short
    (run.folder / "done").touch()
    await_true(lambda: not is_alive(run.worker), seconds=60, what="Its end")
    assert not (run.folder / "went on").exists()


def test_without_a_process_of_ansibles_nothing_happens() -> None:
    asked = "from ansible_collections.opsready.golive.plugins.plugin_utils import controller as c; c.end_with_controller(); print(1)"
    ended = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "PYTHONPATH": str(ROOT / "build")},
        capture_output=True,
        check=True,
    )
    assert ended.stdout == b"1\n"
