# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of the Docker Engine, over its unix socket or plain HTTP: input and output only, its failures as our errors.

https://docs.docker.com/reference/api/engine/. What the engine does not tell is None, and never the value that would be good.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import typing as t
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._clients import http
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, parse_utc, poll
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

#: The newest API that this was written for, and the oldest that tells all of it.
_NEWEST, _OLDEST = (1, 44), (1, 24)
#: A thousand containers are about 2 MiB.
_MOST_BYTES = 16 * 1024 * 1024
_MOST_OUTPUT_BYTES = 1024 * 1024
_TOO_MUCH = f"It printed more than the {_MOST_OUTPUT_BYTES // 2**20} MiB that are read."
#: How long ending a program that did not end by itself may take, in seconds.
_ENDING_SECONDS = 2.0
#: And removing a container that was made for it, which the engine may be slow at.
_REMOVING_SECONDS = 5.0
#: What a container that is made beside another has of it: what it sees of the hardware, its bounds, and no more rights.
_KEPT = (
    "Runtime", "DeviceRequests", "Devices", "DeviceCgroupRules", "Memory", "NanoCpus", "CpuQuota", "CpuPeriod", "CpusetCpus",
    "PidsLimit", "SecurityOpt", "CapDrop", "ReadonlyRootfs", "GroupAdd", "ShmSize",
)  # fmt: skip
#: An image by its digest, of a repository or without one; the group is the digest.
DIGEST = re.compile(r"(?:[^\s@]+@)?(sha256:[0-9a-f]{64})")
#: What the engine takes as a name.
CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_IDENTITY = re.compile(r"\b[0-9a-f]{64}\b")
#: Stands for the engine where its address is a path.
_NAME = "docker"
_LOG_BLOCK = 1 << 18
_NOT_IMPLEMENTED = 501


class NotThere(UnexpectedAnswer):
    """The engine is well, and has no such container or image."""


class NotKept(UnexpectedAnswer):
    """The engine is well, and what this container logs goes elsewhere."""


@dataclasses.dataclass(frozen=True)
class Listed:
    """A container by its name, and where it belongs to a Compose project, by that."""

    id: str
    name: str
    state: str
    project: str
    service: str
    is_one_off: bool


