# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options of every module that speaks to PostgreSQL."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - psycopg >= 3.1 (Python library, on the host that runs the module)
options:
  dsn:
    description:
      - Where the database is, such as V(postgresql://golive@db.example.org:5432/archive), or libpq's keywords. What SQLAlchemy
        writes, such as V(postgresql+asyncpg://…), is understood too.
      - What changes or copies a database has to reach the server itself. A connection pooler, such as PgBouncer, is detected and
        refused there; checks may ask through one.
      - A DSN that holds a password is refused, since option values are printed at high verbosity; use O(password).
    type: str
    required: true
  password:
    description: Password of the login. Without it, libpq's password file on the host. It is never printed.
    type: str
"""
