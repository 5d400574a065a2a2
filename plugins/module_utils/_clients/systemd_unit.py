# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that a systemd service is started with, read from its unit file, its drop-ins and its environment files.

Read as systemd reads them: systemd.unit(5), systemd.exec(5), and its sources conf-parser.c, extract-word.c and env-file.c. What
systemd leaves out with a warning is told, by file and line. No value ever enters a message.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Denied,
    UnexpectedAnswer,
    Unreachable,
)

#: Where systemd looks for units and their drop-ins, the most important first.
FOLDERS = (
    "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
)  # fmt: skip
_MOST_BYTES = 4 * 1024 * 1024
_BLANKS = " \t\n\r"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: %% is one, and a letter stands for what only the service manager knows; another character is as it is.
_SPECIFIER = re.compile(r"%([%A-Za-z])")
_LETTERS = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39, "s": 32,
}  # fmt: skip
#: What a backslash in front of it stands for, beside the letters: \x41, \101, \u00e4, \U0001f600.
_NUMBERED = re.compile(r"x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
#: What a backslash within double quotes of an environment file takes its meaning from.
_SHELL_ESCAPED = '"\\`$'
#: A line of an environment file that is an assignment, up to its sign.
_KEY = re.compile(r"[ \t\r\n]*([^#;\s][^=\r\n]*)=")
#: A comment that systemd before 254 goes on with in the next line.
_JOINED_COMMENT = re.compile(r"^[ \t]*[#;].*\\\r?$", re.MULTILINE)
_PASSED = "is passed on from the service manager, whose value the unit does not tell"
_SPECIFIED = "holds a specifier, which only the service manager resolves"


@dataclasses.dataclass(frozen=True)
class Unit:
    """What a service is started with, and what was read for it."""

    path: str
    values: dict[str, str]
    #: Names whose value the files do not tell, each with why.
    unclear: dict[str, str]
    #: What systemd leaves out, by file and line.
    left_out: tuple[str, ...]
    #: The unit file, its drop-ins and its environment files, in the order in which they count.
    files: tuple[str, ...]


@dataclasses.dataclass
class _Settings:
    """What the lines of the unit and its drop-ins add up to; each is as systemd keeps it."""

    environment: list[str] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)
    passed: list[str] = dataclasses.field(default_factory=list)
    unset: list[str] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)


def read(path: str, *, folders: t.Sequence[str] = FOLDERS) -> Unit:
    """A service as it would be started now. Raises BadInput, Unreachable, Denied, UnexpectedAnswer."""
    if not path.endswith(".service"):
        raise BadInput(f"unit_file is {path}, which is no service: its name ends in .service.")
    if not os.path.isabs(path):
        raise BadInput(f"unit_file is {path}, expected an absolute path.")
    settings = _Settings()
    read_files = [path, *_drop_ins(path, folders)]
    for place in read_files:
        _take(_text(place), place, settings)
    values, unclear = _assigned(settings)
    for file in _environment_files(settings):
        read_files.append(file)
        _take_file(file, values, unclear, settings)
    for name in settings.passed:
        if name not in values and name not in unclear:
            unclear[name] = _PASSED
    _unset(settings.unset, values, unclear)
    return Unit(path, values, unclear, tuple(settings.left_out), tuple(read_files))


def _text(path: str) -> str:
    if os.path.realpath(path) == os.devnull:
        return ""  # so a unit or a drop-in is masked
    try:
        octets = read_whole(path, max_bytes=_MOST_BYTES).octets
    except Denied as problem:
        raise Denied(problem.message, remedy="Run this item with become: true.")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnexpectedAnswer(f"{path} is not UTF-8, which systemd does not read.")


# ---- which files


def _drop_ins(path: str, folders: t.Sequence[str]) -> list[str]:
    """Drop-ins sorted by their own names; of two with one name that in the more important folder counts."""
    folder, name = os.path.split(path)
    searched = folders if folder in folders else [folder]
    found: dict[str, str] = {}
    for place in (os.path.join(place, f"{called}.d") for place in searched for called in _called(name)):
        for drop_in in _listed(place):
            found.setdefault(drop_in, os.path.join(place, drop_in))
    return [found[drop_in] for drop_in in sorted(found)]


