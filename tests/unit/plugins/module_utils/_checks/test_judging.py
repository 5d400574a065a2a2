# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One item on one host becomes one finding, whatever its check does; a check module is a task that fails on a bad one."""

from __future__ import annotations

import dataclasses
import json
import types
import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._checks import judging
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Denied
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, at_least, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber
from tests.leaks import assert_no_leak
from tests.module_process import module_arguments

SECRET = "canary-77:1/ab@cd"


@dataclasses.dataclass(frozen=True)
class Facts:
    number: int


def fake(**parts: t.Any) -> t.Any:
    """A check; each part may be replaced."""
    good = {
        "NAME": "check_fake",
        "ARGUMENT_SPEC": {"number": {"type": "int", "default": 3}, "password": {"type": "str", "no_log": True}},
        "CONSTRAINTS": {},
        "gather": lambda params, *, run: Facts(params["number"]),
        "judge": lambda facts, params: iter([at_least("number", facts.number, 2, remedy="More of it.")]),
        "evidence": lambda facts: {"number": facts.number},
    }
    return types.SimpleNamespace(**{**good, **parts})


def _run(**more: t.Any) -> Run:
    return Run(timeout_seconds=5, scrubber=Scrubber([SECRET]), **more)


def test_a_finding_is_what_was_gathered_and_judged() -> None:
    finding = judging.judged(fake(), {"number": 1}, _run())
    assert finding["status"] == "fail"
    assert finding["summary"] == "Number is 1, expected at least 2."
    assert (finding["expected"], finding["measured"]) == ({"number": "at least 2"}, {"number": 1})
    assert (finding["evidence"], finding["remedy"], finding["check"]) == ({"number": 1}, "More of it.", "check_fake")
    assert parse_utc(finding["started"])
    assert finding["seconds"] >= 0


def _raise(problem: BaseException) -> t.Callable[..., t.NoReturn]:
    def raising(*_unused: object, **__: object) -> t.NoReturn:
        raise problem

    return raising


@pytest.mark.parametrize("part", ["gather", "judge", "evidence"])
@pytest.mark.parametrize(
    ("problem", "summary"),
    [
        (Denied(f"refused {SECRET}.", remedy=f"not {SECRET}"), "refused ********."),
        (ValueError(f"bad {SECRET}"), "ValueError: bad ********"),
        (RecursionError(), "RecursionError: RecursionError"),
    ],
)
def test_what_raises_is_unknown_and_shows_no_secret(part: str, problem: Exception, summary: str) -> None:
    finding = judging.judged(fake(**{part: _raise(problem)}), {"number": 1}, _run())
    assert (finding["status"], finding["summary"]) == ("unknown", summary)
    assert_no_leak([SECRET], json.dumps(finding), "a finding")


def test_a_defect_names_its_place_as_evidence() -> None:
    finding = judging.judged(fake(gather=_raise(KeyError("x"))), {}, _run())
    assert finding["evidence"]["raised"] == "KeyError"
    assert finding["evidence"]["at"].startswith("test_judging.py:")


def test_a_judge_that_raises_half_way_is_unknown_with_the_evidence_there_is() -> None:
    def half(facts: Facts, params: object) -> t.Iterator[Criterion]:
        yield at_least("number", facts.number, 2)
        raise ValueError("half way")

    finding = judging.judged(fake(judge=half), {"number": 9}, _run())
    assert finding["status"] == "unknown"


def test_nothing_judged_is_unknown() -> None:
    assert judging.judged(fake(judge=lambda facts, params: iter(())), {"number": 9}, _run())["status"] == "unknown"


def test_evidence_is_bounded_and_scrubbed() -> None:
    large = {"text": "x" * 9000, "list": list(range(500)), "secret": [f"<{SECRET}>"]}
    evidence = judging.judged(fake(evidence=lambda facts: large), {"number": 9}, _run())["evidence"]
    assert len(json.dumps(evidence)) < 4000
    assert evidence["secret"] == ["<********>"]


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str]) -> t.Callable[..., dict[str, t.Any]]:
    def go(check: t.Any, **arguments: t.Any) -> dict[str, t.Any]:
        with module_arguments({**arguments, "_ansible_remote_tmp": "/tmp"}), pytest.raises(SystemExit):
            judging.main_of(check)
        captured = capfd.readouterr()
        assert_no_leak([SECRET], captured.out + captured.err, "the module's output")
        return t.cast("dict[str, t.Any]", json.loads(captured.out))

    return go


@pytest.mark.parametrize(("number", "enforce", "failed"), [(9, True, False), (1, True, True), (1, False, False)])
def test_a_task_of_its_own_fails_on_a_bad_finding_and_returns_it(
    main: t.Any, number: int, enforce: bool, failed: bool
) -> None:
    answer = main(fake(), number=number, enforce=enforce, password=SECRET)
    assert bool(answer.get("failed")) is failed
    assert answer["changed"] is False
    assert answer["finding"]["status"] == ("pass" if number == 9 else "fail")
    assert answer["msg"] == answer["finding"]["summary"]


def test_a_task_of_its_own_fails_on_unknown_and_not_on_a_warning(main: t.Any) -> None:
    assert main(fake(judge=lambda facts, params: iter([unknown("n", "no answer")])))["failed"] is True
    warned = main(fake(judge=lambda facts, params: iter([at_least("n", 1, 2, level="warn")])))
    assert "failed" not in warned
    assert warned["finding"]["status"] == "warn"


def test_the_options_of_the_task_are_not_the_checks(main: t.Any) -> None:
    seen: dict[str, t.Any] = {}

    def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
        seen.update(params, limit=run.deadline.seconds, check_mode=run.check_mode)
        return Facts(9)

    main(fake(gather=gather), timeout=2.5, _ansible_check_mode=True)
    assert seen == {"number": 3, "password": None, "limit": 2.5, "check_mode": True}


def test_a_secret_never_leaves_through_any_part(main: t.Any) -> None:
    parts: list[dict[str, t.Any]] = [
        {"gather": _raise(BadInput(SECRET))},
        {"gather": _raise(RuntimeError(SECRET))},
        {"evidence": lambda facts: {SECRET: SECRET}},
        {"judge": lambda facts, params: iter([at_least(SECRET, 1, 2, remedy=SECRET)])},
    ]
    for part in parts:
        main(fake(**part), password=SECRET)
