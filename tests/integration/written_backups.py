# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups with a history, written by the collection's own manifest writer: what takes pg_backup weeks to make."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    Destination,
    Digest,
    destination,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline, parse_utc, utc_text

Options = t.Mapping[str, t.Any]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


class Backups:
    """The backups of one database at one place."""

    def __init__(self, url: str, s3: Options | None = None, *, database: str = "archive") -> None:
        self.url = url
        self.s3 = s3
        self.database = database
        self.place: Destination = destination(url, s3, deadline=Deadline(120))

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        """Of check_backup."""
        place = {"destination": self.url, "database": self.database, **({"s3": dict(self.s3)} if self.s3 else {})}
        return {**place, "max_age": "26h", "enforce": False, "timeout": 60, **more}

    def write(
        self,
        age: datetime.timedelta,
        content: bytes = b"PGDMP" * 2000,
        *,
        recipients: t.Sequence[str] | None = None,
        **changes: t.Any,
    ) -> str:
        """A backup of that age; returns its manifest's name. ``changes`` are fields of the manifest.

        With ``recipients`` its manifest says that it is encrypted to them, whatever the content is.
        """
        created = datetime.datetime.now(datetime.timezone.utc) - age
        archive = manifest.archive_name(
            self.database, created, secrets.token_hex(4), is_encrypted=recipients is not None
        )
        name = manifest.manifest_name(archive)
        digest = Digest()
        digest.update(content)
        stored = digest.stored()
        self.place.put(archive, content)
        values: dict[str, t.Any] = {
            "name": name.rpartition("/")[2],
            "database": self.database,
            "created": utc_text(created),
            "finished": utc_text(created),
            "server": {"version_num": 180006, "system_identifier": None, "database_bytes": None},
            "snapshot": "773:775:773,774",
            "lsn": "0/2515440",
            "archive": {
                "name": archive.rpartition("/")[2],
                **{key: getattr(stored, key) for key in ("size", "sha256", "crc32")},
                "encryption": recipients and {"format": "age", "recipients": list(recipients), "sealed": ""},
            },
            "tables": [{"schema": "public", "name": "t", "rows": 2, "content": "7"}],
            "large_objects": 0,
            "sequences": [],
            "revision": ["0002"],
            "properties": {
                "owner": "owner",
                "connection_limit": -1,
                "grants": None,
                **({} if recipients else {"settings": [], "comment": None}),
            },
            "schema_sha256": "1" * 64,
            "verified": {"level": "restore", "ok": True, "seconds": 3.0, "restore_seconds": 2.0},
            "release": None,
            "programs": {"version": "18.6"},
            "seconds": {"dump": 1.0},
        }  # fmt: skip
        self.place.put(name, manifest.Manifest(**{**values, **changes}).body())
        return name

    def nightly(self, nights: int, *, first: datetime.timedelta = 3 * HOUR) -> list[str]:
        """One each night; the newest, which is ``first`` old, is the last of the list."""
        return [self.write(first + night * DAY) for night in reversed(range(nights))]

    def older(self, name: str, by: datetime.timedelta) -> str:
        """A backup that was made, as if it had been made so much earlier: its own archive and proof."""
        made = manifest.load(self.place, name)
        content = b"".join(self.place.chunks(manifest.archive_beside(name, made)))
        kept = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
        for changed in ("name", "created", "finished", "archive"):
            del kept[changed]
        age = datetime.datetime.now(datetime.timezone.utc) - parse_utc(made.created) + by
        return self.write(age, content, **kept)

    def archive_of(self, name: str) -> str:
        return name.removesuffix(".manifest.json")

    def replace(self, name: str, body: bytes) -> None:
        """What lies under a name becomes something else, as a clean-up or a broken disk does it."""
        self.place.remove(name)
        self.place.put(name, body)

    def copy_to(self, other: Backups, *names: str) -> None:
        """As rclone copies: the same bytes under the same names."""
        for name in names:
            roles = manifest.roles_beside(name, manifest.load(self.place, name))
            for one in filter(None, (self.archive_of(name), roles, name)):
                other.place.put(one, b"".join(self.place.chunks(one)))
