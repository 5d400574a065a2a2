# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are started without secrets, ended with us, and never waited for without end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core import command
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.command import (
    clean_environment,
    failure_of,
    find_program,
    kill_group,
    new_terminal,
    passfile,
    run_command,
    start,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    CommandFailed,
    MissingLibrary,
    TimedOut,
)
from tests.servers import await_true, is_alive

SECRET = "Zu:gang\\mit-Doppelpunkt"


def _python(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(source), *arguments]


def test_a_program_runs_to_its_end() -> None:
    ended = run_command(_python("import sys; print('out'); print('err', file=sys.stderr)"), deadline=Deadline(30))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "out\n", "err\n")
    assert ended.seconds >= 0


def test_text_goes_in_on_standard_input_and_nothing_else_does() -> None:
    read = "import sys; print(sys.stdin.read().upper())"
    assert run_command(_python(read), deadline=Deadline(30), stdin_text="grüße").stdout == "GRÜSSE\n"
    assert run_command(_python(read), deadline=Deadline(30)).stdout == "\n"


def test_output_that_is_not_utf8_is_readable_text() -> None:
    write = "import os; os.write(1, b'caf\\xe9'); os.write(2, b'\\xff')"
    ended = run_command(_python(write), deadline=Deadline(30))
    assert (ended.stdout, ended.stderr) == ("caf\ufffd", "\ufffd")


def test_a_bad_end_is_an_error_with_the_end_of_what_was_said() -> None:
    fail = "import sys; print('x' * 5000 + 'the cause', file=sys.stderr); sys.exit(3)"
    with pytest.raises(CommandFailed) as caught:
        run_command(_python(fail), deadline=Deadline(30))
    assert caught.value.returncode == 3
    assert "ended with code 3: " in caught.value.message
    assert caught.value.message.endswith("the cause.")
    assert len(caught.value.message) < 1700
    assert run_command(_python(fail), deadline=Deadline(30), check=False).returncode == 3


def test_a_failure_says_how_a_program_ended() -> None:
    assert failure_of("/usr/bin/pg_dump", -9, " ").message == "pg_dump was killed by SIGKILL: it printed nothing."
    assert failure_of("pg_dump", -35, "x").message == "pg_dump was killed by signal 35: x."
    assert failure_of("pg_dump", 1, "x").message == "pg_dump ended with code 1: x."


def test_a_program_that_does_not_end_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    spawn = f"""
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open({str(note)!r} + ".new", "w") as stream:
            stream.write(f"{{os.getpid()}} {{child.pid}}")
        os.rename({str(note)!r} + ".new", {str(note)!r})
        time.sleep(600)
    """
    with pytest.raises(TimedOut, match=r"python[0-9.]* did not end within 3 s\."):
        run_command(_python(spawn), deadline=Deadline(3))
    pids = note.read_text().split()
    assert len(pids) == 2
    await_true(lambda: not any(map(is_alive, pids)), seconds=10, what=f"the end of processes {pids}")


def test_no_program_starts_after_the_deadline(tmp_path: Path) -> None:
    deadline = Deadline(0)
    with pytest.raises(TimedOut):
        run_command(_python("import time; time.sleep(600)"), deadline=deadline)


def test_a_program_that_left_a_child_behind_is_ended_whole(tmp_path: Path) -> None:
    leave = """
        import subprocess, sys
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **quiet).pid)
    """
    pid = int(run_command(_python(leave), deadline=Deadline(30)).stdout)
    await_true(lambda: not is_alive(pid), seconds=10, what="the end of the child")


