#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a secret among the files that git tracks, or was there ever?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_secrets
short_description: Judge whether a repository holds secrets
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Searches the files that git tracks, and on request the lines that commits added, for passwords, keys and tokens. A secret is told by
    path, line, rule and a hash, and never shown, not even in part.
  - The rules are those of detect-secrets, as its maintained distribution C(bc-detect-secrets) has them, and some forms that it does not
    look for line by line, such as private keys. Nothing is asked over the network.
  - Tracked files are searched as they lie in the working tree, whatever their encoding; M(opsready.golive.check_vcs) judges whether that
    is what was committed. Untracked files, links and submodules are not searched.
  - A comment in the code that allows a secret allows nothing here. What is accepted stands in O(accepted_file), with an owner and an end.
  - Binary files are counted and not searched. Files that cannot be read or are larger than O(max_file_size), files and commits for which
    the time did not suffice, and a repository without a file to search are V(unknown).
  - The hash is there to tell one secret from another. Whoever has it can try out weak passwords, so treat reports accordingly.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - git >= 2.25, on the host that runs the module
  - bc-detect-secrets >= 1.5.52, on the host that runs the module
  - PyYAML >= 6.0, on the host that runs the module
notes:
  - Some thousand lines are searched in a second. Raise O(timeout) for a large repository.
options:
  path:
    description: The working tree, or a directory in it. The whole tree is searched.
    type: path
    required: true
  trusted_owner:
    description: The user whose repository it is, and as whom root runs git; see M(opsready.golive.check_vcs).
    type: str
  exclude:
    description: Patterns of paths that are not searched, from the top of the tree. An asterisk stands for slashes too.
    type: list
    elements: str
    default: []
  ignored_rules:
    description: Rules that are left out, by their names, such as V(Hex High Entropy String). The finding names a rule with each secret.
    type: list
    elements: str
    default: []
  accepted_file:
    description:
      - A YAML file with one list, C(accepted). Each entry has the C(path), the C(rule) and the hash C(match) of a secret as the finding
        tells them, and an C(owner), a C(reason), and when it C(expires), such as V(2026-12-31).
      - An entry holds for that secret in that file, on whichever line. When it has expired, the secret fails again.
    type: path
  history:
    description:
      - Search what the commits of all branches and tags added, too. A secret that was removed again is still in every copy.
      - When not all of them could be searched, that is V(unknown), and the finding says how many were.
    type: dict
    suboptions:
      after:
        description: A tag or commit. It and what came before are left out.
        type: str
      max_commits:
        description: How many commits to search at most, newest first.
        type: int
        default: 1000
  max_file_size:
    description: Largest size of a file that is searched, at most V(16MiB).
    type: str
    default: 1MiB
"""

EXAMPLES = r"""
- name: No secret is among the tracked files
  opsready.golive.check_secrets:
    path: /srv/archive/current
    exclude: [tests/fixtures/*]
    timeout: 120

- name: Nor was there one since the last release, but for what is accepted
  opsready.golive.check_secrets:
    path: /srv/archive/current
    accepted_file: /srv/archive/current/.accepted-secrets.yml
    history: {after: v2.0.0}
    timeout: 300
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
      sample: "1 secrets in tracked files: app/settings.py:12 Secret Keyword (4152-b248-1fa8-b34e)."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: Path, line, rule and hash of each secret, until when it is accepted, and what was searched and what not.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_secrets
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_secrets
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_secrets)


if __name__ == "__main__":
    main()
