# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DSNs are understood, passwords in them refused, and programs get everything but the password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._clients import postgres
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput


@pytest.fixture(autouse=True)
def no_libpq_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSFILE", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u@h:5433/d?sslmode=require",
        "postgres://u@h:5433/d?sslmode=require",
        "postgresql+psycopg://u@h:5433/d?sslmode=require",
        "postgresql+asyncpg://u@h:5433/d?ssl=require",
        " host=h port=5433 user=u dbname=d sslmode=require ",
    ],
)
def test_every_spelling_of_a_dsn_means_the_same(dsn: str) -> None:
    found = postgres.normalised(dsn)
    assert found == {"host": "h", "port": "5433", "user": "u", "dbname": "d", "sslmode": "require"}


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:canary@h/d",
        "postgresql+asyncpg://u:canary@h/d",
        "postgresql://u@h/d?password=canary",
        "host=h password=canary",
        "host=h sslpassword=canary",
        "postgresql://u:canary@with@sign@h/d",
        "postgresql://u:canary%zz@h/d",
        "canary",
        "",
    ],
)
def test_a_password_in_a_dsn_is_refused_and_not_repeated(dsn: str) -> None:
    with pytest.raises(BadInput) as caught:
        postgres.normalised(dsn)
    assert "canary" not in str(caught.value)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(dsn: str) -> None:
    try:
        found = postgres.normalised(dsn)
    except BadInput:
        return
    assert "password" not in found


names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=20)


@given(names)
def test_any_database_name_survives_being_put_into_a_dsn(name: str) -> None:
    dsn = postgres.with_database("postgresql://u@h/old", name)
    assert postgres.database_of(dsn) == name
    assert postgres.normalised(dsn)["user"] == "u"


def test_the_database_is_libpqs_default_when_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert postgres.database_of("host=h user=u") == "u"
    with pytest.raises(BadInput, match="names no database"):
        postgres.database_of("host=h")
    monkeypatch.setenv("PGDATABASE", "p")
    assert postgres.database_of("host=h user=u") == "p"


def test_a_place_is_described_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert postgres.described("postgresql://u@h:5433/d") == "d at h:5433 as u"
    assert postgres.described("dbname=d", "other") == "other at the local socket:5432"
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert postgres.described("dbname=d") == "d at elsewhere:5432"


def test_a_program_gets_the_dsn_as_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "canary")
    monkeypatch.setenv("PGSERVICE", "other")
    monkeypatch.setenv("PGSSLROOTCERT", "/ca.pem")
    monkeypatch.setenv("PGPASSFILE", "/home/u/.pgpass")
    found = postgres.program_environment(
        "postgresql://u@h:5433/d?sslmode=require", "a=b c", settings={"lock_timeout": "3s", "search_path": "a b\\"}
    )
    wanted = {
        "PGHOST": "h",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGDATABASE": "a=b c",
        "PGSSLMODE": "require",
        "PGSSLROOTCERT": "/ca.pem",
        "PGAPPNAME": "opsready",
        "PGPASSFILE": "/home/u/.pgpass",
        "PGOPTIONS": "-c lock_timeout=3s -c search_path=a\\ b\\\\",
    }
    assert {key: found[key] for key in wanted} == wanted
    assert "PGPASSWORD" not in found
    assert found["LC_MESSAGES"] == "C"


def test_options_of_the_dsn_are_kept() -> None:
    dsn = "postgresql://u@h/d?options=-c%20work_mem%3D8MB&passfile=/p"
    found = postgres.program_environment(dsn, settings={"lock_timeout": 1})
    assert found["PGOPTIONS"] == "-c work_mem=8MB -c lock_timeout=1"
    assert found["PGPASSFILE"] == "/p"
    assert "PGOPTIONS" not in postgres.program_environment("postgresql://u@h/d")
