# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups lie: opened once, and whether an archive there is what its manifest says."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    Destination,
    destination,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients import s3
from ansible_collections.opsready.golive.plugins.module_utils._core.run import Run


@contextlib.contextmanager
def opened(place: t.Mapping[str, t.Any], run: Run) -> t.Iterator[Destination]:
    session = run.once("s3 session", s3.Session) if place["destination"].startswith("s3://") else None
    found = destination(place["destination"], place["s3"], deadline=run.deadline, session=session)
    with contextlib.closing(found):
        yield found


def unlike(place: Destination, name: str, made: manifest.Manifest, *, is_copy: bool) -> str:
    """Why the archive is not what its manifest says, by what is told of it; nothing when it may be.

    A copy has versions of its own, which its manifest cannot know.
    """
    beside, roles = manifest.roles_beside(name, made), made.archive.get("roles") or {}
    try:
        if (
            beside is not None
            and place.held(beside, None if is_copy else roles.get("version_id")).size != roles["size"]
        ):
            return "has other roles beside it than its manifest says"
    except s3.Absent:
        return "has lost the roles beside it"
    for part, said in manifest.files_beside(name, made):
        what = "" if made.format == "custom" else f"has a file {said['name']} that "
        try:
            held = place.held(part, None if is_copy else said.get("version_id"))
        except s3.Absent:
            return f"{what}is missing"
        if held.size != said["size"]:
            return f"{what}has {held.size} bytes, and its manifest says {said['size']}"
        if held.crc32 is not None and said.get("crc32") not in (None, held.crc32):
            return f"{what}has another CRC32 than its manifest says"
    return ""
