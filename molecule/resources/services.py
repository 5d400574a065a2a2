# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real services for a scenario, kept running between its playbooks.

    services.py start --directory DIR --services NAME...   start them, write DIR/facts.yml (mode 0600), and return
    services.py stop --directory DIR                       end them by pid; safe to repeat

One process holds them all: when it ends, however it ends, so do they. Names: postgres, s3, broker, jobs, site, tls.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path
from types import FrameType

import yaml

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(PROJECT))

from tests.servers import (  # noqa: E402 - found through the path that the line above extends
    S3,
    Answer,
    DemoCa,
    HttpServer,
    Postgres,
    Program,
    Redis,
    Request,
    TlsServer,
    await_true,
)

START_SECONDS = 60.0
STOP_SECONDS = 45.0
BYPASS = "geheim-bypass-molecule"
BROKER_PASSWORD = "geheim-broker-molecule"
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}

SHOP = """
create table customers (id bigint generated always as identity primary key, name text not null);
create table orders (id bigint generated always as identity primary key, customer bigint not null references customers, note text);
insert into customers (name) select 'customer ' || n from generate_series(1, 500) n;
insert into orders (customer, note) select 1 + n % 500, md5(n::text) from generate_series(1, 5000) n;
create table alembic_version (version_num varchar(32) primary key);
insert into alembic_version values ('0002');
"""

JOBS = """
import pathlib
import sys
import time

from celery import Celery

app = Celery("jobs", broker=pathlib.Path("broker.url").read_text())
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 3600},
    broker_connection_retry_on_startup=True,
)


@app.task(name="jobs.append")
def append(number):
    while pathlib.Path("hold").exists():
        time.sleep(0.02)
    with open("done.txt", "a", encoding="ascii") as done:
        done.write(f"{number}\\n")


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        append.delay(number)
"""


class Supervisor(Program):
    """supervisord with one program: a Celery worker on the broker."""

    name = "supervisord"
    # It has children of its own, and ends them only when it is asked to.
    orphan_signal = signal.SIGTERM

    def __init__(self, broker: Redis) -> None:
        super().__init__()
        self.socket = self.directory / "supervisor.sock"
        (self.directory / "jobs.py").write_text(JOBS)
        address = self.directory / "broker.url"
        address.touch(mode=0o600)
        address.write_text(broker.url())

    def command(self) -> list[str]:
        worker = (
            f"{sys.executable} -m celery -A jobs worker -n w1@molecule -c 1 -l INFO --without-gossip --without-mingle"
        )
        configuration = self.directory / "supervisord.conf"
        configuration.write_text(
            f"[supervisord]\nlogfile={self.log_path}\npidfile={self.directory}/supervisord.pid\nnodaemon=true\n"
            f"[unix_http_server]\nfile={self.socket}\nchmod=0700\n"
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[program:worker]\ncommand={worker}\ndirectory={self.directory}\nautostart=true\nautorestart=false\n"
            f"startsecs=1\nstopwaitsecs=30\nkillasgroup=true\nredirect_stderr=true\nstdout_logfile={self.directory}/worker.log\n"
        )
        return [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]

    def is_ready(self) -> bool:
        worker = self.directory / "worker.log"
        return self.socket.exists() and worker.exists() and " ready." in worker.read_text(errors="replace")


def site(directory: Path) -> HttpServer:
    """A site behind a proxy: while the flag file is there, only the bypass header is let through."""
    flag = directory / "maintenance.flag"

    def answer(request: Request) -> Answer:
        if flag.exists() and request.headers.get("X-Bypass") != BYPASS:
            return Answer(503, "maintenance", {"Retry-After": "120"})
        return Answer(200, {"status": "healthy", "version": "1.0.0"}, {"X-Version": "1.0.0"})

    return HttpServer({"/": answer})


