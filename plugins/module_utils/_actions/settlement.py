# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finish, roll back, or leave on and say so: decided from the journal and the world, whoever asks.

Automatic rollback, ``rollback`` days later, ``abort`` and ``resume`` enter here from four sides. Pure.
"""

from __future__ import annotations

import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import release_steps

#: What the caller does next.
NOTHING = "nothing"
FINISH = "finish"
ROLL_BACK = "roll_back"
LEAVE_ON = "leave_on"

_KINDS = ("image_only", "downgrade", "restore", "forward_only")

World = t.Mapping[str, t.Any]


def reached(steps: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Names of the forward steps that began, in order."""
    return [step["name"] for step in steps if step["direction"] == "forward" and step["name"] in release_steps.NAMES]


def _open_or_failed(steps: t.Sequence[t.Mapping[str, t.Any]]) -> t.Mapping[str, t.Any] | None:
    return next((step for step in steps[::-1] if step["status"] in ("open", "failed")), None)


def settle(
    *,
    steps: t.Sequence[t.Mapping[str, t.Any]],
    ended: t.Mapping[str, t.Any] | None,
    rollback: t.Mapping[str, t.Any],
    world: World,
    stood_as: str = "",
) -> dict[str, t.Any]:
    """What has to happen now, in a sentence, with the steps of the way back, and the choices where a person has to choose.

    ``world`` may hold ``loss``: what pg_restore assessed since the migration, and ``accept_data_loss``, ``wanted``
    (``roll_back`` when a person asked for it).
    """
    wanted = world.get("wanted")
    if ended is not None and ended["outcome"] in ("live", "rolled_back", "aborted") and wanted != ROLL_BACK:
        return _decision(NOTHING, f"The release ended: {ended['outcome']}. Nothing is left to do.")
    began = reached(steps)
    if not began:
        return _decision(FINISH, "Nothing was changed: the release can be ended as it is.", outcome="aborted")
    stuck = _open_or_failed(steps)
    last = began[-1]
    where = f"It stopped at '{stuck['name']}' ({stuck['status']})" if stuck else f"It stands after '{last}'"
    if not any(name in release_steps.TOUCHING for name in began):
        return _decision(
            FINISH, f"{where}; no service, no database and no file was touched, so there is nothing to take back.",
            outcome="aborted",
        )  # fmt: skip
    migrated = "migration" in began
    if _is_as_before(rollback, world, migrated):
        return _decision(
            FINISH,
            f"The system is as it was before the release: version {rollback['previous_version']} runs, maintenance is off.",
            outcome="rolled_back",
        )
    if stuck is None and last == release_steps.NAMES[-1] and wanted != ROLL_BACK:
        return _decision(FINISH, "Every step is done.", outcome="live")
    done_back = [step["name"] for step in steps if step["direction"] == "back" and step["status"] == "done"]
    if "back_database" in done_back and "version" in world and _is_at_revision(rollback, world):
        return _decision(
            ROLL_BACK,
            f"{where}; the database is back already, and the way back goes on from there.",
            database="image_only",
            steps=release_steps.way_back(began, done_back),
        )
    kind = str(rollback.get("database", "unknown"))
    # A way back that had let users in again is past a point of no return of its own.
    users_write = release_steps.POINT_OF_NO_RETURN in began or any(step["name"] == "back_traffic" for step in steps)
    if migrated and kind not in _KINDS:
        return _decision(
            LEAVE_ON,
            f"{where}, and how the database goes back is not on record (it says {kind}).",
            choices=["read ROLLBACK.md, and take it back by hand", "leave it on and mend forward"],
        )
    if kind == "forward_only" and migrated:
        return _decision(
            LEAVE_ON,
            f"{where}, and the plan says that the migration cannot be taken back.",
            choices=[
                "mend forward: deploy a version that works on the new schema",
                "restore the backup by hand as ROLLBACK.md says, accepting the loss it names",
            ],
            outcome="live" if stood_as == "live" else "left_on",
        )
    needs_database = migrated and kind in ("downgrade", "restore")
    back = release_steps.way_back(began)
    if users_write and needs_database:
        return _after_no_return(where, kind, world, "live" if stood_as == "live" else "left_on", back)
    return _decision(
        ROLL_BACK,
        f"{where}; it is rolled back: {_by(kind, began)}.",
        database=kind if migrated else "image_only",
        steps=back,
    )


