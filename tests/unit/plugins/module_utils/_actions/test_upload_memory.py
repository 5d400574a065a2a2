# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload will take of the host's memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import upload_memory
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Directory
from ansible_collections.opsready.golive.plugins.module_utils._actions.s3_stream import MIB, Bucket, part_sizes

GIB = 1 << 30
BUCKET = object.__new__(Bucket)


def needed(dump: int, estimate: int | None = None, jobs: int = 1) -> int:
    found = upload_memory.memory_bytes(BUCKET, dump_bytes=dump, estimated_bytes=estimate or dump, jobs=jobs)
    assert found is not None
    return found


def test_three_parts_for_each_job() -> None:
    assert needed(14 * MIB) == needed(60 * GIB) == 3 * 8 * MIB
    assert needed(14 * MIB, jobs=4) == 4 * 3 * 8 * MIB
    assert needed(1000 * GIB) == 3 * 128 * MIB
    # twice as much as was estimated is written in parts that grow
    assert needed(120 * GIB, 60 * GIB) > needed(60 * GIB)
    assert needed(1000 * GIB) <= upload_memory.MUCH_MEMORY < needed(4000 * GIB)


@given(st.integers(1, 5 << 40), st.integers(1, 5 << 40))
def test_no_part_of_the_dump_is_larger_than_a_third_of_it(dump: int, estimate: int) -> None:
    size_of, number, sent = part_sizes(estimate), 0, 0
    while sent < dump and number < 10_000:
        number += 1
        sent += size_of(number)
    assert max(size_of(1), size_of(number)) * 3 == needed(dump, estimate)


def test_a_directory_is_written_without_parts() -> None:
    assert upload_memory.memory_bytes(Directory("/tmp"), dump_bytes=GIB, estimated_bytes=GIB, jobs=1) is None
