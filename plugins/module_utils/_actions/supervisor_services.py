# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services under supervisord, over its XML-RPC interface; versions are folders behind a link.

Supervisor says ``exitstatus`` -1 for whatever signal ended a process, so the signal's name is read from its log. It counts no restarts
either: a process is known by its pid and start.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import socket
import typing as t
import xmlrpc.client
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from ansible_collections.opsready.golive.plugins.module_utils._actions.artefacts import Artefact, running_digest
from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import Deployed, ServiceStatus
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
#: As much of the end of supervisord's log is read for how a process ended.
_LOG_BYTES = 65536
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plug.settimeout(self.timeout)
        plug.connect(self._path)
        self.sock = plug


class _Transport(xmlrpc.client.Transport):
    """One connection a call, each with what is left of the call's deadline."""

    def __init__(self, where: Address, headers: t.Sequence[tuple[str, str]], timeout: float) -> None:
        super().__init__(headers=headers)
        self._where = where
        self._timeout = timeout

    def make_connection(self, host: t.Any) -> http.client.HTTPConnection:
        if self._where.socket_path is not None:
            return _UnixConnection(self._where.socket_path, self._timeout)
        return http.client.HTTPConnection(self._where.host, self._where.port, timeout=self._timeout)


class Address(t.NamedTuple):
    """Where supervisord listens: a socket's path, or host and port."""

    text: str
    socket_path: str | None
    host: str
    port: int

    @staticmethod
    def parse(server: str) -> Address:
        """Raises BadInput for anything but a local socket or port: processes are looked at on this host."""
        parts = urlsplit(server)
        if parts.scheme == "unix":
            path = parts.path or parts.netloc
            if not path.startswith("/"):
                raise BadInput(f"supervisor.server {server!r} is not unix:///absolute/path.sock.")
            return Address(server, path, "", 0)
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
        return Address(server, None, parts.hostname, port)


#: How long supervisord may take for one answer. It is never asked to wait for a process: who hangs that long stays away.
ANSWER_SECONDS = 30.0


