# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets and personal data by their well-known forms. What matched is never returned, only its kind, or the text without it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import MASK, SHORTEST, spellings

KNOWN = "known secret"
_KEY = r"[A-Za-z0-9_./+=-]"
#: Forms as their issuers document them; each is linear in the text.
_SECRETS: dict[str, str] = {
    "private key": r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
    "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "password in a URL": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"]{0,64}:(?!\*{3}|\*+@)[^\s@/'\"]{1,128}@",
    "authorization header": r"\b(?:Bearer|Basic) (?!\*{3})[A-Za-z0-9._~+/-]{16,}=*",
    "password": r"(?i:(?:password|passwd|passwort|kennwort)[\"']? ?[=:] ?[\"']?)"
    r"(?!\*{3}|\[|<|\{|\$|\(|(?i:none|null|true|false|redacted|hidden|masked)\b)[^\s\"',;&]{4,}",
    "key or token": r"(?i:(?:secret|token|(?:secret|api|access|private|signing|encryption)_?key)[\"']? ?[=:] ?[\"']?)"
    rf"(?=[A-Za-z_./+=-]{{0,64}}\d)(?!\*{{3}}){_KEY}{{16,}}",
}
_PERSONAL: dict[str, str] = {
    "e-mail address": r"(?<![\w.+-])[A-Za-z0-9_][\w.+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}\.[A-Za-z]{2,24}\b",
    "IBAN": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card number": r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-])",
}
#: What a line must hold, in small letters, to be worth a look; a kind without hints is always looked for.
_HINTS: dict[str, tuple[str, ...]] = {
    "private key": ("private key-----",),
    "JSON web token": ("eyj",),
    "AWS access key": ("akia", "asia"),
    "GitHub token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "GitLab token": ("glpat-",),
    "Slack token": ("xox",),
    "Google API key": ("aiza",),
    "Stripe key": ("k_live_",),
    "password in a URL": ("://",),
    "authorization header": ("bearer ", "basic "),
    "password": ("passw", "kennwort"),
    "key or token": ("secret", "token", "key"),
    "e-mail address": ("@",),
}
GROUPS: dict[str, tuple[str, ...]] = {"secrets": tuple(_SECRETS), "personal_data": tuple(_PERSONAL)}


def forms_of(kinds: t.Iterable[str]) -> dict[str, str]:
    """The patterns of these kinds of secrets, for a search elsewhere; they are meant for ASCII."""
    return {kind: _SECRETS[kind] for kind in kinds}


def _luhn(text: str) -> bool:
    digits = [int(letter) for letter in reversed(text) if letter.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return len(set(digits)) > 1 and (sum(digits[::2]) + doubled) % 10 == 0


def _iban(text: str) -> bool:
    letters = text.replace(" ", "")
    turned = letters[4:] + letters[:4]
    return 15 <= len(letters) <= 34 and int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


#: Digits in a row are mostly something else: a check sum has to hold.
_PROVEN: dict[str, t.Callable[[str], bool]] = {"card number": _luhn, "IBAN": _iban}


class Sensitive:
    """Finds what must not be in a text: groups of well-known forms, and secrets that are known."""

    def __init__(self, groups: t.Iterable[str], known: t.Iterable[str] = ()) -> None:
        kinds = [kind for group in groups for kind in GROUPS[group]]
        forms = {**_SECRETS, **_PERSONAL}
        self._patterns = [(kind, re.compile(forms[kind], re.ASCII)) for kind in kinds]
        spelled = {form for secret in known if len(secret) >= SHORTEST for form in spellings(secret)}
        if spelled:
            longest_first = sorted(spelled, key=len, reverse=True)
            self._patterns.insert(0, (KNOWN, re.compile("|".join(re.escape(form) for form in longest_first))))

    def kinds_in(self, text: str) -> list[str]:
        """The kinds that occur in the text."""
        return sorted(self.lines_with([text]))

    def lines_with(self, lines: t.Sequence[str]) -> dict[str, list[int]]:
        """The numbers of the lines in which each kind occurs; kinds that do not occur are left out."""
        whole = "\n".join(lines).lower()
        small: list[str] = []
        found: dict[str, list[int]] = {}
        for kind, pattern in self._patterns:
            hints = [hint for hint in _HINTS.get(kind, ()) if hint in whole]
            if kind in _HINTS and not hints:
                continue
            numbers: t.Iterable[int] = range(len(lines))
            if hints:
                small = small or [line.lower() for line in lines]
                numbers = [number for number, line in enumerate(small) if any(hint in line for hint in hints)]
            seen = [number for number in numbers if self._first(kind, pattern, lines[number])]
            if seen:
                found[kind] = seen
        return found

    @staticmethod
    def _first(kind: str, pattern: re.Pattern[str], text: str) -> bool:
        proven = _PROVEN.get(kind)
        if proven is None:
            return pattern.search(text) is not None
        return any(proven(match[0]) for match in pattern.finditer(text))

    def without(self, text: str) -> str:
        """The text with a mask over everything of these kinds, check sum or not."""
        for _kind, pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text
