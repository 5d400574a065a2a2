# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up one database: one snapshot, streamed, committed after pg_dump ended with 0, proven, and only then listed.

The order makes every failure harmless: bytes become an object only after pg_dump succeeded, an object becomes a backup
only when its manifest is written, and the manifest is written after the proof.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import datetime
import json
import secrets
import shutil
import subprocess
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    admission,
    age,
    amcheck,
    backup_proof,
    capacity,
    database_facts,
    database_roles,
    dump_directory,
    manifest,
    only_superusers,
    pg_programs,
    remains,
    restore_record,
    retention,
    standby_source,
    standbys,
    upload_memory,
    work_directory,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    POSITION,
    TIMELINE,
    Cluster,
    Mark,
    cluster_of,
    maintenance_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    MANIFEST_SUFFIX,
    S3_PLACE,
    UPLOAD,
    Destination,
    Stored,
    Upload,
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
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import (
    Deadline,
    Stopwatch,
    parse_utc,
    utc_text,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    Denied,
    Ended,
    GoliveError,
    Refused,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.guard import Context
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import SILENT, Progress

if t.TYPE_CHECKING:
    import psycopg

ARGUMENT_SPEC: Spec = compose(
    POSTGRES,
    RELEASE,
    PROGRESS,
    {
        "database": {"type": "str"},
        "destination": {"type": "str", "required": True},
        "s3": {"type": "dict", "options": S3_PLACE},
        "upload": {"type": "dict", "options": UPLOAD},
        "format": {"type": "str", "choices": list(dump_directory.FORMATS), "default": "custom"},
        "jobs": {"type": "int", "default": 1},
        "work_dir": {"type": "path"},
        "compression": {"type": "str", "choices": ["auto", *pg_programs.COMPRESSIONS], "default": "auto"},
        "compression_level": {"type": "int"},
        "encryption": {"type": "dict", "options": age.SPEC},
        "compare": {"type": "str", "choices": ["rows", "content"], "default": "content"},
        "verify": {"type": "str", "choices": list(manifest.LEVELS), "default": "restore"},
        "verify_dsn": {"type": "str", "no_log": False},
        "verify_password": {"type": "str", "no_log": True},
        "amcheck": {"type": "bool", "default": False},
        "verify_sql": {"type": "list", "elements": "dict", "default": [], "options": backup_proof.ASSERTION},
        "after_lsn": {"type": "str"},
        "after_system_identifier": {"type": "str"},
        "after_timeline": {"type": "int"},
        "catch_up_timeout": {"type": "float", "default": 300.0},
        "standbys": {"type": "list", "elements": "str", "default": []},
        "beside_copy": {"type": "bool", "default": False},
        "max_age": {"type": "float"},
        "keep": {"type": "dict", "options": retention.SPEC},
        "revision_table": {"type": "str", "default": "alembic_version"},
        "pg_bindir": {"type": "path"},
        "maintenance_database": {"type": "str"},
        "timeout": {"type": "float", "default": 3600.0},
    },
)


#: Manifests that are read, the newest first, for what an earlier backup took.
_LOOKED_AT = 14
#: Stands for the backup that a check mode does not make.
_THE_NEXT = "\uffff"
#: How many of the things that killed runs left a warning names.
_NAMED = 5


def _some(names: t.Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


@dataclasses.dataclass(frozen=True)
class Source:
    """What preflight learned of the database. ``database`` is its name now, ``known_as`` the one before a fence."""

    database: str
    known_as: str
    version_num: int
    version: str
    system_identifier: str | None
    in_recovery: bool
    size_bytes: int
    properties: t.Mapping[str, t.Any]
    #: The id of the fence that it shows.
    fenced_by: str | None = None


def body(context: Context) -> dict[str, t.Any]:
    """The module's result. Raises the error family; after a failure nothing of the backup is left."""
    params = context.params
    deadline = Deadline(params["timeout"])
    database = params["database"] or postgres.database_of(params["dsn"])
    if params["verify_dsn"] is not None:
        postgres.normalised(params["verify_dsn"])
    for option in ("verify_sql", "amcheck"):
        if params[option]:
            backup_proof.require_restore(params["verify"], for_option=option)
    dump_directory.require_jobs(params["jobs"], params["format"])
    pg_programs.require_level(params["compression_level"], params["compression"])
    standby_source.Fence.of(params)
    if params["keep"] is not None:
        retention.require_rules(params["keep"])
    encryption = age.Encryption.of(params["encryption"], is_read_back=params["verify"] != "head")
    upload = Upload.of(params["upload"], now=deadline.clock.now())
    place = destination(params["destination"], params["s3"], deadline=deadline, upload=upload)
    with fencing.held(params["release"], doing="pg_backup") as token:
        name = "opsready" if token is None else token.application_name
        identity = secrets.token_hex(4) if token is None else f"{token.release}-{secrets.token_hex(4)}"
        connection, waited = _connected(context, database, deadline=deadline, application_name=name)
        with contextlib.closing(connection):
            Cluster(connection, deadline=deadline).stay_connected()
            backup = Backup(
                params=params,
                deadline=deadline,
                place=place,
                connection=connection,
                catch_up_seconds=max(0.0, params["catch_up_timeout"] - waited),
                source=preflight(connection, database, deadline=deadline),
                application_name=name,
                identity=identity,
                release=None if token is None else token.release,
                encryption=encryption,
                warn=context.warn,
                progress=context.progress,
            )
            return backup.run(check_mode=context.check_mode)


def _connected(
    context: Context, database: str, *, deadline: Deadline, application_name: str
) -> tuple[psycopg.Connection[t.Any], float]:
    """To the database, and the seconds that were waited for it: what a fence renamed comes later where the server is a standby."""
    params, clock = context.params, deadline.clock

    def connected() -> psycopg.Connection[t.Any]:
        return postgres.connect(
            params["dsn"],
            password=params["password"],
            deadline=deadline,
            application_name=application_name,
            dbname=database,
            settings=database_facts.PINNED,
        )

    try:
        return connected(), 0.0
    except UnexpectedAnswer:
        is_fenced = params["after_lsn"] is not None or params["release"] is not None
        if not is_fenced or not params["catch_up_timeout"]:
            raise
        opened = cluster_of(
            params["dsn"],
            password=params["password"],
            maintenance=maintenance_name(database, params["maintenance_database"]),
            deadline=deadline,
            application_name=application_name,
        )
        came, began = False, clock.monotonic()
        with contextlib.suppress(GoliveError), opened as cluster:
            came = standby_source.comes_by_replay(
                cluster, database, seconds=params["catch_up_timeout"], warn=context.warn
            )
        if not came:
            raise
    return connected(), clock.monotonic() - began


def preflight(connection: psycopg.Connection[t.Any], database: str, *, deadline: Deadline) -> Source:
    """Version, size and rights. Raises Denied naming the tables that cannot be read."""
    version, in_recovery, size, system = postgres.rows(
        connection,
        "select version(), pg_catalog.pg_is_in_recovery(),"
        " pg_catalog.pg_database_size(pg_catalog.current_database()),"
        " (select system_identifier::text from pg_catalog.pg_control_system())",
        doing="Asking the server",
        deadline=deadline,
    )[0]
    unreadable = postgres.rows(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c"
        " join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p', 'S', 'm') and c.relpersistence <> 't' and n.nspname !~ '^pg_'"
        " and n.nspname <> 'information_schema'"
        " and not (pg_catalog.has_schema_privilege(n.oid, 'USAGE') and case when c.relkind = 'S'"
        "   then pg_catalog.has_sequence_privilege(c.oid, 'SELECT')"
        "   else pg_catalog.has_table_privilege(c.oid, 'SELECT') end) order by 1, 2",
        doing="Asking for our rights",
        deadline=deadline,
    )
    if unreadable:
        some = ", ".join(database_facts.readable((schema, name)) for schema, name in unreadable[:5])
        raise Denied(
            f"The login cannot read {len(unreadable)} tables or sequences of {database}: {some}.",
            remedy="Grant it pg_read_all_data, or use a login that may read them.",
        )
    database_facts.require_readable_objects(connection, database, deadline=deadline)
    protected = postgres.rows(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c"
        " join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relrowsecurity"
        " and pg_catalog.row_security_active(c.oid) order by 1, 2",
        doing="Asking for row-level security",
        deadline=deadline,
    )
    if protected:
        some = ", ".join(database_facts.readable((schema, name)) for schema, name in protected[:5])
        raise Denied(
            f"Row-level security hides rows of {len(protected)} tables of {database} from the login: {some}.",
            remedy="Use a login with BYPASSRLS.",
        )
    properties = database_facts.properties(connection, database, deadline=deadline)
    mark = Mark.parse(properties["comment"])
    if mark is not None:
        properties["comment"] = mark.comment
        taken = mark.note.get("admission")
        if taken:
            properties["grants"] = admission.grants_before(taken)
    return Source(
        database=database,
        known_as=database if mark is None else mark.original,
        version_num=connection.info.server_version,
        version=str(version),
        system_identifier=system,
        in_recovery=bool(in_recovery),
        size_bytes=int(size),
        properties=properties,
        fenced_by=mark.identity if mark is not None and mark.kind in standby_source.FENCED else None,
    )


def fresh_enough(
    found: t.Sequence[manifest.Listed],
    *,
    place: Destination,
    asked: t.Mapping[str, t.Any],
    now: datetime.datetime,
    warn: t.Callable[[str], None],
) -> manifest.Listed | None:
    """The newest backup that proves what ``asked`` (the module's options) asks, in time, and is still there."""
    for one in reversed(found):
        seen = one.manifest
        if seen is None or not _proves_enough(seen, asked) or not 0 <= seen.age_seconds(now) <= asked["max_age"]:
            continue
        gone = _gone(place, one.name, seen)
        if gone is None:
            return one
        warn(f"{one.url} is recent, and is no backup any more: {gone}.")
    return None


def _proves_enough(seen: manifest.Manifest, asked: t.Mapping[str, t.Any]) -> bool:
    proof = seen.verified
    if proof.get("ok") is not True:
        return False
    if manifest.LEVELS.index(proof["level"]) < manifest.LEVELS.index(asked["verify"]):
        return False
    wanted = [one.strip() for one in (asked["encryption"] or {}).get("recipients", ())]
    if set(seen.recipients or ()) != set(wanted):
        return False
    if (asked["upload"] or {}).get("object_lock") and not seen.archive.get("lock"):
        return False
    if asked["verify"] != "restore":
        return asked["compare"] == "rows" or all(table["content"] is not None for table in seen.tables)
    if asked["compare"] == "content" and proof.get("compared") != "rows and content":
        return False
    if asked["amcheck"] and proof.get("amcheck_seconds") is None:
        return False
    answers = proof.get("assertions")
    given = answers if isinstance(answers, list) else []
    return all({"query": one["query"], "found": one["expect"]} in given for one in asked["verify_sql"])


def _gone(place: Destination, name: str, seen: manifest.Manifest) -> str | None:
    """What of a backup is not as it was written, from what its place tells without reading it."""
    for part, written in manifest.parts_beside(name, seen):
        try:
            held = place.held(part, written.get("version_id"))
        except Absent:
            return f"{place.url(part)} is not there"
        if held.size != written["size"]:
            return f"{place.url(part)} has {held.size} bytes, and {written['size']} were written"
    return None


class Backup:
    """One backup, from the snapshot to the manifest."""

    def __init__(
        self,
        *,
        params: t.Mapping[str, t.Any],
        deadline: Deadline,
        place: Destination,
        connection: psycopg.Connection[t.Any],
        catch_up_seconds: float,
        source: Source,
        application_name: str,
        identity: str,
        release: str | None,
        encryption: age.Encryption | None,
        warn: t.Callable[[str], None],
        progress: Progress = SILENT,
    ) -> None:
        self.params = params
        self.deadline = deadline
        self.place = place
        self.connection = connection
        #: What is left of the time that a standby is waited for.
        self.catch_up_seconds = catch_up_seconds
        self.source = source
        self.application_name = application_name
        self.identity = identity
        self.release = release
        self.encryption = encryption
        self.warn = warn
        self.progress = progress
        self.watch = Stopwatch(deadline.clock)
        self.room = work_directory.Room(params["work_dir"], params["jobs"], release)
        #: What is committed of the archive: its one file, or those of its directory.
        self.stored: list[tuple[str, Stored]] = []
        self.exit_codes: dict[str, int] = {}
        self.compression: str | None = None
        #: What is tied to the database itself, so that no archive has it.
        self.replication: list[dict[str, t.Any]] = []
        #: What the database lies in beside the server's own directory.
        self.tablespaces: list[dict[str, t.Any]] = []

    def run(self, *, check_mode: bool) -> dict[str, t.Any]:
        params = self.params
        programs = pg_programs.chosen(params["pg_bindir"], self.source.version_num, deadline=self.deadline)
        self._require_fit_source()
        self._require_standbys()
        empty = database_facts.empty_on_a_standby(self.connection, deadline=self.deadline)
        if empty:
            self.warn(
                f"A standby has no rows of unlogged tables, so the backup has none: {_some([database_facts.readable(one) for one in empty])}."
            )
        if params["amcheck"]:
            with self._proving_cluster() as cluster:
                amcheck.require_possible(cluster, programs)
        needed = only_superusers.found(self.connection, deadline=self.deadline) if params["verify"] == "restore" else []
        if needed:
            with self._proving_cluster() as cluster:
                backup_proof.require_event_triggers(cluster, needed, database=self.source.database)
                self._tell_of_publications(cluster, needed)
        backup_proof.require_askable(self.connection, params["verify_sql"], deadline=self.deadline)
        method, argument = pg_programs.compression_argument(
            programs, params["compression"], deadline=self.deadline, level=params["compression_level"]
        )
        if params["max_age"] is not None:
            recent = fresh_enough(
                manifest.listed(self.place, self.source.known_as),
                place=self.place,
                asked=params,
                now=self.deadline.clock.now(),
                warn=self.warn,
            )
            if recent is not None and recent.manifest is not None:
                return self._result(recent.url, recent.manifest, changed=False)
        known = self.place.preflight()
        work = self._room_for_it(method)
        memory = self._memory_bytes(method)
        room = self._server_room()
        free = known.get("free_bytes")
        if free is not None and free < self.source.size_bytes:
            self.warn(
                f"{params['destination']} has {free} bytes free, and {self.source.database} has "
                f"{self.source.size_bytes}: it fits only if it compresses well."
            )
        self.replication = database_facts.replication(self.connection, self.source.database, deadline=self.deadline)
        plan = {
            "database": self.source.database,
            "database_bytes": self.source.size_bytes,
            "server_version": self.source.version_num,
            "pg_dump": {"path": programs.pg_dump, "version": programs.version_text, "argument": argument},
            "format": params["format"],
            "jobs": params["jobs"],
            "work_dir": work,
            "memory_bytes": memory,
            "room": room,
            "compression": method,
            "encryption": None if self.encryption is None else self.encryption.told(),
            "age": None if self.encryption is None else shutil.which("age"),
            "verify": params["verify"],
            "destination": known,
            "replication": self.replication,
            "standbys": standbys.streaming(self.connection, deadline=self.deadline),
        }
        if check_mode:
            return {
                "changed": True,
                "plan": plan,
                **({} if params["keep"] is None else self._would_prune()),
                "msg": f"Would back up {self.source.database} ({self.source.size_bytes} bytes) to "
                f"{params['destination']}.",
            }
        try:
            name, finished = self._make(programs, method, argument)
        except (GoliveError, Ended) as problem:
            problem.known.setdefault("plan", plan)
            problem.known.setdefault("seconds", self.watch.seconds)
            raise
        self._sweep()
        result = {**self._result(self.place.url(name), finished, changed=True), "plan": plan}
        try:
            return {**result, **({} if params["keep"] is None else self._pruned(name))}
        except Ended as problem:  # the backup is made, and whoever ended us should know
            problem.known.update(result)
            raise

    def _tell_of_publications(self, cluster: Cluster, needed: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        """A proof leaves them out, and a way back does not."""
        remedy = "Let pg_restore log in as one, or no way back will restore it."
        try:
            untried = only_superusers.require_possible(
                cluster, needed, database=self.source.database, publications=True, remedy=remedy
            )
        except Denied as problem:
            self.warn(f"{problem.message} {problem.remedy}")
        else:
            if untried is not None:
                self.warn(
                    f"{untried} The backup does not need it. A way back does: pg_restore tries it in the new database, before it restores, and "
                    "is refused if the login may not. GRANT it CREATE there to know now."
                )

    def _require_fit_source(self) -> None:
        fence = standby_source.Fence.of(self.params)
        if fence is not None or self.source.in_recovery:
            fenced = standby_source.FencedSource(
                self.connection,
                self.source.database,
                fence=fence,
                release=self.release,
                deadline=self.deadline,
                warn=self.warn,
            )
            if fenced.require_past(self.catch_up_seconds):
                self.source = preflight(self.connection, self.source.database, deadline=self.deadline)
        if not self.source.in_recovery:
            return
        if standby_source.cancels_long_dumps(self.connection, deadline=self.deadline):
            self.warn(
                f"The server of {self.source.database} is a standby with hot_standby_feedback = off: what its primary clears away may "
                "cancel a long dump. Set it to on there, or raise max_standby_streaming_delay."
            )

    def _require_standbys(self) -> None:
        if not self.params["standbys"]:
            return
        named = standbys.Standbys(
            self.params["standbys"],
            password=self.params["password"],
            maintenance=maintenance_name(self.source.database, self.params["maintenance_database"]),
            application_name=self.application_name,
            unfreed="refuse",
            warn=self.warn,
        )
        named.require_each(self.source.system_identifier, deadline=self.deadline)

    def _proving_cluster(self) -> t.ContextManager[Cluster]:
        """The server of the scratch database."""
        dsn, password = self._proving_server()
        return cluster_of(
            dsn,
            password=password,
            maintenance=maintenance_name(postgres.database_of(dsn), self.params["maintenance_database"]),
            deadline=self.deadline,
            application_name=self.application_name,
        )

    def _proving_server(self) -> tuple[str, str | None]:
        """DSN and password."""
        if self.params["verify_dsn"] is not None:
            return self.params["verify_dsn"], self.params["verify_password"]
        return postgres.with_database(self.params["dsn"], self.source.database), self.params["password"]

    def _room_for_it(self, compression: str) -> dict[str, t.Any] | None:
        if self.params["format"] != "directory":
            return None
        return dump_directory.room_for(
            self.place,
            self.room,
            size_bytes=self.source.size_bytes,
            compression=compression,
            is_encrypted=self.encryption is not None,
        )

    def _memory_bytes(self, compression: str) -> int | None:
        """What the upload will take at most, with a warning where that is much."""
        size = self.source.size_bytes
        needed = upload_memory.memory_bytes(
            self.place,
            dump_bytes=size * dump_directory.most_of(compression),
            estimated_bytes=size,
            jobs=self.params["jobs"],
        )
        if needed is not None and needed > upload_memory.MUCH_MEMORY:
            self.warn(
                f"The upload of {self.source.database} ({size} bytes) to {self.params['destination']} may take {needed} bytes of "
                "memory: an object has 10,000 parts, and so many of them are in memory at once. Fewer jobs take less."
            )
        return needed

    def _server_room(self) -> dict[str, t.Any]:
        """What the proof, and a template copy, will need on the server, and what it has. Raises Refused."""
        size, copied = self.source.size_bytes, self._copy_bytes()
        at_source = capacity.server_room(self._own_cluster)
        at_copy = None if self.source.in_recovery else at_source
        told = {"copy_bytes": size, "scratch_bytes": None, "wal_bytes": None, "needed_bytes": copied}
        if self.params["verify"] != "restore":
            self._require_room_for_copy(at_copy, copied)
            return {**told, "server": at_source}
        with self._proving_cluster() as cluster:
            seen = capacity.server_room(cluster)
            freed = 0 if seen["free_bytes"] is None else self._left_bytes(cluster)
            if self._is_primary(cluster):
                at_copy = seen
        self._require_room_for_copy(at_copy, copied)
        measured = self._measured_bytes()
        scratch = measured or size
        if at_copy is not seen and not (at_copy and capacity.on_one_file_system(at_copy, seen)):
            copied = 0
        # The copy is made before the proof drops what killed ones left, and stands until the release is settled.
        needed = copied + max(0, scratch - freed)
        self._require_room_for_proof(seen, scratch, copied, needed, is_measured=measured is not None)
        wal = scratch if seen["writes_wal"] else 0
        return {**told, "scratch_bytes": scratch, "wal_bytes": wal, "needed_bytes": needed, "server": seen}

    def _copy_bytes(self) -> int:
        """What the copy of ``beside_copy`` will take; 0 where there is none, or where it stands already."""
        if not self.params["beside_copy"] or not capacity.copies_files(self._own_cluster):
            return 0
        marks = [one.mark for one in self._own_cluster.marked(self.source.known_as)]
        stands = any(one is not None and (one.kind, one.identity) == ("copy", self.source.fenced_by) for one in marks)
        return 0 if stands else self.source.size_bytes

    def _is_primary(self, cluster: Cluster) -> bool:
        """Whether it is the server that would hold the copy: the database's own, or the one that a standby follows."""
        recovering, system = standbys.history(cluster)
        return not recovering and system == self.source.system_identifier

    def _require_room_for_copy(self, room: t.Mapping[str, t.Any] | None, copied: int) -> None:
        if room is not None and copied and not self._lies_elsewhere():
            capacity.require_room(
                room,
                copied,
                what=f"The copy of {self.source.known_as}",
                remedy="Make room there, or leave the copy out.",
            )

    def _require_room_for_proof(
        self, room: t.Mapping[str, t.Any], scratch: int, copied: int, needed: int, *, is_measured: bool
    ) -> None:
        """Raise Refused, or warn where no proof was measured yet. ``copied`` are bytes that stand there at the same time."""
        if self._lies_elsewhere():
            return
        what = f"The scratch database that proves the backup of {self.source.database}"
        remedy = "Name a server with more room as verify_dsn, or take verify: archive, which needs none"
        if copied:
            what += f" ({scratch} bytes), beside the copy of {self.source.known_as} ({copied} bytes),"
            remedy += "; or leave the copy out"
        try:
            capacity.require_room(room, needed, what=what, remedy=f"{remedy}.")
        except Refused as problem:
            if is_measured:
                raise
            self.warn(f"{problem.message} No proof of it was measured yet: without its dead rows it may be smaller.")

    def _lies_elsewhere(self) -> bool:
        return capacity.lies_elsewhere(self._own_cluster, self.source.database)

    @property
    def _own_cluster(self) -> Cluster:
        """The server of the database itself."""
        return Cluster(self.connection, deadline=self.deadline)

    def _left_bytes(self, cluster: Cluster) -> int:
        """What the scratch databases that killed proofs left take, and the next proof drops."""
        left = [one for one in remains.databases(cluster, self.source.known_as, identity=None) if one.kind == "scratch"]
        return sum(
            one.database.size_bytes or 0
            for one in left
            if one.database is not None and remains.drop(cluster, one, check_mode=True) is None
        )

    def _measured_bytes(self) -> int | None:
        """What the newest proof by a restore took, now that the database has grown: less than the database itself, which has dead rows.

        None where none was measured.
        """
        with contextlib.suppress(GoliveError):
            for made in self._newest_first():
                before, restored = _bytes_of(made)
                if before and restored:
                    return restored * self.source.size_bytes // before
        return None

    def _result(self, url: str, made: manifest.Manifest, *, changed: bool) -> dict[str, t.Any]:
        proof = made.verified
        megabytes = int(made.archive["size"]) / 1e6
        done = "was backed up" if changed else "has a recent backup"
        took = f", proven by {proof['level']} in {proof['seconds']:.1f} s"
        tables = "1 table" if len(made.tables) == 1 else f"{len(made.tables)} tables"
        return {
            "changed": changed,
            "backup": {
                **made.summary(),
                "manifest": url,
                "archive": manifest.archive_beside(url, made),
                "roles": manifest.roles_beside(url, made),
                "snapshot": made.snapshot,
                "lsn": made.lsn,
                "server_side_encryption": made.archive.get("server_side_encryption"),
                "lock": made.archive.get("lock"),
                "programs": dict(made.programs),
                "tablespaces": made.server.get("tablespaces"),
            },
            "verified": dict(proof),
            "seconds": dict(made.seconds),
            "msg": f"{made.database} {done}: {megabytes:.1f} MB, {made.rows} rows in {tables}{took}.",
        }

    def _sweep(self) -> None:
        """Remove what runs that were killed left beside the backups; warn of what may be a living one's."""
        removed: list[str] = []
        left: list[str] = []
        try:
            cluster = Cluster(self.connection, deadline=self.deadline)
            found = remains.at_destination(self.place, self.source.known_as, identity=None)
            if self.room.directory is not None:
                found += remains.in_work_dir(self.room.directory, self.source.known_as, identity=None)
            for one in found:
                # A run of this release is over, since we are at work; of another, only this server's locks tell us.
                is_own = self.release is not None and one.identity == self.release
                min_age = 0.0 if is_own else remains.STRANGER_SECONDS
                why = remains.discard(cluster, self.place, one, now=self.deadline.clock.now(), min_age=min_age)
                (removed if why is None else left).append(one.name)
        except GoliveError as problem:
            self.warn(f"What earlier runs left beside the backups could not be looked through: {problem}")
        if removed:
            self.warn(f"{_some(removed)}: a run that was killed before its proof had left it; it was removed.")
        if left:
            self.warn(
                f"{_some(left)}: no manifest, so no backup. A run that was killed before its proof left it, or one is still at "
                "work on it; opsready.golive.pg_restore with state: swept removes what no run is at."
            )

    def _proven(self) -> dict[str, manifest.Listed]:
        """The backups of this database that count, by name."""
        found = manifest.listed(self.place, self.source.known_as)
        return {one.name: one for one in found if one.manifest is not None and one.manifest.verified.get("ok") is True}

    def _locked(self, one: manifest.Listed) -> bool:
        """Whether the store's object lock holds a backup that no rule keeps; a warning says so.

        Removing its manifest would only hide it: what is locked stays, and is nobody's backup any more.
        """
        old = t.cast(manifest.Manifest, one.manifest)
        for name, said in [*manifest.parts_beside(one.name, old), (one.name, {})]:
            try:
                lock = self.place.held(name, said.get("version_id")).lock_at(self.deadline.clock.now())
            except Absent:
                continue
            if lock is not None:
                self.warn(f"{one.url} is kept by no rule and stays: {self.place.url(name)} has {lock}.")
                return True
        return False

    def _going(self, proven: t.Mapping[str, manifest.Listed], made: str, at: datetime.datetime) -> list[str]:
        """Which of the proven ones no rule keeps beside the one that was, or would be, ``made`` then. Raises UnexpectedAnswer."""
        others = {name: t.cast(manifest.Manifest, one.manifest) for name, one in proven.items() if name != made}
        moments = {made: at, **{name: parse_utc(one.created) for name, one in others.items()}}
        newest = max(moments, key=lambda name: (moments[name], name))
        if newest != made:
            raise UnexpectedAnswer(f"{self.place.url(newest)} claims to be newer than the backup made now.")
        levels = {made: self.params["verify"], **{name: one.verified["level"] for name, one in others.items()}}
        proofs = {name: manifest.LEVELS.index(level) for name, level in levels.items()}
        proofs.update(self._proven_since(proven))
        stays = retention.kept(moments, self.params["keep"], proofs=proofs)
        return [name for name in sorted(others) if name not in stays and not self._locked(proven[name])]

    def _proven_since(self, proven: t.Mapping[str, manifest.Listed]) -> dict[str, int]:
        """How well those are proven that pg_restore has looked at since, by the last record of each; one that failed, worse than all.

        Raises UnexpectedAnswer where a record cannot be read, for it may say that a backup is none.
        """
        made = {name: t.cast(manifest.Manifest, one.manifest) for name, one in proven.items()}
        archives = {manifest.archive_beside(name, one) for name, one in made.items()}
        listed, now = restore_record.listed(self.place, self.source.known_as), self.deadline.clock.now()
        for one in listed:
            if one.record is None and restore_record.archive_of(one.name) in archives:
                raise UnexpectedAnswer(
                    f"{one.problem}.",
                    remedy="Find out what writes there, remove it by hand, and prove that backup again.",
                )
            if one.record is not None and one.record.is_of_the_future(now):
                self.warn(f"{one.url} is dated {one.record.at}, which is still to come: it counts for nothing.")
        last = restore_record.last_of_each(listed, now)
        of_them = ((name, last.get((name, str(one.archive["sha256"])))) for name, one in made.items())
        return {
            name: manifest.LEVELS.index("restore") if record.is_good else -1
            for name, record in of_them
            if record is not None
        }

    def _would_prune(self) -> dict[str, t.Any]:
        """As ``_pruned`` would do it after a backup made now, without doing it."""
        proven = self._proven()
        going: list[str] = []
        try:
            going = self._going(proven, _THE_NEXT, self.deadline.clock.now())
        except GoliveError as problem:
            self.warn(f"Old backups would not be removed: {problem}")
        return self._told_pruned(proven, going, "the new one")

    def _told_pruned(
        self, proven: t.Mapping[str, manifest.Listed], going: t.Container[str], new: str
    ) -> dict[str, t.Any]:
        """``proven`` are those of before."""
        urls = {name: proven[name].url for name in sorted(proven)}
        after = [*(url for name, url in urls.items() if name not in going), new]
        return {
            "pruned": [url for name, url in urls.items() if name in going],
            "diff": {"before": "".join(f"{url}\n" for url in urls.values()), "after": "\n".join(after) + "\n"},
        }

    def _pruned(self, made: str) -> dict[str, t.Any]:
        """Remove what no rule keeps; each manifest first, since a backup is there as long as its manifest is.

        The backup that was just made stands whatever happens here, so a problem is a warning.
        """
        removed: list[str] = []
        proven: dict[str, manifest.Listed] = {}
        try:
            proven = self._proven()
            new = proven.get(made)
            if new is None or new.manifest is None:
                raise UnexpectedAnswer(f"{self.place.url(made)} is not among the backups that are listed.")
            going = self._going(proven, made, parse_utc(new.manifest.created))
            there = self.place.names(manifest.folder(self.source.known_as)) if going else []
            for name in going:
                old = t.cast(manifest.Manifest, proven[name].manifest)
                with uninterrupted():
                    self.place.remove(name)
                    removed.append(name)
                    records = restore_record.parts_of(manifest.archive_beside(name, old), there)
                    for part, said in [*manifest.parts_beside(name, old), *records]:
                        with contextlib.suppress(Absent):
                            self.place.remove(part, said.get("version_id"))
        except GoliveError as problem:
            self.warn(f"Old backups were not all removed: {problem}")
        proven.pop(made, None)
        return self._told_pruned(proven, removed, self.place.url(made))

    def _make(self, programs: pg_programs.Programs, method: str, argument: str) -> tuple[str, manifest.Manifest]:
        """The manifest's name and the manifest, which is written last: what fails before leaves nothing behind."""
        self.compression = method
        taken = self._taken()
        self.tablespaces = database_roles.tablespaces(self.connection, deadline=self.deadline)
        names, script = database_roles.script(
            self.connection, self.source.known_as, deadline=self.deadline, lies_in=self.tablespaces
        )
        encryption = self.encryption
        archive = manifest.archive_name(
            self.source.known_as, parse_utc(taken.created), self.identity, is_encrypted=encryption is not None
        )
        written, beside = manifest.manifest_name(archive), manifest.roles_name(archive)
        at_work = remains.at_work(Cluster(self.connection, deadline=self.deadline), archive)
        with at_work, self._removed_on_failure(self.stored):
            with self.watch.timed("dump"):
                stored, seen = self._dump(programs, argument, archive, taken.exported)
            self._end_snapshot()
            if not self.source.in_recovery:  # else a crash could give transaction ids of the snapshot to others
                Cluster(self.connection, deadline=self.deadline).flush_log()
            # Settings of roles, and comments, may hold what is nobody's to read.
            roles = self.place.put(beside, script if encryption is None else encryption.body(script))
            for note in (*stored.notes, *roles.notes):
                self.warn(note)
            with self._removed_on_failure([(beside, roles)]):
                parts = {
                    **_part(archive, stored),
                    "format": self.params["format"],
                    "files": dump_directory.told(self.stored) if self.params["format"] == "directory" else None,
                    "compression": method,
                    "encryption": None
                    if encryption is None
                    else {**encryption.told(), "sealed": self._sealed(encryption)},
                    "crc32": stored.crc32 or None,
                    "stored_proof": stored.proven_by,
                    "roles": {**_part(beside, roles), "names": names},
                }
                made = self._verified(programs, archive, self._described(programs, written, parts, taken, seen), stored)
                with self.watch.timed("manifest"):
                    self.place.put(written, made.body())
        return written, made

    @property
    def _identities(self) -> age.Identities:
        """What reads back what this very run encrypted."""
        return () if self.encryption is None else self.encryption.identities

    def _sealed(self, encryption: age.Encryption) -> str:
        """Properties of the database that only the archive's readers may read, in base64: the manifest is everybody's."""
        hidden = {name: self.source.properties[name] for name in manifest.SEALED}
        return base64.b64encode(encryption.body(json.dumps(hidden).encode("utf-8"))).decode("ascii")

    def _taken(self) -> Taken:
        """Begin the transaction whose snapshot the dump and the counts share."""
        with postgres.translated("Taking a snapshot", deadline=self.deadline):
            self.connection.execute("begin isolation level repeatable read read only")
            row = self.connection.execute(f"select pg_catalog.pg_export_snapshot(), {POSITION}, {TIMELINE}").fetchone()
        exported, snapshot, lsn, created, timeline = t.cast("tuple[str, str, str, str, int]", row)
        # Before pg_dump starts: it reads sequences outside the snapshot, at some time of its own, and ahead is right.
        sequences = database_facts.sequences(self.connection, deadline=self.deadline)
        return Taken(exported, snapshot, lsn, created, timeline, sequences)

    def _end_snapshot(self) -> None:
        """It holds back the clearing of dead rows as long as it stands; to end it again does nothing."""
        with postgres.translated("Ending the snapshot", deadline=self.deadline):
            self.connection.execute("rollback")

    def _described(
        self,
        programs: pg_programs.Programs,
        written: str,
        archive: t.Mapping[str, t.Any],
        taken: Taken,
        seen: Seen,
    ) -> manifest.Manifest:
        """The manifest of what was stored, before its proof."""
        return manifest.Manifest(
            name=written.rpartition("/")[2],
            database=self.source.known_as,
            created=taken.created,
            finished=utc_text(self.deadline.clock.now()),
            server={
                "version_num": self.source.version_num,
                "version": self.source.version,
                "system_identifier": self.source.system_identifier,
                "in_recovery": self.source.in_recovery,
                "timeline": taken.timeline,
                "database_bytes": self.source.size_bytes,
                "replication": self.replication,
                "tablespaces": self.tablespaces,
            },
            snapshot=taken.snapshot,
            lsn=taken.lsn,
            archive=archive,
            tables=seen.tables,
            large_objects=seen.large_objects,
            sequences=taken.sequences,
            revision=seen.revision,
            properties={
                name: value
                for name, value in self.source.properties.items()
                if self.encryption is None or name not in manifest.SEALED
            },
            schema_sha256=seen.schema_sha256,
            verified={"level": self.params["verify"], "ok": False},
            release=self.release,
            programs={
                "version": programs.version_text,
                "directory": programs.directory,
                "exit_codes": dict(self.exit_codes),
            },
            seconds={},
            unpublished_schema_sha256=seen.unpublished_schema_sha256,
            only_superusers_make=seen.only_superusers_make,
        )

    def _verified(
        self, programs: pg_programs.Programs, archive: str, made: manifest.Manifest, stored: Stored
    ) -> manifest.Manifest:
        """The manifest with its proof."""
        with self.watch.timed("verify"):
            database_roles.require_intact(self.place, archive, made, identities=self._identities)
            proof = self._proof(programs, archive, made, stored)
        now = utc_text(self.deadline.clock.now())
        return dataclasses.replace(made, verified={**proof, "at": now}, finished=now, seconds=dict(self.watch.seconds))

    @contextlib.contextmanager
    def _removed_on_failure(self, stored: t.Sequence[tuple[str, Stored]]) -> t.Iterator[None]:
        """What is stored by then must not stay without its manifest."""
        try:
            yield
        except BaseException as problem:
            self._remove(stored, problem)
            raise

    def _remove(self, stored: t.Sequence[tuple[str, Stored]], problem: BaseException) -> None:
        """Raises ActionFailed, with the failure that led here, when something cannot be removed."""
        left: dict[str, GoliveError] = {}
        with uninterrupted():
            for name, one in stored:
                try:
                    with contextlib.suppress(Absent):
                        self.place.with_more_time().remove(name, one.version_id)
                except GoliveError as why:
                    left[self.place.url(name)] = why
        if left:
            known = getattr(problem, "known", {})
            more = f" Nor could {len(left) - 1} more of its files." if len(left) > 1 else ""
            raise ActionFailed(
                f"{problem} {next(iter(left))} could not be removed: {next(iter(left.values()))}{more}",
                remedy="It has no manifest, so nothing takes it for a backup; remove it by hand.",
                known={**known, "left_behind": [*known.get("left_behind", []), *left]},
            )

    def _dump(self, programs: pg_programs.Programs, argument: str, archive: str, exported: str) -> tuple[Stored, Seen]:
        """Stream pg_dump's output to its place while the same snapshot is counted beside it."""
        argv = [
            programs.pg_dump,
            f"--format={self.params['format']}",
            argument,
            "--no-password",
            f"--snapshot={exported}",
            f"--lock-wait-timeout={int(min(self.deadline.remaining(), 60) * 1000)}",
        ]
        environment = postgres.program_environment(
            self.params["dsn"], self.source.database, application_name=self.application_name
        )
        counting = Counting(self, programs, exported)
        password = self.params["password"]
        with contextlib.ExitStack() as stack:
            stack.callback(counting.stop)
            if self.params["format"] == "directory":
                return self._dump_directory(programs, argv, archive, environment, counting)
            writer = stack.enter_context(self.place.writer(archive, estimated_bytes=self.source.size_bytes))
            self.progress.begin(
                "dump",
                size=lambda: writer.digest.size,
                stored=lambda: writer.stored_bytes,
                whole=self.source.size_bytes,
                estimated_by="database",
                estimate=self._expected_bytes,
            )
            running = pg_programs.running(argv, environment=environment, password=password, stdout=subprocess.PIPE)
            process, said = stack.enter_context(running)
            counting.start()
            chunks: t.Iterable[bytes] = pg_programs.output_chunks(
                process, doing="pg_dump", deadline=self.deadline, watch=counting.raise_problem
            )
            if self.encryption is not None:
                chunks = stack.enter_context(age.closing(self.encryption.stream(chunks)))
            for chunk in chunks:
                writer.write(chunk)
            pg_programs.ended_well(programs.pg_dump, process, said, deadline=self.deadline)
            self.exit_codes["pg_dump"] = process.returncode
            seen = counting.result()
            stored = writer.commit()
            self.stored.append((archive, stored))
        return stored, seen

    def _dump_directory(
        self,
        programs: pg_programs.Programs,
        argv: t.Sequence[str],
        archive: str,
        environment: t.Mapping[str, str],
        counting: Counting,
    ) -> tuple[Stored, Seen]:
        """Let jobs of pg_dump write files, and store them once all of them ended, while the same snapshot is counted."""
        folder = manifest.folder(self.source.known_as)
        dump = dump_directory.Dump(self.place, self.room, archive, folder, self.encryption, self.deadline)
        with dump.directory() as path:
            command = dump.command(argv, path)
            self.progress.begin(
                "dump",
                size=lambda: dump.written(path),
                whole=self.source.size_bytes,
                estimated_by="database",
                estimate=self._expected_bytes,
            )
            with pg_programs.running(
                command, environment=environment, password=self.params["password"], jobs=self.room.jobs
            ) as (process, said):
                counting.start()
                pg_programs.watched_to_its_end(
                    process, doing="pg_dump", deadline=self.deadline, watch=counting.raise_problem
                )
                dump.ended_well(programs.pg_dump, process, said, path)
            self.exit_codes["pg_dump"] = process.returncode
            seen = counting.result()
            self._end_snapshot()
            self.progress.begin(
                "storing", size=lambda: sum(one.size for unused, one in self.stored), whole=dump.written(path)
            )
            return dump.stored(path, self.stored), seen

    def _expected_bytes(self) -> int | None:
        """What the last backup would take, now that the database has grown; None where it was not compressed like this one."""
        last = next(self._newest_first(), None)
        before = 0 if last is None else int(last.server.get("database_bytes") or 0)
        if last is None or not before or last.archive.get("compression") != self.compression:
            return None
        return int(last.archive["size"]) * self.source.size_bytes // before

    def _newest_first(self) -> t.Iterator[manifest.Manifest]:
        """The manifests of this database's last backups, of which so many are looked at."""
        below = manifest.folder(self.source.known_as)
        names = [name for name in self.place.names(below) if name.endswith(MANIFEST_SUFFIX)]
        for name in reversed(names[-_LOOKED_AT:]):
            yield manifest.load(self.place, name)

    def _proof(
        self, programs: pg_programs.Programs, archive: str, made: manifest.Manifest, stored: Stored
    ) -> dict[str, t.Any]:
        params = self.params
        folder = archive.rpartition("/")[0]
        stream = backup_proof.Archive(self.place, folder, made, identities=self._identities, room=self.room)
        if self._identities and stream.properties() != self.source.properties:
            raise ActionFailed("The manifest's encrypted properties are not the database's.")
        if params["verify"] == "head":
            return backup_proof.by_hash(
                stream, proven_by=stored.proven_by, deadline=self.deadline, progress=self.progress
            )
        if params["verify"] == "archive":
            return backup_proof.by_decoding(stream, programs, deadline=self.deadline, progress=self.progress)
        dsn, password = self._proving_server()
        return backup_proof.by_restore(
            stream,
            programs,
            dsn=dsn,
            password=password,
            maintenance=params["maintenance_database"],
            identity=self.release or self.identity,
            compare=params["compare"],
            assertions=params["verify_sql"],
            with_amcheck=params["amcheck"],
            deadline=self.deadline,
            application_name=self.application_name,
            warn=self.warn,
            progress=self.progress,
        )


def _bytes_of(made: manifest.Manifest) -> tuple[int | None, int | None]:
    """Of the database that was backed up, and of the one that proved it, where the manifest has them."""
    found = made.server.get("database_bytes"), made.verified.get("database_bytes")
    return t.cast("tuple[int | None, int | None]", tuple(one if isinstance(one, int) else None for one in found))


def _part(name: str, stored: Stored) -> dict[str, t.Any]:
    """What the manifest says of each thing that lies beside it."""
    return {
        "name": name.rpartition("/")[2],
        "size": stored.size,
        "sha256": stored.sha256,
        "version_id": stored.version_id,
        "server_side_encryption": stored.encryption,
        "lock": None
        if stored.locked_until is None
        else {"mode": stored.lock_mode, "until": utc_text(stored.locked_until)},
    }


@dataclasses.dataclass(frozen=True)
class Taken:
    """The exported snapshot, the server's position in it, when that was (RFC 3339), its timeline, and the sequences of that time."""

    exported: str
    snapshot: str
    lsn: str
    created: str
    timeline: int
    sequences: list[dict[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the dump's own snapshot holds."""

    tables: list[dict[str, t.Any]]
    large_objects: int
    revision: list[str] | None
    schema_sha256: str
    unpublished_schema_sha256: str
    only_superusers_make: list[dict[str, str]]


class Counting:
    """Rows, contents and schema of the exported snapshot, taken beside the dump in a session of its own."""

    def __init__(self, backup: Backup, programs: pg_programs.Programs, exported: str) -> None:
        self._backup = backup
        self._programs = programs
        self._exported = exported
        self._future: concurrent.futures.Future[Seen] = concurrent.futures.Future()
        self._connection: psycopg.Connection[t.Any] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        backup = self._backup
        self._connection = postgres.connect(
            backup.params["dsn"],
            password=backup.params["password"],
            deadline=backup.deadline,
            application_name=backup.application_name,
            dbname=backup.source.database,
            settings=database_facts.PINNED,
        )
        Cluster(self._connection, deadline=backup.deadline).stay_connected()
        self._thread = threading.Thread(target=self._count, name="opsready-count", daemon=True)
        self._thread.start()

    def _count(self) -> None:
        try:
            self._future.set_result(self._counted(t.cast("psycopg.Connection[t.Any]", self._connection)))
        except BaseException as problem:
            self._future.set_exception(problem)

    def _counted(self, connection: psycopg.Connection[t.Any]) -> Seen:
        deadline = self._backup.deadline
        sql = require("psycopg").sql
        with postgres.translated("Sharing the snapshot", deadline=deadline):
            connection.execute("begin isolation level repeatable read read only")
            connection.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(self._exported)))
        # The child dies with the thread that started it: this one, which waits for its end.
        schema = self._schema_sha256()
        published = postgres.value(
            connection,
            "select exists (select from pg_catalog.pg_publication)",
            doing="Looking for publications",
            deadline=deadline,
        )
        unpublished = self._schema_sha256(publications=False) if published else schema
        return Seen(
            tables=database_facts.contents(
                connection,
                compare=self._backup.params["compare"],
                deadline=deadline,
                progress=self._backup.progress.tables,
            ),
            large_objects=database_facts.large_objects(connection, deadline=deadline),
            revision=database_facts.revisions(
                connection, self._backup.params["revision_table"], schema=None, deadline=deadline
            ),
            schema_sha256=schema,
            unpublished_schema_sha256=unpublished,
            only_superusers_make=only_superusers.found(connection, deadline=deadline),
        )

    def _schema_sha256(self, *, publications: bool = True) -> str:
        return pg_programs.schema_sha256(
            self._programs,
            self._backup.params["dsn"],
            self._backup.params["password"],
            dbname=self._backup.source.database,
            deadline=self._backup.deadline,
            snapshot=self._exported,
            publications=publications,
            application_name=self._backup.application_name,
        )

    def raise_problem(self) -> None:
        """What the count met, as soon as it is known: no need to wait for the dump."""
        if self._future.done() and self._future.exception() is not None:
            self._future.result()

    def result(self) -> Seen:
        try:
            return self._future.result(self._backup.deadline.require("Counting the snapshot's rows"))
        except concurrent.futures.TimeoutError:
            raise ActionFailed(f"Counting the snapshot's rows did not end within {self._backup.deadline.seconds:g} s.")

    def stop(self) -> None:
        if self._connection is None:
            return
        if self._thread is not None and self._thread.is_alive():
            postgres.cancel(self._connection)
            self._thread.join(10)
        self._connection.close()
