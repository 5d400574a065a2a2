# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of everything a user can see.

Ansible's own ``no_log`` masks results, but warnings, deprecations and unhandled exceptions bypass it on
ansible-core 2.19 to 2.21. So every user-visible string of this collection passes through a Scrubber, which also knows
each secret in base64 and as JSON, HTML and URLs write it, one inside the other, and passwords inside URLs that nobody
declared. What is cut is scrubbed before it is cut, since half a secret is not recognised.
"""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import html.entities
import json
import re
import threading
import typing as t
from urllib.parse import quote, quote_plus

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

MASK = "********"
#: Shorter values would mask ordinary words; a secret that short is a finding of its own.
SHORTEST = 4
#: A line of a secret of several lines (a private key) is a secret too, unless it is as short as an ordinary word.
_SHORTEST_LINE = 16
# Every pattern is linear in the text: each step of it either ends or leaves the ground it covered behind.
_URL = re.compile(r"://([^\s'\"]+)")
#: An option is a URL or a DSN from end to end: a quote or a blank in its password ends nothing.
_WHOLE_URL = re.compile(r"://(.+)\Z", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}://")
_WHOLE_PASSWORD = re.compile(r"(?P<head>\bpassword\s*=\s*).+\Z", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r"[0-9]{1,5}/")
_LIBPQ_PASSWORD = re.compile(
    r"(?P<head>\bpassword\s*=\s*)(?:'(?:[^'\\]|\\.)*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|[^\s'\"]+)", re.IGNORECASE | re.DOTALL
)
_BEARER = re.compile(r"(?P<head>\b(?:Bearer|Basic)\s+)(?P<password>[A-Za-z0-9._~+/=-]{8,})")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:.*?-----END [A-Z ]{0,40}PRIVATE KEY-----|.*)", re.DOTALL
)
_AGE_IDENTITY = re.compile(r"(?P<head>AGE-SECRET-KEY-)[0-9A-Z]{8,}")
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


#: Three encodings, one inside the other. Each number is bounded, so that a text of nothing else is read in linear time.
_PERCENT = "%(?:25){0,3}"
_BACKSLASH = rf"(?:\\|{_PERCENT}5[cC]|&#(?:92|x5[cC]);)"
_AND = f"(?:&|{_PERCENT}26|{_BACKSLASH}{{1,15}}u0026)(?:amp(?:;|{_PERCENT}3[bB])){{0,3}}"
_END = f"(?:;|{_PERCENT}3[bB])"
_NUMBER = f"(?:#|{_PERCENT}23)"
_CONTROL = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f"}
_PLAIN = re.compile(r"[0-9A-Za-z]+")
_PIECES = re.compile(r"[0-9A-Za-z]+|\\+|.", re.DOTALL)


def _hex(number: int, digits: int) -> str:
    """A pattern of a number in hexadecimal digits of either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{number:0{digits}x}")


