# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does a migration's SQL do to tables that are there: which locks it takes, what it rewrites, scans and drops?

PostgreSQL's own parser (pglast) reads it. The locks are those of PostgreSQL's documentation, "Explicit Locking" and "ALTER
TABLE". What SQL alone does not show (DO blocks, functions, statements that are not known here) is ``unjudged``, never clean.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of

#: rule -> (what it says of a statement, the way out)
RULES: dict[str, tuple[str, str]] = {
    "drop_table": (
        "drops a table",
        "The previous version still reads it: drop it in a later release, once nobody uses it.",
    ),
    "drop_column": (
        "drops a column",
        "The previous version still reads it: drop it in a later release, once nobody uses it.",
    ),
    "drop_object": ("drops an object", "See that nothing of the previous version needs it, which a rollback would."),
    "truncate": ("empties a table", "What it empties comes back by a restore alone."),
    "rename": ("renames what the previous version knows by its old name", "Add the new one beside it, and drop later."),
    "not_null_without_default": (
        "adds a NOT NULL column without a default, which fails where there are rows",
        "Give it a server_default, or add it nullable, fill it, and set NOT NULL later.",
    ),
    "type_change": (
        "changes a column's type, which may rewrite the table and its indexes under ACCESS EXCLUSIVE",
        "Where it is no mere widening, add a new column, fill it in steps, and swap.",
    ),
    "rewrite": (
        "rewrites a table under ACCESS EXCLUSIVE",
        "Add the column without the default, set the default, and fill the rows in steps.",
    ),
    "full_scan": (
        "reads a whole table while it is locked against writing",
        "Add the constraint NOT VALID and VALIDATE it in a transaction of its own.",
    ),
    "index_not_concurrent": (
        "builds or drops an index without CONCURRENTLY, so that nobody writes meanwhile",
        "postgresql_concurrently=True in an autocommit_block().",
    ),
    "lock_held": (
        "takes long while its transaction holds ACCESS EXCLUSIVE on a table",
        "Make it a revision of its own, with transaction_per_migration.",
    ),
    "dml_without_where": (
        "changes all rows of a table in one statement",
        "Change them in steps, outside of the migration, where the table is large.",
    ),
    "access_exclusive": ("takes ACCESS EXCLUSIVE on a table", "It waits for every reader: keep lock_timeout short."),
    "unjudged": ("does what the SQL does not show", "Have it read, and accept it by name."),
}
FAIL_ON = (
    "drop_table",
    "drop_column",
    "truncate",
    "not_null_without_default",
    "type_change",
    "rewrite",
    "full_scan",
    "index_not_concurrent",
    "lock_held",
)
WARN_ON = ("drop_object", "rename", "dml_without_where")

_ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"
#: Statements that touch no table that is there, or none for long.
_HARMLESS = {
    "AlterDefaultPrivilegesStmt", "AlterDomainStmt", "AlterEnumStmt", "AlterExtensionStmt", "AlterFunctionStmt",
    "AlterOpFamilyStmt", "AlterOwnerStmt", "AlterRoleStmt", "AlterSeqStmt", "CommentStmt",
    "CompositeTypeStmt", "CreateCastStmt", "CreateDomainStmt", "CreateEnumStmt", "CreateExtensionStmt",
    "CreateFunctionStmt", "CreatePolicyStmt", "CreatePublicationStmt", "CreateRangeStmt", "CreateRoleStmt",
    "CreateSchemaStmt", "CreateSeqStmt", "CreateStatsStmt", "DefineStmt", "GrantRoleStmt", "GrantStmt",
    "VariableSetStmt", "ViewStmt",
}  # fmt: skip
#: Functions that a migration calls and whose effect is known: they change no table.
_KNOWN_FUNCTIONS = {"setval", "nextval", "currval", "set_config", "max", "min", "count", "coalesce", "now"}
#: Defaults that are worked out once, so that adding a column with them rewrites nothing.
_STABLE_FUNCTIONS = {"now", "transaction_timestamp", "statement_timestamp", "current_setting", "lower", "upper"}
_SERIALS = {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}
_REVISION = re.compile(r"^-- Running upgrade .*-> (\S+?)[ \t]*$", re.MULTILINE)
_BLANK = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class Remark:
    """One rule that one statement meets. ``what`` is the table, column or other object."""

    rule: str
    what: str
    revision: str
    line: int
    statement: str

    @property
    def accepted_as(self) -> str:
        return f"{self.rule}:{self.what}"


@dataclasses.dataclass(frozen=True)
class Lock:
    """The strongest lock that a statement takes on a table that was there before the migration."""

    table: str
    mode: str
    line: int
    statement: str


@dataclasses.dataclass(frozen=True)
class Linted:
    """All that was seen."""

    statements: int
    remarks: tuple[Remark, ...]
    locks: tuple[Lock, ...]


