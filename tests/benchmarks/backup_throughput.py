# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup into an object store against the same pg_dump into /dev/null: is pg_dump kept busy?

Ours is its phase ``dump``: one snapshot, rows counted and the schema hashed beside the dump, SHA-256 and CRC32 of the stream,
the upload to a store on this machine, its completion and its read back. Told beside it, of the whole module in a process of
its own: seconds from its start to its answer, with the roles, the proof (``verify: head``, which in this store reads the
object once) and the manifest; and the phase with each table hashed (``compare: content``).
"""

from __future__ import annotations

import statistics
import typing as t

from tests.benchmarks.backup_site import MIB, Site, backup_site, paired, row

FULL_MIB = 1100
BAR = 0.95


def run() -> dict[str, t.Any]:
    whole: list[float] = []
    with backup_site(FULL_MIB) as site:
        made = backup(site)

        def dumped() -> float:
            made = backup(site)
            whole.append(made["wall_seconds"])
            return float(made["seconds"]["dump"])

        ours, peer = paired(dumped, lambda: site.timed(site.dump_command(made["plan"]["pg_dump"]["argument"])))
        content = backup(site, compare="content")
        unit = (
            "s of pg_backup's dump and upload, compare: rows; peer: the same pg_dump into /dev/null; ratio: peer / ours"
        )
        told = row("backup_throughput", site, ours, peer, bar=BAR, unit=unit)
    return {
        **told,
        "stored_mib": round(made["backup"]["size_bytes"] / MIB),
        "pg_dump": made["plan"]["pg_dump"]["argument"],
        "seconds_of_the_whole_module": round(statistics.median(whole[1:]), 3),
        "seconds_with_content": content["seconds"]["dump"],
    }


def backup(site: Site, **more: t.Any) -> dict[str, t.Any]:
    site.empty()
    return site.backup(**more)
