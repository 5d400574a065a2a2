# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the migrations that are pending: is their SQL known and reviewed, what does it lock and drop, and does the way back work?"""

from __future__ import annotations

import ast
import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import stat
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import alembic, migrate, migration_rehearsal
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import S3_PLACE
from ansible_collections.opsready.golive.plugins.module_utils._checks import migration_lint, shared_login
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._clients.whole_files import read_whole
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Constraints, Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, GoliveError, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.finding import Criterion, holds, unknown
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run
from ansible_collections.opsready.golive.plugins.module_utils._core.units import span_seconds, span_text

NAME = "check_migration"
#: ``unjudged`` is always judged: as unknown.
_RULES = [rule for rule in migration_lint.RULES if rule != "unjudged"]
ARGUMENT_SPEC: Spec = {
    **migrate.PROJECT,
    "pending": {"type": "str", "choices": ["allowed", "none"], "default": "allowed"},
    "preview_file": {"type": "path"},
    "way_back": {"type": "str", "choices": ["downgrade", "any"], "default": "any"},
    "lint": {
        "type": "dict",
        "options": {
            "fail_on": {"type": "list", "elements": "str", "choices": _RULES, "default": list(migration_lint.FAIL_ON)},
            "warn_on": {"type": "list", "elements": "str", "choices": _RULES, "default": list(migration_lint.WARN_ON)},
            "accept": {"type": "list", "elements": "str", "default": []},
        },
    },
    "rehearse": {
        "type": "dict",
        "options": {
            "source": {"type": "str", "choices": ["backup", "template"], "default": "backup"},
            "destination": {"type": "str"},
            "s3": {"type": "dict", "options": S3_PLACE},
            "identity": {"type": "str", "no_log": True},
            "max_backup_age": {"type": "str"},
            "dsn": {"type": "str", "no_log": False},
            "password": {"type": "str", "no_log": True},
            "maintenance_database": {"type": "str"},
            "pg_bindir": {"type": "path"},
            "max_upgrade_time": {"type": "str"},
            "max_downgrade_time": {"type": "str"},
        },
        "required_if": [("source", "backup", ("destination",))],
        "required_by": {"password": ["dsn"]},
    },
}
CONSTRAINTS: Constraints = {"required_together": [("env_file", "env_file_variable")]}

_SPANS = ("max_backup_age", "max_upgrade_time", "max_downgrade_time")
_SHOWN = 5
#: Names by which a revision asks whether its SQL is only rendered.
_ASKS_FOR_MODE = ("as_sql", "is_offline_mode")


@dataclasses.dataclass(frozen=True)
class Kept:
    """The preview that was kept as a file; ``sha256`` is None where there is none, ``problem`` says why it cannot be read."""

    path: str
    sha256: str | None
    mode: int | None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is pending. ``refused`` says why there is no plan; ``asking`` are revisions that run otherwise than they render."""

    database: str
    refused: str = ""
    remedy: str = ""
    current: tuple[str, ...] = ()
    target: str = ""
    pending: tuple[t.Mapping[str, t.Any], ...] = ()
    sql: str | None = None
    sql_sha256: str | None = None
    sql_problem: str = ""
    preview: str = ""
    rollback_kind: str = ""
    rollback_reason: str = ""
    asking: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        return ", ".join(str(one["revision"]) for one in self.pending)

    @property
    def at(self) -> str:
        return ", ".join(self.current) or "no revision"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen. A problem says why lint or rehearsal did not come about; ``left_out`` that check mode forbids the latter."""

    plan: Plan
    kept: Kept | None = None
    linted: migration_lint.Linted | None = None
    lint_problem: str = ""
    lint_remedy: str = ""
    rehearsal: migration_rehearsal.Rehearsal | None = None
    backup_age_seconds: float | None = None
    rehearsal_problem: str = ""
    rehearsal_remedy: str = ""
    left_out: bool = False


