# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which items of the written checklists are served, counted from the tests that ran.

``@pytest.mark.serves("S1.21", case="pass")`` stands on a test that looks at that item's evidence and sees a healthy part
pass, ``case="fail"`` on one that sees a broken part fail. An id is served when a test of each case ran and held.
``stand_in="NVML stub"`` says that no real part can run here; such an id is listed.

    python -m tests.mission.served      # runs those tests; writes build/mission.json and docs/mission.md
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ITEMS = Path(__file__).resolve().parent / "items.tsv"
CASES = ("pass", "fail")
#: The name under which a test's claims travel in its report, also from another process.
PROPERTY = "serves"


class BadMark(pytest.UsageError):
    """A mark that claims what is no item, or says not which case it is."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One item of a written checklist."""

    id: str
    item: str
    module: str

    @property
    def checklist(self) -> str:
        return self.id.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Claim:
    """What one test that ran says it serves."""

    id: str
    case: str
    stand_in: str
    held: bool
    test: str


def rows() -> list[Row]:
    """The items of all written checklists, in their order."""
    with ITEMS.open(encoding="utf-8", newline="") as stream:
        return [
            Row(line["id"], line["item"], line["module_or_role"]) for line in csv.DictReader(stream, delimiter="\t")
        ]


def claims_of(marks: t.Iterable[pytest.Mark], known: t.Collection[str]) -> list[dict[str, str]]:
    """What a test's marks claim. Raises BadMark."""
    claims = []
    for mark in marks:
        case, stand_in = mark.kwargs.get("case"), mark.kwargs.get("stand_in", "")
        if case not in CASES or set(mark.kwargs) - {"case", "stand_in"} or not mark.args:
            raise BadMark(f"serves{mark.args} needs ids and case={' or '.join(CASES)}, and takes stand_in besides.")
        for identity in mark.args:
            if identity not in known:
                raise BadMark(f"serves{mark.args}: {identity!r} is no item of {ITEMS.name}.")
            claims.append({"id": identity, "case": case, "stand_in": stand_in})
    return claims


def counted(items: t.Sequence[Row], claims: t.Sequence[Claim]) -> dict[str, dict[str, t.Any]]:
    """By checklist: total, served, the ids on a stand-in, the ids missing. A claim that did not hold takes its id away."""
    by_id: dict[str, list[Claim]] = {}
    for claim in claims:
        by_id.setdefault(claim.id, []).append(claim)
    lists: dict[str, dict[str, t.Any]] = {}
    for row in items:
        counts = lists.setdefault(row.checklist, {"total": 0, "served": 0, "on_stand_in": [], "missing": []})
        counts["total"] += 1
        found = by_id.get(row.id, [])
        if {claim.case for claim in found} == set(CASES) and all(claim.held for claim in found):
            counts["served"] += 1
            if any(claim.stand_in for claim in found):
                counts["on_stand_in"].append(row.id)
        else:
            counts["missing"].append(row.id)
    return lists


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _named(test: str) -> str:
    """A test's file and name, without folders and parameters."""
    return test.partition("[")[0].rpartition("/")[2]


def as_markdown(items: t.Sequence[Row], claims: t.Sequence[Claim]) -> str:
    """docs/mission.md: a table of the counts, and for each checklist its items with the tests that serve them."""
    lists = counted(items, claims)
    lines = [
        "# What is served",
        "",
        "Made by `make mission` from the tests that ran. An item is served when a test saw a healthy part pass and another saw a broken one fail.",
        "",
        "| checklist | items | served | on a stand-in |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {counts['total']} | {counts['served']} | {len(counts['on_stand_in'])} |"
        for name, counts in lists.items()
    ]
    for name, counts in lists.items():
        lines += ["", f"## {name}", "", "| id | item | by | served | tests |", "|---|---|---|---|---|"]
        for row in items:
            if row.checklist == name:
                found = [claim for claim in claims if claim.id == row.id]
                stand_in = next((claim.stand_in for claim in found if claim.stand_in), "")
                served = "" if row.id in counts["missing"] else f"on a stand-in: {stand_in}" if stand_in else "yes"
                tests = "<br>".join(sorted({_named(claim.test) for claim in found}))
                lines.append(f"| {row.id} | {_cell(row.item)} | {_cell(row.module)} | {_cell(served)} | {tests} |")
    return "\n".join(lines) + "\n"


def claim_all(items: t.Iterable[pytest.Item]) -> None:
    """Let each test's report say what it serves, also from another process. Raises BadMark."""
    known = {row.id for row in rows()}
    for item in items:
        claims = claims_of(item.iter_markers(PROPERTY), known)
        if claims:
            item.user_properties.append((PROPERTY, claims))


class Collector:
    """A pytest plugin: keeps what the tests that ran say they serve."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and not report.failed:
            return
        for name, claims in report.user_properties:
            if name == PROPERTY:
                said = t.cast("list[dict[str, str]]", claims)
                self.claims += [Claim(**claim, held=report.passed, test=report.nodeid) for claim in said]


def main() -> int:
    collector = Collector()
    outcome = pytest.main(["-m", PROPERTY, *sys.argv[1:], str(ROOT / "tests")], plugins=[collector])
    if outcome not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return int(outcome)
    items = rows()
    lists = counted(items, collector.claims)
    build = ROOT / "build" / "mission.json"
    build.parent.mkdir(exist_ok=True)
    build.write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "mission.md").write_text(as_markdown(items, collector.claims), encoding="utf-8")
    for name, counts in lists.items():
        print(
            f"{name}  {counts['served']:>3} of {counts['total']:>3} served, {len(counts['on_stand_in'])} on a stand-in"
        )
    return int(outcome)


if __name__ == "__main__":
    sys.exit(main())
