# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that is sent for a checklist: ``checklist`` with the checks that its items ask for, and no others.

Ansible parses and packs whatever a module's code imports: for all checks that takes a second of each run. And a host compiles
each packed file twice. So this one module carries its files itself (``_core/carried``), which is half the time from the
task's start to the first check.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import typing as t
from pathlib import Path

from ansible_collections.opsready.golive.plugins.module_utils._core import carried
from ansible_collections.opsready.golive.plugins.plugin_utils.run_directory import run_directory
from ansible_collections.opsready.golive.plugins.plugin_utils.spool import write_file

_PLUGINS = Path(__file__).resolve().parent.parent
_PACKAGE = "ansible_collections.opsready.golive.plugins"
_ENTRY = f"{_PACKAGE}.modules.checklist"
#: An import of ours, at the top or inside of a function, on one line or in parentheses.
_IMPORT = re.compile(rf"^ *from {re.escape(_PACKAGE)}\.([\w.]+) import (?:\(([^)]*)\)|([^#\n]*))", re.MULTILINE)

# Ansible packs its own part of what is imported here, and knows by it that this is a module.
_HEAD = """\
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

"""
_TAIL = """

if __name__ == "__main__":
    import importlib

    import_from({files!r})
    importlib.import_module({entry!r}).main()
"""


def _imported_by(module: str) -> frozenset[str]:
    """The files of ours, as modules below ``plugins``, that a file's source imports anywhere."""
    found = set()
    for source, several, single in _IMPORT.findall(_source(module)):
        for name in filter(None, map(str.strip, (several or single).split(","))):
            inner = f"{source}.{name.split(' as ')[0]}"
            found.add(inner if _path(inner).is_file() else source)
    return frozenset(name for name in found if _path(name).is_file())


def _path(module: str) -> Path:
    return _PLUGINS.joinpath(*module.split(".")).with_suffix(".py")


@functools.cache
def _source(module: str) -> str:
    return _path(module).read_text(encoding="utf-8")


def needed_by(checks: t.Iterable[str]) -> set[str]:
    """What is imported for these checks, as modules below ``plugins``: ``modules.checklist``, ``module_utils._core.run``."""
    needed: set[str] = set()
    wanted = {"modules.checklist", *(f"module_utils._checks.{check}" for check in checks)}
    while wanted:
        needed |= wanted
        wanted = {inner for module in wanted for inner in _imported_by(module)} - needed
    return needed


def source_with(checks: t.Iterable[str]) -> bytes:
    """The source of a module that does what ``checklist`` does with these checks."""
    place = _PACKAGE.replace(".", "/")
    sources = {}
    for module in sorted(needed_by(checks)):
        file = f"{place}/{module.replace('.', '/')}.py"
        sources[file] = _source(module)
        while "/" in file:
            file = file.rpartition("/")[0]
            sources.setdefault(f"{file}/__init__.py", "")
    finder = Path(carried.__file__).read_text(encoding="utf-8")
    tail = _TAIL.format(files=carried.carried(sources), entry=_ENTRY)
    return (finder.replace("\nimport base64\n", f"\n{_HEAD}import base64\n", 1) + tail).encode("utf-8")


def sent_module(checks: t.Iterable[str], loader: t.Any) -> str:
    """The name under which Ansible's module loader finds it from now on. Raises ActionFailed without room for it."""
    wanted = sorted(set(checks))
    folder = os.path.join(run_directory(), "modules")
    name = f"golive_checklist_{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    path = os.path.join(folder, f"{name}.py")
    if not os.path.exists(path):  # the directory is of this run, in which no source changes
        write_file(path, source_with(wanted))
    loader.add_directory(folder)
    # In a role a bare name is looked for among the modules of its collection alone.
    return f"ansible.legacy.{name}"
