# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ROLLBACK.md is followed to the letter by bash, on real parts, from wherever a release may have died, and then once more."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    kept_files,
    rollback_database,
    rollback_document,
    rollback_plan,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import Mark
from ansible_collections.opsready.golive.plugins.module_utils._actions.drain_ledger import Ledger
from ansible_collections.opsready.golive.plugins.module_utils._clients import redis as redis_client
from ansible_collections.opsready.golive.plugins.module_utils._clients.celery_redis import Broker, lists_of
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from tests.age_keys import age_key
from tests.git_repository import Repository
from tests.integration.celery_site import Site
from tests.integration.supervised import Supervised
from tests.integration.test_migrate import COLUMN, NOTES
from tests.integration.test_migrate import release as migrations
from tests.servers import HOST, S3, Postgres, Redis, RefusedPort, Standby

#: What a database, a path or a program may be called.
NAME = 'it\'s "$HOME" größe 100%'
SECONDS = 120.0


def made(migration: t.Mapping[str, t.Any] | None = None, **way_back: t.Any) -> rollback_plan.Plan:
    services = {"deployed": {"version": way_back.pop("previous", "1.0.0")}, "files": way_back.pop("files", [])}
    return rollback_plan.build(
        release="r1", system="shop", version="2.0.0", services=services, migration=migration or {}, way_back=way_back
    )


