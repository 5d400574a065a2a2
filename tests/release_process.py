# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the release module's real ``main()`` in a forked child: under another user, on a full disk, or killed half way."""

from __future__ import annotations

import json
import os
import sys
import typing as t

from ansible_collections.opsready.golive.plugins.modules import release
from tests.module_process import module_arguments

#: ``nobody`` on every Debian; no file of a test belongs to it.
NOBODY = 65534


def release_in_child(
    arguments: t.Mapping[str, t.Any], *, prepare: t.Callable[[], None] = lambda: None
) -> dict[str, t.Any] | None:
    """The module's answer, or None when the child was killed. ``prepare`` runs in the child, before the module."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child's own life is not measured
        try:
            os.dup2(writing, 1)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the child
            prepare()
            with module_arguments({**arguments, "_ansible_remote_tmp": "/tmp"}):
                release.main()
        except SystemExit:
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            said = stream.read()
    finally:
        os.waitpid(child, 0)
    return t.cast("dict[str, t.Any]", json.loads(said)) if said.strip() else None


def as_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
