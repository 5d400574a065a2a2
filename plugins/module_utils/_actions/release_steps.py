# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a release, in order: what is printed before, journalled while, and undone after.

The order is the design's: schedulers before workers before the backend; the fence before the backup; the inside smoke test
before the point of no return.
"""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Step:
    """One step; ``seconds`` is what it takes where no earlier release says otherwise."""

    name: str
    title: str
    phase: str
    seconds: float
    changes: bool = True
    #: Users cannot work while it runs.
    is_downtime: bool = False
    #: The part of a system without which the step is none of its release.
    needs: str = ""


STEPS: tuple[Step, ...] = (
    Step("images", "new version fetched and unpacked, beside the old one", "begin", 2.0),
    Step("maintenance_on", "maintenance on, proven on the user path", "window", 2.0, is_downtime=True),
    Step("stop", "schedulers stopped, workers drained and stopped, backend stopped", "window", 10.0, is_downtime=True),
    Step("fence", "database fenced: nobody else writes", "window", 1.5, is_downtime=True, needs="database"),
    Step("backup", "backup, and proven", "window", 10.0, is_downtime=True, needs="backup"),
    Step("migration", "migration", "window", 4.0, is_downtime=True, needs="migration"),
    Step("start", "new version started behind its health gates, workers held", "window", 8.0, is_downtime=True),
    Step("smoke_inside", "smoke test on the inside", "window", 4.0, is_downtime=True, needs="smoke_inside"),
    Step("traffic", "maintenance off, workers consume, schedulers start", "after", 4.0, is_downtime=True),
    Step("smoke_outside", "smoke test from outside, as a user", "after", 5.0, needs="smoke_outside"),
    Step("watch", "watch", "after", 5.0, changes=False),
)
NAMES = tuple(step.name for step in STEPS)
#: The steps back, in order.
WAY_BACK: tuple[Step, ...] = (
    Step("back_maintenance", "back: maintenance on, proven on the user path", "rollback", 2.0, is_downtime=True),
    Step("back_stop", "back: the new version stopped, waiting jobs put aside", "rollback", 5.0, is_downtime=True),
    Step("back_database", "back: database fenced, and as it was before", "rollback", 8.0, is_downtime=True),
    Step("back_files", "back: previous version and files in place", "rollback", 2.0, is_downtime=True),
    Step("back_start", "back: previous version started behind its health gates", "rollback", 8.0, is_downtime=True),
    Step("back_traffic", "back: maintenance off, workers consume, schedulers start", "rollback", 4.0, is_downtime=True),
)
#: What the title of a step says of each part, in order; of a part that a system does not have it says nothing.
_SAID_OF_PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    "images": (
        ("artefact", "new version fetched and unpacked, beside the old one"),
        ("docker", "new images there, by their digests"),
        ("working_tree", "new version there in the working tree, with every file"),
    ),
    "stop": (
        ("schedulers", "schedulers stopped"),
        ("workers", "workers drained and stopped"),
        ("", "backend stopped"),
    ),
    "start": (("", "new version started behind its health gates"), ("workers", "workers held")),
    "traffic": (("", "maintenance off"), ("workers", "workers consume"), ("schedulers", "schedulers start")),
    "back_stop": (("", "back: the new version stopped"), ("workers", "waiting jobs put aside")),
    "back_traffic": (("", "back: maintenance off"), ("workers", "workers consume"), ("schedulers", "schedulers start")),
}
#: Once this step has begun, users may write: nothing is undone by itself unless it is proven lossless.
POINT_OF_NO_RETURN = "traffic"
#: Steps that change what serves users; `images` only puts the new version beside the old one.
TOUCHING = NAMES[NAMES.index("maintenance_on") :]


def way_back(began: t.Sequence[str], done_back: t.Collection[str] = ()) -> list[str]:
    """The steps back that undo these forward steps, and no others, in order.

    ``done_back``: what an earlier way back has done, where the database is as it was; this one goes on from there.
    """
    if "back_start" in done_back:
        return ["back_start", "back_traffic"]
    if "back_database" in done_back:
        return [step.name for step in WAY_BACK if step.name != "back_database"]
    if "migration" in began or "start" in began:
        has_database = "fence" in began or "migration" in began
        return [step.name for step in WAY_BACK if has_database or step.name != "back_database"]
    if "stop" in began:  # the previous version is still the current one, and the database as it left it
        return ["back_maintenance", "back_start", "back_traffic"]
    return ["back_traffic"]


def title_of(step: t.Mapping[str, t.Any], parts: t.Collection[str] | None) -> str:
    """A step's title (it has ``name`` and ``title``) in a system of these parts; None stands for all of them."""
    said = _SAID_OF_PARTS.get(step["name"])
    if parts is None or said is None:
        return str(step["title"])
    return ", ".join(words for part, words in said if not part or part in parts) or str(step["title"])


