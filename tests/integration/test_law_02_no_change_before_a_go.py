# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 2, broken on purpose: a release begins only with a fresh GO for this very version, and its token only in this run."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from tests.playbook import ROOT, Played, run_playbook

RUN = {"directory": "{{ playbook_dir }}/run"}
STATE = {"system": "archive", "state_dir": "{{ playbook_dir }}/state"}
GOOD = {"id": "good", "title": "good", "check_host": {"files": [{"path": "/etc/passwd"}]}}
BAD = {"id": "bad", "title": "bad", "check_host": {"files": [{"path": "/no/such/file"}]}}


def _play(
    directory: Path,
    *args: str,
    checklist: list[dict[str, t.Any]] | None = None,
    extra_vars: t.Mapping[str, t.Any] | None = None,
    decides_in_check_mode: bool = False,
    **begin: t.Any,
) -> Played:
    """Plan, judge, decide without failing, begin, and change one file with the token."""
    step = {**STATE, "state": "step", "release": "{{ begun.token }}", "opens": {"name": "stop"}}
    subject = {name: f"{{{{ planned.{name} }}}}" for name in ("checklist_sha256", "system_file_sha256", "hosts_sha256")}
    begun = {
        **STATE,
        "state": "begun",
        "version": "2.0.0",
        "verdict": "{{ decided.verdict }}",
        "subject": subject,
        **begin,
    }
    verdict = {**RUN, "system": "archive", "version": "2.0.0", "enforce": False}
    tasks: list[dict[str, t.Any]] = [
        {"name": "Plan", "tags": ["always"], "opsready.golive.plan": RUN, "register": "planned"},
        {"name": "Judge", "tags": ["judge"], "opsready.golive.checklist": RUN},
        {"name": "Decide", "tags": ["decide"], "opsready.golive.verdict": verdict, "register": "decided",
         "check_mode": decides_in_check_mode},
        {"name": "Begin", "tags": ["begin"], "opsready.golive.release": begun, "register": "begun"},
        {"name": "Change", "tags": ["change"], "opsready.golive.release": step},
    ]  # fmt: skip
    return run_playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}],
        extra_vars={"golive_checklist": checklist or [GOOD], **(extra_vars or {})},
        directory=directory,
        args=args,
    )


def _changed(directory: Path) -> bool:
    return (directory / "state").exists()


def test_with_a_go_it_begins(tmp_path: Path) -> None:
    played = _play(tmp_path)
    assert (played.rc, played.of("Change").status, _changed(tmp_path)) == (0, "ok", True)


def test_a_no_go_begins_nothing_even_where_nobody_stopped_the_play(tmp_path: Path) -> None:
    played = _play(tmp_path, checklist=[GOOD, BAD])
    assert "The verdict is NO-GO: nothing is changed without a GO." in played.of("Begin").msg
    assert not _changed(tmp_path)


@pytest.mark.parametrize(
    "args",
    [
        ("--tags", "begin,change"),
        ("--tags", "change"),
        ("--skip-tags", "judge"),
        ("--skip-tags", "decide"),
        ("--skip-tags", "begin"),
        ("--start-at-task", "Begin"),
        ("--start-at-task", "Change"),
        ("--limit", "web1"),
    ],
)
def test_no_option_of_ansible_walks_around_the_gate(tmp_path: Path, args: tuple[str, ...]) -> None:
    played = _play(tmp_path, *args)
    assert not _changed(tmp_path)
    assert not any(result.task == "Change" and result.status == "ok" for result in played.results)


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        ({"version": "2.0.1"}, "is for archive 2.0.0, not for archive 2.0.1"),
        ({"system": "shop"}, "is for archive 2.0.0, not for shop 2.0.0"),
        (
            {"subject": {"artefacts": {"app": "a" * 64}}},
            f"is for app no digest, and sha256:{'a' * 64} would be deployed",
        ),
        ({"subject": {}}, "The checklist is not the one that was judged"),
        ({"verdict_max_age": -1}, "s old, and may be at most -1 s"),
    ],
)
def test_a_go_for_something_else_or_too_old_begins_nothing(tmp_path: Path, begin: dict[str, t.Any], said: str) -> None:
    assert said in _play(tmp_path, **begin).of("Begin").msg
    assert not _changed(tmp_path)


def test_a_verdict_of_check_mode_begins_nothing(tmp_path: Path) -> None:
    played = _play(tmp_path, decides_in_check_mode=True)
    assert played.of("Decide").result["verdict"]["decision"] == "GO"
    assert "made in check mode" in played.of("Begin").msg
    assert not _changed(tmp_path)


