# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release module on a real state directory: one release at a time, and a record that survives what happens to it."""

from __future__ import annotations

import datetime
import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import journal, release
from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.fencing import Token
from tests.conftest import ModuleRun
from tests.playbook import Played, run_playbook
from tests.release_process import as_nobody, release_in_child
from tests.small_disk import fill, small_disk

DIGEST = "d" * 64
SERVICES = {"deployed": {"version": "1.0.0", "digest": "1" * 64}, "services": [{"name": "backend", "state": "RUNNING"}]}
SUBJECT = {
    "artefacts": {"archive": "a" * 64},
    "migration_preview": "b" * 64,
    "checklist_sha256": "c" * 64,
    "system_file_sha256": "5" * 64,
    "hosts_sha256": "7" * 64,
}
Answer = dict[str, t.Any]


def _verdict(**changes: t.Any) -> dict[str, t.Any]:
    now = utc_text(datetime.datetime.now(datetime.timezone.utc))
    good = {
        "decision": "GO",
        "decided": now,
        "digest": DIGEST,
        "system": "archive",
        "version": "2.0.0",
        "subject": SUBJECT,
    }
    return {**good, "check_mode": False, "conditional": [], **changes}


class Host:
    """The state host: calls ``release`` for one system below one directory."""

    def __init__(self, run: ModuleRun, state_dir: Path) -> None:
        self.run = run
        self.state_dir = state_dir
        self.root = state_dir / "archive"

    def __call__(self, state: str, *, check: bool = False, **more: t.Any) -> Answer:
        return self.run("release", self.arguments(state, **more), check=check)

    def arguments(self, state: str, **more: t.Any) -> dict[str, t.Any]:
        return {"state": state, "system": "archive", "state_dir": str(self.state_dir), "operator": "grete", **more}

    def begin(self, **more: t.Any) -> Answer:
        return self("begun", **{"version": "2.0.0", "verdict": _verdict(), "subject": SUBJECT, "job": "4711", **more})

    def begin_arguments(self) -> dict[str, t.Any]:
        return self.arguments("begun", version="2.0.0", verdict=_verdict(), subject=SUBJECT)

    def journal(self, identity: str) -> Path:
        return self.root / "releases" / identity / "journal.jsonl"

    def plan(self, token: str, **more: t.Any) -> Answer:
        return self("planned", release=token, services=SERVICES, **more)


@pytest.fixture
def host(run_module_here: ModuleRun, tmp_path: Path) -> Host:
    return Host(run_module_here, tmp_path / "state")


def _files(path: Path) -> dict[str, bytes]:
    return {str(found.relative_to(path)): found.read_bytes() for found in path.rglob("*") if found.is_file()}


def test_a_release_begins_goes_through_its_steps_and_ends(host: Host) -> None:
    begun = host.begin()
    token = Token.parse(begun["token"])
    assert (begun["changed"], token.system, token.release, token.number) == (True, "archive", begun["id"], 1)
    planned = host.plan(
        begun["token"], downtime_budget=60, way_out=["abort <release>"], migration={"rollback_kind": "restore"}
    )
    assert "PLAN  archive 1.0.0 → 2.0.0" in planned["text"]
    assert f"abort {begun['id']}" in planned["text"]
    host("step", release=begun["token"], opens={"name": "stop"})
    both = host("step", release=begun["token"], closes={"name": "stop", "detail": "3 stopped"}, opens={"name": "fence"})
    assert both["msg"] == "stop done; fence begins"
    ended = host("ended", release=begun["token"], closes={"name": "current"}, outcome="live", detail="All is well.")
    assert [(step["name"], step["status"]) for step in ended["steps"]] == [("stop", "done"), ("fence", "done")]
    assert ended["head"][:16] in ended["msg"]
    read = host("read")
    assert (read["changed"], read["id"], read["ended"]["outcome"], read["lock"]) == (False, begun["id"], "live", None)
    assert read["head"] == ended["head"]
    assert read["settlement"]["action"] == "nothing"
    assert {"journal.jsonl", "plan.json", "rollback_plan.json", "ROLLBACK.md", "verdict.json"} <= {
        entry.name for entry in (host.root / "releases" / begun["id"]).iterdir()
    }


def test_the_record_is_its_owners_alone(host: Host) -> None:
    begun = host.begin()
    host.plan(begun["token"])
    for path in host.root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_release_is_refused_with_owner_id_and_way_out(host: Host) -> None:
    first = host.begin()
    before = _files(host.root)
    second = host.begin(operator="emmy")
    assert second["failed"] is True
    for part in (
        first["id"],
        "operator grete",
        "job 4711",
        "journal was last written",
        f"golive_takeover={first['id']}",
        "abort",
    ):
        assert part in second["msg"]
    named = host.begin(takeover=first["id"])
    assert "has not ended, so no other begins" in named["msg"]
    assert _files(host.root) == before
    assert host.begin(check=True)["failed"] is True
    host("ended", release=first["token"], outcome="aborted")
    assert Token.parse(host.begin()["token"]).number == 2


def test_a_release_left_on_keeps_the_lock(host: Host) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "stop"})
    host("ended", release=begun["token"], outcome="left_on", detail="Nobody decided.")
    assert host.begin()["failed"] is True
    read = host("read")
    assert "ended: left_on" in read["text"]
    assert "lock: release" in read["text"]
    assert read["settlement"]["action"] == "roll_back"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decision": "NO-GO"}, "The verdict is NO-GO: nothing is changed without a GO."),
        ({"decision": None}, "The verdict is missing"),
        ({"check_mode": True}, "made in check mode"),
        ({"conditional": [{"id": "canary"}]}, "made in check mode"),
        ({"digest": ""}, "has no digest"),
        ({"version": "1.9.9"}, "is for archive 1.9.9, not for archive 2.0.0"),
        ({"system": "shop"}, "is for shop 2.0.0"),
        ({"decided": "2026-01-01T00:00:00Z"}, "s old, and may be at most 3600 s"),
        ({"decided": "2126-01-01T00:00:00Z"}, "s from now by the clock of the host"),
        ({"decided": "yesterday"}, "does not say when it was made"),
        ({"phase": "watch"}, "of phase watch, and only one of pre_deploy lets a release begin"),
    ],
)
def test_without_a_fresh_go_for_this_version_nothing_begins(host: Host, changes: dict[str, t.Any], said: str) -> None:
    refused = host.begin(verdict=_verdict(**changes))
    assert (refused["failed"], refused["changed"], refused["error"]) == (True, False, "Refused")
    assert said in refused["msg"]
    assert not host.state_dir.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"artefacts": {"archive": "e" * 64}}, f"for archive sha256:{'a' * 64}, and sha256:{'e' * 64} would be deployed"),
        ({"artefacts": {}}, f"for archive sha256:{'a' * 64}, and no digest would be deployed"),
        ({"artefacts": {**SUBJECT["artefacts"], "worker": "9" * 64}}, f"for worker no digest, and sha256:{'9' * 64} would be"),
        ({"checklist_sha256": "e" * 64}, "The checklist is not the one that was judged (eeeeeeeeeeee…, judged was cccccccccccc…)"),
        ({"system_file_sha256": "e" * 64}, "The system file is not the one that was judged"),
        ({"hosts_sha256": "e" * 64}, "The hosts that the checklist names are not those that were judged"),
        ({"migration_preview": ""}, "its files, its target or the database's revision changed (none, judged was bbbbbbbbbbbb…)"),
    ],
)  # fmt: skip
def test_law_2_a_go_is_for_what_was_judged_and_nothing_else(host: Host, changes: dict[str, t.Any], said: str) -> None:
    for check in (True, False):
        refused = host.begin(subject={**SUBJECT, **changes}, check=check)
        assert (refused["failed"], refused["changed"], refused["error"]) == (True, False, "Refused")
        assert said in refused["msg"] and "Judge again" in refused["msg"]
    assert not host.state_dir.exists()


