# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a real ``ansible-playbook`` over plays given as data, and see what each task said on each host."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
Plays = list[dict[str, t.Any]]
Inventory = t.Mapping[str, t.Any]
#: One host that is this machine; localhost itself stays implicit, as users have it.
ONE_HOST: Inventory = {"all": {"hosts": {"web1": {}}}}


@dataclasses.dataclass(frozen=True)
class TaskResult:
    host: str
    task: str
    status: str
    result: dict[str, t.Any]
    action: str = ""
    uuid: str = ""

    @property
    def msg(self) -> str:
        return str(self.result.get("msg", ""))


@dataclasses.dataclass(frozen=True)
class Played:
    """How a run ended; ``directory`` is where the plays stood."""

    rc: int
    stdout: str
    stderr: str
    results: tuple[TaskResult, ...]
    directory: Path

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    def of(self, task: str, host: str | None = None) -> TaskResult:
        """The last result of the task of this name, on this host."""
        for found in reversed(self.results):
            if found.task.rpartition(" : ")[2] == task and host in (None, found.host):
                return found
        raise AssertionError(
            f"{task} did not run on {host or 'any host'}.\n{self.stdout[-6000:]}\n{self.stderr[-3000:]}"
        )

    def ran(self, task: str, host: str | None = None) -> bool:
        return any(found.task.rpartition(" : ")[2] == task and host in (None, found.host) for found in self.results)


class _WithVault(yaml.SafeDumper):
    """Writes a ``Vaulted`` text with its tag."""


class Vaulted(str):
    """A text as ``ansible-vault encrypt_string`` writes it."""

    __slots__ = ()


_WithVault.add_representer(Vaulted, lambda dumper, text: dumper.represent_scalar("!vault", str(text), style="|"))


def as_yaml(value: t.Any) -> str:
    return yaml.dump(value, Dumper=_WithVault, sort_keys=False, allow_unicode=True)


def run_playbook(
    plays: Plays | Path,
    *,
    inventory: Inventory | None = None,
    extra_vars: t.Mapping[str, t.Any] | None = None,
    args: t.Sequence[str] = (),
    environment: t.Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout: float = 300.0,
) -> Played:
    """Every host is this machine (connection local, our interpreter) unless the inventory says otherwise."""
    folder = directory or Path(tempfile.mkdtemp(prefix="golive-play-"))
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(plays, Path):
        playbook = plays
    else:
        playbook = folder / "play.yml"
        playbook.write_text(as_yaml(plays))
    (folder / "inventory.yml").write_text(as_yaml(dict(ONE_HOST if inventory is None else inventory)))
    # Not as extra variables: these would beat what an inventory says of its broken hosts.
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(
        as_yaml({"ansible_connection": "local", "ansible_python_interpreter": sys.executable})
    )
    (folder / "extra.yml").write_text(as_yaml(dict(extra_vars or {})))
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    ended = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i", str(folder / "inventory.yml"), "-e", f"@{folder / 'extra.yml'}", str(playbook), *args,
        ],
        capture_output=True,
        cwd=folder,
        env={
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "golive_record",
            "GOLIVE_TEST_RESULTS": str(results),
            "PYTHONPATH": str(ROOT / "build"),
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        },
        timeout=timeout,
        check=False,
    )  # fmt: skip
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return Played(
        ended.returncode,
        ended.stdout.decode("utf-8", "replace"),
        ended.stderr.decode("utf-8", "replace"),
        tuple(TaskResult(**json.loads(line)) for line in lines),
        folder,
    )
