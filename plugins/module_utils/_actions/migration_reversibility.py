# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can a migration's downgrade bring back what its upgrade changed? Judged from the file, which is never executed.

Pure. What cannot be read with certainty is ``unknown``, never ``reversible``: SQL made at run time, calls into other
code, DO blocks. A downgrade that adds a dropped column again brings back the column and not its data: ``lossy``.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import re
import typing as t

#: Names and the expression each stands for; None where that is not known.
Bindings = t.Mapping[str, t.Optional[ast.expr]]
#: From good to bad.
KINDS = ("reversible", "unknown", "lossy", "irreversible")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a downgrade can bring back, and why not more."""

    kind: str
    reasons: tuple[str, ...]

    @property
    def is_reversible(self) -> bool:
        return self.kind == "reversible"


@dataclasses.dataclass
class Effects:
    """What a function of a revision file does to a database. Names are lower case; columns are (table, column)."""

    created_tables: set[str] = dataclasses.field(default_factory=set)
    created_columns: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    dropped_tables: set[str] = dataclasses.field(default_factory=set)
    dropped_columns: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    updated: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    inserted: set[str] = dataclasses.field(default_factory=set)
    deleted: set[str] = dataclasses.field(default_factory=set)
    retyped: list[str] = dataclasses.field(default_factory=list)
    opaque: list[str] = dataclasses.field(default_factory=list)
    neutral: int = 0
    raises: bool = False

    def is_empty(self) -> bool:
        return not any(getattr(self, field.name) for field in dataclasses.fields(self))

    def made(self, table: str, column: str | None = None) -> bool:
        return table in self.created_tables or (column is not None and (table, column) in self.created_columns)


def judge(source: str, *, name: str) -> Verdict:
    """Judge one revision file. Raises SyntaxError."""
    tree = ast.parse(source, filename=name)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    reader = _Reader(tree, functions)
    if "upgrade" not in functions:
        return Verdict("unknown", ("upgrade() is missing",))
    up = reader.effects_of("upgrade")
    if "downgrade" not in functions:
        return Verdict("irreversible", ("downgrade() is missing",))
    return compare(up, reader.effects_of("downgrade"))


def compare(up: Effects, down: Effects) -> Verdict:
    """The verdict over what both directions do."""
    if down.raises:
        return Verdict("irreversible", ("downgrade() raises",))
    if up.raises:
        return Verdict("unknown", ("upgrade() raises",))
    if up.is_empty():
        if down.is_empty():
            return Verdict("reversible", ())
        return Verdict("unknown", ("only downgrade() does something",))
    if down.is_empty():
        return Verdict("irreversible", ("downgrade() is empty",))
    lossy = list(_losses(up, down))
    unknown = [f"upgrade() {reason}" for reason in up.opaque] + [f"downgrade() {reason}" for reason in down.opaque]
    unknown.extend(_left_behind(up, down))
    if lossy:
        return Verdict("lossy", tuple(dict.fromkeys(lossy + unknown)))
    if unknown:
        return Verdict("unknown", tuple(dict.fromkeys(unknown)))
    return Verdict("reversible", ())


def _losses(up: Effects, down: Effects) -> t.Iterator[str]:
    for table in sorted(up.dropped_tables - up.created_tables):
        yield f"upgrade() drops table {table}; its data does not come back"
    for table, column in sorted(up.dropped_columns):
        if not up.made(table, column):
            yield f"upgrade() drops column {table}.{column}; its data does not come back"
    for table, column in sorted(up.updated):
        if not up.made(table, column):
            yield f"upgrade() overwrites {table}.{column}"
    for table in sorted(up.deleted - up.created_tables):
        yield f"upgrade() deletes from {table}"
    yield from (f"upgrade() {what}" for what in up.retyped)
    for table in sorted(down.dropped_tables - up.created_tables):
        yield f"downgrade() drops table {table}, which upgrade() did not create"
    for table, column in sorted(down.dropped_columns):
        if not up.made(table, column) and (table, column) not in down.created_columns:
            yield f"downgrade() drops column {table}.{column}, which upgrade() did not add"
    for table in sorted(down.deleted - up.created_tables - up.inserted):
        yield f"downgrade() deletes from {table}"
    for table, column in sorted(down.updated):
        if not up.made(table, column) and not down.made(table, column):
            yield f"downgrade() overwrites {table}.{column}"


def _left_behind(up: Effects, down: Effects) -> t.Iterator[str]:
    for table in sorted(up.created_tables - up.dropped_tables - down.dropped_tables):
        yield f"downgrade() leaves table {table} behind"
    for table, column in sorted(up.created_columns - down.dropped_columns):
        if table not in down.dropped_tables | up.created_tables:
            yield f"downgrade() leaves column {table}.{column} behind"
    for table in sorted(up.inserted - up.created_tables - down.deleted):
        yield f"downgrade() leaves the rows that upgrade() put into {table}"


_NEUTRAL_OPERATIONS = frozenset(
    (
        "create_check_constraint",
        "create_exclude_constraint",
        "create_foreign_key",
        "create_index",
        "create_primary_key",
        "create_table_comment",
        "create_unique_constraint",
        "drop_constraint",
        "drop_index",
        "drop_table_comment",
        "rename_table",
    )
)
_NO_OPERATIONS = frozenset(("batch_alter_table", "f", "get_bind", "get_context", "inline_literal"))
#: Calls on what a query gave; they change nothing more.
_READING = frozenset(
    ("all", "fetchall", "fetchone", "first", "format", "mappings", "one", "scalar", "scalar_one", "scalars")
)
_BUILTINS = frozenset(
    ("bool", "dict", "enumerate", "int", "len", "list", "print", "range", "set", "sorted", "str", "zip")
)


class _Reader:
    """Collects the effects of functions of one file; local functions are followed."""

    def __init__(self, tree: ast.Module, functions: dict[str, ast.FunctionDef]) -> None:
        self.functions = functions
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        top = [node for node in tree.body if not isinstance(node, definitions)]
        self.constants = bound_once([*top, *(node for node in ast.walk(tree) if isinstance(node, ast.Global))])
        self.libraries = {"sa", "sqlalchemy", "postgresql"}
        self.operations = {"op"}
        self.neutral_names: set[str] = set()
        self._read_imports(tree)

    def _read_imports(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for one in node.names:
                    if one.name.partition(".")[0] == "sqlalchemy":
                        self.libraries.add((one.asname or one.name).partition(".")[0])
            elif isinstance(node, ast.ImportFrom):
                root = (node.module or "").partition(".")[0]
                for one in node.names:
                    bound = one.asname or one.name
                    if root == "sqlalchemy":
                        self.libraries.add(bound)
                        self.neutral_names.add(bound)
                    elif root == "alembic" and one.name == "op":
                        self.operations.add(bound)

    def effects_of(self, name: str) -> Effects:
        effects = Effects()
        self._read(self.functions[name], effects, {name})
        return effects

    def _read(self, function: ast.FunctionDef, effects: Effects, followed: set[str]) -> None:
        effects.raises = effects.raises or any(isinstance(statement, ast.Raise) for statement in function.body)
        constants = {**self.constants, **bound_once([function])}
        batches: dict[str, str | None] = {}
        for node in ast.walk(function):
            for item in node.items if isinstance(node, ast.With) else ():
                call, bound = item.context_expr, item.optional_vars
                if (
                    isinstance(call, ast.Call)
                    and _attribute(call) == "batch_alter_table"
                    and isinstance(bound, ast.Name)
                ):
                    batches[bound.id] = _text(_argument(call, 0, "table_name"), constants)
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                self._call(node, effects, constants, batches, followed)

    def _call(
        self,
        call: ast.Call,
        effects: Effects,
        constants: Bindings,
        batches: t.Mapping[str, str | None],
        followed: set[str],
    ) -> None:
        target = call.func
        if isinstance(target, ast.Name):
            if target.id in self.functions:
                if target.id not in followed:
                    followed.add(target.id)
                    self._read(self.functions[target.id], effects, followed)
            elif target.id not in _BUILTINS and target.id not in self.neutral_names:
                effects.opaque.append(f"calls {target.id}()")
            return
        if not isinstance(target, ast.Attribute):
            effects.opaque.append("calls what it computes")
            return
        root = _root(target)
        if isinstance(target.value, ast.Name) and root in self.operations | set(batches):
            self._operation(target.attr, call, effects, constants, batches.get(root), in_batch=root in batches)
        elif target.attr == "execute":
            self._statement(_argument(call, 0, "statement"), effects, constants)
        elif target.attr in ("update", "delete", "insert") and root not in self.operations:
            effects.opaque.append(f"changes rows through SQLAlchemy's {target.attr}()")
        elif root in self.operations and target.attr == "autocommit_block":
            return  # what is called inside is read on its own
        elif root not in self.libraries and target.attr not in _READING:
            effects.opaque.append(f"calls {ast.unparse(target)[:60]}()")

    def _operation(
        self,
        name: str,
        call: ast.Call,
        effects: Effects,
        constants: Bindings,
        batch: str | None,
        *,
        in_batch: bool,
    ) -> None:
        shift = -1 if in_batch else 0
        if name in _NO_OPERATIONS:
            return
        if name == "execute":
            self._statement(_argument(call, 0, "sqltext"), effects, constants)
            return
        table = batch if in_batch else _text(_argument(call, 0, "table_name"), constants)
        if name in _NEUTRAL_OPERATIONS:
            effects.neutral += 1
        elif table is None and name != "bulk_insert":
            effects.opaque.append(f"calls {name}() on a table named at run time")
        elif name == "create_table":
            effects.created_tables.add(_lower(table))
        elif name == "drop_table":
            effects.dropped_tables.add(_lower(table))
        elif name == "add_column":
            column = _argument(call, 1 + shift, "column")
            label = _text(_argument(column, 0, "name"), constants) if isinstance(column, ast.Call) else None
            if label is None:
                effects.opaque.append(f"adds a column to {table} that is named at run time")
            else:
                effects.created_columns.add((_lower(table), _lower(label)))
        elif name == "drop_column":
            label = _text(_argument(call, 1 + shift, "column_name"), constants)
            effects.dropped_columns.add((_lower(table), _lower(label or "(named at run time)")))
        elif name == "alter_column":
            effects.neutral += 1
            column_name = _text(_argument(call, 1 + shift, "column_name"), constants)
            self._retyped(call, f"{table}.{column_name}", effects)
        elif name == "bulk_insert":
            label = _table_of(_argument(call, 0, "table"), constants)
            if label is None:
                effects.opaque.append("inserts rows by bulk_insert() into a table named at run time")
            else:
                effects.inserted.add(_lower(label))
        else:
            effects.opaque.append(f"calls {name}()")

    @staticmethod
    def _retyped(call: ast.Call, column: str, effects: Effects) -> None:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if "type_" in given and not is_widening(given.get("existing_type"), given["type_"]):
            effects.retyped.append(f"changes the type of {column} in a way that may lose data")
        if None in given:
            effects.opaque.append(f"alters {column} by options made at run time")

    def _statement(self, node: ast.expr | None, effects: Effects, constants: Bindings) -> None:
        text = _text(node, constants)
        if text is None:
            effects.opaque.append("executes SQL that is made at run time")
            return
        for statement in split_sql(text):
            read_sql(statement, effects)


def assigned(node: ast.AST) -> t.Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, node.value
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value


def bound_once(nodes: t.Iterable[ast.AST]) -> Bindings:
    """Names with the one value they are ever bound to; bound again, by a loop or as an argument: None."""
    values: dict[str, ast.expr] = {}
    times: collections.Counter[str] = collections.Counter()
    for top in nodes:
        for node in ast.walk(top):
            values.update(assigned(node))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                times[node.id] += 1
            elif isinstance(node, ast.arg):
                times[node.arg] += 2
            elif isinstance(node, ast.Global):
                times.update([*node.names, *node.names])
    return {name: values.get(name) if count == 1 else None for name, count in times.items()}


def _attribute(call: ast.Call) -> str | None:
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


def _root(target: ast.expr) -> str:
    while isinstance(target, (ast.Attribute, ast.Call)):
        target = target.value if isinstance(target, ast.Attribute) else target.func
    return target.id if isinstance(target, ast.Name) else ""


def _argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    if 0 <= position < len(call.args):
        return call.args[position]
    return next((one.value for one in call.keywords if one.arg == keyword), None)


def _text(node: ast.expr | None, constants: Bindings, depth: int = 0) -> str | None:
    """The text of a constant, of a name bound to one, of a sum of such, or of text() around one."""
    if depth > 8 or node is None:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return _text(constants.get(node.id), constants, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left, constants, depth + 1), _text(node.right, constants, depth + 1)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.JoinedStr) and all(isinstance(part, ast.Constant) for part in node.values):
        return "".join(str(t.cast(ast.Constant, part).value) for part in node.values)
    if isinstance(node, ast.Call) and len(node.args) == 1:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("text", "DDL"):
            return _text(node.args[0], constants, depth + 1)
    return None


def _table_of(node: ast.expr | None, constants: Bindings) -> str | None:
    """The name of a table that is given as what ``op.create_table("…")`` or ``sa.table("…")`` returned."""
    if isinstance(node, ast.Name):
        node = constants.get(node.id)
    if isinstance(node, ast.Call) and _attribute(node) in ("create_table", "table", "Table"):
        return _text(_argument(node, 0, "table_name"), constants)
    return None


def _lower(name: str | None) -> str:
    plain = (name or "").strip()
    if plain.startswith('"') and plain.endswith('"'):
        return plain[1:-1].lower()
    return plain.rpartition(".")[2].strip('"').lower()


_SIZES = {"smallinteger": 1, "integer": 2, "biginteger": 3}


def is_widening(before: ast.expr | None, after: ast.expr) -> bool:
    """Whether every value of one SQLAlchemy type fits into the other, as far as both are written out."""
    old, new = _type(before), _type(after)
    if old is None or new is None:
        return False
    if old == new:
        return True
    if old[0] in _SIZES and new[0] in _SIZES:
        return _SIZES[old[0]] <= _SIZES[new[0]]
    if old[0] in ("string", "varchar", "text", "unicode") and new[0] in ("string", "varchar", "text", "unicode"):
        old_length, new_length = next(iter(old[1]), None), next(iter(new[1]), None)
        if new[0] == "text" or new_length is None:
            return True
        return old[0] != "text" and old_length is not None and old_length <= new_length
    return False


def _type(node: ast.expr | None) -> tuple[str, list[int]] | None:
    if isinstance(node, ast.Call):
        name = _type(node.func)
        numbers = [*node.args, *(one.value for one in node.keywords)]
        constants = [one.value for one in numbers if isinstance(one, ast.Constant) and isinstance(one.value, int)]
        return (name[0], constants) if name is not None and len(constants) == len(numbers) else None
    if isinstance(node, ast.Attribute):
        return node.attr.lower(), []
    return (node.id.lower(), []) if isinstance(node, ast.Name) else None


_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|[^-/$'";eE]+|.""",
    re.DOTALL,
)


