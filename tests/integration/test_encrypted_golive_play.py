# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A go-live whose way back restores an encrypted backup: refused without the identity, taken back with it."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.age_keys import AgeKey, age_key
from tests.integration.alembic_projects import LOSSY, NOTES, release
from tests.integration.supervised import Supervised
from tests.integration.test_plain_system_play import Site
from tests.leaks import assert_no_leak
from tests.servers import HOST, Answer, HttpServer, Postgres

MARKER = b"Geheimnis-2b9d04e6"


class SealedSite(Site):
    """The plain system with a database: the new version drops a column, and then never becomes healthy."""

    def __init__(
        self, app: Supervised, proxy: HttpServer, team: HttpServer, directory: Path, server: Postgres, key: AgeKey
    ) -> None:
        super().__init__(app, proxy, team, directory)
        self.server, self.key = server, key
        self.backups = directory / "backups"
        self.backups.mkdir()
        self.database = server.create_database()
        self.role = f"app_{os.urandom(4).hex()}"
        server.execute(f"create role {self.role} login password 'x'")
        project = release(directory / "project", ("0001", None, NOTES), ("0002", "0001", LOSSY))
        url = f"postgresql+psycopg://postgres@{HOST}:{server.port}/{self.database}"
        subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "0001"],
            cwd=project,
            env={**os.environ, "DATABASE_URL": url, "PGPASSWORD": str(server.password)},
            check=True,
            capture_output=True,
        )
        server.execute(f"insert into notes (id, text) values (1, '{MARKER.decode()}')", dbname=self.database)
        files = [path for path in project.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        extra = {str(path.relative_to(project)): path.read_bytes() for path in files}
        self.archive = app.artefact("2.0.0", extra)

    def variables(self) -> dict[str, t.Any]:
        known = super().variables()
        healthy = known["golive_services"]["gates"]
        sick = [{**gate, "timeout": 2, "json": [{"path": "$.status", "equals": "never"}]} for gate in healthy]
        return {
            **known,
            "golive_checklist": [{"id": "there", "title": "It answers", "check_http": {"url": f"{self.proxy.url}/health"}}],
            "golive_waivers": [],
            "golive_services": {**known["golive_services"], "gates": sick},
            "golive_database": {
                "dsn": self.server.dsn(self.database, password=None),
                "application_roles": [self.role],
                "pg_bindir": str(self.server.programs),
            },
            "golive_migration": {"directory": ".", "command": [sys.executable, "-m", "alembic"]},
            "golive_backup": {
                "destination": f"file://{self.backups}",
                "compression": "none",
                "encryption": {"recipients": [self.key.recipient]},
            },
            "golive_secrets": {**known["golive_secrets"], "database": self.server.password},
        }  # fmt: skip

    def notes(self) -> list[tuple[t.Any, ...]]:
        return self.server.execute("select id, text from notes", dbname=self.database)


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[SealedSite]:
    key = age_key(tmp_path_factory.mktemp("key"), "golive.txt")
    with Supervised() as app, HttpServer() as proxy, HttpServer({"*": Answer(200, "ok")}) as team:
        made = SealedSite(app, proxy, team, tmp_path_factory.mktemp("sealed"), postgres, key)
        yield made
        for (name,) in postgres.execute("select datname from pg_database where datname like %s", f"{made.database}%"):
            postgres.drop_database(name)
        postgres.execute(f"drop role {made.role}")


def test_without_the_identity_that_its_way_back_needs_nothing_begins(site: SealedSite) -> None:
    played = site.play("golive", codes=(2,))
    (blocking,) = site.written()["verdict"]["blocking"]
    assert (blocking["id"], blocking["status"]) == ("backup", "fail"), played.text[-3000:]
    assert "golive_secrets.backup_identity, which would read it, is not given" in blocking["summary"]
    assert site.key.recipient in blocking["summary"]
    assert not (site.record / "releases").exists() or list((site.record / "releases").iterdir()) == []
    assert list(site.backups.iterdir()) == []


def test_with_it_the_release_is_taken_back_from_what_nobody_else_can_read(site: SealedSite) -> None:
    secrets = {**site.variables()["golive_secrets"], "backup_identity": site.key.identity}
    played = site.play("golive", "-vvv", codes=(2,), golive_secrets=secrets)
    report = site.written()
    assert report["outcome"] == "rolled_back", played.text[-6000:]
    assert report["release"]["rollback"]["database"] == "restore"
    steps = {step["name"]: step["status"] for step in report["release"]["steps"]}
    assert (steps["migration"], steps["start"], steps["back_database"]) == ("done", "failed", "done")
    assert site.notes() == [(1, MARKER.decode())]

    stored = [path for path in site.backups.rglob("*") if path.is_file()]
    assert sorted("".join(path.suffixes[-2:]) for path in stored) == [".dump.age", ".manifest.json", ".sql.age"]
    (archive,) = [path for path in stored if path.name.endswith(".dump.age")]
    assert MARKER in site.key.decrypted(archive.read_bytes())
    assert [path for path in stored if MARKER in path.read_bytes()] == []
    written = (site.record / "releases" / site.release / "ROLLBACK.md").read_text()
    assert 'age -d -i "$BACKUP_IDENTITY"' in written and site.key.recipient in written

    assert_no_leak(site.key.secrets, played.text, "what the run printed")
    for path in (one for one in site.directory.rglob("*") if one.is_file() and one.name != "extra.yml"):
        assert_no_leak(site.key.secrets, path.read_text(errors="replace"), str(path))
