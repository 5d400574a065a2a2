# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services under supervisord, over its XML-RPC interface; versions are folders behind a link.

Supervisor says ``exitstatus`` -1 for whatever signal ended a process, so the signal's name is read from its log. It counts no restarts
either: a process is known by its pid and start.
"""

from __future__ import annotations

import hashlib
import re
import signal
import typing as t
import xmlrpc.client
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import (
    Deployed,
    ServiceStatus,
    StopTerms,
    Versions,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.http import HttpClient, basic
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    GoliveError,
    Refused,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

#: Supervisor's process states (supervisor.states.ProcessStates), in our words.
STATES: dict[int, str] = {
    0: "stopped",
    10: "starting",
    20: "running",
    30: "restarting",  # BACKOFF: it exited too quickly and will be tried again
    40: "stopping",
    100: "stopped",  # EXITED; with an unexpected code it is failed, see status()
    200: "failed",
    1000: "unknown",
}
_EXITED = 100
#: Fault codes (supervisor.xmlrpc.Faults).
_SHUTDOWN_STATE, _NO_FILE, _NOT_EXECUTABLE, _SPAWN_ERROR, _ALREADY_STARTED, _NOT_RUNNING = 6, 20, 21, 50, 60, 70
_CANT_REREAD = 92
#: As much of the end of supervisord's log is read for how a process ended.
_LOG_BYTES = 65536
#: A process is told of in a kilobyte or two.
_MOST_BYTES = 4 * 1024 * 1024
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class Address(t.NamedTuple):
    """Where supervisord listens, as it was written; its socket's path, if it is one; the URL to ask."""

    text: str
    socket_path: str | None
    url: str

    @staticmethod
    def parse(server: str) -> Address:
        """Raises BadInput for anything but a local socket or port: processes are looked at on this host."""
        parts = urlsplit(server)
        if parts.scheme == "unix":
            path = parts.path or parts.netloc
            if not path.startswith("/"):
                raise BadInput(f"supervisor.server {server!r} is not unix:///absolute/path.sock.")
            return Address(server, path, "http://localhost/RPC2")
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.username is not None or parts.password is not None:
            raise BadInput("supervisor.server holds a user name or password.", remedy="Pass username and password.")
        if parts.scheme != "http" or parts.hostname not in _LOCAL or port is None:
            raise BadInput(
                f"supervisor.server {server!r} is neither unix:///path.sock nor http://127.0.0.1:port.",
                remedy="Run the task on the host that supervisord runs on.",
            )
        return Address(server, None, f"http://{parts.netloc}/RPC2")


class Process(t.NamedTuple):
    """What supervisord tells of one process; times are in seconds since the epoch, 0 for never."""

    group: str
    name: str
    state: int
    pid: int
    start: int
    stop: int
    exitstatus: int
    spawnerr: str
    #: The files that its output is written to.
    logs: tuple[str, ...]

    @staticmethod
    def of(info: t.Any) -> Process:
        """Raises UnexpectedAnswer."""
        try:
            return Process(
                str(info["group"]),
                str(info["name"]),
                int(info["state"]),
                int(info["pid"]),
                int(info["start"]),
                int(info["stop"]),
                int(info["exitstatus"]),
                str(info["spawnerr"]),
                tuple(str(info[name]) for name in ("stdout_logfile", "stderr_logfile") if info[name]),
            )
        except (LookupError, TypeError, ValueError):
            raise UnexpectedAnswer("supervisord's answer does not tell of a process.")


#: How long supervisord may take for one answer. It is never asked to wait for a process: who hangs that long stays away.
ANSWER_SECONDS = 30.0


class Supervisor:
    """supervisord's interface. Raises Unreachable, TimedOut, Denied, UnexpectedAnswer, and Fault for its own refusals."""

    def __init__(self, server: str, username: str | None = None, password: str | None = None) -> None:
        self.address = Address.parse(server)
        self._secret_headers = basic(username or "", password) if username is not None or password is not None else {}

    def call(self, method: str, *arguments: t.Any, deadline: Deadline) -> t.Any:
        where = f"supervisord at {self.address.text}"
        limit = Deadline(min(ANSWER_SECONDS, deadline.require(f"Asking {where}")), clock=deadline.clock)
        try:
            with HttpClient(socket_path=self.address.socket_path, keep=False) as client:
                answer = client.request(
                    "POST",
                    self.address.url,
                    headers={"Content-Type": "text/xml"},
                    secret_headers=self._secret_headers,
                    body=xmlrpc.client.dumps(arguments, method, allow_none=True).encode(),
                    deadline=limit,
                    max_body=_MOST_BYTES,
                )
        except TimedOut:
            raise TimedOut(
                f"{where} did not answer within {limit.seconds:.1f} s.", remedy="Look whether it hangs, or is stopped."
            )
        except UnexpectedAnswer as problem:
            raise UnexpectedAnswer(f"{where} did not answer in XML-RPC: {problem.message}")
        except Unreachable:
            raise Unreachable(f"Nothing listens at {self.address.text}: supervisord does not run, or not there.")
        if answer.status in (401, 403):
            raise Denied(
                f"{where} refused the user name or password.", remedy="Check supervisor.username and password."
            )
        if answer.status != 200:
            raise UnexpectedAnswer(f"{where} answered with status {answer.status}.")
        if answer.is_truncated:
            raise UnexpectedAnswer(f"{where} answered with more than {_MOST_BYTES} bytes.")
        try:
            return xmlrpc.client.loads(answer.body)[0][0]
        except xmlrpc.client.Fault:
            raise
        except (xmlrpc.client.Error, ExpatError, ValueError, LookupError, TypeError) as problem:
            raise UnexpectedAnswer(f"{where} did not answer in XML-RPC: {type(problem).__name__}.")


