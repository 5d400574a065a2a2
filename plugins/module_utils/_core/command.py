# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program: an argv list, no shell, no secret in argv or environment, ended with us.

Passwords for libpq programs go through an anonymous file in memory (memfd) that only the child inherits: PGPASSFILE names
its descriptor. Children get PR_SET_PDEATHSIG, since a killed controller leaves its module, and a killed module would leave
its children, running.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import termios
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    CommandFailed,
    MissingLibrary,
    TimedOut,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.scrub import end_of

_PR_SET_PDEATHSIG = 1


def _libc() -> t.Any:
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:  # no dynamic libc: children then live as long as they like
        return None


_LIBC = _libc()


def die_with_parent() -> None:
    """Be killed when the thread that started this process ends, where the kernel offers it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def find_program(name: str, *, remedy: str = "") -> str:
    """The absolute path of a program, or MissingLibrary."""
    path = shutil.which(name)
    if path is None:
        raise MissingLibrary(f"The program {name} is not on the PATH of {os.uname().nodename}.", remedy=remedy)
    return path


def clean_environment(extra: t.Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without libpq's variables, messages in English, plus ``extra`` (never a secret)."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG") and key != "LANGUAGE"}
    if environment.get("LC_ALL"):  # it would beat LC_MESSAGES
        environment["LC_CTYPE"] = environment.pop("LC_ALL")
    environment["LC_MESSAGES"] = "C"
    environment.update(extra or {})
    return environment


def _pgpass_escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


@contextlib.contextmanager
def passfile(password: str | None) -> t.Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Environment and descriptors that hand a password to a libpq program: ``(environment, pass_fds)``.

    Each libpq connection reads the file anew from /proc, so children of the program get it too.
    """
    if password is None:
        yield {}, ()
        return
    line = f"*:*:*:*:{_pgpass_escaped(password)}\n".encode("utf-8", "surrogateescape")
    with nameless_file(line) as descriptor:
        yield {"PGPASSFILE": f"/proc/self/fd/{descriptor}"}, (descriptor,)


@contextlib.contextmanager
def nameless_file(content: bytes) -> t.Iterator[int]:
    """The descriptor of a file in memory, which a child that inherits it opens as ``/proc/self/fd/<descriptor>``."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("opsready")
    else:
        descriptor, path = tempfile.mkstemp(prefix="opsready-")
        os.unlink(path)
    try:
        os.fchmod(descriptor, 0o600)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_terminal() -> t.Iterator[int | None]:
    """A terminal for a program that has children of its own, which then die with it; None where the system has none to give.

    PR_SET_PDEATHSIG reaches our child and not its children. But when the first process of a session with a terminal ends,
    by whatever signal, each process of its group is sent SIGHUP (exit(3)).
    """
    try:
        ours, theirs = os.openpty()
    except OSError:
        yield None
        return
    try:
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)


class Completed(t.NamedTuple):
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


def start(
    argv: t.Sequence[str],
    *,
    environment: t.Mapping[str, str] | None = None,
    pass_fds: t.Sequence[int] = (),
    cwd: str | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | t.IO[bytes] = subprocess.PIPE,
    stderr: int | t.IO[bytes] = subprocess.PIPE,
    user: pwd.struct_passwd | None = None,
    terminal: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; it dies when the calling thread does. Raises MissingLibrary.

    With ``user`` root starts it with that user's id and groups alone. ``terminal`` is one of ``new_terminal()``.
    """

    def prepare() -> None:
        die_with_parent()
        if terminal is not None:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup is handed on to whatever is started under it
            with contextlib.suppress(OSError):  # where that is forbidden its children live as long as they like
                fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    identity: dict[str, t.Any] = {}
    if user is not None:
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}
    try:
        return subprocess.Popen(
            list(argv),
            env=dict(environment) if environment is not None else clean_environment(),
            pass_fds=tuple(pass_fds) if terminal is None else (*pass_fds, terminal),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=prepare,
            **identity,
        )
    except FileNotFoundError as problem:
        raise MissingLibrary(f"The program or folder {problem.filename} is not on {os.uname().nodename}.") from None
    except OSError as problem:
        raise MissingLibrary(f"The program {argv[0]} cannot be run: {problem.strerror}.") from None


def kill_group(process: subprocess.Popen[bytes], *, reap_seconds: float | None = None) -> None:
    """End a program and everything it started, and reap it.

    What sleeps in the kernel does not end before that wakes up: with ``reap_seconds`` it is left to die by itself after that.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(reap_seconds)


def run_command(
    argv: t.Sequence[str],
    *,
    deadline: Deadline,
    environment: t.Mapping[str, str] | None = None,
    pass_fds: t.Sequence[int] = (),
    cwd: str | None = None,
    stdin_text: str | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end. Raises TimedOut, MissingLibrary and, with ``check``, CommandFailed."""
    began = deadline.clock.monotonic()
    process = start(
        argv,
        environment=environment,
        pass_fds=pass_fds,
        cwd=cwd,
        stdin=subprocess.DEVNULL if stdin_text is None else subprocess.PIPE,
    )
    try:
        out, err = process.communicate(
            None if stdin_text is None else stdin_text.encode("utf-8"),
            timeout=deadline.require(os.path.basename(argv[0])),
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(f"{os.path.basename(argv[0])} did not end within {deadline.seconds:g} s.") from None
    finally:
        kill_group(process)
    ended = Completed(
        process.returncode,
        out.decode("utf-8", "replace"),
        err.decode("utf-8", "replace"),
        deadline.clock.monotonic() - began,
    )
    if check and ended.returncode != 0:
        raise failure_of(argv[0], ended.returncode, ended.stderr or ended.stdout)
    return ended


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def failure_of(program: str, returncode: int, stderr: str) -> CommandFailed:
    """The error of a program that ended badly, with the end of what it said."""
    said = end_of(stderr.strip(), 1500) or "it printed nothing"
    ended = f"was killed by {_signal_name(-returncode)}" if returncode < 0 else f"ended with code {returncode}"
    return CommandFailed(f"{os.path.basename(program)} {ended}: {said}.", returncode=returncode, stderr=said)
