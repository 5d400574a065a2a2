# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest is read back as written; anything else is named as what is wrong with it."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import datetime as dt
import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from ansible_collections.opsready.golive.plugins.module_utils._actions import (
    age,
    backup_proof,
    data_loss,
    database_facts,
    manifest,
    remains,
)
from ansible_collections.opsready.golive.plugins.module_utils._actions.databases import creation_clauses
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import Directory
from ansible_collections.opsready.golive.plugins.module_utils._actions.manifest import Manifest
from ansible_collections.opsready.golive.plugins.module_utils._actions.pg_backup import fresh_enough
from ansible_collections.opsready.golive.plugins.module_utils._actions.pg_restore import advances
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    ActionFailed,
    BadInput,
    UnexpectedAnswer,
)

OPERATIONS = "age1qpx8j2w9yv6ffkptm0zfedg3w7l9ufl4yrt0qx8tdq5s6kys3suqv0k2pm"
NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.timezone.utc)


PROPERTIES: dict[str, t.Any] = {
    "owner": "o",
    "encoding": "UTF8",
    "collate": "C",
    "ctype": "C",
    "locale_provider": "i",
    "locale": "de-AT",
    "icu_rules": None,
    "tablespace": "pg_default",
    "connection_limit": -1,
    "is_template": False,
    "comment": "Das Archiv",
    "grants": [
        {"grantor": "o", "grantee": None, "privilege": "CONNECT", "grantable": False},
        {"grantor": "r", "grantee": "s", "privilege": "CREATE", "grantable": True},
    ],
    "settings": [
        {"role": None, "values": ['search_path=app, "$user"', "app.key=1"]},
        {"role": "o", "values": ["work_mem=8MB"]},
    ],
    "security_labels": [{"provider": "p", "label": "l"}],
}


def made(**changes: t.Any) -> Manifest:
    values: dict[str, t.Any] = {
        "name": "a.dump.manifest.json",
        "database": "archive",
        "created": "2026-11-22T11:00:00.000Z",
        "finished": "2026-11-22T11:01:00.000Z",
        "server": {"version_num": 180006, "system_identifier": "1"},
        "snapshot": "773:775:773,774",
        "lsn": "0/2515440",
        "archive": {"name": "a.dump", "size": 3, "sha256": "0" * 64, "crc32": "00000000"},
        "tables": [{"schema": "public", "name": "t", "rows": 2, "content": "7"}],
        "large_objects": 0,
        "sequences": [
            {
                "schema": "public",
                "name": "s",
                "last_value": 2,
                "start": 1,
                "increment": 1,
                "min": 1,
                "max": 9,
                "cache": 1,
                "cycles": False,
            }
        ],
        "revision": ["0002"],
        "properties": PROPERTIES,
        "schema_sha256": "1" * 64,
        "verified": {"level": "restore", "ok": True, "seconds": 1.0},
        "release": None,
        "programs": {"version": "18.6"},
        "seconds": {"dump": 1.0},
    }
    return Manifest(**{**values, **changes})


def _broken(**changes: t.Any) -> bytes:
    return json.dumps({**json.loads(made().body()), **changes}).encode()


AGE = {"format": "age", "recipients": ["age1a", "age1b"], "sealed": ""}
SEALED = {**made().archive, "name": "a.dump.age", "encryption": AGE}
UNSEALED = {name: value for name, value in PROPERTIES.items() if name not in manifest.SEALED}


FILES = [
    {"name": "12.dat.gz", "size": 1, "sha256": "2" * 64, "crc32": "00000000", "version_id": None},
    {"name": "toc.dat", "size": 2, "sha256": "1" * 64, "crc32": "00000000", "version_id": "v"},
]
DIRECTORY = {
    "name": "a.dump",
    "format": "directory",
    "size": 3,
    "sha256": hashlib.sha256(f"{'2' * 64}  12.dat.gz\n{'1' * 64}  toc.dat\n".encode()).hexdigest(),
    "files": FILES,
    "roles": {"name": "a.dump.roles.sql", "size": 1, "sha256": "0" * 64},
}


