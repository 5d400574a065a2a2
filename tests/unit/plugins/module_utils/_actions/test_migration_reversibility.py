# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A downgrade is called reversible only when the file proves it."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions.migration_reversibility import (
    Effects,
    assigned_columns,
    judge,
    read_sql,
    split_sql,
)

HEAD = """
import sqlalchemy as sa
from alembic import op
from sqlalchemy import text
"""
INDEX = "op.create_index('i', 't', ['a'])"


def _verdict(up: str, down: str, extra: str = "") -> tuple[str, str]:
    body = HEAD + textwrap.dedent(extra)
    body += "\ndef upgrade():\n" + textwrap.indent(textwrap.dedent(up), "    ")
    body += "\ndef downgrade():\n" + textwrap.indent(textwrap.dedent(down), "    ")
    found = judge(body, name="x.py")
    assert found.is_reversible is (found.kind == "reversible")
    return found.kind, "; ".join(found.reasons)


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("pass", "pass"),
        ("op.add_column('t', sa.Column('a', sa.Text))", "op.drop_column('t', 'a')"),
        ("op.create_table('n', sa.Column('a', sa.Text))", "op.drop_table('n')"),
        ("op.create_index('i', 't', ['a'])", "op.drop_index('i', 't')"),
        ("with op.get_context().autocommit_block(): op.create_index('i', 't', ['a'])", "op.drop_index('i', 't')"),
        ("op.rename_table('a', 'b')", "op.rename_table('b', 'a')"),
        ("op.alter_column('t', 'a', nullable=False)", "op.alter_column('t', 'a', nullable=True)"),
        (
            "op.alter_column('t', 'a', existing_type=sa.Integer(), type_=sa.BigInteger())",
            "op.alter_column('t', 'a', existing_type=sa.BigInteger(), type_=sa.BigInteger())",
        ),
        (
            "op.alter_column('t', 'a', existing_type=sa.String(20), type_=sa.String(length=40))",
            "op.alter_column('t', 'a', nullable=True)",
        ),
        (
            "op.alter_column('t', 'a', existing_type=sa.String(20), type_=sa.Text())",
            "op.alter_column('t', 'a', nullable=True)",
        ),
        (
            "with op.batch_alter_table('t') as batch:\n    batch.add_column(sa.Column('a', sa.Text))",
            "with op.batch_alter_table('t') as batch:\n    batch.drop_column('a')",
        ),
        # A column that the migration brings itself may be filled by it.
        (
            "op.add_column('t', sa.Column('a', sa.Text))\nop.execute('UPDATE t SET a = upper(b), a=c WHERE x IN (1, 2)')",
            "op.drop_column('t', 'a')",
        ),
        ("n = op.create_table('n', sa.Column('a', sa.Text))\nop.bulk_insert(n, [{'a': 'x'}])", "op.drop_table('n')"),
        ("op.execute('CREATE TABLE n (a int); INSERT INTO n SELECT 1')", "op.execute('DROP TABLE IF EXISTS n')"),
        (
            "op.execute(text('ALTER TABLE t ADD COLUMN a int, ADD b int'))",
            "op.execute('ALTER TABLE t DROP COLUMN a, DROP b')",
        ),
        ("op.execute('INSERT INTO t VALUES (1)')", "op.execute('DELETE FROM t WHERE id = 1')"),
        ("op.execute('CREATE UNIQUE INDEX i ON t (a)')", "op.execute('DROP INDEX i')"),
        ("op.execute('ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)')", "op.execute('ALTER TABLE t DROP CONSTRAINT c')"),
        ("op.execute('ALTER TABLE t ALTER a SET NOT NULL')", "op.execute('ALTER TABLE t ALTER a DROP NOT NULL')"),
        ("op.execute(f'CREATE INDEX i ON t (a)')", "op.drop_index('i')"),
        ("op.get_bind().execute(sa.text('CREATE TABLE n (a int)'))", "op.drop_table('n')"),
    ],
)
def test_what_can_be_taken_back_in_full_is_reversible(up: str, down: str) -> None:
    assert _verdict(up, down) == ("reversible", "")


