"""Login."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from ablage.database import session
from ablage.models import User
from ablage.security import TOKEN_SECONDS, Identity, SignedIn, is_password, issue_token

router = APIRouter(prefix="/auth", tags=["auth"])
SCHEME = "bearer"


class Login(BaseModel):
    username: str
    password: str


@router.post("/login")
def login(credentials: Login, db: Annotated[Session, Depends(session)]) -> dict[str, str | int]:
    user = db.scalar(select(User).where(User.username == credentials.username))
    if user is None or not is_password(credentials.password, user.password_hash):
        raise HTTPException(401, "Benutzername oder Passwort falsch")
    token = issue_token(Identity(user.id, user.username, user.is_admin))
    return {"access_token": token, "token_type": SCHEME, "expires_in": TOKEN_SECONDS}


@router.get("/me")
def me(user: SignedIn) -> dict[str, str | bool]:
    return {"username": user.username, "is_admin": user.is_admin}