def test_a_verdict_that_does_not_say_what_it_is_for_begins_nothing(host: Host) -> None:
    assert "does not say for which artefacts" in host.begin(verdict=_verdict(subject=None))["msg"]
    assert "subject" in host("begun", version="2.0.0", verdict=_verdict())["msg"]


def test_how_a_digest_is_written_makes_no_difference(host: Host) -> None:
    assert "token" in host.begin(subject={**SUBJECT, "artefacts": {"archive": f"SHA256:{'A' * 64}"}})


def _live(host: Host, **more: t.Any) -> Answer:
    begun = host.begin(**more)
    host("ended", release=begun["token"], outcome="live")
    return begun


def test_the_version_that_serves_is_not_deployed_again_without_a_word(host: Host) -> None:
    first = _live(host)
    before = _files(host.root)
    for check in (True, False):
        refused = host.begin(check=check)
        assert refused["failed"] is True
        since = host("read")["ended"]["at"]
        assert f"Version 2.0.0 of archive is live since {since} (release {first['id']}) already" in refused["msg"]
        assert "golive_redeploy: true" in refused["msg"]
    assert _files(host.root) == before
    assert "token" in host.begin(redeploy=True)


def test_another_artefact_of_the_version_that_serves_is_refused_whatever_is_said(host: Host) -> None:
    _live(host)
    other = {**SUBJECT, "artefacts": {"archive": "e" * 64}}
    for redeploy in (False, True):
        refused = host.begin(verdict=_verdict(subject=other), subject=other, redeploy=redeploy)
        assert f"from another artefact than the one that would be deployed (sha256:{'e' * 64})" in refused["msg"]
        assert "a version of its own" in refused["msg"]


def test_what_was_live_once_may_come_back(host: Host) -> None:
    """Only what serves now counts: a later version, or a way back, frees the earlier one's name."""
    _live(host)
    newer = _live(host, version="2.1.0", verdict=_verdict(version="2.1.0"))
    again = host.begin()
    assert "token" in again
    host("ended", release=again["token"], outcome="rolled_back")
    refused = host.begin(version="2.1.0", verdict=_verdict(version="2.1.0"))
    assert newer["id"] in refused["msg"]
    taken = host("claimed", takeover=newer["id"])
    host("ended", release=taken["token"], outcome="rolled_back")
    assert "token" in host.begin(version="2.1.0", verdict=_verdict(version="2.1.0"))


def test_a_verdict_without_a_time_is_refused(host: Host) -> None:
    verdict = _verdict()
    del verdict["decided"]
    assert "does not say when" in host.begin(verdict=verdict)["msg"]


def test_check_mode_writes_nothing(host: Host) -> None:
    assert host.begin(check=True)["changed"] is True
    checked = _verdict(check_mode=True, conditional=["store-backups"])
    assert host.begin(check=True, verdict=checked)["changed"] is True
    assert "made in check mode" in host.begin(verdict=checked)["msg"]
    assert host("judged", check=True, verdict=_verdict())["changed"] is False
    sign_off = {"item": "reviewed", "team": "backend", "name": "Grete Hermann", "digest": DIGEST}
    assert host("signed", check=True, sign_off=sign_off)["changed"] is True
    assert not host.state_dir.exists()
    begun = host.begin()
    before = _files(host.root)
    token = begun["token"]
    host("planned", check=True, release=token, services=SERVICES)
    assert host("step", check=True, release=token, opens={"name": "stop"})["changed"] is True
    assert host("ended", check=True, release=token, outcome="live")["changed"] is True
    assert host("claimed", check=True, takeover=begun["id"])["changed"] is True
    assert _files(host.root) == before


def test_a_stale_token_writes_nothing(host: Host) -> None:
    old = host.begin()
    taken = host("claimed", takeover=old["id"], operator="emmy")
    assert taken["msg"] == f"Release {old['id']} was taken over by emmy."
    assert Token.parse(taken["token"]).number == 2
    before = _files(host.root)
    for state, more in (
        ("step", {"opens": {"name": "stop"}}),
        ("ended", {"outcome": "live"}),
        ("planned", {"services": SERVICES}),
    ):
        refused = host(state, release=old["token"], **more)
        assert refused["failed"] is True
        assert "no longer holds the lock of archive" in refused["msg"]
    assert _files(host.root) == before
    host("step", release=taken["token"], opens={"name": "stop"})


@pytest.mark.parametrize("token", ["", "x", "archive/r1/1/0123", "shop/r1/1/0123456789abcdef"])
def test_what_is_no_token_of_this_system_is_refused(host: Host, token: str) -> None:
    host.begin()
    assert host("step", release=token, opens={"name": "stop"})["failed"] is True


def test_a_dead_runs_release_is_taken_over_by_its_name_only(host: Host) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "migration"})
    assert "There is no release r1" in host("claimed", takeover="r1")["msg"]
    assert "not the id of a release" in host("claimed", takeover="../x")["msg"]
    taken = host("claimed", takeover=begun["id"])
    events = [json.loads(line)["event"] for line in host.journal(begun["id"]).read_text().splitlines()]
    assert events[-1] == "claimed"
    claimed = json.loads(host.journal(begun["id"]).read_text().splitlines()[-1])
    assert (claimed["operator"], claimed["from_token"]) == ("grete", 1)
    assert host("ended", release=taken["token"], outcome="aborted")["outcome"] == "aborted"


def test_only_the_open_release_can_be_taken_over(host: Host) -> None:
    first = host.begin()
    host("ended", release=first["token"], outcome="live")
    second = host.begin(redeploy=True)
    refused = host("claimed", takeover=first["id"])
    assert refused["failed"] is True
    assert f"It is not {first['id']} that is open: release {second['id']}" in refused["msg"]


def test_a_live_release_can_be_taken_back_until_a_later_one_built_on_it(host: Host) -> None:
    first = host.begin()
    host("ended", release=first["token"], outcome="live")
    again = host("claimed", takeover=first["id"])
    host("ended", release=again["token"], outcome="live")
    second = host.begin(redeploy=True)
    host("ended", release=second["token"], outcome="live")
    assert f"Release {second['id']} came after {first['id']}" in host("claimed", takeover=first["id"])["msg"]
    back = host("claimed", takeover=second["id"])
    host("ended", release=back["token"], outcome="rolled_back")
    assert "failed" not in host("claimed", takeover=first["id"])


@pytest.mark.parametrize("outcome", ["rolled_back", "aborted"])
def test_what_was_taken_back_is_not_taken_back_again(host: Host, outcome: str) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "migration"})
    host("ended", release=begun["token"], outcome=outcome)
    refused = host("claimed", takeover=begun["id"])
    assert f"ended: {outcome}. Nothing is left to take over." in refused["msg"]
    assert host("read")["lock"] is None


def test_a_changed_journal_is_reported_and_stops_a_step_forward_but_not_the_way_back(
    host: Host, run_module: ModuleRun
) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "stop"})
    host("step", release=begun["token"], closes={"name": "stop"}, opens={"name": "fence"})
    journal = host.journal(begun["id"])
    journal.write_bytes(
        journal.read_bytes().replace(b'"step":"stop"', b'"step":"nope"').replace(b'"step": "stop"', b'"step": "nope"')
    )
    for answer in (
        host("read"),
        host("step", release=begun["token"], opens={"name": "backup"}),
        host("ended", release=begun["token"], outcome="live"),
    ):
        assert answer["failed"] is True
        assert "the journal was changed or damaged" in answer["msg"]
    way_back = host.arguments(
        "step", release=begun["token"], closes={"name": "current"}, opens={"name": "back_start", "direction": "back"}
    )
    back = run_module("release", way_back)  # in a process of its own: a warning is then in its answer
    assert back.get("failed", False) is False
    assert "the way back goes on without it" in json.dumps(back)
    ended = host("ended", release=begun["token"], closes={"name": "current"}, outcome="rolled_back")
    assert ended.get("failed", False) is False
    assert host("read", takeover=begun["id"])["failed"] is True


