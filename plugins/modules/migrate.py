#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations are pending, what can be undone, apply what was reviewed, take it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migrate
short_description: Plan, apply and take back database migrations
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - Reads where the database is from Alembic's version table, and what there is from the revision files, without importing the application.
  - Tells of each pending revision whether its downgrade can bring everything back, from the file's syntax tree. What cannot be read with certainty is
    V(unknown), never V(reversible).
  - Applies only what was reviewed. The preview is a hash over all Python files of the environment, C(alembic.ini), from, to and the rendered SQL.
  - Runs under an advisory lock on a session of its own, with C(lock_timeout) as a startup option that a migration cannot reset.
options:
  state:
    description:
      - V(status) tells where the database is.
      - V(planned) tells what is pending, with SQL, preview and the kind of way back. It changes nothing.
      - V(previewed) keeps the SQL of what is pending as O(preview_file), which a reviewer reads. Where a migration cannot be rendered, it fails.
      - V(applied) migrates to O(to). Where nothing is pending, nothing is done, so it runs once however many hosts call it.
      - V(rolled_back) goes back to O(to), the revision that was recorded before, and must run with the code that brought the newer revisions.
        A relative one such as V(-1) is refused, since it says nothing of where the database was.
    type: str
    choices: [status, planned, previewed, applied, rolled_back]
    required: true
  preview_file:
    description:
      - For V(previewed), where the SQL goes, with mode V(0600). It is exactly what C(alembic upgrade --sql) printed, so its SHA-256 is
        C(migration.sql_sha256). Nothing is written where nothing is pending.
    type: path
  application_roles:
    description:
      - Login roles of the application, which O(opsready.golive.pg_fence#module:state=inside) lets in once the migration was applied. V(planned) looks
        for them, and refuses where the server does not have one.
    type: list
    elements: str
    default: []
  accept_data_loss:
    description:
      - Take back what cannot be brought back in full, too, and leave another schema than there was before. O(accepted_by) says who decided that.
    type: bool
    default: false
  accepted_by:
    description: Who accepts the loss that C(migration.data_loss) lists. O(accept_data_loss) needs it.
    type: str
  schema_file:
    description:
      - For V(applied), where the schema goes before anything changes, an object a line, with mode V(0600). Of the same O(release) the first one stays.
      - For V(rolled_back), the file that the schema is compared with afterwards. Where something of it is missing or not as it was, or where a table
        that was there has something new that binds those who write, it fails. What stands for itself, such as a table or an enum that stayed, is told.
      - A file that is not there, or is of another revision, stops no way back. RV(schema) then says that nothing was compared.
    type: path
  restore_possible:
    description: Whether a backup could be restored. Where it could not, what is not reversible is V(forward_only).
    type: bool
    default: true
  lock_timeout:
    description: Seconds that a statement of the migration waits for a lock.
    type: float
    default: 5.0
  statement_timeout:
    description: Seconds that a statement of the migration may take.
    type: float
  timeout:
    description: Seconds for everything.
    type: float
    default: 3600.0
extends_documentation_fragment:
  - opsready.golive.alembic
  - opsready.golive.postgres
  - opsready.golive.release
  - opsready.golive.attributes
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
  - module: opsready.golive.check_migration
  - module: opsready.golive.pg_backup
  - module: opsready.golive.pg_restore
"""

EXAMPLES = r"""
- name: What would happen
  opsready.golive.migrate:
    state: planned
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
  register: reviewed

- name: The SQL, as a file that a second person reads
  opsready.golive.migrate:
    state: previewed
    preview_file: /srv/archive/releases/2.0.0/migration_preview.sql
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]

- name: Migrate behind the fence, once, what was reviewed
  opsready.golive.migrate:
    state: applied
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    database: "{{ fence.fenced_database }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
    expected_preview: "{{ reviewed.migration.preview }}"
    schema_file: /srv/archive/golive/2.0.0/schema.jsonl
    release: "{{ golive_release.token }}"

