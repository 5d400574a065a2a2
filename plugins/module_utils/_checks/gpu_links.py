# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge how a GPU is joined to the others: its NVLink links, and the fabric of the host's NVSwitches.

States and health bits are NVML_GPU_FABRIC_STATE_* and NVML_GPU_FABRIC_HEALTH_MASK_* of nvml.h.
"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.finding import (
    Criterion,
    at_least,
    holds,
    one_of,
    plain,
    unknown,
)

_SEATED = "See nvidia-smi nvlink --status: look at its bridge or NVSwitch, and for Xid 74 and 149 in dmesg."
_STATES = ("not supported", "not started", "in progress", "completed")
#: By the lowest bit of each field of two bits, in which 1 is true and 2 is false.
_FAULTS = {0: "degraded bandwidth", 2: "route recovery", 4: "unhealthy route", 6: "access timeout recovery"}
_CONFIGURATION_BIT = 8
#: By the value of that field of four bits, in which 0 is not told and 1 is right.
_MISCONFIGURED = {
    2: "wrong system GUID",
    3: "wrong chassis serial number",
    4: "no partition",
    5: "too few NVLinks",
    6: "incompatible GPU firmware",
    7: "invalid location",
    8: "invalid GPU state",
}


def judge_links(name: str, links: t.Mapping[str, t.Sequence[int]]) -> Criterion:
    """None may be down; one whose state is not told is no proof."""
    if links["not_told"] and not links["down"]:
        return unknown(name, f"{name} are not known: no state is told of {plain(links['not_told'])}")
    return holds(
        name,
        not links["down"],
        measured=f"{plain(links['down'])} down" if links["down"] else f"{len(links['up'])} up",
        expected="none down",
        sentence=f"{name} are down: {plain(links['down'])}" if links["down"] else "",
        remedy=_SEATED,
    )


def judge_count(name: str, links: t.Mapping[str, t.Sequence[int]], least: int) -> Criterion:
    """At least so many are up; one whose state is not told may be one of them."""
    up, not_told = len(links["up"]), len(links["not_told"])
    if up < least <= up + not_told:
        return unknown(name, f"{name} is not known: no state is told of {plain(links['not_told'])}")
    return at_least(name, up, least, remedy=_SEATED)


def judge_fabric(name: str, fabric: t.Mapping[str, t.Any]) -> Criterion:
    """CUDA does not start on a GPU that waits for its fabric."""
    state = fabric["state"]
    told = [_STATES[state] if state < len(_STATES) else f"state {state}"]
    told += [fabric["problem"]] if fabric["problem"] else []
    return one_of(
        name,
        ", ".join(told + _faults(fabric["health_mask"])),
        ["completed"],
        remedy="See systemctl status nvidia-fabricmanager and its log; it must be of the driver's version.",
    )


def _faults(mask: int) -> list[str]:
    faults = [fault for bit, fault in _FAULTS.items() if mask >> bit & 0x3 == 1]
    configuration = mask >> _CONFIGURATION_BIT & 0xF
    if configuration > 1:
        faults.append(_MISCONFIGURED.get(configuration, f"incorrect configuration {configuration}"))
    return faults
