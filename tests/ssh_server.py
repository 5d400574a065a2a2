# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real SSH server on this machine, which runs what it is told as the user of the tests, and knows one key."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import typing as t
from pathlib import Path

from tests.servers import HOST


class SshServer:
    """``variables`` are what an inventory says of a host that is reached through it, with the stock ``ssh``."""

    def __init__(self, directory: Path) -> None:
        self.key = directory / "ssh-key"
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh-server", daemon=True)
        self._server: t.Any = None

    @property
    def variables(self) -> dict[str, t.Any]:
        return {
            "ansible_connection": "ssh",
            "ansible_host": HOST,
            "ansible_port": self.port,
            "ansible_user": "golive",
            "ansible_ssh_private_key_file": str(self.key),
            # No process of ours outlives a run.
            "ansible_ssh_args": "-F none -o ControlMaster=no -o ControlPath=none",
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }

    def __enter__(self) -> SshServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_unused: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        import asyncssh

        key = asyncssh.generate_private_key("ssh-ed25519")
        self.key.touch(0o600)
        self.key.write_bytes(key.export_private_key())
        self._server = await asyncssh.listen(
            HOST,
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
            process_factory=_run,
            encoding=None,
            sftp_factory=True,
            line_editor=False,
        )
        self.port = self._server.get_port()

    async def _stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


async def _run(asked: t.Any) -> None:
    """The command of one session, with its standard streams."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", asked.command or "exit 1", stdin=pipe, stdout=pipe, stderr=pipe
    )

    async def given() -> None:
        assert child.stdin is not None
        with contextlib.suppress(Exception):  # a client that went away, a command that reads nothing
            while True:
                octets = await asked.stdin.read(65536)
                if not octets:
                    break
                child.stdin.write(octets)
                await child.stdin.drain()
        child.stdin.close()

    async def told(source: asyncio.StreamReader | None, target: t.Any) -> None:
        assert source is not None
        while True:
            octets = await source.read(65536)
            if not octets:
                return
            target.write(octets)
            await target.drain()

    giving = asyncio.create_task(given())
    with contextlib.suppress(Exception):
        await asyncio.gather(told(child.stdout, asked.stdout), told(child.stderr, asked.stderr))
    code = await child.wait()
    giving.cancel()
    asked.exit(code)
