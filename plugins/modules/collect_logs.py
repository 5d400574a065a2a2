#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What did the services log, for somebody who may not see their secrets?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: collect_logs
short_description: Collect what services logged into one bundle, bounded and without secrets
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads the log files, containers and journals of services since a time, and writes one C(tar.gz) with a file for each service, and
    C(manifest.json) that says what was read, kept and left out.
  - What looks like a secret or personal data is masked, as M(opsready.golive.check_logs) finds it, and so is what O(known_secrets) names. Of a
    private key no line is kept. What has no form that is known, and was not named, cannot be recognised; look through a bundle before it leaves
    the house.
  - A service of which nothing was read is named, and fails the task once the rest is written.
options:
  destination:
    description: Folder on this host that the bundle is written to. It is made, for this user alone, where it is not there.
    type: path
    required: true
  services:
    description:
      - With O(supervisor), services by name, as C(group:name), or as C(group:*). The files that supervisord writes their output to are read.
      - With O(docker), the names of containers. What they wrote to standard output and error is read.
    type: list
    elements: str
  docker:
    description: The engine that O(services) are containers of.
    type: dict
    suboptions:
      url:
        description: Its address, V(unix:///path) or V(tcp://host:port).
        type: str
        default: unix:///var/run/docker.sock
  supervisor:
    description: Where supervisord is, for O(services). They need either this or O(docker).
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
  sources:
    description: Other logs, and whose they are.
    type: list
    elements: dict
    suboptions:
      service:
        description: The service that writes it.
        type: str
        required: true
      path:
        description: A file, or a pattern of files. What was rotated away from it is read as well.
        type: path
      journal:
        description: A unit in the journal.
        type: str
      journal_directory:
        description: Another directory of the journal than the host's own.
        type: path
      container:
        description: Name of a container, whose standard output and error are read.
        type: str
      url:
        description: Address of the Docker Engine of O(sources[].container), V(unix:///path) or V(tcp://host:port).
        type: str
        default: unix:///var/run/docker.sock
  since:
    description: From when on, as a span before now (V(15m)), a moment in RFC 3339, or C(@) and seconds since 1970.
    type: str
    default: 1h
  levels:
    description:
      - Only lines of these levels, and the lines without a level and a time behind them, as those of a traceback. All lines by default.
    type: list
    elements: str
    choices: [critical, error, warning, info, debug]
    default: []
  pattern:
    description: Only lines in which this regular expression is found.
    type: str
  known_secrets:
    description: Secrets to mask, beside those of well-known forms. They are never printed.
    type: list
    elements: str
    default: []
  max_size:
    description: The most that is kept of one service. The newest lines are.
    type: str
    default: 5MB
  max_read:
    description: The most that is read of one source. Of a file the newest part is, otherwise the oldest.
    type: str
    default: 200MB
  timeout:
    description: Seconds for everything.
    type: float
    default: 120.0
extends_documentation_fragment:
  - opsready.golive.attributes
  - opsready.golive.release
attributes:
  check_mode:
    support: full
    details: Everything is read, and nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each run writes a bundle of its own.
  action:
    support: full
seealso:
  - module: opsready.golive.check_logs
"""

EXAMPLES = r"""
- name: What did backend and worker complain about in the last quarter of an hour
  opsready.golive.collect_logs:
    destination: /var/lib/opsready/archive/logs
    services: [backend, worker]
    supervisor:
      server: unix:///run/archive/supervisor.sock
    since: 15m
    levels: [critical, error, warning]
    known_secrets: ["{{ vault_database_password }}"]

- name: What did two containers log
  opsready.golive.collect_logs:
    destination: /var/lib/opsready/archive/logs
    services: [archive-backend-1, archive-worker-1]
    docker:
      url: unix:///var/run/docker.sock
    since: 15m
"""

RETURN = r"""
services:
  description: For each service how much was read, kept and left out, the file in the bundle with its sha256, and why something is missing.
  returned: always
  type: list
  elements: dict
  sample:
    - {service: backend, file: backend.log, lines_read: 812, lines: 3, lines_cut: 0, size_bytes: 410, sha256: 5f1d…, gaps: []}
bundle:
  description: Its path on this host, sha256 and size. None in check mode.
  returned: always
  type: dict
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions.collect_logs import (
    ARGUMENT_SPEC,
    CONSTRAINTS,
    body,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main():
    run_module(ARGUMENT_SPEC, body, **CONSTRAINTS)


if __name__ == "__main__":
    main()
