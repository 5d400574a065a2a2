# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's schema, an object a line: kept before a migration, and compared after it was taken back.

A column is known by its name and not by its place: one that was dropped and added again comes last, which no statement
that names its columns sees. Owners and grants count, since what was made again may lack them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import write_whole

if t.TYPE_CHECKING:
    import psycopg

MODE = 0o600
_FORM = "opsready-schema-1"
#: A file that is larger is not read.
_LARGEST = 256 << 20
#: How many differences are told of each kind; all are counted.
_SHOWN = 20

#: kind, name, the relation that it is a part of, and its definition. What extensions brought is theirs.
_OBJECTS = """
with extended as (
  select classid, objid from pg_catalog.pg_depend where deptype = 'e'
), places as (
  select oid, nspname, nspowner, nspacl from pg_catalog.pg_namespace
  where nspname <> 'information_schema' and nspname !~ '^pg_'
    and not exists (select from extended e where e.classid = 'pg_catalog.pg_namespace'::regclass and e.objid = oid)
), relations as (
  select c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
         c.relispartition, c.relpartbound, c.reloptions, c.oid::regclass::text as name
  from pg_catalog.pg_class c join places p on p.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and c.relpersistence <> 't'
    and not exists (select from extended e where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = c.oid)
    and not (c.relname = %(version_table)s and p.nspname = coalesce(%(version_schema)s, p.nspname))
)
select case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
         when 'm' then 'materialized view' when 'f' then 'foreign table' when 'S' then 'sequence' else 'type' end,
       r.name, null::text,
       concat_ws('; ', 'owner ' || pg_get_userbyid(r.relowner),
         'grants ' || (select string_agg(a::text, ',' order by a::text) from unnest(coalesce(r.relacl,
           acldefault(case r.relkind when 'S' then 's'::"char" else 'r'::"char" end, r.relowner))) as a),
         case when r.relpersistence = 'u' then 'unlogged' end,
         case when r.relrowsecurity then 'row security' end, case when r.relforcerowsecurity then 'forced' end,
         case when r.relispartition then 'partition ' || pg_get_expr(r.relpartbound, r.oid) end,
         array_to_string(r.reloptions, ','),
         case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end,
         (select concat_ws(' ', format_type(s.seqtypid, null), 'from', s.seqmin, 'to', s.seqmax, 'start', s.seqstart,
                           'by', s.seqincrement, case when s.seqcycle then 'cycle' end)
          from pg_catalog.pg_sequence s where s.seqrelid = r.oid))
from relations r
union all
select 'column', r.name || '.' || quote_ident(a.attname), r.name,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod),
         (select 'collate ' || l.oid::regcollation::text from pg_catalog.pg_collation l, pg_catalog.pg_type y
          where l.oid = a.attcollation and y.oid = a.atttypid and l.oid <> y.typcollation),
         case when a.attnotnull then 'not null' end,
         case a.attidentity when 'a' then 'identity always' when 'd' then 'identity' end,
         case a.attgenerated when '' then 'default ' else 'generated ' end || pg_get_expr(d.adbin, d.adrelid),
         'grants ' || array_to_string(a.attacl, ','))
from relations r join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where r.relkind in ('r', 'p', 'f', 'c')
union all
select 'constraint', r.name || '.' || quote_ident(k.conname), r.name, pg_get_constraintdef(k.oid)
from relations r join pg_catalog.pg_constraint k on k.conrelid = r.oid and k.contype in ('c', 'f', 'p', 'u', 'x')
union all
select case when i.indisunique then 'unique index' else 'index' end, i.indexrelid::regclass::text, r.name,
       concat_ws('; ', pg_get_indexdef(i.indexrelid), case when not i.indisvalid then 'not valid' end)
from relations r join pg_catalog.pg_index i on i.indrelid = r.oid
where not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
union all
select 'trigger', r.name || '.' || quote_ident(g.tgname), r.name,
       concat_ws('; ', pg_get_triggerdef(g.oid), case when g.tgenabled <> 'O' then 'enabled ' || g.tgenabled::text end)
from relations r join pg_catalog.pg_trigger g on g.tgrelid = r.oid and not g.tgisinternal
union all
select 'policy', r.name || '.' || quote_ident(o.polname), r.name,
       concat_ws('; ', o.polcmd::text, case when not o.polpermissive then 'restrictive' end,
         (select string_agg(case when w = 0 then 'public' else pg_get_userbyid(w) end, ',' order by w)
          from unnest(o.polroles) as w),
         'using ' || pg_get_expr(o.polqual, o.polrelid), 'check ' || pg_get_expr(o.polwithcheck, o.polrelid))
from relations r join pg_catalog.pg_policy o on o.polrelid = r.oid
union all
select case y.typtype when 'e' then 'enum' when 'd' then 'domain' else 'range' end, y.oid::regtype::text, null,
       concat_ws('; ', 'owner ' || pg_get_userbyid(y.typowner),
         (select string_agg(quote_literal(n.enumlabel), ',' order by n.enumsortorder)
          from pg_catalog.pg_enum n where n.enumtypid = y.oid),
         case when y.typtype = 'd' then format_type(y.typbasetype, y.typtypmod) end,
         case when y.typnotnull then 'not null' end, 'default ' || y.typdefault,
         (select string_agg(pg_get_constraintdef(k.oid), ',' order by k.conname)
          from pg_catalog.pg_constraint k where k.contypid = y.oid and k.contype = 'c'))
from pg_catalog.pg_type y join places p on p.oid = y.typnamespace
where y.typtype in ('e', 'd', 'r')
  and not exists (select from extended e where e.classid = 'pg_catalog.pg_type'::regclass and e.objid = y.oid)
union all
select case f.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
       f.oid::regprocedure::text, null,
       concat_ws('; ', 'owner ' || pg_get_userbyid(f.proowner),
         'grants ' || (select string_agg(a::text, ',' order by a::text)
                       from unnest(coalesce(f.proacl, acldefault('f', f.proowner))) as a),
         case when f.prokind = 'a' then pg_get_function_result(f.oid) else 'md5 ' || md5(pg_get_functiondef(f.oid)) end)
from pg_catalog.pg_proc f join places p on p.oid = f.pronamespace
where not exists (select from extended e where e.classid = 'pg_catalog.pg_proc'::regclass and e.objid = f.oid)
union all
select 'schema', quote_ident(p.nspname), null,
       concat_ws('; ', 'owner ' || pg_get_userbyid(p.nspowner),
         'grants ' || (select string_agg(a::text, ',' order by a::text)
                       from unnest(coalesce(p.nspacl, acldefault('n', p.nspowner))) as a))
from places p
union all
select 'extension', quote_ident(x.extname), null, x.extversion from pg_catalog.pg_extension x
order by 1, 2
"""


