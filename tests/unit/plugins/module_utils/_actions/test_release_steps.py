# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a release is the design's, and the printed plan says what a user has to know before the first change."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_steps import (
    NAMES,
    POINT_OF_NO_RETURN,
    STEPS,
    TOUCHING,
    WAY_BACK,
    of_system,
    plan_text,
    predicted,
    title_of,
    way_back,
)


def test_the_order_is_the_designs() -> None:
    order = [
        "images",
        "maintenance_on",
        "stop",
        "fence",
        "backup",
        "migration",
        "start",
        "smoke_inside",
        "traffic",
        "watch",
    ]
    assert [name for name in NAMES if name in order] == order
    assert len(set(NAMES)) == len(NAMES)


def test_nothing_is_smoke_tested_by_users_before_it_was_tested_inside() -> None:
    assert NAMES.index("smoke_inside") < NAMES.index(POINT_OF_NO_RETURN) < NAMES.index("smoke_outside")


ALL_BACK = [step.name for step in WAY_BACK]


@pytest.mark.parametrize(
    ("last", "back"),
    [
        ("maintenance_on", ["back_traffic"]),
        ("stop", ["back_maintenance", "back_start", "back_traffic"]),
        ("fence", ["back_maintenance", "back_start", "back_traffic"]),
        ("backup", ["back_maintenance", "back_start", "back_traffic"]),
        ("migration", ALL_BACK),
        ("start", ALL_BACK),
        ("watch", ALL_BACK),
    ],
)
def test_the_way_back_undoes_what_was_done_and_no_more(last: str, back: list[str]) -> None:
    assert way_back(NAMES[: NAMES.index(last) + 1]) == back


@pytest.mark.parametrize(
    ("began", "back"),
    [
        (["maintenance_on", "stop"], ["back_maintenance", "back_start", "back_traffic"]),
        (["maintenance_on", "stop", "start"], [name for name in ALL_BACK if name != "back_database"]),
        (["maintenance_on", "stop", "start", "traffic"], [name for name in ALL_BACK if name != "back_database"]),
        (["maintenance_on", "stop", "fence", "start"], ALL_BACK),
        (["maintenance_on", "stop", "migration"], ALL_BACK),
    ],
)
def test_of_a_part_that_a_system_does_not_have_nothing_is_undone(began: list[str], back: list[str]) -> None:
    assert way_back(["images", *began]) == back


def test_every_way_back_ends_with_users_let_in() -> None:
    for number in range(len(TOUCHING)):
        assert way_back([*NAMES[:1], *TOUCHING[: number + 1]])[-1] == "back_traffic"
    for number in range(len(ALL_BACK)):
        assert way_back(NAMES, ALL_BACK[:number])[-1] == "back_traffic"


def test_a_way_back_that_was_cut_short_goes_on_where_it_stood() -> None:
    assert way_back(NAMES, ALL_BACK[:2]) == ALL_BACK
    assert way_back(NAMES, ALL_BACK[:3]) == [name for name in ALL_BACK if name != "back_database"]
    assert way_back(NAMES, ALL_BACK[:5]) == ["back_start", "back_traffic"]


def test_downtime_is_one_unbroken_span_from_maintenance_on_to_traffic() -> None:
    down = [step.name for step in STEPS if step.is_downtime]
    assert down == list(NAMES[NAMES.index("maintenance_on") : NAMES.index("traffic") + 1])


def test_an_earlier_releases_seconds_are_better_than_ours() -> None:
    steps = {step["name"]: step for step in predicted({"backup": 61.04, "a step that is gone": 1.0})}
    assert (steps["backup"]["predicted_seconds"], steps["backup"]["source"]) == (61.0, "earlier release")
    assert steps["migration"]["source"] == "default"
    assert set(steps) == set(NAMES)


def _text(parts: list[str] | None = None, **changes: object) -> str:
    plan: dict[str, object] = {
        "system": "archive",
        "release": "r20261122T010203",
        "previous_version": "1.0.0",
        "version": "2.0.0",
        "steps": predicted({}),
        "irreversible": ["documents.legacy is dropped"],
        "downtime_budget": 60.0,
        "way_out": ["ansible-playbook opsready.golive.abort -e golive_takeover=r20261122T010203"],
    }
    rollback: dict[str, object] = {"database": "forward_only", "reason": "a column is dropped"}
    if parts is not None:
        rollback["where"] = {"parts": parts}
    plan.update(changes)
    return plan_text({**plan, "steps": of_system(t.cast("list[dict[str, t.Any]]", plan["steps"]), parts)}, rollback)


def test_the_plan_says_everything_before_the_first_change() -> None:
    text = _text()
    assert text.startswith("PLAN  archive 1.0.0 → 2.0.0   release r20261122T010203")
    for step in STEPS:
        assert step.title in text
    seconds = sum(step.seconds for step in STEPS if step.is_downtime)
    assert f"downtime about {seconds:.0f} s, budget 60 s (defaults where no earlier release tells)" in text
    assert "database by forward only: a column is dropped" in text
    assert "cannot be undone: documents.legacy is dropped" in text
    assert "golive_takeover=r20261122T010203" in text


def test_the_point_of_no_return_stands_right_before_traffic() -> None:
    lines = _text().splitlines()
    line = next(number for number, text in enumerate(lines) if "point of no return" in text)
    assert "maintenance off" in lines[line + 1]


def test_a_plan_with_nothing_to_say_says_that() -> None:
    text = _text(
        previous_version="",
        irreversible=[],
        downtime_budget=None,
        steps=predicted(dict.fromkeys(NAMES, 2.0)),
        way_out=[],
    )
    assert "archive (none) → 2.0.0" in text
    assert "cannot be undone: nothing" in text
    assert "s, no budget was given (from an earlier release)" in text


def test_the_plan_names_no_step_of_a_part_that_the_system_does_not_have() -> None:
    text = _text(parts=["smoke_outside"])
    numbered = [line.split(maxsplit=1)[0] for line in text.splitlines() if line.rstrip().endswith(" s")]
    assert [number for number in numbered if number.isdigit()] == [str(number) for number in range(1, 8)]
    for word in ("fence", "backup", "migration", "worker", "scheduler", "inside", "database"):
        assert word not in text, word
    assert " ▮ backend stopped " in text
    seconds = sum(step.seconds for step in STEPS if step.is_downtime and not step.needs)
    assert f"downtime about {seconds:.0f} s" in text


def test_a_system_of_all_parts_has_every_step_under_its_own_title() -> None:
    everything = ["database", "backup", "migration", "workers", "schedulers", "smoke_inside", "smoke_outside"]
    assert _text(parts=everything) == _text()
    for step in (*STEPS, *WAY_BACK):
        assert title_of({"name": step.name, "title": step.title}, everything) == step.title
