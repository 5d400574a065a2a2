"""A release as a tarball whose bytes depend on its contents only."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from embedded.layout import Layout, StackError


def pack(contents: Mapping[str, bytes], out: Path) -> dict[str, str]:
    """Write the files by name and return the tarball's path and sha256."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o644, 0
            archive.addfile(member, io.BytesIO(content))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(buffer.getvalue())
    return {"path": str(out.resolve()), "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}


def unpack(tarball: Path, target: Path) -> None:
    """Write the files of a release below `target`. Raises StackError for anything but files that stay there.

    By hand, as Python 3.11.2 of Debian 12 has no extraction filters.
    """
    with tarfile.open(tarball) as archive:
        for member in archive:
            destination = target / member.name
            source = archive.extractfile(member) if member.isreg() else None
            if source is None or not destination.resolve().is_relative_to(target.resolve()):
                raise StackError(f"{tarball} holds {member.name}, which is no file of a release")
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(source.read())


def make_current(layout: Layout, tarball: Path, version: str) -> None:
    """Unpack a release beside the others, and let the link lead to it."""
    unpack(tarball, layout.releases / version)
    layout.current.unlink(missing_ok=True)
    layout.current.symlink_to(Path("releases") / version)
