# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearse a migration and its way back on a scratch copy of the database: exit codes, durations, and the schema before and after.

The copy is a database of ours, gone at the end. Before anything is migrated, Alembic has to read back a word that was written
into the copy alone: an application that takes its database's URL from elsewhere would migrate that one.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import re
import secrets
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    age,
    alembic,
    backup_proof,
    database_facts,
    manifest,
    migrate,
    pg_programs,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    Cluster,
    Database,
    cluster_of,
    maintenance_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Destination, destination
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    CommandFailed,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of, end_of

if t.TYPE_CHECKING:
    import psycopg

APPLICATION_NAME = "opsready rehearsal"
#: How long the end of the call may take to drop a copy that a thread is still at work on, in seconds.
_DROP_SECONDS = 20.0
_LINES_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Step:
    """One run of the tool: its exit code, seconds, and the end of what it printed.

    ``failed_at`` is the revision whose upgrade or downgrade failed, as far as the output tells, and ``cause`` the line that says why.
    """

    returncode: int
    seconds: float
    failed_at: str
    cause: str
    output: str

    @property
    def is_good(self) -> bool:
        return self.returncode == 0


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """What came of it. ``copied_from`` says of what the copy was; schemas are SHA-256, empty where it did not come so far.

    ``lost`` and ``left`` are lines of the schema that were there before alone, and after alone.
    """

    copied_from: str
    backup: t.Mapping[str, t.Any] | None
    copy_seconds: float
    caught_up: tuple[str, ...] = ()
    upgrade: Step | None = None
    downgrade: Step | None = None
    schema_before: str = ""
    schema_upgraded: str = ""
    schema_after: str = ""
    lost: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    revision_after: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()


class Remains:
    """The copy that an item's thread is at work on. Threads get no signal: ``close`` drops it when the call is ended."""

    def __init__(self, drop: t.Callable[[], None]) -> None:
        self._drop: t.Callable[[], None] | None = drop

    def gone(self) -> None:
        """The copy was dropped where it was made."""
        self._drop = None

    def close(self) -> None:
        drop, self._drop = self._drop, None
        if drop is not None:
            with contextlib.suppress(GoliveError):  # it is marked: the next rehearsal or proof sweeps it away
                drop()


@dataclasses.dataclass(frozen=True)
class Rehearsing:
    """What is rehearsed, where. ``options`` are those of ``rehearse``, ``params`` those of the project."""

    params: t.Mapping[str, t.Any]
    options: t.Mapping[str, t.Any]
    current: t.Sequence[str]
    target: str
    pending: t.Sequence[alembic.Revision]
    database: str
    layout: alembic.Layout
    deadline: Deadline
    keep: t.Callable[[str, t.Callable[[], Remains]], Remains]

    @property
    def dsn(self) -> str:
        given = self.options["dsn"]
        return str(given) if given is not None else postgres.with_database(self.params["dsn"], self.database)

    @property
    def password(self) -> str | None:
        return t.cast("str | None", (self.params if self.options["dsn"] is None else self.options)["password"])

    def cluster(self, deadline: Deadline) -> t.ContextManager[Cluster]:
        return cluster_of(
            self.dsn,
            password=self.password,
            maintenance=maintenance_name(postgres.database_of(self.dsn), self.options["maintenance_database"]),
            deadline=deadline,
            application_name=APPLICATION_NAME,
        )


def newest_proven(place: Destination, database: str) -> tuple[str, manifest.Manifest]:
    """The newest backup whose manifest says that it was proven: (name, manifest). Raises UnexpectedAnswer."""
    listed = manifest.listed(place, database)
    for one in reversed(listed):
        if one.manifest is not None and one.manifest.verified.get("ok") is True:
            return one.name, one.manifest
    raise UnexpectedAnswer(
        f"There is no proven backup of {database} to rehearse on, among {len(listed)}.",
        remedy="Make one with pg_backup, or rehearse with source: template while nobody is connected.",
    )


def rehearse(wanted: Rehearsing) -> Rehearsal:
    """Copy, upgrade, downgrade, compare. Raises the errors of _core.errors where it could not be done."""
    if wanted.options["source"] == "template":
        return _on_template(wanted)
    place = destination(wanted.options["destination"], wanted.options["s3"], deadline=wanted.deadline)
    with contextlib.closing(place):
        name, made = newest_proven(place, wanted.database)
        return _on_backup(wanted, place, name, made)