def follow(plan: rollback_plan.Plan, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """All blocks at once, as the file says, with what it asks for and no more."""
    text = rollback_document.render(plan)
    for name, value in environment.items():
        assert len(value) < 8 or value not in text, f"{name} stands in the file"
    (folder / "ROLLBACK.md").write_text(text, encoding="utf-8")
    (command,) = re.findall(r"^    (bash <.*)$", text, re.MULTILINE)
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def went_well(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def stopped(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode != 0, ended.stdout + ended.stderr
    return ended.stderr


def typed(plan: rollback_plan.Plan, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same, pasted into an interactive bash that was started from another one, which gets what is left."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", rollback_document.render(plan), re.MULTILINE | re.DOTALL)
    return subprocess.run(
        ["bash", "--norc", "-i", "-c", "bash --norc -i; bash --norc -i"],
        cwd=folder,
        input="".join(blocks),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def by_hand(
    plan: rollback_plan.Plan, blocks: int, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The first blocks, in one bash."""
    found = re.findall(r"^```sh\n(.*?)^```$", rollback_document.render(plan), re.MULTILINE | re.DOTALL)
    return subprocess.run(
        ["bash", "-s"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "LANG": "C.UTF-8", **environment},
        input="".join(found[:blocks]),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


# ------------------------------------------------------------------------------------------------------- the database


@pytest.fixture
def odd_database(postgres: Postgres) -> t.Iterator[str]:
    """A database with a name that bash, SQL, URLs and libpq each read in their own way."""
    name = f"{NAME} {os.urandom(3).hex()}"
    with postgres.connect() as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield name
    for (found,) in postgres.execute("select datname from pg_database where starts_with(datname, %s)", NAME):
        postgres.drop_database(found)


def rename(server: Postgres, old: str, new: str) -> None:
    with server.connect() as connection:
        connection.execute(sql.SQL("alter database {} rename to {}").format(*map(sql.Identifier, (old, new))))


def names(server: Postgres, plan: rollback_plan.Plan) -> list[str]:
    """Which of the plan's databases are there: fenced, live, failed."""
    found = {name for (name,) in server.execute("select datname from pg_database")}
    return [word for word in ("fenced", "live", "failed") if plan["connection"][word]["name"] in found]


def fence(server: Postgres, plan: rollback_plan.Plan, comment: str | None = None) -> None:
    """As pg_fence leaves it, closed, as where the run died half-way."""
    live, fenced = plan["database_name"], plan["fenced_name"]
    oid = int(server.execute("select oid from pg_database where datname = %s", live)[0][0])
    rename(server, live, fenced)
    mark = Mark("fenced", live, "r1", oid, comment, {"position": {}}).text()
    with server.connect() as connection:
        connection.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(fenced), sql.Literal(mark)))
        connection.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(fenced)))


def state_of(server: Postgres, name: str) -> tuple[t.Any, ...]:
    return server.execute(
        "select datallowconn, shobj_description(oid, 'pg_database') from pg_database where datname = %s", name
    )[0]


def dsns(server: Postgres, name: str, refused: int) -> dict[str, str]:
    at, encoded = f"{HOST}:{server.port}", quote(name, safe="")
    word = name.replace("\\", "\\\\").replace("'", "\\'")
    return {
        "uri": f"postgresql://postgres@{at}/{encoded}",
        "driver": f"postgresql+asyncpg://postgres@{at}/{encoded}?ssl=disable",
        "keywords": f"host={HOST} port={server.port} user=postgres dbname='{word}' connect_timeout=5",
        "socket": f"postgresql://postgres@/{encoded}?host={quote(str(server.directory), safe='')}&port={server.port}",
        "several": f"postgresql://postgres@{HOST}:{refused},{at}/{encoded}?target_session_attrs=read-write",
    }


@pytest.mark.parametrize("form", ["uri", "driver", "keywords", "socket", "several"])
def test_the_fenced_name_goes_back_by_any_dsn_and_whatever_its_name(
    postgres: Postgres, odd_database: str, tmp_path: Path, form: str
) -> None:
    with RefusedPort() as refused:
        dsn = dsns(postgres, odd_database, refused.port)[form]
        plan = made(dsn=dsn, pg_bindir=str(postgres.programs))
        fence(postgres, plan, comment="Das Archiv; it's ours")
        went_well(follow(plan, tmp_path, PGPASSWORD=postgres.password))
        assert names(postgres, plan) == ["live"]
        assert state_of(postgres, odd_database) == (True, "Das Archiv; it's ours")
        went_well(follow(plan, tmp_path, PGPASSWORD=postgres.password))
        assert names(postgres, plan) == ["live"]


def test_a_wrong_password_stops_it_and_two_databases_do_and_none_does(
    postgres: Postgres, odd_database: str, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    plan = made(
        dsn=dsns(postgres, odd_database, 1)["uri"],
        pg_bindir=str(postgres.programs),
        current=str(flag),
        releases_dir="/",
        previous="tmp",
    )
    fence(postgres, plan)
    assert "password authentication failed" in stopped(follow(plan, tmp_path, PGPASSWORD="wrong"))
    assert "no password supplied" in stopped(follow(plan, tmp_path, PGPASSWORD=""))
    with postgres.connect() as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(odd_database)))
    assert f"both {plan['fenced_name']} and {odd_database} are there" in stopped(
        follow(plan, tmp_path, PGPASSWORD=postgres.password)
    )
    assert names(postgres, plan) == ["fenced", "live"]
    for name in (odd_database, plan["fenced_name"]):
        postgres.drop_database(name)
    said = stopped(follow(plan, tmp_path, PGPASSWORD=postgres.password))
    assert f"neither {plan['fenced_name']} nor {odd_database} is there" in said


@pytest.mark.parametrize("form", ["uri", "socket", "several"])
def test_the_new_code_takes_its_migration_back_in_a_folder_of_any_name(
    postgres: Postgres, odd_database: str, tmp_path: Path, form: str
) -> None:
    def alembic(*arguments: str) -> None:
        url = f"postgresql+psycopg://postgres@{HOST}:{postgres.port}/{quote(odd_database, safe='')}"
        subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=directory,
            env={**os.environ, "DATABASE_URL": url, "PGPASSWORD": postgres.password},
            check=True,
            capture_output=True,
        )

    directory = migrations(tmp_path / NAME.replace("%", ""), ("0001", None, NOTES), ("0002", "0001", COLUMN))
    alembic("upgrade", "0001")
    postgres.execute('create role "it\'s a migrator" superuser')
    try:
        with RefusedPort() as refused:
            plan = made(
                {"rollback_kind": "downgrade", "from": ["0001"], "to": "0002"},
                dsn=dsns(postgres, odd_database, refused.port)[form],
                url_scheme="postgresql+psycopg",
                pg_bindir=str(postgres.programs),
                migration_directory=str(directory),
                migration_command=[sys.executable, "-m", "alembic"],
                migration_role="it's a migrator",
            )
            alembic("upgrade", "0002")
            fence(postgres, plan)
            went_well(follow(plan, tmp_path, PGPASSWORD=postgres.password))
            assert names(postgres, plan) == ["live"]
            found = postgres.execute("select version_num from alembic_version", dbname=odd_database)
            assert found == [("0001",)]
            went_well(follow(plan, tmp_path, PGPASSWORD=postgres.password))
            assert postgres.execute("select version_num from alembic_version", dbname=odd_database) == [("0001",)]
    finally:
        postgres.execute('drop role "it\'s a migrator"')


