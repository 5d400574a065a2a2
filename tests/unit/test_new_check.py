# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check that CONTRIBUTING.md writes: it is the file that stands here, it works, and the steps are all there."""

from __future__ import annotations

import importlib.util
import re
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._checks.checklist_runner import judge_all
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.gates.test_frame import HEADER
from tests.servers import HOST, HangingServer, ScriptedServer

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = Path(__file__).resolve().parent / "fixtures" / "new_check"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHARED = "ansible_collections.opsready.golive.plugins.module_utils"


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """A file of the fixtures as the module that it would be in its place."""
    folder, _dot, stem = name.rpartition(".")
    specification = importlib.util.spec_from_file_location(f"{SHARED}.{name}", FIXTURES / f"{stem}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, f"{SHARED}.{name}", module)
    specification.loader.exec_module(module)
    monkeypatch.setattr(importlib.import_module(f"{SHARED}.{folder}"), stem, module, raising=False)
    return module


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    loaded("_clients.memcached", monkeypatch)
    made = loaded("_checks.check_memcached", monkeypatch)
    monkeypatch.setattr(registry, "_NAMES", (*registry.names(), made.NAME))
    return made


def findings(ports: t.Sequence[int], **options: t.Any) -> list[dict[str, t.Any]]:
    items = [
        {
            "id": str(number),
            "check": "check_memcached",
            "params": {"host": HOST, "port": port, **options},
            "timeout": 2.0,
        }
        for number, port in enumerate(ports)
    ]
    return judge_all(items, [], timeout_seconds=60, scrub=Scrubber())


def memcached(evictions: int) -> ScriptedServer:
    answer = f"STAT version 1.6.18\r\nSTAT evictions {evictions}\r\nEND\r\n".encode()
    return ScriptedServer(lambda connection: connection.sendall(answer) if connection.recv(100) else None)


def test_it_passes_fails_and_does_not_know(check: t.Any, hanging_server: HangingServer, refused_port: int) -> None:
    with memcached(0) as healthy, memcached(7) as broken:
        found = findings([healthy.port, broken.port, hanging_server.port, refused_port], min_version="1.6")
    assert [finding["status"] for finding in found] == ["pass", "fail", "unknown", "unknown"]
    assert found[1]["summary"] == "Evictions since the start is 7, expected at most 0."
    assert all("raised" not in finding["evidence"] for finding in found)


def test_the_page_quotes_the_files() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    for name in ("check_memcached.py", "memcached.py"):
        text = (FIXTURES / name).read_text(encoding="utf-8")
        assert text in blocks
        assert text.startswith("\n".join(HEADER))


@pytest.mark.parametrize(
    "place",
    ["registry.py", "meta/runtime.yml", "README.md", "docs/checklist.md", "meta/ee-requirements.txt", "_core/deps.py",
     "__version__", "extends_documentation_fragment", "opsready.golive.check", "told_apart", "left_out", "run.trace()",
     "no_log: False", "test_criterion_names.py"],
)  # fmt: skip
def test_the_steps_name_every_place_that_a_gate_looks_at(place: str) -> None:
    steps = CONTRIBUTING.partition("## A check in four steps")[2].partition("\n## ")[0]
    assert place in steps
