# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python files that a module carries in its own text, and from which it imports.

What Ansible packs beside a module is imported from a zip file, whose importer compiles each source twice: the first time only to
learn its path. ``plugin_utils/sent_module`` writes what is below, and the files, into what it sends.
"""

from __future__ import annotations

import base64
import importlib.machinery
import json
import sys
import typing as t
import zlib


class _Loader(importlib.machinery.SourceFileLoader):
    """A loader of one source that is in no file system."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_data(self, path: str) -> bytes:  # what compiles it asks here, and inspect.getsource
        return self._source.encode("utf-8")

    def path_stats(self, path: str) -> t.NoReturn:
        raise OSError(f"{path} has no place for its bytecode")


class _Finder:
    """A finder over sources by their path, such as ``ansible_collections/opsready/__init__.py``."""

    def __init__(self, sources: t.Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, path: t.Any = None, target: t.Any = None) -> importlib.machinery.ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        place = name.replace(".", "/")
        for file, is_package in ((f"{place}.py", False), (f"{place}/__init__.py", True)):
            if file in self._sources:
                loader = _Loader(name, file, self._sources[file])
                spec = importlib.machinery.ModuleSpec(name, loader, origin=file, is_package=is_package)
                spec.has_location = True
                return spec
        return None


def carried(sources: t.Mapping[str, str]) -> str:
    """The sources as one text."""
    return base64.b64encode(zlib.compress(json.dumps(sources).encode())).decode()


def import_from(text: str) -> None:
    """From now on import from what ``carried`` made a text of, before all else."""
    sys.meta_path.insert(0, t.cast(t.Any, _Finder(json.loads(zlib.decompress(base64.b64decode(text))))))
