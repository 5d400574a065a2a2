# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program may print without end, leave others behind, or read nothing: it ends in time, with the beginning of what it said."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._core.bounded_command import run_bounded
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import MissingLibrary, TimedOut
from tests.servers import await_true

PATIENT = 60.0


def _python(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(source), *arguments]


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_both_streams_and_the_code_come_back() -> None:
    source = "import sys; print('grün'); print('err', file=sys.stderr); sys.exit(3)"
    ended = run_bounded(_python(source), deadline=Deadline(PATIENT), max_bytes=1000)
    assert (ended.returncode, ended.stdout.text, ended.stderr.text) == (3, "grün\n", "err\n")
    assert (ended.stdout.size_bytes, ended.stdout.is_cut) == (6, False)


def test_of_too_much_output_the_beginning_is_kept_and_the_program_ends() -> None:
    source = "import sys; sys.stdout.write('a' * 5_000_000); sys.stderr.write('b' * 300_000); sys.exit(0)"
    ended = run_bounded(_python(source), deadline=Deadline(PATIENT), max_bytes=1000)
    assert (ended.returncode, ended.stdout) == (0, ("a" * 1000, 5_000_000, True))
    assert ended.stderr == ("b" * 1000, 300_000, True)


def test_exactly_the_bound_is_not_cut() -> None:
    ended = run_bounded(_python("print('abc', end='')"), deadline=Deadline(PATIENT), max_bytes=3)
    assert ended.stdout == ("abc", 3, False)


def test_standard_input_of_any_length_reaches_the_program() -> None:
    source = "import sys; print(len(sys.stdin.buffer.read()))"
    long = "ä" * 500_000
    assert (
        run_bounded(_python(source), deadline=Deadline(PATIENT), max_bytes=99, stdin_text=long).stdout.text
        == "1000000\n"
    )
    assert run_bounded(_python(source), deadline=Deadline(PATIENT), max_bytes=99).stdout.text == "0\n"


def test_a_program_that_reads_nothing_ends_all_the_same() -> None:
    ended = run_bounded(_python("print('done')"), deadline=Deadline(PATIENT), max_bytes=99, stdin_text="x" * 1_000_000)
    assert (ended.returncode, ended.stdout.text) == (0, "done\n")


def test_who_is_left_behind_with_the_output_is_not_waited_for_and_ended() -> None:
    source = """
        import subprocess, sys
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(left.pid, flush=True)
    """
    ended = run_bounded(_python(source), deadline=Deadline(PATIENT), max_bytes=99)
    assert ended.returncode == 0
    await_true(
        lambda: not _is_alive(int(ended.stdout.text)), seconds=PATIENT, what="the end of the process left behind"
    )


def test_a_deadline_ends_the_whole_group_and_tells_what_was_said(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    source = """
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("step 1 of 2", flush=True)
        open(sys.argv[1] + ".new", "w").write(f"{os.getpid()} {child.pid}")
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        time.sleep(600)
    """

    class UntilSaid(Deadline):
        """Expired once the program has said what it says."""

        def remaining(self) -> float:
            return 0.0 if note.exists() else PATIENT

    with pytest.raises(TimedOut, match=r"did not end within 60 s") as caught:
        run_bounded(_python(source, str(note)), deadline=UntilSaid(PATIENT), max_bytes=99)
    pids = [int(pid) for pid in note.read_text().split()]
    for pid in pids:
        await_true(lambda pid=pid: not _is_alive(pid), seconds=PATIENT, what=f"the end of process {pid}")
    assert caught.value.known["stdout"] == "step 1 of 2\n"


def test_a_signal_is_told_as_such() -> None:
    ended = run_bounded(_python("import os; os.kill(os.getpid(), 15)"), deadline=Deadline(PATIENT), max_bytes=9)
    assert ended.returncode == -signal.SIGTERM


def test_no_descriptor_is_left_open() -> None:
    run_bounded(_python("pass"), deadline=Deadline(PATIENT), max_bytes=9)
    before = len(os.listdir("/proc/self/fd"))
    for _turn in range(3):
        run_bounded(_python("pass"), deadline=Deadline(PATIENT), max_bytes=9, stdin_text="x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingLibrary, match="no-such-program"):
        run_bounded(["no-such-program"], deadline=Deadline(PATIENT), max_bytes=9)


def test_who_is_left_behind_and_prints_without_end_does_not_hold_it() -> None:
    source = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "while True: print('noise')"])
        print("mine", flush=True)
    """
    limit = Deadline(PATIENT)
    ended = run_bounded(_python(source), deadline=limit, max_bytes=5)
    assert (ended.returncode, ended.stdout.text) in ((0, "mine\n"), (0, "noise"))
    assert not limit.expired()
