# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 1, broken on purpose: whatever is left out, limited, skipped or lost, what was expected and not found is no GO."""

from __future__ import annotations

import typing as t

import pytest

from tests.playbook import Inventory, Played, run_playbook

TWO_HOSTS: Inventory = {"all": {"hosts": {"web1": {}, "web2": {}}}}
RUN = {"directory": "{{ playbook_dir }}/run"}


def _file(identity: str, **more: t.Any) -> dict[str, t.Any]:
    return {"id": identity, "title": identity, "check_host": {"files": [{"path": "/etc/passwd"}]}, **more}


CHECKLIST = [_file("here", satisfies=["S1.1"]), _file("everywhere", hosts="all", satisfies=["S1.2"])]


def _play(*args: str, checklist: list[dict[str, t.Any]] | None = None, **plan: t.Any) -> Played:
    plays: list[dict[str, t.Any]] = [
        {"hosts": "localhost", "gather_facts": False, "tasks": [
            {"name": "Plan", "tags": ["plan", "always"], "opsready.golive.plan": {**RUN, **plan}}]},
        {"hosts": "localhost,all", "gather_facts": False, "tasks": [
            {"name": "Judge", "tags": ["judge"], "opsready.golive.checklist": RUN}]},
        {"hosts": "localhost", "gather_facts": False, "tasks": [
            {"name": "Decide", "tags": ["decide", "always"], "opsready.golive.verdict": RUN}]},
    ]  # fmt: skip
    return run_playbook(
        plays,
        inventory=TWO_HOSTS,
        extra_vars={"golive_checklist": CHECKLIST if checklist is None else checklist},
        args=args,
    )


def test_the_whole_run_is_a_go() -> None:
    assert _play(require=["S1"]).of("Decide").result["verdict"]["decision"] == "GO"


@pytest.mark.parametrize(
    ("args", "unknown"),
    [
        (("--limit", "localhost,web1"), [("everywhere", "web2")]),
        (("--limit", "localhost,web2"), [("everywhere", "web1")]),
        (("--tags", "decide"), [("everywhere", "web1"), ("everywhere", "web2"), ("here", "controller")]),
        (("--skip-tags", "judge"), [("everywhere", "web1"), ("everywhere", "web2"), ("here", "controller")]),
    ],
)
def test_what_was_not_judged_is_unknown(args: tuple[str, ...], unknown: list[tuple[str, str]]) -> None:
    played = _play(*args)
    verdict = played.of("Decide").result["verdict"]
    assert (played.rc, verdict["decision"]) == (2, "NO-GO")
    assert sorted((entry["id"], entry["host"]) for entry in verdict["blocking"]) == unknown
    assert {entry["status"] for entry in verdict["blocking"]} == {"unknown"}


@pytest.mark.parametrize("task", ["Judge", "Decide"])
def test_starting_later_finds_no_plan_and_decides_nothing(task: str) -> None:
    played = _play("--start-at-task", task)
    assert played.rc == 2
    assert not played.ran("Decide") or "plan comes before verdict" in played.of("Decide").msg


def test_what_is_required_and_covered_by_no_item_is_no_go() -> None:
    verdict = _play(require=["S1", "S2.4"]).of("Decide").result["verdict"]
    assert verdict["decision"] == "NO-GO"
    assert verdict["coverage"]["missing"] == ["S2.4"]


def test_what_is_required_and_done_by_a_step_is_covered() -> None:
    verdict = _play(require=["S1", "S2.4"], satisfies={"backup": ["S2.4"]}).of("Decide").result["verdict"]
    assert verdict["coverage"]["missing"] == []


BROKEN: dict[str, dict[str, t.Any]] = {
    "undefined": {"check_host": {"files": [{"path": "{{ nothing_here }}"}]}},
    "undefined-when": {"when": "nothing_here", "reason": "nobody knows"},
    "redis": {"check_host": None, "check_redis": {"url": "redis://127.0.0.1:1/0"}},
    "postgres": {"check_host": None, "check_postgres": {"dsn": "postgresql://app@127.0.0.1:1/x"}},
    "tls": {"check_host": None, "check_tls": {"endpoints": ["127.0.0.1:1"]}},
    "http": {"check_host": None, "check_http": {"url": "http://127.0.0.1:1/"}},
    "s3": {"check_host": None, "check_s3": {"endpoint_url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b" * 9, "buckets": ["c"]}},
}  # fmt: skip


def test_what_cannot_be_found_out_is_never_a_go() -> None:
    items = [
        {key: value for key, value in {**_file(name), **body}.items() if value is not None}
        for name, body in BROKEN.items()
    ]
    played = _play(checklist=[_file("here"), *items])
    verdict = played.of("Decide").result["verdict"]
    assert (played.rc, verdict["decision"], verdict["counts"]["pass"]) == (2, "NO-GO", 1)
    assert {entry["id"] for entry in verdict["blocking"]} == set(BROKEN)


def test_nothing_to_look_at_is_unknown() -> None:
    nothing = _file("nothing") | {"check_host": {"files": []}}
    played = _play(checklist=[_file("here"), nothing])
    if played.ran("Decide"):
        assert [entry["id"] for entry in played.of("Decide").result["verdict"]["blocking"]] == ["nothing"]
    else:
        assert "item nothing" in played.of("Plan").msg
