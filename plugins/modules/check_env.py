#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the environment variables of a service set, right for production, and its secrets strong?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_env
short_description: Judge environment variables, in files, processes, containers and systemd units
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads an env file, the environment of a running process, the configuration of a container or the files of a systemd unit, one or
    several of them, and judges each variable by a rule.
  - A secret is judged by its length, by an estimate of its entropy, against known placeholders and the values of an example
    file. Neither the finding nor its evidence ever holds a secret; a strong one is told by the first eight digits of its
    SHA-256.
  - A variable that has one value in one of these places and another one in the next fails. An O(file) that is newer than a process
    or a container is a warning, since that still runs with the old values.
  - A variable that only some of these places have is judged by those. The running process counts before the container, that before the
    unit and that before the O(file).
  - That holds for the variables of O(rules[].groups), O(distinct) and O(fits) as it does for one that has a rule of its own.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - cryptography >= 42.0 (Python library, on the host that runs the module), for rules of kind V(fernet)
options:
  file:
    description: The env file. It is read as python-dotenv and Docker Compose read it where those agree; other lines are reported.
    type: path
  max_mode:
    description: The most permissive mode that the file may have, in octal digits, in quotes.
    type: str
    default: "0600"
  process:
    description: The running process whose environment is read from C(/proc).
    type: dict
    suboptions:
      pid:
        description: Number of the process.
        type: int
      pid_file:
        description: File that holds the number of the process.
        type: path
      pattern:
        description: Regular expression that is searched in the command lines. All processes that match must agree.
        type: str
  container:
    description:
      - What a container was made with, as the engine tells it. Of a container that has stopped it is the same, and its state stands in the
        finding's evidence. No such container is a failure.
      - What the application reads by itself from a file inside the container is not part of it. A variable that O(file) has, and
        that the container was made without, fails.
    type: dict
    suboptions:
      url:
        description: The engine, as C(unix:///path), C(tcp://host:port) or C(http://host:port).
        type: str
        default: unix:///var/run/docker.sock
      name:
        description: Name of the container.
        type: str
      project:
        description: A project of Docker Compose, instead of O(container.name). Needs O(container.services).
        type: str
      services:
        description: Services of O(container.project). All containers of all of them must agree.
        type: list
        elements: str
  unit_file:
    description:
      - The file of a systemd service, with its drop-ins from C(.d) directories. A unit in a directory of systemd, such as
        C(/etc/systemd/system), has those of all these directories, as C(systemctl edit) writes them.
      - C(Environment), C(EnvironmentFile), C(UnsetEnvironment) and C(PassEnvironment) are read as systemd reads them. What systemd leaves
        out, such as an environment file whose path is not absolute, is a failure.
      - A variable that the service manager passes on, or whose value holds a specifier such as C(%i), is V(unknown) by the unit alone.
    type: path
  example_file:
    description: The example env file that came with the application. A secret that equals one of its values fails.
    type: path
  documented:
    description:
      - With V(required), O(file) must have every variable of O(example_file), and no other. One that the example has commented out, as
        C(# NAME=value), may be in the file or not.
      - A variable whose rule is O(rules[].optional) or of kind V(absent) may be left out of the file. Findings tell names, never values.
    type: str
    choices: [required, ignored]
    default: ignored
  rules:
    description: The variables and what they must be.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the variable, or with O(rules[].kind=any_of) a name for the group.
        type: str
        required: true
      kind:
        description:
          - V(present) and V(absent) ask whether the variable is set. An empty value counts as not set.
          - V(literal) compares with O(rules[].value), V(one_of) with O(rules[].allowed), V(matches) with O(rules[].pattern).
          - V(secret) judges length and strength. V(fernet) wants a key of C(cryptography.fernet), and tries it.
          - V(url) wants an https URL whose host is public. V(dsn) wants scheme, host and database; a driver such as
            C(+asyncpg) is left aside. V(email) wants an address that somebody can own. V(origins) wants a list of https
            origins without V(*).
          - V(number) is judged by O(rules[].min), O(rules[].max) or O(rules[].value), V(boolean) by O(rules[].value). It is a bare
            number, or with O(rules[].unit) a size or a duration.
          - V(any_of) wants at least one complete group of O(rules[].groups), and none that is half-configured.
        type: str
        choices: [literal, one_of, secret, fernet, url, dsn, email, origins, number, boolean, matches, any_of, present, absent]
        default: present
      value:
        description: The value that is wanted. For V(boolean), V(1), V(true) and their like are the same.
        type: str
      allowed:
        description: The values that are allowed; for V(origins), exactly these origins.
        type: list
        elements: str
      pattern:
        description: Regular expression that is searched in the value.
        type: str
      unit:
        description:
          - What a V(number) measures. A V(size) is bytes, or has a unit such as V(512MB) (powers of 1000) or V(1GiB) (powers of 1024); a
            V(duration) always has one, such as V(30s), V(15m), V(24h) or V(7d).
          - The variable and its bounds may be in different units. V(512M) is no size, as it could be either.
        type: str
        choices: [size, duration]
      min:
        description: Lowest number, such as V(1), or V(512MB) with O(rules[].unit).
        type: str
      max:
        description: Highest number, likewise.
        type: str
      min_length:
        description: Lowest number of characters of a secret.
        type: int
        default: 32
      min_strength_bits:
        description: Lowest strength of a secret, in bits, by an estimate that errs on the low side.
        type: int
        default: 64
      fingerprint:
        description: The first eight digits of the SHA-256 that a secret must have, to see that a key was not changed by accident.
        type: str
      schemes:
        description: Schemes that a V(url), V(dsn) or V(origins) may have. The default is V(https), and V(postgresql) for V(dsn).
        type: list
        elements: str
      allow_private:
        description: Whether a V(url) or V(origins) may point to a host that is not public.
        type: bool
        default: false
      groups:
        description: Groups of names that belong together, such as client id and secret of each OAuth provider.
        type: list
        elements: list
      optional:
        description: The reason why the variable may be left out. It stands in the finding then.
        type: str
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  distinct:
    description: Names of variables that must all hold different values.
    type: list
    elements: str
  fits:
    description: Products of settings that this host has to have room for. The arithmetic stands in the finding.
    type: list
    elements: dict
    suboptions:
      name:
        description: What has to fit, in a few words.
        type: str
        required: true
      factors:
        description:
          - What is multiplied. Each is the name of a variable, a number, or a size such as V(2GiB). A variable holds a number, or a size
            with its unit; V(2G) is neither.
        type: list
        elements: str
        required: true
      unit:
        description: The unit of the product where no factor has one, such as V(MB).
        type: str
      within:
        description:
          - What it has to fit in. V(memory) is all of the host's, V(memory_available) what could be given out now, V(disk) what is free at
            O(fits[].path), V(processors) those that this host's programs may run on.
        type: str
        required: true
        choices: [memory, memory_available, disk, processors]
      path:
        description: A path on the disk. Needed for V(disk).
        type: path
      share:
        description: How much of it the product may take, above 0 and at most 1.
        type: float
        default: 0.8
      level:
        description: How bad it is when it does not fit.
        type: str
        choices: [fail, warn]
        default: fail
  forbidden_patterns:
    description:
      - Regular expressions that no value of O(file), O(unit_file) or O(container) may match, whatever the case, such as V(localhost), nor the
        value that O(process) has of one of their variables. Where there is only O(process), all of its variables are searched.
      - Hits are told by name only.
    type: list
    elements: str
  forbidden_except:
    description: Names that O(forbidden_patterns) does not look at.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: The environment is that of production
  opsready.golive.check_env:
    file: /srv/archive/archive.env
    example_file: /srv/archive/current/archive.env.example
    documented: required
    process:
      pid_file: /run/archive/backend.pid
    rules:
      - {name: ENVIRONMENT, kind: literal, value: production}
      - {name: SECRET_KEY, kind: secret}
      - {name: JWT_SECRET_KEY, kind: secret, min_length: 32}
      - {name: ENCRYPTION_KEY, kind: fernet}
      - {name: DATABASE_URL, kind: dsn, schemes: [postgresql]}
      - {name: CORS_ORIGINS, kind: origins, allowed: ["https://archive.example.com"]}
      - {name: LOG_LEVEL, kind: one_of, allowed: [INFO, WARNING], level: warn}
      - {name: GPU_MEMORY_LIMIT_GB, kind: number, value: "13.6"}
      - name: OAuth
        kind: any_of
        groups: [[GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET], [GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET]]
      - {name: FRONTEND_URL, kind: url, optional: the backend serves the pages itself}
    distinct: [SECRET_KEY, JWT_SECRET_KEY]

- name: The backend and the worker were made with what the file says
  opsready.golive.check_env:
    file: /srv/archive/archive.env
    container: {project: archive, services: [backend, worker]}
    rules:
      - {name: ENVIRONMENT, kind: literal, value: production}
      - {name: GPU_MEMORY_LIMIT_GB, kind: number, value: "13.6"}

- name: The runner is started with what production needs, from its next start on
  opsready.golive.check_env:
    unit_file: /etc/systemd/system/runner.service
    rules:
      - {name: ENVIRONMENT, kind: literal, value: production}
      - {name: DEBUG, kind: absent}

- name: What may run and be logged at the same time fits this host
  opsready.golive.check_env:
    file: /srv/runner/runner.env
    rules:
      - {name: MAX_CONCURRENT_RUNS, kind: number, min: 1, max: 64}
      - {name: LOG_RETENTION_DAYS, kind: number, min: 7, max: 365}
      - {name: LOG_RETENTION_RUNS, kind: number, min: 10, max: 10000}
      - {name: LOG_MAX_SIZE_MB, kind: number, min: 1, max: 1000}
      - {name: RUN_MEMORY, kind: number, unit: size, min: 128MiB, max: 2GiB}
      - {name: RUN_TIMEOUT, kind: number, unit: duration, min: 30s, max: 2h}
    fits:
      - {name: memory of all runs, factors: [MAX_CONCURRENT_RUNS, 512MiB], within: memory}
      - {name: processors of all runs, factors: [MAX_CONCURRENT_RUNS, "0.25"], within: processors, share: 1}
      - {name: logs of all runs, factors: [LOG_RETENTION_RUNS, LOG_MAX_SIZE_MB], unit: MB, within: disk, path: /srv/runner/logs}
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
      sample: "JWT_SECRET_KEY is a placeholder that was never replaced."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description:
        - The file, its mode, the processes, the containers with their state, the unit, and by variable whether it is set, its source, length
          and strength. A value only where it is no secret.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_env
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_env
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_env)


if __name__ == "__main__":
    main()
