# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables where they live: in an env file, and in a process that runs.

The file is read as python-dotenv and Docker Compose read it where those agree; where they do not, the line is reported as
an oddity, because the application may see another value than we do. No value ever enters a message.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re

from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    Denied,
    UnexpectedAnswer,
    Unreachable,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.patterns import are_in, compiled

_MOST_BYTES = 4 * 1024 * 1024
_MOST_PID_BYTES = 4096
_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?P<sign>=)?[ \t]*")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'(?P<value>(?:[^'\\]|\\.)*)'", re.DOTALL)
#: An assignment that somebody commented out, as examples do with what may be left out.
_COMMENTED = re.compile(r"#[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
#: States in /proc/<pid>/stat of a process that has ended and was not yet waited for.
_ENDED = ("Z", "X", "x")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}


@dataclasses.dataclass(frozen=True)
class Oddity:
    """Something that programs read differently, by line number (from 1) and, where there is one, name."""

    line: int
    what: str
    name: str = ""

    def __str__(self) -> str:
        return f"line {self.line}{f' ({self.name})' if self.name else ''}: {self.what}"


@dataclasses.dataclass(frozen=True)
class Parsed:
    """The variables of a file, the last value of each name, and what was odd."""

    values: dict[str, str]
    oddities: tuple[Oddity, ...]
    #: Names of assignments that are commented out, ``# NAME=``.
    commented: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class EnvFile:
    """A file, its variables, and who may read it. ``changed_at`` is seconds since 1970."""

    path: str
    parsed: Parsed
    mode: int
    owner: int
    changed_at: float


@dataclasses.dataclass(frozen=True)
class Process:
    """A running process and its environment. ``started_at`` is seconds since 1970."""

    pid: int
    name: str
    values: dict[str, str]
    started_at: float


def parse(octets: bytes) -> Parsed:
    """Read the text of an env file. Never raises: what cannot be read is an oddity."""
    oddities: list[Oddity] = []
    if octets.startswith(b"\xef\xbb\xbf"):
        oddities.append(Oddity(1, "a byte order mark, which becomes a part of the first name in many programs"))
        octets = octets[3:]
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as problem:
        oddities.append(Oddity(octets.count(b"\n", 0, problem.start) + 1, "not UTF-8"))
        text = octets.decode("utf-8", "replace")
    if "\r" in text:
        oddities.append(
            Oddity(text.count("\n", 0, text.index("\r")) + 1, "a carriage return, which shells keep in the value")
        )
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    values: dict[str, str] = {}
    commented: dict[str, None] = {}
    position = 0
    while position < len(text):
        position = _statement(text, position, values, oddities, commented)
    return Parsed(values, tuple(oddities), tuple(commented))


