# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the host: space, memory, load, ports, files, commands, processes, accounts, clock, kernel and its settings.

Sizes are compared in bytes and shown in GB and GiB, since checklists write GB and tools print GiB. What can sleep in the
kernel (statvfs on a network file system) runs in a child that is killed. Clients of what few items ask for are imported
where they are used: unpacked and compiled on every host, they are a third of what starting this check costs.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shlex
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import host
from ansible_collections.opsready.golive.plugins.module_utils._core import versions
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER, Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import Completed, run_command
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    matches,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import compiled
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of, refuse_public_secret
from ansible_collections.opsready.golive.plugins.module_utils._core.side_by_side import side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._core.units import (
    size_bytes,
    size_text,
    span_seconds,
    span_text,
)

if t.TYPE_CHECKING:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import kernels, time_sync

NAME = "check_host"

_LEVEL: dict[str, t.Any] = {"type": "str", "choices": ["fail", "warn"], "default": "fail"}

ARGUMENT_SPEC: Spec = {
    "paths": {
        "type": "list",
        "aliases": ["disk"],
        "elements": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "min_free": {"type": "str"},
            "min_free_bytes": {"type": "int"},
            "min_free_percent": {"type": "float"},
            "min_free_inodes_percent": {"type": "float", "default": 5.0},
            "will_use": {"type": "dict"},
            "level": _LEVEL,
        },
        "mutually_exclusive": [["min_free", "min_free_bytes"]],
        "required_one_of": [["min_free", "min_free_bytes", "min_free_percent", "will_use"]],
    },
    "memory": {
        "type": "dict",
        "options": {
            "min_available": {"type": "str"},
            "min_total": {"type": "str"},
            "max_swap_used_percent": {"type": "float"},
            "level": _LEVEL,
        },
        "required_one_of": [["min_available", "min_total", "max_swap_used_percent"]],
    },
    "min_cpus": {"type": "int"},
    "max_load_per_cpu": {"type": "float"},
    "max_open_files_percent": {"type": "float"},
    "min_kernel": {"type": "str"},
    "pending_reboot": {"type": "str", "choices": ["refused", "warn"]},
    "sysctl": {"type": "dict"},
    "ports": {
        "type": "list",
        "elements": "dict",
        "options": {
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "required": True},
            "expect": {"type": "str", "choices": ["open", "closed"], "default": "open"},
            "filtered_is_closed": {"type": "bool", "default": False},
            "level": _LEVEL,
        },
    },
    "clock": {
        "type": "dict",
        "options": {
            "url": {"type": "str"},
            "max_skew": {"type": "float", "default": 5.0},
            "ca_file": {"type": "path"},
            "synchronised": {"type": "str", "choices": ["required"]},
            "level": _LEVEL,
        },
        "required_one_of": [["url", "synchronised"]],
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "exists": {"type": "bool", "default": True},
            "groups": {"type": "list", "elements": "str", "default": []},
            "level": _LEVEL,
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "exists": {"type": "bool", "default": True},
            "kind": {"type": "str", "choices": ["file", "directory", "socket", "pipe", "device"]},
            "mode": {"type": "str"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "max_age": {"type": "str"},
            "min_size": {"type": "str"},
            "max_size": {"type": "str"},
            "contains": {"type": "list", "elements": "str"},
            "contains_not": {"type": "list", "elements": "str"},
            "sha256": {"type": "str"},
            "level": _LEVEL,
        },
    },
    "commands": {
        "type": "list",
        "elements": "dict",
        "options": {
            "argv": {"type": "list", "elements": "str", "required": True},
            "returncode": {"type": "int", "default": 0},
            "stdout_matches": {"type": "str"},
            "changes_nothing": {"type": "bool", "default": False},
            "level": _LEVEL,
        },
    },
    "processes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "pattern": {"type": "str", "required": True},
            "min_count": {"type": "int", "default": 1},
            "max_count": {"type": "int"},
            "level": _LEVEL,
        },
    },
}
_ASPECTS = tuple(ARGUMENT_SPEC)
_LISTS = tuple(name for name, option in ARGUMENT_SPEC.items() if option["type"] == "list")
CONSTRAINTS: Constraints = {"required_one_of": [list(_ASPECTS)]}
#: A setting as sysctl(8) takes it: dots and slashes stand for each other, and the first of them tells which separates.
_SETTING = re.compile(r"[\w-]+(?:[./][\w:@-]+)+")
#: A bound that is above the whole memory by less than this may well mean what the host was sold with.
_KEPT_BACK = 1.1
_BOUNDS = ("at_least", "at_most")
_SHOWN_CHARACTERS = 160


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why something is not known."""

    message: str
    remedy: str = ""
    #: Nothing was wrong, save that check mode does not ask for it.
    left_out: bool = False


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen of each aspect that was asked for, in the order of the options' lists."""

    paths: tuple[host.Space | Problem, ...] = ()
    memory: host.Memory | Problem | None = None
    cpus: int | None = None
    load: tuple[float, float, float] | Problem | None = None
    open_files: tuple[int, int] | Problem | None = None
    kernel: str = ""
    reboot: kernels.Reboot | Problem | None = None
    #: In the option's order.
    sysctl: tuple[str | Problem, ...] = ()
    #: open, closed (it refused), filtered (nothing came back) or a problem.
    ports: tuple[str | Problem, ...] = ()
    skew_seconds: float | Problem | None = None
    skew_uncertainty: float = 0.0
    synchronisation: time_sync.Synchronisation | Problem | None = None
    users: tuple[tuple[str, ...] | None, ...] = ()
    files: tuple[host.FileSeen | Problem, ...] = ()
    commands: tuple[Completed | Problem, ...] = ()
    processes: tuple[int, ...] = ()
    now: float = 0.0


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in _LISTS:
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for wanted in params.get("paths") or ():
        _free_bound(wanted)
        _will_use(wanted)
    memory = params.get("memory") or {}
    for option in ("min_available", "min_total"):
        if memory.get(option):
            size_bytes(memory[option], option=f"memory.{option}")
    for wanted in params.get("files") or ():
        _refuse_unusable_file(wanted)
    if params.get("ports") or params.get("clock"):
        _refuse_unusable_addresses(params)
    for wanted in params.get("commands") or ():
        if not wanted["argv"]:
            raise BadInput("commands: argv is empty.")
        refuse_public_secret(
            " ".join(wanted["argv"]),
            where="commands: argv",
            remedy="Let the program read it from a file of its own, or run it with check_command, which has secret_stdin.",
        )
        compiled(wanted.get("stdout_matches") or "", option="commands.stdout_matches")
    for wanted in params.get("processes") or ():
        compiled(wanted["pattern"], option="processes.pattern")
    versions.require_version(params.get("min_kernel"), option="min_kernel")
    _refuse_unusable_settings(params.get("sysctl"))


