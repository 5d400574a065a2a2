# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A system whose release drops a column and then never becomes healthy, so that an encrypted backup is its way back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from tests.age_keys import AgeKey, age_key
from tests.integration.alembic_projects import LOSSY, NOTES, release
from tests.integration.supervised import Supervised
from tests.integration.test_plain_system_play import Site
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


@contextlib.contextmanager
def sealed_site(server: Postgres, directory: Path) -> t.Iterator[SealedSite]:
    key = age_key(directory, "golive.txt")
    site = directory / "site"
    site.mkdir()
    with Supervised() as app, HttpServer() as proxy, HttpServer({"*": Answer(200, "ok")}) as team:
        made = SealedSite(app, proxy, team, site, server, key)
        try:
            yield made
        finally:
            for (name,) in server.execute("select datname from pg_database where datname like %s", f"{made.database}%"):
                server.drop_database(name)
            server.execute(f"drop role {made.role}")
