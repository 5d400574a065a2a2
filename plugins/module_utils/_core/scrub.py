# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of everything a user can see.

Ansible's own ``no_log`` masks results, but warnings, deprecations and unhandled exceptions bypass it on
ansible-core 2.19 to 2.21. So every user-visible string of this collection passes through a Scrubber, which also knows
the URL-quoted and base64 forms of each secret, and passwords inside URLs that nobody declared.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import typing as t
from urllib.parse import quote, quote_plus

MASK = "********"
#: Shorter values would mask ordinary words; a secret that short is a finding of its own.
SHORTEST = 4
#: A line of a secret of several lines (a private key) is a secret too, unless it is as short as an ordinary word.
_SHORTEST_LINE = 16
# Every pattern is linear in the text: each step of it either ends or leaves the ground it covered behind.
_URL = re.compile(r"://([^\s'\"]+)")
_PORT = re.compile(r"[0-9]{1,5}/")
_LIBPQ_PASSWORD = re.compile(
    r"(?P<head>\bpassword\s*=\s*)(?:'(?:[^'\\]|\\.)*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|[^\s'\"]+)", re.IGNORECASE | re.DOTALL
)
_BEARER = re.compile(r"(?P<head>\b(?:Bearer|Basic)\s+)(?P<password>[A-Za-z0-9._~+/=-]{8,})")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:.*?-----END [A-Z ]{0,40}PRIVATE KEY-----|.*)", re.DOTALL
)
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def _without_url_password(match: re.Match[str]) -> str:
    """Everything between the first colon and the last @: an unquoted password may hold both."""
    before, at, host = match[1].rpartition("@")
    user, colon, password = before.partition(":")
    is_port = _PORT.match(password) or "/" in user  # https://host:8443/@me has no password
    return f"://{user}:{MASK}@{host}" if at and colon and password and not is_port else match[0]


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, as JSON may hold it
        return text.encode("utf-8", "surrogatepass")


def spellings(secret: str) -> set[str]:
    """The forms in which a secret may turn up: as it is, JSON-escaped, URL-quoted, base64 at each alignment."""
    raw = _octets(secret)
    quoted = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= quoted | {re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), form) for form in quoted}
    for shift in range(3):
        # Inside a longer base64 text (user:password) the secret may begin at any of three alignments;
        # the characters that depend on its neighbours are cut off.
        coded = base64.b64encode(b"\0" * shift + raw).decode("ascii").rstrip("=")
        core = coded[{0: 0, 1: 2, 2: 3}[shift] :]
        if (shift + len(raw)) % 3:
            core = core[:-1]
        if len(core) >= 8:
            forms.add(core)
            forms.add(core.replace("+", "-").replace("/", "_"))
    return {form for form in forms if len(form) >= SHORTEST}


class Scrubber:
    """Masks the secrets it was told of, and what looks like one."""

    def __init__(self, secrets: t.Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._forms: set[str] = set()
        self._learning = threading.Lock()
        self.learn(secrets)

    def learn(self, secrets: t.Iterable[str]) -> None:
        """Add secrets; values shorter than four characters are left alone. Any thread may."""
        told: set[str] = set()
        for secret in secrets:
            if len(secret) >= SHORTEST:
                told |= spellings(secret)
            for line in secret.splitlines():
                if len(line) >= _SHORTEST_LINE:
                    told |= spellings(line)
        with self._learning:
            if not told <= self._forms:
                self._forms |= told
                longest_first = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        if "://" in text:
            text = _URL.sub(_without_url_password, text)
        if "assword" in text or "ASSWORD" in text:
            text = _LIBPQ_PASSWORD.sub(rf"\g<head>{MASK}", text)
        if "earer" in text or "asic" in text:
            text = _BEARER.sub(rf"\g<head>{MASK}", text)
        if "PRIVATE KEY" in text:
            text = _PRIVATE_KEY.sub(f"({MASK} private key)", text)
        # Half a surrogate pair, as JSON may hold one, is no UTF-8: Ansible would refuse the whole answer.
        return text if text.isascii() else _HALF_A_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)

    def value(self, value: t.Any) -> t.Any:
        """The same for anything made of dicts, lists and scalars; other types become text."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (bool, int, float)) or value is None:
            return value
        if isinstance(value, t.Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted((self.value(item) for item in value), key=str)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        return self.text(str(value))


def bounded(value: t.Any, *, text: int = 2000, items: int = 100) -> t.Any:
    """Cut long strings and lists so that evidence stays small; what was cut is said in its place."""
    if isinstance(value, str):
        return value if len(value) <= text else f"{value[:text]}… ({len(value) - text} more characters)"
    if isinstance(value, dict):
        kept = {key: bounded(item, text=text, items=items) for key, item in list(value.items())[:items]}
        if len(value) > items:
            kept["…"] = f"{len(value) - items} more"
        return kept
    if isinstance(value, list):
        kept_items = [bounded(item, text=text, items=items) for item in value[:items]]
        return [*kept_items, f"… {len(value) - items} more"] if len(value) > items else kept_items
    return value
