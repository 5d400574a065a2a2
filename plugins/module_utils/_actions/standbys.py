# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The standbys of a server when one database takes another's name.

The renames reach a standby with its replay, and its sessions notice nothing: they go on reading the database that gave
way, without an error, for as long as they last. The primary can neither see nor end them, so each standby is asked itself.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster, cluster_of
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, Stopwatch, poll
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    GoliveError,
    Refused,
)

if t.TYPE_CHECKING:
    import psycopg

#: ``refuse`` what is not as it should be, ``leave`` it and say so, or ``ignore`` standbys that are not named.
UNFREED = ("refuse", "leave", "ignore")
#: How long each standby is waited for; all are asked at once.
STANDBY_SECONDS = 30.0

#: What receives WAL or a copy as files has no sessions: pg_receivewal, Barman's use of it, pg_basebackup.
_STREAMING = """
select r.application_name,
       case when r.state is null then 'an address this login may not see'
            else coalesce(pg_catalog.host(r.client_addr), 'the local socket') end
from pg_catalog.pg_stat_replication r
where r.application_name !~ 'receive_?wal|^pg_basebackup$' and coalesce(r.state, '') not in ('backup', 'startup')
and not exists (select from pg_catalog.pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical')
order by 1, 2
"""
_HISTORY = "select pg_catalog.pg_is_in_recovery(), (select system_identifier::text from pg_catalog.pg_control_system())"
_REPLAY = (
    "select pg_catalog.pg_last_wal_replay_lsn() >= %(lsn)s::pg_lsn, pg_catalog.pg_last_wal_replay_lsn()::text,"
    " (select datname::text from pg_catalog.pg_database where oid = %(oid)s)"
)


