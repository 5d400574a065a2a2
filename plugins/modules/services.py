#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a system's services from one version to another, and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: services
short_description: Take services from one version to another, and back
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Keeps what is needed to come back, has the new version verified beside the old one, stops services in order and reads how each
    ended, starts them in order and each behind its health gates, and puts files and version back.
  - One interface for whatever runs the processes. Supervisor is supported now.
  - A service that was killed instead of ending by itself is a failure, since what it was doing may be lost. So is a service that has to be
    started twice.
options:
  state:
    description:
      - V(snapshot) copies O(files) and notes each service's state and the deployed version in O(snapshot_dir). The snapshot of a release is taken
        once; later runs verify it.
      - V(pulled) verifies the artefact and unpacks it beside the other versions, in one step. Nothing is switched.
      - V(stopped) stops O(services) in the order given.
      - V(started) makes O(artefact.version) the current one and starts O(services) in the order given, each behind its O(gates).
      - V(status) changes nothing.
      - V(restored) puts files and version back as the snapshot has them. It starts nothing, and refuses while O(services) run.
    type: str
    choices: [snapshot, pulled, stopped, started, status, restored]
    required: true
  manager:
    description: What runs the services.
    type: str
    choices: [supervisor]
    default: supervisor
  services:
    description: The services in order, by name, as C(group:name), or as C(group:*). Needed for every state but V(pulled).
    type: list
    elements: str
    default: []
  supervisor:
    description: Where supervisord is. Needed for every state but V(pulled).
    type: dict
    suboptions:
      server:
        description: Its socket, such as V(unix:///run/supervisor.sock), or V(http://127.0.0.1:9001). It must be on the host that runs the task.
        type: str
        required: true
      username:
        description: User of its interface.
        type: str
      password:
        description: Password of its interface. It is never printed.
        type: str
  artefact:
    description: The versions of the application on this host.
    type: dict
    suboptions:
      src:
        description: The version's tar archive on this host. Needed for O(state=pulled).
        type: path
      sha256:
        description: The archive's digest. Needed for O(state=pulled); O(state=started) compares it with what was unpacked.
        type: str
      version:
        description: Name of the version, and of its folder.
        type: str
      releases_dir:
        description: Folder that holds a folder for each version. Older ones are kept.
        type: path
        required: true
      current:
        description: Symbolic link to the current version's folder, which the services run from.
        type: path
        required: true
      strip_components:
        description: Leading folders of the archive that are left out.
        type: int
        default: 0
  files:
    description: Files that the release changes, with absolute paths. A file that was not there is removed by V(restored).
    type: list
    elements: path
    default: []
  snapshot_dir:
    description: Private folder of the snapshot, one for each release. Needed for V(snapshot) and V(restored).
    type: path
  gates:
    description:
      - What must be answered before the next service starts. Needs O(gates[].consecutive) good answers in a row, and the services started so
        far must be the same processes throughout.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: The entry of O(services) that this gate is for. Without it, the gate is passed after all have started.
        type: str
      url:
        description: What is asked for.
        type: str
        required: true
      consecutive:
        description: Good answers in a row that open the gate.
        type: int
        default: 3
      interval:
        description: Seconds between two requests.
        type: float
        default: 0.1
      timeout:
        description: Seconds after which the gate stays shut and the task fails, naming the last answer.
        type: float
        default: 60.0
      request_timeout:
        description: Seconds for one request.
        type: float
        default: 5.0
      ca_file:
        description: Certificate authorities, in PEM, to trust instead of the host's own.
        type: path
      connect_to:
        description: Connect to this C(host:port). The name in the URL is still used for TLS and the C(Host) header.
        type: str
      headers:
        description: Headers of the request.
        type: dict
        default: {}
      secret_headers:
        description: Headers whose values are never printed.
        type: dict
        default: {}
      bearer:
        description: Token of the C(Authorization) header. It is never printed.
        type: str
    extends_documentation_fragment: []
  start_timeout:
    description: Seconds for one service to run.
    type: float
    default: 60.0
  stop_timeout:
    description: Seconds for one service to end. It is never killed by this module; the process manager may do so after its own limit.
    type: float
    default: 60.0
  max_restarts:
    description: How often one service may come back as another process while it starts and while gates are awaited.
    type: int
    default: 0
  allowed_exits:
    description: How a running service may end when it is stopped, as exit code or name of a signal.
    type: list
    elements: str
    default: ["0", "143", SIGTERM]
  on_bad_exit:
    description: V(fail) ends the task at the first service that was killed or ended otherwise. V(report) warns and goes on, for the way back.
    type: str
    choices: [fail, report]
    default: fail
  ports_closed:
    description: Addresses C(host:port) where nothing may listen after V(stopped).
    type: list
    elements: str
    default: []
  stateful:
    description: Names of services that keep data. They are not stopped unless O(allow_stateful) is set.
    type: list
    elements: str
    default: [elasticsearch, mariadb, minio, mongodb, mysql, nats, postgres, postgresql, rabbitmq, redis, valkey]
  allow_stateful:
    description: Stop services that keep data, too.
    type: bool
    default: false
  timeout:
    description: Seconds for everything that has no limit of its own.
    type: float
    default: 300.0
"""
