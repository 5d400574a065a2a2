"""The folder of one stack, and what is asked of its parts from outside."""

from __future__ import annotations

import fcntl
import http.client
import importlib.util
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedded import supervision
from embedded.layout import INTERPRETER, Layout, StackError, read_record


@contextmanager
def only_one_up(layout: Layout) -> Iterator[None]:
    """Held while `up` runs, so that `down` does not clear away what is still being built."""
    with (layout.root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"another stack.py is at work in {layout.root}") from None
        yield


def prepare(layout: Layout) -> None:
    """An empty folder, or one that holds nothing but an ended stack."""
    layout.check_socket_length()
    layout.root.mkdir(parents=True, exist_ok=True)
    # traversable for the unprivileged user of PostgreSQL; what is private inside is closed itself
    layout.root.chmod(0o711 if os.geteuid() == 0 else 0o700)


def postgres_data(layout: Layout) -> Path | None:
    found = (read_record(layout) or {}).get("postgres_data")
    return Path(found) if found else None


def clear(layout: Layout) -> None:
    record = read_record(layout)
    foreign = [path.name for path in layout.parts() if path.exists()]
    if record is None and foreign:
        raise StackError(f"{layout.root} holds {', '.join(foreign)} but no stack.json: choose another --dir")
    if any(supervision.processes_of(layout.root, postgres_data(layout))):
        raise StackError(f"a stack is running in {layout.root}: stack.py down --dir {layout.root}")
    if record and record.get("fallback"):
        shutil.rmtree(record["fallback"], ignore_errors=True)  # apart from the stack, and may have been cleared already
    for path in layout.parts():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def tool(name: str) -> str:
    """A program installed beside this interpreter, or on PATH."""
    beside = INTERPRETER.parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise StackError(f"{name} is missing: pip install -r requirements/demo.txt")
    return found


def compile_packages(names: Iterable[str]) -> None:
    """Once, where the installation has no bytecode: uncompiled, an application takes twice as long to start."""
    uncompiled = []
    for name in names:
        found = importlib.util.find_spec(name)
        source = found.origin if found and found.origin and found.origin.endswith(".py") else None
        if source and not Path(importlib.util.cache_from_source(source)).exists():
            uncompiled.append(str(Path(source).parent))
    if uncompiled:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        # an installation that may not be written to works without, only slower
        subprocess.run(
            [str(INTERPRETER), "-m", "compileall", "-q", "-j", "0", *uncompiled], env=environment, check=False
        )


def fetch(layout: Layout, port: int, path: str, *, bypass: str = "") -> tuple[int, Any]:
    """One GET through the proxy, trusting the stack's CA only. Raises OSError when nobody answers."""
    context = ssl.create_default_context(cafile=str(layout.proxy / "ca.crt"))
    connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
    try:
        connection.request("GET", path, headers={"X-Golive-Bypass": bypass} if bypass else {})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    is_json = response.headers.get_content_type() == "application/json"
    return response.status, json.loads(body) if is_json else body.decode(errors="replace")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
