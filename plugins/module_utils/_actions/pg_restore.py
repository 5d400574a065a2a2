# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a database back: into a new one, compared, then swapped in by two renames in one transaction.

Nothing is overwritten: what was there is kept under a name of its own. A target that is not fenced is live and refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    admission,
    age,
    amcheck,
    backup_proof,
    data_loss,
    database_facts,
    database_roles,
    extraction,
    manifest,
    only_superusers,
    pg_programs,
    remains,
    restore_record,
    standbys,
    work_directory,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    Cluster,
    Database,
    closed,
    cluster_of,
    derived_name,
    maintenance_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    S3_PLACE,
    Destination,
    destination,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import Absent
from ansible_collections.opsready.golive.plugins.module_utils._core import fencing
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import (
    POSTGRES,
    PROGRESS,
    RELEASE,
    Spec,
    compose,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, Stopwatch, utc_text
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    CommandFailed,
    Ended,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import SILENT, Progress

if t.TYPE_CHECKING:
    import psycopg

#: Of so many tables the account is written down with the swap; the sums are of all.
_NOTED_TABLES = 100

_STATES = ("verified", "restored", "extracted", "assessed", "listed", "swept")

ARGUMENT_SPEC: Spec = compose(
    POSTGRES,
    RELEASE,
    PROGRESS,
    {
        "state": {"type": "str", "choices": [*_STATES], "required": True},
        "database": {"type": "str"},
        "target": {"type": "str"},
        "backup": {"type": "str"},
        "destination": {"type": "str"},
        "s3": {"type": "dict", "options": S3_PLACE},
        "identity": {"type": "str", "no_log": True},
        "copy": {"type": "str"},
        "tables": {"type": "list", "elements": "str", "default": []},
        "schemas": {"type": "list", "elements": "str", "default": []},
        "restore_id": {"type": "str"},
        "baseline": {"type": "dict"},
        "since_snapshot": {"type": "str"},
        "own_rows": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "table": {"type": "str", "required": True},
                "column": {"type": "str", "required": True},
                "values": {"type": "list", "elements": "str", "required": True},
            },
        },
        "accept_data_loss": {"type": "bool", "default": False},
        "replication": {"type": "str", "choices": ["refuse", "leave"], "default": "refuse"},
        "standbys": {"type": "list", "elements": "str", "default": []},
        "unfreed_standbys": {"type": "str", "choices": list(standbys.UNFREED), "default": "refuse"},
        "compare": {"type": "str", "choices": ["rows", "content"], "default": "content"},
        "amcheck": {"type": "bool", "default": False},
        "record": {"type": "bool", "default": True},
        "verify_sql": {"type": "list", "elements": "dict", "default": [], "options": backup_proof.ASSERTION},
        "jobs": {"type": "int", "default": 1},
        "work_dir": {"type": "path"},
        "pg_bindir": {"type": "path"},
        "min_age": {"type": "float"},
        "maintenance_database": {"type": "str"},
        "timeout": {"type": "float", "default": 3600.0},
    },
)
CONSTRAINTS: dict[str, t.Any] = {
    "mutually_exclusive": [("baseline", "since_snapshot"), ("copy", "backup")],
    "required_if": [
        ("state", "verified", ("backup", "destination"), True),
        ("state", "extracted", ("backup", "destination"), True),
        ("state", "listed", ("destination",)),
    ],
}


def body(context: Context) -> dict[str, t.Any]:
    params = context.params
    if params["amcheck"] and params["state"] != "verified":
        raise BadInput(f"amcheck is for state verified, and state is {params['state']}.", remedy="Leave amcheck out.")
    deadline = Deadline(params["timeout"])
    with contextlib.ExitStack() as stack:
        token = None
        if params["state"] in ("verified", "restored", "extracted", "swept"):
            token = stack.enter_context(fencing.held(params["release"], doing=f"pg_restore {params['state']}"))
        elif params["release"] is not None:
            token = fencing.Token.parse(params["release"])
        work = Work(
            params=params,
            deadline=deadline,
            database=params["database"] or postgres.database_of(params["dsn"]),
            application_name="opsready" if token is None else token.application_name,
            identity=params["restore_id"] or (None if token is None else token.release),
            check_mode=context.check_mode,
            warn=context.warn,
            progress=context.progress,
        )
        if params["state"] == "listed":
            return work.backups()
        if params["state"] == "verified":
            return work.verify()
        if params["state"] == "assessed":
            return work.assess()
        if params["state"] == "extracted":
            return work.extract()
        if params["state"] == "swept":
            return work.sweep()
        return work.restore()


def _failure_of(
    name: str, found: manifest.Manifest, last: t.Mapping[tuple[str, str], restore_record.Record]
) -> str | None:
    """Why the last restore of a backup failed, and when; None where it did not, or has no record."""
    record = last.get((name, str(found.archive["sha256"])))
    return None if record is None or record.is_good else f"{record.at}, {record.problem or 'without a reason'}"