def test_a_version_that_was_never_unpacked_has_migrated_nothing(
    postgres: Postgres, odd_database: str, tmp_path: Path
) -> None:
    plan = made(
        {"rollback_kind": "downgrade", "from": ["0001"]},
        dsn=dsns(postgres, odd_database, 1)["uri"],
        pg_bindir=str(postgres.programs),
        migration_directory=str(tmp_path / "missing"),
    )
    assert "never unpacked" in went_well(follow(plan, tmp_path, PGPASSWORD=postgres.password))
    assert names(postgres, plan) == ["live"]


class Restoring:
    """A database with one table and a number that was given out, its fence, and its dump in a folder."""

    def __init__(self, server: Postgres, name: str, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.dump = folder / f"{NAME}.dump"
        self.way_back = {"dsn": dsns(server, name, 1)["keywords"], "pg_bindir": str(server.programs)}
        self.plan = self.planned({"archive": f"file://{self.dump}", "destination": f"file://{folder}"})
        self.execute("create table kept (id serial, what text)", "live")
        self.execute("insert into kept (what) values ('before')", "live")
        fence(server, self.plan, comment="ours")
        self.admit("fenced")
        subprocess.run(
            [server.program("pg_dump"), "-Fc", "-f", str(self.dump), "-d", self.plan["connection"]["fenced"]["dsn"]],
            env={"PGPASSWORD": server.password},
            check=True,
        )
        self.execute("insert into kept (what) values ('failed')", "fenced")

    def planned(self, backup: dict[str, t.Any]) -> rollback_plan.Plan:
        return made({"rollback_kind": "restore", "from": ["0001"]}, backup=backup, **self.way_back)

    def name(self, word: str) -> str:
        return str(self.plan["connection"][word]["name"])

    def admit(self, word: str) -> None:
        with self.server.connect() as connection:
            connection.execute(
                sql.SQL("alter database {} allow_connections true").format(sql.Identifier(self.name(word)))
            )

    def execute(self, statement: str, word: str) -> list[tuple[t.Any, ...]]:
        return self.server.execute(statement, dbname=self.name(word))

    def follow(self, plan: rollback_plan.Plan | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return follow(plan or self.plan, self.folder, PGPASSWORD=self.server.password, **environment)

    def is_back(self) -> None:
        assert names(self.server, self.plan) == ["live", "failed"]
        assert self.execute("select id, what from kept order by id", "live") == [(1, "before")]
        assert self.execute("select nextval('kept_id_seq')", "live") == [(3,)]  # 2 was given out by what failed
        assert state_of(self.server, self.name("live")) == (True, "ours")
        assert state_of(self.server, self.name("failed"))[0] is False


@pytest.fixture
def restoring(postgres: Postgres, odd_database: str, tmp_path: Path) -> Restoring:
    return Restoring(postgres, odd_database, tmp_path)


def test_the_backup_comes_back_once_and_numbers_are_not_given_out_twice(restoring: Restoring) -> None:
    went_well(restoring.follow())
    restoring.is_back()
    restoring.execute("insert into kept (what) values ('after')", "live")
    assert "The backup is back already." in went_well(restoring.follow())
    assert restoring.execute("select what from kept order by id", "live") == [("before",), ("after",)]
    assert names(restoring.server, restoring.plan) == ["live", "failed"]


def test_a_restore_that_died_half_way_is_made_again(restoring: Restoring) -> None:
    rename(restoring.server, restoring.name("fenced"), restoring.name("failed"))
    with restoring.server.connect() as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(restoring.name("fenced"))))
    restoring.execute("create table kept (half text)", "fenced")
    went_well(restoring.follow())
    restoring.is_back()


