# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed release does next: undo what is proven lossless, and never anything else by itself (law 10)."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.release_steps import NAMES, TOUCHING, way_back
from ansible_collections.opsready.golive.plugins.module_utils._actions.settlement import (
    lost_in_words,
    readers_in_words,
    schema_in_words,
    settle,
    stake_in_words,
)

LOSS = {
    "lossless": False,
    "rows": 12,
    "tables": [
        {"table": "public.jobs", "at_stake": 12, "deleted": 0},
        {"table": "public.users", "at_stake": 0, "deleted": 0},
    ],
    "span_seconds": 90,
}


def _steps(last: str, status: str = "failed", *back: str) -> list[dict[str, t.Any]]:
    began = NAMES[: NAMES.index(last) + 1]
    steps = [{"name": name, "status": "done", "direction": "forward"} for name in began]
    if steps:
        steps[-1]["status"] = status
    return steps + [{"name": name, "status": "done", "direction": "back"} for name in back]


def _settle(
    steps: list[dict[str, t.Any]], kind: str | None = "restore", ended: str | None = None, **world: t.Any
) -> dict[str, t.Any]:
    rollback = {"database": kind, "previous_version": "1.0.0", "revision": "a1"} if kind else {}
    return settle(steps=steps, ended={"outcome": ended} if ended else None, rollback=rollback, world=world)


@pytest.mark.parametrize("outcome", ["live", "rolled_back", "aborted"])
def test_what_has_ended_is_left_alone(outcome: str) -> None:
    assert _settle(_steps("watch", "done"), ended=outcome)["action"] == "nothing"


def _encrypted(last: str, *back: str) -> list[dict[str, t.Any]]:
    """The backup of the release is for somebody alone."""
    known = {"backup": {"encryption": {"format": "age", "recipients": ["age1operations"]}}}
    return [{**step, "known": known} if step["name"] == "backup" else step for step in _steps(last, "failed", *back)]


@pytest.mark.parametrize(
    ("last", "world"),
    [
        ("migration", {}),
        ("start", {"has_identity": False}),
        ("watch", {"loss": {"lossless": True, "rows": 0}}),
        ("watch", {"loss": LOSS, "accept_data_loss": True, "wanted": "roll_back"}),
    ],
)
def test_a_backup_that_nobody_here_can_read_is_not_restored(last: str, world: dict[str, t.Any]) -> None:
    decision = _settle(_encrypted(last), **world)
    assert (decision["action"], decision["outcome"], decision["steps"]) == ("leave_on", "left_on", [])
    assert "is encrypted, and no identity that reads it was given" in decision["sentence"]
    assert "golive_secrets.backup_identity, the identity of one of age1operations" in decision["choices"][0]
    assert _settle(_encrypted(last), **{**world, "has_identity": True})["action"] == "roll_back"


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        (_encrypted("backup"), "restore"),
        (_encrypted("migration"), "downgrade"),
        (_encrypted("start"), "image_only"),
        (_steps("migration"), "restore"),
    ],
)
def test_a_way_back_that_restores_no_encrypted_backup_asks_for_no_identity(
    steps: list[dict[str, t.Any]], kind: str
) -> None:
    assert _settle(steps, kind)["action"] == "roll_back"


def test_what_stood_as_live_stays_live_where_the_backup_cannot_be_read() -> None:
    decision = settle(steps=_encrypted("watch"), ended=None, rollback={"database": "restore"}, stood_as="live",
                      world={"wanted": "roll_back", "loss": {"lossless": True}})  # fmt: skip
    assert (decision["action"], decision["outcome"]) == ("leave_on", "live")


def test_what_was_left_on_is_decided_again() -> None:
    assert _settle(_steps("start"), ended="left_on")["action"] == "roll_back"


def test_nothing_changed_means_nothing_to_undo() -> None:
    decision = _settle([])
    assert (decision["action"], decision["outcome"]) == ("finish", "aborted")


def test_every_step_done_is_live() -> None:
    decision = _settle(_steps("watch", "done"))
    assert (decision["action"], decision["outcome"]) == ("finish", "live")


@pytest.mark.parametrize("world", [{}, {"version": "1.0.0", "maintenance": "enabled"}, {"wanted": "roll_back"}])
@pytest.mark.parametrize("status", ["open", "failed", "done"])
def test_a_release_that_only_fetched_the_new_version_is_closed_in_the_books(
    status: str, world: dict[str, t.Any]
) -> None:
    decision = _settle(_steps("images", status), **world)
    assert (decision["action"], decision["outcome"], decision["steps"]) == ("finish", "aborted", [])
    assert "no service, no database and no file was touched" in decision["sentence"]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ("maintenance_on", "maintenance goes off, since nothing else was done"),
        ("stop", "what was stopped of the previous version starts again"),
        ("fence", "the fence is lifted"),
        ("backup", "the fence is lifted"),
    ],
)
def test_the_sentence_says_what_is_undone(last: str, words: str) -> None:
    decision = _settle(_steps(last))
    assert words in decision["sentence"]
    assert decision["steps"] == way_back(NAMES[: NAMES.index(last) + 1])


