# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sign_off playbook, as a person calls it: bound to what was judged, renewed when it ended, and never half a name."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_record import Record
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import utc_text
from tests.playbook import Played, run_playbook

pytestmark = pytest.mark.long

PLAYBOOK = Path(__file__).resolve().parents[2] / "playbooks" / "sign_off.yml"
NAME = "Grete Hermann"
ASKED = ("-e", "signed_item=reviewed", "-e", "signed_team=backend")
WHO = ("-e", f"signed_by='{NAME}'")


def _variables(directory: Path) -> dict[str, t.Any]:
    return {"golive_system": "archive", "golive_version": "2.0.0", "golive_state_host": "localhost",
            "golive_state_dir": str(directory / "state")}  # fmt: skip


REVIEWED = {"id": "reviewed", "title": "Reviewed", "sign_off": {"team": "backend", "expires_after": "7d"}}


def _judge(directory: Path, record: Record, item: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    """Plan, judge and decide as pre_deploy does, on the sign-offs of the record; keeps the verdict."""
    run = {"directory": str(directory / "run")}
    decide = {**run, "system": "archive", "version": "2.0.0", "enforce": False, "sign_offs": record.sign_offs()}
    tasks = [
        {"name": "Plan", "opsready.golive.plan": run},
        {"name": "Decide", "opsready.golive.verdict": decide},
    ]
    played = run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}],
        extra_vars={"golive_checklist": [item or REVIEWED]},
        directory=directory / "judge",
    )
    verdict = played.of("Decide").result["verdict"]
    record.create()
    record.keep_verdict(verdict)
    return t.cast("dict[str, t.Any]", verdict)


def _sign(directory: Path, *options: str) -> Played:
    return run_playbook(PLAYBOOK, extra_vars=_variables(directory), args=options, directory=directory / "sign")


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(str(tmp_path / "state"), "archive")


def test_a_signature_makes_it_a_go_and_is_renewed_once_it_ended(tmp_path: Path, record: Record) -> None:
    waiting = _judge(tmp_path, record)
    assert (waiting["decision"], waiting["sign_offs"][0]["digest"]) == ("NO-GO", waiting["digest"])
    ago = utc_text(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=8))
    old = {"item": "reviewed", "team": "backend", "name": NAME, "digest": waiting["digest"], "signed": ago}
    record.sign(old)
    assert "expired at" in _judge(tmp_path, record)["blocking"][0]["summary"]

    renewed = _sign(tmp_path, *ASKED, *WHO)
    assert (renewed.rc, renewed.of("Sign | Keep the attestation").result["changed"]) == (0, True)
    assert [entry["name"] for entry in record.sign_offs()] == [NAME, NAME]
    assert record.sign_offs()[0] == old
    assert _judge(tmp_path, record)["decision"] == "GO"

    again = _sign(tmp_path, *ASKED, *WHO)
    assert again.of("Sign | Keep the attestation").result["changed"] is False
    assert f"{NAME} has signed reviewed already, until " in again.of("Sign | Say what is kept, and until when").msg


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*ASKED, "-e", f"signed_by={NAME}"), "Without a name before it stands: Hermann."),
        (ASKED, "Say who signs what: -e signed_item=<item>"),
        ((*ASKED[:2], "-e", "signed_team=ops", *WHO), "reviewed is for team backend to sign, not for team ops"),
        ((*ASKED, *WHO, "-e", f"signed_digest={'0' * 64}"), "000000000000 is not what was judged last"),
    ],
)  # fmt: skip
def test_what_would_count_for_nothing_is_one_clear_message(
    tmp_path: Path, record: Record, options: tuple[str, ...], said: str
) -> None:
    _judge(tmp_path, record)
    played = _sign(tmp_path, *options)
    assert played.rc == 2
    assert [result.msg for result in played.results if result.status == "failed" and said in result.msg]
    assert record.sign_offs() == []


CONTACT: dict[str, t.Any] = {"id": "reviewed", "title": "Somebody is reachable", "sign_off": {
    "team": "backend", "expires_after": "30d", "binds_to": "none", "asks": ["channel"]}}  # fmt: skip


def _stated(channel: str) -> tuple[str, str]:
    return "-e", json.dumps({"signed_details": {"channel": channel}})


@pytest.mark.parametrize(
    ("asked", "stated"),
    [
        pytest.param("channel", "+49 30 1234567", marks=pytest.mark.serves("S1.69", "S1.71", case="pass")),
        ("account", "ops-test"),
    ],
)
def test_what_is_asked_for_is_stated_since_when_and_until_when(
    tmp_path: Path, record: Record, asked: str, stated: str
) -> None:
    """Of a contact how to reach it, of a login that somebody tried with which account."""
    item = {**CONTACT, "sign_off": {**CONTACT["sign_off"], "asks": [asked]}}
    assert _judge(tmp_path, record, item)["decision"] == "NO-GO"
    signed = _sign(tmp_path, *ASKED, *WHO, "-e", json.dumps({"signed_details": {asked: stated}}))
    assert signed.rc == 0, signed.text
    verdict = _judge(tmp_path, record, item)
    assert verdict["decision"] == "GO"
    (told,) = verdict["sign_offs"]
    assert (told["name"], told["details"]) == (NAME, {asked: stated})
    begin, end = (datetime.datetime.fromisoformat(told[name].replace("Z", "+00:00")) for name in ("signed", "expires"))
    assert end - begin == datetime.timedelta(days=30)