def _encoded_character(character: str) -> str:
    """A pattern of all that JSON, HTML and URLs write for a character that is no letter or digit of ASCII."""
    octets, number = _octets(character), ord(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    named = html.entities.codepoint2name.get(number, "apos" if character == "'" else "")
    entity = f"{_NUMBER}(?:0{{0,4}}{number}|[xX]0{{0,4}}{_hex(number, 1)})" + (f"|{named}" if named else "")
    again = f"{_BACKSLASH}{{1,15}}"
    forms = [
        re.escape(character),
        again.join(f"u{_hex(int(units[at : at + 4], 16), 4)}" for at in range(0, len(units), 4)),
        again.join(f"x{_hex(octet, 2)}" for octet in octets),
        "".join(f"{_PERCENT}{_hex(octet, 2)}" for octet in octets),
        f"{_AND}(?:{entity}){_END}",
        f"x{_hex(number, 2)}" if 127 < number < 256 else "",
        rf"\+|{_PERCENT}2[bB]" if character == " " else "",
        f"(?<=[\\\\cC;]){_CONTROL[character]}" if character in _CONTROL else "",
    ]
    return f"{_BACKSLASH}{{0,15}}(?:{'|'.join(filter(None, forms))})"


def encoded(secret: str) -> str:
    """A pattern of the secret as JSON, HTML and URLs write it, each on its own or one inside the other."""
    pieces = []
    for piece in _PIECES.findall(secret):
        if piece[0] == "\\":
            pieces.append(f"{_BACKSLASH}{{{len(piece)},{16 * len(piece)}}}")
        else:
            pieces.append(piece if _PLAIN.fullmatch(piece) else _encoded_character(piece))
    return "".join(pieces)


class _Encoded:
    """A secret that is written in many ways. Their pattern is large, and made where a text holds what all of them share."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        #: The longest part that is the same in each of them.
        self._core = max(_PLAIN.findall(secret), key=len, default="")
        self._pattern: re.Pattern[str] | None = None

    def __len__(self) -> int:
        return len(self._secret)

    def out_of(self, text: str) -> str:
        """The text without it."""
        if self._core in text:
            text = text.replace(self._secret, MASK)
        if self._core not in text:
            return text
        if self._pattern is None:
            self._pattern = re.compile(encoded(self._secret))
        return self._pattern.sub(MASK, text)


class Scrubber:
    """Masks the secrets it was told of, and what looks like one."""

    def __init__(self, secrets: t.Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._encoded: tuple[_Encoded, ...] = ()
        self._forms: set[str] = set()
        self._learning = threading.Lock()
        self.learn(secrets)

    def learn(self, secrets: t.Iterable[str]) -> None:
        """Add secrets; values shorter than four characters are left alone. Any thread may."""
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        known |= {line for secret in known for line in secret.splitlines() if len(line) >= _SHORTEST_LINE}
        told = {form for secret in known for form in spellings(secret)}
        with self._learning:
            # Letters and digits alone are the same in every encoding.
            new = [_Encoded(secret) for secret in sorted(known - self._forms) if not _PLAIN.fullmatch(secret)]
            self._encoded = tuple(sorted((*self._encoded, *new), key=len, reverse=True))
            if not told <= self._forms:
                self._forms |= told
                longest_first = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._encoded:
            text = secret.out_of(text)
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
        if "SECRET-KEY-" in text:
            text = _AGE_IDENTITY.sub(rf"\g<head>{MASK}", text)
        # Half a surrogate pair, as JSON may hold one, is no UTF-8: Ansible would refuse the whole answer.
        return text if text.isascii() else _HALF_A_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)

    def option(self, text: str) -> str:
        """The same for the whole value of an option, which may be a URL or a DSN with any password in it."""
        text = self.text(text)
        if _SCHEME.match(text.lstrip()):
            text = _WHOLE_URL.sub(_without_url_password, text, count=1)
        return _WHOLE_PASSWORD.sub(rf"\g<head>{MASK}", text)

    def value(self, value: t.Any) -> t.Any:
        """The same for anything made of dicts, lists and scalars; other types become text."""
        return _each(value, self.text)

    def options(self, value: t.Any) -> t.Any:
        """The same for what a module was called with."""
        return _each(value, self.option)


def _each(value: t.Any, clean: t.Callable[[str], str]) -> t.Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if isinstance(value, collections.abc.Mapping):
        return {clean(str(key)): _each(item, clean) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(item, clean) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_each(item, clean) for item in value), key=str)
    if isinstance(value, bytes):
        return clean(value.decode("utf-8", "replace"))
    return clean(str(value))


#: The scrubbers of what runs in this process; a module has one.
_IN_USE: list[Scrubber] = []


@contextlib.contextmanager
def in_use(scrubber: Scrubber) -> t.Iterator[None]:
    """While this lasts, :func:`beginning_of` and :func:`end_of` know the scrubber's secrets, in whatever thread."""
    _IN_USE.append(scrubber)
    try:
        yield
    finally:
        _IN_USE.remove(scrubber)


def _scrubbed(text: str) -> str:
    for scrubber in tuple(_IN_USE):
        text = scrubber.text(text)
    return text


def refuse_public_secret(text: str, *, where: str, remedy: str) -> None:
    """Raise BadInput for a command line, or another text that a process shows, with what looks like a password in it."""
    if Scrubber().text(text) != text:
        raise BadInput(
            f"{where} holds what looks like a password, which every user of the host could read.", remedy=remedy
        )


def beginning_of(text: str, most: int) -> str:
    """At most so many characters from the beginning of what a program or server said, cut once no secret is in it."""
    return _scrubbed(text)[:most]


def end_of(text: str, most: int) -> str:
    """The same from its end."""
    return _scrubbed(text)[-most:]


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
