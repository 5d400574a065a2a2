# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of an application as folders, and a link to the current one: verified, unpacked, switched, never half there.

``tarfile``'s own filters came to Python 3.9 with 3.9.17 only, and they mend names where this refuses them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tarfile
import tempfile
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions.service_managers import Deployed
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused, UnexpectedAnswer
from ansible_collections.opsready.golive.plugins.module_utils._core.whole_file import sync_folder, write_whole

#: Beside the unpacked files: where they came from, and what each of them was.
RECORD = ".artefact.json"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1024 * 1024
#: Services run as another user than the one who unpacks.
_FOLDER_MODE = 0o755
#: Left free on the disk beside what is unpacked.
_SPARE_BYTES = 64 * 1024 * 1024


def checked_version(version: str) -> str:
    """A version that is one name of a folder. Raises BadInput."""
    if not _VERSION.fullmatch(version):
        raise BadInput(f"The version {version!r} cannot be a folder's name: use letters, digits and . _ + -.")
    return version


def checked_sha256(text: str, *, name: str = "artefact.sha256") -> str:
    """A SHA-256 in 64 small hexadecimal digits, from one that may be written ``sha256:…``. Raises BadInput naming ``name``."""
    digits = text.lower().replace("sha256:", "")
    if not _SHA256.fullmatch(digits):
        raise BadInput(f"{name} is not 64 hexadecimal digits.")
    return digits


def _is_cache(name: str) -> bool:
    return name == "__pycache__" or name.endswith(".pyc")


def file_sha256(path: str) -> str:
    """The digest of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        for chunk in iter(lambda: source.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def tree_entries(root: str) -> dict[str, str]:
    """Every file and link below a folder: what it is, by its relative path. Python's caches are left out: running makes them."""
    found: dict[str, str] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_cache(name))
        for name in sorted([*files, *(each for each in folders if os.path.islink(os.path.join(folder, each)))]):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if relative == RECORD or _is_cache(name):
                continue
            kind = os.lstat(path)
            if stat.S_ISLNK(kind.st_mode):
                found[relative] = "link " + os.readlink(path)
            elif stat.S_ISREG(kind.st_mode):
                executable = "x" if kind.st_mode & stat.S_IXUSR else "-"
                found[relative] = f"file {executable} {file_sha256(path)}"
    return found


def digest_of(entries: t.Mapping[str, str]) -> str:
    """One digest of a whole tree."""
    text = json.dumps(sorted(entries.items()), separators=(",", ":"))
    return "tree:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _record_of(folder: str) -> dict[str, t.Any] | None:
    try:
        with open(os.path.join(folder, RECORD), encoding="utf-8") as source:
            record = json.load(source)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("files"), dict) else None


def running_digest(folder: str) -> str:
    """The artefact's digest as recorded when it was unpacked, else the digest of the tree as it lies there."""
    record = _record_of(folder)
    return f"sha256:{record['sha256']}" if record else digest_of(tree_entries(folder))


def altered_files(folder: str) -> list[str] | None:
    """Files that are not as they were unpacked; None where nothing was recorded. New files are no alteration."""
    record = _record_of(folder)
    if record is None:
        return None
    now = tree_entries(folder)
    return sorted(name for name, what in record["files"].items() if now.get(name) != what)


# ---- unpacking


def _checked_member(member: tarfile.TarInfo, strip: int) -> str | None:
    """The member's place below the target, or None for what is stripped away. Raises Refused for what must not be unpacked."""
    name = member.name

    def refuse(why: str) -> t.NoReturn:
        raise Refused(f"The artefact holds {name[:120]!r}, {why}: nothing was unpacked.")

    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        refuse("which leaves its folder")
    parts = parts[strip:]
    if not parts:
        return None
    place = "/".join(parts)
    if place == RECORD:
        refuse("a name that is ours")
    if not (member.isreg() or member.isdir() or member.issym()):
        refuse("which is no file, folder or symbolic link")
    if member.mode & 0o7000 and not member.issym():
        refuse("which has a setuid, setgid or sticky bit")
    if member.issym():
        target = member.linkname
        steps = [step for step in target.split("/") if step not in ("", ".")]
        up = 0
        while up < len(steps) and steps[up] == "..":
            up += 1
        # A .. after a name could climb out through another link, so it may stand at the beginning only.
        if target.startswith("/") or not steps or ".." in steps[up:] or up >= len(parts):
            refuse("a link that points outside")
    return place


