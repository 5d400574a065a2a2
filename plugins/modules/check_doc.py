#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the document there, about this version, and finished?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_doc
short_description: Judge whether a document is there, current and finished
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads a file or a URL and judges its size, its age, whether it has a section for this version, the headings that it must have, and
    whether it still has places that somebody was to fill in.
  - Headings are found in Markdown, reStructuredText, AsciiDoc and HTML. What stands in a block of code or in a comment is no heading.
  - Text is compared without case and markup. What is no text, or larger than O(max_size), is V(unknown).
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - git, on the host that runs the module, for O(changed_since)
options:
  path:
    description: The file, on the host that runs the module. Either this or O(url) is needed.
    type: path
  url:
    description: Where to get it, http or https. Redirects are followed. A status of 404 fails, any other than 200 is V(unknown).
    type: str
  secret_headers:
    description: Headers to send whose values are secret. They are never printed, and do not follow a redirect to another origin.
    type: dict
  bearer:
    description: Token for the header C(Authorization). It is treated as O(secret_headers) are.
    type: str
  ca_file:
    description: Certificate authorities, in PEM, that the server's certificate must chain to. Without it, those of the host.
    type: path
  version:
    description: The version that it must be about. V(2.0.1) is found in V(v2.0.1) and V([2.0.1] - 2026-11-22), not in V(12.0.1) or V(2.0.1-rc1).
    type: str
  version_in:
    description: Whether the version must stand in a heading with text below it, or anywhere in the text.
    type: str
    choices: [heading, text]
    default: heading
  dated:
    description: Whether the version's heading must have a date, as V(2026-11-22) or V(22.11.2026).
    type: bool
    default: false
  required_headings:
    description: Headings that it must have, each with text below it.
    type: list
    elements: str
  contains:
    description: Texts that it must contain.
    type: list
    elements: str
  placeholders:
    description:
      - Whether places that nobody filled in fail. They are V([Name]) and its like in brackets, unless it is a link; V(TODO), V(TBD),
        V(FIXME), V(XXX), V(???) and lorem ipsum; and, outside of code, templates such as V({{ name }}) and V(<your name>).
    type: str
    choices: [refused, ignored]
    default: refused
  placeholder_patterns:
    description: Regular expressions of further placeholders.
    type: list
    elements: str
  placeholder_exceptions:
    description: Texts that look like a placeholder and are none, exactly as they stand, brackets included.
    type: list
    elements: str
    default: []
  max_age:
    description:
      - How long ago it may have been changed, such as V(30d). For a file that is when it was written to this host, for a URL what
        C(Last-Modified) says; without that it is V(unknown).
    type: str
  age_of:
    description: Whether O(max_age) is about the document, or about the date in the version's heading.
    type: str
    choices: [document, section]
    default: document
  changed_since:
    description: A tag or commit of the git repository that the file lies in. The file must differ from what it was then.
    type: str
  trusted_owner:
    description: The user whose repository it is, and as whom root runs git; see M(opsready.golive.check_vcs).
    type: str
  min_size:
    description: Smallest size, such as V(1kB).
    type: str
    default: 1B
  max_size:
    description: Largest size that is read, at most V(64MiB).
    type: str
    default: 4MiB
"""

EXAMPLES = r"""
- name: The changelog has a section for this version
  opsready.golive.check_doc:
    path: /srv/archive/current/CHANGELOG.md
    version: 2.0.1
    dated: true
    max_age: 30d
    age_of: section
    changed_since: v2.0.0

- name: The runbook is complete
  opsready.golive.check_doc:
    path: /srv/archive/current/docs/runbook.md
    required_headings: [Emergency contacts, Rollback, Monitoring]
    min_size: 1kB
    placeholder_exceptions: ["[ERROR]"]

- name: The release notes are published
  opsready.golive.check_doc:
    url: https://archive.example.org/releases/2.0.1
    version: 2.0.1
    version_in: text
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
      sample: "Runbook.md has places that nobody filled in: [Name] (line 12), TBD (line 31)."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: The document's SHA-256, size, date, first headings and placeholders.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_doc
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_doc
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_doc)


if __name__ == "__main__":
    main()
