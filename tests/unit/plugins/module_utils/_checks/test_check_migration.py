# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check_migration's judgement on plain facts, a line per case."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import migration_rehearsal
from ansible_collections.opsready.golive.plugins.module_utils._actions.migration_rehearsal import Rehearsal, Step
from ansible_collections.opsready.golive.plugins.module_utils._checks import check_migration
from ansible_collections.opsready.golive.plugins.module_utils._checks.check_migration import Facts, Kept, Plan
from ansible_collections.opsready.golive.plugins.module_utils._checks.migration_lint import Linted, Remark
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import validated
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import ORDER, Judgement

PENDING = {"revision": "0002", "rollback": "reversible", "reasons": []}
PLAN = Plan(
    "archive",
    current=("0001",),
    target="0002",
    pending=(PENDING,),
    sql="ALTER TABLE notes ADD extra text;",
    sql_sha256="a" * 64,
    preview="b" * 64,
    rollback_kind="downgrade",
    rollback_reason="each of the 1 pending revisions can be taken back in full",
)
DONE = dataclasses.replace(PLAN, current=("0002",), pending=(), sql=None, sql_sha256=None, rollback_kind="image_only",
                           sql_problem="nothing is pending")  # fmt: skip
UNRENDERED = dataclasses.replace(PLAN, sql=None, sql_sha256=None, sql_problem="cannot be rendered: it asks")
GOOD = Step(0, 1.5, "", "", "")
BAD = Step(1, 0.5, "0002", "sqlalchemy.exc.ProgrammingError: there is no column.", "…")
REHEARSED = Rehearsal(
    "backup x", {"created": "2026-11-22T00:00:00Z"}, 3.0, upgrade=GOOD, downgrade=GOOD, revision_after=("0001",)
)


def judgement(facts: Facts, **options: t.Any) -> Judgement:
    given = {"dsn": "postgresql://golive@db/archive", "directory": "/srv", **options}
    params = validated(check_migration.ARGUMENT_SPEC, given, where="check_migration", **check_migration.CONSTRAINTS)
    return Judgement.of(check_migration.judge(facts, params))


def kept(**changes: t.Any) -> Facts:
    return Facts(PLAN, kept=dataclasses.replace(Kept("/p.sql", "a" * 64, 0o600), **changes))


def linted(*remarks: tuple[str, str]) -> Facts:
    found = tuple(Remark(rule, what, "0002", 7, "…") for rule, what in remarks)
    return Facts(PLAN, linted=Linted(3, found, ()))


def rehearsed(**changes: t.Any) -> Facts:
    return Facts(PLAN, rehearsal=dataclasses.replace(REHEARSED, **changes), backup_age_seconds=7200)


