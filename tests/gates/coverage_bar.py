# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold branch coverage to a bar, for each package by itself: what judges, what changes systems, and what both stand on.

    python tests/gates/coverage_bar.py build/coverage/data

Reads what units and integration recorded together. Ends with 1 when a package is below the bar, or was not measured.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parent.parent.parent
BAR_PERCENT = 95.0
PACKAGES = ("_core", "_checks", "_actions")


def percent_of(data_file: Path, folder: Path) -> float:
    """Lines and branches reached in the folder's files, in percent; 0.0 where nothing was measured."""
    measured = coverage.Coverage(data_file=str(data_file), config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    try:
        return measured.report(include=[str(folder / "*")], file=io.StringIO(), skip_covered=False)
    except coverage.exceptions.NoDataError:
        return 0.0


def main(data_file: Path) -> int:
    below = False
    for name in PACKAGES:
        percent = percent_of(data_file, ROOT / "plugins" / "module_utils" / name)
        below = below or percent < BAR_PERCENT
        print(f"{name:<10} {percent:6.2f} %  bar {BAR_PERCENT:g} %{'' if percent >= BAR_PERCENT else '  BELOW'}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
