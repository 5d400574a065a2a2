# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loaded by every Python that is started with this folder on PYTHONPATH: Ansible, its workers, and the modules.

It writes down each program that is started, with its arguments and its environment, and keeps a copy of every folder that
is removed, so that a test can look at what was there only for a moment. RECORD_PROGRAMS and RECORD_REMOVED name the folders.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import typing as t

PROGRAMS = os.environ.get("RECORD_PROGRAMS")
REMOVED = os.environ.get("RECORD_REMOVED")


def _text(value: t.Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _record(arguments: t.Any, environment: t.Any) -> None:
    words = [_text(arguments)] if isinstance(arguments, (str, bytes)) else [_text(word) for word in arguments]
    pairs = [f"{_text(name)}={_text(value)}" for name, value in dict(environment or os.environ).items()]
    descriptor, unused = tempfile.mkstemp(dir=PROGRAMS, prefix="started-")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
        stream.write("\n".join(["ARGV", *words, "ENVIRONMENT", *pairs, ""]))


def _hook(event: str, arguments: tuple[t.Any, ...]) -> None:
    if event == "subprocess.Popen":
        _record(arguments[1], arguments[3])
    elif event in ("os.exec", "os.posix_spawn"):
        _record(arguments[1], arguments[2])


def _keep(folder: t.Any) -> None:
    if REMOVED and os.path.isdir(folder):
        # what vanishes while it is copied was removed by somebody else, who keeps it
        with contextlib.suppress(shutil.Error, OSError):
            shutil.copytree(folder, tempfile.mkdtemp(dir=REMOVED), dirs_exist_ok=True, symlinks=True)


if PROGRAMS:
    sys.addaudithook(_hook)
if REMOVED:
    _rmtree = shutil.rmtree

    def rmtree(path: t.Any, *rest: t.Any, **more: t.Any) -> None:
        _keep(path)
        _rmtree(path, *rest, **more)

    shutil.rmtree = rmtree  # type: ignore[assignment]  # it keeps the original's behaviour and its signature
