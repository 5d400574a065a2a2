# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside the window items are judged where they belong, and nowhere else: the release's own play, between plan and verdict."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from tests.playbook import Inventory, Played, run_playbook

ROOT = Path(__file__).resolve().parents[2]
FLEET: Inventory = {"all": {"hosts": {"web1": {"file": "/etc/passwd"}, "web2": {"file": "/no/such/file"}, "db1": {}}}}
JUDGE = "opsready.golive.checklist"
RELEASE = {"name": "Begin", "ansible.builtin.set_fact": {"golive_release": {"token": "held"}}}


def _judging_play() -> dict[str, t.Any]:
    plays = yaml.safe_load((ROOT / "playbooks" / "plays" / "release.yml").read_text(encoding="utf-8"))
    (play,) = [play for play in plays if play["name"] == "Release | Judge the new version where it runs"]
    return {**play, "vars_files": [str(ROOT / "playbooks" / "vars" / "roles.yml")]}


def _item(identity: str, **more: t.Any) -> dict[str, t.Any]:
    return {"id": identity, "title": identity, "check_host": {"files": [{"path": "/etc/passwd"}]}, **more}


def _run(checklist: list[dict[str, t.Any]], *before: dict[str, t.Any], args: t.Sequence[str] = ()) -> Played:
    plan = {"name": "Plan", "tags": ["plan"], "opsready.golive.plan": {}, "register": "__golive_plan"}
    decide = {"name": "Decide", "opsready.golive.verdict": {"phase": "post_start"}}
    return run_playbook(
        [
            {"hosts": "localhost", "gather_facts": False, "tasks": [plan, *before]},
            _judging_play(),
            {"hosts": "localhost", "gather_facts": False, "tasks": [decide]},
        ],
        inventory=FLEET,
        extra_vars={"golive_checklist": checklist},
        args=args,
    )


def test_an_item_bound_to_hosts_is_judged_there_and_only_there() -> None:
    own = _item("own", hosts="web*", phase="post_start", check_host={"files": [{"path": "{{ file }}"}]})
    played = _run([own, _item("here", phase="post_start"), _item("before", hosts="db1")], RELEASE)
    judged = {result.host for result in played.results if result.action == JUDGE}
    assert judged == {"localhost", "web1", "web2"}
    verdict = played.of("Decide").result["verdict"]
    assert [(entry["id"], entry["host"], entry["status"]) for entry in verdict["blocking"]] == [("own", "web2", "fail")]
    assert verdict["counts"]["pass"] == 2


def test_without_such_items_no_host_is_asked() -> None:
    played = _run([_item("before", hosts="all")], RELEASE)
    asked = [result for result in played.results if result.action == JUDGE]
    assert [(result.host, result.status) for result in asked] == [("localhost", "skipped")]


@pytest.mark.parametrize(
    ("before", "args"),
    [([], ()), ([RELEASE, {"name": "Fail", "ansible.builtin.set_fact": {"__golive_failure": "x"}}], ()),
     ([RELEASE], ("--skip-tags", "plan")), ([RELEASE], ("--check",))],
)  # fmt: skip
def test_without_a_release_that_stands_nothing_is_judged(before: list[dict[str, t.Any]], args: tuple[str, ...]) -> None:
    played = _run([_item("own", hosts="web*", phase="post_start")], *before, args=args)
    asked = [result for result in played.results if result.action == JUDGE]
    assert asked and not [result for result in asked if result.status == "ok"]


def test_after_a_rollback_only_the_controller_judges_and_the_refusal_says_what_to_do() -> None:
    played = _run([_item("own", hosts="web*", phase=["watch", "post_rollback"])])
    said = played.of("Plan").msg
    assert "item own: in phase post_rollback an item is judged on the controller, not on web*" in said
    assert "leave hosts out and ask over the network, or make it an item of another phase" in said