def _unpack(source: t.IO[bytes], folder: str, strip: int, deadline: Deadline) -> None:
    """Unpack into an empty folder that is ours alone. Raises Refused, UnexpectedAnswer."""
    try:
        with tarfile.open(fileobj=source, mode="r:*") as archive:
            members = archive.getmembers()
            needed = sum(member.size for member in members)
            free = shutil.disk_usage(folder).free
            if needed + _SPARE_BYTES > free:
                raise Refused(f"The artefact unpacks to {needed} bytes, and {free} are free at {folder}.")
            places = [(member, _checked_member(member, strip)) for member in members]
            for member, place in places:
                if place is None:
                    continue
                deadline.require("Unpacking the artefact")
                path = os.path.join(folder, *place.split("/"))
                _make_parents(folder, place)
                if member.isdir():
                    _make_folder(path)
                elif member.issym():
                    _refuse_taken(path, place)
                    os.symlink(member.linkname, path)
                else:
                    _refuse_taken(path, place)
                    _write_member(archive, member, path)
    except (tarfile.TarError, EOFError, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        raise UnexpectedAnswer(f"The artefact is not a whole tar archive: {type(problem).__name__}.")


def _make_parents(folder: str, place: str) -> None:
    path = folder
    for part in place.split("/")[:-1]:
        path = os.path.join(path, part)
        _make_folder(path)


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, _FOLDER_MODE)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise Refused(f"The artefact puts files below {os.path.basename(path)!r}, which is no folder in it.")


def _refuse_taken(path: str, place: str) -> None:
    if os.path.lexists(path):
        raise Refused(f"The artefact holds {place[:120]!r} twice.")


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    content = t.cast("t.IO[bytes]", archive.extractfile(member))
    mode = 0o755 if member.mode & stat.S_IXUSR else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(content, target, _CHUNK)
        os.fchmod(target.fileno(), mode)
        target.flush()
        os.fsync(target.fileno())


def _another_one(source: str | None, found: str, wanted: str) -> Refused:
    return Refused(
        f"The artefact {source} is not the one that was named: its sha256 is {found[:12]}…, expected {wanted[:12]}….",
        remedy="Copy it again, or correct the digest: nothing was unpacked.",
    )


@contextlib.contextmanager
def unpacked_aside(source: str, sha256: str, *, strip: int, deadline: Deadline) -> t.Iterator[str]:
    """A version's archive, verified and unpacked in a private folder that is gone afterwards: for a look at what will come."""
    wanted = sha256.lower().replace("sha256:", "")
    with tempfile.TemporaryDirectory(prefix="opsready-golive-") as folder:
        try:
            with open(source, "rb") as archive:
                digest = hashlib.sha256()
                for chunk in iter(lambda: archive.read(_CHUNK), b""):
                    digest.update(chunk)
                if digest.hexdigest() != wanted:
                    raise _another_one(source, digest.hexdigest(), wanted)
                archive.seek(0)
                _unpack(archive, folder, strip, deadline)
        except OSError as problem:
            raise BadInput(f"The artefact {source} cannot be read or unpacked to {folder}: {problem.strerror}.")
        yield folder


