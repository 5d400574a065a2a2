# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment from which on something counts, such as the begin of a deploy, as people write it."""

from __future__ import annotations

import re

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds


def since_when(text: str | None, now: float, *, option: str = "since") -> float | None:
    """Seconds since the epoch of a moment (RFC 3339, @epoch) or a span before now. Raises BadInput naming the option."""
    if text is None:
        return None
    if re.fullmatch(r"@\d+(\.\d+)?", text):
        moment = float(text[1:])
    elif re.match(r"\d{4}-", text):
        try:
            moment = parse_utc(text).timestamp()
        except ValueError:
            raise BadInput(
                f"{option} is {text!r}, which is no time.", remedy="Write 2026-11-22T03:00:00Z, or a span: 15m."
            )
    else:
        moment = now - span_seconds(text, option=option)
    if moment < 0:
        raise BadInput(f"{option} is {text!r}, which is before 1970.", remedy="Write a later time, or a shorter span.")
    if moment > now + 60:
        raise BadInput(
            f"{option} is {text!r}, which is still to come.", remedy="Look at its zone, and at this host's clock."
        )
    return moment
