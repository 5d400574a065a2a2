# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that is sent for an acting task, and for a checklist: one that carries all files of ours that it imports.

Ansible parses and packs whatever a module's code imports: half a second for each module of a run. And a host compiles each
packed file twice, in each task. So what is sent carries its files itself (``_core/carried``). A checklist's carries the checks
that its items ask for, and no others.
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


def needed_by(modules: t.Iterable[str]) -> set[str]:
    """These modules below ``plugins``, such as ``modules.release``, and all of ours that they import."""
    needed: set[str] = set()
    wanted = set(modules)
    while wanted:
        needed |= wanted
        wanted = {inner for module in wanted for inner in _imported_by(module)} - needed
    return needed


def source_of(module: str, checks: t.Iterable[str] = ()) -> bytes:
    """The source of a module that does what this one of ``plugins/modules`` does, with these checks."""
    place = _PACKAGE.replace(".", "/")
    sources = {}
    for needed in sorted(needed_by([f"modules.{module}", *(f"module_utils._checks.{check}" for check in checks)])):
        file = f"{place}/{needed.replace('.', '/')}.py"
        sources[file] = _source(needed)
        while "/" in file:
            file = file.rpartition("/")[0]
            sources.setdefault(f"{file}/__init__.py", "")
    finder = Path(carried.__file__).read_text(encoding="utf-8")
    tail = _TAIL.format(files=carried.carried(sources), entry=f"{_PACKAGE}.modules.{module}")
    return (finder.replace("\nimport base64\n", f"\n{_HEAD}import base64\n", 1) + tail).encode("utf-8")


def sent_module(module: str, loader: t.Any, *, checks: t.Iterable[str] = ()) -> str:
    """The name under which Ansible's module loader finds it from now on. Raises ActionFailed without room for it."""
    wanted = sorted(set(checks))
    folder = os.path.join(run_directory(), "modules")
    some = f"_{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}" if wanted else ""
    name = f"golive_{module}{some}"
    path = os.path.join(folder, f"{name}.py")
    if not os.path.exists(path):  # the directory is of this run, in which no source changes
        write_file(path, source_of(module, wanted))
    loader.add_directory(folder)
    # In a role a bare name is looked for among the modules of its collection alone.
    return f"ansible.legacy.{name}"
