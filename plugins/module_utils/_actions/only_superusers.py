# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a database only a superuser makes again: said before a long dump or restore, and not at its end."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Denied

if t.TYPE_CHECKING:
    import psycopg

EVENT_TRIGGER = "event trigger"
PUBLICATION = "publication"
#: Of an extension's own, no archive has any.
_EVENT_TRIGGERS = """
select 'event trigger', e.evtname::text from pg_catalog.pg_event_trigger e
where not exists (select from pg_catalog.pg_depend d
                  where d.classid = 'pg_catalog.pg_event_trigger'::regclass and d.objid = e.oid and d.deptype = 'e')
"""
_OF_ALL_TABLES = "select 'publication', p.pubname::text from pg_catalog.pg_publication p where p.puballtables"
_OF_SCHEMAS = """
select distinct 'publication', p.pubname::text
from pg_catalog.pg_publication p join pg_catalog.pg_publication_namespace n on n.pnpubid = p.oid
"""


def found(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[dict[str, str]]:
    """Event triggers, and publications of all tables or of whole schemas, in the connection's snapshot: kind and name."""
    parts = [_EVENT_TRIGGERS, _OF_ALL_TABLES]
    if connection.info.server_version >= 150000:
        parts.append(_OF_SCHEMAS)
    statement = " union all ".join(parts) + " order by 1, 2"
    rows = postgres.rows(connection, statement, doing="Looking for what only superusers make", deadline=deadline)
    return [{"kind": kind, "name": name} for kind, name in rows]


def require_possible(
    cluster: Cluster, needed: t.Sequence[t.Mapping[str, t.Any]], *, database: str, publications: bool, remedy: str
) -> str | None:
    """Raises Denied, with what of ``needed`` the login may not make; without ``publications`` they are left out of the restore.

    A sentence on what could not be tried where ``cluster`` is connected to; None where all that matters was.
    """
    triggers = [str(one["name"]) for one in needed if one["kind"] == EVENT_TRIGGER]
    published = [str(one["name"]) for one in needed if one["kind"] == PUBLICATION] if publications else []
    if not triggers and not published:
        return None
    asked = "select rolsuper from pg_catalog.pg_roles where rolname = current_user"
    if cluster.rows(asked, None, "Reading our rights")[0][0]:
        return None
    # A login without CREATE is refused any publication there, which tells nothing of where it has CREATE.
    is_tried = not published or _has(cluster, "CREATE")
    refused = [
        *(_counted(triggers, "event trigger") if triggers and not _makes(cluster, EVENT_TRIGGER) else []),
        *(_counted(published, "publication") if is_tried and published and not _makes(cluster, PUBLICATION) else []),
    ]
    if refused:
        raise Denied(
            f"Only a superuser makes {' and '.join(refused)} of {database} again, and the login is none.", remedy=remedy
        )
    if is_tried:
        return None
    return (
        f"Whether the login makes {_counted(published, 'publication')[0]} of {database} again, as a superuser does, was not tried: "
        f"it may create nothing in the database {cluster.connection.info.dbname}."
    )


def _counted(names: t.Sequence[str], kind: str) -> list[str]:
    if not names:
        return []
    some = ", ".join(postgres.quoted(name) for name in names[:5])
    return [f"{len(names)} {kind}{'' if len(names) == 1 else 's'} ({some})"]


#: What only a superuser may do, but for the logins of some providers.
_TRIED = {
    EVENT_TRIGGER: (
        "create function pg_temp.opsready_tried() returns event_trigger language plpgsql as 'begin null; end'",
        "create event trigger opsready_tried on sql_drop execute function pg_temp.opsready_tried()",
    ),
    PUBLICATION: ("create publication opsready_tried for all tables",),
}


#: Without TEMP there is no function to be had. The server looks whether one may make an event trigger before it looks for its function
#: (CREATE EVENT TRIGGER is a superuser's alone up to PostgreSQL 18, and no predefined role has it).
_TRIED_WITHOUT_TEMP = "create event trigger opsready_tried on sql_drop execute function pg_catalog.opsready_tried()"


def _makes(cluster: Cluster, kind: str) -> bool:
    """Tried, and rolled back: some providers let a login make them that is no superuser."""
    statements: t.Sequence[str] = _TRIED[kind]
    missing: tuple[type[Exception], ...] = ()
    if kind == EVENT_TRIGGER and not _has(cluster, "TEMPORARY"):
        statements, missing = (_TRIED_WITHOUT_TEMP,), (require("psycopg").errors.UndefinedFunction,)
    with contextlib.suppress(Denied):
        with (
            postgres.translated(f"Trying to make one {kind}", deadline=cluster.deadline),
            contextlib.suppress(*missing),
            cluster.connection.transaction(force_rollback=True),
        ):
            for statement in statements:
                cluster.connection.execute(statement)
        return True
    return False


def _has(cluster: Cluster, right: str) -> bool:
    asked = "select pg_catalog.has_database_privilege(pg_catalog.current_database(), %s)"
    return bool(cluster.rows(asked, [right], "Reading our rights")[0][0])