def _called(name: str) -> t.Iterator[str]:
    """The unit, its template, the beginnings of its name that end in a dash, and all services: whose drop-ins are its own."""
    stem = name[: -len(".service")]
    yield name
    if "@" in stem:
        yield f"{stem.partition('@')[0]}@.service"
    parts = stem.split("-")
    for count in range(len(parts) - 1, 0, -1):
        yield f"{'-'.join(parts[:count])}-.service"
    yield "service"


def _listed(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".conf")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as problem:
        raise Denied(f"{folder} cannot be read: {problem.strerror}.", remedy="Run this item with become: true.")


def _environment_files(settings: _Settings) -> t.Iterator[str]:
    for entry in settings.files:
        pattern = entry[1:] if entry.startswith("-") else entry
        if _SPECIFIER.search(pattern):
            raise UnexpectedAnswer(
                f"The environment file {pattern} is named with a specifier, which only the service manager resolves.",
                remedy="Judge the running process instead.",
            )
        there = sorted(glob.glob(pattern))
        if not there and not entry.startswith("-"):
            raise Unreachable(
                f"The environment file {pattern} is not there, so systemd would not start the service.",
                remedy="Write it, or put - before its path where the service can do without.",
            )
        yield from there


# ---- the lines of a unit


def _lines(text: str) -> t.Iterator[tuple[int, str]]:
    """Whole lines by the number of their first: a backslash at the end joins the next, comments are skipped in between too."""
    joined, first = "", 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        stripped = line.lstrip(_BLANKS)
        if stripped[:1] in ("#", ";"):
            continue
        first = first if joined else number
        whole = joined + stripped
        if (len(whole) - len(whole.rstrip("\\"))) % 2:
            joined = whole[:-1] + " "
            continue
        joined = ""
        yield first, whole.strip(_BLANKS)
    if joined:
        yield first, joined.strip(_BLANKS)


def _take(text: str, path: str, settings: _Settings) -> None:
    section = ""
    for number, line in _lines(text):
        if line.startswith("["):
            section = line
        elif section == "[Service]":
            key, sign, value = line.partition("=")
            if sign and key.strip(_BLANKS) in _TAKEN:
                _TAKEN[key.strip(_BLANKS)](value.strip(_BLANKS), f"{path} line {number}", settings)


def _take_environment(value: str, where: str, settings: _Settings) -> None:
    if not value:
        settings.environment.clear()
        return
    for word in _words(value, where, settings):
        name, sign, _assigned_value = word.partition("=")
        if sign and _NAME.fullmatch(name):
            settings.environment.append(word)
        else:
            settings.left_out.append(f"{where} holds what is no assignment")


def _take_environment_file(value: str, where: str, settings: _Settings) -> None:
    if not value:
        settings.files.clear()
    elif value.lstrip("-").startswith("/"):
        settings.files.append(value)
    else:
        settings.left_out.append(f"{where} names an environment file whose path is not absolute")


def _take_passed(value: str, where: str, settings: _Settings) -> None:
    _take_names(value, where, settings, settings.passed)


def _take_unset(value: str, where: str, settings: _Settings) -> None:
    _take_names(value, where, settings, settings.unset)


def _take_names(value: str, where: str, settings: _Settings, names: list[str]) -> None:
    if not value:
        names.clear()
    names.extend(_words(value, where, settings))


_TAKEN: dict[str, t.Callable[[str, str, _Settings], None]] = {
    "Environment": _take_environment,
    "EnvironmentFile": _take_environment_file,
    "PassEnvironment": _take_passed,
    "UnsetEnvironment": _take_unset,
}


def _words(value: str, where: str, settings: _Settings) -> t.Iterator[str]:
    """Words as systemd splits them: quotes anywhere in a word, escapes as in C, and nothing after what is not closed."""
    position = 0
    while position < len(value):
        if value[position] in _BLANKS:
            position += 1
            continue
        word, position = _word(value, position)
        if word is None:
            settings.left_out.append(f"{where} holds a quote that is not closed, or an escape that is none")
            return
        yield word