def test_what_was_set_aside_before_it_died_is_restored(restoring: Restoring) -> None:
    rename(restoring.server, restoring.name("fenced"), restoring.name("failed"))
    went_well(restoring.follow())
    restoring.is_back()


def test_a_fence_that_was_lifted_asks_before_anything_is_lost(restoring: Restoring) -> None:
    rename(restoring.server, restoring.name("fenced"), restoring.name("live"))
    said = stopped(restoring.follow())
    assert "the fence is lifted" in said and "export RESTORE=yes, or export RESTORE=no" in said
    went_well(restoring.follow(RESTORE="no"))
    assert names(restoring.server, restoring.plan) == ["live"]
    assert restoring.execute("select count(*) from kept", "live") == [(2,)]
    went_well(restoring.follow(RESTORE="yes"))
    restoring.is_back()


def test_an_encrypted_archive_is_read_by_the_stock_tool_and_nothing_is_changed_before(
    restoring: Restoring, tmp_path: Path
) -> None:
    key, other = age_key(tmp_path, "it's the key.txt"), age_key(tmp_path, "other.txt")
    stored = restoring.dump.with_name(f"{restoring.dump.name}.age")
    subprocess.run(["age", "-r", key.recipient, "-o", str(stored), str(restoring.dump)], check=True)
    restoring.dump.unlink()
    where = {"archive": f"file://{stored}", "destination": f"file://{tmp_path}", "recipients": [key.recipient]}
    plan = restoring.planned(where)
    text = rollback_document.render(plan)
    assert f"the path of a file with the age identity of `{key.recipient}`, in `BACKUP_IDENTITY`" in text
    assert "these programs, where they are used: `psql`, `pg_restore`, `age`" in text
    # What was planned before there was a backup asks for none.
    assert "BACKUP_IDENTITY" not in rollback_document.render(restoring.planned({**where, "archive": ""}))

    assert "the file with the age identity that reads the backup" in stopped(restoring.follow(plan))
    assert "no identity matched" in stopped(restoring.follow(plan, BACKUP_IDENTITY=str(other.path)))
    whole = stored.read_bytes()
    for damaged in (whole[:-1], whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:]):
        stored.write_bytes(damaged)
        stopped(restoring.follow(plan, BACKUP_IDENTITY=str(key.path)))
        assert names(restoring.server, plan) == ["fenced"]
    stored.write_bytes(whole)
    went_well(restoring.follow(plan, BACKUP_IDENTITY=str(key.path)))
    restoring.is_back()
    assert "The backup is back already." in went_well(restoring.follow(plan))


def test_an_archive_that_was_changed_since_it_was_proven_changes_nothing(restoring: Restoring) -> None:
    proven = hashlib.sha256(restoring.dump.read_bytes()).hexdigest()
    where = {"archive": f"file://{restoring.dump}", "destination": f"file://{restoring.folder}", "sha256": proven}
    good = restoring.dump.read_bytes()
    restoring.dump.write_bytes(good + b"\0")
    assert "is not the one that was made and proven" in stopped(restoring.follow(restoring.planned(where)))
    assert names(restoring.server, restoring.plan) == ["fenced"]
    restoring.dump.write_bytes(good)
    went_well(restoring.follow(restoring.planned(where)))
    restoring.is_back()


def test_an_archive_that_is_none_changes_nothing(restoring: Restoring) -> None:
    restoring.dump.write_text("<Error>PermanentRedirect</Error>")
    assert "not appear to be a valid archive" in stopped(restoring.follow())
    assert names(restoring.server, restoring.plan) == ["fenced"]
    restoring.dump.unlink()
    assert "No such file" in stopped(restoring.follow())
    assert names(restoring.server, restoring.plan) == ["fenced"]


def test_without_a_backup_only_the_name_goes_back(restoring: Restoring) -> None:
    plan = restoring.planned({"archive": ""})
    with restoring.server.connect() as connection:
        fenced = sql.Identifier(restoring.name("fenced"))
        connection.execute(sql.SQL("alter database {} allow_connections false").format(fenced))
    went_well(restoring.follow(plan))
    assert names(restoring.server, plan) == ["live"]
    assert state_of(restoring.server, restoring.name("live")) == (True, "ours")


