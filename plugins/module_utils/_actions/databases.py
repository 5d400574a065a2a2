# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as a whole: found by exact name, marked as ours, opened and closed, renamed, dropped only when proven ours.

A mark is the database's comment: ``opsready.golive {json}``. It holds the database's OID and the comment it had before,
so a state left by a killed run is found again, and nothing else is mistaken for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import GRACE_SECONDS, uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, poll
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    GoliveError,
    Refused,
    UnexpectedAnswer,
    Unreachable,
)

if t.TYPE_CHECKING:
    import psycopg

#: A database of ours carries a comment that begins so.
MARK_HEAD = "opsready.golive "
#: Kinds that we made ourselves out of nothing, and may therefore drop.
DROPPABLE = ("scratch", "restoring", "ready", "extracting")


def claim(original: str, name: str) -> int:
    """The connection limit that CREATE DATABASE of ours gives, and that nobody else would: a mark from the first moment on.

    A comment, our mark proper, can only be written after that, and we may be killed in between. It is lifted with the mark.
    """
    digest = hashlib.sha256(f"opsready.golive/{original}/{name}".encode()).digest()
    return (1 << 30) + int.from_bytes(digest[:4], "big") % (1 << 30) - 1


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")


def derived_name(base: str, word: str, identity: str) -> str:
    """``<base>_<word>_<identity>`` within PostgreSQL's 63 bytes.

    A longer one is silently truncated by the server, possibly to the name of another database: what does not fit is
    cut here, at a character, and replaced by a digest, so that different inputs keep different names.
    """
    if len(identity.encode()) > 24:
        identity = f"{_cut(identity, 15)}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    tail = f"_{word}_{identity}"
    if len((base + tail).encode()) <= postgres.NAME_BYTES:
        return base + tail
    digest = hashlib.sha256(base.encode()).hexdigest()[:8]
    return f"{_cut(base, postgres.NAME_BYTES - len(tail.encode()) - 9)}-{digest}{tail}"


@dataclasses.dataclass(frozen=True)
class Mark:
    """What we wrote on a database of ours: what it is, of which database, for which release."""

    kind: str
    original: str
    identity: str
    oid: int
    comment: str | None = None
    note: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        return MARK_HEAD + json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def parse(comment: str | None) -> Mark | None:
        """None for a comment that is not a mark."""
        if comment is None or not comment.startswith(MARK_HEAD):
            return None
        try:
            found = foreign_json.read(comment[len(MARK_HEAD) :])
            return Mark(
                kind=str(found["kind"]),
                original=str(found["original"]),
                identity=str(found["identity"]),
                oid=int(found["oid"]),
                comment=None if found.get("comment") is None else str(found["comment"]),
                note=dict(found.get("note") or {}),
            )
        except (ValueError, KeyError, TypeError):
            return None


@dataclasses.dataclass(frozen=True)
class Database:
    """One row of pg_database, and the comment's two readings."""

    oid: int
    name: str
    owner: str
    allows_connections: bool
    comment: str | None
    size_bytes: int | None
    connection_limit: int = -1

    @property
    def mark(self) -> Mark | None:
        """Our mark; None when there is none or when it was written for another database."""
        mark = Mark.parse(self.comment)
        return mark if mark is not None and mark.oid == self.oid else None

    @property
    def own_comment(self) -> str | None:
        """The comment that the database's people gave it."""
        mark = self.mark
        return mark.comment if mark is not None else self.comment

    def is_unmarked_of(self, original: str) -> bool:
        """As CREATE DATABASE of ours leaves it until it is marked: closed, without any comment, with its claim."""
        is_claimed = self.connection_limit == claim(original, self.name)
        return self.comment is None and not self.allows_connections and is_claimed

    def is_ours(self, kinds: t.Container[str], identity: str) -> bool:
        mark = self.mark
        return mark is not None and mark.kind in kinds and mark.identity == identity

    def told(self) -> dict[str, t.Any]:
        """For results: JSON types."""
        mark = self.mark
        return {
            "name": self.name,
            "oid": self.oid,
            "owner": self.owner,
            "allows_connections": self.allows_connections,
            "size_bytes": self.size_bytes,
            "mark": None if mark is None else {"kind": mark.kind, "original": mark.original, "id": mark.identity},
        }


#: Where a server's history stands, as columns of one row: snapshot of transaction ids, WAL position, time in RFC 3339.
POSITION = (
    "pg_catalog.pg_current_snapshot()::text,"
    " (case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()"
    "  else pg_catalog.pg_current_wal_lsn() end)::text,"
    " to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
)

