#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what is checked out what was released: clean, at its commit, tagged, on its branch, and pushed?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_vcs
short_description: Judge whether a git working tree is what is released
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Asks git whether a working tree is clean, at the expected commit, tagged, on the branch, and known to the remote.
  - Git is run without the system's and the user's configuration, without prompts, locks and hooks, and without most programs that the
    repository's own configuration names. Content filters are run, those of submodules too. Neither the index nor anything else is written.
  - A tree is clean when no file differs from the commit, submodules included, none is unknown to git and not ignored, and git was not
    told to look away from one. A merge or rebase that was not ended fails too. Where git is configured to look at another folder in
    place of the tree (C(core.worktree)), nothing is judged, and that is V(unknown).
  - Git refuses the repository of another user, and so does the check, as V(unknown). Run it as the owner, or as root with the owner
    in O(trusted_owner).
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.attributes
requirements:
  - git >= 2.25, on the host that runs the module
  - gpg or ssh-keygen, for O(signature)
options:
  path:
    description: The working tree, or a directory in it.
    type: path
    required: true
  trusted_owner:
    description:
      - The user whose repository it is, where root runs the check. The tree, its C(.git) and the configuration in that have to be that
        user's. Anybody else than root or the owner is refused.
      - Git is then run as that user, with the user's groups and home and nothing else of root's environment than the path and proxies
        without a password. So whatever program the repository names has none of root's rights; and the tree, O(ca_file) and
        O(signature.allowed_signers) have to be readable by that user, whose keys and C(~/.netrc) open O(remote).
      - The answer is as true as that user lets it be. Whether a release was signed is better asked of a clone of one's own.
    type: str
  clean:
    description: Whether the tree must be clean.
    type: bool
    default: true
  untracked:
    description: Whether files that git does not know, and that are not ignored, make a tree unclean.
    type: str
    choices: [refused, ignored]
    default: refused
  commit:
    description: The whole id of the commit that must be checked out.
    type: str
  tag:
    description: The tag that must mean the commit that is checked out.
    type: str
  branch:
    description: The branch that must hold the commit that is checked out, here or as it was last fetched from O(remote).
    type: str
  pushed:
    description:
      - Whether O(remote) must know O(branch) with this commit, and O(tag) as it is here. The remote is asked, over the network.
      - A remote whose branch is at a commit that is not here is V(unknown), since its history has to be fetched first.
    type: bool
    default: false
  remote:
    description:
      - Name of the remote. It has to answer without being asked for a password, by a key of the user who runs the check, from C(~/.netrc), or
        since it is public. Over SSH the host's key has to be known.
    type: str
    default: origin
  ca_file:
    description: Certificate authorities, in PEM, of a remote over https. Without it, those of the host.
    type: path
  signature:
    description: Who may have signed O(tag). Without it, signatures are not looked at.
    type: dict
    suboptions:
      allowed_signers:
        description: File of allowed signers, for signatures by SSH; see the manual of C(ssh-keygen).
        type: path
      fingerprints:
        description:
          - Fingerprints of the keys that may have signed. Of SSH they begin with V(SHA256:). Of OpenPGP they are the whole fingerprint of the key or
            of its primary key, which has to be in the keyring of the user who runs the check, or of O(trusted_owner).
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: What is deployed is what was released
  opsready.golive.check_vcs:
    path: /srv/archive/current
    commit: 8f14e45fceea167a5a36dedd4bea2543f3c8d1b2
    tag: v2.0.1
    branch: main
    pushed: true
    signature:
      allowed_signers: /etc/archive/allowed_signers

- name: Nobody has changed a file on the host
  opsready.golive.check_vcs:
    path: /srv/archive/current
    untracked: ignored
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
      sample: "/srv/archive/current is not clean: 1 changed (app/settings.py)."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: The commit, the branch that is checked out, the first files that differ, the tag, what the remote says, and who signed.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_vcs
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_vcs
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_vcs)


if __name__ == "__main__":
    main()
