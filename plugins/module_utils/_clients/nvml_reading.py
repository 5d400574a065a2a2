# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask NVML, in a child: a GPU that fell off its bus makes NVML sleep in the kernel, where no time limit wakes it.

The text of this file is the child's program, so it imports nothing of ours. Each line that it prints is one JSON object, told
as soon as it is known: what was answered before the limit is kept.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
import typing as t

Line = dict[str, t.Any]
#: Between two looks while a GPU is watched, in seconds.
_INTERVAL = 0.5
#: NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, which older releases of pynvml have no name for.
_RECOVERY_ACTION = 230
#: NVML_FI_DEV_NVLINK_LINK_COUNT.
_LINK_COUNT = 91


def lines(nvml: t.Any, *, watch_seconds: float) -> t.Iterator[Line]:
    """What NVML tells: one line of the host, one for each GPU, with watch_seconds one more for each, and the end."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as problem:
        # Its own version it tells all the same.
        facts, _problems = _asked(nvml, {"library": lambda: _library(nvml)})
        yield {"refused": _reason(problem), **facts}
        return
    facts, problems = _asked(
        nvml,
        {
            "driver": nvml.nvmlSystemGetDriverVersion,
            "library": lambda: _library(nvml),
            "cuda": nvml.nvmlSystemGetCudaDriverVersion,
            "count": nvml.nvmlDeviceGetCount,
        },
    )
    yield {"host": facts, "problems": problems}
    handles = {}
    for index in range(facts.get("count", 0)):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as problem:
            yield {"gpu": index, "facts": {}, "problems": {"handle": _reason(problem)}}
            continue
        facts, problems = _asked(nvml, _questions(nvml, handle))
        yield {"gpu": index, "facts": facts, "problems": problems}
        handles[index] = handle
    if watch_seconds:
        yield from _watched(nvml, handles, watch_seconds)
    yield {"end": True}


def _reason(problem: Exception) -> str:
    """``GpuIsLost`` of pynvml's NVMLError_GpuIsLost; a code that this pynvml has no name for, as its text."""
    name = type(problem).__name__.partition("_")[2]
    return name or str(problem)


def _asked(nvml: t.Any, questions: t.Mapping[str, t.Callable[[], t.Any]]) -> tuple[Line, dict[str, str]]:
    facts: Line = {}
    problems: dict[str, str] = {}
    for name, question in questions.items():
        try:
            answer = question()
            facts[name] = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        except nvml.NVMLError as problem:
            problems[name] = _reason(problem)
        except AttributeError:  # this pynvml is older than the function
            problems[name] = "FunctionNotFound"
    return facts, problems


def _questions(nvml: t.Any, handle: t.Any) -> dict[str, t.Callable[[], t.Any]]:
    uncorrected = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    return {
        "name": lambda: nvml.nvmlDeviceGetName(handle),
        "uuid": lambda: nvml.nvmlDeviceGetUUID(handle),
        "pci": lambda: _text(nvml.nvmlDeviceGetPciInfo(handle).busId),
        **_changing(nvml, handle),
        "ecc_uncorrected": lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, nvml.NVML_VOLATILE_ECC),
        "ecc_uncorrected_ever": lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, nvml.NVML_AGGREGATE_ECC),
        "row_remap": lambda: _rows(nvml, handle),
        "retired_pages": lambda: _retired(nvml, handle),
        "retired_pages_pending": lambda: bool(nvml.nvmlDeviceGetRetiredPagesPendingStatus(handle)),
        "recovery_action": lambda: _recovery_action(nvml, handle),
        "power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
        "slowdown_temperature": lambda: nvml.nvmlDeviceGetTemperatureThreshold(
            handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        ),
        "pcie_width": lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(handle),
        "pcie_width_max": lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(handle),
        "persistence": lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle)),
        "mig": lambda: _mig(nvml, handle),
        "mig_instances": lambda: _mig_instances(nvml, handle),
        "nvlink": lambda: _nvlinks(nvml, handle),
        "fabric": lambda: _fabric(nvml, handle),
    }


def _changing(nvml: t.Any, handle: t.Any) -> dict[str, t.Callable[[], t.Any]]:
    """What is worth a second look."""
    return {
        "memory": lambda: _memory(nvml, handle),
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "throttle_reasons": lambda: _throttle_reasons(nvml, handle),
        "utilization_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "power_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "processes": lambda: _processes(nvml, handle),
    }


def _library(nvml: t.Any) -> str:
    """The driver that NVML is of: ``570.86.15`` of its own ``12.570.86.15``, whose first number is CUDA's."""
    return _text(nvml.nvmlSystemGetNVMLVersion()).partition(".")[2]


