# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line per statement: which rules it meets, which lock it takes, and what does not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._checks.migration_lint import RULES, Linted, lint
from ansible_collections.opsready.golive.plugins.module_utils._core import deps
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import MissingLibrary, UnexpectedAnswer

EXCLUSIVE = "ACCESS EXCLUSIVE"


def seen(sql: str) -> Linted:
    return lint(sql, ignored_table="alembic_version")


def rules(sql: str) -> set[str]:
    """As ``accept`` names them, without the lock that goes with most of them."""
    return {one.accepted_as for one in seen(sql).remarks if one.rule != "access_exclusive"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DROP TABLE a, s.b", {"drop_table:a", "drop_table:s.b"}),
        ("ALTER TABLE a DROP COLUMN b, DROP c", {"drop_column:a.b", "drop_column:a.c"}),
        ("DROP TYPE mood", {"drop_object:type mood"}),
        ("DROP FUNCTION f(int)", {"drop_object:function f"}),
        ("DROP SCHEMA s CASCADE", {"drop_object:schema s"}),
        ("DROP TRIGGER t ON a", {"drop_object:trigger a.t"}),
        ("DROP VIEW v", {"drop_object:view v"}),
        ("DROP INDEX i", {"index_not_concurrent:i"}),
        ("DROP INDEX CONCURRENTLY i", set()),
        ("TRUNCATE a, b", {"truncate:a", "truncate:b"}),
        ("ALTER TABLE a RENAME TO b", {"rename:a"}),
        ("ALTER TABLE a RENAME COLUMN b TO c", {"rename:a.b"}),
        ("ALTER TABLE a SET SCHEMA s", {"rename:a"}),
        ("ALTER TYPE mood SET SCHEMA s", {"rename:mood"}),
        ("ALTER TYPE mood RENAME TO m", {"rename:type mood"}),
        ("ALTER VIEW v RENAME TO w", {"rename:view v"}),
        ("ALTER INDEX i RENAME TO j", set()),
        ("ALTER TABLE a RENAME CONSTRAINT x TO y", set()),
        ("ALTER TABLE a ADD COLUMN b text", set()),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL", {"not_null_without_default:a.b"}),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT 'x'", set()),
        ("ALTER TABLE a ADD COLUMN b timestamptz NOT NULL DEFAULT now()", set()),
        ("ALTER TABLE a ADD COLUMN b timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP", set()),
        ("ALTER TABLE a ADD COLUMN b uuid DEFAULT gen_random_uuid()", {"rewrite:a.b"}),
        ("ALTER TABLE a ADD COLUMN b bigserial", {"rewrite:a.b"}),
        ("ALTER TABLE a ADD COLUMN b int GENERATED ALWAYS AS IDENTITY NOT NULL", {"rewrite:a.b"}),
        ("ALTER TABLE a ADD COLUMN b int GENERATED ALWAYS AS (c * 2) STORED", {"rewrite:a.b"}),
        ("ALTER TABLE a ADD COLUMN b int CHECK (b > 0)", {"full_scan:a"}),
        ("ALTER TABLE a ADD COLUMN b int UNIQUE", {"index_not_concurrent:a"}),
        ("ALTER TABLE a ADD COLUMN b int REFERENCES z (id)", {"full_scan:a"}),
        ("ALTER TABLE a ALTER b TYPE bigint", {"type_change:a.b"}),
        ("ALTER TABLE a ALTER b SET NOT NULL", {"full_scan:a.b"}),
        ("ALTER TABLE a ALTER b SET DEFAULT 1", set()),
        ("ALTER TABLE a SET LOGGED", {"rewrite:a"}),
        ("ALTER TABLE a SET TABLESPACE fast", {"rewrite:a"}),
        ("CLUSTER a USING i", {"rewrite:a"}),
        ("CLUSTER", {"rewrite:every table"}),
        ("VACUUM FULL a", {"rewrite:a"}),
        ("VACUUM a", set()),
        ("ANALYZE a", set()),
        ("ALTER TABLE a ATTACH PARTITION b FOR VALUES FROM (1) TO (2)", {"full_scan:a"}),
        ("ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0)", {"full_scan:a.c"}),
        ("ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0) NOT VALID", set()),
        ("ALTER TABLE a VALIDATE CONSTRAINT c", set()),
        ("ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES z (id)", {"full_scan:a.f"}),
        ("ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES z (id) NOT VALID", set()),
        ("ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)", {"index_not_concurrent:a.u"}),
        ("ALTER TABLE a ADD CONSTRAINT u UNIQUE USING INDEX i", set()),
        ("CREATE INDEX i ON a (b)", {"index_not_concurrent:a"}),
        ("CREATE INDEX CONCURRENTLY i ON a (b)", set()),
        ("REINDEX TABLE a", {"index_not_concurrent:a"}),
        ("REINDEX SCHEMA s", {"index_not_concurrent:s"}),
        ("REINDEX TABLE CONCURRENTLY a", set()),
        ("UPDATE a SET b = 1", {"dml_without_where:a"}),
        ("UPDATE a SET b = 1 WHERE c", set()),
        ("DELETE FROM a", {"dml_without_where:a"}),
        ("DELETE FROM a USING b WHERE a.id = b.id", set()),
        ("INSERT INTO a VALUES (1)", set()),
        ("INSERT INTO a SELECT secret(b) FROM c", {"unjudged:secret()"}),
        ("WITH gone AS (DELETE FROM a RETURNING 1) SELECT count(*) FROM gone", {"dml_without_where:a"}),
        ("SELECT pg_catalog.setval('s', 9)", set()),
        ("SELECT app.tidy_up()", {"unjudged:app.tidy_up()"}),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$", {"unjudged:Do"}),
        ("CALL tidy_up()", {"unjudged:Call"}),
        ("DROP OWNED BY x", {"unjudged:DropOwned"}),
        ("ALTER VIEW v SET (security_barrier)", set()),
        ("ALTER TYPE mood ADD VALUE 'x'", set()),
        ("CREATE VIEW v AS SELECT 1", set()),
        ("COMMENT ON TABLE a IS 'DROP TABLE a'", set()),
        ("LOCK TABLE a IN SHARE MODE", set()),
        ("CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()", set()),
    ],
)
def test_what_a_statement_meets(sql: str, expected: set[str]) -> None:
    assert rules(sql) == expected


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        ("ALTER TABLE a ADD COLUMN b int", {("a", EXCLUSIVE)}),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES z (id) NOT VALID",
         {("a", "SHARE ROW EXCLUSIVE"), ("z", "SHARE ROW EXCLUSIVE")}),
        ("ALTER TABLE a VALIDATE CONSTRAINT c", {("a", "SHARE UPDATE EXCLUSIVE")}),
        ("CREATE INDEX i ON a (b)", {("a", "SHARE")}),
        ("CREATE INDEX CONCURRENTLY i ON a (b)", {("a", "SHARE UPDATE EXCLUSIVE")}),
        ("CREATE TABLE n (a int REFERENCES z, FOREIGN KEY (a) REFERENCES y)",
         {("z", "SHARE ROW EXCLUSIVE"), ("y", "SHARE ROW EXCLUSIVE")}),
        ("CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()", {("a", "SHARE ROW EXCLUSIVE")}),
        ("LOCK TABLE a IN SHARE MODE", {("a", "SHARE")}),
        ("LOCK TABLE a", {("a", EXCLUSIVE)}),
        ("UPDATE a SET b = 1", {("a", "ROW EXCLUSIVE")}),
        ("COMMENT ON TABLE a IS 'x'", set()),
    ],
)  # fmt: skip
def test_what_a_statement_locks(sql: str, locks: set[tuple[str, str]]) -> None:
    found = seen(sql)
    assert {(one.table, one.mode) for one in found.locks} == locks
    exclusive = {table for table, mode in locks if mode == EXCLUSIVE}
    assert {one.what for one in found.remarks if one.rule == "access_exclusive"} == exclusive


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE n (a int); CREATE INDEX i ON n (a); ALTER TABLE n ADD b int NOT NULL; DROP TABLE n",
        "CREATE TABLE n (a int); ALTER TABLE n RENAME TO m; ALTER TABLE m ALTER a TYPE text; TRUNCATE m",
        "CREATE TABLE n AS SELECT 1 AS a; UPDATE n SET a = 2; ALTER TABLE n RENAME COLUMN a TO b",
        "DELETE FROM alembic_version; UPDATE alembic_version SET version_num = '2'; DROP TABLE alembic_version",
    ],
)
def test_what_is_new_or_the_tools_own_has_neither_rows_nor_readers(sql: str) -> None:
    found = seen(sql)
    assert (found.remarks, found.locks) == ((), ())


