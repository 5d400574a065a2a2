# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup in pg_dump's directory format by two jobs against its custom format, of the same database. Reported, without a bar.

Seconds are those of the phase ``dump`` into a directory of this machine, with the same compression: what is counted beside it is
the same, and a directory's files are read once more for their digests. The database is four tables of one size; of a single one
nothing would be gained. Told beside it: the phase into the object store, which needs the dump on the disk before; and the proof
by a scratch restore, by two jobs and from one stream.
"""

from __future__ import annotations

import shutil
import statistics
import typing as t
from pathlib import Path

from tests.benchmarks.backup_site import MIB, Site, backup_site, paired, ratio_of
from tests.benchmarks.backup_throughput import FULL_MIB

TABLES = 4
JOBS = 2


def run() -> dict[str, t.Any]:
    with backup_site(FULL_MIB) as site:
        split(site)
        by_jobs = {"format": "directory", "jobs": JOBS}
        ours, peer = paired(lambda: dumped(site, **by_jobs), lambda: dumped(site, format="custom"))
        work = site.directory / "work"
        work.mkdir()
        site.empty()
        stored = site.backup(**by_jobs, work_dir=str(work))
        site.empty()
        streamed = site.backup()
        proofs = [proven(site, **more) for more in (by_jobs, {"format": "custom"})]
        return {
            "name": "backup_parallel",
            "ours": round(statistics.median(ours), 3),
            "peer": round(statistics.median(peer), 3),
            "ratio": round(ratio_of(ours, peer), 3),
            "bar": None,
            "holds": None,
            "unit": f"s of pg_backup's dump, format: directory, jobs: {JOBS}; peer: format: custom; ratio: peer / ours",
            "seconds_into_a_store": stored["seconds"]["dump"],
            "seconds_into_a_store_of_custom": streamed["seconds"]["dump"],
            "seconds_of_restore": proofs[0],
            "seconds_of_restore_of_custom": proofs[1],
            "pg_dump": stored["plan"]["pg_dump"]["argument"],
            "database_mib": round(site.database_bytes / MIB),
            "rounds": len(ours),
        }


def split(site: Site) -> None:
    """The one table as several of its size together."""
    with site.server.connect(site.database) as connection:
        for number in range(TABLES):
            connection.execute(
                f"create table public.documents_{number} as select * from public.documents where id % {TABLES} = {number}"
            )
        connection.execute("drop table public.documents")
        connection.execute("analyze")
        connection.execute("checkpoint")


def here(site: Site, **more: t.Any) -> dict[str, t.Any]:
    place: Path = site.directory / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return site.backup(destination=f"file://{place}", s3=None, **more)


def dumped(site: Site, **more: t.Any) -> float:
    return float(here(site, **more)["seconds"]["dump"])


def proven(site: Site, **more: t.Any) -> float:
    return float(here(site, **more, verify="restore")["verified"]["restore_seconds"])