@pytest.mark.parametrize(
    ("up", "down", "said"),
    [
        ("op.drop_column('t', 'a')", "op.add_column('t', sa.Column('a', sa.Text))", "drops column t.a"),
        ("with op.get_context().autocommit_block(): op.drop_table('t')", "op.create_table('t')", "drops table t"),
        ("op.drop_table('t')", "op.create_table('t')", "drops table t"),
        ("op.execute('DROP TABLE public.t, u CASCADE')", "op.create_table('t'); op.create_table('u')", "drops table u"),
        ("op.execute('UPDATE t SET a = 1')", INDEX, "overwrites t.a"),
        ("op.execute('DELETE FROM ONLY t')", INDEX, "deletes from t"),
        ("op.execute('TRUNCATE TABLE u, t')", INDEX, "deletes from t"),
        ("op.execute('ALTER TABLE t DROP a')", "op.execute('ALTER TABLE t ADD a int')", "drops column t.a"),
        (
            "op.execute('ALTER TABLE t ALTER COLUMN a SET DATA TYPE int')",
            "op.execute('ALTER TABLE t ALTER a TYPE text')",
            "changes the type",
        ),
        (
            "op.alter_column('t', 'a', existing_type=sa.Text(), type_=sa.String(10))",
            "op.alter_column('t', 'a', type_=sa.Text())",
            "changes the type of t.a",
        ),
        (
            "op.alter_column('t', 'a', type_=sa.Integer())",
            "op.alter_column('t', 'a', type_=sa.Text())",
            "changes the type",
        ),
        ("op.alter_column('t', 'a', existing_type=x[0], type_=sa.Text())", INDEX, "changes the type"),
        (
            "op.alter_column('t', 'a', existing_type=sa.String(n), type_=sa.Text())",
            INDEX,
            "changes the type",
        ),
        ("op.alter_column('t', 'a', existing_type=sa.Text(), type_=sa.JSON())", INDEX, "changes the type"),
        (
            "op.add_column('t', sa.Column('a', sa.Text))",
            "op.drop_column('t', 'b'); op.drop_column('t', 'a')",
            "t.b, which",
        ),
        ("op.create_table('n')", "op.drop_table('n'); op.drop_table('old')", "drops table old, which"),
        ("op.create_table('n')", "op.drop_table('n'); op.execute('DELETE FROM old')", "deletes from old"),
        ("op.create_table('n')", "op.drop_table('n'); op.execute('UPDATE old SET a = 1')", "overwrites old.a"),
        (
            "with op.batch_alter_table('t') as batch:\n    batch.drop_column('a')",
            "with op.batch_alter_table('t') as batch:\n    batch.add_column(sa.Column('a', sa.Text))",
            "drops column t.a",
        ),
        # Whatever stands in a condition may happen.
        ("if op.get_context():\n    op.execute('DELETE FROM t')", INDEX, "deletes from t"),
    ],
)
def test_what_destroys_data_is_lossy(up: str, down: str, said: str) -> None:
    kind, reasons = _verdict(up, down)
    assert kind == "lossy"
    assert said in reasons


@pytest.mark.parametrize("down", ["pass", "'nothing'", "return", "..."])
def test_an_empty_downgrade_is_irreversible(down: str) -> None:
    assert _verdict("op.create_table('n')", down) == ("irreversible", "downgrade() is empty")


def test_a_downgrade_that_raises_is_irreversible() -> None:
    assert _verdict("op.create_table('n')", "raise NotImplementedError('no way back')")[0] == "irreversible"


def test_a_missing_downgrade_is_irreversible() -> None:
    assert judge("def upgrade():\n    pass\n", name="x").kind == "irreversible"
    assert judge("def downgrade():\n    pass\n", name="x").kind == "unknown"


@pytest.mark.parametrize(
    ("up", "said"),
    [
        ("op.execute(f'DELETE FROM {table}')", "made at run time"),
        ("op.execute(make_sql())", "calls make_sql()"),
        ("op.execute(7)", "made at run time"),
        ("op.execute('DO $$ BEGIN DELETE FROM t; END $$')", "DO"),
        ("op.execute('SELECT purge()')", "SELECT"),
        ("op.execute('WITH x AS (DELETE FROM t RETURNING *) SELECT 1')", "WITH"),
        ("op.execute('DROP TYPE color')", "drops a type"),
        ("op.execute('DROP EXTENSION hstore')", "drops an extension"),
        ("op.execute('DROP VIEW v CASCADE')", "drops a view with all that depends on it"),
        ("op.execute('ALTER TABLE t ATTACH PARTITION p DEFAULT')", "cannot be read"),
        ("op.execute('INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1')", "ON CONFLICT"),
        ("op.execute('UPDATE t SET (a, b) = (1, 2)')", "cannot be read"),
        ("sql = 'SET a = 1'\nsql = 'DELETE FROM t'\nop.execute(sql)", "made at run time"),
        ("for sql in ['DELETE FROM t']:\n    op.execute(sql)", "made at run time"),
        ("op.get_bind().execute(t.delete())", "delete()"),
        ("session.add(1)", "session.add"),
        ("(lambda: 1)()", "computes"),
        ("op.bulk_insert(rows(), [])", "bulk_insert"),
        ("op.drop_column(name, 'a')", "run time"),
        ("op.add_column('t', column())", "run time"),
        ("op.alter_column('t', 'a', **options)", "run time"),
        ("op.invoke('t')", "invoke"),
        ("raise RuntimeError", "upgrade() raises"),
    ],
)
def test_what_cannot_be_read_is_unknown(up: str, said: str) -> None:
    kind, reasons = _verdict(up, INDEX)
    assert kind == "unknown"
    assert said in reasons