@pytest.mark.parametrize("last", TOUCHING[: TOUCHING.index("migration")])
def test_before_the_migration_only_the_services_go_back(last: str) -> None:
    decision = _settle(_steps(last))
    assert (decision["action"], decision["database"]) == ("roll_back", "image_only")
    assert f"stopped at '{last}' (failed)" in decision["sentence"]


@pytest.mark.parametrize("kind", ["downgrade", "restore", "image_only"])
@pytest.mark.parametrize("last", ["migration", "start", "smoke_inside"])
def test_before_the_point_of_no_return_the_database_goes_back_as_the_plan_says(last: str, kind: str) -> None:
    decision = _settle(_steps(last), kind)
    assert (decision["action"], decision["database"]) == ("roll_back", kind)


def test_a_killed_run_is_settled_like_a_failed_one() -> None:
    decision = _settle(_steps("migration", "open"))
    assert decision["action"] == "roll_back"
    assert "(open)" in decision["sentence"]


@pytest.mark.parametrize("last", ["migration", "traffic", "watch"])
def test_what_only_goes_forward_is_never_taken_back(last: str) -> None:
    decision = _settle(_steps(last), "forward_only", wanted="roll_back", accept_data_loss=True)
    assert decision["action"] == "leave_on"
    assert len(decision["choices"]) == 2


@pytest.mark.parametrize("kind", [None, "unknown", "something else"])
@pytest.mark.parametrize("last", ["migration", "traffic"])
def test_a_way_back_that_is_not_on_record_is_not_guessed(last: str, kind: str | None) -> None:
    decision = _settle(_steps(last), kind)
    assert (decision["action"], decision["outcome"]) == ("leave_on", "left_on")
    assert decision["choices"]


@pytest.mark.parametrize("kind", ["downgrade", "restore"])
@pytest.mark.parametrize("last", ["traffic", "smoke_outside", "watch"])
def test_after_the_point_of_no_return_the_loss_is_counted_first(last: str, kind: str) -> None:
    decision = _settle(_steps(last), kind)
    assert (decision["action"], decision["needs_loss"]) == ("leave_on", True)


def test_rows_of_users_are_never_undone_by_itself() -> None:
    decision = _settle(_steps("watch"), loss=LOSS)
    assert decision["action"] == "leave_on"
    assert "12 rows in 1 tables (public.jobs 12), written in the last 1.5 minutes" in decision["sentence"]
    assert "golive_accept_data_loss=true" in decision["choices"][1]


def test_nobody_wrote_so_it_may_be_undone() -> None:
    assert _settle(_steps("watch"), loss={"lossless": True, "rows": 0})["action"] == "roll_back"


def test_an_accepted_loss_is_named_and_undone() -> None:
    decision = _settle(_steps("watch"), loss=LOSS, accept_data_loss=True, accepted_by="Ada Example")
    assert decision["action"] == "roll_back"
    assert "the loss was accepted by Ada Example: 12 rows" in decision["sentence"]


@pytest.mark.parametrize("lossless", [None, "unknown", 1, "true", False])
def test_only_a_proven_lossless_is_lossless(lossless: object) -> None:
    assert _settle(_steps("watch"), loss={"lossless": lossless, "rows": 0})["action"] == "leave_on"


def test_an_image_only_release_may_be_taken_back_at_any_time() -> None:
    assert _settle(_steps("watch"), "image_only")["action"] == "roll_back"
    assert _settle(_steps("watch", "done"), "image_only", ended="live", wanted="roll_back")["action"] == "roll_back"


def test_a_way_back_that_let_users_in_again_counts_the_loss_before_another() -> None:
    steps = _steps("smoke_inside", "failed", "back_maintenance", "back_database", "back_traffic")
    decision = _settle(steps)
    assert (decision["action"], decision["needs_loss"]) == ("leave_on", True)


AS_BEFORE = {"version": "1.0.0", "all_running": True, "maintenance": "disabled", "fence": "lifted", "revision": "a1"}


def test_a_system_that_somebody_brought_back_by_hand_is_only_noted() -> None:
    decision = _settle(_steps("start"), **AS_BEFORE)
    assert (decision["action"], decision["outcome"]) == ("finish", "rolled_back")


