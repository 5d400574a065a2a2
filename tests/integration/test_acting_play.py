# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""acting, in real playbooks: no token of another run changes anything, and a lost host is a failure that can be rescued."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from tests.parts import need_part
from tests.playbook import Inventory, Played, run_playbook
from tests.servers import RefusedPort

NONCE = "0123456789abcdef"
STATE = {"system": "archive", "state_dir": "{{ playbook_dir }}/state"}


CHECKLIST = [{"id": "good", "title": "good", "check_host": {"files": [{"path": "/etc/passwd"}]}}]
#: A GO of the same run, which a release begins on.
JUDGED: list[dict[str, t.Any]] = [
    {"name": "Plan", "opsready.golive.plan": {"checklist": "what_is_judged"}, "register": "planned",
     "vars": {"what_is_judged": CHECKLIST}},
    {"name": "Judge", "opsready.golive.checklist": {"checks": "what_is_judged"}, "vars": {"what_is_judged": CHECKLIST}},
    {"name": "Decide", "opsready.golive.verdict": {"system": "archive", "version": "2.0.0"}, "register": "decided"},
]  # fmt: skip
SUBJECT = {name: f"{{{{ planned.{name} }}}}" for name in ("checklist_sha256", "system_file_sha256", "hosts_sha256")}


def _release(name: str, state: str, **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "opsready.golive.release": {**STATE, "state": state, **more}}


def _begin(name: str = "Begin") -> dict[str, t.Any]:
    return _release(name, "begun", version="2.0.0", verdict="{{ decided.verdict }}", subject=SUBJECT) | {
        "register": "begun"
    }


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Played]:
    """A release is begun here, and a step of it is delegated to a host that cannot be reached."""
    need_part("ssh", shutil.which("ssh"))
    with RefusedPort() as nobody:
        inventory: Inventory = {"all": {"hosts": {"gone": {
            "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": nobody.port}}}}  # fmt: skip
        step = {"release": "{{ begun.token }}", "opens": {"name": "stop"}}
        yield run_playbook(
            [
                {"hosts": "localhost", "gather_facts": False, "tasks": [
                    *JUDGED,
                    _begin(),
                    {"name": "Release", "block": [
                        _release("On a lost host", "step", **step) | {"delegate_to": "gone"},
                        {"name": "Never reached", "ansible.builtin.debug": {"msg": "x"}}],
                     "rescue": [{"name": "Rescue", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}],
                     "always": [{"name": "Always", "ansible.builtin.debug": {"msg": "x"}}]}]},
                {"hosts": "localhost", "gather_facts": False, "tasks": [
                    _release("Settle", "ended", release="{{ begun.token }}", outcome="aborted")]},
            ],
            inventory=inventory,
            directory=tmp_path_factory.mktemp("lost"),
            args=["--ssh-extra-args", "-F none -o ConnectTimeout=5"],
        )  # fmt: skip


def test_a_lost_delegate_is_a_failure_that_rescue_catches(lost: Played) -> None:
    answer = lost.of("On a lost host")
    assert (answer.status, answer.result["lost_host"], answer.result["error"]) == ("failed", True, "Unreachable")
    assert answer.msg.startswith("The host gone cannot be reached: ")
    assert lost.ran("Rescue") and lost.ran("Always") and not lost.ran("Never reached")