@pytest.mark.parametrize(
    ("up", "down", "said"),
    [
        ("op.create_table('n')", INDEX, "leaves table n behind"),
        ("op.add_column('t', sa.Column('a', sa.Text))", INDEX, "leaves column t.a behind"),
        ("op.execute('INSERT INTO t VALUES (1)')", INDEX, "leaves the rows"),
        ("op.bulk_insert(sa.table('t'), [])", INDEX, "leaves the rows that upgrade() put into t"),
        ("pass", INDEX, "only downgrade()"),
        ("op.create_table('n')", "op.drop_table('n'); helper.undo()", "helper.undo"),
    ],
)
def test_a_downgrade_that_leaves_something_is_unknown(up: str, down: str, said: str) -> None:
    kind, reasons = _verdict(up, down)
    assert kind == "unknown"
    assert said in reasons


def test_functions_and_constants_of_the_file_are_followed() -> None:
    extra = """
    PURGE = "DELETE " + "FROM t"

    def purge():
        op.execute(PURGE)
        purge()
    """
    kind, reasons = _verdict("purge()", INDEX, extra)
    assert (kind, "deletes from t" in reasons) == ("lossy", True)


def test_a_name_that_is_bound_to_itself_ends() -> None:
    assert _verdict("op.execute(SQL)", INDEX, "SQL = SQL")[0] == "unknown"


def test_a_constant_that_a_function_rebinds_is_not_known() -> None:
    extra = """
    SQL = "SET a = 1"

    def change():
        global SQL
        SQL = "DELETE FROM t"
    """
    assert _verdict("change()\nop.execute(SQL)", INDEX, extra)[0] == "unknown"


def test_imports_under_other_names_are_understood() -> None:
    source = (
        "import sqlalchemy.dialects as d, os\nfrom alembic import op as o\n"
        "def upgrade():\n    o.drop_table('t')\n    os.remove('x')\ndef downgrade():\n    o.create_table('t', d.x())\n"
    )
    found = judge(source, name="x")
    assert found.kind == "lossy"
    assert "upgrade() calls os.remove()" in found.reasons


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        ("SELECT 1; ; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' -- ; x\n, 1", ["SELECT '' , 1"]),
        ("SELECT 'it''s; x'; /* ; */ DELETE FROM t", ["SELECT ''", "DELETE FROM t"]),
        (r"SELECT '\'; DELETE FROM t", ["SELECT ''", "DELETE FROM t"]),
        (r"SELECT E'\'; x'; DELETE FROM t", ["SELECT ''", "DELETE FROM t"]),
        ("DO $x$ BEGIN; END $x$; SET a = 1", ["DO $$ $$", "SET a = 1"]),
        ('DELETE FROM "a;b"', ['DELETE FROM "a;b"']),
    ],
)
def test_a_script_is_split_where_the_server_splits_it(script: str, statements: list[str]) -> None:
    assert split_sql(script) == statements


@given(st.text())
def test_no_script_breaks_the_reader(script: str) -> None:
    effects = Effects()
    for statement in split_sql(script):
        read_sql(statement, effects)


@pytest.mark.parametrize(
    ("clause", "columns"),
    [
        ("a = 1", ["a"]),
        ('"A" = 1, b=f(x, y)', ["a", "b"]),
        ("a = 1 FROM u, v WHERE t.x = u.x", ["a"]),
        ("a = 1 WHERE x IN (1, 2), y", ["a"]),
        ("(a, b) = (1, 2)", None),
        ("a[1] = 2", None),
    ],
)
def test_the_columns_that_an_update_sets(clause: str, columns: list[str] | None) -> None:
    assert assigned_columns(clause) == columns
