# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup into an object store against the same pg_dump into /dev/null: is pg_dump kept busy?

Ours is its phase ``dump``: one snapshot, rows counted and the schema hashed beside the dump, SHA-256 and CRC32 of the stream,
the upload to a store on this machine, its completion and its read back. Told beside it, of the whole module in a process of
its own: seconds from its start to its answer, with the roles, the proof (``verify: head``, which in this store reads the
object once) and the manifest; the phase with each table hashed (``compare: content``); and how long either side's pg_dump was
able to run and had no core, which on a machine of few cores is what it gives to the work beside it.
"""

from __future__ import annotations

import statistics
import typing as t

from tests.benchmarks.backup_site import MIB, Site, backup_site, paired, row, waited_for_a_core

FULL_MIB = 1100
BAR = 0.95


def run() -> dict[str, t.Any]:
    whole: list[float] = []
    waited: dict[str, list[float]] = {"ours": [], "peer": []}
    with backup_site(FULL_MIB) as site:
        made = backup(site)

        def dumped() -> float:
            with waited_for_a_core("pg_dump") as seconds:
                made = backup(site)
            waited["ours"].append(sum(seconds.values()))
            whole.append(made["wall_seconds"])
            return float(made["seconds"]["dump"])

        def dumped_by_peer() -> float:
            with waited_for_a_core("pg_dump") as seconds:
                wall = site.timed(site.dump_command(made["plan"]["pg_dump"]["argument"]))
            waited["peer"].append(sum(seconds.values()))
            return wall

        ours, peer = paired(dumped, dumped_by_peer)
        content = backup(site, compare="content")
        unit = (
            "s of pg_backup's dump and upload, compare: rows; peer: the same pg_dump into /dev/null; ratio: peer / ours"
        )
        told = row("backup_throughput", site, ours, peer, bar=BAR, unit=unit)
    return {
        **told,
        "stored_mib": round(made["backup"]["size_bytes"] / MIB),
        "pg_dump": made["plan"]["pg_dump"]["argument"],
        "pg_dump_waited_for_a_core": round(statistics.median(waited["ours"][1:]), 3),
        "peer_waited_for_a_core": round(statistics.median(waited["peer"][1:]), 3),
        "seconds_of_the_whole_module": round(statistics.median(whole[1:]), 3),
        "seconds_with_content": content["seconds"]["dump"],
    }


def backup(site: Site, **more: t.Any) -> dict[str, t.Any]:
    site.empty()
    return site.backup(**more)
