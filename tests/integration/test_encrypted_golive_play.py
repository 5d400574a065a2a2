# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A go-live whose way back restores a backup is refused where nothing can read it, and where it would not have everything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.sealed_site import sealed_site
from tests.servers import Postgres, Standby


def without_age(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PATH of a host where the program was never installed."""
    directory.mkdir()
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    for program in (one for folder in folders if folder.is_dir() for one in folder.iterdir()):
        place = directory / program.name
        if program.name != "age" and not place.is_symlink():
            place.symlink_to(program)
    monkeypatch.setenv("PATH", str(directory))


def test_without_what_its_way_back_needs_nothing_begins(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sealed_site(postgres, tmp_path) as site, Standby(postgres) as standby:
        without_age(tmp_path / "bin", monkeypatch)
        standby.catch_up()
        postgres.execute(
            "create subscription prices connection 'host=nowhere' publication prices with (connect = false, slot_name = none)",
            dbname=site.database,
        )
        try:
            played = site.play("golive", codes=(2,))
        finally:
            postgres.execute("drop subscription prices", dbname=site.database)
        encrypted, tied, followed = site.written()["verdict"]["blocking"]
        assert (encrypted["id"], encrypted["status"]) == ("backup", "fail"), played.text[-3000:]
        assert "golive_secrets.backup_identity, which would read it, is not given" in encrypted["summary"]
        assert site.key.recipient in encrypted["summary"]
        assert "with the program age, which is not on the PATH of localhost: install it" in encrypted["summary"]
        assert (tied["id"], tied["status"]) == ("replication", "fail"), played.text[-3000:]
        assert "cannot carry over subscription prices: say golive_database.replication: leave" in tied["summary"]
        assert (followed["id"], followed["status"]) == ("standbys", "fail"), played.text[-3000:]
        assert "1 follow the server (copy at 127.0.0.1), and golive_database.standbys names 0" in followed["summary"]
        assert not (site.record / "releases").exists() or list((site.record / "releases").iterdir()) == []
        assert list(site.backups.iterdir()) == []
