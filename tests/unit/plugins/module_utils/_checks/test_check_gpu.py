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
from ansible_collections.opsready.golive.plugins.module_utils._checks import gpu_links, gpu_partitions, xid_actions
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
    "mig": {"current": True, "pending": True},
    "mig_instances": [{"uuid": "MIG-1", "profile": "1g.6gb"}],
    "nvlink": {"up": [0, 1], "down": [], "not_told": []},
    "fabric": {"state": 3, "problem": None, "health_mask": 0},
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
    "no_errors": ["ecc", "retired_pages", "row_remap", "recovery", "throttle", "nvlink", "fabric", "xid"],
    "mig": "enabled",
    "mig_instances": ["1g.6gb"],
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
        ("1", None, [], {}, "unknown", "Number of GPUs is not known: it hung"),
        ("1", None, [], {"count": 1, "devices": ["0"]}, "unknown", "Number of GPUs is not known: it hung"),
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


def test_every_number_of_nvidias_list_that_has_an_action_has_one_here() -> None:
    known = {number for number in range(400) if xid_actions.action_of(number) != xid_actions.UNKNOWN}
    assert known == {*range(1, 154), *range(155, 162)}


@pytest.mark.parametrize(
    ("number", "action"),
    [
        (63, "nothing to do"),
        (31, "restart the application"),
        (48, "reset the GPU, with 63 or 64 drain it first"),
        (64, "reset the GPU"),
        (74, "reset the GPU, replace it if it comes back"),
        (79, "reboot the host"),
        (94, "restart the application"),
        (95, "reset the GPU"),
        (119, "reset the GPU"),
        (154, "unknown Xid"),
        (172, "unknown Xid"),
    ],
)
def test_an_xid_asks_for_what_nvidias_list_says(number: int, action: str) -> None:
    assert xid_actions.action_of(number) == action


@pytest.mark.parametrize(
    ("fabric", "told"),
    [
        ({"state": 3}, "completed"),
        # Of each field of two bits 2 is well and 0 is not told.
        ({"state": 3, "health_mask": 0x1AA}, "completed"),
        ({"state": 1}, "not started"),
        ({"state": 2}, "in progress"),
        ({"state": 9}, "state 9"),
        ({"state": 3, "problem": "Unknown"}, "completed, Unknown"),
        ({"state": 3, "health_mask": 0x411}, "completed, degraded bandwidth, unhealthy route, no partition"),
        (
            {"state": 3, "health_mask": 0xF44},
            "completed, route recovery, access timeout recovery, incorrect configuration 15",
        ),
    ],
)
def test_only_a_fabric_that_was_joined_without_fault_passes(fabric: dict[str, t.Any], told: str) -> None:
    found = gpu_links.judge_fabric("fabric", {"problem": None, "health_mask": 0, **fabric})
    assert (found.measured, found.status) == (told, "pass" if told == "completed" else "fail")


@given(
    up=st.sets(st.integers(0, 5)), down=st.sets(st.integers(6, 11)), untold=st.sets(st.integers(12, 17)), least=st.integers(1, 20)
)  # fmt: skip
def test_links_that_are_not_told_are_neither_up_nor_down(
    up: set[int], down: set[int], untold: set[int], least: int
) -> None:
    links = {"up": sorted(up), "down": sorted(down), "not_told": sorted(untold)}
    all_up, enough = gpu_links.judge_links("links", links), gpu_links.judge_count("active links", links, least)
    assert all_up.status == ("fail" if down else "unknown" if untold else "pass")
    assert enough.status == ("pass" if len(up) >= least else "unknown" if len(up | untold) >= least else "fail")


@pytest.mark.parametrize(
    ("current", "pending", "wanted", "status", "told"),
    [
        (True, True, "enabled", "pass", "enabled"),
        (False, False, "disabled", "pass", "disabled"),
        (False, False, "enabled", "fail", "disabled"),
        (True, True, "disabled", "fail", "enabled"),
        (False, True, "enabled", "fail", "disabled, enabled after a reset"),
        (False, True, "disabled", "warn", "disabled, enabled after a reset"),
    ],
)
def test_the_mig_mode_is_that_of_now_and_its_end_a_warning(
    current: bool, pending: bool, wanted: str, status: str, told: str
) -> None:
    found = gpu_partitions.judge_mode("MIG mode", {"current": current, "pending": pending}, wanted)
    assert (found.status, found.measured, found.expected) == (status, told, wanted)


PROFILES = st.lists(st.sampled_from(["1g.5gb", "2g.10gb", "1c.3g.20gb"]), max_size=7)


@given(found=PROFILES, wanted=PROFILES.filter(bool))
def test_mig_instances_are_those_that_are_wanted_and_no_others(found: list[str], wanted: list[str]) -> None:
    instances = [{"uuid": "MIG-1", "profile": profile} for profile in found]
    judgement = gpu_partitions.judge_instances("MIG instances", instances, wanted)
    assert judgement.status == ("pass" if sorted(found) == sorted(wanted) else "fail")
    unnamed = gpu_partitions.judge_instances("MIG instances", [*instances, {"uuid": "MIG-2", "profile": None}], wanted)
    assert unnamed.status == "unknown"


@pytest.mark.parametrize(
    ("numbers", "reach", "status", "said"),
    [
        ([63], None, "warn", "is 63 on 0000:01:00 5 s ago (nothing to do), expected none"),
        # What NVIDIA says to ignore proves nothing of what the log has lost.
        ([63], 60.0, "unknown", "reaches back 60 s only"),
        ([79], 60.0, "fail", "(reboot the host)"),
        # However many of the others came after it.
        ([64, *[43] * 9], None, "fail", "is 64 on 0000:01:00 5 s ago (reset the GPU), expected none"),
        ([13], None, "fail", "(restart the application)"),
        ([4242], None, "fail", "is 4242 on 0000:01:00 5 s ago (unknown Xid)"),
    ],
)
def test_xid_errors_are_as_bad_as_what_nvidia_asks_for(
    numbers: list[int], reach: float | None, status: str, said: str
) -> None:
    log = KernelLog(tuple(Xid(number, "0000:01:00", 5.0) for number in numbers), reach)
    found = judged([Gpu(0, WELL, {})], {"no_errors": ["xid"]}, log=log)
    assert (found.status, said in found.summary) == (status, True), found.summary


@pytest.mark.parametrize(
    ("told", "action"),
    [
        ("GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", "GPU Reset Required"),
        ("GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", xid_actions.IGNORE),
        ("something else", xid_actions.UNKNOWN),
    ],
)
def test_a_changed_recovery_action_says_itself_what_it_asks_for(told: str, action: str) -> None:
    assert xid_actions.action_of(154, told) == action
    assert xid_actions.action_of(79, told) == "reboot the host"