def _refuse_unusable_settings(settings: t.Mapping[str, t.Any] | None) -> None:
    if settings == {}:
        raise BadInput("sysctl is empty, so nothing would be judged by it.")
    for name, bound in (settings or {}).items():
        if not _SETTING.fullmatch(str(name)):
            raise BadInput(f"sysctl: {name!r} is no setting, expected a name such as vm.max_map_count.")
        if isinstance(bound, t.Mapping):
            strange = [key for key in bound if key not in _BOUNDS]
            if strange or not bound or not all(re.fullmatch(r"-?\d+", str(value)) for value in bound.values()):
                raise BadInput(
                    f"sysctl: {name} has a bound that is none, expected at_least or at_most with a whole number."
                )
        elif isinstance(bound, (bool, list)) or bound is None or not str(bound).strip():
            raise BadInput(f"sysctl: {name} needs a number, a text, or at_least or at_most.")


def _refuse_unusable_addresses(params: t.Mapping[str, t.Any]) -> None:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import http

    for wanted in params.get("ports") or ():
        http.host_and_port(f"{_bracketed(wanted['host'])}:{wanted['port']}")
    if (params.get("clock") or {}).get("url"):
        http.origin_of(params["clock"]["url"])


def _refuse_unusable_file(wanted: t.Mapping[str, t.Any]) -> None:
    if wanted.get("max_age"):
        span_seconds(wanted["max_age"], option="files.max_age")
    for option in ("min_size", "max_size"):
        if wanted.get(option):
            size_bytes(wanted[option], option=f"files.{option}")
    if wanted.get("mode") and not re.fullmatch(r"[0-7]{3,4}", wanted["mode"]):
        raise BadInput(f"files.mode is {wanted['mode']!r}, expected octal digits such as '0600', in quotes.")


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _free_bound(wanted: t.Mapping[str, t.Any]) -> int | None:
    if wanted.get("min_free"):
        return size_bytes(wanted["min_free"], option="paths.min_free")
    return wanted.get("min_free_bytes")


def _will_use(wanted: t.Mapping[str, t.Any]) -> dict[str, int]:
    """What is still to come onto a path's file system, in bytes by name. Raises BadInput."""
    if wanted.get("will_use") == {}:
        raise BadInput("paths.will_use is empty, so nothing would be judged by it.")
    sizes = wanted.get("will_use") or {}
    return {str(name): size_bytes(str(size), option=f"paths.will_use.{name}") for name, size in sizes.items()}


T = t.TypeVar("T")


