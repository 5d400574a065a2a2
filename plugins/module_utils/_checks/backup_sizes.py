# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a backup is as large as usual: against the median of those before it."""

from __future__ import annotations

import statistics
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds
from ansible_collections.opsready.golive.plugins.module_utils._core.units import size_text

#: A size is held against its history from so many earlier backups on.
FEWEST_EARLIER = 3


def judged_size(size: int, before: t.Sequence[int], params: t.Mapping[str, t.Any]) -> Criterion:
    """``before``: the sizes of the earlier backups in bytes, oldest first."""
    name, share = "size of the newest backup", params["min_size_share"]
    earlier = before[-params["history"] :]
    if len(earlier) < FEWEST_EARLIER:
        return holds(
            name,
            False,
            measured=f"{size_text(size)}, after {len(earlier)} others",
            expected=f"a usual size, of {FEWEST_EARLIER} earlier backups",
            sentence=f"the newest backup has {size_text(size)}, and whether that is usual is not known before "
            f"there are {FEWEST_EARLIER} earlier ones; there are {len(earlier)}",
            remedy="It will be known after a few more backups; min_size_share: 0 leaves it out.",
            level="warn",
        )
    usual = statistics.median(earlier)
    return holds(
        name,
        size > share * usual,
        measured=size_text(size),
        expected=f"more than {share * 100:g} % of {size_text(int(usual))}",
        sentence=f"the newest backup has {size_text(size)}, no more than {share * 100:g} % of the usual "
        f"{size_text(int(usual))} (median of the {len(earlier)} before it)",
        remedy="Look at whether data is gone, or a table is left out.",
        level="warn",
    )
