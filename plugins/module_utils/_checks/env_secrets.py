# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are secrets: how hard to guess, whether anybody else has them, and what must be masked."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import typing as t
from urllib.parse import unquote

from ansible_collections.opsready.golive.plugins.module_utils._checks import secret_strength
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_faults import split
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_rules import SECRET_KINDS, Looked
from ansible_collections.opsready.golive.plugins.module_utils._checks.env_sources import Values
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import MissingLibrary
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    holds,
    one_of,
    unknown,
)

_HASHED_FROM = 32
#: A shorter value would mask ordinary words all over the report; that it is short is a finding of its own.
_SHORTEST_LEARNED = 8
_MAKE_ONE = "Make a new one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'."
_MAKE_FERNET_KEY = (
    "A Fernet key is made by cryptography.fernet.Fernet.generate_key(); what an old key encrypted needs the old key."
)


def secret_values(values: Values, rules: t.Iterable[t.Mapping[str, t.Any]]) -> t.Iterator[str]:
    """What must never be printed: secrets, and passwords in addresses, in every place that has them."""
    for rule in rules:
        for value in values.everywhere(rule["name"]):
            if rule["kind"] in SECRET_KINDS and len(value) >= _SHORTEST_LEARNED:
                yield value
            elif rule["kind"] in ("dsn", "url", "origins"):
                parts = split(value)
                password = unquote(parts.password or "") if parts else ""
                if len(password) >= _SHORTEST_LEARNED:
                    yield password


def looked_at(seen: Looked, rule: t.Mapping[str, t.Any], value: str) -> Looked:
    """How strong it is, and of a strong one its fingerprint."""
    placeholder = secret_strength.placeholder_in(value)
    bits = secret_strength.strength_bits(value)
    wrong, unclear = (None, None)
    if rule["kind"] == "fernet":
        try:
            wrong = _fernet_fault(value)
        except MissingLibrary as problem:
            unclear = problem.message.rstrip(".")
    strong = not placeholder and not seen.equals_example and wrong is None and bits >= rule["min_strength_bits"]
    shows_hash = strong and len(value) >= _HASHED_FROM
    return dataclasses.replace(
        seen,
        is_placeholder=placeholder,
        strength_bits=bits,
        wrong=wrong,
        unclear=unclear,
        # The hash of a weak secret is as good as the secret.
        fingerprint=secret_strength.fingerprint(value) if shows_hash else "",
    )


def _fernet_fault(value: str) -> str | None:
    try:
        raw = base64.b64decode(value.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError, UnicodeEncodeError):
        return "is not URL-safe base64"
    if len(raw) != 32:
        return f"holds {len(raw)} bytes, and a Fernet key 32"
    require("cryptography")
    from cryptography.fernet import Fernet

    box = Fernet(value.encode("ascii"))
    return None if box.decrypt(box.encrypt(b"opsready")) == b"opsready" else "does not decrypt what it encrypted"


def judge(rule: t.Mapping[str, t.Any], seen: Looked) -> t.Iterator[Criterion]:
    """Its form or length, where it is from, how hard it is to guess, and whether it is that of the release before."""
    name, level = rule["name"], rule["level"]
    if rule["kind"] == "fernet":
        remedy = _MAKE_FERNET_KEY
        yield _judge_fernet(name, seen, level)
    else:
        remedy = _MAKE_ONE
        yield at_least(f"{name} length", seen.length, rule["min_length"], unit="characters", remedy=remedy, level=level)
    if seen.is_placeholder or seen.equals_example:
        yield _judge_origin(name, seen, remedy, level)
    bits, least = seen.strength_bits, rule["min_strength_bits"]
    yield at_least(f"{name} strength", bits, least, unit="bits (estimated)", remedy=remedy, level=level)
    if rule.get("fingerprint"):
        yield one_of(
            f"{name} fingerprint",
            seen.fingerprint or "none, as it is weak",
            [rule["fingerprint"]],
            level=level,
            remedy="The key has changed: what the old one encrypted or signed can no longer be read.",
        )


def _judge_fernet(name: str, seen: Looked, level: str) -> Criterion:
    if seen.wrong is None and seen.unclear is not None:
        return unknown(f"{name} round trip", f"{name} looks like a Fernet key, but was not tried: {seen.unclear}")
    return holds(
        f"{name} form",
        seen.wrong is None,
        measured="encrypts and decrypts" if seen.wrong is None else "set",
        expected="a Fernet key",
        sentence=f"{name} {seen.wrong}" if seen.wrong is not None else "",
        level=level,
        remedy=_MAKE_FERNET_KEY,
    )


def _judge_origin(name: str, seen: Looked, remedy: str, level: str) -> Criterion:
    what = "a value of the example file" if seen.equals_example else "a placeholder that was never replaced"
    return holds(
        f"{name} origin",
        False,
        measured=what,
        expected="a value of its own",
        sentence=f"{name} is {what}",
        remedy=remedy,
        level=level,
    )