def _or_problem(ask: t.Callable[[], T]) -> T | Problem:
    try:
        return ask()
    except BadInput:
        raise
    except GoliveError as problem:
        return Problem(problem.message.rstrip("."), problem.remedy)


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Look at what was asked for, side by side; what cannot be seen is a Problem of its own. Raises BadInput."""
    _refuse_unusable(params)
    jobs: list[tuple[str, t.Callable[[], t.Any]]] = []

    def ask(aspect: str, question: t.Callable[[t.Any], t.Any]) -> None:
        wanted = params.get(aspect)
        items = wanted if isinstance(wanted, list) else [wanted] if wanted is not None else []
        jobs.extend((aspect, functools.partial(_or_problem, functools.partial(question, item))) for item in items)

    ask(
        "paths",
        lambda item: run.once(("statvfs", item["path"]), lambda: host.space(item["path"], deadline=run.deadline)),
    )
    ask("memory", lambda item: run.once("meminfo", host.memory))
    ask("max_load_per_cpu", lambda item: run.once("loadavg", host.load))
    ask("max_open_files_percent", lambda item: run.once("file-nr", host.file_descriptors))
    ask("ports", lambda item: _port(item, run.deadline))
    ask("pending_reboot", lambda item: _reboot())
    ask("sysctl", lambda item: tuple(_or_problem(functools.partial(host.setting, _below_sys(name))) for name in item))
    ask("clock", lambda item: _skew(item, run) if item.get("url") else None)
    if (params.get("clock") or {}).get("synchronised"):
        jobs.append(("synchronised", lambda: _or_problem(lambda: _synchronisation(run))))
    ask("users", lambda item: _groups(item["name"]))
    ask("files", _file)
    ask("commands", lambda item: _command(item, run))
    ask("processes", lambda item: _processes(item["pattern"]))
    seen: dict[str, list[t.Any]] = {aspect: [] for aspect in (*_ASPECTS, "synchronised")}
    for (aspect, _job), result in zip(jobs, side_by_side([job for _aspect, job in jobs], deadline=run.deadline)):
        if isinstance(result, BadInput):
            raise result
        seen[aspect].append(Problem(result.message.rstrip(".")) if isinstance(result, GoliveError) else result)
    skew = seen["clock"][0] if seen["clock"] else None
    return Facts(
        paths=tuple(seen["paths"]),
        memory=seen["memory"][0] if seen["memory"] else None,
        cpus=host.usable_cpus(),
        load=seen["max_load_per_cpu"][0] if seen["max_load_per_cpu"] else None,
        open_files=seen["max_open_files_percent"][0] if seen["max_open_files_percent"] else None,
        kernel=host.kernel_release(),
        reboot=seen["pending_reboot"][0] if seen["pending_reboot"] else None,
        sysctl=_of_settings(seen["sysctl"], params),
        ports=tuple(seen["ports"]),
        skew_seconds=skew[0] if isinstance(skew, tuple) else skew,
        skew_uncertainty=skew[1] if isinstance(skew, tuple) else 0.0,
        synchronisation=seen["synchronised"][0] if seen["synchronised"] else None,
        users=tuple(seen["users"]),
        files=tuple(seen["files"]),
        commands=tuple(seen["commands"]),
        processes=tuple(seen["processes"]),
        now=run.clock.now().timestamp(),
    )


def _reboot() -> kernels.Reboot:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import kernels

    return kernels.reboot()


def _synchronisation(run: Run) -> time_sync.Synchronisation:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import time_sync

    return run.once("time synchronisation", lambda: time_sync.synchronisation(deadline=run.deadline))


def _below_sys(name: str) -> str:
    """The path of a setting below /proc/sys."""
    first = re.search(r"[./]", name)
    return name if first and first[0] == "/" else name.translate(str.maketrans("./", "/."))


def _of_settings(answered: t.Sequence[t.Any], params: t.Mapping[str, t.Any]) -> tuple[str | Problem, ...]:
    """One answer for each setting, also where none came in time."""
    if answered and isinstance(answered[0], Problem):
        return (answered[0],) * len(params["sysctl"])
    return answered[0] if answered else ()


def _port(wanted: t.Mapping[str, t.Any], deadline: Deadline) -> str:
    """Open where one address of the host accepts, closed where each refuses, else filtered. Raises Unreachable, TimedOut."""
    from ansible_collections.opsready.golive.plugins.module_utils._clients import http, sockets

    name, port = wanted["host"], wanted["port"]
    # A port that swallows packets would use up the whole limit of the item.
    own = Deadline(deadline.require(f"Connecting to {name}:{port}") * 0.8, clock=deadline.clock)
    addresses = list(http.resolved(name, port, deadline=own))
    states: set[str] = set()
    untried: Unreachable | None = None
    for index, (_family, address) in enumerate(addresses):
        share = own.require(f"Connecting to {name}:{port}") / (len(addresses) - index)
        try:
            states.add(sockets.knocked(_with_scope(address), port, seconds=share))
        except Unreachable as problem:
            untried = problem
        if sockets.OPEN in states:
            return sockets.OPEN
    if untried is not None and (wanted["expect"] == sockets.CLOSED or not states):
        # Another host may reach what this one cannot.
        raise Unreachable(untried.message, remedy="Name an address in host to which this host has a route.")
    return sockets.FILTERED if sockets.FILTERED in states else sockets.CLOSED


def _with_scope(address: t.Any) -> str:
    """A socket address as text, with the interface where it is only known there."""
    return f"{address[0]}%{address[3]}" if len(address) > 3 and address[3] else str(address[0])


def _skew(wanted: t.Mapping[str, t.Any], run: Run) -> tuple[float, float]:
    """How far this host's clock is ahead of a server's Date header, and how uncertain that is, in seconds."""
    import email.utils

    from ansible_collections.opsready.golive.plugins.module_utils._clients import http

    before = run.clock.now().timestamp()
    response = http.request("HEAD", wanted["url"], deadline=run.deadline, ca_file=wanted.get("ca_file"))
    after = run.clock.now().timestamp()
    stated = response.header("date")
    try:
        told = email.utils.parsedate_to_datetime(stated or "").timestamp()
    except (TypeError, ValueError, IndexError):
        raise UnexpectedAnswer(f"{wanted['url']} answered without a Date that can be read.")
    # Date counts whole seconds, so on average half a second has passed since.
    return (before + after) / 2 - (told + 0.5), 0.5 + (after - before) / 2


def _processes(pattern: str) -> int:
    from ansible_collections.opsready.golive.plugins.module_utils._clients import envfile

    return len(envfile.matching(pattern))


def _groups(user: str) -> tuple[str, ...]:
    groups = host.groups_of(user)
    return ("",) if groups is None else tuple(groups)


def _file(wanted: t.Mapping[str, t.Any]) -> host.FileSeen:
    return host.file_seen(
        wanted["path"],
        with_text=bool(wanted.get("contains") or wanted.get("contains_not")),
        with_sha256=bool(wanted.get("sha256")),
    )


def _command(wanted: t.Mapping[str, t.Any], run: Run) -> Completed | Problem:
    if run.check_mode and not wanted["changes_nothing"]:
        why = f"{_command_line(wanted['argv'])} was not run in check mode"
        return Problem(why, "Say changes_nothing: true where that is so.", left_out=True)
    return run_command(wanted["argv"], deadline=run.deadline, check=False)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Every aspect that was asked for, in the options' order."""
    for label, wanted, space in _labelled(params, "paths", facts.paths):
        yield from _judge_space(label, wanted, space)
        if isinstance(space, host.Space):
            yield from _judge_space_after(label, wanted, space, _to_come(space, params, facts))
    if params.get("memory"):
        yield from _judge_memory(params["memory"], facts.memory)
    yield from _judge_kernel(facts, params)
    if params.get("pending_reboot"):
        yield from _judge_reboot(facts.reboot, level="fail" if params["pending_reboot"] == "refused" else "warn")
    for (name, bound), value in zip((params.get("sysctl") or {}).items(), facts.sysctl):
        yield from _judge_setting(str(name), bound, value)
    for label, wanted, port in _labelled(params, "ports", facts.ports):
        yield _judge_port(label, wanted, port)
    if params.get("clock"):
        yield from _judge_clock(params["clock"], facts)
    for label, wanted, groups in _labelled(params, "users", facts.users):
        yield from _judge_user(label, wanted, groups)
    for label, wanted, file in _labelled(params, "files", facts.files):
        yield from _judge_file(label, wanted, file, facts.now)
    for label, wanted, ended in _labelled(params, "commands", facts.commands):
        yield from _judge_command(label, wanted, ended)
    for label, wanted, count in _labelled(params, "processes", facts.processes):
        yield from _judge_processes(label, wanted, count)


