# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a database's migrations: what is pending, what can be undone, what was reviewed, applied once, taken back.

State comes from the version table and the revision files. The application runs only to render SQL and to migrate.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    admission,
    alembic,
    data_loss,
    database_facts,
    schema_facts,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.artefacts import unpacked_aside
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Cluster
from ansible_collections.opsready.golive.plugins.module_utils._clients import conninfo, postgres
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import POSTGRES, RELEASE, Spec, compose
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import Completed, passfile, run_command
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    CommandFailed,
    Ended,
    GoliveError,
    Refused,
    TimedOut,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import beginning_of, end_of
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import write_whole

if t.TYPE_CHECKING:
    import psycopg

#: Which migrations, run by which interpreter, on which database: the options of migrate and of check_migration.
PROJECT: Spec = compose(
    POSTGRES,
    {
        "tool": {"type": "str", "choices": ["alembic"], "default": "alembic"},
        "database": {"type": "str"},
        "directory": {"type": "path", "required": True},
        "artefact": {
            "type": "dict",
            "options": {
                "src": {"type": "path", "required": True},
                "sha256": {"type": "str", "required": True},
                "strip_components": {"type": "int", "default": 0},
            },
        },
        "config": {"type": "str"},
        "versions": {"type": "list", "elements": "str", "default": []},
        "command": {"type": "list", "elements": "str"},
        "environment": {"type": "dict", "default": {}},
        "env_file": {"type": "path"},
        "env_file_variable": {"type": "str"},
        "url_variable": {"type": "str", "default": "DATABASE_URL"},
        "url_scheme": {"type": "str", "default": "postgresql+psycopg"},
        "version_table": {"type": "str", "default": "alembic_version"},
        "version_table_schema": {"type": "str"},
        "to": {"type": "str"},
        "expected_preview": {"type": "str", "no_log": False},
        "allow_unversioned": {"type": "bool", "default": False},
        "role": {"type": "str"},
    },
)
STATES = ("status", "planned", "previewed", "applied", "rolled_back")
ARGUMENT_SPEC: Spec = compose(
    PROJECT,
    RELEASE,
    {
        "state": {"type": "str", "choices": list(STATES), "required": True},
        "preview_file": {"type": "path"},
        "accept_data_loss": {"type": "bool", "default": False},
        "accepted_by": {"type": "str"},
        "schema_file": {"type": "path"},
        "restore_possible": {"type": "bool", "default": True},
        "application_roles": {"type": "list", "elements": "str", "default": []},
        "lock_timeout": {"type": "float", "default": 5.0},
        "statement_timeout": {"type": "float"},
        "timeout": {"type": "float", "default": 3600.0},
    },
)
CONSTRAINTS: dict[str, t.Any] = {
    "required_if": [
        ("state", "rolled_back", ("to",)),
        ("state", "previewed", ("preview_file",)),
        ("accept_data_loss", True, ("accepted_by",)),
    ],
    "required_together": [("env_file", "env_file_variable")],
}

CANNOT_RENDER = "cannot be rendered"
NOTHING_PENDING = "nothing is pending"
PREVIEW_MODE = 0o600
#: A preview that is larger is not read.
LARGEST_PREVIEW = 256 << 20
APPLICATION_INTERPRETER = "Name the application's interpreter: command: [/path/to/python, -m, alembic]."
_SQL_SHOWN = 60_000


def body(context: Context) -> dict[str, t.Any]:
    params = context.params
    deadline = Deadline(params["timeout"])
    changes = params["state"] in ("applied", "rolled_back")
    with contextlib.ExitStack() as stack:
        token = None
        if changes:
            token = stack.enter_context(fencing.held(params["release"], doing=f"migrate {params['state']}"))
        elif params["release"] is not None:
            token = fencing.Token.parse(params["release"])
        if params["artefact"] is not None and changes:
            raise BadInput("An artefact is only looked at; it is applied from the folder that it was unpacked to.")
        migration = stack.enter_context(
            opened(
                params,
                deadline=deadline,
                application_name="opsready" if token is None else token.application_name,
                required_roles=params["application_roles"] if params["state"] == "planned" else (),
            )
        )
        if params["state"] == "status":
            return migration.status()
        if params["state"] == "planned":
            return migration.planned()
        if params["state"] == "previewed":
            return migration.previewed(params["preview_file"], check_mode=context.check_mode)
        if params["state"] == "applied":
            return migration.apply(check_mode=context.check_mode)
        return migration.roll_back(check_mode=context.check_mode)