NOT_OURS = "The verdict was not made in this run."


def test_a_verdict_that_nobody_judged_begins_nothing(tmp_path: Path) -> None:
    """An extra variable beats what the task of its name registered."""
    played = _play(tmp_path / "first")
    go = {**played.of("Decide").result["verdict"], "decided": "2126-01-01T00:00:00Z"}
    forged = _play(tmp_path / "forged", checklist=[BAD], extra_vars={"decided": {"verdict": go}})
    assert (forged.of("Decide").result["verdict"]["decision"], NOT_OURS in forged.of("Begin").msg) == ("NO-GO", True)
    assert not _changed(tmp_path / "forged")


def test_a_verdict_of_an_earlier_run_begins_nothing(tmp_path: Path) -> None:
    verdict = _play(tmp_path / "first").of("Decide").result["verdict"]
    assert NOT_OURS in _play(tmp_path / "later", verdict=verdict).of("Begin").msg
    assert not _changed(tmp_path / "later")


def test_a_verdict_over_a_plan_of_an_earlier_run_begins_nothing(tmp_path: Path) -> None:
    """The spool of another run, handed to this one's verdict, is whatever somebody wrote there."""
    assert _play(tmp_path).rc == 0
    shutil.rmtree(tmp_path / "state")
    played = _play(tmp_path, "--start-at-task", "Decide", subject={})
    assert played.of("Decide").result["verdict"]["decision"] == "GO"
    assert NOT_OURS in played.of("Begin").msg
    assert not _changed(tmp_path)


@pytest.mark.parametrize(
    ("playbook", "name", "said"),
    [
        ("golive", "__verdict_decided", "__verdict_decided is made by the run itself"),
        ("golive", "verdict_enforce", "verdict_enforce is a role's own variable"),
        ("deploy", "golive_release", "golive_release is made by the run itself"),
        ("rollback", "settle_wanted", "settle_wanted is a role's own variable"),
        ("status", "__release_record", "__release_record is made by the run itself"),
        ("status", "release_takeover", "release_takeover is a role's own variable"),
    ],
)
def test_no_extra_variable_stands_for_what_a_run_finds_out(tmp_path: Path, playbook: str, name: str, said: str) -> None:
    """In the playbooks as they are: the first task says so, and nothing was written."""
    system = {
        "golive_system": "archive",
        "golive_state_host": "localhost",
        "golive_state_dir": str(tmp_path / "state"),
        "golive_takeover": "r1",
    }
    played = run_playbook(
        ROOT / "playbooks" / f"{playbook}.yml", extra_vars={**system, name: {"verdict": {}}}, directory=tmp_path
    )
    assert played.rc != 0
    assert said in played.results[-1].msg, played.text
    assert not _changed(tmp_path)


def test_no_variable_of_an_inventory_lets_a_no_go_pass_before_the_window(tmp_path: Path) -> None:
    """The decision before the window, as it stands there: role variables that nobody else gives come from the playbooks."""
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROOT / "playbooks" / "vars" / "roles.yml")],
        "vars": {"__release_record": {"verdict": {}, "sign_offs": [], "unreadable": {}}},
        "tasks": [
            {"name": "Plan", "opsready.golive.plan": {}},
            {"name": "Judge", "opsready.golive.checklist": {}},
            {"name": "Again", "import_tasks": str(ROOT / "playbooks" / "tasks" / "decide.yml")},
            {"name": "Window", "ansible.builtin.debug": {"msg": "opened"}},
        ],
    }
    values = {"golive_checklist": [BAD], "golive_system": "archive", "golive_version": "2", "golive_services": {}}
    inventory = {"all": {"hosts": {"web1": {}}, "vars": {"verdict_enforce": False, "verdict_directory": "/no/such"}}}
    played = run_playbook(
        [{**play, "vars": {**play["vars"], **values}}], inventory=inventory, directory=tmp_path
    )  # fmt: skip
    assert played.of("Main | Decide").result["verdict"]["decision"] == "NO-GO"
    assert not played.ran("Window")


def test_an_item_that_may_not_be_older_is_judged_again_or_blocks(tmp_path: Path) -> None:
    """The clock is the findings' own: a finding from before the item's limit is unknown at the second decision."""
    aged = {**GOOD, "max_age": "0.001s"}
    played = _play(tmp_path, checklist=[aged])
    verdict = played.of("Decide").result["verdict"]
    assert verdict["decision"] == "NO-GO"
    assert "may be at most 0 s old" in verdict["blocking"][0]["summary"]
    assert not _changed(tmp_path)