PLACE = {"destination": "file:///b"}
CASES: list[tuple[Facts, dict[str, t.Any], str, str]] = [
    (Facts(PLAN), {}, "pass", "preview"),
    (Facts(DONE), {"pending": "none", "way_back": "downgrade"}, "pass", "nothing is pending"),
    (Facts(PLAN), {"pending": "none"}, "fail", "archive is at 0001, and 1 revisions are pending: 0002"),
    (Facts(Plan("archive", refused="There are 2 heads: a, b", remedy="Merge.")), {}, "fail", "There are 2 heads: a, b."),
    (Facts(UNRENDERED), {}, "unknown", "the SQL of 0002 cannot be rendered: it asks"),
    (Facts(dataclasses.replace(PLAN, asking=("0002",))), {}, "unknown", "0002 asks whether it is only rendered"),
    (Facts(PLAN), {"expected_preview": "b" * 64}, "pass", ""),
    (Facts(PLAN), {"expected_preview": "c" * 64}, "fail", "the preview is bbbbbbbbbbbb…, and cccccccccccc… was read"),
    (Facts(DONE), {"expected_preview": "c" * 64}, "pass", ""),
    (kept(), {}, "pass", ""),
    (kept(sha256=None, mode=None), {}, "fail", "/p.sql is missing"),
    (kept(sha256="d" * 64), {}, "fail", "is not the SQL that is pending now"),
    (kept(mode=0o640), {}, "fail", "/p.sql has mode 0640"),
    (kept(sha256=None, mode=None, problem="it is a folder"), {}, "unknown", "cannot be judged: it is a folder"),
    (Facts(UNRENDERED, kept=Kept("/p.sql", "a" * 64, 0o600)), {}, "unknown", "cannot be compared"),
    (Facts(DONE, kept=Kept("/p.sql", None, None)), {}, "pass", ""),
    (linted(), {"lint": {}}, "pass", ""),
    (linted(("drop_column", "notes.text")), {"lint": {}}, "fail", "the SQL drops a column: notes.text (0002, line 7)"),
    (linted(("drop_column", "a.b")), {"lint": {"accept": ["drop_column:a.b"]}}, "pass", ""),
    (linted(("drop_column", "a.b")), {"lint": {"accept": ["drop_column:a.c"]}}, "fail", "a.b"),
    (linted(("rename", "a")), {"lint": {}}, "warn", "its old name: a (0002, line 7)"),
    (linted(("rename", "a")), {"lint": {"fail_on": ["rename"]}}, "fail", "a (0002, line 7)"),
    (linted(("access_exclusive", "a")), {"lint": {}}, "pass", ""),
    (linted(("unjudged", "Do")), {"lint": {}}, "unknown", "does what the SQL does not show: Do"),
    (linted(("unjudged", "Do")), {"lint": {"fail_on": [], "warn_on": []}}, "unknown", "Do"),
    (linted(*[("truncate", f"t{n}") for n in range(9)]), {"lint": {}}, "fail", "t4 (0002, line 7) and 4 more"),
    (Facts(PLAN, linted=Linted(0, (), ())), {"lint": {}}, "fail", "the SQL holds no statement"),
    (Facts(PLAN, lint_problem="pglast is missing", lint_remedy="Install."), {"lint": {}}, "unknown", "pglast is missing"),
    (Facts(UNRENDERED), {"lint": {}}, "unknown", "the SQL was not judged by its rules: the SQL cannot be rendered"),
    (Facts(DONE), {"lint": {}}, "pass", ""),
    (Facts(dataclasses.replace(PLAN, rollback_kind="restore", rollback_reason="0002 is lossy")),
     {"way_back": "downgrade"}, "fail", "the way back is restore, since 0002 is lossy"),
    (rehearsed(), {"rehearse": PLACE}, "pass", ""),
    (rehearsed(upgrade=BAD, downgrade=None), {"rehearse": PLACE}, "fail",
     "upgrade on a copy (backup x) failed at 0002 with exit code 1 after 0.5 s: sqlalchemy.exc.ProgrammingError: there is no column"),
    (rehearsed(downgrade=dataclasses.replace(BAD, failed_at="")), {"rehearse": PLACE}, "fail",
     "downgrade on a copy (backup x) failed with exit code 1"),
    (rehearsed(left=("CREATE INDEX i",)), {"rehearse": PLACE}, "fail", "not as before: +CREATE INDEX i"),
    (rehearsed(lost=("a text",)), {"rehearse": PLACE}, "fail", "not as before: -a text"),
    (rehearsed(revision_after=("0002",)), {"rehearse": PLACE}, "fail", "revision after the downgrade is 0002, expected 0001"),
    (rehearsed(), {"rehearse": {**PLACE, "max_backup_age": "1h"}}, "fail", "age of the rehearsed backup"),
    (rehearsed(), {"rehearse": {**PLACE, "max_upgrade_time": "1s"}}, "fail", "time of the upgrade"),
    (rehearsed(), {"rehearse": {**PLACE, "max_downgrade_time": "1s"}}, "fail", "time of the downgrade"),
    (rehearsed(), {"rehearse": {**PLACE, "max_downgrade_time": "2s"}}, "pass", ""),
    (Facts(PLAN, rehearsal_problem="it hangs", rehearsal_remedy="Wait."), {"rehearse": PLACE}, "unknown", "was not rehearsed: it hangs"),
    (Facts(PLAN, left_out=True), {"rehearse": PLACE}, "unknown", "check mode leaves out"),
    (Facts(DONE), {"rehearse": PLACE}, "pass", ""),
    (Facts(dataclasses.replace(PLAN, pending=({"revision": "0002", "rollback": "irreversible", "reasons": ["downgrade() is empty"]},))),
     {"rehearse": PLACE}, "fail", "there is no downgrade to rehearse, since 0002: downgrade() is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "options", "status", "said"), CASES)
def test_what_facts_are_judged_to_be(facts: Facts, options: dict[str, t.Any], status: str, said: str) -> None:
    found = judgement(facts, **options)
    assert (found.status, said.casefold() in found.summary.casefold()) == (status, True), found.summary
    assert bool(found.remedy) is (status != "pass" and not found.left_out)
    assert found.left_out is ("check mode" in said)


@given(st.lists(st.sampled_from(CASES), min_size=1, max_size=3))
def test_a_finding_is_as_bad_as_its_worst_fact(cases: list[tuple[Facts, dict[str, t.Any], str, str]]) -> None:
    """What is judged besides never makes a finding better."""
    for facts, options, status, _said in cases:
        more = judgement(facts, **{"pending": "none", **options})
        assert ORDER.index(more.status) >= ORDER.index(status)


def test_evidence_has_no_sql_and_is_json() -> None:
    told = check_migration.evidence(dataclasses.replace(rehearsed(left=("x",) * 99), kept=Kept("/p", None, None)))
    assert "sql" not in told
    assert len(told["rehearsal"]["left"]) == 20
    assert told["kept"]["mode"] is None
    assert check_migration.evidence(kept())["kept"]["mode"] == "0600"


def test_the_order_of_columns_is_no_difference() -> None:
    before = b"-- of 18\nCREATE TABLE a (\n    b integer,\n    c text\n);\n"
    after = b"-- of 15\nCREATE TABLE a (\n    c text,\n    b integer\n);\n"
    assert migration_rehearsal.unlike(before, after) == ((), ())
    assert migration_rehearsal.unlike(before, b"CREATE TABLE a (\n    b bigint\n);\n") == (
        ("b integer", "c text"),
        ("b bigint",),
    )


def test_a_copy_that_is_gone_is_not_dropped_again() -> None:
    dropped: list[int] = []
    one, other = (migration_rehearsal.Remains(lambda: dropped.append(1)) for unused in range(2))
    one.gone()
    for remains in (one, other, other):
        remains.close()
    assert dropped == [1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("op.drop_table('a')", False),
        ("if context.is_offline_mode():\n    pass", True),
        ("if not op.get_context().as_sql:\n    pass", True),
    ],
)
def test_a_revision_that_asks_for_the_mode_is_seen(tmp_path: Path, source: str, expected: bool) -> None:
    (tmp_path / "one.py").write_text(source)
    assert check_migration._asks_for_mode(str(tmp_path / "one.py")) is expected
