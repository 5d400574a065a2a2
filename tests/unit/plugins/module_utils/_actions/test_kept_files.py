# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are put back exactly as they were: content, mode, owner, links, and absence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions import kept_files
from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed, BadInput, Refused


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "kept"
    made.mkdir(mode=0o700)
    return str(made)


def test_everything_comes_back_as_it_was(tmp_path: Path, folder: str) -> None:
    plain, private, link, absent = (tmp_path / name for name in ("plain", "private", "link", "absent"))
    plain.write_bytes(b"\x00binary\xff")
    private.write_text("secret")
    private.chmod(0o600)
    link.symlink_to("plain")
    if os.geteuid() == 0:
        os.chown(private, 65534, 65534)
    paths = [str(path) for path in (plain, private, link, absent)]
    kept = kept_files.keep(paths, folder)
    kept_files.require_copies(kept, folder)
    assert all(kept_files.same(entry, kept_files.described(entry["path"])) for entry in kept)
    plain.write_text("changed")
    private.unlink()
    link.unlink()
    link.write_text("no link any more")
    absent.symlink_to("new")
    assert not any(kept_files.same(entry, kept_files.described(entry["path"])) for entry in kept)
    for entry in kept:
        kept_files.put_back(entry, folder)
        kept_files.put_back(entry, folder)
    assert plain.read_bytes() == b"\x00binary\xff"
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.stat().st_uid == (65534 if os.geteuid() == 0 else os.geteuid())
    assert os.readlink(link) == "plain"
    assert not os.path.lexists(absent)


def test_a_folder_that_went_away_is_made_again(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "sub" / "file"
    path.parent.mkdir()
    path.write_text("x")
    kept = kept_files.keep([str(path)], folder)
    path.unlink()
    path.parent.rmdir()
    kept_files.put_back(kept[0], folder)
    assert path.read_text() == "x"


def test_what_is_no_single_file_is_refused(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="neither a file nor a link"):
        kept_files.keep([str(tmp_path)], folder)
    with pytest.raises(BadInput, match="not an absolute path"):
        kept_files.keep(["relative"], folder)
    (tmp_path / "file").write_text("xx")
    with pytest.raises(BadInput, match="cannot be read"):
        kept_files.keep([str(tmp_path / "file" / "below")], folder)
    monkeypatch.setattr(kept_files, "MOST_BYTES", 1)
    with pytest.raises(BadInput, match="more than the 1"):
        kept_files.keep([str(tmp_path / "file")], folder)


def test_a_file_that_vanishes_between_two_looks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")

    def gone(path: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kept_files, "file_sha256", gone)
    with pytest.raises(BadInput, match="Permission denied"):
        kept_files.described(str(tmp_path / "file"))


def test_a_file_that_changes_while_it_is_copied_is_noticed(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    digests = iter(["a" * 64, "b" * 64])
    monkeypatch.setattr(kept_files, "file_sha256", lambda path: next(digests))
    with pytest.raises(ActionFailed, match="changed while it was copied"):
        kept_files.keep([str(tmp_path / "file")], folder)


def test_a_copy_that_is_gone_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("x")
    kept = kept_files.keep([str(tmp_path / "file"), str(tmp_path / "absent")], folder)
    os.unlink(os.path.join(folder, kept[0]["copy"]))
    with pytest.raises(Refused, match="gone or was altered"):
        kept_files.require_copies(kept, folder)


def test_a_file_that_is_not_as_it_was_afterwards_is_an_error(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    kept = kept_files.keep([str(tmp_path / "file")], folder)
    monkeypatch.setattr(kept_files, "same", lambda entry, now: False)
    with pytest.raises(ActionFailed, match="not as it was"):
        kept_files.put_back(kept[0], folder)


def test_a_description_never_shows_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("geheim-inhalt")
    (tmp_path / "link").symlink_to("file")
    told = [kept_files.shown(kept_files.described(str(tmp_path / name))) for name in ("file", "link", "none")]
    assert "geheim" not in "".join(told)
    assert told[1:] == ["link to file", "absent"]


def test_what_is_written_through_a_link_comes_back(tmp_path: Path, folder: str) -> None:
    shared, link, later = tmp_path / "shared", tmp_path / "app" / "app.env", tmp_path / "app" / "later.env"
    shared.mkdir()
    link.parent.mkdir()
    (shared / ".env").write_text("KEY=old")
    (shared / ".env").chmod(0o640)
    (shared / "current").symlink_to(".env")
    link.symlink_to("../shared/current")
    later.symlink_to("../shared/later")
    kept = kept_files.keep([str(link), str(later)], folder)
    assert [(entry["kind"], entry.get("through")) for entry in kept] == [
        ("link", None),
        ("link", None),
        ("link", str(link)),
        ("file", str(link)),
        ("absent", str(later)),
    ]
    assert kept_files.listed_paths(kept) == [str(link), str(later)]
    link.write_text("KEY=new")
    link.chmod(0o600)
    later.write_text("NEW=1")
    differing = [entry["path"] for entry in kept if not kept_files.same(entry, kept_files.described(entry["path"]))]
    assert differing == [str(shared / ".env"), str(shared / "later")]
    kept_files.require_copies(kept, folder)
    for entry in kept:
        kept_files.put_back(entry, folder)
    assert link.read_text() == "KEY=old"
    assert (shared / ".env").stat().st_mode & 0o777 == 0o640
    assert (os.readlink(link), os.readlink(shared / "current")) == ("../shared/current", ".env")
    assert not (shared / "later").exists()


def test_a_link_is_followed_as_the_kernel_does_through_a_linked_folder(tmp_path: Path, folder: str) -> None:
    (tmp_path / "releases" / "1").mkdir(parents=True)
    (tmp_path / "releases" / "shared.env").write_text("KEY=old")
    (tmp_path / "releases" / "1" / "app.env").symlink_to("../shared.env")
    (tmp_path / "current").symlink_to("releases/1")
    kept = kept_files.keep([str(tmp_path / "current" / "app.env")], folder)
    assert kept[1]["path"] == str(tmp_path / "releases" / "shared.env")


def test_a_file_that_is_listed_and_led_to_is_kept_once(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("one", "two"):
        (tmp_path / name).symlink_to("file")
    paths = [str(tmp_path / name) for name in ("one", "file", "two")]
    assert kept_files.listed_paths(kept_files.keep(paths, folder)) == paths
    assert [entry["path"] for entry in kept_files.keep([paths[0], paths[2]], folder)][2:] == [paths[1]]


def test_a_link_to_what_is_no_file_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "link").symlink_to(".")
    with pytest.raises(BadInput, match=r"link leads to what cannot be kept: .* neither a file nor a link"):
        kept_files.keep([str(tmp_path / "link")], folder)
    (tmp_path / "round").symlink_to("about")
    (tmp_path / "about").symlink_to("round")
    with pytest.raises(BadInput, match="leads round in a circle"):
        kept_files.keep([str(tmp_path / "round")], folder)
