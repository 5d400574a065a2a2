# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which series does an expression of PromQL need to have any result?

Read is the text that Prometheus itself prints of a rule, or a query without its comments. That is no parser of PromQL: only what
decides which series are needed is told apart. https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import re
import typing as t

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<number>\.?\d[\w.]*)|(?P<name>[A-Za-z_:][\w:]*)"""
    r"""|(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%^=<>(){}\[\],@!]))"""
)
#: A list of labels in parentheses stands behind these.
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_SET_OPERATORS = frozenset({"and", "or", "unless"})
_WORDS = frozenset({"offset", "bool", "atan2", "inf", "nan", "anchored", "smoothed"})
#: What has a result where the series are not there.
_ABSENT = frozenset({"absent", "absent_over_time"})
#: Prometheus writes them only while an alert is pending or firing.
_OF_ALERTS = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


class Selector(t.NamedTuple):
    """Series that an expression asks for: as it names them, their metric (empty without a plain name), and what counts them."""

    shown: str
    metric: str
    counted: str


#: Stands for what has a result in any case.
ALWAYS = Selector("", "", "")


class Needed(t.NamedTuple):
    """Of each group one selector must have series. The hidden ones may have none, since ``or vector(0)`` stands in for them."""

    groups: tuple[tuple[Selector, ...], ...]
    hidden: tuple[Selector, ...]
    #: Whether a number made of nothing stands in for anything, be it for what has a result in any case.
    has_stand_in: bool = False


def needed(expression: str) -> Needed:
    """The series that an expression needs. Raises ValueError for what cannot be read."""
    if not expression.strip():
        raise ValueError("its expression is not told")
    reader = _Reader(expression)
    groups = reader.expression()
    if reader.text:
        raise ValueError(f"{reader.text!r} stands where nothing was expected")
    kept = tuple(dict.fromkeys(group for group in groups if ALWAYS not in group))
    return Needed(kept, tuple(dict.fromkeys(reader.hidden)), reader.has_stand_in)


_Groups = tuple[tuple[Selector, ...], ...]


class _Reader:
    """Goes through the tokens once."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._matches = list(_tokens(expression))
        self._at = 0
        self.hidden: list[Selector] = []
        self.has_stand_in = False

    @property
    def text(self) -> str:
        """The next token; empty at the end."""
        return self._matches[self._at][self._matches[self._at].lastgroup or 0] if self._at < len(self._matches) else ""

    @property
    def _word(self) -> str:
        """The next token in small letters, if it is a name."""
        is_name = self._at < len(self._matches) and self._matches[self._at].lastgroup == "name"
        return self.text.lower() if is_name else ""

    def expression(self) -> _Groups:
        groups = self._conjunction()
        while self._word == "or":
            self._at += 1
            other = self._conjunction()
            if not groups or not other:
                # One side is a number made of nothing.
                self.has_stand_in = True
                self.hidden += [each for group in groups or other for each in group if each != ALWAYS]
            groups = tuple(one + another for one in groups for another in other)
        return groups

    def _conjunction(self) -> _Groups:
        groups = self._operand()
        while self._word in ("and", "unless"):
            is_needed = self._word == "and"
            self._at += 1
            other = self._operand()
            groups += other if is_needed else ()
        return groups

    def _operand(self) -> _Groups:
        """Up to the next set operator, or the end of the parenthesis or argument."""
        groups: _Groups = ()
        while self.text not in ("", ")", ",") and self._word not in _SET_OPERATORS:
            if self.text == "(":
                groups += self._arguments()
            elif self.text == "{" or self._word:
                groups += self._named()
            elif self.text == "[":
                self._past("]")
            else:
                self._at += 1
        return groups

    def _named(self) -> _Groups:
        """What begins with a name or a brace: a word of the language, a function with its arguments, or a selector."""
        begin, name = self._at, self.text
        if name == "{":
            return self._selector(begin, "")
        self._at += 1
        if name.lower() in _LABEL_LISTS:
            if self.text == "(":
                self._past(")")
            return ()
        if name.lower() in _WORDS or self._word in ("by", "without"):
            return ()
        if self.text == "(":
            groups = self._arguments()
            return ((ALWAYS,),) if name.lower() in _ABSENT else groups
        return self._selector(begin, name)

    def _arguments(self) -> _Groups:
        self._at += 1
        groups = self.expression()
        while self.text == ",":
            self._at += 1
            groups += self.expression()
        if self.text != ")":
            raise ValueError("a parenthesis is not closed")
        self._at += 1
        return groups

    def _selector(self, begin: int, metric: str) -> _Groups:
        if self.text == "{":
            self._past("}")
        shown = self._between(begin)
        counted = f"count({shown})"
        if self.text == "[":
            span = self._at
            self._past("]")
            if ":" not in self._between(span):
                counted = f"count(last_over_time({shown}{self._between(span)}))"
        return ((ALWAYS if metric in _OF_ALERTS else Selector(shown, metric, counted),),)

    def _past(self, sign: str) -> None:
        """Behind the next sign of this kind; strings are tokens of their own."""
        while self.text != sign:
            if not self.text:
                raise ValueError(f"{sign} is missing")
            self._at += 1
        self._at += 1

    def _between(self, begin: int) -> str:
        """The text from one token up to the next that is to be read."""
        return self._expression[self._matches[begin].start() : self._matches[self._at - 1].end()].strip()


def _tokens(expression: str) -> t.Iterator[re.Match[str]]:
    at = 0
    expression = expression.rstrip()
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"{expression[at : at + 20]!r} cannot be read")
        yield match
        at = match.end()
