# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVIDIA says to do at once after an Xid error.

From the immediate actions of NVIDIA's Xid catalogue for Ampere and newer GPUs, as of October 2025,
https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html. Numbers 162 to 172 stand there without an action.
"""

from __future__ import annotations

import re

IGNORE = "nothing to do"
#: What is told of a number that has no action here.
UNKNOWN = "unknown Xid"
_ACTIONS: dict[str, frozenset[int]] = {
    IGNORE: frozenset(
        (14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161)
    ),
    "restart the application": frozenset(
        (8, 11, 13, 25, 31, 32, 39, 40, 41, 60, *range(68, 73), 75, 76, 77, 80, *range(82, 87), 88, 89, 94,
         *range(96, 106), *range(126, 136), 139)
    ),
    "reset the GPU": frozenset((46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158)),
    "reset the GPU, with 63 or 64 drain it first": frozenset((48,)),
    "reset the GPU, replace it if it comes back": frozenset((74,)),
    "reboot the host": frozenset((79,)),
    "restart the virtual machine": frozenset((151,)),
    "check its power connectors and its seat": frozenset((54,)),
    "update driver and firmware": frozenset((78,)),
    "do what the Xid before it asks for, alone restart the fabric manager": frozenset((45,)),
    "follow NVIDIA's WORKFLOW_NVLINK5_ERR": frozenset(range(144, 151)),
    "follow NVIDIA's CHECK_UVM": frozenset((159,)),
    "ask NVIDIA's support, who may replace it": frozenset(
        (*range(1, 8), 9, 10, 12, *range(15, 25), *range(26, 31), *range(33, 37), 42, 47, *range(49, 54), *range(55, 60),
         61, 65, 73, 81, 87, 90, 91, *range(111, 119), *range(122, 126), 138, 142)
    ),
}  # fmt: skip
_BY_NUMBER = {number: action for action, numbers in _ACTIONS.items() for number in numbers}
#: Xid 154 says itself what it asks for: ``GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)``.
_RECOVERY_ACTION_CHANGED = 154
_CHANGED_TO = re.compile(r"to 0x([0-9A-Fa-f]+) \(([^()]+)\)")


def action_of(number: int, told: str = "") -> str:
    """What this Xid asks for; ``told`` is what the driver said beside the number."""
    if number == _RECOVERY_ACTION_CHANGED and (changed := _CHANGED_TO.search(told)):
        return changed[2] if int(changed[1], 16) else IGNORE
    return _BY_NUMBER.get(number, UNKNOWN)