class Part(t.NamedTuple):
    """How an object is made, and the relation that it is a part of, where it is one."""

    definition: str
    of: str | None


#: By kind and name, such as ``column public.notes.text``.
Schema = t.Dict[str, Part]


@dataclasses.dataclass(frozen=True)
class Kept:
    """What was kept in a file: the schema, at which revisions, by which release, and the file's SHA-256."""

    objects: dict[str, str]
    revisions: tuple[str, ...]
    release: str
    sha256: str


def read(
    connection: psycopg.Connection[t.Any], *, version_table: str, version_schema: str | None, deadline: Deadline
) -> Schema:
    """The schema as it is now, but for the version table. Raises what ``postgres.rows`` does."""
    with postgres.translated("Reading the schema", deadline=deadline), connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        # Else definitions would name what the login's own path finds without its schema.
        connection.execute("set local search_path to pg_catalog")
        found = postgres.rows(
            connection,
            _OBJECTS,
            {"version_table": version_table, "version_schema": version_schema},
            doing="Reading the schema",
            deadline=deadline,
        )
    return {f"{kind} {name}": Part(definition or "", of) for kind, name, of, definition in found}


def keep(path: str, schema: Schema, *, revisions: t.Sequence[str], release: str) -> Kept:
    """Write a schema as a file that its owner alone reads, and make its folder. Raises ActionFailed."""
    lines: list[t.Any] = [{"form": _FORM, "revisions": sorted(revisions), "release": release}]
    lines += [[name, part.definition] for name, part in schema.items()]
    content = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        write_whole(path, content, mode=MODE)
    except OSError as problem:
        raise ActionFailed(
            f"The schema as it is before the migration cannot be kept in {path}: {problem.strerror}.",
            remedy="Nothing was migrated. Name another schema_file.",
        )
    objects = {name: part.definition for name, part in schema.items()}
    return Kept(objects, tuple(sorted(revisions)), release, hashlib.sha256(content).hexdigest())


