# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations, run by which interpreter, on which database."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - alembic, in the interpreter of O(command)
options:
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
    description: Look into a version that is not deployed yet, which changes nothing. It is unpacked to a private folder and removed.
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
    description: The revision to go to. V(head) by default. Going back takes V(base) too.
    type: str
  expected_preview:
    description: C(migration.preview) of what was reviewed. Anything else is refused.
    type: str
  allow_unversioned:
    description: Start from nothing in a database that has tables and no version table.
    type: bool
    default: false
  role:
    description: The role that migrates, where the login is another one; what the migration makes belongs to it.
    type: str
"""
