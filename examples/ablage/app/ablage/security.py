"""Who is asking: password hashes, tokens, and the dependencies that demand them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Annotated

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ablage.settings import load

TOKEN_SECONDS = 12 * 3600
_bearer = HTTPBearer(auto_error=False)


@dataclass(frozen=True)
class Identity:
    user_id: int
    username: str
    is_admin: bool


def _derive(password: str, salt: bytes) -> bytes:
    peppered = hmac.digest(load().secret_key.encode(), password.encode(), "sha256")
    return hashlib.scrypt(peppered, salt=salt, n=2**13, r=8, p=1)


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_derive(password, salt).hex()}"


def is_password(password: str, stored: str) -> bool:
    _unused, salt, digest = stored.split("$")
    return hmac.compare_digest(_derive(password, bytes.fromhex(salt)).hex(), digest)


def issue_token(identity: Identity, seconds: int = TOKEN_SECONDS) -> str:
    now = int(time.time())
    claims = {
        "sub": str(identity.user_id),
        "name": identity.username,
        "admin": identity.is_admin,
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode(claims, load().jwt_secret_key, algorithm="HS256")


def current_user(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Identity:
    if credentials is None:
        raise HTTPException(401, "Anmeldung erforderlich", {"WWW-Authenticate": "Bearer"})
    try:
        claims = jwt.decode(credentials.credentials, load().jwt_secret_key, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Anmeldung ungültig oder abgelaufen", {"WWW-Authenticate": "Bearer"}) from None
    return Identity(int(claims["sub"]), claims["name"], bool(claims["admin"]))


def current_admin(user: Annotated[Identity, Depends(current_user)]) -> Identity:
    if not user.is_admin:
        raise HTTPException(403, "Nur für die Verwaltung")
    return user


SignedIn = Annotated[Identity, Depends(current_user)]
Admin = Annotated[Identity, Depends(current_admin)]
