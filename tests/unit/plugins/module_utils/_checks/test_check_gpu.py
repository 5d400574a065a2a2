# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_gpu judges plain facts: what no GPU told never passes."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks import check_gpu as check
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_gpu import Facts
from ansible_collections.opsready.golive.plugins.module_utils._clients.nvml import Gpu, KernelLog, Reading, Xid
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Judgement

WELL = {
    "name": "NVIDIA L40S",
    "uuid": "GPU-1",
    "memory": {"total": 48 * 10**9, "used": 10**9, "free": 47 * 10**9},
    "temperature": 40,
    "throttle_reasons": 0,
    "utilization_percent": 0,
    "power_watts": 30.0,
    "power_limit_watts": 350.0,
    "processes": [],
    "ecc_uncorrected": 0,
    "row_remap": {"corrected": 0, "uncorrected": 0, "pending": 0, "failed": 0},
    "retired_pages_pending": False,
    "recovery_action": 0,
}
EVERYTHING = {
    "name": "L40S",
    "min_driver": "535",
    "min_memory_total": "40GB",
    "min_memory_free": "40GB",
    "max_memory_used_percent": 85,
    "memory_limit": "13.6GB",
    "max_temperature": 80,
    "max_utilization_percent": 10,
    "max_power_watts": 300,
    "min_power_limit_watts": 300,
    "no_errors": ["ecc", "retired_pages", "row_remap", "recovery", "throttle", "xid"],
    "allowed_processes": ["python"],
}


def judged(
    gpus: t.Sequence[Gpu], options: t.Mapping[str, t.Any], *, count: int | None = 1, driver: str | None = "570.1", **more: t.Any
) -> Judgement:  # fmt: skip
    reading = Reading(driver, 12080, count, tuple(gpus), more.pop("is_whole", True))
    facts = Facts(reading, 1, more.pop("log", KernelLog((), None)), **more)
    check.evidence(facts)
    return Judgement.of(check.judge(facts, validated(check.ARGUMENT_SPEC, options, where="test")))


def without(name: str, reason: str) -> Gpu:
    return Gpu(0, {key: value for key, value in WELL.items() if key != name}, {name: reason})


def test_a_gpu_that_is_well_passes_everything() -> None:
    found = judged([Gpu(0, WELL, {})], EVERYTHING)
    assert found.status == "pass", found.summary


@pytest.mark.parametrize("fact", sorted(set(WELL) - {"uuid"}))
@pytest.mark.parametrize("reason", ["FunctionNotFound", "NotSupported", "NoPermission", "Unknown"])
def test_each_fact_that_is_not_told_is_unknown_where_it_is_asked_for(fact: str, reason: str) -> None:
    found = judged([without(fact, reason)], EVERYTHING)
    assert found.status == "unknown", found.summary
    assert judged([without(fact, reason)], {}).status == "pass"


@pytest.mark.parametrize("fact", sorted(WELL))
def test_each_fact_of_a_lost_gpu_is_a_failure(fact: str) -> None:
    found = judged([without(fact, "GpuIsLost")], {})
    assert (found.status, found.summary) == ("fail", "GPU 0 is lost.")


@pytest.mark.parametrize(
    ("fact", "option", "bound"),
    [
        ("temperature", "max_temperature", 80),
        ("utilization_percent", "max_utilization_percent", 5),
        ("power_watts", "max_power_watts", 400),
        ("memory", "max_memory_used_percent", 85),
        ("throttle_reasons", "no_errors", ["throttle"]),
        ("processes", "allowed_processes", ["x"]),
    ],
)
def test_what_changes_is_judged_by_the_watch_and_unknown_where_that_stopped(
    fact: str, option: str, bound: t.Any
) -> None:
    options = {option: bound, "watch": "5s"}
    found = judged([Gpu(0, WELL, {})], options, is_whole=False, cut_off="NVML did not answer within 9 s")
    assert (found.status, "was not watched to the end" in found.summary) == ("unknown", True), found.summary
    assert judged([Gpu(0, WELL, {}, looks=10)], options).status == "pass"
    assert judged([Gpu(0, WELL, {fact: "Unknown"}, looks=10)], options).status == "unknown"
    assert judged([Gpu(0, WELL, {})], {"no_errors": ["ecc"], "watch": "5s"}).status == "pass"


@pytest.mark.parametrize(
    ("driver", "count", "gpus", "options", "status", "said"),
    [
        (None, 1, [Gpu(0, WELL, {})], {"min_driver": "535"}, "unknown", "Driver could not be judged"),
        ("new", 1, [Gpu(0, WELL, {})], {"min_driver": "535"}, "unknown", "Driver could not be judged"),
        ("1", None, [], {}, "unknown", "Number of GPUs could not be read"),
        ("1", None, [], {"count": 1}, "unknown", "Number of GPUs could not be read"),
        ("1", 1, [Gpu(0, {}, {"handle": "Unknown"})], {}, "unknown", "GPU 0 state is not known: NVML says Unknown"),
        ("1", 2, [Gpu(0, WELL, {})], {}, "unknown", "GPU 1 did not answer"),
        ("1", 2, [Gpu(0, WELL, {})], {"min_count": 3}, "fail", "Number of GPUs is 2, expected at least 3"),
    ],
)
def test_host_and_driver(
    driver: str | None, count: int | None, gpus: list[Gpu], options: dict[str, t.Any], status: str, said: str
) -> None:
    found = judged(gpus, options, driver=driver, count=count, cut_off="it hung")
    assert (found.status, said in found.summary) == (status, True), found.summary


@given(
    count=st.integers(0, 4),
    told=st.integers(0, 4),
    lost=st.sets(st.integers(0, 3)),
    wanted=st.one_of(st.none(), st.integers(1, 5)),
)
def test_only_as_many_live_gpus_as_are_wanted_pass(count: int, told: int, lost: set[int], wanted: int | None) -> None:
    gpus = [Gpu(index, WELL, {"name": "GpuIsLost"} if index in lost else {}) for index in range(min(told, count))]
    found = judged(gpus, {"count": wanted} if wanted else {}, count=count)
    is_well = count > 0 and told >= count and not lost & set(range(count)) and wanted in (None, count)
    assert (found.status == "pass") is is_well


@given(ages=st.lists(st.floats(0, 1e6)), within=st.integers(1, 10**6), reach=st.one_of(st.none(), st.floats(0, 1e6)))
def test_an_xid_error_within_the_span_fails_and_a_log_that_is_too_short_is_no_proof(
    ages: list[float], within: int, reach: float | None
) -> None:
    log = KernelLog(tuple(Xid(79, "0000:01:00", age) for age in ages), reach)
    found = judged([Gpu(0, WELL, {})], {"no_errors": ["xid"], "xid_within": f"{within}s"}, log=log)
    expected = (
        "fail" if any(age <= within for age in ages) else "pass" if reach is None or reach >= within else "unknown"
    )
    assert found.status == expected
