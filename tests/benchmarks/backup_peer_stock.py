# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup against the usual two tasks, a dump to disk by ``postgresql_db`` and its upload by ``s3_object``. Whole playbooks.

Both under the ansible-core of the peer's own environment, which is made below ``build/`` when it is missing. The peer proves
nothing and leaves the dump on the disk; ours proves size and content of the object (``verify: head``, ``compare: rows``). Each
compresses as it does by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from tests.benchmarks.backup_site import ROOT, ModuleFailed, Site, backup_site, paired, row
from tests.benchmarks.backup_throughput import FULL_MIB
from tests.benchmarks.playbook_timing import Playbooks, play
from tests.store_faults import FaultyStore

BAR = 1.3
NAME = "backup_peer_stock"
#: ``ansible`` carries the collections, such as community.postgresql, amazon.aws and community.docker; the rest is what they import.
PACKAGES = (
    "ansible>=12,<13",
    "boto3>=1.34",
    "psycopg[binary]>=3.1",
    "psycopg2-binary>=2.9",
    "redis>=5",
    "requests>=2.32",
)
ENVIRONMENT = ROOT / "build" / "bench-stock"


def environment() -> Path:
    """The peer's virtual environment; one that was begun and not finished is made anew."""
    finished = ENVIRONMENT / "finished"
    if finished.exists() and finished.read_text() == "\n".join(PACKAGES):
        return ENVIRONMENT
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    install = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES]
    subprocess.run(install, check=True, stdout=sys.stderr)
    finished.write_text("\n".join(PACKAGES))
    return ENVIRONMENT


def run() -> dict[str, t.Any]:
    made = environment()
    with backup_site(FULL_MIB) as site, FaultyStore(site.store) as store:
        # This store takes the peer's question for an object's tags for one for the object; both go the same way.
        store.spoil("get tagging", "501 NotImplemented")
        site.endpoint = store.endpoint
        playbooks = Playbooks(site.directory)
        playbooks.environment["PATH"] = os.pathsep.join(
            [str(made / "bin"), str(site.server.programs), os.environ.get("PATH", os.defpath)]
        )
        ours, peer = paired(lambda: timed(site, playbooks, ours_tasks(site)), lambda: stock(site, playbooks))
        unit = "s for a playbook with pg_backup, verify: head, compare: rows; peer: postgresql_db, then s3_object; ratio: peer / ours"
        told = row(NAME, site, ours, peer, bar=BAR, unit=unit)
        site.empty()
    return told


def timed(site: Site, playbooks: Playbooks, tasks: list[dict[str, t.Any]]) -> float:
    site.empty()
    seconds = playbooks.seconds([play(tasks)])
    if not any(path.stat().st_size > 1 << 20 for path in site.store.bytes_directory.rglob("*") if path.is_file()):
        raise ModuleFailed(f"{tasks[-1]['name']}: nothing was stored")
    return seconds


def ours_tasks(site: Site) -> list[dict[str, t.Any]]:
    return [{"name": "Back up", "opsready.golive.pg_backup": site.options()}]


def stock(site: Site, playbooks: Playbooks) -> float:
    dump = site.directory / "stock.pgc"  # the ending that stands for pg_dump's custom format
    login = {"login_host": site.server.host, "login_port": site.server.port, "login_user": site.server.user}
    keys = {"endpoint_url": site.endpoint, "access_key": site.store.access_key}
    tasks: list[dict[str, t.Any]] = [
        {
            "name": "Dump",
            "community.postgresql.postgresql_db": {
                **login,
                "login_password": site.server.password,
                "name": site.database,
                "state": "dump",
                "target": str(dump),
            },
        },
        {
            "name": "Upload",
            "amazon.aws.s3_object": {
                **keys,
                "secret_key": site.store.secret_key,
                "region": site.store.region,
                "bucket": site.bucket,
                "object": f"stock/{time.monotonic_ns()}.pgc",
                "src": str(dump),
                "mode": "put",
                "permission": [],  # its request for an ACL would make an empty object of it in this store
            },
        },
    ]
    try:
        return timed(site, playbooks, tasks)
    finally:
        dump.unlink(missing_ok=True)