def test_a_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    start_one = """
        import sys, time
        from ansible_collections.opsready.golive.plugins.module_utils._core.command import start
        print(start([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(_python(start_one), stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
        await_true(lambda: not is_alive(child), seconds=10, what="the end of the child")
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()


@pytest.mark.parametrize("how", ["", "signal.signal(signal.SIGHUP, signal.SIG_IGN)"], ids=["plain", "under nohup"])
def test_what_a_program_with_a_terminal_started_dies_with_our_killed_process(how: str) -> None:
    start_one = f"""
        import signal, sys, time
        from ansible_collections.opsready.golive.plugins.module_utils._core.command import new_terminal, start
        {how}
        # Four of them, each of which would sleep on if nobody ended it.
        spawn = "import os, time; os.fork(); os.fork(); os.write(1, b'%d\\\\n' % os.getpid()); time.sleep(600)"
        with new_terminal() as its_own:
            start([sys.executable, "-c", spawn], stdout=1, stderr=2, terminal=its_own)
            time.sleep(600)
    """
    parent = subprocess.Popen(_python(start_one), stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        programs = [int(parent.stdout.readline()) for _each in range(4)]
        assert all(map(is_alive, programs))
        parent.kill()
        await_true(lambda: not any(map(is_alive, programs)), seconds=10, what="the end of all four")
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()


def test_where_there_is_no_terminal_to_be_had_a_program_runs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> t.NoReturn:
        raise OSError("out of pty devices")

    monkeypatch.setattr(os, "openpty", none_left)
    with new_terminal() as none:
        assert none is None
        process = start(["true"], terminal=none)
        assert process.wait(30) == 0
        kill_group(process)


def test_a_missing_program_says_so() -> None:
    with pytest.raises(MissingLibrary, match="no-such-program"):
        run_command(["no-such-program"], deadline=Deadline(5))
    with pytest.raises(MissingLibrary, match=r"The program no-such-program is not on the PATH of .*\. apt install it"):
        find_program("no-such-program", remedy="apt install it")
    assert os.path.isabs(find_program("sh"))


def test_a_missing_working_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingLibrary, match="not-there"):
        run_command(["true"], deadline=Deadline(5), cwd=str(tmp_path / "not-there"))


@pytest.mark.parametrize(("content", "mode"), [("text", 0o600), ("\x7fELF broken", 0o700)])
def test_a_file_that_cannot_be_run_says_so(tmp_path: Path, content: str, mode: int) -> None:
    program = tmp_path / "program"
    program.write_text(content)
    program.chmod(mode)
    with pytest.raises(MissingLibrary, match="cannot be run"):
        run_command([str(program)], deadline=Deadline(5))


_READ_PASSWORD = """
    import json, os, stat, sys
    path = os.environ.get("PGPASSFILE")
    seen = os.stat(path)
    first, again = open(path).read(), open(path).read()
    print(json.dumps({"line": first, "again": again == first, "regular": stat.S_ISREG(seen.st_mode),
                      "mode": stat.S_IMODE(seen.st_mode),
                      "argv": open("/proc/self/cmdline").read(), "environ": open("/proc/self/environ").read()}))
"""


@pytest.mark.parametrize("with_memfd", [True, False])
def test_a_password_reaches_libpq_and_neither_argv_nor_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_memfd: bool
) -> None:
    if not with_memfd:  # as on a kernel or libc without it
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with passfile(SECRET) as (environment, descriptors):
        seen: dict[str, t.Any] = __import__("json").loads(
            run_command(
                _python(_READ_PASSWORD),
                deadline=Deadline(30),
                environment=clean_environment(environment),
                pass_fds=descriptors,
            ).stdout
        )
        assert list(tmp_path.iterdir()) == []
    assert seen["line"] == "*:*:*:*:Zu\\:gang\\\\mit-Doppelpunkt\n"
    assert (seen["again"], seen["regular"], seen["mode"]) == (True, True, 0o600)
    assert "gang" not in seen["argv"] + seen["environ"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_a_password_is_inherited_only_where_it_is_passed() -> None:
    with passfile(SECRET) as (environment, _descriptors):
        look = "import os; print(os.path.exists(os.environ['PGPASSFILE']))"
        ended = run_command(_python(look), deadline=Deadline(30), environment=clean_environment(environment))
    assert ended.stdout == "False\n"


def test_no_password_means_no_file() -> None:
    with passfile(None) as (environment, descriptors):
        assert (environment, descriptors) == ({}, ())


def test_a_program_never_gets_libpqs_variables_and_speaks_english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPASSWORD": "hunter22",
        "PGHOST": "elsewhere",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
    }.items():
        monkeypatch.setenv(name, value)
    environment = clean_environment({"PGPASSFILE": "/proc/self/fd/5"})
    assert [name for name in environment if name.startswith("PG")] == ["PGPASSFILE"]
    assert environment["LC_MESSAGES"] == "C"
    assert environment["LC_CTYPE"] == "de_DE.UTF-8"
    assert not {"LC_ALL", "LANGUAGE"} & set(environment)
    monkeypatch.delenv("LC_ALL")
    assert "LC_CTYPE" not in clean_environment() or os.environ.get("LC_CTYPE")


def test_a_program_has_a_session_of_its_own_and_can_be_ended_twice() -> None:
    process = start(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert os.getsid(process.pid) == process.pid
    kill_group(process)
    kill_group(process)
    assert process.returncode == -signal.SIGKILL


def test_without_a_dynamic_libc_children_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_libc(*_unused: object, **__: object) -> t.NoReturn:
        raise OSError("no libc")

    monkeypatch.setattr("ctypes.CDLL", no_libc)
    assert command._libc() is None
    monkeypatch.setattr(command, "_LIBC", None)
    command.die_with_parent()
    assert run_command(["true"], deadline=Deadline(30)).returncode == 0
