# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is encrypted comes back as it was or not at all, a few chunks are held, and no thread stays behind."""

from __future__ import annotations

import os
import threading
import types
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import age
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Denied,
    Ended,
    GoliveError,
)

pyrage = require("pyrage")
IDENTITY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())


def encrypted(chunks: t.Iterable[bytes]) -> bytes:
    return b"".join(age.encrypted(chunks, [IDENTITY.to_public()]))


def decrypted(chunks: t.Iterable[bytes]) -> bytes:
    return b"".join(age.decrypted(chunks, [OTHER, IDENTITY], what="file:///a.dump.age"))


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("opsready-age")]


# 64 KiB is what the format encrypts at a time: the edges are where an end can be lost.
@given(st.sampled_from([0, 1, 65535, 65536, 65537, 131072, 300_000]), st.integers(1000, 200_000))
def test_what_is_encrypted_comes_back_however_it_is_cut(size: int, piece: int) -> None:
    body = os.urandom(size)
    assert decrypted(cut(encrypted(cut(body, piece)), piece)) == body
    assert threads() == []


BODY = os.urandom(200_000)
STORED = encrypted([BODY])
HEADER = STORED.index(b"\n", STORED.index(b"\n--- ") + 1) + 1


@given(st.integers(0, len(STORED) - 1), st.integers(0, 7))
def test_one_bit_anywhere_is_seen(at: int, bit: int) -> None:
    damaged = bytearray(STORED)
    damaged[at] ^= 1 << bit
    with pytest.raises(ActionFailed, match=r"file:///a\.dump\.age cannot be decrypted, so it is not what was written"):
        decrypted(cut(bytes(damaged), 50_000))
    assert threads() == []


@given(st.one_of(st.integers(0, len(STORED) - 1), st.sampled_from([0, HEADER, HEADER + 16, HEADER + 16 + 65552])))
def test_an_end_that_is_missing_is_seen(size: int) -> None:
    with pytest.raises(ActionFailed, match="cannot be decrypted"):
        decrypted(cut(STORED[:size], 50_000))


@pytest.mark.parametrize("body", [STORED + b"\0", STORED + STORED, b"PGDMP" * 100_000], ids=["more", "twice", "plain"])
def test_what_is_no_stream_is_refused_before_it_is_read_to_its_end(body: bytes) -> None:
    with pytest.raises(ActionFailed, match="cannot be decrypted"):
        decrypted(cut(body, 10_000))
    assert threads() == []


@pytest.mark.parametrize("through", ["encrypted", "decrypted"])
def test_a_few_chunks_are_held_however_long_the_stream_is(through: str) -> None:
    taken = given_out = 0
    body = b"\0" * (40 << 20) if through == "encrypted" else encrypted([b"\0" * (40 << 20)])

    def chunks() -> t.Iterator[bytes]:
        nonlocal taken
        for chunk in cut(body, 1 << 20):
            taken += len(chunk)
            yield chunk

    made = age.encrypted(chunks(), [IDENTITY.to_public()]) if through == "encrypted" else age.decrypted(
        chunks(), [IDENTITY], what="it"
    )  # fmt: skip
    for piece in made:
        given_out += len(piece)
        assert taken - given_out < 6 << 20
    assert given_out >= 40 << 20


@pytest.mark.parametrize("problem", [Ended("The module was ended by SIGTERM."), OSError("gone"), ActionFailed("broke")])
@pytest.mark.parametrize("through", ["encrypted", "decrypted"])
def test_what_the_source_meets_comes_out_as_it_is(through: str, problem: BaseException) -> None:
    def chunks() -> t.Iterator[bytes]:
        yield STORED[:100_000]
        raise problem

    with pytest.raises(type(problem)) as met:
        (encrypted if through == "encrypted" else decrypted)(chunks())
    assert met.value is problem
    assert threads() == []


def test_a_reader_that_gives_up_leaves_no_thread_and_closes_what_it_read_from() -> None:
    closed = []

    def chunks() -> t.Iterator[bytes]:
        try:
            while True:
                yield b"\0" * (1 << 20)
        finally:
            closed.append(True)

    stream = age.encrypted(chunks(), [IDENTITY.to_public()])

    def give_up() -> None:
        with age.closing(stream):
            for _piece in stream:
                assert threads()
                raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        give_up()
    assert (threads(), closed) == ([], [True])


def test_an_end_that_the_library_lost_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its last write meets, it drops: here the write of the last 3 KiB."""

    class Short(age._Files):
        def write(self, piece: bytes) -> int:
            if len(piece) < 4096 and b"age-encryption" not in piece:
                raise MemoryError()
            return super().write(piece)

    monkeypatch.setattr(age, "_Files", Short)
    with pytest.raises(ActionFailed, match=r"Encrypting failed: of 200000 bytes \d+ came out, which is not all of it"):
        encrypted([BODY])


def test_what_the_library_meets_is_told_and_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(age._Files):
        def write(self, piece: bytes) -> int:
            raise MemoryError("no room")

    monkeypatch.setattr(age, "_Files", Broken)
    with pytest.raises(ActionFailed, match=r"Encrypting failed: .*no room"):
        encrypted(b"\0" * (1 << 20) for _unused in range(1000))
    assert threads() == []


def test_whom_it_is_for_is_known_before_it_is_read() -> None:
    for identities, kind in (((), BadInput), ([OTHER], Denied)):
        with pytest.raises(kind, match=rf"Its recipients are {RECIPIENT}: give the identity of one of them"):
            age.require_reader([RECIPIENT], identities, what="it")
    age.require_reader([str(OTHER.to_public()), RECIPIENT], [IDENTITY], what="it")
    # A recipient of a kind that this version does not know says nothing about who reads it.
    age.require_reader(["age1pq1unknown"], [OTHER], what="it")


@pytest.mark.parametrize(
    "text",
    ["", "# age-keygen\n\n", "AGE-SECRET-KEY-1QQ", RECIPIENT, "-----BEGIN OPENSSH PRIVATE KEY-----\n"],
    ids=["nothing", "a comment", "half of one", "a recipient", "half of an SSH key"],
)
def test_what_is_no_identity_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        age.identities_of(text, name="identity")
    assert not text.strip() or text.strip() not in str(refused.value)


def test_identities_may_stand_one_a_line_as_their_files_hold_them() -> None:
    text = f"# created: 2026-11-23\n# public key: {RECIPIENT}\n{OTHER}\n\n  {IDENTITY}  \n"
    assert [str(one) for one in age.identities_of(text, name="identity")] == [str(OTHER), str(IDENTITY)]


def test_an_identity_of_the_run_is_another_in_each() -> None:
    options = {"recipients": [RECIPIENT, f" {RECIPIENT} "], "identity": None}
    made = [age.Encryption.of(options, is_read_back=True) for _unused in range(2)]
    assert len({str(one.own) for one in made if one is not None}) == 2
    first = t.cast(age.Encryption, made[0])
    assert first.told() == {"format": "age", "recipients": [RECIPIENT]}
    assert age.opened(first.body(b"x"), [first.own], what="it") == b"x"
    assert age.opened(first.body(b"x"), [IDENTITY], what="it") == b"x"
    with pytest.raises(GoliveError):
        age.opened(first.body(b"x"), [t.cast(age.Encryption, made[1]).own], what="it")
    for_head = age.Encryption.of(options, is_read_back=False)
    assert for_head is not None and list(for_head.identities) == []


def test_the_library_is_asked_for_only_where_something_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> types.ModuleType:
        raise AssertionError(name)

    monkeypatch.setattr(age, "require", missing)
    assert age.Encryption.of(None, is_read_back=True) is None