def streaming(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[dict[str, str]]:
    """Every standby that the server itself sends WAL to: ``name`` and ``address``. Those behind another one are not among them."""
    found = postgres.rows(connection, _STREAMING, doing="Listing the standbys", deadline=deadline)
    return [{"name": name, "address": address} for name, address in found]


class Standbys:
    """The standbys that a user names, and what becomes of those that are not as they should be: one of ``UNFREED``.

    A way back leaves: at night a replica that is down must keep nobody from it, and a GO was only given with each named.
    """

    def __init__(
        self,
        dsns: t.Sequence[str],
        *,
        password: str | None,
        maintenance: str,
        application_name: str,
        unfreed: str,
        warn: t.Callable[[str], None],
    ) -> None:
        self._unfreed, self._warn = unfreed, warn
        self._named = [
            _Standby(dsn, password=password, maintenance=maintenance, application_name=application_name)
            for dsn in dict.fromkeys(dsns)
        ]

    def require_known(self, primary: Cluster) -> None:
        """Before anything is changed. Raises Refused for standbys that are not named, and for what is named and is none."""
        if self._unfreed != "refuse":
            return
        unnamed = self._unnamed(primary)
        if unnamed:
            raise Refused(
                f"{unnamed}: sessions there would go on reading what gives way.",
                remedy="Name each of them in standbys, or say unfreed_standbys: ignore when nobody reads there.",
            )
        own = history(primary)[1]
        for one in self._named:
            one.require_follows(own, deadline=primary.deadline)

    def require_each(self, system: str | None, *, deadline: Deadline) -> None:
        """Raises Refused with every named one that cannot be reached, is no standby, or is of another cluster than ``system``."""
        if not self._named:
            return

        def problem(one: _Standby) -> str | None:
            try:
                one.require_follows(str(system), deadline=deadline)
            except GoliveError as found:
                return found.message
            return None

        with concurrent.futures.ThreadPoolExecutor(len(self._named)) as pool:
            asked = zip(self._named, pool.map(problem, self._named))
            problems = [{"standby": one.label, "problem": found} for one, found in asked if found is not None]
        if problems:
            raise Refused(
                f"A way back could not free {len(problems)} of {len(self._named)} standbys: "
                + " ".join(one["problem"] for one in problems),
                remedy="Start or correct each of them, or take it out of standbys when nobody reads there.",
                known={"standbys": problems},
            )

    def _unnamed(self, primary: Cluster) -> str:
        """A sentence without its end where more standbys follow than are named."""
        found = streaming(primary.connection, deadline=primary.deadline)
        if self._unfreed == "ignore" or len(found) <= len(self._named):
            return ""
        some = ", ".join(f"{one['name']} at {one['address']}" for one in found[:5])
        return f"{len(found)} standbys follow this server, {some}, and standbys names {len(self._named)}"

    def free(self, primary: Cluster, *, database: str, failed: str, oid: int) -> list[dict[str, t.Any]]:
        """After the swap: end what reads the replaced database on each, and tell what could not be done as ``problem``.

        Raises ActionFailed with all of it where none is left is not proven, and that is not to be left.
        """
        freed = self._freed(primary, failed, oid)
        problems = [str(one["problem"]) for one in freed if "problem" in one]
        if problems:
            text = (
                f"{database} is back; but sessions on a standby may still read what it replaced: {' '.join(problems)}"
            )
            if self._unfreed == "refuse":
                remedy = "Mend the standby and run it again, or end its sessions there."
                raise ActionFailed(text, remedy=remedy, known={"standbys": freed})
            self._warn(text)
        return freed

    def _freed(self, primary: Cluster, failed: str, oid: int) -> list[dict[str, t.Any]]:
        if not self._named and self._unfreed == "ignore":
            return []
        try:
            unnamed = self._unnamed(primary)
            own = history(primary)[1]
            lsn = _flushed(primary)
        except GoliveError as problem:
            return [{"standby": None, "problem": str(problem)}]
        limit = Deadline(min(STANDBY_SECONDS, primary.deadline.remaining()), clock=primary.deadline.clock)

        def free(one: _Standby) -> dict[str, t.Any]:
            try:
                return {"standby": one.label, **one.free(own, name=failed, oid=oid, lsn=lsn, deadline=limit)}
            except GoliveError as problem:
                return {"standby": one.label, "problem": str(problem)}

        found: list[dict[str, t.Any]] = []
        if self._named:
            with concurrent.futures.ThreadPoolExecutor(len(self._named)) as pool:
                found = list(pool.map(free, self._named))
        return [*found, *([{"standby": None, "problem": f"{unnamed}."}] if unnamed else [])]


def history(cluster: Cluster) -> tuple[bool, str]:
    """Whether the server follows another one, and of which cluster it is."""
    recovering, system = cluster.rows(_HISTORY, None, "Asking what the server follows")[0]
    return bool(recovering), str(system)


def _flushed(primary: Cluster) -> str:
    """A position after all that was committed so far, which standbys get without waiting for anybody's next commit."""
    primary.flush_log()
    return str(primary.rows("select pg_catalog.pg_current_wal_flush_lsn()::text", None, "Reading the position")[0][0])


class _Standby:
    """One standby; its roles and their passwords are those of the primary."""

    def __init__(self, dsn: str, *, password: str | None, maintenance: str, application_name: str) -> None:
        self.dsn, self.password = dsn, password
        self.maintenance, self.application_name = maintenance, application_name

    @property
    def label(self) -> str:
        try:
            return postgres.described(self.dsn, self.maintenance)
        except BadInput:
            return "a standby whose DSN cannot be read"

    def _cluster(self, deadline: Deadline) -> t.ContextManager[Cluster]:
        return cluster_of(
            self.dsn,
            password=self.password,
            maintenance=self.maintenance,
            deadline=deadline,
            application_name=self.application_name,
        )

    def require_follows(self, system: str, *, deadline: Deadline) -> None:
        """Raises Refused for a server that is no standby in this cluster; Unreachable, Denied, BadInput."""
        limit = Deadline(min(STANDBY_SECONDS, deadline.remaining()), clock=deadline.clock)
        with self._cluster(limit) as cluster:
            self._require_follows(cluster, system)

    def _require_follows(self, cluster: Cluster, system: str) -> None:
        recovering, found = history(cluster)
        if not recovering or found != system:
            why = "is of another cluster" if found != system else "is not in recovery"
            raise Refused(f"{self.label} is named as a standby and {why}.", remedy="Correct standbys.")

    def free(self, system: str, *, name: str, oid: int, lsn: str, deadline: Deadline) -> dict[str, t.Any]:
        """End every session on the database ``oid``, which is called ``name`` since ``lsn``, until none is left there.

        Raises TimedOut where the standby does not come so far, or a session does not end; Unreachable, Denied, Refused, BadInput.
        """
        watch = Stopwatch(deadline.clock)
        ended: dict[int, dict[str, t.Any]] = {}
        with self._cluster(deadline) as cluster:
            self._require_follows(cluster, system)

            def look() -> t.Sequence[t.Any]:
                row = cluster.rows(_REPLAY, {"lsn": lsn, "oid": oid}, f"Asking {self.label} how far it is")[0]
                # A transaction that reads there may be what holds the replay up.
                sessions = [] if row[0] or row[2] is None else cluster.sessions(row[2])
                ended.update({one["pid"]: one for one in sessions})
                cluster.terminate([one["pid"] for one in sessions], str(row[2]))
                return t.cast("t.Sequence[t.Any]", row)

            with watch.timed("replay"):
                poll(
                    look,
                    good=lambda row: bool(row[0]),
                    deadline=deadline,
                    describe=lambda row, unused: f"{self.label} has replayed {row[1] if row else 'nothing'}, not {lsn}",
                    interval=0.05,
                )
            cluster.await_starting_sessions(oid, name)
            ended.update({one["pid"]: one for one in cluster.end_sessions(name)})
        return {
            "ended_sessions": sorted(ended.values(), key=lambda one: int(one["pid"])),
            "replay_seconds": watch.seconds["replay"],
        }
