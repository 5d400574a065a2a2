# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_command judges plain facts."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_command as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_command import Facts, Number
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.bounded_command import Printed, Ran
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

ENDED = Facts("status", exit_code=0, seconds=0.1, stdout="ready\n", stdout_bytes=6)


def params(**given_: t.Any) -> dict[str, t.Any]:
    return validated(check.ARGUMENT_SPEC, {"argv": ["status"], **given_}, where="check_command", **check.CONSTRAINTS)


def judgement(facts: Facts, **given_: t.Any) -> Judgement:
    return Judgement.of(check.judge(facts, params(**given_)))


@given(st.integers(-64, 255), st.lists(st.integers(0, 255), min_size=1, max_size=5))
def test_only_an_expected_exit_code_passes(code: int, expected: list[int]) -> None:
    found = judgement(dataclasses.replace(ENDED, exit_code=code), exit_codes=expected)
    assert found.status == ("pass" if code in expected else "fail")


@pytest.mark.parametrize(("code", "word"), [(-9, "SIGKILL"), (-15, "SIGTERM"), (-40, "signal 40")])
def test_a_signal_is_named(code: int, word: str) -> None:
    assert (
        f"was killed by {word}, expected exit code 0" in judgement(dataclasses.replace(ENDED, exit_code=code)).summary
    )


def test_a_shell_that_found_no_program_found_nothing_out() -> None:
    facts = dataclasses.replace(ENDED, label="gone | wc -l", exit_code=127, shown_stderr=("sh: 1: gone: not found",))
    found = Judgement.of(check.judge(facts, validated(check.ARGUMENT_SPEC, {"command": "x", "shell": True}, where="x")))
    assert (found.status, "was not found: sh: 1: gone: not found" in found.summary) == ("unknown", True)
    assert judgement(facts).status == "fail"


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_number_passes_between_its_bounds_and_nowhere_else(value: float, lowest: float, highest: float) -> None:
    facts = dataclasses.replace(ENDED, numbers=(Number("room", value, "GB"),))
    found = judgement(facts, numbers=[{"name": "room", "unit": "GB", "min": lowest, "max": highest}])
    assert found.status == ("pass" if lowest <= value <= highest else "fail")


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", " ", "\n", " GB", "%", " % belegt"]))
def test_a_printed_number_is_read_as_it_was_meant(value: float, after: str) -> None:
    printed = Printed(f"{value!r}{after}", 9, False)
    number = check._number({"name": "n"}, Ran(0, printed, Printed("", 0, False), 0.1))
    assert (number.value, number.unit) == (value, after.strip())


@given(st.text())
def test_any_output_gives_a_number_or_a_reason(text: str) -> None:
    ended = Ran(0, Printed(text, len(text), False), Printed("", 0, False), 0.1)
    for pattern in (None, "([0-9,.]*)", "x(y)?"):
        number = check._number({"name": "n", "pattern": pattern}, ended)
        assert (number.value is None) == bool(number.problem)


def test_what_was_not_run_is_unknown_and_nothing_else() -> None:
    found = judgement(Facts("status", problem="status was not run in check mode", left_out=True), stdout_matches=["x"])
    assert (found.status, list(found.expected)) == ("unknown", ["status"])
    assert found.remedy == "Promise changes_nothing: true if it does not."
    assert check.evidence(Facts("status", problem="gone")) == {"command": "status", "problem": "gone"}


def test_evidence_is_json_and_holds_what_may_be_shown() -> None:
    facts = dataclasses.replace(ENDED, numbers=(Number("a", 1.5), Number("b", problem="gone")), shown_stdout=("ready",))
    told = json.loads(json.dumps(check.evidence(facts)))
    assert (told["numbers"], told["stdout"], "stderr" in told) == ({"a": 1.5}, ["ready"], False)
