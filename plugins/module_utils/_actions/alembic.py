# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alembic's revision files, read as text: which revisions there are, how they follow each other, what each can undo.

Nothing of the application is imported or executed here.
"""

from __future__ import annotations

import ast
import configparser
import dataclasses
import hashlib
import os
import re
import typing as t

from ansible_collections.opsready.golive.plugins.module_utils._actions import migration_reversibility
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput, Refused, UnexpectedAnswer


@dataclasses.dataclass(frozen=True)
class Revision:
    """One revision file."""

    identity: str
    down: tuple[str, ...]
    depends_on: tuple[str, ...]
    labels: tuple[str, ...]
    title: str
    path: str
    sha256: str
    verdict: migration_reversibility.Verdict

    def told(self) -> dict[str, t.Any]:
        return {
            "revision": self.identity,
            "follows": list(self.down),
            "title": self.title,
            "file": os.path.basename(self.path),
            "sha256": self.sha256,
            "rollback": self.verdict.kind,
            "reasons": list(self.verdict.reasons),
        }


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where an Alembic environment lies."""

    directory: str
    config: str
    script_location: str
    version_locations: tuple[str, ...]
    recursive: bool


def layout(directory: str, config: str | None, versions: t.Sequence[str]) -> Layout:
    """Read alembic.ini. Raises BadInput."""
    if not os.path.isdir(directory):
        raise BadInput(f"directory {directory} is not there.")
    path = os.path.join(directory, config or "alembic.ini")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        section = dict(parser["alembic"])
    except FileNotFoundError:
        raise BadInput(f"{path} is not there.", remedy="Name Alembic's configuration as config.")
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as problem:
        raise BadInput(f"{path} cannot be read as Alembic's configuration: {type(problem).__name__}.")

    def placed(text: str) -> str:
        return os.path.normpath(os.path.join(directory, text.replace("%(here)s", os.path.dirname(path)).strip()))

    location = section.get("script_location", "").strip()
    if not location or ":" in location:
        raise BadInput(
            f"script_location in {path} is {location or 'missing'}; a directory is needed.",
            remedy="Write script_location as a directory, and name others of revision files as versions.",
        )
    script = placed(location)
    # One that is named twice holds each revision once.
    found = list(dict.fromkeys(placed(one) for one in versions or _locations(section)))
    recursive = section.get("recursive_version_locations", "false").strip().lower() in ("true", "1", "yes", "on")
    return Layout(directory, path, script, tuple(found or [os.path.join(script, "versions")]), recursive)


def _locations(section: t.Mapping[str, str]) -> list[str]:
    text = section.get("version_locations", "").strip()
    name = section.get("path_separator", section.get("version_path_separator", "")).strip()
    separator = {"os": os.pathsep, "space": " ", "newline": "\n", ":": ":", ";": ";"}.get(name)
    return [one.strip() for one in (text.split(separator) if separator else re.split(r"[,\s]+", text)) if one.strip()]


def _literal(node: ast.expr, name: str, path: str) -> tuple[str, ...]:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise UnexpectedAnswer(f"{name} in {path} is computed; it must be written out.")
    if value is None:
        return ()
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, (tuple, list, set, frozenset)) or not all(isinstance(one, str) for one in values):
        raise UnexpectedAnswer(f"{name} in {path} is not a revision.")
    return tuple(values)


def read_revision(path: str) -> Revision | None:
    """One file; None when it holds no revision. Raises UnexpectedAnswer."""
    try:
        with open(path, "rb") as file:
            body = file.read()
        source = body.decode("utf-8")
        tree = ast.parse(source, filename=path)
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as problem:
        raise UnexpectedAnswer(f"{path} cannot be read as Python: {type(problem).__name__}.")
    found: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        for name, value in migration_reversibility.assigned(node):
            if name in ("revision", "down_revision", "depends_on", "branch_labels"):
                found[name] = _literal(value, name, path)
    if len(found.get("revision", ())) != 1:
        return None
    docstring = ast.get_docstring(tree) or ""
    return Revision(
        identity=found["revision"][0],
        down=found.get("down_revision", ()),
        depends_on=found.get("depends_on", ()),
        labels=found.get("branch_labels", ()),
        title=docstring.strip().splitlines()[0].strip() if docstring.strip() else "",
        path=path,
        sha256=hashlib.sha256(body).hexdigest(),
        verdict=migration_reversibility.judge(source, name=path),
    )


def _python_files(directory: str, recursive: bool) -> t.Iterator[str]:
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(one for one in folders if one != "__pycache__") if recursive else []
        yield from (os.path.join(folder, one) for one in sorted(files) if one.endswith(".py"))


