# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each proof of a backup costs: ``archive`` against a scratch restore, ``head`` beside them. Reported, without a bar.

Seconds are those of the proof alone. ``head`` reads the object back here, since this store keeps no checksum of the whole.
"""

from __future__ import annotations

import statistics
import typing as t

from tests.benchmarks.backup_site import backup_site, paired, ratio_of
from tests.benchmarks.backup_throughput import FULL_MIB, backup


def run() -> dict[str, t.Any]:
    with backup_site(FULL_MIB) as site:

        def proof(level: str, **more: t.Any) -> float:
            return float(backup(site, verify=level, **more)["verified"]["seconds"])

        ours, peer = paired(lambda: proof("archive"), lambda: proof("restore"))
        head, content = proof("head"), proof("restore", compare="content")
    return {
        "name": "restore_verify",
        "ours": round(statistics.median(ours), 3),
        "peer": round(statistics.median(peer), 3),
        "ratio": round(ratio_of(ours, peer), 3),
        "bar": None,
        "holds": None,
        "unit": "s of the proof: archive; peer: restore, compare: rows; ratio: peer / ours",
        "seconds_of_head": head,
        "seconds_of_restore_with_content": content,
        "rounds": len(ours),
    }