def _damaged(host: Host, edit: t.Callable[[bytes], bytes]) -> tuple[Answer, bytes]:
    """A release that stood in its migration when its journal was damaged; the answer of begin, and the file as it is."""
    begun = host.begin()
    host.plan(begun["token"], migration={"rollback_kind": "restore"}, opens={"name": "stop"})
    host("step", release=begun["token"], closes={"name": "stop"}, opens={"name": "migration"})
    journal = host.journal(begun["id"])
    journal.write_bytes(edit(journal.read_bytes()))
    return begun, journal.read_bytes()


def _line_cut(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[:2], lines[2][: len(lines[2]) // 2] + b"\n", *lines[3:]])


DAMAGES: dict[str, tuple[t.Callable[[bytes], bytes], int]] = {
    "altered": (lambda content: content.replace(b'"stop"', b'"halt"', 1), 4),
    "cut": (_line_cut, 3),
    "a line lost": (lambda content: b"".join(content.splitlines(keepends=True)[1:]), 1),
    "emptied": (lambda _content: b"", 1),
    "zeros": (lambda content: b"\0" * len(content), 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_settled_by_a_persons_word_and_kept_as_evidence(host: Host, damage: str) -> None:
    edit, line = DAMAGES[damage]
    begun, evidence = _damaged(host, edit)
    path = host.journal(begun["id"])
    for state, more in (
        ("settled", {"release": begun["token"], "closes": {"name": "current", "status": "failed"}}),
        ("read", {}),
        ("claimed", {"takeover": begun["id"]}),
    ):
        refused = host(state, **more)
        assert refused["failed"] is True
        assert f"Line {line} of {path}" in refused["msg"], refused["msg"]
        assert f"golive_takeover={begun['id']} and golive_damaged_journal=set_aside" in refused["msg"]
    assert host.begin()["failed"] is True
    assert path.read_bytes() == evidence

    word = {"takeover": begun["id"], "damaged_journal": "set_aside"}
    assert host("claimed", check=True, **word)["changed"] is True
    assert path.read_bytes() == evidence
    taken = host("claimed", **word)
    assert taken["msg"].endswith("Its damaged journal is kept as journal.damaged-1.jsonl.")
    assert path.with_name("journal.damaged-1.jsonl").read_bytes() == evidence
    left = host("settled", release=taken["token"], closes={"name": "current", "status": "failed"})
    assert (left["settlement"]["action"], left["settlement"]["outcome"]) == ("leave_on", "left_on")
    assert (left["damage"]["line"], left["damage"]["sha256"]) == (line, hashlib.sha256(evidence).hexdigest())
    assert f"damaged at line {line}; the file as it was is kept as journal.damaged-1.jsonl" in left["text"]
    assert (left["begun"]["event"], left["begun"]["version"]) == ("begun", "2.0.0")
    host("ended", release=taken["token"], outcome="left_on", detail="Looked at by hand.")
    assert host.begin()["failed"] is True
    again = host("claimed", takeover=begun["id"])
    assert host("ended", release=again["token"], outcome="aborted")["outcome"] == "aborted"
    assert "token" in host.begin()


def test_the_role_hands_a_persons_word_on(host: Host, tmp_path: Path) -> None:
    begun, evidence = _damaged(host, DAMAGES["cut"][0])
    claim = {"name": "opsready.golive.release", "tasks_from": "claim"}
    told = {"release_system": "archive", "release_state_dir": str(host.state_dir), "release_takeover": begun["id"]}

    def claimed(**word: str) -> Played:
        task = {"name": "Claim", "ansible.builtin.include_role": claim, "vars": {**told, **word}}
        return run_playbook([{"hosts": "web1", "gather_facts": False, "tasks": [task]}], directory=tmp_path / "play")

    assert "Line 3 of" in claimed().of("Claim | Take over a release whose run is dead").msg
    assert claimed(release_damaged_journal="set_aside").rc == 0
    assert host.journal(begun["id"]).with_name("journal.damaged-1.jsonl").read_bytes() == evidence


def test_where_the_record_is_lost_a_person_gets_the_way_back_and_what_stands(host: Host, tmp_path: Path) -> None:
    begun = host.begin()["id"]
    kept = tmp_path / "ROLLBACK.md"
    kept.write_text("# Way back\n")
    variables = {
        "release_system": "archive", "release_state_dir": str(host.state_dir), "release_token": "{{ claimed.token }}",
        "release_state_host": "localhost", "report_destination": str(tmp_path / "report"),
        "settle_release_id": begun, "settle_failure": "Window | Stop: no answer.", "settle_way_back": str(kept),
        "__maintenance_switched": {"layers": [{"state": "enabled"}]}, "__backup_fence": {"msg": "it failed"},
    }  # fmt: skip
    tasks = [
        {"name": "Claim", "opsready.golive.release": host.arguments("claimed", takeover=begun), "register": "claimed"},
        {"name": "Lose", "ansible.builtin.file": {"path": str(host.state_dir), "state": "absent"}},
        {"name": "Settle", "ansible.builtin.include_role": {"name": "opsready.golive.settle"}, "vars": variables},
    ]
    played = run_playbook([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], directory=tmp_path / "play")
    assert played.rc == 2
    said = played.of("Without record | Say what stands", "localhost").msg
    assert f"Release {begun} cannot be settled: The record of archive is gone: there is no {host.root}." in said
    assert "It had stopped at Window | Stop: no answer." in said
    assert "maintenance is enabled and the database is unknown" in said
    assert f"in {tmp_path}/report/ROLLBACK.md on this machine" in said
    assert (tmp_path / "report" / "ROLLBACK.md").read_text() == "# Way back\n"


def test_the_world_as_it_was_ends_a_release_whose_journal_was_damaged(host: Host) -> None:
    begun, _evidence = _damaged(host, DAMAGES["altered"][0])
    taken = host("claimed", takeover=begun["id"], damaged_journal="set_aside")
    world = {"version": "1.0.0", "all_running": True, "maintenance": "disabled", "fence": "lifted", "revision": ""}
    settled = host("settled", release=taken["token"], world=world)
    assert (settled["settlement"]["outcome"], settled["lock"]) == ("rolled_back", None)


def test_a_whole_journal_is_not_set_aside_whatever_is_said(host: Host) -> None:
    begun = host.begin()
    taken = host("claimed", takeover=begun["id"], damaged_journal="set_aside")
    assert taken["msg"].endswith("by grete.")
    assert [path.name for path in host.journal(begun["id"]).parent.glob("journal*")] == ["journal.jsonl"]


def test_a_damaged_journal_of_a_release_that_had_ended_is_set_aside_and_ends_as_it_had(host: Host) -> None:
    begun = _live(host)
    path = host.journal(begun["id"])
    path.write_bytes(path.read_bytes().replace(b"begun", b"began"))
    assert host("read")["failed"] is True
    taken = host("claimed", takeover=begun["id"], damaged_journal="set_aside")
    settled = host("settled", release=taken["token"])
    assert (settled["settlement"]["outcome"], settled["lock"]) == ("live", None)
    assert "is live since" in host.begin()["msg"]


def test_a_release_with_an_empty_journal_is_no_release_and_in_nobodys_way(host: Host) -> None:
    """A kill between making the file and writing its first line: of it nothing was ever acknowledged."""
    first = _live(host)
    for content in (b"", b'{"event": "beg'):
        later = host.root / "releases" / "r99991231T235959"
        later.mkdir(exist_ok=True)
        (later / "journal.jsonl").write_bytes(content)
        refused = host("claimed", takeover=later.name)
        assert (refused["failed"], refused["error"]) == (True, "BadInput")
        assert f"There is no release {later.name} of archive on record" in refused["msg"]
        assert host("read")["id"] == first["id"]
        taken = host("claimed", takeover=first["id"])
        assert host("ended", release=taken["token"], outcome="live")["outcome"] == "live"


def _left_lock(host: Host, outcome: str) -> tuple[Answer, str]:
    """A run that wrote how the release ended, and died before it let the lock go."""
    begun = host.begin()
    lock = (host.root / "lock.json").read_text()
    host("ended", release=begun["token"], outcome=outcome)
    (host.root / "lock.json").write_text(lock)
    return begun, lock


@pytest.mark.parametrize("outcome", ["rolled_back", "aborted", "live"])
def test_a_lock_whose_release_has_ended_does_not_stand(host: Host, outcome: str) -> None:
    _begun, _lock = _left_lock(host, outcome)
    read = host("read")
    assert (read["lock"], read["lock_text"]) == (None, "")
    assert "lock:" not in read["text"]
    assert "token" in host.begin(redeploy=True)


def test_a_lock_whose_release_never_began_does_not_stand(host: Host) -> None:
    first = _live(host)
    begun = host.begin(redeploy=True)
    host.journal(begun["id"]).unlink()
    read = host("read")
    assert (read["id"], read["lock"], read["lock_text"]) == (first["id"], None, "")
    assert "lock:" not in read["text"]


def test_a_lock_taken_over_after_the_end_stands(host: Host) -> None:
    """The journal may be unwritable when a live release is taken back: the new token's lock is no left-over."""
    begun, _lock = _left_lock(host, "live")
    taken = release_in_child(host.arguments("claimed", takeover=begun["id"]))
    assert taken is not None
    path = host.journal(begun["id"])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert host("read")["lock"]["number"] == Token.parse(taken["token"]).number
    assert host.begin(redeploy=True)["failed"] is True


@pytest.mark.parametrize("budget", [None, 0])
def test_without_a_budget_the_plan_says_so_and_keeps_none(host: Host, budget: float | None) -> None:
    begun = host.begin()
    more = {} if budget is None else {"downtime_budget": budget}
    planned = host.plan(begun["token"], **more)
    assert ", no budget was given (defaults" in planned["text"]
    assert planned["plan"]["downtime_budget"] is None


def test_every_text_of_the_record_has_the_releases_real_id(host: Host) -> None:
    begun = host.begin()
    way_out = ["abort -e golive_takeover=<release>", "without Ansible: /state/<release>/ROLLBACK.md"]
    planned = host.plan(begun["token"], way_out=way_out)
    told = [f"abort -e golive_takeover={begun['id']}", f"without Ansible: /state/{begun['id']}/ROLLBACK.md"]
    assert planned["plan"]["way_out"] == told
    for name, content in _files(host.root / "releases" / begun["id"]).items():
        assert b"<release>" not in content, name


def test_rows_that_a_restore_left_behind_are_told_with_the_outcome(host: Host) -> None:
    begun = host.begin()
    tables = [{"table": "public.jobs", "at_stake": 3, "deleted": 0}]
    loss = {"lossless": False, "rows": 3, "deleted_rows": 0, "span_seconds": 30, "tables": tables}
    back = {"name": "back_database", "direction": "back"}
    host("step", release=begun["token"], opens=back)
    known = {"data_loss": loss, "kept_as": "archive_failed_r1"}
    host(
        "step", release=begun["token"], closes={"name": "current", "known": known}, opens={**back, "name": "back_files"}
    )
    ended = host(
        "ended", release=begun["token"], closes={"name": "current"}, outcome="rolled_back", detail="It is back."
    )
    assert ended["detail"].startswith(
        "It is back. Not in the database that came back: 3 rows in 1 tables (public.jobs 3), written in the last 0.5 minutes."
    )
    assert "kept in archive_failed_r1" in ended["detail"]
    assert host("read")["ended"]["detail"] == ended["detail"]


def test_a_torn_tail_is_said_and_healed(host: Host) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "stop"})
    with host.journal(begun["id"]).open("ab") as stream:
        stream.write(b'{"event": "step_en')
    read = host("read")
    assert read["torn"] is True
    assert "torn, as by a power cut" in read["text"]
    host("step", release=begun["token"], closes={"name": "stop"})
    assert host("read")["torn"] is False


def test_a_step_call_closes_and_opens_in_one(host: Host) -> None:
    begun = host.begin()
    assert "closed or opened, or both" in host("step", release=begun["token"])["msg"]
    nothing = host("step", release=begun["token"], closes={"name": "current", "status": "failed"})
    assert nothing["changed"] is False
    host("step", release=begun["token"], opens={"name": "stop"})
    closed = host("step", release=begun["token"], closes={"name": "current", "status": "failed", "detail": "it broke"})
    assert closed["msg"] == "stop failed"


def test_the_written_way_back_names_the_backup_once_there_is_one(host: Host) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "backup"})
    known = {"backup": {"archive": "s3://backups/archive.dump"}}
    host(
        "step", release=begun["token"], closes={"name": "backup", "known": known}
    )  # no plan yet: nothing to name it in
    dsn = "postgresql://app@127.0.0.1:5432/archive"
    host.plan(begun["token"], migration={"rollback_kind": "restore"}, way_back={"dsn": dsn, "backup": {"archive": ""}})
    host("step", release=begun["token"], opens={"name": "backup"})
    host("step", release=begun["token"], closes={"name": "backup", "known": known})
    assert host("read")["rollback"]["where"]["backup"]["archive"] == "s3://backups/archive.dump"