def test_sessions_on_a_standby_are_ended_when_it_has_caught_up(
    restoring: Restoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_database, "STANDBY_SECONDS", 1)
    with Standby(restoring.server) as standby:
        standby.catch_up()
        with contextlib.closing(standby.connect(restoring.name("fenced"))) as reader:
            assert reader.execute("select count(*) from kept").fetchone() == (2,)
            restoring.way_back["standbys"] = [standby.dsn("unused", password=None)]
            plan = restoring.planned(restoring.plan["where"]["backup"])
            standby.execute("select pg_wal_replay_pause()")
            may_read = f"may still read the failed database: user=postgres host={HOST} port={standby.port}"
            paused = restoring.follow(plan)
            went_well(paused)
            assert may_read in paused.stderr
            restoring.is_back()
            standby.execute("select pg_wal_replay_resume()")
            monkeypatch.setattr(rollback_database, "STANDBY_SECONDS", 30)
            again = restoring.follow(plan)
            assert "The backup is back already." in went_well(again)
            assert may_read not in again.stderr
            with pytest.raises(psycopg.OperationalError):
                reader.execute("select count(*) from kept")
        standby.catch_up()
        assert standby.execute("select what from kept", dbname=restoring.name("live")) == [("before",)]


def test_an_archive_in_s3_comes_with_a_secret_of_any_characters(restoring: Restoring) -> None:
    secret = "q\"uo\\te$HOME& 1'/+"
    with S3(secret_key=secret) as store:
        bucket = store.create_bucket()
        key = f"shop/{NAME}/r1.dump"
        store.client().upload_file(str(restoring.dump), bucket, key)
        plan = restoring.planned({"archive": f"s3://{bucket}/{key}", "endpoint_url": store.endpoint})
        access = {"BACKUP_ACCESS_KEY": store.access_key, "BACKUP_SECRET_KEY": secret}
        refused = restoring.follow(plan, **{**access, "BACKUP_SECRET_KEY": "other"})
        assert "403" in stopped(refused)
        assert names(restoring.server, plan) == ["fenced"]
        went_well(restoring.follow(plan, **access))
        restoring.is_back()
        assert (restoring.folder / "r1.dump").stat().st_mode & 0o077 == 0


# ----------------------------------------------------------------------------------------------------------- the jobs


@pytest.fixture(params=[("valkey", None), ("valkey", "pw '$HOME' größe"), ("redis", "pw-canary-51aa")])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Site]:
    flavour, password = request.param
    with Redis(password=password, flavour=flavour) as server:
        made_site = Site(server, tmp_path, 3)
        yield made_site
        made_site.close()


def contents(site: Site) -> dict[str, list[str]]:
    return {
        key: site.broker.lrange(key, 0, -1) for key in sorted(site.broker.keys("*")) if site.broker.type(key) == "list"
    }


def park(site: Site, *queues: str) -> None:
    """As worker_drain parks, by its own means."""
    server = redis_client.parsed(site.server.url(site.number, with_password=False))
    client = redis_client.connect(server, deadline=Deadline(30), password=site.server.password)
    broker = Broker(client, server, deadline=Deadline(30), reply_seconds=1)
    ledger = Ledger(broker, "shop", "r1")
    for key in [key for queue in queues for key in lists_of(queue)]:
        broker.park_list(key, ledger.parked_key(key), ledger.parked_index)
    client.close()


def test_every_parked_list_goes_back_to_its_own_in_its_order(site: Site, tmp_path: Path) -> None:
    for number, priority in enumerate([0, 3, 6, 9, 0, 6]):
        site.send("jobs.quick", number, priority=priority)
    site.send("jobs.quick", 7, queue="other queue")
    before = contents(site)
    assert len(before) == 5 and "celery\x06\x166" in before
    park(site, "celery", "other queue")
    assert not set(contents(site)) & set(before)
    site.send("jobs.quick", 8)  # came in meanwhile: it waits behind what was there
    late = contents(site)["celery"]

    plan = made(broker=site.server.url(site.number, with_password=False), queues=["celery", "other queue"])
    secret = {"REDISCLI_AUTH": site.server.password} if site.server.password else {"REDISCLI_AUTH": ""}
    assert "7 jobs were put back" in went_well(follow(plan, tmp_path, **secret))
    assert contents(site) == {**before, "celery": late + before["celery"]}
    assert "0 jobs were put back" in went_well(follow(plan, tmp_path, **secret))
    assert contents(site) == {**before, "celery": late + before["celery"]}


