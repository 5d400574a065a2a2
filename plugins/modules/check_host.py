#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the host the room, the memory, the ports, files and processes that the release needs?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_host
short_description: Judge a host's space, memory, load, clock, kernel, ports, files, commands and processes
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Judges many aspects of one host in one call. At least one must be asked for.
  - Sizes are written as V(50GB) (powers of 1000) or V(16GiB) (powers of 1024), compared in bytes, and shown both ways.
  - Free space is asked in a child process that is killed at the limit, since a network file system whose server is gone
    does not answer.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: O(commands) are run in check mode only where O(commands[].changes_nothing=true); otherwise they are V(unknown).
options:
  paths:
    description: File systems, each by a path on it, and the space that must be free there for an ordinary user.
    type: list
    elements: dict
    aliases: [disk]
    suboptions:
      path:
        description: Any path on the file system.
        type: path
        required: true
      min_free:
        description: Lowest free space, such as V(50GB) or V(16GiB).
        type: str
      min_free_bytes:
        description: Lowest free space in bytes.
        type: int
      min_free_percent:
        description: Lowest share of free space.
        type: float
      min_free_inodes_percent:
        description: Lowest share of free inodes, where the file system counts them.
        type: float
        default: 5
      will_use:
        description:
          - What the deploy will put there, a size by name, such as V(6GB) for C(images) and V(3GB) for C(dump). The bounds must hold after
            that as well as now; without a bound it must fit. What several entries will put on one file system is added.
        type: dict
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  memory:
    description: The host's memory, from C(/proc/meminfo).
    type: dict
    suboptions:
      min_available:
        description: Lowest memory that could be given to programs without swapping (C(MemAvailable)), such as V(16GB).
        type: str
      min_total:
        description:
          - Lowest memory in all, as the kernel counts it. Firmware and kernel keep a part for themselves, so a host that is sold with 16 GB
            or 16 GiB tells about 15.5 GiB. V(16GB), which is 14.9 GiB, holds there, and V(16GiB) does not.
        type: str
      max_swap_used_percent:
        description: Highest share of swap in use.
        type: float
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  min_cpus:
    description: Lowest number of processors that may be used.
    type: int
  max_load_per_cpu:
    description: Highest load average over five minutes, divided by the processors.
    type: float
  max_open_files_percent:
    description: Highest share of the kernel's limit of open files that is in use.
    type: float
  min_kernel:
    description: Lowest version of the kernel, such as V(5.10).
    type: str
  pending_reboot:
    description:
      - Whether the host may wait for a reboot. C(/run/reboot-required) must not be there, with which Debian and Ubuntu ask for one, and the
        running kernel must be the newest of its flavour in C(/boot) and C(/lib/modules).
      - A distribution without C(/var/lib/dpkg), such as Red Hat's or SUSE's, never writes that file. There only the kernel is judged, and
        not whether a new library or service asks for a reboot.
      - With V(warn) it is a warning. Where no kernel of that flavour is installed, as in a container, it is V(unknown).
    type: str
    choices: [refused, warn]
  sysctl:
    description:
      - Settings of the kernel by name, from C(/proc/sys), such as C(vm.max_map_count). What is in force is judged, and not what
        a file in C(/etc/sysctl.d) says.
      - Each is its exact value, or a mapping with C(at_least), C(at_most) or both.
    type: dict
  ports:
    description: TCP ports that must accept a connection, or must not.
    type: list
    elements: dict
    suboptions:
      host:
        description: Name or address to connect to.
        type: str
        default: 127.0.0.1
      port:
        description: Number of the port.
        type: int
        required: true
      expect:
        description:
          - Whether it must be open. It is open where one address of the host accepts a connection.
          - Only a refusal at every address proves that it is closed. A time-out, or a router's word that nobody can be reached, is C(filtered),
            and an address to which this host has no route tells nothing; with V(closed) both are V(unknown).
        type: str
        choices: [open, closed]
        default: open
      filtered_is_closed:
        description: >-
          Whether V(closed) holds too for a port from which nothing came back, as behind a firewall that drops what it gets. Otherwise that is
          V(unknown). It means nothing with V(open).
        type: bool
        default: false
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  clock:
    description: Whether the host's clock is right, by a server that is known to be right, and is kept right. At least one must be asked for.
    type: dict
    suboptions:
      url:
        description: A URL of that server; it is asked with C(HEAD), and its C(Date) header compared.
        type: str
      max_skew:
        description: Highest difference in seconds. The header counts whole seconds.
        type: float
        default: 5
      ca_file:
        description: Certificate authorities, in PEM, for that server.
        type: path
      synchronised:
        description:
          - Whether something must keep the clock right. The kernel is asked with C(adjtimex), where it does not say so chrony, and where
            neither can be asked systemd-timesyncd.
          - It is V(unknown) where nobody can tell, as in a container whose engine keeps the kernel's word from it.
        type: str
        choices: [required]
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  users:
    description: Accounts of the host.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      exists:
        description: Whether there must be such an account.
        type: bool
        default: true
      groups:
        description: Groups that it must be in.
        type: list
        elements: str
        default: []
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  files:
    description: Files, and what they must be.
    type: list
    elements: dict
    suboptions:
      path:
        description: The path. Symbolic links are followed.
        type: path
        required: true
      exists:
        description: Whether there must be such a file.
        type: bool
        default: true
      kind:
        description: What it must be.
        type: str
        choices: [file, directory, socket, pipe, device]
      mode:
        description: The mode that it must have, in octal digits, in quotes.
        type: str
      owner:
        description: The user that must own it.
        type: str
      group:
        description: The group that must own it.
        type: str
      max_age:
        description:
          - Highest time since its last change, such as V(90s), V(15m), V(24h) or V(7d).
          - A file that was changed more than 300 seconds after what this host's clock shows is V(unknown).
        type: str
      min_size:
        description: Smallest size, such as V(1MB).
        type: str
      max_size:
        description: Largest size.
        type: str
      contains:
        description: Texts that must be in it, within the first 16 MiB.
        type: list
        elements: str
      contains_not:
        description: Texts that must not be in it, within the first 16 MiB.
        type: list
        elements: str
      sha256:
        description: The SHA-256 that it must have.
        type: str
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  commands:
    description: Programs that are run, without a shell, and must end as expected. They must change nothing.
    type: list
    elements: dict
    suboptions:
      argv:
        description: The program and its arguments. What looks like a password is refused, as every user of the host could see it.
        type: list
        elements: str
        required: true
      returncode:
        description: The code that it must end with.
        type: int
        default: 0
      stdout_matches:
        description: Regular expression that is searched in its standard output.
        type: str
      changes_nothing:
        description: Your word that it only reads, so that it may be run in check mode too.
        type: bool
        default: false
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  processes:
    description: Processes by their command line.
    type: list
    elements: dict
    suboptions:
      pattern:
        description: Regular expression that is searched in the command lines.
        type: str
        required: true
      min_count:
        description: Lowest number of processes.
        type: int
        default: 1
      max_count:
        description: Highest number of processes.
        type: int
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
"""

EXAMPLES = r"""
- name: There is room for the release and its backup
  opsready.golive.check_host:
    paths:
      - {path: /, min_free: 50GB}
      - {path: /var/lib/docker, will_use: {images: 6GB}}
      - {path: /var/backups/archive, min_free: 10GB, will_use: {dump: 3GB}}
      - {path: /var/lib/postgresql, min_free_percent: 20}
    memory: {min_available: 16GB}
    max_load_per_cpu: 2

- name: The host is up to date and set as the database and the search index need it
  opsready.golive.check_host:
    pending_reboot: refused
    sysctl:
      vm.overcommit_memory: 2
      vm.max_map_count: {at_least: 262144}
      vm.swappiness: {at_most: 10}
    clock: {synchronised: required}

- name: The application's port is only open behind the proxy
  opsready.golive.check_host:
    ports:
      - {port: 443}
      - {host: 203.0.113.10, port: 8000, expect: closed, filtered_is_closed: true}
    files:
      - {path: /srv/archive/archive.env, mode: "0600", owner: archive}
    commands:
      - {argv: [nginx, -t], changes_nothing: true}
    processes:
      - {pattern: "celery .*worker", min_count: 2}
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
      sample: "Free space on / is 31.2 GB (29.1 GiB), expected at least 50.0 GB (46.6 GiB)."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: What was seen, aspect by aspect, without the content of files or the output of commands.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_host
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_host
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_host)


if __name__ == "__main__":
    main()
