# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record on the state host: one lock, tokens that only grow, and messages that name the way out."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal, release_record
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import (
    Record,
    maintenance_windows,
    steps_of,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Clock, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token

START = datetime.datetime(2026, 11, 22, 1, 2, 3, tzinfo=datetime.timezone.utc)
OWNER = {"operator": "grete", "job": "4711", "host": "awx"}


class HandClock(Clock):
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def record(tmp_path: Path, clock: HandClock) -> Record:
    made = Record(str(tmp_path / "state"), "archive", clock=clock)
    made.create()
    return made


def _begin(record: Record, release: str) -> Token:
    os.makedirs(record.folder(release))
    token = record.take(release, owner=OWNER, version="2.0.0")
    journal.append(record.journal_path(release), [{"event": "begun"}], token=token.number, clock=record.clock)
    return token


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-a", ".hidden", "a" * 49, "ä"])
def test_a_system_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="system is"):
        Record(str(tmp_path), name)


@pytest.mark.parametrize("release", ["..", "../../etc", "a/b", ""])
def test_an_id_leads_nowhere_else(record: Record, release: str) -> None:
    with pytest.raises(BadInput, match="not the id of a release"):
        record.folder(release)


def test_a_state_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way")
    record = Record(str(tmp_path / "state"), "archive")
    with pytest.raises(ActionFailed, match=r"state/archive cannot be made: Not a directory\..*golive_state_dir"):
        record.create()
    with pytest.raises(ActionFailed, match="cannot be used: Not a directory"), record.exclusively():
        pass


@pytest.mark.parametrize("folder", ["state", "state/archive", "state/archive/releases"])
def test_a_folder_that_others_can_change_keeps_no_way_back(tmp_path: Path, folder: str) -> None:
    record = Record(str(tmp_path / "state"), "archive")
    record.create()
    (tmp_path / folder).chmod(0o777)
    with pytest.raises(Refused, match=rf"{folder} keeps the way back, and everybody may write into it\. .*chmod o-w"):
        record.create()
    (tmp_path / folder).chmod(0o1777)
    record.create()
    if os.geteuid() == 0:
        os.chown(tmp_path / folder, 65534, -1)
        with pytest.raises(Refused, match=rf"{folder} keeps the way back, and belongs to uid 65534"):
            record.create()


def test_tokens_only_grow(record: Record) -> None:
    numbers = []
    for release in ("r1", "r2", "r3"):
        numbers.append(_begin(record, release).number)
        record.free()
    assert numbers == [1, 2, 3]
    Path(record.root, "token").write_text("not a number")
    with pytest.raises(UnexpectedAnswer, match="does not hold a number"):
        record.next_number()


def test_only_the_token_that_holds_the_lock_is_good(record: Record) -> None:
    token = _begin(record, "r1")
    record.verify(token)
    with pytest.raises(Refused, match="release r1 holds it"):
        record.verify(Token("archive", "r1", token.number, "0" * 16))
    with pytest.raises(Refused, match="release r1 holds it"):
        record.verify(Token("archive", "r0", token.number - 1, token.nonce))
    with pytest.raises(BadInput, match="of system shop, not archive"):
        record.verify(Token("shop", "r1", token.number, token.nonce))
    record.free()
    record.free()
    with pytest.raises(Refused, match="nobody holds it"):
        record.verify(token)


def test_the_lock_names_owner_job_and_last_sign_of_life(record: Record, clock: HandClock) -> None:
    _begin(record, "r1")
    clock.passed = 125
    lock = record.lock()
    assert lock is not None
    assert record.described_lock(lock) == (
        "release r1 of archive 2.0.0 holds the lock (operator grete, job 4711); its journal was last written 125 s ago, "
        "at 2026-11-22T01:02:03.000Z"
    )
    lock.update(operator="", job="")
    os.unlink(record.journal_path("r1"))
    assert "(operator unknown); its journal was last written 125 s ago" in record.described_lock(lock)
    assert record.never_began(lock)


def test_ids_are_told_apart_within_a_second(record: Record) -> None:
    first = record.new_id()
    os.makedirs(record.folder(first))
    second = record.new_id()
    os.makedirs(record.folder(second))
    assert (second, record.new_id()) == (f"{first}-2", f"{first}-3")


def test_releases_of_two_records_have_two_ids_within_a_second(record: Record, tmp_path: Path, clock: HandClock) -> None:
    other = Record(str(tmp_path / "elsewhere"), "archive", clock=clock)
    other.create()
    first, second = record.new_id(), other.new_id()
    assert first[:17] == second[:17] == "r20261122T010203-"
    assert first != second
    assert first[17:] == _begin(record, first).record[:4]


