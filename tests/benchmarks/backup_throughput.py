# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup into an object store against the same pg_dump into /dev/null: is pg_dump kept busy?

Ours is the whole module in a process of its own, from its start to its answer: one snapshot, rows counted beside the dump,
SHA-256 and CRC32, the upload to a store on this machine, the roles, the read back (``verify: head``) and the manifest. What
hashing each table costs (``compare: content``) is told beside it.
"""

from __future__ import annotations

import typing as t

from tests.benchmarks.backup_site import Site, backup_site, paired, row

FULL_MIB = 1100
BAR = 0.95


def run() -> dict[str, t.Any]:
    with backup_site(FULL_MIB) as site:
        made = backup(site)
        compression = {"gzip": "--compress=gzip", "zstd": "--compress=zstd:3"}.get(made["plan"]["compression"])
        command = site.dump_command(*([compression] if compression is not None else []))
        ours, peer = paired(lambda: backup(site)["wall_seconds"], lambda: site.timed(command))
        content = backup(site, compare="content")
        told = row(
            "backup_throughput",
            site,
            ours,
            peer,
            bar=BAR,
            unit="s for pg_backup to S3, verify: head, compare: rows; peer: the same pg_dump into /dev/null; ratio: peer / ours",
        )
    return {
        **told,
        "stored_mib": round(made["backup"]["size_bytes"] / 2**20),
        "compression": made["plan"]["compression"],
        "seconds_of_dump": made["seconds"]["dump"],
        "seconds_with_content": round(content["wall_seconds"], 3),
    }


def backup(site: Site, **more: t.Any) -> dict[str, t.Any]:
    site.empty()
    return site.backup(**more)
