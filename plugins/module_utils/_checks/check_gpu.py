# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the NVIDIA GPUs of a host: are they all there and alive, with the memory, driver and health that the work needs?"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._checks import gpu_links, gpu_partitions, xid_actions
from ansible_collections.opsready.golive.plugins.module_utils._clients import nvml
from ansible_collections.opsready.golive.plugins.module_utils._clients.nvml import Gpu, KernelLog, Reading, Xid
from ansible_collections.opsready.golive.plugins.module_utils._core import patterns, units, versions
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, Unreachable
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    at_most,
    holds,
    matches,
    one_of,
    unknown,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run

NAME = "check_gpu"

ARGUMENT_SPEC: Spec = {
    "count": {"type": "int"},
    "min_count": {"type": "int", "default": 1},
    "devices": {"type": "list", "elements": "str"},
    "name": {"type": "str"},
    "min_driver": {"type": "str"},
    "min_cuda": {"type": "str"},
    "persistence": {"type": "str", "choices": ["required", "any"], "default": "any"},
    "mig": {"type": "str", "choices": ["enabled", "disabled", "any"], "default": "any"},
    "mig_instances": {"type": "list", "elements": "str"},
    "min_nvlinks": {"type": "int"},
    "min_memory_total": {"type": "str"},
    "min_memory_free": {"type": "str"},
    "max_memory_used_percent": {"type": "float"},
    "memory_limit": {"type": "str"},
    "max_memory_limit_percent": {"type": "float", "default": 100.0},
    "max_temperature": {"type": "float"},
    "max_utilization_percent": {"type": "float"},
    "max_power_watts": {"type": "float"},
    "min_power_limit_watts": {"type": "float"},
    "no_errors": {
        "type": "list",
        "elements": "str",
        "choices": ["ecc", "retired_pages", "row_remap", "recovery", "throttle", "nvlink", "fabric", "xid"],
    },
    "xid_within": {"type": "str"},
    "ignored_xids": {"type": "list", "elements": "int", "default": []},
    "allowed_processes": {"type": "list", "elements": "str"},
    "required_processes": {"type": "list", "elements": "str"},
    "watch": {"type": "str"},
}
CONSTRAINTS: Constraints = {}

