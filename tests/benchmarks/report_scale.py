# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the report grow linearly? 1,000 hosts x 100 findings in all formats, against ten times 100 hosts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
HOSTS = 1_000
ITEMS = 100
LIMIT_SECONDS = 15.0
LIMIT_BYTES = 2**30
BAR = 1.2
ROUNDS = 3


def run() -> dict[str, Any]:
    """Return the row report_scale: seconds of processor time at 1,000 hosts over ten times those at 100 hosts.

    holds also asks for the wall time and the peak memory of the whole process at 1,000 hosts.
    """
    large = min((_measure(HOSTS) for _unused in range(ROUNDS)), key=lambda made: made["cpu_seconds"])
    small = min((_measure(HOSTS // 10) for _unused in range(ROUNDS)), key=lambda made: made["cpu_seconds"])
    ours, peer = large["cpu_seconds"], 10 * small["cpu_seconds"]
    return {
        "name": "report_scale",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 3),
        "bar": BAR,
        "holds": ours / peer <= BAR and large["wall_seconds"] <= LIMIT_SECONDS and large["peak_bytes"] <= LIMIT_BYTES,
        "unit": "s for 1,000 hosts x 100 findings in all formats; peer: ten times 100 hosts",
        "wall_seconds": round(large["wall_seconds"], 3),
        "peak_mib": round(large["peak_bytes"] / 2**20),
    }


def _measure(hosts: int) -> dict[str, float]:
    # A process of its own, so that the peak is of this size and caches are cold.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "build")}
    command = [sys.executable, __file__, str(hosts)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def measure_here(hosts: int) -> dict[str, float]:
    """Build and write the report of so many hosts in this process; return wall_seconds, cpu_seconds, peak_bytes."""
    from ansible_collections.opsready.golive.plugins.plugin_utils.report_model import build_report, write_all
    from ansible_collections.opsready.golive.tests.unit.plugins.plugin_utils import test_report_samples as samples

    # As they are read from disk: no text is shared between two findings.
    findings = json.loads(json.dumps(samples.fleet_findings(hosts, ITEMS)))
    with tempfile.TemporaryDirectory() as directory:
        wall, cpu = time.perf_counter(), time.process_time()
        report = build_report(
            system="fleet", version="7", verdict=samples.verdict("NO-GO"), outcome="no_go", findings=findings
        )
        write_all(report, directory)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"wall_seconds": wall, "cpu_seconds": cpu, "peak_bytes": float(peak)}


if __name__ == "__main__":
    print(json.dumps(measure_here(int(sys.argv[1])) if len(sys.argv) > 1 else run(), indent=1))
