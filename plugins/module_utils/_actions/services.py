# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a system's services from one version to another, and back: kept before, stopped in order, started behind gates."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import json
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import http_expectation, kept_files, store_gates
from ansible_collections.opsready.golive.plugins.module_utils._actions.artefacts import Artefact
from ansible_collections.opsready.golive.plugins.module_utils._actions.comparison import Comparison
from ansible_collections.opsready.golive.plugins.module_utils._actions.docker_services import (
    DockerServices,
    MountedCode,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.probe_process import start_ticks
from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import (
    Deployed,
    ServiceManager,
    ServiceStatus,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.supervisor_services import SupervisorServices
from ansible_collections.opsready.golive.plugins.module_utils._actions.working_tree import WorkingTree
from ansible_collections.opsready.golive.plugins.module_utils._clients import sockets
from ansible_collections.opsready.golive.plugins.module_utils._clients.http import host_and_port, resolved
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCK, Deadline, poll, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Ended,
    GoliveError,
    Refused,
    TimedOut,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token, held
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import write_whole

#: Names that mean data: law 12 keeps a deploy from stopping them.
STATEFUL = [
    "elasticsearch",
    "mariadb",
    "minio",
    "mongodb",
    "mysql",
    "nats",
    "postgres",
    "postgresql",
    "rabbitmq",
    "redis",
    "valkey",
]

ARGUMENT_SPEC: Spec = compose(
    RELEASE,
    {
        "state": {
            "type": "str",
            "required": True,
            "choices": ["snapshot", "pulled", "stopped", "started", "restarted", "status", "restored"],
        },
        "manager": {"type": "str", "default": "supervisor", "choices": ["supervisor", "docker"]},
        "services": {"type": "list", "elements": "str", "default": []},
        "supervisor": {
            "type": "dict",
            "options": {
                "server": {"type": "str", "required": True},
                "username": {"type": "str"},
                "password": {"type": "str", "no_log": True},
            },
        },
        "docker": {
            "type": "dict",
            "options": {
                "url": {"type": "str", "default": "unix:///var/run/docker.sock"},
                "images": {"type": "dict"},
            },
        },
        "artefact": {
            "type": "dict",
            "options": {
                "src": {"type": "path"},
                "sha256": {"type": "str"},
                "version": {"type": "str"},
                "releases_dir": {"type": "path", "required": True},
                "current": {"type": "path", "required": True},
                "strip_components": {"type": "int", "default": 0},
            },
        },
        "working_tree": {
            "type": "dict",
            "options": {
                "path": {"type": "path", "required": True},
                "version": {"type": "str"},
                "commit": {"type": "str"},
                "untracked": {"type": "str", "choices": ["refused", "ignored"], "default": "refused"},
                "docker": {"type": "str"},
            },
            "required_by": {"commit": ["version"]},
        },
        "files": {"type": "list", "elements": "path", "default": []},
        "snapshot_dir": {"type": "path"},
        "gates": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"service": {"type": "str"}, **store_gates.GATE},
            "mutually_exclusive": [store_gates.KINDS],
            "required_one_of": [store_gates.KINDS],
        },
        "start_timeout": {"type": "float", "default": 60.0},
        "stop_timeout": {"type": "float", "default": 60.0},
        "max_restarts": {"type": "int", "default": 0},
        "allowed_exits": {"type": "list", "elements": "str", "default": ["0", "143", "SIGTERM"]},
        "on_bad_exit": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        "ports_closed": {"type": "list", "elements": "str", "default": []},
        "stateful": {"type": "list", "elements": "str", "default": []},
        "allow_stateful": {"type": "bool", "default": False},
        "recreate": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 300.0},
    },
)
CONSTRAINTS: dict[str, t.Any] = {
    "mutually_exclusive": [
        ("artefact", "working_tree"),
        ("artefact", "docker"),
        ("supervisor", "docker"),
    ],
    "required_if": [
        ("state", "pulled", ("artefact", "working_tree", "docker"), True),
        ("state", "snapshot", ("snapshot_dir",)),
        ("state", "restored", ("snapshot_dir",)),
        ("manager", "docker", ("docker",)),
        *(
            ("state", state, ("supervisor", "docker"), True)
            for state in ("stopped", "started", "restarted", "status", "snapshot", "restored")
        ),
    ],
}