def _text(value: t.Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _memory(nvml: t.Any, handle: t.Any) -> dict[str, int]:
    try:
        told = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError_FunctionNotFound:  # older drivers count what they reserve as used
        told = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {"total": told.total, "used": told.used, "free": told.free}


def _throttle_reasons(nvml: t.Any, handle: t.Any) -> int:
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except (nvml.NVMLError_FunctionNotFound, AttributeError):  # its name before driver 535
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def _rows(nvml: t.Any, handle: t.Any) -> dict[str, int]:
    return dict(zip(("corrected", "uncorrected", "pending", "failed"), nvml.nvmlDeviceGetRemappedRows(handle)))


def _retired(nvml: t.Any, handle: t.Any) -> int:
    causes = (
        nvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS,
        nvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR,
    )
    return sum(len(nvml.nvmlDeviceGetRetiredPages(handle, cause)) for cause in causes)


def _recovery_action(nvml: t.Any, handle: t.Any) -> int:
    return _field(nvml, handle, _RECOVERY_ACTION)


def _field(nvml: t.Any, handle: t.Any, number: int) -> int:
    (told,) = nvml.nvmlDeviceGetFieldValues(handle, [number])
    if told.nvmlReturn:
        raise nvml.NVMLError(told.nvmlReturn)
    return int(told.value.uiVal)


def _mig(nvml: t.Any, handle: t.Any) -> dict[str, bool]:
    """Whether it is partitioned now, and whether it will be after its next reset."""
    current, pending = nvml.nvmlDeviceGetMigMode(handle)
    return {"current": bool(current), "pending": bool(pending)}


def _mig_instances(nvml: t.Any, handle: t.Any) -> list[Line]:
    """Its MIG devices; the profile stands at the end of the name, as in ``NVIDIA A100-SXM4-40GB MIG 1g.5gb``."""
    instances = []
    for slot in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)
        except nvml.NVMLError_NotFound:  # an empty slot
            continue
        profile = _text(nvml.nvmlDeviceGetName(instance)).partition(" MIG ")[2]
        instances.append({"uuid": _text(nvml.nvmlDeviceGetUUID(instance)), "profile": profile or None})
    return instances


def _nvlinks(nvml: t.Any, handle: t.Any) -> dict[str, list[int]]:
    """The numbers of its NVLink links by state. A model without any does not tell their state."""
    links: dict[str, list[int]] = {"up": [], "down": [], "not_told": []}
    count = _field(nvml, handle, _LINK_COUNT)
    if not count:
        raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
    for link in range(count):
        try:
            is_up = nvml.nvmlDeviceGetNvLinkState(handle, link)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_InvalidArgument):
            links["not_told"].append(link)
        else:
            links["up" if is_up else "down"].append(link)
    return links


def _fabric(nvml: t.Any, handle: t.Any) -> Line:
    """How far it is with joining the fabric of its NVSwitches, by nvmlGpuFabricInfo_v2_t of nvml.h."""
    told = nvml.c_nvmlGpuFabricInfoV_t()
    nvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(told))
    if told.state == nvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED:
        raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
    problem = _reason(nvml.NVMLError(told.status)) if told.status else None
    return {"state": told.state, "problem": problem, "health_mask": told.healthMask}


def _processes(nvml: t.Any, handle: t.Any) -> list[Line]:
    seen = {}
    for processes in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        for process in processes(handle):
            seen[process.pid] = {
                "pid": process.pid,
                "name": _program(process.pid),
                "used_bytes": process.usedGpuMemory,
            }
    return [seen[pid] for pid in sorted(seen)]


def _program(pid: int) -> str | None:
    """The program's name; None where the process is of another container, or gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None


def _watched(nvml: t.Any, handles: t.Mapping[int, t.Any], seconds: float) -> t.Iterator[Line]:
    """The worst of each changing fact over that time."""
    peaks: dict[int, Line] = {index: {} for index in handles}
    lost: dict[int, dict[str, str]] = {}
    end = time.monotonic() + seconds
    looks = 0
    while not looks or time.monotonic() < end:
        looks += 1
        for index, handle in handles.items():
            facts, problems = _asked(nvml, _changing(nvml, handle))
            peaks[index] = _worse(peaks[index], facts)
            lost.setdefault(index, {}).update(problems)
        # It samples on a schedule; our clock is not in the child.
        time.sleep(max(0.0, min(_INTERVAL, end - time.monotonic())))
    for index, peak in peaks.items():
        yield {"watched": index, "facts": peak, "problems": lost[index], "looks": looks}


def _worse(before: Line, now: Line) -> Line:
    if not before:
        return now
    worse = {**before, **now}
    for name in ("temperature", "utilization_percent", "power_watts"):
        if name in before and name in now:
            worse[name] = max(before[name], now[name])
    if "throttle_reasons" in before and "throttle_reasons" in now:
        worse["throttle_reasons"] = before["throttle_reasons"] | now["throttle_reasons"]
    if "memory" in before and "memory" in now:
        worse["memory"] = max(before["memory"], now["memory"], key=lambda memory: memory["used"])
    if "processes" in before and "processes" in now:
        by_pid = {process["pid"]: process for process in before["processes"]}
        for process in now["processes"]:
            earlier = by_pid.get(process["pid"], process)
            most = max(process["used_bytes"] or 0, earlier["used_bytes"] or 0)
            by_pid[process["pid"]] = {**process, "used_bytes": most or None}
        worse["processes"] = [by_pid[pid] for pid in sorted(by_pid)]
    return worse


def main() -> None:
    """Arguments: the folder that pynvml is in, and how long to watch, in seconds."""
    sys.path.insert(0, sys.argv[1])
    import pynvml

    for line in lines(pynvml, watch_seconds=float(sys.argv[2])):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    # NVML's own end may hang as its beginning may.
    os._exit(0)


if __name__ == "__main__":
    main()
