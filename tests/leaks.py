# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for a secret in a text, in every form in which a program is known to print one."""

from __future__ import annotations

import base64
import json
import typing as t
import urllib.parse


def forms_of(secret: str) -> dict[str, str]:
    """The secret as it is, URL-quoted, base64 and JSON-escaped, by the name of the form."""
    raw = secret.encode()
    return {
        "plain": secret,
        "URL-quoted": urllib.parse.quote(secret, safe=""),
        "URL-quoted for a form": urllib.parse.quote_plus(secret),
        "base64": base64.b64encode(raw).decode().rstrip("="),
        "URL-safe base64": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "JSON-escaped": json.dumps(secret)[1:-1],
    }


def leaks(secrets: t.Iterable[str], text: str) -> list[str]:
    """Names of the forms found, each with the place: never the secret itself."""
    found = []
    for number, secret in enumerate(secrets):
        for form, written in forms_of(secret).items():
            at = text.find(written) if written else -1
            if at >= 0:
                around = text[max(0, at - 80) : at] + "<SECRET>" + text[at + len(written) : at + len(written) + 40]
                found.append(f"secret {number} ({form}): …{around}…")
    return found


def assert_no_leak(secrets: t.Iterable[str], text: str, where: str) -> None:
    found = leaks(secrets, text)
    assert not found, f"{where} shows a secret: {found}"
