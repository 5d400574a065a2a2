# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries are imported where they are used, and a missing one says what to do.

The floors live here and nowhere else; each exists for Python 3.9.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import sysconfig
import types

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import MissingLibrary
from ansible_collections.opsready.golive.plugins.module_utils._core.versions import is_at_least

#: import name -> (name on PyPI, lowest version that works)
FLOORS: dict[str, tuple[str, str]] = {
    "boto3": ("boto3", "1.34"),
    "cryptography": ("cryptography", "42.0"),
    "detect_secrets": ("bc-detect-secrets", "1.5.52"),
    "dns": ("dnspython", "2.6"),
    "pglast": ("pglast", "7.20"),
    "psycopg": ("psycopg[binary]", "3.1"),
    "pynvml": ("nvidia-ml-py", "12.535.108"),
    "pyrage": ("pyrage", "1.2.3"),
    "redis": ("redis", "5.0"),
    "yaml": ("PyYAML", "6.0"),
}

#: import name -> (a version of Python, the first version of the library that has no wheel for what is older)
CEILINGS: dict[str, tuple[tuple[int, int], str]] = {"pglast": ((3, 10), "8")}


def _wanted(name: str) -> str:
    package, floor = FLOORS[name]
    python, ceiling = CEILINGS.get(name, ((0, 0), ""))
    return f"'{package}>={floor}" + (f",<{ceiling}'" if sys.version_info < python else "'")


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package.partition("[")[0])
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _how_to_install(wanted: str) -> str:
    """The command for this interpreter; pip refuses to install into one that the system's packages manage (PEP 668)."""
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and os.path.exists(marker):
        return (
            f"This Python belongs to the system's packages, so make another: {sys.executable} -m venv /opt/golive && "
            f"/opt/golive/bin/pip install {wanted}, and set ansible_python_interpreter of the host to /opt/golive/bin/python."
        )
    return f"Install it there: {sys.executable} -m pip install {wanted}."


def require(name: str) -> types.ModuleType:
    """Import a third-party library, or raise MissingLibrary naming package, minimum, interpreter and host."""
    package, floor = FLOORS[name]
    where = f"{sys.executable} (Python {platform.python_version()}) on {platform.node()}"
    remedy = _how_to_install(_wanted(name))
    try:
        library = importlib.import_module(name)
    except ImportError as problem:
        text = f"The Python library {package} >= {floor} is missing for {where}: {problem}."
        raise MissingLibrary(text, remedy=remedy) from None
    said = getattr(library, "__version__", None)  # detect_secrets has a module of this name
    found = said if isinstance(said, str) else _installed(package)
    if not is_at_least(found, floor):
        raise MissingLibrary(
            f"The Python library {package} is {found} for {where}, but {floor} is needed.", remedy=remedy
        )
    return library
