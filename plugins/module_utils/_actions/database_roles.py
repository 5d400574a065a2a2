# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles that a database needs, as SQL: pg_dump names them and does not make them. And its tablespaces, as a comment.

The roles are its owner, the owners and grantees of what is in it, those that policies and settings of it name, and the roles
that any of these is a member of. Passwords are not among what may be read, and the server's own roles are everywhere. Tablespaces
are directories, which only who knows the other server can choose.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import age, manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.database_facts import setting_values
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import Absent
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed

if t.TYPE_CHECKING:
    import psycopg

_NEEDED = """
with recursive here as (
    select oid, datdba from pg_catalog.pg_database where datname = pg_catalog.current_database()
), named as (
    select datdba as oid from here
    union select s.refobjid from pg_catalog.pg_shdepend s, here
        where s.refclassid = 'pg_catalog.pg_authid'::regclass
        and (s.dbid = here.oid or (s.classid = 'pg_catalog.pg_database'::regclass and s.objid = here.oid))
    union select s.setrole from pg_catalog.pg_db_role_setting s, here where s.setdatabase = here.oid
    -- the server's own superuser is pinned, and no dependency names it
    union select c.relowner from pg_catalog.pg_class c where c.oid >= 16384
    union select p.proowner from pg_catalog.pg_proc p where p.oid >= 16384
    union select n.nspowner from pg_catalog.pg_namespace n where n.oid >= 16384
), needed as (
    select oid from named
    union select m.roleid from pg_catalog.pg_auth_members m join needed on m.member = needed.oid
)
select pg_catalog.to_jsonb(r), pg_catalog.shobj_description(r.oid, 'pg_authid'), r.rolvaliduntil::text
from pg_catalog.pg_roles r join needed on r.oid = needed.oid where r.rolname !~ '^pg_' order by r.rolname
"""
_MEMBERS = """
select member.rolname::text, granted.rolname::text, pg_catalog.to_jsonb(m)
from pg_catalog.pg_auth_members m
join pg_catalog.pg_roles member on member.oid = m.member join pg_catalog.pg_roles granted on granted.oid = m.roleid
where member.rolname = any(%s) order by 1, 2
"""
_SETTINGS = """
select r.rolname::text, s.setconfig from pg_catalog.pg_db_role_setting s
join pg_catalog.pg_roles r on r.oid = s.setrole join pg_catalog.pg_database d on d.oid = s.setdatabase
where d.datname = pg_catalog.current_database() order by 1
"""
_TABLESPACES = """
select s.spcname::text, pg_catalog.pg_get_userbyid(s.spcowner)::text, pg_catalog.pg_tablespace_location(s.oid), s.spcoptions
from pg_catalog.pg_tablespace s where s.spcname !~ '^pg_' and (
    s.oid = (select dattablespace from pg_catalog.pg_database where datname = pg_catalog.current_database())
    or s.oid in (select reltablespace from pg_catalog.pg_class))
order by 1
"""
_LABELS = """
select r.rolname::text, l.provider, l.label from pg_catalog.pg_shseclabel l join pg_catalog.pg_roles r on r.oid = l.objoid
where l.classoid = 'pg_catalog.pg_authid'::regclass and r.rolname = any(%s) order by 1, 2
"""
_ATTRIBUTES = (
    ("rolsuper", "SUPERUSER"),
    ("rolinherit", "INHERIT"),
    ("rolcreaterole", "CREATEROLE"),
    ("rolcreatedb", "CREATEDB"),
    ("rolcanlogin", "LOGIN"),
    ("rolreplication", "REPLICATION"),
    ("rolbypassrls", "BYPASSRLS"),
)