def test_a_directory_is_all_of_its_files_wherever_its_manifest_lies() -> None:
    one = made(archive=DIRECTORY)
    assert (one.format, one.summary()["format"], made().format) == ("directory", "directory", "custom")
    names = ["a.dump/12.dat.gz", "a.dump/toc.dat", "a.dump.roles.sql"]
    assert [name for name, unused in manifest.parts_beside("a.dump.manifest.json", one)] == names
    assert [said.get("version_id") for unused, said in manifest.parts_beside("d/a.dump.manifest.json", one)] == [
        None,
        "v",
        None,
    ]
    assert [name for name, unused in manifest.parts_beside("d/a", one)] == [f"d/{name}" for name in names]
    assert [name for name, unused in manifest.parts_beside("d/a", made())] == ["d/a.dump"]


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    plain = made(archive={**made().archive, "encryption": None})
    for one in (made(), made(archive=SEALED), plain, made(archive=DIRECTORY)):
        assert manifest.parse(one.body(), where="x") == one


def test_whom_a_backup_is_for_stands_in_its_summary() -> None:
    told = made(archive=SEALED).summary()["encryption"]
    assert told == {"format": "age", "recipients": ["age1a", "age1b"]}
    # Manifests of before say nothing of it, and are of backups that are not encrypted.
    assert (made().recipients, made().summary()["encryption"], made().whole_properties(())) == (
        None,
        None,
        PROPERTIES,
    )


def test_properties_that_are_encrypted_are_read_by_who_reads_the_archive() -> None:
    own = age.Encryption.of({"recipients": [OPERATIONS], "identity": None}, is_read_back=True)
    assert own is not None

    def with_sealed(text: bytes) -> Manifest:
        archive = {**SEALED, "encryption": {**AGE, "sealed": base64.b64encode(own.body(text)).decode()}}
        return made(archive=archive, properties=UNSEALED)

    hidden = {name: PROPERTIES[name] for name in manifest.SEALED}
    found = with_sealed(json.dumps(hidden).encode())
    assert found.whole_properties(own.identities) == PROPERTIES
    assert manifest.parse(found.body(), where="x") == found
    with pytest.raises(UnexpectedAnswer, match=r"properties\.settings is unreadable"):
        with_sealed(json.dumps({**hidden, "settings": [{"role": None}]}).encode()).whole_properties(own.identities)
    for text in (b"{}", b"[]", b'{"settings": [], "comment": "", "owner": "me"}'):
        with pytest.raises(UnexpectedAnswer, match="its encrypted properties are unreadable"):
            with_sealed(text).whole_properties(own.identities)
    with pytest.raises(ActionFailed, match=r"The manifest a\.dump\.manifest\.json cannot be decrypted"):
        made(archive=SEALED).whole_properties(own.identities)


