# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Kubernetes manifests: are the containers asked whether they live, held in bounds, and without rights they do not need?"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.kubernetes_manifests import (
    PROBES,
    REPLICATED,
    TIMES,
    Container,
    Manifest,
    Probe,
    Workload,
    files_of,
    quantity,
    read_manifest,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core import units
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    GoliveError,
    MissingLibrary,
    TimedOut,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    one_of,
    told_apart,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_k8s"

_PROBE: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "presence": {"type": "str", "choices": ["required", "optional"], "default": "required"},
        "path": {"type": "str"},
        "port": {"type": "int"},
        **{f"{side}_{name}": {"type": "int"} for name in TIMES for side in ("min", "max")},
    },
}
#: What a security option asks for, and whether a container or its workload has it.
_OF_CONTAINER: dict[str, tuple[str, t.Callable[[Container], bool]]] = {
    "run_as_non_root": ("runAsNonRoot: true", lambda each: each.run_as_non_root and each.run_as_user != 0),
    "no_escalation": ("allowPrivilegeEscalation: false", lambda each: not each.allows_escalation),
    "read_only_root": ("readOnlyRootFilesystem: true", lambda each: each.is_read_only),
    "not_privileged": ("privileged: false", lambda each: not each.is_privileged),
    "drop_all": ("capabilities: {drop: [ALL]}", lambda each: "ALL" in each.dropped),
}
_OF_WORKLOAD: dict[str, tuple[str, t.Callable[[Workload], tuple[str, ...]]]] = {
    "no_host_namespaces": ("no hostNetwork, hostPID, hostIPC", lambda each: each.host_namespaces),
    "no_host_path": ("no volume of the host", lambda each: each.host_paths),
}

ARGUMENT_SPEC: Spec = {
    "paths": {"type": "list", "elements": "path", "required": True, "aliases": ["path"]},
    "workloads": {"type": "list", "elements": "str", "default": ["*"]},
    "containers": {"type": "list", "elements": "str", "default": ["*"]},
    **dict.fromkeys(PROBES, _PROBE),
    "same_probe": {"type": "str", "choices": ["refused", "allowed"], "default": "refused"},
    "requests": {"type": "list", "elements": "str"},
    "limits": {"type": "list", "elements": "str"},
    "security": {"type": "list", "elements": "str", "choices": [*_OF_CONTAINER, *_OF_WORKLOAD]},
    "image": {"type": "str", "choices": ["any", "tag", "digest"], "default": "any"},
    "min_replicas": {"type": "int"},
    "accepted_kinds": {"type": "list", "elements": "str", "default": []},
    "max_size": {"type": "str", "default": "4MiB"},
}
CONSTRAINTS: Constraints = {}