#: Which cluster it is, as a column: a standby's is its primary's.
SYSTEM = "(select system_identifier::text from pg_catalog.pg_control_system())"

#: The server's timeline, as a column: another one after each promotion, and after each recovery to a point in time. A standby may
#: tell the one before for a while.
TIMELINE = (
    "(case when pg_catalog.pg_is_in_recovery() then (select timeline_id from pg_catalog.pg_control_checkpoint())"
    "  else ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int end)"
)

#: Whether the log of the connection's database is decoded, and how long the log's writer sleeps, in seconds. In three of its turns at
#: most a commit is on the disk (PostgreSQL, Asynchronous Commit).
_DECODED = """
select exists (select from pg_catalog.pg_replication_slots where database = pg_catalog.current_database()),
       (select setting::float8 / 1000 from pg_catalog.pg_settings where name = 'wal_writer_delay')
"""
_WRITER_TURNS = 3.5

#: What ends a session whatever it is at, and the version that brought it. A login or a database may have been given any of them.
_SESSION_LIMITS = (
    ("idle_in_transaction_session_timeout", 90600),
    ("idle_session_timeout", 140000),
    ("transaction_timeout", 170000),
)

_SELECT = """
select d.oid::bigint, d.datname, pg_catalog.pg_get_userbyid(d.datdba), d.datallowconn,
       pg_catalog.shobj_description(d.oid, 'pg_database'),
       case when pg_catalog.has_database_privilege(d.oid, 'CONNECT') then pg_catalog.pg_database_size(d.oid) end,
       d.datconnlimit
from pg_catalog.pg_database d
"""