def split_sql(text: str) -> list[str]:
    """The statements of a script, without comments and with the insides of literals left out."""
    statements, present = [], ""
    for match in _TOKEN.finditer(text):
        piece = match.group(0)
        if piece == ";":
            statements.append(present)
            present = ""
        elif piece.startswith(("--", "/*")):
            present += " "
        elif piece.startswith("$") and len(piece) > 1:
            present += "$$ $$"
        elif piece.endswith("'") and len(piece) > 1:
            present += "''"
        else:
            present += piece
    statements.append(present)
    return [one for one in (re.sub(r"\s+", " ", statement).strip() for statement in statements) if one]


_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_QUALIFIED = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})?"
_SAFE_SQL = re.compile(
    r"(?:comment on|analyze|create (?:unique )?index|create (?:or replace )?(?:function|view|trigger)"
    r"|create (?:materialized view|extension|type|domain|sequence|schema|policy)"
    r"|drop (?:index|trigger|view|materialized view|function|policy)|grant|revoke|set |reset |lock )\b",
    re.IGNORECASE,
)


def read_sql(statement: str, effects: Effects) -> None:
    """Add the effects of one SQL statement, given as ``split_sql`` makes them."""
    dropped = re.match(r"drop (\w+)\b.*\bcascade$", statement, re.IGNORECASE)
    if dropped is not None:
        effects.opaque.append(f"drops {_a(dropped.group(1))} with all that depends on it")
    for pattern, reader in _READERS:
        match = pattern.match(statement)
        if match is not None:
            reader(match, statement, effects)
            return
    if _SAFE_SQL.match(statement + " "):
        effects.neutral += 1
        return
    effects.opaque.append(f"executes {' '.join(statement.split()[:2]).upper()[:40]}, which cannot be judged")


