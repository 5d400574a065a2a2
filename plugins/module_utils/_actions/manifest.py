# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a backup: written last, and what makes the backup exist.

Readers look only at manifests; an archive without one is the rest of something that failed.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import hashlib
import json
import re
import typing as t
from urllib.parse import quote

from ansible_collections.opsready.golive.plugins.module_utils._actions import age
from ansible_collections.opsready.golive.plugins.module_utils._actions.destinations import (
    MANIFEST_SUFFIX,
    ROLES_SUFFIX,
    Destination,
    split_object_url,
)
from ansible_collections.opsready.golive.plugins.module_utils._clients.s3 import Absent
from ansible_collections.opsready.golive.plugins.module_utils._core import foreign_json
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import parse_utc
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, UnexpectedAnswer

FORMAT = "opsready.golive/backup/1"
#: What a directory's table of contents is called.
CONTENTS = "toc.dat"
#: 5,000 tables with long names need 2 MiB, and in pg_dump's directory format, with a file for each, 4.
LARGEST_BYTES = 64 << 20
#: Properties of a database that may hold what is nobody's to read; of an encrypted backup they are encrypted too.
SEALED = ("settings", "comment")
#: What can be granted on a database.
GRANTED = ("CREATE", "TEMPORARY", "CONNECT")
#: Verification levels, weakest first.
LEVELS = ("head", "archive", "restore")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is known about one backup. Sizes in bytes, times in UTC (RFC 3339), durations in seconds."""

    name: str
    database: str
    created: str
    finished: str
    server: t.Mapping[str, t.Any]
    snapshot: str
    lsn: str
    archive: t.Mapping[str, t.Any]
    tables: t.Sequence[t.Mapping[str, t.Any]]
    large_objects: int
    sequences: t.Sequence[t.Mapping[str, t.Any]]
    revision: t.Sequence[str] | None
    properties: t.Mapping[str, t.Any]
    schema_sha256: str
    verified: t.Mapping[str, t.Any]
    release: str | None
    programs: t.Mapping[str, t.Any]
    seconds: t.Mapping[str, float]
    #: The schema without its publications, which a restore by who is no superuser leaves out. Manifests of before have neither.
    unpublished_schema_sha256: str | None = None
    only_superusers_make: t.Sequence[t.Mapping[str, t.Any]] | None = None

    @property
    def rows(self) -> int:
        return sum(int(table["rows"]) for table in self.tables)

    @property
    def format(self) -> str:
        """How pg_dump wrote it: custom, or directory."""
        return "custom" if self.archive.get("files") is None else "directory"

    @property
    def recipients(self) -> list[str] | None:
        """Whom the backup is encrypted to; None where it is not."""
        encryption = self.archive.get("encryption")
        return None if encryption is None else list(encryption["recipients"])

    def whole_properties(self, identities: age.Identities) -> dict[str, t.Any]:
        """``properties`` with those that are encrypted. Raises ActionFailed, UnexpectedAnswer."""
        encryption = self.archive.get("encryption")
        if encryption is None:
            return dict(self.properties)
        where = f"The manifest {self.name}"
        sealed = age.opened(base64.b64decode(encryption["sealed"]), identities, what=where)
        found = foreign_json.read(sealed.decode("utf-8", "replace"))
        _require(
            isinstance(found, dict) and set(found) == set(SEALED), "its encrypted properties are unreadable", where
        )
        whole = {**self.properties, **found}
        _require_properties(whole, SEALED, where)
        return whole

    def age_seconds(self, now: datetime.datetime) -> float:
        return (now - parse_utc(self.created)).total_seconds()

    def body(self) -> bytes:
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1, sort_keys=True, ensure_ascii=False)
        return text.encode("utf-8")

    def summary(self) -> dict[str, t.Any]:
        """What a list of backups shows."""
        return {
            "name": self.name,
            "database": self.database,
            "created": self.created,
            "size_bytes": self.archive["size"],
            "sha256": self.archive["sha256"],
            "format": self.format,
            "encryption": None if self.recipients is None else {"format": age.FORMAT, "recipients": self.recipients},
            "tables": len(self.tables),
            "rows": self.rows,
            "revision": None if self.revision is None else list(self.revision),
            "verified": dict(self.verified),
            "release": self.release,
        }


def _require(holds: bool, what: str, where: str) -> None:
    if not holds:
        raise UnexpectedAnswer(f"{where} is not a manifest of a backup: {what}.")


def parse(body: bytes, *, where: str) -> Manifest:
    """Raises UnexpectedAnswer, naming what is wrong, for anything but a manifest of this format."""
    try:
        found = foreign_json.read(body.decode("utf-8"))
    except ValueError:
        raise UnexpectedAnswer(f"{where} is not a manifest of a backup: it is not JSON.")
    _require(isinstance(found, dict), "it is not an object", where)
    _require(found.get("format") == FORMAT, f"its format is not {FORMAT}", where)
    kinds: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "t.Mapping[str, t.Any]": (dict,),
        "t.Mapping[str, float]": (dict,),
        "t.Sequence[t.Mapping[str, t.Any]]": (list,),
        "t.Sequence[t.Mapping[str, t.Any]] | None": (list, type(None)),
        "t.Sequence[str] | None": (list, type(None)),
        "str | None": (str, type(None)),
    }
    values: dict[str, t.Any] = {}
    for field in dataclasses.fields(Manifest):
        if field.name not in found and field.default is not dataclasses.MISSING:
            continue
        _require(field.name in found, f"{field.name} is missing", where)
        value = found[field.name]
        good = isinstance(value, kinds[str(field.type)]) and not isinstance(value, bool)
        _require(good, f"{field.name} is not what it should be", where)
        values[field.name] = value
    _require_parts(values, where)
    made = Manifest(**values)
    try:
        made.body()
    except UnicodeEncodeError:
        _require(False, "it holds half a surrogate pair", where)
    return made


def _is_number(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: t.Any) -> bool:
    return _is_number(value) and value >= 0


def _is_text(value: t.Any) -> bool:
    """PostgreSQL has no name and no text with a NUL in it."""
    return isinstance(value, str) and "\0" not in value


def _is_text_or_none(value: t.Any) -> bool:
    return value is None or _is_text(value)


def _are_dicts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _is_file_name(value: t.Any) -> bool:
    """Printable: what is no text that can be encoded, or holds a NUL, is not."""
    return isinstance(value, str) and value.isprintable() and "/" not in value and value not in ("", ".", "..")


def _require_parts(values: t.Mapping[str, t.Any], where: str) -> None:
    archive, verified = values["archive"], values["verified"]
    _require(_is_count(archive.get("size")), "archive.size is not a number of bytes", where)
    sha256 = archive.get("sha256")
    _require(isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256) is not None, "archive.sha256", where)
    _require(isinstance(archive.get("name"), str) and bool(archive["name"]), "archive.name is missing", where)
    _require(_is_file_name(values["name"]), "its name is no file's name", where)
    _require(_is_file_name(archive["name"]), "archive.name leads elsewhere", where)
    _require(isinstance(archive.get("version_id"), (str, type(None))), "archive.version_id is no text", where)
    _require_files(archive, where)
    _require_roles(archive.get("roles"), where)
    _require_encryption(archive.get("encryption"), where)
    _require(verified.get("level") in LEVELS, "verified.level is unknown", where)
    _require(re.fullmatch(r"\d+:\d+:[\d,]*", values["snapshot"]) is not None, "snapshot is unreadable", where)
    try:
        for moment in ("created", "finished"):
            parse_utc(values[moment]).astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        _require(False, "its times are unreadable", where)
    _require(_is_text(values["database"]), "its database has no name", where)
    _require_server(values["server"], where)
    sealed = () if archive.get("encryption") is None else SEALED
    _require_properties(values["properties"], [name for name in _NEEDED if name not in sealed], where)
    is_timed = isinstance(verified.get("seconds"), (int, float)) and not isinstance(verified["seconds"], bool)
    _require(is_timed or verified.get("ok") is not True, "verified.seconds is no number", where)
    _require(all(_is_text(one) for one in values["revision"] or ()), "revision is unreadable", where)
    for table in values["tables"]:
        good = (
            isinstance(table, dict)
            and _is_text(table.get("schema"))
            and _is_text(table.get("name"))
            and _is_count(table.get("rows"))
            and "content" in table
            and isinstance(table["content"], (str, type(None)))
        )
        _require(good, "a table of it is unreadable", where)
    for sequence in values["sequences"]:
        good = (
            isinstance(sequence, dict)
            and _is_text(sequence.get("schema"))
            and _is_text(sequence.get("name"))
            and "last_value" in sequence
            and (sequence["last_value"] is None or _is_number(sequence["last_value"]))
            and all(_is_number(sequence.get(key)) for key in ("increment", "min", "max", "cache"))
            and isinstance(sequence.get("cycles"), bool)
        )
        _require(good, "a sequence of it is unreadable", where)
    for one in values.get("only_superusers_make") or ():
        good = isinstance(one, dict) and isinstance(one.get("kind"), str) and _is_text(one.get("name"))
        _require(good, "only_superusers_make is unreadable", where)


def _require_server(server: t.Mapping[str, t.Any], where: str) -> None:
    """``timeline`` came later."""
    _require(_is_count(server.get("version_num")), "server.version_num is unreadable", where)
    _require(_is_text_or_none(server.get("system_identifier")), "server.system_identifier is unreadable", where)
    for name in ("timeline", "database_bytes"):
        _require(server.get(name) is None or _is_count(server[name]), f"server.{name} is unreadable", where)


def _is_grant(one: t.Mapping[str, t.Any]) -> bool:
    return (
        {"grantor", "grantee"} <= set(one)
        and _is_text_or_none(one["grantor"])
        and _is_text_or_none(one["grantee"])
        and one.get("privilege") in GRANTED
        and isinstance(one.get("grantable"), bool)
    )


def _is_setting(one: t.Mapping[str, t.Any]) -> bool:
    values = one.get("values")
    return "role" in one and _is_text_or_none(one["role"]) and isinstance(values, list) and all(map(_is_text, values))


def _is_label(one: t.Mapping[str, t.Any]) -> bool:
    return _is_text(one.get("provider")) and _is_text(one.get("label"))


#: What each property of a database is.
_PROPERTIES: dict[str, t.Callable[[t.Any], bool]] = {
    **dict.fromkeys(
        ("encoding", "collate", "ctype", "locale_provider", "locale", "icu_rules", "tablespace", "comment"),
        _is_text_or_none,
    ),
    "owner": _is_text,
    "connection_limit": _is_number,
    "is_template": lambda value: value is None or isinstance(value, bool),
    "grants": lambda value: value is None or (_are_dicts(value) and all(map(_is_grant, value))),
    "settings": lambda value: _are_dicts(value) and all(map(_is_setting, value)),
    "security_labels": lambda value: _are_dicts(value) and all(map(_is_label, value)),
}
#: Those that a database is given, and that a manifest has always had.
_NEEDED = ("owner", "connection_limit", "grants", "settings")


def _require_properties(properties: t.Mapping[str, t.Any], needed: t.Iterable[str], where: str) -> None:
    for name in needed:
        _require(name in properties, f"properties.{name} is missing", where)
    for name, is_good in _PROPERTIES.items():
        _require(name not in properties or is_good(properties[name]), f"properties.{name} is unreadable", where)


def _require_files(archive: t.Mapping[str, t.Any], where: str) -> None:
    """Those of a directory. Size and digest of the archive are theirs together."""
    files = archive.get("files")
    if files is None:
        _require(archive.get("format") in (None, "custom"), "archive.files is missing", where)
        return
    _require(isinstance(files, list) and archive.get("format") == "directory", "archive.files is unreadable", where)
    for one in files:
        good = (
            isinstance(one, dict)
            and _is_file_name(one.get("name"))
            and _is_count(one.get("size"))
            and re.fullmatch(r"[0-9a-f]{64}", str(one.get("sha256"))) is not None
            and isinstance(one.get("version_id"), (str, type(None)))
        )
        _require(good, "a file of it is unreadable", where)
    names = {one["name"] for one in files}
    _require(len(names) == len(files), "two files of it have one name", where)
    _require(bool(names & {CONTENTS, CONTENTS + age.SUFFIX}), f"it has no {CONTENTS}", where)
    whole = directory_sha256((one["name"], one["sha256"]) for one in files)
    is_whole = (archive["size"], archive["sha256"]) == (sum(one["size"] for one in files), whole)
    _require(is_whole, "its files are not those of its archive", where)


def directory_sha256(files: t.Iterable[tuple[str, str]]) -> str:
    """One digest for files of (name, SHA-256): that of ``LC_ALL=C sha256sum * | sha256sum`` among them."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _require_roles(roles: t.Any, where: str) -> None:
    """The SQL beside the archive. A manifest may be without."""
    if roles is None:
        return
    good = (
        isinstance(roles, dict)
        and _is_file_name(roles.get("name"))
        and _is_count(roles.get("size"))
        and re.fullmatch(r"[0-9a-f]{64}", str(roles.get("sha256"))) is not None
        and isinstance(roles.get("version_id"), (str, type(None)))
    )
    _require(good, "archive.roles is unreadable", where)


