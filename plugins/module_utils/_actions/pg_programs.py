# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump and pg_restore: the right ones found, run without a shell, streamed, and their exit code believed.

``pg_restore --list`` on a truncated archive ends with 0; so nothing here proves anything by it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import fcntl
import glob
import hashlib
import os
import re
import select
import subprocess
import threading
import time
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import age
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import CHUNK_BYTES
from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import (
    clean_environment,
    failure_of,
    kill_group,
    new_terminal,
    passfile,
    run_command,
    start,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.deps import require
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    CommandFailed,
    GoliveError,
    MissingLibrary,
    TimedOut,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.progress import Progress
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import end_of

_F_SETPIPE_SZ = 1031
#: pg_dump writes 16 KiB at a time. Who wakes up for each takes its core from it; the pipe holds what comes in this time.
_GATHERING_SECONDS = 0.002
_VERSION = re.compile(r"\(PostgreSQL\)\s+(\d+)(?:\.(\d+))?")
#: What auto tries, best first; the level is pg_dump's own default.
COMPRESSIONS = ("zstd", "gzip", "lz4", "none")


@dataclasses.dataclass(frozen=True)
class Programs:
    """A directory with a pg_dump and a pg_restore of one version."""

    directory: str
    version: tuple[int, int]

    @property
    def pg_dump(self) -> str:
        return os.path.join(self.directory, "pg_dump")

    @property
    def pg_restore(self) -> str:
        return os.path.join(self.directory, "pg_restore")

    @property
    def pg_amcheck(self) -> str:
        return os.path.join(self.directory, "pg_amcheck")

    @property
    def version_text(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def _candidates() -> t.Iterator[str]:
    yield from sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    yield from sorted(glob.glob("/usr/pgsql-*/bin"), reverse=True)
    # Last, since Debian's /usr/bin/pg_dump is a wrapper that chooses a version by itself.
    yield from (part for part in os.environ.get("PATH", "").split(os.pathsep) if part)


def _version_at(directory: str, deadline: Deadline) -> tuple[int, int] | None:
    programs = [os.path.join(directory, name) for name in ("pg_dump", "pg_restore")]
    if not all(os.access(program, os.X_OK) for program in programs):
        return None
    ended = run_command([programs[0], "--version"], deadline=deadline, check=False)
    match = _VERSION.search(ended.stdout)
    return (int(match.group(1)), int(match.group(2) or 0)) if match else None


def chosen(pg_bindir: str | None, server_version: int, *, deadline: Deadline) -> Programs:
    """The programs of the lowest major version that is not older than the server's (as in 180006).

    A newer pg_dump works too, but what it writes may name settings that the server does not know yet.
    Raises MissingLibrary with all versions that were seen.
    """
    server_major = server_version // 10000
    seen: dict[str, tuple[int, int]] = {}
    for directory in [pg_bindir] if pg_bindir is not None else _candidates():
        version = _version_at(directory, deadline) if directory not in seen else None
        if version is not None:
            seen[directory] = version
    fit = [(version[0], -version[1], order, directory) for order, (directory, version) in enumerate(seen.items())]
    fit = sorted(one for one in fit if one[0] >= server_major)
    if fit:
        directory = fit[0][3]
        return Programs(directory, seen[directory])
    had = ", ".join(f"{version[0]}.{version[1]} in {directory}" for directory, version in seen.items()) or "none"
    raise MissingLibrary(
        f"The server is PostgreSQL {server_major}, and no pg_dump of that version or newer was found on "
        f"{os.uname().nodename}: {had}.",
        remedy=f"Install postgresql-client-{server_major}, or name the directory of a newer one as pg_bindir.",
    )


def require_level(level: int | None, wanted: str) -> None:
    """Raises BadInput for a level where there is no method that it is one of, and for one that is none."""
    if level is None:
        return
    if wanted in ("auto", "none"):
        raise BadInput(
            f"compression_level is {level}, and compression is {wanted}, which has no levels.",
            remedy="Name the method as compression: zstd, gzip or lz4; or leave compression_level out.",
        )
    if level < 1:
        raise BadInput(f"compression_level is {level}, expected 1 or more.")


def compression_argument(
    programs: Programs, wanted: str, *, deadline: Deadline, level: int | None = None
) -> tuple[str, str]:
    """(method, the argument for pg_dump). ``auto`` is the best one that this very binary was built with.

    Its gzip is at level 3, which costs half the time of pg_dump's own level 6 for a few percent more room.
    """
    asked = COMPRESSIONS if wanted == "auto" else (wanted,)
    for method in asked:
        argument = _argument_of(programs, method, 3 if wanted == "auto" and method == "gzip" else level)
        if argument is not None and _binary_can(programs, argument, deadline):
            return method, argument
    at_level = "" if level is None else f" at level {level}"
    raise BadInput(
        f"{programs.pg_dump} ({programs.version_text}) cannot compress with {wanted}{at_level}.",
        remedy="Use compression: auto, or a pg_dump that was built with it."
        if level is None
        else "Use a level that the method has (gzip has 1 to 9), or a pg_dump that was built with the method.",
    )


def _argument_of(programs: Programs, method: str, level: int | None) -> str | None:
    if programs.version[0] >= 16:
        return f"--compress={method}" if level is None else f"--compress={method}:{level}"
    # Before 16 there is gzip alone, and a number from 0 (none) to 9.
    return {"gzip": f"--compress={level or 6}", "none": "--compress=0"}.get(method)


def _binary_can(programs: Programs, argument: str, deadline: Deadline) -> bool:
    """Compression is checked before the connection, which fails: there is no such socket."""
    ended = run_command(
        [programs.pg_dump, "--format=custom", argument, "--no-password", "--host=/nonexistent", "nothing"],
        deadline=deadline,
        environment=clean_environment(),
        check=False,
    )
    return "compress" not in ended.stderr


class Drained:
    """A program's stderr, read by a thread so that the program never waits for us; the end of it is kept.

    ``takes`` is given each line first, and keeps from the rest what it takes.
    """

    def __init__(self, stream: t.IO[bytes], *, takes: t.Callable[[bytes], bool] = lambda unused: False) -> None:
        self._takes = takes
        self._kept: collections.deque[bytes] = collections.deque(maxlen=64)
        self._begins_inside = False
        self._stream = stream
        self._thread = threading.Thread(target=self._drain, name="opsready-stderr", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            for line in iter(lambda: self._stream.readline(8192), b""):
                if self._takes(line):
                    continue
                if len(self._kept) == self._kept.maxlen:
                    self._begins_inside = not self._kept[0].endswith(b"\n")
                self._kept.append(line)

    def text(self) -> str:
        """The last lines, each of them whole: half a secret is not recognised."""
        self._thread.join(5)
        said = b"".join(self._kept)
        return (said.partition(b"\n")[2] if self._begins_inside else said).decode("utf-8", "replace")


@contextlib.contextmanager
def running(
    argv: t.Sequence[str],
    *,
    environment: t.Mapping[str, str],
    password: str | None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    pass_fds: t.Sequence[int] = (),
    takes: t.Callable[[bytes], bool] = lambda unused: False,
    jobs: int = 1,
) -> t.Iterator[tuple[subprocess.Popen[bytes], Drained]]:
    """A libpq program; whatever happens inside or to us, it and its ``jobs`` are gone at the end."""
    with contextlib.ExitStack() as stack:
        extra, descriptors = stack.enter_context(passfile(password))
        process = start(
            argv,
            environment={**environment, **extra},
            pass_fds=(*descriptors, *pass_fds),
            stdin=stdin,
            stdout=stdout,
            terminal=stack.enter_context(new_terminal()) if jobs > 1 else None,
        )
        try:
            yield process, Drained(t.cast("t.IO[bytes]", process.stderr), takes=takes)
        finally:
            kill_group(process)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def ended_well(program: str, process: subprocess.Popen[bytes], said: Drained, *, deadline: Deadline) -> None:
    """Wait for a program's end. Raises CommandFailed, TimedOut."""
    try:
        code = process.wait(deadline.require(os.path.basename(program)))
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{os.path.basename(program)} did not end within {deadline.seconds:g} s.")
    if code != 0:
        raise explained(failure_of(program, code, said.text()))


def explained(problem: CommandFailed) -> CommandFailed:
    """Add the way out to what the PostgreSQL programs say most often."""
    remedies = {
        "server version mismatch": "Install a pg_dump of the server's version, or name its directory as pg_bindir.",
        "permission denied": "The login needs to read every table: grant it pg_read_all_data.",
        "denied to create event trigger": "Use a superuser's login: nobody else makes event triggers.",
        "must be superuser": "Use a superuser's login.",
        "row-level security": "The login needs BYPASSRLS to dump tables with row-level security.",
        "lock timeout": "Another session holds a table's lock: end it, or try again.",
        "No space left": "The server's disk is full.",
        "SET TRANSACTION SNAPSHOT": "The session that held the snapshot was ended, by somebody or by a limit: try again.",
    }
    for phrase, remedy in remedies.items():
        if phrase in problem.stderr:
            problem.remedy = remedy
    return problem


def watched_to_its_end(
    process: subprocess.Popen[bytes], *, doing: str, deadline: Deadline, watch: t.Callable[[], None] = lambda: None
) -> None:
    """Wait for a program that writes nothing to us. ``watch`` is called now and then and may raise."""
    while process.poll() is None:
        watch()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(deadline.require(doing), 0.2))


def output_chunks(
    process: subprocess.Popen[bytes], *, doing: str, deadline: Deadline, watch: t.Callable[[], None] = lambda: None
) -> t.Iterator[bytes]:
    """What a program writes, until it closes its output. ``watch`` is called now and then and may raise."""
    descriptor = t.cast("t.IO[bytes]", process.stdout).fileno()
    is_roomy = False
    with contextlib.suppress(OSError):  # a larger pipe keeps the program busy while we hash; a limit may forbid it
        is_roomy = fcntl.fcntl(descriptor, _F_SETPIPE_SZ, CHUNK_BYTES) >= CHUNK_BYTES
    poller = select.poll()
    poller.register(descriptor, select.POLLIN | select.POLLHUP)
    while True:
        watch()
        if not poller.poll(int(min(deadline.require(doing), 1.0) * 1000) + 1):
            continue
        chunk = os.read(descriptor, CHUNK_BYTES)
        if not chunk:
            return
        yield chunk
        if is_roomy and len(chunk) < CHUNK_BYTES // 4:
            time.sleep(_GATHERING_SECONDS)


def feed(
    process: subprocess.Popen[bytes],
    chunks: t.Iterable[bytes],
    *,
    doing: str,
    deadline: Deadline,
    watch: t.Callable[[], None] = lambda: None,
) -> bool:
    """Write to a program's input and close it; False when the program stopped reading before the end."""
    stream = t.cast("t.IO[bytes]", process.stdin)
    descriptor = stream.fileno()
    os.set_blocking(descriptor, False)
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, CHUNK_BYTES)
    with age.closing(chunks):
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                watch()
                if not poller.poll(int(min(deadline.require(doing), 1.0) * 1000) + 1):
                    continue
                try:
                    view = view[os.write(descriptor, view) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    return False
    with contextlib.suppress(BrokenPipeError):
        stream.close()
    return True


def connection_string(name: str) -> str:
    """For a program that would take a name with ``=`` in it for one: it stands for exactly this database."""
    return str(require("psycopg").conninfo.make_conninfo(dbname=name))


def database_argument(name: str) -> str:
    """``--dbname`` for exactly this name."""
    return f"--dbname={connection_string(name)}"


#: What a database is compared without: it belongs to the server or is checked on its own.
_SCHEMA_OPTIONS = (
    "--schema-only",
    "--no-owner",
    "--no-privileges",
    "--no-tablespaces",
    "--no-subscriptions",
    "--no-security-labels",
)


def schema_sha256(
    programs: Programs,
    dsn: str,
    password: str | None,
    *,
    dbname: str,
    deadline: Deadline,
    snapshot: str | None = None,
    publications: bool = True,
    application_name: str = "opsready",
) -> str:
    """SHA-256 over the sorted lines of ``pg_dump --schema-only``, equal for equal schemas and one pg_dump version.

    Without ``publications`` it is that of the same schema restored by who may not make them.
    """
    options = () if publications else ("--no-publications",)
    text = schema_text(
        programs,
        dsn,
        password,
        dbname=dbname,
        deadline=deadline,
        options=options if snapshot is None else (*options, f"--snapshot={snapshot}"),
        application_name=application_name,
    )
    return hash_of_schema(text)


def schema_text(
    programs: Programs,
    dsn: str,
    password: str | None,
    *,
    dbname: str,
    deadline: Deadline,
    options: t.Sequence[str] = (),
    application_name: str = "opsready",
) -> bytes:
    """What ``pg_dump --schema-only`` writes of a database. Raises CommandFailed, TimedOut."""
    argv = [programs.pg_dump, "--no-password", *_SCHEMA_OPTIONS, *options]
    # Constants are written in the session's time zone, which the database itself may set.
    environment = postgres.program_environment(
        dsn, dbname, application_name=application_name, settings={"timezone": "UTC", "bytea_output": "hex"}
    )
    text = bytearray()
    with running(argv, environment=environment, password=password, stdout=subprocess.PIPE) as (process, said):
        for chunk in output_chunks(process, doing="pg_dump --schema-only", deadline=deadline):
            text += chunk
        ended_well(programs.pg_dump, process, said, deadline=deadline)
    return bytes(text)


_NAME = rb'(?:[a-z_][a-z_0-9$]*|"[^"]+")'
#: A cast to a type, with its schema, modifiers and dimensions.
_CAST = re.compile(
    rb"::"
    + _NAME
    + rb"(?:\."
    + _NAME
    + rb")?(?: varying| precision)?(?:\(\d+(?:,\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*"
)
_LAYOUT = re.compile(rb"[() ]+")


def schema_lines(text: bytes) -> list[bytes]:
    """The lines of a schema that say what it is, sorted."""
    # \restrict holds a random word (CVE-2025-8714); comments name versions and owners.
    passing = (b"--", b"\\restrict", b"\\unrestrict")
    return sorted(line for line in text.split(b"\n") if line and not line.startswith(passing))


def as_ever_written(line: bytes) -> bytes:
    """A line without casts and parentheses: an expression that was dumped and restored may be written with others.

    ``status IN ('a', 'b')`` of a varchar casts an array of two when it is made, and two in an array once it was restored.
    """
    return _LAYOUT.sub(b"", _CAST.sub(b"", line))


def hash_of_schema(text: bytes) -> str:
    """Equal before and after a restore."""
    lines = sorted(map(as_ever_written, schema_lines(text)))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


#: What ``--verbose`` adds to what pg_restore says.
_VERBOSE = re.compile(
    rb"pg_restore: (?:connecting|creating|disabling|enabling|entering|executing|finished|launching|processing|restor\w+|skipping) "
)


class Restoring:
    """How far pg_restore is, by what it says with ``--verbose``; none of that belongs to an error's text."""

    def __init__(self, progress: Progress, tables: int, *, jobs: int = 1) -> None:
        self._progress = progress
        self._tables = tables
        self._jobs = jobs
        self._at = 0
        self._is_behind_data = False
        self._goes_on = False

    @property
    def options(self) -> tuple[str, ...]:
        """What pg_restore is called with, so that it says so."""
        return ("--verbose",) if self._progress.is_told else ()

    def takes(self, line: bytes) -> bool:
        """Whether a line is one of those, or the rest of one: a name may hold a line break."""
        if not self._progress.is_told:
            return False
        if not line.startswith(b"pg_restore: "):
            return self._goes_on
        self._goes_on = _VERBOSE.match(line) is not None
        if line.startswith(b"pg_restore: processing data for table "):
            self._at = min(self._at + 1, self._tables)
            self._progress.tables(self._at, self._tables)
        elif line.startswith(b"pg_restore: creating ") and self._at and self._is_past_data():
            self._progress.made()
        return self._goes_on

    def _is_past_data(self) -> bool:
        """One job makes indexes when all data is in; of several, one makes those of a table while others fill the next."""
        if not self._is_behind_data and (self._jobs == 1 or self._at >= self._tables):
            self._is_behind_data = True
            self._progress.begin("indexes")
        return self._is_behind_data


def _restoring(
    programs: Programs, dbname: str, options: t.Sequence[str], use_list: int | None, told: Restoring
) -> list[str]:
    argv = [programs.pg_restore, "--no-password", "--exit-on-error", *options, *told.options, database_argument(dbname)]
    return argv if use_list is None else [*argv, f"--use-list=/proc/self/fd/{use_list}"]


def restore_files(
    programs: Programs,
    path: str,
    dsn: str,
    password: str | None,
    *,
    dbname: str,
    jobs: int,
    deadline: Deadline,
    options: t.Sequence[str] = (),
    application_name: str = "opsready",
    use_list: int | None = None,
    told: Restoring,
) -> None:
    """As ``restore_stream``, from a file or a directory of this host, with so many jobs."""
    argv = [*_restoring(programs, dbname, options, use_list, told), f"--jobs={jobs}", path]
    environment = postgres.program_environment(dsn, dbname, application_name=application_name)
    with running(
        argv,
        environment=environment,
        password=password,
        pass_fds=() if use_list is None else (use_list,),
        takes=told.takes,
        jobs=jobs,
    ) as (process, said):
        watched_to_its_end(process, doing="pg_restore", deadline=deadline)
        ended_well(programs.pg_restore, process, said, deadline=deadline)


def restore_stream(
    programs: Programs,
    chunks: t.Iterable[bytes],
    dsn: str,
    password: str | None,
    *,
    dbname: str,
    deadline: Deadline,
    options: t.Sequence[str] = (),
    application_name: str = "opsready",
    use_list: int | None = None,
    told: Restoring,
) -> None:
    """pg_restore from a stream into an empty database; the first error ends it. Raises CommandFailed, TimedOut.

    ``use_list`` is the descriptor of a file with the entries to restore; without it, all are. ``told`` tells how far it is.
    """
    argv = _restoring(programs, dbname, options, use_list, told)
    environment = postgres.program_environment(dsn, dbname, application_name=application_name)
    with running(
        argv,
        environment=environment,
        password=password,
        stdin=subprocess.PIPE,
        pass_fds=() if use_list is None else (use_list,),
        takes=told.takes,
    ) as (process, said):
        try:
            feed(process, chunks, doing="pg_restore", deadline=deadline)
        except GoliveError as problem:
            if process.poll() is not None:
                problem.known.setdefault("pg_restore", end_of(said.text(), 500))
            raise
        ended_well(programs.pg_restore, process, said, deadline=deadline)
