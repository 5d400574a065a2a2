# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one playbook run keeps its files on the controller, and the mark that a release began in this very run."""

from __future__ import annotations

import hashlib
import os

from ansible import constants

from ansible_collections.opsready.golive.plugins.plugin_utils.spool import write_file


def run_directory() -> str:
    """A directory of this run alone: Ansible makes its parent at start, 0700, and removes it at the end."""
    path = os.path.join(str(constants.DEFAULT_LOCAL_TMP), "opsready-golive")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def _mark(token: str) -> str:
    return os.path.join(run_directory(), "token-" + hashlib.sha256(token.encode()).hexdigest())


def mark_token(token: str) -> None:
    """Remember that this run was given this token by ``release``."""
    write_file(_mark(token), b"")


def is_of_this_run(token: str) -> bool:
    """Whether ``release`` gave out this token in this run: a copied one, or one from -e, was not."""
    return os.path.exists(_mark(token))
