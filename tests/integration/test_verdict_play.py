# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verdict, in real playbooks: GO, NO-GO and what stands between, over a plan and what was spooled."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest

from tests.playbook import Played, run_playbook

Tasks = list[dict[str, t.Any]]
RUN = {"directory": "{{ playbook_dir }}/run"}


def _now(**shift: float) -> str:
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**shift)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _file(identity: str, path: str = "/etc/passwd", **more: t.Any) -> dict[str, t.Any]:
    return {"id": identity, "title": f"About {identity}", "check_host": {"files": [{"path": path}]}, **more}


def _verdict(name: str, **options: t.Any) -> dict[str, t.Any]:
    return {
        "name": name,
        "opsready.golive.verdict": {**RUN, "system": "archive", "version": "2.0.0", **options},
        "ignore_errors": True,
    }


def _play(*tasks: dict[str, t.Any], judge: bool = True, **plan: t.Any) -> list[dict[str, t.Any]]:
    before: Tasks = [{"name": "Plan", "opsready.golive.plan": {**RUN, **plan}}]
    if judge:
        before.append({"name": "Judge", "opsready.golive.checklist": {**RUN}})
    return [{"hosts": "localhost", "gather_facts": False, "tasks": [*before, *tasks]}]


WAIVER = {
    "item": "absent",
    "owner": "ops",
    "approver": "head of ops",
    "reason": "comes on Monday",
    "expires": _now(days=2),
}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One checklist with something that fails, decided on in many ways."""
    items = [_file("good", satisfies=["S1.21"]), _file("absent", "/no/such/file", satisfies=["S1.22"])]
    signed = {"id": "reviewed", "title": "Reviewed", "sign_off": {"team": "backend", "expires_after": "7d"}}
    sign_off = {"item": "reviewed", "team": "backend", "name": "Grete Hermann", "signed": _now(hours=-1)}
    signature = {**sign_off, "digest": "{{ first.verdict.digest }}"}
    other_version = {"version": "2.0.1"}
    return run_playbook(
        _play(
            _verdict("No-go", waivers=[WAIVER]) | {"register": "first"},
            _verdict("Go", waivers=[WAIVER], sign_offs=[signature]) | {"register": "went"},
            _verdict("Same again", waivers=[WAIVER], sign_offs=[signature]),
            _verdict("Other version", waivers=[WAIVER], sign_offs=[signature], **other_version),
            _verdict(
                "Other artefact",
                waivers=[WAIVER],
                sign_offs=[signature],
                artefacts={"archive.tar": "sha256:" + "1" * 64},
            ),
            _verdict("Other migration", waivers=[WAIVER], sign_offs=[signature], migration_preview="m2"),
            _verdict("Not enforced", enforce=False),
            _verdict(
                "Forced", force=[{"item": "absent", "reason": "decided", "approver": "head"}], sign_offs=[signature]
            ),
            _verdict("Own owner", waivers=[{**WAIVER, "approver": "OPS"}]),
            _verdict("Expired", waivers=[{**WAIVER, "expires": _now(days=-1)}], sign_offs=[signature]),
            _verdict(
                "Unquoted time", waivers=[{**WAIVER, "expires": datetime.date(2126, 1, 1)}], sign_offs=[signature]
            ),
            _verdict("Odd option", waiver=[WAIVER]),
            _verdict("Odd waivers", waivers="all of them"),
            _verdict("Other phase", phase="smoke"),
            require=["S1"],
        ),
        extra_vars={"golive_checklist": [*items, signed]},
        directory=tmp_path_factory.mktemp("decided"),
    )


def _of(played: Played, task: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", played.of(task).result["verdict"])


def test_no_go_fails_the_task_and_says_what_blocks(decided: Played) -> None:
    answer = decided.of("No-go")
    assert answer.status == "ignored"
    assert answer.msg == "NO-GO  (1 pass, 1 unknown, 1 waived): blocked by reviewed"
    assert "  blocks unknown  reviewed: Nobody of team backend has signed this." in decided.stdout.splitlines()
    assert answer.result["changed"] is False


def test_a_signature_of_this_very_release_makes_it_go(decided: Played) -> None:
    answer = decided.of("Go")
    assert (answer.status, _of(decided, "Go")["decision"]) == ("ok", "GO WITH WARNINGS")
    assert answer.msg == "GO WITH WARNINGS  (2 pass, 1 waived)"
    assert answer.msg in decided.stdout


def test_the_digest_is_the_same_for_the_same_and_another_for_anything_else(decided: Played) -> None:
    digests = [
        _of(decided, task)["digest"]
        for task in ("Go", "Same again", "Other version", "Other artefact", "Other migration")
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


@pytest.mark.parametrize("task", ["Other version", "Other artefact", "Other migration"])
def test_a_signature_of_anything_else_does_not_count(decided: Played, task: str) -> None:
    assert _of(decided, task)["decision"] == "NO-GO"
    assert "signed another release: it has changed since" in _of(decided, task)["blocking"][0]["summary"]


def test_no_go_can_be_left_to_the_play(decided: Played) -> None:
    assert decided.of("Not enforced").status == "ok"
    assert _of(decided, "Not enforced")["decision"] == "NO-GO"


def test_force_is_per_item_and_said(decided: Played) -> None:
    assert _of(decided, "Forced")["decision"] == "GO WITH WARNINGS"
    assert "forced absent by head: decided" in decided.stdout


def test_a_waiver_is_somebody_elses_and_ends(decided: Played) -> None:
    assert "approved by its own owner" in decided.of("Own owner").msg
    assert _of(decided, "Expired")["decision"] == "NO-GO"
    assert _of(decided, "Unquoted time")["decision"] == "GO WITH WARNINGS"


def test_options_that_cannot_be_meant_are_refused(decided: Played) -> None:
    assert "waiver" in decided.of("Odd option").msg
    assert decided.of("Odd waivers").result["error"] == "BadInput"


def test_a_phase_without_findings_is_no_go(decided: Played) -> None:
    assert "Nothing was judged in phase smoke." in decided.stdout


def test_verdict_and_findings_are_kept_beside_each_other(decided: Played) -> None:
    run = decided.directory / "run"
    kept = json.loads((run / "decided.pre_deploy.json").read_text())
    assert {finding["id"]: (finding["status"], finding["decision"]) for finding in kept}["absent"][0] == "fail"
    assert json.loads((run / "verdict.pre_deploy.json").read_text())["phase"] == "pre_deploy"
    assert (run / "verdict.pre_deploy.json").stat().st_mode & 0o777 == 0o600


def test_nothing_in_these_runs_was_a_defect(decided: Played) -> None:
    assert "Unexpected failure" not in decided.text
    assert "Traceback" not in decided.text


def test_without_a_plan_there_is_no_verdict() -> None:
    played = run_playbook([{"hosts": "localhost", "gather_facts": False, "tasks": [_verdict("Alone")]}])
    assert "expected.json: opsready.golive.plan comes before verdict." in played.of("Alone").msg


def test_findings_that_never_came_in_are_no_go() -> None:
    played = run_playbook(
        _play(_verdict("Decide"), judge=False), extra_vars={"golive_checklist": [_file("a", hosts="all")]}
    )
    verdict = _of(played, "Decide")
    assert verdict["decision"] == "NO-GO"
    assert verdict["blocking"][0]["summary"] == "No finding came in for this item on this host."


def test_a_waived_item_that_was_undefined_still_needs_its_waiver() -> None:
    items = [_file("undefined", "{{ nothing_here }}"), _file("good")]
    waiver = {**WAIVER, "item": "undefined"}
    played = run_playbook(
        _play(_verdict("Without"), _verdict("With", waivers=[waiver])), extra_vars={"golive_checklist": items}
    )
    assert _of(played, "Without")["decision"] == "NO-GO"
    assert _of(played, "With")["decision"] == "GO WITH WARNINGS"


def test_what_was_loosened_since_the_last_go_needs_an_approver(tmp_path: Path) -> None:
    def decide(directory: str, days: float, previous: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
        item = {
            "id": "disk",
            "title": "Disk",
            "check_host": {"paths": [{"path": "/", "min_free_bytes": 1, "min_free_inodes_percent": days}]},
        }
        played = run_playbook(
            _play(_verdict("Decide", previous=previous, **options)),
            extra_vars={"golive_checklist": [item]},
            directory=tmp_path / directory,
        )
        return _of(played, "Decide")

    first = decide("first", 0.02, {})
    second = decide("second", 0.01, first)
    assert (first["decision"], second["decision"]) == ("GO", "NO-GO")
    assert second["loosened"][0]["field"] == "paths[/].min_free_inodes_percent"
    third = decide("third", 0.01, first, loosened_approver="head of ops")
    assert third["decision"] == "GO WITH WARNINGS"


def test_what_hosts_make_of_an_item_is_compared_too(tmp_path: Path) -> None:
    """The thresholds of an item are its hosts' variables, and its condition theirs."""

    def decide(directory: str, previous: dict[str, t.Any], **web2: t.Any) -> dict[str, t.Any]:
        path = {"path": "/", "min_free_bytes": 1, "min_free_inodes_percent": "{{ inodes }}"}
        items = [
            {"id": "disk", "title": "Disk", "hosts": "all", "check_host": {"paths": [path]}},
            {
                "id": "cond",
                "title": "Cond",
                "hosts": "all",
                "when": "wanted",
                "reason": "r",
                "check_host": {"min_cpus": 1},
            },
        ]
        plan, judge, verdict = _play(_verdict("Decide", previous=previous))[0]["tasks"]
        played = run_playbook(
            [
                {"hosts": "localhost", "gather_facts": False, "tasks": [plan]},
                {"hosts": "localhost,all", "gather_facts": False, "tasks": [judge]},
                {"hosts": "localhost", "gather_facts": False, "tasks": [verdict]},
            ],
            inventory={"all": {"hosts": {"web1": {}, "web2": web2}, "vars": {"inodes": 0.02, "wanted": True}}},
            extra_vars={"golive_checklist": items},
            directory=tmp_path / directory,
        )
        return _of(played, "Decide")

    first = decide("first", {})
    assert first["decision"] == "GO", first
    same = decide("same", first)
    assert (same["decision"], same["loosened"], same["changed"]) == ("GO", [], [])
    second = decide("second", first, inodes=0.01, wanted=False)
    assert [(change["id"], change["field"], change["now"]) for change in second["loosened"]] == [
        ("cond", "when", "not applicable on web2"),
        ("disk", "paths[/].min_free_inodes_percent on web2", 0.01),
    ]
    assert second["decision"] == "NO-GO"