def _statement(
    text: str, position: int, values: dict[str, str], oddities: list[Oddity], commented: dict[str, None]
) -> int:
    """Read one line (a quoted value may span several); the position after it."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    line_number = text.count("\n", 0, position) + 1
    stripped = text[position:end].strip()
    if not stripped or stripped.startswith("#"):
        assignment = _COMMENTED.match(stripped)
        if assignment:
            commented[assignment[1]] = None
        return end + 1
    head = _ASSIGNMENT.match(text, position)
    if head is None or not head["sign"]:
        # `export NAME` and a bare NAME take the value from elsewhere, so the file says nothing about it.
        oddities.append(Oddity(line_number, "not an assignment"))
        return end + 1
    name = head["name"]
    value, after, odd = _value(text, head.end())
    if odd:
        oddities.append(Oddity(line_number, odd, name))
    if name in values:
        differs = "with another value" if values[name] != value else "with the same value"
        oddities.append(Oddity(line_number, f"set a second time, {differs}", name))
    values[name] = value
    return after


def _value(text: str, position: int) -> tuple[str, int, str]:
    """The value at this place, the position of the next line, and what is odd about it."""
    quote = text[position : position + 1]
    if quote and quote in "\"'":
        quoted = (_DOUBLE if quote == '"' else _SINGLE).match(text, position)
        rest = _REST_OF_LINE.match(text, quoted.end()) if quoted else None
        if quoted and rest:
            value = quoted["value"]
            if quote == '"':
                odd = "refers to another variable, which is not followed here" if _refers(value) else ""
                return re.sub(r"\\(.)", _unescaped, value, flags=re.DOTALL), rest.end() + 1, odd
            return re.sub(r"\\(['\\])", r"\1", value), rest.end() + 1, ""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    value = re.sub(r"(?:^|[ \t]+)#.*", "", text[position:end]).rstrip()
    odd = ""
    if quote and quote in "\"'":
        odd = "a quote that is not closed, or text after it"
    elif _refers(value):
        odd = "refers to another variable, which is not followed here"
    return value, end + 1, odd


def _refers(value: str) -> bool:
    return re.search(r"(?<!\\)\$(?:\{|[A-Za-z_])", value) is not None


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])


def read(path: str) -> EnvFile:
    """Read an env file. Raises Unreachable (absent), Denied, UnexpectedAnswer (no file, or larger than 4 MiB)."""
    try:
        file = read_whole(path, max_bytes=_MOST_BYTES)
    except Denied as problem:
        raise Denied(problem.message, remedy="Run this item with become: true.")
    return EnvFile(path, parse(file.octets), file.mode, file.owner, file.changed_at)


class _Gone(Unreachable):
    """There is no such process, or not any more."""


def processes(
    *, pid: int | None = None, pid_file: str | None = None, pattern: str | None = None, proc: str = "/proc"
) -> list[Process]:
    """The process of this number, of this pid file, or each whose command line matches. Raises the error family.

    Of those that match, one that ends meanwhile is left out: a server's children come and go.
    """
    if pid_file is not None:
        pid = _pid_in(pid_file)
    if pid is not None:
        return [_process(pid, proc)]
    found = []
    for number in matching(pattern or "", proc=proc):
        with contextlib.suppress(_Gone):
            found.append(_process(number, proc))
    if not found:
        raise Unreachable(f"No process's command line matches {pattern!r}.")
    return found


def _pid_in(path: str) -> int:
    """Raises as ``read`` does, and UnexpectedAnswer for what is no number."""
    text = read_whole(path, max_bytes=_MOST_PID_BYTES).octets.strip()
    if not re.fullmatch(rb"[0-9]{1,10}", text):
        raise UnexpectedAnswer(f"The pid file {path} holds no number.")
    return int(text)


def matching(pattern: str, *, proc: str = "/proc") -> list[int]:
    """The numbers of all processes, this one and its parents left out, whose command line matches. Raises BadInput."""
    searched = compiled(pattern, option="pattern")
    ourselves = _ancestors(os.getpid(), proc)
    lines = {int(name): command_line(int(name), proc=proc) for name in os.listdir(proc) if name.isdigit()}
    others = {pid: line for pid, line in lines.items() if line and pid not in ourselves}
    return sorted(pid for pid, is_match in zip(others, are_in(searched, list(others.values()))) if is_match)


def _ancestors(pid: int, proc: str) -> set[int]:
    # Ansible's own processes carry the module's arguments, the pattern among them, on their command lines.
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        seen.add(pid)
        fields = _stat_fields(pid, proc)
        pid = int(fields[1]) if fields else 0
    return seen


def command_line(pid: int, *, proc: str = "/proc") -> str:
    """The command line, blanks between its words; empty for a kernel thread or a process that is gone."""
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as stream:
            return stream.read(65536).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _stat_fields(pid: int, proc: str) -> list[str]:
    """The fields of /proc/<pid>/stat after the name, which may itself hold blanks and brackets; empty when it is gone."""
    try:
        with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []


def _process(pid: int, proc: str) -> Process:
    try:
        with open(f"{proc}/{pid}/environ", "rb") as stream:
            octets = stream.read(_MOST_BYTES)
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            name = stream.read().strip()
        with open(f"{proc}/stat", encoding="ascii", errors="replace") as stream:
            booted = next((float(line.split()[1]) for line in stream if line.startswith("btime ")), 0.0)
    except PermissionError:
        raise Denied(
            f"The environment of process {pid} may not be read by user id {os.geteuid()}.",
            remedy="Run this item with become: true.",
        )
    except OSError:
        raise _Gone(f"There is no process {pid}.")
    fields = _stat_fields(pid, proc)
    if not fields or fields[0] in _ENDED:  # its environment is empty, which says nothing about the service
        raise _Gone(f"The process {pid} has ended.")
    started = booted + int(fields[19]) / os.sysconf("SC_CLK_TCK") if len(fields) > 19 else 0.0
    pairs = (entry.partition(b"=") for entry in octets.split(b"\0") if b"=" in entry)
    values = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, _sign, value in pairs}
    return Process(pid, name, values, started)