def test_what_is_encrypted_is_named_so_and_missed_where_its_manifest_is_not(tmp_path: Path) -> None:
    plain, sealed = (manifest.archive_name("a", NOW, "zz", is_encrypted=encrypted) for encrypted in (False, True))
    assert (sealed, manifest.roles_name(sealed)) == (f"{plain}.age", f"{plain}.roles.sql.age")
    assert manifest.roles_name(plain) == f"{plain}.roles.sql"
    place = Directory(str(tmp_path))
    parts = [name for archive in (plain, sealed) for name in (archive, manifest.roles_name(archive))]
    for name in (*parts, f"{sealed}.partial-1f", "a/notes.txt"):
        place.put(name, b"abc")
    assert len(remains.at_destination(place, "a", identity=None)) == 5
    place.put(manifest.manifest_name(sealed), b"{}")
    left = remains.at_destination(place, "a", identity=None)
    assert [one.name for one in left] == [place.url(name) for name in sorted([*parts[:2], f"{sealed}.partial-1f"])]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (_broken(format="other/2"), "format"),
        (_broken(database=7), "database"),
        (_broken(large_objects=True), "large_objects"),
        (_broken(archive={}), "archive.size"),
        (_broken(archive={"name": "a", "size": -1, "sha256": "0" * 64}), "archive.size"),
        (_broken(archive={"name": "a", "size": 1, "sha256": "z"}), "archive.sha256"),
        (_broken(archive={"size": 1, "sha256": "0" * 64}), "archive.name"),
        (_broken(archive={"name": "../../etc/passwd", "size": 1, "sha256": "0" * 64}), "leads elsewhere"),
        (_broken(archive={"name": "..", "size": 1, "sha256": "0" * 64}), "leads elsewhere"),
        (_broken(archive={"name": "a\0b", "size": 1, "sha256": "0" * 64}), "leads elsewhere"),
        (_broken(archive={"name": "a\ud800", "size": 1, "sha256": "0" * 64}), "leads elsewhere"),
        (_broken(name="a/b"), "no file's name"),
        (_broken(verified={"level": "hope", "ok": True}), "verified.level"),
        (_broken(snapshot="now"), "snapshot"),
        (_broken(created="yesterday"), "times"),
        (_broken(finished="0001-01-01T00:00:00+14:00"), "times"),
        (_broken(archive={**made().archive, "version_id": 7}), "version_id"),
        (_broken(archive={**made().archive, "encryption": "age"}), "how it is encrypted is unknown to this version"),
        (_broken(archive={**SEALED, "encryption": {**AGE, "format": "gpg"}}), "how it is encrypted is unknown"),
        (_broken(archive={**SEALED, "encryption": {**AGE, "recipients": []}}), "archive.encryption.recipients"),
        (_broken(archive={**SEALED, "encryption": {**AGE, "recipients": [1]}}), "archive.encryption.recipients"),
        (_broken(archive={**SEALED, "encryption": {**AGE, "sealed": "%"}}), "archive.encryption.sealed"),
        (_broken(archive={**SEALED, "encryption": {**AGE, "sealed": 1}}), "archive.encryption.sealed"),
        (_broken(archive={**made().archive, "roles": "a.sql"}), "archive.roles"),
        (
            _broken(archive={**made().archive, "roles": {"name": "../a", "size": 1, "sha256": "0" * 64}}),
            "archive.roles",
        ),
        (_broken(archive={**made().archive, "roles": {"name": "a", "size": -1, "sha256": "0" * 64}}), "archive.roles"),
        (_broken(archive={**made().archive, "roles": {"name": "a", "size": 1, "sha256": "z"}}), "archive.roles"),
        (
            _broken(archive={**made().archive, "roles": {"name": "a", "size": 1, "sha256": "0" * 64, "version_id": 1}}),
            "archive.roles",
        ),
        (_broken(archive={**made().archive, "format": "directory"}), "archive.files is missing"),
        (_broken(archive={**DIRECTORY, "files": {}}), "archive.files is unreadable"),
        (_broken(archive={**DIRECTORY, "format": "custom"}), "archive.files is unreadable"),
        (_broken(archive={**DIRECTORY, "files": [*FILES, {**FILES[0], "name": "../x"}]}), "a file of it is unreadable"),
        (_broken(archive={**DIRECTORY, "files": [{**FILES[0], "size": True}]}), "a file of it is unreadable"),
        (_broken(archive={**DIRECTORY, "files": [*FILES, FILES[0]]}), "two files of it have one name"),
        (_broken(archive={**DIRECTORY, "files": FILES[:1]}), "it has no toc.dat"),
        (_broken(archive={**DIRECTORY, "files": FILES[1:]}), "its files are not those of its archive"),
        (_broken(archive={**DIRECTORY, "size": 4}), "its files are not those of its archive"),
        (_broken(tables=[{"schema": "public", "name": "t", "rows": -1, "content": None}]), "table"),
        (_broken(tables=["t"]), "table"),
        (_broken(tables=[{"schema": "public", "name": "t", "rows": 1}]), "table"),
        (_broken(sequences=[{"name": "s"}]), "sequence"),
        (_broken(revision="0002"), "revision"),
        (_broken(revision=[2]), "revision"),
        (_broken(database="a\0"), "database"),
        (_broken(server={}), "server.version_num"),
        (_broken(server={**made().server, "system_identifier": 1}), "server.system_identifier"),
        (_broken(server={**made().server, "timeline": "1"}), "server.timeline"),
        (_broken(properties={}), "properties.owner is missing"),
        (_broken(properties=UNSEALED), "properties.settings is missing"),
        (_broken(properties={**PROPERTIES, "connection_limit": "33"}), "properties.connection_limit"),
        (_broken(properties={**PROPERTIES, "grants": [{**PROPERTIES["grants"][0], "privilege": "ALL"}]}), "grants"),
        (_broken(properties={**PROPERTIES, "settings": [["o", []]]}), "properties.settings"),
        (_broken(properties={**PROPERTIES, "comment": "\0"}), "properties.comment"),
        (_broken(properties={**PROPERTIES, "comment": "\ud800"}), "half a surrogate pair"),
        (_broken(properties={**PROPERTIES, "security_labels": None}), "properties.security_labels"),
        (_broken(sequences=[{**made().sequences[0], "increment": "1"}]), "sequence"),
        (_broken(sequences=[{**made().sequences[0], "cycles": None}]), "sequence"),
        (_broken(verified={"level": "restore", "ok": True}), "verified.seconds"),
        (_broken(only_superusers_make=["publication"]), "only_superusers_make"),
        (_broken(only_superusers_make=[{"kind": "publication", "name": 1}]), "only_superusers_make"),
        (_broken(unpublished_schema_sha256=7), "unpublished_schema_sha256"),
    ],
)
def test_a_damaged_manifest_is_refused_with_the_reason(body: bytes, said: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=said) as caught:
        manifest.parse(body, where="s3://b/x")
    assert "s3://b/x" in str(caught.value)