def _on_template(wanted: Rehearsing) -> Rehearsal:
    with wanted.cluster(wanted.deadline) as cluster:
        properties = database_facts.properties(cluster.connection, wanted.database, deadline=wanted.deadline)
        programs = _programs(wanted, cluster)
        with _copy(wanted, cluster, {}, template=wanted.database) as (made, swept, seconds):
            done = Rehearsal("a template copy", None, seconds(), swept=tuple(swept))
            return _both_ways(wanted, cluster, made, done, programs, properties, with_role=True)


def _on_backup(wanted: Rehearsing, place: Destination, name: str, made: manifest.Manifest) -> Rehearsal:
    given = wanted.options["identity"] if made.recipients is not None else None
    identities = age.identities_of(given, name="rehearse.identity") if given else ()
    archive = backup_proof.Archive(place, name.rpartition("/")[0], made, identities=identities)
    if archive.is_directory and archive.own_path is None:
        raise BadInput(
            f"{place.url(name)} is of pg_dump's directory format, and not on the disk of {os.uname().nodename}.",
            remedy="Rehearse on a backup of the custom format, which needs no room here, or with source: template.",
        )
    archive.require_readable()
    properties = archive.properties()
    with wanted.cluster(wanted.deadline) as cluster:
        programs = _programs(wanted, cluster)
        keeps_owners = backup_proof.may_keep_owners(cluster, made)
        with _copy(wanted, cluster, made.properties) as (database, swept, seconds):
            archive.restore(
                programs,
                wanted.dsn,
                wanted.password,
                dbname=database.name,
                deadline=wanted.deadline,
                options=("--no-subscriptions", *(() if keeps_owners else backup_proof.WITHOUT_OWNERS)),
                application_name=APPLICATION_NAME,
            )
            done = Rehearsal(f"backup {made.name}", made.summary(), seconds(), swept=tuple(swept))
            return _both_ways(wanted, cluster, database, done, programs, properties, with_role=keeps_owners)


def _programs(wanted: Rehearsing, cluster: Cluster) -> pg_programs.Programs:
    version = cluster.connection.info.server_version
    return pg_programs.chosen(wanted.options["pg_bindir"], version, deadline=wanted.deadline)


@contextlib.contextmanager
def _copy(
    wanted: Rehearsing, cluster: Cluster, properties: t.Mapping[str, t.Any], *, template: str = "template0"
) -> t.Iterator[tuple[Database, list[str], t.Callable[[], float]]]:
    """A scratch database, what an earlier one that was killed had left, and the seconds since its begin."""
    clock = wanted.deadline.clock
    began = clock.monotonic()
    swept: list[str] = []
    scratch = backup_proof.scratch_database(
        cluster,
        wanted.database,
        identity="rehearsal",
        properties=properties,
        warn=swept.append,
        template=template,
    )
    with scratch as made:
        remains = wanted.keep(made.name, lambda: Remains(functools.partial(_drop, wanted, made)))
        yield made, swept, lambda: round(clock.monotonic() - began, 3)
    remains.gone()


def _drop(wanted: Rehearsing, made: Database) -> None:
    with wanted.cluster(Deadline(_DROP_SECONDS, clock=wanted.deadline.clock)) as cluster:
        found = cluster.find(made.name)
        if found is not None and found.mark is not None:
            cluster.drop_ours(made.name, made.oid, found.mark.identity)


