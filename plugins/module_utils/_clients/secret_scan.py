# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find secrets in lines with the rules of detect-secrets, in a process of its own, and tell where they are but not what they are.

This file's source is that process's program: it imports nothing of the collection. Its first line of input is its setup, each
further one a text; it answers each text with one line. Nothing is asked over the network: verification is off.

detect-secrets reads files by itself, but passes over those that are not UTF-8 without a word, and over lines that say so in a
comment. So it is given lines, and of its filters only those that look at what was found.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import typing as t

#: A line is searched in pieces of this size, so that a pattern that backtracks has little to do so in.
PIECE = 4096
_OVERLAP = 512
#: Of one text so many are told.
MOST_FOUND = 100
#: It looks for the key below the mark, and so line by line for nothing: the mark itself is among the forms.
_LEFT_OUT = "Private Key"
#: Rules that guess by a name or by disorder come last, in this order.
_KEYWORD = "Secret Keyword"
_GUESSING = (_KEYWORD, "Base64 High Entropy String", "Hex High Entropy String")
#: What holds no word of this length holds no secret that has a form.
_LONG_WORD = re.compile(r"\S{10}")


def hashed(secret: str) -> str:
    """What tells one secret from another. It is slow to compute, since a weak password could be guessed by it."""
    told = hashlib.pbkdf2_hmac("sha256", secret.encode("utf-8", "surrogatepass"), b"opsready.golive", 10_000, 8).hex()
    return "-".join(told[at : at + 4] for at in range(0, 16, 4))


def pieces(line: str) -> t.Iterator[str]:
    """The line, or pieces of it that overlap."""
    for start in range(0, max(1, len(line) - _OVERLAP), PIECE - _OVERLAP):
        yield line[start : start + PIECE]


class Engine:
    """The rules: forms first, then those of detect-secrets, and those that guess last."""

    def __init__(self, forms: t.Mapping[str, str], ignored: t.Collection[str]) -> None:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.filters import heuristic
        from detect_secrets.plugins import keyword
        from detect_secrets.settings import get_plugins, transient_settings

        self._heuristic = heuristic
        used = [{"name": kind.__name__} for kind in get_mapping_from_secret_type_to_class().values()]
        with transient_settings({"plugins_used": used, "filters_used": []}):
            plugins = [plugin for plugin in get_plugins() if plugin.secret_type != _LEFT_OUT]
        order = {rule: place for place, rule in enumerate(_GUESSING, 1)}
        plugins.sort(key=lambda plugin: (order.get(plugin.secret_type, 0), plugin.secret_type))
        self._keyword = re.compile("|".join(keyword.DENYLIST), re.IGNORECASE)
        self.rules = [*forms, *(plugin.secret_type for plugin in plugins)]
        self._forms = [(rule, re.compile(form, re.ASCII)) for rule, form in forms.items() if rule not in ignored]
        self._plugins = [plugin for plugin in plugins if plugin.secret_type not in ignored]

    def in_text(self, name: str, numbered: t.Iterable[tuple[int, str]]) -> tuple[int, list[tuple[int, str, str]]]:
        """How many there are, and line, rule and hash of the first."""
        found: dict[tuple[int, str, str], None] = {}
        count = 0
        listed = list(numbered)
        for (number, line), (_next, below) in zip(listed, [*listed[1:], (0, "")]):
            seen: list[str] = []
            for piece in pieces(line):
                for rule, secret in self._in_piece(name, piece, below):
                    if any(secret in other or other in secret for other in seen):
                        continue
                    seen.append(secret)
                    count += 1
                    if count <= MOST_FOUND:
                        found[number, rule, hashed(secret)] = None
        return count, list(found)

    def _in_piece(self, name: str, piece: str, below: str) -> t.Iterator[tuple[str, str]]:
        has_keyword, has_long_word = self._keyword.search(piece), _LONG_WORD.search(piece)
        for rule, form in self._forms if has_long_word else ():
            for match in form.finditer(piece):
                # Of a private key the mark is the same in all files; what tells it from others begins below.
                yield rule, match[0] + (below if match.end() == len(piece.rstrip()) else "")
        for plugin in self._plugins:
            if not (has_keyword if plugin.secret_type == _KEYWORD else has_long_word):
                continue
            secrets = {
                each.secret_value for each in plugin.analyze_line(filename=name, line=piece, line_number=1) or ()
            }
            for secret in sorted(secrets):
                if secret and not self._is_none(plugin, name, piece, secret):
                    yield plugin.secret_type, secret

    def _is_none(self, plugin: t.Any, name: str, piece: str, secret: str) -> bool:
        """Whether it only looks like a secret: a place for one, a name of one, or an identity."""
        filters = self._heuristic
        return bool(
            filters.is_sequential_string(secret)
            or filters.is_potential_uuid(secret)
            or filters.is_templated_secret(secret)
            or filters.is_prefixed_with_dollar_sign(secret)
            or filters.is_not_alphanumeric_string(secret)
            or filters.is_likely_id_string(secret, piece, plugin)
            or (plugin.secret_type == _KEYWORD and filters.is_indirect_reference(piece))
            or (plugin.secret_type in _GUESSING and filters.is_lock_file(name))
        )


def main() -> None:
    """Answer until there are no more texts."""
    setup = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = setup["path"]
    engine = Engine(setup["forms"], setup["ignored"])
    sys.stdout.write(json.dumps(engine.rules) + "\n")
    for line in sys.stdin.buffer:
        name, numbered = json.loads(line)
        sys.stdout.write(json.dumps(engine.in_text(name, numbered)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
