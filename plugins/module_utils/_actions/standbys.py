# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The standbys of a server when one database takes another's name.

The renames reach a standby with its replay, and its sessions notice nothing: they go on reading the database that gave
way, without an error, for as long as they last. The primary can neither see nor end them, so each standby is asked itself.
"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster, cluster_of
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, Stopwatch, poll
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, GoliveError, Refused

if t.TYPE_CHECKING:
    import psycopg

#: What pg_receivewal and pg_basebackup receive is kept as files; nobody has a session there.
_STREAMING = """
select r.application_name,
       case when r.state is null then 'an address this login may not see'
            else coalesce(pg_catalog.host(r.client_addr), 'the local socket') end
from pg_catalog.pg_stat_replication r
where r.application_name not in ('pg_receivewal', 'pg_basebackup') and r.state is distinct from 'backup'
and not exists (select from pg_catalog.pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical')
order by 1, 2
"""
_HISTORY = "select pg_catalog.pg_is_in_recovery(), (select system_identifier::text from pg_catalog.pg_control_system())"
_REPLAY = (
    "select pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_replay_lsn() >= %s::pg_lsn,"
    " pg_catalog.pg_last_wal_replay_lsn()::text"
)
#: A standby that is further behind, or silent for so long, is asked again by the next run.
STANDBY_SECONDS = 60.0


def streaming(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[dict[str, str]]:
    """Every standby that the server itself sends WAL to: ``name`` and ``address``. Those behind another one are not among them."""
    found = postgres.rows(connection, _STREAMING, doing="Listing the standbys", deadline=deadline)
    return [{"name": name, "address": address} for name, address in found]


class Standbys:
    """The standbys that a user names. ``leaves``: go on where something is not as it should be, and say so.

    A way back leaves: at night a replica that is down must keep nobody from it, and a GO was only given with each named.
    """

    def __init__(
        self,
        dsns: t.Sequence[str],
        *,
        password: str | None,
        maintenance: str,
        application_name: str,
        leaves: bool,
        warn: t.Callable[[str], None],
    ) -> None:
        self._leaves, self._warn = leaves, warn
        self._named = [
            _Standby(dsn, password=password, maintenance=maintenance, application_name=application_name) for dsn in dsns
        ]

    def require_known(self, primary: Cluster) -> None:
        """Before anything is changed. Raises Refused for standbys that are not named, and for what is named and is none."""
        if self._leaves:
            return
        found = streaming(primary.connection, deadline=primary.deadline)
        if len(found) > len(self._named):
            raise Refused(
                f"{self._unnamed(found)}: sessions there would go on reading what gives way.",
                remedy="Name each of them in standbys, or say unfreed_standbys: leave when nobody reads there.",
                known={"standbys": found},
            )
        for one in self._named:
            one.require_follows(primary)

    def _unnamed(self, found: t.Sequence[t.Mapping[str, str]]) -> str:
        some = ", ".join(f"{one['name']} at {one['address']}" for one in found[:5])
        return f"{len(found)} standbys follow this server, {some}, and standbys names {len(self._named)}"

    def free(self, primary: Cluster, *, database: str, failed: str, oid: int) -> list[dict[str, t.Any]]:
        """After the swap: end what reads the replaced database on each. Raises ActionFailed where none is left is not proven.

        Who leaves is given what could not be done as ``problem``, and warned.
        """
        freed = self._freed(primary, database, failed, oid)
        found = streaming(primary.connection, deadline=primary.deadline) if self._leaves else []
        if len(found) > len(self._named):
            problem = f"{self._unnamed(found)}."
            freed.append({"standby": None, "problem": problem})
            self._warn(f"{database} is back; but sessions on a standby may still read what it replaced: {problem}")
        return freed

    def _freed(self, primary: Cluster, database: str, failed: str, oid: int) -> list[dict[str, t.Any]]:
        freed: list[dict[str, t.Any]] = []
        if not self._named:
            return freed
        # A commit without synchronous_commit is in memory alone at first: the end of what was inserted, not of what was written.
        lsn = str(
            primary.rows("select pg_catalog.pg_current_wal_insert_lsn()::text", None, "Reading the position")[0][0]
        )
        for one in self._named:
            try:
                freed.append(one.free(name=failed, oid=oid, lsn=lsn, deadline=primary.deadline))
            except GoliveError as problem:
                text = f"{database} is back; but sessions on a standby may still read what it replaced: {problem}"
                if not self._leaves:
                    remedy = "Mend the standby and run it again, or end its sessions there."
                    raise ActionFailed(text, remedy=remedy, known={"standbys": freed})
                freed.append({"standby": one.label, "problem": str(problem)})
                self._warn(text)
        return freed


class _Standby:
    """One standby; its roles and their passwords are those of the primary."""

    def __init__(self, dsn: str, *, password: str | None, maintenance: str, application_name: str) -> None:
        self.dsn, self.password = dsn, password
        self.maintenance, self.application_name = maintenance, application_name
        self.label = postgres.described(dsn, maintenance)

    def _cluster(self, deadline: Deadline) -> t.ContextManager[Cluster]:
        return cluster_of(
            self.dsn,
            password=self.password,
            maintenance=self.maintenance,
            deadline=Deadline(min(STANDBY_SECONDS, deadline.remaining()), clock=deadline.clock),
            application_name=self.application_name,
        )

    def require_follows(self, primary: Cluster) -> None:
        """Raises Refused for a server that is no standby of this primary; Unreachable, Denied."""
        with self._cluster(primary.deadline) as cluster:
            recovering, system = cluster.rows(_HISTORY, None, f"Asking {self.label} what it follows")[0]
        own = primary.rows(_HISTORY, None, "Reading the server's identity")[0][1]
        if not recovering or system != own:
            why = "is of another cluster" if system != own else "is not in recovery"
            raise Refused(f"{self.label} is named as a standby and {why}.", remedy="Correct standbys.")

    def free(self, *, name: str, oid: int, lsn: str, deadline: Deadline) -> dict[str, t.Any]:
        """End every session on the database that is called ``name`` since ``lsn``, until none is left there.

        Raises TimedOut where the standby does not come so far, or a session does not end; Unreachable, Denied, Refused.
        """
        watch = Stopwatch(deadline.clock)
        with self._cluster(deadline) as cluster:
            with watch.timed("replay"):
                recovering, is_there, unused = poll(
                    lambda: cluster.rows(_REPLAY, (lsn,), f"Asking {self.label} how far it is")[0],
                    good=lambda row: bool(row[1]) or not row[0],
                    deadline=cluster.deadline,
                    describe=lambda row, unused: f"{self.label} has replayed {row[2] if row else 'nothing'}, not {lsn}",
                    interval=0.05,
                )
            if not recovering and not is_there:
                raise Refused(
                    f"{self.label} left recovery before it had replayed {lsn}.", remedy="It is no standby now."
                )
            cluster.await_starting_sessions(oid, name)
            ended = cluster.end_sessions(name)
        return {"standby": self.label, "ended_sessions": ended, "replay_seconds": watch.seconds["replay"]}
