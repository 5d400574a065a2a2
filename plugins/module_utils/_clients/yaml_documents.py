# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read YAML that somebody else wrote: plain types only, no key twice, and no more than it seems to hold.

PyYAML takes the last of two equal keys without a word, and an alias of an alias of an alias costs nothing until it is walked.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer

#: How many values a document may have once its aliases are followed.
_MOST_VALUES = 1_000_000
#: How deep it may be nested: libyaml's loader needs the stack for it, and ends the process where there is no more.
_DEEPEST = 100


@dataclasses.dataclass(frozen=True)
class Document:
    """One document of a file, in plain types, and the line it begins in."""

    line: int
    content: t.Any


def read_documents(text: str, *, where: str, deadline: Deadline) -> list[Document]:
    """All documents that are not empty. Raises UnexpectedAnswer naming ``where`` and the line, MissingLibrary, TimedOut."""
    yaml = require("yaml")
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = []
    loader = None
    try:
        _require_flat(yaml, yaml.parse(text, Loader=kind), where)
        loader = kind(text)
        while loader.check_node():
            deadline.require(f"Reading {where}")
            node = loader.get_node()
            _require_plain(node, where, _Counted({}, set()))
            content = loader.construct_document(node)
            if content is not None:
                documents.append(Document(node.start_mark.line + 1, content))
    except yaml.YAMLError as problem:
        if "nesting depth" in str(problem):  # PyYAML 6.0.4 and later have a bound of their own
            raise UnexpectedAnswer(f"{where} is nested too deeply to be read.")
        raise UnexpectedAnswer(f"{where} is not YAML{_place(problem)}.")
    except (ValueError, OverflowError) as problem:  # a date or number that there is none of
        raise UnexpectedAnswer(f"{where} has a value that cannot be read: {problem}.")
    finally:
        if loader is not None:
            loader.dispose()
    return documents


def _require_flat(yaml: t.Any, events: t.Iterable[t.Any], where: str) -> None:
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise UnexpectedAnswer(f"{where} is nested too deeply to be read (line {event.start_mark.line + 1}).")


def _place(problem: t.Any) -> str:
    """Where and why; the text around it is left out, since it may be a secret."""
    mark = getattr(problem, "problem_mark", None)
    line = f" (line {mark.line + 1})" if mark is not None else ""
    return f"{line}: {getattr(problem, 'problem', None) or 'it cannot be read'}"


class _Counted(t.NamedTuple):
    """How many values each node holds with its aliases followed, and the nodes that are being counted."""

    values: dict[int, int]
    open: set[int]


def _require_plain(node: t.Any, where: str, counted: _Counted) -> int:
    """How many values the node holds. Raises UnexpectedAnswer for a key that comes twice, a loop, and too many values."""
    if id(node) in counted.values:
        return counted.values[id(node)]
    line = node.start_mark.line + 1
    if id(node) in counted.open:
        raise UnexpectedAnswer(f"{where} holds a part of itself (line {line}).")
    counted.open.add(id(node))
    children = [] if isinstance(node.value, str) else node.value
    if children and isinstance(children[0], tuple):
        seen: set[tuple[str, str]] = set()
        for key, _value in children:
            if isinstance(key.value, str) and (key.tag, key.value) in seen:
                raise UnexpectedAnswer(
                    f"{where} has the key {key.value[:80]!r} twice (line {key.start_mark.line + 1}).",
                    remedy="Of two equal keys the last one would count, and the first would be lost.",
                )
            if isinstance(key.value, str):
                seen.add((key.tag, key.value))
        children = [part for pair in children for part in pair]
    total = 1 + sum(_require_plain(child, where, counted) for child in children)
    if total > _MOST_VALUES:
        raise UnexpectedAnswer(
            f"{where} has more than {_MOST_VALUES} values once its aliases are followed (line {line})."
        )
    counted.open.discard(id(node))
    counted.values[id(node)] = total
    return total
