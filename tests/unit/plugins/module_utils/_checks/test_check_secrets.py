# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_secrets judges plain facts; one line per case."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_secrets as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_secrets import (
    Accepted,
    Facts,
    Files,
    History,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.secret_engine import Found
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)
ONE = Found("a.py", 3, "GitHub Token", "0000-1111-2222-3333")
THEN = Found("b.py", 7, "AWS Access Key", "4444-5555-6666-7777", "c" * 40)
CLEAN = Files(9, ())
DAY = dt.timedelta(days=1)


def accepted(found: Found, expires: dt.datetime = NOW + DAY) -> tuple[Accepted, ...]:
    return (Accepted(found.key, "backend", expires),)


def judged(**facts: t.Any) -> Judgement:
    params = validated(check.ARGUMENT_SPEC, {"path": "/x", "history": {}}, where="test", **check.CONSTRAINTS)
    seen = Facts(
        **{"top": "/x", "files": CLEAN, "history": None, "accepted": (), "now": NOW, "limit_seconds": 10, **facts}
    )
    json.dumps(check.evidence(seen))
    return Judgement.of(check.judge(seen, params))


CASES: list[tuple[dict[str, t.Any], str, str]] = [
    ({}, "pass", "files searched 9"),
    ({"files": Files(9, (ONE,))}, "fail", "1 secrets in tracked files: a.py:3 GitHub Token (0000-1111-2222-3333)."),
    ({"files": Files(9, (ONE,), more=12)}, "fail", "13 secrets in tracked files: a.py:3 GitHub Token (0000-1111-2222-3333) and 3 more"),
    ({"files": Files(9, (ONE,)), "accepted": accepted(ONE)}, "pass", ""),
    ({"files": Files(9, (ONE,), more=1), "accepted": accepted(ONE)}, "fail", "1 secrets"),
    ({"files": Files(9, (ONE,)), "accepted": accepted(THEN)}, "fail", "1 secrets"),
    ({"files": Files(9, (ONE,)), "accepted": accepted(ONE, NOW)}, "fail",
     "accepted for a time that is over: a.py:3 GitHub Token (0000-1111-2222-3333) until 2026-11-22 12:00 by backend"),
    ({"files": Files(9, (ONE, Found("z.py", 3, ONE.rule, ONE.match))), "accepted": accepted(ONE)}, "fail", "z.py:3"),
    ({"files": Files(0, ())}, "unknown", "No tracked file of /x was searched"),
    ({"files": Files(0, (), binaries=("a",), excluded=4)}, "unknown", "so nothing is known"),
    ({"files": Files(5, (), unread=4)}, "unknown", "After 10 s 4 of 9 tracked files were not read"),
    ({"files": Files(5, (ONE,), unread=4)}, "fail", "4 of 9 tracked files were not read"),
    ({"files": Files(5, (), unreadable=(("a", "a is gone"),))}, "unknown", "1 tracked files were not read: a is gone"),
    ({"history": History(3, 3, ())}, "pass", ""),
    ({"history": History(0, 0, ())}, "pass", ""),
    ({"history": History(3, 3, (THEN,))}, "fail", "1 secrets in the history: b.py:7 of cccccccccccc AWS Access Key"),
    ({"history": History(3, 3, (THEN,)), "accepted": accepted(THEN)}, "pass", ""),
    ({"history": History(3, 3, (Found(*ONE.key[:1], 1, *ONE.key[1:], "d" * 40),)), "files": Files(9, (ONE,)), "accepted": accepted(ONE)}, "pass", ""),
    ({"history": History(3000, 1000, ())}, "unknown", "1000 of 3000 commits were searched: max_commits is 1000"),
    ({"history": History(3, 1, (), problem="it did not end")}, "unknown", "1 of 3 commits were searched: it did not end"),
    ({"history": History(3, 3, (), problem="the repository is shallow")}, "unknown", "shallow"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "status", "said"), CASES)
def test_a_repository_is_judged(facts: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(**facts)
    assert (judgement.status, said in judgement.summary) == (status, True), judgement.summary


@given(
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 3),
    st.lists(st.sampled_from([ONE, THEN]), max_size=2, unique=True),
)
def test_only_what_was_searched_whole_and_clean_passes(
    searched: int, unread: int, more: int, found: list[Found]
) -> None:
    judgement = judged(files=Files(searched, tuple(found), more=more, unread=unread))
    assert (judgement.status == "pass") == (searched > 0 and not unread and not more and not found)
