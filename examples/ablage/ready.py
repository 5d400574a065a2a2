#!/usr/bin/env python3
"""What is there before anybody asks for a GO: the build's reports, the migration's SQL, and people's signatures.

  ready.py 2.0.0 --dir DIR [--nightly-backup]    DIR as stack.py has it; DIR/ready/2.0.0/ready.yml is for -e @

The people are made up, and so is what they say they did; yours sign with the playbook `sign_off`, or where you keep such things.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import build_reports
import yaml
from build_release import ReleaseError
from build_reports import BuildError

HERE = Path(__file__).resolve().parent
SIGNED_ONCE: dict[str, dict[str, Any]] = {
    "devops-lead": {"team": "operations", "name": "Dora Beispiel", "details": {"channel": "+49 30 5550101"}},
    "backend-lead": {
        "team": "backend",
        "name": "Bruno Beispiel",
        # whoever tries this at night finds the substitute named
        "details": {"channel": "+49 30 5550102", "substitute": "Berta Beispiel, +49 30 5550103"},
    },
    "security-contact": {"team": "security", "name": "Sigrid Beispiel", "details": {"channel": "+49 30 5550104"}},
    "team-informed": {
        "team": "operations",
        "name": "Dora Beispiel",
        "details": {"channel": "#ablage", "version": "{version}"},
    },
}
REVIEWER = {"item": "migration-reviewed", "team": "backend", "name": "Rosa Beispiel"}
#: What is let through although the checklist says no: 2.0.2 is the release whose defect its build had found.
WAIVED = {
    "2.0.2": [
        {
            "item": "types",
            "owner": "Bruno Beispiel",
            "approver": "Dora Beispiel",
            "reason": "It is only types, and the release is promised for today.",
            "expires": "2099-12-31T00:00:00Z",
        }
    ]
}


#: In the folder of a release.
WRITTEN = "ready.yml"


class ReadyError(RuntimeError):
    """The evening before did not go well."""


Play = Callable[[list[str]], tuple[int, str]]


def folder_of(stack: Path, version: str) -> Path:
    return stack / "ready" / version


def make(stack: Path, version: str, *, play: Play, nightly_backup: bool = False) -> Path:
    """Write ready.yml, and what it names. Raises ReadyError, BuildError and ReleaseError."""
    build = build_reports.report(version)
    folder = folder_of(stack, version)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("migration.json", "migration_preview.sql"):
        (folder / name).unlink(missing_ok=True)
    given = {"ablage_ready_dir": str(folder), "ablage_nightly_backup": nightly_backup, "golive_version": version}
    code, said = play([str(HERE / "evening.yml"), "-e", json.dumps(given)])
    if code != 0:
        raise ReadyError(f"evening.yml failed: {said.strip()[-3000:]}")
    migration = json.loads((folder / "migration.json").read_text(encoding="utf-8"))
    signed = datetime.now(UTC).isoformat(timespec="seconds")
    sign_offs: list[dict[str, Any]] = [
        {**entry, "item": item, "signed": signed, "digest": "none",
         "details": {name: text.format(version=version) for name, text in entry["details"].items()}}
        for item, entry in SIGNED_ONCE.items()
    ]  # fmt: skip
    sign_offs.append({**REVIEWER, "signed": signed, "digest": migration["preview"]})
    values = {
        "golive_sign_offs": sign_offs,
        # each release has SQL of its own that is accepted, which is another demand than at the last GO
        "golive_loosened_approver": "Dora Beispiel",
        "ablage_build": str(build),
        "golive_waivers": WAIVED.get(version, []),
        "ablage_preview_file": str(folder / "migration_preview.sql"),
        "ablage_nightly_backup": nightly_backup,
        "ablage_build_is_repository": (build / "source" / ".git").is_dir(),
    }
    target = folder / WRITTEN
    target.write_text("---\n" + yaml.safe_dump(values, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return target


def vars_files(stack: Path) -> list[str]:
    files = (stack / "facts.yml", stack / "secrets.yml", HERE / "system.yml")
    return [word for path in files for word in ("-e", f"@{path}")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", metavar="VERSION")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument(
        "--nightly-backup", action="store_true", help="also make a backup, on which the migration is rehearsed"
    )
    given = parser.parse_args()
    stack = given.dir.resolve()

    def play(words: list[str]) -> tuple[int, str]:
        beside = Path(os.path.abspath(sys.executable)).parent / "ansible-playbook"
        program = str(beside) if beside.exists() else "ansible-playbook"
        ended = subprocess.run(
            [program, "-i", str(HERE / "inventory.yml"), *vars_files(stack), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout + ended.stderr

    try:
        print(make(stack, given.version, play=play, nightly_backup=given.nightly_backup))
    except (ReadyError, BuildError, ReleaseError) as error:
        print(f"ready.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