OF_BEFORE = ("unpublished_schema_sha256", "only_superusers_make")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Manifest) if field.name not in OF_BEFORE])
def test_each_field_is_needed(field: str) -> None:
    body = json.loads(made().body())
    del body[field]
    with pytest.raises(UnexpectedAnswer, match=field):
        manifest.parse(json.dumps(body).encode(), where="x")


def test_manifests_of_before_lack_what_they_did_not_know() -> None:
    body = json.loads(made(unpublished_schema_sha256="2" * 64, only_superusers_make=[]).body())
    for field in OF_BEFORE:
        del body[field]
    assert manifest.parse(json.dumps(body).encode(), where="x") == made()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(made().body()))), json_values)
def test_no_value_breaks_the_reader(field: str, value: t.Any) -> None:
    with contextlib.suppress(UnexpectedAnswer):
        manifest.parse(_broken(**{field: value}), where="x")


def paths(value: t.Any, above: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    """Where each value is, in a document."""
    if above:
        yield above
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*above, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from paths(one, (*above, number))


def read_by_everybody(found: Manifest, place: Path) -> None:
    """What is done with a manifest before and after a restore, but for the server's part."""
    assert json.loads(json.dumps(found.summary())) and found.body()
    where = Directory(str(place))
    manifest.parts_beside("d/a", found)
    backup_proof.Archive(where, "d", found).require_readable()
    asked = {
        "max_age": 1e12,
        "verify": "restore",
        "compare": "content",
        "amcheck": True,
        "encryption": None,
        "upload": None,
    }
    fresh_enough(_listed(found), place=where, asked={**asked, "verify_sql": []}, now=NOW, warn=lambda unused: None)
    whole = found.whole_properties(())
    for statement in database_facts._statements(found.database, whole):
        statement.as_string(None)
    for clause, value in creation_clauses(whole, 180000):
        assert clause and sql.Literal(value).as_string(None)
    sql.Identifier(str(whole["owner"]), whole.get("tablespace") or "").as_string(None)
    database_facts.differing_properties(whole, PROPERTIES)
    database_facts.differences(found.tables, made().tables)
    database_facts.sequences_behind(found.sequences, made().sequences)
    list(advances(made().sequences, found.sequences))
    list(advances(found.sequences, made().sequences))
    data_loss.large_objects_of(found.large_objects)
    with contextlib.suppress(BadInput):
        data_loss.parse_snapshot(found.snapshot)
    assert int(found.server["version_num"]) >= 0
    assert database_facts.readable((found.database,))


REAL = [
    json.loads(
        made(
            server={"version_num": 180006, "version": "PostgreSQL 18", "system_identifier": "1", "in_recovery": False,
                    "database_bytes": 7, "timeline": 1},
            archive={**archive, "version_id": None, "compression": "zstd", "lock": None, "stored_proof": "size"},
            verified={"level": "restore", "ok": True, "seconds": 1.0, "compared": "rows and content", "amcheck_seconds": 1.0,
                      "assertions": [{"query": "select 1", "found": "1"}]},
            only_superusers_make=[{"kind": "publication", "name": "p"}],
            unpublished_schema_sha256="2" * 64,
        ).body()
    )
    for archive in (made().archive, DIRECTORY)
]  # fmt: skip


def test_a_real_manifest_is_read_by_everybody(tmp_path: Path) -> None:
    for document in REAL:
        read_by_everybody(manifest.parse(json.dumps(document).encode(), where="x"), tmp_path)
    assert set(database_facts._PRIVILEGES) == set(manifest.GRANTED)


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(REAL), json_values | st.sampled_from(["\0", "\ud800", -1, True, [[]], [{}], [None]]))
def test_no_nested_value_breaks_a_reader(data: st.DataObject, real: dict[str, t.Any], value: t.Any) -> None:
    """What is read is either refused as a whole, or harms nobody who reads on."""
    *above, last = data.draw(st.sampled_from(list(paths(real))))
    document = copy.deepcopy(real)
    parent: t.Any = document
    for key in above:
        parent = parent[key]
    if data.draw(st.booleans()):
        parent[last] = value
    else:
        del parent[last]
    try:
        found = manifest.parse(json.dumps(document).encode(), where="x")
    except UnexpectedAnswer:
        return
    read_by_everybody(found, Path("/nowhere"))