#: What an entry of each list is called.
_CALLED: dict[str, t.Callable[[t.Mapping[str, t.Any]], str]] = {
    "paths": lambda wanted: f"free space on {wanted['path']}",
    "ports": lambda wanted: f"port {_bracketed(wanted['host'])}:{wanted['port']}",
    "users": lambda wanted: f"user {wanted['name']}",
    "files": lambda wanted: str(wanted["path"]),
    "commands": lambda wanted: f"command {_command_line(wanted['argv'])}",
    "processes": lambda wanted: f"processes /{wanted['pattern']}/",
}


def _labelled(
    params: t.Mapping[str, t.Any], aspect: str, seen: t.Sequence[t.Any]
) -> t.Iterator[tuple[str, t.Mapping[str, t.Any], t.Any]]:
    """Each entry of a list with its name in the finding and what was seen of it."""
    entries = params.get(aspect) or ()
    return zip(told_apart(map(_CALLED[aspect], entries)), entries, seen)


def _command_line(argv: t.Sequence[str]) -> str:
    """A command as one would type it: two of one program differ in what stands behind it."""
    line = " ".join([os.path.basename(argv[0]), *map(shlex.quote, argv[1:])])
    return line if len(line) <= 80 else f"{line[:79]}…"


def _unseen(name: str, problem: t.Any) -> Criterion:
    if isinstance(problem, Problem):
        return unknown(name, problem.message, remedy=problem.remedy, left_out=problem.left_out)
    return unknown(name, f"{name} could not be read")


