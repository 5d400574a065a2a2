# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload takes of this host's memory at most, known before it begins."""

from __future__ import annotations

from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import (
    MOST_PARTS,
    UNDER_WAY,
    Bucket,
    part_sizes,
)

#: More than this for one upload is told as a warning: parts of 340 MiB, or some jobs with smaller ones.
MUCH_MEMORY = 1 << 30


def memory_bytes(place: Destination, *, dump_bytes: int, estimated_bytes: int, jobs: int) -> int | None:
    """What the parts of an upload take at most; None for a place that is written without any.

    The parts are of the size that the estimate asks for, and grow where the dump is larger than that.
    """
    if not isinstance(place, Bucket):
        return None
    size_of = part_sizes(estimated_bytes)
    number, sent = 1, size_of(1)
    while sent < dump_bytes and number < MOST_PARTS:
        number += 1
        sent += size_of(number)
    return (UNDER_WAY + 1) * size_of(number) * jobs
