# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Celery workers on a real broker, and an application that sends to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

from tests.servers import Redis, await_true

SECONDS = 40.0

APP = """
import os, sys
import redis
from celery import Celery

broker = os.environ["TEST_BROKER"]
app = Celery("jobs", broker=broker)
app.conf.update(
    task_acks_late=os.environ.get("TEST_ACKS_LATE") == "1",
    worker_prefetch_multiplier=int(os.environ.get("TEST_PREFETCH", "1")),
    broker_transport_options={"visibility_timeout": 3600, **eval(os.environ.get("TEST_TRANSPORT", "{}"))},
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_queue_max_priority=9,
)
store = redis.Redis.from_url(os.environ["TEST_STORE"])

def quick(number):
    store.rpush("order", number)
    store.hincrby("done", number, 1)

def gated(number):
    store.set(f"started:{number}", 1)
    store.blpop(f"gate:{number}", timeout=60)
    store.hincrby("done", number, 1)

prefix = os.environ.get("TEST_TASKS", "jobs")
app.task(name=f"{prefix}.quick")(quick)
app.task(name=f"{prefix}.gated")(gated)
"""


class Worker:
    """A real Celery worker process."""

    def __init__(
        self, site: Site, *, name: str = "w1", pool: str = "prefork", arguments: t.Sequence[str] = (), **env: str
    ):
        self.name = f"{name}@test"
        self.log_path = site.directory / f"{name}-{len(site.workers)}.log"
        command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-n", self.name, "-P", pool, "-c", "1"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "-l", "INFO", "--without-gossip", "--without-mingle", *arguments],
                cwd=site.directory,
                env={**os.environ, **site.environment, **env},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        site.workers.append(self)
        await_true(self._ready, seconds=SECONDS, what=f"start of {self.name}", interval=0.05)

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        return " ready." in self.log()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait(SECONDS)


class Site:
    """One broker database, one store, and the workers on them."""

    def __init__(self, server: Redis, directory: Path, number: int, **environment: str) -> None:
        self.server, self.directory, self.number = server, directory, number
        self.workers: list[Worker] = []
        (directory / "jobs.py").write_text(textwrap.dedent(APP))
        self.environment = {"TEST_BROKER": server.url(number), "TEST_STORE": server.url(15), **environment}
        self.broker, self.store = server.client(number), server.client(15)
        self.broker.flushdb()
        self.store.flushdb()
        self.sent: list[str] = []

    def worker(self, **options: t.Any) -> Worker:
        return Worker(self, **options)

    def send(self, task: str, number: int, **options: t.Any) -> str:
        """Publish as an application does, by Celery itself."""
        from celery import Celery

        app = Celery("sender", broker=self.server.url(self.number))
        app.conf.broker_transport_options = eval(self.environment.get("TEST_TRANSPORT", "{}"))  # noqa: S307 - our own text
        with app.connection_for_write() as connection:
            sent = app.send_task(task, (number,), connection=connection, **options)
        app.close()
        self.sent.append(str(sent.id))
        return str(sent.id)

    def started(self, number: int) -> None:
        await_true(lambda: bool(self.store.get(f"started:{number}")), seconds=SECONDS, what=f"task {number}")

    def open_gate(self, number: int) -> None:
        self.store.rpush(f"gate:{number}", 1)

    def done(self) -> dict[int, int]:
        return {int(number): int(times) for number, times in self.store.hgetall("done").items()}

    def await_done(self, numbers: t.Collection[int]) -> None:
        await_true(lambda: set(numbers) <= set(self.done()), seconds=SECONDS, what=f"tasks {sorted(numbers)}")

    def args(self, state: str, **options: t.Any) -> dict[str, t.Any]:
        url = self.server.url(self.number, with_password=False)
        base = {"url": url, "password": self.server.password, "state": state, "system": "shop", "ledger_id": "r1"}
        return {**base, "timeout": 60, "reply_timeout": 20, **options}

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.broker.close()
        self.store.close()
