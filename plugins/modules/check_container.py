#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are all containers there, healthy, of the expected images, held in bounds, and without rights they do not need?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_container
short_description: Judge Docker containers
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Asks the Docker Engine about containers by name, or about the services of a Compose project, and judges each as it runs. What stands in
    C(daemon.json) or in a Compose file holds for containers that are created later.
  - Each that is expected must be there, in its state, healthy, and not restarted more often than O(max_restarts). The rest is
    judged where its option is given, and is evidence either way.
  - A service with one task, such as a migration or what prepares a volume, must have ended well instead. It belongs into O(completed).
  - It needs the right to use the engine's socket, which is as good as being root, and no library. An engine that is not there, refuses or
    does not answer is V(unknown).
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: A program is run in check mode only inside a container that works, with O(exec[].changes_nothing=true), and is V(unknown) otherwise.
options:
  url:
    description:
      - The engine, as C(unix:///path), or as C(tcp://host:port) without TLS, such as a proxy in front of the socket.
    type: str
    default: unix:///var/run/docker.sock
  containers:
    description: Names of the containers that must be there. Either this or O(project) is needed.
    type: list
    elements: str
  project:
    description: Name of a Compose project, by the label C(com.docker.compose.project). It needs O(services).
    type: str
  services:
    description: Services of O(project), each of which must have a container. All containers of a service are judged.
    type: list
    elements: str
  replicas:
    description:
      - By service, how many containers of it must run, as C(deploy.replicas) says. With O(state=completed) all that are there count.
      - Fewer fail. More are a warning, since they can take work with settings that nobody meant to be in force. Without it one is enough.
      - It means nothing with O(containers), and a service that is not in O(services) is refused, as is V(0).
    type: dict
  unexpected:
    description:
      - What a container of O(project) is that belongs to none of the O(services), such as one of a service that was taken out of the Compose
        file. Those in O(completed) belong to it. A one-off task counts while it runs.
    type: str
    choices: [fail, warn, any]
    default: warn
  state:
    description:
      - V(running), or V(completed) for a task that must have ended with exit code 0, whose health is not judged then.
    type: str
    choices: [running, completed]
    default: running
  completed:
    description:
      - Services of O(project), or names of containers, that must have ended with exit code 0, as Compose's condition
        C(service_completed_successfully). They are expected beside O(services) or O(containers).
      - Each container of such a service must have. One that still runs, was never started, or ended with another exit code fails.
        Exit code 0 after the kernel killed a process inside for want of memory is a warning.
      - Their health and their restart policy are not judged, O(max_restarts) is. O(exec) leaves them out unless O(exec[].only) names them.
      - What C(docker compose run) started is not the service's own container, and counts for nothing. A task whose container was removed, as by
        C(--rm), fails as one that never ran does, since nothing is left to tell them apart.
    type: list
    elements: str
  completed_since:
    description:
      - The moment before which nothing in O(completed) may have ended, as RFC 3339, as seconds since the epoch (V(@1763780400)), or as a span
        before now (V(15m)). Usually that is when the deploy began, so that the migration of the version before does not count.
      - It holds for all with O(state=completed). Left out, an end at any time counts.
    type: str
  healthcheck:
    description: Whether a container without a health check fails. One that has a health check must be healthy either way.
    type: str
    choices: [required, optional]
    default: required
  max_restarts:
    description: How often Docker may have restarted a container since it was created. What was restarted by hand does not count.
    type: int
    default: 0
  images:
    description:
      - The image that each container must run, by service or name of the container.
      - V(sha256:…) is the image's own id or a registry's digest, V(repository@sha256:…) the digest at that registry. A tag is refused.
    type: dict
  log_rotation:
    description:
      - Whether the log must be bounded. The driver C(json-file) without C(max-size) is not, and with one file alone it is a warning, since all is
        lost when that is full. C(local) rotates by itself; C(journald) and drivers that send lines elsewhere keep little here.
        Whether C(syslog) rotates, or a driver that is not Docker's own, is V(unknown).
    type: str
    choices: [required, optional]
    default: optional
  max_log_size:
    description: How large all files of a container's log may become at most, such as V(100MB), with O(log_rotation=required).
    type: str
  limits:
    description: What each container must have a limit of.
    type: list
    elements: str
    choices: [memory, cpu, pids]
  restart_policies:
    description: Restart policies of which each container must have one. V(never) is Docker's C(no).
    type: list
    elements: str
    choices: [always, unless-stopped, on-failure, never]
  security:
    description:
      - What each container must be.
      - V(run_as_non_root) is that it is set to a user that is not root; a program that gives up root by itself does not count, since health
        checks and O(exec) are root then. V(not_privileged) is no C(privileged); V(no_escalation) is C(no-new-privileges);
        V(read_only_root) is a root that cannot be written; V(drop_all) is that all capabilities but those added are dropped;
        V(no_engine_socket) is that the engine's socket is not mounted into it.
    type: list
    elements: str
    choices: [run_as_non_root, not_privileged, no_escalation, read_only_root, drop_all, no_engine_socket]
  exec:
    description:
      - Programs to run inside the containers. What they print is shown without secrets and personal data of well-known forms. One that does not end
        within O(timeout), or prints more than 1 MiB, is ended.
      - Ending it needs the right to, and the engine on this host. Where it cannot be ended, the summary says so.
    type: list
    elements: dict
    suboptions:
      argv:
        description: The program and its arguments, each as it is. Secrets do not belong here, since others can read them.
        type: list
        elements: str
        required: true
      only:
        description: Services or names of containers to run it in. Without it, all but O(completed).
        type: list
        elements: str
      changes_nothing:
        description: Your promise that the program changes nothing. Then it runs in check mode too.
        type: bool
        default: false
      throw_away:
        description:
          - Whether to run it in a container of its own, which is removed afterwards, and not inside the one that works. It is made from the
            same image, with the user, variables, devices, GPUs and limits of that one, and has neither network nor volumes.
          - It is never made in check mode.
        type: bool
        default: false
      exit_codes:
        description: Exit codes that are good. 126 and 127 say that it could not be started, and are V(unknown) unless they are listed.
        type: list
        elements: int
        default: [0]
      stdout_matches:
        description: Regular expressions, each of which its standard output must match.
        type: list
        elements: str
      min_gpus:
        description:
          - How many GPUs of this host it must see at least, by the UUIDs that it prints, as C(nvidia-smi) does. They are compared with those that
            NVML tells outside, so a UUID that the host does not have fails. It needs what M(opsready.golive.check_gpu) needs.
        type: int
"""

EXAMPLES = r"""
- name: All services of the project are up, healthy and never restarted
  opsready.golive.check_container:
    project: archive
    services: [backend, worker]
    replicas: {worker: 1}
    images:
      backend: sha256:6c2ef57b0e99ec46833a82f0bb7cb16f9b14d1985886aea5209a94914426e367

- name: The services are up, and the migration of this deploy has ended well
  opsready.golive.check_container:
    project: shop
    services: [web]
    completed: [migrate]
    completed_since: "{{ deploy_began | default('1h') }}"
    unexpected: fail

- name: Each container is held in bounds and may do no more than it needs
  opsready.golive.check_container:
    containers: [archive-backend-1, archive-worker-1]
    log_rotation: required
    max_log_size: 100MB
    limits: [memory, cpu, pids]
    restart_policies: [always, unless-stopped]
    security: [run_as_non_root, not_privileged, no_escalation, no_engine_socket]

- name: The worker sees the GPU
  opsready.golive.check_container:
    project: archive
    services: [backend, worker]
    exec:
      - argv: [nvidia-smi, "--query-gpu=uuid,driver_version", "--format=csv,noheader"]
        only: [worker]
        throw_away: true
        min_gpus: 1
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
      sample: "archive-worker-1 log rotation is json-file without max-size: it grows until the disk is full, expected bounded."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description:
        - The engine, and of each container state, health, restarts, start, end, image and its digests, log, limits and rights. No variable
          of its environment and no label.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_container
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_container
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_container)


if __name__ == "__main__":
    main()
