# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cookies as browsers read them, on plain headers, and what is expected of them."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import http_cookies
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement, apart

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.timezone.utc)
PAST, LATER = "Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 21 Oct 2099 07:28:00 GMT"


def found(*lines: str) -> list[http_cookies.Cookie]:
    return http_cookies.cookies_of([("Set-Cookie", line) for line in lines], received_at=NOW)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1", ("a", False, False, "", False)),
        ("a=1; Secure; HttpOnly; SameSite=Lax", ("a", True, True, "lax", False)),
        ("a=1;secure;HTTPONLY;samesite=STRICT", ("a", True, True, "strict", False)),
        ("a=Secure", ("a", False, False, "", False)),
        ("a=x, b=y; HttpOnly", ("a", False, True, "", False)),
        ('a="Grüße, Welt"; Secure', ("a", True, False, "", False)),
        ("grüße=1; Secure", ("grüße", True, False, "", False)),
        ("a=b=c; Secure=anything", ("a", True, False, "", False)),
        ("a=1; SameSite=Sometimes", ("a", False, False, "", False)),
        ("a=1; SameSite=Lax; SameSite=None", ("a", False, False, "none", False)),
        (f"a=1; Expires={LATER}; HttpOnly", ("a", False, True, "", False)),
        (f"a=; Expires={PAST}; Path=/", ("a", False, False, "", True)),
        (f"a=; Expires={PAST}; Max-Age=60", ("a", False, False, "", False)),
        ("a=; Max-Age=0", ("a", False, False, "", True)),
        ("a=; Max-Age=-1", ("a", False, False, "", True)),
        (f"a=; Max-Age=soon; Expires={PAST}", ("a", False, False, "", True)),
        ("a=1; Expires=morgen", ("a", False, False, "", False)),
        ("a=1; Expires=Thu, 01 Jan 1970", ("a", False, False, "", False)),
        ("  a = 1 ; Secure ", ("a", True, False, "", False)),
        ("secret-alone; Secure", ("", True, False, "", False)),
        ("=secret; Secure", ("", True, False, "", False)),
        ("", ("", False, False, "", False)),
    ],
)
def test_a_cookie_is_read_as_browsers_read_it(line: str, expected: tuple[t.Any, ...]) -> None:
    (cookie,) = found(line)
    assert (cookie.name, cookie.secure, cookie.http_only, cookie.same_site, cookie.is_removal) == expected


@given(st.text(max_size=60))
def test_no_line_is_too_odd_and_no_value_is_kept(line: str) -> None:
    (cookie,) = found(f"name=5b1c7e9f{line.replace(';', '')}; {line}")
    assert cookie.name == "name"
    assert "5b1c7e9f" not in str(http_cookies.evidence([cookie]))


def judged(lines: t.Sequence[str], *expectations: dict[str, t.Any]) -> Judgement:
    complete = [
        {"secure": None, "http_only": None, "same_site": None, "level": "fail", **expectation}
        for expectation in expectations
    ]
    http_cookies.refuse_unreadable(complete)
    return Judgement.of(apart(http_cookies.criteria(found(*lines), "/", complete)))


GOOD, PLAIN = "session=1; Secure; HttpOnly; SameSite=Lax", "theme=dark"


@pytest.mark.parametrize(
    ("lines", "expectation", "status", "said"),
    [
        ([GOOD], {"name": "session"}, "pass", ""),
        ([GOOD, PLAIN], {"name": "session", "secure": True, "http_only": True, "same_site": ["lax"]}, "pass", ""),
        ([PLAIN], {"name": "session"}, "fail", "/ cookie session is absent"),
        ([], {"name": "session", "level": "warn"}, "warn", "absent"),
        ([f"session=; Expires={PAST}"], {"name": "session"}, "fail", "is taken away"),
        ([PLAIN], {"name": "theme", "secure": True}, "fail", "/ cookie theme Secure is not set, expected set"),
        ([PLAIN], {"name": "theme", "http_only": True}, "fail", "HttpOnly is not set"),
        ([PLAIN], {"name": "theme", "http_only": True, "level": "warn"}, "warn", "HttpOnly is not set"),
        ([GOOD], {"name": "session", "http_only": False}, "fail", "HttpOnly is set, expected not set"),
        ([PLAIN], {"name": "theme", "same_site": ["lax"]}, "fail", "SameSite is not set, expected lax"),
        ([GOOD], {"name": "session", "same_site": ["strict", "none"]}, "fail", "SameSite is lax, expected one of"),
        ([GOOD], {"name": "any", "secure": True}, "pass", ""),
        ([GOOD, PLAIN], {"name": "any", "secure": True}, "fail", "/ cookie theme Secure is not set"),
        ([GOOD, f"old=; Max-Age=0; Expires={PAST}"], {"name": "any", "secure": True}, "pass", ""),
        ([f"old=; Expires={PAST}"], {"name": "any", "secure": True}, "unknown", "sets no cookie"),
        ([], {"name": "any", "secure": True}, "unknown", "sets no cookie"),
        (["secret-alone"], {"name": "any", "secure": True}, "fail", "/ cookie (without a name) Secure"),
        ([GOOD, "session=2"], {"name": "session", "secure": True}, "fail", "/ cookie session Secure is not set"),
    ],
)
def test_what_is_expected_of_cookies(lines: list[str], expectation: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(lines, expectation)
    assert (judgement.status, said in judgement.summary) == (status, True), judgement.summary
    assert "secret" not in str(judgement)


@pytest.mark.parametrize("expectation", [{"name": "any"}, {"name": "a", "same_site": []}])
def test_a_rule_that_judges_nothing_is_refused(expectation: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput, match="cookies: "):
        judged([GOOD], expectation)