def test_a_broker_that_refuses_stops_it_with_what_it_said(redis_server: Redis, tmp_path: Path) -> None:
    plan = made(broker=redis_server.url(with_password=False))
    said = stopped(follow(plan, tmp_path))
    assert "the broker did not put the jobs back: NOAUTH" in said
    said = stopped(follow(plan, tmp_path, REDISCLI_AUTH="wrong"))
    assert "WRONGPASS" in said and "the broker did not put the jobs back" in said
    with RefusedPort() as refused:
        said = stopped(follow(made(broker=f"redis://{HOST}:{refused.port}/0"), tmp_path))
    assert "Connection refused" in said


@pytest.mark.parametrize(
    ("strange", "other"), [("opsready:shop:parked:r1:celery", "celery"), ("celery", "opsready:shop:parked:r1:celery")]
)
def test_a_list_that_is_none_is_told_and_no_job_is_lost(
    redis_server: Redis, tmp_path: Path, strange: str, other: str
) -> None:
    client = redis_server.client(9)
    client.sadd("opsready:shop:parked:r1", "celery")
    client.set(strange, "not a list")
    client.rpush(other, "a", "b")
    plan = made(broker=redis_server.url(9, with_password=False))
    assert "WRONGTYPE" in stopped(follow(plan, tmp_path, REDISCLI_AUTH=str(redis_server.password)))
    assert client.lrange(other, 0, -1) == ["a", "b"]
    client.flushdb()


def test_a_broker_on_a_socket_and_a_user_of_its_own(tmp_path: Path) -> None:
    with Redis(config={"unixsocket": "broker.sock"}) as server:
        client = server.client(2)
        client.execute_command("ACL", "SETUSER", "shop", "on", ">pw-canary-0c8e", "~*", "+@all")
        client.rpush("opsready:shop:parked:r1:celery", "a", "b")
        client.sadd("opsready:shop:parked:r1", "celery")
        url = f"unix://shop@{quote(str(server.directory))}/broker.sock?db=2"
        assert "2 jobs were put back" in went_well(follow(made(broker=url), tmp_path, REDISCLI_AUTH="pw-canary-0c8e"))
        assert client.lrange("celery", 0, -1) == ["a", "b"]


# ------------------------------------------------------------------------------------------------------- the services


@pytest.fixture(scope="module")
def app() -> t.Iterator[Supervised]:
    with Supervised() as supervised:
        yield supervised


def services(app: Supervised, **more: t.Any) -> rollback_plan.Plan:
    facts = {"supervisor": f"unix://{app.socket}", "supervisor_user": "golive", "health": [], "previous": "1.0.0"}
    ctl = str(Path(sys.executable).with_name("supervisorctl"))
    return made(**{**facts, "supervisorctl": ctl, **app.places(), **more})


@pytest.fixture
def serving(app: Supervised, tmp_path: Path) -> Supervised:
    """The backend runs, of version 1.0.0."""
    plan = services(app, programs={"backend": ["backend"]}, health=[app.url])
    went_well(follow(plan, tmp_path, SUPERVISOR_PASSWORD=app.password))
    assert states(app, "backend") == ["RUNNING"]
    return app


def states(app: Supervised, *programs: str) -> list[str]:
    ctl = [
        sys.executable,
        "-m",
        "supervisor.supervisorctl",
        "-s",
        f"unix://{app.socket}",
        "-u",
        "golive",
        "-p",
        app.password,
    ]
    said = subprocess.run([*ctl, "status", *programs], capture_output=True, text=True, check=False).stdout
    return [line.split()[1] for line in said.splitlines()]


