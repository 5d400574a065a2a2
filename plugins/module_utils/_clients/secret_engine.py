# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have texts searched for secrets in processes of their own (``secret_scan``), which a deadline ends and which hold nobody up."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import secret_scan
from ansible_collections.opsready.golive.plugins.module_utils._core.bounded_command import run_bounded
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, TimedOut, UnexpectedAnswer

#: One process gets texts of so many characters, or so many texts: they are all held at once.
_BATCH_CHARACTERS = 4 * 2**20
_BATCH_TEXTS = 500
_MOST_ANSWER = 16 * 2**20


class Text(t.NamedTuple):
    """Lines with their numbers: of a file, or those that a commit added to one."""

    path: str
    commit: str
    lines: t.Sequence[tuple[int, str]]


@dataclasses.dataclass(frozen=True)
class Found:
    """Where a secret is, by which rule, and a hash to tell it from others; the commit that added it, in the history."""

    path: str
    line: int
    rule: str
    match: str
    commit: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays the same when lines move."""
        return (self.path, self.rule, self.match)

    def __str__(self) -> str:
        of_commit = f" of {self.commit[:12]}" if self.commit else ""
        return f"{self.path[:200]}:{self.line}{of_commit} {self.rule} ({self.match})"


class Searched(t.NamedTuple):
    """How many texts were searched to the end, the secrets in them, and how many more were only counted."""

    texts: int
    found: tuple[Found, ...]
    more: int


def search(
    texts: t.Iterable[Text], *, forms: t.Mapping[str, str], ignored: t.Sequence[str], deadline: Deadline
) -> Searched:
    """Search until the deadline. ``forms`` are rules of our own, ``ignored`` names rules.

    Raises BadInput for an unknown rule, UnexpectedAnswer, MissingLibrary.
    """
    searched, more = 0, 0
    found: list[Found] = []
    for batch in _batches(texts):
        answers = _ask(batch, forms, ignored, deadline)
        for text, (count, listed) in zip(batch, answers):
            found += [Found(text.path, number, rule, match, text.commit) for number, rule, match in listed]
            more += count - len(listed)
        searched += len(answers)
        if len(answers) < len(batch):
            break
    return Searched(searched, tuple(found), more)


def _batches(texts: t.Iterable[Text]) -> t.Iterator[list[Text]]:
    batch: list[Text] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += sum(len(line) for _number, line in text.lines)
        if size >= _BATCH_CHARACTERS or len(batch) >= _BATCH_TEXTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ask(
    batch: t.Sequence[Text], forms: t.Mapping[str, str], ignored: t.Sequence[str], deadline: Deadline
) -> list[tuple[int, list[tuple[int, str, str]]]]:
    """The answers that there were before the deadline, in the order of the texts."""
    setup = {"path": sys.path, "forms": dict(forms), "ignored": list(ignored)}
    asked = [json.dumps(setup), *(json.dumps([text.path, text.lines]) for text in batch)]
    try:
        ended = run_bounded(
            [sys.executable, "-I", "-c", inspect.getsource(secret_scan)],
            deadline=deadline,
            max_bytes=_MOST_ANSWER,
            stdin_text="\n".join(asked) + "\n",
        )
    except TimedOut as problem:
        said = str(problem.known["stdout"])
        lines = said[: said.rfind("\n") + 1].splitlines()
    else:
        lines = ended.stdout.text.splitlines()
        if ended.returncode or len(lines) != len(asked):
            # What it printed may quote what it looked at, so nothing of that is told.
            raise UnexpectedAnswer(
                f"The search for secrets ended with code {ended.returncode} after {len(lines)} answers."
            )
    rules = json.loads(lines[0]) if lines else ignored
    for rule in ignored:
        if rule not in rules:
            raise BadInput(f"ignored_rules: there is no rule {rule!r}; there are {', '.join(sorted(rules))}.")
    return [json.loads(line) for line in lines[1:]]
