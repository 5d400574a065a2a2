#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this the right database, is it healthy and replicated, and who else is in it?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_postgres
short_description: Judge a PostgreSQL database and its server
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Opens one connection, asks in read-only transactions for what the options need, and judges it.
  - Without options it judges that the server is a primary, that connections are left, and that transaction ids are far from
    wraparound.
  - A server that does not answer, or that refuses the password, is V(unknown), never a pass, and so is what the role may
    not see. A role with C(pg_monitor) sees what the server tells of itself. It takes C(SELECT) or C(USAGE) on each sequence
    for O(max_sequence_share), C(SELECT) on the table of O(schema_revision), and what O(queries) need, on top of that.
  - Items of one checklist that ask the same database as the same user share one connection, those of
    M(opsready.golive.check_migration) included.
extends_documentation_fragment:
  - opsready.golive.postgres
  - opsready.golive.check
  - opsready.golive.attributes
attributes:
  check_mode:
    support: partial
    details: The canary writes to a temporary table, so it is not run in check mode, and is V(unknown) then.
options:
  min_version:
    description: Lowest version, such as V(16) or V(15.4).
    type: str
  recovery:
    description: What the server must be.
    type: str
    choices: [primary, standby, any]
    default: primary
  ssl:
    description: Whether this connection must be encrypted.
    type: str
    choices: [required, any]
    default: any
  superuser:
    description: Whether the role may be a superuser.
    type: str
    choices: [refused, any]
    default: any
  max_connections_share:
    description: Highest share, between 0 and 1, of the connections that ordinary roles may open.
    type: float
    default: 0.8
  pools:
    description: Connection pools of the applications. Together they may open no more than the server gives to ordinary roles.
    type: list
    elements: dict
    suboptions:
      name:
        description: Whose pool it is.
        type: str
        required: true
      size:
        description: Most connections of one instance, overflow included.
        type: int
        required: true
      instances:
        description: How many processes have such a pool.
        type: int
        default: 1
  max_wraparound_share:
    description: Highest share, between 0 and 1, of the 2^31 transaction ids that may pass without a freeze.
    type: float
    default: 0.5
  max_freeze_age_share:
    description:
      - Highest age of the oldest transaction id of any database as a share of C(autovacuum_freeze_max_age), and of the oldest
        multixact as a share of C(autovacuum_multixact_freeze_max_age).
      - At 1 autovacuum freezes by force. V(1.2) leaves it the time to; more says that something keeps it from it.
    type: float
  max_horizon_age:
    description:
      - Highest age of the xmin horizon in transactions. Vacuum may remove no row that was deleted after it.
      - What holds it back is named. It may be a session, a replication slot, a prepared transaction, or a standby with
        C(hot_standby_feedback), in any database.
    type: int
  max_prepared_age:
    description: Highest age of a prepared transaction in seconds, in any database. With V(0) there may be none.
    type: float
  max_transaction_age:
    description: Highest age of the oldest transaction in seconds.
    type: float
  max_idle_in_transaction:
    description: Highest number of sessions that are idle in a transaction.
    type: int
  min_replicas:
    description: Lowest number of replicas that are streaming.
    type: int
  min_sync_replicas:
    description: Lowest number of replicas that are synchronous.
    type: int
  max_lag_bytes:
    description: Highest replication lag in bytes, of the slowest replica or, on a standby, its own.
    type: int
  max_lag_seconds:
    description: Highest replication lag in seconds.
    type: float
  slots:
    description:
      - With V(healthy) every replication slot must be active, and its C(wal_status) neither V(unreserved) nor V(lost).
    type: str
    choices: [healthy, any]
    default: any
  max_slot_bytes:
    description: Most WAL in bytes that may be kept for a slot.
    type: int
  min_safe_wal_bytes:
    description:
      - Least WAL in bytes that may still be written before a replication slot is lost, its C(safe_wal_size).
      - Without C(max_slot_wal_keep_size) no slot is lost, and the WAL kept for it may fill the disk. O(max_slot_bytes) bounds that.
    type: int
  archiver:
    description: Whether WAL must be archived, and the last attempt must have worked.
    type: str
    choices: [required, any]
    default: any
  max_archive_age:
    description: Highest age of the last archived WAL file in seconds.
    type: float
  checksums:
    description: Whether data checksums must be enabled, without a failure counted.
    type: str
    choices: [required, any]
    default: any
  invalid_indexes:
    description: Whether indexes that a failed C(CREATE INDEX CONCURRENTLY) left behind are refused.
    type: str
    choices: [refused, any]
    default: any
  unindexed_foreign_keys:
    description: Whether foreign keys without an index on their columns are a warning.
    type: str
    choices: [refused, any]
    default: any
  max_sequence_share:
    description:
      - Highest share, between 0 and 1, of a sequence's values that may be used.
      - A sequence on which the role has neither C(SELECT) nor C(USAGE) makes it V(unknown), with C(pg_monitor) too.
    type: float
  pending_restart:
    description:
      - Whether settings that wait for a restart are refused. Without C(pg_read_all_settings), which C(pg_monitor) includes, some settings are
        hidden, and it is V(unknown) unless another one waits.
    type: str
    choices: [refused, any]
    default: any
  extensions:
    description: Extensions that must be installed in this database.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the extension.
        type: str
        required: true
      min_version:
        description: Lowest version.
        type: str
  extension_versions:
    description:
      - With V(current) no extension of this database may be of an older version than the one whose files the server has.
    type: str
    choices: [current, any]
    default: any
  encoding:
    description: Encoding of the database, such as V(UTF8).
    type: str
  collation_versions:
    description: With V(current) no collation may be of another version than the operating system's. PostgreSQL 15 and later.
    type: str
    choices: [current, any]
    default: any
  settings:
    description: Server settings and the value that C(SHOW) must give.
    type: dict
  schema_revision:
    description: The revision that Alembic's table must hold, and no other.
    type: dict
    suboptions:
      table:
        description: Name of the table.
        type: str
        default: alembic_version
      schema:
        description: Schema of the table.
        type: str
        default: public
      expected:
        description: The revision.
        type: str
        required: true
  queries:
    description:
      - Questions of your own, one statement each, run in a read-only transaction. The first column of the first row is judged;
        no row, or NULL, is V(unknown). Cast unusual types to text.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the query asks, for the finding.
        type: str
        required: true
      sql:
        description: One statement.
        type: str
        required: true
      value:
        description: The value as text; booleans are V(true) and V(false).
        type: str
      at_least:
        description: Lowest number.
        type: float
      at_most:
        description: Highest number.
        type: float
  statements:
    description:
      - The slowest statements of C(pg_stat_statements) in this database.
      - The evidence has each without comments, and without what is quoted in it, as that may be a password.
    type: dict
    suboptions:
      max_mean_ms:
        description: Highest mean time of a statement in milliseconds.
        type: float
        required: true
      min_calls:
        description: Statements that were called less often are left out.
        type: int
        default: 10
      top:
        description: How many statements the evidence lists.
        type: int
        default: 10
  sessions:
    description:
      - Other sessions in this database, and prepared transactions, are refused, unless they are named here. An empty dict
        allows none. Our own, whose application name begins with C(opsready/), are always allowed.
    type: dict
    suboptions:
      allowed_users:
        description: Roles whose sessions are expected.
        type: list
        elements: str
        default: []
      allowed_applications:
        description: Application names that are expected, as shell patterns such as V(backend*).
        type: list
        elements: str
        default: []
  canary:
    description: Write to a temporary table and roll back. In check mode it is not run, and V(unknown).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The production database is what it should be
  opsready.golive.check_postgres:
    dsn: postgresql://archive@db.example.org:5432/archive?sslmode=verify-full
    password: "{{ vault_postgres_password }}"
    min_version: "16"
    ssl: required
    superuser: refused
    invalid_indexes: refused
    schema_revision: {expected: "0002"}
    pools:
      - {name: backend, size: 15, instances: 4}
      - {name: worker, size: 5, instances: 2}