def start_services(names: t.Sequence[str], directory: Path, running: contextlib.ExitStack) -> dict[str, t.Any]:
    """Start them in the order named; what a playbook must know of each."""
    facts: dict[str, t.Any] = {}
    broker: Redis | None = None
    for name in names:
        if name == "postgres":
            database = running.enter_context(Postgres())
            shop = database.create_database("shop")
            database.execute(SHOP, dbname=shop)
            facts["postgres"] = {
                "dsn": database.dsn(shop, password=None),
                "password": database.password,
                "database": shop,
                "bindir": str(database.programs),
            }
        elif name == "s3":
            store = running.enter_context(S3())
            facts["s3"] = {
                "bucket": store.create_bucket("backups"),
                "endpoint_url": store.endpoint,
                "access_key": store.access_key,
                "secret_key": store.secret_key,
            }
        elif name == "broker":
            broker = running.enter_context(Redis(password=BROKER_PASSWORD, config={"appendonly": "yes"}))
            facts["broker"] = {"url": broker.url(with_password=False), "password": BROKER_PASSWORD}
        elif name == "jobs":
            if broker is None:
                raise SystemExit("jobs need the broker: name it before them")
            supervisor = running.enter_context(Supervisor(broker))
            facts["jobs"] = {
                "supervisor": f"unix://{supervisor.socket}",
                "directory": str(supervisor.directory),
                "done": str(supervisor.directory / "done.txt"),
            }
        elif name == "site":
            web = running.enter_context(site(directory))
            facts["site"] = {"url": web.url + "/", "flag": str(directory / "maintenance.flag"), "bypass": BYPASS}
        elif name == "tls":
            issued = DemoCa().issue(days=60)
            shown = running.enter_context(TlsServer(issued))
            facts["tls"] = {"endpoint": f"localhost:{shown.port}", "ca_file": str(issued.write(directory / "tls").ca)}
    return facts


def end(_number: int, _frame: FrameType | None) -> None:
    """Leave by way of the services' own end, which is not interrupted again."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def serve(names: t.Sequence[str], directory: Path) -> None:
    """Hold the services until a signal comes."""
    for number in STOP_SIGNALS:
        signal.signal(number, end)
    with contextlib.ExitStack() as running:
        facts = start_services(names, directory, running)
        waiting = directory / "facts.new"
        waiting.touch(mode=0o600)
        waiting.write_text(yaml.safe_dump({"services": facts}))
        waiting.rename(directory / "facts.yml")
        while True:
            signal.pause()


def holder(directory: Path) -> int | None:
    """The pid of the process that holds the services of this directory, if it still runs."""
    try:
        pid = int((directory / "holder.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid if os.fsencode(directory) in words and state != "Z" else None


def start(names: t.Sequence[str], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    if holder(directory) is not None:
        raise SystemExit(f"the services of {directory} run already")
    facts, log = directory / "facts.yml", directory / "services.log"
    facts.unlink(missing_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, __file__, "serve", "--directory", str(directory), "--services", *names],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    (directory / "holder.pid").write_text(str(child.pid))
    try:
        await_true(
            lambda: facts.exists() or child.poll() is not None, seconds=START_SECONDS, what="the services' start"
        )
    except BaseException:
        stop(directory)
        raise
    if child.poll() is not None:
        raise SystemExit(f"the services ended with {child.returncode}:\n{log.read_text(errors='replace')[-4000:]}")


def stop(directory: Path) -> None:
    pid = holder(directory)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        try:
            await_true(lambda: holder(directory) is None, seconds=STOP_SECONDS, what="the services' end")
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
    for name in ("facts.yml", "holder.pid"):
        (directory / name).unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["start", "serve", "stop"])
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument(
        "--services", nargs="+", default=[], metavar="NAME", choices=["postgres", "s3", "broker", "jobs", "site", "tls"]
    )
    given = parser.parse_args()
    directory = given.directory.absolute()
    if given.command == "stop":
        stop(directory)
    else:
        (start if given.command == "start" else serve)(given.services, directory)


if __name__ == "__main__":
    main()
