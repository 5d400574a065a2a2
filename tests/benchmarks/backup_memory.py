# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak memory of pg_backup's own process for 1 GiB and 4 GiB stored: it does not grow with the archive.

The archive is not compressed, so what is stored is what pg_dump reads. pg_dump's own memory is pg_dump's.
"""

from __future__ import annotations

import typing as t

from tests.benchmarks.backup_site import MIB, backup_site, size_mib
from tests.benchmarks.backup_throughput import backup

BAR_MIB = 150.0
#: How far the greater peak may be above the smaller one.
ALIKE = 1.1


def run() -> dict[str, t.Any]:
    stored, peaks = [], []
    for full in (1200, 4800):
        with backup_site(full) as site:
            made = backup(site, compression="none")
            stored.append(made["backup"]["size_bytes"] / MIB)
            peaks.append(made["peak_mib"])
    return {
        "name": "backup_memory",
        "ours": round(peaks[1], 1),
        "peer": round(peaks[0], 1),
        "ratio": round(peaks[1] / peaks[0], 3),
        "bar": BAR_MIB,
        "holds": max(peaks) <= BAR_MIB and max(peaks) <= ALIKE * min(peaks),
        "unit": "MiB at most of the module's process for 4 GiB stored; peer: for 1 GiB; bar: MiB for each, at most, and 10 % apart",
        "stored_mib": [round(one) for one in stored],
        "is_full_size": size_mib(4800) == 4800,
    }
