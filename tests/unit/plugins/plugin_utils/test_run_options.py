# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed for the case that a run dies can be pasted, and holds nothing that was given inline but the version."""

from __future__ import annotations

import pytest

from ansible_collections.opsready.golive.plugins.plugin_utils.run_options import run_options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, ""),
        (
            {"inventory": ("hosts.yml", "more hosts.yml"), "extra_vars": ("@system.yml", "@check list.yml")},
            "-i hosts.yml -i 'more hosts.yml' -e @system.yml -e '@check list.yml'",
        ),
        (
            {"extra_vars": ("golive_version=2.0.0", "golive_takeover=r1", "pw=canary", '{"a": "canary"}', "golive_version=1 pw=canary")},
            "-e golive_version=2.0.0",
        ),
        (
            {"vault_password_files": ("/run/key",), "vault_ids": ("prod@prompt",), "ask_vault_pass": True},
            "--vault-password-file /run/key --vault-id prod@prompt --ask-vault-pass",
        ),
    ],
)  # fmt: skip
def test_what_a_later_playbook_needs_is_said_again(arguments: dict[str, object], said: str) -> None:
    assert run_options(arguments) == said