def lint(sql: str, *, ignored_table: str) -> Linted:
    """Read a script. ``ignored_table`` is the migration tool's own. Raises MissingLibrary, UnexpectedAnswer."""
    pglast = require("pglast")
    try:
        statements = pglast.parse_sql(sql)
    except pglast.parser.ParseError as problem:
        raise UnexpectedAnswer(
            f"pglast {pglast.__version__} cannot read the SQL: {beginning_of(str(problem), 200)}.",
            remedy="Have the SQL read, or use a newer pglast.",
        )
    reader = _Reader(sql, ignored_table)
    for raw in statements:
        reader.read(raw)
    return Linted(len(statements), tuple(reader.remarks), tuple(reader.locks))


class _Reader:
    """Goes through a script and knows what was made on the way: what is new holds no rows and has no readers."""

    def __init__(self, sql: str, ignored_table: str) -> None:
        self._sql = sql
        self._ignored = ignored_table
        self._revisions = [(match.start(), match[1]) for match in _REVISION.finditer(sql)]
        self._held: list[str] = []
        self._in_transaction = False
        self._line = 0
        self._revision = ""
        self._text = ""
        self.made: set[str] = set()
        self.remarks: list[Remark] = []
        self.locks: list[Lock] = []

    def read(self, raw: t.Any) -> None:
        # Before version 8, pglast takes what stands in front of a statement for a part of it.
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(self._sql)
        begin = t.cast("re.Match[str]", _BLANK.match(self._sql, raw.stmt_location, end)).end()
        self._line = self._sql.count("\n", 0, begin) + 1
        self._revision = next((name for at, name in reversed(self._revisions) if at < begin), "")
        self._text = beginning_of(" ".join(self._sql[begin:end].split()), _SHOWN)
        name = type(raw.stmt).__name__
        held_before = list(self._held)
        before = len(self.remarks)
        if name in _READINGS:
            _READINGS[name](self, raw.stmt)
        elif name not in _HARMLESS:
            self.remark("unjudged", name.removesuffix("Stmt"))
        if held_before and any(one.rule in _SLOW for one in self.remarks[before:]):
            self.remark("lock_held", held_before[0])

    def transaction(self, *, begins: bool) -> None:
        self._in_transaction = begins
        self._held = []

    def remark(self, rule: str, what: str) -> None:
        self.remarks.append(Remark(rule, what, self._revision, self._line, self._text))

    def is_there(self, table: str) -> bool:
        """Whether the table may hold rows: neither made here, nor the tool's own."""
        return table not in self.made and table.rpartition(".")[2] != self._ignored

    def lock(self, table: str, mode: str) -> None:
        if not self.is_there(table):
            return
        self.locks.append(Lock(table, mode, self._line, self._text))
        if mode == _ACCESS_EXCLUSIVE:
            self.remark("access_exclusive", table)
            if self._in_transaction and table not in self._held:
                self._held.append(table)


def _table(relation: t.Any) -> str:
    return f"{relation.schemaname}.{relation.relname}" if relation.schemaname else str(relation.relname)


def _dotted(names: t.Any) -> str:
    """A name of several parts, as the parser has it: a tuple of strings, a type, or a function with its arguments."""
    if hasattr(names, "objname"):
        names = names.objname
    elif hasattr(names, "names"):
        names = names.names
    elif hasattr(names, "sval"):
        names = (names,)
    return ".".join(str(one.sval) for one in names or ())


def _transaction(reader: _Reader, node: t.Any) -> None:
    reader.transaction(begins=node.kind.name in ("TRANS_STMT_BEGIN", "TRANS_STMT_START"))


def _create_table(reader: _Reader, node: t.Any) -> None:
    if not node.if_not_exists:
        reader.made.add(_table(node.relation))
    for element in node.tableElts or ():
        constraints = element.constraints if type(element).__name__ == "ColumnDef" else (element,)
        for constraint in constraints or ():
            if type(constraint).__name__ == "Constraint" and constraint.pktable is not None:
                reader.lock(_table(constraint.pktable), "SHARE ROW EXCLUSIVE")


def _create_table_as(reader: _Reader, node: t.Any) -> None:
    reader.made.add(_table(node.into.rel))
    _called(reader, node.query)


def _index(reader: _Reader, node: t.Any) -> None:
    table = _table(node.relation)
    if node.concurrent:
        reader.lock(table, "SHARE UPDATE EXCLUSIVE")
    elif reader.is_there(table):
        reader.lock(table, "SHARE")
        reader.remark("index_not_concurrent", table)


def _reindex(reader: _Reader, node: t.Any) -> None:
    if not any(option.defname == "concurrently" for option in node.params or ()):
        reader.remark("index_not_concurrent", _table(node.relation) if node.relation else str(node.name))


