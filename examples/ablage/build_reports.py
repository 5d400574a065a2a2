#!/usr/bin/env python3
"""What a build says of one release: unit tests and coverage, types, linter, formatter, scanner, audit of dependencies.

  build_reports.py 2.0.0 --out DIR

Each tool runs once for a release and is kept, since nothing that it looked at changes; after half a day it runs again, so that no
report is too old to go live with. DIR/<version>-<digest>/ has source/ (the release, unpacked), reports/ with provenance.json,
and requirements.lock. A tool that finds something writes that down like any other: the checklist judges, not the build.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import build_release
from embedded import advisories, artefact
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent
BUILDS = HERE.parent.parent / "build" / "ablage-builds"
# not resolved: the place of a virtual environment's interpreter is what makes the environment
PYTHON = os.path.abspath(sys.executable)
TOOL_SECONDS = 300.0
KEPT_SECONDS = 12 * 3600
RUFF = ("--isolated", "--no-cache", "--line-length", "120", "--target-version", "py311")
# what the archive itself brings, and not the services under it
OF_THE_ARCHIVE = re.compile(r"# the archive\n(.*?)^# ", re.MULTILINE | re.DOTALL)


class BuildError(RuntimeError):
    """A tool is missing, or did not report."""


def directory(version: str, sha256: str, out: Path = BUILDS) -> Path:
    """Where the build of a release lies: its name changes with the release, its tests and the way it is built."""
    digest = hashlib.sha256(sha256.encode())
    for path in sorted([*(HERE / "tests").glob("*"), *(HERE / "advisories").glob("*"), Path(__file__)]):
        if path.is_file():
            digest.update(path.read_bytes())
    return out / f"{version}-{digest.hexdigest()[:16]}"


def report(version: str, out: Path = BUILDS) -> Path:
    """The build of this release, made now where there is none yet. Raises BuildError."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory(dir=out) as folder:
            built = build_release.build(version, Path(folder) / "release.tar.gz")
            target = directory(version, built["sha256"], out)
            if is_fresh(target):
                return target
            made = Path(folder) / "build"
            artefact.unpack(Path(built["path"]), made / "source")
            Reports(made, built["sha256"], out / "mypy").write()
            if shutil.which("git"):
                commit(made / "source", version)
            shutil.rmtree(target, ignore_errors=True)  # there may be none; the renaming fails over what is left
            made.rename(target)
    return target


def is_fresh(target: Path) -> bool:
    try:
        return time.time() - (target / "reports" / "provenance.json").stat().st_mtime < KEPT_SECONDS
    except FileNotFoundError:
        return False


def locked() -> Iterator[str]:
    """Each package that the archive stands on, in the version that is installed here."""
    text = (HERE / "requirements.txt").read_text(encoding="utf-8")
    found = OF_THE_ARCHIVE.search(text)
    if found is None:
        raise BuildError("requirements.txt does not name what the archive needs")
    waiting = [Requirement(line) for line in found[1].splitlines() if line.strip()]
    versions: dict[str, str] = {}
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = wanted.extras or {""}
        if name in versions or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        versions[name] = metadata.version(name)
        for line in metadata.requires(name) or ():
            needed = Requirement(line)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                needed.marker = None
                waiting.append(needed)
    yield from (f"{name}=={version}" for name, version in sorted(versions.items()))


