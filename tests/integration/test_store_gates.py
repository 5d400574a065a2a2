# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""services starts a real database, broker and object store, each behind a gate that its clients would pass."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ModuleRun
from tests.integration.supervised import Supervised
from tests.servers import S3, HangingServer, Postgres, Program, Redis

serves = pytest.mark.serves
STORES = ("database", "broker", "objects")
PASSWORD = "store-canary-7be013"


class Stores(Supervised):
    """supervisord with the three stores as programs; none of them runs yet."""

    def __init__(self, database: Postgres, broker: Redis, objects: S3) -> None:
        super().__init__()
        self.database, self.broker, self.objects = database, broker, objects
        database.start()  # which makes the cluster
        database.stop()

    def environment(self) -> dict[str, str]:
        return self.objects.environment()

    def command(self) -> list[str]:
        argv = super().command()
        programs: dict[str, Program] = dict(zip(STORES, (self.database, self.broker, self.objects)))
        with Path(argv[-1]).open("a") as configuration:
            for name, program in programs.items():
                account = f"user={program.account()['user']}\n" if program.account() else ""
                command = shlex.join(program.command()).replace("%", "%%")
                configuration.write(
                    f"\n[program:{name}]\ncommand={command}\ndirectory={program.directory}\nautostart=false\nstartsecs=0\n"
                    f"stopsignal={program.stop_signal.name[3:]}\n{account}"
                )
        return argv

    def gates(self, **options: t.Any) -> list[dict[str, t.Any]]:
        database = {"dsn": self.database.dsn(password=None), "password": self.database.password}
        broker = {"url": self.broker.url(with_password=False), "password": PASSWORD}
        asked: list[dict[str, t.Any]] = [
            {"service": "database", "postgres": {**database, **options.pop("postgres", {})}},
            {"service": "broker", "redis": {**broker, **options.pop("redis", {})}},
            # Who asks without a key is refused in the words of S3.
            {"service": "objects", "url": self.objects.endpoint, "status": [400, 403], "contains": ["<Error><Code>"]},
        ]
        return [{**gate, "timeout": 30, **options} for gate in asked]


@pytest.fixture
def stores() -> t.Iterator[t.Callable[..., Stores]]:
    """Has them made, with settings of PostgreSQL and Redis."""
    with contextlib.ExitStack() as stack:

        def make(settings: t.Mapping[str, str] | None = None, config: t.Mapping[str, str] | None = None) -> Stores:
            made: tuple[t.Any, ...] = (Postgres(settings=settings), Redis(password=PASSWORD, config=config), S3())
            for server in made:
                stack.callback(server.close)
            return t.cast("Stores", stack.enter_context(Stores(*made)))

        yield make


def started(app: Stores, run: ModuleRun, gates: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
    arguments = {"state": "started", "supervisor": app.server, "services": list(STORES), "gates": gates, **options}
    return run("services", arguments, secrets=[app.password, app.database.password, PASSWORD])


@serves("S1.37", case="pass")
def test_each_store_is_started_and_said_to_be_healthy_by_its_own_clients(
    stores: t.Callable[..., Stores], run_module_here: ModuleRun
) -> None:
    app = stores()
    done = started(app, run_module_here, app.gates())
    assert not done.get("failed"), done["msg"]
    assert [(each["name"], each["before"], each["state"]) for each in done["services"]] == [
        (name, "stopped", "running") for name in STORES
    ]
    database, broker, objects = done["gates"]
    assert database["label"].startswith("PostgreSQL postgres at 127.0.0.1:")
    assert re.fullmatch(r"version \d+\.\d+.* takes writes", database["last"]), database
    assert re.fullmatch(r"version \d+\.\d+\.\d+, master", broker["last"]), broker
    assert (objects["label"], "status" in objects["last"]) == (app.objects.endpoint, True), objects
    for gate in done["gates"]:
        assert gate["consecutive"] == 3 <= gate["attempts"] and gate["seconds"] > 0 and gate["since"], gate
    app.database.execute("CREATE TABLE written (n int)")
    assert app.broker.client().set("written", 1)


@serves("S1.37", case="fail")
@pytest.mark.parametrize(
    ("made", "options", "said", "left"),
    [
        ({"settings": {"default_transaction_read_only": "on"}}, {}, "takes reads only", ["database"]),
        ({}, {"postgres": {"password": "another"}}, "password authentication failed", ["database"]),
        ({"config": {"replicaof": "127.0.0.1 1"}}, {}, ", slave", ["database", "broker"]),
        ({}, {"redis": {"password": "another"}}, "refused", ["database", "broker"]),
    ],
)
def test_a_store_that_runs_and_is_of_no_use_to_its_clients_is_not_started(
    stores: t.Callable[..., Stores],
    run_module_here: ModuleRun,
    made: dict[str, t.Any],
    options: dict[str, t.Any],
    said: str,
    left: list[str],
) -> None:
    app = stores(**made)
    gates = [{**gate, "timeout": 4 if gate["service"] == left[-1] else 30} for gate in app.gates(**options)]
    failed = started(app, run_module_here, gates)
    assert (
        failed["failed"] and said in failed["msg"] and "gave 0 of 3 good answers in a row within 4 s" in failed["msg"]
    )
    assert [name for name, state in failed["left"].items() if state == "running"] == left


@serves("S1.37", case="fail")
def test_an_object_store_whose_process_runs_and_does_not_answer_is_not_started(
    stores: t.Callable[..., Stores], run_module_here: ModuleRun
) -> None:
    app = stores()
    *others, objects = app.gates()
    with HangingServer() as hanging:
        shut = {**objects, "url": f"http://127.0.0.1:{hanging.port}/", "timeout": 1, "request_timeout": 0.5}
        failed = started(app, run_module_here, [*others, shut])
    assert failed["failed"] and "did not answer" in failed["msg"], failed
    assert [gate["label"].split(" ")[0] for gate in failed["gates"]] == ["PostgreSQL", "Redis"]


def test_a_database_that_hangs_ends_within_its_limit(
    stores: t.Callable[..., Stores], run_module_here: ModuleRun
) -> None:
    app = stores()
    with HangingServer() as hanging:
        dsn = f"postgresql://postgres@127.0.0.1:{hanging.port}/postgres"
        gate = {**app.gates()[0], "postgres": {"dsn": dsn}, "timeout": 1, "request_timeout": 1}
        failed = started(app, run_module_here, [gate])
    assert failed["failed"] and "nothing came back" in failed["msg"], failed


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({}, "one of the following is required: url, postgres, redis"),
        ({"url": "http://a/", "redis": {"url": "redis://a/0"}}, "mutually exclusive"),
        ({"redis": {"url": "redis://a/0"}, "status": [200]}, "status is for a url"),
        ({"redis": {"url": "redis://:geheim@a/0"}}, "password"),
        ({"postgres": {"dsn": "postgresql://a:geheim@b/c"}}, "password"),
        ({"postgres": {"dsn": "nonsense"}}, "dsn cannot be read"),
    ],
)
def test_a_gate_that_means_nothing_is_refused(run_module_here: ModuleRun, gate: dict[str, t.Any], said: str) -> None:
    server = {"server": "unix:///nowhere.sock"}
    arguments = {"state": "started", "supervisor": server, "services": ["database"], "gates": [gate]}
    refused = run_module_here("services", arguments)
    assert refused["failed"] and said in refused["msg"], json.dumps(refused)
