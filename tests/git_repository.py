# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A git repository that a test makes, commits to, tags and pushes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Repository:
    """A working tree with nobody's configuration but its own."""

    def __init__(self, path: Path, *, bare: bool = False) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))

    def git(self, *arguments: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        who = {f"GIT_{role}_{what}": said for role in ("AUTHOR", "COMMITTER") for what, said in (("NAME", "Änne"), ("EMAIL", "a@firma.de"))}  # fmt: skip
        ended = subprocess.run(
            ["git", "-c", "safe.directory=*", *arguments],
            cwd=self.path,
            env={**kept, **who, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, (arguments, ended.stdout, ended.stderr)
        return ended.stdout.strip()

    def commit(self, name: str, text: str) -> str:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)
        self.git("add", "--", name)
        self.git("commit", "--quiet", "--message", f"Ändere {name}")
        return self.git("rev-parse", "HEAD")