def commit(source: Path, version: str) -> None:
    """A repository of the one commit that is released: what is searched for secrets is what git tracks."""
    author = ("-c", "user.name=Ablage", "-c", "user.email=ablage@example.org", "-c", "commit.gpgsign=false")
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "--no-verify", "-m", version]):
        ended = subprocess.run(["git", *words], cwd=source, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise BuildError(f"git {words[0]} failed: {ended.stderr.strip()}")


class Reports:
    """The tools, each with the report that it writes; what they say goes into provenance.json with the release's digest."""

    def __init__(self, build: Path, sha256: str, mypy_cache: Path) -> None:
        self.build, self.source, self.folder = build, build / "source", build / "reports"
        self.sha256, self.mypy_cache = sha256, mypy_cache
        self.folder.mkdir()
        self.files = len(list((self.source / "ablage").rglob("*.py")))
        self.stated: dict[str, dict[str, object]] = {}

    def write(self) -> None:
        lock = self.build / "requirements.lock"
        lock.write_text("".join(f"{line}\n" for line in locked()), encoding="utf-8")
        with ThreadPoolExecutor(2) as pool:
            tools = (self.types, self.tests, self.linters, self.audit)
            for done in [pool.submit(tool) for tool in tools]:
                done.result()
        text = json.dumps({"commit": self.sha256, "reports": self.stated}, indent=2)
        (self.folder / "provenance.json").write_text(text + "\n", encoding="utf-8")

    def types(self) -> None:
        settings = str(HERE / "tests" / "mypy.ini")
        self.run("mypy.txt", "mypy", "--strict", "--config-file", settings, "--cache-dir", str(self.mypy_cache), "ablage",
                 to_stdout=True)  # fmt: skip

    def tests(self) -> None:
        self.run(
            "junit.xml", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "-p", "no:xdist",
            f"--junit-xml={self.folder}/junit.xml", "--cov", f"--cov-config={HERE / 'tests' / 'coveragerc'}",
            f"--cov-report=xml:{self.folder}/coverage.xml", str(HERE / "tests"), beside=("coverage.xml",),
        )  # fmt: skip

    def linters(self) -> None:
        rules = ("--select", "E,W,F,B,UP,S,DTZ,T20", "--ignore", "E501,S105,B904,T201")
        self.run("ruff.json", "ruff", "check", *RUFF, *rules, "--output-format", "json", "ablage",
                 to_stdout=True, looked_at=self.files)  # fmt: skip
        self.run("format.txt", "ruff", "format", *RUFF, "--check", "ablage", to_stdout=True)
        self.run("bandit.json", "bandit", "-q", "-r", "ablage", "-f", "json", to_stdout=True)

    def audit(self) -> None:
        with advisories.mirror(HERE / "advisories") as url:
            self.run("pip-audit.json", "pip-audit", "-r", "../requirements.lock", "--no-deps", "--disable-pip",
                     "--progress-spinner", "off", "-s", "osv", "--osv-url", url, "-f", "json",
                     "-o", f"{self.folder}/pip-audit.json")  # fmt: skip

    def run(
        self,
        name: str,
        tool: str,
        *words: str,
        to_stdout: bool = False,
        looked_at: int = 0,
        beside: tuple[str, ...] = (),
    ) -> None:
        """Run a tool of this environment on the release, and state how it ended."""
        program = [PYTHON, "-m", "pytest"] if tool == "pytest" else [str(Path(PYTHON).with_name(tool))]
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME")
        environment = {
            **{key: value for key, value in os.environ.items() if key in kept},
            "PYTHONPATH": str(self.source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COVERAGE_FILE": str(self.build / ".coverage"),
        }
        try:
            ended = subprocess.run(
                [*program, *words], cwd=self.source, env=environment, capture_output=True, check=False, timeout=TOOL_SECONDS
            )  # fmt: skip
        except FileNotFoundError:
            raise BuildError(f"{tool} is missing: pip install -r {HERE}/requirements.txt") from None
        except subprocess.TimeoutExpired:
            raise BuildError(f"{tool} did not end within {TOOL_SECONDS:.0f} s") from None
        if to_stdout:
            (self.folder / name).write_bytes(ended.stdout)
        for written in (name, *beside):
            path = self.folder / written
            if not path.exists():
                said = (ended.stdout + ended.stderr).decode(errors="replace").strip()
                raise BuildError(f"{tool} wrote no {written}: {said[-2000:]}")
            self.stated[written] = {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "made_at": datetime.now(UTC).isoformat(),
                "exit_code": ended.returncode,
                "tool": f"{tool} {metadata.version(tool)}",
                **({"looked_at": looked_at} if looked_at else {}),
            }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", metavar="VERSION")
    parser.add_argument("--out", type=Path, default=BUILDS, metavar="DIR")
    given = parser.parse_args()
    try:
        print(report(given.version, given.out.resolve()))
    except (BuildError, build_release.ReleaseError) as error:
        print(f"build_reports.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
