# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demos keep what they promise, leave what they say, and show no secret anywhere."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from pathlib import Path

import jsonschema
import pytest
from scenarios.killed import BY_HAND

from tests.e2e.conftest import CALLS, Demo
from tests.e2e.demos import BOOKKEEPING, ROOT, Shown
from tests.leaks import forms_of

MOST_TASKS = 45
WITH_RELEASE = [name for name in CALLS if name != "no-go"]
#: The services' own data, and the file that is there to hold the secrets.
OWN_DATA = ("stack/postgres/", "stack/redis/", "stack/s3/", "stack/app/", "stack/proxy/", "stack/secrets.yml")
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")

every_demo = pytest.mark.parametrize("name", CALLS)


@every_demo
def test_every_promise_of_the_demo_holds(demo: Demo, name: str) -> None:
    shown = demo(name)
    assert shown.promises and not shown.broken(), f"{shown.broken()}\n{shown.output[-6000:]}"
    assert shown.returncode == 0


@every_demo
def test_the_report_follows_its_published_schema(demo: Demo, name: str) -> None:
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(demo(name).report, schema)


@every_demo
def test_junit_counts_every_finding(demo: Demo, name: str) -> None:
    shown = demo(name)
    cases = (shown.out / "report" / "junit.xml").read_text(encoding="utf-8").count("<testcase ")
    assert cases >= len(shown.report["findings"]) > 0


@pytest.mark.parametrize("name", WITH_RELEASE)
def test_the_journal_is_a_chain_whose_head_the_report_names(demo: Demo, name: str) -> None:
    shown = demo(name)
    head, entries = "0" * 64, []
    for number, line in enumerate((shown.out / "release" / "journal.jsonl").read_bytes().splitlines(), start=1):
        entry = json.loads(line)
        assert (entry["prev"], entry["n"]) == (head, number)
        entries.append(entry)
        head = hashlib.sha256(line).hexdigest()
    assert shown.report["release"]["journal"] == {"head": head, "entries": len(entries)}
    assert [entry["token"] for entry in entries] == sorted(entry["token"] for entry in entries)


@pytest.mark.parametrize("name", WITH_RELEASE)
def test_the_way_back_was_written_before_the_first_change(demo: Demo, name: str) -> None:
    shown = demo(name)
    events = [(entry["event"], entry.get("step")) for entry in shown.journal]
    assert events.index(("planned", None)) < events.index(("step_started", "maintenance_on"))
    assert (shown.out / "release" / "ROLLBACK.md").stat().st_size > 1000
    assert "if this run dies, where it stands and the ways out" in (shown.out / "1-golive.log").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("bad-release b", "every job that users handed in is done exactly once"),  # law 6
        ("bad-release a", "a new row gets an id that the failed release never used"),  # law 10
        ("bad-release b", "a new row gets an id that the failed release never used"),  # law 10
        ("bad-release c", "nothing was undone by itself"),  # law 10
        ("release", "database, broker, object store and proxy ran on throughout"),  # law 12
        ("bad-release b", "and nothing while the database was fenced"),  # law 17
    ],
)
def test_the_law_is_among_what_the_demo_promises(demo: Demo, name: str, promise: str) -> None:
    assert {"promise": promise, "holds": True} in [
        {key: entry[key] for key in ("promise", "holds")} for entry in demo(name).promises
    ]


def test_steps_come_in_the_order_of_the_design(demo: Demo) -> None:
    started = [entry["step"] for entry in demo("release").journal if entry["event"] == "step_started"]
    assert started == [
        "images", "maintenance_on", "stop", "fence", "backup", "migration", "start", "smoke_inside", "traffic",
        "smoke_outside", "watch",
    ]  # fmt: skip


def test_a_release_takes_no_more_module_tasks_than_allowed(demo: Demo) -> None:
    # A task that several hosts run is one task.
    ran = {
        result["uuid"]: result["task"]
        for result in demo("release").recorder.task_results()
        if result["status"] != "skipped" and result["action"].rpartition(".")[2] not in BOOKKEEPING
    }
    assert 20 < len(ran) <= MOST_TASKS, "\n".join(ran.values())


def _is_an_operators(path: Path) -> bool:
    """Whether it records a program of the person who follows ROLLBACK.md, and was asked for the passwords by it."""
    return path.parent.name == "programs" and next(iter(BY_HAND.values())) in path.read_text(errors="replace")


def _files(shown: Shown) -> t.Iterator[Path]:
    """Every file that a demo left, or had for a moment, outside of the services' own data."""
    for folder in (shown.out, shown.recorder.folder):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and not _is_an_operators(path):
                if folder == shown.out and str(path.relative_to(folder)).startswith(OWN_DATA):
                    continue
                yield path


@every_demo
def test_no_secret_is_shown_written_or_passed_anywhere(demo: Demo, name: str) -> None:
    shown = demo(name)
    secrets = shown.secrets()
    assert len(secrets) >= 10 and all(secrets)
    places = {"the demo's output": shown.output.encode()}
    places.update({str(path): path.read_bytes() for path in _files(shown)})
    assert len(places) > 30
    found = []
    for place, content in places.items():
        for number, secret in enumerate(secrets):
            found += [
                f"secret {number} ({form}) in {place}"
                for form, written in forms_of(secret).items()
                if written.encode() in content
            ]
        if TOKEN.search(content):
            found.append(f"a login's token in {place}")
    assert not found


def test_the_canary_would_be_found(demo: Demo) -> None:
    """The recorders see programs, their environment and what was removed: without that, finding nothing means nothing."""
    shown = demo("release")
    for program in ("pg_dump", "pg_restore", "python"):
        received = shown.recorder.started(program)
        assert received, f"{program} was not recorded"
        assert all("ENVIRONMENT" in text and "PATH=" in text for text in received)
    assert any("PGPASSFILE=/proc/self/fd/" in text for text in shown.recorder.started("pg_dump"))
    assert any(path.name == "expected.json" for path in shown.recorder.removed.rglob("*"))
    assert "ESTABLISH LOCAL CONNECTION" in (shown.out / "1-golive.log").read_text(encoding="utf-8")