def _require_encryption(encryption: t.Any, where: str) -> None:
    """How archive and roles are encrypted. A manifest without is of a backup that is not."""
    if encryption is None:
        return
    is_known = isinstance(encryption, dict) and encryption.get("format") == age.FORMAT
    _require(is_known, "how it is encrypted is unknown to this version", where)
    recipients = encryption.get("recipients")
    good = isinstance(recipients, list) and bool(recipients) and all(isinstance(one, str) for one in recipients)
    _require(good, "archive.encryption.recipients is unreadable", where)
    try:
        base64.b64decode(encryption.get("sealed") or "", validate=True)
    except (ValueError, TypeError, binascii.Error):
        _require(False, "archive.encryption.sealed is unreadable", where)


def folder(database: str) -> str:
    """A database's name as one part of a path."""
    quoted = quote(database, safe="")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def archive_name(database: str, created: datetime.datetime, identity: str, *, is_encrypted: bool = False) -> str:
    """``<database>/<time>-<identity>.dump``, with ``.age`` where it is encrypted: sorts by time, and is nobody else's."""
    moment = created.astimezone(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return f"{folder(database)}/{moment}-{identity}.dump{age.SUFFIX if is_encrypted else ''}"


def roles_name(archive: str) -> str:
    """What the SQL beside an archive is called; it is encrypted where the archive is."""
    bare = archive.removesuffix(age.SUFFIX)
    return bare + ROLES_SUFFIX + archive[len(bare) :]


def manifest_name(archive: str) -> str:
    return archive + MANIFEST_SUFFIX


def load(place: Destination, name: str) -> Manifest:
    """Read one manifest. Raises Absent, UnexpectedAnswer."""
    return parse(place.read(name, limit=LARGEST_BYTES), where=place.url(name))


def archive_beside(name: str, manifest: Manifest) -> str:
    """The archive's name at the place where the manifest has this name."""
    folder, slash, unused = name.rpartition("/")
    return f"{folder}{slash}{manifest.archive['name']}"


def roles_beside(name: str, manifest: Manifest) -> str | None:
    """The name, at the same place, of the SQL that makes the roles; None where there is none."""
    folder, slash, unused = name.rpartition("/")
    roles = manifest.archive.get("roles")
    return None if roles is None else f"{folder}{slash}{roles['name']}"


def archive_files(manifest: Manifest) -> list[tuple[str, t.Mapping[str, t.Any]]]:
    """What the archive is stored as, each with what the manifest says of it: its one file, or all of its directory.

    Names are relative to where the manifest lies.
    """
    archive = manifest.archive
    if archive.get("files") is None:
        return [(str(archive["name"]), archive)]
    return [(f"{archive['name']}/{one['name']}", one) for one in archive["files"]]


def files_beside(name: str, manifest: Manifest) -> list[tuple[str, t.Mapping[str, t.Any]]]:
    """``archive_files`` by their names at the place where the manifest has this name."""
    folder, slash, unused = name.rpartition("/")
    return [(f"{folder}{slash}{part}", said) for part, said in archive_files(manifest)]


def parts_beside(name: str, manifest: Manifest) -> list[tuple[str, t.Mapping[str, t.Any]]]:
    """All that a backup consists of but the manifest of this name, each with what the manifest says of it."""
    beside = roles_beside(name, manifest)
    files = files_beside(name, manifest)
    return files if beside is None else [*files, (beside, manifest.archive["roles"])]


def located(url: str) -> tuple[str, str]:
    """A manifest's URL as (place, name); the archive lies beside it."""
    place, name = split_object_url(url)
    if not name.endswith(MANIFEST_SUFFIX):
        raise BadInput(f"{url} does not name a manifest.", remedy="It ends with .manifest.json; see state: listed.")
    return place, name


@dataclasses.dataclass(frozen=True)
class Listed:
    """A backup found at a place, or why it cannot be read."""

    name: str
    url: str
    manifest: Manifest | None
    problem: str | None


def listed(place: Destination, database: str | None, *, names: t.Sequence[str] | None = None) -> list[Listed]:
    """All backups at a place, oldest first; an unreadable manifest is listed with its problem and never counts.

    ``names`` are those below the database's folder, where they are known already.
    """
    found = []
    for name in place.names(folder(database) if database is not None else "") if names is None else names:
        if not name.endswith(MANIFEST_SUFFIX):
            continue
        try:
            manifest = load(place, name)
        except Absent:  # removed since it was listed
            continue
        except UnexpectedAnswer as problem:
            found.append(Listed(name, place.url(name), None, str(problem)))
            continue
        if database is None or manifest.database == database:
            found.append(Listed(name, place.url(name), manifest, None))
    return sorted(found, key=lambda one: (one.manifest.created if one.manifest else "", one.name))
