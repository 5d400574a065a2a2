#!/usr/bin/env python3
"""Build one release of the archive as a tarball whose bytes depend on its contents only.

A release is app/ with the overlays of releases/ laid over it; an overlay's release.json names the release below it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embedded import artefact

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
    return {"version": version, **artefact.pack(contents(version), out)}


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
