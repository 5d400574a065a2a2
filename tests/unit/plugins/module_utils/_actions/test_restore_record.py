# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of restores: read back as they were written, and nothing else is taken for one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest, restore_record
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer

NOW = datetime.datetime(2026, 11, 23, 4, 5, 6, tzinfo=datetime.timezone.utc)
ARCHIVE = "archive/20261122T010203Z-1f2e3d4c.dump"
GOOD = restore_record.Record(
    manifest="20261122T010203Z-1f2e3d4c.dump.manifest.json",
    database="archive",
    created="2026-11-22T01:02:03.004Z",
    revision=["0002"],
    size=1465529,
    sha256="0" * 64,
    at="2026-11-23T04:05:06.000Z",
    where={"host": "db.example.org", "port": 5432, "server_version": 180006},
    verified={"level": "restore", "ok": True, "restore_seconds": 3.1},
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
#: What no time is, and what is no number of any other language.
NUMBERS = st.sampled_from([10**400, -(10**400), 1e12, -1, float("inf"), float("nan"), "\ud800", 0, 0.5])


def test_a_record_is_read_back_as_it_was_written() -> None:
    assert restore_record.parse(GOOD.body(), where="x") == GOOD
    failed = dataclasses.replace(GOOD, verified={"level": "restore", "ok": False}, problem="public.notes is missing")
    assert restore_record.parse(failed.body(), where="x") == failed
    assert (GOOD.is_good, failed.is_good, failed.restore_seconds) == (True, False, None)


@given(st.sampled_from([field.name for field in dataclasses.fields(restore_record.Record)]), json_values)
def test_whatever_stands_in_a_record_it_is_read_or_refused(field: str, value: t.Any) -> None:
    body = {"format": restore_record.FORMAT, **dataclasses.asdict(GOOD), field: value}
    try:
        found = restore_record.parse(json.dumps(body).encode(), where="x")
    except UnexpectedAnswer:
        return
    assert found.is_good in (True, False)
    assert not found.is_good or found.restore_seconds is not None


@given(st.sampled_from(["where", "verified"]), json_values | NUMBERS)
def test_whatever_a_proof_tells_is_read_or_refused_and_is_json_again(field: str, value: t.Any) -> None:
    body = {"format": restore_record.FORMAT, **dataclasses.asdict(GOOD)}
    body[field] = {**body[field], "restore_seconds": value}
    try:
        found = restore_record.parse(json.dumps(body).encode(), where="x")
    except UnexpectedAnswer:
        return
    assert 0 <= t.cast(float, found.restore_seconds) < 1e12
    json.dumps(dataclasses.asdict(found), allow_nan=False, ensure_ascii=False).encode("utf-8")


@given(json_values | NUMBERS)
def test_whatever_json_lies_there_only_one_error_is_raised(value: t.Any) -> None:
    with contextlib.suppress(UnexpectedAnswer):
        restore_record.parse(json.dumps(value).encode(), where="x")
    with contextlib.suppress(UnexpectedAnswer):
        restore_record.parse(
            json.dumps({**dataclasses.asdict(GOOD), **dict.fromkeys(("size", "verified"), value)}).encode(), where="x"
        )


@pytest.mark.parametrize("seconds", ["1" + "0" * 400, "1e999", "NaN", "-Infinity", "-1", "1e12", "true", '"3"', "null"])
def test_what_is_no_number_of_seconds_is_refused(seconds: str) -> None:
    body = GOOD.body().replace(b'"restore_seconds": 3.1', f'"restore_seconds": {seconds}'.encode())
    assert body != GOOD.body()
    with pytest.raises(UnexpectedAnswer, match="x is not a record of a restore"):
        restore_record.parse(body, where="x")


def test_half_a_surrogate_pair_is_refused() -> None:
    body = json.dumps({"format": restore_record.FORMAT, **dataclasses.asdict(GOOD), "problem": "\ud800"}).encode()
    with pytest.raises(UnexpectedAnswer, match="it holds half a surrogate pair"):
        restore_record.parse(body, where="x")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 5000, json.dumps({"format": manifest.FORMAT}).encode()]
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="x is not a record of a restore"):
        restore_record.parse(body, where="x")


@pytest.mark.parametrize("archive", [ARCHIVE, f"{ARCHIVE}.age"])
def test_a_records_name_is_that_of_its_archive_and_of_nothing_else(archive: str) -> None:
    name = restore_record.name_for(archive, NOW)
    assert name.startswith(f"{archive}.restored-20261123T040506Z-")
    assert restore_record.archive_of(name) == archive
    assert name != restore_record.name_for(archive, NOW)
    beside = [
        archive,
        manifest.manifest_name(archive),
        manifest.roles_name(archive),
        f"{archive}/toc.dat",
        f"{name}.partial-1a2b3c4d",
    ]
    assert [one for one in beside if restore_record.archive_of(one) is not None] == []
    assert restore_record.parts_of(archive, [*beside, name, name.replace("1f2e", "aaaa")]) == [(name, {})]
    assert not name.endswith(manifest.MANIFEST_SUFFIX)