def _size_at_least(name: str, measured: int, bound: int, *, remedy: str, level: str) -> Criterion:
    return holds(
        name,
        measured >= bound,
        measured=size_text(measured),
        expected=f"at least {size_text(bound)}",
        remedy=remedy,
        level=level,
    )


def _judge_space(name: str, wanted: t.Mapping[str, t.Any], space: host.Space | Problem) -> t.Iterator[Criterion]:
    level = wanted["level"]
    if not isinstance(space, host.Space):
        yield _unseen(name, space)
        return
    remedy = f"Free some space: du -xh --max-depth=2 {wanted['path']} | sort -h | tail."
    bound = _free_bound(wanted)
    if bound is not None:
        yield _size_at_least(name, space.free_bytes, bound, remedy=remedy, level=level)
    if wanted.get("min_free_percent") is not None:
        share = round(space.free_percent, 1)
        yield at_least(f"{name} (share)", share, wanted["min_free_percent"], unit="%", remedy=remedy, level=level)
    if space.free_inodes_percent is not None:
        share, bound_share = round(space.free_inodes_percent, 1), wanted["min_free_inodes_percent"]
        yield at_least(
            name.replace("space", "inodes", 1),
            share,
            bound_share,
            unit="%",
            level=level,
            remedy=f"Many small files use them up: du --inodes -x --max-depth=2 {wanted['path']} | sort -n | tail.",
        )


def _to_come(space: host.Space, params: t.Mapping[str, t.Any], facts: Facts) -> list[tuple[str, int]]:
    """What all entries will use of one file system: paths that share it share what is free."""
    return [
        item
        for wanted, other in zip(params["paths"], facts.paths)
        if isinstance(other, host.Space) and other.device == space.device
        for item in _will_use(wanted).items()
    ]


def _judge_space_after(
    name: str, wanted: t.Mapping[str, t.Any], space: host.Space, to_come: t.Sequence[tuple[str, int]]
) -> t.Iterator[Criterion]:
    if not to_come:
        return
    called, level = f"{name} after the deploy", wanted["level"]
    left = space.free_bytes - sum(size for _what, size in to_come)
    taken = ", ".join(f"{what} {size_text(size)}" for what, size in to_come)
    measured = size_text(left) if left >= 0 else f"{size_text(-left)} short"
    bound, share = _free_bound(wanted) or 0, wanted.get("min_free_percent")
    expected = f"at least {size_text(bound)}"
    yield holds(
        called,
        left >= bound,
        measured=measured,
        expected=expected,
        sentence=f"{called} is {measured}, expected {expected} ({size_text(space.free_bytes)} now, less {taken})",
        remedy=f"Make room on {space.mount or space.path}, or put what is to come on another file system.",
        level=level,
    )
    if share is not None:
        after = round(space.free_percent * left / space.free_bytes, 1) if space.free_bytes else 0.0
        yield at_least(
            f"{called} (share)",
            after,
            share,
            unit="%",
            level=level,
            remedy=f"Make room on {space.mount or space.path}, or put what is to come on another file system.",
        )


