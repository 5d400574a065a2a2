# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal loses nothing that was acknowledged, and shows every change made to it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal
from ansible_collections.opsready.golive.plugins.module_utils._actions.journal import (
    GENESIS,
    append,
    parse_chain,
    read_chain,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    Refused,
    UnexpectedAnswer,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.jsonl")


def _content(path: str) -> bytes:
    return Path(path).read_bytes()


entries = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key not in ("n", "at", "token", "prev")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=5,
    ),
    max_size=3,
)


@given(st.lists(st.lists(entries, min_size=1, max_size=3), min_size=1, max_size=4))
def test_what_is_appended_is_read_back_in_order(batches: list[list[dict[str, t.Any]]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "journal.jsonl")
        for batch in batches:
            written = append(path, batch, token=1)
        read = read_chain(path)
    wanted = json.loads(json.dumps([entry for batch in batches for entry in batch]).encode("utf-8", "replace"))
    found = [
        {key: value for key, value in entry.items() if key not in ("n", "at", "token", "prev")}
        for entry in read.entries
    ]
    assert found == wanted
    assert read == written
    assert [entry["n"] for entry in read.entries] == list(range(1, len(wanted) + 1))


def test_a_journal_that_is_not_there_is_empty(path: str) -> None:
    chain = read_chain(path)
    assert (chain.entries, chain.head, chain.torn) == ((), GENESIS, False)


def test_a_journal_is_its_owners_alone(path: str) -> None:
    append(path, [{"event": "begun"}], token=1)
    assert os.stat(path).st_mode & 0o777 == 0o600


def _written(path: str, count: int = 5) -> list[bytes]:
    for number in range(count):
        append(path, [{"event": "step_started", "step": f"s{number}"}], token=1)
    return _content(path).split(b"\n")[:-1]


@given(st.data())
def test_any_change_before_the_last_line_is_seen(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lines = _written(os.path.join(folder, "j"))
    row = data.draw(st.integers(0, len(lines) - 2))
    column = data.draw(st.integers(0, len(lines[row]) - 1))
    octet = data.draw(st.integers(32, 126).filter(lambda value: value != lines[row][column]))
    changed = [*lines]
    changed[row] = lines[row][:column] + bytes([octet]) + lines[row][column + 1 :]
    with pytest.raises(UnexpectedAnswer, match=r"Line \d of the journal does not follow the one before"):
        parse_chain(b"\n".join(changed) + b"\n")


@pytest.mark.parametrize(
    "edit", ["remove the first", "remove one", "swap two", "repeat one", "put one in", "no object"]
)
def test_lines_removed_moved_or_put_in_are_seen(path: str, edit: str) -> None:
    a, b, c, d, e = _written(path)
    made = {
        "remove the first": [b, c, d, e],
        "remove one": [a, b, d, e],
        "swap two": [a, c, b, d, e],
        "repeat one": [a, b, b, c, d, e],
        "put one in": [a, b, b'{"event": "step_ended", "n": 3}', c, d, e],
        "no object": [a, b, b"[]", d, e],
    }[edit]
    Path(path).write_bytes(b"\n".join(made) + b"\n")
    with pytest.raises(UnexpectedAnswer, match="was changed or damaged") as caught:
        read_chain(path)
    assert path in caught.value.message
    assert "Keep the file as evidence" in caught.value.remedy
    with pytest.raises(UnexpectedAnswer):
        append(path, [{"event": "x"}], token=1)


def test_a_change_of_the_last_line_or_its_removal_shows_in_the_head(path: str) -> None:
    lines = _written(path)
    head = read_chain(path).head
    Path(path).write_bytes(b"\n".join([*lines[:-1], lines[-1].replace(b"s4", b"s9")]) + b"\n")
    assert read_chain(path).head != head
    Path(path).write_bytes(b"\n".join(lines[:-1]) + b"\n")
    assert read_chain(path).head != head


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_torn_tail_is_tolerated_and_the_next_line_takes_its_place(path: str, cut: int) -> None:
    lines = _written(path, 3)
    Path(path).write_bytes(b"\n".join(lines) + b"\n" + lines[-1][:cut])
    torn = read_chain(path)
    assert (torn.torn, len(torn.entries)) == (True, 3)
    healed = append(path, [{"event": "ended"}], token=1)
    assert (healed.torn, len(healed.entries)) == (False, 4)
    assert read_chain(path) == healed


def test_a_journal_torn_in_its_first_line_begins_anew(path: str) -> None:
    Path(path).write_bytes(b'{"event": "beg')
    assert read_chain(path).entries == ()
    assert len(append(path, [{"event": "begun"}], token=1).entries) == 1


def test_a_stale_token_is_refused_and_writes_nothing(path: str) -> None:
    append(path, [{"event": "begun"}], token=4)
    append(path, [{"event": "claimed"}], token=5)
    before = _content(path)
    with pytest.raises(Refused, match=r"The token 4 is stale: token 5 has written"):
        append(path, [{"event": "step_started"}], token=4)
    assert _content(path) == before
    append(path, [{"event": "ended"}], token=5)


def test_concurrent_writers_lose_nothing(path: str) -> None:
    write = f"""
import sys
from ansible_collections.opsready.golive.plugins.module_utils._actions.journal import append
for number in range(100):
    append({path!r}, [{{"event": "x", "by": sys.argv[1], "number": number}}], token=1)
"""
    writers = [subprocess.Popen([sys.executable, "-c", write, str(who)]) for who in range(3)]
    try:
        assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    found = [(entry["by"], entry["number"]) for entry in read_chain(path).entries]
    assert len(found) == 300
    for who in "012":  # each writer's own lines in its own order
        assert [number for by, number in found if by == who] == list(range(100))


def test_a_writer_killed_in_the_middle_leaves_a_readable_journal(path: str) -> None:
    write = f"""
from ansible_collections.opsready.golive.plugins.module_utils._actions.journal import append
while True:
    append({path!r}, [{{"event": "x", "text": "y" * 500}}, {{"event": "z"}}], token=1)
    print("written", flush=True)
"""
    for _unused in range(5):
        writer = subprocess.Popen([sys.executable, "-c", write], stdout=subprocess.PIPE)
        try:
            assert writer.stdout is not None
            acknowledged = [writer.stdout.readline() for _unused in range(3)]
        finally:
            writer.kill()
            rest = writer.stdout.read() if writer.stdout else b""
            writer.wait()
            if writer.stdout:
                writer.stdout.close()
        said = len(acknowledged) + rest.count(b"\n")
        chain = read_chain(path)
        assert len(chain.entries) >= 2 * said
        os.unlink(path)


class _FullDisk:
    """``os.write`` on a disk that has room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, descriptor: int, content: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(descriptor, content[: self.room])
        self.room -= written
        return written


def test_a_disk_that_fills_up_in_the_middle_of_a_line_takes_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append(path, [{"event": "begun"}], token=1)
    before = _content(path)
    monkeypatch.setattr("os.write", _FullDisk(30))
    with pytest.raises(OSError, match="No space left"):
        append(path, [{"event": "step_started", "step": "stop"}], token=1)
    monkeypatch.undo()
    assert _content(path) == before
    assert read_chain(path).torn is False


def test_a_short_write_is_continued(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr("os.write", lambda descriptor, content: real(descriptor, content[:7]))
    assert len(append(path, [{"event": "begun", "text": "z" * 50}], token=1).entries) == 1
    monkeypatch.undo()
    assert read_chain(path).torn is False


def test_a_whole_file_is_written_or_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "plan.json"
    journal.write_whole(str(target), "eins — ü\n")
    assert target.read_text() == "eins — ü\n"
    assert target.stat().st_mode & 0o777 == 0o600

    def full(_unused: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ActionFailed, match=r"plan\.json cannot be written: No space left on device\. Make room"):
        journal.write_whole(str(target), "zwei\n")
    assert target.read_text() == "eins — ü\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]


def test_a_whole_file_in_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="No such file or directory"):
        journal.write_whole(str(tmp_path / "not-there" / "plan.json"), "x")


def test_what_can_be_read_of_a_damaged_journal_is_told_with_the_lines_that_are_lost(path: str) -> None:
    lines = _written(path)
    cut = [*lines[:2], lines[2][:20], lines[3], b'{"event": "step_started", "at": "2026-11-22T01:02:03Z"}', lines[4]]
    Path(path).write_bytes(b"\n".join(cut) + b"\n")
    found = journal.salvage(path)
    assert [entry["step"] for entry in found.entries] == ["s0", "s1", "s3", "s4"]
    assert (found.line, found.unreadable, found.ended) == (3, (3, 5), "")
    assert found.sha256 == hashlib.sha256(_content(path)).hexdigest()


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'{"event": "ended", "outcome": "live"}',
        b'{"event": "ended", "at": "yesterday", "outcome": "live"}',
        b'{"event": "ended", "at": "2026-11-22T01:02:03Z"}',
        b'{"event": "step_ended", "at": "2026-11-22T01:02:03Z", "step": "stop"}',
        b'{"event": 1, "at": "2026-11-22T01:02:03Z"}',
    ],
)
def test_a_line_that_readers_cannot_rely_on_is_not_salvaged(path: str, line: bytes) -> None:
    Path(path).write_bytes(line + b"\n")
    found = journal.salvage(path)
    assert (found.entries, found.unreadable, found.ended) == ((), (1,), "")


@pytest.mark.parametrize(("content", "ended"), [(b"", "live"), (b"torn", "live"), (b"gone\n", "")])
def test_how_it_ended_is_believed_of_the_last_line_only(path: str, content: bytes, ended: str) -> None:
    _written(path, 2)
    append(path, [{"event": "ended", "outcome": "live"}], token=1)
    Path(path).write_bytes(_content(path).replace(b"s0", b"s9") + content)
    assert journal.salvage(path).ended == ended


def test_a_damaged_journal_is_kept_as_it_was_and_a_new_one_goes_on(path: str) -> None:
    _written(path, 2)
    for number in (1, 2):
        Path(path).write_bytes(_content(path).replace(b"s0", b"s9"))
        evidence, found = _content(path), journal.salvage(path)
        kept = journal.set_aside(path, found.entries, note={"event": "damaged"}, token=number)
        assert kept.endswith(f"/journal.damaged-{number}.jsonl")
        assert _content(kept) == evidence
        chain = read_chain(path)
        assert [entry["event"] for entry in chain.entries[-2:]] == [found.entries[-1]["event"], "damaged"]
        assert chain.entries[0]["at"] == found.entries[0]["at"]
        assert (chain.entries[-1]["kept_as"], chain.entries[-1]["token"]) == (f"journal.damaged-{number}.jsonl", number)
        Path(path).write_bytes(_content(path).replace(b"s9", b"s0"))


def test_a_journal_that_is_gone_is_set_aside_as_the_empty_file_it_is_worth(path: str) -> None:
    assert journal.salvage(path).entries == ()
    kept = journal.set_aside(path, [{"event": "begun"}], note={"event": "damaged"}, token=3)
    assert _content(kept) == b""
    assert len(read_chain(path).entries) == 2


def test_a_planted_link_is_not_written_through(path: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("")
    os.symlink(tmp_path / "victim", path)
    with pytest.raises(OSError, match="symbolic links"):
        append(path, [{"event": "begun"}], token=1)
    assert (tmp_path / "victim").read_text() == ""