def test_a_folder_without_a_journal_is_no_release(record: Record) -> None:
    assert Record(record.root + "-other", "x").releases() == []
    _begin(record, "r1")
    os.makedirs(record.folder("r2"))
    assert record.releases() == ["r1"]
    record.discard("r2")
    assert not os.path.exists(record.folder("r2"))


def test_documents_are_read_as_they_were_written(record: Record) -> None:
    _begin(record, "r1")
    assert record.document("r1", "plan.json") is None
    record.write("r1", "plan.json", {"title": "zurück", "n": 1})
    assert record.document("r1", "plan.json") == {"title": "zurück", "n": 1}
    record.write("r1", "ROLLBACK.md", "# way back\n")
    assert Path(record.folder("r1"), "ROLLBACK.md").read_text() == "# way back\n"
    record.write("r1", "list.json", [1])
    with pytest.raises(UnexpectedAnswer, match=r"list\.json is damaged"):
        record.document("r1", "list.json")
    record.keep_verdict({"decision": "GO"})
    assert record.last_verdict() == {"decision": "GO"}


def test_a_damaged_document_is_named(record: Record) -> None:
    Path(record.root, "lock.json").write_text("{torn")
    with pytest.raises(UnexpectedAnswer, match=r"lock\.json is damaged\. Read `status`"):
        record.lock()
    Path(record.root, "lock.json").write_text("{}")
    with pytest.raises(UnexpectedAnswer, match=r"lock\.json does not say who holds the lock"):
        record.lock()
    Path(record.root, "verdict.json").write_text("{torn")
    with pytest.raises(UnexpectedAnswer, match=r"verdict\.json is damaged\. Look at the journal"):
        record.last_verdict()


def test_a_disk_that_does_not_answer_is_no_damage(record: Record) -> None:
    Path(record.root, "lock.json").mkdir()
    with pytest.raises(ActionFailed, match=r"lock\.json cannot be read: Is a directory"):
        record.lock()


def test_an_unreadable_document_is_named(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_unused: object, **__: object) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(ActionFailed, match=r"lock\.json cannot be read by this user"):
        record.lock()


def test_sign_offs_are_kept_in_a_chain_of_their_own(record: Record) -> None:
    record.sign({"item": "reviewed", "name": "Grete Hermann"})
    record.sign({"item": "tested", "name": "Emmy Noether"})
    assert [entry["name"] for entry in record.sign_offs()] == ["Grete Hermann", "Emmy Noether"]
    path = Path(record.root, "sign_offs.jsonl")
    path.write_bytes(path.read_bytes().replace(b"Grete", b"Greta"))
    with pytest.raises(UnexpectedAnswer):
        record.sign_offs()


def test_a_sign_off_that_cannot_be_written_says_so(record: Record) -> None:
    os.mkdir(os.path.join(record.root, "sign_offs.jsonl"))
    with pytest.raises(ActionFailed, match=r"sign_offs\.jsonl cannot be written: Is a directory"):
        record.sign({"item": "x"})


