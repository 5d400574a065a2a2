# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services action asks of whatever runs a system's processes: supervisor, Compose, Kubernetes, systemd."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline

#: What a service can be doing. ``failed`` has ended by itself or cannot be started; ``restarting`` is a crash loop.
STATES = ("running", "starting", "stopping", "stopped", "restarting", "failed", "unknown")
#: States in which there is something to stop.
ALIVE = frozenset({"running", "starting", "stopping", "restarting"})


@dataclasses.dataclass(frozen=True)
class ServiceStatus:
    """One service as its manager sees it. ``started_at`` is seconds since 1970; ``container_id`` and the id of its ``image`` are a container's."""

    name: str
    state: str
    pid: int | None = None
    started_at: float | None = None
    exit_code: int | None = None
    exit_signal: str | None = None
    command_sha256: str | None = None
    container_id: str | None = None
    image: str | None = None
    detail: str = ""

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE

    @property
    def ended(self) -> str:
        """How it ended: ``0``, ``137``, ``SIGKILL``; empty while it runs or where nobody knows."""
        if self.exit_signal:
            return self.exit_signal
        return "" if self.exit_code is None else str(self.exit_code)

    @property
    def was_killed(self) -> bool:
        """Ended by force: by SIGKILL itself, or as a shell or container reports it."""
        return self.exit_signal == "SIGKILL" or self.exit_code in (137, -9)


@dataclasses.dataclass(frozen=True)
class Deployed:
    """Which version would run if everything were started now. ``digest`` names its scheme: ``sha256:…``, ``tree:…``, ``git:…`` or ``images:…``."""

    version: str | None
    digest: str | None


@dataclasses.dataclass(frozen=True)
class StopTerms:
    """How a service is stopped: the signal that it is sent first, and how long it may take before it is killed."""

    signal: str | None = None
    grace_seconds: float | None = None


class Versions(t.Protocol):
    """What a system's versions are: folders behind a link, commits of a working tree, images of containers."""

    def deployed(self) -> Deployed:
        """Which version the next start runs."""

    def snapshot(self) -> dict[str, t.Any]:
        """What restore() needs to bring this version back."""

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        """Make the wanted version available here, verified, without running it: ``changed``, version, digest, bytes."""

    def require_available(self, version: str) -> str:
        """The digest of a version that is here, unchanged since it was pulled. Raises Refused."""

    def select(self, version: str) -> None:
        """Make this version the one that the next start runs. Raises Refused where it is not available."""

    def selected_at(self) -> float | None:
        """When the deployed version was selected, seconds since 1970; None where that cannot be told."""

    def require_restorable(self, kept: t.Mapping[str, t.Any]) -> None:
        """That restore() would find all that it needs; changes nothing. Raises Refused."""

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        """Make what snapshot() returned the version that the next start runs."""


class ServiceManager(Versions, t.Protocol):
    """One kind of process manager. Its methods raise the one error family and return plain data."""

    def expand(self, services: t.Sequence[str], *, deadline: Deadline) -> list[str]:
        """The single services that these names mean, in order. Raises BadInput for one that is not there."""

    def status(self, service: str, *, deadline: Deadline) -> ServiceStatus:
        """What a service does now."""

    def ask_start(self, service: str, *, deadline: Deadline) -> None:
        """Have it started; does not wait."""

    def ask_stop(self, service: str, *, deadline: Deadline) -> None:
        """Have it stopped with its own stop signal; does not wait."""

    def require_renewable(self, service: str, *, deadline: Deadline) -> None:
        """Read the manager's own configuration anew, and look whether this entry can be made of it; changes nothing that runs.

        Raises Refused.
        """

    def renew(self, service: str, *, deadline: Deadline) -> None:
        """Put what this entry names, which is stopped, back as the configuration has it now."""

    def stop_terms(self, service: str, *, deadline: Deadline) -> StopTerms:
        """How it will be stopped; None where the manager does not say."""
