# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libpq's connection strings are read as libpq reads them; libpq itself is the judge."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from ansible_collections.opsready.golive.plugins.module_utils._clients import conninfo
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

TEXTS = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=("Cs",)), max_size=12)
DSNS = [
    "postgresql://u@h/db",
    "postgres://u@h:5433/db?sslmode=require&application_name=a%20b",
    "postgresql://u%40x@h/my%20db",
    "postgresql://h",
    "postgresql:///db?host=/run/my%20pg&port=5433",
    "postgresql://%2Frun%2Fpg/db",
    "postgresql://u@[::1]:5432/db",
    "postgresql://u@a:1,b,[::1]:3/db?target_session_attrs=read-write",
    "postgresql://u@a,b/db",
    "postgresql://h/db?ssl=true",
    "postgresql://u@h?sslmode=require",
    "postgresql://u@h/a/b",
    "postgresql://h/db?host=other",
    "host=h dbname=db",
    "  host = 'a b'  dbname='it''s'".replace("''", "\\'"),
    r"dbname=a\ b user='x\\y' host=",
    "user='' dbname=db",
]


@pytest.mark.parametrize("dsn", DSNS)
def test_a_dsn_is_read_as_libpq_reads_it(dsn: str) -> None:
    assert conninfo.parsed(dsn) == {key: str(value) for key, value in conninfo_to_dict(dsn).items()}


@given(st.dictionaries(st.sampled_from(["host", "user", "options", "sslrootcert", "passfile"]), TEXTS), TEXTS)
def test_what_is_written_is_what_libpq_reads(parts: dict[str, str], dbname: str) -> None:
    written = conninfo.written(parts, dbname)
    assert conninfo_to_dict(written) == {**parts, "dbname": dbname}
    assert conninfo.parsed(written) == {**parts, "dbname": dbname}


@given(st.text(st.sampled_from("abh=' \\/:?&@%[],.20"), max_size=24), st.sampled_from(["", "postgresql://"]))
def test_whatever_is_read_is_read_as_libpq_does(text: str, scheme: str) -> None:
    dsn = (scheme + text).strip()
    try:
        read = conninfo.parsed(dsn)
    except BadInput:
        return
    assert read == {key: str(value) for key, value in conninfo_to_dict(dsn).items()}


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("", "way_back.dsn is empty"),
        ("database", "way_back.dsn cannot be read"),
        ("host='a", "way_back.dsn cannot be read"),
        ("postgresql://u@h:x/db", "way_back.dsn cannot be read"),
        ("postgresql://u@h/100%", "percent-encoded"),
        ("postgresql://u@h/db?pool_size=3", "way_back.dsn holds 'pool_size', which libpq does not know"),
        ("postgresql://u:geheim@h/db", "way_back.dsn holds a password"),
        ("host=h password=geheim", "way_back.dsn holds a password"),
        ("postgresql://u@h/db?sslpassword=geheim", "way_back.dsn holds a sslpassword"),
    ],
)
def test_what_libpq_would_not_take_is_refused_by_name_and_without_a_secret(dsn: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        conninfo.parsed(dsn, name="way_back.dsn")
    assert "geheim" not in str(refused.value)


def test_every_keyword_and_variable_is_libpqs_own() -> None:
    own = {o.keyword.decode(): o.envvar and o.envvar.decode() for o in psycopg.pq.Conninfo.get_defaults()}
    shared = {key: variable for key, variable in conninfo.VARIABLES.items() if key in own}
    assert shared == {key: own[key] for key in shared}
    assert {"host", "dbname", "sslmode", "service", "options", "user"} <= shared.keys()


def test_drivers_of_sqlalchemy_and_asyncpgs_ssl_are_understood() -> None:
    parts = conninfo.parsed("postgresql+asyncpg://u@h/db?ssl=verify-full")
    assert parts == {"user": "u", "host": "h", "dbname": "db", "sslmode": "verify-full"}


def test_a_database_left_to_the_environment_is_refused() -> None:
    with pytest.raises(BadInput, match="dsn names no database"):
        conninfo.database_of(conninfo.parsed("postgresql://u@h"))


@pytest.mark.parametrize(
    ("dsn", "means"),
    [
        ("postgresql://u@a:1,b:2/old", {"host": "a,b", "port": "1,2"}),
        ("postgresql://u@a,b/old", {"host": "a,b", "port": ","}),
        ("host='/run/my pg' port=5433 user=u", {"host": "/run/my pg", "port": "5433"}),
        ("postgresql://u@[::1]:5432/old", {"host": "::1", "port": 5432}),
    ],
)
def test_sqlalchemy_finds_the_same_place_in_the_url(dsn: str, means: dict[str, object]) -> None:
    url = make_url(conninfo.url_of(conninfo.parsed(dsn), "größe 100%", "postgresql+psycopg"))
    connected = url.get_dialect()().create_connect_args(url)[1]
    assert connected == {"user": "u", "dbname": "größe 100%", **means}
