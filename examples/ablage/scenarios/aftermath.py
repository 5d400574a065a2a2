"""What is looked at after every release, good or bad: how it ended, what serves, whether the journal holds together."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from scenarios.promises import Promises, some
from scenarios.users import Archive, Refused
from scenarios.workspace import PYTHON, Ended, Facts, Workspace, heading, say, wait_until

FORMATS = ("index.html", "report.md", "report.json", "junit.xml")


def journal_holds(content: bytes) -> bool:
    """Whether each line carries the hash of the one before."""
    head = "0" * 64
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        entry = json.loads(line)
        if entry["prev"] != head or entry["n"] != number:
            return False
        head = hashlib.sha256(line).hexdigest()
    return head != "0" * 64


def ended_as(workspace: Workspace, promises: Promises, ended: Ended, outcome: str) -> dict[str, Any]:
    """The run ended as promised, and left a record and a report that agree; returns the report."""
    workspace.keep_record()
    report = workspace.read_report()
    is_wanted = outcome == "live" if ended.name == "golive" else outcome in ("live", "rolled_back")
    wanted = 0 if is_wanted else 2
    promises.check(f"the run ends with code {wanted}", ended.returncode == wanted, f"code {ended.returncode}")
    last = workspace.journal()[-1]
    promises.check(f"the journal says {outcome}", last.get("outcome") == outcome, str(last.get("outcome")))
    promises.check(f"the report says {outcome}", report["outcome"] == outcome, report["outcome"])
    promises.check(
        "the journal's lines hang together, and the report names its head",
        journal_holds((workspace.record() / "journal.jsonl").read_bytes())
        and report["release"]["journal"]["entries"] == len(workspace.journal()),
        f"{len(workspace.journal())} lines",
    )
    missing = [name for name in FORMATS if not (workspace.report / name).is_file()]
    promises.check("the report is there as HTML, Markdown, JSON and JUnit", not missing, f"missing: {some(missing)}")
    return report


def serves(facts: Facts, promises: Promises, version: str) -> None:
    """The version serves users, maintenance is off, everything runs."""
    archive = Archive(facts)

    def seen() -> dict[str, Any]:
        try:
            return archive.health()
        except Refused as refused:
            return {"version": None, "status": str(refused)}

    wait_until(lambda: seen().get("status") == "gesund", seconds=15)
    health = seen()
    promises.check(f"version {version} serves, healthy", (health["version"], health["status"]) == (version, "gesund"),
                   f"{health['version']}, {health['status']}")  # fmt: skip
    try:
        archive.login()
        archive.ask("GET", "/documents?limit=1")
        refused = ""
    except Refused as problem:
        refused = str(problem)
    promises.check("maintenance is off: a user logs in and reads", not refused, refused or "HTTP 200")


def summary(workspace: Workspace, report: dict[str, Any]) -> None:
    """What an operator takes away: verdict, counts, downtime, backup, where the report is."""
    heading("Summary")
    verdict = report["verdict"]
    counts = ", ".join(f"{count} {name}" for name, count in verdict["counts"].items() if count)
    say(f"verdict    {verdict['decision']}: {counts}")
    say(f"outcome    {report['outcome_text'] or report['outcome']}")
    release = report["release"]
    if release:
        downtime, backup = release["downtime"], release["backup"]
        if downtime and downtime["seconds"] is not None:
            budget = downtime["budget_seconds"]
            say(
                f"downtime   {downtime['seconds']:.1f} s measured on the user path"
                + (f", budget {budget:g} s" if budget else "")
            )
        if backup:
            say(
                f"backup     {backup['size_bytes']:,} bytes, {backup['rows']:,} rows in {backup['tables']} tables; "
                f"restored and compared in {backup['restore_seconds'] or 0:.1f} s"
            )
        say(f"record     {workspace.out / 'release'}")
    say(f"report     {workspace.report / 'index.html'}")


def program_pids(facts: Facts) -> dict[str, str]:
    """The process id of every program of the archive."""
    ended = subprocess.run(
        [facts["supervisorctl"], "-s", f"unix://{facts['supervisor_socket']}", "status"],
        capture_output=True, text=True, check=False, env={"PATH": f"{Path(PYTHON).parent}:{os.defpath}"},
    )  # fmt: skip
    return {words[0]: words[3].rstrip(",") for line in ended.stdout.splitlines() if len(words := line.split()) > 3}
