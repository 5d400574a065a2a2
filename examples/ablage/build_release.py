#!/usr/bin/env python3
"""Build one release of the archive as a tarball whose bytes depend on its contents only.

A release is app/ with the overlays of releases/ laid over it; an overlay's release.json names the release below it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE_VERSION = "1.0.0"


class ReleaseError(RuntimeError):
    """The version is not known, or its parts contradict each other."""


def versions() -> list[str]:
    return [BASE_VERSION, *sorted(path.parent.name for path in (HERE / "releases").glob("*/release.json"))]


def layers(version: str) -> list[Path]:
    """Folders from the bottom up. Raises ReleaseError for an unknown version."""
    if version == BASE_VERSION:
        return [HERE / "app"]
    folder = HERE / "releases" / version
    try:
        below = json.loads((folder / "release.json").read_text(encoding="utf-8"))["on_top_of"]
    except FileNotFoundError:
        raise ReleaseError(f"no release {version}; there are {', '.join(versions())}") from None
    return [*layers(below), folder]


def contents(version: str) -> dict[str, bytes]:
    """Path inside the release to bytes; a higher layer replaces a file of a lower one."""
    found: dict[str, bytes] = {}
    for layer in layers(version):
        for path in sorted(layer.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.name != "release.json":
                found[path.relative_to(layer).as_posix()] = path.read_bytes()
    stated = re.search(r'^VERSION = "(.+)"$', found["ablage/version.py"].decode(), re.MULTILINE)
    if stated is None or stated.group(1) != version:
        raise ReleaseError(f"ablage/version.py of release {version} does not say so")
    return found


def build(version: str, out: Path) -> dict[str, str]:
    """Write the tarball and return its version, sha256 and path."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(contents(version).items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o644, 0
            archive.addfile(member, io.BytesIO(content))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(buffer.getvalue())
    return {"version": version, "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), "path": str(out.resolve())}


def unpack(tarball: Path, target: Path) -> None:
    """Write the files of a release below `target`. Raises ReleaseError for anything but files that stay there.

    By hand, as Python 3.11.2 of Debian 12 has no extraction filters.
    """
    with tarfile.open(tarball) as archive:
        for member in archive:
            destination = target / member.name
            source = archive.extractfile(member) if member.isreg() else None
            if source is None or not destination.resolve().is_relative_to(target.resolve()):
                raise ReleaseError(f"{tarball} holds {member.name}, which is no file of a release")
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(source.read())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", metavar="VERSION")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.tar.gz")
    arguments = parser.parse_args()
    try:
        print(json.dumps(build(arguments.version, arguments.out)))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
