# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup: restore it into a scratch database and compare, or decode it in full and count, or hash it.

What is compared with was taken in the dump's own snapshot, so any difference is the backup's.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import secrets
import subprocess
import threading
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    age,
    amcheck,
    database_facts,
    only_superusers,
    pg_programs,
    remains,
    restore_fault,
    work_directory,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.archive_rows import RowCounter
from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    Cluster,
    Database,
    cluster_of,
    derived_name,
    maintenance_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    Destination,
    Digest,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.manifest import (
    CONTENTS,
    Manifest,
    archive_files,
    folder,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.side_by_side import GoOn, side_by_side
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.argspec import Spec
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import clean_environment
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    CommandFailed,
    GoliveError,
    UnexpectedAnswer,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import SILENT, Progress

if t.TYPE_CHECKING:
    import psycopg

#: Restored by somebody who is not a superuser, or on another server: owners, grants and the like cannot be set.
WITHOUT_OWNERS = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications", "--no-security-labels")

#: One query of a user's own against what was restored.
ASSERTION: Spec = {"query": {"type": "str", "required": True}, "expect": {"type": "str", "required": True}}

#: The name of a file at its place, and what the manifest says of it.
_File = t.Tuple[str, t.Mapping[str, t.Any]]


class Archive:
    """The archive of a manifest, of which every checksum must fit. ``identities`` read one that is encrypted.

    One of the custom format is a stream for one job of pg_restore. More jobs, and a directory, need files of this host: those of
    the place itself where it has them, else a copy in the ``room``.
    """

    def __init__(
        self,
        place: Destination,
        folder: str,
        manifest: Manifest,
        *,
        identities: age.Identities = (),
        room: work_directory.Room | None = None,
    ) -> None:
        self.place = place
        self._below = f"{folder}/" if folder else ""
        self.name = f"{self._below}{manifest.archive['name']}"
        self.manifest = manifest
        self.identities = identities
        self.room = room or work_directory.Room()
        #: What each file that was read has been.
        self.digests: dict[str, Digest] = {}

    @property
    def files(self) -> list[_File]:
        """By their names at the place, with what the manifest says of each."""
        return [(f"{self._below}{name}", said) for name, said in archive_files(self.manifest)]

    @property
    def is_directory(self) -> bool:
        return self.manifest.format == "directory"

    @property
    def own_path(self) -> str | None:
        """Where pg_restore finds it without a copy."""
        return None if self.manifest.recipients is not None else self.place.path_of(self.name)

    def require_readable(self) -> None:
        """Raise BadInput or Denied, naming who can read it, where it is encrypted and no identity here does; and for lack of room."""
        if self.manifest.recipients is not None:
            age.require_reader(self.manifest.recipients, self.identities, what=self.place.url(self.name))
        if (self.is_directory or self.room.jobs > 1) and self.own_path is None:
            self._require_room()

    def _require_room(self) -> None:
        url, size = self.place.url(self.name), int(self.manifest.archive["size"])
        if self.is_directory:
            self.room.require(size, what=f"pg_restore reads a directory as files, and the copy of {url}", instead="")
        else:
            what = f"pg_restore with {self.room.jobs} jobs reads a file, and the copy of {url}"
            self.room.require(size, what=what, instead=", or leave jobs out")

    def properties(self) -> dict[str, t.Any]:
        """What belongs to the database and not to its tables."""
        return self.manifest.whole_properties(self.identities)

    def contents(self) -> age.Stream:
        """Of the file that begins with the table of contents, as ``chunks``."""
        heads = (CONTENTS, CONTENTS + age.SUFFIX)
        first = next((one for one in self.files if one[0].rpartition("/")[2] in heads), self.files[0])
        return self.chunks(*first)

    def begin(self, progress: Progress, phase: str) -> None:
        """Tell how much of what is stored was read, from now on."""
        self.digests.clear()
        progress.begin(
            phase,
            size=lambda: sum(digest.size for digest in list(self.digests.values())),
            whole=int(self.manifest.archive["size"]),
        )

    def chunks(
        self, name: str | None = None, said: t.Mapping[str, t.Any] | None = None, *, place: Destination | None = None
    ) -> age.Stream:
        """What pg_restore reads of a file, or of the only one: decrypted, where it is encrypted."""
        if name is None or said is None:
            name, said = self.files[0]
        stored = self._stored_chunks(name, said, place)
        if self.manifest.recipients is None:
            return stored
        return age.decrypted(stored, self.identities, what=self.place.url(name))

    def _stored_chunks(self, name: str, said: t.Mapping[str, t.Any], place: Destination | None = None) -> age.Stream:
        digest = self.digests[name] = Digest()
        stored = (place or self.place).chunks(name, said.get("version_id"))
        with age.closing(stored):
            for chunk in stored:
                digest.update(chunk)
                yield chunk

    def stored_chunks(self) -> age.Stream:
        """All that is stored, file by file."""
        for name, said in self.files:
            yield from self._stored_chunks(name, said)

    def require_intact(self) -> None:
        """After the last chunk. Raises ActionFailed."""
        for name, said in self.files:
            self._require_same(name, said)

    def _require_same(self, name: str, said: t.Mapping[str, t.Any]) -> None:
        stored = self.digests.get(name, Digest()).stored()
        if (stored.size, stored.sha256) != (said["size"], said["sha256"]):
            raise ActionFailed(
                f"{self.place.url(name)} is not what was written: {stored.size} bytes with SHA-256 "
                f"{stored.sha256[:12]}…, expected {said['size']} with {str(said['sha256'])[:12]}….",
                remedy="Do not use it; take another backup.",
            )

    @contextlib.contextmanager
    def at_hand(self, *, deadline: Deadline, progress: Progress = SILENT) -> t.Iterator[str]:
        """A path that pg_restore reads with several jobs: all of it was read, and is what was written. Raises ActionFailed."""
        self.begin(progress, "reading")
        own = self.own_path
        if own is not None:
            side_by_side(self.place, self.files, functools.partial(self._read, deadline), jobs=self.room.jobs)
            self.require_intact()
            yield own
            return
        self._require_room()
        with self.room.taken(folder(self.manifest.database)) as path:
            side_by_side(self.place, self.files, functools.partial(self._copy, path, deadline), jobs=self.room.jobs)
            yield path if self.is_directory else os.path.join(path, self._local(self.name))

    def _local(self, name: str) -> str:
        return name.rpartition("/")[2].removesuffix(age.SUFFIX if self.manifest.recipients is not None else "")

    def _read(self, deadline: Deadline, place: Destination, file: _File, go_on: GoOn) -> None:
        for unused in self._stored_chunks(*file, place):
            deadline.require("Reading the archive")
            go_on()

    def _copy(self, path: str, deadline: Deadline, place: Destination, file: _File, go_on: GoOn) -> None:
        name, said = file
        to = os.path.join(path, self._local(name))
        with age.closing(self.chunks(name, said, place=place)) as chunks:
            try:
                for_us = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except OSError as problem:
                raise UnexpectedAnswer(f"Making {to}: {problem.strerror}.")
            with open(for_us, "wb", buffering=0) as copy:
                for chunk in chunks:
                    deadline.require(f"Reading {self.place.url(name)}")
                    go_on()
                    _written(copy, chunk)
        self._require_same(name, said)

    def restore(
        self,
        programs: pg_programs.Programs,
        dsn: str,
        password: str | None,
        *,
        dbname: str,
        deadline: Deadline,
        options: t.Sequence[str] = (),
        application_name: str = "opsready",
        use_list: int | None = None,
        progress: Progress = SILENT,
        tables: int | None = None,
    ) -> None:
        """pg_restore of it into an empty database; ``use_list`` as ``pg_programs.restore_stream`` has it, of so many ``tables``.

        Raises ActionFailed where it is not what was written, Refused for a security label that is not to be set, CommandFailed, TimedOut.
        """
        tables = len(self.manifest.tables) if tables is None else tables
        told = pg_programs.Restoring(progress, tables, jobs=self.room.jobs)
        with database_facts.naming_label_provider(self.place.url(self.name)), contextlib.ExitStack() as stack:
            if self.is_directory or self.room.jobs > 1:
                path = stack.enter_context(self.at_hand(deadline=deadline, progress=progress))
                progress.begin("restore")
                pg_programs.restore_files(
                    programs,
                    path,
                    dsn,
                    password,
                    dbname=dbname,
                    jobs=self.room.jobs,
                    deadline=deadline,
                    options=options,
                    application_name=application_name,
                    use_list=use_list,
                    told=told,
                )
                return
            self.begin(progress, "restore")
            chunks = stack.enter_context(age.closing(self.chunks()))
            pg_programs.restore_stream(
                programs,
                itertools.chain(chunks),  # what feeds pg_restore closes a stream that it was given itself
                dsn,
                password,
                dbname=dbname,
                deadline=deadline,
                options=options,
                application_name=application_name,
                use_list=use_list,
                told=told,
            )
            for unused in chunks:  # pg_restore stops reading when it has all it wants, and the checksum is of the whole
                deadline.require("Reading the archive to its end")
            self.require_intact()


def _written(file: t.IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as problem:
        raise UnexpectedAnswer(
            f"Writing {file.name}: {problem.strerror}.", remedy="Name a directory with more room as work_dir."
        )


def compared(
    connection: psycopg.Connection[t.Any],
    manifest: Manifest,
    *,
    compare: str,
    deadline: Deadline,
    progress: Progress = SILENT,
) -> dict[str, t.Any]:
    """Compare the connection's database with a manifest: ``equal`` and, where not, what differs."""
    progress.begin("comparison")
    found = database_facts.contents(connection, compare=compare, deadline=deadline, progress=progress.tables)
    unlike = database_facts.differences(manifest.tables, found)
    behind = database_facts.sequences_behind(
        manifest.sequences, database_facts.sequences(connection, deadline=deadline)
    )
    objects = database_facts.large_objects(connection, deadline=deadline)
    with_content = compare == "content" and all(table["content"] is not None for table in manifest.tables)
    return {
        "equal": not unlike and not behind and objects == manifest.large_objects,
        "compared": "rows and content" if with_content else "rows",
        "tables": len(found),
        "rows": sum(table["rows"] for table in found),
        "differences": unlike,
        "sequences_behind": behind,
        "large_objects": {"expected": manifest.large_objects, "found": objects},
    }


def described_differences(comparison: t.Mapping[str, t.Any]) -> str:
    """One sentence part with the first differences."""
    parts = [
        f"{one['table']} has {one['found_rows']} rows instead of {one['expected_rows']}"
        if one["differs"] == "rows"
        else f"the content of {one['table']} differs"
        if one["differs"] == "content"
        else f"{one['table']} is {one['differs']}"
        for one in comparison["differences"][:3]
    ]
    if len(comparison["differences"]) > 3:
        parts.append(f"{len(comparison['differences']) - 3} more tables differ")
    parts.extend(f"sequence {name} is behind" for name in comparison["sequences_behind"][:3])
    objects = comparison["large_objects"]
    if objects["expected"] != objects["found"]:
        parts.append(f"{objects['found']} large objects instead of {objects['expected']}")
    if comparison.get("schema_equal") is False:
        parts.append("the schema differs")
    return ", ".join(parts)


def require_equal(comparison: t.Mapping[str, t.Any], what: str) -> None:
    """Raises ActionFailed naming the differences."""
    if not comparison["equal"]:
        raise ActionFailed(
            f"{what} is not what was backed up: {described_differences(comparison)}.",
            remedy="Do not use this backup.",
            known={"comparison": dict(comparison)},
        )


def require_restore(level: str, *, for_option: str) -> None:
    """Raise BadInput for an option that looks at a restored database, where there will be none."""
    if level != "restore":
        raise BadInput(
            f"{for_option} looks at a restored database, and with verify: {level} there is none.",
            remedy=f"Take verify: restore, or leave {for_option} out.",
        )


def require_askable(
    connection: psycopg.Connection[t.Any], assertions: t.Sequence[t.Mapping[str, t.Any]], *, deadline: Deadline
) -> None:
    """Raise BadInput for a query that names what the source does not have; nothing is run. The connection is a pinned one."""
    library = require("psycopg")
    for number, one in enumerate(assertions, 1):
        with postgres.translated(f"Reading verify_sql number {number}", deadline=deadline):
            answer = connection.pgconn.prepare(b"", one["query"].encode("utf-8"))
        if answer.status == library.pq.ExecStatus.FATAL_ERROR:
            why = (
                " ".join((answer.error_message or b"").decode("utf-8", "replace").split())
                .removeprefix("ERROR: ")
                .strip()
            )
            raise BadInput(
                f"verify_sql number {number} cannot be asked: {why}.",
                remedy="Its tables are named with their schemas.",
            )


def run_assertions(
    connection: psycopg.Connection[t.Any], assertions: t.Sequence[t.Mapping[str, t.Any]], *, deadline: Deadline
) -> list[dict[str, t.Any]]:
    """The user's own queries, each in a READ ONLY transaction. Raises ActionFailed for the first that is not met."""
    results = []
    for number, one in enumerate(assertions, 1):
        with postgres.translated(f"verify_sql number {number}", deadline=deadline), connection.transaction():
            connection.execute("set transaction read only")
            row = connection.execute(one["query"]).fetchone()
        found = None if row is None else str(row[0])
        if found != one["expect"]:
            raise ActionFailed(f"verify_sql number {number} gave {found}, expected {one['expect']}.")
        results.append({"query": one["query"], "found": found})
    return results


@contextlib.contextmanager
def scratch_database(
    cluster: Cluster,
    database: str,
    *,
    identity: str,
    properties: t.Mapping[str, t.Any],
    warn: t.Callable[[str], None],
    template: str = "template0",
) -> t.Iterator[Database]:
    """An empty database of ours, or a copy of ``template``, that is gone at the end, whatever happens inside."""
    # The random part lets two verifications of one release run side by side.
    run, identity = identity, f"{identity[:12]}-{secrets.token_hex(4)}"
    name = derived_name(database, "scratch", identity)
    if cluster.find(name) is not None:
        raise BadInput(f"Database {name} exists already.")
    problem: BaseException | None = None
    try:
        for left in _sweep(cluster, database):
            warn(f"A proof that was killed had left the scratch database {left}: it was dropped.")
        # The lock says that we are alive: it ends with our session.
        cluster.rows("select pg_catalog.pg_advisory_lock(%s)", (cluster.lock_key(name),), f"Locking {name}")
        made = cluster.create(name, like=properties, template=template, original=database)
        cluster.open_marked(made, "scratch", original=database, identity=identity, note={"run": run})
        yield made
    except BaseException as ended:
        problem = ended
        raise
    finally:
        with uninterrupted():
            try:
                cluster.settle()
                cluster.drop_made(name, "scratch", original=database, identity=identity)
            except GoliveError as left:
                raise ActionFailed(
                    (f"{problem} " if problem is not None else "")
                    + f"The scratch database {name} may have been left behind: {left}",
                    remedy="Drop it once the server answers.",
                    known={**getattr(problem, "known", {}), "left_behind": [name]},
                )


def _sweep(cluster: Cluster, database: str) -> list[str]:
    """Drop what killed verifications of this database left: scratch databases that are ours and whose maker's session is gone.

    Returns their names.
    """
    found = [one for one in remains.databases(cluster, database, identity=None) if one.kind == "scratch"]
    return [one.name for one in found if remains.drop(cluster, one) is None]


def by_restore(
    archive: Archive,
    programs: pg_programs.Programs,
    *,
    dsn: str,
    password: str | None,
    maintenance: str | None,
    identity: str,
    compare: str,
    assertions: t.Sequence[t.Mapping[str, t.Any]],
    with_amcheck: bool,
    deadline: Deadline,
    application_name: str,
    warn: t.Callable[[str], None],
    progress: Progress = SILENT,
) -> dict[str, t.Any]:
    """Restore into a scratch database on ``dsn``'s server, compare, drop it. Raises ActionFailed on any difference.

    ``with_amcheck``: the caller has asked ``amcheck.require_possible``.

    ``warn`` is told what an earlier proof that was killed had left there. Where pg_restore failed by the backup itself, what is
    raised knows of it as ``backup_fault``.
    """
    manifest = archive.manifest
    clock = deadline.clock
    began = clock.monotonic()
    opened = cluster_of(
        dsn,
        password=password,
        maintenance=maintenance_name(postgres.database_of(dsn), maintenance),
        deadline=deadline,
        application_name=application_name,
    )
    with opened as cluster:
        keeps_owners = may_keep_owners(cluster, manifest)
        require_event_triggers(cluster, manifest.only_superusers_make or (), database=manifest.database)
        server_version = cluster.connection.info.server_version
        options = ("--no-subscriptions", *(() if keeps_owners else WITHOUT_OWNERS))
        scratch = scratch_database(
            cluster, manifest.database, identity=identity, properties=manifest.properties, warn=warn
        )
        with scratch as database:
            connect = functools.partial(
                postgres.connect,
                dsn,
                password=password,
                deadline=deadline,
                application_name=application_name,
                dbname=database.name,
            )
            try:
                archive.restore(
                    programs,
                    dsn,
                    password,
                    dbname=database.name,
                    deadline=deadline,
                    options=options,
                    application_name=application_name,
                    progress=progress,
                )
            except CommandFailed as problem:
                fault = _fault(problem, manifest, programs, connect, server_version=server_version, deadline=deadline)
                if fault is not None:
                    problem.known["backup_fault"] = fault
                raise
            restored = clock.monotonic()
            connection = connect(settings=database_facts.PINNED)
            with contextlib.closing(connection):
                comparison = compared(connection, manifest, compare=compare, deadline=deadline, progress=progress)
                asked = run_assertions(connection, assertions, deadline=deadline) if comparison["equal"] else []
            comparison["schema_equal"] = schema_equal(
                manifest, programs, cluster, dsn, password, database.name, deadline, keeps_owners, warn
            )
            comparison["equal"] = comparison["equal"] and comparison["schema_equal"] is not False
            require_equal(comparison, "What was restored")
            compared_at = clock.monotonic()
            amcheck_seconds = None
            if with_amcheck:  # last, since it makes an extension there
                progress.begin("amcheck")
                amcheck_seconds = amcheck.check(
                    programs,
                    dsn,
                    password,
                    dbname=database.name,
                    jobs=archive.room.jobs,
                    deadline=deadline,
                    application_name=application_name,
                )
            size = cluster.find(database.name)
        ended = clock.monotonic()
    return {
        "level": "restore",
        "ok": True,
        "compared": comparison["compared"],
        "tables": comparison["tables"],
        "rows": comparison["rows"],
        "schema_equal": comparison["schema_equal"],
        "owners": "kept" if keeps_owners else "left out",
        "server_version": server_version,
        "scratch_database": database.name,
        "database_bytes": None if size is None else size.size_bytes,
        "assertions": asked,
        "restore_seconds": round(restored - began, 3),
        "compare_seconds": round(compared_at - restored, 3),
        "amcheck_seconds": amcheck_seconds,
        "seconds": round(ended - began, 3),
    }


def _fault(
    problem: CommandFailed,
    manifest: Manifest,
    programs: pg_programs.Programs,
    connect: t.Callable[..., psycopg.Connection[t.Any]],
    *,
    server_version: int,
    deadline: Deadline,
) -> str | None:
    """Why the backup itself cannot be restored, after pg_restore ended with ``problem``; None where that cannot be told."""
    written_by = manifest.programs.get("version")
    told = restore_fault.of_the_archive(problem.stderr, written_by=written_by, read_by=programs.version[0])
    statement = restore_fault.statement_of(problem.stderr)
    if told is not None or statement is None:
        return told
    state = restore_fault.tried_again(connect, statement, deadline=deadline)
    same_version = server_version // 10000 == int(manifest.server["version_num"]) // 10000
    return None if state is None else restore_fault.of_the_state(state, same_version=same_version)


def may_keep_owners(cluster: Cluster, manifest: Manifest) -> bool:
    """Whether all that was restored can have its owner: as a superuser on the very server that was backed up, where all roles exist."""
    superuser, system = postgres.rows(
        cluster.connection,
        "select rolsuper, (select system_identifier::text from pg_catalog.pg_control_system())"
        " from pg_catalog.pg_roles where rolname = current_user",
        doing="Reading our rights",
        deadline=cluster.deadline,
    )[0]
    return bool(superuser) and system == manifest.server.get("system_identifier")


def require_event_triggers(cluster: Cluster, needed: t.Sequence[t.Mapping[str, t.Any]], *, database: str) -> None:
    """A proof leaves publications out, and event triggers it cannot. Raises Denied where the login may not make them."""
    only_superusers.require_possible(
        cluster,
        needed,
        database=database,
        publications=False,
        remedy="Prove it with a superuser's login, which pg_backup's verify_dsn may name, or by pg_backup with verify: archive.",
    )


def schema_equal(
    manifest: Manifest,
    programs: pg_programs.Programs,
    cluster: Cluster,
    dsn: str,
    password: str | None,
    dbname: str,
    deadline: Deadline,
    with_publications: bool,
    warn: t.Callable[[str], None],
) -> bool | None:
    """None when another version of pg_dump or of the server would write the same schema differently.

    And when publications were left out of the restore, and a manifest of before tells no schema without them.
    """
    same_server = cluster.connection.info.server_version // 10000 == int(manifest.server["version_num"]) // 10000
    if not same_server or manifest.programs.get("version") != programs.version_text:
        return None
    found = pg_programs.schema_sha256(programs, dsn, password, dbname=dbname, deadline=deadline)
    expected = manifest.schema_sha256 if with_publications else manifest.unpublished_schema_sha256
    if expected is not None or found == manifest.schema_sha256:
        return found == (expected or manifest.schema_sha256)
    warn(
        "The schema was not compared: a restore by a login that is no superuser leaves publications out, and a manifest of this "
        "age tells no schema without them. A superuser's login compares it."
    )
    return None


def by_decoding(
    archive: Archive, programs: pg_programs.Programs, *, deadline: Deadline, progress: Progress = SILENT
) -> dict[str, t.Any]:
    """Decode the whole archive and count its rows per table, without a server. Raises ActionFailed, CommandFailed."""
    began = deadline.clock.monotonic()
    counter = RowCounter()
    argv = [programs.pg_restore, "--data-only", "--file=-"]
    problems: list[BaseException] = []
    environment = clean_environment()
    with contextlib.ExitStack() as stack:
        if archive.is_directory:
            argv.append(stack.enter_context(archive.at_hand(deadline=deadline, progress=progress)))
            progress.begin("decoding")
        else:
            archive.begin(progress, "decoding")
        process, said = stack.enter_context(
            pg_programs.running(
                argv,
                environment=environment,
                password=None,
                stdin=subprocess.DEVNULL if archive.is_directory else subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )

        def feed() -> None:
            try:
                pg_programs.feed(process, archive.chunks(), doing="pg_restore", deadline=deadline)
            except BaseException as problem:
                problems.append(problem)

        def watch() -> None:
            if problems:
                raise problems[0]

        feeder = threading.Thread(target=feed, name="opsready-feed", daemon=True)
        if not archive.is_directory:
            feeder.start()
        for chunk in pg_programs.output_chunks(process, doing="pg_restore", deadline=deadline, watch=watch):
            counter.update(chunk)
        if not archive.is_directory:
            feeder.join(deadline.remaining())
        watch()
        pg_programs.ended_well(programs.pg_restore, process, said, deadline=deadline)
    archive.require_intact()
    counts = counter.close()
    found = [
        {"schema": table["schema"], "name": table["name"], "rows": counts[key], "content": None}
        for table in archive.manifest.tables
        for key in [(table["schema"], table["name"])]
        if key in counts
    ]
    unlike = database_facts.differences(archive.manifest.tables, found)
    comparison = {
        "equal": not unlike,
        "differences": unlike,
        "sequences_behind": [],
        "large_objects": {"expected": 0, "found": 0},
    }
    require_equal(comparison, "The archive")
    return {
        "level": "archive",
        "ok": True,
        "compared": "rows",
        "tables": len(found),
        "rows": sum(table["rows"] for table in found),
        "seconds": round(deadline.clock.monotonic() - began, 3),
    }


def by_hash(archive: Archive, *, proven_by: str, deadline: Deadline, progress: Progress = SILENT) -> dict[str, t.Any]:
    """The stored bytes are those that were written: by the server's full checksum, else by reading them all again."""
    began = deadline.clock.monotonic()
    if proven_by == "size":
        archive.begin(progress, "reading back")
        for unused in archive.stored_chunks():
            deadline.require("Reading the archive back")
        archive.require_intact()
        proven_by = "SHA-256, read back"
    return {
        "level": "head",
        "ok": True,
        "compared": proven_by,
        "seconds": round(deadline.clock.monotonic() - began, 3),
    }