def _a(word: str) -> str:
    return f"an {word.lower()}" if word[0] in "aeiouAEIOU" else f"a {word.lower()}"


def _create_table(match: re.Match[str], statement: str, effects: Effects) -> None:
    effects.created_tables.add(_lower(match.group(1)))


def _drop_table(match: re.Match[str], statement: str, effects: Effects) -> None:
    effects.dropped_tables.update(_lower(one) for one in re.split(r"\s*,\s*", match.group(1)))


def _drop_other(match: re.Match[str], statement: str, effects: Effects) -> None:
    effects.opaque.append(f"drops {_a(match.group(1))}")


def _delete(match: re.Match[str], statement: str, effects: Effects) -> None:
    effects.deleted.update(_lower(one) for one in re.split(r"\s*,\s*", match.group(1)))


def _insert(match: re.Match[str], statement: str, effects: Effects) -> None:
    effects.inserted.add(_lower(match.group(1)))
    if re.search(r"\bdo update\b", statement, re.IGNORECASE):
        effects.opaque.append(f"overwrites rows of {_lower(match.group(1))} by ON CONFLICT DO UPDATE")


def _update(match: re.Match[str], statement: str, effects: Effects) -> None:
    columns = assigned_columns(match.group(2))
    if columns is None:
        effects.opaque.append(f"updates {_lower(match.group(1))} in a way that cannot be read")
    else:
        effects.updated.update((_lower(match.group(1)), column) for column in columns)