def _is_as_before(rollback: t.Mapping[str, t.Any], world: World, migrated: bool) -> bool:
    """Whether somebody else has brought everything back, as by ROLLBACK.md. Only where the world was looked at.

    The revision is asked only once the migration began: before that, nobody may have unpacked what can read it.
    """
    if "version" not in world:
        return False
    return bool(
        rollback.get("previous_version")
        and world["version"] == rollback["previous_version"]
        and world.get("all_running")
        and world.get("maintenance") == "disabled"
        and world.get("fence") == "lifted"
        and (not migrated or _is_at_revision(rollback, world))
    )


def _is_at_revision(rollback: t.Mapping[str, t.Any], world: World) -> bool:
    return (world.get("revision") or "") == (rollback.get("revision") or "")


def _after_no_return(where: str, kind: str, world: World, outcome: str, back: t.Sequence[str]) -> dict[str, t.Any]:
    loss = world.get("loss")
    if loss is None:
        return _decision(
            LEAVE_ON,
            f"{where}, after the point of no return; what would be lost has not been counted.",
            choices=["count it: run `rollback`, which asks the database before it decides"],
            outcome=outcome,
            needs_loss=True,
        )
    if loss.get("lossless") is True:
        return _decision(
            ROLL_BACK,
            f"{where}; nobody wrote since the fence, so it is rolled back: {_BY[kind]}.",
            database=kind,
            steps=back,
        )
    stake = stake_in_words(loss)
    if world.get("accept_data_loss"):
        return _decision(
            ROLL_BACK,
            f"{where}; the loss was accepted: {stake}. It is rolled back: {_BY[kind]}.",
            database=kind,
            steps=back,
        )
    return _decision(
        LEAVE_ON,
        f"{where}, after the point of no return. At stake: {stake}. Nothing is undone by itself.",
        choices=[
            "leave it on and mend forward: nothing is lost",
            f"take it back and lose that: `rollback` with golive_accept_data_loss=true ({_BY[kind]})",
        ],
        outcome=outcome,
    )


def stake_in_words(loss: t.Mapping[str, t.Any]) -> str:
    """Rows, tables and time that a way back would lose."""
    if loss.get("rows") is None:
        return f"an unknown number of rows ({loss.get('reason') or 'they cannot be counted'})"
    tables = [entry for entry in loss.get("tables") or [] if entry.get("at_stake") or entry.get("deleted")]
    named = ", ".join(f"{entry['table']} {entry['at_stake']}" for entry in tables[:10])
    deleted = f" and {loss['deleted_rows']} deleted" if loss.get("deleted_rows") else ""
    span = loss.get("span_seconds")
    minutes = f", written in the last {span / 60:.1f} minutes" if span is not None else ""
    return f"{loss['rows']} rows{deleted} in {len(tables)} tables ({named}){minutes}"


#: How the system goes back, by what becomes of the database.
_BY = {
    "image_only": "the previous version comes back, the database stays as it is",
    "downgrade": "the new code takes the migration back, then the previous version comes back",
    "restore": "the database comes back from the backup made in the window, then the previous version",
}


def _by(kind: str, began: t.Sequence[str]) -> str:
    if "migration" in began:
        return _BY[kind]
    if "fence" in began:
        return "the fence is lifted, and the previous version starts again"
    if "stop" in began:
        return "what was stopped of the previous version starts again"
    return "maintenance goes off, since nothing else was done"


def _decision(
    action: str,
    sentence: str,
    *,
    choices: t.Sequence[str] = (),
    outcome: str = "",
    database: str = "",
    needs_loss: bool = False,
    steps: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    return {"action": action, "sentence": sentence, "choices": list(choices), "outcome": outcome, "database": database,
            "needs_loss": needs_loss, "steps": list(steps)}  # fmt: skip
