# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect to a database: narrowed to a few roles for a while, then widened again to exactly what it was.

CONNECT is taken from everybody else, the owner and those who were granted it by others included. Kept out are new sessions
of all roles that are no superusers. Not kept out: superusers, whom no grant concerns; sessions that are there already; and
the owner, should it grant itself CONNECT again. What they write is only found by counting rows (``data_loss``).

The grants as they were stand in the database's mark, so that a killed run is undone later. That they can be written back in
the same order, by the same grantors, is tried before anything is changed. PostgreSQL has no statement for the empty list
that a new database has: it comes back as the same grants written out.
"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused

if t.TYPE_CHECKING:
    import psycopg

PUBLIC = "PUBLIC"
CONNECT = "CONNECT"
Admission = t.Dict[str, t.Any]
Entry = t.Dict[str, t.Any]


def _entries(cluster: Cluster, name: str) -> list[Entry]:
    """The grants in their own order: grantor and grantee by OID (0 is PUBLIC) and name, privilege, grant option."""
    found = cluster.rows(
        "select held.place::int, a.grantor::bigint, a.grantee::bigint,"
        " pg_catalog.pg_get_userbyid(a.grantor)::text, r.rolname::text, a.privilege_type, a.is_grantable"
        " from pg_catalog.pg_database d cross join lateral"
        " unnest(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) with ordinality as held(item, place)"
        " cross join lateral pg_catalog.aclexplode(array[held.item]) with ordinality"
        " as a(grantor, grantee, privilege_type, is_grantable, bit)"
        " left join pg_catalog.pg_roles r on r.oid = a.grantee where d.datname = %s order by held.place, a.bit",
        (name,),
        f"Reading who may connect to {name}",
    )
    entries: dict[int, Entry] = {}
    for place, grantor_oid, grantee_oid, grantor, grantee, privilege, grantable in found:
        entry = entries.setdefault(
            place,
            {
                "grantor": {"oid": grantor_oid, "name": grantor},
                "grantee": {"oid": grantee_oid, "name": PUBLIC if grantee_oid == 0 else grantee},
                "privileges": [],
            },
        )
        entry["privileges"].append({"privilege": privilege, "grantable": bool(grantable)})
    return [entries[place] for place in sorted(entries)]


def _written(cluster: Cluster, name: str) -> tuple[str, bool]:
    """(the list as PostgreSQL writes it, whether it is the one that a new database has)."""
    found = cluster.rows(
        "select coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))::text, d.datacl is null"
        " from pg_catalog.pg_database d where d.datname = %s",
        (name,),
        f"Reading who may connect to {name}",
    )
    return str(found[0][0]), bool(found[0][1])


def _held(entries: t.Iterable[Entry]) -> list[dict[str, t.Any]]:
    """Who has CONNECT, each role once."""
    found: dict[str, bool] = {}
    for entry in entries:
        for one in entry["privileges"]:
            if one["privilege"] == CONNECT:
                role = str(entry["grantee"]["name"])
                found[role] = found.get(role, False) or bool(one["grantable"])
    return [{"role": role, "grantable": grantable} for role, grantable in sorted(found.items())]


def missing_roles(connection: psycopg.Connection[t.Any], roles: t.Collection[str], *, deadline: Deadline) -> list[str]:
    """Those of the roles that the server does not have."""
    if not roles:
        return []
    found = postgres.rows(
        connection,
        "select rolname::text from pg_catalog.pg_roles where rolname = any(%s)",
        (list(roles),),
        doing="Looking for the roles",
        deadline=deadline,
    )
    return sorted(set(roles) - {row[0] for row in found})


def require_roles(connection: psycopg.Connection[t.Any], roles: t.Collection[str], *, deadline: Deadline) -> None:
    """Raise BadInput where the server does not have one of them: nobody could be let in, neither forward nor back."""
    missing = missing_roles(connection, roles, deadline=deadline)
    if missing:
        raise BadInput(
            f"The server has no role {', '.join(missing)}, which application_roles names.",
            remedy="Name the application's login roles as the server has them.",
        )


def _grant(cluster: Cluster, name: str, entry: Entry, owner: int) -> None:
    sql = require("psycopg").sql
    doing = f"Granting what {entry['grantee']['name']} had on {name}"
    grantor, grantee = entry["grantor"], entry["grantee"]
    to = sql.SQL(PUBLIC) if grantee["oid"] == 0 else sql.Identifier(grantee["name"])
    if grantor["oid"] != owner:
        doing += f", as {grantor['name']}, who granted it"
        cluster.rows(sql.SQL("set local role {}").format(sql.Identifier(grantor["name"])), None, doing)
    for one in entry["privileges"]:
        option = sql.SQL(" with grant option" if one["grantable"] else "")
        statement = sql.SQL("grant {} on database {} to {}").format(
            sql.SQL(_WORDS[one["privilege"]]), sql.Identifier(name), to
        )
        cluster.rows(statement + option, None, doing)
    if grantor["oid"] != owner:
        cluster.rows("set local role none", None, doing)


#: What can be granted on a database. The words are ours, since a mark's are not to become SQL.
_WORDS = {word: word for word in ("CREATE", "TEMPORARY", CONNECT)}


def _write(cluster: Cluster, name: str, entries: t.Sequence[Entry]) -> None:
    """Make these the grants on a database, in this order. Call it in a transaction."""
    sql = require("psycopg").sql
    owner = cluster.rows(
        "select datdba::bigint from pg_catalog.pg_database where datname = %s", (name,), f"Reading the owner of {name}"
    )[0][0]
    for entry in _entries(cluster, name):
        grantee = entry["grantee"]
        whom = sql.SQL(PUBLIC) if grantee["oid"] == 0 else sql.Identifier(grantee["name"])
        statement = sql.SQL("revoke all on database {} from {} cascade").format(sql.Identifier(name), whom)
        cluster.rows(statement, None, f"Narrowing {name}")
    for entry in entries:
        _grant(cluster, name, entry, owner)