def assigned_columns(clause: str) -> list[str] | None:
    """The columns on the left of ``SET a = …, b = …``; what follows (FROM, WHERE) may be there. None: unreadable."""
    parts, depth, present = [], 0, ""
    for character in clause:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(present)
            present = ""
        else:
            present += character
    parts.append(present)
    columns = []
    for number, part in enumerate(parts):
        match = re.match(rf"\s*({_IDENTIFIER})\s*=", part)
        if match is None:
            # After FROM or WHERE a comma may separate other things; before, each part is an assignment.
            if number and re.search(r"\b(?:from|where)\b", " ".join(parts[:number]), re.IGNORECASE):
                break
            return None
        columns.append(_lower(match.group(1)))
    return columns


def _alter_table(match: re.Match[str], statement: str, effects: Effects) -> None:
    table, actions = _lower(match.group(1)), match.group(2)
    starts = r",\s*(?=(?:add|drop|alter|rename|validate|set|enable|disable|owner)\b)"
    for action in re.split(starts, actions, flags=re.IGNORECASE):
        words = re.sub(r"\bif (?:not )?exists ", "", action.strip(), flags=re.I)
        dropped = re.match(rf"drop (?:column )?({_IDENTIFIER})", words, re.IGNORECASE)
        added = re.match(rf"add (?:column )?({_IDENTIFIER})", words, re.IGNORECASE)
        if re.match(r"(?:add|drop|rename|validate|alter) constraint\b", words, re.IGNORECASE):
            effects.neutral += 1
        elif re.match(r"alter .*?\btype\b", words, re.IGNORECASE):
            effects.retyped.append(f"changes the type of a column of {table} in a way that may lose data")
        elif dropped is not None:
            effects.dropped_columns.add((table, _lower(dropped.group(1))))
        elif added is not None:
            constraint = added.group(1).lower() in ("check", "exclude", "foreign", "primary", "unique")
            effects.neutral += 1
            if not constraint:
                effects.created_columns.add((table, _lower(added.group(1))))
        elif re.match(r"(?:alter|rename|set|enable|disable|owner|validate)\b", words, re.IGNORECASE):
            effects.neutral += 1
        else:
            effects.opaque.append(f"alters {table} in a way that cannot be read")


_Reading = t.Callable[["re.Match[str]", str, Effects], None]
_READERS: tuple[tuple[re.Pattern[str], _Reading], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reader)
    for pattern, reader in (
        (rf"create (?:unlogged )?table (?:if not exists )?({_QUALIFIED})", _create_table),
        (rf"drop table (?:if exists )?((?:{_QUALIFIED})(?:\s*,\s*{_QUALIFIED})*)", _drop_table),
        (r"drop (schema|sequence|type|domain|database|extension|owned)\b", _drop_other),
        (rf"delete\sfrom (?:only )?({_QUALIFIED})", _delete),
        (rf"truncate (?:table )?(?:only )?({_QUALIFIED}(?:\s*,\s*{_QUALIFIED})*)", _delete),
        (rf"insert\sinto ({_QUALIFIED})", _insert),
        (rf"update\s(?:only )?({_QUALIFIED})(?: (?:as )?{_IDENTIFIER})? set (.*)", _update),
        (rf"alter table (?:if exists )?(?:only )?({_QUALIFIED}) (.*)", _alter_table),
    )
)
