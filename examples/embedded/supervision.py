"""One supervisord for all programs of a stack, spoken to over its private unix socket."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.layout import INTERPRETER, MARK, Layout, StackError, write_private

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    directory: Path
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 15
    # children of a celery pool must not see the master's TERM: it would end the jobs that the master waits for
    stop_as_group: bool = False
    priority: int = 100


def clean_environment(layout: Layout) -> dict[str, str]:
    """Nothing of the caller's environment reaches a service; the mark tells `down` what belongs to this stack."""
    return {
        "PATH": f"{INTERPRETER.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(layout.run),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        f"{layout.name.upper()}_ENV_FILE": str(layout.env_file),
        MARK: str(layout.root),
    }


def escaped(text: str) -> str:
    """supervisor expands % in its configuration."""
    return text.replace("%", "%%")


def write_config(layout: Layout, programs: list[Program]) -> None:
    lines = [
        "[unix_http_server]",
        f"file={escaped(str(layout.supervisor_socket))}",
        "chmod=0700",
        "[supervisord]",
        f"logfile={escaped(str(layout.log / 'supervisord.log'))}",
        "logfile_maxbytes=0",
        f"pidfile={escaped(str(layout.supervisor_pid))}",
        f"childlogdir={escaped(str(layout.log))}",
        f"identifier={layout.name}",
        "umask=077",
        *(["user=root"] if os.geteuid() == 0 else []),
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]",
        f"serverurl=unix://{escaped(str(layout.supervisor_socket))}",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command={escaped(shlex.join(program.command))}",
            f"directory={escaped(str(program.directory))}",
            *([f"user={program.user}"] if program.user else []),
            f"priority={program.priority}",
            "autostart=false",
            "autorestart=unexpected",
            "exitcodes=0",
            "startsecs=1",
            "startretries=3",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_seconds}",
            f"stopasgroup={'true' if program.stop_as_group else 'false'}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={escaped(str(layout.log / f'{program.name}.log'))}",
            "stdout_logfile_maxbytes=0",
        ]
    write_private(layout.supervisor_config, "\n".join(lines) + "\n")


def rpc(layout: Layout) -> Any:
    """The supervisor namespace of the stack's RPC interface."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{layout.supervisor_socket}")
    return xmlrpc.client.ServerProxy("http://localhost", transport).supervisor


def is_answering(layout: Layout) -> bool:
    try:
        rpc(layout).getState()
    except (OSError, xmlrpc.client.Error):
        return False
    return True


def start_supervisord(layout: Layout) -> None:
    started = subprocess.run(
        [str(INTERPRETER), "-m", "supervisor.supervisord", "-c", str(layout.supervisor_config)],
        env=clean_environment(layout), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if started.returncode != 0:
        raise StackError(f"supervisord did not start: {started.stderr.strip() or started.stdout.strip()}")
    wait_until(lambda: is_answering(layout), "supervisord's socket", seconds=15)


def start(layout: Layout, *names: str) -> None:
    for name in names:
        rpc(layout).startProcess(name, False)


def program_states(layout: Layout) -> dict[str, dict[str, Any]]:
    return {info["name"]: info for info in rpc(layout).getAllProcessInfo()}


def wait_until(
    holds: Callable[[], bool], what: str, *, seconds: float, layout: Layout | None = None, program: str | None = None
) -> None:
    """Poll until `holds`. Raises StackError at the deadline, or at once when supervisor has given the program up."""
    deadline = time.monotonic() + seconds
    while not holds():
        if layout and program and program_states(layout)[program]["statename"] in ("FATAL", "EXITED"):
            raise StackError(f"{what}: program {program} ended; the log is {layout.log / f'{program}.log'}")
        if time.monotonic() > deadline:
            hint = f"; the log is {layout.log / f'{program}.log'}" if layout and program else ""
            raise StackError(f"{what} was not there after {seconds:.0f} s{hint}")
        time.sleep(POLL_SECONDS)


def processes_of(root: Path, postgres_data: Path | None) -> Iterator[int]:
    """Living processes of a stack: marked in their environment or, for PostgreSQL, at work in its data directory.

    PostgreSQL overwrites its environment with its process title, hence the second way.
    """
    mark = f"{MARK}={root}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z":
                continue
            is_marked = mark in (entry / "environ").read_bytes().split(b"\0")
            if is_marked or (postgres_data and Path(os.readlink(entry / "cwd")) == postgres_data):
                yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def end_all(layout: Layout, postgres_data: Path | None, *, seconds: float) -> list[int]:
    """Stop everything: by supervisor if it answers, then by pid. Returns the pids that had to be ended by pid."""
    if is_answering(layout):
        manager = rpc(layout)
        manager.stopAllProcesses(False)  # all at once: nobody is served by what goes away as a whole
        manager.shutdown()
        deadline = time.monotonic() + seconds
        while any(processes_of(layout.root, postgres_data)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    stragglers = list(processes_of(layout.root, postgres_data))
    for number, wait_seconds in ((signal.SIGTERM, 5.0), (signal.SIGINT, 5.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + wait_seconds
        for pid in processes_of(layout.root, postgres_data):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        while any(processes_of(layout.root, postgres_data)):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        else:
            break
    left = sorted(processes_of(layout.root, postgres_data))
    if left:
        raise StackError(f"these processes of {layout.root} do not end: {left}")
    return stragglers
