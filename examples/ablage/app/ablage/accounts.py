"""Create or update accounts: `python -m ablage.accounts`, one JSON object {username, password, is_admin} a line on stdin.

Prints {username: token} with tokens for TOKEN_DAYS, so that an installation starts with usable credentials.
"""

from __future__ import annotations

import json
import sys

from sqlalchemy import select

from ablage.database import session_factory
from ablage.models import User
from ablage.security import Identity, hash_password, issue_token

TOKEN_DAYS = 30


def main() -> None:
    tokens: dict[str, str] = {}
    with session_factory()() as session:
        for line in sys.stdin:
            account = json.loads(line)
            user = session.scalar(select(User).where(User.username == account["username"]))
            if user is None:
                user = User(username=account["username"])
                session.add(user)
            user.password_hash = hash_password(account["password"])
            user.is_admin = bool(account.get("is_admin", False))
            session.flush()
            identity = Identity(user.id, user.username, user.is_admin)
            tokens[user.username] = issue_token(identity, TOKEN_DAYS * 86400)
        session.commit()
    json.dump(tokens, sys.stdout)


if __name__ == "__main__":
    main()