@given(st.binary())
def test_no_bytes_break_the_reader(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        manifest.parse(body, where="x")


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=60))
def test_any_database_name_is_one_harmless_part_of_a_path(name: str) -> None:
    part = manifest.folder(name)
    assert "/" not in part
    assert part not in ("", ".", "..")
    assert not part.startswith(".")


def test_names_sort_by_time() -> None:
    earlier = manifest.archive_name("a", NOW, "zz")
    later = manifest.archive_name("a", NOW + dt.timedelta(seconds=1), "aa")
    assert earlier < later


def test_a_manifest_is_located_by_its_url() -> None:
    assert manifest.located("s3://b/p/x.manifest.json") == ("s3://b/p", "x.manifest.json")
    for url in ("s3://b/p/x.dump", "x", "s3://x.manifest.json", "file:///"):
        with pytest.raises(BadInput):
            manifest.located(url)


def _listed(*found: Manifest) -> list[manifest.Listed]:
    return [manifest.Listed(one.name, f"file:///{one.name}", one, None) for one in found]


HOUR = 3600.0
QUERY = {"query": "select count(*) from t", "found": "2"}


@pytest.fixture
def fresh(tmp_path: Path) -> t.Callable[..., manifest.Listed | None]:
    """``fresh_enough`` at a place where the archive lies; its ``warned`` is what it warned of."""
    place = Directory(str(tmp_path))
    place.put("a.dump", b"abc")

    def ask(*found: Manifest | manifest.Listed, **asked: t.Any) -> manifest.Listed | None:
        options = {"max_age": 2 * HOUR, "verify": "restore", "compare": "content", "verify_sql": [], "amcheck": False,
                   "encryption": None, "upload": None, **asked}  # fmt: skip
        listed = [one if isinstance(one, manifest.Listed) else _listed(one)[0] for one in found]
        return fresh_enough(listed, place=place, asked=options, now=NOW, warn=warned.append)

    warned: list[str] = []
    ask.warned = warned  # type: ignore[attr-defined]  # a function takes attributes
    return ask


def proof(level: str = "restore", compared: str = "rows and content", **more: t.Any) -> dict[str, t.Any]:
    return {"level": level, "ok": True, "compared": compared, "assertions": [QUERY], **more}


