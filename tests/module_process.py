# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module's real ``main()``: arguments come on standard input, its answer goes to standard output.

python -m tests.module_process MODULE < arguments.json
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import typing as t

COLLECTION = "ansible_collections.opsready.golive"


@contextlib.contextmanager
def module_arguments(arguments: dict[str, t.Any]) -> t.Iterator[None]:
    """Let the next ``AnsibleModule`` read these arguments, on every supported ansible-core."""
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:
        from ansible.module_utils import basic

        before = getattr(basic, "_ANSIBLE_ARGS", None)
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before
    else:
        with patch_module_args(arguments), _away_from_the_controller():
            yield


@contextlib.contextmanager
def _away_from_the_controller() -> t.Iterator[None]:
    """A test before may have imported controller code, and a module's warnings would then go to the controller's display."""
    internals = sys.modules.get("ansible.module_utils._internal")
    before = getattr(internals, "is_controller", None)
    if internals is None or before is None:
        yield
        return
    internals.is_controller = False  # type: ignore[attr-defined]  # it exists where it was read just before
    try:
        yield
    finally:
        internals.is_controller = before  # type: ignore[attr-defined]  # as above


def main() -> None:
    name = sys.argv[1]
    arguments = json.load(sys.stdin)
    with module_arguments(arguments):
        importlib.import_module(f"{COLLECTION}.plugins.modules.{name}").main()


if __name__ == "__main__":
    main()