def _refuse_unusable(params: t.Mapping[str, t.Any]) -> None:
    for number, entry in enumerate((params["lint"] or {}).get("accept") or (), 1):
        rule, colon, what = entry.partition(":")
        if not colon or not what or rule not in migration_lint.RULES:
            raise BadInput(
                f"lint.accept[{number}] is {entry!r}, expected a rule and what it is about, such as drop_column:documents.old.",
                remedy=f"The rules are {', '.join(migration_lint.RULES)}.",
            )
    rehearse = params["rehearse"]
    if rehearse is None:
        return
    for option in _SPANS:
        if rehearse[option] is not None:
            span_seconds(rehearse[option], option=f"rehearse.{option}")
    if rehearse["dsn"] is not None:
        postgres.normalised(rehearse["dsn"])
        if rehearse["source"] == "template":
            raise BadInput("rehearse.dsn is another server, and a template copy is made on the database's own.")


def gather(params: t.Mapping[str, t.Any], *, run: Run) -> Facts:
    """Read the plan once for all items; then the kept file, the SQL by its rules, and the rehearsal. Raises our errors."""
    _refuse_unusable(params)
    plan = run.once(_key(params), lambda: _plan(params, run))
    facts = Facts(plan)
    if plan.refused:
        return facts
    if params["preview_file"] is not None:
        facts = dataclasses.replace(facts, kept=_kept(params["preview_file"]))
    if params["lint"] is not None and plan.sql is not None:
        try:
            linted = migration_lint.lint(plan.sql, ignored_table=params["version_table"])
            facts = dataclasses.replace(facts, linted=linted)
        except GoliveError as problem:
            facts = dataclasses.replace(facts, lint_problem=problem.message.rstrip("."), lint_remedy=problem.remedy)
    if params["rehearse"] is None or not plan.pending or _irreversible(plan):
        return facts
    if run.check_mode:
        return dataclasses.replace(facts, left_out=True)
    try:
        return _rehearsed(facts, params, run)
    except BadInput:
        raise
    except GoliveError as problem:
        said = problem.message.rstrip(".")
        return dataclasses.replace(facts, rehearsal_problem=said, rehearsal_remedy=problem.remedy)


