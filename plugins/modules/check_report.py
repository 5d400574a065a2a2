#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the build's reports say that this commit is good: its tests, coverage, and the findings of linters and scanners?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_report
short_description: Judge what a build reported about this commit
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads reports that tools wrote, and judges what they say, whether they are about the release's commit, and how old they are.
  - Nothing looked at is nothing known. No test at all fails; no lines, files or dependencies are V(unknown), and so is a report that
    was cut, that declares more than it holds, or whose tool did not run to its end.
  - XML that declares entities is refused, and nothing that a document names is fetched.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
options:
  paths:
    description:
      - The reports, all in the same format, on the host that runs the module. C(*) and C(?) stand for what they do in a shell; a
        pattern without a file is V(unknown).
    type: list
    elements: path
    required: true
    aliases: [path]
  format:
    description:
      - V(junit) is the XML of pytest and most test runners. Cases are counted. One that passed only when tried again is a warning.
      - V(cobertura) and V(coverage_json) are C(coverage xml) and C(coverage json). Coverage is covered by all lines, never rounded up.
      - V(sarif) is SARIF 2.1.0. Suppressed results do not count; a run without a list of results is V(unknown).
      - V(mypy) is mypy's output as text or with C(--output json), V(ruff) C(ruff check) with C(--output-format json), V(ruff_format)
        C(ruff format --check), V(bandit) its JSON, V(pip_audit) its JSON.
    type: str
    required: true
    choices: [junit, cobertura, coverage_json, sarif, mypy, ruff, ruff_format, bandit, pip_audit]
  commit:
    description:
      - The whole id of the commit that is released. JUnit may name it as a property C(commit), SARIF as a revision; the other
        formats need O(provenance). Either this or O(unbound) is needed.
    type: str
  unbound:
    description: The reason why the report need not be about a certain commit. It stands in the finding.
    type: str
  provenance:
    description:
      - JSON that was written where the reports were made, with the commit, and by file name each report's SHA-256; optionally its exit
        code, tool, time and how many things were looked at. The collection's C(docs/reports.md) has a script that writes it.
      - A report that is another file than the one it states fails.
    type: path
  max_age:
    description:
      - How old a report may be, such as V(24h). Its age is by what the report states, else by O(provenance), else by when the file was
        changed. A time without a zone is taken as UTC or the host's own, whichever is older.
    type: str
    default: 24h
  min_looked_at:
    description:
      - Lowest number of tests, lines, files or dependencies that were looked at, in all reports together. A clean report that does not
        tell, as those of ruff, SARIF tools and mypy's JSON, needs it from O(provenance); V(0) believes it without.
    type: int
    default: 1
  max_skipped:
    description: Highest number of skipped tests. Only for V(junit). A report in which all tests were skipped always fails.
    type: int
  min_percent:
    description: Lowest coverage of lines in percent. Needed for V(cobertura) and V(coverage_json).
    type: float
  min_branch_percent:
    description: Lowest coverage of branches in percent.
    type: float
  max_findings:
    description: Highest number of findings. Default is none.
    type: int
  min_severity:
    description:
      - The severity from which on findings count. Only for V(bandit), whose highest is V(high), for V(sarif), where an error is high, a
        warning medium and a note low unless the rule has a C(security-severity), and for V(pip_audit) with O(advisories). What has no
        severity counts.
    type: str
    choices: [low, medium, high, critical]
  min_confidence:
    description: The confidence from which on findings count. Only for V(bandit).
    type: str
    choices: [low, medium, high]
  waived:
    description: Findings that are accepted for now. They are a warning while the waiver lasts.
    type: list
    elements: dict
    suboptions:
      id:
        description: The rule or advisory, by any of its names.
        type: str
        required: true
      reason:
        description: Why it is accepted.
        type: str
        required: true
      expires:
        description: The last day, such as V(2026-12-31), in UTC, or a time in RFC 3339.
        type: str
        required: true
  lockfile:
    description:
      - The requirements file that is released. Every package that it pins with C(==) has to be among those that were audited, in that
        version; lines with a marker are left aside. Only for V(pip_audit).
    type: path
  advisories:
    description:
      - Files, or patterns of files, with the OSV records of what was found, as C(https://api.osv.dev/v1/vulns/ID) gives them; one record, a
        list, or an object with C(vulns) in each. They say how severe a finding is, which the report of pip-audit does not. Of several
        ratings the worst counts. Only for V(pip_audit).
    type: list
    elements: path
  unaudited:
    description: Packages that pip-audit may leave out, such as the project itself. Any other that it left out is V(unknown).
    type: list
    elements: str
  max_size:
    description: Largest report that is read, at most V(256MiB).
    type: str
    default: 32MiB
"""

EXAMPLES = r"""
- name: The tests of this commit passed
  opsready.golive.check_report:
    paths: [/srv/build/reports/junit*.xml]
    format: junit
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    provenance: /srv/build/reports/provenance.json
    max_skipped: 5

- name: At least 80 % of the lines are covered
  opsready.golive.check_report:
    path: /srv/build/reports/coverage.xml
    format: cobertura
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    provenance: /srv/build/reports/provenance.json
    min_percent: 80

- name: Types hold
  opsready.golive.check_report:
    path: /srv/build/reports/mypy.txt
    format: mypy
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    provenance: /srv/build/reports/provenance.json

- name: The linter found nothing
  opsready.golive.check_report:
    path: /srv/build/reports/ruff.json
    format: ruff
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    provenance: /srv/build/reports/provenance.json

- name: Bandit found nothing critical
  opsready.golive.check_report:
    path: /srv/build/reports/bandit.json
    format: bandit
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    provenance: /srv/build/reports/provenance.json
    min_severity: high

- name: No dependency has a critical vulnerability that is known
  opsready.golive.check_report:
    path: /srv/build/reports/pip-audit.json
    format: pip_audit
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    provenance: /srv/build/reports/provenance.json
    lockfile: /srv/build/requirements.txt
    advisories: [/srv/build/reports/advisories/*.json]
    min_severity: critical
    waived:
      - {id: CVE-2026-0001, reason: the function is not called, expires: "2099-12-31"}
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
      sample: "Coverage.xml line coverage is 79.99 % (7999 of 10000), expected at least 80 %."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: By report its SHA-256, age, tool, commits and counts; of findings the counts by rule, severity and confidence, and the first places.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_report
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_report
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_report)


if __name__ == "__main__":
    main()