def test_services_are_stopped_and_started_and_it_may_be_run_again(app: Supervised, tmp_path: Path) -> None:
    app.install(NAME)
    programs = {"backend": ["backend"], "workers": ["worker", "pair:*"], "schedulers": ["plain"]}
    plan = services(app, programs=programs, health=[app.url], user_path=app.url, previous=NAME)
    for _twice in range(2):
        said = went_well(follow(plan, tmp_path, SUPERVISOR_PASSWORD=app.password))
        assert f'"version": "{NAME}"' in said
        assert states(app, "backend", "worker", "pair:*", "plain") == ["RUNNING"] * 5
    assert os.readlink(app.current) == str(app.releases / NAME)


def test_a_program_that_is_unknown_need_not_stop_and_cannot_start(app: Supervised, tmp_path: Path) -> None:
    plan = services(app, programs={"backend": ["none-such"]})
    ended = follow(plan, tmp_path, SUPERVISOR_PASSWORD=app.password)
    assert "ROLLBACK stops at: " in stopped(ended)
    assert ended.stdout.count("none-such: ERROR (no such process)") == 2  # at stop, and at start


def test_supervisord_that_does_not_answer_is_not_taken_for_stopped(app: Supervised, tmp_path: Path) -> None:
    plan = services(app, programs={"backend": ["backend"]}, supervisor="unix:///nowhere/supervisor.sock")
    assert "whether backend runs is not known" in stopped(follow(plan, tmp_path, SUPERVISOR_PASSWORD=app.password))
    plan = services(app, programs={"backend": ["backend"]})
    assert "whether backend runs is not known" in stopped(follow(plan, tmp_path, SUPERVISOR_PASSWORD="wrong"))


def test_a_previous_version_that_is_gone_leaves_the_link_alone(serving: Supervised, tmp_path: Path) -> None:
    before = os.readlink(serving.current)
    said = stopped(
        follow(
            services(serving, previous="0.9.0", programs={"backend": ["backend"]}),
            tmp_path,
            SUPERVISOR_PASSWORD=serving.password,
        )
    )
    assert "the previous version is not there" in said
    assert os.readlink(serving.current) == before
    assert states(serving, "backend") == ["RUNNING"]


def test_over_several_hosts_the_first_block_that_stops_something_looks_whether_its_way_back_is_there(
    serving: Supervised, tmp_path: Path
) -> None:
    hosts = {"services": "app1", "database": "db1"}
    for way_back, said in (
        ({"previous": "0.9.0"}, "the previous version is not there"),
        ({"supervisorctl": "/nowhere/ctl"}, "/nowhere/ctl is not found"),
    ):
        plan = services(serving, programs={"backend": ["backend"]}, hosts=hosts, **way_back)
        ended = by_hand(plan, 2, tmp_path, SUPERVISOR_PASSWORD=serving.password)
        assert said in stopped(ended)
        assert states(serving, "backend") == ["RUNNING"]
    plan = services(serving, programs={"backend": ["backend"]}, hosts=hosts)
    went_well(by_hand(plan, 2, tmp_path, SUPERVISOR_PASSWORD=serving.password))
    assert states(serving, "backend") == ["STOPPED"]


def test_a_working_tree_that_is_not_clean_is_found_before_anything_stops(serving: Supervised, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "tree")
    commit = repository.commit("one", "1")
    tree = {"working_tree": str(repository.path), "commit": commit, "branch": ""}
    (repository.path / "by-hand").write_text("nobody's to throw away", encoding="utf-8")
    for hosts in ({}, {"services": "app1", "database": "db1"}):
        plan = {**services(serving, programs={"backend": ["backend"]}, hosts=hosts), "working_tree": tree}
        ended = by_hand(plan, 2, tmp_path, SUPERVISOR_PASSWORD=serving.password)
        assert "the working tree is not clean" in stopped(ended)
        assert states(serving, "backend") == ["RUNNING"]


def test_without_a_program_for_the_broker_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("bash", "sed"):
        (tmp_path / "bin" / program).symlink_to(t.cast(str, shutil.which(program)))
    flag = tmp_path / "flag"
    plan = made(broker="redis://h/0", flags=[str(flag)])
    ended = follow(plan, tmp_path, PATH=str(tmp_path / "bin"))
    assert "neither redis-cli nor valkey-cli is found" in stopped(ended)
    assert not flag.exists()


