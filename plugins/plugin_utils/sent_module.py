# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that is sent for a checklist: ``checklist`` with the checks that its items ask for, and no others.

Ansible reads and packs whatever a module's code imports: for all checks that takes a second of each run, for one a tenth.
"""

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.spool import write_file

_SOURCE = Path(__file__).resolve().parent.parent / "modules" / "checklist.py"
_CHECKS = "ansible_collections.opsready.golive.plugins.module_utils._checks"


def source_with(checks: t.Iterable[str]) -> bytes:
    """The source of ``checklist`` and, never run, an import of each check: that is what Ansible packs it by."""
    imports = "".join(f"    from {_CHECKS} import {check}\n" for check in sorted(set(checks)))
    return _SOURCE.read_bytes() + f"\n\ndef packed_with_it():\n{imports}".encode()


def sent_module(checks: t.Iterable[str], loader: t.Any) -> str:
    """The name under which Ansible's module loader finds it from now on. Raises ActionFailed without room for it."""
    source = source_with(checks)
    folder = os.path.join(run_directory(), "modules")
    name = f"golive_checklist_{hashlib.sha256(source).hexdigest()[:12]}"
    write_file(os.path.join(folder, f"{name}.py"), source)
    loader.add_directory(folder)
    # In a role a bare name is looked for among the modules of its collection alone.
    return f"ansible.legacy.{name}"
