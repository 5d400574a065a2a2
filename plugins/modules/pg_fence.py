#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let nobody write to a database while it is backed up and migrated."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_fence
short_description: Fence a PostgreSQL database, so that nobody else can write
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Ends all sessions on a database and renames it to C(<name>_golive_<id>), so that only who knows that name works with it. Old sessions, owners and
    superusers, whom limits and revoked grants do not stop, are stopped by this. A superuser who reads C(pg_database) finds the new name; whoever did
    is ended and named by V(inside).
  - New connections are refused before sessions are ended, so it works with clients that reconnect. What a killed run leaves is found again by
    name and by our mark, which is kept in the database's comment and taken away when the fence is lifted.
  - Prepared transactions and enabled subscriptions write without a session that could be ended, and are refused.
options:
  state:
    description:
      - V(fenced) ends sessions and renames. Prepared transactions are refused.
      - V(inside) gives the name back, and lets only O(application_roles) and our own login connect. The owner and everybody else are kept out,
        whoever granted them CONNECT.
      - Superusers cannot be kept out while the database has its name. V(status) and V(lifted) list their sessions, V(lifted) ends them and warns
        with user, application and address; one that came and went is not seen. Going on is then right, since everybody is let in. Going back is
        not lossless, whoever wrote. M(opsready.golive.pg_restore) counts the rows that are newer than its baseline and refuses.
      - V(lifted) gives the name and the grants back, exactly as they were. When somebody changed the grants meanwhile, everybody who could
        connect may again, nothing else is touched, and a warning says so.
      - V(status) changes nothing.
    type: str
    choices: [fenced, inside, lifted, status]
    required: true
  method:
    description:
      - V(rename) is as described above.
      - V(revoke) keeps the name, and takes CONNECT from everybody but our login. It ends nobody, so it is refused, and everything given back, where
        another session or a prepared transaction is there. That is looked at before and after, and again by each later call and by V(inside).
        A superuser who comes and goes between two looks is not seen.
      - V(none) changes nothing, lists the sessions, and needs O(waiver). There is no way back by M(opsready.golive.pg_restore) from it without
        fencing first.
      - V(inside), V(lifted) and V(status) see by themselves how the fence was made, but for V(none), which V(inside) has to be told.
    type: str
    choices: [rename, revoke, none]
    default: rename
  waiver:
    description: Who answers for having no fence.
    type: dict
    suboptions:
      owner:
        description: Who asks for it.
        type: str
        required: true
      approver:
        description: Who approved it; somebody else.
        type: str
        required: true
      reason:
        description: Why it may be.
        type: str
        required: true
      expires:
        description: When it ends, such as V(2026-12-31T00:00:00Z).
        type: str
        required: true
  database:
    description: Live name of the database, where it is not the one of O(dsn).
    type: str
  fence_id:
    description: What the fenced name is made of. Without it, the id of O(release).
    type: str
  copy:
    description:
      - Make a template copy of the fenced database, C(<name>_before_<id>), as a fast way back (O(opsready.golive.pg_restore#module:copy)). It
        needs as much room as the database. Where the server's data directory is this host's, and the login may be told of it, one that has too little
        is refused before anything is closed.
    type: bool
    default: false
  application_roles:
    description:
      - Login roles that V(inside) lets connect. V(fenced) looks for them before anything is closed, and refuses where the server does not have one.
        V(status) names those.
    type: list
    elements: str
    default: []
  maintenance_database:
    description: Database to work from while others are renamed. V(postgres) unless that is the one to be changed.
    type: str
  timeout:
    description: Seconds for everything.
    type: float
    default: 600.0
extends_documentation_fragment:
  - opsready.golive.postgres
  - opsready.golive.release
  - opsready.golive.attributes
notes:
  - The login needs CREATEDB, membership in the database's owner and in C(pg_signal_backend), or must be a superuser. With C(pg_read_all_stats) it
    sees of other sessions what they call themselves and where they come from. Only a superuser may end a superuser's session.
  - Grants on the database that roles other than its owner made can only be given back by a login that may act as them. Where ours may not, V(inside)
    and V(revoke) change nothing and say so. A database without any grants of its own gets the same grants written out, since PostgreSQL has no
    statement for the empty list.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  action:
    support: full
seealso:
  - module: opsready.golive.pg_backup
  - module: opsready.golive.pg_restore
"""

EXAMPLES = r"""
- name: Let nobody write
  opsready.golive.pg_fence:
    state: fenced
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    release: "{{ golive_release.token }}"
  register: fence

- name: Let the new version in, and nobody else
  opsready.golive.pg_fence:
    state: inside
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    application_roles: [archive]
    release: "{{ golive_release.token }}"

- name: Let everybody in again
  opsready.golive.pg_fence:
    state: lifted
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
database:
  description: Live name of the database.
  type: str
  returned: for every state but V(status)
  sample: archive
fenced_database:
  description: Name of the database behind the fence; the live one where it was not renamed.
  type: str
  returned: for every state but V(status), and in check mode only for V(inside) and V(lifted)
  sample: archive_golive_r-20261122-1
method:
  description: How the fence that stands was made.
  type: str
  returned: for V(fenced), but not in check mode
  sample: rename
waiver:
  description: The waiver that was accepted.
  type: dict
  returned: for O(method=none)
  sample: {owner: data team, approver: head of IT, reason: the only writer is stopped, expires: "2026-12-31T00:00:00.000Z"}
oid:
  description: OID of the database.
  type: int
  returned: for V(fenced), but not in check mode
  sample: 16401
position:
  description:
    - Snapshot of transaction ids, WAL position (C(lsn)) and time when the last session had ended; for V(status), those of now.
    - With C(system_identifier) and C(timeline), which say whose position it is. A fence of before this tells neither.
  type: dict
  returned: for V(fenced) and V(status), but not in check mode
  sample:
    snapshot: "814:814:"
    lsn: 0/37D9668
    at: "2026-11-22T01:24:12.431Z"
    system_identifier: "7444711223344556677"
    timeline: 1
sessions:
  description: Sessions that were found.
  type: list
  elements: dict
  returned: for V(fenced) and V(status)
  sample:
    - pid: 4711
      user: reporting
      application: psql
      address: 10.0.0.7
foreign_sessions:
  description: Sessions that are not ours. While the database is V(inside), those of O(application_roles) are not among them.
  type: list
  elements: dict
  returned: always
  sample: []
ended_sessions:
  description: Sessions that were ended.
  type: list
  elements: dict
  returned: for V(inside) and V(lifted), and when V(fenced) changed something
  sample: []
application_roles:
  description: Roles that may connect.
  type: list
  elements: str
  returned: for V(inside)
  sample: [archive]
copy:
  description: The template copy, if one was asked for.
  type: dict
  returned: for V(fenced)
  sample:
    name: archive_before_r-20261122-1
    oid: 16461
    size_bytes: 14702271
    seconds: 0.2
fence:
  description: Where the fence stands. C(fence.state) is V(open), V(fencing), V(fenced), V(inside), V(both), V(foreign), V(other) or V(absent).
  type: dict
  returned: for V(status)
  sample:
    state: fenced
    database: archive
    fenced_database: archive_golive_r-20261122-1
missing_roles:
  description: Those of O(application_roles) that the server does not have.
  type: list
  elements: str
  returned: for V(status)
  sample: []
prepared_transactions:
  description: Prepared transactions on the database.
  type: list
  elements: dict
  returned: for V(status)
  sample: []
seconds:
  description: Seconds until the fence stood, and in all.
  type: dict
  returned: when V(fenced) changed something
  sample: {fence: 0.3, total: 0.5}
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions import pg_fence
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main() -> None:
    run_module(pg_fence.ARGUMENT_SPEC, pg_fence.body)


if __name__ == "__main__":
    main()