def command_sha256(pid: int) -> str | None:
    """The digest of a process's command line: it may hold a secret, so it is never shown itself.

    None where it cannot be read, and of a process that is still a copy of supervisord, about to become the program.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            parent = stat.read().rpartition(")")[2].split()[1]
        command, its_parents = (_command(process) for process in (pid, parent))
    except (OSError, IndexError):
        return None
    return hashlib.sha256(command).hexdigest() if command and command != its_parents else None


def _command(pid: int | str) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as source:
        return source.read()


def signal_in_log(log: str, process: str) -> str | None:
    """How supervisord's log says that a process ended last: ``SIGKILL``, ``exit status 0``; None where it does not say."""
    pattern = rf"(?:stopped|exited): {re.escape(process)} \((?:terminated by (?P<signal>SIG\w+)|(?P<status>exit status -?\d+))"
    found = None
    for match in re.finditer(pattern, log):
        found = match
    if found is None or re.search(rf"spawned: '{re.escape(process)}' with pid", log[found.end() :]):
        return None
    return found["signal"] or found["status"]


class SupervisorServices:
    """A ServiceManager over one supervisord and what its versions are."""

    def __init__(self, options: t.Mapping[str, t.Any], versions: Versions | None) -> None:
        self._supervisor = Supervisor(options["server"], options.get("username"), options.get("password"))
        self._known_versions = versions

    # -- processes

    def expand(self, services: t.Sequence[str], *, deadline: Deadline) -> list[str]:
        return self._expanded(services, self._processes(deadline))

    def _expanded(self, services: t.Sequence[str], processes: t.Sequence[Process]) -> list[str]:
        full = [(process.group, process.name) for process in processes]
        found: list[str] = []
        for service in services:
            meant = self._meant(service, full)
            if not meant:
                there = ", ".join(sorted({each for each, _name in full})) or "none"
                raise BadInput(f"supervisord knows no service {service!r}; there are {there}.")
            found += [each for each in meant if each not in found]
        return [_short(name) for name in found]

    def logs_of(self, service: str, *, deadline: Deadline) -> list[str]:
        """The files that supervisord writes a service's output to. Raises BadInput for one that it does not know."""
        processes = self._processes(deadline)
        meant = self._expanded([service], processes)
        return list(
            dict.fromkeys(
                path for each in processes if _short(f"{each.group}:{each.name}") in meant for path in each.logs
            )
        )

    def _processes(self, deadline: Deadline) -> list[Process]:
        known = self._asked("supervisor.getAllProcessInfo", deadline=deadline)
        if not isinstance(known, list):
            raise UnexpectedAnswer("supervisord's answer does not list its processes.")
        return [Process.of(info) for info in known]

    @staticmethod
    def _meant(service: str, full: t.Sequence[tuple[str, str]]) -> list[str]:
        group, _colon, name = service.partition(":")
        return [
            f"{each_group}:{each_name}"
            for each_group, each_name in full
            if each_group == group and (name in ("", "*") or each_name == name)
        ]

    def status(self, service: str, *, deadline: Deadline) -> ServiceStatus:
        process = Process.of(self._asked("supervisor.getProcessInfo", service, deadline=deadline))
        state = STATES.get(process.state, "unknown")
        pid = process.pid or None
        has_ended = process.state in (0, _EXITED, 200) and process.stop > 0
        exit_code: int | None = process.exitstatus if has_ended else None
        exit_signal = None
        if exit_code == -1:
            said = signal_in_log(self._log(deadline), process.name)
            exit_signal = said if said and said.startswith("SIG") else None
            exit_code = None
        if process.state == _EXITED and "Bad exit code" in process.spawnerr:
            state = "failed"
        return ServiceStatus(
            name=service,
            state=state,
            pid=pid,
            started_at=float(process.start) or None,
            exit_code=exit_code,
            exit_signal=exit_signal,
            command_sha256=command_sha256(pid) if pid else None,
            detail=process.spawnerr,
        )

    def _asked(self, method: str, *arguments: t.Any, deadline: Deadline) -> t.Any:
        try:
            return self._supervisor.call(method, *arguments, deadline=deadline)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTDOWN_STATE:
                raise Unreachable("supervisord is shutting down.")
            raise UnexpectedAnswer(f"supervisord refused {method}: {fault.faultString}.")

    def _log(self, deadline: Deadline) -> str:
        try:
            return str(self._supervisor.call("supervisor.readLog", -_LOG_BYTES, 0, deadline=deadline))
        except (xmlrpc.client.Fault, UnexpectedAnswer):  # no log file, or bytes in it that XML cannot carry
            return ""

    def ask_start(self, service: str, *, deadline: Deadline) -> None:
        try:
            self._supervisor.call("supervisor.startProcess", service, False, deadline=deadline)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in (_SPAWN_ERROR, _ALREADY_STARTED):
                return  # it may be tried again, or runs already: the status tells
            raise self._refusal(fault, service, "started")

    def ask_stop(self, service: str, *, deadline: Deadline) -> None:
        try:
            self._supervisor.call("supervisor.stopProcess", service, False, deadline=deadline)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _NOT_RUNNING:
                return  # it ended meanwhile: the status tells
            raise self._refusal(fault, service, "stopped")

    def require_renewable(self, service: str, *, deadline: Deadline) -> None:
        """Raises Refused. supervisord takes a group out and puts it in as a whole, never one process of it."""
        group = service.partition(":")[0]
        try:
            self._supervisor.call("supervisor.reloadConfig", deadline=deadline)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _CANT_REREAD:
                raise Refused(
                    f"supervisord cannot read its configuration: {fault.faultString}.",
                    remedy="Mend the file; nothing was stopped.",
                )
            raise self._refusal(fault, service, "recreated")
        configured = self._asked("supervisor.getAllConfigInfo", deadline=deadline)
        try:
            there = [(str(info["group"]), str(info["name"])) for info in configured]
        except (LookupError, TypeError):
            raise UnexpectedAnswer("supervisord's answer does not tell of its configuration.")
        if not self._meant(service, there):
            raise Refused(
                f"supervisord's configuration has no {service} any more, so it would not come back.",
                remedy="Put it back into the file, or stop it with supervisorctl update; nothing was stopped.",
            )
        whole = self.expand([group], deadline=deadline)
        others = [name for name in whole if name not in self.expand([service], deadline=deadline)]
        if others:
            raise Refused(
                f"{service} is recreated with the rest of its group, {', '.join(others)}, or not at all.",
                remedy=f"Name {group}:*.",
            )

    def renew(self, service: str, *, deadline: Deadline) -> None:
        group = service.partition(":")[0]
        self._asked("supervisor.removeProcessGroup", group, deadline=deadline)
        self._asked("supervisor.addProcessGroup", group, deadline=deadline)

    def stop_terms(self, service: str, *, deadline: Deadline) -> StopTerms:
        group, _colon, name = service.partition(":")
        try:
            configured = self._asked("supervisor.getAllConfigInfo", deadline=deadline)
            for info in configured:
                if (info["group"], info["name"]) == (group, name or group):
                    return StopTerms(signal.Signals(int(info["stopsignal"])).name, float(info["stopwaitsecs"]))
        except (UnexpectedAnswer, LookupError, TypeError, ValueError):
            pass  # a service is stopped, whatever an old supervisord tells of its configuration
        return StopTerms()

    def _refusal(self, fault: xmlrpc.client.Fault, service: str, what: str) -> GoliveError:
        if fault.faultCode == _SHUTDOWN_STATE:
            return Refused(f"supervisord is shutting down, so {service} cannot be {what}.")
        reason = {_NO_FILE: "its program is not there", _NOT_EXECUTABLE: "its program cannot be run"}.get(
            fault.faultCode, str(fault.faultString)
        )
        return ActionFailed(f"{service} cannot be {what}: {reason}.")

    # -- versions

    def _versions(self) -> Versions:
        if self._known_versions is None:
            raise BadInput(
                "Supervisor itself knows no versions: give artefact with releases_dir and current, or working_tree."
            )
        return self._known_versions

    def deployed(self) -> Deployed:
        return self._known_versions.deployed() if self._known_versions else Deployed(None, None)

    def selected_at(self) -> float | None:
        return self._known_versions.selected_at() if self._known_versions else None

    def snapshot(self) -> dict[str, t.Any]:
        return self._known_versions.snapshot() if self._known_versions else {}

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        return self._versions().pull(check_mode=check_mode, deadline=deadline)

    def require_available(self, version: str) -> str:
        return self._versions().require_available(version)

    def select(self, version: str) -> None:
        self._versions().select(version)

    def require_restorable(self, kept: t.Mapping[str, t.Any]) -> None:
        if kept:
            self._versions().require_restorable(kept)

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        if kept:
            self._versions().restore(kept)


def _short(full: str) -> str:
    """``name`` where group and process are called the same, as supervisorctl shows it."""
    group, _colon, name = full.partition(":")
    return name if group == name else full