_SNAPSHOT = "snapshot.json"
#: How often a manager is asked for a state that is awaited, in seconds.
_STEP = 0.05
#: Supervisor gives a process's start in whole seconds.
_START_RESOLUTION = 1.0
#: How long a name may take to be resolved, and a port to answer, each time that it is tried.
_RESOLVE_SECONDS = 5.0
_KNOCK_SECONDS = 1.0


class Work:
    """One call: its options, its manager, its single services in order, and the comparison that its result comes from."""

    def __init__(self, context: Context, token: Token | None) -> None:
        self.context = context
        self.params = context.params
        self.token = token
        self.deadline = Deadline(self.params["timeout"])
        self.comparison = Comparison()
        tree, artefact = self.params["working_tree"], self.params["artefact"]
        engine = self.params["docker"]
        if engine and self.params["manager"] != "docker":
            raise BadInput("docker is given, and manager is not docker.")
        if tree and engine:
            tree = {**tree, "docker": tree["docker"] or engine["url"]}
        self.tree = WorkingTree(tree, deadline=self.deadline) if tree else None
        self.containers: DockerServices | None = None
        self.manager: ServiceManager
        self._named: WorkingTree | Artefact | DockerServices | None
        if engine:
            names, deadline = self.params["services"], self.deadline
            self.manager = self._named = self.containers = (
                MountedCode(engine, names, self.tree, deadline=deadline)
                if self.tree
                else DockerServices(engine, names, deadline=deadline)
            )
        else:
            versions = self._named = self.tree or (Artefact(artefact) if artefact else None)
            self.manager = SupervisorServices(self.params["supervisor"] or {"server": "unix:///nowhere"}, versions)
        self.names: list[str] = []

    def close(self) -> None:
        if self.containers is not None:
            for note in self.containers.notes:
                self.context.warn(note)
            self.containers.close()

    def expand(self) -> None:
        """Raises BadInput for an empty list: nothing would be done, and nothing proven."""
        if not self.params["services"]:
            raise BadInput("services is empty.")
        self.names = self.manager.expand(self.params["services"], deadline=self.deadline)

    @property
    def wanted(self) -> str | None:
        """The version that is asked for by name, where one is."""
        return self._named.version if self._named else None

    def told_versions(self) -> dict[str, t.Any]:
        """The working tree or the images as they are now, where the versions are of those."""
        tree = {"working_tree": self.tree.told()} if self.tree else {}
        return {**tree, "images": self.containers.told()} if self.containers and self.names else tree

    def settle(self) -> None:
        """End or take back what a run that was killed left halfway, and note it. In check mode it is only noted."""
        if self.containers is not None:
            for name, becomes in self.containers.unsettled().items():
                self.comparison.add(f"container {name}", "there", f"named {becomes}" if becomes else "removed")
            if not self.context.check_mode:
                self.containers.settle()

    def restore(self, folder: str, kept: t.Mapping[str, t.Any]) -> None:
        """The version that a snapshot in this folder has. Raises as the manager does."""
        if self.containers is not None and not self.tree:
            self.containers.restore_from(folder, kept)
        else:
            self.manager.restore(kept)

    def status(self, name: str) -> ServiceStatus:
        return self.manager.status(name, deadline=self.deadline)

    def statuses(self) -> dict[str, ServiceStatus]:
        return {name: self.status(name) for name in self.names}


def told(status: ServiceStatus) -> dict[str, t.Any]:
    """A service's status as plain data; times in RFC 3339."""
    plain = dataclasses.asdict(status)
    if status.started_at is not None:
        plain["started_at"] = utc_text(datetime.datetime.fromtimestamp(status.started_at, datetime.timezone.utc))
    return plain


def told_deployed(deployed: Deployed) -> dict[str, t.Any]:
    return dataclasses.asdict(deployed)


# ---- status


def status(work: Work) -> dict[str, t.Any]:
    """What the services do now. With a snapshot's folder also whether that could be restored; raises Refused."""
    work.expand()
    kept = _read_snapshot(work.params["snapshot_dir"]) if work.params["snapshot_dir"] else None
    if kept is not None:
        kept_files.require_copies(kept["files"], work.params["snapshot_dir"])
        work.manager.require_restorable(kept["version"])
    statuses = work.statuses()
    return {
        "changed": False,
        "services": [told(each) for each in statuses.values()],
        "deployed": told_deployed(work.manager.deployed()),
        "all_running": all(each.state == "running" for each in statuses.values()),
        "all_stopped": not any(each.is_alive for each in statuses.values()),
        **work.told_versions(),
    }


