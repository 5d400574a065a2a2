# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference system, up for a test, with hands to take it live and eyes to see what changed."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sysconfig
import typing as t
from pathlib import Path

from scenarios import no_go
from scenarios.aftermath import program_pids
from scenarios.workspace import Ended, Facts, Running, Settings, Workspace

VERSION = "2.0.0"


@dataclasses.dataclass(frozen=True)
class System:
    workspace: Workspace
    facts: Facts

    def look(self) -> dict[str, t.Any]:
        """Everything that a release would change, and what it would leave behind."""
        return {
            **no_go.look(self.facts),
            "programs": program_pids(self.facts),
            "maintenance": Path(self.facts["maintenance_flag"]).exists(),
        }

    def golive(self, *options: str) -> Ended:
        return self.workspace.playbook("golive", version=VERSION, options=options)

    def started(self, *options: str) -> Running:
        return self.workspace.start("golive", version=VERSION, options=options)

    def control(self, verb: str, program: str) -> None:
        ctl = [self.facts["supervisorctl"], "-s", f"unix://{self.facts['supervisor_socket']}"]
        subprocess.run([*ctl, verb, program], check=True, capture_output=True)

    def has(self, event: str, step: str | None = None) -> bool:
        return any(entry["event"] == event and step in (None, entry.get("step")) for entry in self.workspace.journal())


@contextlib.contextmanager
def reference_system(collections: Path, folder: Path, *options: str) -> t.Iterator[System]:
    workspace = Workspace(folder / "out", Settings(f"{collections}:{sysconfig.get_paths()['purelib']}"))
    with workspace.stack_of(*options) as facts:
        yield System(workspace, facts)
