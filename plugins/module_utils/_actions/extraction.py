# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring single tables or schemas out of a backup, into a new database beside the live one, compared with the manifest.

Nothing that is there is written into: whoever wants the rows back copies them from here, and drops it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    age,
    archive_toc,
    backup_proof,
    database_facts,
    pg_programs,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.cleanup import uninterrupted
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import (
    Cluster,
    Database,
    derived_name,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.manifest import Manifest
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, Stopwatch, parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.command import nameless_file
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import GoliveError, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import SILENT, Progress

if t.TYPE_CHECKING:
    import psycopg

#: How pg_restore takes what it restores: without what would reach another server.
_OPTIONS = ("--no-subscriptions", "--no-publications")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked for: out of which archive, which entries of it, and of which name the new database is."""

    archive: backup_proof.Archive
    url: str
    chosen: archive_toc.Selection
    name: str
    identity: str

    @property
    def manifest(self) -> Manifest:
        return self.archive.manifest

    @property
    def tables(self) -> list[t.Mapping[str, t.Any]]:
        """Of the manifest. A partitioned table has no rows of its own, and is not in it."""
        names = set(self.chosen.tables)
        return [one for one in self.manifest.tables if (one["schema"], one["name"]) in names]

    @property
    def sequences(self) -> list[t.Mapping[str, t.Any]]:
        return [one for one in self.manifest.sequences if (one["schema"], one["name"]) in self.chosen.sequences]

    @property
    def digest(self) -> str:
        return _digest(self.manifest, self.chosen)

    def told(self) -> dict[str, t.Any]:
        """For results: what is in the new database, and where."""
        return {
            "database": self.name,
            "drop_sql": f"DROP DATABASE {postgres.quoted(self.name)};",
            "backup": {**self.manifest.summary(), "manifest": self.url},
            "tables": [
                {
                    "table": database_facts.readable((one["schema"], one["name"])),
                    "schema": one["schema"],
                    "name": one["name"],
                    "rows": one["rows"],
                }
                for one in self.tables
            ],
            "rows": sum(int(one["rows"]) for one in self.tables),
            "without_rows": [database_facts.readable(one) for one in self.chosen.without_rows],
            "brought_along": self.chosen.brought_along,
            "left_out": list(self.chosen.left_out),
        }


def _digest(manifest: Manifest, chosen: archive_toc.Selection) -> str:
    asked = [manifest.archive["sha256"], [one.number for one in chosen.entries], sorted(chosen.tables)]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def wanted(
    archive: backup_proof.Archive,
    url: str,
    *,
    database: str,
    tables: t.Sequence[str],
    schemas: t.Sequence[str],
    identity: str | None,
    target: str | None,
) -> Wanted:
    """Read the archive's table of contents and choose. Raises BadInput for names that it does not have.

    Without an ``identity`` it is made of the backup's time and what is asked for, so that the same call finds what it made.
    """
    if archive.manifest.verified.get("ok") is not True:
        raise Refused(f"{url} was never proven.", remedy="Prove it first with state verified, or use another one.")
    archive.require_readable()
    with age.closing(archive.contents()) as chunks:
        entries = archive_toc.read(chunks)
    chosen = archive_toc.selected(entries, tables=tables, schemas=schemas)
    if identity is None:
        moment = parse_utc(archive.manifest.created).astimezone(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        identity = f"{moment}-{_digest(archive.manifest, chosen)[:6]}"
    return Wanted(archive, url, chosen, target or derived_name(database, "extract", identity), identity)


class Extraction:
    """One call, on the server of ``dsn``."""

    def __init__(
        self,
        cluster: Cluster,
        asked: Wanted,
        *,
        database: str,
        params: t.Mapping[str, t.Any],
        connect: t.Callable[[str], psycopg.Connection[t.Any]],
        deadline: Deadline,
        application_name: str,
        progress: Progress = SILENT,
    ) -> None:
        self.cluster = cluster
        self.asked = asked
        self.database = database
        self.params = params
        self.connect = connect
        self.deadline = deadline
        self.application_name = application_name
        self.progress = progress
        self.watch = Stopwatch(deadline.clock)

    def run(self, *, check_mode: bool) -> dict[str, t.Any]:
        asked = self.asked
        if self._is_there_already():
            text = f"{asked.name} has it already: {self._counted()} out of {asked.url}."
            return {"changed": False, "extracted": asked.told(), "msg": text}
        after = "".join(f"{one['table']}: {one['rows']} rows\n" for one in asked.told()["tables"])
        diff = {"before": "", "after": f"database {asked.name}\n{after}"}
        if check_mode:
            text = f"Would restore {self._counted()} out of {asked.url} into the new database {asked.name}."
            return {"changed": True, "extracted": asked.told(), "diff": diff, "msg": text}
        with self.cluster.exclusive(asked.name, doing="pg_restore extracted"):
            if self._is_there_already():
                raise Refused(f"Another call made {asked.name} meanwhile.", remedy="Call it again: it is found.")
            self._make()
        told = {**asked.told(), "seconds": dict(self.watch.seconds)}
        text = (
            f"{self._counted()} out of {asked.url} are in {asked.name}, equal to the manifest. Copy what you want, then "
            f"{told['drop_sql']}"
        )
        return {"changed": True, "extracted": told, "diff": diff, "msg": text}

    def _counted(self) -> str:
        told = self.asked.told()
        return f"{len(told['tables'])} tables with {told['rows']} rows"

    def _is_there_already(self) -> bool:
        """Raises Refused for a database that is there and is not what this call would make."""
        asked = self.asked
        if asked.name == self.database:
            raise Refused(f"{asked.name} is the live database: nothing is extracted into it.", remedy="Name a new one.")
        found = self.cluster.find(asked.name)
        if found is None or self._is_a_rest(found):
            return False
        if not found.is_ours(("extracted",), asked.identity) or found.mark is None:
            raise Refused(
                f"Database {asked.name} is there, and was not made by this call; it is left alone.",
                remedy="Give another target or restore_id.",
                known={"present": found.told()},
            )
        if found.mark.note.get("digest") != asked.digest:
            raise Refused(
                f"Database {asked.name} holds other tables, or those of another backup; it is left alone.",
                remedy="Give another target or restore_id, or drop it.",
                known={"present": found.told()},
            )
        return True

    def _is_a_rest(self, found: Database) -> bool:
        return found.is_unmarked_of(self.database) or found.is_ours(("extracting",), self.asked.identity)

    def _make(self) -> None:
        asked, cluster = self.asked, self.cluster
        programs = pg_programs.chosen(
            self.params["pg_bindir"], cluster.connection.info.server_version, deadline=self.deadline
        )
        self._drop_rest()
        try:
            made = cluster.create(asked.name, like=asked.manifest.properties, original=self.database)
            cluster.open_marked(made, "extracting", original=self.database, identity=asked.identity)
            self._keep_others_out()
            with self.watch.timed("restore"):
                self._restore(programs)
            with self.watch.timed("compare"):
                comparison = self._compared()
            backup_proof.require_equal(comparison, f"What was restored into {asked.name}")
            note = {"digest": asked.digest, "manifest": asked.url}
            cluster.mark(made, "extracted", original=self.database, identity=asked.identity, note=note)
        except BaseException:
            with uninterrupted(), contextlib.suppress(GoliveError):
                cluster.settle()
                self._drop_rest()
            raise

    def _drop_rest(self) -> None:
        self.cluster.drop_made(self.asked.name, "extracting", original=self.database, identity=self.asked.identity)

    def _keep_others_out(self) -> None:
        """Anybody may connect to a new database, and what is in this one may be nobody's business."""
        sql = require("psycopg").sql
        statement = sql.SQL("revoke all on database {} from public").format(sql.Identifier(self.asked.name))
        self.cluster.rows(statement, None, f"Revoking the rights of all on {self.asked.name}")

    def _restore(self, programs: pg_programs.Programs) -> None:
        asked = self.asked
        keeps_owners = backup_proof.may_keep_owners(self.cluster, asked.manifest)
        with nameless_file(asked.chosen.use_list) as use_list:
            asked.archive.restore(
                programs,
                self.params["dsn"],
                self.params["password"],
                dbname=asked.name,
                deadline=self.deadline,
                options=_OPTIONS if keeps_owners else (*_OPTIONS, *backup_proof.WITHOUT_OWNERS),
                application_name=self.application_name,
                use_list=use_list,
                progress=self.progress,
                tables=len(asked.tables),
            )

    def _compared(self) -> dict[str, t.Any]:
        """The tables asked for, and what belongs to them, with the manifest."""
        asked = self.asked
        names = [(one["schema"], one["name"]) for one in asked.tables]
        with contextlib.closing(self.connect(asked.name)) as connection:
            self.progress.begin("comparison")
            there = set(database_facts.tables(connection, deadline=self.deadline))
            found = database_facts.contents(
                connection,
                compare=self.params["compare"],
                deadline=self.deadline,
                only=[name for name in names if name in there],
                progress=self.progress.tables,
            )
            given = database_facts.sequences(connection, deadline=self.deadline)
            backup_proof.run_assertions(connection, self.params["verify_sql"], deadline=self.deadline)
        unlike = database_facts.differences(asked.tables, found)
        behind = database_facts.sequences_behind(asked.sequences, given)
        return {
            "equal": not unlike and not behind,
            "differences": unlike,
            "sequences_behind": behind,
            "large_objects": {"expected": 0, "found": 0},
        }
