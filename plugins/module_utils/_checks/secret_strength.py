# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard is a secret to guess? Estimated from what it is made of, and never told by showing it."""

from __future__ import annotations

import hashlib
import math
import re
import zlib

#: Left over from examples; as a part of any value they condemn it. Compared without case, blanks, - and _.
_PLACEHOLDERS = (
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "placeholder",
    "insecure",
    "yoursecret",
    "yourkey",
    "yourpassword",
    "supersecret",
    "notsecret",
    "setthis",
    "fillin",
    "generateme",
    "example.com",
    "bitteaendern",
    "bitteändern",
)
#: Add nothing to the strength of a value that contains them.
_WORDS = re.compile(
    r"password|passwort|passwd|secret|geheim|admin|token|default|example|production|prod|test|dummy|dev|local|letmein|"
    r"qwerty|qwertz|welcome|key|jwt|api|app|user|root|abc|123456789|12345678|1234567|123456|12345|1234|0000",
    re.IGNORECASE,
)


def placeholder_in(value: str) -> bool:
    """Whether the value is one that was meant to be replaced, ``<like this>`` or ``change-me``."""
    squeezed = re.sub(r"[\s_-]", "", value.lower())
    return (
        any(word in squeezed for word in _PLACEHOLDERS)
        or re.fullmatch(r"<.*>|\{\{.*\}\}|\$\{.*\}|x{4,}", squeezed) is not None
    )


def strength_bits(value: str) -> int:
    """An estimate of the entropy in bits, from below: known words count nothing, repetition and sequences little."""
    rest = _WORDS.sub("", value)
    if not rest:
        return 0
    counts = [rest.count(character) for character in set(rest)]
    by_frequency = -sum(count * math.log2(count / len(rest)) for count in counts)
    steps = sum(1 for one, two in zip(rest, rest[1:]) if ord(two) - ord(one) in (0, 1, -1))
    # What deflate can shorten was not random; it needs some length before that says anything.
    squeezed = len(zlib.compress(rest.encode("utf-8", "replace"), 9)) - 11
    by_repetition = squeezed * 8 if len(rest) >= 24 else math.inf
    share_of_sequences = steps / max(1, len(rest) - 1)
    by_order = by_frequency * (1 - share_of_sequences) if share_of_sequences > 0.7 else by_frequency
    return int(min(by_frequency, by_repetition, by_order))


def fingerprint(value: str) -> str:
    """Eight hex digits of the SHA-256. Only for strong secrets: those of a weak one can be looked up."""
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:8]
