# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a server says moves the operator's cursor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.plugin_utils.terminal import printable


def test_what_moves_a_cursor_is_written_out() -> None:
    assert printable("a\x1b[2J\x07b\rc\x9b1m\u202ed") == r"a\x1b[2J\x07b\rc\x9b1m\u202ed"
    assert printable("größer\n\t✓ 🐘") == "größer\n\t✓ 🐘"


@given(st.text())
def test_no_control_character_is_left_and_no_other_text_is_changed(text: str) -> None:
    told = printable(text)
    assert not any((ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160 for one in told)
    assert printable(told) == told