@contextlib.contextmanager
def opened(
    params: t.Mapping[str, t.Any], *, deadline: Deadline, application_name: str, required_roles: t.Sequence[str] = ()
) -> t.Iterator[Migration]:
    """The migrations and the database that ``PROJECT``'s options name; an artefact is unpacked aside, and gone at the end.

    The server is asked for ``required_roles`` before the migrations are looked at.
    """
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(directory_of(params, deadline=deadline))
        database = params["database"] or postgres.database_of(params["dsn"])
        connection = postgres.connect(
            params["dsn"],
            password=params["password"],
            deadline=deadline,
            application_name=application_name,
            dbname=database,
            settings={"lock_timeout": "10s"},
        )
        stack.enter_context(contextlib.closing(connection))
        if required_roles:
            admission.require_roles(connection, required_roles, deadline=deadline)
        yield Migration(
            params=params,
            deadline=deadline,
            connection=connection,
            database=database,
            application_name=application_name,
            layout=alembic.layout(directory, params["config"], params["versions"]),
        )


@contextlib.contextmanager
def directory_of(params: t.Mapping[str, t.Any], *, deadline: Deadline) -> t.Iterator[str]:
    """The folder that ``directory`` names; one inside an artefact is unpacked aside, and gone at the end."""
    directory, artefact = str(params["directory"]), params["artefact"]
    if artefact is None:
        yield directory
        return
    strip = artefact["strip_components"]
    with unpacked_aside(artefact["src"], artefact["sha256"], strip=strip, deadline=deadline) as aside:
        yield os.path.join(aside, directory.lstrip("/"))


def url_for(dsn: str, database: str, scheme: str) -> str:
    """The DSN as the application's URL, for another database and without a password (PGPASSFILE has it)."""
    return conninfo.url_of(postgres.normalised(dsn), database, scheme)


