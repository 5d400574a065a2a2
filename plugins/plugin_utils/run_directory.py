# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one playbook run keeps its files on the controller, and the marks of what this very run made itself."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible import constants

from ansible_collections.opsready.golive.plugins.plugin_utils.spool import as_json, write_file


def run_directory() -> str:
    """A directory of this run alone: Ansible makes its parent at start, 0700, and removes it at the end."""
    path = os.path.join(str(constants.DEFAULT_LOCAL_TMP), "opsready-golive")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def keep_way_back(text: str) -> None:
    """Keep ``ROLLBACK.md`` as this run knows it, for where the release record is lost; ``settle`` finds it by its name."""
    write_file(os.path.join(run_directory(), "ROLLBACK.md"), text.encode("utf-8"))


def _mark(kind: str, content: bytes) -> str:
    return os.path.join(run_directory(), f"{kind}-{hashlib.sha256(content).hexdigest()}")


def mark_token(token: str) -> None:
    """Remember that this run was given this token by ``release``."""
    write_file(_mark("token", token.encode()), b"")


def is_of_this_run(token: str) -> bool:
    """Whether ``release`` gave out this token in this run: a copied one, or one from -e, was not."""
    return os.path.exists(_mark("token", token.encode()))


def mark_plan(expected: bytes) -> None:
    """Remember that ``plan`` wrote this ``expected.json`` in this run."""
    write_file(_mark("plan", expected), b"")


def mark_verdict(verdict: t.Mapping[str, t.Any], *, expected: bytes) -> None:
    """Remember a verdict that ``verdict`` made in this run, unless its plan is another run's."""
    if os.path.exists(_mark("plan", expected)):
        write_file(_mark("verdict", as_json(verdict)), b"")


def is_verdict_of_this_run(verdict: t.Any) -> bool:
    """Whether ``verdict`` made this one in this run: an edited one, or one from -e, it did not make."""
    return os.path.exists(_mark("verdict", as_json(verdict)))
