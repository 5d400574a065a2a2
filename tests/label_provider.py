# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider of security labels for the embedded PostgreSQL, compiled from label_provider.c; Debian packages none but sepgsql."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.parts import need_part
from tests.servers import Postgres

SOURCE = Path(__file__).resolve().parent / "label_provider.c"
NAME = "opsready_test"


def load(server: Postgres) -> None:
    """Let a server that is not started yet load it. Skips without a compiler, or without the headers of its PostgreSQL."""
    headers = server.programs.parent / "include" / "server"
    need_part("gcc", shutil.which("gcc"))
    need_part("postgres-headers", (headers / "commands" / "seclabel.h").is_file(), f"{headers} has no seclabel.h")
    library = server.directory / "label_provider.so"
    argv = ["gcc", "-Wall", "-Wextra", "-shared", "-fPIC", f"-isystem{headers}", "-o", str(library), str(SOURCE)]
    subprocess.run(argv, check=True)
    library.chmod(0o755)
    server.settings["shared_preload_libraries"] = str(library)


def unload(server: Postgres) -> None:
    """Start it again without."""
    server.stop()
    del server.settings["shared_preload_libraries"]
    server.start()
