# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular expressions that users write: refused by option and reason before anything is asked, and never searched for ever.

A search that backtracks holds the interpreter's lock, and no signal's handler and no other thread runs until it ends. So one
that may take long runs in a process of its own, which the kernel ends at its limit; the others run here, since that costs
nothing. What may take long is told by the number of ways that the pattern could be tried in a text of that length.
"""

from __future__ import annotations

import atexit
import functools
import json
import re
import signal
import subprocess
import sys
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    MissingLibrary,
    TimedOut,
    UnexpectedAnswer,
)

#: How long one pattern may search in what one item gives it, in seconds.
LIMIT_SECONDS = 5.0
#: So many ways are tried here, which takes some milliseconds; in much text so many for each character, and at most so many,
#: which takes a second or two at the very worst, and some milliseconds in what logs hold.
_FEWEST_WAYS = 1_000_000
_WAYS_OF_A_CHARACTER = 200
_MOST_WAYS = 200_000_000
#: A pattern without repetitions is tried at each place of any text in so many ways: the time grows as the text does.
_MOST_WAYS_AT_A_PLACE = 100

_QUOTED = re.compile(r"\\(.)", re.DOTALL)
_SET = re.compile(r"\[\^?\]?[^\]]*\]")
_BACKREFERENCE = re.compile(r"\(\?P=\w+\)")
_GROUP = re.compile(r"\((?:\?(?:P<\w+>|<[=!]|[:=!>]|[aiLmsu-]+[:)]))?")
#: How a repetition is tried first, which does not change in how many ways.
_LAZY = re.compile(r"([*+?]|\{(?:\d+,?\d*|,\d*)\})[?+]")
_SPACED = re.compile(r"\(\?[aiLmsu]*x")
_COUNTED = re.compile(r"\{(\d*)(,?)(\d*)\}")

_PROGRAM = """
import json, re, signal, sys
signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
for line in sys.stdin.buffer:
    pattern, flags, texts, wants_all, seconds = json.loads(line)
    searched = re.compile(pattern, flags)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    if wants_all:
        answer = [[[match[0], match.start(), match.groups(), match.groupdict()] for match in searched.finditer(text)] for text in texts]
    else:
        answer = [searched.search(text) is not None for text in texts]
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.stdout.write(json.dumps(answer) + "\\n")
    sys.stdout.flush()
"""


class Found(t.NamedTuple):
    """One match: its text, where it begins, and its groups by number (from 0) and by name."""

    text: str
    start: int
    groups: tuple[str | None, ...]
    named: dict[str, str | None]


def compiled(pattern: str, *, option: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern, for the functions below. Raises BadInput naming the option."""
    try:
        return re.compile(pattern, flags)
    except re.error as problem:
        raise BadInput(f"{option}: {pattern!r} is not a regular expression: {problem}.")


