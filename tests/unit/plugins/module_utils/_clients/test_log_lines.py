# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line says of itself; one line per form."""

from __future__ import annotations

import datetime as dt
import json
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import log_lines

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.timezone.utc).timestamp()
FIVE = dt.datetime(2026, 11, 22, 5, 1, 2, tzinfo=dt.timezone.utc).timestamp()


def moment(text: str, *, is_utc: bool = True) -> float | None:
    return log_lines.moment_of(text, log_lines.json_object(text), is_utc=is_utc, now=NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T05:01:02Z ready", FIVE),
        ("2026-11-22 05:01:02,250 INFO ready", FIVE + 0.25),
        ("2026-11-22 05:01:02.250 UTC [77] LOG:  ready", FIVE + 0.25),
        ("[2026-11-22T06:01:02+01:00] ready", FIVE),
        ("[2026-11-22 03:31:02 -0130] [12] [INFO] gunicorn", FIVE),
        ("backend-1  | 2026-11-22T05:01:02.000000001Z ready", FIVE),
        ("2026/11/22 05:01:02 [error] 31#31: nginx", FIVE),
        ('10.0.0.1 - - [22/Nov/2026:06:01:02 +0100] "GET / HTTP/1.1" 200', FIVE),
        ("Nov 22 05:01:02 host app[1]: ready", FIVE),
        ("<30>Nov 22 05:01:02 host app[1]: ready", FIVE),
        (
            "Dec 31 05:01:02 host app[1]: last year",
            dt.datetime(2025, 12, 31, 5, 1, 2, tzinfo=dt.timezone.utc).timestamp(),
        ),
        (f"{FIVE:.0f}.5 ready", FIVE + 0.5),
        (json.dumps({"ts": FIVE}), FIVE),
        (json.dumps({"time": FIVE * 1000}), FIVE),
        (json.dumps({"time": FIVE * 1e9}), FIVE),
        (json.dumps({"@timestamp": "2026-11-22T05:01:02Z", "msg": "x"}), FIVE),
        (json.dumps({"msg": "2026-11-22T05:01:02Z is no time of its own"}), None),
        (json.dumps({"ts": True}), None),
        (json.dumps({"ts": {}}), None),
        ("2026-13-45 99:99:99 nonsense", None),
        ("    at module.f (x.py:1)", None),
        ("Foo 22 05:01:02 no month", None),
        ("", None),
    ],
)
def test_a_time_is_read_in_every_usual_form(text: str, seconds: float | None) -> None:
    found = moment(text)
    assert (found is None) == (seconds is None)
    assert found is None or seconds is None or abs(found - seconds) < 0.001


def test_a_time_without_a_zone_is_the_hosts_own_where_so_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-3")
    time.tzset()
    try:
        assert moment("2026-11-22 08:01:02 INFO", is_utc=False) == FIVE
        assert moment("2026-11-22 05:01:02Z INFO", is_utc=False) == FIVE
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026-11-22 05:01:02 ERROR x", "error"),
        ("CRITICAL: x", "critical"),
        ("FATAL:  the database system is starting up", "critical"),
        ("22.11.2026 WARNUNG langsam", "warning"),
        ("FEHLER beim Lesen", "error"),
        ("KRITISCH", "critical"),
        ("nginx [warn] 31#31", "warning"),
        ('level=error msg="x"', "error"),
        ("ts=1 lvl=warn", "warning"),
        ("E1122 05:01:02.345678 1 x.go:1] no", "error"),
        ("I1122 05:01:02.345678 1 x.go:1] fine", "info"),
        ("DEBUG an ERROR is only mentioned", "debug"),
        ("an error occurred, says a sentence", None),
        ("GET /ERROR-page", None),
        (json.dumps({"level": "WARN"}), "warning"),
        (json.dumps({"level": 50}), "error"),
        (json.dumps({"level": 10}), "debug"),
        (json.dumps({"log": {"level": "error"}}), "error"),
        (json.dumps({"severity": "NOTICE"}), "info"),
        (json.dumps({"level": True}), None),
        (json.dumps({"msg": "ERROR"}), None),
    ],
)
def test_a_level_is_a_word_of_its_own_or_a_field(text: str, level: str | None) -> None:
    assert log_lines.level_of(text, log_lines.json_object(text)) == level
    if level in ("critical", "error", "warning"):
        assert log_lines.may_be_bad(["harmlos ß", text, ""]) == {1}


@pytest.mark.parametrize(
    ("text", "inner", "seconds"),
    [
        (json.dumps({"log": "hallo\n", "stream": "stdout", "time": "2026-11-22T05:01:02Z"}), "hallo", FIVE),
        ("2026-11-22T05:01:02.5Z stderr F hallo", "hallo", FIVE + 0.5),
        (json.dumps({"log": "hallo", "level": "x"}), None, None),
        ('{"log": torn', None, None),
        ("hallo", None, None),
    ],
)
def test_a_containers_wrapper_is_taken_off(text: str, inner: str | None, seconds: float | None) -> None:
    assert log_lines.unwrapped(text) == (text if inner is None else inner, seconds)


@given(
    st.one_of(
        st.text(max_size=300),
        st.dictionaries(st.sampled_from(["ts", "level", "time"]), st.none() | st.floats() | st.text()),
    )
)
def test_nothing_that_a_line_holds_breaks_the_reading(value: t.Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    fields = log_lines.json_object(text)
    found = log_lines.moment_of(text, fields, is_utc=True, now=NOW)
    assert found is None or isinstance(found, float)
    level = log_lines.level_of(text, fields)
    assert level in (None, *log_lines.LEVELS)
    if level in ("critical", "error", "warning") and "\n" not in text:
        assert log_lines.may_be_bad([text]) == {0}
