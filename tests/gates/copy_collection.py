# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the collection's sources to where ansible's tools accept them: ``<target>/ansible_collections/opsready/golive``.

    python tests/gates/copy_collection.py build/gate

Tools of ansible refuse a plain clone, and follow links out of it. The copy holds what git tracks or would track; files
that did not change are left alone, files that are gone are removed; what ansible-test keeps in ``tests/output`` stays.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def sources(root: Path) -> list[Path]:
    """Tracked and new files of the work tree, relative to it; without git, all but build/ and caches."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name]
    else:
        skipped = {"build", ".git", "__pycache__"}
        found = (path.relative_to(root) for path in root.rglob("*"))
        names = [path for path in found if not skipped & set(path.parts)]
    return sorted({name for name in names if (root / name).is_file()})


def copy(target: Path, root: Path = ROOT, *, without: Collection[str] = ()) -> Path:
    """Bring ``target`` up to date, without these folders of ours; the collection's directory in it."""
    place = target / "ansible_collections" / "opsready" / "golive"
    wanted = [name for name in sources(root) if name.parts[0] not in without]
    for name in wanted:
        source, copied = root / name, place / name
        if copied.is_file() and not copied.is_symlink() and filecmp.cmp(source, copied, shallow=True):
            continue
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copied)
    keep = {place / name for name in wanted}
    for directory, unused_folders, names in os.walk(place, topdown=False):
        parts = Path(directory).relative_to(place).parts
        if ".git" in parts or parts[:2] == ("tests", "output"):
            continue
        for name in names:
            path = Path(directory, name)
            if path not in keep:
                path.unlink()
        if directory != str(place) and not os.listdir(directory):
            os.rmdir(directory)
    # ansible-test asks git which files count; in an ignored directory of an outer repository that would be none.
    subprocess.run(["git", "init", "--quiet", str(place)], check=True)
    return place


if __name__ == "__main__":
    print(copy(Path(sys.argv[1]).resolve()))