# ---- snapshot and the way back


def _read_snapshot(folder: str) -> dict[str, t.Any] | None:
    try:
        with open(os.path.join(folder, _SNAPSHOT), encoding="utf-8") as source:
            snapshot = json.load(source)
        return t.cast("dict[str, t.Any]", snapshot)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise Refused(f"The snapshot in {folder} cannot be read: {type(problem).__name__}.")


def snapshot(work: Work) -> dict[str, t.Any]:
    """Keep what is needed to come back, before the first change. A release's own snapshot is never taken twice."""
    work.expand()
    folder = work.params["snapshot_dir"]
    release = work.token.release if work.token else None
    existing = _read_snapshot(folder)
    now = {
        "release": release,
        "services": [told(each) for each in work.statuses().values()],
        "deployed": told_deployed(work.manager.deployed()),
        "version": work.manager.snapshot(),
    }
    if existing is not None:
        kept_files.require_copies(existing["files"], folder)
        same_release = release is not None and existing["release"] == release
        if not same_release and not _still_holds(existing, now, work.params["files"]):
            raise Refused(
                f"{folder} holds a snapshot of {existing['taken_at']} (release {existing['release']}), and the system is not as "
                f"it was then.",
                remedy="Give each release a folder of its own.",
            )
        return {"changed": False, "snapshot": existing, **work.told_versions()}
    if work.context.check_mode:
        files = kept_files.followed(work.params["files"])
        return {"changed": True, "snapshot": {**now, "files": files, "taken_at": None}, **work.told_versions()}
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    if work.containers is not None and not work.tree:
        work.containers.write_recipes(folder)
    taken = {
        "schema": 1,
        "taken_at": utc_text(CLOCK.now()),
        **now,
        "files": kept_files.keep(work.params["files"], folder),
    }
    write_whole(os.path.join(folder, _SNAPSHOT), json.dumps(taken, indent=1, sort_keys=True).encode(), mode=0o600)
    return {"changed": True, "snapshot": taken, **work.told_versions()}


def _still_holds(existing: t.Mapping[str, t.Any], now: t.Mapping[str, t.Any], paths: t.Sequence[str]) -> bool:
    if existing["version"] != now["version"] or existing["deployed"] != now["deployed"]:
        return False
    if kept_files.listed_paths(existing["files"]) != list(paths):
        return False
    return all(kept_files.same(entry, kept_files.described(entry["path"])) for entry in existing["files"])


def restored(work: Work) -> dict[str, t.Any]:
    """Put files and version back as the snapshot has them; starts nothing."""
    work.expand()
    folder = work.params["snapshot_dir"]
    kept = _read_snapshot(folder)
    if kept is None:
        raise Refused(f"There is no snapshot in {folder}, so there is nothing to go back to.")
    kept_files.require_copies(kept["files"], folder)
    before = work.manager.deployed()
    if work.tree:
        # A tag may have been moved since, and names no version then.
        work.comparison.add("commit", before.digest, kept["deployed"]["digest"])
    else:
        work.comparison.add("version", before.version, kept["deployed"]["version"])
    differing = []
    for entry in kept["files"]:
        now = kept_files.described(entry["path"])
        work.comparison.add(entry["path"], kept_files.shown(now), kept_files.shown(entry))
        if not kept_files.same(entry, now):
            differing.append(entry)
    alive = [name for name, each in work.statuses().items() if each.is_alive]
    if alive and work.comparison.is_changed:
        raise Refused(
            f"{', '.join(alive)} still runs: files are not changed under a running service.",
            remedy="Stop the services first: state stopped.",
        )
    work.settle()
    done: list[str] = []
    if not work.context.check_mode:
        try:
            for entry in differing:
                kept_files.put_back(entry, folder)
                done.append(entry["path"])
            work.restore(folder, kept["version"])
        except (GoliveError, OSError) as problem:
            left = [entry["path"] for entry in differing if entry["path"] not in done]
            raise ActionFailed(
                f"Not everything was put back: {getattr(problem, 'message', None) or problem}",
                remedy=getattr(problem, "remedy", ""),
                known={"restored": done, "not_restored": left, "changed": bool(done)},
            )
        after = work.manager.deployed()
        if after.digest != kept["deployed"]["digest"]:
            work.context.warn(
                f"Version {after.version} is not as it was in the snapshot: its digest is {after.digest}, and was "
                f"{kept['deployed']['digest']}."
            )
    return {
        **work.comparison.told(),
        "restored": [entry["path"] for entry in differing],
        "deployed": told_deployed(work.manager.deployed()),
        "snapshot": kept,
        **work.told_versions(),
    }


