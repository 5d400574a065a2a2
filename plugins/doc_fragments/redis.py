# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options of every module that speaks to Redis or Valkey."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - redis >= 5.0 (Python library, on the host that runs the module)
options:
  url:
    description:
      - Where the server is, such as V(redis://cache.example.org:6379/0), V(rediss://…) for TLS, or
        V(unix:///run/redis.sock?db=0). The database number is that of the application.
      - A URL that holds a password is refused, since option values are printed at high verbosity; use O(password).
    type: str
    required: true
  username:
    description: User of the server's access control list. Without it, the user named in O(url), or V(default).
    type: str
  password:
    description: Password of the user. It is never printed.
    type: str
  ca_file:
    description: Certificate authorities, in PEM, that the server's certificate must chain to. Without it, those of the host.
    type: path
"""
