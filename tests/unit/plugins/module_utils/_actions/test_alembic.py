# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Revision files are read as text: order, heads, and every way in which they do not hold together."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import alembic
from ansible_collections.opsready.golive.plugins.module_utils._actions.migrate import (
    preview_hash,
    rollback_kind,
    url_for,
)
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused, UnexpectedAnswer

REVERSIBLE = "def upgrade():\n    pass\n\ndef downgrade():\n    pass\n"
LOSSY = "def upgrade():\n    op.drop_table('t')\n\ndef downgrade():\n    op.create_table('t')\n"


def write(directory: Path, identity: str, down: object, *, body: str = REVERSIBLE, extra: str = "") -> None:
    versions = directory / "migrations" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    head = f'"""Step {identity}."""\n\nrevision = {identity!r}\ndown_revision: object = {down!r}\n{extra}\n'
    (versions / f"{identity}_step.py").write_text(head + textwrap.dedent(body))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "env.py").write_text("x = 1\n")
    return tmp_path


def read(directory: Path) -> alembic.History:
    return alembic.History.read(alembic.layout(str(directory), None, []))


def test_a_line_of_revisions_is_put_in_order(directory: Path) -> None:
    for identity, down in (("aaaa3", "aaaa2"), ("aaaa1", None), ("aaaa2", ("aaaa1",))):
        write(directory, identity, down)
    (directory / "migrations" / "versions" / "helper.py").write_text("x = 1\n")
    history = read(directory)
    assert history.head() == "aaaa3"
    assert [one.identity for one in history.between([], "aaaa3")] == ["aaaa1", "aaaa2", "aaaa3"]
    assert [one.identity for one in history.between(["aaaa2"], "aaaa3")] == ["aaaa3"]
    assert [one.identity for one in history.undone(["aaaa3"], "aaaa1")] == ["aaaa3", "aaaa2"]
    assert [one.identity for one in history.undone(["aaaa2"], None)] == ["aaaa2", "aaaa1"]
    assert history.revisions["aaaa1"].told()["title"] == "Step aaaa1."


def test_a_merge_and_a_dependency_are_followed(directory: Path) -> None:
    write(directory, "base", None, extra="branch_labels = ('main',)")
    write(directory, "left", "base")
    write(directory, "right", "base")
    write(directory, "both", ("left", "right"))
    write(directory, "other", None, extra="depends_on = 'main'")
    history = read(directory)
    assert [one.identity for one in history.between(["left"], "both")] == ["right", "both"]
    assert history.ancestors(["other"]) == {"other", "base"}
    with pytest.raises(Refused, match="2 heads: both, other"):
        history.head()


def test_a_revision_may_be_shortened_but_not_ambiguously(directory: Path) -> None:
    write(directory, "abcd1", None)
    write(directory, "abcd2", "abcd1")
    history = read(directory)
    assert history.resolve("abcd2") == "abcd2"
    assert history.resolve("head") == "abcd2"
    with pytest.raises(BadInput, match="ambiguous"):
        history.resolve("abcd")
    with pytest.raises(BadInput, match="Can't locate revision"):
        history.resolve("abc")
    write(directory, "wxyz9", "abcd2")
    assert read(directory).resolve("wxyz") == "wxyz9"


def test_a_database_that_is_ahead_of_the_files_is_explained(directory: Path) -> None:
    write(directory, "aaaa1", None)
    with pytest.raises(Refused, match="Can't locate revision identified by 'bbbb2'") as caught:
        read(directory).require_known(["bbbb2"], "archive")
    assert "code that brought it" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": "revision = 'x'\ndown_revision = None\n", "b": "revision = 'x'\ndown_revision = None\n"}, "two files"),
        ({"a": "revision = 'x'\ndown_revision = 'gone'\n"}, "there is no file"),
        ({"a": "revision = 'x'\ndown_revision = 'y'\n", "b": "revision = 'y'\ndown_revision = 'x'\n"}, "circle"),
        ({"a": "revision = (\n"}, "cannot be read as Python"),
        ({"a": "revision = make()\n"}, "computed"),
        ({"a": "revision = 7\n"}, "is not a revision"),
        ({}, "no revision file"),
    ],
)
def test_a_directory_that_does_not_hold_together_is_named(directory: Path, files: dict[str, str], said: str) -> None:
    versions = directory / "migrations" / "versions"
    versions.mkdir()
    for name, text in files.items():
        (versions / f"{name}.py").write_text(text + REVERSIBLE)
    with pytest.raises(UnexpectedAnswer, match=said):
        read(directory).head()