def _both_ways(
    wanted: Rehearsing,
    cluster: Cluster,
    made: Database,
    done: Rehearsal,
    programs: pg_programs.Programs,
    properties: t.Mapping[str, t.Any],
    *,
    with_role: bool,
) -> Rehearsal:
    """On the copy: up to the plan's target, and down to where the database is now."""
    _carry_settings(cluster, made, properties, deadline=wanted.deadline)
    with contextlib.ExitStack() as stack:
        connection = postgres.connect(
            wanted.dsn,
            password=wanted.password,
            deadline=wanted.deadline,
            application_name=APPLICATION_NAME,
            dbname=made.name,
        )
        stack.enter_context(contextlib.closing(connection))
        params = {**wanted.params, "dsn": wanted.dsn, "password": wanted.password}
        copy = migrate.Migration(
            params=params,
            deadline=wanted.deadline,
            connection=connection,
            database=made.name,
            application_name=APPLICATION_NAME,
            layout=wanted.layout,
        )
        settings = {"role": params["role"]} if with_role and params["role"] else {}
        if settings:
            _carry_owner(cluster, made, properties)
        require_reached(copy)
        done = dataclasses.replace(done, caught_up=_caught_up(copy, wanted.current, settings))
        schema = functools.partial(_schema, wanted, programs, made.name)
        before = schema()
        done = dataclasses.replace(done, schema_before=pg_programs.hash_of_schema(before))
        up = _step(copy, "upgrade", wanted.target, settings)
        done = dataclasses.replace(done, upgrade=up)
        if not up.is_good:
            return done
        done = dataclasses.replace(done, schema_upgraded=pg_programs.hash_of_schema(schema()))
        down = _step(copy, "downgrade", wanted.current[0] if wanted.current else "base", settings)
        done = dataclasses.replace(done, downgrade=down)
        if not down.is_good:
            return done
        after = schema()
        lost, left = unlike(before, after)
        return dataclasses.replace(
            done,
            schema_after=pg_programs.hash_of_schema(after),
            lost=lost,
            left=left,
            revision_after=tuple(copy.recorded() or ()),
        )


def _carry_settings(cluster: Cluster, made: Database, properties: t.Mapping[str, t.Any], *, deadline: Deadline) -> None:
    """The settings of the database that a migration runs under, such as its search_path."""
    login = cluster.connection.info.user
    settings = [one for one in properties.get("settings") or () if one["role"] in (None, login)]
    wanted = {"connection_limit": -1, "settings": settings, "grants": None}
    database_facts.apply_properties(cluster.connection, made.name, wanted, deadline=deadline)


def _carry_owner(cluster: Cluster, made: Database, properties: t.Mapping[str, t.Any]) -> None:
    """The owner of the database: what it may do in the schema `public` is its as the owner alone. Only a superuser gives it."""
    sql = require("psycopg").sql
    superuser = cluster.rows(
        "select rolsuper from pg_catalog.pg_roles where rolname = current_user", (), "Reading our rights"
    )
    if properties.get("owner") and superuser[0][0]:
        statement = sql.SQL("alter database {} owner to {}")
        cluster.connection.execute(statement.format(sql.Identifier(made.name), sql.Identifier(properties["owner"])))


def require_reached(copy: migrate.Migration) -> None:
    """Raise UnexpectedAnswer unless Alembic reads what stands in the copy's own version table, and nowhere else."""
    word = f"golive{secrets.token_hex(8)}"
    with _version_table_says(copy, word):
        try:
            ended = copy.run_tool("current", settings={"default_transaction_read_only": "on"}, with_password=True)
            said = ended.stdout + ended.stderr
        except CommandFailed as problem:  # as it should: there is no such revision
            said = problem.stderr
    if word in said:
        return
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raise UnexpectedAnswer(
        "Alembic was told the scratch copy's URL and did not read its version table, so nothing was migrated there: "
        f"{beginning_of(lines[-1], 300) if lines else 'it printed nothing'}.",
        remedy=migrate.APPLICATION_INTERPRETER
        if "No module named" in said
        else "Look at url_variable: env.py has to take the database's URL from it.",
    )


@contextlib.contextmanager
def _version_table_says(copy: migrate.Migration, word: str) -> t.Iterator[None]:
    """The copy's version table holds this word alone, and at the end what it held before."""
    sql = require("psycopg").sql
    params, rows = copy.params, copy.recorded()
    name = sql.Identifier(params["version_table_schema"] or _schema_of(copy), params["version_table"])
    make = sql.SQL("create table {} (version_num varchar(32) not null)").format(name)
    insert = sql.SQL("insert into {} values (%s)").format(name)
    with _told(copy) as connection, connection.transaction():
        connection.execute(make if rows is None else sql.SQL("delete from {}").format(name))
        connection.execute(insert, (word,))
    yield
    with _told(copy) as connection, connection.transaction():
        if rows is None:
            connection.execute(sql.SQL("drop table {}").format(name))
            return
        connection.execute(sql.SQL("delete from {}").format(name))
        for row in rows:
            connection.execute(insert, (row,))


@contextlib.contextmanager
def _told(copy: migrate.Migration) -> t.Iterator[psycopg.Connection[t.Any]]:
    with postgres.translated("Writing into the copy's version table", deadline=copy.deadline):
        yield copy.connection