def kept(path: str) -> Kept:
    """What ``keep`` wrote. Raises what ``read_whole`` does, and UnexpectedAnswer for anything else."""
    file = read_whole(path, max_bytes=_LARGEST)
    try:
        head, *lines = [json.loads(line) for line in file.octets.decode("utf-8").split("\n") if line]
        if head["form"] != _FORM:
            raise ValueError
        objects = {str(name): str(definition) for name, definition in lines}
        return Kept(objects, tuple(map(str, head["revisions"])), str(head["release"]), file.sha256)
    except (ValueError, KeyError, TypeError):
        raise UnexpectedAnswer(f"{path} is no schema that was kept before a migration.")


def is_left_over(name: str, part: Part, before: t.Container[str]) -> bool:
    """Whether what was not there before stands for itself, so that the previous version does not meet it.

    A part of a table that was there before binds whoever writes to that: but for an index that demands nothing.
    """
    if part.of is None or name.startswith("index "):
        return True
    return not any(f"{kind} {part.of}" in before for kind in ("table", "partitioned table", "foreign table", "type"))


def difference(before: t.Mapping[str, str], now: Schema) -> dict[str, t.Any]:
    """``missing``, ``changed`` and ``unexpected`` objects, and those ``left_over``, each with how it was and is."""
    found: dict[str, list[dict[str, str]]] = {"missing": [], "changed": [], "unexpected": [], "left_over": []}
    for name in sorted(before.keys() | now.keys()):
        was, part = before.get(name), now.get(name)
        if part is None:
            found["missing"].append({"object": name, "before": beginning_of(str(was), 400)})
        elif was is None:
            kind = "left_over" if is_left_over(name, part, before) else "unexpected"
            found[kind].append({"object": name, "after": beginning_of(part.definition, 400)})
        elif was != part.definition:
            found["changed"].append(
                {"object": name, "before": beginning_of(was, 400), "after": beginning_of(part.definition, 400)}
            )
    return {
        "is_as_before": not (found["missing"] or found["changed"] or found["unexpected"]),
        "objects": len(before),
        "counts": {kind: len(entries) for kind, entries in found.items()},
        **{kind: entries[:_SHOWN] for kind, entries in found.items()},
    }


def compared(
    path: str,
    connection: psycopg.Connection[t.Any],
    *,
    revisions: t.Sequence[str],
    version_table: str,
    version_schema: str | None,
    deadline: Deadline,
) -> dict[str, t.Any]:
    """The schema now against the one kept in a file at these revisions.

    ``is_as_before`` is None, and ``problem`` says why, where that cannot be known: the migration was taken back all the same.
    """
    try:
        was = kept(path)
        if was.revisions != tuple(sorted(revisions)):
            at = ", ".join(was.revisions) or "no revision"
            raise UnexpectedAnswer(
                f"{path} holds the schema of {at}, expected {', '.join(revisions) or 'no revision'}."
            )
        now = read(connection, version_table=version_table, version_schema=version_schema, deadline=deadline)
    except GoliveError as problem:
        return {"is_as_before": None, "file": path, "problem": problem.message}
    return {**difference(was.objects, now), "file": path, "sha256": was.sha256, "problem": None}


def in_words(schema: t.Mapping[str, t.Any]) -> str:
    """What a comparison found, as a sentence."""
    if schema["is_as_before"] is None:
        problem = str(schema["problem"]).rstrip(".")
        return f"Whether the schema is as it was before the migration is not known: {problem}."
    counts = schema["counts"]
    words = {"missing": "missing", "changed": "changed", "unexpected": "new", "left_over": "left over"}
    said = [
        f"{counts[kind]} {word} ({', '.join(entry['object'] for entry in schema[kind][:5])})"
        for kind, word in words.items()
        if counts[kind]
    ]
    if not said:
        return f"The schema is as it was before the migration: {schema['objects']} objects."
    so_far = (
        "as it was before the migration, but for" if schema["is_as_before"] else "not as it was before the migration:"
    )
    return f"The schema is {so_far} {', '.join(said)}."