#: Why a fact is not known, by NVML's reason, and what to do.
_REASONS = {
    "FunctionNotFound": ("the driver is too old to tell", "Update the driver, or leave this criterion out."),
    "NotSupported": ("this model does not tell", "Leave this criterion out for this model."),
    "NoPermission": ("this user may not ask", "Run this item with become: true."),
}
#: Bits that say something is wrong; idle, a user's own clocks and the ordinary power cap are none.
_THROTTLES = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
#: So far below the temperature at which it slows itself down a GPU is worth a warning, in kelvins.
_NEAR_SLOWDOWN = 5
_RECOVERY_ACTIONS = (
    "none", "reset the GPU", "reboot the host", "drain peer-to-peer traffic", "drain and reset", "recover the IMEX domain",
    "reset the bus", "reboot the system",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Facts:
    """What NVML, the PCI bus, the loaded driver and the kernel's log tell."""

    reading: Reading
    pci_gpus: int | None
    kernel_log: KernelLog | None
    #: Why there is no log.
    log_problem: str = ""
    log_remedy: str = ""
    #: Why the reading is not whole.
    cut_off: str = ""
    remedy: str = ""
    #: The version of the driver that the kernel has loaded.
    kernel_driver: str | None = None


def _refuse_unusable(params: t.Mapping[str, t.Any], limit_seconds: float) -> None:
    if params["min_count"] < 1 or (params["count"] is not None and params["count"] < 1):
        raise BadInput("A count below 1 demands no GPU, so nothing would be judged.")
    if params["min_nvlinks"] is not None and params["min_nvlinks"] < 1:
        raise BadInput("min_nvlinks below 1 demands no link, so nothing would be judged.")
    for option in ("devices", "no_errors", "allowed_processes", "required_processes", "mig_instances"):
        if params[option] == []:
            raise BadInput(f"{option} is empty, so nothing would be judged by it.")
    for option in ("allowed_processes", "required_processes"):
        for pattern in params[option] or ():
            patterns.compiled(pattern, option=option)
    gpu_partitions.refuse_unusable(params["mig"], params["mig_instances"])
    patterns.compiled(params["name"] or "", option="name")
    versions.require_version(params["min_driver"], option="min_driver")
    versions.require_version(params["min_cuda"], option="min_cuda")
    for option in ("min_memory_total", "min_memory_free", "memory_limit"):
        if params[option] is not None:
            units.size_bytes(params[option], option=option)
    if params["xid_within"] is not None:
        units.span_seconds(params["xid_within"], option="xid_within")
        if "xid" not in (params["no_errors"] or ()):
            raise BadInput("xid_within means nothing without xid in no_errors.")
    if _watch_seconds(params) >= limit_seconds:
        raise BadInput(
            f"watch is {params['watch']}, and the whole check has {limit_seconds:g} s.",
            remedy="Give it a longer timeout.",
        )


def _watch_seconds(params: t.Mapping[str, t.Any]) -> float:
    return units.span_seconds(params["watch"], option="watch") if params["watch"] is not None else 0.0


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Ask NVML, the PCI bus and the kernel. Raises BadInput, MissingLibrary, Unreachable, UnexpectedAnswer."""
    _refuse_unusable(params, run.deadline.seconds)
    watch_seconds = _watch_seconds(params)
    cut_off = remedy = ""
    try:
        reading = run.once((NAME, watch_seconds), lambda: nvml.read(watch_seconds=watch_seconds, deadline=run.deadline))
    except Unreachable as problem:
        if "reading" not in problem.known:
            raise
        reading, cut_off, remedy = problem.known["reading"], problem.message.rstrip("."), problem.remedy
    facts = Facts(reading, nvml.pci_gpus(), None, cut_off=cut_off, remedy=remedy, kernel_driver=nvml.kernel_driver())
    try:
        log = run.once((NAME, "kernel log"), lambda: nvml.kernel_log(now=run.clock.monotonic()))
        return dataclasses.replace(facts, kernel_log=log)
    except GoliveError as problem:
        return dataclasses.replace(facts, log_problem=problem.message.rstrip("."), log_remedy=problem.remedy)


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Whether driver and library are one, the GPUs, and the driver's errors in the kernel's log."""
    if facts.kernel_driver is not None and facts.reading.nvml_version:
        yield _judge_library(facts.kernel_driver, facts.reading.nvml_version)
    if facts.reading.count is None:
        why = facts.cut_off or "NVML does not tell it"
        yield unknown("number of GPUs", f"Number of GPUs is not known: {why}", remedy=facts.remedy)
    else:
        yield from _judge_host(facts, params)
        yield from _judge_devices(facts, params)
    if "xid" in (params["no_errors"] or ()):
        yield _judge_xids(facts, params)


def _judge_library(loaded: str, library: str) -> Criterion:
    """After an update the library is new, and the kernel has the old driver until it loads the new one."""
    return holds(
        "driver and library",
        loaded == library,
        measured=f"kernel {loaded}, NVML {library}",
        expected="of one version",
        remedy="The driver was updated and not loaded: reboot. In a container, start it anew.",
    )


def _judge_host(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """How many there are, the driver, and the CUDA that it can run."""
    reading = facts.reading
    if params["count"] is not None:
        remedy = "One that is missing fell off its bus or is not handed in: look for Xid in dmesg."
        yield one_of("number of GPUs", reading.count, [params["count"]], remedy=remedy)
    else:
        yield at_least("number of GPUs", reading.count, params["min_count"])
        if params["devices"] is None and facts.pci_gpus is not None and reading.count is not None:
            yield _judge_bus(facts.pci_gpus, reading.count)
    if params["min_driver"] is not None:
        yield holds(
            "driver",
            versions.is_at_least(reading.driver, params["min_driver"]) if reading.driver else None,
            measured=reading.driver,
            expected=f"at least {params['min_driver']}",
        )
    if params["min_cuda"] is not None:
        told = _cuda_text(reading.cuda)
        yield holds(
            "CUDA of the driver",
            versions.is_at_least(told, params["min_cuda"]) if told else None,
            measured=told,
            expected=f"at least {params['min_cuda']}",
            remedy="Update the driver: it runs programs of its own CUDA version and of older ones.",
        )


def _cuda_text(cuda: int | None) -> str | None:
    """``12.8`` of NVML's 12080."""
    return f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None


def _judge_bus(on_bus: int, in_nvml: int) -> Criterion:
    """One that the driver does not run is on the bus all the same."""
    shown = min(on_bus, in_nvml)
    return holds(
        "GPUs on the bus",
        in_nvml >= on_bus,
        measured=f"{shown} of {on_bus} shown by NVML",
        expected="all shown by NVML",
        remedy="Look for NVRM and Xid in dmesg. If the others are not for this host or container, say with count how many are.",
    )


def _judge_devices(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    by_index = {gpu.index: gpu for gpu in facts.reading.gpus}
    chosen = set(range(facts.reading.count or 0))
    if params["devices"] is not None:
        by_name = {str(gpu.facts.get("uuid")): gpu.index for gpu in facts.reading.gpus}
        by_name.update({str(index): index for index in chosen})
        for device in dict.fromkeys(params["devices"]):
            if device not in by_name:
                yield holds(f"GPU {device}", False, measured="absent", expected="there")
        chosen = {by_name[device] for device in params["devices"] if device in by_name}
    for index in sorted(chosen):
        label = f"GPU {index}"
        if index in by_index:
            yield from _judge_gpu(by_index[index], label, params)
        else:
            yield unknown(label, f"{label} did not answer: {facts.cut_off}", remedy=facts.remedy)


def _judge_gpu(gpu: Gpu, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if gpu.is_lost:
        remedy = "It fell off its bus: look for Xid 79 in dmesg; the host needs a reboot or a repair."
        yield holds(label, False, measured="lost", expected="alive", sentence=f"{label} is lost", remedy=remedy)
        return
    if "handle" in gpu.problems:
        yield _not_known(gpu, label, "handle", "state")
        return
    yield holds(label, True, measured=f"{gpu.facts.get('name')} {gpu.facts.get('uuid')}", expected="alive")
    if params["name"] is not None:
        yield matches(f"{label} name", gpu.facts.get("name"), params["name"])
    yield from _judge_memory(gpu, label, params)
    yield from _judge_slowdown(gpu, label, params)
    yield from _judge_width(gpu, label)
    if params["persistence"] == "required":
        yield _judge_persistence(gpu, label)
    for fact, called, judge_expected in _expected(params):
        known = _is_known(gpu, fact, params)
        yield judge_expected(f"{label} {called}", gpu.facts[fact]) if known else _not_known(gpu, label, fact, called)
    for option, fact, called, unit in (
        ("max_temperature", "temperature", "temperature", "°C"),
        ("max_utilization_percent", "utilization_percent", "utilisation", "%"),
        ("max_power_watts", "power_watts", "power", "W"),
        ("min_power_limit_watts", "power_limit_watts", "power limit", "W"),
    ):
        if params[option] is None:
            continue
        if not _is_known(gpu, fact, params):
            yield _not_known(gpu, label, fact, called)
        elif option.startswith("max_"):
            yield at_most(f"{label} {called}", gpu.facts[fact], params[option], unit=unit)
        else:
            yield at_least(f"{label} {called}", gpu.facts[fact], params[option], unit=unit)
    for kind in dict.fromkeys(params["no_errors"] or ()):
        if kind in _ERRORS:
            fact, called, judge_error = _ERRORS[kind]
            if _is_known(gpu, fact, params):
                yield judge_error(f"{label} {called}", gpu.facts[fact])
            else:
                yield _not_known(gpu, label, fact, called)
    yield from _judge_processes(gpu, label, params)


def _expected(params: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, str, t.Callable[[str, t.Any], Criterion]]]:
    """The fact, how it is called, and its judgement, of what differs from host to host without being an error."""
    if params["mig"] != "any":
        yield "mig", "MIG mode", functools.partial(gpu_partitions.judge_mode, wanted=params["mig"])
    if params["mig_instances"] is not None:
        judge_instances = functools.partial(gpu_partitions.judge_instances, wanted=params["mig_instances"])
        yield "mig_instances", "MIG instances", judge_instances
    if params["min_nvlinks"] is not None:
        yield "nvlink", "active NVLinks", functools.partial(gpu_links.judge_count, least=params["min_nvlinks"])


#: Facts of which the worst is looked for while a GPU is watched.
_WATCHED = frozenset({"memory", "temperature", "throttle_reasons", "utilization_percent", "power_watts", "processes"})


def _is_known(gpu: Gpu, fact: str, params: t.Mapping[str, t.Any]) -> bool:
    """Whether it was told, and for a GPU that is watched, to the end."""
    was_watched = params["watch"] is None or fact not in _WATCHED or gpu.looks > 0
    return was_watched and fact in gpu.facts and fact not in gpu.problems


def _not_known(gpu: Gpu, label: str, fact: str, called: str) -> Criterion:
    reason = gpu.problems.get(fact)
    if reason is None:
        return unknown(f"{label} {called}", f"{label} {called} was not watched to the end: it stopped answering")
    why, remedy = _REASONS.get(reason, (f"NVML says {reason}", ""))
    return unknown(f"{label} {called}", f"{label} {called} is not known: {why}", remedy=remedy)


def _judge_memory(gpu: Gpu, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    wanted = [name for name in ("min_memory_total", "min_memory_free", "max_memory_used_percent", "memory_limit") if params[name] is not None]  # fmt: skip
    if not wanted:
        return
    if not _is_known(gpu, "memory", params):
        yield _not_known(gpu, label, "memory", "memory")
        return
    memory = gpu.facts["memory"]
    total = memory["total"]
    for name, fact in (("min_memory_total", "total"), ("min_memory_free", "free")):
        if params[name] is not None:
            bound = units.size_bytes(params[name], option=name)
            yield holds(
                f"{label} memory {fact}",
                memory[fact] >= bound,
                measured=units.size_text(memory[fact]),
                expected=f"at least {units.size_text(bound)}",
            )
    for name, called, size, bound in (
        ("max_memory_used_percent", "memory used", memory["used"], params["max_memory_used_percent"]),
        ("memory_limit", "memory limit", _size(params["memory_limit"]), params["max_memory_limit_percent"]),
    ):
        if params[name] is not None:
            share = 100.0 * size / total if total else 100.0
            yield holds(
                f"{label} {called}",
                share <= bound,
                measured=f"{units.size_text(size)}, {share:.2f} % of {units.size_text(total)}",
                expected=f"at most {bound:g} %",
            )


def _judge_slowdown(gpu: Gpu, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Nothing where the device does not tell at which temperature it slows itself down."""
    threshold = gpu.facts.get("slowdown_temperature")
    if not threshold or not _is_known(gpu, "temperature", params):
        return
    temperature = gpu.facts["temperature"]
    yield holds(
        f"{label} temperature before slowdown",
        temperature < threshold - _NEAR_SLOWDOWN,
        measured=f"{temperature} °C",
        expected=f"more than {_NEAR_SLOWDOWN} K below the {threshold} °C at which it slows itself down",
        remedy="Look at its fans, the dust in them and the air around it.",
        level="fail" if temperature >= threshold else "warn",
    )


def _judge_width(gpu: Gpu, label: str) -> t.Iterator[Criterion]:
    """Against what device and slot can do together; nothing where that is not told. The generation goes down when idle."""
    width, most = gpu.facts.get("pcie_width"), gpu.facts.get("pcie_width_max")
    if not width or not most:
        return
    yield holds(
        f"{label} PCIe width",
        width >= most,
        measured=f"x{width}",
        expected=f"x{most}",
        remedy="Its slot has more lanes than work: seat it anew, and look at its riser and the BIOS.",
        level="warn",
    )


def _judge_persistence(gpu: Gpu, label: str) -> Criterion:
    if "persistence" not in gpu.facts:
        return _not_known(gpu, label, "persistence", "persistence mode")
    return holds(
        f"{label} persistence mode",
        gpu.facts["persistence"],
        measured="on" if gpu.facts["persistence"] else "off",
        expected="on",
        remedy="systemctl enable --now nvidia-persistenced. Without it the first question after an idle time waits for the driver.",
        level="warn",
    )


def _size(text: str | None) -> int:
    return units.size_bytes(text, option="memory_limit") if text is not None else 0


def _ecc(name: str, errors: int) -> Criterion:
    return at_most(
        name, errors, 0, remedy="Memory held wrong values: drain this GPU and reset it; if they come back, replace it."
    )


def _retired_pages(name: str, is_pending: bool) -> Criterion:
    state = "waiting for a reboot" if is_pending else "none waiting"
    return one_of(name, state, ["none waiting"], remedy="Reboot the host, or reset the GPU.")


def _row_remap(name: str, rows: t.Mapping[str, int]) -> Criterion:
    state = "failed" if rows["failed"] else "pending" if rows["pending"] else "none pending"
    remedy = "Replace the GPU: it has no spare row left." if rows["failed"] else "Reset the GPU, or reboot the host."
    return one_of(name, state, ["none pending"], remedy=remedy)


def _recovery(name: str, action: int) -> Criterion:
    known = action < len(_RECOVERY_ACTIONS)
    return one_of(
        name, _RECOVERY_ACTIONS[action] if known else f"action {action}", ["none"], remedy="The driver asks for it."
    )


def _throttle(name: str, bits: int) -> Criterion:
    reasons = ", ".join(text for bit, text in _THROTTLES.items() if bits & bit) or "none"
    return one_of(name, reasons, ["none"], remedy="Look at cooling and power supply.")


#: By kind of error: the fact, how it is called, and its judgement.
_ERRORS: dict[str, tuple[str, str, t.Callable[[str, t.Any], Criterion]]] = {
    "ecc": ("ecc_uncorrected", "uncorrected ECC errors", _ecc),
    "retired_pages": ("retired_pages_pending", "retired pages", _retired_pages),
    "row_remap": ("row_remap", "row remapping", _row_remap),
    "recovery": ("recovery_action", "recovery action", _recovery),
    "throttle": ("throttle_reasons", "slowdown", _throttle),
    "nvlink": ("nvlink", "NVLinks", gpu_links.judge_links),
    "fabric": ("fabric", "fabric", gpu_links.judge_fabric),
}


def _judge_processes(gpu: Gpu, label: str, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    allowed, required = params["allowed_processes"], params["required_processes"]
    if allowed is None and required is None:
        return
    if not _is_known(gpu, "processes", params):
        yield _not_known(gpu, label, "processes", "processes")
        return
    processes = gpu.facts["processes"]
    if allowed is not None:
        nameless = [process for process in processes if process["name"] is None]
        foreign = [
            f"{process['name']} (pid {process['pid']})"
            for process in processes
            if process["name"] is not None and not _is_any(process["name"], allowed)
        ]
        called = f"{label} foreign processes"
        if nameless and not foreign:
            pids = ", ".join(str(process["pid"]) for process in nameless)
            yield unknown(called, f"{label} is used by pid {pids}, whose name is not seen from here")
        else:
            yield holds(called, not foreign, measured=", ".join(foreign) or "none", expected="none")
    for pattern in dict.fromkeys(required or ()):
        found = [process["pid"] for process in processes if process["name"] and _is_any(process["name"], [pattern])]
        yield at_least(f"{label} processes of /{pattern}/", len(found), 1)


def _is_any(name: str, wanted: t.Sequence[str]) -> bool:
    return any(patterns.is_in(patterns.compiled(pattern, option="processes"), name) for pattern in wanted)


def _judge_xids(facts: Facts, params: t.Mapping[str, t.Any]) -> Criterion:
    name = "Xid errors"
    log = facts.kernel_log
    if log is None:
        return unknown(name, f"Xid errors are not known: {facts.log_problem}", remedy=facts.log_remedy)
    within = units.span_seconds(params["xid_within"], option="xid_within") if params["xid_within"] else None
    found = [
        xid
        for xid in log.xids
        if xid.number not in params["ignored_xids"] and (within is None or xid.seconds_ago <= within)
    ]
    bad = [xid for xid in found if _action(xid) != xid_actions.IGNORE]
    reach = log.reaches_back_seconds
    if not bad and reach is not None and (within is None or reach < within):
        return unknown(
            name,
            f"Xid errors are not known: the kernel's log reaches back {units.span_text(reach)} only",
            remedy="Say with xid_within how far back it matters.",
        )
    told = ", ".join(
        f"{xid.number} on {xid.pci} {units.span_text(xid.seconds_ago)} ago ({_action(xid)})"
        for xid in (bad or found)[-5:]
    )
    return holds(
        name,
        not found,
        measured=told or "none",
        expected="none" if within is None else f"none within {params['xid_within']}",
        remedy="In brackets is what NVIDIA's list of Xid errors asks for; look there for one that is unknown.",
        level="fail" if bad else "warn",
    )


def _action(xid: Xid) -> str:
    return xid_actions.action_of(xid.number, xid.told)


def evidence(facts: Facts) -> dict[str, t.Any]:
    """All that was told, and why the rest is not known."""
    reading, log = facts.reading, facts.kernel_log
    return {
        "driver": reading.driver,
        "library": reading.nvml_version,
        "kernel_driver": facts.kernel_driver,
        "cuda": _cuda_text(reading.cuda),
        "count": reading.count,
        "pci_gpus": facts.pci_gpus,
        "gpus": [
            {
                "index": gpu.index,
                **gpu.facts,
                "not_known": dict(gpu.problems),
                **({"looks": gpu.looks} if gpu.looks else {}),
            }
            for gpu in reading.gpus
        ],
        "xids": [{**dataclasses.asdict(xid), "action": _action(xid)} for xid in log.xids[-20:]] if log else None,
        "cut_off": facts.cut_off or None,
    }
