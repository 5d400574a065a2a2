# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artefacts are verified and unpacked whole, or not at all; nothing leaves its folder."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._actions import artefacts
from ansible_collections.opsready.golive.plugins.module_utils._actions.artefacts import Artefact
from ansible_collections.opsready.golive.plugins.module_utils._core.clock import Deadline
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import (
    BadInput,
    Refused,
    TimedOut,
    UnexpectedAnswer,
)


def member(name: str, content: bytes | None = b"x", **attributes: t.Any) -> tuple[tarfile.TarInfo, bytes | None]:
    info = tarfile.TarInfo(name)
    info.size = len(content) if content is not None else 0
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes | None]:
    return member(name, None, type=kind, linkname=target)


class Place:
    """A folder with releases and an archive."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.releases = root / "releases"
        self.current = root / "current"
        self.archive = root / "artefact.tar.gz"

    def write(self, *members: tuple[tarfile.TarInfo, bytes | None]) -> None:
        with tarfile.open(self.archive, "w:gz") as archive:
            for info, content in members:
                archive.addfile(info, io.BytesIO(content) if content is not None else None)

    def artefact(self, **options: t.Any) -> Artefact:
        digest = hashlib.sha256(self.archive.read_bytes()).hexdigest() if self.archive.exists() else "0" * 64
        return Artefact(
            {
                "src": str(self.archive),
                "sha256": digest,
                "version": "2.0",
                "releases_dir": str(self.releases),
                "current": str(self.current),
                **options,
            }
        )

    def pull(self, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return self.artefact(**options).pull(check_mode=check_mode, deadline=Deadline(30))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_archive_is_unpacked_whole_and_once(place: Place) -> None:
    place.write(
        member("app", None, type=tarfile.DIRTYPE),
        member("app/run", b"#!/bin/sh\n", mode=0o755),
        member("app/conf", b"a", mode=0o600),
        member("deep/er/file", b"b"),
        link("app/link", "../deep/er/file"),
        member("./", None, type=tarfile.DIRTYPE),
    )
    pulled = place.pull()
    assert pulled["changed"]
    folder = place.releases / "2.0"
    assert (folder / "app/link").read_text() == "b"
    assert (folder / "app/run").stat().st_mode & 0o777 == 0o755
    assert (folder / "app/conf").stat().st_mode & 0o777 == 0o644
    assert folder.stat().st_mode & 0o777 == 0o755
    assert not place.pull()["changed"]
    assert artefacts.running_digest(str(folder)) == pulled["digest"]
    (folder / "app" / "__pycache__").mkdir()
    (folder / "app" / "__pycache__" / "x.pyc").write_bytes(b"c")
    (folder / "written-by-the-app").write_text("new files are no alteration")
    assert artefacts.altered_files(str(folder)) == []
    assert [path.name for path in place.releases.iterdir()] == ["2.0"]


def test_leading_folders_can_be_left_out(place: Place) -> None:
    place.write(member("ablage-2.0", None, type=tarfile.DIRTYPE), member("ablage-2.0/app/x"))
    place.pull(strip_components=1)
    assert (place.releases / "2.0" / "app" / "x").exists()


@pytest.mark.parametrize(
    "bad",
    [
        [member("/etc/passwd")],
        [member("../outside")],
        [member("a/../../outside")],
        [member("a\\b")],
        [link("l", "/etc")],
        [link("l", "..")],
        [link("a/l", "../../x")],
        [link("l", "a/../../x")],
        [link("l", ".")],
        [link("l", "target"), member("l/x")],
        [member("target/x"), link("l", "target"), member("l/x")],
        [member("a"), member("a/b")],
        [member("a"), member("a")],
        [member("a"), link("a", "b")],
        [member("s", mode=0o4755)],
        [member("s", mode=0o2755)],
        [member("d", None, type=tarfile.CHRTYPE)],
        [member("f", None, type=tarfile.FIFOTYPE)],
        [member("a"), link("h", "a", tarfile.LNKTYPE)],
        [member(artefacts.RECORD)],
        [member("only", None, type=tarfile.DIRTYPE)],
    ],
)
def test_an_archive_that_reaches_out_is_refused_and_nothing_stays(
    place: Place, bad: list[tuple[tarfile.TarInfo, bytes | None]]
) -> None:
    place.write(member("good"), *bad) if bad[0][0].name != "only" else place.write(*bad)
    with pytest.raises(Refused):
        place.pull()
    assert list(place.releases.iterdir()) == []
    assert sorted(path.name for path in place.root.iterdir()) == ["artefact.tar.gz", "releases"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "a/b", "a/c", "b/../c", "./a", "a/l", "l", "l/x", "/r", "..", "a/l/y"]),
            st.sampled_from(["file", "..", ".", "a", "../b", "b/..", "../..", "/tmp", "a/../../x", "l"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_nothing_is_ever_written_or_pointed_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str]]
) -> None:
    place = Place(tmp_path_factory.mktemp("tar"))
    place.write(*(member(name) if what == "file" else link(name, what) for name, what in entries))
    try:
        place.pull()
    except (Refused, UnexpectedAnswer):
        assert list(place.releases.iterdir()) == []
    inside = os.path.realpath(place.releases)
    for folder, folders, files in os.walk(place.root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if path not in (str(place.releases), str(place.archive)):
                assert os.path.realpath(path).startswith(inside + os.sep)


def test_a_wrong_digest_unpacks_nothing(place: Place) -> None:
    place.write(member("a"))
    with pytest.raises(Refused, match="expected 1111"):
        place.pull(sha256="1" * 64)
    assert not place.releases.exists()


def test_something_that_is_no_archive_is_named(place: Place) -> None:
    place.archive.write_bytes(b"no tar at all")
    with pytest.raises(UnexpectedAnswer, match="not a whole tar archive"):
        place.pull()
    place.write(member("a", os.urandom(100_000)))
    place.archive.write_bytes(place.archive.read_bytes()[:5_000])
    with pytest.raises(UnexpectedAnswer, match="not a whole tar archive"):
        place.pull()
    assert list(place.releases.iterdir()) == []


def test_a_missing_archive_and_missing_options_are_named(place: Place) -> None:
    with pytest.raises(BadInput, match="no file that can be read"):
        place.pull()
    with pytest.raises(BadInput, match="src, sha256 and version"):
        place.pull(src=None)
    with pytest.raises(BadInput, match="64 hexadecimal"):
        place.pull(sha256="abc")
    for version in ("a/b", "..", "-x", ".hidden", "a b"):
        with pytest.raises(BadInput, match="cannot be a folder's name"):
            place.pull(version=version)


def test_an_archive_larger_than_the_disk_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(member("a"))
    monkeypatch.setattr(artefacts, "_SPARE_BYTES", 1 << 62)
    with pytest.raises(Refused, match="are free at"):
        place.pull()


def test_a_deadline_ends_the_unpacking_and_leaves_nothing(place: Place) -> None:
    place.write(member("a"))

    class Ticking(Deadline):
        calls = 0

        def require(self, doing: str) -> float:
            self.calls += 1
            if doing.startswith("Unpacking"):
                raise TimedOut("over")
            return 1.0

    with pytest.raises(TimedOut):
        place.artefact().pull(check_mode=False, deadline=Ticking(1))
    assert list(place.releases.iterdir()) == []


def test_two_pulls_do_not_meet_and_what_a_killed_one_left_is_removed(place: Place) -> None:
    place.write(member("a"))
    place.releases.mkdir()
    (place.releases / ".unpacking-2.0-killed").mkdir()
    holder = os.open(place.releases, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(Refused, match="Another pull"):
        place.pull()
    os.close(holder)
    place.pull()
    assert [path.name for path in place.releases.iterdir()] == ["2.0"]


def test_a_version_that_was_altered_or_is_not_ours_is_refused(place: Place) -> None:
    place.write(member("a"), link("l", "a"))
    place.pull()
    (place.releases / "2.0" / "a").write_text("altered")
    with pytest.raises(Refused, match="not as they were unpacked: a"):
        place.pull()
    with pytest.raises(Refused, match="not as they were unpacked"):
        place.artefact().require_intact("2.0")
    (place.releases / "2.0" / "a").unlink()
    with pytest.raises(Refused, match="not as they were unpacked"):
        place.pull()
    (place.releases / "3.0").mkdir()
    with pytest.raises(Refused, match="cannot be verified"):
        place.pull(version="3.0")
    (place.releases / "3.0" / artefacts.RECORD).write_text("{")
    assert artefacts.altered_files(str(place.releases / "3.0")) is None


def test_the_same_version_from_another_artefact_is_refused(place: Place) -> None:
    place.write(member("a"))
    place.pull()
    place.write(member("a", b"other"))
    with pytest.raises(Refused, match="unpacked from another artefact"):
        place.pull()


def test_the_link_is_switched_in_one_step_and_keeps_its_manner(place: Place) -> None:
    place.releases.mkdir()
    artefact = place.artefact()
    assert (artefact.current_version(), artefact.switched_at(), artefact.link_text()) == (None, None, None)
    artefact.point(artefact.text_for("1.0"))
    assert os.readlink(place.current) == str(place.releases / "1.0")
    artefact.point("releases/1.0")
    (place.root / f".current.{os.getpid()}").symlink_to("left over")
    artefact.point(artefact.text_for("2.0"))
    assert os.readlink(place.current) == "releases/2.0"
    assert artefact.current_folder() == str(place.releases / "2.0")
    assert artefact.switched_at() is not None
    artefact.remove_link()
    artefact.remove_link()
    assert not os.path.lexists(place.current)


def test_a_current_that_is_a_folder_is_refused(place: Place) -> None:
    place.current.mkdir()
    with pytest.raises(BadInput, match="not a symbolic link"):
        place.artefact()


def test_a_tree_digest_sees_content_names_links_and_the_executable_bit(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "d").mkdir()
    (tmp_path / "to").symlink_to("d")
    os.mkfifo(tmp_path / "pipe")
    seen = [artefacts.running_digest(str(tmp_path))]
    for change in (
        lambda: (tmp_path / "a").write_text("2"),
        lambda: (tmp_path / "a").chmod(0o755),
        lambda: (tmp_path / "a").rename(tmp_path / "b"),
        lambda: [(tmp_path / "to").unlink(), (tmp_path / "to").symlink_to("b")],
    ):
        change()
        seen.append(artefacts.running_digest(str(tmp_path)))
    assert len(set(seen)) == 5
    (tmp_path / "x.pyc").write_text("cache")
    assert artefacts.running_digest(str(tmp_path)) == seen[-1]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    artefacts.write_whole(str(path), b"old", mode=0o640)

    def full(*_unused: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        artefacts.write_whole(str(path), b"new", mode=0o640)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_an_archive_can_be_looked_at_aside(place: Place) -> None:
    place.write(member("a", b"x"))
    digest = hashlib.sha256(place.archive.read_bytes()).hexdigest()
    options: dict[str, t.Any] = {"strip": 0, "deadline": Deadline(30)}
    with artefacts.unpacked_aside(str(place.archive), f"sha256:{digest}", **options) as folder:
        assert (Path(folder) / "a").read_bytes() == b"x"
    assert not os.path.exists(folder)
    both = f"not the one that was named: its sha256 is {digest[:12]}…, expected {'0' * 12}…"
    with pytest.raises(Refused, match=both):
        with artefacts.unpacked_aside(str(place.archive), "0" * 64, **options):
            pass
    with pytest.raises(BadInput, match="cannot be read"):
        with artefacts.unpacked_aside(str(place.root / "none"), digest, **options):
            pass


def test_an_error_of_the_disk_is_not_taken_for_a_broken_archive(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(member("a"))

    def full(*_unused: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        place.pull()
    assert list(place.releases.iterdir()) == []
