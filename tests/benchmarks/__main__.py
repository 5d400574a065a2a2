# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all benchmarks, or the named ones: print a table, write ``build/bench.json``.

    python -m tests.benchmarks [NAME …]

Every file beside this one that has ``run()`` is a benchmark. It returns one row or several: ``name``, ``ours``, ``peer``,
``ratio``, ``bar``, ``holds`` (``None`` where it is only reported) and ``unit``; ``skipped`` gives the reason of a row that
could not be measured. Ends with 1 when a bar does not hold.
"""

from __future__ import annotations

import importlib
import json
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS = ("name", "ours", "peer", "ratio", "bar", "holds", "unit")
Row = t.Dict[str, t.Any]


def benchmarks() -> list[str]:
    """Names of the files beside this one that can be run."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return [path.stem for path in files if "\ndef run(" in path.read_text()]


def rows_of(name: str) -> list[Row]:
    module = importlib.import_module(f"tests.benchmarks.{name}")
    made = module.run()
    rows: list[Row] = made if isinstance(made, list) else [made]
    for row in rows:
        missing = [column for column in COLUMNS if column not in row]
        if missing and "skipped" not in row:
            raise ValueError(f"benchmark {name} gave a row without {', '.join(missing)}")
    return rows


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if column == "holds":
        return row.get("skipped", "reported") if value is None else ("yes" if value else "NO")
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)


def table(rows: list[Row]) -> str:
    cells = [[*COLUMNS], *([_cell(row, column) for column in COLUMNS] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def main(names: list[str]) -> int:
    known = benchmarks()
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    written = ROOT / "build" / "bench.json"
    kept: list[Row] = json.loads(written.read_text()) if names and written.exists() else []
    rows: list[Row] = []
    written.parent.mkdir(exist_ok=True)
    for name in names or known:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += rows_of(name)
        measured = {row["name"] for row in rows}
        # After each: minutes of measuring are not lost to the next one's error.
        everything = [row for row in kept if row["name"] not in measured] + rows
        written.write_text(json.dumps(everything, indent=1) + "\n")
    print(table(rows))
    return 1 if any(row.get("holds") is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
