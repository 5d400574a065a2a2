#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the SQL of the pending migrations known and reviewed, what does it lock and drop, and does the way back work?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_migration
short_description: Judge the migrations that are pending on a PostgreSQL database
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Tells where the database is, what is pending, and has Alembic render its SQL without a connection, in the application's own Python, just as
    M(opsready.golive.migrate) does. What cannot be rendered, since a migration asks the database, is V(unknown). So is a revision that asks
    whether it is only rendered, since what runs may be other SQL then.
  - Where nothing is pending, the finding says so and is V(pass). Several heads, and a database at a revision that is in none of the files, are V(fail).
  - With O(lint), PostgreSQL's own parser reads the SQL, and rules tell what it does to tables that are there already. Tables that the same SQL made do not
    count. What SQL does not show, such as a C(DO) block or a function that is called, is V(unknown) until it is accepted by name.
  - With O(rehearse), the migration runs up and down on a scratch copy of the database. The copy is a database of ours, marked as such. It is dropped at
    the end, after a failure and a signal too. Before anything is migrated, Alembic must read back a word that stands in the copy alone, so that an application
    that takes its database from elsewhere migrates nothing.
  - Items of one checklist that ask the same database as the same user share one connection, those of
    M(opsready.golive.check_postgres) included. A rehearsal has its own.
  - Who signs the SQL is not an option here. A sign-off with C(binds_to=migration_preview) holds for C(evidence.preview), and a migration that has changed
    since is another one.
extends_documentation_fragment:
  - opsready.golive.check
  - opsready.golive.alembic
  - opsready.golive.postgres
  - opsready.golive.attributes
attributes:
  check_mode:
    details: A rehearsal makes a scratch database, so check mode leaves it out, and its criterion is V(unknown). All else is the same finding.
requirements:
  - pglast >= 7.20 (Python library, on the host that runs the module), for O(lint). On Python 3.9 below 8, which has no wheel for it
  - pg_dump and pg_restore, not older than the server, for O(rehearse)
  - boto3 >= 1.34 (Python library, on the host that runs the module), for a rehearsal from an object store
  - pyrage >= 1.2.3 (Python library, on the host that runs the module), for a rehearsal on an encrypted backup