def test_a_file_that_is_not_utf8_is_named(directory: Path) -> None:
    write(directory, "aaaa1", None)
    (directory / "migrations" / "versions" / "bad.py").write_bytes(b"\xff\xfe")
    with pytest.raises(UnexpectedAnswer, match=r"bad\.py"):
        read(directory)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there"),
        ("[other]\n", "cannot be read"),
        ("no section", "cannot be read"),
        ("[alembic]\n", "missing"),
        ("[alembic]\nscript_location = package:migrations\n", "package:migrations"),
        ("[alembic]\nscript_location = nowhere\n", "revision files is not there"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "alembic.ini").write_text(text)
    with pytest.raises(BadInput, match=said):
        read(tmp_path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not there"):
        alembic.layout(str(tmp_path / "gone"), None, [])


@pytest.mark.parametrize(
    ("setting", "separator"), [("a:b", "os"), ("a b", "space"), ("a b", ""), ("a, b", ""), ("a\n b", "newline")]
)
def test_several_places_of_revision_files_are_read(tmp_path: Path, setting: str, separator: str) -> None:
    named = f"path_separator = {separator}\n" if separator else ""
    (tmp_path / "alembic.ini").write_text(f"[alembic]\nscript_location = m\n{named}version_locations = {setting}\n")
    found = alembic.layout(str(tmp_path), None, [])
    assert [Path(one).name for one in found.version_locations] == ["a", "b"]
    assert alembic.layout(str(tmp_path), None, ["c"]).version_locations == (str(tmp_path / "c"),)


def test_folders_below_are_read_when_alembic_reads_them(tmp_path: Path) -> None:
    settings = "[alembic]\nscript_location = migrations\nrecursive_version_locations = true\n"
    (tmp_path / "alembic.ini").write_text(settings)
    write(tmp_path, "aaaa1", None)
    below = tmp_path / "migrations" / "versions" / "2026"
    below.mkdir()
    (below / "b.py").write_text("revision = 'bbbb2'\ndown_revision = 'aaaa1'\n" + REVERSIBLE)
    assert read(tmp_path).head() == "bbbb2"


def test_every_python_file_of_the_environment_is_part_of_the_preview(directory: Path) -> None:
    write(directory, "aaaa1", None)
    found = alembic.layout(str(directory), None, [])

    def preview() -> str:
        return preview_hash(alembic.environment_files(found), [], "aaaa1", "SQL")

    names = sorted(alembic.environment_files(found))
    assert names == ["alembic.ini", "migrations/env.py", "migrations/versions/aaaa1_step.py"]
    seen = [preview()]
    (directory / "migrations" / "helper.py").write_text("x = 1\n")
    seen.append(preview())
    (directory / "migrations" / "env.py").write_text("x = 2\n")
    seen.append(preview())
    write(directory, "aaaa1", None, extra="# if not offline: DELETE")
    assert len({*seen, preview()}) == 4


def test_the_preview_depends_on_from_to_and_sql() -> None:
    files = {"a": "1"}
    hashes = {
        preview_hash(files, [], "b", "SQL"),
        preview_hash(files, ["a"], "b", "SQL"),
        preview_hash(files, [], "c", "SQL"),
        preview_hash(files, [], "b", "sql"),
        preview_hash(files, [], "b", None),
    }
    assert len(hashes) == 5
    assert preview_hash(files, ["a", "b"], "c", None) == preview_hash(files, ["b", "a"], "c", None)


def test_the_way_back_follows_the_worst_revision(directory: Path) -> None:
    write(directory, "aaaa1", None)
    write(directory, "aaaa2", "aaaa1", body=LOSSY)
    history = read(directory)
    assert rollback_kind([], restore_possible=True)[0] == "image_only"
    assert rollback_kind(history.between([], "aaaa1"), restore_possible=True)[0] == "downgrade"
    kind, why = rollback_kind(history.between([], "aaaa2"), restore_possible=True)
    assert (kind, "aaaa2 is lossy" in why) == ("restore", True)
    assert rollback_kind(history.between([], "aaaa2"), restore_possible=False)[0] == "forward_only"


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("postgresql://u@h:5433/old?sslmode=require", "x+y://u@h:5433/new_db?sslmode=require"),
        ("host=/run/pg user=u@x", "x+y://u%40x@/new_db?host=%2Frun%2Fpg"),
        ("host=::1 port=5432", "x+y://[::1]:5432/new_db"),
        ("hostaddr=10.0.0.1 dbname=old", "x+y://10.0.0.1/new_db"),
    ],
)
def test_the_url_names_the_other_database_and_no_password(dsn: str, url: str) -> None:
    assert url_for(dsn, "new_db", "x+y") == url


@pytest.mark.parametrize(
    ("scheme", "query"),
    [
        ("postgresql", "dbname=gr%C3%B6%C3%9Fe%201"),
        ("postgresql+psycopg", "dbname=gr%C3%B6%C3%9Fe%201"),
        ("postgresql+asyncpg", "database=gr%C3%B6%C3%9Fe%201"),
    ],
)
def test_a_name_that_a_path_would_quote_stands_where_every_sqlalchemy_reads_it(scheme: str, query: str) -> None:
    assert url_for("host=h sslmode=require", "größe 1", scheme) == f"{scheme}://h/?sslmode=require&{query}"