def test_the_step_that_made_the_backup_returns_the_way_back_as_it_is_now(host: Host) -> None:
    begun = host.begin()
    dsn = "postgresql://app@127.0.0.1:5432/archive"
    first = host.plan(begun["token"], migration={"rollback_kind": "restore"}, way_back={"dsn": dsn, "backup": {}})
    host("step", release=begun["token"], opens={"name": "backup"})
    known = {"backup": {"archive": "s3://backups/archive.dump"}}
    closed = host(
        "step", release=begun["token"], closes={"name": "backup", "known": known}, opens={"name": "migration"}
    )
    assert "archive.dump" not in first["rollback_md"]
    assert "backups/archive.dump" in closed["rollback_md"]
    written = host.root / "releases" / begun["id"] / "ROLLBACK.md"
    assert written.read_text(encoding="utf-8") == closed["rollback_md"]
    assert "rollback_md" not in host("step", release=begun["token"], closes={"name": "migration"})


def test_the_written_way_back_raises_a_flag_that_abort_may_take_off(host: Host) -> None:
    begun = host.begin()
    written = host.plan(begun["token"], way_back={"flags": ["/srv/maintenance.flag"]})["rollback_md"]
    (line,) = [line for line in written.splitlines() if line.endswith("> /srv/maintenance.flag")]
    assert json.loads(line.partition("echo '")[2].partition("' >")[0])["release"] == begun["id"]


def _recording(path: Path, since: str, *answers: tuple[int, str | None]) -> None:
    """What a probe wrote that began then and has ended: one answer each 0.1 s, as status and Retry-After."""
    began = parse_utc(since).timestamp()
    lines: list[dict[str, t.Any]] = [{"began": {"t": began, "m": 0.0, "interval": 0.1}}]
    for number, (status, retry_after) in enumerate(answers):
        lines.append({"n": number, "t": began, "m": number * 0.1, "ms": 1.0, "skew": 0.0, "status": status,
                      "retry_after": retry_after, "version": None, "error": ""})  # fmt: skip
    lines.append({"ended": {"t": began, "m": len(answers) * 0.1, "reason": "stop file"}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(503, "60"), (503, "60"), (503, "60")], ""),
        ([(503, "60"), (200, None), (503, "60")], "1 of 3 requests during maintenance were not answered by 503 with Retry-After"),
        ([(503, None)], "503 without Retry-After"),
        ([], "samples"),
    ],
)  # fmt: skip
def test_law_5_users_come_back_only_when_the_probe_saw_maintenance_hold(
    host: Host, tmp_path: Path, answers: list[tuple[int, str | None]], said: str
) -> None:
    begun = host.begin()
    host.plan(begun["token"], opens={"name": "maintenance_on"})
    proven = host("step", release=begun["token"], closes={"name": "maintenance_on"}, opens={"name": "smoke_inside"})
    _recording(tmp_path / "probe.jsonl", proven["maintenance_windows"][0]["since"], *answers)
    traffic = {"closes": {"name": "smoke_inside"}, "opens": {"name": "traffic"}, "probe": str(tmp_path / "probe.jsonl")}
    answer = host("step", release=begun["token"], **traffic)
    steps = {step["name"]: step["status"] for step in host("read")["steps"]}
    if said:
        assert (answer["failed"], steps) == (True, {"maintenance_on": "done", "smoke_inside": "open"})
        assert said in answer["msg"]
    else:
        assert ("failed" in answer, steps["traffic"]) == (False, "open")