@pytest.mark.parametrize(
    "difference",
    [
        {"version": "2.0.0"},
        {"all_running": False},
        {"maintenance": "enabled"},
        {"fence": "fenced"},
        {"revision": "b2"},
        {"jobs": "waiting"},
        {"jobs": "unknown"},
    ],
)
def test_a_world_that_differs_in_one_thing_is_not_as_before(difference: dict[str, t.Any]) -> None:
    assert _settle(_steps("start"), **{**AS_BEFORE, **difference})["action"] == "roll_back"


def test_a_way_back_that_stopped_before_the_jobs_were_back_goes_on() -> None:
    """A system without schedulers: maintenance is off again, and what was put aside still lies in the broker."""
    back = _steps("stop", "failed", "back_maintenance", "back_start", "back_traffic")
    back[-1]["status"] = "failed"
    assert _settle(back, "image_only", **AS_BEFORE)["outcome"] == "rolled_back"
    decision = _settle(back, "image_only", **AS_BEFORE, jobs="waiting")
    assert (decision["action"], decision["steps"][-1]) == ("roll_back", "back_traffic")
    assert "so not all of this is proven: maintenance off, workers consume" in decision["sentence"]


def test_users_that_are_back_without_their_jobs_are_not_told_that_nothing_is_lost_and_no_more() -> None:
    decision = _settle(_steps("traffic"), loss=LOSS)
    assert decision["action"] == "leave_on"
    assert "not all of this is proven: maintenance off, workers consume, schedulers start" in decision["sentence"]


@pytest.mark.parametrize("last", ["start", "smoke_inside", "traffic", "watch"])
def test_a_system_without_a_migration_whose_way_back_is_lost_is_left_on(last: str) -> None:
    steps = [step for step in _steps(last) if step["name"] != "migration"]
    decision = _settle(steps, None)
    assert (decision["action"], "is not on record" in decision["sentence"]) == ("leave_on", True)


def test_before_the_migration_the_revision_need_not_be_asked() -> None:
    seen = {name: value for name, value in AS_BEFORE.items() if name != "revision"}
    assert _settle(_steps("stop"), **seen)["outcome"] == "rolled_back"
    assert _settle(_steps("migration"), **seen)["action"] == "roll_back"


def test_a_first_migration_is_not_as_before_while_its_revision_stands() -> None:
    rollback = {"database": "restore", "previous_version": "1.0.0", "revision": None}
    for revision, action in (("a1", "roll_back"), ("", "finish")):
        world = {**AS_BEFORE, "revision": revision}
        assert settle(steps=_steps("start"), ended=None, rollback=rollback, world=world)["action"] == action


BACK = ["back_maintenance", "back_stop", "back_database"]


def test_a_way_back_that_had_the_database_back_goes_on_without_it() -> None:
    decision = _settle(_steps("migration", "failed", *BACK), version="2.0.0", revision="a1")
    assert (decision["action"], decision["database"]) == ("roll_back", "image_only")
    assert "back_database" not in decision["steps"]
    assert "goes on from there" in decision["sentence"]


@pytest.mark.parametrize("world", [{}, {"version": "2.0.0", "revision": "b2"}])
def test_that_the_database_is_back_is_believed_of_the_world_only(world: dict[str, t.Any]) -> None:
    decision = _settle(_steps("migration", "failed", *BACK), **world)
    assert (decision["action"], decision["database"]) == ("roll_back", "restore")


def test_users_that_were_let_in_on_the_way_back_are_not_shut_out_again() -> None:
    steps = _steps("smoke_inside", "failed", *BACK, "back_files", "back_start", "back_traffic")
    decision = _settle(steps, version="1.0.0", revision="a1", all_running=False)
    assert decision["steps"] == ["back_start", "back_traffic"]


@given(
    last=st.sampled_from(NAMES),
    status=st.sampled_from(["open", "failed", "done"]),
    kind=st.sampled_from(["restore", "downgrade", "forward_only", "image_only", None]),
    rows=st.none() | st.integers(0, 9),
    wanted=st.sampled_from(["", "roll_back"]),
)
def test_without_a_word_nothing_that_may_lose_rows_is_undone(
    last: str, status: str, kind: str | None, rows: int | None, wanted: str
) -> None:
    decision = _settle(_steps(last, status), kind, loss={"lossless": False, "rows": rows, "tables": []}, wanted=wanted)
    after = NAMES.index(last) >= NAMES.index("traffic")
    if after and kind in ("restore", "downgrade", "forward_only", None):
        assert decision["action"] != "roll_back"
    assert decision["sentence"]
    assert bool(decision["choices"]) == (decision["action"] == "leave_on")
    assert bool(decision["steps"]) == (decision["action"] == "roll_back")


