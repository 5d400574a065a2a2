# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that looks for secrets, in this process."""

from __future__ import annotations

import base64
import hashlib
import inspect
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import secret_scan
from ansible_collections.opsready.golive.plugins.module_utils._clients.secret_scan import PIECE, Engine, hashed, pieces

KEY = {"private key": "-----BEGIN RSA PRIVATE KEY-----"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(KEY, [])


def rules_in(engine: Engine, text: str, name: str = "a.py") -> list[tuple[int, str]]:
    count, found = engine.in_text(name, list(enumerate(text.split("\n"), 1)))
    assert count == len(found)
    return [(number, rule) for number, rule, _hash in found]


def drawn(size: int) -> str:
    return base64.b64encode(hashlib.shake_256(b"drawn").digest(size)).decode()


@given(st.text(max_size=3 * PIECE))
def test_every_part_of_a_line_is_in_a_piece(line: str) -> None:
    parts = list(pieces(line))
    assert all(len(part) <= PIECE for part in parts)
    assert all(any(line[at : at + 100] in part for part in parts) for at in range(0, len(line), 97))


def test_a_hash_tells_secrets_apart_and_is_no_secret_itself(engine: Engine) -> None:
    one, other = hashed("hunter2"), hashed("hunter3")
    assert one != other
    assert one == hashed("hunter2")
    assert re.fullmatch(r"[0-9a-f]{4}(-[0-9a-f]{4}){3}", one)
    assert not rules_in(engine, f"  - match: {one}\n    rule: Secret Keyword\n", "baseline.yml")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("password = os.environ['PASSWORD']", "a.py"),
        ("password = get_password(user)", "a.py"),
        ("password: ${DB_PASSWORD}", "a.yml"),
        ("password: '{{ vault_password }}'", "a.yml"),
        ("token = '<your token>'", "a.py"),
        ("id: 6f1c1b8e-6b1e-4a53-8e0b-3f5f1a1f7f10", "a.yml"),
        (f'"resolved": "{drawn(40)}"', "package-lock.json"),
        ("", "a.py"),
    ],
)
def test_a_reference_a_place_and_an_identity_are_no_secrets(engine: Engine, text: str, name: str) -> None:
    assert rules_in(engine, text, name) == []


def test_one_secret_is_told_once_by_the_rule_that_knows_it_best(engine: Engine) -> None:
    key = "AKIA" + "Q3EGRJX7TWVN5LKD"
    assert rules_in(engine, f"\naws_secret_key = '{key}'\n") == [(2, "AWS Access Key")]
    assert rules_in(engine, f"password = '{drawn(30)}'") == [(1, "Secret Keyword")]
    assert rules_in(engine, f"connect(password('{key}'), x=call(1))") == [(1, "AWS Access Key")]


def test_two_private_keys_are_not_one(engine: Engine) -> None:
    texts = [f"{KEY['private key']}\n{body}\n" for body in (drawn(40), drawn(41))]
    found = [engine.in_text("key.pem", list(enumerate(text.split("\n"), 1)))[1][0] for text in texts]
    assert [(number, rule) for number, rule, _hash in found] == [(1, "private key")] * 2
    assert found[0][2] != found[1][2]


def test_rules_that_are_ignored_are_not_asked() -> None:
    engine = Engine(KEY, ["Secret Keyword", "private key"])
    assert rules_in(engine, f"password = 'q7Yt2mZ4'\n{KEY['private key']}\n") == []
    assert "Secret Keyword" in engine.rules


def test_nothing_is_asked_over_the_network(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    def refuse(*unused: t.Any, **unused_too: t.Any) -> t.NoReturn:
        raise AssertionError("a request")

    monkeypatch.setattr(requests.sessions.Session, "request", refuse)
    assert rules_in(engine, f"token = 'ghp_{'Ab3dEf9h' * 4}x1Y2'") == [(1, "GitHub Token")]


def test_the_program_stands_alone() -> None:
    assert "ansible_collections" not in inspect.getsource(secret_scan)
