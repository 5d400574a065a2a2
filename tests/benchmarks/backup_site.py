# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of a size, an object store that keeps real bytes, and pg_backup from one to the other, timed.

``BENCH_MIB`` and ``BENCH_ROUNDS`` make a row smaller, to see that it runs; its figures then say little.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from tests.servers import S3, Postgres

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20
#: The module's real main(), and the peak of its own memory: without that of pg_dump, and of whoever started it.
_MODULE = """
import atexit, os, sys
def tell(path=sys.argv.pop(1)):
    with open("/proc/self/status") as status, open(path, "w") as told:
        told.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))
atexit.register(tell)
from tests.module_process import main
main()
"""
#: Rows as applications have them: numbers, times, words, and what does not compress. 300 bytes or so each.
_ROWS = """
create temporary table seed as
select i as id, 'Rechnung ' || i as title, i / 7.0 as amount, now() - i * interval '1 second' as at,
       repeat('Lorem ipsum dolor sit amet ', 1 + i %% 3) as body, sha256(i::text::bytea) as digest, md5(i::text) as token
from generate_series(1, %s) i
"""


class ModuleFailed(RuntimeError):
    """The module under test did not do what is measured; the text is its answer."""


def size_mib(full: int) -> int:
    """The size of this run: the full one, unless ``BENCH_MIB`` says less."""
    return min(full, int(os.environ.get("BENCH_MIB", full)))


def rounds(full: int = 5) -> int:
    return min(full, int(os.environ.get("BENCH_ROUNDS", full)))


class Site:
    """One server, one database, one store, one bucket; closed, nothing of it is left."""

    def __init__(self, directory: Path, mib: int) -> None:
        self.directory = directory
        self.server = Postgres(settings={"shared_buffers": "256MB", "max_wal_size": "4GB", "autovacuum": "off"})
        self.store = S3()
        self.mib = mib
        self.database = ""
        self.bucket = ""
        #: Where ours finds the store.
        self.endpoint = ""

    def open(self) -> None:
        self.server.start()
        self.store.start()
        self.bucket = self.store.create_bucket()
        self.endpoint = self.store.endpoint
        self.database = self.server.create_database("bench")
        batch = 50_000
        with self.server.connect(self.database) as connection:
            connection.execute(_ROWS, (batch,))
            connection.execute("create table public.documents as table seed")
            (one,) = connection.execute("select pg_table_size('public.documents')").fetchone()
            for number in range(1, -(-self.mib * MIB // one)):
                connection.execute(
                    "insert into public.documents select id + %s, title, amount, at, body, sha256((id + %s)::text::bytea),"
                    " md5((id + %s)::text) from seed",
                    (number * batch,) * 3,
                )
            connection.execute("vacuum analyze public.documents")
            connection.execute("checkpoint")

    @property
    def database_bytes(self) -> int:
        return int(self.server.execute("select pg_database_size(%s)", self.database)[0][0])

    def close(self) -> None:
        self.server.close()
        self.store.close()

    def empty(self) -> None:
        """Remove what was stored: rounds are alike, and the disk stays free."""
        for one in (self.store.bytes_directory / self.bucket).iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """libpq's own, for the peers."""
        return {**os.environ, "PGPASSWORD": self.server.password}

    def dump_command(self, *more: str) -> list[str]:
        """pg_dump as the module calls it."""
        dsn = self.server.dsn(self.database, password=None)
        return [self.server.program("pg_dump"), "--format=custom", *more, "--no-password", f"--dbname={dsn}"]

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        keys = {"endpoint_url": self.endpoint, "access_key": self.store.access_key}
        return {
            "dsn": self.server.dsn(self.database, password=None),
            "password": self.server.password,
            "destination": f"s3://{self.bucket}/backups",
            "s3": {**keys, "secret_key": self.store.secret_key},
            "pg_bindir": str(self.server.programs),
            "compare": "rows",
            "verify": "head",
            **more,
        }

    def backup(self, **more: t.Any) -> dict[str, t.Any]:
        """pg_backup in a process of its own: its answer, with ``wall_seconds`` and ``peak_mib`` of that process."""
        peak = self.directory / f"peak-{secrets.token_hex(4)}"
        internals = {"_ansible_remote_tmp": str(self.directory), "_ansible_keep_remote_files": False}
        began = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-c", _MODULE, str(peak), "pg_backup"],
            input=json.dumps({**self.options(**more), **internals}).encode(),
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "build"), str(ROOT)])},
            check=False,
        )
        wall = time.perf_counter() - began
        answer: dict[str, t.Any] = json.loads(ended.stdout.decode().strip().splitlines()[-1])
        if answer.get("changed") is not True:
            raise ModuleFailed(f"pg_backup: {answer.get('msg')}")
        return {**answer, "wall_seconds": wall, "peak_mib": int(peak.read_text()) / 1024}

    def timed(self, *commands: t.Sequence[str], environment: t.Mapping[str, str] | None = None) -> float:
        """Seconds of a pipe of programs, the last one's output thrown away."""
        began = time.perf_counter()
        running: list[subprocess.Popen[bytes]] = []
        for number, command in enumerate(commands):
            source = running[-1].stdout if running else subprocess.DEVNULL
            last = number == len(commands) - 1
            running.append(
                subprocess.Popen(
                    command,
                    stdin=source,
                    stdout=subprocess.DEVNULL if last else subprocess.PIPE,
                    env={**self.environment, **(environment or {})},
                    cwd=self.directory,
                )
            )
            if running[:-1] and running[-2].stdout is not None:
                running[-2].stdout.close()
        codes = [one.wait() for one in running]
        if any(codes):
            raise ModuleFailed(f"{' | '.join(command[0] for command in commands)} ended with {codes}")
        return time.perf_counter() - began


