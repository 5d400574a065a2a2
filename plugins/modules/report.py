#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened, for everybody who was not there?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write the go-live report as JSON, HTML, Markdown and JUnit XML
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - JSON is the source; its schema is published with this collection. The other formats are derived from it.
  - Prints the outcome, the downtime, the backup, where the report is, and the journal's head hash.
options:
  directory:
    description: The run's directory on the controller; a directory of this run by default.
    type: str
  destination:
    description: The directory on the controller that the report is written to.
    type: str
    required: true
  formats:
    description: Which formats are written.
    type: list
    elements: str
    choices: [json, html, markdown, junit]
    default: [json, html, markdown, junit]
  record:
    description:
      - What M(opsready.golive.release) with O(opsready.golive.release#module:state=read) returned, where there was a release.
      - With C(decided), an outcome and its detail, added where the end was reached and the journal could not be written.
    type: dict
    default: {}
  downtime:
    description:
      - What M(opsready.golive.downtime_probe) measured. With its C(finding) in it, budget and maintenance are judged in the report
        as the finding C(downtime); over budget, or where seconds that nobody measured keep it from being judged, the last line that is printed says so.
    type: dict
    default: {}
  kept:
    description:
      - An earlier report of this release, as JSON on the controller. Its verdict and findings are told where this run judged nothing anew.
      - One of another release, or none at that path, is left alone.
    type: str
  copy_to:
    description: A directory on the task's host, such as that of the release record, that the report is put into, too.
    type: str
  system:
    description: The system's name; the verdict's by default.
    type: str
    default: ''
  version:
    description: The version; the verdict's by default.
    type: str
    default: ''
extends_documentation_fragment:
  - opsready.golive.attributes
attributes:
  check_mode:
    support: full
    details: The report is written in check mode too; it is what check mode is run for.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: A report holds the time at which it was made.
  action:
    support: full
seealso:
  - module: opsready.golive.verdict
  - module: opsready.golive.release
"""

EXAMPLES = r"""
- name: Write the report
  opsready.golive.report:
    destination: /srv/reports/ablage
    formats: [json, html]
"""

RETURN = r"""
outcome:
  description: How it ended.
  returned: success
  type: str
files:
  description: Path and SHA-256 of each format.
  returned: success
  type: dict
head:
  description: The journal's head hash, where there was a release.
  returned: success
  type: str
"""