- name: One replica follows closely, and WAL is archived
  opsready.golive.check_postgres:
    dsn: postgresql://monitor@db.example.org:5432/archive
    password: "{{ vault_monitor_password }}"
    min_replicas: 1
    max_lag_seconds: 10
    slots: healthy
    archiver: required

- name: Nobody else is in the database
  opsready.golive.check_postgres:
    dsn: postgresql://monitor@db.example.org:5432/archive
    password: "{{ vault_monitor_password }}"
    sessions:
      allowed_users: [archive]
    queries:
      - {name: no job is running, sql: "SELECT count(*) FROM jobs WHERE state = 'running'", at_most: 0}

- name: Nothing keeps vacuum from its work, and every extension is at its newest version
  opsready.golive.check_postgres:
    dsn: postgresql://monitor@db.example.org:5432/archive
    password: "{{ vault_monitor_password }}"
    max_horizon_age: 1000000
    max_freeze_age_share: 1.2
    max_prepared_age: 300
    extension_versions: current
"""

RETURN = r"""
finding:
  description: What was found. RV(finding.status) is V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: dict
  contains:
    status:
      description: The worst status of all criteria.
      type: str
      sample: fail
    summary:
      description: One sentence that names every criterion that did not pass.
      type: str
      sample: "Schema revision is 0001, expected 0002."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description: The server, and by topic the rows that were judged.
      type: dict
    remedy:
      description: What to do.
      type: str
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_postgres
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_postgres)


if __name__ == "__main__":
    main()