def test_a_probe_that_left_no_recording_lets_nobody_in(host: Host, tmp_path: Path) -> None:
    begun = host.begin()
    answer = host("step", release=begun["token"], opens={"name": "traffic"}, probe=str(tmp_path / "gone.jsonl"))
    assert "There is no recording" in answer["msg"]
    assert host("read")["steps"] == []


def test_reading_an_empty_state_directory_says_so(host: Host) -> None:
    read = host("read")
    assert (read["id"], read["steps"], read["changed"]) == (None, [], False)
    assert read["msg"] == "No release of archive is on record."
    assert "is not on record" in host("read", takeover="r1")["msg"]
    assert not host.state_dir.exists()


def test_settling_closes_what_is_open_and_ends_what_is_done(host: Host) -> None:
    begun = host.begin()
    assert host("settled", check=True, release=begun["token"])["changed"] is False
    nothing = host("settled", release=begun["token"])
    assert (nothing["changed"], nothing["settlement"]["outcome"], nothing["lock"]) == (True, "aborted", None)
    begun = host.begin()
    host.plan(begun["token"], migration={"rollback_kind": "restore"})
    host("step", release=begun["token"], opens={"name": "migration"})
    failed = {"name": "current", "status": "failed", "detail": "it broke"}
    settled = host("settled", release=begun["token"], closes=failed)
    assert (settled["changed"], settled["settlement"]["action"]) == (True, "roll_back")
    assert [(step["name"], step["status"]) for step in settled["steps"]] == [("migration", "failed")]
    again = host("settled", release=begun["token"])
    assert (again["changed"], again["settlement"]["action"], again["lock"]["release"]) == (
        False,
        "roll_back",
        begun["id"],
    )


def test_settling_goes_on_where_the_journal_cannot_be_written(host: Host) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "stop"})
    arguments = host.arguments("settled", release=begun["token"], closes={"name": "current", "status": "failed"})
    settled = release_in_child(arguments, prepare=_no_file_larger_than(0))
    assert settled is not None
    assert settled["settlement"]["action"] == "roll_back"


def test_status_tells_each_step_and_the_choices(host: Host) -> None:
    begun = host.begin()
    host.plan(begun["token"], migration={"rollback_kind": "forward_only"})
    host("step", release=begun["token"], opens={"name": "migration"})
    read = host("read", release=begun["token"])
    lines = read["text"].splitlines()
    assert lines[0] == f"STATUS  archive 1.0.0 → 2.0.0   release {begun['id']}   has not ended"
    assert any(line.startswith("  open") and "migration" in line for line in lines)
    assert any(line.startswith("    choice: mend forward") for line in lines)
    assert lines[-1] == f"  journal head {read['head']}"
    assert "nonce" not in json.dumps(read)
    host(
        "step",
        release=begun["token"],
        closes={"name": "current", "status": "failed"},
        opens={"name": "back_stop", "direction": "back"},
    )
    back = [line for line in host("read", release=begun["token"])["text"].splitlines() if "back: " in line]
    assert [line.count("back: ") for line in back] == [1]


def test_sign_offs_are_kept_and_signing_twice_changes_nothing(host: Host) -> None:
    sign_off = {"item": "reviewed", "team": "backend", "name": "Grete Hermann", "digest": DIGEST}
    first, second = host("signed", sign_off=sign_off), host("signed", sign_off=sign_off)
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["sign_off"] == second["sign_off"]
    assert host("signed", sign_off={**sign_off, "digest": "e" * 64})["changed"] is True
    assert [entry["digest"] for entry in host("read")["sign_offs"]] == [DIGEST, "e" * 64]


def _awaiting(**changes: t.Any) -> dict[str, t.Any]:
    """A verdict that waits for one signature, which holds for a week."""
    wanted = {"item": "reviewed", "team": "backend", "digest": DIGEST, "valid_seconds": 604800.0, **changes}
    return _verdict(decision="NO-GO", sign_offs=[wanted])


SIGNED = {"item": "reviewed", "team": "backend", "name": "Grete Hermann"}


def _signed_before(host: Host, **span: float) -> dict[str, t.Any]:
    """Put an attestation into the record that was given this long ago."""
    signed = utc_text(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**span))
    old = {**SIGNED, "digest": DIGEST, "signed": signed}
    record = Record(str(host.state_dir), "archive")
    record.create()
    record.sign(old)
    return old


def test_signing_again_while_it_holds_says_until_when(host: Host) -> None:
    host("judged", verdict=_awaiting())
    old = _signed_before(host, days=6)
    again = host("signed", sign_off=SIGNED)
    until = utc_text(parse_utc(old["signed"]) + datetime.timedelta(days=7))
    assert (again["changed"], again["sign_off"]) == (False, old)
    assert again["msg"] == f"Grete Hermann has signed reviewed already, until {until}."
    assert len(host("read")["sign_offs"]) == 1


def test_signing_again_after_it_ended_renews_it_and_keeps_the_old_one(host: Host) -> None:
    host("judged", verdict=_awaiting())
    old = _signed_before(host, days=8)
    renewed = host("signed", sign_off=SIGNED)
    assert (renewed["changed"], renewed["sign_off"]["renews"]) == (True, old["signed"])
    assert parse_utc(renewed["sign_off"]["signed"]) > parse_utc(old["signed"]) + datetime.timedelta(days=7)
    assert host("signed", sign_off=SIGNED)["changed"] is False
    assert host("read")["sign_offs"] == [old, renewed["sign_off"]]


def test_without_a_verdict_the_caller_says_how_long_a_signature_holds(host: Host) -> None:
    _signed_before(host, hours=2)
    bound = {**SIGNED, "digest": DIGEST}
    assert host("signed", sign_off=bound)["msg"] == "Grete Hermann has signed reviewed already, without an end."
    assert host("signed", sign_off={**bound, "valid_seconds": 7300})["changed"] is False
    assert host("signed", sign_off={**bound, "valid_seconds": 7100})["changed"] is True


def test_another_person_or_a_changed_release_is_another_signature(host: Host) -> None:
    host("judged", verdict=_awaiting())
    host("signed", sign_off=SIGNED)
    assert host("signed", sign_off={**SIGNED, "name": "Emmy Noether"})["changed"] is True
    host("judged", verdict=_awaiting(digest="e" * 64))
    assert host("signed", sign_off=SIGNED)["changed"] is True
    assert [entry["digest"][0] for entry in host("read")["sign_offs"]] == ["d", "d", "e"]


@pytest.mark.parametrize(
    ("verdict", "sign_off", "said"),
    [
        (None, {}, "Nothing of archive was judged yet, so there is nothing to sign. Run pre_deploy first"),
        (_awaiting(), {"item": "review"}, "The last verdict waits for no signature of review. It waits for: reviewed (backend)"),
        (_verdict(), {}, "The last verdict waits for no signature of reviewed. It waits for: nothing"),
        (_awaiting(), {"team": "ops"}, "reviewed is for team backend to sign, not for team ops"),
        (_awaiting(), {"digest": "e" * 64}, "eeeeeeeeeeee is not what was judged last; that is dddddddddddd"),
        (_awaiting(digest=""), {}, "What is to be signed for reviewed cannot be determined"),
        (_awaiting(), {"name": "  "}, "The sign-off names nobody"),
    ],
)  # fmt: skip
def test_what_would_count_for_nothing_is_not_signed(
    host: Host, verdict: dict[str, t.Any] | None, sign_off: dict[str, t.Any], said: str
) -> None:
    if verdict is not None:
        host("judged", verdict=verdict)
    answer = host("signed", sign_off={**SIGNED, **sign_off})
    assert answer["failed"] is True
    assert said in answer["msg"]
    assert not (host.root / "sign_offs.jsonl").exists()


