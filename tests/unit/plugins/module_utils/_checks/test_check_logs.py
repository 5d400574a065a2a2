# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_logs judges plain counts; one line per case."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_logs as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_logs import Facts, Source
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

CLEAN = Source("app.log", lines=100, json_lines=99, levels={"info": 90, "none": 10}, required={0: 1}, silence=30.0)
ERROR = {"forbidden": [{"pattern": "ERROR"}]}
RATE = {"since": "1h", "baseline": "2h", "forbidden": [{"pattern": "E", "max": 1, "max_times_baseline": 1.5}]}


def params(**options: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, {"sources": [{"path": "app.log"}], **options}, where="test")


def judged(options: t.Mapping[str, t.Any], *sources: Source, **fields: t.Any) -> Judgement:
    seen = sources or (dataclasses.replace(CLEAN, **fields),)
    since, baseline = (3600.0, 7200.0) if "since" in options else (None, None)
    return Judgement.of(check.judge(Facts(seen, options.get("since"), since, baseline), params(**options)))


CASES: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    (ERROR, {}, "pass", "All hold"),
    (ERROR, {"lines": 0}, "unknown", "app.log has no line"),
    ({"since": "1h", **ERROR}, {"lines": 0}, "unknown", "has no line since 1h"),
    (ERROR, {"lines": 0, "ignored": 3}, "pass", "All hold"),
    ({"min_lines": 101, **ERROR}, {}, "fail", "Lines of app.log is 100, expected at least 101"),
    (ERROR, {"gaps": ("the time was up",)}, "unknown", "app.log was not read in full: the time was up"),
    (ERROR, {"problem": "app.log cannot be read: no.", "lines": 0}, "unknown", "app.log cannot be read: no"),
    (ERROR, {"forbidden": {0: 2}}, "fail", "Lines with /ERROR/ is 2, expected at most 0"),
    (ERROR, {"forbidden": {0: 2}, "gaps": ("x",)}, "fail", "Lines with /ERROR/ is 2"),
    ({"forbidden": [{"pattern": "E", "max": 2}]}, {"forbidden": {0: 2}}, "pass", "All hold"),
    ({"forbidden": [{"pattern": "E", "level": "warn"}]}, {"forbidden": {0: 1}}, "warn", "Lines with /E/ is 1"),
    ({"forbidden": [{"pattern": "E", "name": "trouble"}]}, {"forbidden": {0: 1}}, "fail", "Lines with trouble is 1"),
    (RATE, {"forbidden": {0: 1}}, "pass", "All hold"),
    (RATE, {"forbidden": {0: 3}, "baseline_lines": 9, "baseline_forbidden": {0: 4}}, "pass", "All hold"),
    (RATE, {"forbidden": {0: 4}, "baseline_lines": 9, "baseline_forbidden": {0: 4}}, "fail", "4 an hour, and was in 2"),
    (RATE, {"forbidden": {0: 4}, "baseline_lines": 9}, "fail", "was in 0 an hour"),
    (RATE, {"forbidden": {0: 4}}, "unknown", "baseline before has no line"),
    ({"required": [{"pattern": "up"}]}, {}, "pass", "All hold"),
    ({"required": [{"pattern": "up", "min": 2}]}, {}, "fail", "Lines with /up/ is 1, expected at least 2"),
    ({"required": [{"pattern": "up", "min": 2}]}, {"gaps": ("x",)}, "unknown", "/up/ are 1 in what was read"),
    ({"max_errors": 0}, {}, "pass", "All hold"),
    ({"max_errors": 0}, {"levels": {"error": 1}}, "fail", "Lines of level error is 1"),
    ({"max_warnings": 1}, {"levels": {"warning": 2}}, "fail", "Lines of level warning is 2"),
    ({"max_critical": 0}, {"levels": {"none": 100}}, "unknown", "none of 100 lines names a level"),
    ({"min_json_share": 0.99}, {}, "pass", "All hold"),
    ({"min_json_share": 0.991}, {}, "fail", "Share of lines that are JSON is 0.99"),
    ({"min_json_share": 0}, {"lines": 0, "ignored": 1}, "unknown", "Share of lines that are JSON"),
    ({"max_silence": "30s"}, {}, "pass", "All hold"),
    ({"max_silence": "29s"}, {}, "fail", "Silence of app.log is 30 s"),
    ({"max_silence": "29s"}, {"silence": None}, "unknown", "Silence of app.log could not be read"),
    (
        {},
        {"sensitive": {"IBAN": 2}, "places": {"IBAN": ("a byte 1", "a byte 9")}},
        "fail",
        "IBAN in 2 lines: a byte 1, a byte 9",
    ),
    ({"sensitive": []}, {}, "pass", "Lines of app.log is 100"),
]


@pytest.mark.parametrize(("options", "fields", "status", "said"), CASES)
def test_one_count_decides(options: dict[str, t.Any], fields: dict[str, t.Any], status: str, said: str) -> None:
    judgement = judged(options, **fields)
    assert judgement.status == status, judgement.summary
    assert said in judgement.summary


def test_counts_of_all_sources_are_added_and_each_must_have_lines() -> None:
    other = dataclasses.replace(CLEAN, label="b.log", forbidden={0: 1}, levels={"error": 2})
    both = judged({**ERROR, "max_errors": 1}, dataclasses.replace(CLEAN, forbidden={0: 2}), other)
    assert "Lines with /ERROR/ is 3" in both.summary
    assert "lines of level error is 2" in both.summary
    assert judged(ERROR, CLEAN, Source("c.log")).status == "unknown"


@pytest.mark.parametrize("option", ["sources", "forbidden", "required", "ignore", "known_secrets"])
def test_an_empty_list_is_refused(option: str) -> None:
    from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

    with pytest.raises(BadInput, match=f"{option} is an empty list"):
        check.gather(params(**{option: []}), run=Run(timeout_seconds=1))


def test_evidence_is_json() -> None:
    assert json.loads(json.dumps(check.evidence(Facts((CLEAN,), None, None, None))))["sources"][0]["lines"] == 100


@given(count=st.integers(0, 10**6), most=st.integers(0, 10**6), read=st.integers(1, 10**6))
def test_a_pattern_passes_exactly_when_it_is_not_too_often(count: int, most: int, read: int) -> None:
    status = judged({"forbidden": [{"pattern": "E", "max": most}]}, lines=read, forbidden={0: count}).status
    assert status == ("pass" if count <= most else "fail")
