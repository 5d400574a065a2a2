"""What a system looks like from outside the release: database, broker, buckets and files, and how two pictures differ.

Nothing here uses the collection: the demos prove its work by other means.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

from scenarios.workspace import Facts

APPLICATION = "ablage-demo"
# text forms of values depend on these: a picture taken under others would differ without a difference
PINNED = {
    "timezone": "UTC", "datestyle": "ISO, YMD", "intervalstyle": "postgres", "extra_float_digits": "1",
    "bytea_output": "hex", "statement_timeout": "0",
}  # fmt: skip

# Each query gives one text a row. They are about the database `ablage` by its name, not by its OID: a restore makes a new one.
SETTINGS: dict[str, LiteralString] = {
    "database": """
        select concat_ws('|', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype,
                         datlocale, datconnlimit, datallowconn, datistemplate, t.spcname)
        from pg_database d join pg_tablespace t on t.oid = d.dattablespace where datname = current_database()""",
    "grants on the database": """
        select acl::text from pg_database, unnest(coalesce(datacl, acldefault('d', datdba))) acl
        where datname = current_database()""",
    "comment on the database": """
        select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()""",
    "settings of the database and of roles in it": """
        select concat_ws('|', coalesce(nullif(setrole, 0)::regrole::text, '*'), setting)
        from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(setconfig) setting
        where datname = current_database()""",
    "schemas": """
        select concat_ws('|', nspname, pg_get_userbyid(nspowner), acl, obj_description(n.oid, 'pg_namespace'))
        from pg_namespace n left join lateral unnest(coalesce(nspacl, acldefault('n', nspowner))) acl on true
        where nspname !~ '^pg_' and nspname <> 'information_schema'""",
    "tables, sequences and views": """
        select concat_ws('|', c.oid::regclass, relkind, pg_get_userbyid(relowner), relpersistence, reloptions::text,
                         obj_description(c.oid, 'pg_class'))
        from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'S', 'v', 'm', 'p')""",
    "grants on them": """
        select concat_ws('|', c.oid::regclass, acl)
        from pg_class c, unnest(coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))) acl
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'S', 'v', 'm', 'p')""",
    "columns, their grants and comments": """
        select concat_ws('|', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
                         attgenerated, pg_get_expr(adbin, adrelid), attacl::text, col_description(attrelid, attnum))
        from pg_attribute a join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped""",
    "constraints": """
        select concat_ws('|', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": """
        select concat_ws('|', pg_get_indexdef(indexrelid), indisvalid)
        from pg_index i join pg_class c on c.oid = indexrelid where relnamespace = 'public'::regnamespace""",
    "default grants, extensions, publications": """
        select concat_ws('|', 'default', pg_get_userbyid(defaclrole), defaclobjtype, defaclacl::text) from pg_default_acl
        union all select concat_ws('|', 'extension', extname, extversion) from pg_extension
        union all select concat_ws('|', 'publication', pubname) from pg_publication""",
}


@contextmanager
def database(facts: Facts, name: str | None = None) -> Iterator[Any]:
    """A read-only session with pinned settings, in the archive's database or in another one of the server."""
    import psycopg

    connection = psycopg.connect(
        host=facts["postgres_host"], port=facts["postgres_port"], user="postgres",
        password=facts.secret("db_superuser_password"), dbname=name or facts["database"], application_name=APPLICATION,
        connect_timeout=5, autocommit=True,
    )  # fmt: skip
    with connection:
        for setting, value in PINNED.items():
            connection.execute("select set_config(%s, %s, false)", (setting, value))
        connection.execute("set default_transaction_read_only = on")
        yield connection


@dataclass(frozen=True)
class DatabasePicture:
    """Every row by its primary key and its hash, and everything about the database that is not a row."""

    rows: dict[str, dict[str, str]]
    settings: dict[str, list[str]]

    def hashes(self) -> dict[str, str]:
        """One hash per table, over all its rows."""
        return {
            table: hashlib.sha256(
                "\n".join(f"{key} {value}" for key, value in sorted(rows.items())).encode()
            ).hexdigest()
            for table, rows in self.rows.items()
        }


@dataclass(frozen=True)
class TableDifference:
    """Primary keys of the rows that are gone, changed and new."""

    gone: set[str]
    changed: set[str]
    new: set[str]


def photograph(facts: Facts) -> DatabasePicture:
    """The whole content in one snapshot."""
    from psycopg import sql

    with database(facts) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        keys = connection.execute(
            """select c.relname, array_agg(a.attname order by a.attnum)
               from pg_class c join pg_index i on i.indrelid = c.oid and i.indisprimary
               join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
               where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' group by 1"""
        ).fetchall()
        rows = {}
        for table, columns in keys:
            key = sql.SQL("concat_ws('/', {})").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
            query = sql.SQL("select {}, md5(t::text) from {} t").format(key, sql.Identifier(table))
            rows[table] = dict(connection.execute(query).fetchall())
        # to_regclass and its like print a name as short as the search path allows
        settings = {
            name: sorted("" if row[0] is None else str(row[0]) for row in connection.execute(query))
            for name, query in SETTINGS.items()
        }
    return DatabasePicture(rows, settings)


def differences(before: DatabasePicture, after: DatabasePicture) -> dict[str, TableDifference]:
    """Per table what differs; tables that are the same to the row are left out."""
    found = {}
    for table in sorted({*before.rows, *after.rows}):
        old, new = before.rows.get(table, {}), after.rows.get(table, {})
        difference = TableDifference(
            gone=old.keys() - new.keys(),
            changed={key for key in old.keys() & new.keys() if old[key] != new[key]},
            new=new.keys() - old.keys(),
        )
        if difference.gone or difference.changed or difference.new:
            found[table] = difference
    return found


def setting_differences(before: DatabasePicture, after: DatabasePicture) -> list[str]:
    """In words, what of owner, grants, settings, comments and structure differs."""
    found = []
    for name, old in before.settings.items():
        new = after.settings[name]
        found += [f"{name}: lost {line}" for line in old if line not in new]
        found += [f"{name}: gained {line}" for line in new if line not in old]
    return found


def next_transaction(facts: Facts) -> int:
    """The transaction id that the next writer gets, over all databases of the server. Asking uses none up."""
    with database(facts, "postgres") as connection:
        return int(connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()[0])


def open_again(facts: Facts, name: str) -> None:
    """Let us look into a database that a rollback closed and kept. The last thing that a demo does to its server."""
    from psycopg import sql

    with database(facts, "postgres") as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(name)))