class Supervisor:
    """supervisord's interface. Raises Unreachable, TimedOut, Denied, UnexpectedAnswer, and Fault for its own refusals."""

    def __init__(self, server: str, username: str | None = None, password: str | None = None) -> None:
        self.address = Address.parse(server)
        self._headers: list[tuple[str, str]] = []
        if username is not None or password is not None:
            pair = f"{username or ''}:{password or ''}".encode()
            self._headers.append(("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))

    def call(self, method: str, *arguments: t.Any, deadline: Deadline) -> t.Any:
        where = f"supervisord at {self.address.text}"
        limit = min(ANSWER_SECONDS, deadline.require(f"Asking {where}"))
        transport = _Transport(self.address, self._headers, limit)
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
        try:
            answer: t.Any = proxy
            for name in method.split("."):
                answer = getattr(answer, name)
            return answer(*arguments)
        except xmlrpc.client.Fault:
            raise
        except xmlrpc.client.ProtocolError as problem:
            if problem.errcode in (401, 403):
                raise Denied(
                    f"{where} refused the user name or password.", remedy="Check supervisor.username and password."
                )
            raise UnexpectedAnswer(f"{where} answered with status {problem.errcode}.")
        except socket.timeout:
            raise TimedOut(
                f"{where} did not answer within {min(ANSWER_SECONDS, deadline.seconds):g} s.",
                remedy="Look whether it hangs, or is stopped.",
            )
        except (FileNotFoundError, ConnectionRefusedError):
            raise Unreachable(f"Nothing listens at {self.address.text}: supervisord does not run, or not there.")
        except PermissionError:
            raise Denied(f"The socket {self.address.socket_path} may not be used by this user.")
        except OSError as problem:
            raise Unreachable(f"{where} cannot be reached: {problem.strerror or type(problem).__name__}.")
        except (http.client.HTTPException, xmlrpc.client.Error, ExpatError, ValueError) as problem:
            raise UnexpectedAnswer(f"{where} did not answer in XML-RPC: {type(problem).__name__}.")
        finally:
            transport.close()


def command_sha256(pid: int) -> str | None:
    """The digest of a process's command line: it may hold a secret, so it is never shown itself."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as source:
            return hashlib.sha256(source.read()).hexdigest()
    except OSError:
        return None


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
    """A ServiceManager over one supervisord and one artefact."""

    def __init__(self, options: t.Mapping[str, t.Any], artefact: Artefact | None) -> None:
        self._supervisor = Supervisor(options["server"], options.get("username"), options.get("password"))
        self._artefact = artefact

    # -- processes

    def expand(self, services: t.Sequence[str], *, deadline: Deadline) -> list[str]:
        known = self._asked("supervisor.getAllProcessInfo", deadline=deadline)
        full = [(str(info["group"]), str(info["name"])) for info in known]
        found: list[str] = []
        for service in services:
            group, _colon, name = service.partition(":")
            meant = [
                f"{each_group}:{each_name}"
                for each_group, each_name in full
                if each_group == group and (name in ("", "*") or each_name == name)
            ]
            if not meant:
                there = ", ".join(sorted({each for each, _name in full})) or "none"
                raise BadInput(f"supervisord knows no service {service!r}; there are {there}.")
            found += [each for each in meant if each not in found]
        return [_short(name) for name in found]

    def status(self, service: str, *, deadline: Deadline) -> ServiceStatus:
        info = self._asked("supervisor.getProcessInfo", service, deadline=deadline)
        code = int(info["state"])
        state = STATES.get(code, "unknown")
        pid = int(info["pid"]) or None
        has_ended = code in (0, _EXITED, 200) and int(info["stop"]) > 0
        exit_code: int | None = int(info["exitstatus"]) if has_ended else None
        exit_signal = None
        if exit_code == -1:
            said = signal_in_log(self._log(deadline), str(info["name"]))
            exit_signal = said if said and said.startswith("SIG") else None
            exit_code = None
        if code == _EXITED and "Bad exit code" in str(info["spawnerr"]):
            state = "failed"
        return ServiceStatus(
            name=service,
            state=state,
            pid=pid,
            started_at=float(info["start"]) or None,
            exit_code=exit_code,
            exit_signal=exit_signal,
            command_sha256=command_sha256(pid) if pid else None,
            detail=str(info["spawnerr"] or ""),
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

    def _refusal(self, fault: xmlrpc.client.Fault, service: str, what: str) -> GoliveError:
        if fault.faultCode == _SHUTDOWN_STATE:
            return Refused(f"supervisord is shutting down, so {service} cannot be {what}.")
        reason = {_NO_FILE: "its program is not there", _NOT_EXECUTABLE: "its program cannot be run"}.get(
            fault.faultCode, str(fault.faultString)
        )
        return ActionFailed(f"{service} cannot be {what}: {reason}.")

    # -- versions

    def _versions(self) -> Artefact:
        if self._artefact is None:
            raise BadInput("Supervisor itself knows no versions: give artefact with releases_dir and current.")
        return self._artefact

    def deployed(self) -> Deployed:
        if self._artefact is None:
            return Deployed(None, None)
        folder = self._artefact.current_folder()
        if folder is None:
            return Deployed(None, None)
        return Deployed(self._artefact.current_version(), running_digest(folder))

    def selected_at(self) -> float | None:
        return self._artefact.switched_at() if self._artefact else None

    def snapshot(self) -> dict[str, t.Any]:
        if self._artefact is None:
            return {}
        return {"current": self._artefact.current, "link": self._artefact.link_text()}

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        return self._versions().pull(check_mode=check_mode, deadline=deadline)

    def require_available(self, version: str) -> str:
        return self._versions().require_intact(version)

    def select(self, version: str) -> None:
        versions = self._versions()
        versions.require_intact(version)
        versions.point(versions.text_for(version))

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        if not kept:
            return
        versions = self._versions()
        if kept["current"] != versions.current:
            raise Refused(f"The snapshot is of {kept['current']}, not of {versions.current}.")
        if kept["link"] == versions.link_text():
            return
        if kept["link"] is None:
            versions.remove_link()
        else:
            versions.point(kept["link"])


def _short(full: str) -> str:
    """``name`` where group and process are called the same, as supervisorctl shows it."""
    group, _colon, name = full.partition(":")
    return name if group == name else full
