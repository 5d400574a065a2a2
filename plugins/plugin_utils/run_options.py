# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that this run was started with, for the commands that are printed for the case that it dies."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible import context

#: What a later playbook of the same release needs of a plain ``-e``; anything else may be a secret, or this run's alone.
_SAID_AGAIN = re.compile(r"golive_version=\S+")


def run_options(arguments: t.Mapping[str, t.Any] | None = None) -> str:
    """Inventory, variable files and vault of this run, as words of a shell; values given inline are not repeated."""
    given = context.CLIARGS if arguments is None else arguments
    words: list[str] = []
    for option, values in (
        ("-i", given.get("inventory")),
        ("-e", [value for value in given.get("extra_vars") or () if _is_repeated(str(value))]),
        ("--vault-password-file", given.get("vault_password_files")),
        ("--vault-id", given.get("vault_ids")),
    ):
        words += [word for value in values or () for word in (option, str(value))]
    words += ["--ask-vault-pass"] if given.get("ask_vault_pass") else []
    return " ".join(map(shlex.quote, words))


def _is_repeated(value: str) -> bool:
    return value.startswith("@") or _SAID_AGAIN.fullmatch(value) is not None
