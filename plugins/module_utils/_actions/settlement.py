# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finish, roll back, or leave on and say so: decided from the journal and the world, whoever asks.

Automatic rollback, ``rollback`` days later and ``abort`` enter here from three sides. Pure.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import release_steps, schema_facts
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

#: What the caller does next.
NOTHING = "nothing"
FINISH = "finish"
ROLL_BACK = "roll_back"
LEAVE_ON = "leave_on"

_KINDS = ("image_only", "downgrade", "restore", "forward_only")
#: Outcomes after which nothing is left to do.
_ENDINGS = ("live", "rolled_back", "aborted")

_TRAFFIC = next(
    dataclasses.asdict(step) for step in release_steps.STEPS if step.name == release_steps.POINT_OF_NO_RETURN
)

#: How many characters of what failed a sentence takes up; the step keeps all of them.
_SHOWN_OF_CAUSE = 600

World = t.Mapping[str, t.Any]
Decision = dict[str, t.Any]


def reached(steps: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Names of the forward steps that began, in order."""
    return [step["name"] for step in steps if step["direction"] == "forward" and step["name"] in release_steps.NAMES]


@dataclasses.dataclass(frozen=True)
class _Case:
    """What is decided on, as ``settle`` was given it."""

    steps: t.Sequence[t.Mapping[str, t.Any]]
    ended: t.Mapping[str, t.Any] | None
    rollback: t.Mapping[str, t.Any]
    world: World
    stood_as: str
    damage: t.Mapping[str, t.Any] | None

    @property
    def is_back_wanted(self) -> bool:
        return bool(self.world.get("wanted") == ROLL_BACK)

    @property
    def began(self) -> list[str]:
        return reached(self.steps)

    @property
    def has_migrated(self) -> bool:
        return "migration" in self.began

    @property
    def readers(self) -> list[str]:
        """Who can read the backup that the release made; none where it is not encrypted, or where there is none."""
        known = [
            step.get("known") or {} for step in self.steps if step["name"] == "backup" and step["status"] == "done"
        ]
        encryption = (known[-1].get("backup") or {}).get("encryption") if known else None
        return list((encryption or {}).get("recipients") or ())

    @property
    def kind(self) -> str:
        return str(self.rollback.get("database", "unknown"))

    @property
    def stuck(self) -> t.Mapping[str, t.Any] | None:
        """The newest step that is open or failed."""
        return next((step for step in self.steps[::-1] if step["status"] in ("open", "failed")), None)

    @property
    def where(self) -> str:
        if self.stuck:
            detail = beginning_of(str(self.stuck.get("detail") or "").strip(), _SHOWN_OF_CAUSE).rstrip(".")
            said = f"It stopped at '{self.stuck['name']}' ({self.stuck['status']}{f': {detail}' if detail else ''})"
            if self.stuck["name"] not in (release_steps.POINT_OF_NO_RETURN, "back_traffic"):
                return said
            title = self.stuck.get("title") or release_steps.title_of(_TRAFFIC, release_steps.parts_of(self.rollback))
            return f"{said}, so not all of this is proven: {title}"
        return f"It stands after '{self.began[-1]}'" if self.began else "No step is on record"

    @property
    def users_write(self) -> bool:
        """A way back that had let users in again is past a point of no return of its own."""
        return release_steps.POINT_OF_NO_RETURN in self.began or any(
            step["name"] == "back_traffic" for step in self.steps
        )

    @property
    def stays_as(self) -> str:
        """The outcome where nothing is undone."""
        return "live" if self.stood_as == "live" else "left_on"


def settle(
    *,
    steps: t.Sequence[t.Mapping[str, t.Any]],
    ended: t.Mapping[str, t.Any] | None,
    rollback: t.Mapping[str, t.Any],
    world: World,
    stood_as: str = "",
    damage: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """What has to happen now, in a sentence, with the steps of the way back, and the choices where a person has to choose.

    ``world`` may hold ``loss``: what pg_restore assessed since the migration, ``accept_data_loss``, ``accepted_by``, ``wanted``
    (``roll_back`` when a person asked for it), ``failure`` (why the run ended), ``has_identity`` (whether there is something to
    read an encrypted backup with). ``damage``: the line that says that the journal was damaged and set aside.
    """
    case = _Case(steps, ended, rollback, world, stood_as, damage)
    decision = _decided(case)
    return _cannot_read(case) if _needs_an_identity(case, decision) else decision


def _decided(case: _Case) -> Decision:
    for rule in (
        _has_ended,
        _is_damaged,
        _touched_nothing,
        _is_back_already,
        _is_done,
        _has_its_database_back,
        _has_no_known_way_back,
        _goes_forward_only,
        _needs_the_loss,
    ):
        decision = rule(case)
        if decision is not None:
            return decision
    return _decision(
        ROLL_BACK,
        f"{case.where}; the way back: {_by(case.kind, case.began)}.",
        database=case.kind if case.has_migrated else "image_only",
        steps=release_steps.way_back(case.began),
    )


def _needs_an_identity(case: _Case, decision: Decision) -> bool:
    restores = decision["action"] == ROLL_BACK and decision["database"] == "restore"
    return restores and bool(case.readers) and not case.world.get("has_identity")


def _cannot_read(case: _Case) -> Decision:
    return _decision(
        LEAVE_ON,
        f"{case.where}; the way back restores the backup, which is encrypted, and no identity that reads it was given. "
        "Nothing is undone by itself.",
        choices=[
            "take it back: `rollback` with golive_secrets.backup_identity, the identity of one of "
            f"{', '.join(case.readers)}",
            "take it back by ROLLBACK.md, which reads the backup with age",
            "leave it on and mend forward",
        ],
        outcome=case.stays_as,
    )


def _has_ended(case: _Case) -> Decision | None:
    if case.ended is None or case.ended["outcome"] not in _ENDINGS or case.is_back_wanted:
        return None
    return _decision(NOTHING, f"The release ended: {case.ended['outcome']}. Nothing is left to do.")


def _is_damaged(case: _Case) -> Decision | None:
    """Of a journal that was damaged nobody can say which steps were done, so only the world ends the release."""
    if case.damage is None:
        return None
    had_ended = case.damage.get("ended")
    if had_ended in _ENDINGS and not case.is_back_wanted:
        return _decision(
            FINISH, f"The release had ended before its journal was damaged: {had_ended}.", outcome=str(had_ended)
        )
    # The world is asked for the database's revision only where the migration is known to have begun.
    is_revision_known = case.has_migrated or case.kind == "image_only"
    if is_revision_known and _is_as_before(case.rollback, case.world, case.has_migrated):
        return _as_it_was(case)
    return _decision(
        LEAVE_ON,
        f"The journal was damaged at line {case.damage['line']}, and the file as it was is kept as "
        f"{case.damage['kept_as']}. {case.where}, as far as it can be read: which steps were done is not proven, so nothing "
        "is undone by itself.",
        choices=[
            "take it back by ROLLBACK.md, whose blocks look before they change, then run `abort` again",
            "look at the services yourself, then end it as you found it: opsready.golive.release with state=claimed, "
            "then state=ended and that outcome",
        ],
        outcome=case.stays_as,
    )


def _touched_nothing(case: _Case) -> Decision | None:
    if not case.began:
        cause = beginning_of(str(case.world.get("failure") or "").strip(), _SHOWN_OF_CAUSE).rstrip(".")
        sentence = "Nothing was changed: the release can be ended as it is."
        return _decision(FINISH, f"{cause}. {sentence}" if cause else sentence, outcome="aborted")
    if any(name in release_steps.TOUCHING for name in case.began):
        return None
    return _decision(
        FINISH,
        f"{case.where}; no service, no database and no file was touched, so there is nothing to take back.",
        outcome="aborted",
    )


def _is_back_already(case: _Case) -> Decision | None:
    return _as_it_was(case) if _is_as_before(case.rollback, case.world, case.has_migrated) else None


def _as_it_was(case: _Case) -> Decision:
    version = case.rollback["previous_version"]
    return _decision(
        FINISH,
        f"The system is as it was before the release: version {version} runs, maintenance is off.",
        outcome="rolled_back",
    )


def _is_done(case: _Case) -> Decision | None:
    if case.stuck is not None or case.began[-1] != release_steps.NAMES[-1] or case.is_back_wanted:
        return None
    return _decision(FINISH, "Every step is done.", outcome="live")


def _has_its_database_back(case: _Case) -> Decision | None:
    done_back = [step["name"] for step in case.steps if step["direction"] == "back" and step["status"] == "done"]
    is_believed = "version" in case.world and _is_at_revision(case.rollback, case.world)
    if "back_database" not in done_back or not is_believed:
        return None
    return _decision(
        ROLL_BACK,
        f"{case.where}; the database is back already, and the way back goes on from there.",
        database="image_only",
        steps=release_steps.way_back(case.began, done_back),
    )


def _has_no_known_way_back(case: _Case) -> Decision | None:
    if case.kind in _KINDS or not (case.has_migrated or "start" in case.began):
        return None
    return _decision(
        LEAVE_ON,
        f"{case.where}, and how the system goes back is not on record (of the database it says {case.kind}).",
        choices=["read ROLLBACK.md, and take it back by hand", "leave it on and mend forward"],
        outcome=case.stays_as,
    )


def _goes_forward_only(case: _Case) -> Decision | None:
    if not case.has_migrated or case.kind != "forward_only":
        return None
    return _decision(
        LEAVE_ON,
        f"{case.where}, and the plan says that the migration cannot be taken back.",
        choices=[
            "mend forward: deploy a version that works on the new schema",
            "restore the backup by hand as ROLLBACK.md says, accepting the loss it names",
        ],
        outcome=case.stays_as,
    )


def _needs_the_loss(case: _Case) -> Decision | None:
    if not case.users_write or not case.has_migrated or case.kind not in ("downgrade", "restore"):
        return None
    return _after_no_return(case.where, case.kind, case.world, case.stays_as, release_steps.way_back(case.began))


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
        and world.get("jobs", "consumed") == "consumed"
        and (not migrated or _is_at_revision(rollback, world))
    )


def _is_at_revision(rollback: t.Mapping[str, t.Any], world: World) -> bool:
    return (world.get("revision") or "") == (rollback.get("revision") or "")


def _after_no_return(where: str, kind: str, world: World, outcome: str, back: t.Sequence[str]) -> Decision:
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
            f"{where}; nobody wrote since the fence, so there is a way back that loses nothing: {_BY[kind]}.",
            database=kind,
            steps=back,
        )
    stake = stake_in_words(loss)
    if world.get("accept_data_loss"):
        return _decision(
            ROLL_BACK,
            f"{where}; the loss was accepted by {world.get('accepted_by') or 'nobody named'}: {stake}. It is rolled back: {_BY[kind]}.",
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


def lost_in_words(steps: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """What the way back left behind of what was written inside the fence; empty where that is proven to be nothing.

    ``steps``: as the journal tells them. The step that restored the database knows ``data_loss`` and ``kept_as``.
    """
    known = [step["known"] for step in steps if (step.get("known") or {}).get("data_loss")]
    if not known or known[-1]["data_loss"].get("lossless") is True:
        return ""
    loss, kept_as = known[-1]["data_loss"], known[-1].get("kept_as")
    kept = f", and it is kept in {kept_as}" if kept_as else ""
    return (
        f"Not in the database that came back: {stake_in_words(loss)}. The release itself, its smoke test or whoever got inside "
        f"the fence wrote that{kept}."
    )


def readers_in_words(steps: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Who may still read the database that failed; empty where nobody does."""
    known = [step["known"]["standbys"] for step in steps if "standbys" in (step.get("known") or {})]
    if not known or not known[-1]:
        return ""
    return f"Sessions on a standby may still read the database that failed: {' '.join(known[-1])}"


def schema_in_words(steps: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """What a downgrade left of the schema; empty where none was compared."""
    known = [step["known"]["schema"] for step in steps if (step.get("known") or {}).get("schema")]
    return schema_facts.in_words(known[-1]) if known else ""


#: How the system goes back, by what becomes of the database.
_BY = {
    "image_only": "the previous version comes back, the database stays as it is",
    "downgrade": "the new code takes the migration back, then the previous version comes back",
    "restore": "the database comes back from the backup made in the window, then the previous version",
}


def _by(kind: str, began: t.Sequence[str]) -> str:
    if "migration" in began or "start" in began:
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
) -> Decision:
    return {"action": action, "sentence": sentence, "choices": list(choices), "outcome": outcome, "database": database,
            "needs_loss": needs_loss, "steps": list(steps)}  # fmt: skip