def _judge_memory(wanted: t.Mapping[str, t.Any], seen: t.Any) -> t.Iterator[Criterion]:
    if not isinstance(seen, host.Memory):
        yield _unseen("memory", seen)
        return
    level = wanted["level"]
    if wanted.get("min_available"):
        bound = size_bytes(wanted["min_available"], option="memory.min_available")
        remedy = ""
        if bound > seen.total_bytes:
            remedy = f"The host has {size_text(seen.total_bytes)} in all, so this can never hold: lower the bound or add memory."
        yield _size_at_least("available memory", seen.available_bytes, bound, remedy=remedy, level=level)
    if wanted.get("min_total"):
        bound = size_bytes(wanted["min_total"], option="memory.min_total")
        remedy = ""
        if seen.total_bytes < bound <= seen.total_bytes * _KEPT_BACK:
            remedy = "Firmware and kernel keep a part of what a host is sold with: min_total in GB, such as 16GB, leaves them 7 %."
        yield _size_at_least("total memory", seen.total_bytes, bound, remedy=remedy, level=level)
    if wanted.get("max_swap_used_percent") is not None:
        used = seen.swap_total_bytes - seen.swap_free_bytes
        share = round(100.0 * used / seen.swap_total_bytes, 1) if seen.swap_total_bytes else 0.0
        yield at_most(
            "used swap",
            share,
            wanted["max_swap_used_percent"],
            unit="%",
            level=level,
            remedy="See what was swapped out: grep VmSwap /proc/[0-9]*/status | sort -k2 -n | tail.",
        )


