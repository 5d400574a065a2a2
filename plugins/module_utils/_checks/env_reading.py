# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read each place that was asked for, and keep why the rest could not be read."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import env_sources
from ansible_collections.opsready.golive.plugins.module_utils._clients import envfile
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

if t.TYPE_CHECKING:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_unit

Answer = t.TypeVar("Answer")


@dataclasses.dataclass
class Reading:
    """What could be read of all that was asked for, and why the rest could not."""

    run: Run
    file: envfile.EnvFile | None = None
    example: envfile.Parsed | None = None
    running: list[env_sources.Source] = dataclasses.field(default_factory=list)
    containers: env_sources.Containers | None = None
    unit: systemd_unit.Unit | None = None
    problems: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def attempt(self, what: str, read: t.Callable[[], Answer]) -> Answer | None:
        """None where it cannot be read, with its problem noted. Raises BadInput."""
        try:
            return read()
        except BadInput:
            raise
        except GoliveError as problem:
            self.problems.append((what, problem.message, problem.remedy))
            return None

    def env_file(self, what: str, path: str) -> envfile.EnvFile | None:
        return self.attempt(what, lambda: self.run.once(("env file", path), lambda: envfile.read(path)))

    def sources(self) -> list[env_sources.Source]:
        """What counts more first."""
        found = [*self.running, *(self.containers.sources if self.containers else ())]
        if self.unit:
            found.append(
                env_sources.Source(env_sources.UNIT, self.unit.path, self.unit.values, unclear=self.unit.unclear)
            )
        return [*found, env_sources.of_file(self.file)] if self.file else found


def read(params: t.Mapping[str, t.Any], run: Run) -> Reading:
    """Raises BadInput; what else goes wrong is a problem of its place."""
    reading = Reading(run)
    if params.get("file"):
        reading.file = reading.env_file("env file", params["file"])
    if params.get("process"):
        chosen = params["process"]
        reading.running = reading.attempt("running process", lambda: env_sources.of_processes(chosen, run=run)) or []
    if params.get("container"):
        chosen = params["container"]
        reading.containers = reading.attempt("containers", lambda: env_sources.of_containers(chosen, run=run))
    if params.get("unit_file"):
        reading.unit = reading.attempt("unit file", lambda: _unit(params["unit_file"], run))
    if params.get("example_file"):
        example = reading.env_file("example file", params["example_file"])
        reading.example = example.parsed if example else None
    return reading


def _unit(path: str, run: Run) -> systemd_unit.Unit:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import systemd_unit

    return run.once(("systemd unit", path), lambda: systemd_unit.read(path))