def _drop(reader: _Reader, node: t.Any) -> None:
    kind = node.removeType.name.removeprefix("OBJECT_").lower()
    for one in node.objects:
        name = _dotted(one)
        if kind == "table":
            if reader.is_there(name):
                reader.lock(name, _ACCESS_EXCLUSIVE)
                reader.remark("drop_table", name)
        elif kind == "index":
            if not node.concurrent:
                reader.remark("index_not_concurrent", name)
        else:
            reader.remark("drop_object", f"{kind} {name}")


def _truncate(reader: _Reader, node: t.Any) -> None:
    for relation in node.relations:
        table = _table(relation)
        if reader.is_there(table):
            reader.lock(table, _ACCESS_EXCLUSIVE)
            reader.remark("truncate", table)


def _rename(reader: _Reader, node: t.Any) -> None:
    kind = node.renameType.name
    if kind == "OBJECT_TABLE" and not reader.is_there(_table(node.relation)):
        reader.made.add(str(node.newname))
    elif kind == "OBJECT_TABLE":
        reader.lock(_table(node.relation), _ACCESS_EXCLUSIVE)
        reader.remark("rename", _table(node.relation))
    elif kind == "OBJECT_COLUMN" and reader.is_there(_table(node.relation)):
        reader.lock(_table(node.relation), _ACCESS_EXCLUSIVE)
        reader.remark("rename", f"{_table(node.relation)}.{node.subname}")
    elif kind not in ("OBJECT_COLUMN", "OBJECT_INDEX", "OBJECT_TABCONSTRAINT"):
        what = _table(node.relation) if node.relation else _dotted(node.object)
        reader.remark("rename", f"{kind.removeprefix('OBJECT_').lower()} {what}")


def _set_schema(reader: _Reader, node: t.Any) -> None:
    what = _table(node.relation) if node.relation else _dotted(node.object)
    reader.remark("rename", what)


def _rewriting(reader: _Reader, node: t.Any) -> None:
    table = _table(node.relation) if node.relation else "every table"
    reader.lock(table, _ACCESS_EXCLUSIVE)
    reader.remark("rewrite", table)


def _vacuum(reader: _Reader, node: t.Any) -> None:
    if any(option.defname == "full" for option in node.options or ()):
        for one in node.rels or ():
            reader.lock(_table(one.relation), _ACCESS_EXCLUSIVE)
            reader.remark("rewrite", _table(one.relation))


def _lock_table(reader: _Reader, node: t.Any) -> None:
    for relation in node.relations:
        reader.lock(_table(relation), _LOCK_MODES.get(node.mode, _ACCESS_EXCLUSIVE))


def _changing(reader: _Reader, node: t.Any) -> None:
    table = _table(node.relation)
    if node.whereClause is None and getattr(node, "fromClause", None) is None and reader.is_there(table):
        reader.lock(table, "ROW EXCLUSIVE")
        reader.remark("dml_without_where", table)
    _called(reader, node)


def _trigger(reader: _Reader, node: t.Any) -> None:
    reader.lock(_table(node.relation), "SHARE ROW EXCLUSIVE")


def _called(reader: _Reader, node: t.Any) -> None:
    """What a query calls, and what it changes inside WITH, is not seen from the statement's kind."""
    for inner in _below(node):
        kind = type(inner).__name__
        if kind == "FuncCall" and str(inner.funcname[-1].sval) not in _KNOWN_FUNCTIONS:
            reader.remark("unjudged", f"{_dotted(inner.funcname)}()")
        elif inner is not node and kind in ("UpdateStmt", "DeleteStmt"):
            _changing(reader, inner)


def _below(node: t.Any) -> t.Iterator[t.Any]:
    """A node of the syntax tree, and all below it."""
    if isinstance(node, tuple):
        for one in node:
            yield from _below(one)
    elif hasattr(node, "__slots__") and not isinstance(node, (str, int, float)):
        yield node
        for name in node:
            yield from _below(getattr(node, name))


def _alter_table(reader: _Reader, node: t.Any) -> None:
    if node.objtype.name not in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
        return
    table = _table(node.relation)
    if not reader.is_there(table):
        return
    for command in node.cmds:
        subtype = command.subtype.name
        reader.lock(table, _lock_of(command))
        if subtype == "AT_AddColumn":
            _add_column(reader, table, command.def_)
        elif subtype == "AT_DropColumn":
            reader.remark("drop_column", f"{table}.{command.name}")
        elif subtype == "AT_AlterColumnType":
            reader.remark("type_change", f"{table}.{command.name}")
        elif subtype == "AT_SetNotNull":
            reader.remark("full_scan", f"{table}.{command.name}")
        elif subtype == "AT_AddConstraint":
            _add_constraint(reader, table, command.def_)
        elif subtype in _REWRITES:
            reader.remark("rewrite", table)
        elif subtype == "AT_AttachPartition":
            reader.remark("full_scan", table)