@dataclasses.dataclass(frozen=True)
class Names:
    """The names a restore works with; all within 63 bytes, all made of the database's own name and the restore's id."""

    database: str
    identity: str
    target: str
    fenced: str
    restoring: str
    failed: str

    @staticmethod
    def of(database: str, identity: str, target: str | None) -> Names:
        fenced = derived_name(database, "golive", identity)
        return Names(
            database=database,
            identity=identity,
            target=target or database,
            fenced=fenced,
            restoring=derived_name(database, "restore", identity),
            failed=derived_name(database, "failed", identity),
        )


@dataclasses.dataclass(frozen=True)
class Seen:
    """What stands under those names."""

    names: Names
    live: Database | None
    #: What gives way, under whichever name the target is given.
    fenced: Database | None
    restoring: Database | None
    failed: Database | None

    @property
    def done(self) -> Database | None:
        """What a restore of this id swapped in already, under the name it has by now."""
        if self.failed is None or not self.failed.is_ours(("failed",), self.names.identity):
            return None
        made = self.failed.mark.note.get("replaced_by") if self.failed.mark is not None else None
        return next((one for one in (self.live, self.fenced) if one is not None and one.oid == made), None)

    @property
    def loss_at_the_swap(self) -> dict[str, t.Any] | None:
        """What the restore that swapped counted as lost: it may have been killed before it could tell."""
        mark = None if self.failed is None else self.failed.mark
        return None if mark is None else mark.note.get("data_loss")


def look(cluster: Cluster, names: Names) -> Seen:
    live = cluster.find(names.database)
    fenced = cluster.find(names.fenced)
    if live is not None and fenced is None and live.is_ours(("revoked",), names.identity):
        # Fenced under its own name: what is swapped in gets that name, and stays fenced like it.
        names, live, fenced = dataclasses.replace(names, fenced=names.database), None, live
    return Seen(
        names=names,
        live=live,
        fenced=fenced,
        restoring=cluster.find(names.restoring),
        failed=cluster.find(names.failed),
    )


def require_safe_target(seen: Seen) -> None:
    """Raises Refused for a live target, and for names that are taken by what is not ours."""
    names = seen.names
    if names.target not in (names.database, names.fenced):
        raise BadInput(f"target is {names.target}, neither {names.database} nor the fenced {names.fenced}.")
    if seen.live is not None:
        raise Refused(
            f"Database {names.database} is live: it is not fenced, so somebody may be writing into it.",
            remedy="Fence it first (opsready.golive.pg_fence with state fenced and the same id).",
            known={"live": seen.live.told()},
        )
    if seen.fenced is None and names.target == names.fenced:
        raise Refused(f"{names.fenced} is not there.", remedy=f"Restore into {names.database} itself.")
    if seen.fenced is not None and not seen.fenced.is_ours(("fenced", "revoked"), names.identity):
        raise Refused(f"{names.fenced} exists, and does not carry our mark; it is left alone.")
    if seen.failed is not None:
        raise Refused(f"{names.failed} exists already, and is not of this restore.", known=seen.failed.told())
    taken = seen.restoring
    is_a_rest = taken is None or taken.is_unmarked_of(names.database)
    if taken is not None and not is_a_rest and not taken.is_ours(("restoring", "ready"), names.identity):
        raise Refused(f"{names.restoring} exists, and does not carry our mark; it is left alone.")


