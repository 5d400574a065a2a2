# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places that a service's variables have a value in: a process, a container, a systemd unit, an env file.

Clients of what few items ask for are imported where they are used: unpacked and compiled on every host, they cost more than the check.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import envfile
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

#: What a place is called in a sentence; the next start of the service takes the file's and the unit's.
PROCESS, CONTAINER, UNIT, FILE = "running process", "container", "unit file", "file"

#: The option ``container`` of a check.
CONTAINER_OPTION: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "url": {"type": "str", "default": "unix:///var/run/docker.sock"},
        "name": {"type": "str"},
        "project": {"type": "str"},
        "services": {"type": "list", "elements": "str"},
    },
    "mutually_exclusive": [["name", "project"]],
    "required_one_of": [["name", "project"]],
    "required_by": {"project": ["services"], "services": ["project"]},
}


@dataclasses.dataclass(frozen=True)
class Source:
    """One place and the variables in it. ``since`` is when it took them over, in seconds since 1970."""

    kind: str
    #: ``python3 (4711)``, ``archive-backend-1 (running)``, or a path.
    label: str
    values: t.Mapping[str, str]
    #: Names whose value cannot be seen there, each with why.
    unclear: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    since: float | None = None


@dataclasses.dataclass(frozen=True)
class Containers:
    """The configuration of the containers that are meant, and those of them that are not there."""

    sources: tuple[Source, ...]
    expected: tuple[str, ...]
    missing: tuple[str, ...]


def of_processes(chosen: t.Mapping[str, t.Any], *, run: Run) -> list[Source]:
    """Raises BadInput, Unreachable, Denied, UnexpectedAnswer."""
    key = ("env process", json.dumps(chosen, sort_keys=True))
    return [
        Source(PROCESS, f"{process.name} ({process.pid})", process.values, since=process.started_at)
        for process in run.once(key, lambda: envfile.processes(**chosen))
    ]


def of_file(file: envfile.EnvFile) -> Source:
    """An env file that was read."""
    return Source(FILE, file.path, file.parsed.values)


def of_containers(chosen: t.Mapping[str, t.Any], *, run: Run) -> Containers:
    """What containers are configured with, running or not. Raises BadInput, Unreachable, Denied, TimedOut, UnexpectedAnswer."""
    from ansible_collections.opsready.golive.plugins.module_utils._checks import shared_engine

    url = chosen["url"]
    engine = shared_engine.opened(url, run=run)
    listed = shared_engine.containers(url, run=run)
    if chosen["name"] is not None:
        meant = {f"container {chosen['name']}": [each for each in listed if each.name == chosen["name"]]}
    else:
        own = [each for each in listed if each.project == chosen["project"] and not each.is_one_off]
        meant = {
            f"service {service} of project {chosen['project']}": [each for each in own if each.service == service]
            for service in dict.fromkeys(chosen["services"])
        }
    sources: list[Source] = []
    missing = []
    for called, entries in meant.items():
        there = [source for source in (_of_container(engine, each.id, run) for each in entries) if source]
        sources += there
        if not there:
            missing.append(called)
    return Containers(tuple(sources), tuple(meant), tuple(missing))


def _of_container(engine: t.Any, identity: str, run: Run) -> Source | None:
    """None where it is gone since it was listed."""
    from ansible_collections.opsready.golive.plugins.module_utils._clients import docker

    key = ("check_env", engine.url, "container", identity)
    try:
        told = run.once(key, lambda: engine.inspected("containers", identity, deadline=run.deadline))
        entries = told["Config"].get("Env") or []
        pairs = [entry.partition("=") for entry in entries]
        label = f"{told['Name'].lstrip('/')} ({told['State']['Status']})"
        since = docker.seconds_of(told["Created"])
    except docker.NotThere:
        return None
    except (AttributeError, KeyError, TypeError, ValueError):
        since = None
    if since is None:
        raise UnexpectedAnswer(f"{engine.url} told of container {identity[:12]}, and not as Docker does.")
    return Source(CONTAINER, label, {name: value for name, sign, value in pairs if sign}, since=since)


class Values:
    """The effective values: those of a running process before a container's, a unit's and the file's."""

    def __init__(self, sources: t.Sequence[Source]) -> None:
        self.sources = sources

    def _having(self, name: str) -> list[Source]:
        return [source for source in self.sources if name in source.values]

    def _first(self, name: str) -> Source | None:
        return next((source for source in self.sources if name in source.values or name in source.unclear), None)

    def get(self, name: str) -> str | None:
        """None also where a value is in effect that cannot be seen."""
        first = self._first(name)
        return first.values.get(name) if first else None

    def why_unclear(self, name: str) -> str | None:
        """Why the value in effect cannot be seen; None where it can, and where there is none."""
        first = self._first(name)
        return first.unclear.get(name) if first else None

    def source(self, name: str) -> str:
        first = self._first(name)
        return {PROCESS: "process"}.get(first.kind, first.kind) if first else ""

    def everywhere(self, name: str) -> dict[str, str]:
        """Each value that the name has, with where: one that is in force now may be another after the next start."""
        having = self._having(name)
        kinds: dict[str, list[str]] = {}
        for source in having:
            kinds.setdefault(source.values[name], []).append(short(source.kind))
        everywhere = {short(source.kind) for source in having}
        return {
            value: ""
            if len(kinds) == 1 or set(places) == everywhere
            else f"in the {' and the '.join(dict.fromkeys(places))}"
            for value, places in kinds.items()
        }

    def differing(self, name: str) -> tuple[str, ...]:
        """The kinds of places that have the name, the file first, where they hold more than one value."""
        having = self._having(name)
        if len({source.values[name] for source in having}) < 2:
            return ()
        return tuple(dict.fromkeys(source.kind for source in reversed(having)))

    def divided(self, name: str) -> str:
        """The kind of places that differ among themselves, in their values or in having one; empty where none does."""
        for kind in (PROCESS, CONTAINER):
            if len({source.values.get(name) for source in self.sources if source.kind == kind}) > 1:
                return kind
        return ""

    def is_only_in_file(self, name: str) -> bool:
        """Whether the file has it and a container was made without; a process may read the file by itself."""
        containers = [source for source in self.sources if source.kind == CONTAINER]
        return (
            bool(containers)
            and not any(name in source.values for source in containers)
            and any(name in source.values for source in self.sources if source.kind == FILE)
        )

    def labels(self, kind: str) -> tuple[str, ...]:
        return tuple(source.label for source in self.sources if source.kind == kind)

    def _declared(self) -> t.Sequence[Source]:
        # A process also inherits PATH, HOME and the like, which nobody declared for the service.
        return [source for source in self.sources if source.kind != PROCESS] or self.sources

    def names(self) -> list[str]:
        """What was declared for the service: by its container, its unit or its file, and by its process where there is none of them."""
        return sorted({name for source in self._declared() for name in source.values})

    def unclear_names(self) -> list[str]:
        return sorted(
            {name for source in self._declared() for name in source.unclear if self.why_unclear(name) is not None}
        )


def short(kind: str) -> str:
    """What a place is called in a criterion's name."""
    return "process" if kind == PROCESS else kind
