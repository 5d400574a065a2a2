# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes manifests as files: the workloads in them, with what the API server would fill in.

Defaults are those of the Kubernetes API reference (core/v1 Probe, Container, PodSecurityContext).
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import typing as t
from decimal import Decimal, InvalidOperation

from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import WholeFile, text_of
from ansible_collections.opsready.golive.plugins.module_utils._clients.yaml_documents import Document, read_documents
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import strings_in
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer, Unreachable

#: Where a workload of this kind keeps its pod.
_POD_OF = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
#: They end by themselves, so nothing waits for them to be ready.
ENDING = ("Job", "CronJob")
#: They run as many pods as they are told.
REPLICATED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
PROBES = {"liveness": "livenessProbe", "readiness": "readinessProbe", "startup": "startupProbe"}
_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
#: Field, and what the API server takes where it is not given.
TIMES = {
    "initial_delay_seconds": ("initialDelaySeconds", 0),
    "period_seconds": ("periodSeconds", 10),
    "timeout_seconds": ("timeoutSeconds", 1),
    "failure_threshold": ("failureThreshold", 3),
    "success_threshold": ("successThreshold", 1),
}
_ENDINGS = (".yaml", ".yml", ".json")
_MOST_FILES = 2000
_TEMPLATE = "{{"
_NOT_RENDERED = "holds a template that was not rendered"
_RENDER = "Judge what helm template prints, in a file."

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?")
_SUFFIXES: dict[str, Decimal] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


@dataclasses.dataclass(frozen=True)
class Probe:
    """How a container is asked whether it lives or is ready."""

    #: httpGet, tcpSocket, exec or grpc; empty where it says none.
    handler: str
    path: str = ""
    #: The port as it is written, and the number that it means; None where its name is no port of the container.
    port_said: str = ""
    port: int | None = None
    scheme: str = "HTTP"
    #: What an exec, tcpSocket or grpc probe does, to compare it by.
    detail: str = ""
    times: t.Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def asks(self) -> tuple[str, ...]:
        """What two probes that do the same have in common."""
        return (self.handler, self.path, str(self.port or self.port_said), self.detail)

    def __str__(self) -> str:
        place = f" {self.path}" if self.handler == "httpGet" else ""
        return f"{self.handler or 'without a handler'}{place}{' port ' + self.port_said if self.port_said else ''}"


@dataclasses.dataclass(frozen=True)
class Container:
    """One container of a pod, with what its pod says for it."""

    name: str
    #: False for what runs to its end before the others start.
    is_lasting: bool
    image: str
    probes: t.Mapping[str, Probe]
    requests: t.Mapping[str, str]
    limits: t.Mapping[str, str]
    run_as_non_root: bool
    run_as_user: int | None
    allows_escalation: bool
    is_read_only: bool
    is_privileged: bool
    dropped: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Workload:
    """One workload: what runs, how often, and with which part of its host."""

    kind: str
    name: str
    namespace: str
    source: str
    replicas: int
    containers: tuple[Container, ...]
    host_namespaces: tuple[str, ...]
    host_paths: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What one file holds; ``problems`` are what could not be judged in it, each with a remedy."""

    path: str
    workloads: tuple[Workload, ...] = ()
    others: tuple[str, ...] = ()
    #: Kinds that are not Kubernetes' own and run containers.
    unknown: tuple[str, ...] = ()
    #: (kind, name, namespace) -> the least replicas that an autoscaler leaves it.
    scaled: t.Mapping[tuple[str, str, str], int] = dataclasses.field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()


def quantity(text: str) -> Decimal | None:
    """``500m``, ``1.5``, ``128Mi``, ``1e3`` as a number; None for what is no quantity."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    try:
        number = Decimal(match[1])
    except InvalidOperation:
        return None
    return number * (Decimal(10) ** int(match[3]) if match[3] else _SUFFIXES.get(match[2] or "", Decimal(1)))


def files_of(wanted: str) -> list[str]:
    """The files that a path means: itself, those below a directory, or those that a pattern matches.

    Raises Unreachable where there are none, UnexpectedAnswer where there are too many.
    """
    places = sorted(glob.glob(wanted)) if glob.has_magic(wanted) and not os.path.lexists(wanted) else [wanted]
    found: list[str] = []
    for place in places:
        if not os.path.isdir(place):
            found.append(place)
            continue
        for folder, folders, names in os.walk(place):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(_ENDINGS)]
            if len(found) > _MOST_FILES:
                raise UnexpectedAnswer(f"{wanted} holds more than the {_MOST_FILES} files that are read.")
    if not found:
        raise Unreachable(f"{wanted} holds no manifest: no file with the ending {', '.join(_ENDINGS)}.")
    return found


