# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's messages come back as lines, however the engine's answer is divided, and what is missing is said."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients.container_log import ContainerSource
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import TimedOut, UnexpectedAnswer

STAMP = "2026-11-22T05:00:{:02}.123456789Z"
BEGIN = 1795323600


def frame(text: str, *, second: int = 0, stream: int = 1) -> bytes:
    content = (f"{STAMP.format(second)} {text}" if stream < 3 else text).encode()
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


class Found(t.NamedTuple):
    id: str = "0123456789ab"
    name: str = "app"
    log_driver: str = "json-file"
    has_terminal: bool = False


class Engine:
    """What an engine would answer, divided as a test has it."""

    url = "unix:///stand-in"

    def __init__(self, *blocks: bytes, ends: Exception | None = None, **found: t.Any) -> None:
        self.blocks, self.ends, self.found = blocks, ends, Found(**found)

    def container(self, _name: str, *, deadline: Deadline) -> Found:
        return self.found

    def log(self, _identity: str, *, since: float | None, deadline: Deadline) -> t.Generator[bytes, None, None]:
        yield from self.blocks
        if self.ends is not None:
            raise self.ends


def read(engine: Engine, *, max_bytes: int = 10**6) -> tuple[list[tuple[str, float | None]], list[str]]:
    given = t.cast("t.Any", engine)
    source = ContainerSource("app", lambda: given, since=None, max_bytes=max_bytes, deadline=Deadline(60))
    lines = [(text, batch.moment(number)) for batch in source.batches() for number, text in enumerate(batch.texts)]
    return lines, source.reading.gaps


def divided(octets: bytes, size: int) -> list[bytes]:
    return [octets[begin : begin + size] for begin in range(0, len(octets), size)]


LINES = st.lists(st.text(alphabet="aä€ \r", min_size=1).filter(lambda text: text.strip()), max_size=12)


@given(lines=LINES, size=st.integers(1, 60))
def test_every_line_comes_back_whatever_the_blocks(lines: list[str], size: int) -> None:
    wanted = [(line.rstrip("\r"), BEGIN + second + 0.123456789) for second, line in enumerate(lines)]
    frames = b"".join(
        frame(f"{line}\n", second=second, stream=1 + second % 2) for second, line in enumerate(lines)
    )  # fmt: skip
    got, gaps = read(Engine(*divided(frames, size)))
    assert [text for text, _moment in got] == [text for text, _moment in wanted] and gaps == []
    assert [moment for _text, moment in got] == pytest.approx([moment for _text, moment in wanted], abs=1e-6)
    plain = "".join(f"{STAMP.format(second)} {line}\n" for second, line in enumerate(lines)).encode()
    assert read(Engine(*divided(plain, size), has_terminal=True)) == (got, [])


def test_a_line_in_pieces_is_one_also_where_the_other_stream_comes_between() -> None:
    frames = [
        frame("one ", second=1),
        frame("ERROR\n", second=2, stream=2),
        frame("and two\n", second=3),
        frame("rest"),
    ]
    got, gaps = read(Engine(*frames))
    assert [text for text, _moment in got] == ["ERROR", "one and two", "rest"] and gaps == []
    assert got[1][1] == pytest.approx(BEGIN + 1.123456789)


def test_a_line_without_an_end_is_judged_in_parts() -> None:
    got, gaps = read(Engine(*[frame("x" * 16384)] * 9))
    assert sum(len(text) for text, _moment in got) == 9 * 16384 and len(got) == 2 and gaps == []
    plain = f"{STAMP.format(0)} ".encode() + b"x" * (1 << 17)
    assert len(read(Engine(*divided(plain, 1 << 15), has_terminal=True))[0][0][0]) > 1 << 16


def test_octets_that_are_no_utf8_are_read_and_counted() -> None:
    content = f"{STAMP.format(0)} ".encode() + "Größe\n".encode("latin-1")
    got, _gaps = read(Engine(bytes([1, 0, 0, 0]) + len(content).to_bytes(4, "big") + content))
    assert [text for text, _moment in got] == ["Größe"]


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (Engine(frame("a\n"), ends=TimedOut("It did not answer.")), "was not read to its end: the time was up"),
        (Engine(frame("a\n"), ends=UnexpectedAnswer("It ended early.")), "was not read to its end: It ended early"),
        (Engine(frame("a\n"), b"\1\0\0\0"), "its last message breaks off"),
        (Engine(frame("a\n"), b"HTTP/1.1 200 OK"), "and not as Docker does"),
        (
            Engine(frame("a\n"), frame("Error grabbing logs: gone", stream=3)),
            "the engine says: Error grabbing logs: gone",
        ),
        (
            Engine(f"{STAMP.format(0)} a\nError grabbing logs: gone\n".encode(), has_terminal=True),
            "the engine says: Error grabbing logs: gone",
        ),
    ],
)
def test_what_is_missing_is_said_and_what_was_read_is_kept(engine: Engine, said: str) -> None:
    got, gaps = read(engine)
    assert [text for text, _moment in got] == ["a"]
    assert len(gaps) == 1 and said in gaps[0]


def test_what_ends_before_its_first_byte_is_an_error() -> None:
    with pytest.raises(TimedOut):
        read(Engine(ends=TimedOut("It did not answer.")))


def test_no_more_than_the_bound_is_read() -> None:
    got, gaps = read(Engine(frame("a\n"), frame("b\n"), frame("c\n")), max_bytes=60)
    assert [text for text, _moment in got] == ["a", "b"] and gaps == ["what it logged was read up to 60 bytes"]
