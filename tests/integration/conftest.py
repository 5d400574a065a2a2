# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers, started once per test session and only when a test asks for one.

Tests share a server, never its contents: each takes a database, bucket or key prefix of its own. A test that breaks
or reconfigures a server starts one of its own from ``tests.servers``.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest

from tests.parts import need_part
from tests.servers import S3, Docker, MotoS3, Postgres, Redis, debian_postgres_versions, runs_as_root

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def postgres() -> t.Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def debian_postgres() -> t.Iterator[Postgres]:
    """An older server, of Debian's packages, which unlike the embedded one speaks TLS."""
    versions = debian_postgres_versions()
    need_part("debian-postgres", versions, "no postgresql package is installed")
    with Postgres(versions[0]) as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> t.Iterator[str]:
    """An empty database of this test's own on the shared server."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def redis_server() -> t.Iterator[Redis]:
    with Redis(password="redis-canary-4f1d9b") as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> t.Iterator[S3]:
    with S3() as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3() -> t.Iterator[MotoS3]:
    with MotoS3() as server:
        yield server


@pytest.fixture(scope="session")
def docker() -> t.Iterator[Docker]:
    """An engine; its containers have names of the test's own."""
    need_part("docker.io", shutil.which("dockerd"))
    need_part("gcc", shutil.which("gcc"))
    need_part("root", runs_as_root(), "dockerd needs root")
    with Docker() as server:
        yield server


@pytest.fixture(scope="session")
def ansible_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which ansible programs find this collection and touch nobody's home."""
    home = tmp_path_factory.mktemp("ansible")
    # A user's Python keeps what it writes to a pipe until there is a page of it.
    dropped = ("ANSIBLE_", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build"),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "local"),
        "ANSIBLE_REMOTE_TEMP": str(home / "remote"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
        "PYTHONPATH": str(ROOT / "build"),
    }
