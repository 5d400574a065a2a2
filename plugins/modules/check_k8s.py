#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the manifests say how containers are asked whether they live, what they may use, and what they must not do?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_k8s
short_description: Judge Kubernetes manifests
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads manifests from files and judges each Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job and
    CronJob in them. No cluster is asked.
  - A file may hold many documents and lists, as C(kubectl kustomize) and C(helm template) print them. Templates of Helm that were not
    rendered, kinds that are not known and run containers, keys that come twice, and what is no YAML or no Kubernetes object are
    V(unknown), and so are manifests in which there is nothing to judge.
  - Where a manifest leaves a field out, what the API server takes is judged, a period of 10 seconds for instance.
  - Probes are judged in containers that last. Jobs, pods that are not restarted, and init containers that are no sidecars have none.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - PyYAML >= 6.0, on the host that runs the module
options:
  paths:
    description:
      - The manifests, on the host that runs the module. Files, patterns such as V(deploy/*.yaml), or directories, of which all files that
        end in C(.yaml), C(.yml) or C(.json) are read, those in hidden directories not.
    type: list
    elements: path
    required: true
    aliases: [path]
  workloads:
    description:
      - The workloads to judge, as kind and name, such as V(Deployment/api) or V(*/api-*). Each must be in the manifests. By default,
        all are judged.
    type: list
    elements: str
    default: ["*"]
  containers:
    description: The containers to judge, by name or pattern. Each workload must have one. By default, all are judged.
    type: list
    elements: str
    default: ["*"]
  liveness:
    description: What is expected of the C(livenessProbe), after which a container is restarted.
    type: dict
    suboptions: &probe
      presence:
        description: Whether each container must have it, or it is judged where there is one.
        type: str
        choices: [required, optional]
        default: required
      path:
        description: The path that C(httpGet) must ask for.
        type: str
      port:
        description: The port that C(httpGet) must ask. A name is followed to the container's port.
        type: int
      min_initial_delay_seconds:
        description: Smallest C(initialDelaySeconds).
        type: int
      max_initial_delay_seconds:
        description: Largest C(initialDelaySeconds).
        type: int
      min_period_seconds:
        description: Smallest C(periodSeconds).
        type: int
      max_period_seconds:
        description: Largest C(periodSeconds).
        type: int
      min_timeout_seconds:
        description: Smallest C(timeoutSeconds).
        type: int
      max_timeout_seconds:
        description: Largest C(timeoutSeconds).
        type: int
      min_failure_threshold:
        description: Smallest C(failureThreshold).
        type: int
      max_failure_threshold:
        description: Largest C(failureThreshold).
        type: int
      min_success_threshold:
        description: Smallest C(successThreshold).
        type: int
      max_success_threshold:
        description: Largest C(successThreshold).
        type: int
  readiness:
    description: What is expected of the C(readinessProbe), without which a container gets requests before it can answer them.
    type: dict
    suboptions: *probe
  startup:
    description: What is expected of the C(startupProbe), until which the others wait.
    type: dict
    suboptions: *probe
  same_probe:
    description:
      - Whether liveness and readiness may ask the same. Then a container is restarted when what it depends on is down. Judged with
        O(liveness) or O(readiness).
    type: str
    choices: [refused, allowed]
    default: refused
  requests:
    description:
      - Resources of which each container must request some, such as V(cpu) and V(memory). A limit counts as a request where there is none.
      - With O(requests) or O(limits), no request may be above its limit.
    type: list
    elements: str
  limits:
    description: Resources for which each container must have a limit.
    type: list
    elements: str
  security:
    description:
      - What each container and its pod must be.
      - V(run_as_non_root) is C(runAsNonRoot), of the container or its pod, and not user 0; V(no_escalation) is
        C(allowPrivilegeEscalation) set to false; V(read_only_root) is C(readOnlyRootFilesystem); V(not_privileged) is no
        C(privileged); V(drop_all) is that the capability C(ALL) is dropped; V(no_host_namespaces) is no C(hostNetwork), C(hostPID) and
        C(hostIPC); V(no_host_path) is no volume C(hostPath).
    type: list
    elements: str
    choices: [run_as_non_root, no_escalation, read_only_root, not_privileged, drop_all, no_host_namespaces, no_host_path]
  image:
    description: Whether images need a V(tag) that is not C(latest), or a V(digest). A digest is always as good as a tag.
    type: str
    choices: [any, tag, digest]
    default: any
  min_replicas:
    description:
      - How many pods there must be at least of a Deployment, StatefulSet, ReplicaSet, ReplicationController or lone Pod. Where a
        HorizontalPodAutoscaler of the manifests scales it, its C(minReplicas) counts.
    type: int
  accepted_kinds:
    description: Kinds that are not Kubernetes' own, run containers, and are not judged here, such as V(Rollout).
    type: list
    elements: str
    default: []
  max_size:
    description: Largest size of a file that is read, at most V(16MiB).
    type: str
    default: 4MiB
"""

EXAMPLES = r"""
- name: The API is asked whether it lives and whether it is ready
  opsready.golive.check_k8s:
    path: /srv/runner/deploy/manifests
    workloads: [Deployment/api]
    containers: [api]
    liveness: {path: /health, port: 8000, min_failure_threshold: 3}
    readiness: {path: /ready, port: 8000, max_period_seconds: 10}
    min_replicas: 2

- name: Every container is held in bounds and may do no more than it needs
  opsready.golive.check_k8s:
    path: /srv/runner/deploy/manifests
    requests: [cpu, memory]
    limits: [memory]
    security: [run_as_non_root, no_escalation, not_privileged, drop_all, no_host_namespaces, no_host_path]
    image: tag
"""

RETURN = r"""
msg:
  description: The summary of the finding.
  returned: always
  type: str
finding:
  description: What was found. RV(finding.status) is V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: dict
  contains:
    status:
      description: The worst status of all criteria; V(unknown) when nothing could be judged.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "Deployment/api api livenessProbe path is /healthz, expected /health."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Each container with its image, probes, requests and limits, and how much in the manifests runs nothing.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_k8s
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_k8s
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_k8s)


if __name__ == "__main__":
    main()