@dataclasses.dataclass(frozen=True)
class Container:
    """One container as it is now; None is what the engine did not tell. Sizes are in bytes."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    exit_code: int | None
    is_out_of_memory: bool
    started_at: str
    #: None where there is no health check.
    health: str | None
    restarts: int | None
    restart_policy: str | None
    log_driver: str
    log_options: t.Mapping[str, str]
    memory: int | None
    cpus: float | None
    cpuset: str
    pids: int | None
    user: str | None
    is_privileged: bool | None
    is_read_only: bool | None
    security_options: tuple[str, ...]
    dropped: tuple[str, ...]
    #: What of the host is mounted.
    mounts: tuple[str, ...] | None
    #: What it writes is one stream then.
    has_terminal: bool = False
    #: Its zero time (year 1) where it has not ended.
    finished_at: str = ""


@dataclasses.dataclass(frozen=True)
class Image:
    """One image as the engine keeps it; None is what the engine did not tell."""

    #: sha256:…, by which the engine itself knows it.
    id: str
    repo_digests: tuple[str, ...]
    tags: tuple[str, ...]
    #: When it was built; empty where its build left that out.
    created: str
    #: Operating system and architecture, such as linux/amd64.
    platform: str | None
    size_bytes: int | None
    labels: t.Mapping[str, str]


class Ran(t.NamedTuple):
    """How a program inside a container ended."""

    exit_code: int
    stdout: str
    stderr: str


class _Told:
    """A JSON object of the engine; what is of another kind than it must be was not told by Docker. null is absent."""

    def __init__(self, document: t.Any, where: str) -> None:
        if not isinstance(document, dict):
            raise UnexpectedAnswer(f"{where} answered, and not as Docker does.")
        self._document = document
        self._where = where

    def _of(self, name: str, kind: type) -> t.Any:
        value = self._document.get(name)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise UnexpectedAnswer(f"{self._where} answered with a {name} that is none.")
        return value

    def part(self, name: str) -> _Told:
        return _Told(self._of(name, dict) or {}, self._where)

    def text(self, name: str) -> str:
        return self._of(name, str) or ""

    def known_text(self, name: str) -> str:
        text = self.text(name)
        if not text:
            raise UnexpectedAnswer(f"{self._where} answered without a {name}.")
        return text

    def text_if_told(self, name: str) -> str | None:
        return t.cast("str | None", self._of(name, str))

    def number(self, name: str) -> int | None:
        number = t.cast("int | None", self._of(name, int))
        if number is not None and not -(2**63) <= number < 2**63:
            raise UnexpectedAnswer(f"{self._where} answered with a {name} that is none.")
        return number

    def truth(self, name: str) -> bool | None:
        return t.cast("bool | None", self._of(name, bool))

    def listed(self, name: str) -> list[t.Any] | None:
        return t.cast("list[t.Any] | None", self._of(name, list))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(entry) for entry in self.listed(name) or ())

    def those(self, names: t.Iterable[str]) -> dict[str, t.Any]:
        """What was told under these names, as it is, to be told to the same engine."""
        return {name: self._document[name] for name in names if self._document.get(name) is not None}

    def mapping(self, name: str) -> dict[str, str]:
        return {str(key): str(value) for key, value in (self._of(name, dict) or {}).items()}


def opened(url: str, *, deadline: Deadline) -> Engine:
    """An engine that answered. Raises BadInput, Unreachable, Denied, TimedOut, UnexpectedAnswer."""
    engine = Engine(url)
    try:
        engine.agree(deadline=deadline)
    except GoliveError:
        engine.close()
        raise
    return engine


class Engine:
    """Questions to one engine, over connections that are kept and lent, each for the deadline of one question."""

    def __init__(self, url: str) -> None:
        """``unix:///path``, ``tcp://host:port`` or ``http://host:port``. Raises BadInput."""
        self.url = url
        socket_path, self._base = _address(url)
        self.is_local = socket_path is not None
        self._socket_path = socket_path
        self._connections = http.Connections(socket_path=socket_path)
        self.version = self.api = ""
        #: What the engine runs on, such as linux/amd64.
        self.platform: str | None = None

    def agree(self, *, deadline: Deadline) -> None:
        """On the version of the API. Raises Unreachable, Denied, TimedOut, UnexpectedAnswer."""
        told = _Told(self._answer("GET", "/version", deadline=deadline), f"{self.url} /version")
        spoken, oldest = (_api(told.text(name), self.url) for name in ("ApiVersion", "MinAPIVersion"))
        if spoken < _OLDEST:
            raise UnexpectedAnswer(
                f"{self.url} speaks version {_dotted(spoken)} of Docker's API, expected at least {_dotted(_OLDEST)}."
            )
        self.version = told.known_text("Version")
        self.platform = _platform(told.text("Os"), told.text("Arch"))
        self.api = _dotted(max(oldest, min(_NEWEST, spoken)))

    def close(self) -> None:
        self._connections.close()

    def containers(self, *, deadline: Deadline) -> tuple[Listed, ...]:
        """All there are, also those that do not run. Raises as ``agree`` does."""
        where = f"{self.url} /containers/json"
        entries = self._answer("GET", "/containers/json?all=1", deadline=deadline)
        if not isinstance(entries, list):
            raise UnexpectedAnswer(f"{where} answered, and not as Docker does.")
        listed = []
        for told in (_Told(entry, where) for entry in entries):
            names, labels = told.texts("Names"), told.mapping("Labels")
            # A link gives a container a second name, below that of another.
            own = sorted(names, key=lambda name: name.count("/"))
            listed.append(
                Listed(
                    id=told.known_text("Id"),
                    name=own[0].lstrip("/") if own else told.known_text("Id")[:12],
                    state=told.text("State"),
                    project=labels.get("com.docker.compose.project", ""),
                    service=labels.get("com.docker.compose.service", ""),
                    is_one_off=labels.get("com.docker.compose.oneoff", "").lower() == "true",
                )
            )
        return tuple(sorted(listed, key=lambda each: each.name))

    def container(self, identity: str, *, deadline: Deadline) -> Container:
        """One container. Raises NotThere, and as ``agree`` does."""
        path = f"/containers/{quote(identity, safe='')}/json"
        told = _Told(self._answer("GET", path, deadline=deadline), f"{self.url} {path}")
        state, config, host = told.part("State"), told.part("Config"), told.part("HostConfig")
        health = state.part("Health").text("Status")
        log = host.part("LogConfig")
        mounts = told.listed("Mounts")
        return Container(
            id=told.known_text("Id"),
            name=told.known_text("Name").lstrip("/"),
            image=config.text("Image"),
            image_id=told.known_text("Image"),
            state=state.known_text("Status"),
            exit_code=state.number("ExitCode"),
            is_out_of_memory=state.truth("OOMKilled") is True,
            started_at=state.text("StartedAt"),
            health=health if health not in ("", "none") else None,
            restarts=told.number("RestartCount"),
            restart_policy=host.part("RestartPolicy").text_if_told("Name"),
            log_driver=log.text("Type"),
            log_options=log.mapping("Config"),
            memory=host.number("Memory"),
            cpus=_cpus(host),
            cpuset=host.text("CpusetCpus"),
            pids=host.number("PidsLimit"),
            user=config.text_if_told("User"),
            is_privileged=host.truth("Privileged"),
            is_read_only=host.truth("ReadonlyRootfs"),
            security_options=host.texts("SecurityOpt"),
            dropped=host.texts("CapDrop"),
            mounts=None if mounts is None else tuple(_Told(each, path).text("Source") for each in mounts),
            has_terminal=config.truth("Tty") is True,
            finished_at=state.text("FinishedAt"),
        )

    def log(self, identity: str, *, since: float | None, deadline: Deadline) -> t.Generator[bytes, None, None]:
        """What a container logged up to now, in blocks as they come; close it where it is not read to its end.

        Each message begins with its time, and is in a frame (see ``separated``) unless the container has a terminal. ``since`` is in
        seconds since 1970. Raises NotThere, NotKept, and as ``agree`` does.
        """
        path = f"/containers/{_quoted(identity)}/logs"
        begin = "" if since is None else f"&since={max(0.0, since):.6f}"
        origin, target = http.origin_of(f"{self._base}/v{self.api}{path}?stdout=1&stderr=1&timestamps=1{begin}")
        with self._named_errors(), contextlib.closing(self._connection(origin, deadline)) as connection:
            try:
                connection.request("GET", target)
                answer = connection.getresponse()
                if answer.status != 200:
                    raise self._refusal(path, _response_of(answer, f"{self._base}{path}"))
                while block := answer.read1(_LOG_BLOCK):
                    yield block
                if answer.length:
                    raise UnexpectedAnswer(f"{self.url} ended {path} early.")
            except (socket.timeout, TimedOut):
                raise TimedOut(f"{self.url} did not answer {path} within {deadline.seconds:g} s.")
            except (HTTPException, ConnectionError, ValueError):
                raise UnexpectedAnswer(f"{self.url} ended {path} early.")
            except OSError as problem:
                raise Unreachable(f"{self.url} cannot be reached: {problem.strerror}.")

    def _connection(self, origin: http.Origin, deadline: Deadline) -> HTTPConnection:
        """For one answer that is read as it comes. Raises Unreachable, Denied, TimedOut."""
        if self._socket_path is None:
            plug = http.connected(origin.host, origin.port, deadline=deadline)
        else:
            plug = http.connected_to_socket(self._socket_path, deadline=deadline)
        connection = HTTPConnection(origin.host, origin.port)
        connection.auto_open = 0
        connection.sock = http.Channel(plug, deadline, self.url)
        return connection

    def image(self, reference: str, *, deadline: Deadline) -> Image:
        """One image by its reference or id. Raises NotThere, and as ``agree`` does."""
        path = f"/images/{quote(reference, safe=':/@')}/json"
        told = _Told(self._answer("GET", path, deadline=deadline), f"{self.url} {path}")
        return Image(
            id=told.known_text("Id"),
            repo_digests=told.texts("RepoDigests"),
            tags=told.texts("RepoTags"),
            created=told.text("Created"),
            platform=_platform(told.text("Os"), told.text("Architecture")),
            size_bytes=told.number("Size"),
            labels=told.part("Config").mapping("Labels"),
        )

    def repo_digests(self, image_id: str, *, deadline: Deadline) -> tuple[str, ...] | None:
        """By which digests registries know an image; None where the engine has it no more. Raises as ``agree`` does."""
        path = f"/images/{quote(image_id, safe=':')}/json"
        try:
            return _Told(self._answer("GET", path, deadline=deadline), f"{self.url} {path}").texts("RepoDigests")
        except NotThere:
            return None

    def image_by_digest(self, digest: str, *, deadline: Deadline) -> Image | None:
        """The image that a registry knows by this digest, whatever its repository; None where none is here. Raises as ``agree`` does."""
        entries = self._answer("GET", "/images/json?digests=1", deadline=deadline)
        if not isinstance(entries, list):
            raise UnexpectedAnswer(f"{self.url} /images/json answered, and not as Docker does.")
        for told in (_Told(entry, f"{self.url} /images/json") for entry in entries):
            if any(name.rpartition("@")[2] == digest for name in told.texts("RepoDigests")):
                return self.image(told.known_text("Id"), deadline=deadline)
        return None

    def pull(self, reference: str, *, deadline: Deadline) -> None:
        """Pull ``repository@sha256:…``, without a login. Raises UnexpectedAnswer with what the registry said, and as ``agree`` does."""
        path = f"/images/create?fromImage={quote(reference, safe='')}"
        try:
            response = self._asked("POST", path, deadline=deadline, content=None, max_body=_MOST_BYTES)
        except UnexpectedAnswer as problem:
            raise UnexpectedAnswer(f"{reference} could not be pulled: {problem.message}")
        for line in response.body.decode("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and said.get("error"):
                    text = " ".join(str(said["error"]).split())[:300].rstrip(".")
                    raise UnexpectedAnswer(f"{reference} could not be pulled: {text}.")

    def inspected(self, kind: str, identity: str, *, deadline: Deadline) -> dict[str, t.Any]:
        """One of ``containers`` or ``images``, as the engine tells it, to be told to the same engine. Raises NotThere, and as ``agree`` does."""
        path = f"/{kind}/{quote(identity, safe=':')}/json"
        told = self._answer("GET", path, deadline=deadline)
        needed = ("Id", "Image", "State", "Config") if kind == "containers" else ("Id", "Config")
        if not isinstance(told, dict) or any(name not in told for name in needed):
            raise UnexpectedAnswer(f"{self.url} {path} answered, and not as Docker does.")
        return told

    def create(self, name: str, wanted: t.Mapping[str, t.Any], *, deadline: Deadline) -> None:
        """A container that is not started. Raises NotThere where its image is not, and as ``agree`` does."""
        self._change("POST", f"/containers/create?name={_quoted(name)}", deadline, wanted)

    def connect(
        self, network: str, identity: str, endpoint: t.Mapping[str, t.Any] | None, *, deadline: Deadline
    ) -> None:
        """A container to one more network. Raises NotThere, and as ``agree`` does."""
        content = {"Container": identity, "EndpointConfig": endpoint}
        self._change("POST", f"/networks/{_quoted(network)}/connect", deadline, content)

    def start(self, identity: str, *, deadline: Deadline) -> None:
        """Raises NotThere, and as ``agree`` does."""
        self._change("POST", f"/containers/{_quoted(identity)}/start", deadline)

    def stop(self, identity: str, grace_seconds: int, *, deadline: Deadline) -> None:
        """Returns when it has ended; it is killed after ``grace_seconds``. Raises NotThere, and as ``agree`` does."""
        self._change("POST", f"/containers/{_quoted(identity)}/stop?t={grace_seconds}", deadline)

    def rename(self, identity: str, name: str, *, deadline: Deadline) -> None:
        """Raises NotThere, and as ``agree`` does."""
        self._change("POST", f"/containers/{_quoted(identity)}/rename?name={_quoted(name)}", deadline)

    def remove(self, identity: str, *, deadline: Deadline) -> None:
        """A container that does not run; its volumes stay. Raises NotThere, and as ``agree`` does."""
        self._change("DELETE", f"/containers/{_quoted(identity)}", deadline)

    def _change(self, method: str, path: str, deadline: Deadline, content: t.Mapping[str, t.Any] | None = None) -> None:
        self._asked(method, path, deadline=deadline, content=content, max_body=_MOST_BYTES)

    def run_inside(self, identity: str, argv: t.Sequence[str], *, deadline: Deadline) -> Ran:
        """Run a program inside a running container, as its user, to its end.

        One that does not end, or prints more than 1 MiB, is ended; where it cannot be, the message says so. Raises TimedOut,
        NotThere, UnexpectedAnswer, and as ``agree`` does.
        """
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        path = f"/containers/{quote(identity, safe='')}/exec"
        told = _Told(self._answer("POST", path, deadline=deadline, content=wanted), f"{self.url} {path}")
        where = f"/exec/{quote(told.known_text('Id'), safe='')}"
        try:
            response = self._asked(
                "POST",
                f"{where}/start",
                deadline=deadline,
                content={"Detach": False, "Tty": False},
                max_body=_MOST_OUTPUT_BYTES,
            )
            if response.is_truncated:
                raise UnexpectedAnswer(_TOO_MUCH)
            stdout, stderr = separated(response.body, where=f"{self.url} {where}/start")
            ended = poll(
                lambda: self._state_of(where, deadline),
                good=lambda state: state.truth("Running") is False,
                deadline=deadline,
                describe=lambda _state, _count: "It closed its output, and did not end",
            )
        except GoliveError as problem:
            left = self._end(where, identity, Deadline(_ENDING_SECONDS, clock=deadline.clock))
            message = "It did not end" if isinstance(problem, TimedOut) else problem.message.rstrip(".")
            limit = f" within {deadline.seconds:g} s" if isinstance(problem, TimedOut) else ""
            raise type(problem)(f"{message}{limit}{left}.", remedy=problem.remedy)
        code = ended.number("ExitCode")
        if code is None:
            raise UnexpectedAnswer(f"{self.url} {where}/json answered without an ExitCode.")
        return Ran(code, stdout, stderr)

    def run_beside(self, identity: str, argv: t.Sequence[str], *, deadline: Deadline) -> Ran:
        """Run a program in a container of its own, of the same image, user, variables, devices and limits, and remove that.

        It has no network and no mounts. Where it cannot be removed, the message names it. Raises as ``run_inside`` does.
        """
        path = f"/containers/{quote(identity, safe='')}/json"
        told = _Told(self._answer("GET", path, deadline=deadline), f"{self.url} {path}")
        config, host = told.part("Config"), told.part("HostConfig")
        wanted = {
            "Image": told.known_text("Image"),
            "Entrypoint": [argv[0]],
            "Cmd": list(argv[1:]),
            "Env": config.texts("Env"),
            "User": config.text("User"),
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {**host.those(_KEPT), "NetworkMode": "none", "LogConfig": {"Type": "local"}},
        }
        made = self._answer("POST", "/containers/create", deadline=deadline, content=wanted)
        where = f"/containers/{quote(_Told(made, f'{self.url} /containers/create').known_text('Id'), safe='')}"
        try:
            self._asked("POST", f"{where}/start", deadline=deadline, content=None, max_body=_MOST_BYTES)
            ended = _Told(self._answer("POST", f"{where}/wait", deadline=deadline), f"{self.url} {where}/wait")
            logs = f"{where}/logs?stdout=1&stderr=1"
            response = self._asked("GET", logs, deadline=deadline, content=None, max_body=_MOST_OUTPUT_BYTES)
            if response.is_truncated:
                raise UnexpectedAnswer(_TOO_MUCH)
            stdout, stderr = separated(response.body, where=f"{self.url} {where}/logs")
            code = ended.number("StatusCode")
            if code is None:
                raise UnexpectedAnswer(f"{self.url} {where}/wait answered without a StatusCode.")
        except GoliveError as problem:
            left = self._removed(where, deadline)
            is_late = isinstance(problem, TimedOut)
            message = f"It did not end within {deadline.seconds:g} s" if is_late else problem.message.rstrip(".")
            raise type(problem)(f"{message}{left}.", remedy=problem.remedy)
        left = self._removed(where, deadline)
        if left:
            raise UnexpectedAnswer(f"It ended with exit code {code}{left}.")
        return Ran(code, stdout, stderr)

    def _removed(self, where: str, deadline: Deadline) -> str:
        """Remove a container of ours, which ends it. What to say where that failed."""
        own = Deadline(_REMOVING_SECONDS, clock=deadline.clock)
        try:
            self._asked("DELETE", f"{where}?force=1&v=1", deadline=own, content=None, max_body=_MOST_BYTES)
        except NotThere:
            return ""
        except GoliveError:
            return f", and container {where.rpartition('/')[2][:12]} is left behind"
        return ""

    def _state_of(self, where: str, deadline: Deadline) -> _Told:
        return _Told(self._answer("GET", f"{where}/json", deadline=deadline), f"{self.url} {where}/json")

    def _end(self, where: str, container: str, deadline: Deadline) -> str:
        """Kill a program that was started inside a container: the API knows no way to. What to say if it still runs."""
        try:
            state = self._state_of(where, deadline)
            pid = state.number("Pid") or 0
            if state.truth("Running") is False:
                return ""
            if self.is_local and pid > 0 and hasattr(os, "pidfd_open"):  # not where Python knows an older kernel
                _kill(pid, container)
            poll(
                lambda: self._state_of(where, deadline).truth("Running"),
                good=lambda runs: runs is False,
                deadline=deadline,
                describe=lambda _runs, _count: "It",
            )
            return " and was ended"
        except (GoliveError, OSError, OverflowError):  # the last for a number that no process can have
            return ", and may still run inside the container"

    def _answer(
        self, method: str, path: str, *, deadline: Deadline, content: t.Mapping[str, t.Any] | None = None
    ) -> t.Any:
        response = self._asked(method, path, deadline=deadline, content=content, max_body=_MOST_BYTES)
        with self._named_errors():
            return response.json()

    def _asked(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        content: t.Mapping[str, t.Any] | None,
        max_body: int,
    ) -> http.Response:
        with self._named_errors(), self._connections.lent() as client:
            response = client.request(
                method,
                f"{self._base}/v{self.api}{path}" if self.api else f"{self._base}{path}",
                deadline=deadline,
                headers={"Content-Type": "application/json"} if content is not None else {},
                body=json.dumps(content).encode() if content is not None else None,
                max_body=max_body,
            )
        if response.status in (200, 201, 204, 304):  # the last: it was so already
            return response
        raise self._refusal(path, response)

    def _refusal(self, path: str, response: http.Response) -> GoliveError:
        said = f"{self.url} answered {path.partition('?')[0]} with status {response.status}{_message_of(response)}"
        said = _IDENTITY.sub(lambda match: match[0][:12], said)
        kinds = {404: NotThere, 401: Denied, 403: Denied, _NOT_IMPLEMENTED: NotKept}
        return kinds.get(response.status, UnexpectedAnswer)(f"{said}.")

    @contextlib.contextmanager
    def _named_errors(self) -> t.Iterator[None]:
        """Name the socket in errors of the HTTP client, which knows a stand-in for it, and tell the way out."""
        try:
            yield
        except GoliveError as problem:
            if not self.is_local:
                raise
            message = re.sub(rf"{re.escape(self._base)}(:80)?", self.url, problem.message)
            remedy = problem.remedy
            if isinstance(problem, Denied):
                remedy = "Run this item with become: true, or put the user into the socket's group."
            elif isinstance(problem, TimedOut):
                remedy = "The engine hangs, or has much to do: journalctl -u docker."
            elif isinstance(problem, Unreachable):
                remedy = "Is Docker installed here, and does it run? systemctl status docker. Otherwise name its socket in url."
            raise type(problem)(message, remedy=remedy, known=problem.known) from None


def _address(url: str) -> tuple[str | None, str]:
    """The socket's path, if it is one, and how requests name the engine. Raises BadInput."""
    scheme, separator, rest = url.strip().partition("://")
    if separator and scheme == "unix" and rest.startswith("/"):
        return rest, f"http://{_NAME}"
    if separator and scheme in ("tcp", "http") and rest:
        base = f"http://{rest.rstrip('/')}"
        http.origin_of(base)
        return None, base
    raise BadInput(f"url is {url!r}, expected unix:///path or http://host:port.")


def _api(text: str, url: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text)
    if match is None:
        raise UnexpectedAnswer(f"{url} /version answered, and not as Docker does.")
    return int(match[1]), int(match[2])


def _quoted(name: str) -> str:
    """As one segment of a path, or one value of a query."""
    return quote(name, safe="")


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _message_of(response: http.Response) -> str:
    try:
        said = response.json()["message"]
    except (UnexpectedAnswer, KeyError, TypeError, IndexError):
        return ""
    return f": {' '.join(str(said).split())[:300].rstrip('.')}"


def seconds_of(text: str) -> float | None:
    """A time of the engine in seconds since 1970; None for its zero time, and for what is none."""
    try:
        # Without its nanoseconds, which Python 3.9 cannot read.
        moment = parse_utc(re.sub(r"\.\d+", "", text))
    except ValueError:
        return None
    return moment.timestamp() if moment.year >= 1970 else None


def _response_of(answer: HTTPResponse, url: str) -> http.Response:
    """A refusal, read whole."""
    body = answer.read(http.MAX_BODY_BYTES)
    return http.Response(answer.status, answer.reason, tuple(answer.getheaders()), body, False, 0.0, 0.0, url)


def _platform(system: str, architecture: str) -> str | None:
    return f"{system}/{architecture}" if system and architecture else None


def _cpus(host: _Told) -> float | None:
    """How many processors' time a container may use; None where the engine told nothing, 0 where there is no limit."""
    nano, quota, period = host.number("NanoCpus"), host.number("CpuQuota"), host.number("CpuPeriod")
    if nano:
        return nano / 1e9
    if quota and quota > 0:
        return quota / (period or 100000)
    return None if nano is None and quota is None else 0.0


def separated(stream: bytes, *, where: str) -> tuple[str, str]:
    """Standard output and error of what a program printed, which come in frames. Raises UnexpectedAnswer.

    Each has a header of eight bytes: the stream's number, three zeros, and the length, most significant byte first.
    """
    kept = {1: bytearray(), 2: bytearray()}
    rest = memoryview(stream)
    while rest:
        length = int.from_bytes(rest[4:8], "big")
        if len(rest) < 8 + length or rest[0] not in kept or bytes(rest[1:4]) != b"\0\0\0":
            raise UnexpectedAnswer(f"{where} answered, and not as Docker does.")
        kept[rest[0]] += rest[8 : 8 + length]
        rest = rest[8 + length :]
    return kept[1].decode("utf-8", "replace"), kept[2].decode("utf-8", "replace")


def _kill(pid: int, container: str) -> None:
    """End a process of this host, if it is one of the container's: a number may have gone to another. Raises OSError."""
    handle = os.pidfd_open(pid)
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as stream:
            if container in stream.read():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)