def of_system(steps: t.Iterable[t.Mapping[str, t.Any]], parts: t.Collection[str] | None) -> list[dict[str, t.Any]]:
    """The plan's steps that a system of these parts goes through; None stands for all of them."""
    return [
        {**step, "title": title_of(step, parts)}
        for step in steps
        if parts is None or not step.get("needs") or step["needs"] in parts
    ]


def parts_of(rollback: t.Mapping[str, t.Any]) -> t.Collection[str] | None:
    """The parts that a way back says its system has; None where it says nothing of them."""
    parts = (rollback.get("where") or {}).get("parts")
    return None if parts is None else [str(part) for part in parts]


def predicted(history: t.Mapping[str, float]) -> list[dict[str, t.Any]]:
    """The plan's steps; ``history`` holds the seconds of an earlier release."""
    return [
        {
            **dataclasses.asdict(step),
            "predicted_seconds": round(history.get(step.name, step.seconds), 1),
            "source": "earlier release" if step.name in history else "default",
        }
        for step in STEPS
    ]


def plan_text(plan: t.Mapping[str, t.Any], rollback: t.Mapping[str, t.Any]) -> str:
    """The plan as it is printed before the first change, from what is kept of it and of the way back."""
    steps = plan["steps"]
    lines = [
        f"PLAN  {plan['system']} {plan['previous_version'] or '(none)'} → {plan['version']}   release {plan['release']}",
        "",
    ]
    for number, step in enumerate(steps, start=1):
        if step["name"] == POINT_OF_NO_RETURN:
            lines.append("      ════ point of no return: from here on users write; nothing is undone by itself ════")
        mark = "▮" if step["is_downtime"] else " "
        lines.append(f"  {number:2} {mark} {step['title']:<68} {step['predicted_seconds']:6.1f} s")
    lines += ["", f"  ▮ {_downtime_text(steps, plan['downtime_budget'])}"]
    lines.append(f"  way back: {_way_back_text(rollback)}")
    lines += [f"  cannot be undone: {text}" for text in plan["irreversible"]] or ["  cannot be undone: nothing"]
    lines += ["", "  if this run dies, where it stands and the ways out:"]
    lines += [f"    {command}" for command in plan["way_out"]]
    return "\n".join(lines)


def _way_back_text(rollback: t.Mapping[str, t.Any]) -> str:
    parts = parts_of(rollback)
    if parts is not None and "database" not in parts:
        return "services by version"
    return f"services by version; database by {rollback['database'].replace('_', ' ')}: {rollback['reason']}"


def _downtime_text(steps: t.Sequence[t.Mapping[str, t.Any]], budget_seconds: float | None) -> str:
    downtime = sum(step["predicted_seconds"] for step in steps if step["is_downtime"])
    budget = f"budget {budget_seconds:g} s" if budget_seconds else "no budget was given"
    sources = {step["source"] for step in steps}
    by = "from an earlier release" if sources == {"earlier release"} else "defaults where no earlier release tells"
    return f"downtime about {downtime:.0f} s, {budget} ({by})"
