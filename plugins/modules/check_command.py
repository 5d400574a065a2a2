#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a program say what it should: by its exit code, a pattern, its JSON, or a number?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_command
short_description: Judge what a program says
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Runs a program and judges its exit code and what it prints. It is for what no other check asks.
  - The program is run without a shell, without a terminal and with nothing to read, in a process group that is ended with it.
    What did not end in time is V(unknown), and so is a program that is not there.
  - Of each stream the first O(max_output) is kept. A pattern that is not in it, where there was more, is V(unknown).
  - The program runs with the environment of the module, messages in English where it can, without the variables of libpq.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: A program is run in check mode only with O(changes_nothing=true), and is V(unknown) otherwise.
options:
  argv:
    description: The program and its arguments, each as it is. Either this or O(command) is needed.
    type: list
    elements: str
  command:
    description:
      - The same in one text. It is split into arguments as a shell would, and nothing else in it means anything, unless O(shell=true).
    type: str
  shell:
    description:
      - Whether O(command) is given to C(/bin/sh), for a pipe or a variable. Of a pipe, the exit code is that of its last program.
    type: bool
    default: false
  chdir:
    description: The directory to run it in.
    type: path
  environment:
    description: Variables to set for it. Secrets do not belong here, since others can read them.
    type: dict
    default: {}
  stdin:
    description: What it reads on its standard input.
    type: str
  secret_stdin:
    description: The same for a secret, which is never printed, not even if the program does.
    type: str
  changes_nothing:
    description:
      - Your promise that the program changes nothing. Then it runs in check mode too, and once for all items of a checklist that run
        the same.
    type: bool
    default: false
  exit_codes:
    description: Exit codes that are expected.
    type: list
    elements: int
    default: [0]
  stdout_matches:
    description: Regular expressions that must each match somewhere in the standard output.
    type: list
    elements: str
  stdout_matches_not:
    description: Regular expressions that must not match anywhere in the standard output.
    type: list
    elements: str
  stderr_matches:
    description: Regular expressions that must each match somewhere in the standard error.
    type: list
    elements: str
  stderr_matches_not:
    description: Regular expressions that must not match anywhere in the standard error.
    type: list
    elements: str
  json:
    description:
      - Values inside a standard output that is JSON. A path is such as V($.status), V($.list[0].name), V($["any key"]) or
        V($.list[*].state); all values that it finds are judged, and none is a failure.
    type: list
    elements: dict
    suboptions:
      path:
        description: Where the value is.
        type: str
        required: true
      equals:
        description: The value that it must be.
        type: raw
      one_of:
        description: The values that it may be.
        type: list
        elements: raw
      matches:
        description: Regular expression that is searched in it.
        type: str
      at_least:
        description: Lowest number.
        type: float
      at_most:
        description: Highest number.
        type: float
      exists:
        description: Whether there must be a value.
        type: bool
      count_at_least:
        description: Lowest number of values that the path finds, or of entries in the one list that it finds.
        type: int
      max_age:
        description:
          - Longest age of a moment that stands there, such as V(5s), V(15m) or V(24h), as of a health answer that is made once and kept.
            The moment is in ISO 8601, taken as UTC where it names no zone, or in seconds or milliseconds since 1970.
          - Judged by the clock of the host that asks. A moment more than two seconds ahead of it is V(unknown), since one of the
            clocks is wrong then. What is no moment is a failure.
        type: str
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  numbers:
    description:
      - Numbers in the standard output. A number has a decimal point and no separators of thousands; V(85,5) could be either and is
        V(unknown), as are two different numbers where one was meant.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the number is, as it stands in the finding.
        type: str
        required: true
      pattern:
        description:
          - Regular expression whose first group, or group C(number), is the number, and whose group C(unit), if it has one, is its unit.
          - Without it, the whole output has to be one number, with or without a unit.
        type: str
      unit:
        description: The unit of the bounds. A number that is printed in another unit is V(unknown).
        type: str
        default: ""
      min:
        description: Lowest number.
        type: float
      max:
        description: Highest number.
        type: float
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  max_output:
    description: How much of each stream is kept, with a unit such as V(1MiB); at most V(64MiB).
    type: str
    default: 1MiB
  shown_lines:
    description:
      - How many of the last lines of each stream stand in the finding, 0 to 100. Use V(0) where the output is confidential.
      - What looks like a password, a key, a token or personal data is masked in them, as in what M(opsready.golive.check_logs) shows.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: The queue's own tool says that it is healthy
  opsready.golive.check_command:
    argv: [/srv/archive/bin/queue-status, --format, json]
    changes_nothing: true
    json:
      - {path: $.state, equals: healthy}
      - {path: "$.consumers[*].name", count_at_least: 2}
    stderr_matches_not: ["(?i)deprecated"]

- name: The archive's own estimate leaves room
  opsready.golive.check_command:
    command: /srv/archive/bin/estimate --of growth
    changes_nothing: true
    numbers:
      - {name: growth, unit: GB, max: 40}

- name: Few files wait in the inbox
  opsready.golive.check_command:
    command: cd /srv/archive/inbox && ls | wc -l
    shell: true
    changes_nothing: true
    numbers:
      - {name: files in the inbox, max: 100, level: warn}
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
      sample: "growth (upper bound) is 52 GB, expected at most 40 GB."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: The exit code, the seconds, how many bytes were printed, the numbers, and the last lines of each stream.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_command
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_command
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_command)


if __name__ == "__main__":
    main()
