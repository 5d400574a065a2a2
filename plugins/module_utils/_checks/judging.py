# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One item on one host: gather, judge, and fold into what the finding says. Never raises for what it finds."""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import registry
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import STANDALONE, compose, secrets_in
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import Ended, GoliveError
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement, worst_of_error
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import (
    Module,
    ended_by_signals,
    finish,
    where_it_broke,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import Scrubber, bounded, in_use


def judged(check: registry.Check, params: t.Mapping[str, t.Any], run: Run) -> dict[str, t.Any]:
    """Status, summary, expected, measured, evidence, remedy, started and seconds of one item."""
    began, started = run.clock.monotonic(), utc_text(run.clock.now())
    evidence: dict[str, t.Any] = {}
    try:
        facts = check.gather(params, run=run)
        evidence = check.evidence(facts)
        judgement = Judgement.of(check.judge(facts, params))
    except GoliveError as problem:
        judgement = worst_of_error(problem)
    except Exception as problem:
        evidence = {"raised": type(problem).__name__, "at": where_it_broke(problem)}
        judgement = worst_of_error(problem)
    return _finding(check.NAME, judgement, evidence, run, started, run.clock.monotonic() - began)


def _finding(
    name: str, judgement: Judgement, evidence: dict[str, t.Any], run: Run, started: str, seconds: float
) -> dict[str, t.Any]:
    return {
        "status": judgement.status,
        "summary": run.scrub.text(judgement.summary),
        "expected": bounded(run.scrub.value(judgement.expected)),
        "measured": bounded(run.scrub.value(judgement.measured)),
        "evidence": bounded(run.scrub.value(evidence)),
        "remedy": run.scrub.text(judgement.remedy),
        "left_out": judgement.left_out,
        "check": name,
        "started": started,
        "seconds": round(seconds, 3),
    }


def main_of(check: registry.Check) -> None:
    """The main() of a check module: a task of its own that fails on fail or unknown, unless enforce is false.

    A signal lets a probe remove its trace; the finding is unknown then, and the task fails.
    """
    spec = compose(check.ARGUMENT_SPEC, STANDALONE)
    module = Module(spec, supports_check_mode=True, **check.CONSTRAINTS)
    params = {key: value for key, value in module.params.items() if key not in STANDALONE}
    scrubber = Scrubber(secrets_in(spec, module.params))
    run = Run(timeout_seconds=module.params["timeout"], scrubber=scrubber, check_mode=module.check_mode)
    began, started = run.clock.monotonic(), utc_text(run.clock.now())
    was_ended = False
    try:
        with ended_by_signals(), in_use(scrubber):
            finding = judged(check, params, run)
            run.close()
    except Ended as problem:
        was_ended = True
        finding = _finding(check.NAME, worst_of_error(problem), {}, run, started, run.clock.monotonic() - began)
    bad = finding["status"] in ("fail", "unknown")
    finish(
        module,
        scrubber,
        {"changed": False, "finding": finding, "msg": finding["summary"]},
        failed=was_ended or (bad and module.params["enforce"]),
    )