@pytest.mark.serves("S1.69", "S1.71", case="fail")
@pytest.mark.parametrize("by", ["playbook", "file"])
def test_a_form_that_nobody_filled_in_names_no_contact(tmp_path: Path, record: Record, by: str) -> None:
    waiting = _judge(tmp_path, record, CONTACT)
    if by == "playbook":
        for options, said in (
            ((*ASKED, "-e", "signed_by=[Name]", *_stated("+49 30 1234567")), "The sign-off names nobody: [Name]."),
            ((*ASKED, *WHO, *_stated("[phone]")), "asks for channel, and this sign-off does not state it"),
            ((*ASKED, *WHO), "asks for channel"),
        ):
            assert said in _sign(tmp_path, *options).of("Sign | Keep the attestation").msg
        assert record.sign_offs() == []
        return
    now = utc_text(datetime.datetime.now(datetime.timezone.utc))
    written = {"item": "reviewed", "team": "backend", "digest": waiting["sign_offs"][0]["digest"], "signed": now}
    for person, said in (
        ({"name": "[Name]", "details": {"channel": "+49 30 1234567"}}, "names nobody: [Name]"),
        ({"name": NAME, "details": {"channel": "TBD"}}, f"The sign-off of {NAME} does not state channel"),
    ):
        record.sign({**written, **person})
        (blocking,) = _judge(tmp_path, record, CONTACT)["blocking"]
        assert (blocking["status"], said in blocking["summary"]) == ("fail", True), blocking


def _lead(time: str, *, window: str | None = None) -> dict[str, t.Any]:
    """A contact with these hours, in a zone where it is around noon now."""
    behind = datetime.datetime.now(datetime.timezone.utc).hour - 12
    hours = {"days": ["mon-sun"], "time": time, "time_zone": f"Etc/GMT{behind:+d}", "window": window}
    return {
        **CONTACT,
        "sign_off": {**CONTACT["sign_off"], "hours": {name: value for name, value in hours.items() if value}},
    }


@pytest.mark.serves("S1.70", case="pass")
def test_a_lead_is_there_at_the_go_live_or_somebody_stands_in(tmp_path: Path, record: Record) -> None:
    assert _judge(tmp_path, record, _lead("09:00-17:00", window="1h"))["decision"] == "NO-GO"
    signed = _sign(tmp_path, *ASKED, *WHO, *_stated("+49 30 1234567"))
    assert signed.rc == 0, signed.text
    assert _judge(tmp_path, record, _lead("09:00-17:00", window="1h"))["decision"] == "GO"

    assert _judge(tmp_path, record, _lead("14:00-17:00"))["decision"] == "NO-GO"
    named = {"channel": "+49 30 1234567", "substitute": "Emmy Noether, +49 30 7654321"}
    signed = _sign(tmp_path, *ASKED, *WHO, "-e", json.dumps({"signed_details": named}))
    assert signed.of("Sign | Keep the attestation").result["changed"] is True
    verdict = _judge(tmp_path, record, _lead("14:00-17:00"))
    assert verdict["decision"] == "GO"
    (told,) = verdict["sign_offs"]
    assert (told["name"], told["details"], bool(told["signed"] and told["expires"])) == (NAME, named, True)


@pytest.mark.serves("S1.70", case="fail")
@pytest.mark.parametrize(
    ("time", "window", "said"),
    [
        ("14:00-17:00", None, " is outside mon-sun 14:00-17:00 Etc/GMT"),
        ("09:00-17:00", "6h", " for 6.0 h is outside mon-sun 09:00-17:00 Etc/GMT"),
    ],
)
def test_a_lead_who_is_not_there_and_for_whom_nobody_stands_in_is_no_go(
    tmp_path: Path, record: Record, time: str, window: str | None, said: str
) -> None:
    now = utc_text(datetime.datetime.now(datetime.timezone.utc))
    record.create()
    for details in ({}, {"substitute": "[Name]"}):
        stated = {"channel": "+49 30 1234567", **details}
        record.sign(
            {"item": "reviewed", "team": "backend", "name": NAME, "digest": "none", "signed": now, "details": stated}
        )
        (blocking,) = _judge(tmp_path, record, _lead(time, window=window))["blocking"]
        assert blocking["status"] == "fail" and said in blocking["summary"], blocking
        assert blocking["summary"].endswith("no substitute is named."), blocking
