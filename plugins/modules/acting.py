#!/usr/bin/python
# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How are the modules run that change something?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: acting
short_description: How every acting module of this collection is run
version_added: 1.0.0
author:
  - The opsready.golive authors (@opsready)
description:
  - The action plugin that every acting module is routed to. It is not called by itself.
  - It refuses a release's token that was not given out in this very run, and turns a host that is lost into a failure
    that a play can rescue.
  - Beside M(opsready.golive.pg_backup) and M(opsready.golive.pg_restore) it tells how far the work is, as their option C(progress) says. It looks over a
    connection of its own, with the options and the user of the task, and gives the module the name of a file in the variable C(OPSREADY_PROGRESS) of its
    environment.
extends_documentation_fragment:
  - opsready.golive.release
  - opsready.golive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: N/A
  action:
    support: full
seealso:
  - module: opsready.golive.release
"""

EXAMPLES = r"""
- name: An acting module presents the token of the release that began in this run
  opsready.golive.maintenance:
    state: enabled
    layers:
      - {name: proxy, backend: file, path: /etc/proxy/maintenance.flag, survives_stop: true}
    verify:
      url: https://archive.example.org/
    release: "{{ golive_release.token }}"
"""

RETURN = r"""
lost_host:
  description: Set when the host could not be reached.
  returned: when the host was lost
  type: bool
"""