- name: Take it back with the new code
  opsready.golive.migrate:
    state: rolled_back
    to: "{{ reviewed.migration.from | first }}"
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    database: "{{ fence.fenced_database }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
    schema_file: /srv/archive/golive/2.0.0/schema.jsonl
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
migration:
  description:
    - The plan. For V(status), where the database is. C(migration.rollback_kind) is V(image_only), V(downgrade), V(restore) or V(forward_only).
    - For V(rolled_back) it names the C(directory) and the C(heads) of the code that took it back, and under C(data_loss) what does not come back
      with who accepted it, or nothing where everything does.
  type: dict
  returned: success
  sample:
    database: archive
    from: ["0002"]
    to: "0003"
    pending:
      - revision: "0003"
        rollback: reversible
        reasons: []
    preview: 9f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f6c0f4bd9c0b1f1d5c6b4bd4f9f8c6e0b
    rollback_kind: downgrade
    rollback_reason: each of the 1 pending revisions can be taken back in full
    sql_sha256: 2547fc101dfcec91674f36f15dfc3b065a535277783dc76e05dc17446c789d2a
    sql_problem: ""
schema_before:
  description: Where the schema of before is kept, with the file's SHA-256, the number of objects and the revisions.
  type: dict
  returned: for V(applied), when something was applied; nothing without O(schema_file)
  sample:
    file: /srv/archive/golive/2.0.0/schema.jsonl
    sha256: 9f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f6c0f4bd9c0b1f1d5c6b4bd4f9f8c6e0b
    objects: 212
    revisions: ["0002"]
schema:
  description:
    - The schema now against the one of O(schema_file). C(is_as_before) is nothing where that is not known, and C(problem) says why.
    - C(counts) counts what is V(missing), V(changed), V(unexpected) and V(left_over); the first 20 of each are listed with how they were and are.
  type: dict
  returned: for V(rolled_back), but not in check mode; nothing without O(schema_file)
  sample:
    is_as_before: true
    objects: 212
    counts: {missing: 0, changed: 0, unexpected: 0, left_over: 1}
    missing: []
    changed: []
    unexpected: []
    left_over:
      - object: enum public.colour
        after: "owner archive; 'red'"
    file: /srv/archive/golive/2.0.0/schema.jsonl
    sha256: 9f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f6c0f4bd9c0b1f1d5c6b4bd4f9f8c6e0b
    problem: null
preview_file:
  description: The file that holds the SQL. It is not there where nothing is pending.
  type: str
  returned: for V(previewed)
  sample: /srv/archive/releases/2.0.0/migration_preview.sql
current:
  description: Where the database is afterwards.
  type: list
  elements: str
  returned: when something was applied or taken back
  sample: ["0003"]
applied:
  description: Revisions that were applied.
  type: list
  elements: str
  returned: when something was applied
  sample: ["0003"]
output:
  description: The end of what the tool printed.
  type: str
  returned: when it ran
  sample: ""
invalid_indexes:
  description: Indexes that are not valid, such as a failed C(CREATE INDEX CONCURRENTLY) leaves.
  type: list
  elements: str
  returned: when something was applied or taken back
  sample: []
after:
  description: Snapshot of transaction ids, WAL position and time after it.
  type: dict
  returned: for V(applied) and V(rolled_back), but not in check mode
  sample:
    snapshot: "851:851:"
    lsn: 0/37D9668
    at: "2026-11-22T01:31:11.170Z"
baseline:
  description:
    - Where the data stands now, for O(opsready.golive.pg_restore#module:baseline). Empty where the login may not read every table.
  type: dict
  returned: for V(applied), but not in check mode
  sample:
    snapshot: "851:851:"
    at: "2026-11-22T01:31:11.170Z"
baseline_problem:
  description: Why there is no RV(baseline).
  type: str
  returned: for V(applied), but not in check mode
seconds:
  description: Seconds that the tool ran.
  type: float
  returned: when it ran
  sample: 1.5
"""

from ansible_collections.opsready.golive.plugins.module_utils._actions import migrate
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import run_module


def main() -> None:
    run_module(migrate.ARGUMENT_SPEC, migrate.body, **migrate.CONSTRAINTS)


if __name__ == "__main__":
    main()
