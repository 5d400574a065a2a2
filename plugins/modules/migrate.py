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
      - V(applied) migrates to O(to). Where nothing is pending, nothing is done, so it runs once however many hosts call it.
      - V(rolled_back) goes back to O(to), and must run with the code that brought the newer revisions.
    type: str
    choices: [status, planned, applied, rolled_back]
    required: true
  tool:
    description: The migration tool.
    type: str
    choices: [alembic]
    default: alembic
  database:
    description: Name of the database, where it is not the one of O(dsn), such as the fenced one.
    type: str
  directory:
    description: Directory of C(alembic.ini), where the tool runs. With O(artefact), relative to the artefact's top.
    type: path
    required: true
  artefact:
    description: For V(status) and V(planned), look into a version that is not deployed yet. It is unpacked to a private folder and removed.
    type: dict
    suboptions:
      src:
        description: The version's tar archive on this host.
        type: path
        required: true
      sha256:
        description: The archive's digest.
        type: str
        required: true
      strip_components:
        description: Leading folders of the archive that are left out.
        type: int
        default: 0
  config:
    description: Name of Alembic's configuration in O(directory). V(alembic.ini) by default.
    type: str
  versions:
    description: Directories of the revision files, where C(alembic.ini) does not tell.
    type: list
    elements: str
    default: []
  command:
    description: How the tool is called, as a list, such as V([/srv/app/venv/bin/python, -m, alembic]). By default with Ansible's own interpreter.
    type: list
    elements: str
  environment:
    description: More environment variables for the tool. No secrets. A URL with a password is refused.
    type: dict
    default: {}
  env_file:
    description: Path of the application's environment file, which it reads by itself.
    type: path
  env_file_variable:
    description: Name of the variable that tells the application O(env_file).
    type: str
  role:
    description: The role that migrates, where the login is another one; what the migration makes belongs to it.
    type: str
  application_roles:
    description:
      - Login roles of the application, which O(opsready.golive.pg_fence#module:state=inside) lets in once the migration was applied. V(planned) looks
        for them, and refuses where the server does not have one.
    type: list
    elements: str
    default: []
  url_variable:
    description: Name of the variable that gets the database's URL, without a password. libpq takes the password from a file in memory.
    type: str
    default: DATABASE_URL
  url_scheme:
    description: Scheme of that URL.
    type: str
    default: postgresql+psycopg
  version_table:
    description: Alembic's version table.
    type: str
    default: alembic_version
  version_table_schema:
    description: Its schema. By default it is looked for, C(public) first.
    type: str
  to:
    description: The revision to go to. V(head) by default. V(base) is understood for V(rolled_back), where it is required.
    type: str
  expected_preview:
    description: C(migration.preview) of what was reviewed. Anything else is refused.
    type: str
  allow_unversioned:
    description: Start from nothing in a database that has tables and no version table.
    type: bool
    default: false
  accept_data_loss:
    description: Take back what cannot be brought back in full, too.
    type: bool
    default: false
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
  - opsready.golive.postgres
  - opsready.golive.release
  - opsready.golive.attributes
requirements:
  - alembic, in the interpreter of O(command)
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
- name: What would happen
  opsready.golive.migrate:
    state: planned
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
  register: reviewed

- name: Migrate behind the fence, once, what was reviewed
  opsready.golive.migrate:
    state: applied
    dsn: postgresql://golive@db.example.org/archive
    password: "{{ database_password }}"
    database: "{{ fence.fenced_database }}"
    directory: /srv/archive/releases/2.0.0
    command: [/srv/archive/venv/bin/python, -m, alembic]
    expected_preview: "{{ reviewed.migration.preview }}"
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
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
migration:
  description:
    - The plan. For V(status), where the database is. C(migration.rollback_kind) is V(image_only), V(downgrade), V(restore) or V(forward_only).
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