options:
  pending:
    description: Whether revisions may be pending. V(none) asks for a database that is at O(to).
    type: str
    choices: [allowed, none]
    default: allowed
  preview_file:
    description:
      - Path of the SQL that M(opsready.golive.migrate) kept with O(opsready.golive.migrate#module:state=previewed). It must be what is pending now,
        and nobody else's to read.
    type: path
  way_back:
    description:
      - What the way back must be, by what each pending revision can undo. V(downgrade) asks that all can be taken back in full.
    type: str
    choices: [downgrade, any]
    default: any
  lint:
    description: Judge the SQL by rules. An empty dictionary takes the defaults.
    type: dict
    suboptions:
      fail_on:
        description:
          - Rules that are V(fail).
          - V(drop_table), V(drop_column) and V(drop_object) drop what the previous version may still use. V(truncate) empties a table. V(rename)
            renames a table, a column, a type or a view.
          - V(not_null_without_default) adds a column that no present row can have.
          - V(type_change) changes a column's type, V(rewrite) writes a table anew for another reason, such as a default that differs from row to row.
          - V(full_scan) adds a constraint that is not C(NOT VALID), or C(SET NOT NULL), and reads the whole table under its lock.
          - V(index_not_concurrent) builds or drops an index, or a constraint with one, without C(CONCURRENTLY).
          - V(lock_held) does something of that kind while its transaction holds C(ACCESS EXCLUSIVE) on a table.
          - V(dml_without_where) updates or deletes all rows of a table. V(access_exclusive) takes the lock that waits for all readers, even for a moment.
        type: list
        elements: str
        choices: &rules
          - drop_table
          - drop_column
          - drop_object
          - truncate
          - rename
          - not_null_without_default
          - type_change
          - rewrite
          - full_scan
          - index_not_concurrent
          - lock_held
          - dml_without_where
          - access_exclusive
        default:
          - drop_table
          - drop_column
          - truncate
          - not_null_without_default
          - type_change
          - rewrite
          - full_scan
          - index_not_concurrent
          - lock_held
      warn_on:
        description: Rules that are V(warn). What is in neither list is told in the evidence alone.
        type: list
        elements: str
        choices: *rules
        default: [drop_object, rename, dml_without_where]
      accept:
        description:
          - What was read and is meant, as the rule and what it is about, such as V(drop_column:documents.old) or V(unjudged:Do). The finding names it that way.
        type: list
        elements: str
        default: []
  rehearse:
    description:
      - Rehearse the upgrade and the downgrade on a scratch copy. It fails where either does, or where the schema afterwards is not as before, but
        for the order of columns. A revision without a downgrade fails without a copy.
      - It takes as long as a restore and both migrations, so raise O(timeout), or that of the item.
    type: dict
    suboptions:
      source:
        description:
          - What is copied. V(backup) restores the newest proven backup, whose checksum must fit, and brings it to where the database is. V(template) has the
            server copy the database, which it does only while nobody is connected.
        type: str
        choices: [backup, template]
        default: backup
      destination:
        description: Where the backups lie, as V(s3://bucket/prefix) or V(file:///directory), just as M(opsready.golive.pg_backup) was given it.
        type: str
      s3:
        description: How to reach the object store, where O(rehearse.destination) is in one.
        type: dict
        suboptions:
          endpoint_url:
            description: Where the object store is, such as V(https://minio.example.org:9000). Without it, Amazon's endpoint of the region.
            type: str
          region:
            description: Region that requests are signed for.
            type: str
            default: us-east-1
          access_key:
            description: Id of the access key. Without it, the keys that boto3 finds on the host.
            type: str
          secret_key:
            description: Secret of the access key. It is never printed.
            type: str
          ca_file:
            description: Certificate authorities, in PEM, that the endpoint's certificate must chain to. Without it, those of the host.
            type: path
          addressing_style:
            description: Whether the bucket stands in the path, in the host name, or is left to boto3.
            type: str
            choices: [auto, path, virtual]
            default: path
          checksums:
            description: Of no meaning here. It is taken so that the options of M(opsready.golive.pg_backup) can be given as they are.
            type: str
            choices: [full_object, none]
            default: full_object
      identity:
        description:
          - The age identity that reads an encrypted backup, as the option of M(opsready.golive.pg_restore). It is never printed, and never written
            to a file.
        type: str
      max_backup_age:
        description: Highest age of the backup that was rehearsed on, such as V(26h).
        type: str
      dsn:
        description: Server that the copy is made on, where it is not the database's own, with a database to work from.
        type: str
      password:
        description: Password of the login of O(rehearse.dsn). It is never printed.
        type: str
      maintenance_database:
        description: Database to work from. C(postgres) by default.
        type: str
      pg_bindir:
        description: Directory of C(pg_dump) and C(pg_restore). By default the lowest version that is not older than the server.
        type: path
      max_upgrade_time:
        description: Longest time that the upgrade may take on the copy, such as V(30s).
        type: str
      max_downgrade_time:
        description: Longest time that the downgrade may take on the copy.
        type: str
"""

EXAMPLES = r"""
- name: The SQL is the one that was kept, and holds no lock for long
  opsready.golive.check_migration:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
    preview_file: /srv/archive/releases/2.0.0/migration_preview.sql
    lint:
      accept: ["drop_column:documents.legacy_path"]

- name: It goes up and down on last night's backup
  opsready.golive.check_migration:
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
    way_back: downgrade
    rehearse:
      destination: file:///var/backups/archive
      max_backup_age: 26h
      max_upgrade_time: 2m
    timeout: 900
"""

RETURN = r"""
msg:
  description: The summary of the finding.
  returned: always
  type: str
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
      sample: "The SQL builds or drops an index without CONCURRENTLY, so that nobody writes meanwhile: documents (0003, line 12)."
    expected:
      description: What was expected, by criterion.
      type: dict
    measured:
      description: What was measured, by criterion.
      type: dict
    evidence:
      description:
        - From where to where, the pending revisions each with what its downgrade can undo, the preview, the SHA-256 of the SQL and of the file; each rule
          that a statement meets and each lock that it takes; the rehearsal with exit codes, seconds, the schema's SHA-256 before, between and after, and
          the lines that differ.
      type: dict
    remedy:
      description: What to do.
      type: str
    check:
      description: Name of the check.
      type: str
      sample: check_migration
    started:
      description: When the check began, in UTC.
      type: str
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_migration
from ansible_collections.opsready.golive.plugins.module_utils._checks.judging import main_of


def main() -> None:
    main_of(check_migration)


if __name__ == "__main__":
    main()
