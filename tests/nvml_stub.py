# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libnvidia-ml.so.1 without a GPU, compiled from nvml_stub.c; what it tells is set by NVML_STUB_* in the environment."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.parts import need_part

SOURCE = Path(__file__).resolve().parent / "nvml_stub.c"


def compiled(folder: Path, *, old_driver: bool = False) -> Path:
    """The folder of the library, for LD_LIBRARY_PATH. An old driver's library lacks later functions."""
    need_part("gcc", shutil.which("gcc"))
    folder.mkdir(parents=True)
    defines = ["-DOLD_DRIVER"] if old_driver else []
    argv = [
        "gcc",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        *defines,
        "-o",
        str(folder / "libnvidia-ml.so.1"),
        str(SOURCE),
    ]
    subprocess.run(argv, check=True)
    return folder
