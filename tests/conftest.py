# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all tests: running a module's real ``main()``, and servers that cost nothing to start."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.leaks import assert_no_leak
from tests.mission.served import claim_all
from tests.module_process import COLLECTION, module_arguments
from tests.parts import may_be_skipped, skips_are_failures
from tests.servers import DemoCa, HangingServer, HttpServer, RefusedPort

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / "build"
MODULE_SECONDS = 180.0

# Tests start Python programs that import the collection, as this process does by pytest's `pythonpath`.
os.environ["PYTHONPATH"] = os.pathsep.join([str(COLLECTIONS), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


class ModuleRun(t.Protocol):
    def __call__(
        self,
        name: str,
        args: t.Mapping[str, t.Any],
        *,
        check: bool = False,
        diff: bool = False,
        secrets: t.Sequence[str] = (),
        environment: t.Mapping[str, str] | None = None,
        timeout: float = MODULE_SECONDS,
    ) -> dict[str, t.Any]: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    claim_all(items)


def _with_internals(args: t.Mapping[str, t.Any], check: bool, diff: bool) -> dict[str, t.Any]:
    # Ansible itself always sends these; without a remote temp folder a module would warn about its home.
    internals = {"_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}
    return {**args, "_ansible_check_mode": check, "_ansible_diff": diff, **internals}


def _answer(name: str, stdout: str, stderr: str, secrets: t.Sequence[str]) -> dict[str, t.Any]:
    assert_no_leak(secrets, stdout, f"{name}'s standard output")
    assert_no_leak(secrets, stderr, f"{name}'s standard error")
    try:
        answer = json.loads(stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        pytest.fail(f"{name} gave no JSON.\nstdout: {stdout[-2000:]}\nstderr: {stderr[-4000:]}")
    assert isinstance(answer, dict)
    answer.pop("invocation", None)
    return answer


@pytest.fixture(scope="session")
def run_module() -> ModuleRun:
    """Run a module's ``main()`` in a process of its own and return its answer; no secret may be on its output."""

    def run(
        name: str,
        args: t.Mapping[str, t.Any],
        *,
        check: bool = False,
        diff: bool = False,
        secrets: t.Sequence[str] = (),
        environment: t.Mapping[str, str] | None = None,
        timeout: float = MODULE_SECONDS,
    ) -> dict[str, t.Any]:
        paths = os.pathsep.join([str(COLLECTIONS), str(ROOT)])
        ended = subprocess.run(
            [sys.executable, "-m", "tests.module_process", name],
            input=json.dumps(_with_internals(args, check, diff)).encode(),
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
            timeout=timeout,
            check=False,
        )
        return _answer(name, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"), secrets)

    return run


@pytest.fixture
def run_module_here(capfd: pytest.CaptureFixture[str]) -> ModuleRun:
    """As ``run_module``, in this very process: faster, but with its imports, signals and threads."""

    def run(
        name: str,
        args: t.Mapping[str, t.Any],
        *,
        check: bool = False,
        diff: bool = False,
        secrets: t.Sequence[str] = (),
        environment: t.Mapping[str, str] | None = None,
        timeout: float = MODULE_SECONDS,
    ) -> dict[str, t.Any]:
        module = importlib.import_module(f"{COLLECTION}.plugins.modules.{name}")
        capfd.readouterr()
        with pytest.MonkeyPatch.context() as patched, module_arguments(_with_internals(args, check, diff)):
            for variable, value in (environment or {}).items():
                patched.setenv(variable, value)

            with pytest.raises(SystemExit):
                module.main()
        captured = capfd.readouterr()
        return _answer(name, captured.out, captured.err, secrets)

    return run


@pytest.fixture(scope="session")
def demo_ca() -> DemoCa:
    return DemoCa()


@pytest.fixture(scope="session")
def intermediate_ca(demo_ca: DemoCa) -> DemoCa:
    return demo_ca.intermediate()


@pytest.fixture
def http_server() -> t.Iterator[HttpServer]:
    """A scriptable HTTP server; routes are added by the test."""
    with HttpServer() as server:
        yield server


@pytest.fixture
def hanging_server() -> t.Iterator[HangingServer]:
    with HangingServer() as server:
        yield server


@pytest.fixture
def refused_port() -> t.Iterator[int]:
    with RefusedPort() as held:
        yield held.port


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Iterator[None]:
    """Where no skip is allowed, a skip becomes a failure that gives its reason."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # hookwrapper generators are untyped in pytest
    if report.skipped and not hasattr(report, "wasxfail") and skips_are_failures():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not may_be_skipped(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped where no skip is allowed. {reason}"


def pytest_terminal_summary(terminalreporter: t.Any) -> None:
    """A line for each gate: how it ended, and how long it took."""
    lines = []
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if "gate" in getattr(report, "keywords", {}):
                lines.append((report.nodeid.rpartition("::")[2], outcome, f"{report.duration:.0f} s"))
    if lines:
        terminalreporter.section("gates")
        width = max(len(name) for name, *unused in lines)
        for name, outcome, seconds in sorted(lines):
            terminalreporter.write_line(f"{name.ljust(width)}  {outcome.ljust(7)}  {seconds:>6}")