class Artefact:
    """A version's archive on this host, and the folders it is unpacked to."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self.releases_dir: str = os.path.abspath(options["releases_dir"])
        self.current: str = os.path.abspath(options["current"])
        self.source: str | None = options.get("src")
        self.sha256 = checked_sha256(options["sha256"]) if options.get("sha256") else ""
        self.version: str | None = checked_version(options["version"]) if options.get("version") else None
        self.strip = int(options.get("strip_components") or 0)
        if os.path.lexists(self.current) and not os.path.islink(self.current):
            raise BadInput(f"{self.current} is not a symbolic link, so it cannot be switched to another version.")

    def folder(self, version: str) -> str:
        return os.path.join(self.releases_dir, checked_version(version))

    def is_there(self, version: str) -> bool:
        return os.path.isdir(self.folder(version))

    # -- which version is current

    def link_text(self) -> str | None:
        """The current link as it is written, or None."""
        try:
            return os.readlink(self.current)
        except FileNotFoundError:
            return None

    def current_folder(self) -> str | None:
        text = self.link_text()
        if text is None:
            return None
        return os.path.normpath(os.path.join(os.path.dirname(self.current), text))

    # -- versions, as a ServiceManager is asked for them

    def deployed(self) -> Deployed:
        folder = self.current_folder()
        return Deployed(None, None) if folder is None else Deployed(self.current_version(), running_digest(folder))

    def selected_at(self) -> float | None:
        return self.switched_at()

    def snapshot(self) -> dict[str, t.Any]:
        return {"current": self.current, "link": self.link_text()}

    def require_available(self, version: str) -> str:
        return self.require_intact(version)

    def select(self, version: str) -> None:
        self.require_intact(version)
        self.point(self.text_for(version))

    def require_restorable(self, kept: t.Mapping[str, t.Any]) -> None:
        if kept.get("current") != self.current:
            raise Refused(f"The snapshot is of {kept.get('current') or 'no artefact'}, not of {self.current}.")
        folder = None if kept["link"] is None else os.path.join(os.path.dirname(self.current), kept["link"])
        if folder is not None and not os.path.isdir(folder):
            raise Refused(
                f"The previous version is not there: {self.current} led to {folder}.",
                remedy="Unpack it there again: nothing was changed.",
            )

    def restore(self, kept: t.Mapping[str, t.Any]) -> None:
        self.require_restorable(kept)
        if kept["link"] == self.link_text():
            return
        if kept["link"] is None:
            self.remove_link()
        else:
            self.point(kept["link"])

    # -- the link

    def current_version(self) -> str | None:
        folder = self.current_folder()
        return os.path.basename(folder) if folder else None

    def switched_at(self) -> float | None:
        """When the link was made, seconds since 1970."""
        return os.lstat(self.current).st_mtime if os.path.islink(self.current) else None

    def point(self, text: str) -> None:
        """Make the current link say ``text``, in one step."""
        parent = os.path.dirname(self.current)
        temporary = os.path.join(parent, f".{os.path.basename(self.current)}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(text, temporary)
        os.replace(temporary, self.current)
        sync_folder(parent)

    def remove_link(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.current)
        sync_folder(os.path.dirname(self.current))

    def text_for(self, version: str) -> str:
        """What the link says for a version: relative where it was relative before."""
        before = self.link_text()
        folder = self.folder(version)
        if before is not None and not os.path.isabs(before):
            return os.path.relpath(folder, os.path.dirname(self.current))
        return folder

    def require_intact(self, version: str) -> str:
        """The digest of a version that is there and as it was unpacked. Raises Refused."""
        folder = self.folder(version)
        if not os.path.isdir(folder):
            raise Refused(f"Version {version} is not at {folder}.", remedy="Pull it first: state pulled.")
        altered = altered_files(folder)
        if altered:
            raise Refused(
                f"{len(altered)} files of version {version} are not as they were unpacked: {', '.join(altered[:5])}.",
                remedy=f"Move {folder} away and pull the version again.",
            )
        digest = running_digest(folder)
        if self.sha256 and version == self.version and altered is not None and digest != f"sha256:{self.sha256}":
            raise Refused(f"Version {version} at {folder} was unpacked from another artefact ({digest}).")
        return digest

    # -- making a version available

    def pull(self, *, check_mode: bool, deadline: Deadline) -> dict[str, t.Any]:
        """Verify the archive and unpack it beside the other versions. Nothing is switched; older versions stay."""
        if not (self.source and self.sha256 and self.version):
            raise BadInput("To pull an artefact its src, sha256 and version are needed.")
        began = deadline.clock.monotonic()
        told: dict[str, t.Any] = {"version": self.version, "digest": f"sha256:{self.sha256}"}
        if self.is_there(self.version):
            if altered_files(self.folder(self.version)) is None:
                raise Refused(
                    f"{self.folder(self.version)} is there, but was not unpacked by this module, so it cannot be verified.",
                    remedy="Move it away, or choose another version.",
                )
            self.require_intact(self.version)
            return {**told, "changed": False, "bytes": 0, "seconds": 0.0}
        if not os.access(self.source, os.R_OK) or not os.path.isfile(self.source):
            raise BadInput(f"The artefact {self.source} is no file that can be read on {os.uname().nodename}.")
        with open(self.source, "rb") as source:
            size = self._verify(source, deadline)
            if not check_mode:
                self._unpack_beside(source, deadline)
        seconds = round(deadline.clock.monotonic() - began, 3)
        return {**told, "changed": True, "bytes": size, "seconds": seconds}

    def _verify(self, source: t.IO[bytes], deadline: Deadline) -> int:
        digest = hashlib.sha256()
        size = 0
        for chunk in iter(lambda: source.read(_CHUNK), b""):
            deadline.require(f"Reading {self.source}")
            digest.update(chunk)
            size += len(chunk)
        if digest.hexdigest() != self.sha256:
            raise _another_one(self.source, digest.hexdigest(), self.sha256)
        source.seek(0)
        return size

    def _unpack_beside(self, source: t.IO[bytes], deadline: Deadline) -> None:
        version = t.cast(str, self.version)
        os.makedirs(self.releases_dir, mode=_FOLDER_MODE, exist_ok=True)
        prefix = f".unpacking-{version}-"
        lock = os.open(self.releases_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"Another pull is at work in {self.releases_dir}.")
            for name in os.listdir(self.releases_dir):
                if name.startswith(prefix):  # left by a pull that was killed; the lock says that nobody works on it
                    shutil.rmtree(os.path.join(self.releases_dir, name))
            folder = tempfile.mkdtemp(prefix=prefix, dir=self.releases_dir)
            try:
                _unpack(source, folder, self.strip, deadline)
                record = {"version": version, "sha256": self.sha256, "files": tree_entries(folder)}
                if not record["files"]:
                    raise Refused(f"The artefact {self.source} holds no files.")
                write_whole(os.path.join(folder, RECORD), json.dumps(record, sort_keys=True).encode(), mode=0o644)
                os.chmod(folder, _FOLDER_MODE)
                for below, _folders, _files in os.walk(folder):
                    sync_folder(below)
                os.rename(folder, self.folder(version))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            sync_folder(self.releases_dir)
        finally:
            os.close(lock)