def test_localhost_survives_a_lost_delegate_into_the_next_play(lost: Played) -> None:
    assert lost.of("Settle").result["outcome"] == "aborted"
    assert lost.rc == 0, lost.text


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Tokens that were not given out in this run, beside the one that was."""
    forged = f"archive/r1/1/{NONCE}"
    opens = {"opens": {"name": "stop"}}
    ignored = {"ignore_errors": True}
    return run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": [
            _release("Alone", "read"),
            _release("Empty", "read", release=""),
            _release("Omitted", "read", release="{{ omit }}"),
            _release("Forged", "step", release=forged, **opens) | ignored,
            _release("No token", "step", release="let me in", **opens) | ignored,
            _release("No text", "step", release=["a"], **opens) | ignored,
            _release("Asked for", "step", release="{{ other }}", **opens) | ignored,
            *JUDGED,
            _begin(),
            _release("With it", "step", release="{{ begun.token }}", **opens),
            _release("Of another number", "step", release="{{ begun.token | regex_replace('/1/', '/2/') }}", **opens) | ignored,
            _release("End", "ended", release="{{ begun.token }}", outcome="aborted"),
        ]}],
        extra_vars={"other": f"archive/r2/9/{NONCE}"},
        directory=tmp_path_factory.mktemp("tokens"),
    )  # fmt: skip


@pytest.mark.parametrize("task", ["Alone", "Empty", "Omitted"])
def test_without_a_token_a_module_works_alone(tokens: Played, task: str) -> None:
    assert tokens.of(task).status == "ok"
    assert tokens.of(task).msg == "No release of archive is on record."


@pytest.mark.parametrize("task", ["Forged", "Asked for", "Of another number"])
def test_a_token_that_was_not_given_out_in_this_run_is_refused(tokens: Played, task: str) -> None:
    answer = tokens.of(task)
    assert (answer.status, answer.result["error"], answer.result["changed"]) == ("ignored", "Refused", False)
    assert "was not given out in this run" in answer.msg


@pytest.mark.parametrize("task", ["No token", "No text"])
def test_what_is_no_token_is_refused(tokens: Played, task: str) -> None:
    assert "not a token" in tokens.of(task).msg


def test_the_token_of_this_run_works_to_the_end(tokens: Played) -> None:
    assert tokens.of("With it").status == "ok"
    assert tokens.of("End").result["outcome"] == "aborted"


def test_a_token_of_an_earlier_run_is_refused_even_while_its_release_is_open(tmp_path: Path) -> None:
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [*JUDGED, _begin()]}]
    token = run_playbook(plays, directory=tmp_path).of("Begin").result["token"]
    journals = list((tmp_path / "state").rglob("journal.jsonl"))
    before = [path.read_bytes() for path in journals]
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [
        _release("Copied", "step", release=token, opens={"name": "stop"})]}]  # fmt: skip
    played = run_playbook(plays, directory=tmp_path)
    assert played.rc == 2
    assert "was not given out in this run" in played.of("Copied").msg
    assert [path.read_bytes() for path in journals] == before


def test_taking_over_gives_out_a_token_of_this_run(tmp_path: Path) -> None:
    first = run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": [*JUDGED, _begin()]}], directory=tmp_path
    )
    identity = first.of("Begin").result["id"]
    played = run_playbook([{"hosts": "localhost", "gather_facts": False, "tasks": [
        *JUDGED,
        _begin("Begin again") | {"ignore_errors": True},
        _release("Claim", "claimed", takeover=identity) | {"register": "claimed"},
        _release("End", "ended", release="{{ claimed.token }}", outcome="aborted"),
    ]}], directory=tmp_path)  # fmt: skip
    assert f"golive_takeover={identity}" in played.of("Begin again").msg
    assert played.of("End").status == "ok"


def test_a_short_name_works_as_the_full_one_does(tmp_path: Path) -> None:
    tasks = [_begin(), _release("End", "ended", release="{{ begun.token }}", outcome="aborted")]
    for task in tasks:
        task["release"] = task.pop("opsready.golive.release")
    tasks = JUDGED + tasks
    played = run_playbook([{"hosts": "localhost", "gather_facts": False, "collections": ["opsready.golive"], "tasks": tasks}],
                          directory=tmp_path)  # fmt: skip
    assert played.of("End").status == "ok", played.text


def test_a_module_that_was_killed_is_told_in_words_beside_ansibles_own(tmp_path: Path) -> None:
    """Its Python is one that kills itself, as a host without memory does."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -9 $$\n")
    python.chmod(0o755)
    killed = run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": [
            _release("Killed", "read") | {"vars": {"ansible_python_interpreter": str(python)}}]}],
        directory=tmp_path,
    )  # fmt: skip
    answer = killed.of("Killed")
    assert answer.status == "failed"
    said = "The module gave no answer: it was killed, or its connection broke."
    assert answer.msg.startswith(said)
    assert "No start of json char found" in answer.msg