def preview_hash(files: t.Mapping[str, str], current: t.Sequence[str], target: str, sql: str | None) -> str:
    """SHA-256 over everything a reviewer saw: files of the environment, from, to, and the rendered SQL."""
    what = {
        "files": dict(files),
        "from": sorted(current),
        "to": target,
        "sql": CANNOT_RENDER if sql is None else hashlib.sha256(sql.encode()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def rollback_kind(pending: t.Sequence[alembic.Revision], *, restore_possible: bool) -> tuple[str, str]:
    """How a release with these revisions goes back, and why: image_only, downgrade, restore or forward_only."""
    if not pending:
        return "image_only", "no revision is pending"
    worst = [one for one in pending if not one.verdict.is_reversible]
    if not worst:
        return "downgrade", f"each of the {len(pending)} pending revisions can be taken back in full"
    why = "; ".join(f"{one.identity} is {one.verdict.kind}: {', '.join(one.verdict.reasons)}" for one in worst)
    return ("restore" if restore_possible else "forward_only"), why


def way_to_render(problem: str) -> str:
    """The way out where the SQL could not be rendered."""
    if "No module named" in problem:
        return APPLICATION_INTERPRETER
    return (
        "A migration that asks the database cannot be rendered by alembic upgrade --sql: write it so that it does not ask, "
        "or have its file read instead."
    )


def _present(path: str) -> tuple[bytes | None, int | None]:
    """Content and mode of a file; nothing where there is none. Raises what ``read_whole`` does, but for that."""
    try:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
    except FileNotFoundError:
        return None, None
    except OSError as problem:
        raise BadInput(f"{path} cannot be read: {problem.strerror}.")
    return read_whole(path, max_bytes=LARGEST_PREVIEW).octets, mode


class Planned(t.NamedTuple):
    """A plan: as it is told, and whole. ``sql`` is None where ``problem`` says why there is none."""

    told: dict[str, t.Any]
    current: list[str]
    target: str
    preview: str
    pending: tuple[alembic.Revision, ...]
    sql: str | None
    problem: str | None


class Migration:
    """One call of the module, on one database and one directory."""

    def __init__(
        self,
        *,
        params: t.Mapping[str, t.Any],
        deadline: Deadline,
        connection: psycopg.Connection[t.Any],
        database: str,
        application_name: str,
        layout: alembic.Layout,
    ) -> None:
        self.params = params
        self.deadline = deadline
        self.connection = connection
        self.database = database
        self.application_name = application_name
        self.layout = layout
        self.history = alembic.History.read(layout)

    def recorded(self) -> list[str] | None:
        """The version table's rows; None without such a table."""
        return database_facts.revisions(
            self.connection,
            self.params["version_table"],
            schema=self.params["version_table_schema"],
            deadline=self.deadline,
        )

    def current(self) -> list[str]:
        """Where the database is. Raises Refused for a database with tables that Alembic never saw."""
        rows = self.recorded()
        if rows:
            self.history.require_known(rows, self.database)
            return rows
        tables = [
            database_facts.readable(table)
            for table in database_facts.tables(self.connection, deadline=self.deadline)
            if table[1] != self.params["version_table"]
        ]
        if tables and not self.params["allow_unversioned"]:
            state = "is missing" if rows is None else "is empty"
            raise Refused(
                f"Table {self.params['version_table']} of {self.database} {state}, and there are {len(tables)} other "
                f"tables ({', '.join(tables[:3])}): whether they are the work of these migrations is not known.",
                remedy="Record the right revision (alembic stamp), or set allow_unversioned to start from nothing.",
            )
        return []

    def status(self) -> dict[str, t.Any]:
        rows = self.recorded()
        known = [] if rows is None else [one for one in rows if one in self.history.revisions]
        unknown = [] if rows is None else [one for one in rows if one not in self.history.revisions]
        heads = self.history.heads
        pending = []
        if len(heads) == 1 and not unknown:
            pending = self.history.between(known, heads[0])
        if rows is None:
            where = f"has no {self.params['version_table']}"
        else:
            where = f"is at {', '.join(rows) or 'no revision'}"
        text = f"{self.database} {where}; {len(pending)} of {len(self.history.revisions)} revisions are pending"
        if unknown:
            text += f"; {', '.join(unknown)} is in none of the revision files"
        if len(heads) > 1:
            text += f"; there are {len(heads)} heads: {', '.join(heads)}"
        return {
            "changed": False,
            "migration": {
                "database": self.database,
                "current": rows,
                "version_table": "missing" if rows is None else "present",
                "heads": heads,
                "unknown": unknown,
                "pending": [one.told() for one in pending],
            },
            "msg": text + ".",
        }

    def span(self) -> tuple[list[str], str, list[alembic.Revision]]:
        """From where, to where, and the revisions between, in order. Raises Refused where that has no answer."""
        target = self.history.resolve(self.params["to"] or "head")
        current = self.current()
        passed = target in self.history.ancestors(current)
        return current, target, [] if passed else self.history.between(current, target)

    def plan(self, *, restore_possible: bool) -> Planned:
        """What is pending, its SQL, and how it goes back. Raises what ``span`` and ``run_tool`` do."""
        current, target, pending = self.span()
        sql, problem = (None, NOTHING_PENDING) if not pending else self._rendered(current, target, pending)
        files = alembic.environment_files(self.layout)
        preview = preview_hash(files, current, target, sql if pending else "")
        kind, why = rollback_kind(pending, restore_possible=restore_possible)
        told = {
            "database": self.database,
            "from": current,
            "to": target,
            "heads": self.history.heads,
            "pending": [one.told() for one in pending],
            "sql": None if sql is None else sql[:_SQL_SHOWN],
            "sql_is_cut": sql is not None and len(sql) > _SQL_SHOWN,
            "sql_sha256": None if sql is None else hashlib.sha256(sql.encode()).hexdigest(),
            "sql_problem": problem,
            "files": files,
            "preview": preview,
            "rollback_kind": kind,
            "rollback_reason": why,
        }
        return Planned(told, current, target, preview, tuple(pending), sql, problem)

    def _plan(self) -> tuple[dict[str, t.Any], list[str], str, str]:
        """(plan as it is told, current, target, preview hash)."""
        return self.plan(restore_possible=self.params["restore_possible"])[:4]

    def planned(self) -> dict[str, t.Any]:
        plan, current, target, _preview = self._plan()
        count = len(plan["pending"])
        return {
            "changed": False,
            "migration": plan,
            "diff": {"before": "", "after": plan["sql"] or f"-- {plan['sql_problem']}\n"},
            "msg": f"{count} revisions are pending on {self.database} from {', '.join(current) or 'nothing'} "
            f"to {target}; way back: {plan['rollback_kind']}, since {plan['rollback_reason']}.",
        }

    def previewed(self, path: str, *, check_mode: bool) -> dict[str, t.Any]:
        """Keep the SQL of what is pending as a file that its owner alone reads: what a reviewer signs."""
        plan = self.plan(restore_possible=self.params["restore_possible"])
        count = len(plan.pending)
        at = ", ".join(plan.current) or "no revision"
        if not plan.pending:
            said = f"{self.database} is at {at} already: {NOTHING_PENDING}, so there is no SQL, and {path} was not written."
            return {"changed": False, "migration": plan.told, "msg": said}
        if plan.sql is None:
            raise ActionFailed(
                f"The SQL of the {count} pending revisions {plan.problem}.",
                remedy=way_to_render(str(plan.problem)),
                known={"migration": plan.told},
            )
        content = plan.sql.encode()
        before, mode = _present(path)
        is_changed = before != content or mode != PREVIEW_MODE
        if is_changed and not check_mode:
            try:
                write_whole(path, content, mode=PREVIEW_MODE)
            except OSError as problem:
                raise ActionFailed(f"{path} cannot be written: {problem.strerror}.", known={"migration": plan.told})
        return {
            "changed": is_changed,
            "migration": plan.told,
            "preview_file": path,
            "diff": {"before": (before or b"").decode("utf-8", "replace"), "after": plan.sql},
            "msg": f"The SQL of {count} pending revisions on {self.database}, from {at} to {plan.target}, "
            f"{'would be' if check_mode and is_changed else 'is'} in {path}, SHA-256 {plan.told['sql_sha256']}.",
        }

    def _environment(self, settings: t.Mapping[str, t.Any]) -> dict[str, str]:
        environment = postgres.program_environment(
            self.params["dsn"], self.database, application_name=self.application_name, settings=settings
        )
        for name, value in self.params["environment"].items():
            text = str(value)
            if re.search(r"://[^/\s:@]*:[^@\s]+@", text):
                raise BadInput(
                    f"environment.{name} holds a password in a URL.",
                    remedy="Programs get the password of dsn by libpq's password file; leave it out.",
                )
            environment[str(name)] = text
        if self.params["env_file"] is not None:
            environment[self.params["env_file_variable"]] = self.params["env_file"]
        environment[self.params["url_variable"]] = url_for(self.params["dsn"], self.database, self.params["url_scheme"])
        environment.setdefault("PYTHONDONTWRITEBYTECODE", "1")
        return environment

    def run_tool(
        self, *arguments: str, settings: t.Mapping[str, t.Any], with_password: bool, check: bool = True
    ) -> Completed:
        """Alembic with these arguments, on this database. ``settings`` are the startup options of its sessions.

        Raises TimedOut, MissingLibrary, BadInput and, with ``check``, CommandFailed.
        """
        prefix = self.params["command"] or [sys.executable, "-m", "alembic"]
        with passfile(self.params["password"] if with_password else None) as (extra, descriptors):
            return run_command(
                [*prefix, "-c", self.layout.config, *arguments],
                deadline=self.deadline,
                environment={**self._environment(settings), **extra},
                pass_fds=descriptors,
                cwd=self.layout.directory,
                check=check,
            )

    def _rendered(
        self, current: t.Sequence[str], target: str, pending: t.Sequence[alembic.Revision]
    ) -> tuple[str | None, str | None]:
        """(SQL, None), or (None, why not). Offline mode does not connect; should env.py do so, it may only read."""
        if len(current) > 1:
            return None, f"{CANNOT_RENDER}: the database is at {len(current)} revisions at once"
        span = f"{current[0]}:{target}" if current else target
        try:
            ended = self.run_tool(
                "upgrade", span, "--sql", settings={"default_transaction_read_only": "on"}, with_password=False
            )
        except CommandFailed as problem:
            lines = [line.strip() for line in problem.stderr.splitlines() if line.strip()]
            return None, f"{CANNOT_RENDER}: {beginning_of(lines[-1], 300) if lines else problem}"
        # Each revision's own entry in the version table is the last of its statements.
        lacking = [one.identity for one in pending if f"'{one.identity}'" not in ended.stdout]
        if lacking:
            return None, f"{CANNOT_RENDER}: what Alembic printed does not reach revision {', '.join(lacking)}"
        return ended.stdout, None

    @contextlib.contextmanager
    def _locked(self, doing: str) -> t.Iterator[None]:
        """An advisory lock in the database itself, held on our own direct session while the tool runs."""
        with Cluster(self.connection, deadline=self.deadline).exclusive(
            f"migrate/{self.params['version_table']}", doing=doing
        ):
            yield

    def apply(self, *, check_mode: bool) -> dict[str, t.Any]:
        with contextlib.nullcontext() if check_mode else self._locked("migrate"):
            plan, current, target, preview = self._plan()
            expected = self.params["expected_preview"]
            if expected is not None and plan["pending"] and expected != preview:
                raise Refused(
                    f"What is deployed is not what was reviewed: the preview is {preview[:12]}…, expected "
                    f"{expected[:12]}….",
                    remedy="Compare migration.files, from, to and sql with the reviewed plan, and have it read again.",
                    known={"migration": plan},
                )
            if not plan["pending"]:
                return {
                    "changed": False,
                    "migration": plan,
                    "after": self._position(),
                    **self._baseline(),
                    "msg": f"{self.database} is at {', '.join(current) or 'no revision'} already; nothing is pending.",
                }
            diff = {"before": "\n".join(current) + "\n", "after": target + "\n"}
            if check_mode:
                count = len(plan["pending"])
                would = f"Would apply {count} revisions to {target}."
                return {"changed": True, "migration": plan, "diff": diff, "msg": would}
            schema = self._keep_schema(current)
            ended, invalid = self._migrate("upgrade", target, current, [target], plan)
            return {
                "changed": True,
                "migration": plan,
                "schema_before": schema,
                "diff": diff,
                "applied": [one["revision"] for one in plan["pending"]],
                "current": self.recorded(),
                "seconds": round(ended.seconds, 3),
                "output": _tail(ended),
                "invalid_indexes": invalid,
                "after": self._position(),
                **self._baseline(),
                "msg": f"{self.database} went from {', '.join(current) or 'nothing'} to {target} "
                f"in {ended.seconds:.1f} s.",
            }

    def _keep_schema(self, current: t.Sequence[str]) -> dict[str, t.Any] | None:
        """Keep the schema as it is before anything changes. Of the same release the first stands: it went on where it stopped."""
        path = self.params["schema_file"]
        if path is None:
            return None
        token = self.params["release"]
        release = "" if token is None else fencing.Token.parse(token).release
        was: schema_facts.Kept | None = None
        with contextlib.suppress(GoliveError):
            was = schema_facts.kept(path)
        if was is None or not release or was.release != release:
            was = schema_facts.keep(path, self._schema(), revisions=current, release=release)
        return {"file": path, "sha256": was.sha256, "objects": len(was.objects), "revisions": list(was.revisions)}

    def _schema(self) -> schema_facts.Schema:
        return schema_facts.read(
            self.connection,
            version_table=self.params["version_table"],
            version_schema=self.params["version_table_schema"],
            deadline=self.deadline,
        )

    def _compared_schema(self, revisions: t.Sequence[str]) -> dict[str, t.Any] | None:
        """The schema beside the one that was kept before these revisions; None where none was asked for."""
        path = self.params["schema_file"]
        if path is None:
            return None
        return schema_facts.compared(
            path,
            self.connection,
            revisions=revisions,
            version_table=self.params["version_table"],
            version_schema=self.params["version_table_schema"],
            deadline=self.deadline,
        )

    def _baseline(self) -> dict[str, t.Any]:
        """What is in the database now; that it cannot be counted does not undo a migration that was applied."""
        try:
            return {"baseline": data_loss.baseline(self.connection, deadline=self.deadline), "baseline_problem": None}
        except GoliveError as problem:
            return {"baseline": {}, "baseline_problem": str(problem)}

    def _position(self) -> dict[str, str]:
        return Cluster(self.connection, deadline=self.deadline).position()

    def _invalid_indexes(self) -> list[str]:
        """What a failed CREATE INDEX CONCURRENTLY leaves."""
        found = postgres.rows(
            self.connection,
            "select n.nspname, c.relname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid"
            " join pg_catalog.pg_namespace n on n.oid = c.relnamespace where not i.indisvalid order by 1, 2",
            doing="Listing invalid indexes",
            deadline=self.deadline,
        )
        return [database_facts.readable((schema, name)) for schema, name in found]

    def _migrate(
        self, verb: str, target: str, before: list[str], expected: list[str], plan: t.Mapping[str, t.Any]
    ) -> tuple[Completed, list[str]]:
        """Run the tool and believe the version table, not the exit code alone."""
        settings: dict[str, t.Any] = {"lock_timeout": f"{int(self.params['lock_timeout'] * 1000)}ms"}
        if self.params["role"]:
            settings["role"] = self.params["role"]  # what it makes belongs to the application's role, not to our login
        if self.params["statement_timeout"] is not None:
            settings["statement_timeout"] = f"{int(self.params['statement_timeout'] * 1000)}ms"
        try:
            ended = self.run_tool(verb, target, settings=settings, with_password=True)
        except (CommandFailed, TimedOut, Ended) as problem:
            raise self._failed(verb, problem, before, plan)
        now = self.recorded() or []
        covered = self.history.ancestors(now) if all(one in self.history.revisions for one in now) else set()
        reached = set(expected) <= covered if verb == "upgrade" else sorted(now) == sorted(expected)
        if not reached:
            raise ActionFailed(
                f"Alembic ended with 0, but {self.database} is at {', '.join(now) or 'no revision'} "
                f"and not at {target}.",
                remedy="Look at url_variable: does env.py take the database's URL from it?",
                known={"migration": dict(plan), "current": now, "output": _tail(ended)},
            )
        return ended, self._invalid_indexes()

    def _failed(
        self, verb: str, problem: GoliveError | Ended, before: list[str], plan: t.Mapping[str, t.Any]
    ) -> ActionFailed:
        try:
            now: list[str] | None = self.recorded() or []
        except GoliveError:
            now = None
        if now is None:
            where = "where the database is could not be asked"
        elif sorted(now) == sorted(before):
            where = f"{self.database} is where it was, at {', '.join(before) or 'no revision'}"
        else:
            where = f"{self.database} stopped on the way, at {', '.join(now) or 'no revision'}"
        stderr = str(problem.known.get("stderr", ""))
        remedy = "Read the output; then take it back, or repair and apply again."
        if "lock timeout" in stderr or "LockNotAvailable" in stderr:
            remedy = "Another session holds a lock that the migration needs: end it, or fence the database first."
        elif "Can't locate revision" in stderr:
            remedy = "The directory's files are not those of the database: use the code that brought its revision."
        elif "No module named" in stderr:
            remedy = APPLICATION_INTERPRETER
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        said = beginning_of(lines[-1], 400) if lines else str(problem)
        return ActionFailed(
            f"alembic {verb} failed: {said.rstrip('.')}. {where}.",
            remedy=remedy,
            known={"migration": dict(plan), "current": now, "output": end_of(stderr, 4000), "changed": now != before},
        )

    def roll_back(self, *, check_mode: bool) -> dict[str, t.Any]:
        if self.params["accept_data_loss"] and not self.params["accepted_by"].strip():
            raise BadInput("accepted_by is empty: whoever accepts a loss of data has a name.")
        with contextlib.nullcontext() if check_mode else self._locked("migrate"):
            wanted = self.params["to"]
            target = None if wanted == "base" else self.history.resolve(wanted)
            current = self.current()
            undone = self.history.undone(current, target)
            name = target or "base"
            wanted_revisions = [] if target is None else [target]
            lost = self._accepted(undone)
            plan: dict[str, t.Any] = {
                "database": self.database,
                "from": current,
                "to": name,
                # Of the code that takes it back: the newer one.
                "directory": self.layout.directory,
                "heads": self.history.heads,
                "undone": [one.told() for one in undone],
                "data_loss": lost,
            }
            if target is not None and target not in self.history.ancestors(current):
                raise Refused(
                    f"{self.database} is at {', '.join(current) or 'no revision'}, which does not come after {name}.",
                    remedy="A rollback goes to a revision that the database has passed.",
                    known={"migration": plan},
                )
            if not undone:
                schema = self._compared_schema(wanted_revisions)
                self._require_schema(schema, {"migration": plan, "changed": False})
                said = "" if schema is None else f" {schema_facts.in_words(schema)}"
                return {
                    "changed": False,
                    "migration": plan,
                    "schema": schema,
                    "msg": f"{self.database} is at {name} already.{said}",
                }
            self._require_acceptable(undone, plan)
            diff = {"before": "\n".join(current) + "\n", "after": name + "\n"}
            if check_mode:
                return {
                    "changed": True,
                    "migration": plan,
                    "diff": diff,
                    "msg": f"Would take back {len(undone)} revisions to {name}.",
                }
            ended, invalid = self._migrate("downgrade", name, current, wanted_revisions, plan)
            schema = self._compared_schema(wanted_revisions)
            done = {
                "changed": True,
                "migration": plan,
                "schema": schema,
                "diff": diff,
                "current": self.recorded(),
                "seconds": round(ended.seconds, 3),
                "output": _tail(ended),
                "invalid_indexes": invalid,
                "after": self._position(),
            }
            self._require_schema(schema, done)
            by = f" {lost['accepted_by']} accepted what does not come back." if lost else ""
            said = "" if schema is None else f" {schema_facts.in_words(schema)}"
            msg = f"{self.database} went back from {', '.join(current)} to {name} in {ended.seconds:.1f} s.{by}{said}"
            return {**done, "msg": msg}

    def _accepted(self, undone: t.Sequence[alembic.Revision]) -> dict[str, t.Any] | None:
        """What the downgrade does not bring back, and who accepted that; None where it brings back everything."""
        lost = [one.told() for one in undone if not one.verdict.is_reversible]
        by = self.params["accepted_by"] if self.params["accept_data_loss"] else None
        return {"revisions": lost, "accepted_by": by} if lost else None

    def _require_schema(self, schema: t.Mapping[str, t.Any] | None, known: t.Mapping[str, t.Any]) -> None:
        """The previous version was made for the schema that was there before."""
        if schema is None or schema["is_as_before"] is not False or self.params["accept_data_loss"]:
            return
        raise ActionFailed(
            f"{self.database} is at {self.params['to']}. {schema_facts.in_words(schema)}",
            remedy="Put it right by hand and call it again, restore the backup, or set accept_data_loss when that is decided.",
            known={**known, "schema": dict(schema)},
        )

    def _require_acceptable(self, undone: t.Sequence[alembic.Revision], plan: t.Mapping[str, t.Any]) -> None:
        """What cannot be brought back is not taken back by itself."""
        worst = [one for one in undone if not one.verdict.is_reversible]
        if worst and not self.params["accept_data_loss"]:
            why = "; ".join(f"{one.identity} is {one.verdict.kind}: {', '.join(one.verdict.reasons)}" for one in worst)
            raise Refused(
                f"The downgrade does not bring everything back: {why}.",
                remedy="Restore the backup taken before the migration, or accept_data_loss when that is decided.",
                known={"migration": dict(plan)},
            )


def _tail(ended: Completed) -> str:
    return end_of(ended.stdout + ended.stderr, 4000)
