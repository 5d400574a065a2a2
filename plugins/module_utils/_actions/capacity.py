# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on a database server, for what is to be made there: a scratch database, a copy.

Too little is refused only where the server's own directory is seen from here. All else is told, since it is an estimate.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster, Database
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Refused

#: The lock file has the second in which the server's first process began, the server that in which it was ready for more.
_STARTING_SECONDS = 60

_SERVER = """
select (select setting from pg_catalog.pg_settings where name = 'data_directory'),
       extract(epoch from pg_catalog.pg_postmaster_start_time())::float8,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')),
       pg_catalog.current_setting('wal_level') = 'minimal'
"""
_ELSEWHERE = """
select exists (
    select from pg_catalog.pg_tablespace s, pg_catalog.pg_database d
    where d.datname = %s and s.spcname not in ('pg_default', 'pg_global')
    and d.oid in (select pg_catalog.pg_tablespace_databases(s.oid)))
"""


def server_room(cluster: Cluster) -> dict[str, t.Any]:
    """What is free on the server, in bytes; None where that cannot be seen from here."""
    directory, began, most_wal, is_minimal = cluster.rows(_SERVER, None, "Asking where the server keeps its data")[0]
    is_here = bool(directory) and _is_served_from(str(directory), cluster.connection.info.backend_pid, float(began))
    return {
        "data_directory": str(directory) if is_here else None,
        "free_bytes": _free(os.path.join(directory, "base")) if is_here else None,
        "wal_free_bytes": _free(os.path.join(directory, "pg_wal")) if is_here else None,
        "max_wal_size_bytes": int(most_wal),
        "writes_wal": not is_minimal,
    }


def _is_served_from(directory: str, backend: int, began: float) -> bool:
    """Whether the process that serves us is a child of the one that holds this directory of this host.

    A server elsewhere may name a directory that is here as well, and a standby here has the same files in it.
    """
    try:
        with open(os.path.join(directory, "postmaster.pid"), encoding="utf-8", errors="replace") as lock:
            holder = lock.read(4096).splitlines()
        with open(f"/proc/{backend}/stat", encoding="utf-8", errors="replace") as told:
            parent = told.read().rpartition(")")[2].split()[1]
        return parent == holder[0].strip() and abs(int(holder[2]) - began) <= _STARTING_SECONDS
    except (OSError, ValueError, IndexError):
        return False


def _free(path: str) -> int | None:
    """The bytes that the server's user can still write there."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def _taken_share(directory: str) -> float:
    """What the server's files take of the disk, of what they are long: less than 1 where the file system compresses them."""
    long, taken = 0, 0
    for folder, unused, files in os.walk(os.path.join(directory, "base")):
        for name in files:
            with contextlib.suppress(OSError):
                seen = os.lstat(os.path.join(folder, name))
                long, taken = long + seen.st_size, taken + seen.st_blocks * 512
    return min(1.0, taken / long) if long else 1.0


def require_room(room: t.Mapping[str, t.Any], needed: int, *, what: str, remedy: str) -> None:
    """Raise Refused where it is seen that the server's disk has too little for a database of so many bytes."""
    free, directory = room["free_bytes"], room["data_directory"]
    if free is None or free >= needed or free >= needed * _taken_share(directory):
        return
    raise Refused(
        f"{what} needs room for about {needed} bytes on the server, and its data directory {directory} has {free} free.",
        remedy=remedy,
        known={"room": {**room, "needed_bytes": needed}},
    )


def on_one_file_system(one: t.Mapping[str, t.Any], other: t.Mapping[str, t.Any]) -> bool:
    """Whether two servers' databases share their room; False where that of either is not seen."""
    if one["data_directory"] is None or other["data_directory"] is None:
        return False
    try:
        places = [os.stat(os.path.join(room["data_directory"], "base")).st_dev for room in (one, other)]
    except OSError:
        return False
    return places[0] == places[1]


def copies_files(cluster: Cluster) -> bool:
    """Whether a template copy takes room: not where it shares its files with the original."""
    copies = "select coalesce(pg_catalog.current_setting('file_copy_method', true), 'copy') = 'copy'"
    return bool(cluster.rows(copies, None, "Asking how the server copies files")[0][0])


def lies_elsewhere(cluster: Cluster, name: str) -> bool:
    """Whether anything of a database lies in a tablespace, and so not in the server's own directory."""
    return bool(cluster.rows(_ELSEWHERE, (name,), f"Looking for the tablespaces of {name}")[0][0])


def require_room_for_copy(cluster: Cluster, database: Database) -> None:
    """Raise Refused where it is seen that a template copy has no room. One that shares its files with the original needs none."""
    if database.size_bytes is None or not copies_files(cluster) or lies_elsewhere(cluster, database.name):
        return
    require_room(
        server_room(cluster),
        database.size_bytes,
        what=f"The copy of {database.name}",
        remedy="Make room there, or leave copy out: the backup is a way back, too.",
    )