def _without_connect(entry: Entry) -> Entry:
    return {**entry, "privileges": [one for one in entry["privileges"] if one["privilege"] != CONNECT]}


def narrow(cluster: Cluster, name: str, roles: t.Sequence[str]) -> Admission:
    """Let only these roles, ourselves and superusers connect; returns what has to be undone. Call it in a transaction.

    Raises BadInput, and Refused or Denied where the grants could not be written back exactly.
    """
    if not roles:
        raise BadInput(
            "application_roles is empty, so nobody could connect.", remedy="Name the application's login roles."
        )
    require_roles(cluster.connection, roles, deadline=cluster.deadline)
    entries = _entries(cluster, name)
    before, was_default = _written(cluster, name)
    login, superuser = cluster.rows(
        "select current_user::text, rolsuper from pg_catalog.pg_roles where rolname = current_user", None, "Reading us"
    )[0]
    admitted = list(dict.fromkeys([*roles, *([] if superuser else [login])]))
    owner = cluster.rows(
        "select datdba::bigint, pg_catalog.pg_get_userbyid(datdba)::text from pg_catalog.pg_database where datname = %s",
        (name,),
        f"Reading the owner of {name}",
    )[0]
    # CONNECT that another role granted goes in any case: it would go with that role's own.
    stays = [one["grantee"]["name"] in admitted and one["grantor"]["oid"] == owner[0] for one in entries]
    wanted = [entry if kept else _without_connect(entry) for entry, kept in zip(entries, stays)]
    wanted = [entry for entry in wanted if entry["privileges"]]
    held = {one["role"] for one in _held(wanted)}
    plain = [{"privilege": CONNECT, "grantable": False}]
    for role in admitted:
        if role not in held:
            by = {"oid": owner[0], "name": owner[1]}
            wanted.append({"grantor": by, "grantee": {"oid": -1, "name": role}, "privileges": plain})
    _require_restorable(cluster, name, entries, before)
    _write(cluster, name, wanted)
    now = _held(_entries(cluster, name))
    if {one["role"] for one in now} != set(admitted):
        raise Refused(f"Not only {', '.join(admitted)} may connect to {name} after narrowing it: {now}.")
    had = {one["role"] for one in _held(entries)}
    return {
        "revoked": [one for one in _held(entries) if one["role"] not in admitted],
        "granted": [{"role": role, "grantable": False} for role in admitted if role not in had],
        "roles": list(roles),
        "acl": entries,
        "was_default": was_default,
        "narrowed": _written(cluster, name)[0],
    }


def _require_restorable(cluster: Cluster, name: str, entries: t.Sequence[Entry], before: str) -> None:
    """Write the grants as they are once more, and undo it: what does not come out the same could not be given back."""
    doing = f"Trying to write back who may connect to {name}"
    with postgres.translated(doing, deadline=cluster.deadline), cluster.connection.transaction(force_rollback=True):
        _write(cluster, name, entries)
        after = _written(cluster, name)[0]
    if after != before:
        raise Refused(
            f"The grants on {name} could not be given back as they are: {before} would become {after}.",
            remedy="Fence with method rename, and lift it without the inside stage; or grant them anew first.",
        )


def widen(cluster: Cluster, name: str, admission: t.Mapping[str, t.Any]) -> str | None:
    """Undo ``narrow``. Call it in a transaction. A role that was dropped since is passed over.

    Returns None when the grants are exactly what they were. When somebody changed them meanwhile, only what was taken is
    given back, nothing else is touched, and the sentence that is returned says so.
    """
    entries = [_known_now(cluster, entry) for entry in admission.get("acl") or ()]
    present = [entry for entry in entries if entry is not None]
    if _written(cluster, name)[0] == admission.get("narrowed"):
        _write(cluster, name, present)
        return None
    owner = cluster.rows(
        "select datdba::bigint from pg_catalog.pg_database where datname = %s", (name,), f"Reading the owner of {name}"
    )[0][0]
    for entry in present:
        connect = [one for one in entry["privileges"] if one["privilege"] == CONNECT]
        if connect:
            _grant(cluster, name, {**entry, "privileges": connect}, owner)
    left = ", ".join(str(one["role"]) for one in admission.get("granted") or ())
    return f"The grants on {name} were changed while it was fenced. Everybody may connect again who could before" + (
        f"; {left} may too, whom the fence had let in." if left else "."
    )


def _known_now(cluster: Cluster, entry: Entry) -> Entry | None:
    """An entry with the names that its roles have by now; None when one of them is gone."""
    named = {}
    for part in ("grantor", "grantee"):
        oid = int(entry[part]["oid"])
        found = cluster.rows(
            "select rolname::text from pg_catalog.pg_roles where oid = %s::oid", (oid,), "Reading the roles"
        )
        if oid != 0 and not found:
            return None
        named[part] = {"oid": oid, "name": found[0][0] if found else PUBLIC}
    return {**entry, **named}


def grants_before(admission: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]] | None:
    """The grants as ``database_facts.properties`` tells them, before they were narrowed."""
    if admission.get("was_default"):
        return None
    return [
        {
            "grantor": entry["grantor"]["name"],
            "grantee": None if entry["grantee"]["oid"] == 0 else entry["grantee"]["name"],
            "privilege": one["privilege"],
            "grantable": one["grantable"],
        }
        for entry in admission.get("acl") or ()
        for one in entry["privileges"]
    ]