class Work:
    """One call of the module."""

    def __init__(
        self,
        *,
        params: t.Mapping[str, t.Any],
        deadline: Deadline,
        database: str,
        application_name: str,
        identity: str | None,
        check_mode: bool,
        warn: t.Callable[[str], None],
        progress: Progress = SILENT,
    ) -> None:
        self.warn = warn
        self.progress = progress
        self.params = params
        self.deadline = deadline
        self.database = database
        self.application_name = application_name
        self.identity = identity
        self.check_mode = check_mode
        self.watch = Stopwatch(deadline.clock)
        #: What is tied to the database that gives way, and stays with it.
        self.replication: list[dict[str, t.Any]] = []

    def cluster(self) -> t.ContextManager[Cluster]:
        return cluster_of(
            self.params["dsn"],
            password=self.params["password"],
            maintenance=maintenance_name(self.database, self.params["maintenance_database"]),
            deadline=self.deadline,
            application_name=self.application_name,
        )

    def connect(self, dbname: str) -> psycopg.Connection[t.Any]:
        connection = postgres.connect(
            self.params["dsn"],
            password=self.params["password"],
            deadline=self.deadline,
            application_name=self.application_name,
            dbname=dbname,
            settings=database_facts.PINNED,
        )
        Cluster(connection, deadline=self.deadline).stay_connected()
        return connection

    def source(self) -> tuple[backup_proof.Archive, str]:
        """The archive asked for, or the newest proven one of the destination; and its manifest's URL.

        One whose last restore failed is passed over, but for a proof, which may show that it was mended.
        """
        if self.params["backup"] is not None:
            where, name = manifest.located(self.params["backup"])
            place = destination(where, self.params["s3"], deadline=self.deadline)
            found = manifest.load(place, name)
            if found.database != self.database:
                raise BadInput(f"{self.params['backup']} is a backup of {found.database}, not of {self.database}.")
            self._tell_of_failure(place, name, found)
            return self.archive(place, "", found), place.url(name)
        if self.params["destination"] is None:
            raise BadInput("Neither backup nor destination says what to restore.")
        place = destination(self.params["destination"], self.params["s3"], deadline=self.deadline)
        good = [
            one
            for one in manifest.listed(place, self.database)
            if one.manifest is not None and one.manifest.verified.get("ok") is True
        ]
        if not good or good[-1].manifest is None:
            raise UnexpectedAnswer(f"There is no proven backup of {self.database} at {self.params['destination']}.")
        chosen = good[-1] if self.params["state"] == "verified" else self._unfailed(place, good)
        found = t.cast(manifest.Manifest, chosen.manifest)
        return self.archive(place, chosen.name.rpartition("/")[0], found), chosen.url

    def _unfailed(self, place: Destination, good: t.Sequence[manifest.Listed]) -> manifest.Listed:
        """The newest whose last restore did not fail. Raises Refused where there is none, and warns of those passed over."""
        listed = restore_record.listed(place, self.database)
        for seen in listed:
            if seen.record is None:
                self.warn(f"{seen.problem}, so whether the last restore of that backup failed is not known.")
        last = restore_record.last_of_each(listed, self.deadline.clock.now())
        passed_over: list[str] = []
        for one in reversed(good):
            problem = _failure_of(one.name, t.cast(manifest.Manifest, one.manifest), last)
            if problem is None:
                for told in passed_over:
                    self.warn(f"{told}; {one.url} is taken in its place.")
                return one
            passed_over.append(f"{one.url} was passed over: its last restore failed: {problem}")
        raise Refused(
            f"There is no backup of {self.database} at {self.params['destination']} whose last restore did not fail: "
            f"{passed_over[0]}.",
            remedy="Prove one again with state verified, or name the one to take all the same as backup.",
        )

    def _tell_of_failure(self, place: Destination, name: str, found: manifest.Manifest) -> None:
        """Warn where the last restore of the backup that was named failed. Keys that may not list say nothing of it."""
        if self.params["state"] == "verified":
            return
        try:
            beside = name.rpartition("/")[0]
            archive = manifest.archive_beside(name, found)
            names = [one for one in place.names(beside) if restore_record.archive_of(one) == archive]
            listed = restore_record.listed(place, self.database, names=names)
        except GoliveError:
            return
        problem = _failure_of(name, found, restore_record.last_of_each(listed, self.deadline.clock.now()))
        if problem is not None:
            self.warn(f"{place.url(name)} is taken as it was named, although its last restore failed: {problem}.")

    def archive(self, place: Destination, folder: str, found: manifest.Manifest) -> backup_proof.Archive:
        room = work_directory.Room(self.params["work_dir"], self.params["jobs"], self.identity)
        return backup_proof.Archive(place, folder, found, identities=self.identities(found), room=room)

    def identities(self, found: manifest.Manifest) -> age.Identities:
        """What reads an encrypted backup; with one that is not it is not looked at."""
        given = self.params["identity"]
        return age.identities_of(given, name="identity") if given and found.recipients is not None else ()

    def backups(self) -> dict[str, t.Any]:
        place = destination(self.params["destination"], self.params["s3"], deadline=self.deadline)
        found = manifest.listed(place, self.database)
        backups = [
            {"manifest": one.url, **(one.manifest.summary() if one.manifest else {"problem": one.problem})}
            for one in found
        ]
        return {
            "changed": False,
            "backups": backups,
            "msg": f"{len(backups)} backups of {self.database} are at {self.params['destination']}.",
        }

    def programs(self, server_version: int) -> pg_programs.Programs:
        return pg_programs.chosen(self.params["pg_bindir"], server_version, deadline=self.deadline)

    def verify(self) -> dict[str, t.Any]:
        archive, url = self.source()
        archive.require_readable()
        found = archive.manifest
        if self.check_mode:
            return {
                "changed": self.params["record"],
                "backup": {**found.summary(), "manifest": url},
                "msg": f"Would restore {url} into a scratch database and compare.",
            }
        with self.cluster() as cluster:
            programs = self.programs(cluster.connection.info.server_version)
            if self.params["amcheck"]:
                amcheck.require_possible(cluster, programs)
            info = cluster.connection.info
            where = {"host": info.host, "port": info.port, "server_version": info.server_version}
        try:
            database_roles.require_intact(archive.place, archive.name, found, identities=archive.identities)
            proof = backup_proof.by_restore(
                archive,
                programs,
                dsn=postgres.with_database(self.params["dsn"], self.database),
                password=self.params["password"],
                maintenance=self.params["maintenance_database"],
                identity=self.identity or secrets.token_hex(4),
                compare=self.params["compare"],
                assertions=self.params["verify_sql"],
                with_amcheck=self.params["amcheck"],
                deadline=self.deadline,
                application_name=self.application_name,
                warn=self.warn,
                progress=self.progress,
            )
        except GoliveError as problem:
            fault = self._fault(archive, problem)
            if fault is not None:
                problem.known["record"] = self._recorded(archive, where, problem=fault)
            if fault is not None and fault is not problem:
                self.warn(str(fault))
            raise
        record = self._recorded(archive, where, proof=proof)
        return {
            "changed": record is not None,
            "backup": {**found.summary(), "manifest": url},
            "verified": proof,
            "record": record,
            "msg": f"{url} restores in {proof['restore_seconds']:.1f} s and equals its manifest: "
            f"{proof['tables']} tables, {proof['rows']} rows, {proof['compared']}.",
        }

    def _fault(self, archive: backup_proof.Archive, problem: GoliveError) -> GoliveError | None:
        """What says that the backup is not what was written, or cannot be restored; None where the proof ended by something else.

        A program that failed, and a place that gave an answer of no use, tell nothing of the backup: its bytes, read again, do. Where
        they are those that were written, it is ``backup_fault`` that says whether nobody restores them.
        """
        is_left = "left_behind" in problem.known
        if isinstance(problem, ActionFailed) and (not is_left or "comparison" in problem.known):
            return problem
        if not isinstance(problem, (ActionFailed, CommandFailed, UnexpectedAnswer)) or isinstance(problem, Absent):
            return None
        try:
            archive.digests.clear()
            for unused in archive.stored_chunks():
                self.deadline.require("Reading the archive again")
            archive.require_intact()
        except Absent:
            return None
        except (ActionFailed, UnexpectedAnswer) as fault:
            return fault
        except GoliveError:
            return None
        if "backup_fault" not in problem.known:
            return None
        problem.remedy = problem.remedy or "Do not use this backup: its bytes are those that were written."
        return problem

    def _recorded(self, archive: backup_proof.Archive, where: t.Mapping[str, t.Any], **outcome: t.Any) -> str | None:
        """The URL of what is left of a proof beside its backup; a warning where the place takes none, since the proof stands."""
        if not self.params["record"]:
            return None
        now = self.deadline.clock.now()
        name = restore_record.name_for(archive.name, now)
        try:
            archive.place.with_more_time().put(
                name, restore_record.of(archive.manifest, where=where, at=now, **outcome).body()
            )
        except GoliveError as problem:
            self.warn(
                f"This proof left no record, so check_backup will not know of it: {problem} Where the keys may not write beside "
                "the backups, give some that may, or set record: false."
            )
            return None
        return archive.place.url(name)

    def extract(self) -> dict[str, t.Any]:
        if not self.params["tables"] and not self.params["schemas"]:
            raise BadInput("Neither tables nor schemas says what to bring out of the backup.")
        archive, url = self.source()
        asked = extraction.wanted(
            archive,
            url,
            database=self.database,
            tables=self.params["tables"],
            schemas=self.params["schemas"],
            identity=self.params["restore_id"],
            target=self.params["target"],
        )
        with self.cluster() as cluster:
            work = extraction.Extraction(
                cluster,
                asked,
                database=self.database,
                params=self.params,
                connect=self.connect,
                deadline=self.deadline,
                application_name=self.application_name,
                progress=self.progress,
            )
            return work.run(check_mode=self.check_mode)

    def sweep(self) -> dict[str, t.Any]:
        """Remove what killed runs left on the server and, where it is named, at the destination."""
        place, found = None, []
        if self.params["destination"] is not None:
            place = destination(self.params["destination"], self.params["s3"], deadline=self.deadline)
            place.preflight()
            found = remains.at_destination(place, self.database, identity=self.identity)
        if self.params["work_dir"] is not None:
            found += remains.in_work_dir(self.params["work_dir"], self.database, identity=self.identity)
        min_age = self.params["min_age"]
        if min_age is None:
            min_age = 0.0 if self.identity is not None else remains.STRANGER_SECONDS
        removed: list[dict[str, t.Any]] = []
        kept: list[dict[str, t.Any]] = []
        with self.cluster() as cluster:
            found = [*remains.databases(cluster, self.database, identity=self.identity), *found]
            for one in found:
                if one.database is not None:
                    why = remains.drop(cluster, one, check_mode=self.check_mode)
                else:
                    now = self.deadline.clock.now()
                    why = remains.discard(cluster, place, one, now=now, min_age=min_age, check_mode=self.check_mode)
                (removed if why is None else kept).append({**one.told(), **({} if why is None else {"reason": why})})
        would = "Would remove" if self.check_mode else "Removed"
        whose = self.database if self.identity is None else f"{self.identity} of {self.database}"
        stays = "".join(f"; {one['name']} stays: {one['reason'].rstrip('.')}" for one in kept)
        return {
            "changed": bool(removed),
            "removed": removed,
            "kept": kept,
            "diff": {
                "before": "".join(f"{one.kind} {one.name}\n" for one in found),
                "after": "".join(f"{one['kind']} {one['name']}\n" for one in kept),
            },
            "msg": f"{would} {len(removed)} remains of killed runs of {whose}{stays}.",
        }

    def since(self) -> dict[str, t.Any] | None:
        """What the present data is to be compared with."""
        if self.params["baseline"] is not None:
            return _checked_baseline(self.params["baseline"])
        if self.params["since_snapshot"] is not None:
            data_loss.parse_snapshot(self.params["since_snapshot"])
            return {"snapshot": self.params["since_snapshot"], "at": None, "tables": None}
        if self.params["backup"] is not None or self.params["destination"] is not None:
            found = self.source()[0].manifest
            return {
                "snapshot": found.snapshot,
                "at": found.created,
                "tables": [*found.tables, *data_loss.large_objects_of(found.large_objects)],
                "system_identifier": found.server.get("system_identifier"),
                "timeline": found.server.get("timeline"),
            }
        return None

    def assessment(self, dbname: str) -> dict[str, t.Any] | None:
        since = self.since()
        if since is None:
            return None
        with contextlib.closing(self.connect(dbname)) as connection:
            return data_loss.assess(
                connection,
                since=since,
                own_rows=self.params["own_rows"],
                deadline=self.deadline,
                now=self.deadline.clock.now(),
            )

    def assess(self) -> dict[str, t.Any]:
        target = self.params["target"]
        if target is None:
            with self.cluster() as cluster:
                fenced = derived_name(self.database, "golive", self.identity) if self.identity else None
                target = fenced if fenced is not None and cluster.find(fenced) is not None else self.database
        loss = self.assessment(target)
        with contextlib.closing(self.connect(target)) as connection:
            now = data_loss.baseline(connection, deadline=self.deadline)
        return {
            "changed": False,
            "database": target,
            "data_loss": loss,
            "baseline": now,
            "msg": f"A baseline of {target} was taken." if loss is None else f"{target}: {told_loss(loss)}",
        }

    def restore(self) -> dict[str, t.Any]:
        if self.identity is None:
            raise BadInput("Neither release nor restore_id is given.", remedy="The names are made of it.")
        names = Names.of(self.database, self.identity, self.params["target"])
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(self.cluster())
            if not self.check_mode:
                stack.enter_context(cluster.exclusive(self.database, doing="pg_restore"))
            seen = look(cluster, names)
            if seen.done is not None and seen.failed is not None:
                return self._done_already(cluster, seen.done, seen.failed, seen.loss_at_the_swap)
            require_safe_target(seen)
            seen = self._opened(cluster, seen)
            if seen.fenced is not None:
                cluster.may_alter(seen.fenced)
                cluster.require_no_prepared_transactions(seen.fenced.name)
                self._require_no_replication(cluster, seen.fenced.name)
                self._standbys().require_known(cluster)
            loss = self._require_no_loss(seen)
            if self.params["copy"] is not None:
                return self._from_copy(cluster, seen, loss)
            return self._from_backup(cluster, seen, loss)

    def _opened(self, cluster: Cluster, seen: Seen) -> Seen:
        """A run that was killed in its swap left both databases closed; what is in them could not be looked at."""
        there = [one for one in (seen.fenced, seen.restoring) if one is not None and one.mark is not None]
        shut = [one.name for one in there if not one.allows_connections]
        if not shut:
            return seen
        if self.check_mode:
            raise Refused(
                f"{', '.join(shut)} was closed by a swap that was killed, so what is in there cannot be counted in check mode.",
                remedy="Run it without check mode: it opens it, counts, and goes on or refuses.",
            )
        for name in shut:
            cluster.allow_connections(name, True)
        return look(cluster, Names.of(self.database, seen.names.identity, self.params["target"]))

    def _require_no_replication(self, cluster: Cluster, replaced: str) -> None:
        """Slots and subscriptions stay with the database that gives way: who reads or feeds them finds nothing in the new one."""
        self.replication = database_facts.replication(cluster.connection, replaced, deadline=self.deadline)
        if self.replication and self.params["replication"] == "refuse":
            some = database_facts.told_replication(self.replication)
            raise Refused(
                f"{replaced} has {len(self.replication)} replication slots or subscriptions, which would stay with it: {some}.",
                remedy="Say replication: leave when they are to be made anew afterwards, or drop them first.",
                known={"replication": self.replication},
            )

    def _standbys(self) -> standbys.Standbys:
        return standbys.Standbys(
            self.params["standbys"],
            password=self.params["password"],
            maintenance=maintenance_name(self.database, self.params["maintenance_database"]),
            application_name=self.application_name,
            unfreed=self.params["unfreed_standbys"],
            warn=self.warn,
        )

    def _done_already(
        self, cluster: Cluster, done: Database, failed: Database, loss: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        """The run that swapped may have been killed before it came to the standbys."""
        freed = []
        if not self.check_mode:
            freed = self._standbys().free(cluster, database=self.database, failed=failed.name, oid=failed.oid)
        return {
            "changed": any(one.get("ended_sessions") for one in freed),
            "database": done.name,
            "failed_database": failed.name,
            "data_loss": loss,
            "standbys": freed,
            "msg": f"{self.database} was brought back already; what it replaced is {failed.name}.",
        }

    def _require_no_loss(self, seen: Seen) -> dict[str, t.Any] | None:
        if seen.fenced is None:
            return None
        loss = self.assessment(seen.fenced.name)
        if loss is None and self.params["copy"] is not None:
            mark = seen.fenced.mark
            position = dict(mark.note.get("position") or {}) if mark is not None else {}
            if position:
                since = {"snapshot": position["snapshot"], "at": position["at"], "tables": None}
                with contextlib.closing(self.connect(seen.fenced.name)) as connection:
                    loss = data_loss.assess(
                        connection, since=since, deadline=self.deadline, now=self.deadline.clock.now()
                    )
        lossless = loss is not None and loss["lossless"] is True
        if not lossless and not self.params["accept_data_loss"]:
            text = "what would be lost is not known" if loss is None else told_loss(loss)
            raise Refused(
                f"Bringing {self.database} back is not proven lossless: {text}",
                remedy="Give the baseline taken after the migration, or accept_data_loss when that is decided.",
                known={"data_loss": loss},
            )
        return loss

    def _from_backup(self, cluster: Cluster, seen: Seen, loss: dict[str, t.Any] | None) -> dict[str, t.Any]:
        archive, url = self.source()
        archive.require_readable()
        wanted = archive.properties()
        if archive.manifest.verified.get("ok") is not True:
            raise Refused(f"{url} was never proven.", remedy="Prove it first with state verified, or use another one.")
        untried = self._require_makeable(cluster, archive)
        if self.check_mode:
            if untried is not None:
                self.warn(
                    f"{untried} It is tried in the new database, before the restore, which is refused if the login may not. "
                    "GRANT it CREATE there to know now."
                )
            return self._would(seen, f"restore {url} into {seen.names.restoring}", loss)
        programs = self.programs(cluster.connection.info.server_version)
        try:
            with self.watch.timed("restore"):
                made = self._restored(cluster, seen, archive, programs, wanted)
            return self._swapped_in(cluster, seen, made, wanted, loss, {"manifest": url, **archive.manifest.summary()})
        except (GoliveError, Ended) as problem:
            problem.known.setdefault("data_loss", loss)
            problem.known.setdefault("left", self._left(cluster, seen.names))
            raise

    def _left(self, cluster: Cluster, names: Names) -> dict[str, t.Any]:
        try:
            cluster.settle()
            now = look(cluster, names)
        except GoliveError:
            return {"state": "unknown", "names": [names.database, names.fenced, names.restoring, names.failed]}
        found = {"fenced": now.fenced, "restoring": now.restoring, "failed": now.failed, "live": now.live}
        return {key: None if value is None else value.told() for key, value in found.items()}

    def _require_makeable(self, cluster: Cluster, archive: backup_proof.Archive) -> str | None:
        """A sentence on what could not be tried there. Raises Denied where only a superuser would make what the archive has."""
        return only_superusers.require_possible(
            cluster,
            archive.manifest.only_superusers_make or (),
            database=self.database,
            publications=True,
            remedy="Restore it with a superuser's login.",
        )

    def _restored(
        self,
        cluster: Cluster,
        seen: Seen,
        archive: backup_proof.Archive,
        programs: pg_programs.Programs,
        wanted: t.Mapping[str, t.Any],
    ) -> Database:
        """The new database, filled and compared; one that an earlier call finished is taken as it is."""
        names = seen.names
        present = seen.restoring
        mark = None if present is None else present.mark
        same = mark is not None and mark.note.get("sha256") == archive.manifest.archive["sha256"]
        if present is not None and mark is not None and mark.kind == "ready" and same:
            return present
        if present is not None:
            cluster.drop_made(names.restoring, "restoring", original=names.database, identity=names.identity)
        try:
            made = cluster.create(
                names.restoring,
                owner=str(wanted["owner"]),
                like=wanted,
                tablespace=wanted.get("tablespace"),
                original=names.database,
            )
            cluster.open_marked(made, "restoring", original=names.database, identity=names.identity)
            # What cannot be carried over is better known before a long restore than after it.
            database_facts.apply_properties(
                cluster.connection, names.restoring, wanted, deadline=self.deadline, rehearse=True
            )
            with contextlib.closing(self.connect(names.restoring)) as connection:
                self._require_makeable(Cluster(connection, deadline=self.deadline), archive)
            archive.restore(
                programs,
                self.params["dsn"],
                self.params["password"],
                dbname=names.restoring,
                deadline=self.deadline,
                options=("--no-subscriptions",),
                application_name=self.application_name,
                progress=self.progress,
            )
            with contextlib.closing(self.connect(names.restoring)) as connection:
                comparison = backup_proof.compared(
                    connection,
                    archive.manifest,
                    compare=self.params["compare"],
                    deadline=self.deadline,
                    progress=self.progress,
                )
                comparison["schema_equal"] = self._schema_equal(cluster, archive.manifest, programs, names.restoring)
                comparison["equal"] = comparison["equal"] and self._may_go_on(
                    archive.manifest, comparison["schema_equal"]
                )
                backup_proof.require_equal(comparison, f"What was restored into {names.restoring}")
                backup_proof.run_assertions(connection, self.params["verify_sql"], deadline=self.deadline)
        except BaseException:
            with uninterrupted(), contextlib.suppress(GoliveError):
                cluster.settle()
                cluster.drop_made(names.restoring, "restoring", original=names.database, identity=names.identity)
            raise
        note = {"sha256": archive.manifest.archive["sha256"]}
        cluster.mark(made, "ready", original=names.database, identity=names.identity, note=note)
        return t.cast(Database, cluster.find(names.restoring))

    def _may_go_on(self, made: manifest.Manifest, schema_equal: bool | None) -> bool:
        """A schema that once came back as it was does so again; of one that never did nobody knows, and users wait."""
        if schema_equal is not False:
            return True
        if made.verified.get("schema_equal") is True:
            return False
        self.warn(
            "The restored schema is not written as the backup's was, and no proof of this backup had compared it. Rows and contents "
            "are equal; compare pg_dump --schema-only of both afterwards."
        )
        return True

    def _schema_equal(
        self, cluster: Cluster, found: manifest.Manifest, programs: pg_programs.Programs, dbname: str
    ) -> bool | None:
        return backup_proof.schema_equal(
            found,
            programs,
            cluster,
            self.params["dsn"],
            self.params["password"],
            dbname,
            self.deadline,
            with_publications=True,
            warn=self.warn,
        )

    def _from_copy(self, cluster: Cluster, seen: Seen, loss: dict[str, t.Any] | None) -> dict[str, t.Any]:
        name = str(self.params["copy"])
        copy = cluster.find(name)
        if copy is None or not copy.is_ours(("copy",), seen.names.identity):
            raise Refused(f"{name} is not a copy that pg_fence made for {seen.names.identity}.")
        if seen.fenced is None or seen.fenced.mark is None or copy.mark is None:
            raise Refused(f"{seen.names.fenced} is not there, so nothing gives way to the copy.")
        if copy.mark.note.get("position") != seen.fenced.mark.note.get("position"):
            raise Refused(f"{name} was made by an earlier fence than the one that stands; it lacks what came between.")
        if self.check_mode:
            return self._would(seen, f"take {name}", loss)
        wanted = database_facts.properties(cluster.connection, seen.fenced.name, deadline=self.deadline)
        wanted["comment"] = seen.fenced.own_comment
        taken = seen.fenced.mark.note.get("admission")
        if taken:
            wanted["grants"] = admission.grants_before(taken)
        try:
            cluster.allow_connections(name, True)
            return self._swapped_in(cluster, seen, copy, wanted, loss, {"copy": name})
        except (GoliveError, Ended) as problem:
            with uninterrupted(), contextlib.suppress(GoliveError):
                cluster.settle()
                cluster.allow_connections(name, False)
            problem.known.setdefault("data_loss", loss)
            problem.known.setdefault("left", self._left(cluster, seen.names))
            raise

    def _would(self, seen: Seen, what: str, loss: dict[str, t.Any] | None) -> dict[str, t.Any]:
        replaced = seen.fenced.name if seen.fenced is not None else None
        kept = "" if replaced is None else f"; {replaced} is kept as {seen.names.failed}"
        return {
            "changed": True,
            "data_loss": loss,
            "database": seen.names.target,
            "failed_database": None if replaced is None else seen.names.failed,
            "diff": {"before": f"{seen.names.target}: {replaced}\n", "after": f"{seen.names.target}: restored\n"},
            "msg": f"Would {what} and swap it in as {seen.names.target}{kept}.",
        }

    def _swapped_in(
        self,
        cluster: Cluster,
        seen: Seen,
        made: Database,
        wanted: t.Mapping[str, t.Any],
        loss: dict[str, t.Any] | None,
        source: dict[str, t.Any],
    ) -> dict[str, t.Any]:
        names, replaced = seen.names, seen.fenced
        with self.watch.timed("sequences"):
            advanced = [] if replaced is None else self._advanced(made.name, replaced.name)
        with self.watch.timed("properties"):
            database_facts.apply_properties(cluster.connection, made.name, wanted, deadline=self.deadline)
            given = database_facts.properties(cluster.connection, made.name, deadline=self.deadline)
            unlike = database_facts.differing_properties(wanted, given)
            if unlike:
                raise ActionFailed(
                    f"{made.name} does not have the {', '.join(unlike)} that {self.database} had.",
                    known={"properties": {key: {"expected": wanted[key], "found": given[key]} for key in unlike}},
                )
        with self.watch.timed("swap"):
            ended = self._swap(cluster, names, made, replaced, wanted.get("comment"), loss)
        result = {
            "changed": True,
            "database": names.target,
            "failed_database": None if replaced is None else names.failed,
            "source": source,
            "data_loss": loss,
            "sequences_advanced": advanced,
            "replication": self.replication,
            "ended_sessions": ended,
            "standbys": [],
            "seconds": self.watch.seconds,
            "diff": {
                "before": f"{names.target}: OID {None if replaced is None else replaced.oid}\n",
                "after": f"{names.target}: OID {made.oid}\n",
            },
        }
        kept = "" if replaced is None else f" What it replaced is kept as {names.failed} ({replaced.size_bytes} bytes)."
        if self.replication:
            kept += f" {len(self.replication)} replication slots or subscriptions stay with it, to be made anew."
        if replaced is not None:
            try:
                with self.watch.timed("standbys"):
                    result["standbys"] = self._standbys().free(
                        cluster, database=self.database, failed=names.failed, oid=replaced.oid
                    )
            except (GoliveError, Ended) as problem:  # what was done is done
                problem.known.update({**result, **problem.known})
                raise
        result["msg"] = f"{names.target} is back, from {source.get('manifest') or source.get('copy')}.{kept}"
        return result

    def _advanced(self, made: str, replaced: str) -> list[dict[str, t.Any]]:
        """Move each sequence past what the failed release gave out, so that no id is used twice."""
        sql = require("psycopg").sql
        with contextlib.closing(self.connect(replaced)) as connection:
            given_out = database_facts.sequences(connection, deadline=self.deadline)
        moved = []
        with contextlib.closing(self.connect(made)) as connection:
            restored = database_facts.sequences(connection, deadline=self.deadline)
            for step in advances(restored, given_out):
                statement = sql.SQL("select pg_catalog.setval({}, {}, true)").format(
                    sql.Literal(sql.Identifier(step["schema"], step["name"]).as_string(connection)), step["to"]
                )
                label = database_facts.readable((step["schema"], step["name"]))
                postgres.rows(connection, statement, doing=f"Advancing sequence {label}", deadline=self.deadline)
                moved.append({"sequence": label, "from": step["from"], "to": step["to"]})
        return moved

    def _swap(
        self,
        cluster: Cluster,
        names: Names,
        made: Database,
        replaced: Database | None,
        comment: str | None,
        loss: t.Mapping[str, t.Any] | None,
    ) -> list[dict[str, t.Any]]:
        """Both renames in one transaction, with nobody connected and nobody let in until they are done."""
        opened = dataclasses.replace(made, allows_connections=True)
        stays_fenced = names.target == names.fenced and replaced is not None
        with (
            closed(cluster, [opened] if replaced is None else [replaced, opened]) as ended,
            cluster.together(f"Swapping {names.target}"),
        ):
            mark = None if replaced is None else replaced.mark
            taken = {} if mark is None else dict(mark.note.get("admission") or {})
            if replaced is not None:
                cluster.rename(replaced.name, names.failed)
                if taken:
                    admission.widen(cluster, names.failed, taken)
                cluster.mark(
                    replaced,
                    "failed",
                    original=names.database,
                    identity=names.identity,
                    name=names.failed,
                    note={
                        "replaced_by": made.oid,
                        "at": utc_text(cluster.deadline.clock.now()),
                        "data_loss": None if loss is None else {**loss, "tables": loss["tables"][:_NOTED_TABLES]},
                    },
                )
            cluster.rename(made.name, names.target)
            if stays_fenced and mark is not None:
                bare = dataclasses.replace(made, comment=comment)
                note = {**mark.note, "restored": True}
                if taken:
                    note["admission"] = admission.narrow(cluster, names.target, list(taken["roles"]))
                cluster.mark(
                    bare,
                    mark.kind,
                    original=names.database,
                    identity=names.identity,
                    name=names.target,
                    note=note,
                )
            else:
                cluster.write_comment(names.target, comment)
            cluster.allow_connections(names.target, True)
        return ended


def advances(
    restored: t.Sequence[t.Mapping[str, t.Any]], given_out: t.Sequence[t.Mapping[str, t.Any]]
) -> t.Iterator[dict[str, t.Any]]:
    """Where each sequence must go: past the last value given out, by its cache once more, within its bounds.

    A sequence that cycles gives values again by design, and is left alone.
    """
    used = {(one["schema"], one["name"]): one for one in given_out}
    for one in restored:
        other = used.get((one["schema"], one["name"]))
        if other is None or other["last_value"] is None or one["cycles"]:
            continue
        step = int(one["increment"])
        # Sessions that ended may have held cached values; the last value covers them, the cache once more is a margin.
        wanted = int(other["last_value"]) + step * max(1, int(other["cache"]))
        wanted = min(wanted, int(one["max"])) if step > 0 else max(wanted, int(one["min"]))
        present = one["last_value"]
        if present is None or (wanted - int(present)) * step > 0:
            yield {"schema": one["schema"], "name": one["name"], "from": present, "to": wanted}


def _checked_baseline(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A baseline as ``assessed`` returned it. Raises BadInput."""
    missing = [key for key in ("snapshot", "at", "tables") if key not in given]
    if missing:
        raise BadInput(f"baseline lacks {', '.join(missing)}.", remedy="It is what state assessed returns as baseline.")
    data_loss.parse_snapshot(str(given["snapshot"]))
    for one in given["tables"]:
        if not isinstance(one, dict) or not {"schema", "name", "rows"} <= set(one):
            raise BadInput("baseline.tables is not what state assessed returned.")
    return dict(given)


def told_loss(loss: t.Mapping[str, t.Any]) -> str:
    """One sentence: how many rows, which tables, which time span."""
    if loss["lossless"] is True:
        return f"nothing was written since {loss['since']['at'] or 'the snapshot'}."
    if loss["rows"] is None:
        return f"what was written is not known: {loss['reason']}."
    tables = ", ".join(str(one["table"]) for one in loss["tables"][:5])
    span = "" if loss["span_seconds"] is None else f" within {loss['span_seconds'] / 60:.1f} minutes"
    gone = "" if loss["gone_rows"] is None else f" and {loss['gone_rows']} that were there are gone or replaced"
    if loss["lossless"] is None:
        return f"no row was written{span}, but {loss['reason']}."
    return f"{loss['rows']} rows were inserted or updated{gone}{span}, in {tables}."
