# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which series does an expression of PromQL need to have any result, and can its value depend on them?

Read is the text that Prometheus itself prints of a rule, or a query without its comments. That is no parser of PromQL: only what
decides which series are needed is told apart. https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import math
import operator
import re
import typing as t

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<number>(?:\d+\.?\d*|\.\d+)[eE][-+]\d+|\.?\d[\w.]*)|(?P<name>[A-Za-z_:][\w:]*)"""
    r"""|(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%^=<>(){}\[\],@!]))"""
)
#: A list of labels in parentheses stands behind these.
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_SET_OPERATORS = frozenset({"and", "or", "unless"})
_WORDS = frozenset({"bool", "anchored", "smoothed"})
_NUMBERS = frozenset({"inf", "nan"})
#: From those that bind least to those that bind most; a sign before an operand binds like the product.
_LEVELS = (("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/", "%", "atan2"), ("^",))
_ARITHMETIC: dict[str, t.Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
#: Functions and aggregations of a number that is always the same, which give that number, and those that give 0 for 0.
_SAME_FOR_SAME = frozenset(
    {"vector", "scalar", "sort", "sort_desc", "label_replace", "label_join", "avg", "min", "max"}
)
_ZERO_FOR_ZERO = frozenset({"sum", "abs", "ceil", "floor", "round", "sgn", "sqrt"})
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
    """Of each group one selector must have series. The hidden ones may have none, since ``or vector(0)`` stands in for them.

    ``or 0 * up`` stands in for them as well, wherever there is any ``up``.
    """

    groups: tuple[tuple[Selector, ...], ...]
    hidden: tuple[Selector, ...]
    #: Whether a number that no data can change stands in for anything, be it for what has a result in any case.
    has_stand_in: bool = False
    #: Whether its value is the same whatever the data, as that of ``0 * x``.
    is_fixed: bool = False


def needed(expression: str) -> Needed:
    """The series that an expression needs. Raises ValueError for what cannot be read."""
    if not expression.strip():
        raise ValueError("its expression is not told")
    reader = _Reader(expression)
    groups, number = reader.expression()
    if reader.text:
        raise ValueError(f"{reader.text!r} stands where nothing was expected")
    kept = tuple(dict.fromkeys(group for group in groups if ALWAYS not in group))
    return Needed(kept, tuple(dict.fromkeys(reader.hidden)), reader.has_stand_in, number is not None)


_Groups = tuple[tuple[Selector, ...], ...]
#: What an expression is whatever the data: NaN where only that is known, None where data may change it.
_Number = t.Optional[float]
_Read = tuple[_Groups, _Number]


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

    def expression(self) -> _Read:
        groups, number = self._conjunction()
        while self._word == "or":
            self._at += 1
            other, other_number = self._conjunction()
            if not groups or not other:
                # One side is a number made of nothing.
                self._stands_in(groups or other)
            elif other_number is not None or number is not None:
                self._stands_in(groups if other_number is not None else other)
            groups = tuple(one + another for one in groups for another in other)
            number = math.nan if number is not None and other_number is not None else None
        return groups, number

    def _stands_in(self, hidden: _Groups) -> None:
        self.has_stand_in = True
        self.hidden += [each for group in hidden for each in group if each != ALWAYS]

    def _conjunction(self) -> _Read:
        groups, number = self._operand()
        while self._word in ("and", "unless"):
            is_needed = self._word == "and"
            self._at += 1
            begin = self._at
            other, _other_number = self._operand()
            groups += other if is_needed else ()
            if any(match[0].strip() in _LEVELS[0] for match in self._matches[begin : self._at]):
                # By a comparison the data say when there is a result.
                number = None
        return groups, number

    def _operand(self) -> _Read:
        """Up to the next set operator, or the end of the parenthesis or argument."""
        groups: _Groups = ()
        parts: list[str | _Number] = []
        while self.text not in ("", ")", ",") and self._word not in _SET_OPERATORS:
            if self.text == "[":
                self._past("]")
            elif self.text == "@" or self._word == "offset":
                self._past_time()
            elif self._word in _LABEL_LISTS or self._word in _WORDS:
                self._past_word()
            elif self.text in _OPERATORS or self._word == "atan2":
                parts.append(self.text.lower())
                self._at += 1
            else:
                more, number = self._term()
                groups += more
                parts.append(number)
        return groups, _folded(parts)

    def _term(self) -> _Read:
        """A number, a string, what stands in parentheses, or what begins with a name or a brace."""
        if self.text == "(":
            return self._arguments("")
        if self.text == "{" or (self._word and self._word not in _NUMBERS):
            return self._named()
        self._at += 1
        return (), _number(self._matches[self._at - 1])

    def _past_time(self) -> None:
        """Behind ``offset -5m``, ``@ 1609746000`` or ``@ end()``."""
        self._at += 1
        if self.text in ("-", "+"):
            self._at += 1
        if self._word in ("start", "end"):
            self._past(")")
        elif self.text != "(":
            self._at += 1

    def _past_word(self) -> None:
        is_list = self._word in _LABEL_LISTS
        self._at += 1
        if is_list and self.text == "(":
            self._past(")")

    def _named(self) -> _Read:
        """What begins with a name or a brace: a function or aggregation with its arguments, or a selector."""
        begin, name = self._at, self.text
        if name == "{":
            return self._selector(begin, ""), None
        self._at += 1
        if self._word in ("by", "without"):
            self._past_word()
        if self.text == "(":
            groups, number = self._arguments(name.lower())
            return (((ALWAYS,),), None) if name.lower() in _ABSENT else (groups, number)
        return self._selector(begin, name), None

    def _arguments(self, function: str) -> _Read:
        """Of a function, an aggregation, or (without a name) what stands in parentheses."""
        self._at += 1
        groups, number = self.expression()
        while self.text == ",":
            self._at += 1
            groups += self.expression()[0]
        if self.text != ")":
            raise ValueError("a parenthesis is not closed")
        self._at += 1
        is_kept = not function or function in _SAME_FOR_SAME or (function in _ZERO_FOR_ZERO and number == 0)
        return groups, number if is_kept else None

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


#: No rule of a person has so many operands beside each other, and each operator is folded by a call of its own.
_MOST_PARTS = 200
_OPERATORS = frozenset(sign for level in _LEVELS for sign in level)


def _number(match: re.Match[str]) -> _Number:
    """What a number says. A string says none."""
    if match.lastgroup == "string":
        return None
    text = match[0].strip()
    try:
        return float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
    except ValueError:
        return math.nan  # A span such as 5m.


def _folded(parts: t.Sequence[str | _Number]) -> _Number:
    """What operands with operators between them are; None as well for what does not look like that."""
    if len(parts) > _MOST_PARTS:
        return None
    for level in _LEVELS[:-1]:
        at = next((at for at in range(len(parts) - 1, 0, -1) if parts[at] in level and _is_operand(parts[at - 1])), 0)
        if at:
            return _combined(str(parts[at]), _folded(parts[:at]), _folded(parts[at + 1 :]))
    if len(parts) > 1 and parts[0] in ("-", "+"):
        number = _folded(parts[1:])
        return None if number is None else -number
    if len(parts) > 2 and parts[1] == "^":
        return _combined("^", _folded(parts[:1]), _folded(parts[2:]))
    return parts[0] if len(parts) == 1 and not isinstance(parts[0], str) else None


def _is_operand(part: str | _Number) -> bool:
    return not isinstance(part, str)


def _combined(sign: str, left: _Number, right: _Number) -> _Number:
    if (sign == "*" and 0 in (left, right)) or (sign in ("/", "%") and left == 0):
        return 0.0
    if sign == "^" and right == 0:
        return 1.0
    if left is None or right is None:
        return None
    try:
        return _ARITHMETIC[sign](left, right) if sign in _ARITHMETIC else math.nan
    except (ArithmeticError, ValueError):
        return math.nan


def _tokens(expression: str) -> t.Iterator[re.Match[str]]:
    at = 0
    expression = expression.rstrip()
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"{expression[at : at + 20]!r} cannot be read")
        yield match
        at = match.end()
