# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and spans as people write them, read strictly: 50 GB is not 50 GiB, and "50G" is neither."""

from __future__ import annotations

import datetime
import re

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

_SIZES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def size_bytes(text: str, *, option: str) -> int:
    """``50GB`` (10^9) or ``16GiB`` (2^30), with a unit or as plain bytes. Raises BadInput naming the option."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = _SIZES.get(match[2] or "B") if match else None
    if match is None or unit is None:
        raise BadInput(
            f"{option} is {text!r}, which is not a size.",
            remedy="Write 50GB (powers of 1000) or 16GiB (powers of 1024); G alone could be either.",
        )
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def size_text(size: int) -> str:
    """Both readings of a size, since checklists mean one and tools print the other: ``53.7 GB (50.0 GiB)``."""
    if size < 10**6:
        return f"{size} B"
    if size < 10**9:
        return f"{size / 10**6:.1f} MB ({size / 2**20:.1f} MiB)"
    return f"{size / 10**9:.1f} GB ({size / 2**30:.1f} GiB)"


def span_seconds(text: str, *, option: str) -> float:
    """``90s``, ``15m``, ``24h``, ``7d``, ``2w`` in seconds. Raises BadInput naming the option."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", text)
    if match is None:
        raise BadInput(f"{option} is {text!r}, which is not a span of time.", remedy="Write 90s, 15m, 24h, 7d or 2w.")
    return float(match[1]) * _SPANS[match[2]]


def span_text(seconds: float) -> str:
    """A span in the unit that suits it: ``3.2 days``, ``5.0 h``, ``40 s``."""
    if abs(seconds) >= 2 * 86400:
        return f"{seconds / 86400:.1f} days"
    if abs(seconds) >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    if abs(seconds) >= 120:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s"


def moment_of(text: str, *, option: str) -> datetime.datetime:
    """``2026-12-31``, of which the end is meant, or a time in RFC 3339. Raises BadInput naming the option."""
    text = text.strip()
    try:
        moment = parse_utc(text)
    except ValueError:
        raise BadInput(f"{option} is {text!r}, expected a day such as 2026-12-31, or a time.")
    return moment + datetime.timedelta(days=1) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else moment
