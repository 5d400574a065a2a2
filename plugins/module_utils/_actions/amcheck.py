# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_amcheck of a database that was just restored: the pages of every table, and every B-tree against its table.

A restore builds each index anew by the server's own rules of order: where those contradict themselves, as those of an
operator class or a collation may, rows are there and are not found. Counts and contents do not show it.
"""

from __future__ import annotations

import os
import re
import subprocess

from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_programs
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    CommandFailed,
    Denied,
    MissingLibrary,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

#: pg_amcheck's exit code where all was checked and damage was found (``man pg_amcheck``).
_DAMAGE = 2
#: It ends so for any error of the server too; these say nothing of what was restored.
_NO_DAMAGE = re.compile(
    r"canceling statement|permission denied|does not exist|out of memory|terminating connection|No space left"
)
#: A login or a server may have limits of its own, and a large index takes its time.
_UNLIMITED = {"statement_timeout": 0, "lock_timeout": 0, "idle_session_timeout": 0}


def require_possible(cluster: Cluster, programs: pg_programs.Programs) -> None:
    """Before anything that takes long. Raises Denied for who is no superuser, and MissingLibrary for what is not there."""
    if cluster.connection.info.server_version < 140000:
        raise MissingLibrary(
            f"pg_amcheck needs PostgreSQL 14, and the server is {cluster.connection.info.server_version // 10000}.",
            remedy="Prove the backup on a newer server of verify_dsn, or leave amcheck out.",
        )
    superuser, has_extension = cluster.rows(
        "select rolsuper, exists (select from pg_catalog.pg_available_extensions where name = 'amcheck')"
        " from pg_catalog.pg_roles where rolname = current_user",
        None,
        "Asking for the extension amcheck",
    )[0]
    if not superuser:
        raise Denied(
            "The extension amcheck is a superuser's alone, and the login is none.",
            remedy="Prove the backup on a server of verify_dsn with a login that is one, or leave amcheck out.",
        )
    if not has_extension:
        raise MissingLibrary("The server does not have the extension amcheck.", remedy="Install its contrib package.")
    if not os.access(programs.pg_amcheck, os.X_OK):
        raise MissingLibrary(
            f"{programs.pg_amcheck} is not there.",
            remedy="It is part of PostgreSQL 14 and newer: name a directory that has it as pg_bindir.",
        )


def check(
    programs: pg_programs.Programs,
    dsn: str,
    password: str | None,
    *,
    dbname: str,
    jobs: int,
    deadline: Deadline,
    application_name: str = "opsready",
) -> float:
    """Seconds that it took. Raises ActionFailed with the first damage, CommandFailed, TimedOut. The extension stays."""
    began = deadline.clock.monotonic()
    argv = [
        programs.pg_amcheck,
        *("--install-missing", "--heapallindexed", "--no-password", f"--jobs={jobs}"),
        pg_programs.connection_string(dbname),
    ]
    environment = postgres.program_environment(dsn, dbname, application_name=application_name, settings=_UNLIMITED)
    found = bytearray()
    with pg_programs.running(argv, environment=environment, password=password, stdout=subprocess.PIPE) as (
        process,
        said,
    ):
        for chunk in pg_programs.output_chunks(process, doing="pg_amcheck", deadline=deadline):
            found += chunk[: max(0, 65536 - len(found))]
        try:
            pg_programs.ended_well(programs.pg_amcheck, process, said, deadline=deadline)
        except CommandFailed as problem:
            if problem.returncode != _DAMAGE:
                raise
            damage = beginning_of(" ".join(found.decode("utf-8", "replace").split()), 1000)
            if _NO_DAMAGE.search(damage):
                raise ActionFailed(f"pg_amcheck could not look at all that was restored: {damage}")
            raise ActionFailed(
                f"What was restored is damaged: {damage}",
                remedy="The indexes are built by this server's rules: look at the collation or operator class that is named.",
            )
    return round(deadline.clock.monotonic() - began, 3)