def test_two_begin_one_after_the_other_and_a_hanging_one_is_reported(record: Record, clock: HandClock) -> None:
    hold = f"""
import sys
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record
with Record({os.path.dirname(record.root)!r}, "archive").exclusively():
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(Refused, match=r"at work in .*archive for 30 s.*fuser .*\.mutex"), record.exclusively():
            pass
        assert clock.passed >= release_record._MUTEX_SECONDS
    finally:
        holder.communicate(b"")
    with record.exclusively():
        pass


def _entry(event: str, second: int, **more: t.Any) -> dict[str, t.Any]:
    return {"event": event, "at": utc_text(START + datetime.timedelta(seconds=second)), **more}


def test_steps_are_told_by_the_journal() -> None:
    steps = steps_of(
        [
            _entry("begun", 0),
            _entry("step_started", 1, step="stop", title="stop it"),
            _entry("step_ended", 4, step="stop", status="done", detail="3 workers", known={"drain": 1}),
            _entry("step_ended", 5, step="never-opened", status="done"),
            _entry("step_started", 5, step="migration"),
            _entry("step_ended", 7, step="migration", status="failed"),
            _entry("step_started", 8, step="migration", direction="back"),
        ]
    )
    assert [(s["name"], s["status"], s["seconds"], s["direction"]) for s in steps] == [
        ("stop", "done", 3.0, "forward"),
        ("migration", "failed", 2.0, "forward"),
        ("migration", "open", None, "back"),
    ]
    assert (steps[0]["title"], steps[0]["detail"], steps[0]["known"]) == ("stop it", "3 workers", {"drain": 1})


def test_a_clock_that_was_set_back_measures_nothing(record: Record, clock: HandClock) -> None:
    token = _begin(record, "r1")
    for name, seconds in (("stop", 5), ("backup", -3590), ("migration", 0)):
        path = record.journal_path("r1")
        journal.append(path, [{"event": "step_started", "step": name}], token=token.number, clock=clock)
        clock.passed += seconds
        journal.append(path, [{"event": "step_ended", "step": name, "status": "done"}], token=token.number, clock=clock)
    journal.append(path, [{"event": "ended", "outcome": "live"}], token=token.number, clock=clock)
    assert [(step["name"], step["seconds"]) for step in steps_of(record.chain("r1").entries)] == [
        ("stop", 5.0),
        ("backup", None),
        ("migration", 0.0),
    ]
    assert record.history() == {"stop": 5.0, "migration": 0.0}


def test_durations_come_from_the_newest_release_that_went_live(record: Record, clock: HandClock) -> None:
    assert record.history() == {}
    for release, seconds, outcome in (("r1", 5, "live"), ("r2", 9, "live"), ("r3", 99, "rolled_back")):
        token = _begin(record, release)
        path = record.journal_path(release)
        journal.append(path, [{"event": "step_started", "step": "stop"}], token=token.number, clock=clock)
        clock.passed += seconds
        journal.append(
            path,
            [{"event": "step_ended", "step": "stop", "status": "done"}, {"event": "ended", "outcome": outcome}],
            token=token.number,
            clock=clock,
        )
    assert record.history() == {"stop": 9.0}
    damaged = Path(record.journal_path("r2"))
    damaged.write_bytes(damaged.read_bytes().replace(b"begun", b"bogus"))
    assert record.history() == {"stop": 5.0}


def test_the_lock_file_holds_what_a_person_needs_and_is_private(record: Record) -> None:
    token = _begin(record, "r1")
    path = Path(record.root, "lock.json")
    note = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert (note["operator"], note["job"], note["host"], note["version"]) == ("grete", "4711", "awx", "2.0.0")
    assert (note["release"], note["number"], note["taken"]) == ("r1", token.number, "2026-11-22T01:02:03.000Z")


def test_maintenance_lasts_from_its_proof_until_it_may_end() -> None:
    on, off = {"step": "maintenance_on", "status": "done"}, {"step": "traffic"}
    back_on, back_off = {"step": "back_maintenance", "status": "done"}, {"step": "back_traffic"}
    windows = maintenance_windows(
        [
            _entry("begun", 0),
            _entry("step_started", 0, **off),  # nothing was on yet
            _entry("step_ended", 1, step="maintenance_on", status="failed"),
            _entry("step_ended", 2, **on),
            _entry("step_started", 5, **off),
            _entry("step_ended", 7, **back_on),
            _entry("step_ended", 8, **back_on),  # proven twice, one span
            _entry("step_started", 9, **back_off),
            _entry("step_ended", 11, **on),
        ]
    )
    spans = [(window["since"][17:19], window.get("until", "")[17:19]) for window in windows]
    assert spans == [("05", "08"), ("10", "12"), ("14", "")]


def test_a_record_tells_itself_from_another_of_the_same_name(record: Record, tmp_path: Path, clock: HandClock) -> None:
    first, second = _begin(record, "r1"), _begin(record, "r2")
    other = Record(str(tmp_path / "elsewhere"), "archive", clock=clock)
    other.create()
    assert first.record == second.record != _begin(other, "r1").record
    Path(record.root, "identity").write_text("me")
    with pytest.raises(UnexpectedAnswer, match="does not hold eight hexadecimal digits"):
        _begin(record, "r3")


def test_another_users_journal_is_named_and_not_read(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    _begin(record, "r1")

    def denied(*_unused: object, **__: object) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(ActionFailed, match=r"journal\.jsonl cannot be read by this user\. Run as the user who owns"):
        record.chain("r1")


def test_a_damaged_journal_that_cannot_be_set_aside_stays(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    token = _begin(record, "r1")
    path = Path(record.journal_path("r1"))
    path.write_bytes(b"gone\n")

    def full(*_unused: object) -> t.NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    with pytest.raises(ActionFailed, match=r"cannot be set aside: No space left on device\. Make room"):
        record.set_aside("r1", journal.salvage(str(path)), token)
    assert path.read_bytes() == b"gone\n"