_MOST_SIZE = 16 * 2**20
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Facts:
    """All manifests that were read, and the files that could not be."""

    manifests: tuple[Manifest, ...]
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def workloads(self) -> list[Workload]:
        return [workload for manifest in self.manifests for workload in manifest.workloads]


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for option in ("paths", "workloads", "containers", "requests", "limits", "security"):
        if params.get(option) == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    asked = [*PROBES, "requests", "limits", "security", "min_replicas"]
    if params["image"] == "any" and all(params.get(option) is None for option in asked):
        raise BadInput(f"None of {', '.join(asked)} and image is given, so nothing would be judged.")
    for kind in PROBES:
        probe = params.get(kind) or {}
        for name in TIMES:
            low, high = probe.get(f"min_{name}"), probe.get(f"max_{name}")
            if low is not None and high is not None and low > high:
                raise BadInput(f"{kind}: min_{name} is {low} and max_{name} is {high}, so nothing could hold.")
    if params.get("min_replicas") is not None and params["min_replicas"] < 1:
        raise BadInput(f"min_replicas is {params['min_replicas']}, expected at least 1.")
    if not 0 < units.size_bytes(params["max_size"], option="max_size") <= _MOST_SIZE:
        raise BadInput(f"max_size is {params['max_size']}, expected at most 16MiB.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read every file once for all items about it. Raises BadInput, TimedOut and MissingLibrary."""
    _refuse_unusable(params)
    max_bytes = units.size_bytes(params["max_size"], option="max_size")
    problems: list[tuple[str, str]] = []
    paths: dict[str, None] = {}
    for wanted in params["paths"]:
        try:
            paths.update(dict.fromkeys(os.path.realpath(path) for path in files_of(wanted)))
        except GoliveError as problem:
            problems.append((problem.message.rstrip("."), problem.remedy))

    def read(path: str) -> Manifest:
        file = run.once(("whole file", path, max_bytes), lambda: read_whole(path, max_bytes=max_bytes))
        return run.once(("manifest", path, file.sha256), lambda: read_manifest(file, deadline=run.deadline))

    manifests = []
    for path in paths:
        run.deadline.require("Reading the manifests")
        try:
            manifests.append(read(path))
        except (BadInput, TimedOut, MissingLibrary):
            raise
        except GoliveError as problem:
            problems.append((problem.message.rstrip("."), problem.remedy))
    return Facts(tuple(manifests), tuple(dict.fromkeys(problems)))


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """What could not be read, which workloads there are, and each of them."""
    problems = [*facts.problems, *(problem for manifest in facts.manifests for problem in manifest.problems)]
    for name, (sentence, remedy) in zip(told_apart("manifests" for _each in problems), problems):
        yield unknown(name, sentence, remedy=remedy)
    strangers = [label for manifest in facts.manifests for label in manifest.unknown]
    strangers = sorted({label for label in strangers if label.partition("/")[0] not in params["accepted_kinds"]})
    if strangers:
        yield unknown(
            "kinds",
            f"these run containers and are of a kind that is not known here: {_some(strangers)}",
            remedy="Name the kind in accepted_kinds if something else judges it.",
        )
    judged = _selected(facts.workloads, params)
    for pattern in dict.fromkeys(each for each in params["workloads"] if each != "*"):
        found = [each for each in facts.workloads if fnmatch.fnmatchcase(each.label, pattern)]
        yield holds(
            f"workload {pattern}",
            bool(found),
            measured=len(found),
            expected="in the manifests",
            sentence=f"no workload {pattern} is in the manifests, which hold {_some([w.label for w in facts.workloads]) or 'none'}",
            remedy="Correct the name, or name the manifests that hold it in paths.",
        )
    criteria = list(_judge_all(judged, facts, params))
    yield from criteria
    if not criteria:
        counted = f"{len(facts.workloads)} workloads in {len(facts.manifests)} files"
        yield unknown(
            "judged",
            f"nothing that is asked for was to be judged among {counted}",
            remedy="Name manifests of workloads in paths: of a chart or an overlay, what helm template or kubectl kustomize prints.",
        )


def _judge_all(workloads: t.Sequence[Workload], facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    scaled = {key: least for manifest in facts.manifests for key, least in manifest.scaled.items()}
    for label, workload in zip(told_apart(workload.label for workload in workloads), workloads):
        listed = _containers(workload, params)
        if not listed:
            yield unknown(
                f"{label} containers",
                f"{label} has no container {' or '.join(params['containers'])}",
                remedy=f"Its containers are {', '.join(container.name for container in workload.containers) or 'none'}.",
            )
        yield from _judge_workload(workload, label, scaled, params)
        for name, container in zip(told_apart(f"{label} {container.name}" for container in listed), listed):
            yield from _judge_container(container, name, params)


def _selected(workloads: t.Sequence[Workload], params: t.Mapping[str, t.Any]) -> list[Workload]:
    patterns = params["workloads"]
    return [each for each in workloads if any(fnmatch.fnmatchcase(each.label, pattern) for pattern in patterns)]


def _containers(workload: Workload, params: t.Mapping[str, t.Any]) -> list[Container]:
    patterns = params["containers"]
    return [
        each for each in workload.containers if any(fnmatch.fnmatchcase(each.name, pattern) for pattern in patterns)
    ]


def _some(labels: t.Sequence[str]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(label[:100] for label in labels[:_SHOWN]) + more


def _judge_workload(
    workload: Workload,
    label: str,
    scaled: t.Mapping[tuple[str, str, str], int],
    params: t.Mapping[str, t.Any],
) -> t.Iterator[Criterion]:
    is_alone = workload.kind == "Pod" and any(container.is_lasting for container in workload.containers)
    if params.get("min_replicas") is not None and (is_alone or workload.kind in REPLICATED):
        replicas = scaled.get((workload.kind, workload.name, workload.namespace), workload.replicas)
        yield at_least(
            f"{label} replicas",
            replicas,
            params["min_replicas"],
            remedy=f"Set spec.replicas of {label}, or its autoscaler's minReplicas.",
        )
    for option in dict.fromkeys(params.get("security") or ()):
        if option in _OF_WORKLOAD:
            expected, found_in = _OF_WORKLOAD[option]
            found = found_in(workload)
            measured = ", ".join(found) or "none"
            yield holds(
                f"{label} {option}",
                not found,
                measured=measured,
                expected=expected,
                remedy=f"Take {measured} out of {label}.",
            )


def _judge_container(container: Container, name: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if container.is_lasting:
        for kind in PROBES:
            if params.get(kind) is not None:
                yield from _judge_probe(container.probes.get(kind), kind, name, params[kind])
        yield from _judge_same(container, name, params)
    yield from _judge_resources(container, name, params)
    for option in dict.fromkeys(params.get("security") or ()):
        if option in _OF_CONTAINER:
            expected, is_so = _OF_CONTAINER[option]
            good = is_so(container)
            yield holds(
                f"{name} {option}",
                good,
                measured=expected if good else "not so",
                expected=expected,
                remedy=f"Write {expected} in the securityContext of {name}.",
            )
    if params["image"] != "any":
        yield _judge_image(container, name, params["image"])


def _judge_probe(probe: Probe | None, kind: str, name: str, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    called = f"{name} {PROBES[kind]}"
    if probe is None:
        if wanted["presence"] == "required":
            yield holds(
                called,
                False,
                measured="absent",
                expected="present",
                sentence=f"{name} has no {PROBES[kind]}",
                remedy=f"Write a {kind}Probe for {name}.",
            )
        return
    asks_http = wanted.get("path") is not None or wanted.get("port") is not None
    expected = "httpGet" if asks_http else "a handler"
    yield holds(
        called, probe.handler == "httpGet" if asks_http else bool(probe.handler), measured=str(probe), expected=expected
    )
    if probe.handler != "httpGet" and asks_http:
        return
    if wanted.get("path") is not None:
        yield one_of(f"{called} path", probe.path, [wanted["path"]])
    if wanted.get("port") is not None:
        yield holds(
            f"{called} port",
            probe.port == wanted["port"],
            measured=f"{probe.port_said} ({probe.port})" if probe.port_said != str(probe.port) else probe.port,
            expected=str(wanted["port"]),
            sentence=f"{called} asks port {probe.port_said!r}, which is no port of the container"
            if probe.port is None
            else "",
        )
    for option in TIMES:
        low, high, value = wanted.get(f"min_{option}"), wanted.get(f"max_{option}"), probe.times[option]
        said = f"{called} {TIMES[option][0]}"
        if low is not None:
            yield at_least(f"{said} (at least)" if high is not None else said, value, low)
        if high is not None:
            yield at_most(f"{said} (at most)" if low is not None else said, value, high)


def _judge_same(container: Container, name: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Whoever is restarted since a database is down is restarted until it is up."""
    liveness, readiness = container.probes.get("liveness"), container.probes.get("readiness")
    asked = params.get("liveness") is not None or params.get("readiness") is not None
    if params["same_probe"] == "allowed" or not asked or liveness is None or readiness is None:
        return
    same_path = liveness.handler == readiness.handler == "httpGet" and liveness.path == readiness.path
    yield holds(
        f"{name} probes differ",
        not same_path and liveness.asks != readiness.asks,
        measured=f"{liveness} and {readiness}",
        expected="two questions",
        sentence=f"{name} is asked the same for liveness and readiness ({liveness}), so that it is restarted when what it needs is down",
        remedy="Let liveness ask whether the process itself is alive, and readiness whether it can serve.",
    )


def _judge_resources(container: Container, name: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if params.get("requests") is None and params.get("limits") is None:
        return
    given = {"requests": container.requests, "limits": container.limits}
    for side, amounts in given.items():
        for resource in dict.fromkeys(params.get(side) or ()):
            said = amounts.get(resource)
            number = quantity(said) if said is not None else None
            yield holds(
                f"{name} {side}.{resource}",
                number is not None and number > 0,
                measured=said if said is not None else "absent",
                expected="a quantity above 0",
                remedy=f"Write resources.{side}.{resource} of {name}.",
            )
    for resource in sorted({*container.requests} & {*container.limits}):
        least, most = quantity(container.requests[resource]), quantity(container.limits[resource])
        said = f"{container.requests[resource]} and {container.limits[resource]}"
        yield holds(
            f"{name} {resource} within its limit",
            least is not None and most is not None and least <= most,
            measured=said,
            expected="a limit not below the request",
            sentence=f"{name}: request and limit of {resource} are {said}, expected a limit not below the request",
            remedy=f"Raise the limit of {resource}, or lower its request.",
        )


def _judge_image(container: Container, name: str, wanted: str) -> Criterion:
    image, _at, digest = container.image.partition("@")
    tag = image.rpartition("/")[2].partition(":")[2]
    is_digest = digest.startswith("sha256:") and len(digest) == 71
    return holds(
        f"{name} image",
        bool(container.image) and (is_digest or (wanted == "tag" and tag not in ("", "latest"))),
        measured=container.image or "absent",
        expected="a digest" if wanted == "digest" else "a tag that is not latest, or a digest",
        remedy="Name the image as it was tested: docker buildx imagetools inspect IMAGE tells its digest.",
    )


def evidence(facts: Facts) -> dict[str, t.Any]:
    """Each container with its probes, resources and image; what runs nothing is only counted."""
    return {
        "files": [manifest.path for manifest in facts.manifests],
        "containers": [
            {
                "workload": workload.label,
                "namespace": workload.namespace,
                "from": workload.source,
                "replicas": workload.replicas,
                "container": container.name,
                "image": container.image,
                "probes": {kind: {"asks": str(probe), **probe.times} for kind, probe in container.probes.items()},
                "requests": dict(container.requests),
                "limits": dict(container.limits),
            }
            for workload in facts.workloads
            for container in workload.containers
        ],
        "others": sum(len(manifest.others) for manifest in facts.manifests),
        "unknown_kinds": [label for manifest in facts.manifests for label in manifest.unknown],
    }
