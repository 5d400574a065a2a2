# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings travel as files: whole, private, and the later judging replaces the earlier."""

from __future__ import annotations

import errno
import hashlib
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import ActionFailed
from ansible_collections.opsready.golive.plugins.plugin_utils import spool


def _finding(identity: str, host: str, status: str = "pass") -> dict[str, t.Any]:
    return {"id": identity, "host": host, "status": status, "title": "Größe"}


def test_what_is_put_is_read_with_its_digest(tmp_path: Path) -> None:
    digest = spool.put(str(tmp_path), "pre_deploy", "web1", [_finding("a", "web1"), _finding("b", "web1")])
    path = tmp_path / "findings" / "pre_deploy" / "web1.json"
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "findings").stat().st_mode & 0o077 == 0
    assert spool.read(str(tmp_path), ["pre_deploy"]) == [_finding("a", "web1"), _finding("b", "web1")]


def test_a_later_batch_replaces_an_earlier_ones_finding(tmp_path: Path) -> None:
    spool.put(str(tmp_path), "pre_deploy", "web1", [_finding("a", "web1"), _finding("b", "web1")])
    spool.put(str(tmp_path), "pre_deploy.volatile", "web1", [_finding("b", "web1", "fail")])
    (tmp_path / "findings" / "pre_deploy" / ".tmp-left-by-a-kill").write_text("{")
    found = {
        finding["id"]: finding["status"] for finding in spool.read(str(tmp_path), ["pre_deploy", "pre_deploy.volatile"])
    }
    assert found == {"a": "pass", "b": "fail"}


def test_batches_that_never_came_are_empty(tmp_path: Path) -> None:
    assert spool.read(str(tmp_path), ["pre_deploy", "smoke"]) == []


@given(
    st.lists(
        st.text(alphabet=st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_hosts_of_any_name_are_kept_apart(hosts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for host in hosts:
            spool.put(folder, "pre_deploy", host, [_finding("a", host)])
        assert sorted(finding["host"] for finding in spool.read(folder, ["pre_deploy"])) == sorted(hosts)
        assert len(list((Path(folder) / "findings" / "pre_deploy").iterdir())) == len(hosts)


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _mode: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fchmod", full)
    with pytest.raises(
        ActionFailed, match=r"x\.json cannot be written on the controller: No space left on device\. Make room"
    ):
        spool.write_file(str(tmp_path / "x.json"), b"{}")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_descriptor: int, _mode: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fchmod", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spool.write_file(str(tmp_path / "x.json"), b"{}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ActionFailed, match="cannot be written on the controller: Not a directory"):
        spool.write_file(str(tmp_path / "file" / "deep" / "x.json"), b"{}")


def test_json_is_the_same_for_the_same_value() -> None:
    assert spool.as_json({"b": 1, "a": "ü"}) == spool.as_json({"a": "ü", "b": 1}) == '{"a":"ü","b":1}\n'.encode()
    assert spool.as_json({"half": "\ud83d"}) == b'{"half":"?"}\n'
