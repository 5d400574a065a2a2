# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's pattern finds what Python's own search finds, and one that would search for ever ends at its limit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks.packed_findings import unpacked
from ansible_collections.opsready.golive.plugins.module_utils._core import patterns
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    TimedOut,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import matches
from tests.playbook import ROOT

ENDLESS = "(a+)+$"
#: 2 to the power of 60 ways.
HOSTILE = "a" * 60 + "!"
#: Always searched by a process of its own: a group is repeated.
_APART = st.sampled_from(
    [r"(a)+", r"(?P<word>b|aa)*c", r"(?:a|\n)+$", r"^(.)\1", r"(?x)a (b)", r"(ä|\udc80)+", r"(?:)*"]
)


@given(_APART, st.lists(st.text("abcä\n\udc80", max_size=12), max_size=5))
def test_a_process_of_its_own_finds_what_python_finds(pattern: str, texts: list[str]) -> None:
    searched = re.compile(pattern)
    assert patterns.may_take_long(pattern, texts)
    assert patterns.are_in(searched, texts) == [searched.search(text) is not None for text in texts]
    for text in texts:
        assert patterns.occurrences(searched, text) == [
            patterns.Found(match[0], match.start(), match.groups(), match.groupdict())
            for match in searched.finditer(text)
        ]


def test_flags_reach_it() -> None:
    assert patterns.is_in(patterns.compiled("^(a)+$", option="x", flags=re.IGNORECASE | re.MULTILINE), "b\nA\n")


_ATOM = st.sampled_from(["a", r"\w", "[)]", r"\)", ".", "[^]a]", "b?", r"\\"])
_REPEAT = st.sampled_from(["+", "*", "{2,}", "{,9}", "{3}", "+?", "*?"])
_OPEN = st.sampled_from(["(", "(?:", "(?P<n>", "(?i:"])


@given(
    st.text("ab ", max_size=5),
    _OPEN,
    st.lists(_ATOM, min_size=1, max_size=4),
    _REPEAT,
    _REPEAT,
    st.text("$b", max_size=2),
)
def test_a_repetition_inside_a_repeated_group_is_never_searched_here(
    before: str, opened: str, atoms: list[str], inner: str, outer: str, after: str
) -> None:
    pattern = f"{before}{opened}{''.join(atoms).rstrip('?')}{inner}){outer}{after}"
    re.compile(pattern)
    assert patterns.may_take_long(pattern, ["a"])


@pytest.mark.parametrize(
    ("pattern", "length", "is_long"),
    [
        ("ERROR", 10**7, False),
        ("a|b|c", 10**7, False),
        (r"(?:error|fatal|panic)\b", 10**7, False),
        (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", 10**7, False),
        (r"[*+]{3}\+\*", 10**7, False),
        ("https?://(www[.])?x", 10**7, False),
        (r"\s+$", 500, False),
        (r"\s+$", 5000, True),
        ("}+$", 5000, True),
        ("a{2,}?b", 5000, True),
        (".*.*.*=", 100, True),
        ("a?" * 30 + "a" * 30, 30, True),
        ("(?x) (a+) # more\n + $", 1, True),
    ],
)
def test_what_may_take_long_is_told_from_the_pattern_and_the_length(pattern: str, length: int, is_long: bool) -> None:
    re.compile(pattern)
    assert patterns.may_take_long(pattern, ["a" * length]) is is_long


def test_many_texts_count_together() -> None:
    """A log's lines are searched here, and as one text of the same size they are not."""
    assert not patterns.may_take_long("a+b", ["a" * 150] * 5_000)
    assert patterns.may_take_long("a+b", ["a" * 300] * 5_000)
    assert patterns.may_take_long("a+b", ["a" * 150 * 5_000])


def test_one_that_would_search_for_ever_ends_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LIMIT_SECONDS", 0.2)
    endless = re.compile(ENDLESS)
    for searching in (lambda: patterns.is_in(endless, HOSTILE), lambda: patterns.occurrences(endless, HOSTILE)):
        with pytest.raises(TimedOut, match=r"The pattern /\(a\+\)\+\$/ on 61 characters did not end within 0.2 s\."):
            searching()
    assert patterns.is_in(endless, "aaa")  # a new process serves the next


def test_a_criterion_of_it_is_unknown_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LIMIT_SECONDS", 0.2)
    criterion = matches("body", HOSTILE, ENDLESS)
    assert criterion.status == "unknown"
    assert (
        criterion.sentence == "body could not be judged: The pattern /(a+)+$/ on 61 characters did not end within 0.2 s"
    )


def test_a_process_that_dies_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_PROGRAM", "import sys; sys.stdin.readline()")
    monkeypatch.setattr(patterns, "_HELPERS", patterns._Helpers())
    with pytest.raises(UnexpectedAnswer, match="its process ended by itself"):
        patterns.is_in(re.compile(ENDLESS), "a")


def test_no_pattern_at_all_is_refused_by_option() -> None:
    with pytest.raises(BadInput, match=r"stdout_matches: '\(' is not a regular expression"):
        patterns.compiled("(", option="stdout_matches")


def test_an_endless_pattern_costs_a_checklist_its_own_item_alone() -> None:
    """The real module: its item is unknown by the item's own limit, the other one is judged, and the module ends."""
    matching = {"argv": ["printf", "%s", HOSTILE], "changes_nothing": True, "stdout_matches": [ENDLESS]}
    items = [
        {"id": "endless", "check": "check_command", "params": matching, "timeout": 60},
        {"id": "hurried", "check": "check_command", "params": matching, "timeout": 1},
        {"id": "good", "check": "check_host", "params": {"files": [{"path": "/etc/passwd"}]}, "timeout": 60},
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.module_process", "checklist"],
        input=json.dumps({"checks": items, "secrets": [], "timeout": 120}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "build"), str(ROOT), *filter(None, sys.path)])},
        timeout=90,
        check=False,
    )
    findings = unpacked(json.loads(ended.stdout)["findings"])
    found = {finding["id"]: (finding["status"], finding["summary"]) for finding in findings}
    assert found["endless"][0] == found["hurried"][0] == "unknown"
    assert "The pattern /(a+)+$/ on 61 characters did not end within 5 s" in found["endless"][1]
    assert found["hurried"][1] == "No answer within 1 s."
    assert found["good"][0] == "pass"
