# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a host's clock kept right: by the kernel's word, by chrony's, and by that of systemd-timesyncd?"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import run_command
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, TimedOut, Unreachable

#: adjtimex(2): a status bit, and the state that goes with it.
_STA_UNSYNC, _TIME_ERROR = 0x40, 5
#: What chronyc tells where chronyd follows no clock.
_UNSYNCHRONISED = "Not synchronised"


class _Timex(ctypes.Structure):
    """The beginning of struct timex, and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("measures", ctypes.c_long * 4),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


@dataclasses.dataclass(frozen=True)
class Synchronisation:
    """Whether the clock is kept right, and by whose word."""

    holds: bool
    said_by: str


def synchronisation(
    *,
    deadline: Deadline,
    root: str = "",
    chronyc: str = "chronyc",
    kernel: t.Callable[[], bool | None] | None = None,
) -> Synchronisation:
    """Raises TimedOut, and Unreachable where nobody can tell, as in a container whose engine keeps the kernel's word from it."""
    told = (kernel or kernel_is_synchronised)()
    if told:
        return Synchronisation(True, "the kernel")
    # chronyd tells the kernel only where it is set to copy the time into the hardware's clock.
    of_chrony = _chrony(chronyc, deadline)
    if of_chrony is not None:
        return Synchronisation(of_chrony, "chrony")
    if told is None and os.path.exists(f"{root}/run/systemd/timesync/synchronized"):
        return Synchronisation(True, "systemd-timesyncd")
    if told is None:
        raise Unreachable(
            "Whether the clock is synchronised cannot be told here: the kernel does not say, and neither chrony nor "
            "systemd-timesyncd is there.",
            remedy="Ask on the host itself where this is a container, or compare the clock with a server by clock.url.",
        )
    return Synchronisation(False, "the kernel")


def kernel_is_synchronised() -> bool | None:
    """What adjtimex(2) says, which changes nothing; None where it may not be asked."""
    answered = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(answered))
    except (AttributeError, OSError):
        return None
    if state < 0:
        return None
    return state != _TIME_ERROR and not answered.status & _STA_UNSYNC


def _chrony(chronyc: str, deadline: Deadline) -> bool | None:
    """None where there is no chrony, or it does not run."""
    try:
        told = run_command([chronyc, "-c", "tracking"], deadline=deadline)
    except TimedOut:
        raise
    except GoliveError:
        return None
    # Fourteen values by commas, the leap status last: Normal, Insert second, Delete second or Not synchronised.
    leap = told.stdout.strip().split(",")[13:]
    return leap[0] != _UNSYNCHRONISED if leap else None