def require_intact(place: Destination, name: str, made: manifest.Manifest, *, identities: age.Identities = ()) -> None:
    """Read the SQL beside the archive of this name, or of its manifest's, again, and decrypt it. Raises ActionFailed."""
    beside = manifest.roles_beside(name, made)
    if beside is None:
        return
    try:
        body = place.read(beside, limit=manifest.LARGEST_BYTES)
    except Absent:
        raise ActionFailed(f"{place.url(beside)} is missing.", remedy="Take another backup.")
    if hashlib.sha256(body).hexdigest() != made.archive["roles"]["sha256"]:
        raise ActionFailed(f"{place.url(beside)} is not what was written.", remedy="Take another backup.")
    if made.recipients is not None and identities:
        age.opened(body, identities, what=place.url(beside))


def tablespaces(connection: psycopg.Connection[t.Any], *, deadline: Deadline) -> list[dict[str, t.Any]]:
    """Those that the connection's database, its tables and its indexes lie in, but the server's own."""
    found = postgres.rows(connection, _TABLESPACES, doing="Reading the tablespaces", deadline=deadline)
    names = ("name", "owner", "location", "options")
    return [{**dict(zip(names, row)), "options": list(row[3] or ())} for row in found]


def script(
    connection: psycopg.Connection[t.Any],
    database: str,
    *,
    deadline: Deadline,
    lies_in: t.Sequence[t.Mapping[str, t.Any]] = (),
) -> tuple[list[str], bytes]:
    """The names of the roles that the connection's database needs, and the SQL that makes those that are not there.

    A role that is there is left as it is; what it is a member of is granted. ``database``: the name that it will be restored
    under, for the settings of roles in it, which are made only once it is there. ``lies_in``: its tablespaces, told as a comment.
    """

    def rows(query: str, parameters: t.Any, doing: str) -> list[t.Any]:
        return postgres.rows(connection, query, parameters, doing=doing, deadline=deadline)

    roles = rows(_NEEDED, None, "Reading the roles that the database needs")
    names = [str(role["rolname"]) for role, _comment, _until in roles]
    inherits = {str(role["rolname"]): bool(role["rolinherit"]) for role, _comment, _until in roles}
    parts = [
        f"-- The roles that database {json.dumps(database)} needs, without passwords. A role that is there is left as it is.\n"
        "-- Before pg_restore, and again after it for their settings: psql -X -v ON_ERROR_STOP=1 -f <this file> postgres\n"
    ]
    if lies_in:
        parts.append(
            "-- The tablespaces that it lies in. Of those that are to be there, make the directory, owned by the server's user and empty,\n"
            "-- and run the line as a superuser, after the roles; without them: pg_restore --no-tablespaces.\n"
        )
    parts += [_commented(_tablespace(connection, one)) for one in lies_in]
    parts += [_made(connection, role, comment, until) for role, comment, until in roles]
    labels = rows(_LABELS, (names,), "Reading the security labels of the roles")
    if labels:
        parts.append(
            "-- Security labels of the roles. Where their provider is loaded, run the lines as a superuser, after the roles.\n"
        )
    parts += [_commented(_label(connection, *one)) for one in labels]
    granted: dict[tuple[str, str], list[dict[str, t.Any]]] = {}
    for member, role, options in rows(_MEMBERS, (names,), "Reading what the roles are members of"):
        granted.setdefault((member, role), []).append(options)
    parts += [_grant(connection, *pair, options, inherits) for pair, options in granted.items()]
    settings = rows(_SETTINGS, None, "Reading the settings of the roles")
    if settings:
        parts.append(_set_in(connection, database, settings))
    return names, "".join(parts).encode("utf-8")


def _composed(connection: psycopg.Connection[t.Any], statement: str, **parts: t.Any) -> str:
    return str(require("psycopg").sql.SQL(statement).format(**parts).as_string(connection))


def _commented(statement: str) -> str:
    """Every line of it, since a name may hold a line break, at which a comment ends."""
    return "".join(f"-- {line}\n" for line in re.split(r"[\r\n]", f"{statement};"))


def _tablespace(connection: psycopg.Connection[t.Any], one: t.Mapping[str, t.Any]) -> str:
    sql = require("psycopg").sql
    text = _composed(
        connection,
        "CREATE TABLESPACE {name} OWNER {owner} LOCATION {location}",
        name=sql.Identifier(one["name"]),
        owner=sql.Identifier(one["owner"]),
        location=sql.Literal(one["location"]),
    )
    options = [option.partition("=") for option in one["options"]]
    return text + (f" WITH ({', '.join(f'{name} = {value}' for name, _equals, value in options)})" if options else "")


