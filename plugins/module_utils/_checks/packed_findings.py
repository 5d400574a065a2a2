# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings on their way from the host to the controller: one text that Ansible has nothing to look into.

Ansible walks through whatever a module returns, value by value and on both ends; for the findings of 100 items that takes
longer than for the checks to judge them.
"""

from __future__ import annotations

import base64
import binascii
import json
import typing as t
import zlib

from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import SHORTEST

#: What a host may make of its few kilobytes: more is no answer of ours.
_MOST_BYTES = 1 << 28

Findings = t.List[t.Dict[str, t.Any]]


def packed(findings: Findings, secrets: t.Sequence[str]) -> str | Findings:
    """The findings, scrubbed before, as a text; as they are where Ansible's own masking of ``secrets`` is needed.

    That is for those too short for the scrubber, and for one that the text happens to hold: masked, nobody could read it.
    """
    text = base64.b64encode(zlib.compress(json.dumps(findings).encode(), 1)).decode()
    needs_masking = any(len(secret) < SHORTEST or secret in text for secret in secrets)
    return findings if needs_masking else text


def unpacked(answer: t.Any) -> list[t.Any]:
    """What :func:`packed` made; nothing where it cannot be read."""
    if isinstance(answer, list):
        return answer
    try:
        findings = foreign_json.read(
            zlib.decompressobj().decompress(base64.b64decode(str(answer), validate=True), _MOST_BYTES)
        )
    except (ValueError, binascii.Error, zlib.error):
        return []
    return findings if isinstance(findings, list) else []
