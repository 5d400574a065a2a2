# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strength of secrets: random ones pass, those that people type do not."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks.secret_strength import (
    fingerprint,
    placeholder_in,
    strength_bits,
)


@given(st.binary(min_size=16, max_size=16))
def test_no_estimate_is_above_what_the_length_can_hold(octets: bytes) -> None:
    assert 0 <= strength_bits(octets.hex()) <= 128


def test_random_secrets_are_strong() -> None:
    for _turn in range(200):
        assert strength_bits(secrets.token_hex(32)) >= 128
        assert strength_bits(secrets.token_urlsafe(32)) >= 128
        assert strength_bits(f"geheim-jwt-{secrets.token_hex(16)}") >= 64


@pytest.mark.parametrize(
    "value",
    [
        "a" * 64,
        "password" * 8,
        "0123456789" * 6,
        "abcdefghijklmnopqrstuvwxyz012345",
        "Password123!Password123!Password123!",
        "",
    ],
)
def test_long_but_guessable_values_are_weak(value: str) -> None:
    assert strength_bits(value) < 64


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=6), st.integers(6, 40))
def test_repeating_a_short_word_does_not_make_it_strong(word: str, times: int) -> None:
    assert strength_bits(word * times) < 64


@pytest.mark.parametrize(
    "value",
    [
        "change-me-in-production",
        "CHANGE_ME",
        "your-secret-key-here",
        "<insert key>",
        "{{ secret }}",
        "${SECRET}",
        "xxxxxxxx",
        "replace this",
    ],
)
def test_placeholders_are_known(value: str) -> None:
    assert placeholder_in(value)


def test_random_values_are_no_placeholders() -> None:
    assert not any(placeholder_in(secrets.token_urlsafe(48)) for _turn in range(500))


def test_a_fingerprint_is_eight_digits_of_the_sha256() -> None:
    assert fingerprint("abc") == "ba7816bf"
