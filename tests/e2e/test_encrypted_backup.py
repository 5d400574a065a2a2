# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad release whose way back is an encrypted backup: taken back by itself, with an identity that is seen nowhere."""

from __future__ import annotations

from pathlib import Path

from tests.integration.sealed_site import MARKER, sealed_site
from tests.leaks import assert_no_leak
from tests.servers import Postgres


def test_a_release_is_taken_back_from_what_nobody_else_can_read(tmp_path: Path) -> None:
    with Postgres() as server, sealed_site(server, tmp_path) as site:
        secrets = {**site.variables()["golive_secrets"], "backup_identity": site.key.identity}
        played = site.play("golive", "-vvv", codes=(2,), golive_secrets=secrets)
        report = site.written()
        assert report["outcome"] == "rolled_back", played.text[-6000:]
        assert report["release"]["rollback"]["database"] == "restore"
        steps = {step["name"]: step["status"] for step in report["release"]["steps"]}
        assert (steps["migration"], steps["start"], steps["back_database"]) == ("done", "failed", "done")
        assert site.notes() == [(1, MARKER.decode())]

        stored = [path for path in site.backups.rglob("*") if path.is_file()]
        assert sorted("".join(path.suffixes[-2:]) for path in stored) == [".dump.age", ".manifest.json", ".sql.age"]
        (archive,) = [path for path in stored if path.name.endswith(".dump.age")]
        assert MARKER in site.key.decrypted(archive.read_bytes())
        assert [path for path in stored if MARKER in path.read_bytes()] == []
        written = (site.record / "releases" / site.release / "ROLLBACK.md").read_text()
        assert 'age -d -i "$BACKUP_IDENTITY"' in written and site.key.recipient in written

        assert_no_leak(site.key.secrets, played.text, "what the run printed")
        for path in (one for one in site.directory.rglob("*") if one.is_file() and one.name != "extra.yml"):
            assert_no_leak(site.key.secrets, path.read_text(errors="replace"), str(path))