def test_a_verdict_is_kept_for_a_later_release(host: Host) -> None:
    assert "Kept: GO for dddddddddddd" in host("judged", verdict=_verdict())["msg"]
    assert host("read")["verdict"]["decision"] == "GO"


def test_a_user_without_rights_is_told_and_nothing_begins(host: Host) -> None:
    host("read")  # loads in this process what the child may not read
    place = Path(tempfile.mkdtemp(prefix="golive-test-"))
    try:
        place.chmod(0o755)
        foreign = Host(host.run, place)
        if os.geteuid() != 0:
            place.chmod(0o500)
            answer = release_in_child(foreign.begin_arguments())
        else:
            answer = release_in_child(foreign.begin_arguments(), prepare=as_nobody)
        assert answer is not None
        assert (answer["failed"], answer["error"]) == (True, "ActionFailed")
        assert f"{place}/archive cannot be made: Permission denied. Give this user the right" in answer["msg"]
        assert list(place.iterdir()) == []
    finally:
        place.chmod(0o700)
        shutil.rmtree(place)


def test_another_users_state_directory_is_not_used(host: Host) -> None:
    if os.geteuid() != 0:
        pytest.skip("root: only root can make another user's directory")
    place = Path(tempfile.mkdtemp(prefix="golive-test-"))
    try:
        place.chmod(0o755)
        foreign = Host(host.run, place)
        assert "failed" not in foreign("judged", verdict=_verdict())
        (place / "archive").chmod(0o755)
        before = _files(place)
        answer = release_in_child(foreign.begin_arguments(), prepare=as_nobody)
        assert answer is not None
        assert answer["failed"] is True
        assert "cannot be used: Permission denied" in answer["msg"]
        assert _files(place) == before
    finally:
        shutil.rmtree(place)


def _no_file_larger_than(octets: int) -> t.Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (octets, octets))

    return limit


@pytest.mark.parametrize("octets", [0, 1, 20, 100, 250])
def test_where_no_more_can_be_written_nothing_begins_and_no_lock_is_left(host: Host, octets: int) -> None:
    host("judged", verdict=_verdict())
    Record(str(host.state_dir), "archive").reserve_room()
    before = host("read")
    answer = release_in_child(host.begin_arguments(), prepare=_no_file_larger_than(octets))
    assert answer is not None
    assert answer["failed"] is True
    assert "cannot be written: File too large" in answer["msg"]
    after = host("read")
    assert (after["id"], after["lock"], after["releases"]) == (None, None, [])
    assert list((host.root / "releases").iterdir()) == []
    assert before["verdict"]["decision"] == "GO"
    assert "token" in host.begin()