# ---- pulled


def pulled(work: Work) -> dict[str, t.Any]:
    """Have the version here, verified, without running it."""
    before = work.manager.deployed()
    pull = work.manager.pull(check_mode=work.context.check_mode, deadline=work.deadline)
    return {
        "changed": pull["changed"],
        "pulled": {name: value for name, value in pull.items() if name != "changed"},
        "deployed": told_deployed(before),
        **work.told_versions(),
    }


# ---- stopped


def group_members(group: int) -> list[int]:
    """Processes of a process group: supervisor gives each service one, and what a service left behind is in it."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as source:
                    fields = source.read().rpartition(")")[2].split()
            except OSError:
                continue
            if len(fields) > 2 and fields[0] != "Z" and int(fields[2]) == group:
                found.append(int(name))
    return found


def port_state(address: str) -> str:
    """What ``host:port`` says, the worst where it has several addresses: closed only where each one refuses.

    Raises Unreachable where it cannot be told.
    """
    host, port = host_and_port(address)
    states: set[str] = set()
    untried: Unreachable | None = None
    for _family, where in resolved(host, port, deadline=Deadline(_RESOLVE_SECONDS)):
        try:
            states.add(sockets.knocked(where[0], port, seconds=_KNOCK_SECONDS))
        except Unreachable as problem:
            # A name such as localhost may have a loopback address that this host is without: nothing listens there.
            if not ipaddress.ip_address(where[0]).is_loopback:
                raise
            untried = problem
    if untried is not None and not states:
        raise untried
    return next(state for state in (sockets.OPEN, sockets.FILTERED, sockets.CLOSED) if state in states)


def stopped(work: Work) -> dict[str, t.Any]:
    """Stop in the order given; the next only when the one before has gone, and gone well."""
    for address in work.params["ports_closed"]:
        host_and_port(address)
    work.expand()
    before = work.statuses()
    _refuse_stateful(work, before)
    for name, each in before.items():
        work.comparison.add(name, each.state, "stopped" if each.is_alive else each.state)
    outcomes: dict[str, dict[str, t.Any]] = {
        name: {"name": name, "before": each.state, "after": each.state, "exit": each.ended, "seconds": 0.0}
        for name, each in before.items()
    }
    work.settle()
    if not work.context.check_mode:
        for each in before.values():
            if each.is_alive:
                _stop_one(work, each, outcomes)
        for address in work.params["ports_closed"]:
            _await_closed(work, address, outcomes)
    return {**work.comparison.told(), "services": list(outcomes.values())}


def _refuse_stateful(work: Work, before: t.Mapping[str, ServiceStatus]) -> None:
    if work.params["allow_stateful"]:
        return
    named = {*STATEFUL, *work.params["stateful"]} - {""}
    made_as = work.containers.compose_services() if work.containers else {}
    hit = [name for name in before if named & {name, *name.split(":"), made_as.get(name, "")}]
    if hit:
        raise Refused(
            f"{', '.join(hit)} keeps data, and stateful services are not stopped by a deploy: nothing was stopped.",
            remedy="Take it out of services, or set allow_stateful if the system file means it.",
        )


def _known_of_stop(outcomes: t.Mapping[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    done = [each for each in outcomes.values() if each["before"] != each["after"]]
    return {
        "services": list(outcomes.values()),
        "changed": bool(done),
        "left_running": [
            each["name"] for each in outcomes.values() if each["after"] in ("running", "starting", "stopping")
        ],
    }


def _stop_one(work: Work, before: ServiceStatus, outcomes: dict[str, dict[str, t.Any]]) -> None:
    fault = _bring_to_an_end(work, before, outcomes)
    if not fault:
        return
    if work.params["on_bad_exit"] == "report":
        work.context.warn(fault)
        return
    raise ActionFailed(fault, remedy=_LOST, known=_known_of_stop(outcomes))


#: What it means that a service did not end by itself.
_LOST = "What it was doing may be lost or half done. Give it more time to end (stopwaitsecs; stop_grace_period of a container), and look at its log."


def _bring_to_an_end(work: Work, before: ServiceStatus, outcomes: dict[str, dict[str, t.Any]]) -> str:
    """Stop a service and all it started; returns what was wrong with the way it ended. Raises ActionFailed where it did not."""
    name = before.name
    outcome = outcomes[name]
    limit = Deadline(work.params["stop_timeout"])
    began = limit.clock.monotonic()
    ticks = start_ticks(before.pid) if before.pid else None

    def remains() -> tuple[ServiceStatus, list[int]]:
        seen = work.manager.status(name, deadline=limit_or_more)
        outcome["after"] = seen.state
        if seen.is_alive or before.pid is None:
            return seen, []
        left = group_members(before.pid)
        if not left and ticks is not None and start_ticks(before.pid) == ticks:
            left = [before.pid]
        return seen, left

    # What is asked after the limit still needs an answer, to say what is left.
    limit_or_more = Deadline(work.params["stop_timeout"] + 10.0)
    try:
        outcome.update(dataclasses.asdict(work.manager.stop_terms(name, deadline=limit)))
        work.manager.ask_stop(name, deadline=limit)
        after, _left = poll(
            remains,
            good=lambda seen: not seen[0].is_alive and not seen[1],
            deadline=limit,
            describe=lambda seen, in_a_row: _still_there(name, seen),
            interval=_STEP,
        )
    except (GoliveError, Ended) as problem:
        outcome["seconds"] = round(limit.clock.monotonic() - began, 3)
        raise ActionFailed(
            f"{name} was not stopped: {problem.message}",
            remedy="It was not killed by us: how it is stopped, and after how long it is killed, is its manager's configuration.",
            known=_known_of_stop(outcomes),
        )
    outcome.update(after=after.state, exit=after.ended, seconds=round(limit.clock.monotonic() - began, 3))
    if before.state != "running":
        return ""  # a service that crashes anyway has no exit that says anything about being stopped
    outcome["killed"] = after.was_killed
    return bad_exit(after, work.params["allowed_exits"])


def _still_there(name: str, seen: tuple[ServiceStatus, list[int]] | None) -> str:
    if seen is not None and seen[1]:
        return f"{name} ended, but left processes behind ({', '.join(str(pid) for pid in seen[1])})"
    return f"{name} is {seen[0].state if seen else 'unknown'}"


def bad_exit(after: ServiceStatus, allowed: t.Sequence[str]) -> str:
    """The sentence for an exit that is not as it should be, or nothing."""
    if after.was_killed:
        return f"{after.name} was killed ({after.ended}), it did not end by itself."
    if not after.ended:
        return f"{after.name} has stopped, but how it ended cannot be told: supervisord's log does not say."
    if after.ended not in allowed:
        return f"{after.name} ended with {after.ended}, expected {' or '.join(allowed)}."
    return ""


def _await_closed(work: Work, address: str, outcomes: dict[str, dict[str, t.Any]]) -> None:
    said = {
        sockets.OPEN: (
            f"Something still listens on {address}",
            "Another process serves there; users may still reach it.",
        ),
        sockets.FILTERED: (
            f"Nothing came back from {address}, neither a connection nor a refusal",
            "A firewall that drops what comes does this, and something may listen behind it: name an address that this host "
            "reaches without it.",
        ),
    }
    state = ""

    def knock() -> str:
        nonlocal state
        try:
            state = port_state(address)
        except Unreachable as problem:
            raise ActionFailed(
                f"Whether anything listens on {address} is not known: {problem.message}",
                remedy=problem.remedy,
                known=_known_of_stop(outcomes),
            )
        return state

    try:
        poll(
            knock,
            good=lambda seen: seen == sockets.CLOSED,
            deadline=Deadline(min(work.params["stop_timeout"], 10.0)),
            describe=lambda seen, in_a_row: said[str(seen)][0],
            interval=_STEP,
        )
    except TimedOut as problem:
        raise ActionFailed(problem.message, remedy=said[state][1], known=_known_of_stop(outcomes))


# ---- started


class Watch:
    """Services that were started, and must stay the same processes."""

    def __init__(self, work: Work) -> None:
        self._work = work
        #: None: it has gone, and may come back.
        self._pids: dict[str, int | None] = {}
        self.restarts: dict[str, int] = {}

    def note(self, seen: ServiceStatus) -> None:
        """Raises ActionFailed when it went away, or came back as another process, more often than is allowed."""
        known = self._pids.get(seen.name)
        if seen.state in ("running", "starting") and seen.pid is not None:
            if known is not None and known != seen.pid:
                self._count(seen)
            self._pids[seen.name] = seen.pid
        elif known is not None or (seen.state == "restarting" and seen.name not in self._pids):
            self._count(seen)
            self._pids[seen.name] = None

    def _count(self, seen: ServiceStatus) -> None:
        self.restarts[seen.name] = self.restarts.get(seen.name, 0) + 1
        allowed = self._work.params["max_restarts"]
        if self.restarts[seen.name] > allowed:
            ended = f" It ended with {seen.ended}." if seen.ended else ""
            raise ActionFailed(
                f"{seen.name} does not stay up: it went away {self.restarts[seen.name]} times, {allowed} are allowed, and is "
                f"{seen.state} now.{ended} {seen.detail}".strip()
            )

    def look(self) -> None:
        """Look at all of them. Raises as note() does."""
        for name in list(self._pids):
            self.note(self._work.status(name))

    def require_all(self) -> None:
        """Raises ActionFailed for one that is away at the end."""
        self.look()
        away = [name for name, pid in self._pids.items() if pid is None]
        if away:
            raise ActionFailed(f"{', '.join(away)} is not running in the end.")


def _checked_gates(params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    for index, gate in enumerate(params["gates"]):
        where = f"gates: number {index + 1}"
        http_expectation.checked_gate(gate, where=where)
        if gate["url"]:
            http_expectation.refuse_unreadable(gate, url=gate["url"])
        else:
            store_gates.checked(gate, where=where)
        if gate["service"] and gate["service"] not in params["services"]:
            raise BadInput(f"{where} is for {gate['service']}, which is not among services.")
    return t.cast("list[dict[str, t.Any]]", params["gates"])


def started(work: Work) -> dict[str, t.Any]:
    """Run the version in the order given, each service behind its gates."""
    gates = _checked_gates(work.params)
    work.expand()
    before = work.statuses()
    deployed = work.manager.deployed()
    wanted = work.wanted
    version = wanted or deployed.version
    work.comparison.add("version", deployed.version, version)
    for name, each in before.items():
        work.comparison.add(name, each.state, "running")
    if wanted is not None:
        work.manager.require_available(wanted)
    _refuse_running_other(work, before, deployed, version)
    work.settle()
    result: dict[str, t.Any] = {
        "services": [],
        "gates": [],
        "deployed": told_deployed(Deployed(version, deployed.digest if version == deployed.version else None)),
        "restarts": {},
    }
    if work.context.check_mode:
        result["services"] = [told(each) for each in before.values()]
        return {**work.comparison.told(), **result, **work.told_versions()}
    watch = Watch(work)
    try:
        if version is not None and version != deployed.version:
            work.manager.select(version)
        result["deployed"] = told_deployed(work.manager.deployed())
        for given in work.params["services"]:
            for name in work.manager.expand([given], deadline=work.deadline):
                result["services"].append(_start_one(work, before[name], watch))
            for gate in gates:
                if gate["service"] == given:
                    result["gates"].append(_pass_gate(work, gate, watch))
        for gate in gates:
            if not gate["service"]:
                result["gates"].append(_pass_gate(work, gate, watch))
        watch.require_all()
    except (GoliveError, Ended) as problem:
        raise ActionFailed(
            problem.message,
            remedy=problem.remedy or "The services' own logs say why.",
            known={**_known_of_start(work, before, deployed), **result, "restarts": watch.restarts, **problem.known},
        )
    result["restarts"] = watch.restarts
    return {**work.comparison.told(), **result, **work.told_versions()}


def _refuse_running_other(
    work: Work, before: t.Mapping[str, ServiceStatus], deployed: Deployed, version: str | None
) -> None:
    alive = {name: each for name, each in before.items() if each.is_alive}
    if alive and version != deployed.version:
        raise Refused(
            f"{', '.join(alive)} still runs version {deployed.version}; {version} was not selected.",
            remedy="Stop the services first: state stopped.",
        )
    stale = _older_than_the_version(work, alive)
    if stale:
        raise Refused(
            f"{', '.join(stale)} runs since before version {version} was selected, so it runs another.",
            remedy="Stop the services first: state stopped.",
        )


def _older_than_the_version(work: Work, alive: t.Mapping[str, ServiceStatus]) -> list[str]:
    """The services that run since before the current version was selected: they run another."""
    selected = work.manager.selected_at()
    return [
        name
        for name, each in alive.items()
        if selected is not None and each.started_at is not None and each.started_at + _START_RESOLUTION < selected
    ]


def _known_of_start(work: Work, before: t.Mapping[str, ServiceStatus], deployed: Deployed) -> dict[str, t.Any]:
    """What is left behind by a start that failed; never raises, since it explains another error."""
    left: dict[str, str] = {}
    for name in work.names:
        try:
            left[name] = work.manager.status(name, deadline=Deadline(5.0)).state
        except GoliveError as problem:
            left[name] = problem.message
    now = work.manager.deployed()
    changed = now != deployed or any(left[name] != each.state for name, each in before.items())
    return {"changed": changed, "left": left, "version_before": deployed.version}


def _start_one(work: Work, before: ServiceStatus, watch: Watch) -> dict[str, t.Any]:
    name = before.name
    limit = Deadline(work.params["start_timeout"])
    began = limit.clock.monotonic()
    if not before.is_alive:
        work.manager.ask_start(name, deadline=limit)

    def look() -> ServiceStatus:
        seen = work.status(name)
        watch.note(seen)
        if seen.state in ("failed", "stopped", "unknown"):
            how = f" (ended with {seen.ended})" if seen.ended else ""
            raise ActionFailed(f"{name} did not start: it is {seen.state}{how}. {seen.detail}".strip())
        return seen

    after = poll(
        look,
        good=lambda seen: seen.state == "running",
        deadline=limit,
        describe=lambda seen, in_a_row: f"{name} is {seen.state if seen else 'unknown'}, not running,",
        interval=_STEP,
    )
    return {**told(after), "before": before.state, "seconds": round(limit.clock.monotonic() - began, 3)}


def _pass_gate(work: Work, gate: t.Mapping[str, t.Any], watch: Watch) -> dict[str, t.Any]:
    if not gate["url"]:
        return http_expectation.await_good(
            gate,
            lambda seconds: store_gates.asked(gate, seconds),
            label=store_gates.label_of(gate),
            deadline=Deadline(gate["timeout"]),
            between=watch.look,
            scrub=work.context.scrub,
        ).told()
    label = gate["url"].split("?", 1)[0]
    return http_expectation.await_answers(
        gate,
        judge=lambda response: http_expectation.criteria(response, gate, label=label),
        label=label,
        deadline=Deadline(gate["timeout"]),
        between=watch.look,
        scrub=work.context.scrub,
    ).told()


# ---- restarted


def restarted(work: Work) -> dict[str, t.Any]:
    """Restart the same version, one entry of ``services`` after the other, each behind its gates before the next is touched."""
    gates = _checked_gates(work.params)
    work.expand()
    before = work.statuses()
    _refuse_stateful(work, before)
    deployed = work.manager.deployed()
    _refuse_another_version(work, before, deployed)
    for name, each in before.items():
        work.comparison.add(name, f"process {each.pid}" if each.pid else each.state, "another process")
    result: dict[str, t.Any] = {
        "services": [],
        "gates": [],
        "deployed": told_deployed(deployed),
        "restarts": {},
        "not_restarted": list(work.names),
    }
    if work.context.check_mode:
        result["services"] = [{"name": name, "was": told(each), "now": None} for name, each in before.items()]
        return {**work.comparison.told(), **result}
    if work.params["recreate"]:
        for given in work.params["services"]:
            work.manager.require_renewable(given, deadline=work.deadline)
    work.settle()
    watch = Watch(work)
    given = ""
    try:
        for given in work.params["services"]:
            faults = _restart_entry(work, given, result, watch)
            for gate in gates:
                if gate["service"] == given:
                    result["gates"].append(_pass_gate(work, gate, watch))
            _tell_bad_ends(work, faults)
        for gate in gates:
            if not gate["service"]:
                given = "the system"
                result["gates"].append(_pass_gate(work, gate, watch))
        watch.require_all()
    except (GoliveError, Ended) as problem:
        rest = f" Not restarted: {', '.join(result['not_restarted'])}." if result["not_restarted"] else ""
        known = {**problem.known, **_known_of_start(work, before, deployed), **result, "restarts": watch.restarts}
        raise ActionFailed(
            f"The restart of {given} failed: {problem.message}{rest}",
            remedy=problem.remedy or "The services' own logs say why.",
            known={**known, "changed": bool(result["services"])},
        )
    result["restarts"] = watch.restarts
    return {**work.comparison.told(), **result}


def _refuse_another_version(work: Work, before: t.Mapping[str, ServiceStatus], deployed: Deployed) -> None:
    """Raises Refused where a restart would bring a version into use that did not run: that is a release."""
    asked = work.wanted
    if asked and asked != deployed.version:
        raise Refused(
            f"Version {deployed.version} is the current one, and a restart does not change it to {asked}.",
            remedy="Release it: golive.",
        )
    stale = _older_than_the_version(work, {name: each for name, each in before.items() if each.is_alive})
    if stale:
        raise Refused(
            f"{', '.join(stale)} runs since before version {deployed.version} was selected: a restart would change the version.",
            remedy="Read `status`: a release that was not finished is ended by `abort` or `rollback`.",
        )


def _restart_entry(work: Work, given: str, result: dict[str, t.Any], watch: Watch) -> list[str]:
    """Stop what one entry names, put it back where it is to be recreated, start it; returns what was wrong with how it ended."""
    faults: list[str] = []
    seen = {name: work.status(name) for name in work.manager.expand([given], deadline=work.deadline)}
    outcomes: dict[str, dict[str, t.Any]] = {
        name: {"name": name, "before": each.state, "after": each.state, "exit": "", "killed": False, "seconds": 0.0,
               "was": told(each), "now": None}
        for name, each in seen.items()
    }  # fmt: skip
    result["services"] += outcomes.values()
    result["not_restarted"] = [name for name in result["not_restarted"] if name not in outcomes]
    for each in seen.values():
        if each.is_alive:
            faults.append(_bring_to_an_end(work, each, outcomes))
    names = list(seen)
    if work.params["recreate"]:
        work.manager.renew(given, deadline=work.deadline)
        names = work.manager.expand([given], deadline=work.deadline)
    for name in names:
        outcome = outcomes.get(name) or {
            "name": name,
            "before": "unknown",
            "exit": "",
            "killed": False,
            "seconds": 0.0,
            "was": None,
        }
        if name not in outcomes:  # the renewed configuration brought it
            result["services"].append(outcome)
        started_now = _start_one(work, ServiceStatus(name, "stopped"), watch)
        seconds = round(outcome["seconds"] + started_now.pop("seconds"), 3)
        started_now.pop("before")
        outcome.update(after=started_now["state"], seconds=seconds, now=started_now)
    return [fault for fault in faults if fault]


def _tell_bad_ends(work: Work, faults: t.Sequence[str]) -> None:
    """A service that was killed runs again by now; what it was at is the failure. Raises ActionFailed."""
    for fault in faults:
        if work.params["on_bad_exit"] == "fail":
            raise ActionFailed(f"{fault} It runs again.", remedy=_LOST)
        work.context.warn(fault)


_STATES: dict[str, t.Callable[[Work], dict[str, t.Any]]] = {
    "snapshot": snapshot,
    "pulled": pulled,
    "stopped": stopped,
    "started": started,
    "restarted": restarted,
    "status": status,
    "restored": restored,
}


def body(context: Context) -> dict[str, t.Any]:
    """The module's work."""
    state = context.params["state"]
    with held(context.params["release"], doing=f"services {state}") as token:
        try:
            with contextlib.closing(Work(context, token)) as work:
                return _STATES[state](work)
        except OSError as problem:
            raise ActionFailed(f"services {state}: {problem.filename or 'a file'}: {problem.strerror or problem}.")