class History:
    """All revisions of an environment. Raises UnexpectedAnswer for what does not hold together."""

    def __init__(self, revisions: t.Sequence[Revision]) -> None:
        self.revisions: dict[str, Revision] = {}
        for one in revisions:
            if one.identity in self.revisions:
                other = self.revisions[one.identity].path
                raise UnexpectedAnswer(f"Revision {one.identity} is in two files: {other} and {one.path}.")
            self.revisions[one.identity] = one
        for one in revisions:
            for before in self.parents(one.identity):
                if before not in self.revisions:
                    raise UnexpectedAnswer(f"{one.path} follows revision {before}, of which there is no file.")
        self._order = self._sorted()

    @staticmethod
    def read(found: Layout) -> History:
        revisions = []
        for location in found.version_locations:
            if not os.path.isdir(location):
                raise BadInput(f"{location} with the revision files is not there.")
            for path in _python_files(location, found.recursive):
                one = read_revision(path)
                if one is not None:
                    revisions.append(one)
        return History(revisions)

    def parents(self, identity: str) -> tuple[str, ...]:
        one = self.revisions[identity]
        by_label = {label: other.identity for other in self.revisions.values() for label in other.labels}
        return one.down + tuple(by_label.get(before, before) for before in one.depends_on)

    def _sorted(self) -> list[str]:
        """Every revision after those it follows. Raises UnexpectedAnswer for a circle."""
        order: list[str] = []
        waiting = {identity: set(self.parents(identity)) for identity in sorted(self.revisions)}
        while waiting:
            ready = [identity for identity, before in waiting.items() if not before]
            if not ready:
                raise UnexpectedAnswer(f"The revisions {', '.join(sorted(waiting)[:5])} follow each other in a circle.")
            for identity in ready:
                del waiting[identity]
                order.append(identity)
            for before in waiting.values():
                before.difference_update(ready)
        return order

    @property
    def heads(self) -> list[str]:
        followed = {before for one in self.revisions.values() for before in one.down}
        return sorted(identity for identity in self.revisions if identity not in followed)

    def head(self) -> str:
        """The one head. Raises Refused when there are several, UnexpectedAnswer when there is none."""
        heads = self.heads
        if not heads:
            raise UnexpectedAnswer("There is no revision file at all.")
        if len(heads) > 1:
            raise Refused(
                f"There are {len(heads)} heads: {', '.join(heads)}.",
                remedy="Merge them (alembic merge), or name the revision to go to.",
            )
        return heads[0]

    def resolve(self, wanted: str) -> str:
        """``head`` or a revision, which may be shortened as Alembic allows. Raises BadInput, Refused."""
        if wanted == "head":
            return self.head()
        if wanted in self.revisions:
            return wanted
        found = sorted(identity for identity in self.revisions if len(wanted) >= 4 and identity.startswith(wanted))
        if len(found) != 1:
            raise BadInput(
                f"Can't locate revision {wanted}: it is {'ambiguous' if found else 'in none of the revision files'}.",
                remedy="Only the code that brought a revision can take it back: use the directory of that release.",
            )
        return found[0]

    def ancestors(self, identities: t.Iterable[str]) -> set[str]:
        """The revisions themselves and everything they follow."""
        seen: set[str] = set()
        waiting = list(identities)
        while waiting:
            identity = waiting.pop()
            if identity not in seen:
                seen.add(identity)
                waiting.extend(self.parents(identity))
        return seen

    def require_known(self, current: t.Sequence[str], where: str) -> None:
        """Raises Refused when the database is at a revision that these files do not know."""
        unknown = [identity for identity in current if identity not in self.revisions]
        if unknown:
            raise Refused(
                f"{where} is at revision {', '.join(unknown)}, which is in none of the revision files (Alembic says "
                f"\"Can't locate revision identified by '{unknown[0]}'\").",
                remedy="These files are older than the database, or another branch's. A migration is taken back with "
                "the code that brought it, before the old code returns: use the directory of the newer release.",
            )

    def between(self, current: t.Iterable[str], target: str) -> list[Revision]:
        """What an upgrade to ``target`` runs, in order."""
        wanted = self.ancestors([target]) - self.ancestors(current)
        return [self.revisions[identity] for identity in self._order if identity in wanted]

    def undone(self, current: t.Iterable[str], target: str | None) -> list[Revision]:
        """What a downgrade to ``target`` (None: base) takes back, in order."""
        kept = set() if target is None else self.ancestors([target])
        unwanted = self.ancestors(current) - kept
        return [self.revisions[identity] for identity in reversed(self._order) if identity in unwanted]


def environment_files(found: Layout) -> dict[str, str]:
    """SHA-256 of the configuration and of every Python file of the environment, by path relative to the directory.

    A revision file may import others beside it, and ``env.py`` decides what runs: all of them are what was reviewed.
    """
    paths = {found.config, *_python_files(found.script_location, True)}
    for location in found.version_locations:
        paths.update(_python_files(location, True))
    hashes = {}
    for path in paths:
        with open(path, "rb") as file:
            hashes[os.path.relpath(path, found.directory)] = hashlib.sha256(file.read()).hexdigest()
    return dict(sorted(hashes.items()))
