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