def _schema_of(copy: migrate.Migration) -> str:
    """Where the version table is, as ``database_facts.revisions`` looks for it; where there is none, where one would be made."""
    found = postgres.value(
        copy.connection,
        "select coalesce((select n.nspname::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n"
        " on n.oid = c.relnamespace where c.relkind = 'r' and c.relname = %s and n.nspname !~ '^pg_'"
        " order by (n.nspname <> 'public'), 1 limit 1), current_schema()::text)",
        (copy.params["version_table"],),
        doing="Looking for the version table",
        deadline=copy.deadline,
    )
    return str(found or "public")


def _caught_up(copy: migrate.Migration, current: t.Sequence[str], settings: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Bring an older copy to where the database is. Raises UnexpectedAnswer where it is no older one."""
    there = copy.recorded() or []
    if sorted(there) == sorted(current):
        return ()
    is_older = all(one in copy.history.revisions for one in there) and set(there) <= copy.history.ancestors(current)
    if not is_older or len(current) != 1:
        raise UnexpectedAnswer(
            f"The copy is at {', '.join(there) or 'no revision'} and the database at "
            f"{', '.join(current) or 'no revision'}, which does not come after it.",
            remedy="Take a new backup, and rehearse on that.",
        )
    missed = copy.history.between(there, current[0])
    copy.run_tool("upgrade", current[0], settings=settings, with_password=True)
    return tuple(one.identity for one in missed)


def _step(copy: migrate.Migration, verb: str, target: str, settings: t.Mapping[str, t.Any]) -> Step:
    ended = copy.run_tool(verb, target, settings=settings, with_password=True, check=False)
    said = ended.stdout + ended.stderr
    # What PostgreSQL tells as DETAIL holds the row that does not fit: people's data.
    output = "\n".join(line for line in said.splitlines() if not line.lstrip().startswith("DETAIL:"))
    failed_at = "" if ended.returncode == 0 else _failed_at(copy, output)
    return Step(ended.returncode, round(ended.seconds, 3), failed_at, _cause(output), end_of(output, 4000))


def _failed_at(copy: migrate.Migration, output: str) -> str:
    """The revision at which the tool stopped: the last whose file its traceback tells, or whose begin its log tells."""
    by_file = {os.path.basename(one.path): one.identity for one in copy.history.revisions.values()}
    named = [name for name in re.findall(r'File "[^"\n]*?([^"/\n]+)", line \d+', output) if name in by_file]
    if named:
        return by_file[named[-1]]
    logged = re.findall(r"Running (upgrade|downgrade) (\S*) -> ([^\s,]*)", output)
    return str((logged[-1][2] if logged[-1][0] == "upgrade" else logged[-1][1]) if logged else "")


def _cause(output: str) -> str:
    """The line that says what went wrong: the last that begins with an exception's name, else the last of all."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"(?!HINT|LINE)[A-Za-z_][\w.]*: ", line)]
    return beginning_of((named or lines or ["it printed nothing"])[-1], 300)


def _schema(wanted: Rehearsing, programs: pg_programs.Programs, name: str) -> bytes:
    table = str(wanted.params["version_table"]).replace('"', '""')
    return pg_programs.schema_text(
        programs,
        wanted.dsn,
        wanted.password,
        dbname=name,
        deadline=wanted.deadline,
        # Alembic makes its own table on the way up, and leaves it there.
        options=(f'--exclude-table=*."{table}"',),
        application_name=APPLICATION_NAME,
    )


def unlike(before: bytes, after: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lines of the schema that were there before alone, and after alone; the order of columns does not count."""

    def known(text: bytes) -> dict[bytes, str]:
        lines = [line.strip().rstrip(b",") for line in pg_programs.schema_lines(text)]
        seen: collections.Counter[bytes] = collections.Counter()
        found = {}
        for line in lines:  # several lines may be alike
            key = pg_programs.as_ever_written(line)
            seen[key] += 1
            found[key + b" %d" % seen[key]] = line.decode("utf-8", "replace")
        return found

    first, second = known(before), known(after)
    lost, left = (
        sorted(one[key] for key in one.keys() - other.keys()) for one, other in ((first, second), (second, first))
    )
    return tuple(lost), tuple(left)


def told(done: Rehearsal) -> dict[str, t.Any]:
    """As JSON, the schema's lines cut to the first."""
    return {
        **dataclasses.asdict(done),
        "lost": list(done.lost[:_LINES_SHOWN]),
        "left": list(done.left[:_LINES_SHOWN]),
    }