def test_a_loss_is_told_in_rows_tables_and_time() -> None:
    assert stake_in_words({"rows": None, "reason": "no snapshot"}) == "an unknown number of rows (no snapshot)"
    assert stake_in_words({}) == "an unknown number of rows (they cannot be counted)"
    text = stake_in_words({"rows": 1, "deleted_rows": 2, "tables": [{"table": "t", "at_stake": 1, "deleted": 2}]})
    assert text == "1 rows and 2 deleted in 1 tables (t 1)"


DAMAGE = {"line": 3, "kept_as": "journal.damaged-1.jsonl", "ended": ""}


def _damaged(last: str, kind: str = "restore", ended: str = "", **world: t.Any) -> dict[str, t.Any]:
    rollback = {"database": kind, "previous_version": "1.0.0", "revision": "a1"}
    steps = _steps(last) if last else []
    return settle(
        steps=steps, ended=None, rollback=rollback, world=world, stood_as=ended, damage={**DAMAGE, "ended": ended}
    )


@pytest.mark.parametrize("wanted", ["", "roll_back"])
@pytest.mark.parametrize("last", ["", "images", "stop", "migration", "traffic", "watch"])
def test_after_a_damaged_journal_nothing_is_undone_and_nothing_is_called_done(last: str, wanted: str) -> None:
    decision = _damaged(last, wanted=wanted, accept_data_loss=True, loss={"lossless": True, "rows": 0})
    assert (decision["action"], decision["outcome"]) == ("leave_on", "left_on")
    assert "damaged at line 3, and the file as it was is kept as journal.damaged-1.jsonl" in decision["sentence"]
    assert "ROLLBACK.md" in decision["choices"][0]


def test_after_a_damaged_journal_the_world_ends_the_release() -> None:
    assert _damaged("migration", **AS_BEFORE)["outcome"] == "rolled_back"
    assert _damaged("stop", "image_only", **AS_BEFORE)["outcome"] == "rolled_back"
    # Whether the migration began is not known, so nobody asked for the revision.
    assert _damaged("stop", **AS_BEFORE)["action"] == "leave_on"
    assert _damaged("migration", **{**AS_BEFORE, "revision": "b2"})["action"] == "leave_on"


@pytest.mark.parametrize("outcome", ["live", "rolled_back", "aborted"])
def test_a_release_that_had_ended_before_the_damage_ends_as_it_had(outcome: str) -> None:
    decision = _damaged("watch", ended=outcome)
    assert (decision["action"], decision["outcome"]) == ("finish", outcome)
    assert _damaged("watch", ended=outcome, wanted="roll_back")["action"] == "leave_on"


def _restored(**loss: t.Any) -> list[dict[str, t.Any]]:
    known = {"data_loss": {**LOSS, **loss}, "kept_as": "archive_failed_r1"}
    return [{"name": "back_database", "known": known}, {"name": "back_files", "known": {}}]


def test_what_a_restore_left_behind_is_told_with_rows_tables_time_and_where_it_is() -> None:
    assert lost_in_words(_restored()) == (
        "Not in the database that came back: 12 rows in 1 tables (public.jobs 12), written in the last 1.5 minutes. The release "
        "itself, its smoke test or whoever got inside the fence wrote that, and it is kept in archive_failed_r1."
    )
    assert "an unknown number of rows (no snapshot)" in lost_in_words(
        _restored(lossless=None, rows=None, reason="no snapshot")
    )


def test_a_restore_that_lost_nothing_says_nothing() -> None:
    assert lost_in_words(_restored(lossless=True)) == ""
    assert lost_in_words([{"name": "back_files", "known": {}}]) == ""
    assert lost_in_words([]) == ""


def test_who_may_still_read_what_failed_is_told() -> None:
    step = {"name": "back_database", "known": {"standbys": ["postgres at replica:5432 refused the connection."]}}
    assert readers_in_words([step, {"name": "back_files", "known": {}}]) == (
        "Sessions on a standby may still read the database that failed: postgres at replica:5432 refused the connection."
    )
    # A second attempt freed it.
    assert readers_in_words([step, {"name": "back_database", "known": {"standbys": []}}]) == ""


def test_what_became_of_the_schema_is_told_where_it_was_compared() -> None:
    one = [{"object": "enum public.colour", "after": "'red'"}]
    counts = {"missing": 0, "changed": 0, "unexpected": 0, "left_over": 1}
    schema = {"is_as_before": True, "objects": 12, "counts": counts, "missing": [], "changed": [], "unexpected": []}
    step = {"name": "back_database", "known": {"schema": {**schema, "left_over": one}}}
    assert schema_in_words([step, {"name": "back_files", "known": {}}]) == (
        "The schema is as it was before the migration, but for 1 left over (enum public.colour)."
    )
    assert schema_in_words(_restored()) == ""
