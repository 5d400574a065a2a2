# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of backups, in plain types, and which of them count."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import CLOCKS_DIFFER

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Stored:
    """A file of an archive, as its manifest has it."""

    name: str
    version_id: str | None
    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Backup:
    """One backup as its manifest, ``name``, has it. ``problem``: why its archive is not what was written, or nothing."""

    name: str
    archive: str
    url: str
    created: datetime.datetime
    size_bytes: int
    sha256: str
    level: str
    is_proven: bool
    proven_at: str | None
    restore_seconds: float | None
    tables: int
    rows: int
    problem: str = ""
    #: The SQL beside the archive, and whom both are encrypted to by their manifest.
    roles: str | None = None
    recipients: tuple[str, ...] | None = None
    #: What the archive is stored as: names and versions, one unless it is a directory, and its size and digest.
    files: tuple[Stored, ...] = ()


@dataclasses.dataclass(frozen=True)
class Newest:
    """What was asked of the newest backup's archive alone. A lock is that of archive and manifest, whichever is less."""

    encryption: str | None = None
    not_encrypted: str = ""
    #: What of archive and roles does not begin as what age encrypts; None where it was not looked at.
    not_age: tuple[str, ...] | None = None
    lock: str | None = None
    locked_until: datetime.datetime | None = None
    not_locked: str = ""
    #: Why what was read is not what was written; None where it was not read.
    reread: str | None = None


@dataclasses.dataclass(frozen=True)
class Copy:
    """The newest backup that lies elsewhere too, or why none is known."""

    is_elsewhere: bool | None
    name: str | None = None
    created: datetime.datetime | None = None
    others: tuple[str, ...] = ()
    absent: str = ""
    problem: str = ""
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Kept:
    """A database that a release or a restore kept, and since when."""

    name: str
    kind: str
    size_bytes: int | None
    since: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Proof:
    """A backup was restored as a proof: when, and how that ended. Without a ``record`` its manifest says so."""

    manifest: str
    sha256: str
    created: datetime.datetime
    at: datetime.datetime
    is_good: bool
    restore_seconds: float | None
    problem: str = ""
    record: str | None = None
    where: t.Mapping[str, t.Any] | None = None
    verified: t.Mapping[str, t.Any] | None = None
    revision: t.Sequence[str] | None = None


@dataclasses.dataclass(frozen=True)
class Records:
    """What was left of restores since the backups were made; ``damaged``: records that are none, and why."""

    proofs: tuple[Proof, ...] = ()
    damaged: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What runs the backups: its lines, and what is left out of reading it, with why. ``absent``: why nothing runs them.

    ``made`` is when the newest backup was, ``due`` the first run after it, and ``coming`` the first few from now on;
    ``longest_seconds`` the longest time between two that come, None where there are no two.
    """

    lines: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    absent: str = ""
    unreadable: str = ""
    remedy: str = ""
    made: datetime.datetime | None = None
    due: datetime.datetime | None = None
    coming: tuple[datetime.datetime, ...] = ()
    longest_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class File:
    """A file that somebody else copied, and when it was last written."""

    name: str
    size_bytes: int
    at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Files:
    """The newest files of those that match, oldest first; of the newest its beginning, and when its data was saved where it tells.

    ``matching``: how many match.
    """

    files: tuple[File, ...] = ()
    beginning: str = ""
    saved_at: datetime.datetime | None = None
    matching: int = 0


@dataclasses.dataclass(frozen=True)
class Image:
    """An image of a release at the place of its copy: what it consists of there, what of that is missing or another.

    ``is_listed``: only a list beside an archive names it. ``problem``: why it could not be looked at, or not to the end.
    """

    reference: str
    where: str = ""
    manifests: int = 0
    blobs: int = 0
    size_bytes: int = 0
    faults: tuple[str, ...] = ()
    problem: str = ""
    remedy: str = ""
    is_absent: bool = False
    is_listed: bool = False

    @property
    def is_whole(self) -> bool:
        return not (self.faults or self.problem or self.is_absent)


@dataclasses.dataclass(frozen=True)
class Images:
    """A release's images in a registry, or in archives, newest first; ``unreadable``: those that could not be looked into, and why.

    ``own_registry``: the host that the images are pulled from, where it is the registry itself.
    """

    images: tuple[Image, ...] = ()
    registry: str = ""
    own_registry: str = ""
    archives: tuple[File, ...] = ()
    unreadable: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was seen. ``absent``: why there is no such place; ``unreadable``: manifests that are none, and why."""

    now: datetime.datetime
    absent: str = ""
    backups: tuple[Backup, ...] = ()
    unreadable: tuple[str, ...] = ()
    newest: Newest = Newest()
    records: Records = Records()
    schedule: Schedule | None = None
    files: Files = Files()
    images: Images = Images()
    copies: tuple[Copy, ...] = ()
    kept: tuple[Kept, ...] = ()
    kept_problem: str = ""
    kept_remedy: str = ""


def newest_of(facts: Facts, level: str) -> Backup | None:
    """The newest that counts, and is proven at least as well as asked."""
    return next(reversed(proven_by(facts, level)), None)


def proven_by(facts: Facts, level: str) -> list[Backup]:
    """Those that count, and are proven at least as well as asked; oldest first. One whose last restore failed is not proven by any."""
    enough = manifest.LEVELS[manifest.LEVELS.index(level) :]
    return [one for one in unfailed(facts, level) if one.level in enough]


def unfailed(facts: Facts, level: str) -> list[Backup]:
    """Those that count, oldest first; where they are to be restored, without those whose last restore failed."""
    failed = {name for name, one in last_records(facts).items() if level == "restore" and not one.is_good}
    return [one for one in counted(facts.backups, facts.now) if one.name not in failed]


def last_records(facts: Facts) -> dict[str, Proof]:
    """The last record of each backup that has one, by the backup's name; none of another archive, and none of the future."""
    latest = facts.now + datetime.timedelta(seconds=CLOCKS_DIFFER)
    archives = {one.name: one.sha256 for one in facts.backups}
    of_them = (one for one in facts.records.proofs if archives.get(one.manifest) == one.sha256 and one.at <= latest)
    return {one.manifest: one for one in sorted(of_them, key=lambda one: (one.at, one.record or ""))}


def counted(backups: t.Iterable[Backup], now: datetime.datetime) -> list[Backup]:
    """Those that are proven, whole by what their place tells, and not of the future; oldest first."""
    latest = now + datetime.timedelta(seconds=CLOCKS_DIFFER)
    good = (one for one in backups if one.is_proven and not one.problem and one.created <= latest)
    return sorted(good, key=lambda one: (one.created, one.name))


def first_of(texts: t.Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