def test_a_table_that_may_have_been_there_is_not_new() -> None:
    assert rules("CREATE TABLE IF NOT EXISTS n (a int); DROP TABLE n") == {"drop_table:n"}


def test_a_lock_is_held_to_the_end_of_its_transaction() -> None:
    sql = "BEGIN; ALTER TABLE a ADD b int; CREATE INDEX i ON z (c); {} CREATE INDEX j ON z (d); COMMIT;"
    held = [one for one in seen(sql.format("")).remarks if one.rule == "lock_held"]
    assert [(one.what, one.statement) for one in held] == [
        ("a", "CREATE INDEX i ON z (c)"),
        ("a", "CREATE INDEX j ON z (d)"),
    ]
    held = [one for one in seen(sql.format("COMMIT; BEGIN;")).remarks if one.rule == "lock_held"]
    assert [one.statement for one in held] == ["CREATE INDEX i ON z (c)"]
    assert "lock_held:a" not in rules("ALTER TABLE a ADD b int; CREATE INDEX i ON z (c)")  # each its own transaction


def test_where_a_statement_stands_and_of_which_revision() -> None:
    sql = "BEGIN;\n\n-- Running upgrade  -> 0001\n\nCOMMENT ON TABLE a IS 'Größe €';\n\n-- Running upgrade 0001 -> 0002\n\nDROP TABLE a;\n"
    (found,) = [one for one in seen(sql).remarks if one.rule == "drop_table"]
    assert (found.revision, found.line, found.statement) == ("0002", 9, "DROP TABLE a")
    (found,) = [one for one in seen("DROP TABLE b").remarks if one.rule == "drop_table"]
    assert (found.revision, found.line) == ("", 1)


def test_sql_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(UnexpectedAnswer, match="cannot read the SQL: syntax error"):
        seen("ALTER TABEL a")


def test_without_the_parser_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deps.FLOORS, "pglast", ("pglast", "999.0"))
    with pytest.raises(MissingLibrary, match=r"pglast is v?\d.* but 999.0 is needed"):
        seen("SELECT 1")


@given(
    st.lists(
        st.sampled_from(["DROP TABLE a", "CREATE TABLE a (b int)", "BEGIN", "COMMIT", "UPDATE a SET b = 1"]), max_size=8
    )
)
def test_every_remark_is_of_a_known_rule_and_in_order(statements: list[str]) -> None:
    found = seen(";\n".join(statements))
    assert found.statements == len(statements)
    assert {one.rule for one in found.remarks} <= set(RULES)
    assert [one.line for one in found.remarks] == sorted(one.line for one in found.remarks)