def given_out(facts: Facts, name: str) -> dict[str, int]:
    """The last number that each sequence of a database gave out."""
    with database(facts, name) as connection:
        found = connection.execute("select sequencename, coalesce(last_value, 0) from pg_sequences").fetchall()
    return {str(sequence): int(value) for sequence, value in found}


def databases(facts: Facts) -> list[str]:
    with database(facts, "postgres") as connection:
        return [str(row[0]) for row in connection.execute("select datname from pg_database order by 1")]


# ── broker ──


@contextmanager
def broker(facts: Facts) -> Iterator[Any]:
    from redis import Redis

    with Redis(
        host=facts["redis_host"], port=facts["redis_port"], db=facts["redis_database"],
        password=facts.secret("redis_password"), socket_timeout=5,
    ) as client:  # fmt: skip
        yield client


def broker_dump(facts: Facts, volatile: re.Pattern[str]) -> dict[str, str]:
    """Every key with the hash of its DUMP; keys that match ``volatile`` are left out."""
    with broker(facts) as client:
        found = {}
        for key in client.scan_iter(count=1000):
            name = key.decode(errors="replace")
            content = client.dump(key)
            if content is not None and not volatile.fullmatch(name):
                found[name] = hashlib.sha256(content).hexdigest()
    return found


@dataclass(frozen=True)
class Messages:
    """Where the broker holds messages, by the id of the job: waiting in a queue, held by a worker, put aside."""

    waiting: dict[str, int]
    held: dict[str, int]
    aside: dict[str, int]

    def count(self, job: str) -> int:
        return sum(place.get(job, 0) for place in (self.waiting, self.held, self.aside))


def messages(facts: Facts) -> Messages:
    """All messages of the archive's queues."""
    import json

    def add(place: dict[str, int], content: bytes) -> None:
        identity = json.loads(content)["headers"]["id"]
        place[identity] = place.get(identity, 0) + 1

    waiting: dict[str, int] = {}
    held: dict[str, int] = {}
    aside: dict[str, int] = {}
    with broker(facts) as client:
        for queue in facts["queues"]:
            for content in client.lrange(queue, 0, -1):
                add(waiting, content)
        for content in client.hvals("unacked"):
            add(held, json.dumps(json.loads(content)[0]).encode())
        for key in client.scan_iter("opsready:*:parked:*", count=1000):
            if client.type(key) == b"list":
                for content in client.lrange(key, 0, -1):
                    add(aside, content)
    return Messages(waiting, held, aside)


# ── object store and files ──


def bucket_listing(facts: Facts) -> dict[str, str]:
    """Each object of both buckets with size, time of change and ETag."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=facts["s3_endpoint"], region_name=facts["s3_region"],
        aws_access_key_id=facts.secret("backup_access_key"), aws_secret_access_key=facts.secret("backup_secret_key"),
    )  # fmt: skip
    found = {}
    for bucket in (facts["bucket"], facts["backup_bucket"]):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                found[f"{bucket}/{entry['Key']}"] = (
                    f"{entry['Size']} {entry['LastModified'].isoformat()} {entry['ETag']}"
                )
    return found


def file_hashes(*folders: str) -> dict[str, str]:
    """Each file and link below the folders with mode and hash."""
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_symlink():
                found[str(path)] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path)] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def changed_keys(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Names that are new, gone or different."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
