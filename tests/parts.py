# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that tests need and a machine may lack.

A test asks with ``need_part("goss", shutil.which("goss"))`` and is skipped, with the reason, where the part is absent.
With ``GOLIVE_NO_SKIP=1``, which ``.ci/run`` sets, only the parts of ``CI_MAY_LACK`` may be absent.
"""

from __future__ import annotations

import os

import pytest

CI_MAY_LACK = {
    "goss": "its binary is in no package registry, only on its own download site",
    "nvidia-gpu": "CI machines have none; the library is tested over a stand-in libnvidia-ml.so",
    "python3.9": "Debian 12 has Python 3.11 only; the matrix takes what is installed",
    "python3.12": "Debian 12 has Python 3.11 only; the matrix takes what is installed",
    "python3.13": "Debian 12 has Python 3.11 only; the matrix takes what is installed",
}


def need_part(part: str, present: object, why: str = "not installed") -> None:
    """Skip the calling test unless ``present`` is true; the reason begins with the part's name."""
    if not present:
        pytest.skip(f"{part}: {why}")


def skips_are_failures() -> bool:
    return os.environ.get("GOLIVE_NO_SKIP") == "1"


def may_be_skipped(reason: str) -> bool:
    return reason.removeprefix("Skipped: ").partition(":")[0].strip() in CI_MAY_LACK
