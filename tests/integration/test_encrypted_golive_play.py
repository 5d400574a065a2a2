# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A go-live whose way back restores an encrypted backup is refused where nothing that reads it is at hand."""

from __future__ import annotations

from pathlib import Path

from tests.integration.sealed_site import sealed_site
from tests.servers import Postgres


def test_without_the_identity_that_its_way_back_needs_nothing_begins(postgres: Postgres, tmp_path: Path) -> None:
    with sealed_site(postgres, tmp_path) as site:
        played = site.play("golive", codes=(2,))
        (blocking,) = site.written()["verdict"]["blocking"]
        assert (blocking["id"], blocking["status"]) == ("backup", "fail"), played.text[-3000:]
        assert "golive_secrets.backup_identity, which would read it, is not given" in blocking["summary"]
        assert site.key.recipient in blocking["summary"]
        assert not (site.record / "releases").exists() or list((site.record / "releases").iterdir()) == []
        assert list(site.backups.iterdir()) == []