def _label(connection: psycopg.Connection[t.Any], role: str, provider: str, label: str) -> str:
    sql = require("psycopg").sql
    names = {"provider": sql.Identifier(provider), "role": sql.Identifier(role), "label": sql.Literal(label)}
    return _composed(connection, "SECURITY LABEL FOR {provider} ON ROLE {role} IS {label}", **names)


def _block(condition: str, statements: t.Sequence[str]) -> str:
    """What is done where the condition holds, in one statement."""
    body = f"BEGIN IF {condition} THEN\n" + "".join(f"  {one};\n" for one in statements) + "END IF; END"
    tag, number = "$golive$", 0
    while tag in body:
        number += 1
        tag = f"$golive{number}$"
    return f"DO {tag} {body} {tag};\n"


def _settings(connection: psycopg.Connection[t.Any], target: str, values: t.Iterable[str]) -> t.Iterator[str]:
    sql = require("psycopg").sql
    for text in values:
        key, _equals, value = text.partition("=")
        yield target + _composed(
            connection,
            " SET {name} TO {value}",
            name=sql.SQL(".").join([sql.Identifier(part) for part in key.split(".")]),
            value=sql.SQL(", ").join([sql.Literal(word) for word in setting_values(key, value)]),
        )


def _made(
    connection: psycopg.Connection[t.Any], role: t.Mapping[str, t.Any], comment: str | None, until: str | None
) -> str:
    sql = require("psycopg").sql
    name = sql.Identifier(role["rolname"])
    words = " ".join(("" if role[column] else "NO") + word for column, word in _ATTRIBUTES)
    create = _composed(connection, "CREATE ROLE {name} WITH ", name=name) + words
    create += f" CONNECTION LIMIT {int(role['rolconnlimit'])}"
    if until is not None:
        create += _composed(connection, " VALID UNTIL {until}", until=sql.Literal(until))
    statements = [create]
    target = _composed(connection, "ALTER ROLE {name}", name=name)
    statements.extend(_settings(connection, target, role.get("rolconfig") or ()))
    if comment is not None:
        statements.append(
            _composed(connection, "COMMENT ON ROLE {name} IS {text}", name=name, text=sql.Literal(comment))
        )
    condition = "NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name})"
    return _block(_composed(connection, condition, name=sql.Literal(role["rolname"])), statements)


def _grant(
    connection: psycopg.Connection[t.Any],
    member: str,
    role: str,
    options: t.Sequence[t.Mapping[str, t.Any]],
    inherits: t.Mapping[str, bool],
) -> str:
    """Several grantors may have granted the same; from PostgreSQL 16 on a grant says more than whether it may be passed on."""
    sql = require("psycopg").sql
    admin = any(one["admin_option"] for one in options)
    inherit = any(one.get("inherit_option", inherits[member]) for one in options)
    may_set = any(one.get("set_option", True) for one in options)
    text = _composed(connection, "GRANT {role} TO {member}", role=sql.Identifier(role), member=sql.Identifier(member))
    if (inherit, may_set) != (inherits[member], True):
        return text + f" WITH ADMIN {admin}, INHERIT {inherit}, SET {may_set};\n"
    return text + (" WITH ADMIN OPTION;\n" if admin else ";\n")


def _set_in(connection: psycopg.Connection[t.Any], database: str, settings: t.Sequence[t.Any]) -> str:
    sql = require("psycopg").sql
    statements: list[str] = []
    for role, values in settings:
        names = {"role": sql.Identifier(role), "database": sql.Identifier(database)}
        target = _composed(connection, "ALTER ROLE {role} IN DATABASE {database}", **names)
        statements.extend(_settings(connection, target, values))
    condition = "EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {name})"
    return _block(_composed(connection, condition, name=sql.Literal(database)), statements)
