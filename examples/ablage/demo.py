#!/usr/bin/env python3
"""The reference system goes live, and comes back: four demos, each with a stack of its own that it takes down again.

  demo.py release --directory DIR              from version 1 to version 2
  demo.py bad-release [a b c] --directory DIR  three bad releases, each taken back or left on as its plan says
  demo.py no-go --directory DIR                a checklist that fails; nothing is changed
  demo.py killed --directory DIR               the controller dies half-way; the way back without Ansible

DIR gets report/, release/ (the release record), promises.json and the playbooks' output. The exit code is not 0 when
anything that the demo promises does not hold.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from scenarios import bad_release, killed, no_go, release
from scenarios.promises import Promises
from scenarios.workspace import REPOSITORY, DemoError, Settings, Workspace, heading, say

Scenario = Callable[[Workspace, Promises], None]


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """An ordinary kill ends a demo as Ctrl-C does: by way of its `finally`."""
    raise KeyboardInterrupt


def show(scenario: Scenario, out: Path, settings: Settings) -> bool:
    """Run one demo; True when all of its promises held."""
    workspace, promises = Workspace(out, settings), Promises()
    began = time.monotonic()
    try:
        scenario(workspace, promises)
    except DemoError as error:
        promises.check("the demo runs to its end", False, str(error))
    if (out / "tmp").is_dir():
        promises.write(out / "promises.json")
    heading(
        f"{len(promises.kept) - len(promises.broken)} of {len(promises.kept)} promises held, in {time.monotonic() - began:.0f} s"
    )
    for broken in promises.broken:
        say(f"BROKEN: {broken}")
    return bool(promises.kept) and not promises.broken


def bad(letter: str) -> Scenario:
    return lambda workspace, promises: bad_release.run(workspace, promises, letter)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("release", "bad-release", "no-go", "killed"):
        command = commands.add_parser(name)
        if name == "bad-release":
            command.add_argument("letters", nargs="*", metavar="a b c", help="which of the three; all by default")
        if name == "killed":
            command.add_argument(
                "--to", default=killed.VERSION, metavar="VERSION", help="the release that dies (default: 2.0.0)"
            )
        command.add_argument("--directory", type=Path, required=True, metavar="DIR")
        command.add_argument(
            "--collections",
            default=os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(REPOSITORY / "build"),
            metavar="PATH",
            help="where Ansible finds opsready.golive (default: ANSIBLE_COLLECTIONS_PATH, or build/)",
        )
        command.add_argument(
            "--ansible-option",
            action="append",
            default=[],
            metavar="OPTION",
            help="one more word for ansible-playbook, as -vvv",
        )
    given = parser.parse_args()
    if given.command == "bad-release":
        given.letters = given.letters or list(bad_release.VERSIONS)
        if unknown := set(given.letters) - set(bad_release.VERSIONS):
            parser.error(f"there is no bad release {', '.join(sorted(unknown))}; choose from a, b and c")
    return given


def scenarios(given: argparse.Namespace, out: Path) -> list[tuple[Scenario, Path]]:
    """What the command line asks for, and the folder of each."""
    if given.command == "bad-release":
        return [(bad(letter), out / letter) for letter in given.letters]
    if given.command == "killed":
        return [(lambda workspace, promises: killed.run(workspace, promises, given.to), out)]
    return [({"release": release.run, "no-go": no_go.run}[given.command], out)]


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGTERM, interrupt)
    out = Path(os.path.abspath(given.directory))
    settings = Settings(given.collections, tuple(given.ansible_option))
    shown = scenarios(given, out)
    try:
        held = [show(scenario, folder, settings) for scenario, folder in shown]
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started has been ended", file=sys.stderr)
        return 130
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
