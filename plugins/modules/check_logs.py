#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is nothing in the logs that must not be, and everything that must, since a time?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_logs
short_description: Judge log files, containers and the journal since a time
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads each source once, as a stream, from the first line that is not older than O(since), and judges patterns, levels, the share of
    JSON lines, and what must never be in a log.
  - A source without a line is V(unknown), and so is one that was not read in full, with the reason.
  - Files that were rotated away are followed, compressed ones (gzip, bzip2, xz) too. A huge file is not read from its beginning.
  - What a container of a Docker Engine logged is read from the engine, whatever the log driver keeps it in, with the engine's time of each line.
  - The wrappers of container runtimes (Docker's C(json-file), the kubelet's format) are taken off, so that the log file of a container can
    be a source.
  - Of secrets and personal data only the kind and the place are told. Lines that are shown as evidence are masked and cut.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
options:
  sources:
    description: Where to read.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: A file, or a pattern such as V(/var/log/archive/*.log), each file of which is a source of its own.
        type: path
      journal:
        description: Name of a unit, which is read with C(journalctl).
        type: str
      journal_directory:
        description: Folder of the journal's files, where it is not the host's own journal.
        type: path
      container:
        description:
          - Name of a container, whose standard output and error are read. A log driver of which the engine keeps nothing, such as V(none),
            makes the finding V(unknown).
          - A container that was made anew has only what was logged since then.
        type: str
      url:
        description: Address of the Docker Engine of O(sources[].container), V(unix:///path) or V(tcp://host:port).
        type: str
        default: unix:///var/run/docker.sock
      encoding:
        description:
          - Encoding of the file. Lines that are no UTF-8 are read as Latin-1, and counted. UTF-16 is known by its byte order mark.
        type: str
        default: utf-8
      time_zone:
        description: What a time without a zone means, the time of the host or UTC.
        type: str
        choices: [host, utc]
        default: host
  since:
    description:
      - The moment from which on lines count, as RFC 3339, as seconds since the epoch (V(@1763780400)), or as a span before now (V(15m)).
        Usually that is when the deploy began.
      - A line without a time belongs to the one before it. Without O(since) the whole of each file counts, and no file that was rotated away.
    type: str
  baseline:
    description: Span before O(since), such as V(24h), whose rate O(forbidden[].max_times_baseline) compares with.
    type: str
  forbidden:
    description: What must not be in the lines, or not too often, over all sources.
    type: list
    elements: dict
    suboptions:
      pattern:
        description: Regular expression (Python), searched for in each line.
        type: str
        required: true
      name:
        description: What to call it in the finding. Default is the pattern.
        type: str
      max:
        description: Highest number of lines with it.
        type: int
        default: 0
      max_times_baseline:
        description: More lines than O(forbidden[].max) are accepted up to so many times the rate of O(baseline).
        type: float
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  required:
    description: What must be in the lines, over all sources.
    type: list
    elements: dict
    suboptions:
      pattern:
        description: Regular expression (Python), searched for in each line.
        type: str
        required: true
      name:
        description: What to call it in the finding. Default is the pattern.
        type: str
      min:
        description: Lowest number of lines with it.
        type: int
        default: 1
      level:
        description: How bad it is when this does not hold.
        type: str
        choices: [fail, warn]
        default: fail
  ignore:
    description: Lines with one of these patterns are known and do not count. How many they were stands in the evidence.
    type: list
    elements: str
  max_critical:
    description: Highest number of lines of level critical, fatal, emergency or alert, as a word in the line, in a JSON field, or by the journal.
    type: int
  max_errors:
    description: Highest number of lines of level error.
    type: int
  max_warnings:
    description: Highest number of lines of level warning.
    type: int
  min_json_share:
    description: Lowest share of lines that are a JSON object, between 0 and 1.
    type: float
  min_lines:
    description: Lowest number of lines of each source. None at all is V(unknown) whatever this says.
    type: int
    default: 1
  max_silence:
    description: Longest time since the last line of each source, such as V(5m).
    type: str
  sensitive:
    description:
      - What must not be in a line by its well-known form. V(secrets) are private keys, tokens, passwords in URLs and the like;
        V(personal_data) are e-mail addresses, IBANs and card numbers whose check sum holds.
      - An empty list looks for none.
    type: list
    elements: str
    choices: [secrets, personal_data]
    default: [secrets]
  known_secrets:
    description: Values that must not be in a line, in any usual spelling (base64, URL, JSON). They are never printed.
    type: list
    elements: str
  excerpts:
    description: How many lines of each source are shown in the evidence, masked and cut.
    type: int
    default: 20
  max_size:
    description:
      - How much is read of each source, such as V(200MB). Of a file it is the newest part, otherwise the oldest. What is left out makes the
        finding V(unknown).
    type: str
    default: 200MB
"""

EXAMPLES = r"""
- name: The backend has written no error since the deploy began
  opsready.golive.check_logs:
    sources:
      - path: /var/log/archive/backend.log
    since: 30m
    max_critical: 0
    max_errors: 0
    forbidden:
      - {pattern: "Traceback|OutOfMemory", name: an exception}
      - {pattern: "slow query", max: 5, level: warn}
    required:
      - {pattern: "startup complete"}
    ignore: ["GET /health"]

- name: Workers fail no more often than in the day before
  opsready.golive.check_logs:
    sources:
      - path: /var/log/archive/worker-*.log
    since: "{{ deploy_began | default('1h') }}"
    baseline: 24h
    forbidden:
      - {pattern: "task .* failed", max_times_baseline: 1.5}
    timeout: 30

- name: The container has said that it is up, and wrote no error since the deploy began
  opsready.golive.check_logs:
    sources:
      - container: archive-backend-1
    since: 30m
    max_errors: 0
    required:
      - {pattern: "startup complete"}

- name: The log is JSON, and holds neither secrets nor personal data
  opsready.golive.check_logs:
    sources:
      - path: /var/log/archive/backend.log
    min_json_share: 0.99
    max_silence: 5m
    sensitive: [secrets, personal_data]
"""

RETURN = r"""
finding:
  description: What was found. RV(finding.status) is V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: dict
  contains:
    status:
      description: The worst status of all criteria.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "Lines with an exception is 2, expected at most 0."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: By source the lines, levels, matches, files and bytes read, what was not read, and the first lines that count, masked.
      type: dict
    remedy:
      description: What to do.
      type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_logs
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_logs)


if __name__ == "__main__":
    main()