def test_a_full_disk_stops_a_release_before_it_begins_and_never_the_way_back(host: Host, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        small = Host(host.run, tmp_path / "disk" / "state")
        ballast = tmp_path / "disk" / "ballast"
        fill(ballast)
        full = small.begin()
        assert full["failed"] is True
        assert "No space left on device" in full["msg"]
        ballast.unlink()
        begun = small.begin()
        small("step", release=begun["token"], opens={"name": "stop"})
        head = small("read")["head"]
        fill(ballast)
        forward = small(
            "step", release=begun["token"], closes={"name": "stop", "detail": "x" * 9000}, opens={"name": "fence"}
        )
        assert forward["failed"] is True
        assert "Nothing more is changed" in forward["msg"]
        assert small("read")["head"] == head
        way_back = {
            "release": begun["token"],
            "opens": {"name": "back_stop", "direction": "back"},
            "closes": {"name": "stop", "status": "failed", "detail": "x" * 9000},
        }
        kept = small("step", **way_back)  # in the room that the release had reserved
        assert kept["head"] == small("read")["head"] != head
        fill(ballast.with_name("more"))
        back = small("step", **way_back)
        assert (back.get("failed", False), back["head"]) == (False, "")
        assert "the way back goes on without it" in json.dumps(back)
        ended = small("ended", release=begun["token"], outcome="rolled_back", detail="x" * 9000)
        assert ended.get("failed", False) is False
        assert small("read")["lock"] is None


def test_a_full_disk_does_not_keep_a_dead_runs_release_from_being_ended(host: Host, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        small = Host(host.run, tmp_path / "disk" / "state")
        begun = small.begin()
        small("step", release=begun["token"], opens={"name": "stop"})
        fill(tmp_path / "disk" / "ballast")
        taken = small("claimed", takeover=begun["id"])
        ended = small("ended", release=taken["token"], closes={"name": "current"}, outcome="aborted")
        assert ended["entries"] == 5  # begun, stop begins, claimed, stop done, ended
        assert small("read")["lock"] is None
        (tmp_path / "disk" / "ballast").unlink()
        assert "token" in small.begin()
        assert (small.root / "reserve").stat().st_size == 1 << 20


@pytest.mark.parametrize("content", [None, "", "[]", "null", "{}", '{"release": 1, "number": "2", "nonce": ""}'])
def test_without_its_lock_a_release_that_has_not_ended_is_still_in_the_way(host: Host, content: str | None) -> None:
    begun = host.begin()
    host("step", release=begun["token"], opens={"name": "stop"})
    lock = host.root / "lock.json"
    lock.unlink()
    if content is not None:
        lock.write_text(content)
    for check in (True, False):
        refused = host("begun", check=check, version="2.0.0", verdict=_verdict(), subject=SUBJECT)
        assert refused["failed"] is True
        assert "has not ended" in refused["msg"] if content is None else str(lock) in refused["msg"], refused["msg"]
    read = host("read")
    assert (read["id"], read["lock"], "has not ended" in read["msg"]) == (begun["id"], None, True)
    assert list(read["unreadable"]) == ([] if content is None else ["lock"])
    taken = host("claimed", takeover=begun["id"])
    host("ended", release=taken["token"], outcome="aborted")
    assert "token" in host.begin()


@pytest.mark.parametrize("name", ["plan.json", "verdict.json"])
def test_what_only_words_depend_on_may_be_damaged(host: Host, name: str) -> None:
    begun = host.begin()
    host.plan(begun["token"])
    host("step", release=begun["token"], opens={"name": "images"})
    (host.journal(begun["id"]).parent / name).write_text("{torn\n")
    read = host("read")
    assert f"{name} is damaged. Keep it" in read["text"]
    settled = host("settled", release=begun["token"], closes={"name": "current", "status": "failed"})
    assert (settled["settlement"]["action"], settled["ended"]["outcome"]) == ("finish", "aborted"), settled


def test_without_its_way_back_a_release_that_runs_is_left_on(host: Host) -> None:
    begun = host.begin()
    host.plan(begun["token"])
    host("step", release=begun["token"], opens={"name": "start"})
    (host.journal(begun["id"]).parent / "rollback_plan.json").unlink()
    read = host("read", world={"wanted": "roll_back"})
    assert read["settlement"]["action"] == "leave_on", read
    assert "how the system goes back is not on record" in read["text"]


def test_an_end_that_the_journal_does_not_take_is_warned_of(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = host.begin()

    def full(*_unused: t.Any, **_too: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, "append", full)
    ended = host("ended", release=begun["token"], outcome="rolled_back")
    assert [warning for warning in ended["warnings"] if "how it ended stands in the report alone" in str(warning)]


@pytest.mark.parametrize(("ahead", "said"), [(200, ""), (400, "The verdict was made 400 s from now by the clock of")])
def test_a_controller_whose_clock_is_ahead_is_told_of_the_clock(host: Host, ahead: int, said: str) -> None:
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead + 0.5)
    answer = host.begin(verdict=_verdict(decided=utc_text(later)))
    assert answer.get("failed", False) is bool(said)
    assert said in answer["msg"]


def test_a_release_that_was_left_on_stays_in_the_way_without_its_lock(host: Host) -> None:
    begun = host.begin()
    host("ended", release=begun["token"], outcome="left_on")
    (host.root / "lock.json").unlink()
    assert f"golive_takeover={begun['id']}" in host.begin()["msg"]


@pytest.mark.parametrize("name", ["verdict.json", "judged.json", "sign_offs.jsonl"])
def test_what_is_damaged_beside_the_releases_is_named_and_blocks_no_way_back(host: Host, name: str) -> None:
    begun = host.begin()
    (host.root / name).write_text("{torn\n")
    read = host("read")
    assert read["id"] == begun["id"]
    (said,) = read["unreadable"].values()
    assert str(host.root / name) in said
    taken = host("claimed", takeover=begun["id"])
    assert host("settled", release=taken["token"])["settlement"]["action"] == "finish"


def test_a_way_back_that_cannot_be_read_keeps_no_step_from_being_journalled(host: Host) -> None:
    begun = host.begin()
    host.plan(begun["token"], way_back={"parts": ["database"]}, opens={"name": "stop"})
    (host.journal(begun["id"]).parent / "rollback_plan.json").write_text("{torn")
    back = host("step", release=begun["token"], opens={"name": "back_stop", "direction": "back"})
    assert back["msg"] == "back_stop begins"
    title = json.loads(host.journal(begun["id"]).read_bytes().splitlines()[-1])["title"]
    assert title == "back: the new version stopped, waiting jobs put aside"


def test_tokens_order_the_releases_whatever_the_clock_said(host: Host) -> None:
    ahead = _live(host)
    later = host.root / "releases" / "r99991231T235959-0000"
    host.journal(ahead["id"]).parent.rename(later)
    second = host.begin(redeploy=True)
    host("ended", release=second["token"], outcome="live")
    assert host("read")["id"] == second["id"]
    assert f"Take {second['id']} back first" in host("claimed", takeover=later.name)["msg"]
    assert "token" in host("claimed", takeover=second["id"])


def test_a_journal_made_of_a_damaged_one_keeps_its_place_among_the_releases(host: Host) -> None:
    first, _evidence = _damaged(host, DAMAGES["altered"][0])
    taken = host("claimed", takeover=first["id"], damaged_journal="set_aside")
    host("ended", release=taken["token"], outcome="aborted")
    second = _live(host)
    again = host.journal(first["id"])
    again.write_bytes(again.read_bytes().replace(b"aborted", b"abandon"))
    assert host("read")["releases"] == [first["id"], second["id"]]


def test_a_release_that_is_open_says_that_maintenance_is_on_and_what_leads_on(host: Host) -> None:
    begun = host.begin()
    host.plan(begun["token"], way_out=["abort <release>"], opens={"name": "maintenance_on"})
    assert "maintenance is on" not in host("read")["text"]
    host("step", release=begun["token"], closes={"name": "maintenance_on"}, opens={"name": "stop"})
    text = host("read")["text"]
    assert "  maintenance is on since 20" in text
    assert f"  way out: abort {begun['id']}" in text
    host("step", release=begun["token"], closes={"name": "stop"}, opens={"name": "traffic"})
    assert "maintenance is on" not in host("read")["text"]
    host("ended", release=begun["token"], closes={"name": "traffic"}, outcome="live")
    assert "way out" not in host("read")["text"]


class _DieAt:
    """Kills this process, as ``kill -9`` does, at the n-th of the points where something reaches the disk."""

    def __init__(self, point: int) -> None:
        self.point = point

    def __call__(self) -> None:
        for name in ("fsync", "replace", "mkdir", "open", "unlink"):
            real = getattr(os, name)

            def counted(*arguments: t.Any, _real: t.Any = real, **named: t.Any) -> t.Any:
                self.point -= 1
                if self.point < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return _real(*arguments, **named)

            setattr(os, name, counted)


def _forget(host: Host) -> None:
    """As before the first release."""
    if host.state_dir.exists():
        shutil.rmtree(host.state_dir)


def test_a_kill_at_any_moment_of_the_beginning_leaves_a_readable_state(host: Host) -> None:
    host("read")
    survived = 0
    for point in range(200):
        _forget(host)
        answer = release_in_child(host.begin_arguments(), prepare=_DieAt(point))
        if answer is not None:
            assert "token" in answer
            survived = point
            break
        read = host("read")
        assert read.get("failed", False) is False, (point, read)
        again = host.begin()
        if read["id"] is None:  # nothing was written that counts: the next release simply begins
            assert "token" in again, (point, again)
        else:
            assert f"golive_takeover={read['id']}" in again["msg"], (point, again)
            taken = host("claimed", takeover=read["id"])
            assert host("ended", release=taken["token"], outcome="aborted").get("failed", False) is False, point
            assert "token" in host.begin(), point
    assert survived > 5


def test_a_kill_at_any_moment_of_a_step_or_the_end_leaves_a_readable_state(host: Host) -> None:
    host("read")
    for state, more in (("step", {"opens": {"name": "stop"}}), ("ended", {"outcome": "aborted"})):
        for point in range(200):
            _forget(host)
            begun = host.begin()
            answer = release_in_child(host.arguments(state, release=begun["token"], **more), prepare=_DieAt(point))
            read = host("read", takeover=begun["id"])
            assert read.get("failed", False) is False, (state, point, read)
            if answer is not None:
                assert point > 1
                break
            if read["lock"] is not None and not read["ended"]:
                taken = host("claimed", takeover=begun["id"])
                assert "token" in taken, (state, point, taken)


def test_a_release_is_its_users_even_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> t.NoReturn:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert release._owner({"operator": None, "job": None})["operator"] == f"uid {os.getuid()}"


def _ledger(host: Host) -> list[dict[str, t.Any]]:
    path = host.root / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _ends(host: Host) -> list[tuple[str, str]]:
    return [(row["release"], row["outcome"]) for row in _ledger(host)]


def test_each_end_of_a_release_is_a_row_of_the_ledger(host: Host) -> None:
    verdict = _verdict(
        decision="GO WITH WARNINGS",
        sign_offs=[
            {"item": "migration-reviewed", "team": "backend", "name": "Emmy Noether", "state": "pass"},
            {"item": "legal", "team": "legal", "name": "", "state": "unknown"},
        ],
        waivers=[
            {"item": "disk", "owner": "ops", "approver": "Lise Meitner", "reason": "a new disk comes", "state": "used"},
            {"item": "gpu", "owner": "ops", "approver": "Marie Curie", "reason": "none", "state": "expired"},
        ],
        forced=[{"item": "tls", "approver": "Ida Noddack", "reason": "renewed at noon"}],
        loosened=[{"id": "room", "field": "min_free", "was": "2GB", "now": "1GB", "approver": "Hedwig Kohn"}],
    )
    begun = host.begin(verdict=verdict)
    host.plan(begun["token"], migration={"rollback_kind": "restore"})
    assert _ledger(host) == []
    host("ended", release=begun["token"], outcome="left_on", detail="Nobody decided | yet.")
    taken = host("claimed", takeover=begun["id"], operator="emmy")
    host("ended", release=taken["token"], outcome="rolled_back", detail="It is as it was.")

    left_on, back = _ledger(host)
    journal_lines = host.journal(begun["id"]).read_bytes().splitlines(keepends=True)
    lines = [json.loads(line) for line in journal_lines]
    assert [row["outcome"] for row in (left_on, back)] == ["left_on", "rolled_back"]
    for row, ended in ((left_on, lines[2]), (back, lines[4])):
        assert (row["release"], row["version"], row["previous_version"]) == (begun["id"], "2.0.0", "1.0.0")
        assert (row["artefacts"], row["digest"]) == (SUBJECT["artefacts"], DIGEST)
        assert (row["began"], row["ended"]) == (lines[0]["at"], ended["at"])
        assert (row["operator"], row["job"], row["verdict"]) == ("grete", "4711", "GO WITH WARNINGS")
        assert row["approvers"] == [
            {"name": "Emmy Noether", "for": "sign-off migration-reviewed (backend)"},
            {"name": "Lise Meitner", "for": "waiver disk"},
            {"name": "Ida Noddack", "for": "forced tls"},
            {"name": "Hedwig Kohn", "for": "loosened room"},
        ]
    assert [row["ended_by"] for row in (left_on, back)] == ["grete", "emmy"]
    assert left_on["bundle"]["files"]["journal.jsonl"] == hashlib.sha256(b"".join(journal_lines[:3])).hexdigest()

    told = host("read", tells="ledger")
    assert [row["outcome"] for row in told["ledger"]] == ["left_on", "rolled_back"]
    table = [line for line in told["text"].splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert "Lise Meitner (waiver disk)" in table[2] and "| grete, emmy |" in table[3]
    assert "ledger" not in host("read") and "|---" not in host("read")["text"]


def test_the_bundles_digest_is_what_sha256sum_says_of_the_record(host: Host) -> None:
    begun = host.begin()
    host.plan(begun["token"])
    host("ended", release=begun["token"], outcome="live")
    (row,) = _ledger(host)
    folder = host.root / "releases" / begun["id"]
    names = ["ROLLBACK.md", "journal.jsonl", "plan.json", "rollback_plan.json", "verdict.json"]
    said = subprocess.run(["sha256sum", *names], cwd=folder, check=True, capture_output=True).stdout
    assert row["bundle"]["sha256"] == hashlib.sha256(said).hexdigest()
    (folder / "plan.json").write_text("{}")
    told = host("read", tells="ledger")
    assert f"The record of {begun['id']} is not as it was when it ended live: plan.json changed since." in told["text"]
    shutil.rmtree(folder)
    host("ended", release=host.begin()["token"], outcome="aborted")
    assert [outcome for _release, outcome in _ends(host)] == ["live", "aborted"], "it outlives the records"


def test_a_ledger_that_was_changed_is_noticed_and_written_anew_once_it_is_aside(host: Host) -> None:
    first = host.begin()
    host("ended", release=first["token"], outcome="rolled_back")
    second = host.begin()
    host("ended", release=second["token"], outcome="live")
    whole = (host.root / "ledger.jsonl").read_bytes()
    for number, edit in (
        (2, lambda content: content.replace(b"rolled_back", b"live", 1)),
        (1, lambda content: b"".join(content.splitlines(keepends=True)[1:])),
        (1, lambda content: b'{"n": 1, "prev": "' + b"0" * 64 + b'"}\n'),
    ):
        (host.root / "ledger.jsonl").write_bytes(edit(whole))
        told = host("read", tells="ledger")
        assert f"Line {number} of {host.root / 'ledger.jsonl'}" in told["text"], told["text"]
        assert f"mv {host.root / 'ledger.jsonl'}" in told["text"]
        assert [row["outcome"] for row in told["ledger"]] == ["rolled_back", "live"], "the records tell it all the same"
        assert told["unreadable"] == {}, "nothing is decided by it"
    damaged = (host.root / "ledger.jsonl").read_bytes()
    third = host.begin(version="2.1.0", verdict=_verdict(version="2.1.0"))
    ended = host("ended", release=third["token"], outcome="aborted")
    assert ended.get("failed", False) is False and "The ledger has no row of this end" in json.dumps(ended)
    assert (host.root / "ledger.jsonl").read_bytes() == damaged
    (host.root / "ledger.jsonl").rename(host.root / "ledger.jsonl.damaged")
    fourth = host.begin(version="2.1.0", verdict=_verdict(version="2.1.0"))
    host("ended", release=fourth["token"], outcome="aborted")
    assert _ends(host) == [(first["id"], "rolled_back"), (second["id"], "live"), (third["id"], "aborted"),
                           (fourth["id"], "aborted")]  # fmt: skip


def test_a_kill_at_any_moment_of_the_end_loses_and_doubles_no_row(host: Host) -> None:
    for state, more in (("ended", {"outcome": "aborted"}), ("settled", {"world": {}})):
        for point in range(300):
            _forget(host)
            begun = host.begin()
            answer = release_in_child(host.arguments(state, release=begun["token"], **more), prepare=_DieAt(point))
            told = host("read", takeover=begun["id"], tells="ledger")
            ends = [told["ended"]["at"]] if told["ended"] else []
            assert [row["ended"] for row in told["ledger"]] == ends, (state, point, told)
            is_written = _ends(host) == [(begun["id"], "aborted")] * len(ends)
            assert is_written or f"lacks {len(ends)} of these rows" in told["text"], (state, point, told["text"])
            if answer is not None:
                assert ends and is_written and point > 5
                break
            if not told["ended"]:
                taken = host("claimed", takeover=begun["id"])
                host("ended", release=taken["token"], outcome="aborted")
            second = host.begin()
            host("ended", release=second["token"], outcome="live")
            assert _ends(host) == [(begun["id"], "aborted"), (second["id"], "live")], (state, point)
        else:
            raise AssertionError(f"{state} did not come to its end within 300 steps")


def test_ends_of_several_processes_at_once_lose_and_double_no_row(host: Host) -> None:
    """One release's end is written by whoever comes first; the others find it there."""
    for _number in range(3):
        host("ended", release=host.begin()["token"], outcome="rolled_back")
    (host.root / "ledger.jsonl").unlink()
    script = (
        "import sys\n"
        "from ansible_collections.opsready.golive.plugins.module_utils._actions import release_ledger\n"
        "from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record\n"
        "record = Record(sys.argv[1], 'archive')\n"
        "sys.stdin.readline()\n"
        "with record.exclusively():\n    fault = release_ledger.keep(record)\n"
        "sys.exit(fault or 0)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(host.state_dir)], stdin=subprocess.PIPE)
        for _unused in range(6)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"now\n")
        writer.stdin.close()
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 6
    assert [outcome for _release, outcome in _ends(host)] == ["rolled_back"] * 3
    assert len({release for release, _outcome in _ends(host)}) == 3


def test_a_torn_last_row_is_told_and_written_again(host: Host) -> None:
    first = host.begin()
    host("ended", release=first["token"], outcome="aborted")
    path = host.root / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    told = host("read", tells="ledger")
    assert [row["release"] for row in told["ledger"]] == [first["id"]]
    assert "lacks 1 of these rows" in told["text"]
    second = host.begin()
    host("ended", release=second["token"], outcome="live")
    assert _ends(host) == [(first["id"], "aborted"), (second["id"], "live")]


def test_on_a_full_disk_the_row_is_told_and_added_later_and_the_reserve_stays(host: Host, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        small = Host(host.run, tmp_path / "disk" / "state")
        begun = small.begin()
        fill(tmp_path / "disk" / "ballast")
        # The journal's line has room in the block that it began; the ledger is a new file, and the lock stays.
        ended = small("ended", release=begun["token"], outcome="left_on")
        assert ended.get("failed", False) is False and _ends(small) == []
        path = str(small.root / "ledger.jsonl")
        assert f"The ledger has no row of this end. {path} cannot be written: No space left on device." in json.dumps(
            ended
        )
        assert (small.root / "reserve").exists(), "it is for the way back"
        told = small("read", tells="ledger")
        assert [row["outcome"] for row in told["ledger"]] == ["left_on"] and "lacks 1 of these rows" in told["text"]
        (tmp_path / "disk" / "ballast").unlink()
        small("ended", release=small("claimed", takeover=begun["id"])["token"], outcome="aborted")
        assert _ends(small) == [(begun["id"], "left_on"), (begun["id"], "aborted")]
