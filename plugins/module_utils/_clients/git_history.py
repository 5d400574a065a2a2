# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commits added, line by line: a line that was removed again is still in every copy of the repository."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.git import Git
from ansible_collections.opsready.golive.plugins.module_utils._core.command import failure_of
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer

#: Asked at once: many, but no more than one command line holds.
_COMMITS_AT_ONCE = 100
_MARK = "\x01commit "
#: ``@@ -1,2 +3,4 @@``; a merge's has one old part for each of its parents.
_HUNK = re.compile(r"(@@+) ((?:-\d+(?:,\d+)? )+)\+(\d+)(?:,(\d+))? @@+")
_COUNT = re.compile(r"-\d+(?:,(\d+))?")
_FORMAT = (
    *("log", "--no-walk=unsorted", f"--format={_MARK.replace(chr(1), '%x01')}%H", "--patch", "--cc", "--unified=0"),
    *("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"),
)


@dataclasses.dataclass(frozen=True)
class Added:
    """The lines that one commit added to one file, with their numbers there."""

    commit: str
    path: str
    lines: tuple[tuple[int, str], ...]
    #: Git takes it for no text, so its lines are not known.
    is_binary: bool = False


def commits(git: Git, *, left_out: str | None) -> list[str]:
    """All commits of all branches and tags, newest first; with ``left_out``, those that it does not hold."""
    return git.lines("rev-list", "--all", "HEAD", *([f"^{left_out}"] if left_out else []))


def added_by(git: Git, listed: t.Sequence[str]) -> t.Iterator[tuple[int, list[Added]]]:
    """What these commits added, part by part, with the number of commits told. Raises UnexpectedAnswer for too much."""
    for start in range(0, len(listed), _COMMITS_AT_ONCE):
        part = listed[start : start + _COMMITS_AT_ONCE]
        yield len(part), list(_added(git, part))


def _added(git: Git, part: t.Sequence[str]) -> t.Iterator[Added]:
    ended = git.ask("-c", "log.showRoot=true", *_FORMAT, *part, "--")
    if ended.returncode:
        raise failure_of("git log", ended.returncode, ended.stderr.text)
    if not ended.stdout.is_cut:
        yield from read_patch(ended.stdout.text)
    elif len(part) > 1:
        half = len(part) // 2
        yield from _added(git, part[:half])
        yield from _added(git, part[half:])
    else:
        raise UnexpectedAnswer(f"commit {part[0][:12]} changes more than can be read.")


def read_patch(text: str) -> t.Iterator[Added]:
    """The added lines of a patch, by commit and file."""
    commit = path = ""
    found: list[tuple[int, str]] = []
    lines = iter(text.split("\n"))
    for line in lines:
        hunk = _HUNK.match(line)
        if hunk is not None:
            found += _of_hunk(hunk, lines)
        elif line.startswith((_MARK, "diff --")):
            if found:
                yield Added(commit, path, tuple(found))
            found = []
            commit = line[len(_MARK) :] if line.startswith(_MARK) else commit
        elif line.startswith("+++ "):
            path = line[4:].rstrip("\t").strip('"').removeprefix("b/")
        elif line.startswith("Binary files ") and not line.endswith(" and /dev/null differ"):
            yield Added(commit, line[len("Binary files ") :].removesuffix(" differ").rpartition(" and b/")[2], (), True)
    if found:
        yield Added(commit, path, tuple(found))


def _of_hunk(hunk: re.Match[str], lines: t.Iterator[str]) -> t.Iterator[tuple[int, str]]:
    """Number and text of each line that none of the parents has; a hunk ends where its counts say."""
    left = [int(count or 1) for count in _COUNT.findall(hunk[2])]
    number, new = int(hunk[3]), int(hunk[4] or 1) if hunk[4] != "0" else 0
    parents = len(left)
    while new or any(left):
        line = next(lines, None)
        if line is None:
            return
        signs = line[:parents]
        if signs.startswith("\\"):  # no newline at the end of the file
            continue
        gone = "-" in signs
        left = [count - (sign == ("-" if gone else " ")) for count, sign in zip(left, signs)]
        if not gone:
            if signs == "+" * parents:
                yield number, line[parents:]
            number, new = number + 1, new - 1
