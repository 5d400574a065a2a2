# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect to a database: narrowed to the application's roles for a while, then widened again exactly.

Between fence and traffic the new version must reach its database and nobody else may. Superusers cannot be kept out so;
their sessions are listed. What was taken and given stands in the database's mark, so that a killed run is undone later.
"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

PUBLIC = "PUBLIC"
Admission = t.Dict[str, t.List[t.Dict[str, t.Any]]]


def _grants(cluster: Cluster, name: str) -> list[tuple[str, bool]]:
    found = cluster.rows(
        "select coalesce(r.rolname::text, %s), bool_or(a.is_grantable) from pg_catalog.pg_database d"
        " cross join lateral pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a"
        " left join pg_catalog.pg_roles r on r.oid = a.grantee"
        " where d.datname = %s and a.privilege_type = 'CONNECT' group by 1 order by 1",
        (PUBLIC, name),
        f"Reading who may connect to {name}",
    )
    return [(str(role), bool(grantable)) for role, grantable in found]


def _require_roles(cluster: Cluster, roles: t.Sequence[str]) -> None:
    if not roles:
        raise BadInput(
            "application_roles is empty, so nobody could connect.", remedy="Name the application's login roles."
        )
    found = cluster.rows(
        "select rolname::text from pg_catalog.pg_roles where rolname = any(%s)", (list(roles),), "Looking for the roles"
    )
    missing = sorted(set(roles) - {row[0] for row in found})
    if missing:
        raise BadInput(f"The server has no role {', '.join(missing)}.")


def narrow(cluster: Cluster, name: str, roles: t.Sequence[str]) -> Admission:
    """Let only these roles (and superusers) connect; returns what has to be undone. Call it in a transaction."""
    _require_roles(cluster, roles)
    sql = require("psycopg").sql
    revoked, granted = [], []
    present = _grants(cluster, name)
    for role, grantable in present:
        if role in roles:
            continue
        who = sql.SQL(PUBLIC) if role == PUBLIC else sql.Identifier(role)
        cluster.rows(
            sql.SQL("revoke connect on database {} from {}").format(sql.Identifier(name), who),
            None,
            f"Narrowing {name}",
        )
        revoked.append({"role": role, "grantable": grantable})
    for role in roles:
        if role not in {held for held, unused in present}:
            cluster.rows(
                sql.SQL("grant connect on database {} to {}").format(sql.Identifier(name), sql.Identifier(role)),
                None,
                f"Narrowing {name}",
            )
            granted.append({"role": role, "grantable": False})
    return {"revoked": revoked, "granted": granted}


def widen(cluster: Cluster, name: str, admission: t.Mapping[str, t.Any]) -> None:
    """Undo ``narrow``. Call it in a transaction. A role that was dropped since is passed over."""
    sql = require("psycopg").sql
    present = {
        row[0] for row in cluster.rows("select rolname::text from pg_catalog.pg_roles", None, "Reading the roles")
    }
    for entry in admission.get("granted") or []:
        if entry["role"] in present:
            cluster.rows(
                sql.SQL("revoke connect on database {} from {}").format(
                    sql.Identifier(name), sql.Identifier(entry["role"])
                ),
                None,
                f"Widening {name}",
            )
    for entry in admission.get("revoked") or []:
        if entry["role"] != PUBLIC and entry["role"] not in present:
            continue
        who = sql.SQL(PUBLIC) if entry["role"] == PUBLIC else sql.Identifier(entry["role"])
        option = sql.SQL(" with grant option" if entry["grantable"] else "")
        cluster.rows(
            sql.SQL("grant connect on database {} to {}").format(sql.Identifier(name), who) + option,
            None,
            f"Widening {name}",
        )