def _lock_of(command: t.Any) -> str:
    if command.subtype.name == "AT_AddConstraint" and command.def_.pktable is not None:
        return "SHARE ROW EXCLUSIVE"
    return _LOCKS.get(command.subtype.name, _ACCESS_EXCLUSIVE)


def _add_column(reader: _Reader, table: str, column: t.Any) -> None:
    what = f"{table}.{column.colname}"
    constraints = {one.contype.name: one for one in column.constraints or ()}
    default = constraints.get("CONSTR_DEFAULT")
    is_filled = column.typeName.names[-1].sval in _SERIALS or "CONSTR_IDENTITY" in constraints
    # Virtual columns came with PostgreSQL 18; the parser of before has no word for them.
    is_generated = getattr(constraints.get("CONSTR_GENERATED", column), "generated_kind", "s") != "v"
    is_generated = is_generated and "CONSTR_GENERATED" in constraints
    if is_filled or is_generated or (default is not None and _is_volatile(default.raw_expr)):
        reader.remark("rewrite", what)
    elif "CONSTR_NOTNULL" in constraints and default is None and "CONSTR_GENERATED" not in constraints:
        reader.remark("not_null_without_default", what)
    for name in ("CONSTR_CHECK", "CONSTR_FOREIGN", "CONSTR_UNIQUE", "CONSTR_PRIMARY"):
        if name in constraints:
            _add_constraint(reader, table, constraints[name])


def _is_volatile(expression: t.Any) -> bool:
    functions = (one for one in _below(expression) if type(one).__name__ == "FuncCall")
    return any(str(one.funcname[-1].sval) not in _STABLE_FUNCTIONS for one in functions)


def _add_constraint(reader: _Reader, table: str, constraint: t.Any) -> None:
    kind = constraint.contype.name
    what = f"{table}.{constraint.conname}" if constraint.conname else table
    if constraint.pktable is not None:
        reader.lock(_table(constraint.pktable), "SHARE ROW EXCLUSIVE")
    if kind in ("CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION"):
        if not constraint.indexname:
            reader.remark("index_not_concurrent", what)
    elif not constraint.skip_validation:
        reader.remark("full_scan", what)


#: What reads or writes a table as a whole.
_SLOW = {"type_change", "rewrite", "full_scan", "index_not_concurrent", "dml_without_where", "unjudged"}
#: ALTER TABLE forms that take less than ACCESS EXCLUSIVE, and those that write the whole table anew.
_LOCKS = {
    "AT_ValidateConstraint": "SHARE UPDATE EXCLUSIVE",
    "AT_SetStatistics": "SHARE UPDATE EXCLUSIVE",
    "AT_SetRelOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_ResetRelOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_SetOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_ResetOptions": "SHARE UPDATE EXCLUSIVE",
    "AT_ClusterOn": "SHARE UPDATE EXCLUSIVE",
    "AT_DropCluster": "SHARE UPDATE EXCLUSIVE",
    "AT_AttachPartition": "SHARE UPDATE EXCLUSIVE",
    "AT_EnableTrig": "SHARE ROW EXCLUSIVE",
    "AT_DisableTrig": "SHARE ROW EXCLUSIVE",
}
_REWRITES = {"AT_SetTableSpace", "AT_SetLogged", "AT_SetUnLogged", "AT_SetAccessMethod", "AT_SetExpression"}
#: Lock modes by PostgreSQL's numbers.
_LOCK_MODES = {
    1: "ACCESS SHARE",
    2: "ROW SHARE",
    3: "ROW EXCLUSIVE",
    4: "SHARE UPDATE EXCLUSIVE",
    5: "SHARE",
    6: "SHARE ROW EXCLUSIVE",
    7: "EXCLUSIVE",
}
#: By the name that PostgreSQL's parser gives a kind of statement. What is in neither table is unjudged.
_READINGS: dict[str, t.Callable[[_Reader, t.Any], None]] = {
    "AlterObjectSchemaStmt": _set_schema,
    "AlterTableStmt": _alter_table,
    "ClusterStmt": _rewriting,
    "CreateStmt": _create_table,
    "CreateTableAsStmt": _create_table_as,
    "CreateTrigStmt": _trigger,
    "DeleteStmt": _changing,
    "DropStmt": _drop,
    "IndexStmt": _index,
    "InsertStmt": _called,
    "LockStmt": _lock_table,
    "ReindexStmt": _reindex,
    "RenameStmt": _rename,
    "SelectStmt": _called,
    "TransactionStmt": _transaction,
    "TruncateStmt": _truncate,
    "UpdateStmt": _changing,
    "VacuumStmt": _vacuum,
}
