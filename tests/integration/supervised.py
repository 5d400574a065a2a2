# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real supervisord with a small application of two versions under it, for the tests of services."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import socket
import sys
import tarfile
import typing as t
from pathlib import Path

from tests.servers import Program, free_port

#: A backend that says which version it is, and reads its answer anew for each request.
BACKEND = """
import http.server, os, pathlib, signal, socketserver, sys
here = pathlib.Path(__file__).resolve().parent
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        health = here.parent.parent / "health"
        said = health.read_text() if health.exists() else "gesund"
        body = ('{"status": "%s", "version": "%s"}' % (said, here.name)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", here.name)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Server(socketserver.ThreadingTCPServer):  # HTTPServer would ask the resolver for its own name first
    allow_reuse_address = daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
#: name -> (program text, lines of its supervisor section)
PROGRAMS: dict[str, tuple[str, str]] = {
    "worker": (
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\nopen('{root}/worker.ready', 'w').close()\n"
        "while True: time.sleep(60)\n",
        "",
    ),
    "plain": ("import time\nopen('{root}/plain.ready', 'w').close()\nwhile True: time.sleep(60)\n", ""),
    "stubborn": (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('{root}/stubborn.ready', 'w').close()\n"
        "while True: time.sleep(60)\n",
        "stopwaitsecs=1",
    ),
    "sluggish": (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('{root}/sluggish.ready', 'w').close()\n"
        "while True: time.sleep(60)\n",
        "stopwaitsecs=600",
    ),
    "crasher": ("raise SystemExit(3)\n", "startsecs=10\nstartretries=1"),
    # Its third life lasts, and only then the backend's health is good.
    "flapping": (
        "import pathlib, time\nlives = pathlib.Path('{root}/lives')\nnumber = len(lives.read_text()) if lives.exists() else 0\n"
        "lives.write_text('x' * (number + 1))\n"
        "if number >= 2:\n    pathlib.Path('{root}/health').write_text('gesund')\n    time.sleep(600)\n"
        "time.sleep(0.3)\nraise SystemExit(7)\n",
        "startsecs=0\nautorestart=true",
    ),
    "ended": ("import time\ntime.sleep(0.4)\nraise SystemExit(5)\n", "startsecs=0\nautorestart=false"),
    "parent": (
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('{root}/parent.ready', 'w').close()\nwhile True: time.sleep(60)\n",
        "",
    ),
    "bad_exit": (
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(9))\nopen('{root}/bad_exit.ready', 'w').close()\n"
        "while True: time.sleep(60)\n",
        "",
    ),
    "postgres": ("import time\nwhile True: time.sleep(60)\n", ""),
}


class Supervised(Program):
    """supervisord on a socket, and on a port with a password; its application lies below ``root``."""

    name = "supervisord"

    def __init__(self, log: str | None = None) -> None:
        super().__init__()
        self.log_file = log or f"{self.directory}/supervisord.log"
        self.password = f"geheim-supervisor-{os.urandom(6).hex()}"
        self.root = self.directory / "app"
        self.releases = self.root / "releases"
        self.current = self.root / "current"
        self.socket = self.directory / "supervisor.sock"
        self.backend_port = free_port()
        self.install("1.0.0")
        self.current.symlink_to("releases/1.0.0")
        (self.root / "app.env").write_text("SECRET_KEY=geheim-env-value\n")
        (self.root / "app.env").chmod(0o600)

    def install(self, version: str) -> None:
        """A version that was not pulled by us."""
        folder = self.releases / version
        folder.mkdir(parents=True)
        (folder / "backend.py").write_text(BACKEND)

    def artefact(self, version: str, extra: t.Mapping[str, bytes] | None = None) -> dict[str, t.Any]:
        """A version's archive, and the option that names it."""
        path = self.directory / f"{version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in {"backend.py": BACKEND.encode(), **(extra or {})}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return {"src": str(path), "sha256": digest, "version": version, **self.places()}

    def places(self) -> dict[str, str]:
        return {"releases_dir": str(self.releases), "current": str(self.current)}

    @property
    def server(self) -> dict[str, str]:
        return {"server": f"unix://{self.socket}", "username": "golive", "password": self.password}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.backend_port}/health"

    def command(self) -> list[str]:
        sections = [
            f"[supervisord]\nlogfile={self.log_file}\npidfile={self.directory}/supervisord.pid\nnodaemon=true",
            f"[unix_http_server]\nfile={self.socket}\nchmod=0700\nusername=golive\npassword={self.password}",
            f"[inet_http_server]\nport=127.0.0.1:{self.port}\nusername=golive\npassword={self.password}",
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
            f"[program:backend]\ncommand={sys.executable} backend.py {self.backend_port}\ndirectory={self.current}\n"
            "startsecs=0\nautostart=false",
            f"[program:pair]\ncommand={sys.executable} {self.root}/plain.py\nprocess_name=%(process_num)d\nnumprocs=2\n"
            "startsecs=0\nautostart=false",
            "[program:missing]\ncommand=/nonexistent/program\nautostart=false",
        ]
        for name, (text, lines) in PROGRAMS.items():
            (self.root / f"{name}.py").write_text(text.replace("{root}", str(self.root)))
            sections.append(
                f"[program:{name}]\ncommand={sys.executable} {self.root}/{name}.py\nautostart=false\n"
                + (lines if "startsecs" in lines else f"startsecs=0\n{lines}")
            )
        configuration = self.directory / "supervisord.conf"
        configuration.write_text("\n\n".join(sections) + "\n")
        return [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]

    def is_ready(self) -> bool:
        """Its port is opened before its socket, and the socket is there before it listens."""
        with socket.socket(socket.AF_UNIX) as asked:
            return super().is_ready() and asked.connect_ex(str(self.socket)) == 0

    def stop(self, seconds: float = 20.0) -> None:
        """End it and all its services at once: its own shutdown takes a second for each program it knows."""
        if self.is_running:
            os.kill(self.pid, signal.SIGSTOP)
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            self.kill()
            for group in children:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)

    def ready_file(self, name: str) -> Path:
        return self.root / f"{name}.ready"
