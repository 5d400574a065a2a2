"""S3 by `rclone serve s3`. Run as a program, it becomes rclone: `python object_store.py SETTINGS.json`.

rclone takes S3 keys from its command line or its environment, where other users may read them. Started as a remote-control
server on a private unix socket, it takes them in a request body instead.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedded.layout import Layout
    from embedded.supervision import Program

START_SECONDS = 20.0


def write_config(
    folder: Path, *, rclone: str, control_socket: Path, port: int, keys: dict[str, str], buckets: tuple[str, ...],
    read_only: str | None,
) -> None:  # fmt: skip
    """Create the buckets and the settings; `read_only` names a bucket that refuses writes."""
    from embedded.layout import write_private

    for bucket in buckets:
        (folder / "buckets" / bucket).mkdir(parents=True)
    upstreams = " ".join(
        f'"{bucket}={"refusing:" if bucket == read_only else folder / "buckets" / bucket}"' for bucket in buckets
    )
    config = f"[buckets]\ntype = combine\nupstreams = {upstreams}\n"
    if read_only:
        # a union needs two branches; neither takes writes
        (folder / "empty").mkdir()
        config += (
            f'[refusing]\ntype = union\nupstreams = "{folder / "buckets" / read_only}:ro" "{folder / "empty"}:ro"\n'
        )
    write_private(folder / "rclone.conf", config)
    settings = {
        "rclone": rclone,
        "config": str(folder / "rclone.conf"),
        "cache": str(folder / "cache"),
        "control_socket": str(control_socket),
        "serve": {
            "type": "s3",
            "fs": "buckets:",
            "addr": f"127.0.0.1:{port}",
            "auth_key": [f"{access},{secret}" for access, secret in keys.items()],
        },
    }
    write_private(folder / "settings.json", json.dumps(settings))


def program(layout: Layout, python: Path) -> Program:
    from embedded.supervision import Program

    return Program("s3", (str(python), __file__, str(layout.s3 / "settings.json")), layout.s3, priority=10)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request_service(path: str, body: dict[str, Any]) -> None:
    """Ask the remote control at `path` to serve, once it listens. Raises OSError at the deadline."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = UnixConnection(path)
        try:
            connection.request("POST", "/serve/start", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                return
            raise OSError(f"rclone refused to serve: HTTP {response.status}")
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
        finally:
            connection.close()
        time.sleep(0.02)


def become_rclone(settings: dict[str, Any]) -> None:
    """Replace this process by rclone; a grandchild hands it the keys and ends."""
    socket_path = settings["control_socket"]
    Path(socket_path).unlink(missing_ok=True)
    server = os.getpid()
    child = os.fork()
    if child == 0:
        # forked twice, so that rclone, which reaps no children, is not left with one
        if os.fork() == 0:
            try:
                request_service(socket_path, settings["serve"])
            except OSError as error:
                print(error, file=sys.stderr, flush=True)
                os.kill(server, 15)
        os._exit(0)
    os.waitpid(child, 0)
    os.umask(0o077)
    os.execv(  # noqa: S606  # becoming rclone is the point: supervisor then watches rclone itself
        settings["rclone"],
        [
            settings["rclone"], "rcd", "--config", settings["config"], "--cache-dir", settings["cache"],
            "--rc-no-auth", "--rc-addr", f"unix://{socket_path}",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    become_rclone(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
