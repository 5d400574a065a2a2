"""Passwords and tokens: what was issued opens, and nothing else does."""

from __future__ import annotations

import pytest
from ablage import security
from fastapi import HTTPException
from fastapi.security import HTTPAuthorizationCredentials

ANNA = security.Identity(7, "anna", is_admin=False)


def bearer(token: str) -> HTTPAuthorizationCredentials:
    return HTTPAuthorizationCredentials(scheme="Bearer", credentials=token)


def test_a_password_is_known_again_and_another_is_not() -> None:
    stored = security.hash_password("richtig")
    assert security.is_password("richtig", stored)
    assert not security.is_password("falsch", stored)
    assert stored != security.hash_password("richtig"), "the salt is new each time"


def test_a_token_says_who_it_was_issued_to() -> None:
    assert security.current_user(bearer(security.issue_token(ANNA))) == ANNA


@pytest.mark.parametrize("token", ["", "x.y.z", "expired"])
def test_no_token_or_a_bad_one_is_refused(token: str) -> None:
    credentials = bearer(security.issue_token(ANNA, -1) if token == "expired" else token) if token else None
    with pytest.raises(HTTPException) as refused:
        security.current_user(credentials)
    assert refused.value.status_code == 401


def test_the_administration_is_for_administrators() -> None:
    with pytest.raises(HTTPException) as refused:
        security.current_admin(ANNA)
    assert refused.value.status_code == 403
    assert security.current_admin(security.Identity(1, "verwaltung", is_admin=True)).is_admin