#: How often the kernel is asked; what a process waited after the last time is not told.
_SAMPLED_SECONDS = 0.1


@contextlib.contextmanager
def waited_for_a_core(program: str) -> t.Iterator[dict[int, float]]:
    """Seconds that each process of this name which we started was able to run and had no core, by its id."""
    waited: dict[int, float] = {}
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLED_SECONDS):
            for process in _started(program):
                with contextlib.suppress(OSError):  # it has ended since
                    # The kernel's Documentation/scheduler/sched-stats.rst: ns on a core, ns of waiting for one, times it got one.
                    waited[process] = int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield waited
    finally:
        ended.set()
        sampler.join()


def _started(program: str) -> list[int]:
    """Processes of this name below our own."""
    parents: dict[int, int] = {}
    named = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, unused_bracket, rest = (directory / "stat").read_text().partition("(")[2].rpartition(")")
            process = int(directory.name)
            parents[process] = int(rest.split()[1])
            named += [process] if name == program else []
    return [process for process in named if os.getpid() in _above(process, parents)]


def _above(process: int, parents: t.Mapping[int, int]) -> t.Iterator[int]:
    while process in parents:
        process = parents[process]
        yield process


@contextlib.contextmanager
def backup_site(full_mib: int) -> t.Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="golive-bench-") as directory:
        site = Site(Path(directory), size_mib(full_mib))
        try:
            site.open()
            yield site
        finally:
            site.close()


def paired(ours: t.Callable[[], float], peer: t.Callable[[], float]) -> tuple[list[float], list[float]]:
    """Both in turns, so that a busy machine is busy for both; a first turn of each, which warms the caches, is not counted."""
    ours(), peer()
    measured: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds()):
        for one in (0, 1) if number % 2 else (1, 0):
            measured[one].append((ours, peer)[one]())
    return measured


def ratio_of(ours: t.Sequence[float], peer: t.Sequence[float]) -> float:
    """The median of peer / ours, pair by pair."""
    return statistics.median(theirs / mine for mine, theirs in zip(ours, peer))


def row(
    name: str, site: Site, ours: t.Sequence[float], peer: t.Sequence[float], *, bar: float, unit: str
) -> dict[str, t.Any]:
    ratio = ratio_of(ours, peer)
    return {
        "name": name,
        "ours": round(statistics.median(ours), 3),
        "peer": round(statistics.median(peer), 3),
        "ratio": round(ratio, 3),
        "bar": bar,
        "holds": ratio >= bar,
        "unit": unit,
        "database_mib": round(site.database_bytes / MIB),
        "rounds": len(ours),
    }