@pytest.mark.parametrize(("workers", "is_looked_for"), [("app1", True), ("app2", False)])
def test_over_several_hosts_it_is_looked_for_where_the_jobs_are_put_back(workers: str, is_looked_for: bool) -> None:
    hosts = {"services": "app1", "workers": workers, "database": "db1"}
    facts = {"supervisor": "unix:///nowhere.sock", "programs": {"backend": ["backend"]}, "broker": "redis://h/0"}
    text = rollback_document.render(made(hosts=hosts, **facts))
    stop_block = text.partition("Stop the new version")[2].partition("## ")[0]
    assert ("neither redis-cli nor valkey-cli is found" in stop_block) is is_looked_for


def test_what_is_typed_into_a_shell_means_the_same_and_its_rest_goes_nowhere(tmp_path: Path) -> None:
    folder, current = tmp_path / "wow!old", tmp_path / "current"
    (folder / "1.0.0").mkdir(parents=True)
    current.symlink_to("new")
    plan = made(current=str(current), releases_dir=str(folder), flags=[str(tmp_path / "flag!1")])
    typed(plan, tmp_path)
    assert os.readlink(current) == f"{folder}/1.0.0"
    assert not (tmp_path / "flag!1").exists()
    assert "the previous version is not there" in typed({**plan, "previous_version": "0.9.0"}, tmp_path).stderr
    assert os.readlink(current) == f"{folder}/1.0.0"


# ----------------------------------------------------------------------------------------------------- files and flags


def test_files_come_back_with_their_mode_and_links_as_links(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    (folder / "kept").mkdir(parents=True)
    (folder / "kept" / "000").write_text("KEY=old")
    (folder / "kept" / "000").chmod(0o600)
    (folder / "app.env").write_text("KEY=new")
    (folder / "link").symlink_to("new target")
    (folder / "new").write_text("came with the release")
    ids = {"uid": os.getuid(), "gid": os.getgid()}
    files = [
        {"path": str(folder / "app.env"), "kind": "file", "copy": "000", "mode": "0640", **ids},
        {"path": str(folder / "gone" / "app.env"), "kind": "file", "copy": "000", "mode": "0604", **ids},
        {"path": str(folder / "link"), "kind": "link", "target": "-old target"},
        {"path": str(folder / "new"), "kind": "absent"},
    ]
    for _twice in range(2):
        went_well(follow(made(files=files, snapshot_dir=str(folder / "kept")), tmp_path))
        assert (folder / "app.env").read_text() == "KEY=old"
        assert (folder / "app.env").stat().st_mode & 0o777 == 0o640
        assert (folder / "gone" / "app.env").stat().st_mode & 0o777 == 0o604
        assert os.readlink(folder / "link") == "-old target"
        assert not (folder / "new").exists()


def test_what_a_release_wrote_through_a_link_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    (folder / "shared").mkdir(parents=True)
    (folder / "kept").mkdir(mode=0o700)
    (folder / "shared" / ".env").write_text("KEY=old")
    (folder / "app.env").symlink_to("shared/.env")
    (folder / "later.env").symlink_to("shared/later")
    files = kept_files.keep([str(folder / name) for name in ("app.env", "later.env")], str(folder / "kept"))
    (folder / "app.env").write_text("KEY=new")
    (folder / "later.env").write_text("came with the release")
    for _twice in range(2):
        went_well(follow(made(files=files, snapshot_dir=str(folder / "kept")), tmp_path))
        assert (folder / "app.env").read_text() == "KEY=old"
        assert os.readlink(folder / "app.env") == "shared/.env"
        assert os.listdir(folder / "shared") == [".env"]


def test_only_a_flag_of_this_release_is_taken_off(tmp_path: Path) -> None:
    own, foreign, fresh = (tmp_path / f"{word} {NAME}" for word in ("own", "foreign", "fresh"))
    own.write_text('{"release": "r1", "reason": "release"}')
    foreign.write_text('{"release": "r0"}')
    ended = follow(made(flags=[str(own), str(foreign), str(fresh)]), tmp_path)
    went_well(ended)
    assert (own.exists(), foreign.exists(), fresh.exists()) == (False, True, False)
    assert foreign.read_text() == '{"release": "r0"}'
    assert f"Not set by this release, and so it stays: {foreign}" in ended.stderr
