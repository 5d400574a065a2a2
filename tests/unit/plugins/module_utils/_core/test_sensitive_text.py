# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets and personal data are known by their form, and what only looks alike is let through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.sensitive_text import GROUPS, KNOWN, Sensitive

ALL = Sensitive(GROUPS, ["s3cret/väl+ue", "abc"])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("private key", "-----BEGIN PRIVATE KEY-----"),
        ("JSON web token", "auth eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
        ("AWS access key", "key AKIAIOSFODNN7EXAMPLE used"),
        ("GitHub token", "ghp_" + "a1B2" * 9),
        ("GitLab token", "glpat-" + "a1B2" * 5),
        ("Slack token", "xoxb-123456789012-abcdef"),
        ("Google API key", "AIza" + "a1B2c" * 7),
        ("Stripe key", "sk_live_" + "a1B2" * 5),
        ("password in a URL", "postgresql+asyncpg://app:hunter2@db:5432/archive"),
        ("password in a URL", "redis://:hunter2@broker"),
        ("authorization header", "Authorization: Basic dXNlcjpwYXNzd29yZA=="),
        ("password", "login with password=hunter2"),
        ("password", '{"db_password": "hunter2"}'),
        ("password", "Kennwort: geheim1"),
        ("key or token", "SECRET_KEY=0123456789abcdef0123456789abcdef"),
        ("key or token", '"access_token": "a1b2c3d4e5f6a7b8c9"'),
        ("e-mail address", "to anna.beispiel+x@mail.example.org"),
        ("IBAN", "von DE89370400440532013000"),
        ("card number", "card 4111-1111-1111-1111"),
        (KNOWN, "value s3cret/väl+ue"),
        (KNOWN, "quoted s3cret%2Fv%C3%A4l%2Bue"),
    ],
)
def test_each_kind_is_found_and_masked(kind: str, text: str) -> None:
    assert kind in ALL.kinds_in(text)
    assert kind not in ALL.kinds_in(ALL.without(text))


@pytest.mark.parametrize(
    "text",
    [
        "password changed for user 7",
        "password=******** accepted",
        "password: null",
        "password=[FILTERED]",
        "password=${DB_PASSWORD}",
        "token expired after 3600 seconds",
        "token=abcdefghijklmnopqrstuvwxyz",
        "postgresql://app:***@db/archive",
        "Connected to redis://:**@127.0.0.1:6379/0",
        "postgresql://app@db:5432/archive",
        "GET https://example.org:8443/a@b",
        "order 1234567890123456 shipped",
        "card 4111-1111-1111-1112",
        "0000000000000000",
        "DE00370400440532013000",
        "commit 3b9a1c2d4e5f60718293a4b5c6d7e8f901234567",
        "Bearer token missing",
        "abc",
        "2026-11-22T05:01:02.123456Z",
    ],
)
def test_what_only_looks_alike_is_let_through(text: str) -> None:
    assert ALL.kinds_in(text) == []


def test_only_the_groups_asked_for_are_looked_for() -> None:
    assert Sensitive(["secrets"]).kinds_in("to anna@example.org") == []
    assert Sensitive([]).kinds_in("password=hunter2") == []


@given(before=st.text(max_size=40), after=st.text(max_size=40))
def test_a_known_secret_is_found_whatever_stands_around_it(before: str, after: str) -> None:
    text = f"{before}s3cret/väl+ue{after}"
    assert KNOWN in ALL.kinds_in(text)
    assert "s3cret/väl+ue" not in ALL.without(text)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "://" * 30_000, "1 " * 50_000, "password" * 10_000, "@a." * 30_000, "eyJ." * 20_000]
)
def test_a_long_line_of_one_kind_does_not_take_long(text: str) -> None:
    assert isinstance(ALL.without(text), str)
    assert isinstance(ALL.kinds_in(text), list)
