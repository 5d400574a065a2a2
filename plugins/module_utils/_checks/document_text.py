# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headings, sections and placeholders of a document in Markdown, reStructuredText, AsciiDoc or HTML."""

from __future__ import annotations

import dataclasses
import html.parser
import re
import typing as t
import unicodedata

from ansible_collections.opsready.golive.plugins.module_utils._core import patterns

_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_ASCIIDOC = re.compile(r"(={1,6})[ \t]+(\S.*?)[ \t]*")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+.:_])\1{1,}[ \t]*")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
#: What site generators read; its lines between rules are no headings.
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?:[^\n]*\n)*?---[ \t]*\r?\n")
_CODE = re.compile(r"(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_IS_HTML = re.compile(r"\s*(?:<!doctype html|<html\b|<\?xml[^>]*>\s*<!doctype html)", re.IGNORECASE)
#: A word in brackets that is no link, no checkbox, no footnote, and no reference that is defined somewhere.
_BRACKETED = re.compile(r"(?<![\]\w!\\])\[(?P<word>[^\W\d_][^\[\]\n]{0,60})\](?![(\[:])")
_DEFINED = re.compile(r"^[ ]{0,3}\[([^\]\n]+)\]:", re.MULTILINE)
#: Unfinished wherever they stand.
_WORDS = re.compile(r"(?<![\w-])(?:TODO|TBD|FIXME|XXX)(?![\w-])|\?{3,}|\blorem ipsum\b", re.IGNORECASE)
#: Templates that nobody filled in; inside code they may be meant.
_TEMPLATES = re.compile(
    r"\{\{.{1,60}?\}\}|\$\{[A-Za-z_]\w*\}|<(?:your|ihr|ihre|enter|insert|name|datum|date)\b[^<>\n]{0,40}>",
    re.IGNORECASE,
)
_MOST_PLACEHOLDERS = 50


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading with what stands below it, before the next heading of its level or a higher one."""

    title: str
    level: int
    line: int
    is_empty: bool


@dataclasses.dataclass(frozen=True)
class Placeholder:
    """A place that somebody was to fill in."""

    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Document:
    """What a document holds."""

    text: str
    sections: tuple[Section, ...]
    placeholders: tuple[Placeholder, ...]


def normalised(text: str) -> str:
    """Text as it is compared: composed, without markup of emphasis, runs of spaces and case."""
    text = unicodedata.normalize("NFC", re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text))
    return " ".join(text.split()).casefold()


def has_version(title: str, version: str) -> bool:
    """Whether a text names this very version: 2.0.1 is not in 12.0.1, 2.0.10, 2.0.1-rc1 or 2.0.1.4."""
    bare = re.escape(version[1:] if re.match(r"[vV]\d", version) else version)
    return re.search(rf"(?<![\w.+-])[vV]?{bare}(?![\w+]|[.-]\w)", title) is not None


def read(text: str, *, extra: t.Sequence[re.Pattern[str]] = (), excepted: t.Collection[str] = ()) -> Document:
    """Find sections and placeholders; ``extra`` are further patterns of placeholders, ``excepted`` texts that are none."""
    if _IS_HTML.match(text):
        page = _Page()
        page.feed(text)
        page.close()
        visible, marks, plain = "".join(page.visible), page.marks, "".join(page.outside_code)
        prose = plain
    else:
        visible = _COMMENT.sub(_only_line_ends, _FRONT_MATTER.sub(_only_line_ends, text))
        marks, outside = _marks(visible)
        prose = _CODE.sub(lambda match: " " * len(match[0]), outside)
    defined = {normalised(name) for name in _DEFINED.findall(text)}
    found: list[Placeholder] = []

    def note(word: str, start: int, where: str) -> None:
        if len(found) < _MOST_PLACEHOLDERS and word not in excepted:
            found.append(Placeholder(word[:80], where.count("\n", 0, start) + 1))

    def look(pattern: re.Pattern[str], where: str, *, is_free: t.Callable[[str], bool] = lambda _word: True) -> None:
        for match in pattern.finditer(where):
            if is_free(match[0]):
                note(match[0], match.start(), where)

    look(_WORDS, visible, is_free=lambda word: word == word.upper() or word.lower() == "lorem ipsum")
    look(_BRACKETED, prose, is_free=lambda word: normalised(word[1:-1]) not in defined | {"unreleased", "x"})
    look(_TEMPLATES, prose)
    for pattern in extra:
        for match in patterns.occurrences(pattern, visible):
            note(match.text, match.start, visible)
    found.sort(key=lambda placeholder: placeholder.line)
    return Document(visible, tuple(_sections(visible, marks)), tuple(found))


def _only_line_ends(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _marks(text: str) -> tuple[list[tuple[int, int, int, str]], str]:
    """Headings as (line, lines they take, level, title), and the text with what is inside fences blanked."""
    lines = text.split("\n")
    marks: list[tuple[int, int, int, str]] = []
    outside: list[str] = []
    fence = ""
    levels: dict[str, int] = {}
    is_markdown = any(_ATX.fullmatch(line.rstrip("\r")) for line in lines)
    is_asciidoc = not is_markdown and any(_ASCIIDOC.fullmatch(line.rstrip("\r")) for line in lines[:50])
    for number, line in enumerate(line.rstrip("\r") for line in lines):
        opened = _FENCE.match(line)
        if fence:
            outside.append("")
            if (
                opened
                and opened[1][0] == fence[0]
                and len(opened[1]) >= len(fence)
                and not line.strip().strip(fence[0])
            ):
                fence = ""
            continue
        above = outside[number - 1].strip() if number else ""
        # reStructuredText underlines with what opens a block of code in Markdown.
        underlines = not is_markdown and bool(above) and len(above) <= len(line.strip()) and _UNDERLINE.fullmatch(line)
        if opened and not underlines:
            fence = opened[1]
            outside.append("")
            continue
        outside.append(line)
        heading = _ATX.fullmatch(line) or (_ASCIIDOC.fullmatch(line) if is_asciidoc else None)
        if heading:
            marks.append((number, 1, len(heading[1]), heading[2].strip()))
            continue
        ruled = _UNDERLINE.fullmatch(line)
        is_title = bool(above) and not _UNDERLINE.fullmatch(above) and not above.startswith(("|", ">", "-", "*", "+ "))
        is_long = len(line.strip()) >= min(len(above), 3) and not (marks and marks[-1][0] == number - 1)
        if ruled and is_title and is_long and (ruled[1] in "=-" or not is_markdown):
            # Of reStructuredText's underlines the first that is met is the highest level.
            level = "=-".index(ruled[1]) + 1 if is_markdown else levels.setdefault(ruled[1], len(levels) + 1)
            marks.append((number - 1, 2, level, above))
    return marks, "\n".join(outside)


def _sections(text: str, marks: t.Sequence[tuple[int, int, int, str]]) -> t.Iterator[Section]:
    lines = text.split("\n")
    for index, (line, taken, level, title) in enumerate(marks):
        end = next((other[0] for other in marks[index + 1 :] if other[2] <= level), len(lines))
        headings = {
            number for other in marks[index + 1 :] if other[0] < end for number in range(other[0], other[0] + other[1])
        }
        body = [lines[number] for number in range(line + taken, end) if number not in headings]
        filled = any(re.search(r"\w", part) and not _DEFINED.match(part) for part in body)
        yield Section(title, level, line + 1, not filled)


class _Page(html.parser.HTMLParser):
    """The visible text of a page, line for line as it stands, and its headings."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.visible: list[str] = []
        self.outside_code: list[str] = []
        self.marks: list[tuple[int, int, int, str]] = []
        self._hidden = 0
        self._code = 0
        self._line = 0
        self._heading: tuple[int, int, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "template"):
            self._hidden += 1
        elif tag in ("code", "pre", "kbd"):
            self._code += 1
        elif re.fullmatch(r"h[1-6]", tag):
            self._break()
            self._heading = (self._line, int(tag[1]), [])
        elif tag in ("p", "li", "div", "br", "tr", "td", "th", "table", "section"):
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "template"):
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("code", "pre", "kbd"):
            self._code = max(0, self._code - 1)
        elif self._heading and tag == f"h{self._heading[1]}":
            line, level, parts = self._heading
            self.marks.append((line, 1, level, " ".join("".join(parts).split())))
            self._heading = None
            self._break()

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._heading:
            self._heading[2].append(data)
            data = " ".join(data.split())
        self._line += data.count("\n")
        self.visible.append(data)
        self.outside_code.append(_only_line_ends_of(data) if self._code else data)

    def _break(self) -> None:
        self._line += 1
        self.visible.append("\n")
        self.outside_code.append("\n")


def _only_line_ends_of(text: str) -> str:
    return "\n" * text.count("\n")