def _word(value: str, position: int) -> tuple[str | None, int]:
    """The word that begins here and the position after it; None where it is none."""
    octets, quote = bytearray(), ""
    while position < len(value):
        character = value[position]
        if character == "\\":
            unescaped, position = _unescaped(value, position + 1)
            if unescaped is None:
                return None, position
            octets += unescaped
            continue
        position += 1
        if quote and character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        elif not quote and character in _BLANKS:
            break
        else:
            octets += character.encode("utf-8")
    try:
        return (None if quote else octets.decode("utf-8")), position
    except UnicodeDecodeError:
        return None, position


def _unescaped(value: str, position: int) -> tuple[bytes | None, int]:
    """What stands for the escape whose backslash is before this position; None where it is none."""
    letter = value[position : position + 1]
    if letter and letter in _LETTERS:
        return bytes([_LETTERS[letter]]), position + 1
    numbered = _NUMBERED.match(value, position)
    if numbered is None:
        return None, position
    octet, octal, short, long = numbered.groups()
    number = int(octal, 8) if octal else int(octet or short or long, 16)
    if number == 0 or (octal and number > 255) or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        return None, position
    return (bytes([number]) if octet or octal else chr(number).encode("utf-8")), numbered.end()


def _assigned(settings: _Settings) -> tuple[dict[str, str], dict[str, str]]:
    """The last value of each name, and the names whose value holds a specifier."""
    values: dict[str, str] = {}
    unclear: dict[str, str] = {}
    for assignment in settings.environment:
        name, _sign, value = assignment.partition("=")
        values.pop(name, None)
        unclear.pop(name, None)
        if any(match[1] != "%" for match in _SPECIFIER.finditer(value)):
            unclear[name] = _SPECIFIED
        else:
            values[name] = value.replace("%%", "%")
    return values, unclear


def _unset(entries: t.Sequence[str], values: dict[str, str], unclear: dict[str, str]) -> None:
    """A name, or a name with the value that it must have to be taken away."""
    for entry in entries:
        name, sign, value = entry.partition("=")
        if not sign:
            values.pop(name, None)
            unclear.pop(name, None)
        elif values.get(name) == value:
            del values[name]


# ---- an environment file


def _take_file(path: str, values: dict[str, str], unclear: dict[str, str], settings: _Settings) -> None:
    text = _text(path)
    if _JOINED_COMMENT.search(text):
        settings.left_out.append(
            f"{path} has a comment that ends in \\, with which systemd before 254 leaves out the next line"
        )
    for number, name, value in assignments(text):
        if _NAME.fullmatch(name):
            values[name] = value
            unclear.pop(name, None)
        else:
            settings.left_out.append(f"{path} line {number} assigns to what is no name")


def assignments(text: str) -> t.Iterator[tuple[int, str, str]]:
    """Line, name and value of each assignment in an environment file, as systemd reads one: neither export nor # after a value."""
    position, counted, number = 0, 0, 1
    while position < len(text):
        head = _KEY.match(text, position)
        if head is None:
            position = _line_end(text, position)
            continue
        number += text.count("\n", counted, head.start(1))
        counted = head.start(1)
        value, position = _file_value(text, head.end())
        yield number, head[1].rstrip(_BLANKS), value


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _file_value(text: str, position: int) -> tuple[str, int]:
    """The value and the position of the next line. Quoted and bare parts follow each other; a bare one loses blanks at its end."""
    value, kept = "", 0
    is_bare = False
    while position < len(text):
        character = text[position]
        position += 1
        if character in "\r\n":
            break
        if not is_bare and character in "\"'":
            quoted, position = _quoted(text, position, character)
            value += quoted
            kept = len(value)
        elif character == "\\":
            is_bare = True
            if text[position : position + 1] not in ("\n", "\r"):
                value += text[position : position + 1]
            kept = len(value)
            position += 1
        elif character in _BLANKS:
            value += character if is_bare else ""
        else:
            is_bare = True
            value += character
            kept = len(value)
    return value[:kept], position


def _quoted(text: str, position: int, quote: str) -> tuple[str, int]:
    """What stands before the closing quote, which may be lines away, and the position after it."""
    value = ""
    while position < len(text):
        character = text[position]
        position += 1
        if character == quote:
            break
        if character == "\\" and quote == '"':
            escaped = text[position : position + 1]
            position += 1
            value += escaped if escaped and escaped in _SHELL_ESCAPED else "" if escaped == "\n" else f"\\{escaped}"
        else:
            value += character
    return value, position
