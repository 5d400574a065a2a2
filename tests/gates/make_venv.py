# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a virtual environment, or leave it alone when what it was made from has not changed.

    python3 tests/gates/make_venv.py --python python3.11 --core 2.19 --directory build/venv demo test lint

The standard library only, since this runs before anything is installed. Runs of ``make -j`` wait for each other.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OLDEST_CONTROLLER = (3, 11)


def give_up(sentence: str) -> t.NoReturn:
    sys.exit(f"make setup: {sentence}")


def _of_pyenv(name: str) -> list[str]:
    number = name.rpartition("python")[2]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(path) for path in root.glob(f"versions/{number}.*/bin/python")] if "." in number else []


def find_interpreter(wanted: str) -> tuple[str, tuple[int, int]] | None:
    """Path and version of a Python: a path, a name on PATH, or one of pyenv's. Empty: 3.11, else what python3 is."""
    names = [wanted] if wanted else ["python3.11", "python3"]
    for candidate in [found for name in names for found in (name, *_of_pyenv(name))]:
        program = shutil.which(candidate)
        if program is None:
            continue
        ask = "import sys; print(sys.executable, *sys.version_info[:2], sep='\\n')"
        # A shim of pyenv exists for every version and works only for those that are switched on.
        asked = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            path, major, minor = asked.stdout.split("\n")[:3]
            return path, (int(major), int(minor))
    return None


def requirement_files(sets: list[str]) -> list[Path]:
    """The sets' files and all that they include, in order, each once."""
    found: list[Path] = []
    waiting = [ROOT / "requirements" / f"{name}.txt" for name in sets]
    while waiting:
        path = waiting.pop(0).resolve()
        if path not in found:
            if not path.is_file():
                give_up(f"{path.relative_to(ROOT)} does not exist.")
            found.append(path)
            waiting += [path.parent / line for line in re.findall(r"^-r\s+(\S+)", path.read_text(), re.M)]
    return found


def fingerprint(sets: list[str], python: str, core: str) -> str:
    digest = hashlib.sha256(f"{python} {core}".encode())
    for path in requirement_files(sets):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(*command: str) -> None:
    """Run a step; its output is shown only when it fails."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ended.returncode:
        said = "\n".join(f"  {line[:300]}" for line in ended.stdout.splitlines()[-25:])
        give_up(f"this failed:\n  {' '.join(command)}\n{said}")


def create(directory: Path, python: str) -> None:
    """An empty environment with pip, also where Debian's python3-venv (ensurepip) is missing."""
    shutil.rmtree(directory, ignore_errors=True)
    run(python, "-m", "venv", "--without-pip", str(directory))
    inside = str(directory / "bin" / "python")
    if subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
        run(inside, "-m", "ensurepip", "--upgrade", "--default-pip")
    elif subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        run(python, "-m", "pip", "--python", inside, "install", "--quiet", "pip")
    else:
        shutil.rmtree(directory)
        give_up(f"{python} has neither ensurepip nor pip. Install one: apt-get install python3-venv")


def is_usable(directory: Path, version: tuple[int, int]) -> bool:
    """Whether the environment works, is where it was made, and has this Python."""
    program = directory / "bin" / "python"
    if not program.exists():
        return False
    ask = "import sys, pip; print(sys.prefix, '%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and asked.stdout.split() == [str(directory), "{}.{}".format(*version)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="", help="a path, or a name as python3.12")
    parser.add_argument("--core", required=True, help="ansible-core's minor version, as 2.19, or none")
    parser.add_argument("--directory", required=True, type=Path)
    parser.add_argument("sets", nargs="+")
    options = parser.parse_args()
    directory = options.directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find_interpreter(options.python)
        if found is None:
            give_up(
                f"no working {options.python or 'python3'} on this machine. Install it, or name another by PYTHON=."
            )
        python, version = found
        if options.core != "none" and version < OLDEST_CONTROLLER:
            give_up(
                f"{python} is too old a Python; the controller needs {OLDEST_CONTROLLER[0]}.{OLDEST_CONTROLLER[1]}."
            )
        stamp = directory / f"made-for-{'-'.join(options.sets)}"
        wanted = fingerprint(options.sets, "{}.{}".format(*version), options.core)
        if is_usable(directory, version):
            if stamp.is_file() and stamp.read_text() == wanted:
                return
        else:
            create(directory, python)
        print(f"make setup: installing {', '.join(options.sets)} into {os.path.relpath(directory)} …", flush=True)
        includes = [part for name in options.sets for part in ("-r", str(ROOT / "requirements" / f"{name}.txt"))]
        inside = str(directory / "bin" / "python")
        run(
            inside,
            *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"),
            *([] if options.core == "none" else [f"ansible-core=={options.core}.*"]),
            *includes,
        )
        stamp.write_text(wanted)


if __name__ == "__main__":
    main()
