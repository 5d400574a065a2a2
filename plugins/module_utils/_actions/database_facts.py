# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds and what belongs to it: tables, rows, contents, sequences, properties. Read, never changed.

Contents are compared by a sum of 64-bit hashes over each row's text. That text depends on session settings: ``PINNED``
fixes them.
"""

from __future__ import annotations

import contextlib
import json
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    CommandFailed,
    Denied,
    Refused,
    UnexpectedAnswer,
)

if t.TYPE_CHECKING:
    import psycopg

#: Settings under which the same row has the same text on every server; RLS that hides rows becomes an error.
PINNED: dict[str, str] = {
    "bytea_output": "hex",
    "datestyle": "ISO,YMD",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "0",
    "intervalstyle": "postgres",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "search_path": "",
    "timezone": "UTC",
}

_TABLES = """
select n.nspname, c.relname
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
  and not exists (select from pg_catalog.pg_depend d
                  where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""

_ROWS = "select pg_catalog.count(*), null from only {} as opsready_row"
_CONTENT = """
select pg_catalog.count(*),
       pg_catalog.sum(pg_catalog.hashtextextended(opsready_row::pg_catalog.text collate "C", 0)::numeric)::text
from only {} as opsready_row
"""

_UNLOGGED = """
select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'u' and pg_catalog.pg_is_in_recovery()
order by 1, 2
"""

Table = tuple[str, str]


def tables(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[Table]:
    """Ordinary tables and partitions, (schema, name); those of extensions are the extension's business."""
    found = postgres.rows(connection, _TABLES, doing="Listing the tables", deadline=deadline)
    return t.cast("list[Table]", found)


def empty_on_a_standby(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[Table]:
    """Unlogged tables, where the server is a standby: it has none of their rows, can read none, and pg_dump leaves them empty."""
    found = postgres.rows(connection, _UNLOGGED, doing="Looking for unlogged tables", deadline=deadline)
    return t.cast("list[Table]", found)


def readable(table: Table) -> str:
    """``schema.table``, for messages and results."""
    return ".".join(part if re.fullmatch(r"[a-z_][a-z0-9_$]*", part) else f'"{part}"' for part in table)


def contents(
    connection: psycopg.Connection[t.Any],
    *,
    compare: str,
    deadline: Deadline,
    only: t.Sequence[Table] | None = None,
    progress: t.Callable[[int, int], None] | None = None,
) -> list[dict[str, t.Any]]:
    """Per table its rows and, with ``compare="content"``, the hash of its contents, in the connection's snapshot."""
    sql = require("psycopg").sql
    Cluster(connection, deadline=deadline).stay_connected()
    described = []
    wanted = tables(connection, deadline=deadline) if only is None else list(only)
    empty = set(empty_on_a_standby(connection, deadline=deadline))
    if progress is not None:
        progress(0, len(wanted))
    for number, (schema, name) in enumerate(wanted, 1):
        if (schema, name) in empty:
            described.append(
                {"schema": schema, "name": name, "rows": 0, "content": "0" if compare == "content" else None}
            )
            continue
        statement = sql.SQL(_CONTENT if compare == "content" else _ROWS).format(sql.Identifier(schema, name))
        label = readable((schema, name))
        found = postgres.rows(connection, statement, doing=f"Counting {label}", deadline=deadline)
        rows, summed = found[0]
        content = (summed or "0") if compare == "content" else None
        described.append({"schema": schema, "name": name, "rows": rows, "content": content})
        if progress is not None:
            progress(number, len(wanted))
    return described


def large_objects(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> int:
    counted = postgres.value(
        connection,
        "select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata",
        doing="Counting large objects",
        deadline=deadline,
    )
    return int(counted)


#: Before PostgreSQL 18 there is no has_largeobject_privilege. Each of them asks what inv_open does.
_UNREADABLE_OBJECTS = """
select pg_catalog.count(*), pg_catalog.min(l.oid::bigint), pg_catalog.quote_ident(current_user)
from pg_catalog.pg_largeobject_metadata l
where not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
  and pg_catalog.current_setting('lo_compat_privileges') = 'off'
  and not exists (
      select from pg_catalog.aclexplode(coalesce(l.lomacl, pg_catalog.acldefault('L', l.lomowner))) a
      where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_catalog.pg_has_role(a.grantee, 'USAGE')))
"""
_UNREADABLE_OBJECTS_18 = """
select pg_catalog.count(*), pg_catalog.min(l.oid::bigint), pg_catalog.quote_ident(current_user)
from pg_catalog.pg_largeobject_metadata l
where not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
  and not pg_catalog.has_largeobject_privilege(l.oid, 'SELECT')
"""


def require_readable_objects(connection: psycopg.Connection[t.Any], database: str, *, deadline: Deadline) -> None:
    """Raise Denied, naming the first one, where the login may not read large objects, which pg_read_all_data does not cover."""
    query = _UNREADABLE_OBJECTS_18 if connection.info.server_version >= 180000 else _UNREADABLE_OBJECTS
    found = postgres.rows(connection, query, doing="Asking for our rights on large objects", deadline=deadline)
    count, first, login = found[0]
    if count:
        raise Denied(
            f"The login cannot read {count} large objects of {database}, of which {first} is the first.",
            remedy=f"pg_read_all_data does not cover them: GRANT SELECT ON LARGE OBJECT {first} TO {login}, and so each of them, "
            "or make the login a member of their owners.",
        )


def sequences(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[dict[str, t.Any]]:
    """Every sequence with its last value; None where it never gave one."""
    found = postgres.rows(
        connection,
        "select schemaname::text, sequencename::text, last_value, start_value, increment_by, min_value, max_value,"
        " cache_size, cycle from pg_catalog.pg_sequences order by 1, 2",
        doing="Reading the sequences",
        deadline=deadline,
    )
    names = ("schema", "name", "last_value", "start", "increment", "min", "max", "cache", "cycles")
    return [dict(zip(names, row)) for row in found]


def revisions(
    connection: psycopg.Connection[t.Any], table: str, *, schema: str | None, deadline: Deadline
) -> list[str] | None:
    """The rows of Alembic's version table; None when there is no such table."""
    sql = require("psycopg").sql
    found = postgres.rows(
        connection,
        "select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and c.relname = %s and n.nspname = coalesce(%s, n.nspname)"
        " and n.nspname !~ '^pg_' order by (n.nspname <> 'public'), 1",
        (table, schema),
        doing=f"Looking for {table}",
        deadline=deadline,
    )
    if not found:
        return None
    statement = sql.SQL("select version_num::text from {} order by 1").format(sql.Identifier(found[0][0], table))
    return [row[0] for row in postgres.rows(connection, statement, doing=f"Reading {table}", deadline=deadline)]


def properties(connection: psycopg.Connection[t.Any], name: str, *, deadline: Deadline) -> dict[str, t.Any]:
    """What belongs to a database and not to its tables; works from any database of the cluster."""
    found = postgres.rows(
        connection,
        "select pg_catalog.to_jsonb(d.*), pg_catalog.pg_get_userbyid(d.datdba), s.spcname::text,"
        " pg_catalog.pg_encoding_to_char(d.encoding), pg_catalog.shobj_description(d.oid, 'pg_database'), d.oid"
        " from pg_catalog.pg_database d join pg_catalog.pg_tablespace s on s.oid = d.dattablespace"
        " where d.datname = %s",
        (name,),
        doing=f"Reading the properties of {name}",
        deadline=deadline,
    )
    if not found:
        return {}
    row, owner, tablespace, encoding, comment, oid = found[0]
    settings = postgres.rows(
        connection,
        "select r.rolname::text, s.setconfig from pg_catalog.pg_db_role_setting s"
        " left join pg_catalog.pg_roles r on r.oid = s.setrole where s.setdatabase = %s order by 1 nulls first",
        (oid,),
        doing=f"Reading the settings of {name}",
        deadline=deadline,
    )
    grants = postgres.rows(
        connection,
        "select grantor.rolname::text, grantee.rolname::text, a.privilege_type, a.is_grantable"
        " from pg_catalog.pg_database d cross join lateral pg_catalog.aclexplode(d.datacl) a"
        " left join pg_catalog.pg_roles grantor on grantor.oid = a.grantor"
        " left join pg_catalog.pg_roles grantee on grantee.oid = a.grantee where d.oid = %s"
        " order by 2 nulls first, 3, 1",
        (oid,),
        doing=f"Reading the grants on {name}",
        deadline=deadline,
    )
    labels = postgres.rows(
        connection,
        "select l.provider, l.label from pg_catalog.pg_shseclabel l"
        " where l.objoid = %s and l.classoid = 'pg_catalog.pg_database'::regclass order by 1",
        (oid,),
        doing=f"Reading the security labels of {name}",
        deadline=deadline,
    )
    return {
        "owner": owner,
        "encoding": encoding,
        "collate": row.get("datcollate"),
        "ctype": row.get("datctype"),
        "locale_provider": row.get("datlocprovider"),
        "locale": row.get("datlocale") or row.get("daticulocale"),
        "icu_rules": row.get("daticurules"),
        "tablespace": tablespace,
        "connection_limit": row.get("datconnlimit"),
        "is_template": row.get("datistemplate"),
        "comment": comment,
        "grants": None
        if row.get("datacl") is None
        else [
            {"grantor": grantor, "grantee": grantee, "privilege": privilege, "grantable": grantable}
            for grantor, grantee, privilege, grantable in grants
        ],
        "settings": [{"role": role, "values": list(values)} for role, values in settings],
        "security_labels": [{"provider": provider, "label": label} for provider, label in labels],
    }


def replication(connection: psycopg.Connection[t.Any], name: str, *, deadline: Deadline) -> list[dict[str, t.Any]]:
    """The logical slots and the subscriptions of a database: they are tied to it itself, and no archive has them.

    Of each what is needed to make it anew: whether a slot is ``active`` and ``confirmed_flush_lsn``, whether a subscription is
    ``enabled`` and which ``slot_name`` it reads from.
    """
    found = postgres.rows(
        connection,
        "select 'slot', s.slot_name::text, s.plugin::text, s.active, s.confirmed_flush_lsn::text"
        " from pg_catalog.pg_replication_slots s where s.database = %s"
        " union all select 'subscription', s.subname::text, pg_catalog.array_to_string(s.subpublications, ', '),"
        " s.subenabled, s.subslotname::text"
        " from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid where d.datname = %s order by 1, 2",
        (name, name),
        doing=f"Listing the replication slots and subscriptions of {name}",
        deadline=deadline,
    )
    state = {"slot": ("active", "confirmed_flush_lsn"), "subscription": ("enabled", "slot_name")}
    return [
        {"kind": kind, "name": identity, "of": of, **dict(zip(state[kind], stands))}
        for kind, identity, of, *stands in found
    ]


def told_replication(found: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """The first slots and subscriptions, for a message, each with its state."""
    some = []
    for one in found[:5]:
        if one["kind"] == "slot":
            state = f"{'active' if one['active'] else 'not active'}, confirmed up to {one['confirmed_flush_lsn'] or 'nothing'}"
        else:
            slot = "without a slot" if one["slot_name"] is None else f"slot {one['slot_name']}"
            state = f"{'enabled' if one['enabled'] else 'disabled'}, {slot}"
        some.append(f"{one['kind']} {one['name']} ({one['of']}; {state})")
    return ", ".join(some)


#: GUC_LIST_QUOTE in PostgreSQL's source: their stored value is a list of quoted names, not one string.
_LISTS = frozenset(
    (
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    )
)


def setting_values(name: str, value: str) -> list[str]:
    """The literals of ``SET name TO …`` that store exactly ``value`` (as pg_dump's makeAlterConfigCommand does)."""
    if name.lower() not in _LISTS:
        return [value]
    words = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^,"\s]+))\s*(?:,|$)', value)
    return [quoted.replace('""', '"') if quoted else plain for quoted, plain in words] or [""]


def apply_properties(
    connection: psycopg.Connection[t.Any],
    name: str,
    wanted: t.Mapping[str, t.Any],
    *,
    deadline: Deadline,
    rehearse: bool = False,
) -> None:
    """Give a database the grants, connection limit, settings and security labels of another; owner and comment are the caller's.

    All of it in one transaction, which ``rehearse`` rolls back. Raises Denied, UnexpectedAnswer.
    """
    doing = f"Carrying over what belongs to {name}"
    translated = postgres.translated(doing, deadline=deadline)
    with naming_label_provider(name), translated, connection.transaction(force_rollback=rehearse):
        for statement in _statements(name, wanted):
            connection.execute(statement)


_NO_PROVIDER = re.compile(r'security label provider "([^"]*)" is not loaded')


@contextlib.contextmanager
def naming_label_provider(what: str) -> t.Iterator[None]:
    """Raise Refused in place of what a server or program said of a security label whose provider it lacks."""
    try:
        yield
    except (CommandFailed, UnexpectedAnswer) as problem:
        missing = _NO_PROVIDER.search(problem.stderr if isinstance(problem, CommandFailed) else problem.message)
        if missing is None:
            raise
        raise Refused(
            f"{what} has security labels of the provider {missing[1]}, which the server has not loaded.",
            remedy="Load it there with shared_preload_libraries, as on the server that was backed up, and run this again.",
            known={"label_provider": missing[1]},
        )


def _statements(name: str, wanted: t.Mapping[str, t.Any]) -> t.Iterator[t.Any]:
    sql = require("psycopg").sql
    database = sql.Identifier(name)
    limit = sql.Literal(int(wanted["connection_limit"]))
    yield sql.SQL("alter database {} connection limit {}").format(database, limit)
    for setting in wanted["settings"]:
        target = sql.SQL("alter database {}").format(database)
        if setting["role"] is not None:
            role = sql.Identifier(setting["role"])
            target = sql.SQL("alter role {} in database {}").format(role, database)
            # A role may set its own defaults; another's, only a superuser.
            yield sql.SQL("set local role {}").format(role)
        for text in setting["values"]:
            key, unused, value = text.partition("=")
            literals = sql.SQL(", ").join([sql.Literal(word) for word in setting_values(key, value)])
            names = sql.SQL(".").join([sql.Identifier(part) for part in key.split(".")])
            yield sql.SQL("{} set {} to {}").format(target, names, literals)
        if setting["role"] is not None:
            yield sql.SQL("set local role none")
    if wanted["grants"] is not None:
        yield sql.SQL("revoke all on database {} from public").format(database)
        yield sql.SQL("revoke all on database {} from {}").format(database, sql.Identifier(wanted["owner"]))
        # First the owner's, since others granted by what he gave them.
        for grant in sorted(wanted["grants"], key=lambda one: bool(one["grantor"] != wanted["owner"])):
            by_another = grant["grantor"] not in (None, wanted["owner"])
            if by_another:
                yield sql.SQL("set local role {}").format(sql.Identifier(grant["grantor"]))
            to = sql.SQL("public") if grant["grantee"] is None else sql.Identifier(grant["grantee"])
            option = sql.SQL(" with grant option") if grant["grantable"] else sql.SQL("")
            privilege = sql.SQL(_PRIVILEGES[str(grant["privilege"])])
            yield sql.SQL("grant {} on database {} to {}{}").format(privilege, database, to, option)
            if by_another:
                yield sql.SQL("set local role none")
    for label in wanted.get("security_labels", ()):  # manifests of before have none
        provider, text = sql.Literal(str(label["provider"])), sql.Literal(str(label["label"]))
        yield sql.SQL("security label for {} on database {} is {}").format(provider, database, text)
    if wanted.get("is_template"):
        yield sql.SQL("alter database {} is_template true").format(database)


#: What can be granted on a database. The words are ours, since a manifest's are not to become SQL.
_PRIVILEGES = {word: word for word in ("CREATE", "TEMPORARY", "CONNECT")}


def differing_properties(wanted: t.Mapping[str, t.Any], found: t.Mapping[str, t.Any]) -> list[str]:
    """The names of the properties that are not alike; comments are compared by the caller, who knows about marks."""
    return sorted(key for key in wanted if key != "comment" and _in_order(wanted[key]) != _in_order(found.get(key)))


def _in_order(value: t.Any) -> t.Any:
    """Lists without their order: each server sorts names by its own locale."""
    return sorted(value, key=lambda one: json.dumps(one, sort_keys=True)) if isinstance(value, list) else value


def differences(
    wanted: t.Sequence[t.Mapping[str, t.Any]], found: t.Sequence[t.Mapping[str, t.Any]]
) -> list[dict[str, t.Any]]:
    """Tables whose rows or contents are not alike, or that only one side has."""
    left = {(one["schema"], one["name"]): one for one in wanted}
    right = {(one["schema"], one["name"]): one for one in found}
    unlike = []
    for table in sorted(left.keys() | right.keys()):
        expected, seen = left.get(table), right.get(table)
        if expected is None or seen is None:
            unlike.append(
                {
                    "table": readable(table),
                    "expected_rows": None if expected is None else expected["rows"],
                    "found_rows": None if seen is None else seen["rows"],
                    "differs": "missing" if seen is None else "unexpected",
                }
            )
            continue
        compared = expected["content"] is not None and seen["content"] is not None
        if expected["rows"] != seen["rows"] or (compared and expected["content"] != seen["content"]):
            unlike.append(
                {
                    "table": readable(table),
                    "expected_rows": expected["rows"],
                    "found_rows": seen["rows"],
                    "differs": "rows" if expected["rows"] != seen["rows"] else "content",
                }
            )
    return unlike


def sequences_behind(wanted: t.Sequence[t.Mapping[str, t.Any]], found: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Sequences that are missing or would give a value again; a dump reads them late, so ahead is right."""
    right = {(one["schema"], one["name"]): one for one in found}
    behind = []
    for one in wanted:
        seen = right.get((one["schema"], one["name"]))
        if seen is None:
            behind.append(readable((one["schema"], one["name"])))
        elif one["last_value"] is not None and not one["cycles"]:
            direction = 1 if one["increment"] > 0 else -1
            if seen["last_value"] is None or (seen["last_value"] - one["last_value"]) * direction < 0:
                behind.append(readable((one["schema"], one["name"])))
    return behind