def read_manifest(file: WholeFile, *, deadline: Deadline) -> Manifest:
    """What one file holds. Raises UnexpectedAnswer where it cannot be read at all, MissingLibrary and TimedOut."""
    text, name = text_of(file.octets), os.path.basename(file.path)
    try:
        documents = read_documents(text, where=name, deadline=deadline)
    except UnexpectedAnswer as problem:
        if _TEMPLATE not in text:
            raise
        raise UnexpectedAnswer(f"{problem.message.rstrip('.')}: it {_NOT_RENDERED}.", remedy=_RENDER)
    reader = _Reader(name)
    for document in documents:
        reader.take(document)
    return Manifest(
        file.path,
        tuple(reader.workloads),
        tuple(reader.others),
        tuple(reader.unknown),
        reader.scaled,
        tuple(reader.problems),
    )


class _Reader:
    """Takes one document after another of a file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.workloads: list[Workload] = []
        self.others: list[str] = []
        self.unknown: list[str] = []
        self.scaled: dict[tuple[str, str, str], int] = {}
        self.problems: list[tuple[str, str]] = []

    def take(self, document: Document) -> None:
        where = f"{self._name} (line {document.line})"
        try:
            self._take(document.content, where)
        except UnexpectedAnswer as problem:
            self.problems.append((problem.message.rstrip("."), problem.remedy))

    def _take(self, content: t.Any, where: str) -> None:
        content = _mapping(content, where)
        kind = content.get("kind")
        if not isinstance(kind, str) or not isinstance(content.get("apiVersion"), str):
            raise UnexpectedAnswer(
                f"{where} is no Kubernetes object: it has no kind or no apiVersion.",
                remedy="Name the manifests themselves, or what kubectl kustomize or helm template prints.",
            )
        if isinstance(content.get("items"), list) and kind.endswith("List"):
            for number, item in enumerate(content["items"], 1):
                self._take(item, f"{where} item {number}")
            return
        metadata = _mapping(content.get("metadata"), f"{where}: metadata")
        name = str(metadata.get("name") or metadata.get("generateName") or "")
        namespace = str(metadata.get("namespace") or "")
        label = f"{kind}/{name}"
        if kind in _POD_OF:
            self.workloads.append(_workload(content, kind, name, namespace, f"{where}, {label}"))
            return
        if kind == "HorizontalPodAutoscaler":
            spec = _mapping(content.get("spec"), f"{where}: spec")
            target = _mapping(spec.get("scaleTargetRef"), f"{where}: scaleTargetRef")
            key = (str(target.get("kind")), str(target.get("name")), namespace)
            self.scaled[key] = _number(spec.get("minReplicas"), 1, f"{where}: minReplicas")
        (self.unknown if _runs_containers(content) else self.others).append(label)


def _runs_containers(value: t.Any, depth: int = 8) -> bool:
    """Whether an object of another kind seems to hold a pod."""
    if isinstance(value, dict) and depth:
        held = value.get("containers")
        if isinstance(held, list) and any(isinstance(each, dict) and "image" in each for each in held):
            return True
        return any(_runs_containers(inner, depth - 1) for inner in value.values())
    return False


def _workload(content: dict[str, t.Any], kind: str, name: str, namespace: str, where: str) -> Workload:
    holder = content
    for key in _POD_OF[kind]:
        holder = _mapping(holder.get(key), f"{where}: {key}")
    pod = _mapping(holder.get("spec"), f"{where}: spec of the pod")
    spec = _mapping(content.get("spec"), f"{where}: spec")
    ends = kind in ENDING or (kind == "Pod" and pod.get("restartPolicy") in ("Never", "OnFailure"))
    containers = [
        _container(each, pod, not ends, f"{where}: container {number}")
        for number, each in enumerate(_listing(pod.get("containers"), f"{where}: containers"), 1)
    ]
    for number, each in enumerate(_listing(pod.get("initContainers"), f"{where}: initContainers"), 1):
        at = f"{where}: initContainer {number}"
        stays = _mapping(each, at).get("restartPolicy") == "Always"  # a sidecar
        containers.append(_container(each, pod, stays and not ends, at))
    if not containers:
        raise UnexpectedAnswer(f"{where} has no containers.")
    if _TEMPLATE in name + namespace:
        raise UnexpectedAnswer(f"{where} {_NOT_RENDERED}.", remedy=_RENDER)
    return Workload(
        kind=kind,
        name=name,
        namespace=namespace,
        source=where,
        replicas=_number(spec.get("replicas"), 1, f"{where}: replicas") if kind in REPLICATED else 1,
        containers=tuple(containers),
        host_namespaces=tuple(key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)),
        host_paths=tuple(_host_paths(pod, where)),
    )


def _host_paths(pod: dict[str, t.Any], where: str) -> t.Iterator[str]:
    for each in _listing(pod.get("volumes"), f"{where}: volumes"):
        if "hostPath" in _mapping(each, f"{where}: volumes"):
            yield str(_mapping(each["hostPath"], f"{where}: hostPath").get("path"))


def _container(each: t.Any, pod: dict[str, t.Any], is_lasting: bool, where: str) -> Container:
    each = _mapping(each, where)
    name = str(each.get("name") or "")
    where = f"{where} ({name})" if name else where
    judged = [each.get(field) for field in ("name", "image", "resources", "ports", *PROBES.values())]
    if any(_TEMPLATE in text for text in strings_in(judged)):
        raise UnexpectedAnswer(f"{where} {_NOT_RENDERED}.", remedy=_RENDER)
    ports = {
        str(port["name"]): _number(port.get("containerPort"), 0, f"{where}: containerPort")
        for port in (_mapping(item, f"{where}: ports") for item in _listing(each.get("ports"), f"{where}: ports"))
        if port.get("name")
    }
    resources = _mapping(each.get("resources"), f"{where}: resources")
    amounts = {
        side: {str(key): str(value) for key, value in _mapping(resources.get(side), f"{where}: {side}").items()}
        for side in ("requests", "limits")
    }
    # Where there is only a limit, the API server takes it for the request too.
    requests = {**amounts["limits"], **amounts["requests"]}
    inherited = _mapping(pod.get("securityContext"), f"{where}: securityContext of the pod")
    own = _mapping(each.get("securityContext"), f"{where}: securityContext")
    capabilities = _mapping(own.get("capabilities"), f"{where}: capabilities")
    user = own.get("runAsUser", inherited.get("runAsUser"))
    return Container(
        name=name,
        is_lasting=is_lasting,
        image=str(each.get("image") or ""),
        probes={
            kind: _probe(_mapping(each[field], f"{where}: {field}"), ports, f"{where}: {field}")
            for kind, field in PROBES.items()
            if each.get(field) is not None
        },
        requests=requests,
        limits=amounts["limits"],
        run_as_non_root=own.get("runAsNonRoot", inherited.get("runAsNonRoot")) is True,
        run_as_user=None if user is None else _number(user, 0, f"{where}: runAsUser"),
        allows_escalation=own.get("allowPrivilegeEscalation") is not False,
        is_read_only=own.get("readOnlyRootFilesystem") is True,
        is_privileged=bool(own.get("privileged")),
        dropped=tuple(str(item) for item in _listing(capabilities.get("drop"), f"{where}: drop")),
    )


def _probe(probe: dict[str, t.Any], ports: t.Mapping[str, int], where: str) -> Probe:
    handler = next((name for name in _HANDLERS if probe.get(name) is not None), "")
    asked = _mapping(probe.get(handler), f"{where}: {handler}") if handler else {}
    said = asked.get("port")
    port = said if isinstance(said, int) else None
    if isinstance(said, str):
        port = int(said) if said.isdigit() else ports.get(said)
    return Probe(
        handler=handler,
        path=str(asked.get("path") or "/") if handler == "httpGet" else "",
        port_said="" if said is None else str(said),
        port=port,
        scheme=str(asked.get("scheme") or "HTTP"),
        detail="" if handler == "httpGet" else str(asked.get("command") or asked.get("service") or ""),
        times={name: _number(probe.get(field), usual, f"{where}: {field}") for name, (field, usual) in TIMES.items()},
    )


def _mapping(value: t.Any, where: str) -> dict[str, t.Any]:
    """A mapping; nothing is an empty one. Raises UnexpectedAnswer."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnexpectedAnswer(f"{where} is no mapping.")
    return value


def _listing(value: t.Any, where: str) -> list[t.Any]:
    """A list; nothing is an empty one. Raises UnexpectedAnswer."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnexpectedAnswer(f"{where} is no list.")
    return value


def _number(value: t.Any, usual: int, where: str) -> int:
    """A whole number; where none is given, the usual one. Raises UnexpectedAnswer."""
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnexpectedAnswer(f"{where} is {str(value)[:40]!r}, expected a whole number.")
    return value