def _key(params: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """All that the plan depends on."""
    return NAME, json.dumps({option: params[option] for option in migrate.PROJECT}, sort_keys=True, default=str)


class _Asked(migrate.Migration):
    """Migrations of a database that is asked while this is made, and not again: what follows takes Alembic, and longer."""

    def __init__(self, **options: t.Any) -> None:
        super().__init__(**options)
        self._span = super().span()

    def span(self) -> tuple[list[str], str, list[alembic.Revision]]:
        return self._span


@contextlib.contextmanager
def _layout(params: t.Mapping[str, t.Any], run: Run) -> t.Iterator[alembic.Layout]:
    """Where the migrations are; an artefact is unpacked aside, and removed."""
    with contextlib.ExitStack() as stack:
        if params["artefact"] is not None:
            stack.enter_context(run.trace())
        directory = stack.enter_context(migrate.directory_of(params, deadline=run.deadline))
        yield alembic.layout(directory, params["config"], params["versions"])


def _database(params: t.Mapping[str, t.Any]) -> str:
    return str(params["database"] or postgres.database_of(params["dsn"]))


def _lender(params: t.Mapping[str, t.Any], run: Run) -> postgres.Lender:
    """Of the same database as the items of other checks mean by this dsn, unless the database is named beside it."""
    dsn, database = params["dsn"], _database(params)
    same = database == postgres.database_of(dsn)
    dsn = dsn if same else postgres.with_database(dsn, database)
    return shared_login.lender(dsn, password=params["password"], run=run)


def _asked(params: t.Mapping[str, t.Any], layout: alembic.Layout, run: Run) -> _Asked:
    """Raises Refused where there is no one way from where the database is."""
    reading = postgres.translated("Reading where the database is", deadline=run.deadline)
    with _lender(params, run).lent(deadline=run.deadline) as connection:
        connection.read_only = True
        with reading, connection.transaction():
            postgres.limit(connection, run.deadline)
            connection.execute("SET LOCAL lock_timeout = '10s'")  # a migration may be under way
            return _Asked(
                params=params,
                deadline=run.deadline,
                connection=connection,
                database=_database(params),
                application_name="opsready",
                layout=layout,
            )


def _plan(params: t.Mapping[str, t.Any], run: Run) -> Plan:
    with _layout(params, run) as layout:
        try:
            migration = _asked(params, layout, run)
            plan = migration.plan(restore_possible=True)
        except Refused as problem:
            return Plan(_database(params), refused=problem.message.rstrip("."), remedy=problem.remedy)
        return Plan(
            migration.database,
            current=tuple(plan.current),
            target=plan.target,
            pending=tuple(plan.told["pending"]),
            sql=plan.sql,
            sql_sha256=plan.told["sql_sha256"],
            sql_problem=plan.problem or "",
            preview=plan.preview,
            rollback_kind=plan.told["rollback_kind"],
            rollback_reason=plan.told["rollback_reason"],
            asking=tuple(one.identity for one in plan.pending if _asks_for_mode(one.path)),
        )


def _asks_for_mode(path: str) -> bool:
    """Whether a revision does one thing when it is rendered and another when it runs."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    names = (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in ast.walk(tree))
    return any(name in _ASKS_FOR_MODE for name in names)


def _kept(path: str) -> Kept:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        octets = read_whole(path, max_bytes=migrate.LARGEST_PREVIEW).octets
    except FileNotFoundError:
        return Kept(path, None, None)
    except (OSError, GoliveError) as problem:
        return Kept(path, None, None, str(getattr(problem, "strerror", None) or problem).rstrip("."))
    return Kept(path, hashlib.sha256(octets).hexdigest(), mode)


def _rehearsed(facts: Facts, params: t.Mapping[str, t.Any], run: Run) -> Facts:
    with run.trace(), _layout(params, run) as layout:
        migration = _asked(params, layout, run)
        current, target, pending = migration.span()
        if params["rehearse"]["source"] == "template":  # it may have no session, not even an idle one of ours
            _lender(params, run).end_idle()
        # The copy is another database, and Alembic a process: each has a login of its own.
        done = migration_rehearsal.rehearse(
            migration_rehearsal.Rehearsing(
                params=params,
                options=params["rehearse"],
                current=current,
                target=target,
                pending=pending,
                database=migration.database,
                layout=migration.layout,
                deadline=run.deadline,
                keep=lambda name, made: run.once((NAME, "copy", name), made),
            )
        )
    age = None if done.backup is None else (run.clock.now() - parse_utc(done.backup["created"])).total_seconds()
    return dataclasses.replace(facts, rehearsal=done, backup_age_seconds=age)


def _irreversible(plan: Plan) -> list[t.Mapping[str, t.Any]]:
    return [one for one in plan.pending if one["rollback"] == "irreversible"]


def judge(facts: Facts, params: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    """Pure: no clock, no network, no module."""
    plan = facts.plan
    yield holds(
        "history",
        not plan.refused,
        measured=plan.refused or f"at {plan.at}, to {plan.target}",
        expected="one way from where the database is",
        sentence=plan.refused,
        remedy=plan.remedy,
    )
    if plan.refused:
        return
    yield holds(
        "pending revisions",
        params["pending"] == "allowed" or not plan.pending,
        measured=plan.names or migrate.NOTHING_PENDING,
        expected="any" if params["pending"] == "allowed" else "none",
        sentence=f"{plan.database} is at {plan.at}, and {len(plan.pending)} revisions are pending: {plan.names}",
        remedy="Migrate to the head: migrate, state: applied.",
    )
    if plan.pending:
        yield _judge_preview(plan)
    if params["expected_preview"] is not None:
        yield _judge_review(plan, params["expected_preview"])
    if facts.kept is not None:
        yield from _judge_kept(facts.kept, plan)
    if params["lint"] is not None and plan.pending:
        yield from _judge_lint(facts, params["lint"])
    yield holds(
        "way back",
        params["way_back"] == "any" or plan.rollback_kind in ("image_only", "downgrade"),
        measured=plan.rollback_kind,
        expected="any" if params["way_back"] == "any" else "downgrade",
        sentence=f"the way back is {plan.rollback_kind}, since {plan.rollback_reason}",
        remedy="Write the downgrade so that it brings everything back, or decide for the restore.",
    )
    if params["rehearse"] is not None:
        yield from _judge_rehearsal(facts, params["rehearse"])


def _judge_preview(plan: Plan) -> Criterion:
    if plan.sql is None:
        return unknown(
            "preview",
            f"the SQL of {plan.names} {plan.sql_problem}",
            remedy=migrate.way_to_render(plan.sql_problem),
        )
    if plan.asking:
        return unknown(
            "preview",
            f"{', '.join(plan.asking)} asks whether it is only rendered, so what runs may be other SQL than the preview",
            remedy="Let it do the same either way, or have its file read instead.",
        )
    return holds("preview", True, measured=f"SHA-256 {plan.sql_sha256}", expected="rendered in full")


def _judge_review(plan: Plan, expected: str) -> Criterion:
    return holds(
        "review",
        not plan.pending or expected == plan.preview,
        measured=plan.preview if plan.pending else migrate.NOTHING_PENDING,
        expected=expected,
        sentence=f"what is pending is not what was reviewed: the preview is {plan.preview[:12]}…, and {expected[:12]}… was read",
        remedy="Have the SQL read again: the files, from, to or the SQL have changed since.",
    )


def _judge_kept(kept: Kept, plan: Plan) -> t.Iterator[Criterion]:
    if not plan.pending:
        yield holds("kept preview", True, measured=migrate.NOTHING_PENDING, expected="none is needed")
        return
    again = "Make it anew: migrate, state: previewed."
    if kept.problem:
        yield unknown("kept preview", f"{kept.path} cannot be judged: {kept.problem}", remedy=again)
    elif plan.sql is None:
        yield unknown("kept preview", f"{kept.path} cannot be compared, since the SQL {plan.sql_problem}")
    else:
        yield holds(
            "kept preview",
            kept.sha256 == plan.sql_sha256,
            measured="missing" if kept.sha256 is None else f"SHA-256 {kept.sha256}",
            expected=f"SHA-256 {plan.sql_sha256}",
            sentence=f"{kept.path} is missing"
            if kept.sha256 is None
            else f"{kept.path} is not the SQL that is pending now: it has SHA-256 {kept.sha256[:12]}…, expected "
            f"{str(plan.sql_sha256)[:12]}…",
            remedy=again,
        )
    if kept.mode is not None:
        yield holds(
            "mode of the kept preview",
            not kept.mode & 0o077,
            measured=f"{kept.mode:04o}",
            expected="for its owner alone",
            sentence=f"{kept.path} has mode {kept.mode:04o}, so that others may read or change it",
            remedy=again,
        )


def _judge_lint(facts: Facts, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    if facts.linted is None:
        why = facts.lint_problem or f"the SQL {facts.plan.sql_problem}"
        yield unknown("lint", f"the SQL was not judged by its rules: {why}", remedy=facts.lint_remedy)
        return
    accepted = set(wanted["accept"])
    found: dict[str, list[migration_lint.Remark]] = collections.defaultdict(list)
    for remark in facts.linted.remarks:
        if remark.accepted_as not in accepted:
            found[remark.rule].append(remark)
    yield holds("lint", bool(facts.linted.statements), measured=f"{facts.linted.statements} statements",
                expected="at least one", sentence="the SQL holds no statement",
                remedy="Look at what Alembic printed.")  # fmt: skip
    for rule, (says, remedy) in migration_lint.RULES.items():
        remarks = found[rule]
        where = _first([f"{one.what} ({_where(one)})" for one in remarks])
        sentence = f"the SQL {says}: {where}"
        if rule == "unjudged":
            if remarks:
                yield unknown(rule, sentence, remedy=remedy)
        elif rule in wanted["fail_on"] or rule in wanted["warn_on"]:
            yield holds(
                rule,
                not remarks,
                measured=where or "none",
                expected="none",
                sentence=sentence,
                remedy=remedy,
                level="fail" if rule in wanted["fail_on"] else "warn",
            )


def _where(remark: migration_lint.Remark) -> str:
    return f"{remark.revision}, line {remark.line}" if remark.revision else f"line {remark.line}"


def _first(listed: t.Sequence[str]) -> str:
    rest = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _judge_rehearsal(facts: Facts, wanted: t.Mapping[str, t.Any]) -> t.Iterator[Criterion]:
    plan, done = facts.plan, facts.rehearsal
    worst = _irreversible(plan)
    if not plan.pending:
        yield holds("rehearsal", True, measured=migrate.NOTHING_PENDING, expected="up and down on a copy")
    elif worst:
        why = "; ".join(f"{one['revision']}: {', '.join(one['reasons'])}" for one in worst)
        yield holds(
            "rehearsal",
            False,
            measured=f"{len(worst)} irreversible",
            expected="up and down on a copy",
            sentence=f"there is no downgrade to rehearse, since {why}",
            remedy="Write the downgrade, or decide for the restore and leave the rehearsal out.",
        )
    elif facts.left_out:
        yield unknown("rehearsal", "the rehearsal makes a scratch database, which check mode leaves out", left_out=True)
    elif done is None:
        yield unknown(
            "rehearsal", f"the migration was not rehearsed: {facts.rehearsal_problem}", remedy=facts.rehearsal_remedy
        )
    else:
        yield from _judge_both_ways(done, plan)
        yield from _judge_bounds(facts, done, wanted)


def _judge_both_ways(done: migration_rehearsal.Rehearsal, plan: Plan) -> t.Iterator[Criterion]:
    up, down = done.upgrade, done.downgrade
    for name, step, remedy in (
        ("upgrade on a copy", up, "Repair the migration: it would fail in the window too."),
        ("downgrade on a copy", down, "Repair the downgrade, or decide for the restore."),
    ):
        if step is not None:
            at = f" at {step.failed_at}" if step.failed_at else ""
            yield holds(
                name,
                step.is_good,
                measured=f"exit code {step.returncode} after {step.seconds:.1f} s",
                expected="exit code 0",
                sentence=f"{name} ({done.copied_from}) failed{at} with exit code {step.returncode} after "
                f"{step.seconds:.1f} s: {step.cause.rstrip('.')}",
                remedy=remedy,
            )
    if down is None or not down.is_good:
        return
    is_back = sorted(done.revision_after) == sorted(plan.current)
    yield holds(
        "revision after the downgrade",
        is_back,
        measured=", ".join(done.revision_after) or "no revision",
        expected=plan.at,
        remedy="Look at what env.py does with the version table.",
    )
    differs = [f"-{line}" for line in done.lost] + [f"+{line}" for line in done.left]
    yield holds(
        "schema after the downgrade",
        not differs,
        measured=_first(differs) or "as before",
        expected="as before",
        sentence=f"after the downgrade of {plan.names} the schema is not as before: {_first(differs)}",
        remedy="Write the downgrade so that it takes back all that the upgrade does.",
    )


def _judge_bounds(
    facts: Facts, done: migration_rehearsal.Rehearsal, wanted: t.Mapping[str, t.Any]
) -> t.Iterator[Criterion]:
    smaller = "Make it smaller steps, or plan for the longer time."
    for name, option, seconds, shown, remedy in (
        ("age of the rehearsed backup", "max_backup_age", facts.backup_age_seconds, span_text, "Take a new backup."),
        (
            "time of the upgrade",
            "max_upgrade_time",
            done.upgrade.seconds if done.upgrade else None,
            _seconds_text,
            smaller,
        ),
        (
            "time of the downgrade",
            "max_downgrade_time",
            done.downgrade.seconds if done.downgrade else None,
            _seconds_text,
            smaller,
        ),
    ):
        bound = wanted[option]
        if bound is not None and seconds is not None:
            yield holds(
                name,
                seconds <= span_seconds(bound, option=f"rehearse.{option}"),
                measured=shown(seconds),
                expected=f"at most {bound}",
                remedy=remedy,
            )


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.1f} s"


def evidence(facts: Facts) -> dict[str, t.Any]:
    """What was seen, as JSON: the plan without its SQL, which is in the preview."""
    plan = {field.name: getattr(facts.plan, field.name) for field in dataclasses.fields(facts.plan)}
    del plan["sql"]
    told: dict[str, t.Any] = {
        **plan,
        "current": list(facts.plan.current),
        "pending": [dict(one) for one in facts.plan.pending],
        "asking": list(facts.plan.asking),
    }
    if facts.kept is not None:
        told["kept"] = {
            **dataclasses.asdict(facts.kept),
            "mode": None if facts.kept.mode is None else f"{facts.kept.mode:04o}",
        }
    if facts.linted is not None:
        told["lint"] = dataclasses.asdict(facts.linted)
    if facts.rehearsal is not None:
        told["rehearsal"] = migration_rehearsal.told(facts.rehearsal)
    return told