def is_in(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the text holds a match. Raises TimedOut naming the pattern and its limit."""
    return are_in(pattern, [text])[0]


def are_in(pattern: re.Pattern[str], texts: t.Sequence[str]) -> list[bool]:
    """Which of the texts hold a match. Raises TimedOut naming the pattern and its limit."""
    if may_take_long(pattern.pattern, texts):
        return t.cast("list[bool]", _HELPERS.ask(pattern, texts, wants_all=False))
    return [pattern.search(text) is not None for text in texts]


def occurrences(pattern: re.Pattern[str], text: str) -> list[Found]:
    """All matches in the text. Raises TimedOut naming the pattern and its limit."""
    if may_take_long(pattern.pattern, [text]):
        (found,) = _HELPERS.ask(pattern, [text], wants_all=True)
        return [Found(whole, start, tuple(groups), named) for whole, start, groups, named in found]
    return [Found(match[0], match.start(), match.groups(), match.groupdict()) for match in pattern.finditer(text)]


def may_take_long(pattern: str, texts: t.Iterable[str]) -> bool:
    """Whether searching these texts could take more than a moment; too careful rather than not enough."""
    shape = _shape(pattern)
    if shape.is_nested:
        return True
    if not shape.repetitions and shape.ways <= _MOST_WAYS_AT_A_PLACE:
        return False
    ways = size = 0
    for text in texts:
        # Tried from each place in the text, and each repetition with each length.
        ways += (len(text) + 1) ** (shape.repetitions + 1) * shape.ways
        size += len(text)
    return ways > min(max(_FEWEST_WAYS, _WAYS_OF_A_CHARACTER * size), _MOST_WAYS)


class _Shape(t.NamedTuple):
    """In how many ways a pattern can be tried at one place."""

    #: A group is repeated: the ways multiply with each time.
    is_nested: bool
    #: Each can be as long as the text.
    repetitions: int
    #: The choices that do not depend on the text's length.
    ways: int


@functools.lru_cache(maxsize=1024)
def _shape(pattern: str) -> _Shape:
    """Read from the pattern's text, since Python's own reader of patterns is private."""
    bare = _QUOTED.sub(lambda match: "*" if match[1] in "123456789" else "q", pattern)
    bare = _BACKREFERENCE.sub("*", _SET.sub("s", bare))
    if _SPACED.search(bare) or "(?#" in bare or "(?(" in bare:
        return _Shape(True, 0, 0)
    bare = _LAZY.sub(r"\1", _GROUP.sub("(", bare))
    if re.search(r"\)(?:[*+]|\{(?!1?\}))", bare):
        return _Shape(True, 0, 0)
    repetitions, ways = bare.count("*") + bare.count("+"), 2 ** min(bare.count("?"), 64)
    for least, comma, most in _COUNTED.findall(bare):
        if comma and not most:
            repetitions += 1
        elif comma:
            ways *= max(1, int(most) - int(least or 0) + 1)
    choices = bare.count("|")
    ways *= choices + 1 if bare.count("(") <= 1 else 2 ** min(choices, 64)
    return _Shape(False, repetitions, ways)


class _Helpers:
    """Processes that search, one for each search at a time; an idle one serves the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []

    def ask(self, pattern: re.Pattern[str], texts: t.Sequence[str], *, wants_all: bool) -> list[t.Any]:
        """What the program answers. Raises TimedOut at the limit, UnexpectedAnswer where it died otherwise."""
        question = json.dumps([pattern.pattern, pattern.flags, list(texts), wants_all, LIMIT_SECONDS]).encode("ascii")
        helper = self._taken()
        answer = b""
        try:
            answer = _answer(helper, question + b"\n")
        finally:
            if answer:
                with self._lock:
                    self._idle.append(helper)
            else:
                _end(helper)
        if answer:
            return t.cast("list[t.Any]", json.loads(answer))
        called = f"The pattern /{pattern.pattern}/ on {sum(map(len, texts))} characters"
        if helper.returncode != -signal.SIGALRM:
            raise UnexpectedAnswer(f"{called} was not searched to the end: its process ended by itself.")
        raise TimedOut(
            f"{called} did not end within {LIMIT_SECONDS:g} s.",
            remedy="Write it so that no repetition stands inside another one, and anchor it.",
        )

    def _taken(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        program = sys.executable or "python3"
        try:
            return subprocess.Popen(
                [program, "-I", "-S", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as problem:
            raise MissingLibrary(f"{program} cannot be run, to search a pattern: {problem.strerror}.")

    def close(self) -> None:
        """End the idle ones."""
        with self._lock:
            ended, self._idle = self._idle, []
        for helper in ended:
            _end(helper)


def _answer(helper: subprocess.Popen[bytes], question: bytes) -> bytes:
    """One line; empty where the helper is no more."""
    stdin, stdout = t.cast("t.IO[bytes]", helper.stdin), t.cast("t.IO[bytes]", helper.stdout)
    try:
        stdin.write(question)
        stdin.flush()
    except BrokenPipeError:
        return b""
    return stdout.readline()


def _end(helper: subprocess.Popen[bytes]) -> None:
    helper.kill()
    helper.wait()
    for pipe in (helper.stdin, helper.stdout):
        try:
            t.cast("t.IO[bytes]", pipe).close()
        except BrokenPipeError:  # what it did not read is dropped with it
            continue


_HELPERS = _Helpers()
atexit.register(_HELPERS.close)
