# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a release changes: copied with their digest, owner and mode, and put back exactly so.

Whoever writes through a link changes the file it leads to, so a link is kept with that file.
Copies may hold secrets (an environment file does), so they lie in a private folder and are never shown.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.artefacts import (
    file_sha256,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Refused
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import sync_folder, write_whole

#: A configuration file is small; more than this is no configuration.
MOST_BYTES = 64 * 1024 * 1024


def described(path: str) -> dict[str, t.Any]:
    """What lies at a path: kind ``absent``, ``link`` or ``file``, and what is needed to tell or make it again. Raises BadInput."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return {"path": path, "kind": "absent"}
    except OSError as problem:
        raise BadInput(f"{path} cannot be read: {problem.strerror}.")
    if stat.S_ISLNK(seen.st_mode):
        return {"path": path, "kind": "link", "target": os.readlink(path)}
    if not stat.S_ISREG(seen.st_mode):
        raise BadInput(f"{path} is neither a file nor a link: list single files.")
    if seen.st_size > MOST_BYTES:
        raise BadInput(f"{path} has {seen.st_size} bytes, more than the {MOST_BYTES} that are kept.")
    try:
        digest = file_sha256(path)
    except OSError as problem:
        raise BadInput(f"{path} cannot be read: {problem.strerror}.")
    return {
        "path": path,
        "kind": "file",
        "sha256": digest,
        "size": seen.st_size,
        "mode": f"{stat.S_IMODE(seen.st_mode):04o}",
        "uid": seen.st_uid,
        "gid": seen.st_gid,
    }


def followed(paths: t.Sequence[str]) -> list[dict[str, t.Any]]:
    """What lies at each path, then what the links among them lead to, hop by hop, each once. Raises BadInput.

    What was not listed says in ``through`` which listed link led there.
    """
    for path in paths:
        if not os.path.isabs(path):
            raise BadInput(f"files: {path!r} is not an absolute path.")
    entries = [described(path) for path in paths]
    known = set(paths)
    for listed in entries[:]:
        _refuse_circle(listed["path"])
        hop = listed
        while hop["kind"] == "link":
            path = _led_to(hop)
            if path in known:
                break
            known.add(path)
            try:
                hop = {**described(path), "through": listed["path"]}
            except BadInput as problem:
                raise BadInput(f"{listed['path']} leads to what cannot be kept: {problem.message}")
            entries.append(hop)
    return entries


def _led_to(link: t.Mapping[str, t.Any]) -> str:
    """The path that a link names, without links in its folders: ``..`` leaves the folder that a link led into."""
    head, tail = os.path.split(os.path.join(os.path.dirname(str(link["path"])), str(link["target"])))
    return os.path.join(os.path.realpath(head), tail)


def _refuse_circle(path: str) -> None:
    try:
        os.stat(path)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise BadInput(f"{path} is a link that leads round in a circle.")


def listed_paths(kept: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """The paths that ``keep`` was given."""
    return [entry["path"] for entry in kept if "through" not in entry]


def keep(paths: t.Sequence[str], folder: str) -> list[dict[str, t.Any]]:
    """Copy each file into the folder, which is made private; returns the descriptions, each with its copy's name."""
    kept: list[dict[str, t.Any]] = []
    for index, entry in enumerate(followed(paths)):
        path = entry["path"]
        if entry["kind"] == "file":
            entry["copy"] = f"{index:03d}"
            copy = os.path.join(folder, entry["copy"])
            with open(path, "rb") as source:
                write_whole(copy, source.read(), mode=0o600)
            if file_sha256(copy) != entry["sha256"]:
                raise ActionFailed(f"{path} changed while it was copied; take the snapshot again.")
        kept.append(entry)
    return kept


def require_copies(kept: t.Sequence[t.Mapping[str, t.Any]], folder: str) -> None:
    """Raises Refused where a copy is gone or is not what was copied."""
    for entry in kept:
        if entry["kind"] != "file":
            continue
        copy = os.path.join(folder, entry["copy"])
        if not os.path.isfile(copy) or file_sha256(copy) != entry["sha256"]:
            raise Refused(f"The snapshot's copy of {entry['path']} is gone or was altered: {copy}.")


def same(entry: t.Mapping[str, t.Any], now: t.Mapping[str, t.Any]) -> bool:
    """Whether a path holds what was kept."""
    compared = ("kind", "sha256", "mode", "uid", "gid", "target")
    return all(entry.get(name) == now.get(name) for name in compared)


def shown(entry: t.Mapping[str, t.Any]) -> str:
    """A description in one line, for a diff: never the content."""
    if entry["kind"] == "file":
        return f"sha256 {entry['sha256'][:12]}…, mode {entry['mode']}, owner {entry['uid']}:{entry['gid']}"
    return f"link to {entry['target']}" if entry["kind"] == "link" else "absent"


def put_back(entry: t.Mapping[str, t.Any], folder: str) -> None:
    """Make one path what it was. Raises ActionFailed when it is not so afterwards."""
    path = entry["path"]
    parent = os.path.dirname(path)
    if entry["kind"] == "absent":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
            sync_folder(parent)
    else:
        os.makedirs(parent, exist_ok=True)
        if entry["kind"] == "link":
            temporary = os.path.join(parent, f".{os.path.basename(path)}.{os.getpid()}")
            os.symlink(entry["target"], temporary)
            os.replace(temporary, path)
            sync_folder(parent)
        else:
            with open(os.path.join(folder, entry["copy"]), "rb") as source:
                content = source.read()
            write_whole(path, content, mode=int(entry["mode"], 8), owner=(entry["uid"], entry["gid"]))
    if not same(entry, described(path)):
        raise ActionFailed(f"{path} is not as it was in the snapshot after it was put back.")