class Cluster:
    """The databases of one server, seen and changed from its maintenance database."""

    def __init__(
        self,
        connection: psycopg.Connection[t.Any],
        *,
        deadline: Deadline,
        reconnect: t.Callable[[Deadline], psycopg.Connection[t.Any]] | None = None,
    ) -> None:
        self.connection = connection
        self.deadline = deadline
        self._reconnect = reconnect

    def settle(self) -> None:
        """Before cleaning up: end what was interrupted, and go on in a new session that has time enough.

        A signal may have broken into a query: its session is busy, and CREATE DATABASE runs on in it.
        """
        idle = require("psycopg").pq.TransactionStatus.IDLE
        usable = not self.connection.closed and self.connection.info.transaction_status == idle
        if self._reconnect is None or (usable and self.deadline.remaining() > GRACE_SECONDS / 2):
            return
        busy = None
        if not self.connection.closed:
            busy = self.connection.info.backend_pid
            postgres.cancel(self.connection)
            self.connection.close()
        self.deadline = Deadline(GRACE_SECONDS, clock=self.deadline.clock)
        self.connection = self._reconnect(self.deadline)
        poll(
            lambda: self.rows(
                "select pid from pg_catalog.pg_stat_activity where pid = %s", (busy,), "Waiting for our old session"
            ),
            good=lambda left: not left,
            deadline=self.deadline,
            describe=lambda left, unused: f"Our session {busy} did not end",
            interval=0.05,
        )

    def rows(self, sql: t.Any, parameters: t.Any, doing: str) -> list[t.Any]:
        """The rows of a statement, errors translated, within the deadline."""
        return postgres.rows(self.connection, sql, parameters, doing=doing, deadline=self.deadline)

    def _do(self, statement: str, doing: str, *names: str) -> None:
        sql = require("psycopg").sql
        self.rows(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)), None, doing)

    def stay_connected(self) -> None:
        """Idle while a program works, or in one long transaction, we would be ended by the server's limits, and our locks with us."""
        for setting, since in _SESSION_LIMITS:
            if self.connection.info.server_version >= since:
                statement = "select pg_catalog.set_config(%s, '0', false)"
                self.rows(statement, (setting,), "Asking to stay connected")

    def find(self, name: str) -> Database | None:
        """The database of exactly this name."""
        if len(name.encode()) > postgres.NAME_BYTES:
            raise BadInput(f"The name {name} has more than {postgres.NAME_BYTES} bytes; PostgreSQL would cut it.")
        found = self.rows(_SELECT + "where d.datname = %s", (name,), f"Looking for database {name}")
        return Database(*found[0]) if found else None

    def marked(self, original: str) -> list[Database]:
        """All databases that carry a mark of ours for the database ``original``."""
        found = self.rows(
            _SELECT + "where pg_catalog.shobj_description(d.oid, 'pg_database') like %s order by d.datname",
            (MARK_HEAD + "%",),
            "Looking for databases of ours",
        )
        databases = [Database(*row) for row in found]
        return [one for one in databases if one.mark is not None and one.mark.original == original]

    def unmarked(self, original: str) -> list[Database]:
        """What we were making for the database ``original`` when we were killed, before it could be marked."""
        found = self.rows(
            _SELECT + "where not d.datallowconn and d.datconnlimit >= %s order by d.datname",
            (1 << 30,),
            "Looking for databases without a mark",
        )
        return [one for one in (Database(*row) for row in found) if one.is_unmarked_of(original)]

    def sessions(self, name: str) -> list[dict[str, t.Any]]:
        """Every session on a database but our own, with user, application, address and age; workers that write too."""
        found = self.rows(
            "select pid, usename::text, application_name, pg_catalog.host(client_addr), backend_type, state,"
            " extract(epoch from clock_timestamp() - backend_start)::float8,"
            " extract(epoch from clock_timestamp() - xact_start)::float8"
            " from pg_catalog.pg_stat_activity where datname = %s and pid <> pg_catalog.pg_backend_pid()"
            # What a login may not see is null: another's session, unless it has pg_read_all_stats.
            " and coalesce(backend_type not in ('autovacuum worker', 'parallel worker'), usesysid is not null)"
            " order by pid",
            (name,),
            f"Listing the sessions of {name}",
        )
        return [
            {
                "pid": pid,
                "user": user,
                "application": application or "",
                "address": address or ("local" if kind is not None else "not visible to this login"),
                "kind": kind,
                "state": state,
                "connected_seconds": round(connected or 0.0, 1),
                "transaction_seconds": None if transaction is None else round(transaction, 1),
            }
            for pid, user, application, address, kind, state, connected, transaction in found
        ]

    def prepared_transactions(self, name: str) -> list[dict[str, t.Any]]:
        found = self.rows(
            "select gid, owner::text, prepared::text from pg_catalog.pg_prepared_xacts where database = %s order by 1",
            (name,),
            f"Listing the prepared transactions of {name}",
        )
        return [{"gid": gid, "owner": owner, "prepared": prepared} for gid, owner, prepared in found]

    def require_no_prepared_transactions(self, name: str) -> None:
        """A prepared transaction survives the end of its session, and would write behind the fence."""
        prepared = self.prepared_transactions(name)
        if prepared:
            who = ", ".join(f"{one['gid']} of {one['owner']}" for one in prepared[:5])
            raise Refused(
                f"{len(prepared)} prepared transactions hold database {name}: {who}.",
                remedy="COMMIT PREPARED or ROLLBACK PREPARED each of them first.",
            )

    def require_no_subscriptions(self, name: str) -> None:
        """An enabled subscription's worker is started again as soon as the database lets anybody in, and writes."""
        found = self.rows(
            "select s.subname::text from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid"
            " where d.datname = %s and s.subenabled order by 1",
            (name,),
            f"Listing the subscriptions of {name}",
        )
        if found:
            raise Refused(
                f"{len(found)} enabled subscriptions write into database {name}: {', '.join(row[0] for row in found[:5])}.",
                remedy="ALTER SUBSCRIPTION … DISABLE each of them first.",
            )

    def await_starting_sessions(self, oid: int, name: str) -> None:
        """Wait until each session that was let in under the old grants is among ``sessions``.

        A starting session locks its database before it reads the grants, and keeps that lock until it is listed.
        """

        def starting() -> list[int]:
            found = self.rows(
                "select pid from pg_catalog.pg_locks where locktype = 'object' and objid = %s::oid"
                " and classid = 'pg_catalog.pg_database'::regclass and pid <> pg_catalog.pg_backend_pid()",
                (oid,),
                f"Looking for sessions that start on {name}",
            )
            return [row[0] for row in found]

        poll(
            starting,
            good=lambda left: not left,
            deadline=Deadline(min(30.0, self.deadline.remaining()), clock=self.deadline.clock),
            describe=lambda left, unused: f"{len(left or [])} sessions on {name} did not finish starting",
            interval=0.02,
        )

    def position(self) -> dict[str, t.Any]:
        """Where the server's history stands: snapshot of transaction ids, WAL position, time; and of which cluster and timeline that is."""
        found = self.rows(f"select {POSITION}, {SYSTEM}, {TIMELINE}", None, "Reading the server's position")[0]
        return dict(zip(("snapshot", "lsn", "at", "system_identifier", "timeline"), found))

    def may_alter(self, database: Database) -> None:
        """Renaming needs the database's owner (or a member of it) and CREATEDB; ending sessions, pg_signal_backend."""
        found = self.rows(
            "select rolsuper, rolcreatedb, pg_catalog.pg_has_role(%s::name, 'USAGE'),"
            " pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')"
            " from pg_catalog.pg_roles where rolname = current_user",
            (database.owner,),
            "Reading our rights",
        )
        superuser, creates, owns, signals = found[0]
        if superuser:
            return
        missing = [
            text
            for held, text in (
                (creates, "the attribute CREATEDB"),
                (owns, f"membership in {database.owner}, the owner of {database.name}"),
                (signals, "membership in pg_signal_backend"),
            )
            if not held
        ]
        if missing:
            raise Denied(f"The login lacks {', '.join(missing)}.", remedy="Grant it, or use a login that has it.")

    def owns(self, database: Database) -> bool:
        """Whether the login may drop it."""
        found = self.rows(
            "select rolsuper or pg_catalog.pg_has_role(%s::name, 'USAGE') from pg_catalog.pg_roles where rolname = current_user",
            (database.owner,),
            "Reading our rights",
        )
        return bool(found[0][0])

    @staticmethod
    def lock_key(name: str) -> int:
        """The advisory lock of a database's name."""
        return int.from_bytes(hashlib.sha256(f"opsready.golive/{name}".encode()).digest()[:8], "big", signed=True)

    def is_locked(self, name: str) -> bool:
        """Whether another session of this server, whatever its database, holds the advisory lock of a name."""
        key = self.lock_key(name) % (1 << 64)
        found = self.rows(
            "select exists (select from pg_catalog.pg_locks where locktype = 'advisory' and granted and objsubid = 1"
            " and classid = %s::bigint::oid and objid = %s::bigint::oid and pid <> pg_catalog.pg_backend_pid())",
            (key >> 32, key % (1 << 32)),
            f"Asking who is at work on {name}",
        )
        return bool(found[0][0])

    @contextlib.contextmanager
    def nobody_at(self, *names: str) -> t.Iterator[bool]:
        """Whether nobody on this server holds the lock of any of the names; while inside, we do where that is so."""
        keys = sorted({self.lock_key(name) for name in names})
        taken = []
        try:
            for key in keys:
                if self.rows("select pg_catalog.pg_try_advisory_lock(%s)", (key,), "Asking who is at work")[0][0]:
                    taken.append(key)
            yield len(taken) == len(keys) and not any(self.is_locked(name) for name in names)
        finally:
            with contextlib.suppress(GoliveError):  # the locks ended with their session
                for key in taken:
                    self.rows("select pg_catalog.pg_advisory_unlock(%s)", (key,), "Going on")

    @contextlib.contextmanager
    def exclusive(self, name: str, *, doing: str) -> t.Iterator[None]:
        """An advisory lock on a database's name, so that two of us never rename it at once. Raises Refused."""
        key = self.lock_key(name)
        taken = self.rows("select pg_catalog.pg_try_advisory_lock(%s)", (key,), f"Locking {name}")[0][0]
        if not taken:
            raise Refused(f"{doing}: another step of ours is at work on database {name}.", remedy="Wait for its end.")
        try:
            yield
        finally:
            with contextlib.suppress(Unreachable):  # the lock ended with its session
                if not self.connection.closed:
                    self.rows("select pg_catalog.pg_advisory_unlock(%s)", (key,), f"Unlocking {name}")

    def flush_log(self) -> None:
        """After this no crash undoes what was committed so far, nor gives the transaction ids of it again.

        A commit without synchronous_commit stays in memory for a while; a small one of ours that does not takes it along. ``local``,
        since one that waits for standbys would wait for those that are down. Whoever decodes the log of this very database would see
        ours: there it is waited for as long as such a commit stays in memory at most.
        """
        decoded = self.rows(_DECODED, None, "Looking for logical replication slots")[0]
        if decoded[0]:
            self.deadline.clock.sleep(min(_WRITER_TURNS * float(decoded[1]), self.deadline.remaining()))
            return
        with self.together("Flushing the log"):
            self.rows("set local synchronous_commit = local", None, "Flushing the log")
            self.rows("select pg_catalog.pg_logical_emit_message(true, 'opsready', '')", None, "Flushing the log")

    @contextlib.contextmanager
    def together(self, doing: str) -> t.Iterator[None]:
        """One transaction."""
        with postgres.translated(doing, deadline=self.deadline), self.connection.transaction():
            yield

    def allow_connections(self, name: str, allowed: bool) -> None:
        word = "true" if allowed else "false"
        self._do(f"alter database {{}} with allow_connections {word}", f"Setting ALLOW_CONNECTIONS of {name}", name)

    def rename(self, old: str, new: str) -> None:
        if len(new.encode()) > postgres.NAME_BYTES:
            raise BadInput(f"The name {new} has more than {postgres.NAME_BYTES} bytes; PostgreSQL would cut it.")
        self._do("alter database {} rename to {}", f"Renaming {old} to {new}", old, new)

    def write_comment(self, name: str, comment: str | None) -> None:
        sql = require("psycopg").sql
        statement = sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(comment))
        self.rows(statement, None, f"Commenting on database {name}")

    def mark(
        self,
        database: Database,
        kind: str,
        *,
        original: str,
        identity: str,
        name: str | None = None,
        note: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        """Write our mark; the people's own comment is kept inside. ``name``: what it is called by now."""
        mark = Mark(kind, original, identity, database.oid, database.own_comment, note or {})
        self.write_comment(name or database.name, mark.text())

    def terminate(self, pids: t.Sequence[int], name: str) -> None:
        """Tell sessions on a database to end. Raises Denied."""
        if pids:
            statement = "select pg_catalog.pg_terminate_backend(pid) from unnest(%s::int[]) pid"
            self.rows(statement, (list(pids),), f"Ending the sessions of {name}")

    def end_sessions(
        self, name: str, *, seconds: float = 30.0, pids: t.Container[int] | None = None
    ) -> list[dict[str, t.Any]]:
        """End every session on a database until none is left, or those of ``pids`` alone.

        In the first case new ones must be refused already. Returns what was ended. Raises TimedOut naming who is left, Denied.
        """
        ended: dict[int, dict[str, t.Any]] = {}

        def attempt() -> list[dict[str, t.Any]]:
            left = [one for one in self.sessions(name) if pids is None or one["pid"] in pids]
            ended.update({one["pid"]: one for one in left})
            self.terminate([one["pid"] for one in left], name)
            return left

        def describe(left: list[dict[str, t.Any]] | None, unused: int) -> str:
            who = ", ".join(f"{one['user']} ({one['application'] or one['address']})" for one in (left or [])[:5])
            return f"{len(left or [])} sessions on {name} did not end: {who}"

        limit = Deadline(min(seconds, self.deadline.remaining()), clock=self.deadline.clock)
        poll(attempt, good=lambda left: not left, deadline=limit, describe=describe, interval=0.05)
        return sorted(ended.values(), key=lambda one: int(one["pid"]))

    def create(
        self,
        name: str,
        *,
        owner: str | None = None,
        template: str = "template0",
        like: t.Mapping[str, t.Any] | None = None,
        tablespace: str | None = None,
        original: str | None = None,
    ) -> Database:
        """CREATE DATABASE, closed until ``open_marked``. ``like``: properties from ``database_facts``.

        ``original``: the database that it is made for, by which it is known as ours until it is marked.
        """
        if len(name.encode()) > postgres.NAME_BYTES:
            raise BadInput(f"The name {name} has more than {postgres.NAME_BYTES} bytes; PostgreSQL would cut it.")
        sql = require("psycopg").sql
        version = self.connection.info.server_version
        words: list[t.Any] = [sql.SQL("create database {} template {}").format(*map(sql.Identifier, (name, template)))]
        words.append(sql.SQL("allow_connections false"))
        if original is not None:
            words.append(sql.SQL("connection limit {}").format(sql.Literal(claim(original, name))))
        if owner is not None:
            words.append(sql.SQL("owner {}").format(sql.Identifier(owner)))
        if tablespace not in (None, "pg_default"):
            words.append(sql.SQL("tablespace {}").format(sql.Identifier(tablespace)))
        for clause, value in creation_clauses(like or {}, version):
            words.append(sql.SQL(clause + " {}").format(sql.Literal(value)))
        if template != "template0" and version >= 150000:
            # file_copy writes no WAL per block: five times faster than wal_log on a large database.
            words.append(sql.SQL("strategy file_copy"))
        self.rows(sql.SQL(" ").join(words), None, f"Creating database {name}")
        made = self.find(name)
        if made is None:
            raise UnexpectedAnswer(f"Database {name} was created and is not there.")
        return made

    def unclaim(self, name: str) -> None:
        """It is marked: its connection limit says nothing any more."""
        self._do("alter database {} connection limit -1", f"Lifting the connection limit of {name}", name)

    def open_marked(
        self,
        database: Database,
        kind: str,
        *,
        original: str,
        identity: str,
        note: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        """Mark a database that we made, and let us in."""
        with self.together(f"Marking {database.name}"):
            self.mark(database, kind, original=original, identity=identity, note=note)
            self.unclaim(database.name)
            self.allow_connections(database.name, True)

    def drop_made(self, name: str, kind: str, *, original: str, identity: str) -> None:
        """Drop what ``create`` made under a name of ours alone, also when it was interrupted before it was marked."""
        found = self.find(name)
        if found is None:
            return
        if found.is_unmarked_of(original):
            self.mark(found, kind, original=original, identity=identity)
        self.drop_ours(name, found.oid, identity)

    def drop_ours(self, name: str, oid: int, identity: str, *, kinds: t.Container[str] = DROPPABLE) -> None:
        """Drop a database that we made: name, OID and mark are read again right before. Raises Refused."""
        database = self.find(name)
        if database is None:
            return
        if database.oid != oid or not database.is_ours(kinds, identity):
            raise Refused(f"Database {name} is not the one we made (OID {oid}); it is left alone.")
        if self.connection.info.server_version >= 130000:
            self._do("drop database {} with (force)", f"Dropping database {name}", name)
            return
        self.allow_connections(name, False)
        self.end_sessions(name)
        self._do("drop database {}", f"Dropping database {name}", name)


def creation_clauses(like: t.Mapping[str, t.Any], server_version: int) -> t.Iterator[tuple[str, str]]:
    """The clauses that give a new database the encoding and locale of another: (clause, value)."""
    if like.get("encoding"):
        yield "encoding", str(like["encoding"])
    if like.get("collate"):
        yield "lc_collate", str(like["collate"])
    if like.get("ctype"):
        yield "lc_ctype", str(like["ctype"])
    provider = {"c": "libc", "i": "icu", "b": "builtin"}.get(str(like.get("locale_provider") or ""))
    if provider is None or server_version < 150000:
        return
    yield "locale_provider", provider
    if provider == "icu" and like.get("locale"):
        yield "icu_locale", str(like["locale"])
        if like.get("icu_rules") and server_version >= 160000:
            yield "icu_rules", str(like["icu_rules"])
    if provider == "builtin" and like.get("locale"):
        yield "builtin_locale", str(like["locale"])


def maintenance_name(database: str, given: str | None) -> str:
    """The database to work from: never one that is to be renamed."""
    if given == database:
        raise BadInput(f"maintenance_database is {given}, the database to be changed.", remedy="Name another one.")
    return given or ("postgres" if database != "postgres" else "template1")


@contextlib.contextmanager
def cluster_of(
    dsn: str,
    *,
    password: str | None,
    maintenance: str,
    deadline: Deadline,
    application_name: str,
) -> t.Iterator[Cluster]:
    """A connection to the maintenance database, closed at the end."""

    def connected(limit: Deadline) -> psycopg.Connection[t.Any]:
        return postgres.connect(
            dsn,
            password=password,
            deadline=limit,
            application_name=application_name,
            dbname=maintenance,
            settings={"lock_timeout": "10s"},
        )

    cluster = Cluster(connected(deadline), deadline=deadline, reconnect=connected)
    cluster.stay_connected()
    try:
        yield cluster
    finally:
        cluster.connection.close()


@contextlib.contextmanager
def closed(cluster: Cluster, databases: t.Sequence[Database]) -> t.Iterator[list[dict[str, t.Any]]]:
    """Refuse new sessions on the databases and end the present ones; on any failure inside, open them again.

    Ending sessions without refusing new ones first loses against clients that reconnect. Yields what was ended.
    """
    done: list[Database] = []
    try:
        ended: list[dict[str, t.Any]] = []
        for database in databases:
            done.append(database)
            cluster.allow_connections(database.name, False)
        for database in databases:
            ended.extend(cluster.end_sessions(database.name))
        yield ended
    except BaseException:
        # Whoever was let in before must be let in again, whatever else went wrong.
        with uninterrupted(), contextlib.suppress(GoliveError):
            cluster.settle()
            for database in done:
                with contextlib.suppress(GoliveError):
                    cluster.allow_connections(database.name, database.allows_connections)
        raise