def _judge_kernel(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params.get("min_cpus") is not None:
        yield at_least(
            "usable processors",
            facts.cpus,
            params["min_cpus"],
            remedy="Give the host, or the control group that this runs in, more processors.",
        )
    if params.get("max_load_per_cpu") is not None:
        if isinstance(facts.load, tuple):
            share = round(facts.load[1] / (facts.cpus or 1), 2)
            yield at_most(
                "load per processor (5 min)",
                share,
                params["max_load_per_cpu"],
                remedy="See what runs and what waits: ps -eo pcpu,stat,pid,args --sort=-pcpu | head -20.",
            )
        else:
            yield _unseen("load", facts.load)
    if params.get("max_open_files_percent") is not None:
        if isinstance(facts.open_files, tuple):
            share = round(100.0 * facts.open_files[0] / facts.open_files[1], 2)
            yield at_most(
                "open files of the host",
                share,
                params["max_open_files_percent"],
                unit="%",
                remedy="See who holds them: lsof -n | awk '{print $1}' | sort | uniq -c | sort -n | tail. sysctl fs.file-max is the limit.",
            )
        else:
            yield _unseen("open files", facts.open_files)
    if params.get("min_kernel"):
        good = versions.is_at_least(facts.kernel, params["min_kernel"])
        yield holds(
            "kernel",
            good,
            measured=facts.kernel,
            expected=f"at least {params['min_kernel']}",
            remedy="Install a newer kernel, and boot it.",
        )


def _judge_reboot(seen: kernels.Reboot | Problem | None, *, level: str) -> t.Iterator[Criterion]:
    if seen is None or isinstance(seen, Problem):
        yield _unseen("pending reboot", seen)
        return
    remedy = "Reboot the host before the release, and judge it again."
    cause = f", because of {', '.join(seen.packages)}" if seen.packages else ""
    if seen.is_asked_for is not None:
        yield holds(
            "pending reboot",
            not seen.is_asked_for,
            measured=f"asked for{cause}" if seen.is_asked_for else "not asked for",
            expected="not asked for",
            sentence=f"the host asks for a reboot{cause}",
            remedy=remedy,
            level=level,
        )
    if seen.runs_newest is None:
        yield unknown(
            "running kernel",
            f"neither /boot nor /lib/modules has a kernel of the flavour of {seen.running}, so whether it is the newest is not known",
            remedy="Ask on the host itself where this is a container; a kernel from outside is its provider's to tell of.",
        )
        return
    yield holds(
        "running kernel",
        seen.runs_newest,
        measured=seen.running,
        expected=f"{seen.newest}, the newest that is installed",
        remedy=remedy,
        level=level,
    )


def _judge_setting(name: str, bound: t.Any, value: str | Problem) -> t.Iterator[Criterion]:
    if isinstance(value, Problem):
        yield _unseen(name, value)
        return
    remedy = f"sysctl --write {name}=VALUE sets it, and a file in /etc/sysctl.d after the next boot too."
    if not isinstance(bound, t.Mapping):
        yield one_of(name, value, [" ".join(str(bound).split())], remedy=remedy)
        return
    number = int(value) if re.fullmatch(r"-?\d+", value) else None
    if number is None:
        yield unknown(name, f"{name} is {value!r}, which is not one number", remedy="Write its exact value instead.")
        return
    if "at_least" in bound:
        yield at_least(f"{name} (lower bound)", number, int(bound["at_least"]), remedy=remedy)
    if "at_most" in bound:
        yield at_most(f"{name} (upper bound)", number, int(bound["at_most"]), remedy=remedy)


def _judge_port(name: str, wanted: t.Mapping[str, t.Any], seen: str | Problem) -> Criterion:
    if isinstance(seen, Problem):
        return _unseen(name, seen)
    if wanted["expect"] == "closed" and seen == "filtered" and not wanted["filtered_is_closed"]:
        return unknown(
            name,
            f"{name} is filtered, and only a refusal proves that it is closed",
            remedy="Something swallows what is sent there from here, and may let others through; if that is how it is meant, "
            "say filtered_is_closed: true.",
        )
    allowed = ["open"] if wanted["expect"] == "open" else ["closed", "filtered"]
    return holds(
        name,
        seen in allowed,
        measured=seen,
        expected=wanted["expect"],
        level=wanted["level"],
        remedy="Look on its host who listens (ss -ltnp), and what the firewall lets through (nft list ruleset).",
    )


def _judge_clock(wanted: t.Mapping[str, t.Any], facts: Facts) -> t.Iterator[Criterion]:
    if wanted.get("url"):
        yield _judge_skew(wanted, facts)
    if not wanted.get("synchronised"):
        return
    name, seen = "clock synchronisation", facts.synchronisation
    if seen is None or isinstance(seen, Problem):
        yield _unseen(name, seen)
        return
    yield holds(
        name,
        seen.holds,
        measured=f"{'synchronised' if seen.holds else 'not synchronised'}, says {seen.said_by}",
        expected="synchronised",
        sentence=f"the clock is not synchronised, says {seen.said_by}",
        remedy="Look at timedatectl or chronyc tracking.",
        level=wanted["level"],
    )


def _judge_skew(wanted: t.Mapping[str, t.Any], facts: Facts) -> Criterion:
    name = "clock skew"
    if not isinstance(facts.skew_seconds, float):
        return _unseen(name, facts.skew_seconds)
    skew, uncertainty = abs(facts.skew_seconds), facts.skew_uncertainty
    told = f"{skew:.1f} s ± {uncertainty:.1f} s"
    if skew - uncertainty <= wanted["max_skew"] < skew + uncertainty:
        return unknown(
            name,
            f"clock skew is {told}, which cannot be told from {wanted['max_skew']:g} s",
            remedy="Ask a server that answers faster: a clock is known no better than the answer took.",
        )
    return holds(
        name,
        skew <= wanted["max_skew"],
        measured=told,
        expected=f"at most {wanted['max_skew']:g} s",
        remedy="Look at timedatectl or chronyc tracking.",
        level=wanted["level"],
    )


def _judge_user(name: str, wanted: t.Mapping[str, t.Any], groups: t.Any) -> t.Iterator[Criterion]:
    level = wanted["level"]
    if isinstance(groups, Problem):
        yield _unseen(name, groups)
        return
    exists = groups != ("",)
    state = {True: "present", False: "absent"}
    yield one_of(name, state[exists], [state[wanted["exists"]]], level=level)
    if exists and wanted["exists"] and wanted["groups"]:
        missing = [group for group in wanted["groups"] if group not in groups]
        yield holds(
            f"groups of {name}",
            not missing,
            measured=", ".join(groups),
            expected=", ".join(wanted["groups"]),
            sentence=f"{name} is not in {', '.join(missing)}",
            level=level,
            remedy=f"Add it: usermod --append --groups {','.join(missing)} {wanted['name']}.",
        )


def _judge_file(
    path: str, wanted: t.Mapping[str, t.Any], seen: host.FileSeen | Problem, now: float
) -> t.Iterator[Criterion]:
    level = wanted["level"]
    if not isinstance(seen, host.FileSeen):
        yield _unseen(path, seen)
        return
    there = seen.kind != "absent"
    if not wanted["exists"] or not there:
        yield one_of(path, "present" if there else "absent", ["present" if wanted["exists"] else "absent"], level=level)
        return
    yield one_of(path, seen.kind, [wanted["kind"]] if wanted.get("kind") else [seen.kind], level=level)
    if wanted.get("mode"):
        yield one_of(f"{path} mode", f"{seen.mode:04o}", [f"{int(wanted['mode'], 8):04o}"], level=level)
    for option, measured in (("owner", seen.owner), ("group", seen.group), ("sha256", seen.sha256)):
        if wanted.get(option):
            yield one_of(
                f"{path} {option}",
                measured,
                [wanted[option].lower() if option == "sha256" else wanted[option]],
                level=level,
            )
    if wanted.get("max_age"):
        yield _judge_file_age(path, wanted, now - seen.changed_at)
    if wanted.get("min_size"):
        bound_bytes = size_bytes(wanted["min_size"], option="files.min_size")
        yield _size_at_least(f"{path} size", seen.size_bytes, bound_bytes, remedy="", level=level)
    if wanted.get("max_size"):
        bound_bytes = size_bytes(wanted["max_size"], option="files.max_size")
        good = seen.size_bytes <= bound_bytes
        yield holds(
            f"{path} upper size",
            good,
            measured=size_text(seen.size_bytes),
            expected=f"at most {size_text(bound_bytes)}",
            level=level,
        )
    if (wanted.get("contains") or wanted.get("contains_not")) and seen.text is None:
        yield unknown(
            f"{path} content",
            f"{path} is a {seen.kind}, which has no content to look into",
            remedy="contains and contains_not are for files.",
        )
        return
    for option in ("contains", "contains_not"):
        for text in dict.fromkeys(wanted.get(option) or ()):
            yield _judge_content(path, seen, text, is_wanted=option == "contains", level=level)


def _judge_file_age(path: str, wanted: t.Mapping[str, t.Any], age: float) -> Criterion:
    if age < -CLOCKS_DIFFER:
        return unknown(
            f"{path} age",
            f"{path} says that it was changed {span_text(-age)} after what this host's clock shows",
            remedy="Set this host's clock by NTP, and that of what wrote the file.",
        )
    bound = span_seconds(wanted["max_age"], option="files.max_age")
    expected = f"at most {span_text(bound)}"
    return holds(
        f"{path} age",
        age <= bound,
        measured=span_text(max(0.0, age)),
        expected=expected,
        level=wanted["level"],
        remedy="Look at the job that writes it, and at its log.",
    )


def _judge_content(path: str, seen: host.FileSeen, text: str, *, is_wanted: bool, level: str) -> Criterion:
    found = text in (seen.text or "")
    name = f"{path} {'contains' if is_wanted else 'is free of'} {text!r}"
    if seen.is_cut and not found:
        return unknown(name, f"{path} is too long to be read whole, and its first part does not contain {text!r}")
    return holds(
        name,
        found == is_wanted,
        measured="found" if found else "not found",
        expected="found" if is_wanted else "not found",
        sentence=f"{path} {'does not contain' if is_wanted else 'contains'} {text!r}",
        level=level,
    )


def _judge_command(name: str, wanted: t.Mapping[str, t.Any], ended: Completed | Problem) -> t.Iterator[Criterion]:
    level = wanted["level"]
    if not isinstance(ended, Completed):
        yield _unseen(name, ended)
        return
    said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
    told = f": {_shown(said[0])}" if said else ""
    expected = f"code {wanted['returncode']}"
    sentence = f"{name} ended with code {ended.returncode}, expected {expected}{told}"
    good = ended.returncode == wanted["returncode"]
    yield holds(
        f"{name} end", good, measured=f"code {ended.returncode}", expected=expected, sentence=sentence, level=level
    )
    if wanted.get("stdout_matches"):
        first = ended.stdout.strip()
        shown = _shown(first)
        found = matches(f"{name} output", first, wanted["stdout_matches"], level=level)
        yield dataclasses.replace(
            found, measured=shown, sentence=f"{name} output is {shown!r}, expected {found.expected}"
        )


def _shown(text: str) -> str:
    """The beginning of what a program printed, cut once no secret and nothing personal is in it."""
    from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, Sensitive

    masked = Sensitive(GROUPS).without(beginning_of(text, len(text)))
    return masked if len(masked) <= _SHOWN_CHARACTERS else f"{masked[:_SHOWN_CHARACTERS]}…"


def _judge_processes(name: str, wanted: t.Mapping[str, t.Any], count: t.Any) -> t.Iterator[Criterion]:
    level = wanted["level"]
    if isinstance(count, Problem):
        yield _unseen(name, count)
        return
    yield at_least(name, count, wanted["min_count"], level=level)
    if wanted.get("max_count") is not None:
        yield at_most(f"{name} (upper bound)", count, wanted["max_count"], level=level)


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, aspect by aspect; file contents and command output are left out."""
    told: dict[str, t.Any] = {"kernel": facts.kernel, "cpus": facts.cpus}
    for name in ("paths", "memory", "load", "open_files", "reboot", "ports", "skew_seconds", "processes"):
        value = getattr(facts, name)
        if value not in (None, ()):
            told[name] = _plain(value)
    if facts.sysctl:
        told["sysctl"] = _plain(facts.sysctl)
    if facts.synchronisation is not None:
        told["synchronisation"] = _plain(facts.synchronisation)
    if facts.files:
        told["files"] = [{key: value for key, value in _plain(file).items() if key != "text"} for file in facts.files]
    if facts.commands:
        told["commands"] = [
            {"returncode": ended.returncode, "seconds": round(ended.seconds, 3)}
            if isinstance(ended, Completed)
            else _plain(ended)
            for ended in facts.commands
        ]
    return told


def _plain(value: t.Any) -> t.Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