def asking(query: str, expect: str) -> list[dict[str, str]]:
    return [{"query": query, "expect": expect}]


WITHOUT_CONTENT = [{"schema": "public", "name": "t", "rows": 2, "content": None}]


@pytest.mark.parametrize(
    ("found", "asked", "is_taken"),
    [
        ({}, {}, True),
        ({}, {"max_age": HOUR / 2}, False),
        ({"created": "2026-11-23T11:00:00.000Z"}, {"max_age": 1e9}, False),
        ({"verified": proof(ok=False)}, {"verify": "head"}, False),
        ({"verified": proof("archive", "rows")}, {}, False),
        ({"verified": proof("archive", "rows")}, {"verify": "archive"}, True),
        ({"verified": proof("archive", "rows"), "tables": WITHOUT_CONTENT}, {"verify": "archive"}, False),
        ({"verified": proof("archive", "rows")}, {"verify": "head"}, True),
        ({"verified": proof(compared="rows")}, {}, False),
        ({"verified": proof(compared="rows"), "tables": WITHOUT_CONTENT}, {"compare": "rows"}, True),
        ({}, {"verify_sql": asking(QUERY["query"], "2")}, True),
        ({}, {"verify_sql": asking(QUERY["query"], "3")}, False),
        ({}, {"verify_sql": asking("select 1", "2")}, False),
        ({"verified": proof(assertions=None)}, {"verify_sql": asking(QUERY["query"], "2")}, False),
        ({}, {"encryption": {"recipients": ["age1a"]}}, False),
        ({"archive": {**made().archive, "encryption": AGE}}, {}, False),
        ({"archive": {**made().archive, "encryption": AGE}}, {"encryption": {"recipients": ["age1b ", "age1a"]}}, True),
        ({"archive": {**made().archive, "encryption": AGE}}, {"encryption": {"recipients": ["age1a"]}}, False),
        ({"verified": proof(assertions=["?"])}, {"verify_sql": asking(QUERY["query"], "2")}, False),
    ],
)
def test_a_recent_backup_counts_only_when_proven_well_enough(
    fresh: t.Any, found: dict[str, t.Any], asked: dict[str, t.Any], is_taken: bool
) -> None:
    assert (fresh(made(**{"verified": proof(), **found}), **asked) is not None) is is_taken
    assert fresh.warned == []


def test_a_backup_that_cannot_be_read_is_passed_over(fresh: t.Any) -> None:
    good = made(verified=proof())
    assert fresh(good, manifest.Listed("x", "x", None, "broken")).manifest is good
    assert fresh(manifest.Listed("x", "x", None, "broken")) is None


def test_a_recent_backup_that_is_not_there_any_more_is_told(fresh: t.Any) -> None:
    good = made(verified=proof())
    archive = {**good.archive, "size": 4}
    roles = {**good.archive, "roles": {"name": "a.dump.roles.sql", "size": 1, "sha256": "0" * 64}}
    gone = {**good.archive, "name": "b.dump"}
    for changed, said in (
        (archive, "a.dump has 3 bytes, and 4 were written"),
        (gone, "b.dump is not there"),
        (roles, "a.dump.roles.sql is not there"),
    ):
        assert fresh(dataclasses.replace(good, archive=changed)) is None
        assert fresh.warned.pop().endswith(f"{said}.")
        assert fresh(good, dataclasses.replace(good, archive=changed)).manifest is good
        fresh.warned.clear()


def test_an_unreadable_manifest_is_listed_with_its_problem(tmp_path: Path) -> None:
    place = Directory(str(tmp_path))
    place.put("archive/b.dump.manifest.json", made().body())
    place.put("archive/a.dump.manifest.json", b"{}")
    place.put("archive/a.dump", b"abc")
    place.put("other/c.dump.manifest.json", made(database="other").body())
    found = manifest.listed(place, "archive")
    assert [(one.name, one.problem is None) for one in found] == [
        ("archive/a.dump.manifest.json", False),
        ("archive/b.dump.manifest.json", True),
    ]
    assert len(manifest.listed(place, None)) == 3
    assert manifest.listed(place, "nothing") == []
