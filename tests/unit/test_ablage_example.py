# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive's example holds the whole of its written checklist, S1, with the bounds that stand there."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.mission.served import rows

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ablage"
FILES = ("checklist.yml", "system.yml")
#: A shell in a container, which nothing serves.
OUT_OF_SCOPE = {"S1.76"}
#: Served by a playbook at any time, so by no step of a release, which a comment says.
ON_DEMAND = {"S1.74": "collect", "S1.75": "restart", "S1.77": "status"}
#: And by what a user adds.
BY_A_COMMENT = {"S1.28", *ON_DEMAND}


def text(name: str) -> str:
    return (EXAMPLE / name).read_text(encoding="utf-8")


def said_to_be_served() -> set[str]:
    """By an item of the checklist or a step of the release."""
    items = yaml.safe_load(text("checklist.yml"))["golive_checklist"]
    steps = yaml.safe_load(text("system.yml"))["golive_satisfies"]
    return {one for listed in (*(item["satisfies"] for item in items), *steps.values()) for one in listed}


def test_every_written_item_stands_in_the_example() -> None:
    written = {row.id for row in rows() if row.checklist == "S1"}
    assert said_to_be_served() == written - OUT_OF_SCOPE - BY_A_COMMENT
    comments = "\n".join(line for name in FILES for line in text(name).splitlines() if line.startswith("#"))
    for place in (comments, text("README.md")):
        assert set(re.findall(r"S1\.\d+", place)) >= BY_A_COMMENT
    assert set(re.findall(r"S1\.\d+", text("README.md"))) >= OUT_OF_SCOPE


@pytest.mark.parametrize(("identity", "playbook"), ON_DEMAND.items())
def test_what_is_served_on_demand_is_so_by_a_playbook_that_there_is(identity: str, playbook: str) -> None:
    comments = [line for line in text("system.yml").splitlines() if line.startswith("#")]
    (said,) = [line for line in comments if identity in line]
    assert re.match(rf"[^`]*`{playbook}`", said.partition(identity)[2]), said
    assert (EXAMPLE.parents[1] / "playbooks" / f"{playbook}.yml").is_file()


@pytest.mark.parametrize(
    ("identity", "variable", "bound"),
    [
        ("disk", "ablage_min_free", "'50GB'"),
        ("host-app", "ablage_app_min_free", "'50GB'"),
        ("memory", "ablage_min_memory", "'16GB'"),
        ("latency", "ablage_max_p95_ms", "50"),
        ("after-latency", "ablage_max_p95_ms", "50"),
    ],
)
def test_a_bound_is_the_written_one_unless_the_machine_says_otherwise(identity: str, variable: str, bound: str) -> None:
    items: list[dict[str, t.Any]] = yaml.safe_load(text("checklist.yml"))["golive_checklist"]
    (item,) = [one for one in items if one["id"] == identity]
    assert f"{{{{ {variable} | default({bound}) }}}}" in str(item).replace('"', "'").replace("\\'", "'")
    assert variable in yaml.safe_load(text("system.yml"))
