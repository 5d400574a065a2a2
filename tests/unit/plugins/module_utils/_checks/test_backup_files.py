# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When an RDB file says that its data was saved, from its first bytes."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks.backup_files import saved_at

SAVED = dt.datetime(2026, 11, 23, 1, 2, 3, tzinfo=dt.timezone.utc)
SECONDS = int(SAVED.timestamp())
CTIME = b"\xfa\x05ctime\xc2" + SECONDS.to_bytes(4, "little")
AS_TEXT = b"\xfa\x05ctime\x0a" + str(SECONDS).encode()
VERSION = b"\xfa\x09redis-ver\x057.0.5"
BITS = b"\xfa\x0aredis-bits\xc0\x40"
LONG = b"\xfa\x40\x50" + b"n" * 0x50 + b"\xc1\x01\x02"


@pytest.mark.parametrize(
    "head",
    [
        b"REDIS0011" + VERSION + BITS + CTIME + b"\xfe\x00",
        b"VALKEY080" + VERSION + CTIME,
        b"REDIS0009" + LONG + AS_TEXT,
    ],
)
def test_the_field_ctime_is_when_it_was_saved(head: bytes) -> None:
    assert saved_at(head) == SAVED


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"PK\x03\x04" + CTIME,
        b"REDIS0011",
        b"REDIS0011" + VERSION,
        b"REDIS0011" + VERSION + b"\xfe\x00" + CTIME,
        b"REDIS0011" + CTIME[:7],
        b"REDIS0011\xfa\x05ctime\x03now",
        b"REDIS0011\xfa\x05ctime\x1a" + b"9" * 26,
        b"REDIS0011\xfa\x80\x00\x00\x00\x05ctime",
    ],
)
def test_what_tells_no_time_has_none(head: bytes) -> None:
    assert saved_at(head) is None


FIELDS = st.lists(st.one_of(st.sampled_from([VERSION, BITS, CTIME, LONG, b"\xfa\x05ctime"]), st.binary(max_size=8)))


@given(st.one_of(st.binary(max_size=60), FIELDS.map(lambda fields: b"REDIS0011" + b"".join(fields))))
def test_no_beginning_raises_anything(head: bytes) -> None:
    moment = saved_at(head)
    assert moment is None or moment.tzinfo is dt.timezone.utc
